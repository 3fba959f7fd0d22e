//! A program whose output is wanted whole: a dump, or an answer. Started, read to its end, and judged by how it ended.
//!
//! What is read ends with an error, not with an end of file, unless the program ended with 0 and printed what it should.
//! It has a process group of its own, which is ended when time is up, when dupr is stopped, or when nobody reads on.

use super::hook::SECRET_VARIABLES;
use crate::engine::context::Cancel;
use crate::engine::secret::Secret;
use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Lines of messages kept.
const KEPT_LINES: usize = 20;

/// Most bytes of an answer.
const ANSWER_BYTES: u64 = 16 * 1024 * 1024;

/// Most bytes of a message.
const LINE_BYTES: u64 = 1024;

/// Bytes of the end of the output that are looked at.
const END_BYTES: usize = 64;

/// Time between a polite end (TERM) and a hard one (KILL).
const GRACE: Duration = Duration::from_secs(5);

/// How often time and signals are looked at.
const TICK: Duration = Duration::from_millis(50);

/// What a program says beside its output, over all programs of a run: a line each, with the name of the dump.
pub(super) type Said = Arc<Mutex<Vec<String>>>;

/// A program, ready to be started as often as it is needed.
#[derive(Clone, Default)]
pub(super) struct Program {
    /// Program and arguments; no secret is in them.
    pub argv: Vec<String>,
    /// Variables added to the environment.
    pub variables: Vec<(String, OsString)>,
    /// Variables taken out of it.
    pub withheld: Vec<String>,
    /// What it reads from its standard input: the place for a password that has no better one.
    pub input: Option<Secret>,
    /// How long it may take.
    pub timeout: Option<Duration>,
    /// Whether it may print nothing.
    pub may_be_empty: bool,
    /// How whole output ends.
    pub ends_with: Option<&'static [u8]>,
}

impl Program {
    /// Its name, for messages.
    fn name(&self) -> &str {
        self.argv.first().map_or("", String::as_str)
    }

