//! FTP, Azure, Google's and Backblaze's storage against servers: the contract, and what is special about each.

use crate::proxy::{Harm, Proxy};
use crate::servers::{Azurite, Ftpd, S3};
use crate::storage_contract::{names, opened, s3, settings, source};
use dupr::engine::ErrorKind;
use dupr::engine::storage::StorageOptions;
use dupr::testing::contract;
use std::fs;
use std::time::Duration;

fn quick(variables: &[(&str, &str)]) -> StorageOptions {
    StorageOptions {
        backoff: Duration::from_millis(50),
        attempts: 2,
        environment: variables.iter().copied().collect(),
        ..StorageOptions::default()
    }
}

const PASSWORD: &[(&str, &str)] = &[("FTP_PASSWORD", "p@ss:w")];

#[test]
fn ftp_keeps_the_contract() {
    let server = Ftpd::start();
    let url = format!("ftp://ada@127.0.0.1:{}/made/by%20put", server.port);
    let storage = opened(&url, &quick(PASSWORD));
    contract::run(&*storage);
    contract::long_listing(&*storage, 1200);
    let left = names(&server.files().join("made/by put"));
    assert_eq!(left, Vec::<String>::new(), "no temp file is left");
}

#[test]
fn ftp_keeps_the_contract_at_a_server_of_old() {
    let server = Ftpd::old();
    let url = format!("lftp+ftp://ada@127.0.0.1:{}/made/by%20put", server.port);
    contract::run(&*opened(&url, &quick(PASSWORD)));
    let left = names(&server.files().join("made/by put"));
    assert_eq!(left, Vec::<String>::new(), "no temp file is left");
}

#[test]
fn ftp_lets_the_server_connect_if_told_to() {
    let server = Ftpd::start();
    let url = format!("ncftp+ftp://ada:p%40ss%3Aw@127.0.0.1:{}", server.port);
    let mut options = quick(&[]);
    options.settings = settings(&[("data-connection", "active")]);
    let storage = opened(&url, &options);
    storage.put("a", source(300_000).path()).expect("put");
    assert_eq!(names(&server.files()), ["a"]);
    let mut got = Vec::new();
    storage.get("a", &mut got).expect("get");
    assert_eq!(got, vec![0x5a; 300_000]);
    assert_eq!(storage.list().expect("list").len(), 1);
}

#[test]
fn ftpes_keeps_the_contract_where_sessions_must_be_resumed() {
    let server = Ftpd::explicit();
    let url = format!("ftpes://ada@127.0.0.1:{}/made/by%20put", server.port);
    let mut options = quick(PASSWORD);
    let certificate = server.certificate().display().to_string();
    options.settings = settings(&[("ca-file", &certificate)]);
    contract::run(&*opened(&url, &options));

    options.settings.clear();
    let error = opened(&url, &options).list().expect_err("a stranger");
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    assert!(error.hint().is_some_and(|h| h.contains("ca-file")));
}

#[test]
fn ftps_keeps_the_contract_with_the_newest_tls_and_a_certificate_of_its_own() {
    let server = Ftpd::implicit();
    let certificate = server.certificate().display().to_string();
    let mut options = quick(PASSWORD);
    options.settings = settings(&[("ca-file", &certificate)]);
    let url = |host: &str| format!("ftps://ada@{host}:{}/made", server.port);
    contract::run(&*opened(&url("127.0.0.1"), &options));
    // Not a name of the certificate.
    let error = opened(&url("127.0.0.2"), &options).list();
    assert!(error.is_err());
}

