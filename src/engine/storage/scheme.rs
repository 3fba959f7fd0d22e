//! Every URL scheme duplicity has known, and what becomes of it here.
//!
//! A scheme is built, not built yet, or dead. The last two are refused by name with a way out, so nobody has to
//! guess whether a URL is misspelled or merely ahead of this build. One table holds them all; `dupr doctor` prints it.

use super::url::FtpSecurity;
use crate::engine::error::{Error, ErrorKind};

/// What a scheme means for this build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    /// A local directory.
    Local,
    /// An S3 bucket.
    S3,
    /// A bucket of Google Cloud Storage.
    Gs,
    /// A bucket of Backblaze B2.
    B2,
    /// A container of Azure's blob storage.
    Azure,
    /// A container of OpenStack's object storage.
    Swift {
        /// Whether it is that of OVH's archive.
        archive: bool,
    },
    /// A folder of Dropbox.
    Dropbox,
    /// A folder of Google Drive.
    GoogleDrive,
    /// A folder of OneDrive or SharePoint.
    OneDrive,
    /// A folder of Box.
    Box,
    /// A directory reached through `ssh` and its sftp subsystem.
    Sftp,
    /// A directory of an FTP server.
    Ftp(FtpSecurity),
    /// A mailbox of an IMAP server.
    Imap {
        /// Whether TLS is spoken.
        secure: bool,
    },
    /// A collection of a WebDAV server.
    WebDav {
        /// Whether HTTPS is spoken.
        secure: bool,
    },
    /// Several targets, named in a file.
    Multi,
    /// Any other, with recovery files made by the program `par2`.
    Par2,
    /// Whatever the program `rclone` reaches.
    Rclone,
    /// A directory the program `rsync` reaches.
    Rsync,
    /// A folder of MEGA.
    Mega {
        /// Through MEGA's own programs.
        own: bool,
    },
    /// A directory of a Tahoe-LAFS grid.
    Tahoe,
    /// A directory of a tape archive.
    Hsi,
    /// What GNOME's library reaches.
    Gio,
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

use Scheme::{
    Azure, B2, Dead, Dropbox, Ftp, Gio, GoogleDrive, Gs, Hsi, Imap, Local, Mega, Multi, OneDrive,
    Par2, Planned, Rclone, Rsync, S3, Sftp, Swift, Tahoe, Unknown, WebDav,
};

const ANY: &str = "use file://, s3://, sftp:// or webdavs://";
const RCLONE: &str = "set it up in rclone and use rclone://REMOTE:PATH";

