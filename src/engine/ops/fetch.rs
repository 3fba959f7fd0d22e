//! Fetching one sealed file: downloaded whole, checked against its hash, then opened. A file of this machine is checked
//! and opened where it lies.

use super::copies::damaged;
use crate::engine::collection::StoredFile;
use crate::engine::context::Context;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::format::manifest::HashKind;
use crate::engine::monitor::{Counter, Level};
use crate::engine::storage::LocalObject;
use crate::engine::target::Engine;
use sha1::{Digest, Sha1};
use std::fs::File;
use std::io::{BufReader, Read, Seek, Write};

/// Downloads of one volume before it is given up for lost.
const ATTEMPTS: u32 = 2;

/// Bytes read at a time from a file that is not copied.
const PIECE_BYTES: usize = 256 * 1024;

/// The hash a manifest asks for, as far as it was computed.
enum Hasher {
    Sha1(Sha1),
    Md5(md5::Md5),
    /// None was asked for.
    Nothing,
}

impl Hasher {
    fn new(hash: Option<&(HashKind, String)>) -> Self {
        match hash {
            Some((HashKind::Md5, _)) => Self::Md5(md5::Md5::new()),
            Some(_) => Self::Sha1(Sha1::new()),
            None => Self::Nothing,
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha1(sha1) => sha1.update(bytes),
            Self::Md5(md5) => md5.update(bytes),
            Self::Nothing => {}
        }
    }

    fn hex(self) -> String {
        let hex = |digest: &[u8]| digest.iter().map(|b| format!("{b:02x}")).collect();
        match self {
            Self::Sha1(sha1) => hex(&sha1.finalize()),
            Self::Md5(md5) => hex(&md5.finalize()),
            Self::Nothing => String::new(),
        }
    }
}

/// Hashes what it passes on, while it is wanted.
struct Hashing<'a, W> {
    out: W,
    hasher: Hasher,
    wanted: &'a dyn Fn() -> bool,
}

impl<W: Write> Write for Hashing<'_, W> {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        if !(self.wanted)() {
            return Err(unwanted().into());
        }
        let n = self.out.write(buffer)?;
        self.hasher.update(buffer.get(..n).unwrap_or(buffer));
        Ok(n)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

fn unwanted() -> Error {
    Error::new(ErrorKind::Interrupted, "the file is not wanted any more")
}

/// The content of a stored file, to be checked.
struct Content {
    file: File,
    bytes: u64,
    hash: String,
}

impl Engine {
    /// A file's content, with its length checked, and its `hash` if there is one: downloaded into an unlinked spool
    /// file, or where it lies if that is on this machine.
    ///
    /// # Errors
    /// `Corrupt` if either differs after a second download; `NotFound` if it is not there.
    pub(super) fn download(
        &self,
        file: &StoredFile,
        hash: Option<&(HashKind, String)>,
        cx: &Context,
    ) -> Result<File> {
        self.download_while(file, hash, &|| true, cx)
    }

    /// As [`download`](Self::download), but given up once it is not `wanted` any more.
    ///
    /// # Errors
    /// As [`download`](Self::download); `Interrupted` if it was given up.
    pub(super) fn download_while(
        &self,
        file: &StoredFile,
        hash: Option<&(HashKind, String)>,
        wanted: &dyn Fn() -> bool,
        cx: &Context,
    ) -> Result<File> {
        let mut attempt = 1;
        loop {
            let content = match self.target.storage.open_local(&file.name)? {
                Some(object) => look_at(object, Hasher::new(hash), wanted)?,
                None => self.spooled(file, Hasher::new(hash), wanted)?,
            };
            let Content {
                file: content,
                bytes,
                hash: found,
            } = content;
            self.tell_notices(cx);
            cx.monitor.count(Counter::FetchedBytes, bytes);
            let is_whole = match hash {
                _ if bytes == file.size => true,
                // What was repaired on its way has its own length, not that of the listing.
                Some((_, expected)) => found.eq_ignore_ascii_case(expected),
                None => bytes > file.size && self.has_length(&file.name, bytes)?,
            };
            let fault = match hash {
                _ if !is_whole => Some(format!(
                    "{bytes} bytes came, the listing says {}",
                    file.size
                )),
                Some((_, expected)) if !found.eq_ignore_ascii_case(expected) => {
                    Some(format!("its hash is {found}, the manifest says {expected}"))
                }
                _ => None,
            };
            let Some(fault) = fault else {
                return Ok(content);
            };
            let text = format!("{} is damaged: {fault}", file.name);
            if attempt == ATTEMPTS {
                return Err(Error::new(ErrorKind::Corrupt, text));
            }
            cx.monitor
                .note(Level::Info, &format!("{text}; fetching it once more"));
            self.target.storage.distrust(&file.name);
            attempt += 1;
        }
    }

    /// A file of this machine; nobody has looked at it.
    ///
    /// # Errors
    /// `NotFound` if it is elsewhere, or gone.
    pub(super) fn as_it_lies(&self, file: &StoredFile) -> Result<File> {
        let object = self.target.storage.open_local(&file.name)?;
        let object = object.ok_or_else(|| {
            let text = format!("{} is not on this machine", file.name);
            Error::new(ErrorKind::NotFound, text)
        })?;
        Ok(object.file)
    }

