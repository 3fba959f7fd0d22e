//! How long the door waits before it tries again, and what it takes for passing.

use super::Bench;
use crate::support::programs::Program;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

const EMPTY: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\nConnection: close\r\nContent-Length: 156\r\n\r\n\
    <ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>b</Name><KeyCount>0</KeyCount><IsTruncated>false</IsTruncated></ListBucketResult>   ";
const BUSY: &str =
    "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
const NEVER: &str = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// A server that gives these answers to one request each, the last one to all further ones. Tells when it was asked.
fn answering(answers: &'static [&'static str]) -> (u16, Receiver<Instant>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("address").port();
    let (asked, times) = channel();
    std::thread::spawn(move || {
        for (n, stream) in listener.incoming().enumerate() {
            let Ok(mut stream) = stream else { return };
            let lines = BufReader::new(&stream).lines();
            let ends = lines.map_while(Result::ok).any(|line| line.is_empty());
            let answer = answers.get(n).or(answers.last()).expect("answers");
            if !ends || asked.send(Instant::now()).is_err() {
                return;
            }
            // Nothing at all: the connection just ends.
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    (port, times)
}

#[test]
fn the_delay_that_is_asked_for_lies_between_two_attempts() {
    let bench = Bench::new("delay");
    let (port, times) = answering(&[BUSY, NEVER]);
    let url = format!("webdav://ada:secret@127.0.0.1:{port}/backup");
    let words = [
        "st",
        &url,
        "--num-retries",
        "3",
        "--backend-retry-delay",
        "2",
    ];
    let called = bench.plain(Program::Dupr, "cache", &words).expect("dupr");
    // What is refused is not asked for again.
    assert_eq!(called.code, 51, "{}", called.err);
    let times: Vec<Instant> = times.try_iter().collect();
    let [first, second] = times[..] else {
        panic!("{} requests", times.len());
    };
    // Varied by a quarter; the usual second would be shorter.
    let gap = second - first;
    assert!(gap >= Duration::from_millis(1500), "{gap:?}");
}

/// As at a bucket that was made a moment ago.
#[test]
fn a_bucket_that_is_not_ready_is_waited_for() {
    let bench = Bench::new("fresh");
    let (port, times) = answering(&["", BUSY, BUSY, EMPTY]);
    let endpoint = format!("http://127.0.0.1:{port}");
    let status = |retries: &str| {
        let words = [
            "st",
            "s3://b/folder",
            "--s3-endpoint-url",
            &endpoint,
            "--s3-region-name",
            "eu-central-1",
            "--backend-retry-delay",
            "0",
            "--num-retries",
            retries,
            "--no-encryption",
        ];
        let keys = [("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")];
        bench
            .call(Program::Dupr, "cache", &words, "", &keys)
            .expect("dupr")
    };
    let early = status("2");
    assert!((50..=51).contains(&early.code), "{}", early.err);
    assert!(
        early.err.contains("given up after 2 attempts"),
        "{}",
        early.err
    );
    let late = status("2");
    assert_eq!(late.code, 0, "{}", late.err);
    assert!(late.out.contains("No backup chains"), "{}", late.out);
    assert_eq!(times.try_iter().count(), 4);
}
