//! The calls of Google's interface, version 3, as far as they are needed.
//!
//! Everything has an id there, and a name is only a property of it: several files of one folder may have the same.

use super::super::later::date;
use super::super::oauth::{Authorized, Login, Meaning, escaped};
use super::super::web::header;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::storage::StorageOptions;
use crate::engine::storage::transfer::{Download, Transfer};
use reqwest::header::{CONTENT_RANGE, CONTENT_TYPE, LOCATION, RANGE};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;

const SERVER: &str = "https://www.googleapis.com";
pub(super) const FOLDER: &str = "application/vnd.google-apps.folder";
const FIELDS: &str = "id,name,mimeType,size,md5Checksum,createdTime,modifiedTime,trashed,parents";

/// A file or folder, as the service describes it. Times are of one form, and sort as texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) id: String,
    pub(super) name: String,
    /// Only files have one, and not those of Google's own programs.
    pub(super) size: Option<u64>,
    pub(super) md5: Option<String>,
    pub(super) created: String,
    pub(super) modified: String,
    pub(super) is_trashed: bool,
    pub(super) parents: Vec<String>,
}

impl Item {
    fn of(value: &Value) -> Option<Self> {
        let text = |name: &str| value[name].as_str().map(str::to_string);
        let parents = value["parents"].as_array().into_iter().flatten();
        Some(Self {
            id: text("id")?,
            name: text("name")?,
            // Numbers of 64 bits are texts there.
            size: value["size"].as_str().and_then(|size| size.parse().ok()),
            md5: text("md5Checksum"),
            created: text("createdTime").unwrap_or_default(),
            modified: text("modifiedTime").unwrap_or_default(),
            is_trashed: value["trashed"] == true,
            parents: parents
                .filter_map(|parent| parent.as_str().map(str::to_string))
                .collect(),
        })
    }
}

/// What was found, and when by the service's clock.
pub(super) struct Found {
    pub(super) items: Vec<Item>,
    pub(super) now: Option<i64>,
}

/// Google's interface for one account.
pub(super) struct Api {
    authorized: Authorized,
    server: String,
    /// A shared drive, unless it is the account's own.
    drive: Option<String>,
    part: u64,
}

/// What the service means by the reasons it gives.
fn meaning(status: StatusCode, answer: &Value) -> Meaning {
    let error = &answer["error"];
    let reason = error["errors"][0]["reason"].as_str().unwrap_or_default();
    let kind = match reason {
        _ if reason.ends_with("ateLimitExceeded") => Some(ErrorKind::RateLimited),
        "storageQuotaExceeded" | "teamDriveFileLimitExceeded" => Some(ErrorKind::Full),
        "numChildrenInNonRootLimitExceeded" | "activeItemCreationLimitExceeded" => {
            Some(ErrorKind::Full)
        }
        "backendError" | "internalError" => Some(ErrorKind::Unreachable),
        // The session of an upload has ended.
        _ if status == StatusCode::GONE => Some(ErrorKind::Unreachable),
        _ => None,
    };
    let message = error["message"].as_str().unwrap_or_default();
    Meaning {
        kind,
        text: match reason.is_empty() {
            true => message.to_string(),
            false => format!("{reason}: {message}"),
        },
    }
}

/// A text within a search.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

impl Api {
    pub(super) fn new(
        login: Login,
        drive: Option<String>,
        part: u64,
        options: &StorageOptions,
        transfer: Arc<Transfer>,
    ) -> Result<Self> {
        let server = options.setting("endpoint").unwrap_or(SERVER);
        Ok(Self {
            authorized: Authorized::new("gdrive", login, meaning, options, transfer)?,
            server: server.trim_end_matches('/').to_string(),
            drive,
            part,
        })
    }

    pub(super) fn transfer(&self) -> &Transfer {
        self.authorized.web().transfer()
    }

    /// The address of a file, or of all.
    fn files(&self, way: &str, id: &str, more: &str) -> String {
        let slash = if id.is_empty() { "" } else { "/" };
        let server = &self.server;
        format!(
            "{server}{way}/drive/v3/files{slash}{}?supportsAllDrives=true{more}",
            escaped(id)
        )
    }

