//! The example with every key, and the one with every kind of dump, against the servers of the tests.

use super::{
    AT_AMAZON, at_server, at_sshd, change, credentials, install, path, restored, run, same, secret,
    stand_in, succeeds,
};
use crate::mail::{Authority, PASSWORD as MAIL_PASSWORD};
use crate::servers::{DATABASE_PASSWORD, Database, S3, Sshd};
use crate::support::home::Home;
use crate::support::keyring::{Keyring, PASSPHRASE};
use crate::support::programs::find;
use crate::support::sink::Sink;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;

/// A database of SQLite with one table.
fn sqlite(file: &Path) {
    let made = Command::new(find("sqlite3").expect("tests/setup installs it"))
        .arg(file)
        .arg("CREATE TABLE t (n); INSERT INTO t VALUES (4711);")
        .status();
    assert!(made.is_ok_and(|s| s.success()), "sqlite3");
}

/// The example of every key as somebody would have it who has a keyring, an S3 server, a PostgreSQL server, a mail server and
/// services that are told. Only the conditions of `[run] require` are taken away: this machine may have neither mains nor net.
#[test]
fn the_example_of_every_key_runs() {
    let home = Home::new("example-full");
    let (Some(keyring), Some(database), Some(authority)) = (
        Keyring::new(),
        Database::postgresql(),
        Authority::new(home.path()),
    ) else {
        return;
    };
    let Some(mailer) = authority.serve(&home, "smtps", "localhost") else {
        return;
    };
    let (server, sink) = (S3::moto(), Sink::start(home.path()));
    let at = |name: &str| home.path().join(name).display().to_string();
    let beside = |name: &str, text: &str| {
        let file = home.path().join(".config/dupr").join(name);
        fs::write(&file, text).expect("own folder");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("mode");
    };
    let log = UnixDatagram::bind(at("log")).expect("socket");
    log.set_nonblocking(true).expect("socket");

    // What it names beside itself.
    beside("exclude", "**/left-out\n");
    beside("pg.pass", DATABASE_PASSWORD);
    beside(
        "mail.txt.hbs",
        "own words about {{profile}}: {{headline}}\n",
    );
    beside(
        "webhook.json.hbs",
        "{\"text\": \"{{status}} {{profile}}: {{headline}}\"}",
    );
    sqlite(&home.path().join("app.db"));
    database.ask("postgres", "CREATE DATABASE shop");
    database.ask(
        "shop",
        "CREATE TABLE orders AS SELECT n FROM generate_series(1, 1000) n",
    );

    let source = home.source().display().to_string();
    let port = format!("port = {}", database.port);
    install(
        &home,
        "full",
        &[
            ("path = \"/home/me\"", &format!("path = {source:?}")),
            (" /home/me/", &format!(" {source}/")),
            ("host = \"/run/postgresql\"", "host = \"127.0.0.1\""),
            ("port = 5432", &port),
            ("user = \"backup\"", &format!("user = {:?}", database.user)),
            ("/var/lib/app/app.db", &at("app.db")),
            (AT_AMAZON, &at_server(&server)),
            ("44D79E41F5C978E3A0B1C2D3E4F5061728394A5B", &keyring.encrypt),
            ("F5C978E3A0B1C2D3", &keyring.sign[24..]),
            ("/var/cache/dupr", &at("archives")),
            (
                "require = { power = \"ac\", network = \"unmetered\", min-free-temp = \"2 GiB\" }",
                "require = { power = \"any\", network = \"any\", min-free-temp = \"1 MiB\" }",
            ),
            (
                "smtps://user@mail.example.org:465",
                &format!("smtps://me@localhost:{}", mailer.port),
            ),
            (
                "/etc/ssl/certs/our-own-ca.pem",
                &authority.file("ca.pem").display().to_string(),
            ),
            (
                "/etc/dupr/smtp.pass",
                &secret(&home, "smtp.pass", MAIL_PASSWORD),
            ),
            ("https://ntfy.sh/mybackups", &sink.url("/mybackups")),
            (
                "/etc/dupr/ntfy.token",
                &secret(&home, "ntfy.token", "tk_a-secret"),
            ),
            ("https://hooks.example.org/dupr", &sink.url("/hook")),
            ("/var/lib/node_exporter/dupr.prom", &at("dupr.prom")),
            ("http://push.example.org:9091", &sink.url("")),
            (
                "socket = \"/dev/log\"",
                &format!("socket = {:?}", at("log")),
            ),
        ],
    );
    let stuck = at("stuck");
    stand_in(
        &home,
        "docker",
        &format!(
            "echo \"$*\" >> {}; [ \"$2\" != stop ] || [ ! -e {stuck} ]",
            at("docker")
        ),
    );
    stand_in(&home, "pass", "echo \"Bearer of $2-a-secret\"");
    fs::create_dir(at("credentials")).expect("own folder");
    fs::write(at("credentials/sign-pass"), PASSPHRASE).expect("own folder");
    let (search, ping) = (path(&home), sink.url("/ping-a-secret"));
    let (keys, credentials_at) = (keyring.home().display().to_string(), at("credentials"));
    let variables = [
        &credentials(&server)[..],
        &[
            ("PATH", search.as_str()),
            ("GNUPGHOME", &keys),
            ("HOME_PASS", PASSPHRASE),
            ("CREDENTIALS_DIRECTORY", &credentials_at),
            ("HC_URL", &ping),
        ],
    ]
    .concat();

    let plan = succeeds(&home, &["full", "--plan"], &variables).stdout;
    for part in [
        "s3://bucket/berlin",
        "backup full",
        "docker compose stop db",
        "check",
    ] {
        assert!(plan.contains(part), "{part}: {plan}");
    }
    change(
        &home,
        &[
            "Documents/a",
            "tmp/b",
            "c/left-out",
            "d.o",
            ".cache/e",
            "f/g",
        ],
        0,
    );
    let first = succeeds(&home, &["full"], &variables);
    assert!(
        first.stdout.starts_with("ok: full backup_purge_check in "),
        "{}",
        first.stdout
    );
    change(&home, &["Documents/a", "f/g"], 1);
    database.ask("shop", "INSERT INTO orders VALUES (4711)");
    succeeds(&home, &["full"], &variables);
    let calls = fs::read_to_string(at("docker")).expect("docker was called");
    assert_eq!(calls, "compose stop db\ncompose start db\n".repeat(2));
    assert!(home.path().join("archives/home").is_dir());

    // Told of success: the ping, the webhook, both kinds of metrics, the log.
    let hooks = |taken: &[Value]| -> Vec<String> {
        let hooks = taken.iter().filter(|r| r["path"] == "/hook");
        hooks
            .map(|r| r["body"].as_str().unwrap_or_default().to_owned())
            .collect()
    };
    let taken = sink.taken();
    let asked = |path: &str| taken.iter().filter(|r| r["path"] == path).count();
    assert_eq!(
        (
            asked("/ping-a-secret/start"),
            asked("/ping-a-secret"),
            asked("/mybackups")
        ),
        (2, 2, 0)
    );
    for body in hooks(&taken) {
        let body: Value = serde_json::from_str(&body).expect("JSON");
        let text = body["text"].as_str().expect("text");
        assert!(text.starts_with("ok full: "), "{text}");
    }
    let hook = taken.iter().find(|r| r["path"] == "/hook").expect("a hook");
    assert_eq!(hook["headers"]["authorization"], "Bearer of hook-a-secret");
    assert!(taken.iter().any(|r| {
        r["path"]
            .as_str()
            .is_some_and(|p| p.starts_with("/metrics/"))
    }));
    let figures = fs::read_to_string(at("dupr.prom")).expect("figures");
    assert!(figures.contains("profile=\"full\""), "{figures}");
    let mut line = [0; 4096];
    let length = log.recv(&mut line).expect("a line");
    assert!(String::from_utf8_lossy(&line[..length]).contains("full"));
    let mails = || fs::read_to_string(at("mail")).unwrap_or_default();
    assert_eq!(mails(), "");

    // What comes back, with recovery files beside every file at the target.
    let place = restored(&home, "full", "back", &variables);
    same(&home, &place, &["one", "sub", "Documents", "f"]);
    for left_out in ["tmp", "c/left-out", "d.o", ".cache"] {
        assert!(!place.join(left_out).exists(), "{left_out}");
    }
    database.ask("postgres", "CREATE DATABASE again");
    database.feed("again", &place.join("dupr-dumps/pg/shop.dump"));
    assert_eq!(
        database.ask("again", "SELECT sum(n) FROM orders").trim(),
        (500_500 + 4711).to_string()
    );
    let app = fs::read_to_string(place.join("dupr-dumps/app.sql")).expect("app.sql");
    assert!(
        app.contains("4711") && app.trim_end().ends_with("COMMIT;"),
        "{app}"
    );
    assert!(
        place
            .join("dupr-dumps/list.txt")
            .metadata()
            .expect("list")
            .len()
            > 0
    );
    let listed = succeeds(&home, &["target", "ls", "full"], &variables).stdout;
    assert!(listed.contains(".vol1.difftar.gpg"), "{listed}");
    let plain = listed.matches(".par2").count();
    assert_eq!(plain, 0, "recovery files are not listed: {listed}");
    assert!(server.log().contains(".par2"), "and are there");

    // The database does not stop: nothing is made, and all who want to know of it do.
    fs::write(&stuck, "").expect("own folder");
    let failed = run(&home, &["full"], &variables);
    assert_eq!(failed.code, 4, "{}{}", failed.stdout, failed.stderr);
    let taken = sink.taken();
    assert!(taken.iter().any(|r| r["path"] == "/ping-a-secret/4"));
    let rung = taken
        .iter()
        .find(|r| r["path"] == "/mybackups")
        .expect("ntfy");
    assert_eq!(rung["headers"]["authorization"], "Bearer tk_a-secret");
    let told = hooks(&taken);
    assert!(told.iter().any(|t| t.contains("FAILED full: ")), "{told:?}");
    for part in [
        "Subject: [dupr] FAILED full on ",
        "own words about full: ",
        "user=me tls=True",
    ] {
        assert!(mails().contains(part), "{part}: {}", mails());
    }
    for told in [first.stderr, failed.stderr, mails(), figures] {
        for word in [DATABASE_PASSWORD, MAIL_PASSWORD, "a-secret"] {
            assert!(!told.contains(word), "{word}: {told}");
        }
    }
}

