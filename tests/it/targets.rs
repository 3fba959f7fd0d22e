//! Several targets of one profile: each with a chain, a lock, a history and a verdict of its own; one that may be absent is
//! skipped; whoever waits for a sign of life gets one for all of them.

use crate::support::home::Home;
use crate::support::sink::Sink;
use serde_json::Value;
use std::fs;
use std::path::PathBuf;

fn usb(home: &Home) -> PathBuf {
    home.path().join("usb")
}

/// A profile with a target at home and a disk that may be absent.
fn two_targets(home: &Home, more: &str) {
    home.raw_profile(
        "home",
        &format!(
            "version = 1\nsource = {:?}\npassphrase = {{ file = {:?} }}\n\
             [[target]]\nname = \"nas\"\nurl = \"file://{}\"\n\
             [[target]]\nname = \"usb\"\nurl = \"file://{}\"\noptional = true\n{more}",
            home.source(),
            home.path().join("pass"),
            home.target().display(),
            usb(home).display(),
        ),
    );
}

fn count(dir: PathBuf) -> usize {
    fs::read_dir(dir).map_or(0, Iterator::count)
}

#[test]
fn each_target_has_a_chain_and_a_history_and_can_be_called_alone() {
    let home = Home::new("two-targets");
    two_targets(&home, "");
    fs::create_dir(usb(&home)).expect("a disk");
    let run = home.expect(0, &["home", "backup"]);
    for line in ["ok: home backup in ", "ok: home@usb backup in "] {
        assert!(run.stdout.contains(line), "{}", run.stdout);
    }
    home.write("one", "changed\n");
    home.expect(0, &["home@usb", "full"]);
    assert_eq!(
        (home.history("home").len(), home.history("home@usb").len()),
        (1, 2)
    );
    assert!(count(usb(&home)) > home.stored().len());
    // What is fetched comes from the first target, or the one that is named.
    for (word, text) in [("home", "first\n"), ("home@usb", "changed\n")] {
        let out = home.path().join(format!("out-{word}"));
        home.expect(0, &[word, "restore", &out.display().to_string()]);
        assert_eq!(fs::read_to_string(out.join("one")).expect("restored"), text);
    }
    let history = home.expect(0, &["history", "home@usb"]);
    assert!(history.stdout.contains(" full"), "{}", history.stdout);
    let status = home.expect(0, &["status"]);
    assert!(status.stdout.contains("\nhome@usb "), "{}", status.stdout);
    let wrong = home.expect(2, &["home@tape", "backup"]);
    assert!(
        wrong.stderr.contains("home has no target tape"),
        "{}",
        wrong.stderr
    );
    assert!(wrong.stderr.contains("nas, usb"), "{}", wrong.stderr);
}

#[test]
fn a_disk_that_is_not_there_is_skipped_and_nothing_is_made_in_its_place() {
    let home = Home::new("absent-disk");
    two_targets(&home, "");
    let run = home.expect(0, &["home", "backup"]);
    assert!(
        run.stderr.contains("deferred: home@usb backup"),
        "{}",
        run.stderr
    );
    assert!(!usb(&home).exists() && !home.stored().is_empty());
    // Alone it is put off: nothing at all was done.
    home.expect(7, &["home@usb", "backup"]);
    fs::create_dir(usb(&home)).expect("a disk");
    home.expect(0, &["home", "backup"]);
    // An empty mount point is not the disk that held sets.
    let aside = home.path().join("aside");
    fs::rename(usb(&home), &aside).expect("unplug");
    fs::create_dir(usb(&home)).expect("mount point");
    let run = home.expect(0, &["home", "backup"]);
    assert!(
        run.stderr.contains("is the disk mounted?"),
        "{}",
        run.stderr
    );
    assert_eq!(count(usb(&home)), 0);
    fs::remove_dir(usb(&home)).expect("remove");
    fs::rename(&aside, usb(&home)).expect("plug in");
    home.expect(0, &["home", "backup"]);
    home.expect(0, &["home@usb", "verify"]);
}

#[test]
fn the_failure_of_one_target_is_not_hidden_by_the_other() {
    let home = Home::new("one-fails");
    let sink = Sink::start(home.path());
    two_targets(
        &home,
        &format!("[report.ping]\nurl = \"{}\"\n", sink.url("/ping")),
    );
    fs::create_dir(usb(&home)).expect("a disk");
    home.expect(0, &["home", "backup"]);
    assert_eq!(sink.lines(), ["POST /ping/start", "POST /ping"]);
    // A folder where a file is cannot be written, whoever tries.
    let aside = home.path().join("aside");
    fs::rename(home.target(), &aside).expect("away");
    fs::write(home.target(), "a file").expect("write");
    let run = home.dupr(&["home", "backup", "--json"]);
    assert_ne!(run.code, 0);
    let document: Value = serde_json::from_str(&run.stdout).expect("JSON");
    let verdicts: Vec<&str> = document["runs"]
        .as_array()
        .expect("runs")
        .iter()
        .filter_map(|r| r["outcome"]["verdict"].as_str())
        .collect();
    assert_eq!(verdicts, ["failed", "success"]);
    let told = sink.lines();
    assert_eq!(told[1], format!("POST /ping/{}", run.code), "{told:?}");
    assert_eq!(told.len(), 2, "{told:?}");
    let status = home.expect(0, &["status"]);
    let line = |name: &str| {
        let found = status
            .stdout
            .lines()
            .find(|l| l.starts_with(&format!("{name} ")));
        found.unwrap_or_default().to_owned()
    };
    assert!(
        line("home").contains("FAILED") && line("home@usb").contains(" ok "),
        "{}",
        status.stdout
    );
}

