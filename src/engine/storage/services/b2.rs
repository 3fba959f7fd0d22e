//! Buckets of Backblaze B2 whose server nobody has named: the account is asked for it, once.
//!
//! The answer is the address of the interface of S3, and everything after it goes there. Opening asks nothing yet, so a
//! target that is opened and never used needs no network.

use super::super::growing::Growing;
use super::super::transfer::Transfer;
use super::super::{Location, Object, Storage, StorageOptions};
use super::cloud::CloudStorage;
use super::s3;
use super::web::Web;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::secret::Secret;
use reqwest::Method;
use serde_json::Value;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// Where accounts are asked, unless `B2_ENVIRONMENT` has another address.
const ACCOUNTS: &str = "https://api.backblazeb2.com";

/// Stands for the server as long as nobody has been asked.
const UNKNOWN: &str = "https://s3.us-west-000.backblazeb2.com";

/// Objects of one bucket below one prefix.
pub(super) struct B2Storage {
    bucket: String,
    prefix: String,
    key_id: String,
    key: Secret,
    /// Address of the account's interface.
    accounts: String,
    web: Web,
    options: StorageOptions,
    transfer: Arc<Transfer>,
    location: Location,
    /// Set once the server is known.
    found: Mutex<Option<Arc<CloudStorage>>>,
}

/// A bucket at the server that an option or a variable names, or else the account.
///
/// # Errors
/// Those of [`s3::open`].
pub(super) fn open(
    bucket: &str,
    prefix: &str,
    (key_id, key): (Option<&str>, Option<Secret>),
    location: Location,
    options: &StorageOptions,
    transfer: Arc<Transfer>,
) -> Result<Box<dyn Storage>> {
    let place = s3::Place::backblaze(bucket, prefix, key_id, key);
    if place.endpoint(options).is_some() {
        return Ok(Box::new(s3::open(&place, location, options, transfer)?));
    }
    // What is wrong with the settings is told at once.
    let at_unknown = at(UNKNOWN, options);
    s3::open(&place, location.clone(), &at_unknown, Arc::clone(&transfer))?;
    let (Some(key_id), Some(key)) = place.keys(options)? else {
        let text = "a b2:// URL without key does not tell at which server the bucket is";
        return Err(Error::new(ErrorKind::Usage, text).with_hint("set the option `endpoint`"));
    };
    let accounts = options.environment.get("B2_ENVIRONMENT");
    let accounts = accounts.filter(|text| text.starts_with("http"));
    Ok(Box::new(B2Storage {
        bucket: bucket.to_string(),
        prefix: prefix.to_string(),
        key_id: key_id.to_string(),
        key: Secret::new(key),
        accounts: accounts
            .unwrap_or(ACCOUNTS)
            .trim_end_matches('/')
            .to_string(),
        web: Web::new("b2", options, Arc::clone(&transfer))?,
        options: options.clone(),
        transfer,
        location,
        found: Mutex::new(None),
    }))
}

fn at(endpoint: &str, options: &StorageOptions) -> StorageOptions {
    let mut options = options.clone();
    let setting = ("endpoint".to_string(), endpoint.to_string());
    options.settings.extend([setting]);
    options
}

impl B2Storage {
    /// The bucket at its server.
    fn storage(&self) -> Result<Arc<CloudStorage>> {
        // Held while the account is asked: others need the same answer.
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(storage) = &*found {
            return Ok(Arc::clone(storage));
        }
        let endpoint = self.transfer.block_on(self.endpoint())?;
        let key = (Some(self.key_id.as_str()), Some(self.key.clone()));
        let place = s3::Place::backblaze(&self.bucket, &self.prefix, key.0, key.1);
        let options = at(&endpoint, &self.options);
        let location = self.location.clone();
        let storage = Arc::new(s3::open(
            &place,
            location,
            &options,
            Arc::clone(&self.transfer),
        )?);
        *found = Some(Arc::clone(&storage));
        Ok(storage)
    }

    /// Asks the account.
    // Source: b2_authorize_account of Backblaze's native interface, version 3.
    async fn endpoint(&self) -> Result<String> {
        let url = format!("{}/b2api/v3/b2_authorize_account", self.accounts);
        let key = self.key.expose_str().unwrap_or_default();
        let request = self.web.request(Method::GET, &url);
        let response = self
            .web
            .send(request.basic_auth(&self.key_id, Some(key)))
            .await?;
        let status = response.status();
        if !status.is_success() {
            let error = self.web.refused("the login", status);
            return Err(match status.as_u16() {
                401 => error.with_hint("check B2_APPLICATION_KEY_ID and B2_APPLICATION_KEY"),
                _ => error,
            });
        }
        self.of_answer(&self.web.json(response).await?)
    }

    fn of_answer(&self, answer: &Value) -> Result<String> {
        // Source: "Application Keys": the id of the master key is that of the account; the interface of S3 refuses it.
        if answer["accountId"] == self.key_id.as_str() {
            let text = "b2: this is the master key, which is of no use for the interface of S3";
            return Err(Error::new(ErrorKind::Denied, text)
                .with_hint("make an application key for the bucket, and use that"));
        }
        let storage = &answer["apiInfo"]["storageApi"];
        match storage["s3ApiUrl"].as_str() {
            Some(url) if url.starts_with("http") => Ok(url.to_string()),
            _ => {
                let text = "b2: the account does not tell at which server the bucket is";
                Err(Error::new(ErrorKind::Io, text).with_hint("set the option `endpoint`"))
            }
        }
    }
}

impl Storage for B2Storage {
    fn location(&self) -> &Location {
        &self.location
    }

    fn list(&self) -> Result<Vec<Object>> {
        self.storage()?.list()
    }

    fn stat(&self, name: &str) -> Result<Option<Object>> {
        self.storage()?.stat(name)
    }

    fn get(&self, name: &str, to: &mut dyn Write) -> Result<u64> {
        self.storage()?.get(name, to)
    }

    fn put(&self, name: &str, from: &Path) -> Result<()> {
        self.storage()?.put(name, from)
    }

    fn claim(&self, name: &str, from: &Path) -> Result<()> {
        self.storage()?.claim(name, from)
    }

    fn put_growing(&self, name: &str, from: &Growing, claimed: bool) -> Result<()> {
        self.storage()?.put_growing(name, from, claimed)
    }

    fn delete(&self, name: &str) -> Result<()> {
        self.storage()?.delete(name)
    }
}
