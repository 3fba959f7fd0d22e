//! Headers that opendal has no word for, in requests that are signed.
//!
//! What is in such headers counts in the signature, so they cannot be added behind it. This transport adds them to the
//! requests that make an object and signs those once more, with opendal's own signer.

use super::http;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::storage::StorageOptions;
use ::http::header::AUTHORIZATION;
use ::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use opendal::{Buffer, HttpBody, HttpTransport, HttpTransporter};
use reqsign_core::{Context, ProvideCredential, SignRequest, Signer, SigningCredential};

/// Whether a request with this method and query makes an object.
pub(super) type MakesObject = fn(&Method, &str) -> bool;

/// A transport that says more than opendal does.
pub(super) struct Further<K: SigningCredential> {
    inner: HttpTransporter,
    headers: HeaderMap,
    signer: Signer<K>,
    makes_object: MakesObject,
}

impl<K: SigningCredential> Further<K> {
    /// Sends through the transport that the options ask for.
    ///
    /// # Errors
    /// What preparing that transport reports.
    pub(super) fn new(
        options: &StorageOptions,
        keys: impl ProvideCredential<Credential = K>,
        signature: impl SignRequest<Credential = K>,
        makes_object: MakesObject,
    ) -> Result<Self> {
        let inner = http::transport(options)?.unwrap_or_default();
        let context = Context::new().with_http_send(inner.clone());
        Ok(Self {
            inner,
            headers: HeaderMap::new(),
            signer: Signer::new(context, keys, signature),
            makes_object,
        })
    }

    /// Adds a header.
    ///
    /// # Errors
    /// `Usage` for a value that no header can have.
    pub(super) fn with(mut self, name: &'static str, value: &str) -> Result<Self> {
        let value = HeaderValue::from_str(value).map_err(|_| {
            let text = format!("the header {name} cannot have the value {value:?}");
            Error::new(ErrorKind::Usage, text)
        })?;
        self.headers.insert(HeaderName::from_static(name), value);
        Ok(self)
    }
}

impl<K: SigningCredential> HttpTransport for Further<K> {
    async fn fetch(&self, request: Request<Buffer>) -> opendal::Result<Response<HttpBody>> {
        let (mut head, body) = request.into_parts();
        let query = head.uri.query().unwrap_or_default();
        if (self.makes_object)(&head.method, query) {
            head.headers.extend(self.headers.clone());
            // Without it the right to do so is in the address, and signs nothing.
            if head.headers.remove(AUTHORIZATION).is_some() {
                self.signer.sign(&mut head, None).await.map_err(|e| {
                    let kind = opendal::ErrorKind::PermissionDenied;
                    opendal::Error::new(kind, "cannot sign the request").set_source(e)
                })?;
            }
        }
        self.inner.fetch(Request::from_parts(head, body)).await
    }
}
