//! Small errands at a target go several at a time: copies fetched after the archive dir was lost, files of a removed set.

use crate::support::tree::Tree;
use crate::support::vault::{Heard, Sealed, T0, Vault, all_restore, edit, plant};
use dupr::engine::collection::{BackupChain, BackupSet};
use dupr::engine::format::SetId;
use dupr::engine::storage::{Location, Object, Storage};
use dupr::engine::{Discard, ErrorKind, Mode, Result};
use dupr::testing::{Fault, FaultyStorage, Operation, RecordingStorage};
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// Calls of one kind wait for each other, until so many are inside at once.
#[derive(Clone)]
struct Meeting<S> {
    inner: S,
    operation: Operation,
    /// Part of the names of whom to wait for.
    whom: &'static str,
    seats: usize,
    room: Arc<(Mutex<Room>, Condvar)>,
}

#[derive(Default)]
struct Room {
    inside: usize,
    most: usize,
    late: bool,
}

impl<S: Storage> Meeting<S> {
    fn of(inner: S, operation: Operation, whom: &'static str, seats: usize) -> Self {
        Self {
            inner,
            operation,
            whom,
            seats,
            room: Arc::default(),
        }
    }

    /// The most that were inside at once.
    fn most(&self) -> usize {
        self.room.0.lock().expect("room").most
    }

    fn met<T>(&self, operation: Operation, name: &str, call: impl FnOnce() -> T) -> T {
        if operation != self.operation || !name.contains(self.whom) {
            return call();
        }
        let (room, changed) = &*self.room;
        let mut inside = room.lock().expect("room");
        inside.inside += 1;
        inside.most = inside.most.max(inside.inside);
        changed.notify_all();
        // Whoever comes when all have met, or nobody came, does not wait.
        let (mut inside, waited) = changed
            .wait_timeout_while(inside, Duration::from_secs(20), |room| {
                room.most < self.seats && !room.late
            })
            .expect("room");
        inside.late |= waited.timed_out();
        drop(inside);
        let result = call();
        room.lock().expect("room").inside -= 1;
        result
    }
}

impl<S: Storage> Storage for Meeting<S> {
    fn location(&self) -> &Location {
        self.inner.location()
    }

    fn list(&self) -> Result<Vec<Object>> {
        self.inner.list()
    }

    fn stat(&self, name: &str) -> Result<Option<Object>> {
        self.met(Operation::Stat, name, || self.inner.stat(name))
    }

    fn get(&self, name: &str, to: &mut dyn Write) -> Result<u64> {
        self.met(Operation::Get, name, || self.inner.get(name, to))
    }

    fn put(&self, name: &str, from: &Path) -> Result<()> {
        self.inner.put(name, from)
    }

    fn delete(&self, name: &str) -> Result<()> {
        self.met(Operation::Delete, name, || self.inner.delete(name))
    }
}

/// A full set with four increments, then another full set; what they must restore to.
fn with_chains(name: &str, sealed: Sealed) -> (Vault, Vec<(i64, Tree)>) {
    let mut vault = Vault::new(name, sealed);
    vault.uploads = 3;
    plant(&vault.source());
    let mut states = Vec::new();
    for n in 0..6 {
        if n > 0 {
            edit(&vault.source(), n);
        }
        let mode = match n {
            0 | 5 => Mode::Full,
            _ => Mode::Incremental,
        };
        vault.backup(mode, T0 + 1000 * n);
        states.push((T0 + 1000 * n, vault.tree()));
    }
    (vault, states)
}

fn lose_archive(vault: &Vault) {
    std::fs::remove_dir_all(vault.archive()).expect("the archive dir");
}

/// What the target has, oldest first.
fn chains(vault: &Vault) -> Vec<BackupChain> {
    vault.with(T0, &Heard::default(), |cx| {
        vault.engine().scan(cx).expect("scan").chains
    })
}

fn ids<'a>(sets: impl IntoIterator<Item = &'a BackupSet>) -> Vec<SetId> {
    sets.into_iter().map(|set| set.id).collect()
}

#[test]
fn copies_that_are_lost_are_fetched_several_at_a_time_and_once() {
    let (vault, states) = with_chains("errands-copies", Sealed::Gpg);
    for whom in ["manifest", "sigtar"] {
        lose_archive(&vault);
        let record = RecordingStorage::new(vault.storage.clone());
        let meeting = Meeting::of(record.clone(), Operation::Get, whom, 3);
        let engine = vault.engine_on(meeting.clone());
        let heard = Heard::default();
        let entries = vault.with(T0 + 9000, &heard, |cx| {
            let collection = engine.scan(cx).expect("scan");
            engine.sync(&collection, cx).expect("sync");
            engine.list(None, &mut Discard, cx).expect("list")
        });
        assert!(entries > 8, "{entries}");
        assert_eq!(meeting.most(), 3, "{whom}");
        let mut names = record.names(Operation::Get);
        let calls = names.len();
        names.sort();
        names.dedup();
        assert_eq!((names.len(), calls), (12, 12), "{names:?}");
        assert_eq!(heard.all(), "[] []");
    }
    all_restore(&vault, &states, "after the copies came back");
}

