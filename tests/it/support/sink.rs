//! A web server that keeps what it is sent: `tests/support/http_sink.py`, in a process of its own.

use super::programs;
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A web server. Ended when dropped.
pub struct Sink {
    child: Child,
    port: String,
    requests: PathBuf,
    status: PathBuf,
}

impl Drop for Sink {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Sink {
    /// A server that keeps its files in `dir`.
    pub fn start(dir: &Path) -> Self {
        Self::with(dir, &[])
    }

    /// One that speaks TLS with this certificate and key.
    pub fn start_tls(dir: &Path, certificate: &Path, key: &Path) -> Self {
        Self::with(dir, &[certificate, key])
    }

    fn with(dir: &Path, tls: &[&Path]) -> Self {
        let (requests, status) = (dir.join("requests"), dir.join("status"));
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/http_sink.py");
        let mut child = Command::new(programs::find("python3").expect("python3 is needed"))
            .arg(script)
            .args([&requests, &status])
            .args(tls)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("python3 starts");
        let mut port = String::new();
        BufReader::new(child.stdout.take().expect("stdout"))
            .read_line(&mut port)
            .expect("a port");
        let port = port.trim().to_owned();
        assert!(!port.is_empty(), "http_sink.py did not start");
        Self {
            child,
            port,
            requests,
            status,
        }
    }

    pub fn port(&self) -> &str {
        &self.port
    }

    /// Its address with a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Answers with this status from now on.
    pub fn answer(&self, status: u16) {
        fs::write(&self.status, status.to_string()).expect("status");
    }

    /// What came since this was last asked.
    pub fn taken(&self) -> Vec<Value> {
        let text = fs::read_to_string(&self.requests).unwrap_or_default();
        let _ = fs::remove_file(&self.requests);
        text.lines()
            .map(|l| serde_json::from_str(l).expect("a line of JSON"))
            .collect()
    }

    /// Method and path of what came since.
    pub fn lines(&self) -> Vec<String> {
        let word = |v: &Value, key: &str| v[key].as_str().unwrap_or_default().to_owned();
        self.taken()
            .iter()
            .map(|v| format!("{} {}", word(v, "method"), word(v, "path")))
            .collect()
    }
}
