//! Characters and classes of them, as text for the engines of regular expressions.
//!
//! Python counts a byte that is not UTF-8 as a surrogate code point; here it is a character at the end of Unicode (see
//! [`super::text`]). Where Python folds case otherwise than Unicode's simple folding, its way is written out: all four
//! letters i, dotted and dotless, are one.

use super::text::{self, FIRST_STRAY, LAST_STRAY};
use std::fmt::Write;

/// Code points of Python's, from first to last.
pub type Ranges = Vec<(u32, u32)>;

/// Letters that are one for Python when case is ignored, but two and two for Unicode.
const LETTERS_I: [u32; 4] = [0x49, 0x69, 0x130, 0x131];

/// Content of a class of decimal digits.
pub fn digit(ascii: bool) -> &'static str {
    if ascii { "0-9" } else { r"\p{Nd}" }
}

/// Content of a class of white space, which for Python has the four information separators.
pub fn space(ascii: bool) -> &'static str {
    if ascii {
        r"\x09-\x0D\x20"
    } else {
        r"\s\x1C-\x1F"
    }
}

/// Content of a class of letters, numbers of all kinds, and the underscore.
pub fn word(ascii: bool) -> &'static str {
    if ascii { "0-9A-Za-z_" } else { r"\p{L}\p{N}_" }
}

/// Writes one character.
pub fn literal(out: &mut String, point: u32, ignore: bool, ascii: bool) {
    let has_case = ignore
        && text::character(point)
            .is_some_and(|c| c.is_alphabetic() || !c.is_ascii() && !c.is_alphanumeric());
    if has_case {
        out.push_str(&class(&[(point, point)], "", false, ignore, ascii));
    } else if let Some(c) = text::character(point) {
        out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
    } else {
        // A surrogate that stands for no byte: no path has it.
        out.push_str(r"[^\s\S]");
    }
}

/// A class of code points and of the contents of other classes.
pub fn class(
    ranges: &[(u32, u32)],
    contents: &str,
    negated: bool,
    ignore: bool,
    ascii: bool,
) -> String {
    let mut text = String::from(if negated { "[^" } else { "[" });
    let mut push = |low: u32, high: u32| {
        // Writing to a string cannot fail.
        let _ = write!(text, "\\x{{{low:x}}}-\\x{{{high:x}}}");
    };
    let holds = |c: u32| ranges.iter().any(|(low, high)| (*low..=*high).contains(&c));
    for (low, high) in ranges {
        for (low, high) in mapped(*low, *high) {
            push(low, high);
        }
    }
    if ignore && ascii {
        for c in 'a'..='z' {
            let (lower, upper) = (u32::from(c), u32::from(c.to_ascii_uppercase()));
            if holds(lower) || holds(upper) {
                push(lower, lower);
                push(upper, upper);
            }
        }
    } else if ignore && LETTERS_I.into_iter().any(holds) {
        LETTERS_I.into_iter().for_each(|c| push(c, c));
    }
    if ranges.is_empty() && contents.is_empty() {
        text.push_str(r"\s\S");
    }
    text.push_str(contents);
    text.push(']');
    if ignore && !ascii {
        format!("(?i:{text})")
    } else {
        text
    }
}

/// Python's code points as characters of this program.
fn mapped(low: u32, high: u32) -> impl Iterator<Item = (u32, u32)> {
    let shift = u32::from(text::FIRST_CHARACTER_OF_STRAYS) - FIRST_STRAY;
    let parts = [
        (low, high.min(0xD7FF), 0),
        (low.max(FIRST_STRAY), high.min(LAST_STRAY), shift),
        (low.max(0xE000), high.min(FIRST_STRAY + shift - 1), 0),
    ];
    parts
        .into_iter()
        .filter(|(low, high, _)| low <= high)
        .map(|(low, high, shift)| (low + shift, high + shift))
}
