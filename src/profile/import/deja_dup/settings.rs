//! Settings of GNOME as text: what `gsettings list-recursively` prints, and what `dconf dump` writes.

use crate::profile::error::Errors;
use std::collections::BTreeMap;

/// Where `gsettings` has the keys; children of it end in `.Local` and the like.
const SCHEMA: &str = "org.gnome.DejaDup";

/// Where `dconf` has them.
const PATH: &str = "org/gnome/deja-dup";

/// Children of the schema that are known.
const CHILDREN: &[&str] = &["local", "drive", "remote", "rclone", "google", "microsoft"];

/// A value of GLib's text form, of the types that occur.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Text(String),
    Texts(Vec<String>),
    Number(i64),
    Flag(bool),
}

/// What is there and was not asked for yet.
#[derive(Debug, Default)]
pub(super) struct Settings {
    values: BTreeMap<String, Value>,
    /// Lines that say nothing known, with their numbers.
    pub(super) unread: Vec<String>,
}

impl Settings {
    /// Reads either form. Keys of a child are `local.folder`; those of other programs are passed over.
    ///
    /// # Errors
    /// There is no key of Déjà Dup in it.
    pub(super) fn parse(text: &str) -> Result<Self, Errors> {
        let mut settings = Settings::default();
        // The group of a dump: its child, nothing for that of another program.
        let mut group: Option<Option<String>> = None;
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
                group = Some(child_of(name));
                continue;
            }
            let found = match &group {
                Some(None) => continue,
                Some(Some(child)) => line
                    .split_once('=')
                    .map(|(key, value)| (full(child, key.trim()), value)),
                None => listed(line),
            };
            match found.and_then(|(key, text)| Some((key, value(text)?))) {
                Some((key, value)) => {
                    settings.values.insert(key, value);
                }
                None => settings.unread.push(format!("line {}: {line}", number + 1)),
            }
        }
        if settings.values.is_empty() {
            let help = "write them with `gsettings list-recursively org.gnome.DejaDup > FILE`, \
                        or `dconf dump /org/gnome/deja-dup/ > FILE`";
            return Err(Errors::single(
                "there are no settings of Déjà Dup in it",
                Some(help.to_owned()),
            ));
        }
        Ok(settings)
    }

    /// A text that says something.
    pub(super) fn text(&mut self, key: &str) -> Option<String> {
        let text = self.take(key, |value| match value {
            Value::Text(text) => Some(text.clone()),
            _ => None,
        });
        text.filter(|text| !text.is_empty())
    }

    pub(super) fn texts(&mut self, key: &str) -> Option<Vec<String>> {
        self.take(key, |value| match value {
            Value::Texts(texts) => Some(texts.clone()),
            _ => None,
        })
    }

    pub(super) fn number(&mut self, key: &str) -> Option<i64> {
        self.take(key, |value| match value {
            Value::Number(number) => Some(*number),
            _ => None,
        })
    }

    pub(super) fn flag(&mut self, key: &str) -> Option<bool> {
        self.take(key, |value| match value {
            Value::Flag(flag) => Some(*flag),
            _ => None,
        })
    }

    /// Takes a value out if it is of the type that is asked for; another one is left over, and told.
    fn take<T>(&mut self, key: &str, as_type: impl Fn(&Value) -> Option<T>) -> Option<T> {
        let value = as_type(self.values.get(key)?)?;
        self.values.remove(key);
        Some(value)
    }

    /// Keys nobody asked for, with their values.
    pub(super) fn left(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.values.iter()
    }
}

/// The child a group of a dump stands for, empty for the schema itself; none if it is of another program.
fn child_of(group: &str) -> Option<String> {
    let group = group.trim_matches('/');
    let below = match group.strip_prefix(PATH) {
        Some(rest) => rest.trim_start_matches('/'),
        None => group,
    };
    // A dump of everything has the groups of all programs.
    (below.is_empty() || CHILDREN.contains(&below)).then(|| below.to_owned())
}

fn full(child: &str, key: &str) -> String {
    match child {
        "" => key.to_owned(),
        child => format!("{child}.{key}"),
    }
}

/// A line of `gsettings list-recursively`: schema, key, value.
fn listed(line: &str) -> Option<(String, &str)> {
    let (schema, rest) = line.split_once(' ')?;
    let (key, value) = rest.split_once(' ')?;
    let child = schema.strip_prefix(SCHEMA)?.to_lowercase();
    Some((full(child.trim_start_matches('.'), key), value))
}

