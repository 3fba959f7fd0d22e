//! The examples that are about one thing each, and the demonstration of the README.

use super::{at_sshd, change, install, path, restored, run, same, secret, stand_in, succeeds};
use crate::mail::{Authority, PASSWORD as MAIL_PASSWORD};
use crate::servers::{Dav, Sshd};
use crate::support::home::{CANARY, Home, called};
use crate::support::keyring::{Keyring, PASSPHRASE};
use crate::support::programs::find;
use crate::support::scratch::Scratch;
use crate::support::sink::Sink;
use std::fs;
use std::path::Path;
use std::process::Command;

fn quoted(path: &Path) -> String {
    format!("{:?}", path.display().to_string())
}

/// All that a home holds to begin with.
const FILES: [&str; 3] = ["one", "two", "sub"];

#[test]
fn the_shortest_example_runs() {
    let (home, server) = (Home::new("example-minimal"), Sshd::start());
    install(
        &home,
        "minimal",
        &[
            ("\"/home/me\"", &quoted(&home.source())),
            (
                "\"sftp://me@nas.local//backups/home\"",
                &at_sshd(&server, "backups/home"),
            ),
            (
                "/etc/dupr/home.pass",
                &home.path().join("pass").display().to_string(),
            ),
        ],
    );
    // As its first line says.
    let plan = succeeds(
        &home,
        &["./.config/dupr/minimal.toml", "backup", "--plan"],
        &[],
    );
    assert!(plan.stdout.contains("backup full"), "{}", plan.stdout);
    for turn in 0..2 {
        change(&home, &["one"], turn);
        succeeds(&home, &["minimal", "backup"], &[]);
    }
    let stored = fs::read_dir(server.files().join("backups/home")).expect("the target");
    assert_eq!(stored.count(), 6);
    let place = restored(&home, "minimal", "back", &[]);
    same(&home, &place, &FILES);
}

#[test]
fn the_example_for_webdav_runs() {
    let (home, server) = (Home::new("example-webdav"), Dav::secure());
    let url = format!(
        "webdavs://ada@127.0.0.1:{}/remote.php/dav/files/me/backups",
        server.port
    );
    install(
        &home,
        "webdav",
        &[
            ("\"/home/me/Documents\"", &quoted(&home.source())),
            (
                "webdavs://me@cloud.example/remote.php/dav/files/me/backups",
                &url,
            ),
            (
                "/etc/dupr/home.pass",
                &home.path().join("pass").display().to_string(),
            ),
            (
                "/etc/dupr/cloud.pass",
                &secret(&home, "cloud.pass", "p@ss:w"),
            ),
        ],
    );
    // A certificate this system does not trust.
    let words = ["webdav", "backup", "--set", "target.retries=0"];
    let refused = run(&home, &words, &[]);
    assert_eq!(refused.code, 13, "{}{}", refused.stdout, refused.stderr);
    assert!(!refused.stderr.contains("p@ss:w"), "{}", refused.stderr);
    let certificate = server.certificate().display().to_string();
    let trusting = [("SSL_CERT_FILE", certificate.as_str())];
    for turn in 0..2 {
        change(&home, &["one"], turn);
        succeeds(&home, &["webdav", "backup"], &trusting);
    }
    let place = restored(&home, "webdav", "back", &trusting);
    same(&home, &place, &FILES);
}

