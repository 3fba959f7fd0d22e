//! `dupr doctor`: for each line that can be a WARN or a FAIL a fault is seeded; the line names it, says what mends it, and is well
//! again when that was done.

use crate::support::home::Home;
use regex::Regex;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A fault, what the doctor says of it, and what mends it.
struct Fault {
    what: &'static str,
    finding: &'static str,
    seed: fn(&Home),
    says: &'static str,
    fix: &'static str,
    mend: fn(&Home),
}

const FAULTS: &[Fault] = &[
    Fault {
        what: "profile",
        finding: "fail",
        seed: |home| healthy(home, "nonsense = 1\n", ""),
        says: "unknown key nonsense",
        fix: "correct ",
        mend: |home| healthy(home, "", ""),
    },
    Fault {
        what: "source",
        finding: "fail",
        seed: |home| fs::rename(home.source(), aside(home)).expect("rename"),
        says: "/src: No such file",
        fix: "mount or make it",
        mend: |home| fs::rename(aside(home), home.source()).expect("rename"),
    },
    Fault {
        what: "require",
        finding: "warn",
        seed: |home| healthy(home, "", "[run.require]\nmin-free-temp = \"900000 TiB\"\n"),
        says: "MiB free of",
        fix: "put off",
        mend: |home| healthy(home, "", "[run.require]\nmin-free-temp = \"1 KiB\"\n"),
    },
    Fault {
        what: "snapshot",
        finding: "fail",
        seed: |home| healthy(home, "", "[source]\nsnapshot = \"zfs\"\n"),
        says: ", not zfs",
        fix: "snapshot = ",
        mend: |home| healthy(home, "", "[source]\nsnapshot = \"none\"\n"),
    },
    Fault {
        what: "dump",
        finding: "fail",
        seed: |home| {
            healthy(
                home,
                "",
                &dump("kind = \"command\"\ncommand = [\"no-such-program\"]"),
            )
        },
        says: "there is no program no-such-program",
        fix: "[[source.dump]]",
        mend: |home| healthy(home, "", &dump("kind = \"command\"\ncommand = [\"true\"]")),
    },
    Fault {
        what: "dump",
        finding: "fail",
        seed: |home| healthy(home, "", &dump("kind = \"sqlite\"\npath = \"no.db\"")),
        says: "cannot open",
        fix: "[[source.dump]]",
        mend: |home| {
            fs::write(home.path().join(".config/dupr/no.db"), "").expect("database");
        },
    },
    Fault {
        what: "spool",
        finding: "warn",
        seed: |home| {
            healthy(
                home,
                "",
                "[backup]\ntemp-dir = \"/dev/shm\"\nvolume-size = \"64 GiB\"\n",
            )
        },
        says: " free in ",
        fix: "set temp-dir under [backup], or a smaller volume-size",
        mend: |home| {
            healthy(
                home,
                "",
                "[backup]\ntemp-dir = \"/dev/shm\"\nvolume-size = \"64 KiB\"\n",
            )
        },
    },
    Fault {
        what: "spool",
        finding: "fail",
        seed: |home| healthy(home, "", "[backup]\ntemp-dir = \"spool\"\n"),
        says: "/spool: No such file",
        fix: "make it, or set temp-dir under [backup]",
        mend: |home| fs::create_dir(home.path().join(".config/dupr/spool")).expect("folder"),
    },
    Fault {
        what: "target",
        finding: "fail",
        seed: |home| {
            fs::remove_dir_all(home.target()).expect("the empty target");
            fs::write(home.target(), "a file").expect("file");
        },
        says: "target",
        fix: "",
        mend: |home| fs::remove_file(home.target()).expect("file"),
    },
    Fault {
        what: "target",
        finding: "fail",
        seed: |home| {
            let unreachable = "sftp://nobody@127.0.0.1:9//x";
            let path = home.path().join(".config/dupr/home.toml");
            let text = fs::read_to_string(&path).expect("profile");
            let url = format!("file://{}", home.target().display());
            let text = text.replace(&url, unreachable) + "retries = 0\n";
            fs::write(path, text).expect("profile");
        },
        says: "127.0.0.1",
        fix: "dupr target test home",
        mend: |home| healthy(home, "", ""),
    },
    Fault {
        what: "history",
        finding: "fail",
        seed: |home| fs::create_dir_all(history(home)).expect("folder"),
        says: "history.jsonl",
        fix: "move ",
        mend: |home| fs::remove_dir(history(home)).expect("folder"),
    },
    Fault {
        what: "history",
        finding: "warn",
        seed: |home| {
            home.expect(0, &["home", "backup"]);
            let text = fs::read_to_string(history(home)).expect("history");
            fs::write(history(home), format!("{text}torn\n")).expect("history");
        },
        says: "1 damaged line",
        fix: "nothing needs to be done",
        mend: |home| fs::remove_file(history(home)).expect("history"),
    },
    Fault {
        what: "history",
        finding: "warn",
        seed: |home| {
            healthy(home, "", "[schedule]\ncron = \"17 2 * * *\"\n");
            home.expect(0, &["home", "backup"]);
            let mut run = home.history("home").remove(0);
            for key in ["started", "ended"] {
                run[key] = (run[key].as_i64().expect("a time") - 3 * 86_400).into();
            }
            fs::write(history(home), format!("{run}\n")).expect("history");
        },
        says: "no run has ended since",
        fix: "dupr schedule show",
        mend: |home| {
            home.expect(0, &["home", "backup"]);
        },
    },
    Fault {
        what: "reports",
        finding: "warn",
        seed: |home| home.profile("home", ""),
        says: "nobody is told",
        fix: "dupr mail-test home",
        mend: |home| healthy(home, "", ""),
    },
];

