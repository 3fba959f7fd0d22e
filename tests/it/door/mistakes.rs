//! Calls that are wrong, or meet what is not as expected: the codes are duplicity's, and nothing is claimed that is not so.

use super::{Bench, Called};
use crate::support::keyring::{Keyring, PASSPHRASE};
use crate::support::programs::Program;

/// Each call with the code of both, on a chain of a full and an incremental set.
#[test]
fn wrong_calls_end_as_with_duplicity() {
    let bench = Bench::new("mistakes");
    let (url, other, source) = (bench.url("t"), bench.url("elsewhere"), bench.url("src"));
    let (url, other, source) = (url.as_str(), other.as_str(), source.as_str());
    for (time, word) in [("1700000000", "full"), ("1700003600", "inc")] {
        let words = [word, "src", url, "--current-time", time];
        let made = bench.plain(Program::Dupr, "cache", &words).expect("dupr");
        assert_eq!(made.code, 0, "{}", made.err);
        bench.write("src/a.txt", "changed\n");
    }
    bench.write("file", "in the way\n");
    let calls: &[(&[&str], i32)] = &[
        (&["restore", url, other], 23),
        (&["verify", url, source], 23),
        (&["restore", url, "out", "--path-to-restore", "../x"], 19),
        (&["restore", url, "out", "--path-to-restore", "nothere"], 19),
        (&["restore", url, "file", "--force"], 11),
        (&["full", "src", url, "--metadata-sync-mode", "bogus"], 23),
        (&["collection-status", url, "--file-changed", "../x"], 0),
        (&["collection-status", url, "--show-changes-in-set=-1"], 0),
    ];
    for (words, code) in calls {
        let ours = bench.plain(Program::Dupr, "cache", words).expect("dupr");
        assert_eq!(ours.code, *code, "{words:?}: {}{}", ours.out, ours.err);
        bench.copy("cache", "cache3");
        if let Some(real) = bench.plain(Program::Duplicity3, "cache3", words) {
            assert_eq!(real.code, *code, "{words:?}: {}{}", real.out, real.err);
        }
    }
    let read = std::fs::read_to_string(bench.path("file")).expect("as it was");
    assert_eq!(read, "in the way\n");
    let left = bench.names(".");
    assert!(!left.contains(&"file:".into()), "{left:?}");

    // 0.8 took slashes away; 3.2 finds nothing.
    let words = ["restore", url, "one", "--file-to-restore", "/dir/two"];
    for (reader, out) in [(Program::Dupr, "one"), (Program::Duplicity08, "two")] {
        let words = words.map(|word| if word == "one" { out } else { word });
        if let Some(called) = bench.plain(reader, &format!("cache-{out}"), &words) {
            assert_eq!(called.code, 0, "{}", called.err);
            let read = std::fs::read_to_string(bench.path(out)).expect("a file");
            assert_eq!(read, "two\n");
        }
    }
}

#[test]
fn a_listing_of_a_time_before_all_backups_says_what_it_is() {
    let bench = Bench::new("early");
    let url = bench.url("t");
    let call = |program, words: &[&str]| bench.plain(program, "cache", words);
    let full = ["full", "src", &url, "--current-time", "1700000000"];
    assert_eq!(call(Program::Dupr, &full).expect("dupr").code, 0);
    let words = ["list-current-files", &url, "-t", "1600000000", "--log-file"];
    let told = |program, log: &str| {
        let called = call(program, &[&words[..], &[log]].concat())?;
        assert_eq!(called.code, 0, "{}", called.err);
        let log = std::fs::read_to_string(bench.path(log)).expect("a log");
        let line = log.lines().find(|line| line.starts_with("WARNING 11"));
        Some(line.map(str::to_owned))
    };
    let ours = told(Program::Dupr, "log").expect("dupr");
    assert_eq!(ours.as_deref(), Some("WARNING 11 20231114T221320Z"));
    if let Some(real) = told(Program::Duplicity3, "log3") {
        assert_eq!(real, ours);
    }
}

#[test]
fn a_verify_that_could_not_read_does_not_say_it_is_complete() {
    let bench = Bench::new("unread");
    let url = bench.url("t");
    let call = |words: &[&str]| bench.plain(Program::Dupr, "cache", words).expect("dupr");
    assert_eq!(call(&["full", "src", &url]).code, 0);
    let whole = call(&["verify", &url, "src"]);
    assert_eq!(whole.code, 0, "{}", whole.err);
    assert!(whole.out.contains("Verify complete"), "{}", whole.out);
    let names = bench.names("t");
    let volume = names.iter().find(|name| name.contains(".vol1."));
    std::fs::remove_file(bench.path("t").join(volume.expect("one"))).expect("removed");
    let called = call(&["verify", &url, "src"]);
    assert_eq!(called.code, 1, "{}", called.err);
    let said = called.out + &called.err;
    assert!(!said.contains("Verify complete"), "{said}");
    assert!(!said.contains("0 difference(s) found"), "{said}");
}

/// Who begins to sign, and verifies what was there before, does not lose the chain by it.
#[test]
fn a_signature_that_is_missing_is_no_damage() {
    let Some(keyring) = Keyring::new() else {
        return;
    };
    let bench = Bench::new("unsigned");
    let home = keyring.home().display().to_string();
    let env = [
        ("GNUPGHOME", home.as_str()),
        ("PASSPHRASE", PASSPHRASE),
        ("SIGN_PASSPHRASE", PASSPHRASE),
    ];
    let url = bench.url("t");
    let to = ["--encrypt-key", keyring.encrypt.as_str()];
    let sign = ["--sign-key", keyring.sign.as_str()];
    let call = |words: &[&str], keys: &[&str]| -> Called {
        let words = [words, &to, keys].concat();
        bench
            .call(Program::Dupr, "cache", &words, "", &env)
            .expect("dupr")
    };
    let full = ["full", "src", &url, "--current-time", "1700000000"];
    assert_eq!(call(&full, &[]).code, 0);
    let verified = call(&["verify", &url, "src"], &sign);
    assert_eq!(verified.code, 22, "{}", verified.err);
    let said = verified.out + &verified.err;
    assert!(!said.contains("Verify complete"), "{said}");
    let status = call(&["collection-status", &url], &[]);
    assert!(!status.out.contains("Damaged"), "{}", status.out);
    bench.write("src/a.txt", "changed\n");
    let inc = call(&["inc", "src", &url, "--current-time", "1700003600"], &sign);
    assert_eq!(inc.code, 0, "{}", inc.err);
    let is_inc = |name: &String| name.starts_with("duplicity-inc.");
    assert!(bench.names("t").iter().any(is_inc));
}

/// A loop over a list on standard input keeps its list.
#[test]
fn a_full_backup_to_keys_asks_for_nothing() {
    let Some(keyring) = Keyring::new() else {
        return;
    };
    let bench = Bench::new("unasked");
    let home = keyring.home().display().to_string();
    let words = ["full", "src", &bench.url("t")];
    let keys = [
        "--encrypt-key",
        &keyring.encrypt,
        "--sign-key",
        &keyring.sign,
    ];
    let words = [&words[..], &keys].concat();
    // The key has a passphrase, which nobody tells: gpg refuses, and what stands on the input is not taken for it.
    let env = [("GNUPGHOME", home.as_str())];
    let called = bench
        .call(
            Program::Dupr,
            "cache",
            &words,
            &format!("{PASSPHRASE}\n"),
            &env,
        )
        .expect("dupr");
    assert_eq!(called.code, 31, "{}", called.err);
    assert!(!(called.out + &called.err).contains("passphrase for signing key:"));
}
