//! Getting to a mailbox: address, encryption, name and password.

use super::super::super::settings;
use super::super::tls::{Trust, untrusted};
use super::dialogue::{Dialogue, Line, Word};
use super::trouble::broken;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::secret::Secret;
use crate::engine::storage::options::first_password;
use crate::engine::storage::transfer::Transfer;
use crate::engine::storage::url::Server;
use crate::engine::storage::{StorageOptions, TargetUrl};
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ALL_VERSIONS;
use tokio_rustls::rustls::pki_types::ServerName;

/// Where a folder lies.
pub(in super::super) struct Place<'a> {
    /// TLS from the first byte.
    pub(in super::super) secure: bool,
    /// The machine.
    pub(in super::super) server: &'a Server,
    /// What all mails say they are from.
    pub(in super::super) folder: &'a str,
}

/// All it takes to log in.
pub(super) struct Login {
    host: String,
    port: u16,
    user: String,
    password: Secret,
    tls: Option<TlsConnector>,
}

/// A dialogue with somebody who is logged in, and what the server can do.
pub(super) struct LoggedIn {
    pub(super) dialogue: Dialogue,
    /// Whether single mails can be removed for good.
    pub(super) removes_single: bool,
}

impl Login {
    /// # Errors
    /// `Usage` for settings imap does not have, and for names and passwords it cannot send; `Denied` without any.
    pub(super) fn new(
        place: &Place<'_>,
        url: &TargetUrl,
        options: &StorageOptions,
    ) -> Result<Self> {
        options.allow_only("imap", settings::IMAP)?;
        let Server { user, host, port } = place.server;
        let user = user.as_ref().ok_or_else(|| {
            Error::new(ErrorKind::Usage, "the imap:// URL names no user")
                .with_hint("write imaps://USER@HOST/FOLDER, with %40 for an @ in the name")
        })?;
        let user = match options.setting("full-address") {
            None | Some("false" | "no") => user.clone(),
            // COMPAT(dup all): --imap-full-address.
            Some("true" | "yes") => format!("{user}@{host}"),
            Some(other) => {
                let text = format!("the option `full-address` cannot be {other:?}");
                let error = Error::new(ErrorKind::Usage, text);
                return Err(error.with_hint("it can be true or false"));
            }
        };
        // COMPAT(dup all): IMAP_PASSWORD and IMAP_SERVER.
        let variable = |name: &str| options.environment.get(name);
        let password = url
            .password()
            .cloned()
            .or_else(|| variable("IMAP_PASSWORD").map(Secret::new))
            .or_else(|| first_password(None, options))
            .ok_or_else(|| {
                Error::new(ErrorKind::Denied, "no password for imap").with_hint("set IMAP_PASSWORD")
            })?;
        let sendable = password
            .expose_str()
            .is_some_and(|password| !format!("{user}{password}").contains(['\r', '\n', '\0']));
        if !sendable {
            let text = "user and password for imap must be lines of UTF-8";
            return Err(Error::new(ErrorKind::Usage, text));
        }
        let tls = match place.secure {
            false => None,
            true => Some(Trust::of(options)?.config(ALL_VERSIONS)?),
        };
        Ok(Self {
            host: variable("IMAP_SERVER").unwrap_or(host).to_string(),
            port: port.unwrap_or(if place.secure { 993 } else { 143 }),
            user,
            password,
            tls: tls.map(|config| TlsConnector::from(Arc::new(config))),
        })
    }

    /// Connects and logs in.
    ///
    /// # Errors
    /// `Unreachable`; `Denied` for password or certificate; `RateLimited` if the server has connections enough.
    pub(super) async fn connect(&self, transfer: &Transfer) -> Result<LoggedIn> {
        let line = self.line(transfer).await?;
        let mut dialogue = Dialogue::begin(line, &self.host, transfer).await?;
        if self.tls.is_none() && self.can(&mut dialogue, "LOGINDISABLED", transfer).await? {
            let text = "the server takes no password in the open";
            return Err(Error::new(ErrorKind::Denied, text).with_hint("use imaps://"));
        }
        let password = self.password.expose_str().unwrap_or_default();
        let login = [
            Word::Plain("LOGIN"),
            Word::Text(&self.user),
            Word::Text(password),
        ];
        dialogue
            .ask(&login, transfer)
            .await
            .map_err(|error| refused(error, password))?;
        let removes_single = self.can(&mut dialogue, "UIDPLUS", transfer).await?;
        Ok(LoggedIn {
            dialogue,
            removes_single,
        })
    }

    async fn line(&self, transfer: &Transfer) -> Result<Box<dyn Line>> {
        let unreachable =
            |error: std::io::Error| broken(&self.host, "no connection").with_source(error);
        let address = (self.host.as_str(), self.port);
        let stream = transfer.answer(TcpStream::connect(address)).await?;
        let stream = stream.map_err(unreachable)?;
        let _ = stream.set_nodelay(true);
        let Some(tls) = &self.tls else {
            return Ok(Box::new(stream));
        };
        let name = ServerName::try_from(self.host.clone()).map_err(|_| {
            let text = format!("{} cannot be the name of a server with TLS", self.host);
            Error::new(ErrorKind::Usage, text)
        })?;
        let secured = transfer.answer(tls.connect(name, stream)).await?;
        let secured = secured.map_err(|error| {
            let error = untrusted(&error.to_string(), &self.host);
            match error.kind() {
                ErrorKind::Denied => error,
                _ => error.with_hint("a server without TLS has a URL of the form imap://"),
            }
        })?;
        Ok(Box::new(secured))
    }

    /// Whether the server says that it can do something.
    async fn can(&self, dialogue: &mut Dialogue, what: &str, transfer: &Transfer) -> Result<bool> {
        let answers = dialogue.ask(&[Word::Plain("CAPABILITY")], transfer).await?;
        let mut words = answers.iter().flatten();
        Ok(words.any(|word| word.is(what)))
    }
}

/// A login that was refused. What a server repeats of it may be the password.
fn refused(error: Error, password: &str) -> Error {
    let said = error.to_string();
    let repeats = said.contains("says: BAD") || (!password.is_empty() && said.contains(password));
    let text = match repeats {
        true => "the server refuses the login".to_string(),
        false => said,
    };
    match error.kind() {
        // Not all servers say it with a code.
        ErrorKind::Io => {
            Error::new(ErrorKind::Denied, text).with_hint("check user and password (IMAP_PASSWORD)")
        }
        kind if repeats => Error::new(kind, text),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::super::trouble::said;
    use super::*;

    #[test]
    fn a_refusal_does_not_repeat_the_password() {
        for (status, words, kind) in [
            (
                "BAD",
                "unknown command: d2 LOGIN \"u\" \"can\\\"ary\"",
                ErrorKind::Denied,
            ),
            ("NO", "no such user u with can\"ary", ErrorKind::Denied),
            (
                "NO",
                "[LIMIT] too many for can\"ary",
                ErrorKind::RateLimited,
            ),
            ("NO", "no", ErrorKind::Denied),
        ] {
            let error = refused(said(status, words), "can\"ary");
            assert_eq!(error.kind(), kind, "{words}");
            assert!(!format!("{error:?}{error}").contains("ary"), "{error:?}");
        }
    }
}
