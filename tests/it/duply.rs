//! Profiles made and filled in as people do it with the real duply, imported, and used by both on one chain.

use crate::support::home::{Called, Home, called};
use crate::support::keyring::{Keyring, PASSPHRASE};
use crate::support::programs;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A home with a duply profile `night` and a keyring.
struct Site {
    home: Home,
    keyring: Keyring,
}

impl Site {
    /// `duply night create`; `None` if a program may be missing and is.
    fn new(name: &str) -> Option<Self> {
        programs::find("duply")?;
        programs::find("duplicity-0.8.22")?;
        let site = Self {
            home: Home::new(name),
            keyring: Keyring::new()?,
        };
        site.home.write("junk.tmp", "left out\n");
        site.duply(&["night", "create"]);
        assert!(site.file("conf").is_file(), "duply made no profile");
        Some(site)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.home.path().join(".duply/night").join(name)
    }

    /// Edits `conf` as a person does: takes the comment sign away and puts a value in.
    fn edit(&self, settings: &[(&str, &str)], more: &str) {
        let mut text = fs::read_to_string(self.file("conf")).expect("conf");
        for (name, value) in settings {
            let is_it = |line: &&str| {
                line.trim_start_matches('#')
                    .strip_prefix(name)
                    .is_some_and(|rest| rest.starts_with('='))
            };
            let line = text
                .lines()
                .find(is_it)
                .unwrap_or_else(|| panic!("duply's conf has no line for {name}"))
                .to_owned();
            text = text.replacen(&format!("{line}\n"), &format!("{name}={value}\n"), 1);
        }
        for (variable, option) in [
            ("MAX_FULLBKP_AGE", "--full-if-older-than"),
            ("VOLSIZE", "--volsize"),
        ] {
            if !settings.iter().any(|(name, _)| *name == variable) {
                continue;
            }
            text = text.replace(
                &format!("#DUPL_PARAMS=\"$DUPL_PARAMS {option}"),
                &format!("DUPL_PARAMS=\"$DUPL_PARAMS {option}"),
            );
        }
        fs::write(self.file("conf"), text + more).expect("conf");
    }

    fn run(&self, mut command: Command) -> Called {
        command
            .env_clear()
            .env("HOME", self.home.path())
            .env("TMPDIR", self.home.path())
            .env("GNUPGHOME", &self.keyring.env()[0].1)
            .current_dir(self.home.path())
            .stdin(Stdio::null());
        // Debian's duply and duplicity, whatever else lies in the way.
        command.env("PATH", "/usr/bin:/bin");
        called(command.output().expect("starts"))
    }

    fn duply(&self, arguments: &[&str]) -> Called {
        let mut command = Command::new("/usr/bin/duply");
        command.args(arguments);
        self.run(command)
    }

    fn dupr(&self, code: i32, arguments: &[&str]) -> Called {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dupr"));
        command.args(arguments);
        let called = self.run(command);
        assert_eq!(
            called.code, code,
            "dupr {arguments:?}\n{}{}",
            called.stdout, called.stderr
        );
        called
    }

    fn duply_does(&self, arguments: &[&str]) -> String {
        let called = self.duply(arguments);
        let text = format!("{}{}", called.stdout, called.stderr);
        assert!(called.code == 0, "duply {arguments:?}: {text}");
        text
    }

    /// The words of the duplicity call that duply's preview of a backup prints.
    fn preview(&self) -> Vec<String> {
        let text = self.duply_does(&["night", "backup", "--preview"]);
        let line = text
            .lines()
            .find(|l| l.contains(" duplicity ") && l.contains("file://"))
            .unwrap_or_else(|| panic!("no call of duplicity in {text}"));
        let words = line.split_once(" duplicity ").map_or("", |(_, w)| w);
        words
            .split_whitespace()
            .map(|w| w.trim_matches('\'').to_owned())
            .collect()
    }

    /// `dupr show` as key and value.
    fn shown(&self, key: &str) -> Value {
        let show = self.dupr(0, &["show", "night", "--json"]).stdout;
        let show: Value = serde_json::from_str(&show).expect("JSON");
        let values = show["values"].as_array().expect("values");
        let entry = values.iter().find(|v| v["key"] == key);
        let text = entry.map(|e| e["value"].as_str().unwrap_or_default().to_owned());
        text.map_or(Value::Null, |t| {
            serde_json::from_str(&t).unwrap_or(Value::String(t))
        })
    }
}

/// Values of an option in a command line.
fn values<'a>(words: &'a [String], option: &str) -> Vec<&'a str> {
    let pairs = words.windows(2).filter(|w| w[0] == option);
    pairs.map(|w| w[1].as_str()).collect()
}

