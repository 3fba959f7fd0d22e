//! How long the content is that a delta makes, told without its basis.

use super::DELTA_MAGIC;
use super::command::{COPY, COPY_LAST, END, LITERAL, SHORT_LITERAL_MAX};

/// Longest command without its literal bytes: a copy with two numbers of eight bytes.
const COMMAND_BYTES_MAX: usize = 17;

/// Follows a delta that comes in pieces. Memory: a command.
#[derive(Debug, Default)]
pub struct DeltaMeter {
    begun: bool,
    ended: bool,
    is_bad: bool,
    /// Bytes of a command, or of the magic number, that came so far.
    command: Vec<u8>,
    /// Literal bytes still to come.
    literal: u64,
    made: u64,
}

impl DeltaMeter {
    /// Takes the next piece, of any length.
    pub fn push(&mut self, mut piece: &[u8]) {
        while !self.is_bad && !piece.is_empty() {
            if self.literal > 0 {
                let n = usize::try_from(self.literal)
                    .map_or(piece.len(), |literal| literal.min(piece.len()));
                self.literal -= n as u64;
                piece = piece.get(n..).unwrap_or_default();
                continue;
            }
            if let Some((byte, rest)) = piece.split_first() {
                self.command.push(*byte);
                piece = rest;
                self.step();
            }
        }
    }

    /// Length of what the delta makes; `None` if it is not a whole delta.
    pub fn finish(self) -> Option<u64> {
        let is_whole = self.ended && !self.is_bad && self.command.is_empty();
        is_whole.then_some(self.made)
    }

    /// Carries out what is in `command` once it is whole.
    fn step(&mut self) {
        let command = std::mem::take(&mut self.command);
        if !self.begun {
            match <[u8; 4]>::try_from(command.as_slice()) {
                Ok(magic) => {
                    self.begun = true;
                    self.is_bad = u32::from_be_bytes(magic) != DELTA_MAGIC;
                }
                Err(_) => self.command = command,
            }
            return;
        }
        let Some((&first, numbers)) = command.split_first() else {
            return;
        };
        let width = |exponent: u8| 1usize << exponent;
        let (wanted, skipped) = match first {
            _ if self.ended => return self.is_bad = true,
            END => return self.ended = true,
            1..=SHORT_LITERAL_MAX => return self.make(first.into(), true),
            LITERAL..COPY => (width(first - LITERAL), 0),
            COPY..=COPY_LAST => {
                let widths = first - COPY;
                let offset = width(widths / 4);
                (offset + width(widths % 4), offset)
            }
            _ => return self.is_bad = true,
        };
        if numbers.len() < wanted && command.len() < COMMAND_BYTES_MAX {
            self.command = command;
            return;
        }
        let length = numbers.get(skipped..).unwrap_or_default();
        let length = length.iter().fold(0, |n, byte| n << 8 | u64::from(*byte));
        self.make(length, first < COPY);
    }

    fn make(&mut self, length: u64, is_literal: bool) {
        match self.made.checked_add(length) {
            Some(made) => self.made = made,
            None => self.is_bad = true,
        }
        if is_literal {
            self.literal = length;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{DeltaReader, SignatureBuilder, SignatureIndex, patch};
    use super::*;
    use proptest::prelude::*;
    use std::io::{Cursor, Read};
    use std::sync::Arc;

    fn metered(delta: &[u8], piece: usize) -> Option<u64> {
        let mut meter = DeltaMeter::default();
        delta.chunks(piece).for_each(|p| meter.push(p));
        meter.finish()
    }

    proptest! {
        #[test]
        fn tells_what_a_patch_makes(
            basis in proptest::collection::vec(0u8..4, 0..3000),
            new in proptest::collection::vec(0u8..4, 0..3000),
            piece in 1usize..50,
        ) {
            let mut builder = SignatureBuilder::new(16);
            builder.push(&basis);
            let index = Arc::new(SignatureIndex::parse(&builder.finish()).unwrap());
            let mut delta = Vec::new();
            DeltaReader::new(index, new.as_slice()).read_to_end(&mut delta).unwrap();
            prop_assert_eq!(metered(&delta, piece), Some(new.len() as u64));
            prop_assert_eq!(metered(&delta[..delta.len() - 1], piece), None);
            delta.push(0);
            prop_assert_eq!(metered(&delta, piece), None);
        }

        #[test]
        fn agrees_with_patch_about_any_bytes(
            commands in proptest::collection::vec(any::<u8>(), 0..40),
            piece in 1usize..9,
        ) {
            let delta = [&DELTA_MAGIC.to_be_bytes()[..], &commands].concat();
            let patched = patch(&mut Cursor::new(vec![7; 300]), &*delta, &mut Vec::new(), 1 << 20);
            if let Ok(length) = patched {
                prop_assert_eq!(metered(&delta, piece), Some(length));
            }
        }
    }
}
