//! Variables of a script, as far as their values stand in it.

use super::shell::{self, Assignment, Given, Piece, Word};
use crate::profile::load::Surroundings;
use std::collections::{BTreeMap, BTreeSet};

/// Variables of the environment that are the same whenever the script runs.
const LASTING: &[&str] = &["USER", "LOGNAME"];

/// What is known of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Held {
    /// The value.
    Text(String),
    /// The elements of an array.
    Elements(Vec<String>),
    /// What a program prints: its words.
    Output(Vec<String>),
    /// What only a shell can tell, in its words.
    Unknown(String),
}

/// All variables, and which are exported.
#[derive(Debug)]
pub(super) struct Variables {
    held: BTreeMap<String, Held>,
    exported: BTreeSet<String>,
}

impl Variables {
    pub(super) fn new(around: &Surroundings) -> Self {
        let home = (
            "HOME".to_owned(),
            Held::Text(around.home.display().to_string()),
        );
        let lasting = LASTING.iter().filter_map(|name| {
            let value = around.env.get(*name)?;
            Some(((*name).to_owned(), Held::Text(value.clone())))
        });
        Self {
            held: lasting.chain([home]).collect(),
            exported: BTreeSet::new(),
        }
    }

    /// Notes an assignment.
    pub(super) fn assign(&mut self, assignment: Assignment, exported: bool) {
        let Assignment {
            name,
            appends,
            value,
        } = assignment;
        if exported {
            self.exported.insert(name.clone());
        }
        let new = match value {
            Given::Word(word) => self.value(&word),
            Given::Array(words) => {
                let mut elements = Vec::new();
                let mut unknown = None;
                for word in &words {
                    match self.expand(word) {
                        Ok(more) => elements.extend(more),
                        Err(why) => unknown = Some(why),
                    }
                }
                unknown.map_or(Held::Elements(elements), Held::Unknown)
            }
        };
        let old = self.held.get(&name).cloned().filter(|_| appends);
        let value = match (old, new) {
            (None, new) => new,
            (Some(Held::Text(old)), Held::Text(new)) => Held::Text(old + &new),
            (Some(Held::Elements(mut old)), Held::Elements(new)) => {
                old.extend(new);
                Held::Elements(old)
            }
            _ => Held::Unknown(format!("${name}")),
        };
        // `unset` at the end of a script does not take back what its calls had.
        self.held.insert(name, value);
    }

    /// Notes that a variable goes to programs.
    pub(super) fn export(&mut self, name: &str) {
        self.exported.insert(name.to_owned());
    }

    /// The value of a variable that programs get.
    pub(super) fn exported(&self, name: &str) -> Option<Held> {
        let held = self
            .held
            .get(name)
            .filter(|_| self.exported.contains(name))?;
        Some(held.clone()).filter(|h| *h != Held::Text(String::new()))
    }

    /// All variables programs get.
    pub(super) fn all_exported(&self) -> Vec<(String, Held)> {
        let held = self.exported.iter();
        held.filter_map(|name| Some((name.clone(), self.held.get(name)?.clone())))
            .collect()
    }

    /// The value of what is assigned: one word, whatever is in it.
    fn value(&self, word: &Word) -> Held {
        let is_empty = |piece: &&Piece| matches!(piece, Piece::Text(text) if text.is_empty());
        let said: Vec<&Piece> = word.iter().filter(|p| !is_empty(p)).collect();
        if let [Piece::Output(command)] = said.as_slice() {
            return self.output(command);
        }
        let mut text = String::new();
        for piece in word {
            match self.piece(piece) {
                Ok(value) => text.push_str(&value),
                Err(why) => return Held::Unknown(why),
            }
        }
        Held::Text(text)
    }

    /// The words of a single program with nothing in them only a shell could tell.
    fn output(&self, command: &str) -> Held {
        let unknown = || Held::Unknown("what $( ) prints".to_owned());
        let command = command.trim();
        if command.contains(['|', ';', '&', '>']) {
            return unknown();
        }
        if let Some(path) = command.strip_prefix('<') {
            let words = shell::statements(&format!("cat {path}"));
            return self.words_of(&words).unwrap_or_else(unknown);
        }
        match command.contains('<') {
            true => unknown(),
            false => self
                .words_of(&shell::statements(command))
                .unwrap_or_else(unknown),
        }
    }

    fn words_of(&self, statements: &[shell::Statement]) -> Option<Held> {
        let [one] = statements else {
            return None;
        };
        if !one.assignments.is_empty() {
            return None;
        }
        let words: Result<Vec<Vec<String>>, String> =
            one.words.iter().map(|w| self.expand(w)).collect();
        words.ok().map(|words| Held::Output(words.concat()))
    }

