//! Checks what a group has beside its members: hooks around all of them, and one report.

use super::Checker;
use crate::profile::error::Errors;
use crate::profile::load::{Loaded, Surroundings};
use crate::profile::reports::Reports;
use crate::profile::settings::{Hook, HookMoment, HookScope};

impl Loaded {
    /// Hooks and reports of a group, whose table was read as the part of a profile they are.
    ///
    /// # Errors
    /// Everything that is wrong with them, by place.
    pub(in crate::profile) fn check_group(
        &self,
        around: &Surroundings,
    ) -> Result<(Vec<Hook>, Reports), Errors> {
        let mut checker = Checker {
            loaded: self,
            around,
            problems: self.problems.clone(),
        };
        checker.not_available();
        let hooks = checker.hooks(&self.file);
        for (i, hook) in self.file.hook.0.iter().enumerate() {
            if !hook.commands.is_empty() {
                let help = "leave commands out: hooks of a group stand around all of it".to_owned();
                let key = format!("hook.{i}.commands");
                checker.problem(&key, "a group has no commands of its own", Some(help));
            }
            if hook.scope != HookScope::Target {
                let help = "leave scope out: hooks of a group stand around all of it".to_owned();
                let key = format!("hook.{i}.scope");
                checker.problem(&key, "a group has no targets of its own", Some(help));
            }
            if matches!(hook.on, Some(HookMoment::Pre | HookMoment::Post)) {
                let help = Some("write before or after".to_owned());
                let key = format!("hook.{i}.on");
                checker.problem(&key, "pre and post belong to profiles", help);
            }
        }
        let reports = checker.reports(&self.file.report, self.file.allow_inline_secrets);
        if checker.problems.is_empty() {
            return Ok((hooks, reports));
        }
        Err(self.errors(checker.problems))
    }
}
