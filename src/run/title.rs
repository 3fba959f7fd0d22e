//! Steps in a few words, for live lines, outcomes and reports.

use crate::plan::{Action, BackupMode, CheckKind, Step};

/// What a step does: `backup full`, `hook before: docker compose stop db`.
pub fn title(step: &Step) -> String {
    match &step.action {
        Action::Hook(hook) => format!("hook {}: {}", hook.moment, hook.exec.join(" ")),
        Action::Backup(backup) => match backup.mode {
            BackupMode::Full => "backup full".to_owned(),
            BackupMode::Incremental => "backup incremental".to_owned(),
            BackupMode::Resume { set, volume } => {
                format!("backup: resume the {set} at volume {volume}")
            }
        },
        Action::Restore {
            path, destination, ..
        } if path.as_os_str().is_empty() => {
            format!("restore to {}", destination.display())
        }
        Action::Restore {
            path, destination, ..
        } => format!("fetch {} to {}", path.display(), destination.display()),
        Action::Verify { path, compare, .. } => {
            let what = if *compare {
                "verify, comparing contents"
            } else {
                "verify"
            };
            if path.as_os_str().is_empty() {
                what.to_owned()
            } else {
                format!("{what} of {}", path.display())
            }
        }
        Action::List { .. } => "list".to_owned(),
        Action::Status => "status".to_owned(),
        Action::Remove(remove) if remove.sets.is_empty() => {
            format!("remove by {}: nothing", remove.rule)
        }
        Action::Remove(remove) if remove.sets.len() == 1 => {
            format!("remove by {}: 1 set", remove.rule)
        }
        Action::Remove(remove) => format!("remove by {}: {} sets", remove.rule, remove.sets.len()),
        Action::Cleanup { .. } => "cleanup".to_owned(),
        Action::Sync => "sync".to_owned(),
        Action::Check(CheckKind::Quick) => "check: manifests and sizes".to_owned(),
        Action::Check(CheckKind::Spot { sample_percent }) => {
            format!("check: {sample_percent}% against the source")
        }
        Action::Check(CheckKind::RestoreTest { files }) => {
            format!("check: restore of {files} files")
        }
        Action::Find { pattern } => format!("find {pattern}"),
        Action::Diff { .. } => "diff".to_owned(),
    }
}
