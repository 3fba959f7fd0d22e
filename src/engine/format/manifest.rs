//! Manifests: the text file that names a set's volumes, their bounds and hashes, and the files that changed.
//!
//! Writing is byte-identical to every version of duplicity; reading is as liberal as the original. Duplicate volume
//! numbers are normal after a resumed run: the later block holds, and what lies above the last block is void.
//! See docs/format.md, "Manifest".

mod parse;

use super::quote::{self, QuoteError};
use crate::engine::error::{Error as EngineError, ErrorKind};
use crate::engine::path::{PathError, PathIndex};
use std::collections::BTreeMap;
use std::io::{self, BufRead, Read};

/// What a manifest says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Manifest {
    /// Name of the host that made the set.
    pub hostname: Option<Vec<u8>>,
    /// The source, as it was typed.
    pub local_dir: Option<Vec<u8>>,
    /// Volumes by number.
    pub volumes: BTreeMap<u32, VolumeInfo>,
    /// Regular files that are new, changed or deleted; `None` if the list is missing, damaged or was not asked for.
    pub files: Option<Vec<FileChange>>,
    /// A list of files is there but cannot be read, or its length is not the one announced.
    pub files_damaged: bool,
    /// Whether there is such a list at all, read or not. It ends a manifest: without it, the rest may be lost.
    pub has_list: bool,
}

/// One volume of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeInfo {
    /// Where its first entry lies.
    pub start: Bound,
    /// Where its last entry lies.
    pub end: Bound,
    /// Hash of the file as stored at the target, lower-case hex. Always written; some old manifests lack it.
    pub hash: Option<(HashKind, String)>,
}

/// First or last entry of a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// The entry.
    pub path: PathIndex,
    /// Number of the block at which a file was cut; `None` for a whole entry and for the last block of a file.
    pub block: Option<u32>,
}

/// Which hash guards a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HashKind {
    /// 40 hex digits; the only kind written.
    Sha1,
    /// 32 hex digits.
    Md5,
}

/// One line of the list of files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileChange {
    /// What happened to it.
    pub word: FileWord,
    /// The file.
    pub path: PathIndex,
}

/// What happened to a regular file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FileWord {
    /// Stored whole.
    New,
    /// Stored as a delta.
    Changed,
    /// Gone; it was a regular file before.
    Deleted,
}

/// Why bytes are not a manifest. Lines count from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No volume in it: truncated, or no manifest at all.
    #[error("no volumes in the manifest")]
    Empty,
    /// A line no writer would make.
    #[error("line {line} is longer than {LINE_BYTES_MAX} bytes")]
    LongLine {
        /// Line number.
        line: usize,
    },
    /// `Volume` without a number from 1 on, or a block that is no number.
    #[error("line {line}: not a number: {text:?}")]
    BadNumber {
        /// Line number.
        line: usize,
        /// What stands there.
        text: String,
    },
    /// A hash that is not hex digits of the right length.
    #[error("line {line}: not a hash")]
    BadHash {
        /// Line number.
        line: usize,
    },
    /// A path with wrong quotes.
    #[error("line {line}: {reason}")]
    BadQuote {
        /// Line number.
        line: usize,
        /// What is wrong.
        reason: QuoteError,
    },
    /// A path that could lead out of the backup.
    #[error("line {line}: {reason}")]
    BadPath {
        /// Line number.
        line: usize,
        /// What is wrong.
        reason: PathError,
    },
    /// A volume lacks `StartingPath` or `EndingPath`.
    #[error("volume {number} on line {line} has no {word}")]
    NoBound {
        /// Line on which the volume starts.
        line: usize,
        /// Its number.
        number: u32,
        /// The missing keyword.
        word: &'static str,
    },
}

impl From<Error> for EngineError {
    fn from(error: Error) -> Self {
        EngineError::new(ErrorKind::Corrupt, error.to_string())
    }
}

/// Longest line that is read. The longest path Linux takes, quoted, has 16 KiB.
pub const LINE_BYTES_MAX: usize = 1024 * 1024;

impl Manifest {
    /// Reads a whole manifest. Cost: a path per changed file; see [`parse_volumes`](Self::parse_volumes).
    ///
    /// # Errors
    /// [`Error::Empty`] without any volume, and whatever is wrong with a volume. A damaged list of files is no
    /// error: see [`files_damaged`](Self::files_damaged).
    pub fn parse(text: &[u8]) -> Result<Self, Error> {
        parse::parse(text, parse::Files::Read)
    }

