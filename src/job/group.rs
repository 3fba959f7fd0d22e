//! One execution of a batch for a group: its hooks around its members, one outcome, one report.
//!
//! Every member is a job of its own, with its own lock, plan, history and verdict; here they are only started, and their
//! outcomes put together. How a member is run and shown is the caller's affair.

use super::record::{begin_log, keep, read};
use super::{Ended, JobContext};
use crate::engine::context::Context;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::time::Timestamp;
use crate::plan::{self, Action, Item, Plan, Step};
use crate::profile::{Group, Retries, SecretRef, group};
use crate::report::cause;
use crate::report::notify::{Desk, Store};
use crate::run::history::History;
use crate::run::hook::ProfileFacts;
use crate::run::outcome::{Failure, MEMBER_STEP, Outcome, StepOutcome, StepStatus, Verdict};
use crate::run::runner::{self, Actions, Runner};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What a group is run with.
pub struct GroupJob<'a> {
    /// The group.
    pub group: &'a Group,
    /// The batch as typed; empty: the default of each profile.
    pub batch: &'a str,
    /// Names of its members, in order.
    pub profiles: &'a [String],
    /// Whether the batch only looks: then there are neither hooks nor reports.
    pub looks: bool,
    /// Where the outcome so far is put for hooks.
    pub temp_dir: &'a Path,
}

/// The history of a group, which stands beside those of profiles.
pub fn history(state_dir: &Path, group: &str) -> History {
    History::of(state_dir, &key(group))
}

fn key(group: &str) -> String {
    format!("@{group}")
}

/// The plan of a group; those of its members are made when they run.
pub fn plan(job: &GroupJob<'_>, now: Timestamp) -> Plan {
    if job.looks {
        let bare = Group {
            hooks: Vec::new(),
            reports: Default::default(),
            ..job.group.clone()
        };
        return plan::group::plan(&bare, job.batch, job.profiles, now);
    }
    plan::group::plan(job.group, job.batch, job.profiles, now)
}

/// Runs the group. Never fails: what goes wrong is in the outcome, is recorded and is reported. `run` does one member, by
/// its number, to the end.
pub fn execute(
    job: &GroupJob<'_>,
    run: &(dyn Fn(usize) -> Outcome + Sync),
    cx: &JobContext<'_>,
) -> Ended {
    let (group, mut troubles) = (job.group, Vec::new());
    let history = history(cx.state_dir, &group.name);
    let store = Store::of(cx.state_dir, &key(&group.name));
    let past = read(&history, &mut troubles);
    let desk = Desk {
        reports: &group.reports,
        secrets: cx.around.secret,
        code: cx.code,
        store: &store,
    };
    if !job.looks {
        begin_log(&history, (cx.clock)(), cx);
    }
    let announced = if job.looks { Vec::new() } else { desk.begin() };
    let plan = plan(job, (cx.clock)());
    let members = Members {
        job,
        run,
        outcomes: Mutex::new(vec![None; job.profiles.len()]),
    };
    let facts = ProfileFacts {
        name: group.name.clone(),
        directory: group::directory(&group.file),
        ..ProfileFacts::default()
    };
    let runner = Runner {
        actions: &members,
        facts: &facts,
        withheld: &withheld(group),
        // Members try again by themselves.
        retries: &Retries {
            max: 0,
            wait: Duration::ZERO,
        },
        monitor: cx.log,
        cancel: cx.around.cancel,
        clock: cx.clock,
        threads: cx.around.threads,
        temp_dir: job.temp_dir,
        host: cx.around.host,
        next_due: None,
    };
    let mut outcome = runner.run(&plan);
    let outcomes = members
        .outcomes
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    put_members(&mut outcome, &plan, job, &outcomes);
    outcome.verdict = runner::verdict(&outcome);
    if !job.looks {
        let told = (&desk, announced);
        keep(&mut outcome, told, &history, &past, &mut troubles, cx);
    }
    cx.log.stop_growing();
    troubles.extend(cx.log.trouble());
    Ended { outcome, troubles }
}

fn withheld(group: &Group) -> Vec<String> {
    let variable = |secret: &SecretRef| match secret {
        SecretRef::Env(name) => Some(name.clone()),
        _ => None,
    };
    group
        .reports
        .secrets()
        .into_iter()
        .filter_map(variable)
        .collect()
}

/// The step that runs the members.
struct Members<'a> {
    job: &'a GroupJob<'a>,
    run: &'a (dyn Fn(usize) -> Outcome + Sync),
    outcomes: Mutex<Vec<Option<Outcome>>>,
}

