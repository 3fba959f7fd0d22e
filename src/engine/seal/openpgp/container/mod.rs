//! The container of an encrypted message: the Symmetrically Encrypted Integrity Protected Data packet, version 1.
//!
//! Encrypted are, in one stream of AES-CFB that starts from zeros: a block of random octets whose last two are
//! repeated, the packets inside, and the modification detection code, which is a packet with the SHA-1 of everything
//! before it. RFC 4880, 5.13 and 5.14. The library can do this too, at a third of the speed: its SHA-1 looks for
//! collisions, which are no way around a code that is encrypted together with what it covers. Keys, session keys and
//! the packets inside are the library's. docs/decisions.md, "The container is our own", has the figures.

mod cfb;
mod places;
mod read;
mod write;

pub(super) use cfb::Decryptor;
pub(super) use places::Places;
pub(super) use read::{ContainerReader, first_octets};
pub(super) use write::ContainerWriter;

/// Version octet, the only part of the packet's body that is not encrypted.
const VERSION: u8 = 1;

/// AES's block size.
const BLOCK_BYTES: usize = 16;

/// Random octets, the last two of them repeated.
pub(super) const PREFIX_BYTES: usize = BLOCK_BYTES + 2;

/// Header of the modification detection code packet. The code covers it as well.
const CODE_HEADER: [u8; 2] = [0xc0 | 19, 20];

/// The modification detection code packet: header and SHA-1.
const CODE_BYTES: usize = 22;

#[cfg(test)]
mod tests;
