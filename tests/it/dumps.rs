//! Dumps of real databases: what is stored is what the database held, and what fails never passes for a backup.

use crate::servers::{DATABASE_PASSWORD, Database};
use crate::support::home::{CANARY, Home, called};
use crate::support::programs::{Program, run};
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// A dump, as a table of a profile.
fn dump(lines: &str) -> String {
    format!("[[source.dump]]\n{lines}\n")
}

/// A home whose profile dumps `tables`, with the password of the servers in a file.
fn home(name: &str, tables: &str) -> Home {
    let home = Home::new(name);
    home.script("database-password", "");
    fs::write(home.path().join("database-password"), DATABASE_PASSWORD).expect("password");
    with(&home, tables);
    home
}

fn with(home: &Home, tables: &str) {
    let head = format!(
        "version = 1\ntarget = \"file://{}\"\npassphrase = {{ file = {:?} }}\nbackup.volume-size = \"1 MiB\"\n[source]\npath = {:?}\n",
        home.target().display(),
        home.path().join("pass"),
        home.source(),
    );
    home.raw_profile("home", &format!("{head}{tables}"));
}

fn server(name: &str, kind: &str, database: &Database, more: &str) -> String {
    dump(&format!(
        "name = {name:?}\nkind = {kind:?}\nhost = \"127.0.0.1\"\nport = {}\nuser = {:?}\npassword = {{ file = \"../../database-password\" }}\n{more}",
        database.port, database.user
    ))
}

/// Restores into a new folder.
fn restored(home: &Home, to: &str, time: &str) -> std::path::PathBuf {
    let place = home.path().join(to);
    let mut words = vec!["home", "restore", place.to_str().expect("a name")];
    words.extend((!time.is_empty()).then_some(time));
    home.expect(0, &words);
    place
}

/// A dump whose output begins well and is cut off after `megabytes`; it fails as long as the file `broken` is there.
fn may_break(home: &Home, megabytes: u32) -> String {
    let script = home.script(
        "printing",
        &format!(
            "cd {}\nn=$(cat seed 2>/dev/null || echo 1)\nseq $((n * 1000)) $((n * 1000 + {}))\n[ -e broken ] || exit 0\necho lost the connection >&2\nexit 9",
            home.path().display(),
            megabytes * 150_000
        ),
    );
    dump(&format!(
        "name = \"numbers.txt\"\nkind = \"command\"\ncommand = [{script:?}]"
    ))
}

fn printed(home: &Home) -> Vec<u8> {
    let output = Command::new(home.path().join("printing"))
        .output()
        .expect("script");
    output.stdout
}

