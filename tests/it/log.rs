//! `dupr log`: a past run as a whole, found by its number or by a time; which were there without a profile; what is kept.

use crate::support::home::{CANARY, Home};
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

#[test]
fn a_run_is_shown_with_its_report_and_its_whole_log() {
    let home = Home::new("log");
    let more = "[[hook]]\non = \"before\"\nexec = [\"echo\", \"said by the hook\"]\n";
    home.profile("home", more);
    home.expect(0, &["home", "backup"]);
    home.profile(
        "home",
        &more.replace("\"echo\", ", "\"sh\", \"-c\", \"echo why; exit 9\", "),
    );
    home.expect(4, &["home", "full"]);
    // The last one, the one before, with the tool in front and behind.
    let last = home.expect(0, &["log", "home"]).stdout;
    assert!(
        last.contains("\nLog:\n") && last.contains("| why"),
        "{last}"
    );
    assert!(last.contains("ended with exit code 9"), "{last}");
    let first = home.expect(0, &["home", "log", "2"]).stdout;
    assert!(
        first.contains("| said by the hook") && first.contains(" info: "),
        "{first}"
    );
    assert!(
        !first.contains("| why") && !first.contains(CANARY),
        "{first}"
    );
    let lines = first.lines().skip_while(|l| *l != "Log:").skip(1);
    assert!(
        lines.clone().count() > 4 && lines.clone().all(|l| l.starts_with("20")),
        "{first}"
    );
    let told = json(&home.expect(0, &["log", "home", "2", "--json"]).stdout);
    assert_eq!(
        (&told["log-kept"], &told["run"]["batch"]),
        (&true.into(), &"backup".into())
    );
    assert_eq!(told["log"].as_array().expect("lines").len(), lines.count());
    // By a time: the last run that had begun by then.
    let started = home.history("home")[0]["started"].as_i64().expect("a time");
    let told = json(
        &home
            .expect(0, &["log", "home", &started.to_string(), "--json"])
            .stdout,
    );
    assert_eq!(told["run"]["started"], started, "by its second");
    let told = json(&home.expect(0, &["log", "home", "now", "--json"]).stdout);
    assert_eq!(told["run"]["batch"], "full");
    for wrong in ["3", "0", "2001-01-01", "yesterdayish"] {
        let failed = home.expect(2, &["log", "home", wrong]);
        assert!(
            failed.stderr.contains("help: "),
            "{wrong}: {}",
            failed.stderr
        );
    }
    // Without a profile: what ran, over all of them.
    home.profile("other", "");
    home.expect(0, &["other", "backup"]);
    let all = home.expect(0, &["log"]).stdout;
    assert_eq!(all.lines().count(), 4, "{all}");
    assert!(
        all.lines().last().is_some_and(|l| l.contains("other")),
        "{all}"
    );
    assert_eq!(
        home.expect(0, &["log", "-n", "1"]).stdout.lines().count(),
        2
    );
}

#[test]
fn logs_are_private_and_one_that_is_gone_is_said_to_be() {
    let home = Home::new("log-kept");
    let nothing = home.dupr(&["log", "home"]);
    assert!(
        nothing.code != 0 && nothing.stderr.contains("has not run yet"),
        "{}",
        nothing.stderr
    );
    assert!(
        home.expect(0, &["log"])
            .stdout
            .contains("Nothing has run yet")
    );
    home.expect(0, &["home", "backup"]);
    // A look is no run.
    home.expect(0, &["home", "status"]);
    let folder = home.path().join(".local/state/dupr/home/logs");
    let logs: Vec<_> = fs::read_dir(&folder).expect("logs").flatten().collect();
    assert_eq!(logs.len(), 1);
    let mode =
        |path: &std::path::Path| fs::metadata(path).expect("mode").permissions().mode() & 0o777;
    assert_eq!((mode(&folder), mode(&logs[0].path())), (0o700, 0o600));
    fs::remove_file(logs[0].path()).expect("log");
    let told = home.expect(0, &["log", "home"]).stdout;
    assert!(
        told.contains("is not kept any more") && told.contains("\nBatch   backup\n"),
        "{told}"
    );
    let told = json(&home.expect(0, &["log", "home", "--json"]).stdout);
    assert_eq!(told["log-kept"], false);
}

#[test]
fn a_group_and_a_target_have_logs_of_their_own() {
    let home = Home::new("log-group");
    home.profile("other", "");
    fs::write(
        home.path().join(".config/dupr/groups.toml"),
        "[nightly]\nprofiles = [\"home\", \"other\"]\n[[nightly.hook]]\non = \"before\"\nexec = [\"echo\", \"all together\"]\n",
    )
    .expect("groups");
    home.expect(0, &["nightly", "backup"]);
    let told = home.expect(0, &["log", "nightly"]).stdout;
    assert!(told.contains("| all together"), "{told}");
    let told = home.expect(0, &["log", "other"]).stdout;
    assert!(
        !told.contains("all together") && told.contains("other backup"),
        "{told}"
    );
}

