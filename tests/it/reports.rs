//! Reports of real runs, handed to a program in place of sendmail.

use crate::notify::age;
use crate::support::home::Home;
use crate::support::programs::find;
use crate::support::vault::noise;
use regex::Regex;
use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

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

/// A run that is locked out is a failure that is told; when the one that held the lock has come to its end, that is told, too.
#[test]
fn a_run_that_is_locked_out_is_mailed_and_so_is_its_end() {
    let home = Home::new("mail-locked");
    let go = home.path().join("go");
    let wait = home.script(
        "wait",
        &format!("while [ ! -e {} ]; do sleep 0.05; done", go.display()),
    );
    let table = mailing(&home, "\"failure\", \"recovery\"", &keep(&home));
    home.profile(
        "home",
        &format!("{table}[[hook]]\non = \"before\"\nexec = [{wait:?}]\n"),
    );
    let mut first = home
        .command(&["home", "backup", "-q"])
        .spawn()
        .expect("dupr");
    let lock = home.path().join(".cache/dupr/home/lockfile");
    while !fs::read_to_string(&lock).is_ok_and(|text| text.contains("since")) {
        let ended = first.try_wait().expect("wait");
        assert!(ended.is_none(), "the first run has ended");
        std::thread::sleep(Duration::from_millis(20));
    }
    home.expect(11, &["home", "backup", "--no-lock-wait"]);
    let told = mail(&home);
    assert!(
        told.contains("Subject: [dupr] FAILED home on ") && !told.contains("recovered"),
        "{told}"
    );
    fs::write(&go, "").expect("go");
    assert!(first.wait().expect("wait").success());
    let told = mail(&home);
    assert!(
        told.contains("Subject: [dupr] recovered home on "),
        "{told}"
    );
    assert_eq!(home.history("home").len(), 2);
}

/// A week and a month are summed up once, over all profiles, with the first run of the next one.
#[test]
fn weeks_and_months_are_summed_up() {
    // So many days back lie in the week or month before, whatever day it is.
    for (word, name, days) in [
        ("weekly-digest", "weekly", 7),
        ("monthly-digest", "monthly", 31),
    ] {
        let home = Home::new(&format!("mail-{name}"));
        let table = mailing(&home, &format!("{word:?}"), &keep(&home));
        home.profile("home", &table);
        home.profile("www", &format!("{table}[backup]\nfile-prefix = \"www-\"\n"));
        home.expect(0, &["home,www", "backup"]);
        let away = home.path().join("away");
        fs::rename(home.source(), &away).expect("rename");
        home.expect(1, &["home", "backup"]);
        fs::rename(&away, home.source()).expect("rename");
        assert_eq!(mail(&home), "", "{name}: there is nothing to sum up yet");
        for profile in ["home", "www"] {
            age(&home, profile, days * 86_400);
        }
        home.expect(0, &["home,www", "backup"]);
        home.expect(0, &["home", "backup"]);
        let told = mail(&home);
        assert_eq!(told.matches("\nSubject: ").count(), 1, "{told}");
        for line in [
            "Subject: [dupr] digest all profiles on ".to_owned(),
            format!("{name} digest: 3 runs, 2 ok, 1 FAILED"),
            // As they stood at the end of it.
            "home: FAILED; 2 runs, 1 ok, 1 FAILED; last good backup".to_owned(),
            "www: ok; 1 run, 1 ok; last good backup".to_owned(),
        ] {
            assert!(told.contains(&line), "{line}: {told}");
        }
    }
}

/// A part of the mail as a mail program decodes it: `plain` or `html`.
fn part(home: &Home, kind: &str) -> String {
    let script = "import sys, email, email.policy\n\
                  mail = email.message_from_binary_file(sys.stdin.buffer, policy=email.policy.default)\n\
                  sys.stdout.buffer.write(mail.get_body((sys.argv[1],)).get_content().encode())";
    let shown = Command::new(find("python3").expect("python3 is needed"))
        .args(["-c", script, kind])
        .stdin(Stdio::from(
            fs::File::open(home.path().join("mail")).expect("mail"),
        ))
        .output()
        .expect("python3");
    assert!(
        shown.status.success(),
        "{}",
        String::from_utf8_lossy(&shown.stderr)
    );
    String::from_utf8(shown.stdout).expect("UTF-8")
}