#[test]
fn postgresql_comes_back_database_by_database() {
    let Some(server_of) = Database::postgresql() else {
        return;
    };
    server_of.ask("postgres", "CREATE DATABASE shop");
    server_of.ask("postgres", "CREATE DATABASE \"odd name='/%\"");
    server_of.ask("postgres", "CREATE ROLE clerk");
    server_of.ask(
        "shop",
        "CREATE TABLE t AS SELECT n, md5(n::text) AS h FROM generate_series(1, 60000) n",
    );
    let tables = server("pg", "postgresql", &server_of, "databases = \"all\"")
        + &server(
            "one",
            "postgresql",
            &server_of,
            "databases = [\"shop\"]\nformat = \"custom\"",
        );
    let tables = tables
        + &server(
            "tarred",
            "postgresql",
            &server_of,
            "databases = [\"shop\"]\nformat = \"tar\"",
        );
    let home = home("dumps-postgresql", &tables);
    let doctor = home.expect(0, &["doctor", "home"]);
    assert!(
        doctor.stdout.contains("pg: postgresql, all databases"),
        "{}",
        doctor.stdout
    );
    let plan = home.expect(0, &["home", "backup", "--plan"]).stdout;
    assert!(
        plan.contains("dupr-dumps/pg (postgresql, all databases)"),
        "{plan}"
    );
    home.expect(0, &["home", "backup"]);
    let first = server_of.ask(
        "shop",
        "SELECT sum(n), md5(string_agg(h, '' ORDER BY n)) FROM t",
    );
    server_of.ask("shop", "UPDATE t SET h = 'changed' WHERE n = 30000");
    let second = server_of.ask(
        "shop",
        "SELECT sum(n), md5(string_agg(h, '' ORDER BY n)) FROM t",
    );
    home.expect(0, &["home", "backup"]);
    let runs = home.history("home");
    let raw = |run: usize| {
        runs[run]["steps"][0]["backup"]["raw-delta-bytes"]
            .as_u64()
            .expect("bytes")
    };
    assert!(
        raw(1) * 8 < raw(0),
        "a dump is stored as a difference: {} {}",
        raw(0),
        raw(1)
    );

    let place = restored(&home, "back", "");
    let folder = place.join("dupr-dumps/pg");
    let mut names: Vec<String> = fs::read_dir(&folder)
        .expect("dumps")
        .map(|e| e.expect("entry").file_name().into_string().expect("name"))
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            "globals",
            "odd name='%2F%25.sql",
            "postgres.sql",
            "shop.sql"
        ]
    );
    assert!(
        fs::read_to_string(folder.join("globals"))
            .expect("roles")
            .contains("clerk")
    );
    server_of.ask("postgres", "CREATE DATABASE back");
    server_of.feed("back", &folder.join("shop.sql"));
    let again = "SELECT sum(n), md5(string_agg(h, '' ORDER BY n)) FROM t";
    assert_eq!(server_of.ask("back", again), second);
    // A set without its time is the newest; that of the night before is still there.
    let before = home.path().join("before.sql");
    let time = runs[0]["steps"][0]["set"]["full"]["time"]
        .as_i64()
        .expect("time")
        .to_string();
    home.expect(
        0,
        &[
            "home",
            "fetch",
            "dupr-dumps/pg/shop.sql",
            before.to_str().expect("name"),
            &time,
        ],
    );
    server_of.ask("postgres", "CREATE DATABASE older");
    server_of.feed("older", &before);
    assert_eq!(server_of.ask("older", again), first);
    assert!(
        fs::read(place.join("dupr-dumps/one/shop.dump"))
            .expect("dump")
            .starts_with(b"PGDMP")
    );
    server_of.ask("postgres", "CREATE DATABASE untarred");
    server_of.feed("untarred", &place.join("dupr-dumps/tarred/shop.tar"));
    assert_eq!(server_of.ask("untarred", again), second);
    server_of.ask("postgres", "CREATE DATABASE unpacked");
    server_of.feed("unpacked", &place.join("dupr-dumps/one/shop.dump"));
    assert_eq!(server_of.ask("unpacked", again), second);
    home.expect(0, &["home", "verify", "--compare-data"]);

    // A password that is wrong is told, keeps the old dumps, and no word of it is seen.
    fs::write(home.path().join("database-password"), "wrong").expect("password");
    let failed = home.expect(1, &["home", "backup"]);
    assert!(
        failed.stderr.contains("cannot list the databases"),
        "{}",
        failed.stderr
    );
    home.expect(1, &["doctor", "home"]);
    let kept = restored(&home, "kept", "");
    assert_eq!(
        fs::read(kept.join("dupr-dumps/pg/shop.sql")).expect("kept"),
        fs::read(folder.join("shop.sql")).expect("dump")
    );
    // A new chain without the dump must not push out the one that has it.
    let failed = home.expect(1, &["home", "full_purgefull", "1", "--force"]);
    assert!(
        failed.stderr.contains("nothing was removed"),
        "{}",
        failed.stderr
    );
}

