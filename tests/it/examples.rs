//! The example profiles as files: only places, names and secrets are those of the servers of the tests.

mod everything;
mod small;

use crate::servers::{DATABASE_PASSWORD, Database, S3, Sshd};
use crate::support::home::{CANARY, Called, Home, called};
use crate::support::keyring::{Keyring, PASSPHRASE};
use crate::support::programs::find;
use crate::support::sink::Sink;
use crate::support::tree::Tree;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Copies an example into the profiles of a user, with other texts in place of some of its own, each of which must be there.
fn install(home: &Home, name: &str, others: &[(&str, &str)]) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("profiles.example")
        .join(format!("{name}.toml"));
    let mut text = fs::read_to_string(file).expect(name);
    for (from, to) in others {
        assert!(text.contains(from), "{name}.toml has no {from}");
        text = text.replace(from, to);
    }
    home.raw_profile(name, &text);
}

/// A file of its own, which nobody else can read.
fn secret(home: &Home, name: &str, text: &str) -> String {
    let path = home.path().join(name);
    fs::write(&path, text).expect("own folder");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("mode");
    path.display().to_string()
}

fn run(home: &Home, words: &[&str], variables: &[(&str, &str)]) -> Called {
    let mut command = home.command(words);
    command.envs(variables.iter().copied());
    called(command.output().expect("dupr runs"))
}

fn succeeds(home: &Home, words: &[&str], variables: &[(&str, &str)]) -> Called {
    let called = run(home, words, variables);
    assert_eq!(
        called.code, 0,
        "{words:?}\n{}{}",
        called.stdout, called.stderr
    );
    called
}

/// Some files below the source, one of which is changed by each call.
fn change(home: &Home, files: &[&str], turn: u32) {
    for file in files {
        let path = home.source().join(file);
        fs::create_dir_all(path.parent().expect("a folder")).expect("folder");
        fs::write(path, format!("{file}, {turn}\n").repeat(500)).expect("file");
    }
}

/// What came back is what there is, as far as it was to be saved.
fn same(home: &Home, restored: &Path, names: &[&str]) {
    for name in names {
        let (there, back) = (home.source().join(name), restored.join(name));
        let differences = Tree::read(&there).differences(&Tree::read(&back));
        assert!(differences.is_empty(), "{name}: {differences:?}");
    }
}

fn restored(home: &Home, name: &str, to: &str, variables: &[(&str, &str)]) -> PathBuf {
    let place = home.path().join(to);
    succeeds(
        home,
        &[name, "restore", &place.display().to_string()],
        variables,
    );
    place
}

#[test]
fn the_example_for_sftp_runs() {
    let (home, server) = (Home::new("example-sftp"), Sshd::start());
    let source = home.source().display().to_string();
    let url = format!("{:?}", server.url("volume1/backups/home"));
    let more = format!(
        "timeout = \"2m\"\noptions = {{ ssh-options = {:?} }}",
        server.ssh_options("userkey")
    );
    let pass = home.path().join("pass").display().to_string();
    install(
        &home,
        "sftp",
        &[
            ("\"sftp://backup@nas.local//volume1/backups/home\"", &url),
            ("timeout = \"2m\"", &more),
            ("/etc/dupr/home.pass", &pass),
            ("path = \"/home\"", &format!("path = {source:?}")),
            ("- /home/*/tmp", &format!("- {source}/*/tmp")),
        ],
    );
    for turn in 0..2 {
        change(
            &home,
            &[
                "ada/letters/a",
                "ada/.cache/b",
                "bob/tmp/c",
                "bob/d/node_modules/e",
            ],
            turn,
        );
        let called = succeeds(&home, &["sftp"], &[]);
        assert!(
            called.stdout.starts_with("ok: sftp backup_purge in "),
            "{}",
            called.stdout
        );
    }
    let names: Vec<String> = fs::read_dir(server.files().join("volume1/backups/home"))
        .expect("the target")
        .map(|e| e.expect("entry").file_name().to_string_lossy().into_owned())
        .collect();
    assert!(
        names.len() == 6 && names.iter().all(|n| n.ends_with(".gpg")),
        "{names:?}"
    );
    let place = restored(&home, "sftp", "back", &[]);
    same(&home, &place, &["ada/letters"]);
    for left_out in ["ada/.cache", "bob/tmp", "bob/d/node_modules"] {
        assert!(!place.join(left_out).exists(), "{left_out}");
    }
}

/// The target of an example, as a table that leads to an sshd of the tests.
fn at_sshd(server: &Sshd, below: &str) -> String {
    format!(
        "{{ url = {:?}, options = {{ ssh-options = {:?} }} }}",
        server.url(below),
        server.ssh_options("userkey")
    )
}

