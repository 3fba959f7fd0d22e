//! One layer of a profile: a file, the environment, or the command line, as values with the place of each.
//!
//! Layers are brought to one spelling here (`source = "x"` becomes `source.path`), and edits of inherited lists
//! are carried out, so that figment only has to lay tables over each other.

mod named;
mod stack;

pub(super) use stack::Stack;

use super::error::{Place, Problem, SourceText};
use figment::value::{Dict, Map, Tag, Value};
use figment::{Metadata, Provider};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The way to a value: keys, and numbers for elements of lists.
pub(super) type KeyPath = Vec<String>;

/// Tables of which an upper layer's value replaces all of a lower one's, dots between keys.
const WHOLE: &[&str] = &[
    "keys.passphrase",
    "keys.sign-passphrase",
    "target.password",
    "source.dump.password",
    "report.email.password",
    "report.ping.url",
    "report.ntfy.url",
    "report.ntfy.token",
    "report.webhook.url",
    "report.prometheus.pushgateway",
];

/// The table each entry of which is a secret of its own.
pub(super) const HEADERS: [&str; 3] = ["report", "webhook", "headers"];

/// A layer: values, and where each stands.
#[derive(Debug, Clone)]
pub(super) struct Layer {
    pub name: String,
    pub values: Dict,
    pub places: BTreeMap<KeyPath, Place>,
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name.clone())
    }

    fn data(&self) -> figment::Result<Map<figment::Profile, Dict>> {
        Ok(Map::from([(
            figment::Profile::Default,
            self.values.clone(),
        )]))
    }
}

/// Whether the string at `path` is a secret when it is written out.
pub(super) fn is_secret(path: &[String]) -> bool {
    let plain: Vec<&str> = path
        .iter()
        .map(String::as_str)
        .filter(|k| k.parse::<usize>().is_err())
        .collect();
    let fits = |plain: &[&str]| {
        WHOLE.contains(&plain.join(".").as_str())
            || plain == ["passphrase"]
            || (plain.len() == HEADERS.len() + 1 && plain.starts_with(&HEADERS))
    };
    // In groups.toml the name of the group comes first.
    fits(&plain) || plain.get(1..).is_some_and(fits)
}

/// What to write where TOML itself is not kept to, where that can be told.
fn torn_help(message: &str) -> Option<String> {
    let text = if message.contains("cannot extend value") {
        "it has a value in a line above: write that one as a table, too, as path = \"/home/me\" below [source]"
    } else if message.starts_with("duplicate key") {
        "it stands above already: keep one of them"
    } else {
        return None;
    };
    Some(text.to_owned())
}

impl Layer {
    /// Reads a TOML text. Syntax errors become problems; what could be read all the same is in the layer.
    pub fn parse(
        name: &str,
        file: Option<&Path>,
        text: &str,
        index: usize,
    ) -> (Self, SourceText, Vec<Problem>) {
        let (mut layer, source, problems) = Self::parse_as_written(name, file, text, index);
        layer.normalize();
        (layer, source, problems)
    }

    /// The same in the spelling of the text: for one that is no profile.
    pub fn parse_as_written(
        name: &str,
        file: Option<&Path>,
        text: &str,
        index: usize,
    ) -> (Self, SourceText, Vec<Problem>) {
        let (table, errors) = DeTable::parse_recoverable(text);
        let mut layer = Self {
            name: name.to_owned(),
            values: Dict::new(),
            places: BTreeMap::new(),
        };
        let mut hidden = Vec::new();
        layer.values = layer.table(table.get_ref(), &mut Vec::new(), index, &mut hidden);
        let mut shown = text.to_owned();
        if !errors.is_empty() {
            hidden.extend(suspicious(text));
        }
        hidden.into_iter().for_each(|range| star(&mut shown, range));
        let problems = errors
            .iter()
            .map(|e| Problem {
                message: e.message().lines().collect::<Vec<_>>().join("; "),
                key: String::new(),
                place: Some((index, e.span().unwrap_or(0..0))),
                help: torn_help(e.message()),
            })
            .collect();
        let source = SourceText {
            name: name.to_owned(),
            file: file.map(Path::to_owned),
            shown,
        };
        (layer, source, problems)
    }