#[test]
fn mariadb_comes_back_and_real_duplicity_restores_it() {
    let Some(server_of) = Database::mariadb() else {
        return;
    };
    server_of.ask("mysql", "CREATE DATABASE shop; CREATE TABLE shop.t (n INT PRIMARY KEY, h CHAR(32)); INSERT INTO shop.t SELECT seq, md5(seq) FROM seq_1_to_50000");
    let sum = "SELECT COUNT(*), SUM(CONV(LEFT(h, 8), 16, 10)) FROM shop.t";
    let before = server_of.ask("mysql", sum);
    // Under the names MySQL gives its programs, too.
    let tables = server("maria", "mariadb", &server_of, "databases = \"all\"")
        + &server("my", "mysql", &server_of, "databases = [\"shop\"]");
    let home = home("dumps-mariadb", &tables);
    home.expect(0, &["home", "backup"]);
    server_of.ask("mysql", "INSERT INTO shop.t VALUES (0, 'new')");
    let after = server_of.ask("mysql", sum);
    home.expect(0, &["home", "backup"]);
    for program in [Program::Duplicity3, Program::Duplicity08] {
        let Some(mut words) = program.words() else {
            continue;
        };
        let place = home.path().join(program.name());
        words.push("restore".to_owned());
        words.push(format!("file://{}", home.target().display()));
        words.push(place.display().to_string());
        let env = [
            ("PASSPHRASE", CANARY),
            ("HOME", home.path().to_str().expect("name")),
        ]
        .map(|(k, v)| (k.to_owned(), v.to_owned()));
        run(&words, home.path(), &env).expect("duplicity restores");
        server_of.ask("mysql", "DROP DATABASE shop");
        server_of.feed("mysql", &place.join("dupr-dumps/maria/shop.sql"));
        assert_eq!(server_of.ask("mysql", sum), after, "{}", program.name());
        assert_ne!(after, before);
        assert!(place.join("dupr-dumps/maria/mysql.sql").is_file());
        server_of.ask("mysql", "DROP DATABASE shop");
        server_of.feed("mysql", &place.join("dupr-dumps/my/shop.sql"));
        assert_eq!(server_of.ask("mysql", sum), after, "{}", program.name());
        assert!(
            !place
                .join("dupr-dumps/maria/performance_schema.sql")
                .exists()
        );
    }
}

/// Somebody who writes to a database of SQLite all the time, until dropped.
struct Writer {
    sqlite: std::process::Child,
    feeder: Option<std::thread::JoinHandle<()>>,
}

