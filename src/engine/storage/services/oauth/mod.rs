//! Services that are told by a token who asks, as OAuth 2.0 has it.
//!
//! A token holds for an hour or so. Another is asked for when there is none, before the one there is runs out, and once
//! when it was refused. What proves that it may be had is the service's own affair.

pub(super) mod assertion;
pub(super) mod google;
pub(super) mod sealed_key;

use super::super::StorageOptions;
use super::super::transfer::{Download, MAX_ASKED, Transfer};
use super::later::{date, retry_after};
use super::web::{Sent, Web, header};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::secret::Secret;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, LOCATION};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// A token is not used any more so long before its end.
const BEFORE_ITS_END: Duration = Duration::from_secs(300);

/// Tokens a request is tried with: the one that is held may have come to its end, and so may its follower, which others use as well.
const TOKENS: u32 = 3;

/// What a form says.
pub(super) type Form = Vec<(&'static str, Secret)>;

/// What proves that a token may be had.
pub(super) trait Grant: Send + Sync {
    /// What is sent for a token. `now` is the service's time in seconds, where it [is wanted](Self::is_timed).
    fn form(&self, now: i64) -> Result<Form>;

    /// Whether a form names the time.
    fn is_timed(&self) -> bool {
        false
    }

    /// Looks at what came with a token.
    fn granted(&self, answer: &Value) {
        let _ = answer;
    }
}

/// Where tokens are given out, and for what.
pub(super) struct Login {
    /// Address of the service's tokens.
    pub(super) url: String,
    /// What is sent there.
    pub(super) grant: Box<dyn Grant>,
    /// What to look at when it is refused.
    pub(super) hint: &'static str,
}

/// A token that was given out.
struct Held {
    access: HeaderValue,
    until: Option<Instant>,
}

/// What a service says of a request it did not do.
pub(super) struct Meaning {
    /// Kind of trouble; `None` for that of the status.
    pub(super) kind: Option<ErrorKind>,
    /// In words of the service.
    pub(super) text: String,
}

/// A client that proves who asks.
pub(super) struct Authorized {
    web: Web,
    login: Login,
    held: Mutex<Option<Held>>,
    service: &'static str,
    meaning: fn(StatusCode, &Value) -> Meaning,
}

impl Authorized {
    /// # Errors
    /// What preparing the client reports.
    pub(super) fn new(
        service: &'static str,
        login: Login,
        meaning: fn(StatusCode, &Value) -> Meaning,
        options: &StorageOptions,
        transfer: Arc<Transfer>,
    ) -> Result<Self> {
        Ok(Self {
            web: Web::new(service, options, transfer)?,
            login,
            held: Mutex::new(None),
            service,
            meaning,
        })
    }

    /// The client below.
    pub(super) fn web(&self) -> &Web {
        &self.web
    }

    /// The token that holds, or a new one, as it stands in a header.
    ///
    /// # Errors
    /// `Denied` if none is given.
    pub(super) async fn access(&self) -> Result<HeaderValue> {
        let mut held = self.held.lock().await;
        if let Some(held) = &*held
            && held.until.is_none_or(|until| Instant::now() < until)
        {
            return Ok(held.access.clone());
        }
        let now = match self.login.grant.is_timed() {
            true => self.time_there().await?,
            false => 0,
        };
        let form = self.login.grant.form(now)?;
        let request = self.web.request(Method::POST, &self.login.url);
        let request = request
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(encoded(&form));
        let response = self.web.send(request).await?;
        let status = response.status();
        if !status.is_success() {
            return Err(self.no_token(response).await);
        }
        let answer = self.web.json(response).await?;
        let token = answer["access_token"].as_str().unwrap_or_default();
        if token.is_empty() {
            let text = format!("{}: the answer holds no token", self.service);
            return Err(Error::new(ErrorKind::Io, text));
        }
        let mut access = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| {
            let text = format!("{}: the access token is none", self.service);
            Error::new(ErrorKind::Io, text)
        })?;
        access.set_sensitive(true);
        self.login.grant.granted(&answer);
        let seconds = answer["expires_in"].as_u64().map(Duration::from_secs);
        // One that holds for less than the margin is used until it is refused.
        let until = seconds
            .and_then(|all| all.checked_sub(BEFORE_ITS_END))
            .filter(|rest| !rest.is_zero())
            .map(|rest| Instant::now() + rest);
        *held = Some(Held {
            access: access.clone(),
            until,
        });
        Ok(access)
    }

    /// The service's own time: clocks that differ are what such logins fail of most.
    async fn time_there(&self) -> Result<i64> {
        let asked = self.web.request(Method::GET, &self.login.url);
        let response = self.web.send(asked).await?;
        date(response.headers()).ok_or_else(|| {
            let status = response.status();
            let error = self.web.refused("the question for the time", status);
            match error.kind().is_retryable() {
                true => error,
                false => {
                    let text = format!("{}: the service does not tell the time", self.service);
                    Error::new(ErrorKind::Io, text)
                }
            }
        })
    }

    /// Why there is no token. What the service says of it may repeat what it was sent, so only its code is shown.
    async fn no_token(&self, response: Response) -> Error {
        let status = response.status();
        let error = self.web.refused("the question for a token", status);
        if !matches!(status.as_u16(), 400 | 401 | 403) {
            return error;
        }
        let answer = self.web.json(response).await.unwrap_or_default();
        let code = answer["error"].as_str().unwrap_or_default();
        let is_word = |c: char| c.is_ascii_lowercase() || c == '_';
        let text = match !code.is_empty() && code.len() < 40 && code.chars().all(is_word) {
            true => format!("{error}: {code}"),
            false => error.to_string(),
        };
        Error::new(ErrorKind::Denied, text).with_hint(self.login.hint)
    }

    /// Forgets a token that was refused, unless there is a newer one.
    pub(super) async fn forget(&self, refused: &HeaderValue) {
        let mut held = self.held.lock().await;
        if held.as_ref().is_some_and(|held| held.access == refused) {
            *held = None;
        }
    }

    /// Sends a request without contents; again with a new token if the old one is refused.
    pub(super) async fn send(
        &self,
        method: Method,
        url: &str,
        more: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<Response> {
        let mut tries = 0;
        loop {
            let access = self.access().await?;
            let request = self.web.request(method.clone(), url);
            let request = more(request.header(AUTHORIZATION, access.clone()));
            let response = self.web.send(request).await?;
            tries += 1;
            if response.status() != StatusCode::UNAUTHORIZED || tries == TOKENS {
                return Ok(response);
            }
            self.forget(&access).await;
        }
    }

    /// Sends a range of a file, start and length; again with a new token if the old one is refused.
    pub(super) async fn store(
        &self,
        method: Method,
        url: &str,
        from: &Path,
        range: (u64, u64),
        more: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<Response> {
        self.store_within(method, url, from, range, ("", ""), more)
            .await
    }

    /// The same with text before and behind it.
    pub(super) async fn store_within(
        &self,
        method: Method,
        url: &str,
        from: &Path,
        (start, length): (u64, u64),
        around: (&str, &str),
        more: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<Response> {
        let mut tries = 0;
        loop {
            let access = self.access().await?;
            let mut upload = self.web.transfer().upload(from)?;
            upload.skip(start)?;
            let request = self.web.request(method.clone(), url);
            let request = more(request.header(AUTHORIZATION, access.clone()));
            let sent = self
                .web
                .upload_within(request, &mut upload, length, around)
                .await;
            if sent.is_err() {
                // Who refuses a token may hang up before the refusal is read.
                self.forget(&access).await;
            }
            let Sent { response, .. } = sent?;
            tries += 1;
            if response.status() != StatusCode::UNAUTHORIZED || tries == TOKENS {
                return Ok(response);
            }
            self.forget(&access).await;
        }
    }

    /// # Errors
    /// What an answer means, unless it is a success.
    pub(super) async fn good(&self, what: &str, response: Response) -> Result<Response> {
        match response.status().is_success() {
            true => Ok(response),
            false => Err(self.trouble(what, response).await),
        }
    }

    /// What an answer that is no success means.
    pub(super) async fn trouble(&self, what: &str, response: Response) -> Error {
        let status = response.status();
        let error = self.web.refused(what, status);
        let body = self.web.body(response).await.unwrap_or_default();
        let answer = serde_json::from_slice(&body).unwrap_or_default();
        let Meaning { kind, text } = (self.meaning)(status, &answer);
        let kind = kind.unwrap_or(error.kind());
        let text: String = text.chars().filter(|c| !c.is_control()).take(200).collect();
        let error = match text.is_empty() {
            true => Error::new(kind, error.to_string()),
            false => Error::new(kind, format!("{error}: {text}")),
        };
        match kind {
            ErrorKind::Denied => error.with_hint(self.login.hint),
            _ => error,
        }
    }

    /// Waits as long as an answer asks for.
    ///
    /// # Errors
    /// `Interrupted`.
    pub(super) fn wait(&self, answer: &Response) -> Result<()> {
        let asked = retry_after(answer.headers()).unwrap_or(Duration::from_secs(1));
        self.web.transfer().pause(asked.min(MAX_ASKED))
    }

    /// Asks, with JSON if there is any; the answer as JSON.
    pub(super) async fn ask(
        &self,
        what: &str,
        method: Method,
        url: &str,
        argument: Option<&Value>,
    ) -> Result<Value> {
        let response = self
            .send(method, url, |request| match argument {
                None => request,
                Some(argument) => request
                    .header(CONTENT_TYPE, "application/json")
                    .body(argument.to_string()),
            })
            .await?;
        self.web.json(self.good(what, response).await?).await
    }

    /// Whether an address the service gives may be used: one of its server, or one that is encrypted.
    ///
    /// # Errors
    /// `Io` for any other.
    pub(super) fn check_address(&self, address: &str, server: &str) -> Result<()> {
        let of_server = address.strip_prefix(server);
        if address.starts_with("https://") || of_server.is_some_and(|rest| rest.starts_with('/')) {
            return Ok(());
        }
        let text = format!("{}: the service sends elsewhere, in the open", self.service);
        Err(Error::new(ErrorKind::Io, text))
    }

    /// Downloads from an address, or from where it sends. That gets no token: it is a secret itself.
    pub(super) async fn fetch(&self, url: &str, server: &str, to: &mut Download<'_>) -> Result<()> {
        let mut response = self.send(Method::GET, url, |request| request).await?;
        if response.status().is_redirection() {
            let next = header(response.headers(), LOCATION.as_str()).unwrap_or_default();
            self.check_address(next, server)?;
            let request = self.web.request(Method::GET, next);
            response = self.web.send(request).await?;
        }
        let response = self.good("the download", response).await?;
        self.web.download(response, to).await
    }
}

/// Text as it stands in an address or in a form.
pub(super) fn escaped(text: &str) -> String {
    /// What stands for itself everywhere.
    const PLAIN: &percent_encoding::AsciiSet = &percent_encoding::NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'.')
        .remove(b'_')
        .remove(b'~');
    percent_encoding::utf8_percent_encode(text, PLAIN).to_string()
}

/// Pairs as a form.
fn encoded(form: &[(&'static str, Secret)]) -> String {
    let pairs = form.iter().map(|(name, value)| {
        let value = value.expose_str().unwrap_or_default();
        format!("{name}={}", escaped(value))
    });
    pairs.collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_escaped() {
        let form = [("a", Secret::new("b c&-._~")), ("d", Secret::new(""))];
        assert_eq!(encoded(&form), "a=b%20c%26-._~&d=");
    }
}