    /// A layer of single assignments such as `DUPR_BACKUP__VOLUME_SIZE=25M`; `raw` is the value as typed.
    ///
    /// Values are read as TOML where they are TOML, else taken as text. A secret in the environment is taken as a
    /// reference to the variable.
    pub fn assignment(
        name: &str,
        left: &str,
        path: KeyPath,
        raw: &str,
        index: usize,
    ) -> (Self, SourceText) {
        let secret = is_secret(&path);
        let value = if secret && name.starts_with("environment") {
            Value::from(Dict::from([("env".to_owned(), Value::from(left))]))
        } else {
            match DeTable::parse(&format!("v = {raw}")) {
                Ok(table) if !secret => table
                    .get_ref()
                    .iter()
                    .next()
                    .map_or_else(|| Value::from(raw), |(_, v)| plain(v.get_ref())),
                _ => Value::from(raw),
            }
        };
        let shown_raw = if secret {
            "***".to_owned()
        } else {
            super::url::mask(raw)
        };
        let start = left.len() + 1;
        let place = Place {
            source: index,
            key: 0..left.len(),
            value: start..start + shown_raw.len(),
        };
        let mut values = Dict::new();
        insert(&mut values, &path, value);
        let mut layer = Self {
            name: name.to_owned(),
            values,
            places: BTreeMap::from([(path, place)]),
        };
        layer.normalize();
        (
            layer,
            SourceText {
                name: name.to_owned(),
                file: None,
                shown: format!("{left}={shown_raw}"),
            },
        )
    }

    fn table(
        &mut self,
        table: &DeTable<'_>,
        path: &mut KeyPath,
        source: usize,
        hidden: &mut Vec<Range<usize>>,
    ) -> Dict {
        let mut dict = Dict::new();
        for (key, value) in table {
            path.push(key.get_ref().to_string());
            let value = self.value(value, key.span(), path, source, hidden);
            path.pop();
            dict.insert(key.get_ref().to_string(), value);
        }
        dict
    }

    fn value(
        &mut self,
        value: &Spanned<DeValue<'_>>,
        key: Range<usize>,
        path: &mut KeyPath,
        source: usize,
        hidden: &mut Vec<Range<usize>>,
    ) -> Value {
        self.places.insert(
            path.clone(),
            Place {
                source,
                key: key.clone(),
                value: value.span(),
            },
        );
        match value.get_ref() {
            DeValue::Table(table) => Value::from(self.table(table, path, source, hidden)),
            DeValue::Array(array) => {
                let mut list = Vec::new();
                for (i, element) in array.iter().enumerate() {
                    path.push(i.to_string());
                    list.push(self.value(element, element.span(), path, source, hidden));
                    path.pop();
                }
                Value::Array(Tag::Default, list)
            }
            DeValue::String(text) => {
                if is_secret(path) || super::url::password(text).is_some() {
                    hidden.push(value.span());
                }
                Value::from(text.as_ref())
            }
            other => plain(other),
        }
    }

    /// Brings the short spellings to the long ones.
    fn normalize(&mut self) {
        for (table, key) in [("source", "path"), ("target", "url")] {
            match self.values.get_mut(table) {
                Some(value @ Value::String(..)) => {
                    *value = Value::from(Dict::from([(key.to_owned(), value.clone())]));
                    self.alias(&[table], &[table, key]);
                }
                Some(Value::Array(_, elements)) if table == "target" => {
                    let mut moved = Vec::new();
                    for (i, element) in elements.iter_mut().enumerate() {
                        if matches!(element, Value::String(..)) {
                            *element = Value::from(Dict::from([(key.to_owned(), element.clone())]));
                            moved.push(i.to_string());
                        }
                    }
                    moved
                        .iter()
                        .for_each(|i| self.alias(&[table, i], &[table, i, key]));
                }
                _ => {}
            }
        }
        let taken = matches!(self.values.get("keys"), Some(Value::Dict(_, keys)) if keys.contains_key("passphrase"));
        if !taken
            && let Some(value) = self.values.remove("passphrase")
            && insert(
                &mut self.values,
                &["keys".to_owned(), "passphrase".to_owned()],
                value,
            )
        {
            let moved: Vec<_> = self
                .places
                .iter()
                .filter(|(p, _)| p.first().is_some_and(|k| k == "passphrase"))
                .collect();
            let moved: Vec<_> = moved
                .into_iter()
                .map(|(p, place)| {
                    (
                        std::iter::once("keys".to_owned())
                            .chain(p.iter().cloned())
                            .collect(),
                        place.clone(),
                    )
                })
                .collect();
            self.places.extend::<Vec<(KeyPath, Place)>>(moved);
        }
    }