#[test]
fn the_example_with_mail_runs() {
    let home = Home::new("example-mail");
    let Some(authority) = Authority::new(home.path()) else {
        return;
    };
    let Some(server) = authority.serve(&home, "smtps", "localhost") else {
        return;
    };
    let usb = format!("file://{}", home.target().display());
    install(
        &home,
        "mail",
        &[
            ("\"/home/me\"", &quoted(&home.source())),
            ("file:///media/usb/home", &usb),
            (
                "/etc/dupr/home.pass",
                &home.path().join("pass").display().to_string(),
            ),
            (
                "smtps://backup@mail.example.org:465",
                &format!("smtps://me@localhost:{}", server.port),
            ),
            (
                "/etc/dupr/smtp.pass",
                &secret(&home, "smtp.pass", MAIL_PASSWORD),
            ),
        ],
    );
    let authority = authority.file("ca.pem").display().to_string();
    let trusting = [("SSL_CERT_FILE", authority.as_str())];
    let mails = || fs::read_to_string(home.path().join("mail")).unwrap_or_default();
    succeeds(&home, &["mail", "backup"], &trusting);
    assert_eq!(mails(), "", "nothing needs a look");
    fs::rename(home.source(), home.path().join("away")).expect("rename");
    let failed = run(&home, &["mail", "backup"], &trusting);
    assert_eq!(failed.code, 1, "{}{}", failed.stdout, failed.stderr);
    for part in [
        "user=me tls=True",
        "Subject: [dupr] FAILED mail on ",
        "me@example.org",
        "admin@example.org",
        "From: backup@example.org",
        "Content-Disposition: attachment",
    ] {
        assert!(mails().contains(part), "{part}: {}", mails());
    }
    fs::rename(home.path().join("away"), home.source()).expect("rename");
    succeeds(&home, &["mail", "backup"], &trusting);
    assert!(
        mails().contains("Subject: [dupr] recovered mail on "),
        "{}",
        mails()
    );
    assert!(!mails().contains(CANARY) && !mails().contains(MAIL_PASSWORD));
}

#[test]
fn the_example_that_is_watched_runs() {
    let (home, server) = (Home::new("example-monitoring"), Sshd::start());
    let sink = Sink::start(home.path());
    let textfile = home.path().join("dupr.prom");
    install(
        &home,
        "monitoring",
        &[
            ("\"/home/me\"", &quoted(&home.source())),
            (
                "\"sftp://me@nas.local//backups/home\"",
                &at_sshd(&server, "backups/home"),
            ),
            (
                "/etc/dupr/home.pass",
                &home.path().join("pass").display().to_string(),
            ),
            (
                "/etc/dupr/ping.url",
                &secret(&home, "ping.url", &sink.url("/ping/a-secret")),
            ),
            ("https://ntfy.sh/mybackups", &sink.url("/mybackups")),
            (
                "/var/lib/node_exporter/dupr.prom",
                &textfile.display().to_string(),
            ),
        ],
    );
    let figure = |name: &str| {
        let text = fs::read_to_string(&textfile).expect("figures");
        let line = text.lines().find(|l| l.starts_with(name));
        let value = line.and_then(|l| l.rsplit(' ').next()?.parse::<f64>().ok());
        value.unwrap_or_else(|| panic!("{name}: {text}"))
    };
    succeeds(&home, &["monitoring", "backup"], &[]);
    assert_eq!(
        sink.lines(),
        ["POST /ping/a-secret/start", "POST /ping/a-secret"]
    );
    let good = figure("dupr_last_backup_timestamp_seconds");
    assert!(good > 1_700_000_000.0, "{good}");
    fs::rename(home.source(), home.path().join("away")).expect("rename");
    let failed = run(&home, &["monitoring", "backup"], &[]);
    assert_eq!(failed.code, 1, "{}", failed.stderr);
    let mut told = sink.lines();
    told.sort();
    assert_eq!(
        told,
        [
            "POST /mybackups",
            "POST /ping/a-secret/1",
            "POST /ping/a-secret/start",
        ]
    );
    assert!(figure("dupr_last_backup_timestamp_seconds") == good);
    fs::rename(home.path().join("away"), home.source()).expect("rename");
    let again = succeeds(&home, &["monitoring", "backup"], &[]);
    assert_eq!(sink.lines().len(), 3, "recovery rings the phone as well");
    for told in [again.stderr, failed.stderr] {
        assert!(!told.contains("a-secret"), "{told}");
    }
    same(&home, &restored(&home, "monitoring", "back", &[]), &FILES);
}