    /// All that a search finds, to the last page.
    pub(super) async fn search(&self, query: &str) -> Result<Found> {
        let mut more = format!(
            "&includeItemsFromAllDrives=true&spaces=drive&pageSize=1000&q={}&fields={}",
            escaped(query),
            escaped(&format!("nextPageToken,incompleteSearch,files({FIELDS})"))
        );
        match &self.drive {
            Some(drive) => more += &format!("&corpora=drive&driveId={}", escaped(drive)),
            None => more += "&corpora=user",
        }
        let (mut items, mut page) = (Vec::new(), String::new());
        loop {
            let url = self.files("", "", &format!("{more}{page}"));
            let response = self.authorized.send(Method::GET, &url, |r| r).await?;
            let response = self.authorized.good("the listing", response).await?;
            let now = date(response.headers());
            let answer = self.authorized.web().json(response).await?;
            let Some(files) = answer["files"].as_array() else {
                return Err(Error::new(ErrorKind::Io, "gdrive: a listing lists nothing"));
            };
            if answer["incompleteSearch"] == true {
                let text = "gdrive: the listing is not complete";
                return Err(Error::new(ErrorKind::Unreachable, text));
            }
            items.extend(files.iter().filter_map(Item::of));
            match answer["nextPageToken"].as_str() {
                Some(next) => page = format!("&pageToken={}", escaped(next)),
                None => return Ok(Found { items, now }),
            }
        }
    }

    /// What has this id; `None` if nothing has, or if it lies in the trash.
    pub(super) async fn item(&self, id: &str) -> Result<Option<Item>> {
        let url = self.files("", id, &format!("&fields={}", escaped(FIELDS)));
        let asked = self.authorized.ask("the look", Method::GET, &url, None);
        match asked.await {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            asked => Ok(Item::of(&asked?).filter(|item| !item.is_trashed)),
        }
    }

    /// Makes a folder.
    pub(super) async fn make_folder(&self, name: &str, parent: &str) -> Result<Item> {
        let url = self.files("", "", &format!("&fields={}", escaped(FIELDS)));
        let folder = json!({ "name": name, "mimeType": FOLDER, "parents": [parent] });
        let made = self
            .authorized
            .ask("the new folder", Method::POST, &url, Some(&folder))
            .await?;
        Item::of(&made).ok_or_else(|| Error::new(ErrorKind::Io, "gdrive: the new folder has no id"))
    }

    /// Changes properties of a file.
    pub(super) async fn change(&self, id: &str, change: &Value) -> Result<()> {
        let url = self.files("", id, "&fields=id");
        let changed = self
            .authorized
            .ask("the change", Method::PATCH, &url, Some(change));
        changed.await.map(|_| ())
    }

