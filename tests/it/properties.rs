//! Random histories: edits, backups, interruptions, removals, lost archive dirs, and restores held against kept copies.
//!
//! A seed makes a history; a failure prints seed and step. `DUPR_SEEDS` and `DUPR_STEPS` set how many and how long.

use crate::support::tree::Tree;
use crate::support::vault::{Fork, Heard, Sealed, T0, Vault, impatient};
use crate::support::weirdtree::WeirdTree;
use dupr::engine::format::SetId;
use dupr::engine::monitor::{Counter, Monitor};
use dupr::engine::tree::Source;
use dupr::engine::{BackupOptions, Cancel, Context, ErrorKind, Mode, Timestamp};
use dupr::testing::{Fault, FaultyStorage};
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

/// Cancels after so many volumes.
struct StopAfter<'a> {
    left: AtomicU64,
    cancel: &'a Cancel,
    heard: &'a Heard,
}

impl Monitor for StopAfter<'_> {
    fn count(&self, counter: Counter, n: u64) {
        if counter == Counter::Volumes && self.left.fetch_sub(n, Ordering::SeqCst) == n {
            self.cancel.request();
        }
    }
    fn problem(&self, problem: dupr::engine::monitor::Problem) {
        self.heard.problem(problem);
    }
}

/// A history in the making.
struct History {
    vault: Vault,
    tree: WeirdTree,
    dice: SmallRng,
    now: i64,
    /// What each complete set holds; `None` for one that was resumed after an edit, which no copy equals.
    kept: BTreeMap<i64, Option<Tree>>,
    /// The source when the interrupted set was begun, if there is one.
    interrupted: Option<Tree>,
    log: Vec<String>,
}

impl History {
    fn new(seed: u64) -> Self {
        let sealed = [Sealed::Plain, Sealed::Gzip, Sealed::Gpg][seed as usize % 3];
        let mut vault = Vault::new("properties", sealed);
        vault.volume_bytes = 192 * 1024;
        std::fs::remove_dir(vault.source()).expect("an empty folder");
        let tree = WeirdTree::create(&vault.source(), seed, 40, 400_000);
        let dice = SmallRng::seed_from_u64(seed ^ 0x5eed);
        Self {
            vault,
            tree,
            dice,
            now: T0,
            kept: BTreeMap::new(),
            interrupted: None,
            log: Vec::new(),
        }
    }

    fn step(&mut self) {
        self.now += self.dice.random_range(1..5000);
        match self.dice.random_range(0..100) {
            0..25 => {
                let count = self.dice.random_range(1..8);
                self.tree.edit(count);
                self.log(format!("edit {count}"));
            }
            25..50 => self.backup(Mode::Incremental),
            50..56 => self.backup(Mode::Full),
            56..66 => self.interrupt(),
            66..72 => self.fault(),
            72..78 => self.remove(),
            78..82 => self.cleanup(),
            82..86 => self.lose_archive(),
            _ => self.restore_one(),
        }
    }

    fn log(&mut self, text: String) {
        self.log.push(format!("{} {text}", self.now));
    }

    fn options(&self, mode: Mode) -> BackupOptions {
        BackupOptions {
            or_full: true,
            ..self.vault.options(mode)
        }
    }

    fn backup(&mut self, mode: Mode) {
        let heard = Heard::default();
        let options = self.options(mode);
        let (engine, source) = (self.vault.engine(), Source::new(self.vault.source()));
        let report = self
            .vault
            .with(self.now, &heard, |cx| engine.backup(&source, &options, cx));
        let report = report.unwrap_or_else(|e| panic!("{mode:?}: {e}; {}", heard.all()));
        self.log(format!(
            "{mode:?} made {} resumed {}",
            report.set, report.stats.resumed_volumes
        ));
        assert_eq!(report.stats.problems, 0, "{}", heard.all());
        let now = Tree::read(&self.vault.source());
        let same = self.interrupted.take().is_none_or(|then| then == now);
        let is_exact = report.stats.resumed_volumes == 0 || same;
        self.kept
            .insert(report.set.time().as_secs(), is_exact.then_some(now));
    }