/// Every kind of dump in one profile: a server by its port, one in a container, a file, and whatever prints.
#[test]
fn the_example_of_dumps_runs() {
    let (Some(postgres), Some(maria)) = (Database::postgresql(), Database::mariadb()) else {
        return;
    };
    let (home, server) = (Home::new("example-dumps"), Sshd::start());
    let source = home.source().display().to_string();
    postgres.ask("postgres", "CREATE DATABASE shop");
    postgres.ask("shop", "CREATE TABLE orders AS SELECT 4711 AS n");
    let password = DATABASE_PASSWORD.replace('\\', "\\\\");
    maria.ask(
        "mysql",
        &format!(
            "GRANT ALL ON *.* TO keeper@localhost IDENTIFIED BY '{password}'; CREATE DATABASE wordpress; \
             CREATE TABLE wordpress.wp_posts AS SELECT 'a letter' AS t; CREATE TABLE wordpress.wp_sessions AS SELECT 'a cookie' AS t"
        ),
    );
    sqlite(&home.source().join("vault.db"));
    // The container: its programs, which know where the server is. That option comes second, behind the file with the password.
    stand_in(
        &home,
        "docker",
        &format!(
            "[ \"$1 $2 $3\" = \"exec -i blog-db\" ] || exit 2; program=$4; first=$5; shift 5; exec \"$program\" \"$first\" --socket={} \"$@\"",
            maria.socket().display()
        ),
    );
    stand_in(
        &home,
        "mongodump",
        "[ \"$*\" = \"--config=/etc/dupr/mongo.yaml --archive\" ] && echo an archive",
    );
    install(
        &home,
        "dumps",
        &[
            ("/srv/app", &source),
            (
                "\"sftp://backup@nas.local//backups/app\"",
                &at_sshd(&server, "backups/app"),
            ),
            (
                "/etc/dupr/app.pass",
                &home.path().join("pass").display().to_string(),
            ),
            (
                "host = \"/run/postgresql\"",
                &format!("host = \"127.0.0.1\"\nport = {}", postgres.port),
            ),
            ("user = \"backup\"", "user = \"keeper\""),
            (
                "/etc/dupr/pg.pass",
                &secret(&home, "pg.pass", DATABASE_PASSWORD),
            ),
        ],
    );
    let search = path(&home);
    let variables = [("PATH", search.as_str()), ("BLOG_PASS", DATABASE_PASSWORD)];
    let doctor = succeeds(&home, &["doctor", "dumps"], &variables).stdout;
    assert!(doctor.contains("postgresql, all databases"), "{doctor}");
    let made = succeeds(&home, &["dumps", "backup"], &variables);
    postgres.ask("shop", "INSERT INTO orders VALUES (1)");
    succeeds(&home, &["dumps", "backup"], &variables);

    let place = restored(&home, "dumps", "back", &variables);
    same(&home, &place, &["one", "two", "sub", "vault.db"]);
    let dumps = place.join("dupr-dumps");
    let text = |name: &str| fs::read_to_string(dumps.join(name)).expect(name);
    postgres.ask("postgres", "CREATE DATABASE again");
    postgres.feed("again", &dumps.join("pg/shop.sql"));
    assert_eq!(postgres.ask("again", "SELECT sum(n) FROM orders"), "4712");
    assert!(text("pg/globals").contains("CREATE ROLE"));
    maria.ask("mysql", "DROP DATABASE wordpress");
    maria.feed("mysql", &dumps.join("blog/wordpress.sql"));
    assert_eq!(maria.ask("wordpress", "SELECT t FROM wp_posts"), "a letter");
    assert!(!text("blog/wordpress.sql").contains("a cookie"));
    assert!(text("vault.sql").contains("4711"));
    assert_eq!(text("mongo.archive"), "an archive\n");
    let said = format!("{}{}{doctor}", made.stdout, made.stderr);
    assert!(!said.contains(DATABASE_PASSWORD), "{said}");
}
