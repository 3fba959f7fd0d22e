//! `dupr doctor`: looks for what could keep a profile from working, and says what to do about it.

mod night;
mod schedule;
mod stored;
mod versions;

pub use stored::try_target;

use super::schemes;
use crate::cli::args::SomeProfiles;
use crate::cli::session::Session;
use crate::cli::ui::wrap::wrapped;
use crate::cli::ui::{Tone, colored, out};
use crate::cli::{choose, complain, exit, run};
use crate::engine::error::{Error, ErrorKind};
use crate::profile::Profile;
use crate::report::format;
use crate::report::overview::{Expectation, Overview, Standing};
use crate::run::observe::under_way;
use crate::run::{History, Memory, require};
use crate::run::{dump, snapshot};
use serde_json::json;
use std::path::Path;

/// How a look went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Finding {
    Ok,
    Warn,
    Fail,
}

/// One line of the doctor.
struct Line {
    finding: Finding,
    what: &'static str,
    text: String,
    fix: Option<String>,
}

impl Line {
    fn ok(what: &'static str, text: impl Into<String>) -> Self {
        Self {
            finding: Finding::Ok,
            what,
            text: text.into(),
            fix: None,
        }
    }
    fn warn(what: &'static str, text: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            finding: Finding::Warn,
            what,
            text: text.into(),
            fix: Some(fix.into()),
        }
    }
    /// `fix` is what to do where the error itself does not say.
    fn fail(what: &'static str, error: &Error, fix: impl Into<String>) -> Self {
        Self {
            finding: Finding::Fail,
            what,
            text: error.to_string(),
            fix: Some(error.hint().map_or_else(|| fix.into(), str::to_owned)),
        }
    }
}

/// Looks at all profiles, or those named.
pub fn run(args: &SomeProfiles, session: &Session) -> u8 {
    let found = match choose::listed(&args.profiles, &session.config_dirs()) {
        Ok(found) => found,
        Err(errors) => {
            // Which targets there are is worth knowing before there is a profile.
            if args.profiles.is_empty() && !session.common.json {
                schemes::show(session);
            }
            return complain::about(&errors, session);
        }
    };
    let mut worst = Finding::Ok;
    let mut documents = Vec::new();
    for found in &found {
        let path = found.path.to_string_lossy();
        let lines = match run::per_target(found, session) {
            Ok(profiles) => {
                let mut lines = vec![Line::ok("profile", path.clone())];
                if let Some(profile) = profiles.first() {
                    lines.extend(look_at(profile, &profiles, &found.path, session));
                }
                lines
            }
            Err(errors) => {
                let error = Error::new(ErrorKind::Usage, errors.to_string());
                vec![Line::fail("profile", &error, format!("correct {path}"))]
            }
        };
        worst = worst.max(lines.iter().map(|l| l.finding).max().unwrap_or(Finding::Ok));
        if session.common.json {
            documents.extend(lines.iter().map(|l| {
                let finding = format!("{:?}", l.finding).to_lowercase();
                json!({"profile": found.name, "finding": finding, "what": l.what, "text": l.text, "fix": l.fix})
            }));
        } else {
            show(&found.name, &lines, session);
        }
    }
    let code = if worst == Finding::Fail {
        exit::STEP_FAILED
    } else {
        exit::DONE
    };
    if session.common.json {
        let schemes = schemes::documents(session);
        out::json(&json!({"schema": 1, "code": code, "findings": documents, "schemes": schemes}));
    } else if args.profiles.is_empty() {
        schemes::show(session);
    }
    code
}

/// Columns before what a line has to tell.
const INDENT: usize = 18;

fn show(name: &str, lines: &[Line], session: &Session) {
    out::line(name);
    let colors = session.colors(session.world.terminal.output);
    let columns = session.world.terminal.columns;
    for line in lines {
        let (word, tone) = match line.finding {
            Finding::Ok => ("ok  ", Tone::Good),
            Finding::Warn => ("WARN", Tone::Warn),
            Finding::Fail => ("FAIL", Tone::Bad),
        };
        let text: Vec<String> = line.text.lines().map(format::safe).collect();
        out::line(&format!(
            "  {}  {:<9} {}",
            colored(word, tone, colors),
            line.what,
            wrapped(&text.join("\n"), columns, INDENT)
        ));
        if let Some(fix) = line.fix.as_ref().filter(|_| line.finding != Finding::Ok) {
            let fix = wrapped(&format::safe(fix), columns, INDENT + 2);
            out::line(&format!("{:INDENT$}→ {fix}", ""));
        }
    }
}