/// A value in GLib's text form.
fn value(text: &str) -> Option<Value> {
    let mut text = text.trim();
    // The type, where the text alone would not tell it.
    if let Some((kind, rest)) = text.split_once(' ')
        && (kind.starts_with('@') || kind.starts_with("int") || kind.starts_with("uint"))
    {
        text = rest.trim();
    }
    match text {
        "true" => return Some(Value::Flag(true)),
        "false" => return Some(Value::Flag(false)),
        _ => {}
    }
    if let Ok(number) = text.parse() {
        return Some(Value::Number(number));
    }
    let mut rest = text;
    if let Some(inner) = text.strip_prefix('[') {
        let mut texts = Vec::new();
        rest = inner.trim_start();
        while !rest.starts_with(']') {
            let (text, after) = string(rest)?;
            texts.push(text);
            rest = after.trim_start();
            match rest.strip_prefix(',') {
                Some(next) => rest = next.trim_start(),
                None if rest.starts_with(']') => {}
                None => return None,
            }
        }
        return (rest == "]").then_some(Value::Texts(texts));
    }
    let (text, after) = string(rest)?;
    after.trim().is_empty().then_some(Value::Text(text))
}

/// A quoted string at the start of a text, and what follows it.
fn string(text: &str) -> Option<(String, &str)> {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    let mut out = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            c if c == quote => return Some((out, text.get(at + c.len_utf8()..)?)),
            '\\' => {
                let (_, escaped) = chars.next()?;
                let length = match escaped {
                    'u' => 4,
                    'U' => 8,
                    'n' => {
                        out.push('\n');
                        continue;
                    }
                    't' => {
                        out.push('\t');
                        continue;
                    }
                    other => {
                        out.push(other);
                        continue;
                    }
                };
                let digits: String = chars.by_ref().take(length).map(|(_, c)| c).collect();
                out.push(char::from_u32(u32::from_str_radix(&digits, 16).ok()?)?);
            }
            c => out.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_are_read_as_glib_writes_them() {
        for (text, expected) in [
            ("'a b'", Value::Text("a b".into())),
            (r#""it's""#, Value::Text("it's".into())),
            (
                r"'back\\slash \'q\' \u00e4'",
                Value::Text(r"back\slash 'q' ä".into()),
            ),
            ("@as []", Value::Texts(vec![])),
            (
                "['$HOME', \"/a'b\"]",
                Value::Texts(vec!["$HOME".into(), "/a'b".into()]),
            ),
            ("90", Value::Number(90)),
            ("uint32 7", Value::Number(7)),
            ("true", Value::Flag(true)),
        ] {
            assert_eq!(value(text), Some(expected), "{text}");
        }
        for text in [
            "",
            "'a",
            "'a' b",
            "['a'",
            "['a' 'b']",
            "{'a': 1}",
            "'\\uzzzz'",
        ] {
            assert_eq!(value(text), None, "{text}");
        }
    }

    #[test]
    fn both_forms_say_the_same() {
        let listed = "org.gnome.DejaDup backend 'local'\norg.gnome.DejaDup.Local folder '/b'\n";
        let dumps = [
            "[/]\nbackend='local'\n\n[local]\nfolder='/b'\n",
            "[org/gnome/desktop]\nx='y'\n[org/gnome/deja-dup]\nbackend='local'\n[org/gnome/deja-dup/local]\nfolder='/b'\n",
        ];
        for text in [listed, dumps[0], dumps[1]] {
            let mut settings = Settings::parse(text).unwrap();
            assert_eq!(settings.text("backend").as_deref(), Some("local"), "{text}");
            assert_eq!(settings.text("local.folder").as_deref(), Some("/b"));
            assert!(settings.left().next().is_none() && settings.unread.is_empty());
        }
        assert!(Settings::parse("[org/gnome/desktop]\nx='y'\n").is_err());
        let odd = Settings::parse("org.gnome.DejaDup backend 'local'\nnonsense\n").unwrap();
        assert_eq!(odd.unread, ["line 2: nonsense"]);
    }

    proptest! {
        #[test]
        fn any_text_is_settings_or_none(text in "\\PC{0,80}|([a-z\\[\\]/='\"\\\\u@, 0-9]|\n){0,80}") {
            let _ = (Settings::parse(&text).is_ok(), value(&text));
        }
    }
}
