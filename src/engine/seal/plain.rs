//! Files stored as they are.

use super::SealWriter;
use crate::engine::error::Result;
use std::io::{self, Write};

/// Passes bytes on and counts them.
pub(super) struct PlainWriter {
    out: Box<dyn Write + Send>,
    bytes: u64,
}

impl PlainWriter {
    pub(super) fn new(out: Box<dyn Write + Send>) -> Self {
        Self { out, bytes: 0 }
    }
}

impl Write for PlainWriter {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let n = self.out.write(data)?;
        self.bytes += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl SealWriter for PlainWriter {
    fn estimated_bytes(&self) -> u64 {
        self.bytes
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        Ok(self.out.flush()?)
    }
}