/// A program that stands in for one the machine may not have, first in the `PATH` of [`path`].
fn stand_in(home: &Home, name: &str, text: &str) {
    fs::create_dir_all(home.path().join("bin")).expect("bin");
    home.script(&format!("bin/{name}"), text);
}

/// A `PATH` with the programs that stand in.
fn path(home: &Home) -> String {
    let usual = std::env::var("PATH").unwrap_or_default();
    format!("{}:{usual}", home.path().join("bin").display())
}

/// Variables for the keys of an S3 server.
fn credentials(server: &S3) -> [(&str, &str); 2] {
    [
        ("AWS_ACCESS_KEY_ID", &server.key_id),
        ("AWS_SECRET_ACCESS_KEY", &server.secret),
    ]
}

/// Options that lead to an S3 server of the tests, in the place of those of an example.
fn at_server(server: &S3) -> String {
    format!(
        "options = {{ endpoint = {:?}, region = \"us-east-1\", storage-class = \"STANDARD_IA\" }}",
        server.endpoint()
    )
}

const AT_AMAZON: &str = "options = { region = \"eu-central-1\", storage-class = \"STANDARD_IA\" }";

#[test]
fn the_example_for_s3_runs_with_a_public_key_alone() {
    let Some(keyring) = Keyring::new() else {
        return;
    };
    let (home, server) = (Home::new("example-s3"), S3::moto());
    let source = home.source().display().to_string();
    let public = home.path().join("backup-public.asc");
    let exported = Command::new(find("gpg").expect("it was there"))
        .args(["--armor", "--output"])
        .arg(&public)
        .args(["--export", &keyring.encrypt])
        .env("GNUPGHOME", keyring.home())
        .output();
    assert!(exported.is_ok_and(|o| o.status.success()));
    let public = public.display().to_string();
    install(
        &home,
        "s3",
        &[
            ("path = \"/\"", &format!("path = {source:?}")),
            ("\"+ /", &format!("\"+ {source}/")),
            ("s3://my-bucket/", "s3://bucket/"),
            (AT_AMAZON, &at_server(&server)),
            ("/etc/dupr/backup-public.asc", &public),
        ],
    );
    let here = credentials(&server);
    let here = [&here[..], &[("HOSTNAME", "www1")]].concat();
    for turn in 0..2 {
        change(
            &home,
            &["etc/hosts", "home/ada/a", "var/lib/b", "opt/c"],
            turn,
        );
        let called = succeeds(&home, &["s3"], &here);
        assert!(
            called.stdout.contains("s3://bucket/www1"),
            "{}",
            called.stdout
        );
    }
    // Nothing on the server opens it.
    let place = home.path().join("nothing").display().to_string();
    let refused = run(&home, &["s3", "restore", &place], &here);
    assert_eq!(refused.code, 12, "{}{}", refused.stdout, refused.stderr);
    // Whoever has the secret key does.
    let name = "encrypt-secret-worthless.asc";
    let keys = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/keys");
    let key = home.path().join("keys");
    fs::create_dir(&key).expect("own folder");
    fs::copy(keys.join(name), key.join(name)).expect("a key");
    let pass = secret(&home, "key.pass", PASSPHRASE);
    home.raw_profile(
        "elsewhere",
        &format!(
            "version = 1\nsource = {source:?}\n[target]\nurl = \"s3://bucket/www1\"\n{}\n[keys]\nencrypt-to = [{public:?}]\n\
             keyring = {key:?}\npassphrase = {{ file = {pass:?} }}\n",
            at_server(&server)
        ),
    );
    let place = restored(&home, "elsewhere", "back", &here);
    same(&home, &place, &["etc", "home", "var/lib"]);
    assert!(!place.join("opt").exists());
}

