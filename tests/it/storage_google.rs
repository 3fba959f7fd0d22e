//! Buckets of Google Cloud Storage for whoever shows a token, at a strict imitation: the contract, what may go wrong, a whole life.

use crate::door::{Bench, listing};
use crate::servers::GoogleStorage;
use crate::storage_contract::{opened, settings, source};
use crate::support::programs::Program;
use dupr::engine::ErrorKind;
use dupr::engine::storage::{Storage, StorageOptions};
use dupr::testing::contract;
use std::time::Duration;

fn with(server: &GoogleStorage, file: &str) -> StorageOptions {
    StorageOptions {
        backoff: Duration::from_millis(50),
        attempts: 3,
        environment: [("GOOGLE_APPLICATION_CREDENTIALS", file)]
            .into_iter()
            .collect(),
        settings: settings(&[("endpoint", &server.endpoint())]),
        ..StorageOptions::default()
    }
}

fn list(storage: &dyn Storage) -> Vec<String> {
    let listed = storage.list().expect("list");
    listed.into_iter().map(|object| object.name).collect()
}

/// Listings are short, tokens do not hold for long, and the clock is wrong.
#[test]
fn a_service_account_keeps_the_contract() {
    let server = GoogleStorage::start(50);
    let storage = opened(
        "gs://bucket/some/prefix",
        &with(&server, &server.key_file(false)),
    );
    contract::run(&*storage);
    contract::exclusive_claims(&*storage);
    contract::long_listing(&*storage, 30);
    assert_eq!(server.objects(), [], "nothing is left");
    assert!(server.asked("POST /token") > 3, "tokens have run out");
}

#[test]
fn a_login_of_a_user_and_storage_classes() {
    let server = GoogleStorage::start(1000);
    let mut options = with(&server, &server.user_file());
    options
        .settings
        .insert("storage-class".into(), "nearline".into());
    options.standard_names = |name| name.ends_with("manifest");
    let storage = opened("gs://bucket/x", &options);
    storage.put("a.manifest", source(10).path()).expect("put");
    storage.put("a.vol1", source(10).path()).expect("put");
    let large = source(20 << 20);
    storage.claim("b.vol1", large.path()).expect("in parts");
    let refused = storage.claim("b.vol1", large.path()).expect_err("taken");
    assert_eq!(refused.kind(), ErrorKind::Locked, "{refused}");
    let classes: Vec<String> = server.objects().into_iter().map(|(_, c)| c).collect();
    assert_eq!(classes, ["STANDARD", "NEARLINE", "NEARLINE"]);
    assert_eq!(server.asked("GET /token"), 0, "users need no clock");
}

#[test]
fn what_goes_wrong_there_is_survived() {
    let server = GoogleStorage::start(1000);
    let mut options = with(&server, &server.key_file(false));
    // Whoever comes back within a second comes too soon for `busy`.
    options.attempts = 8;
    let storage = opened("gs://bucket/x", &options);
    for fault in ["lost", "torn", "deaf", "busy", "short", "expired"] {
        for (what, bytes) in [("small", 1000), ("large", 9 << 20)] {
            let name = format!("{fault} {what}");
            storage.put(&name, source(bytes).path()).expect(&name);
            let mut got = Vec::new();
            storage.get(&name, &mut got).expect(&name);
            assert!(got == vec![0x5a; bytes], "{name}");
            storage.delete(&name).expect(&name);
        }
        let name = format!("{fault} claim");
        storage.claim(&name, source(100).path()).expect(&name);
        assert_eq!(list(&*storage), [name.as_str()]);
        storage.delete(&name).expect(&name);
    }
    assert_eq!(server.objects(), [], "nothing is left");
}

#[test]
fn troubles_have_a_kind_and_a_way_out() {
    let server = GoogleStorage::start(1000);
    let good = server.key_file(false);
    let put = |url: &str, file: &str, name: &str| {
        let storage = opened(url, &with(&server, file));
        let error = storage.put(name, source(10).path()).expect_err(name);
        assert!(!format!("{error:?}").contains("PRIVATE"), "{error:?}");
        (error.kind(), error.hint().unwrap_or_default().to_string())
    };
    let (kind, hint) = put("gs://bucket/x", &server.key_file(true), "a");
    assert_eq!(kind, ErrorKind::Denied);
    assert!(hint.contains("GOOGLE_APPLICATION_CREDENTIALS"), "{hint}");
    let (kind, hint) = put("gs://other/x", &good, "a");
    assert_eq!(kind, ErrorKind::NotFound);
    assert!(hint.contains("bucket other"), "{hint}");
    let (kind, hint) = put("gs://bucket/x", &good, "over quota");
    assert_eq!(kind, ErrorKind::Denied);
    assert!(hint.contains("may this account"), "{hint}");

    // A key of interoperability is the nearer one.
    let mut options = with(&server, &good);
    options.environment.set("GS_ACCESS_KEY_ID", "id");
    options.environment.set("GS_SECRET_ACCESS_KEY", "key");
    let asked = server.asked("POST /token");
    opened("gs://bucket/x", &options)
        .list()
        .expect_err("signatures are not known here");
    assert_eq!(server.asked("POST /token"), asked);
}

/// By duplicity's words, whose own knows no such account.
#[test]
fn a_service_account_keeps_backups() {
    let server = GoogleStorage::start(30);
    let bench = Bench::new("google-cycle");
    let (file, endpoint) = (server.key_file(false), server.endpoint());
    let dupr = |words: &[&str]| {
        let environment = [
            ("PASSPHRASE", "secret"),
            ("GOOGLE_APPLICATION_CREDENTIALS", file.as_str()),
        ];
        let at = ["--s3-endpoint-url", endpoint.as_str()];
        let words = [words, &at].concat();
        let called = bench.call(Program::Dupr, "cache", &words, "", &environment);
        let called = called.expect("dupr is there");
        assert_eq!(called.code, 0, "{words:?}\n{}{}", called.out, called.err);
        called.out
    };
    let url = "gs://bucket/back/up";
    bench.write("src/large", &"x1y2z3".repeat(400_000));
    let full = ["full", "src", url, "--volsize", "1", "--no-compression"];
    dupr(&[&full[..], &["--current-time", "1700000000"]].concat());
    bench.write("src/a.txt", "other\n");
    dupr(&["inc", "src", url, "--current-time", "1700100000"]);
    dupr(&["verify", url, "src"]);
    dupr(&["restore", url, "back"]);
    bench.settle("src");
    bench.settle("back");
    assert_eq!(listing(&bench.path("back")), listing(&bench.path("src")));
    dupr(&["full", "src", url, "--current-time", "1700200000"]);
    dupr(&["remove-all-but-n-full", "1", url, "--force"]);
    dupr(&["cleanup", url, "--force"]);
    let status = dupr(&["collection-status", url]);
    assert!(!status.contains("Incremental"), "{status}");
    assert!(server.asked("POST /token") > 1, "tokens have run out");
}