/// While one target is busy, the others are served.
#[test]
fn each_target_has_a_lock_of_its_own() {
    let home = Home::new("two-locks");
    let at = home.path().display();
    let hold = home.script(
        "hold",
        &format!(
            "cd {at}\n[ ! -e held ] || {{ touch began; while [ ! -e go ]; do sleep 0.05; done; }}"
        ),
    );
    two_targets(
        &home,
        &format!("[[hook]]\non = \"before\"\nexec = [{hold:?}]\n"),
    );
    fs::create_dir(usb(&home)).expect("a disk");
    fs::write(home.path().join("held"), "").expect("held");
    let mut first = home
        .command(&["home@usb", "backup", "-q"])
        .spawn()
        .expect("dupr");
    while !home.path().join("began").exists() {
        let ended = first.try_wait().expect("wait");
        assert!(ended.is_none(), "the first run has ended");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    fs::remove_file(home.path().join("held")).expect("held");
    home.expect(0, &["home@nas", "backup"]);
    home.expect(11, &["home@usb", "backup", "--no-lock-wait"]);
    let run = home.expect(11, &["home", "backup", "--no-lock-wait", "--json"]);
    let document: Value = serde_json::from_str(&run.stdout).expect("JSON");
    let runs = document["runs"].as_array().expect("runs").iter();
    let verdicts: Vec<&str> = runs
        .filter_map(|r| r["outcome"]["verdict"].as_str())
        .collect();
    assert_eq!(verdicts, ["success", "failed"]);
    fs::write(home.path().join("go"), "").expect("go");
    assert!(first.wait().expect("wait").success());
    home.expect(0, &["home@usb", "verify"]);
}

#[test]
fn a_profile_with_several_targets_is_one_member_of_a_group() {
    let home = Home::new("targets-group");
    two_targets(&home, "");
    let groups = home.path().join(".config/dupr/groups.toml");
    fs::write(groups, "[night]\nprofiles = [\"home\"]\nparallel = 4\n").expect("groups");
    let run = home.expect(0, &["night", "backup"]);
    assert!(run.stdout.contains("1 profile: 1 ok"), "{}", run.stdout);
}

#[test]
fn tools_look_at_each_target_or_the_one_that_is_named() {
    let home = Home::new("targets-tools");
    two_targets(&home, "[stale]\nafter = \"1D\"\n");
    fs::create_dir(usb(&home)).expect("a disk");
    home.expect(0, &["home@usb", "backup"]);
    let document = |words: &[&str]| -> Value {
        let called = home.dupr(&[words, &["--json"]].concat());
        serde_json::from_str(&called.stdout).expect("a document")
    };
    let names = |document: &Value| -> Vec<String> {
        let list = document["profiles"].as_array().expect("a list");
        list.iter()
            .map(|p| p["profile"].as_str().expect("a name").to_owned())
            .collect()
    };
    for tool in ["status", "watch"] {
        assert_eq!(names(&document(&[tool, "home"])), ["home", "home@usb"]);
        assert_eq!(names(&document(&[tool, "home@usb"])), ["home@usb"]);
        assert_eq!(names(&document(&[tool, "home@nas"])), ["home"]);
    }
    let looked = |word: &str| home.dupr(&["doctor", word]).stdout;
    let both = looked("home");
    assert!(
        both.contains("has not run yet") && both.contains("last run "),
        "{both}"
    );
    let one = looked("home@usb");
    assert!(
        one.contains("last run ") && !one.contains("has not run yet"),
        "{one}"
    );
    home.expect(2, &["watch", "home@tape"]);
}

/// Names of what lies in a folder.
fn names(dir: PathBuf) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .map(|e| e.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn a_copy_gets_the_sets_of_its_origin_and_restores_alone() {
    let home = Home::new("copy");
    two_targets(
        &home,
        "copy-of = \"nas\"\n[run]\ndefault = \"backup_replicate\"\n",
    );
    fs::create_dir(usb(&home)).expect("a disk");
    let run = home.expect(0, &["home"]);
    assert!(run.stdout.contains("1 set in 1 volume"), "{}", run.stdout);
    assert_eq!(names(home.target()), names(usb(&home)));
    home.write("one", "changed\n");
    home.expect(0, &["home", "incr", "-q"]);
    assert_eq!(home.history("home@usb").len(), 1, "no run of the copy");
    let plan = home.expect(0, &["home", "replicate", "--plan"]).stdout;
    assert!(
        plan.contains("from nas") && plan.contains("1 is there already"),
        "{plan}"
    );
    home.expect(0, &["home", "replicate"]);
    assert_eq!(names(home.target()), names(usb(&home)));
    // Words that have nothing to do there.
    for (word, batch) in [("home@usb", "backup"), ("home@nas", "replicate")] {
        let refused = home.expect(2, &[word, batch]);
        assert!(refused.stderr.contains("copy"), "{}", refused.stderr);
    }
    // Damage stays where it is.
    home.expect(0, &["home", "full", "-q"]);
    let newest = |kind: &str| {
        let all = names(home.target()).into_iter();
        let full = all.filter(|n| n.starts_with("duplicity-full.") && n.contains(kind));
        full.max().expect("a full set")
    };
    let volume = home.target().join(newest(".vol1."));
    let mut bytes = fs::read(&volume).expect("volume");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&volume, bytes).expect("write");
    home.expect(14, &["home", "replicate"]);
    assert!(!names(usb(&home)).contains(&newest(".manifest")));
    fs::remove_dir_all(home.target()).expect("the origin is lost");
    home.expect(0, &["home@usb", "restore", "back"]);
    let back = fs::read_to_string(home.path().join("back/one")).expect("restored");
    assert_eq!(back, "changed\n");
}
