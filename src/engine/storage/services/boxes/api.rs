//! The calls of Box's interface, version 2.0, as far as they are needed.

use super::super::digest;
use super::super::oauth::{Authorized, Login, Meaning, escaped};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::storage::StorageOptions;
use crate::engine::storage::transfer::{Download, Transfer};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{CONTENT_RANGE, CONTENT_TYPE};
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use sha1::Sha1;
use std::path::Path;
use std::sync::Arc;

const SERVERS: [&str; 2] = ["https://api.box.com/2.0", "https://upload.box.com/api/2.0"];

/// Shorter files go in one request; sessions are not for them.
const IN_PARTS: u64 = 20_000_000;

/// How often an upload is looked at that is not put together yet.
const LOOKS: u32 = 20;

/// Between the parts of a form; a file may hold it, as it is not looked for behind its length.
const BORDER: &str = "dupr-0f8d5b1ce7a94c6e";

/// A file or folder.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) is_folder: bool,
    pub(super) size: u64,
    pub(super) sha1: Option<String>,
}

impl Item {
    fn of(value: &Value) -> Option<Self> {
        Some(Self {
            id: value["id"].as_str()?.to_string(),
            name: value["name"].as_str()?.to_string(),
            is_folder: value["type"] == "folder",
            size: value["size"].as_u64().unwrap_or_default(),
            sha1: value["sha1"].as_str().map(str::to_string),
        })
    }
}

/// Where an upload goes.
pub(super) enum Aim<'a> {
    /// A new file of this name in the folder with this id.
    New { name: &'a str, folder: &'a str },
    /// New content of the file with this id.
    Version(&'a str),
}

/// Box's interface for one app.
pub(super) struct Api {
    authorized: Authorized,
    /// For questions, and for uploads.
    servers: [String; 2],
}

/// What the service means by its codes.
fn meaning(_: StatusCode, answer: &Value) -> Meaning {
    let code = answer["code"].as_str().unwrap_or_default();
    let kind = match code {
        "item_name_in_use" => Some(ErrorKind::Locked),
        "storage_limit_exceeded" => Some(ErrorKind::Full),
        "rate_limit_exceeded" => Some(ErrorKind::RateLimited),
        "file_size_limit_exceeded" | "item_name_invalid" | "item_name_too_long" => {
            Some(ErrorKind::Unsupported)
        }
        // What passes by itself; and what arrived has another hash than what was sent.
        "name_temporarily_reserved"
        | "operation_blocked_temporary"
        | "unavailable"
        | "precondition_failed"
        | "bad_digest" => Some(ErrorKind::Unreachable),
        _ => None,
    };
    let message = answer["message"].as_str().unwrap_or_default();
    Meaning {
        kind,
        text: match code.is_empty() {
            true => message.to_string(),
            false => format!("{code}: {message}"),
        },
    }
}

impl Api {
    pub(super) fn new(
        login: Login,
        options: &StorageOptions,
        transfer: Arc<Transfer>,
    ) -> Result<Self> {
        let servers = match options.setting("endpoint") {
            None => SERVERS.map(str::to_string),
            Some(server) => {
                let server = server.trim_end_matches('/');
                [format!("{server}/2.0"), format!("{server}/api/2.0")]
            }
        };
        Ok(Self {
            authorized: Authorized::new("box", login, meaning, options, transfer)?,
            servers,
        })
    }

    pub(super) fn transfer(&self) -> &Transfer {
        self.authorized.web().transfer()
    }

    /// All that lies in a folder, to the last page.
    pub(super) async fn items(&self, folder: &str) -> Result<Vec<Item>> {
        let (mut items, mut marker) = (Vec::new(), String::new());
        loop {
            let url = format!(
                "{}/folders/{}/items?fields=id,type,name,size,sha1&limit=1000&usemarker=true{marker}",
                self.servers[0],
                escaped(folder)
            );
            let page = self
                .authorized
                .ask("the listing", Method::GET, &url, None)
                .await?;
            let Some(entries) = page["entries"].as_array() else {
                return Err(Error::new(ErrorKind::Io, "box: a listing lists nothing"));
            };
            items.extend(entries.iter().filter_map(Item::of));
            match page["next_marker"].as_str().filter(|next| !next.is_empty()) {
                Some(next) => marker = format!("&marker={}", escaped(next)),
                None => return Ok(items),
            }
        }
    }

