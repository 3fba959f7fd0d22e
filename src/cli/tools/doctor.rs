//! `dupr doctor`: looks for what could keep a profile from working, and says what to do about it.

use super::schemes;
use crate::cli::args::SomeProfiles;
use crate::cli::session::Session;
use crate::cli::ui::{Tone, colored, out};
use crate::cli::{choose, complain, exit, run};
use crate::engine::context::Context;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::monitor::Silent;
use crate::profile::Profile;
use crate::report::format;
use crate::report::overview::Expectation;
use crate::run::observe::under_way;
use crate::run::{History, Memory, require};
use crate::run::{dump, open, snapshot};
use serde_json::json;
use std::io::Write;

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
                    lines.extend(look_at(profile, &profiles, session));
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

fn show(name: &str, lines: &[Line], session: &Session) {
    out::line(name);
    let colors = session.colors(session.world.terminal.output);
    for line in lines {
        let (word, tone) = match line.finding {
            Finding::Ok => ("ok  ", Tone::Good),
            Finding::Warn => ("WARN", Tone::Warn),
            Finding::Fail => ("FAIL", Tone::Bad),
        };
        let text = line
            .text
            .lines()
            .map(format::safe)
            .collect::<Vec<_>>()
            .join("\n                  ");
        out::line(&format!(
            "  {}  {:<9} {text}",
            colored(word, tone, colors),
            line.what
        ));
        if let Some(fix) = line.fix.as_ref().filter(|_| line.finding != Finding::Ok) {
            out::line(&format!("                  → {}", format::safe(fix)));
        }
    }
}

fn look_at(profile: &Profile, targets: &[Profile], session: &Session) -> Vec<Line> {
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
        lines.push(match try_target(target, session) {
            Ok(text) => Line::ok("target", text),
            Err(e) => Line::fail(
                "target",
                &e,
                format!(
                    "`dupr target test {}` tries it step by step",
                    target.base_name()
                ),
            ),
        });
        lines.push(history(target, session));
    }
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
            let missed =
                Expectation::of(profile, &past.runs, since, under_way(profile), now).missed();
            match last {
                _ if missed.is_some() => {
                    let due = missed.unwrap_or(now);
                    let text = format!("due {}, and no run has ended since", format::time(due));
                    let fix = "is the schedule in effect (`dupr schedule show`), and does its crontab or timer fire?";
                    Line::warn("history", text, fix)
                }
                None => Line::ok("history", "has not run yet"),
                Some(o) => Line::ok(
                    "history",
                    format!("last run {}", format::age(o.started, now)),
                ),
            }
        }
    }
}

/// Opens keys and target, lists it, and stores, reads back and removes a small object.
///
/// # Errors
/// What would keep a backup from working.
pub fn try_target(profile: &Profile, session: &Session) -> Result<String> {
    let secret = |reference: &crate::profile::SecretRef| session.secret(reference);
    let around = session.openers(&secret);
    let engine = open::engine(profile, &around)?;
    let cx = Context {
        monitor: &Silent,
        cancel: &session.cancel,
        now: run::now(),
        threads: session.world.threads,
    };
    let collection = engine.scan(&cx)?;
    let storage = &engine.target().storage;
    let mut file = tempfile::NamedTempFile::new_in(&profile.backup.temp_dir)
        .map_err(|e| Error::io("create a file in", &profile.backup.temp_dir, e))?;
    file.write_all(b"dupr was here\n")
        .map_err(|e| Error::io("write", file.path(), e))?;
    // Not a name of the format, so that no backup ever takes it for its own.
    let name = format!("dupr-test-{}", std::process::id());
    storage
        .put(&name, file.path())
        .map_err(|e| e.within("cannot store at the target"))?;
    let mut read = Vec::new();
    let got = storage.get(&name, &mut read);
    storage
        .delete(&name)
        .map_err(|e| e.within("cannot delete at the target"))?;
    got.map_err(|e| e.within("cannot read back from the target"))?;
    if read != b"dupr was here\n" {
        return Err(Error::new(
            ErrorKind::Corrupt,
            format!(
                "{} gives back other bytes than it was given",
                engine.location()
            ),
        ));
    }
    let chains = format::counted(collection.chains.len() as u64, "chain");
    Ok(format!(
        "{} stores, reads and deletes; {chains} there",
        engine.location()
    ))
}
