//! One HTTP request with patience and manners: time limits, few repetitions, errors that show no secret.
//!
//! The address itself may be a secret (a ping URL is one), so errors name only where it leads. What a server answers
//! is shown with every secret of the request blotted out. Redirects are not followed: a POST would become a GET.

use super::super::format;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::secret::Secret;
use crate::profile::WebAddress;
use crate::profile::url;
use reqwest::blocking::{Client, Response};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, StatusCode};
use std::io::Read;
use std::time::Duration;

/// Time until a connection stands.
const CONNECT: Duration = Duration::from_secs(10);

/// Time a request may take as a whole.
const TOTAL: Duration = Duration::from_secs(30);

/// How often a server that cannot be reached or says "later" is asked again, and the pause before.
const RETRIES: u32 = 2;
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Bytes of an answer that are looked at, and characters of it that are shown.
const ANSWER_BYTES: u64 = 4096;
const SHOWN_CHARS: usize = 120;

/// A request, still without its address.
pub struct Request {
    method: Method,
    headers: Vec<(String, Secret)>,
    body: Option<(String, String)>,
    secret_headers: bool,
    retries: u32,
}

impl Request {
    /// Fetches an address.
    pub fn get() -> Self {
        Self::new(Method::GET)
    }

    /// Posts a body.
    pub fn post(content_type: &str, body: impl Into<String>) -> Self {
        Self::new(Method::POST).with_body(content_type, body)
    }

    /// Puts a body in place of what is there.
    pub fn put(content_type: &str, body: impl Into<String>) -> Self {
        Self::new(Method::PUT).with_body(content_type, body)
    }

    fn new(method: Method) -> Self {
        Self {
            method,
            headers: Vec::new(),
            body: None,
            secret_headers: false,
            retries: RETRIES,
        }
    }

    fn with_body(mut self, content_type: &str, body: impl Into<String>) -> Self {
        self.body = Some((content_type.to_owned(), body.into()));
        self
    }

