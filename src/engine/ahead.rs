//! Reads a stream ahead on a thread of its own, so that opening (decrypting, inflating) and using it overlap.
//!
//! What was read waits in a bounded number of buffers, which go back and forth. Bytes, end and error come in the order
//! and at the place they would come without it. Dropping the reader ends the thread and waits for it.

use crossbeam_channel::{Receiver, Sender, bounded};
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

/// Bytes of one buffer.
const PIECE_BYTES: usize = 256 * 1024;
/// Buffers between the thread and the reader; with those at both ends a stream holds two more.
const PIECES: usize = 6;

/// How many streams may be read ahead at the same time.
#[derive(Debug, Clone)]
pub(crate) struct Permits(Arc<AtomicUsize>);

impl Permits {
    /// So many.
    pub(crate) fn new(streams: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(streams)))
    }

    /// One of them, if any is left.
    pub(crate) fn take(&self) -> Option<Permit> {
        let less = |n: usize| n.checked_sub(1);
        let taken = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        taken.ok().map(|_| Permit(Arc::clone(&self.0)))
    }
}

/// Goes back when dropped.
pub(crate) struct Permit(Arc<AtomicUsize>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// `input`, read ahead if a permit is left and a thread can be had, else as it is.
pub(crate) fn read_ahead(input: Box<dyn Read + Send>, permits: &Permits) -> Box<dyn Read + Send> {
    let Some(permit) = permits.take() else {
        return input;
    };
    let (piece_tx, pieces) = bounded(PIECES);
    // Never full: no more buffers than these are made.
    let (spent, spent_rx) = bounded(PIECES + 2);
    // The input goes through a channel, so that it is not lost if the thread cannot be started.
    let (input_tx, input_rx) = bounded::<Box<dyn Read + Send>>(1);
    let thread = std::thread::Builder::new()
        .name("dupr-ahead".into())
        .spawn(move || {
            if let Ok(input) = input_rx.recv() {
                run(input, &piece_tx, &spent_rx);
            }
        });
    match thread {
        Ok(thread) => {
            let _ = input_tx.send(input);
            Box::new(ReadAhead {
                pieces: Some(pieces),
                spent,
                piece: Vec::new(),
                position: 0,
                ended: false,
                thread: Some(thread),
                _permit: permit,
            })
        }
        Err(_) => input,
    }
}

/// The thread: fills buffers until the input ends or fails, or nobody wants them any more.
fn run(mut input: impl Read, to: &Sender<io::Result<Vec<u8>>>, spent: &Receiver<Vec<u8>>) {
    loop {
        // A new one comes cleared, at no cost.
        let mut piece = spent.try_recv().unwrap_or_else(|_| vec![0; PIECE_BYTES]);
        piece.resize(PIECE_BYTES, 0);
        let (filled, outcome) = fill(&mut input, &mut piece);
        piece.truncate(filled);
        // What was read before an error is still good.
        if (filled > 0 || outcome.is_ok()) && to.send(Ok(piece)).is_err() {
            return;
        }
        match outcome {
            Ok(()) if filled > 0 => {}
            Ok(()) => return,
            Err(error) => {
                let _ = to.send(Err(error));
                return;
            }
        }
    }
}

/// Fills `piece` as far as the input goes; tells how much was read, with or without an error.
pub(crate) fn fill(input: &mut impl Read, piece: &mut [u8]) -> (usize, io::Result<()>) {
    let mut filled = 0;
    while let Some(rest) = piece.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match input.read(rest) {
            Ok(0) => break,
            Ok(bytes) => filled += bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (filled, Err(error)),
        }
    }
    (filled, Ok(()))
}

/// A stream that a thread reads ahead.
struct ReadAhead {
    /// Buffers in order; an empty one is the end. `None` only while dropping.
    pieces: Option<Receiver<io::Result<Vec<u8>>>>,
    /// Where used buffers go.
    spent: Sender<Vec<u8>>,
    piece: Vec<u8>,
    position: usize,
    ended: bool,
    thread: Option<JoinHandle<()>>,
    _permit: Permit,
}

