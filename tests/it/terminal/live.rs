//! The live line, while a backup is held open: a dump waits for a sign, so that what stands on the screen stands still.

use super::at_terminal;
use crate::support::home::Home;
use crate::support::terminal::{Screen, Session};
use crate::support::vault::noise;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// A backup that stops in its middle until it is let go.
struct Held {
    home: Home,
    gate: PathBuf,
}

impl Held {
    fn new(name: &str) -> Self {
        Self::with(name, "zz")
    }

    /// With this name for the folder of the dump, which sorts behind everything else.
    fn with(name: &str, folder: &str) -> Self {
        let home = Home::new(name);
        let gate = home.path().join("gate");
        let script = home.script(
            "hold",
            &format!(
                "seq 300000; for i in $(seq 1200); do [ -e {} ] && exit 0; sleep 0.1; done; exit 1",
                gate.display()
            ),
        );
        home.raw_profile(
            "held",
            &format!(
                "version = 1\ntarget = \"file://{}\"\npassphrase = {{ file = {:?} }}\n[source]\npath = {:?}\n\
                 dump-folder = {folder:?}\n[[source.dump]]\nname = \"waits\"\nkind = \"command\"\ncommand = [{script:?}]\n",
                home.target().display(),
                home.path().join("pass"),
                home.source(),
            ),
        );
        Self { home, gate }
    }

    fn start(&self, arguments: &[&str], columns: u16) -> Session {
        let _ = fs::remove_file(&self.gate);
        Session::start(&at_terminal(&self.home, arguments), columns, 30)
    }

    fn let_go(&self) {
        fs::write(&self.gate, "").expect("gate");
    }
}

/// Whether the live line tells of the dump: all before it was read.
fn is_held(shown: &[u8]) -> bool {
    String::from_utf8_lossy(shown).contains("/waits")
}

/// What a finished run leaves on a screen.
fn screen(bytes: &[u8], columns: usize) -> Screen {
    let screen = Screen::of(bytes, columns);
    assert!(screen.strange.is_empty(), "{:?}", screen.strange);
    screen
}

#[test]
fn the_live_line_tells_amounts_and_place_and_leaves_only_the_summary() {
    let held = Held::new("terminal-live");
    fs::write(held.home.source().join("large"), noise(3 << 20, 1)).expect("file");
    let session = held.start(&["held", "backup"], 110);
    let at = session.wait_from(0, "the dump in the live line", is_held);
    // The spinner shows that it lives, and the rate comes when there is something to tell.
    session.wait_from(at, "the rate", |shown| {
        String::from_utf8_lossy(shown).contains("/s")
    });
    let during = screen(&session.bytes(), 110);
    let line = during
        .lines()
        .into_iter()
        .rfind(|l| !l.is_empty())
        .expect("a line");
    for part in ["backup full", "entries", " MiB", "/s", "zz/waits"] {
        assert!(line.contains(part), "{part}: {line}");
    }
    assert_eq!(during.wrapped, 0);
    held.let_go();
    let (code, bytes) = session.end();
    let after = screen(&bytes, 110);
    let lines = after.lines();
    assert_eq!(code, 0, "{lines:#?}");
    assert!(after.colored);
    // The line is gone: what is left is a line of the step and the summary.
    let lines: Vec<&String> = lines.iter().filter(|l| !l.is_empty()).collect();
    assert!(lines[0].starts_with("done     backup full"), "{lines:#?}");
    assert!(lines[1].starts_with("ok: held backup in "), "{lines:#?}");
    assert!(lines.len() <= 13, "{lines:#?}");
    assert!(!lines.iter().any(|l| l.contains("zz/waits")), "{lines:#?}");
    // The cursor is shown again.
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (hidden, shown) = (text.rfind("\u{1b}[?25l"), text.rfind("\u{1b}[?25h"));
    assert!(shown >= hidden, "{text:?}");
}

