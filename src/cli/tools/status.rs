//! `dupr status`: how every profile stands, from history alone; with `--remote` from the targets as well.

use super::status_remote::{self, Sight};
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
    let subjects: Vec<Subject> = found
        .iter()
        .flat_map(|found| match run::per_target(found, session) {
            Ok(profiles) => profiles
                .into_iter()
                .map(|p| (view(&p, session, now), Some(p)))
                .collect(),
            Err(errors) => {
                let text = errors.to_string();
                let why = text.lines().next().unwrap_or_default();
                vec![(Overview::broken(&found.name, why), None)]
            }
        })
        .collect();
    if args.remote {
        return remotely(&subjects, args.exit_code, now, session);
    }
    let views: Vec<Overview> = subjects.into_iter().map(|(view, _)| view).collect();
    let code = code(&views, args.exit_code);
    if session.common.json {
        out::json(&json!({"schema": 1, "code": code, "profiles": views}));
    } else {
        let colors = session.colors(session.world.terminal.output);
        table(&views, now, colors).iter().for_each(|l| out::line(l));
        tell_waiting(&views);
    }
    code
}

/// How a profile stands, and the profile with one target, unless it is broken.
type Subject = (Overview, Option<Profile>);

/// Looks at the targets, too.
fn remotely(subjects: &[Subject], asked: bool, now: Timestamp, session: &Session) -> u8 {
    let sights = status_remote::look(subjects, now, session);
    let each = subjects.iter().zip(&sights).map(|((view, _), sight)| {
        let local = code(std::slice::from_ref(view), true);
        match sight {
            Some(sight) => sight.code(view.standing, local),
            None => local,
        }
    });
    let code = if asked {
        each.fold(exit::DONE, status_remote::worse)
    } else {
        exit::DONE
    };
    if session.common.json {
        let documents: Vec<_> = subjects
            .iter()
            .zip(&sights)
            .map(|((view, _), sight)| {
                let mut document = json!(view);
                document["remote"] = json!(sight.as_ref().map(Sight::document));
                document
            })
            .collect();
        out::json(&json!({"schema": 1, "code": code, "profiles": documents}));
        return code;
    }
    let colors = session.colors(session.world.terminal.output);
    let mut lines = status_remote::table(subjects, &sights, now).lines();
    for (line, ((view, _), sight)) in lines.iter_mut().skip(1).zip(subjects.iter().zip(&sights)) {
        paint(line, view.standing.word(), tone(view.standing), colors);
        if let Some(sight) = sight {
            paint(line, sight.word(), sight.tone(), colors);
        }
    }
    lines.iter().for_each(|l| out::line(l));
    let views: Vec<Overview> = subjects.iter().map(|(view, _)| view.clone()).collect();
    tell_waiting(&views);
    code
}

fn tell_waiting(views: &[Overview]) {
    let waiting = views.iter().filter_map(Overview::waiting);
    waiting.for_each(|l| out::line(&l));
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
        Some(Standing::Stale | Standing::Never | Standing::NoSet) => exit::STALE,
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
        paint(line, view.standing.word(), tone(view.standing), colors);
    }
    lines
}

fn tone(standing: Standing) -> Tone {
    match standing {
        Standing::Ok => Tone::Good,
        Standing::Never => Tone::Calm,
        Standing::NoSet | Standing::Warning => Tone::Warn,
        Standing::Failed | Standing::Stale | Standing::Broken => Tone::Bad,
    }
}

/// Colors the first such word that stands in a column of its own, after the table is laid out: colors take no columns.
fn paint(line: &mut String, word: &str, tone: Tone, colors: bool) {
    let painted = format!("  {}", colored(word, tone, colors));
    *line = line.replacen(&format!("  {word}"), &painted, 1);
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
        assert_eq!(code(&[view(Standing::NoSet)], true), 6);
        assert_eq!(table(&views, Timestamp(0), false).len(), 4);
    }
}
