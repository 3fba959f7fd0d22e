//! Targets made of others, `multi://` and `par2+`: the contract, what happens when a part of them fails, and archives that
//! cross between dupr and duplicity 3.2.1.

use crate::door::{Bench, Called, listing};
use crate::servers::{S3, Sshd};
use crate::storage_contract::{names, opened, s3, settings, source, ssh};
use crate::support::home::Home;
use crate::support::programs::{Program, find};
use dupr::engine::ErrorKind;
use dupr::engine::storage::{Storage, StorageOptions, TargetUrl, open};
use dupr::testing::contract;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tempfile::{NamedTempFile, TempDir};

fn quick() -> StorageOptions {
    StorageOptions {
        backoff: Duration::from_millis(1),
        attempts: 1,
        ..StorageOptions::default()
    }
}

/// A list of targets in a folder, and its URL with this query.
fn list(dir: &Path, entries: serde_json::Value, query: &str) -> String {
    fs::write(dir.join("list.json"), entries.to_string()).expect("list");
    format!("multi://{}/list.json{query}", dir.display())
}

fn folders(dir: &Path, query: &str) -> String {
    let url = |name: &str| format!("file://{}/{name}", dir.display());
    let entries = serde_json::json!([{"url": url("a")}, {"url": url("b")}]);
    list(dir, entries, query)
}

/// Makes a folder a file, so that nothing can be listed or put there.
fn break_folder(dir: &Path) {
    let _ = fs::rename(dir, dir.with_extension("away"));
    fs::write(dir, "no folder").expect("file");
}

fn mend_folder(dir: &Path) {
    fs::remove_file(dir).expect("file");
    let _ = fs::rename(dir.with_extension("away"), dir);
}

fn sorted(dir: &Path) -> Vec<String> {
    let mut names = names(dir);
    names.sort();
    names
}

#[test]
fn multi_keeps_the_contract_on_folders_and_sftp() {
    let server = Sshd::start();
    for (query, is_mirror) in [("?mode=mirror", true), ("", false)] {
        let dir = TempDir::new().expect("temp dir");
        let below = if is_mirror { "mirror" } else { "stripe" };
        let entries = serde_json::json!([
            {"url": format!("file://{}/a", dir.path().display()), "description": "the near one"},
            {"url": server.url(below)},
        ]);
        let options = ssh(&server);
        let storage = opened(&list(dir.path(), entries, query), &options);
        contract::run(&*storage);
        if is_mirror {
            contract::exclusive_claims(&*storage);
        }
        for kept in [dir.path().join("a"), server.files().join(below)] {
            assert_eq!(names(&kept), Vec::<String>::new(), "no temp file is left");
        }
    }
}

#[test]
fn a_stripe_goes_by_turns_and_replaces_where_the_file_lies() {
    let dir = TempDir::new().expect("temp dir");
    let storage = opened(&folders(dir.path(), "?subpath=/x"), &quick());
    let (a, b) = (dir.path().join("a/x"), dir.path().join("b/x"));
    for n in 1..=4 {
        storage
            .put(&format!("v{n}"), source(n).path())
            .expect("put");
    }
    assert_eq!(
        (sorted(&a), sorted(&b)),
        (
            vec!["v1".into(), "v3".into()],
            vec!["v2".into(), "v4".into()]
        )
    );
    storage.put("v2", source(20).path()).expect("replaced");
    assert_eq!(fs::metadata(b.join("v2")).expect("there").len(), 20);
    assert!(!a.join("v2").exists());

    // One that is down: the other takes its turns; but what is at the first cannot be told.
    let storage = opened(&folders(dir.path(), "?subpath=/x"), &quick());
    break_folder(&a);
    for n in 5..=7 {
        storage
            .put(&format!("v{n}"), source(n).path())
            .expect("put");
    }
    assert_eq!(sorted(&b), ["v2", "v4", "v5", "v6", "v7"]);
    let notices = storage.notices();
    assert!(notices.iter().any(|n| n.contains("/a/x")), "{notices:?}");
    let error = storage.list().expect_err("half a listing is none");
    assert!(error.to_string().contains("/a/x"), "{error}");
    let abort = opened(&folders(dir.path(), "?subpath=/x&onfail=abort"), &quick());
    abort
        .put("v8", source(8).path())
        .expect_err("the first is down");
    mend_folder(&a);
    assert_eq!(storage.list().expect("list").len(), 7);
}

