//! Containers of OpenStack's object storage, and of OVH's archive, which is one with sealed objects.
//!
//! A token holds for some hours: when it is refused, a new login gets another and the request is repeated. The container
//! is made when it is absent. An object is there when its upload is complete. One that is longer than a segment may be is
//! cut, and made of its segments by a manifest at the end, which is how the service itself does it.

mod login;
mod segments;

use super::super::notices::Notices;
use super::super::settings;
use super::super::transfer::Transfer;
use super::super::{Location, Object, Storage, StorageOptions, names};
use super::claim;
use super::later::{retry_after, written};
use super::web::{Sent, Web, header};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::time::Timestamp;
use login::{Given, Login, Session};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{CONTENT_LENGTH, ETAG, IF_NONE_MATCH};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::Mutex;

/// Characters of names that stand as they are in an address.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// Longest segment in MiB, unless the settings name another length.
// Source: `max_file_size` of the service is 5 GiB. COMPAT(dup all): the default of --mp-segment-size.
const SEGMENT_MB: u64 = 5120;

/// Where objects lie.
pub(super) struct Place<'a> {
    /// OVH's archive instead of any OpenStack.
    pub(super) archive: bool,
    pub(super) container: &'a str,
    /// Start of every name: empty, or ends in `/`.
    pub(super) prefix: &'a str,
}

/// Objects of one container below one prefix.
pub(super) struct SwiftStorage {
    web: Web,
    /// `swift` or `pca`.
    service: &'static str,
    container: String,
    prefix: String,
    /// How to log in; `None` if a token was given.
    login: Option<Login>,
    session: Mutex<Option<Arc<Session>>>,
    /// What a container that is made is stored as.
    policy: Option<String>,
    segment: u64,
    location: Location,
    notices: Notices,
}

impl SwiftStorage {
    /// # Errors
    /// `Usage` for settings the service does not have, or variables that cannot be meant; `Denied` without credentials.
    pub(super) fn new(
        place: &Place<'_>,
        location: Location,
        options: &StorageOptions,
        transfer: Arc<Transfer>,
    ) -> Result<Self> {
        // COMPAT(dup all): OVH's archive has variables, a version and a policy of its own.
        let (service, prefix, version, policy) = match place.archive {
            false => ("swift", "SWIFT", "1", None),
            true => ("pca", "PCA", "2", Some("PCA")),
        };
        options.allow_only(service, settings::SWIFT)?;
        let segment = match options.setting("segment-mb") {
            None => SEGMENT_MB,
            Some(text) => match text.parse() {
                Ok(mb @ 1..=SEGMENT_MB) => mb,
                _ => {
                    let text = format!(
                        "the option `segment-mb` wants a whole number from 1 to {SEGMENT_MB}"
                    );
                    return Err(Error::new(ErrorKind::Usage, text));
                }
            },
        };
        let (login, session) = match Given::of(prefix, version, options)? {
            Given::Login(login) => (Some(*login), None),
            Given::Session(session) => (None, Some(Arc::new(session))),
        };
        Ok(Self {
            web: Web::new(service, options, transfer)?,
            service,
            container: place.container.to_string(),
            prefix: place.prefix.to_string(),
            login,
            session: Mutex::new(session),
            policy: options
                .setting("storage-policy")
                .or(policy)
                .map(str::to_string),
            segment: segment << 20,
            location,
            notices: options.notices.clone(),
        })
    }

    /// The login that holds, or a new one.
    async fn session(&self) -> Result<Arc<Session>> {
        let mut held = self.session.lock().await;
        if let Some(session) = &*held {
            return Ok(Arc::clone(session));
        }
        let Some(login) = &self.login else {
            let upper = self.service.to_uppercase();
            let text = format!("{}: the token was refused", self.service);
            return Err(Error::new(ErrorKind::Denied, text).with_hint(format!(
                "tokens hold for some hours: renew {upper}_PREAUTHTOKEN, or set {upper}_USERNAME and the others"
            )));
        };
        let session = Arc::new(login.session(&self.web).await?);
        *held = Some(Arc::clone(&session));
        Ok(session)
    }

    /// Forgets a login that was refused, unless there is a newer one.
    async fn forget(&self, refused: &Arc<Session>) {
        let mut held = self.session.lock().await;
        if held.as_ref().is_some_and(|held| Arc::ptr_eq(held, refused)) {
            *held = None;
        }
    }

