//! A proxy that speaks SOCKS: microsocks, which knows a name nobody else does, as Tor does.

use super::{Process, serve};
use crate::support::programs::find;
use std::fs;
use std::process::Command;
use tempfile::TempDir;

/// The proxy.
pub struct Socks {
    _process: Process,
    dir: TempDir,
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
}

impl Socks {
    /// Means 127.0.0.1 to the proxy, and nothing to anybody else.
    pub const NAME: &str = "duprexample234567.onion";

    /// Starts it. `None`, said aloud, if it could not be installed.
    pub fn start() -> Option<Self> {
        let program = find("microsocks")?;
        let names = find("libnss_wrapper.so")?;
        let dir = TempDir::new().expect("temp dir");
        let hosts = dir.path().join("hosts");
        fs::write(&hosts, format!("127.0.0.1 {}\n", Self::NAME)).expect("hosts");
        let (process, port) = serve(&dir.path().join("log"), "run tests/setup", |port| {
            let mut command = Command::new(&program);
            command
                .args(["-i", "127.0.0.1", "-p"])
                .arg(port.to_string());
            command.env("LD_PRELOAD", &names);
            command.env("NSS_WRAPPER_HOSTS", &hosts);
            command
        });
        Some(Self {
            _process: process,
            dir,
            port,
        })
    }

    /// How often somebody was connected to this port by the name.
    pub fn connected_to(&self, port: u16) -> usize {
        let log = fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
        let words = format!("connected to {}:{port}", Self::NAME);
        log.lines().filter(|line| line.ends_with(&words)).count()
    }
}
