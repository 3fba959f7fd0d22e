//! What a server says, taken apart: atoms, texts and lists.
//!
//! A literal comes apart from its line, which has [`LITERAL`] in its place. Source: RFC 3501, section 9.

use crate::engine::error::{Error, ErrorKind, Result};

/// Stands in a line for the next literal; no line of a server holds it.
pub(super) const LITERAL: u8 = 0;

/// Lists in lists; a body's structure needs some, and nothing else does.
const MAX_DEPTH: usize = 32;

/// One value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// A word: `FETCH`, `17`, `NIL`, `BODY[1]<0>`.
    Atom(String),
    /// A quoted string or a literal.
    Text(Vec<u8>),
    List(Vec<Value>),
}

impl Value {
    pub(super) fn number(&self) -> Option<u64> {
        match self {
            Value::Atom(word) => word.parse().ok(),
            _ => None,
        }
    }

    pub(super) fn is(&self, word: &str) -> bool {
        matches!(self, Value::Atom(atom) if atom.eq_ignore_ascii_case(word))
    }
}

/// The values of a line.
///
/// # Errors
/// `Unreachable` for what is none: the line broke, or it is not IMAP.
pub(super) fn parse(line: &[u8], literals: Vec<Vec<u8>>) -> Result<Vec<Value>> {
    let strange = || {
        Error::new(
            ErrorKind::Unreachable,
            "the server does not speak IMAP as expected",
        )
    };
    let mut literals = literals.into_iter();
    // The lists that are open; the first is the line itself.
    let mut open: Vec<Vec<Value>> = vec![Vec::new()];
    let mut at = 0;
    while let Some(&byte) = line.get(at) {
        at += 1;
        let value = match byte {
            b' ' => continue,
            b'(' if open.len() < MAX_DEPTH => {
                open.push(Vec::new());
                continue;
            }
            b')' if open.len() > 1 => Value::List(open.pop().unwrap_or_default()),
            b'(' | b')' => return Err(strange()),
            LITERAL => Value::Text(literals.next().ok_or_else(strange)?),
            b'"' => {
                let mut text = Vec::new();
                loop {
                    let byte = *line.get(at).ok_or_else(strange)?;
                    at += 1;
                    match byte {
                        b'"' => break,
                        b'\\' => {
                            text.push(*line.get(at).ok_or_else(strange)?);
                            at += 1;
                        }
                        byte => text.push(byte),
                    }
                }
                Value::Text(text)
            }
            _ => {
                let start = at - 1;
                let mut inside = byte == b'[';
                while let Some(&byte) = line.get(at) {
                    match byte {
                        b'[' => inside = true,
                        b']' => inside = false,
                        b' ' | b'(' | b')' if !inside => break,
                        LITERAL | b'"' if !inside => break,
                        _ => {}
                    }
                    at += 1;
                }
                let word = line.get(start..at).unwrap_or_default();
                Value::Atom(String::from_utf8_lossy(word).into_owned())
            }
        };
        open.last_mut().ok_or_else(strange)?.push(value);
    }
    match (open.pop(), open.is_empty()) {
        (Some(values), true) => Ok(values),
        _ => Err(strange()),
    }
}

/// What one `FETCH` tells of a mail: names and values by turns.
pub(super) struct Fetched<'a>(&'a [Value]);

impl<'a> Fetched<'a> {
    /// `None` for an answer of another kind.
    pub(super) fn of(values: &'a [Value]) -> Option<Self> {
        match values {
            [star, _, fetch, Value::List(list)] if star.is("*") && fetch.is("FETCH") => {
                Some(Self(list))
            }
            _ => None,
        }
    }

    /// The value behind a name that begins so.
    pub(super) fn get(&self, begin: &str) -> Option<&'a Value> {
        let begins = |value: &Value| match value {
            Value::Atom(word) => word
                .get(..begin.len())
                .is_some_and(|head| head.eq_ignore_ascii_case(begin)),
            _ => false,
        };
        let mut pairs = self.0.chunks_exact(2);
        pairs
            .find(|pair| pair.first().is_some_and(begins))
            .and_then(|pair| pair.get(1))
    }

    /// The number that names the mail for good.
    pub(super) fn uid(&self) -> Option<u64> {
        self.get("UID")?.number()
    }

    pub(super) fn text(&self, begin: &str) -> Option<&'a [u8]> {
        match self.get(begin)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// Length of the first part of a mail whose parts are encoded in base64, as its structure has it.
