//! Folders of Dropbox, through its HTTP interface.
//!
//! Names have no case there, and an object is there when its upload is finished: in one request, or by a session of several
//! when it is longer than a part. An access token holds for some hours; with a refresh token another is asked for when it is
//! refused. Source: the documentation of the interface, version 2.

use super::super::settings;
use super::super::transfer::Transfer;
use super::super::{Location, Object, Storage, StorageOptions, names};
use super::claim;
use super::web::{Web, hex};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::secret::Secret;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;
use tokio::sync::Mutex;

/// Length of a part in MiB, unless the settings name another; 150 MB are the most.
const PART_MB: u64 = 64;
const MAX_PART_MB: u64 = 140;

/// How another access token is got.
#[derive(Debug)]
struct Refresh {
    token: Secret,
    app_key: String,
    /// Apps that keep no secret have none.
    app_secret: Option<Secret>,
}

/// Objects of one folder.
pub(super) struct DropboxStorage {
    web: Web,
    /// Empty, or begins with a slash and ends without one.
    folder: String,
    refresh: Option<Refresh>,
    /// The header that proves who asks.
    access: Mutex<Option<HeaderValue>>,
    /// For questions, and for contents.
    servers: [String; 2],
    part: u64,
    location: Location,
}

impl DropboxStorage {
    /// # Errors
    /// `Usage` for settings the service does not have; `Denied` without a token.
    pub(super) fn new(
        folder: &str,
        location: Location,
        options: &StorageOptions,
        transfer: Arc<Transfer>,
    ) -> Result<Self> {
        options.allow_only("dpbx", settings::DRIVE)?;
        let part = match options.setting("part-mb").map(str::parse) {
            None => PART_MB,
            Some(Ok(mb @ 1..=MAX_PART_MB)) => mb,
            Some(_) => {
                let text =
                    format!("the option `part-mb` wants a whole number from 1 to {MAX_PART_MB}");
                return Err(Error::new(ErrorKind::Usage, text));
            }
        };
        let variable = |name: &str| options.environment.get(name);
        // COMPAT(dup all): DPBX_ACCESS_TOKEN, DPBX_APP_KEY and DPBX_APP_SECRET; it has no refresh token.
        let refresh = match (variable("DPBX_REFRESH_TOKEN"), variable("DPBX_APP_KEY")) {
            (Some(token), Some(app_key)) => Some(Refresh {
                token: Secret::new(token),
                app_key: app_key.to_string(),
                app_secret: variable("DPBX_APP_SECRET").map(Secret::new),
            }),
            _ => None,
        };
        let access = variable("DPBX_ACCESS_TOKEN").map(bearer).transpose()?;
        if access.is_none() && refresh.is_none() {
            return Err(Error::new(ErrorKind::Denied, "no credentials for dpbx")
                .with_hint("set DPBX_REFRESH_TOKEN and DPBX_APP_KEY, or DPBX_ACCESS_TOKEN"));
        }
        let servers = match options.setting("endpoint") {
            Some(server) => [server, server],
            None => [
                "https://api.dropboxapi.com",
                "https://content.dropboxapi.com",
            ],
        };
        Ok(Self {
            web: Web::new("dpbx", options, transfer)?,
            folder: folder.to_string(),
            refresh,
            access: Mutex::new(access),
            servers: servers.map(|server| server.trim_end_matches('/').to_string()),
            part: part << 20,
            location,
        })
    }

