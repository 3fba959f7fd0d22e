//! Reports by mail: to a server over TLS, or through a local sendmail program.
//!
//! A message has a plain and an HTML part, and the log attached if asked for. Addresses are parsed and the subject
//! is one line without control characters, so that nothing in a profile or a file name becomes a header.
//! A password never travels in the clear: without TLS it is only sent to this very machine.

use super::super::format;
use super::super::render::{self, Message};
use super::super::{Outcome, Report};
use super::{Notifier, SecretReader, Sent, when};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::secret::Secret;
use crate::profile::{Email, MailTransport};
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Attachment, Mailbox, MultiPart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{SendmailTransport, SmtpTransport, Transport};
use percent_encoding::percent_decode_str;
use std::time::Duration;

/// Time one step of a conversation with a server may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// How often a server that says "later" is asked again, and the pause before.
const RETRIES: u32 = 2;
const RETRY_PAUSE: Duration = Duration::from_secs(5);

/// Sends mail as `[report.email]` says.
pub struct EmailNotifier {
    settings: Email,
    pause: Duration,
}

/// A mail server, from a URL such as `smtps://user@mail.example.org:465`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Server {
    /// TLS from the first byte (`smtps`); otherwise by STARTTLS.
    tls_at_once: bool,
    user: Option<String>,
    host: String,
    port: u16,
}

impl Server {
    fn parse(url: &str) -> Result<Self> {
        let wrong = |what: &str| {
            Error::new(
                ErrorKind::Usage,
                format!(
                    "{what} in the mail server {:?}",
                    crate::profile::url::mask(url)
                ),
            )
            .with_hint("write it as smtps://user@host:465, or smtp://user@host:587 for STARTTLS")
        };
        let (scheme, rest) = url.split_once("://").ok_or_else(|| wrong("no scheme"))?;
        let tls_at_once = match scheme {
            "smtps" => true,
            "smtp" => false,
            _ => return Err(wrong("unknown scheme")),
        };
        let rest = rest.trim_end_matches('/');
        let (user, host) = match rest.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, rest),
        };
        let (host, port) = match host.strip_prefix('[').and_then(|h| h.split_once(']')) {
            Some((address, port)) => (address, port.strip_prefix(':')),
            None => host
                .split_once(':')
                .map_or((host, None), |(h, p)| (h, Some(p))),
        };
        let port = match port {
            Some(text) => text
                .parse()
                .map_err(|_| wrong("a port that is no number"))?,
            None if tls_at_once => 465,
            None => 587,
        };
        if host.is_empty() {
            return Err(wrong("no host"));
        }
        let user = user.map(|u| percent_decode_str(u).decode_utf8_lossy().into_owned());
        Ok(Self {
            tls_at_once,
            user,
            host: host.to_owned(),
            port,
        })
    }

    /// Whether it is this machine, so that nobody can listen in between.
    fn is_here(&self) -> bool {
        self.host == "localhost"
            || self
                .host
                .parse::<std::net::IpAddr>()
                .is_ok_and(|a| a.is_loopback())
    }

    fn connect(&self, password: Option<Secret>) -> Result<SmtpTransport> {
        let tls = || {
            TlsParameters::new(self.host.clone()).map_err(|e| {
                Error::new(ErrorKind::Io, "cannot prepare TLS for mail").with_source(e)
            })
        };
        let security = match (self.tls_at_once, self.is_here()) {
            (true, _) => Tls::Wrapper(tls()?),
            (false, false) => Tls::Required(tls()?),
            (false, true) => Tls::None,
        };
        let mut builder = SmtpTransport::builder_dangerous(&self.host)
            .port(self.port)
            .tls(security)
            .timeout(Some(TIMEOUT));
        if let (Some(user), Some(password)) = (&self.user, password) {
            let text = password
                .expose_str()
                .ok_or_else(|| Error::new(ErrorKind::Usage, "mail password is not UTF-8"))?;
            builder = builder.credentials(Credentials::new(user.clone(), text.to_owned()));
        }
        Ok(builder.build())
    }
}

