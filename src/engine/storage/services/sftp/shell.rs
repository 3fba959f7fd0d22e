//! The same directory without sftp: for servers that let `ssh` run commands and have no sftp subsystem.
//!
//! An `ssh` for each call, with a line for the server's `sh`. What is uploaded gets its name only if as many bytes have
//! arrived as were sent: a torn line looks like the end of a file to the commands there.

use super::connection::{Tail, refused};
use super::login::Login;
use super::session::SYNC_BYTES_PER_SECOND;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::storage::transfer::{Transfer, Upload};
use crate::engine::storage::{Object, names, taken};
use std::ffi::OsString;
use std::io::Write;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, ChildStdout};

/// Bytes moved at a time.
const PIECE: usize = 64 << 10;

/// Most that a login may print before the command begins.
const MAX_GREETING: usize = 64 << 10;

/// Longest listing that is believed in.
const MAX_LISTING: usize = 256 << 20;

/// Written by every command before its output, after whatever the login itself prints.
const BEGIN: &[u8] = b"@dupr-begin\n";

/// Exit code of a command that found a name taken.
const TAKEN: i32 = 17;

// The lines for `sh`. They hold neither single quotes nor backslashes nor exclamation marks, as login shells differ in
// what these mean; paths are their arguments.
// COMPAT(posix): columns of `ls -ln` are those of POSIX, as long as no variable says otherwise.
const HEAD: &str = "LC_ALL=C; export LC_ALL; unset TIME_STYLE QUOTING_STYLE LS_BLOCK_SIZE BLOCK_SIZE BLOCKSIZE; umask 077; echo @dupr-begin; ";
const LIST: &str = "[ -d \"$1\" ] || exec ls -d \"$1\"; ls -lnaL \"$1\"/; echo \"@dupr-end $?\"";
const STAT: &str = "exec ls -lnLd \"$1\"";
const GET: &str = "exec cat \"$1\"";
const DELETE: &str = "exec rm -f \"$1\"";
const SWEEP: &str = "find \"$1\" -maxdepth 1 -type f -name \".dupr-????????????????.tmp\" -mtime +0 -exec rm -f {} +";
// Folder, temp name, name, bytes.
const FILL: &str = "[ -d \"$1\" ] || mkdir -p \"$1\" || exit 3; cat >\"$2\" && [ $(wc -c <\"$2\") -eq \"$4\" ] && { sync \"$2\" 2>/dev/null || sync; } && ";
const PUT: &str = "if [ -d \"$3\" ]; then echo it is a directory >&2; else mv -f \"$2\" \"$3\" && exit 0; fi; rm -f \"$2\"; exit 4";
// A link never replaces. Where there are none, a rename that may has to do.
const CLAIM: &str = "{ [ -e \"$3\" ] || { ln \"$2\" \"$3\" 2>/dev/null && rm -f \"$2\" && exit 0; }; [ -e \"$3\" ] || { mv -f \"$2\" \"$3\" && exit 0; }; }; rm -f \"$2\"; [ -e \"$3\" ] && exit 17; exit 4";

/// The way of one call.
pub(super) struct Shell<'a> {
    pub(super) login: &'a Login,
    pub(super) transfer: &'a Transfer,
    pub(super) dir: &'a Path,
}

