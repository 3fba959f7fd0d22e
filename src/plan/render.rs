//! A plan as people read it, and as JSON.

use super::{Action, BackupMode, CheckKind, Item, Node, Plan, Removal, RemoveAction, Step, When};
use crate::engine::format::SetId;
use std::fmt::Write;
use std::path::Path;

/// Width of the column that says what a step does.
const WHAT: usize = 16;

/// Width of the column of what it does it to, where a reason follows.
const OBJECT: usize = 48;

/// The plan as a list of numbered steps. With `detail`, removals name every set, and what stays is listed, too.
pub fn text(plan: &Plan, detail: bool) -> String {
    let mut out = String::new();
    let title = format!("{} {}", plan.profile, plan.batch);
    let time: String = plan
        .now
        .to_rfc3339()
        .replace('T', " ")
        .chars()
        .take(16)
        .collect();
    let _ = writeln!(out, "{title:<60}  {time} UTC");
    let mut number = 1;
    if let Some(lock) = &plan.lock {
        line(
            &mut out,
            &number.to_string(),
            "lock",
            &lock.display().to_string(),
            "",
        );
        number += 1;
    }
    nodes(&mut out, plan, &plan.nodes, None, detail, &mut number);
    for report in &plan.reports {
        line(&mut out, &number.to_string(), "report", report, "");
        number += 1;
    }
    for note in &plan.notes {
        line(&mut out, "", "note", note, "");
    }
    out
}

/// The plan as one JSON document.
///
/// # Errors
/// None in practice: a plan holds nothing JSON cannot.
pub fn json(plan: &Plan) -> Result<String, serde_json::Error> {
    serde_json::to_string_pretty(plan).map(|text| text + "\n")
}

/// What a step does, in a few words: `backup full`, `hook before docker`. For progress, logs and outcomes.
pub fn title(step: &Step) -> String {
    let (what, object) = words(&step.action);
    if object.is_empty() {
        what
    } else {
        format!("{what} {object}")
    }
}

fn nodes(
    out: &mut String,
    plan: &Plan,
    list: &[Node],
    outer: Option<&'static str>,
    detail: bool,
    number: &mut u32,
) {
    for (i, node) in list.iter().enumerate() {
        let condition = match node.when {
            When::Always | When::IfReady => None,
            When::IfOk => Some("if the last command succeeded"),
            When::IfFailed => Some("if the last command failed"),
        };
        // A group's condition is that of its first step.
        let condition = condition.or(if i == 0 { outer } else { None });
        match &node.item {
            Item::Group(inner) => nodes(out, plan, inner, condition, detail, number),
            Item::Step(step) => {
                self::step(out, plan, step, condition, detail);
                *number = step.id + 1;
            }
        }
    }
}

fn step(out: &mut String, plan: &Plan, step: &Step, condition: Option<&str>, detail: bool) {
    let id = step.id.to_string();
    // The cleanup that ends a purge; its condition is not the user's.
    let condition = condition
        .filter(|_| !(step.command == "purge" && matches!(step.action, Action::Cleanup { .. })));
    let reason = |why: &str| match condition {
        Some(condition) if why.is_empty() => condition.to_owned(),
        Some(condition) => format!("{why}; {condition}"),
        None => why.to_owned(),
    };
    if let Action::Remove(remove) = &step.action {
        return removals(out, &id, remove, &reason(""), detail);
    }
    let (what, object) = words(&step.action);
    match &step.action {
        Action::Backup(backup) => {
            line(
                out,
                &id,
                &what,
                &reason(&step.why),
                &format!("→ {}", plan.target),
            );
            if let Some(kind) = backup.snapshot {
                let kind = format!("{kind:?}").to_lowercase();
                line(out, "", "  from snapshot", &kind, "");
            }
            for dump in &backup.dumps {
                line(out, "", "  dump", dump, "");
            }
        }
        Action::Hook(_)
        | Action::Check(_)
        | Action::Find { .. }
        | Action::Versions { .. }
        | Action::Diff { .. } => {
            let why =
                if matches!(step.action, Action::Hook(_)) && !step.why.starts_with("the profile") {
                    ""
                } else {
                    &step.why
                };
            line(out, &id, &what, &object, &reason(why));
        }
        Action::Cleanup { force } => {
            let listed = !force && !step.why.starts_with("nothing");
            line(
                out,
                &id,
                &what,
                &reason(&step.why),
                if listed { NOT_FORCED } else { "" },
            );
        }
        Action::Replicate(replica) => {
            line(out, &id, &what, &object, &reason(&step.why));
            for set in replica.sets.iter().filter(|_| detail) {
                line(out, "", "", &format!("  {set}"), "");
            }
        }
        _ if object.is_empty() => line(out, &id, &what, &reason(&step.why), ""),
        _ => line(out, &id, &what, &object, &reason(&step.why)),
    }
}

const NOT_FORCED: &str = "only listed: needs --force, or force = true under [retention]";

fn removals(out: &mut String, id: &str, remove: &RemoveAction, condition: &str, detail: bool) {
    if remove.sets.is_empty() {
        line(
            out,
            id,
            "remove",
            &format!("nothing ({})", remove.rule),
            condition,
        );
    }
    let mut first = true;
    let mut rest = remove.sets.as_slice();
    while let Some(head) = rest.first() {
        let len = rest
            .iter()
            .take_while(|r| r.chain == head.chain && r.reason == head.reason)
            .count();
        let (group, after) = rest.split_at(len);
        rest = after;
        let mut reason = head.reason.clone();
        if first && !condition.is_empty() {
            reason = format!("{reason}; {condition}");
        }
        line(
            out,
            if first { id } else { "" },
            if first { "remove" } else { "" },
            &sets(group),
            &reason,
        );
        first = false;
        if detail {
            for one in group {
                line(
                    out,
                    "",
                    "",
                    &format!("  {} ({})", one.set, bytes(one.bytes)),
                    "",
                );
            }
        }
    }
    if !remove.sets.is_empty() && !remove.force {
        line(out, "", "", NOT_FORCED, "");
    }
    if detail {
        for kept in &remove.kept {
            line(
                out,
                "",
                "keep",
                &format!("{} ({})", kept.set, bytes(kept.bytes)),
                &kept.reason,
            );
        }
    }
}

