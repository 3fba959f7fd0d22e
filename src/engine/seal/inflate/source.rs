//! Compressed bytes, with those that were read too far put back in front, and cut into stretches at the marks.

use crate::engine::ahead::fill;
use crate::engine::seal::deflate::MARK;
use std::io::{self, BufRead, Read};

/// Bytes read from below at once.
const READ_BYTES: usize = 64 * 1024;

/// Most compressed bytes of a stretch: one that does not shrink at all, with the heads of its stored blocks.
const MOST_BYTES: usize = (1 << 20) + 16 * 1024;

/// A stretch of the stream, up to and with the mark at its end.
pub(super) enum Stretch {
    Marked(Vec<u8>),
    /// No mark came within reach, or before the end: what there is stays in the source.
    Unmarked,
}

/// The bytes of a stream and what follows it.
pub(super) struct Source<R> {
    input: R,
    /// Bytes that come before those of the input, from `position` on.
    pending: Vec<u8>,
    position: usize,
    /// What stopped the input, if it was not its end; told once all bytes before it were read.
    error: Option<io::Error>,
    ended: bool,
}

impl<R: Read> Source<R> {
    pub(super) fn new(input: R) -> Self {
        Self {
            input,
            pending: Vec::new(),
            position: 0,
            error: None,
            ended: false,
        }
    }

    fn left(&self) -> &[u8] {
        self.pending.get(self.position..).unwrap_or_default()
    }

    /// Reads more; false at the end, or where the input failed.
    fn more(&mut self) -> bool {
        if self.ended {
            return false;
        }
        self.pending.drain(..self.position);
        self.position = 0;
        let before = self.pending.len();
        self.pending.resize(before + READ_BYTES, 0);
        let fresh = self.pending.get_mut(before..).unwrap_or_default();
        let (filled, outcome) = fill(&mut self.input, fresh);
        self.pending.truncate(before + filled);
        self.error = outcome.err();
        self.ended = filled < READ_BYTES;
        filled > 0
    }

    /// The next stretch, in `buffer`.
    pub(super) fn stretch(&mut self, mut buffer: Vec<u8>) -> Stretch {
        let mut searched = 0;
        loop {
            let left = self.left();
            if let Some(at) = find(left.get(searched..).unwrap_or_default()) {
                let (stretch, rest) = left.split_at(searched + at + MARK.len());
                buffer.clear();
                buffer.extend_from_slice(stretch);
                self.position = self.pending.len() - rest.len();
                return Stretch::Marked(buffer);
            }
            // A mark may lie across the end of what was read.
            searched = left.len().saturating_sub(MARK.len() - 1);
            if left.len() > MOST_BYTES || !self.more() {
                return Stretch::Unmarked;
            }
        }
    }

    /// Puts bytes back, which come next.
    pub(super) fn put_back<P: AsRef<[u8]>>(&mut self, pieces: &[P]) {
        let mut all = Vec::new();
        for piece in pieces {
            all.extend_from_slice(piece.as_ref());
        }
        all.extend_from_slice(self.left());
        (self.pending, self.position) = (all, 0);
    }
}

impl<R: Read> BufRead for Source<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.left().is_empty()
            && !self.more()
            && let Some(error) = self.error.take()
        {
            return Err(error);
        }
        Ok(self.left())
    }

    fn consume(&mut self, bytes: usize) {
        self.position = (self.position + bytes).min(self.pending.len());
    }
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, data: &mut [u8]) -> io::Result<usize> {
        let left = self.fill_buf()?;
        let n = left.len().min(data.len());
        data[..n].copy_from_slice(&left[..n]);
        self.consume(n);
        Ok(n)
    }
}

/// Where the first mark begins.
fn find(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let window = bytes.get(at..at + MARK.len())?;
        // How far the window may move at least, by its last byte: to where the mark has that byte next.
        at += match window.last() {
            Some(0xff) if window == MARK => return Some(at),
            Some(0xff) => 1,
            Some(0) => 2,
            _ => MARK.len(),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn stretches_are_cut_behind_marks_and_bytes_put_back_come_next() {
        let bytes = [&b"one"[..], &MARK, b"two", &MARK, b"rest"].concat();
        let mut source = Source::new(&bytes[..]);
        let Stretch::Marked(one) = source.stretch(Vec::new()) else {
            panic!("a mark");
        };
        assert_eq!(one, [&b"one"[..], &MARK].concat());
        let Stretch::Marked(two) = source.stretch(Vec::new()) else {
            panic!("a mark");
        };
        assert!(matches!(source.stretch(Vec::new()), Stretch::Unmarked));
        source.put_back(&[&b"zero"[..], &two]);
        let mut all = Vec::new();
        source.read_to_end(&mut all).unwrap();
        assert_eq!(all, [&b"zerotwo"[..], &MARK, b"rest"].concat());
    }

    #[test]
    fn an_error_comes_after_the_bytes_before_it() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("broken"))
            }
        }
        let mut source = Source::new((&b"before"[..]).chain(Broken));
        assert!(matches!(source.stretch(Vec::new()), Stretch::Unmarked));
        let mut read = Vec::new();
        let error = source.read_to_end(&mut read).unwrap_err();
        assert_eq!(
            (&read[..], &error.to_string()[..]),
            (&b"before"[..], "broken")
        );
    }

    proptest! {
        #[test]
        fn the_first_mark_is_found(
            bytes in prop::collection::vec(prop_oneof![Just(0u8), Just(0xffu8), any::<u8>()], 0..200),
            marks in prop::collection::vec(0usize..200, 0..3),
        ) {
            let mut bytes = bytes;
            for at in marks {
                let at = at.min(bytes.len());
                bytes.splice(at..at, MARK);
            }
            let expected = bytes.windows(MARK.len()).position(|window| window == MARK);
            prop_assert_eq!(find(&bytes), expected);
        }
    }
}
