//! What happens to one stored file never turns into a lie: what can be restored is restored, what cannot is named.
//!
//! Every kind of file at the target and in the archive dir is deleted, emptied, halved, flipped in one bit and swapped
//! with another of its kind. Then every operation runs, with the archive dir as it was and without it. Restores are held
//! against what the source was and against what a tar reader finds in the damaged volume. No operation may give other
//! bytes, no cleanup may take what is good, and the next backup is good again.

use crate::support::effort;
use crate::support::tree::{Tree, What};
use crate::support::vault::{Heard, Sealed, T0, Vault, all_restore, edit, with_chain};
use dupr::engine::entry::Entry;
use dupr::engine::monitor::ProblemKind;
use dupr::engine::{ErrorKind, Mode, Output, Result};
use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};

/// What is done to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Harm {
    Deleted,
    Emptied,
    Halved,
    Flipped,
    Swapped,
}

const HARMS: [Harm; 5] = [
    Harm::Deleted,
    Harm::Emptied,
    Harm::Halved,
    Harm::Flipped,
    Harm::Swapped,
];

/// A file at the target, by what it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Volume,
    Manifest,
    Sigtar,
}

/// One file to harm, and another of its kind.
#[derive(Debug, Clone)]
struct Victim {
    kind: Kind,
    name: String,
    other: String,
}

/// The bench: a full set, an increment, and a source that has changed since.
struct Bench {
    vault: Vault,
    states: Vec<(i64, Tree)>,
    victims: Vec<Victim>,
}

fn bench(name: &str, sealed: Sealed) -> Bench {
    let (vault, states) = with_chain(name, sealed);
    edit(&vault.source(), 2);
    let names = vault.storage.names();
    let find = |start: &str, part: &str| -> Vec<String> {
        let mut found: Vec<String> = names
            .iter()
            .filter(|n| n.starts_with(start) && n.contains(part))
            .cloned()
            .collect();
        found.sort_by_key(|n| (n.len(), n.clone()));
        found
    };
    let mut victims = Vec::new();
    for set in ["duplicity-full.", "duplicity-inc."] {
        let volumes = find(set, ".difftar");
        assert!(volumes.len() >= 3, "{volumes:?}");
        for n in [0, volumes.len() / 2, volumes.len() - 1] {
            let other = volumes[(n + 1) % volumes.len()].clone();
            victims.push(Victim {
                kind: Kind::Volume,
                name: volumes[n].clone(),
                other,
            });
        }
    }
    let pair =
        |kind, a: Vec<String>, b: Vec<String>| {
            [(a[0].clone(), b[0].clone()), (b[0].clone(), a[0].clone())]
                .map(|(name, other)| Victim { kind, name, other })
        };
    victims.extend(pair(
        Kind::Manifest,
        find("duplicity-full.", ".manifest"),
        find("duplicity-inc.", ".manifest"),
    ));
    victims.extend(pair(
        Kind::Sigtar,
        find("duplicity-full-sig", ""),
        find("duplicity-new-sig", ""),
    ));
    Bench {
        vault,
        states,
        victims,
    }
}

fn harmed(harm: Harm, bytes: &[u8], other: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = bytes.to_vec();
    match harm {
        Harm::Deleted => return None,
        Harm::Emptied => bytes.clear(),
        Harm::Halved => bytes.truncate(bytes.len() / 2),
        Harm::Flipped => {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0x10;
        }
        Harm::Swapped => bytes = other.to_vec(),
    }
    Some(bytes)
}

impl Bench {
    fn harm(&self, harm: Harm, victim: &Victim) {
        let storage = &self.vault.storage;
        let (bytes, other) = (
            storage.bytes(&victim.name).expect("it"),
            storage.bytes(&victim.other).expect("other"),
        );
        storage.remove(&victim.name);
        if let Some(bytes) = harmed(harm, &bytes, &other) {
            storage.insert(victim.name.clone(), bytes);
        }
        if harm == Harm::Swapped {
            storage.insert(victim.other.clone(), bytes);
        }
    }

