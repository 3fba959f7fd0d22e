//! A real terminal: `tests/support/terminal.py` runs dupr at one, a [`Screen`] shows what a person would see.

use super::programs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long something may take to appear.
const PATIENCE: Duration = Duration::from_secs(120);

/// A program at a terminal. It is hung up when dropped.
pub struct Session {
    child: Child,
    orders: Option<ChildStdin>,
    shown: Arc<(Mutex<Vec<u8>>, Condvar)>,
    reader: Option<JoinHandle<()>>,
}

impl Session {
    /// Starts a command, whose environment it keeps, at a terminal of this size.
    pub fn start(command: &Command, columns: u16, rows: u16) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/terminal.py");
        let mut python = Command::new(programs::find("python3").expect("python3 is needed"));
        python
            .arg(script)
            .args([columns.to_string(), rows.to_string()])
            .arg(command.get_program())
            .args(command.get_args())
            .env_clear()
            .envs(command.get_envs().filter_map(|(k, v)| Some((k, v?))))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        if let Some(dir) = command.get_current_dir() {
            python.current_dir(dir);
        }
        let mut child = python.spawn().expect("python3 starts");
        let shown = Arc::new((Mutex::new(Vec::new()), Condvar::new()));
        let mut stdout = child.stdout.take().expect("stdout");
        let seen = Arc::clone(&shown);
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(n @ 1..) = stdout.read(&mut buffer) {
                seen.0.lock().expect("shown").extend(&buffer[..n]);
                seen.1.notify_all();
            }
        });
        Self {
            orders: child.stdin.take(),
            child,
            shown,
            reader: Some(reader),
        }
    }

    fn order(&mut self, order: &serde_json::Value) {
        let orders = self.orders.as_mut().expect("it still runs");
        writeln!(orders, "{order}").expect("an order");
    }

    /// Types this.
    pub fn types(&mut self, text: &str) {
        self.order(&serde_json::json!(["type", text]));
    }

    /// Changes the size of the window.
    pub fn resize(&mut self, columns: u16, rows: u16) {
        self.order(&serde_json::json!(["size", columns, rows]));
    }

    /// Everything that has come so far.
    pub fn bytes(&self) -> Vec<u8> {
        self.shown.0.lock().expect("shown").clone()
    }

    /// Waits until what has come from `start` on is as wanted, and tells how much has come.
    pub fn wait_from(&self, start: usize, what: &str, wanted: impl Fn(&[u8]) -> bool) -> usize {
        let until = Instant::now() + PATIENCE;
        let mut shown = self.shown.0.lock().expect("shown");
        while !wanted(shown.get(start..).unwrap_or_default()) {
            let left = until.saturating_duration_since(Instant::now());
            let text = String::from_utf8_lossy(&shown).into_owned();
            assert!(!left.is_zero(), "{what} did not come: {text:?}");
            shown = self.shown.1.wait_timeout(shown, left).expect("shown").0;
        }
        shown.len()
    }

    /// Waits until this text has come.
    pub fn wait_for(&self, text: &str) -> usize {
        self.wait_from(0, text, |shown| {
            String::from_utf8_lossy(shown).contains(text)
        })
    }

    /// Waits for the end: the exit code, and everything that came.
    pub fn end(mut self) -> (i32, Vec<u8>) {
        let until = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("python3") {
                break status;
            }
            let text = String::from_utf8_lossy(&self.bytes()).into_owned();
            assert!(Instant::now() < until, "it does not end: {text:?}");
            std::thread::sleep(Duration::from_millis(20));
        };
        let _ = self.reader.take().map(JoinHandle::join);
        (status.code().unwrap_or(-1), self.bytes())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What stands on a terminal after some bytes. It knows what a line of progress needs and nothing else: any other sequence is
/// kept in `strange`.
pub struct Screen {
    columns: usize,
    lines: Vec<Vec<char>>,
    row: usize,
    column: usize,
    /// Sequences that a line of progress has no use for.
    pub strange: Vec<String>,
    /// Colors were used.
    pub colored: bool,
    /// How often something was written beyond the last column.
    pub wrapped: usize,
}

impl Screen {
    /// After these bytes, with this many columns.
    pub fn of(bytes: &[u8], columns: usize) -> Self {
        let mut screen = Self {
            columns,
            lines: vec![Vec::new()],
            row: 0,
            column: 0,
            strange: Vec::new(),
            colored: false,
            wrapped: 0,
        };
        screen.show(bytes);
        screen
    }

    fn show(&mut self, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '\r' => self.column = 0,
                '\n' => {
                    self.row += 1;
                    while self.lines.len() <= self.row {
                        self.lines.push(Vec::new());
                    }
                }
                '\u{1b}' if chars.peek() == Some(&'[') => {
                    chars.next();
                    let mut numbers = String::new();
                    let end = loop {
                        match chars.next() {
                            Some(c @ ('0'..='9' | ';' | '?')) => numbers.push(c),
                            other => break other.unwrap_or(' '),
                        }
                    };
                    self.sequence(&numbers, end);
                }
                c if c.is_control() => self.strange.push(format!("{c:?}")),
                c => self.put(c),
            }
        }
    }

    fn sequence(&mut self, numbers: &str, end: char) {
        let number = numbers.parse().unwrap_or(1);
        match (numbers, end) {
            (_, 'm') => self.colored = true,
            ("" | "0", 'K') => self.lines[self.row].truncate(self.column),
            ("2", 'K') => self.lines[self.row].clear(),
            ("" | "0", 'J') => {
                self.lines.truncate(self.row + 1);
                self.lines[self.row].truncate(self.column);
            }
            (_, 'A') => self.row = self.row.saturating_sub(number),
            ("?25", 'l' | 'h') => {}
            _ => self.strange.push(format!("ESC [ {numbers} {end}")),
        }
    }

    fn put(&mut self, c: char) {
        // Those of Asia take two columns.
        let width = if ('\u{2e80}'..='\u{ffdc}').contains(&c) {
            2
        } else {
            1
        };
        if self.column + width > self.columns {
            self.wrapped += 1;
            self.column = 0;
            self.row += 1;
            while self.lines.len() <= self.row {
                self.lines.push(Vec::new());
            }
        }
        let line = &mut self.lines[self.row];
        while line.len() <= self.column {
            line.push(' ');
        }
        line[self.column] = c;
        self.column += width;
    }

    /// The lines, without what is empty at their ends.
    pub fn lines(&self) -> Vec<String> {
        let text = |line: &Vec<char>| line.iter().collect::<String>().trim_end().to_owned();
        self.lines.iter().map(text).collect()
    }
}
