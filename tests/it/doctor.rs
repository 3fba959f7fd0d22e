//! `dupr doctor`: for each line that can be a WARN or a FAIL a fault is seeded; the line names it, says what mends it, and is well
//! again when that was done.

use crate::services::{each, services};
use crate::support::home::{Called, Home, called};
use crate::support::keyring::{Keyring, PASSPHRASE};
use crate::support::programs::{clock_mover, find};
use regex::Regex;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

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
            in_effect(home);
            home.expect(0, &["home", "backup"]);
            let mut run = home.history("home").remove(0);
            for key in ["started", "ended"] {
                run[key] = (run[key].as_i64().expect("a time") - 3 * 86_400).into();
            }
            fs::write(history(home), format!("{run}\n")).expect("history");
            let since = run["started"].as_i64().expect("a time") - 86_400;
            let memory = history(home).with_file_name("memory.json");
            fs::write(memory, format!("{{\"scheduled-since\": {since}}}\n")).expect("memory");
        },
        says: "no run has ended since",
        fix: "dupr schedule show",
        mend: |home| {
            home.expect(0, &["home", "backup"]);
        },
    },
    Fault {
        what: "history",
        finding: "warn",
        seed: |home| {
            home.expect(0, &["home", "backup"]);
            let mut run = home.history("home").remove(0);
            let earlier = |time: &mut Value| {
                *time = (time.as_i64().expect("a time") - 40 * 86_400).into();
            };
            earlier(&mut run["started"]);
            earlier(&mut run["ended"]);
            earlier(&mut run["steps"][0]["set"]["full"]["time"]);
            fs::write(history(home), format!("{run}\n")).expect("history");
        },
        says: "without [stale] after 35 d is the limit",
        fix: "dupr history home",
        mend: |home| {
            home.expect(0, &["home", "backup"]);
        },
    },
    Fault {
        what: "schedule",
        finding: "warn",
        seed: |home| healthy(home, "", DAILY),
        says: "not in effect, no scheduler of this machine has it: 17 2 * * *",
        fix: "dupr schedule install home",
        mend: install,
    },
    Fault {
        what: "schedule",
        finding: "warn",
        seed: |home| {
            in_effect(home);
            healthy(home, "", &DAILY.replace("17 2", "18 3"));
        },
        says: "in effect in crontab differs from the profile",
        fix: "dupr schedule install home",
        mend: install,
    },
    Fault {
        what: "schedule",
        finding: "warn",
        seed: |home| {
            in_effect(home);
            fs::write(home.path().join("broken"), "").expect("broken");
        },
        says: "Input/output error",
        fix: "dupr schedule install home",
        mend: |home| fs::remove_file(home.path().join("broken")).expect("mended"),
    },
    Fault {
        what: "schedule",
        finding: "warn",
        seed: |home| {
            in_effect(home);
            fs::write(home.path().join("no-cron"), "").expect("no cron");
        },
        says: "no cron is seen to run here",
        fix: "systemctl enable --now cron",
        mend: |home| fs::remove_file(home.path().join("no-cron")).expect("cron"),
    },
    Fault {
        what: "schedule",
        finding: "fail",
        seed: |home| {
            in_effect(home);
            fs::remove_file(home.path().join("tab")).expect("the crontab");
        },
        says: "no scheduler of this machine has it now",
        fix: "dupr schedule install home",
        mend: install,
    },
    Fault {
        what: "programs",
        finding: "fail",
        seed: |home| healthy(home, "", &hook("no-such-program")),
        says: "there is no program no-such-program, which a hook before starts",
        fix: "install it",
        mend: |home| healthy(home, "", &hook("true")),
    },
    Fault {
        what: "cron",
        finding: "warn",
        seed: |home| {
            home.script("bin/only-here", "true");
            healthy(home, "", &hook("only-here"));
        },
        says: "cron would not find only-here, which a hook before starts, in /usr/bin:/bin",
        fix: "write its whole path",
        mend: |home| {
            let path = home.path().join("bin/only-here");
            healthy(home, "", &hook(&path.display().to_string()));
        },
    },
    Fault {
        what: "cron",
        finding: "warn",
        seed: |home| {
            home.script("bin/only-here", "true");
            healthy(home, "", &hook("only-here"));
        },
        says: "cron would not find only-here",
        fix: "`dupr schedule install` hands this PATH on",
        // With a schedule in effect the line in the crontab has the path.
        mend: |home| {
            healthy(home, "", &(hook("only-here") + DAILY));
            install(home);
        },
    },
    Fault {
        what: "cron",
        finding: "warn",
        seed: |home| secret_from(home, "{ env = \"NIGHT_PASS\" }"),
        says: "the variable NIGHT_PASS",
        fix: "{ file = ",
        mend: |home| healthy(home, "", ""),
    },
    Fault {
        what: "cron",
        finding: "warn",
        seed: |home| {
            let script = "test -n \\\"$SESSION\\\" && echo secret";
            secret_from(
                home,
                &format!("{{ command = [\"sh\", \"-c\", \"{script}\"] }}"),
            );
        },
        says: "works here and not as cron starts it: sh gave no secret",
        fix: "name a file",
        mend: |home| healthy(home, "", ""),
    },
    Fault {
        what: "cron",
        finding: "fail",
        seed: |home| {
            in_effect(home);
            let path = home.path().join(".config/dupr/home.toml");
            let text = fs::read_to_string(&path).expect("profile");
            let server = "smtp = \"smtps://me@localhost:465\"\npassword = { prompt = \"mail\" }";
            fs::write(path, text.replace("sendmail = \"/bin/true\"", server)).expect("profile");
        },
        says: "asks for a secret at a terminal",
        fix: "{ file = ",
        mend: |home| healthy(home, "", DAILY),
    },
    Fault {
        what: "stored",
        finding: "fail",
        seed: |home| {
            home.expect(0, &["home", "backup"]);
            fs::write(home.path().join("pass"), "another").expect("passphrase");
        },
        says: "do not open the full",
        fix: "dupr home full --allow-new-key",
        mend: |home| {
            fs::write(home.path().join("pass"), crate::support::home::CANARY).expect("passphrase")
        },
    },
    Fault {
        what: "stored",
        finding: "fail",
        seed: |home| {
            home.expect(0, &["home", "backup"]);
            let whole = fs::read(manifest(home)).expect("manifest");
            fs::write(home.path().join("aside"), &whole).expect("copy");
            fs::write(manifest(home), &whole[..whole.len() / 2]).expect("cut");
        },
        says: "cannot be read",
        fix: "dupr home verify",
        mend: |home| {
            fs::copy(home.path().join("aside"), manifest(home)).expect("mended");
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

/// Lines that have a test of their own, for what they need: keys, another clock, another name.
const ELSEWHERE: &[(&str, &str)] = &[
    ("cron", "warn"),
    ("cron", "warn"),
    ("versions", "warn"),
    ("clock", "warn"),
    ("clock", "fail"),
    ("schedule", "fail"),
];

const DAILY: &str = "[schedule]\ncron = \"17 2 * * *\"\n";

fn hook(program: &str) -> String {
    format!("[[hook]]\non = \"before\"\nexec = [{program:?}]\n")
}

/// The healthy profile with its passphrase from elsewhere.
fn secret_from(home: &Home, place: &str) {
    healthy(home, "", "");
    let path = home.path().join(".config/dupr/home.toml");
    let text = fs::read_to_string(&path).expect("profile");
    let file = format!("{{ file = {:?} }}", home.path().join("pass"));
    assert!(text.contains(&file), "{text}");
    fs::write(path, text.replace(&file, place)).expect("profile");
}

/// A stand-in for `crontab` that keeps the file `tab`, first in the path: nobody's own is touched. Another sees a cron, whether
/// or not this machine has one.
fn crontab(home: &Home) {
    fs::create_dir_all(home.path().join("bin")).expect("bin");
    let at = home.path().display();
    home.script(
        "bin/crontab",
        &format!(
            "cd {at}\nif [ \"$1\" = -l ]; then\n  [ -f broken ] && {{ echo 'Input/output error' >&2; exit 1; }}\n  \
             [ -f tab ] || {{ echo 'no crontab for me' >&2; exit 1; }}\n  exec cat tab\nfi\ncp \"$1\" tab"
        ),
    );
    let no_cron = home.path().join("no-cron");
    let sees = format!(
        "[ \"$*\" = '-x f?crond?' ] && [ ! -e {} ]",
        no_cron.display()
    );
    home.script("bin/pgrep", &sees);
}

/// dupr in the session of somebody: with a path of their own, and variables that cron does not have.
fn session(home: &Home, arguments: &[&str]) -> Command {
    let mut command = home.command(arguments);
    let path = std::env::var("PATH").unwrap_or_default();
    command
        .env(
            "PATH",
            format!("{}:{path}", home.path().join("bin").display()),
        )
        .env("NIGHT_PASS", "secret")
        .env("SESSION", "1");
    command
}

fn dupr(home: &Home, arguments: &[&str]) -> Called {
    called(session(home, arguments).output().expect("dupr"))
}

fn install(home: &Home) {
    let put = dupr(home, &["schedule", "install", "home", "--as", "crontab"]);
    assert_eq!(put.code, 0, "{}", put.stderr);
}

/// A healthy profile with a schedule that is in effect.
fn in_effect(home: &Home) {
    healthy(home, "", DAILY);
    install(home);
}

fn manifest(home: &Home) -> PathBuf {
    let mut all = home.stored().into_iter();
    let is_manifest = |path: &PathBuf| path.display().to_string().contains("manifest");
    all.find(is_manifest).expect("a manifest")
}

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
    found(session(home, &["doctor", "home", "--json"]))
}

fn found(mut command: Command) -> (i32, Vec<[String; 4]>) {
    let called = called(command.output().expect("dupr"));
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
        crontab(&home);
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
        let shown = dupr(&home, &["doctor", "home"]).stdout;
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

#[test]
fn keys_that_wait_for_an_agent_are_told_and_an_old_gpg_is() {
    let Some(keyring) = Keyring::new() else {
        return;
    };
    let home = Home::new("doctor-keys");
    crontab(&home);
    let pass = home.path().join("key-pass");
    fs::write(&pass, PASSPHRASE).expect("passphrase");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(&pass, mode).expect("mode");
    let profile = |keys: &str, tables: &str| {
        home.raw_profile(
            "home",
            &format!(
                "version = 1\nsource = {:?}\ntarget = \"file://{}\"\n[keys]\n{keys}{tables}\
                 [report.email]\nto = \"a@example.org\"\nfrom = \"b@example.org\"\nsendmail = \"/bin/true\"\n",
                home.source(),
                home.target().display(),
            ),
        );
    };
    let look = || {
        let mut command = session(&home, &["doctor", "home", "--json"]);
        command.env("GNUPGHOME", keyring.home());
        found(command)
    };
    let (to, sign) = (&keyring.encrypt, &keyring.sign);
    let both = format!("encrypt-to = [\"{to}\"]\nsign-with = \"{sign}\"\n");
    let named = format!("{both}passphrase = {{ file = {pass:?} }}\n");
    let test = "[check]\nrestore-test = { every = \"1M\", files = 1 }\n";
    profile(&named, test);
    assert_eq!(look(), (0, Vec::new()), "passphrases are named");
    // Signing waits for the agent every night.
    profile(&both, "");
    let (code, told) = look();
    assert_eq!((code, told.len()), (0, 1), "{told:#?}");
    assert!(
        told[0][2].contains(&format!("the signing key {sign}")),
        "{told:#?}"
    );
    assert!(
        told[0][3].contains("dupr unlock") && told[0][0] == "cron",
        "{told:#?}"
    );
    // Reading does where something is read.
    profile(&format!("encrypt-to = [\"{to}\"]\n"), "");
    assert_eq!(look().1.len(), 0, "nothing is signed or read");
    profile(&format!("encrypt-to = [\"{to}\"]\n"), test);
    let told = look().1;
    assert_eq!(told.len(), 1, "{told:#?}");
    assert!(told[0][2].contains("[check] can read nothing"), "{told:#?}");

    // What is stored is opened by the keys.
    profile(&named, "");
    let backup = session(&home, &["home", "backup"])
        .env("GNUPGHOME", keyring.home())
        .output();
    assert!(backup.expect("dupr").status.success());
    let shown = session(&home, &["doctor", "home"])
        .env("GNUPGHOME", keyring.home())
        .output();
    let shown = called(shown.expect("dupr")).stdout;
    assert!(
        shown.contains("the keys open the full") && shown.contains("gpg 2."),
        "{shown}"
    );

    // Another gpg, which does all that the real one does and is old.
    let real = find("gpg").expect("there a moment ago");
    let old = home.script(
        "bin/old-gpg",
        &format!(
            "[ \"$1\" = --version ] && {{ echo 'gpg (GnuPG) 1.4.23'; exit; }}\nexec {} \"$@\"",
            real.display()
        ),
    );
    profile(&format!("{named}gpg-program = {old:?}\n"), "");
    let told = look().1;
    assert_eq!(told.len(), 1, "{told:#?}");
    assert_eq!(told[0][0], "versions");
    assert!(told[0][2].contains("1.4.23 is older than 2.1"), "{told:#?}");
    assert!(told[0][3].contains("gpg-program"), "{told:#?}");
}

#[test]
fn a_clock_that_is_wrong_is_told() {
    let Some(library) = clock_mover() else {
        return;
    };
    let home = Home::new("doctor-clock");
    crontab(&home);
    healthy(&home, "", "");
    let at = |offset: &str| {
        let mut command = session(&home, &["doctor", "home", "--json"]);
        // Files keep the time of their file system.
        command
            .env("LD_PRELOAD", &library)
            .env("FAKETIME", offset)
            .env("NO_FAKE_STAT", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        found(command)
    };
    assert_eq!(at("+0"), (0, Vec::new()));
    for (offset, says) in [("+3h", "behind this one"), ("-3h", "ahead of this one")] {
        let (code, told) = at(offset);
        assert_eq!((code, told.len()), (0, 1), "{offset}: {told:#?}");
        assert_eq!(
            (told[0][0].as_str(), told[0][1].as_str()),
            ("clock", "warn")
        );
        assert!(
            told[0][2].contains(says) && told[0][3].contains("set-ntp"),
            "{told:#?}"
        );
    }
    // A set of tomorrow lets none be made today.
    home.expect(0, &["home", "backup"]);
    let (code, told) = at("-3h");
    assert_eq!((code, told.len()), (1, 1), "{told:#?}");
    assert_eq!(
        (told[0][0].as_str(), told[0][1].as_str()),
        ("clock", "fail")
    );
    assert!(
        told[0][2].contains("no set can be made until then"),
        "{told:#?}"
    );
}

/// The clocks of real servers: those that tell when a file was written are read, the others are said to tell nothing.
#[test]
fn services_are_asked_for_the_time_where_they_tell_it() {
    each(&services(), |service| {
        let home = Home::new(&format!("doctor-at-{}", service.name.replace(' ', "-")));
        let way = service.way(service.port, "clock");
        let options = way.settings.iter();
        let options: Vec<String> = options.map(|(k, v)| format!("{k} = {v:?}")).collect();
        home.raw_profile(
            "home",
            &format!(
                "version = 1\nsource = {:?}\n[keys]\nencryption = \"none\"\n[target]\nurl = {:?}\noptions = {{ {} }}\n",
                home.source(),
                way.url,
                options.join(", ")
            ),
        );
        let mut command = home.command(&["doctor", "home", "--json"]);
        command.envs(way.variables.iter().cloned());
        let called = called(command.output().expect("dupr"));
        let told: Value = serde_json::from_str(&called.stdout).expect("JSON");
        let all = told["findings"].as_array().expect("findings").iter();
        let of = |what: &str| all.clone().find(|f| f["what"] == what).cloned();
        let target = of("target").expect("a line for the target");
        assert_eq!(target["finding"], "ok", "{}: {target}", service.name);
        let text = match service.name {
            "webdav" | "azure" | "s3" | "gs" | "b2" | "sftp" | "ftp" | "swift" => {
                "that of the target agrees with this one"
            }
            // The clock of this imitation is not right.
            "gs with an account" => "ahead of this one",
            _ => "the target tells no time",
        };
        let clock = of("clock").expect("a line for the clock");
        let told = clock["text"].as_str().expect("text");
        assert!(told.ends_with(text), "{}: {clock}", service.name);
    });
}

#[test]
fn a_name_that_cannot_be_scheduled_is_told() {
    let home = Home::new("doctor-name");
    crontab(&home);
    healthy(&home, "", DAILY);
    let config = home.path().join(".config/dupr");
    fs::rename(config.join("home.toml"), config.join("watch.toml")).expect("renamed");
    let (code, told) = found(session(&home, &["doctor", "watch", "--json"]));
    assert_eq!((code, told.len()), (1, 1), "{told:#?}");
    assert_eq!(
        (told[0][0].as_str(), told[0][1].as_str()),
        ("schedule", "fail")
    );
    assert!(told[0][2].contains("the name is taken"), "{told:#?}");
    assert!(told[0][3].contains("another name"), "{told:#?}");
}

/// A line that is added to the doctor needs a fault in the table.
#[test]
fn no_line_of_the_doctor_is_without_a_fault() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli/tools");
    let mut source = fs::read_to_string(root.join("doctor.rs")).expect("source");
    // Nothing else makes a line that is not well.
    let others = source.matches("Finding::Warn").count() + source.matches("Finding::Fail").count();
    assert_eq!(others, 5, "a line is made by hand");
    for file in fs::read_dir(root.join("doctor")).expect("folder").flatten() {
        let text = fs::read_to_string(file.path()).expect("source");
        assert!(
            !text.contains("Finding::"),
            "{}: a line is made by hand",
            file.path().display()
        );
        source += &text;
    }
    let made = Regex::new(r#"Line::(warn|fail)\(\s*("(\w+)")?"#).expect("regex");
    let mut lines: BTreeMap<(String, String), usize> = BTreeMap::new();
    for found in made.captures_iter(&source) {
        let what = found.get(3).expect("the name of a line is written out");
        let line = (what.as_str().to_owned(), found[1].to_owned());
        *lines.entry(line).or_default() += 1;
    }
    assert!(lines.len() >= 17, "{lines:?}");
    for ((what, finding), count) in lines {
        let here = FAULTS.iter().map(|f| (f.what, f.finding));
        let faults = here.chain(ELSEWHERE.iter().copied());
        let faults = faults
            .filter(|f| *f == (what.as_str(), finding.as_str()))
            .count();
        assert!(
            faults >= count,
            "{what} {finding}: {count} lines, {faults} faults"
        );
    }
}
