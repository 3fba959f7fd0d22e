//! The other door: duplicity's own command line, so that its users need change nothing but the program's name.

mod actions;
mod args;
mod flags;
mod output;
mod session;

pub use session::World;

use crate::engine::error::{Error, ErrorKind};
use crate::engine::monitor::{Level, Monitor, Problem};
use actions::Done;
use args::Request;
use flags::Effect;
use std::ffi::OsString;
use std::io::Write;

/// What `--version` prints: wrappers such as duply look for a version they know.
const VERSION: &str = concat!("duplicity 3.2.1 (dupr ", env!("CARGO_PKG_VERSION"), ")");

/// Prints notes and problems as duplicity does: everything but errors goes to standard output.
struct Words {
    verbosity: u8,
}

impl Monitor for Words {
    fn problem(&self, problem: Problem) {
        if self.verbosity >= 2 {
            let _ = writeln!(std::io::stdout(), "Error processing {problem}");
        }
    }

    fn note(&self, level: Level, text: &str) {
        let needed = match level {
            Level::Warning => 2,
            Level::Notice => 3,
            Level::Info => 5,
            Level::Debug => 9,
        };
        if self.verbosity >= needed {
            let _ = writeln!(std::io::stdout(), "{text}");
        }
    }
}

fn verbosity(text: &str) -> Option<u8> {
    match text.to_ascii_lowercase().as_str() {
        "e" | "error" => Some(0),
        "w" | "warning" => Some(2),
        "n" | "notice" => Some(3),
        "i" | "info" => Some(5),
        "d" | "debug" => Some(9),
        digits => digits.parse().ok().filter(|n| *n <= 9),
    }
}

/// Runs a duplicity command line and returns its exit code.
pub fn main(args: impl IntoIterator<Item = OsString>, mut world: World) -> i32 {
    let mut out = std::io::stdout();
    let fail = |text: &str, code: i32| {
        let _ = writeln!(std::io::stderr(), "{text}");
        code
    };
    let args = match Request::parse(args) {
        Err(text) => {
            return fail(
                &format!("Command line error: {text}\nSee duplicity --help"),
                23,
            );
        }
        Ok(Request::Version) => {
            let _ = writeln!(out, "{VERSION}");
            return 0;
        }
        Ok(Request::Help) => {
            let _ = out.write_all(help().as_bytes());
            return 0;
        }
        Ok(Request::Run(args)) => args,
    };
    let level = match args.text("verbosity").map(|t| t.map(verbosity)) {
        Ok(None) => 3,
        Ok(Some(Some(level))) => level,
        _ => {
            return fail(
                "Command line error: --verbosity wants 0 to 9 or a word such as info",
                23,
            );
        }
    };
    let words = Words { verbosity: level };
    for (flag, _) in &args.options {
        if let Effect::Ignored(why) = flag.effect {
            words.note(Level::Info, &format!("option --{} {why}", flag.name));
        }
    }
    match args.number("current-time") {
        Ok(Some(seconds)) => world.now = crate::engine::time::Timestamp(seconds),
        Ok(None) => {}
        Err(text) => return fail(&text, 23),
    }
    match actions::run(&args, &world, &words, &mut out) {
        Ok(Done::Well) => 0,
        Ok(Done::Differences | Done::Losses) => 1,
        Err(e) => {
            let code = exit_code(&e);
            let hint = e.hint().map(|h| format!("\n({h})")).unwrap_or_default();
            fail(&format!("{e}{hint}"), code)
        }
    }
}

/// duplicity's number for an error.
fn exit_code(error: &Error) -> i32 {
    match error.kind() {
        ErrorKind::Usage | ErrorKind::Locked | ErrorKind::Source | ErrorKind::Unsupported => 23,
        ErrorKind::Mismatch if error.to_string().contains("of host") => 3,
        ErrorKind::Mismatch => 42,
        ErrorKind::NoBackup => 17,
        ErrorKind::NotFound => 19,
        ErrorKind::WrongKey => 31,
        ErrorKind::Corrupt => 21,
        ErrorKind::Denied => 51,
        ErrorKind::Full => 53,
        ErrorKind::Unreachable | ErrorKind::RateLimited => 50,
        ErrorKind::Interrupted => 4,
        _ => 30,
    }
}

fn help() -> String {
    let mut text = String::from(
        "usage: dupr duplicity ACTION [options] ARGUMENTS\n\n\
         backup|full|incremental SOURCE URL      restore URL DIR       verify URL DIR\n\
         list-current-files URL                  collection-status URL cleanup URL\n\
         remove-older-than TIME URL              remove-all-but-n-full N URL\n\
         remove-all-inc-of-but-n-full N URL\n\noptions:\n",
    );
    for flag in flags::FLAGS {
        let effect = match flag.effect {
            Effect::Honored => "",
            Effect::Ignored(why) | Effect::Refused(why) => why,
        };
        text.push_str(&format!("  --{:<32} {effect}\n", flag.name));
    }
    text
}