impl Writer {
    /// Each write moves one from a row to another, so that the sum stays.
    fn start(database: &Path) -> Self {
        let mut sqlite = Command::new("sqlite3")
            .arg(database)
            .stdin(Stdio::piped())
            .spawn()
            .expect("sqlite3");
        let mut stdin = sqlite.stdin.take().expect("stdin");
        let feeder = std::thread::spawn(move || {
            let write = "BEGIN; UPDATE t SET half = half + 1 WHERE n = 1; UPDATE t SET half = half - 1 WHERE n = 20000; COMMIT;\n";
            while stdin.write_all(write.as_bytes()).is_ok() {}
        });
        Self {
            sqlite,
            feeder: Some(feeder),
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.sqlite.kill();
        let _ = self.sqlite.wait();
        let _ = self.feeder.take().map(std::thread::JoinHandle::join);
    }
}

/// A whole server of PostgreSQL by a command, as docs/profile.md has it; a new server comes up on what was restored.
#[test]
fn a_whole_server_comes_back_from_its_base_backup() {
    let Some(server_of) = Database::postgresql() else {
        return;
    };
    server_of.ask("postgres", "CREATE DATABASE shop");
    server_of.ask("postgres", "CREATE ROLE clerk");
    server_of.ask(
        "shop",
        "CREATE TABLE t AS SELECT n FROM generate_series(1, 50000) n",
    );
    let home = home("dumps-base", "");
    let pass = home.script("pgpass", "");
    let (port, user) = (server_of.port, server_of.user);
    let words = DATABASE_PASSWORD.replace('\\', "\\\\").replace(':', "\\:");
    fs::write(&pass, format!("127.0.0.1:{port}:*:{user}:{words}\n")).expect("password");
    fs::set_permissions(&pass, fs::Permissions::from_mode(0o600)).expect("mode");
    with(
        &home,
        &dump(&format!(
            "name = \"server.tar\"\nkind = \"command\"\ncommand = [\"env\", \"PGPASSFILE={}\", \"pg_basebackup\", \"--host=127.0.0.1\", \
             \"--port={port}\", \"--username={user}\", \"--no-password\", \"--format=tar\", \"--wal-method=fetch\", \"--checkpoint=fast\", \
             \"--pgdata=-\"]",
            pass.display()
        )),
    );
    home.expect(0, &["home", "backup"]);
    server_of.ask("shop", "INSERT INTO t VALUES (4711000)");
    home.expect(0, &["home", "backup"]);
    let place = restored(&home, "back", "");
    let again = Database::postgresql_of(&place.join("dupr-dumps/server.tar"));
    let again = again.expect("it was there");
    let sum = "SELECT sum(n) FROM t";
    assert_eq!(again.ask("shop", sum), server_of.ask("shop", sum));
    let roles = "SELECT count(*) FROM pg_roles WHERE rolname = 'clerk'";
    assert_eq!(again.ask("postgres", roles), "1");
}

/// MongoDB's own program is not in Debian. One that stands in is called with the words of the example, prints an archive as
/// binary as one of MongoDB's, and fails as it would when the server goes away.
#[test]
fn mongodb_is_dumped_by_the_command_of_the_example() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles.example/dumps.toml");
    let example = fs::read_to_string(example).expect("the example");
    let table = example.find("name = \"mongo.archive\"").expect("mongodump");
    let table = &example[table..];
    let home = home("dumps-mongodb", &dump(table));
    let bin = home.path().join("bin");
    fs::create_dir(&bin).expect("bin");
    let at = home.path().display();
    let stand_in = format!(
        "[ \"$*\" = '--config=/etc/dupr/mongo.yaml --archive' ] || {{ echo \"what is $*?\" >&2; exit 2; }}\n\
         echo 'writing shop.orders to archive on stdout' >&2\n\
         if [ -e {at}/gone ]; then head -c 700000 {at}/archive; echo 'Failed: connection closed' >&2; exit 1; fi\n\
         exec cat {at}/archive"
    );
    home.script("bin/mongodump", &stand_in);
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!("{}:{path}", bin.display());
    let backup = || {
        called(
            home.command(&["home", "backup"])
                .env("PATH", &path)
                .output()
                .expect("dupr"),
        )
    };
    // The first bytes of an archive, and collections behind them.
    let archive = |turn: u8| {
        let mut bytes = vec![0x6d, 0xe2, 0x99, 0x81];
        bytes.extend((0..2_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8));
        bytes[1_000_000] = turn;
        fs::write(home.path().join("archive"), &bytes).expect("archive");
        bytes
    };
    archive(1);
    assert_eq!(backup().code, 0);
    let good = archive(2);
    assert_eq!(backup().code, 0);
    let runs = home.history("home");
    let stored = |run: usize| {
        runs[run]["steps"][0]["backup"]["raw-delta-bytes"]
            .as_u64()
            .expect("bytes")
    };
    assert!(stored(1) * 8 < stored(0), "{} {}", stored(0), stored(1));
    archive(3);
    fs::write(home.path().join("gone"), "").expect("own folder");
    let failed = backup();
    assert_eq!(failed.code, 1, "{}{}", failed.stdout, failed.stderr);
    assert!(
        failed.stderr.contains("connection closed"),
        "{}",
        failed.stderr
    );
    let place = restored(&home, "back", "");
    assert!(fs::read(place.join("dupr-dumps/mongo.archive")).expect("an archive") == good);
}

