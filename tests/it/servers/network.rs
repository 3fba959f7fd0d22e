//! Servers of FTP, and of Azure's blob storage.

use super::files::make_certificate;
use super::{Process, free_ports, installed, serve, serve_at};
use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use tempfile::TempDir;

/// An FTP server with one user, `ada`, whose password is `p@ss:w`.
pub struct Ftpd {
    _process: Process,
    dir: TempDir,
    /// Where it listens, on 127.0.0.1 if nothing else is said.
    pub port: u16,
    /// Where it takes data lines, if that was asked for.
    pub data_ports: Vec<u16>,
}

/// A small FTP server that lacks what came after RFC 959, and admits three connections.
const OLD_FTPD: &str = r#"
import sys
from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import FTPServer
class Old(FTPHandler):
    proto_cmds = {k: v for k, v in FTPHandler.proto_cmds.items() if k not in ("MLSD", "MLST", "EPSV", "EPRT", "FEAT")}
    authorizer = DummyAuthorizer()
Old.authorizer.add_user("ada", "p@ss:w", sys.argv[1], perm="elradfmwMT")
server = FTPServer(("127.0.0.1", int(sys.argv[2])), Old)
server.max_cons_per_ip = 3
server.serve_forever()
"#;

impl Ftpd {
    /// Another address of loopback.
    pub const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
    const EXPLICIT: &str = "TLSProtocol TLSv1.2 TLSv1.3\n";
    const IMPLICIT: &str =
        "TLSProtocol TLSv1.3\nTLSOptions UseImplicitSSL NoSessionReuseRequired\n";

    /// proftpd without TLS.
    pub fn start() -> Self {
        Self::proftpd("")
    }

    /// The same with these lines instead of `AllowOverwrite on`.
    pub fn that_says(lines: &str) -> Self {
        Self::proftpd_with("", lines)
    }

    /// proftpd that wants TLS, begun by command, and resumed for each data connection.
    pub fn explicit() -> Self {
        Self::proftpd(Self::EXPLICIT)
    }

    /// proftpd that speaks TLS from the first byte, and only 1.3; its certificate is that of an authority.
    pub fn implicit() -> Self {
        Self::proftpd(Self::IMPLICIT)
    }

    /// One of the two with TLS that listens on [`Ftpd::ELSEWHERE`] alone and takes data lines on few ports: on the same ports of
    /// 127.0.0.1 somebody can stand before it.
    pub fn elsewhere(is_implicit: bool) -> Self {
        let tls = match is_implicit {
            true => Self::IMPLICIT,
            false => Self::EXPLICIT,
        };
        let ports = free_ports(24);
        let (first, last) = (ports[0], ports[ports.len() - 1]);
        let lines = format!("AllowOverwrite on\nPassivePorts {first} {last}\n");
        let mut server = Self::proftpd_at(&Self::ELSEWHERE.to_string(), tls, &lines);
        server.data_ports = ports;
        server
    }

    /// pyftpdlib, cut down.
    pub fn old() -> Self {
        let python = installed("DUPR_TEST_FTP", ["ftp", "ftp"], "bin/python");
        let dir = TempDir::new().expect("temp dir");
        let files = dir.path().join("files");
        fs::create_dir(&files).expect("dir");
        let (process, port) = serve(&dir.path().join("log"), "run tests/setup", |port| {
            let mut command = Command::new(&python);
            command.args(["-c", OLD_FTPD]);
            command.arg(&files).arg(port.to_string());
            command
        });
        Self {
            _process: process,
            dir,
            port,
            data_ports: Vec::new(),
        }
    }

    fn proftpd(tls: &str) -> Self {
        Self::proftpd_with(tls, "AllowOverwrite on\n")
    }

    fn proftpd_with(tls: &str, lines: &str) -> Self {
        Self::proftpd_at("127.0.0.1", tls, lines)
    }

