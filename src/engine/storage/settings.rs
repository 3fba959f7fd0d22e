//! Names of the settings each service has.

use super::url::Place;

pub(super) const S3: &[&str] = &[
    "endpoint",
    "region",
    "path-style",
    "storage-class",
    "credentials",
    "checksum",
    "encryption",
    "kms-key",
    "kms-grant",
    "part-mb",
    "parts-at-once",
    "ca-file",
    "ca-folder",
    "check-certificate",
];
pub(super) const AZURE: &[&str] = &[
    "endpoint",
    "access-tier",
    "part-mb",
    "parts-at-once",
    "ca-file",
    "ca-folder",
    "check-certificate",
];
pub(super) const SWIFT: &[&str] = &[
    "segment-mb",
    "storage-policy",
    "ca-file",
    "ca-folder",
    "check-certificate",
];
/// Of Dropbox, Google Drive and OneDrive.
pub(super) const DRIVE: &[&str] = &[
    "endpoint",
    "part-mb",
    "ca-file",
    "ca-folder",
    "check-certificate",
];
pub(super) const BOX: &[&str] = &["endpoint", "ca-file", "ca-folder", "check-certificate"];
pub(super) const WEBDAV: &[&str] = &["headers", "ca-file", "ca-folder", "check-certificate"];
pub(super) const FTP: &[&str] = &[
    "data-connection",
    "ca-file",
    "ca-folder",
    "check-certificate",
];
pub(super) const IMAP: &[&str] = &[
    "mailbox",
    "full-address",
    "ca-file",
    "ca-folder",
    "check-certificate",
];
pub(super) const SFTP: &[&str] = &["ssh-options", "ssh-command"];
pub(super) const RSYNC: &[&str] = &["ssh-options", "rsync-options"];
pub(super) const RCLONE: &[&str] = &["rclone-options"];
/// Of the services that are reached through a program and have none.
pub(super) const NONE: &[&str] = &[];
pub(super) const PAR2: &[&str] = &["par2-redundancy", "par2-volumes", "par2-options"];

/// Whether any service has a setting of this name.
pub(super) fn exists(name: &str) -> bool {
    [
        S3, AZURE, SWIFT, DRIVE, BOX, WEBDAV, FTP, IMAP, SFTP, RSYNC, RCLONE, PAR2,
    ]
    .iter()
    .any(|known| known.contains(&name))
}

/// Whether the service of a place has a setting of this name.
pub(super) fn fits(name: &str, place: &Place) -> bool {
    match place {
        Place::Local { .. }
        | Place::Mega { .. }
        | Place::Tahoe { .. }
        | Place::Hsi { .. }
        | Place::Gio { .. } => false,
        Place::WebDav { .. } => WEBDAV.contains(&name),
        Place::S3 { .. } | Place::Gs { .. } | Place::B2 { .. } => S3.contains(&name),
        Place::Azure { .. } => AZURE.contains(&name),
        Place::Swift { .. } => SWIFT.contains(&name),
        Place::Dropbox { .. } | Place::GoogleDrive { .. } | Place::OneDrive { .. } => {
            DRIVE.contains(&name)
        }
        Place::Box { .. } => BOX.contains(&name),
        Place::Ftp { .. } => FTP.contains(&name),
        Place::Imap { .. } => IMAP.contains(&name),
        Place::Sftp { .. } => SFTP.contains(&name),
        // Those of the way to a host mean nothing to a daemon.
        Place::Rsync { daemon: true, .. } => name == "rsync-options",
        Place::Rsync { .. } => RSYNC.contains(&name),
        Place::Rclone { .. } => RCLONE.contains(&name),
        Place::Par2 { of } => PAR2.contains(&name) || fits(name, of.place()),
        Place::Multi { .. } => exists(name),
    }
}
