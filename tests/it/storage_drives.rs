//! Drives of vendors, against strict imitations of them: the contract, what is special about each, and what a service may do
//! wrong.

use crate::servers::{BoxAccount, GoogleDrive, OneDrive};
use crate::storage_contract::{opened, settings, source};
use dupr::engine::ErrorKind;
use dupr::engine::storage::{Storage, StorageOptions, TargetUrl, open};
use dupr::testing::contract;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

fn quick(endpoint: &str, variables: &[(&str, &str)]) -> StorageOptions {
    StorageOptions {
        backoff: Duration::from_millis(50),
        attempts: 3,
        environment: variables.iter().copied().collect(),
        settings: settings(&[("endpoint", endpoint), ("part-mb", "8")]),
        ..StorageOptions::default()
    }
}

fn robot(server: &GoogleDrive) -> StorageOptions {
    let file = server.service_file();
    quick(&server.endpoint(), &[("GOOGLE_SERVICE_JSON_FILE", &file)])
}

fn robots(folder: &str) -> String {
    format!("gdrive://{}/{folder}", GoogleDrive::ACCOUNT)
}

fn list(storage: &dyn Storage) -> Vec<String> {
    let listed = storage.list().expect("list");
    listed.into_iter().map(|object| object.name).collect()
}

fn got(storage: &dyn Storage, name: &str) -> Vec<u8> {
    let mut got = Vec::new();
    storage.get(name, &mut got).expect(name);
    got
}

/// Parts are small there, listings are short, tokens do not hold for long, and the clock is wrong.
#[test]
fn gdrive_keeps_the_contract() {
    let server = GoogleDrive::start(50);
    let storage = opened(&robots("some/folder"), &robot(&server));
    contract::run(&*storage);
    contract::exclusive_claims(&*storage);
    contract::long_listing(&*storage, 30);
    assert_eq!(server.names(), Vec::<String>::new(), "nothing is left");
}

/// What a service may do wrong or late; the words are the imitation's.
fn survives_faults(storage: &dyn Storage, faults: &[&str]) {
    for fault in faults {
        let what = format!("{fault} file");
        storage.put(&what, source(9_000_000).path()).expect(&what);
        assert_eq!(list(storage), [what.as_str()]);
        assert_eq!(got(storage, &what), vec![0x5a; 9_000_000], "{what}");
        let there = storage.stat(&what).expect(&what).expect(&what);
        assert_eq!(there.size, 9_000_000, "{what}");
        // A replacement as well.
        storage.put(&what, source(100).path()).expect(&what);
        assert_eq!(got(storage, &what), vec![0x5a; 100], "{what}");
        storage.delete(&what).expect(&what);
        assert!(list(storage).is_empty(), "{what}");
        let claimed = format!("{fault} claim");
        storage.claim(&claimed, source(100).path()).expect(&claimed);
        assert_eq!(got(storage, &claimed), vec![0x5a; 100], "{claimed}");
        storage.delete(&claimed).expect(&claimed);
        assert!(list(storage).is_empty(), "{claimed}");
    }
}

#[test]
fn gdrive_survives_what_goes_wrong_there() {
    let server = GoogleDrive::start(1000);
    let storage = opened(&robots("x"), &robot(&server));
    let faults = [
        "lost", "torn", "deaf", "busy", "short", "late", "expired", "partial",
    ];
    survives_faults(&*storage, &faults);
    assert_eq!(server.names(), Vec::<String>::new(), "nothing is left");

    let error = storage.put("over quota", source(10).path());
    assert_eq!(error.expect_err("full").kind(), ErrorKind::Full);
}

