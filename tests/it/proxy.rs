//! Bad networks: a TCP proxy that harms connections as planned, and a peer that never speaks.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What a [`Proxy`] does to one connection.
#[derive(Debug, Clone, Copy)]
pub enum Harm {
    /// Ends it after so many bytes, both ways counted together.
    Cut(u64),
    /// Passes nothing on after so many bytes, and keeps it open.
    Stall(u64),
    /// Answers one request of HTTP with this status, and ends it.
    Answer(u16),
}

/// A TCP proxy on loopback that harms connections as planned and passes the others on.
pub struct Proxy {
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
    plan: Arc<Mutex<VecDeque<Harm>>>,
    passed: Arc<AtomicU64>,
}

impl Proxy {
    /// Passes on to a port of 127.0.0.1. Its threads end with the process.
    pub fn to(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port of loopback");
        let port = listener.local_addr().expect("address").port();
        let (plan, passed) = (
            Arc::<Mutex<VecDeque<Harm>>>::default(),
            Arc::<AtomicU64>::default(),
        );
        let (planned, total) = (Arc::clone(&plan), Arc::clone(&passed));
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let harm = planned.lock().expect("plan").pop_front();
                if let Some(Harm::Answer(status)) = harm {
                    thread::spawn(move || answer(near, status));
                    continue;
                }
                let Ok(far) = TcpStream::connect(("127.0.0.1", target)) else {
                    continue;
                };
                let count = Arc::new(AtomicU64::new(0));
                for (from, to) in [(&near, &far), (&far, &near)] {
                    let from = from.try_clone().expect("socket");
                    let to = to.try_clone().expect("socket");
                    let (count, total) = (Arc::clone(&count), Arc::clone(&total));
                    thread::spawn(move || pass(from, to, harm, &count, &total));
                }
            }
        });
        Self { port, plan, passed }
    }

    /// Plans what happens to the next connections, one each.
    pub fn harm(&self, plan: impl IntoIterator<Item = Harm>) {
        self.plan.lock().expect("plan").extend(plan);
    }

    /// Harm that was planned for connections nobody made.
    pub fn left(&self) -> usize {
        self.plan.lock().expect("plan").len()
    }

    /// Bytes passed on so far, both ways.
    pub fn passed(&self) -> u64 {
        self.passed.load(Ordering::SeqCst)
    }
}

/// Says a status to whatever is asked, and hears what comes until the other side has enough.
fn answer(mut near: TcpStream, status: u16) {
    let mut piece = vec![0; 16 << 10];
    let _ = near.read(&mut piece);
    let head = format!("HTTP/1.1 {status} No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    let _ = near.write_all(head.as_bytes());
    let _ = near.shutdown(Shutdown::Write);
    while let Ok(1..) = near.read(&mut piece) {}
}

fn pass(
    mut from: TcpStream,
    mut to: TcpStream,
    harm: Option<Harm>,
    count: &AtomicU64,
    total: &AtomicU64,
) {
    let mut piece = vec![0; 16 << 10];
    while let Ok(bytes @ 1..) = from.read(&mut piece) {
        let before = count.fetch_add(bytes as u64, Ordering::SeqCst);
        let passed = match harm {
            Some(Harm::Cut(limit) | Harm::Stall(limit)) => {
                limit.saturating_sub(before).min(bytes as u64)
            }
            Some(Harm::Answer(_)) | None => bytes as u64,
        };
        if to.write_all(&piece[..passed as usize]).is_err() {
            break;
        }
        total.fetch_add(passed, Ordering::SeqCst);
        if passed < bytes as u64 {
            if let Some(Harm::Stall(_)) = harm {
                thread::sleep(Duration::from_secs(600));
            }
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

/// A peer that takes connections and never says a word.
pub struct Silence {
    _listener: TcpListener,
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
}

impl Silence {
    /// The kernel takes the connections; nobody reads them.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port of loopback");
        let port = listener.local_addr().expect("address").port();
        Self {
            _listener: listener,
            port,
        }
    }
}
