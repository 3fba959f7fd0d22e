//! Objects in archive classes of S3, and in the archive tiers of intelligent tiering: whether they can be read, and orders to
//! fetch them.
//!
//! opendal has no word for either, so these requests are made and signed here. Source: HeadObject and RestoreObject of the
//! service's interface.

use super::super::web::{Web, header};
use super::{Place, keys};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::storage::transfer::Transfer;
use crate::engine::storage::{Rest, Speed, StorageOptions, ThawOrder};
use ::http::header::{AUTHORIZATION, HeaderMap};
use ::http::{Method, Request, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqsign_aws_v4::Credential;
use reqsign_core::Signer;
use reqwest::{RequestBuilder, Response};
use std::sync::Arc;

/// What stands for itself in a key.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

/// Classes that nothing can be read from at once.
const CLASSES: &[&str] = &["GLACIER", "DEEP_ARCHIVE"];

/// The objects of one prefix.
pub(in super::super) struct Archive {
    web: Web,
    /// None without keys that are known here.
    signer: Option<Signer<Credential>>,
    /// Address of the prefix.
    base: String,
}

impl Archive {
    /// # Errors
    /// What preparing the client reports.
    pub(super) fn new(
        place: &Place<'_>,
        options: &StorageOptions,
        path_style: bool,
        transfer: Arc<Transfer>,
    ) -> Result<Self> {
        let endpoint = place.endpoint(options);
        let region = place.region(options, endpoint);
        let usual = format!("https://s3.{region}.amazonaws.com");
        let endpoint = endpoint.unwrap_or(&usual).trim_end_matches('/');
        let endpoint = match endpoint.contains("://") {
            true => endpoint.to_string(),
            false => format!("https://{endpoint}"),
        };
        let bucket = place.bucket;
        let base = match endpoint.split_once("://") {
            Some((scheme, host)) if !path_style => format!("{scheme}://{bucket}.{host}"),
            _ => format!("{endpoint}/{bucket}"),
        };
        let signer = keys::signer(place, options, region)?;
        Ok(Self {
            web: Web::new(place.service, options, transfer)?,
            signer,
            base: format!("{base}/{}", utf8_percent_encode(place.prefix, PLAIN)),
        })
    }

    /// How an object lies.
    pub(in super::super) async fn rest(&self, name: &str) -> Result<Rest> {
        Ok(told(&self.head(name).await?))
    }

    async fn head(&self, name: &str) -> Result<HeaderMap> {
        let request = self.request(Method::HEAD, name, "").await?;
        let response = self.web.send(request).await?;
        self.good("a question for an object", &response)?;
        Ok(response.headers().clone())
    }

    /// Has an object fetched; one that is on its way already is a success.
    pub(in super::super) async fn thaw(&self, name: &str, order: ThawOrder) -> Result<()> {
        let tier = match order.speed {
            Speed::Bulk => "Bulk",
            Speed::Standard => "Standard",
            Speed::Expedited => "Expedited",
        };
        // Intelligent tiering brings an object back for good, and refuses a number of days.
        let days = match is_tiered(&self.head(name).await?) {
            true => String::new(),
            false => format!("<Days>{}</Days>", order.days),
        };
        let text = format!(
            "<RestoreRequest xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{days}\
             <GlacierJobParameters><Tier>{tier}</Tier></GlacierJobParameters></RestoreRequest>"
        );
        let request = self.request(Method::POST, name, "?restore").await?;
        let response = self.web.send(request.body(text)).await?;
        // 409 is what the service says of an object that is on its way.
        match response.status().as_u16() {
            409 => Ok(()),
            _ => self.good("an order", &response),
        }
    }

    /// A signed request.
    async fn request(&self, method: Method, name: &str, query: &str) -> Result<RequestBuilder> {
        let Some(signer) = &self.signer else {
            let text = "nobody without a name can order archived objects";
            return Err(Error::new(ErrorKind::Unsupported, text)
                .with_hint("set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"));
        };
        let url = format!("{}{}{query}", self.base, utf8_percent_encode(name, PLAIN));
        let strange = |text: String| Error::new(ErrorKind::Usage, text);
        let uri: Uri = url
            .parse()
            .map_err(|_| strange(format!("{url} is no address")))?;
        let mut head = Request::new(()).into_parts().0;
        (head.method, head.uri) = (method.clone(), uri);
        let signed = signer.sign(&mut head, None).await;
        signed.map_err(|e| Error::new(ErrorKind::Denied, format!("cannot sign: {e}")))?;
        let mut headers: HeaderMap = head.headers;
        if let Some(value) = headers.get_mut(AUTHORIZATION) {
            value.set_sensitive(true);
        }
        Ok(self.web.request(method, &url).headers(headers))
    }

    /// # Errors
    /// What the status of an answer means, unless it is a success.
    fn good(&self, what: &str, response: &Response) -> Result<()> {
        match response.status() {
            status if status.is_success() => Ok(()),
            status => Err(self.web.refused(what, status)),
        }
    }
}

/// Whether an object is in an archive tier of intelligent tiering.
fn is_tiered(headers: &HeaderMap) -> bool {
    header(headers, "x-amz-archive-status").is_some_and(|status| !status.is_empty())
}

/// How an object lies, as the headers of the answer tell.
fn told(headers: &HeaderMap) -> Rest {
    let class = header(headers, "x-amz-storage-class").unwrap_or_default();
    let restored = header(headers, "x-amz-restore").unwrap_or_default();
    match restored {
        text if is_tiered(headers) => match text.contains("ongoing-request=\"true\"") {
            true => Rest::Ordered,
            false => Rest::Archived,
        },
        _ if !CLASSES.contains(&class) => Rest::AtHand,
        text if text.contains("ongoing-request=\"true\"") => Rest::Ordered,
        text if text.contains("ongoing-request=\"false\"") => Rest::AtHand,
        _ => Rest::Archived,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::http::HeaderValue;

    #[test]
    fn headers_tell_of_intelligent_tiering() {
        let mut headers = HeaderMap::new();
        let tiering = HeaderValue::from_static("INTELLIGENT_TIERING");
        headers.insert("x-amz-storage-class", tiering);
        assert_eq!(told(&headers), Rest::AtHand);
        for tier in ["ARCHIVE_ACCESS", "DEEP_ARCHIVE_ACCESS"] {
            headers.insert("x-amz-archive-status", HeaderValue::from_static(tier));
            headers.remove("x-amz-restore");
            assert_eq!(told(&headers), Rest::Archived, "{tier}");
            let ordered = HeaderValue::from_static("ongoing-request=\"true\"");
            headers.insert("x-amz-restore", ordered);
            assert_eq!(told(&headers), Rest::Ordered, "{tier}");
        }
    }

    #[test]
    fn headers_tell_how_an_object_lies() {
        for (class, restored, rest) in [
            ("", "", Rest::AtHand),
            ("STANDARD_IA", "", Rest::AtHand),
            ("GLACIER_IR", "", Rest::AtHand),
            ("GLACIER", "", Rest::Archived),
            ("DEEP_ARCHIVE", "ongoing-request=\"true\"", Rest::Ordered),
            (
                "GLACIER",
                "ongoing-request=\"false\", expiry-date=\"Fri, 21 Dec 2029 00:00:00 GMT\"",
                Rest::AtHand,
            ),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in [("x-amz-storage-class", class), ("x-amz-restore", restored)] {
                if !value.is_empty() {
                    headers.insert(name, HeaderValue::from_static(value));
                }
            }
            assert_eq!(told(&headers), rest, "{class} {restored}");
        }
    }
}