    /// The access token that holds, or a new one.
    async fn access(&self) -> Result<HeaderValue> {
        let mut held = self.access.lock().await;
        if let Some(access) = &*held {
            return Ok(access.clone());
        }
        let Some(refresh) = &self.refresh else {
            return Err(
                Error::new(ErrorKind::Denied, "dpbx: the access token was refused").with_hint(
                    "such tokens hold for some hours: set DPBX_REFRESH_TOKEN and DPBX_APP_KEY",
                ),
            );
        };
        let mut form = vec![
            ("grant_type", "refresh_token"),
            (
                "refresh_token",
                refresh.token.expose_str().unwrap_or_default(),
            ),
            ("client_id", &refresh.app_key),
        ];
        if let Some(secret) = &refresh.app_secret {
            form.push(("client_secret", secret.expose_str().unwrap_or_default()));
        }
        let url = format!("{}/oauth2/token", self.servers[0]);
        let request = self.web.request(Method::POST, &url);
        let request = request
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(encoded(&form));
        let response = self.web.send(request).await?;
        let status = response.status();
        if !status.is_success() {
            let error = self.web.refused("the question for a token", status);
            return Err(match status.as_u16() {
                400 | 401 => Error::new(ErrorKind::Denied, error.to_string())
                    .with_hint("check DPBX_REFRESH_TOKEN, DPBX_APP_KEY and DPBX_APP_SECRET"),
                _ => error,
            });
        }
        let answer = self.web.json(response).await?;
        let access = bearer(answer["access_token"].as_str().unwrap_or_default())?;
        *held = Some(access.clone());
        Ok(access)
    }

    /// Forgets a token that was refused, unless there is a newer one.
    async fn forget(&self, refused: &HeaderValue) {
        let mut held = self.access.lock().await;
        if held.as_ref() == Some(refused) {
            *held = None;
        }
    }

    /// Asks with JSON; the answer, or what kind of trouble it tells.
    async fn ask(&self, what: &str, argument: &Value) -> Result<Value> {
        let url = format!("{}/2/files/{what}", self.servers[0]);
        let response = self
            .send(&url, |request| {
                request
                    .header(CONTENT_TYPE, "application/json")
                    .body(argument.to_string())
            })
            .await?;
        self.web.json(self.good(what, response).await?).await
    }

    /// Sends a request without contents; once more with a new token.
    async fn send(
        &self,
        url: &str,
        more: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<Response> {
        let mut is_first = true;
        loop {
            let access = self.access().await?;
            let request = self.web.request(Method::POST, url);
            let request = more(request.header(AUTHORIZATION, access.clone()));
            let response = self.web.send(request).await?;
            if response.status().as_u16() != 401 || !std::mem::take(&mut is_first) {
                return Ok(response);
            }
            self.forget(&access).await;
        }
    }

    /// Sends a range of a file, start and length, with an argument; once more with a new token.
    async fn store(
        &self,
        what: &str,
        argument: &Value,
        from: &Path,
        (start, length): (u64, u64),
    ) -> Result<Value> {
        let url = format!("{}/2/files/{what}", self.servers[1]);
        let mut is_first = true;
        loop {
            let access = self.access().await?;
            let mut upload = self.web.transfer().upload(from)?;
            upload.skip(start)?;
            let request = self
                .web
                .request(Method::POST, &url)
                .header(AUTHORIZATION, access.clone())
                .header("Dropbox-API-Arg", in_header(argument))
                .header(CONTENT_TYPE, "application/octet-stream");
            let sent = self.web.upload(request, &mut upload, length).await;
            if sent.is_err() && self.refresh.is_some() {
                // Who refuses a token may hang up before the refusal is read.
                self.forget(&access).await;
            }
            let response = sent?.response;
            if response.status().as_u16() == 401 && std::mem::take(&mut is_first) {
                self.forget(&access).await;
                continue;
            }
            let body = self.web.body(self.good(what, response).await?).await?;
            // The answer to a part is `null`, or nothing at all.
            return Ok(serde_json::from_slice(&body).unwrap_or_default());
        }
    }

    async fn put_as(&self, name: &str, from: &Path, claims: bool) -> Result<()> {
        let bytes = self.web.transfer().upload(from)?.len();
        let mode = if claims { "add" } else { "overwrite" };
        let commit = json!({
            "path": self.path_of(name)?, "mode": mode, "autorename": false, "mute": true,
            "strict_conflict": claims,
        });
        if bytes <= self.part {
            let stored = self.store("upload", &commit, from, (0, bytes)).await?;
            return self.compared(name, from, &stored).await;
        }
        let open = json!({ "close": false });
        let begun = self
            .store("upload_session/start", &open, from, (0, self.part))
            .await?;
        let cursor = |offset: u64| json!({ "session_id": begun["session_id"], "offset": offset });
        let mut start = self.part;
        while bytes - start > self.part {
            let argument = json!({ "cursor": cursor(start), "close": false });
            self.store(
                "upload_session/append_v2",
                &argument,
                from,
                (start, self.part),
            )
            .await?;
            start += self.part;
        }
        let argument = json!({ "cursor": cursor(start), "commit": commit });
        let what = "upload_session/finish";
        let left = (start, bytes - start);
        let stored = self.store(what, &argument, from, left).await?;
        self.compared(name, from, &stored).await
    }

    /// # Errors
    /// `Unreachable` if the service has another hash than the file; what has it is removed.
    async fn compared(&self, name: &str, from: &Path, stored: &Value) -> Result<()> {
        let Some(told) = stored["content_hash"].as_str() else {
            return Ok(());
        };
        if told.eq_ignore_ascii_case(&content_hash(from)?) {
            return Ok(());
        }
        let argument = json!({ "path": self.path_of(name)? });
        let _ = self.ask("delete_v2", &argument).await;
        let text = format!("dpbx: {name} has another hash than what was sent");
        Err(Error::new(ErrorKind::Unreachable, text))
    }

    /// # Errors
    /// `Usage` or `Unsupported` for a name that cannot be there.
    fn path_of(&self, name: &str) -> Result<String> {
        names::check(name)?;
        if name.contains('\\') || name.trim_end() != name {
            let text = format!("{name:?} is no name that Dropbox keeps");
            return Err(Error::new(ErrorKind::Unsupported, text));
        }
        Ok(format!("{}/{name}", self.folder))
    }

    /// # Errors
    /// What an answer means, unless it is a success.
    async fn good(&self, what: &str, response: Response) -> Result<Response> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let error = self.web.refused(what, status);
        if status.as_u16() != 409 {
            return Err(error);
        }
        let answer = self.web.json(response).await?;
        let summary = answer["error_summary"].as_str().unwrap_or_default();
        let has = |word: &str| summary.contains(word);
        let kind = match () {
            () if has("not_found") => ErrorKind::NotFound,
            () if has("conflict") => ErrorKind::Locked,
            () if has("insufficient_space") => ErrorKind::Full,
            () if has("too_many") => ErrorKind::RateLimited,
            () if has("no_write_permission") => ErrorKind::Denied,
            () if has("malformed_path") || has("disallowed_name") => ErrorKind::Unsupported,
            () => ErrorKind::Io,
        };
        let summary: String = summary.chars().take(100).collect();
        Err(Error::new(kind, format!("dpbx: {what}: {summary}")))
    }

