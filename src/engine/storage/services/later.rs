//! Services that say how long they want to be left alone.
//!
//! Every answer that is an error is looked at here, whatever asked for it; who tries again waits, see `retry`.

use super::super::transfer::Transfer;
use super::web::header;
use crate::engine::time::Timestamp;
use ::http::header::{DATE, LAST_MODIFIED, RETRY_AFTER};
use ::http::{HeaderMap, Request, Response, StatusCode};
use jiff::fmt::rfc2822::DateTimeParser;
use opendal::{Buffer, HttpBody, HttpTransport, HttpTransporter};
use std::sync::Arc;
use std::time::Duration;

/// A transport that heeds what a service asks for, for those that go through opendal.
pub(super) struct Heeding {
    inner: HttpTransporter,
    transfer: Arc<Transfer>,
}

impl Heeding {
    pub(super) fn new(inner: HttpTransporter, transfer: Arc<Transfer>) -> Self {
        Self { inner, transfer }
    }
}

impl HttpTransport for Heeding {
    async fn fetch(&self, request: Request<Buffer>) -> opendal::Result<Response<HttpBody>> {
        let response = self.inner.fetch(request).await?;
        heed(&self.transfer, response.status(), response.headers());
        Ok(response)
    }
}

/// Keeps in mind when a service that did not do what was asked wants to be asked again.
pub(super) fn heed(transfer: &Transfer, status: StatusCode, headers: &HeaderMap) {
    if (status.is_client_error() || status.is_server_error())
        && let Some(wait) = retry_after(headers)
    {
        transfer.leave_alone(wait);
    }
}

/// How long the service asks to wait.
// Source: RFC 9110, section 10.2.3: seconds, or a date.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = header(headers, RETRY_AFTER.as_str())?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    // By the clock of the service, which says what it is; nobody else's is the same.
    let seconds = seconds_of(text)?.saturating_sub(date(headers)?);
    Some(Duration::from_secs(seconds.try_into().unwrap_or(0)))
}

/// When the service answered, in seconds.
pub(super) fn date(headers: &HeaderMap) -> Option<i64> {
    seconds_of(header(headers, DATE.as_str())?)
}

/// When the object of an answer was last written.
pub(super) fn written(headers: &HeaderMap) -> Option<Timestamp> {
    seconds_of(header(headers, LAST_MODIFIED.as_str())?).map(Timestamp)
}

fn seconds_of(text: &str) -> Option<i64> {
    let time = DateTimeParser::new().parse_timestamp(text);
    time.ok().map(|time| time.as_second())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::http::HeaderValue;

    fn asked(after: &'static str, date: Option<&'static str>) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_static(after));
        if let Some(date) = date {
            headers.insert(DATE, HeaderValue::from_static(date));
        }
        retry_after(&headers)
    }

    #[test]
    fn seconds_and_dates_say_how_long() {
        let now = Some("Sun, 06 Nov 1994 08:49:37 GMT");
        let seconds = |n| Some(Duration::from_secs(n));
        assert_eq!(retry_after(&HeaderMap::new()), None);
        assert_eq!(asked("7", now), seconds(7));
        assert_eq!(asked(" 7 ", None), seconds(7));
        assert_eq!(asked("Sun, 06 Nov 1994 08:50:00 GMT", now), seconds(23));
        // That was before.
        assert_eq!(asked("Sun, 06 Nov 1994 08:49:00 GMT", now), seconds(0));
        // Nobody knows how long that is from now.
        assert_eq!(asked("Sun, 06 Nov 1994 08:50:00 GMT", None), None);
        for wrong in ["", "soon", "-1", "1.5", "99999999999999999999999"] {
            assert_eq!(asked(wrong, now), None, "{wrong}");
        }
    }

    #[test]
    fn only_errors_are_heeded() {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_static("100"));
        let still_asked = |status| {
            let transfer = Transfer::new(&Default::default());
            heed(&transfer, status, &headers);
            transfer.still_asked()
        };
        for status in [
            StatusCode::SERVICE_UNAVAILABLE,
            StatusCode::TOO_MANY_REQUESTS,
        ] {
            assert!(still_asked(status) > Duration::from_secs(60), "{status}");
        }
        for status in [StatusCode::OK, StatusCode::ACCEPTED, StatusCode::FOUND] {
            assert_eq!(still_asked(status), Duration::ZERO, "{status}");
        }
    }

    #[test]
    fn the_time_there_is_read() {
        let mut headers = HeaderMap::new();
        assert_eq!(date(&headers), None);
        let text = HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT");
        headers.insert(DATE, text);
        assert_eq!(date(&headers), Some(784_111_777));
    }
}
