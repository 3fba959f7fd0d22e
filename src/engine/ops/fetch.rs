//! Fetching one sealed file: downloaded whole, checked against its hash, then opened.

use super::copies::damaged;
use crate::engine::collection::StoredFile;
use crate::engine::context::Context;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::format::manifest::HashKind;
use crate::engine::monitor::{Counter, Level};
use crate::engine::target::Engine;
use sha1::{Digest, Sha1};
use std::fs::File;
use std::io::{BufReader, Read, Seek, Write};

/// Downloads of one volume before it is given up for lost.
const ATTEMPTS: u32 = 2;

/// Hashes what it passes on.
struct Hashing<W> {
    out: W,
    sha1: Sha1,
    md5: Option<md5::Md5>,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        let n = self.out.write(buffer)?;
        match &mut self.md5 {
            Some(md5) => md5.update(&buffer[..n]),
            None => self.sha1.update(&buffer[..n]),
        }
        Ok(n)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

impl Engine {
    /// Downloads a file into an unlinked spool file and checks its length, and its `hash` if there is one.
    ///
    /// # Errors
    /// `Corrupt` if either differs after a second download; `NotFound` if it is not there.
    pub(super) fn download(
        &self,
        file: &StoredFile,
        hash: Option<&(HashKind, String)>,
        cx: &Context,
    ) -> Result<File> {
        let mut attempt = 1;
        loop {
            let spool = tempfile::tempfile_in(self.spool.dir())
                .map_err(|e| Error::io("create a spool file in", self.spool.dir(), e))?;
            let md5 = matches!(hash, Some((HashKind::Md5, _))).then(md5::Md5::new);
            let mut out = Hashing {
                out: &spool,
                sha1: Sha1::new(),
                md5,
            };
            let bytes = self.target.storage.get(&file.name, &mut out)?;
            cx.monitor.count(Counter::FetchedBytes, bytes);
            let found: String = match out.md5 {
                Some(md5) => md5.finalize().iter().map(|b| format!("{b:02x}")).collect(),
                None => out
                    .sha1
                    .finalize()
                    .iter()
                    .map(|b| format!("{b:02x}"))
                    .collect(),
            };
            let fault = match hash {
                _ if bytes != file.size => Some(format!(
                    "{bytes} bytes came, the listing says {}",
                    file.size
                )),
                Some((_, expected)) if !found.eq_ignore_ascii_case(expected) => {
                    Some(format!("its hash is {found}, the manifest says {expected}"))
                }
                _ => None,
            };
            match fault {
                Some(fault) => {
                    let text = format!("{} is damaged: {fault}", file.name);
                    if attempt == ATTEMPTS {
                        return Err(Error::new(ErrorKind::Corrupt, text));
                    }
                    cx.monitor
                        .note(Level::Info, &format!("{text}; fetching it once more"));
                    attempt += 1;
                }
                None => {
                    (&spool)
                        .rewind()
                        .map_err(|e| Error::io("rewind a spool file in", self.spool.dir(), e))?;
                    return Ok(spool);
                }
            }
        }
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
        let spool = self.download(file, hash, cx)?;
        self.target
            .seal
            .unseal(
                file.parsed.form,
                Box::new(BufReader::with_capacity(256 * 1024, spool)),
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
