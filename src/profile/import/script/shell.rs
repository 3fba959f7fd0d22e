//! A shell script as statements, as far as that goes without running it: words with their quotes, variables and commands in
//! `$( )` told apart. Everything else a shell knows is marked as such, never evaluated.

/// A part of a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// Text as it stands.
    Text(String),
    /// A variable; outside of quotes its value is split at blanks.
    Variable { name: String, quoted: bool },
    /// All elements of an array.
    Elements(String),
    /// What a command prints.
    Output(String),
    /// What only a shell can tell.
    Unknown(String),
}

/// A word.
pub(super) type Word = Vec<Piece>;

/// An assignment in front of a command, or alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Assignment {
    pub(super) name: String,
    /// Added to what is there.
    pub(super) appends: bool,
    pub(super) value: Given,
}

/// What is assigned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Given {
    Word(Word),
    Array(Vec<Word>),
}

/// A simple command, with the assignments before it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Statement {
    /// Line of its first word, from 1.
    pub(super) line: usize,
    pub(super) assignments: Vec<Assignment>,
    pub(super) words: Vec<Word>,
}

/// Words behind which assignments may stand.
pub(super) const DECLARING: &[&str] = &["export", "declare", "local", "readonly", "typeset", "env"];

/// Splits a script.
pub(super) fn statements(text: &str) -> Vec<Statement> {
    let mut reader = Reader {
        letters: text.chars().collect(),
        at: 0,
        line: 1,
        here_documents: Vec::new(),
    };
    let mut all = Vec::new();
    let mut current = Statement::default();
    while let Some(c) = reader.peek() {
        match c {
            ' ' | '\t' | '\r' => reader.at += 1,
            '\\' if reader.after(1) == Some('\n') => {
                reader.at += 2;
                reader.line += 1;
            }
            '#' => reader.skip_line(),
            '\n' => {
                finish(&mut current, &mut all);
                reader.at += 1;
                reader.line += 1;
                reader.skip_here_documents();
            }
            ';' | '&' | '|' | '(' | ')' => {
                finish(&mut current, &mut all);
                reader.at += 1;
            }
            '<' | '>' => reader.redirection(),
            c if c.is_ascii_digit() && matches!(reader.after(1), Some('<' | '>')) => {
                reader.at += 1;
                reader.redirection();
            }
            _ => {
                if current.words.is_empty() && current.assignments.is_empty() {
                    current.line = reader.line;
                }
                reader.add(&mut current);
            }
        }
    }
    finish(&mut current, &mut all);
    all
}

fn finish(current: &mut Statement, all: &mut Vec<Statement>) {
    let done = std::mem::take(current);
    if !done.words.is_empty() || !done.assignments.is_empty() {
        all.push(done);
    }
}

struct Reader {
    letters: Vec<char>,
    at: usize,
    line: usize,
    /// Words that end texts which begin on the next line.
    here_documents: Vec<String>,
}

impl Reader {
    fn peek(&self) -> Option<char> {
        self.letters.get(self.at).copied()
    }

    fn after(&self, n: usize) -> Option<char> {
        self.letters.get(self.at + n).copied()
    }

    /// The next letter, taken.
    fn take(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += 1;
        self.line += usize::from(c == '\n');
        Some(c)
    }

    fn skip_line(&mut self) {
        while self.peek().is_some_and(|c| c != '\n') {
            self.at += 1;
        }
    }

    fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(' ' | '\t')) {
            self.at += 1;
        }
    }

    /// `>file`, `2>&1`, `<<END`: where things go is not ours; a text that follows is passed over.
    fn redirection(&mut self) {
        let mut sign = String::new();
        while let Some(c) = self.peek().filter(|c| matches!(c, '<' | '>' | '&' | '|')) {
            sign.push(c);
            self.at += 1;
        }
        if sign == "<<" && self.peek() == Some('-') {
            self.at += 1;
        }
        self.skip_blanks();
        let word = self.word();
        let text: String = word.iter().map(plain).collect();
        if sign == "<<" {
            self.here_documents.push(text);
        }
    }

    fn skip_here_documents(&mut self) {
        for end in std::mem::take(&mut self.here_documents) {
            while self.peek().is_some() {
                let from = self.at;
                self.skip_line();
                let line: String = self
                    .letters
                    .get(from..self.at)
                    .unwrap_or_default()
                    .iter()
                    .collect();
                self.take();
                if line.trim() == end {
                    break;
                }
            }
        }
    }

    /// Adds the next word or assignment.
    fn add(&mut self, statement: &mut Statement) {
        let declares = |word: &Word| {
            let word: String = word.iter().map(plain).collect();
            DECLARING.contains(&word.as_str())
        };
        let may_assign = statement.words.first().is_none_or(declares);
        if let Some((name, appends)) = self.assigned_name().filter(|_| may_assign) {
            self.at += name.chars().count() + if appends { 2 } else { 1 };
            let value = match self.peek() {
                Some('(') => Given::Array(self.array()),
                _ => Given::Word(self.word()),
            };
            let assignment = Assignment {
                name,
                appends,
                value,
            };
            statement.assignments.push(assignment);
            return;
        }
        let before = self.at;
        let word = self.word();
        if self.at == before {
            // Nothing that could be a word: it must not be looked at again.
            self.at += 1;
        }
        statement.words.push(word);
    }

    /// The name before `=` or `+=`, if an assignment begins here.
    fn assigned_name(&self) -> Option<(String, bool)> {
        let rest = self.letters.get(self.at..)?;
        let name: String = rest
            .iter()
            .take_while(|c| c.is_ascii_alphanumeric() || **c == '_')
            .collect();
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        match rest.get(name.len()..)? {
            ['=', ..] => Some((name, false)),
            ['+', '=', ..] => Some((name, true)),
            _ => None,
        }
    }

    fn array(&mut self) -> Vec<Word> {
        self.at += 1;
        let mut words = Vec::new();
        loop {
            match self.peek() {
                None => return words,
                Some(')') => {
                    self.at += 1;
                    return words;
                }
                Some(' ' | '\t' | '\r' | '\n') => {
                    self.take();
                }
                Some('#') => self.skip_line(),
                Some('\\') if self.after(1) == Some('\n') => {
                    self.take();
                    self.take();
                }
                Some(_) => {
                    let before = self.at;
                    words.push(self.word());
                    if self.at == before {
                        self.at += 1;
                    }
                }
            }
        }
    }

    /// A word, up to a blank or an operator outside of quotes.
    fn word(&mut self) -> Word {
        let mut word = Word::new();
        while let Some(c) = self.peek() {
            match c {
                ' ' | '\t' | '\r' | '\n' | ';' | '&' | '|' | '(' | ')' | '<' | '>' => break,
                '\'' => {
                    self.take();
                    let mut text = String::new();
                    while let Some(c) = self.take().filter(|c| *c != '\'') {
                        text.push(c);
                    }
                    push(&mut word, &text);
                }
                '"' => {
                    self.take();
                    self.quoted(&mut word);
                }
                '\\' => {
                    self.take();
                    match self.take() {
                        Some('\n') | None => {}
                        Some(c) => push(&mut word, &c.to_string()),
                    }
                }
                '$' => self.dollar(&mut word, false),
                '`' => self.backquoted(&mut word),
                '~' if word.is_empty()
                    && matches!(self.after(1), None | Some('/' | ' ' | '\n')) =>
                {
                    self.take();
                    word.push(Piece::Variable {
                        name: "HOME".to_owned(),
                        quoted: true,
                    });
                }
                '{' if word_has_alternatives(self.letters.get(self.at..)) => {
                    self.take();
                    word.push(Piece::Unknown("{ , }".to_owned()));
                }
                c => {
                    self.take();
                    push(&mut word, c.encode_utf8(&mut [0; 4]));
                }
            }
        }
        word
    }

    /// What stands between double quotes.
    fn quoted(&mut self, word: &mut Word) {
        // So that "" is a word, too.
        push(word, "");
        while let Some(c) = self.peek() {
            match c {
                '"' => {
                    self.take();
                    return;
                }
                '\\' => {
                    self.take();
                    match self.take() {
                        Some('\n') | None => {}
                        Some(c @ ('$' | '`' | '"' | '\\')) => {
                            push(word, c.encode_utf8(&mut [0; 4]))
                        }
                        Some(c) => push(word, &format!("\\{c}")),
                    }
                }
                '$' => self.dollar(word, true),
                '`' => self.backquoted(word),
                c => {
                    self.take();
                    push(word, c.encode_utf8(&mut [0; 4]));
                }
            }
        }
    }

    fn dollar(&mut self, word: &mut Word, quoted: bool) {
        self.take();
        match self.peek() {
            Some('(') => {
                let inside = self.parentheses();
                word.push(match inside.starts_with('(') {
                    true => Piece::Unknown("$(( ))".to_owned()),
                    false => Piece::Output(inside),
                });
            }
            Some('{') => {
                let mut inside = String::new();
                self.take();
                while let Some(c) = self.take().filter(|c| *c != '}') {
                    inside.push(c);
                }
                let array = inside.strip_suffix("[@]").or(inside.strip_suffix("[*]"));
                word.push(match array {
                    Some(name) if is_name(name) => Piece::Elements(name.to_owned()),
                    None if is_name(&inside) => Piece::Variable {
                        name: inside,
                        quoted,
                    },
                    _ => Piece::Unknown(format!("${{{inside}}}")),
                });
            }
            Some(c) if c.is_ascii_alphabetic() || c == '_' => {
                let mut name = String::new();
                while let Some(c) = self
                    .peek()
                    .filter(|c| c.is_ascii_alphanumeric() || *c == '_')
                {
                    name.push(c);
                    self.at += 1;
                }
                word.push(Piece::Variable { name, quoted });
            }
            Some(c) if c.is_ascii_digit() || "@*#?$!-".contains(c) => {
                self.take();
                word.push(Piece::Unknown(format!("${c}")));
            }
            _ => push(word, "$"),
        }
    }

    /// What stands in the parentheses that begin here, without them.
    fn parentheses(&mut self) -> String {
        self.take();
        let (mut inside, mut depth) = (String::new(), 1);
        while let Some(c) = self.take() {
            match c {
                '(' => depth += 1,
                ')' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                break;
            }
            inside.push(c);
        }
        inside
    }

    fn backquoted(&mut self, word: &mut Word) {
        self.take();
        let mut inside = String::new();
        while let Some(c) = self.take().filter(|c| *c != '`') {
            inside.push(c);
        }
        word.push(Piece::Output(inside));
    }
}