/// Several files of a name: the newest counts, and one is left of them; a claim is no file until it has won.
#[test]
fn gdrive_sorts_out_files_of_one_name() {
    let server = GoogleDrive::start(1000);
    let storage = opened(&robots("x"), &robot(&server));
    storage.put("a", source(10).path()).expect("put");
    server.control("double=a");
    assert_eq!(server.names(), ["a", "a"]);
    let stranger = opened(&robots("x"), &robot(&server));
    for storage in [&storage, &stranger] {
        assert_eq!(list(&**storage), ["a"]);
        assert_eq!(got(&**storage, "a"), b"newer");
    }
    let refused = storage.claim("a", source(10).path());
    assert_eq!(refused.expect_err("taken").kind(), ErrorKind::Locked);
    storage.put("a", source(20).path()).expect("put");
    assert_eq!(server.names(), ["a"]);
    assert_eq!(got(&*stranger, "a"), [0x5a; 20]);

    server.control("double=a");
    storage.delete("a").expect("delete");
    assert_eq!(server.names(), Vec::<String>::new());

    // What a program left behind that ended in its claim is in nobody's way.
    storage.put("other", source(1).path()).expect("put");
    server.control("stale=other");
    assert_eq!(list(&*storage), ["other"]);
    storage.claim("claimed", source(10).path()).expect("claim");
    assert_eq!(server.names(), ["claimed", "other"]);
}

#[test]
fn gdrive_begins_at_a_folder_or_at_a_shared_drive() {
    let server = GoogleDrive::start(1000);
    let shared = opened(&robots("x?driveID=0Ashared"), &robot(&server));
    shared.put("a", source(10).path()).expect("put");
    let top = opened(&robots("?driveID=0Ashared"), &robot(&server));
    top.put("b", source(10).path()).expect("put");
    assert_eq!(list(&*shared), ["a"]);
    assert_eq!(list(&*top), ["b"]);
    let own = opened(&robots("x?myDriveFolderID=root"), &robot(&server));
    assert_eq!(list(&*own), Vec::<String>::new());
    let below = opened(&robots("y/z?myDriveFolderID=0root"), &robot(&server));
    below.put("c", source(10).path()).expect("put");
    assert_eq!(list(&*opened(&robots("y/z"), &robot(&server))), ["c"]);
    let error = opened(&robots("x?myDriveFolderID=nowhere"), &robot(&server));
    let error = error.put("a", source(10).path()).expect_err("no folder");
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");

    // Who may not remove puts into the trash.
    let guarded = opened(&robots("guarded?driveID=0Ashared"), &robot(&server));
    guarded.put("d", source(10).path()).expect("put");
    guarded.delete("d").expect("into the trash");
    assert_eq!(list(&*guarded), Vec::<String>::new());
    assert!(!server.names().contains(&"d".to_string()));
}

