//! The HTTP client of services that go through opendal, where the usual one does not do: for certificates of one's own
//! and further headers.

use super::super::StorageOptions;
use super::tls::Trust;
use crate::engine::error::{Error, ErrorKind, Result};
use opendal::HttpTransporter;
use opendal_http_transport_reqwest::ReqwestTransport;
use reqwest::Client;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tokio_rustls::rustls::ALL_VERSIONS;

/// The client that the settings ask for; `None` for the usual one.
///
/// # Errors
/// `Usage` for a file without certificates, and for headers that are none; `Io` and the like if files cannot be read.
pub(super) fn transport(options: &StorageOptions) -> Result<Option<HttpTransporter>> {
    let trust = Trust::of(options)?;
    let headers = headers(options.setting("headers").unwrap_or_default())?;
    if trust.is_usual() && headers.is_empty() {
        return Ok(None);
    }
    let mut builder = Client::builder().default_headers(headers);
    if !trust.is_usual() {
        builder = builder.tls_backend_preconfigured(trust.config(ALL_VERSIONS)?);
    }
    let client = builder.build().map_err(|e| {
        let text = format!("cannot prepare HTTP: {e}");
        Error::new(ErrorKind::Usage, text)
    })?;
    Ok(Some(HttpTransporter::new(ReqwestTransport::new(client))))
}

/// Headers, a line each.
fn headers(text: &str) -> Result<HeaderMap> {
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
        let found = headers("X-One: a, b\n\n x-two:c \n").expect("two headers");
        assert_eq!(found.len(), 2);
        assert_eq!(found["x-one"], "a, b");
        assert_eq!(found["x-two"], "c");
        for wrong in ["canary", "two words: canary", "x: canary\u{1}"] {
            let error = headers(wrong).expect_err(wrong);
            assert_eq!(error.kind(), ErrorKind::Usage);
            assert!(!format!("{error:?}").contains("canary"), "{error:?}");
        }
    }
}