    /// Paths of the files whose data lies, at least in part, in a volume.
    fn files_in(&self, volume: &str) -> BTreeSet<String> {
        let bytes = self.vault.storage.bytes(volume).expect("a volume");
        let engine = self.vault.engine();
        let form = engine.target().naming.parse(volume).expect("a name").form;
        let mut tar = Vec::new();
        let mut plain = engine
            .target()
            .seal
            .unseal(form, Box::new(std::io::Cursor::new(bytes)))
            .expect("opens");
        plain.read_to_end(&mut tar).expect("whole");
        let mut archive = tar::Archive::new(tar.as_slice());
        let mut files = BTreeSet::new();
        for entry in archive.entries().expect("a tar") {
            let entry = entry.expect("a member");
            let name = String::from_utf8(entry.path_bytes().into_owned()).expect("ASCII");
            let (word, path) = name.split_once('/').expect("a word");
            if word.starts_with("multivol_") {
                files.insert(path.rsplit_once('/').expect("a number").0.to_string());
            } else if word != "deleted" && entry.header().entry_type().is_file() {
                files.insert(path.to_string());
            }
        }
        files
    }

    /// Files of the state `index` that need something of the volumes in `lost`, which belong to one set.
    fn needing(&self, lost: &[&str], index: usize) -> BTreeSet<String> {
        let names = self.vault.storage.names();
        let is_full = |n: &str| n.starts_with("duplicity-full.");
        if index == 0 && !lost.iter().all(|n| is_full(n)) {
            return BTreeSet::new();
        }
        let mut needing: BTreeSet<String> = lost.iter().flat_map(|n| self.files_in(n)).collect();
        // In these trees an increment holds a file as a delta if it was in the full set, and whole if not. So what is in
        // the full set is always needed.
        let state = &self.states[index].1;
        needing.retain(|path| {
            let there = state
                .0
                .get(path.as_bytes())
                .is_some_and(|n| matches!(n.what, What::File(..)));
            there && names.len() > 1
        });
        needing
    }
}

/// How a restore came out.
#[derive(Debug)]
enum Outcome {
    /// Everything but these files, each of them told.
    Restored(BTreeSet<String>),
    Refused(ErrorKind),
}

/// Restores and checks that nothing is a lie: what is there is right, what is not there was named.
fn restore(bench: &Bench, index: usize, when: &str) -> Outcome {
    let (time, expected) = &bench.states[index];
    let heard = Heard::default();
    let (result, to) = bench
        .vault
        .restore_with(&bench.vault.engine(), Some(*time), &heard);
    let stats = match result {
        Ok(stats) => stats,
        Err(e) => {
            let left = std::fs::read_dir(&to).map_or(0, Iterator::count);
            assert_eq!(left, 0, "{when}: {e}: something was restored all the same");
            return Outcome::Refused(e.kind());
        }
    };
    let found = Tree::read(&to);
    let lost: BTreeSet<String> = heard.paths(ProblemKind::Lost).into_iter().collect();
    for (path, node) in &found.0 {
        assert_eq!(
            expected.0.get(path),
            Some(node),
            "{when}: {} is wrong; {}",
            path.escape_ascii(),
            heard.all()
        );
    }
    let missing: BTreeSet<String> = expected
        .0
        .keys()
        .filter(|p| !found.0.contains_key(*p))
        .map(|p| text(p))
        .collect();
    assert!(
        missing.is_subset(&lost),
        "{when}: missing and not told: {missing:?}, told: {lost:?}; {}",
        heard.all()
    );
    if !lost.is_empty() || !missing.is_empty() {
        assert!(stats.problems > 0, "{when}: losses are problems");
    }
    assert_eq!(
        lost,
        missing,
        "{when}: what is told to be lost is missing; {}",
        heard.all()
    );
    Outcome::Restored(missing)
}