    /// Makes a folder; the id of that of this name, if there is one.
    pub(super) async fn make_folder(&self, name: &str, parent: &str) -> Result<String> {
        let url = format!("{}/folders?fields=id,type,name", self.servers[0]);
        let folder = json!({ "name": name, "parent": { "id": parent } });
        let (status, answer) = self.asked(Method::POST, &url, &folder).await?;
        let found = match status {
            StatusCode::CONFLICT => conflict(&answer),
            _ if status.is_success() => Item::of(&answer),
            _ => None,
        };
        found
            .filter(|item| item.is_folder)
            .map(|item| item.id)
            .ok_or_else(|| self.trouble("the new folder", status, &answer))
    }

    /// The file of this name in a folder, by asking whether another could be put there.
    pub(super) async fn find(&self, name: &str, folder: &str) -> Result<Option<Item>> {
        let url = format!("{}/files/content", self.servers[0]);
        let check = json!({ "name": name, "parent": { "id": folder }, "size": 0 });
        let (status, answer) = self.asked(Method::OPTIONS, &url, &check).await?;
        if status.is_success() {
            return Ok(None);
        }
        let found =
            conflict(&answer).filter(|item| !item.is_folder && status == StatusCode::CONFLICT);
        match found {
            Some(item) => self.item(&item.id).await,
            None => Err(self.trouble("the look", status, &answer)),
        }
    }

    /// The file with this id.
    pub(super) async fn item(&self, id: &str) -> Result<Option<Item>> {
        let url = format!(
            "{}/files/{}?fields=id,type,name,size,sha1",
            self.servers[0],
            escaped(id)
        );
        match self
            .authorized
            .ask("the look", Method::GET, &url, None)
            .await
        {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            found => Ok(Item::of(&found?)),
        }
    }

    /// An answer with JSON whatever its status.
    async fn asked(
        &self,
        method: Method,
        url: &str,
        argument: &Value,
    ) -> Result<(StatusCode, Value)> {
        let response = self
            .authorized
            .send(method, url, |request| {
                request
                    .header(CONTENT_TYPE, "application/json")
                    .body(argument.to_string())
            })
            .await?;
        let status = response.status();
        if !status.is_success() && status != StatusCode::CONFLICT {
            return Err(self.authorized.trouble("the question", response).await);
        }
        let body = self.authorized.web().body(response).await?;
        Ok((status, serde_json::from_slice(&body).unwrap_or_default()))
    }

    fn trouble(&self, what: &str, status: StatusCode, answer: &Value) -> Error {
        let Meaning { kind, text } = meaning(status, answer);
        let error = self.authorized.web().refused(what, status);
        Error::new(kind.unwrap_or(error.kind()), format!("{error}: {text}"))
    }

    pub(super) async fn remove(&self, id: &str) -> Result<()> {
        let url = format!("{}/files/{}", self.servers[0], escaped(id));
        let response = self.authorized.send(Method::DELETE, &url, |r| r).await?;
        match self.authorized.good("the removal", response).await {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            removed => removed.map(|_| ()),
        }
    }

    pub(super) async fn download(&self, id: &str, to: &mut Download<'_>) -> Result<()> {
        let url = format!("{}/files/{}/content", self.servers[0], escaped(id));
        self.authorized.fetch(&url, &self.servers[0], to).await
    }

    /// Stores a file.
    ///
    /// # Errors
    /// `Locked` for a new file whose name is taken.
    pub(super) async fn upload(&self, aim: &Aim<'_>, from: &Path) -> Result<Item> {
        let bytes = self.transfer().upload(from)?.len();
        let answer = match bytes < IN_PARTS {
            true => self.upload_whole(aim, from, bytes).await?,
            false => self.upload_parts(aim, from, bytes).await?,
        };
        Item::of(&answer["entries"][0])
            .ok_or_else(|| Error::new(ErrorKind::Unreachable, "box: an upload ended in no file"))
    }

