//! OpenStack's storage at its own servers, and services that only run at their vendors, against strict imitations of them:
//! the contract, and what is special about each.

use crate::servers::{Backblaze, Dropbox, Identity, Keystone, S3, Swift};
use crate::storage_contract::{opened, settings, source};
use dupr::engine::ErrorKind;
use dupr::engine::storage::{Storage, StorageOptions};
use dupr::testing::contract;
use std::time::Duration;

fn quick(variables: &[(&str, &str)]) -> StorageOptions {
    StorageOptions {
        backoff: Duration::from_millis(50),
        attempts: 3,
        environment: variables.iter().copied().collect(),
        ..StorageOptions::default()
    }
}

/// Parts are small there, listings are short, and tokens do not hold for long.
#[test]
fn dropbox_keeps_the_contract() {
    let server = Dropbox::start(8 << 20, 50);
    let mut options = quick(&[
        ("DPBX_REFRESH_TOKEN", "refresh"),
        ("DPBX_APP_KEY", "app"),
        ("DPBX_APP_SECRET", "secret"),
    ]);
    options.settings = settings(&[("endpoint", &server.endpoint()), ("part-mb", "8")]);
    let storage = opened("dpbx:///some/folder", &options);
    contract::run_but(&*storage, &["back\\slash"]);
    contract::exclusive_claims(&*storage);

    // The service's own hash of what it has is another one: once more.
    for (name, bytes) in [("torn small", 10), ("torn large", 20 << 20)] {
        for claims in [false, true] {
            let name = format!("{name} {claims}");
            let from = source(bytes);
            match claims {
                true => storage.claim(&name, from.path()).expect(&name),
                false => storage.put(&name, from.path()).expect(&name),
            }
            let mut got = Vec::new();
            storage.get(&name, &mut got).expect(&name);
            assert!(got == vec![0x5a; bytes], "{name}");
            storage.delete(&name).expect(&name);
        }
    }

    for (variable, says) in [
        ("DPBX_APP_SECRET", "DPBX_APP_SECRET"),
        ("DPBX_REFRESH_TOKEN", "DPBX_REFRESH_TOKEN"),
    ] {
        let mut wrong = options.clone();
        wrong.environment.set(variable, "canary");
        let error = opened("dpbx:///x", &wrong).list().expect_err(says);
        assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
        assert!(error.hint().unwrap_or_default().contains(says), "{error}");
        assert!(!format!("{error:?}").contains("canary"), "{error:?}");
    }
    options.environment = [("DPBX_ACCESS_TOKEN", "canary")].into_iter().collect();
    let put = opened("dpbx:///x", &options).put("a", source(10).path());
    let error = put.expect_err("an old token");
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    assert!(
        error
            .hint()
            .is_some_and(|h| h.contains("DPBX_REFRESH_TOKEN"))
    );
}

/// As older set-ups have it, for as long as it lives.
#[test]
fn dropbox_takes_a_token_while_it_holds() {
    let server = Dropbox::start(8 << 20, 20);
    let endpoint = server.endpoint();
    let with = |variables: &[(&str, &str)]| {
        let mut options = quick(variables);
        options.settings = settings(&[("endpoint", &endpoint), ("part-mb", "8")]);
        opened("dpbx:///x", &options)
    };
    let login = [
        ("DPBX_REFRESH_TOKEN", "refresh"),
        ("DPBX_APP_KEY", "app"),
        ("DPBX_APP_SECRET", "secret"),
    ];
    with(&login).put("a", source(10).path()).expect("put");
    // The first that the imitation gave.
    let storage = with(&[("DPBX_ACCESS_TOKEN", "access-0")]);
    assert_eq!(list(&*storage), ["a"]);
    let ended = (0..30).find_map(|_| storage.list().err());
    let error = ended.expect("it holds no more");
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
}

