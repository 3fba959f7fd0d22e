//! Content from the middle of a message as [`MessageWriter`](super::write::MessageWriter) writes them.
//!
//! The content is in parts inside what is deflated. Where the parts begin behind a mark cannot be known without counting
//! the marks before it; but the octets before them come at equal distances, and that is how they are found.

use super::container::Places;
use super::framing::{PART_BYTES, PART_OCTET, PacketFraming};
use super::head::Head;
use super::packet::{PacketBody, damaged};
use super::read::key_of;
use super::unlock::Secrets;
use crate::engine::ahead::fill;
use crate::engine::seal::inflate::Inflate;
use crate::engine::seal::middle::UNIT_BYTES;
use std::fs::File;
use std::io::{self, Cursor, Read};
use std::sync::Arc;

/// Bytes of the prefix and of the head of the compressed packet, which are in front of the deflate stream.
const BEFORE_STREAM: u64 = 20;

/// How many marks that turn out to be none are passed over.
const TRIES: usize = 4;

/// How much is looked at to find where parts begin.
const SEEN_BYTES: usize = 6 * FRAMED_BYTES;

/// A part with the octet before it.
const FRAMED_BYTES: usize = PART_BYTES + 1;

/// A message to be read from places in its middle.
pub(in crate::engine::seal) struct MessageMiddle(Places);

impl MessageMiddle {
    /// The message in `file` that begins with `seen`. `None` if it is laid out in another way, or not ours to open.
    pub(in crate::engine::seal) fn open(
        file: Arc<File>,
        head: &Head,
        seen: &[u8],
        secrets: Arc<Secrets>,
    ) -> Option<Self> {
        let key = key_of(head, seen, secrets)?;
        Places::open(file, head.bytes as u64, key).map(Self)
    }

    /// Content from the first mark behind byte `at` of the deflate stream on; see [`Middle`](crate::engine::seal::Middle).
    pub(in crate::engine::seal) fn content(&self, mut at: u64) -> Option<(u64, Box<dyn Read>)> {
        for _ in 0..TRIES {
            let input = self.0.read_at(BEFORE_STREAM + at).ok()??;
            let (passed, inflate) = Inflate::from_mark(input, damaged)?;
            at += passed;
            if let Some(content) = unframed(inflate) {
                return Some((at, content));
            }
            at += 1;
        }
        None
    }
}

/// What is in the parts of the literal packet in whose middle `packet` begins, from the next unit on.
fn unframed(mut packet: impl Read + 'static) -> Option<Box<dyn Read>> {
    let mut seen = vec![0; SEEN_BYTES];
    let (filled, _) = fill(&mut packet, &mut seen);
    seen.truncate(filled);
    let left = end_of_part(&seen)?;
    let mut content = PacketBody::within(Cursor::new(seen).chain(packet), left as u64);
    // All parts before hold whole units, but for the head of the packet in the first.
    let skipped = (PacketFraming::LITERAL_HEAD_BYTES + left) % UNIT_BYTES;
    io::copy(&mut (&mut content).take(skipped as u64), &mut io::sink()).ok()?;
    Some(Box::new(content))
}

/// How many bytes of `seen` belong to the part in which it begins, if that is certain.
fn end_of_part(seen: &[u8]) -> Option<usize> {
    if seen.len() < SEEN_BYTES {
        return None;
    }
    let is_end = |end: &usize| {
        let octets = seen.get(*end..).unwrap_or_default().iter();
        octets.step_by(FRAMED_BYTES).all(|o| *o == PART_OCTET)
    };
    let mut ends = (0..FRAMED_BYTES).filter(is_end);
    let end = ends.next()?;
    ends.next().is_none().then_some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_part_is_found_only_if_it_is_certain() {
        for end in [0, 1, 511, PART_BYTES] {
            let mut seen = vec![7; SEEN_BYTES];
            assert_eq!(end_of_part(&seen), None);
            for octet in seen.iter_mut().skip(end).step_by(FRAMED_BYTES) {
                *octet = PART_OCTET;
            }
            assert_eq!(end_of_part(&seen), Some(end));
            // Content that has the same octet somewhere.
            seen[end + 9] = PART_OCTET;
            assert_eq!(end_of_part(&seen), Some(end));
            seen.pop();
            assert_eq!(end_of_part(&seen), None);
        }
        assert_eq!(end_of_part(&vec![PART_OCTET; SEEN_BYTES]), None);
    }
}