#[test]
fn a_mirror_goes_on_without_one_and_removes_nothing_meanwhile() {
    let dir = TempDir::new().expect("temp dir");
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    let url = folders(dir.path(), "?mode=mirror");
    let storage = opened(&url, &quick());
    storage.put("one", source(1).path()).expect("put");
    assert_eq!(
        (sorted(&a), sorted(&b)),
        (vec!["one".into()], vec!["one".into()])
    );

    break_folder(&a);
    let storage = opened(&url, &quick());
    assert_eq!(storage.list().expect("the other").len(), 1);
    storage.put("two", source(2).path()).expect("the other");
    let mut got = Vec::new();
    storage.get("one", &mut got).expect("from the other");
    assert_eq!(got.len(), 1);
    let notices = storage.notices();
    assert!(
        notices.len() >= 2 && notices.iter().all(|n| n.contains("/a")),
        "{notices:?}"
    );
    let error = storage
        .delete("one")
        .expect_err("what the first holds is not known");
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert_eq!(sorted(&b), ["one", "two"]);
    let abort = opened(&folders(dir.path(), "?mode=mirror&onfail=abort"), &quick());
    abort
        .put("three", source(3).path())
        .expect_err("must be at all");
    abort.list().expect_err("must be at all");

    // Back again: the copy that lacks something is told, what it lacks is read from the other.
    mend_folder(&a);
    let storage = opened(&url, &quick());
    assert_eq!(storage.list().expect("list").len(), 2);
    let notices = storage.notices();
    assert!(
        notices
            .iter()
            .any(|n| n.contains("1 of 2 files") && n.contains("/a")),
        "{notices:?}"
    );
    storage
        .get("two", &mut Vec::new())
        .expect("from the second");
    storage.delete("two").expect("from where it is");
    storage.delete("one").expect("from both");
    assert_eq!((sorted(&a), sorted(&b)), (vec![], vec![]));

    // Both down is no success.
    break_folder(&a);
    break_folder(&b);
    let storage = opened(&url, &quick());
    storage.list().expect_err("none is there");
    storage
        .put("x", source(1).path())
        .expect_err("none takes it");
    storage.get("x", &mut Vec::new()).expect_err("none has it");
}

#[test]
fn a_second_reading_of_what_is_damaged_asks_another_copy() {
    let dir = TempDir::new().expect("temp dir");
    let storage = opened(&folders(dir.path(), "?mode=mirror"), &quick());
    let file = source(4);
    storage.put_settled("one", file.path()).expect("put");
    // In place: two names of one file would be damaged together.
    let mut copy = fs::File::options()
        .write(true)
        .open(dir.path().join("a/one"));
    copy.as_mut()
        .expect("copy")
        .write_all(b"bad!")
        .expect("damaged");
    let read = || {
        let mut got = Vec::new();
        storage.get("one", &mut got).expect("got");
        let local = storage.open_local("one").expect("open").expect("local");
        let beside = fs::read(local.path).expect("read");
        assert_eq!(beside, got);
        got
    };
    assert_eq!(read(), b"bad!");
    storage.distrust("one");
    assert_eq!(read(), [0x5a; 4]);
}

