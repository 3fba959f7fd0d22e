//! Blobs in the archive tier: whether they can be read, and orders to fetch them.
//!
//! A blob is fetched by moving it to the hot tier, where it stays: the service has no copies for some days. opendal has no
//! word for either, so these requests are made and signed here. Source: "Get Blob Properties" and "Set Blob Tier" of the
//! service's REST interface.

use super::super::web::{Web, header};
use super::{Keys, VERSION};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::storage::transfer::Transfer;
use crate::engine::storage::{Rest, Speed, StorageOptions, ThawOrder};
use ::http::header::{AUTHORIZATION, CONTENT_LENGTH, HeaderMap};
use ::http::{Method, Request};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqsign_azure_storage::{Credential, RequestSigner, StaticCredentialProvider};
use reqsign_core::{Context, Signer};
use reqwest::Response;
use std::sync::Arc;

/// What stands for itself in a name.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

/// The blobs of one prefix.
pub(in super::super) struct Archive {
    web: Web,
    signer: Signer<Credential>,
    /// Address of the prefix.
    base: String,
}

impl Archive {
    /// `None` without credentials that can sign, or an address.
    ///
    /// # Errors
    /// What preparing the client reports.
    pub(super) fn new(
        container: &str,
        prefix: &str,
        options: &StorageOptions,
        transfer: Arc<Transfer>,
    ) -> Result<Option<Self>> {
        let keys = Keys::of(options);
        let credential = match (keys.key, keys.token) {
            ("", "") => return Ok(None),
            ("", token) => StaticCredentialProvider::new_sas_token(token),
            (key, _) => StaticCredentialProvider::new_shared_key(keys.account, key),
        };
        let Some(endpoint) = endpoint(&keys, options) else {
            return Ok(None);
        };
        let path = utf8_percent_encode(prefix, PLAIN);
        Ok(Some(Self {
            web: Web::new("azure", options, transfer)?,
            signer: Signer::new(Context::new(), credential, RequestSigner::new()),
            base: format!("{}/{container}/{path}", endpoint.trim_end_matches('/')),
        }))
    }

    /// How a blob lies.
    pub(in super::super) async fn rest(&self, name: &str) -> Result<Rest> {
        let response = self.send(Method::HEAD, name, "", &[]).await?;
        self.good("a question for a blob", &response)?;
        Ok(told(response.headers()))
    }

    /// Has a blob fetched; one that is on its way already is a success.
    pub(in super::super) async fn thaw(&self, name: &str, order: ThawOrder) -> Result<()> {
        let priority = match order.speed {
            Speed::Bulk | Speed::Standard => "Standard",
            Speed::Expedited => "High",
        };
        let headers = [
            ("x-ms-access-tier", "Hot"),
            ("x-ms-rehydrate-priority", priority),
        ];
        let response = self.send(Method::PUT, name, "?comp=tier", &headers).await?;
        // 409 is what the service says of a blob that is on its way.
        match response.status().as_u16() {
            409 => Ok(()),
            _ => self.good("an order", &response),
        }
    }

    /// Signs a request and sends it.
    async fn send(
        &self,
        method: Method,
        name: &str,
        query: &str,
        headers: &[(&str, &str)],
    ) -> Result<Response> {
        let url = format!("{}{}{query}", self.base, utf8_percent_encode(name, PLAIN));
        let mut request = Request::builder().method(method).uri(&url);
        request = request.header("x-ms-version", VERSION);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !headers.is_empty() {
            request = request.header(CONTENT_LENGTH, 0);
        }
        let request = request.body(()).map_err(|_| {
            let text = format!("azure: {name:?} makes no address");
            Error::new(ErrorKind::Usage, text)
        })?;
        let mut head = request.into_parts().0;
        let signed = self.signer.sign(&mut head, None).await;
        signed.map_err(|e| Error::new(ErrorKind::Denied, format!("cannot sign: {e}")))?;
        let mut headers: HeaderMap = head.headers;
        if let Some(value) = headers.get_mut(AUTHORIZATION) {
            value.set_sensitive(true);
        }
        // A signature may be in the address.
        let request = self.web.request(head.method, &head.uri.to_string());
        self.web.send(request.headers(headers)).await
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

/// Where the service is.
fn endpoint(keys: &Keys<'_>, options: &StorageOptions) -> Option<String> {
    if let Some(endpoint) = options.setting("endpoint") {
        return Some(endpoint.to_string());
    }
    let text = options.environment.get("AZURE_CONNECTION_STRING");
    let field = |name: &str| {
        let fields = text.unwrap_or_default().split(';');
        let mut pairs = fields.filter_map(|field| field.trim().split_once('='));
        pairs.find_map(|(known, value)| (known == name && !value.is_empty()).then_some(value))
    };
    if let Some(endpoint) = field("BlobEndpoint") {
        return Some(endpoint.to_string());
    }
    let protocol = field("DefaultEndpointsProtocol").unwrap_or("https");
    let suffix = field("EndpointSuffix").unwrap_or("core.windows.net");
    let account = keys.account;
    (!account.is_empty()).then(|| format!("{protocol}://{account}.blob.{suffix}"))
}

/// How a blob lies, as the headers of the answer tell.
fn told(headers: &HeaderMap) -> Rest {
    let tier = header(headers, "x-ms-access-tier").unwrap_or_default();
    let status = header(headers, "x-ms-archive-status").unwrap_or_default();
    match status {
        status if status.starts_with("rehydrate-pending") => Rest::Ordered,
        _ if tier.eq_ignore_ascii_case("Archive") => Rest::Archived,
        _ => Rest::AtHand,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::http::HeaderValue;

    #[test]
    fn headers_tell_how_a_blob_lies() {
        for (tier, status, rest) in [
            ("", "", Rest::AtHand),
            ("Cold", "", Rest::AtHand),
            ("Archive", "", Rest::Archived),
            ("Archive", "rehydrate-pending-to-hot", Rest::Ordered),
            ("Archive", "rehydrate-pending-to-cool", Rest::Ordered),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in [("x-ms-access-tier", tier), ("x-ms-archive-status", status)] {
                if !value.is_empty() {
                    headers.insert(name, HeaderValue::from_static(value));
                }
            }
            assert_eq!(told(&headers), rest, "{tier} {status}");
        }
    }

    #[test]
    fn the_service_is_where_the_credentials_say() {
        let at = |variables: &[(&str, &str)]| {
            let options = StorageOptions {
                environment: variables.iter().copied().collect(),
                ..StorageOptions::default()
            };
            endpoint(&Keys::of(&options), &options)
        };
        for (text, expected) in [
            (
                "DefaultEndpointsProtocol=https;AccountName=ada;AccountKey=a2V5;EndpointSuffix=core.chinacloudapi.cn",
                "https://ada.blob.core.chinacloudapi.cn",
            ),
            (
                "AccountName=ada;AccountKey=a2V5;BlobEndpoint=http://127.0.0.1:9/ada;",
                "http://127.0.0.1:9/ada",
            ),
        ] {
            let found = at(&[("AZURE_CONNECTION_STRING", text)]);
            assert_eq!(found.as_deref(), Some(expected));
        }
        let found = at(&[
            ("AZURE_STORAGE_ACCOUNT", "ada"),
            ("AZURE_STORAGE_SAS_TOKEN", "sig=x"),
        ]);
        assert_eq!(found.as_deref(), Some("https://ada.blob.core.windows.net"));
        assert_eq!(at(&[]), None);
    }
}