/// The same by its kind: what the program is told, by its words and by what it reads.
#[test]
fn mongodb_is_dumped_whole_or_database_by_database() {
    let all = "name = \"whole.archive\"\nkind = \"mongodb\"\nhost = \"127.0.0.1\"\nport = 27018\nuser = \"backup\"\n\
               password = { file = \"../../database-password\" }\noptions = [\"--oplog\"]";
    let some = "name = \"some\"\nkind = \"mongodb\"\ndatabases = [\"shop\", \"blog\"]";
    let home = home("dumps-mongodb-kind", &(dump(all) + &dump(some)));
    fs::create_dir(home.path().join("bin")).expect("bin");
    let at = home.path().display();
    let stand_in = format!(
        "[ \"$*\" != --version ] || {{ echo 'mongodump version: 100.9.4'; exit 0; }}\necho \"$*\" >> {at}/words\ncase \"$*\" in --config=/dev/stdin*) cat /dev/stdin > {at}/config ;; esac\n\
         [ ! -e {at}/gone ] || exit 1\necho \"archive by $*\""
    );
    home.script("bin/mongodump", &stand_in);
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!("{}/bin:{path}", home.path().display());
    let dupr = |words: &[&str]| {
        let mut command = home.command(words);
        called(command.env("PATH", &path).output().expect("dupr"))
    };
    let doctor = dupr(&["doctor", "home"]);
    for line in [
        "whole.archive: mongodb, all databases",
        "some: mongodb, shop, blog",
    ] {
        assert!(doctor.stdout.contains(line), "{line}: {}", doctor.stdout);
    }
    let made = dupr(&["home", "backup"]);
    assert_eq!(made.code, 0, "{}{}", made.stdout, made.stderr);
    let text = fs::read_to_string(home.path().join("words")).expect("words");
    let mut words: Vec<&str> = text.lines().collect();
    words.sort_unstable();
    let whole = "--config=/dev/stdin --host=127.0.0.1 --port=27018 --username=backup --authenticationDatabase=admin --archive --oplog";
    let each = ["--archive --db=blog", "--archive --db=shop"];
    assert_eq!(words, [each[0], each[1], whole]);
    let quoted = DATABASE_PASSWORD.replace('\\', "\\\\").replace('"', "\\\"");
    let config = fs::read_to_string(home.path().join("config")).expect("config");
    assert_eq!(config, format!("password: \"{quoted}\"\n"));
    let place = restored(&home, "back", "").join("dupr-dumps");
    for (file, words) in [
        ("whole.archive", whole),
        ("some/blog.archive", each[0]),
        ("some/shop.archive", each[1]),
    ] {
        let back = fs::read_to_string(place.join(file)).expect(file);
        assert_eq!(back, format!("archive by {words}\n"));
    }
    fs::write(home.path().join("gone"), "").expect("own folder");
    assert_eq!(dupr(&["home", "backup"]).code, 1);
}

#[test]
fn sqlite_is_whole_while_somebody_writes() {
    let home = home("dumps-sqlite", "");
    let database = home.path().join("app.db");
    let sqlite = |question: &str| {
        let mut command = Command::new("sqlite3");
        let output = command.arg(&database).arg(question).output();
        let output = output.expect("sqlite3 is not installed; run tests/setup");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    sqlite(
        "PRAGMA journal_mode = wal; CREATE TABLE t (n INTEGER, half INTEGER); INSERT INTO t WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 20000) SELECT n, 0 FROM c",
    );
    with(
        &home,
        &dump("name = \"app.sql\"\nkind = \"sqlite\"\npath = \"../../app.db\""),
    );
    let writer = Writer::start(&database);
    std::thread::sleep(Duration::from_millis(300));
    home.expect(0, &["home", "backup"]);
    home.expect(0, &["home", "backup"]);
    drop(writer);
    let place = restored(&home, "back", "");
    let back = home.path().join("back.db");
    let output = Command::new("sqlite3")
        .arg(&back)
        .arg(format!(
            ".read {}",
            place.join("dupr-dumps/app.sql").display()
        ))
        .arg("SELECT count(*), sum(half), max(half) > 0 FROM t")
        .output()
        .expect("sqlite3");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "20000|0|1");
    // One that is no database any more ends sqlite3 with 0, and is not believed.
    fs::write(&database, "no database").expect("write");
    let failed = home.expect(1, &["home", "backup"]);
    assert!(failed.stderr.contains("app.sql"), "{}", failed.stderr);
}

