//! Scopes of hooks: with several targets one runs once for the run, once for all sets that are made, or once for each target.

use crate::support::home::{Home, called};
use serde_json::Value;
use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

fn log(home: &Home) -> Vec<String> {
    let text = fs::read_to_string(home.path().join("hooks")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn forget(home: &Home) {
    let _ = fs::remove_file(home.path().join("hooks"));
}

/// A hook of a scope that appends `text` to the log, then does `then`.
fn hook(home: &Home, scope: &str, on: &str, text: &str, then: &str) -> String {
    let file = home.path().join("hooks").display().to_string();
    let script = format!("echo \"{text}\" >> {file}; {then}");
    format!("[[hook]]\nscope = \"{scope}\"\non = \"{on}\"\nexec = [\"sh\", \"-c\", {script:?}]\n")
}

fn undo(home: &Home, text: &str) -> String {
    let file = home.path().join("hooks").display().to_string();
    format!("undo = [\"sh\", \"-c\", \"echo {text} >> {file}\"]\n")
}

/// A profile with two targets, and a copy of the first.
fn three(home: &Home, more: &str) {
    let at = |name: &str| home.path().join(name).display().to_string();
    home.raw_profile(
        "home",
        &format!(
            "version = 1\nsource = {:?}\npassphrase = {{ file = {:?} }}\n\
             [[target]]\nname = \"nas\"\nurl = \"file://{}\"\n[[target]]\nname = \"usb\"\nurl = \"file://{}\"\noptional = true\n\
             [[target]]\nname = \"copy\"\nurl = \"file://{}\"\ncopy-of = \"nas\"\n{more}",
            home.source(),
            home.path().join("pass"),
            at("nas"),
            at("usb"),
            at("copy"),
        ),
    );
    fs::create_dir_all(home.path().join("usb")).expect("a disk");
}

#[test]
fn hooks_run_once_per_run_or_once_per_target() {
    let home = Home::new("scopes");
    let mut more = String::new();
    for scope in ["run", "source", "target"] {
        more += &hook(&home, scope, "before", &format!("{scope} before"), "true");
        more += &undo(&home, &format!("{scope} undo"));
        more += &hook(&home, scope, "success", &format!("{scope} success"), "true");
        more += &hook(&home, scope, "finally", &format!("{scope} finally"), "true");
    }
    three(&home, &more);
    home.expect(0, &["home", "backup_replicate"]);
    let around = |scope: &str, inner: &[&str]| -> Vec<String> {
        let line = |word: &str| format!("{scope} {word}");
        let mut lines = vec![line("before")];
        lines.extend(inner.iter().map(|l| (*l).to_owned()));
        lines.extend(["success", "undo", "finally"].map(line));
        lines
    };
    let target = around("target", &[]);
    let target: Vec<&str> = target.iter().map(String::as_str).collect();
    // The sets are made at two targets; the third copies.
    let sources = around("source", &[target.clone(), target.clone()].concat());
    let mut inner: Vec<&str> = sources.iter().map(String::as_str).collect();
    inner.extend(&target);
    assert_eq!(log(&home), around("run", &inner));
    // What they did stands in the outcomes: in front of the first, behind the last.
    let titles = |name: &str| -> Vec<String> {
        let run = home.history(name).pop().expect("a run");
        let steps = run["steps"].as_array().expect("steps");
        let title = |s: &Value| -> String {
            s["title"]
                .as_str()
                .unwrap_or_default()
                .chars()
                .take(11)
                .collect()
        };
        steps.iter().map(title).collect()
    };
    assert_eq!(
        titles("home")
            .iter()
            .filter(|t| t.starts_with("hook before"))
            .count(),
        3
    );
    assert_eq!(
        titles("home@usb")
            .iter()
            .filter(|t| t.starts_with("hook before"))
            .count(),
        1
    );
    assert_eq!(
        titles("home@usb")
            .iter()
            .filter(|t| t.starts_with("hook finall"))
            .count(),
        2
    );
    assert_eq!(
        titles("home@copy")
            .iter()
            .filter(|t| t.starts_with("hook finall"))
            .count(),
        2
    );

    // One target alone has all of it around itself.
    forget(&home);
    home.expect(0, &["home@usb", "full"]);
    let alone: Vec<String> = around("source", &target);
    let alone: Vec<&str> = alone.iter().map(String::as_str).collect();
    assert_eq!(log(&home), around("run", &alone));
    // Nothing is made of the source here.
    forget(&home);
    home.expect(0, &["home@nas", "verify"]);
    assert_eq!(log(&home), around("run", &target));
    // A look has no hooks.
    forget(&home);
    home.expect(0, &["home", "status"]);
    assert_eq!(log(&home), Vec::<String>::new());
    // The plan shows them around the others.
    let plan = home.expect(0, &["home", "backup", "--plan"]).stdout;
    assert!(
        plan.contains("home (run)") && plan.contains("home (source)"),
        "{plan}"
    );
    assert_eq!(plan.matches("run before").count(), 1, "{plan}");
    assert_eq!(plan.matches("target before").count(), 2, "{plan}");
}

#[test]
fn a_scope_with_commands_belongs_to_batches_that_have_them() {
    let home = Home::new("scopes-commands");
    let named = hook(&home, "run", "before", "stopped", "true") + "commands = [\"backup\"]\n";
    three(&home, &named);
    home.expect(0, &["home", "backup"]);
    assert_eq!(log(&home), ["stopped"]);
    home.expect(0, &["home@nas", "verify"]);
    assert_eq!(log(&home), ["stopped"]);
    home.expect(0, &["home", "full"]);
    assert_eq!(log(&home), ["stopped", "stopped"]);
}

#[test]
fn a_hook_of_the_run_that_fails_keeps_every_target_from_beginning() {
    let home = Home::new("scopes-fail");
    let mut more = hook(&home, "run", "before", "asked", "exit 3");
    more += &hook(&home, "run", "error", "alarm", "true");
    more += &hook(&home, "run", "after", "never", "true");
    more += &hook(&home, "run", "finally", "finally", "true");
    more += &hook(&home, "target", "before", "target", "true");
    three(&home, &more);
    let told = home.expect(4, &["home", "backup"]);
    assert!(told.stderr.contains("exit code 3"), "{}", told.stderr);
    assert_eq!(log(&home), ["asked", "alarm", "finally"]);
    assert!(!home.path().join("nas").exists());
    // Each history knows why.
    for name in ["home", "home@usb"] {
        let run = home.history(name).pop().expect("a run");
        assert_eq!(run["verdict"], "failed", "{run}");
        assert!(
            run["steps"].to_string().contains("ended with exit code 3"),
            "{run}"
        );
    }
    // Or puts all of them off.
    forget(&home);
    three(&home, &hook(&home, "run", "before", "asked", "exit 75"));
    home.expect(7, &["home", "backup"]);
    assert_eq!(log(&home), ["asked"]);
    assert_eq!(
        home.history("home@usb").pop().expect("a run")["verdict"],
        "deferred"
    );
    assert!(!home.path().join("nas").exists());
}

#[test]
fn what_fails_behind_the_last_target_is_told_and_one_bad_target_is_an_error_of_the_run() {
    let home = Home::new("scopes-after");
    let mut more = hook(&home, "run", "success", "well", "true");
    more += &hook(&home, "run", "error", "alarm", "true");
    more += &hook(&home, "run", "after", "after", "exit 9");
    three(&home, &more);
    home.expect(4, &["home", "backup"]);
    assert_eq!(log(&home), ["after", "well"]);
    assert_eq!(
        home.history("home").pop().expect("a run")["verdict"],
        "success"
    );
    assert_eq!(
        home.history("home@usb").pop().expect("a run")["verdict"],
        "failed"
    );
    // The first target fails, the second does not.
    forget(&home);
    fs::remove_dir_all(home.path().join("nas")).expect("nas");
    fs::write(home.path().join("nas"), "a file").expect("in the way");
    let code = home.dupr(&["home", "backup"]).code;
    assert_ne!(code, 0);
    let told = log(&home);
    assert!(
        told.contains(&"alarm".to_owned()) && !told.contains(&"well".to_owned()),
        "{told:?}"
    );
}

#[test]
fn a_run_that_does_not_begin_has_no_hooks() {
    let home = Home::new("scopes-wait");
    let mut more = hook(&home, "run", "before", "stopped", "true");
    more += &undo(&home, "started");
    more += "[run.require]\nmin-free-temp = \"900000 TiB\"\n";
    three(&home, &more);
    home.expect(7, &["home", "backup"]);
    assert_eq!(log(&home), Vec::<String>::new());
    // The first target is absent: the second one begins.
    let more = hook(&home, "run", "before", "stopped", "true") + &undo(&home, "started");
    three(&home, &more);
    let text = fs::read_to_string(home.path().join(".config/dupr/home.toml")).expect("profile");
    let optional = text.replace("name = \"nas\"\n", "name = \"nas\"\noptional = true\n");
    home.raw_profile("home", &optional);
    home.expect(0, &["home", "backup"]);
    assert_eq!(log(&home), ["stopped", "started"]);
    assert!(
        home.history("home@usb").pop().expect("a run")["steps"]
            .to_string()
            .contains("hook before")
    );
}

#[test]
fn a_signal_ends_the_run_and_what_was_stopped_is_started_again() {
    let home = Home::new("scopes-signal");
    let mut more = hook(&home, "run", "before", "stopped", "true");
    more += &undo(&home, "started");
    more += &hook(&home, "run", "finally", "finally", "true");
    more += &hook(&home, "target", "before", "waiting", "sleep 300");
    three(&home, &more);
    let child = home
        .command(&["home", "backup"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("dupr");
    let until = Instant::now() + Duration::from_secs(120);
    while !log(&home).contains(&"waiting".to_owned()) {
        assert!(Instant::now() < until, "{:?}", log(&home));
        std::thread::sleep(Duration::from_millis(20));
    }
    let id = rustix::process::Pid::from_raw(i32::try_from(child.id()).expect("pid")).expect("pid");
    rustix::process::kill_process(id, rustix::process::Signal::TERM).expect("signal");
    let ended = called(child.wait_with_output().expect("dupr"));
    assert_eq!(ended.code, 130, "{}", ended.stderr);
    assert_eq!(log(&home), ["stopped", "waiting", "started", "finally"]);
    let run = home.history("home").pop().expect("a run");
    assert!(run["steps"].to_string().contains("hook undo"), "{run}");
}

#[test]
fn scopes_that_mean_nothing_are_refused() {
    let home = Home::new("scopes-wrong");
    home.profile(
        "home",
        "[[hook]]\non = \"pre\"\nscope = \"run\"\nexec = [\"true\"]\n",
    );
    let told = home.expect(2, &["home", "backup"]);
    assert!(
        told.stderr.contains("belongs to the batch of each target"),
        "{}",
        told.stderr
    );
    home.profile("home", "");
    fs::write(
        home.path().join(".config/dupr/groups.toml"),
        "[all-of-it]\nprofiles = [\"home\"]\n[[all-of-it.hook]]\non = \"before\"\nscope = \"run\"\nexec = [\"true\"]\n",
    )
    .expect("groups");
    let told = home.expect(2, &["all-of-it", "backup"]);
    assert!(
        told.stderr.contains("a group has no targets of its own"),
        "{}",
        told.stderr
    );
    home.profile(
        "home",
        "[[hook]]\non = \"before\"\nscope = \"evry\"\nexec = [\"true\"]\n",
    );
    home.expect(2, &["home", "backup"]);
}

#[test]
fn a_member_of_a_group_keeps_its_scopes() {
    let home = Home::new("scopes-group");
    let mut more = hook(&home, "run", "before", "of the run", "true");
    more += &hook(&home, "target", "before", "of the target", "true");
    three(&home, &more);
    let file = home.path().join("hooks").display().to_string();
    let script = format!("echo of the group >> {file}");
    let group = format!(
        "[nightly]\nprofiles = [\"home\"]\n[[nightly.hook]]\non = \"before\"\nexec = [\"sh\", \"-c\", {script:?}]\n"
    );
    fs::write(home.path().join(".config/dupr/groups.toml"), group).expect("groups");
    home.expect(0, &["nightly", "backup"]);
    let told = [
        "of the group",
        "of the run",
        "of the target",
        "of the target",
    ];
    assert_eq!(log(&home), told);
    // Its plan shows all of them.
    let plan = home.expect(0, &["nightly", "backup", "--plan"]).stdout;
    for (text, count) in [("of the group", 1), ("of the run", 1), ("of the target", 2)] {
        assert_eq!(plan.matches(text).count(), count, "{text}: {plan}");
    }
}
