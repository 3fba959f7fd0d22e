//! Files as mails: IMAP at dovecot.

use crate::proxy::{Harm, Proxy};
use crate::servers::Dovecot;
use crate::storage_contract::{opened, settings, source};
use crate::storage_troubles::{PLACES, impatient, must_time_out, survives_cuts};
use dupr::engine::ErrorKind;
use dupr::engine::storage::{Storage, StorageOptions};
use dupr::testing::contract;
use std::process::Command;
use std::time::Duration;

fn options() -> StorageOptions {
    StorageOptions {
        backoff: Duration::from_millis(50),
        attempts: 3,
        environment: [("IMAP_PASSWORD", "p@ss:w")].into_iter().collect(),
        ..StorageOptions::default()
    }
}

fn url(port: u16, folder: &str) -> String {
    format!("imap://ada@127.0.0.1:{port}/{folder}")
}

fn names(storage: &dyn Storage) -> Vec<String> {
    let listed = storage.list().expect("list");
    let mut names: Vec<String> = listed.into_iter().map(|object| object.name).collect();
    names.sort();
    names
}

/// Sends mails to the first mailbox: each argument is one, without the ends of its lines.
const SEND: &str = r#"
import imaplib, sys
server = imaplib.IMAP4("127.0.0.1", int(sys.argv[1]))
server.login("ada", "p@ss:w")
for mail in sys.argv[2:]:
    assert server.append("INBOX", None, None, mail.encode())[0] == "OK"
"#;

fn send(server: &Dovecot, mails: &[&str]) {
    let sent = Command::new("/usr/bin/python3")
        .args(["-c", SEND, &server.port.to_string()])
        .args(mails)
        .output()
        .expect("python3");
    assert!(sent.status.success(), "{sent:?}");
}

/// The server admits fewer connections than there are threads.
#[test]
fn imap_keeps_the_contract() {
    let server = Dovecot::start();
    let storage = opened(&url(server.port, "some/folder"), &options());
    contract::run(&*storage);
    contract::exclusive_claims(&*storage);
    contract::long_listing(&*storage, 700);
    assert_eq!(server.mails(), 0, "nothing is left");
}

#[test]
fn imaps_keeps_the_contract_in_a_mailbox_of_its_own() {
    let server = Dovecot::secure();
    let certificate = server.certificate().display().to_string();
    let mut options = options();
    let url = url(server.port, "folder").replacen("imap:", "imaps:", 1);
    let error = opened(&url, &options).list().expect_err("a stranger");
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    assert!(error.hint().is_some_and(|h| h.contains("ca-file")));
    options.settings = settings(&[("ca-file", &certificate), ("mailbox", "back \"up\"")]);
    contract::run(&*opened(&url, &options));
    assert_eq!(server.mails(), 0);
}

/// Other mails stay as they are, folders do not see each other, and the search of a server finds more than was meant.
#[test]
fn mails_of_others_are_left_alone() {
    let server = Dovecot::start();
    send(
        &server,
        &[
            "From: ada@example.org\r\nSubject: a\r\n\r\nhello\r\n",
            "Subject: a\r\n\r\nnobody's\r\n",
            "From: folder\r\nSubject: no file\r\n\r\nhello\r\n",
            "From: folder\r\nSubject: empty\r\nContent-Transfer-Encoding: base64\r\n\r\n",
            "From: folder\r\nSubject: \r\n b\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\
             Content-Type: application/binary\r\nContent-Transfer-Encoding: base64\r\n\r\nYWJjZA==\r\n--x--\r\n",
        ],
    );
    let before = server.mails();
    let storage = opened(&url(server.port, "folder"), &options());
    let longer = opened(&url(server.port, "folder/x"), &options());
    longer.put("a.1", source(20).path()).expect("put");
    storage.put("a.1", source(10).path()).expect("put");
    storage.put("a.10", source(11).path()).expect("put");
    let mut listed = storage.list().expect("list");
    listed.sort();
    let listed: Vec<_> = listed.iter().map(|o| (o.name.as_str(), o.size)).collect();
    assert_eq!(listed, [("a.1", 10), ("a.10", 11), ("b", 4), ("empty", 0)]);
    let mut got = Vec::new();
    storage.get("b", &mut got).expect("get");
    assert_eq!(got, b"abcd");
    assert_eq!(storage.stat("a").expect("stat"), None);
    storage.delete("a.1").expect("delete");
    storage.delete("a").expect("there is none");
    assert_eq!(names(&*longer), ["a.1"]);
    assert_eq!(names(&*storage), ["a.10", "b", "empty"]);
    // A file that was sent twice is there once, and goes as a whole.
    storage.put("b", source(30).path()).expect("put");
    send(
        &server,
        &[
            "From: folder\r\nSubject: b\r\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: base64\r\n\r\nWA==\r\n",
        ],
    );
    assert_eq!(storage.stat("b").expect("stat").map(|o| o.size), Some(1));
    assert_eq!(storage.list().expect("list").len(), 3);
    storage.delete("b").expect("delete");
    assert_eq!(storage.stat("b").expect("stat"), None);
    for name in ["a.10", "empty"] {
        storage.delete(name).expect("delete");
    }
    longer.delete("a.1").expect("delete");
    assert_eq!(server.mails(), before - 2, "b and empty were files");
}

