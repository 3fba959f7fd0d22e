//! Parse, run, exit.

use dupr::cli::duplicity::{self, World};
use dupr::engine::{Cancel, Timestamp};
use std::time::SystemTime;

fn main() {
    let mut args = std::env::args_os().skip(1).peekable();
    args.next_if(|a| a == "duplicity");
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |d| d.as_secs() as i64);
    let world = World {
        environment: std::env::vars_os().collect(),
        now: Timestamp(now),
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        cancel: Cancel::new(),
        program: std::env::current_exe().ok(),
    };
    std::process::exit(duplicity::main(args, world));
}
