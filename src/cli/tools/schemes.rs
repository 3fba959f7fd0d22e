//! The part of `dupr doctor` that is about no profile: which URL schemes this build reaches, and what each needs.

use crate::cli::session::Session;
use crate::cli::ui::out;
use crate::cli::ui::table::Table;
use crate::cli::ui::wrap::broken;
use crate::engine::storage::{Support, schemes, version_of};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Columns of the schemes.
const NAMES: usize = 30;

/// A row: schemes that mean the same, how they are reached, and what is missing or to be used instead.
struct Row {
    names: &'static [&'static str],
    support: Support,
    /// Version of the program it needs, if that is there.
    version: Option<String>,
}

fn rows(session: &Session) -> Vec<Row> {
    let mut versions: BTreeMap<&str, Option<String>> = BTreeMap::new();
    let rows = schemes().map(|(names, support)| {
        let version = match support {
            Support::Program(program) => versions
                .entry(program)
                .or_insert_with(|| version_of(program, &session.environment))
                .clone(),
            _ => None,
        };
        Row {
            names,
            support,
            version,
        }
    });
    rows.collect()
}

/// Prints the table.
pub fn show(session: &Session) {
    out::line("targets");
    let mut table = Table::new(&["", "SCHEMES", "HOW"]);
    for row in rows(session) {
        let (mark, how) = match (row.support, &row.version) {
            (Support::Native, _) => ("ok", "native".to_owned()),
            (Support::Program(program), Some(version)) => {
                ("ok", format!("needs {program}: {version} found"))
            }
            (Support::Program(program), None) => {
                ("WARN", format!("needs {program}, which is not installed"))
            }
            (Support::LeftOut(feature), _) => (
                "-",
                format!("not in this build: its feature `{feature}` is off"),
            ),
            (Support::Refused { reason, instead }, _) => {
                ("-", format!("refused, {reason}: {instead}"))
            }
        };
        rows_of(mark, row.names, &how, session.world.terminal.columns)
            .into_iter()
            .for_each(|row| table.row(row));
    }
    table
        .lines()
        .iter()
        .skip(1)
        .for_each(|line| out::line(line));
}

/// A row in as many rows as its cells have lines.
fn rows_of(mark: &str, names: &[&str], how: &str, columns: usize) -> Vec<Vec<String>> {
    let names = broken(&names.join(" "), NAMES);
    let room = columns.saturating_sub("  WARN  ".len() + NAMES + 2);
    let how = broken(how, room.max(NAMES));
    let cell = |lines: &[String], at: usize| lines.get(at).cloned().unwrap_or_default();
    let row = |at: usize| {
        let mark = if at == 0 { mark } else { "" };
        vec![format!("  {mark}"), cell(&names, at), cell(&how, at)]
    };
    (0..names.len().max(how.len())).map(row).collect()
}

/// The same for `--json`.
pub fn documents(session: &Session) -> Vec<Value> {
    let rows = rows(session).into_iter().map(|row| match row.support {
        Support::Native => json!({"schemes": row.names, "support": "native"}),
        Support::Program(program) => json!({
            "schemes": row.names, "support": "program", "program": program, "version": row.version,
        }),
        Support::LeftOut(feature) => {
            json!({"schemes": row.names, "support": "left-out", "feature": feature})
        }
        Support::Refused { reason, instead } => json!({
            "schemes": row.names, "support": "refused", "reason": reason, "instead": instead,
        }),
    });
    rows.collect()
}