#[test]
fn an_imported_profile_says_what_duply_would_run_and_goes_on_with_its_chain() {
    let Some(site) = Site::new("duply-keys") else {
        return;
    };
    let (home, keyring) = (&site.home, &site.keyring);
    let place = |name: &str| home.path().join(name).display().to_string();
    fs::create_dir_all(place("spool")).expect("spool");
    site.edit(
        &[
            (
                "GPG_KEY",
                &format!("'{},{}'", keyring.encrypt, keyring.sign),
            ),
            ("GPG_KEY_SIGN", &format!("'{}'", keyring.sign)),
            ("GPG_PW", &format!("'{PASSPHRASE}'")),
            ("GPG_PW_SIGN", &format!("'{PASSPHRASE}'")),
            ("GPG_OPTS", "'--pinentry-mode loopback'"),
            ("TARGET", &format!("'file://{}'", home.target().display())),
            ("SOURCE", &format!("'{}'", home.source().display())),
            ("MAX_AGE", "6M"),
            ("MAX_FULL_BACKUPS", "4"),
            ("MAX_FULLS_WITH_INCRS", "2"),
            ("MAX_FULLBKP_AGE", "3W"),
            ("VOLSIZE", "30"),
            ("VERBOSITY", "4"),
            ("TEMP_DIR", &place("spool")),
            ("ARCH_DIR", &place("arch")),
        ],
        "DUPL_PARAMS=\"$DUPL_PARAMS --exclude-if-present .nobackup --asynchronous-upload \"\n",
    );
    fs::write(site.file("exclude"), "- **.tmp\n").expect("exclude");
    for (script, text) in [
        (
            "pre",
            "echo pre $PROFILE $CMD_NEXT $TARGET_URL_PROT >> $HOME/log",
        ),
        ("post", "echo post $CMD_PREV $CMD_ERR $SOURCE >> $HOME/log"),
    ] {
        fs::write(site.file(script), format!("#!/bin/sh\n{text}\n")).expect("script");
        fs::set_permissions(site.file(script), fs::Permissions::from_mode(0o700)).expect("mode");
    }
    fs::create_dir_all(place("arch")).expect("arch");
    site.duply_does(&["night", "backup"]);
    let log_of_duply = fs::read_to_string(place("log")).expect("duply ran pre and post");
    fs::remove_file(place("log")).expect("log");

    let imported = site.dupr(0, &["import", "duply", "night"]);
    assert!(!imported.stderr.contains("left out"), "{}", imported.stderr);
    let words = site.preview();
    let text = |key: &str| site.shown(key).as_str().unwrap_or_default().to_owned();
    assert_eq!(
        values(&words, "--full-if-older-than"),
        [text("backup.full-every")]
    );
    assert_eq!(text("backup.volume-size"), "30 MiB");
    assert_eq!(values(&words, "--volsize"), ["30"]);
    assert_eq!(values(&words, "--sign-key"), [text("keys.sign-with")]);
    assert_eq!(
        site.shown("keys.encrypt-to"),
        serde_json::json!(values(&words, "--encrypt-key"))
    );
    assert_eq!(
        values(&words, "--exclude-if-present"),
        [".nobackup"],
        "{words:?}"
    );
    assert_eq!(
        site.shown("source.exclude-if-present"),
        serde_json::json!([".nobackup"])
    );
    let archive =
        PathBuf::from(values(&words, "--archive-dir")[0]).join(values(&words, "--name")[0]);
    assert_eq!(
        PathBuf::from(text("backup.archive-dir")).join(text("backup.name")),
        archive
    );
    let [.., source, target] = words.as_slice() else {
        panic!("{words:?}")
    };
    assert_eq!(
        (source, target),
        (&text("source.path"), &text("target.url"))
    );
    assert_eq!(text("retention.max-age"), "6M");
    assert_eq!(site.shown("retention.keep-fulls"), 4);
    assert_eq!(site.shown("retention.keep-chains-with-incrementals"), 2);

    home.write("one", "changed by day\n");
    let plan = site.dupr(0, &["night", "backup", "--plan"]).stdout;
    assert!(plan.contains("backup incr"), "{plan}");
    site.dupr(0, &["night", "backup"]);
    // duply tells `post` that `pre` came before it; here it is told the truth.
    let log_of_duply = log_of_duply.replace("post pre ", "post bkp ");
    assert_eq!(fs::read_to_string(place("log")).expect("log"), log_of_duply);
    let listed = site.dupr(0, &["night", "list"]).stdout;
    assert!(
        listed.contains("one") && !listed.contains("junk.tmp"),
        "{listed}"
    );

    // And back: duply goes on with what dupr stored, and each restores the other's.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    home.write("two", "changed at night\n");
    site.duply_does(&["night", "backup"]);
    let status = site.duply_does(&["night", "status"]);
    assert!(
        status.contains("Number of contained backup sets: 3") && status.contains("No orphaned"),
        "{status}"
    );
    site.duply_does(&["night", "restore", &place("by-duply")]);
    site.dupr(0, &["night", "restore", "by-dupr"]);
    for by in ["by-duply", "by-dupr"] {
        for (name, content) in [("one", "changed by day\n"), ("two", "changed at night\n")] {
            let path = home.path().join(by).join(name);
            assert_eq!(fs::read_to_string(path).expect(name), content, "{by}");
        }
    }
}

#[test]
fn a_passphrase_alone_and_duplys_own_cache_are_taken_over() {
    let Some(site) = Site::new("duply-pass") else {
        return;
    };
    let home = &site.home;
    site.edit(
        &[
            ("GPG_KEY", "''"),
            ("GPG_PW", "'it is a \"canary\" $5'"),
            ("TARGET", &format!("'file://{}'", home.target().display())),
            ("SOURCE", &format!("'{}'", home.source().display())),
            ("GPG_TEST", "'disabled'"),
        ],
        "",
    );
    site.duply_does(&["night", "bkp"]);
    let imported = site.dupr(0, &["import", "duply", "night"]);
    assert!(!imported.stdout.contains("canary") && !imported.stderr.contains("canary"));
    home.write("one", "changed\n");
    let plan = site.dupr(0, &["night", "backup", "--plan"]).stdout;
    assert!(
        plan.contains("backup incr") && plan.contains(".cache/duplicity/duply_night"),
        "{plan}"
    );
    site.dupr(0, &["night", "backup"]);
    let status = site.duply_does(&["night", "status"]);
    assert!(
        status.contains("Number of contained backup sets: 2"),
        "{status}"
    );
    // A second import does not overwrite the first.
    let again = site.dupr(2, &["import", "duply", "night"]);
    assert!(again.stderr.contains("night"), "{}", again.stderr);
}
