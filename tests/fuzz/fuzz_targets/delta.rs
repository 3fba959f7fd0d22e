//! librsync: any signature and delta are read; a delta we make patches back to the content it was made of.
#![no_main]

use dupr::engine::delta::{DeltaReader, SignatureBuilder, SignatureIndex, patch};
use libfuzzer_sys::fuzz_target;
use std::io::{Cursor, Read};
use std::sync::Arc;

const LIMIT: u64 = 1 << 20;

fuzz_target!(|input: (u8, &[u8], &[u8])| {
    let (block_len, basis, other) = input;
    let _ = patch(&mut Cursor::new(basis), other, &mut Vec::new(), LIMIT);
    let commands = [b"rs\x02\x36", other].concat();
    let mut out = Vec::new();
    let _ = patch(
        &mut Cursor::new(basis),
        commands.as_slice(),
        &mut out,
        LIMIT,
    );
    assert!(out.len() as u64 <= LIMIT);

    let _ = SignatureIndex::parse(other);
    let mut forged = b"rs\x01\x36\0\0\0".to_vec();
    forged.push(block_len.max(1));
    forged.extend_from_slice(b"\0\0\0\x08");
    forged.extend_from_slice(other);
    if let Ok(index) = SignatureIndex::parse(&forged) {
        let mut delta = DeltaReader::new(Arc::new(index), basis);
        delta
            .read_to_end(&mut Vec::new())
            .expect("slices do not fail");
    }

    let mut builder = SignatureBuilder::new(block_len.into());
    builder.push(basis);
    let index = SignatureIndex::parse(&builder.finish()).expect("a signature we made");
    let mut delta = Vec::new();
    DeltaReader::new(Arc::new(index), other)
        .read_to_end(&mut delta)
        .expect("slices do not fail");
    let mut new = Vec::new();
    patch(&mut Cursor::new(basis), delta.as_slice(), &mut new, LIMIT).expect("a delta we made");
    assert!(new == other);
});
