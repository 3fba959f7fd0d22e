//! Imitations of drives, whose accounts prove themselves with keys and tokens.

use super::Process;
use super::clouds::imitation;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

fn openssl(dir: &Path, words: &str) {
    let made = Command::new("openssl")
        .args(words.split(' '))
        .current_dir(dir)
        .output()
        .expect("openssl; run tests/setup");
    assert!(made.status.success(), "{made:?}");
}

/// Google Drive: `tests/support/gdrive_fake.py`.
pub struct GoogleDrive {
    _process: Process,
    dir: TempDir,
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
}

impl GoogleDrive {
    /// The address of its service account, as URLs have it.
    pub const ACCOUNT: &str = "robot@project.iam.gserviceaccount.com";

    /// Parts are no longer than 8 MiB, a page has 7 entries, and an access token holds for so many requests.
    pub fn start(uses: u64) -> Self {
        let dir = TempDir::new().expect("temp dir");
        openssl(dir.path(), "genrsa -out key.pem 2048");
        openssl(dir.path(), "rsa -in key.pem -pubout -out public.pem");
        let public = dir.path().join("public.pem").display().to_string();
        let mut words = [uses, 7, 8 << 20].map(|n| n.to_string()).to_vec();
        words.push(public);
        let (process, port) = imitation("gdrive_fake.py", &words, &dir);
        let server = Self {
            _process: process,
            dir,
            port,
        };
        server.write("robot.json", |robot| robot);
        server
    }

    /// For the option `endpoint`.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The key of its service account.
    pub fn service_file(&self) -> String {
        self.path("robot.json").display().to_string()
    }

    /// The private key alone.
    pub fn key(&self) -> String {
        fs::read_to_string(self.path("key.pem")).expect("key")
    }

    /// A file in its folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file with the key of a service account that differs from the good one.
    pub fn write(
        &self,
        name: &str,
        change: impl FnOnce(serde_json::Value) -> serde_json::Value,
    ) -> String {
        let robot = serde_json::json!({
            "type": "service_account",
            "client_email": Self::ACCOUNT,
            "private_key_id": "key-1",
            "private_key": self.key(),
            "token_uri": format!("{}/token", self.endpoint()),
        });
        fs::write(self.path(name), change(robot).to_string()).expect("file");
        self.path(name).display().to_string()
    }

