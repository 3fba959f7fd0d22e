//! The steps of a walk that are hooks: whether their moment has come, what they are told, what their end means.

use super::{Course, Group, Walk, is_command, is_protective, millis, verdict};
use crate::engine::error::ErrorKind;
use crate::engine::monitor::Level;
use crate::plan::{HookAction, Item, Node, OnFailure, Step, When};
use crate::run::hook::{self, Hook, HookEnd, Place};
use crate::run::outcome::{Failure, StepStatus};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

impl Walk<'_> {
    /// Whether the moment of a hook around commands has come.
    pub(super) fn hook_is_due(&self, hook: &HookAction, group: &Group) -> bool {
        let interrupted = self.runner.cancel.is_requested();
        match hook.moment.as_str() {
            "before" => !interrupted && !self.deferred && !group.blocked,
            "after" => group.started,
            "success" => {
                matches!(group.course, Some(Course::Well | Course::WithProblems)) && !interrupted
            }
            "warning" => group.course == Some(Course::WithProblems) && !interrupted,
            "error" => group.course == Some(Course::Failed),
            "undo" => hook.undo_of.is_some_and(|id| self.started.contains(&id)),
            _ => true,
        }
    }

    pub(super) fn run_hook(&mut self, step: &Step, action: &HookAction, group: &mut Group) {
        let command = is_command(&step.action);
        let mut done = self.begin(step);
        let started = Instant::now();
        if action.exec.is_empty() {
            // duply passes over a script that is not there.
            done.notes.push(step.why.clone());
            self.last = Some((step.command.clone(), 0));
            return self.end(done);
        }
        let result = self.execute(step, action);
        done.elapsed_ms = millis(started);
        done.exit_code = result.exit_code;
        done.output = result.output;
        if result.end != HookEnd::NotStarted {
            self.started.insert(step.id);
        }
        let precedes = matches!(action.moment.as_str(), "before" | "pre");
        let message = result.message.unwrap_or_default();
        match result.end {
            HookEnd::Done => done.status = StepStatus::Done,
            HookEnd::Deferred if precedes => {
                done.status = StepStatus::Deferred;
                done.notes.push(message);
                self.deferred = true;
                group.blocked = true;
            }
            HookEnd::Interrupted => {
                done.status = StepStatus::Interrupted;
                done.failure = Some(Failure {
                    kind: Some(ErrorKind::Interrupted),
                    message,
                    hint: None,
                });
                group.blocked |= precedes;
            }
            _ => match action.on_failure {
                OnFailure::Abort => {
                    done.status = StepStatus::Failed;
                    done.failure = Some(Failure {
                        kind: None,
                        message,
                        hint: None,
                    });
                    group.blocked |= precedes;
                }
                OnFailure::Warn => {
                    self.runner.monitor.note(Level::Warning, &message);
                    done.status = StepStatus::Warning;
                    done.notes.push(message);
                }
                OnFailure::Ignore => {
                    done.status = StepStatus::Done;
                    let text = format!("{message}; ignored");
                    self.runner.monitor.note(Level::Notice, &text);
                    done.notes.push(text);
                }
            },
        }
        let failed = matches!(done.status, StepStatus::Failed | StepStatus::Interrupted);
        if command || (failed && precedes) {
            let code = if failed {
                done.exit_code.filter(|c| *c != 0).unwrap_or(1)
            } else {
                0
            };
            self.last = Some((step.command.clone(), code));
        }
        if failed && precedes {
            group.course = group.course.max(Some(Course::Failed));
        }
        self.end(done);
    }

    /// Gives the hook its environment and runs it.
    fn execute(&mut self, step: &Step, action: &HookAction) -> hook::HookResult {
        let runner = self.runner;
        let not_started = |message: String| hook::HookResult {
            end: HookEnd::NotStarted,
            exit_code: None,
            output: Vec::new(),
            message: Some(message),
        };
        let outcome = match self.outcome_file() {
            Ok(file) => file,
            Err(e) => return not_started(format!("cannot write the outcome for a hook: {e}")),
        };
        let position = self.commands.iter().position(|(id, ..)| *id >= step.id);
        let own = position.filter(|i| self.commands[*i].0 == step.id);
        let next = if own.is_some() {
            position.map(|i| i + 1)
        } else {
            position
        }
        .and_then(|i| self.commands.get(i));
        let word = |when: When| match when {
            When::IfOk => Some("and"),
            When::IfFailed => Some("or"),
            When::Always | When::IfReady => None,
        };
        let place = Place {
            previous: self.last.clone(),
            next: next.map(|(_, command, _)| command.clone()),
            condition: own.and_then(|i| word(self.commands[i].2)),
            next_condition: next.and_then(|(_, _, when)| word(*when)),
        };
        let now = i128::from((runner.clock)().as_secs()) * 1_000_000_000;
        let variables = hook::variables(runner.facts, &place, now, outcome.path());
        let script;
        let exec = match (action.moment.as_str(), action.exec.as_slice()) {
            ("pre" | "post", [file]) => {
                script = hook::script(Path::new(file));
                &script
            }
            _ => &action.exec,
        };
        let hook = Hook {
            exec,
            directory: Some(&runner.facts.directory)
                .filter(|d| d.is_dir())
                .map(|d| d.as_path()),
            variables: &variables,
            withheld: runner.withheld,
            timeout: action.timeout.map(Duration::from_secs),
            protective: is_protective(&step.action),
        };
        hook::run(&hook, runner.cancel, &mut |line| {
            runner.monitor.hook_line(line)
        })
    }

    /// The outcome so far in a file only its owner may read.
    fn outcome_file(&mut self) -> std::io::Result<tempfile::NamedTempFile> {
        self.outcome.ended = (self.runner.clock)().max(self.outcome.started);
        self.outcome.verdict = verdict(&self.outcome);
        let mut file = tempfile::Builder::new()
            .prefix("dupr-outcome-")
            .tempfile_in(self.runner.temp_dir)?;
        serde_json::to_writer(&mut file, &self.outcome)?;
        file.flush()?;
        Ok(file)
    }
}

/// The commands of a plan in order; the first of a group takes over the condition of the group.
pub(super) fn flatten(
    nodes: &[Node],
    outer: Option<When>,
    commands: &mut Vec<(u32, String, When)>,
) {
    let mut outer = outer;
    for node in nodes {
        let when = outer.filter(|o| *o != When::Always).unwrap_or(node.when);
        match &node.item {
            Item::Group(inner) => flatten(inner, Some(when), commands),
            Item::Step(step) if is_command(&step.action) => {
                commands.push((step.id, step.command.clone(), when))
            }
            // A hook in front of the first command leaves the condition to that.
            Item::Step(_) => continue,
        }
        outer = None;
    }
}
