//! The hash Microsoft has of every file, QuickXorHash: bytes are laid over each other in a ring of 160 bits, each 11 bits
//! further than the one before, and the length over the end. It finds damage, not deceit.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const BITS: usize = 160;
const STEP: usize = 11;

/// A hash that grows.
#[derive(Default)]
pub(super) struct XorHash {
    ring: [u8; BITS / 8],
    /// Where the next byte begins, in bits.
    at: usize,
    bytes: u64,
}

impl XorHash {
    pub(super) fn update(&mut self, bytes: &[u8]) {
        for byte in bytes {
            // A byte lies over two of the ring, unless it begins with one.
            let wide = u16::from(*byte) << (self.at % 8);
            let first = self.at / 8;
            self.ring[first] ^= wide as u8;
            self.ring[(first + 1) % self.ring.len()] ^= (wide >> 8) as u8;
            self.at = (self.at + STEP) % BITS;
        }
        self.bytes += bytes.len() as u64;
    }

    /// As the service shows it.
    pub(super) fn text(mut self) -> String {
        let length = self.bytes.to_le_bytes();
        let end = self.ring.len() - length.len();
        for (place, byte) in self.ring[end..].iter_mut().zip(length) {
            *place ^= byte;
        }
        STANDARD.encode(self.ring)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(bytes: &[u8]) -> String {
        let mut hash = XorHash::default();
        // In pieces, as files are read.
        for piece in bytes.chunks(7) {
            hash.update(piece);
        }
        hash.text()
    }

    /// What the description of the algorithm says, bit by bit.
    fn by_the_book(bytes: &[u8]) -> String {
        let mut bits = [false; BITS];
        for (n, byte) in bytes.iter().enumerate() {
            for bit in 0..8 {
                bits[(n * STEP + bit) % BITS] ^= ((byte >> bit) & 1) == 1;
            }
        }
        let mut ring = [0u8; BITS / 8];
        for (n, bit) in bits.iter().enumerate() {
            ring[n / 8] |= u8::from(*bit) << (n % 8);
        }
        for (n, byte) in (bytes.len() as u64).to_le_bytes().iter().enumerate() {
            ring[12 + n] ^= byte;
        }
        STANDARD.encode(ring)
    }

    #[test]
    fn hashes_are_those_of_the_description() {
        assert_eq!(of(b""), "AAAAAAAAAAAAAAAAAAAAAAAAAAA=");
        let long: Vec<u8> = (0..10_000u32).map(|n| ((n * n) >> 3) as u8).collect();
        for bytes in [&b"a"[..], b"hello, world", &long] {
            assert_eq!(of(bytes), by_the_book(bytes));
        }
    }
}