/// Nobody names the server: the account does, and is asked once.
#[test]
fn backblaze_is_asked_for_the_server_of_a_bucket() {
    let server = S3::moto();
    let account = Backblaze::before(&server);
    let mut options = quick(&[
        ("B2_ENVIRONMENT", &account.address()),
        ("B2_APPLICATION_KEY_ID", &server.key_id),
        ("B2_APPLICATION_KEY", &server.secret),
    ]);
    options.settings = settings(&[("region", "us-east-1")]);
    let storage = opened("b2://bucket/x", &options);
    assert_eq!(account.calls(), 0, "opening asks nobody");
    std::thread::scope(|scope| {
        for name in ["a", "b", "c"] {
            let storage = &storage;
            scope.spawn(move || storage.put(name, source(10).path()).expect(name));
        }
    });
    storage
        .put("large", source(9 << 20).path())
        .expect("in parts");
    assert_eq!(list(&*storage), ["a", "b", "c", "large"]);
    let mut got = Vec::new();
    storage.get("a", &mut got).expect("get");
    assert_eq!(got, [0x5a; 10]);
    storage.delete("a").expect("delete");
    assert_eq!(account.calls(), 1);

    for (variable, value, says) in [
        ("B2_APPLICATION_KEY", "canary", "B2_APPLICATION_KEY"),
        ("B2_APPLICATION_KEY_ID", "0123456789ab", "application key"),
    ] {
        let mut wrong = options.clone();
        wrong.environment.set(variable, value);
        let error = opened("b2://bucket/x", &wrong).list().expect_err(says);
        assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
        assert!(error.hint().unwrap_or_default().contains(says), "{error}");
        assert!(!format!("{error:?}").contains("canary"));
    }
}

/// Objects are cut there, and listings are short.
#[test]
fn swift_keeps_the_contract() {
    let Some(server) = Swift::start() else {
        return;
    };
    let mut options = quick(&[]);
    options.environment = server.variables().into_iter().collect();
    options.settings = settings(&[("segment-mb", "8")]);
    let storage = opened("swift://container/some/prefix", &options);
    contract::run(&*storage);
    assert_eq!(server.names("container_segments"), Vec::<String>::new());
    options.settings = settings(&[("segment-mb", "1")]);
    let storage = opened("swift://container/some/prefix", &options);
    for (bytes, segments) in [(2_500_000, 3), (1_500_000, 2), (10, 0)] {
        storage.put("large", source(bytes).path()).expect("put");
        let there = server.names("container_segments");
        assert_eq!(there.len(), segments, "{there:?}");
    }

    swift_is_told_the_password_again(&server, &options);
    swift_takes_a_token_while_it_holds(&server);
    objects_of_swift_that_begin_with_a_prefix(&server, &options);
    containers_of_swift_have_a_policy(&server, &options);
    troubles_of_swift_have_a_kind_and_a_way_out(&server, &options);
}

/// Tokens run out between any two requests.
fn swift_is_told_the_password_again(server: &Swift, options: &StorageOptions) {
    let storage = opened("swift://container/again", options);
    storage.put("a", source(10).path()).expect("put");
    server.log_out();
    assert_eq!(list(&*storage), ["a"]);
    server.log_out();
    storage.get("a", &mut Vec::new()).expect("get");
    server.log_out();
    storage.put("a", source(20).path()).expect("put");
    server.log_out();
    storage.delete("a").expect("delete");
    assert_eq!(server.answered(" HTTP/1.0 401 "), 4);

    // In the middle of an upload.
    let content = source(12_000_000);
    std::thread::scope(|scope| {
        let put = scope.spawn(|| storage.put("large", content.path()));
        while server.answered("PUT /v1/AUTH_backups/container_segments/again/") == 0 {
            assert!(!put.is_finished(), "{:?}", put.join());
            std::thread::sleep(Duration::from_millis(5));
        }
        server.log_out();
        put.join().expect("no panic").expect("put");
    });
    let mut got = Vec::new();
    storage.get("large", &mut got).expect("get");
    assert!(got == vec![0x5a; 12_000_000]);
}

/// Somebody else has logged in.
fn swift_takes_a_token_while_it_holds(server: &Swift) {
    let (at, token) = server.session();
    let variables = [
        ("SWIFT_PREAUTHURL", at.as_str()),
        ("SWIFT_PREAUTHTOKEN", token.as_str()),
    ];
    let storage = opened("swift://container/given", &quick(&variables));
    storage.put("a", source(10).path()).expect("put");
    assert_eq!(list(&*storage), ["a"]);
    server.log_out();
    let error = storage.list().expect_err("it holds no more");
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
}

/// What older libraries of duplicity cut is an empty object that names the start of its segments.
fn objects_of_swift_that_begin_with_a_prefix(server: &Swift, options: &StorageOptions) {
    for n in ["00", "01"] {
        let segments = opened("swift://c_segments/a/1/2", options);
        segments.put(n, source(1000).path()).expect("segment");
    }
    let storage = opened("swift://c", options);
    storage.put("other", source(1).path()).expect("put");
    server.make_of_prefix("c/a", "c_segments/a/1/2/");
    let listed = storage.list().expect("list");
    let sizes: Vec<u64> = listed.iter().map(|object| object.size).collect();
    assert_eq!(sizes, [2000, 1]);
    let mut got = Vec::new();
    storage.get("a", &mut got).expect("get");
    assert_eq!(got, vec![0x5a; 2000]);
    storage.delete("a").expect("delete");
    assert_eq!(list(&*storage), ["other"]);
    assert_eq!(server.names("c_segments"), Vec::<String>::new());
}

