//! What must hold when things go wrong between dupr and a target.

use crate::proxy::{Harm, Proxy, Silence};
use crate::servers::{Ftpd, S3, Sshd};
use crate::storage_contract::{names, opened, s3, settings, source, ssh};
use dupr::engine::ErrorKind;
use dupr::engine::storage::{Storage, StorageOptions};
use std::fs;
use std::num::NonZeroU64;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::{NamedTempFile, TempDir};

const MIB: usize = 1 << 20;

/// Nothing is tried twice.
fn once(options: StorageOptions) -> StorageOptions {
    StorageOptions {
        attempts: 1,
        ..options
    }
}

/// For a peer that does not answer, on a machine that may be slow to connect.
pub fn impatient(options: StorageOptions) -> StorageOptions {
    StorageOptions {
        timeout: Duration::from_secs(4),
        ..once(options)
    }
}

/// Ends in `Unreachable`, neither at once nor never.
pub fn must_time_out<T: std::fmt::Debug>(
    what: &str,
    call: impl FnOnce() -> dupr::engine::Result<T>,
) {
    let start = Instant::now();
    let error = call().expect_err(what);
    assert_eq!(error.kind(), ErrorKind::Unreachable, "{what}: {error}");
    assert!(start.elapsed() > Duration::from_secs(1), "{what}: {error}");
    assert!(
        start.elapsed() < Duration::from_secs(60),
        "{what} took {:?}",
        start.elapsed()
    );
}

#[test]
fn a_silent_peer_is_unreachable_after_the_timeout() {
    let silence = Silence::start();
    let sftp = opened(
        &format!("sftp://127.0.0.1:{}/x", silence.port),
        &impatient(StorageOptions {
            settings: settings(&[("ssh-options", "-F none")]),
            ..StorageOptions::default()
        }),
    );
    must_time_out("sftp list", || sftp.list());
    let ftp = opened(
        &format!("ftp://127.0.0.1:{}/x", silence.port),
        &impatient(StorageOptions::default()),
    );
    must_time_out("ftp list", || ftp.list());
    must_time_out("ftp put", || ftp.put("a", source(10).path()));
    let s3 = opened(
        "s3://bucket/x",
        &impatient(StorageOptions {
            settings: settings(&[
                ("endpoint", &format!("http://127.0.0.1:{}", silence.port)),
                ("credentials", "anonymous"),
            ]),
            ..StorageOptions::default()
        }),
    );
    must_time_out("s3 list", || s3.list());
    must_time_out("s3 stat", || s3.stat("a"));
    must_time_out("s3 get", || s3.get("a", &mut Vec::new()));
    must_time_out("s3 put", || s3.put("a", source(10).path()));
}

#[test]
fn a_line_that_goes_dead_in_the_middle_is_unreachable() {
    let server = Sshd::start();
    let proxy = Proxy::to(server.port());
    let storage = opened(&server.url_at(proxy.port, "x"), &impatient(ssh(&server)));
    storage
        .put("small", source(10).path())
        .expect("a good line");
    storage
        .put("large", source(20 * MIB).path())
        .expect("a good line");
    drop(storage);
    for (what, bytes) in [("get", 300_000u64), ("put", 2_000_000)] {
        let storage = opened(&server.url_at(proxy.port, "x"), &impatient(ssh(&server)));
        proxy.harm([Harm::Stall(bytes)]);
        must_time_out(what, || match what {
            "get" => storage.get("large", &mut Vec::new()).map(|_| ()),
            _ => storage.put("new", source(20 * MIB).path()),
        });
        // The next call makes a new connection.
        assert_eq!(storage.stat("new").expect("a good line"), None, "{what}");
        assert_eq!(
            storage.stat("small").expect("a good line").map(|o| o.size),
            Some(10)
        );
    }
}

