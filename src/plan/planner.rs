//! From profile, batch and observed facts to a plan: the one place where it is decided what a run does.
//!
//! Later steps are planned from the state earlier ones lead to. Hooks are put around the commands they name: a
//! command with hooks becomes a group of `before`, the command, `after`, `success`, `warning`, `error`, `undo`,
//! `finally`. `steps` says what each command alone comes to.

mod steps;

use super::batch::{Batch, BatchItem, BatchNode, BatchOptions, Command, Word};
use super::error::Error;
use super::state::{State, TargetState};
use super::{Action, HookAction, Item, Node, Plan, Step, When};
use crate::profile::settings::Checks;
use crate::profile::{Hook, HookMoment, HookScope, Profile, Retention};
use jiff::tz::TimeZone;

/// Version of the plan document.
pub const SCHEMA: u32 = 1;

/// Plans a batch for the first target of a profile. `zone` is that of the user, for times typed without one.
///
/// Pure: the same arguments give the same plan. The run takes place at `state.now`.
///
/// # Errors
/// What makes the batch impossible; nothing is done then.
pub fn plan(
    profile: &Profile,
    batch: &Batch,
    state: &State,
    zone: &TimeZone,
) -> Result<Plan, Error> {
    needs(batch, &profile.retention, &profile.checks)
        .map_err(|(message, hint)| Error::Usage { message, hint })?;
    if let TargetState::Unreachable(reason) = &state.target {
        return Err(Error::Unreachable(reason.clone()));
    }
    let looks = batch.commands().iter().all(|c| c.only_looks());
    let lock = (!looks).then(|| profile.backup.archive_dir.clone());
    let mut planner = Planner {
        profile,
        batch,
        zone,
        next_id: if lock.is_some() { 2 } else { 1 },
        state: state.clone(),
        before_last: state.clone(),
        made: false,
        to_undo: Vec::new(),
        notes: Vec::new(),
    };
    // Hooks of the run as a whole are not for a look at what is there.
    let nodes = if looks {
        planner.nodes(&batch.nodes)?
    } else {
        planner.surround(&[], "run", |planner| planner.nodes(&batch.nodes))?
    };
    Ok(Plan {
        schema: SCHEMA,
        profile: profile.name.clone(),
        batch: batch.text.clone(),
        now: state.now,
        target: profile.target.url.masked().to_owned(),
        lock,
        nodes,
        reports: if looks {
            Vec::new()
        } else {
            profile.reports.lines()
        },
        notes: planner.notes,
    })
}

/// Whether a profile has what a batch asks for: rules for purge, checks for check.
///
/// # Errors
/// What is missing, and what to write.
pub fn needs(
    batch: &Batch,
    retention: &Retention,
    checks: &Checks,
) -> Result<(), (String, String)> {
    let missing =
        |word: &str, key: &str, hint: &str| Err((format!("{word} needs {key}"), hint.to_owned()));
    let any = retention.keep_fulls.is_some()
        || retention.max_age.is_some()
        || retention.keep_chains_with_incrementals.is_some();
    for command in batch.commands() {
        match command {
            Command::PurgeAuto if !any => {
                return missing(
                    "purgeauto",
                    "a rule under [retention]",
                    "write keep-fulls = 6, or max-age = \"2Y\", under [retention]",
                );
            }
            Command::PurgeFull(None) if retention.keep_fulls.is_none() => {
                return missing(
                    "purgefull",
                    "keep-fulls under [retention] or a number",
                    "write keep-fulls = 3, or purgefull 3",
                );
            }
            Command::PurgeIncr(None) if retention.keep_chains_with_incrementals.is_none() => {
                let key = "keep-chains-with-incrementals under [retention] or a number";
                return missing(
                    "purgeincr",
                    key,
                    "write keep-chains-with-incrementals = 1, or purgeincr 1",
                );
            }
            Command::Check if *checks == Checks::default() => {
                return missing(
                    "check",
                    "a check under [check]",
                    "write quick = \"1W\" under [check]",
                );
            }
            _ => {}
        }
    }
    Ok(())
}

/// Whether a profile's `run.default` is a batch, and one it has the rules for.
///
/// # Errors
/// What is wrong, and what to write. See [`BatchJudge`](crate::profile::BatchJudge).
pub fn default_batch(
    text: &str,
    retention: &Retention,
    checks: &Checks,
) -> Result<(), (String, Option<String>)> {
    let batch = Batch::parse(text, &[], BatchOptions::default())
        .map_err(|error| (error.to_string(), error.help()))?;
    needs(&batch, retention, checks).map_err(|(message, help)| (message, Some(help)))
}