#[test]
fn the_example_for_a_server_runs() {
    let Some(database) = Database::postgresql() else {
        return;
    };
    database.ask("postgres", "CREATE DATABASE shop");
    database.ask(
        "shop",
        "CREATE TABLE orders AS SELECT n FROM generate_series(1, 1000) n",
    );
    let (home, server) = (Home::new("example-server"), S3::moto());
    let sink = Sink::start(home.path());
    let source = home.source().display().to_string();
    let at = |name: &str| home.path().join(name).display().to_string();
    let worker = home.script(
        "systemctl",
        &format!(
            "[ -e {0}/stuck ] && exit 1; echo \"$*\" >> {0}/worker",
            home.path().display()
        ),
    );
    let mailer = home.script("mailer", &format!("cat >> {}", at("mails")));
    let port = format!("host = \"127.0.0.1\"\nport = {}", database.port);
    install(
        &home,
        "server",
        &[
            ("path = \"/\"", &format!("path = {source:?}")),
            ("\"+ /", &format!("\"+ {source}/")),
            ("host = \"/run/postgresql\"", &port),
            ("user = \"backup\"", &format!("user = {:?}", database.user)),
            (
                "/etc/dupr/pg.pass",
                &secret(&home, "pg.pass", DATABASE_PASSWORD),
            ),
            ("s3://example-backups/", "s3://bucket/"),
            (AT_AMAZON, &at_server(&server)),
            ("/etc/dupr/server.pass", &at("pass")),
            (
                "/etc/dupr/ping.url",
                &secret(&home, "ping.url", &sink.url("/a-secret")),
            ),
            ("/usr/sbin/sendmail", &mailer.display().to_string()),
            (
                "\"systemctl\"",
                &format!("{:?}", worker.display().to_string()),
            ),
            // Not the half hour of a night.
            ("wait = \"10m\"", "wait = \"1s\""),
        ],
    );
    let keys = credentials(&server);
    let plan = succeeds(&home, &["server", "--plan"], &keys).stdout;
    for part in [
        "dupr-dumps/pg (postgresql, all databases)",
        "stop shop-worker",
        "check",
        "email to admin@example.org",
    ] {
        assert!(plan.contains(part), "{part}: {plan}");
    }
    let doctor = succeeds(&home, &["doctor", "server"], &keys).stdout;
    assert!(doctor.contains("postgresql, all databases"), "{doctor}");
    let saved = [
        "etc/hosts",
        "home/ada/a",
        "srv/shop/b",
        "var/www/index.html",
    ];
    change(&home, &saved, 0);
    change(&home, &["srv/shop/node_modules/x", "var/lib/y"], 0);
    let first = succeeds(&home, &["server"], &keys);
    assert!(
        first
            .stdout
            .starts_with("ok: server backup_purge_check in "),
        "{}",
        first.stdout
    );
    let mails = || fs::read_to_string(home.path().join("mails")).unwrap_or_default();
    assert!(!mails().contains("FAILED"), "{}", mails());
    assert!(
        sink.lines()
            .iter()
            .any(|line| line.ends_with("/a-secret/start"))
    );

    // The worker does not stop: no backup, and the admin hears of it.
    fs::write(home.path().join("stuck"), "").expect("own folder");
    let failed = run(&home, &["server"], &keys);
    assert_eq!(failed.code, 4, "{}{}", failed.stdout, failed.stderr);
    assert!(
        mails().contains("Subject: [dupr] FAILED server on ")
            && mails().contains("To: admin@example.org"),
        "{}",
        mails()
    );
    assert!(
        sink.lines()
            .iter()
            .any(|line| line.ends_with("/a-secret/4"))
    );
    fs::remove_file(home.path().join("stuck")).expect("own folder");

    change(&home, &saved, 1);
    database.ask("shop", "INSERT INTO orders VALUES (4711)");
    succeeds(&home, &["server"], &keys);
    assert!(
        mails().contains("Subject: [dupr] recovered server on "),
        "{}",
        mails()
    );
    let calls = fs::read_to_string(home.path().join("worker")).expect("the worker was told");
    assert!(
        calls.starts_with("stop shop-worker\nstart shop-worker\n")
            && calls.ends_with("start shop-worker\n"),
        "{calls}"
    );
    for told in [mails(), first.stderr, failed.stderr] {
        assert!(
            !told.contains(CANARY)
                && !told.contains(DATABASE_PASSWORD)
                && !told.contains("a-secret"),
            "{told}"
        );
    }

    let place = restored(&home, "server", "back", &keys);
    same(&home, &place, &["etc", "home", "srv/shop/b", "var/www"]);
    assert!(!place.join("srv/shop/node_modules").exists() && !place.join("var/lib").exists());
    database.ask("postgres", "CREATE DATABASE again");
    database.feed("again", &place.join("dupr-dumps/pg/shop.sql"));
    assert_eq!(
        database.ask("again", "SELECT sum(n) FROM orders").trim(),
        (500_500 + 4711).to_string()
    );
    let roles = fs::read_to_string(place.join("dupr-dumps/pg/globals"));
    assert!(roles.expect("roles").contains("CREATE ROLE"));

    let units = succeeds(
        &home,
        &["schedule", "export", "--as", "systemd", "server"],
        &keys,
    )
    .stdout;
    assert!(
        units.contains("01:30") && units.contains("RandomizedDelaySec="),
        "{units}"
    );
}
