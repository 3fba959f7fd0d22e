//! Requests to a server of a few lines on the loopback interface.

use super::*;
use crate::profile::SecretRef;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;

/// Answers one request for each of `answers`, and gives back what it was asked.
fn server(answers: Vec<String>) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let serve = move || {
        answers
            .iter()
            .map(|a| answer(listener.accept().unwrap().0, a))
            .collect()
    };
    (address, std::thread::spawn(serve))
}

fn answer(mut stream: TcpStream, answer: &str) -> String {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut text, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        let last = line.trim().is_empty();
        text.push_str(&line);
        if last {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    text.push_str(&String::from_utf8(body).unwrap());
    let (status, body) = answer.split_once('|').unwrap_or((answer, ""));
    let head = format!(
        "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    text
}

fn place(url: &str) -> WebAddress {
    WebAddress {
        url: SecretRef::Inline(Secret::new(url)),
        place: "the address".into(),
    }
}

#[test]
fn a_request_arrives_with_its_headers_and_body() {
    let (url, server) = server(vec!["204 No Content".into()]);
    let full = format!("{url}/topic");
    Request::post("text/plain", "hällo")
        .header("Title", "größer")
        .secret_header("Authorization", Secret::new("Bearer tk_canary"))
        .send(&place(&full), &full)
        .unwrap();
    let asked = server.join().unwrap().remove(0);
    assert!(asked.starts_with("POST /topic HTTP/1.1\r\n"), "{asked}");
    assert!(asked.contains("Bearer tk_canary") && asked.contains("größer"));
    assert!(asked.ends_with("\r\n\r\nhällo") && asked.contains("user-agent: dupr/"));
}

#[test]
fn a_server_that_says_later_is_asked_again_and_a_refusal_is_not_repeated() {
    let (url, asked) = server(vec!["503 Busy".into(), "200 OK".into()]);
    Request::get().send(&place(&url), &url).unwrap();
    assert_eq!(asked.join().unwrap().len(), 2);
    let (url, asked) = server(vec!["403 No".into()]);
    let error = Request::get().send(&place(&url), &url).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert_eq!(asked.join().unwrap().len(), 1);
    let (url, asked) = server(vec!["302 Found\r\nLocation: /x".into()]);
    let error = Request::get().send(&place(&url), &url).unwrap_err();
    assert!(error.to_string().contains("302"), "{error}");
    asked.join().unwrap();
}

#[test]
fn errors_show_neither_the_address_nor_what_was_secret_in_the_answer() {
    let said = "400 Bad|no access for tk_canary-4711 to /ping/uuid-canary-0815\n";
    let (url, server) = server(vec![said.into()]);
    let full = format!("{url}/ping/uuid-canary-0815?key=query-canary");
    let request =
        Request::get().secret_header("Authorization", Secret::new("Bearer tk_canary-4711"));
    let error = request.send(&place(&full), &full).unwrap_err();
    server.join().unwrap();
    let text = format!("{error} {error:?}");
    assert!(!text.contains("canary"), "{text}");
    assert!(text.contains("no access for *** to /ping/***"), "{text}");

    let nobody = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let full = format!("http://{nobody}/ping/uuid-canary-0815");
    let error = Request::get()
        .once()
        .send(&place(&full), &full)
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    let text = format!("{error} {error:?}");
    assert!(
        !text.contains("canary") && text.contains(&nobody.to_string()),
        "{text}"
    );
}

#[test]
fn a_secret_does_not_leave_the_machine_in_the_clear() {
    let full = "http://nas.example/x";
    let request = Request::get().secret_header("X-Key", Secret::new("canary"));
    let error = request.send(&place(full), full).unwrap_err();
    assert!(error.to_string().contains("in the clear"), "{error}");
    let error = Request::get().send(&place("x"), "nonsense").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    assert!(!error.to_string().contains("nonsense"));
}

#[test]
fn an_address_grows_in_front_of_its_query() {
    assert_eq!(below("https://h/a/?b=c", "start"), "https://h/a/start?b=c");
    assert_eq!(below("https://h", "13"), "https://h/13");
}
