//! Reports of real runs, handed to a program in place of sendmail.

use crate::support::home::Home;
use std::fs;

/// A profile that mails through a script; the script keeps what it gets.
fn mailing(home: &Home, when: &str, script: &str) -> String {
    let program = home.script("sendmail", script);
    format!(
        "[report.email]\nto = [\"ada@example.org\"]\nfrom = \"dupr@example.org\"\nsendmail = {program:?}\nwhen = [{when}]\n"
    )
}

fn keep(home: &Home) -> String {
    format!("cat >> {}", home.path().join("mail").display())
}

fn mail(home: &Home) -> String {
    fs::read_to_string(home.path().join("mail")).unwrap_or_default()
}

#[test]
fn failures_are_mailed_even_when_the_run_never_began() {
    let home = Home::new("mail-start");
    let more = mailing(&home, "\"failure\", \"recovery\"", &keep(&home));
    home.profile("home", &more);
    let source = home.source();
    fs::rename(&source, home.path().join("away")).expect("rename");
    let called = home.dupr(&["home", "backup"]);
    assert_ne!(called.code, 0, "{}", called.stdout);
    assert!(
        mail(&home).contains("Subject: [dupr] FAILED home on "),
        "{}",
        mail(&home)
    );
    fs::rename(home.path().join("away"), &source).expect("rename");
    home.expect(0, &["home", "backup"]);
    assert!(
        mail(&home).contains("Subject: [dupr] recovered home on "),
        "{}",
        mail(&home)
    );
    fs::remove_file(home.path().join("mail")).expect("remove");
    home.expect(0, &["home", "backup"]);
    assert_eq!(mail(&home), "");
}

#[test]
fn a_mail_that_cannot_be_sent_is_exit_3_and_in_the_history() {
    let home = Home::new("mail-fails");
    home.profile(
        "home",
        &mailing(
            &home,
            "\"always\"",
            "cat > /dev/null; echo no route >&2; exit 1",
        ),
    );
    let called = home.expect(3, &["home", "backup"]);
    assert!(
        called.stderr.contains("could not be sent"),
        "{}",
        called.stderr
    );
    assert!(!home.stored().is_empty());
    assert!(
        home.history("home")[0]
            .to_string()
            .contains("could not be sent")
    );
}

#[test]
fn mail_test_sends_whatever_the_profile_says_of_when() {
    let home = Home::new("mail-test");
    home.profile("home", &mailing(&home, "\"failure\"", &keep(&home)));
    let called = home.expect(0, &["mail-test", "home"]);
    assert!(
        called.stdout.contains("sent: email to ada@example.org"),
        "{}",
        called.stdout
    );
    assert!(
        mail(&home).contains("multipart/alternative") && mail(&home).contains("dupr mail-test")
    );
}