    async fn upload_whole(&self, aim: &Aim<'_>, from: &Path, bytes: u64) -> Result<Value> {
        let (url, attributes) = match aim {
            Aim::New { name, folder } => (
                format!("{}/files/content", self.servers[1]),
                json!({ "name": name, "parent": { "id": folder } }),
            ),
            Aim::Version(id) => (
                format!("{}/files/{}/content", self.servers[1], escaped(id)),
                json!({}),
            ),
        };
        let sha1 = digest::hex_of::<Sha1>(self.transfer(), from)?;
        let head = format!(
            "--{BORDER}\r\nContent-Disposition: form-data; name=\"attributes\"\r\n\r\n{attributes}\r\n\
             --{BORDER}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"file\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        );
        let tail = format!("\r\n--{BORDER}--\r\n");
        let kind = format!("multipart/form-data; boundary={BORDER}");
        let sent = self
            .authorized
            .store_within(
                Method::POST,
                &url,
                from,
                (0, bytes),
                (&head, &tail),
                |request| {
                    request
                        .header(CONTENT_TYPE, &kind)
                        .header("Content-MD5", &sha1)
                },
            )
            .await?;
        self.answer(sent).await
    }

    /// Sends a file in parts of the length the service wants.
    async fn upload_parts(&self, aim: &Aim<'_>, from: &Path, bytes: u64) -> Result<Value> {
        let (url, begin) = match aim {
            Aim::New { name, folder } => (
                format!("{}/files/upload_sessions", self.servers[1]),
                json!({ "folder_id": folder, "file_name": name, "file_size": bytes }),
            ),
            Aim::Version(id) => (
                format!("{}/files/{}/upload_sessions", self.servers[1], escaped(id)),
                json!({ "file_size": bytes }),
            ),
        };
        let session = self
            .authorized
            .ask("the upload", Method::POST, &url, Some(&begin))
            .await?;
        let (Some(id), Some(part @ 1..)) = (session["id"].as_str(), session["part_size"].as_u64())
        else {
            let text = "box: an upload has no session";
            return Err(Error::new(ErrorKind::Io, text));
        };
        let url = format!("{}/files/upload_sessions/{}", self.servers[1], escaped(id));
        let sent = self.send_parts(&url, part, from, bytes).await;
        if sent.is_err() {
            // Half a file takes room until it is given up.
            let _ = self
                .authorized
                .send(Method::DELETE, &url, |request| request)
                .await;
        }
        sent
    }

    async fn send_parts(&self, url: &str, part: u64, from: &Path, bytes: u64) -> Result<Value> {
        let digest_of = |range: (u64, u64)| -> Result<String> {
            let hash = digest::of_range::<Sha1>(self.transfer(), from, range)?;
            Ok(format!("sha={}", STANDARD.encode(hash)))
        };
        let (mut parts, mut start) = (Vec::new(), 0);
        while start < bytes {
            let length = part.min(bytes - start);
            let range = format!("bytes {start}-{}/{bytes}", start + length - 1);
            let hash = digest_of((start, length))?;
            let sent = self
                .authorized
                .store(Method::PUT, url, from, (start, length), |request| {
                    request
                        .header(CONTENT_TYPE, "application/octet-stream")
                        .header(CONTENT_RANGE, &range)
                        .header("Digest", &hash)
                })
                .await?;
            let mut answer = self.answer(sent).await.map_err(again)?;
            parts.push(answer["part"].take());
            start += length;
        }
        let hash = digest_of((0, u64::MAX))?;
        let commit = json!({ "parts": parts }).to_string();
        for _ in 0..LOOKS {
            let asked = self
                .authorized
                .send(Method::POST, &format!("{url}/commit"), |request| {
                    request
                        .header(CONTENT_TYPE, "application/json")
                        .header("Digest", &hash)
                        .body(commit.clone())
                })
                .await?;
            if asked.status() != StatusCode::ACCEPTED {
                return self.answer(asked).await.map_err(again);
            }
            self.authorized.wait(&asked)?;
        }
        let text = "box: an upload is not put together";
        Err(Error::new(ErrorKind::Unreachable, text))
    }

    async fn answer(&self, sent: Response) -> Result<Value> {
        let sent = self.authorized.good("the upload", sent).await?;
        self.authorized.web().json(sent).await
    }
}

/// What has the name already.
fn conflict(answer: &Value) -> Option<Item> {
    let conflicts = &answer["context_info"]["conflicts"];
    // One for files, several for folders.
    Item::of(conflicts.get(0).unwrap_or(conflicts))
}

/// What was there a moment ago comes back, or is made again.
pub(super) fn again(error: Error) -> Error {
    match error.kind() {
        ErrorKind::NotFound => Error::new(ErrorKind::Unreachable, error.to_string()),
        _ => error,
    }
}
