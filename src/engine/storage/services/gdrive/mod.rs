//! Folders of Google Drive, through its HTTP interface.
//!
//! A file there is an id; names are looked up, and may be found several times: the one changed last counts. Listings may be a
//! moment behind, ids are not, so what was stored from here is also known by its id. Source: the documentation of the
//! interface, version 3.

mod api;
mod claim;
mod login;
mod pickle;

use super::super::settings;
use super::super::transfer::Transfer;
use super::super::url::{Account, DriveRoot};
use super::super::{Location, Notices, Object, Storage, StorageOptions, names};
use super::digest;
use crate::engine::error::{Error, ErrorKind, Result};
use api::{Api, FOLDER, Item, again, quoted};
use md5::Md5;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Length of a part in MiB, unless the settings name another.
const PART_MB: u64 = 64;
const MAX_PART_MB: u64 = 1024;

/// What the URL says.
pub(super) struct Place<'a> {
    pub(super) account: &'a Account,
    pub(super) root: &'a DriveRoot,
    pub(super) folder: &'a str,
}

/// Objects of one folder.
pub(super) struct GoogleDrive {
    api: Api,
    /// Id of the folder that all begins at.
    root: String,
    /// Names of the folders below it.
    path: Vec<String>,
    /// Id of the last of them, once it is known. Held while it is looked for, so that it is made once.
    folder: tokio::sync::Mutex<Option<String>>,
    known: Mutex<Known>,
    location: Location,
    notices: Notices,
}

/// What was done from here.
#[derive(Default)]
struct Known {
    /// Ids of what was stored, or may have been.
    stored: BTreeMap<String, String>,
    /// Ids of what was removed.
    gone: BTreeSet<String>,
    /// Ids nobody uses yet.
    ids: Vec<String>,
}

