//! How `[run]`, `[check]`, `[retention]`, `[schedule]` and `[[hook]]` change a run.

use super::{Case, names};
use crate::support::home::{Home, called};
use crate::support::programs::skipped;
use std::fs;
use std::os::unix::fs::FileExt;
use std::process::{Command, Stdio};

/// Commands of the steps of the last run.
fn steps(home: &Home, case: &Case) -> Vec<String> {
    let runs = home.history(&case.name);
    let steps = runs.last().expect("a run")["steps"].as_array().cloned();
    let of = |s: &serde_json::Value| s["command"].as_str().unwrap_or_default().to_owned();
    steps.expect("steps").iter().map(of).collect()
}

#[test]
fn a_profile_alone_runs_its_default() {
    let home = Home::new("keys-default");
    let case = Case::new(&home).tables("[run]\ndefault = \"backup_verify\"\n");
    home.expect(0, &[&case.name]);
    assert_eq!(steps(&home, &case), ["bkp", "verify"]);
    assert_eq!(home.history(&case.name)[0]["batch"], "backup_verify");
}

#[test]
fn a_lock_is_waited_for_as_long_as_the_profile_says() {
    let home = Home::new("keys-lock");
    let gate = home.path().join("gate");
    let hold = format!(
        "touch {0}.begun; for i in $(seq 600); do [ -e {0} ] && exit 0; sleep 0.1; done",
        gate.display()
    );
    let case = Case::new(&home).tables(&format!(
        "[run]\nlock-wait = \"10m\"\n[[hook]]\non = \"before\"\ncommands = [\"full\"]\nexec = [\"sh\", \"-c\", {hold:?}]\n"
    ));
    let start = |words: &[&str]| {
        let mut command = home.command(&[&[case.name.as_str()], words].concat());
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        command.spawn().expect("dupr")
    };
    let mut first = start(&["full"]);
    while !home.path().join("gate.begun").exists() {
        assert!(first.try_wait().expect("wait").is_none(), "it has ended");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    home.expect(11, &[&case.name, "incr", "--set", "run.lock-wait=1s"]);
    let mut second = start(&["incr", "-v"]);
    // It says that it waits; then the first one is let go.
    let stderr = second.stderr.take().expect("stderr");
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(stderr));
    let waiting = lines.find(|l| l.as_ref().is_ok_and(|l| l.contains("wait")));
    assert!(waiting.is_some(), "it did not say that it waits");
    fs::write(&gate, "").expect("gate");
    lines.for_each(drop);
    assert!(first.wait().expect("first").success());
    assert!(second.wait().expect("second").success());
}

#[test]
fn what_may_pass_is_tried_again_after_a_pause() {
    let home = Home::new("keys-retries");
    let case = Case::new(&home)
        .url("ftp://ada@127.0.0.1:9/x")
        .target("password = { command = [\"echo\", \"x\"] }\nretries = 0\n[run]\nretries = { max = 2, wait = \"1s\" }\n");
    let begun = std::time::Instant::now();
    let failed = home.expect(13, &[&case.name, "full"]);
    assert!(begun.elapsed().as_secs() >= 2, "{:?}", begun.elapsed());
    let again = failed.stderr.matches("trying again in 1 s").count();
    assert_eq!(again, 2, "{}", failed.stderr);
}

#[test]
fn without_a_network_a_run_that_needs_one_is_put_off() {
    let home = Home::new("keys-network");
    let case = Case::new(&home).tables("[run.require]\nnetwork = \"online\"\n");
    // A world of its own without an interface.
    let alone = |arguments: &[&str]| {
        let whole = home.command(arguments);
        let mut command = Command::new("unshare");
        command.arg("-rn").arg(whole.get_program());
        command.args(whole.get_args()).env_clear();
        for (key, value) in whole.get_envs() {
            command.env(key, value.unwrap_or_default());
        }
        command.current_dir(home.path());
        called(command.output().expect("unshare"))
    };
    if alone(&["version"]).code != 0 {
        skipped("unshare", "no network of one's own can be made here");
        return;
    }
    let told = alone(&[&case.name, "full"]);
    assert_eq!(told.code, 7, "{}", told.stderr);
    assert!(told.stderr.contains("no network"), "{}", told.stderr);
    assert!(names(&case.target).is_empty());
    let any = alone(&[&case.name, "full", "--set", "run.require.network=any"]);
    assert_eq!(any.code, 0, "{}", any.stderr);
}