#[test]
fn imap_troubles_have_a_kind_and_a_way_out() {
    let server = Dovecot::start();
    let url = url(server.port, "x");
    let mut wrong = options();
    wrong.environment.set("IMAP_PASSWORD", "canary");
    let error = opened(&url, &wrong).list().expect_err("wrong password");
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    assert!(error.hint().is_some_and(|h| h.contains("IMAP_PASSWORD")));
    assert!(!format!("{error:?}").contains("canary"), "{error:?}");
    let mut elsewhere = options();
    elsewhere.environment.set("IMAP_SERVER", "127.0.0.1");
    opened(&url.replace("127.0.0.1", "nowhere.invalid"), &elsewhere)
        .list()
        .expect("IMAP_SERVER is the server");
    let mut absent = options();
    absent.settings = settings(&[("mailbox", "absent")]);
    let storage = opened(&url, &absent);
    assert_eq!(names(&*storage), Vec::<String>::new());
    storage.delete("a").expect("there is none");
    let error = storage.get("a", &mut Vec::new()).expect_err("none");
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    let secure = url.replacen("imap:", "imaps:", 1);
    let error = opened(&secure, &options()).list().expect_err("no TLS");
    assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
    assert!(error.hint().is_some_and(|h| h.contains("imap://")));
    let closed = "imap://ada@127.0.0.1:1/x";
    let error = opened(closed, &options()).list().expect_err("nobody");
    assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
}

#[test]
fn a_full_mailbox_is_full() {
    let server = Dovecot::with(
        false,
        "mail_plugins = quota\nprotocol imap {\n mail_plugins = quota imap_quota\n}\n\
         plugin {\n quota = maildir:User quota\n quota_rule = *:storage=1M\n quota_grace = 0\n}",
    );
    let storage = opened(&url(server.port, "x"), &options());
    storage.put("kept", source(100_000).path()).expect("fits");
    for name in ["new", "kept"] {
        let error = storage.put(name, source(2 << 20).path());
        let error = error.expect_err("does not fit");
        assert_eq!(error.kind(), ErrorKind::Full, "{error}");
    }
    let mut got = Vec::new();
    storage.get("kept", &mut got).expect("still there");
    assert!(got == vec![0x5a; 100_000]);
    assert_eq!(names(&*storage), ["kept"]);
}

#[test]
fn imap_survives_cut_connections() {
    let server = Dovecot::start();
    let proxy = Proxy::to(server.port);
    let options = StorageOptions {
        attempts: 6,
        ..options()
    };
    // A connection that is open when harm is planned is not harmed: one target per place.
    for place in PLACES {
        let folder = format!("x{place}");
        survives_cuts(
            &*opened(&url(proxy.port, &folder), &options),
            &proxy,
            &[*place],
        );
    }
    assert!(proxy.passed() > 0);
}

#[test]
fn a_mail_server_that_goes_dead_is_unreachable() {
    let server = Dovecot::start();
    let proxy = Proxy::to(server.port);
    let at = url(proxy.port, "x");
    let storage = opened(&at, &impatient(options()));
    storage.put("large", source(20 << 20).path()).expect("put");
    drop(storage);
    for (what, bytes) in [("list", 0u64), ("get", 300_000), ("put", 2_000_000)] {
        let storage = opened(&at, &impatient(options()));
        proxy.harm([Harm::Stall(bytes)]);
        must_time_out(what, || match what {
            "list" => storage.list().map(|_| ()),
            "get" => storage.get("large", &mut Vec::new()).map(|_| ()),
            _ => storage.put("new", source(20 << 20).path()),
        });
        // The next call makes a new connection.
        assert_eq!(names(&*storage), ["large"], "{what}");
    }
}
