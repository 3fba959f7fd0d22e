//! Folders of Microsoft's OneDrive and of SharePoint, through Graph.
//!
//! Files have paths there, of which each name is there once, whatever its case, and the service itself refuses what is there
//! already. Small files go in one request, others in a session of several. Source: the documentation of Microsoft Graph,
//! version 1.0.

mod login;
mod xor;

use super::super::settings;
use super::super::transfer::Transfer;
use super::super::{Location, Notices, Object, Storage, StorageOptions, names};
use super::oauth::{Authorized, Meaning, escaped};
use super::{claim, digest};
use crate::engine::error::{Error, ErrorKind, Result};
use reqwest::header::{CONTENT_RANGE, CONTENT_TYPE};
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use sha1::Sha1;
use sha2::Sha256;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use xor::XorHash;

const SERVER: &str = "https://graph.microsoft.com";
const FIELDS: &str = "$select=id,name,size,file,folder";

/// Longest file that is sent in one request.
const SMALL: u64 = 4 << 20;

/// Length of a part in MiB, unless the settings name another; the service takes 60 MiB at most, in multiples of 320 KiB.
const PART_MB: u64 = 50;
const MAX_PART_MB: u64 = 60;
const GRANULE: u64 = 320 << 10;

/// Objects of one folder.
pub(super) struct OneDrive {
    authorized: Authorized,
    server: String,
    /// Address of the drive.
    drive: String,
    /// Names on the way to the folder.
    path: Vec<String>,
    part: u64,
    location: Location,
    notices: Notices,
}

/// What the service means by its codes.
fn meaning(status: StatusCode, answer: &Value) -> Meaning {
    let error = &answer["error"];
    let code = error["code"].as_str().unwrap_or_default();
    let kind = match (status.as_u16(), code) {
        (_, "nameAlreadyExists") => Some(ErrorKind::Locked),
        (_, "quotaLimitReached" | "insufficientStorage") => Some(ErrorKind::Full),
        (_, "activityLimitReached" | "tooManyRequests") | (509, _) => Some(ErrorKind::RateLimited),
        (_, "serviceNotAvailable" | "generalException" | "resourceModified") => {
            Some(ErrorKind::Unreachable)
        }
        // Somebody else holds it, for a moment.
        (423, _) => Some(ErrorKind::RateLimited),
        _ => None,
    };
    let message = error["message"].as_str().unwrap_or_default();
    Meaning {
        kind,
        text: match code.is_empty() {
            true => message.to_string(),
            false => format!("{code}: {message}"),
        },
    }
}

/// # Errors
/// `Unsupported` for a name the service does not keep, or keeps as another.
fn check(name: &str) -> Result<()> {
    names::check(name)?;
    let is_odd = |c: char| c.is_control() || "\"*:<>?\\|".contains(c);
    let lower = name.to_lowercase();
    let stem = lower.split('.').next().unwrap_or_default();
    let is_device = matches!(stem, "con" | "prn" | "aux" | "nul")
        || (stem.len() == 4
            && (stem.starts_with("com") || stem.starts_with("lpt"))
            && stem.ends_with(|c: char| c.is_ascii_digit()));
    if name.chars().any(is_odd)
        || name.starts_with([' ', '~'])
        || name.ends_with([' ', '.'])
        || lower == ".lock"
        || lower == "desktop.ini"
        || lower.contains("_vti_")
        || is_device
    {
        let text = format!("{name:?} is no name that OneDrive keeps");
        return Err(Error::new(ErrorKind::Unsupported, text));
    }
    Ok(())
}

impl OneDrive {
    /// # Errors
    /// `Usage` for settings the service does not have; `Unsupported` for a folder it cannot have; `Denied` without credentials.
    pub(super) fn new(
        folder: &str,
        location: Location,
        options: &StorageOptions,
        transfer: Arc<Transfer>,
    ) -> Result<Self> {
        options.allow_only("onedrive", settings::DRIVE)?;
        let part = digest::part(options, PART_MB, MAX_PART_MB)?;
        let path: Vec<String> = folder.split('/').map(str::to_string).collect();
        for name in &path {
            check(name)?;
        }
        // COMPAT(dup 1.2 to 3.2): DUPLICITY_ONEDRIVE_ROOT names another drive, such as one of SharePoint.
        let drive = options.environment.get("DUPLICITY_ONEDRIVE_ROOT");
        let drive = drive.unwrap_or("me/drive").trim_matches('/');
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.!,/".contains(c);
        if !drive.chars().all(is_plain) || drive.split('/').any(|part| part == "..") {
            let text = "DUPLICITY_ONEDRIVE_ROOT has odd characters";
            return Err(Error::new(ErrorKind::Usage, text)
                .with_hint("write me/drive, drives/ID or sites/HOST,ID,ID/drive"));
        }
        let server = options.setting("endpoint").unwrap_or(SERVER);
        let server = server.trim_end_matches('/').to_string();
        Ok(Self {
            authorized: Authorized::new(
                "onedrive",
                login::of(options)?,
                meaning,
                options,
                transfer,
            )?,
            drive: format!("{server}/v1.0/{drive}"),
            server,
            path,
            part: part - part % GRANULE,
            location,
            notices: options.notices.clone(),
        })
    }

