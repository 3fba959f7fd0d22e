//! The registry of services: one file each, chosen by the place a URL names. `multi` and `par2` are made of others.

#[cfg(feature = "cloud")]
mod azure;
#[cfg(feature = "cloud")]
mod b2;
#[cfg(feature = "cloud")]
mod boxes;
#[cfg(any(feature = "cloud", feature = "imap"))]
mod claim;
#[cfg(feature = "cloud")]
mod cloud;
#[cfg(feature = "cloud")]
mod digest;
#[cfg(feature = "cloud")]
mod dropbox;
mod feed;
#[cfg(feature = "ftp")]
mod ftp;
#[cfg(feature = "cloud")]
mod gdrive;
mod gio;
#[cfg(feature = "cloud")]
mod gs;
mod hsi;
#[cfg(feature = "cloud")]
mod http;
#[cfg(feature = "imap")]
mod imap;
#[cfg(feature = "cloud")]
mod later;
mod local;
mod mega;
mod megacmd;
mod multi;
#[cfg(feature = "cloud")]
mod oauth;
#[cfg(feature = "cloud")]
mod onedrive;
mod par2;
#[cfg(any(feature = "ftp", feature = "imap"))]
mod pool;
mod program;
mod rclone;
mod rsync;
#[cfg(feature = "cloud")]
mod s3;
mod sftp;
#[cfg(feature = "cloud")]
mod signed;
#[cfg(feature = "cloud")]
mod sums;
#[cfg(feature = "cloud")]
mod swift;
mod tahoe;
#[cfg(any(feature = "cloud", feature = "ftp", feature = "imap"))]
mod tls;
mod watch;
#[cfg(feature = "cloud")]
mod web;
#[cfg(feature = "cloud")]
mod webdav;

use super::transfer::Transfer;
use super::url::{Place, TargetUrl};
use super::{Storage, StorageOptions};
use crate::engine::error::Result;
use std::sync::Arc;

