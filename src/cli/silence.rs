//! A terminal that does not show what is typed.
//!
//! It begins before a question for a secret is shown: what is typed as soon as the question can be read is not shown either.

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use std::io;

/// Keeps the terminal at standard input from showing what is typed, until it is dropped.
pub struct Silence(Option<Termios>);

impl Silence {
    /// Begins it, if there is a terminal.
    pub fn begin() -> Self {
        let before = tcgetattr(io::stdin()).ok();
        if let Some(before) = &before {
            let mut silent = before.clone();
            silent.local_modes.remove(LocalModes::ECHO);
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, &silent);
        }
        Self(before)
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
        }
    }
}
