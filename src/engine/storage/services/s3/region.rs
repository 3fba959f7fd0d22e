//! Buckets that lie in another region than the signatures say: the server names it, and the call is made again for that one.
//!
//! Amazon refuses a signature for a wrong region, or an address of one, and says which is right. Source: "Working with multiple
//! Amazon S3 buckets" of the service's documentation; the code `AuthorizationHeaderMalformed`, with the element `Region`, and
//! the header `x-amz-bucket-region`.

use super::super::cloud::CloudStorage;
use super::Place;
use crate::engine::error::{ErrorKind, Result};
use crate::engine::storage::growing::Growing;
use crate::engine::storage::transfer::Transfer;
use crate::engine::storage::{Location, Object, Rest, Storage, StorageOptions, ThawOrder};
use crate::engine::time::Timestamp;
use ::http::{HeaderMap, Method, Request, Response};
use futures_core::Stream;
use opendal::{Buffer, HttpBody, HttpTransport, HttpTransporter};
use std::cell::Cell;
use std::io::{self, Write};
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

/// The region a server has named last.
#[derive(Clone, Default)]
pub(super) struct Told(Arc<Mutex<Option<String>>>);

impl Told {
    fn lock(&self) -> MutexGuard<'_, Option<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A transport that hears which region a server names.
pub(super) struct Listening {
    inner: HttpTransporter,
    told: Told,
}

impl Listening {
    pub(super) fn new(inner: HttpTransporter, told: Told) -> Self {
        Self { inner, told }
    }
}

impl HttpTransport for Listening {
    async fn fetch(&self, request: Request<Buffer>) -> opendal::Result<Response<HttpBody>> {
        let has_body = *request.method() != Method::HEAD;
        let response = self.inner.fetch(request).await?;
        if !matches!(response.status().as_u16(), 301 | 400 | 403) {
            return Ok(response);
        }
        if let Some(region) = in_head(response.headers()) {
            *self.told.lock() = Some(region);
        } else if has_body {
            let (head, mut body) = response.into_parts();
            let body = body.to_buffer().await?;
            if let Some(region) = in_body(&String::from_utf8_lossy(&body.to_bytes())) {
                *self.told.lock() = Some(region);
            }
            let size = body.len() as u64;
            let body = HttpBody::new(Once(Some(body)), Some(size));
            return Ok(Response::from_parts(head, body));
        }
        Ok(response)
    }
}

/// A body that was read already.
struct Once(Option<Buffer>);

impl Stream for Once {
    type Item = opendal::Result<Buffer>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.0.take().filter(|body| !body.is_empty()).map(Ok))
    }
}

fn in_head(headers: &HeaderMap) -> Option<String> {
    let value = headers.get("x-amz-bucket-region")?;
    name_of(value.to_str().ok()?)
}

fn in_body(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("<Region>")?;
    name_of(rest.split_once("</Region>")?.0)
}

/// The name of a region, and nothing else: it becomes part of an address.
fn name_of(text: &str) -> Option<String> {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let is_name = (1..=40).contains(&text.len()) && text.chars().all(is_plain);
    is_name.then(|| text.to_string())
}

/// A bucket that is asked again where the server says that it lies.
pub(in super::super) struct Regional {
    bucket: String,
    prefix: String,
    server: Option<String>,
    location: Location,
    options: StorageOptions,
    transfer: Arc<Transfer>,
    told: Told,
    /// The region that signatures are for, and the bucket as reached so.
    now: Mutex<(String, Arc<CloudStorage>)>,
}

impl Regional {
    /// A bucket in the region of the options.
    ///
    /// # Errors
    /// Those of [`open`](super::open).
    pub(in super::super) fn open(
        place: &Place<'_>,
        location: Location,
        options: &StorageOptions,
        transfer: Arc<Transfer>,
    ) -> Result<Self> {
        let told = Told::default();
        let opened = opened(place, &told, &location, options, &transfer)?;
        let region = place.region(options, place.endpoint(options)).to_string();
        Ok(Self {
            bucket: place.bucket.to_string(),
            prefix: place.prefix.to_string(),
            server: place.server.clone(),
            location,
            options: options.clone(),
            transfer,
            told,
            now: Mutex::new((region, Arc::new(opened))),
        })
    }

    fn now(&self) -> MutexGuard<'_, (String, Arc<CloudStorage>)> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a call, and once more where the server says that the bucket lies.
    fn call<T>(&self, work: impl FnMut(&CloudStorage, bool) -> Result<T>) -> Result<T> {
        self.call_unless(|| false, work)
    }