    fn alias(&mut self, from: &[&str], to: &[&str]) {
        let path = |keys: &[&str]| keys.iter().map(|k| (*k).to_owned()).collect::<KeyPath>();
        if let Some(place) = self.places.get(&path(from)).cloned() {
            self.places.insert(path(to), place);
        }
    }
}

/// The value at a path.
pub(super) fn find<'a>(values: &'a Dict, path: &[String]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    rest.iter()
        .try_fold(values.get(first)?, |value, key| match value {
            Value::Dict(_, dict) => dict.get(key),
            Value::Array(_, list) => list.get(key.parse::<usize>().ok()?),
            _ => None,
        })
}

/// Puts a value at a path of tables; `false` if something that is no table is in the way.
pub(super) fn insert(values: &mut Dict, path: &[String], value: Value) -> bool {
    match path {
        [] => false,
        [last] => {
            values.insert(last.clone(), value);
            true
        }
        [first, rest @ ..] => match values
            .entry(first.clone())
            .or_insert_with(|| Value::from(Dict::new()))
        {
            Value::Dict(_, dict) => insert(dict, rest, value),
            _ => false,
        },
    }
}

/// Takes the value at a path out; `false` if there was none. Elements of lists go as well.
pub(super) fn remove(values: &mut Dict, path: &[String]) -> bool {
    match path {
        [] => false,
        [last] => values.remove(last).is_some(),
        [first, rest @ ..] => values
            .get_mut(first)
            .is_some_and(|value| remove_in(value, rest)),
    }
}

fn remove_in(value: &mut Value, path: &[String]) -> bool {
    match value {
        Value::Dict(_, dict) => remove(dict, path),
        Value::Array(_, list) => {
            let Some((first, rest)) = path.split_first() else {
                return false;
            };
            let Some(i) = first.parse::<usize>().ok().filter(|i| *i < list.len()) else {
                return false;
            };
            if rest.is_empty() {
                list.remove(i);
                return true;
            }
            list.get_mut(i).is_some_and(|value| remove_in(value, rest))
        }
        _ => false,
    }
}

fn plain(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::from(text.as_ref()),
        DeValue::Integer(n) => match i64::from_str_radix(n.as_str(), n.radix()) {
            Ok(n) => Value::from(n),
            Err(_) => Value::from(n.as_str()),
        },
        DeValue::Float(n) => n
            .as_str()
            .parse::<f64>()
            .map_or_else(|_| Value::from(n.as_str()), Value::from),
        DeValue::Boolean(b) => Value::from(*b),
        DeValue::Datetime(time) => Value::from(time.to_string()),
        DeValue::Array(array) => Value::Array(
            Tag::Default,
            array.iter().map(|v| plain(v.get_ref())).collect(),
        ),
        DeValue::Table(table) => Value::from(
            table
                .iter()
                .map(|(k, v)| (k.get_ref().to_string(), plain(v.get_ref())))
                .collect::<Dict>(),
        ),
    }
}

/// Values of lines that look like secrets, for texts that could not be read as TOML.
fn suspicious(text: &str) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        if let Some(equals) = line.find('=') {
            let key = line.get(..equals).unwrap_or("").to_lowercase();
            let secret = ["pass", "secret", "token"].iter().any(|w| key.contains(w));
            if secret || super::url::password(line).is_some() {
                ranges.push(start + equals + 1..start + line.trim_end().len());
            }
        }
        start += line.len();
    }
    ranges
}

/// Stars out a range, byte for byte, so that the places of everything else stay.
fn star(text: &mut String, range: Range<usize>) {
    if range.start >= range.end || text.get(range.clone()).is_none() {
        return;
    }
    let stars: String = text[range.clone()]
        .bytes()
        .map(|b| if b == b'\n' { '\n' } else { '*' })
        .collect();
    text.replace_range(range, &stars);
}
