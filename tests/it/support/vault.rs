//! A source, a target in memory and an archive dir, driven through the engine: the bench of every test that does harm.

use super::scratch::Scratch;
use super::tree::Tree;
use dupr::engine::archive::ArchiveDir;
use dupr::engine::format::names::Naming;
use dupr::engine::monitor::{Level, Monitor, Problem, ProblemKind};
use dupr::engine::ops::backup::BackupReport;
use dupr::engine::seal::{self, Compression, Encryption, SealOptions};
use dupr::engine::stats::RestoreStats;
use dupr::engine::storage::{Storage, StorageOptions, guarded};
use dupr::engine::target::Target;
use dupr::engine::tree::Source;
use dupr::engine::{
    BackupOptions, Cancel, Context, Discard, Engine, Mode, RestoreOptions, Result, Secret,
    Timestamp, VerifyOptions,
};
use dupr::testing::MemoryStorage;
use rand::rngs::SmallRng;
use rand::{RngCore, SeedableRng};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Time of the first set in most tests.
pub const T0: i64 = 1_800_000_000;

/// How sets are sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sealed {
    Plain,
    Gzip,
    Gpg,
}

/// Remembers what an operation had to say.
#[derive(Default)]
pub struct Heard {
    pub problems: Mutex<Vec<Problem>>,
    pub notes: Mutex<Vec<(Level, String)>>,
}

impl Heard {
    /// Paths of the problems of one kind, sorted.
    pub fn paths(&self, kind: ProblemKind) -> Vec<String> {
        let problems = self.problems.lock().expect("problems");
        let of_kind = problems.iter().filter(|p| p.kind == kind);
        let mut paths: Vec<String> = of_kind.map(|p| p.path.clone()).collect();
        paths.sort();
        paths
    }

    /// Whether a note says `text`.
    pub fn says(&self, text: &str) -> bool {
        self.notes
            .lock()
            .expect("notes")
            .iter()
            .any(|(_, n)| n.contains(text))
    }

    /// Everything, for messages of failed tests.
    pub fn all(&self) -> String {
        format!(
            "{:?} {:?}",
            self.notes.lock().expect("notes"),
            self.problems.lock().expect("problems")
        )
    }
}

impl Monitor for Heard {
    fn problem(&self, problem: Problem) {
        self.problems.lock().expect("problems").push(problem);
    }
    fn note(&self, level: Level, text: &str) {
        self.notes
            .lock()
            .expect("notes")
            .push((level, text.to_string()));
    }
}

/// The bench.
pub struct Vault {
    pub scratch: Scratch,
    pub storage: MemoryStorage,
    pub sealed: Sealed,
    pub volume_bytes: u64,
    pub threads: usize,
    pub uploads: usize,
    /// Raised by a test that interrupts a run; renewed by each [`Vault::backup`].
    pub cancel: Cancel,
}

impl Vault {
    /// An empty source, target and archive dir.
    pub fn new(name: &str, sealed: Sealed) -> Self {
        let scratch = Scratch::new(name);
        std::fs::create_dir(scratch.join("source")).expect("source");
        Self {
            scratch,
            storage: MemoryStorage::new(),
            sealed,
            volume_bytes: 256 * 1024,
            threads: 2,
            uploads: 1,
            cancel: Cancel::new(),
        }
    }

    pub fn source(&self) -> PathBuf {
        self.scratch.join("source")
    }

    pub fn archive(&self) -> PathBuf {
        self.scratch.join("archive")
    }

    /// The source as it is now.
    pub fn tree(&self) -> Tree {
        Tree::read(&self.source())
    }

    /// An engine as a new run opens it, on any storage.
    pub fn engine_on(&self, storage: impl Storage + 'static) -> Engine {
        let naming = Naming::default();
        let target = Target {
            storage: Arc::new(storage),
            naming: naming.clone(),
            seal: seal_of(self.sealed, self.threads),
        };
        let archive = ArchiveDir::at(self.archive(), naming).expect("archive dir");
        Engine::open(target, archive).with_uploads(self.uploads)
    }

    /// An engine as a new run opens it.
    pub fn engine(&self) -> Engine {
        self.engine_on(self.storage.clone())
    }

    pub fn options(&self, mode: Mode) -> BackupOptions {
        BackupOptions {
            mode,
            hostname: b"here".to_vec(),
            label: b"/source".to_vec(),
            volume_bytes: self.volume_bytes,
            ..BackupOptions::default()
        }
    }

