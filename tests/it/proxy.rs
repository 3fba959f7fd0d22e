//! Bad networks: a TCP proxy that harms connections as planned, and a peer that never speaks.
//!
//! What a server confirms passes through here as well, so a proxy can also make it lie: what it has just stored is taken
//! away before its answer is heard ([`Proxy::before_each_answer`]).

use jiff::fmt::rfc2822::DateTimePrinter;
use jiff::{SignedDuration, Timestamp};
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// What a [`Proxy`] does to one connection.
#[derive(Debug, Clone, Copy)]
pub enum Harm {
    /// Ends it after so many bytes, both ways counted together.
    Cut(u64),
    /// Passes nothing on after so many bytes, and keeps it open.
    Stall(u64),
    /// Answers one request of HTTP with this status, and ends it.
    Answer(u16),
    /// Answers one request of HTTP with 503 and when to come back, as a date or in seconds.
    Later { seconds: u32, as_date: bool },
    /// Passes so many bytes in a second, each way.
    Slow(u64),
    /// Shortens an answer of HTTP to its first half if its body has at least so many bytes, makes its head fit, and ends it
    /// as if nothing were.
    Shorten(u64),
    /// The same without a length in the head: the end of the connection is the end of the body.
    ShortenUntold(u64),
    /// Changes a byte of what the tests store, on its way up.
    Change,
    /// Passes only so many bytes back, takes the others from the server, and ends as the server does.
    Swallow(u64),
    /// Passes only so many records of TLS back, as if they were all, and takes the others from the server: what comes looks whole,
    /// but for the word that it is.
    SwallowRecords(u64),
}

/// What happens before a piece of an answer is passed on.
type Watch = Arc<dyn Fn() + Send + Sync>;

/// A TCP proxy on loopback that harms connections as planned and passes the others on.
pub struct Proxy {
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
    shared: Arc<Shared>,
}

/// What the threads of a proxy share.
#[derive(Default)]
struct Shared {
    plan: Mutex<VecDeque<Harm>>,
    /// For the connections that a server of FTP opens beside its own.
    data_plan: Mutex<VecDeque<Harm>>,
    /// For the first answer that it fits.
    first: Mutex<Option<Harm>>,
    passed: AtomicU64,
    shortened: AtomicU64,
    /// Lines that were cut or went dead.
    broken: AtomicU64,
    /// Most bytes on one line, both ways.
    longest: AtomicU64,
    /// Most records of TLS that came back on one line of those that count them.
    records: AtomicU64,
    watch: Mutex<Option<Watch>>,
    /// Bytes that may still be sent to the server, over all connections.
    allowance: Mutex<Option<u64>>,
    /// Whether connections end when there are none left.
    dies: AtomicBool,
    /// How many pieces were held back.
    held: AtomicU64,
    /// Whether what stalls may end.
    is_over: AtomicBool,
    /// Those in front of connections for data.
    beside: Mutex<Vec<Proxy>>,
}

/// With it end the lines that stall: else the server counts them among its connections still.
impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        let beside = std::mem::take(&mut *self.shared.beside.lock().expect("beside"));
        drop(beside);
    }
}

impl Proxy {
    /// Passes on to a port of 127.0.0.1. Its threads end with the process.
    pub fn to(target: u16) -> Self {
        Self::sharing(target, Arc::default())
    }

    /// Passes on to a port of another address.
    pub fn to_address(target: SocketAddr) -> Self {
        Self::between("127.0.0.1:0", target, Arc::default())
    }

    /// Passes each of these ports on to the same one of another address: what stands there for data lines, whose ports nobody can
    /// read.
    pub fn before(ports: &[u16], address: IpAddr) -> Self {
        let shared: Arc<Shared> = Arc::default();
        let proxies = ports.iter().map(|port| {
            let near = format!("127.0.0.1:{port}");
            Self::between(&near, (address, *port).into(), Arc::clone(&shared))
        });
        let all: Vec<Self> = proxies.collect();
        let one = Self {
            port: ports[0],
            shared: Arc::clone(&shared),
        };
        shared.beside.lock().expect("beside").extend(all);
        one
    }

