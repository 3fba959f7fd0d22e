//! `dupr status`: how every profile stands, from history alone.

use crate::cli::args::StatusArgs;
use crate::cli::session::Session;
use crate::cli::ui::table::Table;
use crate::cli::ui::{Tone, colored, out};
use crate::cli::{choose, complain, exit, run};
use crate::engine::time::Timestamp;
use crate::profile::Profile;
use crate::report::format;
use crate::report::notify::Store;
use crate::report::overview::{Expectation, Overview, Standing};
use crate::run::observe::under_way;
use crate::run::{History, Memory};
use serde_json::json;

/// Shows all profiles, or those named.
pub fn run(args: &StatusArgs, session: &Session) -> u8 {
    let found = match choose::listed(&args.profiles, &session.config_dirs()) {
        Ok(found) => found,
        Err(errors) => return complain::about(&errors, session),
    };
    let now = run::now();
    let views: Vec<Overview> = found
        .iter()
        .flat_map(|found| match run::per_target(found, session) {
            Ok(profiles) => profiles.iter().map(|p| view(p, session, now)).collect(),
            Err(errors) => vec![Overview::broken(
                &found.name,
                errors.to_string().lines().next().unwrap_or_default(),
            )],
        })
        .collect();
    let code = code(&views, args.exit_code);
    if session.common.json {
        out::json(&json!({"schema": 1, "code": code, "profiles": views}));
    } else {
        table(&views, now, session.colors(session.world.terminal.output))
            .iter()
            .chain(
                &views
                    .iter()
                    .filter_map(Overview::waiting)
                    .collect::<Vec<_>>(),
            )
            .for_each(|l| out::line(l));
    }
    code
}

/// How a profile with one target stands. What waits for all targets together is shown with the first.
fn view(profile: &Profile, session: &Session, now: Timestamp) -> Overview {
    let state = &session.world.state_dir;
    // A list that cannot be read is told by the next run.
    let waiting = |name: &str| Store::of(state, name).undelivered().unwrap_or_default();
    let mut undelivered = waiting(&profile.name);
    if profile.base_name() == profile.name {
        undelivered.extend(waiting(&format!("{}@", profile.name)));
    }
    match History::of(state, &profile.name).read() {
        Ok(past) => {
            let since = Memory::of(state, profile.base_name()).scheduled_since;
            let expected = Expectation::of(profile, &past.runs, since, under_way(profile), now);
            Overview::new(&profile.name, &past.runs, expected, now).with_undelivered(undelivered)
        }
        Err(e) => Overview::broken(&profile.name, &e.to_string()),
    }
}

/// 6 if something is stale, 1 if something failed, 2 if a profile is broken; 0 unless asked for.
fn code(views: &[Overview], asked: bool) -> u8 {
    if !asked {
        return exit::DONE;
    }
    match views.iter().map(|v| v.standing).max() {
        Some(Standing::Broken) => exit::USAGE,
        Some(Standing::Stale | Standing::Never) => exit::STALE,
        Some(Standing::Failed) => exit::STEP_FAILED,
        Some(Standing::Warning) => exit::PROBLEMS,
        Some(Standing::Ok) | None => exit::DONE,
    }
}

fn table(views: &[Overview], now: Timestamp, colors: bool) -> Vec<String> {
    let headings = [
        "PROFILE",
        "STATE",
        "LAST GOOD SET",
        "NEXT RUN",
        "CHAIN",
        ">SIZE",
        "LAST RUN",
    ];
    let mut table = Table::new(&headings);
    for view in views {
        let chain = match view.full {
            Some(full) => format!("full {} +{}", format::age(full, now), view.incrementals),
            None => "-".to_owned(),
        };
        let time = |t: Option<Timestamp>| t.map_or("-".to_owned(), |t| format::age(t, now));
        table.row(vec![
            view.profile.clone(),
            view.standing.word().to_owned(),
            time(view.last_good),
            time(view.next_due),
            chain,
            if view.chain_bytes > 0 {
                format::bytes(view.chain_bytes)
            } else {
                "-".to_owned()
            },
            format::shortened(&view.note, 60),
        ]);
    }
    let mut lines = table.lines();
    for (line, view) in lines.iter_mut().skip(1).zip(views) {
        let tone = match view.standing {
            Standing::Ok => Tone::Good,
            Standing::Never => Tone::Calm,
            Standing::Warning => Tone::Warn,
            Standing::Failed | Standing::Stale | Standing::Broken => Tone::Bad,
        };
        // After the table is laid out: colors take no columns.
        let word = view.standing.word();
        *line = line.replacen(
            &format!("  {word}"),
            &format!("  {}", colored(word, tone, colors)),
            1,
        );
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_is_that_of_the_worst_and_only_if_asked() {
        let view = |standing| Overview {
            standing,
            ..Overview::new("p", &[], Expectation::default(), Timestamp(0))
        };
        let views = [
            view(Standing::Ok),
            view(Standing::Stale),
            view(Standing::Failed),
        ];
        assert_eq!(code(&views, true), 6);
        assert_eq!(code(&views, false), 0);
        assert_eq!(code(&views[..1], true), 0);
        assert_eq!(code(&[view(Standing::Broken)], true), 2);
        assert_eq!(table(&views, Timestamp(0), false).len(), 4);
    }
}
