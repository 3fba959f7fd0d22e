//! Ways to tell an outcome. Each is tried; what could not be sent is told and sent later, never swallowed.
//!
//! A [`Notifier`] knows one way and nothing of the others; the [`Desk`] decides what is told to whom, and remembers
//! what could not be delivered.

pub mod desk;
mod digest;
#[cfg(feature = "mail")]
pub mod email;
#[cfg(feature = "http")]
mod http;
pub mod metrics;
#[cfg(feature = "http")]
mod ntfy;
#[cfg(feature = "http")]
mod ping;
mod prometheus;
pub mod store;
mod syslog;
#[cfg(feature = "http")]
mod webhook;
pub mod when;

pub use desk::{Delivery, Desk};
pub use store::{Store, Undelivered};

use super::Report;
use crate::engine::error::Result;
use crate::engine::secret::Secret;
use crate::profile::{Moment, Reports, SecretRef};
use crate::run::outcome::Outcome;

/// Reads a secret when a notifier needs it.
pub type SecretReader<'a> = &'a dyn Fn(&SecretRef) -> Result<Secret>;

/// What there is to tell.
pub struct News<'a> {
    /// For people.
    pub report: &'a Report,
    /// For programs.
    pub outcome: &'a Outcome,
    /// The runs before it, oldest first.
    pub past: &'a [Outcome],
    /// Last lines of its log.
    pub log: &'a [String],
    /// Exit code of the run.
    pub code: u8,
    /// Whether it is only a test: nobody is to conclude that a backup was made.
    pub test: bool,
}

/// One way to tell an outcome.
pub trait Notifier {
    /// Its table under `[report]`.
    fn key(&self) -> &'static str;

    /// What it is and whom it reaches, for logs, without secrets: `email to me@example.org`.
    fn name(&self) -> String;

    /// The outcomes it tells.
    fn moments(&self) -> &[Moment];

    /// Whether each message counts, so that one that could not be sent is sent later. Otherwise only the newest does.
    fn keeps_messages(&self) -> bool {
        true
    }

    /// Tells that a run begins, where that is wanted.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    fn begin(&self, secrets: SecretReader<'_>) -> Option<Result<()>> {
        let _ = secrets;
        None
    }

    /// Renders and sends.
    ///
    /// # Errors
    /// What kept it from being delivered. Says nothing of secrets.
    fn send(&self, news: &News<'_>, secrets: SecretReader<'_>) -> Result<Sent>;
}

/// What was sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sent {
    /// Why the templates of the profile were not used, if they were not.
    pub trouble: Option<String>,
}

/// The notifiers a profile asks for.
///
/// # Errors
/// One that this build was made without.
pub fn notifiers(reports: &Reports) -> Result<Vec<Box<dyn Notifier>>> {
    let mut list: Vec<Box<dyn Notifier>> = Vec::new();
    by_mail(reports, &mut list)?;
    by_http(reports, &mut list)?;
    if let Some(settings) = &reports.prometheus {
        list.push(Box::new(prometheus::PrometheusNotifier::new(settings)));
    }
    if let Some(settings) = &reports.syslog {
        list.push(Box::new(syslog::SyslogNotifier::new(settings)));
    }
    Ok(list)
}

#[cfg(feature = "mail")]
fn by_mail(reports: &Reports, list: &mut Vec<Box<dyn Notifier>>) -> Result<()> {
    if let Some(settings) = &reports.email {
        list.push(Box::new(email::EmailNotifier::new(settings.clone())));
    }
    Ok(())
}

#[cfg(not(feature = "mail"))]
fn by_mail(reports: &Reports, _: &mut Vec<Box<dyn Notifier>>) -> Result<()> {
    match &reports.email {
        Some(_) => Err(lacking("mail", "[report.email]")),
        None => Ok(()),
    }
}

#[cfg(feature = "http")]
fn by_http(reports: &Reports, list: &mut Vec<Box<dyn Notifier>>) -> Result<()> {
    if let Some(settings) = &reports.ping {
        list.push(Box::new(ping::PingNotifier::new(settings)));
    }
    if let Some(settings) = &reports.ntfy {
        list.push(Box::new(ntfy::NtfyNotifier::new(settings)));
    }
    if let Some(settings) = &reports.webhook {
        list.push(Box::new(webhook::WebhookNotifier::new(settings)));
    }
    Ok(())
}

#[cfg(not(feature = "http"))]
fn by_http(reports: &Reports, _: &mut Vec<Box<dyn Notifier>>) -> Result<()> {
    let gateway = reports
        .prometheus
        .as_ref()
        .and_then(|p| p.pushgateway.as_ref());
    let wanted = [
        (reports.ping.is_some(), "[report.ping]"),
        (reports.ntfy.is_some(), "[report.ntfy]"),
        (reports.webhook.is_some(), "[report.webhook]"),
        (gateway.is_some(), "pushgateway of [report.prometheus]"),
    ];
    match wanted.iter().find(|(wanted, _)| *wanted) {
        Some((_, what)) => Err(lacking("http", what)),
        None => Ok(()),
    }
}

#[cfg(not(all(feature = "mail", feature = "http")))]
fn lacking(feature: &str, what: &str) -> crate::engine::error::Error {
    use crate::engine::error::{Error, ErrorKind};
    let message =
        format!("this dupr was built without the feature `{feature}`, which {what} needs");
    Error::new(ErrorKind::Unsupported, message)
}
