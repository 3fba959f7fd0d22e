//! AES in cipher feedback mode, started from zeros.
//!
//! Works on runs of whole blocks, since only those decrypt several blocks at a time; the last run may end within one.

use super::{BLOCK_BYTES, PREFIX_BYTES};
use crate::engine::seal::hash::Sha1Block;
use aes::{Aes128, Aes192, Aes256};
use cfb_mode::cipher::consts::U16;
use cfb_mode::cipher::{
    Array, BlockModeDecrypt, BlockModeEncBackend, BlockModeEncClosure, BlockModeEncrypt,
    BlockSizeUser, KeyIvInit,
};
use sequoia_openpgp::crypto::SessionKey;
use sequoia_openpgp::types::SymmetricAlgorithm;
use sha1::block_api::Sha1Core;
use sha1::digest::block_api::UpdateCore;

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

    /// Encrypts a batch, and hashes beside it.
    pub(super) fn blocks(&mut self, turns: Turns) {
        self.0.encrypt_with_backend(turns);
    }

    /// Encrypts the end of the stream in place.
    pub(super) fn last(self, data: &mut [u8]) {
        self.0.encrypt(data);
    }
}

/// What is done in turns, one block of a hash at a time.
pub(super) struct Turns<'a> {
    /// To be encrypted in place: whole blocks of a hash, what follows them is left as it is.
    pub data: &'a mut [u8],
    /// Takes the data before it is encrypted.
    pub code: &'a mut Sha1Core,
    /// A hash, and as many blocks for it as may come; they are taken, those without a turn at last.
    pub behind: (&'a mut Sha1Core, &'a [Sha1Block]),
}

impl BlockSizeUser for Turns<'_> {
    type BlockSize = U16;
}

impl BlockModeEncClosure for Turns<'_> {
    #[inline(always)]
    fn call<B: BlockModeEncBackend<BlockSize = U16>>(self, backend: &mut B) {
        let (hash, mut behind) = self.behind;
        let (data, _) = Array::slice_as_chunks_mut(self.data);
        for block in data {
            self.code.update_blocks(std::slice::from_ref(block));
            let (parts, _) = Array::slice_as_chunks_mut(block);
            for part in parts {
                backend.encrypt_block(part.into());
            }
            if let Some((next, rest)) = behind.split_first() {
                hash.update_blocks(std::slice::from_ref(next));
                behind = rest;
            }
        }
        hash.update_blocks(behind);
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
