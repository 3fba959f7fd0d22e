//! The rolling sum of rsync: two sums over a window of bytes that can be moved by a byte at little cost.

/// Added to each byte. Part of the format.
const OFFSET: u32 = 31;

/// Sum over a window. Of both halves only the low 16 bits count.
#[derive(Clone, Copy)]
pub(super) struct RollingSum {
    /// Sum of the bytes.
    s1: u32,
    /// Sum of all values `s1` had.
    s2: u32,
    /// What a byte takes from `s2` when it leaves: the length of the window.
    length: u32,
}

impl RollingSum {
    /// The sum of `window`.
    pub(super) fn of(window: &[u8]) -> Self {
        let (mut s1, mut s2) = (0u32, 0u32);
        for chunk in window.chunks(64) {
            // In one chunk: s2 grows by s1 for each byte, and by each byte as often as bytes follow it.
            let n = chunk.len() as u32;
            let weighted = chunk
                .iter()
                .zip((1..=n).rev())
                .map(|(b, w)| (u32::from(*b) + OFFSET) * w);
            s2 = s2
                .wrapping_add(s1.wrapping_mul(n))
                .wrapping_add(weighted.sum());
            s1 = s1.wrapping_add(chunk.iter().map(|b| u32::from(*b) + OFFSET).sum());
        }
        Self {
            s1,
            s2,
            length: window.len() as u32,
        }
    }

    /// Moves the window by a byte.
    #[inline(always)]
    pub(super) fn rotate(&mut self, old: u8, new: u8) {
        let (old, new) = (u32::from(old), u32::from(new));
        self.s1 = self.s1.wrapping_add(new).wrapping_sub(old);
        let leaving = self.length.wrapping_mul(old + OFFSET);
        self.s2 = self.s2.wrapping_add(self.s1).wrapping_sub(leaving);
    }

    /// Shortens the window by its first byte.
    pub(super) fn drop_first(&mut self, old: u8) {
        let old = u32::from(old) + OFFSET;
        self.s1 = self.s1.wrapping_sub(old);
        self.s2 = self.s2.wrapping_sub(self.length.wrapping_mul(old));
        self.length -= 1;
    }

    /// As it stands in signatures.
    #[inline(always)]
    pub(super) fn digest(self) -> u32 {
        (self.s2 << 16) | (self.s1 & 0xffff)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_sum() {
        assert_eq!(RollingSum::of(b"hello\n").digest(), 0x0ad0_02d8);
        assert_eq!(RollingSum::of(b"").digest(), 0);
    }

    proptest! {
        #[test]
        fn moved_window_has_the_sum_of_its_bytes(data in prop::collection::vec(any::<u8>(), 2..300), at in 1usize..299) {
            let length = at.min(data.len() - 1);
            let mut sum = RollingSum::of(&data[..length]);
            for start in 0..data.len() - length {
                prop_assert_eq!(sum.digest(), RollingSum::of(&data[start..start + length]).digest());
                sum.rotate(data[start], data[start + length]);
            }
            for start in data.len() - length..data.len() {
                prop_assert_eq!(sum.digest(), RollingSum::of(&data[start..]).digest());
                sum.drop_first(data[start]);
            }
        }
    }
}
