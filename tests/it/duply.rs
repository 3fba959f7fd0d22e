//! Profiles made and filled in as people do it with the real duply, imported, and used by both on one chain.

mod batches;

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

/// A profile as people have it: what they changed in `conf`, what they put below it, and their `exclude`. `SOURCE`, `KEY`
/// and `SIGN` stand for those of the test.
struct Known {
    name: &'static str,
    settings: &'static [(&'static str, &'static str)],
    more: &'static str,
    exclude: &'static str,
    /// What must be in the backup, and what not.
    there: &'static [&'static str],
    gone: &'static [&'static str],
}

const PASS: (&str, &str) = ("GPG_PW", "'c4nary $x \"y\"'");
const NO_KEY: (&str, &str) = ("GPG_KEY", "''");
const UNTESTED: (&str, &str) = ("GPG_TEST", "'disabled'");

const KNOWN: [Known; 10] = [
    Known {
        name: "only-some",
        settings: &[NO_KEY, PASS, UNTESTED],
        more: "",
        exclude: "+ SOURCE/docs\n+ SOURCE/etc/*.conf\n- **\n",
        there: &["docs/a.txt", "etc/x.conf"],
        gone: &["etc/y.bak", "one"],
    },
    Known {
        name: "caches-and-leftovers",
        settings: &[NO_KEY, PASS, UNTESTED, ("MAX_FULLBKP_AGE", "1M")],
        more: "",
        exclude: "# left out\n- **/.cache\n- **.bak\n- SOURCE/docs/**/draft?.txt\n",
        there: &["docs/a.txt", "etc/x.conf"],
        gone: &["home/.cache/big", "etc/y.bak", "docs/new/draft1.txt"],
    },
    Known {
        name: "classes-of-letters",
        settings: &[NO_KEY, PASS, UNTESTED],
        more: "",
        exclude: "- SOURCE/docs/[a-c].txt\n- ignorecase:**/README*\n",
        there: &["docs/d.txt", "etc/x.conf"],
        gone: &["docs/a.txt", "docs/readme.md"],
    },
    Known {
        name: "one-key-for-all",
        settings: &[
            ("GPG_KEY", "'KEY'"),
            ("GPG_KEY_SIGN", "'disabled'"),
            PASS_OF_KEYS,
            ("GPG_OPTS", "'--pinentry-mode loopback'"),
        ],
        more: "",
        exclude: "- SOURCE/home\n",
        there: &["docs/a.txt"],
        gone: &["home/.cache/big"],
    },
    Known {
        name: "two-keys-signed",
        settings: &[
            ("GPG_KEY", "'KEY,SIGN'"),
            ("GPG_KEY_SIGN", "'SIGN'"),
            PASS_OF_KEYS,
            ("GPG_PW_SIGN", "PASSPHRASE"),
            ("GPG_OPTS", "'--pinentry-mode loopback'"),
        ],
        more: "",
        exclude: "",
        there: &["docs/a.txt", "home/.cache/big"],
        gone: &[],
    },
    Known {
        name: "in-the-open",
        settings: &[("GPG_KEY", "disabled")],
        more: "",
        exclude: "+ SOURCE/etc/x.conf\n- SOURCE/etc\n",
        there: &["docs/a.txt", "etc/x.conf"],
        gone: &["etc/y.bak"],
    },
    Known {
        name: "old-globs",
        settings: &[NO_KEY, PASS, UNTESTED, ("VOLSIZE", "1")],
        more: "DUPL_PARAMS=\"$DUPL_PARAMS --exclude **/.cache --include SOURCE/etc --exclude SOURCE/docs/new\"\n",
        exclude: "",
        there: &["docs/a.txt", "etc/y.bak"],
        gone: &["home/.cache/big", "docs/new/draft1.txt"],
    },
    Known {
        name: "marked-folders",
        settings: &[NO_KEY, PASS, UNTESTED],
        more: "DUPL_PARAMS=\"$DUPL_PARAMS --exclude-if-present .nobackup --exclude-other-filesystems\"\n",
        exclude: "- **.txt\n",
        there: &["etc/x.conf"],
        gone: &["scratch/lost", "docs/a.txt"],
    },
    Known {
        name: "expressions",
        settings: &[NO_KEY, PASS, UNTESTED],
        more: "DUPL_PARAMS=\"$DUPL_PARAMS --exclude-regexp '[.](bak|md)$' \"\n",
        exclude: "",
        there: &["docs/a.txt"],
        gone: &["etc/y.bak", "docs/readme.md"],
    },
    Known {
        name: "shared-target",
        settings: &[
            NO_KEY,
            PASS,
            UNTESTED,
            ("MAX_AGE", "1Y"),
            ("MAX_FULL_BACKUPS", "3"),
            ("VERBOSITY", "4"),
        ],
        more: "DUPL_PARAMS=\"$DUPL_PARAMS --file-prefix nas- --exclude-device-files\"\n",
        exclude: "- SOURCE/scratch\n",
        there: &["docs/a.txt", "home/.cache/big"],
        gone: &["scratch/lost"],
    },
];