impl Actions for Members<'_> {
    fn act(&self, _: &Step, _: u32, done: &mut StepOutcome, cx: &Context<'_>) -> Result<()> {
        let (next, stopped) = (AtomicUsize::new(0), AtomicBool::new(false));
        let count = self.job.profiles.len();
        let work = || {
            while !stopped.load(Ordering::SeqCst) && !cx.cancel.is_requested() {
                let i = next.fetch_add(1, Ordering::SeqCst);
                if i >= count {
                    return;
                }
                let outcome = (self.run)(i);
                if outcome.verdict >= Verdict::Differences && !self.job.group.continue_on_error {
                    stopped.store(true, Ordering::SeqCst);
                }
                let mut all = self.outcomes.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(place) = all.get_mut(i) {
                    *place = Some(outcome);
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..self.job.group.parallel.min(count) {
                scope.spawn(work);
            }
            work();
        });
        let all = self.outcomes.lock().unwrap_or_else(PoisonError::into_inner);
        done.problem_count = all
            .iter()
            .flatten()
            .filter(|o| o.verdict == Verdict::Warning)
            .count() as u64;
        let failed: Vec<&Outcome> = all
            .iter()
            .flatten()
            .filter(|o| o.verdict >= Verdict::Differences)
            .collect();
        cx.cancel.check()?;
        let Some(first) = failed.first() else {
            return Ok(());
        };
        let kind = cause::failures(first).find_map(|(_, f)| f.kind);
        let names: Vec<&str> = failed.iter().map(|o| o.profile.as_str()).collect();
        let text = format!(
            "{} of {count} profiles failed: {}",
            failed.len(),
            names.join(", ")
        );
        Err(Error::new(kind.unwrap_or(ErrorKind::Io), text))
    }
}

/// Puts a step for each member in the place of the one that ran them all.
fn put_members(
    outcome: &mut Outcome,
    plan: &Plan,
    job: &GroupJob<'_>,
    outcomes: &[Option<Outcome>],
) {
    let all = plan.nodes.iter().find_map(|node| match &node.item {
        Item::Step(step) if matches!(step.action, Action::Members { .. }) => Some(step.id),
        _ => None,
    });
    let mut steps = Vec::new();
    for step in std::mem::take(&mut outcome.steps) {
        if Some(step.id) != all {
            steps.push(step);
            continue;
        }
        for (name, member) in job.profiles.iter().zip(outcomes) {
            steps.push(match member {
                Some(member) => member_step(name, member),
                None => not_begun(name, job, &step),
            });
        }
    }
    for (id, step) in (1..).zip(&mut steps) {
        step.id = id;
    }
    outcome.steps = steps;
}

fn member_step(name: &str, member: &Outcome) -> StepOutcome {
    let status = match member.verdict {
        Verdict::Success => StepStatus::Done,
        Verdict::Deferred => StepStatus::Deferred,
        Verdict::Warning => StepStatus::Warning,
        Verdict::Differences | Verdict::Failed => StepStatus::Failed,
        Verdict::Interrupted => StepStatus::Interrupted,
    };
    let title = format!("{name} {}", member.batch);
    let mut step = StepOutcome::new(0, MEMBER_STEP, title, status);
    step.elapsed_ms = crate::report::elapsed_ms(member);
    step.problem_count = member.steps.iter().map(|s| s.problem_count).sum();
    let problems = member.steps.iter().flat_map(|s| s.problems.iter().cloned());
    step.problems = problems.take(crate::run::monitor::KEPT_PROBLEMS).collect();
    step.restore = member
        .steps
        .iter()
        .find(|s| runner::has_differences(s))
        .and_then(|s| s.restore.clone());
    if member.verdict != Verdict::Success {
        step.failure = cause::failures(member).next().map(|(_, f)| f.clone());
    }
    step.notes.push(crate::report::headline(member));
    step
}

/// A member that did not run: a hook failed or put it off, a signal came, or another member failed.
fn not_begun(name: &str, job: &GroupJob<'_>, all: &StepOutcome) -> StepOutcome {
    let title = format!("{name} {}", job.batch);
    let (status, why) = match all.status {
        StepStatus::Deferred => (StepStatus::Deferred, "not begun: a hook asked to wait"),
        StepStatus::Interrupted => (StepStatus::Interrupted, "not begun: interrupted"),
        StepStatus::Skipped => (StepStatus::Skipped, "not begun: a hook before it failed"),
        _ => (StepStatus::Skipped, "not begun: another profile failed"),
    };
    let mut step = StepOutcome::new(0, MEMBER_STEP, title.trim_end(), status);
    if status == StepStatus::Interrupted {
        step.failure = Some(Failure {
            kind: Some(ErrorKind::Interrupted),
            message: format!("{name} was not begun"),
            hint: None,
        });
    }
    step.notes.push(why.to_owned());
    step
}