/// A run whose hook waits for a gate, begun and in that hook.
fn held(home: &Home) -> Child {
    for mark in ["gate", "waits"] {
        let _ = fs::remove_file(home.path().join(mark));
    }
    let mut command = home.command(&["home", "backup"]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut run = command.spawn().expect("dupr");
    let begun = Instant::now();
    while !home.path().join("waits").exists() {
        assert!(run.try_wait().expect("a run").is_none(), "it has ended");
        assert!(begun.elapsed() < Duration::from_secs(180), "no hook");
        thread::sleep(Duration::from_millis(20));
    }
    run
}

/// Waits until a process that prints nothing as yet has the log of a run open.
fn until_it_follows(process: &Child) {
    let begun = Instant::now();
    let follows = || {
        let files = fs::read_dir(format!("/proc/{}/fd", process.id())).ok()?;
        let mut files = files.flatten().filter_map(|e| fs::read_link(e.path()).ok());
        files.find(|file| file.extension().is_some_and(|e| e == "running"))
    };
    while follows().is_none() {
        assert!(
            begun.elapsed() < Duration::from_secs(180),
            "it follows none"
        );
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_run_under_way_is_followed_to_its_end() {
    let home = Home::new("log-follow");
    let hook = home.script(
        "hook",
        "cd \"${0%/*}\" && echo said first; : > waits; for i in $(seq 3000); do [ -e gate ] && break; sleep 0.1; done; echo said last",
    );
    home.profile(
        "home",
        &format!("[[hook]]\non = \"before\"\nexec = [{hook:?}]\n"),
    );
    let nothing = home.expect(1, &["log", "home", "--follow"]);
    assert!(
        nothing.stderr.contains("no run of home is under way") && nothing.stderr.contains("help: "),
        "{}",
        nothing.stderr
    );
    home.expect(2, &["log", "--follow"]);
    home.expect(2, &["log", "home", "2", "--follow"]);

    let mut run = held(&home);
    let mut command = home.command(&["home", "log", "--follow"]);
    let mut follow = command.stdout(Stdio::piped()).spawn().expect("dupr");
    let mut document = home.command(&["log", "home", "-f", "--json"]);
    let document = document.stdout(Stdio::piped()).spawn().expect("dupr");
    let mut lines = BufReader::new(follow.stdout.take().expect("a pipe"));
    let mut shown = String::new();
    while !shown.contains("| said first") {
        assert!(lines.read_line(&mut shown).expect("a line") > 0, "{shown}");
    }
    until_it_follows(&document);
    // It is not over before the run is.
    assert!(!shown.contains("said last"), "{shown}");
    assert!(run.try_wait().expect("the run").is_none());
    assert!(follow.try_wait().expect("the other").is_none());
    fs::write(home.path().join("gate"), "").expect("gate");
    lines.read_to_string(&mut shown).expect("the rest");
    assert_eq!(follow.wait().expect("ends").code(), Some(0));
    assert_eq!(run.wait().expect("ends").code(), Some(0));
    assert!(
        shown.contains("| said last") && shown.contains("backup full"),
        "{shown}"
    );
    let last = shown.lines().last().expect("lines");
    assert!(last.starts_with("ok: "), "{last}");
    // It is what the log holds.
    let kept = json(&home.expect(0, &["log", "home", "--json"]).stdout);
    let kept = kept["log"].as_array().expect("lines").clone();
    let followed: Vec<&str> = shown.lines().collect();
    assert_eq!(&followed[..followed.len() - 1], kept.as_slice());
    let document = document.wait_with_output().expect("ends");
    let document = json(&String::from_utf8_lossy(&document.stdout));
    assert_eq!(document["log"].as_array(), Some(&kept));

    // Of a run that is killed nothing more comes, and what it left goes away.
    let left = || {
        let logs = fs::read_dir(home.path().join(".local/state/dupr/home/logs"));
        let names = logs.expect("logs").flatten().map(|e| e.file_name());
        names
            .filter(|name| name.to_string_lossy().ends_with(".running"))
            .count()
    };
    assert_eq!(left(), 0);
    let mut run = held(&home);
    let mut follow = home.command(&["log", "home", "--follow"]);
    follow.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut follow = follow.spawn().expect("dupr");
    let mut lines = BufReader::new(follow.stdout.take().expect("a pipe"));
    shown.clear();
    while !shown.contains("| said first") {
        assert!(lines.read_line(&mut shown).expect("a line") > 0, "{shown}");
    }
    run.kill().expect("kill");
    run.wait().expect("ends");
    lines.read_to_string(&mut shown).expect("the rest");
    let ended = follow.wait_with_output().expect("ends");
    let told = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(1), "{told}");
    assert!(told.contains("has ended, and left no outcome"), "{told}");
    assert!(!shown.contains("ok: "), "{shown}");
    assert_eq!(left(), 1);
    fs::write(home.path().join("gate"), "").expect("gate");
    home.expect(1, &["log", "home", "--follow"]);
    home.expect(0, &["home", "backup"]);
    assert_eq!(left(), 0);
}