    /// What it prints, up to 16 MiB, as text.
    ///
    /// # Errors
    /// It cannot be started, or ended badly: with its last message.
    pub fn answer(&self, cancel: &Cancel) -> io::Result<String> {
        let mut output = self.start("", &Said::default(), cancel)?;
        let mut text = Vec::new();
        output.by_ref().take(ANSWER_BYTES).read_to_end(&mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// Starts it.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(&self, label: &str, said: &Said, cancel: &Cancel) -> io::Result<Output> {
        let mut child = self.spawn().map_err(|e| {
            io::Error::new(e.kind(), format!("{} cannot be started: {e}", self.name()))
        })?;
        if let (Some(secret), Some(mut stdin)) = (&self.input, child.stdin.take()) {
            let secret = secret.clone();
            // On a thread, because a program that does not read must not hold anybody up.
            std::thread::spawn(move || stdin.write_all(secret.expose()));
        }
        let messages = child.stderr.take().map(|stderr| {
            let (said, label) = (Arc::clone(said), label.to_owned());
            std::thread::spawn(move || listen(stderr, &label, &said))
        });
        let stdout = child.stdout.take();
        let guard = Arc::new(Guard::default());
        let watched = (Arc::clone(&guard), child.id(), self.timeout, cancel.clone());
        let watch = std::thread::spawn(move || watch(&watched.0, watched.1, watched.2, &watched.3));
        Ok(Output {
            program: self.clone(),
            child,
            stdout,
            messages,
            guard,
            watch: Some(watch),
            last: VecDeque::with_capacity(END_BYTES),
            bytes: 0,
        })
    }

    fn spawn(&self) -> io::Result<Child> {
        let (program, arguments) = self.argv.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .stdin(match self.input {
                Some(_) => Stdio::piped(),
                None => Stdio::null(),
            })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        let withheld = self.withheld.iter().map(String::as_str);
        for name in SECRET_VARIABLES.iter().copied().chain(withheld) {
            command.env_remove(name);
        }
        command
            .envs(self.variables.iter().map(|(k, v)| (k, v)))
            .spawn()
    }
}

/// What the reader and the watch tell each other.
#[derive(Default)]
struct Guard {
    ended: AtomicBool,
    timed_out: AtomicBool,
    stopped: AtomicBool,
}

/// Ends the program when its time is up or dupr is stopped.
fn watch(guard: &Guard, id: u32, timeout: Option<Duration>, cancel: &Cancel) {
    let started = Instant::now();
    let mut ending: Option<Instant> = None;
    while !guard.ended.load(Ordering::SeqCst) {
        match ending {
            Some(since) if since.elapsed() >= GRACE => {
                signal_group(id, rustix::process::Signal::KILL);
            }
            Some(_) => {}
            None if cancel.is_requested() => {
                guard.stopped.store(true, Ordering::SeqCst);
                signal_group(id, rustix::process::Signal::TERM);
                ending = Some(Instant::now());
            }
            None if timeout.is_some_and(|t| started.elapsed() >= t) => {
                guard.timed_out.store(true, Ordering::SeqCst);
                signal_group(id, rustix::process::Signal::TERM);
                ending = Some(Instant::now());
            }
            None => {}
        }
        std::thread::sleep(TICK);
    }
}

fn signal_group(id: u32, signal: rustix::process::Signal) {
    let group = i32::try_from(id)
        .ok()
        .and_then(rustix::process::Pid::from_raw);
    if let Some(group) = group {
        let _ = rustix::process::kill_process_group(group, signal);
    }
}

/// Keeps what the program says, and returns its last line.
fn listen(stderr: impl Read, label: &str, said: &Said) -> Option<String> {
    let mut stderr = BufReader::new(stderr);
    let mut last = None;
    let mut buffer = Vec::new();
    loop {
        buffer.clear();
        let read = stderr
            .by_ref()
            .take(LINE_BYTES)
            .read_until(b'\n', &mut buffer);
        if !read.is_ok_and(|n| n > 0) {
            return last;
        }
        let text = String::from_utf8_lossy(&buffer).trim().to_owned();
        if text.is_empty() {
            continue;
        }
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.len() < KEPT_LINES {
            said.push(format!("{label}: {text}"));
        }
        last = Some(text);
    }
}

/// The output of a running program.
pub(super) struct Output {
    program: Program,
    child: Child,
    stdout: Option<ChildStdout>,
    messages: Option<JoinHandle<Option<String>>>,
    guard: Arc<Guard>,
    watch: Option<JoinHandle<()>>,
    last: VecDeque<u8>,
    bytes: u64,
}

impl Output {
    /// Waits for the end of the program and judges it.
    fn judge(&mut self) -> io::Result<()> {
        // Without its end of the pipe it cannot go on printing.
        self.stdout = None;
        let status = self.child.wait();
        self.end();
        let message = self.messages.take().and_then(|m| m.join().ok()).flatten();
        let status = status?;
        let name = self.program.name();
        let wrong = match self.fault(status) {
            None => return Ok(()),
            Some(fault) => format!("{name} {fault}"),
        };
        Err(io::Error::other(match message {
            Some(text) => format!("{wrong}: {text}"),
            None => wrong,
        }))
    }

    fn fault(&self, status: ExitStatus) -> Option<String> {
        if self.guard.timed_out.load(Ordering::SeqCst) {
            let seconds = self.program.timeout.unwrap_or_default().as_secs();
            return Some(format!("was ended after {seconds} s"));
        }
        if self.guard.stopped.load(Ordering::SeqCst) {
            return Some("was interrupted".to_owned());
        }
        match (status.code(), status.signal()) {
            (Some(0), _) => {}
            (Some(code), _) => return Some(format!("ended with exit code {code}")),
            (None, signal) => {
                return Some(format!(
                    "was ended by signal {}",
                    signal.unwrap_or_default()
                ));
            }
        }
        if self.bytes == 0 && !self.program.may_be_empty {
            return Some("printed nothing".to_owned());
        }
        let end = self.program.ends_with?;
        let is_whole = self.last.len() >= end.len()
            && self
                .last
                .iter()
                .rev()
                .zip(end.iter().rev())
                .all(|(a, b)| a == b);
        (!is_whole).then(|| "ended before its dump was whole".to_owned())
    }

