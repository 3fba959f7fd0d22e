//! Codes to bytes: the first bit is the lowest of the first byte (RFC 1951, 3.1.1).

/// Appends bits to a vector of bytes. Less than a byte of them is held back.
pub(super) struct BitWriter<'a> {
    out: &'a mut Vec<u8>,
    pending: Pending,
}

/// Bits that wait for a whole byte.
#[derive(Clone, Copy, Default)]
struct Pending {
    bits: u64,
    count: u32,
}

impl<'a> BitWriter<'a> {
    /// Starts on a byte boundary, at the end of `out`.
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        Self {
            out,
            pending: Pending::default(),
        }
    }

    /// Appends the lowest `count` bits, at most 56; those above must be zero.
    #[inline]
    pub(super) fn put(&mut self, bits: u64, count: u32) {
        self.pending.bits |= bits << self.pending.count;
        self.pending.count += count;
        while self.pending.count >= 8 {
            self.out.push(self.pending.bits as u8);
            self.pending.bits >>= 8;
            self.pending.count -= 8;
        }
    }

    /// Appends the codes of many items, of at most 56 bits each, as [`put`](Self::put) would; `most_bytes` is room enough for
    /// all.
    pub(super) fn put_all<T: Copy>(
        &mut self,
        items: &[T],
        code: impl Fn(T) -> (u64, u32),
        most_bytes: usize,
    ) {
        let start = self.out.len();
        // A word is stored whole each time, though only its full bytes count.
        self.out.resize(start + most_bytes + 16, 0);
        let room = self.out.get_mut(start..).unwrap_or_default();
        let Pending {
            bits: mut held,
            mut count,
        } = self.pending;
        let mut at = 0;
        let mut put = |bits: u64, n: u32| {
            held |= bits << (count & 63);
            count += n;
            if let Some(place) = room.get_mut(at..at + 8) {
                place.copy_from_slice(&held.to_le_bytes());
            }
            at += (count >> 3) as usize;
            held >>= count & 56;
            count &= 7;
        };
        // Each code waits for the one before: two at a time wait half as long.
        let (pairs, odd) = items.as_chunks::<2>();
        for &[first, second] in pairs {
            let ((first, n), (second, m)) = (code(first), code(second));
            if n + m <= 56 {
                put(first | second << (n & 63), n + m);
            } else {
                put(first, n);
                put(second, m);
            }
        }
        for &item in odd {
            let (bits, n) = code(item);
            put(bits, n);
        }
        self.pending = Pending { bits: held, count };
        self.out.truncate(start + at);
    }

    /// Appends zero bits up to a byte boundary, then whole bytes.
    pub(super) fn put_bytes(&mut self, bytes: &[u8]) {
        self.put(0, (8 - self.pending.count) % 8);
        self.out.extend_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bits_come_out_in_order(codes in prop::collection::vec((any::<u64>(), 0u32..=56), 0..200), split in 0usize..200) {
            let codes: Vec<(u64, u32)> = codes.into_iter().map(|(bits, n)| (bits & ((1 << n) - 1), n)).collect();
            let split = split.min(codes.len());
            let mut out = vec![0xaa];
            let mut writer = BitWriter::new(&mut out);
            for &(bits, n) in &codes[..split] {
                writer.put(bits, n);
            }
            writer.put_all(&codes[split..], |code| code, 200 * 7);
            writer.put_bytes(b"end");

            let wanted: Vec<bool> = codes.iter().flat_map(|&(bits, n)| (0..n).map(move |i| bits >> i & 1 == 1)).collect();
            prop_assert_eq!(out.len(), 1 + wanted.len().div_ceil(8) + 3);
            prop_assert_eq!(&out[out.len() - 3..], b"end");
            for (at, bit) in wanted.into_iter().enumerate() {
                prop_assert_eq!(out[1 + at / 8] >> (at % 8) & 1 == 1, bit);
            }
        }
    }
}
