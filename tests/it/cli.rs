//! The command line as people meet it: what is refused before anything is done, what is printed, and the whole table
//! of exit codes, each provoked.

use crate::support::home::{CANARY, Home};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, SystemTime};

#[test]
fn usage_errors_exit_2_and_do_nothing() {
    let home = Home::new("usage");
    for (arguments, says) in [
        (&["home", "bakcup"][..], "did you mean backup?"),
        (&["home", "backup_pruge"], "did you mean purge?"),
        (&["home", "[backup"], "backup"),
        (&["home", "backup", "stray"], "stray"),
        (&["home", "backup", "--compare-data"], "--compare-data"),
        (&["home", "backup", "--nonsense"], "--nonsense"),
        (&["hmoe", "backup"], "did you mean home?"),
        (&["home,nobody-knows-it", "backup"], "nobody-knows-it"),
        (&["statsu"], "did you mean status?"),
        (
            &["home", "backup", "--set", "backup.volume-szie=5 MiB"],
            "volume-size",
        ),
        (&["home", "backup", "--set", "nonsense"], "key=value"),
        (&["x*", "backup"], "no profile matches"),
        (&["home", "restore"], "restore"),
        (&["home", "purgeFull"], "keep-fulls"),
        (&["init", "status", "-y"], "name of a tool"),
        (&["mail-test", "home"], "reports to nobody"),
    ] {
        let called = home.dupr(arguments);
        let text = format!("{}{}", called.stdout, called.stderr);
        assert!(
            called.code == 2 && text.contains(says),
            "{arguments:?}: {} {text}",
            called.code
        );
    }
    // With --json that is a document, too.
    for arguments in [
        &["mail-test", "home"][..],
        &["init", "status", "-y"],
        &["nobody", "backup"],
        &["help", "nothing-like-it"],
        &["recover", "home", "x", "--time", "nonsense"],
        &["keys", "export", "home", "--secret-keys", "x"],
    ] {
        let called = home.dupr(&[arguments, &["--json"]].concat());
        let document: serde_json::Value = serde_json::from_str(&called.stdout)
            .unwrap_or_else(|e| panic!("{arguments:?}: {e}: {}{}", called.stdout, called.stderr));
        assert_eq!(document["code"], called.code, "{arguments:?}");
        assert!(document["errors"][0].is_string(), "{arguments:?}");
    }
    assert!(home.stored().is_empty() && home.history("home").is_empty());
    assert!(
        !home.path().join(".cache").exists(),
        "an archive dir was made"
    );
}

#[test]
fn a_broken_profile_is_shown_with_line_and_column_and_nothing_runs() {
    let home = Home::new("broken");
    home.profile("second", "[backup]\nvolume-szie = \"5 MiB\"\n");
    // The first profile is fine, and still nothing of it may run.
    let called = home.expect(2, &["home,second", "backup"]);
    assert!(
        called.stderr.contains("second.toml:6:1") && called.stderr.contains("volume-size"),
        "{}",
        called.stderr
    );
    assert!(home.stored().is_empty());
}

#[test]
fn help_version_and_documents_are_successes() {
    let home = Home::new("help");
    assert!(
        home.expect(0, &["--help"])
            .stdout
            .contains("130  interrupted")
    );
    assert!(home.expect(0, &["version"]).stdout.starts_with("dupr "));
    assert!(home.expect(0, &["man"]).stdout.contains(".TH dupr"));
    let door = home.expect(0, &["man", "duplicity"]).stdout;
    assert!(door.contains(".TH DUPR\\-DUPLICITY") && door.contains("use\\-gpgsm"));
    assert!(
        home.expect(0, &["completions", "bash"])
            .stdout
            .contains("complete")
    );
    let schema: serde_json::Value =
        serde_json::from_str(&home.expect(0, &["schema"]).stdout).expect("JSON");
    assert!(schema["properties"]["source"].is_object());
    home.expect(2, &[]);
    // Help of a tool, of commands, and of those in a batch.
    for (call, says) in [
        (&["help"][..], "Commands of a batch"),
        (
            &["help", "schedule", "install"],
            "Usage: dupr schedule install",
        ),
        (
            &["help", "restore"],
            "Usage: dupr PROFILE restore LOCAL [AGE]",
        ),
        (&["home", "fetch", "--help"], "PROFILE fetch PATH LOCAL"),
        (&["home", "--help"], "Runs commands for a profile"),
        (&["help", "duplicity"], "duplicity"),
    ] {
        let text = home.expect(0, call).stdout;
        assert!(text.contains(says), "{call:?}: {text}");
    }
    assert!(
        home.expect(2, &["backup"])
            .stderr
            .contains("dupr PROFILE backup")
    );
}

