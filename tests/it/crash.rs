//! Nothing is lost by a call of the storage that fails, whichever it is and however it fails: the next run makes it good.
//!
//! Each test fails the n-th call for n = 1, 2, … until a run comes through without meeting its fault. After each fault a
//! new run goes on with the same target and archive dir, and then every set ever completed restores to exactly what its
//! source was.
//! Without full effort every third call is failed.

use crate::support::effort;
use crate::support::tree::Tree;
use crate::support::vault::{
    Heard, Sealed, T0, Vault, all_restore, edit, impatient, noise, plant, set_mtime, settle,
    with_chain, write,
};
use dupr::engine::{ErrorKind, Mode, Timestamp};
use dupr::testing::{Fault, FaultyStorage, MemoryStorage, Operation};
use std::path::Path;

pub const DOWN: ErrorKind = ErrorKind::Unreachable;

/// Ways in which one call can fail.
const FAULTS: [Fault; 5] = [
    Fault::Before(DOWN),
    Fault::After(DOWN),
    Fault::Truncate(1000),
    Fault::Cut {
        bytes: 1000,
        kind: DOWN,
    },
    Fault::Drop,
];

/// A plan of a fault, for the n-th call.
#[derive(Debug, Clone, Copy)]
enum Plan {
    /// That one call.
    Once(Fault),
    /// That call and all later ones.
    ForGood,
}

impl Plan {
    fn all() -> impl Iterator<Item = Plan> {
        FAULTS.into_iter().map(Plan::Once).chain([Plan::ForGood])
    }

    fn on(self, storage: MemoryStorage, n: u64) -> FaultyStorage<MemoryStorage> {
        match self {
            Plan::Once(fault) => FaultyStorage::new(storage).fail_nth(n, fault),
            Plan::ForGood => FaultyStorage::new(storage).fail_from(n, DOWN),
        }
    }
}

/// Fails the n-th call of a run of `mode`, for every n, and lets the next run go on.
pub fn every_fault_in_a_backup(vault: &Vault, mode: Mode, states: &[(i64, Tree)], now: i64) {
    let source = vault.tree();
    let start = vault.fork();
    for (turn, plan) in Plan::all().enumerate() {
        for n in effort::calls(turn) {
            let when = format!("{mode:?}, {plan:?} in call {n}");
            start.rewind();
            let faulty = plan.on(vault.storage.clone(), n);
            let heard = Heard::default();
            let result = vault.backup_with(
                &vault.engine_on(impatient(faulty.clone())),
                mode,
                now,
                &heard,
            );
            if !faulty.unfired().is_empty() {
                let report = result.unwrap_or_else(|e| panic!("{when}: no fault, and yet: {e}"));
                assert!(report.stats.volumes > 2, "the set has several volumes");
                break;
            }
            if result.is_ok() {
                vault.must_restore(None, &source, &format!("{when}, which it survived"));
            }
            vault.backup(mode, now + 60);
            vault.must_restore(None, &source, &when);
            all_restore(vault, states, &when);
        }
    }
}

#[test]
fn a_full_backup_survives_every_fault() {
    let vault = Vault::new("crash-full", Sealed::Gzip);
    plant(&vault.source());
    every_fault_in_a_backup(&vault, Mode::Full, &[], T0);
}

#[test]
fn an_incremental_backup_survives_every_fault() {
    let (vault, states) = with_chain("crash-inc", Sealed::Gzip);
    edit(&vault.source(), 2);
    every_fault_in_a_backup(&vault, Mode::Incremental, &states, T0 + 2000);
}

#[test]
fn an_encrypted_backup_survives_every_fault() {
    let (vault, states) = with_chain("crash-gpg", Sealed::Gpg);
    edit(&vault.source(), 2);
    every_fault_in_a_backup(&vault, Mode::Incremental, &states, T0 + 2000);
}

#[test]
fn uploads_side_by_side_survive_every_fault() {
    let (mut vault, states) = with_chain("crash-par", Sealed::Plain);
    vault.uploads = 3;
    edit(&vault.source(), 2);
    every_fault_in_a_backup(&vault, Mode::Incremental, &states, T0 + 2000);
}

