//! `${vars.NAME}` and `${env.NAME}` in strings, with `${env.NAME:-default}`. Nothing else: no template language.
//!
//! Any other `${…}` stays as it is, so that hooks may use a shell's. `$${` is a plain `${`.

use super::error::{Problem, nearest};
use super::layer::KeyPath;
use super::load::Loaded;
use figment::value::{Dict, Value};
use std::collections::BTreeMap;

/// Replaces in all strings of the merged values. Unknown names become problems.
pub(super) fn expand(loaded: &mut Loaded, env: &BTreeMap<String, String>) {
    let mut values = std::mem::take(&mut loaded.values);
    let mut found = Vec::new();
    // Variables first: they may use the environment, but not one another.
    let mut vars = BTreeMap::new();
    if let Some(Value::Dict(_, dict)) = values.get_mut("vars") {
        walk(dict, &mut vec!["vars".into()], &mut found, &|name| {
            lookup(name, None, env)
        });
        for (key, value) in dict.iter() {
            let text = match value {
                Value::String(_, text) => text.clone(),
                Value::Bool(_, b) => b.to_string(),
                Value::Num(_, n) => n
                    .to_i128()
                    .map(|n| n.to_string())
                    .or(n.to_f64().map(|n| n.to_string()))
                    .unwrap_or_default(),
                _ => continue,
            };
            vars.insert(key.clone(), text);
        }
    }
    for (key, value) in values.iter_mut().filter(|(k, _)| *k != "vars") {
        walk_value(value, &mut vec![key.clone()], &mut found, &|name| {
            lookup(name, Some(&vars), env)
        });
    }
    loaded.values = values;
    for (path, message, help) in found {
        let place = loaded.place(&path).map(|p| (p.source, p.value.clone()));
        loaded.problems.push(Problem {
            message,
            key: path.join("."),
            place,
            help,
        });
    }
}

type Found = Vec<(KeyPath, String, Option<String>)>;
type Trouble = (String, Option<String>);

fn walk(dict: &mut Dict, path: &mut KeyPath, found: &mut Found, lookup: &dyn Fn(&str) -> Answer) {
    for (key, value) in dict.iter_mut() {
        path.push(key.clone());
        walk_value(value, path, found, lookup);
        path.pop();
    }
}

fn walk_value(
    value: &mut Value,
    path: &mut KeyPath,
    found: &mut Found,
    lookup: &dyn Fn(&str) -> Answer,
) {
    match value {
        Value::String(_, text) if text.contains("${") => match replace(text, lookup) {
            Ok(new) => *text = new,
            Err((message, help)) => found.push((path.clone(), message, help)),
        },
        Value::Dict(_, dict) => walk(dict, path, found, lookup),
        Value::Array(_, list) => {
            for (i, element) in list.iter_mut().enumerate() {
                path.push(i.to_string());
                walk_value(element, path, found, lookup);
                path.pop();
            }
        }
        _ => {}
    }
}

/// What stands for a name: a text, trouble, or nothing because the name is not of this language.
type Answer = Option<Result<String, Trouble>>;

fn replace(text: &str, lookup: &dyn Fn(&str) -> Answer) -> Result<String, Trouble> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let (before, after) = (
            rest.get(..start).unwrap_or(""),
            rest.get(start + 2..).unwrap_or(""),
        );
        if let Some(before) = before.strip_suffix('$') {
            out.push_str(before);
            out.push_str("${");
            rest = after;
            continue;
        }
        out.push_str(before);
        let ours = after.starts_with("vars.") || after.starts_with("env.");
        let Some(end) = after.find('}') else {
            if ours {
                return Err(("${ without }".into(), None));
            }
            out.push_str("${");
            rest = after;
            continue;
        };
        match lookup(after.get(..end).unwrap_or("")) {
            Some(answer) => {
                out.push_str(&answer?);
                rest = after.get(end + 1..).unwrap_or("");
            }
            None => {
                out.push_str("${");
                rest = after;
            }
        }
    }
    out.push_str(rest);
    Ok(out)
}

fn lookup(
    name: &str,
    vars: Option<&BTreeMap<String, String>>,
    env: &BTreeMap<String, String>,
) -> Answer {
    if let Some(name) = name.strip_prefix("vars.") {
        let Some(vars) = vars else {
            return Some(Err(("a variable cannot use another one".into(), None)));
        };
        return Some(vars.get(name).cloned().ok_or_else(|| {
            let help = nearest(name, vars.keys().map(String::as_str))
                .map(|n| format!("did you mean vars.{n}?"));
            (format!("there is no variable {name:?} under [vars]"), help)
        }));
    }
    let name = name.strip_prefix("env.")?;
    let (name, default) = match name.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (name, None),
    };
    let value = env
        .get(name)
        .filter(|v| default.is_none() || !v.is_empty())
        .map(String::as_str)
        .or(default);
    Some(value.map(str::to_owned).ok_or_else(|| {
        (
            format!("the environment has no variable {name}"),
            Some(format!("give a default: ${{env.{name}:-…}}")),
        )
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_two_forms_are_replaced() {
        let vars = BTreeMap::from([("site".to_owned(), "berlin".to_owned())]);
        let env = BTreeMap::from([
            ("A".to_owned(), "a".to_owned()),
            ("EMPTY".to_owned(), String::new()),
        ]);
        let replace = |text| replace(text, &|name| lookup(name, Some(&vars), &env));
        for (text, expected) in [
            ("/x/${vars.site}/${env.A}", "/x/berlin/a"),
            ("${env.B:-b}", "b"),
            ("${env.EMPTY:-b}|${env.EMPTY}", "b|"),
            ("echo ${HOME} $A ${", "echo ${HOME} $A ${"),
            ("$${vars.site}", "${vars.site}"),
        ] {
            assert_eq!(replace(text).unwrap(), expected);
        }
        assert_eq!(
            replace("${vars.sit}").unwrap_err().1.as_deref(),
            Some("did you mean vars.site?")
        );
        assert!(replace("${env.B}").is_err());
        assert!(replace("${vars.site").is_err());
    }
}
