//! The registry of services: one file each, chosen by the place a URL names.

#[cfg(feature = "cloud")]
mod cloud;
mod local;
mod program;
mod rclone;
mod rsync;
#[cfg(feature = "cloud")]
mod s3;
mod sftp;
#[cfg(feature = "cloud")]
mod webdav;

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
        Place::S3 { bucket, prefix } => {
            Box::new(s3::open(bucket, prefix, url.location(), options, transfer)?)
        }
        #[cfg(feature = "cloud")]
        Place::WebDav {
            secure,
            user,
            host,
            port,
            path,
        } => {
            let place = webdav::Collection {
                secure: *secure,
                user: user.as_deref(),
                host,
                port: *port,
                path,
            };
            Box::new(webdav::open(&place, url, options, transfer)?)
        }
        #[cfg(not(feature = "cloud"))]
        Place::S3 { .. } | Place::WebDav { .. } => {
            return Err(crate::engine::error::Error::new(
                crate::engine::error::ErrorKind::Unsupported,
                "this build has no object stores and no WebDAV",
            )
            .with_hint("build dupr with its feature `cloud`"));
        }
        Place::Rclone { root } => Box::new(rclone::RcloneStorage::new(
            root,
            url.location(),
            options,
            transfer,
        )?),
        Place::Rsync {
            user,
            host,
            port,
            daemon,
            dir,
        } => {
            let place = rsync::Place {
                user: user.as_deref(),
                host,
                port: *port,
                daemon: *daemon,
                dir,
            };
            Box::new(rsync::RsyncStorage::new(&place, url, options, transfer)?)
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
