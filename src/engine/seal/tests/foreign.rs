//! What gpg and duplicity wrote opens here; and a gpg that misbehaves is not believed.

use super::*;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

#[test]
fn everything_gpg_writes_with_a_passphrase_opens() {
    let home = Home::with_ada();
    let seal = open(&symmetric("pw")).unwrap();
    let data = mixed(3 << 20);
    for options in [
        vec![],
        vec!["-z", "0"],
        vec!["-z", "6", "--compress-algo", "zlib"],
        vec!["--compress-algo", "bzip2"],
        vec!["--s2k-digest-algo", "SHA512", "--cipher-algo", "AES128"],
        // Keys longer than the hash, by derivations of three kinds.
        vec!["--s2k-digest-algo", "SHA1", "--cipher-algo", "AES256"],
        vec!["--s2k-digest-algo", "MD5", "--cipher-algo", "AES256"],
        vec!["--s2k-digest-algo", "RIPEMD160", "--cipher-algo", "AES192"],
        vec![
            "--s2k-digest-algo",
            "SHA224",
            "--cipher-algo",
            "AES256",
            "--s2k-mode",
            "1",
        ],
        vec![
            "--s2k-digest-algo",
            "MD5",
            "--cipher-algo",
            "AES256",
            "--s2k-mode",
            "0",
        ],
        vec!["--cipher-algo", "3DES"],
        vec!["--cipher-algo", "CAMELLIA256"],
        vec!["--cipher-algo", "CAST5"],
        vec!["--cipher-algo", "TWOFISH"],
        vec!["--sign", "--local-user", "ada"],
    ] {
        let mut arguments = vec!["--passphrase", "pw", "--force-mdc"];
        arguments.extend(&options);
        arguments.push("--symmetric");
        let file = home.ok(&arguments, &data);
        assert!(
            unseal(&*seal, Form::Gpg, &file).unwrap() == data,
            "{options:?}"
        );
    }
}

#[test]
fn everything_gpg_writes_to_keys_opens() {
    let home = Home::with_ada();
    let in_files = SealOptions {
        keyring: Keyring::Certificates(home.export_secret("ada", "")),
        ..symmetric("pw")
    };
    let through_gpg = SealOptions {
        keyring: home.keyring(),
        ..symmetric("pw")
    };
    for data in [Vec::new(), mixed(3 << 20)] {
        for options in [
            vec!["--recipient", "ada", "--encrypt"],
            vec!["--recipient", "ada", "--sign", "--encrypt"],
            vec!["--hidden-recipient", "ada", "-z", "0", "--encrypt"],
            vec![
                "--recipient",
                "ada",
                "--compress-algo",
                "bzip2",
                "--encrypt",
                "--symmetric",
                "--passphrase",
                "pw",
            ],
        ] {
            let file = home.ok(&options, &data);
            for reader in [&in_files, &through_gpg] {
                assert!(
                    unseal(&*open(reader).unwrap(), Form::Gpg, &file).unwrap() == data,
                    "{options:?}"
                );
            }
        }
    }
}

/// Packets of type 20, as GnuPG 2.3 writes them for keys that ask for it. Made by hand (AES-256, OCB, chunks of 64
/// KiB) and checked with gpg 2.2.40; `message.gpg` is for `ada.key`, `sym.gpg` for the passphrase «pw».
#[test]
fn the_container_of_gnupg_2_3_opens_through_gpg() {
    let content: &[u8] = b"Sealed in GnuPG's own way.";
    let (message, by_passphrase) = (
        include_bytes!("aead/message.gpg"),
        include_bytes!("aead/sym.gpg"),
    );
    let home = Home::new();
    home.ok(&["--import"], include_bytes!("aead/ada.key"));
    let with = |first: &str, second: &str| {
        let options = SealOptions {
            keyring: home.keyring(),
            ..symmetric(first)
        };
        open(&SealOptions {
            further_passphrases: vec![secret(second)],
            ..options
        })
        .unwrap()
    };
    let seal = with("no", "pw");
    assert_eq!(unseal(&*seal, Form::Gpg, message).unwrap(), content);
    assert_eq!(unseal(&*seal, Form::Gpg, by_passphrase).unwrap(), content);
    let error = unseal(&*with("no", "neither"), Form::Gpg, by_passphrase).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WrongKey, "{error}");
    for file in [&message[..], by_passphrase] {
        for at in [file.len() - 1, file.len() - 20, file.len() - 40] {
            let mut damaged = file.to_vec();
            damaged[at] ^= 1;
            assert!(unseal(&*seal, Form::Gpg, &damaged).is_err(), "flip at {at}");
            assert!(
                unseal(&*seal, Form::Gpg, &file[..at]).is_err(),
                "cut at {at}"
            );
        }
    }
    // Without GnuPG there is no way.
    let files = tempfile::tempdir().unwrap();
    let options = SealOptions {
        keyring: Keyring::Certificates(files.path().into()),
        ..symmetric("pw")
    };
    let error = unseal(&*open(&options).unwrap(), Form::Gpg, by_passphrase).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    assert!(error.hint().is_some());
}

