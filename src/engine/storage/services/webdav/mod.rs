//! Collections of a WebDAV server, through opendal, over HTTP or HTTPS.
//!
//! An upload is one request, read from its file as it is sent; servers show it while it is under way, so it gets its name by a
//! MOVE when it is whole. Missing collections are made.

mod digest;
mod sender;
mod way;

pub(super) use sender::Sender;

use super::cloud::{CloudStorage, answer_of, kind_of, operator};
use super::web::Web;
use super::{http, tls};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::secret::Secret;
use crate::engine::storage::StorageOptions;
use crate::engine::storage::options::first_password;
use crate::engine::storage::settings;
use crate::engine::storage::transfer::Transfer;
use crate::engine::storage::url::{Server, TargetUrl};
use opendal::HttpTransporter;
use opendal::raw::percent_encode_path;
use opendal::services::Webdav;
use std::sync::Arc;
use way::{Shared, Way, Who};

/// Where a collection lies.
pub(super) struct Collection<'a> {
    /// HTTPS instead of HTTP.
    pub(super) secure: bool,
    /// The machine.
    pub(super) server: &'a Server,
    /// Path on the server, without percent escapes.
    pub(super) path: &'a str,
}

/// # Errors
/// `Usage` for settings webdav does not have, and for a password that is not UTF-8.
pub(super) fn open(
    place: &Collection<'_>,
    url: &TargetUrl,
    options: &StorageOptions,
    transfer: Arc<Transfer>,
) -> Result<CloudStorage> {
    options.allow_only("webdav", settings::WEBDAV)?;
    let protocol = if place.secure { "https" } else { "http" };
    let Server { user, port, .. } = place.server;
    let host = place.server.host_of_url();
    let port = port.map(|port| format!(":{port}"));
    let base = format!("{protocol}://{host}{}", port.unwrap_or_default());
    let who = user.as_ref().map(|user| Who {
        user: user.clone(),
        password: first_password(url.password(), options).unwrap_or_else(|| Secret::new("")),
    });
    if let Some(who) = &who
        && who.password.expose_str().is_none()
    {
        let text = "the password for webdav is not UTF-8";
        return Err(Error::new(ErrorKind::Usage, text));
    }
    let (transport, client) = http::straight(options)?;
    let way = Arc::new(Way::new(transport, http::headers(options)?, who));
    let web = Web::with("webdav", client, Arc::clone(&transfer));
    let sender = Sender::new(web, Arc::clone(&way), &base, place.path);
    let transport = HttpTransporter::new(Shared(way));
    let through = |service| operator(service, Some(transport.clone()), &transfer, explain);
    let rooted = through(Webdav::default().endpoint(&base).root(place.path))?;
    // A server that sends requests on names files by where they are there, which may be shorter than the root.
    let path = percent_encode_path(place.path.trim_matches('/'));
    let lister =
        through(Webdav::default().endpoint(format!("{base}/{path}").trim_end_matches('/')))?;
    let storage = CloudStorage::new(rooted, url.location(), transfer, Box::new(explain));
    Ok(storage.with_lister(lister).with_renames(sender))
}

/// Says in one line what the server answered, with a kind and, where it helps, a way out.
fn explain(error: opendal::Error) -> Error {
    if let Some(disbelieved) = tls::disbelieved(&error, "the server") {
        return disbelieved;
    }
    let Some(status) = status_of(&error) else {
        return Error::new(kind_of(&error), format!("webdav: {}", answer_of(&error)));
    };
    // The body is a page for a browser.
    let text = format!("webdav: the server answered with status {status}");
    refusal(status).unwrap_or_else(|| Error::new(kind_of(&error), text))
}

/// What a status means that says more than that it went wrong.
fn refusal(status: u16) -> Option<Error> {
    let (kind, hint) = match status {
        401 => (
            ErrorKind::Denied,
            "check user and password (BACKEND_PASSWORD); the server must take Basic or Digest authorization",
        ),
        403 => (ErrorKind::Denied, "may this user write there?"),
        404 => (ErrorKind::NotFound, ""),
        405 => (
            ErrorKind::Unsupported,
            "is there a WebDAV server at this path?",
        ),
        429 => (ErrorKind::RateLimited, ""),
        507 => (ErrorKind::Full, ""),
        413 => (
            ErrorKind::Unsupported,
            "make `volume-size` smaller, or raise the server's limit",
        ),
        _ => return None,
    };
    let text = format!("webdav: the server answered with status {status}");
    let error = Error::new(kind, text);
    Some(match hint {
        "" => error,
        hint => error.with_hint(hint),
    })
}

/// The HTTP status, which opendal tells only in its text.
fn status_of(error: &opendal::Error) -> Option<u16> {
    let text = error.to_string();
    let (_, after) = text.split_once("Parts { status: ")?;
    after.get(..3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_decides_the_kind() {
        for (status, kind) in [
            (401, ErrorKind::Denied),
            (404, ErrorKind::NotFound),
            (507, ErrorKind::Full),
            (429, ErrorKind::RateLimited),
        ] {
            let error = opendal::Error::new(opendal::ErrorKind::Unexpected, "<html>x</html>")
                .with_context(
                    "response",
                    format!("Parts {{ status: {status}, version: 1 }}"),
                );
            let error = explain(error);
            assert_eq!(error.kind(), kind);
            assert!(!error.to_string().contains('<'), "{error}");
        }
        let cut = opendal::Error::new(opendal::ErrorKind::Unexpected, "send http request")
            .set_temporary();
        assert_eq!(explain(cut).kind(), ErrorKind::Unreachable);
    }
}
