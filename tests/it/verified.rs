//! Verifying where volumes are hashed while they are read: whatever is wrong, what is told is what looking at each volume
//! first tells.

use crate::support::vault::{Fork, Heard, Sealed, T0, Vault, noise, seal_of, set_mtime, write};
use dupr::engine::monitor::Level;
use dupr::engine::seal::Form;
use dupr::engine::storage::{StorageOptions, TargetUrl, open};
use dupr::engine::tree::Source;
use dupr::engine::{Difference, Engine, Mode, Output, Result, VerifyOptions};
use std::io::{Cursor, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};

/// What is noted when volumes are looked at once more.
const NOTE: &str = "looking at each volume before it is read";

/// A full set and two increments, each of several volumes, and a source that was changed since.
fn vault(sealed: Sealed) -> Vault {
    let mut vault = Vault::new("verified", sealed);
    vault.volume_bytes = 300 << 10;
    let source = vault.source();
    for n in 0..40u64 {
        let dir = source.join(format!("d{}", n % 4));
        write(&dir.join(format!("noise{n}")), &noise(50_000, n), T0 - 900);
        let text = format!("line {n}, ").repeat(n as usize * 500);
        write(&dir.join(format!("text{n}")), text.as_bytes(), T0 - 901);
    }
    vault.backup(Mode::Full, T0 - 800);
    for turn in 1..3u64 {
        for n in (0..40u64).step_by(7) {
            let file = source.join(format!("d{}/noise{n}", n % 4));
            let mut bytes = std::fs::read(&file).expect("a file");
            bytes.splice(20_000..20_000, noise(9_000, 100 * turn + n));
            write(&file, &bytes, T0 - 700 + turn as i64);
        }
        let grown = noise(400_000, turn);
        write(&source.join(format!("new{turn}")), &grown, T0 - 690);
        vault.backup(Mode::Incremental, T0 - 600 + turn as i64);
    }
    write(&source.join("d0/text4"), b"other words", T0 - 901);
    write(&source.join("d1/only here"), b"", T0);
    std::fs::remove_file(source.join("d2/noise2")).expect("a file");
    set_mtime(&source.join("d3/text3"), T0 - 5);
    vault
}

/// Keeps the differences.
#[derive(Default)]
struct Differences(Vec<Difference>);

impl Output for Differences {
    fn difference(&mut self, difference: &Difference) -> Result<()> {
        self.0.push(difference.clone());
        Ok(())
    }
}

/// All that a verification tells, and what it only says to the curious.
fn verified(vault: &Vault, engine: &Engine, compare: bool) -> (String, Heard) {
    let (heard, mut found) = (Heard::default(), Differences::default());
    let options = VerifyOptions {
        compare,
        ..VerifyOptions::default()
    };
    let local = Source::new(vault.source());
    let outcome = vault.with(T0, &heard, |cx| {
        engine.verify(&local, &options, &mut found, cx)
    });
    let outcome = outcome.map_err(|e| e.kind());
    let mut problems: Vec<_> = heard.problems.lock().expect("problems").clone();
    problems.sort_by(|a, b| a.path.cmp(&b.path));
    let notes = heard.notes.lock().expect("notes");
    let warnings: Vec<_> = notes.iter().filter(|(l, _)| *l >= Level::Notice).collect();
    let told = format!("{outcome:#?}\n{:#?}\n{problems:#?}\n{warnings:#?}", found.0);
    drop(notes);
    (told, heard)
}

/// Verifies what is in memory, and the same in a folder.
fn both(vault: &Vault, fork: &Fork, when: &str) -> (String, Heard) {
    let target = vault.scratch.join("target");
    let _ = std::fs::remove_dir_all(&target);
    std::fs::create_dir(&target).expect("a target");
    for name in vault.storage.names() {
        let bytes = vault.storage.bytes(&name).expect("an object");
        std::fs::write(target.join(name), bytes).expect("a file");
    }
    let mut last = None;
    for compare in [false, true] {
        let (expected, _) = verified(vault, &vault.engine(), compare);
        fork.rewind_archive();
        let (told, heard) = verified(vault, &local(vault, &target), compare);
        fork.rewind_archive();
        assert_eq!(told, expected, "{when}, {compare}: {}", heard.all());
        last = Some((told, heard));
    }
    last.expect("two of them")
}

