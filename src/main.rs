//! Picks the door, runs, exits.

use dupr::cli::{self, duplicity};
use dupr::engine::storage::askpass;
use dupr::engine::{Cancel, Timestamp};
use std::ffi::{OsStr, OsString};
use std::path::Path;

fn main() {
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_default();
    // Started by `ssh` to ask for a password.
    if let Some(password) = std::env::var_os(askpass::VARIABLE) {
        let prompt = arguments.next().unwrap_or_default();
        let answer = askpass::answer(
            password.as_encoded_bytes(),
            &prompt.to_string_lossy(),
            &mut std::io::stdout(),
        );
        std::process::exit(answer);
    }
    let mut arguments = arguments.peekable();
    let called_duplicity = Path::new(&name).file_name() == Some(OsStr::new("duplicity"));
    let code = if called_duplicity || arguments.next_if(|a| a == "duplicity").is_some() {
        duplicity_door(arguments)
    } else {
        i32::from(cli::main(arguments))
    };
    std::process::exit(code);
}

fn duplicity_door(arguments: impl Iterator<Item = OsString>) -> i32 {
    let now: Timestamp = cli::world::now();
    let world = duplicity::World {
        environment: std::env::vars_os().collect(),
        now,
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        cancel: Cancel::new(),
        program: std::env::current_exe().ok(),
    };
    duplicity::main(arguments, world)
}
