//! From merged values to [`ProfileFile`], telling everything that does not fit.

use super::Loaded;
use crate::profile::error::{Problem, nearest};
use crate::profile::file::ProfileFile;
use crate::profile::layer::{self, KeyPath};
use crate::profile::schedule::Cron;
use crate::profile::url;
use figment::error::Kind;
use figment::value::{Dict, Value};
use std::collections::BTreeMap;

/// Problems after which a file is not looked at further.
const MAX_PROBLEMS: usize = 100;

impl Loaded {
    /// Reads the merged values into [`ProfileFile`]. What does not fit becomes a problem and is left out, until the
    /// rest fits: so all problems are found, not only the first.
    pub(super) fn extract(&mut self, defaults: &Dict, mut raws: BTreeMap<KeyPath, String>) {
        let mut values = self.values.clone();
        while self.problems.len() < MAX_PROBLEMS {
            let error = match Value::from(values.clone()).deserialize::<ProfileFile>() {
                Ok(file) => {
                    self.file = file;
                    return;
                }
                Err(error) => error,
            };
            // `--set backup.name=007` reads as a number first; as text it may be what was meant.
            if matches!(error.kind, Kind::InvalidType(..))
                && let Some(raw) = raws.remove(&error.path)
            {
                layer::insert(&mut values, &error.path, Value::from(raw.clone()));
                layer::insert(&mut self.values, &error.path, Value::from(raw));
                continue;
            }
            self.meant.extend(meant(&error));
            let problem = self.problem(&error);
            self.problems.push(problem);
            let removed = layer::remove(&mut values, &error.path);
            let default = layer::find(defaults, &error.path).cloned();
            let restored =
                default.is_some_and(|value| layer::insert(&mut values, &error.path, value));
            if !removed && !restored {
                return;
            }
        }
    }

    fn problem(&self, error: &figment::Error) -> Problem {
        let dotted = error.path.join(".");
        let place = self
            .place(&error.path)
            .or_else(|| self.place_below(&error.path));
        let unknown = matches!(error.kind, Kind::UnknownField(..));
        let own = self.places.contains_key(&error.path);
        let mut span = place.map(|p| {
            (
                p.source,
                if unknown && own {
                    p.key.clone()
                } else {
                    p.value.clone()
                },
            )
        });
        let (message, help) = match &error.kind {
            Kind::UnknownField(name, known) => {
                let near = nearest(name, known.iter().copied());
                let help = match near {
                    Some(near) => Some(format!("did you mean {near}?")),
                    None if known.len() <= 24 => Some(format!("known here: {}", known.join(", "))),
                    None => None,
                };
                (format!("unknown key {name}"), help)
            }
            Kind::UnknownVariant(word, known) => {
                let near =
                    nearest(word, known.iter().copied()).map(|n| format!("did you mean {n}? "));
                let help = format!("{}possible: {}", near.unwrap_or_default(), known.join(", "));
                (format!("{word:?} is not possible here"), Some(help))
            }
            Kind::InvalidType(found, expected) | Kind::InvalidValue(found, expected) => (
                format!("expected {}, found {}", in_words(expected), actual(found)),
                instead(&error.path, found, expected),
            ),
            Kind::Message(text) => match text.split_once(": ") {
                Some((text, help)) => (text.to_owned(), Some(help.to_owned())),
                _ => (text.clone(), None),
            },
            other => (other.to_string(), None),
        };
        // A cron expression knows which of its fields is wrong.
        if dotted == "schedule.cron"
            && let Some(Value::String(_, text)) = layer::find(&self.values, &error.path)
            && let Err(cron) = Cron::parse(text)
            && let Some((source, span)) = &mut span
            && self
                .sources
                .get(*source)
                .and_then(|s| s.shown.get(span.start + 1..span.end.checked_sub(1)?))
                == Some(text.as_str())
        {
            let start = span.start + 1;
            *span = start + cron.span.start..start + cron.span.end.max(cron.span.start + 1);
        }
        Problem {
            message,
            key: dotted,
            place: span,
            help,
        }
    }
}

/// The key an unknown one was most likely meant to be.
fn meant(error: &figment::Error) -> Option<String> {
    let Kind::UnknownField(name, known) = &error.kind else {
        return None;
    };
    let near = nearest(name, known.iter().copied())?;
    let mut path = error.path.clone();
    path.pop();
    path.push(near.to_owned());
    Some(path.join("."))
}

/// What to write in place of a value of the wrong type, where that can be told.
fn instead(path: &[String], found: &figment::error::Actual, expected: &str) -> Option<String> {
    use figment::error::Actual;
    let number = matches!(
        expected,
        "u8" | "u16" | "u32" | "u64" | "usize" | "i8" | "i16" | "i32" | "i64" | "f64"
    );
    match (path, found) {
        ([key], Actual::Bool(_) | Actual::Unsigned(_) | Actual::Signed(_) | Actual::Float(_))
            if key == "source" =>
        {
            Some("write source = \"/home/me\"".to_owned())
        }
        (_, Actual::Str(text)) if number && text.parse::<f64>().is_ok() => {
            Some(format!("write {text} without quotes"))
        }
        (_, Actual::Str(text)) if expected == "a boolean" && text.parse::<bool>().is_ok() => {
            Some(format!("write {text} without quotes"))
        }
        _ => None,
    }
}

fn in_words(expected: &str) -> &str {
    match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number from 0 up",
        "i8" | "i16" | "i32" | "i64" => "a whole number",
        "f64" => "a number",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "a table",
        other if other.starts_with("struct ") => "a table",
        other => other,
    }
}

fn actual(found: &figment::error::Actual) -> String {
    use figment::error::Actual;
    match found {
        Actual::Bool(b) => b.to_string(),
        Actual::Unsigned(n) => n.to_string(),
        Actual::Signed(n) => n.to_string(),
        Actual::Float(n) => n.to_string(),
        Actual::Str(text) => format!("{:?}", url::mask(text)),
        Actual::Seq => "a list".into(),
        Actual::Map => "a table".into(),
        other => other.to_string(),
    }
}
