//! Layers laid over each other: edits of inherited lists, tables that are replaced whole, and the place of every
//! value that is left.

use super::{HEADERS, KeyPath, Layer, WHOLE, find, named, remove};
use crate::profile::error::Place;
use figment::value::{Dict, Tag, Value};
use std::collections::BTreeMap;

/// Layers laid over each other so far: the values without their origin, and the place of each.
#[derive(Debug, Default)]
pub struct Stack {
    pub layers: Vec<Layer>,
    pub places: BTreeMap<KeyPath, Place>,
    values: Dict,
}

impl Stack {
    /// Starts with the defaults, which stand nowhere.
    pub fn new(defaults: Dict) -> Self {
        Self {
            values: defaults,
            ..Self::default()
        }
    }

    /// Lays a layer over the others. Edits of lists are carried out on what is below.
    pub fn push(&mut self, mut layer: Layer) {
        let below = std::mem::take(&mut self.values);
        named::merge(&mut layer, &below, &self.places);
        edit(
            &mut layer.values,
            Some(&below),
            &mut Vec::new(),
            &mut layer.places,
            &self.places,
        );
        self.values = below;
        let fixed = WHOLE
            .iter()
            .map(|whole| whole.split('.').map(str::to_owned).collect());
        let headers: KeyPath = HEADERS.map(str::to_owned).to_vec();
        let named = match find(&layer.values, &headers) {
            Some(Value::Dict(_, table)) => table.keys().cloned().collect(),
            _ => Vec::new(),
        };
        let named = named.into_iter().map(|n| [&headers[..], &[n]].concat());
        for path in fixed.chain(named).collect::<Vec<KeyPath>>() {
            if find(&layer.values, &path).is_some() {
                remove(&mut self.values, &path);
                for lower in &mut self.layers {
                    remove(&mut lower.values, &path);
                }
            }
        }
        lay(
            &mut self.values,
            &layer.values,
            &mut Vec::new(),
            &mut self.places,
        );
        self.places.extend(layer.places.clone());
        self.layers.push(layer);
    }

    /// Whether the value at `path` is a list so far.
    pub fn is_list(&self, path: &[String]) -> bool {
        matches!(find(&self.values, path), Some(Value::Array(..)))
    }
}

/// Carries out `{ append = [..] }`, `{ prepend = [..] }` and `{ remove = [..] }`.
pub(super) fn edit(
    upper: &mut Dict,
    lower: Option<&Dict>,
    path: &mut KeyPath,
    places: &mut BTreeMap<KeyPath, Place>,
    below: &BTreeMap<KeyPath, Place>,
) {
    for (key, value) in upper.iter_mut() {
        path.push(key.clone());
        let base = lower.and_then(|l| l.get(key));
        if let Value::Dict(_, table) = value {
            match list_edit(table) {
                Some(edit) => *value = apply(&edit, base, path, places, below),
                None => edit_below(table, base, path, places, below),
            }
        }
        path.pop();
    }
}

fn edit_below(
    table: &mut Dict,
    base: Option<&Value>,
    path: &mut KeyPath,
    places: &mut BTreeMap<KeyPath, Place>,
    below: &BTreeMap<KeyPath, Place>,
) {
    let base = match base {
        Some(Value::Dict(_, base)) => Some(base),
        _ => None,
    };
    edit(table, base, path, places, below);
}

/// The lists of an edit, if the table is one: nothing but lists under the three words.
fn list_edit(table: &Dict) -> Option<Vec<(String, Vec<Value>)>> {
    let lists = table.iter().map(|(k, v)| match v {
        Value::Array(_, list) if matches!(k.as_str(), "append" | "prepend" | "remove") => {
            Some((k.clone(), list.clone()))
        }
        _ => None,
    });
    lists.collect::<Option<Vec<_>>>().filter(|l| !l.is_empty())
}

fn apply(
    edit: &[(String, Vec<Value>)],
    base: Option<&Value>,
    path: &KeyPath,
    places: &mut BTreeMap<KeyPath, Place>,
    below: &BTreeMap<KeyPath, Place>,
) -> Value {
    let at = |i: usize| {
        path.iter()
            .cloned()
            .chain([i.to_string()])
            .collect::<KeyPath>()
    };
    let base: Vec<Value> = match base {
        Some(Value::Array(_, list)) => list.clone(),
        Some(one @ (Value::String(..) | Value::Num(..))) => vec![one.clone()],
        _ => Vec::new(),
    };
    let part = |word: &str| {
        edit.iter()
            .find(|(w, _)| w == word)
            .map_or(&[][..], |(_, l)| l.as_slice())
    };
    let mut elements: Vec<(Value, Option<Place>)> = Vec::new();
    let own = |places: &BTreeMap<KeyPath, Place>, word: &str, i: usize| {
        let mut p = path.clone();
        p.extend([word.to_owned(), i.to_string()]);
        places.get(&p).cloned()
    };
    for (i, value) in part("prepend").iter().enumerate() {
        elements.push((value.clone(), own(places, "prepend", i)));
    }
    let removed = part("remove");
    for (i, value) in base.into_iter().enumerate() {
        if !removed.contains(&value) {
            elements.push((value, below.get(&at(i)).cloned()));
        }
    }
    for (i, value) in part("append").iter().enumerate() {
        elements.push((value.clone(), own(places, "append", i)));
    }
    places.retain(|p, _| p.len() <= path.len() || !p.starts_with(path));
    let mut list = Vec::new();
    for (i, (value, place)) in elements.into_iter().enumerate() {
        if let Some(place) = place {
            places.insert(at(i), place);
        }
        list.push(value);
    }
    Value::Array(Tag::Default, list)
}

/// Lays `upper` over `lower` as figment does, and forgets the places of what is replaced.
pub(super) fn lay(
    lower: &mut Dict,
    upper: &Dict,
    path: &mut KeyPath,
    places: &mut BTreeMap<KeyPath, Place>,
) {
    for (key, value) in upper {
        path.push(key.clone());
        match (lower.get_mut(key), value) {
            (Some(Value::Dict(_, below)), Value::Dict(_, above)) => lay(below, above, path, places),
            _ => {
                places.retain(|p, _| !p.starts_with(path));
                lower.insert(key.clone(), value.clone());
            }
        }
        path.pop();
    }
}