/// Puts and gets through a proxy that cuts connections at many places; content must be whole in the end.
pub fn survives_cuts(storage: &dyn Storage, proxy: &Proxy, places: &[u64]) {
    let content: Vec<u8> = (0..9 * MIB as u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let file = NamedTempFile::new().expect("temp file");
    fs::write(file.path(), &content).expect("source");
    for place in places {
        let name = format!("cut-{place}");
        proxy.harm([Harm::Cut(*place), Harm::Cut(place / 2)]);
        storage
            .put(&name, file.path())
            .unwrap_or_else(|e| panic!("put, cut at {place}: {e}"));
        proxy.harm([Harm::Cut(*place)]);
        let mut got = Vec::new();
        storage
            .get(&name, &mut got)
            .unwrap_or_else(|e| panic!("get, cut at {place}: {e}"));
        assert!(got == content, "cut at {place}: content differs");
    }
    let mut listed: Vec<String> = storage
        .list()
        .expect("list")
        .into_iter()
        .map(|o| o.name)
        .collect();
    listed.sort();
    let mut expected: Vec<String> = places.iter().map(|place| format!("cut-{place}")).collect();
    expected.sort();
    assert_eq!(listed, expected);
}

pub const PLACES: &[u64] = &[
    1, 700, 3_000, 6_000, 70_000, 1_000_000, 5_000_000, 9_400_000, 9_440_000,
];

#[test]
fn sftp_survives_cut_connections() {
    let server = Sshd::start();
    let proxy = Proxy::to(server.port());
    let options = StorageOptions {
        attempts: 6,
        ..ssh(&server)
    };
    // A connection that is open when harm is planned is not harmed: one target per place.
    for place in PLACES {
        let dir = format!("x{place}");
        survives_cuts(
            &*opened(&server.url_at(proxy.port, &dir), &options),
            &proxy,
            &[*place],
        );
    }
    assert!(proxy.passed() > 0);
}

#[test]
fn s3_survives_cut_connections() {
    let server = S3::moto();
    let proxy = Proxy::to(server.port);
    let mut options = StorageOptions {
        attempts: 8,
        ..s3(&server)
    };
    options.settings.insert(
        "endpoint".into(),
        format!("http://127.0.0.1:{}", proxy.port),
    );
    survives_cuts(&*opened("s3://bucket/x", &options), &proxy, PLACES);
    assert_eq!(proxy.left(), 0, "connections were harmed as planned");
}

#[test]
fn host_keys_are_never_trusted_by_themselves() {
    let server = Sshd::start();
    let refused = |change: (&str, &str), password: bool| {
        let mut options = once(ssh(&server));
        let words = server.ssh_options("userkey").replace(change.0, change.1);
        options.settings = settings(&[("ssh-options", &words)]);
        options.askpass = Some(env!("CARGO_BIN_EXE_dupr").into());
        // With a password dupr answers prompts: this one must get a no.
        options.password = password.then(|| dupr::engine::Secret::new("yes"));
        let error = opened(&server.url("x"), &options)
            .list()
            .expect_err("unknown host key");
        assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
        assert!(
            error.hint().is_some_and(|hint| hint.contains("host key")),
            "{error}"
        );
        error.to_string()
    };
    let unknown = ("HostKeyAlias=dupr-test", "HostKeyAlias=stranger");
    for password in [false, true] {
        let error = refused(unknown, password);
        assert!(error.contains("Host key verification failed"), "{error}");
    }
    let other = fs::read_to_string(server.path("strangerkey.pub")).expect("key");
    fs::write(server.path("changed"), format!("dupr-test {other}")).expect("known hosts");
    let error = refused(("/known_hosts", "/changed"), false);
    assert!(error.contains("IDENTIFICATION HAS CHANGED"), "{error}");
    let known = fs::read_to_string(server.path("known_hosts")).expect("known hosts");
    assert_eq!(known.lines().count(), 1, "nothing was added");
}

#[test]
fn a_refused_login_tells_why() {
    let server = Sshd::start();
    let mut options = once(ssh(&server));
    options.settings = settings(&[("ssh-options", &server.ssh_options("strangerkey"))]);
    let error = opened(&server.url("x"), &options)
        .list()
        .expect_err("wrong key");
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    assert!(error.to_string().contains("Permission denied"), "{error}");

    let server = Sshd::with("ForceCommand echo no commands here");
    let error = opened(&server.url("x"), &once(ssh(&server)))
        .list()
        .expect_err("neither sftp nor commands");
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");

    options.settings = settings(&[("ssh-command", "/no/such/ssh")]);
    let error = opened(&server.url("x"), &options)
        .list()
        .expect_err("no program");
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
}

/// Whether any process of this machine has the bytes in its arguments.
fn in_some_argv(canary: &[u8]) -> bool {
    let entries = fs::read_dir("/proc").expect("/proc");
    entries.flatten().any(|entry| {
        let number = entry.file_name().as_bytes().iter().all(u8::is_ascii_digit);
        number
            && fs::read(entry.path().join("cmdline"))
                .is_ok_and(|argv| argv.windows(canary.len()).any(|window| window == canary))
    })
}

#[test]
fn a_password_reaches_ssh_but_no_argv() {
    let server = Sshd::start();
    // Blanks, quotes and a dollar: whatever would go through a shell would break.
    let secret = "canary-7f3a \"$(id)' %";
    server.add_key("lockedkey", secret);
    let mut options = ssh(&server);
    options.settings = settings(&[("ssh-options", &server.ssh_options("lockedkey"))]);
    options.askpass = Some(env!("CARGO_BIN_EXE_dupr").into());
    let user = Command::new("id").arg("-un").output().expect("id").stdout;
    let user = String::from_utf8(user).expect("user name");
    let login = format!("sftp://{}:canary-7f3a%20%22$(id)'%20%25@", user.trim());
    let url = server.url("x").replacen("sftp://", &login, 1);

    let done = AtomicBool::new(false);
    let (seen, samples) = thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let (mut seen, mut samples) = (false, 0);
            while !done.load(Ordering::SeqCst) {
                seen |= in_some_argv(b"canary-7f3a");
                samples += 1;
            }
            (seen, samples)
        });
        let storage = opened(&url, &options);
        assert!(!storage.location().to_string().contains("canary"));
        storage
            .put("a", source(1000).path())
            .expect("the password opens the key");
        assert!(
            in_some_argv(b"HostKeyAlias=dupr-test"),
            "ssh is running and its argv can be seen"
        );
        done.store(true, Ordering::SeqCst);
        watcher.join().expect("watcher")
    });
    assert!(!seen, "the password was in an argv");
    assert!(samples > 10, "only {samples} samples");

    options.password = Some(dupr::engine::Secret::new("canary-wrong"));
    let error = opened(&server.url("x"), &once(options))
        .list()
        .expect_err("wrong passphrase");
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    assert!(!format!("{error:?}").contains("canary"), "{error}");
}

