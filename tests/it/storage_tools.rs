//! Services that are reached through programs of others: the real ones where they run here, else stand-ins that behave by the
//! programs' documentation and write down how they are called.

use crate::servers::{Share, StandIns, Tahoe};
use crate::storage_contract::{names, opened, source};
use crate::support::home::{Home, called};
use crate::support::programs::find;
use dupr::engine::ErrorKind;
use dupr::engine::storage::{StorageOptions, TargetUrl, open};
use dupr::testing::contract;
use std::fs;
use std::num::NonZeroU64;
use std::time::{Duration, Instant};

/// A password that must be seen nowhere.
const CANARY: &str = "can\\ary";

fn with(variables: &[(&'static str, String)]) -> StorageOptions {
    StorageOptions {
        environment: variables.iter().cloned().collect(),
        backoff: Duration::from_millis(20),
        attempts: 2,
        ..StorageOptions::default()
    }
}

/// What is wrong with an URL and these variables, before any work or at the first call.
fn trouble(url: &str, options: &StorageOptions) -> dupr::engine::Error {
    let url = TargetUrl::parse(url).expect("URL");
    match open(&url, options) {
        Err(error) => error,
        Ok(storage) => storage.list().expect_err("trouble"),
    }
}

#[test]
fn missing_programs_are_named_with_what_brings_them() {
    let options = with(&[
        ("PATH", "/nonexistent".into()),
        ("HOME", "/nonexistent".into()),
    ]);
    for (url, says) in [
        ("mega://ada@mega.nz/x", "apt-get install megatools"),
        ("megav3://mega.nz/x", "https://mega.io/cmd"),
        ("tahoe://alias/x", "tahoe-lafs"),
        ("hsi://host/x", "PATH"),
        (
            "gio+smb://host/x",
            "apt-get install libglib2.0-bin gvfs-backends",
        ),
    ] {
        let error = trouble(url, &options);
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{url}: {error}");
        assert!(
            error.hint().is_some_and(|hint| hint.contains(says)),
            "{error}"
        );
    }
}

/// By a stand-in: megatools knows no server but MEGA's.
#[test]
fn megatools_keeps_the_contract_and_sees_no_password() {
    let tools = StandIns::new();
    let mut options = with(&tools.variables());
    options.environment.set("BACKEND_PASSWORD", CANARY);
    let url = "mega://ada%40example.org@mega.nz/made/by%20put";
    contract::run(&*opened(url, &options));
    assert_eq!(
        names(&tools.path("store/Root/made/by put")),
        Vec::<String>::new()
    );
    assert!(!tools.calls().contains("ary"), "{}", tools.calls());
    assert!(
        tools
            .calls()
            .contains(r#"["megatools", "get", "--no-progress", "--path", "-""#)
    );

    let mut limited = options.clone();
    limited.upload_rate = NonZeroU64::new(2 << 20);
    limited.download_rate = NonZeroU64::new(5000);
    let storage = opened(url, &limited);
    storage.put("slow", source(10).path()).expect("put");
    storage.get("slow", &mut Vec::new()).expect("get");
    storage.delete("slow").expect("delete");
    let calls = tools.calls();
    let told = |command: &str, limit: &str| {
        let mut calls = calls.lines().filter(|line| line.contains(limit));
        calls.any(|line| line.contains(&format!("\"{command}\"")))
    };
    assert!(told("put", "--limit-speed=2048"), "{calls}");
    assert!(told("get", "--limit-speed=5"), "{calls}");
    assert_eq!(storage.notices(), Vec::<String>::new());

    for (words, kind) in [
        (
            "ERROR: Upload failed: Server returned error EOVERQUOTA",
            ErrorKind::Full,
        ),
        (
            "ERROR: Can't login to mega.nz: Server returned error ENOENT",
            ErrorKind::Denied,
        ),
        (
            "ERROR: Can't login to mega.nz: HTTP POST failed: CURL error: Timeout was reached",
            ErrorKind::Unreachable,
        ),
    ] {
        let mut once = options.clone();
        once.attempts = 1;
        let storage = opened(url, &once);
        tools.fail(words);
        let error = storage.put("a", source(10).path()).expect_err(words);
        assert_eq!(error.kind(), kind, "{error}");
    }
    // The login of ~/.megarc, as duplicity takes it without a password in the URL.
    options.environment = tools.variables().into_iter().collect();
    let error = trouble(url, &options);
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    let login = "[Login]\nUsername = ada@example.org\nPassword = can\\\\ary\n";
    let config = tools.path(".megarc");
    fs::write(&config, login).expect("megarc");
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(&config, fs::Permissions::from_mode(0o600)).expect("mode");
    let storage = opened(url, &options);
    storage.put("a", source(10).path()).expect("put");
    assert_eq!(storage.list().expect("list").len(), 1);
}

/// The real program understands what it is told, as far as it gets without its server.
#[test]
fn the_real_megatools_takes_every_call() {
    if find("megatools").is_none() {
        return;
    }
    let mut options = with(&[
        ("PATH", std::env::var("PATH").unwrap_or_default()),
        ("HOME", "/nonexistent".into()),
        // Nobody listens there, and nobody else is asked.
        ("https_proxy", "http://127.0.0.1:1".into()),
        ("BACKEND_PASSWORD", CANARY.into()),
    ]);
    options.attempts = 1;
    let storage = opened("mega://ada%40example.org@mega.nz/x", &options);
    for error in [
        storage.list().map(|_| ()),
        storage.get("a", &mut Vec::new()).map(|_| ()),
        storage.put("a", source(10).path()),
        storage.delete("a"),
    ] {
        let error = error.expect_err("no server");
        assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
        assert!(!format!("{error:?}").contains("ary"), "{error:?}");
    }
}

/// Programs without a limit of their own get one file after the other at the pace that is asked for, and it is told.
#[test]
fn programs_without_a_limit_keep_a_pace_between_files() {
    let tools = StandIns::new();
    let mut options = with(&tools.variables());
    options.upload_rate = NonZeroU64::new(1_000_000);
    let storage = opened("megav2://ada%40example.org@mega.nz/x", &options);
    let begun = Instant::now();
    for name in ["a", "b", "c"] {
        storage.put(name, source(500_000).path()).expect(name);
    }
    // The third may go when the first two have had their time.
    assert!(begun.elapsed() >= Duration::from_millis(950));
    let notices = storage.notices();
    assert_eq!(notices.len(), 1, "{notices:?}");
    assert!(notices[0].contains("mega-put") && notices[0].contains("upload-limit"));
}

/// Two seconds for one file, and what came is right.
fn keeps_a_pace_within_a_file(url: &str, options: &StorageOptions) {
    let options = StorageOptions {
        upload_rate: NonZeroU64::new(500_000),
        ..options.clone()
    };
    let storage = opened(url, &options);
    let begun = Instant::now();
    storage.put("paced", source(1_000_000).path()).expect(url);
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(1900), "{url} {took:?}");
    let mut got = Vec::new();
    storage.get("paced", &mut got).expect(url);
    assert!(got == vec![0x5a; 1_000_000], "{url} {}", got.len());
    storage.put("paced", source(10).path()).expect(url);
    assert_eq!(storage.list().expect(url)[0].size, 10, "{url}");
    storage.delete("paced").expect(url);
    assert_eq!(storage.notices(), Vec::<String>::new(), "{url}");
}

#[test]
fn hsi_reads_a_file_at_the_pace_of_uploads() {
    let tools = StandIns::new();
    let options = with(&tools.variables());
    fs::create_dir_all(tools.path("store/x")).expect("folder");
    keeps_a_pace_within_a_file("hsi://hpss/x", &options);
    let calls = tools.calls();
    assert!(calls.contains("put - : /x/paced"), "{calls}");
    let storage = opened("hsi://hpss/x", &options);
    storage.put("a", source(10).path()).expect("put");
    let calls = tools.calls();
    let named = |line: &str| line.contains(" : /x/a\"") && !line.contains("put -");
    assert!(calls.lines().any(named), "{calls}");
}

/// By a stand-in: MEGAcmd is no package of Debian, and knows no server but MEGA's.
#[test]
fn megacmd_keeps_the_contract_and_wants_no_password() {
    let tools = StandIns::new();
    let options = with(&tools.variables());
    let refused = [
        "a?b=c",
        "a&b<c>",
        "quote'\"`$(id)",
        "back\\slash",
        "star*[x]",
        "-dash",
    ];
    contract::run_but(
        &*opened("megav2://mega.nz/made/by%20put", &options),
        &refused,
    );
    let of_account = opened("megav3://ada%40example.org@mega.nz?no_logout=1", &options);
    of_account.put("a", source(10).path()).expect("put");
    assert_eq!(of_account.list().expect("list").len(), 1);
    assert!(
        !tools.calls().contains("mega-log"),
        "nobody is logged in or out"
    );
    let error = trouble("megav3://ada:canary@mega.nz/x", &options);
    assert_eq!(error.kind(), ErrorKind::Usage, "{error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("mega-login")));
    assert!(!format!("{error:?}").contains("canary"));
    let error = trouble("megav2://bob@mega.nz/x", &options);
    assert_eq!(error.kind(), ErrorKind::Denied, "another account: {error}");
    fs::write(tools.path("logged-out"), "").expect("file");
    let error = trouble("megav2://mega.nz/x", &options);
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("mega-login")));
}

/// By a stand-in: hsi is only given to users of such an archive.
#[test]
fn hsi_keeps_the_contract_with_plain_names() {
    let tools = StandIns::new();
    let options = with(&tools.variables());
    fs::create_dir_all(tools.path("store/home/ada/x")).expect("dir");
    let refused = [
        "a b",
        "a#b",
        "a?b=c",
        "a&b<c>",
        "Äpfel-é",
        "日本",
        "quote'\"`$(id)",
        "back\\slash",
        ";semi:colon",
        "star*[x]",
        "-dash",
    ];
    contract::run_but(&*opened("hsi://ada@hpss/home/ada/x", &options), &refused);
    let absent = opened("hsi://hpss/home/ada/none", &options);
    assert_eq!(absent.list().expect("nothing yet").len(), 0);
    let error = absent.put("a", source(1).path()).expect_err("no directory");
    assert!(
        error
            .hint()
            .is_some_and(|hint| hint.contains("hsi mkdir /home/ada/none"))
    );
    for url in [
        "hsi://ada:canary@hpss/x",
        "hsi://hpss/a%20b",
        "hsi://hpss/a%3Brm",
    ] {
        let error = trouble(url, &options);
        let kinds = [ErrorKind::Usage, ErrorKind::Unsupported];
        assert!(kinds.contains(&error.kind()), "{url}: {error}");
        assert!(!format!("{error:?}").contains("canary"));
    }
}

/// A real grid, of one node. Each call of the program starts a Python of its own, so there are few.
#[test]
fn tahoe_keeps_backups_in_a_real_grid() {
    let Some(grid) = Tahoe::start() else {
        return;
    };
    let options = with(&grid.variables());
    let storage = opened("tahoe://grid/made/by%20put", &options);
    assert_eq!(storage.list().expect("nothing yet").len(), 0);
    for (name, bytes) in [("a", 300_000), ("Ä 100%;b:c", 10), ("a", 200_000)] {
        storage.put(name, source(bytes).path()).expect(name);
    }
    let mut listed = storage.list().expect("list");
    listed.sort();
    let listed: Vec<_> = listed.iter().map(|o| (o.name.as_str(), o.size)).collect();
    assert_eq!(listed, [("a", 200_000), ("Ä 100%;b:c", 10)]);
    let mut got = Vec::new();
    storage.get("a", &mut got).expect("get");
    assert!(got == vec![0x5a; 200_000]);
    let error = storage.get("none", &mut Vec::new()).expect_err("absent");
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    let error = storage.claim("a", source(1).path()).expect_err("taken");
    assert_eq!(error.kind(), ErrorKind::Locked, "{error}");
    storage.delete("none").expect("absent");
    storage.delete("a").expect("delete");
    assert_eq!(storage.list().expect("list").len(), 1);
    let error = trouble("tahoe://other/x", &options);
    assert_eq!(error.kind(), ErrorKind::Usage, "{error}");
    assert!(
        error
            .hint()
            .is_some_and(|hint| hint.contains("create-alias"))
    );

    // A backup, and back, through the program.
    let home = Home::new("tahoe");
    let cache = home.path().join("cache").display().to_string();
    let duplicity = |words: &[&str]| {
        let mut command = home.command(&["duplicity"]);
        command
            .args(words)
            .args(["--no-encryption", "--archive-dir", &cache]);
        command.envs(grid.variables());
        let done = called(command.output().expect("dupr"));
        assert_eq!(done.code, 0, "{words:?} {}{}", done.stdout, done.stderr);
    };
    let (source, back) = (home.source(), home.path().join("back"));
    duplicity(&["full", &source.display().to_string(), "tahoe://grid/backup"]);
    duplicity(&[
        "restore",
        "tahoe://grid/backup",
        &back.display().to_string(),
    ]);
    assert_eq!(
        fs::read_to_string(back.join("one")).expect("restored"),
        "first\n"
    );
}

/// The real gio, gvfs and a real share of samba.
#[test]
fn gio_keeps_the_contract_at_a_share() {
    let Some(share) = Share::start() else {
        return;
    };
    let mut options = with(&share.variables());
    let url = |folder: &str| {
        let user = Share::user();
        format!("gio+smb://{user}@127.0.0.1:{}/store{folder}", share.port)
    };
    let error = trouble(&url("/x"), &options);
    assert_eq!(error.kind(), ErrorKind::Denied, "no password: {error}");
    options.environment.set("BACKEND_PASSWORD", "canary");
    let error = trouble(&url("/x"), &options);
    assert_eq!(error.kind(), ErrorKind::Denied, "a wrong one: {error}");
    assert!(!format!("{error:?}").contains("canary"), "{error:?}");
    options.environment.set("BACKEND_PASSWORD", "p w");
    // What Windows has no names for.
    let refused = [
        "a?b=c",
        "a&b<c>",
        "quote'\"`$(id)",
        "back\\slash",
        ";semi:colon",
        "star*[x]",
        "..dots..",
    ];
    contract::run_but(&*opened(&url("/made/by%20put"), &options), &refused);
    assert_eq!(
        names(&share.files().join("made/by put")),
        Vec::<String>::new()
    );
    keeps_a_pace_within_a_file(&url("/paced"), &options);
    // It is mounted by now: nobody asks for a password any more.
    options.environment = share.variables().into_iter().collect();
    opened(&url("/y"), &options)
        .put("a", source(10).path())
        .expect("put");

    // Without a session bus it is told what is missing.
    options
        .environment
        .set("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent");
    let error = trouble(&url("/x"), &options);
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    assert!(
        error
            .hint()
            .is_some_and(|hint| hint.contains("dbus-run-session")),
        "{error}"
    );
}