impl EmailNotifier {
    /// A notifier with these settings; nothing is opened.
    pub fn new(settings: Email) -> Self {
        Self {
            settings,
            pause: RETRY_PAUSE,
        }
    }

    fn compose(&self, message: &Message, log: &[String]) -> Result<lettre::Message> {
        let mailbox = |text: &str| -> Result<Mailbox> {
            text.parse().map_err(|e| {
                Error::new(
                    ErrorKind::Usage,
                    format!("{:?} is not a mail address: {e}", format::safe(text)),
                )
            })
        };
        let mut builder = lettre::Message::builder()
            .from(mailbox(&self.settings.from)?)
            .subject(&message.subject)
            .message_id(None)
            // So that no out-of-office program answers (RFC 3834).
            .raw_header(HeaderValue::new(
                HeaderName::new_from_ascii_str("Auto-Submitted"),
                "auto-generated".to_owned(),
            ));
        for to in &self.settings.to {
            builder = builder.to(mailbox(to)?);
        }
        let body = MultiPart::alternative_plain_html(message.text.clone(), message.html.clone());
        let whole = if self.settings.attach_log && !log.is_empty() {
            let mut text = log
                .iter()
                .map(|l| format::safe(l))
                .collect::<Vec<_>>()
                .join("\n");
            text.push('\n');
            let attachment =
                Attachment::new("dupr.log".to_owned()).body(text, ContentType::TEXT_PLAIN);
            builder.multipart(MultiPart::mixed().multipart(body).singlepart(attachment))
        } else {
            builder.multipart(body)
        };
        whole.map_err(|e| Error::new(ErrorKind::Usage, "cannot compose a mail").with_source(e))
    }

    fn deliver(&self, mail: &lettre::Message, secrets: SecretReader<'_>) -> Result<()> {
        match &self.settings.transport {
            MailTransport::Sendmail(program) => {
                let sent = SendmailTransport::new_with_command(program.as_os_str()).send(mail);
                let what = format!("cannot send mail through {}", program.display());
                sent.map(|_| ())
                    .map_err(|e| Error::new(ErrorKind::Io, what).with_source(e))
            }
            MailTransport::Smtp { url, password } => {
                let server = Server::parse(url)?;
                let password = password.as_ref().map(secrets).transpose()?;
                let transport = server.connect(password)?;
                let mut attempt = 0;
                loop {
                    match transport.send(mail) {
                        Ok(_) => return Ok(()),
                        Err(e) if e.is_transient() && attempt < RETRIES => {
                            attempt += 1;
                            std::thread::sleep(self.pause);
                        }
                        Err(e) => return Err(refused(&server, e)),
                    }
                }
            }
        }
    }
}

/// What a mail server's refusal means.
fn refused(server: &Server, error: lettre::transport::smtp::Error) -> Error {
    let kind = match error.status().map(u16::from) {
        Some(530 | 534 | 535 | 538 | 550..=554) => ErrorKind::Denied,
        Some(_) => ErrorKind::Io,
        None => ErrorKind::Unreachable,
    };
    Error::new(
        kind,
        format!("cannot send mail through {}:{}", server.host, server.port),
    )
    .with_source(error)
    .with_hint("`dupr mail-test` sends a test message once [report.email] is right")
}

impl Notifier for EmailNotifier {
    fn name(&self) -> String {
        format!("email to {}", format::safe(&self.settings.to.join(", ")))
    }

    fn report(&self, outcome: &Outcome, past: &[Outcome], log: &[String]) -> Option<Report> {
        let reason = when::reason(&self.settings.when, outcome, past)?;
        Some(when::report(reason, outcome, past, log))
    }

    fn send(&self, report: &Report, log: &[String], secrets: SecretReader<'_>) -> Result<Sent> {
        let message = render::render(report, &self.settings.templates)?;
        let mail = self.compose(&message, log)?;
        self.deliver(&mail, secrets)?;
        Ok(Sent { message })
    }
}

#[cfg(test)]
mod tests;
