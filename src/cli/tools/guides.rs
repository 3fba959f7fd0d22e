//! Manual pages that are about no command: dupr.toml(5), made from the schema profiles are read by, and dupr-recovery(7).

use crate::profile::file;
use clap_mangen::roff::{Roff, bold, italic, roman};
use serde_json::{Map, Value};

/// The shortest profile there is, and one with every key.
const EXAMPLES: [(&str, &str); 2] = [
    (
        "A complete profile:",
        include_str!("../../../profiles.example/minimal.toml"),
    ),
    (
        "Every key there is:",
        include_str!("../../../profiles.example/full.toml"),
    ),
];

/// What is left to do without dupr.
const BY_HAND: &str = include_str!("../../../docs/restore-by-hand.md");

/// dupr.toml(5).
pub fn profiles() -> String {
    let mut page = Roff::default();
    title(&mut page, "dupr.toml", "5");
    section(
        &mut page,
        "NAME",
        "dupr.toml - what is backed up, where to, and what happens around it",
    );
    section(
        &mut page,
        "DESCRIPTION",
        "A profile is a TOML file, NAME.toml or NAME/profile.toml in $DUPR_CONFIG_DIR, $XDG_CONFIG_HOME/dupr (~/.config/dupr) or \
         /etc/dupr. A key that is not listed here is an error, and all errors are told at once. Any key can be given for one \
         run with --set KEY=VALUE. `dupr show PROFILE` shows the whole of a profile and where each value comes from; `dupr schema` \
         prints the schema for editors. Durations are 30D, 2M, 1h78m or \"14 days\", sizes \"200 MiB\". Secrets are tables that say \
         where they come from; see the last of the keys.",
    );
    page.control("SH", ["KEYS"]);
    let schema = serde_json::to_value(file::schema()).unwrap_or_default();
    let no_defs = Map::new();
    let defs = schema["$defs"].as_object().unwrap_or(&no_defs);
    if let Some(keys) = schema["properties"].as_object() {
        table(&mut page, "", keys, defs);
    }
    let secret = defs
        .get("SecretTable")
        .and_then(|t| t["properties"].as_object());
    if let Some(places) = secret {
        subsection(&mut page, "A secret: passphrase = { PLACE = … }");
        leaves(&mut page, places, defs);
    }
    page.control("SH", ["EXAMPLES"]);
    for (what, text) in EXAMPLES {
        page.text([roman(what)]);
        verbatim(&mut page, text);
    }
    section(
        &mut page,
        "SEE ALSO",
        "dupr(1), dupr-init(1), dupr-show(1), dupr-schema(1), dupr-recovery(7)",
    );
    page.render()
}

/// dupr-recovery(7).
pub fn recovery() -> String {
    let mut page = Roff::default();
    title(&mut page, "dupr-recovery", "7");
    section(
        &mut page,
        "NAME",
        "dupr-recovery - getting files back, on good days and on the worst",
    );
    page.control("SH", ["BEFORE ANYTHING HAPPENS"]);
    paragraph(
        &mut page,
        "What opens a backup must not lie on the machine that is backed up alone. The recovery sheet says where the backup is, what opens \
         it and what to type; no secret is on it. Keep it, the profile, and the passphrase or the secret keys elsewhere.",
    );
    verbatim(&mut page, "dupr keys export home");
    page.control("SH", ["SOME FILES ARE GONE"]);
    paragraph(
        &mut page,
        "Look where they were, and fetch one or restore all into an empty folder. Times are 3D, 2026-11-20 or those `status` shows.",
    );
    verbatim(
        &mut page,
        "dupr home find '**/letter.odt'\ndupr home versions Documents/letter.odt\ndupr home fetch Documents/letter.odt /tmp/letter.odt\ndupr home restore /tmp/check",
    );
    page.control("SH", ["THE MACHINE IS GONE"]);
    paragraph(
        &mut page,
        "Install dupr, put the profile into ~/.config/dupr and the secrets to where it says, and restore as above. The archive dir is made \
         anew from the target. Without a profile the URL and the passphrase are enough; secret keys are looked for in GnuPG's keyring:",
    );
    verbatim(
        &mut page,
        "dupr recover file:///media/usb/home /tmp/everything --passphrase-file /etc/dupr/home.pass",
    );
    page.control("SH", ["THE BACKUP IS DAMAGED"]);
    paragraph(
        &mut page,
        "A restore gives out nothing that is not as it was, and lists the rest. `dupr recover FOLDER DIR` gives out all that can be read, without \
         manifests or signatures too, and lists what is lost and what is doubtful. It takes the name of a profile as well:",
    );
    verbatim(&mut page, "dupr recover home /tmp/recovered");
    page.control("SH", ["WITHOUT DUPR"]);
    paragraph(
        &mut page,
        "Any duplicity restores what dupr made: `duplicity restore URL DIR`. Without either:",
    );
    verbatim(&mut page, BY_HAND);
    section(
        &mut page,
        "SEE ALSO",
        "dupr(1), dupr-recover(1), dupr-restore(1), dupr-fetch(1), dupr-keys-export(1), dupr.toml(5)",
    );
    page.render()
}

