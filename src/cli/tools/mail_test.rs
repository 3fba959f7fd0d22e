//! `dupr mail-test`: tells everybody a profile reports to that this is a test, so that a silent one is found today.

use crate::cli::args::OneProfile;
use crate::cli::session::Session;
use crate::cli::ui::out;
use crate::cli::{choose, complain, exit, run};
use crate::engine::error::ErrorKind;
use crate::profile::Reports;
use crate::report::notify::{self, News};
use crate::report::{Report, render};
use crate::run::outcome::{Outcome, StepOutcome, StepStatus, Verdict};
use crate::run::runner::OUTCOME_SCHEMA;
use serde_json::json;

/// Sends a test to everybody the profile reports to, whatever `when` says: a line for each, and the worst code.
pub fn run(args: &OneProfile, session: &Session) -> u8 {
    let (name, target, reports) = match reports(&args.profile, session) {
        Ok(found) => found,
        Err(code) => return code,
    };
    let outcome = outcome(&name, &target, session);
    let report = Report::new(&outcome, &[], &[]);
    let notifiers = match notify::notifiers(&reports) {
        Ok(list) => list,
        Err(e) => return complain::error(&e, session),
    };
    if notifiers.is_empty() {
        let hint = "write at least `to`, `from` and `smtp` under [report.email]; docs/profile.md lists the other ways";
        let error = run::usage_error(format!("{name} reports to nobody"), hint);
        return complain::error(&error, session);
    }
    if session.common.plan {
        for notifier in &notifiers {
            out::line(&format!("would send {}", notifier.name()));
        }
        return match render::render(&report, &Default::default()) {
            Ok(message) => {
                out::line(&format!("subject: {}", message.subject));
                exit::DONE
            }
            Err(e) => run::failed(&e),
        };
    }
    let news = News {
        report: &report,
        outcome: &outcome,
        past: &[],
        log: &[],
        code: exit::DONE,
        test: true,
    };
    let mut code = exit::DONE;
    let mut lines = Vec::new();
    for notifier in notifiers {
        let name = notifier.name();
        let (ok, trouble) = match notifier.send(&news, &|reference| session.secret(reference)) {
            Ok(sent) => {
                told(session, &format!("sent: {name}"));
                let why = sent.trouble;
                if let Some(why) = &why {
                    out::complaint(&format!(
                        "the templates of the profile were not used: {why}"
                    ));
                    code = code.max(exit::PROBLEMS);
                }
                (true, why)
            }
            Err(e) => {
                out::complaint(&format!("not sent: {name}"));
                run::failed(&e);
                let usage = e.kind() == ErrorKind::Usage && code != exit::PROBLEMS;
                code = if usage { exit::USAGE } else { exit::PROBLEMS };
                (false, Some(e.to_string()))
            }
        };
        lines.push(json!({"notifier": name, "sent": ok, "trouble": trouble}));
    }
    if session.common.json {
        out::json(&json!({"schema": 1, "code": code, "reports": lines}));
    }
    code
}

fn told(session: &Session, line: &str) {
    if !session.common.json {
        out::line(line);
    }
}

/// Name, target and reports of a profile, or of a group that runs as one.
fn reports(word: &str, session: &Session) -> Result<(String, String, Reports), u8> {
    let around = session.surroundings();
    if let Some(group) = choose::group(word, &around.config_dirs) {
        let units = choose::units(group, &around).map_err(|e| complain::about(&e, session))?;
        if let Some(unit) = units.into_iter().next()
            && let Some(group) = unit.group
        {
            let names: Vec<String> = unit.profiles.into_iter().map(|f| f.name).collect();
            return Ok((group.name, names.join(", "), group.reports));
        }
    }
    let profile = run::load(word, session)?;
    let target = profile.target.url.masked().to_owned();
    Ok((profile.name, target, profile.reports))
}

/// A run that did nothing.
fn outcome(name: &str, target: &str, session: &Session) -> Outcome {
    let now = run::now();
    let mut step = StepOutcome::new(1, "mail-test", "test of the reports", StepStatus::Done);
    step.notes
        .push("this message was asked for with dupr mail-test; nothing was backed up".to_owned());
    Outcome {
        schema: OUTCOME_SCHEMA,
        profile: name.to_owned(),
        host: session.world.host.clone(),
        batch: "mail-test".to_owned(),
        target: target.to_owned(),
        started: now,
        ended: now,
        verdict: Verdict::Success,
        steps: vec![step],
        failure: None,
        next_due: None,
    }
}