fn aside(home: &Home) -> PathBuf {
    home.path().join("aside")
}

fn history(home: &Home) -> PathBuf {
    home.path().join(".local/state/dupr/home/history.jsonl")
}

fn dump(lines: &str) -> String {
    format!("[[source.dump]]\nname = \"x\"\n{lines}\n")
}

/// A profile the doctor finds nothing wrong with, with more lines at its top and tables at its end. `[source]` and `[target]` are
/// tables, so that a fault can add to both.
fn healthy(home: &Home, top: &str, tables: &str) {
    let source = format!("[source]\npath = {:?}\n", home.source());
    let tables = match tables.strip_prefix("[source]\n") {
        Some(lines) => format!("{source}{lines}"),
        None => format!("{source}{tables}"),
    };
    home.raw_profile(
        "home",
        &format!(
            "version = 1\n{top}passphrase = {{ file = {:?} }}\n{tables}\
             [report.email]\nto = \"a@example.org\"\nfrom = \"b@example.org\"\nsendmail = \"/bin/true\"\n\
             [target]\nurl = \"file://{}\"\n",
            home.path().join("pass"),
            home.target().display(),
        ),
    );
}

/// The findings of the doctor that are not well: what, finding, text and fix.
fn complaints(home: &Home) -> (i32, Vec<[String; 4]>) {
    let called = home.dupr(&["doctor", "home", "--json"]);
    let told: Value = serde_json::from_str(&called.stdout).expect("JSON");
    let text = |f: &Value, key: &str| f[key].as_str().unwrap_or_default().to_owned();
    let all = told["findings"].as_array().expect("findings").iter();
    let bad = all.filter(|f| f["finding"] != "ok");
    let found = bad.map(|f| ["what", "finding", "text", "fix"].map(|key| text(f, key)));
    (called.code, found.collect())
}

#[test]
fn every_fault_is_found_and_mended_by_what_is_said() {
    for fault in FAULTS {
        let name = format!("{} {}", fault.what, fault.says);
        let home = Home::new("doctor");
        healthy(&home, "", "");
        assert_eq!(complaints(&home), (0, Vec::new()), "{name}");
        (fault.seed)(&home);
        let (code, found) = complaints(&home);
        let fails = found.iter().any(|line| line[1] == "fail");
        assert_eq!(code, i32::from(fails), "{name}: {found:?}");
        // Where there is no room for spool files, nothing can be tried at the target either.
        let is_its = |line: &&[String; 4]| fault.what != "spool" || line[0] == "spool";
        let its: Vec<&[String; 4]> = found.iter().filter(is_its).collect();
        let [one] = its.as_slice() else {
            panic!("{name}: one fault, but {found:#?}");
        };
        assert_eq!(
            (one[0].as_str(), one[1].as_str()),
            (fault.what, fault.finding)
        );
        assert!(one[2].contains(fault.says), "{name}: {one:?}");
        assert!(
            !one[3].is_empty() && one[3].contains(fault.fix),
            "{name}: {one:?}"
        );
        // For people it stands in capitals, the fix behind an arrow.
        let shown = home.dupr(&["doctor", "home"]).stdout;
        let word = fault.finding.to_uppercase();
        let line = format!("  {word}  {}", fault.what);
        assert!(
            shown.contains(&line) && shown.contains("  → "),
            "{name}: {shown}"
        );
        (fault.mend)(&home);
        assert_eq!(complaints(&home), (0, Vec::new()), "{name}");
    }
}

/// A line that is added to the doctor needs a fault in the table.
#[test]
fn no_line_of_the_doctor_is_without_a_fault() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli/tools/doctor.rs");
    let source = fs::read_to_string(source).expect("source");
    let made = Regex::new(r#"Line::(warn|fail)\(\s*("(\w+)")?"#).expect("regex");
    let mut lines: BTreeMap<(String, String), usize> = BTreeMap::new();
    for found in made.captures_iter(&source) {
        let what = found.get(3).expect("the name of a line is written out");
        let line = (what.as_str().to_owned(), found[1].to_owned());
        *lines.entry(line).or_default() += 1;
    }
    assert!(lines.len() >= 11, "{lines:?}");
    // Nothing else makes a line that is not well.
    let others = source.matches("Finding::Warn").count() + source.matches("Finding::Fail").count();
    assert_eq!(others, 5, "a line is made by hand");
    for ((what, finding), count) in lines {
        let faults = FAULTS
            .iter()
            .filter(|f| f.what == what && f.finding == finding);
        let faults = faults.count();
        assert!(
            faults >= count,
            "{what} {finding}: {count} lines, {faults} faults"
        );
    }
}
