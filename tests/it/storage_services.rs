//! WebDAV, rsync and rclone against real servers: the contract, and what is special about each.

use crate::door::{Bench, listing};
use crate::servers::{Dav, Rclone, Rsyncd, Sshd};
use crate::storage_contract::{names, opened, settings, source};
use crate::support::home::{Home, called};
use crate::support::programs::{self, Program};
use dupr::engine::ErrorKind;
use dupr::engine::secret::Secret;
use dupr::engine::storage::{Storage, StorageOptions, TargetUrl, open};
use dupr::testing::contract;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
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

/// A folder of the daemon's module.
fn at_daemon(server: &Rsyncd, dir: &str) -> Box<dyn Storage> {
    let url = format!("rsync://ada@127.0.0.1:{}::store/{dir}", server.port);
    let options = StorageOptions {
        password: Some(Secret::new("pw")),
        ..quick()
    };
    opened(&url, &options)
}

#[test]
fn rsync_keeps_the_contract_at_a_daemon() {
    let server = Rsyncd::start();
    let storage = at_daemon(&server, "made/by%20put");
    contract::run(&*storage);
    contract::long_listing(&*storage, 60);
    let left = names(&server.files().join("made/by put"));
    assert_eq!(left, Vec::<String>::new(), "no temp file is left");
}

/// Between rsync's look at a directory and its look at a file the file may be gone: those of other uploads are.
#[test]
fn rsync_lists_and_gets_while_files_vanish() {
    let server = Rsyncd::start();
    let storage = at_daemon(&server, "busy");
    storage.put("known", source(10).path()).expect("put");
    let dir = server.files().join("busy");
    let others: Vec<PathBuf> = (0..300).map(|n| dir.join(format!(".{n}.tmp"))).collect();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::SeqCst) {
                others
                    .iter()
                    .for_each(|path| fs::write(path, "x").expect("write"));
                others
                    .iter()
                    .for_each(|path| fs::remove_file(path).expect("remove"));
            }
        });
        let all = (0..30).map(|_| {
            let listed = storage.list()?;
            let is_there = listed.iter().any(|object| object.name == "known");
            storage.get("known", &mut Vec::new())?;
            Ok(is_there)
        });
        let all: dupr::engine::Result<Vec<bool>> = all.collect();
        is_over.store(true, Ordering::SeqCst);
        assert_eq!(all.expect("busy"), vec![true; 30]);
    });
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

/// The way to a host is the URL's, whatever the variable says; the same at the server of a line that is connected otherwise.
#[test]
fn no_variable_turns_rsync_elsewhere() {
    let dir = TempDir::new().expect("temp dir");
    let called = dir.path().join("called");
    let trap = dir.path().join("trap");
    fs::write(&trap, format!("#!/bin/sh\ntouch {:?}\nexit 1\n", called)).expect("script");
    fs::set_permissions(&trap, fs::Permissions::from_mode(0o755)).expect("mode");
    let trap = trap.display().to_string();
    let server = Sshd::start();
    let files = server.files();
    let url = format!("rsync://127.0.0.1:{}/{}/x", server.port(), files.display());
    let mut options = variables(&[("RSYNC_RSH", &trap)]);
    options.settings = settings(&[("ssh-options", &server.ssh_options("userkey"))]);
    let storage = opened(&url, &options);
    storage.put("a", source(10).path()).expect("put");
    assert_eq!(names(&files.join("x")), ["a"]);

    let server = Rsyncd::start();
    let url = format!("rsync://ada@127.0.0.1:{}::store/x", server.port);
    let options = variables(&[("RSYNC_RSH", &trap), ("RSYNC_PASSWORD", "pw")]);
    let storage = opened(&url, &options);
    storage.put("a", source(10).path()).expect("put");
    assert_eq!(storage.list().expect("list").len(), 1);
    assert!(!called.exists(), "RSYNC_RSH was followed");
}

/// Whatever is told of a target, its password is not: by those that reach it, and by those that do not.
#[test]
fn a_password_in_a_url_is_seen_nowhere() {
    let server = Dav::start();
    let home = Home::new("masked");
    let show = "env; cat $DUPR_OUTCOME";
    let url = |port: u16| format!("webdav://ada:p%40ss%3Aw@127.0.0.1:{port}/x");
    let mut seen = String::new();
    let mut hear = |words: &[&str]| {
        let done = called(home.command(words).output().expect("dupr"));
        seen += &format!("{words:?}\n{}{}", done.stdout, done.stderr);
        done.code
    };
    for (profile, port, code) in [("home", server.port, 0), ("dead", 1, 13)] {
        let text = format!(
            "version = 1\nallow-inline-secrets = true\nsource = {:?}\npassphrase = {{ file = {:?} }}\n[target]\nurl = {:?}\nretries = 1\n\
             [[hook]]\non = \"finally\"\nexec = [\"sh\", \"-c\", {show:?}]\n",
            home.source(),
            home.path().join("pass"),
            url(port),
        );
        home.raw_profile(profile, &text);
        let log = format!("log-{profile}");
        let words = [profile, "backup", "-vv", "--log-file", log.as_str()];
        assert_eq!(hear(&words), code, "{profile}");
        for words in [
            &[profile, "backup", "--json"][..],
            &[profile, "backup", "--plan", "-v"],
            &[profile, "status"],
            &[profile, "status", "--remote", "--json"],
            &[profile, "verify", "-vv"],
            &["show", profile],
            &["show", profile, "--json"],
            &["doctor", profile],
            &["doctor", profile, "--json"],
            &["history", profile, "--report", "1"],
            &["log", profile],
            &["target", "test", profile],
            &["target", "ls", profile, "--json"],
        ] {
            hear(words);
        }
    }
    // In its words it is an argument; what it says of that is another matter.
    for port in [server.port, 1] {
        let (source, url) = (home.source().display().to_string(), url(port));
        let line = ["duplicity", "full", "-v9", "--no-encryption"];
        let line = [&line[..], &["--num-retries", "1", &source, &url]].concat();
        let done = called(home.command(&line).output().expect("dupr"));
        seen += &format!("{}{}", done.stdout, done.stderr);
    }
    for profile in ["home", "dead"] {
        let log = home.path().join(format!("log-{profile}"));
        seen += &fs::read_to_string(log).expect("log");
        seen += &serde_json::to_string(&home.history(profile)).expect("history");
    }
    assert!(seen.contains("ada:*****@127.0.0.1"), "{seen}");
    assert!(!seen.contains("p@ss") && !seen.contains("p%40ss"), "{seen}");
}

