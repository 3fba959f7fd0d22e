//! Buckets of S3: servers in URLs, regions that the server corrects, names of hosts, keys, encryption and storage classes.

use crate::door::{Bench, listing};
use crate::proxy::{Harm, Proxy};
use crate::servers::{Region, S3, Tls};
use crate::storage_contract::{opened, s3, settings, source};
use crate::support::home::{Home, called};
use crate::support::programs::Program;
use dupr::engine::ErrorKind;
use dupr::engine::storage::Notices;
use std::fs;

/// duplicity 0.8 had the server in the URL; it is reached by TLS unless an option says otherwise.
#[test]
fn the_server_stands_in_the_url() {
    let server = S3::moto();
    let tls = Tls::before(server.port);
    let mut options = s3(&server);
    let certificate = tls.certificate().display().to_string();
    options.settings = settings(&[("ca-file", &certificate)]);
    for scheme in ["s3", "boto3+s3", "boto+s3", "s3+http"] {
        let url = format!("{scheme}://127.0.0.1:{}/bucket/{scheme}", tls.port);
        let storage = opened(&url, &options);
        for (name, bytes) in [("small", 10), ("large", 9 << 20)] {
            storage.put(name, source(bytes).path()).expect(scheme);
        }
        let listed = storage.list().expect("list");
        assert_eq!(listed.len(), 2, "{scheme}: {listed:?}");
    }
    let url = format!("s3://127.0.0.1:{}/bucket/x", tls.port);
    options.settings.clear();
    let error = opened(&url, &options).list().expect_err("a stranger");
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    assert!(error.to_string().contains("certificate"), "{error}");
    // An option is nearer than the URL.
    options.settings = settings(&[("endpoint", &server.endpoint())]);
    let storage = opened("s3://127.0.0.1:1/bucket/s3", &options);
    assert_eq!(storage.list().expect("list").len(), 2);

    let bench = Bench::new("s3-url");
    let env = [
        ("AWS_ACCESS_KEY_ID", server.key_id.as_str()),
        ("AWS_SECRET_ACCESS_KEY", server.secret.as_str()),
    ];
    let url = format!("s3://127.0.0.1:{}/bucket/open", server.port);
    let dupr = |words: &[&str]| {
        let plain = ["--s3-unencrypted-connection", "--no-encryption"];
        let words = [words, &plain].concat();
        let called = bench.call(Program::Dupr, "cache", &words, "", &env);
        let called = called.expect("dupr is there");
        assert_eq!(called.code, 0, "{words:?}\n{}{}", called.out, called.err);
    };
    dupr(&["full", "src", &url]);
    dupr(&["restore", &url, "back"]);
    assert_eq!(listing(&bench.path("back")), listing(&bench.path("src")));
    assert_eq!(server.heads("open/").len(), 3);
}

/// Whatever call comes first is told the region, makes itself anew, and all others go there at once.
#[test]
fn a_wrong_region_is_corrected_by_the_server() {
    let server = S3::moto();
    let region = Region::before(&server, "eu-central-1");
    let mut options = s3(&server);
    options.attempts = 1;
    options.settings = settings(&[("endpoint", &region.endpoint())]);
    let first = opened("s3://bucket/x", &options);
    first.put("a", source(9 << 20).path()).expect("in parts");
    let notices = first.notices();
    assert_eq!(notices.len(), 1, "{notices:?}");
    assert!(notices[0].contains("eu-central-1"), "{notices:?}");
    let wrong = |asked: &[String]| asked.iter().filter(|r| *r != "eu-central-1").count();
    let before = region.asked();
    assert!(wrong(&before) > 0, "{before:?}");
    first.list().expect("list");
    first.claim("b", source(10).path()).expect("claim");
    first.get("a", &mut Vec::new()).expect("get");
    first.delete("b").expect("delete");
    let after = region.asked();
    assert_eq!(wrong(&after), wrong(&before), "{after:?}");

    // Each of them may be the first.
    for region_name in ["us-east-1", "mars-1"] {
        options
            .settings
            .insert("region".into(), region_name.to_string());
        let fresh = || opened("s3://bucket/x", &options);
        assert_eq!(fresh().list().expect("list").len(), 1);
        assert!(fresh().stat("a").expect("stat").is_some());
        let mut got = Vec::new();
        assert_eq!(fresh().get("a", &mut got).expect("get"), 9 << 20);
        fresh().claim("c", source(10).path()).expect("claim");
        let taken = fresh().claim("c", source(10).path()).expect_err("taken");
        assert_eq!(taken.kind(), ErrorKind::Locked, "{taken}");
        fresh().delete("c").expect("delete");
    }
    options
        .settings
        .insert("region".into(), "eu-central-1".into());
    options.notices = Notices::default();
    let right = opened("s3://bucket/x", &options);
    let before = wrong(&region.asked());
    right.list().expect("list");
    assert_eq!(wrong(&region.asked()), before);
    assert_eq!(right.notices(), Vec::<String>::new());
}