    /// Removes a file for good, or into the trash where only that is allowed, as it is to many members of shared drives.
    pub(super) async fn remove(&self, id: &str) -> Result<()> {
        let url = self.files("", id, "");
        let response = self.authorized.send(Method::DELETE, &url, |r| r).await?;
        let removed = match self.authorized.good("the removal", response).await {
            Err(error) if error.kind() == ErrorKind::Denied => self
                .change(id, &json!({ "trashed": true }))
                .await
                .map_err(|_| error),
            removed => removed.map(|_| ()),
        };
        match removed {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    /// Ids for files to be. Whoever names one himself can look whether an upload has succeeded whose answer was lost.
    pub(super) async fn new_ids(&self) -> Result<Vec<String>> {
        let url = format!(
            "{}/drive/v3/files/generateIds?count=16&space=drive",
            self.server
        );
        let answer = self
            .authorized
            .ask("the question for ids", Method::GET, &url, None)
            .await?;
        let ids = answer["ids"].as_array().into_iter().flatten();
        Ok(ids
            .filter_map(|id| id.as_str().map(str::to_string))
            .collect())
    }

    pub(super) async fn download(&self, id: &str, to: &mut Download<'_>) -> Result<()> {
        let url = self.files("", id, "&alt=media");
        let response = self.authorized.send(Method::GET, &url, |r| r).await?;
        let response = self.authorized.good("the download", response).await?;
        self.authorized.web().download(response, to).await
    }

    /// Stores a file as a new one with these properties.
    pub(super) async fn create(&self, properties: &Value, from: &Path) -> Result<Item> {
        let url = self.files("/upload", "", &resumable());
        self.upload(Method::POST, &url, properties, from).await
    }

    /// Replaces the content of a file, at once when all of the new one is there.
    pub(super) async fn replace(&self, id: &str, from: &Path) -> Result<Item> {
        let url = self.files("/upload", id, &resumable());
        self.upload(Method::PATCH, &url, &json!({}), from).await
    }

    /// Sends a file in parts; the service may keep less of a part than it was sent.
    async fn upload(
        &self,
        method: Method,
        url: &str,
        properties: &Value,
        from: &Path,
    ) -> Result<Item> {
        let bytes = self.transfer().upload(from)?.len();
        let begun = self
            .authorized
            .send(method, url, |request| {
                request
                    .header(CONTENT_TYPE, "application/json; charset=UTF-8")
                    .header("X-Upload-Content-Type", "application/octet-stream")
                    .header("X-Upload-Content-Length", bytes)
                    .body(properties.to_string())
            })
            .await?;
        let begun = self.authorized.good("the upload", begun).await?;
        let session = header(begun.headers(), LOCATION.as_str()).map(str::to_string);
        let session = session.filter(|session| self.is_ours(session));
        let Some(session) = session else {
            let text = "gdrive: an upload has no address to go to";
            return Err(Error::new(ErrorKind::Io, text));
        };
        let mut start = 0;
        loop {
            let length = (bytes - start).min(self.part);
            let range = format!("bytes {start}-{}/{bytes}", (start + length).max(1) - 1);
            let sent = self
                .authorized
                .store(
                    Method::PUT,
                    &session,
                    from,
                    (start, length),
                    |request| match bytes {
                        // Nothing has no range.
                        0 => request,
                        _ => request.header(CONTENT_RANGE, &range),
                    },
                )
                .await?;
            if sent.status() != StatusCode::PERMANENT_REDIRECT {
                let sent = self.authorized.good("the upload", sent).await;
                // There was a session: if it is gone, the upload begins anew.
                let sent = sent.map_err(again)?;
                let answer = self.authorized.web().json(sent).await?;
                return Item::of(&answer).ok_or_else(|| {
                    Error::new(ErrorKind::Unreachable, "gdrive: an upload ended in no file")
                });
            }
            let kept = header(sent.headers(), RANGE.as_str()).map_or(Some(0), |range| {
                let last: u64 = range.strip_prefix("bytes=0-")?.parse().ok()?;
                last.checked_add(1)
            });
            match kept {
                Some(kept) if kept > start && kept < bytes && kept <= start + length => {
                    start = kept
                }
                _ => {
                    let text = "gdrive: the service keeps nothing of what is sent";
                    return Err(Error::new(ErrorKind::Unreachable, text));
                }
            }
        }
    }

    /// Whether an address is one of the service: it gets the token.
    fn is_ours(&self, address: &str) -> bool {
        let rest = address.strip_prefix(&self.server);
        rest.is_some_and(|rest| rest.starts_with('/'))
    }
}

fn resumable() -> String {
    format!("&uploadType=resumable&fields={}", escaped(FIELDS))
}

/// What was there a moment ago comes back, or is made again.
pub(super) fn again(error: Error) -> Error {
    match error.kind() {
        ErrorKind::NotFound => Error::new(ErrorKind::Unreachable, error.to_string()),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn searches_quote_their_texts() {
        assert_eq!(quoted(r"a'b\c"), r"'a\'b\\c'");
    }

    #[test]
    fn reasons_have_kinds() {
        let kind = |status: u16, reason: &str| {
            let answer = json!({ "error": { "errors": [{ "reason": reason }] } });
            let status = StatusCode::from_u16(status).expect("a status");
            meaning(status, &answer).kind
        };
        assert_eq!(
            kind(403, "userRateLimitExceeded"),
            Some(ErrorKind::RateLimited)
        );
        assert_eq!(kind(403, "rateLimitExceeded"), Some(ErrorKind::RateLimited));
        assert_eq!(kind(403, "storageQuotaExceeded"), Some(ErrorKind::Full));
        assert_eq!(kind(403, "insufficientFilePermissions"), None);
        assert_eq!(kind(410, ""), Some(ErrorKind::Unreachable));
    }
}