#[test]
fn sftp_files_are_for_the_owner_alone() {
    let server = Sshd::with("Subsystem sftp internal-sftp -u 000");
    opened(&server.url("a/b"), &ssh(&server))
        .put("x", source(10).path())
        .expect("put");
    for (path, mode) in [("a", 0o700), ("a/b", 0o700), ("a/b/x", 0o600)] {
        let meta = fs::metadata(server.files().join(path)).expect("made");
        assert_eq!(meta.permissions().mode() & 0o777, mode, "{path}");
    }
}

#[test]
fn sftp_listing_survives_foreign_files() {
    let server = Sshd::start();
    let dir = server.files().join("x");
    fs::create_dir_all(dir.join("sub")).expect("dir");
    fs::write(dir.join(std::ffi::OsStr::from_bytes(b"latin-\xe9")), b"1").expect("file");
    fs::write(dir.join("new\nline"), b"12").expect("file");
    std::os::unix::fs::symlink("new\nline", dir.join("link")).expect("link");
    std::os::unix::fs::symlink("nowhere", dir.join("dangling")).expect("link");
    let mut listed = opened(&server.url("x"), &once(ssh(&server)))
        .list()
        .expect("list");
    listed.sort();
    let listed: Vec<(&str, u64)> = listed.iter().map(|o| (o.name.as_str(), o.size)).collect();
    assert_eq!(listed, [("link", 2), ("new\nline", 2)]);
}