    /// The same, unless the first call has left something behind.
    fn call_unless<T>(
        &self,
        has_left: impl Fn() -> bool,
        mut work: impl FnMut(&CloudStorage, bool) -> Result<T>,
    ) -> Result<T> {
        let (region, storage) = self.now().clone();
        let outcome = work(&storage, false);
        if outcome.is_ok() || has_left() {
            return outcome;
        }
        let named = self.told.lock().clone();
        let Some(named) = named.filter(|named| *named != region) else {
            return outcome;
        };
        let moved = Arc::new(self.opened_in(&named)?);
        let again = work(&moved, true);
        // What fails there for another reason fails there the next time as well.
        let is_there = match &again {
            Ok(_) => true,
            Err(error) => !matches!(error.kind(), ErrorKind::Unreachable | ErrorKind::Denied),
        };
        if is_there {
            *self.now() = (named.clone(), moved);
            let bucket = &self.bucket;
            self.options.notices.tell(format!(
                "the bucket {bucket} lies in the region {named}, not in {region}: set the option `region`"
            ));
        }
        again
    }

    /// The bucket in this region; at Amazon's own server of it.
    fn opened_in(&self, region: &str) -> Result<CloudStorage> {
        let mut place = Place::amazon(&self.bucket, &self.prefix);
        place.server.clone_from(&self.server);
        let mut options = self.options.clone();
        let endpoint = place.endpoint(&options).unwrap_or_default();
        if let Some((scheme, host)) = endpoint.split_once("://")
            && host.trim_end_matches('/').ends_with(".amazonaws.com")
        {
            let server = format!("{scheme}://s3.{region}.amazonaws.com");
            options.settings.insert("endpoint".into(), server);
        }
        let setting = ("region".to_string(), region.to_string());
        options.settings.extend([setting]);
        opened(&place, &self.told, &self.location, &options, &self.transfer)
    }
}

/// A receiver that knows whether it has got anything.
struct Begun<'a> {
    to: &'a mut dyn Write,
    begun: &'a Cell<bool>,
}

impl Write for Begun<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.begun.set(self.begun.get() || !bytes.is_empty());
        self.to.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

fn opened(
    place: &Place<'_>,
    told: &Told,
    location: &Location,
    options: &StorageOptions,
    transfer: &Arc<Transfer>,
) -> Result<CloudStorage> {
    super::open_listening(
        place,
        Some(told.clone()),
        location.clone(),
        options,
        Arc::clone(transfer),
    )
}

impl Storage for Regional {
    fn location(&self) -> &Location {
        &self.location
    }

    fn list(&self) -> Result<Vec<Object>> {
        self.call(|storage, _| storage.list())
    }

    fn stat(&self, name: &str) -> Result<Option<Object>> {
        self.call(|storage, _| storage.stat(name))
    }

    fn get(&self, name: &str, to: &mut dyn Write) -> Result<u64> {
        // Two calls side by side share what was told: this one may have failed for another reason, in the middle.
        let begun = Cell::new(false);
        let mut to = Begun { to, begun: &begun };
        self.call_unless(|| begun.get(), |storage, _| storage.get(name, &mut to))
    }

    fn put(&self, name: &str, from: &Path) -> Result<()> {
        self.call(|storage, _| storage.put(name, from))
    }

    fn claim(&self, name: &str, from: &Path) -> Result<()> {
        self.call(|storage, _| storage.claim(name, from))
    }

    fn put_growing(&self, name: &str, from: &Growing, claimed: bool) -> Result<()> {
        self.call(|storage, is_again| {
            if !is_again {
                return storage.put_growing(name, from, claimed);
            }
            from.whole()?;
            match claimed {
                true => storage.claim(name, from.path()),
                false => storage.put(name, from.path()),
            }
        })
    }

    fn delete(&self, name: &str) -> Result<()> {
        self.call(|storage, _| storage.delete(name))
    }

    fn rest(&self, name: &str) -> Result<Rest> {
        self.call(|storage, _| storage.rest(name))
    }

    fn modified(&self, name: &str) -> Result<Option<Timestamp>> {
        self.call(|storage, _| storage.modified(name))
    }

    fn thaw(&self, name: &str, order: ThawOrder) -> Result<()> {
        self.call(|storage, _| storage.thaw(name, order))
    }

    fn notices(&self) -> Vec<String> {
        self.options.notices.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::http::HeaderValue;

    #[test]
    fn regions_are_named_in_heads_and_bodies() {
        let mut headers = HeaderMap::new();
        assert_eq!(in_head(&headers), None);
        let region = HeaderValue::from_static("eu-central-1");
        headers.insert("x-amz-bucket-region", region);
        assert_eq!(in_head(&headers).as_deref(), Some("eu-central-1"));
        for (text, region) in [
            (
                "<Error><Region>eu-west-1</Region></Error>",
                Some("eu-west-1"),
            ),
            ("<Error><Region></Region></Error>", None),
            ("<Error><Region>evil.example/#</Region></Error>", None),
            ("<Error><Region>eu", None),
            ("", None),
        ] {
            assert_eq!(in_body(text).as_deref(), region, "{text}");
        }
    }
}
