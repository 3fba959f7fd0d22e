//! A listing read by ourselves, for directories that hold names which are not UTF-8.
//!
//! The client library takes names for text and ends the whole dialogue at one that is none, so a single foreign file
//! would make a target unreadable. This reads names as bytes, over an `ssh` of its own, and only after the library
//! has failed. Source: draft-ietf-secsh-filexfer-02, the version 3 that OpenSSH speaks.

use super::login::Login;
use super::session::Listed;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::storage::transfer::Transfer;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Stdio;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{ChildStdin, ChildStdout};

const INIT: u8 = 1;
const VERSION: u8 = 2;
const CLOSE: u8 = 4;
const OPENDIR: u8 = 11;
const READDIR: u8 = 12;
const STATUS: u8 = 101;
const HANDLE: u8 = 102;
const NAME: u8 = 104;

/// Status codes.
const END: u32 = 1;
const NO_SUCH_FILE: u32 = 2;

/// Longest packet believed in.
// Source: OpenSSH sends at most 256 KiB.
const MAX_PACKET: u32 = 1 << 20;

/// File type bits of a mode.
const TYPE: u32 = 0o170_000;
const REGULAR: u32 = 0o100_000;
const LINK: u32 = 0o120_000;

/// The entries of a directory whose names are UTF-8.
pub(super) async fn read(login: &Login, transfer: &Transfer, dir: &Path) -> Result<Vec<Listed>> {
    let mut command = login.command();
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let mut ssh = command.spawn()?;
    let (Some(to), Some(from)) = (ssh.stdin.take(), ssh.stdout.take()) else {
        return Err(Error::new(
            ErrorKind::Internal,
            "ssh was started without its streams",
        ));
    };
    let mut dialogue = Dialogue { to, from, transfer };
    let (kind, _) = dialogue.ask(INIT, &3u32.to_be_bytes(), &[]).await?;
    if kind != VERSION {
        return Err(nonsense());
    }
    let (kind, answer) = dialogue
        .ask(OPENDIR, &0u32.to_be_bytes(), dir.as_os_str().as_bytes())
        .await?;
    let mut answer = Fields(answer.get(4..).ok_or_else(nonsense)?);
    let handle = match kind {
        HANDLE => answer.bytes()?.to_vec(),
        STATUS if answer.number()? == NO_SUCH_FILE => return Ok(Vec::new()),
        _ => return Err(nonsense()),
    };
    let mut entries = Vec::new();
    loop {
        let (kind, answer) = dialogue.ask(READDIR, &0u32.to_be_bytes(), &handle).await?;
        let mut answer = Fields(answer.get(4..).ok_or_else(nonsense)?);
        match kind {
            NAME => answer.names(&mut entries)?,
            STATUS if answer.number()? == END => break,
            _ => return Err(nonsense()),
        }
    }
    dialogue.ask(CLOSE, &0u32.to_be_bytes(), &handle).await?;
    Ok(entries)
}

fn nonsense() -> Error {
    Error::new(
        ErrorKind::Unreachable,
        "the server does not speak sftp as expected",
    )
}

/// Requests and answers, one at a time.
struct Dialogue<'a> {
    to: ChildStdin,
    from: ChildStdout,
    transfer: &'a Transfer,
}

impl Dialogue<'_> {
    /// Sends a number and, if there are any, bytes with their length. Returns the answer's type and payload.
    async fn ask(&mut self, kind: u8, number: &[u8; 4], bytes: &[u8]) -> Result<(u8, Vec<u8>)> {
        let mut body = vec![kind];
        body.extend_from_slice(number);
        if kind != INIT {
            body.extend_from_slice(&length(bytes)?);
            body.extend_from_slice(bytes);
        }
        let packet = [&length(&body)?[..], &body].concat();
        self.transfer.answer(self.to.write_all(&packet)).await??;
        self.transfer.answer(self.to.flush()).await??;
        let bytes = self.transfer.answer(self.from.read_u32()).await??;
        if !(1..=MAX_PACKET).contains(&bytes) {
            return Err(nonsense());
        }
        let mut answer = vec![0; bytes as usize];
        self.transfer
            .answer(self.from.read_exact(&mut answer))
            .await??;
        Ok((answer.remove(0), answer))
    }
}

