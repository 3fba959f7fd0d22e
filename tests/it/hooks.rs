//! Hooks with the real program: order, environment, timeouts, politeness, and what runs when a signal ends a run.

use crate::support::home::{Home, called};
use std::fs;
use std::process::Stdio;
use std::time::Duration;

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
