//! Fetches volumes before they are asked for, in the order in which they will be.
//!
//! That order is known: a volume is opened when all streams have come to its first path. A few threads work through
//! it and stay a bounded number of volumes ahead, which is the spool space they take. A volume that none of them has
//! begun is fetched by whoever asks for it, so nobody ever waits for work that has not started. What went wrong is
//! told when the volume is asked for, never before. Volumes of duplicity's have a salt each, whose key takes as long to make as
//! reading some ten MB: those threads make it as well.

use super::archived;
use crate::engine::collection::StoredFile;
use crate::engine::context::Context;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::format::manifest::HashKind;
use crate::engine::path::PathIndex;
use crate::engine::target::Engine;
use std::collections::BTreeMap;
use std::fs::File;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::Scope;

/// Volumes that are being fetched, or were and have not been asked for.
const AHEAD: usize = 2;

/// Over a line there may be more of them, as many as there may be uploads, if they are small: so many bytes in all.
const AHEAD_BYTES: u64 = 64 << 20;

/// A volume that will be asked for.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    /// Its first path.
    pub start: PathIndex,
    /// Index of its set.
    pub set: usize,
    /// Its number in the set.
    pub number: u32,
    /// The file.
    pub file: StoredFile,
    /// What its hash must be.
    pub hash: Option<(HashKind, String)>,
}

/// What is done to have a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fetching {
    /// It is brought here, and its hash has to be right.
    Checked,
    /// It is here, and nobody has looked at it.
    AsItLies,
}

/// Where volumes come from.
pub(super) struct Fetcher<'e> {
    engine: &'e Engine,
    how: Fetching,
    cx: &'e Context<'e>,
    jobs: Vec<Wanted>,
    /// Where the job of a set and volume is.
    index: BTreeMap<(usize, u32), usize>,
    /// How many may be ahead.
    most: usize,
    state: Mutex<State>,
    changed: Condvar,
    halted: AtomicBool,
}

struct State {
    slots: Vec<Slot>,
    /// The first that may not have been begun.
    next: usize,
    /// Those that are busy or done.
    ahead: Vec<usize>,
}

enum Slot {
    Waiting,
    Busy,
    /// Busy with what nobody wants any more.
    Vain,
    Done(Result<File>),
    Taken,
}

