//! OpenStack's object storage itself, as Debian packages it (`tests/support/swift_server.py` starts its servers), and Keystone,
//! which gives out its logins (`tests/support/keystone_server.py`).

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

/// Tells Keystone where the storage is: in the region `One`. The address of the region `Two`, and the one that is not public, lead
/// nowhere.
const ENDPOINTS: &str = r#"
import sys, json, urllib.request as web
at, storage, _, _, service, token = sys.argv[1:]
for region, interface, address in ("Two", "public", "http://127.0.0.1:1"), ("One", "internal", "http://127.0.0.1:1"), ("One", "public", storage):
    what = {"service_id": service, "region_id": region, "interface": interface, "url": address + "/v1/AUTH_%(project_id)s"}
    head = {"X-Auth-Token": token, "Content-Type": "application/json"}
    web.urlopen(web.Request(at + "/v3/endpoints", data=json.dumps({"endpoint": what}).encode(), headers=head))
"#;

/// Keystone itself, of today: it has no login of version 2. User `ada` with password `p@ss:w` may write in the project `backups`,
/// `bob` with the same password nowhere.
pub struct Identity {
    _process: Process,
    dir: TempDir,
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
}

impl Identity {
    /// Starts it. `None`, said aloud, if it could not be installed.
    pub fn start() -> Option<Self> {
        let python = find("keystone-python")?;
        let dir = TempDir::new().expect("temp dir");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/keystone_server.py");
        let (process, port) = serve(&dir.path().join("log"), "run tests/setup", |port| {
            let mut command = Command::new(&python);
            command.arg(&script).arg(port.to_string()).arg(dir.path());
            command
        });
        Some(Self {
            _process: process,
            dir,
            port,
        })
    }

    /// An address of it.
    pub fn at(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// The ids of the user and of the project, and what only this file needs.
    pub fn made(&self) -> Vec<String> {
        let file = self.dir.path().join(self.port.to_string()).join("made");
        let text = fs::read_to_string(file).expect("what was made there");
        text.lines().map(str::to_string).collect()
    }
}

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
        Self::with("")
    }

    /// Starts it behind Keystone, which gets to know where it is.
    pub fn behind(identity: &Identity) -> Option<Self> {
        let server = Self::with(&identity.at(""))?;
        let done = Command::new("/usr/bin/python3")
            .args(["-c", ENDPOINTS, &identity.at(""), &server.at("")])
            .args(identity.made())
            .output()
            .expect("python3; run tests/setup");
        assert!(done.status.success(), "{done:?}");
        Some(server)
    }

    fn with(identity: &str) -> Option<Self> {
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
            if !identity.is_empty() {
                command.arg(identity);
            }
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

    /// Address of the account and a token, as a login gives them.
    pub fn session(&self) -> (String, String) {
        let said = self.python("print(at.rstrip('/'), head['X-Auth-Token'])", &[]);
        let (at, token) = said.trim().split_once(' ').expect("two words");
        (at.to_string(), token.to_string())
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