    fn proftpd_at(host: &str, tls: &str, lines: &str) -> Self {
        let dir = TempDir::new().expect("temp dir");
        let path = |name: &str| dir.path().join(name);
        fs::create_dir(path("files")).expect("dir");
        let hashed = Command::new("openssl")
            .args(["passwd", "-1", "p@ss:w"])
            .output()
            .expect("openssl; run tests/setup");
        let (uid, gid) = (
            rustix::process::geteuid().as_raw(),
            rustix::process::getegid().as_raw(),
        );
        let line = format!(
            "ada:{}:{uid}:{gid}::{}:/bin/sh\n",
            String::from_utf8_lossy(&hashed.stdout).trim(),
            path("files").display()
        );
        fs::write(path("passwd"), line).expect("passwd");
        fs::set_permissions(path("passwd"), fs::Permissions::from_mode(0o600)).expect("mode");
        let secure = if tls.is_empty() {
            String::new()
        } else {
            make_certificate(dir.path(), tls.contains("Implicit"));
            let key = fs::Permissions::from_mode(0o600);
            fs::set_permissions(path("key.pem"), key).expect("mode");
            format!(
                "LoadModule mod_tls.c\nTLSEngine on\nTLSRequired on\nTLSRSACertificateFile {0}/cert.pem\n\
                 TLSRSACertificateKeyFile {0}/key.pem\n{tls}",
                dir.path().display()
            )
        };
        let id = |option| {
            let answer = Command::new("id").arg(option).output().expect("id").stdout;
            String::from_utf8_lossy(&answer).trim().to_string()
        };
        let (user, group) = (id("-un"), id("-gn"));
        let root = if uid == 0 { "RootLogin on\n" } else { "" };
        let (process, port) = serve_at(host, &path("log"), "run tests/setup", |port| {
            let config = format!(
                "ServerType standalone\nDefaultAddress {host}\nPort {port}\nUseIPv6 off\nUser {user}\n\
                 Group {group}\n{root}RequireValidShell off\nAuthUserFile {0}/passwd\nAuthOrder mod_auth_file.c\n\
                 PidFile {0}/pid\nScoreboardFile {0}/scoreboard\nSystemLog {0}/system.log\nTransferLog none\n\
                 WtmpLog off\nUseReverseDNS off\nTimeoutLinger 1\n{lines}{secure}",
                dir.path().display()
            );
            fs::write(path("config"), config).expect("config");
            let mut command = Command::new("/usr/sbin/proftpd");
            command.args(["-n", "-q", "-c"]).arg(path("config"));
            command
        });
        Self {
            _process: process,
            dir,
            port,
            data_ports: Vec::new(),
        }
    }

    /// The directory a login leads to.
    pub fn files(&self) -> PathBuf {
        self.dir.path().join("files")
    }

    /// The certificate of a server with TLS, for 127.0.0.1.
    pub fn certificate(&self) -> PathBuf {
        self.dir.path().join("cert.pem")
    }
}

/// azurite: Microsoft's own imitation of its blob storage, with one container, `container`.
pub struct Azurite {
    _process: Process,
    _dir: TempDir,
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
}

/// Account and key that azurite has built in.
const AZURITE_ACCOUNT: &str = "devstoreaccount1";
const AZURITE_KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// Makes the container with one signed request.
const AZURITE_SETUP: &str = r#"
import sys, base64, email.utils, hashlib, hmac, urllib.request
port, account, key = sys.argv[1:]
head = {"x-ms-date": email.utils.formatdate(usegmt=True), "x-ms-version": "2021-08-06"}
lines = "".join(f"{name}:{value}\n" for name, value in sorted(head.items()))
text = "PUT" + "\n" * 12 + lines + f"/{account}/{account}/container\nrestype:container"
mac = hmac.new(base64.b64decode(key), text.encode(), hashlib.sha256).digest()
head["Authorization"] = f"SharedKey {account}:{base64.b64encode(mac).decode()}"
url = f"http://127.0.0.1:{port}/{account}/container?restype=container"
urllib.request.urlopen(urllib.request.Request(url, data=b"", headers={**head, "Content-Type": ""}, method="PUT"))
"#;

/// Prints the tier and the name of each blob, by one signed request.
const AZURITE_TIERS: &str = r#"
import sys, base64, email.utils, hashlib, hmac, re, urllib.request
port, account, key, container = sys.argv[1:]
head = {"x-ms-date": email.utils.formatdate(usegmt=True), "x-ms-version": "2021-08-06"}
lines = "".join(f"{name}:{value}\n" for name, value in sorted(head.items()))
text = "GET" + "\n" * 12 + lines + f"/{account}/{account}/{container}\ncomp:list\nrestype:container"
mac = hmac.new(base64.b64decode(key), text.encode(), hashlib.sha256).digest()
head["Authorization"] = f"SharedKey {account}:{base64.b64encode(mac).decode()}"
url = f"http://127.0.0.1:{port}/{account}/{container}?restype=container&comp=list"
said = urllib.request.urlopen(urllib.request.Request(url, headers=head)).read().decode()
for name, rest in re.findall("<Name>(.*?)</Name>(.*?)</Blob>", said, re.S):
    print(re.search("<AccessTier>(.*?)<", rest).group(1), name)
"#;

/// Prints an access signature for the container with these rights.
const AZURITE_TOKEN: &str = r#"
import sys, base64, hashlib, hmac, urllib.parse
account, key, container, rights = sys.argv[1:]
end, version = "2999-01-01T00:00:00Z", "2021-08-06"
lines = [rights, "", end, f"/blob/{account}/{container}", "", "", "", version, "c", "", "", "", "", "", "", ""]
mac = hmac.new(base64.b64decode(key), "\n".join(lines).encode(), hashlib.sha256).digest()
print(urllib.parse.urlencode({"sv": version, "sr": "c", "sp": rights, "se": end, "sig": base64.b64encode(mac).decode()}))
"#;

