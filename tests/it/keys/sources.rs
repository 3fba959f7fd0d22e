//! What `[source]` takes in and leaves out, key by key.

use super::{Case, paths};
use crate::support::home::Home;
use crate::support::programs::skipped;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::time::{Duration, SystemTime};

/// The paths of a set made with these lines of `[source]`.
fn taken(home: &Home, lines: &str) -> Vec<String> {
    let case = Case::new(home).source(lines);
    home.expect(0, &[&case.name, "full"]);
    paths(home, &case.name)
}

fn has(paths: &[String], path: &str) -> bool {
    paths.iter().any(|p| p == path)
}

#[test]
fn path_is_what_is_backed_up() {
    let home = Home::new("keys-path");
    let all = taken(&home, "");
    assert!(has(&all, "one") && has(&all, "sub/three"), "{all:?}");
    let sub = format!("path = {:?}\n", home.source().join("sub"));
    let case = Case::new(&home).raw_source(&sub);
    home.expect(0, &[&case.name, "full"]);
    assert_eq!(paths(&home, &case.name), ["", "three"]);
}

#[test]
fn every_way_to_leave_out_leaves_out_what_it_says() {
    let home = Home::new("keys-exclude");
    let list = home.path().join(".config/dupr/leave-out");
    fs::write(list, "- **/two\n").expect("list");
    fs::create_dir(home.source().join("marked")).expect("folder");
    home.write("marked/.nobackup", "");
    home.write("marked/inside", "left out\n");
    home.write("ancient", "left out\n");
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(500_000_000);
    let file = fs::File::options()
        .write(true)
        .open(home.source().join("ancient"));
    file.and_then(|f| f.set_modified(long_ago)).expect("time");
    let everything = taken(&home, "");
    for (lines, gone) in [
        ("select = [\"- **/two\"]\n", "two"),
        ("exclude-file = \"leave-out\"\n", "two"),
        ("exclude-if-present = [\".nobackup\"]\n", "marked/inside"),
        ("exclude-regex = ['/sub/thr?ee+$']\n", "sub/three"),
        ("exclude-older-than = \"10Y\"\n", "ancient"),
    ] {
        assert!(has(&everything, gone), "{everything:?}");
        let left = taken(&home, lines);
        assert!(!has(&left, gone), "{lines}: {left:?}");
        assert!(has(&left, "one"), "{lines}: {left:?}");
    }
    // What stands first decides.
    let rule = format!(
        "select = [\"+ {}/sub/three\", \"- **/sub/**\"]\n",
        home.source().display()
    );
    home.write("sub/four", "left out\n");
    let left = taken(&home, &rule);
    assert!(
        has(&left, "sub/three") && !has(&left, "sub/four"),
        "{left:?}"
    );
}

#[test]
fn devices_and_other_file_systems_stay_out_if_told_to() {
    let home = Home::new("keys-devices");
    let device = |path: &str| fs::metadata(path).map(|m| m.dev()).ok();
    if device("/dev/pts/ptmx").is_none() || device("/dev/pts") == device("/dev") {
        skipped("/dev/pts", "it is no file system of its own here");
        return;
    }
    let of = |lines: &str| {
        let lines = format!(
            "path = \"/dev\"\nselect = [\"+ /dev/null\", \"+ /dev/pts/ptmx\", \"- **\"]\n{lines}"
        );
        let case = Case::new(&home).raw_source(&lines);
        home.expect(0, &[&case.name, "full"]);
        let paths = paths(&home, &case.name);
        (has(&paths, "null"), has(&paths, "pts/ptmx"))
    };
    assert_eq!(of(""), (true, true));
    assert_eq!(of("one-filesystem = true\n"), (true, false));
    assert_eq!(of("exclude-devices = true\n"), (false, false));
}

#[test]
fn links_are_followed_if_told_to() {
    let home = Home::new("keys-links");
    let outside = home.path().join("outside");
    fs::create_dir(&outside).expect("folder");
    fs::write(outside.join("inside"), "behind a link\n").expect("file");
    symlink(&outside, home.source().join("link")).expect("link");
    assert!(!has(&taken(&home, ""), "link/inside"));
    assert!(has(
        &taken(&home, "follow-symlinks = true\n"),
        "link/inside"
    ));
}