#[test]
fn a_dump_that_breaks_off_is_left_out_and_everything_else_is_stored() {
    let home = home("dumps-broken", "");
    // Long enough to be in several volumes before it fails.
    with(&home, &may_break(&home, 4));
    home.write("zeta", "behind the dumps\n");
    home.expect(0, &["home", "backup"]);
    let good = printed(&home);
    assert!(good.len() > 3 << 20);

    fs::write(home.path().join("seed"), "7").expect("seed");
    fs::write(home.path().join("broken"), "").expect("broken");
    home.write("zeta", "changed behind the dumps\n");
    home.write("alpha", "new before the dumps\n");
    let failed = home.expect(1, &["home", "backup"]);
    assert!(
        failed
            .stderr
            .contains("printing ended with exit code 9: lost the connection"),
        "{}",
        failed.stderr
    );
    let place = restored(&home, "back", "");
    assert_eq!(
        fs::read(place.join("dupr-dumps/numbers.txt")).expect("dump"),
        good
    );
    assert_eq!(
        fs::read_to_string(place.join("zeta")).expect("zeta"),
        "changed behind the dumps\n"
    );
    assert_eq!(
        fs::read_to_string(place.join("alpha")).expect("alpha"),
        "new before the dumps\n"
    );
    home.expect(0, &["home", "verify", "--compare-data"]);
    let status = home.expect(0, &["home", "status"]).stdout;
    assert!(!status.contains("incomplete"), "{status}");

    // In a full set there is no older one: it is not there, rather than half there.
    let failed = home.expect(1, &["home", "full"]);
    assert!(failed.stderr.contains("exit code 9"), "{}", failed.stderr);
    let place = restored(&home, "full", "");
    assert!(!place.join("dupr-dumps/numbers.txt").exists());
    assert!(place.join("zeta").is_file());

    fs::remove_file(home.path().join("broken")).expect("whole again");
    home.expect(0, &["home", "backup"]);
    let place = restored(&home, "again", "");
    assert_eq!(
        fs::read(place.join("dupr-dumps/numbers.txt")).expect("dump"),
        printed(&home)
    );
}

#[test]
fn a_profile_may_hold_dumps_alone() {
    let home = home("dumps-alone", "");
    with(&home, &may_break(&home, 1));
    fs::remove_dir_all(home.source()).expect("source");
    fs::create_dir(home.source()).expect("an empty folder");
    home.expect(0, &["home", "backup"]);
    fs::write(home.path().join("seed"), "7").expect("seed");
    home.expect(0, &["home", "backup"]);
    let place = restored(&home, "back", "");
    assert_eq!(
        fs::read(place.join("dupr-dumps/numbers.txt")).expect("dump"),
        printed(&home)
    );
    // One that held files is still refused when they are gone.
    home.write("file", "not a dump\n");
    home.expect(0, &["home", "backup"]);
    fs::remove_file(home.source().join("file")).expect("file");
    let refused = home.expect(1, &["home", "backup"]);
    assert!(refused.stderr.contains("is empty"), "{}", refused.stderr);
    // Without a word of a source it is told what to do.
    home.raw_profile(
        "none",
        &format!(
            "version = 1\ntarget = \"file:///b\"\nkeys.encryption = \"none\"\n{}",
            may_break(&home, 1)
        ),
    );
    let refused = home.expect(2, &["none", "backup"]);
    assert!(
        refused
            .stderr
            .contains("for dumps alone, name a folder that is empty"),
        "{}",
        refused.stderr
    );
}

#[test]
fn problems_before_a_dump_that_breaks_off_are_told_once() {
    let home = home("dumps-once", "");
    with(&home, &may_break(&home, 4));
    fs::create_dir(home.source().join("dupr-dumps")).expect("folder");
    home.expect(3, &["home", "backup"]);
    fs::write(home.path().join("broken"), "").expect("broken");
    let failed = home.expect(1, &["home", "full"]);
    assert_eq!(
        failed.stderr.matches("the place of the dumps").count(),
        // Where it happens, and as the first one in the summary.
        2,
        "{}",
        failed.stderr
    );
    let runs = home.history("home");
    let step = &runs.last().expect("a run")["steps"][0];
    let told: Vec<&str> = step["problems"]
        .as_array()
        .expect("problems")
        .iter()
        .filter_map(|p| p["path"].as_str())
        .collect();
    assert_eq!(told, ["dupr-dumps", "dupr-dumps/numbers.txt"]);
    assert_eq!(step["problem-count"], 2);
}