    fn end(&mut self) {
        self.guard.ended.store(true, Ordering::SeqCst);
        if let Some(watch) = self.watch.take() {
            let _ = watch.join();
        }
    }
}

impl Read for Output {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(stdout) = &mut self.stdout else {
            return Ok(0);
        };
        if buffer.is_empty() {
            return Ok(0);
        }
        let n = stdout.read(buffer)?;
        if n == 0 {
            return self.judge().map(|()| 0);
        }
        self.bytes += n as u64;
        let read = buffer.get(..n).unwrap_or_default();
        self.last
            .extend(read.iter().skip(n.saturating_sub(END_BYTES)));
        let surplus = self.last.len().saturating_sub(END_BYTES);
        self.last.drain(..surplus);
        Ok(n)
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if self.watch.is_some() {
            signal_group(self.child.id(), rustix::process::Signal::KILL);
            let _ = self.child.wait();
            self.end();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Program {
        Program {
            argv: vec!["sh".into(), "-c".into(), script.into()],
            ..Program::default()
        }
    }

    fn read(program: &Program) -> Result<Vec<u8>, String> {
        let mut output = program
            .start("x", &Said::default(), &Cancel::new())
            .map_err(|e| e.to_string())?;
        let mut bytes = Vec::new();
        output
            .read_to_end(&mut bytes)
            .map(|_| bytes)
            .map_err(|e| e.to_string())
    }

    #[test]
    fn only_a_good_end_is_an_end() {
        assert_eq!(read(&sh("echo one")).unwrap(), b"one\n");
        assert_eq!(
            read(&sh("echo one; echo out of memory >&2; exit 3")).unwrap_err(),
            "sh ended with exit code 3: out of memory"
        );
        assert_eq!(
            read(&sh("echo one; kill -9 $$")).unwrap_err(),
            "sh was ended by signal 9"
        );
        assert_eq!(read(&sh("true")).unwrap_err(), "sh printed nothing");
        let silent = Program {
            may_be_empty: true,
            ..sh("true")
        };
        assert_eq!(read(&silent).unwrap(), b"");
        let cut = |script| {
            read(&Program {
                ends_with: Some(b"COMMIT;\n"),
                ..sh(script)
            })
        };
        assert!(cut("echo 'a;COMMIT;'").is_ok());
        assert!(
            cut("echo 'a;COMMI'")
                .unwrap_err()
                .contains("before its dump was whole")
        );
        assert!(cut("echo ';'").is_err());
    }

    #[test]
    fn time_and_signals_end_it_with_all_it_started() {
        let started = Instant::now();
        let slow = Program {
            timeout: Some(Duration::from_millis(100)),
            ..sh("echo one; sleep 60 | sleep 60")
        };
        assert!(read(&slow).unwrap_err().contains("was ended after"));
        let cancel = Cancel::new();
        let mut output = sh("sleep 60 | sleep 60")
            .start("x", &Said::default(), &cancel)
            .unwrap();
        cancel.request();
        let error = output.read(&mut [0; 8]).unwrap_err();
        assert!(error.to_string().contains("interrupted"), "{error}");
        assert!(started.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn secrets_come_by_the_input_and_not_by_the_environment() {
        let program = Program {
            input: Some(Secret::new("canary")),
            withheld: vec!["HOME".into()],
            ..sh("cat; echo \"$HOME\"")
        };
        assert_eq!(read(&program).unwrap(), b"canary\n");
        let said = Said::default();
        let mut output = sh("echo careful >&2; echo one")
            .start("shop", &said, &Cancel::new())
            .unwrap();
        io::copy(&mut output, &mut io::sink()).unwrap();
        assert_eq!(*said.lock().unwrap(), ["shop: careful"]);
        assert!(
            read(&Program {
                argv: vec!["/no/such/program".into()],
                ..Program::default()
            })
            .unwrap_err()
            .contains("cannot be started")
        );
    }
}