/// As a guide prints it, which cannot work: what stands behind `-x` is the proxy.
#[test]
fn a_proxy_that_is_the_server_itself_is_told() {
    let server = Rsyncd::start();
    let url = format!("rsync://ada@127.0.0.1:{}::store/x", server.port);
    for (program, is_told) in [
        ("false -x %H 873", true),
        ("false -x 127.0.0.1:9 %H 873", false),
    ] {
        let options = variables(&[("RSYNC_CONNECT_PROG", program), ("RSYNC_PASSWORD", "pw")]);
        let error = opened(&url, &options).list().expect_err(program);
        assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
        let hint = error.hint().unwrap_or_default();
        assert_eq!(
            hint.contains("nc -X 5 -x 127.0.0.1:9050 %H 873"),
            is_told,
            "{error}: {hint}"
        );
    }
}

#[test]
fn programs_that_are_missing_are_named_with_their_package() {
    let dir = TempDir::new().expect("temp dir");
    let rsync = programs::find("rsync").expect("rsync; run tests/setup");
    symlink(rsync, dir.path().join("rsync")).expect("link");
    let only_rsync = dir.path().display().to_string();
    let mut options = variables(&[("PATH", &only_rsync)]);
    let beside = format!("par2+file://{}", dir.path().join("store").display());
    // The first is there, but for the program that it starts itself.
    for (url, hint) in [
        ("rsync://127.0.0.1/x", "apt-get install openssh-client"),
        ("sftp://127.0.0.1/x", "apt-get install openssh-client"),
        ("rclone://remote:x", "apt-get install rclone"),
        (&beside, "apt-get install par2"),
        ("mega://ada@mega.nz/x", "apt-get install megatools"),
        ("megav2://ada@mega.nz/x", "https://mega.io/cmd"),
        ("tahoe://alias/x", "pipx install tahoe-lafs"),
        ("gio+smb://ada@h/share", "apt-get install libglib2.0-bin"),
        ("hsi://h/x", "into PATH"),
    ] {
        let mut options = options.clone();
        if ["mega:", "gio+"].iter().any(|kind| url.starts_with(kind)) {
            options.password = Some(Secret::new("pw"));
        }
        told(url, &options, hint);
    }
    options.environment.set("PATH", "/nonexistent");
    told("rsync://127.0.0.1/x", &options, "apt-get install rsync");
    told("rsync://127.0.0.1::m/x", &options, "apt-get install rsync");
}

/// An upload fails for want of a program, and this is the way out.
fn told(url: &str, options: &StorageOptions, way: &str) {
    let error = opened(url, options).put("a", source(10).path());
    let error = error.expect_err(url);
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{url}: {error}");
    let hint = error.hint().unwrap_or_default();
    assert!(hint.contains(way), "{url}: {error}: {hint}");
}

#[test]
fn rclone_keeps_the_contract() {
    let rclone = Rclone::configured();
    let config = rclone.config().display().to_string();
    let options = variables(&[("RCLONE_CONFIG", &config)]);
    let plain = rclone.files().join("made/by put");
    let url = format!("rclone://disk:/{}/made/by%20put", rclone.files().display());
    contract::run(&*opened(&url, &options));
    assert_eq!(names(&plain), Vec::<String>::new(), "no temp file is left");
    contract::run(&*opened("rclone://veiled:/deep/er", &options));
}

/// One slash behind the colon is nothing, two are the root: to duplicity as well.
#[test]
fn rclone_archives_lie_where_duplicity_looks() {
    let rclone = Rclone::configured();
    let config = rclone.config().display().to_string();
    let env = [("RCLONE_CONFIG", config.as_str())];
    let both = [Program::Dupr, Program::Duplicity3];
    for (from, to) in [(both[0], both[1]), (both[1], both[0])] {
        let bench = Bench::new("rclone");
        let root = format!("rclone://disk:/{}", bench.path("root").display());
        for (url, place) in [("rclone://disk:/there", "there"), (&root, "root")] {
            let back = format!("back-{place}");
            for (program, words) in [(from, ["full", "src", url]), (to, ["restore", url, &back])] {
                let words = [&words[..], &["--no-encryption"]].concat();
                let cache = format!("cache-{place}-{}", program.name());
                let Some(called) = bench.call(program, &cache, &words, "", &env) else {
                    return;
                };
                assert_eq!(called.code, 0, "{words:?}: {}{}", called.out, called.err);
            }
            assert_eq!(listing(&bench.path(&back)), listing(&bench.path("src")));
            assert_eq!(bench.names(place).len(), 3, "{url}");
        }
    }
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
    let error = opened("rclone://disk://x", &options).list();
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