#[test]
fn a_verification_looks_at_all_manifests_several_at_a_time() {
    let (vault, _) = with_chains("errands-verify", Sealed::Gzip);
    let both = chains(&vault);
    vault.with(T0 + 9000, &Heard::default(), |cx| {
        let newer = ids(both[1].sets());
        vault.engine().remove(&newer, cx).expect("the newer chain");
    });
    let victim = both[0].sets().nth(2).and_then(|set| set.manifest.as_ref());
    let victim = victim.expect("a manifest").name.clone();
    let mut bytes = vault.storage.bytes(&victim).expect("its bytes");
    // As long as it was, so that the copy here serves.
    bytes.fill(b'x');
    vault.storage.insert(victim.clone(), bytes);
    let meeting = Meeting::of(vault.storage.clone(), Operation::Get, "manifest", 3);
    let heard = Heard::default();
    let engine = vault.engine_on(meeting.clone());
    let stats = vault.verify_with(&engine, &heard).expect("verify");
    assert_eq!(meeting.most(), 3);
    assert_eq!(stats.problems, 1, "{}", heard.all());
    assert!(heard.says(&victim), "{}", heard.all());
}

#[test]
fn a_removal_deletes_several_files_at_a_time_each_set_behind_its_manifest() {
    let (vault, states) = with_chains("errands-remove", Sealed::Plain);
    let first = chains(&vault).remove(0);
    let doomed = ids(first.sets());
    let record = RecordingStorage::new(vault.storage.clone());
    let meeting = Meeting::of(record.clone(), Operation::Delete, ".vol", 3);
    let engine = vault.engine_on(meeting.clone());
    let stats = vault.with(T0 + 9000, &Heard::default(), |cx| {
        engine.remove(&doomed, cx).expect("remove")
    });
    assert_eq!(meeting.most(), 3);
    assert_eq!(stats.sets, doomed.iter().rev().copied().collect::<Vec<_>>());
    let deleted = record.names(Operation::Delete);
    let mut rest = deleted.iter();
    for set in first.sets().rev() {
        let manifest = set.manifest.as_ref().expect("a manifest");
        assert_eq!(rest.next(), Some(&manifest.name), "{deleted:?}");
        let mut of_set: Vec<&String> = set.files().map(|file| &file.name).collect();
        of_set.retain(|name| **name != manifest.name);
        let mut then: Vec<&String> = rest.by_ref().take(of_set.len()).collect();
        then.sort();
        of_set.sort();
        assert_eq!(then, of_set);
    }
    assert_eq!((rest.next(), stats.files), (None, deleted.len() as u64));
    all_restore(&vault, &states[5..], "the chain that stays");
}

#[test]
fn a_removal_that_fails_among_others_is_told_and_can_be_ended() {
    let (vault, states) = with_chains("errands-fault", Sealed::Plain);
    let doomed = ids(chains(&vault)[0].sets());
    let start = vault.fork();
    for nth in 1.. {
        start.rewind();
        let faulty = FaultyStorage::new(vault.storage.clone()).fail(
            Operation::Delete,
            nth,
            Fault::Before(ErrorKind::Denied),
        );
        let engine = vault.engine_on(faulty.clone());
        let heard = Heard::default();
        let result = vault.with(T0 + 9000, &heard, |cx| engine.remove(&doomed, cx));
        if !faulty.unfired().is_empty() {
            result.expect("no fault");
            assert!(nth > 10);
            break;
        }
        let error = result.expect_err("a file stays");
        assert_eq!(error.kind(), ErrorKind::Denied);
        assert!(
            error.to_string().contains("cannot delete duplicity-"),
            "{error}"
        );
        vault.with(T0 + 9100, &heard, |cx| {
            let engine = vault.engine();
            let left = engine.scan(cx).expect("scan");
            let still: Vec<_> = left
                .sets()
                .map(|s| s.id)
                .filter(|id| doomed.contains(id))
                .collect();
            engine.remove(&still, cx).expect("again");
            engine.cleanup(true, cx).expect("cleanup");
            assert_eq!(engine.scan(cx).expect("scan").leftover_files(), 0);
        });
        all_restore(&vault, &states[5..], "the chain that stays");
    }
}
