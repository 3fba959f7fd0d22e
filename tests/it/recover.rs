//! The worst day: what is left of a backup is restored byte by byte, and all the rest is on the list.

use crate::support::home::{CANARY, Called, Home, called};
use crate::support::keyring::{Keyring, PASSPHRASE};
use crate::support::programs::is_root;
use crate::support::vault::noise;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Contents by name.
pub type Files = BTreeMap<String, Vec<u8>>;

/// A backup of a full set and an increment, each of several volumes, and what the source was at both times.
struct Bench {
    home: Home,
    keyring: Option<Keyring>,
    older: Files,
    newer: Files,
}

/// All files below a folder.
pub fn contents(dir: &Path) -> Files {
    let mut found = Files::new();
    let mut open = vec![dir.to_owned()];
    while let Some(at) = open.pop() {
        for entry in fs::read_dir(&at).expect("folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path.strip_prefix(dir).expect("below").display().to_string();
                found.insert(name, fs::read(&path).expect("file"));
            }
        }
    }
    found
}

impl Bench {
    fn new(name: &str, keyring: Option<Keyring>) -> Self {
        let home = Home::new(name);
        let keys = match &keyring {
            Some(keyring) => format!(
                "passphrase = {{ env = \"PASSPHRASE\" }}\nencrypt-to = [{:?}]\n",
                keyring.encrypt
            ),
            None => format!("passphrase = {{ file = {:?} }}\n", home.path().join("pass")),
        };
        home.raw_profile(
            "home",
            &format!(
                "version = 1\nsource = {:?}\ntarget = \"file://{}\"\n[keys]\n{keys}[backup]\nvolume-size = \"1 MiB\"\n",
                home.source(),
                home.target().display(),
            ),
        );
        for n in 0..26_u8 {
            let name = format!("{}-file", char::from(b'a' + n));
            fs::write(home.source().join(name), noise(100_000, u64::from(n))).expect("file");
        }
        fs::write(home.source().join("m-large"), noise(1_500_000, 99)).expect("file");
        let mut bench = Self {
            older: contents(&home.source()),
            newer: Files::new(),
            home,
            keyring,
        };
        assert_eq!(bench.call(&["home", "backup"]).code, 0);
        for n in (0..26_u8).step_by(2) {
            let path = bench
                .home
                .source()
                .join(format!("{}-file", char::from(b'a' + n)));
            let mut bytes = noise(100_000, u64::from(n));
            bytes.extend(noise(100_000, 1000 + u64::from(n)));
            fs::write(path, bytes).expect("file");
        }
        bench.home.write("q-new", "came later\n");
        fs::remove_file(bench.home.source().join("two")).expect("file");
        bench.newer = contents(&bench.home.source());
        assert_eq!(bench.call(&["home", "backup"]).code, 0);
        bench
    }

    fn call(&self, words: &[&str]) -> Called {
        let mut command = self.home.command(words);
        if let Some(keyring) = &self.keyring {
            command.envs(keyring.env());
        }
        called(command.output().expect("dupr"))
    }

    /// A copy of the target from which `harm` removes or spoils what it likes, recovered: what came back, and what was told.
    fn recovered(&self, name: &str, harm: impl Fn(&str, &Path)) -> (Files, Called) {
        let left = self.home.path().join(format!("left-{name}"));
        fs::create_dir(&left).expect("folder");
        for file in self.home.stored() {
            let name = file
                .file_name()
                .and_then(|n| n.to_str())
                .expect("name")
                .to_owned();
            let copy = left.join(&name);
            fs::copy(&file, &copy).expect("copy");
            harm(&name, &copy);
        }
        let back = self.home.path().join(format!("back-{name}"));
        let (left, to) = (left.display().to_string(), back.display().to_string());
        let mut words = vec!["recover", &left, &to];
        let pass = self.home.path().join("pass").display().to_string();
        if self.keyring.is_none() {
            words.extend(["--passphrase-file", &pass]);
        }
        let told = self.call(&words);
        (contents(&back), told)
    }

