//! Lists of tables whose entries have names: an upper layer changes the entries it names and adds the others, instead of replacing
//! the whole list. Every value keeps the place where it stands.

use super::stack::{edit, lay};
use super::{KeyPath, Layer, find, insert};
use crate::profile::error::Place;
use figment::value::{Dict, Tag, Value};
use std::collections::BTreeMap;

/// The lists.
const NAMED: &[&[&str]] = &[&["target"], &["hook"], &["source", "dump"]];

/// What replaces an inherited value whole, although it is a table.
const SECRET: &str = "password";

/// Places of an entry by the keys below it.
type Places = BTreeMap<KeyPath, Place>;

/// Puts into the layer, for each list of which every entry has a name here and below, what it comes to.
pub(super) fn merge(layer: &mut Layer, below: &Dict, below_places: &Places) {
    for path in NAMED {
        let path: KeyPath = path.iter().map(|k| (*k).to_owned()).collect();
        merge_one(layer, below, below_places, &path);
    }
}

fn merge_one(layer: &mut Layer, below: &Dict, below_places: &Places, path: &KeyPath) {
    let (Some(above), Some(under)) = (find(&layer.values, path), find(below, path)) else {
        return;
    };
    // Two tables are laid over each other like any.
    if matches!((above, under), (Value::Dict(..), Value::Dict(..))) {
        return;
    }
    let above = entries(above, path, &layer.places);
    let under = entries(under, path, below_places);
    let (Some(above), Some(mut merged)) = (above, under) else {
        return;
    };
    for (mut table, mut places) in above {
        let same = merged.iter_mut().find(|(t, _)| name(t) == name(&table));
        match same {
            None => merged.push((table, places)),
            Some((lower, lower_places)) => {
                edit(
                    &mut table,
                    Some(lower),
                    &mut Vec::new(),
                    &mut places,
                    lower_places,
                );
                if table.contains_key(SECRET) {
                    lower.remove(SECRET);
                    lower_places.retain(|p, _| p.first().is_none_or(|k| k != SECRET));
                }
                lay(lower, &table, &mut Vec::new(), lower_places);
                lower_places.extend(places);
            }
        }
    }
    layer
        .places
        .retain(|p, _| p.len() <= path.len() || !p.starts_with(path));
    let mut list = Vec::new();
    for (i, (table, places)) in merged.into_iter().enumerate() {
        for (keys, place) in places {
            let own = path.iter().cloned().chain([i.to_string()]).chain(keys);
            layer.places.insert(own.collect(), place);
        }
        list.push(Value::from(table));
    }
    insert(&mut layer.values, path, Value::Array(Tag::Default, list));
}

/// The entries of a list, each with the places of what is in it; a table stands for a list of one. `None` unless all have names.
fn entries(value: &Value, path: &KeyPath, places: &Places) -> Option<Vec<(Dict, Places)>> {
    let single = [value.clone()];
    let (list, is_list): (&[Value], bool) = match value {
        Value::Array(_, list) => (list.as_slice(), true),
        _ => (single.as_slice(), false),
    };
    let entry = |(i, value): (usize, &Value)| {
        let Value::Dict(_, table) = value else {
            return None;
        };
        name(table)?;
        let mut at = path.clone();
        if is_list {
            at.push(i.to_string());
        }
        let own = places.iter().filter(|(p, _)| p.starts_with(&at));
        let below = |p: &KeyPath| p.iter().skip(at.len()).cloned().collect::<KeyPath>();
        Some((
            table.clone(),
            own.map(|(p, place)| (below(p), place.clone())).collect(),
        ))
    };
    let all: Option<Vec<_>> = list.iter().enumerate().map(entry).collect();
    all.filter(|all| !all.is_empty())
}

fn name(table: &Dict) -> Option<&str> {
    table.get("name").and_then(Value::as_str)
}
