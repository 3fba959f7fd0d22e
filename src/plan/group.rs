//! The plan of a group: its hooks around the runs of its members. Pure.

use super::planner::SCHEMA;
use super::{Action, HookAction, Item, Node, Plan, Step, When};
use crate::engine::time::Timestamp;
use crate::profile::{Group, Hook, HookMoment};

/// Moments of hooks behind the members, in order; what is undone comes before the last.
const AFTER: [HookMoment; 4] = [
    HookMoment::After,
    HookMoment::Success,
    HookMoment::Warning,
    HookMoment::Error,
];

/// What running `batch` for the profiles of a group comes to. Each member has a plan of its own, made when it runs.
pub fn plan(group: &Group, batch: &str, profiles: &[String], now: Timestamp) -> Plan {
    let parallel = u32::try_from(group.parallel).unwrap_or(u32::MAX);
    let hooks: Vec<&Hook> = group.hooks.iter().collect();
    Plan {
        schema: SCHEMA,
        profile: group.name.clone(),
        batch: batch.to_owned(),
        now,
        target: profiles.join(", "),
        lock: None,
        nodes: nodes(&hooks, "group", profiles, parallel),
        reports: group.reports.lines(),
        notes: Vec::new(),
    }
}

/// What hooks around the jobs of several targets come to. `names` are those of the jobs, each with a plan of its own.
pub fn around(name: &str, hooks: &[&Hook], batch: &str, names: &[String], now: Timestamp) -> Plan {
    Plan {
        schema: SCHEMA,
        profile: name.to_owned(),
        batch: batch.to_owned(),
        now,
        target: names.join(", "),
        lock: None,
        nodes: nodes(hooks, "run", names, 1),
        reports: Vec::new(),
        notes: Vec::new(),
    }
}

/// Hooks around the step that runs the members.
fn nodes(hooks: &[&Hook], word: &'static str, members: &[String], parallel: u32) -> Vec<Node> {
    let mut list = List(Vec::new(), word);
    let mut undo: Vec<(u32, &Hook)> = Vec::new();
    let of = |moment| hooks.iter().copied().filter(move |h| h.on == moment);
    for hook in of(HookMoment::Before) {
        let id = list.hook(hook, "before", &hook.exec, None);
        if hook.undo.is_some() {
            undo.push((id, hook));
        }
    }
    let ready = if list.0.is_empty() {
        When::Always
    } else {
        When::IfReady
    };
    let action = Action::Members {
        profiles: members.to_vec(),
        parallel,
    };
    list.push(action, ready);
    for moment in AFTER {
        for hook in of(moment) {
            list.hook(hook, moment.word(), &hook.exec, None);
        }
    }
    for (id, hook) in undo.into_iter().rev() {
        list.hook(
            hook,
            "undo",
            hook.undo.as_deref().unwrap_or_default(),
            Some(id),
        );
    }
    for hook in of(HookMoment::Finally) {
        list.hook(hook, "finally", &hook.exec, None);
    }
    list.0
}

/// Nodes so far, and the word their steps belong to.
struct List(Vec<Node>, &'static str);

impl List {
    fn hook(&mut self, hook: &Hook, moment: &str, exec: &[String], undo_of: Option<u32>) -> u32 {
        let action = HookAction {
            moment: moment.to_owned(),
            exec: exec.to_vec(),
            timeout: hook.timeout.map(|t| t.as_secs()),
            on_failure: hook.on_failure,
            undo_of,
        };
        self.push(Action::Hook(action), When::Always)
    }

    fn push(&mut self, action: Action, when: When) -> u32 {
        let id = u32::try_from(self.0.len() + 1).unwrap_or(u32::MAX);
        self.0.push(Node {
            when,
            item: Item::Step(Step {
                id,
                command: self.1.to_owned(),
                action,
                why: String::new(),
            }),
        });
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::render;
    use crate::profile::{Groups, Surroundings};

    #[test]
    fn hooks_stand_around_the_members_and_what_was_done_is_undone() {
        let dir = tempfile::tempdir().unwrap();
        let text = "[nightly]\nprofiles = [\"home\", \"www\"]\nparallel = 2\n\
                    [[nightly.hook]]\non = \"finally\"\nexec = [\"last\"]\n\
                    [[nightly.hook]]\non = \"before\"\nexec = [\"mount\", \"/b\"]\nundo = [\"umount\", \"/b\"]\n\
                    [[nightly.hook]]\non = \"error\"\nexec = [\"alarm\"]\n";
        std::fs::write(dir.path().join("groups.toml"), text).unwrap();
        let groups = Groups::read(&[dir.path().to_owned()]).unwrap();
        let group = groups
            .group("nightly", &Surroundings::default())
            .unwrap()
            .unwrap();
        let profiles = ["home".to_owned(), "www".to_owned()];
        let plan = plan(&group, "backup", &profiles, Timestamp(0));
        let shown = render::text(&plan, false);
        let words: Vec<String> = shown
            .lines()
            .skip(1)
            .map(|l| l.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        assert_eq!(
            words,
            [
                "1 hook before mount /b",
                "2 run home, www, 2 at a time",
                "3 hook error alarm",
                "4 hook undo umount /b",
                "5 hook finally last",
            ]
        );
    }
}