/// What gpg says of a message: who can open it, and that the signature is good.
fn looked_at(keyring: &Keyring, file: &Path) -> (String, String) {
    let gpg = |words: &[&str]| {
        let output = Command::new(find("gpg").expect("it was there"))
            .args(["--batch", "--pinentry-mode", "loopback"])
            .args(["--passphrase", PASSPHRASE])
            .args(words)
            .arg(file)
            .env("GNUPGHOME", keyring.home())
            .output()
            .expect("gpg");
        String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr)
    };
    (
        gpg(&["--list-packets"]),
        gpg(&[
            "--status-fd",
            "1",
            "--output",
            "/dev/null",
            "--yes",
            "--decrypt",
        ]),
    )
}

#[test]
fn the_example_with_keys_runs() {
    let Some(keyring) = Keyring::new() else {
        return;
    };
    let home = Home::new("example-keys");
    let usb = format!("file://{}", home.target().display());
    install(
        &home,
        "gpg-keys",
        &[
            ("\"/srv/project\"", &quoted(&home.source())),
            ("file:///media/usb/project", &usb),
            ("ada@example.org", "encrypt@example.org"),
            ("44D79E41F5C978E3A0B1C2D3E4F5061728394A5B", &keyring.sign),
            // As in the example: the last sixteen.
            ("F5C978E3A0B1C2D3", &keyring.sign[24..]),
        ],
    );
    stand_in(
        &home,
        "pass",
        &format!("[ \"$*\" = \"show backup/signing-key\" ] && echo {PASSPHRASE}"),
    );
    let variables = [
        ("PATH", path(&home)),
        ("GNUPGHOME", keyring.home().display().to_string()),
    ];
    let variables = variables.each_ref().map(|(k, v)| (*k, v.as_str()));
    for turn in 0..2 {
        change(&home, &["one"], turn);
        succeeds(&home, &["gpg-keys", "backup"], &variables);
    }
    let stored = home.stored();
    assert!(stored.len() == 6, "{stored:?}");
    for file in stored {
        let (packets, said) = looked_at(&keyring, &file);
        // Two can open it, and nothing says who.
        let nobody = packets.matches("keyid 0000000000000000").count();
        assert!(nobody == 2, "{}: {packets}", file.display());
        let good = format!("VALIDSIG {}", keyring.sign);
        assert!(said.contains(&good), "{}: {said}", file.display());
    }
    let place = restored(&home, "gpg-keys", "back", &variables);
    same(&home, &place, &FILES);
}