    fn piece(&self, piece: &Piece) -> Result<String, String> {
        match piece {
            Piece::Text(text) => Ok(text.clone()),
            Piece::Variable { name, .. } => match self.held.get(name) {
                Some(Held::Text(text)) => Ok(text.clone()),
                _ => Err(format!("${name}")),
            },
            other => Err(shell::plain(other)),
        }
    }

    /// The words a word comes to.
    ///
    /// # Errors
    /// What of it only a shell can tell.
    pub(super) fn expand(&self, word: &Word) -> Result<Vec<String>, String> {
        let mut words: Vec<String> = Vec::new();
        // Whether the next piece goes on with the last word.
        let mut open = false;
        for piece in word {
            match piece {
                Piece::Elements(name) => match self.held.get(name) {
                    Some(Held::Elements(elements)) => {
                        let mut elements = elements.iter();
                        if let (true, Some(last), Some(first)) =
                            (open, words.last_mut(), elements.as_slice().first())
                        {
                            last.push_str(first);
                            elements.next();
                        }
                        words.extend(elements.cloned());
                        open = !words.is_empty();
                    }
                    _ => return Err(shell::plain(piece)),
                },
                Piece::Variable { quoted: false, .. } => {
                    let text = self.piece(piece)?;
                    let blank = |c: Option<char>| c.is_some_and(char::is_whitespace);
                    let mut parts = text.split_whitespace();
                    if open
                        && !blank(text.chars().next())
                        && let (Some(last), Some(first)) = (words.last_mut(), parts.next())
                    {
                        last.push_str(first);
                    }
                    words.extend(parts.map(str::to_owned));
                    if !text.is_empty() {
                        open = !blank(text.chars().last());
                    }
                }
                piece => {
                    let text = self.piece(piece)?;
                    match words.last_mut().filter(|_| open) {
                        Some(last) => last.push_str(&text),
                        None => words.push(text),
                    }
                    open = true;
                }
            }
        }
        Ok(words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(script: &str) -> Result<Vec<String>, String> {
        let around = Surroundings {
            home: "/home/me".into(),
            ..Surroundings::default()
        };
        let mut variables = Variables::new(&around);
        let mut last = Ok(Vec::new());
        for statement in shell::statements(script) {
            for assignment in statement.assignments {
                variables.assign(assignment, false);
            }
            if !statement.words.is_empty() {
                let all: Result<Vec<_>, _> = statement
                    .words
                    .iter()
                    .map(|w| variables.expand(w))
                    .collect();
                last = all.map(|all| all.concat());
            }
        }
        last
    }

    #[test]
    fn words_are_split_as_a_shell_splits_them() {
        for (script, expected) in [
            (
                "A='x  y'; c $A \"$A\" p$A",
                &["c", "x", "y", "x  y", "px", "y"][..],
            ),
            ("A=; c $A \"$A\"", &["c", ""]),
            (
                "A=(a 'b c'); A+=(d); c \"${A[@]}\" -\"${A[@]}\"",
                &["c", "a", "b c", "d", "-a", "b c", "d"],
            ),
            (
                "A=1; A+=2; c ~/x ${A}3 $HOME",
                &["c", "/home/me/x", "123", "/home/me"],
            ),
        ] {
            assert_eq!(words(script).unwrap(), expected, "{script}");
        }
        assert_eq!(words("c $1").unwrap_err(), "$1");
        assert_eq!(words("A=$(date); c x$A").unwrap_err(), "$A");
        assert_eq!(words("c \"${B[@]}\"").unwrap_err(), "${B[@]}");
    }

    #[test]
    fn a_secret_from_a_program_is_its_words() {
        let held = |script: &str| {
            let mut variables = Variables::new(&Surroundings::default());
            for statement in shell::statements(script) {
                for assignment in statement.assignments {
                    variables.assign(assignment, true);
                }
            }
            variables.exported("P")
        };
        let output = |words: &[&str]| {
            Some(Held::Output(
                words.iter().map(|w| (*w).to_owned()).collect(),
            ))
        };
        assert_eq!(held("export P=$(cat /root/p)"), output(&["cat", "/root/p"]));
        assert_eq!(
            held("export P=\"$(< /root/p)\""),
            output(&["cat", "/root/p"])
        );
        assert_eq!(
            held("D=/x; export P=`pass show \"$D\"`"),
            output(&["pass", "show", "/x"])
        );
        assert!(matches!(held("export P=$(a | b)"), Some(Held::Unknown(_))));
        assert_eq!(held("export P=''"), None);
    }
}