/// What hooks may call a command: by its own word, or by that of its family.
fn names(word: Word) -> [&'static str; 2] {
    let family = match word {
        Word::Bkp | Word::Full | Word::Incr => "backup",
        Word::PurgeFull | Word::PurgeIncr | Word::PurgeAuto => "purge",
        Word::VerifyPath => "verify",
        other => other.text(),
    };
    [word.text(), family]
}

/// Whether a batch has a command that hooks call by one of `words`.
pub fn batch_has(batch: &Batch, words: &[String]) -> bool {
    let called = |word: Word| names(word).iter().any(|n| words.iter().any(|w| w == n));
    // `backup` makes its set by `bkp`.
    let commands = batch.commands();
    let made = commands.iter().any(|c| **c == Command::Backup) && called(Word::Bkp);
    made || commands.iter().any(|c| called(c.word()))
}

struct Planner<'a> {
    profile: &'a Profile,
    batch: &'a Batch,
    zone: &'a TimeZone,
    next_id: u32,
    /// As it will be when everything planned so far has succeeded.
    state: State,
    /// As it was before the last command: what `-` plans from.
    before_last: State,
    /// Whether a set is made already.
    made: bool,
    /// Hooks that have run and are to be undone, with the number of their step.
    to_undo: Vec<(u32, &'a Hook)>,
    notes: Vec<String>,
}

impl<'a> Planner<'a> {
    fn nodes(&mut self, nodes: &[BatchNode]) -> Result<Vec<Node>, Error> {
        let undo_from = self.to_undo.len();
        let mut planned = Vec::new();
        let mut after_pre = false;
        for node in nodes {
            let alternative = node.when == When::IfFailed;
            let kept =
                alternative.then(|| (self.state.clone(), self.before_last.clone(), self.made));
            if alternative {
                self.state = self.before_last.clone();
                self.made = false;
            }
            // A `pre` that fails stops the backup after it; duply went on.
            let when = match (&node.item, node.when) {
                (
                    BatchItem::Command(Command::Bkp | Command::Full | Command::Incr),
                    When::Always,
                ) if after_pre => When::IfReady,
                (_, when) => when,
            };
            after_pre = matches!(node.item, BatchItem::Command(Command::Pre));
            match &node.item {
                BatchItem::Group(inner) => {
                    let inner = self.nodes(inner)?;
                    planned.extend(with_condition(inner, when));
                }
                BatchItem::Command(command) => planned.extend(self.command(command, when)?),
            }
            if let Some((state, before_last, made)) = kept {
                self.state = state;
                self.before_last = before_last;
                self.made = made;
            }
        }
        self.undo(undo_from, &mut planned);
        Ok(planned)
    }

    fn command(&mut self, command: &Command, when: When) -> Result<Vec<Node>, Error> {
        if !command.concerns(self.profile.origin.is_some()) {
            return Ok(Vec::new());
        }
        match command {
            Command::Backup => {
                let undo_from = self.to_undo.len();
                let mut nodes = self.hooks(HookMoment::Pre, &[], "pre");
                let first = if nodes.is_empty() {
                    When::Always
                } else {
                    When::IfReady
                };
                nodes.extend(self.wrapped(&Command::Bkp, first)?);
                nodes.extend(self.hooks(HookMoment::Post, &[], "post"));
                self.undo(undo_from, &mut nodes);
                Ok(with_condition(nodes, when))
            }
            Command::Pre | Command::Post => {
                let moment = if *command == Command::Pre {
                    HookMoment::Pre
                } else {
                    HookMoment::Post
                };
                let mut nodes = self.hooks(moment, &[], moment.word());
                if nodes.is_empty() {
                    let why = format!("the profile has no {} hook", moment.word());
                    nodes.push(self.step(moment.word(), Action::Hook(nothing(moment)), why));
                }
                Ok(with_condition(nodes, when))
            }
            other => self.wrapped(other, when),
        }
    }

    /// A command with its hooks around it.
    fn wrapped(&mut self, command: &Command, when: When) -> Result<Vec<Node>, Error> {
        let word = command.word();
        let nodes = self.surround(&names(word), word.text(), |planner| planner.steps(command))?;
        Ok(with_condition(nodes, when))
    }

