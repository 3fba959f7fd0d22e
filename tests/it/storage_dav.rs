//! WebDAV where the password is proved and not sent, and where servers send one elsewhere: Apache.

use crate::servers::{Apache, Dav};
use crate::storage_contract::{names, opened, settings, source};
use dupr::engine::ErrorKind;
use dupr::engine::storage::{Storage, StorageOptions};
use dupr::testing::contract;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn options() -> StorageOptions {
    StorageOptions {
        backoff: Duration::from_millis(50),
        attempts: 3,
        environment: [("BACKEND_PASSWORD", "p@ss:w")].into_iter().collect(),
        ..StorageOptions::default()
    }
}

fn lives(storage: &dyn Storage) {
    storage.put("a", source(70_000).path()).expect("put");
    storage.put("a", source(10).path()).expect("put");
    storage.put("b", source(3 << 20).path()).expect("put");
    let mut got = Vec::new();
    storage.get("a", &mut got).expect("get");
    assert_eq!(got, [0x5a; 10]);
    storage.delete("a").expect("delete");
    let listed = storage.list().expect("list");
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert_eq!(
        storage.stat("b").expect("stat").map(|o| o.size),
        Some(3 << 20)
    );
    storage.delete("b").expect("delete");
}

/// Proofs run out all the time.
#[test]
fn webdav_proves_the_password() {
    let server = Apache::start();
    let url = format!("webdav://ada@127.0.0.1:{}/dav/made/by%20put", server.port);
    contract::run(&*opened(&url, &options()));
    let left = names(&server.files().join("made/by put"));
    assert_eq!(left, Vec::<String>::new(), "no temp file is left");

    for (user, password) in [("ada", "canary"), ("eve", "p@ss:w")] {
        let mut wrong = options();
        wrong.environment.set("BACKEND_PASSWORD", password);
        let storage = opened(&url.replacen("ada", user, 1), &wrong);
        for error in [
            storage.list().expect_err("wrong"),
            storage.put("a", source(10).path()).expect_err("wrong"),
        ] {
            assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
            assert!(!format!("{error:?}").contains("canary"), "{error:?}");
        }
    }
    let nobody = url.replacen("ada@", "", 1);
    let error = opened(&nobody, &options()).list().expect_err("nobody");
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
}

#[test]
fn webdav_goes_where_the_server_sends_it() {
    let server = Apache::start();
    // What is listed has the path at the other place, which may be shorter than the one that was asked for.
    for way in ["old/x", "a/long/way/there/y"] {
        let url = format!("webdav://ada@127.0.0.1:{}/{way}", server.port);
        lives(&*opened(&url, &options()));
    }

    let server = Apache::secure();
    let certificate = server.certificate().display().to_string();
    let mut trusting = options();
    trusting.settings = settings(&[("ca-file", &certificate)]);
    for url in [
        format!("webdav://ada@127.0.0.1:{}/dav/x", server.port),
        format!("webdavs://ada@127.0.0.1:{}/dav/y", server.secure),
    ] {
        lives(&*opened(&url, &trusting));
        let stranger = opened(&url, &options());
        let put = stranger.put("x", source(10).path());
        for error in [stranger.list().expect_err("list"), put.expect_err("put")] {
            assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
            assert!(error.to_string().contains("certificate"), "{error}");
            assert!(error.hint().is_some_and(|h| h.contains("ca-file")));
        }
    }
}

/// Answers every request with this, and keeps what was asked.
fn answering(said: String) -> (u16, Arc<Mutex<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port of loopback");
    let port = listener.local_addr().expect("address").port();
    let heard = Arc::<Mutex<String>>::default();
    let keeps = Arc::clone(&heard);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut text = Vec::new();
            let mut piece = [0; 4096];
            while !text.windows(4).any(|end| end == b"\r\n\r\n") {
                match stream.read(&mut piece) {
                    Ok(bytes @ 1..) => text.extend(&piece[..bytes]),
                    _ => break,
                }
            }
            keeps
                .lock()
                .expect("text")
                .push_str(&String::from_utf8_lossy(&text));
            let _ = stream.write_all(said.as_bytes());
        }
    });
    (port, heard)
}