    fn object(entry: &Value) -> Option<Object> {
        let is_file = entry[".tag"] == "file";
        Some(Object {
            name: entry["name"].as_str().filter(|_| is_file)?.to_string(),
            size: entry["size"].as_u64()?,
        })
    }
}

fn bearer(token: &str) -> Result<HeaderValue> {
    let mut value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| {
        Error::new(
            ErrorKind::Usage,
            "dpbx: the access token holds characters that cannot be sent",
        )
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// What the service calls the hash of a file: that of the hashes of its blocks.
// Source: "Content hash" of the service's documentation: SHA-256, blocks of 4 MiB.
fn content_hash(path: &Path) -> Result<String> {
    const BLOCK: u64 = 4 << 20;
    let wrong = |e| Error::io("read", path, e);
    let mut file = File::open(path).map_err(wrong)?;
    let mut all = Sha256::new();
    let mut block = Vec::new();
    loop {
        block.clear();
        let read = (&mut file).take(BLOCK).read_to_end(&mut block);
        if read.map_err(wrong)? == 0 {
            return Ok(hex(&all.finalize()));
        }
        all.update(Sha256::digest(&block));
    }
}

/// Pairs as a form.
fn encoded(pairs: &[(&str, &str)]) -> String {
    let escaped = |text| {
        percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
    };
    let pairs = pairs
        .iter()
        .map(|(name, value)| format!("{name}={}", escaped(value)));
    pairs.collect::<Vec<_>>().join("&")
}

/// JSON that can stand in a header.
fn in_header(value: &Value) -> String {
    let mut text = String::new();
    for c in value.to_string().chars() {
        if (' '..='~').contains(&c) {
            text.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            let _ = write!(text, "\\u{unit:04x}");
        }
    }
    text
}

impl Storage for DropboxStorage {
    fn location(&self) -> &Location {
        &self.location
    }

    fn list(&self) -> Result<Vec<Object>> {
        self.web.transfer().block_on(async {
            let first = json!({ "path": self.folder, "recursive": false });
            let mut page = match self.ask("list_folder", &first).await {
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
                page => page?,
            };
            let mut objects = Vec::new();
            loop {
                let entries = page["entries"].as_array().into_iter().flatten();
                objects.extend(entries.filter_map(Self::object));
                if page["has_more"] != true {
                    return Ok(objects);
                }
                let next = json!({ "cursor": page["cursor"] });
                page = self.ask("list_folder/continue", &next).await?;
            }
        })
    }

    fn stat(&self, name: &str) -> Result<Option<Object>> {
        let argument = json!({ "path": self.path_of(name)? });
        let asked = self
            .web
            .transfer()
            .block_on(self.ask("get_metadata", &argument));
        match asked {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            asked => Ok(Self::object(&asked?).map(|object| Object {
                name: name.to_string(),
                ..object
            })),
        }
    }

    fn get(&self, name: &str, to: &mut dyn Write) -> Result<u64> {
        let argument = in_header(&json!({ "path": self.path_of(name)? }));
        let mut download = self.web.transfer().download(to);
        self.web.transfer().block_on(async {
            let url = format!("{}/2/files/download", self.servers[1]);
            let response = self
                .send(&url, |request| request.header("Dropbox-API-Arg", &argument))
                .await?;
            let response = self.good("download", response).await?;
            self.web.download(response, &mut download).await
        })?;
        Ok(download.bytes())
    }

    fn put(&self, name: &str, from: &Path) -> Result<()> {
        self.web.transfer().block_on(self.put_as(name, from, false))
    }

    fn claim(&self, name: &str, from: &Path) -> Result<()> {
        // Of two at once the service refuses one.
        claim::looked_for(self, name, || {
            self.web.transfer().block_on(self.put_as(name, from, true))
        })
    }

    fn delete(&self, name: &str) -> Result<()> {
        let argument = json!({ "path": self.path_of(name)? });
        match self
            .web
            .transfer()
            .block_on(self.ask("delete_v2", &argument))
        {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::storage::{TargetUrl, open};

    #[test]
    fn arguments_in_headers_are_plain_text() {
        let text = in_header(&json!({ "path": "/\u{e4} \u{1f600}\u{7f}" }));
        assert_eq!(text, r#"{"path":"/\u00e4 \ud83d\ude00\u007f"}"#);
        assert_eq!(encoded(&[("a", "b c&"), ("d", "")]), "a=b%20c%26&d=");
    }

    #[test]
    fn files_have_a_hash_of_hashes() {
        let file = tempfile::NamedTempFile::new().expect("temp file");
        let hash = || content_hash(file.path()).expect("hash");
        let of = |text: &[u8]| hex(&Sha256::digest(text));
        assert_eq!(hash(), of(b""));
        std::fs::write(file.path(), "canary").expect("file");
        assert_eq!(hash(), of(&Sha256::digest("canary")));
        std::fs::write(file.path(), vec![7; (4 << 20) + 1]).expect("file");
        let mut blocks = Sha256::digest(vec![7; 4 << 20]).to_vec();
        blocks.extend(Sha256::digest([7]));
        assert_eq!(hash(), of(&blocks));
    }

    #[test]
    fn tokens_are_asked_for_before_the_network_is() {
        let opened = |environment: &[(&str, &str)]| {
            let options = StorageOptions {
                environment: environment.iter().copied().collect(),
                ..StorageOptions::default()
            };
            let url = TargetUrl::parse("dpbx:///x").expect("URL");
            open(&url, &options).map(|_| ()).map_err(|e| e.kind())
        };
        assert_eq!(opened(&[]), Err(ErrorKind::Denied));
        assert_eq!(
            opened(&[("DPBX_REFRESH_TOKEN", "t")]),
            Err(ErrorKind::Denied)
        );
        assert_eq!(opened(&[("DPBX_ACCESS_TOKEN", "t")]), Ok(()));
        let both = [("DPBX_REFRESH_TOKEN", "t"), ("DPBX_APP_KEY", "k")];
        assert_eq!(opened(&both), Ok(()));
    }
}
