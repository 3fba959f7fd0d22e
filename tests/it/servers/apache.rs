//! Apache's WebDAV, for the user `ada`, whose password is `p@ss:w` and who has to prove it by Digest.

use super::files::make_certificate;
use super::{Process, free_port, serve};
use md5::{Digest, Md5};
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::PathBuf;
use std::process::Command;
use tempfile::TempDir;

/// Nobody, for whom Apache works when root starts it.
const NOBODY: u32 = 65534;

/// A server with the collection `/dav`, and `/old` and `/a/long/way/there`, which have moved there. Proofs hold for a second.
pub struct Apache {
    _process: Process,
    dir: TempDir,
    /// Where it speaks HTTP, on 127.0.0.1.
    pub port: u16,
    /// Where it speaks HTTPS.
    pub secure: u16,
}

impl Apache {
    /// With HTTP.
    pub fn start() -> Self {
        Self::with(false, "")
    }

    /// With HTTP, and these lines for the collection.
    pub fn that_says(lines: &str) -> Self {
        Self::with(false, lines)
    }

    /// That sends all who speak HTTP to HTTPS.
    pub fn secure() -> Self {
        Self::with(true, "")
    }

    fn with(only_secure: bool, lines: &str) -> Self {
        let dir = TempDir::new().expect("temp dir");
        let path = |name: &str| dir.path().join(name);
        make_certificate(dir.path(), false);
        let hash = Md5::digest("ada:the realm, of ada:p@ss:w");
        let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        let line = format!("ada:the realm, of ada:{hash}\n");
        fs::write(path("digest"), line).expect("passwords");
        for name in ["files", "lock", "nothing"] {
            fs::create_dir(path(name)).expect("dir");
        }
        let mut user = "";
        if rustix::process::geteuid().is_root() {
            fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("mode");
            for name in ["files", "lock"] {
                chown(path(name), Some(NOBODY), Some(NOBODY)).expect("owner");
            }
            user = "User #65534\nGroup #65534\n";
        }
        let modules = [
            "mpm_event",
            "authn_core",
            "authn_file",
            "authz_core",
            "authz_user",
            "auth_digest",
            "alias",
            "dav",
            "dav_fs",
            "headers",
            "socache_shmcb",
            "ssl",
        ];
        let modules: String = modules
            .iter()
            .map(|name| {
                format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n")
            })
            .collect();
        let secure = std::cell::Cell::new(0);
        let (process, port) = serve(&path("output"), "run tests/setup", |port| {
            secure.set(free_port());
            let home = dir.path().display();
            let all = match only_secure {
                true => format!("Redirect 308 / https://127.0.0.1:{}/\n", secure.get()),
                false => {
                    "Redirect 307 /old /dav\nRedirect 307 /a/long/way/there /dav\n".to_string()
                }
            };
            let config = format!(
                "ServerRoot {home}\nServerName 127.0.0.1\nPidFile {home}/pid\nDefaultRuntimeDir {home}\n\
                 Listen 127.0.0.1:{port}\nListen 127.0.0.1:{0}\n{modules}{user}ErrorLog {home}/log\n\
                 DocumentRoot {home}/nothing\nAlias /dav {home}/files\nDavLockDB {home}/lock/db\n\
                 <Directory {home}/files>\nDav On\nAuthType Digest\nAuthName \"the realm, of ada\"\n\
                 AuthDigestProvider file\nAuthUserFile {home}/digest\nAuthDigestNonceLifetime 1\n\
                 Require valid-user\n{lines}</Directory>\n\
                 <VirtualHost 127.0.0.1:{port}>\n{all}</VirtualHost>\n\
                 <VirtualHost 127.0.0.1:{0}>\nSSLEngine on\nSSLCertificateFile {home}/cert.pem\n\
                 SSLCertificateKeyFile {home}/key.pem\n</VirtualHost>\n",
                secure.get()
            );
            fs::write(path("config"), config).expect("config");
            let mut command = Command::new("/usr/sbin/apache2");
            // In one process, which leaves nobody behind when it is killed.
            command.args(["-X", "-f"]).arg(path("config"));
            command
        });
        let secure = secure.get();
        Self {
            _process: process,
            dir,
            port,
            secure,
        }
    }

    /// The directory behind `/dav`.
    pub fn files(&self) -> PathBuf {
        self.dir.path().join("files")
    }

    /// Its certificate, for 127.0.0.1.
    pub fn certificate(&self) -> PathBuf {
        self.dir.path().join("cert.pem")
    }
}