    fn sharing(target: u16, shared: Arc<Shared>) -> Self {
        Self::between("127.0.0.1:0", ([127, 0, 0, 1], target).into(), shared)
    }

    fn between(near: &str, target: SocketAddr, shared: Arc<Shared>) -> Self {
        let listener = TcpListener::bind(near).expect("a port of loopback");
        let port = listener.local_addr().expect("address").port();
        let all = Arc::clone(&shared);
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let harm = all.plan.lock().expect("plan").pop_front();
                match harm {
                    Some(Harm::Answer(status)) => {
                        thread::spawn(move || answer(near, status, ""));
                        continue;
                    }
                    Some(Harm::Later { seconds, as_date }) => {
                        thread::spawn(move || answer(near, 503, &later(seconds, as_date)));
                        continue;
                    }
                    _ => {}
                }
                let Ok(far) = TcpStream::connect(target) else {
                    continue;
                };
                let line = Arc::new(Line {
                    harm,
                    count: AtomicU64::new(0),
                    asks_for_body: AtomicBool::new(true),
                    shared: Arc::clone(&all),
                });
                for (from, to, is_answer) in [(&near, &far, false), (&far, &near, true)] {
                    let from = from.try_clone().expect("socket");
                    let to = to.try_clone().expect("socket");
                    let line = Arc::clone(&line);
                    thread::spawn(move || line.pass(from, to, is_answer));
                }
            }
        });
        Self { port, shared }
    }

    /// Plans what happens to the next connections, one each.
    pub fn harm(&self, plan: impl IntoIterator<Item = Harm>) {
        self.shared.plan.lock().expect("plan").extend(plan);
    }

    /// The next connections are good ones.
    pub fn harm_no_more(&self) {
        self.shared.plan.lock().expect("plan").clear();
    }

    /// Shortens the first answer that is long enough, or changes the first content, whatever connection it comes on.
    pub fn harm_first(&self, harm: Harm) {
        *self.shared.first.lock().expect("first") = Some(harm);
    }

    /// Plans what happens to the next connections that a server of FTP opens for data, one each.
    pub fn harm_data(&self, plan: impl IntoIterator<Item = Harm>) {
        self.shared.data_plan.lock().expect("plan").extend(plan);
    }

    /// Does something before each piece of an answer is passed on: whatever a server confirms, it has done by then.
    pub fn before_each_answer(&self, watch: impl Fn() + Send + Sync + 'static) {
        *self.shared.watch.lock().expect("watch") = Some(Arc::new(watch));
    }

    /// Nothing is done before answers any more.
    pub fn watch_no_more(&self) {
        *self.shared.watch.lock().expect("watch") = None;
    }

    /// Once so many further bytes were sent to the server, over all connections, nothing more is, until [`Proxy::release`].
    pub fn hold_after(&self, bytes: u64) {
        *self.shared.allowance.lock().expect("allowance") = Some(bytes);
    }

    /// Once so many further bytes were sent to the server, over all connections, it is as good as dead, until
    /// [`Proxy::release`]: every connection ends.
    pub fn die_after(&self, bytes: u64) {
        self.shared.dies.store(true, Ordering::SeqCst);
        *self.shared.allowance.lock().expect("allowance") = Some(bytes);
    }

    /// Whether it has died.
    pub fn is_dead(&self) -> bool {
        *self.shared.allowance.lock().expect("allowance") == Some(0)
    }

    /// Whether something is held back.
    pub fn is_holding(&self) -> bool {
        self.shared.held.load(Ordering::SeqCst) > 0
    }

    /// Ends the connections on which something is held back; others pass everything from now on.
    pub fn release(&self) {
        *self.shared.allowance.lock().expect("allowance") = None;
        self.shared.dies.store(false, Ordering::SeqCst);
        while self.is_holding() {
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Answers that were shortened, or contents that were changed.
    pub fn shortened(&self) -> u64 {
        self.shared.shortened.load(Ordering::SeqCst)
    }

    /// Lines that were cut or went dead as planned.
    pub fn broken(&self) -> u64 {
        self.shared.broken.load(Ordering::SeqCst)
    }

    /// Most bytes that came on one line so far, both ways.
    pub fn longest(&self) -> u64 {
        self.shared.longest.load(Ordering::SeqCst)
    }

    /// Most records of TLS that came back on one line of those that count them.
    pub fn records(&self) -> u64 {
        self.shared.records.load(Ordering::SeqCst)
    }

    /// Harm that was planned for connections nobody made.
    pub fn left(&self) -> usize {
        self.shared.plan.lock().expect("plan").len()
    }

    /// Bytes passed on so far, both ways.
    pub fn passed(&self) -> u64 {
        self.shared.passed.load(Ordering::SeqCst)
    }
}

/// One connection through a proxy.
struct Line {
    harm: Option<Harm>,
    /// Bytes that came, both ways.
    count: AtomicU64,
    /// Whether the last request of HTTP was one whose answer has the body that its head speaks of.
    asks_for_body: AtomicBool,
    shared: Arc<Shared>,
}

/// Where records of TLS end in what comes in pieces.
#[derive(Default)]
struct Records {
    /// How many have ended.
    whole: u64,
    /// What came of the head of the next one.
    head: Vec<u8>,
    /// Bytes of its body that have not come.
    left: usize,
}

impl Records {
    /// How many bytes of this piece are part of the first `most` records.
    fn within(&mut self, piece: &[u8], most: u64) -> usize {
        for (at, byte) in piece.iter().enumerate() {
            if self.whole >= most {
                return at;
            }
            if self.left > 0 {
                self.left -= 1;
            } else {
                self.head.push(*byte);
                let [_, _, _, high, low] = self.head[..] else {
                    continue;
                };
                self.left = usize::from(u16::from_be_bytes([high, low]));
                self.head.clear();
            }
            self.whole += u64::from(self.left == 0);
        }
        piece.len()
    }
}

/// Headers that ask to come back later.
fn later(seconds: u32, as_date: bool) -> String {
    let date = |time| DateTimePrinter::new().timestamp_to_rfc9110_string(&time);
    let now = Timestamp::now();
    let then = now + SignedDuration::from_secs(seconds.into());
    match (as_date, date(now), date(then)) {
        (true, Ok(now), Ok(then)) => format!("Date: {now}\r\nRetry-After: {then}\r\n"),
        _ => format!("Retry-After: {seconds}\r\n"),
    }
}

/// Says a status to whatever is asked, and hears what comes until the other side has enough.
fn answer(mut near: TcpStream, status: u16, headers: &str) {
    let mut piece = vec![0; 16 << 10];
    let _ = near.read(&mut piece);
    let head =
        format!("HTTP/1.1 {status} No\r\n{headers}Content-Length: 0\r\nConnection: close\r\n\r\n");
    let _ = near.write_all(head.as_bytes());
    let _ = near.shutdown(Shutdown::Write);
    while let Ok(1..) = near.read(&mut piece) {}
}

impl Line {
    /// Passes on what comes from one side to the other.
    fn pass(&self, mut from: TcpStream, mut to: TcpStream, is_answer: bool) {
        let mut piece = vec![0; 16 << 10];
        let mut answered = 0u64;
        let mut records = Records::default();
        while let Ok(bytes @ 1..) = from.read(&mut piece) {
            let before = self.count.fetch_add(bytes as u64, Ordering::SeqCst);
            let longest = &self.shared.longest;
            longest.fetch_max(before + bytes as u64, Ordering::SeqCst);
            let mut got = piece[..bytes].to_vec();
            if is_answer {
                let watch = self.shared.watch.lock().expect("watch").clone();
                watch.iter().for_each(|watch| watch());
                got = self.with_data_line(got);
            } else if got.starts_with(b"HEAD ") || got.starts_with(b"GET ") {
                let is_get = got.starts_with(b"GET ");
                self.asks_for_body.store(is_get, Ordering::SeqCst);
            } else if matches!(
                *self.shared.first.lock().expect("first"),
                Some(Harm::Change)
            ) {
                self.change(&mut got);
            }
            if !is_answer && !self.may_pass(&mut got, &mut to) {
                break;
            }
            let first = *self.shared.first.lock().expect("first");
            let passed = match self.harm.or(first) {
                Some(Harm::Cut(limit) | Harm::Stall(limit)) => {
                    limit.saturating_sub(before).min(bytes as u64) as usize
                }
                Some(Harm::Swallow(limit)) if is_answer => {
                    limit.saturating_sub(answered).min(bytes as u64) as usize
                }
                Some(Harm::SwallowRecords(most)) if is_answer => {
                    let within = records.within(&got, most);
                    let count = &self.shared.records;
                    count.fetch_max(records.whole, Ordering::SeqCst);
                    within
                }
                Some(Harm::Slow(rate)) => {
                    thread::sleep(Duration::from_secs_f64(bytes as f64 / rate as f64));
                    got.len()
                }
                Some(Harm::Shorten(least)) if is_answer => {
                    if self.shorten(&mut got, &mut from, &mut to, least, true) {
                        break;
                    }
                    got.len()
                }
                Some(Harm::ShortenUntold(least)) if is_answer => {
                    if self.shorten(&mut got, &mut from, &mut to, least, false) {
                        break;
                    }
                    got.len()
                }
                _ => got.len(),
            };
            answered += bytes as u64;
            if to.write_all(&got[..passed]).is_err() {
                break;
            }
            let total = &self.shared.passed;
            total.fetch_add(passed as u64, Ordering::SeqCst);
            let is_record = matches!(self.harm, Some(Harm::SwallowRecords(_)));
            if is_record && is_answer && passed < bytes {
                // Each side waits for the other's last word.
                let _ = to.shutdown(Shutdown::Write);
            }
            let ends = matches!(self.harm, Some(Harm::Cut(_) | Harm::Stall(_)));
            if ends && passed < bytes {
                self.shared.broken.fetch_add(1, Ordering::SeqCst);
                if let Some(Harm::Stall(_)) = self.harm {
                    let start = Instant::now();
                    while !self.shared.is_over.load(Ordering::SeqCst)
                        && start.elapsed() < Duration::from_secs(600)
                    {
                        thread::sleep(Duration::from_millis(50));
                    }
                }
                break;
            }
        }
        if let Some(Harm::SwallowRecords(_)) = self.harm {
            // The server is to send the rest without a hitch.
            let _ = to.shutdown(Shutdown::Write);
            return;
        }
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    }

    /// Passes on what is allowed of a piece that is too much, and waits until it is let go; `false` then.
    fn may_pass(&self, got: &mut Vec<u8>, to: &mut TcpStream) -> bool {
        let held = &self.shared.held;
        let rest = {
            let mut allowance = self.shared.allowance.lock().expect("allowance");
            match allowance.as_mut() {
                None => return true,
                Some(left) if *left >= got.len() as u64 => {
                    *left -= got.len() as u64;
                    return true;
                }
                Some(left) => std::mem::take(left) as usize,
            }
        };
        got.truncate(rest);
        let _ = to.write_all(got);
        if self.shared.dies.load(Ordering::SeqCst) {
            return false;
        }
        held.fetch_add(1, Ordering::SeqCst);
        while self.shared.allowance.lock().expect("allowance").is_some() {
            thread::sleep(Duration::from_millis(5));
        }
        held.fetch_sub(1, Ordering::SeqCst);
        false
    }

    /// Changes a byte of content, once.
    fn change(&self, got: &mut [u8]) {
        let content = [0x5a; 64];
        if let Some(at) = got.windows(64).position(|some| some == content) {
            got[at + 32] ^= 1;
            *self.shared.first.lock().expect("first") = None;
            self.shared.shortened.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Where a server of FTP names a port for data, that of another proxy in front of it.
    fn with_data_line(&self, got: Vec<u8>) -> Vec<u8> {
        let plan = &self.shared.data_plan;
        let is_counted = self.shared.allowance.lock().expect("allowance").is_some();
        let is_planned = !plan.lock().expect("plan").is_empty();
        if !(is_counted || is_planned) || !got.starts_with(b"229 ") {
            return got;
        }
        let text = String::from_utf8_lossy(&got).into_owned();
        let number = text.split_once("|||").and_then(|(_, rest)| {
            let (port, _) = rest.split_once('|')?;
            port.parse::<u16>().ok()
        });
        let Some(port) = number else {
            return got;
        };
        let proxy = if is_counted {
            Proxy::sharing(port, Arc::clone(&self.shared))
        } else {
            let proxy = Proxy::to(port);
            proxy.harm(plan.lock().expect("plan").pop_front());
            self.shared.shortened.fetch_add(1, Ordering::SeqCst);
            proxy
        };
        let there = format!("|||{port}|");
        let here = format!("|||{}|", proxy.port);
        self.shared.beside.lock().expect("beside").push(proxy);
        text.replace(&there, &here).into_bytes()
    }

    /// Passes on half of an answer of HTTP that begins with `got`, with a head that fits; `false` if it is none, or a short one.
    fn shorten(
        &self,
        got: &mut Vec<u8>,
        from: &mut TcpStream,
        to: &mut TcpStream,
        least: u64,
        is_told: bool,
    ) -> bool {
        if !got.starts_with(b"HTTP/1.1 2") || !self.asks_for_body.load(Ordering::SeqCst) {
            return false;
        }
        let mut piece = vec![0; 16 << 10];
        let head_end = loop {
            if let Some(at) = got.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            match from.read(&mut piece) {
                Ok(bytes @ 1..) => got.extend_from_slice(&piece[..bytes]),
                _ => return false,
            }
        };
        let head = String::from_utf8_lossy(&got[..head_end]).into_owned();
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            let is_it = name.eq_ignore_ascii_case("content-length");
            is_it.then(|| value.trim().parse::<u64>().ok()).flatten()
        });
        let mut body = got.split_off(head_end);
        let is_chunked = head
            .to_ascii_lowercase()
            .contains("transfer-encoding: chunked");
        if is_chunked {
            while !body.ends_with(b"0\r\n\r\n") {
                match from.read(&mut piece) {
                    Ok(bytes @ 1..) => body.extend_from_slice(&piece[..bytes]),
                    _ => break,
                }
            }
        }
        let length = length.or(is_chunked.then_some(body.len() as u64));
        let Some(length) = length.filter(|length| *length >= least) else {
            got.append(&mut body);
            return false;
        };
        if is_chunked {
            body = unchunked(&body);
        }
        let half = length.min(if is_chunked {
            body.len() as u64
        } else {
            length
        }) / 2;
        let kept = |line: &&str| {
            let line = line.to_ascii_lowercase();
            !line.starts_with("content-length:") && !line.starts_with("transfer-encoding:")
        };
        let mut lines: Vec<String> = head
            .trim_end()
            .lines()
            .filter(kept)
            .map(String::from)
            .collect();
        if is_told {
            lines.push(format!("Content-Length: {half}"));
        }
        lines.push("Connection: close".into());
        while (body.len() as u64) < half {
            match from.read(&mut piece) {
                Ok(bytes @ 1..) => body.extend_from_slice(&piece[..bytes]),
                _ => break,
            }
        }
        body.truncate(half as usize);
        self.shared.shortened.fetch_add(1, Ordering::SeqCst);
        *self.shared.first.lock().expect("first") = None;
        let _ = to.write_all(format!("{}\r\n\r\n", lines.join("\r\n")).as_bytes());
        let _ = to.write_all(&body);
        true
    }
}

/// A body of HTTP that came in chunks.
fn unchunked(mut body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(end) = body.windows(2).position(|two| two == b"\r\n") {
        let digits = String::from_utf8_lossy(&body[..end]).into_owned();
        let length = usize::from_str_radix(digits.trim(), 16).unwrap_or(0);
        if length == 0 || body.len() < end + 2 + length + 2 {
            break;
        }
        whole.extend_from_slice(&body[end + 2..end + 2 + length]);
        body = &body[end + 2 + length + 2..];
    }
    whole
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