fn text(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

/// Collects a listing.
#[derive(Default)]
struct Listing(BTreeSet<String>);

impl Output for Listing {
    fn entry(&mut self, entry: &Entry) -> Result<()> {
        self.0.insert(entry.path.to_string());
        Ok(())
    }
}

/// Runs the operations that only read, and says whether the restores were whole.
fn read_everything(bench: &Bench, when: &str) -> [Outcome; 2] {
    let outcomes = [0, 1].map(|i| restore(bench, i, &format!("{when}, state {i}")));
    let heard = Heard::default();
    let verified = bench.vault.verify_with(&bench.vault.engine(), &heard);
    let is_whole = matches!(&outcomes[1], Outcome::Restored(lost) if lost.is_empty());
    if verified.as_ref().is_ok_and(|s| s.problems == 0) {
        assert!(is_whole, "{when}: verified and not whole; {}", heard.all());
    }
    let mut listing = Listing::default();
    let listed = bench.vault.with(T0, &heard, |cx| {
        bench.vault.engine().list(None, &mut listing, cx)
    });
    if listed.is_ok() {
        let expected = |i: usize| -> BTreeSet<String> {
            bench.states[i]
                .1
                .0
                .keys()
                .map(|p| if p.is_empty() { ".".into() } else { text(p) })
                .collect()
        };
        assert!(
            listing.0 == expected(1) || listing.0 == expected(0),
            "{when}: {:?}",
            listing.0
        );
    }
    outcomes
}

/// One damage at the target: everything that reads, cleanup, then the next backup.
fn judge(bench: &Bench, harm: Harm, victim: &Victim, archive: bool, damaged_set_is_full: bool) {
    let when = format!(
        "{:?} {} {harm:?}, archive dir {archive}",
        bench.vault.sealed, victim.name
    );
    let volumes: Vec<&str> = match (victim.kind, harm) {
        (Kind::Volume, Harm::Swapped) => vec![&victim.name, &victim.other],
        (Kind::Volume, _) => vec![&victim.name],
        _ => vec![],
    };
    let exact = [0, 1].map(|i| bench.needing(&volumes, i));
    let differ = bench.vault.storage.bytes(&victim.name).map(|b| b.len())
        != bench.vault.storage.bytes(&victim.other).map(|b| b.len());
    bench.harm(harm, victim);
    if !archive {
        std::fs::remove_dir_all(bench.vault.archive()).expect("archive dir");
    }
    if victim.kind == Kind::Manifest && harm == Harm::Deleted && !damaged_set_is_full {
        // There is no such set any more. Who knew it says so.
        let heard = Heard::default();
        let (result, to) = bench
            .vault
            .restore_with(&bench.vault.engine(), None, &heard);
        bench.states[0]
            .1
            .compare(&to)
            .unwrap_or_else(|text| panic!("{when}: {text}"));
        let told = result.is_ok_and(|s| s.problems > 0) && heard.says("is lost");
        assert_eq!(told, archive, "{when}: {}", heard.all());
    }
    let gone = victim.kind == Kind::Manifest && harm == Harm::Deleted;
    let outcomes = if gone {
        vec![]
    } else {
        Vec::from(read_everything(bench, &when))
    };
    for (i, outcome) in outcomes.iter().enumerate() {
        match (victim.kind, outcome) {
            (Kind::Volume, Outcome::Restored(lost)) => {
                assert_eq!(*lost, exact[i], "{when}, state {i}")
            }
            (Kind::Sigtar, Outcome::Restored(lost)) => {
                assert!(lost.is_empty(), "{when}, state {i}: {lost:?}")
            }
            // The copy here is as good, but for a set that is no longer known to be one.
            (Kind::Manifest, Outcome::Restored(lost)) => {
                assert!(!archive || lost.is_empty(), "{when}, state {i}: {lost:?}");
            }
            // Neither the manifest nor the sigtar can be told to be the right one.
            (Kind::Manifest, Outcome::Refused(ErrorKind::Corrupt)) => {
                assert!(harm == Harm::Swapped && !archive, "{when}, state {i}");
            }
            (_, Outcome::Refused(kind)) => panic!("{when}, state {i}: refused, {kind:?}"),
        }
    }
    // The next backup begins a new chain if the damage can be seen, or was met when everything was read back.
    let heard = Heard::default();
    let options = |mode| dupr::engine::BackupOptions {
        or_full: true,
        ..bench.vault.options(mode)
    };
    let engine = bench.vault.engine();
    let report = bench.vault.with(T0 + 5000, &heard, |cx| {
        engine.backup(
            &dupr::engine::tree::Source::new(bench.vault.source()),
            &options(Mode::Incremental),
            cx,
        )
    });
    let report = report.unwrap_or_else(|e| panic!("{when}: next backup: {e}; {}", heard.all()));
    let gpg = bench.vault.sealed == Sealed::Gpg;
    let seen = match (victim.kind, harm) {
        (Kind::Manifest, Harm::Deleted) => archive || damaged_set_is_full,
        (_, Harm::Deleted | Harm::Emptied) => true,
        (Kind::Manifest, Harm::Halved) => true,
        (Kind::Manifest, Harm::Flipped) => gpg && !(archive && damaged_set_is_full),
        (Kind::Sigtar, Harm::Halved) => archive || bench.vault.sealed != Sealed::Plain,
        (Kind::Sigtar, Harm::Flipped) => !archive && bench.vault.sealed != Sealed::Plain,
        (Kind::Sigtar | Kind::Manifest, Harm::Swapped) => archive && differ,
        // Whoever read it back found it.
        (Kind::Volume, _) => true,
    };
    if seen {
        assert!(
            report.set.is_full(),
            "{when}: built on damage; {}",
            heard.all()
        );
        assert!(
            report.full_because.is_some() && heard.says("making a full backup"),
            "{when}: {}",
            heard.all()
        );
    }
    if report.set.is_full() || victim.kind != Kind::Volume {
        bench.vault.must_restore(
            None,
            &bench.vault.tree(),
            &format!("{when}, after the next backup"),
        );
    }
    if gone {
        return;
    }
    // A cleanup takes nothing that was of use.
    let before = [0, 1].map(|i| restore(bench, i, &when));
    let cleaned = bench.vault.with(T0 + 6000, &heard, |cx| {
        bench.vault.engine().cleanup(true, cx)
    });
    cleaned.unwrap_or_else(|e| panic!("{when}: cleanup: {e}"));
    let after = [0, 1].map(|i| restore(bench, i, &format!("{when}, after a cleanup")));
    assert_eq!(
        format!("{before:?}"),
        format!("{after:?}"),
        "{when}: a cleanup changed what can be restored"
    );
}

/// Without full effort every third case, another one for each `turn`.
fn damage_at_the_target(name: &str, sealed: Sealed, turn: usize) {
    let bench = bench(name, sealed);
    let start = bench.vault.fork();
    let (step, mut case) = (effort::of(1, 3), turn);
    for victim in &bench.victims {
        for harm in HARMS {
            for archive in [true, false] {
                case += 1;
                if case % step != 0 {
                    continue;
                }
                start.rewind();
                judge(
                    &bench,
                    harm,
                    victim,
                    archive,
                    victim.name.starts_with("duplicity-full"),
                );
            }
        }
    }
}

#[test]
fn plain_files_at_the_target() {
    damage_at_the_target("damage-plain", Sealed::Plain, 0);
}

#[test]
fn gzip_files_at_the_target() {
    damage_at_the_target("damage-gzip", Sealed::Gzip, 1);
}

#[test]
fn encrypted_files_at_the_target() {
    damage_at_the_target("damage-gpg", Sealed::Gpg, 2);
}

/// Local copies, and what stands in for a target that lost its own: manifests and sigtars, full and incremental.
fn copies(archive: &Path) -> Vec<PathBuf> {
    let all = std::fs::read_dir(archive).expect("archive dir");
    let mut files: Vec<PathBuf> = all.map(|e| e.expect("an entry").path()).collect();
    files.sort();
    files
}

#[test]
fn local_copies() {
    for sealed in [Sealed::Plain, Sealed::Gpg] {
        let bench = bench("damage-local", sealed);
        let start = bench.vault.fork();
        let files = copies(&bench.vault.archive());
        assert_eq!(
            files.len(),
            6,
            "two manifests, two sigtars, two records: {files:?}"
        );
        for (i, file) in files.iter().enumerate() {
            // Without full effort one harm each: five harms for six files, and other ones when encrypted.
            let first = i + usize::from(sealed == Sealed::Gpg) * 2;
            let harms = HARMS.into_iter().cycle().skip(first);
            for harm in harms.take(effort::of(HARMS.len(), 1)) {
                start.rewind();
                let when = format!("{sealed:?} {} {harm:?}", file.display());
                // Sorted by name, each has its like within two places.
                let other = &files[if i % 2 == 0 { i + 1 } else { i - 1 }];
                let (bytes, theirs) = (
                    std::fs::read(file).expect("it"),
                    std::fs::read(other).expect("other"),
                );
                std::fs::remove_file(file).expect("removed");
                if let Some(bytes) = harmed(harm, &bytes, &theirs) {
                    std::fs::write(file, bytes).expect("written");
                }
                if harm == Harm::Swapped {
                    std::fs::write(other, &bytes).expect("written");
                }
                for outcome in read_everything(&bench, &when) {
                    assert!(
                        matches!(&outcome, Outcome::Restored(lost) if lost.is_empty()),
                        "{when}: {outcome:?}"
                    );
                }
                let report = bench.vault.backup(Mode::Incremental, T0 + 5000);
                assert!(!report.set.is_full(), "{when}");
                bench.vault.must_restore(None, &bench.vault.tree(), &when);
                all_restore(&bench.vault, &bench.states, &when);
            }
        }
    }
}

#[test]
fn archive_dir_of_another_target() {
    let bench = bench("damage-foreign", Sealed::Gzip);
    // The same times and the same names, other contents: nothing but their lengths and hashes tells them apart.
    let other = Vault::new("damage-other", Sealed::Gzip);
    crate::support::vault::write(
        &other.source().join("big"),
        &crate::support::vault::noise(900_000, 99),
        T0 - 1,
    );
    crate::support::vault::write(&other.source().join("a/one"), b"one", T0 - 1);
    other.backup(Mode::Full, T0);
    std::fs::remove_file(other.source().join("a/one")).expect("one");
    other.backup(Mode::Incremental, T0 + 1000);
    crate::support::vault::copy_dir(&other.archive(), &bench.vault.archive());
    for outcome in read_everything(&bench, "foreign archive dir") {
        assert!(
            matches!(&outcome, Outcome::Restored(lost) if lost.is_empty()),
            "{outcome:?}"
        );
    }
    crate::support::vault::copy_dir(&other.archive(), &bench.vault.archive());
    let heard = Heard::default();
    let engine = bench.vault.engine();
    let options = dupr::engine::BackupOptions {
        or_full: true,
        ..bench.vault.options(Mode::Incremental)
    };
    let report = bench.vault.with(T0 + 5000, &heard, |cx| {
        engine.backup(
            &dupr::engine::tree::Source::new(bench.vault.source()),
            &options,
            cx,
        )
    });
    report.unwrap_or_else(|e| panic!("{e}; {}", heard.all()));
    bench.vault.must_restore(
        None,
        &bench.vault.tree(),
        "after a backup with a foreign archive dir",
    );
    all_restore(
        &bench.vault,
        &bench.states,
        "after a backup with a foreign archive dir",
    );
}
