//! The table: key by key, the test that fails when the key loses its effect.

use crate::support::home::Home;
use regex::Regex;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// A line each: the key with dots, and the test: of `tests/it` (`module::test`), of the sources (`src::module::test`), or a case
/// of the planner (`plans/folder`). `LIST` stands for any list that can be edited, `SECRET` for any secret.
const EFFECTS: &str = include_str!("effects.txt");

/// Collects the keys that hold a value. Tables are gone into, lists are looked through to what they hold.
fn keys_of(schema: &Value, root: &Value, place: &str, into: &mut BTreeSet<String>) {
    let schema = match schema.get("$ref").and_then(Value::as_str) {
        Some(reference) => &root["$defs"][reference.trim_start_matches("#/$defs/")],
        None => schema,
    };
    if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
        // Words that are the same wherever they stand have one entry.
        let is_edit = properties.contains_key("append");
        let is_secret = properties.contains_key("systemd-credential");
        let place = match (is_edit, is_secret) {
            (true, _) => "LIST",
            (_, true) => "SECRET",
            _ => place,
        };
        for (key, value) in properties {
            let key = match place {
                "" => key.clone(),
                _ => format!("{place}.{key}"),
            };
            let before = into.len();
            if !is_edit {
                keys_of(value, root, &key, into);
            }
            // A table is what its keys are. A secret or a list is a value as well.
            let is_table =
                into.len() > before && into.iter().any(|k| k.starts_with(&format!("{key}.")));
            if !is_table {
                into.insert(key);
            }
        }
    }
    for word in ["anyOf", "allOf", "oneOf"] {
        let several = schema.get(word).and_then(Value::as_array);
        several
            .into_iter()
            .flatten()
            .for_each(|one| keys_of(one, root, place, into));
    }
    for inner in ["items", "additionalProperties"] {
        if let Some(inner) = schema.get(inner).filter(|i| i.is_object()) {
            keys_of(inner, root, place, into);
        }
    }
}

/// Whether a test of this name stands where it says, and its file speaks of the key.
fn is_there(test: &str, key: &str) -> Result<(), String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let word = key.rsplit('.').next().unwrap_or(key);
    let mentions = |text: &str| text.contains(word) || text.contains(&word.replace('-', "_"));
    if let Some(folder) = test.strip_prefix("plans/") {
        let file = root.join("tests/plans").join(folder).join("profile.toml");
        let text = fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
        return match mentions(&text) {
            true => Ok(()),
            false => Err(format!("{} has no {word}", file.display())),
        };
    }
    let (module, name) = test.rsplit_once("::").ok_or("no module")?;
    let place = match module.strip_prefix("src::") {
        Some(module) => root.join("src").join(module.replace("::", "/")),
        None => root.join("tests/it").join(module.replace("::", "/")),
    };
    let head = Regex::new(&format!(r"(?m)^( *)#\[test\]\n(?: *#.*\n)* *fn {name}\(\)"))
        .map_err(|e| e.to_string())?;
    for file in [place.with_extension("rs"), place.join("mod.rs")] {
        let Ok(text) = fs::read_to_string(&file) else {
            continue;
        };
        if head.is_match(&text) {
            return match mentions(&text) {
                true => Ok(()),
                false => Err(format!("{} does not speak of {word}", file.display())),
            };
        }
    }
    Err(format!("there is no test {test}"))
}

#[test]
fn every_key_has_an_effect_that_a_test_shows() {
    let home = Home::new("keys-table");
    let schema = home.expect(0, &["schema"]).stdout;
    let schema: Value = serde_json::from_str(&schema).expect("JSON");
    let mut keys = BTreeSet::new();
    keys_of(&schema, &schema, "", &mut keys);
    let rows: Vec<(&str, &str)> = EFFECTS
        .lines()
        .filter_map(|l| l.split_once(' '))
        .map(|(key, test)| (key, test.trim()))
        .collect();
    let table: BTreeMap<&str, &str> = rows.iter().copied().collect();
    assert_eq!(table.len(), rows.len(), "a key stands twice");
    let listed: BTreeSet<String> = table.keys().map(|k| (*k).to_owned()).collect();
    let missing: Vec<&String> = keys.difference(&listed).collect();
    let gone: Vec<&String> = listed.difference(&keys).collect();
    assert!(
        missing.is_empty() && gone.is_empty(),
        "keys without a test of their effect: {missing:#?}\nrows without a key: {gone:#?}"
    );
    let wrong: Vec<String> = rows
        .iter()
        .filter_map(|(key, test)| is_there(test, key).err().map(|e| format!("{key}: {e}")))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}
