//! AES in cipher feedback mode, started from zeros.
//!
//! Works on runs of whole blocks, since only those decrypt several blocks at a time; the last run may end within one.

use super::{BLOCK_BYTES, PREFIX_BYTES};
use aes::{Aes128, Aes192, Aes256};
use cfb_mode::cipher::{Array, BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use sequoia_openpgp::crypto::SessionKey;
use sequoia_openpgp::types::SymmetricAlgorithm;

const START: [u8; BLOCK_BYTES] = [0; BLOCK_BYTES];

/// Encrypts with AES-256. Its state is wiped when dropped.
pub(super) struct Encryptor(cfb_mode::Encryptor<Aes256>);

impl Encryptor {
    /// `None` if the key has the wrong length.
    pub(super) fn new(key: &SessionKey) -> Option<Self> {
        cfb_mode::Encryptor::new_from_slices(key, &START)
            .ok()
            .map(Self)
    }

    /// Encrypts the whole blocks of `data` in place, and leaves what follows them as it is.
    pub(super) fn blocks(&mut self, data: &mut [u8]) {
        self.0.encrypt_blocks(Array::slice_as_chunks_mut(data).0);
    }

    /// Encrypts the end of the stream in place.
    pub(super) fn last(self, data: &mut [u8]) {
        self.0.encrypt(data);
    }
}

/// Decrypts with AES. Its state is wiped when dropped.
pub(in super::super) struct Decryptor(Width);

enum Width {
    Aes128(cfb_mode::Decryptor<Aes128>),
    Aes192(cfb_mode::Decryptor<Aes192>),
    Aes256(cfb_mode::Decryptor<Aes256>),
}

impl Decryptor {
    /// `None` if the key has the wrong length or is for another cipher, see [`is_ours`](Self::is_ours).
    pub(in super::super) fn new(cipher: SymmetricAlgorithm, key: &SessionKey) -> Option<Self> {
        Self::behind(&START, cipher, key)
    }

    /// Goes on behind this encrypted block.
    pub(super) fn behind(
        block: &[u8; BLOCK_BYTES],
        cipher: SymmetricAlgorithm,
        key: &SessionKey,
    ) -> Option<Self> {
        let width = match cipher {
            SymmetricAlgorithm::AES128 => {
                Width::Aes128(cfb_mode::Decryptor::new_from_slices(key, block).ok()?)
            }
            SymmetricAlgorithm::AES192 => {
                Width::Aes192(cfb_mode::Decryptor::new_from_slices(key, block).ok()?)
            }
            SymmetricAlgorithm::AES256 => {
                Width::Aes256(cfb_mode::Decryptor::new_from_slices(key, block).ok()?)
            }
            _ => return None,
        };
        Some(Self(width))
    }

    /// Whether the cipher can be handled here.
    pub(in super::super) fn is_ours(cipher: SymmetricAlgorithm) -> bool {
        matches!(
            cipher,
            SymmetricAlgorithm::AES128 | SymmetricAlgorithm::AES192 | SymmetricAlgorithm::AES256
        )
    }

    /// Whether a stream that begins with these octets was encrypted with this key. Of wrong keys, one in 65536 fits.
    pub(in super::super) fn fits(self, mut first: [u8; PREFIX_BYTES]) -> bool {
        self.last(&mut first);
        first[BLOCK_BYTES - 2..BLOCK_BYTES] == first[BLOCK_BYTES..]
    }

    /// Decrypts the whole blocks of `data` in place, and leaves what follows them as it is.
    pub(super) fn blocks(&mut self, data: &mut [u8]) {
        let blocks = Array::slice_as_chunks_mut(data).0;
        match &mut self.0 {
            Width::Aes128(state) => state.decrypt_blocks(blocks),
            Width::Aes192(state) => state.decrypt_blocks(blocks),
            Width::Aes256(state) => state.decrypt_blocks(blocks),
        }
    }

    /// Decrypts the end of the stream in place.
    pub(super) fn last(self, data: &mut [u8]) {
        match self.0 {
            Width::Aes128(state) => state.decrypt(data),
            Width::Aes192(state) => state.decrypt(data),
            Width::Aes256(state) => state.decrypt(data),
        }
    }
}