/// Sets of one chain in a few words: `chain 2025-10-01 (1 full, 30 incrementals, 41 GiB)`.
fn sets(group: &[Removal]) -> String {
    let fulls = group.iter().filter(|r| r.set.is_full()).count();
    let incrementals = group.len() - fulls;
    let size = bytes(group.iter().map(|r| r.bytes).sum());
    let day: String = group.first().map_or(String::new(), |r| {
        r.chain.to_rfc3339().chars().take(10).collect()
    });
    let some = |n: usize| format!("{n} incremental{}", if n == 1 { "" } else { "s" });
    match (fulls, incrementals) {
        (0, n) => format!("{} of chain {day} ({size})", some(n)),
        (_, 0) => format!("chain {day} (1 full, {size})"),
        (_, n) => format!("chain {day} (1 full, {}, {size})", some(n)),
    }
}

/// What an action does, and what to.
fn words(action: &Action) -> (String, String) {
    let at = |time: &Option<crate::engine::time::Timestamp>| {
        time.map_or(String::new(), |t| t.to_string())
    };
    let place = |path: &Path| {
        if path.as_os_str().is_empty() {
            "everything".to_owned()
        } else {
            path.display().to_string()
        }
    };
    match action {
        Action::Hook(hook) => {
            let what = match hook.moment.as_str() {
                moment @ ("pre" | "post") => moment.to_owned(),
                moment => format!("hook {moment}"),
            };
            (what, hook.exec.join(" "))
        }
        Action::Backup(backup) => match backup.mode {
            BackupMode::Full => ("backup full".into(), String::new()),
            BackupMode::Incremental => ("backup incr".into(), String::new()),
            BackupMode::Resume {
                set: SetId::Full { .. },
                ..
            } => ("resume full".into(), String::new()),
            BackupMode::Resume { .. } => ("resume incr".into(), String::new()),
        },
        Action::Restore {
            path, destination, ..
        } => (
            "restore".into(),
            format!("{} → {}", place(path), destination.display()),
        ),
        Action::Verify {
            path,
            compare: true,
            ..
        } => ("verify".into(), format!("{}, compared", place(path))),
        Action::Verify { path, .. } => ("verify".into(), place(path)),
        Action::List { .. } => ("list".into(), String::new()),
        Action::Status => ("status".into(), String::new()),
        Action::Remove(remove) => {
            let what = match remove.sets.len() {
                0 => "nothing".to_owned(),
                1 => "1 set".to_owned(),
                n => format!("{n} sets"),
            };
            ("remove".into(), what)
        }
        Action::Cleanup { .. } => ("cleanup".into(), String::new()),
        Action::Sync => ("sync".into(), String::new()),
        Action::Replicate(replica) => {
            let sets = match replica.sets.len() {
                0 => "nothing".to_owned(),
                1 => format!("1 set, {}", bytes(replica.bytes)),
                n => format!("{n} sets, {}", bytes(replica.bytes)),
            };
            ("replicate".into(), format!("{sets}, from {}", replica.from))
        }
        Action::Check(CheckKind::Quick) => ("check quick".into(), String::new()),
        Action::Check(CheckKind::Spot { sample_percent }) => {
            ("check spot".into(), format!("{sample_percent}%"))
        }
        Action::Check(CheckKind::RestoreTest { files }) => {
            ("check restore".into(), format!("{files} files"))
        }
        Action::Find { pattern } => ("find".into(), pattern.clone()),
        Action::Versions { path } => ("versions".into(), place(path)),
        Action::Members { profiles, parallel } => {
            let at_once = match parallel {
                0 | 1 => String::new(),
                n => format!(", {n} at a time"),
            };
            ("run".into(), format!("{}{at_once}", profiles.join(", ")))
        }
        Action::Diff { from, to } => (
            "diff".into(),
            format!("{} {}", at(from), at(to)).trim().to_owned(),
        ),
    }
}

fn line(out: &mut String, id: &str, what: &str, object: &str, reason: &str) {
    let text = if reason.is_empty() {
        format!("{id:>2} {what:<WHAT$}{object}")
    } else {
        format!("{id:>2} {what:<WHAT$}{object:<OBJECT$}  {reason}")
    };
    // Names come from profiles and targets: none may disturb a terminal.
    let clean = text
        .chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c });
    out.extend(clean);
    out.truncate(out.trim_end().len());
    out.push('\n');
}

/// A number of bytes as people read it: `41 GiB`, `1.5 MiB`.
fn bytes(n: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if n < 1024 {
        return format!("{n} B");
    }
    let mut value = n as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let name = UNITS.get(unit).copied().unwrap_or("PiB");
    if value < 9.95 {
        format!("{value:.1} {name}")
    } else {
        format!("{value:.0} {name}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (n, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (41 << 30, "41 GiB"),
            ((1 << 30) - 1, "1.0 GiB"),
            (u64::MAX, "16384 PiB"),
        ] {
            assert_eq!(bytes(n), text);
        }
    }
}