#[test]
fn damage_is_found_through_gpg_as_well() {
    let home = Home::with_ada();
    let seal = open(&public(&home, &["ada"])).unwrap();
    let data = mixed(1 << 20);
    let file = sealed(&*seal, &data);
    for end in [50, 200, file.len() / 2, file.len() - 1, file.len() - 23] {
        let error = unseal(&*seal, Form::Gpg, &file[..end]).expect_err(&format!("cut at {end}"));
        assert_eq!(error.kind(), ErrorKind::Corrupt, "cut at {end}: {error}");
    }
    for at in [file.len() / 3, file.len() - 1, file.len() - 30] {
        let mut damaged = file.clone();
        damaged[at] ^= 4;
        let error = unseal(&*seal, Form::Gpg, &damaged).expect_err(&format!("flip at {at}"));
        assert_eq!(error.kind(), ErrorKind::Corrupt, "flip at {at}: {error}");
    }
    // The input's own trouble is told as such.
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(Error::new(ErrorKind::Unreachable, "connection lost").into())
        }
    }
    let half = io::Cursor::new(file[..file.len() / 2].to_vec()).chain(Broken);
    let mut reader = seal.unseal(Form::Gpg, Box::new(half)).unwrap();
    let error = Error::from(reader.read_to_end(&mut Vec::new()).unwrap_err());
    assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
    assert!(reader.read(&mut [0; 10]).is_err());
}

#[test]
fn a_reader_through_gpg_can_be_left_early() {
    let home = Home::with_ada();
    let seal = open(&public(&home, &["ada"])).unwrap();
    let file = sealed(&*seal, &noise(4 << 20));
    let start = Instant::now();
    let mut reader = seal
        .unseal(Form::Gpg, Box::new(io::Cursor::new(file)))
        .unwrap();
    reader.read_exact(&mut [0; 1000]).unwrap();
    drop(reader);
    assert!(start.elapsed() < Duration::from_secs(20));
}

/// A program in gpg's place.
fn fake(home: &Home, script: &str) -> Keyring {
    let path = home.path().join("fake-gpg");
    // Listing and exporting are still done by the real one.
    let script = format!(
        "#!/bin/sh\nfor a in \"$@\"; do case $a in --list-secret-keys|--export) exec gpg \"$@\";; esac; done\n{script}\n"
    );
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    Keyring::GnuPg {
        home: Some(home.path().into()),
        program: path,
    }
}

#[test]
fn gpg_tells_the_key_and_decrypts_itself_only_if_it_does_not() {
    let home = Home::with_ada();
    let data = mixed(3 << 20);
    let file = sealed(&*open(&public(&home, &["ada"])).unwrap(), &data);
    let log = home.path().join("log");
    // One that is as it is, one too old for it, one that tells a wrong key, and no key at all.
    for (script, runs) in [
        ("exec gpg \"$@\"", 1),
        (
            "for a in \"$@\"; do shift; [ $a = --show-session-key ] || set -- \"$@\" $a; done; exec gpg \"$@\"",
            2,
        ),
        (
            "case $* in *--show-session-key*) echo '[GNUPG:] SESSION_KEY 7:00112233445566778899AABBCCDDEEFF' >&3; exit 2;; esac; exec gpg \"$@\"",
            2,
        ),
        (
            "case $* in *--show-session-key*) echo '[GNUPG:] SESSION_KEY 9:x' >&3; exit 2;; esac; exec gpg \"$@\"",
            2,
        ),
    ] {
        let script = format!("echo \"$@\" >>{}; {script}", log.display());
        let options = SealOptions {
            keyring: fake(&home, &script),
            ..public(&home, &["ada"])
        };
        let seal = open(&options).unwrap();
        let _ = std::fs::remove_file(&log);
        let mut content = Vec::new();
        let input = Box::new(io::Cursor::new(file.clone()));
        let mut reader = seal.unseal(Form::Gpg, input).unwrap();
        reader.read_to_end(&mut content).unwrap();
        assert!(content == data, "{script}");
        let text = std::fs::read_to_string(&log).unwrap();
        assert_eq!(text.matches("--decrypt").count(), runs, "{script}: {text}");
        assert!(text.contains("--show-session-key"), "{text}");
    }
}

