//! Volumes in an archive class: what a restore says, what is ordered, and that it can be restored then.

use crate::servers::{Azurite, S3};
use crate::storage_contract::{opened, s3, settings, source};
use crate::support::home::{Called, Home, called};
use crate::support::vault::{noise, write};
use dupr::engine::ErrorKind;
use dupr::engine::storage::{Rest, Speed, Storage, StorageOptions, ThawOrder};
use serde_json::Value;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;

const ORDER: ThawOrder = ThawOrder {
    days: 2,
    speed: Speed::Bulk,
};

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

/// Everything at once: nobody orders one volume, waits for hours, and hears of the next one.
#[test]
fn the_error_of_a_restore_lists_what_lies_in_the_archive() {
    let server = S3::moto();
    let home = Home::new("cold-list");
    write(
        &home.source().join("a"),
        &noise(2_400_000, 1),
        1_600_000_000,
    );
    home.raw_profile(
        "home",
        &format!(
            "version = 1\nsource = {:?}\npassphrase = {{ file = {:?} }}\nbackup.volume-size = \"1 MiB\"\n\
             [target]\nurl = \"s3://bucket/x\"\n\
             options = {{ endpoint = {:?}, region = \"us-east-1\", storage-class = \"glacier\" }}\n",
            home.source(),
            home.path().join("pass"),
            server.endpoint(),
        ),
    );
    let dupr = |words: &[&str]| -> Called {
        let mut command = home.command(words);
        command
            .env("AWS_ACCESS_KEY_ID", &server.key_id)
            .env("AWS_SECRET_ACCESS_KEY", &server.secret);
        called(command.output().expect("dupr"))
    };
    let does = |words: &[&str]| {
        let done = dupr(words);
        assert_eq!(done.code, 0, "{words:?} {} {}", done.stdout, done.stderr);
    };
    does(&["home", "full"]);
    home.write("two", "changed\n");
    does(&["home", "incr"]);
    let storage = opened("s3://bucket/x", &s3(&server));
    let listed = storage.list().expect("list").into_iter();
    let mut volumes: Vec<String> = listed.map(|object| object.name).collect();
    volumes.retain(|name| name.contains(".vol"));
    volumes.sort();
    assert_eq!(volumes.len(), 4, "{volumes:?}");
    let refused = |words: &[&str]| -> String {
        let done = dupr(words);
        assert_eq!(done.code, 13, "{words:?} {} {}", done.stdout, done.stderr);
        done.stderr
    };
    let out = home.path().join("out").display().to_string();
    for words in [&["home", "restore", &out][..], &["home", "verify"]] {
        let told = refused(words);
        let all = format!("in the archive: {}", volumes.join(", "));
        assert!(told.contains(&all), "{words:?}: {told}");
        assert!(told.contains("dupr thaw"), "{words:?}: {told}");
    }
    // A copy needs all sets.
    let text = format!(
        "version = 1\nsource = {:?}\npassphrase = {{ file = {:?} }}\n\
         [[target]]\nname = \"cloud\"\nurl = \"s3://bucket/x\"\n\
         options = {{ endpoint = {:?}, region = \"us-east-1\" }}\n\
         [[target]]\nname = \"disk\"\nurl = \"file://{out}-copy\"\ncopy-of = \"cloud\"\n",
        home.source(),
        home.path().join("pass"),
        server.endpoint(),
    );
    home.raw_profile("copy", &text);
    let told = refused(&["copy", "replicate"]);
    let all = format!("in the archive: {}", volumes.join(", "));
    assert!(told.contains(&all), "{told}");
    // Of a part only what that part needs.
    let told = refused(&["home", "fetch", "two", &format!("{out}-two")]);
    assert!(!told.contains(&volumes[0]), "{told}");
    assert!(told.contains(&volumes[3]), "{told}");
    // What is ordered is told apart from what is not.
    let mut options = s3(&server);
    options.settings.insert("region".into(), "us-east-1".into());
    let cold = opened("s3://bucket/x", &options);
    let order = |name: &str| {
        // Ordered by the next look, and not at hand for long.
        slow(&server, 1);
        cold.thaw(name, ORDER).expect("ordered");
        assert_eq!(cold.rest(name).expect("rest"), Rest::Ordered);
        slow(&server, 1000);
    };
    order(&volumes[1]);
    let told = refused(&["home", "restore", &format!("{out}-again")]);
    let ordered = format!("ordered from it: {}", volumes[1]);
    assert!(told.contains(&ordered), "{told}");
    let rest = [&volumes[0], &volumes[2], &volumes[3]].map(String::as_str);
    let archived = format!("in the archive: {};", rest.join(", "));
    assert!(told.contains(&archived), "{told}");
    rest.into_iter().for_each(order);
    let told = refused(&["home", "restore", &format!("{out}-last")]);
    assert!(!told.contains("in the archive"), "{told}");
    assert!(told.contains("--plan"), "{told}");
}

