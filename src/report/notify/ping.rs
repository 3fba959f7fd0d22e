//! Signs of life for a service that raises an alarm when they stop: healthchecks.io, Uptime Kuma, Cronitor.
//!
//! A run with problems is a sign of life; its text says what they are. A run that was put off is none: if it is put
//! off for too long, the alarm is right.

use super::http::{self, Request};
use super::{News, Notifier, SecretReader, Sent};
use crate::engine::error::Result;
use crate::profile::{Moment, Ping, PingService};
use crate::report::{elapsed_ms, format, render};
use crate::run::outcome::Verdict;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use std::collections::BTreeMap;

/// Bytes of a body; older Healthchecks keep no more.
const BODY_BYTES: usize = 10_000;

/// Characters of a message that goes in an address.
const MESSAGE_CHARS: usize = 200;

/// Pings as `[report.ping]` says.
pub struct PingNotifier {
    settings: Ping,
}

/// What is told of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sign {
    Start,
    Good,
    Failed(u8),
    PutOff,
    Test,
}

impl PingNotifier {
    pub fn new(settings: &Ping) -> Self {
        Self {
            settings: settings.clone(),
        }
    }

    fn tell(
        &self,
        sign: Sign,
        message: &str,
        body: &str,
        ms: u64,
        secrets: SecretReader<'_>,
    ) -> Result<()> {
        let place = &self.settings.url;
        let base = http::address(place, secrets)?;
        let service = match self.settings.service {
            PingService::Auto => known_by(&base),
            known => known,
        };
        let Some((full, posts)) = address(service, &base, sign, message, ms) else {
            return Ok(());
        };
        let request = if posts {
            Request::post("text/plain; charset=utf-8", body)
        } else {
            Request::get()
        };
        // A backup does not wait for its own announcement.
        let request = if sign == Sign::Start {
            request.once()
        } else {
            request
        };
        request.send(place, &full)
    }
}

/// The service an address belongs to.
fn known_by(address: &str) -> PingService {
    if address.contains("/api/push/") {
        PingService::UptimeKuma
    } else if address.contains("://cronitor.link/") {
        PingService::Cronitor
    } else {
        PingService::Healthchecks
    }
}

/// Where a sign goes, and whether the text is posted there; `None` if the service has no word for it.
fn address(
    service: PingService,
    base: &str,
    sign: Sign,
    message: &str,
    ms: u64,
) -> Option<(String, bool)> {
    let message = format::shortened(message, MESSAGE_CHARS);
    let message = utf8_percent_encode(&message, NON_ALPHANUMERIC);
    let bare = base.split('?').next().unwrap_or(base);
    match service {
        PingService::Auto | PingService::Healthchecks => {
            let full = match sign {
                Sign::Good => base.to_owned(),
                Sign::Start => http::below(base, "start"),
                Sign::Failed(code) => http::below(base, &code.to_string()),
                Sign::PutOff | Sign::Test => http::below(base, "log"),
            };
            Some((full, true))
        }
        PingService::UptimeKuma => {
            let status = match sign {
                Sign::Start | Sign::PutOff => return None,
                Sign::Good | Sign::Test => "up",
                Sign::Failed(_) => "down",
            };
            let full = format!("{bare}?status={status}&msg={message}&ping={ms}");
            Some((full, false))
        }
        PingService::Cronitor => {
            let state = match sign {
                Sign::Start => "state=run".to_owned(),
                Sign::Good => "state=complete&status_code=0".to_owned(),
                Sign::Failed(code) => format!("state=fail&status_code={code}"),
                Sign::PutOff => return None,
                // Without a state it is a message alone.
                Sign::Test => "event=test".to_owned(),
            };
            let joint = if base.contains('?') { '&' } else { '?' };
            Some((format!("{base}{joint}{state}&message={message}"), false))
        }
    }
}

impl Notifier for PingNotifier {
    fn key(&self) -> &'static str {
        "ping"
    }

    fn name(&self) -> String {
        self.settings.name()
    }

    fn moments(&self) -> &[Moment] {
        &[Moment::Always]
    }

    fn keeps_messages(&self) -> bool {
        false
    }

    fn begin(&self, secrets: SecretReader<'_>) -> Option<Result<()>> {
        Some(self.tell(Sign::Start, "started", "", 0, secrets))
    }

    fn send(&self, news: &News<'_>, secrets: SecretReader<'_>) -> Result<Sent> {
        let sign = match news.outcome.verdict {
            _ if news.test => Sign::Test,
            Verdict::Success | Verdict::Warning => Sign::Good,
            Verdict::Deferred => Sign::PutOff,
            Verdict::Differences | Verdict::Failed | Verdict::Interrupted => {
                Sign::Failed(news.code.max(1))
            }
        };
        let message = render::render(news.report, &BTreeMap::new())?;
        let body = format::within_bytes(&message.text, BODY_BYTES);
        let ms = elapsed_ms(news.outcome);
        self.tell(sign, &message.subject, body, ms, secrets)?;
        Ok(Sent::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_service_gets_its_own_words() {
        let of = |base: &str, sign| address(known_by(base), base, sign, "a b", 1200);
        let hc = "https://hc-ping.com/uuid";
        assert_eq!(of(hc, Sign::Start), Some((format!("{hc}/start"), true)));
        assert_eq!(of(hc, Sign::Good), Some((hc.to_owned(), true)));
        assert_eq!(of(hc, Sign::Failed(13)), Some((format!("{hc}/13"), true)));
        assert_eq!(of(hc, Sign::Test), Some((format!("{hc}/log"), true)));
        let keyed = "https://hc.local/ping/key/slug/?create=1";
        assert_eq!(
            of(keyed, Sign::Start).unwrap().0,
            "https://hc.local/ping/key/slug/start?create=1"
        );
        let kuma = "https://up.local/api/push/tok?status=up&msg=OK&ping=";
        assert_eq!(
            of(kuma, Sign::Failed(1)),
            Some((
                "https://up.local/api/push/tok?status=down&msg=a%20b&ping=1200".into(),
                false
            ))
        );
        assert_eq!(of(kuma, Sign::Start), None);
        let cronitor = "https://cronitor.link/p/key/job?env=prod";
        assert_eq!(
            of(cronitor, Sign::Failed(13)).unwrap().0,
            format!("{cronitor}&state=fail&status_code=13&message=a%20b")
        );
        assert!(of(cronitor, Sign::PutOff).is_none());
    }
}
