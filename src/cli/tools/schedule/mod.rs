//! `dupr schedule`: lets profiles run by themselves, as their `[schedule]` says.

pub(super) mod calls;
pub(super) mod ways;

use crate::cli::args::{ExportArgs, ExportForm, InstallArgs, ScheduleArgs, ScheduleWhat};
use crate::cli::session::Session;
use crate::cli::ui::out;
use crate::cli::ui::table::Table;
use crate::cli::{choose, complain, exit, run};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::profile::Profile;
use crate::report::format;
use crate::run::Memory;
use crate::schedule::install::{self, Effect, Effects, Kind, Place};
use crate::schedule::{Call, WATCH, docker, kubernetes};
use calls::{Trouble, caller, calls, overriding, planned};
use serde_json::json;
use ways::{kind, kinds, manager, place};

/// Does what is asked for.
pub fn run(what: &ScheduleWhat, session: &Session) -> u8 {
    let done = match what {
        ScheduleWhat::Install(args) => put(args, session),
        ScheduleWhat::Remove(args) => remove(args, session),
        ScheduleWhat::Show(args) => show(args, session),
        ScheduleWhat::Export(args) => export(args, session),
    };
    match done {
        Ok(()) => exit::DONE,
        Err(Trouble::Profiles(errors)) => complain::about(&errors, session),
        Err(Trouble::Other(error)) => complain::error(&error, session),
    }
}

fn put(args: &InstallArgs, session: &Session) -> std::result::Result<(), Trouble> {
    let watch = !args.no_watch;
    let args = &args.which;
    let place = place(session);
    let kind = kind(args, &place, session)?;
    let list = planned(&args.profiles, session)?;
    let mut notes = Vec::new();
    for planned in &list {
        for obstacle in
            crate::schedule::obstacles(&planned.profile, matches!(kind, Kind::Systemd(_)))
        {
            let text = format!("{}: {}", planned.profile.name, obstacle.text);
            if obstacle.fatal {
                return Err(Error::new(ErrorKind::Usage, text).into());
            }
            notes.push(text);
        }
    }
    if list.is_empty() {
        let hint = "write cron = \"17 2 * * *\" under [schedule]";
        return Err(run::usage_error("no profile has a [schedule]", hint).into());
    }
    let calls = calls(&list, watch, &caller(session)?)?;
    let mut gone = Vec::new();
    if args.profiles.is_empty() {
        // Profiles that are gone, or have lost their schedule.
        let there = install::installed(kind, &place)?;
        gone.extend(
            there
                .into_keys()
                .filter(|n| calls.iter().all(|c| c.name != *n)),
        );
    } else if !watch {
        gone.push(WATCH.to_owned());
    }
    let effects = install::apply(kind, &calls, &gone, &place, session.common.plan)?;
    if !session.common.plan {
        remember(&effects, session)?;
        notes.extend(install::remarks(kind, &place));
        notes.extend(elsewhere(&calls, kind, &place, session));
    }
    notes.extend(overriding(session));
    tell(kind, &effects, &calls, &notes, session);
    Ok(())
}

fn remove(args: &ScheduleArgs, session: &Session) -> std::result::Result<(), Trouble> {
    let place = place(session);
    let kind = kind(args, &place, session)?;
    let there = install::installed(kind, &place)?;
    let gone: Vec<String> = if args.profiles.is_empty() {
        there.into_keys().collect()
    } else {
        // A profile that is gone has a name still.
        let mut names: Vec<String> = args
            .profiles
            .iter()
            .flat_map(|w| w.split(','))
            .map(str::to_owned)
            .collect();
        if let Ok(found) = choose::profiles(&args.profiles.join(","), &session.config_dirs()) {
            names.extend(found.into_iter().map(|f| f.name));
        }
        let own: Vec<String> = there
            .keys()
            .filter(|n| names.contains(n))
            .cloned()
            .collect();
        // Nothing is left to be watched over.
        let rest = there
            .keys()
            .filter(|n| !own.contains(n) && *n != WATCH)
            .count();
        let watch = there.contains_key(WATCH) && rest == 0 && !own.is_empty();
        own.into_iter()
            .chain(watch.then(|| WATCH.to_owned()))
            .collect()
    };
    let effects = install::apply(kind, &[], &gone, &place, session.common.plan)?;
    if !session.common.plan {
        remember(&effects, session)?;
    }
    tell(kind, &effects, &[], &[], session);
    Ok(())
}

/// Remembers since when schedules are in effect: what was planned before is not due.
fn remember(effects: &Effects, session: &Session) -> Result<()> {
    let state_dir = &session.world.state_dir;
    for (name, effect) in effects.iter().filter(|(name, _)| *name != WATCH) {
        let mut memory = Memory::of(state_dir, name);
        memory.scheduled_since = match effect {
            Effect::Removed => None,
            Effect::Added => Some(run::now()),
            Effect::Changed | Effect::Same => memory.scheduled_since.or_else(|| Some(run::now())),
        };
        memory.keep(state_dir, name)?;
    }
    Ok(())
}

/// Calls that somebody else starts, too.
fn elsewhere(calls: &[Call], kind: Kind, place: &Place, session: &Session) -> Vec<String> {
    let mut notes = Vec::new();
    for other in kinds(session).into_iter().filter(|k| *k != kind) {
        let Ok(there) = install::installed(other, place) else {
            continue;
        };
        let twice: Vec<&str> = calls
            .iter()
            .map(|c| c.name.as_str())
            .filter(|n| there.contains_key(*n))
            .collect();
        if !twice.is_empty() {
            notes.push(format!(
                "{} starts {} as well: remove one of them",
                other.word(),
                twice.join(", ")
            ));
        }
    }
    notes
}

