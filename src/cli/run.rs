//! `dupr PROFILE BATCH`: every profile is loaded and its batch parsed before the first one runs.

use super::args::{BatchWords, Common};
use super::scheduled::{self, Permission};
use super::session::{CLOCK, Session};
use super::ui::products::{Collected, Lines};
use super::ui::{out, summary};
use super::{choose, complain, exit};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::time::Timestamp;
use crate::job::{self, Ended, JobContext};
use crate::plan::batch::{Batch, BatchOptions, Command};
use crate::plan::{Action, Item, Node, Plan, planner, render};
use crate::profile::Loaded;
use crate::profile::error::Errors;
use crate::profile::{Once, Profile};
use crate::run::Log;
use crate::run::open::Surroundings;
use crate::run::outcome::{Outcome, Verdict};
use serde_json::json;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::time::Duration;

/// Version of the JSON document of runs.
const SCHEMA: u32 = 1;

/// Runs or plans a batch for every profile meant, and returns the exit code.
pub fn run(words: &BatchWords, session: &Session) -> u8 {
    let jobs = match prepare(words, session) {
        Ok(jobs) => jobs,
        Err(complaint) => {
            return usage(&complaint, session);
        }
    };
    if let Err(e) = session.watch_signals() {
        return complain::error(&e, session);
    }
    let log_file = match session.log_file() {
        Ok(file) => file,
        Err(e) => return failed(&e),
    };
    let monitor = session.monitor();
    let log = Log::new(&*monitor, CLOCK, log_file, session.log_format());
    let secret = |reference: &crate::profile::SecretRef| session.secret(reference);
    let around = Surroundings {
        environment: &session.environment,
        program: session.program.as_deref(),
        cancel: &session.cancel,
        threads: session.world.threads,
        host: &session.world.host,
        zone: &session.zone,
        secret: &secret,
    };
    let cx = JobContext {
        around: &around,
        log: &log,
        clock: CLOCK,
        state_dir: &session.world.state_dir,
        lock_wait: session.common.no_lock_wait.then_some(Duration::ZERO),
        code: &exit::of_outcome,
        scheduled: session.common.scheduled,
    };
    if session.common.plan {
        plans(&jobs, session, &cx)
    } else {
        runs(jobs, session, &cx)
    }
}

/// Whether a job that a schedule started goes on; otherwise tells why not.
///
/// # Errors
/// The exit code of what keeps it from being known.
fn permitted(
    job: &Job,
    permissions: &mut BTreeMap<String, Permission>,
    session: &Session,
) -> std::result::Result<(), u8> {
    if !session.common.scheduled {
        return Ok(());
    }
    // The targets of a profile share one permission.
    let name = &job.profile.name;
    if !permissions.contains_key(name) {
        let permission = scheduled::permission(&job.profile, &job.batch.text, session)
            .map_err(|e| failed(&e.within(format!("cannot start {name}"))))?;
        if let (Permission::Denied(_, why), false) = (&permission, session.common.quiet) {
            out::complaint(&format!("{name}: {why}"));
        }
        permissions.insert(name.clone(), permission);
    }
    match permissions.get(name) {
        Some(Permission::Denied(code, _)) => Err(*code),
        _ => Ok(()),
    }
}

