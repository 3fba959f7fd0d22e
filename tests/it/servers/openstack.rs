//! OpenStack's object storage itself, as Debian packages it: `tests/support/swift_server.py` starts its servers.

use super::{Process, serve};
use crate::support::programs::find;
use rustix::fs::{XattrFlags, setxattr};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// Logs in; `at` is the account, `head` the token.
const LOGIN: &str = r#"
import sys, json, urllib.parse, urllib.request as web
answer = web.urlopen(web.Request(sys.argv[1], headers={"X-Auth-User": "backups:ada", "X-Auth-Key": "p@ss:w"})).headers
at, head = answer["X-Storage-Url"] + "/", {"X-Auth-Token": answer["X-Auth-Token"]}
"#;

/// Prints names, page by page.
const NAMES: &str = r#"
marker = ""
while True:
    query = "?format=json&marker=" + urllib.parse.quote(marker, safe="")
    rows = json.load(web.urlopen(web.Request(at + sys.argv[2] + query, headers=head)))
    if not rows: break
    for row in rows: print(row["name"])
    marker = rows[-1]["name"]
"#;

/// As older versions of swiftclient do it, which is duplicity's library.
const MANIFEST: &str = r#"
head["X-Object-Manifest"] = sys.argv[3]
web.urlopen(web.Request(at + sys.argv[2], data=b"", headers=head, method="PUT"))
"#;

/// Its four servers, with memcached, where tokens are kept. Objects are no longer than 8 MiB, a page of a listing has 10 rows.
pub struct Swift {
    _process: Process,
    _memcached: Process,
    cache: u16,
    dir: TempDir,
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
}

impl Swift {
    /// Starts it. `None`, said aloud, if it could not be installed.
    pub fn start() -> Option<Self> {
        find("swift-server")?;
        let memcached = find("memcached")?;
        let dir = place();
        let path = |name: &str| dir.path().join(name);
        let (memcached, cache) = serve(&path("log of memcached"), "run tests/setup", |port| {
            let mut command = Command::new(&memcached);
            command.args(["-l", "127.0.0.1", "-u", "nobody", "-p"]);
            command.arg(port.to_string());
            command
        });
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/swift_server.py");
        let (process, port) = serve(&path("log"), "run tests/setup", |port| {
            let mut command = Command::new("/usr/bin/python3");
            command.arg(&script);
            command.args([port, cache].map(|port| port.to_string()));
            command.arg(dir.path());
            command
        });
        Some(Self {
            _process: process,
            _memcached: memcached,
            cache,
            dir,
            port,
        })
    }

    /// Variables for its login.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("SWIFT_USERNAME", "backups:ada".into()),
            ("SWIFT_PASSWORD", "p@ss:w".into()),
            ("SWIFT_AUTHURL", self.at("/auth/v1.0")),
        ]
    }

    /// What a part of duplicity's library for it asks for besides.
    pub fn variables_of_its_client(&self) -> Vec<(&'static str, String)> {
        vec![
            ("ST_USER", "backups:ada".into()),
            ("ST_KEY", "p@ss:w".into()),
            ("ST_AUTH", self.at("/auth/v1.0")),
        ]
    }

    /// An address of it.
    pub fn at(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// How many requests it answered whose line in its log has these words: method, path, version of HTTP and status.
    pub fn answered(&self, words: &str) -> usize {
        let log = fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
        log.lines().filter(|line| line.contains(words)).count()
    }

    /// From now on no token holds that it gave.
    pub fn log_out(&self) {
        let mut cache = TcpStream::connect(("127.0.0.1", self.cache)).expect("memcached");
        cache.write_all(b"flush_all\r\n").expect("memcached");
        let mut answer = [0; 4];
        cache.read_exact(&mut answer).expect("memcached");
        assert_eq!(&answer, b"OK\r\n");
    }

    /// Names of all objects of a container, which must be there.
    pub fn names(&self, container: &str) -> Vec<String> {
        let said = self.python(NAMES, &[container]);
        said.lines().map(str::to_string).collect()
    }

    /// Makes an object of all objects that begin with a prefix, which is a container and the start of a name.
    pub fn make_of_prefix(&self, object: &str, prefix: &str) {
        self.python(MANIFEST, &[object, prefix]);
    }

    fn python(&self, script: &str, words: &[&str]) -> String {
        let done = Command::new("/usr/bin/python3")
            .args(["-c", &format!("{LOGIN}{script}"), &self.at("/auth/v1.0")])
            .args(words)
            .output()
            .expect("python3; run tests/setup");
        assert!(done.status.success(), "{done:?}");
        String::from_utf8_lossy(&done.stdout).into_owned()
    }

    /// Where objects of the storage policy `silver` lie.
    pub fn silver(&self) -> PathBuf {
        self.dir.path().join("devices/d/objects-1")
    }
}

/// A folder on a file system where files have attributes; that of temporary files may be none.
fn place() -> TempDir {
    let dir = TempDir::new().expect("temp dir");
    match setxattr(dir.path(), "user.dupr", b"x", XattrFlags::empty()) {
        Ok(()) => dir,
        Err(_) => TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("temp dir"),
    }
}
