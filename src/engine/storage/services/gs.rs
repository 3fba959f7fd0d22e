//! Buckets of Google Cloud Storage: with a key for interoperability as those of S3, or with a service account.
//!
//! Google's XML interface answers the requests of S3 to whoever shows a token, too. Then it wants its own names of headers, so
//! they are translated below opendal, where the token is added. Source: "Migrating from Amazon S3", "Request preconditions" and
//! the pages of the requests in the service's documentation.

use super::super::transfer::Transfer;
use super::super::{Location, StorageOptions};
use super::cloud::CloudStorage;
use super::http;
use super::oauth::google::{self, AccountKey, object, text};
use super::oauth::{Authorized, Login, Meaning};
use super::s3::{self, Place};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::secret::Secret;
use ::http::header::{AUTHORIZATION, CONTENT_LENGTH, IF_NONE_MATCH};
use ::http::request::Parts;
use ::http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use opendal::{Buffer, HttpBody, HttpTransport, HttpTransporter};
use std::sync::Arc;

/// The key file of whatever asks Google for something, as its own programs have it.
const CREDENTIALS: &str = "GOOGLE_APPLICATION_CREDENTIALS";

const SCOPE: &str = "https://www.googleapis.com/auth/devstorage.read_write";
const HINT: &str = "check the key that GOOGLE_APPLICATION_CREDENTIALS names, and whether its account may list, read and \
     write the objects of the bucket";

/// Words of S3 that have another name here. All others are dropped.
const NAMES: &[(&str, &str)] = &[
    ("x-amz-storage-class", "x-goog-storage-class"),
    (
        "x-amz-server-side-encryption-aws-kms-key-id",
        "x-goog-encryption-kms-key-name",
    ),
];

/// Objects of one bucket below one prefix.
///
/// # Errors
/// Those of [`s3::open`]; `Usage` for a file that is no key, and for settings that need one of the other kind.
pub(super) fn open(
    bucket: &str,
    prefix: &str,
    location: Location,
    options: &StorageOptions,
    transfer: Arc<Transfer>,
) -> Result<CloudStorage> {
    let place = Place::google(bucket, prefix);
    let has_key = matches!(place.keys(options)?, (Some(_), Some(_)));
    let file = options.environment.get(CREDENTIALS);
    let (Some(file), false, None) = (file, has_key, options.setting("credentials")) else {
        return s3::open(&place, location, options, transfer);
    };
    for name in ["checksum", "encryption", "kms-grant"] {
        if options.setting(name).is_some_and(|value| value != "none") {
            let text = format!("the gs option `{name}` is for keys of interoperability");
            return Err(Error::new(ErrorKind::Usage, text)
                .with_hint("set GS_ACCESS_KEY_ID and GS_SECRET_ACCESS_KEY, or leave it out"));
        }
    }
    let account = Authorized::new("gs", login(file)?, meaning, options, Arc::clone(&transfer))?;
    let transport = HttpTransporter::new(Bearer {
        inner: http::transport(options)?.unwrap_or_default(),
        account,
    });
    s3::open(&place.with_token(transport), location, options, transfer)
}

/// Who asks, as the file tells: a service account, or a user who has logged in with Google's own program.
fn login(path: &str) -> Result<Login> {
    let file = object(path)?;
    if text(&file, "type") != Some("authorized_user") {
        let key = AccountKey::of(path, &file)?;
        return Ok(key.login(|| google::TOKENS.to_string(), SCOPE, HINT));
    }
    let (Some(client), Some(refresh)) = (text(&file, "client_id"), text(&file, "refresh_token"))
    else {
        let text = format!("{path} lacks client_id or refresh_token");
        return Err(Error::new(ErrorKind::Usage, text));
    };
    let secret = text(&file, "client_secret").map(Secret::new);
    let url = text(&file, "token_uri").unwrap_or(google::TOKENS);
    let client = (client.to_string(), secret);
    Ok(google::user(client, Secret::new(refresh), url.into(), HINT))
}

/// Answers are read where those of S3 are.
fn meaning(_: StatusCode, _: &serde_json::Value) -> Meaning {
    Meaning {
        kind: None,
        text: String::new(),
    }
}

/// A transport that shows a token.
struct Bearer {
    inner: HttpTransporter,
    account: Authorized,
}

impl HttpTransport for Bearer {
    async fn fetch(&self, request: Request<Buffer>) -> opendal::Result<Response<HttpBody>> {
        let (mut head, body) = request.into_parts();
        in_words_of_google(&mut head, &body);
        let mut is_first = true;
        loop {
            let access = self.account.access().await.map_err(carried)?;
            head.headers.insert(AUTHORIZATION, access.clone());
            let request = Request::from_parts(head.clone(), body.clone());
            let answer = self.inner.fetch(request).await;
            let is_refused = match &answer {
                Ok(response) => response.status() == StatusCode::UNAUTHORIZED,
                // Who refuses a token may hang up before the refusal is read.
                Err(_) => true,
            };
            if is_refused {
                self.account.forget(&access).await;
            }
            if answer.is_err() || !is_refused || !std::mem::take(&mut is_first) {
                return answer;
            }
        }
    }
}

