//! Hooks with the scope of the run, or of the source: once around the jobs of all targets of a profile. They begin when the first
//! target is ready, with its lock taken, and end behind the last one, so that a run that is put off stops no database.

use super::{JobContext, facts};
use crate::engine::context::Context;
use crate::engine::error::Result;
use crate::engine::time::Timestamp;
use crate::plan::batch::Batch;
use crate::plan::{self, Plan, Step};
use crate::profile::{Hook, HookScope, Profile, Retries};
use crate::run::open;
use crate::run::outcome::{Outcome, StepOutcome};
use crate::run::runner::{self, Actions, Around, Runner};
use std::time::Duration;

/// A job as hooks around several see it.
pub type Part<'a> = (&'a Profile, &'a Batch);

/// The hooks around the jobs of one profile.
pub struct Arounds<'a> {
    /// That of the run comes first: it begins first and ends last.
    all: Vec<(Around<'a>, HookScope)>,
    outer: &'a JobContext<'a>,
    /// Lines of the outer log that a job's own has already.
    told: usize,
    left: Vec<bool>,
}

/// Whether a job has anything to do with hooks of a scope: those of the source stand around sets that are made.
fn concerns(scope: HookScope, (profile, batch): Part<'_>) -> bool {
    let looks = batch.commands().iter().all(|c| c.only_looks());
    let makes = batch.commands().iter().any(|c| c.makes_a_set());
    match scope {
        HookScope::Run => !looks,
        HookScope::Source => makes && profile.origin.is_none(),
        HookScope::Target => false,
    }
}

/// The plans of the hooks around these jobs, outermost first. Empty where there are none.
pub fn plans(jobs: &[Part<'_>], now: Timestamp) -> Vec<(HookScope, Plan)> {
    let Some((first, batch)) = jobs.first() else {
        return Vec::new();
    };
    let mut plans = Vec::new();
    for scope in [HookScope::Run, HookScope::Source] {
        let concerned: Vec<&Part<'_>> = jobs.iter().filter(|job| concerns(scope, **job)).collect();
        let belongs = |hook: &&Hook| {
            let words = &hook.commands;
            hook.scope == scope
                && (words.is_empty() || concerned.iter().any(|(_, b)| plan::batch_has(b, words)))
        };
        let hooks: Vec<&Hook> = first.hooks.iter().filter(belongs).collect();
        if hooks.is_empty() || concerned.is_empty() {
            continue;
        }
        let names: Vec<String> = concerned.iter().map(|(p, _)| p.name.clone()).collect();
        let name = format!("{} ({})", first.base_name(), scope.word());
        plans.push((
            scope,
            plan::group::around(&name, &hooks, &batch.text, &names, now),
        ));
    }
    plans
}

/// Calls `act` with the hooks around these jobs; with none if there are none.
pub fn within<T>(
    jobs: &[Part<'_>],
    cx: &JobContext<'_>,
    act: impl FnOnce(Option<&mut Arounds<'_>>) -> T,
) -> T {
    let plans = plans(jobs, (cx.clock)());
    let Some((profile, _)) = jobs.first().filter(|_| !plans.is_empty()) else {
        return act(None);
    };
    // Those of every target: the hooks stand around all of them.
    let withheld: Vec<String> = jobs
        .iter()
        .flat_map(|(profile, _)| open::secret_variables(profile))
        .collect();
    let facts = facts(profile);
    let retries = Retries {
        max: 0,
        wait: Duration::ZERO,
    };
    let runner = Runner {
        actions: &Nobody,
        facts: &facts,
        withheld: &withheld,
        retries: &retries,
        monitor: cx.log,
        cancel: cx.around.cancel,
        clock: cx.clock,
        threads: cx.around.threads,
        temp_dir: &profile.backup.temp_dir,
        host: cx.around.host,
        next_due: None,
    };
    let all = plans
        .iter()
        .map(|(scope, plan)| (Around::new(&runner, plan), *scope));
    let mut arounds = Arounds {
        all: all.collect(),
        outer: cx,
        told: 0,
        left: Vec::new(),
    };
    act(Some(&mut arounds))
}

/// Does the steps between hooks, of which there are none.
struct Nobody;

impl Actions for Nobody {
    fn act(&self, _: &Step, _: u32, _: &mut StepOutcome, _: &Context<'_>) -> Result<()> {
        Ok(())
    }
}

impl Arounds<'_> {
    /// Says which jobs are still to come behind the next one.
    pub fn before_job(&mut self, rest: &[Part<'_>]) {
        let comes = |scope| rest.iter().any(|job| concerns(scope, *job));
        self.left = self.all.iter().map(|(_, scope)| comes(*scope)).collect();
    }

    /// Runs what stands in front of a job that is ready. Returns the steps that keep it from beginning.
    pub(super) fn begin(&mut self, job: Part<'_>, cx: &JobContext<'_>) -> Option<Vec<StepOutcome>> {
        let mut hindered = None;
        for (around, scope) in &mut self.all {
            if hindered.is_none() && concerns(*scope, job) {
                hindered = around.begin();
            }
        }
        self.hand_on(cx);
        hindered
    }

    /// Takes note of a job, and runs what stands behind the last one, or behind any when dupr is to stop.
    pub(super) fn end(&mut self, job: Part<'_>, outcome: &mut Outcome, cx: &JobContext<'_>) {
        let stopping = cx.around.cancel.is_requested();
        let left = std::mem::take(&mut self.left);
        // The inner one is the last.
        for (i, (around, scope)) in self.all.iter_mut().enumerate().rev() {
            if concerns(*scope, job) {
                around.note(outcome);
            }
            outcome.verdict = runner::verdict(outcome);
            if stopping || !left.get(i).copied().unwrap_or(false) {
                around.end(outcome);
                outcome.verdict = runner::verdict(outcome);
            }
        }
        for (id, step) in (1..).zip(&mut outcome.steps) {
            step.id = id;
        }
        outcome.ended = (cx.clock)().max(outcome.ended);
        self.hand_on(cx);
    }

    /// What was told around a job belongs into its log.
    fn hand_on(&mut self, cx: &JobContext<'_>) {
        self.told = cx.log.adopt(self.outer.log, self.told);
    }

    /// Ends what is open although no further job comes: a signal between two of them.
    pub fn close(&mut self, last: &mut Outcome) {
        for (around, _) in self.all.iter_mut().rev() {
            if around.is_open() {
                around.end(last);
            }
        }
        last.verdict = runner::verdict(last);
    }
}
