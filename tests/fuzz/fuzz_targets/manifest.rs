//! Manifests: any bytes are read, and what is understood survives being written.
#![no_main]

use dupr::engine::format::manifest::Manifest;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    let Ok(manifest) = Manifest::parse(text) else {
        return;
    };
    let again = Manifest::parse(&manifest.to_bytes()).expect("a manifest we wrote");
    assert_eq!(again.volumes, manifest.volumes);
    assert_eq!(again.files, manifest.files);
    let volumes = Manifest::parse_volumes(text).expect("less than what was read before");
    assert_eq!(volumes.volumes, manifest.volumes);
});
