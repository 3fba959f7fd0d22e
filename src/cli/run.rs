//! `dupr PROFILE BATCH`: every profile is loaded and its batch parsed before the first one runs.

use super::args::{BatchWords, Common};
use super::session::{CLOCK, Session};
use super::ui::out;
use super::{choose, complain, exit, jobs};
use crate::engine::error::{Error, ErrorKind};
use crate::engine::time::Timestamp;
use crate::plan::batch::{Batch, BatchOptions, Command};
use crate::plan::planner;
use crate::profile::error::Errors;
use crate::profile::lookup::Found;
use crate::profile::{Group, Loaded, Once, Profile};
use std::ffi::OsString;

/// Runs or plans a batch for every profile meant, and returns the exit code.
pub fn run(words: &BatchWords, session: &Session) -> u8 {
    let units = match prepare(words, session) {
        Ok(units) => units,
        Err(complaint) => {
            return usage(&complaint, session);
        }
    };
    if let Err(e) = session.watch_signals() {
        return complain::error(&e, session);
    }
    if let Err(e) = session.log_file() {
        return complain::error(&e, session);
    }
    if session.common.plan {
        jobs::plans(&units, session)
    } else {
        jobs::runs(&units, session)
    }
}

/// A profile and the batch it is to do.
#[derive(Clone)]
pub struct Job {
    /// The profile, with one target.
    pub profile: Profile,
    /// What it is to do.
    pub batch: Batch,
}

/// A profile with a job for each of its targets.
#[derive(Clone)]
pub struct Member {
    /// Its name, with that of a target if only that is meant.
    pub name: String,
    /// The job for the first target that is meant.
    pub first: Job,
    /// Those for the others, in order.
    pub others: Vec<Job>,
}

impl Member {
    /// All jobs, in order.
    pub fn jobs(&self) -> impl Iterator<Item = &Job> {
        std::iter::once(&self.first).chain(&self.others)
    }
}

/// Profiles that are run together.
pub struct Unit {
    /// The group they belong to.
    pub group: Option<Group>,
    /// The profiles, in order.
    pub members: Vec<Member>,
}

/// Why nothing is done.
pub enum Complaint {
    /// Profiles that cannot be used.
    Profile(Errors),
    /// A batch that is none.
    Batch {
        /// What is wrong.
        message: String,
        /// What to write.
        help: Option<String>,
        /// The batch with the place marked.
        marked: Option<String>,
    },
}

/// A complaint in words, at the end of which nothing was done.
pub fn usage(complaint: &Complaint, session: &Session) -> u8 {
    match complaint {
        Complaint::Profile(errors) => complain::about(errors, session),
        Complaint::Batch {
            message,
            help,
            marked,
        } => {
            out::complaint(&format!("error: {message}"));
            if let Some(marked) = marked {
                marked
                    .lines()
                    .for_each(|l| out::complaint(&format!("    {l}")));
            }
            if let Some(help) = help {
                out::complaint(&format!("help: {help}"));
            }
            let help = help.as_ref().map(|h| format!(" ({h})"));
            let text = format!("{message}{}", help.unwrap_or_default());
            complain::document(exit::USAGE, vec![text], session)
        }
    }
}

/// Tells an error that ended everything, and returns its code.
pub fn failed(error: &Error) -> u8 {
    out::complaint(&format!("error: {error}"));
    if let Some(hint) = error.hint() {
        out::complaint(&format!("help: {hint}"));
    }
    exit::of_kind(error.kind())
}

/// Loads and parses everything. All profiles are looked at before the first complaint ends it.
///
/// # Errors
/// What is wrong with the first profile or batch that cannot be used.
pub fn prepare(words: &BatchWords, session: &Session) -> std::result::Result<Vec<Unit>, Complaint> {
    let around = session.surroundings();
    let meant = choose::units(&words.profile, &around).map_err(Complaint::Profile)?;
    let mut units = Vec::new();
    for choose::Unit { group, profiles } in meant {
        let mut members = Vec::new();
        for found in &profiles {
            let mut profile = read(found, session).map_err(Complaint::Profile)?;
            profile.backup.once = once(&session.common);
            let batch = parse(words, &profile, &session.common)?;
            if let Some(group) = &group {
                profile.reports = group.reports_of(&profile.reports);
            }
            let name = match &found.target {
                Some(target) => format!("{}@{target}", found.name),
                None => found.name.clone(),
            };
            let mut targets = targets(&profile, found).map_err(Complaint::Profile)?;
            concerned(&mut targets, &batch, &profile)?;
            // What is fetched comes from one place.
            if batch.commands().iter().any(|c| fetches(c)) {
                targets.truncate(1);
            }
            let job = |profile| Job {
                profile,
                batch: batch.clone(),
            };
            let mut jobs = targets.into_iter().map(job);
            if let Some(first) = jobs.next() {
                let others = jobs.collect();
                members.push(Member {
                    name,
                    first,
                    others,
                });
            }
        }
        units.push(Unit { group, members });
    }
    Ok(units)
}

/// Reads and checks a profile that was found.
fn read(found: &Found, session: &Session) -> std::result::Result<Profile, Errors> {
    let around = session.surroundings();
    let path = found.path.to_string_lossy();
    let mut profile = Loaded::read(&path, &around, &session.common.set)?.check(&around)?;
    profile.name.clone_from(&found.name);
    Ok(profile)
}

