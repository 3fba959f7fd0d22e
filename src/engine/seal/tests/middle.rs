//! What is read from the middle of a file is what stands there.

use super::*;
use std::os::unix::fs::FileExt;

fn file_of(bytes: &[u8]) -> File {
    let file = tempfile::tempfile().unwrap();
    file.write_all_at(bytes, 0).unwrap();
    file
}

fn fast(encryption: Encryption, block_bytes: usize) -> Box<dyn Seal> {
    open(&SealOptions {
        encryption,
        compression: Compression::Fast,
        block_bytes: Some(block_bytes),
        threads: 2,
        ..SealOptions::default()
    })
    .unwrap()
}

fn by_passphrase() -> Encryption {
    symmetric("a passphrase").encryption
}

/// Where content can begin behind the `n`-th mark: at the next multiple of 512, what is before the content in its packet not
/// counted.
fn begins(form: Form, n: usize) -> usize {
    let plain = n << 20;
    match form {
        Form::Gpg => {
            let octets = (plain - 1).div_ceil(65537);
            (plain - 1 - octets - 6).next_multiple_of(512)
        }
        _ => plain,
    }
}

#[test]
fn content_begins_behind_the_next_mark() {
    let data = mixed(4_500_000);
    for (encryption, block_bytes) in [
        (Encryption::None, 16 * 1024),
        (Encryption::None, 256 * 1024),
        (by_passphrase(), 16 * 1024),
        (by_passphrase(), 256 * 1024),
    ] {
        let seal = fast(encryption, block_bytes);
        let file = sealed(&*seal, &data);
        let middle = seal.middle(seal.form(), file_of(&file)).unwrap();
        assert_eq!(middle.bytes().unwrap(), file.len() as u64);
        let (mut at, mut places) = (0, Vec::new());
        while let Some((place, mut content)) = middle.content(at) {
            assert!(place >= at && place < file.len() as u64);
            places.push(place);
            let mut found = Vec::new();
            // A message is not read into its last part, whose length is not that of others.
            let _ = content.read_to_end(&mut found);
            let rest = &data[begins(seal.form(), places.len())..];
            assert!(rest.starts_with(&found), "{:?} {place}", seal.form());
            assert!(found.len() + 200_000 > rest.len(), "{}", found.len());
            // From its place it comes again; a few bytes on, the next one comes.
            let (again, mut content) = middle.content(place).unwrap();
            let mut same = vec![0; 1000];
            content.read_exact(&mut same).unwrap();
            assert!(again == place && found.starts_with(&same));
            at = place + 10;
        }
        // In the last piece of a message too little is left to see its parts.
        assert!((3..=4).contains(&places.len()), "{places:?}");
    }
}

#[test]
fn files_of_others_have_no_middle() {
    let seal = fast(Encryption::None, 16 * 1024);
    for bytes in [&b""[..], b"no gzip file", &[0; 10_000]] {
        assert!(seal.middle(Form::Gzip, file_of(bytes)).is_none());
        assert!(seal.middle(Form::Gpg, file_of(bytes)).is_none());
        assert!(seal.middle(Form::Plain, file_of(bytes)).is_none());
    }
    // Without marks.
    let mut gzip = Command::new("gzip");
    gzip.arg("-nc");
    let output = run(gzip, &mixed(3_000_000)).stdout;
    if let Some(middle) = seal.middle(Form::Gzip, file_of(&output)) {
        assert!(middle.content(0).is_none() && middle.content(9_999_999).is_none());
    }
    // With another passphrase.
    let file = sealed(&*fast(by_passphrase(), 16 * 1024), &mixed(2_000_000));
    let other = fast(symmetric("another").encryption, 16 * 1024);
    assert!(other.middle(Form::Gpg, file_of(&file)).is_none());
}

#[test]
fn damage_is_survived() {
    for encryption in [Encryption::None, by_passphrase()] {
        let seal = fast(encryption, 16 * 1024);
        let file = sealed(&*seal, &mixed(2_500_000));
        for n in 0..30usize {
            let mut harmed = file.clone();
            let at = file.len() / 30 * n + n;
            match n % 3 {
                0 => harmed.truncate(at),
                1 => harmed[at] ^= 1 << (n % 8),
                _ => harmed[at..].fill(0xff),
            }
            let Some(middle) = seal.middle(seal.form(), file_of(&harmed)) else {
                continue;
            };
            for at in [0, at / 2, at, file.len() + 7] {
                if let Some((_, mut content)) = middle.content(at as u64) {
                    let _ = io::copy(&mut content, &mut io::sink());
                }
            }
        }
    }
}
