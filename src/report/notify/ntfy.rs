//! Messages to a topic of ntfy: a title, a few lines, a priority by how bad it is.

use super::http::{self, Request};
use super::{News, Notifier, SecretReader, Sent};
use crate::engine::error::Result;
use crate::engine::secret::Secret;
use crate::profile::{Moment, Ntfy};
use crate::report::{Report, format, render};
use std::collections::BTreeMap;

/// Bytes of a message; ntfy makes an attachment of longer ones.
const MESSAGE_BYTES: usize = 3500;

/// Lines of the problems and failures that are shown; the mail has all.
const SHOWN: usize = 5;

/// Sends as `[report.ntfy]` says.
pub struct NtfyNotifier {
    settings: Ntfy,
}

impl NtfyNotifier {
    pub fn new(settings: &Ntfy) -> Self {
        Self {
            settings: settings.clone(),
        }
    }
}

/// The lines of a message.
fn message(report: &Report) -> String {
    let mut lines = vec![report.headline.clone()];
    let failures = report.failures.iter().take(SHOWN);
    lines.extend(failures.map(|f| format!("{}: {}", f.step, f.message)));
    lines.extend(
        report
            .problems
            .iter()
            .take(SHOWN)
            .map(|p| format!("{}: {}", p.path, p.reason)),
    );
    lines.extend(report.next_steps.iter().cloned());
    lines.extend(
        report
            .profiles
            .iter()
            .map(|p| format!("{}: {}, last good {}", p.profile, p.runs, p.last_good)),
    );
    lines.extend(
        report
            .last_good
            .iter()
            .map(|t| format!("Last good backup: {t}")),
    );
    lines.extend(report.late.iter().cloned());
    format::within_bytes(&lines.join("\n"), MESSAGE_BYTES).to_owned()
}

/// Priority and symbols by how bad it is.
fn weight(tone: &str) -> (&'static str, &'static str) {
    match tone {
        "bad" => ("high", "rotating_light"),
        "warn" => ("default", "warning"),
        "good" => ("default", "white_check_mark"),
        _ => ("low", "zzz"),
    }
}

impl Notifier for NtfyNotifier {
    fn key(&self) -> &'static str {
        "ntfy"
    }

    fn name(&self) -> String {
        self.settings.name()
    }

    fn moments(&self) -> &[Moment] {
        &self.settings.when
    }

    fn send(&self, news: &News<'_>, secrets: SecretReader<'_>) -> Result<Sent> {
        let title = render::render(news.report, &BTreeMap::new())?.subject;
        let (priority, tags) = weight(news.report.tone);
        let mut request = Request::post("text/plain; charset=utf-8", message(news.report))
            .header("Title", &title)
            .header("Priority", priority)
            .header("Tags", tags);
        if let Some(token) = &self.settings.token {
            let token = secrets(token)?;
            let value = [b"Bearer ", token.expose()].concat();
            request = request.secret_header("Authorization", Secret::new(value));
        }
        let full = http::address(&self.settings.url, secrets)?;
        request.send(&self.settings.url, &full)?;
        Ok(Sent::default())
    }
}