    /// What `body` plans, with the hooks that name one of `words` around it; those that name none, for no words.
    fn surround(
        &mut self,
        words: &[&str],
        label: &str,
        body: impl FnOnce(&mut Self) -> Result<Vec<Node>, Error>,
    ) -> Result<Vec<Node>, Error> {
        let undo_from = self.to_undo.len();
        let mut nodes = self.hooks(HookMoment::Before, words, label);
        let guarded = !nodes.is_empty();
        let inner = body(self)?;
        let empty = inner.is_empty();
        let condition = if guarded { When::IfReady } else { When::Always };
        let rest: Vec<Node> = [
            HookMoment::After,
            HookMoment::Success,
            HookMoment::Warning,
            HookMoment::Error,
        ]
        .into_iter()
        .flat_map(|moment| self.hooks(moment, words, label))
        .collect();
        if empty {
            // Nothing to do: no reason to stop a database.
            self.to_undo.truncate(undo_from);
            return Ok(Vec::new());
        }
        nodes.extend(if guarded {
            with_condition(inner, condition)
        } else {
            inner
        });
        nodes.extend(rest);
        self.undo(undo_from, &mut nodes);
        nodes.extend(self.hooks(HookMoment::Finally, words, label));
        Ok(nodes)
    }

    /// The hooks of a moment that belong to one of `words`, as steps.
    fn hooks(&mut self, moment: HookMoment, words: &[&str], label: &str) -> Vec<Node> {
        let belongs = |hook: &&&'a Hook| {
            hook.on == moment
                && hook.scope == HookScope::Target
                && if words.is_empty() {
                    hook.commands.is_empty()
                } else {
                    hook.commands.iter().any(|c| words.contains(&c.as_str()))
                }
        };
        let all: Vec<&'a Hook> = self.profile.hooks.iter().collect();
        let hooks: Vec<&'a Hook> = all.iter().filter(belongs).copied().collect();
        let mut nodes = Vec::new();
        for hook in hooks {
            let why = match moment {
                HookMoment::Pre | HookMoment::Post => String::new(),
                _ => format!("{} {label}", moment.word()),
            };
            let action = HookAction {
                moment: moment.word().to_owned(),
                exec: hook.exec.clone(),
                timeout: hook.timeout.map(|t| t.as_secs()),
                on_failure: hook.on_failure,
                undo_of: None,
            };
            if hook.undo.is_some() {
                self.to_undo.push((self.next_id, hook));
            }
            let mut node = self.step(label, Action::Hook(action), why);
            if moment == HookMoment::After {
                node.when = When::IfReady;
            }
            nodes.push(node);
        }
        nodes
    }

    /// Undoes what was done since `from`, the last first.
    fn undo(&mut self, from: usize, nodes: &mut Vec<Node>) {
        while self.to_undo.len() > from {
            let Some((id, hook)) = self.to_undo.pop() else {
                return;
            };
            let action = HookAction {
                moment: "undo".to_owned(),
                exec: hook.undo.clone().unwrap_or_default(),
                timeout: hook.timeout.map(|t| t.as_secs()),
                on_failure: hook.on_failure,
                undo_of: Some(id),
            };
            nodes.push(self.step(
                hook.on.word(),
                Action::Hook(action),
                format!("undoes step {id}"),
            ));
        }
    }

    fn step(&mut self, command: &str, action: Action, why: impl Into<String>) -> Node {
        let id = self.next_id;
        self.next_id += 1;
        let step = Step {
            id,
            command: command.to_owned(),
            action,
            why: why.into(),
        };
        Node {
            when: When::Always,
            item: Item::Step(step),
        }
    }

    /// A step that changes what later ones see.
    fn act(&mut self, command: &str, action: Action, why: impl Into<String>) -> Node {
        self.before_last = self.state.clone();
        self.state.predict(&action);
        self.step(command, action, why)
    }
}

/// Several nodes as one, under a condition.
fn with_condition(mut nodes: Vec<Node>, when: When) -> Vec<Node> {
    if when == When::Always && nodes.len() > 1 {
        return vec![Node {
            when,
            item: Item::Group(nodes),
        }];
    }
    match nodes.as_mut_slice() {
        [] => nodes,
        [one] if one.when == When::Always => {
            one.when = when;
            nodes
        }
        _ => vec![Node {
            when,
            item: Item::Group(nodes),
        }],
    }
}

fn nothing(moment: HookMoment) -> HookAction {
    HookAction {
        moment: moment.word().to_owned(),
        exec: Vec::new(),
        timeout: None,
        on_failure: super::OnFailure::Ignore,
        undo_of: None,
    }
}
