//! Runs one hook of a profile: a program with its arguments, never a line for a shell.
//!
//! A hook gets a process group of its own, so that it can be ended with everything it started, and so that a
//! Ctrl-C at the terminal reaches dupr alone. Its output is told line by line while it runs; the last
//! [`KEPT_LINES`] are kept for the report. Secrets never enter its environment.

use crate::engine::context::Cancel;
use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, PipeReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

/// Lines of output kept for the report.
pub const KEPT_LINES: usize = 100;

/// Exit code by which a hook asks not to run now: `EX_TEMPFAIL` of sysexits.h.
pub const EXIT_DEFER: i32 = 75;

/// Bytes of one line of output; what is longer is cut into several.
const LINE_BYTES: u64 = 4096;

/// Time between a polite end (TERM) and a hard one (KILL).
const GRACE: Duration = Duration::from_secs(5);

/// Lines taken before a running hook is looked at again.
const LINES_PER_LOOK: usize = 256;

/// How often a silent hook is looked at.
const TICK: Duration = Duration::from_millis(20);

/// How long output is awaited after the program has ended; what it left in the background may hold the pipe.
const DRAIN: Duration = Duration::from_millis(250);

/// Variables that duplicity's world uses for secrets: withheld from every hook.
pub(super) const SECRET_VARIABLES: [&str; 4] = [
    "PASSPHRASE",
    "SIGN_PASSPHRASE",
    "FTP_PASSWORD",
    "BACKEND_PASSWORD",
];

/// A hook, ready to run.
#[derive(Debug)]
pub struct Hook<'a> {
    /// Program and arguments.
    pub exec: &'a [String],
    /// Where it runs; dupr's own working directory if absent.
    pub directory: Option<&'a Path>,
    /// Variables added to the environment dupr was started with.
    pub variables: &'a [(String, OsString)],
    /// Variables taken out of it, beside those that usually hold secrets.
    pub withheld: &'a [String],
    /// Time until it is ended; `None` waits for ever.
    pub timeout: Option<Duration>,
    /// Whether it cleans up after another one. Such a hook is not ended by the signal that made it run, only by a
    /// further one.
    pub protective: bool,
}

/// How a hook ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HookEnd {
    /// Exit code 0.
    Done,
    /// Exit code 75: not now, please.
    Deferred,
    /// Another exit code.
    Failed(i32),
    /// Ended by this signal, sent by somebody else.
    Signaled(i32),
    /// Ran longer than it may.
    TimedOut,
    /// dupr itself was asked to stop.
    Interrupted,
    /// Could not be started.
    NotStarted,
}

/// What a hook did.
#[derive(Debug)]
pub struct HookResult {
    /// How it ended.
    pub end: HookEnd,
    /// Exit code, if it had one.
    pub exit_code: Option<i32>,
    /// Last lines it printed, both streams in the order in which they came.
    pub output: Vec<String>,
    /// Why it is not done, in one line.
    pub message: Option<String>,
}

/// The argument vector of a script beside a profile: itself if it may be executed, else bash with it.
pub fn script(path: &Path) -> Vec<String> {
    let executable = path
        .metadata()
        .is_ok_and(|m| m.permissions().mode() & 0o111 != 0);
    let file = path.to_string_lossy().into_owned();
    if executable {
        vec![file]
    } else {
        vec!["bash".to_owned(), file]
    }
}

