//! Copying to another target with another seal: the copy restores with every program, at every time.

use super::{Bench, listing};
use crate::support::programs::Program;

#[test]
fn a_copy_with_another_passphrase_restores_everywhere() {
    let bench = Bench::new("replica");
    let (from, to) = (bench.url("t"), bench.url("copy"));
    let call = |cache: &str, words: &[&str], env: &[(&str, &str)]| {
        bench
            .call(Program::Dupr, cache, words, "", env)
            .expect("dupr")
    };
    let plain = |words: &[&str]| {
        let words = [words, &["--no-encryption", "--volsize", "1"]].concat();
        let called = call("cache", &words, &[]);
        assert_eq!(called.code, 0, "{}", called.err);
    };
    bench.write("src/large", &"x1y2z3".repeat(400_000));
    plain(&[
        "full",
        "src",
        &from,
        "--current-time",
        "1700000000",
        "--no-compression",
    ]);
    bench.copy("src", "src1");
    bench.write("src/a.txt", "other\n");
    plain(&[
        "inc",
        "src",
        &from,
        "--current-time",
        "1700100000",
        "--jsonstat",
    ]);
    let env = [("PASSPHRASE", "secret")];
    let replicate = |more: &[&str]| {
        let words = [&["replicate", &from, &to], more].concat();
        let called = call("copies", &words, &env);
        assert_eq!(called.code, 0, "{}", called.err);
        called.out
    };
    replicate(&["--dry-run"]);
    assert!(bench.names("copy").is_empty());
    // Strictly older than the second set.
    replicate(&["--time", "1700100000"]);
    let names = bench.names("copy");
    assert!(
        names
            .iter()
            .all(|n| n.ends_with(".gpg") && n.contains("20231114T221320Z")),
        "{names:?}"
    );
    assert_eq!(
        names.iter().filter(|n| n.contains(".vol")).count(),
        3,
        "{names:?}"
    );
    // A copy that was interrupted before its manifest is made anew.
    let manifest = names
        .iter()
        .find(|n| n.contains("manifest"))
        .expect("manifest");
    std::fs::remove_file(bench.path("copy").join(manifest)).expect("remove");
    replicate(&[]);
    assert_eq!(bench.names("copy").len(), bench.names("t").len());
    assert!(replicate(&[]).contains("2 set(s) were there already"));
    for reader in Program::ALL {
        for (time, source) in [("1700000000", "src1"), ("1700100000", "src")] {
            let out = format!("{reader:?}-{time}");
            let words = ["restore", &to, &out, "--time", time];
            if let Some(called) = bench.call(reader, &format!("c{reader:?}"), &words, "", &env) {
                assert_eq!(called.code, 0, "{reader:?} {}", called.err);
                assert_eq!(listing(&bench.path(&out)), listing(&bench.path(source)));
            }
        }
        let verify = ["verify", "--compare-data", &to, "src"];
        if let Some(called) = bench.call(reader, &format!("c{reader:?}"), &verify, "", &env) {
            assert_eq!(called.code, 0, "{reader:?} {}", called.out);
        }
    }
}

#[test]
fn damage_is_not_copied() {
    let bench = Bench::new("replicad");
    let (from, to) = (bench.url("t"), bench.url("copy"));
    let made = bench
        .plain(Program::Dupr, "cache", &["full", "src", &from])
        .expect("dupr");
    assert_eq!(made.code, 0);
    let volume = bench
        .names("t")
        .into_iter()
        .find(|n| n.contains(".vol1."))
        .expect("volume");
    let path = bench.path("t").join(volume);
    let mut bytes = std::fs::read(&path).expect("read");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).expect("write");
    let called = bench
        .plain(Program::Dupr, "copies", &["replicate", &from, &to])
        .expect("dupr");
    assert_eq!(called.code, 21, "{}", called.err);
    assert!(!bench.names("copy").iter().any(|n| n.contains("manifest")));
}