    /// Holds what came back against what was: whatever is not listed is there and as it was at the end, and nothing is as it
    /// never was.
    fn judge(&self, name: &str, back: &Files, told: &Called) -> BTreeSet<String> {
        let listed = self.judge_spoilt(name, back, told);
        for (path, found) in back {
            let states = [&self.newer, &self.older].map(|files| files.get(path));
            assert!(
                states.contains(&Some(found)),
                "{name}: {path} never was like that\n{}",
                told.stdout
            );
        }
        listed
    }

    /// The same where a file that is told to be doubtful may hold anything.
    fn judge_spoilt(&self, name: &str, back: &Files, told: &Called) -> BTreeSet<String> {
        let mut listed = BTreeSet::new();
        let mut ranges = Vec::new();
        for line in told.stdout.lines() {
            let Some((word, rest)) = line.split_once(' ') else {
                continue;
            };
            if !["lost", "doubtful", "refused"].contains(&word) {
                continue;
            }
            let path = rest.trim_start().split("  ").next().expect("a path");
            match path.split_once(" … ") {
                Some((from, to)) => ranges.push((from.to_owned(), to.to_owned())),
                None => _ = listed.insert(path.to_owned()),
            }
        }
        let in_range = |path: &String| {
            ranges
                .iter()
                .any(|(from, to)| (from == "." || from <= path) && (to == "the end" || path <= to))
        };
        let said = &told.stdout;
        for (path, bytes) in &self.newer {
            match back.get(path) {
                Some(found) if found == bytes => {}
                Some(_) => assert!(
                    listed.contains(path),
                    "{name}: {path} is not as it was\n{said}"
                ),
                None => assert!(
                    listed.contains(path) || in_range(path),
                    "{name}: {path} is missing and not listed\n{said}"
                ),
            }
        }
        for path in back.keys().filter(|path| !self.newer.contains_key(*path)) {
            assert!(
                listed.contains(path) && self.older.contains_key(path),
                "{name}: {path} was gone\n{said}"
            );
        }
        listed
    }
}

fn halve(path: &Path) {
    let bytes = fs::read(path).expect("volume");
    fs::write(path, &bytes[..bytes.len() / 2]).expect("volume");
}

fn is(name: &str, parts: &[&str]) -> bool {
    parts.iter().all(|part| name.contains(part))
}

