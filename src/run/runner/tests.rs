//! Walks of small plans with scripted commands and real hooks.

use super::*;
use crate::engine::monitor::{Problem, ProblemKind, Silent};
use crate::engine::path::PathIndex;
use crate::engine::stats::RestoreStats;
use crate::plan::{HookAction, OnFailure};
use std::collections::HashMap;
use std::sync::Mutex;

/// Commands that end as told; a list gives the ends of several attempts. What was done is kept.
#[derive(Default)]
struct Scripted {
    ends: HashMap<u32, Vec<Option<ErrorKind>>>,
    problems: HashSet<u32>,
    differences: HashSet<u32>,
    lost: HashSet<u32>,
    cancel_in: Option<(u32, Cancel)>,
    done: Mutex<Vec<(u32, u32)>>,
}

impl Actions for Scripted {
    fn act(
        &self,
        step: &Step,
        attempt: u32,
        done: &mut StepOutcome,
        cx: &Context<'_>,
    ) -> Result<()> {
        self.done.lock().unwrap().push((step.id, attempt));
        if self.problems.contains(&step.id) {
            cx.monitor.problem(Problem::new(
                ProblemKind::Unreadable,
                &PathIndex::root(),
                "permission denied",
            ));
        }
        if self.lost.contains(&step.id) {
            cx.monitor.problem(Problem::new(
                ProblemKind::Lost,
                &PathIndex::root(),
                "volume 3 is missing",
            ));
        }
        if self.differences.contains(&step.id) {
            done.restore = Some(RestoreStats {
                differences: 2,
                ..RestoreStats::default()
            });
        }
        if let Some((id, cancel)) = &self.cancel_in
            && *id == step.id
        {
            cancel.request();
            return Err(Error::new(
                ErrorKind::Interrupted,
                "interrupted by a signal",
            ));
        }
        let ends = self.ends.get(&step.id);
        match ends
            .and_then(|e| e.get(attempt as usize).or(e.last()))
            .copied()
            .flatten()
        {
            Some(kind) => Err(Error::new(kind, "scripted").with_hint("try something else")),
            None => Ok(()),
        }
    }
}

fn step(id: u32, command: &str, action: Action) -> Item {
    Item::Step(Step {
        id,
        command: command.into(),
        action,
        why: String::new(),
    })
}

fn command(when: When, id: u32) -> Node {
    Node {
        when,
        item: step(id, &format!("cmd{id}"), Action::Sync),
    }
}

fn hook_of(id: u32, moment: &str, script: &str) -> HookAction {
    let _ = id;
    HookAction {
        moment: moment.into(),
        exec: vec!["sh".into(), "-c".into(), script.into()],
        timeout: None,
        on_failure: OnFailure::Abort,
        undo_of: None,
    }
}

fn hook(id: u32, moment: &str, script: &str) -> Node {
    Node {
        when: When::Always,
        item: step(id, moment, Action::Hook(hook_of(id, moment, script))),
    }
}

fn undo(id: u32, of: u32, script: &str) -> Node {
    let action = HookAction {
        undo_of: Some(of),
        ..hook_of(id, "undo", script)
    };
    Node {
        when: When::Always,
        item: step(id, "undo", Action::Hook(action)),
    }
}

fn group(when: When, nodes: Vec<Node>) -> Node {
    Node {
        when,
        item: Item::Group(nodes),
    }
}

fn run_with(nodes: Vec<Node>, actions: &Scripted, cancel: &Cancel) -> Outcome {
    let plan = Plan {
        schema: 1,
        profile: "home".into(),
        batch: "test".into(),
        now: Timestamp(1000),
        target: "file:///b".into(),
        lock: None,
        nodes,
        reports: Vec::new(),
        notes: Vec::new(),
    };
    let temp = tempfile::tempdir().unwrap();
    Runner {
        actions,
        facts: &ProfileFacts {
            name: "home".into(),
            ..ProfileFacts::default()
        },
        withheld: &[],
        retries: &Retries {
            max: 2,
            wait: Duration::ZERO,
        },
        monitor: &Silent,
        cancel,
        clock: &|| Timestamp(1000),
        threads: 1,
        temp_dir: temp.path(),
        host: "nas1",
        next_due: None,
    }
    .run(&plan)
}

fn run(nodes: Vec<Node>, actions: &Scripted) -> Outcome {
    run_with(nodes, actions, &Cancel::new())
}

fn statuses(outcome: &Outcome) -> Vec<(u32, StepStatus)> {
    outcome.steps.iter().map(|s| (s.id, s.status)).collect()
}

fn failing(ids: &[u32]) -> Scripted {
    Scripted {
        ends: ids
            .iter()
            .map(|id| (*id, vec![Some(ErrorKind::Io)]))
            .collect(),
        ..Scripted::default()
    }
}

