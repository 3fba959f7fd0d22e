//! Regular expressions as Python's `re` reads them, written anew for the engines of this program.
//!
//! The grammar is that of Python 3.11, errors included: what Python refuses is refused here. The result says everything
//! explicitly (classes as ranges, anchors as what they mean), so that no dialect of another engine shines through.
//! docs/selection.md tells what cannot be expressed.

use super::chars;
use super::text::point;
use classes::Escaped;
use std::collections::HashMap;

/// What an expression became.
#[derive(Debug, PartialEq, Eq)]
pub struct Translated {
    /// The same expression, to be compiled without flags.
    pub text: String,
    /// It has look-around, back references or the like, which only a backtracking engine knows.
    pub needs_backtracking: bool,
}

/// Writes an expression of Python's anew.
///
/// # Errors
/// One line that says why Python refuses it, or that it names characters by their Unicode names.
pub fn translate(pattern: &str, ignore_case: bool) -> Result<Translated, String> {
    let mut parser = Parser {
        input: pattern.chars().map(point).collect(),
        at: 0,
        out: String::with_capacity(pattern.len() * 2),
        backtracks: false,
        flags: Flags {
            ignore: ignore_case,
            ..Flags::default()
        },
        groups: Vec::new(),
        names: HashMap::new(),
        asked: 0,
        behind: None,
    };
    let flags = parser.flags;
    parser.alternatives(flags, 0)?;
    if parser.flags.ascii && parser.flags.unicode {
        return Err("flags a and u contradict each other".into());
    }
    if parser.peek().is_some() {
        return Err("a closing parenthesis has no opening one".into());
    }
    if parser.asked > parser.groups.len() {
        return Err(format!("there is no group {}", parser.asked));
    }
    Ok(Translated {
        text: parser.out,
        needs_backtracking: parser.backtracks,
    })
}

/// As large as a repetition may not get.
const MAX_REPEAT: u64 = 4_294_967_295;

type Parsed<T> = Result<T, String>;

#[derive(Debug, Clone, Copy, Default)]
struct Flags {
    ignore: bool,
    lines: bool,
    dot_all: bool,
    verbose: bool,
    ascii: bool,
    /// Said aloud; it is the default.
    unicode: bool,
}

/// Fewest and most characters something matches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Width(u64, u64);

impl Width {
    fn then(self, next: Width) -> Width {
        Width(self.0 + next.0, self.1 + next.1).capped()
    }

    fn or(self, other: Width) -> Width {
        Width(self.0.min(other.0), self.1.max(other.1))
    }

    fn times(self, low: u64, high: u64) -> Width {
        Width(self.0.saturating_mul(low), self.1.saturating_mul(high)).capped()
    }

    fn capped(self) -> Width {
        Width(self.0.min(MAX_REPEAT), self.1.min(MAX_REPEAT))
    }
}

/// What was read last: what a quantifier would repeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Last {
    Nothing,
    Anchor,
    Repeated,
    Item,
}

struct Parser {
    /// Python's code points.
    input: Vec<u32>,
    at: usize,
    out: String,
    backtracks: bool,
    flags: Flags,
    /// Widths of the groups; `None` while one is open.
    groups: Vec<Option<Width>>,
    names: HashMap<String, usize>,
    /// The highest group a condition asked for before it was known.
    asked: usize,
    /// Number of groups when the outermost look-behind began.
    behind: Option<usize>,
}

impl Parser {
    fn peek(&self) -> Option<char> {
        self.input.get(self.at).copied().map(shown)
    }

    fn take(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += 1;
        Some(c)
    }

    fn eat(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        found
    }

    fn until(&mut self, end: char, what: &str) -> Parsed<String> {
        let mut text = String::new();
        loop {
            match self.take() {
                Some(c) if c == end => break,
                Some(c) => text.push(c),
                None => return Err(format!("a {what} does not end")),
            }
        }
        if text.is_empty() {
            return Err(format!("a {what} is missing"));
        }
        Ok(text)
    }

    /// `a|b|c`, up to the end or a closing parenthesis.
    fn alternatives(&mut self, flags: Flags, depth: usize) -> Parsed<Width> {
        let mut width: Option<Width> = None;
        loop {
            let flags = if depth == 0 { self.flags } else { flags };
            let next = self.sequence(flags, depth, depth == 0 && width.is_none())?;
            width = Some(width.map_or(next, |w| w.or(next)));
            if !self.eat('|') {
                return Ok(width.unwrap_or_default());
            }
            self.out.push('|');
        }
    }

