//! Difftars and sigtars: any bytes are read, and no path leads out of the tree.
#![no_main]

use dupr::engine::PathIndex;
use dupr::engine::format::difftar::DifftarReader;
use dupr::engine::format::sigtar::SigtarReader;
use libfuzzer_sys::fuzz_target;
use std::io;

fn check(path: &PathIndex) {
    assert!(!path.as_bytes().starts_with(b"/"));
    assert!(path.components().all(|c| c != b".." && c != b"."));
}

fuzz_target!(|bytes: &[u8]| {
    let mut reader = DifftarReader::new(bytes);
    loop {
        match reader.next_member() {
            Ok(None) => break,
            Ok(Some(member)) => {
                check(&member.path);
                let _ = io::copy(&mut reader, &mut io::sink());
            }
            Err(error) if error.is_refusal() => {}
            Err(_) => break,
        }
    }
    for entry in SigtarReader::new(bytes).flatten() {
        check(&entry.path);
    }
});
