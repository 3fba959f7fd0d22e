//! Reports by mail: to a server over TLS, or through a local sendmail program.
//!
//! A message has a plain and an HTML part, and the log attached if asked for. Addresses are parsed and the subject
//! is one line without control characters, so that nothing in a profile or a file name becomes a header.
//! A password never travels in the clear: without TLS it is only sent to this very machine.

use super::super::format;
use super::super::render::{self, Message};
use super::{News, Notifier, SecretReader, Sent};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::secret::Secret;
use crate::profile::{Email, MailServer, MailTransport, Moment};
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Attachment, Mailbox, MultiPart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters, TlsParametersBuilder};
use lettre::{SendmailTransport, SmtpTransport, Transport};
use std::path::Path;
use std::time::Duration;

/// Time one step of a conversation with a server may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// How a certificate begins in a PEM file.
const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// How often a server that says "later" is asked again, and the pause before.
const RETRIES: u32 = 2;
const RETRY_PAUSE: Duration = Duration::from_secs(5);

/// Sends mail as `[report.email]` says.
pub struct EmailNotifier {
    settings: Email,
    pause: Duration,
}

/// A connection as the profile wants it: TLS with a certificate that is believed, except to this very machine.
fn connect(
    server: &MailServer,
    password: Option<Secret>,
    ca_file: Option<&Path>,
) -> Result<SmtpTransport> {
    let tls = || -> Result<TlsParameters> {
        let mut builder = TlsParameters::builder(server.host.clone());
        if let Some(path) = ca_file {
            builder = certificates(path)?
                .into_iter()
                .fold(builder, TlsParametersBuilder::add_root_certificate);
        }
        builder
            .build()
            .map_err(|e| Error::new(ErrorKind::Io, "cannot prepare TLS for mail").with_source(e))
    };
    let open = server.is_here() && ca_file.is_none();
    let security = match (server.tls_at_once, open) {
        (true, _) => Tls::Wrapper(tls()?),
        (false, false) => Tls::Required(tls()?),
        (false, true) => Tls::None,
    };
    let mut builder = SmtpTransport::builder_dangerous(&server.host)
        .port(server.port)
        .tls(security)
        .timeout(Some(TIMEOUT));
    if let (Some(user), Some(password)) = (&server.user, password) {
        let text = password
            .expose_str()
            .ok_or_else(|| Error::new(ErrorKind::Usage, "mail password is not UTF-8"))?;
        builder = builder.credentials(Credentials::new(user.clone(), text.to_owned()));
    }
    Ok(builder.build())
}

/// The certificates of a PEM file.
fn certificates(path: &Path) -> Result<Vec<Certificate>> {
    let pem = std::fs::read(path).map_err(|e| Error::io("read the certificates in", path, e))?;
    let none = || {
        Error::new(
            ErrorKind::Usage,
            format!("{} holds no certificate in PEM form", path.display()),
        )
        .with_hint("ca-file under [report.email] names the certificate that signed the server's")
    };
    if !pem.windows(BEGIN.len()).any(|w| w == BEGIN) {
        return Err(none());
    }
    Certificate::from_pem(&pem)
        .map(|c| vec![c])
        .map_err(|e| none().with_source(e))
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
            MailTransport::Smtp {
                server,
                password,
                ca_file,
            } => {
                let password = password.as_ref().map(secrets).transpose()?;
                let transport = connect(server, password, ca_file.as_deref())?;
                let mut attempt = 0;
                loop {
                    match transport.send(mail) {
                        Ok(_) => return Ok(()),
                        Err(e) if e.is_transient() && attempt < RETRIES => {
                            attempt += 1;
                            std::thread::sleep(self.pause);
                        }
                        Err(e) => return Err(refused(server, &e)),
                    }
                }
            }
        }
    }
}

/// What a mail server's refusal means, and what to do about it.
fn refused(server: &MailServer, error: &lettre::transport::smtp::Error) -> Error {
    let status = error.status().map(u16::from);
    let kind = match status {
        Some(530 | 534 | 535 | 538 | 550..=554) => ErrorKind::Denied,
        Some(_) => ErrorKind::Io,
        None => ErrorKind::Unreachable,
    };
    // lettre's text ends with that of its source already.
    let said = error.to_string();
    let (why, hint) = match (&server.user, status) {
        (Some(user), Some(534 | 535)) => (
            format!("the login of {user} is denied: {said}"),
            "look at the user in `smtp` and at `password` under [report.email]",
        ),
        _ => match trouble_with_tls(server, &said) {
            Some(known) => known,
            None => (
                said,
                "`dupr mail-test` sends a test message once [report.email] is right",
            ),
        },
    };
    let place = format!("{}:{}", server.host, server.port);
    Error::new(kind, format!("cannot send mail through {place}: {why}")).with_hint(hint)
}

/// Why a connection was not secured, in words; rustls' own are names of variants.
fn trouble_with_tls(server: &MailServer, said: &str) -> Option<(String, &'static str)> {
    let host = &server.host;
    let said_lower = said.to_lowercase();
    let one_of = |words: &[&str]| words.iter().any(|w| said_lower.contains(w));
    let (why, hint) = if one_of(&["notvalidforname", "not valid for name"]) {
        (
            format!("the certificate of the server is not for the name {host}"),
            "write the name that stands in the certificate into `smtp`",
        )
    } else if one_of(&["unknownissuer", "causedasendentity", "badsignature"]) {
        (
            "the certificate of the server is signed by nobody this machine believes".to_owned(),
            "if the authority is your own, name its certificate: ca-file under [report.email]",
        )
    } else if one_of(&["expired", "notvalidyet", "not valid yet"]) {
        (
            "the certificate of the server is not valid today".to_owned(),
            "look at the certificate, and at the clock of this machine",
        )
    } else if one_of(&["certificate"]) {
        (
            format!("the certificate of the server is refused: {said}"),
            "look at the certificate",
        )
    } else if server.tls_at_once && one_of(&["invalidcontenttype", "corrupt message"]) {
        (
            "the server does not speak TLS from the first byte".to_owned(),
            "write smtp:// for STARTTLS, usually with port 587",
        )
    } else if one_of(&["starttls"]) {
        (
            "the server offers no TLS, and nothing is sent in the clear".to_owned(),
            "smtps:// with port 465 may do",
        )
    } else {
        return None;
    };
    Some((why, hint))
}

impl Notifier for EmailNotifier {
    fn key(&self) -> &'static str {
        "email"
    }

    fn name(&self) -> String {
        format::safe(&self.settings.name())
    }

    fn moments(&self) -> &[Moment] {
        &self.settings.when
    }

    fn send(&self, news: &News<'_>, secrets: SecretReader<'_>) -> Result<Sent> {
        let message = render::render(news.report, &self.settings.templates)?;
        let mail = self.compose(&message, news.log)?;
        self.deliver(&mail, secrets)?;
        Ok(Sent {
            trouble: message.trouble,
        })
    }
}

#[cfg(test)]
mod tests;