#[test]
fn names_with_a_home_stay_there() {
    let dir = TempDir::new().expect("temp dir");
    let url = |name: &str| format!("file://{}/{name}", dir.path().display());
    let entries = serde_json::json!([
        {"url": url("a"), "prefixes": ["vol_", "all_"]},
        {"url": url("b"), "prefixes": ["man_", "all_"]},
    ]);
    let storage = opened(&list(dir.path(), entries.clone(), "?mode=mirror"), &quick());
    for name in ["vol_1", "man_1", "all_1", "other"] {
        storage.put(name, source(1).path()).expect("put");
    }
    assert_eq!(sorted(&dir.path().join("a")), ["all_1", "other", "vol_1"]);
    assert_eq!(sorted(&dir.path().join("b")), ["all_1", "man_1", "other"]);
    storage
        .get("man_1", &mut Vec::new())
        .expect("from its home");
    assert_eq!(storage.list().expect("list").len(), 4);
    let error = open(
        &TargetUrl::parse(&list(dir.path(), entries, "")).expect("URL"),
        &quick(),
    );
    assert_eq!(error.err().expect("stripe").kind(), ErrorKind::Usage);
}

#[test]
fn variables_and_options_reach_the_target_they_stand_at() {
    let server = crate::servers::Ftpd::start();
    let dir = TempDir::new().expect("temp dir");
    let url = format!("ftp://ada@127.0.0.1:{}/x", server.port);
    let entries = |password: &str| {
        serde_json::json!([
            {"url": format!("file://{}/a", dir.path().display())},
            {"url": url, "env": [{"name": "FTP_PASSWORD", "value": password}], "options": {"data-connection": "active"}},
        ])
    };
    let query = "?mode=mirror&onfail=abort";
    let storage = opened(&list(dir.path(), entries("p@ss:w"), query), &quick());
    storage.put("one", source(1).path()).expect("put");
    assert_eq!(names(&server.files().join("x")), ["one"]);
    let storage = opened(&list(dir.path(), entries("canary"), query), &quick());
    let error = storage.list().expect_err("wrong password");
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    assert!(!format!("{error:?}").contains("canary"), "{error:?}");
}

#[test]
fn par2_keeps_the_contract() {
    let dir = TempDir::new().expect("temp dir");
    let url = format!("par2+file://{}/made/by%20put", dir.path().display());
    let storage = opened(&url, &quick());
    contract::run(&*storage);
    // par2 takes these for patterns; they are stored all the same.
    let notices = storage.notices();
    let odd = |n: &String| n.starts_with("a?b=c has no") || n.starts_with("star*[x] has no");
    assert!(notices.iter().all(odd), "{notices:?}");
    let left = names(&dir.path().join("made/by put"));
    assert_eq!(left, Vec::<String>::new(), "nothing is left");

    let server = Sshd::start();
    let entries = serde_json::json!([
        {"url": format!("file://{}/a", dir.path().display())}, {"url": server.url("b")},
    ]);
    let url = format!("par2+{}", list(dir.path(), entries, "?mode=mirror"));
    let storage = opened(&url, &ssh(&server));
    storage.put("one", source(100_000).path()).expect("put");
    assert_eq!(
        sorted(&dir.path().join("a")),
        sorted(&server.files().join("b"))
    );
    assert_eq!(sorted(&dir.path().join("a")).len(), 3);
}