/// All schemes, without `://`; those that end in `+` are prefixes of others.
const TABLE: &[(&[&str], Scheme)] = &[
    (&["file", "gio+file"], Local),
    (
        &[
            "sftp",
            "scp",
            "paramiko+sftp",
            "paramiko+scp",
            "pexpect+sftp",
            "pexpect+scp",
            "lftp+sftp",
            // A shell's commands at the other end, which is what a server without sftp gets anyway.
            "fish",
            "lftp+fish",
            "gio+sftp",
            "gio+ssh",
        ],
        Sftp,
    ),
    (&["s3", "boto3+s3", "boto+s3", "s3+http"], S3),
    (&["gs"], Gs),
    (&["b2"], B2),
    (&["azure"], Azure),
    (&["dpbx"], Dropbox),
    // COMPAT(dup 0.7 to 3.2): `gdocs` is Google Drive for duplicity too, since the interface of that name is gone.
    (
        &["gdrive", "pydrive", "pydrive+gdocs", "gdocs"],
        GoogleDrive,
    ),
    (&["onedrive"], OneDrive),
    (&["box"], Scheme::Box),
    (&["swift"], Swift { archive: false }),
    (&["pca"], Swift { archive: true }),
    (
        &["webdavs", "https", "lftp+webdavs", "lftp+https", "gio+davs"],
        WebDav { secure: true },
    ),
    (
        &["webdav", "http", "lftp+webdav", "lftp+http", "gio+dav"],
        WebDav { secure: false },
    ),
    (
        &["ftp", "lftp+ftp", "ncftp+ftp", "gio+ftp"],
        Ftp(FtpSecurity::None),
    ),
    (
        &["ftpes", "lftp+ftpes", "gio+ftps"],
        Ftp(FtpSecurity::Explicit),
    ),
    (&["ftps", "lftp+ftps"], Ftp(FtpSecurity::Implicit)),
    (&["imaps"], Imap { secure: true }),
    (&["imap"], Imap { secure: false }),
    (&["rsync"], Rsync),
    (&["rclone"], Rclone),
    (&["multi"], Multi),
    (&["par2+"], Par2),
    (
        &["ssh"],
        Planned {
            instead: "use sftp:// with the same user and host",
        },
    ),
    (&["jottacloud"], Planned { instead: RCLONE }),
    (&["mega"], Mega { own: false }),
    (&["megav2", "megav3"], Mega { own: true }),
    (&["tahoe"], Tahoe),
    (&["hsi"], Hsi),
    (&["idrived", "xorriso", "slate"], Planned { instead: ANY }),
    (&["gio+"], Gio),
    (
        &["ad", "acd+acdcli"],
        Dead {
            fate: "Amazon Drive closed on 31 December 2023",
            instead: ANY,
        },
    ),
    (
        &["cf+hubic"],
        Dead {
            fate: "hubiC has ended, and ~/.hubic_credentials opens nothing any more",
            instead: ANY,
        },
    ),
    (
        &["cf+http"],
        Dead {
            fate: "its client libraries are gone, and CLOUDFILES_USERNAME, CLOUDFILES_APIKEY and CLOUDFILES_AUTHURL mean nothing any more",
            instead: "use swift://CONTAINER/PREFIX, or set Rackspace up in rclone and use rclone://REMOTE:PATH",
        },
    ),
    (
        &["gdata+gdocs"],
        Dead {
            fate: "Google shut this interface down in 2015",
            instead: "use gdrive://ACCOUNT/FOLDER",
        },
    ),
    (
        &["mf"],
        Dead {
            fate: "its client library is gone",
            instead: RCLONE,
        },
    ),
    (
        &["sx", "u1", "u1+http", "cloudfiles"],
        Dead {
            fate: "the service no longer exists",
            instead: ANY,
        },
    ),
];

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
        let is_it = |name: &&str| match name.strip_suffix('+') {
            Some(_) => scheme.starts_with(*name),
            None => *name == scheme,
        };
        let row = TABLE.iter().find(|(names, _)| names.iter().any(is_it));
        row.map_or(Unknown, |(_, meaning)| *meaning)
    }

    /// How this build reaches it.
    fn support(self) -> Support {
        match self {
            Local | Multi => Support::Native,
            Par2 => Support::Program("par2"),
            Sftp => Support::Program("ssh"),
            Rsync => Support::Program("rsync"),
            Rclone => Support::Program("rclone"),
            Mega { own: false } => Support::Program("megatools"),
            Mega { own: true } => Support::Program("mega-ls"),
            Tahoe => Support::Program("tahoe"),
            Hsi => Support::Program("hsi"),
            Gio => Support::Program("gio"),
            S3
            | Gs
            | B2
            | Azure
            | Swift { .. }
            | WebDav { .. }
            | Dropbox
            | GoogleDrive
            | OneDrive
            | Scheme::Box => match cfg!(feature = "cloud") {
                true => Support::Native,
                false => Support::LeftOut("cloud"),
            },
            Ftp(_) if cfg!(feature = "ftp") => Support::Native,
            Ftp(_) => Support::LeftOut("ftp"),
            Imap { .. } if cfg!(feature = "imap") => Support::Native,
            Imap { .. } => Support::LeftOut("imap"),
            Planned { instead } => Support::Refused {
                reason: "not built yet",
                instead,
            },
            Dead { fate, instead } => Support::Refused {
                reason: fate,
                instead,
            },
            Unknown => Support::Refused {
                reason: "unknown",
                instead: ANY,
            },
        }
    }

    /// Why a URL of this scheme cannot be opened; `None` for those that can.
    pub(super) fn refusal(self, scheme: &str) -> Option<Error> {
        // A way out stands in the same line: what is read in a mail or in a log is often that one alone.
        let message = match self {
            Planned { instead } => {
                format!("targets of the form {scheme}:// are not built yet; {instead}")
            }
            Dead { fate, instead } => format!("{scheme}:// cannot be used: {fate}; {instead}"),
            Unknown => {
                let built = TABLE.iter().filter(|(_, meaning)| meaning.is_built());
                let built: Vec<String> = built
                    .filter_map(|(names, _)| names.first())
                    .map(|name| format!("{name}://"))
                    .collect();
                let text = format!("unknown URL scheme {scheme}://");
                let hint = format!("this build knows {}", built.join(", "));
                return Some(Error::new(ErrorKind::Unsupported, text).with_hint(hint));
            }
            _ => return None,
        };
        Some(Error::new(ErrorKind::Unsupported, message))
    }

    fn is_built(self) -> bool {
        !matches!(self, Planned { .. } | Dead { .. } | Unknown)
    }
}

