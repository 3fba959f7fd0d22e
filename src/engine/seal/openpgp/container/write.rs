//! Writes the container, in batches that stay in the processor's cache from hashing to encrypting.

use super::super::framing::PacketFraming;
use super::cfb::Encryptor;
use super::{BLOCK_BYTES, CODE_BYTES, CODE_HEADER, PREFIX_BYTES};
use crate::engine::error::{Error, ErrorKind, Result};
use sequoia_openpgp::crypto::{self, SessionKey};
use sha1::{Digest, Sha1};
use std::io::{self, Write};

/// Content encrypted at once: a multiple of the block size.
const BATCH_BYTES: usize = 16 * 1024;

/// Writes an encrypted container whose content is what is written.
pub(in super::super) struct ContainerWriter<W> {
    out: W,
    framing: PacketFraming,
    encryptor: Encryptor,
    code: Sha1,
    /// Content neither hashed nor encrypted yet; less than a batch between calls.
    batch: Vec<u8>,
}

impl<W: Write> ContainerWriter<W> {
    /// Starts a container under an AES-256 key. Nothing is written yet.
    pub(in super::super) fn start(key: &SessionKey, out: W) -> Result<Self> {
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
            code: Sha1::new(),
            batch,
        })
    }

    /// Writes the modification detection code and ends the packet. Does not flush the output.
    pub(in super::super) fn finish(self) -> io::Result<W> {
        let Self {
            mut out,
            mut framing,
            encryptor,
            mut code,
            mut batch,
        } = self;
        batch.extend(CODE_HEADER);
        code.update(&batch);
        batch.extend(code.finalize());
        encryptor.last(&mut batch);
        framing.write(&batch, &mut out)?;
        framing.finish(&mut out)?;
        Ok(out)
    }
}

impl<W: Write> Write for ContainerWriter<W> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let n = data.len().min(BATCH_BYTES - self.batch.len());
        self.batch.extend_from_slice(data.get(..n).unwrap_or(data));
        if self.batch.len() == BATCH_BYTES {
            self.code.update(&self.batch);
            self.encryptor.blocks(&mut self.batch);
            self.framing.write(&self.batch, &mut self.out)?;
            self.batch.clear();
        }
        Ok(n)
    }

    /// Does nothing: a flush in the middle would make the output depend on when it came.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