    /// Whether a file is on this machine.
    pub(super) fn is_here(&self, file: &StoredFile) -> bool {
        let local = self.target.storage.open_local(&file.name);
        local.is_ok_and(|object| object.is_some())
    }

    /// Whether the target says by now that a file has so many bytes.
    fn has_length(&self, name: &str, bytes: u64) -> Result<bool> {
        let object = self.target.storage.stat(name)?;
        Ok(object.is_some_and(|object| object.size == bytes))
    }

    /// Downloads a file into an unlinked spool file.
    fn spooled(
        &self,
        file: &StoredFile,
        hasher: Hasher,
        wanted: &dyn Fn() -> bool,
    ) -> Result<Content> {
        let dir = self.spool.dir();
        let mut spool =
            tempfile::tempfile_in(dir).map_err(|e| Error::io("create a spool file in", dir, e))?;
        let mut out = Hashing {
            out: &spool,
            hasher,
            wanted,
        };
        let bytes = self.target.storage.get(&file.name, &mut out)?;
        let hash = out.hasher.hex();
        spool
            .rewind()
            .map_err(|e| Error::io("rewind a spool file in", dir, e))?;
        Ok(Content {
            file: spool,
            bytes,
            hash,
        })
    }

    /// Downloads and opens a file.
    ///
    /// # Errors
    /// As [`download`](Self::download), and `WrongKey` if no key opens it.
    pub(super) fn fetch(
        &self,
        file: &StoredFile,
        hash: Option<&(HashKind, String)>,
        cx: &Context,
    ) -> Result<Box<dyn Read + Send>> {
        let content = self.download(file, hash, cx)?;
        self.unseal(file, content)
    }

    /// Opens a file whatever its length and hash are.
    ///
    /// # Errors
    /// It cannot be fetched, or no key opens it.
    pub(super) fn open_as_it_is(&self, file: &StoredFile) -> Result<Box<dyn Read + Send>> {
        let content = match self.target.storage.open_local(&file.name)? {
            Some(object) => object.file,
            None => self.spooled(file, Hasher::Nothing, &|| true)?.file,
        };
        self.unseal(file, content)
    }

    /// Opens a downloaded file.
    ///
    /// # Errors
    /// `WrongKey` if no key opens it; `Corrupt` if it is not what its name says.
    pub(super) fn unseal(&self, file: &StoredFile, content: File) -> Result<Box<dyn Read + Send>> {
        self.target
            .seal
            .unseal(
                file.parsed.form,
                Box::new(BufReader::with_capacity(256 * 1024, content)),
            )
            .map_err(|e| e.within(format!("cannot open {}", file.name)))
    }

    /// Downloads and opens a file into an unlinked spool file; more than `limit` bytes are refused.
    ///
    /// # Errors
    /// As [`fetch`](Self::fetch), and `Corrupt` if it is larger than `limit`.
    pub(super) fn fetch_to_spool(
        &self,
        file: &StoredFile,
        limit: u64,
        cx: &Context,
    ) -> Result<File> {
        let dir = self.spool.dir();
        let spooling = |e| Error::io("write a spool file in", dir, e);
        let mut spool = tempfile::tempfile_in(dir).map_err(spooling)?;
        let mut reader = self.fetch(file, None, cx)?;
        let mut buffer = vec![0; 64 * 1024];
        let mut bytes = 0;
        loop {
            let n = reader
                .read(&mut buffer)
                .map_err(|e| damaged(e).within(format!("cannot read {}", file.name)))?;
            let Some(read) = buffer.get(..n).filter(|read| !read.is_empty()) else {
                break;
            };
            bytes += n as u64;
            if bytes > limit {
                let text = format!("{} is larger than {limit} bytes", file.name);
                return Err(Error::new(ErrorKind::Corrupt, text));
            }
            spool.write_all(read).map_err(spooling)?;
        }
        spool.rewind().map_err(spooling)?;
        Ok(spool)
    }
}

/// Measures and hashes an object where it lies.
fn look_at(object: LocalObject, mut hasher: Hasher, wanted: &dyn Fn() -> bool) -> Result<Content> {
    let LocalObject { mut file, path } = object;
    let reading = |e| Error::io("read", &path, e);
    if matches!(hasher, Hasher::Nothing) {
        let bytes = file.metadata().map_err(reading)?.len();
        let hash = hasher.hex();
        return Ok(Content { file, bytes, hash });
    }
    let mut piece = vec![0; PIECE_BYTES];
    let mut bytes = 0;
    loop {
        if !wanted() {
            return Err(unwanted());
        }
        match file.read(&mut piece) {
            Ok(0) => break,
            Ok(n) => {
                hasher.update(piece.get(..n).unwrap_or_default());
                bytes += n as u64;
            }
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(reading(e)),
        }
    }
    file.rewind().map_err(reading)?;
    let hash = hasher.hex();
    Ok(Content { file, bytes, hash })
}