/// The service for a URL, without wrappers; those that are made of others have theirs wrapped.
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
        Place::S3 {
            server,
            bucket,
            prefix,
        } => {
            let place = s3::Place::amazon(bucket, prefix).at(server.as_ref());
            let location = url.location();
            Box::new(s3::Regional::open(&place, location, options, transfer)?)
        }
        #[cfg(feature = "cloud")]
        Place::Gs { bucket, prefix } => {
            let location = url.location();
            Box::new(gs::open(bucket, prefix, location, options, transfer)?)
        }
        #[cfg(feature = "cloud")]
        Place::B2 {
            key_id,
            bucket,
            prefix,
        } => {
            let key = super::options::first_password(url.password(), options);
            let key = (key_id.as_deref(), key);
            b2::open(bucket, prefix, key, url.location(), options, transfer)?
        }
        #[cfg(feature = "cloud")]
        Place::Azure { container, prefix } => Box::new(azure::open(
            container,
            prefix,
            url.location(),
            options,
            transfer,
        )?),
        #[cfg(feature = "cloud")]
        Place::Dropbox { folder } => {
            let location = url.location();
            Box::new(dropbox::DropboxStorage::new(
                folder, location, options, transfer,
            )?)
        }
        #[cfg(feature = "cloud")]
        Place::GoogleDrive {
            account,
            root,
            folder,
        } => {
            let place = gdrive::Place {
                account,
                root,
                folder,
            };
            let location = url.location();
            Box::new(gdrive::GoogleDrive::new(
                &place, location, options, transfer,
            )?)
        }
        #[cfg(feature = "cloud")]
        Place::OneDrive { folder } => {
            let location = url.location();
            Box::new(onedrive::OneDrive::new(
                folder, location, options, transfer,
            )?)
        }
        #[cfg(feature = "cloud")]
        Place::Box { folder, config } => {
            let place = (folder.as_str(), config.as_deref());
            let location = url.location();
            Box::new(boxes::BoxStorage::new(place, location, options, transfer)?)
        }
        #[cfg(feature = "cloud")]
        Place::Swift {
            archive,
            container,
            prefix,
        } => {
            let place = swift::Place {
                archive: *archive,
                container,
                prefix,
            };
            let location = url.location();
            Box::new(swift::SwiftStorage::new(
                &place, location, options, transfer,
            )?)
        }
        #[cfg(feature = "ftp")]
        Place::Ftp {
            security,
            server,
            dir,
        } => {
            let place = ftp::Place {
                security: *security,
                server,
                dir,
            };
            Box::new(ftp::FtpStorage::new(&place, url, options, transfer)?)
        }
        #[cfg(feature = "imap")]
        Place::Imap {
            secure,
            server,
            folder,
        } => {
            let place = imap::Place {
                secure: *secure,
                server,
                folder,
            };
            Box::new(imap::ImapStorage::new(&place, url, options, transfer)?)
        }
        #[cfg(feature = "cloud")]
        Place::WebDav {
            secure,
            server,
            path,
        } => {
            let place = webdav::Collection {
                secure: *secure,
                server,
                path,
            };
            Box::new(webdav::open(&place, url, options, transfer)?)
        }
        #[cfg(not(feature = "cloud"))]
        Place::S3 { .. }
        | Place::Gs { .. }
        | Place::B2 { .. }
        | Place::Azure { .. }
        | Place::Swift { .. }
        | Place::Dropbox { .. }
        | Place::GoogleDrive { .. }
        | Place::OneDrive { .. }
        | Place::Box { .. }
        | Place::WebDav { .. } => return Err(left_out("object stores and no WebDAV", "cloud")),
        #[cfg(not(feature = "ftp"))]
        Place::Ftp { .. } => return Err(left_out("FTP", "ftp")),
        #[cfg(not(feature = "imap"))]
        Place::Imap { .. } => return Err(left_out("IMAP", "imap")),
        Place::Multi {
            list,
            spread,
            on_fail,
            subpath,
        } => {
            let place = multi::Place {
                list,
                spread: *spread,
                on_fail: *on_fail,
                subpath,
            };
            Box::new(multi::open(&place, url.location(), options, &transfer)?)
        }
        Place::Par2 { of } => Box::new(par2::open(of, url.location(), options, &transfer)?),
        Place::Rclone { root } => Box::new(rclone::RcloneStorage::new(
            root,
            url.location(),
            options,
            transfer,
        )?),
        Place::Mega { own, user, folder } => {
            let user = user.as_deref();
            match own {
                false => Box::new(mega::MegaStorage::new(
                    user, folder, url, options, transfer,
                )?),
                true => Box::new(megacmd::MegaCmdStorage::new(
                    user, folder, url, options, transfer,
                )?),
            }
        }
        Place::Tahoe { alias, dir } => Box::new(tahoe::TahoeStorage::new(
            alias,
            dir,
            url.location(),
            options,
            transfer,
        )?),
        Place::Hsi { dir } => Box::new(hsi::HsiStorage::new(
            dir,
            url.password().is_some(),
            url.location(),
            options,
            transfer,
        )?),
        Place::Gio { uri } => Box::new(gio::GioStorage::new(uri, url, options, transfer)?),
        Place::Rsync {
            server,
            daemon,
            dir,
        } => {
            let place = rsync::Place {
                server,
                daemon: *daemon,
                dir,
            };
            Box::new(rsync::RsyncStorage::new(&place, url, options, transfer)?)
        }
        Place::Sftp { server, dir } => {
            let login = sftp::Login::new(server, url.password(), options)?;
            Box::new(sftp::SftpStorage::new(
                login,
                dir.clone(),
                url.location(),
                transfer,
            ))
        }
    })
}

#[cfg(not(all(feature = "cloud", feature = "ftp", feature = "imap")))]
fn left_out(what: &str, feature: &str) -> crate::engine::error::Error {
    crate::engine::error::Error::new(
        crate::engine::error::ErrorKind::Unsupported,
        format!("this build has no {what}"),
    )
    .with_hint(format!("build dupr with its feature `{feature}`"))
}
