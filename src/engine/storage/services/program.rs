//! Running another program that moves the bytes: `rclone`, `rsync`, `tahoe` …
//!
//! Arguments only, never a shell; secrets go by the environment or by private files. The program dies with an urgent request
//! to stop, with all it has started, and is out of the terminal's process group, so that a first signal lets it finish.

use super::super::StorageOptions;
use super::super::notices::Notices;
use super::super::transfer::{Download, Transfer, Upload};
use super::feed::Feed;
use super::watch::{Group, Progress, Signs, Watch};
use crate::engine::error::{Error, ErrorKind, Result};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::future::{Future, poll_fn};
use std::io::{self, Read};
use std::path::Path;
use std::pin::{Pin, pin};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};
use tokio::process::{Child, Command};

/// The programs have the timeout as option of their own; this only bounds one that hangs for another reason.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

/// How often it is looked whether a program gets somewhere.
const LOOK: Duration = Duration::from_secs(1);

/// A program has a timeout of its own; after so many of these in which nothing has moved it is not trusted to keep it.
const TIMEOUTS: u32 = 2;

/// Slowest line on which something may still be under way that is not seen; below it the program counts as still.
const SLOWEST_BYTES_PER_SECOND: u64 = 32 << 10;

/// Bytes taken from the program at a time.
const PIECE: usize = 64 << 10;

/// Bytes of a fetched file passed on at a time.
const DELIVERED: usize = 1 << 20;

/// Last bytes of the program's complaints that are kept.
const MOST_COMPLAINTS: usize = 4096;

/// A program, with the environment it runs in.
pub(super) struct Program {
    name: &'static str,
    /// What installs it.
    install: String,
    environment: Vec<(OsString, OsString)>,
    transfer: Arc<Transfer>,
    notices: Notices,
    /// For how many timeouts it may show no sign of life, if that is looked at.
    still: Option<u32>,
}

/// What a program reads.
enum Input<'a> {
    Bytes(Vec<u8>),
    File(Upload<'a>),
}

/// What happens next to a program at work.
enum Next {
    Said(io::Result<usize>),
    Fed(usize),
    Ended(io::Result<ExitStatus>),
}

/// How a program ended.
pub(super) struct Ended {
    /// Its exit code; `None` if a signal ended it.
    pub(super) code: Option<i32>,
    /// What it wrote to standard output, unless that was a download.
    pub(super) output: Vec<u8>,
    /// The end of what it wrote to standard error.
    pub(super) complaints: String,
}

impl Program {
    /// A program of a Debian package of the same name.
    ///
    /// It inherits nothing that looks like a secret, but for variables that start with `own`.
    pub(super) fn new(
        name: &'static str,
        own: &str,
        options: &StorageOptions,
        transfer: Arc<Transfer>,
    ) -> Self {
        let mut environment: Vec<_> = options
            .environment
            .for_helpers()
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        environment.extend(options.environment.starting_with(own));
        Self {
            name,
            install: format!("install {name}; on Debian: apt-get install {name}"),
            environment,
            transfer,
            notices: options.notices.clone(),
            still: None,
        }
    }

    /// Ends it when it has neither read nor written nor said anything for so many timeouts. It may wait long by itself, for a
    /// service that is busy.
    pub(super) fn given_up_after(mut self, timeouts: u32) -> Self {
        self.still = Some(timeouts);
        self
    }

    /// Says how it is installed where that is not the Debian package of its name.
    pub(super) fn installed_by(mut self, hint: &str) -> Self {
        self.install = hint.to_string();
        self
    }

    /// Waits until the pace of uploads lets a file go that the program sends as fast as it can. This is told.
    ///
    /// # Errors
    /// It cannot be looked at; `Interrupted`.
    pub(super) fn spaced(&self, from: &Path) -> Result<()> {
        if !self.transfer.paces_uploads() {
            return Ok(());
        }
        self.notices.tell(format!(
            "{} has no limit of its own: upload-limit holds between files, not within one",
            self.name
        ));
        let bytes = std::fs::metadata(from).map_err(|e| Error::io("read", from, e))?;
        self.transfer.spaced(bytes.len())
    }

    /// What there is to tell.
    pub(super) fn notices(&self) -> Vec<String> {
        self.notices.take()
    }

    /// Sets or replaces a variable.
    pub(super) fn with_variable(mut self, name: &str, value: OsString) -> Self {
        self.environment.push((name.into(), value));
        self
    }

    /// Removes a variable.
    pub(super) fn without_variable(mut self, name: &str) -> Self {
        self.environment.retain(|(known, _)| known != name);
        self
    }

