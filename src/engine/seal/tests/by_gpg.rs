//! Files that gpg itself writes, as its options ask.

use super::*;

fn by_gpg(home: &Home, options: SealOptions, words: &[&str]) -> SealOptions {
    SealOptions {
        keyring: home.keyring(),
        gpg_options: words.iter().map(|word| word.to_string()).collect(),
        by_gpg: true,
        ..options
    }
}

#[test]
fn options_of_gpg_reach_the_messages() {
    let home = Home::with_ada();
    let data = mixed(700_000);
    for (words, told) in [
        (&["--cipher-algo", "TWOFISH"][..], "cipher 10"),
        (
            &["--s2k-digest-algo=SHA512", "--s2k-count=65536"],
            "hash 10",
        ),
        (&["--compress-algo=bzip2"], "algo=3"),
        // Files are never armored: their names would say so.
        (&["--armor"], "cipher 9"),
    ] {
        let seal = open(&by_gpg(&home, symmetric("pw"), words)).unwrap();
        let message = sealed(&*seal, &data);
        assert_eq!((seal.form(), seal.can_read_back()), (Form::Gpg, true));
        assert!(unseal(&*seal, Form::Gpg, &message).unwrap() == data);
        assert!(home.decrypt("pw", &message).0 == data);
        let packets = home.ok(&["--passphrase", "pw", "--list-packets"], &message);
        let packets = String::from_utf8_lossy(&packets);
        assert!(packets.contains(told), "{words:?}: {packets}");
    }
}

#[test]
fn gpg_encrypts_to_keys_and_signs() {
    let home = Home::with_ada();
    home.generate("Bob <bob@example.org>", "", "never");
    let sign = Signature {
        key: "bob".into(),
        passphrase: None,
    };
    let to_ada = |hidden| SealOptions {
        encryption: Encryption::PublicKey {
            recipients: vec!["ada".into()],
            hidden,
            passphrase: None,
            sign: Some(sign.clone()),
        },
        required_signer: Some(home.fingerprint("bob")),
        ..public(&home, &["ada"])
    };
    let data = mixed(300_000);
    for hidden in [false, true] {
        let options = by_gpg(&home, to_ada(hidden), &["--digest-algo", "SHA384"]);
        let seal = open(&options).unwrap();
        assert!(seal.can_read_back());
        let message = sealed(&*seal, &data);
        assert!(unseal(&*seal, Form::Gpg, &message).unwrap() == data);
        let packets = home.ok(&["--list-packets"], &message);
        let packets = String::from_utf8_lossy(&packets);
        assert!(packets.contains("digest 9,"), "{packets}");
        assert_eq!(packets.contains("keyid 0000000000000000"), hidden);
    }
}

#[test]
fn what_gpg_refuses_is_told_before_anything_is_written() {
    let home = Home::with_ada();
    for (options, words, told) in [
        (symmetric("pw"), &["--nonsense"][..], "nonsense"),
        (symmetric("pw"), &["--cipher-algo", "ROT13"], "ipher"),
        (public(&home, &["nobody"]), &["--s2k-mode", "3"], "nobody"),
        (symmetric(""), &["--s2k-mode", "3"], "empty"),
    ] {
        let error = refusal(&by_gpg(&home, options, words));
        assert!(error.to_string().contains(told), "{words:?}: {error}");
    }
    // Two passphrases in one call are one too many.
    let options = SealOptions {
        encryption: Encryption::Symmetric {
            passphrase: secret("one"),
            sign: Some(Signature {
                key: "ada".into(),
                passphrase: Some(secret("other")),
            }),
        },
        ..symmetric("one")
    };
    let error = refusal(&by_gpg(&home, options, &["--s2k-mode", "3"]));
    assert_eq!(error.kind(), ErrorKind::Usage);
}

#[test]
fn lengths_are_estimated_from_the_content_alone() {
    let home = Home::new();
    let cheap = ["--s2k-mode", "3", "--s2k-count", "65536"];
    let data = mixed(6 << 20);
    let estimates = || {
        let options = SealOptions {
            block_bytes: Some(64 * 1024),
            ..symmetric("pw")
        };
        let seal = open(&by_gpg(&home, options, &cheap)).unwrap();
        let sink = Sink::default();
        let mut writer = seal.seal(Form::Gpg, Box::new(sink.clone())).unwrap();
        let mut seen = Vec::new();
        for piece in data.chunks(100_000) {
            writer.write_all(piece).unwrap();
            seen.push(writer.estimated_bytes());
        }
        writer.finish().unwrap();
        let bytes = sink.0.lock().unwrap().len() as u64;
        (seen, bytes)
    };
    let (seen, bytes) = estimates();
    assert_eq!(estimates().0, seen);
    let last = seen.last().copied().unwrap();
    assert!(last.abs_diff(bytes) < bytes / 7, "{last} {bytes}");
}

/// A target that takes no more ends the run with its own error, not with gpg's.
#[test]
fn an_output_that_fails_is_told() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(Error::new(ErrorKind::Full, "no space left").into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let home = Home::new();
    let seal = open(&by_gpg(&home, symmetric("pw"), &["--s2k-mode", "3"])).unwrap();
    let mut writer = seal.seal(Form::Gpg, Box::new(Full)).unwrap();
    for _ in 0..50 {
        writer.write_all(&noise(100_000)).unwrap();
    }
    let error = writer.finish().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Full, "{error}");
}
