//! Checks what happens around a run: hooks, and scripts beside the profile.

use super::Checker;
use crate::profile::Age;
use crate::profile::error::nearest;
use crate::profile::file::{HookFile, ProfileFile};
use crate::profile::settings::{HOOKED_WORDS, Hook, HookMoment, HookScope, OnFailure};
use std::path::Path;

impl Checker<'_> {
    pub(super) fn hooks(&mut self, file: &ProfileFile) -> Vec<Hook> {
        let mut hooks = Vec::new();
        for (i, entry) in file.hook.0.iter().enumerate() {
            let name = entry.name.as_deref().unwrap_or_default();
            let twice = |other: &HookFile| other.name == entry.name;
            if entry.name.is_some() && file.hook.0.iter().take(i).any(twice) {
                self.problem(
                    &format!("hook.{i}.name"),
                    format!("two hooks are called {name}"),
                    Some("give each hook a name of its own, or none".to_owned()),
                );
            }
            if entry.disabled {
                let there = entry.on.is_some() || !entry.exec.is_empty();
                self.taken_away(&format!("hook.{i}"), "hook", name, there);
                continue;
            }
            hooks.extend(self.hook(i, entry));
        }
        for moment in [HookMoment::Pre, HookMoment::Post] {
            if !hooks.iter().any(|h| h.on == moment) {
                hooks.extend(self.script(moment));
            }
        }
        hooks
    }

    /// Complains of an entry that takes away what is not there: all that is said of it is its name.
    pub(super) fn taken_away(&mut self, key: &str, what: &str, name: &str, is_there: bool) {
        if is_there || self.known_bad(key) {
            return;
        }
        self.problem(
            &format!("{key}.disabled"),
            format!("no inherited {what} is called {name:?}: nothing is taken away"),
            Some(format!(
                "name one that is inherited, or leave this {what} out"
            )),
        );
    }

    fn hook(&mut self, i: usize, file: &HookFile) -> Option<Hook> {
        let key = format!("hook.{i}");
        if self.excused(&key) {
            return None;
        }
        let mut commands = Vec::new();
        for (n, word) in file.commands.0.iter().enumerate() {
            let lower = word.to_lowercase();
            if !HOOKED_WORDS.contains(&lower.as_str()) {
                let help = nearest(&lower, HOOKED_WORDS.iter().copied())
                    .map(|w| format!("did you mean {w}?"));
                let help = help.unwrap_or_else(|| format!("possible: {}", HOOKED_WORDS.join(", ")));
                self.problem(
                    &format!("{key}.commands.{n}"),
                    format!("{word:?} is not a command hooks belong to"),
                    Some(help),
                );
            }
            commands.push(lower);
        }
        if file.exec.is_empty() || file.undo.as_ref().is_some_and(Vec::is_empty) {
            self.problem(
                &key,
                "the hook runs nothing",
                Some("write exec = [\"program\", \"argument\"]".to_owned()),
            );
            return None;
        }
        let Some(on) = file.on else {
            let help = "write on = \"before\", \"after\", \"success\", \"warning\", \"error\" or \"finally\"".to_owned();
            self.problem(&key, "the hook says no moment", Some(help));
            return None;
        };
        if matches!(on, HookMoment::Pre | HookMoment::Post) && !commands.is_empty() {
            let help = format!("the batch word {} runs it; leave commands out", on.word());
            self.problem(
                &format!("{key}.commands"),
                format!("{} belongs to no command", on.word()),
                Some(help),
            );
        }
        if file.undo.is_some() && !matches!(on, HookMoment::Before | HookMoment::Pre) {
            self.problem(
                &format!("{key}.undo"),
                "only what runs before a command can be undone",
                "leave undo out, or write on = \"before\"".to_owned(),
            );
        }
        if matches!(on, HookMoment::Pre | HookMoment::Post) && file.scope != HookScope::Target {
            let help = format!("the batch word {} runs it; leave scope out", on.word());
            self.problem(
                &format!("{key}.scope"),
                format!("{} belongs to the batch of each target", on.word()),
                Some(help),
            );
        }
        Some(Hook {
            on,
            commands,
            scope: file.scope,
            exec: file.exec.0.clone(),
            undo: file.undo.clone(),
            timeout: file.timeout.as_ref().map(Age::duration),
            on_failure: file.on_failure,
        })
    }

    /// `pre` and `post` beside `profile.toml`, as in duply. Not beside `NAME.toml`, whose directory is shared.
    fn script(&self, moment: HookMoment) -> Option<Hook> {
        let own_folder = self
            .loaded
            .path
            .file_name()
            .is_some_and(|n| n == "profile.toml");
        if !self.around.look_at_files || !own_folder {
            return None;
        }
        let dir = self
            .around
            .current_dir
            .join(self.loaded.path.parent().unwrap_or(Path::new("")));
        let path = dir.join(moment.word());
        // One that may not be executed is run by bash.
        path.is_file().then(|| Hook {
            on: moment,
            commands: Vec::new(),
            scope: HookScope::Target,
            exec: vec![path.display().to_string()],
            undo: None,
            timeout: None,
            on_failure: OnFailure::Abort,
        })
    }
}
