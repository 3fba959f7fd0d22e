//! Makes a container that is absent when something is put into it.
//!
//! opendal has no word for that, so it is done below it: a request that puts and is told that there is no container makes
//! it, and is sent again. Without the right to make containers the first answer stands.

use super::{Keys, VERSION};
use crate::engine::error::Result;
use crate::engine::storage::StorageOptions;
use crate::engine::storage::services::http;
use ::http::header::CONTENT_LENGTH;
use ::http::{Method, Request, Response, StatusCode, Uri};
use opendal::{Buffer, HttpBody, HttpTransport, HttpTransporter};
use reqsign_azure_storage::{Credential, RequestSigner, StaticCredentialProvider};
use reqsign_core::{Context, Signer};

/// A transport that makes the container.
pub(super) struct Making {
    inner: HttpTransporter,
    /// For the request that makes it.
    plain: HttpTransporter,
    signer: Signer<Credential>,
    account: String,
    container: String,
}

impl Making {
    /// Sends through `inner`, or as the options say; `None` without a key or token to sign with.
    ///
    /// # Errors
    /// What preparing the client reports.
    pub(super) fn new(
        container: &str,
        inner: Option<HttpTransporter>,
        options: &StorageOptions,
    ) -> Result<Option<Self>> {
        let keys = Keys::of(options);
        let credential = match (keys.key, keys.token) {
            ("", "") => return Ok(None),
            ("", token) => StaticCredentialProvider::new_sas_token(token),
            (key, _) => StaticCredentialProvider::new_shared_key(keys.account, key),
        };
        let plain = http::transport(options)?.unwrap_or_default();
        let context = Context::new().with_http_send(plain.clone());
        Ok(Some(Self {
            inner: inner.unwrap_or_else(|| plain.clone()),
            plain,
            signer: Signer::new(context, credential, RequestSigner::new()),
            account: keys.account.to_string(),
            container: container.to_string(),
        }))
    }

    /// Makes the container that a request was for; whether it is there now.
    // Source: "Create Container" of the service's REST interface.
    async fn make(&self, uri: &Uri) -> opendal::Result<bool> {
        let wrong = |error: String| opendal::Error::new(opendal::ErrorKind::Unexpected, error);
        let request = Request::put(address(uri, &self.account, &self.container))
            .header("x-ms-version", VERSION)
            .header(CONTENT_LENGTH, 0)
            .body(Buffer::new())
            .map_err(|e| wrong(e.to_string()))?;
        let (mut head, body) = request.into_parts();
        let signed = self.signer.sign(&mut head, None).await;
        signed.map_err(|e| wrong(e.to_string()))?;
        let made = self.plain.fetch(Request::from_parts(head, body)).await?;
        Ok(made.status().is_success() || says(&made, "ContainerAlreadyExists"))
    }
}

impl HttpTransport for Making {
    async fn fetch(&self, request: Request<Buffer>) -> opendal::Result<Response<HttpBody>> {
        if *request.method() != Method::PUT {
            return self.inner.fetch(request).await;
        }
        let (head, body) = request.into_parts();
        let again = Request::from_parts(head.clone(), body.clone());
        let answer = self.inner.fetch(Request::from_parts(head, body)).await?;
        let is_absent =
            answer.status() == StatusCode::NOT_FOUND && says(&answer, "ContainerNotFound");
        if is_absent && self.make(again.uri()).await? {
            return self.inner.fetch(again).await;
        }
        Ok(answer)
    }
}

fn says(answer: &Response<HttpBody>, code: &str) -> bool {
    let said = answer.headers().get("x-ms-error-code");
    said.is_some_and(|said| said.as_bytes() == code.as_bytes())
}

/// Address of the container. Accounts have a host name each, or are the start of the path.
fn address(blob: &Uri, account: &str, container: &str) -> String {
    let host = blob.host().unwrap_or_default();
    let first = blob.path().split('/').nth(1).unwrap_or_default();
    let own_host = host.split('.').next() == Some(account) && !account.is_empty();
    let by_path = first != container || (first == account && !own_host);
    let scheme = blob.scheme_str().unwrap_or("https");
    let server = blob
        .authority()
        .map_or(host, |authority| authority.as_str());
    let base = match by_path {
        true => format!("/{first}"),
        false => String::new(),
    };
    format!("{scheme}://{server}{base}/{container}?restype=container")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_container_is_found_in_the_address_of_a_blob() {
        for (blob, expected) in [
            (
                "https://ada.blob.core.windows.net/c/x/y?comp=block",
                "https://ada.blob.core.windows.net/c?restype=container",
            ),
            (
                "http://127.0.0.1:9/ada/c/x",
                "http://127.0.0.1:9/ada/c?restype=container",
            ),
            (
                "http://127.0.0.1:9/c/x",
                "http://127.0.0.1:9/c?restype=container",
            ),
        ] {
            let uri: Uri = blob.parse().expect(blob);
            assert_eq!(address(&uri, "ada", "c"), expected);
        }
        for (blob, expected) in [
            (
                "https://ada.blob.h/ada/ada/x",
                "https://ada.blob.h/ada?restype=container",
            ),
            (
                "http://127.0.0.1/ada/ada/x",
                "http://127.0.0.1/ada/ada?restype=container",
            ),
        ] {
            let uri: Uri = blob.parse().expect(blob);
            assert_eq!(address(&uri, "ada", "ada"), expected);
        }
    }
}
