//! Writes the container, in batches that stay in the processor's cache from hashing to encrypting.
//!
//! Three things wait for themselves here, each step for the one before: the modification detection code, the cipher and the
//! hash of what was encrypted before. They are done in turns of 64 bytes, which takes half the time of one after the other;
//! docs/decisions.md 63.

use super::super::framing::PacketFraming;
use super::cfb::{Encryptor, Turns};
use super::{BLOCK_BYTES, CODE_BYTES, CODE_HEADER, PREFIX_BYTES};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::seal::hash::{HashingWriter, Sha1Block, sha1_behind};
use sequoia_openpgp::crypto::{self, SessionKey};
use sha1::block_api::Sha1Core;
use std::io::{self, Write};

/// Content encrypted at once: a multiple of the block sizes of cipher and hash.
const BATCH_BYTES: usize = 16 * 1024;

/// Writes an encrypted container whose content is what is written.
pub(in super::super) struct ContainerWriter<W> {
    out: HashingWriter<W>,
    framing: PacketFraming,
    encryptor: Encryptor,
    /// Of all batches but this one.
    code: Sha1Core,
    /// Content neither hashed nor encrypted yet; less than a batch between calls.
    batch: Vec<u8>,
}

impl<W: Write> ContainerWriter<W> {
    /// Starts a container under an AES-256 key. Nothing is written yet.
    pub(in super::super) fn start(key: &SessionKey, out: HashingWriter<W>) -> Result<Self> {
        let encryptor = Encryptor::new(key).ok_or_else(|| {
            Error::new(ErrorKind::Internal, "the session key has the wrong length")
        })?;
        let mut prefix = [0; PREFIX_BYTES];
        crypto::random(&mut prefix[..BLOCK_BYTES])
            .map_err(|e| Error::new(ErrorKind::Io, format!("no random numbers: {e}")))?;
        prefix.copy_within(BLOCK_BYTES - 2..BLOCK_BYTES, BLOCK_BYTES);
        let mut batch = Vec::with_capacity(BATCH_BYTES + CODE_BYTES);
        batch.extend(prefix);
        Ok(Self {
            out,
            framing: PacketFraming::protected(),
            encryptor,
            code: Sha1Core::default(),
            batch,
        })
    }

    /// Writes the modification detection code and ends the packet. Does not flush the output.
    pub(in super::super) fn finish(self) -> io::Result<HashingWriter<W>> {
        let Self {
            mut out,
            mut framing,
            encryptor,
            code,
            mut batch,
        } = self;
        batch.extend(CODE_HEADER);
        let code = sha1_behind(code, &batch);
        batch.extend(code);
        encryptor.last(&mut batch);
        framing.write(&batch, |part| out.write_late(part))?;
        framing.finish(&mut out)?;
        Ok(out)
    }
}

impl<W: Write> Write for ContainerWriter<W> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let n = data.len().min(BATCH_BYTES - self.batch.len());
        self.batch.extend_from_slice(data.get(..n).unwrap_or(data));
        if self.batch.len() == BATCH_BYTES {
            self.encryptor.blocks(Turns {
                data: &mut self.batch,
                code: &mut self.code,
                behind: self.out.late().turns(BATCH_BYTES / size_of::<Sha1Block>()),
            });
            self.framing
                .write(&self.batch, |part| self.out.write_late(part))?;
            self.batch.clear();
        }
        Ok(n)
    }

    /// Does nothing: a flush in the middle would make the output depend on when it came.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