#[test]
fn the_live_line_never_leaves_its_line_however_narrow() {
    // Letters of two columns each.
    let held = Held::with("terminal-narrow", "zzバックアップのフォルダ");
    for columns in [20_u16, 40, 250] {
        let session = held.start(&["held", "full"], columns);
        // Too narrow to show the place: it is drawn, and stays one line.
        let seen = |shown: &[u8]| match columns {
            250 => is_held(shown),
            _ => String::from_utf8_lossy(shown).matches('\r').count() > 8,
        };
        session.wait_from(0, "the live line", seen);
        let during = screen(&session.bytes(), usize::from(columns));
        assert_eq!(during.wrapped, 0, "{columns}: {:#?}", during.lines());
        let used = during.lines().iter().filter(|l| !l.is_empty()).count();
        assert_eq!(used, 1, "{columns}: {:#?}", during.lines());
        held.let_go();
        let (code, bytes) = session.end();
        assert_eq!(code, 0, "{:?}", String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn the_doctor_keeps_to_the_width_of_the_window() {
    let home = Home::new("terminal-doctor");
    let colors = regex::Regex::new("\u{1b}\\[[0-9;]*m").expect("regex");
    for columns in [72_u16, 160] {
        let session = Session::start(&at_terminal(&home, &["doctor"]), columns, 30);
        let (_, bytes) = session.end();
        let text = String::from_utf8_lossy(&bytes);
        let text = colors.replace_all(&text, "").into_owned();
        let (own, targets) = text.split_once("targets\r\n").expect("two parts");
        // A path has no blank to break it at.
        let own = own.lines().filter(|line| !line.contains('/'));
        let lines: Vec<&str> = own.chain(targets.lines()).collect();
        let width = |line: &&str| line.trim_end().chars().count();
        let widest = lines.iter().copied().max_by_key(width).expect("lines");
        assert!(width(&widest) <= usize::from(columns), "{widest}");
        assert!(width(&widest) > usize::from(columns) / 2, "{widest}");
        // What is to be typed stands in one line.
        let whole = lines.iter().any(|l| l.contains("`dupr mail-test home`"));
        assert!(whole, "{text}");
    }
}

#[test]
fn a_window_that_shrinks_gets_a_shorter_line() {
    let held = Held::new("terminal-resize");
    let mut session = held.start(&["held", "full"], 120);
    session.wait_from(0, "the live line", is_held);
    session.resize(20, 10);
    let from = session.bytes().len();
    // What was under way when the window shrank may still be long; what is drawn later is not.
    let drawn = |shown: &[u8]| String::from_utf8_lossy(shown).matches('\r').count() > 12;
    session.wait_from(from, "the line drawn anew", drawn);
    let text = String::from_utf8_lossy(&session.bytes()[from..]).into_owned();
    let newest: Vec<&str> = text.rsplit('\r').take(6).collect();
    for part in newest {
        let shown = Screen::of(part.as_bytes(), 200).lines().concat();
        assert!(shown.chars().count() <= 20, "{shown:?}");
    }
    session.resize(120, 30);
    let from = session.bytes().len();
    session.wait_from(from, "the long line again", is_held);
    held.let_go();
    assert_eq!(session.end().0, 0);
}

#[test]
fn hostile_names_do_nothing_to_the_terminal() {
    let held = Held::new("terminal-hostile");
    let names: [&[u8]; 5] = [
        b"red\x1b[31m",
        b"clear\x1b[2J\x1b[H",
        b"title\x1b]0;owned\x07",
        b"two\nlines\rback\x08\x08",
        "turned\u{202e}gpj".as_bytes(),
    ];
    for name in names {
        fs::write(held.home.source().join(OsStr::from_bytes(name)), "x").expect("file");
    }
    // The dump comes last, so the live line has shown the others; -vv prints each as well.
    for arguments in [&["held", "full"][..], &["held", "full", "-vv"]] {
        let session = held.start(arguments, 200);
        session.wait_from(0, "the live line", is_held);
        held.let_go();
        let (code, bytes) = session.end();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        assert_eq!(code, 0, "{text:?}");
        let shown = screen(&bytes, 200);
        assert!(
            !text.contains("\u{1b}[31m") && !text.contains('\u{202e}'),
            "{text:?}"
        );
        if arguments.contains(&"-vv") {
            let lines = shown.lines();
            for part in ["red\\u{1b}[31m", "two\\nlines", "turned\\u{202e}gpj"] {
                assert!(lines.iter().any(|l| l.contains(part)), "{part}: {lines:#?}");
            }
        }
    }
    // What has changed since stands in the list of problems, the first one in the summary, too.
    for name in names {
        let path = held.home.source().join(OsStr::from_bytes(name));
        fs::write(path, "changed").expect("file");
    }
    for arguments in [
        &["held", "list"][..],
        &["held", "find", "*"],
        &["held", "verify", "-vv"],
        &["held", "verify", "--compare-data"],
        &["held", "diff"],
        &["held", "du"],
    ] {
        let mut command = at_terminal(&held.home, arguments);
        let (_, bytes) = Session::start(command.env("COLUMNS", "200"), 200, 30).end();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        screen(&bytes, 200);
        assert!(
            !text.contains("\u{1b}[31m") && !text.contains('\u{202e}'),
            "{arguments:?}: {text:?}"
        );
        if arguments.contains(&"--compare-data") {
            assert!(text.contains("red\\u{1b}[31m"), "{text:?}");
        }
    }
}

#[test]
fn colors_are_only_for_those_who_want_them() {
    let home = Home::new("terminal-colors");
    home.profile("home", "[[hook]]\non = \"before\"\nexec = [\"true\"]\n");
    let shown = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = at_terminal(&home, arguments);
        command.envs(variables.iter().copied());
        let (code, bytes) = Session::start(&command, 100, 30).end();
        assert_eq!(code, 0, "{:?}", String::from_utf8_lossy(&bytes));
        (screen(&bytes, 100), bytes)
    };
    let full = &["home", "full"][..];
    assert!(shown(full, &[]).0.colored);
    // The word carries the meaning, with and without.
    for (arguments, variables) in [
        (full, &[("NO_COLOR", "1")][..]),
        (&["home", "full", "--color", "never"], &[]),
        (&["home", "full", "--no-progress", "--color", "never"], &[]),
    ] {
        let (screen, _) = shown(arguments, variables);
        assert!(!screen.colored, "{arguments:?}");
        let lines = screen.lines();
        assert!(
            lines.iter().any(|l| l.starts_with("done     backup full")),
            "{lines:#?}"
        );
    }
    for arguments in [
        &["status"][..],
        &["doctor", "home"],
        &["history", "home"],
        &["profiles"],
    ] {
        let (screen, _) = shown(arguments, &[("NO_COLOR", "1")]);
        assert!(!screen.colored, "{arguments:?}");
    }
    assert!(
        shown(&["home", "full", "--color", "always"], &[("NO_COLOR", "1")])
            .0
            .colored
    );
    // A terminal that understands nothing gets nothing to understand.
    let (_, bytes) = shown(full, &[("TERM", "dumb")]);
    assert!(
        !bytes.contains(&0x1b),
        "{:?}",
        String::from_utf8_lossy(&bytes)
    );
    let (_, bytes) = shown(&["home", "full", "-q"], &[]);
    assert!(bytes.is_empty(), "{:?}", String::from_utf8_lossy(&bytes));
}

#[test]
fn control_c_ends_the_run_in_words_and_the_next_one_goes_on() {
    let held = Held::new("terminal-stop");
    let mut session = held.start(&["held", "backup"], 100);
    session.wait_from(0, "the live line", is_held);
    session.types("\u{3}");
    let (code, bytes) = session.end();
    let after = screen(&bytes, 100);
    let lines = after.lines();
    assert_eq!(code, 130, "{lines:#?}");
    assert!(
        lines
            .iter()
            .any(|l| l.starts_with("interrupted: held backup")),
        "{lines:#?}"
    );
    assert!(!lines.iter().any(|l| l.contains("/waits")), "{lines:#?}");
    let text = String::from_utf8_lossy(&bytes).into_owned();
    assert!(
        text.rfind("\u{1b}[?25h") >= text.rfind("\u{1b}[?25l"),
        "{text:?}"
    );
    held.let_go();
    held.home.expect(0, &["held", "backup"]);
    held.home.expect(0, &["held", "verify"]);
}