/// How a build reaches the targets of a scheme.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Support {
    /// By itself.
    Native,
    /// With the help of another program, which must be installed.
    Program(&'static str),
    /// It could, but this build was made without the cargo feature of this name.
    LeftOut(&'static str),
    /// Not at all.
    Refused {
        /// Why.
        reason: &'static str,
        /// What to use instead.
        instead: &'static str,
    },
}

/// All URL schemes that duplicity has known: those that mean the same together, and how this build reaches them.
pub fn schemes() -> impl Iterator<Item = (&'static [&'static str], Support)> {
    TABLE
        .iter()
        .map(|(names, meaning)| (*names, meaning.support()))
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
    fn no_scheme_stands_twice() {
        let mut names: Vec<&str> = schemes().flat_map(|(names, _)| names.to_vec()).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }

    #[test]
    fn prefixes_stand_before_any_scheme() {
        assert_eq!(Scheme::of("file"), Local);
        assert_eq!(Scheme::of("par2+file"), Scheme::of("par2+s3"));
        assert_eq!(Scheme::of("par2"), Unknown);
    }

    #[test]
    fn refusals_name_a_way_out() {
        for (scheme, why, instead) in [
            ("ad", "31 December 2023", "s3://"),
            ("acd+acdcli", "31 December 2023", "s3://"),
            ("cf+hubic", ".hubic_credentials", "s3://"),
            ("cf+http", "CLOUDFILES_APIKEY", "swift://"),
            ("cloudfiles", "no longer exists", "s3://"),
            ("gdata+gdocs", "2015", "gdrive://"),
            ("mf", "library is gone", "rclone://"),
            ("sx", "no longer exists", "s3://"),
            ("u1", "no longer exists", "s3://"),
            ("u1+http", "no longer exists", "s3://"),
            ("ssh", "not built", "sftp://"),
            ("jottacloud", "not built", "rclone://"),
            ("xorriso", "not built", "file://"),
            ("nonsense", "unknown", "this build knows"),
        ] {
            let error = Scheme::of(scheme).refusal(scheme).expect(scheme);
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            let text = error.to_string();
            assert!(text.contains(scheme) && text.contains(why), "{text}");
            assert!(!text.contains('\n'), "{text}");
            let hint = error.hint().unwrap_or_default();
            match scheme {
                "nonsense" => assert!(hint.contains(instead), "{hint}"),
                _ => assert!(text.contains(instead) && hint.is_empty(), "{text} {hint}"),
            }
            // The same behind a prefix.
            if scheme != "nonsense" {
                let url = format!("par2+{scheme}://user@host/folder");
                let error = crate::engine::storage::TargetUrl::parse(&url).expect_err("refused");
                assert_eq!(error.kind(), ErrorKind::Unsupported, "{url}");
            }
        }
    }
}
