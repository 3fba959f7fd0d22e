//! Questions at a terminal.

use super::run;
use super::ui::out;
use crate::engine::error::{Error, Result};
use std::io::BufRead;

/// So often a question is asked until its answer is one.
const ATTEMPTS: usize = 3;

/// Asks for a line; an empty answer is the default.
///
/// # Errors
/// Nothing can be read.
pub fn line(question: &str, default: &str) -> Result<String> {
    read(question, default).map(|(answer, _)| answer)
}

/// Asks for a line that `judge` accepts. What is wrong with another one is told, and the question is asked again.
///
/// # Errors
/// Nothing can be read, nobody is there any more, or the last attempt was no answer either.
pub fn until(question: &str, default: &str, judge: impl Fn(&str) -> Result<()>) -> Result<String> {
    for _ in 1..ATTEMPTS {
        let (answer, somebody) = read(question, default)?;
        match judge(&answer) {
            Ok(()) => return Ok(answer),
            Err(e) if somebody => {
                run::failed(&e);
            }
            Err(e) => return Err(e),
        }
    }
    let answer = line(question, default)?;
    judge(&answer)?;
    Ok(answer)
}

/// A line, and whether anybody was there to write it.
fn read(question: &str, default: &str) -> Result<(String, bool)> {
    let shown = if default.is_empty() {
        String::new()
    } else {
        format!(" [{default}]")
    };
    out::prompt(&format!("{question}{shown}: "));
    let mut answer = String::new();
    let bytes = std::io::stdin()
        .lock()
        .read_line(&mut answer)
        .map_err(|e| Error::from(e).within("cannot read the answer"))?;
    let answer = match answer.trim() {
        "" => default.to_owned(),
        answer => answer.to_owned(),
    };
    Ok((answer, bytes > 0))
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