    /// A run that is stopped after some volumes, if it lasts that long.
    fn interrupt(&mut self) {
        let mode = if self.dice.random_bool(0.3) {
            Mode::Full
        } else {
            Mode::Incremental
        };
        let volumes = self.dice.random_range(1..4);
        let (heard, cancel) = (Heard::default(), Cancel::new());
        let stop = StopAfter {
            left: AtomicU64::new(volumes),
            cancel: &cancel,
            heard: &heard,
        };
        let options = self.options(mode);
        let engine = self.vault.engine();
        let cx = Context {
            monitor: &stop,
            cancel: &cancel,
            now: Timestamp(self.now),
            threads: 2,
        };
        let before = Tree::read(&self.vault.source());
        let result = engine.backup(&Source::new(self.vault.source()), &options, &cx);
        self.after_trouble(
            before,
            result.map(|r| (r.set, r.stats.resumed_volumes)),
            &format!("{mode:?} stopped after {volumes}"),
        );
    }

    /// A run of which one call fails.
    fn fault(&mut self) {
        let mode = if self.dice.random_bool(0.3) {
            Mode::Full
        } else {
            Mode::Incremental
        };
        let kind = ErrorKind::Unreachable;
        let faults = [
            Fault::Before(kind),
            Fault::After(kind),
            Fault::Truncate(700),
            Fault::Cut { bytes: 700, kind },
            Fault::Drop,
        ];
        let fault = *faults.choose(&mut self.dice).expect("one");
        // Not the first call: what an empty listing means is told elsewhere.
        let nth = self.dice.random_range(2..14);
        let faulty = FaultyStorage::new(self.vault.storage.clone()).fail_nth(nth, fault);
        let engine = self.vault.engine_on(impatient(faulty.clone()));
        let options = self.options(mode);
        let before = Tree::read(&self.vault.source());
        let source = Source::new(self.vault.source());
        let heard = Heard::default();
        let result = self
            .vault
            .with(self.now, &heard, |cx| engine.backup(&source, &options, cx));
        faulty.unfired();
        let what = format!("{mode:?} with {fault:?} in call {nth}");
        self.after_trouble(
            before,
            result.map(|r| (r.set, r.stats.resumed_volumes)),
            &what,
        );
    }

    fn after_trouble(
        &mut self,
        before: Tree,
        result: dupr::engine::Result<(SetId, u64)>,
        what: &str,
    ) {
        match result {
            Ok((set, resumed)) => {
                self.log(format!("{what}: made {set} resumed {resumed}"));
                let same = self.interrupted.take().is_none_or(|then| then == before);
                let is_exact = resumed == 0 || same;
                self.kept
                    .insert(set.time().as_secs(), is_exact.then_some(before));
            }
            Err(e) => {
                self.log(format!("{what}: {e}"));
                // Once edited between two interruptions, no copy equals it.
                let mixed = self.interrupted.take().is_some_and(|then| then != before);
                self.interrupted = Some(if mixed { Tree::default() } else { before });
                self.find_unexpected();
            }
        }
    }

    /// A run that reported a failure may have come to its end all the same.
    fn find_unexpected(&mut self) {
        for set in self.sets() {
            let time = set.time().as_secs();
            if let std::collections::btree_map::Entry::Vacant(unknown) = self.kept.entry(time) {
                unknown.insert(None);
                self.log(format!("complete all the same: {set}"));
            }
        }
    }

    fn sets(&self) -> Vec<SetId> {
        let collection = self.vault.with(self.now, &Heard::default(), |cx| {
            self.vault.engine().scan(cx)
        });
        collection.expect("scan").sets().map(|s| s.id).collect()
    }

