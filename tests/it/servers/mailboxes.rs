//! Dovecot: mailboxes of IMAP, for the user `ada`, whose password is `p@ss:w`.

use super::files::make_certificate;
use super::{Process, serve};
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::PathBuf;
use std::process::Command;
use tempfile::TempDir;

/// Nobody: mail of root is not for dovecot.
const NOBODY: u32 = 65534;

/// A server with few connections for each user.
pub struct Dovecot {
    _process: Process,
    dir: TempDir,
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
}

impl Dovecot {
    /// In the open.
    pub fn start() -> Self {
        Self::with(false, "")
    }

    /// With TLS from the first byte.
    pub fn secure() -> Self {
        Self::with(true, "")
    }

    /// With these lines at the end of its configuration.
    pub fn with(secure: bool, lines: &str) -> Self {
        Self::with_rights(secure, lines, "")
    }

    /// In the open, with these lines, and with these rights in the file `/etc/dovecot/backups.acl` that the lines speak of.
    pub fn that_says(lines: &str, rights: &str) -> Self {
        Self::with_rights(false, lines, rights)
    }

    fn with_rights(secure: bool, lines: &str, rights: &str) -> Self {
        let dir = TempDir::new().expect("temp dir");
        let path = |name: &str| dir.path().join(name);
        fs::create_dir(path("mail")).expect("dir");
        fs::write(path("acl"), rights).expect("rights");
        let acl = path("acl").display().to_string();
        let lines = lines.replace("/etc/dovecot/backups.acl", &acl);
        let (uid, gid, names) = match rustix::process::geteuid().as_raw() {
            0 => {
                fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("mode");
                chown(path("mail"), Some(NOBODY), Some(NOBODY)).expect("owner");
                (NOBODY, NOBODY, String::new())
            }
            uid => {
                let id = |option| {
                    let answer = Command::new("id").arg(option).output().expect("id").stdout;
                    String::from_utf8_lossy(&answer).trim().to_string()
                };
                let (user, group) = (id("-un"), id("-gn"));
                let names = format!(
                    "default_internal_user = {user}\ndefault_internal_group = {group}\n\
                     default_login_user = {user}\n"
                );
                (uid, rustix::process::getegid().as_raw(), names)
            }
        };
        let (tls, open, shut) = if secure {
            make_certificate(dir.path(), false);
            let files = dir.path().display();
            let tls = format!("required\nssl_cert = <{files}/cert.pem\nssl_key = <{files}/key.pem");
            (tls, "imaps", "imap")
        } else {
            ("no".to_string(), "imap", "imaps")
        };
        let (process, port) = serve(&path("output"), "run tests/setup", |port| {
            let config = format!(
                "base_dir = {0}/run\nstate_dir = {0}/state\nlog_path = {0}/log\nprotocols = imap\n\
                 listen = 127.0.0.1\nssl = {tls}\ndisable_plaintext_auth = no\n{names}\
                 mail_location = maildir:{0}/mail/%u\nfirst_valid_uid = 1\n\
                 mail_max_userip_connections = 4\n\
                 passdb {{\n driver = static\n args = password=p@ss:w\n}}\n\
                 userdb {{\n driver = static\n args = uid={uid} gid={gid} home={0}/mail/%u\n}}\n\
                 service imap-login {{\n chroot =\n inet_listener {open} {{\n address = 127.0.0.1\n \
                 port = {port}\n }}\n inet_listener {shut} {{\n port = 0\n }}\n}}\n\
                 service anvil {{\n chroot =\n}}\n{lines}\n",
                dir.path().display()
            );
            fs::write(path("config"), config).expect("config");
            let mut command = Command::new("/usr/sbin/dovecot");
            command.args(["-F", "-c"]).arg(path("config"));
            command
        });
        Self {
            _process: process,
            dir,
            port,
        }
    }

    /// Its certificate, for 127.0.0.1.
    pub fn certificate(&self) -> PathBuf {
        self.dir.path().join("cert.pem")
    }

    /// How many mails there are in the first mailbox of `ada`.
    pub fn mails(&self) -> usize {
        let count = |folder: &str| {
            let entries = fs::read_dir(self.dir.path().join("mail/ada").join(folder));
            entries.map_or(0, |entries| entries.count())
        };
        count("cur") + count("new") + count("tmp")
    }
}
