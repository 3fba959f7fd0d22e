//! Groups: profiles run as one, in order or several at a time, with hooks around all of them and one report.

use crate::support::home::{Called, Home};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

/// A home with profiles of these names, each with a target of its own.
fn home_with(test: &str, names: &[&str], more: &str) -> Home {
    let home = Home::new(test);
    for name in names {
        home.raw_profile(
            name,
            &format!(
                "version = 1\nsource = {:?}\ntarget = \"file://{}/{name}\"\npassphrase = {{ file = {:?} }}\n{more}",
                home.source(),
                home.target().display(),
                home.path().join("pass"),
            ),
        );
    }
    home
}

fn groups(home: &Home, text: &str) {
    let path = home.path().join(".config/dupr/groups.toml");
    fs::write(&path, text).expect("groups");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("mode");
}

/// A hook of a group that writes a word to the log.
fn hook(home: &Home, on: &str, word: &str) -> String {
    let script = format!("echo {word} >> {}", log(home).display());
    format!("[[night.hook]]\non = \"{on}\"\nexec = [\"sh\", \"-c\", {script:?}]\n")
}

fn log(home: &Home) -> std::path::PathBuf {
    home.path().join("log")
}

fn logged(home: &Home) -> Vec<String> {
    let text = fs::read_to_string(log(home)).unwrap_or_default();
    let _ = fs::remove_file(log(home));
    text.lines().map(str::to_owned).collect()
}

/// Hooks of profiles that write down when a profile is busy.
fn busy(home: &Home, script: &str) -> String {
    let line = |word: &str| format!("echo $PROFILE {word} >> {}", log(home).display());
    let before = format!("{}; {script}", line("begins"));
    let after = line("ends");
    format!(
        "[[hook]]\non = \"before\"\nexec = [\"sh\", \"-c\", {before:?}]\n[[hook]]\non = \"finally\"\nexec = [\"sh\", \"-c\", {after:?}]\n"
    )
}

fn mailing(home: &Home) -> String {
    let program = home.script(
        "sendmail",
        &format!("cat >> {}", home.path().join("mails").display()),
    );
    format!(
        "to = \"ada@example.org\"\nfrom = \"b@example.org\"\nsendmail = {program:?}\nwhen = [\"always\"]\n"
    )
}

fn mails(home: &Home) -> Vec<String> {
    let text = fs::read_to_string(home.path().join("mails")).unwrap_or_default();
    let _ = fs::remove_file(home.path().join("mails"));
    let subject = |l: &str| l.strip_prefix("Subject: ").map(str::to_owned);
    text.lines().filter_map(subject).collect()
}

fn json(called: &Called) -> Value {
    serde_json::from_str(&called.stdout).expect("JSON")
}

fn members(home: &Home) -> Vec<(String, String)> {
    let last = home.history("@night").pop().expect("a run of the group");
    let steps = last["steps"].as_array().expect("steps").iter();
    steps
        .filter(|s| s["command"] == "profile")
        .map(|s| (s["title"].to_string(), s["status"].to_string()))
        .map(|(a, b)| (a.replace('"', ""), b.replace('"', "")))
        .collect()
}

fn pairs(list: &[(String, String)]) -> Vec<(&str, &str)> {
    list.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect()
}

#[test]
fn members_run_in_their_order_with_the_hooks_of_the_group_around() {
    let home = Home::new("group-order");
    let each = busy(&home, "true");
    for name in ["b", "a", "c"] {
        home.profile(
            name,
            &format!("{each}[backup]\nfile-prefix = \"{name}-\"\n"),
        );
    }
    let undo = format!(
        "undo = [\"sh\", \"-c\", \"echo umount >> {}\"]\n",
        log(&home).display()
    );
    let text = format!(
        "some = [\"a\", \"c\"]\n[night]\nprofiles = [\"b\", \"some\"]\n{}{undo}{}{}",
        hook(&home, "before", "mount"),
        hook(&home, "error", "alarm"),
        hook(&home, "finally", "last")
    );
    groups(&home, &text);
    let plan = home.expect(0, &["night", "backup", "--plan"]);
    assert!(
        plan.stdout.contains("run             b, a, c"),
        "{}",
        plan.stdout
    );
    assert!(logged(&home).is_empty());
    let run = home.expect(0, &["night", "backup"]);
    assert_eq!(
        logged(&home),
        [
            "mount", "b begins", "b ends", "a begins", "a ends", "c begins", "c ends", "umount",
            "last"
        ]
    );
    assert!(
        run.stdout.contains("ok: night backup in "),
        "{}",
        run.stdout
    );
    assert!(run.stdout.contains("3 profiles: 3 ok"), "{}", run.stdout);
    let history = home.expect(0, &["history", "night"]);
    assert!(
        history.stdout.contains("3 profiles: 3 ok"),
        "{}",
        history.stdout
    );
    // To look at something nothing needs to be mounted.
    home.expect(0, &["night", "status"]);
    assert!(logged(&home).is_empty());
}