/// Runs a hook to its end, and tells each line it prints.
pub fn run(hook: &Hook<'_>, cancel: &Cancel, line: &mut dyn FnMut(&str)) -> HookResult {
    let started = Instant::now();
    let name = hook.exec.join(" ");
    let (mut child, lines) = match start(hook) {
        Ok(started) => started,
        Err(message) => {
            return HookResult {
                end: HookEnd::NotStarted,
                exit_code: None,
                output: Vec::new(),
                message: Some(message),
            };
        }
    };
    let mut tail = VecDeque::with_capacity(KEPT_LINES);
    let mut keep = |text: String, line: &mut dyn FnMut(&str)| {
        line(&text);
        if tail.len() == KEPT_LINES {
            tail.pop_front();
        }
        tail.push_back(text);
    };
    let (end, status) = wait(hook, &mut child, started, cancel, |pause| {
        collect(&lines, pause, &mut |t| keep(t, line))
    });
    let deadline = Instant::now() + DRAIN;
    while Instant::now() < deadline
        && collect(&lines, deadline - Instant::now().min(deadline), &mut |t| {
            keep(t, line)
        })
    {}
    let exit_code = status.and_then(|s| s.code());
    let message = match end {
        HookEnd::Done => None,
        HookEnd::Deferred => Some(format!(
            "hook `{name}` asked not to run now (exit code {EXIT_DEFER})"
        )),
        HookEnd::Failed(code) => Some(format!("hook `{name}` ended with exit code {code}")),
        HookEnd::Signaled(signal) => Some(format!("hook `{name}` was ended by signal {signal}")),
        HookEnd::TimedOut => Some(format!(
            "hook `{name}` was ended after {} s",
            hook.timeout.unwrap_or_default().as_secs_f64()
        )),
        HookEnd::Interrupted => Some(format!("hook `{name}` was interrupted")),
        HookEnd::NotStarted => Some(format!("hook `{name}` was lost")),
    };
    HookResult {
        end,
        exit_code,
        output: tail.into(),
        message,
    }
}

/// Starts the program with both output streams in one pipe, and a thread that reads it.
fn start(hook: &Hook<'_>) -> Result<(Child, Receiver<String>), String> {
    let (program, arguments) = hook.exec.split_first().ok_or("a hook without a program")?;
    let cannot = |e: std::io::Error| format!("cannot start hook `{program}`: {e}");
    let (reader, writer) = std::io::pipe().map_err(cannot)?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .process_group(0);
    command
        .stderr(writer.try_clone().map_err(cannot)?)
        .stdout(writer);
    for name in SECRET_VARIABLES
        .iter()
        .copied()
        .chain(hook.withheld.iter().map(String::as_str))
    {
        command.env_remove(name);
    }
    command.envs(hook.variables.iter().map(|(k, v)| (k, v)));
    if let Some(directory) = hook.directory {
        command.current_dir(directory);
    }
    let child = command.spawn().map_err(cannot)?;
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || read_lines(reader, &sender));
    Ok((child, lines))
}

/// Sends lines until the pipe ends; goes on reading when nobody listens, so that nothing left in the background
/// dies of a closed pipe while dupr lives.
fn read_lines(pipe: PipeReader, lines: &Sender<String>) {
    let mut pipe = BufReader::new(pipe);
    let mut buffer = Vec::new();
    loop {
        buffer.clear();
        match pipe
            .by_ref()
            .take(LINE_BYTES)
            .read_until(b'\n', &mut buffer)
        {
            Ok(0) | Err(_) => return,
            Ok(_) => {
                let text = buffer.strip_suffix(b"\n").unwrap_or(&buffer);
                let text = text.strip_suffix(b"\r").unwrap_or(text);
                let _ = lines.send(String::from_utf8_lossy(text).into_owned());
            }
        }
    }
}

/// Takes the lines that come within `pause`; `false` when the time is over or the pipe has ended.
fn collect(lines: &Receiver<String>, pause: Duration, line: &mut dyn FnMut(String)) -> bool {
    match lines.recv_timeout(pause) {
        Ok(text) => {
            line(text);
            true
        }
        Err(RecvTimeoutError::Timeout) => false,
        Err(RecvTimeoutError::Disconnected) => {
            // The pipe may end before the program does.
            std::thread::sleep(pause.min(TICK));
            false
        }
    }
}

