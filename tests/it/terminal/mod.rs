//! dupr at a real terminal: the live line and what is left of it, colors, widths, hostile names, a window that changes its size,
//! and ^C.

mod live;
mod questions;

use crate::support::home::Home;
use std::process::Command;

/// dupr as somebody at a terminal calls it.
fn at_terminal(home: &Home, arguments: &[&str]) -> Command {
    let mut command = home.command(arguments);
    command
        .env("TERM", "xterm-256color")
        .env("LC_ALL", "C.UTF-8");
    command
}
