//! Regular expressions of rules: Python's, run by the engine that is up to them.
//!
//! Most run in linear time. Look-around and back references need an engine that goes back and tries again; when that
//! takes too many steps, the answer is the one that keeps the file.

use super::rule::Case;
use super::{Error, python};
use regex::{Regex, RegexBuilder};

/// Steps back a single search may take.
const MOST_STEPS: usize = 10_000_000;
/// Bytes of a compiled expression.
const MOST_BYTES: usize = 64 << 20;

/// A compiled expression.
#[derive(Debug, Clone)]
pub enum Regexp {
    /// Runs in linear time.
    Linear(Regex),
    /// Goes back and tries again.
    Backtracking(Box<fancy_regex::Regex>),
}

impl Regexp {
    /// Compiles an expression as Python reads it.
    ///
    /// # Errors
    /// [`Error::Regexp`] for what Python refuses, and for the little that no engine here can do.
    pub fn from_python(pattern: &str, case: Case) -> Result<Self, Error> {
        let translated = python::translate(pattern, case == Case::Ignore)
            .map_err(|reason| unusable(pattern, reason))?;
        if translated.needs_backtracking {
            fancy_regex::RegexBuilder::new(&translated.text)
                .backtrack_limit(MOST_STEPS)
                .delegate_size_limit(MOST_BYTES)
                .build()
                .map(|regex| Self::Backtracking(Box::new(regex)))
                .map_err(|error| unusable(pattern, last_line(&error.to_string())))
        } else {
            compile(&translated.text, pattern).map(Self::Linear)
        }
    }

    /// Whether it is found in `text`; `unknown` if that takes too long to find out.
    pub fn is_found(&self, text: &str, unknown: bool) -> bool {
        match self {
            Self::Linear(regex) => regex.is_match(text),
            Self::Backtracking(regex) => regex.is_match(text).unwrap_or(unknown),
        }
    }
}

/// Compiles an expression of this program's own making; `pattern` is what the user wrote.
///
/// # Errors
/// [`Error::Regexp`], for expressions that are too large.
pub fn compile(regex: &str, pattern: &str) -> Result<Regex, Error> {
    RegexBuilder::new(regex)
        .size_limit(MOST_BYTES)
        .build()
        .map_err(|error| unusable(pattern, last_line(&error.to_string())))
}

fn unusable(pattern: &str, reason: String) -> Error {
    Error::Regexp {
        pattern: pattern.to_owned(),
        reason,
    }
}

/// The last line of what a compiler of regular expressions says: the one with the reason.
fn last_line(text: &str) -> String {
    let last = text.lines().last().unwrap_or_default().trim();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_too_long_is_answered_as_asked() {
        let regexp = Regexp::from_python("(?=(x+x+)+y)z", Case::Strict).unwrap();
        let text = "x".repeat(64);
        assert!(regexp.is_found(&text, true));
        assert!(!regexp.is_found(&text, false));
    }

    #[test]
    fn reasons_are_one_line() {
        for bad in ["(a", "a**", r"\q", "(?<=a*)b", "[b-a]", "x{3,2}"] {
            let error = Regexp::from_python(bad, Case::Strict).unwrap_err();
            assert!(!error.to_string().contains('\n'), "{error}");
        }
    }
}
