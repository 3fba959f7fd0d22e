//! Ways to send a report. Each is tried; what could not be sent is told, never swallowed.

#[cfg(feature = "mail")]
pub mod email;
pub mod when;

use super::Report;
use super::render::Message;
use crate::engine::error::Result;
use crate::engine::secret::Secret;
use crate::profile::{Email, Reports, SecretRef};
use crate::run::outcome::Outcome;

/// Reads a secret when a notifier needs it.
pub type SecretReader<'a> = &'a dyn Fn(&SecretRef) -> Result<Secret>;

/// One way to send a report.
pub trait Notifier {
    /// What it is and whom it reaches, for logs: `email to me@example.org`.
    fn name(&self) -> String;

    /// The report to send for this outcome, if this notifier wants one.
    fn report(&self, outcome: &Outcome, past: &[Outcome], log: &[String]) -> Option<Report>;

    /// Renders and sends.
    ///
    /// # Errors
    /// What kept it from being delivered. Says nothing of secrets.
    fn send(&self, report: &Report, log: &[String], secrets: SecretReader<'_>) -> Result<Sent>;
}

/// What was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// The message as rendered.
    pub message: Message,
}

/// An attempt to send a report.
#[derive(Debug)]
pub struct Delivery {
    /// Whom it was meant for.
    pub notifier: String,
    /// How it went.
    pub result: Result<Sent>,
}

/// The notifiers a profile asks for.
///
/// # Errors
/// One that this build was made without.
pub fn notifiers(reports: &Reports) -> Result<Vec<Box<dyn Notifier>>> {
    reports.email.iter().map(email_notifier).collect()
}

#[cfg(feature = "mail")]
fn email_notifier(settings: &Email) -> Result<Box<dyn Notifier>> {
    Ok(Box::new(email::EmailNotifier::new(settings.clone())))
}

#[cfg(not(feature = "mail"))]
fn email_notifier(_: &Email) -> Result<Box<dyn Notifier>> {
    use crate::engine::error::{Error, ErrorKind};
    let message = "this dupr was built without the feature `mail`, which [report.email] needs";
    Err(Error::new(ErrorKind::Unsupported, message))
}

/// Sends the outcome to every notifier that wants it.
pub fn tell(
    reports: &Reports,
    outcome: &Outcome,
    past: &[Outcome],
    log: &[String],
    secrets: SecretReader<'_>,
) -> Vec<Delivery> {
    let list = match notifiers(reports) {
        Ok(list) => list,
        Err(e) => {
            return vec![Delivery {
                notifier: "reports".to_owned(),
                result: Err(e),
            }];
        }
    };
    list.iter()
        .filter_map(|notifier| {
            let report = notifier.report(outcome, past, log)?;
            Some(Delivery {
                notifier: notifier.name(),
                result: notifier.send(&report, log, secrets),
            })
        })
        .collect()
}
