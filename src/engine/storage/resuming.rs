//! A download in several attempts, from one place or from several that hold the same.
//!
//! An attempt goes on where the receiver stands: the bytes it already has are compared by checksum and skipped, so a
//! failure in the middle costs time, not correctness.

use crate::engine::error::{Error, ErrorKind, Result};
use std::io::{self, Write};

/// What the receiver has got over all attempts.
pub(super) struct Resuming<'a> {
    to: &'a mut dyn Write,
    written: crc32fast::Hasher,
    bytes: u64,
    /// Why the attempt must end, whatever the service makes of it.
    trouble: Option<Error>,
    has_failed: bool,
}

impl<'a> Resuming<'a> {
    pub(super) fn new(to: &'a mut dyn Write) -> Self {
        Self {
            to,
            written: crc32fast::Hasher::new(),
            bytes: 0,
            trouble: None,
            has_failed: false,
        }
    }

    /// Lets `get` write the object `name` from its beginning; the receiver sees only what it does not have.
    ///
    /// # Errors
    /// What `get` says, or the receiver; `Corrupt` if the object is not the one of the attempts before.
    pub(super) fn attempt(
        &mut self,
        name: &str,
        get: impl FnOnce(&mut dyn Write) -> Result<u64>,
    ) -> Result<u64> {
        let mut again = Skipping {
            sink: self,
            seen: crc32fast::Hasher::new(),
            position: 0,
        };
        let outcome = get(&mut again);
        let position = again.position;
        if let Some(trouble) = self.trouble.take() {
            return Err(trouble);
        }
        let bytes = outcome?;
        if position < self.bytes {
            let text = format!("{name} changed while it was read");
            return Err(Error::new(ErrorKind::Corrupt, text));
        }
        Ok(bytes)
    }

    /// Whether the receiver itself failed: no further attempt can help.
    pub(super) fn has_failed(&self) -> bool {
        self.has_failed
    }
}

/// One attempt: drops what the receiver has, after comparing it, and passes on the rest.
struct Skipping<'a, 'b> {
    sink: &'b mut Resuming<'a>,
    seen: crc32fast::Hasher,
    position: u64,
}

impl Write for Skipping<'_, '_> {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        let known = self
            .sink
            .bytes
            .saturating_sub(self.position)
            .min(piece.len() as u64) as usize;
        if known > 0 {
            let known = &piece[..known];
            self.seen.update(known);
            self.position += known.len() as u64;
            if self.position == self.sink.bytes
                && self.seen.clone().finalize() != self.sink.written.clone().finalize()
            {
                self.sink.trouble = Some(Error::new(
                    ErrorKind::Corrupt,
                    "the object changed while it was read",
                ));
                return Err(io::Error::other("changed"));
            }
            return Ok(known.len());
        }
        match self.sink.to.write(piece) {
            Ok(bytes) => {
                self.sink.written.update(&piece[..bytes]);
                self.sink.bytes += bytes as u64;
                self.position += bytes as u64;
                Ok(bytes)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                self.sink.trouble = Some(Error::from(error));
                self.sink.has_failed = true;
                Err(io::Error::other("the receiver failed"))
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.to.flush()
    }
}
