//! OpenSSH: its server, and its agent.

use super::{Process, serve};
use crate::support::programs::skipped;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// What takes the processor the least of what all clients know. Keys against quantum computers are much of the work of a short connection.
const QUICK: &str = "KexAlgorithms curve25519-sha256,curve25519-sha256@libssh.org\nCiphers aes128-gcm@openssh.com,aes128-ctr\n";

/// The number of the user `ada`, which should be nobody's.
const ADA: u32 = 54_321;

/// OpenSSH's own server with throw-away keys, for the user who runs the tests.
pub struct Sshd {
    _process: Process,
    port: u16,
    dir: TempDir,
}

impl Sshd {
    /// Starts it with the sftp subsystem.
    pub fn start() -> Self {
        Self::with("Subsystem sftp internal-sftp")
    }

    /// Starts it with these lines at the end of its configuration.
    pub fn with(lines: &str) -> Self {
        Self::at_home(TempDir::new().expect("temp dir"), lines, None)
    }

    /// Starts it for a user `ada` whom only this server knows, with the password `p@ss:w` and the key `userkey`, and for nobody
    /// else. `/mnt` is [`Sshd::files`] there and belongs to root; `/mnt/ada` belongs to her. `None`, said aloud, without
    /// the rights to mount.
    pub fn of_ada(lines: &str) -> Option<Self> {
        let dir = TempDir::new().expect("temp dir");
        let path = |name: &str| dir.path().join(name);
        let is_allowed = Command::new("unshare")
            .args(["--mount", "mount", "--bind", "/mnt", "/mnt"])
            .stderr(Stdio::null())
            .status();
        if !is_allowed.is_ok_and(|status| status.success()) {
            skipped("a user of the server's own", "only root can mount");
            return None;
        }
        let open = |name: &str| {
            let mode = fs::Permissions::from_mode(0o755);
            fs::set_permissions(path(name), mode).expect("mode");
        };
        open("");
        fs::create_dir_all(path("files/ada")).expect("folder");
        open("files");
        open("files/ada");
        chown(path("files/ada"), Some(ADA), Some(ADA)).expect("owner");
        let hashed = Command::new("openssl")
            .args(["passwd", "-6", "p@ss:w"])
            .output()
            .expect("openssl; run tests/setup");
        let hash = String::from_utf8_lossy(&hashed.stdout).trim().to_string();
        for (name, line) in [
            ("passwd", format!("ada:x:{ADA}:{ADA}::/mnt/ada:/bin/sh")),
            ("shadow", format!("ada:{hash}:19000:0:99999:7:::")),
            ("group", format!("ada:x:{ADA}:")),
        ] {
            let own = match name {
                // Nobody else logs in.
                "shadow" => String::new(),
                _ => fs::read_to_string(Path::new("/etc").join(name)).expect(name),
            };
            // The first of a name counts.
            fs::write(path(name), format!("{line}\n{own}")).expect(name);
            open(name);
        }
        let mut script = String::new();
        for name in ["passwd", "shadow", "group"] {
            let own = path(name);
            script += &format!("mount --bind '{}' /etc/{name} && ", own.display());
        }
        let files = path("files");
        script += &format!("mount --bind '{}' /mnt && exec \"$@\"", files.display());
        let lines = format!("AllowUsers ada\n{lines}");
        Some(Self::at_home(dir, &lines, Some(script)))
    }

    /// `script` is run in mounts of its own, and starts what stands in its arguments.
    fn at_home(dir: TempDir, lines: &str, script: Option<String>) -> Self {
        let path = |name: &str| dir.path().join(name);
        for name in ["hostkey", "userkey", "strangerkey"] {
            ssh_keygen(&path(name), "");
        }
        fs::copy(path("userkey.pub"), path("authorized_keys")).expect("authorized_keys");
        // sshd of a distribution wants this directory when root starts it.
        let _ = fs::create_dir_all("/run/sshd");
        let passwords = if script.is_some() { "yes" } else { "no" };
        let (process, port) = serve(&path("log"), "apt-get install openssh-server", |port| {
            let config = format!(
                "Port {port}\nListenAddress 127.0.0.1\nHostKey {0}/hostkey\n{QUICK}AuthorizedKeysFile \
                 {0}/authorized_keys\nPidFile none\nUsePAM no\nPasswordAuthentication {passwords}\n\
                 StrictModes no\nMaxStartups 100\n{lines}\n",
                dir.path().display()
            );
            fs::write(path("sshd_config"), config).expect("sshd_config");
            let mut command = match &script {
                None => Command::new("/usr/sbin/sshd"),
                Some(script) => {
                    let mut command = Command::new("unshare");
                    command.args(["--mount", "sh", "-c", script, "sh", "/usr/sbin/sshd"]);
                    command
                }
            };
            command.args(["-D", "-e", "-f"]).arg(path("sshd_config"));
            command
        });
        let host_key = fs::read_to_string(path("hostkey.pub")).expect("host key");
        let known = format!("dupr-test {host_key}");
        fs::write(path("known_hosts"), known).expect("known_hosts");
        let known = format!("[127.0.0.1]:{port} {host_key}");
        fs::write(path("known_hosts_by_port"), known).expect("known_hosts");
        fs::create_dir_all(path("files")).expect("dir");
        Self {
            _process: process,
            port,
            dir,
        }
    }