/// The server hangs up in the middle of the upload; why stands in its last words.
#[test]
fn a_full_disk_of_an_ftp_server_is_told_and_keeps_what_it_has() {
    for secure in [false, true] {
        let (server, scheme) = match secure {
            false => (Ftpd::start(), "ftp"),
            true => (Ftpd::explicit(), "ftpes"),
        };
        let dir = server.files().join("x");
        fs::create_dir(&dir).expect("dir");
        let Some(_mount) = Mount::small(&dir) else {
            return;
        };
        let url = format!("{scheme}://ada:p%40ss%3Aw@127.0.0.1:{}/x", server.port);
        let mut options = once(StorageOptions::default());
        if secure {
            let certificate = server.certificate().display().to_string();
            options.settings = settings(&[("ca-file", &certificate)]);
        }
        let storage = opened(&url, &options);
        storage.put("kept", source(MIB).path()).expect("fits");
        for name in ["new", "kept"] {
            let error = storage.put(name, source(20 * MIB).path());
            let error = error.expect_err("does not fit");
            // proftpd tells the reason it met last: the disk's, or that its own writing was cut short by it.
            let cut_short = error.to_string().contains("the server says: 451")
                && error.hint().is_some_and(|h| h.contains("free space"));
            assert!(
                error.kind() == ErrorKind::Full || cut_short,
                "{scheme}: {error}"
            );
        }
        assert_eq!(names(&dir), ["kept"]);
        let mut got = Vec::new();
        storage.get("kept", &mut got).expect("still there");
        assert!(got == vec![0x5a; MIB]);
    }
}

/// Needs root to mount; ordinary users prove the mapping of the error alone, in the unit tests.
#[test]
fn a_full_disk_is_full_and_keeps_what_it_has() {
    let server = Sshd::start();
    let dir = server.files().join("x");
    fs::create_dir(&dir).expect("dir");
    let Some(_mount) = Mount::small(&dir) else {
        return;
    };
    for storage in [
        opened(
            &format!("file://{}", dir.display()),
            &StorageOptions::default(),
        ),
        opened(&server.url("x"), &once(ssh(&server))),
    ] {
        storage.put("kept", source(MIB).path()).expect("fits");
        for name in ["new", "kept"] {
            let error = storage
                .put(name, source(20 * MIB).path())
                .expect_err("does not fit");
            assert_eq!(
                error.kind(),
                ErrorKind::Full,
                "{}: {error}",
                storage.location()
            );
        }
        assert_eq!(names(&dir), ["kept"]);
        let mut got = Vec::new();
        storage.get("kept", &mut got).expect("still there");
        assert!(got == vec![0x5a; MIB]);
    }
}

struct Mount(std::path::PathBuf);

