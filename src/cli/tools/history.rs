//! `dupr history`: past runs of a profile; any of them told again as its report.

use crate::cli::args::HistoryArgs;
use crate::cli::session::Session;
use crate::cli::ui::out;
use crate::cli::ui::table::Table;
use crate::cli::{choose, complain, exit, run};
use crate::engine::error::Result;
use crate::job;
use crate::report::{Report, elapsed_ms, format, headline, render, status_word};
use crate::run::History;
use crate::run::history::PastRuns;
use serde_json::json;
use std::collections::BTreeMap;

/// Shows the last runs, or one report.
pub fn run(args: &HistoryArgs, session: &Session) -> u8 {
    let (name, history) = match chosen(&args.profile, session) {
        Ok(found) => found,
        Err(code) => return code,
    };
    match show(&name, &history, args, session) {
        Ok(()) => exit::DONE,
        Err(e) => complain::error(&e, session),
    }
}

/// The history that a word means: of a profile, of one of its targets, or of a group.
///
/// # Errors
/// The exit code, when it was told why there is none.
pub(super) fn chosen(word: &str, session: &Session) -> std::result::Result<(String, History), u8> {
    let (dirs, state) = (session.config_dirs(), &session.world.state_dir);
    if let Some(group) = choose::group(word, &dirs) {
        return Ok((group.to_owned(), job::group::history(state, group)));
    }
    let found = choose::profiles(word, &dirs).map_err(|e| complain::about(&e, session))?;
    let first = found.first().ok_or(exit::DONE)?;
    let name = run::history_name(first, session).map_err(|e| complain::about(&e, session))?;
    let history = History::of(state, &name);
    Ok((name, history))
}

fn show(name: &str, history: &History, args: &HistoryArgs, session: &Session) -> Result<()> {
    let past = history.read()?;
    if let Some(n) = args.report {
        return report(&past, n, args.html);
    }
    let skipped = past.runs.len().saturating_sub(args.last);
    let shown = past.runs.get(skipped..).unwrap_or_default();
    if session.common.json {
        out::json(&json!({"schema": 1, "runs": shown, "damaged-lines": past.damaged_lines}));
        return Ok(());
    }
    let mut table = Table::new(&[">#", "STARTED", "VERDICT", ">TIME", "BATCH", "WHAT"]);
    for (i, outcome) in shown.iter().enumerate() {
        table.row(vec![
            (shown.len() - i).to_string(),
            format::time(outcome.started),
            status_word(outcome.verdict).to_owned(),
            format::millis(elapsed_ms(outcome)),
            format::safe(&outcome.batch),
            headline(outcome),
        ]);
    }
    if table.is_empty() {
        out::line(&format!("{name} has not run yet."));
    } else {
        table.lines().iter().for_each(|l| out::line(l));
    }
    if past.damaged_lines > 0 {
        out::complaint(&format!(
            "{} damaged lines were skipped",
            past.damaged_lines
        ));
    }
    Ok(())
}

/// The report of the `n`th run from the end, as it would be sent.
fn report(past: &PastRuns, n: usize, html: bool) -> Result<()> {
    let missing = || {
        run::usage_error(
            format!("there are {} runs, not {n}", past.runs.len()),
            "count from 1, the last run",
        )
    };
    let at = past
        .runs
        .len()
        .checked_sub(n)
        .filter(|_| n > 0)
        .ok_or_else(missing)?;
    let (before, rest) = past.runs.split_at(at);
    let outcome = rest.first().ok_or_else(missing)?;
    let message = render::render(&Report::new(outcome, before, &[]), &BTreeMap::new())?;
    out::text(if html { &message.html } else { &message.text });
    Ok(())
}