/// The keys are where Amazon's own tools have them.
#[test]
fn keys_in_files_order_too() {
    let server = S3::moto();
    let mut options = s3(&server);
    options
        .settings
        .insert("storage-class".into(), "glacier".into());
    let file = source(10);
    opened("s3://bucket/x", &options)
        .put("a", file.path())
        .expect("put");
    let home = Home::new("thaw-keys");
    fs::create_dir(home.path().join(".aws")).expect("dir");
    let keys = format!(
        "[default]\naws_access_key_id = {}\naws_secret_access_key = {}\n",
        server.key_id, server.secret
    );
    fs::write(home.path().join(".aws/credentials"), keys).expect("keys");
    options.settings.remove("storage-class");
    options
        .settings
        .insert("credentials".into(), "chain".into());
    let own = home.path().display().to_string();
    options.environment = [("HOME", own.as_str())].into_iter().collect();
    let storage = opened("s3://bucket/x", &options);
    assert_eq!(storage.rest("a").expect("rest"), Rest::Archived);
    storage.thaw("a", ORDER).expect("ordered");
    options
        .settings
        .insert("credentials".into(), "anonymous".into());
    let error = opened("s3://bucket/x", &options).rest("a");
    let error = error.expect_err("nobody");
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
}

/// Of several copies one is ordered; of files that lie by turns each where it is.
#[test]
fn several_targets_are_ordered_from() {
    let server = S3::moto();
    let dir = tempfile::TempDir::new().expect("temp dir");
    let mut options = s3(&server);
    let endpoint = server.endpoint();
    let (near, list) = (dir.path().join("near"), dir.path().join("list.json"));
    let member = |url: &str, class: &str| {
        serde_json::json!({"url": url, "options": {
            "endpoint": endpoint, "storage-class": class, "region": "us-east-1",
        }})
    };
    let members = [
        member("s3://bucket/one", "glacier"),
        member("s3://bucket/two", "glacier"),
    ];
    fs::write(&list, serde_json::json!(members).to_string()).expect("list");
    options.settings.clear();
    let url = |mode: &str| format!("multi://{}?mode={mode}", list.display());
    for mode in ["stripe", "mirror"] {
        let storage = opened(&url(mode), &options);
        let name = format!("{mode}.vol1");
        storage.put(&name, source(10).path()).expect("put");
        assert_eq!(storage.rest(&name).expect("rest"), Rest::Archived);
        storage.thaw(&name, ORDER).expect("ordered");
        assert_ne!(storage.rest(&name).expect("rest"), Rest::Archived);
        storage.thaw(&name, ORDER).expect("once is enough");
        let error = storage.rest("absent").expect_err("absent");
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    }
    // A copy at hand is all that is needed.
    let members = [
        member("s3://bucket/three", "glacier"),
        serde_json::json!({"url": format!("file://{}", near.display())}),
    ];
    fs::write(&list, serde_json::json!(members).to_string()).expect("list");
    let storage = opened(&url("mirror"), &options);
    storage.put("a", source(10).path()).expect("put");
    assert_eq!(storage.rest("a").expect("rest"), Rest::AtHand);
}