#[test]
fn every_command_has_a_manual_page() {
    let home = Home::new("pages");
    assert_eq!(home.expect(0, &["man", "--all", "pages"]).stdout, "");
    let page = |name: &str| fs::read_to_string(home.path().join("pages").join(name)).expect(name);
    for name in [
        "dupr.1",
        "dupr-backup.1",
        "dupr-purgefull.1",
        "dupr-schedule-install.1",
    ] {
        assert!(page(name).contains(".SH SYNOPSIS"), "{name}");
    }
    for call in [&["man", "restore"][..], &["man", "dupr-restore"]] {
        assert_eq!(home.expect(0, call).stdout, page("dupr-restore.1"));
    }
    let schedule = home.expect(0, &["man", "schedule", "install"]).stdout;
    assert_eq!(schedule, page("dupr-schedule-install.1"));
    let unknown = home.expect(2, &["man", "restroe"]);
    assert!(
        unknown.stderr.contains("dupr-restroe(1)"),
        "{}",
        unknown.stderr
    );
}

#[test]
fn a_day_of_work() {
    let home = Home::new("day");
    let plan = home.expect(0, &["home", "backup", "--plan"]);
    assert!(
        plan.stdout.contains("backup full") && home.stored().is_empty(),
        "{}",
        plan.stdout
    );
    let full = home.expect(0, &["home", "backup"]);
    assert!(
        full.stdout.starts_with("ok: home backup in "),
        "{}",
        full.stdout
    );
    assert!(full.stdout.lines().count() <= 12);
    let status = home.expect(0, &["home", "status"]).stdout;
    assert!(status.contains("Chain 1 of 1: full alone, "), "{status}");
    home.write("one", "changed\n");
    // Versions are told apart by whole seconds, and all this may take less than one.
    let later = SystemTime::now() + Duration::from_secs(5);
    let file = fs::File::options()
        .write(true)
        .open(home.source().join("one"));
    file.and_then(|f| f.set_modified(later)).expect("time");
    fs::remove_file(home.source().join("two")).expect("remove");
    let incremental = home.expect(0, &["home", "backup"]);
    assert!(
        incremental.stdout.contains("1 deleted"),
        "{}",
        incremental.stdout
    );
    assert!(
        home.expect(0, &["home", "list"])
            .stdout
            .contains("sub/three")
    );
    assert!(
        home.expect(0, &["home", "status"])
            .stdout
            .contains("full and 1 incremental")
    );
    let find = home.expect(0, &["home", "find", "one"]).stdout;
    assert_eq!(find.lines().count(), 2, "{find}");
    let diff = home.expect(0, &["home", "diff"]).stdout;
    assert!(
        diff.contains("missing       two") && diff.contains("content, time one"),
        "{diff}"
    );
    home.expect(0, &["home", "verify", "--compare-data"]);
    let out = home.path().join("out");
    home.expect(0, &["home", "restore", &out.display().to_string()]);
    assert_eq!(
        fs::read_to_string(out.join("one")).expect("restored"),
        "changed\n"
    );
    let one = home.path().join("one-of-them");
    home.expect(
        0,
        &["home", "fetch", "sub/three", &one.display().to_string()],
    );
    assert_eq!(fs::read_to_string(one).expect("fetched"), "third\n");
    let runs: Vec<String> = home
        .history("home")
        .iter()
        .map(|o| o["batch"].to_string())
        .collect();
    assert_eq!(
        runs,
        [
            "\"backup\"",
            "\"backup\"",
            "\"verify\"",
            "\"restore\"",
            "\"fetch\""
        ]
    );
    assert!(home.expect(0, &["status"]).stdout.contains("full "));
    assert_eq!(
        home.expect(0, &["history", "home"]).stdout.lines().count(),
        6
    );
    assert!(
        home.expect(0, &["history", "home", "--report", "1", "--html"])
            .stdout
            .starts_with("<!DOCTYPE html>")
    );
}

#[test]
fn quiet_success_is_silent_and_a_failure_is_not() {
    let home = Home::new("quiet");
    let called = home.expect(0, &["home", "backup", "-q"]);
    assert_eq!((called.stdout.as_str(), called.stderr.as_str()), ("", ""));
    let purge = home.expect(0, &["home", "purge"]).stderr;
    assert!(purge.contains(" remove nothing ("), "{purge}");
    home.profile("home", "[[hook]]\non = \"before\"\nexec = [\"false\"]\n");
    let called = home.expect(4, &["home", "backup", "-q"]);
    assert!(
        called.stdout.is_empty() && called.stderr.starts_with("FAILED: home backup"),
        "{}",
        called.stderr
    );
}