use StepStatus::{Deferred, Done, Failed, Interrupted, Skipped, Warning};

#[test]
fn conditions_look_at_the_last_command_that_really_ran() {
    let nodes = vec![
        command(When::Always, 1),
        command(When::IfFailed, 2),
        command(When::IfOk, 3),
        group(When::IfFailed, vec![command(When::Always, 4)]),
        command(When::IfOk, 5),
    ];
    let outcome = run(nodes.clone(), &Scripted::default());
    assert_eq!(
        statuses(&outcome),
        [(1, Done), (2, Skipped), (3, Done), (4, Skipped), (5, Done)]
    );
    assert_eq!(outcome.verdict, Verdict::Success);
    let outcome = run(nodes, &failing(&[1]));
    assert_eq!(
        statuses(&outcome),
        [(1, Failed), (2, Done), (3, Done), (4, Skipped), (5, Done)]
    );
    assert_eq!(outcome.verdict, Verdict::Failed);
    assert_eq!(
        outcome.steps[0].failure.as_ref().unwrap().hint.as_deref(),
        Some("try something else")
    );
}

#[test]
fn a_group_has_no_status_of_its_own() {
    let nodes = vec![
        group(
            When::Always,
            vec![command(When::Always, 1), command(When::Always, 2)],
        ),
        command(When::IfOk, 3),
    ];
    assert_eq!(statuses(&run(nodes, &failing(&[1])))[2], (3, Done));
}

#[test]
fn a_failed_before_hook_keeps_its_command_from_running_and_error_and_finally_still_run() {
    let nodes = vec![
        group(
            When::Always,
            vec![
                hook(1, "before", "exit 3"),
                command(When::IfReady, 2),
                hook(3, "after", "true"),
                hook(4, "success", "true"),
                hook(5, "error", "true"),
                undo(6, 1, "true"),
            ],
        ),
        command(When::Always, 7),
        hook(8, "finally", "true"),
    ];
    let actions = Scripted::default();
    let outcome = run(nodes, &actions);
    assert_eq!(
        statuses(&outcome),
        [
            (1, Failed),
            (2, Skipped),
            (5, Done),
            (6, Done),
            (7, Done),
            (8, Done)
        ]
    );
    assert_eq!(outcome.verdict, Verdict::Failed);
    assert_eq!(outcome.steps[0].exit_code, Some(3));
    assert_eq!(outcome.steps[0].failure.as_ref().unwrap().kind, None);
    assert_eq!(*actions.done.lock().unwrap(), [(7, 0)]);
}

#[test]
fn a_hook_that_only_warns_stops_nothing() {
    let mut warn = hook(1, "before", "exit 1");
    if let Item::Step(Step {
        action: Action::Hook(h),
        ..
    }) = &mut warn.item
    {
        h.on_failure = OnFailure::Warn;
    }
    let outcome = run(vec![warn, command(When::IfReady, 2)], &Scripted::default());
    assert_eq!(statuses(&outcome), [(1, Warning), (2, Done)]);
    assert_eq!(outcome.verdict, Verdict::Warning);
}

#[test]
fn hooks_around_a_command_follow_how_it_went() {
    let around = |id| {
        vec![
            command(When::IfReady, id),
            hook(10, "after", "true"),
            hook(11, "success", "true"),
            hook(12, "warning", "true"),
            hook(13, "error", "true"),
        ]
    };
    let ran = |o: &Outcome| o.steps.iter().skip(1).map(|s| s.id).collect::<Vec<_>>();
    assert_eq!(ran(&run(around(1), &Scripted::default())), [10, 11]);
    assert_eq!(ran(&run(around(1), &failing(&[1]))), [10, 13]);
    let problems = Scripted {
        problems: HashSet::from([1]),
        ..Scripted::default()
    };
    let outcome = run(around(1), &problems);
    assert_eq!(ran(&outcome), [10, 11, 12]);
    assert_eq!(
        (outcome.verdict, outcome.steps[0].problem_count),
        (Verdict::Warning, 1)
    );
}

#[test]
fn exit_75_puts_the_run_off_and_undo_still_runs() {
    let nodes = vec![
        hook(1, "before", "echo on battery; exit 75"),
        command(When::IfReady, 2),
        command(When::Always, 3),
        undo(4, 1, "true"),
    ];
    let outcome = run(nodes, &Scripted::default());
    assert_eq!(
        statuses(&outcome),
        [(1, Deferred), (2, Deferred), (3, Deferred), (4, Done)]
    );
    assert_eq!(outcome.verdict, Verdict::Deferred);
    assert_eq!(outcome.steps[0].output, ["on battery"]);
}