    fn transfer(&self) -> &Transfer {
        self.authorized.web().transfer()
    }

    /// The address of what these names lead to, and of something about it.
    fn address(&self, names: &[&str], what: &str) -> String {
        let names: Vec<String> = names.iter().map(|name| escaped(name)).collect();
        match names.is_empty() {
            true => format!("{}/root{what}", self.drive),
            false => {
                let colon = if what.starts_with('/') { ":" } else { "" };
                format!("{}/root:/{}{colon}{what}", self.drive, names.join("/"))
            }
        }
    }

    /// The same for a file of the folder.
    fn file(&self, name: &str, what: &str) -> String {
        let mut names: Vec<&str> = self.path.iter().map(String::as_str).collect();
        names.push(name);
        self.address(&names, what)
    }

    async fn list_async(&self) -> Result<Vec<Object>> {
        let names: Vec<&str> = self.path.iter().map(String::as_str).collect();
        let mut url = self.address(&names, &format!("/children?{FIELDS}&$top=1000"));
        let mut objects = Vec::new();
        loop {
            let asked = self
                .authorized
                .ask("the listing", Method::GET, &url, None)
                .await;
            let page = match asked {
                Err(error) if error.kind() == ErrorKind::NotFound && objects.is_empty() => {
                    return Ok(objects);
                }
                page => page?,
            };
            let Some(entries) = page["value"].as_array() else {
                return Err(Error::new(
                    ErrorKind::Io,
                    "onedrive: a listing lists nothing",
                ));
            };
            objects.extend(entries.iter().filter_map(object));
            match page["@odata.nextLink"].as_str() {
                None => return Ok(objects),
                // It gets the token.
                Some(next) if next.starts_with(&format!("{}/", self.server)) => {
                    url = next.to_string();
                }
                Some(_) => {
                    let text = "onedrive: a listing goes on elsewhere";
                    return Err(Error::new(ErrorKind::Io, text));
                }
            }
        }
    }

    /// Makes the folder, and those on the way to it.
    async fn make_folder(&self) -> Result<()> {
        let names: Vec<&str> = self.path.iter().map(String::as_str).collect();
        for (n, name) in names.iter().enumerate() {
            let url = self.address(&names[..n], "/children");
            let folder = json!({
                "name": name, "folder": {}, "@microsoft.graph.conflictBehavior": "fail",
            });
            let made = self
                .authorized
                .ask("the new folder", Method::POST, &url, Some(&folder));
            match made.await {
                Err(error) if error.kind() == ErrorKind::Locked => {}
                made => drop(made?),
            }
        }
        Ok(())
    }

