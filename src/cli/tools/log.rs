//! `dupr log`: one past run as a whole, its report and every line that is kept of it; without a profile the last runs of all.

use super::history;
use crate::cli::args::LogArgs;
use crate::cli::session::Session;
use crate::cli::ui::out;
use crate::cli::ui::table::Table;
use crate::cli::{complain, exit, run};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::time_text::{TimeText, TimeTextError};
use crate::report::{Report, elapsed_ms, format, headline, render, status_word};
use crate::run::History;
use crate::run::history::PastRuns;
use crate::run::logs::Logs;
use crate::run::outcome::Outcome;
use crate::run::running::Followed;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

/// Shows a run, or which there were.
pub fn run(args: &LogArgs, session: &Session) -> u8 {
    let shown = match &args.profile {
        None => all(args.last, session),
        Some(word) => match history::chosen(word, session) {
            Ok((name, history)) if args.follow => follow(&name, &history, session),
            Ok((name, history)) => one(&name, &history, args.run.as_deref(), session),
            Err(code) => return code,
        },
    };
    match shown {
        Ok(()) => exit::DONE,
        Err(e) => complain::error(&e, session),
    }
}

/// The last runs of all profiles, in the order in which they began.
fn all(last: usize, session: &Session) -> Result<()> {
    let mut runs: Vec<Outcome> = Vec::new();
    for history in History::all(&session.world.state_dir) {
        runs.extend(history.read()?.runs);
    }
    runs.sort_by_key(|o| o.started);
    let shown = runs
        .get(runs.len().saturating_sub(last)..)
        .unwrap_or_default();
    if session.common.json {
        out::json(&json!({"schema": 1, "code": exit::DONE, "runs": shown}));
        return Ok(());
    }
    let mut table = Table::new(&["STARTED", "PROFILE", "VERDICT", ">TIME", "BATCH", "WHAT"]);
    for outcome in shown {
        table.row(vec![
            format::time(outcome.started),
            format::safe(&outcome.profile),
            status_word(outcome.verdict).to_owned(),
            format::millis(elapsed_ms(outcome)),
            format::safe(&outcome.batch),
            headline(outcome),
        ]);
    }
    if table.is_empty() {
        out::line("Nothing has run yet.");
    } else {
        table.lines().iter().for_each(|l| out::line(l));
    }
    Ok(())
}

fn one(name: &str, history: &History, which: Option<&str>, session: &Session) -> Result<()> {
    let past = history.read()?;
    let at = position(name, &past, which, session)?;
    let (before, rest) = past.runs.split_at(at);
    let Some(outcome) = rest.first() else {
        return Err(none(name));
    };
    let log = Logs::beside(history).read(outcome.started)?;
    if session.common.json {
        let is_kept = log.is_some();
        let lines = log.unwrap_or_default();
        out::json(&json!({
            "schema": 1, "code": exit::DONE, "run": outcome, "log": lines, "log-kept": is_kept,
        }));
        return Ok(());
    }
    let message = render::render(&Report::new(outcome, before, &[]), &BTreeMap::new())?;
    out::line(message.text.trim_end());
    out::line("");
    match log {
        Some(lines) => {
            out::line("Log:");
            lines.iter().for_each(|l| out::line(&format::safe(l)));
        }
        None => out::line("The log of this run is not kept any more."),
    }
    Ok(())
}

/// How often it is looked whether something has come.
const PAUSE: Duration = Duration::from_millis(200);

/// Shows the run that is under way line by line, and how it ended; with `--json` as a whole when it has.
fn follow(name: &str, history: &History, session: &Session) -> Result<()> {
    let before = history.read()?.runs.pop();
    let Some(mut run) = Followed::of(history)? else {
        let text = format!("no run of {name} is under way");
        return Err(Error::new(ErrorKind::NotFound, text)
            .with_hint(format!("`dupr log {name}` shows the last one")));
    };
    loop {
        let more = run.more()?;
        if !session.common.json {
            let lines = more.lines.iter();
            lines.for_each(|line| out::line(&format::safe(line)));
        }
        if more.is_last {
            break;
        }
        std::thread::sleep(PAUSE);
    }
    let last = history.read()?.runs.pop();
    match last.filter(|last| Some(last) != before.as_ref()) {
        None => {
            let text = format!("the run of {name} has ended, and left no outcome");
            Err(Error::new(ErrorKind::NotFound, text).with_hint(format!(
                "it was killed, or put off once more; `dupr history {name}` lists the others"
            )))
        }
        Some(_) if session.common.json => one(name, history, None, session),
        Some(outcome) => {
            let word = status_word(outcome.verdict);
            out::line(&format!("{word}: {}", headline(&outcome)));
            Ok(())
        }
    }
}

/// Where the run stands that is meant: the last one, one counted from the end, or the last one that had begun at a time.
fn position(name: &str, past: &PastRuns, which: Option<&str>, session: &Session) -> Result<usize> {
    let count = past.runs.len();
    let word = which.unwrap_or("1");
    if count == 0 {
        return Err(none(name));
    }
    // Longer ones are seconds since 1970, a time like others.
    if let Some(n) = word.parse::<usize>().ok().filter(|_| word.len() < 7) {
        return count.checked_sub(n).filter(|_| n > 0).ok_or_else(|| {
            run::usage_error(
                format!("there are {count} runs, not {n}"),
                "count from 1, the last run",
            )
        });
    }
    let time = TimeText::parse(word, ':').map_err(|e| {
        let text = format!("{word:?} is neither a number of a run nor a time: {e}");
        run::usage_error(
            text,
            format!(
                "count from 1, the last run, or write a time: {}",
                TimeTextError::hint()
            ),
        )
    })?;
    let time = time.at(run::now(), &session.zone);
    let begun = past.runs.iter().rposition(|o| o.started <= time);
    begun.ok_or_else(|| {
        let text = format!("no run of {name} had begun by {}", format::time(time));
        run::usage_error(text, format!("`dupr history {name}` lists them"))
    })
}

fn none(name: &str) -> Error {
    let text = format!("{name} has not run yet");
    Error::new(ErrorKind::NotFound, text).with_hint(format!("`dupr {name}` runs it"))
}
