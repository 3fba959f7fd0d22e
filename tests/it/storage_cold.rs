//! Volumes in an archive class: what a restore says, what is ordered, and that it can be restored then.

use crate::servers::S3;
use crate::storage_contract::{opened, s3};
use crate::support::home::{Called, Home, called};
use dupr::engine::ErrorKind;
use dupr::engine::storage::{Rest, Speed, Storage, ThawOrder};
use serde_json::Value;

/// Lets the imitation take its time: an object is ordered when it is looked at so many times, and at hand then.
fn slow(server: &S3, looks: u32) {
    let body = serde_json::json!({
        "model_name": "s3::keyrestore", "transition": {"progression": "manual", "times": looks},
    });
    let url = format!(
        "{}/moto-api/state-manager/set-transition",
        server.endpoint()
    );
    let client = reqwest::blocking::Client::new();
    let answer = client
        .post(url)
        .body(body.to_string())
        .send()
        .expect("moto");
    assert!(answer.status().is_success(), "{answer:?}");
}

#[test]
fn archived_objects_are_ordered() {
    let server = S3::moto();
    let mut options = s3(&server);
    options
        .settings
        .insert("storage-class".into(), "deep_archive".into());
    options.standard_names = |name| !name.contains("vol");
    let storage = opened("s3://bucket/a%20folder", &options);
    let file = crate::storage_contract::source(10);
    for name in ["odd name+%41.vol1", "manifest"] {
        storage.put(name, file.path()).expect("put");
    }
    slow(&server, 2);
    let order = ThawOrder {
        days: 2,
        speed: Speed::Bulk,
    };
    assert_eq!(storage.rest("manifest").expect("rest"), Rest::AtHand);
    let name = "odd name+%41.vol1";
    assert_eq!(storage.rest(name).expect("rest"), Rest::Archived);
    storage.get(name, &mut Vec::new()).expect_err("archived");
    storage.thaw(name, order).expect("ordered");
    assert_eq!(storage.rest(name).expect("rest"), Rest::Ordered);
    let looks: Vec<Rest> = (0..5).map(|_| storage.rest(name).expect("rest")).collect();
    assert_eq!(looks.last(), Some(&Rest::AtHand));
    let mut got = Vec::new();
    storage.get(name, &mut got).expect("at hand");
    assert_eq!(got, [0x5a; 10]);
    let error = storage.rest("absent").expect_err("absent");
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    let error = storage.thaw("absent", order).expect_err("absent");
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    let mut wrong = options.clone();
    wrong.environment.set("AWS_SECRET_ACCESS_KEY", "canary");
    let error = opened("s3://bucket/a%20folder", &wrong).thaw(name, order);
    let error = error.expect_err("wrong key");
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    assert!(!format!("{error:?}").contains("canary"), "{error:?}");

    // Elsewhere everything is at hand.
    let dir = tempfile::TempDir::new().expect("temp dir");
    let local = opened(
        &format!("file://{}", dir.path().display()),
        &Default::default(),
    );
    local.put("a", file.path()).expect("put");
    assert_eq!(local.rest("a").expect("rest"), Rest::AtHand);
    let error = local.thaw("a", order).expect_err("no archive");
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
}

#[test]
fn a_profile_orders_what_a_restore_needs() {
    let server = S3::moto();
    let home = Home::new("thaw");
    home.raw_profile(
        "home",
        &format!(
            "version = 1\nsource = {:?}\npassphrase = {{ file = {:?} }}\n\
             [target]\nurl = \"s3://bucket/x\"\n\
             options = {{ endpoint = {:?}, region = \"us-east-1\", storage-class = \"glacier\" }}\n",
            home.source(),
            home.path().join("pass"),
            server.endpoint(),
        ),
    );
    let dupr = |code: i32, words: &[&str]| -> Called {
        let mut command = home.command(words);
        command
            .env("AWS_ACCESS_KEY_ID", &server.key_id)
            .env("AWS_SECRET_ACCESS_KEY", &server.secret);
        let called = called(command.output().expect("dupr"));
        assert_eq!(
            called.code, code,
            "{words:?} {} {}",
            called.stdout, called.stderr
        );
        called
    };
    dupr(10, &["thaw", "home"]);
    dupr(0, &["home", "full"]);
    home.write("one", "changed\n");
    dupr(0, &["home", "incr"]);
    dupr(0, &["home", "full"]);
    let states = |words: &[&str]| -> Vec<String> {
        let told = dupr(0, words).stdout;
        let told: Value = serde_json::from_str(&told).expect("JSON");
        let volumes = told["volumes"].as_array().expect("a list").clone();
        let state = |volume: &Value| volume["state"].as_str().expect("a word").to_string();
        volumes.iter().map(state).collect()
    };
    // Status and list need no volume.
    dupr(0, &["home", "status"]);
    dupr(0, &["home", "list"]);
    let out = home.path().join("out").display().to_string();
    let mut refused = home.command(&["home", "restore", &out]);
    refused
        .env("AWS_ACCESS_KEY_ID", &server.key_id)
        .env("AWS_SECRET_ACCESS_KEY", &server.secret);
    let refused = called(refused.output().expect("dupr"));
    assert_ne!(refused.code, 0);
    assert!(refused.stderr.contains("dupr thaw"), "{}", refused.stderr);
    // What is planned orders nothing; the newest state is one full set.
    for _ in 0..2 {
        assert_eq!(states(&["home", "thaw", "--plan", "--json"]), ["archived"]);
    }
    slow(&server, 2);
    let told = dupr(0, &["home", "thaw", "--days", "3", "--speed", "bulk"]);
    assert!(
        told.stdout.contains("0 of 1 volumes at hand, 1 ordered"),
        "{}",
        told.stdout
    );
    assert_eq!(states(&["thaw", "home", "--json"]), ["ordered"]);
    let mut looks = 0;
    while states(&["thaw", "home", "--plan", "--json"]) != ["at hand"] {
        looks += 1;
        assert!(looks < 5, "never at hand");
    }
    let _ = std::fs::remove_dir_all(&out);
    dupr(0, &["home", "restore", &out]);
    let one = std::fs::read_to_string(home.path().join("out/one"));
    assert_eq!(one.expect("restored"), "changed\n");
}