    /// Runs it to its end, with `input` on standard input; a download gets its standard output.
    ///
    /// # Errors
    /// `Unsupported` if it is not installed; `Interrupted`; and what the receiver says.
    pub(super) fn run<A: AsRef<OsStr>>(
        &self,
        arguments: &[A],
        input: Vec<u8>,
        to: Option<&mut Download<'_>>,
    ) -> Result<Ended> {
        self.talk(arguments, Input::Bytes(input), to, None, 0)
    }

    /// Runs it to its end while something else moves so many bytes for it, of which nothing is seen: it may show no sign of life
    /// for as long as that takes on the slowest line, too.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub(super) fn run_for<A: AsRef<OsStr>>(&self, arguments: &[A], unseen: u64) -> Result<Ended> {
        self.talk(arguments, Input::Bytes(Vec::new()), None, None, unseen)
    }

    /// Runs it to its end, with a file on standard input, at the pace of uploads.
    ///
    /// # Errors
    /// As [`run`](Self::run), and if the file cannot be read.
    pub(super) fn run_fed<A: AsRef<OsStr>>(
        &self,
        arguments: &[A],
        input: Upload<'_>,
    ) -> Result<Ended> {
        self.talk(arguments, Input::File(input), None, None, 0)
    }

    /// As [`run`](Self::run), of a program that is given up when it reads nothing and `progress` stays the same for too long.
    ///
    /// # Errors
    /// As [`run`](Self::run); `Unreachable` if it stands still.
    pub(super) fn run_watched<A: AsRef<OsStr>>(
        &self,
        arguments: &[A],
        input: Vec<u8>,
        to: Option<&mut Download<'_>>,
        progress: Option<Progress<'_>>,
    ) -> Result<Ended> {
        self.talk(arguments, Input::Bytes(input), to, progress, 0)
    }

    fn talk<A: AsRef<OsStr>>(
        &self,
        arguments: &[A],
        input: Input<'_>,
        mut to: Option<&mut Download<'_>>,
        progress: Option<Progress<'_>>,
        unseen: u64,
    ) -> Result<Ended> {
        self.transfer.block_on(async {
            let mut child = self.started(arguments)?;
            let moved = Arc::new(AtomicU64::new(0));
            let count = || moved.load(Ordering::Relaxed);
            let signs = match (progress, self.still) {
                (Some(progress), _) => Signs::Reads(progress),
                (None, Some(_)) => Signs::Any(&count),
                (None, None) => Signs::None,
            };
            let unseen = Duration::from_secs(unseen / SLOWEST_BYTES_PER_SECOND);
            let limit = self.transfer.timeout() * self.still.unwrap_or(TIMEOUTS) + unseen;
            let mut watch = Watch::new(self.name, child.id(), signs, limit);
            let (Some(mut stdin), Some(mut stdout), Some(mut stderr)) =
                (child.stdin.take(), child.stdout.take(), child.stderr.take())
            else {
                return Err(self.without_pipes());
            };
            let mut feed = match input {
                Input::Bytes(bytes) => {
                    // A program that does not read its input says why itself.
                    tokio::spawn(async move {
                        let _ = stdin.write_all(&bytes).await;
                    });
                    None
                }
                Input::File(upload) => Some(Feed::new(upload, stdin)),
            };
            // Ends before the feed does: half a file must not look like a whole one to the program.
            let mut group = Group(child.id());
            let said = Arc::clone(&moved);
            let complaints = tokio::spawn(async move {
                let mut end = Vec::new();
                let mut piece = vec![0; 1024];
                while let Ok(bytes @ 1..) = stderr.read(&mut piece).await {
                    said.fetch_add(bytes as u64, Ordering::Relaxed);
                    end.extend_from_slice(&piece[..bytes]);
                    let spare = end.len().saturating_sub(MOST_COMPLAINTS);
                    end.drain(..spare);
                }
                end
            });
            let mut output = Vec::new();
            let mut piece = vec![0; PIECE];
            let mut ending = pin!(child.wait());
            let mut status = None;
            // It may have nothing more to say, and still take its file.
            let mut is_silent = false;
            while !is_silent || feed.is_some() {
                if let Some(feed) = &mut feed {
                    feed.fill()?;
                }
                let next = poll_fn(|cx| {
                    let mut room = ReadBuf::new(&mut piece);
                    if !is_silent
                        && let Poll::Ready(read) = Pin::new(&mut stdout).poll_read(cx, &mut room)
                    {
                        return Poll::Ready(Next::Said(read.map(|()| room.filled().len())));
                    }
                    if let Some(feed) = &mut feed
                        && let Poll::Ready(bytes) = feed.poll(cx)
                    {
                        return Poll::Ready(Next::Fed(bytes));
                    }
                    match status {
                        None => ending.as_mut().poll(cx).map(Next::Ended),
                        Some(_) => Poll::Pending,
                    }
                });
                let next = match status {
                    None => self.wait(&mut watch, next).await?,
                    Some(_) => {
                        let limit = self.transfer.timeout();
                        match self.transfer.answer_within(limit, next).await {
                            // What it has started may hold the pipe open; what it has said itself has come.
                            Err(error) if error.kind() == ErrorKind::Unreachable => break,
                            next => next?,
                        }
                    }
                };
                let bytes = match next {
                    Next::Said(read) => read.map_err(|e| self.trouble(e))?,
                    Next::Fed(bytes) => {
                        moved.fetch_add(bytes as u64, Ordering::Relaxed);
                        continue;
                    }
                    Next::Ended(ended) => {
                        status = Some(ended.map_err(|e| self.trouble(e))?);
                        feed = None;
                        continue;
                    }
                };
                let Some(got) = piece.get(..bytes).filter(|got| !got.is_empty()) else {
                    is_silent = true;
                    continue;
                };
                moved.fetch_add(bytes as u64, Ordering::Relaxed);
                match &mut to {
                    Some(download) => download.push(got)?,
                    None => output.extend_from_slice(got),
                }
            }
            let status = match status {
                Some(status) => status,
                None => {
                    let ended = self.wait(&mut watch, ending).await?;
                    ended.map_err(|e| self.trouble(e))?
                }
            };
            group.0 = None;
            // A grandchild may hold the pipe open after the end of the program itself.
            let complaints = tokio::time::timeout(self.transfer.timeout(), complaints).await;
            let complaints = complaints.ok().and_then(|done| done.ok());
            Ok(Ended {
                code: status.code(),
                output,
                complaints: String::from_utf8_lossy(&complaints.unwrap_or_default()).into_owned(),
            })
        })
    }

    /// Runs it and answers its questions: lines without an end that end in a colon. `None` for an answer ends the talk.
    ///
    /// # Errors
    /// As [`run`](Self::run); `Unreachable` if it says nothing for too long.
    pub(super) fn converse(
        &self,
        arguments: &[&str],
        answer: &mut dyn FnMut(&str) -> Option<Vec<u8>>,
    ) -> Result<Ended> {
        self.transfer.block_on(async {
            let mut child = self.started(arguments)?;
            let mut group = Group(child.id());
            let (Some(mut stdout), Some(mut stderr)) = (child.stdout.take(), child.stderr.take())
            else {
                return Err(self.without_pipes());
            };
            let mut stdin = child.stdin.take();
            let (mut output, mut piece) = (Vec::new(), vec![0; 1024]);
            // Where the answer to the last question would stand.
            let mut heard = 0;
            // It may wait for a peer as long as that may be silent, and a little.
            let limit = self.transfer.timeout() * TIMEOUTS;
            loop {
                let read = self.transfer.answer_within(limit, stdout.read(&mut piece));
                let bytes = read.await?.map_err(|e| self.trouble(e))?;
                let Some(got) = piece.get(..bytes).filter(|got| !got.is_empty()) else {
                    break;
                };
                output.extend_from_slice(got);
                let news = output.get(heard..).unwrap_or_default();
                let line = news.rsplit(|b| *b == b'\n').next().unwrap_or_default();
                let line = String::from_utf8_lossy(line).into_owned();
                if !line.ends_with(": ") {
                    continue;
                }
                heard = output.len();
                let told = answer(&line);
                match (stdin.as_mut(), told) {
                    (Some(pipe), Some(mut told)) => {
                        told.push(b'\n');
                        let _ = self.transfer.answer(pipe.write_all(&told)).await?;
                    }
                    _ => stdin = None,
                }
            }
            let status = self.transfer.answer_within(limit, child.wait());
            let status = status.await?.map_err(|e| self.trouble(e))?;
            group.0 = None;
            let mut said = vec![0; MOST_COMPLAINTS];
            let bytes = self.transfer.answer(stderr.read(&mut said)).await?;
            said.truncate(bytes.unwrap_or(0));
            Ok(Ended {
                code: status.code(),
                output,
                complaints: String::from_utf8_lossy(&said).into_owned(),
            })
        })
    }

    fn started<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Result<Child> {
        Command::new(self.name)
            .args(arguments)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .process_group(0)
            .spawn()
            .map_err(|e| self.unstartable(e))
    }

    fn without_pipes(&self) -> Error {
        let text = format!("{} was started without pipes", self.name);
        Error::new(ErrorKind::Internal, text)
    }

    /// Waits for something of a program, as long as it gets somewhere.
    async fn wait<T>(&self, watch: &mut Watch<'_>, work: impl Future<Output = T>) -> Result<T> {
        let begun = std::time::Instant::now();
        let mut work = pin!(work);
        loop {
            match self.transfer.answer_within(LOOK, work.as_mut()).await {
                Err(e) if e.kind() == ErrorKind::Unreachable && begun.elapsed() < PATIENCE => {
                    watch.check()?;
                }
                other => return other,
            }
        }
    }

    fn unstartable(&self, error: io::Error) -> Error {
        let name = self.name;
        if error.kind() == io::ErrorKind::NotFound {
            let message = format!("the program {name} is not installed");
            Error::new(ErrorKind::Unsupported, message).with_hint(self.install.clone())
        } else {
            self.trouble(error)
        }
    }

    fn trouble(&self, error: io::Error) -> Error {
        Error::new(ErrorKind::Io, format!("cannot run {}", self.name)).with_source(error)
    }
}