impl Shell<'_> {
    /// Whether the server runs commands.
    pub(super) async fn answers(&self) -> bool {
        self.output("exit 0", &[]).await.is_ok()
    }

    pub(super) async fn list(&self) -> Result<Vec<Object>> {
        let text = match self.output(LIST, &[self.dir]).await {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            text => text?,
        };
        listed(&text).ok_or_else(|| {
            Error::new(
                ErrorKind::Io,
                format!("{} does not list the folder", self.login.host()),
            )
        })
    }

    pub(super) async fn stat(&self, name: &str, path: &Path) -> Result<Option<Object>> {
        match self.output(STAT, &[path]).await {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            text => {
                let text = text?;
                let line = Line::of(text.strip_suffix(b"\n").unwrap_or(&text));
                Ok(line.and_then(|line| line.size).map(|size| Object {
                    name: name.to_owned(),
                    size,
                }))
            }
        }
    }

    pub(super) async fn get(&self, path: &Path, to: &mut dyn Write) -> Result<u64> {
        let mut download = self.transfer.download(to);
        let mut run = Run::start(self, GET, &[path.as_os_str().as_bytes()]).await?;
        while let Some(piece) = run.read(self.transfer.timeout()).await? {
            download.push(&piece)?;
        }
        run.end().await?;
        Ok(download.bytes())
    }

    pub(super) async fn delete(&self, path: &Path) -> Result<()> {
        self.output(DELETE, &[path]).await.map(|_| ())
    }

    pub(super) async fn put(&self, path: &Path, from: &Path) -> Result<()> {
        self.send(PUT, path, from).await.map(|_| ())
    }

    /// As [`put`](Self::put), but what is there stays.
    pub(super) async fn claim(&self, name: &str, path: &Path, from: &Path) -> Result<()> {
        match self.send(CLAIM, path, from).await? {
            TAKEN => Err(taken(name)),
            _ => Ok(()),
        }
    }

    /// Removes temp files of dead runs, if the server has a `find`.
    pub(super) async fn sweep(&self) {
        let _ = self.output(SWEEP, &[self.dir]).await;
    }

    async fn send(&self, naming: &str, path: &Path, from: &Path) -> Result<i32> {
        let mut upload = self.transfer.upload(from)?;
        let bytes = upload.len();
        let temp = self.dir.join(names::temp());
        let length = bytes.to_string();
        let arguments = [
            self.dir.as_os_str().as_bytes(),
            temp.as_os_str().as_bytes(),
            path.as_os_str().as_bytes(),
        ];
        let script = format!("{FILL}{naming}");
        let mut run = Run::start_with(self, &script, &arguments, Some(&length)).await?;
        run.feed(&mut upload).await?;
        // The disk there may take its time.
        let patience = self.transfer.patience_after(bytes)
            + Duration::from_secs(bytes / SYNC_BYTES_PER_SECOND);
        while run.read(patience).await?.is_some() {}
        match run.end().await {
            Ok(()) => Ok(0),
            Err(End { code: TAKEN, .. }) => Ok(TAKEN),
            Err(end) => Err(end.error),
        }
    }

    /// All a command has to say.
    async fn output(&self, script: &str, paths: &[&Path]) -> Result<Vec<u8>> {
        let paths: Vec<&[u8]> = paths.iter().map(|p| p.as_os_str().as_bytes()).collect();
        let mut run = Run::start(self, script, &paths).await?;
        let mut text = Vec::new();
        while let Some(piece) = run.read(self.transfer.timeout()).await? {
            text.extend_from_slice(&piece);
            if text.len() > MAX_LISTING {
                return Err(Error::new(ErrorKind::Corrupt, "an endless listing"));
            }
        }
        run.end().await?;
        Ok(text)
    }
}

/// A command that failed: its exit code, and what that means.
struct End {
    code: i32,
    error: Error,
}

impl From<End> for Error {
    fn from(end: End) -> Self {
        end.error
    }
}

/// A command under way. Ends when dropped.
struct Run<'a> {
    login: &'a Login,
    transfer: &'a Transfer,
    ssh: Child,
    to: Option<ChildStdin>,
    from: ChildStdout,
    tail: Tail,
    /// What was read beyond the beginning.
    ahead: Vec<u8>,
}

impl<'a> Run<'a> {
    async fn start(shell: &Shell<'a>, script: &str, paths: &[&[u8]]) -> Result<Self> {
        Self::start_with(shell, script, paths, None).await
    }

