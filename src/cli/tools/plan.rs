//! `dupr plan`: what a batch would do; with `--simulate`, the calendar of what would exist when.

use crate::cli::args::{BatchWords, PlanArgs};
use crate::cli::session::Session;
use crate::cli::ui::out;
use crate::cli::{complain, exit, run};
use crate::engine::error::Result;
use crate::plan::calendar::{self, Calendar};
use crate::profile::{Age, Profile};
use serde_json::json;
use std::ffi::OsString;

/// More runs than these take minutes to think through.
const MAX_RUNS: usize = 5000;

/// Seconds between runs of a profile that says no schedule.
const DAY: i64 = 86_400;

/// Plans a batch, or simulates many.
pub fn run(args: PlanArgs, session: &Session) -> u8 {
    if args.prune && !args.words.is_empty() {
        let hint = "leave one of them out: --prune stands for the batch purge";
        return complain::error(
            &run::usage_error("a batch and --prune exclude each other", hint),
            session,
        );
    }
    let mut words = BatchWords {
        profile: args.profile.unwrap_or_else(|| "all".to_owned()),
        words: args.words,
        compare_data: args.compare_data,
        all: args.all_checks,
        overwrite: args.overwrite,
    };
    let Some(span) = &args.simulate else {
        if args.prune {
            words.words.push(OsString::from("purge"));
        }
        return run::run(&words, session);
    };
    let mut forced = args.prune;
    forced |= session.common.force;
    if args.prune {
        words.words.push(OsString::from("backup_purge"));
    }
    match simulate(&words, span, forced, session) {
        Ok(code) => code,
        Err(e) => complain::error(&e, session),
    }
}

fn simulate(words: &BatchWords, span: &str, forced: bool, session: &Session) -> Result<u8> {
    let span = Age::parse(span)
        .map_err(|e| run::usage_error(e.to_string(), "for instance --simulate 2Y"))?;
    let units = match run::prepare(words, session) {
        Ok(units) => units,
        Err(complaint) => return Ok(run::usage(&complaint, session)),
    };
    let mut calendars: Vec<Calendar> = Vec::new();
    for unit in &units {
        for mut job in unit.members.iter().flat_map(|m| m.jobs()).cloned() {
            // Every target gets the same runs and has the same rules.
            job.profile.name = job.profile.base_name().to_owned();
            if calendars.iter().any(|c| c.profile == job.profile.name) {
                continue;
            }
            job.batch.options.force |= forced;
            let starts = starts(&job.profile, &span)?;
            let calendar = calendar::simulate(&job.profile, &job.batch, &starts, &session.zone);
            calendars.push(
                calendar
                    .map_err(|e| run::usage_error(e.to_string(), e.hint().unwrap_or_default()))?,
            );
        }
    }
    if session.common.json {
        out::json(&json!({"schema": 1, "code": exit::DONE, "calendars": calendars}));
    } else {
        for calendar in &calendars {
            out::text(&calendar::text(calendar, session.common.verbose > 0));
        }
    }
    Ok(exit::DONE)
}

/// The planned starts from now on, or one a day.
fn starts(profile: &Profile, span: &Age) -> Result<Vec<crate::engine::time::Timestamp>> {
    let now = run::now();
    let end = now.plus(span.as_secs());
    let mut starts = Vec::new();
    let mut at = now;
    loop {
        let next = match &profile.schedule {
            Some(schedule) => schedule.next_after(at),
            None => Some(at.plus(DAY)),
        };
        match next {
            Some(next) if next <= end && next > at => at = next,
            _ => return Ok(starts),
        }
        starts.push(at);
        if starts.len() > MAX_RUNS {
            let message = format!("{span} is more than {MAX_RUNS} runs of {}", profile.name);
            return Err(run::usage_error(message, "ask for a shorter time"));
        }
    }
}
