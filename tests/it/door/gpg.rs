//! gpg behind the door: `--gpg-options` reach a real gpg where they must, keys are looked at before data is, and the same
//! files open with real duplicity.

use super::{Bench, Called, listing};
use crate::support::keyring::{Keyring, PASSPHRASE};
use crate::support::programs::{self, Program, find};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

fn dupr(bench: &Bench, words: &[&str], env: &[(&str, &str)]) -> Called {
    bench
        .call(Program::Dupr, "cache", words, "", env)
        .expect("dupr")
}

/// A keyring, and the passphrases of messages and of its keys.
fn both(home: &str) -> [(&str, &str); 3] {
    [
        ("GNUPGHOME", home),
        ("PASSPHRASE", PASSPHRASE),
        ("SIGN_PASSPHRASE", PASSPHRASE),
    ]
}

/// What gpg says of the first volume at the target.
fn packets(bench: &Bench, keyring: &Keyring) -> String {
    let names = bench.names("t");
    let volume = names.iter().find(|n| n.contains(".vol1.")).expect("one");
    let output = Command::new(find("gpg").expect("gpg was there"))
        .arg("--homedir")
        .arg(keyring.home())
        .args(["--batch", "--pinentry-mode", "loopback"])
        .args(["--passphrase", PASSPHRASE, "--list-packets"])
        .arg(bench.path("t").join(volume))
        .output()
        .expect("gpg");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn options_of_gpg_are_honored_by_gpg_and_read_by_duplicity() {
    let Some(keyring) = Keyring::new() else {
        return;
    };
    let home = keyring.home().display().to_string();
    let env = [("GNUPGHOME", home.as_str()), ("PASSPHRASE", PASSPHRASE)];
    let keys = ["--encrypt-key", keyring.encrypt.as_str()];
    for (given, options, told) in [
        // As guides and duply's own template have them.
        (
            &[][..],
            "--compress-algo=bzip2 --bzip2-compress-level=9",
            "algo=3",
        ),
        (&[], "'--cipher-algo=CAMELLIA256'", "cipher 13"),
        (&keys, "\"--compress-algo\" \"bzip2\"", "algo=3"),
        (&[], "--cipher-algo=AES256", "cipher 9"),
    ] {
        let bench = Bench::new("gpgopts");
        let url = bench.url("t");
        let option = format!("--gpg-options={options}");
        let call = |words: &[&str]| {
            let called = dupr(&bench, &[words, given, &[&option]].concat(), &env);
            assert_eq!(called.code, 0, "{options}: {}", called.err);
        };
        call(&["full", "src", &url, "--current-time", "1700000000"]);
        let packets = packets(&bench, &keyring);
        assert!(packets.contains(told), "{options}: {packets}");
        bench.write("src/dir/two", "changed\n");
        call(&["incr", "src", &url, "--current-time", "1700003600"]);
        bench.settle("src");
        for (reader, out) in [
            (Program::Dupr, "out"),
            (Program::Duplicity3, "out3"),
            (Program::Duplicity08, "out0"),
        ] {
            let words = ["restore", &url, out];
            let Some(called) = bench.call(reader, &format!("c-{out}"), &words, "", &env) else {
                continue;
            };
            assert_eq!(called.code, 0, "{reader:?} {options}: {}", called.err);
            bench.settle(out);
            assert_eq!(listing(&bench.path(out)), listing(&bench.path("src")));
        }
    }
}

#[test]
fn what_gpg_cannot_do_ends_with_31_and_writes_nothing() {
    let Some(keyring) = Keyring::new() else {
        return;
    };
    let home = keyring.home().display().to_string();
    let env = both(&home);
    let bench = Bench::new("gpgbad");
    let url = bench.url("t");
    for words in [
        &["--gpg-options=--nonsense"][..],
        &["--gpg-options=--cipher-algo=ROT13"],
        &["--encrypt-key", "nobody@example.org"],
        &["--sign-key", "nobody@example.org"],
    ] {
        let words = [&["full", "src", &url], words].concat();
        let ours = dupr(&bench, &words, &env);
        assert_eq!(ours.code, 31, "{words:?}: {}", ours.err);
        assert_eq!(bench.names("t"), Vec::<String>::new());
        // duplicity has gpg sign with another key, if the one that was named is not there.
        let signs = words.contains(&"--sign-key");
        let real = bench.call(Program::Duplicity3, "other", &words, "", &env);
        if let Some(real) = real.filter(|_| !signs) {
            assert_eq!(real.code, 31, "{words:?}: {}", real.err);
        }
        let _ = std::fs::remove_dir_all(bench.path("t"));
    }
}

/// Key IDs that end alike, and signers by part of their names, are no proof: the whole fingerprint is compared, in manifests too,
/// so that nothing of a stranger's backup reaches the disk.
#[test]
fn files_of_another_signer_are_refused_before_any_data_is_written() {
    let Some(keyring) = Keyring::new() else {
        return;
    };
    let home = keyring.home().display().to_string();
    let env = both(&home);
    let bench = Bench::new("signer");
    let url = bench.url("t");
    let to = ["--encrypt-key", keyring.encrypt.as_str()];
    let full = |sign: &[&str]| {
        let _ = std::fs::remove_dir_all(bench.path("t"));
        let _ = std::fs::remove_dir_all(bench.path("cache"));
        let made = dupr(
            &bench,
            &[&["full", "src", &url][..], &to, sign].concat(),
            &env,
        );
        assert_eq!(made.code, 0, "{}", made.err);
    };
    let restore = |signer: &str, out: &str| {
        let _ = std::fs::remove_dir_all(bench.path("cache"));
        let words = ["restore", url.as_str(), out, "--sign-key", signer];
        dupr(&bench, &words, &env)
    };
    let (right, wrong) = (keyring.sign.as_str(), keyring.encrypt.as_str());
    let short = &right[right.len() - 8..];
    full(&["--sign-key", right]);
    for (signer, out) in [
        (right.to_owned(), "full"),
        (short.to_owned(), "short"),
        (format!("0x{}", short.to_lowercase()), "hex"),
    ] {
        let called = restore(&signer, out);
        assert_eq!(called.code, 0, "{signer}: {}", called.err);
        assert_eq!(listing(&bench.path(out)), listing(&bench.path("src")));
    }
    for (sign, signer) in [
        (&["--sign-key", right][..], wrong),
        (&["--sign-key", wrong], right),
        (&[], right),
    ] {
        full(sign);
        let called = restore(signer, "never");
        assert_eq!(called.code, 22, "{sign:?}: {}", called.err);
        let written = std::fs::read_dir(bench.path("never")).map_or(0, Iterator::count);
        assert_eq!(written, 0, "{sign:?}: {:?}", bench.names("never"));
        let _ = std::fs::remove_dir_all(bench.path("never"));
    }
    // Files without any encryption cannot be signed, either.
    let _ = std::fs::remove_dir_all(bench.path("t"));
    let _ = std::fs::remove_dir_all(bench.path("cache"));
    let made = dupr(&bench, &["full", "src", &url, "--no-encryption"], &env);
    assert_eq!(made.code, 0, "{}", made.err);
    assert_eq!(restore(right, "never").code, 22);
    assert!(!bench.path("never").exists() || bench.names("never").is_empty());
    // A key nobody has cannot have signed.
    assert_eq!(restore("nobody@example.org", "never").code, 22);
}

/// The three ways of the manual page to sign what has a passphrase, and the one it says does not work.
#[test]
fn what_has_a_passphrase_can_be_signed() {
    let Some(keyring) = Keyring::new() else {
        return;
    };
    let home = keyring.home().display().to_string();
    for (n, (main, sign)) in [
        (PASSPHRASE, Some(PASSPHRASE)),
        ("another", Some(PASSPHRASE)),
        (PASSPHRASE, Some("")),
    ]
    .into_iter()
    .enumerate()
    {
        let bench = Bench::new("symsign");
        let url = bench.url("t");
        let mut env = vec![("GNUPGHOME", home.as_str()), ("PASSPHRASE", main)];
        env.extend(sign.map(|sign| ("SIGN_PASSPHRASE", sign)));
        let words = ["full", "src", &url, "--sign-key", &keyring.sign];
        let called = dupr(&bench, &words, &env);
        assert_eq!(called.code, 0, "{n}: {}", called.err);
        let words = ["restore", &url, "out", "--sign-key", &keyring.sign];
        assert_eq!(dupr(&bench, &words, &env).code, 0);
        let reader = [("GNUPGHOME", home.as_str()), ("PASSPHRASE", main)];
        let words = ["restore", &url, "theirs"];
        if let Some(called) = bench.call(Program::Duplicity3, "other", &words, "", &reader) {
            assert_eq!(called.code, 0, "{n}: {}", called.err);
        }
    }
}

#[test]
fn only_hidden_keys_are_hidden() {
    let Some(keyring) = Keyring::new() else {
        return;
    };
    let home = keyring.home().display().to_string();
    let env = [("GNUPGHOME", home.as_str()), ("PASSPHRASE", PASSPHRASE)];
    let key = keyring.encrypt.as_str();
    for (words, ids) in [
        (
            &["--encrypt-key", key, "--hidden-encrypt-key", &keyring.sign][..],
            [true, true],
        ),
        (&["--encrypt-key", key], [true, false]),
        (&["--hidden-encrypt-key", key], [false, true]),
        (
            &["--encrypt-key", key, "--gpg-options=--throw-keyids"],
            [false, true],
        ),
        (
            &[
                "--encrypt-key",
                key,
                "--gpg-options=--throw-keyids --s2k-mode 3",
            ],
            [false, true],
        ),
        (
            &["--hidden-encrypt-key", key, "--gpg-options=--s2k-mode 3"],
            [false, true],
        ),
    ] {
        let bench = Bench::new("hidden");
        let url = bench.url("t");
        let called = dupr(&bench, &[&["full", "src", &url], words].concat(), &env);
        assert_eq!(called.code, 0, "{words:?}: {}", called.err);
        let packets = packets(&bench, &keyring);
        let keys: Vec<&str> = packets
            .lines()
            .filter(|l| l.starts_with(":pubkey enc"))
            .collect();
        let hidden = |line: &&&str| line.contains("keyid 0000000000000000");
        let found = [
            keys.iter().any(|l| !hidden(&l)),
            keys.iter().any(|l| hidden(&l)),
        ];
        assert_eq!(found, ids, "{words:?}: {keys:?}");
    }
}

/// An agent of its own whose pinentry gives this answer, or cancels if there is none; it writes a line for each question.
fn agent(keyring: &Keyring, bench: &Bench, answer: Option<&str>) {
    let log = bench.path("asked").display().to_string();
    let reply = match answer {
        Some(answer) => format!("echo 'D {answer}'; echo OK"),
        None => "echo 'ERR 83886179 canceled'".into(),
    };
    let script = format!(
        "#!/bin/sh\necho OK\nwhile read -r line; do case \"$line\" in\n\
         GETPIN*) echo pin >> '{log}'; {reply};;\nBYE*) echo OK; exit;;\n*) echo OK;;\nesac; done\n"
    );
    let pinentry = bench.path("pinentry");
    fs::write(&pinentry, script).expect("script");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&pinentry, mode).expect("script");
    let conf = format!(
        "s2k-count 65536\nallow-preset-passphrase\npinentry-program {}\n",
        pinentry.display()
    );
    fs::write(keyring.home().join("gpg-agent.conf"), conf).expect("conf");
    let killed = Command::new("gpgconf")
        .arg("--homedir")
        .arg(keyring.home())
        .args(["--kill", "gpg-agent"])
        .status();
    assert!(killed.is_ok_and(|status| status.success()));
    let _ = fs::remove_file(bench.path("asked"));
}

