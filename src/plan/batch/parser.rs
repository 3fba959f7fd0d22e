//! Text to a tree of words: the grammar of the batch language, without arguments.

use super::{ALONE, BatchError, FIRST, Rough, TO_COME, WORDS, Word};
use crate::plan::When;

/// Deepest nesting of groups: more is no batch a person wrote.
const MAX_DEPTH: usize = 32;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Then,
    And,
    Or,
    Open,
    Close,
    Word(Word),
}

type Placed = (Token, std::ops::Range<usize>);

/// The tree of a batch.
///
/// # Errors
/// Whatever is no batch, with its place.
pub(super) fn parse(text: &str) -> Result<Vec<Rough>, BatchError> {
    let tokens = tokens(text)?;
    let mut parser = Parser {
        text,
        tokens: &tokens,
        at: 0,
    };
    let rough = parser.nodes(0)?;
    if let Some((_, span)) = parser.peek() {
        return Err(BatchError::new("] without [", None).at(text, span));
    }
    if rough.is_empty() {
        let help = Some("for example backup_purge".to_owned());
        return Err(BatchError::new("the batch is empty", help));
    }
    Ok(rough)
}

fn tokens(text: &str) -> Result<Vec<Placed>, BatchError> {
    let mut tokens = Vec::new();
    let mut chars = text.char_indices().peekable();
    while let Some((start, c)) = chars.next() {
        let single = match c {
            '_' => Some(Token::Then),
            '+' => Some(Token::And),
            '-' => Some(Token::Or),
            '[' => Some(Token::Open),
            ']' => Some(Token::Close),
            c if c.is_whitespace() => Some(Token::Then),
            _ => None,
        };
        if let Some(token) = single {
            tokens.push((token, start..start + c.len_utf8()));
            continue;
        }
        let mut end = start + c.len_utf8();
        while let Some((i, c)) = chars.next_if(|(_, c)| !"_+-[]".contains(*c) && !c.is_whitespace())
        {
            end = i + c.len_utf8();
        }
        let word = text.get(start..end).unwrap_or("");
        tokens.push((token(word).map_err(|e| e.at(text, start..end))?, start..end));
    }
    Ok(tokens)
}

fn token(word: &str) -> Result<Token, BatchError> {
    let lower = word.to_lowercase();
    match lower.as_str() {
        "and" => return Ok(Token::And),
        "or" => return Ok(Token::Or),
        "groupin" => return Ok(Token::Open),
        "groupout" => return Ok(Token::Close),
        _ => {}
    }
    if let Some((_, word)) = WORDS.iter().find(|(text, _)| *text == lower) {
        return Ok(Token::Word(*word));
    }
    if ALONE.contains(&lower.as_str()) {
        return Err(BatchError::new(
            format!("{lower} is no part of a batch: it stands alone"),
            Some(format!("dupr PROFILE {lower}")),
        ));
    }
    if FIRST.contains(&lower.as_str()) {
        return Err(BatchError::new(
            format!("{lower} is a tool, and comes before a profile"),
            Some(format!(
                "write dupr {lower} …; `dupr help {lower}` tells of it"
            )),
        ));
    }
    if TO_COME.contains(&lower.as_str()) {
        return Err(BatchError::new(
            format!("this dupr has no {lower} yet"),
            Some("`dupr --help` lists the commands; docs/roadmap.md what is to come".to_owned()),
        ));
    }
    let known = WORDS.iter().map(|(text, _)| *text);
    let help = match crate::profile::error::nearest(&lower, known) {
        Some(near) => format!("did you mean {near}?"),
        None => "`dupr help` lists the commands".to_owned(),
    };
    Err(BatchError::new(format!("unknown command {word:?}"), help))
}

struct Parser<'a> {
    text: &'a str,
    tokens: &'a [Placed],
    at: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<Placed> {
        self.tokens.get(self.at).cloned()
    }

    /// Items up to a closing bracket or the end.
    fn nodes(&mut self, depth: usize) -> Result<Vec<Rough>, BatchError> {
        let mut nodes = Vec::new();
        loop {
            let (when, span) = self.separators()?;
            let condition = when != When::Always;
            if condition && nodes.is_empty() {
                return Err(
                    BatchError::new("a condition with no command before it", None)
                        .at(self.text, span),
                );
            }
            match self.peek() {
                None | Some((Token::Close, _)) if condition => {
                    return Err(
                        BatchError::new("a condition with no command after it", None)
                            .at(self.text, span),
                    );
                }
                None | Some((Token::Close, _)) => return Ok(nodes),
                Some((Token::Word(word), _)) => {
                    self.at += 1;
                    nodes.push(Rough::Command(when, word));
                }
                Some((_, open)) => {
                    self.at += 1;
                    if depth >= MAX_DEPTH {
                        let message = format!("more than {MAX_DEPTH} brackets inside one another");
                        return Err(BatchError::new(message, None).at(self.text, open));
                    }
                    let inner = self.nodes(depth + 1)?;
                    if self.peek().is_none() {
                        return Err(BatchError::new("[ without ]", None).at(self.text, open));
                    }
                    self.at += 1;
                    if inner.is_empty() {
                        return Err(BatchError::new("an empty group", None).at(self.text, open));
                    }
                    nodes.push(Rough::Group(when, inner));
                }
            }
        }
    }

    /// A run of separators as one condition: `_` gives way to `+` and `-`.
    fn separators(&mut self) -> Result<(When, std::ops::Range<usize>), BatchError> {
        let mut found: Option<(When, std::ops::Range<usize>)> = None;
        while let Some((token, span)) = self.peek() {
            let when = match token {
                Token::Then => When::Always,
                Token::And => When::IfOk,
                Token::Or => When::IfFailed,
                _ => break,
            };
            self.at += 1;
            if when == When::Always {
                continue;
            }
            if found.is_some() {
                return Err(BatchError::new("two conditions in a row", None).at(self.text, span));
            }
            found = Some((when, span));
        }
        Ok(found.unwrap_or((When::Always, 0..0)))
    }
}