fn containers_of_swift_have_a_policy(server: &Swift, options: &StorageOptions) {
    let mut options = options.clone();
    options.settings = settings(&[("storage-policy", "silver")]);
    assert!(!server.silver().exists());
    let put = opened("swift://precious", &options).put("a", source(10).path());
    put.expect("a policy there is");
    assert!(server.silver().exists());
    options.settings = settings(&[("storage-policy", "bronze")]);
    let put = opened("swift://other", &options).put("a", source(10).path());
    let error = put.expect_err("no such policy");
    assert!(error.to_string().contains("400"), "{error}");
}

fn troubles_of_swift_have_a_kind_and_a_way_out(server: &Swift, options: &StorageOptions) {
    let with = |changes: &[(&str, &str)]| {
        let mut options = options.clone();
        for (name, value) in changes {
            options.environment.set(*name, *value);
        }
        options
    };
    let storage_url = server.at("/v1/AUTH_backups");
    for (options, kind, says) in [
        (
            with(&[("SWIFT_PASSWORD", "canary")]),
            ErrorKind::Denied,
            "SWIFT_PASSWORD",
        ),
        (
            with(&[("SWIFT_AUTHURL", &server.at("/"))]),
            ErrorKind::Usage,
            "SWIFT_AUTHURL",
        ),
        (
            with(&[("SWIFT_USERNAME", "backups:bob")]),
            ErrorKind::Denied,
            "may this user write",
        ),
        (
            with(&[
                ("SWIFT_PREAUTHURL", &storage_url),
                ("SWIFT_PREAUTHTOKEN", "canary"),
            ]),
            ErrorKind::Denied,
            "SWIFT_PREAUTHTOKEN",
        ),
    ] {
        must_be_refused("swift://container/x", &options, kind, says);
    }
    let mut options = options.clone();
    options.settings = settings(&[("segment-mb", "9")]);
    let put = opened("swift://container/x", &options).put("x", source(9 << 20).path());
    let error = put.expect_err("longer than the service takes");
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    let hint = error.hint().unwrap_or_default();
    assert!(hint.contains("segment-mb"), "{error}: {hint}");
}

#[test]
fn swift_knows_the_logins_of_keystone() {
    let server = Keystone::start();
    let (base, second) = (server.at(""), server.at("/v2.0/"));
    let login = |version, url, more: &[(&'static str, &'static str)]| {
        let mut options = quick(more);
        for (name, value) in [
            ("SWIFT_AUTHVERSION", version),
            ("SWIFT_AUTHURL", url),
            ("SWIFT_REGIONNAME", "One"),
        ] {
            options.environment.set(name, value);
        }
        options
    };
    let ada = ("SWIFT_USERNAME", "ada");
    let password = ("SWIFT_PASSWORD", "p@ss:w");
    let project = ("SWIFT_TENANTNAME", "backups");
    for (name, options) in [
        ("a", login("2", &base, &[ada, password, project])),
        (
            "b",
            login("2", &second, &[("SWIFT_USERNAME", "backups:ada"), password]),
        ),
        (
            "c",
            login("2", &second, &[ada, password, ("SWIFT_TENANTID", "p1")]),
        ),
        ("d", login("3", &base, &[ada, password, project])),
        (
            "e",
            login(
                "3",
                &base,
                &[
                    ("SWIFT_USERNAME", "whoever"),
                    ("SWIFT_USERID", "u1"),
                    password,
                    ("SWIFT_PROJECT_NAME", "backups"),
                    ("SWIFT_PROJECT_DOMAIN_NAME", "Default"),
                ],
            ),
        ),
    ] {
        let storage = opened("swift://logins", &options);
        storage.put(name, source(10).path()).expect(name);
        let names: Vec<String> = list(&*storage);
        assert!(names.contains(&name.to_string()), "{names:?}");
    }

    // Whoever has a later clock has stored it; what is sent is accepted and thrown away.
    let storage = opened(
        "swift://logins",
        &login("3", &base, &[ada, password, project]),
    );
    let error = storage.put("newer", source(10).path()).expect_err("older");
    assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
    let error = storage.claim("newer", source(10).path()).expect_err("late");
    assert_eq!(error.kind(), ErrorKind::Locked, "{error}");

    let wrong = ("SWIFT_PASSWORD", "canary");
    for (options, kind, says) in [
        (
            login("3", &base, &[ada, wrong, project]),
            ErrorKind::Denied,
            "SWIFT_PASSWORD",
        ),
        (
            login("1", &base, &[ada, wrong, project]),
            ErrorKind::Usage,
            "SWIFT_AUTHVERSION",
        ),
        (
            quick(&[
                ("SWIFT_PREAUTHURL", "http://127.0.0.1:1/v1/AUTH_p1"),
                ("SWIFT_PREAUTHTOKEN", "canary"),
            ]),
            ErrorKind::Unreachable,
            "",
        ),
    ] {
        must_be_refused("swift://logins", &options, kind, says);
    }
}