/// Recovery files are objects like others, wherever they lie.
#[test]
fn par2_repairs_what_lies_on_other_machines() {
    let server = Sshd::start();
    let url = format!("par2+{}", server.url("x"));
    let mut over_ssh = ssh(&server);
    let moto = S3::moto();
    let mut over_http = s3(&moto);
    for options in [&mut over_ssh, &mut over_http] {
        options
            .settings
            .insert("par2-redundancy".into(), "20".into());
    }
    let file = source(200_000);
    let content = fs::read(file.path()).expect("source");
    for (url, options) in [
        (url.as_str(), &over_ssh),
        ("par2+s3://bucket/x", &over_http),
    ] {
        let storage = opened(url, options);
        storage.put("one", file.path()).expect("put");
        storage.put("two", source(10).path()).expect("put");
        assert_eq!(storage.list().expect("list").len(), 2, "{url}");
        // What lies beneath, without recovery files.
        let mut plain = options.clone();
        plain.settings.remove("par2-redundancy");
        let beneath = opened(url.trim_start_matches("par2+"), &plain);
        assert!(beneath.list().expect("list").len() >= 6, "{url}");
        let harmed = NamedTempFile::new().expect("temp file");
        fs::write(harmed.path(), &content).expect("write");
        damage(harmed.path(), 10_000);
        beneath.put("one", harmed.path()).expect("harm");

        let storage = opened(url, options);
        let mut got = Vec::new();
        storage.get("one", &mut got).expect("repaired");
        assert!(got == content, "{url}");
        let notices = storage.notices();
        assert!(
            notices.iter().any(|n| n.contains("repaired")),
            "{url}: {notices:?}"
        );
        storage.delete("one").expect("delete");
        let left = beneath.list().expect("list");
        assert!(left.iter().all(|o| o.name.starts_with("two")), "{left:?}");
    }
}

/// Turns bits in the middle of a file.
fn damage(path: &Path, bytes: usize) {
    let mut content = fs::read(path).expect("read");
    let start = content.len() / 3;
    content[start..start + bytes]
        .iter_mut()
        .for_each(|b| *b ^= 0x55);
    fs::write(path, content).expect("write");
}

#[test]
fn par2_repairs_what_is_read_and_tells_it() {
    let dir = TempDir::new().expect("temp dir");
    let options = || StorageOptions {
        settings: settings(&[("par2-redundancy", "20"), ("par2-volumes", "2")]),
        ..quick()
    };
    let storage = opened(&format!("par2+file://{}", dir.path().display()), &options());
    let file = source(200_000);
    let content = fs::read(file.path()).expect("source");
    storage.put("one", file.path()).expect("put");
    assert_eq!(names(dir.path()).len(), 4, "{:?}", names(dir.path()));
    assert_eq!(storage.list().expect("list").len(), 1);
    let path = dir.path().join("one");
    let get = || {
        let mut got = Vec::new();
        let outcome = storage.get("one", &mut got);
        outcome.map(|_| got)
    };

    for harm in ["bits", "cut", "grown", "index"] {
        fs::write(&path, &content).expect("whole");
        match harm {
            "bits" => damage(&path, 10_000),
            "cut" => fs::write(&path, &content[..180_000]).expect("cut"),
            "grown" => fs::write(&path, [&content[..], &[1; 9]].concat()).expect("grown"),
            _ => {
                damage(&path, 10_000);
                fs::write(dir.path().join("one.par2"), "rubbish").expect("index");
            }
        }
        let storage = opened(&format!("par2+file://{}", dir.path().display()), &options());
        let mut got = Vec::new();
        storage.get("one", &mut got).expect("repaired");
        assert!(got == content, "{harm}");
        let notices = storage.notices();
        assert!(
            notices.len() == 1 && notices[0].contains("repaired"),
            "{harm}: {notices:?}"
        );
        let size = storage.stat("one").expect("stat").expect("there").size;
        assert_eq!(size, 200_000, "{harm}");
    }

    // Too much damage: what is there comes, for whoever checks it, and it is told.
    fs::write(&path, vec![7; 200_000]).expect("lost");
    assert!(get().expect("as it is") == vec![7; 200_000]);
    let notices = storage.notices();
    assert!(
        notices.iter().any(|n| n.contains("no repair")),
        "{notices:?}"
    );

    // A new content has new recovery files only; a removal takes them all.
    storage.put("one", source(100).path()).expect("replaced");
    damage(&path, 10);
    assert_eq!(get().expect("repaired"), [0x5a; 100]);
    storage.put("two", source(10).path()).expect("put");
    storage.delete("one").expect("delete");
    assert!(names(dir.path()).iter().all(|n| n.starts_with("two")));
    // Without recovery files a file is what it is.
    fs::write(dir.path().join("plain"), "x").expect("file");
    storage.get("plain", &mut Vec::new()).expect("as it is");
}

