//! Measures and hashes a file while it is written.
//!
//! The manifest names each volume by the SHA-1 of its sealed bytes. Hashing on the way out saves a second read.

use sha1::{Digest, Sha1};
use std::fmt;
use std::io::{self, Write};

/// Passes bytes on and keeps their number and SHA-1.
pub struct HashingWriter<W> {
    inner: W,
    hash: Sha1,
    bytes: u64,
}

/// What went through a [`HashingWriter`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Bytes in all.
    pub bytes: u64,
    /// SHA-1 of them, 40 lower-case hex digits, as manifests spell it.
    pub sha1: String,
}

impl<W: Write> HashingWriter<W> {
    /// Starts with nothing written.
    pub fn new(inner: W) -> Self {
        Self {
            inner,
            hash: Sha1::new(),
            bytes: 0,
        }
    }

    /// Bytes passed on so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The writer below, and what it was given.
    pub fn finish(self) -> (W, Written) {
        let sha1 = hex(&self.hash.finalize());
        (
            self.inner,
            Written {
                bytes: self.bytes,
                sha1,
            },
        )
    }
}

impl<W: Write> Write for HashingWriter<W> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(data)?;
        self.hash.update(data.get(..n).unwrap_or(data));
        self.bytes += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<W> fmt::Debug for HashingWriter<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HashingWriter")
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

/// SHA-1 of some bytes, 40 lower-case hex digits.
pub fn sha1_hex(data: &[u8]) -> String {
    hex(&Sha1::digest(data))
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sha1_of_the_standard_examples() {
        assert_eq!(sha1_hex(b""), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
        assert_eq!(sha1_hex(b"abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
    }

    #[test]
    fn only_bytes_the_inner_writer_took_are_counted() {
        struct Reluctant(Vec<u8>);
        impl Write for Reluctant {
            fn write(&mut self, data: &[u8]) -> io::Result<usize> {
                self.0.extend(&data[..data.len().min(2)]);
                Ok(data.len().min(2))
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut writer = HashingWriter::new(Reluctant(Vec::new()));
        assert_eq!(writer.write(b"abc").unwrap(), 2);
        writer.write_all(b"c").unwrap();
        let (inner, written) = writer.finish();
        assert_eq!(inner.0, b"abc");
        assert_eq!(
            written,
            Written {
                bytes: 3,
                sha1: sha1_hex(b"abc")
            }
        );
    }
}
