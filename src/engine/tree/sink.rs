//! The content of one file on its way to disk.
//!
//! It is written under a temporary name, readable by its owner only, and gets its own name when it is whole. Runs of
//! zeros become holes.

use super::write::{Slot, TreeWriter};
use crate::engine::entry::Entry;
use crate::engine::error::{Error, ErrorKind, Result};
use rustix::fd::AsFd;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;

/// Bytes of zeros, at a multiple of this offset, that are worth a hole.
const HOLE_BYTES: usize = 4096;
static ZEROS: [u8; HOLE_BYTES] = [0; HOLE_BYTES];

/// A file being restored. Dropped without [`FileSink::finish`] it leaves nothing behind.
#[must_use = "the file gets its name by finish()"]
pub struct FileSink<'w, 'a> {
    writer: &'w mut TreeWriter<'a>,
    entry: Entry,
    slot: Slot,
    temp: OsString,
    content: Content,
    committed: bool,
}

impl<'w, 'a> FileSink<'w, 'a> {
    pub(super) fn new(
        writer: &'w mut TreeWriter<'a>,
        entry: Entry,
        slot: Slot,
        temp: OsString,
        file: File,
    ) -> Self {
        Self {
            writer,
            entry,
            slot,
            temp,
            content: Content::new(file),
            committed: false,
        }
    }

    /// Bytes written so far, holes included.
    pub fn written_bytes(&self) -> u64 {
        self.content.length
    }

    /// Sets the attributes and gives the file its name. Attributes that cannot be set are problems, not errors.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] if a write failed before, [`ErrorKind::Full`] and others that end the restore.
    pub fn finish(mut self) -> Result<()> {
        let file = self.content.finish().map_err(|error| {
            Error::from(error).within(format!("cannot write {}", self.entry.path))
        })?;
        self.writer.set_attributes(file.as_fd(), &self.entry);
        self.committed = true;
        self.writer.commit(&self.entry.path, &self.slot, &self.temp)
    }
}

impl Write for FileSink<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.content.write(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for FileSink<'_, '_> {
    fn drop(&mut self) {
        if !self.committed {
            self.writer.discard(&self.slot, &self.temp);
        }
    }
}

/// Bytes of a file, with holes for zeros.
struct Content {
    /// `None` once finished.
    file: Option<File>,
    /// Bytes so far.
    length: u64,
    /// End of the last byte that was really written.
    end: u64,
    failed: bool,
}

impl Content {
    fn new(file: File) -> Self {
        Self {
            file: Some(file),
            length: 0,
            end: 0,
            failed: false,
        }
    }

    /// Writes all bytes; what lies between holes goes out in one piece.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.failed = true;
        let mut rest = bytes;
        while !rest.is_empty() {
            let (run, hole) = next_hole(self.length, rest);
            self.put(&rest[..run])?;
            self.length += (run + hole) as u64;
            rest = &rest[run + hole..];
        }
        self.failed = false;
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(file) = &self.file
            && !bytes.is_empty()
        {
            file.write_all_at(bytes, self.length)?;
            self.end = self.length + bytes.len() as u64;
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<File> {
        let file = self
            .file
            .take()
            .ok_or_else(|| io::Error::other("already finished"))?;
        if self.failed {
            return Err(Error::new(ErrorKind::Io, "a write failed before").into());
        }
        if self.end < self.length {
            file.set_len(self.length)?;
        }
        Ok(file)
    }
}

/// Lengths of what is to be written of `bytes`, which start at `offset`, and of the hole after it.
fn next_hole(offset: u64, bytes: &[u8]) -> (usize, usize) {
    let first = (HOLE_BYTES - (offset % HOLE_BYTES as u64) as usize) % HOLE_BYTES;
    let mut run = first.min(bytes.len());
    let mut pages = bytes[run..].chunks_exact(HOLE_BYTES);
    let data = pages.by_ref().take_while(|page| *page != ZEROS).count();
    run += data * HOLE_BYTES;
    let zeros = bytes[run..]
        .chunks_exact(HOLE_BYTES)
        .take_while(|page| *page == ZEROS)
        .count();
    if zeros == 0 {
        (bytes.len(), 0)
    } else {
        (run, zeros * HOLE_BYTES)
    }
}