/// Nobody else gets the password, and nobody gets it in the open who wants a proof.
#[test]
fn webdav_tells_the_password_to_no_other_server() {
    let empty = "Content-Length: 0\r\nConnection: close\r\n\r\n";
    let (other, heard) = answering(format!("HTTP/1.1 404 Not Found\r\n{empty}"));
    let (port, asked) = answering(format!(
        "HTTP/1.1 307 Elsewhere\r\nLocation: http://127.0.0.1:{other}/x\r\n{empty}"
    ));
    let mut talking = options();
    talking.settings = settings(&[("headers", "X-Token: canary\nX-Token: again")]);
    let storage = opened(&format!("webdav://ada@127.0.0.1:{port}/"), &talking);
    let error = storage.list().expect_err("another server");
    assert_eq!(error.kind(), ErrorKind::Usage, "{error}");
    assert!(error.to_string().contains(&other.to_string()), "{error}");
    let error = storage.get("a", &mut Vec::new()).expect_err("not there");
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    let heard = heard.lock().expect("text").to_lowercase();
    assert!(heard.starts_with("get /x"), "{heard}");
    let asked = asked.lock().expect("text").to_lowercase();
    for text in [&heard, &asked] {
        assert!(!text.contains("authorization"), "{text}");
    }
    assert!(
        asked.contains("x-token: canary\r\nx-token: again"),
        "{asked}"
    );
    assert!(!heard.contains("x-token"), "{heard}");

    let (port, asked) = answering(format!(
        "HTTP/1.1 401 Who\r\nWWW-Authenticate: Basic realm=\"x\"\r\n\
         WWW-Authenticate: Digest realm=\"x\", nonce=\"n\", algorithm=SHA-256, qop=\"auth\"\r\n{empty}"
    ));
    let storage = opened(&format!("webdav://ada@127.0.0.1:{port}/"), &options());
    storage.list().expect_err("never good enough");
    storage
        .put("a", source(10).path())
        .expect_err("never good enough");
    let asked = asked.lock().expect("text").to_lowercase();
    assert!(asked.contains("digest username=\"ada\""), "{asked}");
    assert!(!asked.contains("basic"), "{asked}");
}

/// Not a test: the process whose memory [`uploads_are_not_held_in_memory`] looks at.
#[test]
#[ignore = "started by another test"]
fn child_that_uploads_what_is_large() {
    let Ok(url) = std::env::var("DUPR_TEST_UPLOAD_TO") else {
        return;
    };
    let file = tempfile::NamedTempFile::new().expect("temp file");
    file.as_file().set_len(LARGE).expect("a file full of holes");
    let storage = opened(&url, &StorageOptions::default());
    storage.put("large", file.path()).expect("put");
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let most = status.lines().find(|line| line.starts_with("VmHWM:"));
    println!("{}", most.expect("a line"));
}

const LARGE: u64 = 200 << 20;

#[test]
fn uploads_are_not_held_in_memory() {
    let server = Dav::start();
    let url = format!("webdav://ada:p%40ss%3Aw@127.0.0.1:{}/x", server.port);
    let child = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "--ignored", "--nocapture"])
        .arg("storage_dav::child_that_uploads_what_is_large")
        .env("DUPR_TEST_UPLOAD_TO", url)
        .output()
        .expect("a second copy of this program");
    let said = String::from_utf8_lossy(&child.stdout).into_owned();
    assert!(child.status.success(), "{said} {child:?}");
    let most = said.lines().find_map(|line| {
        let number = line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?;
        number.trim().parse::<u64>().ok()
    });
    let most = most.expect("how much memory it was");
    assert!(most < LARGE / 1024 / 2, "{most} kB");
    let stored = std::fs::metadata(server.files().join("x/large")).expect("stored");
    assert_eq!(stored.len(), LARGE);
}