/// Waits for the end of the program, and brings it about when time is up or dupr must stop.
fn wait(
    hook: &Hook<'_>,
    child: &mut Child,
    started: Instant,
    cancel: &Cancel,
    mut collect: impl FnMut(Duration) -> bool,
) -> (HookEnd, Option<ExitStatus>) {
    let urgent_before = cancel.is_urgent();
    let mut ending: Option<(HookEnd, Instant)> = None;
    loop {
        // Bounded, so that a program that never stops printing can still be ended.
        for _ in 0..LINES_PER_LOOK {
            if !collect(TICK) {
                break;
            }
        }
        match child.try_wait() {
            Ok(None) => {}
            Ok(Some(status)) => {
                if let Some((end, _)) = ending {
                    // What the program started may have ignored the polite end.
                    signal_group(child, rustix::process::Signal::KILL);
                    return (end, Some(status));
                }
                let end = match (status.code(), status.signal()) {
                    (Some(0), _) => HookEnd::Done,
                    (Some(EXIT_DEFER), _) => HookEnd::Deferred,
                    (Some(code), _) => HookEnd::Failed(code),
                    (None, signal) => HookEnd::Signaled(signal.unwrap_or_default()),
                };
                return (end, Some(status));
            }
            Err(_) => return (HookEnd::NotStarted, None),
        }
        let stop = if hook.protective {
            cancel.is_urgent() && !urgent_before
        } else {
            cancel.is_requested()
        };
        match ending {
            Some((_, since)) if since.elapsed() >= GRACE => {
                signal_group(child, rustix::process::Signal::KILL)
            }
            Some(_) => {}
            None if stop => {
                signal_group(child, rustix::process::Signal::TERM);
                ending = Some((HookEnd::Interrupted, Instant::now()));
            }
            None if hook.timeout.is_some_and(|t| started.elapsed() >= t) => {
                signal_group(child, rustix::process::Signal::TERM);
                ending = Some((HookEnd::TimedOut, Instant::now()));
            }
            None => {}
        }
    }
}

/// Signals the group of the hook. A group that is gone needs no signal.
fn signal_group(child: &Child, signal: rustix::process::Signal) {
    let Ok(id) = i32::try_from(child.id()) else {
        return;
    };
    if let Some(group) = rustix::process::Pid::from_raw(id) {
        let _ = rustix::process::kill_process_group(group, signal);
    }
}

/// What hooks are told about the profile, in duply's names. Nothing in here is a secret.
#[derive(Debug, Clone, Default)]
pub struct ProfileFacts {
    /// `PROFILE`: its name.
    pub name: String,
    /// `CONFDIR`: the directory of its file.
    pub directory: PathBuf,
    /// `SOURCE`: the tree to back up.
    pub source: PathBuf,
    /// The target's URL without a password; becomes `TARGET_URL_PROT`, `_USER` and `_HOSTPATH`.
    pub target: String,
    /// `GPG_KEYS_ENC`.
    pub encrypt_to: Vec<String>,
    /// `GPG_KEY_SIGN`.
    pub sign_with: Option<String>,
}

/// Where a hook stands in the batch.
#[derive(Debug, Clone, Default)]
pub struct Place {
    /// The last command that really ran, and its exit code; none before the first.
    pub previous: Option<(String, i32)>,
    /// The command that comes next in the batch.
    pub next: Option<String>,
    /// `and` or `or` between this command and the one before.
    pub condition: Option<&'static str>,
    /// `and` or `or` between this command and the next.
    pub next_condition: Option<&'static str>,
}