pub(super) fn encoded_length(structure: &Value) -> Option<u64> {
    let Value::List(values) = structure else {
        return None;
    };
    // Its fields are type, subtype, parameters, id, description, encoding, length.
    match values.as_slice() {
        [first @ Value::List(_), ..] => encoded_length(first),
        [_, _, _, _, _, encoding, length, ..] => {
            let length = length.number()?;
            let is_encoded =
                matches!(encoding, Value::Text(text) if text.eq_ignore_ascii_case(b"base64"));
            // What is empty has any encoding.
            Some(length).filter(|length| is_encoded || *length == 0)
        }
        _ => None,
    }
}

/// Numbers as sets of at most so many, each as a command takes it: `3:5,9`.
pub(super) fn sets(uids: &[u64], most: usize) -> Vec<String> {
    let mut sorted = uids.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    let set = |uids: &[u64]| {
        let mut ranges: Vec<(u64, u64)> = Vec::new();
        for &uid in uids {
            match ranges.last_mut() {
                Some((_, end)) if end.checked_add(1) == Some(uid) => *end = uid,
                _ => ranges.push((uid, uid)),
            }
        }
        let range = |(start, end): (u64, u64)| match start == end {
            true => start.to_string(),
            false => format!("{start}:{end}"),
        };
        ranges.into_iter().map(range).collect::<Vec<_>>().join(",")
    };
    sorted.chunks(most).map(set).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_taken_apart() {
        let line =
            b"* 12 FETCH (UID 7 BODY[HEADER.FIELDS (FROM SUBJECT)] \0 FLAGS () X \"a\\\"b\")";
        let values = parse(line, vec![b"From: x\r\n".to_vec()]).expect("an answer");
        let fetched = Fetched::of(&values).expect("a fetch");
        assert_eq!(fetched.uid(), Some(7));
        assert_eq!(fetched.text("BODY[HEADER"), Some(&b"From: x\r\n"[..]));
        assert_eq!(fetched.text("x"), Some(&b"a\"b"[..]));
        assert_eq!(fetched.get("FLAGS"), Some(&Value::List(Vec::new())));
        let values = parse(b"* SEARCH 1 2", Vec::new()).expect("an answer");
        assert_eq!(values.iter().filter_map(Value::number).sum::<u64>(), 3);
        assert!(Fetched::of(&values).is_none());
        let deep = [vec![b'('; 100_000], vec![b')'; 100_000]].concat();
        for wrong in [&b"(a"[..], b"a)", b"\"a", b"\"a\\", b"\0", &deep] {
            let error = parse(wrong, Vec::new()).expect_err("no answer");
            assert_eq!(error.kind(), ErrorKind::Unreachable);
        }
    }

    #[test]
    fn a_structure_tells_the_length_of_the_part() {
        let parts = [
            r#"(("APPLICATION" "BINARY" NIL NIL NIL "BASE64" 1234 NIL) "MIXED" NIL)"#,
            r#"("APPLICATION" "BINARY" NIL NIL NIL "base64" 1234)"#,
        ];
        for text in parts {
            let values = parse(text.as_bytes(), Vec::new()).expect("a structure");
            assert_eq!(encoded_length(&values[0]), Some(1234), "{text}");
        }
        for (text, length) in [
            (&br#"("TEXT" "PLAIN" NIL NIL NIL "7BIT" 12 1)"#[..], None),
            (br#"("TEXT" "PLAIN" NIL NIL NIL "7BIT" 0 0)"#, Some(0)),
            (br#"("TEXT" "PLAIN" NIL NIL)"#, None),
        ] {
            let values = parse(text, Vec::new()).expect("a structure");
            assert_eq!(encoded_length(&values[0]), length);
        }
    }

    #[test]
    fn neighbours_are_one_range() {
        assert_eq!(sets(&[5, 3, 4, 9, 3], 10), ["3:5,9"]);
        assert_eq!(sets(&[1, 2, 3], 2), ["1:2", "3"]);
        assert_eq!(sets(&[], 2), Vec::<String>::new());
        assert_eq!(sets(&[u64::MAX], 2), [u64::MAX.to_string()]);
    }
}
