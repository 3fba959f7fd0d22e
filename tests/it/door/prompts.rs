//! Passphrases: from the environment, from standard input, or not needed at all.

use super::{Bench, Called};
use crate::support::keyring::{Keyring, PASSPHRASE};
use crate::support::programs::Program;

fn dupr(bench: &Bench, words: &[&str], input: &str, env: &[(&str, &str)]) -> Called {
    bench
        .call(Program::Dupr, "cache", words, input, env)
        .expect("dupr")
}

#[test]
fn a_passphrase_is_read_from_standard_input() {
    let bench = Bench::new("prompt");
    let url = bench.url("t");
    let full = ["full", "src", url.as_str()];
    let nobody = dupr(&bench, &full, "", &[]);
    assert_eq!(nobody.code, 30, "{}", nobody.err);
    assert!(nobody.err.contains("PASSPHRASE") && bench.names("t").is_empty());
    // Two answers that differ, then one that is empty, then two that do not.
    let made = dupr(&bench, &full, "a\nb\n\n\nsecret\nsecret\n", &[]);
    assert_eq!(made.code, 0, "{}", made.err);
    assert!(made.err.contains("Retype passphrase"), "{}", made.err);
    assert!(made.out.contains("do not match"), "{}", made.out);
    for (out, input, env, code) in [
        ("out1", "secret\n", &[][..], 0),
        ("out2", "", &[("PASSPHRASE", "secret")], 0),
        ("out3", "wrong\n", &[], 31),
        ("out4", "", &[("PASSPHRASE", "wrong")], 31),
        ("out5", "", &[], 30),
    ] {
        let called = dupr(&bench, &["restore", &url, out], input, env);
        assert_eq!(called.code, code, "{out}: {}", called.err);
        assert!(!format!("{}{}", called.out, called.err).contains("secret"));
    }
    assert_eq!(
        super::listing(&bench.path("out1")),
        super::listing(&bench.path("src"))
    );
    for reader in [Program::Duplicity3, Program::Duplicity08] {
        let out = format!("by{reader:?}");
        let env = [("PASSPHRASE", "secret")];
        if let Some(called) = bench.call(reader, "other", &["restore", &url, &out], "", &env) {
            assert_eq!(called.code, 0, "{}", called.err);
        }
    }
}

#[test]
fn looking_at_names_and_deleting_asks_for_nothing() {
    let bench = Bench::new("nokey");
    let url = bench.url("t");
    let env = [("PASSPHRASE", "secret")];
    for time in ["1700000000", "1700100000"] {
        let words = ["full", "src", url.as_str(), "--current-time", time];
        assert_eq!(dupr(&bench, &words, "", &env).code, 0);
    }
    std::fs::remove_dir_all(bench.path("cache")).expect("cache");
    for words in [
        &["collection-status", url.as_str()][..],
        &["cleanup", &url, "--force"],
        &["remove-older-than", "1700050000", &url],
        &["remove-all-inc-of-but-n-full", "1", &url, "--force"],
        &["remove-all-but-n-full", "1", &url, "--force"],
    ] {
        let called = dupr(&bench, words, "", &[]);
        assert_eq!(called.code, 0, "{words:?} {}", called.err);
        assert!(!called.err.contains("passphrase"), "{}", called.err);
    }
    assert_eq!(bench.names("t").len(), 3, "{:?}", bench.names("t"));
}