fn worst_days(bench: &Bench) {
    let remove = |path: &Path| fs::remove_file(path).expect("file");
    let full_volumes = bench
        .home
        .stored()
        .iter()
        .filter(|p| is(&p.display().to_string(), &["-full.", ".vol"]))
        .count();
    assert!(full_volumes > 3, "{full_volumes}");

    // Nothing is known but the volumes, and they are all there.
    let (back, told) = bench.recovered("bare", |name, path| {
        if !name.contains(".vol") {
            remove(path);
        }
    });
    assert_eq!(told.code, 14, "{}{}", told.stdout, told.stderr);
    assert_eq!(bench.judge("bare", &back, &told), BTreeSet::new());
    assert_eq!(back, bench.newer);
    let (back, told) = bench.recovered("no-manifests", |name, path| {
        if name.contains("manifest") {
            remove(path);
        }
    });
    assert_eq!(back, bench.newer, "{}", told.stdout);
    let (back, told) = bench.recovered("torn-manifests", |name, path| {
        if name.contains("manifest") || name.contains("sigtar") {
            halve(path);
        }
    });
    assert_eq!(back, bench.newer, "{}{}", told.stdout, told.stderr);

    for others in ["all", "sigtars", "none"] {
        let keep = |name: &str, path: &Path| {
            let kept = match others {
                "none" => name.contains(".vol"),
                "sigtars" => !name.contains("manifest"),
                _ => true,
            };
            if !kept {
                remove(path);
            }
        };
        // A volume in the middle of the full set is gone: its files are lost or, of later ones, on the list.
        let (back, told) = bench.recovered(&format!("gap-{others}"), |name, path| {
            keep(name, path);
            if is(name, &["-full.", ".vol2."]) {
                remove(path);
            }
        });
        bench.judge("gap", &back, &told);
        assert_eq!(told.code, 14);
        assert!(
            back.len() + 14 > bench.newer.len() && back.len() < bench.newer.len(),
            "{}",
            back.len()
        );

        // Half of it is left: what stands in that half comes back.
        let (back_half, told) = bench.recovered(&format!("half-{others}"), |name, path| {
            keep(name, path);
            if is(name, &["-full.", ".vol2."]) {
                halve(path);
            }
        });
        let listed = bench.judge("half", &back_half, &told);
        assert!(
            back_half.len() > back.len(),
            "{} {}",
            back_half.len(),
            back.len()
        );
        assert!(!listed.is_empty(), "{}", told.stdout);
        // The signatures prove it; without them it is in doubt.
        assert_eq!(
            told.stdout.contains("doubtful  "),
            others == "none",
            "{}",
            told.stdout
        );

        // The first volume of the increment: its files come back older, and are told to be.
        let (back, told) = bench.recovered(&format!("increment-{others}"), |name, path| {
            keep(name, path);
            if is(name, &["-inc.", ".vol1."]) {
                remove(path);
            }
        });
        let listed = bench.judge("increment", &back, &told);
        assert_eq!(back.get("a-file"), bench.older.get("a-file"));
        assert!(listed.contains("a-file"), "{}", told.stdout);
        assert_eq!(
            back.get("y-file"),
            bench.newer.get("y-file"),
            "{}",
            told.stdout
        );
    }

    // The full set is gone: what the increment holds whole comes back, and no delta is applied to nothing.
    let (back, told) = bench.recovered("no-full", |name, path| {
        if name.contains("-full") {
            remove(path);
        }
    });
    assert_eq!(
        back.get("q-new"),
        bench.newer.get("q-new"),
        "{}",
        told.stdout
    );
    assert!(
        told.stderr.contains("nothing is left of the full"),
        "{}",
        told.stderr
    );
    assert!(back.keys().all(|path| path == "q-new"), "{:?}", back.keys());
}

/// A word for it, and what it does to a volume.
type Harm<'a> = (&'a str, &'a dyn Fn(&Path));

/// The set that a volume belongs to by its name, and its number.
fn volume_of(name: &str) -> Option<(&str, usize)> {
    let (set, rest) = name.split_once(".vol")?;
    Some((set, rest.split('.').next()?.parse().ok()?))
}

