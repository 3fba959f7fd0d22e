//! Regular expressions written for Python, read by the `regex` crate.
//!
//! The two dialects agree on nearly everything. Where they differ without need, the text is changed; look-around
//! and back references do not exist here and are refused when the expression is compiled.

use std::iter::Peekable;
use std::str::Chars;

/// The last line of what the compiler of regular expressions says: the one with the reason.
pub fn one_line(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default().trim();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}

/// The expression in the spelling of the `regex` crate.
///
/// Inside a class `[`, `&` and `~` are plain characters; a brace that starts no repetition is one as well; the end of
/// the text is `\Z`; a letter without ASCII code and an angle bracket stand for themselves when escaped.
pub fn from_python(pattern: &str) -> String {
    let mut result = String::with_capacity(pattern.len() + 8);
    let mut chars = pattern.chars().peekable();
    let mut in_class = false;
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('Z') if !in_class => result.push_str("\\z"),
                Some(next) if matches!(next, '<' | '>') || !next.is_ascii() => result.push(next),
                Some(next) => result.extend([c, next]),
                None => result.push(c),
            },
            '[' if !in_class => {
                in_class = true;
                result.push(c);
                result.extend(chars.next_if_eq(&'^'));
                if chars.next_if_eq(&']').is_some() {
                    result.push_str("\\]");
                }
            }
            ']' if in_class => {
                in_class = false;
                result.push(c);
            }
            '[' | '&' | '~' if in_class => result.extend(['\\', c]),
            '{' if !in_class => match repetition(&chars) {
                Some((text, length)) => {
                    result.push_str(&text);
                    chars.by_ref().take(length).for_each(drop);
                }
                None => result.push_str("\\{"),
            },
            _ => result.push(c),
        }
    }
    result
}

/// The repetition whose `{` was just read, and how many more characters it has; `None` if it is none.
fn repetition(rest: &Peekable<Chars<'_>>) -> Option<(String, usize)> {
    let inner: String = rest.clone().take_while(|c| *c != '}').collect();
    if inner.is_empty() || rest.clone().nth(inner.chars().count()) != Some('}') {
        return None;
    }
    let (low, high) = inner.split_once(',').unwrap_or((&inner, &inner));
    if !low.chars().chain(high.chars()).all(|c| c.is_ascii_digit()) {
        return None;
    }
    let low = if low.is_empty() { "0" } else { low };
    let text = if inner.contains(',') {
        format!("{{{low},{high}}}")
    } else {
        format!("{{{low}}}")
    };
    Some((text, inner.len() + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_differs_is_changed() {
        for (python, rust) in [
            ("[[a]b", r"[\[a]b"),
            ("[]a]", r"[\]a]"),
            ("[^]&&~]", r"[^\]\&\&\~]"),
            (r"\[[\]]", r"\[[\]]"),
            (r"x\Z", r"x\z"),
            (r"a\", r"a\"),
            ("a{2}b{2,}c{2,3}", "a{2}b{2,}c{2,3}"),
            ("a{,3}b{,}", "a{0,3}b{0,}"),
            ("{a,b}{}{x", r"\{a,b}\{}\{x"),
            ("[{]{1}", "[{]{1}"),
            (r"\<\é[\>]", "<é[>]"),
        ] {
            assert_eq!(from_python(python), rust);
        }
    }

    proptest! {
        #[test]
        fn no_text_is_trouble(pattern in r"[\[\]{}a,1^\\&-]{0,10}") {
            let _ = regex::Regex::new(&from_python(&pattern));
        }
    }
}