/// Its name, and what it does to the source.
type Change = (&'static str, fn(&Path));

/// What happens to the source between the crash and the next run.
const CHANGES: [Change; 7] = [
    ("nothing", |_| {}),
    ("the last file is deleted", |root| {
        std::fs::remove_dir_all(root.join("z")).expect("z");
        set_mtime(root, T0 + 5000);
    }),
    ("the last file grows", |root| {
        write(&root.join("z/last"), &noise(90_000, 70), T0 + 5000)
    }),
    ("a file comes before", |root| {
        write(&root.join("a/a"), &noise(50_000, 71), T0 + 5000);
        settle(root, T0 + 5000);
    }),
    ("the cut file changes", |root| {
        write(&root.join("big"), &noise(710_000, 72), T0 + 5000)
    }),
    ("the cut file is deleted", |root| {
        std::fs::remove_file(root.join("big")).expect("big");
        settle(root, T0 + 5000);
    }),
    ("a file becomes a folder", |root| {
        for name in ["a/one", "big", "empty", "m/middle", "link"] {
            std::fs::remove_file(root.join(name)).expect("a file");
            write(
                &root.join(name).join("below"),
                &noise(20_000, 73),
                T0 + 5000,
            );
            set_mtime(&root.join(name), T0 + 5000);
        }
        settle(root, T0 + 5000);
    }),
];

/// Every entry is as it was in one of the two trees, and what both have is there.
fn is_between(old: &Tree, new: &Tree, found: &Tree, when: &str) {
    for (path, node) in &found.0 {
        let known = [old, new].iter().any(|t| t.0.get(path) == Some(node));
        assert!(
            known,
            "{when}: {} is in neither state: {node}",
            path.escape_ascii()
        );
    }
    for path in old.0.keys().filter(|p| new.0.contains_key(*p)) {
        assert!(
            found.0.contains_key(path),
            "{when}: {} is missing",
            path.escape_ascii()
        );
    }
}

/// The target dies at call n, the source changes, the next run goes on, and one more makes all good. `then` is done to what
/// the crash left.
pub fn every_crash_and_change(
    vault: &Vault,
    mode: Mode,
    states: &[(i64, Tree)],
    now: i64,
    then: fn(&Vault),
) {
    let old = vault.tree();
    let kept = vault.scratch.join("source-kept");
    assert!(
        std::process::Command::new("cp")
            .arg("-a")
            .arg(vault.source())
            .arg(&kept)
            .status()
            .expect("cp")
            .success()
    );
    let start = vault.fork();
    let mut resumed = 0;
    for (turn, (change, apply)) in CHANGES.into_iter().enumerate() {
        for n in effort::calls(turn) {
            let when = format!("{mode:?}, dead from call {n}, then {change}");
            start.rewind();
            std::fs::remove_dir_all(vault.source()).expect("source");
            let copied = std::process::Command::new("cp")
                .arg("-a")
                .arg(&kept)
                .arg(vault.source())
                .status();
            assert!(copied.expect("cp").success());
            let faulty = FaultyStorage::new(vault.storage.clone()).fail_from(n, DOWN);
            let result = vault.backup_with(
                &vault.engine_on(impatient(faulty.clone())),
                mode,
                now,
                &Heard::default(),
            );
            if !faulty.unfired().is_empty() {
                result.unwrap_or_else(|e| panic!("{when}: no fault, and yet: {e}"));
                break;
            }
            then(vault);
            apply(&vault.source());
            let new = vault.tree();
            let report = vault.backup(mode, now + 60);
            resumed += u64::from(report.stats.resumed_volumes > 0);
            let heard = Heard::default();
            let (restored, to) = vault.restore_with(&vault.engine(), None, &heard);
            let restored = restored.unwrap_or_else(|e| panic!("{when}: {e}"));
            assert_eq!(restored.problems, 0, "{when}: {}", heard.all());
            is_between(&old, &new, &Tree::read(&to), &when);
            vault.backup(Mode::Incremental, now + 120);
            vault.must_restore(None, &new, &when);
            all_restore(vault, states, &when);
        }
    }
    assert!(
        resumed > effort::of(10, 3),
        "runs were resumed, not begun anew: {resumed}"
    );
}

#[test]
fn a_full_backup_resumes_after_every_crash_and_change() {
    let vault = Vault::new("resume-full", Sealed::Gzip);
    plant(&vault.source());
    every_crash_and_change(&vault, Mode::Full, &[], T0, |_| {});
}

#[test]
fn an_incremental_backup_resumes_after_every_crash_and_change() {
    let (vault, states) = with_chain("resume-inc", Sealed::Plain);
    edit(&vault.source(), 2);
    every_crash_and_change(&vault, Mode::Incremental, &states, T0 + 2000, |_| {});
}

#[test]
fn a_resumed_backup_survives_every_fault() {
    for mode in [Mode::Full, Mode::Incremental] {
        let (vault, states) = with_chain("crash-resumed", Sealed::Gzip);
        edit(&vault.source(), 2);
        // Two volumes are there, then the line is cut.
        let faulty =
            FaultyStorage::new(vault.storage.clone()).fail(Operation::Put, 3, Fault::Before(DOWN));
        let cut = vault.backup_with(&vault.engine_on(faulty), mode, T0 + 2000, &Heard::default());
        assert_eq!(cut.expect_err("the cut").kind(), DOWN);
        assert_eq!(
            vault
                .engine()
                .partial()
                .expect("journal")
                .map(|p| p.next_volume),
            Some(3)
        );
        let fork = vault.fork();
        let report = vault.backup(mode, T0 + 2030);
        assert_eq!(
            (report.set.time(), report.stats.resumed_volumes),
            (Timestamp(T0 + 2000), 2)
        );
        drop(fork);
        every_fault_in_a_backup(&vault, mode, &states, T0 + 2030);
    }
}

/// A bench with two chains and an interrupted run, for what deletes.
fn with_two_chains() -> (Vault, Vec<(i64, Tree)>) {
    let (vault, mut states) = with_chain("crash-remove", Sealed::Gzip);
    edit(&vault.source(), 2);
    states.push((T0 + 2000, vault.tree()));
    vault.backup(Mode::Full, T0 + 2000);
    edit(&vault.source(), 3);
    states.push((T0 + 3000, vault.tree()));
    vault.backup(Mode::Incremental, T0 + 3000);
    (vault, states)
}

#[test]
fn a_removal_survives_every_fault() {
    let (vault, states) = with_two_chains();
    let doomed: Vec<_> = vault.with(T0, &Heard::default(), |cx| {
        let collection = vault.engine().scan(cx).expect("scan");
        collection.chains[0].sets().map(|s| s.id).collect()
    });
    let start = vault.fork();
    for (turn, plan) in Plan::all().enumerate() {
        for n in effort::calls(turn) {
            let when = format!("remove, {plan:?} in call {n}");
            start.rewind();
            let heard = Heard::default();
            let faulty = plan.on(vault.storage.clone(), n);
            let engine = vault.engine_on(impatient(faulty.clone()));
            let result = vault.with(T0 + 3500, &heard, |cx| engine.remove(&doomed, cx));
            let through = !faulty.unfired().is_empty();
            if through {
                result.unwrap_or_else(|e| panic!("{when}: no fault, and yet: {e}"));
            }
            // The chain that stays is whole; of the other one, what still shows as a set restores.
            all_restore(&vault, &states[2..], &when);
            let left = vault.with(T0, &heard, |cx| vault.engine().scan(cx).expect("scan"));
            for set in left
                .chains
                .iter()
                .take(left.chains.len() - 1)
                .flat_map(|c| c.sets())
            {
                let state = states
                    .iter()
                    .find(|(t, _)| *t == set.id.time().as_secs())
                    .expect("a known set");
                vault.must_restore(Some(state.0), &state.1, &when);
            }
            if through {
                assert_eq!(left.chains.len(), 1);
                break;
            }
            vault.with(T0 + 3600, &heard, |cx| {
                let engine = vault.engine();
                let still: Vec<_> = doomed
                    .iter()
                    .copied()
                    .filter(|d| left.sets().any(|s| s.id == *d))
                    .collect();
                engine
                    .remove(&still, cx)
                    .unwrap_or_else(|e| panic!("{when}: again: {e}"));
                engine
                    .cleanup(true, cx)
                    .unwrap_or_else(|e| panic!("{when}: cleanup: {e}"));
                let end = engine.scan(cx).expect("scan");
                assert_eq!(end.chains.len(), 1, "{when}");
                assert_eq!(end.leftover_files(), 0, "{when}: a cleanup leaves nothing");
            });
            all_restore(&vault, &states[2..], &when);
        }
    }
}

#[test]
fn a_cleanup_survives_every_fault() {
    let (vault, states) = with_two_chains();
    // What a run on another machine left: this archive dir knows nothing of it.
    for name in vault
        .storage
        .names()
        .iter()
        .filter(|n| n.contains(".vol1."))
    {
        let bytes = vault.storage.bytes(name).expect("a volume");
        let stray = name.replace("20270115", "20260115");
        assert_ne!(*name, stray);
        vault.storage.insert(stray, bytes);
    }
    let objects = vault.storage.names().len();
    let start = vault.fork();
    for (turn, plan) in Plan::all().enumerate() {
        for n in effort::calls(turn) {
            let when = format!("cleanup, {plan:?} in call {n}");
            start.rewind();
            let heard = Heard::default();
            let faulty = plan.on(vault.storage.clone(), n);
            let engine = vault.engine_on(impatient(faulty.clone()));
            let result = vault.with(T0 + 3500, &heard, |cx| engine.cleanup(true, cx));
            all_restore(&vault, &states, &when);
            if !faulty.unfired().is_empty() {
                result.unwrap_or_else(|e| panic!("{when}: no fault, and yet: {e}"));
                break;
            }
            let stats = vault.with(T0 + 3600, &heard, |cx| vault.engine().cleanup(true, cx));
            stats.unwrap_or_else(|e| panic!("{when}: again: {e}"));
            assert_eq!(
                vault.storage.names().len(),
                objects - 4,
                "{when}: {:?}",
                vault.storage.names()
            );
            all_restore(&vault, &states, &when);
        }
    }
    // A listing that ends early makes good sets look like leftovers.
    for listed in 0..objects {
        let when = format!("cleanup after a listing of {listed} objects");
        start.rewind();
        let fault = Fault::Truncate(listed);
        let faulty = FaultyStorage::new(vault.storage.clone()).fail(Operation::List, 1, fault);
        let _ = vault.with(T0 + 3500, &Heard::default(), |cx| {
            vault.engine_on(faulty).cleanup(true, cx)
        });
        all_restore(&vault, &states, &when);
    }
}

#[test]
fn a_backup_after_a_short_listing_loses_nothing() {
    let (vault, mut states) = with_chain("crash-list", Sealed::Plain);
    edit(&vault.source(), 2);
    states.push((T0 + 2000, vault.tree()));
    vault.backup(Mode::Incremental, T0 + 2000);
    edit(&vault.source(), 3);
    let now = vault.tree();
    let start = vault.fork();
    for listed in 0..=vault.storage.names().len() {
        for mode in [Mode::Incremental, Mode::Full] {
            let when = format!("{mode:?} after a listing of {listed} objects");
            start.rewind();
            let fault = Fault::Truncate(listed);
            let faulty = FaultyStorage::new(vault.storage.clone()).fail(Operation::List, 1, fault);
            let heard = Heard::default();
            let done = vault.backup_with(&vault.engine_on(faulty.clone()), mode, T0 + 3000, &heard);
            faulty.unfired();
            if done.is_ok() {
                vault.must_restore(None, &now, &when);
            }
            vault.backup(mode, T0 + 3060);
            vault.must_restore(None, &now, &when);
            all_restore(&vault, &states, &when);
        }
    }
}

/// Between a crash and the next run, volumes and the state of the interrupted run are lost in whole or in part.
#[test]
fn a_resume_trusts_nothing_it_does_not_see() {
    let (vault, states) = with_chain("resume-harmed", Sealed::Gzip);
    edit(&vault.source(), 2);
    let before: Vec<String> = vault.storage.names();
    let faulty =
        FaultyStorage::new(vault.storage.clone()).fail(Operation::Put, 4, Fault::Before(DOWN));
    let cut = vault.backup_with(
        &vault.engine_on(faulty),
        Mode::Full,
        T0 + 2000,
        &Heard::default(),
    );
    assert_eq!(cut.expect_err("the cut").kind(), DOWN);
    let start = vault.fork();
    let check = |when: &str| {
        vault.backup(Mode::Full, T0 + 2060);
        vault.must_restore(None, &vault.tree(), when);
        all_restore(&vault, &states, when);
        vault.backup(Mode::Incremental, T0 + 2120);
        vault.must_restore(None, &vault.tree(), when);
    };
    let stored: Vec<String> = vault
        .storage
        .names()
        .into_iter()
        .filter(|n| !before.contains(n))
        .collect();
    assert_eq!(stored.len(), 3, "{stored:?}");
    for name in &stored {
        start.rewind();
        vault.storage.remove(name);
        check(&format!("{name} is gone"));
        start.rewind();
        vault
            .storage
            .edit(name, |bytes| bytes.truncate(bytes.len() - 1));
        check(&format!("{name} is cut short"));
    }
    start.rewind();
    let files = std::fs::read_dir(vault.archive()).expect("archive dir");
    let files: Vec<_> = files.map(|e| e.expect("an entry").path()).collect();
    let parts = files.iter().filter(|p| {
        let name = p.file_name().unwrap_or_default().to_string_lossy();
        name.ends_with(".part") || name.contains("journal")
    });
    let parts: Vec<_> = parts.collect();
    assert_eq!(parts.len(), 5, "{files:?}");
    for part in parts {
        start.rewind();
        let length = std::fs::metadata(part).expect("a part file").len();
        for left in [0, length / 3, length - 1] {
            start.rewind();
            let file = std::fs::OpenOptions::new()
                .write(true)
                .open(part)
                .expect("a part file");
            file.set_len(left).expect("cut");
            check(&format!("{} is cut to {left} bytes", part.display()));
        }
        start.rewind();
        std::fs::remove_file(part).expect("a part file");
        check(&format!("{} is gone", part.display()));
    }
}