/// Every second volume of all sets is gone, cut or spoilt, with and without what tells what was in them.
#[test]
fn half_of_all_volumes_is_not_the_end() {
    let bench = Bench::new("recover-half", None);
    let flip = |path: &Path| {
        let mut bytes = fs::read(path).expect("volume");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x20;
        fs::write(path, bytes).expect("volume");
    };
    let remove = |path: &Path| fs::remove_file(path).expect("volume");
    let harms: [Harm<'_>; 3] = [("gone", &remove), ("cut", &halve), ("spoilt", &flip)];
    // The number of the last volume of each set.
    let mut last = BTreeMap::new();
    for path in bench.home.stored() {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if let Some((set, number)) = volume_of(&name) {
            let found = last.entry(set.to_owned()).or_insert(number);
            *found = number.max(*found);
        }
    }
    for (turn, (harm, harmed)) in harms.into_iter().enumerate() {
        for (others, odd) in [("all", turn % 2), ("none", 1 - turn % 2)] {
            let case = format!("{harm}-{odd}-{others}");
            let spoilt = std::cell::Cell::new((0, 0));
            let (back, told) = bench.recovered(&case, |name, path| {
                let Some((set, number)) = volume_of(name) else {
                    if others == "none" {
                        remove(path);
                    }
                    return;
                };
                let (all, bad) = spoilt.get();
                // Where nothing else is left of a set, nobody can know that its last volume was there.
                let may_go = harm != "gone" || others == "all" || last[set] != number;
                let is_bad = number % 2 == odd && may_go;
                spoilt.set((all + 1, bad + usize::from(is_bad)));
                if is_bad {
                    harmed(path);
                }
            });
            let (all, bad) = spoilt.get();
            assert!(all >= 6 && bad * 3 >= all, "{case}: {bad} of {all}");
            assert_eq!(told.code, 14, "{case}: {}{}", told.stdout, told.stderr);
            assert_eq!(
                told.stderr.contains(" volumes cannot be known"),
                others == "none",
                "{case}: {}",
                told.stderr
            );
            // A spoilt volume has nothing beside it then that proves its content.
            let listed = match (harm, others) {
                ("spoilt", "none") => bench.judge_spoilt(&case, &back, &told),
                _ => bench.judge(&case, &back, &told),
            };
            let whole = back
                .iter()
                .filter(|(path, bytes)| bench.newer.get(*path) == Some(bytes))
                .count();
            assert!(
                !listed.is_empty() && whole >= 5,
                "{case}: {whole}\n{}",
                told.stdout
            );
        }
    }
}

#[test]
fn what_is_left_comes_back_and_the_rest_is_listed() {
    worst_days(&Bench::new("recover-passphrase", None));
}

#[test]
fn a_restore_from_damage_says_what_to_type() {
    let bench = Bench::new("recover-typed", None);
    for file in bench.home.stored() {
        if is(&file.display().to_string(), &["-full.", ".vol2."]) {
            halve(&file);
        }
    }
    let back = bench.home.path().join("restored").display().to_string();
    let told = bench.call(&["home", "restore", &back]);
    assert_eq!(told.code, 14, "{}{}", told.stdout, told.stderr);
    assert!(
        told.stderr.contains("`dupr recover home DIR`"),
        "{}",
        told.stderr
    );
    let reason = "stored data is damaged";
    assert_eq!(told.stderr.matches(reason).count(), 1, "{}", told.stderr);
    let told = bench.call(&["home", "verify"]);
    assert!(
        told.stderr.contains("`dupr recover home DIR`"),
        "{}",
        told.stderr
    );
    // It does what it says: the half that is left comes back as well.
    let typed = bench.home.path().join("typed").display().to_string();
    let told = bench.call(&["recover", "home", &typed]);
    assert_eq!(told.code, 14, "{}{}", told.stdout, told.stderr);
    let found = contents(Path::new(&typed));
    bench.judge("typed", &found, &told);
    assert!(found.len() > contents(Path::new(&back)).len());
}

#[test]
fn a_public_key_makes_no_difference() {
    let Some(keyring) = Keyring::new() else {
        return;
    };
    worst_days(&Bench::new("recover-key", Some(keyring)));
}

#[test]
fn a_wrong_key_and_an_empty_folder_are_told_as_such() {
    let bench = Bench::new("recover-wrong", None);
    let wrong = bench.home.path().join("wrong");
    fs::write(&wrong, "another").expect("passphrase");
    fs::set_permissions(&wrong, fs::Permissions::from_mode(0o600)).expect("mode");
    let (target, wrong) = (
        bench.home.target().display().to_string(),
        wrong.display().to_string(),
    );
    let refused = bench.home.expect(
        12,
        &["recover", &target, "back", "--passphrase-file", &wrong],
    );
    assert!(
        !bench.home.path().join("back/a-file").exists(),
        "{}",
        refused.stderr
    );
    fs::create_dir(bench.home.path().join("empty")).expect("folder");
    bench.home.expect(
        10,
        &["recover", "empty", "back2", "--passphrase-file", &wrong],
    );
    // With the profile's keys, one path, an older state, as JSON.
    let time = &bench.home.history("home")[0]["steps"][0]["set"]["full"]["time"];
    let time = time.as_i64().expect("time").to_string();
    let words = [
        "recover",
        &target,
        "one",
        "--profile",
        "home",
        "--path",
        "a-file",
        "--time",
        &time,
        "--json",
    ];
    let told = bench.home.expect(0, &words);
    assert_eq!(
        fs::read(bench.home.path().join("one")).expect("one"),
        bench.older["a-file"]
    );
    let document: serde_json::Value = serde_json::from_str(&told.stdout).expect("JSON");
    assert_eq!(document["restore"]["entries"], 1);
}

#[test]
fn the_recovery_sheet_says_everything_but_the_secrets() {
    let Some(keyring) = Keyring::new() else {
        return;
    };
    let bench = Bench::new("recover-sheet", Some(keyring));
    let keyring = bench.keyring.as_ref().expect("a keyring");
    let sheet = bench.call(&["keys", "export", "home"]);
    assert_eq!(sheet.code, 0, "{}", sheet.stderr);
    let target = format!("file://{}", bench.home.target().display());
    for word in [
        keyring.encrypt.as_str(),
        &target,
        "duplicity restore",
        "gpg --decrypt",
        "dupr recover",
    ] {
        assert!(sheet.stdout.contains(word), "{word}: {}", sheet.stdout);
    }
    assert!(
        !sheet.stdout.contains(PASSPHRASE) || PASSPHRASE == "golden",
        "{}",
        sheet.stdout
    );
    assert!(!bench.home.path().join("secret.asc").exists());
    let exported = bench.call(&["keys", "export", "home", "--secret-keys", "secret.asc"]);
    assert_eq!(exported.code, 0, "{}", exported.stderr);
    let file = bench.home.path().join("secret.asc");
    assert_eq!(
        fs::metadata(&file).expect("keys").permissions().mode() & 0o777,
        0o600
    );
    // It opens the backup on a machine that has nothing else.
    let bare = bench.home.path().join("bare");
    fs::create_dir(&bare).expect("home");
    fs::set_permissions(&bare, fs::Permissions::from_mode(0o700)).expect("mode");
    let import = [
        "--batch",
        "--pinentry-mode",
        "loopback",
        "--passphrase",
        PASSPHRASE,
        "--import",
    ];
    let imported = std::process::Command::new("gpg")
        .arg("--homedir")
        .arg(&bare)
        .args(import)
        .arg(&file)
        .output()
        .expect("gpg");
    assert!(
        imported.status.success(),
        "{}",
        String::from_utf8_lossy(&imported.stderr)
    );
    let mut command = bench
        .home
        .command(&["duplicity", "restore", &target, "back"]);
    command
        .env("GNUPGHOME", &bare)
        .env("PASSPHRASE", PASSPHRASE);
    let restored = called(command.output().expect("dupr"));
    let _ = std::process::Command::new("gpgconf")
        .arg("--homedir")
        .arg(&bare)
        .args(["--kill", "all"])
        .output();
    assert_eq!(restored.code, 0, "{}", restored.stderr);
    assert_eq!(contents(&bench.home.path().join("back")), bench.newer);
    // Never over a file that is there.
    let again = bench.call(&["keys", "export", "home", "--secret-keys", "secret.asc"]);
    assert_ne!(again.code, 0);
    // A passphrase is named by its place, never shown.
    let home = Home::new("recover-sheet-symmetric");
    let sheet = home.expect(0, &["keys", "export", "home"]).stdout;
    assert!(
        sheet.contains("passphrase") && !sheet.contains(CANARY),
        "{sheet}"
    );
    home.expect(2, &["keys", "export", "home", "--secret-keys", "x"]);
}

/// An agent that has forgotten everything can do nothing; after `unlock` runs need no passphrase any more.
#[test]
fn unlocked_keys_serve_runs_that_know_no_passphrase() {
    let Some(keyring) = Keyring::new() else {
        return;
    };
    let home = Home::new("unlock");
    for (name, passphrase) in [
        ("with", "passphrase = { env = \"PASSPHRASE\" }\n"),
        ("without", ""),
    ] {
        let text = format!(
            "version = 1\nsource = {:?}\ntarget = \"file://{}\"\n[keys]\n{passphrase}encrypt-to = [{:?}]\nsign-with = {:?}\n",
            home.source(),
            home.target().display(),
            keyring.encrypt,
            keyring.sign,
        );
        home.raw_profile(name, &text);
    }
    let dupr = |words: &[&str], passphrase: &str| {
        let mut command = home.command(words);
        command
            .env("GNUPGHOME", keyring.home())
            .env("PASSPHRASE", passphrase)
            // Nothing is written anywhere on the way.
            .env("TMPDIR", "/no/such/folder");
        called(command.output().expect("dupr"))
    };
    let forget = || {
        let gpgconf = std::process::Command::new("gpgconf")
            .arg("--homedir")
            .arg(keyring.home())
            .args(["--kill", "all"])
            .status();
        assert!(gpgconf.expect("gpgconf").success());
    };
    // An agent without anybody to ask.
    let settings = keyring.home().join("gpg-agent.conf");
    let known = fs::read_to_string(&settings).expect("settings");
    fs::write(&settings, format!("{known}pinentry-program /bin/false\n")).expect("settings");
    forget();
    for (name, passphrase) in [("without", ""), ("with", "wrong")] {
        let refused = dupr(&["unlock", name], passphrase);
        assert_eq!(refused.code, 12, "{name}: {}", refused.stderr);
        assert!(refused.stderr.contains("cannot seal"), "{}", refused.stderr);
    }
    let unlocked = dupr(&["with", "unlock"], PASSPHRASE);
    assert_eq!(unlocked.code, 0, "{}", unlocked.stderr);
    for key in [
        format!("signs with {}", keyring.sign),
        format!("opens what is encrypted to {}", keyring.encrypt),
    ] {
        assert!(unlocked.stdout.contains(&key), "{}", unlocked.stdout);
    }
    assert!(!unlocked.stdout.contains(PASSPHRASE), "{}", unlocked.stdout);
    assert_eq!(home.stored(), Vec::<std::path::PathBuf>::new());
    let again = dupr(&["unlock", "without", "--json"], "");
    assert_eq!(again.code, 0, "{}", again.stderr);
    let document: serde_json::Value = serde_json::from_str(&again.stdout).expect("JSON");
    assert_eq!(
        (&document["code"], &document["opens"]),
        (&0.into(), &true.into())
    );
    // Neither a passphrase nor somebody to ask.
    let mut command = home.command(&["without", "backup_verify"]);
    command.env("GNUPGHOME", keyring.home());
    let made = called(command.output().expect("dupr"));
    forget();
    assert_eq!(made.code, 0, "{}", made.stderr);

    // A passphrase alone has nothing to unlock.
    let plain = Home::new("unlock-symmetric")
        .expect(0, &["unlock", "home"])
        .stdout;
    assert!(
        plain.contains("opens with its passphrase") && !plain.contains(CANARY),
        "{plain}"
    );
}

#[test]
fn what_takes_the_space_is_told() {
    let bench = Bench::new("recover-du", None);
    let told = bench.home.expect(0, &["du", "home", "--json"]).stdout;
    let document: serde_json::Value = serde_json::from_str(&told).expect("JSON");
    let usage = |path: &str| {
        let paths = document["paths"].as_array().expect("paths");
        let found = paths.iter().find(|p| p["path"] == path);
        found.unwrap_or_else(|| panic!("{path}: {told}"))["usage"].clone()
    };
    let stored: u64 = bench
        .home
        .stored()
        .iter()
        .filter(|p| p.display().to_string().contains(".vol"))
        .map(|p| fs::metadata(p).expect("volume").len())
        .sum();
    assert_eq!(document["volume-bytes"], stored);
    assert_eq!(usage(".")["stored-bytes"], stored);
    // 1.5 MB that cannot be compressed, in the full set only, or nearly.
    let large = usage("m-large")["stored-bytes"].as_u64().expect("bytes");
    assert!((1_400_000..1_620_000).contains(&large), "{large}");
    assert_eq!(usage("a-file")["sets"], 2);
    let below = bench
        .home
        .expect(0, &["du", "home", "sub", "--top", "1"])
        .stdout;
    assert!(
        below.lines().nth(1).is_some_and(|l| l.ends_with("sub")),
        "{below}"
    );
}

/// Copies a file, or a folder of files, to the same place below another root.
fn into_root(root: &Path, path: &Path) {
    let to = root.join(path.strip_prefix("/").expect("absolute"));
    fs::create_dir_all(to.parent().expect("folder")).expect("folder");
    if path.is_dir() {
        fs::create_dir_all(&to).expect("folder");
        for entry in fs::read_dir(path).expect("folder").flatten() {
            into_root(root, &entry.path());
        }
    } else {
        fs::copy(path, &to).expect("copy");
    }
}

/// Restores in a root that holds dupr, what it is linked with, the profile, the backup and these files, and nothing else: no gpg,
/// no home, no archive dir, no `/proc`.
fn restored_in_a_clean_root(bench: &Bench, files: &[&Path], more: &[&str]) {
    let root = bench.home.path().join("root");
    let program = Path::new(env!("CARGO_BIN_EXE_dupr"));
    let output = std::process::Command::new("ldd").arg(program).output();
    let libraries = String::from_utf8(output.expect("ldd").stdout).expect("text");
    let libraries = libraries
        .split_whitespace()
        .filter(|word| word.starts_with('/'))
        .map(Path::new);
    for file in libraries.chain(files.iter().copied()).chain([
        program,
        &bench.home.path().join(".config"),
        &bench.home.target(),
    ]) {
        into_root(&root, file);
    }
    fs::create_dir_all(root.join("tmp")).expect("tmp");
    let restored = std::process::Command::new("/usr/sbin/chroot")
        .arg(&root)
        .arg(program)
        .args(["home", "restore", "/back"])
        .args(more)
        .env_clear()
        .env("HOME", bench.home.path())
        .env("PASSPHRASE", PASSPHRASE)
        .output()
        .expect("chroot");
    let restored = called(restored);
    assert_eq!(restored.code, 0, "{}{}", restored.stdout, restored.stderr);
    assert_eq!(contents(&root.join("back")), bench.newer);
}

#[test]
fn the_profile_and_its_passphrase_restore_in_a_clean_root() {
    if !is_root() {
        return;
    }
    let bench = Bench::new("recover-clean-root", None);
    restored_in_a_clean_root(&bench, &[&bench.home.path().join("pass")], &[]);
}

/// The file that `keys export` wrote is all that is left of a keyring: neither gpg nor an agent is there to read it.
#[test]
fn the_profile_and_a_secret_key_restore_in_a_clean_root() {
    let Some(keyring) = Keyring::new() else {
        return;
    };
    if !is_root() {
        return;
    }
    let bench = Bench::new("recover-clean-key", Some(keyring));
    let keys = bench.home.path().join("keys");
    fs::create_dir(&keys).expect("own folder");
    let exported = bench.call(&["keys", "export", "home", "--secret-keys", "keys/secret.asc"]);
    assert_eq!(exported.code, 0, "{}", exported.stderr);
    let there = format!("keys.keyring={}", keys.display());
    restored_in_a_clean_root(&bench, &[&keys], &["--set", &there]);
}
