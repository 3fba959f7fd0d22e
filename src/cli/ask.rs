//! Questions at a terminal.

use super::ui::out;
use crate::engine::error::{Error, Result};
use std::io::BufRead;

/// Asks for a line; an empty answer is the default.
///
/// # Errors
/// Nothing can be read.
pub fn line(question: &str, default: &str) -> Result<String> {
    let shown = if default.is_empty() {
        String::new()
    } else {
        format!(" [{default}]")
    };
    out::prompt(&format!("{question}{shown}: "));
    let mut answer = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut answer)
        .map_err(|e| Error::from(e).within("cannot read the answer"))?;
    let answer = answer.trim();
    Ok(if answer.is_empty() {
        default.to_owned()
    } else {
        answer.to_owned()
    })
}

/// Asks yes or no.
///
/// # Errors
/// Nothing can be read.
pub fn yes(question: &str, default: bool) -> Result<bool> {
    let answer = line(
        &format!("{question} (y/n)"),
        if default { "y" } else { "n" },
    )?;
    Ok(matches!(answer.to_lowercase().as_str(), "y" | "yes"))
}