#[test]
fn without_par2_it_is_said_what_to_install() {
    let dir = TempDir::new().expect("temp dir");
    let mut options = quick();
    options.environment.set("PATH", "/nonexistent");
    let storage = opened(&format!("par2+file://{}", dir.path().display()), &options);
    let error = storage.put("one", source(10).path()).expect_err("no par2");
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(
        error
            .hint()
            .is_some_and(|h| h.contains("apt-get install par2"))
    );
    assert_eq!(names(dir.path()), Vec::<String>::new());
    for (name, value) in [
        ("par2-redundancy", "101"),
        ("par2-volumes", "x"),
        ("region", "x"),
    ] {
        let mut options = quick();
        options.settings.insert(name.into(), value.into());
        let url = TargetUrl::parse("par2+file:///x").expect("URL");
        let error = open(&url, &options).err().expect(name);
        assert_eq!(error.kind(), ErrorKind::Usage, "{name}");
    }
}

/// What both programs are told besides.
struct Cross<'a> {
    bench: &'a Bench,
    url: String,
    environment: Vec<(&'static str, String)>,
    /// For dupr alone: duplicity finds them elsewhere.
    options: Vec<String>,
}

impl Cross<'_> {
    fn call(&self, program: Program, cache: &str, words: &[&str]) -> Option<Called> {
        let mut words = words.to_vec();
        if program == Program::Dupr {
            words.extend(self.options.iter().map(String::as_str));
        }
        let environment: Vec<_> = self
            .environment
            .iter()
            .map(|(k, v)| (*k, v.as_str()))
            .collect();
        let called = self.bench.call(program, cache, &words, "", &environment)?;
        assert_eq!(
            called.code, 0,
            "{program:?} {words:?}\n{}{}",
            called.out, called.err
        );
        Some(called)
    }

    /// One writes a full and an incremental set, the other restores; then the other way round on the same archive.
    fn crosses(&self, name: &str) {
        let (bench, url) = (self.bench, self.url.as_str());
        // What barely shrinks makes several volumes.
        let noise: String = (0..400_000u64)
            .map(|n| char::from(b'a' + ((n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) % 26) as u8))
            .collect();
        bench.write("src/large", &noise.repeat(5));
        for (turn, (writer, reader)) in [
            (Program::Duplicity3, Program::Dupr),
            (Program::Dupr, Program::Duplicity3),
        ]
        .into_iter()
        .enumerate()
        {
            let cache = |program: Program| format!("cache {turn} {}", program.name());
            let written = cache(writer);
            let begun = self.call(
                writer,
                &written,
                &["full", "src", url, "--volsize", "1", "--no-compression"],
            );
            if begun.is_none() {
                return;
            }
            std::thread::sleep(Duration::from_millis(1100));
            bench.write("src/a.txt", &format!("turn {turn}\n"));
            self.call(writer, &written, &["inc", "src", url]);
            std::thread::sleep(Duration::from_millis(1100));
            let back = format!("back {turn}");
            self.call(reader, &cache(reader), &["restore", url, &back]);
            bench.settle("src");
            bench.settle(&back);
            assert_eq!(
                listing(&bench.path(&back)),
                listing(&bench.path("src")),
                "{name} {turn}"
            );
            let status = self.call(reader, &cache(reader), &["collection-status", url]);
            let status = status.expect("there").out;
            assert!(status.contains("Incremental"), "{name} {turn}: {status}");
            assert!(
                !status.contains("orphaned sets found") || status.contains("No orphaned"),
                "{status}"
            );
            // The other adds to what the one began.
            bench.write("src/dir/two", &format!("added {turn}\n"));
            self.call(reader, &cache(reader), &["inc", "src", url]);
            let again = format!("again {turn}");
            self.call(writer, &written, &["restore", url, &again]);
            bench.settle("src");
            bench.settle(&again);
            assert_eq!(
                listing(&bench.path(&again)),
                listing(&bench.path("src")),
                "{name} {turn}"
            );
            std::thread::sleep(Duration::from_millis(1100));
        }
        self.call(
            Program::Dupr,
            "cache 1 dupr",
            &["remove-all-but-n-full", "1", url, "--force"],
        );
        self.call(Program::Dupr, "cache 1 dupr", &["cleanup", url, "--force"]);
        self.call(Program::Dupr, "a third cache", &["verify", url, "src"]);
    }
}