fn tell(kind: Kind, effects: &Effects, calls: &[Call], notes: &[String], session: &Session) {
    let word = |effect: &Effect| match (effect, session.common.plan) {
        (Effect::Same, _) => "unchanged",
        (Effect::Added, false) => "added",
        (Effect::Added, true) => "would add",
        (Effect::Changed, false) => "changed",
        (Effect::Changed, true) => "would change",
        (Effect::Removed, false) => "removed",
        (Effect::Removed, true) => "would remove",
    };
    if session.common.json {
        let list: Vec<_> = effects
            .iter()
            .map(|(name, effect)| json!({"name": name, "effect": word(effect)}))
            .collect();
        out::json(
            &json!({"schema": 1, "code": exit::DONE, "way": kind.word(), "calls": list, "notes": notes}),
        );
        return;
    }
    let now = run::now();
    for (name, effect) in effects {
        let when = calls.iter().find(|c| c.name == *name).map(|call| {
            let next = call
                .schedule
                .next_after(now)
                .map_or("never".to_owned(), format::time);
            format!(": {}, next {next}", call.schedule.cron.as_str())
        });
        if !session.common.quiet {
            out::line(&format!(
                "{} {} in {}{}",
                word(effect),
                name,
                kind.word(),
                when.unwrap_or_default()
            ));
        }
    }
    if effects.is_empty() && !session.common.quiet {
        out::line(&format!("nothing of dupr is in {}", kind.word()));
    }
    for note in notes {
        out::complaint(&format!("note: {note}"));
    }
}

fn show(args: &ScheduleArgs, session: &Session) -> std::result::Result<(), Trouble> {
    let place = place(session);
    let kinds = if args.way.is_some() || args.user || args.system {
        vec![kind(args, &place, session)?]
    } else {
        kinds(session)
    };
    let list = planned(&args.profiles, session)?;
    let calls = calls(&list, true, &caller(session)?)?;
    let now = run::now();
    let mut rows = Vec::new();
    let mut seen = Vec::new();
    for kind in kinds {
        for (name, there) in install::installed(kind, &place)? {
            let call = calls.iter().find(|c| c.name == name);
            let state = match call.map(|c| kind.text(c)) {
                Some(Ok(text)) if text == there => "in effect",
                Some(_) => "in effect, and differs from the profile: install it again",
                None if !args.profiles.is_empty() => continue,
                None => "in effect, and no profile has this schedule: remove it",
            };
            seen.push(name.clone());
            rows.push((name, kind.word(), call, state));
        }
    }
    for call in calls.iter().filter(|c| !seen.contains(&c.name)) {
        rows.push((call.name.clone(), "-", Some(call), "not in effect"));
    }
    let next = |call: Option<&Call>| call.and_then(|c| c.schedule.next_after(now));
    let cron = |call: Option<&Call>| call.map(|c| c.schedule.cron.as_str().to_owned());
    if session.common.json {
        let list: Vec<_> = rows
            .iter()
            .map(|(name, way, call, state)| {
                json!({"name": name, "way": way, "cron": cron(*call), "next": next(*call), "state": state})
            })
            .collect();
        out::json(&json!({"schema": 1, "code": exit::DONE, "calls": list}));
        return Ok(());
    }
    let mut table = Table::new(&["PROFILE", "WHEN", "NEXT", "WAY", "STATE"]);
    for (name, way, call, state) in rows {
        table.row(vec![
            name,
            cron(call).unwrap_or_else(|| "-".to_owned()),
            next(call).map_or("-".to_owned(), format::time),
            way.to_owned(),
            state.to_owned(),
        ]);
    }
    if table.is_empty() {
        out::line("No profile has a [schedule].");
    } else {
        table.lines().iter().for_each(|l| out::line(l));
    }
    Ok(())
}

fn export(args: &ExportArgs, session: &Session) -> std::result::Result<(), Trouble> {
    let list = planned(&args.profiles, session)?;
    if list.is_empty() {
        let hint = "write cron = \"17 2 * * *\" under [schedule]";
        return Err(run::usage_error("no profile has a [schedule]", hint).into());
    }
    let place = place(session);
    let watch = !args.no_watch;
    let zone = session.zone.iana_name();
    let mut texts: Vec<String> = Vec::new();
    match args.form {
        ExportForm::Crontab | ExportForm::Systemd | ExportForm::Launchd => {
            let kind = match args.form {
                ExportForm::Crontab => Kind::Crontab,
                ExportForm::Systemd => Kind::Systemd(manager(args.user, false, &place)),
                _ => Kind::Launchd,
            };
            for call in calls(&list, watch, &caller(session)?)? {
                texts.push(kind.text(&call)?);
            }
        }
        ExportForm::Kubernetes => {
            for planned in &list {
                for call in calls(std::slice::from_ref(planned), false, &caller(session)?)? {
                    texts.push(format!(
                        "---\n{}",
                        kubernetes::manifest(&call, &planned.profile, zone)
                    ));
                }
            }
        }
        ExportForm::Docker => {
            let profiles: Vec<&Profile> = list.iter().map(|p| &p.profile).collect();
            texts.push(docker::recipe(
                &calls(&list, watch, &docker::caller())?,
                &profiles,
                zone,
            )?);
        }
    }
    out::text(&texts.concat());
    for planned in &list {
        for obstacle in
            crate::schedule::obstacles(&planned.profile, args.form == ExportForm::Systemd)
        {
            out::complaint(&format!(
                "note: {}: {}",
                planned.profile.name, obstacle.text
            ));
        }
    }
    Ok(())
}
