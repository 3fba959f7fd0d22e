//! Tar: any bytes are read; a member that is understood is written and read back the same.
#![no_main]

use dupr::engine::format::tar::{TarReader, write_header};
use libfuzzer_sys::fuzz_target;
use std::io::{self, Read};

/// Makes the checksums of the first blocks right, or the fuzzer hardly gets past them.
fn with_checksums(bytes: &[u8]) -> Vec<u8> {
    let mut tar = bytes.to_vec();
    for block in tar.chunks_exact_mut(512).take(16) {
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
    tar
}

fuzz_target!(|bytes: &[u8]| {
    for tar in [bytes.to_vec(), with_checksums(bytes)] {
        let mut reader = TarReader::new(tar.as_slice());
        while let Ok(Some(header)) = reader.next_header() {
            let header = header.clone();
            let mut out = Vec::new();
            write_header(
                &mut out,
                &header.name,
                &header.kind,
                &header.meta,
                header.size,
            );
            let mut again = TarReader::new(out.as_slice());
            let again = again
                .next_header()
                .expect("a header we wrote")
                .expect("one member");
            assert_eq!((&again.kind, again.size), (&header.kind, header.size));
            if io::copy(&mut reader.by_ref(), &mut io::sink()).is_err() {
                break;
            }
        }
    }
});
