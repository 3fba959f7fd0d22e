//! One path out of the middle of a large volume, without unpacking the rest: what is restored, told and refused is what
//! reading the whole volume restores, tells and refuses.

use crate::support::tree::Tree;
use crate::support::vault::{Heard, Sealed, T0, Vault, noise, set_mtime, write};
use dupr::engine::monitor::ProblemKind;
use dupr::engine::path::PathIndex;
use dupr::engine::storage::{StorageOptions, TargetUrl, open};
use dupr::engine::{Engine, Mode, RestoreOptions};
use std::path::PathBuf;

/// What is noted when a volume was not unpacked whole.
const NOTE: &str = "only what is wanted was unpacked";

/// Some MiB in one volume: files of all lengths, a folder in the middle, and a volume that holds other files under the same
/// paths.
fn vault(name: &str, sealed: Sealed) -> Vault {
    let mut vault = Vault::new(name, sealed);
    vault.volume_bytes = 64 << 20;
    let source = vault.source();
    for dir in ["m/n/", "m/n/deeper/"] {
        for n in 0..5u64 {
            let file = source.join(format!("{dir}older{n}"));
            write(&file, &noise(3_000, n), T0 - 2000);
        }
    }
    vault.backup(Mode::Full, T0 - 1000);
    let older = volume_of(&vault, "-full.");
    let older = vault.storage.bytes(&older).expect("a volume");
    for name in vault.storage.names() {
        vault.storage.remove(&name);
    }
    std::fs::remove_dir_all(vault.archive()).expect("an archive dir");

    for n in 0..60u64 {
        let bytes = [0, 65_536, 200_000, 300_000, 131_071][n as usize % 5];
        let file = source.join(format!("f{n:02}"));
        write(&file, &noise(bytes, n), T0 - 900);
        let file = source.join(format!("m/n/text{n:02}"));
        let text = format!("line {n}, ").repeat(n as usize * 500);
        write(&file, text.as_bytes(), T0 - 901);
        let file = source.join(format!("z{n:02}"));
        write(&file, &noise(70_000, 100 + n), T0 - 902);
    }
    write(&source.join("m/n/volume"), &older, T0 - 903);
    std::os::unix::fs::symlink("text00", source.join("m/n/link")).expect("a link");
    for dir in ["m/n/deeper", "m/n", "m", ""] {
        set_mtime(&source.join(dir), T0 - 950);
    }
    vault.backup(Mode::Full, T0);
    vault
}

fn volume_of(vault: &Vault, part: &str) -> String {
    let mut names = vault.storage.names();
    names.retain(|n| n.contains(part) && n.contains(".difftar"));
    assert_eq!(names.len(), 1, "{names:?}");
    names.remove(0)
}

/// Paths of all kinds, in the middle of the volume.
const WANTED: [&str; 8] = [
    "f40",
    "f41",
    "f42",
    "m/n",
    "m/n/link",
    "m/n/deeper",
    "m/n/volume",
    "z20",
];

/// Outcome of a restore: what is there, whether anything was wrong, and what was said.
fn restored(vault: &Vault, engine: &Engine, path: &str) -> (Option<PathBuf>, String, Heard) {
    let to = vault.scratch.join("one");
    let _ = std::fs::remove_dir_all(&to);
    let _ = std::fs::remove_file(&to);
    let options = RestoreOptions {
        path: PathIndex::new(path.as_bytes()).expect("a path"),
        ..RestoreOptions::default()
    };
    let heard = Heard::default();
    let outcome = vault.with(T0, &heard, |cx| engine.restore(&to, &options, cx));
    let outcome = outcome.map_err(|e| (e.kind(), e.to_string()));
    let there = to.symlink_metadata().is_ok().then_some(to);
    (there, format!("{outcome:?}"), heard)
}

/// Without the copy of the sigtar there is nothing to prove anything by, and the volume is read whole.
fn forget_sigtars(vault: &Vault) {
    for entry in std::fs::read_dir(vault.archive()).expect("an archive dir") {
        let path = entry.expect("a file").path();
        if path.to_string_lossy().contains("sigtar") {
            std::fs::remove_file(path).expect("a sigtar");
        }
    }
}

#[test]
fn what_is_wanted_comes_out_of_the_middle() {
    for sealed in [Sealed::Gzip, Sealed::Gpg] {
        let mut vault = vault("middle", sealed);
        for threads in [1, 2] {
            vault.threads = threads;
            for wanted in WANTED {
                let (there, outcome, heard) = restored(&vault, &vault.engine(), wanted);
                let expected = Tree::read(&vault.source().join(wanted));
                let there = there.unwrap_or_else(|| panic!("{wanted}: {outcome}"));
                expected.compare(&there).expect(wanted);
                assert!(outcome.contains("problems: 0"), "{wanted}: {outcome}");
                assert!(heard.says(NOTE), "{sealed:?} {wanted}: {}", heard.all());
            }
        }
        let fork = vault.fork();
        for wanted in WANTED {
            let quick = restored(&vault, &vault.engine(), wanted).1;
            forget_sigtars(&vault);
            let (there, outcome, heard) = restored(&vault, &vault.engine(), wanted);
            assert!(!heard.says(NOTE), "{}", heard.all());
            assert_eq!(quick, outcome, "{wanted}");
            let expected = Tree::read(&vault.source().join(wanted));
            expected.compare(&there.expect(wanted)).expect(wanted);
            fork.rewind();
        }
        let (there, outcome, _) = restored(&vault, &vault.engine(), "m/n/text99");
        assert!(there.is_none() && outcome.contains("NotFound"), "{outcome}");
    }
}

