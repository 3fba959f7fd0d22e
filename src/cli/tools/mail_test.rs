//! `dupr mail-test`: sends a report that looks like a real one, so that a silent mail server is found today.

use crate::cli::args::OneProfile;
use crate::cli::session::Session;
use crate::cli::ui::out;
use crate::cli::{exit, run};
use crate::engine::error::ErrorKind;
use crate::report::notify;
use crate::report::{Report, render};
use crate::run::outcome::{Outcome, StepOutcome, StepStatus, Verdict};
use crate::run::runner::OUTCOME_SCHEMA;

/// Sends a test message to every recipient of the profile, whatever `when` says.
pub fn run(args: &OneProfile, session: &Session) -> u8 {
    let profile = match run::load(&args.profile, session) {
        Ok(profile) => profile,
        Err(code) => return code,
    };
    let now = run::now();
    let mut step = StepOutcome::new(1, "mail-test", "mail test", StepStatus::Done);
    step.notes
        .push("this message was asked for with dupr mail-test; nothing was backed up".to_owned());
    let outcome = Outcome {
        schema: OUTCOME_SCHEMA,
        profile: profile.name.clone(),
        host: session.world.host.clone(),
        batch: "mail-test".to_owned(),
        target: profile.target.url.masked().to_owned(),
        started: now,
        ended: now,
        verdict: Verdict::Success,
        steps: vec![step],
        failure: None,
        next_due: profile.schedule.as_ref().and_then(|s| s.next_after(now)),
    };
    let report = Report::new(&outcome, &[], &[]);
    let notifiers = match notify::notifiers(&profile.reports) {
        Ok(list) => list,
        Err(e) => return run::failed(&e),
    };
    if notifiers.is_empty() {
        let hint = "write at least `to`, `from` and `smtp` under [report.email]";
        return run::failed(&run::usage_error(
            format!("{} reports to nobody", profile.name),
            hint,
        ));
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
    let mut code = exit::DONE;
    for notifier in notifiers {
        match notifier.send(&report, &[], &|reference| session.secret(reference)) {
            Ok(sent) => {
                out::line(&format!("sent: {}", notifier.name()));
                if let Some(why) = sent.message.trouble {
                    out::complaint(&format!(
                        "the templates of the profile were not used: {why}"
                    ));
                    code = exit::PROBLEMS;
                }
            }
            Err(e) => {
                let denied = e.kind() == ErrorKind::Usage;
                run::failed(&e);
                code = if denied { exit::USAGE } else { exit::PROBLEMS };
            }
        }
    }
    code
}
