//! Where the live line is drawn.

use console::Term;
use indicatif::{ProgressDrawTarget, TermLike};
use std::io;

/// Columns that stay free at the end: a terminal shows a typed Control-C as `^C`, and a line without room for it would be
/// left standing when the cursor moves on.
const FREE: u16 = 3;

/// The live line at standard error; hidden if that is no terminal.
pub(super) fn target() -> ProgressDrawTarget {
    let term = Term::buffered_stderr();
    if term.is_term() {
        ProgressDrawTarget::term_like_with_hz(Box::new(Narrowed(term)), 10)
    } else {
        ProgressDrawTarget::hidden()
    }
}

/// A terminal that seems narrower than it is.
#[derive(Debug)]
struct Narrowed(Term);

impl TermLike for Narrowed {
    fn width(&self) -> u16 {
        TermLike::width(&self.0).saturating_sub(FREE).max(1)
    }
    fn height(&self) -> u16 {
        TermLike::height(&self.0)
    }
    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.0.move_cursor_up(n)
    }
    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.0.move_cursor_down(n)
    }
    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.0.move_cursor_right(n)
    }
    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.0.move_cursor_left(n)
    }
    fn write_line(&self, s: &str) -> io::Result<()> {
        self.0.write_line(s)
    }
    fn write_str(&self, s: &str) -> io::Result<()> {
        self.0.write_str(s)
    }
    fn clear_line(&self) -> io::Result<()> {
        self.0.clear_line()
    }
    fn flush(&self) -> io::Result<()> {
        self.0.flush()
    }
}