    /// A request with the token.
    fn request(&self, session: &Session, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}/{path}", session.storage);
        let request = self.web.request(method, &url);
        request.header("X-Auth-Token", session.token.clone())
    }

    /// Sends a request without a body, or with a small one; once more after a new login.
    async fn ask(
        &self,
        method: Method,
        path: &str,
        more: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<Response> {
        let mut is_first = true;
        loop {
            let session = self.session().await?;
            let request = more(self.request(&session, method.clone(), path));
            let response = self.web.send(request).await?;
            if response.status() != StatusCode::UNAUTHORIZED || !std::mem::take(&mut is_first) {
                return Ok(response);
            }
            self.forget(&session).await;
        }
    }

    /// Path of an object of this container in an address.
    fn path_of(&self, name: &str) -> String {
        address(&self.container, &format!("{}{name}", self.prefix))
    }

    /// Makes a container.
    async fn make(&self, container: &str) -> Result<()> {
        let response = self
            .ask(Method::PUT, &escaped(container), |request| {
                let request = request.header(CONTENT_LENGTH, 0);
                match &self.policy {
                    Some(policy) => request.header("X-Storage-Policy", policy),
                    None => request,
                }
            })
            .await?;
        self.done(&format!("making the container {container}"), &response)
    }

    /// Stores a range of a file, start and length, and compares hashes; gives back the hash. Starts over after a new login,
    /// and when the container was made.
    async fn store(
        &self,
        container: &str,
        path: &str,
        from: &Path,
        range: (u64, u64),
        claims: bool,
    ) -> Result<String> {
        let (mut logged_in, mut made) = (false, false);
        loop {
            let session = self.session().await?;
            let mut request = self.request(&session, Method::PUT, path);
            if claims {
                request = request.header(IF_NONE_MATCH, "*");
            }
            let mut upload = self.web.transfer().upload(from)?;
            upload.skip(range.0)?;
            let sent = self.web.upload(request, &mut upload, range.1).await;
            if sent.is_err() && self.login.is_some() {
                // Who refuses a token may hang up before the refusal is read.
                self.forget(&session).await;
            }
            let Sent { response, md5 } = sent?;
            match response.status() {
                StatusCode::UNAUTHORIZED if !logged_in => {
                    logged_in = true;
                    self.forget(&session).await;
                }
                StatusCode::NOT_FOUND if !made => {
                    made = true;
                    self.make(container).await?;
                }
                StatusCode::PRECONDITION_FAILED | StatusCode::ACCEPTED if claims => {
                    return Err(Error::new(ErrorKind::Locked, "the name is taken"));
                }
                // Source: the service accepts, and throws away, what is older by its clock than what is there.
                StatusCode::ACCEPTED => {
                    let text = format!("{}: there is a newer object", self.service);
                    return Err(Error::new(ErrorKind::Unreachable, text));
                }
                _ => {
                    self.done("an upload", &response)?;
                    let md5 = md5.unwrap_or_default();
                    let there = header(response.headers(), ETAG.as_str()).unwrap_or_default();
                    let there = there.trim_matches('"');
                    if there.len() == md5.len() && !there.eq_ignore_ascii_case(&md5) {
                        let text = format!("{}: other bytes arrived than were sent", self.service);
                        return Err(Error::new(ErrorKind::Unreachable, text));
                    }
                    return Ok(md5);
                }
            }
        }
    }

    async fn put_as(&self, name: &str, from: &Path, claims: bool) -> Result<()> {
        names::check(name)?;
        let bytes = self.web.transfer().upload(from)?.len();
        let path = self.path_of(name);
        let replaced = match claims {
            true => Vec::new(),
            false => self.segments_of(name).await?,
        };
        if bytes <= self.segment {
            let whole = (0, bytes);
            self.store(&self.container, &path, from, whole, claims)
                .await?;
        } else {
            self.put_segments(name, &path, from, bytes, claims).await?;
        }
        // The service leaves them, and nobody knows of them any more; but the object is there.
        let _ = self.remove(&replaced).await;
        Ok(())
    }

    async fn head(&self, name: &str) -> Result<Option<Response>> {
        let path = self.path_of(name);
        let response = self.ask(Method::HEAD, &path, |request| request).await?;
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        self.done("a question for an object", &response)?;
        Ok(Some(response))
    }

    /// One page of a container's listing after `marker`; `None` if there is no container.
    async fn page(
        &self,
        container: &str,
        prefix: &str,
        delimiter: &str,
        marker: &str,
    ) -> Result<Option<Vec<Value>>> {
        let path = format!(
            "{}?format=json&prefix={}&delimiter={}&marker={}",
            escaped(container),
            escaped(prefix),
            escaped(delimiter),
            escaped(marker)
        );
        let response = self.ask(Method::GET, &path, |request| request).await?;
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        self.done("a listing", &response)?;
        if response.status() == StatusCode::NO_CONTENT {
            return Ok(Some(Vec::new()));
        }
        match self.web.json(response).await? {
            Value::Array(rows) => Ok(Some(rows)),
            _ => Err(Error::new(
                ErrorKind::Io,
                format!("{}: the listing is no list", self.service),
            )),
        }
    }

    /// Names and lengths in a container that begin with a prefix and have no delimiter behind it, to the last page.
    async fn rows(
        &self,
        container: &str,
        prefix: &str,
        delimiter: &str,
    ) -> Result<Vec<(String, u64)>> {
        let (mut rows, mut marker) = (Vec::new(), String::new());
        while let Some(page) = self.page(container, prefix, delimiter, &marker).await? {
            let key = |row: &Value, key: &str| row[key].as_str().map(str::to_string);
            let Some(last) = page
                .last()
                .and_then(|row| key(row, "name").or_else(|| key(row, "subdir")))
            else {
                break;
            };
            // A server that does not go on would be asked for ever.
            if last == marker {
                break;
            }
            marker = last;
            rows.extend(page.iter().filter_map(|row| {
                Some((key(row, "name")?, row["bytes"].as_u64().unwrap_or_default()))
            }));
        }
        Ok(rows)
    }

    /// # Errors
    /// What the status of an answer means, unless it is a success.
    fn done(&self, what: &str, response: &Response) -> Result<()> {
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        let error = self.web.refused(what, status);
        Err(match status.as_u16() {
            403 => error.with_hint(format!(
                "may this user write to the container {}?",
                self.container
            )),
            413 => error.with_hint(
                "is the account's quota used up, or does the service want a smaller `segment-mb`?",
            ),
            429 if self.service == "pca" => {
                error.with_hint(match retry_after(response.headers()) {
                    Some(wait) => format!(
                        "the archive unseals the object: try again in {} minutes",
                        wait.as_secs().div_ceil(60)
                    ),
                    None => "the archive unseals the object: try again later".to_string(),
                })
            }
            _ => error,
        })
    }
}

