//! Classes of characters, and the escapes that stand for characters.

use super::{Flags, Parsed, Parser, shown};
use crate::engine::select::chars::{self, Ranges};

/// What an escape stands for.
pub(super) enum Escaped {
    /// A character.
    Point(u32),
    /// A class, in brackets.
    Class(String),
}

impl Parser {
    /// Writes the class whose `[` was just read.
    pub(super) fn class(&mut self, flags: Flags) -> Parsed<()> {
        let negated = self.eat('^');
        let mut ranges = Ranges::new();
        let mut contents = String::new();
        let mut is_first = true;
        while is_first || !self.eat(']') {
            is_first = false;
            let low = self.member(flags)?;
            if self.peek() != Some('-') {
                match low {
                    Escaped::Point(c) => ranges.push((c, c)),
                    Escaped::Class(class) => contents.push_str(&class),
                }
                continue;
            }
            self.at += 1;
            if self.eat(']') {
                match low {
                    Escaped::Point(c) => ranges.push((c, c)),
                    Escaped::Class(class) => contents.push_str(&class),
                }
                ranges.push((u32::from('-'), u32::from('-')));
                break;
            }
            match (low, self.member(flags)?) {
                (Escaped::Point(low), Escaped::Point(high)) if low <= high => {
                    ranges.push((low, high));
                }
                _ => return Err("a class of characters has a bad range".into()),
            }
        }
        let class = chars::class(&ranges, &contents, negated, flags.ignore, flags.ascii);
        self.out.push_str(&class);
        Ok(())
    }

    /// The next member of a class, whatever it is.
    fn member(&mut self, flags: Flags) -> Parsed<Escaped> {
        let Some(point) = self.input.get(self.at).copied() else {
            return Err("a class of characters does not end".into());
        };
        self.at += 1;
        if shown(point) == '\\' {
            self.character_escape(flags, true)
        } else {
            Ok(Escaped::Point(point))
        }
    }

    /// What follows `\`: a character, or one of the classes `\d \s \w` and their opposites.
    pub(super) fn character_escape(&mut self, flags: Flags, in_class: bool) -> Parsed<Escaped> {
        let Some(point) = self.input.get(self.at).copied() else {
            return Err("the expression ends in a backslash".into());
        };
        self.at += 1;
        let category = |contents: &str, negated: bool| {
            Escaped::Class(chars::class(&[], contents, negated, false, flags.ascii))
        };
        Ok(match shown(point) {
            'd' => category(chars::digit(flags.ascii), false),
            'D' => category(chars::digit(flags.ascii), true),
            's' => category(chars::space(flags.ascii), false),
            'S' => category(chars::space(flags.ascii), true),
            'w' => category(chars::word(flags.ascii), false),
            'W' => category(chars::word(flags.ascii), true),
            'a' => Escaped::Point(7),
            'b' if in_class => Escaped::Point(8),
            'f' => Escaped::Point(12),
            'n' => Escaped::Point(10),
            'r' => Escaped::Point(13),
            't' => Escaped::Point(9),
            'v' => Escaped::Point(11),
            'x' => Escaped::Point(self.hex(2)?),
            'u' => Escaped::Point(self.hex(4)?),
            'U' => Escaped::Point(self.hex(8)?),
            'N' => return Err("characters cannot be given by name".into()),
            c @ '0'..='7' => {
                let mut value = c.to_digit(8).unwrap_or_default();
                for _ in 0..2 {
                    let Some(digit) = self.peek().and_then(|c| c.to_digit(8)) else {
                        break;
                    };
                    self.at += 1;
                    value = value * 8 + digit;
                }
                if value > 0o377 {
                    return Err("an octal escape is above 377".into());
                }
                Escaped::Point(value)
            }
            c if c.is_ascii_alphanumeric() => return Err(format!("\\{c} means nothing")),
            _ => Escaped::Point(point),
        })
    }

    fn hex(&mut self, digits: usize) -> Parsed<u32> {
        let mut value: u32 = 0;
        for _ in 0..digits {
            let digit = self.peek().and_then(|c| c.to_digit(16));
            let digit = digit.ok_or("an escape has too few digits")?;
            self.at += 1;
            value = value.saturating_mul(16).saturating_add(digit);
        }
        if value > u32::from(char::MAX) {
            return Err("an escape is above the last character".into());
        }
        Ok(value)
    }
}