#[test]
fn ftp_troubles_have_a_kind_and_a_way_out() {
    let server = Ftpd::start();
    let at = |login: &str| format!("ftp://{login}@127.0.0.1:{}/x", server.port);
    let error = opened(&at("ada:canary"), &quick(&[])).list();
    let error = error.expect_err("wrong password");
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    assert!(error.hint().is_some_and(|h| h.contains("BACKEND_PASSWORD")));
    assert!(!format!("{error:?}").contains("canary"), "{error:?}");

    let error = opened("ftp://127.0.0.1:1/x", &quick(&[])).list();
    let error = error.expect_err("nobody listens");
    assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");

    let secure = at("ada").replacen("ftp", "ftpes", 1);
    let error = opened(&secure, &quick(PASSWORD)).list();
    let error = error.expect_err("no TLS there");
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");

    let good = opened(&at("ada"), &quick(PASSWORD));
    for name in ["a\nDELE b", "a\rb"] {
        let error = good.put(name, source(1).path()).expect_err("two lines");
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    }
}

#[test]
fn ftp_survives_cut_connections() {
    let server = Ftpd::start();
    let proxy = Proxy::to(server.port);
    // The proxy stands before the control connection alone; the data connections go beside it.
    let url = format!("ftp://ada@127.0.0.1:{}/x", proxy.port);
    let mut options = quick(PASSWORD);
    options.attempts = 6;
    for place in [1, 40, 150, 300, 500, 700] {
        proxy.harm([Harm::Cut(place), Harm::Cut(place / 2)]);
        let storage = opened(&url, &options);
        let name = format!("cut-{place}");
        storage.put(&name, source(3_000_000).path()).expect("put");
        let mut got = Vec::new();
        storage.get(&name, &mut got).expect("get");
        assert_eq!(got, vec![0x5a; 3_000_000], "cut at {place}");
    }
    let listed = opened(&url, &options).list().expect("list");
    assert_eq!(listed.len(), 6);
}

#[test]
fn ftp_sweeps_what_dead_runs_left() {
    let server = Ftpd::start();
    let dir = server.files().join("x");
    fs::create_dir(&dir).expect("dir");
    let old = std::time::SystemTime::now() - Duration::from_secs(48 * 3600);
    for (name, time) in [
        (".dupr-0123456789abcdef.tmp", Some(old)),
        (".dupr-fedcba9876543210.tmp", None),
        ("foreign.tmp", Some(old)),
    ] {
        let file = fs::File::create(dir.join(name)).expect("file");
        if let Some(time) = time {
            file.set_modified(time).expect("time");
        }
    }
    let url = format!("ftp://ada@127.0.0.1:{}/x", server.port);
    opened(&url, &quick(PASSWORD))
        .put("a", source(1).path())
        .expect("put");
    let mut left = names(&dir);
    left.sort();
    assert_eq!(left, [".dupr-fedcba9876543210.tmp", "a", "foreign.tmp"]);
}

#[test]
fn azure_keeps_the_contract() {
    let server = Azurite::start();
    let options = quick(&[("AZURE_CONNECTION_STRING", &server.connection_string())]);
    // The service would make it a slash.
    let refused = ["back\\slash"];
    contract::run_but(
        &*opened("azure://container/some/prefix", &options),
        &refused,
    );
    let storage = opened("azure://container", &options);
    contract::run_but(&*storage, &refused);
    contract::exclusive_claims(&*storage);

    let wrong = server.connection_string_with("Y2FuYXJ5");
    let error = opened(
        "azure://container",
        &quick(&[("AZURE_CONNECTION_STRING", &wrong)]),
    )
    .list();
    let error = error.expect_err("wrong key");
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    assert!(!format!("{error:?}").contains("Y2FuYXJ5"), "{error:?}");
}

