//! Every service against a real server of it.

use crate::servers::{S3, Sshd};
use dupr::engine::ErrorKind;
use dupr::engine::storage::{Storage, StorageOptions, TargetUrl, open};
use dupr::testing::contract;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::Duration;
use tempfile::{NamedTempFile, TempDir};

pub fn opened(url: &str, options: &StorageOptions) -> Box<dyn Storage> {
    open(&TargetUrl::parse(url).expect("URL"), options).expect("target")
}

pub fn settings(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_string()))
        .collect()
}

pub fn ssh(server: &Sshd) -> StorageOptions {
    StorageOptions {
        settings: settings(&[("ssh-options", &server.ssh_options("userkey"))]),
        backoff: Duration::from_millis(50),
        ..StorageOptions::default()
    }
}

pub fn s3(server: &S3) -> StorageOptions {
    StorageOptions {
        settings: settings(&[("endpoint", &server.endpoint())]),
        environment: [
            ("AWS_ACCESS_KEY_ID", &server.key_id),
            ("AWS_SECRET_ACCESS_KEY", &server.secret),
        ]
        .into_iter()
        .collect(),
        backoff: Duration::from_millis(50),
        ..StorageOptions::default()
    }
}

pub fn source(bytes: usize) -> NamedTempFile {
    let mut file = NamedTempFile::new().expect("temp file");
    file.write_all(&vec![0x5a; bytes]).expect("source");
    file
}

pub fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).expect("dir");
    entries
        .map(|e| e.expect("entry").file_name().to_string_lossy().into_owned())
        .collect()
}

#[test]
fn local_keeps_the_contract() {
    let dir = TempDir::new().expect("temp dir");
    let target = dir.path().join("made/by put");
    let url = format!("file://{}/made/by%20put", dir.path().display());
    let storage = opened(&url, &StorageOptions::default());
    contract::run(&*storage);
    contract::exclusive_claims(&*storage);
    contract::long_listing(&*storage, 1200);
    assert_eq!(names(&target), Vec::<String>::new(), "no temp file is left");
}

#[test]
fn sftp_keeps_the_contract() {
    let server = Sshd::start();
    let storage = opened(&server.url("made/by%20put"), &ssh(&server));
    contract::run(&*storage);
    contract::exclusive_claims(&*storage);
    assert_eq!(
        names(&server.files().join("made/by put")),
        Vec::<String>::new(),
        "no temp file is left"
    );
}

/// A server that runs commands and knows no sftp. One connection for all calls, as `ControlMaster` makes it; no start files of
/// whoever runs the tests.
#[test]
fn a_server_without_sftp_keeps_the_contract() {
    let server = Sshd::with("MaxSessions 100\nSetEnv HOME=/nonexistent");
    let mut options = ssh(&server);
    let control = server.path("control").display().to_string();
    if let Some(words) = options.settings.get_mut("ssh-options") {
        *words += &format!(" -oControlMaster=auto -oControlPath={control} -oControlPersist=9");
    }
    // The name of a shell's commands for duplicity.
    let url = server
        .url("made/it's%20%3B put")
        .replacen("sftp", "fish", 1);
    let storage = opened(&url, &options);
    contract::run(&*storage);
    let files = server.files().join("made/it's ; put");
    assert_eq!(names(&files), Vec::<String>::new(), "no temp file is left");
    // A link that leads nowhere hides nothing, and what is behind one counts.
    storage.put("a", source(70_000).path()).expect("put");
    std::os::unix::fs::symlink("nowhere", files.join("b")).expect("link");
    std::os::unix::fs::symlink("a", files.join("c")).expect("link");
    let mut listed = storage.list().expect("list");
    listed.sort_by(|a, b| a.name.cmp(&b.name));
    let listed: Vec<_> = listed.iter().map(|o| (o.name.as_str(), o.size)).collect();
    assert_eq!(listed, [("a", 70_000), ("c", 70_000)]);
    let mode = std::os::unix::fs::MetadataExt::mode(&fs::metadata(files.join("a")).expect("a"));
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn sftp_lists_more_than_a_page() {
    let server = Sshd::start();
    contract::long_listing(&*opened(&server.url("many"), &ssh(&server)), 1200);
}

#[test]
fn s3_keeps_the_contract_at_moto() {
    let server = S3::moto();
    contract::run(&*opened("s3://bucket/some/prefix", &s3(&server)));
    let storage = opened("boto3+s3:///bucket", &s3(&server));
    contract::run(&*storage);
    contract::exclusive_claims(&*storage);
    contract::long_listing(&*opened("s3://bucket/many", &s3(&server)), 1050);
}

#[test]
fn s3_keeps_the_contract_at_s3rver() {
    let server = S3::s3rver();
    contract::run(&*opened("s3://bucket/some/prefix", &s3(&server)));
}

#[test]
fn s3_troubles_have_a_kind_and_a_way_out() {
    let server = S3::moto();
    let mut wrong = s3(&server);
    wrong.environment.set("AWS_SECRET_ACCESS_KEY", "canary");
    let error = opened("s3://bucket/x", &wrong)
        .list()
        .expect_err("wrong secret");
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    assert!(
        error
            .hint()
            .is_some_and(|hint| hint.contains("AWS_SECRET_ACCESS_KEY")),
        "{error}"
    );
    assert!(!format!("{error:?}").contains("canary"));

    // An unknown bucket is not an empty one.
    let storage = opened("s3://no-such-bucket/x", &s3(&server));
    for error in [
        storage.list().expect_err("no bucket"),
        storage.put("a", source(10).path()).expect_err("no bucket"),
    ] {
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
        assert!(
            error
                .hint()
                .is_some_and(|hint| hint.contains("no-such-bucket")),
            "{error}"
        );
    }
}

#[test]
fn s3_keeps_what_every_run_reads_in_the_standard_class() {
    let server = S3::moto();
    let mut options = s3(&server);
    options
        .settings
        .insert("storage-class".into(), "deep_archive".into());
    options.standard_names = |name| name.ends_with(".manifest");
    let storage = opened("s3://bucket/x", &options);
    storage
        .put("a.vol1.difftar", source(10).path())
        .expect("put");
    storage
        .put("b.vol1.difftar", source(20 << 20).path())
        .expect("put in parts");
    storage.put("a.manifest", source(10).path()).expect("put");
    storage
        .get("a.manifest", &mut Vec::new())
        .expect("readable at once");
    for name in ["a.vol1.difftar", "b.vol1.difftar"] {
        let error = storage.get(name, &mut Vec::new()).expect_err("archived");
        assert!(
            error
                .hint()
                .is_some_and(|hint| hint.contains("archive class")),
            "{error}"
        );
    }
}
