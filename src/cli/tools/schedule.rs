//! `dupr schedule`: lets profiles run by themselves, as their `[schedule]` says.

use crate::cli::args::{ExportArgs, ExportForm, ScheduleArgs, ScheduleWhat, Starter};
use crate::cli::session::Session;
use crate::cli::ui::out;
use crate::cli::ui::table::Table;
use crate::cli::{args, choose, complain, exit, run};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::profile::{Errors, Loaded, Profile, lookup};
use crate::report::format;
use crate::run::Memory;
use crate::schedule::install::{self, Effect, Effects, Kind, Manager, Place};
use crate::schedule::{Call, Caller, WATCH, docker, kubernetes};
use serde_json::json;
use std::path::{Path, PathBuf};
use uzers::os::unix::UserExt;

/// Variables that say where dupr finds what it needs. Where they are set, a schedule must hand them on.
const PLACES: &[&str] = &[
    "DUPR_CONFIG_DIR",
    "GNUPGHOME",
    "TMPDIR",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_STATE_HOME",
];

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

/// Why nothing was done.
enum Trouble {
    Profiles(Errors),
    Other(Error),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

/// A profile with a schedule, and the word it is called by.
struct Planned {
    profile: Profile,
    word: String,
}

/// The profiles that are named and must have a schedule, or all that have one.
fn planned(words: &[String], session: &Session) -> std::result::Result<Vec<Planned>, Trouble> {
    if !session.common.set.is_empty() {
        let hint = "write the keys into the profile";
        return Err(run::usage_error("a schedule does not hand --set on", hint).into());
    }
    let around = session.surroundings();
    let dirs = &around.config_dirs;
    let word = if words.is_empty() {
        "all".to_owned()
    } else {
        words.join(",")
    };
    let mut list = Vec::new();
    for found in choose::profiles(&word, dirs).map_err(Trouble::Profiles)? {
        let path = found.path.to_string_lossy();
        let loaded = Loaded::read(&path, &around, &[]).and_then(|l| l.check(&around));
        let mut profile = loaded.map_err(Trouble::Profiles)?;
        profile.name.clone_from(&found.name);
        if profile.schedule.is_none() {
            if words.is_empty() {
                continue;
            }
            let message = format!("{} has no [schedule]", profile.name);
            return Err(
                run::usage_error(message, "write cron = \"17 2 * * *\" under [schedule]").into(),
            );
        }
        if profile.name == WATCH {
            let message =
                format!("a profile called {WATCH} cannot be scheduled: the name is taken");
            return Err(run::usage_error(message, "give its file another name").into());
        }
        let named = !args::RESERVED.contains(&found.name.as_str())
            && lookup::find(&found.name, dirs).is_ok_and(|f| f.path == found.path);
        let word = if named {
            found.name.clone()
        } else {
            text(&session.world.current_dir.join(&found.path))?
        };
        list.push(Planned { profile, word });
    }
    Ok(list)
}

/// What a call for this user has around it.
fn caller(session: &Session) -> Result<Caller> {
    let program = session.program.as_deref().ok_or_else(|| {
        Error::new(
            ErrorKind::Internal,
            "this program does not know where it lies",
        )
    })?;
    let mut environment = Vec::new();
    // Programs are found where they were found when somebody was looking; what is relative is nowhere at night.
    let path = session
        .world
        .variable("PATH")
        .unwrap_or("/usr/local/bin:/usr/bin:/bin");
    let absolute: Vec<&str> = path.split(':').filter(|p| p.starts_with('/')).collect();
    environment.push(("PATH".to_owned(), absolute.join(":")));
    // Whoever starts the call takes the home of the account; under sudo another one may be in use.
    let account = uzers::get_user_by_uid(rustix::process::geteuid().as_raw());
    if account.is_none_or(|a| a.home_dir() != session.world.home) {
        environment.push(("HOME".to_owned(), text(&session.world.home)?));
    }
    for name in PLACES {
        if let Some(value) = session.world.variable(name) {
            let value = session.world.current_dir.join(value);
            environment.push(((*name).to_owned(), text(&value)?));
        }
    }
    let options = match &session.common.config_dir {
        Some(dir) => vec![
            "--config-dir".to_owned(),
            text(&session.world.current_dir.join(dir))?,
        ],
        None => Vec::new(),
    };
    Ok(Caller {
        program: text(program)?,
        environment,
        options,
    })
}

fn text(path: &Path) -> Result<String> {
    path.to_str().map(str::to_owned).ok_or_else(|| {
        Error::new(
            ErrorKind::Usage,
            format!("{} is not UTF-8 and cannot be scheduled", path.display()),
        )
    })
}

fn calls(list: &[Planned], watch: bool, caller: &Caller) -> Result<Vec<Call>> {
    let mut calls = Vec::new();
    for planned in list {
        calls.extend(Call::of_profile(&planned.profile, &planned.word, caller)?);
    }
    if watch && !calls.is_empty() {
        calls.push(Call::watch(caller)?);
    }
    Ok(calls)
}

fn place(session: &Session) -> Place {
    let world = &session.world;
    let config_home = world
        .variable("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .filter(|p| p.is_absolute())
        .unwrap_or_else(|| world.home.join(".config"));
    Place {
        home: world.home.clone(),
        config_home,
        state_dir: world.state_dir.clone(),
        user: rustix::process::geteuid().as_raw(),
    }
}

fn manager(user: bool, system: bool, place: &Place) -> Manager {
    if system || (place.user == 0 && !user) {
        Manager::System
    } else {
        Manager::User
    }
}

/// What starts programs here: what was asked for, or what there is.
fn kind(args: &ScheduleArgs, place: &Place, session: &Session) -> Result<Kind> {
    let manager = manager(args.user, args.system, place);
    let systemd = Path::new("/run/systemd/system").exists();
    match args.way {
        Some(Starter::Crontab) => return Ok(Kind::Crontab),
        Some(Starter::Systemd) => return Ok(Kind::Systemd(manager)),
        Some(Starter::Launchd) => return Ok(Kind::Launchd),
        None => {}
    }
    if args.user || args.system || (systemd && place.user == 0) {
        Ok(Kind::Systemd(manager))
    } else if cfg!(target_os = "macos") {
        Ok(Kind::Launchd)
    } else if has(session, "crontab") {
        Ok(Kind::Crontab)
    } else if systemd {
        Ok(Kind::Systemd(manager))
    } else {
        Err(Error::new(
            ErrorKind::Unsupported,
            "nothing on this machine starts programs at a time: neither crontab nor systemd is here",
        )
        .with_hint("install cron, or see `dupr schedule export --help`"))
    }
}

fn has(session: &Session, program: &str) -> bool {
    let path = session.world.variable("PATH").unwrap_or_default();
    path.split(':')
        .any(|dir| Path::new(dir).join(program).is_file())
}

fn put(args: &ScheduleArgs, session: &Session) -> std::result::Result<(), Trouble> {
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
    let calls = calls(&list, !args.no_watch, &caller(session)?)?;
    let mut gone = Vec::new();
    if args.profiles.is_empty() {
        // Profiles that are gone, or have lost their schedule.
        let there = install::installed(kind, &place)?;
        gone.extend(
            there
                .into_keys()
                .filter(|n| calls.iter().all(|c| c.name != *n)),
        );
    } else if args.no_watch {
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

/// Whatever may start programs here.
fn kinds(session: &Session) -> Vec<Kind> {
    let mut list = Vec::new();
    if has(session, "crontab") {
        list.push(Kind::Crontab);
    }
    list.push(Kind::Systemd(Manager::User));
    list.push(Kind::Systemd(Manager::System));
    if cfg!(target_os = "macos") {
        list.push(Kind::Launchd);
    }
    list
}

/// Keys of profiles that are set in this environment and will not be at night.
fn overriding(session: &Session) -> Vec<String> {
    let set = session.world.variables.keys();
    let names: Vec<&str> = set
        .filter(|n| {
            n.strip_prefix("DUPR_")
                .is_some_and(|rest| rest.contains("__"))
        })
        .chain(
            session
                .world
                .variables
                .keys()
                .filter(|n| n.starts_with("DUPR__")),
        )
        .map(String::as_str)
        .collect();
    match names.as_slice() {
        [] => Vec::new(),
        names => vec![format!(
            "{} is set here and not handed on: write it into the profile",
            names.join(", ")
        )],
    }
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