    /// Starts a command and waits until it has begun.
    async fn start_with(
        shell: &Shell<'a>,
        script: &str,
        paths: &[&[u8]],
        last: Option<&str>,
    ) -> Result<Self> {
        let (login, transfer) = (shell.login, shell.transfer);
        let mut ssh = login
            .shell_command(&line(script, paths, last))
            .stdin(if last.is_some() {
                Stdio::piped()
            } else {
                Stdio::null()
            })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let (Some(from), Some(stderr)) = (ssh.stdout.take(), ssh.stderr.take()) else {
            return Err(Error::new(
                ErrorKind::Internal,
                "ssh was started without its streams",
            ));
        };
        let mut run = Self {
            login,
            transfer,
            to: ssh.stdin.take(),
            ssh,
            from,
            tail: Tail::follow(stderr),
            ahead: Vec::new(),
        };
        // Longer than ssh's own patience: its words about the silence are better than ours.
        let limit = transfer.timeout() + (transfer.timeout() / 4).max(Duration::from_secs(1));
        let mut greeting = Vec::new();
        loop {
            let begin = greeting.windows(BEGIN.len()).position(|at| at == BEGIN);
            if let Some(begin) = begin {
                run.ahead = greeting.split_off(begin + BEGIN.len());
                return Ok(run);
            }
            match run.read(limit).await? {
                Some(piece) if greeting.len() < MAX_GREETING => greeting.extend_from_slice(&piece),
                Some(_) => return Err(no_shell(login)),
                None => {
                    return Err(match run.end().await {
                        Err(end) if end.code == 255 => end.error,
                        _ => no_shell(login),
                    });
                }
            }
        }
    }

    /// The next of what it says; `None` at the end.
    async fn read(&mut self, limit: Duration) -> Result<Option<Vec<u8>>> {
        if !self.ahead.is_empty() {
            return Ok(Some(std::mem::take(&mut self.ahead)));
        }
        let mut piece = vec![0; PIECE];
        let read = self.from.read(&mut piece);
        let bytes = self.transfer.answer_within(limit, read).await??;
        piece.truncate(bytes);
        Ok((bytes > 0).then_some(piece))
    }

    /// Sends a file, or as much of it as is wanted.
    async fn feed(&mut self, upload: &mut Upload<'_>) -> Result<()> {
        let Some(mut to) = self.to.take() else {
            return Ok(());
        };
        loop {
            let piece = upload.next(PIECE)?;
            if piece.is_empty() {
                return Ok(());
            }
            // A command that has given up says why itself.
            if self.transfer.taken(to.write_all(&piece)).await?.is_err() {
                return Ok(());
            }
        }
    }

    /// Waits for its end.
    async fn end(mut self) -> std::result::Result<(), End> {
        let other = |error: Error| End { code: -1, error };
        let waited = self.transfer.answer(self.ssh.wait()).await;
        let status = waited.map_err(other)?.map_err(|e| other(Error::from(e)))?;
        if status.success() {
            return Ok(());
        }
        self.tail.settle().await;
        let words = self.tail.text();
        let code = status.code().unwrap_or(-1);
        let host = self.login.host();
        let error = match code {
            // Of ssh itself.
            255 => refused(host, &words, &"the connection ended"),
            _ => said(&words),
        };
        Err(End { code, error })
    }
}

fn no_shell(login: &Login) -> Error {
    let text = format!("{} has no sftp, and runs no commands either", login.host());
    Error::new(ErrorKind::Unsupported, text).with_hint("switch the sftp subsystem on at the server")
}

/// What a command's last words mean.
fn said(words: &str) -> Error {
    let lower = words.to_lowercase();
    let has = |texts: &[&str]| texts.iter().any(|text| lower.contains(text));
    let kind = if has(&["no space left", "quota"]) {
        ErrorKind::Full
    } else if has(&["permission denied", "not permitted", "read-only"]) {
        ErrorKind::Denied
    } else if has(&["no such file", "nonexistent"]) {
        ErrorKind::NotFound
    } else if lower.is_empty() {
        return Error::new(ErrorKind::Unreachable, "less arrived than was sent");
    } else {
        ErrorKind::Io
    };
    Error::new(kind, format!("the server says: {words}"))
}

