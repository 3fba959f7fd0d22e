//! Targets that take backups and give nothing back: the recipes of docs/append-only.md at real servers. Backups run and
//! restore; what is there can neither be replaced nor removed by whoever makes them.

use crate::servers::{Apache, Dovecot, Ftpd, S3};
use crate::storage_contract::{names, opened, settings, source};
use crate::support::home::{Home, called};
use crate::support::programs::find;
use dupr::engine::ErrorKind;
use dupr::engine::storage::StorageOptions;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The lines of a recipe: the first block of code behind a heading of the page.
fn recipe(heading: &str) -> String {
    block(heading, 1)
}

/// A block of code behind a heading of the page.
fn block(heading: &str, number: usize) -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/append-only.md");
    let page = fs::read_to_string(page).expect("the page");
    let (_, rest) = page
        .split_once(&format!("## {heading}\n"))
        .expect("a heading");
    // Text and blocks take turns.
    let block = rest.split("```").nth(2 * number - 1).expect("a block");
    block.trim_start_matches('\n').to_string()
}

/// Backs up twice and restores, by duplicity's words.
fn backs_up(name: &str, url: &str, variables: &[(&str, &str)]) {
    let home = Home::new(name);
    let cache = home.path().join("cache").display().to_string();
    let source = home.source().display().to_string();
    let back = home.path().join("back").display().to_string();
    let dupr = |action: &[&str]| {
        let mut command = home.command(&["duplicity"]);
        command.args(action);
        command.args(["--no-encryption", "--archive-dir", &cache]);
        command.envs(variables.iter().copied());
        let done = called(command.output().expect("dupr"));
        assert_eq!(done.code, 0, "{action:?} {}{}", done.stdout, done.stderr);
    };
    dupr(&["full", &source, url]);
    home.write("one", "changed\n");
    dupr(&["incr", &source, url]);
    dupr(&["restore", url, &back]);
    let restored = fs::read_to_string(home.path().join("back/one"));
    assert_eq!(restored.expect("restored"), "changed\n");
}

/// Nothing of a folder can be replaced or removed through a target.
fn keeps_all(folder: &Path, url: &str, options: &StorageOptions) {
    let contents = || -> Vec<(PathBuf, Vec<u8>)> {
        let mut names = names(folder);
        names.sort();
        names.retain(|name| !name.starts_with('.'));
        let read = |name: String| {
            let path = folder.join(name);
            let content = fs::read(&path).expect("a file");
            (path, content)
        };
        names.into_iter().map(read).collect()
    };
    let before = contents();
    assert_eq!(before.len(), 6, "two sets: {:?}", names(folder));
    let storage = opened(url, options);
    for (path, _) in &before {
        let name = path.file_name().expect("a name").to_string_lossy();
        storage.put(&name, source(10).path()).expect_err("replaced");
        storage.delete(&name).expect_err("removed");
    }
    assert!(contents() == before, "all is as it was");
}

fn once(variables: &[(&str, &str)]) -> StorageOptions {
    StorageOptions {
        attempts: 1,
        environment: variables.iter().copied().collect(),
        ..StorageOptions::default()
    }
}

#[test]
fn ftp_takes_backups_and_gives_nothing_back() {
    let server = Ftpd::that_says(&recipe("`ftp` with proftpd"));
    let url = format!("ftp://ada@127.0.0.1:{}/x", server.port);
    let variables = [("FTP_PASSWORD", "p@ss:w")];
    backs_up("locked-ftp", &url, &variables);
    keeps_all(&server.files().join("x"), &url, &once(&variables));
}

