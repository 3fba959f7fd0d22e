//! Inflates one stretch of a stream as if nothing came before it, and finds out whether that was right.
//!
//! It was if the stretch refers to nothing before itself and ends between two blocks. The first is what an inflater
//! without history checks. For the second there is no question one could ask it; so it is given a block that nobody who
//! wrote the stream knew of, and has to answer with just that block's content, and then with the end of the stream.

use crate::engine::seal::deflate::{END_OF_STREAM, MARK};
use flate2::{Decompress, FlushDecompress, Status};
use std::hash::{BuildHasher, RandomState};

/// Most plain bytes of a stretch.
const MOST_PLAIN: usize = 1 << 20;

/// Bytes only this process knows.
const SECRET_BYTES: usize = 16;

/// How a stretch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// At its mark, between two blocks.
    AtMark,
    /// The stream ended, behind so many bytes of the stretch.
    Last(usize),
    /// Otherwise, or it is no stretch: one thread has to read it in its place in the stream.
    Unknown,
}

/// Inflates stretches. One per thread.
pub(super) struct Inflater {
    codec: Decompress,
    secret: [u8; SECRET_BYTES],
    /// The block with the secret, and the end of a stream.
    question: Vec<u8>,
}

impl Inflater {
    pub(super) fn new() -> Self {
        let keys = RandomState::new();
        let mut secret = [0; SECRET_BYTES];
        for (number, half) in secret.chunks_mut(8).enumerate() {
            half.copy_from_slice(&keys.hash_one(number).to_le_bytes());
        }
        let length = SECRET_BYTES as u16;
        let mut question = vec![0];
        question.extend(length.to_le_bytes());
        question.extend((!length).to_le_bytes());
        question.extend(secret);
        question.extend(END_OF_STREAM);
        Self {
            codec: Decompress::new(false),
            secret,
            question,
        }
    }

    /// Inflates `stretch`, which has a mark at its end, into `plain`. What is there is worth nothing if the ending is unknown.
    pub(super) fn inflate(&mut self, stretch: &[u8], plain: &mut Vec<u8>) -> Ending {
        plain.clear();
        plain.reserve_exact(MOST_PLAIN + SECRET_BYTES + 1);
        self.codec.reset(false);
        let Some((body, mark)) = stretch.split_at_checked(stretch.len().wrapping_sub(MARK.len()))
        else {
            return Ending::Unknown;
        };
        match self.run(body, plain) {
            Some((Status::StreamEnd, read)) => return Ending::Last(read),
            Some((_, read)) if read == body.len() => {}
            _ => return Ending::Unknown,
        }
        let bytes = plain.len();
        let passes_mark = matches!(self.run(mark, plain), Some((Status::Ok | Status::BufError, read)) if read == mark.len());
        if !passes_mark || plain.len() != bytes || bytes > MOST_PLAIN {
            return Ending::Unknown;
        }
        let question = std::mem::take(&mut self.question);
        let answer = self.run(&question, plain);
        let is_right = matches!(answer, Some((Status::StreamEnd, read)) if read == question.len())
            && plain.get(bytes..) == Some(&self.secret[..]);
        self.question = question;
        plain.truncate(bytes);
        if is_right {
            Ending::AtMark
        } else {
            Ending::Unknown
        }
    }

