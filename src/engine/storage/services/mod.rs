//! The registry of services: one file each, chosen by the place a URL names.

mod local;
#[cfg(feature = "cloud")]
mod s3;
mod sftp;

use super::transfer::Transfer;
use super::url::{Place, TargetUrl};
use super::{Storage, StorageOptions};
use crate::engine::error::Result;
use std::sync::Arc;

/// The service for a URL, without wrappers.
pub(super) fn open(
    url: &TargetUrl,
    options: &StorageOptions,
    transfer: &Arc<Transfer>,
) -> Result<Box<dyn Storage>> {
    let transfer = Arc::clone(transfer);
    Ok(match url.place() {
        Place::Local { dir } => {
            options.allow_only("file", &[])?;
            Box::new(local::LocalStorage::new(
                dir.clone(),
                url.location(),
                transfer,
            ))
        }
        #[cfg(feature = "cloud")]
        Place::S3 { bucket, prefix } => Box::new(s3::S3Storage::new(
            bucket,
            prefix,
            url.location(),
            options,
            transfer,
        )?),
        #[cfg(not(feature = "cloud"))]
        Place::S3 { .. } => {
            return Err(crate::engine::error::Error::new(
                crate::engine::error::ErrorKind::Unsupported,
                "this build has no object stores",
            )
            .with_hint("build dupr with its feature `cloud`"));
        }
        Place::Sftp {
            user,
            host,
            port,
            dir,
        } => {
            let login =
                sftp::Login::new(user.clone(), host.clone(), *port, url.password(), options)?;
            Box::new(sftp::SftpStorage::new(
                login,
                dir.clone(),
                url.location(),
                transfer,
            ))
        }
    })
}