fn title(page: &mut Roff, name: &str, number: &str) {
    let version = concat!("dupr ", env!("CARGO_PKG_VERSION"));
    page.control("TH", [name, number, "", version, "dupr"]);
}

fn section(page: &mut Roff, name: &str, text: &str) {
    page.control("SH", [name]);
    page.text([roman(text)]);
}

fn subsection(page: &mut Roff, name: &str) {
    page.control("SS", [name]);
}

fn paragraph(page: &mut Roff, text: &str) {
    page.text([roman(text)]);
}

/// Lines as they are.
fn verbatim(page: &mut Roff, text: &str) {
    page.control("PP", []);
    page.control("nf", []);
    for line in text.lines() {
        page.text([roman(line)]);
    }
    page.control("fi", []);
    page.control("PP", []);
}

/// The keys of one table, then the tables in it.
fn table(page: &mut Roff, path: &str, keys: &Map<String, Value>, defs: &Map<String, Value>) {
    leaves(page, keys, defs);
    for (key, schema) in keys {
        let Some((inner, several)) = inner_table(schema, defs) else {
            continue;
        };
        let path = match path {
            "" => key.clone(),
            above => format!("{above}.{key}"),
        };
        let name = match several {
            true => format!("[[{path}]]"),
            false => format!("[{path}]"),
        };
        subsection(page, &name);
        page.text([roman(about(schema))]);
        table(page, &path, inner, defs);
    }
}

fn leaves(page: &mut Roff, keys: &Map<String, Value>, defs: &Map<String, Value>) {
    for (key, schema) in keys {
        if inner_table(schema, defs).is_some() {
            continue;
        }
        page.control("TP", []);
        let default = schema.get("default").filter(|d| !is_nothing(d));
        page.text(match default {
            Some(default) => vec![
                bold(key.as_str()),
                roman(" = "),
                italic(default.to_string()),
            ],
            None => vec![bold(key.as_str())],
        });
        page.text([roman(about(schema))]);
    }
}

fn is_nothing(value: &Value) -> bool {
    value.is_null()
        || value.is_object()
        || value.as_str() == Some("")
        || *value == Value::Array(Vec::new())
}

fn about(schema: &Value) -> String {
    let text = schema["description"].as_str().unwrap_or_default();
    text.replace('\n', " ")
}

/// The keys of the table that a key holds, if it holds one, and whether it may hold several. A secret is no table here.
fn inner_table<'a>(
    schema: &'a Value,
    defs: &'a Map<String, Value>,
) -> Option<(&'a Map<String, Value>, bool)> {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.rsplit('/').next().unwrap_or(name);
        return match name {
            "Secret" | "SecretTable" => None,
            _ => inner_table(defs.get(name)?, defs),
        };
    }
    if let Some(keys) = schema["properties"].as_object() {
        return Some((keys, false));
    }
    if let Some((keys, _)) = schema
        .get("items")
        .and_then(|items| inner_table(items, defs))
    {
        return Some((keys, true));
    }
    let choices = ["anyOf", "oneOf", "allOf"].map(|word| schema[word].as_array());
    let found = choices.into_iter().flatten().flatten();
    let tables: Vec<_> = found.filter_map(|one| inner_table(one, defs)).collect();
    let several = tables.iter().any(|(_, several)| *several);
    tables.first().map(|(keys, _)| (*keys, several))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_the_schema_stands_in_the_page() {
        let page = profiles().replace("\\-", "-");
        let schema = serde_json::to_value(file::schema()).unwrap();
        let mut keys = Vec::new();
        let tables = schema["$defs"].as_object().unwrap();
        for (name, def) in tables.iter().chain([(&String::new(), &schema)]) {
            if let Some(properties) = def["properties"].as_object() {
                keys.extend(properties.keys().map(|key| (name.clone(), key.clone())));
            }
        }
        assert!(keys.len() > 100);
        for (table, key) in keys {
            let shown =
                page.contains(&format!("\\fB{key}\\fR")) || page.contains(&format!("{key}]"));
            assert!(shown, "{table} {key}");
        }
        for name in ["[backup]", "[[hook]]", "[[source.dump]]", "[report.email]"] {
            assert!(page.contains(&format!(".SS {name}")), "{name}");
        }
    }
}
