//! Public keys, signatures, and what is refused.

use super::*;

fn signing(home: &Home, options: SealOptions, key: &str, passphrase: Option<&str>) -> SealOptions {
    let signature = Some(Signature {
        key: key.into(),
        passphrase: passphrase.map(secret),
    });
    let encryption = match options.encryption {
        Encryption::Symmetric { passphrase, .. } => Encryption::Symmetric {
            passphrase,
            sign: signature,
        },
        Encryption::PublicKey {
            recipients,
            hidden,
            passphrase,
            ..
        } => Encryption::PublicKey {
            recipients,
            hidden,
            passphrase,
            sign: signature,
        },
        Encryption::None => Encryption::None,
    };
    SealOptions {
        encryption,
        keyring: home.keyring(),
        ..options
    }
}

#[test]
fn messages_to_keys_of_the_gnupg_keyring() {
    let home = Home::with_ada();
    home.generate("Bob <bob@example.org>", "", "never");
    for compression in [Compression::None, Compression::Default] {
        let options = SealOptions {
            compression,
            ..public(&home, &["ada@example.org", "Bob"])
        };
        let seal = open(&options).unwrap();
        assert!(seal.can_read_back());
        for data in contents() {
            let file = sealed(&*seal, &data);
            assert!(home.decrypt("", &file).0 == data);
            assert!(unseal(&*seal, Form::Gpg, &file).unwrap() == data);
        }
    }
}

#[test]
fn hidden_recipients_are_not_named() {
    let home = Home::with_ada();
    let mut options = public(&home, &["ada"]);
    if let Encryption::PublicKey { hidden, .. } = &mut options.encryption {
        *hidden = true;
    }
    let seal = open(&options).unwrap();
    let file = sealed(&*seal, b"for somebody");
    let (plain, words) = home.decrypt("", &file);
    assert_eq!(plain, b"for somebody");
    assert!(words.contains("public key is 0000000000000000"), "{words}");
    assert_eq!(unseal(&*seal, Form::Gpg, &file).unwrap(), b"for somebody");
    // And with the secret key in a file.
    let from_file = SealOptions {
        keyring: Keyring::Certificates(home.export_secret("ada", "")),
        encryption: Encryption::None,
        ..SealOptions::default()
    };
    assert_eq!(
        unseal(&*open(&from_file).unwrap(), Form::Gpg, &file).unwrap(),
        b"for somebody"
    );
}

#[test]
fn signatures_by_the_agent_are_good_for_gpg() {
    let home = Home::with_ada();
    home.generate("Sig <sig@example.org>", "sigpass", "never");
    for data in contents() {
        for compression in [Compression::None, Compression::Default] {
            for base in [public(&home, &["ada"]), symmetric("pw")] {
                let options = signing(
                    &home,
                    SealOptions {
                        compression,
                        ..base
                    },
                    "sig@example.org",
                    Some("sigpass"),
                );
                let file = sealed(&*open(&options).unwrap(), &data);
                let (plain, words) = home.decrypt("pw", &file);
                assert!(plain == data);
                assert!(words.contains("Good signature from \"Sig"), "{words}");
            }
        }
    }
}

#[test]
fn signatures_by_a_key_file_are_good_for_gpg() {
    let home = Home::new();
    home.generate("Ada <ada@example.org>", "adapass", "never");
    let file = home.export_secret("ada", "adapass");
    for base in [public(&home, &["ada"]), symmetric("pw")] {
        let options = signing(&home, base, "ada", Some("adapass"));
        let options = SealOptions {
            keyring: Keyring::Certificates(file.clone()),
            required_signer: Some("ada".into()),
            ..options
        };
        let seal = open(&options).unwrap();
        assert!(seal.can_read_back());
        for data in contents() {
            let file = sealed(&*seal, &data);
            // gpg and its agent remember; the passphrase for either.
            let passphrase = if matches!(options.encryption, Encryption::Symmetric { .. }) {
                "pw"
            } else {
                "adapass"
            };
            let (plain, words) = home.decrypt(passphrase, &file);
            assert!(
                plain == data && words.contains("Good signature from \"Ada"),
                "{words}"
            );
            assert!(unseal(&*seal, Form::Gpg, &file).unwrap() == data);
        }
    }
}

