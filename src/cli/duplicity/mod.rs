//! The other door: duplicity's own command line, so that its users need change nothing but the program's name.

mod actions;
mod args;
mod boto;
mod fault;
mod flags;
mod help;
mod keys;
mod log;
mod manual;
mod output;
mod prompt;
pub mod rdiffdir;
mod sabotage;
pub mod script;
mod services;
mod session;
mod ssh;
mod tls;

pub use manual::manual;
pub use session::World;

use crate::engine::path::PathIndex;
use actions::Done;
use args::{Args, Request};
use fault::{Fault, Result};
use log::{Log, Weight};
use std::ffi::OsString;
use std::io::Write;
use std::path::Path;

/// What `--version` prints: duply reads the second word, Déjà Dup the last, and they know what that version can do.
const VERSION: &str = concat!(
    "duplicity 3.2.1 (dupr ",
    env!("CARGO_PKG_VERSION"),
    ") in place of duplicity 3.2.1"
);

/// Runs a duplicity command line and returns its exit code.
pub fn main(args: impl IntoIterator<Item = OsString>, mut world: World) -> i32 {
    let print = |text: &str| {
        let mut out = std::io::stdout();
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        0
    };
    let typed: Vec<OsString> = args.into_iter().collect();
    let args = match Request::parse(typed.iter().cloned()) {
        Err(fault) => return complain(&typed, &fault),
        Ok(Request::Version) => return print(&format!("{VERSION}\n")),
        Ok(Request::Help) => return print(&help::help()),
        Ok(Request::Urls) => return print(&help::urls()),
        Ok(Request::Run(args)) => args,
    };
    let log = match open_log(&args) {
        Ok(log) => log,
        Err(fault) => return complain(&typed, &fault),
    };
    match start(&args, &mut world, &log) {
        Ok(Done::Losses) => {
            let (code, text) = log.losses();
            log.fail(code, "", text);
            code
        }
        Ok(done) => {
            log.notice("Duplicity backup complete.");
            i32::from(done == Done::Differences)
        }
        Err(fault) => {
            let hint = fault.hint.map(|h| format!("\n({h})")).unwrap_or_default();
            log.fail(fault.code, &fault.extra, &format!("{}{hint}", fault.text));
            fault.code
        }
    }
}

/// Tells of a wrong command line: there is no log yet, but front ends wait for what one would say.
fn complain(typed: &[OsString], fault: &Fault) -> i32 {
    let log = Log::to_stderr(Weight::Error as u8);
    for (name, value) in args::logs(typed) {
        // What cannot be opened is not worth a second error.
        let _ = match (name, value.to_str().map(str::parse)) {
            ("log-file", _) => log.log_to_file(Path::new(&value)),
            (_, Some(Ok(fd))) => log.log_to_fd(fd),
            _ => Ok(()),
        };
    }
    let hint = fault.hint.as_ref().map(|h| format!("\n({h})"));
    let hint = hint.unwrap_or_default();
    let text = format!(
        "Command line error: {}{hint}\nSee duplicity --help",
        fault.text
    );
    log.fail(fault.code, &fault.extra, &text);
    fault.code
}

fn open_log(args: &Args) -> Result<Log> {
    let verbosity = match args.text("verbosity")? {
        None => Weight::Notice as u8,
        Some(text) => log::verbosity(text).ok_or_else(|| {
            Fault::usage(format!(
                "--verbosity wants 0 to 9, one of e w n i d, or a word such as info, not {text:?}"
            ))
        })?,
    };
    let mut log = Log::new(verbosity, args.has("log-timestamp"), || {
        jiff::Zoned::now()
            .strftime("%Y-%m-%d %H:%M:%S,%3f")
            .to_string()
    });
    if let Some(path) = args.value("log-file") {
        log.log_to_file(Path::new(path))
            .map_err(|e| Fault::usage(format!("--log-file {}: {e}", Path::new(path).display())))?;
    }
    if let Some(fd) = args.number("log-fd")? {
        log.log_to_fd(fd)
            .map_err(|e| Fault::usage(format!("--log-fd {fd}: {e}")))?;
    }
    if args.action == args::Action::Restore
        && let Some(destination) = args.words.get(1)
    {
        let path = args.value("path-to-restore").unwrap_or_default();
        let path = PathIndex::new(path.as_encoded_bytes()).unwrap_or_default();
        log.tell_entries(Path::new(destination), path.as_bytes());
    }
    if args.action.writes()
        && let Some(source) = args.words.first()
    {
        log.tell_changes(Path::new(source));
    }
    Ok(log)
}

fn start(args: &Args, world: &mut World, log: &Log) -> Result<Done> {
    let mut told = Vec::new();
    for (flag, _) in &args.options {
        let Some((remark, warns)) = flag.effect.remark().filter(|_| !told.contains(&flag.name))
        else {
            continue;
        };
        told.push(flag.name);
        let weight = if warns {
            Weight::Warning
        } else {
            Weight::Notice
        };
        log.say(weight, &format!("--{} {remark}", flag.name));
    }
    if args.implied {
        let name = args.action.name();
        log.notice(&format!(
            "No action given: a {name}, by the order of path and URL."
        ));
    }
    if let Some(seconds) = args.number("current-time")? {
        world.now = crate::engine::time::Timestamp(seconds);
    }
    actions::run(args, world, log)
}