#[test]
fn the_chain_with_the_last_good_dump_stays_until_there_is_another() {
    let home = home("dumps-kept", "");
    let always = dump("name = \"other\"\nkind = \"command\"\ncommand = [\"echo\", \"fine\"]");
    let rules = "[retention]\nkeep-fulls = 1\nforce = true\n";
    with(&home, &format!("{}{always}{rules}", may_break(&home, 1)));
    let chains = || {
        let stored = home.stored();
        let full = |p: &&std::path::PathBuf| {
            let name = p.file_name().and_then(|n| n.to_str());
            name.is_some_and(|n| n.starts_with("duplicity-full.") && n.contains("manifest"))
        };
        stored.iter().filter(full).count()
    };
    let forget = || fs::remove_dir_all(home.path().join(".cache/dupr/home")).expect("archive dir");
    home.expect(0, &["home", "full"]);
    let good = printed(&home);
    let first = home.history("home")[0]["steps"][0]["set"]["full"]["time"].to_string();
    fs::write(home.path().join("broken"), "").expect("broken");
    for _ in 0..2 {
        home.expect(1, &["home", "full"]);
    }
    // The one in the middle goes, whether this machine still knows what it saw or reads it from the sets.
    let kept = |plan: &str| {
        assert!(plan.contains("the last good dump of numbers.txt"), "{plan}");
    };
    kept(&home.expect(0, &["home", "purge", "--plan", "-v"]).stdout);
    home.expect(0, &["home", "purge"]);
    assert_eq!(chains(), 2);
    forget();
    home.expect(1, &["home", "full"]);
    forget();
    kept(&home.expect(0, &["home", "purge", "--plan", "-v"]).stdout);
    home.expect(0, &["home", "purge"]);
    assert_eq!(chains(), 2);
    let place = restored(&home, "first", &first);
    assert_eq!(
        fs::read(place.join("dupr-dumps/numbers.txt")).expect("dump"),
        good
    );
    fs::remove_file(home.path().join("broken")).expect("whole again");
    home.expect(0, &["home", "full_purge"]);
    assert_eq!(chains(), 1);
}

#[test]
fn a_first_set_goes_on_without_a_dump_that_breaks_off() {
    let home = home("dumps-first", "");
    with(&home, &may_break(&home, 4));
    fs::write(home.path().join("broken"), "").expect("broken");
    // The dumps stand in the first volume, so nothing of it can be kept.
    let failed = home.expect(1, &["home", "backup"]);
    assert!(
        failed.stderr.contains("going on without it"),
        "{}",
        failed.stderr
    );
    let place = restored(&home, "back", "");
    assert!(!place.join("dupr-dumps/numbers.txt").exists());
    assert_eq!(
        fs::read_to_string(place.join("two")).expect("two"),
        "second\n"
    );
    let stored = home.stored();
    let times: std::collections::BTreeSet<_> = stored
        .iter()
        .filter_map(|p| {
            p.file_name()?
                .to_str()?
                .split('.')
                .nth(1)
                .map(str::to_owned)
        })
        .collect();
    assert_eq!(
        times.len(),
        1,
        "nothing is left of the first attempt: {stored:?}"
    );
}

#[test]
fn what_prints_nothing_hangs_or_is_killed_is_no_dump() {
    let home = home("dumps-bad", "");
    for (command, more, said) in [
        ("exit 0", "", "printed nothing"),
        (
            "echo a; sleep 60",
            "timeout = \"1s\"",
            "was ended after 1 s",
        ),
        ("echo a; kill -9 $$", "", "was ended by signal 9"),
    ] {
        let table = format!(
            "name = \"x\"\nkind = \"command\"\ncommand = [\"sh\", \"-c\", {command:?}]\n{more}"
        );
        with(&home, &dump(&table));
        let failed = home.expect(1, &["home", "backup"]);
        assert!(failed.stderr.contains(said), "{}", failed.stderr);
        assert_eq!(
            home.history("home").last().expect("a run")["verdict"],
            "failed"
        );
        let place = restored(&home, &format!("back-{}", said.len()), "");
        assert!(place.join("one").is_file() && !place.join("dupr-dumps/x").exists());
    }
    with(
        &home,
        &dump("name = \"x\"\nkind = \"command\"\ncommand = [\"true\"]\nallow-empty = true"),
    );
    home.expect(0, &["home", "backup"]);
    assert_eq!(
        fs::read(restored(&home, "empty", "").join("dupr-dumps/x")).expect("x"),
        b""
    );
}

