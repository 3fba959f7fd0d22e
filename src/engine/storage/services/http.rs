//! The HTTP clients of services: for those that go through opendal where the usual one does not do, with certificates of
//! one's own and further headers, and for those that speak HTTP themselves.

use super::super::StorageOptions;
use super::tls::Trust;
use crate::engine::error::{Error, ErrorKind, Result};
use opendal::HttpTransporter;
use opendal_http_transport_reqwest::ReqwestTransport;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder};
use tokio_rustls::rustls::ALL_VERSIONS;

/// The client that the settings ask for; `None` for the usual one.
///
/// # Errors
/// `Usage` for a file without certificates, and for headers that are none; `Io` and the like if files cannot be read.
pub(super) fn transport(options: &StorageOptions) -> Result<Option<HttpTransporter>> {
    let trust = Trust::of(options)?;
    let headers = headers(options)?;
    if trust.is_usual() && headers.is_empty() {
        return Ok(None);
    }
    let client = built(Client::builder().default_headers(headers), &trust)?;
    Ok(Some(HttpTransporter::new(ReqwestTransport::new(client))))
}

/// As [`transport`], that follows no redirection, and without the headers of the settings; and its client, for requests
/// beside opendal.
///
/// # Errors
/// As [`transport`].
pub(super) fn straight(options: &StorageOptions) -> Result<(HttpTransporter, Client)> {
    let client = client(options)?;
    let transport = HttpTransporter::new(ReqwestTransport::new(client.clone()));
    Ok((transport, client))
}

/// A client that follows no redirection: it would hand a token that is no standard header to whoever is named there.
///
/// # Errors
/// As [`transport`].
pub(super) fn client(options: &StorageOptions) -> Result<Client> {
    let builder = Client::builder().redirect(Policy::none());
    built(builder, &Trust::of(options)?)
}

fn built(mut builder: ClientBuilder, trust: &Trust) -> Result<Client> {
    if !trust.is_usual() {
        builder = builder.tls_backend_preconfigured(trust.config(ALL_VERSIONS)?);
    }
    builder.build().map_err(|e| {
        let text = format!("cannot prepare HTTP: {e}");
        Error::new(ErrorKind::Usage, text)
    })
}

/// The headers of the settings.
///
/// # Errors
/// `Usage` for what is none.
pub(super) fn headers(options: &StorageOptions) -> Result<HeaderMap> {
    header_lines(options.setting("headers").unwrap_or_default())
}

/// Headers, a line each.
fn header_lines(text: &str) -> Result<HeaderMap> {
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    // Values may be secrets, and are not repeated.
    let wrong = || {
        Error::new(
            ErrorKind::Usage,
            "the option `headers` has a line that is no header",
        )
        .with_hint("write lines such as X-Name: value")
    };
    lines
        .map(|line| {
            let (name, value) = line.split_once(':').ok_or_else(wrong)?;
            let name = HeaderName::from_bytes(name.trim().as_bytes()).map_err(|_| wrong())?;
            let mut value = HeaderValue::from_str(value.trim()).map_err(|_| wrong())?;
            value.set_sensitive(true);
            Ok((name, value))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_lines() {
        let found = header_lines("X-One: a, b\n\n x-two:c \n").expect("two headers");
        assert_eq!(found.len(), 2);
        assert_eq!(found["x-one"], "a, b");
        assert_eq!(found["x-two"], "c");
        for wrong in ["canary", "two words: canary", "x: canary\u{1}"] {
            let error = header_lines(wrong).expect_err(wrong);
            assert_eq!(error.kind(), ErrorKind::Usage);
            assert!(!format!("{error:?}").contains("canary"), "{error:?}");
        }
    }
}