    /// Has something happen there that no call of the interface does.
    pub fn control(&self, query: &str) -> serde_json::Value {
        let mut line = TcpStream::connect(("127.0.0.1", self.port)).expect("the imitation");
        let head = format!(
            "POST /control?{query} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
        line.write_all(head.as_bytes()).expect("asked");
        let mut answer = String::new();
        line.read_to_string(&mut answer).expect("answered");
        let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
        assert!(head.starts_with("HTTP/1.1 200"), "{answer}");
        serde_json::from_str(body).expect("JSON")
    }

    /// Names of all files that are not in the trash.
    pub fn names(&self) -> Vec<String> {
        let names = self.control("names=");
        let names = names.as_array().expect("names").iter();
        names
            .map(|name| name.as_str().expect("a name").to_string())
            .collect()
    }
}

/// Google Cloud Storage for whoever shows a token: `tests/support/gcs_fake.py`.
pub struct GoogleStorage {
    _process: Process,
    dir: TempDir,
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
}

impl GoogleStorage {
    /// A page has 7 entries, and an access token holds for so many requests.
    pub fn start(uses: u64) -> Self {
        let dir = TempDir::new().expect("temp dir");
        openssl(dir.path(), "genrsa -out key.pem 2048");
        openssl(dir.path(), "rsa -in key.pem -pubout -out public.pem");
        let public = dir.path().join("public.pem").display().to_string();
        let words = [uses.to_string(), "7".to_string(), public];
        let (process, port) = imitation("gcs_fake.py", &words, &dir);
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

    /// The key of its service account, for `GOOGLE_APPLICATION_CREDENTIALS`; another key than its own if `is_wrong`.
    pub fn key_file(&self, is_wrong: bool) -> String {
        let name = if is_wrong { "wrong" } else { "key" };
        if is_wrong {
            openssl(self.dir.path(), "genrsa -out wrong.pem 2048");
        }
        let pem = self.dir.path().join(format!("{name}.pem"));
        let key = serde_json::json!({
            "type": "service_account",
            "client_email": GoogleDrive::ACCOUNT,
            "private_key_id": "key-1",
            "private_key": fs::read_to_string(pem).expect("key"),
            "token_uri": format!("{}/token", self.endpoint()),
        });
        self.write(name, &key)
    }

    /// What Google's own program leaves of a user's login.
    pub fn user_file(&self) -> String {
        let user = serde_json::json!({
            "type": "authorized_user",
            "client_id": "id.apps.googleusercontent.com",
            "client_secret": "secret",
            "refresh_token": "1//refresh",
            "token_uri": format!("{}/token", self.endpoint()),
        });
        self.write("user", &user)
    }

    fn write(&self, name: &str, value: &serde_json::Value) -> String {
        let path = self.dir.path().join(format!("{name}.json"));
        fs::write(&path, value.to_string()).expect("file");
        path.display().to_string()
    }

    /// How often a request began so.
    pub fn asked(&self, start: &str) -> usize {
        let log = fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
        log.lines().filter(|line| line.starts_with(start)).count()
    }

    /// Keys of all objects, and the class of each.
    pub fn objects(&self) -> Vec<(String, String)> {
        let mut line = TcpStream::connect(("127.0.0.1", self.port)).expect("the imitation");
        let head = "GET /control HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";
        line.write_all(head.as_bytes()).expect("asked");
        let mut answer = String::new();
        line.read_to_string(&mut answer).expect("answered");
        let (_, body) = answer.split_once("\r\n\r\n").expect("an answer");
        serde_json::from_str(body).expect("JSON")
    }
}

/// OneDrive: `tests/support/onedrive_fake.py`.
pub struct OneDrive {
    _process: Process,
    dir: TempDir,
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
}

impl OneDrive {
    /// Parts are no longer than 8 MiB, a page has 7 entries, and an access token holds for so many requests.
    pub fn start(uses: u64) -> Self {
        let dir = TempDir::new().expect("temp dir");
        let words = [uses, 7, 8 << 20].map(|n| n.to_string());
        let (process, port) = imitation("onedrive_fake.py", &words, &dir);
        let kept = serde_json::json!({
            "refresh_token": "refresh-0", "access_token": "old", "expires_at": 1.5, "of somebody else": "kept",
        });
        fs::write(dir.path().join("token.json"), kept.to_string()).expect("file");
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

    /// The file with its user's refresh token, as duplicity keeps it.
    pub fn token_file(&self) -> String {
        self.path("token.json").display().to_string()
    }

    /// A file in its folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

/// Box: `tests/support/box_fake.py`.
pub struct BoxAccount {
    _process: Process,
    dir: TempDir,
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
}

impl BoxAccount {
    /// Parts are 8 MiB long, a page has 7 entries, and an access token holds for so many requests.
    pub fn start(uses: u64) -> Self {
        let dir = TempDir::new().expect("temp dir");
        openssl(dir.path(), "genrsa -out key.pem 2048");
        openssl(dir.path(), "rsa -in key.pem -pubout -out public.pem");
        let public = dir.path().join("public.pem").display().to_string();
        let mut words = [uses, 7, 8 << 20].map(|n| n.to_string()).to_vec();
        words.push(public);
        let (process, port) = imitation("box_fake.py", &words, &dir);
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

    /// A file in its folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The app's key as `openssl pkcs8` seals it with these words.
    pub fn sealed(&self, words: &str) -> String {
        let seal =
            format!("pkcs8 -topk8 {words} -passout pass:passphrase -in key.pem -out sealed.pem");
        openssl(self.dir.path(), &seal);
        fs::read_to_string(self.path("sealed.pem")).expect("key")
    }

    /// Writes a configuration of the app that differs from the good one.
    pub fn config(
        &self,
        name: &str,
        change: impl FnOnce(serde_json::Value) -> serde_json::Value,
    ) -> String {
        let config = serde_json::json!({
            "boxAppSettings": {
                "clientID": "client",
                "clientSecret": "secret",
                "appAuth": {
                    "publicKeyID": "key-1",
                    "privateKey": self.sealed("-v2 des3 -v2prf hmacWithSHA1"),
                    "passphrase": "passphrase",
                },
            },
            "enterpriseID": "1234567",
        });
        fs::write(self.path(name), change(config).to_string()).expect("file");
        self.path(name).display().to_string()
    }
}