/// A command for the login shell, whichever that is.
fn line(script: &str, paths: &[&[u8]], last: Option<&str>) -> OsString {
    let mut line = format!("exec sh -c '{HEAD}{script}' sh").into_bytes();
    for path in paths {
        line.push(b' ');
        line.extend_from_slice(&word(path));
    }
    if let Some(last) = last {
        line.extend_from_slice(format!(" {last}").as_bytes());
    }
    OsString::from_vec(line)
}

/// A path as one word of a shell, that no command takes for an option.
fn word(path: &[u8]) -> Vec<u8> {
    let mut word = b"'".to_vec();
    if path.first() != Some(&b'/') {
        word.extend_from_slice(b"./");
    }
    for byte in path {
        match byte {
            b'\'' => word.extend_from_slice(b"'\\''"),
            other => word.push(*other),
        }
    }
    word.push(b'\'');
    word
}

/// A line of `ls -ln`.
struct Line {
    name: Vec<u8>,
    /// Of a regular file.
    size: Option<u64>,
}

impl Line {
    /// Mode, links, owner, group, size, month, day, time or year, one blank, name.
    fn of(line: &[u8]) -> Option<Self> {
        let mut rest = line;
        let mut fields = Vec::with_capacity(8);
        for _ in 0..8 {
            let start = rest.iter().position(|b| *b != b' ')?;
            rest = rest.get(start..)?;
            let end = rest.iter().position(|b| *b == b' ')?;
            let (field, after) = rest.split_at_checked(end)?;
            fields.push(field);
            rest = after;
        }
        let is_file = fields.first()?.first() == Some(&b'-');
        let size = std::str::from_utf8(fields.get(4)?).ok()?.parse().ok();
        Some(Self {
            name: rest.get(1..)?.to_vec(),
            size: size.filter(|_| is_file),
        })
    }
}

