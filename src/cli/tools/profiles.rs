//! `dupr profiles`: every profile that can be called by name, and what it hides.

use crate::cli::session::Session;
use crate::cli::ui::out;
use crate::cli::ui::table::Table;
use crate::cli::{args, exit};
use crate::profile::{Loaded, lookup};
use serde_json::json;

/// Lists all profiles.
pub fn run(session: &Session) -> u8 {
    let dirs = session.config_dirs();
    let around = session.surroundings();
    let all = lookup::list(&dirs);
    let mut table = Table::new(&["PROFILE", "FILE", "NOTE"]);
    let mut documents = Vec::new();
    let mut code = exit::DONE;
    for found in &all {
        let path = found.path.to_string_lossy();
        let checked =
            Loaded::read(&path, &around, &session.common.set).and_then(|l| l.check(&around));
        let mut notes = Vec::new();
        if args::RESERVED.contains(&found.name.as_str()) {
            notes.push("has the name of a tool: call it by its path".to_owned());
        }
        match &checked {
            Ok(profile) if !profile.description.is_empty() => {
                notes.push(profile.description.clone())
            }
            Ok(_) => {}
            Err(errors) => {
                code = exit::USAGE;
                let first = errors
                    .to_string()
                    .lines()
                    .next()
                    .unwrap_or_default()
                    .to_owned();
                notes.push(format!("cannot be used: {first}"));
            }
        }
        for hidden in &found.hidden {
            notes.push(format!("hides {}", hidden.display()));
        }
        documents.push(json!({
            "name": found.name,
            "file": found.path,
            "hidden": found.hidden,
            "usable": checked.is_ok(),
            "notes": notes,
        }));
        table.row(vec![
            found.name.clone(),
            path.into_owned(),
            crate::report::format::safe(&notes.join("; ")),
        ]);
    }
    if session.common.json {
        out::json(&json!({"schema": 1, "profiles": documents}));
    } else if all.is_empty() {
        let places: Vec<String> = dirs.iter().map(|d| d.display().to_string()).collect();
        out::line(&format!(
            "There is no profile in {}. `dupr init` makes one.",
            places.join(", ")
        ));
    } else {
        table.lines().iter().for_each(|l| out::line(l));
    }
    code
}
