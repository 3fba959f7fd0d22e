//! Mail over TLS to a real server (aiosmtpd) on the loopback interface, with certificates made here by openssl.
//!
//! `ca-file` makes dupr demand TLS of this very machine too, so that STARTTLS can be seen at work.

use crate::support::home::Home;
use crate::support::programs;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Password of the mail user; it must be seen nowhere.
pub const PASSWORD: &str = "smtp-canary-0815";

/// argv: smtps | starttls | plain, certificate, key, file for mail, password. Prints the port.
const SERVER: &str = r#"
import asyncio, ssl, sys
from aiosmtpd.smtp import SMTP, AuthResult
mode, cert, key, box, password = sys.argv[1:]
class Handler:
    async def handle_DATA(self, server, session, envelope):
        with open(box, "a") as f:
            f.write("user=%s tls=%s\n" % (getattr(session, "user", None), bool(session.ssl) or mode == "smtps"))
            f.write(envelope.content.decode("utf-8", "replace"))
        return "250 OK"
def check(server, session, envelope, mechanism, data):
    good = data.login == b"me" and data.password == password.encode()
    if good: session.user = "me"
    return AuthResult(success=good, handled=False)
async def main():
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(cert, key)
    def factory():
        starttls = mode == "starttls"
        return SMTP(Handler(), authenticator=check, auth_required=True, hostname="localhost",
                    auth_require_tls=starttls, tls_context=tls if starttls else None, require_starttls=starttls)
    server = await asyncio.get_running_loop().create_server(
        factory, "127.0.0.1", 0, ssl=tls if mode == "smtps" else None)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"#;

/// A mail server. Ended when dropped.
pub struct Server {
    child: Child,
    /// Where it listens, on 127.0.0.1.
    pub port: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An authority of our own and a certificate for `localhost` signed by it.
pub struct Authority {
    dir: PathBuf,
    openssl: PathBuf,
}

impl Authority {
    /// `None` if openssl may be missing and is.
    pub fn new(dir: &Path) -> Option<Self> {
        let openssl = programs::find("openssl")?;
        let dir = dir.join("tls");
        fs::create_dir_all(&dir).expect("tls");
        let this = Self { dir, openssl };
        let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
        let ca = [
            "-nodes",
            "-x509",
            "-days",
            "2",
            "-subj",
            "/CN=test CA",
            "-keyout",
            "ca.key",
            "-out",
            "ca.pem",
        ];
        this.openssl(&[&["req"][..], &key, &ca].concat());
        this.certificate("localhost");
        Some(this)
    }

    /// Makes `NAME.pem` and `NAME.key`, valid for that name.
    fn certificate(&self, name: &str) {
        let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
        let subject = format!("/CN={name}");
        let (keyout, request, out) = (
            format!("{name}.key"),
            format!("{name}.csr"),
            format!("{name}.pem"),
        );
        let ask = [
            "-nodes", "-subj", &subject, "-keyout", &keyout, "-out", &request,
        ];
        self.openssl(&[&["req"][..], &key, &ask].concat());
        fs::write(self.dir.join("ext"), format!("subjectAltName=DNS:{name}\n")).expect("ext");
        self.openssl(&[
            "x509",
            "-req",
            "-in",
            &request,
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-days",
            "2",
            "-extfile",
            "ext",
            "-out",
            &out,
        ]);
    }