impl<'e> Fetcher<'e> {
    /// Starts fetching on threads of `scope`; they end with the work, or when the [`Halt`] is dropped.
    pub(super) fn start<'s>(
        scope: &'s Scope<'s, '_>,
        engine: &'e Engine,
        (mut jobs, how): (Vec<Wanted>, Fetching),
        cx: &'e Context<'e>,
    ) -> (Arc<Self>, Halt<'e>)
    where
        'e: 's,
    {
        jobs.sort_by(|a, b| (&a.start, a.set, a.number).cmp(&(&b.start, b.set, b.number)));
        let index = jobs.iter().enumerate();
        let index = index.map(|(i, job)| ((job.set, job.number), i)).collect();
        let slots = jobs.iter().map(|_| Slot::Waiting).collect();
        let ahead = match jobs.first() {
            Some(job) if !engine.is_here(&job.file) => AHEAD.max(engine.uploads),
            _ => AHEAD.min(cx.threads.max(1)),
        };
        let threads = match jobs.len() {
            // It is needed at once; but while it comes, it may be opened.
            1 if cx.threads < 2 => 0,
            jobs => ahead.min(jobs),
        };
        let fetcher = Arc::new(Self {
            engine,
            how,
            cx,
            jobs,
            index,
            most: ahead.max(AHEAD),
            state: Mutex::new(State {
                slots,
                next: 0,
                ahead: Vec::new(),
            }),
            changed: Condvar::new(),
            halted: AtomicBool::new(false),
        });
        for _ in 0..threads {
            let fetcher = Arc::clone(&fetcher);
            // Without the thread it is slower, that is all.
            let _ = std::thread::Builder::new()
                .name("dupr-fetch".into())
                .spawn_scoped(scope, move || fetcher.work());
        }
        let halt = Halt(Arc::clone(&fetcher));
        (fetcher, halt)
    }

    /// The content of a volume. Each can be asked for once.
    ///
    /// # Errors
    /// Those of [`Engine::download`] or [`Engine::as_it_lies`]. If the volume lies in an archive, the error names all that do
    /// and will be asked for.
    pub(super) fn take(&self, set: usize, number: u32) -> Result<File> {
        self.fetched(set, number).map_err(|error| {
            let failed = self.index.get(&(set, number));
            let failed = failed.and_then(|index| self.jobs.get(*index));
            match failed {
                Some(job) => {
                    let storage = &*self.engine.target.storage;
                    archived::explain(error, storage, &job.file.name, || self.to_come())
                }
                None => error,
            }
        })
    }

    /// Names of the volumes that nobody has asked for yet.
    fn to_come(&self) -> Vec<&str> {
        let state = self.lock();
        let all = self.jobs.iter().zip(&state.slots);
        all.filter(|(_, slot)| !matches!(slot, Slot::Vain | Slot::Taken))
            .map(|(job, _)| job.file.name.as_str())
            .collect()
    }

    fn fetched(&self, set: usize, number: u32) -> Result<File> {
        let missing = || {
            let text = format!("volume {number} was not meant to be fetched");
            Error::new(ErrorKind::Internal, text)
        };
        let index = *self.index.get(&(set, number)).ok_or_else(missing)?;
        let job = self.jobs.get(index).ok_or_else(missing)?;
        let mut state = self.lock();
        loop {
            let slot = state.slots.get_mut(index).ok_or_else(missing)?;
            match std::mem::replace(slot, Slot::Taken) {
                Slot::Waiting => {
                    drop(state);
                    return self.fetch(job, &|| true);
                }
                Slot::Busy => {
                    *slot = Slot::Busy;
                    state = self
                        .changed
                        .wait(state)
                        .unwrap_or_else(|poisoned| poisoned.into_inner());
                }
                Slot::Done(result) => {
                    state.ahead.retain(|ahead| *ahead != index);
                    self.changed.notify_all();
                    return result;
                }
                Slot::Vain => {
                    *slot = Slot::Vain;
                    return Err(missing());
                }
                Slot::Taken => return Err(missing()),
            }
        }
    }

    /// Whether asking for a volume now would mean to wait for it.
    pub(super) fn is_pending(&self, set: usize, number: u32) -> bool {
        let state = self.lock();
        let index = self.index.get(&(set, number));
        let slot = index.and_then(|index| state.slots.get(*index));
        matches!(slot, Some(Slot::Waiting | Slot::Busy))
    }

    /// Forgets volumes that will not be asked for after all, in the middle of a download if need be.
    pub(super) fn forget(&self, set: usize, numbers: impl IntoIterator<Item = u32>) {
        let mut state = self.lock();
        for number in numbers {
            let Some(&index) = self.index.get(&(set, number)) else {
                continue;
            };
            match state.slots.get_mut(index) {
                Some(slot @ Slot::Waiting) => *slot = Slot::Taken,
                Some(slot @ Slot::Busy) => *slot = Slot::Vain,
                Some(slot @ Slot::Done(_)) => {
                    *slot = Slot::Taken;
                    state.ahead.retain(|ahead| *ahead != index);
                }
                _ => {}
            }
        }
        self.changed.notify_all();
    }

    /// A thread: fetches what comes next, as long as it is not too far ahead.
    fn work(&self) {
        while let Some((index, job)) = self.next_job() {
            let mut outcome = Outcome {
                fetcher: self,
                index,
                result: Err(Error::new(ErrorKind::Internal, "a worker thread panicked")),
            };
            let wanted = || !self.halted.load(Ordering::Relaxed) && !self.is_vain(index);
            outcome.result = self.fetch(job, &wanted);
            if let Ok(file) = &outcome.result {
                let seal = &self.engine.target.seal;
                seal.make_ready(job.file.parsed.form, file);
            }
        }
    }

    fn fetch(&self, job: &Wanted, wanted: &dyn Fn() -> bool) -> Result<File> {
        match self.how {
            Fetching::Checked => {
                let hash = job.hash.as_ref();
                self.engine.download_while(&job.file, hash, wanted, self.cx)
            }
            Fetching::AsItLies => self.engine.as_it_lies(&job.file),
        }
    }

    fn is_vain(&self, index: usize) -> bool {
        matches!(self.lock().slots.get(index), Some(Slot::Vain))
    }

    fn next_job(&self) -> Option<(usize, &Wanted)> {
        let mut state = self.lock();
        loop {
            if self.halted.load(Ordering::Relaxed) || self.cx.cancel.is_requested() {
                return None;
            }
            while !matches!(state.slots.get(state.next), Some(Slot::Waiting) | None) {
                state.next += 1;
            }
            let job = self.jobs.get(state.next)?;
            let index = state.next;
            if self.may_be_ahead(&state.ahead, job) {
                if let Some(slot) = state.slots.get_mut(index) {
                    *slot = Slot::Busy;
                }
                state.ahead.push(index);
                state.next += 1;
                return Some((index, job));
            }
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(|poisoned| poisoned.into_inner());
        }
    }

    fn may_be_ahead(&self, ahead: &[usize], job: &Wanted) -> bool {
        let sizes = ahead.iter().filter_map(|index| self.jobs.get(*index));
        let bytes: u64 = sizes.chain([job]).map(|job| job.file.size).sum();
        ahead.len() < AHEAD || (ahead.len() < self.most && bytes <= AHEAD_BYTES)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// Puts what came of a job in its place, even if the thread panics: somebody may be waiting for it.
struct Outcome<'f, 'e> {
    fetcher: &'f Fetcher<'e>,
    index: usize,
    result: Result<File>,
}

impl Drop for Outcome<'_, '_> {
    fn drop(&mut self) {
        let gone = Error::new(ErrorKind::Internal, "taken");
        let result = std::mem::replace(&mut self.result, Err(gone));
        let mut state = self.fetcher.lock();
        match state.slots.get_mut(self.index) {
            Some(slot @ Slot::Vain) => {
                *slot = Slot::Taken;
                state.ahead.retain(|ahead| *ahead != self.index);
            }
            Some(slot) => *slot = Slot::Done(result),
            None => {}
        }
        drop(state);
        self.fetcher.changed.notify_all();
    }
}

/// Ends the threads of a [`Fetcher`] when dropped, in the middle of a download if need be.
pub(super) struct Halt<'e>(Arc<Fetcher<'e>>);

impl Drop for Halt<'_> {
    fn drop(&mut self) {
        // Under the lock, so that no thread misses it between looking and waiting.
        let state = self.0.lock();
        self.0.halted.store(true, Ordering::Relaxed);
        drop(state);
        self.0.changed.notify_all();
    }
}