#[test]
fn gdrive_knows_the_logins_of_duplicity() {
    let server = GoogleDrive::start(1000);
    let file = |name: &str, content: &str| {
        fs::write(server.path(name), content).expect("file");
        server.path(name).display().to_string()
    };
    let client = "id.apps.googleusercontent.com";
    let secrets = serde_json::json!({ "installed": {
        "client_id": client, "client_secret": "secret", "token_uri": format!("{}/token", server.endpoint()),
    }});
    let secrets = file("client.json", &secrets.to_string());
    let kept = serde_json::json!({ "refresh_token": "1//refresh", "client_id": client, "access_token": "old" });
    let kept = file("kept.json", &kept.to_string());
    let pickled = server.path("kept.pickle").display().to_string();
    let made = std::process::Command::new("/usr/bin/python3")
        .args(["-c", "import pickle, sys; pickle.dump({'_refresh_token': '1//refresh', '_id_token': None}, open(sys.argv[1], 'wb'))"])
        .arg(&pickled)
        .status();
    assert!(made.expect("python3").success());
    let yaml = format!(
        "client_config_backend: settings\nclient_config:\n    client_id: {client}\n    client_secret: 'secret'\n\
         save_credentials: True\nsave_credentials_backend: file\nsave_credentials_file: {kept}\nget_refresh_token: True\n"
    );
    let yaml = file("settings.yaml", &yaml);
    let key = server.key();
    let own = format!("gdrive://{client}/x");
    let robot = format!("pydrive://{}/x", GoogleDrive::ACCOUNT);
    for (url, variables) in [
        (
            own.as_str(),
            vec![
                ("GOOGLE_CLIENT_SECRET_JSON_FILE", &secrets),
                ("GOOGLE_CREDENTIALS_FILE", &pickled),
            ],
        ),
        (
            "pydrive://whoever/x",
            vec![
                ("GOOGLE_SECRETS_FILE", &secrets),
                ("GOOGLE_CREDENTIALS_FILE", &kept),
            ],
        ),
        (
            "gdocs://u:p@whoever/x",
            vec![("GOOGLE_DRIVE_SETTINGS", &yaml)],
        ),
        (robot.as_str(), vec![("GOOGLE_DRIVE_ACCOUNT_KEY", &key)]),
    ] {
        let variables: Vec<(&str, &str)> =
            variables.iter().map(|(k, v)| (*k, v.as_str())).collect();
        let storage = opened(url, &quick(&server.endpoint(), &variables));
        storage.put("a", source(10).path()).expect(url);
        assert_eq!(list(&*storage), ["a"], "{url}");
    }

    // Somebody else's key, one the service does not know, an account it does not know, nothing at all.
    openssl_key(&server.path("strange.pem"));
    let strange = fs::read_to_string(server.path("strange.pem")).expect("key");
    let strange = server.write("strange.json", |mut robot| {
        robot["private_key"] = strange.into();
        robot
    });
    let service = server.service_file();
    let broken = server.write("broken.json", |mut robot| {
        robot["private_key"] = "canary".into();
        robot
    });
    let none = file("none.json", "{\"refresh_token\": \"\", \"canary\": 1}");
    let url = robots("x");
    let url = url.as_str();
    for (url, variables, kind, says) in [
        (
            url,
            vec![("GOOGLE_SERVICE_JSON_FILE", &strange)],
            ErrorKind::Denied,
            "service account",
        ),
        (
            "gdrive://nobody@h/x",
            vec![("GOOGLE_SERVICE_JSON_FILE", &service)],
            ErrorKind::Usage,
            "gdrive://robot@",
        ),
        (
            url,
            vec![("GOOGLE_SERVICE_JSON_FILE", &broken)],
            ErrorKind::Usage,
            "",
        ),
        (
            "pydrive://nobody@h/x",
            vec![("GOOGLE_DRIVE_ACCOUNT_KEY", &key)],
            ErrorKind::Denied,
            "service account",
        ),
        (
            "pydrive://whoever/x",
            vec![
                ("GOOGLE_SECRETS_FILE", &secrets),
                ("GOOGLE_CREDENTIALS_FILE", &none),
            ],
            ErrorKind::Usage,
            "logs in nobody",
        ),
        (url, vec![], ErrorKind::Denied, "GOOGLE_SERVICE_JSON_FILE"),
    ] {
        let variables: Vec<(&str, &str)> =
            variables.iter().map(|(k, v)| (*k, v.as_str())).collect();
        let options = quick(&server.endpoint(), &variables);
        let url = TargetUrl::parse(url).expect("URL");
        let error = open(&url, &options).and_then(|storage| storage.list());
        let error = error.expect_err(says);
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.hint().unwrap_or_default().contains(says), "{error}");
        assert!(!format!("{error:?}").contains("canary"), "{error:?}");
    }
}

fn openssl_key(to: &Path) {
    let made = std::process::Command::new("openssl")
        .args(["genrsa", "-out"])
        .arg(to)
        .arg("2048")
        .output();
    assert!(made.expect("openssl; run tests/setup").status.success());
}

fn user(server: &OneDrive) -> StorageOptions {
    let file = server.token_file();
    quick(
        &server.endpoint(),
        &[
            ("DUPLICITY_ONEDRIVE_TOKEN", &file),
            ("DUPLICITY_ONEDRIVE_CLIENT_ID", "client"),
        ],
    )
}

/// Parts are short there, listings too, and tokens do not hold for long.
#[test]
fn onedrive_keeps_the_contract() {
    let server = OneDrive::start(50);
    let mut options = user(&server);
    options.settings.insert("part-mb".into(), "5".into());
    let storage = opened("onedrive://some/folder", &options);
    let refused = [
        "a?b=c",
        "a&b<c>",
        "quote'\"`$(id)",
        "back\\slash",
        ";semi:colon",
        "star*[x]",
        "..dots..",
    ];
    contract::run_but(&*storage, &refused);
    contract::exclusive_claims(&*storage);
    contract::long_listing(&*storage, 30);
}