impl Ended {
    /// Whether its complaints hold these words, whatever their case.
    pub(super) fn said(&self, words: &str) -> bool {
        let complaints = self.complaints.to_lowercase();
        complaints.contains(&words.to_lowercase())
    }

    /// The last line of the complaints, no longer than a line. Before it a bar may have grown in its place.
    pub(super) fn last_words(&self) -> String {
        let mut lines = self.complaints.rsplit(['\n', '\r']);
        let line = lines.find(|l| !l.trim().is_empty());
        let line: String = line.unwrap_or("no reason given").trim().chars().collect();
        line.chars().filter(|c| !c.is_control()).take(300).collect()
    }
}

/// Passes on a file that a program has fetched.
///
/// # Errors
/// `Unreachable` if there is none, whatever the program says; it cannot be read, or what the receiver says.
pub(super) fn deliver(path: &Path, download: &mut Download<'_>) -> Result<()> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let text = "the program says that it has fetched the file, and there is none";
            return Err(Error::new(ErrorKind::Unreachable, text));
        }
        opened => opened.map_err(|e| Error::io("read", path, e))?,
    };
    let mut piece = vec![0; DELIVERED];
    loop {
        let bytes = file
            .read(&mut piece)
            .map_err(|e| Error::io("read", path, e))?;
        match piece.get(..bytes) {
            Some(got) if !got.is_empty() => download.push(got)?,
            _ => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(name: &'static str, variables: &[(&str, &str)]) -> Program {
        let options = StorageOptions {
            environment: variables.iter().copied().collect(),
            ..StorageOptions::default()
        };
        let transfer = Arc::new(Transfer::new(&options));
        Program::new(name, "OWN_", &options, transfer)
    }

    #[test]
    fn a_missing_program_is_named_with_its_package() {
        let ended = program("no-such-program", &[]).run(&["x"], Vec::new(), None);
        let error = ended.err().expect("missing");
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.hint().is_some_and(|h| h.contains("no-such-program")));
    }

    #[test]
    fn only_its_own_secrets_are_inherited() {
        let all = [
            ("PASSPHRASE", "canary"),
            ("AWS_SECRET_ACCESS_KEY", "canary"),
            ("OWN_SECRET", "mine"),
            ("PATH", "/usr/bin:/bin"),
        ];
        let program = program("env", &all);
        let ended = program.run::<&str>(&[], Vec::new(), None).expect("env");
        let text = String::from_utf8_lossy(&ended.output).into_owned();
        assert!(!text.contains("canary"), "{text}");
        assert!(text.contains("OWN_SECRET=mine"), "{text}");
    }

    #[test]
    fn questions_are_answered() {
        let script = "echo Hello; printf 'User [ada]: '; read u; printf 'Password: '; read p; \
                      echo; echo \"$u/$p\"; printf 'Choice: '; read c || exit 7";
        let program = program("sh", &[("PATH", "/usr/bin:/bin")]);
        let mut asked = Vec::new();
        let ended = program.converse(&["-c", script], &mut |question| {
            asked.push(question.to_string());
            match question {
                "Password: " => Some(b"p w".to_vec()),
                "Choice: " => None,
                _ => Some(Vec::new()),
            }
        });
        let ended = ended.expect("sh");
        assert_eq!(asked, ["User [ada]: ", "Password: ", "Choice: "]);
        assert_eq!(ended.code, Some(7));
        let said = String::from_utf8_lossy(&ended.output).into_owned();
        assert!(said.contains("/p w\n"), "{said}");
    }

    #[test]
    fn a_file_is_fed_at_the_pace_of_uploads() {
        let file = tempfile::NamedTempFile::new().expect("temp file");
        std::fs::write(file.path(), vec![7; 150_000]).expect("written");
        let options = StorageOptions {
            upload_rate: std::num::NonZeroU64::new(100_000),
            ..StorageOptions::default()
        };
        let transfer = Arc::new(Transfer::new(&options));
        let program = Program::new("sh", "OWN_", &options, Arc::clone(&transfer));
        let begun = std::time::Instant::now();
        let upload = transfer.upload(file.path()).expect("upload");
        let ended = program.run_fed(&["-c", "cat"], upload).expect("sh");
        assert_eq!((ended.code, ended.output), (Some(0), vec![7; 150_000]));
        assert!(begun.elapsed() >= Duration::from_millis(1200));
        // One that stops reading says why.
        let upload = transfer.upload(file.path()).expect("upload");
        let words = ["-c", "head -c 10; echo full >&2; exit 4"];
        let ended = program.run_fed(&words, upload).expect("sh");
        assert_eq!((ended.code, ended.last_words()), (Some(4), "full".into()));
        // One that says nothing more reads on.
        let upload = transfer.upload(file.path()).expect("upload");
        let words = ["-c", "exec >&-; wc -c >&2"];
        let ended = program.run_fed(&words, upload).expect("sh");
        assert_eq!((ended.code, ended.last_words()), (Some(0), "150000".into()));
    }

    #[test]
    fn a_program_that_shows_no_life_ends_with_all_it_started() {
        let options = StorageOptions {
            timeout: Duration::from_millis(100),
            ..StorageOptions::default()
        };
        let transfer = Arc::new(Transfer::new(&options));
        let program = Program::new("sh", "OWN_", &options, transfer).given_up_after(5);
        let dir = tempfile::tempdir().expect("temp dir");
        let at = dir.path().join("id");
        // As long as it says something it lives.
        let talk = "for n in 1 2 3 4 5 6 7 8 9; do echo $n >&2; sleep 0.1; done";
        let ended = program.run(&["-c", talk], Vec::new(), None).expect("talks");
        assert_eq!(ended.code, Some(0));
        let hang = format!("sleep 1000 & echo $! >{}; wait", at.display());
        if !Path::new("/proc/self/io").exists() {
            return;
        }
        // What moves unseen takes its time.
        let ended = program.run_for(&["-c", "sleep 3"], 60 * SLOWEST_BYTES_PER_SECOND);
        assert_eq!(ended.expect("waited for").code, Some(0));
        let begun = std::time::Instant::now();
        let ended = program.run(&["-c", &hang], Vec::new(), None);
        let error = ended.err().expect("hangs");
        assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
        assert!(begun.elapsed() < Duration::from_secs(100));
        let id = std::fs::read_to_string(at).expect("started");
        let stat = format!("/proc/{}/stat", id.trim());
        // It is dead, or waits for somebody to see that.
        while std::fs::read_to_string(&stat).is_ok_and(|text| !text.contains(") Z ")) {
            assert!(begun.elapsed() < Duration::from_secs(100));
        }
    }

    #[test]
    fn an_end_is_seen_though_something_it_started_lives_on() {
        let options = StorageOptions {
            timeout: Duration::from_millis(300),
            ..StorageOptions::default()
        };
        let program = Program::new("sh", "OWN_", &options, Arc::new(Transfer::new(&options)));
        let begun = std::time::Instant::now();
        let words = ["-c", "sleep 30 & echo said; exit 3"];
        let ended = program.run(&words, Vec::new(), None).expect("sh");
        assert_eq!((ended.code, ended.output), (Some(3), b"said\n".to_vec()));
        assert!(begun.elapsed() < Duration::from_secs(25));
    }

    #[test]
    fn the_last_words_stand_behind_a_bar() {
        let ended = Ended {
            code: Some(1),
            output: Vec::new(),
            complaints: "TRANSFERRING ||#..||\rTRANSFERRING ||##.||\rno more room\n\n".into(),
        };
        assert_eq!(ended.last_words(), "no more room");
    }

    #[test]
    fn input_output_and_code_come_through() {
        let arguments = ["-c", "cat; echo first >&2; echo last >&2; exit 3"];
        let ended = program("sh", &[]).run(&arguments, vec![7; 100_000], None);
        let ended = ended.expect("sh");
        assert_eq!(ended.code, Some(3));
        assert_eq!(ended.output, vec![7; 100_000]);
        assert_eq!(ended.last_words(), "last");
    }
}