/// Keystone and OpenStack's storage themselves, as they are today: names, ids, domains and regions of version 3, and what is
/// refused.
#[test]
fn swift_logs_in_at_keystone_itself() {
    let Some(identity) = Identity::start() else {
        return;
    };
    let Some(server) = Swift::behind(&identity) else {
        return;
    };
    let made = identity.made();
    let (user, project) = (made[0].as_str(), made[1].as_str());
    let (base, whole) = (identity.at(""), identity.at("/v3/"));
    let login = |url: &str, more: &[(&str, &str)]| {
        let mut options = quick(&[
            ("SWIFT_AUTHVERSION", "3"),
            ("SWIFT_AUTHURL", url),
            ("SWIFT_USERNAME", "ada"),
            ("SWIFT_PASSWORD", "p@ss:w"),
            ("SWIFT_REGIONNAME", "One"),
        ]);
        for (name, value) in more {
            options.environment.set(*name, *value);
        }
        options
    };
    let named = [("SWIFT_TENANTNAME", "backups")];
    let mut options = login(&base, &named);
    options.settings = settings(&[("segment-mb", "8")]);
    contract::run(&*opened("swift://container/x", &options));
    for (n, options) in [
        login(&whole, &named),
        login(&base, &[("SWIFT_USERNAME", "backups:ada")]),
        login(&base, &[("SWIFT_TENANTID", project)]),
        login(
            &base,
            &[
                ("SWIFT_USERNAME", "whoever"),
                ("SWIFT_USERID", user),
                ("SWIFT_PROJECT_ID", project),
            ],
        ),
        login(
            &whole,
            &[
                ("SWIFT_USER_DOMAIN_NAME", "Default"),
                ("SWIFT_PROJECT_NAME", "backups"),
                ("SWIFT_PROJECT_DOMAIN_NAME", "Default"),
            ],
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let storage = opened("swift://logins", &options);
        let name = n.to_string();
        storage.put(&name, source(10).path()).expect(&name);
        assert!(list(&*storage).contains(&name), "login {n}");
    }

    for (more, kind, says) in [
        (
            ("SWIFT_PASSWORD", "canary"),
            ErrorKind::Denied,
            "SWIFT_PASSWORD",
        ),
        (
            ("SWIFT_USERNAME", "bob"),
            ErrorKind::Denied,
            "whose project",
        ),
        (
            ("SWIFT_USER_DOMAIN_NAME", "Elsewhere"),
            ErrorKind::Denied,
            "SWIFT_USERNAME",
        ),
        (
            ("SWIFT_TENANTNAME", "others"),
            ErrorKind::Denied,
            "whose project",
        ),
        (
            ("SWIFT_REGIONNAME", "Three"),
            ErrorKind::Usage,
            "SWIFT_REGIONNAME",
        ),
        (("SWIFT_REGIONNAME", "Two"), ErrorKind::Unreachable, ""),
        (
            ("SWIFT_ENDPOINT_TYPE", "internalURL"),
            ErrorKind::Unreachable,
            "",
        ),
        (
            ("SWIFT_AUTHVERSION", "2"),
            ErrorKind::Usage,
            "SWIFT_AUTHVERSION",
        ),
        (
            ("SWIFT_AUTHVERSION", "1"),
            ErrorKind::Usage,
            "SWIFT_AUTHVERSION",
        ),
    ] {
        let options = login(&base, &[named[0], more]);
        must_be_refused("swift://container/x", &options, kind, says);
    }
    // A token that was made up is refused by the storage, which asks Keystone.
    let mut options = quick(&[("SWIFT_PREAUTHTOKEN", "canary")]);
    let storage = server.at(&format!("/v1/AUTH_{project}"));
    options.environment.set("SWIFT_PREAUTHURL", storage);
    must_be_refused(
        "swift://container/x",
        &options,
        ErrorKind::Denied,
        "SWIFT_PREAUTHTOKEN",
    );

    // Nobody said which version, and OVH's default is the second.
    let mut options = quick(&[
        ("PCA_USERNAME", "ada"),
        ("PCA_PASSWORD", "p@ss:w"),
        ("PCA_TENANTNAME", "backups"),
        ("PCA_REGIONNAME", "One"),
    ]);
    options.environment.set("PCA_AUTHURL", base);
    let storage = opened("pca://archive/x", &options);
    assert_eq!(list(&*storage), Vec::<String>::new());
    let notices = storage.notices();
    assert!(
        notices[0].contains("set PCA_AUTHVERSION to 3"),
        "{notices:?}"
    );
}

/// Listing and storing fail in this way, with a hint that says so, and no word of a secret.
fn must_be_refused(url: &str, options: &StorageOptions, kind: ErrorKind, says: &str) {
    let storage = opened(url, options);
    // More than goes with the first packets.
    let put = storage.put("x", source(6_000_000).path());
    for error in [
        storage.list().expect_err(says),
        put.expect_err("no way there"),
    ] {
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.hint().unwrap_or_default().contains(says), "{error}");
        assert!(!format!("{error:?}").contains("canary"), "{error:?}");
    }
}