/// The bucket in the name of the host, as Amazon has it. Names of hosts lead to the test's server by a proxy.
#[test]
fn buckets_are_hosts_of_amazon() {
    let server = S3::moto();
    let home = Home::new("s3-hosts");
    let dupr = |words: &[&str], style: &[&str]| {
        let at = ["-o", "endpoint=http://s3.us-east-1.amazonaws.com"];
        let mut command = home.command(&[words, &at, style].concat());
        command.env("http_proxy", server.endpoint());
        command.env("AWS_ACCESS_KEY_ID", &server.key_id);
        command.env("AWS_SECRET_ACCESS_KEY", &server.secret);
        let called = called(command.output().expect("dupr"));
        assert_eq!(called.code, 0, "{}{}", called.stdout, called.stderr);
        called.stdout
    };
    let by_host = ["-o", "path-style=false"];
    let put = ["target", "put", "s3://bucket/hosts", "src/one"];
    dupr(&put, &by_host);
    assert_eq!(server.heads("hosts/").len(), 1);
    // The same object by its path.
    let listed = dupr(&["target", "ls", "s3://bucket/hosts"], &[]);
    assert!(listed.contains("one"), "{listed}");
    let told = dupr(&["target", "test", "s3://bucket/hosts"], &by_host);
    assert!(!told.contains("FAIL"), "{told}");
    let log = server.log();
    assert!(log.contains("bucket.s3.us-east-1.amazonaws.com"), "{log}");
}

#[test]
fn keys_that_hold_for_a_while_have_a_token() {
    let server = S3::moto();
    let [id, secret, token] = server.session();
    let mut options = s3(&server);
    options.attempts = 1;
    for (name, value) in [
        ("AWS_ACCESS_KEY_ID", &id),
        ("AWS_SECRET_ACCESS_KEY", &secret),
        ("AWS_SESSION_TOKEN", &token),
    ] {
        options.environment.set(name, value);
    }
    let storage = opened("s3://bucket/token", &options);
    for (name, bytes) in [("small", 10), ("large", 9 << 20)] {
        storage.put(name, source(bytes).path()).expect(name);
    }
    assert_eq!(storage.list().expect("list").len(), 2);
    options.environment.set("AWS_SESSION_TOKEN", "canary");
    let error = opened("s3://bucket/token", &options).list();
    let error = error.expect_err("a wrong token");
    assert!(!format!("{error:?}").contains("canary"), "{error:?}");
}

/// The keys of a profile of Amazon's own tools, by its name.
#[test]
fn profiles_of_amazons_tools_have_names() {
    let server = S3::moto();
    let home = Home::new("aws-profile");
    fs::create_dir(home.path().join(".aws")).expect("folder");
    let keys = format!(
        "[default]\naws_access_key_id = wrong\naws_secret_access_key = wrong\n\n\
         [backups]\naws_access_key_id = {}\naws_secret_access_key = {}\n",
        server.key_id, server.secret
    );
    fs::write(home.path().join(".aws/credentials"), keys).expect("keys");
    let endpoint = format!("endpoint={}", server.endpoint());
    for (profile, code) in [("backups", 0), ("default", 13)] {
        let words = ["target", "ls", "s3://bucket/x", "-o", &endpoint];
        let mut command = home.command(&[&words[..], &["-o", "credentials=chain"]].concat());
        command.env("AWS_PROFILE", profile);
        let called = called(command.output().expect("dupr"));
        assert_eq!(called.code, code, "{profile}: {}", called.stderr);
    }
}