fn local(vault: &Vault, target: &Path) -> Engine {
    let url = TargetUrl::parse(&format!("file://{}", target.display())).expect("a URL");
    vault.engine_on(open(&url, &StorageOptions::default()).expect("a target"))
}

fn damage(sealed: Sealed) {
    let vault = vault(sealed);
    let fork = vault.fork();
    let (told, heard) = both(&vault, &fork, "whole");
    assert!(!told.contains("differences: 0"), "{told}");
    assert!(told.contains("problems: 0"), "{told}");
    assert!(!heard.says(NOTE), "{}", heard.all());

    let mut volumes = vault.storage.names();
    volumes.retain(|n| n.contains(".difftar"));
    assert!(volumes.len() > 6, "{volumes:?}");
    let other = vault.storage.bytes(&volumes[1]).expect("a volume");
    for (turn, name) in volumes.iter().enumerate() {
        let whole = vault.storage.bytes(name).expect("a volume");
        let flipped = |at: usize| {
            let mut bytes = whole.clone();
            bytes[at] ^= 4;
            bytes
        };
        let harms = [
            ("a bit at the start", Some(flipped(10 + turn))),
            (
                "a bit in the middle",
                Some(flipped(whole.len() * (turn + 1) / (volumes.len() + 2))),
            ),
            ("a bit at the end", Some(flipped(whole.len() - 1 - turn))),
            (
                "cut off",
                Some(whole[..whole.len() - 30_000.min(whole.len() / 2)].to_vec()),
            ),
            ("longer", Some([&whole[..], b"more"].concat())),
            (
                "another",
                Some(other.clone()).filter(|other| *other != whole),
            ),
            ("gone", None),
        ];
        // Each of them somewhere, and two of them everywhere.
        for (n, (harm, bytes)) in harms.into_iter().enumerate() {
            if n != 1 && n != turn % 7 {
                continue;
            }
            match bytes {
                Some(bytes) => vault.storage.insert(name, bytes),
                None if harm == "gone" => {
                    vault.storage.remove(name);
                }
                None => continue,
            }
            let when = format!("{sealed:?} {name} {harm}");
            let (told, heard) = both(&vault, &fork, &when);
            assert!(!told.contains("problems: 0"), "{when}: {told}");
            assert!(
                harm == "gone" || heard.says(NOTE),
                "{when}: {}",
                heard.all()
            );
            fork.rewind();
        }
    }
}

#[test]
fn damage_of_encrypted_volumes_is_told_as_ever() {
    damage(Sealed::Gpg);
}

#[test]
fn damage_of_gzip_volumes_is_told_as_ever() {
    damage(Sealed::Gzip);
}

#[test]
fn damage_of_plain_volumes_is_told_as_ever() {
    damage(Sealed::Plain);
}

/// Another file with the same content.
fn resealed(sealed: Sealed, file: &[u8]) -> Vec<u8> {
    match sealed {
        Sealed::Gpg => {
            let seal = seal_of(sealed, 1);
            let sink = Sink::default();
            let mut content = seal
                .unseal(Form::Gpg, Box::new(Cursor::new(file.to_vec())))
                .expect("a volume");
            let mut again = seal
                .seal(Form::Gpg, Box::new(sink.clone()))
                .expect("a seal");
            std::io::copy(&mut content, &mut again).expect("its content");
            again.finish().expect("a volume");
            let bytes = sink.0.lock().expect("bytes");
            bytes.clone()
        }
        // A member that holds nothing.
        Sealed::Gzip => {
            let empty = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            [file, &empty.finish().expect("a member")].concat()
        }
        // What follows the end of a tar means nothing.
        Sealed::Plain => [file, &[0; 512]].concat(),
    }
}

/// A file in memory.
#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("bytes").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_volume_that_is_whole_and_not_the_one_is_found_by_its_hash_alone() {
    for sealed in [Sealed::Gpg, Sealed::Gzip, Sealed::Plain] {
        let vault = vault(sealed);
        let fork = vault.fork();
        let names = vault.storage.names();
        let name = names
            .iter()
            .find(|n| n.contains("-full.") && n.contains(".vol2."));
        let name = name.expect("a volume");
        let file = vault.storage.bytes(name).expect("a volume");
        vault.storage.insert(name, resealed(sealed, &file));
        let (told, heard) = both(&vault, &fork, "resealed");
        assert!(heard.says(NOTE), "{sealed:?}: {}", heard.all());
        assert!(!told.contains("problems: 0"), "{sealed:?}: {told}");
    }
}
