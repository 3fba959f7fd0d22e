//! Walks a plan, step by step, and writes down what happened.
//!
//! The condition of a step looks at the last command that really ran. A failed `before` keeps its command from
//! running; `after`, `error`, `finally`, `post` and `undo` run on failure and on signals too, because they put
//! right what went before. Nothing here decides what is done: that stands in the plan.

mod around;
mod hooks;

pub use around::Around;

use super::hook::ProfileFacts;
use super::monitor::{Recorder, RunMonitor};
use super::outcome::{Failure, Outcome, StepOutcome, StepStatus, Verdict};
use crate::engine::context::{Cancel, Context};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::monitor::Level;
use crate::engine::time::Timestamp;
use crate::plan::render::title;
use crate::plan::{Action, Item, Node, Plan, Step, When};
use crate::profile::Retries;
use std::collections::HashSet;
use std::path::Path;
use std::time::{Duration, Instant};

/// Version of the [`Outcome`] document.
pub const OUTCOME_SCHEMA: u32 = 1;

/// Whoever does the steps that are not hooks.
pub trait Actions {
    /// Does `step` and fills in figures. `attempt` counts from 0; later ones go on where the one before stopped.
    ///
    /// # Errors
    /// The step could not be done.
    fn act(
        &self,
        step: &Step,
        attempt: u32,
        done: &mut StepOutcome,
        cx: &Context<'_>,
    ) -> Result<()>;
}

/// Everything a run needs beside its plan.
pub struct Runner<'a> {
    /// Who does the steps.
    pub actions: &'a dyn Actions,
    /// What hooks are told about the profile.
    pub facts: &'a ProfileFacts,
    /// Variables that hooks must not see: those that hold secrets of the profile.
    pub withheld: &'a [String],
    /// Whether a step that failed is tried again.
    pub retries: &'a Retries,
    /// Who listens.
    pub monitor: &'a dyn RunMonitor,
    /// How to be stopped.
    pub cancel: &'a Cancel,
    /// The clock.
    pub clock: &'a dyn Fn() -> Timestamp,
    /// Worker threads of the engine.
    pub threads: usize,
    /// Where the outcome so far is put for hooks.
    pub temp_dir: &'a Path,
    /// Name of this host.
    pub host: &'a str,
    /// When the next run is due.
    pub next_due: Option<Timestamp>,
}

/// How the commands of a group went, the worst of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Course {
    Well,
    WithProblems,
    Failed,
}

/// What is known inside one group of the plan.
#[derive(Debug, Clone, Copy, Default)]
struct Group {
    /// A hook that must succeed first did not.
    blocked: bool,
    /// A command was started.
    started: bool,
    course: Option<Course>,
}

/// Where a walk through the plan stands.
struct Walk<'a> {
    runner: &'a Runner<'a>,
    outcome: Outcome,
    /// The last command that really ran: its word, and 0 or its exit code.
    last: Option<(String, i32)>,
    /// Steps that were started, for those that undo them.
    started: HashSet<u32>,
    /// A hook asked not to run now.
    deferred: bool,
    /// Commands of the plan in order, with their conditions.
    commands: Vec<(u32, String, When)>,
}

impl Runner<'_> {
    /// Does the whole plan.
    pub fn run(&self, plan: &Plan) -> Outcome {
        let mut walk = Walk::new(self, plan);
        self.monitor.planned(plan);
        walk.nodes(&plan.nodes, &mut Group::default());
        walk.outcome.ended = (self.clock)().max(walk.outcome.started);
        walk.outcome.verdict = verdict(&walk.outcome);
        walk.outcome
    }
}

/// The outcome in one word: the worst of its steps.
pub fn verdict(outcome: &Outcome) -> Verdict {
    let of_step = |step: &StepOutcome| match step.status {
        StepStatus::Done | StepStatus::Skipped => Verdict::Success,
        StepStatus::Deferred => Verdict::Deferred,
        StepStatus::Warning => Verdict::Warning,
        StepStatus::Failed if step.failure.is_none() && has_differences(step) => {
            Verdict::Differences
        }
        StepStatus::Failed => Verdict::Failed,
        StepStatus::Interrupted => Verdict::Interrupted,
    };
    let start = outcome.failure.as_ref().map(|f| match f.kind {
        Some(ErrorKind::Interrupted) => Verdict::Interrupted,
        _ => Verdict::Failed,
    });
    outcome
        .steps
        .iter()
        .map(of_step)
        .chain(start)
        .max()
        .unwrap_or(Verdict::Success)
}

