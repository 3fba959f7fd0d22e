//! Uploads to a WebDAV server: read from their file as they are sent, by the way that all requests take.
//!
//! opendal holds an upload in memory. What was sent to a server that then asks who is there, or sends one elsewhere, is sent
//! again from its first byte.

use super::way::{Hop, Way};
use super::{explain, refusal};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::storage::services::web::{Sent, Web};
use ::http::Uri;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::StatusCode;
use std::path::Path;
use std::sync::Arc;

/// What stands for itself in a path.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

/// Who uploads to one collection.
pub(in super::super) struct Sender {
    web: Web,
    way: Arc<Way>,
    /// Address of the collection, with a slash at its end.
    base: String,
}

impl Sender {
    /// `path` begins with a slash and has no percent escapes.
    pub(super) fn new(web: Web, way: Arc<Way>, server: &str, path: &str) -> Self {
        let path = utf8_percent_encode(path.trim_end_matches('/'), PLAIN);
        Self {
            web,
            way,
            base: format!("{server}{path}/"),
        }
    }

    /// Uploads a file under this name.
    ///
    /// # Errors
    /// `NotFound` if there is no such collection; what the server says, or the line.
    pub(in super::super) async fn put(&self, name: &str, from: &Path) -> Result<()> {
        let url = format!("{}{}", self.base, utf8_percent_encode(name, PLAIN));
        let uri: Uri = url.parse().map_err(|_| {
            let text = format!("webdav: {name:?} makes no address");
            Error::new(ErrorKind::Usage, text)
        })?;
        let mut hop = Hop::new(&self.way, uri);
        loop {
            let head = match hop.is_trusted {
                true => {
                    let asked = self.way.before_upload(&hop.head);
                    self.web.transfer().answer(asked).await?.map_err(explain)?;
                    self.way.authorized(&hop.head)
                }
                false => hop.head.clone(),
            };
            let mut upload = self.web.transfer().upload(from)?;
            let bytes = upload.len();
            let request = self.web.request(head.method, &head.uri.to_string());
            let request = request.headers(head.headers);
            let sent = self.web.upload(request, &mut upload, bytes).await;
            if sent.is_err() && hop.is_trusted {
                self.way.doubt();
            }
            let Sent { response, .. } = sent?;
            let status = response.status();
            if hop.goes_on(status, response.headers()).map_err(explain)? {
                continue;
            }
            return match status {
                status if status.is_success() => Ok(()),
                // What it says of a collection that is not there.
                StatusCode::CONFLICT => {
                    let text = "webdav: the server answered with status 409";
                    Err(Error::new(ErrorKind::NotFound, text))
                }
                status => {
                    let other = || self.web.refused("an upload", status);
                    Err(refusal(status.as_u16()).unwrap_or_else(other))
                }
            };
        }
    }
}
