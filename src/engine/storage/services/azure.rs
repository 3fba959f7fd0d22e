//! Containers of Azure's blob storage, through opendal.
//!
//! A blob appears when its upload is committed, so names are final from the start. The container is made when it is absent.
//! Credentials are a connection string, as the service's pages show it, or account and key. What all runs read stays in
//! the account's own tier when `access-tier` names another: the archive tier takes hours to read back.

mod archive;
mod container;

pub(super) use archive::Archive;

use super::super::settings;
use super::super::transfer::Transfer;
use super::super::{Location, StorageOptions};
use super::cloud::{CloudStorage, Cold, answer_of, kind_of, operator};
use super::http;
use super::signed::Further;
use super::sums::{self, Compared};
use crate::engine::error::{Error, ErrorKind, Result};
use ::http::Method;
use container::Making;
use opendal::HttpTransporter;
use opendal::services::Azblob;
use reqsign_azure_storage::{RequestSigner, StaticCredentialProvider};
use std::sync::Arc;

/// Version of the interface, for requests that are made beside opendal.
const VERSION: &str = "2022-11-02";

/// Access tiers, as the service spells them.
const TIERS: [&str; 4] = ["Hot", "Cool", "Cold", "Archive"];

/// Blobs of one container below one prefix.
///
/// # Errors
/// `Usage` for settings azure does not have, or a connection string that is none; `Denied` without credentials.
pub(super) fn open(
    container: &str,
    prefix: &str,
    location: Location,
    options: &StorageOptions,
    transfer: Arc<Transfer>,
) -> Result<CloudStorage> {
    options.allow_only("azure", settings::AZURE)?;
    let tier = tier(options)?;
    let service = || -> Result<Azblob> {
        let service = credentials(options)?.container(container);
        Ok(service.root(&format!("/{prefix}")))
    };
    let explain = {
        let container = container.to_string();
        move |error| explain(error, &container)
    };
    let through = |transport: Option<HttpTransporter>| {
        let inner = transport.unwrap_or_default();
        let compared = Compared::new(inner, sums::Told::ContentMd5);
        let transport = Some(HttpTransporter::new(compared));
        let making = Making::new(container, transport.clone(), options)?;
        let transport = making.map(HttpTransporter::new).or(transport);
        operator(service()?, transport, &transfer, &explain)
    };
    let tiered = match tier {
        Some(tier) => Some(through(Some(to_tier(tier, options)?))?),
        None => None,
    };
    let operator = through(http::transport(options)?)?;
    let archive = Archive::new(container, prefix, options, Arc::clone(&transfer))?;
    let storage = CloudStorage::new(operator, location, transfer, Box::new(explain));
    let storage = storage.with_parts(options)?.without_backslashes();
    let mut storage = storage.empty_when_absent();
    if let Some(archive) = archive {
        storage = storage.with_archive(Cold::Azure(archive));
    }
    Ok(match tiered {
        Some(tiered) => storage.with_class(tiered, options.standard_names),
        None => storage,
    })
}

/// The access tier that is asked for.
fn tier(options: &StorageOptions) -> Result<Option<&'static str>> {
    let Some(given) = options.setting("access-tier") else {
        return Ok(None);
    };
    match TIERS.iter().find(|tier| tier.eq_ignore_ascii_case(given)) {
        Some(tier) => Ok(Some(tier)),
        None => {
            let text = format!("the azure option `access-tier` cannot be {given:?}");
            Err(Error::new(ErrorKind::Usage, text)
                .with_hint("it can be hot, cool, cold or archive"))
        }
    }
}

/// Sends what makes a blob to this tier.
// Source: x-ms-access-tier of "Put Blob" and "Put Block List" in the service's documentation.
fn to_tier(tier: &str, options: &StorageOptions) -> Result<HttpTransporter> {
    let keys = Keys::of(options);
    let keys = StaticCredentialProvider::new_shared_key(keys.account, keys.key);
    let makes_blob = |method: &Method, query: &str| {
        let part = query.split('&').find_map(|pair| pair.strip_prefix("comp="));
        *method == Method::PUT && part.is_none_or(|part| part == "blocklist")
    };
    let transport = Further::new(options, keys, RequestSigner::new(), makes_blob)?;
    Ok(HttpTransporter::new(
        transport.with("x-ms-access-tier", tier)?,
    ))
}

/// What proves who asks; empty what there is not.
struct Keys<'a> {
    account: &'a str,
    key: &'a str,
    /// A shared access signature.
    token: &'a str,
}