/// The variables of a hook: duply's, and the path of the outcome so far. `run_start_ns` is Unix time in nanoseconds.
pub fn variables(
    facts: &ProfileFacts,
    place: &Place,
    run_start_ns: i128,
    outcome: &Path,
) -> Vec<(String, OsString)> {
    let (scheme, rest) = facts
        .target
        .split_once("://")
        .unwrap_or(("file", &facts.target));
    let authority_end = rest.find('/').unwrap_or(rest.len());
    let (user, host_path) = match rest[..authority_end].rfind('@') {
        Some(at) => (
            rest[..at].split(':').next().unwrap_or_default(),
            &rest[at + 1..],
        ),
        None => ("", rest),
    };
    let mut list: Vec<(&str, OsString)> = vec![
        ("PROFILE", facts.name.clone().into()),
        ("CONFDIR", facts.directory.clone().into()),
        ("SOURCE", facts.source.clone().into()),
        ("TARGET_URL_PROT", format!("{scheme}://").into()),
        ("TARGET_URL_HOSTPATH", host_path.into()),
        ("TARGET_URL_USER", user.into()),
        // duply joins them with a backslash and an n.
        ("GPG_KEYS_ENC", facts.encrypt_to.join("\\n").into()),
        (
            "GPG_KEY_SIGN",
            facts.sign_with.clone().unwrap_or_default().into(),
        ),
        (
            "CMD_PREV",
            place.previous.as_ref().map_or("START", |(c, _)| c).into(),
        ),
        ("CMD_NEXT", place.next.as_deref().unwrap_or("END").into()),
        ("RUN_START", run_start_ns.to_string().into()),
        ("DUPR_OUTCOME", AsRef::<OsStr>::as_ref(outcome).to_owned()),
    ];
    if let Some((_, code)) = &place.previous {
        list.push(("CMD_ERR", code.to_string().into()));
    }
    if let Some(condition) = place.condition {
        list.push(("CND_PREV", condition.into()));
    }
    if let Some(condition) = place.next_condition {
        list.push(("CND_NEXT", condition.into()));
    }
    list.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Vec<String> {
        vec!["sh".into(), "-c".into(), script.into()]
    }

    fn hook(exec: &[String]) -> Hook<'_> {
        Hook {
            exec,
            directory: None,
            variables: &[],
            withheld: &[],
            timeout: None,
            protective: false,
        }
    }

    fn run_silently(hook: &Hook<'_>) -> HookResult {
        run(hook, &Cancel::new(), &mut |_| {})
    }

    #[test]
    fn output_of_both_streams_is_told_live_and_kept() {
        let exec = sh("echo one; echo two >&2; printf three");
        let mut told = Vec::new();
        let result = run(&hook(&exec), &Cancel::new(), &mut |l| {
            told.push(l.to_owned())
        });
        assert_eq!(result.end, HookEnd::Done);
        assert_eq!(result.output, ["one", "two", "three"]);
        assert_eq!(told, result.output);
    }

    #[test]
    fn only_the_last_hundred_lines_are_kept_and_long_lines_are_cut() {
        let exec = sh("seq 1 1000; head -c 5000 /dev/zero | tr '\\0' x");
        let result = run_silently(&hook(&exec));
        assert_eq!(result.output.len(), KEPT_LINES);
        assert_eq!(result.output[97], "1000");
        assert_eq!(result.output[98].len(), 4096);
        assert_eq!(result.output[99].len(), 904);
    }

    #[test]
    fn exit_codes_are_told_apart() {
        assert_eq!(run_silently(&hook(&sh("exit 75"))).end, HookEnd::Deferred);
        let failed = run_silently(&hook(&sh("exit 9")));
        assert_eq!(
            (failed.end, failed.exit_code),
            (HookEnd::Failed(9), Some(9))
        );
        assert_eq!(
            run_silently(&hook(&sh("kill -9 $$"))).end,
            HookEnd::Signaled(9)
        );
        let missing = run_silently(&hook(&["/nonexistent/program".to_owned()]));
        assert_eq!(missing.end, HookEnd::NotStarted);
        assert!(missing.message.unwrap().contains("/nonexistent/program"));
    }

    #[test]
    fn arguments_never_meet_a_shell() {
        let exec = [
            "printf".to_owned(),
            "%s\\n".to_owned(),
            "$(id) `id` ; \"' &".to_owned(),
        ];
        assert_eq!(run_silently(&hook(&exec)).output, ["$(id) `id` ; \"' &"]);
    }

    #[test]
    fn timeout_ends_the_program_and_what_it_started() {
        let directory = tempfile::tempdir().unwrap();
        let alive = directory.path().join("alive");
        let exec = sh(&format!("(sleep 1; touch {}) & sleep 30", alive.display()));
        let mut hook = hook(&exec);
        hook.timeout = Some(Duration::from_millis(100));
        let started = Instant::now();
        assert_eq!(run_silently(&hook).end, HookEnd::TimedOut);
        assert!(started.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(1200));
        assert!(!alive.exists());
    }

    #[test]
    fn a_program_that_never_stops_printing_is_ended() {
        let exec = sh("yes");
        let mut hook = hook(&exec);
        hook.timeout = Some(Duration::from_millis(100));
        assert_eq!(run_silently(&hook).end, HookEnd::TimedOut);
    }

    #[test]
    fn a_program_in_the_background_does_not_hold_up_the_run() {
        let exec = sh("sleep 30 & echo started");
        let started = Instant::now();
        let result = run_silently(&hook(&exec));
        assert_eq!(
            (result.end, result.output),
            (HookEnd::Done, vec!["started".to_owned()])
        );
        assert!(started.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn a_signal_ends_a_plain_hook_but_not_one_that_cleans_up() {
        let cancel = Cancel::new();
        cancel.request();
        let exec = sh("sleep 0.2; echo restored");
        let plain = run(&hook(&exec), &cancel, &mut |_| {});
        assert_eq!(plain.end, HookEnd::Interrupted);
        let mut undo = hook(&exec);
        undo.protective = true;
        assert_eq!(run(&undo, &cancel, &mut |_| {}).output, ["restored"]);
    }

    #[test]
    fn secrets_are_withheld_and_variables_given() {
        let exec = sh("echo ${HOME:+home} ${PATH:+path}; echo $PROFILE");
        let variables = [("PROFILE".to_owned(), OsString::from("web"))];
        let withheld = ["HOME".to_owned()];
        let mut hook = hook(&exec);
        hook.variables = &variables;
        hook.withheld = &withheld;
        assert_eq!(run_silently(&hook).output, ["path", "web"]);
    }

    #[test]
    fn variables_are_duplys() {
        let facts = ProfileFacts {
            name: "home".into(),
            directory: "/etc/dupr".into(),
            source: "/home/me".into(),
            target: "sftp://me@nas:2222//backups".into(),
            encrypt_to: vec!["A".into(), "B".into()],
            sign_with: None,
        };
        let place = Place {
            previous: Some(("pre".into(), 0)),
            next: None,
            condition: Some("and"),
            next_condition: None,
        };
        let got = variables(&facts, &place, 17, Path::new("/tmp/o"));
        let value = |name: &str| {
            got.iter()
                .find(|(k, _)| k == name)
                .map(|(_, v)| v.to_str().unwrap())
        };
        assert_eq!(value("TARGET_URL_PROT"), Some("sftp://"));
        assert_eq!(value("TARGET_URL_USER"), Some("me"));
        assert_eq!(value("TARGET_URL_HOSTPATH"), Some("nas:2222//backups"));
        assert_eq!(value("GPG_KEYS_ENC"), Some("A\\nB"));
        assert_eq!(
            (value("CMD_PREV"), value("CMD_ERR"), value("CMD_NEXT")),
            (Some("pre"), Some("0"), Some("END"))
        );
        assert_eq!((value("CND_PREV"), value("CND_NEXT")), (Some("and"), None));
        let first = variables(&facts, &Place::default(), 17, Path::new("/tmp/o"));
        assert!(first.iter().any(|(k, v)| k == "CMD_PREV" && v == "START"));
        assert!(!first.iter().any(|(k, _)| k == "CMD_ERR"));
    }

    #[test]
    fn scripts_that_may_not_be_executed_run_in_bash() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pre");
        std::fs::write(&path, "echo $BASH_VERSION | grep -c .\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(run_silently(&hook(&script(&path))).output, ["1"]);
        std::fs::write(&path, "#!/bin/sh\nexit 5\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(run_silently(&hook(&script(&path))).end, HookEnd::Failed(5));
    }
}