const PASS_OF_KEYS: (&str, &str) = ("GPG_PW", "PASSPHRASE");

impl Site {
    /// What the newest set holds, as the real duplicity lists it.
    fn listed(&self) -> Vec<String> {
        let text = self.duply_does(&["night", "list"]);
        let day = ["Mon ", "Tue ", "Wed ", "Thu ", "Fri ", "Sat ", "Sun "];
        let lines = text
            .lines()
            .filter(|l| day.iter().any(|d| l.starts_with(d)));
        lines.map(str::to_owned).collect()
    }

    /// A profile as people have it, with a source that has what it leaves out; `more` settings come on top.
    fn of(case: &Known, more: &[(&'static str, &str)]) -> Option<Self> {
        let site = Site::new(&format!("duply-{}", case.name))?;
        let (home, keyring) = (&site.home, &site.keyring);
        let source = home.source().display().to_string();
        let filled = |text: &str| {
            text.replace("SOURCE", &source)
                .replace("KEY", &keyring.encrypt)
                .replace("SIGN", &keyring.sign)
                .replace("PASSPHRASE", &format!("'{PASSPHRASE}'"))
        };
        for folder in ["docs/new", "etc", "home/.cache", "scratch"] {
            fs::create_dir_all(home.source().join(folder)).expect("folder");
        }
        for file in [
            "docs/a.txt",
            "docs/d.txt",
            "docs/readme.md",
            "docs/new/draft1.txt",
            "etc/x.conf",
            "etc/y.bak",
            "home/.cache/big",
            "scratch/.nobackup",
            "scratch/lost",
        ] {
            home.write(file, &format!("content of {file}\n"));
        }
        let mut settings: Vec<(&str, String)> = vec![
            ("TARGET", format!("'file://{}'", home.target().display())),
            ("SOURCE", format!("'{source}'")),
        ];
        let own = case
            .settings
            .iter()
            .map(|(key, value)| (*key, filled(value)));
        settings.extend(own);
        settings.extend(more.iter().map(|(key, value)| (*key, (*value).to_owned())));
        let settings: Vec<(&str, &str)> = settings.iter().map(|(k, v)| (*k, v.as_str())).collect();
        site.edit(&settings, &filled(case.more));
        fs::write(site.file("exclude"), filled(case.exclude)).expect("exclude");
        Some(site)
    }
}

/// The same batch, by duply and after the import by dupr, makes the same set.
fn same_sets(known: &[Known]) {
    for case in known {
        let name = case.name;
        let Some(site) = Site::of(case, &[]) else {
            return;
        };
        site.duply_does(&["night", "full"]);
        let by_duply = site.listed();
        for (paths, wanted) in [(case.there, true), (case.gone, false)] {
            for path in paths {
                let is_there = by_duply.iter().any(|l| l.ends_with(&format!(" {path}")));
                assert_eq!(is_there, wanted, "{name}: {path}: {by_duply:#?}");
            }
        }
        let imported = site.dupr(0, &["import", "duply", "night"]);
        assert!(
            !imported.stderr.contains("left out"),
            "{name}: {}",
            imported.stderr
        );
        std::thread::sleep(std::time::Duration::from_millis(1100));
        site.dupr(0, &["night", "full"]);
        assert_eq!(site.listed(), by_duply, "{name}");
        let status = site.duply_does(&["night", "status"]);
        assert_eq!(
            status.matches("Number of contained backup sets: 1").count(),
            2,
            "{name}: {status}"
        );
        site.dupr(0, &["night", "verify"]);
    }
}

#[test]
fn the_same_batch_makes_the_same_sets_with_passphrases_and_keys() {
    same_sets(&KNOWN[..5]);
}

#[test]
fn the_same_batch_makes_the_same_sets_with_options_and_in_the_open() {
    same_sets(&KNOWN[5..]);
}