#[test]
fn webdav_takes_backups_and_gives_nothing_back() {
    let server = Apache::that_says(&recipe("`webdav` with Apache"));
    let url = format!("webdav://ada@127.0.0.1:{}/dav/x", server.port);
    let variables = [("BACKEND_PASSWORD", "p@ss:w")];
    backs_up("locked-webdav", &url, &variables);
    let folder = server.files().join("x");
    keeps_all(&folder, &url, &once(&variables));

    // Nor by words that dupr does not say.
    let before = names(&folder);
    let name = before.iter().find(|name| !name.starts_with('.'));
    let name = name.expect("a file").as_str();
    let content = fs::read(folder.join(name)).expect("a file");
    let base = format!("http://127.0.0.1:{}/dav", server.port);
    let temp = "x/.dupr-0123456789abcdef.tmp";
    let file = format!("x/{name}");
    assert_eq!(asked(&base, "PUT", temp, None), 201, "a name for a while");
    for (method, path, to, status) in [
        ("PUT", file.as_str(), None, 403),
        ("PUT", "x/new", None, 403),
        ("MOVE", temp, Some(file.as_str()), 412),
        ("MOVE", file.as_str(), Some("x/other"), 403),
        ("MOVE", "x/", Some("y/"), 403),
        ("COPY", temp, Some(file.as_str()), 403),
        ("DELETE", file.as_str(), None, 403),
        ("DELETE", "x/", None, 403),
        ("PROPPATCH", file.as_str(), None, 403),
        ("LOCK", file.as_str(), None, 403),
        ("PATCH", file.as_str(), None, 403),
    ] {
        assert_eq!(asked(&base, method, path, to), status, "{method} {path}");
    }
    assert!(fs::read(folder.join(name)).expect("a file") == content);
    assert_eq!(names(&folder).len(), before.len() + 1);
}

/// What another program tries: it removes all, by every word there is, and tells how many mails are left.
const REMOVE_MAILS: &str = r#"
import imaplib, sys
server = imaplib.IMAP4("127.0.0.1", int(sys.argv[1]))
server.login("ada", "p@ss:w")
server.select("INBOX")
all = ",".join(server.uid("SEARCH", None, "ALL")[1][0].decode().split())
server.create("other")
for words in ("STORE", all, "+FLAGS", "(\\Deleted)"), ("STORE", all, "FLAGS", "(\\Seen \\Deleted)"), ("EXPUNGE", all), ("MOVE", all, "other"):
    server.uid(*words)
server.expunge()
server.rename("INBOX", "gone")
server.delete("INBOX")
server.select("INBOX")
server.close()
server.select("INBOX")
print(len(server.uid("SEARCH", None, "ALL")[1][0].split()))
"#;

fn dovecot_of_the_page() -> Dovecot {
    let heading = "`imap` with Dovecot";
    Dovecot::that_says(&block(heading, 1), &block(heading, 2))
}

#[test]
fn imap_takes_backups_and_gives_nothing_back() {
    let server = dovecot_of_the_page();
    let url = format!("imap://ada@127.0.0.1:{}/x", server.port);
    let variables = [("IMAP_PASSWORD", "p@ss:w")];
    backs_up("locked-imap", &url, &variables);
    assert_eq!(server.mails(), 6, "two sets");
    let storage = opened(&url, &once(&variables));
    let objects = storage.list().expect("list");
    assert_eq!(objects.len(), 6, "{objects:?}");
    for object in &objects {
        let error = storage.delete(&object.name).expect_err("removed");
        assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    }
    assert_eq!(server.mails(), 6);
    // What is put on top leaves what is below it.
    storage
        .put(&objects[0].name, source(10).path())
        .expect("on top");
    assert_eq!(server.mails(), 7);
    let done = Command::new("/usr/bin/python3")
        .args(["-c", REMOVE_MAILS, &server.port.to_string()])
        .output()
        .expect("python3; run tests/setup");
    assert!(done.status.success(), "{done:?}");
    assert_eq!(String::from_utf8_lossy(&done.stdout).trim(), "7");
    assert_eq!(server.mails(), 7);
}

#[test]
fn a_profile_lives_in_a_mailbox_that_gives_nothing_back() {
    let server = dovecot_of_the_page();
    let home = Home::new("locked-imap-profile");
    home.raw_profile(
        "home",
        &format!(
            "version = 1\nsource = {:?}\npassphrase = {{ file = {:?} }}\ntarget = \"imap://ada@127.0.0.1:{}/x\"\n",
            home.source(),
            home.path().join("pass"),
            server.port,
        ),
    );
    lives(&home, &[("IMAP_PASSWORD", "p@ss:w")]);
}

