//! The signature of a large file, made beside the search for what changed in it.
//!
//! Both hash all of the content, and neither needs the other: with two processors they take half as long.

use crate::engine::delta::SignatureBuilder;
use crate::engine::error::{Error, ErrorKind, Result};
use crossbeam_channel::{Receiver, SendError, Sender, bounded};
use std::thread::JoinHandle;

/// Files of fewer bytes are not worth a thread.
const WORTH_BYTES: u64 = 8 << 20;

/// Bytes that may wait for the thread, if a batch is not more: content is read in pieces of up to 2 MiB, between which it is
/// searched.
const WAITING_BYTES: usize = 4 << 20;

/// Makes the signature of what it is given.
pub(super) enum Signing {
    /// At once.
    Here(SignatureBuilder),
    /// On a thread of its own.
    Beside(Beside),
}

/// A thread that signs batches, and the batch that is being filled. Dropped, it comes to its end.
pub(super) struct Beside {
    batch: Vec<u8>,
    batch_bytes: usize,
    batches: Sender<Vec<u8>>,
    spent: Receiver<Vec<u8>>,
    thread: JoinHandle<Vec<u8>>,
}

impl Signing {
    /// Signs a content of about `bytes` bytes; on a thread of its own if it is worth one and there are so many `threads`.
    pub(super) fn new(builder: SignatureBuilder, bytes: u64, threads: usize) -> Self {
        if bytes < WORTH_BYTES || threads < 2 {
            return Self::Here(builder);
        }
        let batch_bytes = builder.batch_bytes();
        let waiting = (WAITING_BYTES / batch_bytes).max(1);
        let (batches, queue) = bounded::<Vec<u8>>(waiting);
        // With those at both ends there are no more batches than places.
        let (spent_tx, spent) = bounded(waiting + 2);
        // The builder goes through a channel, so that it is not lost if the thread cannot be started.
        let (builder_tx, builder_rx) = bounded::<SignatureBuilder>(1);
        let thread = std::thread::Builder::new()
            .name("dupr-sign".into())
            .spawn(move || {
                let Ok(mut builder) = builder_rx.recv() else {
                    return Vec::new();
                };
                for mut batch in queue {
                    builder.push(&batch);
                    batch.clear();
                    let _ = spent_tx.try_send(batch);
                }
                builder.finish()
            });
        let Ok(thread) = thread else {
            return Self::Here(builder);
        };
        match builder_tx.send(builder) {
            Ok(()) => Self::Beside(Beside {
                batch: Vec::new(),
                batch_bytes,
                batches,
                spent,
                thread,
            }),
            Err(SendError(builder)) => Self::Here(builder),
        }
    }

    /// Adds the next piece, of any length.
    pub(super) fn push(&mut self, data: &[u8]) {
        match self {
            Self::Here(builder) => builder.push(data),
            Self::Beside(beside) => beside.push(data),
        }
    }

    /// The signature.
    ///
    /// # Errors
    /// `Internal` if its thread has ended early.
    pub(super) fn finish(self) -> Result<Vec<u8>> {
        match self {
            Self::Here(builder) => Ok(builder.finish()),
            Self::Beside(beside) => beside.finish(),
        }
    }
}

impl Beside {
    fn push(&mut self, mut data: &[u8]) {
        while !data.is_empty() {
            self.batch
                .reserve_exact(self.batch_bytes - self.batch.len());
            let (now, rest) = data.split_at(data.len().min(self.batch_bytes - self.batch.len()));
            self.batch.extend_from_slice(now);
            data = rest;
            if self.batch.len() == self.batch_bytes {
                self.send();
            }
        }
    }

    fn send(&mut self) {
        let fresh = self.spent.try_recv().unwrap_or_default();
        let batch = std::mem::replace(&mut self.batch, fresh);
        // A thread that is gone is told of at the end.
        let _ = self.batches.send(batch);
    }

    fn finish(mut self) -> Result<Vec<u8>> {
        self.send();
        let Self {
            batches, thread, ..
        } = self;
        drop(batches);
        let signature = thread.join().unwrap_or_default();
        match signature.is_empty() {
            false => Ok(signature),
            true => {
                let text = "the thread that makes signatures ended early";
                Err(Error::new(ErrorKind::Internal, text))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_same_beside_and_here() {
        let content: Vec<u8> = (0..3_000_001u32)
            .map(|n| (n.wrapping_mul(n) >> 7) as u8)
            .collect();
        for (block_len, bytes) in [(2048, 0), (2048, 1), (512, 3_000_001), (900_000, 3_000_001)] {
            let content = &content[..bytes];
            let mut expected = SignatureBuilder::new(block_len);
            expected.push(content);
            let expected = expected.finish();
            for (threads, piece) in [(1, 10_000), (2, 10_000), (2, 1 << 20), (2, 262_144)] {
                let builder = SignatureBuilder::new(block_len);
                let mut signing = Signing::new(builder, WORTH_BYTES, threads);
                assert_eq!(matches!(signing, Signing::Beside(_)), threads > 1);
                for piece in content.chunks(piece) {
                    signing.push(piece);
                }
                assert!(signing.finish().unwrap() == expected, "{block_len} {bytes}");
            }
        }
    }
}