/// What is asked for is what the server says of each object afterwards: those in one piece and those in parts.
#[test]
fn encryption_at_the_service_is_stored_with_each_object() {
    let server = S3::moto();
    for (encryption, key, stored) in [
        ("s3", "", ["AES256", "-"]),
        ("kms", "", ["aws:kms", "-"]),
        (
            "",
            "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",
            [
                "aws:kms",
                "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",
            ],
        ),
    ] {
        let mut options = s3(&server);
        options
            .settings
            .extend(settings(&[("encryption", encryption), ("kms-key", key)]));
        let folder = format!("sse-{encryption}");
        let storage = opened(&format!("s3://bucket/{folder}"), &options);
        for (name, bytes) in [("small", 10), ("large", 9 << 20)] {
            storage.put(name, source(bytes).path()).expect(name);
            let mut got = Vec::new();
            storage.get(name, &mut got).expect(name);
            assert!(got == vec![0x5a; bytes], "{name}");
        }
        let heads = server.heads(&format!("{folder}/"));
        assert_eq!(heads.len(), 2, "{heads:?}");
        for [_, sse, id, name] in &heads {
            assert_eq!(sse, stored[0], "{name}");
            // Of Amazon's own key a server may tell the name.
            if stored[1] != "-" {
                assert_eq!(id, stored[1], "{name}");
            }
        }
    }
}

/// Parts of an upload that is given up would cost money for ever.
#[test]
fn an_upload_that_breaks_off_leaves_no_parts() {
    let server = S3::moto();
    let proxy = Proxy::to(server.port);
    let mut options = s3(&server);
    options.attempts = 1;
    let endpoint = format!("http://127.0.0.1:{}", proxy.port);
    options
        .settings
        .extend(settings(&[("endpoint", &endpoint)]));
    let storage = opened("s3://bucket/x", &options);
    // Shorter than a part.
    proxy.harm([Harm::Cut(6_000_000); 3]);
    let put = storage.put("large", source(20 << 20).path());
    let error = put.expect_err("the line is cut");
    assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
    let log = server.log();
    assert!(log.contains("uploadId="), "it was in parts");
    assert_eq!(server.open_uploads(), 0);
    assert!(storage.list().expect("list").is_empty());
}

/// By duplicity's words; what every run reads stays where it can be read at once.
#[test]
fn each_storage_class_is_stored() {
    let server = S3::moto();
    let endpoint = server.endpoint();
    let env = [
        ("AWS_ACCESS_KEY_ID", server.key_id.as_str()),
        ("AWS_SECRET_ACCESS_KEY", server.secret.as_str()),
    ];
    for (option, class) in [
        ("--s3-use-rrs", "REDUCED_REDUNDANCY"),
        ("--s3-use-ia", "STANDARD_IA"),
        ("--s3-use-onezone-ia", "ONEZONE_IA"),
        ("--s3-use-glacier-ir", "GLACIER_IR"),
    ] {
        let bench = Bench::new("class");
        let folder = option.trim_start_matches('-');
        let url = format!("s3://bucket/{folder}");
        let dupr = |words: &[&str]| {
            let at = ["--s3-endpoint-url", &endpoint, "--no-encryption"];
            let words = [words, &at].concat();
            let called = bench.call(Program::Dupr, "cache", &words, "", &env);
            let called = called.expect("dupr is there");
            assert_eq!(called.code, 0, "{words:?}\n{}{}", called.out, called.err);
        };
        dupr(&[
            "full",
            "src",
            &url,
            option,
            "--s3-use-server-side-encryption",
        ]);
        let heads = server.heads(&format!("{folder}/"));
        assert_eq!(heads.len(), 3, "{heads:?}");
        for [found, sse, _, name] in &heads {
            let is_volume = name.contains("difftar");
            assert_eq!(found, if is_volume { class } else { "STANDARD" }, "{name}");
            assert_eq!(sse, "AES256", "{name}");
        }
        // All of these can be read at once.
        dupr(&["restore", &url, "back"]);
        assert_eq!(listing(&bench.path("back")), listing(&bench.path("src")));
    }
}