/// Reads and checks a profile that was found: one for each target that is meant.
///
/// # Errors
/// All that is wrong with it; it has no such target.
pub fn per_target(found: &Found, session: &Session) -> std::result::Result<Vec<Profile>, Errors> {
    targets(&read(found, session)?, found)
}

/// The profile for each target that is meant.
fn targets(profile: &Profile, found: &Found) -> std::result::Result<Vec<Profile>, Errors> {
    let mut all = profile.per_target();
    let Some(target) = &found.target else {
        return Ok(all);
    };
    let names: Vec<String> = all.iter().map(|p| p.target.name.clone()).collect();
    all.retain(|p| p.target.name == *target);
    if all.is_empty() {
        let help = format!("its targets: {}", names.join(", "));
        let message = format!("{} has no target {target}", found.name);
        return Err(Errors::single(message, Some(help)));
    }
    Ok(all)
}

/// Leaves the targets at which the batch has something to do: copies get their sets from other targets alone.
fn concerned(
    targets: &mut Vec<Profile>,
    batch: &Batch,
    profile: &Profile,
) -> std::result::Result<(), Complaint> {
    let complaint = |message: String, help: &str| {
        Err(Complaint::Batch {
            message,
            help: Some(help.to_owned()),
            marked: None,
        })
    };
    let copies = batch.commands().contains(&&Command::Replicate);
    if copies && profile.targets().all(|t| t.copy_of.is_none()) {
        let message = format!("no target of {} is a copy of another", profile.name);
        return complaint(
            message,
            "write copy-of = \"nas\" under a further [[target]]",
        );
    }
    let only = targets.first().map(|p| p.target.clone());
    targets.retain(|p| {
        let mut commands = batch.commands().into_iter();
        commands.any(|c| c.concerns(p.origin.is_some()))
    });
    match only.filter(|_| targets.is_empty()) {
        None => Ok(()),
        Some(target) => match &target.copy_of {
            Some(of) => complaint(
                format!("{} is a copy of {of}: it gets no backups", target.name),
                "replicate copies to it what is missing",
            ),
            None => complaint(
                format!("{} is no copy of another target", target.name),
                "leave out @TARGET, or name a target with copy-of",
            ),
        },
    }
}

/// The name a word has in the histories: that of the profile, or of the one target that is meant.
///
/// # Errors
/// There is no such profile or target.
pub fn history_name(found: &Found, session: &Session) -> std::result::Result<String, Errors> {
    if found.target.is_none() {
        return Ok(found.name.clone());
    }
    let one = per_target(found, session)?.into_iter().next();
    Ok(one.map_or_else(|| found.name.clone(), |p| p.name))
}

/// Whether a command brings something from a target, so that one target is enough.
fn fetches(command: &Command) -> bool {
    matches!(
        command,
        Command::Restore { .. }
            | Command::Fetch { .. }
            | Command::List(_)
            | Command::Find(_)
            | Command::Versions(_)
            | Command::Diff { .. }
            | Command::VerifyPath { .. }
    )
}

fn once(common: &Common) -> Once {
    Once {
        allow_empty: common.allow_empty,
        allow_empty_target: common.allow_empty_target,
        allow_new_key: common.allow_new_key,
        allow_source_mismatch: common.allow_source_mismatch,
        fresh: common.fresh,
    }
}

fn parse(
    words: &BatchWords,
    profile: &Profile,
    common: &Common,
) -> std::result::Result<Batch, Complaint> {
    let mut texts = Vec::new();
    for word in &words.words {
        texts.push(utf8(word)?);
    }
    let options = BatchOptions {
        force: common.force,
        compare_data: words.compare_data,
        all: words.all,
        overwrite: words.overwrite.map(Into::into),
    };
    let (batch, arguments) = match texts.split_first() {
        Some((batch, arguments)) => (batch.as_str(), arguments),
        None => (profile.run.default.as_str(), [].as_slice()),
    };
    if batch.is_empty() {
        return Err(Complaint::Batch {
            message: format!("the profile {} has no default batch", profile.name),
            help: Some("name one, such as backup_purge, or set `default` under [run]".to_owned()),
            marked: None,
        });
    }
    let batch = Batch::parse(batch, arguments, options).map_err(|e| Complaint::Batch {
        message: e.to_string(),
        help: e.help(),
        marked: e.marked(),
    })?;
    planner::needs(&batch, &profile.retention, &profile.checks).map_err(|(message, help)| {
        Complaint::Batch {
            message,
            help: Some(help),
            marked: None,
        }
    })?;
    Ok(batch)
}

fn utf8(word: &OsString) -> std::result::Result<String, Complaint> {
    word.to_str()
        .map(str::to_owned)
        .ok_or_else(|| Complaint::Batch {
            message: format!("{:?} is not UTF-8", word.to_string_lossy()),
            help: None,
            marked: None,
        })
}

/// Loads one profile for a tool.
///
/// # Errors
/// There is none of that name, or it cannot be used; already told.
pub fn load(word: &str, session: &Session) -> std::result::Result<Profile, u8> {
    let around = session.surroundings();
    let profile = Loaded::read(word, &around, &session.common.set).and_then(|l| l.check(&around));
    profile.map_err(|errors| usage(&Complaint::Profile(errors), session))
}

/// The time, for tools.
pub fn now() -> Timestamp {
    CLOCK()
}

/// An error of usage with its hint.
pub fn usage_error(message: impl Into<String>, hint: impl Into<String>) -> Error {
    Error::new(ErrorKind::Usage, message).with_hint(hint)
}
