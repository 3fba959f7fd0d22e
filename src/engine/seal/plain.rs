//! Files stored as they are.

use super::SealWriter;
use super::hash::{HashingWriter, Written};
use crate::engine::error::Result;
use std::io::{self, Write};

/// Passes bytes on.
pub(super) struct PlainWriter(HashingWriter<Box<dyn Write + Send>>);

impl PlainWriter {
    pub(super) fn new(out: Box<dyn Write + Send>) -> Self {
        Self(HashingWriter::new(out))
    }
}

impl Write for PlainWriter {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0.write(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl SealWriter for PlainWriter {
    fn estimated_bytes(&self) -> u64 {
        self.0.bytes()
    }

    fn finish(self: Box<Self>) -> Result<Written> {
        Ok(self.0.finish()?)
    }
}