/// The status of the answer to a request by another program, which wants to replace what is there.
fn asked(base: &str, method: &str, path: &str, to: Option<&str>) -> u16 {
    let mut command = Command::new("curl");
    command.args(["--silent", "--output", "/dev/null", "--digest"]);
    command.args(["--user", "ada:p@ss:w", "--write-out", "%{http_code}"]);
    command.args(["--request", method, "--header", "Overwrite: T"]);
    if let Some(to) = to {
        command.args(["--header", &format!("Destination: {base}/{to}")]);
    }
    if method == "PUT" {
        command.args(["--data", "rubbish"]);
    }
    let done = command.arg(format!("{base}/{path}")).output();
    let done = done.expect("curl; run tests/setup");
    let status = String::from_utf8_lossy(&done.stdout).into_owned();
    status.trim().parse().expect("a status")
}

/// A profile whose target gives nothing back, from the first set to the restore: purging says that it is not permitted, and the
/// run is a success.
fn lives(home: &Home, variables: &[(&str, &str)]) {
    let dupr = |code: i32, words: &[&str]| {
        let mut command = home.command(words);
        command.envs(variables.iter().copied());
        let done = called(command.output().expect("dupr"));
        let (out, err) = (&done.stdout, &done.stderr);
        assert_eq!(done.code, code, "{words:?}\n{out}{err}");
        done
    };
    dupr(0, &["home", "full"]);
    home.write("one", "changed\n");
    dupr(0, &["home", "incr"]);
    dupr(0, &["home", "full"]);
    // Without --force it is only looked at, as anywhere.
    let listed = dupr(0, &["home", "purgeFull", "1"]);
    assert!(listed.stdout.contains("--force"), "{}", listed.stdout);
    for words in [
        &["home", "purgeFull", "1", "--force"][..],
        &["home", "backup_purgeFull", "1", "--force"],
    ] {
        let told = dupr(0, words);
        let all = format!("{}{}", told.stdout, told.stderr);
        assert!(all.contains("nothing was removed"), "{all}");
        assert!(all.contains("does not permit it"), "{all}");
    }
    let json = dupr(0, &["home", "purgeFull", "1", "--force", "--json"]).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let step = &json["runs"][0]["outcome"]["steps"][0];
    assert_eq!(step["removed"].as_array().map(Vec::len), Some(0), "{json}");
    assert_eq!(json["runs"][0]["outcome"]["verdict"], "success", "{json}");
    let status = dupr(0, &["home", "status"]).stdout;
    assert!(!status.contains("orphan"), "{status}");
    dupr(0, &["home", "cleanup", "--force"]);
    dupr(0, &["home", "verify"]);
    let out = home.path().join("out").display().to_string();
    dupr(0, &["home", "restore", &out]);
    let one = fs::read_to_string(home.path().join("out/one"));
    assert_eq!(one.expect("restored"), "changed\n");
}

/// What Amazon's own program is asked about a bucket: to remove the one content there is, by its number. It must be refused, and
/// the content still be there.
const REMOVE_VERSION: &str = r#"
version=$(aws s3api list-object-versions --bucket home --query 'Versions[].VersionId' --output text)
if aws s3api delete-object --bucket home --key x/a.vol1 --version-id "$version"; then echo "it could be removed"; exit 9; fi
aws s3api get-object --bucket home --key x/a.vol1 --version-id "$version" out --query 'ContentLength'
"#;

