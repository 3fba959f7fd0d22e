//! Servers and remotes that keep their objects as files of a directory: WebDAV, rsync, rclone.

use super::{Process, installed, serve};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// wsgidav: a WebDAV server with one user, `ada`, whose password is `p@ss:w`.
pub struct Dav {
    _process: Process,
    dir: TempDir,
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
}

impl Dav {
    /// Starts it with HTTP.
    pub fn start() -> Self {
        Self::with(false)
    }

    /// Starts it with HTTPS and a certificate nobody knows, [`Dav::certificate`].
    pub fn secure() -> Self {
        Self::with(true)
    }

    fn with(secure: bool) -> Self {
        let program = installed("DUPR_TEST_DAV", ["dav", "dav"], "bin/wsgidav");
        let dir = TempDir::new().expect("temp dir");
        let path = |name: &str| dir.path().join(name);
        fs::create_dir(path("files")).expect("dir");
        if secure {
            make_certificate(dir.path(), false);
        }
        let (process, port) = serve(&path("log"), "run tests/setup", |port| {
            let mut config = serde_json::json!({
                "host": "127.0.0.1",
                "port": port,
                "provider_mapping": {"/": path("files")},
                "http_authenticator": {
                    "accept_basic": true, "accept_digest": false, "default_to_digest": false,
                },
                "simple_dc": {"user_mapping": {"*": {"ada": {"password": "p@ss:w"}}}},
            });
            if secure {
                config["ssl_certificate"] = path("cert.pem").display().to_string().into();
                config["ssl_private_key"] = path("key.pem").display().to_string().into();
            }
            fs::write(path("config.json"), config.to_string()).expect("config");
            let mut command = Command::new(&program);
            command.arg("--config").arg(path("config.json"));
            command.args(["--server", "cheroot"]);
            command
        });
        Self {
            _process: process,
            dir,
            port,
        }
    }

    /// The directory it serves.
    pub fn files(&self) -> PathBuf {
        self.dir.path().join("files")
    }

    /// The certificate of the HTTPS server, for 127.0.0.1.
    pub fn certificate(&self) -> PathBuf {
        self.dir.path().join("cert.pem")
    }
}

/// Makes `cert.pem` and `key.pem` for 127.0.0.1, signed by itself.
pub fn make_certificate(dir: &Path, of_authority: bool) {
    let constraints = if of_authority {
        "basicConstraints=critical,CA:TRUE"
    } else {
        "basicConstraints=critical,CA:FALSE"
    };
    let made = Command::new("openssl")
        .args("req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost".split(' '))
        .args(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"])
        .args(["-addext", constraints])
        .args(["-keyout", "key.pem", "-out", "cert.pem"])
        .current_dir(dir)
        .output()
        .expect("openssl; run tests/setup");
    assert!(made.status.success(), "{made:?}");
}

/// An rsync daemon with the module `store` for the user `ada` (password `pw`), and `fixed`, which is read-only.
pub struct Rsyncd {
    _process: Process,
    dir: TempDir,
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
}

impl Rsyncd {
    /// Starts it.
    pub fn start() -> Self {
        let dir = TempDir::new().expect("temp dir");
        let path = |name: &str| dir.path().join(name);
        fs::create_dir(path("files")).expect("dir");
        fs::write(path("secrets"), "ada:pw\n").expect("secrets");
        fs::set_permissions(path("secrets"), fs::Permissions::from_mode(0o600)).expect("mode");
        let (process, port) = serve(&path("log"), "apt-get install rsync", |port| {
            let config = format!(
                "port = {port}\naddress = 127.0.0.1\nuse chroot = no\n[store]\npath = {0}/files\n\
                 read only = no\nauth users = ada\nsecrets file = {0}/secrets\n[fixed]\n\
                 path = {0}/files\nread only = yes\n",
                dir.path().display()
            );
            let owner = if rustix::process::geteuid().is_root() {
                "uid = root\ngid = root\n"
            } else {
                ""
            };
            fs::write(path("config"), format!("{owner}{config}")).expect("config");
            let mut command = Command::new("rsync");
            command.args(["--daemon", "--no-detach", "--config"]);
            command.arg(path("config"));
            command
        });
        Self {
            _process: process,
            dir,
            port,
        }
    }

    /// The directory of both modules.
    pub fn files(&self) -> PathBuf {
        self.dir.path().join("files")
    }
}

/// A configuration of rclone with the remotes `disk:` (the local file system) and `veiled:` (encrypted, in [`Rclone::files`]).
pub struct Rclone(TempDir);

impl Rclone {
    /// Writes it.
    pub fn configured() -> Self {
        let dir = TempDir::new().expect("temp dir");
        let obscured = Command::new("rclone")
            .args(["obscure", "pw"])
            .output()
            .expect("rclone; run tests/setup");
        let config = format!(
            "[disk]\ntype = local\n[veiled]\ntype = crypt\nremote = {}/files\npassword = {}\n",
            dir.path().display(),
            String::from_utf8_lossy(&obscured.stdout).trim()
        );
        fs::write(dir.path().join("rclone.conf"), config).expect("config");
        fs::create_dir(dir.path().join("files")).expect("dir");
        Self(dir)
    }

    /// The configuration, for `RCLONE_CONFIG`.
    pub fn config(&self) -> PathBuf {
        self.0.path().join("rclone.conf")
    }

    /// A directory to keep objects in.
    pub fn files(&self) -> PathBuf {
        self.0.path().join("files")
    }
}
