//! Reads a sealed file from places in its middle: from restart points on, which the fast encoder puts there.
//!
//! Nothing that comes out is proven: a mark may be none, but bytes of a file that was stored, and neither checksum nor
//! modification detection code are seen. Whoever asks has to find out by the content itself whether it is what was looked
//! for. docs/decisions.md 55.

use super::gzip;
use super::inflate::Inflate;
use super::openpgp::head::Head;
use super::openpgp::middle::MessageMiddle;
use super::openpgp::unlock::Secrets;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Content begins at a multiple of this.
pub(super) const UNIT_BYTES: usize = 512;

/// A sealed file, to be read from places in its middle.
pub struct Middle {
    file: Arc<File>,
    kind: Kind,
}

enum Kind {
    Gzip,
    Message(MessageMiddle),
}

impl Middle {
    /// A gzip file as the engine writes them.
    pub(super) fn of_gzip(file: File) -> Option<Self> {
        let mut header = [0; gzip::HEADER.len()];
        file.read_exact_at(&mut header, 0).ok()?;
        header.starts_with(&gzip::HEADER[..4]).then(|| Self {
            file: Arc::new(file),
            kind: Kind::Gzip,
        })
    }

    /// The message that begins with `seen`.
    pub(super) fn of_message(
        file: File,
        head: &Head,
        seen: &[u8],
        secrets: Arc<Secrets>,
    ) -> Option<Self> {
        let file = Arc::new(file);
        let message = MessageMiddle::open(Arc::clone(&file), head, seen, secrets)?;
        let kind = Kind::Message(message);
        Some(Self { file, kind })
    }

    /// How long the file is; no place is beyond.
    ///
    /// # Errors
    /// It cannot be asked.
    pub fn bytes(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// What may be content, from the first thing at or behind place `at` that may be a restart point; and the place of that,
    /// from where the same comes again. It begins at a multiple of 512 bytes of content. `None` if there is nothing within
    /// reach, which is some MiB. An end or an error of the reader means nothing.
    pub fn content(&self, at: u64) -> Option<(u64, Box<dyn Read>)> {
        match &self.kind {
            Kind::Message(message) => message.content(at),
            Kind::Gzip => {
                let header = gzip::HEADER.len() as u64;
                let input = Section::new(Arc::clone(&self.file), header + at);
                let damaged = |how: &str| io::Error::new(io::ErrorKind::InvalidData, how);
                let (passed, inflate) = Inflate::from_mark(input, damaged)?;
                Some((at + passed, Box::new(inflate)))
            }
        }
    }
}

/// A file from a place on, read without moving where others read it.
pub(super) struct Section {
    file: Arc<File>,
    at: u64,
}

impl Section {
    pub(super) fn new(file: Arc<File>, at: u64) -> Self {
        Self { file, at }
    }
}

impl Read for Section {
    fn read(&mut self, data: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read_at(data, self.at)?;
        self.at += n as u64;
        Ok(n)
    }
}
