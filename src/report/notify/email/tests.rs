//! Mail to a real SMTP server (aiosmtpd) on the loopback interface, and to a program in place of sendmail.

use super::super::super::Report;
use super::super::super::tests::night;
use super::*;
use crate::profile::{Moment, SecretRef};
use crate::run::outcome::Verdict;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// A server that prints each message as one line of JSON. Ended when dropped.
struct TestServer {
    child: Child,
    port: u16,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

const SERVER: &str = r#"
import asyncio, json, sys
from aiosmtpd.smtp import SMTP, AuthResult
greylist = {"left": int(sys.argv[2])}
class Handler:
    async def handle_DATA(self, server, session, envelope):
        if greylist["left"]:
            greylist["left"] -= 1
            return "451 later"
        print(json.dumps({"from": envelope.mail_from, "to": envelope.rcpt_tos,
                          "user": getattr(session, "user", None),
                          "data": envelope.content.decode("utf-8", "replace")}), flush=True)
        return "250 OK"
def check(server, session, envelope, mechanism, data):
    good = data.login == b"me" and data.password == b"s3cret-canary"
    if good: session.user = "me"
    return AuthResult(success=good, handled=False)
async def main():
    auth = sys.argv[1] == "auth"
    factory = lambda: SMTP(Handler(), authenticator=check if auth else None, auth_required=auth, auth_require_tls=False)
    server = await asyncio.get_running_loop().create_server(factory, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"#;

impl TestServer {
    fn start(mode: &str, greylisted: u32) -> Self {
        let variable = |name| std::env::var_os(name).map(PathBuf::from);
        let usual = || {
            variable("HOME")
                .unwrap_or_default()
                .join(".cache/dupr-test")
        };
        let services = variable("DUPR_TEST_CACHE")
            .unwrap_or_else(usual)
            .join("services/bin/python3");
        let python = if services.exists() {
            services
        } else {
            "python3".into()
        };
        let mut child = Command::new(&python)
            .args(["-c", SERVER, mode, &greylisted.to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("{} is needed for this test: {e}", python.display()));
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = lines
            .next()
            .expect("python needs aiosmtpd: tests/setup installs it")
            .unwrap();
        Self {
            port: port.parse().unwrap(),
            child,
            lines,
        }
    }

    fn message(&mut self) -> serde_json::Value {
        serde_json::from_str(&self.lines.next().unwrap().unwrap()).unwrap()
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn settings(transport: MailTransport) -> Email {
    Email {
        to: vec!["Ada <ada@example.org>".into(), "ops@example.org".into()],
        from: "backup@example.org".into(),
        transport,
        when: vec![Moment::Failure],
        attach_log: true,
        templates: BTreeMap::new(),
    }
}

fn smtp(url: String, password: Option<SecretRef>) -> Email {
    let (server, _) = MailServer::parse(&url).unwrap();
    settings(MailTransport::Smtp {
        server,
        password,
        ca_file: None,
    })
}

fn send(settings: Email) -> Result<Sent> {
    let notifier = EmailNotifier {
        pause: Duration::ZERO,
        ..EmailNotifier::new(settings)
    };
    tell(&notifier, "s3cret-canary")
}

fn tell(notifier: &EmailNotifier, password: &str) -> Result<Sent> {
    let (outcome, past) = (night(2, Verdict::Failed), [night(1, Verdict::Success)]);
    let log = ["02:17:00 started".to_owned()];
    let report = Report::new(&outcome, &past, &log);
    let news = News {
        report: &report,
        outcome: &outcome,
        past: &past,
        log: &log,
        code: 13,
        test: false,
    };
    notifier.send(&news, &|_| Ok(Secret::new(password)))
}

#[test]
fn a_failure_arrives_with_both_parts_and_the_log() {
    let mut server = TestServer::start("open", 0);
    send(smtp(format!("smtp://127.0.0.1:{}", server.port), None)).unwrap();
    let got = server.message();
    assert_eq!(got["from"], "backup@example.org");
    assert_eq!(
        got["to"],
        serde_json::json!(["ada@example.org", "ops@example.org"])
    );
    let data = got["data"].as_str().unwrap();
    let subject = data.lines().find(|l| l.starts_with("Subject: ")).unwrap();
    assert_eq!(subject, "Subject: [dupr] FAILED home on nas1: target full");
    for part in [
        "multipart/mixed",
        "multipart/alternative",
        "text/plain",
        "text/html",
        "filename=\"dupr.log\"",
    ] {
        assert!(data.contains(part), "{part} is missing:\n{data}");
    }
    assert!(data.contains("Auto-Submitted: auto-generated"));
}

#[test]
fn a_password_is_used_and_never_told() {
    let mut server = TestServer::start("auth", 0);
    let password = Some(SecretRef::Env("SMTP_PASS".into()));
    let url = format!("smtp://me@127.0.0.1:{}", server.port);
    send(smtp(url.clone(), password.clone())).unwrap();
    let got = server.message();
    assert_eq!(got["user"], "me");
    assert!(!got.to_string().contains("canary"));
    let wrong = EmailNotifier::new(smtp(url, password));
    let error = tell(&wrong, "wrong-canary").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
}

#[test]
fn a_server_that_says_later_is_asked_again() {
    let mut server = TestServer::start("open", 1);
    send(smtp(format!("smtp://127.0.0.1:{}", server.port), None)).unwrap();
    server.message();
}

#[test]
fn nobody_there_is_an_error_and_a_silent_server_too() {
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let error = send(smtp(format!("smtp://127.0.0.1:{port}"), None)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(
        error.to_string().contains(&format!("127.0.0.1:{port}")),
        "{error}"
    );
}

#[test]
fn addresses_and_names_cannot_smuggle_headers() {
    let bad = Email {
        to: vec!["a@example.org\r\nBcc: all@example.org".into()],
        ..smtp("smtp://h".into(), None)
    };
    assert_eq!(send(bad).unwrap_err().kind(), ErrorKind::Usage);
    let notifier = EmailNotifier::new(smtp("smtp://h".into(), None));
    let mut outcome = night(2, Verdict::Failed);
    outcome.profile = "x\r\nBcc: all@example.org\r\n\r\n<script>".into();
    let report = Report::new(&outcome, &[], &[]);
    let message = render::render(&report, &BTreeMap::new()).unwrap();
    let mail = String::from_utf8(notifier.compose(&message, &[]).unwrap().formatted()).unwrap();
    let headers = mail.split("\r\n\r\n").next().unwrap();
    assert!(
        !headers.lines().any(|l| l.to_lowercase().starts_with("bcc")),
        "{headers}"
    );
}

#[test]
fn sendmail_gets_the_message_on_its_input() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("sendmail");
    let got = directory.path().join("got");
    std::fs::write(
        &program,
        format!("#!/bin/sh\necho \"$@\" > {0}\ncat >> {0}\n", got.display()),
    )
    .unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
    send(settings(MailTransport::Sendmail(program.clone()))).unwrap();
    let text = std::fs::read_to_string(&got).unwrap();
    assert!(
        text.lines().next().unwrap().contains("ada@example.org"),
        "{text}"
    );
    assert!(text.contains("Subject: [dupr] FAILED home"));
    std::fs::write(&program, "#!/bin/sh\ncat >/dev/null\nexit 75\n").unwrap();
    assert!(send(settings(MailTransport::Sendmail(program))).is_err());
}