    /// Old chains go, or the increments of one.
    fn remove(&mut self) {
        let collection = self
            .vault
            .with(self.now, &Heard::default(), |cx| {
                self.vault.engine().scan(cx)
            })
            .expect("scan");
        let Some((_, old)) = collection.chains.split_last() else {
            return;
        };
        let Some(chain) = old.first() else { return };
        let whole = self.dice.random_bool(0.7);
        let doomed: Vec<SetId> = chain
            .sets()
            .chain(&chain.replaced)
            .map(|s| s.id)
            .filter(|id| whole || !id.is_full())
            .collect();
        let heard = Heard::default();
        let removed = self.vault.with(self.now, &heard, |cx| {
            self.vault.engine().remove(&doomed, cx)
        });
        removed.unwrap_or_else(|e| panic!("remove {doomed:?}: {e}"));
        for set in &doomed {
            self.kept.remove(&set.time().as_secs());
        }
        self.log(format!("remove {} sets", doomed.len()));
    }

    fn cleanup(&mut self) {
        let heard = Heard::default();
        let cleaned = self
            .vault
            .with(self.now, &heard, |cx| self.vault.engine().cleanup(true, cx));
        let stats = cleaned.unwrap_or_else(|e| panic!("cleanup: {e}"));
        self.log(format!(
            "cleanup of {:?}, kept {:?}",
            stats.found, stats.resumable
        ));
    }

    fn lose_archive(&mut self) {
        let _ = std::fs::remove_dir_all(self.vault.archive());
        self.interrupted = None;
        self.log("the archive dir is lost".into());
    }

    fn restore_one(&mut self) {
        let times: Vec<i64> = self.kept.keys().copied().collect();
        let Some(time) = times.choose(&mut self.dice).copied() else {
            return;
        };
        self.log(format!("restore {time}"));
        self.restore(time);
    }

    fn restore(&self, time: i64) {
        match &self.kept[&time] {
            Some(tree) => self.vault.must_restore(Some(time), tree, "restore"),
            None => {
                let heard = Heard::default();
                let (result, _) = self
                    .vault
                    .restore_with(&self.vault.engine(), Some(time), &heard);
                let stats =
                    result.unwrap_or_else(|e| panic!("restore of {time}: {e}; {}", heard.all()));
                assert_eq!(stats.problems, 0, "restore of {time}: {}", heard.all());
            }
        }
    }

    /// Everything that is still there restores.
    fn restore_all(&self) {
        let sets = self.sets();
        for time in self.kept.keys() {
            assert!(
                sets.iter().any(|s| s.time().as_secs() == *time),
                "the set of {time} is gone"
            );
            self.restore(*time);
        }
    }
}

#[test]
fn random_histories() {
    let number = |name: &str, usual| {
        std::env::var(name)
            .ok()
            .and_then(|n| n.parse().ok())
            .unwrap_or(usual)
    };
    let (seeds, steps, first) = (
        number("DUPR_SEEDS", 4),
        number("DUPR_STEPS", 150),
        number("DUPR_SEED", 1),
    );
    for seed in first..first + seeds {
        let mut history = History::new(seed);
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for _ in 0..steps {
                history.step();
            }
            for _ in 0..2 {
                history.now += 10;
                history.backup(Mode::Incremental);
            }
            history.restore_all();
        }));
        if let Err(panic) = done {
            eprintln!(
                "seed {seed}: DUPR_SEED={seed} DUPR_SEEDS=1\n  {}",
                history.log.join("\n  ")
            );
            std::panic::resume_unwind(panic);
        }
    }
}

#[test]
fn a_fork_is_put_back() {
    let vault = Vault::new("fork", Sealed::Plain);
    vault.storage.insert("a", "1");
    let fork: Fork = vault.fork();
    vault.storage.insert("b", "2");
    drop(fork);
    assert_eq!(vault.storage.names(), ["a"]);
}