#[test]
fn one_failure_stops_the_rest_only_if_it_is_to() {
    let home = home_with("group-error", &["a", "b", "c"], "");
    let pass = home.path().join("pass");
    let broken = format!(
        "version = 1\nsource = \"/nowhere-at-all\"\ntarget = \"file://{}/b\"\npassphrase = {{ file = {pass:?} }}\n",
        home.target().display()
    );
    home.raw_profile("b", &broken);
    let night = format!(
        "[night]\nprofiles = [\"a\", \"b\", \"c\"]\n{}",
        hook(&home, "error", "alarm")
    );
    groups(
        &home,
        &night.replace("\"c\"]\n", "\"c\"]\ncontinue-on-error = true\n"),
    );
    let run = home.expect(1, &["night", "backup"]);
    assert_eq!(
        pairs(&members(&home)),
        [
            ("a backup", "done"),
            ("b backup", "failed"),
            ("c backup", "done")
        ]
    );
    assert!(
        run.stderr.contains("1 of 3 profiles failed: b backup"),
        "{}",
        run.stderr
    );
    assert_eq!(logged(&home), ["alarm"]);
    groups(
        &home,
        &night.replace("\"c\"]\n", "\"c\"]\ncontinue-on-error = false\n"),
    );
    let run = home.expect(1, &["night", "backup", "--json"]);
    assert_eq!(
        pairs(&members(&home)),
        [
            ("a backup", "done"),
            ("b backup", "failed"),
            ("c backup", "skipped")
        ]
    );
    let document = json(&run);
    assert_eq!(document["runs"].as_array().map(Vec::len), Some(2));
    assert_eq!(document["groups"][0]["outcome"]["verdict"], "failed");
    assert_eq!(home.history("c").len(), 1);
}

#[test]
fn a_group_tells_the_whole_and_its_members_keep_still() {
    let home = Home::new("group-report");
    let (mine, metrics) = (mailing(&home), home.path().join("dupr.prom"));
    let own = format!("[report.email]\n{mine}[report.prometheus]\ntextfile = {metrics:?}\n");
    for name in ["a", "b"] {
        home.profile(name, &format!("{own}[backup]\nfile-prefix = \"{name}-\"\n"));
    }
    let night = "[night]\nprofiles = [\"a\", \"b\"]\n";
    let report = format!("[night.report.email]\n{mine}");
    groups(&home, &format!("{night}{report}"));
    home.expect(0, &["night", "backup"]);
    let told = mails(&home);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].starts_with("[dupr] ok night on ") && told[0].contains("2 profiles: 2 ok"),
        "{told:?}"
    );
    // What watches each profile still does.
    let text = fs::read_to_string(&metrics).expect("metrics");
    for name in ["a", "b"] {
        assert!(
            text.contains(&format!("dupr_last_run_success{{profile=\"{name}\"}} 1")),
            "{text}"
        );
    }
    groups(&home, &format!("{night}member-reports = true\n{report}"));
    home.expect(0, &["night", "backup"]);
    assert_eq!(mails(&home).len(), 3);
    let tested = home.expect(0, &["mail-test", "night"]);
    assert!(
        tested.stdout.contains("sent: email to ada@example.org"),
        "{}",
        tested.stdout
    );
    mails(&home);
    // A hook that fails before all is told as well, and no member is begun.
    let hook = "[[night.hook]]\non = \"before\"\nexec = [\"false\"]\n";
    groups(&home, &format!("{night}{hook}{report}"));
    home.expect(4, &["night", "backup"]);
    let told = mails(&home);
    assert!(told[0].starts_with("[dupr] FAILED night on "), "{told:?}");
    assert_eq!(
        (home.history("a").len(), home.history("@night").len()),
        (2, 3)
    );
}

