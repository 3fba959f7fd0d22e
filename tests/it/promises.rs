//! Sentences of the manual that no other test holds dupr to, each from the outside.

use crate::support::home::Home;
use std::fs;

#[test]
fn a_tool_may_stand_behind_the_profile() {
    let home = Home::new("tool-behind");
    home.expect(0, &["home", "backup"]);
    for (behind, before) in [
        (&["home", "history"][..], &["history", "home"][..]),
        (
            &["home", "history", "-n", "1"],
            &["history", "home", "-n", "1"],
        ),
        (
            &["--json", "home", "HISTORY"],
            &["history", "home", "--json"],
        ),
        (&["home", "show"], &["show", "home"]),
        (&["home", "du"], &["du", "home"]),
        (
            &["home", "status", "--exit-code"],
            &["status", "home", "--exit-code"],
        ),
    ] {
        let (behind, before) = (home.expect(0, behind), home.expect(0, before));
        assert_eq!(behind.stdout, before.stdout);
        assert!(!behind.stdout.is_empty());
    }
    let plan = home.expect(0, &["home", "plan", "verify"]).stdout;
    assert!(plan.starts_with("home verify "), "{plan}");
    // A batch of a profile called like a command's argument stays one.
    home.expect(0, &["home", "restore", "history"]);
    assert!(home.path().join("history/one").exists());
    let called = home.expect(2, &["home", "mount"]);
    assert!(
        called.stderr.contains("has no mount yet"),
        "{}",
        called.stderr
    );
    assert!(
        home.expect(2, &["serve"])
            .stderr
            .contains("no such tool yet")
    );
}

#[test]
fn niceness_and_io_class_are_those_of_the_profile_and_of_its_hooks() {
    let home = Home::new("nice");
    let look = home.script(
        "look",
        "cut -d' ' -f19 /proc/$PPID/stat; cut -d' ' -f19 /proc/self/stat; ionice -p $PPID",
    );
    let hook = format!("[[hook]]\non = \"before\"\nexec = [{look:?}]\n");
    home.profile(
        "home",
        &format!("{hook}[run]\nnice = 7\nio-class = \"idle\"\n"),
    );
    home.profile(
        "best",
        &format!("{hook}[run]\nio-class = \"best-effort\"\n[backup]\nfile-prefix = \"best-\"\n"),
    );
    home.expect(0, &["home", "backup"]);
    home.expect(0, &["best", "backup"]);
    let printed = |profile: &str| {
        let runs = home.history(profile);
        let output = runs[0]["steps"][0]["output"].clone();
        serde_json::from_value::<Vec<String>>(output).expect("lines of the hook")
    };
    assert_eq!(printed("home"), ["7", "7", "idle"]);
    let best = printed("best");
    assert_eq!(best[2], "best-effort: prio 7");
    // Two in one call: the second has what it asks for, not what the first left behind.
    let own = fs::read_to_string("/proc/self/stat").expect("stat");
    let own = own.rsplit(')').next().unwrap().split_whitespace().nth(16);
    home.expect(0, &["best,home", "bkp"]);
    assert_eq!(best[0], own.unwrap_or_default());
}

#[test]
fn a_priority_that_cannot_be_had_is_told_and_the_backup_made() {
    let home = Home::new("no-ionice");
    home.profile("home", "[run]\nio-class = \"idle\"\n");
    let mut command = home.command(&["home", "backup"]);
    command.env("PATH", home.path());
    let called = crate::support::home::called(command.output().expect("dupr runs"));
    assert_eq!(called.code, 0, "{}", called.stderr);
    assert!(
        called.stderr.contains("io-class has no effect"),
        "{}",
        called.stderr
    );
    assert!(!home.stored().is_empty());
}

#[test]
fn with_json_every_end_is_a_document() {
    let home = Home::new("json-ends");
    home.profile("broken", "nonsense = 1\n[backup]\nfull-every = \"1Q\"\n");
    home.profile("gone", "[run]\nlock-wait = \"0s\"\n");
    let text = home.path().join(".config/dupr/gone.toml");
    let gone = fs::read_to_string(&text).expect("profile");
    fs::write(&text, gone.replace("/pass\"", "/no-pass\"")).expect("profile");
    for (arguments, code, errors) in [
        (&["broken", "backup"][..], 2, 2),
        (&["home", "bakcup"], 2, 1),
        (&["nobody", "backup"], 2, 1),
        (&["show", "broken"], 2, 0),
        (&["history", "nobody"], 2, 1),
        (&["status", "nobody"], 2, 1),
        (&["gone", "backup"], 2, 1),
        (&["home", "restore", "x"], 10, 0),
        (&["home", "backup", "--plan"], 0, 0),
        (&["home", "backup"], 0, 0),
        (&["home", "status"], 0, 0),
        (&["profiles"], 2, 0),
        (&["doctor", "home"], 0, 0),
    ] {
        let called = home.dupr(&[arguments, &["--json"]].concat());
        let document: serde_json::Value = serde_json::from_str(&called.stdout)
            .unwrap_or_else(|e| panic!("{arguments:?}: {e}: {}{}", called.stdout, called.stderr));
        assert_eq!(document["schema"], 1, "{arguments:?}");
        assert!(
            called.code == code || arguments == ["doctor", "home"],
            "{arguments:?}: {} {document}",
            called.code
        );
        let told = document["errors"].as_array().map_or(0, Vec::len);
        assert_eq!(told, errors, "{arguments:?}: {document}");
        assert!(!called.stdout.contains(crate::support::home::CANARY));
    }
}