#[test]
fn onedrive_survives_what_goes_wrong_there() {
    let server = OneDrive::start(1000);
    let storage = opened("onedrive://x", &user(&server));
    // A listing that is late is none of its promises; a file by its path never is.
    let faults = [
        "lost", "torn", "deaf", "busy", "short", "expired", "partial",
    ];
    survives_faults(&*storage, &faults);
    let error = storage.put("over quota", source(10).path());
    assert_eq!(error.expect_err("full").kind(), ErrorKind::Full);
}

/// Each login gives another refresh token, which is kept where the first one was.
#[test]
fn onedrive_keeps_its_tokens() {
    let server = OneDrive::start(3);
    for n in 0..6 {
        let storage = opened("onedrive:///x", &user(&server));
        storage.put("a", source(10 + n).path()).expect("put");
        assert_eq!(got(&*storage, "a").len(), 10 + n);
    }
    let path = server.token_file();
    let kept = fs::read_to_string(&path).expect("file");
    let kept: serde_json::Value = serde_json::from_str(&kept).expect("JSON");
    assert_eq!(kept["of somebody else"], "kept");
    assert!(kept.get("expires_at").is_none(), "{kept}");
    let mode = fs::metadata(&path).expect("file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let last = kept["refresh_token"].as_str().expect("a token").to_string();

    let url = "onedrive:///x";
    let given = |client: &str, token: &str| {
        let variables = [
            ("OAUTH2_CLIENT_ID", client),
            ("OAUTH2_REFRESH_TOKEN", token),
        ];
        opened(url, &quick(&server.endpoint(), &variables))
    };
    assert_eq!(list(&*given("client", &last)), ["a"]);
    for (client, token) in [("client", "canary"), ("canary", last.as_str())] {
        let error = given(client, token).list().expect_err("no login");
        assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
        let hint = error.hint().unwrap_or_default();
        assert!(hint.contains("OAUTH2_REFRESH_TOKEN"), "{hint}");
        assert!(!format!("{error:?}").contains("canary"), "{error:?}");
    }
    let empty = server.path("empty.json");
    fs::write(&empty, "{}").expect("file");
    let empty = empty.display().to_string();
    for (variables, kind) in [
        (vec![], ErrorKind::Denied),
        (vec![("HOME", "/nonexistent")], ErrorKind::Denied),
        (
            vec![("DUPLICITY_ONEDRIVE_TOKEN", empty.as_str())],
            ErrorKind::Usage,
        ),
        (
            vec![
                ("OAUTH2_CLIENT_ID", "client"),
                ("OAUTH2_REFRESH_TOKEN", last.as_str()),
                ("DUPLICITY_ONEDRIVE_ROOT", "me/drive?x"),
            ],
            ErrorKind::Usage,
        ),
    ] {
        let options = quick(&server.endpoint(), &variables);
        let opened = open(&TargetUrl::parse(url).expect("URL"), &options);
        assert_eq!(opened.err().expect("none").kind(), kind, "{variables:?}");
    }
    // Another drive has other files, or is not there.
    let mut options = user(&server);
    options
        .environment
        .set("DUPLICITY_ONEDRIVE_ROOT", "drives/nowhere");
    let put = opened(url, &options).put("a", source(10).path());
    put.expect_err("no such drive");
}

/// A run that takes long asks with what shorter ones have left in the file meanwhile: what it was given itself holds no more.
#[test]
fn onedrive_asks_with_the_token_other_runs_have_kept() {
    let server = OneDrive::start(20);
    let long = opened("onedrive:///x", &user(&server));
    long.put("a", source(10).path()).expect("put");
    for _ in 0..6 {
        let short = opened("onedrive:///x", &user(&server));
        assert_eq!(list(&*short), ["a"]);
    }
    // More than its access token holds for.
    for _ in 0..30 {
        assert_eq!(list(&*long), ["a"]);
    }
    assert_eq!(long.notices(), Vec::<String>::new());
}

fn app(server: &BoxAccount) -> StorageOptions {
    let file = server.config("box.json", |config| config);
    let mut options = quick(&server.endpoint(), &[("BOX_CONFIG_PATH", &file)]);
    options.settings.remove("part-mb");
    options
}

/// Parts have a length of the service's, listings are short, tokens do not hold for long, and the clock is wrong.
#[test]
fn box_keeps_the_contract() {
    let server = BoxAccount::start(50);
    let storage = opened("box:///some/folder", &app(&server));
    contract::run_but(&*storage, &["back\\slash"]);
    contract::exclusive_claims(&*storage);
    contract::long_listing(&*storage, 30);
}

#[test]
fn box_survives_what_goes_wrong_there() {
    let server = BoxAccount::start(1000);
    let storage = opened("box://x", &app(&server));
    survives_faults(
        &*storage,
        &["lost", "torn", "deaf", "busy", "short", "expired"],
    );
    // In parts, too.
    for fault in ["lost", "torn", "deaf", "busy", "short", "expired"] {
        let name = format!("{fault} in parts");
        storage.put(&name, source(21_000_000).path()).expect(&name);
        assert_eq!(got(&*storage, &name), vec![0x5a; 21_000_000], "{name}");
    }
    let error = storage.put("over quota", source(10).path());
    assert_eq!(error.expect_err("full").kind(), ErrorKind::Full);
}

#[test]
fn box_knows_the_configuration_of_an_app() {
    let server = BoxAccount::start(1000);
    let good = server.config("good.json", |config| config);
    // The file of the URL comes first, below home as well.
    let options = quick(&server.endpoint(), &[]);
    let mut options = StorageOptions {
        settings: settings(&[("endpoint", &server.endpoint())]),
        ..options
    };
    options.environment.set("BOX_CONFIG_PATH", "/nonexistent");
    options.environment.set("HOME", server.path(""));
    for url in [
        format!("box:///x?config={good}"),
        "box://x?config=~/good.json".to_string(),
    ] {
        let storage = opened(&url, &options);
        storage.put("a", source(10).path()).expect("put");
        assert_eq!(list(&*storage), ["a"]);
    }
    // Keys may be sealed in other forms, or not at all.
    for form in ["-v2 des3 -v2prf hmacWithSHA1", "-v2 aes256", "-nocrypt"] {
        let key = server.sealed(form);
        let file = server.config("form.json", |mut config| {
            config["boxAppSettings"]["appAuth"]["privateKey"] = key.into();
            config
        });
        assert_eq!(
            list(&*opened(&format!("box://x?config={file}"), &options)),
            ["a"]
        );
    }

    let with = |name: &str, pointer: &str, value: &str| {
        server.config(name, |mut config| {
            *config.pointer_mut(pointer).expect("a place") = value.into();
            config
        })
    };
    let app = "/boxAppSettings";
    let passphrase = with("a.json", &format!("{app}/appAuth/passphrase"), "canary");
    let secret = with("b.json", &format!("{app}/clientSecret"), "canary");
    let enterprise = with("c.json", "/enterpriseID", "7654321");
    let key = with("d.json", &format!("{app}/appAuth/privateKey"), "");
    for (file, kind, says) in [
        (passphrase, ErrorKind::Usage, ""),
        (secret, ErrorKind::Denied, "authorized the app"),
        (enterprise, ErrorKind::Denied, "authorized the app"),
        (key, ErrorKind::Usage, ""),
    ] {
        let url = TargetUrl::parse(&format!("box://x?config={file}")).expect("URL");
        let error = open(&url, &options).and_then(|storage| storage.list());
        let error = error.expect_err(&file);
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.hint().unwrap_or_default().contains(says), "{error}");
        assert!(!format!("{error:?}").contains("canary"), "{error:?}");
    }
    let nothing = open(
        &TargetUrl::parse("box://x").expect("URL"),
        &StorageOptions::default(),
    );
    assert_eq!(nothing.err().expect("none").kind(), ErrorKind::Denied);
}