#[test]
fn a_source_that_must_not_exist_may_be_empty() {
    let home = Home::new("keys-must-exist");
    for (lines, code) in [("", 1), ("must-exist = false\n", 0)] {
        let case = Case::new(&home).source(lines);
        home.write("one", "first\n");
        home.expect(0, &[&case.name, "full"]);
        fs::remove_dir_all(home.source()).expect("source");
        fs::create_dir_all(home.source()).expect("an empty one");
        let called = home.expect(code, &[&case.name, "incr"]);
        assert_eq!(called.stderr.contains("is empty"), code == 1);
    }
}

#[test]
fn dumps_are_called_as_their_tables_say() {
    let home = Home::new("keys-dumps");
    let calls = home.path().join("calls");
    let database = home.path().join("app.db");
    let made = std::process::Command::new("sqlite3")
        .arg(&database)
        .arg("CREATE TABLE t (n INTEGER); INSERT INTO t VALUES (4711);")
        .status();
    assert!(
        made.expect("sqlite3 is not installed; run tests/setup")
            .success()
    );
    let before = home.script(
        "before",
        &format!("echo \"$@\" >> {}; exec \"$@\"", calls.display()),
    );
    let case = Case::new(&home).source(&format!(
        "dump-folder = \"databases\"\n[[source.dump]]\nname = \"app.sql\"\nkind = \"sqlite\"\npath = {database:?}\n\
         options = [\"-bail\"]\nprefix = [{before:?}]\n"
    ));
    home.expect(0, &[&case.name, "full"]);
    let said = fs::read_to_string(&calls).expect("the words in front were not called");
    assert!(
        said.starts_with("sqlite3 ") && said.contains("-bail"),
        "{said}"
    );
    let out = home.path().join("app.sql");
    let to = out.display().to_string();
    home.expect(0, &[&case.name, "fetch", "databases/app.sql", &to]);
    let sql = fs::read_to_string(out).expect("fetched");
    assert!(sql.contains("4711"), "{sql}");
    // A command that prints nothing is no dump, unless it may.
    for (lines, code) in [("", 1), ("allow-empty = true\n", 0)] {
        let case = Case::new(&home).source(&format!(
            "[[source.dump]]\nname = \"empty\"\nkind = \"command\"\ncommand = [\"true\"]\n{lines}"
        ));
        home.expect(code, &[&case.name, "full"]);
        assert_eq!(
            has(&paths(&home, &case.name), "dupr-dumps/empty"),
            code == 0
        );
    }
}

#[test]
fn postgres_is_another_name_of_postgresql() {
    let home = Home::new("keys-postgres");
    let calls = home.path().join("calls");
    // Stands in for the programs of the database, and writes down which was called.
    let before = home.script(
        "before",
        &format!("echo \"$1\" >> {}; echo shop", calls.display()),
    );
    let case = |kind: &str| {
        Case::new(&home).source(&format!(
            "[[source.dump]]\nname = \"pg\"\nkind = {kind:?}\ndatabases = [\"shop\"]\nprefix = [{before:?}]\n"
        ))
    };
    for kind in ["postgresql", "postgres"] {
        let _ = fs::remove_file(&calls);
        let case = case(kind);
        let plan = home.expect(0, &[&case.name, "full", "--plan"]).stdout;
        assert!(
            plan.contains("dupr-dumps/pg (postgresql, shop)"),
            "{kind}: {plan}"
        );
        home.expect(0, &[&case.name, "full"]);
        assert!(
            has(&paths(&home, &case.name), "dupr-dumps/pg/shop.sql"),
            "{kind}"
        );
        let called = fs::read_to_string(&calls).unwrap_or_default();
        assert!(
            called.lines().all(|l| l.starts_with("p")),
            "{kind}: {called}"
        );
        assert!(called.contains("pg_dump\n"), "{kind}: {called}");
    }
    let told = home.expect(2, &[&case("postgrse").name, "full"]);
    assert!(
        told.stderr.contains("\"postgrse\" is not possible here")
            && told.stderr.contains("did you mean postgre"),
        "{}",
        told.stderr
    );
}