#[test]
fn a_plan_says_that_the_source_is_not_there() {
    let home = Home::new("plan-source");
    fs::rename(home.source(), home.path().join("away")).expect("rename");
    let plan = home.expect(0, &["home", "backup", "--plan"]).stdout;
    assert!(
        plan.contains("the backup would fail: the source ") && plan.contains("is not there"),
        "{plan}"
    );
    assert!(
        !home
            .expect(0, &["home", "cleanup", "--plan"])
            .stdout
            .contains("would fail")
    );
    home.profile("rules", "[source]\nselect = [\"- /elsewhere\"]\n");
    let text = fs::read_to_string(home.path().join(".config/dupr/rules.toml")).expect("profile");
    let text = text.replace(&format!("source = {:?}\n", home.source()), "")
        + &format!("path = {:?}\n", home.path().join("away"));
    home.raw_profile("rules", &text);
    let plan = home.expect(0, &["rules", "backup", "--plan"]).stdout;
    assert!(plan.contains("the backup would fail: "), "{plan}");
}

#[test]
fn cron_has_no_home_no_terminal_and_hardly_a_path() {
    let home = Home::new("cron");
    let marks = home.path().join("marks");
    home.profile(
        "home",
        &format!(
            "[backup]\narchive-dir = {:?}\n[[hook]]\non = \"finally\"\nexec = [\"sh\", \"-c\", \"echo done >> {}\"]\n",
            home.path().join("cache"),
            marks.display()
        ),
    );
    let config = home.path().join(".config/dupr");
    let config = config.to_str().expect("UTF-8");
    let dupr = env!("CARGO_BIN_EXE_dupr");
    // Standard streams closed, not only empty; state goes where the home of the account is, so one is given.
    for (script, quiet) in [
        ("exec \"$@\" <&-", true),
        ("exec \"$@\" <&- >&- 2>&-", true),
    ] {
        let output = std::process::Command::new("/bin/sh")
            .args([
                "-c",
                script,
                "sh",
                dupr,
                "--config-dir",
                config,
                "home",
                "backup",
                "-q",
            ])
            .env_clear()
            .env("XDG_STATE_HOME", home.path().join("state"))
            .current_dir("/")
            .output()
            .expect("sh");
        assert!(output.status.success(), "{script}: {output:?}");
        assert!(
            !quiet || output.stdout.is_empty() && output.stderr.is_empty(),
            "{output:?}"
        );
    }
    assert_eq!(fs::read_to_string(marks).expect("marks").lines().count(), 2);
    assert!(home.path().join("state/dupr/home/history.jsonl").exists());
}

#[test]
fn no_words_of_the_command_line_end_dupr_in_anything_but_words() {
    use rand::rngs::SmallRng;
    use rand::seq::IndexedRandom;
    use rand::{Rng, SeedableRng};
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;

    const WORDS: &[&str] = &[
        "home",
        "backup",
        "bkp",
        "full",
        "purge",
        "purgeFull",
        "verify",
        "verifyPath",
        "check",
        "status",
        "list",
        "find",
        "versions",
        "diff",
        "restore",
        "fetch",
        "sync",
        "history",
        "show",
        "plan",
        "doctor",
        "import",
        "duply",
        "profiles",
        "completions",
        "schema",
        "--plan",
        "--json",
        "-v",
        "-q",
        "--set",
        "--force",
        "--last",
        "--report",
        "--",
        "-",
        "_",
        "+",
        "[",
        "]",
        "and",
        "or",
        "groupIn",
        "",
        " ",
        "\n",
        "\u{1b}[31m",
        "\u{202e}",
        "ÄÖ",
        "0",
        "-1",
        "1D",
        "99999999999999999999D",
        "now",
        "/",
        "..",
        "a=b",
        "backup.volume-size=1",
        "*",
        ",",
        "${x}",
    ];
    let home = Home::new("words");
    let mut random = SmallRng::seed_from_u64(4711);
    for _ in 0..300 {
        let mut arguments: Vec<OsString> = Vec::new();
        for _ in 0..random.random_range(0..6) {
            let mut word = Vec::new();
            for _ in 0..random.random_range(1..4) {
                word.extend_from_slice(WORDS.choose(&mut random).unwrap_or(&"").as_bytes());
                if random.random_bool(0.6) {
                    break;
                }
            }
            if random.random_bool(0.05) {
                word.push(0xff);
            }
            arguments.push(OsString::from_vec(word));
        }
        let mut command = home.command(&[]);
        let output = command.args(&arguments).output().expect("dupr runs");
        let code = output.status.code().unwrap_or(-1);
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(
            matches!(code, 0..=7 | 10..=14) && !text.contains("panicked"),
            "{arguments:?}: {code} {text}"
        );
        assert!(
            code == 0 || !text.trim().is_empty(),
            "{arguments:?}: {code} in silence"
        );
        // clap repeats values of options as they are.
        let by_clap = text.contains("For more information, try");
        assert!(
            by_clap || !text.contains(['\u{1b}', '\u{202e}']),
            "{arguments:?}: {text:?}"
        );
    }
}