#[test]
fn the_example_with_hooks_runs() {
    let (home, server) = (Home::new("example-hooks"), Sshd::start());
    let at = |name: &str| home.path().join(name).display().to_string();
    let log = at("calls");
    // Each writes down how it was called, and fails if a file says so.
    let recorded = |name: &str, more: &str| {
        let text = format!("echo \"{name} $*\" >> {log}; {more}");
        home.script(name, &text).display().to_string()
    };
    install(
        &home,
        "hooks",
        &[
            (
                "source = \"/srv/app\"",
                &format!("source = {}", quoted(&home.source())),
            ),
            (
                "\"sftp://backup@nas.local//backups/app\"",
                &at_sshd(&server, "backups/app"),
            ),
            ("/etc/dupr/app.pass", &at("pass")),
            (
                "/usr/local/bin/no-build-running",
                &recorded(
                    "no-build-running",
                    &format!("[ ! -e {} ] || exit 75", at("building")),
                ),
            ),
            (
                "/usr/local/bin/umount-backup-disk",
                &recorded("umount-backup-disk", &format!("[ ! -e {} ]", at("busy"))),
            ),
        ],
    );
    for (name, more) in [
        (
            "docker",
            format!("[ \"$4\" != stop ] || [ ! -e {} ]", at("stuck")),
        ),
        ("logger", "exit 1".to_owned()),
    ] {
        stand_in(&home, name, &format!("echo \"{name} $*\" >> {log}; {more}"));
    }
    let search = path(&home);
    let variables = [("PATH", search.as_str())];
    let calls = || {
        let text = fs::read_to_string(&log).unwrap_or_default();
        let _ = fs::remove_file(&log);
        text.lines()
            .map(|l| l.trim_end().to_owned())
            .collect::<Vec<_>>()
    };
    let docker = |word: &str| format!("docker compose --project-directory /srv/app {word} db");

    succeeds(&home, &["hooks"], &variables);
    let done = calls();
    assert_eq!(
        done,
        [
            "no-build-running",
            &docker("stop"),
            &docker("start"),
            "umount-backup-disk",
        ]
    );
    let runs = home.history("hooks");
    assert_eq!(runs[0]["batch"], "backup_verify");
    same(&home, &restored(&home, "hooks", "back", &variables), &FILES);
    calls();

    // A build is running: not now, and nothing was stopped.
    fs::write(at("building"), "").expect("own folder");
    let put_off = run(&home, &["hooks"], &variables);
    assert_eq!(put_off.code, 7, "{}", put_off.stderr);
    let done = calls();
    assert!(
        done[0] == "no-build-running" && !done.iter().any(|l| l.starts_with("docker")),
        "{done:?}"
    );
    fs::remove_file(at("building")).expect("own folder");

    // The database does not stop: no backup, it is told, and the database is started all the same. That logger fails as well
    // is nobody's worry.
    fs::write(at("stuck"), "").expect("own folder");
    let failed = run(&home, &["hooks"], &variables);
    assert_eq!(failed.code, 4, "{}", failed.stderr);
    let done = calls();
    for line in [
        docker("stop"),
        docker("start"),
        "logger -t dupr backup of app failed".to_owned(),
        "umount-backup-disk".to_owned(),
    ] {
        assert!(done.contains(&line), "{line}: {done:?}");
    }
    let made = home.history("hooks");
    let has_set = |run: &serde_json::Value| {
        let steps = run["steps"].as_array().expect("steps");
        steps.iter().any(|s| !s["set"].is_null())
    };
    assert!(!has_set(made.last().expect("a run")));
    fs::remove_file(at("stuck")).expect("own folder");

    // A disk that is busy at the end is a warning.
    fs::write(at("busy"), "").expect("own folder");
    let warned = run(&home, &["hooks"], &variables);
    assert_eq!(warned.code, 3, "{}", warned.stderr);
    assert!(has_set(home.history("hooks").last().expect("a run")));
}

/// The README's demonstration, with the program of the tests instead of one it builds.
#[test]
fn the_demonstration_shows_what_it_says() {
    let scratch = Scratch::new("demo");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles.example/demo");
    let shown = Command::new("bash")
        .arg(script)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("TMPDIR", scratch.path())
        .env("DUPR", env!("CARGO_BIN_EXE_dupr"))
        .output()
        .expect("bash");
    let shown = called(shown);
    assert_eq!(shown.code, 0, "{}{}", shown.stdout, shown.stderr);
    let mut rest = shown.stdout.as_str();
    for line in [
        "demo.toml backup\n",
        "ok: demo backup in ",
        "demo.toml status\n",
        "demo.toml restore ",
        "restored, and equal\n",
        "demo.toml full_purge --plan\n",
        "ok: demo full_purge in ",
        "ok: demo verify in ",
        "duplicity-full.",
        "Everything is in ",
    ] {
        let at = rest.find(line);
        let at = at.unwrap_or_else(|| panic!("{line:?}: {}", shown.stdout));
        rest = &rest[at + line.len()..];
    }
    // One full set is left of a chain and a full set.
    let places: Vec<_> = fs::read_dir(scratch.path()).expect("own folder").collect();
    assert_eq!(places.len(), 1);
    let place = places[0].as_ref().expect("entry").path();
    let left = fs::read_dir(place.join("backups")).expect("backups");
    let left: Vec<String> = left
        .map(|e| e.expect("entry").file_name().to_string_lossy().into_owned())
        .collect();
    assert!(
        left.len() == 3 && left.iter().all(|n| n.starts_with("duplicity-full")),
        "{left:?}"
    );
}