    /// One run with lock and all.
    pub fn backup_with(
        &self,
        engine: &Engine,
        mode: Mode,
        now: i64,
        heard: &Heard,
    ) -> Result<BackupReport> {
        let cx = Context {
            monitor: heard,
            cancel: &self.cancel,
            now: Timestamp(now),
            threads: self.threads,
        };
        let _lock = engine.lock("a test", Duration::ZERO, &cx)?;
        engine.backup(&Source::new(self.source()), &self.options(mode), &cx)
    }

    /// One run that must succeed.
    pub fn backup(&self, mode: Mode, now: i64) -> BackupReport {
        let heard = Heard::default();
        self.backup_with(&self.engine(), mode, now, &heard)
            .unwrap_or_else(|e| panic!("backup at {now}: {e}\n{}", heard.all()))
    }

    /// Runs anything with a context.
    pub fn with<T>(&self, now: i64, heard: &Heard, run: impl FnOnce(&Context) -> T) -> T {
        let cancel = Cancel::new();
        run(&Context {
            monitor: heard,
            cancel: &cancel,
            now: Timestamp(now),
            threads: self.threads,
        })
    }

    /// Restores into a new folder.
    pub fn restore_with(
        &self,
        engine: &Engine,
        time: Option<i64>,
        heard: &Heard,
    ) -> (Result<RestoreStats>, PathBuf) {
        let to = self.scratch.join("restored");
        let _ = std::fs::remove_dir_all(&to);
        let options = RestoreOptions {
            time: time.map(Timestamp),
            ..RestoreOptions::default()
        };
        (
            self.with(T0, heard, |cx| engine.restore(&to, &options, cx)),
            to,
        )
    }

    /// Restores the state at `time`, without any problem, and compares it.
    pub fn must_restore(&self, time: Option<i64>, expected: &Tree, when: &str) {
        let heard = Heard::default();
        let (result, to) = self.restore_with(&self.engine(), time, &heard);
        let stats =
            result.unwrap_or_else(|e| panic!("{when}: restore of {time:?}: {e}\n{}", heard.all()));
        assert_eq!(
            stats.problems,
            0,
            "{when}: restore of {time:?}: {}",
            heard.all()
        );
        if let Err(text) = expected.compare(&to) {
            panic!("{when}: restore of {time:?}: {text}\n{}", heard.all());
        }
    }

    /// Verifies by reading everything back, without comparing.
    pub fn verify_with(&self, engine: &Engine, heard: &Heard) -> Result<RestoreStats> {
        let local = Source::new(self.source());
        self.with(T0, heard, |cx| {
            engine.verify(&local, &VerifyOptions::default(), &mut Discard, cx)
        })
    }

    /// A second bench with copies of target and archive dir, and the same source.
    pub fn fork(&self) -> Fork<'_> {
        Fork::of(self)
    }
}

/// Copies of target and archive dir of a bench, put back when dropped, so that a loop starts each turn alike.
pub struct Fork<'v> {
    vault: &'v Vault,
    kept: PathBuf,
    objects: Vec<(String, Vec<u8>)>,
}

impl<'v> Fork<'v> {
    fn of(vault: &'v Vault) -> Self {
        let kept = vault.scratch.join("archive-kept");
        copy_dir(&vault.archive(), &kept);
        let objects = vault.storage.names().into_iter().map(|n| {
            let bytes = vault.storage.bytes(&n).expect("an object");
            (n, bytes)
        });
        Self {
            vault,
            kept,
            objects: objects.collect(),
        }
    }

    /// The archive dir as it was when the fork was made.
    pub fn rewind_archive(&self) {
        copy_dir(&self.kept, &self.vault.archive());
    }

    /// Everything as it was when the fork was made.
    pub fn rewind(&self) {
        for name in self.vault.storage.names() {
            self.vault.storage.remove(&name);
        }
        for (name, bytes) in &self.objects {
            self.vault.storage.insert(name.clone(), bytes.clone());
        }
        self.rewind_archive();
    }
}

impl Drop for Fork<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.rewind();
            let _ = std::fs::remove_dir_all(&self.kept);
        }
    }
}

/// Makes `to` a copy of the flat directory `from`; an absent one stays absent.
pub fn copy_dir(from: &Path, to: &Path) {
    let _ = std::fs::remove_dir_all(to);
    if !from.exists() {
        return;
    }
    std::fs::create_dir_all(to).expect("a copy");
    std::fs::set_permissions(to, std::fs::Permissions::from_mode(0o700)).expect("private");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        if entry.path().is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name())).expect("a file");
        }
    }
}

