//! Whom `[report]` tells, and what: the keys no test of a service looks at.

use super::{Case, names};
use crate::support::home::{CANARY, Home, called};
use crate::support::sink::Sink;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;

/// A mail report that goes to a file, with more lines.
fn mail(home: &Home, more: &str) -> (Case, std::path::PathBuf) {
    let case = Case::new(home);
    let file = home.path().join(format!("mail-{}", case.name));
    let program = home.script(
        &format!("sendmail-{}", case.name),
        &format!("cat >> {}", file.display()),
    );
    let case = case.tables(&format!(
        "[report.email]\nto = [\"ada@example.org\", \"bob@example.org\"]\nfrom = \"dupr@example.org\"\nsendmail = {program:?}\nwhen = [\"success\"]\n{more}"
    ));
    (case, file)
}

#[test]
fn a_mail_has_the_log_and_the_words_of_the_profiles_own_templates() {
    let home = Home::new("keys-mail");
    let (plain, file) = mail(&home, "");
    home.expect(0, &[&plain.name, "full"]);
    let usual = fs::read_to_string(file).expect("mail");
    for line in [
        "ada@example.org",
        "bob@example.org",
        "From: dupr@example.org",
    ] {
        assert!(usual.contains(line), "{line}: {usual}");
    }
    assert!(
        !usual.contains("Content-Disposition: attachment"),
        "{usual}"
    );
    for (name, text) in [
        ("s.hbs", "own subject of {{profile}}"),
        ("t.hbs", "own text"),
        ("h.hbs", "<p>own page</p>"),
    ] {
        fs::write(home.path().join(".config/dupr").join(name), text).expect("template");
    }
    let (own, file) = mail(
        &home,
        "attach-log = true\ntemplates = { subject = \"s.hbs\", text = \"t.hbs\", html = \"h.hbs\" }\n",
    );
    home.expect(0, &[&own.name, "full"]);
    let mail = fs::read_to_string(file).expect("mail");
    for part in [
        format!("own subject of {}", own.name).as_str(),
        "own text",
        "<p>own page</p>",
        "Content-Disposition: attachment",
    ] {
        assert!(mail.contains(part), "{part}: {mail}");
    }
}

#[test]
fn whoever_asks_for_failures_hears_nothing_of_success() {
    let home = Home::new("keys-when");
    let sink = Sink::start(home.path());
    let socket = home.path().join("log");
    let listener = UnixDatagram::bind(&socket).expect("socket");
    listener.set_nonblocking(true).expect("socket");
    let case = Case::new(&home).tables(&format!(
        "[report.webhook]\nurl = {0:?}\nwhen = [\"failure\"]\ncontent-type = \"text/plain\"\nbody = \"b.hbs\"\n\
         [report.ntfy]\nurl = {1:?}\nwhen = [\"failure\"]\n\
         [report.syslog]\nsocket = {socket:?}\nwhen = [\"failure\"]\n",
        sink.url("/hook"),
        sink.url("/ntfy")
    ));
    let template = home.path().join(".config/dupr/b.hbs");
    fs::write(template, "{{status}}: no JSON").expect("template");
    home.expect(0, &[&case.name, "full"]);
    assert!(sink.taken().is_empty());
    assert!(listener.recv(&mut [0; 100]).is_err());
    fs::rename(home.source(), home.path().join("away")).expect("rename");
    home.expect(1, &[&case.name, "full"]);
    let taken = sink.taken();
    let mut asked: Vec<&str> = taken.iter().filter_map(|r| r["path"].as_str()).collect();
    asked.sort_unstable();
    assert_eq!(asked, ["/hook", "/ntfy"]);
    let hook = taken.iter().find(|r| r["path"] == "/hook").expect("hook");
    assert_eq!(hook["headers"]["content-type"], "text/plain");
    assert!(
        hook["body"].as_str().is_some_and(|b| b.contains("no JSON")),
        "{hook}"
    );
    assert!(listener.recv(&mut [0; 100]).is_ok());
}

#[test]
fn each_service_of_pings_is_told_in_its_words() {
    let home = Home::new("keys-ping");
    let sink = Sink::start(home.path());
    let asked = |service: &str| {
        let case = Case::new(&home).tables(&format!(
            "[report.ping]\nurl = {:?}\nservice = {service:?}\n",
            sink.url("/p")
        ));
        home.expect(0, &[&case.name, "full"]);
        sink.lines()
    };
    assert_eq!(asked("healthchecks"), ["POST /p/start", "POST /p"]);
    let others = [asked("uptime-kuma"), asked("cronitor")];
    assert!(
        others[0].iter().all(|l| l.contains("status=up")),
        "{others:?}"
    );
    assert!(
        others[1].iter().any(|l| l.contains("state=complete")),
        "{others:?}"
    );
}

#[test]
fn a_description_stands_beside_the_name() {
    let home = Home::new("keys-description");
    let case = Case::new(&home).head("description = \"all of ada\"\n");
    let told = home.expect(0, &["profiles"]).stdout;
    let line = told.lines().find(|l| l.contains(&case.name));
    assert!(line.is_some_and(|l| l.contains("all of ada")), "{told}");
}

#[test]
fn a_secret_comes_from_wherever_the_profile_says() {
    let home = Home::new("keys-secrets");
    let credentials = home.path().join("credentials");
    fs::create_dir(&credentials).expect("folder");
    fs::write(credentials.join("pass"), CANARY).expect("credential");
    let mode = fs::Permissions::from_mode(0o600);
    fs::set_permissions(credentials.join("pass"), mode).expect("mode");
    let file = home.path().join("pass");
    let lines = [
        format!("file = {file:?}"),
        "env = \"MY_PASS\"".to_owned(),
        format!("command = [\"cat\", {file:?}]"),
        "systemd-credential = \"pass\"".to_owned(),
    ];
    let mut target = None;
    for line in lines {
        let case = Case::sealed(&home, &format!("passphrase = {{ {line} }}\n"));
        let mut command = home.command(&[&case.name, "full"]);
        command
            .env("MY_PASS", CANARY)
            .env("CREDENTIALS_DIRECTORY", &credentials);
        let made = called(command.output().expect("dupr"));
        assert_eq!(made.code, 0, "{line}: {}", made.stderr);
        // The next one reads it: it is the same passphrase.
        if let Some(before) = target.replace(case.target.clone()) {
            let before: std::path::PathBuf = before;
            let case = case.clone().url(&format!("file://{}", before.display()));
            let mut command = home.command(&[&case.name, "verify"]);
            command
                .env("MY_PASS", CANARY)
                .env("CREDENTIALS_DIRECTORY", &credentials)
                .env("XDG_CACHE_HOME", home.path().join("elsewhere"));
            let read = called(command.output().expect("dupr"));
            assert_eq!(read.code, 0, "{line}: {}", read.stderr);
        }
        assert!(names(&case.target).iter().all(|n| n.ends_with(".gpg")));
    }
    // Written out it needs leave, and is the short form of the same key.
    let inline = |head: &str| Case::bare(&home, &format!("{head}passphrase = {CANARY:?}\n"));
    let refused = home.expect(2, &[&inline("").name, "full"]);
    assert!(
        refused.stderr.contains("allow-inline-secrets"),
        "{}",
        refused.stderr
    );
    home.expect(0, &[&inline("allow-inline-secrets = true\n").name, "full"]);
}