    async fn put_as(&self, name: &str, from: &Path, claims: bool) -> Result<()> {
        check(name)?;
        let there = match self.send_file(name, from, claims).await {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.make_folder().await?;
                self.send_file(name, from, claims).await?
            }
            there => there?,
        };
        let Some(fault) = self.fault(&there, from)? else {
            return Ok(());
        };
        self.remove(name).await?;
        Err(Error::new(ErrorKind::Unreachable, fault))
    }

    /// What the service's hash of an upload tells, if it has one already.
    fn fault(&self, there: &Value, from: &Path) -> Result<Option<String>> {
        let hashes = &there["file"]["hashes"];
        let transfer = self.transfer();
        let (there, here) = if let Some(there) = hashes["quickXorHash"].as_str() {
            let mut hash = XorHash::default();
            digest::each_piece(transfer, from, (0, u64::MAX), |piece| hash.update(piece))?;
            (there, hash.text())
        } else if let Some(there) = hashes["sha256Hash"].as_str() {
            (there, digest::hex_of::<Sha256>(transfer, from)?)
        } else if let Some(there) = hashes["sha1Hash"].as_str() {
            (there, digest::hex_of::<Sha1>(transfer, from)?)
        } else {
            return Ok(None);
        };
        let is_same = there == here || (here.len() >= 40 && there.eq_ignore_ascii_case(&here));
        let text = "onedrive: what arrived has another hash than what was sent";
        Ok((!is_same).then(|| text.to_string()))
    }

    /// Stores a file; what the service says of it.
    async fn send_file(&self, name: &str, from: &Path, claims: bool) -> Result<Value> {
        let bytes = self.transfer().upload(from)?.len();
        let behavior = if claims { "fail" } else { "replace" };
        if bytes <= SMALL.min(self.part) {
            let url = self.file(
                name,
                &format!("/content?@microsoft.graph.conflictBehavior={behavior}"),
            );
            let sent = self
                .authorized
                .store(Method::PUT, &url, from, (0, bytes), |request| {
                    request.header(CONTENT_TYPE, "application/octet-stream")
                })
                .await?;
            return self.answer(sent).await;
        }
        let url = self.file(name, "/createUploadSession");
        let item = json!({ "item": { "@microsoft.graph.conflictBehavior": behavior } });
        let begun = self
            .authorized
            .ask("the upload", Method::POST, &url, Some(&item))
            .await?;
        let Some(session) = begun["uploadUrl"].as_str() else {
            let text = "onedrive: an upload has no address to go to";
            return Err(Error::new(ErrorKind::Io, text));
        };
        let sent = self.send_parts(session, from, bytes).await;
        if sent.is_err() {
            // Half a file takes room until it is given up.
            let request = self.authorized.web().request(Method::DELETE, session);
            let _ = self.authorized.web().send(request).await;
        }
        sent
    }

    /// Sends a file in parts to an address that is a secret itself, and gets no other; the service may keep less than it was sent.
    async fn send_parts(&self, session: &str, from: &Path, bytes: u64) -> Result<Value> {
        self.authorized.check_address(session, &self.server)?;
        let mut start = 0;
        loop {
            let length = (bytes - start).min(self.part);
            let range = format!("bytes {start}-{}/{bytes}", start + length - 1);
            let mut upload = self.transfer().upload(from)?;
            upload.skip(start)?;
            let web = self.authorized.web();
            let request = web
                .request(Method::PUT, session)
                .header(CONTENT_RANGE, range);
            let sent = web.upload(request, &mut upload, length).await?.response;
            if sent.status() != StatusCode::ACCEPTED {
                return self.answer(sent).await.map_err(|error| match error.kind() {
                    // There was a session: if it is gone, the upload begins anew.
                    ErrorKind::NotFound => Error::new(ErrorKind::Unreachable, error.to_string()),
                    _ => error,
                });
            }
            let answer = web.json(sent).await?;
            let next = answer["nextExpectedRanges"][0].as_str().unwrap_or_default();
            let next = next.split('-').next().unwrap_or_default().parse();
            match next {
                Ok(next) if next > start && next < bytes && next <= start + length => start = next,
                _ => {
                    let text = "onedrive: the service keeps nothing of what is sent";
                    return Err(Error::new(ErrorKind::Unreachable, text));
                }
            }
        }
    }

    async fn answer(&self, sent: Response) -> Result<Value> {
        let sent = self.authorized.good("the upload", sent).await?;
        self.authorized.web().json(sent).await
    }

    async fn remove(&self, name: &str) -> Result<()> {
        let url = self.file(name, "");
        let response = self.authorized.send(Method::DELETE, &url, |r| r).await?;
        match self.authorized.good("the removal", response).await {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            removed => removed.map(|_| ()),
        }
    }
}

fn object(entry: &Value) -> Option<Object> {
    entry.get("file")?;
    let name = entry["name"].as_str()?.to_string();
    names::check(&name).ok()?;
    Some(Object {
        name,
        size: entry["size"].as_u64()?,
    })
}

impl Storage for OneDrive {
    fn location(&self) -> &Location {
        &self.location
    }

    fn list(&self) -> Result<Vec<Object>> {
        self.transfer().block_on(self.list_async())
    }

    fn stat(&self, name: &str) -> Result<Option<Object>> {
        check(name)?;
        let url = self.file(name, &format!("?{FIELDS}"));
        let asked =
            self.transfer()
                .block_on(self.authorized.ask("the look", Method::GET, &url, None));
        match asked {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            asked => Ok(object(&asked?).map(|object| Object {
                name: name.to_string(),
                ..object
            })),
        }
    }

    fn get(&self, name: &str, to: &mut dyn Write) -> Result<u64> {
        check(name)?;
        let mut download = self.transfer().download(to);
        let url = self.file(name, "/content");
        let fetched = self.authorized.fetch(&url, &self.server, &mut download);
        self.transfer().block_on(fetched)?;
        Ok(download.bytes())
    }

    fn put(&self, name: &str, from: &Path) -> Result<()> {
        self.transfer().block_on(self.put_as(name, from, false))
    }

    fn claim(&self, name: &str, from: &Path) -> Result<()> {
        // Of two at once the service refuses one.
        claim::looked_for(self, name, || {
            self.transfer().block_on(self.put_as(name, from, true))
        })
    }

    fn delete(&self, name: &str) -> Result<()> {
        check(name)?;
        self.transfer().block_on(self.remove(name))
    }

    fn notices(&self) -> Vec<String> {
        self.notices.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_become_others_are_refused() {
        for good in [
            "a b",
            "100%",
            "a#b",
            "Äpfel",
            ".dotted",
            "-dash",
            "duplicity-full.manifest.gpg",
            "console",
        ] {
            check(good).expect(good);
        }
        for bad in [
            "a:b",
            "a\\b",
            "a ",
            " a",
            "a.",
            "~$a",
            "CON",
            "nul.txt",
            "com1",
            "desktop.ini",
            "a_vti_b",
            "a\u{1}",
        ] {
            let error = check(bad).expect_err(bad);
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{bad}");
        }
    }
}
