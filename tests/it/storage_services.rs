//! WebDAV, rsync and rclone against real servers: the contract, and what is special about each.

use crate::servers::{Dav, Rclone, Rsyncd, Sshd};
use crate::storage_contract::{names, opened, settings, source};
use dupr::engine::ErrorKind;
use dupr::engine::secret::Secret;
use dupr::engine::storage::{StorageOptions, TargetUrl, open};
use dupr::testing::contract;
use std::fs;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

fn quick() -> StorageOptions {
    StorageOptions {
        backoff: Duration::from_millis(50),
        attempts: 2,
        ..StorageOptions::default()
    }
}

fn variables(pairs: &[(&str, &str)]) -> StorageOptions {
    StorageOptions {
        environment: pairs.iter().copied().collect(),
        ..quick()
    }
}

#[test]
fn webdav_keeps_the_contract() {
    let server = Dav::start();
    let url = format!("webdav://ada@127.0.0.1:{}/made/by%20put", server.port);
    let storage = opened(&url, &variables(&[("FTP_PASSWORD", "p@ss:w")]));
    contract::run(&*storage);
    contract::long_listing(&*storage, 300);
    let left = names(&server.files().join("made/by put"));
    assert_eq!(left, Vec::<String>::new(), "no temp file is left");
}

#[test]
fn webdav_takes_the_password_of_the_url_and_the_root_of_the_server() {
    let server = Dav::start();
    let url = format!("http://ada:p%40ss%3Aw@127.0.0.1:{}", server.port);
    let storage = opened(&url, &quick());
    storage.put("a", source(10).path()).expect("put");
    assert_eq!(names(&server.files()), ["a"]);
    assert_eq!(storage.list().expect("list").len(), 1);
}

#[test]
fn webdav_troubles_have_a_kind_and_a_way_out() {
    let server = Dav::start();
    let url = format!("webdav://ada:canary@127.0.0.1:{}/x", server.port);
    let storage = opened(&url, &quick());
    for error in [
        storage.list().expect_err("wrong password"),
        storage
            .put("a", source(10).path())
            .expect_err("wrong password"),
    ] {
        assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
        assert!(error.hint().is_some_and(|h| h.contains("BACKEND_PASSWORD")));
        assert!(!format!("{error:?}").contains("canary"), "{error:?}");
    }
    let error = opened("webdav://127.0.0.1:1/x", &quick()).list();
    let error = error.expect_err("nobody listens");
    assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
}

/// Through the program, because the certificates a system trusts are set by a variable of the process.
#[test]
fn webdavs_backs_up_and_trusts_only_what_the_system_trusts() {
    let server = Dav::secure();
    let home = TempDir::new().expect("temp dir");
    let tree = home.path().join("tree");
    fs::create_dir(&tree).expect("dir");
    fs::write(tree.join("file"), "content").expect("file");
    let dupr = |arguments: &[&str], certificate: Option<&std::path::Path>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dupr"));
        command.arg("duplicity").args(arguments);
        command.args(["--no-encryption", "--num-retries", "1", "--archive-dir"]);
        command.arg(home.path().join("cache"));
        command.env("BACKEND_PASSWORD", "p@ss:w");
        command.env("SSL_CERT_FILE", certificate.unwrap_or("/dev/null".as_ref()));
        command.output().expect("dupr")
    };
    let url = format!("webdavs://ada@127.0.0.1:{}/backup", server.port);
    let tree = tree.display().to_string();
    let certificate = server.certificate();
    let stranger = dupr(&["full", &tree, &url], None);
    assert!(
        !stranger.status.success(),
        "an unknown certificate is refused"
    );
    let done = dupr(&["full", &tree, &url], Some(&certificate));
    assert!(done.status.success(), "{done:?}");
    let back = home.path().join("back").display().to_string();
    let done = dupr(&["restore", &url, &back], Some(&certificate));
    assert!(done.status.success(), "{done:?}");
    let file = fs::read_to_string(home.path().join("back/file"));
    assert_eq!(file.expect("restored"), "content");
}

#[test]
fn rsync_keeps_the_contract_at_a_daemon() {
    let server = Rsyncd::start();
    let url = format!("rsync://ada@127.0.0.1:{}::store/made/by%20put", server.port);
    let options = StorageOptions {
        password: Some(Secret::new("pw")),
        ..quick()
    };
    let storage = opened(&url, &options);
    contract::run(&*storage);
    contract::long_listing(&*storage, 60);
    let left = names(&server.files().join("made/by put"));
    assert_eq!(left, Vec::<String>::new(), "no temp file is left");
}

#[test]
fn rsync_keeps_the_contract_through_ssh() {
    let server = Sshd::start();
    let url = format!(
        "rsync://127.0.0.1:{}/{}/made/by%20put",
        server.port(),
        server.files().display()
    );
    let options = StorageOptions {
        settings: settings(&[("ssh-options", &server.ssh_options("userkey"))]),
        ..quick()
    };
    contract::run(&*opened(&url, &options));
    let left = names(&server.files().join("made/by put"));
    assert_eq!(left, Vec::<String>::new(), "no temp file is left");
}

#[test]
fn rsync_troubles_have_a_kind() {
    let server = Rsyncd::start();
    let at = |rest: &str| format!("rsync://ada:canary@127.0.0.1:{}::{rest}", server.port);
    let error = opened(&at("store/x"), &quick()).list();
    let error = error.expect_err("wrong password");
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    assert!(!format!("{error:?}").contains("canary"), "{error:?}");
    let error = opened(&at("fixed/x"), &quick()).put("a", source(10).path());
    let error = error.expect_err("read-only");
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    let error = opened(&at("nowhere/x"), &quick()).list();
    let error = error.expect_err("no module");
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    let error = opened("rsync://127.0.0.1:1::m/x", &quick()).list();
    let error = error.expect_err("nobody listens");
    assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
}

#[test]
fn rclone_keeps_the_contract() {
    let rclone = Rclone::configured();
    let config = rclone.config().display().to_string();
    let options = variables(&[("RCLONE_CONFIG", &config)]);
    let plain = rclone.files().join("made/by put");
    let url = format!("rclone://disk:{}/made/by%20put", rclone.files().display());
    contract::run(&*opened(&url, &options));
    assert_eq!(names(&plain), Vec::<String>::new(), "no temp file is left");
    contract::run(&*opened("rclone://veiled:/deep/er", &options));
}

#[test]
fn rclone_troubles_have_a_kind_and_a_way_out() {
    let rclone = Rclone::configured();
    let config = rclone.config().display().to_string();
    let mut options = variables(&[("RCLONE_CONFIG", &config)]);
    let error = opened("rclone://nosuch:x", &options).list();
    let error = error.expect_err("unknown remote");
    assert_eq!(error.kind(), ErrorKind::Usage, "{error}");
    assert!(error.hint().is_some_and(|h| h.contains("listremotes")));

    options.environment.set("PATH", "/nonexistent");
    let error = opened("rclone://disk:/x", &options).list();
    let error = error.expect_err("no rclone");
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    assert!(
        error
            .hint()
            .is_some_and(|h| h.contains("apt-get install rclone")),
        "{error}"
    );
}

#[test]
fn wrong_settings_are_told_before_any_work() {
    for url in ["webdav://h/x", "rclone://r:x", "rsync://h/x"] {
        let options = StorageOptions {
            settings: settings(&[("region", "x")]),
            ..quick()
        };
        let error = open(&TargetUrl::parse(url).expect("URL"), &options);
        let error = error.err().expect("unknown setting");
        assert_eq!(error.kind(), ErrorKind::Usage, "{url}");
    }
}
