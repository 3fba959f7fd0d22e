//! Hooks with the real program: order, environment, timeouts, politeness, what they print, and what runs when a signal ends a run.

use crate::reliability::as_nobody;
use crate::support::home::{Called, Home, called};
use crate::support::terminal::{Screen, Session};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

fn log(home: &Home) -> Vec<String> {
    let text = fs::read_to_string(home.path().join("hooks")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// A hook that appends `text` to the log, then does `then`.
fn hook(home: &Home, on: &str, text: &str, then: &str) -> String {
    let script = format!(
        "echo \"{text}\" >> {}; {then}",
        home.path().join("hooks").display()
    );
    format!(
        "[[hook]]\non = \"{on}\"\ncommands = [\"backup\"]\nexec = [\"sh\", \"-c\", {script:?}]\n"
    )
}

#[test]
fn hooks_run_around_the_backup_in_order() {
    let home = Home::new("hooks-order");
    let mut more = hook(
        &home,
        "before",
        "before $CMD_PREV $CMD_NEXT $PROFILE",
        "true",
    );
    more += &format!(
        "undo = [\"sh\", \"-c\", \"echo undo >> {}\"]\n",
        home.path().join("hooks").display()
    );
    more += &hook(&home, "after", "after $CMD_PREV $CMD_ERR", "true");
    more += &hook(&home, "success", "success", "true");
    more += &hook(&home, "error", "error", "true");
    more += &hook(&home, "finally", "finally", "true");
    home.profile("home", &more);
    home.expect(0, &["home", "backup"]);
    let mut seen = log(&home);
    assert!(
        seen[0].starts_with("before START bkp home")
            || seen[0].starts_with("before START backup home"),
        "{seen:?}"
    );
    assert!(
        seen[1].starts_with("after b") && seen[1].ends_with(" 0"),
        "{seen:?}"
    );
    seen.drain(..2);
    seen.sort();
    assert_eq!(seen, ["finally", "success", "undo"]);
}

#[test]
fn pre_that_fails_stops_the_backup_and_post_still_runs() {
    let home = Home::new("hooks-pre");
    let dir = home.path().join(".config/dupr/scripted");
    fs::create_dir_all(&dir).expect("profile directory");
    let text = fs::read_to_string(home.path().join(".config/dupr/home.toml")).expect("profile");
    fs::write(dir.join("profile.toml"), text).expect("profile");
    let log_file = home.path().join("hooks");
    fs::write(
        dir.join("pre"),
        format!("echo pre >> {}\nexit 3\n", log_file.display()),
    )
    .expect("pre");
    fs::write(
        dir.join("post"),
        format!("echo post $CMD_PREV $CMD_ERR >> {}\n", log_file.display()),
    )
    .expect("post");
    home.expect(4, &["scripted", "backup"]);
    assert_eq!(log(&home), ["pre", "post pre 3"]);
    assert!(home.stored().is_empty());
}

#[test]
fn exit_75_defers_and_a_timeout_fails() {
    let home = Home::new("hooks-defer");
    home.profile("home", &hook(&home, "before", "asked", "exit 75"));
    let put_off = home.expect(7, &["home", "backup"]);
    assert!(
        put_off.stderr.contains("deferred: home backup"),
        "{}",
        put_off.stderr
    );
    assert!(home.stored().is_empty());
    let mut slow = hook(&home, "before", "slow", "sleep 30");
    slow += "timeout = \"1s\"\n";
    home.profile("home", &slow);
    let ended = home.expect(4, &["home", "backup"]);
    assert!(
        ended.stderr.contains("was ended after 1 s"),
        "{}",
        ended.stderr
    );
    home.expect(
        7,
        &[
            "home",
            "backup",
            "--set",
            "run.require.min-free-temp=999999 TiB",
        ],
    );
}

#[test]
fn a_signal_ends_the_run_with_130_and_what_was_stopped_is_started_again() {
    let home = Home::new("hooks-signal");
    let mut more = hook(&home, "before", "stopped", "true");
    more += &format!(
        "undo = [\"sh\", \"-c\", \"echo started >> {}\"]\n",
        home.path().join("hooks").display()
    );
    more += &hook(&home, "before", "waiting", "sleep 30");
    more += &hook(&home, "finally", "finally", "true");
    home.profile("home", &more);
    let child = home
        .command(&["home", "backup"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("dupr");
    while !log(&home).contains(&"waiting".to_owned()) {
        std::thread::sleep(Duration::from_millis(20));
    }
    let id = rustix::process::Pid::from_raw(i32::try_from(child.id()).expect("id")).expect("id");
    rustix::process::kill_process(id, rustix::process::Signal::INT).expect("signal");
    let ended = called(child.wait_with_output().expect("wait"));
    assert_eq!(ended.code, 130, "{}{}", ended.stdout, ended.stderr);
    let mut seen = log(&home);
    seen.sort();
    assert_eq!(seen, ["finally", "started", "stopped", "waiting"]);
    assert_eq!(home.history("home")[0]["verdict"], "interrupted");
}

/// A hook of each moment around the backup and around the run, and one that undoes.
fn everywhere(home: &Home) -> String {
    let mut text = hook(home, "before", "before", "true");
    text += &undo(home, "undo");
    for on in ["after", "success", "warning", "error", "finally"] {
        text += &hook(home, on, on, "true");
    }
    text +=
        &hook(home, "error", "error of the run", "true").replace("commands = [\"backup\"]\n", "");
    text + &hook(home, "finally", "finally of the run", "true")
        .replace("commands = [\"backup\"]\n", "")
}

/// A line for the hook before it: what takes it back.
fn undo(home: &Home, text: &str) -> String {
    let script = format!("echo {text} >> {}", home.path().join("hooks").display());
    format!("undo = [\"sh\", \"-c\", {script:?}]\n")
}

/// What was logged since this was last asked, sorted but for what comes first.
fn taken(home: &Home) -> Vec<String> {
    let mut seen = log(home);
    let _ = fs::remove_file(home.path().join("hooks"));
    seen[1..].sort();
    seen
}

#[test]
fn how_a_run_went_decides_which_hooks_follow() {
    let home = Home::new("hooks-moments");
    home.profile("home", &everywhere(&home));
    let run = |arguments: &[&str]| {
        let mut command = as_nobody(&home).expect("a user");
        called(command.args(arguments).output().expect("dupr"))
    };
    let good = run(&["home", "backup"]);
    assert_eq!(good.code, 0, "{}", good.stderr);
    assert_eq!(
        taken(&home),
        [
            "before",
            "after",
            "finally",
            "finally of the run",
            "success",
            "undo"
        ]
    );
    // Done, but one file may not be read.
    home.write("one", "changed, and closed\n");
    fs::set_permissions(home.source().join("one"), fs::Permissions::from_mode(0o0)).expect("mode");
    let problems = run(&["home", "backup"]);
    assert_eq!(problems.code, 3, "{}", problems.stderr);
    assert_eq!(
        taken(&home),
        [
            "before",
            "after",
            "finally",
            "finally of the run",
            "success",
            "undo",
            "warning"
        ]
    );
    // The backup fails.
    let failed = run(&["home", "full", "--set", "target=file:///proc/no/such"]);
    assert_eq!(failed.code, 13, "{}", failed.stderr);
    assert_eq!(
        taken(&home),
        [
            "before",
            "after",
            "error",
            "error of the run",
            "finally",
            "finally of the run",
            "undo"
        ]
    );
}

/// Whether a process runs. One that nobody has waited for yet does not.
fn lives(id: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    let state = stat.rsplit(')').next().unwrap_or_default().trim_start();
    !state.is_empty() && !state.starts_with(['Z', 'X'])
}

/// Waits until what is wanted is so.
fn until(what: &str, wanted: impl Fn() -> bool) {
    let begun = Instant::now();
    while !wanted() {
        assert!(begun.elapsed() < Duration::from_secs(120), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn when_time_is_up_everything_a_hook_started_ends() {
    let home = Home::new("hooks-group");
    let ids = home.path().join("ids");
    // A child in the background, whose own child is deaf to polite words, as is the hook itself in the second run.
    for deaf in ["", "trap '' TERM; "] {
        let _ = fs::remove_file(&ids);
        let script = format!(
            "{deaf}echo $$ >> {ids}; sh -c 'echo $$ >> {ids}; trap \"\" TERM; sh -c \"echo \\$\\$ >> {ids}; sleep 300; sleep 300\"; sleep 300' & \
             while [ $(wc -l < {ids}) -lt 3 ]; do sleep 0.05; done; sleep 300; sleep 300",
            ids = ids.display()
        );
        home.profile(
            "home",
            &format!(
                "[[hook]]\non = \"before\"\nexec = [\"sh\", \"-c\", {script:?}]\ntimeout = \"3s\"\n"
            ),
        );
        let ended = home.expect(4, &["home", "backup"]);
        assert!(
            ended.stderr.contains("was ended after 3 s"),
            "{}",
            ended.stderr
        );
        let text = fs::read_to_string(&ids).expect("ids");
        let started: Vec<&str> = text.lines().collect();
        assert!(!started.is_empty(), "{text}");
        until("a process of the hook goes on", || {
            !started.iter().any(|id| lives(id))
        });
    }
    assert!(home.stored().is_empty());
}

#[test]
fn what_a_hook_prints_is_seen_at_once_and_kept() {
    let home = Home::new("hooks-output");
    let gate = home.path().join("gate");
    let script = format!(
        "printf 'first %s\\n' line; until [ -e {} ]; do sleep 0.05; done; printf 'second %s\\n' line >&2; printf 'bell\\007 and no end'",
        gate.display()
    );
    home.profile(
        "home",
        &format!("[[hook]]\non = \"before\"\nexec = [\"sh\", \"-c\", {script:?}]\n"),
    );
    let mut child = home
        .command(&["home", "backup", "--log-file", "log"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("dupr");
    let mut lines = BufReader::new(child.stderr.take().expect("stderr")).lines();
    // It is there while the hook waits. The line that names the hook does not have these words in a row.
    let first = lines.find_map(|l| l.ok().filter(|l| l.contains("first line")));
    assert!(first.is_some_and(|l| l.contains("| first line")));
    assert!(home.history("home").is_empty());
    fs::write(&gate, "").expect("gate");
    let rest: Vec<String> = lines.map_while(Result::ok).collect();
    assert!(child.wait().expect("dupr").success(), "{rest:?}");
    assert!(rest.iter().any(|l| l.contains("| second line")), "{rest:?}");
    assert!(!rest.concat().contains('\u{7}'), "{rest:?}");
    // In the history, in the log, and in the report of a run that failed.
    let runs = home.history("home");
    let step = &runs[0]["steps"][0];
    assert_eq!(step["exit-code"], 0);
    assert_eq!(
        step["output"],
        serde_json::json!(["first line", "second line", "bell\u{7} and no end"])
    );
    let kept = fs::read_to_string(home.path().join("log")).expect("log");
    assert!(
        kept.contains("first line") && kept.contains("second line"),
        "{kept}"
    );
    home.profile(
        "home",
        &hook(&home, "before", "x", "echo why it failed; exit 9"),
    );
    let failed = home.expect(4, &["home", "backup"]);
    assert!(
        failed.stderr.contains("ended with exit code 9"),
        "{}",
        failed.stderr
    );
    let report = home.expect(0, &["history", "home", "--report", "1"]).stdout;
    assert!(report.contains("why it failed"), "{report}");
    // At a terminal as well, above the line of progress.
    home.profile("home", &hook(&home, "before", "x", "echo for the eyes"));
    let mut command = home.command(&["home", "backup"]);
    command
        .env("TERM", "xterm-256color")
        .env("LC_ALL", "C.UTF-8");
    let (code, bytes) = Session::start(&command, 100, 30).end();
    let lines = Screen::of(&bytes, 100).lines();
    assert_eq!(code, 0, "{lines:?}");
    assert!(lines.iter().any(|l| l == "  | for the eyes"), "{lines:?}");
}

#[test]
fn a_polite_refusal_undoes_what_was_done_and_is_no_failure() {
    let home = Home::new("hooks-polite");
    let mails = home.path().join("mails");
    let mailer = home.script("sendmail", &format!("cat >> {}", mails.display()));
    let mail = format!(
        "[report.email]\nto = \"ada@example.org\"\nfrom = \"b@example.org\"\nsendmail = {mailer:?}\nwhen = [\"failure\", \"warning\"]\n"
    );
    let mut more = hook(&home, "before", "stopped", "true") + &undo(&home, "started");
    more += &hook(&home, "before", "asked", "echo not now; exit 75");
    more += &hook(&home, "before", "never", "true");
    more += &hook(&home, "success", "success", "true");
    more += &hook(&home, "error", "error", "true");
    more += &hook(&home, "finally", "finally", "true");
    home.profile("home", &(more + &mail));
    let put_off = home.expect(7, &["home", "backup_verify"]);
    assert_eq!(log(&home)[..2], ["stopped", "asked"]);
    assert_eq!(taken(&home), ["stopped", "asked", "finally", "started"]);
    assert!(put_off.stderr.contains("not now"), "{}", put_off.stderr);
    assert!(home.stored().is_empty() && !mails.exists());
    let runs = home.history("home");
    assert_eq!(runs[0]["verdict"], "deferred");
    let steps = runs[0]["steps"].as_array().expect("steps");
    let verify = steps
        .iter()
        .find(|s| s["command"] == "verify")
        .expect("verify");
    assert_eq!(verify["status"], "deferred");
    // Behind a backup it is too late for that: it is a failure like any other.
    home.profile("home", &hook(&home, "after", "late", "exit 75"));
    let late = home.expect(4, &["home", "backup"]);
    assert!(late.stderr.contains("75"), "{}", late.stderr);
    assert!(!home.stored().is_empty());
}

/// dupr, started.
fn start(home: &Home, arguments: &[&str]) -> Child {
    home.command(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("dupr")
}

fn terminate(child: &Child) {
    let id = Pid::from_raw(i32::try_from(child.id()).expect("id")).expect("id");
    kill_process(id, Signal::TERM).expect("signal");
}

fn ended(child: Child) -> Called {
    called(child.wait_with_output().expect("wait"))
}

/// A backup that is stopped in its middle, by a dump that waits.
fn waiting(home: &Home) -> String {
    let script = format!(
        "echo $$ > {}; seq 1000; sleep 300",
        home.path().join("held").display()
    );
    format!(
        "[[source.dump]]\nname = \"waits\"\nkind = \"command\"\ncommand = [\"sh\", \"-c\", {script:?}]\n"
    )
}

#[test]
fn sigterm_in_the_middle_of_a_backup_runs_what_puts_things_right() {
    let home = Home::new("hooks-term");
    let head = |more: &str| {
        home.raw_profile(
            "home",
            &format!(
                "version = 1\ntarget = \"file://{}\"\npassphrase = {{ file = {:?} }}\n[source]\npath = {:?}\n{more}",
                home.target().display(),
                home.path().join("pass"),
                home.source(),
            ),
        );
    };
    let held = home.path().join("held");
    head(&(waiting(&home) + &everywhere(&home)));
    let child = start(&home, &["home", "backup_verify"]);
    until("the backup does not begin", || held.exists());
    terminate(&child);
    let told = ended(child);
    assert_eq!(told.code, 130, "{}{}", told.stdout, told.stderr);
    assert_eq!(
        taken(&home),
        [
            "before",
            "after",
            "error",
            "error of the run",
            "finally",
            "finally of the run",
            "undo"
        ]
    );
    assert_eq!(home.history("home")[0]["verdict"], "interrupted");
    // The next run goes on, and ends well.
    head(&everywhere(&home));
    home.expect(0, &["home", "backup"]);
    home.expect(0, &["home", "verify"]);
    taken(&home);

    // What puts things right is given its time; only a second signal ends it.
    let [begun, gate, done] = ["begun", "gate", "done"].map(|name| home.path().join(name));
    let slow = format!(
        "touch {}; until [ -e {} ]; do sleep 0.05; done; touch {}",
        begun.display(),
        gate.display(),
        done.display()
    );
    let stopped = hook(&home, "before", "stopped", "true");
    let profile = waiting(&home) + &stopped + &format!("undo = [\"sh\", \"-c\", {slow:?}]\n");
    for patient in [true, false] {
        for file in [&held, &begun, &gate, &done] {
            let _ = fs::remove_file(file);
        }
        head(&profile);
        let mut child = start(&home, &["home", "full"]);
        until("the backup does not begin", || held.exists());
        terminate(&child);
        until("nothing is undone", || begun.exists());
        assert!(child.try_wait().expect("dupr").is_none(), "it did not wait");
        if patient {
            fs::write(&gate, "").expect("gate");
        } else {
            terminate(&child);
        }
        let told = ended(child);
        assert_eq!(told.code, 130, "{}{}", told.stdout, told.stderr);
        assert_eq!(done.exists(), patient);
    }
}