    /// Where it listens, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The directory to keep objects in.
    pub fn files(&self) -> PathBuf {
        self.dir.path().join("files")
    }

    /// A file of the server: `known_hosts` (by an alias), `known_hosts_by_port`, `hostkey`, `userkey`, `strangerkey`, `log`.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// URL of a directory below [`Sshd::files`].
    pub fn url(&self, below: &str) -> String {
        self.url_at(self.port, below)
    }

    /// The same with another port, of a proxy.
    pub fn url_at(&self, port: u16, below: &str) -> String {
        format!("sftp://127.0.0.1:{port}/{}/{below}", self.files().display())
    }

    /// Makes a further key of the user, locked by a passphrase.
    pub fn add_key(&self, name: &str, passphrase: &str) {
        ssh_keygen(&self.path(name), passphrase);
        let mut all = fs::read_to_string(self.path("authorized_keys")).expect("authorized_keys");
        all += &fs::read_to_string(self.path(&format!("{name}.pub"))).expect("public key");
        fs::write(self.path("authorized_keys"), all).expect("authorized_keys");
    }

    /// URL of a path there, for the user of [`Sshd::of_ada`].
    pub fn url_of_ada(&self, path: &str) -> String {
        format!("sftp://ada@127.0.0.1:{}/{path}", self.port)
    }

    /// Options for ssh that keep it away from the user's own files and let it trust this server at any port.
    pub fn ssh_options(&self, key: &str) -> String {
        format!(
            "-F none -oHostKeyAlias=dupr-test -oUserKnownHostsFile={0}/known_hosts \
             -oGlobalKnownHostsFile=/dev/null -oStrictHostKeyChecking=ask -oIdentitiesOnly=yes \
             -oIdentityAgent=none -i {0}/{key}",
            self.dir.path().display()
        )
    }
}

/// The agent of OpenSSH with one key.
pub struct Agent {
    _process: Process,
    dir: TempDir,
}

impl Agent {
    /// Starts it, and gives it a key.
    pub fn with(key: &Path) -> Self {
        let dir = TempDir::new().expect("temp dir");
        let socket = dir.path().join("agent");
        let mut command = Command::new("ssh-agent");
        command.arg("-D").arg("-a").arg(&socket);
        let log = dir.path().join("log");
        let process = Process::start(&mut command, &log, "apt-get install openssh-client");
        let start = Instant::now();
        while !socket.exists() {
            assert!(start.elapsed() < Duration::from_secs(60), "no agent");
            thread::sleep(Duration::from_millis(20));
        }
        let added = Command::new("ssh-add")
            .arg("-q")
            .arg(key)
            .env("SSH_AUTH_SOCK", &socket)
            .output()
            .expect("ssh-add; run tests/setup");
        assert!(added.status.success(), "{added:?}");
        Self {
            _process: process,
            dir,
        }
    }

    /// For `SSH_AUTH_SOCK`.
    pub fn socket(&self) -> String {
        self.dir.path().join("agent").display().to_string()
    }
}

fn ssh_keygen(file: &Path, passphrase: &str) {
    let made = Command::new("ssh-keygen")
        .args([
            "-q",
            "-t",
            "ed25519",
            "-N",
            passphrase,
            "-C",
            "dupr test",
            "-f",
        ])
        .arg(file)
        .status()
        .unwrap_or_else(|e| panic!("cannot start ssh-keygen: {e}; apt-get install openssh-client"));
    assert!(made.success(), "ssh-keygen failed");
}