impl Mount {
    /// Six mebibytes, mounted there; none if that is not allowed.
    fn small(dir: &Path) -> Option<Self> {
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=6m", "tmpfs"])
            .arg(dir)
            .stderr(Stdio::null())
            .status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self(dir.to_path_buf()));
        }
        eprintln!("SKIPPED: only root can mount a small file system");
        None
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn rates_are_kept() {
    let dir = TempDir::new().expect("temp dir");
    let rate = NonZeroU64::new(2 * MIB as u64);
    let options = StorageOptions {
        upload_rate: rate,
        download_rate: rate,
        ..StorageOptions::default()
    };
    let storage = opened(&format!("file://{}/x", dir.path().display()), &options);
    let start = Instant::now();
    storage.put("a", source(4 * MIB).path()).expect("put");
    let put = start.elapsed();
    storage.get("a", &mut std::io::sink()).expect("get");
    let get = start.elapsed() - put;
    for (what, took) in [("put", put), ("get", get)] {
        // The first piece goes at once.
        assert!(took > Duration::from_millis(1400), "{what} took {took:?}");
        assert!(took < Duration::from_secs(6), "{what} took {took:?}");
    }
}

/// Not a test: the process that [`a_killed_upload_leaves_no_object`] kills.
#[test]
#[ignore = "started by another test"]
fn child_that_uploads_until_killed() {
    let Ok(url) = std::env::var("DUPR_TEST_UPLOAD_TO") else {
        return;
    };
    let words = std::env::var("DUPR_TEST_SSH_OPTIONS").unwrap_or_default();
    let mut options = StorageOptions {
        upload_rate: NonZeroU64::new(MIB as u64),
        ..StorageOptions::default()
    };
    if !words.is_empty() {
        options.settings = settings(&[("ssh-options", &words)]);
    }
    opened(&url, &options)
        .put("victim", source(60 * MIB).path())
        .expect("killed before");
}

fn start_upload(url: &str, ssh_options: &str) -> Child {
    Command::new(std::env::current_exe().expect("this program"))
        .args([
            "--exact",
            "--ignored",
            "storage_troubles::child_that_uploads_until_killed",
        ])
        .env("DUPR_TEST_UPLOAD_TO", url)
        .env("DUPR_TEST_SSH_OPTIONS", ssh_options)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a second copy of this program")
}

fn bytes_in(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.metadata().ok())
        .map(|meta| meta.len())
        .sum()
}

#[test]
fn a_killed_upload_leaves_no_object() {
    let local = TempDir::new().expect("temp dir");
    let server = Sshd::start();
    let options = server.ssh_options("userkey");
    for (url, dir, ssh_options) in [
        (
            format!("file://{}/x", local.path().display()),
            local.path().join("x"),
            "",
        ),
        (server.url("x"), server.files().join("x"), options.as_str()),
    ] {
        let storage = opened(&url, &ssh(&server).into_local(ssh_options.is_empty()));
        storage.put("kept", source(1000).path()).expect("put");
        for least in [1, MIB as u64 / 2, 2 * MIB as u64] {
            let start = Instant::now();
            let before = bytes_in(&dir);
            let mut child = start_upload(&url, ssh_options);
            while bytes_in(&dir) < before + least {
                assert!(
                    start.elapsed() < Duration::from_secs(60),
                    "the upload does not start"
                );
                thread::sleep(Duration::from_millis(5));
            }
            child.kill().expect("SIGKILL");
            child.wait().expect("child");
            // The server's side of a cut connection needs a moment.
            thread::sleep(Duration::from_millis(300));
            let listed = storage.list().expect("list");
            assert_eq!(
                listed.len(),
                1,
                "only the whole object is listed: {listed:?}"
            );
            assert_eq!(storage.stat("victim").expect("stat"), None);
            assert!(!dir.join("victim").exists());
        }
        let leftovers = names(&dir).into_iter().filter(|name| name != "kept");
        assert!(
            leftovers
                .clone()
                .all(|name| name.starts_with(".dupr-") && name.ends_with(".tmp")),
            "{:?}",
            leftovers.collect::<Vec<_>>()
        );
    }
}

trait IntoLocal {
    fn into_local(self, local: bool) -> Self;
}

impl IntoLocal for StorageOptions {
    /// A directory has no options.
    fn into_local(self, local: bool) -> Self {
        if local {
            StorageOptions {
                settings: settings(&[]),
                ..self
            }
        } else {
            self
        }
    }
}