/// Whether what begins with a brace is `{a,b}`.
fn word_has_alternatives(rest: Option<&[char]>) -> bool {
    let inside = rest.unwrap_or_default().iter().skip(1);
    let inside: String = inside
        .take_while(|c| **c != '}' && !c.is_whitespace())
        .collect();
    inside.contains(',') || inside.contains("..")
}

fn is_name(text: &str) -> bool {
    let mut letters = text.chars();
    letters
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && letters.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn push(word: &mut Word, text: &str) {
    match word.last_mut() {
        Some(Piece::Text(last)) => last.push_str(text),
        _ => word.push(Piece::Text(text.to_owned())),
    }
}

/// A piece as it was typed, roughly.
pub(super) fn plain(piece: &Piece) -> String {
    match piece {
        Piece::Text(text) => text.clone(),
        Piece::Variable { name, .. } => format!("${name}"),
        Piece::Elements(name) => format!("${{{name}[@]}}"),
        Piece::Output(_) => "$( )".to_owned(),
        Piece::Unknown(text) => text.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(text: &str) -> Vec<String> {
        let word = |word: &Word| word.iter().map(plain).collect::<String>();
        let all = statements(text).into_iter().map(|s| {
            let assigned = s.assignments.iter().map(|a| {
                let value = match &a.value {
                    Given::Word(value) => word(value),
                    Given::Array(words) => {
                        format!("{:?}", words.iter().map(word).collect::<Vec<_>>())
                    }
                };
                format!("{}{}={value}", a.name, if a.appends { "+" } else { "" })
            });
            let words = s.words.iter().map(word);
            let parts: Vec<String> = assigned.chain(words).collect();
            format!("{}: {}", s.line, parts.join("|"))
        });
        all.collect()
    }

    #[test]
    fn statements_words_and_lines() {
        let text = "#!/bin/sh\nexport A='x y' B=\"$HOME/b\" # why\n\nduplicity \\\n  --exclude '**/a b' \"$SRC\" file:///t >>/log 2>&1 || echo no\nPASS=$(cat /p)\nL=(--a \"b c\"\n  $d)\nL+=(e)\n";
        assert_eq!(
            shown(text),
            [
                "2: A=x y|B=$HOME/b|export",
                "4: duplicity|--exclude|**/a b|$SRC|file:///t",
                "5: echo|no",
                "6: PASS=$( )",
                "7: L=[\"--a\", \"b c\", \"$d\"]",
                "9: L+=[\"e\"]",
            ]
        );
    }

    #[test]
    fn texts_for_other_programs_are_passed_over() {
        let text = "mail me <<END\nduplicity full / x\nEND\necho a; duplicity ls x";
        assert_eq!(
            shown(text),
            ["1: mail|me", "4: echo|a", "4: duplicity|ls|x"]
        );
    }

    #[test]
    fn what_only_a_shell_knows_is_marked() {
        let words = |text: &str| statements(text).remove(0).words.remove(0);
        for text in ["${A:-b}", "$1", "$((1+1))", "{a,b}"] {
            assert!(matches!(words(text)[..], [Piece::Unknown(_), ..]), "{text}");
        }
        assert_eq!(words("`id -u`"), [Piece::Output("id -u".into())]);
        assert_eq!(words("\"${A[@]}\"")[1], Piece::Elements("A".into()));
        assert_eq!(words("a{b}"), [Piece::Text("a{b}".into())]);
        assert_eq!(words("\"\""), [Piece::Text(String::new())]);
    }

    proptest! {
        #[test]
        fn any_text_ends(text in "\\PC{0,60}|([a-z$(){}'\"`\\\\;&|<>=#~ ]|\n){0,60}") {
            statements(&text);
        }
    }
}
