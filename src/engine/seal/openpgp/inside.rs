//! Reads what is inside nearly every container: a literal packet, mostly in a compressed one.
//!
//! The library reads it too, but copies all content several times on the way. What else may be inside, signatures
//! above all, is left to it. The last stretch is held back until everything was read to the end of the container,
//! whose code is checked there. RFC 4880, 5.6 (compressed data) and 5.9 (literal data).

use super::packet::{PacketBody, damaged, octet, type_of};
use crate::engine::ahead::fill;
use crate::engine::seal::inflate::{Crew, Inflate};
use std::io::{self, Read};

/// Types of packets.
const COMPRESSED: u8 = 8;
const LITERAL: u8 = 11;

/// Compression algorithms.
const UNCOMPRESSED: u8 = 0;
const ZIP: u8 = 1;
const ZLIB: u8 = 2;

/// Content held back, and as much again to be handed out.
pub(super) const HELD_BACK_BYTES: usize = 128 * 1024;

/// How much of the content [`is_simple`] should see: the header of a deflate block and a little more.
pub(super) const SEEN_BYTES: usize = 1024;

/// Whether [`open`] reads what begins like this.
pub(super) fn is_simple(start: &[u8]) -> bool {
    let is_literal = |mut input: &mut dyn Read| {
        octet(&mut input).is_ok_and(|first| type_of(first) == Some(LITERAL))
    };
    let inner = || {
        let (kind, mut body) = PacketBody::open(start)?;
        io::Result::Ok(match (kind, octet(&mut body)?) {
            (LITERAL, _) => true,
            (COMPRESSED, UNCOMPRESSED) => is_literal(&mut body),
            (COMPRESSED, algorithm @ (ZIP | ZLIB)) => {
                is_literal(&mut Inflated::new(body, algorithm, None))
            }
            _ => false,
        })
    };
    inner().unwrap_or(false)
}

/// The content of the literal packet inside. An end without an error means that all was read and was right.
pub(super) fn open(container: Box<dyn Read + Send>, crew: Crew) -> io::Result<impl Read + Send> {
    let (kind, mut body) = PacketBody::open(container)?;
    let literal: Box<dyn Read + Send> = match kind {
        LITERAL => Box::new(body),
        COMPRESSED => {
            let packets: Box<dyn Read + Send> = match octet(&mut body)? {
                UNCOMPRESSED => Box::new(body),
                algorithm => Box::new(Inflated::new(body, algorithm, Some(crew))),
            };
            let (LITERAL, literal) = PacketBody::open(packets)? else {
                return Err(damaged("no content is inside"));
            };
            Box::new(literal)
        }
        _ => return Err(damaged("no content is inside")),
    };
    HeldBack::open(literal)
}

/// Inflates a stream, and reads its input to the end.
struct Inflated<R>(Inflate<R>);

impl<R: Read> Inflated<R> {
    fn new(input: R, algorithm: u8, crew: Option<Crew>) -> Self {
        Self(match algorithm {
            ZLIB => Inflate::zlib(input, damaged),
            _ => Inflate::new(input, crew, damaged),
        })
    }
}

impl<R: Read> Read for Inflated<R> {
    fn read(&mut self, data: &mut [u8]) -> io::Result<usize> {
        let n = self.0.read(data)?;
        if n == 0 && !data.is_empty() {
            // What follows the stream in its packet means nothing, to gpg as well; but the packet must end well.
            io::copy(self.0.rest(), &mut io::sink())?;
        }
        Ok(n)
    }
}

/// Hands out a buffer of content only after the next one was read.
struct HeldBack<R> {
    literal: R,
    ready: Vec<u8>,
    /// How much of `ready` was handed out.
    position: usize,
    next: Vec<u8>,
    /// Whether `next` is the last.
    ended: bool,
}

impl<R: Read> HeldBack<R> {
    /// Skips the head of the literal packet: format, name, date.
    fn open(mut literal: R) -> io::Result<Self> {
        octet(&mut literal)?;
        let name = octet(&mut literal)?;
        for _ in 0..u16::from(name) + 4 {
            octet(&mut literal)?;
        }
        let mut held = Self {
            literal,
            ready: Vec::new(),
            position: 0,
            next: Vec::new(),
            ended: false,
        };
        held.turn()?;
        Ok(held)
    }

    fn turn(&mut self) -> io::Result<()> {
        std::mem::swap(&mut self.ready, &mut self.next);
        self.position = 0;
        self.next.resize(HELD_BACK_BYTES, 0);
        let (filled, outcome) = match self.ended {
            true => (0, Ok(())),
            false => fill(&mut self.literal, &mut self.next),
        };
        outcome?;
        self.next.truncate(filled);
        self.ended = filled < HELD_BACK_BYTES;
        Ok(())
    }
}

impl<R: Read> Read for HeldBack<R> {
    fn read(&mut self, data: &mut [u8]) -> io::Result<usize> {
        if self.position == self.ready.len() && !self.next.is_empty() {
            self.turn()?;
        }
        let ready = self.ready.get(self.position..).unwrap_or_default();
        let n = ready.len().min(data.len());
        data[..n].copy_from_slice(&ready[..n]);
        self.position += n;
        Ok(n)
    }
}
