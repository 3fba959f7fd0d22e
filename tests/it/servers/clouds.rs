//! Imitations of services that have no server to install, from `tests/support`.

use super::{Process, S3, serve};
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// Starts an imitation: a script with its port and these words as arguments, and the name of a log.
pub(super) fn imitation(script: &str, words: &[String], dir: &TempDir) -> (Process, u16) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/support")
        .join(script);
    serve(&dir.path().join("output"), "run tests/setup", |port| {
        let mut command = Command::new("/usr/bin/python3");
        command.arg(&script).arg(port.to_string()).args(words);
        command.arg(dir.path().join("log"));
        command
    })
}

/// Backblaze's account, which tells where the interface of S3 is: `tests/support/b2_fake.py`.
pub struct Backblaze {
    _process: Process,
    dir: TempDir,
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
}

impl Backblaze {
    /// An account whose buckets are at this server.
    pub fn before(server: &S3) -> Self {
        let dir = TempDir::new().expect("temp dir");
        let words = [&server.key_id, &server.secret, &server.endpoint()].map(String::from);
        let (process, port) = imitation("b2_fake.py", &words, &dir);
        Self {
            _process: process,
            dir,
            port,
        }
    }

    /// For `B2_ENVIRONMENT`.
    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// How often it was asked.
    pub fn calls(&self) -> usize {
        let log = std::fs::read_to_string(self.dir.path().join("log"));
        log.unwrap_or_default().lines().count()
    }
}

/// A region of Amazon's in front of another server: `tests/support/s3_region.py`.
pub struct Region {
    _process: Process,
    dir: TempDir,
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
}

impl Region {
    /// A region of this name whose buckets are at this server.
    pub fn before(server: &S3, region: &str) -> Self {
        let dir = TempDir::new().expect("temp dir");
        let words = [server.port.to_string(), region.to_string()];
        let (process, port) = imitation("s3_region.py", &words, &dir);
        Self {
            _process: process,
            dir,
            port,
        }
    }

    /// For the option `endpoint`.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The regions that requests were signed for.
    pub fn asked(&self) -> Vec<String> {
        let log = std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
        let word = |line: &str| line.split(' ').nth(1).unwrap_or_default().to_string();
        log.lines().map(word).collect()
    }
}

/// Dropbox's files: `tests/support/dropbox_fake.py`.
pub struct Dropbox {
    _process: Process,
    _dir: TempDir,
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
}

impl Dropbox {
    /// Parts are no longer than this many bytes, a page has 7 entries, and an access token holds for so many requests.
    pub fn start(longest: u64, uses: u64) -> Self {
        let dir = TempDir::new().expect("temp dir");
        let words = [uses, 7, longest].map(|n| n.to_string());
        let (process, port) = imitation("dropbox_fake.py", &words, &dir);
        Self {
            _process: process,
            _dir: dir,
            port,
        }
    }

    /// For the option `endpoint`.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

/// The logins of Keystone, and OVH's archive behind them: `tests/support/swift_fake.py`.
pub struct Keystone {
    _process: Process,
    dir: TempDir,
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
}

impl Keystone {
    /// Starts it.
    pub fn start() -> Self {
        Self::with("second")
    }

    /// Starts it without the login of version 2, as it is today.
    pub fn of_today() -> Self {
        Self::with("third")
    }

    fn with(oldest: &str) -> Self {
        let dir = TempDir::new().expect("temp dir");
        let (process, port) = imitation("swift_fake.py", &[oldest.to_string()], &dir);
        Self {
            _process: process,
            dir,
            port,
        }
    }

    /// How often a request began so.
    pub fn asked(&self, start: &str) -> usize {
        let log = std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
        log.lines().filter(|line| line.starts_with(start)).count()
    }

    /// An address of it.
    pub fn at(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
}