/// gpg says the key of a message in its words as well, if it is asked for it.
#[test]
fn no_log_of_gpg_has_the_key_of_a_message() {
    let home = Home::with_ada();
    let file = sealed(&*open(&public(&home, &["ada"])).unwrap(), b"content");
    let log = home.path().join("log");
    let conf = format!("log-file {}\n", log.display());
    std::fs::write(home.path().join("gpg.conf"), conf).unwrap();
    let seal = open(&public(&home, &["ada"])).unwrap();
    assert_eq!(unseal(&*seal, Form::Gpg, &file).unwrap(), b"content");
    let text = std::fs::read_to_string(log).unwrap_or_default();
    assert!(!text.contains("session key"), "{}", text.len());
}

#[test]
fn a_gpg_that_misbehaves_is_not_believed() {
    let home = Home::with_ada();
    let file = sealed(&*open(&public(&home, &["ada"])).unwrap(), &mixed(300_000));
    for script in [
        // Good exit, nothing said.
        "cat >/dev/null; exit 0",
        "echo content; exit 0",
        // Starts well, then stops.
        "echo '[GNUPG:] BEGIN_DECRYPTION' >&3; echo half; exit 0",
        "echo '[GNUPG:] BEGIN_DECRYPTION' >&3; cat >/dev/null; echo '[GNUPG:] DECRYPTION_OKAY' >&3; exit 2",
        "echo '[GNUPG:] BEGIN_DECRYPTION' >&3; echo '[GNUPG:] BADMDC' >&3; kill -9 $$",
    ] {
        let seal = open(&SealOptions {
            keyring: fake(&home, script),
            ..public(&home, &["ada"])
        })
        .unwrap();
        assert!(unseal(&*seal, Form::Gpg, &file).is_err(), "{script}");
    }
    for script in [
        "cat >/dev/null; exit 0",
        "cat >/dev/null; echo '[GNUPG:] SIG_CREATED' >&3; exit 0",
        "cat >/dev/null; echo '[GNUPG:] SIG_CREATED' >&3; echo rubbish; exit 0",
        "exit 2",
    ] {
        let mut options = SealOptions {
            keyring: fake(&home, script),
            ..symmetric("pw")
        };
        options.encryption = Encryption::Symmetric {
            passphrase: secret("pw"),
            sign: Some(Signature {
                key: "ada".into(),
                passphrase: None,
            }),
        };
        let seal = open(&options).unwrap();
        let mut writer = seal.seal(Form::Gpg, Box::new(Sink::default())).unwrap();
        writer.write_all(b"content").unwrap();
        assert!(writer.finish().is_err(), "{script}");
    }
}

#[test]
fn secrets_are_not_in_the_arguments() {
    let home = Home::with_ada();
    let log = home.path().join("log");
    let script = format!(
        "echo \"$@\" >>{0}; env >>{0}; exec gpg \"$@\"",
        log.display()
    );
    let mut options = SealOptions {
        keyring: fake(&home, &script),
        ..symmetric("hunter2")
    };
    options.encryption = Encryption::Symmetric {
        passphrase: secret("hunter2"),
        sign: Some(Signature {
            key: "ada".into(),
            passphrase: Some(secret("hunter3")),
        }),
    };
    let seal = open(&options).unwrap();
    sealed(&*seal, b"content");
    let file = sealed(&*open(&public(&home, &["ada"])).unwrap(), b"content");
    assert_eq!(unseal(&*seal, Form::Gpg, &file).unwrap(), b"content");
    let text = std::fs::read_to_string(log).unwrap();
    assert!(
        text.contains("--detach-sign") && text.contains("--decrypt") && !text.contains("hunter"),
        "{text}"
    );
}