impl Read for ReadAhead {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() || self.ended {
            return Ok(0);
        }
        if self.position == self.piece.len() {
            let next = self.pieces.as_ref().and_then(|pieces| pieces.recv().ok());
            // After an error, or a panic of the thread: this must not look like the end.
            let next =
                next.unwrap_or_else(|| Err(io::Error::other("there is nothing more to read")))?;
            let used = std::mem::replace(&mut self.piece, next);
            self.position = 0;
            if self.piece.is_empty() {
                self.ended = true;
                return Ok(0);
            }
            if used.capacity() > 0 {
                let _ = self.spent.try_send(used);
            }
        }
        let rest = self.piece.get(self.position..).unwrap_or_default();
        let bytes = rest.len().min(out.len());
        out[..bytes].copy_from_slice(&rest[..bytes]);
        self.position += bytes;
        Ok(bytes)
    }
}

impl Drop for ReadAhead {
    fn drop(&mut self) {
        // The thread finds the channel closed at its next buffer.
        self.pieces = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::error::{Error, ErrorKind};

    /// Yields `bytes` in uneven reads, then an error or the end; tells when it is dropped.
    struct Script {
        bytes: Vec<u8>,
        position: usize,
        error: Option<ErrorKind>,
        dropped: Arc<AtomicUsize>,
    }

    impl Read for Script {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let rest = &self.bytes[self.position..];
            let bytes = rest.len().min(out.len()).min(1 + self.position % 70_001);
            if bytes == 0
                && let Some(kind) = self.error
            {
                return Err(Error::new(kind, "the script says so").into());
            }
            out[..bytes].copy_from_slice(&rest[..bytes]);
            self.position += bytes;
            Ok(bytes)
        }
    }

    impl Drop for Script {
        fn drop(&mut self) {
            self.dropped.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn script(bytes: usize, error: Option<ErrorKind>) -> (Box<Script>, Arc<AtomicUsize>) {
        let dropped = Arc::new(AtomicUsize::new(0));
        let script = Script {
            bytes: (0..bytes).map(|n| (n % 251) as u8).collect(),
            position: 0,
            error,
            dropped: Arc::clone(&dropped),
        };
        (Box::new(script), dropped)
    }

    #[test]
    fn bytes_and_end_are_those_of_the_input() {
        let permits = Permits::new(1);
        for bytes in [0, 1, PIECE_BYTES - 1, PIECE_BYTES, 40 * PIECE_BYTES + 7] {
            let (input, _) = script(bytes, None);
            let expected = input.bytes.clone();
            let mut reader = read_ahead(input, &permits);
            let mut read = Vec::new();
            reader.read_to_end(&mut read).unwrap();
            assert!(read == expected, "{bytes}");
            assert_eq!(reader.read(&mut [0]).unwrap(), 0);
        }
    }

    #[test]
    fn an_error_comes_after_the_bytes_before_it_and_keeps_its_kind() {
        for bytes in [0, 10, PIECE_BYTES, 3 * PIECE_BYTES + 5] {
            let (input, _) = script(bytes, Some(ErrorKind::WrongKey));
            let mut reader = read_ahead(input, &Permits::new(1));
            let mut read = Vec::new();
            let error = Error::from(reader.read_to_end(&mut read).unwrap_err());
            assert_eq!((read.len(), error.kind()), (bytes, ErrorKind::WrongKey));
            reader
                .read(&mut [0])
                .expect_err("what follows an error is no end");
        }
    }

    #[test]
    fn a_panic_of_the_input_is_no_end() {
        struct Panics;
        impl Read for Panics {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                panic!("on purpose")
            }
        }
        let mut reader = read_ahead(Box::new(Panics), &Permits::new(1));
        reader.read(&mut [0]).expect_err("no end");
    }

    #[test]
    fn dropped_early_its_thread_is_gone_and_the_permit_back() {
        let permits = Permits::new(1);
        for _ in 0..3 {
            let (input, dropped) = script(100 * PIECE_BYTES, None);
            let mut reader = read_ahead(input, &permits);
            reader.read_exact(&mut [0; 100]).unwrap();
            drop(reader);
            assert_eq!(dropped.load(Ordering::SeqCst), 1);
            assert_eq!(permits.0.load(Ordering::SeqCst), 1);
        }
    }

    #[test]
    fn without_a_permit_nothing_is_read_ahead() {
        let permits = Permits::new(1);
        let first = read_ahead(script(10, None).0, &permits);
        let (input, dropped) = script(10, None);
        let mut second = read_ahead(input, &permits);
        assert_eq!(permits.0.load(Ordering::SeqCst), 0);
        second.read_exact(&mut [0; 5]).unwrap();
        drop((first, second));
        assert_eq!(
            (
                dropped.load(Ordering::SeqCst),
                permits.0.load(Ordering::SeqCst)
            ),
            (1, 1)
        );
    }
}