#[test]
fn checks_read_as_many_files_as_often_as_they_are_told() {
    let home = Home::new("keys-check");
    for n in 0..20 {
        home.write(&format!("file-{n}"), "the same length\n");
    }
    let case = Case::new(&home).tables(
        "[check]\nspot = { every = \"1M\", sample = \"100%\" }\nrestore-test = { every = \"2M\", files = 7 }\n",
    );
    home.expect(0, &[&case.name, "full"]);
    let first = home.expect(0, &[&case.name, "check"]);
    for count in ["23 of 23 files read back", "7 of 23 files read back"] {
        assert!(first.stderr.contains(count), "{}", first.stderr);
    }
    // Not due before the month is over.
    let second = home.expect(0, &[&case.name, "check"]);
    assert!(!second.stderr.contains("read back"), "{}", second.stderr);
    let often = case.clone().tables("[check]\nspot = { every = \"1s\", sample = \"10%\" }\nrestore-test = { every = \"2M\", files = 7 }\n");
    let begun = std::time::Instant::now();
    loop {
        let called = home.expect(0, &[&often.name, "check"]);
        if called.stderr.contains("3 of 23 files read back") {
            break;
        }
        assert!(begun.elapsed().as_secs() < 60, "{}", called.stderr);
    }
    // A sample finds what changed although size and time stayed. A time of long ago: one of just now is not believed.
    let time = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    let file = fs::File::options()
        .write(true)
        .open(home.source().join("file-3"))
        .expect("file");
    file.set_modified(time).expect("time");
    home.expect(0, &[&case.name, "incr"]);
    file.write_at(b"THE", 0).expect("write");
    file.set_modified(time).expect("time");
    drop(file);
    let case = case
        .clone()
        .tables("[check]\nspot = { every = \"1s\", sample = \"100%\" }\n");
    let found = home.expect(5, &[&case.name, "check", "--all"]);
    assert!(found.stderr.contains("file-3"), "{}", found.stderr);
}

#[test]
fn purge_keeps_what_the_rules_keep_and_needs_leave() {
    let home = Home::new("keys-retention");
    let case = Case::new(&home);
    for _ in 0..3 {
        home.expect(0, &[&case.name, "full"]);
        home.write("one", "changed\n");
        home.expect(0, &[&case.name, "incr"]);
    }
    let count = |kind: &str| {
        let all = names(&case.target).into_iter();
        all.filter(|n| n.contains(kind) && n.contains(".manifest"))
            .count()
    };
    let purge = |lines: &str| {
        let case = case.clone().tables(&format!("[retention]\n{lines}"));
        home.expect(0, &[&case.name, "purge"]).stdout
    };
    assert_eq!((count("-full."), count("-inc.")), (3, 3));
    // Without leave it only lists.
    let listed = purge("keep-chains-with-incrementals = 2\n");
    assert!(listed.contains("--force"), "{listed}");
    assert_eq!((count("-full."), count("-inc.")), (3, 3));
    purge("keep-chains-with-incrementals = 2\nforce = true\n");
    assert_eq!((count("-full."), count("-inc.")), (3, 2));
    // Of one month, the newest chain.
    purge("keep-monthly = 2\nmin-chains = 3\nforce = true\n");
    assert_eq!(count("-full."), 3);
    purge("max-age = \"1s\"\nkeep-yearly = 1\nmin-chains = 2\nforce = true\n");
    assert_eq!(count("-full."), 2);
    purge("keep-fulls = 1\nforce = true\n");
    assert_eq!((count("-full."), count("-inc.")), (1, 1));
}

#[test]
fn a_schedule_becomes_the_same_timer() {
    let home = Home::new("keys-schedule");
    let timer = |more: &str| {
        let case = Case::new(&home).tables(&format!("[schedule]\ncron = \"17 2 * * *\"\n{more}"));
        let words = ["schedule", "export", &case.name, "--as", "systemd"];
        home.expect(0, &words).stdout
    };
    let usual = timer("");
    assert!(
        usual.contains("02:17") && usual.contains("Persistent=true\n"),
        "{usual}"
    );
    assert!(!usual.contains("UTC") && !usual.contains("RandomizedDelaySec=1200"));
    let other = timer("catch-up = false\njitter = \"20m\"\ntime-zone = \"utc\"\n");
    for line in ["UTC", "RandomizedDelaySec=1200", "Persistent=false"] {
        assert!(other.contains(line), "{line}: {other}");
    }
}

#[test]
fn hooks_belong_to_their_commands_and_fail_as_they_are_told() {
    let home = Home::new("keys-hooks");
    for (word, code, made) in [("abort", 4, false), ("warn", 3, true), ("ignore", 0, true)] {
        let case = Case::new(&home).tables(&format!(
            "[[hook]]\non = \"before\"\ncommands = [\"full\"]\nexec = [\"false\"]\non-failure = {word:?}\n"
        ));
        home.expect(code, &[&case.name, "full"]);
        assert_eq!(!names(&case.target).is_empty(), made, "{word}");
    }
    // Of another command it is not asked.
    let case = Case::new(&home)
        .tables("[[hook]]\non = \"before\"\ncommands = [\"verify\"]\nexec = [\"false\"]\n");
    home.expect(0, &[&case.name, "full"]);
    home.expect(4, &[&case.name, "verify"]);
}