impl Azurite {
    /// Account and key, for the variables of Microsoft's own tool.
    pub const KEY: (&str, &str) = (AZURITE_ACCOUNT, AZURITE_KEY);

    /// An access signature for the container, which lets its holder do this: letters of `racwdl`.
    pub fn token(&self, rights: &str) -> String {
        let made = Command::new("/usr/bin/python3")
            .args(["-c", AZURITE_TOKEN, AZURITE_ACCOUNT, AZURITE_KEY])
            .args(["container", rights])
            .output()
            .expect("python3; run tests/setup");
        assert!(made.status.success(), "{made:?}");
        String::from_utf8_lossy(&made.stdout).trim().to_string()
    }

    /// For the option `endpoint`.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}/{AZURITE_ACCOUNT}", self.port)
    }

    /// Names of the blobs in the container, and the access tier of each.
    pub fn tiers(&self, container: &str) -> Vec<(String, String)> {
        let listed = Command::new("/usr/bin/python3")
            .args(["-c", AZURITE_TIERS, &self.port.to_string()])
            .args([AZURITE_ACCOUNT, AZURITE_KEY, container])
            .output()
            .expect("python3; run tests/setup");
        let said = String::from_utf8_lossy(&listed.stdout).into_owned();
        assert!(listed.status.success(), "{listed:?}");
        let rows = said.lines().filter_map(|line| line.split_once(' '));
        rows.map(|(tier, name)| (name.into(), tier.into()))
            .collect()
    }

    /// Starts it.
    pub fn start() -> Self {
        let program = installed(
            "DUPR_TEST_NPM",
            ["azurite", "npm"],
            "node_modules/.bin/azurite-blob",
        );
        let dir = TempDir::new().expect("temp dir");
        let (process, port) = serve(&dir.path().join("log"), "run tests/setup", |port| {
            let mut command = Command::new(&program);
            command.args(["--blobHost", "127.0.0.1", "--blobPort", &port.to_string()]);
            command.args([
                "--silent",
                "--skipApiVersionCheck",
                "--disableTelemetry",
                "-l",
            ]);
            command.arg(dir.path().join("data"));
            command
        });
        let setup = Command::new("/usr/bin/python3")
            .args(["-c", AZURITE_SETUP, &port.to_string()])
            .args([AZURITE_ACCOUNT, AZURITE_KEY])
            .output()
            .expect("python3; run tests/setup");
        assert!(
            setup.status.success(),
            "azurite cannot be set up: {}",
            String::from_utf8_lossy(&setup.stderr)
        );
        Self {
            _process: process,
            _dir: dir,
            port,
        }
    }

    /// For `AZURE_CONNECTION_STRING`.
    pub fn connection_string(&self) -> String {
        self.connection_string_with(AZURITE_KEY)
    }

    /// The same with another key.
    pub fn connection_string_with(&self, key: &str) -> String {
        format!(
            "DefaultEndpointsProtocol=http;AccountName={AZURITE_ACCOUNT};AccountKey={key};\
             BlobEndpoint=http://127.0.0.1:{}/{AZURITE_ACCOUNT};",
            self.port
        )
    }
}

/// TLS in front of a server that has none: what comes is handed on, what it answers goes back.
const RELAY: &str = r#"
import socket, ssl, sys, threading
port, to, cert, key = sys.argv[1:]
context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(cert, key)
def hand_on(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
    except OSError:
        pass
    for end in (source, sink):
        try: end.shutdown(socket.SHUT_RDWR)
        except OSError: pass
def serve(plain):
    try:
        client = context.wrap_socket(plain, server_side=True)
        server = socket.create_connection(("127.0.0.1", int(to)))
    except OSError:
        return plain.close()
    threading.Thread(target=hand_on, args=(server, client), daemon=True).start()
    hand_on(client, server)
listener = socket.create_server(("127.0.0.1", int(port)))
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"#;

/// TLS in front of another server of loopback.
pub struct Tls {
    _process: Process,
    dir: TempDir,
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
}

impl Tls {
    /// Starts it in front of this port.
    pub fn before(to: u16) -> Self {
        let dir = TempDir::new().expect("temp dir");
        super::files::make_certificate(dir.path(), false);
        let (process, port) = serve(&dir.path().join("log"), "run tests/setup", |port| {
            let mut command = Command::new("/usr/bin/python3");
            command.args(["-c", RELAY, &port.to_string(), &to.to_string()]);
            command.args([dir.path().join("cert.pem"), dir.path().join("key.pem")]);
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
}