/// The variables of Microsoft's own tool: account and key, or account and an access signature, which may be written with its `?`.
#[test]
fn azure_knows_accounts_with_keys_and_with_access_signatures() {
    let server = Azurite::start();
    let (account, key) = Azurite::KEY;
    let token = server.token("racwdl");
    let asked = format!("?{token}");
    let opened_with = |folder: &str, variable: &str, value: &str| {
        let mut options = quick(&[("AZURE_STORAGE_ACCOUNT", account), (variable, value)]);
        options.settings = settings(&[("endpoint", &server.endpoint())]);
        opened(&format!("azure://container/{folder}"), &options)
    };
    for (folder, variable, value) in [
        ("key", "AZURE_STORAGE_KEY", key),
        ("token", "AZURE_STORAGE_SAS_TOKEN", &token),
        ("asked", "AZURE_STORAGE_SAS_TOKEN", &asked),
    ] {
        let storage = opened_with(folder, variable, value);
        for (name, bytes) in [("small", 10), ("large", 9 << 20)] {
            storage.claim(name, source(bytes).path()).expect(folder);
            let mut got = Vec::new();
            storage.get(name, &mut got).expect(folder);
            assert!(got == vec![0x5a; bytes], "{folder} {name}");
        }
        let taken = storage.claim("small", source(10).path());
        assert_eq!(taken.expect_err("taken").kind(), ErrorKind::Locked);
        assert_eq!(storage.list().expect("list").len(), 2, "{folder}");
        storage.delete("small").expect("delete");
    }
    // A signature that lets nobody write, one of somebody else, another key.
    let reads = server.token("rl");
    let foreign = token.replace("sp=racwdl", "sp=racwdli");
    for (variable, value) in [
        ("AZURE_STORAGE_SAS_TOKEN", reads.as_str()),
        ("AZURE_STORAGE_SAS_TOKEN", &foreign),
        ("AZURE_STORAGE_KEY", "Y2FuYXJ5"),
    ] {
        let storage = opened_with("token", variable, value);
        let error = storage.put("a", source(10).path()).expect_err(value);
        assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
        let (_, sign) = value.rsplit_once("sig=").unwrap_or(("", value));
        assert!(!format!("{error:?}").contains(sign), "{error:?}");
    }
    let reader = opened_with("token", "AZURE_STORAGE_SAS_TOKEN", &reads);
    assert_eq!(reader.list().expect("list").len(), 1);
}

/// As duplicity makes them: by whatever is put first, in one piece, in parts or to another tier.
#[test]
fn containers_of_azure_are_made() {
    let server = Azurite::start();
    let mut options = quick(&[("AZURE_CONNECTION_STRING", &server.connection_string())]);
    let storage = opened("azure://made-at-once/x", &options);
    assert_eq!(storage.list().expect("nothing yet").len(), 0);
    assert_eq!(storage.stat("a").expect("nothing yet"), None);
    let error = storage.get("a", &mut Vec::new()).expect_err("nothing yet");
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    std::thread::scope(|scope| {
        for name in ["a", "b", "c"] {
            let storage = &storage;
            scope.spawn(move || storage.put(name, source(10).path()).expect(name));
        }
    });
    assert_eq!(storage.list().expect("list").len(), 3);
    let storage = opened("azure://made-by-parts", &options);
    storage.put("a", source(9 << 20).path()).expect("in parts");
    assert_eq!(storage.list().expect("list").len(), 1);
    options.settings = settings(&[("access-tier", "cool")]);
    let storage = opened("azure://made-by-claim", &options);
    storage.claim("a", source(10).path()).expect("claim");
    let tiers = server.tiers("made-by-claim");
    assert_eq!(tiers, [("a".to_string(), "Cool".to_string())]);
}

#[test]
fn google_and_backblaze_keep_the_contract_through_the_s3_protocol() {
    let server = S3::moto();
    let plain = s3(&server);
    for (url, variables) in [
        (
            "gs://bucket/some/prefix",
            ["GS_ACCESS_KEY_ID", "GS_SECRET_ACCESS_KEY"],
        ),
        (
            "b2://bucket/some/prefix",
            ["B2_APPLICATION_KEY_ID", "B2_APPLICATION_KEY"],
        ),
    ] {
        let mut options = plain.clone();
        options.settings.insert("region".into(), "us-east-1".into());
        let [id, secret] = variables;
        options.environment = [(id, &server.key_id), (secret, &server.secret)]
            .into_iter()
            .collect();
        contract::run(&*opened(url, &options));
    }
}