/// Neither keys nor PASSPHRASE: the agent is asked once, remembers, and can be told in advance. What was written opens with the
/// passphrase, anywhere.
#[test]
fn the_agent_knows_the_passphrase_of_whole_messages() {
    let Some(keyring) = Keyring::new() else {
        return;
    };
    let home = keyring.home().display().to_string();
    let env = [("GNUPGHOME", home.as_str())];
    let bench = Bench::new("agent");
    let url = bench.url("t");
    let use_agent = |words: &[&str]| dupr(&bench, &[words, &["--use-agent"]].concat(), &env);
    let asked = || {
        let log = fs::read_to_string(bench.path("asked"));
        log.unwrap_or_default().lines().count()
    };
    agent(&keyring, &bench, None);
    let called = use_agent(&["full", "src", &url]);
    assert_eq!(called.code, 31, "{}", called.err);
    assert_eq!(bench.names("t"), Vec::<String>::new());
    assert_eq!(asked(), 1);

    agent(&keyring, &bench, Some(PASSPHRASE));
    let called = use_agent(&["full", "src", &url, "--current-time", "1700000000"]);
    assert_eq!(called.code, 0, "{}", called.err);
    // Twice: nothing else would tell a mistyped one.
    assert_eq!(asked(), 2);
    bench.write("src/dir/two", "changed\n");
    let called = use_agent(&["incr", "src", &url, "--current-time", "1700003600"]);
    assert_eq!(called.code, 0, "{}", called.err);
    assert_eq!(asked(), 2);
    bench.settle("src");
    let expected = listing(&bench.path("src"));
    let restored = |called: Called, out: &str| {
        assert_eq!(called.code, 0, "{out}: {}", called.err);
        bench.settle(out);
        assert_eq!(listing(&bench.path(out)), expected, "{out}");
    };
    restored(use_agent(&["restore", &url, "cached"]), "cached");
    assert_eq!(asked(), 2);
    // An agent that knows nothing has gpg ask for the files themselves.
    agent(&keyring, &bench, Some(PASSPHRASE));
    let _ = fs::remove_dir_all(bench.path("cache"));
    restored(use_agent(&["restore", &url, "asked-for"]), "asked-for");
    assert!(asked() >= 1);
    let reader = [("GNUPGHOME", home.as_str()), ("PASSPHRASE", PASSPHRASE)];
    let words = ["restore", &url, "theirs"];
    if let Some(called) = bench.call(Program::Duplicity3, "other", &words, "", &reader) {
        restored(called, "theirs");
    }

    // Told in advance, by the name of the archive dir; nobody is asked.
    let tool = Path::new("/usr/lib/gnupg/gpg-preset-passphrase");
    if !tool.exists() {
        programs::skipped("a preset passphrase", "gpg-preset-passphrase is not here");
        return;
    }
    agent(&keyring, &bench, None);
    let started = Command::new("gpg-connect-agent")
        .args(["--homedir", &home, "/bye"])
        .output();
    assert!(started.is_ok_and(|output| output.status.success()));
    let mut child = Command::new(tool)
        .args(["--preset", "duplicity:x"])
        .env("GNUPGHOME", &home)
        .stdin(Stdio::piped())
        .spawn()
        .expect("it is there");
    let mut input = child.stdin.take().expect("piped");
    writeln!(input, "{PASSPHRASE}").expect("a pipe");
    drop(input);
    assert!(child.wait().expect("it ends").success());
    let _ = fs::remove_dir_all(bench.path("cache"));
    restored(use_agent(&["restore", &url, "preset"]), "preset");
    let called = use_agent(&["full", "src", &url]);
    assert_eq!(called.code, 0, "{}", called.err);
    assert_eq!(asked(), 0);
}