    fn openssl(&self, arguments: &[&str]) {
        let output = Command::new(&self.openssl)
            .args(arguments)
            .current_dir(&self.dir)
            .output()
            .expect("openssl is needed for this test");
        assert!(
            output.status.success(),
            "openssl {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// A file among its certificates and keys.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// A server that shows the certificate of `name`, knows the user `me` and keeps what it gets in the file `mail` of the home;
    /// `None` if aiosmtpd may be missing and is.
    pub fn serve(&self, home: &Home, mode: &str, name: &str) -> Option<Server> {
        let aiosmtpd = programs::find("aiosmtpd")?;
        let real = fs::canonicalize(&aiosmtpd).expect("aiosmtpd");
        let python = real.with_file_name("python3");
        let mut child = Command::new(if python.exists() {
            python
        } else {
            "python3".into()
        })
        .args(["-c", SERVER, mode])
        .arg(self.file(&format!("{name}.pem")))
        .arg(self.file(&format!("{name}.key")))
        .arg(home.path().join("mail"))
        .arg(PASSWORD)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("python starts");
        let mut port = String::new();
        BufReader::new(child.stdout.take().expect("stdout"))
            .read_line(&mut port)
            .expect("a port");
        let port = port.trim().to_owned();
        assert!(!port.is_empty(), "aiosmtpd did not start");
        Some(Server { child, port })
    }
}

/// A profile that always mails, with `more` in its mail table.
fn mailing(home: &Home, url: &str, more: &str) {
    let pass = home.path().join("smtp.pass");
    fs::write(&pass, PASSWORD).expect("password");
    fs::set_permissions(&pass, fs::Permissions::from_mode(0o600)).expect("mode");
    home.profile(
        "home",
        &format!(
            "[report.email]\nto = \"ada@example.org\"\nfrom = \"dupr@example.org\"\nwhen = [\"always\"]\n\
             smtp = {url:?}\npassword = {{ file = {pass:?} }}\n{more}\n"
        ),
    );
}

fn mail(home: &Home) -> String {
    fs::read_to_string(home.path().join("mail")).unwrap_or_default()
}

#[test]
fn mail_goes_over_tls_with_a_login_and_an_authority_of_our_own() {
    let home = Home::new("mail-tls");
    let Some(authority) = Authority::new(home.path()) else {
        return;
    };
    for (mode, scheme) in [("smtps", "smtps"), ("starttls", "smtp")] {
        let Some(server) = authority.serve(&home, mode, "localhost") else {
            return;
        };
        let _ = fs::remove_file(home.path().join("mail"));
        mailing(
            &home,
            &format!("{scheme}://me@localhost:{}", server.port),
            "ca-file = \"../../tls/ca.pem\"",
        );
        home.expect(0, &["home", "backup"]);
        let mail = mail(&home);
        assert!(
            mail.starts_with("user=me tls=True\n") && mail.contains("Subject: [dupr] ok home on "),
            "{mode}: {mail}"
        );
        assert!(!mail.contains(PASSWORD));
    }
}

#[test]
fn certificates_that_prove_nothing_are_refused_by_name() {
    let home = Home::new("mail-cert");
    let Some(authority) = Authority::new(home.path()) else {
        return;
    };
    authority.certificate("elsewhere.example");
    for (mode, scheme, name, more, says) in [
        ("smtps", "smtps", "localhost", "", "ca-file"),
        (
            "smtps",
            "smtps",
            "elsewhere.example",
            "ca-file = \"../../tls/ca.pem\"",
            "not for the name localhost",
        ),
        (
            "starttls",
            "smtp",
            "localhost",
            "ca-file = \"../../tls/elsewhere.example.pem\"",
            "ca-file",
        ),
    ] {
        let Some(server) = authority.serve(&home, mode, name) else {
            return;
        };
        let url = format!("{scheme}://me@localhost:{}", server.port);
        mailing(&home, &url, more);
        let called = home.expect(3, &["home", "backup"]);
        assert!(
            called.stderr.contains("certificate") && called.stderr.contains(says),
            "{name} {more}: {}",
            called.stderr
        );
        assert!(!called.stderr.contains(PASSWORD));
        let tested = home.expect(3, &["mail-test", "home"]);
        assert!(tested.stderr.contains(says), "{}", tested.stderr);
        assert_eq!(mail(&home), "");
    }
}

#[test]
fn a_server_without_tls_gets_no_password() {
    let home = Home::new("mail-plain");
    let Some(authority) = Authority::new(home.path()) else {
        return;
    };
    for scheme in ["smtp", "smtps"] {
        let Some(server) = authority.serve(&home, "plain", "localhost") else {
            return;
        };
        let url = format!("{scheme}://me@localhost:{}", server.port);
        mailing(&home, &url, "ca-file = \"../../tls/ca.pem\"");
        let called = home.expect(3, &["home", "backup"]);
        assert!(called.stderr.contains("TLS"), "{scheme}: {}", called.stderr);
        assert_eq!(mail(&home), "");
    }
}

#[test]
fn a_wrong_login_is_told_without_the_password() {
    let home = Home::new("mail-login");
    let Some(authority) = Authority::new(home.path()) else {
        return;
    };
    let Some(server) = authority.serve(&home, "smtps", "localhost") else {
        return;
    };
    let url = format!("smtps://you@localhost:{}", server.port);
    mailing(&home, &url, "ca-file = \"../../tls/ca.pem\"");
    let called = home.expect(3, &["mail-test", "home"]);
    assert!(
        called.stderr.contains("you") && called.stderr.contains("535"),
        "{}",
        called.stderr
    );
    assert!(!called.stderr.contains(PASSWORD));
    let missing = home.path().join("nowhere.pem");
    mailing(&home, &url, &format!("ca-file = {missing:?}"));
    let called = home.dupr(&["mail-test", "home"]);
    assert!(called.stderr.contains("nowhere.pem"), "{}", called.stderr);
    mailing(&home, &url, "ca-file = \"../../tls/ext\"");
    let called = home.expect(2, &["mail-test", "home"]);
    assert!(
        called.stderr.contains("no certificate"),
        "{}",
        called.stderr
    );
}
