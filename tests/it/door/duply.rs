//! Real duply with dupr as its duplicity, held against the same duply with Debian's duplicity: the same exit codes, the
//! same kinds of files at the target, the same trees restored.

use super::{Bench, listing};
use crate::support::keyring::{Keyring, PASSPHRASE};
use crate::support::programs;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A home with a profile, and a duply that finds this duplicity.
struct Duply {
    bench: Bench,
    duply: PathBuf,
    bin: PathBuf,
    gnupg: PathBuf,
}

impl Duply {
    fn new(name: &str, duplicity: &Path, gnupg: &Path) -> Option<Self> {
        let duply = programs::find("duply")?;
        let bench = Bench::new(name);
        for dir in ["home", "bin", "temp"] {
            fs::create_dir(bench.path(dir)).expect("own folder");
        }
        symlink(duplicity, bench.path("bin/duplicity")).expect("link");
        Some(Self {
            duply,
            bin: bench.path("bin"),
            gnupg: gnupg.to_owned(),
            bench,
        })
    }

    /// Runs duply and returns its exit code and everything it said.
    fn run(&self, words: &[&str]) -> (i32, String) {
        let mut path = vec![self.bin.clone()];
        path.extend(std::env::split_paths(
            &std::env::var_os("PATH").unwrap_or_default(),
        ));
        let path = std::env::join_paths(path).expect("a path");
        let mut command = Command::new(&self.duply);
        command
            .args(words)
            .env("HOME", self.bench.path("home"))
            .env("GNUPGHOME", &self.gnupg)
            .env("PATH", path)
            .env_remove("XDG_CACHE_HOME");
        let called = self.bench.run(&mut command, "", &[]);
        (called.code, format!("{}{}", called.out, called.err))
    }

    fn configure(&self, keys: &str) {
        let (code, text) = self.run(&["p", "create"]);
        assert_eq!(code, 0, "{text}");
        let profile = self.bench.path("home/.duply/p");
        let (target, source) = (self.bench.url("t"), self.bench.path("src"));
        let temp = self.bench.path("temp");
        let conf = format!(
            "{keys}\nTARGET='{target}'\nSOURCE='{}'\nTEMP_DIR='{}'\nMAX_AGE=1Y\nMAX_FULL_BACKUPS=1\n\
             MAX_FULLS_WITH_INCRS=1\n\
             DUPL_PARAMS=\"$DUPL_PARAMS --volsize 1 --exclude-if-present .nobackup\"\n",
            source.display(),
            temp.display()
        );
        fs::write(profile.join("conf"), conf).expect("conf");
        fs::write(profile.join("exclude"), "- **/secret\n").expect("exclude");
        for script in ["pre", "post"] {
            let file = profile.join(script);
            fs::write(
                &file,
                format!(
                    "#!/bin/sh\necho {script} >> \"{}\"\n",
                    self.bench.path("ran").display()
                ),
            )
            .expect("script");
            fs::set_permissions(&file, fs::Permissions::from_mode(0o700)).expect("mode");
        }
    }

    /// How many sets and files there are at the target, by the first two words of their names and their ends.
    fn kinds(&self) -> Vec<String> {
        let names = self.bench.names("t");
        let mut kinds: Vec<String> = names
            .iter()
            .map(|name| {
                let parts: Vec<&str> = name.split('.').collect();
                let end: Vec<&str> = parts
                    .iter()
                    .copied()
                    .filter(|p| !p.ends_with('Z') && *p != "to")
                    .collect();
                end.join(".")
            })
            .collect();
        kinds.sort();
        kinds
    }
}