#[test]
fn blobs_of_azures_archive_are_ordered() {
    let server = Azurite::start();
    let mut options = StorageOptions {
        environment: [("AZURE_CONNECTION_STRING", server.connection_string())]
            .into_iter()
            .collect(),
        settings: settings(&[("access-tier", "archive")]),
        standard_names: |name| !name.contains("vol"),
        ..StorageOptions::default()
    };
    let storage = opened("azure://container/a%20folder", &options);
    let name = "odd name+%41.vol1";
    for name in [name, "manifest"] {
        storage.put(name, source(10).path()).expect("put");
    }
    assert_eq!(storage.rest("manifest").expect("rest"), Rest::AtHand);
    assert_eq!(storage.rest(name).expect("rest"), Rest::Archived);
    let error = storage.get(name, &mut Vec::new()).expect_err("archived");
    assert!(
        error.hint().is_some_and(|h| h.contains("dupr thaw")),
        "{error}"
    );
    storage.thaw(name, ORDER).expect("ordered");
    assert_ne!(storage.rest(name).expect("rest"), Rest::Archived);
    let tiers = server.tiers("container");
    let full = format!("a folder/{name}");
    let tier = tiers.iter().find(|(known, _)| *known == full);
    assert!(tier.is_some_and(|(_, tier)| tier != "Archive"), "{tiers:?}");
    let error = storage.rest("absent").expect_err("absent");
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    let error = storage.thaw("absent", ORDER).expect_err("absent");
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    let wrong = server.connection_string_with("Y2FuYXJ5");
    options.environment.set("AZURE_CONNECTION_STRING", wrong);
    let error = opened("azure://container/a%20folder", &options).thaw(name, ORDER);
    let error = error.expect_err("wrong key");
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    assert!(!format!("{error:?}").contains("Y2FuYXJ5"), "{error:?}");
}

/// By an imitation: moto knows no tiers that objects sink into by themselves.
#[test]
fn intelligent_tiering_is_ordered_without_days() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port of loopback");
    let port = listener.local_addr().expect("address").port();
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut is_ordered = false;
        for mut line in listener.incoming().flatten() {
            let mut text = String::new();
            let mut piece = [0; 4096];
            // The order is one short text, which ends like this.
            loop {
                let bytes = line.read(&mut piece).unwrap_or(0);
                text += &String::from_utf8_lossy(&piece[..bytes]);
                let is_whole = match text.starts_with("POST") {
                    true => text.ends_with("</RestoreRequest>"),
                    false => text.ends_with("\r\n\r\n"),
                };
                if bytes == 0 || is_whole {
                    break;
                }
            }
            let more = match (text.starts_with("POST"), is_ordered) {
                (true, _) => "",
                (false, false) => "",
                (false, true) => "x-amz-restore: ongoing-request=\"true\"\r\n",
            };
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\
                 x-amz-storage-class: INTELLIGENT_TIERING\r\n\
                 x-amz-archive-status: DEEP_ARCHIVE_ACCESS\r\n{more}\r\n"
            );
            let _ = line.write_all(head.as_bytes());
            if text.starts_with("POST") {
                is_ordered = true;
                let _ = tell.send(text);
            }
        }
    });
    let options = StorageOptions {
        environment: [
            ("AWS_ACCESS_KEY_ID", "id"),
            ("AWS_SECRET_ACCESS_KEY", "key"),
        ]
        .into_iter()
        .collect(),
        settings: settings(&[("endpoint", &format!("http://127.0.0.1:{port}"))]),
        ..StorageOptions::default()
    };
    let storage = opened("s3://bucket/x", &options);
    assert_eq!(storage.rest("a").expect("rest"), Rest::Archived);
    storage.thaw("a", ORDER).expect("ordered");
    let order = told.recv().expect("an order");
    assert!(order.starts_with("POST /bucket/x/a?restore"), "{order}");
    assert!(order.contains("<Tier>Bulk</Tier>"), "{order}");
    assert!(!order.contains("<Days>"), "{order}");
    assert_eq!(storage.rest("a").expect("rest"), Rest::Ordered);
}
