//! How `[target]` is reached: with which password and options, how fast, how long and how often.

use super::{Case, names};
use crate::support::home::Home;
use crate::support::vault::noise;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// A server of FTP that refuses everybody and tells what it was told.
fn doorkeeper() -> (u16, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut writer = stream.try_clone().expect("a stream");
            let _ = writer.write_all(b"220 who are you\r\n");
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                let answer: &[u8] = match line.split(' ').next() {
                    Some("USER") => b"331 prove it\r\n",
                    Some("PASS") => b"530 no\r\n",
                    _ => b"502 what\r\n",
                };
                let refused = line.starts_with("PASS");
                if tell.send(line).is_err() || writer.write_all(answer).is_err() || refused {
                    break;
                }
            }
        }
    });
    (port, told)
}

#[test]
fn the_password_of_the_target_is_that_of_the_profile() {
    let home = Home::new("keys-password");
    let (port, told) = doorkeeper();
    home.script("secret", "");
    fs::write(home.path().join("secret"), "canary-of-the-target\n").expect("secret");
    let case = Case::new(&home)
        .url(&format!("ftp://ada@127.0.0.1:{port}/x"))
        .target(&format!(
            "password = {{ file = {:?} }}\nretries = 0\n",
            home.path().join("secret")
        ));
    let refused = home.expect(13, &[&case.name, "full"]);
    assert!(!refused.stderr.contains("canary-of"), "{}", refused.stderr);
    let lines: Vec<String> = told.try_iter().collect();
    assert!(
        lines.contains(&"USER ada".to_owned())
            && lines.contains(&"PASS canary-of-the-target".to_owned()),
        "{lines:?}"
    );
}

#[test]
fn options_reach_the_service() {
    let home = Home::new("keys-options");
    let calls = home.path().join("calls");
    let ssh = home.script(
        "my-ssh",
        &format!(
            "echo \"$@\" >> {}; echo no way >&2; exit 255",
            calls.display()
        ),
    );
    let case = Case::new(&home)
        .url("sftp://ada@127.0.0.1:9//x")
        .target(&format!(
            "retries = 0\noptions = {{ ssh-command = {:?}, ssh-options = \"-o Tunnel=no\" }}\n",
            ssh.display().to_string()
        ));
    home.expect(13, &[&case.name, "full"]);
    let said = fs::read_to_string(&calls).expect("it was not called");
    assert!(said.contains("Tunnel=no"), "{said}");
    // One that the service does not know is refused.
    let case = Case::new(&home).target("options = { nonsense = \"x\" }\n");
    let refused = home.expect(2, &[&case.name, "full"]);
    assert!(refused.stderr.contains("nonsense"), "{}", refused.stderr);
}

#[test]
fn limits_hold_transfers_back() {
    let home = Home::new("keys-limits");
    fs::write(home.source().join("large"), noise(2 << 20, 1)).expect("file");
    let slow = "upload-limit = \"1 MiB/s\"\ndownload-limit = \"1 MiB/s\"\n";
    let case = Case::new(&home).target(slow);
    for words in [&["full"][..], &["verify"]] {
        let begun = Instant::now();
        home.expect(0, &[&[case.name.as_str()], words].concat());
        let took = begun.elapsed();
        assert!(took >= Duration::from_millis(1500), "{words:?}: {took:?}");
    }
    assert!(!names(&case.target).is_empty());
}

#[test]
fn patience_with_a_target_is_that_of_the_profile() {
    let home = Home::new("keys-patience");
    // Somebody who never says a word.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let url = format!("ftp://ada@127.0.0.1:{port}/x");
    let case = Case::new(&home)
        .url(&url)
        .target("password = { command = [\"echo\", \"x\"] }\ntimeout = \"1s\"\nretries = 0\n");
    let told = home.expect(13, &[&case.name, "full"]);
    assert!(told.stderr.contains("within 1s"), "{}", told.stderr);
    // Somebody who hangs up, again and again, and says who it was.
    let (call, callers) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let port = stream.and_then(|s| s.peer_addr()).map_or(0, |a| a.port());
            if call.send(port).is_err() {
                break;
            }
        }
    });
    // Calls are answered in their order: a last one of our own comes behind all others.
    let until_now = || {
        let own = TcpStream::connect(("127.0.0.1", port)).expect("somebody listens");
        let own = own.local_addr().expect("an address").port();
        callers.iter().take_while(|caller| *caller != own).count()
    };
    until_now();
    let calls = |retries: u32| {
        let case = Case::new(&home).url(&url).target(&format!(
            "password = {{ command = [\"echo\", \"x\"] }}\nretries = {retries}\n"
        ));
        home.expect(13, &[&case.name, "full"]);
        until_now()
    };
    let (once, thrice) = (calls(0), calls(2));
    assert_eq!(thrice, 3 * once, "{once} {thrice}");
}