#[test]
fn keys_sign_and_open_as_in_duplicity() {
    let Some(keyring) = Keyring::new() else {
        return;
    };
    let bench = Bench::new("keys");
    let url = bench.url("t");
    let home = keyring.home().display().to_string();
    let both = [
        ("GNUPGHOME", home.as_str()),
        ("PASSPHRASE", PASSPHRASE),
        ("SIGN_PASSPHRASE", PASSPHRASE),
    ];
    let made = dupr(
        &bench,
        &[
            "full",
            "src",
            &url,
            "--encrypt-key",
            &keyring.encrypt,
            "--sign-key",
            &keyring.sign,
        ],
        "",
        &both,
    );
    assert_eq!(made.code, 0, "{}", made.err);
    let by_option = format!("--gpg-options=--homedir {home}");
    for (out, words, env, code) in [
        (
            "signed",
            &["--sign-key", keyring.sign.as_str()][..],
            &both[..],
            0,
        ),
        ("unasked", &[], &both[..2], 0),
        ("by option", &[by_option.as_str()], &both[1..2], 0),
        (
            "by other",
            &["--sign-key", keyring.encrypt.as_str()],
            &both[..],
            22,
        ),
    ] {
        let words = [&["restore", url.as_str(), out], words].concat();
        let called = dupr(&bench, &words, "", env);
        assert_eq!(called.code, code, "{out}: {}", called.err);
    }
    assert_eq!(
        super::listing(&bench.path("by option")),
        super::listing(&bench.path("src"))
    );
    // One key for both tasks: its passphrase is given once.
    let one = bench.url("one");
    let words = [
        "full",
        "src",
        one.as_str(),
        "--name",
        "y",
        "--encrypt-sign-key",
        &keyring.sign,
    ];
    let called = dupr(&bench, &words, "", &both[..2]);
    let usable = called.code == 0 || called.err.contains("no key for encryption");
    assert!(usable, "{}", called.err);
}

#[test]
fn temporary_files_go_where_they_are_told() {
    let bench = Bench::new("temp");
    let url = bench.url("t");
    std::fs::create_dir(bench.path("tmp")).expect("dir");
    let tmp = bench.path("tmp").display().to_string();
    let seen = |words: &[&str], env: &[(&str, &str)]| {
        let words = [&["full", "src", &url, "-v9", "--no-encryption"], words].concat();
        let called = dupr(&bench, &words, "", env);
        let line = format!("Using temporary directory {tmp}");
        (called.code, called.out.lines().any(|l| l == line))
    };
    assert_eq!(seen(&["--tempdir", &tmp], &[("TMPDIR", "/")]), (0, true));
    assert_eq!(
        seen(&[], &[("TMPDIR", &tmp), ("TEMP", "/"), ("TMP", "/")]),
        (0, true)
    );
    assert_eq!(
        seen(&[], &[("TMPDIR", ""), ("TEMP", &tmp), ("TMP", "/")]),
        (0, true)
    );
    assert_eq!(
        seen(&[], &[("TMPDIR", "/nowhere"), ("TEMP", ""), ("TMP", &tmp)]),
        (0, true)
    );
    assert_eq!(seen(&["--tempdir", "/nowhere"], &[]), (23, false));
}

#[test]
fn filelists_come_from_standard_input_and_lists() {
    let bench = Bench::new("lists");
    let url = bench.url("t");
    let list = |words: &[&str], input: &str| {
        let _ = std::fs::remove_dir_all(bench.path("t"));
        let words = [&["full", "src", &url, "--no-encryption"], words].concat();
        let called = dupr(&bench, &words, input, &[]);
        assert_eq!(called.code, 0, "{words:?} {}", called.err);
        let listed = dupr(&bench, &["ls", &url, "--no-encryption"], "", &[]);
        let entries = listed
            .out
            .lines()
            .filter(|l| l.as_bytes().get(13) == Some(&b':'));
        entries
            .filter_map(|l| l.get(25..))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let only_dir = [".", "dir", "dir/big", "dir/sub", "dir/two"];
    bench.write("globs", "+ src/dir\n- **\n");
    assert_eq!(list(&["--include-filelist", "globs"], ""), only_dir);
    assert_eq!(
        list(&["--include-filelist", "/dev/stdin"], "+ src/dir\n- **\n"),
        only_dir
    );
    assert_eq!(
        list(&["--include-filelist-stdin"], "+ src/dir\n- **\n"),
        only_dir
    );
    assert_eq!(
        list(&["--exclude-filelist", "-", "--exclude", "**"][2..], ""),
        ["."]
    );
    assert_eq!(
        list(
            &["--null-separator", "--exclude-filelist", "/dev/stdin"],
            "+ src/dir\0- **\0"
        ),
        only_dir
    );
    assert_eq!(
        list(&["--files-from", "/dev/stdin"], "dir/two\nlink\n"),
        [".", "dir", "dir/two", "link"]
    );
}