#[test]
fn what_this_build_does_not_do_is_refused_and_not_ignored() {
    let home = Home::new("not-yet");
    let email = "[report.email]\nto = \"a@example.org\"\nfrom = \"b@example.org\"\nsendmail = \"/bin/true\"\n";
    for (more, says) in [
        (
            "[keys]\ngpg-options = [\"--x\"]\n".to_owned(),
            "gpg-options",
        ),
        (
            email.replace("sendmail = \"/bin/true\"", "smtp = \"smtp://h:99999\""),
            "the port is no number",
        ),
        (
            email.replace("sendmail = \"/bin/true\"", "smtp = \"smtps://me@h\""),
            "without a password",
        ),
    ] {
        home.profile("home", &more);
        let called = home.expect(2, &["home", "backup"]);
        assert!(
            called.stderr.contains(says) && called.stderr.contains("home.toml:"),
            "{more}: {}",
            called.stderr
        );
    }
    for target in ["gopher://h/x", "onedrive:///", "s3://h:9000"] {
        home.raw_profile(
            "home",
            &format!(
                "version = 1\nsource = \"/\"\ntarget = {target:?}\n[keys]\nencryption = \"none\"\n"
            ),
        );
        let called = home.expect(2, &["home", "backup", "--plan"]);
        assert!(
            called.stderr.contains("home.toml:3:10"),
            "{target}: {}",
            called.stderr
        );
    }
    assert!(home.stored().is_empty());
}

#[test]
fn a_check_that_is_not_due_is_done_when_all_are_asked_for() {
    let home = Home::new("check-all");
    home.profile("home", "[check]\nquick = \"1W\"\n");
    home.expect(0, &["home", "backup_check"]);
    let checks = |run: &serde_json::Value| {
        let steps = run["steps"].as_array().expect("steps");
        steps.iter().filter(|s| s["command"] == "check").count()
    };
    home.expect(0, &["home", "backup_check"]);
    home.expect(0, &["home", "check", "--all"]);
    let runs = home.history("home");
    assert_eq!(runs.iter().map(checks).collect::<Vec<_>>(), [1, 0, 1]);
    let refused = home.expect(2, &["home", "backup", "--all"]);
    assert!(refused.stderr.contains("--all"), "{}", refused.stderr);
}

#[test]
fn a_destination_that_holds_something_is_added_to_as_it_was_said() {
    let home = Home::new("overwrite");
    home.expect(0, &["home", "backup"]);
    let place = home.path().join("there");
    let to = place.display().to_string();
    let old = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
    let mess = || {
        let _ = fs::remove_dir_all(&place);
        fs::create_dir(&place).expect("folder");
        for (name, time) in [("one", Some(old)), ("two", None), ("mine", None)] {
            fs::write(place.join(name), "there before\n").expect("file");
            let file = fs::File::options()
                .write(true)
                .open(place.join(name))
                .expect("file");
            let later = std::time::SystemTime::now() + std::time::Duration::from_secs(3600);
            file.set_modified(time.unwrap_or(later)).expect("time");
        }
    };
    let is_kept =
        |name: &str| fs::read_to_string(place.join(name)).expect(name) == "there before\n";
    mess();
    home.expect(1, &["home", "restore", &to]);
    assert!(is_kept("one") && is_kept("two"));
    for (word, one, two) in [
        ("never", true, true),
        ("older", false, true),
        ("always", false, false),
    ] {
        mess();
        let told = home.expect(0, &["home", "restore", &to, "--overwrite", word]);
        assert_eq!((is_kept("one"), is_kept("two")), (one, two), "{word}");
        assert!(is_kept("mine"));
        let kept = usize::from(one) + usize::from(two);
        let said = told.stderr.contains(&format!("already: entries {kept}"));
        assert_eq!(said, kept > 0, "{word}: {}", told.stderr);
    }
    // What would be done is shown under each of its names, and nothing is done.
    mess();
    for word in ["--plan", "--dry-run", "--preview"] {
        let plan = home.expect(0, &["home", "restore", &to, "--overwrite", "always", word]);
        assert!(plan.stdout.contains("restore "), "{}", plan.stdout);
        assert!(is_kept("one") && is_kept("two"), "{word}");
        let new = home.path().join("new").display().to_string();
        home.expect(0, &["home", "fetch", "one", &new, word]);
        assert!(!home.path().join("new").exists(), "{word}");
    }
    // One file, to where one is.
    mess();
    let file = place.join("two").display().to_string();
    home.expect(0, &["home", "fetch", "two", &file, "--overwrite", "older"]);
    assert!(is_kept("two"));
    home.expect(0, &["home", "fetch", "two", &file, "--overwrite", "always"]);
    assert_eq!(fs::read_to_string(&file).expect("two"), "second\n");
}
