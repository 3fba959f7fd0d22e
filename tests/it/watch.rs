//! `dupr watch` and `dupr status`: a backup that did not take place is told, once, and its end as well.

use crate::support::home::Home;
use std::fs;
use std::path::PathBuf;

/// A profile that was due at the beginning of the year and never ran, with mail through a script.
fn overdue(home: &Home, script: &str) -> PathBuf {
    let program = home.script("sendmail", script);
    home.profile(
        "home",
        &format!("[schedule]\ncron = \"0 0 1 1 *\"\n[report.email]\nto = \"ada@example.org\"\nfrom = \"dupr@example.org\"\nsendmail = {program:?}\n"),
    );
    home.path().join("mail")
}

fn keep(home: &Home) -> String {
    format!("cat >> {}", home.path().join("mail").display())
}

fn taken(mail: &PathBuf) -> String {
    let text = fs::read_to_string(mail).unwrap_or_default();
    let _ = fs::remove_file(mail);
    text
}

#[test]
fn a_backup_that_did_not_run_is_told_once_and_so_is_its_end() {
    let home = Home::new("watch");
    let mail = overdue(&home, &keep(&home));
    let status = home.expect(6, &["status", "--exit-code"]).stdout;
    assert!(
        status.contains("STALE") && status.contains("no run has ended since"),
        "{status}"
    );
    let plan = home.expect(6, &["watch", "--plan"]).stdout;
    assert!(plan.contains("STALE home"), "{plan}");
    assert_eq!(taken(&mail), "");
    let first = home.expect(6, &["watch", "-q"]);
    assert!(
        first.stdout.is_empty() && first.stderr.is_empty(),
        "{}",
        first.stderr
    );
    let told = taken(&mail);
    assert!(told.contains("Subject: [dupr] STALE home on "), "{told}");
    assert!(
        told.contains("no run has ended since") && told.contains("dupr schedule show"),
        "{told}"
    );
    for _ in 0..2 {
        home.expect(6, &["watch", "-q"]);
        assert_eq!(taken(&mail), "", "it was told already");
    }
    assert!(home.expect(6, &["watch"]).stdout.contains("(told 2"));
    home.expect(0, &["home", "-q"]);
    assert_eq!(taken(&mail), "");
    let over = home.expect(0, &["watch"]).stdout;
    assert!(over.contains("not stale any more"), "{over}");
    let told = taken(&mail);
    assert!(
        told.contains("Subject: [dupr] recovered home on ") && told.contains("not stale any more"),
        "{told}"
    );
    home.expect(0, &["watch", "-q"]);
    assert_eq!(taken(&mail), "");
    assert_eq!(home.history("home").len(), 1, "a look is no run");
    home.expect(0, &["status", "--exit-code"]);
}

#[test]
fn what_could_not_be_sent_is_sent_the_next_time() {
    let home = Home::new("watch-unsent");
    let mail = overdue(&home, "cat > /dev/null; exit 1");
    let called = home.expect(3, &["watch", "-q"]);
    assert!(
        called.stderr.contains("could not be sent") && called.stderr.contains("STALE home"),
        "{}",
        called.stderr
    );
    home.expect(3, &["watch", "-q"]);
    overdue(&home, &keep(&home));
    home.expect(6, &["watch", "-q"]);
    assert!(taken(&mail).contains("STALE home"));
}

#[test]
fn without_reports_cron_mails_what_is_printed_once() {
    let home = Home::new("watch-plain");
    home.profile("home", "[stale]\nafter = \"1s\"\n");
    // Never backed up and not planned: nobody promised anything.
    assert!(
        home.expect(0, &["watch"])
            .stdout
            .contains("home: never ran")
    );
    home.expect(0, &["home", "backup"]);
    std::thread::sleep(std::time::Duration::from_millis(2500));
    let first = home.expect(6, &["watch", "-q"]);
    assert!(
        first
            .stderr
            .contains("STALE home: the last good set is of "),
        "{}",
        first.stderr
    );
    assert!(home.expect(6, &["watch", "-q"]).stderr.is_empty());
    let json = home.expect(6, &["watch", "--json"]).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["profiles"][0]["standing"], "stale");
    // A profile that cannot be used is told every time.
    home.profile("broken", "nonsense = 1\n");
    let called = home.expect(2, &["watch", "-q"]);
    assert!(
        called.stderr.contains("broken.toml:5:1"),
        "{}",
        called.stderr
    );
    home.expect(2, &["watch", "nobody"]);
}

/// A first backup may take days. As long as it runs nobody is told that it did not.
#[test]
fn a_backup_that_is_under_way_is_not_missed() {
    let home = Home::new("watch-running");
    let go = home.path().join("go");
    let wait = home.script(
        "wait",
        &format!("while [ ! -e {} ]; do sleep 0.05; done", go.display()),
    );
    let program = home.script("sendmail", &keep(&home));
    home.profile(
        "home",
        &format!(
            "[schedule]\ncron = \"0 0 1 1 *\"\n[report.email]\nto = \"ada@example.org\"\nfrom = \"dupr@example.org\"\n\
             sendmail = {program:?}\n[[hook]]\non = \"before\"\nexec = [{wait:?}]\n"
        ),
    );
    home.expect(6, &["status", "--exit-code"]);
    let mut run = home
        .command(&["home", "backup", "-q"])
        .spawn()
        .expect("dupr");
    let lock = home.path().join(".cache/dupr/home/lockfile");
    while !fs::read_to_string(&lock).is_ok_and(|text| text.contains("since")) {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let status = home.expect(6, &["status", "--exit-code"]).stdout;
    assert!(
        status.contains("never ran") && status.contains("running: dupr home backup since "),
        "{status}"
    );
    home.expect(0, &["watch", "-q"]);
    assert_eq!(taken(&home.path().join("mail")), "");
    home.expect(11, &["home", "backup", "--no-lock-wait"]);
    fs::write(&go, "").expect("go");
    assert!(run.wait().expect("wait").success());
    let status = home.expect(0, &["status", "--exit-code"]).stdout;
    assert!(!status.contains("running"), "{status}");
}