/// One command after the other, with what it left: code, kinds of files, and every restored tree.
fn a_life(duply: &Duply) -> Vec<(String, i32, Vec<String>)> {
    let bench = &duply.bench;
    bench.write("src/secret", "not to be saved\n");
    fs::create_dir(bench.path("src/skipped")).expect("dir");
    bench.write("src/skipped/.nobackup", "");
    let mut life = Vec::new();
    let mut step = |line: &str| {
        bench.settle("src");
        let words: Vec<&str> = line.split(' ').collect();
        let (code, text) = duply.run(&[&["p"], words.as_slice()].concat());
        assert!(
            !text.contains("Traceback") && !text.contains("panicked"),
            "{line}: {text}"
        );
        let mut left = duply.kinds();
        for out in ["out", "two", "old"] {
            if bench.path(out).exists() {
                // Folders of the source are of the time of the test.
                left.extend(listing(&bench.path(out)).into_iter().map(|line| {
                    let words: Vec<&str> = line.rsplitn(3, ' ').collect();
                    match words.as_slice() {
                        ["dir", _, folder] => (*folder).to_owned(),
                        _ => line,
                    }
                }));
            }
        }
        let here = bench.path("").display().to_string();
        life.push((line.replace(&here, ""), code, left));
        text
    };
    // Sets of the same second have the same name: each is given a time of its own.
    let at = |line: &str, time: u32| format!("{line} --current-time={time}");
    step(&at("backup", 1_700_000_000));
    bench.write("src/a.txt", "one\nand two\n");
    step(&at("incr", 1_700_003_600));
    let status = step("status");
    assert!(
        status.contains("Number of contained backup sets: 2"),
        "{status}"
    );
    let list = step("list");
    assert!(
        list.contains("dir/big") && !list.contains("secret") && !list.contains("skipped/"),
        "{list}"
    );
    step("verify");
    step("verify --compare-data");
    let path = bench.path("src/dir");
    step(&format!("verifyPath dir {}", path.display()));
    step(&format!("restore {}", bench.path("out").display()));
    step(&format!("restore {}", bench.path("out").display()));
    step(&format!("fetch dir/two {}", bench.path("two").display()));
    step(&format!(
        "fetch a.txt {} 1700000000",
        bench.path("old").display()
    ));
    step(&format!("fetch nothing {}", bench.path("none").display()));
    step(&at("full", 1_700_100_000));
    bench.write("src/dir/two", "three\n");
    step("verify --compare-data");
    step(&at("incr", 1_700_103_600));
    step("purge 30Y");
    step("purgeIncr");
    step("purgeIncr --force");
    step("purgeFull");
    step("purgeFull --force");
    step("purgeAuto --force");
    step("cleanup --force");
    step(&at("pre+bkp_post", 1_700_200_000));
    step("status+list-cleanup");
    step("nonsense");
    life
}

fn compare(name: &str, keys: &str, gnupg: &Path) {
    let Some(real) = programs::find("duplicity-0.8.22") else {
        return;
    };
    let dupr = PathBuf::from(env!("CARGO_BIN_EXE_dupr"));
    let live = |name: &str, duplicity: &Path| {
        let duply = Duply::new(name, duplicity, gnupg)?;
        duply.configure(keys);
        let life = a_life(&duply);
        let ran = fs::read_to_string(duply.bench.path("ran")).unwrap_or_default();
        Some((life, ran))
    };
    let Some((expected, scripts)) = live(&format!("{name}r"), &real) else {
        return;
    };
    let (found, ran) = live(&format!("{name}d"), &dupr).expect("duply was there");
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found, expected);
    }
    assert_eq!((found.len(), ran), (expected.len(), scripts));
}

#[test]
fn duply_without_encryption_lives_the_same_life() {
    let gnupg = crate::support::scratch::Scratch::new("gnupg0");
    compare("duply0", "GPG_KEY='disabled'", gnupg.path());
}

#[test]
fn duply_with_a_passphrase_lives_the_same_life() {
    let gnupg = crate::support::scratch::Scratch::new("gnupg1");
    fs::write(gnupg.join("gpg.conf"), "s2k-count 65536\n").expect("conf");
    compare("duply1", "GPG_PW='p w $1 ü'", gnupg.path());
}

#[test]
fn duply_with_keys_lives_the_same_life() {
    let Some(keyring) = Keyring::new() else {
        return;
    };
    let keys = format!(
        "GPG_KEYS_ENC='{}'\nGPG_KEY_SIGN='{}'\nGPG_PW='{PASSPHRASE}'\nGPG_PW_SIGN='{PASSPHRASE}'\n\
         GPG_OPTS='--pinentry-mode=loopback'",
        keyring.encrypt, keyring.sign
    );
    compare("duply2", &keys, keyring.home());
}

/// duply 2.5.6 takes the second word of the first line that begins with the program's name, all of it from standard output, and
/// wants at least 2.1 of it; other programs, too, look at nothing else.
#[test]
fn the_version_is_one_that_duply_takes() {
    let bench = Bench::new("version");
    let mut values = Vec::new();
    for program in [programs::Program::Duplicity3, programs::Program::Dupr] {
        let Some(start) = program.words() else {
            continue;
        };
        let mut command = Command::new(&start[0]);
        command.args(&start[1..]).arg("--version");
        let called = bench.run(&mut command, "", &[]);
        assert_eq!(called.code, 0, "{program:?}: {called:?}");
        assert_eq!(called.err, "", "{program:?}");
        // duply puts all lines into one.
        let line = called.out.split_whitespace().collect::<Vec<_>>().join(" ");
        let version = line.strip_prefix("duplicity ").expect("the name first");
        let version = version.split(' ').next().unwrap_or_default();
        let numbers: Vec<u32> = version
            .split('.')
            .map(|n| n.parse().expect("a number"))
            .collect();
        let &[major, minor, patch] = numbers.as_slice() else {
            panic!("{program:?}: {version}");
        };
        assert!(major * 10_000 + minor * 100 + patch >= 20_100, "{version}");
        values.push(version.to_owned());
    }
    values.dedup();
    assert_eq!(values, ["3.2.1"]);
}