impl GoogleDrive {
    /// # Errors
    /// `Usage` for settings the service does not have and files that hold no credentials; `Denied` without credentials.
    pub(super) fn new(
        place: &Place<'_>,
        location: Location,
        options: &StorageOptions,
        transfer: Arc<Transfer>,
    ) -> Result<Self> {
        options.allow_only("gdrive", settings::DRIVE)?;
        let part = digest::part(options, PART_MB, MAX_PART_MB)?;
        let (drive, root) = match place.root {
            DriveRoot::Own => (None, "root"),
            DriveRoot::Folder(id) => (None, id.as_str()),
            DriveRoot::Shared(id) => (Some(id.clone()), id.as_str()),
        };
        let login = login::of(place, options)?;
        Ok(Self {
            api: Api::new(login, drive, part, options, transfer)?,
            root: root.to_string(),
            path: place
                .folder
                .split('/')
                .filter(|name| !name.is_empty())
                .map(str::to_string)
                .collect(),
            folder: tokio::sync::Mutex::new(None),
            known: Mutex::default(),
            location,
            notices: options.notices.clone(),
        })
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Id of the folder; `None` if it is not there and shall not be made.
    async fn folder(&self, make: bool) -> Result<Option<String>> {
        let mut held = self.folder.lock().await;
        if let Some(id) = &*held {
            return Ok(Some(id.clone()));
        }
        let mut id = self.root.clone();
        for name in &self.path {
            let query = format!(
                "name = {} and {} in parents and mimeType = {} and trashed = false",
                quoted(name),
                quoted(&id),
                quoted(FOLDER)
            );
            let mut found = self.api.search(&query).await?.items;
            found.retain(|folder| folder.name == *name);
            // Of several that were made at once all must take the same.
            found.sort_by(|a, b| (&a.created, &a.id).cmp(&(&b.created, &b.id)));
            if found.len() > 1 {
                let text = "Google Drive has several folders of the name";
                self.notices.tell(format!(
                    "{text} {name}: the oldest is used, what lies in the others is not seen"
                ));
            }
            id = match (found.into_iter().next(), make) {
                (Some(folder), _) => folder.id,
                (None, true) => self.api.make_folder(name, &id).await?.id,
                (None, false) => return Ok(None),
            };
        }
        *held = Some(id.clone());
        Ok(Some(id))
    }

    /// Forgets the folder if an error says that it is gone.
    async fn check_folder<T>(&self, outcome: Result<T>) -> Result<T> {
        if let Err(error) = &outcome
            && error.kind() == ErrorKind::NotFound
        {
            *self.folder.lock().await = None;
        }
        outcome
    }

    /// Files of this name, the one that counts first.
    async fn find(&self, name: &str) -> Result<Vec<Item>> {
        let Some(folder) = self.folder(false).await? else {
            return Ok(Vec::new());
        };
        let query = format!(
            "name = {} and {} in parents and trashed = false",
            quoted(name),
            quoted(&folder)
        );
        let found = match self.check_folder(self.api.search(&query).await).await {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            found => found?,
        };
        // Names of other letters may be found, too.
        let mut items = found.items;
        items.retain(|item| item.name == name && item.size.is_some());
        let stored = {
            let known = self.known();
            items.retain(|item| !known.gone.contains(&item.id));
            known.stored.get(name).cloned()
        };
        if let Some(id) = stored {
            items.retain(|item| item.id != id);
            items.extend(self.own(name, &id, &folder).await?);
        }
        items.sort_by(|a, b| {
            (&b.modified, &b.created, &b.id).cmp(&(&a.modified, &a.created, &a.id))
        });
        Ok(items)
    }

    /// What was stored from here under this name, if it is still there.
    async fn own(&self, name: &str, id: &str, folder: &str) -> Result<Option<Item>> {
        let item = self.api.item(id).await?;
        Ok(item.filter(|item| {
            // The id of the account's own root is another than the word for it.
            let is_here = self.path.is_empty() || item.parents.iter().any(|p| p == folder);
            item.name == name && item.size.is_some() && is_here
        }))
    }

    /// An id that nobody has used.
    async fn new_id(&self) -> Result<String> {
        if let Some(id) = self.known().ids.pop() {
            return Ok(id);
        }
        let mut ids = self.api.new_ids().await?;
        let id = ids.pop().ok_or_else(|| {
            let text = "gdrive: the service gives no ids";
            Error::new(ErrorKind::Io, text)
        })?;
        self.known().ids.extend(ids);
        Ok(id)
    }

    async fn put_async(&self, name: &str, from: &Path) -> Result<()> {
        let found = self.find(name).await?;
        let item = match found.first() {
            Some(there) => self.api.replace(&there.id, from).await.map_err(again)?,
            None => {
                let folder = self.folder(true).await?.unwrap_or_default();
                let id = self.new_id().await?;
                // Before it is sent: the answer may be lost.
                self.known().stored.insert(name.to_string(), id.clone());
                let properties = json!({ "id": id, "name": name, "parents": [folder] });
                let created = self.api.create(&properties, from).await;
                self.check_folder(created).await.map_err(again)?
            }
        };
        self.compare(&item, from).await?;
        self.known().stored.insert(name.to_string(), item.id);
        for other in found.into_iter().skip(1) {
            self.remove(&other.id).await?;
        }
        Ok(())
    }

    /// Compares the service's hash of an upload, if it has one, with that of the file.
    async fn compare(&self, item: &Item, from: &Path) -> Result<()> {
        let Some(there) = &item.md5 else {
            return Ok(());
        };
        if *there == digest::hex_of::<Md5>(self.api.transfer(), from)? {
            return Ok(());
        }
        self.remove(&item.id).await?;
        let text = "gdrive: what arrived has another hash than what was sent";
        Err(Error::new(ErrorKind::Unreachable, text))
    }

    async fn remove(&self, id: &str) -> Result<()> {
        self.api.remove(id).await?;
        self.known().gone.insert(id.to_string());
        Ok(())
    }

    async fn list_async(&self) -> Result<Vec<Object>> {
        let Some(folder) = self.folder(false).await? else {
            return Ok(Vec::new());
        };
        let query = format!("{} in parents and trashed = false", quoted(&folder));
        let found = match self.check_folder(self.api.search(&query).await).await {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            found => found?,
        };
        let mut newest: BTreeMap<String, Item> = BTreeMap::new();
        let stored = {
            let known = self.known();
            for item in found.items {
                let is_object = item.size.is_some() && names::check(&item.name).is_ok();
                if !is_object || known.gone.contains(&item.id) {
                    continue;
                }
                match newest.get(&item.name) {
                    Some(other) if other.modified > item.modified => {}
                    _ => drop(newest.insert(item.name.clone(), item)),
                }
            }
            known.stored.clone()
        };
        for (name, id) in stored {
            if newest.contains_key(&name) {
                continue;
            }
            match self.own(&name, &id, &folder).await? {
                Some(item) => drop(newest.insert(name, item)),
                None => drop(self.known().stored.remove(&name)),
            }
        }
        let objects = newest.into_iter();
        Ok(objects
            .filter_map(|(name, item)| {
                Some(Object {
                    name,
                    size: item.size?,
                })
            })
            .collect())
    }
}

impl Storage for GoogleDrive {
    fn location(&self) -> &Location {
        &self.location
    }

    fn list(&self) -> Result<Vec<Object>> {
        self.api.transfer().block_on(self.list_async())
    }

    fn stat(&self, name: &str) -> Result<Option<Object>> {
        names::check(name)?;
        let found = self.api.transfer().block_on(self.find(name))?;
        let size = found.first().and_then(|item| item.size);
        Ok(size.map(|size| Object {
            name: name.to_string(),
            size,
        }))
    }

    fn get(&self, name: &str, to: &mut dyn Write) -> Result<u64> {
        names::check(name)?;
        let mut download = self.api.transfer().download(to);
        self.api.transfer().block_on(async {
            let found = self.find(name).await?;
            let Some(item) = found.first() else {
                let text = format!("gdrive: there is no file {name}");
                return Err(Error::new(ErrorKind::NotFound, text));
            };
            self.api.download(&item.id, &mut download).await
        })?;
        Ok(download.bytes())
    }

    fn put(&self, name: &str, from: &Path) -> Result<()> {
        names::check(name)?;
        self.api.transfer().block_on(self.put_async(name, from))
    }

    fn claim(&self, name: &str, from: &Path) -> Result<()> {
        names::check(name)?;
        super::claim::looked_for(self, name, || {
            self.api.transfer().block_on(self.claim_async(name, from))
        })
    }

    fn delete(&self, name: &str) -> Result<()> {
        names::check(name)?;
        self.api.transfer().block_on(async {
            for item in self.find(name).await? {
                self.remove(&item.id).await?;
            }
            self.known().stored.remove(name);
            Ok(())
        })
    }

    fn notices(&self) -> Vec<String> {
        self.notices.take()
    }
}
