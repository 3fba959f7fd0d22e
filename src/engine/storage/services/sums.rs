//! Hashes that services tell of what they were sent, compared below opendal, which has no word for them.
//!
//! They come with the answer to each request that brings bytes, so each part of an upload is looked at by itself. Where there is
//! no hash, or another kind of one, nothing is compared.

use ::http::{HeaderMap, Method, Request, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use opendal::{Buffer, HttpBody, HttpTransport, HttpTransporter};

/// Stands in errors about another hash.
pub(super) const DIFFERS: &str = "what arrived has another hash than what was sent";

/// Where a service tells its hash.
#[derive(Clone, Copy)]
pub(super) enum Told {
    /// In `ETag`, in hexadecimal digits, unless the object is sealed with a key of its own.
    // Source: "Common response headers" of S3: it is none for SSE-KMS and SSE-C. Stores that have no MD5 there make it
    // longer or shorter.
    Etag,
    /// In `Content-MD5`, in base64.
    // Source: "Put Blob", "Put Block" and "Put Block List" of Azure.
    ContentMd5,
}

/// A transport that compares.
pub(super) struct Compared {
    inner: HttpTransporter,
    told: Told,
}

impl Compared {
    pub(super) fn new(inner: HttpTransporter, told: Told) -> Self {
        Self { inner, told }
    }
}

impl HttpTransport for Compared {
    async fn fetch(&self, request: Request<Buffer>) -> opendal::Result<Response<HttpBody>> {
        let body = match *request.method() {
            Method::PUT => Some(request.body().clone()),
            _ => None,
        };
        let response = self.inner.fetch(request).await?;
        if let Some(body) = body.filter(|body| !body.is_empty())
            && response.status().is_success()
            && let Some(told) = self.told.of(response.headers())
            && told != sum(body)
        {
            let error = opendal::Error::new(opendal::ErrorKind::Unexpected, DIFFERS);
            return Err(error.set_temporary());
        }
        Ok(response)
    }
}

fn sum(body: Buffer) -> [u8; 16] {
    let mut sum = Md5::new();
    for piece in body {
        sum.update(&piece);
    }
    sum.finalize().into()
}

impl Told {
    /// The hash in the head of an answer.
    fn of(self, headers: &HeaderMap) -> Option<[u8; 16]> {
        let text = |name: &str| headers.get(name)?.to_str().ok();
        match self {
            Self::ContentMd5 => {
                let bytes = STANDARD.decode(text("content-md5")?).ok()?;
                bytes.try_into().ok()
            }
            Self::Etag => {
                let sealed = text("x-amz-server-side-encryption").unwrap_or_default();
                let own_key = "x-amz-server-side-encryption-customer-algorithm";
                if sealed.starts_with("aws:") || headers.contains_key(own_key) {
                    return None;
                }
                digits(text("etag")?.trim_matches('"'))
            }
        }
    }
}

fn digits(text: &str) -> Option<[u8; 16]> {
    if text.len() != 32 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; 16];
    for (n, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * n..2 * n + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::http::HeaderValue;

    fn told(told: Told, pairs: &[(&'static str, &'static str)]) -> Option<[u8; 16]> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, HeaderValue::from_static(value));
        }
        told.of(&headers)
    }

    #[test]
    fn hashes_are_known_by_their_shape() {
        let empty = sum(Buffer::new());
        let etag = "\"d41d8cd98f00b204e9800998ecf8427e\"";
        assert_eq!(told(Told::Etag, &[("etag", etag)]), Some(empty));
        let base64 = "1B2M2Y8AsgTpgAmY7PhCfg==";
        let found = told(Told::ContentMd5, &[("content-md5", base64)]);
        assert_eq!(found, Some(empty));
        for other in [
            &[][..],
            &[("etag", "\"d41d8cd98f00b204e9800998ecf8427e-1\"")],
            &[("etag", "\"\"")],
            &[("etag", "\"+41d8cd98f00b204e9800998ecf8427e\"")],
            &[("etag", etag), ("x-amz-server-side-encryption", "aws:kms")],
        ] {
            assert_eq!(told(Told::Etag, other), None, "{other:?}");
        }
        let plain = [("etag", etag), ("x-amz-server-side-encryption", "AES256")];
        assert_eq!(told(Told::Etag, &plain), Some(empty));
        assert_eq!(told(Told::ContentMd5, &[("content-md5", "canary")]), None);
        assert_eq!(told(Told::ContentMd5, &[("etag", etag)]), None);
    }
}