#[test]
fn multi_crosses_with_duplicity() {
    if find("lftp").is_none() {
        return;
    }
    for (mode, query) in [("stripe", ""), ("mirror", "?mode=mirror&onfail=abort")] {
        let server = Sshd::start();
        let bench = Bench::new(&format!("multi-{mode}"));
        // duplicity reaches sftp with lftp, whose ssh is told of the server's keys here.
        let connect = format!(
            "set sftp:connect-program \"ssh -a -x {}\"\n",
            server.ssh_options("userkey")
        );
        fs::write(bench.path(".lftprc"), connect).expect("rc");
        fs::create_dir_all(server.files().join("far")).expect("dir");
        let near = bench.path("near");
        let url = server.url("far").replace("sftp://", "lftp+sftp://");
        let entries =
            serde_json::json!([{"url": format!("file://{}", near.display())}, {"url": url}]);
        let url = list(&bench.path(""), entries, query);
        let cross = Cross {
            bench: &bench,
            url,
            environment: vec![
                ("PASSPHRASE", "secret".into()),
                ("HOME", bench.path("").display().to_string()),
            ],
            options: vec!["--ssh-options".into(), server.ssh_options("userkey")],
        };
        cross.crosses(mode);
        let far = server.files().join("far");
        let (near, far) = (sorted(&near), sorted(&far));
        match mode {
            "mirror" => assert_eq!(near, far),
            _ => {
                assert!(near.len() > 1 && far.len() > 1, "{near:?} {far:?}");
                assert!(
                    near.iter().all(|name| !far.contains(name)),
                    "{near:?} {far:?}"
                );
            }
        }
    }
}

#[test]
fn par2_crosses_with_duplicity_and_damage_is_repaired() {
    let bench = Bench::new("par2");
    let cross = Cross {
        bench: &bench,
        url: format!("par2+{}", bench.url("t")),
        environment: vec![("PASSPHRASE", "secret".into())],
        options: vec!["--par2-redundancy".into(), "15".into()],
    };
    cross.crosses("par2");
    let stored = bench.names("t");
    let plain: Vec<&String> = stored.iter().filter(|n| !n.ends_with(".par2")).collect();
    // An index and at least one recovery file beside each, and none alone.
    for file in &plain {
        let beside = stored.iter().filter(|n| n.starts_with(&format!("{file}.")));
        assert!(beside.count() >= 2, "{file}: {stored:?}");
    }
    let lonely = stored.iter().filter(|n| n.ends_with(".par2"));
    for file in lonely {
        assert!(
            plain.iter().any(|p| file.starts_with(p.as_str())),
            "{file} {plain:?}"
        );
    }
    for file in &plain {
        let path = bench.path("t").join(file);
        let bytes = fs::metadata(&path).expect("there").len();
        damage(&path, (bytes / 20).max(1) as usize);
    }
    // duplicity 3.2.1 takes its own failed check for recovery files that are not there, and repairs nothing.
    let restore = ["restore", &cross.url, "mended"];
    let called = cross
        .call(Program::Dupr, "new", &restore)
        .expect("dupr is there");
    let told = called.out + &called.err;
    assert!(told.contains("repaired with its par2 files"), "{told}");
    bench.settle("src");
    bench.settle("mended");
    assert_eq!(listing(&bench.path("mended")), listing(&bench.path("src")));
    // Without par2+ the damage is seen, not passed on.
    let words = ["restore", &bench.url("t"), "unmended"];
    let env = [("PASSPHRASE", "secret")];
    let code = || {
        let called = bench.call(Program::Dupr, "plain", &words, "", &env);
        called.expect("dupr is there").code
    };
    assert_ne!(code(), 0);
    // By hand, as the manual says.
    for file in &plain {
        let index = bench.path("t").join(format!("{file}.par2"));
        let repaired = Command::new("par2")
            .args(["repair", "-q", "-q"])
            .arg(index)
            .output();
        assert!(
            repaired.expect("par2; run tests/setup").status.success(),
            "{file}"
        );
    }
    assert_eq!(code(), 0);
}