    /// Inflates until nothing goes on; the last status and how much was read. `None` if the data are damaged.
    fn run(&mut self, data: &[u8], plain: &mut Vec<u8>) -> Option<(Status, usize)> {
        let mut read = 0;
        loop {
            let (reads, writes) = (self.codec.total_in(), plain.len());
            let rest = data.get(read..).unwrap_or_default();
            let status = self
                .codec
                .decompress_vec(rest, plain, FlushDecompress::None);
            let status = status.ok()?;
            let step = (self.codec.total_in() - reads) as usize;
            read += step;
            if status == Status::StreamEnd || (step == 0 && plain.len() == writes) {
                return Some((status, read));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compress, Compression, FlushCompress};

    fn packed(plain: &[u8], history: &[u8], flush: FlushCompress) -> Vec<u8> {
        let mut codec = Compress::new(Compression::new(6), false);
        if !history.is_empty() {
            codec.set_dictionary(history).unwrap();
        }
        let mut out = Vec::with_capacity(plain.len() * 2 + 1000);
        codec.compress_vec(plain, &mut out, flush).unwrap();
        out
    }

    fn marked(mut packed: Vec<u8>) -> Vec<u8> {
        packed.extend(MARK);
        packed
    }

    #[test]
    fn a_stretch_between_blocks_ends_at_its_mark() {
        let mut inflater = Inflater::new();
        let mut plain = Vec::new();
        for text in [&b""[..], b"a", &b"some words and some words".repeat(30_000)] {
            let stretch = marked(packed(text, b"", FlushCompress::Sync));
            assert_eq!(inflater.inflate(&stretch, &mut plain), Ending::AtMark);
            assert!(plain == text);
        }
    }

    #[test]
    fn the_end_of_the_stream_is_seen() {
        let mut stretch = packed(b"the end", b"", FlushCompress::Finish);
        let bytes = stretch.len();
        stretch.extend(b"trailer");
        let mut plain = Vec::new();
        let ending = Inflater::new().inflate(&marked(stretch), &mut plain);
        assert_eq!((ending, &plain[..]), (Ending::Last(bytes), &b"the end"[..]));
    }

    #[test]
    fn what_refers_to_the_stretch_before_is_unknown_for_a_used_inflater_as_well() {
        let mut inflater = Inflater::new();
        let mut plain = Vec::new();
        let words = b"words that are nowhere else in this test".repeat(3);
        let first = marked(packed(&words, b"", FlushCompress::Sync));
        let second = marked(packed(&words, &words, FlushCompress::Sync));
        for _ in 0..2 {
            assert_eq!(inflater.inflate(&first, &mut plain), Ending::AtMark);
            assert_eq!(inflater.inflate(&second, &mut plain), Ending::Unknown);
        }
    }

    #[test]
    fn a_mark_inside_a_block_is_none() {
        let mut inflater = Inflater::new();
        let mut plain = Vec::new();
        // A stored block whose content has marks.
        let content = [b"before", &MARK[..], b"between", &MARK, b"after"].concat();
        let mut stored = vec![0];
        stored.extend((content.len() as u16).to_le_bytes());
        stored.extend((!(content.len() as u16)).to_le_bytes());
        stored.extend(&content);
        for end in [5 + 6 + MARK.len(), 5 + 6 + 7 + 2 * MARK.len()] {
            let ending = inflater.inflate(&stored[..end], &mut plain);
            assert_eq!(ending, Ending::Unknown);
        }
        // Blocks with codes, cut anywhere.
        let text: Vec<u8> = (0..40_000u32)
            .map(|n| ((n * n) >> 11) as u8 & 0x3f)
            .collect();
        let whole = packed(&text, b"", FlushCompress::Sync);
        for cut in (1..whole.len() - 5).step_by(7) {
            let stretch = marked(whole[..cut].to_vec());
            let ending = inflater.inflate(&stretch, &mut plain);
            assert_eq!(ending, Ending::Unknown, "{cut}");
        }
    }

    #[test]
    fn too_long_a_stretch_is_left_to_one_thread() {
        let mut plain = Vec::new();
        for (bytes, expected) in [
            (MOST_PLAIN, Ending::AtMark),
            (MOST_PLAIN + 1, Ending::Unknown),
        ] {
            let mut text = packed(&vec![0; bytes], b"", FlushCompress::Sync);
            text.extend(MARK);
            let ending = Inflater::new().inflate(&text, &mut plain);
            assert_eq!(ending, expected, "{bytes}");
            assert!(plain.capacity() < 2 * MOST_PLAIN);
        }
    }
}
