//! A packet of unknown length, written in parts.
//!
//! The library's own writer keeps 4 MiB back; volumes, sigtars and manifests are open at once, so this one keeps 64
//! KiB. RFC 4880, 4.2.2.4 (partial lengths), 5.9 (literal data) and 5.13 (encrypted data).

use std::io::{self, Write};

/// New-format headers of packets.
const LITERAL: u8 = 0xc0 | 11;
const PROTECTED: u8 = 0xc0 | 18;

/// Each part but the last holds 2^16 bytes.
const PART_LOG2: u8 = 16;
pub(super) const PART_BYTES: usize = 1 << PART_LOG2;

/// What stands before each part but the last.
pub(super) const PART_OCTET: u8 = 0xe0 | PART_LOG2;

/// Cuts content into the parts of a packet.
pub(super) struct PacketFraming {
    /// The part being filled behind its octet, and before the first one the packet's header.
    part: Vec<u8>,
    /// Bytes of the part before its content.
    lead: usize,
}

impl PacketFraming {
    /// Frames literal data: binary, no name, no date.
    pub(super) fn literal() -> Self {
        Self::new(LITERAL, &[b'b', 0, 0, 0, 0, 0])
    }

    /// Frames encrypted data with a modification detection code: version 1.
    pub(super) fn protected() -> Self {
        Self::new(PROTECTED, &[1])
    }

    fn new(header: u8, first: &[u8]) -> Self {
        let mut part = vec![header, PART_OCTET];
        let lead = part.len();
        part.extend(first);
        Self { part, lead }
    }

    /// Bytes of a literal packet's body before its content.
    pub(super) const LITERAL_HEAD_BYTES: usize = 6;

    /// Bytes held back.
    pub(super) fn pending_bytes(&self) -> u64 {
        (self.part.len() - self.lead) as u64
    }

    /// Takes all of `data`, and has `write` write the parts that are full; it may keep their buffers, and give others.
    pub(super) fn write(
        &mut self,
        mut data: &[u8],
        mut write: impl FnMut(&mut Vec<u8>) -> io::Result<()>,
    ) -> io::Result<()> {
        while !data.is_empty() {
            let room = self.lead + PART_BYTES - self.part.len();
            self.part.reserve_exact(room);
            let (now, rest) = data.split_at(data.len().min(room));
            self.part.extend_from_slice(now);
            data = rest;
            // A full part waits for the next byte, for the packet must not end with a partial length.
            if now.len() == room && !data.is_empty() {
                write(&mut self.part)?;
                self.part.clear();
                self.part.push(PART_OCTET);
                self.lead = 1;
            }
        }
        Ok(())
    }

    /// Ends the packet.
    pub(super) fn finish(self, out: &mut dyn Write) -> io::Result<()> {
        let (lead, content) = self.part.split_at(self.lead);
        // The last part has another octet than the others.
        out.write_all(&lead[..lead.len() - 1])?;
        let len = content.len();
        match len {
            0..=191 => out.write_all(&[len as u8])?,
            192..=8383 => out.write_all(&[((len - 192) >> 8) as u8 + 192, (len - 192) as u8])?,
            _ => {
                out.write_all(&[0xff])?;
                out.write_all(&(len as u32).to_be_bytes())?;
            }
        }
        out.write_all(content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sequoia_openpgp::parse::Parse;
    use sequoia_openpgp::{Packet, PacketPile};

    #[test]
    fn every_length_is_read_back() {
        for len in [
            0, 1, 185, 186, 187, 8377, 8378, 65_529, 65_530, 65_531, 131_066, 131_067, 300_000,
        ] {
            let content: Vec<u8> = (0..len).map(|n| (n % 251) as u8).collect();
            let mut framing = PacketFraming::literal();
            let mut out = Vec::new();
            for piece in content.chunks(50_000) {
                framing.write(piece, |part| out.write_all(part)).unwrap();
            }
            framing.finish(&mut out).unwrap();
            let pile = PacketPile::from_bytes(&out).unwrap();
            let packets: Vec<_> = pile.children().collect();
            assert_eq!(packets.len(), 1, "{len}");
            let Packet::Literal(literal) = packets[0] else {
                panic!("{len}: {:?}", packets[0])
            };
            assert!(literal.body() == content, "{len}");
        }
    }
}