#[test]
fn required_signer_is_enforced_here_and_through_gpg() {
    let home = Home::with_ada();
    home.generate("Eve <eve@example.org>", "", "never");
    let ada = home.fingerprint("ada");
    let by = |name: &str| {
        sealed(
            &*open(&signing(&home, public(&home, &["ada"]), name, None)).unwrap(),
            b"content",
        )
    };
    let unsigned = sealed(&*open(&public(&home, &["ada"])).unwrap(), b"content");
    let strict = SealOptions {
        required_signer: Some(ada),
        ..public(&home, &["ada"])
    };
    let files = SealOptions {
        keyring: Keyring::Certificates(home.export_secret("ada", "")),
        ..strict.clone()
    };
    for options in [strict, files] {
        let seal = open(&options).unwrap();
        assert_eq!(unseal(&*seal, Form::Gpg, &by("ada")).unwrap(), b"content");
        for file in [by("eve"), unsigned.clone()] {
            let error = unseal(&*seal, Form::Gpg, &file).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
            assert!(error.to_string().contains("sign"), "{error}");
        }
    }
}

#[test]
fn protected_keys_open_with_their_passphrase() {
    let home = Home::new();
    home.generate("Ada <ada@example.org>", "adapass", "never");
    let key_file = home.export_secret("ada", "adapass");
    let file = sealed(&*open(&public(&home, &["ada"])).unwrap(), b"content");
    let with = |keyring: Keyring, passphrases: &[&str]| SealOptions {
        keyring,
        further_passphrases: passphrases.iter().map(|p| secret(p)).collect(),
        ..public(&home, &["ada"])
    };
    // The agent would remember a good passphrase, so the wrong ones come first.
    for keyring in [home.keyring(), Keyring::Certificates(key_file)] {
        // Wrong passphrases are a mistake; none at all is as if the key were elsewhere.
        for (passphrases, reads) in [(&["no", "neither"][..], true), (&[], false)] {
            let seal = open(&with(keyring.clone(), passphrases)).unwrap();
            assert!(seal.can_read_back());
            let error = unseal(&*seal, Form::Gpg, &file).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::WrongKey, "{error}");
            assert!(error.hint().is_some());
            assert_eq!(seal.can_read_back(), reads);
        }
        let seal = open(&with(keyring, &["no", "adapass"])).unwrap();
        assert_eq!(unseal(&*seal, Form::Gpg, &file).unwrap(), b"content");
    }
}

#[test]
fn a_message_with_a_passphrase_is_no_locked_key() {
    let home = Home::with_ada();
    let file = sealed(&*open(&symmetric("pw")).unwrap(), b"content");
    let seal = open(&public(&home, &["ada"])).unwrap();
    let error = unseal(&*seal, Form::Gpg, &file).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WrongKey, "{error}");
    assert!(seal.can_read_back(), "so that no chain gets two keys");
}

#[test]
fn public_keys_alone_cannot_read_back() {
    let home = Home::with_ada();
    let public_file = home.export_public("ada");
    let other = Home::new();
    other.ok(&["--import", public_file.to_str().unwrap()], b"");
    for keyring in [other.keyring(), Keyring::Certificates(public_file)] {
        let seal = open(&SealOptions {
            keyring,
            ..public(&home, &["ada"])
        })
        .unwrap();
        assert!(!seal.can_read_back());
        let file = sealed(&*seal, b"content");
        assert_eq!(home.decrypt("", &file).0, b"content");
        let error = unseal(&*seal, Form::Gpg, &file).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WrongKey, "{error}");
    }
}