/// Figures stand beside those of the last run of the same kind, and bars show the runs before, by nothing that mail programs
/// leave out: no picture, no script, nothing from elsewhere.
#[test]
fn a_mail_shows_figures_beside_the_last_ones_and_charts() {
    let home = Home::new("mail-charts");
    let place = home.path().join("mail");
    home.profile(
        "home",
        &mailing(&home, "\"always\"", &format!("cat > {}", place.display())),
    );
    // A folder that has changed is counted as a new entry, as duplicity counts it. This one does not change.
    let then = SystemTime::now() - Duration::from_secs(3600);
    let save = |name: &str, bytes: usize, seed: u64| {
        fs::write(home.source().join(name), noise(bytes, seed)).expect("file");
        let folder = fs::File::open(home.source()).expect("source");
        folder.set_modified(then).expect("time");
    };
    save("large", 300_000, 1);
    home.expect(0, &["home", "backup"]);
    let first = part(&home, "plain");
    assert!(
        first.contains("Figures\n") && !first.contains('█'),
        "{first}"
    );
    // Increments: a small one, a large one, a failure, and the one that is told.
    for (seed, bytes) in [(2, 1_000), (3, 200_000)] {
        save(&format!("new-{seed}"), bytes, seed);
        home.expect(0, &["home", "backup"]);
    }
    let away = home.path().join("away");
    fs::rename(home.source(), &away).expect("rename");
    home.expect(1, &["home", "backup"]);
    fs::rename(&away, home.source()).expect("rename");
    save("new-4", 50_000, 4);
    save("new-5", 50_000, 5);
    home.expect(0, &["home", "backup"]);

    let text = part(&home, "plain");
    // Two new files beside the one of the last increment, not the failure and not the full set.
    let day = Regex::new(r"Figures, in brackets those of \d{4}-\d\d-\d\d").expect("regex");
    assert!(day.is_match(&text), "{text}");
    for line in [
        r"\n  New: 2 \(1\)\n",
        r"\n  Stored: \d+\.\d KiB \(\d+\.\d KiB\)\n",
        r"\n  Duration: .+ \(.+\)\n",
    ] {
        assert!(
            Regex::new(line).expect("regex").is_match(&text),
            "{line}: {text}"
        );
    }
    // Five bars of each kind, the last but one without a height.
    let bars = |title: &str| {
        let line = text.lines().find(|l| l.starts_with(&format!("{title} ")));
        let line = line.unwrap_or_else(|| panic!("no {title}: {text}"));
        let bars = line.split(' ').nth(1).expect("bars");
        bars.chars()
            .map(|c| "▁▂▃▄▅▆▇█".chars().position(|b| b == c).expect("a bar"))
            .collect::<Vec<_>>()
    };
    let stored = bars("Stored");
    assert_eq!((stored.len(), stored[0], stored[3]), (5, 7, 0), "{text}");
    assert!(
        stored[1] < stored[4] && stored[4] < stored[2] && stored[2] < stored[0],
        "{stored:?}"
    );
    assert_eq!(bars("Duration").len(), 5);
    assert!(
        text.contains("FAILED: "),
        "the runs before are listed: {text}"
    );

    let page = part(&home, "html");
    for bar in ["(ok)", "(FAILED)"] {
        assert!(page.contains(bar), "{bar}: {page}");
    }
    let heights = Regex::new(r#"title="[^"]+: [^"]+".*?height="(\d+)">&nbsp;"#).expect("regex");
    let heights: Vec<u32> = heights
        .captures_iter(&page)
        .map(|c| c[1].parse().expect("a height"))
        .collect();
    assert_eq!(heights.len(), 10, "{page}");
    assert!(
        heights[0] == 56 && heights[3] == 2 && heights[1] < heights[4],
        "{heights:?}"
    );
    for strange in [
        "<img", "<svg", "<script", "<link", "http://", "https://", "url(",
    ] {
        assert!(!page.contains(strange), "{strange}: {page}");
    }
    // The same comes from the history, a year later.
    let report = home
        .expect(0, &["history", "home", "--report", "1", "--html"])
        .stdout;
    assert_eq!(
        report.matches("&nbsp;</td></tr></table></td>").count(),
        10,
        "{report}"
    );
}