fn list(storage: &dyn Storage) -> Vec<String> {
    let listed = storage.list().expect("list");
    listed.into_iter().map(|object| object.name).collect()
}

/// OVH's archive has a policy of its own, and takes its time before it gives anything back.
#[test]
fn pca_waits_for_what_is_sealed() {
    let server = Keystone::start();
    let url = server.at("");
    let mut options = quick(&[
        ("PCA_USERNAME", "ada"),
        ("PCA_PASSWORD", "p@ss:w"),
        ("PCA_TENANTNAME", "backups"),
        ("PCA_REGIONNAME", "One"),
        ("PCA_AUTHURL", &url),
    ]);
    let storage = opened("pca://archive/x", &options);
    assert_eq!(list(&*storage), Vec::<String>::new());
    storage.put("a", source(10).path()).expect("put");
    storage.put("b", source(10).path()).expect("put");
    storage.get("a", &mut Vec::new()).expect("the second time");
    assert_eq!(storage.notices(), Vec::<String>::new());
    options.attempts = 1;
    let storage = opened("pca://archive/x", &options);
    let error = storage.get("b", &mut Vec::new()).expect_err("sealed");
    assert_eq!(error.kind(), ErrorKind::RateLimited);
    assert!(error.hint().is_some_and(|h| h.contains("1 minutes")));
}

/// OVH has the third version alone, and duplicity's default is the second.
#[test]
fn pca_logs_in_by_the_third_version_where_there_is_no_second() {
    let server = Keystone::of_today();
    for path in ["", "/v2.0", "/v2.0/"] {
        let asked = (server.asked("POST /v2.0"), server.asked("POST /v3"));
        let options = quick(&[
            ("PCA_USERNAME", "ada"),
            ("PCA_PASSWORD", "p@ss:w"),
            ("PCA_TENANTNAME", "backups"),
            ("PCA_REGIONNAME", "One"),
            ("PCA_AUTHURL", &server.at(path)),
        ]);
        let storage = opened("pca://archive/x", &options);
        storage.put("a", source(10).path()).expect("put");
        let notices = storage.notices();
        assert_eq!(notices.len(), 1, "{notices:?}");
        assert!(notices[0].contains("set PCA_AUTHVERSION to 3"));
        let asked_now = (server.asked("POST /v2.0"), server.asked("POST /v3"));
        assert_eq!(asked_now, (asked.0 + 1, asked.1 + 1), "once each");
    }
    // Whoever is refused there is told so, and another OpenStack is asked for nothing but what the variables say.
    for (prefix, url, kind) in [
        ("PCA", "pca://archive/x", ErrorKind::Denied),
        ("SWIFT", "swift://container/x", ErrorKind::Usage),
    ] {
        let mut options = quick(&[]);
        for (name, value) in [
            ("USERNAME", "ada"),
            ("PASSWORD", "canary"),
            ("TENANTNAME", "backups"),
            ("AUTHVERSION", "2"),
            ("AUTHURL", &server.at("")),
        ] {
            options.environment.set(format!("{prefix}_{name}"), value);
        }
        let error = opened(url, &options).list().expect_err("refused");
        assert_eq!(error.kind(), kind, "{error}");
        assert!(!format!("{error:?}").contains("canary"), "{error:?}");
    }
}