#[test]
fn a_signal_ends_the_dump_and_the_next_run_begins_it_again() {
    let home = home("dumps-signal", "");
    with(
        &home,
        &dump(
            "name = \"x\"\nkind = \"command\"\ncommand = [\"sh\", \"-c\", \"echo $$ > started; seq 400000; sleep 60\"]",
        ),
    );
    let child = home
        .command(&["home", "backup"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("dupr");
    let started = home.path().join("started");
    let group = loop {
        match fs::read_to_string(&started)
            .unwrap_or_default()
            .trim()
            .parse::<i32>()
        {
            Ok(id) => break id,
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    std::thread::sleep(Duration::from_millis(300));
    let id = rustix::process::Pid::from_raw(i32::try_from(child.id()).expect("id")).expect("id");
    rustix::process::kill_process(id, rustix::process::Signal::INT).expect("signal");
    let ended = called(child.wait_with_output().expect("wait"));
    assert_eq!(ended.code, 130, "{}{}", ended.stdout, ended.stderr);
    assert!(
        !Path::new(&format!("/proc/{group}")).exists(),
        "the program is gone"
    );
    with(
        &home,
        &dump("name = \"x\"\nkind = \"command\"\ncommand = [\"sh\", \"-c\", \"seq 400000\"]"),
    );
    home.expect(0, &["home", "backup"]);
    let text = fs::read_to_string(restored(&home, "back", "").join("dupr-dumps/x")).expect("x");
    assert!(text.ends_with("\n400000\n"));
}

#[test]
fn a_folder_that_stands_in_the_place_of_the_dumps_is_told() {
    let home = home("dumps-place", "");
    with(
        &home,
        &dump("name = \"x\"\nkind = \"command\"\ncommand = [\"echo\", \"dumped\"]"),
    );
    fs::create_dir(home.source().join("dupr-dumps")).expect("folder");
    home.write("dupr-dumps/x", "on disk\n");
    let told = home.expect(3, &["home", "backup"]);
    assert!(
        told.stderr.contains("the place of the dumps"),
        "{}",
        told.stderr
    );
    let place = restored(&home, "back", "");
    assert_eq!(
        fs::read_to_string(place.join("dupr-dumps/x")).expect("x"),
        "dumped\n"
    );
    let table = dump("name = \"x\"\nkind = \"command\"\ncommand = [\"echo\", \"dumped\"]");
    with(&home, &format!("dump-folder = \"elsewhere\"\n{table}"));
    home.expect(0, &["home", "backup"]);
    let place = restored(&home, "moved", "");
    assert_eq!(
        fs::read_to_string(place.join("dupr-dumps/x")).expect("x"),
        "on disk\n"
    );
    assert_eq!(
        fs::read_to_string(place.join("elsewhere/x")).expect("x"),
        "dumped\n"
    );
}

#[test]
fn a_dump_that_makes_no_sense_is_refused() {
    let home = home("dumps-refused", "");
    for (table, said) in [
        ("name = \"x\"", "says no kind"),
        ("kind = \"sqlite\"\npath = \"/x\"", "says no name"),
        (
            "name = \"../x\"\nkind = \"sqlite\"\npath = \"/x\"",
            "cannot be the name",
        ),
        ("name = \"x\"\nkind = \"postgresql\"", "says no databases"),
        ("name = \"x\"\nkind = \"command\"", "runs nothing"),
        (
            "name = \"x\"\nkind = \"sqlite\"\npath = \"/x\"\nport = 7",
            "means nothing for a dump of the kind sqlite",
        ),
        (
            "name = \"x\"\nkind = \"mariadb\"\ndatabases = \"all\"\npassword = \"inline\"",
            "holds the secret itself",
        ),
    ] {
        with(&home, &dump(table));
        let refused = home.expect(2, &["home", "backup"]);
        assert!(refused.stderr.contains(said), "{said}: {}", refused.stderr);
    }
}