#[test]
fn keys_that_cannot_encrypt_are_refused_with_the_reason() {
    let home = Home::with_ada();
    home.generate("Ada Second <ada2@example.org>", "", "never");
    home.ok(
        &[
            "--passphrase",
            "",
            "--quick-generate-key",
            "Only Sign <sign@example.org>",
            "ed25519",
            "sign",
        ],
        b"",
    );
    // Made in the past, so that it is expired today.
    home.ok(
        &[
            "--faked-system-time",
            "20200101T000000",
            "--passphrase",
            "",
            "--quick-generate-key",
            "Old <old@example.org>",
            "future-default",
            "default",
            "1y",
        ],
        b"",
    );
    home.generate("Revoked <revoked@example.org>", "", "never");
    let revocation = home.path().join(format!(
        "openpgp-revocs.d/{}.rev",
        home.fingerprint("revoked")
    ));
    let text = std::fs::read_to_string(revocation)
        .unwrap()
        .replace(":-----", "-----");
    home.ok(&["--import"], text.as_bytes());

    let certificates = home.path().join("all.pub");
    std::fs::write(&certificates, home.ok(&["--export"], b"")).unwrap();
    for keyring in [home.keyring(), Keyring::Certificates(certificates)] {
        for (name, reason) in [
            ("nobody@example.org", "no key nobody@example.org"),
            ("Ada", "names several keys"),
            ("sign@example.org", "no key for encryption"),
            ("old@example.org", "expired"),
            ("revoked@example.org", "revoked"),
        ] {
            let error = refusal(&SealOptions {
                keyring: keyring.clone(),
                ..public(&home, &[name])
            });
            assert_eq!(error.kind(), ErrorKind::Usage, "{name}: {error}");
            assert!(error.to_string().contains(reason), "{name}: {error}");
        }
        let fine = [
            "ada2@example.org",
            &home.fingerprint("ada2"),
            &home.fingerprint("ada2")[24..],
        ];
        open(&SealOptions {
            keyring: keyring.clone(),
            ..public(&home, &fine)
        })
        .map(drop)
        .unwrap();
    }
    assert_eq!(refusal(&public(&home, &[])).kind(), ErrorKind::Usage);
    assert_eq!(refusal(&symmetric("")).kind(), ErrorKind::Usage);
}

#[test]
fn signing_keys_must_be_there_and_open() {
    let home = Home::with_ada();
    let elsewhere = Home::new();
    elsewhere.generate("Far <far@example.org>", "farpass", "never");
    home.ok(
        &["--import", elsewhere.export_public("far").to_str().unwrap()],
        b"",
    );
    let error = refusal(&signing(&home, symmetric("pw"), "far", None));
    assert_eq!(error.kind(), ErrorKind::Usage);
    assert!(error.to_string().contains("secret part"), "{error}");
    let files = SealOptions {
        keyring: Keyring::Certificates(elsewhere.export_secret("far", "farpass")),
        ..signing(&home, symmetric("pw"), "far", Some("wrong"))
    };
    assert_eq!(refusal(&files).kind(), ErrorKind::WrongKey);
    // The agent can only be asked by signing.
    let seal = open(&signing(&elsewhere, symmetric("pw"), "far", Some("wrong"))).unwrap();
    let mut writer = seal.seal(Form::Gpg, Box::new(Sink::default())).unwrap();
    let written = writer
        .write_all(&noise(1 << 20))
        .map_err(Error::from)
        .and_then(|()| writer.finish());
    assert_eq!(written.unwrap_err().kind(), ErrorKind::WrongKey);
}

#[test]
fn a_missing_gpg_is_told() {
    let home = Home::new();
    let keyring = Keyring::GnuPg {
        home: None,
        program: "/nonexistent/gpg".into(),
    };
    let error = refusal(&SealOptions {
        keyring: keyring.clone(),
        ..public(&home, &["ada"])
    });
    assert!(error.hint().unwrap().contains("GnuPG"), "{error}");
    // A passphrase needs no gpg.
    let seal = open(&SealOptions {
        keyring,
        ..symmetric("pw")
    })
    .unwrap();
    assert_eq!(
        unseal(&*seal, Form::Gpg, &sealed(&*seal, b"x")).unwrap(),
        b"x"
    );
}