/// The files of a listing; `None` unless it is whole.
fn listed(text: &[u8]) -> Option<Vec<Object>> {
    let mut objects = Vec::new();
    let (mut has_itself, mut ended) = (false, false);
    for line in text.split(|b| *b == b'\n') {
        // 1: a link that leads nowhere.
        ended |= line == b"@dupr-end 0" || line == b"@dupr-end 1";
        let Some(Line { name, size }) = Line::of(line) else {
            continue;
        };
        // Not there if the folder could not be opened.
        has_itself |= name == b".";
        let (Some(size), Ok(name)) = (size, String::from_utf8(name)) else {
            continue;
        };
        if !names::is_temp(&name) {
            objects.push(Object { name, size });
        }
    }
    (has_itself && ended).then_some(objects)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_one_word() {
        for (path, text) in [
            ("/a b", "'/a b'"),
            ("it's $(id)", "'./it'\\''s $(id)'"),
            ("-rf", "'./-rf'"),
            ("", "'./'"),
        ] {
            assert_eq!(word(path.as_bytes()), text.as_bytes(), "{path}");
        }
    }

    #[test]
    fn scripts_mean_the_same_in_every_login_shell() {
        for script in [HEAD, LIST, STAT, GET, DELETE, SWEEP, FILL, PUT, CLAIM] {
            assert!(!script.contains(['\'', '\\', '!', '\n']), "{script}");
        }
    }

    /// What a server's shell does with an upload, of which so many bytes are said to be sent. Returns the exit code.
    fn upload(dir: &Path, naming: &str, bytes: &str, length: usize) -> Option<i32> {
        let (temp, name) = (dir.join(names::temp()), dir.join("it's"));
        let paths = [dir, &temp, &name].map(|path| path.as_os_str().as_bytes());
        let script = format!("{FILL}{naming}");
        let mut sh = std::process::Command::new("sh")
            .arg("-c")
            .arg(line(&script, &paths, Some(&length.to_string())))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("sh");
        let mut stdin = sh.stdin.take().expect("piped");
        stdin.write_all(bytes.as_bytes()).expect("sh reads");
        drop(stdin);
        sh.wait().expect("it ends").code()
    }

    #[test]
    fn what_did_not_arrive_whole_gets_no_name() {
        let dir = tempfile::TempDir::new().expect("temp dir");
        let dir = dir.path().join("made/by put");
        let content = || std::fs::read_to_string(dir.join("it's")).unwrap_or_default();
        assert_eq!(upload(&dir, PUT, "tor", 4), Some(4));
        assert_eq!(upload(&dir, CLAIM, "tor", 4), Some(4));
        assert_eq!(std::fs::read_dir(&dir).expect("made").count(), 0);
        assert_eq!(upload(&dir, PUT, "whole", 5), Some(0));
        assert_eq!(upload(&dir, PUT, "torn", 5), Some(4));
        assert_eq!(upload(&dir, CLAIM, "other", 5), Some(TAKEN));
        assert_eq!(content(), "whole");
        std::fs::remove_file(dir.join("it's")).expect("there");
        assert_eq!(upload(&dir, CLAIM, "", 0), Some(0));
        assert_eq!(std::fs::read_dir(&dir).expect("made").count(), 1);
        // A folder of that name is no place to put it into.
        std::fs::remove_file(dir.join("it's")).expect("there");
        std::fs::create_dir(dir.join("it's")).expect("folder");
        assert_eq!(upload(&dir, PUT, "whole", 5), Some(4));
        assert_eq!(upload(&dir, CLAIM, "whole", 5), Some(TAKEN));
        assert_eq!(
            std::fs::read_dir(dir.join("it's")).expect("folder").count(),
            0
        );
    }

    #[test]
    fn a_listing_is_whole_or_none() {
        let text = b"total 8\n\
            drwx------    2 0 0     4096 Nov 21 21:45 .\n\
            drwx------    2 0 0     4096 Nov 21  2025 ..\n\
            -rw-------    1 0 0       17 Nov  1 21:45  two  blanks\n\
            -rw-------+   1 0 0 99999999999 Nov  1  2025 big\n\
            -rw-------    1 0 0        1 Nov  1  2025 .dupr-0123456789abcdef.tmp\n\
            -rw-------    1 0 0        1 Nov  1  2025 \xff\n\
            crw-rw-rw-    1 0 0    1,  3 Nov  1  2025 null\n\
            l?????????    ? ? ?        ?            ? nowhere\n\
            @dupr-end 1\n";
        let objects = listed(text).expect("whole");
        let objects: Vec<_> = objects.iter().map(|o| (o.name.as_str(), o.size)).collect();
        assert_eq!(objects, [(" two  blanks", 17), ("big", 99_999_999_999)]);
        // Cut off, or of a folder that could not be opened.
        assert!(listed(text.strip_suffix(b"@dupr-end 1\n").expect("end")).is_none());
        assert!(listed(b"total 0\n@dupr-end 1\n").is_none());
        assert!(listed(b"drwx------ 2 0 0 4096 Nov 21 21:45 .\n@dupr-end 2\n").is_none());
    }

    #[test]
    fn last_words_become_kinds() {
        for (words, kind) in [
            ("cat: write error: No space left on device", ErrorKind::Full),
            ("cat: x: No such file or directory", ErrorKind::NotFound),
            ("mkdir: cannot create: Permission denied", ErrorKind::Denied),
            ("", ErrorKind::Unreachable),
            ("mv: what", ErrorKind::Io),
        ] {
            assert_eq!(said(words).kind(), kind, "{words}");
        }
    }
}
