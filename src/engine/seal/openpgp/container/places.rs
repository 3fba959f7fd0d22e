//! Decrypts from any place on: in this mode a block needs nothing but the encrypted block before it.
//!
//! Only containers that are laid out as [`ContainerWriter`](super::ContainerWriter) does it, for there the place of every
//! octet is known. What is read is not proven by the modification detection code: who reads it has to know by other means
//! that the file is whole.

use super::super::framing::{PART_BYTES, PART_OCTET};
use super::cfb::Decryptor;
use super::{BLOCK_BYTES, VERSION};
use crate::engine::ahead::fill;
use sequoia_openpgp::crypto::SessionKey;
use sequoia_openpgp::types::SymmetricAlgorithm;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Octets decrypted at once.
const BATCH_BYTES: usize = 32 * 1024;

/// A part with the octet before it.
const FRAMED_BYTES: u64 = PART_BYTES as u64 + 1;

/// The encrypted octets of a container in a file.
pub(in super::super) struct Places {
    file: Arc<File>,
    /// Where its packet begins.
    packet: u64,
    cipher: SymmetricAlgorithm,
    key: SessionKey,
}

impl Places {
    /// `None` if the packet at `packet` is laid out in another way.
    pub(in super::super) fn open(
        file: Arc<File>,
        packet: u64,
        (cipher, key): (SymmetricAlgorithm, SessionKey),
    ) -> Option<Self> {
        let mut start = [0; 3];
        file.read_exact_at(&mut start, packet).ok()?;
        let [header, octet, version] = start;
        let is_ours = header == 0xc0 | 18 && octet == PART_OCTET && version == VERSION;
        is_ours.then_some(Self {
            file,
            packet,
            cipher,
            key,
        })
    }

    /// What is encrypted, from its octet `at` on, the random prefix counted; ends before the last part. `None` if `at` is in
    /// the first block.
    pub(in super::super) fn read_at(
        &self,
        at: u64,
    ) -> io::Result<Option<impl Read + Send + use<>>> {
        let within = at % BLOCK_BYTES as u64;
        let Some(before) = (at - within).checked_sub(BLOCK_BYTES as u64) else {
            return Ok(None);
        };
        let mut parts = Parts {
            file: Arc::clone(&self.file),
            first: self.packet + 1,
            // Behind the version.
            at: before + 1,
            seen: None,
        };
        let mut block = [0; BLOCK_BYTES];
        parts.read_exact(&mut block)?;
        let Some(decryptor) = Decryptor::behind(&block, self.cipher, &self.key) else {
            return Ok(None);
        };
        let mut plain = Decrypted {
            parts,
            decryptor,
            batch: Vec::new(),
            position: 0,
        };
        io::copy(&mut (&mut plain).take(within), &mut io::sink())?;
        Ok(Some(plain))
    }
}

/// The body of the packet, without the octets before its parts.
struct Parts {
    file: Arc<File>,
    /// Where the octet before the first part is.
    first: u64,
    /// The next octet of the body.
    at: u64,
    /// The part that is known to be a whole one.
    seen: Option<u64>,
}

impl Read for Parts {
    fn read(&mut self, data: &mut [u8]) -> io::Result<usize> {
        let (part, within) = (self.at / PART_BYTES as u64, self.at % PART_BYTES as u64);
        let place = self.first + part * FRAMED_BYTES;
        if self.seen != Some(part) {
            let mut octet = [0];
            if self.file.read_at(&mut octet, place)? == 0 || octet != [PART_OCTET] {
                return Ok(0);
            }
            self.seen = Some(part);
        }
        let wanted = data.len().min(PART_BYTES - within as usize);
        let data = data.get_mut(..wanted).unwrap_or_default();
        let n = self.file.read_at(data, place + 1 + within)?;
        self.at += n as u64;
        Ok(n)
    }
}

/// The same, decrypted, up to the last whole block.
struct Decrypted {
    parts: Parts,
    decryptor: Decryptor,
    batch: Vec<u8>,
    position: usize,
}

impl Read for Decrypted {
    fn read(&mut self, data: &mut [u8]) -> io::Result<usize> {
        if self.position == self.batch.len() {
            self.batch.resize(BATCH_BYTES, 0);
            self.position = 0;
            let (filled, outcome) = fill(&mut self.parts, &mut self.batch);
            self.batch.truncate(filled / BLOCK_BYTES * BLOCK_BYTES);
            outcome?;
            self.decryptor.blocks(&mut self.batch);
        }
        let ready = self.batch.get(self.position..).unwrap_or_default();
        let n = ready.len().min(data.len());
        data[..n].copy_from_slice(&ready[..n]);
        self.position += n;
        Ok(n)
    }
}
