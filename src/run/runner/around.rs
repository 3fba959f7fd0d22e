//! Hooks around several runs: those before the first one that is ready, those behind the last one. What they did becomes steps of
//! the outcomes they stand beside, so that history, reports and exit codes know of it.

use super::{Course, Group, Runner, Walk};
use crate::plan::{Action, Item, Node, Plan};
use crate::run::outcome::{Outcome, StepOutcome, Verdict};

/// A plan whose middle is done by somebody else.
pub struct Around<'a> {
    walk: Walk<'a>,
    group: Group,
    before: Vec<Node>,
    after: Vec<Node>,
    begun: bool,
    ended: bool,
    /// Steps in front that are in no outcome yet.
    fresh: Vec<StepOutcome>,
    /// All of them.
    front: Vec<StepOutcome>,
}

impl<'a> Around<'a> {
    /// Ready to begin: what stands in front of the step that runs the members, and what behind it.
    pub fn new(runner: &'a Runner<'a>, plan: &Plan) -> Self {
        let is_middle = |node: &Node| matches!(&node.item, Item::Step(step) if matches!(step.action, Action::Members { .. }));
        let at = plan.nodes.iter().position(is_middle);
        let at = at.unwrap_or(plan.nodes.len());
        let behind = plan.nodes.iter().skip(at + 1).cloned().collect();
        Self {
            walk: Walk::new(runner, plan),
            group: Group::default(),
            before: plan.nodes.iter().take(at).cloned().collect(),
            after: behind,
            begun: false,
            ended: false,
            fresh: Vec::new(),
            front: Vec::new(),
        }
    }

    /// Runs what stands in front, once. Returns the steps that keep the members from beginning; none if they may begin.
    pub fn begin(&mut self) -> Option<Vec<StepOutcome>> {
        if !self.begun {
            self.begun = true;
            let before = std::mem::take(&mut self.before);
            self.walk.nodes(&before, &mut self.group);
            self.front.clone_from(&self.walk.outcome.steps);
            self.fresh.clone_from(&self.front);
        }
        let hindered = self.group.blocked || self.walk.deferred;
        hindered.then(|| self.front.clone())
    }

    /// Takes note of what a member did, for hooks behind it, and gives the member's outcome the steps in front of it, if no
    /// other has them. One that could not begin counts as well, also in front of the first that could.
    pub fn note(&mut self, outcome: &mut Outcome) {
        let course = match outcome.verdict {
            Verdict::Success => Some(Course::Well),
            Verdict::Warning => Some(Course::WithProblems),
            Verdict::Deferred => None,
            Verdict::Differences | Verdict::Failed | Verdict::Interrupted => Some(Course::Failed),
        };
        self.group.course = self.group.course.max(course);
        let so_far = &mut self.walk.outcome;
        so_far.failure = so_far.failure.take().or_else(|| outcome.failure.clone());
        if !self.begun {
            return;
        }
        let hindered = self.group.blocked || self.walk.deferred;
        self.group.started |= !hindered && course.is_some();
        let code = i32::from(course == Some(Course::Failed));
        self.walk.last = Some((outcome.batch.clone(), code));
        let fresh = std::mem::take(&mut self.fresh);
        if !hindered {
            self.walk
                .outcome
                .steps
                .extend(outcome.steps.iter().cloned());
            let own = std::mem::take(&mut outcome.steps);
            outcome.steps = fresh.into_iter().chain(own).collect();
        }
    }

    /// Runs what stands behind, once, and only if something began. Its steps are those of the last member.
    pub fn end(&mut self, last: &mut Outcome) {
        if !self.begun || self.ended {
            return;
        }
        self.ended = true;
        let done = self.walk.outcome.steps.len();
        let after = std::mem::take(&mut self.after);
        self.walk.nodes(&after, &mut self.group);
        let behind = self.walk.outcome.steps.iter().skip(done).cloned();
        last.steps.extend(behind);
    }

    /// Whether it has begun and not ended.
    pub fn is_open(&self) -> bool {
        self.begun && !self.ended
    }
}