/// The seal of a bench, as a new run opens it.
pub fn seal_of(sealed: Sealed, threads: usize) -> Arc<dyn seal::Seal> {
    let encryption = match sealed {
        Sealed::Gpg => Encryption::Symmetric {
            passphrase: Secret::new("a passphrase"),
            sign: None,
        },
        _ => Encryption::None,
    };
    let compression = if sealed == Sealed::Plain {
        Compression::None
    } else {
        Compression::Fast
    };
    let options = SealOptions {
        encryption,
        compression,
        threads,
        block_bytes: Some(16 * 1024),
        ..SealOptions::default()
    };
    Arc::from(seal::open(&options).expect("a seal"))
}

/// The wrappers every real service has, without patience.
pub fn impatient(storage: impl Storage + 'static) -> Box<dyn Storage> {
    let options = StorageOptions {
        attempts: 1,
        backoff: Duration::from_millis(1),
        ..StorageOptions::default()
    };
    guarded(storage, &options)
}

/// Bytes that do not compress.
pub fn noise(bytes: usize, seed: u64) -> Vec<u8> {
    let mut noise = vec![0; bytes];
    SmallRng::seed_from_u64(seed).fill_bytes(&mut noise);
    noise
}

/// Writes a file and gives it, and its folder, a time of its own, so that the change is seen.
pub fn write(path: &Path, bytes: &[u8], mtime: i64) {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).expect("a folder");
    }
    std::fs::write(path, bytes).expect("a file");
    set_mtime(path, mtime);
}

/// Sets a modification time in whole seconds.
pub fn set_mtime(path: &Path, seconds: i64) {
    use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};
    let time = Timespec {
        tv_sec: seconds,
        tv_nsec: 0,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).expect("a time");
}

/// A tree that fills several volumes, with a file cut by them, and something of every kind that takes no space.
pub fn plant(root: &Path) {
    write(&root.join("a/one"), &noise(70_000, 1), T0 - 900);
    write(&root.join("a/two"), b"two", T0 - 901);
    write(&root.join("big"), &noise(700_000, 2), T0 - 902);
    write(&root.join("empty"), b"", T0 - 903);
    write(&root.join("m/middle"), &noise(200_000, 3), T0 - 904);
    write(&root.join("z/last"), &noise(30_000, 4), T0 - 905);
    std::os::unix::fs::symlink("a/two", root.join("link")).expect("a link");
    std::fs::create_dir(root.join("void")).expect("a folder");
    settle(root, T0 - 950);
}

/// Gives every folder a time of its own, as the last step of an edit.
pub fn settle(root: &Path, time: i64) {
    for dir in ["void", "z", "m", "a", ""] {
        let path = root.join(dir);
        if path.is_dir() {
            set_mtime(&path, time);
        }
    }
}

/// Changes for the `n`-th increment.
pub fn edit(root: &Path, n: i64) {
    let time = T0 + 100 * n;
    let mut big = std::fs::read(root.join("big")).expect("big");
    let at = 100_000 * n as usize % 500_000;
    big[at..at + 90_000].copy_from_slice(&noise(90_000, 40 + n as u64));
    write(&root.join("big"), &big, time);
    write(
        &root.join(format!("m/new{n}")),
        &noise(240_000, 50 + n as u64),
        time,
    );
    write(&root.join("a/two"), format!("two {n}").as_bytes(), time);
    let _ = std::fs::remove_file(root.join(format!("m/new{}", n - 1)));
    settle(root, time);
}

/// A bench whose target holds a full set and one increment, and what they must restore to.
pub fn with_chain(name: &str, sealed: Sealed) -> (Vault, Vec<(i64, Tree)>) {
    let vault = Vault::new(name, sealed);
    plant(&vault.source());
    let mut states = vec![(T0, vault.tree())];
    vault.backup(Mode::Full, T0);
    edit(&vault.source(), 1);
    states.push((T0 + 1000, vault.tree()));
    vault.backup(Mode::Incremental, T0 + 1000);
    (vault, states)
}

/// Every state restores exactly.
pub fn all_restore(vault: &Vault, states: &[(i64, Tree)], when: &str) {
    for (time, tree) in states {
        vault.must_restore(Some(*time), tree, when);
    }
}