    /// What stands between two `|`.
    fn sequence(&mut self, mut flags: Flags, depth: usize, first: bool) -> Parsed<Width> {
        let mut width = Width::default();
        let mut last = Last::Nothing;
        let (mut last_width, mut last_start) = (Width::default(), self.out.len());
        while let Some(c) = self.peek().filter(|c| !matches!(c, '|' | ')')) {
            self.at += 1;
            if flags.verbose && matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c') {
                continue;
            }
            if flags.verbose && c == '#' {
                while self.take().is_some_and(|c| c != '\n') {}
                continue;
            }
            let start = self.out.len();
            let one = Width(1, 1);
            let quantifier = match c {
                '*' => Some((0, None)),
                '+' => Some((1, None)),
                '?' => Some((0, Some(1))),
                '{' => self.braces()?,
                _ => None,
            };
            if let Some((low, high)) = quantifier {
                match last {
                    Last::Nothing | Last::Anchor => {
                        return Err(format!("nothing stands before {c:?} to be repeated"));
                    }
                    Last::Repeated => return Err(format!("{c:?} repeats a repetition")),
                    Last::Item => self.repeat(last_start, last_width, low, high),
                }
                width = width.then(last_width.times(low, high.unwrap_or(MAX_REPEAT)));
                last = Last::Repeated;
                last_width = Width::default();
                continue;
            }
            // What stands before is counted once it is known not to be repeated.
            let (kind, item) = match c {
                '\\' => self.escape(flags)?,
                '[' => {
                    self.class(flags)?;
                    (Last::Item, one)
                }
                '.' => {
                    self.out
                        .push_str(if flags.dot_all { "(?s:.)" } else { "[^\\n]" });
                    (Last::Item, one)
                }
                '^' => {
                    self.out
                        .push_str(if flags.lines { "(?m:^)" } else { "\\A" });
                    (Last::Anchor, Width::default())
                }
                '$' => {
                    self.dollar(flags, depth);
                    (Last::Anchor, Width::default())
                }
                '(' => match self.parenthesis(&mut flags, depth, first && last == Last::Nothing)? {
                    Some(item) => (Last::Item, item),
                    None => continue,
                },
                _ => {
                    let at = self.at - 1;
                    self.literal(self.input.get(at).copied().unwrap_or_default(), flags);
                    (Last::Item, one)
                }
            };
            width = width.then(last_width);
            (last, last_width, last_start) = (kind, item, start);
        }
        Ok(width.then(last_width))
    }

    /// The repetition whose `{` was just read; `None` if it is none and stands for itself.
    fn braces(&mut self) -> Parsed<Option<(u64, Option<u64>)>> {
        let start = self.at;
        if self.peek() == Some('}') {
            return Ok(None);
        }
        let low = self.digits();
        let high = if self.eat(',') {
            self.digits()
        } else {
            low.clone()
        };
        if !self.eat('}') {
            self.at = start;
            return Ok(None);
        }
        let number = |text: &str| match text.parse::<u64>() {
            _ if text.is_empty() => Ok(None),
            Ok(n) if n < MAX_REPEAT => Ok(Some(n)),
            _ => Err("a number of repetitions is too large".to_owned()),
        };
        let (low, high) = (number(&low)?.unwrap_or(0), number(&high)?);
        if high.is_some_and(|high| high < low) {
            return Err("a repetition has a maximum below its minimum".into());
        }
        Ok(Some((low, high)))
    }

    fn digits(&mut self) -> String {
        let mut digits = String::new();
        while let Some(c) = self.peek().filter(char::is_ascii_digit) {
            self.at += 1;
            digits.push(c);
        }
        digits
    }

    /// Repeats what was written from `start` on and has this width.
    fn repeat(&mut self, start: usize, width: Width, low: u64, high: Option<u64>) {
        let item = self.out.split_off(start);
        let is_lazy = self.eat('?');
        let is_greedy = is_lazy || !self.eat('+');
        let count = match (low, high) {
            (0, None) => "*".to_owned(),
            (1, None) => "+".to_owned(),
            (low, None) => format!("{{{low},}}"),
            (low, Some(high)) => format!("{{{low},{high}}}"),
        };
        let repeated = match (low, is_lazy) {
            // What takes no room is as good once as often; engines refuse to repeat it.
            _ if high == Some(0) => String::new(),
            (0, false) if width.1 == 0 => format!("(?:{item}|)"),
            (0, true) if width.1 == 0 => format!("(?:|{item})"),
            _ if width.1 == 0 => format!("(?:{item})"),
            (_, false) => format!("(?:{item}){count}"),
            (_, true) => format!("(?:{item}){count}?"),
        };
        if is_greedy {
            self.out.push_str(&repeated);
        } else {
            self.backtracks = true;
            self.out.push_str(&format!("(?>{repeated})"));
        }
    }

    /// The end of the text, or the place before a line feed there.
    fn dollar(&mut self, flags: Flags, depth: usize) {
        if flags.lines {
            self.out.push_str("(?m:$)");
        } else if depth == 0 && self.peek().is_none_or(|c| c == '|') {
            // Nothing follows, so the line feed may be taken along.
            self.out.push_str("\\n?\\z");
        } else {
            self.backtracks = true;
            self.out.push_str("(?=\\n?\\z)");
        }
    }

    /// What follows `\` outside of a class.
    fn escape(&mut self, flags: Flags) -> Parsed<(Last, Width)> {
        let anchor = (Last::Anchor, Width::default());
        let item = (Last::Item, Width(1, 1));
        match self.peek() {
            Some('A') => self.out.push_str("\\A"),
            Some('Z') => self.out.push_str("\\z"),
            Some(c @ ('b' | 'B')) => {
                let word = chars::class(&[], chars::word(flags.ascii), false, false, false);
                let edge = if c == 'b' {
                    format!("(?:(?<={word})(?!{word})|(?<!{word})(?={word}))")
                } else {
                    format!("(?:(?<={word})(?={word})|(?<!{word})(?!{word}))")
                };
                self.backtracks = true;
                self.out.push_str(&edge);
            }
            Some('1'..='9') => return self.reference(flags),
            _ => {
                match self.character_escape(flags, false)? {
                    Escaped::Point(c) => self.literal(c, flags),
                    Escaped::Class(class) => self.out.push_str(&class),
                }
                return Ok(item);
            }
        }
        self.at += 1;
        Ok(anchor)
    }

    /// `\1` to `\99`, or three octal digits.
    fn reference(&mut self, flags: Flags) -> Parsed<(Last, Width)> {
        let digit = |p: &Self, at: usize| {
            p.input
                .get(p.at + at)
                .copied()
                .map(shown)
                .and_then(|c| c.to_digit(10))
        };
        let first = digit(self, 0).unwrap_or_default();
        let (second, third) = (digit(self, 1), digit(self, 2));
        if let (Some(b @ 0..=7), Some(c @ 0..=7)) = (second, third)
            && first < 8
        {
            self.at += 3;
            let value = first * 64 + b * 8 + c;
            if value > 0o377 {
                return Err("an octal escape is above 377".into());
            }
            self.literal(value, flags);
            return Ok((Last::Item, Width(1, 1)));
        }
        self.at += 1 + usize::from(second.is_some());
        let number = second.map_or(first, |b| first * 10 + b) as usize;
        let width = self.group(number)?;
        self.refer(number, flags);
        Ok((Last::Item, width))
    }

    fn refer(&mut self, number: usize, flags: Flags) {
        let case = if flags.ignore { "(?i:" } else { "(?:" };
        self.out.push_str(&format!("{case}\\{number})"));
    }

    /// The width of a group that is referred to.
    fn group(&mut self, number: usize) -> Parsed<Width> {
        let width = match number.checked_sub(1).and_then(|at| self.groups.get(at)) {
            None => return Err(format!("there is no group {number}")),
            Some(None) => return Err(format!("group {number} is still open")),
            Some(Some(width)) => *width,
        };
        self.not_behind(number)?;
        self.backtracks = true;
        Ok(width)
    }

    fn not_behind(&self, number: usize) -> Parsed<()> {
        match self.behind {
            Some(first) if number > first => Err(format!(
                "group {number} is defined in the look-behind that refers to it"
            )),
            _ => Ok(()),
        }
    }

    fn literal(&mut self, c: u32, flags: Flags) {
        chars::literal(&mut self.out, c, flags.ignore, flags.ascii);
    }
}

/// A code point for comparisons with the syntax, none of which is a surrogate.
fn shown(c: u32) -> char {
    char::from_u32(c).unwrap_or(char::REPLACEMENT_CHARACTER)
}

mod classes;
mod groups;

#[cfg(test)]
mod tests;