/// Whether a verify or check found differences.
pub fn has_differences(step: &StepOutcome) -> bool {
    step.restore.as_ref().is_some_and(|s| s.differences > 0)
}

impl<'a> Walk<'a> {
    /// At the beginning of a plan.
    fn new(runner: &'a Runner<'a>, plan: &Plan) -> Self {
        let started = (runner.clock)();
        let mut commands = Vec::new();
        hooks::flatten(&plan.nodes, None, &mut commands);
        Self {
            runner,
            outcome: Outcome {
                schema: OUTCOME_SCHEMA,
                profile: plan.profile.clone(),
                host: runner.host.to_owned(),
                batch: plan.batch.clone(),
                target: plan.target.clone(),
                started,
                ended: started,
                verdict: Verdict::Success,
                steps: Vec::new(),
                failure: None,
                next_due: runner.next_due,
            },
            last: None,
            started: HashSet::new(),
            deferred: false,
            commands,
        }
    }
}

impl Walk<'_> {
    fn nodes(&mut self, nodes: &[Node], group: &mut Group) {
        for node in nodes {
            match &node.item {
                Item::Group(inner) => {
                    if self.holds(node.when, group) {
                        let mut inner_group = Group::default();
                        self.nodes(inner, &mut inner_group);
                        group.started |= inner_group.started;
                        group.course = group.course.max(inner_group.course);
                    } else {
                        self.skip_all(inner);
                    }
                }
                Item::Step(step) => self.step(step, node.when, group),
            }
        }
    }

    fn holds(&self, when: When, group: &Group) -> bool {
        let failed = self.last.as_ref().is_some_and(|(_, code)| *code != 0);
        match when {
            When::Always => true,
            When::IfOk => !failed,
            When::IfFailed => failed,
            When::IfReady => !group.blocked,
        }
    }

    fn step(&mut self, step: &Step, when: When, group: &mut Group) {
        match &step.action {
            Action::Hook(hook) if !is_command(&step.action) => {
                if self.hook_is_due(hook, group) {
                    self.run_hook(step, hook, group);
                }
            }
            _ if self.runner.cancel.is_requested() && !is_protective(&step.action) => {
                self.pass_over(step, StepStatus::Interrupted, "not begun: interrupted");
            }
            _ if self.deferred && !is_protective(&step.action) => {
                self.pass_over(
                    step,
                    StepStatus::Deferred,
                    "not begun: a hook asked to wait",
                );
            }
            _ if !self.holds(when, group) => {
                let why = match when {
                    When::IfReady => "not begun: a hook before it failed",
                    When::IfFailed => "not needed: the command before it succeeded",
                    _ => "not begun: the command before it failed",
                };
                self.pass_over(step, StepStatus::Skipped, why);
            }
            Action::Hook(hook) => self.run_hook(step, hook, group),
            _ => self.run_action(step, group),
        }
    }

    fn run_action(&mut self, step: &Step, group: &mut Group) {
        let mut done = self.begin(step);
        self.let_a_second_pass(&step.action);
        let started = Instant::now();
        let mut attempt = 0;
        let (result, kept) = loop {
            let recorder = Recorder::new(self.runner.monitor);
            let cx = Context {
                monitor: &recorder,
                cancel: self.runner.cancel,
                now: (self.runner.clock)(),
                threads: self.runner.threads,
            };
            let result = self.runner.actions.act(step, attempt, &mut done, &cx);
            match result {
                Err(e) if e.kind().is_retryable() && attempt < self.runner.retries.max => {
                    attempt += 1;
                    self.announce_retry(&e, attempt);
                    if !self.pause() {
                        break (Err(e), recorder.into_kept());
                    }
                }
                result => break (result, recorder.into_kept()),
            }
        };
        done.elapsed_ms = millis(started);
        done.problems = kept.problems;
        done.problem_count = done.problem_count.max(kept.problem_count);
        done.notes.extend(kept.notes);
        match result {
            Err(e) => {
                let interrupted = e.kind() == ErrorKind::Interrupted;
                done.status = if interrupted {
                    StepStatus::Interrupted
                } else {
                    StepStatus::Failed
                };
                done.failure = Some(failure(&e));
            }
            Ok(()) if kept.lost > 0 => {
                done.status = StepStatus::Failed;
                done.failure = Some(Failure {
                    kind: Some(ErrorKind::Corrupt),
                    message: match kept.lost {
                        1 => {
                            "stored data is damaged: 1 entry is lost, the rest is there".to_owned()
                        }
                        n => format!(
                            "stored data is damaged: {n} entries are lost, the rest is there"
                        ),
                    },
                    hint: None,
                });
            }
            Ok(()) if has_differences(&done) => done.status = StepStatus::Failed,
            Ok(()) if done.problem_count > 0 => done.status = StepStatus::Warning,
            Ok(()) => done.status = StepStatus::Done,
        }
        let course = match done.status {
            StepStatus::Done => Course::Well,
            StepStatus::Warning => Course::WithProblems,
            _ => Course::Failed,
        };
        group.started = true;
        group.course = group.course.max(Some(course));
        self.started.insert(step.id);
        self.last = Some((step.command.clone(), i32::from(course == Course::Failed)));
        self.end(done);
    }

    /// Two sets of one run must not have the same time: sets are told apart by whole seconds.
    fn let_a_second_pass(&self, action: &Action) {
        let made = self
            .outcome
            .steps
            .iter()
            .filter_map(|s| s.set)
            .map(|s| s.time())
            .max();
        let Some(made) = made.filter(|_| matches!(action, Action::Backup(_))) else {
            return;
        };
        let started = Instant::now();
        while (self.runner.clock)() <= made && started.elapsed() < Duration::from_secs(2) {
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn announce_retry(&self, error: &Error, attempt: u32) {
        let retries = self.runner.retries;
        let text = format!(
            "{error}; trying again in {} s ({attempt} of {})",
            retries.wait.as_secs(),
            retries.max
        );
        self.runner.monitor.note(Level::Warning, &text);
    }

    /// Waits before a retry; `false` if dupr was asked to stop meanwhile.
    fn pause(&self) -> bool {
        let until = Instant::now() + self.runner.retries.wait;
        while !self.runner.cancel.is_requested() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            std::thread::sleep(left.min(Duration::from_millis(100)));
        }
        false
    }

    fn begin(&self, step: &Step) -> StepOutcome {
        let title = title(step);
        self.runner.monitor.step_started(step, &title);
        StepOutcome::new(step.id, step.command.clone(), title, StepStatus::Done)
    }

    fn end(&mut self, done: StepOutcome) {
        self.runner.monitor.step_ended(&done);
        self.outcome.steps.push(done);
    }

    fn pass_over(&mut self, step: &Step, status: StepStatus, why: &str) {
        let mut done = StepOutcome::new(step.id, step.command.clone(), title(step), status);
        done.notes.push(why.to_owned());
        self.end(done);
    }

    /// Writes down the commands of a group that is not entered.
    fn skip_all(&mut self, nodes: &[Node]) {
        for node in nodes {
            match &node.item {
                Item::Group(inner) => self.skip_all(inner),
                Item::Step(step) if is_command(&step.action) => {
                    self.pass_over(
                        step,
                        StepStatus::Skipped,
                        "not begun: its condition did not hold",
                    );
                }
                Item::Step(_) => {}
            }
        }
    }
}

/// Whether a step is a command of the batch, as opposed to a hook around one.
fn is_command(action: &Action) -> bool {
    match action {
        Action::Hook(hook) => matches!(hook.moment.as_str(), "pre" | "post"),
        _ => true,
    }
}

/// Whether a step puts right what others did, and so runs after failures and signals.
fn is_protective(action: &Action) -> bool {
    match action {
        Action::Hook(hook) => matches!(
            hook.moment.as_str(),
            "after" | "error" | "finally" | "undo" | "post"
        ),
        _ => false,
    }
}

/// An error of the engine as data.
pub fn failure(error: &Error) -> Failure {
    Failure {
        kind: Some(error.kind()),
        message: error.to_string(),
        hint: error.hint().map(str::to_owned),
    }
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
