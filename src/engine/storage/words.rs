//! Options for helper programs, cut into words without a shell.

use crate::engine::error::{Error, ErrorKind, Result};

/// Splits options as a shell would: blanks separate, quotes and backslashes keep together. Nothing is expanded.
pub(crate) fn split_words(text: &str) -> Result<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut letters = text.chars();
    while let Some(c) = letters.next() {
        match (quote, c) {
            (Some(q), _) if c == q => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None | Some('"'), '\\') => match letters.next() {
                Some(next) => word.get_or_insert_default().push(next),
                None => {
                    return Err(Error::new(
                        ErrorKind::Usage,
                        "the options end in a backslash",
                    ));
                }
            },
            (None, ' ' | '\t' | '\n') => words.extend(word.take()),
            _ => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err(Error::new(
            ErrorKind::Usage,
            "the options have an open quote",
        ));
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_without_a_shell() {
        let words = |text| split_words(text).expect(text);
        assert_eq!(
            words("-oIdentityFile='/my backup/id'  -p 22"),
            ["-oIdentityFile=/my backup/id", "-p", "22"]
        );
        assert_eq!(
            words(r#"a\ b "c\"d" '' $(id) `id`"#),
            ["a b", "c\"d", "", "$(id)", "`id`"]
        );
        assert_eq!(words("  "), Vec::<String>::new());
        split_words("'open").expect_err("open quote");
        split_words("end\\").expect_err("backslash");
    }
}