fn length(bytes: &[u8]) -> Result<[u8; 4]> {
    u32::try_from(bytes.len())
        .map(u32::to_be_bytes)
        .map_err(|_| nonsense())
}

/// The rest of a packet.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn number(&mut self) -> Result<u32> {
        let (number, rest) = self.0.split_first_chunk().ok_or_else(nonsense)?;
        self.0 = rest;
        Ok(u32::from_be_bytes(*number))
    }

    fn bytes(&mut self) -> Result<&'a [u8]> {
        let bytes = self.number()? as usize;
        let (bytes, rest) = self.0.split_at_checked(bytes).ok_or_else(nonsense)?;
        self.0 = rest;
        Ok(bytes)
    }

    fn names(&mut self, entries: &mut Vec<Listed>) -> Result<()> {
        for _ in 0..self.number()? {
            let name = self.bytes()?;
            self.bytes()?; // The line that ls would print.
            let flags = self.number()?;
            let mut size = None;
            if flags & 1 != 0 {
                size = Some((u64::from(self.number()?) << 32) | u64::from(self.number()?));
            }
            if flags & 2 != 0 {
                self.number()?; // Owner.
                self.number()?; // Group.
            }
            let mode = if flags & 4 != 0 {
                Some(self.number()?)
            } else {
                None
            };
            let modified = if flags & 8 != 0 {
                (self.number()?, Some(self.number()?)).1
            } else {
                None
            };
            if flags & (1 << 31) != 0 {
                for _ in 0..self.number()? {
                    self.bytes()?;
                    self.bytes()?;
                }
            }
            let Ok(name) = std::str::from_utf8(name) else {
                continue;
            };
            let kind = mode.map(|mode| mode & TYPE).filter(|kind| *kind != 0);
            entries.push(Listed {
                name: name.to_string(),
                regular: kind
                    .filter(|kind| *kind != LINK)
                    .map(|kind| kind == REGULAR),
                size,
                modified,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry(name: &[u8], mode: u32) -> Vec<u8> {
        let mut entry = Vec::new();
        for text in [name, b"-rw"] {
            entry.extend((text.len() as u32).to_be_bytes());
            entry.extend(text);
        }
        entry.extend((1u32 | 2 | 4 | 8 | 1 << 31).to_be_bytes());
        entry.extend(((1u64 << 32) + 5).to_be_bytes());
        for number in [1000u32, 1000, mode, 7, 8, 1] {
            entry.extend(number.to_be_bytes());
        }
        entry.extend([0, 0, 0, 1, b'x', 0, 0, 0, 0]);
        entry
    }

    #[test]
    fn names_are_bytes_until_they_prove_to_be_text() {
        let mut packet = 4u32.to_be_bytes().to_vec();
        packet.extend(entry(b"file", 0o100_600));
        packet.extend(entry(b"latin-\xe9", 0o100_600));
        packet.extend(entry(b"dir", 0o040_700));
        packet.extend(entry(b"link", 0o120_777));
        let mut entries = Vec::new();
        Fields(&packet).names(&mut entries).expect("valid");
        let listed: Vec<_> = entries
            .iter()
            .map(|e| (e.name.as_str(), e.regular, e.size, e.modified))
            .collect();
        let size = Some((1 << 32) + 5);
        assert_eq!(
            listed,
            [
                ("file", Some(true), size, Some(8)),
                ("dir", Some(false), size, Some(8)),
                ("link", None, size, Some(8))
            ]
        );
    }

    proptest! {
        #[test]
        fn any_packet_ends(packet in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Fields(&packet).names(&mut Vec::new());
        }
    }
}