/// A profile and the batch it is to do.
pub struct Job {
    /// The profile, with one target.
    pub profile: Profile,
    /// What is to be done.
    pub batch: Batch,
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
pub fn prepare(words: &BatchWords, session: &Session) -> std::result::Result<Vec<Job>, Complaint> {
    let around = session.surroundings();
    let found =
        choose::profiles(&words.profile, &around.config_dirs).map_err(Complaint::Profile)?;
    let mut jobs = Vec::new();
    for found in &found {
        let path = found.path.to_string_lossy();
        let loaded =
            Loaded::read(&path, &around, &session.common.set).map_err(Complaint::Profile)?;
        let mut profile = loaded.check(&around).map_err(Complaint::Profile)?;
        profile.name.clone_from(&found.name);
        profile.backup.once = once(&session.common);
        let batch = parse(words, &profile, &session.common)?;
        jobs.extend(profile.per_target().into_iter().map(|profile| Job {
            profile,
            batch: batch.clone(),
        }));
    }
    Ok(jobs)
}

fn once(common: &Common) -> Once {
    Once {
        allow_empty: common.allow_empty,
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

fn plans(jobs: &[Job], session: &Session, cx: &JobContext<'_>) -> u8 {
    let mut code = exit::DONE;
    let mut documents = Vec::new();
    let mut errors = Vec::new();
    for job in jobs {
        match job::plan(&job.profile, &job.batch, cx) {
            Ok(plan) if session.common.json => documents.push(json!(plan)),
            Ok(plan) => out::text(&render::text(&plan, session.common.verbose > 0)),
            Err(e) => {
                let e = e.within(format!("cannot plan for {}", job.profile.name));
                errors.push(e.to_string());
                let this = failed(&e);
                code = if code == exit::DONE { this } else { code };
            }
        }
    }
    if session.common.json {
        out::json(&json!({"schema": SCHEMA, "code": code, "plans": documents, "errors": errors}));
    }
    code
}

fn runs(jobs: Vec<Job>, session: &Session, cx: &JobContext<'_>) -> u8 {
    let mut documents = Vec::new();
    let mut outcomes: Vec<Outcome> = Vec::new();
    let mut permissions = BTreeMap::new();
    let mut not_begun = exit::DONE;
    for mut job in jobs {
        if session.cancel.is_requested() {
            break;
        }
        if let Err(code) = permitted(&job, &mut permissions, session) {
            not_begun = if not_begun == exit::DONE {
                code
            } else {
                not_begun
            };
            continue;
        }
        let Ended { outcome, troubles } = if session.common.json {
            let mut collected = Collected::default();
            let ended = job::execute(&job.profile, &job.batch, &mut collected, cx);
            documents.push(json!({"outcome": ended.outcome, "products": collected.0, "troubles": ended.troubles}));
            ended
        } else {
            match confirm(&mut job, session, cx) {
                Ok(()) => {}
                Err(e) => out::complaint(&format!("cannot show what would be removed: {e}")),
            }
            job::execute(&job.profile, &job.batch, &mut Lines, cx)
        };
        if !session.common.json {
            show(&job, &outcome, &troubles, session);
        }
        outcomes.push(outcome);
    }
    let code = match exit::of_outcomes(&outcomes) {
        exit::DONE => not_begun,
        code => code,
    };
    if session.common.json {
        out::json(&json!({"schema": SCHEMA, "code": code, "runs": documents}));
    }
    code
}

/// Prints the summary: always if something is wrong, otherwise unless it is to be quiet or only looked at things.
fn show(job: &Job, outcome: &Outcome, troubles: &[String], session: &Session) {
    let well = outcome.verdict == Verdict::Success && troubles.is_empty();
    let looks = job.batch.commands().iter().all(|c| c.only_looks());
    if well && (looks || session.common.quiet) {
        return;
    }
    // cron would mail it every hour; history has it.
    if session.common.scheduled && session.common.quiet && outcome.verdict == Verdict::Deferred {
        return;
    }
    let lines = summary::summary(outcome, troubles);
    if well {
        lines.iter().for_each(|l| out::line(l));
    } else {
        lines.iter().for_each(|l| out::complaint(l));
    }
}

/// At a terminal, shows what a batch would delete and asks; the answer decides as `--force` does.
fn confirm(job: &mut Job, session: &Session, cx: &JobContext<'_>) -> Result<()> {
    let force = job.batch.options.force || job.profile.retention.force;
    let removing = |c: &Command| {
        c.takes_force() && !matches!(c, Command::Restore { .. } | Command::Fetch { .. })
    };
    let deletes = job.batch.commands().into_iter().any(removing);
    if force || !deletes || !session.world.terminal.input || !session.world.terminal.error {
        return Ok(());
    }
    let plan = job::plan(&job.profile, &job.batch, cx)?;
    if !removes(&plan) {
        return Ok(());
    }
    out::complaint(render::text(&plan, true).trim_end());
    job.batch.options.force = super::ask::yes("Really remove what is listed?", false)?;
    Ok(())
}

fn removes(plan: &Plan) -> bool {
    fn any(nodes: &[Node]) -> bool {
        nodes.iter().any(|n| match &n.item {
            Item::Group(inner) => any(inner),
            Item::Step(step) => match &step.action {
                Action::Remove(remove) => !remove.sets.is_empty(),
                Action::Cleanup { .. } => !step.why.starts_with("nothing"),
                _ => false,
            },
        })
    }
    any(&plan.nodes)
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