    /// Adds a header that everybody may see.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), Secret::new(value)));
        self
    }

    /// Adds a header with a secret: such a request never goes unencrypted to another machine.
    pub fn secret_header(mut self, name: &str, value: Secret) -> Self {
        self.headers.push((name.to_owned(), value));
        self.secret_headers = true;
        self
    }

    /// Gives up at the first failure.
    pub fn once(mut self) -> Self {
        self.retries = 0;
        self
    }

    /// Sends it to `full`, an address made from `address`.
    ///
    /// # Errors
    /// The server cannot be reached or does not answer with success; the text names `address` by its place only.
    pub fn send(&self, address: &WebAddress, full: &str) -> Result<()> {
        let name = url::web_host(full).map_err(|why| {
            let text = format!("{address} is not an address of the web: {why}");
            Error::new(ErrorKind::Usage, text).with_hint("write it as https://host/path")
        })?;
        if self.secret_headers && url::is_clear(full) {
            let text = format!("nothing was sent to {name}: a secret would go in the clear");
            return Err(Error::new(ErrorKind::Usage, text).with_hint("write https://"));
        }
        let client = Client::builder()
            .connect_timeout(CONNECT)
            .timeout(TOTAL)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("dupr/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|e| Error::new(ErrorKind::Io, "cannot prepare HTTP").with_source(e))?;
        let headers = self.header_map()?;
        let mut attempt = 0;
        loop {
            match self.attempt(&client, &headers, &name, full) {
                Err(e) if e.kind().is_retryable() && attempt < self.retries => {
                    attempt += 1;
                    std::thread::sleep(RETRY_PAUSE);
                }
                result => return result,
            }
        }
    }

    fn header_map(&self) -> Result<HeaderMap> {
        let mut map = HeaderMap::new();
        if let Some((content_type, _)) = &self.body
            && let Ok(value) = HeaderValue::from_str(content_type)
        {
            map.insert(CONTENT_TYPE, value);
        }
        for (name, value) in &self.headers {
            let bad = || {
                let text = format!("the value of the header {name} cannot be sent");
                Error::new(ErrorKind::Usage, text)
            };
            let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad())?;
            let mut value = HeaderValue::from_bytes(value.expose()).map_err(|_| bad())?;
            value.set_sensitive(true);
            map.insert(header, value);
        }
        Ok(map)
    }

    fn attempt(&self, client: &Client, headers: &HeaderMap, name: &str, full: &str) -> Result<()> {
        let mut request = client
            .request(self.method.clone(), full)
            .headers(headers.clone());
        if let Some((_, body)) = &self.body {
            request = request.body(body.clone());
        }
        match request.send() {
            Ok(response) if response.status().is_success() => Ok(()),
            Ok(response) => Err(self.refused(response, name, full)),
            Err(e) => Err(unreachable(&e.without_url(), name)),
        }
    }

    /// An answer that is no success, in words.
    fn refused(&self, response: Response, name: &str, full: &str) -> Error {
        let status = response.status();
        let moved = status.is_redirection();
        let mut answer = Vec::new();
        let _ = response.take(ANSWER_BYTES).read_to_end(&mut answer);
        let answer = self.blotted(&String::from_utf8_lossy(&answer), full);
        let line = answer.lines().map(str::trim).find(|l| !l.is_empty());
        let said = line
            .filter(|l| !l.starts_with('<') && !l.starts_with('{'))
            .map(|l| format!(": {}", format::shortened(&format::safe(l), SHOWN_CHARS)));
        let kind = match status {
            StatusCode::TOO_MANY_REQUESTS => ErrorKind::RateLimited,
            _ if status.is_server_error() => ErrorKind::Unreachable,
            _ if status.is_client_error() => ErrorKind::Denied,
            _ => ErrorKind::Io,
        };
        let text = format!("{name} answered {status}{}", said.unwrap_or_default());
        let error = Error::new(kind, text);
        match status.as_u16() {
            401 | 403 => error.with_hint("look at the token or header of the report"),
            404 | 410 => error.with_hint("look at the address of the report"),
            _ if moved => error.with_hint("write the address it is at now"),
            _ => error,
        }
    }

    /// The text without what was secret in the request.
    fn blotted(&self, text: &str, full: &str) -> String {
        let path = full
            .split_once("://")
            .and_then(|(_, rest)| rest.split_once('/'))
            .map(|(_, path)| path);
        let secrets = self.headers.iter().filter_map(|(_, s)| s.expose_str());
        let words = secrets.flat_map(|s| std::iter::once(s).chain(s.split(' ')));
        let parts = path.iter().flat_map(|p| p.split(['/', '?', '&', '=']));
        words
            .chain(path)
            .chain(parts)
            // Shorter words are no secrets, and blotting them out would garble every answer.
            .filter(|word| word.len() >= 8)
            .fold(text.to_owned(), |text, word| text.replace(word, "***"))
    }
}

fn unreachable(error: &reqwest::Error, name: &str) -> Error {
    let mut text = String::new();
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(e) = cause {
        text = e.to_string();
        cause = e.source();
    }
    let text = if error.is_timeout() {
        "no answer in time".to_owned()
    } else {
        format::shortened(&format::safe(&text), SHOWN_CHARS)
    };
    let kind = if error.is_builder() {
        ErrorKind::Usage
    } else {
        ErrorKind::Unreachable
    };
    let error = Error::new(kind, format!("{name} cannot be reached: {text}"));
    if text.to_lowercase().contains("certificate") {
        return error.with_hint(
            "the certificate must be for that name, and signed by an authority the system knows",
        );
    }
    error
}

/// A path added to an address, in front of its query.
pub fn below(address: &str, more: &str) -> String {
    let (base, query) = match address.split_once('?') {
        Some((base, query)) => (base, format!("?{query}")),
        None => (address, String::new()),
    };
    format!("{}/{more}{query}", base.trim_end_matches('/'))
}

/// The address itself, as text.
///
/// # Errors
/// Its secret cannot be read, or is not UTF-8.
pub fn address(address: &WebAddress, secrets: super::SecretReader<'_>) -> Result<String> {
    let secret = secrets(&address.url)?;
    let text = secret.expose_str().map(|t| t.trim().to_owned());
    text.ok_or_else(|| Error::new(ErrorKind::Usage, format!("{address} is not UTF-8")))
}

#[cfg(test)]
mod tests;
