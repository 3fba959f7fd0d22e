//! Folders of Box, through its HTTP interface.
//!
//! A file there is an id; of each name there is one in a folder, whatever its case, and the service itself refuses another.
//! Source: the documentation of the interface, version 2.0.

mod api;
mod login;

use super::super::settings;
use super::super::transfer::Transfer;
use super::super::{Location, Object, Storage, StorageOptions, names};
use super::{claim, digest};
use crate::engine::error::{Error, ErrorKind, Result};
use api::{Aim, Api, Item, again};
use sha1::Sha1;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::Mutex;

/// The folder everything lies in.
const ROOT: &str = "0";

/// Objects of one folder.
pub(super) struct BoxStorage {
    api: Api,
    /// Names on the way to the folder.
    path: Vec<String>,
    /// Id of the folder, once it is known.
    folder: Mutex<Option<String>>,
    location: Location,
}

/// # Errors
/// `Unsupported` for a name the service does not keep.
fn check(name: &str) -> Result<()> {
    names::check(name)?;
    if name.contains('\\')
        || name.trim() != name
        || name.chars().any(char::is_control)
        || name.chars().count() > 255
    {
        let text = format!("{name:?} is no name that Box keeps");
        return Err(Error::new(ErrorKind::Unsupported, text));
    }
    Ok(())
}

impl BoxStorage {
    /// # Errors
    /// `Usage` for settings the service does not have and a file without a login; `Denied` without one.
    pub(super) fn new(
        (folder, config): (&str, Option<&str>),
        location: Location,
        options: &StorageOptions,
        transfer: Arc<Transfer>,
    ) -> Result<Self> {
        options.allow_only("box", settings::BOX)?;
        let path: Vec<String> = folder.split('/').map(str::to_string).collect();
        for name in &path {
            check(name)?;
        }
        Ok(Self {
            api: Api::new(login::of(config, options)?, options, transfer)?,
            path,
            folder: Mutex::new(None),
            location,
        })
    }

    /// Id of the folder; `None` if it is not there and shall not be made.
    async fn folder(&self, make: bool) -> Result<Option<String>> {
        let mut held = self.folder.lock().await;
        if let Some(id) = &*held {
            return Ok(Some(id.clone()));
        }
        let mut id = ROOT.to_string();
        for name in &self.path {
            let items = self.api.items(&id).await?;
            let found = items
                .into_iter()
                .find(|item| item.is_folder && item.name.to_lowercase() == name.to_lowercase());
            id = match (found, make) {
                (Some(folder), _) => folder.id,
                (None, true) => self.api.make_folder(name, &id).await?,
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

    async fn find(&self, name: &str) -> Result<Option<Item>> {
        let Some(folder) = self.folder(false).await? else {
            return Ok(None);
        };
        match self.check_folder(self.api.find(name, &folder).await).await {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            found => found,
        }
    }

    async fn put_as(&self, name: &str, from: &Path, claims: bool) -> Result<()> {
        let there = match claims {
            true => None,
            false => self.find(name).await?,
        };
        let item = match &there {
            Some(there) => self.api.upload(&Aim::Version(&there.id), from).await,
            None => {
                let folder = self.folder(true).await?.unwrap_or_default();
                let aim = Aim::New {
                    name,
                    folder: &folder,
                };
                self.check_folder(self.api.upload(&aim, from).await).await
            }
        };
        let item = item
            .map_err(again)
            .map_err(|error| match (error.kind(), claims) {
                // Somebody else has put it since the look: the next attempt replaces it.
                (ErrorKind::Locked, false) => Error::new(ErrorKind::Unreachable, error.to_string()),
                _ => error,
            })?;
        let Some(sha1) = &item.sha1 else {
            return Ok(());
        };
        if sha1.eq_ignore_ascii_case(&digest::hex_of::<Sha1>(self.api.transfer(), from)?) {
            return Ok(());
        }
        self.api.remove(&item.id).await?;
        let text = "box: what arrived has another hash than what was sent";
        Err(Error::new(ErrorKind::Unreachable, text))
    }
}

impl Storage for BoxStorage {
    fn location(&self) -> &Location {
        &self.location
    }

    fn list(&self) -> Result<Vec<Object>> {
        let items = self.api.transfer().block_on(async {
            let Some(folder) = self.folder(false).await? else {
                return Ok(Vec::new());
            };
            match self.check_folder(self.api.items(&folder).await).await {
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
                items => items,
            }
        })?;
        let files = items
            .into_iter()
            .filter(|item| !item.is_folder && names::check(&item.name).is_ok());
        Ok(files
            .map(|item| Object {
                name: item.name,
                size: item.size,
            })
            .collect())
    }

    fn stat(&self, name: &str) -> Result<Option<Object>> {
        check(name)?;
        let found = self.api.transfer().block_on(self.find(name))?;
        Ok(found.map(|item| Object {
            name: name.to_string(),
            size: item.size,
        }))
    }

    fn get(&self, name: &str, to: &mut dyn Write) -> Result<u64> {
        check(name)?;
        let mut download = self.api.transfer().download(to);
        self.api.transfer().block_on(async {
            let Some(item) = self.find(name).await? else {
                let text = format!("box: there is no file {name}");
                return Err(Error::new(ErrorKind::NotFound, text));
            };
            self.api.download(&item.id, &mut download).await
        })?;
        Ok(download.bytes())
    }

    fn put(&self, name: &str, from: &Path) -> Result<()> {
        check(name)?;
        self.api.transfer().block_on(self.put_as(name, from, false))
    }

    fn claim(&self, name: &str, from: &Path) -> Result<()> {
        check(name)?;
        // Of two at once the service refuses one.
        claim::looked_for(self, name, || {
            self.api.transfer().block_on(self.put_as(name, from, true))
        })
    }

    fn delete(&self, name: &str) -> Result<()> {
        check(name)?;
        self.api.transfer().block_on(async {
            match self.find(name).await? {
                Some(item) => self.api.remove(&item.id).await,
                None => Ok(()),
            }
        })
    }
}
