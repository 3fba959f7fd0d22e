//! Deflate: what is packed, in blocks that refer to each other, unpacks to what it was.
#![no_main]

use dupr::engine::seal::{Compression, Form, Seal, SealOptions, open};
use libfuzzer_sys::fuzz_target;
use std::io::{Cursor, Read, Write};
use std::sync::{Arc, Mutex, OnceLock};

/// One of each level: their threads live as long as they do.
fn seals() -> &'static [Box<dyn Seal>] {
    static SEALS: OnceLock<Vec<Box<dyn Seal>>> = OnceLock::new();
    SEALS.get_or_init(|| {
        let levels = [Compression::Fast, Compression::Default, Compression::Best];
        let options = levels.map(|compression| SealOptions {
            compression,
            threads: 1,
            block_bytes: Some(16 * 1024),
            ..SealOptions::default()
        });
        let seals = options.iter().map(open);
        seals.collect::<Result<_, _>>().expect("no keys are needed")
    })
}

#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, data: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no panic before").write(data)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fuzz_target!(|input: (u8, Vec<(bool, u16, u16, &[u8])>)| {
    let (level, pieces) = input;
    // Bytes of the input, runs of them, and repetitions of what came before.
    let mut plain: Vec<u8> = Vec::new();
    for (again, at, length, bytes) in pieces {
        if plain.len() > 200_000 {
            break;
        }
        if again && !plain.is_empty() {
            let from = plain.len() - 1 - usize::from(at) % plain.len();
            let to = plain.len().min(from + usize::from(length));
            plain.extend_from_within(from..to);
        } else {
            plain.extend(bytes.iter().cycle().take(bytes.len().max(length.into())));
        }
    }
    let seal = &seals()[usize::from(level) % 3];
    let sink = Sink::default();
    let mut writer = seal
        .seal(Form::Gzip, Box::new(sink.clone()))
        .expect("a sink takes all");
    writer.write_all(&plain).expect("a sink takes all");
    writer.finish().expect("a sink takes all");
    let packed = sink.0.lock().expect("no panic before").clone();
    let mut unpacked = Vec::new();
    seal.unseal(Form::Gzip, Box::new(Cursor::new(packed)))
        .and_then(|mut input| Ok(input.read_to_end(&mut unpacked)?))
        .expect("what we packed");
    assert!(unpacked == plain);
});
