//! The configuration as a table of plain values: sections of old versions flattened, constants and variables put in.

use crate::profile::error::Errors;
use regex::{Captures, Regex};
use serde_json::{Map, Value};
use std::path::Path;

/// Longest configuration that is read.
const MOST_BYTES: u64 = 1 << 20;

/// Sections of borgmatic before 1.8; what is in them stands at the top today.
const SECTIONS: &[&str] = &[
    "location",
    "storage",
    "retention",
    "consistency",
    "output",
    "hooks",
];

/// What is there and was not asked for yet.
pub(super) struct Config(Map<String, Value>);

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// No such file; no YAML, with line and column; tags only borgmatic can resolve.
    pub(super) fn read(file: &Path) -> Result<Self, Errors> {
        let fault = |what: String| Errors::single(format!("{}: {what}", file.display()), None);
        let length = std::fs::metadata(file).map_err(|e| fault(e.to_string()))?;
        if length.len() > MOST_BYTES {
            return Err(fault("is too long for a configuration".into()));
        }
        let text = std::fs::read_to_string(file).map_err(|e| fault(e.to_string()))?;
        let tag = |tag: &str| {
            let mut lines = text
                .lines()
                .map(|line| line.split(" #").next().unwrap_or(line));
            lines.any(|line| !line.trim_start().starts_with('#') && line.contains(tag))
        };
        if ["!include", "!retain", "!omit"].into_iter().any(tag) {
            let text = format!(
                "includes other files; `borgmatic --config {} config validate --show` prints it whole: store that, and import it",
                file.display()
            );
            return Err(fault(text));
        }
        Self::parse(&text).map_err(fault)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let Value::Object(mut table) = yaml(text)? else {
            return Err("is no configuration of borgmatic: not a table".into());
        };
        for section in SECTIONS {
            if let Some(Value::Object(inner)) = table.remove(*section) {
                table.extend(inner);
            }
        }
        let constants = match table.remove("constants") {
            Some(Value::Object(constants)) => constants,
            _ => Map::new(),
        };
        let variable = Regex::new(r"(\\?)\$\{(\w+)(?::?-([^}]*))?\}").map_err(|e| e.to_string())?;
        let mut value = Value::Object(table);
        put_in(&mut value, &constants, &variable);
        match value {
            Value::Object(table) => Ok(Self(table)),
            _ => Ok(Self(Map::new())),
        }
    }

    /// A text, number or truth value as text; what is something else stays.
    pub(super) fn text(&mut self, key: &str) -> Option<String> {
        let text = plain(self.0.get(key)?)?;
        self.0.remove(key);
        Some(text)
    }

    pub(super) fn number(&mut self, key: &str) -> Option<u64> {
        let number = self.0.get(key)?.as_u64()?;
        self.0.remove(key);
        Some(number)
    }

    pub(super) fn flag(&mut self, key: &str) -> bool {
        let flag = self.0.get(key).and_then(Value::as_bool);
        if flag.is_some() {
            self.0.remove(key);
        }
        flag.unwrap_or(false)
    }

    /// A list of texts; a text alone is a list of one.
    pub(super) fn texts(&mut self, key: &str) -> Vec<String> {
        match self.0.remove(key) {
            Some(Value::Array(values)) => values.iter().filter_map(plain).collect(),
            Some(value) => plain(&value).into_iter().collect(),
            None => Vec::new(),
        }
    }

    /// A list of anything; a table or text alone is a list of one.
    pub(super) fn values(&mut self, key: &str) -> Vec<Value> {
        match self.0.remove(key) {
            Some(Value::Array(values)) => values,
            Some(Value::Null) | None => Vec::new(),
            Some(value) => vec![value],
        }
    }

    /// Keys nobody asked for.
    pub(super) fn left(&self) -> Vec<String> {
        let said = |(_, value): &(&String, &Value)| !value.is_null();
        let said = self.0.iter().filter(said);
        said.map(|(key, _)| key.clone()).collect()
    }
}

/// A value as text, if it is a single one.
pub(super) fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

/// The text under a key of a table.
pub(super) fn field(table: &Value, key: &str) -> Option<String> {
    table.get(key).and_then(plain)
}

/// Puts constants in, and makes `${NAME:-default}` what a profile writes for it.
fn put_in(value: &mut Value, constants: &Map<String, Value>, variable: &Regex) {
    match value {
        Value::String(text) => {
            for (name, constant) in constants {
                let Some(constant) = plain(constant) else {
                    continue;
                };
                let place = format!("{{{name}}}");
                // Behind a dollar sign it is a variable.
                let pieces: Vec<&str> = text.split(place.as_str()).collect();
                let mut whole = String::new();
                for (n, piece) in pieces.iter().enumerate() {
                    if n > 0 {
                        let of_shell = whole.ends_with('$');
                        whole.push_str(if of_shell { &place } else { &constant });
                    }
                    whole.push_str(piece);
                }
                *text = whole;
            }
            let replaced = variable.replace_all(text, |found: &Captures<'_>| {
                let name = found.get(2).map_or("", |m| m.as_str());
                match (found.get(1).map_or("", |m| m.as_str()), found.get(3)) {
                    ("", Some(default)) => format!("${{env.{name}:-{}}}", default.as_str()),
                    ("", None) => format!("${{env.{name}}}"),
                    _ => format!("$${{{name}}}"),
                }
            });
            *text = replaced.into_owned();
        }
        Value::Array(values) => values
            .iter_mut()
            .for_each(|value| put_in(value, constants, variable)),
        Value::Object(table) => table
            .iter_mut()
            .for_each(|(_, value)| put_in(value, constants, variable)),
        _ => {}
    }
}

/// What a text in YAML says.
#[cfg(feature = "yaml")]
fn yaml(text: &str) -> Result<Value, String> {
    serde_saphyr::from_str(text).map_err(|e| {
        let text = e.to_string();
        text.lines().next().unwrap_or_default().to_owned()
    })
}

#[cfg(not(feature = "yaml"))]
fn yaml(_: &str) -> Result<Value, String> {
    Err("is YAML, and this dupr was built without the feature `yaml`".into())
}