    /// Reads all but the list of files, which for a large full set is nearly all of the manifest.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn parse_volumes(text: &[u8]) -> Result<Self, Error> {
        parse::parse(text, parse::Files::Skip)
    }

    /// As [`parse_volumes`](Self::parse_volumes), one line in memory at a time.
    ///
    /// # Errors
    /// As [`parse`](Self::parse), inside an error of reading where it is one.
    pub fn read_volumes(input: impl BufRead) -> Result<Self, EngineError> {
        let mut parser = parse::Parser::new(parse::Files::Skip);
        let mut lines = Lines::new(input);
        while let Some(line) = lines.next()? {
            parser.line(line)?;
        }
        Ok(parser.finish()?)
    }

    /// The manifest as duplicity writes it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let text = |t: &Option<Vec<u8>>| t.clone().unwrap_or_default();
        write_header(&mut out, &text(&self.hostname), &text(&self.local_dir));
        for (number, volume) in &self.volumes {
            write_volume(&mut out, *number, volume);
        }
        if let Some(files) = &self.files {
            out.extend(filelist_header(files.len() as u64));
            for file in files {
                out.extend(filelist_line(file.word, &file.path));
            }
        }
        out
    }
}

/// Lines of a manifest without their ends, one in memory at a time. One that is too long comes cut.
struct Lines<R> {
    input: R,
    line: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    fn new(input: R) -> Self {
        Self {
            input,
            line: Vec::new(),
        }
    }

    fn next(&mut self) -> io::Result<Option<&[u8]>> {
        self.line.clear();
        let limit = LINE_BYTES_MAX as u64 + 2;
        let n = (&mut self.input)
            .take(limit)
            .read_until(b'\n', &mut self.line)?;
        Ok((n > 0).then(|| self.line.strip_suffix(b"\n").unwrap_or(&self.line)))
    }
}

/// The list of files of a manifest, in its order, one line in memory at a time; what is strange in it is left out.
pub struct FileList<R> {
    lines: Lines<R>,
    begun: bool,
}

impl<R: BufRead> FileList<R> {
    /// Reads a manifest from its beginning.
    pub fn new(input: R) -> Self {
        Self {
            lines: Lines::new(input),
            begun: false,
        }
    }
}

impl<R: BufRead> Iterator for FileList<R> {
    type Item = io::Result<FileChange>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.lines.next() {
                Err(e) => return Some(Err(e)),
                Ok(None) => return None,
                Ok(Some(line)) if self.begun => {
                    if let Some(change) = parse::file_change(line) {
                        return Some(Ok(change));
                    }
                }
                Ok(Some(line)) => self.begun = parse::is_list_head(line),
            }
        }
    }
}

impl Bound {
    /// The source itself, whole: both bounds of a volume without entries.
    pub fn root() -> Self {
        Self {
            path: PathIndex::root(),
            block: None,
        }
    }
}

impl FileWord {
    /// `new`, `changed`, `deleted`.
    pub fn as_str(self) -> &'static str {
        match self {
            FileWord::New => "new",
            FileWord::Changed => "changed",
            FileWord::Deleted => "deleted",
        }
    }
}

impl HashKind {
    /// As in the manifest: `SHA1`, `MD5`.
    pub fn as_str(self) -> &'static str {
        match self {
            HashKind::Sha1 => "SHA1",
            HashKind::Md5 => "MD5",
        }
    }

    fn hex_digits(self) -> usize {
        match self {
            HashKind::Sha1 => 40,
            HashKind::Md5 => 32,
        }
    }
}

/// Appends the first two lines; one that would be empty is left out.
pub fn write_header(out: &mut Vec<u8>, hostname: &[u8], local_dir: &[u8]) {
    if !hostname.is_empty() {
        out.extend_from_slice(b"Hostname ");
        out.extend_from_slice(hostname);
        out.push(b'\n');
    }
    if !local_dir.is_empty() {
        out.extend_from_slice(b"Localdir ");
        quote::quote_into(out, local_dir);
        out.push(b'\n');
    }
}

/// Appends the lines of one volume.
pub fn write_volume(out: &mut Vec<u8>, number: u32, volume: &VolumeInfo) {
    out.extend_from_slice(format!("Volume {number}:\n").as_bytes());
    write_bound(out, b"    StartingPath   ", &volume.start);
    write_bound(out, b"    EndingPath     ", &volume.end);
    if let Some((kind, hex)) = &volume.hash {
        out.extend_from_slice(format!("    Hash {} {hex}\n", kind.as_str()).as_bytes());
    }
}

fn write_bound(out: &mut Vec<u8>, keyword: &[u8], bound: &Bound) {
    out.extend_from_slice(keyword);
    write_path(out, &bound.path);
    out.push(b' ');
    match bound.block {
        Some(block) => out.extend_from_slice(block.to_string().as_bytes()),
        None => out.push(b' '),
    }
    out.push(b'\n');
}

fn write_path(out: &mut Vec<u8>, path: &PathIndex) {
    quote::quote_into(
        out,
        if path.is_root() {
            b"."
        } else {
            path.as_bytes()
        },
    );
}

/// The line before the list of files.
pub fn filelist_header(count: u64) -> Vec<u8> {
    format!("Filelist {count}\n").into_bytes()
}

/// One line of the list of files.
pub fn filelist_line(word: FileWord, path: &PathIndex) -> Vec<u8> {
    let mut out = format!("    {:<7}  ", word.as_str()).into_bytes();
    write_path(&mut out, path);
    out.push(b'\n');
    out
}

#[cfg(test)]
mod tests;
