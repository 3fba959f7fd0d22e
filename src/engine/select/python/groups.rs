//! What stands in parentheses: groups, look-around, conditions, flags and comments.

use super::{Flags, Parsed, Parser, Width};

impl Parser {
    /// What follows `(`; `None` if it was a comment or global flags, which are no item.
    pub(super) fn parenthesis(
        &mut self,
        flags: &mut Flags,
        depth: usize,
        is_first: bool,
    ) -> Parsed<Option<Width>> {
        if depth > DEEPEST {
            return Err("parentheses are nested too deeply".into());
        }
        if !self.eat('?') {
            return self.capture(None, *flags, depth).map(Some);
        }
        let within = *flags;
        let Some(c) = self.take() else {
            return Err("the expression ends in a parenthesis".into());
        };
        Ok(Some(match c {
            'P' => match self.take() {
                Some('<') => {
                    let name = self.name('>')?;
                    return self.capture(Some(name), within, depth).map(Some);
                }
                Some('=') => {
                    let name = self.name(')')?;
                    let number = self.known(&name)?;
                    let width = self.group(number)?;
                    self.refer(number, within);
                    width
                }
                _ => return Err("(?P is followed by neither < nor =".into()),
            },
            '#' => loop {
                match self.take() {
                    Some(')') => return Ok(None),
                    Some(_) => {}
                    None => return Err("a comment does not end".into()),
                }
            },
            ':' => self.enclosed("(?:", within, depth)?,
            '>' => {
                self.backtracks = true;
                self.enclosed("(?>", within, depth)?
            }
            '=' | '!' => {
                self.backtracks = true;
                let opening = if c == '=' { "(?=" } else { "(?!" };
                self.enclosed(opening, within, depth)?;
                Width::default()
            }
            '<' => {
                self.look_behind(within, depth)?;
                Width::default()
            }
            '(' => self.condition(within, depth)?,
            c => match self.inline_flags(c, flags)? {
                None if is_first => {
                    self.flags = *flags;
                    return Ok(None);
                }
                None => return Err("flags for all stand elsewhere than in front".into()),
                Some(inner) => self.enclosed("(?:", inner, depth)?,
            },
        }))
    }

    fn enclosed(&mut self, opening: &str, flags: Flags, depth: usize) -> Parsed<Width> {
        self.out.push_str(opening);
        let width = self.alternatives(flags, depth + 1)?;
        self.close()?;
        Ok(width)
    }

    fn close(&mut self) -> Parsed<()> {
        if !self.eat(')') {
            return Err("a closing parenthesis is missing".into());
        }
        self.out.push(')');
        Ok(())
    }

    fn capture(&mut self, name: Option<String>, flags: Flags, depth: usize) -> Parsed<Width> {
        self.groups.push(None);
        let number = self.groups.len();
        if let Some(name) = name
            && self.names.insert(name, number).is_some()
        {
            return Err("a group's name is taken".into());
        }
        let width = self.enclosed("(", flags, depth)?;
        if let Some(group) = self.groups.get_mut(number - 1) {
            *group = Some(width);
        }
        Ok(width)
    }

    fn look_behind(&mut self, flags: Flags, depth: usize) -> Parsed<()> {
        let opening = match self.take() {
            Some('=') => "(?<=",
            Some('!') => "(?<!",
            _ => return Err("(?< is followed by neither = nor !".into()),
        };
        self.backtracks = true;
        let outer = self.behind;
        self.behind = outer.or(Some(self.groups.len()));
        let width = self.enclosed(opening, flags, depth)?;
        self.behind = outer;
        if width.0 != width.1 {
            return Err("a look-behind has no fixed width".into());
        }
        Ok(())
    }

    /// `(?(1)yes|no)`, whose `(?(` was just read.
    fn condition(&mut self, flags: Flags, depth: usize) -> Parsed<Width> {
        let name = self.until(')', "name of a group")?;
        let number = match name.parse::<usize>() {
            Ok(0) => return Err("there is no group 0 to ask for".into()),
            Ok(number) => number,
            Err(_) => self.known(&name)?,
        };
        if self.groups.get(number - 1) == Some(&None) {
            return Err(format!(
                "a condition asks for group {number}, which is open"
            ));
        }
        self.asked = self.asked.max(number);
        self.not_behind(number)?;
        self.backtracks = true;
        self.out.push_str(&format!("(?({number})"));
        let mut width = self.sequence(flags, depth + 1, false)?;
        if self.eat('|') {
            self.out.push('|');
            width = width.or(self.sequence(flags, depth + 1, false)?);
            if self.peek() == Some('|') {
                return Err("a condition has more than two branches".into());
            }
        } else {
            width.0 = 0;
        }
        self.close()?;
        Ok(width)
    }

    fn name(&mut self, end: char) -> Parsed<String> {
        let name = self.until(end, "name of a group")?;
        let mut chars = name.chars();
        let is_name = chars.next().is_some_and(|c| c.is_alphabetic() || c == '_')
            && chars.all(|c| c.is_alphanumeric() || c == '_');
        if is_name {
            Ok(name)
        } else {
            Err(format!("{name:?} is not the name of a group"))
        }
    }

    fn known(&self, name: &str) -> Parsed<usize> {
        let number = self.names.get(name).copied();
        number.ok_or_else(|| format!("there is no group {name:?}"))
    }

    /// Flags whose first letter, or `-`, was just read. `None` if they were for all, and are now in `flags`.
    fn inline_flags(&mut self, first: char, flags: &mut Flags) -> Parsed<Option<Flags>> {
        let ends = || "flags do not end".to_owned();
        let mut on = String::new();
        let mut c = first;
        if !"iLmsxatu-".contains(c) {
            return Err(format!("(?{c} means nothing"));
        }
        while c != '-' {
            if !"imsxatu".contains(c) {
                return Err(format!("{c:?} is no flag for text"));
            }
            on.push(c);
            if on.contains('a') && on.contains('u') {
                return Err("flags a and u contradict each other".into());
            }
            c = self.take().ok_or_else(ends)?;
            if matches!(c, ')' | ':') {
                break;
            }
        }
        if c == ')' {
            self.set(flags, &on, true);
            return Ok(None);
        }
        let mut off = String::new();
        if c == '-' {
            c = self.take().ok_or_else(ends)?;
            while c != ':' || off.is_empty() {
                if !"imsx".contains(c) {
                    return Err(format!("{c:?} is no flag to take away"));
                }
                off.push(c);
                c = self.take().ok_or_else(ends)?;
            }
        }
        if on.contains('t') || off.chars().any(|c| on.contains(c)) {
            return Err("flags contradict each other".into());
        }
        let mut inner = *flags;
        self.set(&mut inner, &on, true);
        if on.contains('u') {
            inner.ascii = false;
        }
        self.set(&mut inner, &off, false);
        Ok(Some(inner))
    }

    fn set(&self, flags: &mut Flags, letters: &str, value: bool) {
        for letter in letters.chars() {
            match letter {
                'i' => flags.ignore = value,
                'm' => flags.lines = value,
                's' => flags.dot_all = value,
                'x' => flags.verbose = value,
                'a' => flags.ascii = value,
                'u' => flags.unicode = value,
                _ => {}
            }
        }
    }
}

/// Parentheses in parentheses: more than anybody writes, and few enough for the stack.
const DEEPEST: usize = 100;