#[test]
fn profiles_have_several_targets_and_recovery_files() {
    let home = Home::new("combined");
    let place = |name: &str| home.path().join(name);
    let entries = serde_json::json!([
        {"url": format!("file://{}", place("a").display())},
        {"url": format!("file://{}", place("b").display())},
    ]);
    let url = list(home.path(), entries, "?mode=mirror");
    let profile = format!(
        "version = 1\nsource = \"{}\"\npassphrase = {{ file = \"{}\" }}\n[target]\nurl = \"{url}\"\npar2-redundancy = 25\n\
         timeout = \"5s\"\nretries = 0\n",
        home.source().display(),
        home.path().join("pass").display()
    );
    home.raw_profile("both", &profile);
    home.expect(0, &["both", "backup"]);
    let stored = sorted(&place("a"));
    assert_eq!(stored, sorted(&place("b")));
    assert!(
        stored.iter().any(|n| n.ends_with(".manifest.gpg.par2")),
        "{stored:?}"
    );

    // A damaged volume in both copies is repaired, one in one copy read from the other, one copy may be gone.
    let volume = stored.iter().find(|n| n.ends_with(".vol1.difftar.gpg"));
    let volume = volume.expect("a volume");
    for copy in ["a", "b"] {
        damage(&place(copy).join(volume), 20);
    }
    let told = home.expect(0, &["both", "restore", "back"]);
    let text = told.stdout + &told.stderr;
    assert!(text.contains("repaired with its par2 files"), "{text}");
    let file = fs::read_to_string(place("back/sub/three")).expect("restored");
    assert_eq!(file, "third\n");
    break_folder(&place("b"));
    home.write("one", "changed\n");
    let told = home.expect(0, &["both", "backup"]);
    let text = told.stdout + &told.stderr;
    assert!(text.contains("out of reach"), "{text}");
    home.expect(0, &["both", "verify"]);
    mend_folder(&place("b"));
    let told = home.expect(0, &["both", "status"]);
    drop(told);
    home.expect(0, &["target", "ls", "both"]);
    home.expect(0, &["doctor"]);
}

#[test]
fn a_list_that_cannot_be_read_is_told_with_its_name() {
    let dir = TempDir::new().expect("temp dir");
    let absent = dir.path().join("absent.json");
    let url = format!("multi://{}", absent.display());
    let error = open(&TargetUrl::parse(&url).expect("URL"), &quick());
    let error = error.err().expect("absent");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("absent.json"), "{error}");
    let list = dir.path().join("list.json");
    fs::write(&list, "[{\"url\": \"ftp://u:canary@h/x\", \"env\": 3}]").expect("list");
    fs::set_permissions(&list, fs::Permissions::from_mode(0o600)).expect("mode");
    let url = format!("multi://{}", list.display());
    let error = open(&TargetUrl::parse(&url).expect("URL"), &quick());
    let error = error.err().expect("wrong");
    assert!(!format!("{error:?}").contains("canary"), "{error:?}");
}