fn look_at(profile: &Profile, targets: &[Profile], file: &Path, session: &Session) -> Vec<Line> {
    let mut lines = Vec::new();
    let root = &profile.source.root;
    lines.push(match root.symlink_metadata() {
        Ok(_) => Line::ok("source", root.display().to_string()),
        Err(e) => Line::fail(
            "source",
            &Error::io("look at", root, e),
            "mount or make it, or correct the source in the profile",
        ),
    });
    lines.push(
        match require::unmet(&profile.run.require, &profile.backup.temp_dir) {
            None => Line::ok("require", "conditions hold"),
            Some(reason) => Line::warn("require", reason, "runs are put off until then"),
        },
    );
    match snapshot::try_out(profile) {
        Ok(Some(text)) => lines.push(Line::ok("snapshot", format!("would be {text}"))),
        Ok(None) => {}
        Err(e) => lines.push(Line::fail(
            "snapshot",
            &e,
            "write snapshot = \"auto\" or \"none\" under [source]",
        )),
    }
    lines.extend(profile.source.dumps.iter().map(|dump| {
        let secret = |reference: &crate::profile::SecretRef| session.secret(reference);
        match dump::try_out(dump, profile, &session.openers(&secret)) {
            Ok(text) => Line::ok("dump", text),
            Err(e) => Line::fail(
                "dump",
                &e.within(dump.name.clone()),
                "correct its [[source.dump]] in the profile",
            ),
        }
    }));
    lines.push(spool(profile));
    for target in targets {
        lines.extend(stored::look_at(target, session));
        lines.push(history(target, session));
    }
    lines.extend(schedule::line(profile, file, session));
    lines.extend(night::look_at(profile, targets, session));
    lines.push(versions::line(profile, targets, session));
    let told = profile.reports.lines();
    lines.push(if told.is_empty() {
        Line::warn(
            "reports",
            "nobody is told when a run fails",
            format!(
                "write [report.email] or another way to report, then try it with `dupr mail-test {}`",
                profile.base_name()
            ),
        )
    } else {
        let text = format!("{}; `dupr mail-test` tries them", told.join("; "));
        Line::ok("reports", text)
    });
    lines
}

/// Room for spool files: a volume for each transfer and one more.
fn spool(profile: &Profile) -> Line {
    let dir = &profile.backup.temp_dir;
    let needed = profile
        .backup
        .volume_bytes
        .saturating_mul(u64::from(profile.target.connections) + 1);
    match rustix::fs::statvfs(dir) {
        Err(e) => Line::fail(
            "spool",
            &Error::io("look at", dir, e.into()),
            "make it, or set temp-dir under [backup]",
        ),
        Ok(stat) => {
            let free = stat.f_bavail.saturating_mul(stat.f_frsize);
            let text = format!("{} free in {}", format::bytes(free), dir.display());
            if free < needed {
                let fix = format!(
                    "a run may need {}: set temp-dir under [backup], or a smaller volume-size",
                    format::bytes(needed)
                );
                Line::warn("spool", text, fix)
            } else {
                Line::ok("spool", text)
            }
        }
    }
}

fn history(profile: &Profile, session: &Session) -> Line {
    let history = History::of(&session.world.state_dir, &profile.name);
    let now = run::now();
    match history.read() {
        Err(e) => Line::fail(
            "history",
            &e,
            format!(
                "move {} away; the next run begins a new one",
                history.path().display()
            ),
        ),
        Ok(past) if past.damaged_lines > 0 => {
            let text = format!(
                "{} damaged lines in {}",
                past.damaged_lines,
                history.path().display()
            );
            Line::warn(
                "history",
                text,
                "they are skipped; nothing needs to be done",
            )
        }
        Ok(past) => {
            let last = past.runs.last();
            let since = Memory::of(&session.world.state_dir, profile.base_name()).scheduled_since;
            let expected = Expectation::of(profile, &past.runs, since, under_way(profile), now);
            // A schedule that never was in effect is a line of its own.
            let was_expected = since.is_some() || last.is_some();
            let missed = expected.missed().filter(|_| was_expected);
            match last {
                _ if missed.is_some() => {
                    let due = missed.unwrap_or(now);
                    let text = format!("due {}, and no run has ended since", format::time(due));
                    let fix = "is the schedule in effect (`dupr schedule show`), and does its crontab or timer fire?";
                    Line::warn("history", text, fix)
                }
                None => Line::ok("history", "has not run yet"),
                Some(o) => {
                    let text = format!("last run {}", format::age(o.started, now));
                    let view = Overview::new(&profile.name, &past.runs, expected, now);
                    match view.standing {
                        Standing::Stale => Line::warn(
                            "history",
                            view.note,
                            format!(
                                "see what should start it, and what became of it: `dupr history {}`",
                                profile.name
                            ),
                        ),
                        _ => Line::ok("history", text),
                    }
                }
            }
        }
    }
}
