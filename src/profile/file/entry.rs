//! Values of profiles that are more than a number or a text: lists that can be edited, one-or-many, texts that are
//! read while the file is. Each knows its serde and its JSON Schema face.

use crate::engine::time_text::{TimeText, TimeTextError};
use crate::profile::age::{Age, Percent, Rate, Size};
use crate::profile::schedule::Cron;
use crate::profile::url;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{MapAccess, SeqAccess, Visitor, value};
use serde::{Deserialize, Deserializer, Serialize};
use std::borrow::Cow;
use std::fmt;

/// A list. While layers are put together it may also be `{ append = [..] }`, `{ prepend = [..] }` or `{ remove = [..] }`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct List<T>(pub Vec<T>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> List<T> {
    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T: JsonSchema> JsonSchema for List<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("ListOf{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let items = generator.subschema_for::<Vec<T>>();
        json_schema!({ "anyOf": [
            items,
            { "type": "object", "additionalProperties": false, "properties": {
                "append": items, "prepend": items, "remove": items,
            } },
        ] })
    }
}

/// One value or a list of them.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub struct OneOrMany<T>(pub Vec<T>);

impl<T> Default for OneOrMany<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> OneOrMany<T> {
    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

// By hand, because an untagged enum would lose the key an error belongs to.
impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct V<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for V<T> {
            type Value = Vec<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("one value or a list")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Vec<T>, E> {
                T::deserialize(value::StrDeserializer::new(text)).map(|one| vec![one])
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Vec<T>, A::Error> {
                T::deserialize(value::MapAccessDeserializer::new(map)).map(|one| vec![one])
            }
            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Vec<T>, A::Error> {
                Vec::deserialize(value::SeqAccessDeserializer::new(seq))
            }
        }
        deserializer
            .deserialize_any(V(std::marker::PhantomData))
            .map(Self)
    }
}

impl<T: JsonSchema> JsonSchema for OneOrMany<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("OneOrMany{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (one, many) = (
            generator.subschema_for::<T>(),
            generator.subschema_for::<List<T>>(),
        );
        json_schema!({ "anyOf": [one, many] })
    }
}

/// In the schema only: a text that is short for one key of `T`.
pub struct TextOr<T>(std::marker::PhantomData<T>);

impl<T: JsonSchema> JsonSchema for TextOr<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("TextOr{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let long = generator.subschema_for::<T>();
        json_schema!({ "anyOf": [{ "type": "string" }, long] })
    }
}

/// A text, number or truth value where a text is meant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[allow(missing_docs)]
pub enum Scalar {
    Text(String),
    Whole(i64),
    Decimal(f64),
    Truth(bool),
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scalar::Text(text) => f.write_str(text),
            Scalar::Whole(n) => n.fmt(f),
            Scalar::Decimal(n) => n.fmt(f),
            Scalar::Truth(b) => b.fmt(f),
        }
    }
}

/// `auto` or a number of threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ConcurrencyEntry {
    Auto,
    Threads(u32),
}

impl Serialize for ConcurrencyEntry {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            ConcurrencyEntry::Auto => serializer.serialize_str("auto"),
            ConcurrencyEntry::Threads(n) => serializer.serialize_u32(*n),
        }
    }
}

impl<'de> Deserialize<'de> for ConcurrencyEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct V;
        impl Visitor<'_> for V {
            type Value = ConcurrencyEntry;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"auto\" or a number from 1 to 256")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
                if text == "auto" {
                    return Ok(ConcurrencyEntry::Auto);
                }
                Err(E::invalid_value(serde::de::Unexpected::Str(text), &self))
            }
            fn visit_u64<E: serde::de::Error>(self, n: u64) -> Result<Self::Value, E> {
                match u32::try_from(n) {
                    Ok(n @ 1..=256) => Ok(ConcurrencyEntry::Threads(n)),
                    _ => Err(E::invalid_value(serde::de::Unexpected::Unsigned(n), &self)),
                }
            }
            fn visit_i64<E: serde::de::Error>(self, n: i64) -> Result<Self::Value, E> {
                match u64::try_from(n) {
                    Ok(n) => self.visit_u64(n),
                    Err(_) => Err(E::invalid_value(serde::de::Unexpected::Signed(n), &self)),
                }
            }
        }
        deserializer.deserialize_any(V)
    }
}

impl JsonSchema for ConcurrencyEntry {
    fn schema_name() -> Cow<'static, str> {
        "Concurrency".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "const": "auto" }, { "type": "integer", "minimum": 1, "maximum": 256 }] })
    }
}

/// Gives a type that is written as one string its serde and schema faces.
macro_rules! text_type {
    ($type:ty, $name:literal, $about:literal, $parse:expr, $text:expr) => {
        impl Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let text: fn(&$type) -> &str = $text;
                serializer.serialize_str(text(self))
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct V;
                impl Visitor<'_> for V {
                    type Value = $type;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($about)
                    }
                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
                        $parse(text).map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(V)
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "description": $about })
            }
        }
    };
}

text_type!(
    Age,
    "Age",
    "an age such as \"30D\", \"1h30m\" or \"14 days\"",
    Age::parse,
    Age::as_str
);
text_type!(
    Size,
    "Size",
    "a size such as \"200 MiB\"",
    Size::parse,
    Size::as_str
);
text_type!(
    Rate,
    "Rate",
    "a rate such as \"5 MiB/s\"",
    Rate::parse,
    Rate::as_str
);
text_type!(
    Percent,
    "Percent",
    "a share such as \"1%\"",
    Percent::parse,
    Percent::as_str
);
text_type!(
    Cron,
    "Cron",
    "a cron expression such as \"17 2 * * *\"",
    Cron::parse,
    Cron::as_str
);
text_type!(
    UrlText,
    "Url",
    "a URL such as \"sftp://me@host//path\"",
    UrlText::parse,
    UrlText::as_str
);
text_type!(
    AgeOrTime,
    "AgeOrTime",
    "an age such as \"10Y\" or a date such as \"2020-01-01\"",
    AgeOrTime::parse,
    AgeOrTime::as_str
);

/// An age, or a time of duplicity's grammar.
#[derive(Debug, Clone, PartialEq)]
pub struct AgeOrTime {
    text: String,
    /// What it means.
    pub time: TimeText,
}

impl AgeOrTime {
    fn parse(text: &str) -> Result<Self, String> {
        let time = TimeText::parse(text, ':').or_else(|error| match Age::parse(text) {
            Ok(age) => {
                TimeText::parse(&format!("{}s", age.as_secs()), ':').map_err(|e| e.to_string())
            }
            Err(_) => Err(format!("{error}: {}", TimeTextError::hint())),
        })?;
        Ok(Self {
            text: text.to_owned(),
            time,
        })
    }

    fn as_str(&self) -> &str {
        &self.text
    }
}

/// A target's URL, with the shape of one.
#[derive(Clone, PartialEq)]
pub struct UrlText(String);

impl UrlText {
    fn parse(text: &str) -> Result<Self, String> {
        url::check_shape(text)?;
        Ok(Self(text.to_owned()))
    }

    /// The URL with everything in it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for UrlText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", url::mask(&self.0))
    }
}
