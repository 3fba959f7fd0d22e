//! What is sealed here opens here, and everywhere else.

use super::*;

#[test]
fn plain_and_gzip_bring_every_content_back() {
    for (compression, form) in [
        (Compression::None, Form::Plain),
        (Compression::Fast, Form::Gzip),
        (Compression::Default, Form::Gzip),
        (Compression::Best, Form::Gzip),
    ] {
        let seal = open(&SealOptions {
            compression,
            threads: 2,
            ..SealOptions::default()
        })
        .unwrap();
        assert_eq!((seal.form(), seal.manifest_form()), (form, Form::Plain));
        for data in contents() {
            let file = sealed(&*seal, &data);
            assert!(
                unseal(&*seal, form, &file).unwrap() == data,
                "{compression:?} {}",
                data.len()
            );
        }
    }
}

#[test]
fn gzip_and_python_read_our_gzip() {
    let seal = open(&SealOptions {
        threads: 2,
        ..SealOptions::default()
    })
    .unwrap();
    for data in contents() {
        let file = sealed(&*seal, &data);
        let mut gzip = Command::new("gzip");
        gzip.arg("-dc");
        let output = run(gzip, &file);
        assert!(
            output.status.success() && output.stdout == data,
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let mut python = Command::new("python3");
        python.args(["-c", "import gzip,sys; sys.stdout.buffer.write(gzip.GzipFile(fileobj=sys.stdin.buffer).read())"]);
        assert!(run(python, &file).stdout == data);
        // zlib takes the stream apart to the last byte.
        let mut python = Command::new("python3");
        python.args(["-c", "import zlib,sys; d=zlib.decompressobj(31); sys.stdout.buffer.write(d.decompress(sys.stdin.buffer.read())+d.flush()); assert d.eof and not d.unused_data"]);
        let output = run(python, &file);
        assert!(
            output.status.success() && output.stdout == data,
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

#[test]
fn members_of_gzip_are_read_to_the_last() {
    let seal = open(&SealOptions::default()).unwrap();
    let mut file = sealed(&*seal, b"first ");
    file.extend(sealed(&*seal, b"second"));
    assert_eq!(unseal(&*seal, Form::Gzip, &file).unwrap(), b"first second");
}

#[test]
fn damaged_gzip_is_an_error() {
    let seal = open(&SealOptions {
        threads: 1,
        ..SealOptions::default()
    })
    .unwrap();
    let data = mixed(200_000);
    let file = sealed(&*seal, &data);
    for end in [
        0,
        5,
        10,
        file.len() / 2,
        file.len() - 9,
        file.len() - 8,
        file.len() - 1,
    ] {
        let result = unseal(&*seal, Form::Gzip, &file[..end]);
        assert_eq!(
            result.map_err(|e| e.kind()),
            Err(ErrorKind::Corrupt),
            "cut at {end}"
        );
    }
    for at in (10..file.len()).step_by(file.len() / 60) {
        let mut damaged = file.clone();
        damaged[at] ^= 0x10;
        match unseal(&*seal, Form::Gzip, &damaged) {
            Ok(plain) => assert!(plain == data, "flip at {at}"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupt, "flip at {at}: {error}"),
        }
    }
}

#[test]
fn passphrase_messages_open_here_and_with_gpg() {
    let home = Home::new();
    for compression in [Compression::None, Compression::Default] {
        let seal = open(&SealOptions {
            compression,
            ..symmetric("pässphrase 1")
        })
        .unwrap();
        assert_eq!(
            (seal.form(), seal.manifest_form(), seal.can_read_back()),
            (Form::Gpg, Form::Gpg, true)
        );
        // Another one, which has to derive the key itself.
        let reader = open(&symmetric("pässphrase 1")).unwrap();
        for data in contents() {
            let file = sealed(&*seal, &data);
            assert!(
                unseal(&*reader, Form::Gpg, &file).unwrap() == data,
                "{compression:?} {}",
                data.len()
            );
            let (plain, words) = home.decrypt("pässphrase 1", &file);
            assert!(
                plain == data && !words.contains("WARNING"),
                "{compression:?} {}: {words}",
                data.len()
            );
        }
    }
}

#[test]
fn packets_are_those_every_gpg_reads() {
    let home = Home::with_ada();
    let listed = |options: &SealOptions| {
        let file = sealed(&*open(options).unwrap(), b"content");
        String::from_utf8(home.ok(&["--passphrase", "pw", "--list-packets"], &file)).unwrap()
    };
    let text = listed(&symmetric("pw"));
    assert!(
        text.contains("symkey enc packet: version 4, cipher 9,") && text.contains("s2k 3, hash 8"),
        "{text}"
    );
    assert!(
        text.contains("mdc_method: 2") && text.contains("compressed packet: algo=1"),
        "{text}"
    );
    let text = listed(&SealOptions {
        compression: Compression::None,
        ..symmetric("pw")
    });
    assert!(
        !text.contains("compressed packet") && text.contains("literal data packet"),
        "{text}"
    );
    let text = listed(&public(&home, &["ada@example.org"]));
    assert!(
        text.contains("pubkey enc packet: version 3, algo 18") && text.contains("mdc_method: 2"),
        "{text}"
    );
}

#[test]
fn one_salt_and_fresh_prefixes_within_a_seal() {
    let seal = open(&symmetric("pw")).unwrap();
    let (one, two) = (sealed(&*seal, b"same"), sealed(&*seal, b"same"));
    let salt = |file: &[u8]| file[..15].to_vec();
    assert_eq!(salt(&one), salt(&two));
    assert_ne!(one, two);
    assert_ne!(
        salt(&one),
        salt(&sealed(&*open(&symmetric("pw")).unwrap(), b"same"))
    );
}

#[test]
fn the_salt_of_a_message_read_whole_is_taken_up() {
    let salt = |file: &[u8]| file[..15].to_vec();
    let data = noise(300_000);
    let first = sealed(&*open(&symmetric("pw")).unwrap(), &data);

    let seal = open(&symmetric("pw")).unwrap();
    assert!(unseal(&*seal, Form::Gpg, &first).unwrap() == data);
    let second = sealed(&*seal, &data);
    assert_eq!(salt(&first), salt(&second));
    assert_ne!(first[15..60], second[15..60]);

    // Not before all of it was read.
    let seal = open(&symmetric("pw")).unwrap();
    let mut reader = seal
        .unseal(Form::Gpg, Box::new(io::Cursor::new(first.clone())))
        .unwrap();
    reader.read_exact(&mut [0; 1000]).unwrap();
    assert_ne!(salt(&first), salt(&sealed(&*seal, &data)));

    // Not of a damaged one.
    let seal = open(&symmetric("pw")).unwrap();
    let mut damaged = first.clone();
    *damaged.last_mut().unwrap() ^= 1;
    unseal(&*seal, Form::Gpg, &damaged).unwrap_err();
    assert_ne!(salt(&first), salt(&sealed(&*seal, &data)));

    // Not of one with an older passphrase.
    let seal = open(&SealOptions {
        further_passphrases: vec![secret("pw")],
        ..symmetric("new")
    })
    .unwrap();
    assert!(unseal(&*seal, Form::Gpg, &first).unwrap() == data);
    assert_ne!(salt(&first), salt(&sealed(&*seal, &data)));
}

#[test]
fn a_quick_derivation_is_not_taken_up() {
    let home = Home::new();
    let arguments = ["--passphrase", "pw", "--s2k-digest-algo", "SHA256"];
    let message = |count: &str| {
        let count = ["--s2k-count", count, "--cipher-algo", "AES256", "-c"];
        home.ok(&[&arguments[..], &count[..]].concat(), b"content")
    };
    for (count, taken) in [("65536", false), ("65011712", true)] {
        let seal = open(&symmetric("pw")).unwrap();
        let theirs = message(count);
        assert_eq!(unseal(&*seal, Form::Gpg, &theirs).unwrap(), b"content");
        let ours = sealed(&*seal, b"content");
        // Cipher, kind, hash, salt and count; the packets' headers may differ.
        let kept = theirs.windows(12).any(|w| w == &ours[3..15]);
        assert_eq!(kept, taken, "{count}");
    }
}

#[test]
fn wrong_passphrase_is_told_with_a_hint() {
    let file = sealed(&*open(&symmetric("right")).unwrap(), &mixed(100_000));
    let error = unseal(&*open(&symmetric("wrong")).unwrap(), Form::Gpg, &file).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WrongKey, "{error}");
    assert!(
        error.hint().is_some() && !error.to_string().contains("wrong"),
        "{error}"
    );
    let none = open(&SealOptions::default()).unwrap();
    assert_eq!(
        unseal(&*none, Form::Gpg, &file).unwrap_err().kind(),
        ErrorKind::WrongKey
    );
}

#[test]
fn older_passphrases_open_older_files() {
    let old = sealed(&*open(&symmetric("old")).unwrap(), b"old content");
    let new = sealed(&*open(&symmetric("new")).unwrap(), b"new content");
    let seal = open(&SealOptions {
        further_passphrases: vec![secret("older"), secret("old")],
        ..symmetric("new")
    });
    let seal = seal.unwrap();
    for _ in 0..2 {
        assert_eq!(unseal(&*seal, Form::Gpg, &old).unwrap(), b"old content");
        assert_eq!(unseal(&*seal, Form::Gpg, &new).unwrap(), b"new content");
    }
    // What is written has the present one, whatever opened something last.
    unseal(&*seal, Form::Gpg, &old).unwrap();
    let file = sealed(&*seal, b"x");
    assert_eq!(
        unseal(&*open(&symmetric("new")).unwrap(), Form::Gpg, &file).unwrap(),
        b"x"
    );
}

#[test]
fn damaged_messages_never_pass() {
    for compression in [Compression::None, Compression::Default] {
        let seal = open(&SealOptions {
            compression,
            ..symmetric("pw")
        })
        .unwrap();
        for data in [b"short".to_vec(), mixed(3 << 20)] {
            let file = sealed(&*seal, &data);
            let step = (file.len() / 40).max(1);
            for end in (0..file.len()).step_by(step).chain([
                file.len() - 1,
                file.len() - 20,
                file.len() - 23,
            ]) {
                let error =
                    unseal(&*seal, Form::Gpg, &file[..end]).expect_err(&format!("cut at {end}"));
                assert!(
                    matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::WrongKey),
                    "cut at {end}: {error}"
                );
            }
            for at in (0..file.len())
                .step_by(step)
                .chain(file.len() - 24..file.len())
            {
                let mut damaged = file.clone();
                damaged[at] ^= 1;
                match unseal(&*seal, Form::Gpg, &damaged) {
                    Ok(_) => panic!("{compression:?}, {} bytes, flip at {at} passed", data.len()),
                    Err(error) => assert!(
                        matches!(
                            error.kind(),
                            ErrorKind::Corrupt | ErrorKind::WrongKey | ErrorKind::Unsupported
                        ),
                        "flip at {at}: {:?} {error}",
                        error.kind()
                    ),
                }
            }
        }
    }
}

#[test]
fn no_damage_breaks_the_decoder() {
    use rand::{Rng, SeedableRng};
    let mut rng = rand::rngs::SmallRng::seed_from_u64(11);
    let seals = [Compression::None, Compression::Default].map(|compression| {
        open(&SealOptions {
            compression,
            ..symmetric("pw")
        })
        .unwrap()
    });
    for round in 0..600 {
        let seal = &*seals[round % 2];
        let mut file = sealed(seal, &mixed(rng.random_range(0..400)));
        // The first packets tell whether a damaged passphrase packet is tried at all; most damage goes behind them.
        let first = if round % 10 == 0 { 0 } else { 15 };
        for _ in 0..rng.random_range(1..4) {
            let at = rng.random_range(first..file.len());
            match rng.random_range(0..3) {
                0 => file[at] ^= 1 << rng.random_range(0..8),
                1 => file[at] = rng.random(),
                _ => file.truncate(at.max(first + 1)),
            }
        }
        if let Err(error) = unseal(seal, Form::Gpg, &file) {
            assert!(
                !error.to_string().contains("broke the decoder"),
                "round {round}: {error} {file:02x?}"
            );
        }
    }
}

#[test]
fn an_error_stays_an_error() {
    let seal = open(&symmetric("pw")).unwrap();
    let mut file = sealed(&*seal, &noise(3 << 20));
    let last = file.len() - 1;
    file[last] ^= 1;
    let mut reader = seal
        .unseal(Form::Gpg, Box::new(io::Cursor::new(file)))
        .unwrap();
    assert!(reader.read_to_end(&mut Vec::new()).is_err());
    assert!(reader.read(&mut [0; 10]).is_err());
}

#[test]
fn unencrypted_and_foreign_files_are_refused() {
    let home = Home::new();
    let seal = open(&symmetric("pw")).unwrap();
    let stored = home.ok(&["--store"], b"not encrypted at all");
    for file in [
        &stored[..],
        b"",
        b"just text",
        &[0xff; 100],
        &[0x1f, 0x8b, 8, 0],
    ] {
        let error = unseal(&*seal, Form::Gpg, file).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    }
}

#[test]
fn errors_of_the_input_keep_their_kind() {
    struct Broken(io::Cursor<Vec<u8>>);
    impl Read for Broken {
        fn read(&mut self, data: &mut [u8]) -> io::Result<usize> {
            match self.0.read(data)? {
                0 => Err(Error::new(ErrorKind::Unreachable, "connection lost").into()),
                n => Ok(n),
            }
        }
    }
    let gzip = open(&SealOptions::default()).unwrap();
    let gpg = open(&symmetric("pw")).unwrap();
    for (seal, form) in [(gzip, Form::Gzip), (gpg, Form::Gpg)] {
        let mut file = sealed(&*seal, &mixed(2 << 20));
        for len in [file.len() / 2, 3] {
            file.truncate(len);
            let result = seal.unseal(form, Box::new(Broken(io::Cursor::new(file.clone()))));
            let result = result.and_then(|mut r| Ok(r.read_to_end(&mut Vec::new())?));
            assert_eq!(
                result.map_err(|e| e.kind()),
                Err(ErrorKind::Unreachable),
                "{form:?} {len}"
            );
        }
    }
}

#[test]
fn errors_of_the_output_keep_their_kind() {
    struct Full(usize);
    impl Write for Full {
        fn write(&mut self, data: &[u8]) -> io::Result<usize> {
            self.0 = self
                .0
                .checked_sub(data.len())
                .ok_or(io::ErrorKind::StorageFull)?;
            Ok(data.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    for options in [SealOptions::default(), symmetric("pw")] {
        let seal = open(&options).unwrap();
        for room in [5, 300, 100_000] {
            let written = seal
                .seal(seal.form(), Box::new(Full(room)))
                .and_then(|mut writer| {
                    writer.write_all(&noise(1 << 20))?;
                    writer.finish()
                });
            assert_eq!(
                written.map_err(|e| e.kind()),
                Err(ErrorKind::Full),
                "{room}"
            );
        }
    }
}

#[test]
fn unencrypted_files_do_not_depend_on_threads() {
    let data = mixed(3 << 20);
    let file = |threads| {
        let options = SealOptions {
            threads,
            block_bytes: Some(64 * 1024),
            ..SealOptions::default()
        };
        sealed(&*open(&options).unwrap(), &data)
    };
    let one = file(1);
    assert!(one == file(2) && one == file(8));
}

#[test]
fn estimates_of_messages_depend_on_the_bytes_alone_and_come_close() {
    let data = mixed(6 << 20);
    let estimates = |threads| {
        let options = SealOptions {
            threads,
            block_bytes: Some(64 * 1024),
            ..symmetric("pw")
        };
        let seal = open(&options).unwrap();
        let sink = Sink::default();
        let mut writer = seal.seal(Form::Gpg, Box::new(sink.clone())).unwrap();
        let mut all = Vec::new();
        for piece in data.chunks(50_000) {
            writer.write_all(piece).unwrap();
            all.push(writer.estimated_bytes());
        }
        writer.finish().unwrap();
        let bytes = sink.0.lock().unwrap().len();
        (all, bytes)
    };
    let one = estimates(1);
    assert_eq!(one, estimates(2));
    let (last, real) = (*one.0.last().unwrap() as f64, one.1 as f64);
    assert!(
        (last / real - 1.0).abs() < 0.15,
        "estimated {last}, real {real}"
    );
}