#[test]
fn json_is_one_document_and_keeps_the_bytes_of_names() {
    let home = Home::new("json");
    fs::write(home.source().join(OsStr::from_bytes(b"odd\xff")), "x").expect("write");
    let parse =
        |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("one JSON document");
    let called = home.expect(0, &["home", "backup", "--json"]);
    assert_eq!(called.stderr, "");
    let value = parse(&called.stdout);
    assert_eq!(
        (value["schema"].as_i64(), value["code"].as_i64()),
        (Some(1), Some(0))
    );
    assert_eq!(value["runs"][0]["outcome"]["verdict"], "success");
    let list = parse(&home.expect(0, &["home", "list", "--json"]).stdout);
    let entries = list["runs"][0]["products"]
        .as_array()
        .expect("entries")
        .clone();
    assert!(
        entries.iter().any(|e| e["path_b64"] == "b2Rk/w=="),
        "{entries:#?}"
    );
    let plan = parse(
        &home
            .expect(0, &["home", "backup", "--plan", "--json"])
            .stdout,
    );
    assert!(plan["plans"][0]["nodes"].is_array());
    let status = parse(&home.expect(0, &["status", "--json"]).stdout);
    assert_eq!(status["profiles"][0]["standing"], "ok");
    let failed = parse(&home.expect(10, &["home", "diff", "--json"]).stdout);
    assert_eq!(failed["code"], 10);
}

#[test]
fn purge_lists_without_force_and_deletes_with_it() {
    let home = Home::new("purge");
    home.profile("home", "[retention]\nkeep-fulls = 1\n");
    home.expect(0, &["home", "full"]);
    home.expect(0, &["home", "full"]);
    let before = home.stored();
    let listed = home.expect(0, &["home", "purge"]);
    assert!(
        listed.stdout.contains("removable") && listed.stdout.contains("--force"),
        "{}",
        listed.stdout
    );
    assert_eq!(home.stored(), before);
    home.expect(0, &["home", "purge", "--force"]);
    assert_eq!(home.stored().len(), before.len() / 2);
    home.expect(0, &["home", "verify"]);
}

#[test]
fn a_failed_backup_keeps_purge_from_deleting_what_it_was_to_replace() {
    let home = Home::new("purge-after-failure");
    home.profile("home", "[retention]\nkeep-fulls = 1\nforce = true\n");
    home.expect(0, &["home", "full"]);
    home.expect(0, &["home", "full"]);
    let more = "[retention]\nkeep-fulls = 2\nforce = true\n[[hook]]\non = \"before\"\ncommands = [\"full\"]\nexec = [\"false\"]\n";
    home.profile("home", more);
    let before = home.stored();
    home.expect(4, &["home", "full_purge"]);
    assert_eq!(home.stored(), before);
}

#[test]
fn no_backup_is_10_and_a_wrong_passphrase_12() {
    let home = Home::new("codes-keys");
    home.expect(10, &["home", "verify"]);
    home.expect(0, &["home", "backup"]);
    fs::write(home.path().join("pass"), "another one").expect("passphrase");
    fs::remove_dir_all(home.path().join(".cache")).expect("archive dir");
    let called = home.expect(12, &["home", "restore", "out"]);
    assert!(called.stderr.contains("next step"), "{}", called.stderr);
    assert!(!home.path().join("out/one").exists());
}

#[test]
fn a_status_without_the_key_says_so_once_for_each_chain() {
    let home = Home::new("status-keys");
    home.expect(0, &["home", "full"]);
    home.expect(0, &["home", "incr"]);
    home.expect(0, &["home", "full"]);
    fs::write(home.path().join("pass"), "another one").expect("passphrase");
    fs::remove_dir_all(home.path().join(".cache")).expect("archive dir");
    let called = home.expect(0, &["home", "status"]);
    assert!(called.stdout.contains("Chain 2 of 2"), "{}", called.stdout);
    // Without the times.
    let told = called
        .stderr
        .lines()
        .filter_map(|line| line.split_once(' '));
    let mut told: Vec<&str> = told.map(|(_, text)| text).collect();
    let all = told.len();
    told.sort_unstable();
    told.dedup();
    assert_eq!((all, told.len()), (2, 2), "{}", called.stderr);
    assert!(told.iter().all(|text| text.contains("does not open it")));
}