impl<'a> Keys<'a> {
    fn of(options: &'a StorageOptions) -> Self {
        let variable = |name: &str| options.environment.get(name).unwrap_or_default();
        let text = variable("AZURE_CONNECTION_STRING");
        if text.is_empty() {
            let token = variable("AZURE_STORAGE_SAS_TOKEN");
            return Self {
                account: variable("AZURE_STORAGE_ACCOUNT"),
                key: variable("AZURE_STORAGE_KEY"),
                token: token.trim_start_matches('?'),
            };
        }
        let field = |name: &str| {
            let mut fields = text
                .split(';')
                .filter_map(|field| field.trim().split_once('='));
            fields
                .find_map(|(known, value)| (known == name).then_some(value))
                .unwrap_or_default()
        };
        Self {
            account: field("AccountName"),
            key: field("AccountKey"),
            token: field("SharedAccessSignature").trim_start_matches('?'),
        }
    }
}

/// The service with account and key.
// COMPAT(dup all): AZURE_CONNECTION_STRING; the others are those of Microsoft's own tool.
fn credentials(options: &StorageOptions) -> Result<Azblob> {
    let variable = |name: &str| options.environment.get(name);
    let service = if let Some(text) = variable("AZURE_CONNECTION_STRING") {
        // What is wrong with it is not told: it holds a key.
        Azblob::from_connection_string(text).map_err(|_| {
            Error::new(
                ErrorKind::Usage,
                "AZURE_CONNECTION_STRING is no connection string",
            )
            .with_hint("copy it from the page \"Access keys\" of the storage account")
        })?
    } else {
        let Some(account) = variable("AZURE_STORAGE_ACCOUNT") else {
            return Err(Error::new(ErrorKind::Denied, "no credentials for azure")
                .with_hint("set AZURE_CONNECTION_STRING"));
        };
        let service = Azblob::default()
            .account_name(account)
            .endpoint(&format!("https://{account}.blob.core.windows.net"));
        match (
            variable("AZURE_STORAGE_KEY"),
            variable("AZURE_STORAGE_SAS_TOKEN"),
        ) {
            (Some(key), _) => service.account_key(key),
            (None, Some(token)) => service.sas_token(token.trim_start_matches('?')),
            (None, None) => {
                let text = "no key for the storage account";
                return Err(Error::new(ErrorKind::Denied, text)
                    .with_hint("set AZURE_STORAGE_KEY or AZURE_STORAGE_SAS_TOKEN"));
            }
        }
    };
    Ok(match options.setting("endpoint") {
        Some(endpoint) => service.endpoint(endpoint),
        None => service,
    })
}

/// Says in one line what the service answered, with a kind and, where it helps, a way out.
fn explain(error: opendal::Error, container: &str) -> Error {
    let answer = answer_of(&error);
    let has = |word: &str| answer.contains(word);
    let (kind, hint) = if has("ContainerNotFound") {
        let hint =
            format!("create the container {container}: these credentials may not, or not yet");
        (ErrorKind::NotFound, Some(hint))
    } else if has("AuthenticationFailed") || has("AuthorizationFailure") {
        let hint = "check AZURE_CONNECTION_STRING, and the clock of this machine";
        (ErrorKind::Denied, Some(hint.to_string()))
    } else if has("BlobArchived") || has("BlobBeingRehydrated") {
        let hint =
            "the blob is in the archive tier: `dupr thaw PROFILE` orders what a restore needs";
        (kind_of(&error), Some(hint.to_string()))
    } else {
        (kind_of(&error), None)
    };
    let error = Error::new(kind, format!("azure: {answer}"));
    match hint {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::storage::{TargetUrl, open};

    fn opened(environment: &[(&str, &str)]) -> Result<()> {
        let options = StorageOptions {
            environment: environment.iter().copied().collect(),
            ..StorageOptions::default()
        };
        open(&TargetUrl::parse("azure://container/x")?, &options).map(|_| ())
    }

    #[test]
    fn credentials_are_told_from_nonsense_before_the_network_is_asked() {
        let kind = |environment: &[(&str, &str)]| opened(environment).map_err(|e| e.kind());
        assert_eq!(kind(&[]), Err(ErrorKind::Denied));
        assert_eq!(
            kind(&[("AZURE_STORAGE_ACCOUNT", "ada")]),
            Err(ErrorKind::Denied)
        );
        let both = [
            ("AZURE_STORAGE_ACCOUNT", "ada"),
            ("AZURE_STORAGE_KEY", "a2V5"),
        ];
        assert_eq!(kind(&both), Ok(()));
        let text = "DefaultEndpointsProtocol=https;AccountName=ada;AccountKey=a2V5;EndpointSuffix=core.windows.net";
        assert_eq!(kind(&[("AZURE_CONNECTION_STRING", text)]), Ok(()));
        let error = opened(&[("AZURE_CONNECTION_STRING", "canary")]).expect_err("nonsense");
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert!(!format!("{error:?}").contains("canary"));
    }
}