/// The lines of the page, by Amazon's own program: the bucket takes what dupr stores, and gives nothing back.
#[test]
fn the_lines_of_the_page_lock_a_bucket() {
    if find("aws").is_none() {
        return;
    }
    let server = S3::moto();
    let home = Home::new("locked-by-aws");
    let variables = [
        ("AWS_ACCESS_KEY_ID", server.key_id.as_str()),
        ("AWS_SECRET_ACCESS_KEY", server.secret.as_str()),
    ];
    let aws = |lines: &str| {
        let folder = find("aws").expect("Amazon's program");
        let folder = folder.parent().expect("a folder").display();
        let usual = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new(find("bash").expect("bash is needed"));
        command.args(["-euc", lines]).current_dir(home.path());
        command.env_clear().envs(variables);
        command.env("PATH", format!("{folder}:{usual}"));
        command.env("HOME", home.path());
        command.env("AWS_DEFAULT_REGION", "us-east-1");
        command.env("AWS_ENDPOINT_URL", server.endpoint());
        called(command.output().expect("bash"))
    };
    let page = recipe("`s3` with object lock");
    assert!(page.starts_with("aws s3api create-bucket "), "{page}");
    let made = aws(&page);
    assert_eq!(made.code, 0, "{page}{}{}", made.stdout, made.stderr);

    let endpoint = server.endpoint();
    let mut options = once(&variables);
    options.settings = settings(&[("endpoint", &endpoint), ("checksum", "crc32c")]);
    let storage = opened("s3://home/x", &options);
    let put = storage.put("a.vol1", source(1000).path());
    put.expect("the bucket takes it");
    let removed = aws(REMOVE_VERSION);
    let (out, err) = (removed.stdout.trim(), &removed.stderr);
    assert_eq!((removed.code, out), (0, "1000"), "{err}");
    assert!(err.contains("AccessDenied"), "{err}");
}

#[test]
fn a_profile_lives_in_a_locked_bucket() {
    let server = S3::moto();
    server.lock();
    let home = Home::new("locked-profile");
    home.raw_profile(
        "home",
        &format!(
            "version = 1\nsource = {:?}\npassphrase = {{ file = {:?} }}\n\
             [target]\nurl = \"s3://locked/x\"\n\
             options = {{ endpoint = {:?}, region = \"us-east-1\", checksum = \"crc32c\" }}\n",
            home.source(),
            home.path().join("pass"),
            server.endpoint(),
        ),
    );
    lives(
        &home,
        &[
            ("AWS_ACCESS_KEY_ID", &server.key_id),
            ("AWS_SECRET_ACCESS_KEY", &server.secret),
        ],
    );
}

#[test]
fn a_profile_lives_at_a_webdav_server_that_gives_nothing_back() {
    let server = Apache::that_says(&recipe("`webdav` with Apache"));
    let home = Home::new("locked-webdav-profile");
    home.raw_profile(
        "home",
        &format!(
            "version = 1\nsource = {:?}\npassphrase = {{ file = {:?} }}\ntarget = \"webdav://ada@127.0.0.1:{}/dav/x\"\n",
            home.source(),
            home.path().join("pass"),
            server.port,
        ),
    );
    lives(&home, &[("BACKEND_PASSWORD", "p@ss:w")]);
}

#[test]
fn a_profile_lives_at_an_ftp_server_that_gives_nothing_back() {
    let server = Ftpd::that_says(&recipe("`ftp` with proftpd"));
    let home = Home::new("locked-ftp-profile");
    home.raw_profile(
        "home",
        &format!(
            "version = 1\nsource = {:?}\npassphrase = {{ file = {:?} }}\ntarget = \"ftp://ada@127.0.0.1:{}/x\"\n",
            home.source(),
            home.path().join("pass"),
            server.port,
        ),
    );
    lives(&home, &[("FTP_PASSWORD", "p@ss:w")]);
}

/// Who may only write can put another content on top: the first one stays below it.
#[test]
fn a_locked_bucket_keeps_the_first_content_of_everything() {
    let server = S3::moto();
    server.lock();
    let variables = [
        ("AWS_ACCESS_KEY_ID", server.key_id.as_str()),
        ("AWS_SECRET_ACCESS_KEY", server.secret.as_str()),
    ];
    let endpoint = server.endpoint();
    let mut options = once(&variables);
    options.settings = settings(&[("endpoint", &endpoint), ("checksum", "crc32c")]);
    let storage = opened("s3://locked/x", &options);
    for (name, bytes) in [("a.manifest", 1000), ("a.vol1", 9 << 20)] {
        storage.claim(name, source(bytes).path()).expect(name);
    }
    let objects = storage.list().expect("list");
    assert_eq!(objects.len(), 2, "{objects:?}");
    for object in &objects {
        storage.delete(&object.name).expect_err("removed");
        storage
            .put(&object.name, source(10).path())
            .expect("on top");
        let first = server.first_of(&format!("x/{}", object.name));
        assert_eq!(first, (2, object.size), "{object:?}");
    }
}
