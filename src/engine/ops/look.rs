//! Looks through the sigtars of many sets for the entries at certain paths.
//!
//! A long chain holds millions of entries, of which a few are wanted. So a path is judged where it lies, before anything is
//! made of its entry, and sets are read side by side; what was found is told in the order of the sets all the same.

use crate::engine::collection::BackupSet;
use crate::engine::context::Context;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::format::sigtar::{SigEntry, SigtarReader};
use crate::engine::path::{PathIndex, compare};
use crate::engine::target::Engine;
use crossbeam_channel::{Receiver, Sender, bounded};
use std::cmp::Ordering;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering as Memory};

/// Entries that are handed over at once.
const BATCH: usize = 256;
/// Batches of a set that wait for the sets before it.
const BATCHES: usize = 4;

/// What is looked for.
pub struct Wanted<'a> {
    /// Whether an entry at a path is wanted. The bytes are not proven to be a path.
    pub path: &'a (dyn Fn(&[u8]) -> bool + Sync),
    /// No path that comes after this one is.
    pub last: Option<&'a PathIndex>,
    /// Whether files come with their signatures.
    pub signatures: bool,
}

type Batch = Result<Vec<SigEntry>>;

impl Engine {
    /// Tells `found` of every entry that is wanted, with the index of its set: set by set in the order given, each in path
    /// order, deletions too.
    ///
    /// # Errors
    /// Trouble with the sigtars, in its place, and those of `found`.
    pub fn look_through(
        &self,
        sets: &[&BackupSet],
        wanted: &Wanted<'_>,
        found: &mut dyn FnMut(usize, SigEntry) -> Result<()>,
        cx: &Context,
    ) -> Result<()> {
        let threads = cx.threads.min(sets.len());
        if threads < 2 {
            return self.look_in_turn(sets, wanted, found, cx);
        }
        let (senders, receivers): (Vec<_>, Vec<_>) = sets.iter().map(|_| bounded(BATCHES)).unzip();
        // Taken out by whoever reads the set, so that the channel ends with the reading.
        let senders: Vec<Mutex<Option<Sender<Batch>>>> =
            senders.into_iter().map(|s| Mutex::new(Some(s))).collect();
        let (next, halted) = (AtomicUsize::new(0), AtomicBool::new(false));
        let work = || {
            loop {
                // In order: whoever waits with its set full has all before it begun.
                let number = next.fetch_add(1, Memory::Relaxed);
                let (Some(set), Some(slot)) = (sets.get(number), senders.get(number)) else {
                    return;
                };
                let sender = slot.lock().ok().and_then(|mut slot| slot.take());
                let Some(sender) = sender else { return };
                let mut hand_over = |batch| sender.send(Ok(batch)).map_err(|_| nobody_listens());
                let go_on = || match halted.load(Memory::Relaxed) {
                    true => Err(nobody_listens()),
                    false => Ok(()),
                };
                if let Err(e) = self.look_into(set, wanted, &mut hand_over, &go_on, cx) {
                    let _ = sender.send(Err(e));
                    return;
                }
            }
        };
        std::thread::scope(|scope| {
            let start = |_| {
                let thread = std::thread::Builder::new().name("dupr-look".into());
                thread.spawn_scoped(scope, work).is_ok()
            };
            if (0..threads).filter(|n| start(*n)).count() == 0 {
                return self.look_in_turn(sets, wanted, found, cx);
            }
            let told = tell(receivers, found);
            halted.store(true, Memory::Relaxed);
            told
        })
    }

    /// All on this thread.
    fn look_in_turn(
        &self,
        sets: &[&BackupSet],
        wanted: &Wanted<'_>,
        found: &mut dyn FnMut(usize, SigEntry) -> Result<()>,
        cx: &Context,
    ) -> Result<()> {
        for (number, set) in sets.iter().enumerate() {
            let mut tell = |batch: Vec<SigEntry>| {
                let mut entries = batch.into_iter();
                entries.try_for_each(|entry| found(number, entry))
            };
            self.look_into(set, wanted, &mut tell, &|| Ok(()), cx)?;
        }
        Ok(())
    }

    /// Hands over what is wanted of one set, in full batches and a last one that is not full.
    fn look_into(
        &self,
        set: &BackupSet,
        wanted: &Wanted<'_>,
        hand_over: &mut dyn FnMut(Vec<SigEntry>) -> Result<()>,
        go_on: &dyn Fn() -> Result<()>,
        cx: &Context,
    ) -> Result<()> {
        let mut sigtar = SigtarReader::new(self.sigtar(set, cx)?);
        if !wanted.signatures {
            sigtar = sigtar.skip_signatures();
        }
        let mut batch = Vec::new();
        loop {
            cx.cancel.check().and_then(|()| go_on())?;
            let Some(path) = sigtar.next_path().map_err(Error::from)? else {
                break;
            };
            if wanted
                .last
                .is_some_and(|last| compare(path, last.as_bytes()) == Ordering::Greater)
            {
                break;
            }
            if (wanted.path)(path) {
                batch.push(sigtar.entry().map_err(Error::from)?);
                if batch.len() == BATCH {
                    hand_over(std::mem::take(&mut batch))?;
                }
            }
        }
        hand_over(batch)
    }
}

/// Passes on what the threads have found, set by set.
fn tell(
    receivers: Vec<Receiver<Batch>>,
    found: &mut dyn FnMut(usize, SigEntry) -> Result<()>,
) -> Result<()> {
    for (number, receiver) in receivers.into_iter().enumerate() {
        let mut last = BATCH;
        for batch in receiver {
            let batch = batch?;
            last = batch.len();
            for entry in batch {
                found(number, entry)?;
            }
        }
        if last == BATCH {
            let text = "a sigtar was not read to its end";
            return Err(Error::new(ErrorKind::Internal, text));
        }
    }
    Ok(())
}

/// Ends the reading of a set when nobody wants its entries any more; never told.
fn nobody_listens() -> Error {
    Error::new(ErrorKind::Interrupted, "nobody listens")
}
