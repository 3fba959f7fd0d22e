//! Every URL scheme duplicity has known, and what becomes of it here.
//!
//! A scheme is built, not built yet, or dead. The last two are refused by name with a way out, so nobody has to
//! guess whether a URL is misspelled or merely ahead of this build.

use crate::engine::error::{Error, ErrorKind};

/// What a scheme means for this build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    /// A local directory.
    Local,
    /// An S3 bucket.
    S3,
    /// A directory reached through `ssh` and its sftp subsystem.
    Sftp,
    /// A collection of a WebDAV server.
    WebDav {
        /// Whether HTTPS is spoken.
        secure: bool,
    },
    /// Whatever the program `rclone` reaches.
    Rclone,
    /// A directory the program `rsync` reaches.
    Rsync,
    /// Known to duplicity, without a service here.
    Planned {
        /// What to use meanwhile.
        instead: &'static str,
    },
    /// The place behind it no longer exists.
    Dead {
        /// What became of it.
        fate: &'static str,
        /// What to use now.
        instead: &'static str,
    },
    /// No version of duplicity knows it.
    Unknown,
}

/// Schemes that can be opened, for error texts.
const BUILT: &str = "file://, s3://, sftp://, webdav://, webdavs://, rsync:// and rclone://";

const ANY: &str = "use file://, s3://, sftp:// or webdavs://";
const RCLONE: &str = "set it up in rclone and use rclone://REMOTE:PATH";
const MOUNT: &str = "mount it and use file://, or use s3:// or sftp://";

/// Schemes whose URL must name a host; for all others the host part belongs to the path.
// COMPAT(dup 3.2): the list decides how `scheme://a/b` is split.
const HOST_SCHEMES: &[&str] = &[
    "fish",
    "ftp",
    "ftpes",
    "ftps",
    "gdata+gdocs",
    "gdocs",
    "gdrive",
    "hsi",
    "http",
    "https",
    "imap",
    "imaps",
    "lftp+fish",
    "lftp+ftp",
    "lftp+ftpes",
    "lftp+ftps",
    "lftp+http",
    "lftp+https",
    "lftp+sftp",
    "lftp+webdav",
    "lftp+webdavs",
    "mega",
    "megav2",
    "megav3",
    "ncftp+ftp",
    "paramiko+scp",
    "paramiko+sftp",
    "pexpect+scp",
    "pexpect+sftp",
    "pydrive",
    "pydrive+gdocs",
    "rsync",
    "scp",
    "sftp",
    "webdav",
    "webdavs",
];

/// Whether a URL of this scheme has a host of its own.
pub(super) fn has_host(scheme: &str) -> bool {
    HOST_SCHEMES.contains(&scheme)
}

impl Scheme {
    /// Looks up a scheme in lower case, without `://`.
    pub(super) fn of(scheme: &str) -> Scheme {
        use Scheme::{Dead, Local, Planned, Rclone, Rsync, S3, Sftp, Unknown, WebDav};
        match scheme {
            "file" => Local,
            "s3" | "boto3+s3" => S3,
            "sftp" | "scp" | "paramiko+sftp" | "paramiko+scp" | "pexpect+sftp" | "pexpect+scp" => {
                Sftp
            }
            "webdav" | "http" | "lftp+webdav" | "lftp+http" => WebDav { secure: false },
            "webdavs" | "https" | "lftp+webdavs" | "lftp+https" => WebDav { secure: true },
            "rclone" => Rclone,
            "rsync" => Rsync,
            "lftp+sftp" | "ssh" | "fish" | "lftp+fish" => Planned {
                instead: "use sftp:// with the same user and host",
            },
            "b2" => Planned {
                instead: "use s3:// with the bucket's S3 endpoint at Backblaze as option `endpoint`",
            },
            "gs" => Planned {
                instead: "use s3:// with HMAC keys and the endpoint https://storage.googleapis.com",
            },
            "ftp" | "ftps" | "ftpes" | "ncftp+ftp" | "lftp+ftp" | "lftp+ftps" | "lftp+ftpes"
            | "azure" | "swift" | "pca" | "onedrive" | "gdrive" | "pydrive" | "pydrive+gdocs"
            | "dpbx" | "box" | "mega" | "megav2" | "megav3" | "jottacloud" => {
                Planned { instead: RCLONE }
            }
            "idrived" | "imap" | "imaps" | "multi" | "hsi" | "tahoe" | "xorriso" | "slate" => {
                Planned { instead: ANY }
            }
            "ad" | "acd+acdcli" => Dead {
                fate: "Amazon Drive closed on 31 December 2023",
                instead: ANY,
            },
            "cf+hubic" => Dead {
                fate: "hubiC has ended",
                instead: ANY,
            },
            "cf+http" => Dead {
                fate: "its client libraries are gone",
                instead: "set Rackspace up as swift in rclone and use rclone://REMOTE:PATH",
            },
            "gdocs" | "gdata+gdocs" => Dead {
                fate: "Google shut this interface down in 2015",
                instead: "set up Google Drive in rclone and use rclone://REMOTE:PATH",
            },
            "mf" => Dead {
                fate: "its client library is gone",
                instead: RCLONE,
            },
            "sx" | "u1" | "u1+http" | "cloudfiles" => Dead {
                fate: "the service no longer exists",
                instead: ANY,
            },
            "s3+http" => Dead {
                fate: "duplicity dropped it in 2.0",
                instead: "write s3://BUCKET/PREFIX and give the server as option `endpoint`",
            },
            _ if scheme.starts_with("par2+") => Planned {
                instead: "leave out `par2+`; the files stay readable, without recovery data",
            },
            _ if scheme.starts_with("gio+") => Planned { instead: MOUNT },
            _ => Unknown,
        }
    }

    /// Why a URL of this scheme cannot be opened; `None` for those that can.
    pub(super) fn refusal(self, scheme: &str) -> Option<Error> {
        let (message, hint) = match self {
            Scheme::Local
            | Scheme::S3
            | Scheme::Sftp
            | Scheme::WebDav { .. }
            | Scheme::Rclone
            | Scheme::Rsync => return None,
            Scheme::Planned { instead } => (
                format!("targets of the form {scheme}:// are not built yet"),
                instead.to_string(),
            ),
            Scheme::Dead { fate, instead } => (
                format!("{scheme}:// cannot be used: {fate}"),
                instead.to_string(),
            ),
            Scheme::Unknown => (
                format!("unknown URL scheme {scheme}://"),
                format!("this build knows {BUILT}"),
            ),
        };
        Some(Error::new(ErrorKind::Unsupported, message).with_hint(hint))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scheme_with_a_host_is_known() {
        for scheme in HOST_SCHEMES {
            assert_ne!(Scheme::of(scheme), Scheme::Unknown, "{scheme}");
        }
    }

    #[test]
    fn refusals_name_a_way_out() {
        for scheme in [
            "ad",
            "cf+hubic",
            "b2",
            "ftp",
            "par2+file",
            "nonsense",
            "s3+http",
        ] {
            let error = Scheme::of(scheme).refusal(scheme).expect(scheme);
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            assert!(error.to_string().contains(scheme), "{error}");
            assert!(error.hint().is_some_and(|h| !h.is_empty()));
        }
    }
}