/// An error of ours as one of opendal's, with ours as its cause.
fn carried(error: Error) -> opendal::Error {
    let kind = match error.kind() {
        ErrorKind::Denied => opendal::ErrorKind::PermissionDenied,
        _ => opendal::ErrorKind::Unexpected,
    };
    opendal::Error::new(kind, "no token").set_source(error)
}

/// Names headers as Google does.
fn in_words_of_google(head: &mut Parts, body: &Buffer) {
    let headers = &mut head.headers;
    let words: Vec<HeaderName> = headers.keys().cloned().collect();
    for word in words.iter().filter(|w| w.as_str().starts_with("x-amz-")) {
        let value = headers.remove(word);
        let known = NAMES.iter().find(|(name, _)| *name == word.as_str());
        if let (Some((_, name)), Some(value)) = (known, value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    // Only what goes in one piece can have a condition: one with parts would be refused for it.
    let query = head.uri.query().unwrap_or_default();
    if headers.remove(IF_NONE_MATCH).is_some() && head.method == Method::PUT && query.is_empty() {
        let name = HeaderName::from_static("x-goog-if-generation-match");
        headers.insert(name, HeaderValue::from_static("0"));
    }
    if head.method == Method::POST && body.is_empty() {
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::storage::{TargetUrl, open};

    fn translated(request: ::http::request::Builder) -> Vec<String> {
        let request = request.body(Buffer::new()).expect("a request");
        let (mut head, body) = request.into_parts();
        in_words_of_google(&mut head, &body);
        let mut lines: Vec<String> = head
            .headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().expect("text")))
            .collect();
        lines.sort();
        lines
    }

    #[test]
    fn headers_are_named_as_google_does() {
        let put = Request::put("https://h/bucket/a")
            .header("x-amz-storage-class", "NEARLINE")
            .header("x-amz-server-side-encryption", "aws:kms")
            .header("x-amz-server-side-encryption-aws-kms-key-id", "projects/p")
            .header("if-none-match", "*");
        assert_eq!(
            translated(put),
            [
                "x-goog-encryption-kms-key-name: projects/p",
                "x-goog-if-generation-match: 0",
                "x-goog-storage-class: NEARLINE",
            ]
        );
        let complete = Request::post("https://h/bucket/a?uploadId=1").header("if-none-match", "*");
        assert_eq!(translated(complete), ["content-length: 0"]);
        let part = Request::put("https://h/bucket/a?partNumber=1&uploadId=1");
        assert_eq!(translated(part), Vec::<String>::new());
    }

    #[test]
    fn a_file_that_is_no_key_is_told_before_the_network_is_asked() {
        let dir = tempfile::TempDir::new().expect("temp dir");
        let path = dir.path().join("key.json").display().to_string();
        let opened = |settings: &[(&str, &str)], more: &[(&str, &str)]| {
            let mut options = StorageOptions::default();
            options.environment.set(CREDENTIALS, &path);
            for (name, value) in more {
                options.environment.set(*name, *value);
            }
            for (name, value) in settings {
                options.settings.insert((*name).into(), (*value).into());
            }
            let url = TargetUrl::parse("gs://bucket/x").expect("URL");
            open(&url, &options).map(|_| ()).map_err(|e| e.kind())
        };
        assert_eq!(opened(&[], &[]), Err(ErrorKind::NotFound));
        for text in [
            "canary",
            "{}",
            r#"{"type":"authorized_user","client_id":"c"}"#,
            r#"{"client_email":"a@b","private_key":"canary"}"#,
        ] {
            std::fs::write(&path, text).expect("file");
            assert_eq!(opened(&[], &[]), Err(ErrorKind::Usage), "{text}");
        }
        let keys = [
            ("GS_ACCESS_KEY_ID", "i"),
            ("GS_SECRET_ACCESS_KEY", "secret"),
        ];
        assert_eq!(opened(&[], &keys), Ok(()), "a key comes first");
        let user = r#"{"type":"authorized_user","client_id":"c","refresh_token":"canary"}"#;
        std::fs::write(&path, user).expect("file");
        assert_eq!(opened(&[], &[]), Ok(()));
        let kms = [("kms-key", "projects/p")];
        assert_eq!(opened(&kms, &[]), Ok(()));
        let sum = [("checksum", "crc32c")];
        assert_eq!(opened(&sum, &[]), Err(ErrorKind::Usage));
    }
}