#[test]
fn after_a_signal_nothing_begins_but_what_puts_things_right() {
    let cancel = Cancel::new();
    let actions = Scripted {
        cancel_in: Some((2, cancel.clone())),
        ..Scripted::default()
    };
    let nodes = vec![
        hook(1, "before", "true"),
        command(When::IfReady, 2),
        undo(3, 1, "echo started again"),
        command(When::Always, 4),
        hook(5, "success", "true"),
        hook(6, "finally", "true"),
    ];
    let outcome = run_with(nodes, &actions, &cancel);
    assert_eq!(
        statuses(&outcome),
        [
            (1, Done),
            (2, Interrupted),
            (3, Done),
            (4, Interrupted),
            (6, Done)
        ]
    );
    assert_eq!(outcome.steps[2].output, ["started again"]);
    assert_eq!(outcome.verdict, Verdict::Interrupted);
}

#[test]
fn a_hook_that_never_started_is_not_undone() {
    let mut missing = hook(1, "before", "");
    if let Item::Step(Step {
        action: Action::Hook(h),
        ..
    }) = &mut missing.item
    {
        h.exec = vec!["/nonexistent".into()];
    }
    let outcome = run(
        vec![missing, command(When::IfReady, 2), undo(3, 1, "true")],
        &Scripted::default(),
    );
    assert_eq!(statuses(&outcome), [(1, Failed), (2, Skipped)]);
}

#[test]
fn network_trouble_is_tried_again_and_a_wrong_key_is_not() {
    let ends = HashMap::from([
        (
            1,
            vec![
                Some(ErrorKind::Unreachable),
                Some(ErrorKind::Unreachable),
                None,
            ],
        ),
        (2, vec![Some(ErrorKind::WrongKey)]),
        (3, vec![Some(ErrorKind::Unreachable)]),
    ]);
    let actions = Scripted {
        ends,
        ..Scripted::default()
    };
    let nodes = vec![
        command(When::Always, 1),
        command(When::Always, 2),
        command(When::Always, 3),
    ];
    let outcome = run(nodes, &actions);
    assert_eq!(statuses(&outcome), [(1, Done), (2, Failed), (3, Failed)]);
    assert_eq!(
        *actions.done.lock().unwrap(),
        [(1, 0), (1, 1), (1, 2), (2, 0), (3, 0), (3, 1), (3, 2)]
    );
}

#[test]
fn lost_entries_are_damage_and_not_only_a_problem() {
    let actions = Scripted {
        lost: HashSet::from([1]),
        ..Scripted::default()
    };
    let outcome = run(vec![command(When::Always, 1)], &actions);
    assert_eq!(outcome.verdict, Verdict::Failed);
    assert_eq!(
        outcome.steps[0].failure.as_ref().unwrap().kind,
        Some(ErrorKind::Corrupt)
    );
}

#[test]
fn a_script_that_is_not_there_is_passed_over() {
    let mut pre = hook(1, "pre", "");
    if let Item::Step(Step {
        action: Action::Hook(h),
        ..
    }) = &mut pre.item
    {
        h.exec.clear();
    }
    assert_eq!(
        statuses(&run(
            vec![pre, command(When::IfOk, 2)],
            &Scripted::default()
        )),
        [(1, Done), (2, Done)]
    );
}

#[test]
fn differences_are_a_verdict_of_their_own_and_count_as_failed() {
    let actions = Scripted {
        differences: HashSet::from([1]),
        ..Scripted::default()
    };
    let outcome = run(
        vec![command(When::Always, 1), command(When::IfFailed, 2)],
        &actions,
    );
    assert_eq!(statuses(&outcome), [(1, Failed), (2, Done)]);
    assert_eq!(outcome.verdict, Verdict::Differences);
}

#[test]
fn hooks_are_told_where_they_stand() {
    let show = "echo $CMD_PREV $CMD_ERR $CMD_NEXT $CND_PREV $CND_NEXT $PROFILE";
    let pre = Node {
        when: When::Always,
        ..hook(1, "pre", show)
    };
    let post = Node {
        when: When::IfFailed,
        ..hook(4, "post", show)
    };
    let nodes = vec![
        group(When::Always, vec![pre, command(When::IfOk, 2)]),
        hook(3, "before", show),
        group(When::IfFailed, vec![post]),
        hook(
            5,
            "finally",
            "grep -o '\"verdict\":\"[a-z]*\"' $DUPR_OUTCOME; stat -c %a $DUPR_OUTCOME",
        ),
    ];
    let outcome = run(nodes, &failing(&[2]));
    assert_eq!(outcome.steps[0].output, ["START cmd2 and home"]);
    assert_eq!(outcome.steps[2].output, ["cmd2 1 post or home"]);
    assert_eq!(outcome.steps[3].output, ["cmd2 1 END or home"]);
    assert_eq!(outcome.steps[4].output, ["\"verdict\":\"failed\"", "600"]);
}