/// Path of an object in an address.
fn address(container: &str, name: &str) -> String {
    let name: Vec<_> = name.split('/').map(escaped).collect();
    format!("{}/{}", escaped(container), name.join("/"))
}

fn escaped(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

impl Storage for SwiftStorage {
    fn location(&self) -> &Location {
        &self.location
    }

    fn list(&self) -> Result<Vec<Object>> {
        self.web.transfer().block_on(async {
            let mut objects = Vec::new();
            for (name, mut size) in self.rows(&self.container, &self.prefix, "/").await? {
                let Some(name) = name
                    .strip_prefix(&self.prefix)
                    .filter(|name| !name.is_empty())
                else {
                    continue;
                };
                // An object made of whatever begins with a prefix is listed as empty.
                if size == 0 {
                    let Some(head) = self.head(name).await? else {
                        continue;
                    };
                    size = length(&head);
                }
                objects.push(Object {
                    name: name.to_string(),
                    size,
                });
            }
            Ok(objects)
        })
    }

    fn stat(&self, name: &str) -> Result<Option<Object>> {
        names::check(name)?;
        let head = self.web.transfer().block_on(self.head(name))?;
        Ok(head.map(|head| Object {
            name: name.to_string(),
            size: length(&head),
        }))
    }

    fn modified(&self, name: &str) -> Result<Option<Timestamp>> {
        names::check(name)?;
        let head = self.web.transfer().block_on(self.head(name))?;
        Ok(head.and_then(|head| written(head.headers())))
    }

    fn get(&self, name: &str, to: &mut dyn Write) -> Result<u64> {
        names::check(name)?;
        let mut download = self.web.transfer().download(to);
        self.web.transfer().block_on(async {
            let path = self.path_of(name);
            let response = self.ask(Method::GET, &path, |request| request).await?;
            self.done("a download", &response)?;
            self.web.download(response, &mut download).await
        })?;
        Ok(download.bytes())
    }

    fn put(&self, name: &str, from: &Path) -> Result<()> {
        self.web.transfer().block_on(self.put_as(name, from, false))
    }

    fn claim(&self, name: &str, from: &Path) -> Result<()> {
        // The service looks once more when the upload begins, and not when it ends: of two in the same moment both may
        // succeed.
        claim::looked_for(self, name, || {
            self.web.transfer().block_on(self.put_as(name, from, true))
        })
    }

    fn delete(&self, name: &str) -> Result<()> {
        names::check(name)?;
        self.web.transfer().block_on(async {
            let Some(head) = self.head(name).await? else {
                return Ok(());
            };
            let path = self.path_of(name);
            if header(head.headers(), "x-static-large-object").is_some() {
                return self.delete_whole(&path).await;
            }
            let segments = match header(head.headers(), "x-object-manifest") {
                Some(prefix) => self.segments_that_begin(prefix).await?,
                None => Vec::new(),
            };
            let response = self.ask(Method::DELETE, &path, |request| request).await?;
            if response.status() != StatusCode::NOT_FOUND {
                self.done("a removal", &response)?;
            }
            self.remove(&segments).await
        })
    }

    fn notices(&self) -> Vec<String> {
        self.notices.take()
    }
}

/// Length of an object, as the answer to HEAD has it.
fn length(head: &Response) -> u64 {
    header(head.headers(), CONTENT_LENGTH.as_str())
        .and_then(|text| text.parse().ok())
        .unwrap_or_default()
}