#[test]
fn nothing_is_said_twice_of_a_target_that_is_a_file() {
    let home = Home::new("target-file");
    fs::write(home.target(), "a file").expect("file");
    let listed = format!(
        "cannot list file://{}: Not a directory",
        home.target().display()
    );
    for words in [
        &["home", "backup"][..],
        &["home", "status"],
        &["home", "status", "--remote"],
        &["home", "backup", "--plan"],
        &["doctor", "home"],
    ] {
        let called = home.dupr(words);
        let all = format!("{}{}", called.stdout, called.stderr);
        let told = all.lines().filter(|line| line.contains("cannot list"));
        let told: Vec<&str> = told.collect();
        assert!(!told.is_empty(), "{words:?}: {all}");
        for line in told {
            assert_eq!(line.matches("cannot list").count(), 1, "{words:?}: {line}");
        }
    }
    let called = home.dupr(&["home", "backup"]);
    assert!(called.stderr.contains(&listed), "{}", called.stderr);
}

#[test]
fn a_second_run_is_told_11_who_holds_the_lock() {
    let home = Home::new("codes-lock");
    home.profile(
        "home",
        "[[hook]]\non = \"before\"\nexec = [\"sh\", \"-c\", \"touch began; sleep 20\"]\n",
    );
    let mut first = home
        .command(&["home", "backup"])
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("dupr");
    while !home.path().join(".config/dupr/began").exists() && !home.path().join("began").exists() {
        assert!(
            first.try_wait().expect("wait").is_none(),
            "the first run has ended"
        );
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let second = home.expect(11, &["home", "backup", "--no-lock-wait"]);
    assert!(
        second.stderr.contains("dupr home backup since"),
        "{}",
        second.stderr
    );
    first.kill().expect("kill");
    first.wait().expect("wait");
    assert_eq!(
        home.history("home").last().expect("recorded")["failure"]["kind"],
        "locked"
    );
}

#[test]
fn a_target_that_cannot_be_written_is_13_and_lost_data_14() {
    let home = Home::new("codes-target");
    home.expect(0, &["home", "backup"]);
    let volume = home
        .stored()
        .into_iter()
        .find(|p| p.display().to_string().contains("difftar"))
        .expect("a volume");
    let mut bytes = fs::read(&volume).expect("read");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    fs::write(&volume, bytes).expect("write");
    let called = home.expect(14, &["home", "restore", "out"]);
    assert!(called.stderr.contains("damaged"), "{}", called.stderr);
    // What is known to be damaged is not the last good set, whatever else goes well.
    home.expect(0, &["home", "status"]);
    let status = home.expect(0, &["status", "--json"]);
    let view: serde_json::Value = serde_json::from_str(&status.stdout).expect("JSON");
    assert_eq!(
        view["profiles"][0]["last-good"],
        serde_json::Value::Null,
        "{view}"
    );
    assert_eq!(view["profiles"][0]["standing"], "failed", "{view}");
    home.expect(0, &["home", "backup"]);
    let status = home.expect(0, &["status", "--json"]);
    let view: serde_json::Value = serde_json::from_str(&status.stdout).expect("JSON");
    assert!(!view["profiles"][0]["last-good"].is_null(), "{view}");
    home.raw_profile(
        "far",
        &format!(
            "version = 1\nsource = {:?}\n[target]\nurl = \"sftp://nobody@127.0.0.1:9//x\"\nretries = 0\ntimeout = \"3s\"\n\
             [keys]\nencryption = \"none\"\n[run]\nretries = {{ max = 0, wait = \"1s\" }}\n",
            home.source()
        ),
    );
    home.expect(13, &["far", "backup"]);
    assert_eq!(home.history("far")[0]["verdict"], "failed");
}

#[test]
fn differences_are_5_and_stale_is_6() {
    let home = Home::new("codes-stale");
    home.profile("home", "[stale]\nafter = \"1h\"\n");
    home.expect(6, &["status", "--exit-code"]);
    home.expect(0, &["home", "backup"]);
    home.expect(0, &["status", "--exit-code"]);
    home.write("one", "other\n");
    home.expect(5, &["home", "verify", "--compare-data"]);
}

#[test]
fn the_passphrase_is_seen_nowhere() {
    let home = Home::new("canary");
    let show = "env; cat $DUPR_OUTCOME";
    let more = format!("[[hook]]\non = \"finally\"\nexec = [\"sh\", \"-c\", {show:?}]\n");
    home.profile("home", &more);
    let passphrase = format!("passphrase = {{ file = {:?} }}", home.path().join("pass"));
    let text = fs::read_to_string(home.path().join(".config/dupr/home.toml")).expect("profile");
    home.raw_profile(
        "by-env",
        &text.replace(&passphrase, "passphrase = { env = \"MY_PASS\" }"),
    );
    let mut seen = String::new();
    for profile in ["home", "by-env"] {
        for arguments in [
            &[profile, "backup", "-vv", "--log-file", "log"][..],
            &[profile, "backup", "--plan", "-v"],
            &["show", profile],
            &[profile, "backup", "--json"],
            &["doctor", profile],
            &["history", profile, "--report", "1"],
        ] {
            let mut command = home.command(arguments);
            command.env("PASSPHRASE", CANARY);
            if profile == "by-env" {
                command.env("MY_PASS", CANARY);
            }
            let output = command.output().expect("dupr");
            assert!(
                output.status.success(),
                "{arguments:?}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
            seen += &String::from_utf8_lossy(&output.stdout);
            seen += &String::from_utf8_lossy(&output.stderr);
        }
    }
    seen += &fs::read_to_string(home.path().join("log")).expect("log");
    seen += &serde_json::to_string(&home.history("home")).expect("history");
    assert!(seen.contains("PROFILE=home"), "the hook showed nothing");
    assert!(!seen.contains(CANARY), "{seen}");
}

#[test]
fn init_by_flags_makes_a_profile_that_works_at_once() {
    let home = Home::new("init");
    let target = format!("file://{}/new-target", home.path().display());
    let source = home.source().display().to_string();
    let made = home.expect(
        0,
        &[
            "init", "fresh", "--source", &source, "--target", &target, "-y",
        ],
    );
    assert!(
        made.stdout.contains("Recovery sheet of fresh") && made.stdout.contains("tested"),
        "{}",
        made.stdout
    );
    for file in ["fresh.toml", "fresh.pass"] {
        let path = home.path().join(".config/dupr").join(file);
        let mode = std::os::unix::fs::PermissionsExt::mode(
            &fs::metadata(path).expect("made").permissions(),
        );
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    home.expect(0, &["fresh"]);
    home.expect(
        2,
        &[
            "init", "fresh", "--source", &source, "--target", &target, "-y",
        ],
    );
    let again = home.expect(0, &["profiles"]);
    assert!(again.stdout.contains("fresh"), "{}", again.stdout);
}

#[test]
fn a_duply_profile_is_imported_and_runs() {
    let home = Home::new("import");
    let duply = home.path().join(".duply/web");
    fs::create_dir_all(&duply).expect("duply profile");
    let target = home.path().join("duply-target");
    let conf = format!(
        "GPG_KEY='disabled'\nSOURCE='{}'\nTARGET='file://{}'\nMAX_FULL_BACKUPS=2\nMAX_AGE=1Y\n",
        home.source().display(),
        target.display(),
    );
    fs::write(duply.join("conf"), conf).expect("conf");
    fs::write(duply.join("exclude"), "- **/two\n").expect("exclude");
    let plan = home.expect(0, &["import", "duply", "web", "--plan"]);
    assert!(plan.stdout.contains("[retention]"), "{}", plan.stdout);
    home.expect(0, &["import", "duply", "web"]);
    home.expect(0, &["web", "backup"]);
    let list = home.expect(0, &["web", "list"]).stdout;
    assert!(
        list.contains("sub/three") && !list.contains("two"),
        "{list}"
    );
    home.expect(2, &["import", "duply", "nobody"]);
}

#[test]
fn a_configuration_of_borgmatic_is_imported_and_runs() {
    let home = Home::new("borgmatic");
    let repository = home.path().join("borg");
    let config = format!(
        "source_directories: ['{}']\nrepositories:\n  - path: {}\nencryption_passphrase: secret\n\
         exclude_patterns: ['*/two']\nkeep_daily: 7\n",
        home.source().display(),
        repository.display(),
    );
    let file = home.path().join("web.yaml");
    fs::write(&file, config).expect("config");
    let file = file.display().to_string();
    let plan = home.expect(0, &["import", "borgmatic", &file, "--plan"]);
    assert!(plan.stdout.contains("[retention]"), "{}", plan.stdout);
    assert!(plan.stderr.contains("stays as it is"), "{}", plan.stderr);
    home.expect(0, &["import", "borgmatic", &file]);
    home.expect(0, &["web"]);
    let list = home.expect(0, &["web", "list"]).stdout;
    assert!(
        list.contains("sub/three") && !list.contains("two"),
        "{list}"
    );
    assert!(!repository.exists() && home.path().join("borg-dupr").exists());
    home.expect(2, &["import", "borgmatic", &file, "--name", "web"]);
    home.expect(2, &["import", "borgmatic", "nobody.yaml"]);
}