#[test]
fn a_target_on_this_machine_gives_it_too() {
    for sealed in [Sealed::Gzip, Sealed::Gpg] {
        let vault = vault("middle-local", sealed);
        let target = vault.scratch.join("target");
        std::fs::create_dir(&target).expect("a target");
        for name in vault.storage.names() {
            let bytes = vault.storage.bytes(&name).expect("an object");
            std::fs::write(target.join(name), bytes).expect("a file");
        }
        let url = TargetUrl::parse(&format!("file://{}", target.display())).expect("a URL");
        let engine = || vault.engine_on(open(&url, &StorageOptions::default()).expect("a target"));
        for wanted in WANTED {
            let (there, outcome, heard) = restored(&vault, &engine(), wanted);
            let expected = Tree::read(&vault.source().join(wanted));
            expected.compare(&there.expect(wanted)).expect(wanted);
            assert!(heard.says(NOTE), "{wanted}: {outcome} {}", heard.all());
        }
        // Damage elsewhere is no matter: what comes is proven by itself. Where it hits what is wanted, that is lost.
        let volume = target.join(volume_of(&vault, "-full."));
        let whole = std::fs::read(&volume).expect("a volume");
        let expected = Tree::read(&vault.source().join("f42"));
        let (mut unharmed, mut lost) = (0, 0);
        for part in 0..100 {
            let at = (whole.len() * part / 100).max(1000);
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            std::fs::write(&volume, bytes).expect("a volume");
            let (there, outcome, heard) = restored(&vault, &engine(), "f42");
            match there {
                Some(there) => {
                    expected.compare(&there).expect("f42");
                    assert!(outcome.contains("problems: 0"), "{part}: {outcome}");
                    assert!(heard.says(NOTE), "{part}: {}", heard.all());
                    unharmed += 1;
                }
                None => {
                    let paths = heard.paths(ProblemKind::Lost);
                    assert_eq!(paths, ["f42"], "{part}: {outcome} {}", heard.all());
                    lost += 1;
                }
            }
        }
        assert!(unharmed > 50 && lost > 0, "{unharmed} {lost}");
    }
}

#[test]
fn damage_anywhere_ends_as_it_does_without() {
    for sealed in [Sealed::Gzip, Sealed::Gpg] {
        let vault = vault("middle-damage", sealed);
        let fork = vault.fork();
        let name = volume_of(&vault, "-full.");
        let whole = vault.storage.bytes(&name).expect("a volume");
        // Before, about, and behind what is wanted.
        for part in [0, 10, 45, 50, 55, 90, 99] {
            let at = whole.len() * part / 100 + 200;
            let mut harmed = whole.clone();
            harmed[at.min(whole.len() - 3)] ^= 4;
            for wanted in ["f43", "m/n/text30", "m/n/link"] {
                let mut seen = Vec::new();
                for has_sigtar in [true, false] {
                    fork.rewind();
                    vault.storage.insert(name.clone(), harmed.clone());
                    if !has_sigtar {
                        forget_sigtars(&vault);
                    }
                    let (there, outcome, heard) = restored(&vault, &vault.engine(), wanted);
                    let tree = there.map(|there| Tree::read(&there).differences(&Tree::default()));
                    seen.push((tree, outcome, heard.paths(ProblemKind::Lost)));
                    assert!(!heard.says(NOTE), "{}", heard.all());
                }
                assert_eq!(seen[0], seen[1], "{sealed:?} {part} {wanted}");
            }
        }
    }
}

#[test]
fn a_file_that_was_changed_is_patched_from_the_middle() {
    for sealed in [Sealed::Gzip, Sealed::Gpg] {
        let vault = vault("middle-changed", sealed);
        let file = vault.source().join("f42");
        let mut bytes = std::fs::read(&file).expect("a file");
        bytes[100_000..101_000].fill(7);
        write(&file, &bytes, T0 + 10);
        std::fs::remove_file(vault.source().join("z20")).expect("a file");
        set_mtime(&vault.source(), T0 + 11);
        vault.backup(Mode::Incremental, T0 + 100);
        let (there, outcome, heard) = restored(&vault, &vault.engine(), "f42");
        assert!(heard.says(NOTE), "{outcome} {}", heard.all());
        let expected = Tree::read(&file);
        expected.compare(&there.expect("f42")).expect("f42");
        let (there, outcome, _) = restored(&vault, &vault.engine(), "z20");
        assert!(there.is_none() && outcome.contains("NotFound"), "{outcome}");
    }
}