#[test]
fn several_run_at_a_time_and_a_signal_ends_them_all() {
    let home = Home::new("group-parallel");
    // Each waits until the others have begun: one at a time would wait for ever.
    let others = format!(
        "until [ $(grep -c begins {}) = 3 ]; do sleep 0.02; done",
        log(&home).display()
    );
    let each = busy(&home, &others);
    for name in ["a", "b", "c"] {
        home.profile(
            name,
            &format!("{each}timeout = \"60s\"\n[backup]\nfile-prefix = \"{name}-\"\n"),
        );
    }
    groups(
        &home,
        "[night]\nprofiles = [\"a\", \"b\", \"c\"]\nparallel = 3\n",
    );
    let run = home.expect(0, &["night", "backup"]);
    let lines = logged(&home);
    assert!(
        lines[..3].iter().all(|l| l.ends_with("begins")),
        "{lines:?}"
    );
    // Lines of several are told apart.
    for name in ["a", "b", "c"] {
        assert!(
            run.stderr.contains(&format!(" {name}: backup full")),
            "{}",
            run.stderr
        );
        assert!(
            run.stdout.contains(&format!("ok: {name} backup in ")),
            "{}",
            run.stdout
        );
    }
    assert_eq!(
        pairs(&members(&home)),
        [
            ("a backup", "done"),
            ("b backup", "done"),
            ("c backup", "done")
        ]
    );

    let forever = busy(&home, "sleep 60");
    for name in ["a", "b", "c"] {
        home.profile(
            name,
            &format!("{forever}[backup]\nfile-prefix = \"{name}-\"\n"),
        );
    }
    groups(
        &home,
        "[night]\nprofiles = [\"a\", \"b\", \"c\"]\nparallel = 2\n",
    );
    let child = home
        .command(&["night", "backup"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("dupr");
    let begun = || {
        fs::read_to_string(log(&home))
            .unwrap_or_default()
            .matches("begins")
            .count()
    };
    while begun() < 2 {
        std::thread::sleep(Duration::from_millis(20));
    }
    let id = rustix::process::Pid::from_raw(i32::try_from(child.id()).expect("id")).expect("id");
    rustix::process::kill_process(id, rustix::process::Signal::TERM).expect("signal");
    let ended = crate::support::home::called(child.wait_with_output().expect("wait"));
    assert_eq!(ended.code, 130, "{}{}", ended.stdout, ended.stderr);
    let lines = logged(&home);
    assert!(!lines.iter().any(|l| l.starts_with('c')), "{lines:?}");
    assert_eq!(
        lines.iter().filter(|l| l.ends_with("ends")).count(),
        2,
        "{lines:?}"
    );
    assert_eq!(
        home.history("@night").last().expect("a run")["verdict"],
        "interrupted"
    );
}

#[test]
fn groups_that_cannot_be_are_refused_before_anything_runs() {
    let home = home_with("group-wrong", &["a"], "");
    for (text, says) in [
        (
            "[night]\nprofiles = [\"a\", \"nothing-like-it\"]\n",
            "nothing-like-it",
        ),
        (
            "[night]\nprofiles = [\"a\"]\nparalel = 2\n",
            "unknown key paralel",
        ),
        (
            "[night]\nprofiles = [\"other\"]\nparallel = 2\n[other]\nprofiles = [\"a\"]\nparallel = 2\n",
            "other runs as one",
        ),
        ("[night]\nprofiles = []\nparallel = 2\n", "means no profile"),
        (
            "[night]\nprofiles = [\"a\"]\n[[night.hook]]\non = \"before\"\n",
            "the hook runs nothing",
        ),
    ] {
        groups(&home, text);
        let refused = home.expect(2, &["night", "backup"]);
        assert!(refused.stderr.contains(says), "{text}: {}", refused.stderr);
    }
    groups(
        &home,
        "[night]\nprofiles = [\"a\"]\n[[night.hook]]\non = \"before\"\nexec = [\"true\"]\n",
    );
    let path = home.path().join(".config/dupr/groups.toml");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).expect("mode");
    let refused = home.expect(2, &["night", "backup"]);
    assert!(
        refused.stderr.contains("others can write"),
        "{}",
        refused.stderr
    );
    assert!(home.stored().is_empty());
}

#[test]
fn the_example_of_a_group_runs() {
    let home = Home::new("group-example");
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles.example/group");
    let program = home.script(
        "told",
        &format!("cat >> {}", home.path().join("mails").display()),
    );
    let usb = home.path().join("usb");
    fs::create_dir(&usb).expect("usb");
    for dir in ["www", "db"] {
        fs::create_dir_all(home.path().join(dir)).expect("source");
        fs::write(home.path().join(dir).join("file"), dir).expect("file");
    }
    for entry in fs::read_dir(from).expect("example").flatten() {
        let text = fs::read_to_string(entry.path()).expect("text");
        let at = |name: &str| home.path().join(name).display().to_string();
        let text = text
            .replace("\"mount\", \"/media/usb\"", "\"true\"")
            .replace("\"umount\", \"/media/usb\"", "\"true\"")
            .replace("/media/usb", &usb.display().to_string())
            .replace("/home/me", &home.source().display().to_string())
            .replace("/srv/www", &at("www"))
            .replace("/srv/db", &at("db"))
            .replace("/etc/dupr/home.pass", &at("pass"))
            .replace("/usr/sbin/sendmail", &program.display().to_string())
            .replace("\"failure\",", "\"always\",");
        let to = home.path().join(".config/dupr").join(entry.file_name());
        fs::write(&to, text).expect("copy");
        fs::set_permissions(&to, fs::Permissions::from_mode(0o600)).expect("mode");
    }
    let run = home.expect(0, &["nightly", "backup_purge"]);
    assert!(run.stdout.contains("3 profiles: 3 ok"), "{}", run.stdout);
    for name in ["home", "www", "db-main"] {
        assert!(usb.join(name).read_dir().expect(name).count() > 2);
    }
    let told = mails(&home);
    assert!(
        told.len() == 1 && told[0].starts_with("[dupr] ok nightly on "),
        "{told:?}"
    );
    // A plain list is a name for several profiles and no more.
    home.expect(0, &["web", "backup"]);
    assert!(mails(&home).is_empty());
}

#[test]
fn a_group_that_a_schedule_starts_is_held_back_by_its_members() {
    let home = home_with("groups-scheduled", &["timed", "other", "plain"], "");
    for name in ["timed", "other"] {
        let path = home.path().join(format!(".config/dupr/{name}.toml"));
        let text = fs::read_to_string(&path).expect("profile");
        home.raw_profile(name, &format!("{text}[schedule]\ncron = \"0 0 1 1 *\"\n"));
    }
    let around = hook(&home, "before", "begun");
    groups(
        &home,
        &format!("[night]\nprofiles = [\"timed\", \"other\", \"plain\"]\n{around}"),
    );
    // A run by hand answers the schedule of one; who has none goes with those that are due.
    home.expect(0, &["other", "backup"]);
    home.expect(0, &["night", "backup", "--scheduled"]);
    assert_eq!(logged(&home), ["begun"]);
    let runs = |name: &str| home.history(name).len();
    assert_eq!((runs("timed"), runs("other"), runs("plain")), (1, 1, 1));
    let told = home.expect(0, &["night", "backup", "--scheduled"]);
    assert!(
        told.stderr.contains("timed: nothing is due"),
        "{}",
        told.stderr
    );
    assert!(logged(&home).is_empty());
    assert_eq!((runs("timed"), runs("other"), runs("plain")), (1, 1, 1));
    groups(&home, "[night]\nprofiles = [\"plain\"]\n");
    home.expect(2, &["night", "backup", "--scheduled"]);
}

#[test]
fn a_verify_that_finds_nothing_says_so() {
    let home = Home::new("verify-says");
    home.expect(0, &["home", "backup"]);
    let told = home.expect(0, &["home", "verify", "--compare-data"]).stdout;
    assert!(told.contains("no differences"), "{told}");
    let told = home.expect(0, &["home", "verify"]).stdout;
    assert!(!told.contains("differences"), "{told}");
    home.write("one", "changed\n");
    let told = home.expect(5, &["home", "verify", "--compare-data"]).stderr;
    assert!(
        told.contains("1 difference") && !told.contains("no differences"),
        "{told}"
    );
}
