//! A backup in motion.
//!
//! ```text
//!  walk+join ──▶ readers ×n ──▶ packer ──▶ sealed volumes ──▶ uploaders ×u ──▶ commit
//!  1 thread      batches and     tar, cut,   spool files                        caller's thread,
//!                streams, in     sigtar                                         volume order
//!                order
//! ```
//!
//! The walker hands each piece of work to the readers and, in the same order, its receiver to the packer. Readers
//! work ahead on many pieces; the packer drains strictly in order. The piece the packer waits for is always the
//! oldest one taken, so nothing can block for ever, and nothing is sorted again. Every channel is bounded: memory
//! does not depend on the number or size of files.
//!
//! Volume k is committed only when volumes 1 to k are at the target: that order is the whole durability story.

mod commit;
mod pack;
mod read;
mod read_dump;
mod signing;
mod volume;

pub(crate) use commit::Committer;
pub(crate) use pack::{Packer, PartFile, Parts, ResumePoint};
pub(crate) use read::ReadOptions;
pub(crate) use volume::{Sealed, Sealing, VolumeLimits};

use super::context::Context;
use super::error::{Error, ErrorKind, Result};
use super::storage::Storage;
use super::stream::change::Change;
use super::tree::Source;
use crossbeam_channel::{Receiver, bounded};
use std::sync::atomic::AtomicBool;

/// The stages that outlive a run of the pipeline.
pub(crate) struct Stages {
    /// Makes volumes.
    pub packer: Packer,
    /// Notes which are at the target.
    pub committer: Committer,
    /// Volumes uploaded at once.
    pub uploads: usize,
    /// Whether nothing of the set can be at the target yet.
    pub is_new: bool,
}

/// Runs the whole pipeline for the changes of one set and commits its volumes in order.
///
/// As soon as all are sealed, `last` is done while they are still uploaded; it is told when all are committed, and never if
/// that fails. Returns the packer with the figures, the sigtar and the file list of the set, which the caller then
/// finishes, and what `last` gave.
///
/// # Errors
/// The first error of any stage. What was committed until then can be resumed.
pub(crate) fn run<T: Send>(
    changes: impl Iterator<Item = Result<Change>> + Send,
    source: &Source,
    read: &ReadOptions,
    stages: Stages,
    storage: &dyn Storage,
    last: impl FnOnce(&mut Packer, &Receiver<()>) -> Result<T> + Send,
    cx: &Context,
) -> Result<(Packer, T)> {
    let Stages {
        mut packer,
        mut committer,
        uploads,
        is_new,
    } = stages;
    packer.note_beginning()?;
    let readers = cx.threads.max(1);
    let (job_tx, job_rx) = bounded(2 * readers);
    let (order_tx, order_rx) = bounded(2 * readers + 2);
    // One that is made while the others are uploaded.
    let (begun_tx, begun_rx) = bounded(1);
    let (done_tx, done_rx) = bounded(uploads);
    let (all_tx, all_rx) = bounded(1);
    let cx = *cx;
    let name_of = committer.name_of();
    let (name_of, has_failed) = (&name_of, &AtomicBool::new(false));
    std::thread::scope(|scope| {
        let walker = scope.spawn(move || read::feed(changes, source, read, &job_tx, &order_tx));
        for _ in 0..readers {
            let jobs = job_rx.clone();
            scope.spawn(move || read::serve(&jobs, source, read, &cx));
        }
        drop(job_rx);
        let packing = scope.spawn(move || {
            let result = packer.run(&order_rx, &begun_tx, &cx);
            // Dropping both ends lets the stages before and after come to their end.
            drop((order_rx, begun_tx));
            let ended = result.and_then(|()| last(&mut packer, &all_rx))?;
            Ok((packer, ended))
        });
        let uploaders: Vec<_> = (0..uploads.max(1))
            .map(|_| {
                let (begun, done) = (begun_rx.clone(), done_tx.clone());
                scope.spawn(move || {
                    commit::upload(&begun, &done, storage, name_of, is_new, has_failed)
                })
            })
            .collect();
        drop((begun_rx, done_tx));
        let committed = committer.run(&done_rx, &cx);
        drop(done_rx);
        for uploader in uploaders {
            join(uploader.join().map(Ok))?;
        }
        let walked = join(walker.join());
        if committed.is_ok() && walked.is_ok() {
            // Who does not listen has an error to tell.
            let _ = all_tx.send(());
        }
        drop(all_tx);
        let packed = join(packing.join());
        // The stage nearest to the target knows the cause; the others only saw a closed channel.
        committed?;
        match packed {
            Err(e) if e.kind() != ErrorKind::Internal => Err(e),
            packed => {
                walked?;
                packed
            }
        }
    })
}

fn join<T>(joined: std::thread::Result<Result<T>>) -> Result<T> {
    joined.unwrap_or_else(|_| Err(Error::new(ErrorKind::Internal, "a worker thread panicked")))
}

/// A stage's neighbor ended early; its own error tells why.
pub(crate) fn closed() -> Error {
    Error::new(ErrorKind::Internal, "a stage of the backup ended early")
}
