//! Target URLs, read as duplicity reads them.
//!
//! `scheme://[user[:password]@]host[:port]/path`; user, password and path may hold percent escapes. What duplicity
//! drops (a query, a fragment, `;parameters` of sftp) is dropped here too, so that both find the same files.
//! Invariant: the password exists only as a [`Secret`], never in `masked`. See docs/format.md, "URLs".

mod containers;
mod drives;
mod gio;
mod parts;
mod programs;

use super::Location;
use super::scheme::Scheme;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::secret::Secret;
use parts::Parts;
use percent_encoding::percent_decode_str;
use std::path::PathBuf;

/// A target as the user named it, understood but not opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetUrl {
    original: Secret,
    masked: String,
    password: Option<Secret>,
    place: Place,
}

/// Where a target lies, by kind of service.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// A directory of this machine.
    Local {
        /// Absolute, or relative to the current directory.
        dir: PathBuf,
    },
    /// A bucket of an S3 service.
    S3 {
        /// The server, if the URL names one.
        server: Option<Server>,
        /// Name of the bucket.
        bucket: String,
        /// Start of every key: empty, or ends in `/`.
        prefix: String,
    },
    /// A bucket of Google Cloud Storage.
    Gs {
        /// Name of the bucket.
        bucket: String,
        /// Start of every key: empty, or ends in `/`.
        prefix: String,
    },
    /// A bucket of Backblaze B2.
    B2 {
        /// Id of the application key, if the URL has one.
        key_id: Option<String>,
        /// Name of the bucket.
        bucket: String,
        /// Start of every key: empty, or ends in `/`.
        prefix: String,
    },
    /// A container of Azure's blob storage.
    Azure {
        /// Name of the container.
        container: String,
        /// Start of every blob's name: empty, or ends in `/`.
        prefix: String,
    },
    /// A container of OpenStack's object storage.
    Swift {
        /// Whether it is that of OVH's archive.
        archive: bool,
        /// Name of the container.
        container: String,
        /// Start of every object's name: empty, or ends in `/`.
        prefix: String,
    },
    /// A folder of Dropbox.
    Dropbox {
        /// Empty, or begins with `/` and ends without.
        folder: String,
    },
    /// A folder of Google Drive.
    GoogleDrive {
        /// Whose credentials are meant.
        account: Account,
        /// Where the folder's path begins.
        root: DriveRoot,
        /// Names with a slash between them; empty for the root itself.
        folder: String,
    },
    /// A folder of Microsoft's OneDrive or SharePoint.
    OneDrive {
        /// Names with a slash between them; never empty.
        folder: String,
    },
    /// A folder of Box.
    Box {
        /// Names with a slash between them; never empty.
        folder: String,
        /// File with the credentials, if the URL names one.
        config: Option<String>,
    },
    /// A directory of an FTP server.
    Ftp {
        /// How the line is encrypted.
        security: FtpSecurity,
        /// Where it is, and who is known there. Without user the login is anonymous.
        server: Server,
        /// Absolute, or relative to the login directory; `.` for that directory itself.
        dir: String,
    },
    /// A mailbox of an IMAP server.
    Imap {
        /// TLS from the first byte.
        secure: bool,
        /// Where it is, and who is known there.
        server: Server,
        /// What all mails say they are from: never empty.
        folder: String,
    },
    /// A directory of another machine, reached through ssh.
    Sftp {
        /// Where it is, and who is known there. What it does not say, ssh decides.
        server: Server,
        /// Absolute, or relative to the login directory; `.` for that directory itself.
        dir: PathBuf,
    },
    /// A collection of a WebDAV server.
    WebDav {
        /// HTTPS instead of HTTP.
        secure: bool,
        /// Where it is, and who is known there.
        server: Server,
        /// Path on the server, starting with `/`, without percent escapes.
        path: String,
    },
    /// Several targets, named in a file.
    Multi {
        /// The file, by its absolute path.
        list: PathBuf,
        /// How files are distributed.
        spread: Spread,
        /// What an upload that fails at one of them means.
        on_fail: OnFail,
        /// Text at the end of each of their URLs.
        subpath: String,
    },
    /// A place where each file has recovery files beside it, made by the program `par2`.
    Par2 {
        /// The place.
        of: Box<TargetUrl>,
    },
    /// A folder of MEGA.
    Mega {
        /// MEGA's own programs, instead of megatools.
        own: bool,
        /// Name of the account, if the URL has one.
        user: Option<String>,
        /// Empty, or begins with `/` and ends without.
        folder: String,
    },
    /// A directory of a Tahoe-LAFS grid.
    Tahoe {
        /// Name the program `tahoe` knows a directory by.
        alias: String,
        /// Below that: empty, or ends in `/`.
        dir: String,
    },
    /// A directory of a tape archive that the program `hsi` reaches.
    Hsi {
        /// Absolute; empty for where a login leads.
        dir: String,
    },
    /// A place of GNOME's that the program `gio` reaches.
    Gio {
        /// As GNOME writes it, without a password.
        uri: String,
    },
    /// A place the program `rclone` reaches.
    Rclone {
        /// `remote:path`, as rclone writes it.
        root: String,
    },
    /// A directory the program `rsync` reaches.
    Rsync {
        /// Where it is, and who is known there.
        server: Server,
        /// Whether `dir` starts with the module of an rsync daemon; else the way is ssh.
        daemon: bool,
        /// Module and path, or a path, relative to the login directory unless absolute; never empty.
        dir: String,
    },
}

/// A machine that a URL names, and who is known there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Login name, if the URL has one.
    pub user: Option<String>,
    /// Name or address, in lower case, without brackets.
    pub host: String,
    /// Port, if the URL has one and it is not 0; else that of the protocol.
    pub port: Option<u16>,
}

impl Server {
    /// The host as it stands in URLs: an address of IPv6 in brackets.
    pub fn host_of_url(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]", self.host),
            false => self.host.clone(),
        }
    }
}

/// Who a URL says asks at Google.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Address of a service account, or id of a client.
    pub id: String,
    /// Whether credentials of somebody else will do.
    pub is_loose: bool,
}

/// Where paths of Google Drive begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DriveRoot {
    /// At the top of the account's own drive.
    Own,
    /// At the folder with this id, which may be somebody else's.
    Folder(String),
    /// At the top of the shared drive with this id.
    Shared(String),
}

/// How the line to an FTP server is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FtpSecurity {
    /// Not at all.
    None,
    /// From the command `AUTH TLS` on, at the usual port.
    Explicit,
    /// From the first byte on, at a port of its own.
    Implicit,
}

/// How files are distributed over several targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spread {
    /// Each to one of them, by turns.
    Stripe,
    /// Each to all of them.
    Mirror,
}

/// What an upload that fails at one of several targets means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFail {
    /// The others make up for it.
    Continue,
    /// The upload has failed.
    Abort,
}

/// What stands before the URL of a target that gets recovery files.
const PAR2: &str = "par2+";

impl TargetUrl {
    /// Reads a URL, or the path of a local directory.
    ///
    /// # Errors
    /// `Usage` for text that is no URL or lacks a part; `Unsupported`, with the way out as hint, for a scheme this
    /// build cannot open. No error repeats a password.
    pub fn parse(text: &str) -> Result<Self> {
        if text.is_empty() {
            return Err(usage("the target is empty"));
        }
        if text.chars().any(char::is_control) {
            return Err(usage("the target holds a control character"));
        }
        let Some((scheme, rest)) = split_scheme(text) else {
            return Self::bare(text);
        };
        if let Some(meant) = gio::meant(text) {
            return Ok(Self {
                original: Secret::new(text),
                masked: mask(text),
                ..Self::parse(&meant)?
            });
        }
        if let Some(refusal) = Scheme::of(&scheme).refusal(&scheme) {
            return Err(refusal);
        }
        if scheme.starts_with(PAR2) {
            return Self::with_par2(text);
        }
        let parts = Parts::split(&scheme, rest)?;
        let place = parts.place(&scheme)?;
        let password = parts
            .password()
            .map(|p| Secret::new(percent_decode_str(p).collect::<Vec<u8>>()));
        Ok(Self {
            original: Secret::new(text),
            masked: mask(text),
            password,
            place,
        })
    }

    /// `par2+` before another URL.
    fn with_par2(text: &str) -> Result<Self> {
        let of = Self::parse(text.get(PAR2.len()..).unwrap_or_default())?;
        if matches!(of.place, Place::Par2 { .. }) {
            return Err(usage("the target has the prefix par2+ twice"));
        }
        Ok(Self {
            original: Secret::new(text),
            ..of.with_recovery_files()
        })
    }

    /// The same target with `par2+`.
    pub fn with_recovery_files(self) -> Self {
        if matches!(self.place, Place::Par2 { .. }) {
            return self;
        }
        Self {
            original: Secret::new([PAR2.as_bytes(), self.original.expose()].concat()),
            masked: format!("{PAR2}{}", self.masked),
            password: self.password.clone(),
            place: Place::Par2 { of: Box::new(self) },
        }
    }

    /// A path without scheme. `host:path` is refused: it is more likely a forgotten scheme than a directory.
    fn bare(text: &str) -> Result<Self> {
        let colon = text.split_once(':').filter(|(head, _)| !head.contains('/'));
        let dir = match colon {
            // COMPAT(dup 1.x): `file:/dir` is `/dir`; later versions want the two slashes.
            Some((head, path)) if head.eq_ignore_ascii_case("file") && path.starts_with('/') => {
                let url = Self::parse(&format!("file://{path}"))?;
                return Ok(Self {
                    original: Secret::new(text),
                    masked: text.to_string(),
                    ..url
                });
            }
            Some((head, _)) if Scheme::of(&head.to_ascii_lowercase()) != Scheme::Unknown => {
                return Err(usage(format!("missing // after {head}:"))
                    .with_hint(format!("write {head}://…")));
            }
            Some(_) => {
                return Err(usage("the target has a colon but no scheme").with_hint(
                    "write sftp://HOST/PATH for another machine, or ./NAME for a local directory",
                ));
            }
            None => PathBuf::from(text),
        };
        Ok(Self {
            original: Secret::new(text),
            masked: text.to_string(),
            password: None,
            place: Place::Local { dir },
        })
    }

    /// Where it lies.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The same target without `par2+`.
    pub fn plain(&self) -> &Self {
        match &self.place {
            Place::Par2 { of } => of,
            _ => self,
        }
    }

    /// The password in the URL, without percent escapes.
    pub fn password(&self) -> Option<&Secret> {
        self.password.as_ref()
    }

    /// The text as given, but with `*****` for the password: printable anywhere.
    pub fn masked(&self) -> &str {
        &self.masked
    }

    /// The text as given, with its password. duplicity names its archive dir by the hash of it.
    pub fn original(&self) -> &Secret {
        &self.original
    }

    /// The masked URL as a storage shows it.
    pub fn location(&self) -> Location {
        Location::masked(&self.masked)
    }
}

fn usage(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Usage, message)
}

/// Splits `scheme://…` into the scheme in lower case and what follows the colon.
// COMPAT(dup 2.0): a URL matches `^[\w+]+://`.
fn split_scheme(text: &str) -> Option<(String, &str)> {
    let (scheme, rest) = text.split_once(':')?;
    // GNOME has schemes with a dash.
    let is_gio = scheme.to_lowercase().starts_with("gio+");
    let word = |c: char| c.is_alphanumeric() || c == '_' || c == '+' || (c == '-' && is_gio);
    (rest.starts_with("//") && !scheme.is_empty() && scheme.chars().all(word))
        .then(|| (scheme.to_lowercase(), rest))
}

/// Replaces the password of a URL by `*****`.
fn mask(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return text.to_string();
    };
    let (netloc, tail) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    match netloc
        .rsplit_once('@')
        .map(|(info, host)| (info.split_once(':'), host))
    {
        Some((Some((user, password)), host)) if !password.is_empty() => {
            format!("{scheme}://{user}:*****@{host}{tail}")
        }
        _ => text.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn local(text: &str) -> String {
        match TargetUrl::parse(text).expect(text).place() {
            Place::Local { dir } => dir.display().to_string(),
            other => panic!("{text}: {other:?}"),
        }
    }

    fn s3(text: &str) -> (String, String) {
        match TargetUrl::parse(text).expect(text).place().clone() {
            Place::S3 {
                server: None,
                bucket,
                prefix,
            } => (bucket, prefix),
            other => panic!("{text}: {other:?}"),
        }
    }

    fn sftp(text: &str) -> (Option<String>, String, Option<u16>, String) {
        match TargetUrl::parse(text).expect(text).place().clone() {
            Place::Sftp { server, dir } => {
                let dir = dir.display().to_string();
                (server.user, server.host, server.port, dir)
            }
            other => panic!("{text}: {other:?}"),
        }
    }

    fn place(text: &str) -> String {
        let url = TargetUrl::parse(text).expect(text);
        let name = |user: &Option<String>| user.clone().unwrap_or_default();
        let who = |server: &Server| {
            let Server { user, host, port } = server;
            format!("{} {host} {port:?}", name(user))
        };
        match url.place() {
            Place::WebDav {
                secure,
                server,
                path,
            } => format!("{secure} {} {path}", who(server)),
            Place::Rclone { root } => root.clone(),
            Place::Mega { own, user, folder } => format!("{own} {} {folder}", name(user)),
            Place::Tahoe { alias, dir } => format!("{alias}:{dir}"),
            Place::Hsi { dir } => dir.clone(),
            Place::Gio { uri } => uri.clone(),
            Place::Rsync {
                server,
                daemon,
                dir,
            } => format!("{daemon} {} {dir}", who(server)),
            Place::Ftp {
                security,
                server,
                dir,
            } => format!("{security:?} {} {dir}", who(server)),
            Place::Imap {
                secure,
                server,
                folder,
            } => format!("{secure} {} {folder}", who(server)),
            Place::B2 {
                key_id,
                bucket,
                prefix,
            } => format!("{} {bucket} {prefix}", name(key_id)),
            Place::Gs { bucket, prefix } => format!("{bucket} {prefix}"),
            Place::Box { folder, config } => format!("{folder} {config:?}"),
            Place::Dropbox { folder } | Place::OneDrive { folder } => folder.clone(),
            Place::GoogleDrive {
                account,
                root,
                folder,
            } => format!("{} {} {root:?} {folder}", account.id, account.is_loose),
            Place::Azure { container, prefix } => format!("{container} {prefix}"),
            Place::Swift {
                archive,
                container,
                prefix,
            } => format!("{archive} {container} {prefix}"),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn webdav_urls_are_absolute_paths() {
        for (url, expected) in [
            ("webdav://h/a/b", "false  h None /a/b"),
            (
                "webdavs://u:p@H:8443//a%20b//c/",
                "true u h Some(8443) /a b/c",
            ),
            ("http://h", "false  h None /"),
            ("lftp+webdavs://[::1]/x", "true  ::1 None /x"),
        ] {
            assert_eq!(place(url), expected, "{url}");
        }
    }

    #[test]
    fn places_that_programs_reach_are_named_as_these_do() {
        for (url, expected) in [
            ("mega://ada%40h:p@mega.nz/a//b%20c/", "false ada@h /a/b c"),
            ("megav2://mega.nz", "true  "),
            ("megav3://ada%40h@mega.nz/x?no_logout=1", "true ada@h /x"),
            ("tahoe://alias/a//b%20c/", "alias:a/b c/"),
            ("tahoe:///alias", "alias:"),
            ("hsi://ada@hpss/home/ada/x/", "/home/ada/x"),
            ("hsi://hpss", ""),
            (
                "gio+smb://W;ada:p%20w@h:4455/s/a%20b/",
                "smb://W;ada@h:4455/s/a%20b",
            ),
            (
                "gio+google-drive://ada@x.org/f",
                "google-drive://ada@x.org/f",
            ),
        ] {
            assert_eq!(place(url), expected, "{url}");
        }
        for wrong in [
            "tahoe://",
            "tahoe://-x/a",
            "hsi:///x",
            "gio+smb://",
            "mega:///x",
        ] {
            assert_eq!(kind(wrong), ErrorKind::Usage, "{wrong}");
        }
        let url = TargetUrl::parse("gio+smb://ada:p%20w@h/s").expect("URL");
        assert_eq!(url.password().and_then(Secret::expose_str), Some("p w"));
        assert_eq!(url.masked(), "gio+smb://ada:*****@h/s");
    }

    #[test]
    fn imap_urls_have_a_folder() {
        for (url, expected) in [
            ("imap://u%40d:p@H/a", "false u@d h None a"),
            (
                "imaps://u@h:9993/a/b.c-d_e@f",
                "true u h Some(9993) a/b.c-d_e@f",
            ),
        ] {
            assert_eq!(place(url), expected, "{url}");
        }
        for wrong in ["", "/", "/a%20b", "/a%22", "/a+b", "/%C3%A4", "/a%0Ab"] {
            let url = format!("imap://u@h{wrong}");
            assert_eq!(kind(&url), ErrorKind::Usage, "{url}");
        }
    }

    #[test]
    fn ftp_urls_are_relative_to_the_login_directory() {
        for (url, expected) in [
            ("ftp://h/a/b/", "None  h None a/b"),
            ("ftp://u:p@H:2121//a%20b", "None u h Some(2121) /a b"),
            ("ftp://h", "None  h None ."),
            ("ftp://h//", "None  h None /"),
            ("lftp+ftp://h/x", "None  h None x"),
            ("ncftp+ftp://h/x", "None  h None x"),
            ("ftps://[::1]/x", "Implicit  ::1 None x"),
            ("lftp+ftpes://h/x", "Explicit  h None x"),
        ] {
            assert_eq!(place(url), expected, "{url}");
        }
        assert_eq!(kind("ftp://h/a%0D%0ADELE%20b"), ErrorKind::Usage);
        assert_eq!(kind("ftp:///x"), ErrorKind::Usage);
    }

    #[test]
    fn google_drive_has_an_account_and_a_root() {
        for (url, expected) in [
            (
                "gdrive://Robot@project.iam.gserviceaccount.com/a//b%20c/?driveID=0Ab-_c",
                "Robot@project.iam.gserviceaccount.com false Shared(\"0Ab-_c\") a/b c",
            ),
            (
                "gdrive://id.apps.googleusercontent.com/x?myDriveFolderID=1z",
                "id.apps.googleusercontent.com false Folder(\"1z\") x",
            ),
            ("gdrive://id/x?myDriveFolderID=root", "id false Own x"),
            (
                "pydrive://a@developer.gserviceaccount.com",
                "a@developer.gserviceaccount.com true Own ",
            ),
            ("gdocs://u:p@h/x", "u@h true Own x"),
            ("pydrive+gdocs://u@h/x", "u@h true Own x"),
        ] {
            assert_eq!(place(url), expected, "{url}");
        }
        for wrong in [
            "gdrive:///x",
            "gdrive://id/x?driveID=a'b",
            "onedrive://",
            "onedrive:///",
            "box:///",
        ] {
            assert_eq!(kind(wrong), ErrorKind::Usage, "{wrong}");
        }
    }

    #[test]
    fn clouds_have_a_bucket_and_a_prefix() {
        for (url, expected) in [
            ("gs://bucket/a//b", "bucket a/b/"),
            ("azure://con-tainer", "con-tainer "),
            ("swift://con tainer//a%20b/", "false con tainer a b/"),
            ("swift:///container", "false container "),
            ("pca://container/a", "true container a/"),
            ("dpbx:///a//b%20c/", "/a/b c"),
            ("onedrive://a/b%20c/", "a/b c"),
            ("onedrive:///a", "a"),
            ("box:///a/b", "a/b None"),
            (
                "box://a?config=/etc/a%20b+c.json",
                "a Some(\"/etc/a b c.json\")",
            ),
            ("dpbx://a", "/a"),
            ("dpbx:///", ""),
            ("azure://container/a%20b", "container a b/"),
            ("b2://bucket/a", " bucket a/"),
            ("b2://id@bucket", "id bucket "),
            ("b2://id:k%2Fey@/bucket/a/", "id bucket a/"),
        ] {
            assert_eq!(place(url), expected, "{url}");
        }
        let url = TargetUrl::parse("b2://id:k%2Fey@bucket").expect("URL");
        assert_eq!(url.password().map(|p| p.expose()), Some(&b"k/ey"[..]));
        assert_eq!(url.masked(), "b2://id:*****@bucket");
        for bad in [
            "b2://id@",
            "gs://",
            "gs://u@bucket",
            "gs://storage.googleapis.com/bucket",
            "azure://ab",
            "azure://Container",
            "azure://a--b",
            "azure://-ab",
            "azure://abc-",
            "azure://a_bc",
            "azure://account.blob.core.windows.net/x",
        ] {
            assert_eq!(kind(bad), ErrorKind::Usage, "{bad}");
        }
    }

    #[test]
    fn lists_of_targets_have_parameters() {
        let multi = |text: &str| match TargetUrl::parse(text).expect(text).place().clone() {
            Place::Multi {
                list,
                spread,
                on_fail,
                subpath,
            } => format!("{} {spread:?} {on_fail:?} {subpath}", list.display()),
            other => panic!("{text}: {other:?}"),
        };
        for (url, expected) in [
            ("multi:///p/c.json", "/p/c.json Stripe Continue "),
            (
                "multi:///p/c.json?mode=mirror&onfail=abort&subpath=/a%20b+c",
                "/p/c.json Mirror Abort /a b c",
            ),
            ("multi://rel/c.json?mode=", "/rel/c.json Stripe Continue "),
            ("multi:////a%20b/c.json#x", "/a b/c.json Stripe Continue "),
        ] {
            assert_eq!(multi(url), expected, "{url}");
        }
        for bad in [
            "multi:///c?mode=mirrors",
            "multi:///c?mode=mirror&mode=mirror",
            "multi:///c?onfail=retry",
            "multi:///c?other=x",
            "multi://",
            "multi:///?mode=mirror",
        ] {
            assert_eq!(kind(bad), ErrorKind::Usage, "{bad}");
        }
    }

    #[test]
    fn par2_stands_before_any_target() {
        let url = TargetUrl::parse("Par2+sftp://u:se%63ret@h//x").expect("URL");
        assert_eq!(url.masked(), "par2+sftp://u:*****@h//x");
        assert_eq!(url.password().map(|p| p.expose()), Some(&b"secret"[..]));
        assert_eq!(url.original().expose(), b"Par2+sftp://u:se%63ret@h//x");
        assert!(matches!(url.plain().place(), Place::Sftp { .. }));
        let same = url.plain().clone().with_recovery_files();
        assert_eq!(same.place(), url.place());
        assert_eq!(same.clone().with_recovery_files(), same);
        assert_eq!(kind("par2+par2+file:///x"), ErrorKind::Usage);
        assert_eq!(kind("par2+sftp:///x"), ErrorKind::Usage);
    }

    #[test]
    fn rclone_urls_name_a_remote() {
        for (url, expected) in [
            ("rclone://remote:/dir", "remote:dir"),
            ("rclone://remote://dir", "remote:/dir"),
            ("rclone://remote:dir/a%20b/", "remote:dir/a b"),
            ("rclone://my remote:", "my remote:"),
        ] {
            assert_eq!(place(url), expected, "{url}");
        }
        for url in [
            "rclone://dir",
            "rclone://:sftp,pass=x:dir",
            "rclone://-v:dir",
            "rclone://a,b=c:dir",
        ] {
            assert_eq!(kind(url), ErrorKind::Usage, "{url}");
        }
    }

    #[test]
    fn rsync_urls_have_two_forms() {
        for (url, expected) in [
            ("rsync://h/rel", "false  h None rel"),
            ("rsync://u@h:22//abs/x", "false u h Some(22) /abs/x"),
            ("rsync://h", "false  h None ."),
            ("rsync://u:p@h::mod/dir", "true u h None mod/dir"),
            ("rsync://h:8873::/mod/a%20b", "true  h Some(8873) mod/a b"),
            ("rsync://[::1]::mod", "true  ::1 None mod"),
            ("rsync://[::1]/dir", "false  ::1 None dir"),
        ] {
            assert_eq!(place(url), expected, "{url}");
        }
        assert_eq!(kind("rsync://h::"), ErrorKind::Usage);
        assert_eq!(kind("rsync://-e::m"), ErrorKind::Usage);
    }

    fn kind(text: &str) -> ErrorKind {
        TargetUrl::parse(text).expect_err(text).kind()
    }

    // Expected values were taken from the parser of duplicity 3.2.1.
    #[test]
    fn local_urls_mean_what_duplicity_means() {
        for (url, dir) in [
            ("file:///abs/dir", "/abs/dir"),
            ("file://rel/dir", "rel/dir"),
            ("file:////abs//d", "abs//d"),
            ("FILE:///a%20b%2Fc", "/a b/c"),
            ("file://a%20b/c%20d", "a%20b/c d"),
            ("file:///a;b", "/a;b"),
            ("file:///a?b#c", "/a"),
            ("file:///a%3Fb%23c", "/a?b#c"),
            ("file:///100%", "/100%"),
            ("file:///", "/"),
            ("file:/x/y", "/x/y"),
            ("/plain/with%20percent?", "/plain/with%20percent?"),
            ("relative", "relative"),
            ("./odd:name", "./odd:name"),
        ] {
            assert_eq!(local(url), dir, "{url}");
        }
    }

    #[test]
    fn buckets_and_prefixes() {
        for (url, bucket, prefix) in [
            ("s3://bucket/pre", "bucket", "pre/"),
            ("s3:///bucket/pre", "bucket", "pre/"),
            ("boto3+s3://bucket", "bucket", ""),
            ("s3:///bucket//a///b/", "bucket", "a/b/"),
            ("s3://bucket/a%20b", "bucket", "a b/"),
            ("s3://my.bucket.name/x", "my.bucket.name", "x/"),
        ] {
            assert_eq!(s3(url), (bucket.to_string(), prefix.to_string()), "{url}");
        }
        assert_eq!(kind("s3://"), ErrorKind::Usage);
        assert_eq!(kind("s3:///"), ErrorKind::Usage);
        assert_eq!(kind("s3://key:secret@bucket/x"), ErrorKind::Usage);
    }

    #[test]
    fn servers_of_buckets_are_known_by_their_shape() {
        for (url, expected) in [
            (
                "s3://localhost:9000/bucket/a//b",
                "localhost Some(9000) bucket a/b/",
            ),
            ("s3://H.example:9000/bucket", "h.example Some(9000) bucket "),
            ("s3://localhost/bucket", "localhost None bucket "),
            ("s3://10.0.0.7/bucket/x", "10.0.0.7 None bucket x/"),
            ("s3://[::1]:9000/bucket", "::1 Some(9000) bucket "),
            (
                "s3://s3.eu-central-1.amazonaws.com/bucket/a%20b",
                "s3.eu-central-1.amazonaws.com None bucket a b/",
            ),
            (
                "s3://s3-eu-west-1.amazonaws.com/b",
                "s3-eu-west-1.amazonaws.com None b ",
            ),
            (
                "s3://s3.fr-par.scw.cloud/b/x",
                "s3.fr-par.scw.cloud None b x/",
            ),
            ("boto3+s3://h:1/bucket", "h Some(1) bucket "),
            ("boto+s3://h/bucket/x", "h None bucket x/"),
            ("s3+http://h:9000/bucket", "h Some(9000) bucket "),
            ("s3+http://bucket/x", "- bucket x/"),
            ("s3://backups.example.org/x", "- backups.example.org x/"),
            ("s3://s3.bucket/x", "- s3.bucket x/"),
        ] {
            let found = match TargetUrl::parse(url).expect(url).place().clone() {
                Place::S3 {
                    server,
                    bucket,
                    prefix,
                } => {
                    let who = server.map(|s| format!("{} {:?}", s.host, s.port));
                    format!("{} {bucket} {prefix}", who.unwrap_or("-".into()))
                }
                other => panic!("{url}: {other:?}"),
            };
            assert_eq!(found, expected, "{url}");
        }
        for wrong in [
            "s3://localhost:9000",
            "s3://localhost:9000/",
            "s3://s3.amazonaws.com",
            "s3:///s3.eu-central-1.amazonaws.com/b",
            "boto+s3:///bucket",
            "boto+s3://h",
            "s3://-h:1/bucket",
            "s3://k:s@localhost:9000/bucket",
        ] {
            assert_eq!(kind(wrong), ErrorKind::Usage, "{wrong}");
        }
    }

    #[test]
    fn ssh_urls_keep_one_slash_for_home() {
        let some = |s: &str| Some(s.to_string());
        for scheme in [
            "sftp",
            "scp",
            "paramiko+sftp",
            "pexpect+scp",
            "fish",
            "lftp+fish",
        ] {
            let url = |rest: &str| format!("{scheme}://{rest}");
            assert_eq!(sftp(&url("h/rel")), (None, "h".into(), None, "rel".into()));
            assert_eq!(
                sftp(&url("u@h//abs/x")),
                (some("u"), "h".into(), None, "/abs/x".into())
            );
            assert_eq!(
                sftp(&url("u@Host:2222")),
                (some("u"), "host".into(), Some(2222), ".".into())
            );
            assert_eq!(
                sftp(&url("u@h/")),
                (some("u"), "h".into(), None, ".".into())
            );
            assert_eq!(
                sftp(&url("u@[::1]:22/a%20b")),
                (some("u"), "::1".into(), Some(22), "a b".into())
            );
            assert_eq!(
                sftp(&url("a%40b:pw@h:/x")),
                (some("a@b"), "h".into(), None, "x".into())
            );
        }
        assert_eq!(sftp("sftp://[FE80::1%Eth0]/x").1, "fe80::1%Eth0");
        assert_eq!(sftp("sftp://h/a;b/c;d").3, "a;b/c");
        assert_eq!(sftp("scp://h/a;b/c;d").3, "a;b/c;d");
    }

    #[test]
    fn an_option_is_no_host() {
        for url in [
            "sftp://-oProxyCommand=x/y",
            "sftp://-l@h/y",
            "sftp://h;id/y",
            "sftp://h$(id)/y",
            "sftp:///y",
        ] {
            assert_eq!(kind(url), ErrorKind::Usage, "{url}");
        }
    }

    #[test]
    fn passwords_are_decoded_and_masked() {
        let url = TargetUrl::parse("sftp://u:p%40ss%3A@h/x").expect("valid");
        assert_eq!(
            url.password().map(Secret::expose),
            Some(b"p@ss:".as_slice())
        );
        assert_eq!(url.masked(), "sftp://u:*****@h/x");
        assert!(!format!("{url:?}").contains("p%40"));
        assert_eq!(url.original().expose(), b"sftp://u:p%40ss%3A@h/x");
        assert_eq!(
            TargetUrl::parse("sftp://u:@h/x").expect("valid").password(),
            None
        );
    }

    #[test]
    fn no_error_repeats_a_password() {
        for url in [
            "sftp://u:canary/x@h/y",
            "sftp://u:canary",
            "sftp://u:canary@/x",
            "sftp://u:canary@[h/x",
            "swift://u:canary@h/x",
            "nonsense://u:canary@h/x",
            "s3://u:canary@b/x",
            "u:canary@h",
        ] {
            let error = TargetUrl::parse(url).expect_err(url);
            let all = format!("{error} {error:?} {:?}", error.hint());
            assert!(!all.contains("canary"), "{url}: {all}");
        }
    }

    #[test]
    fn places_of_gnome_are_those_of_duplicity() {
        let url = TargetUrl::parse("gio+sftp://me:canary@h/srv/a%20b").expect("a place");
        let plain = TargetUrl::parse("sftp://me@h//srv/a%20b").expect("a place");
        assert_eq!(url.place(), plain.place());
        assert_eq!(url.masked(), "gio+sftp://me:*****@h/srv/a%20b");
        assert_eq!(url.password(), Some(&Secret::new("canary")));
    }

    #[test]
    fn what_is_no_target_is_refused() {
        for url in [
            "",
            "file:x",
            "file://",
            "s3:bucket",
            "host:/dir",
            "sftp://h:port/x",
            "sftp://h:70000/x",
            "a\nb",
        ] {
            assert_eq!(kind(url), ErrorKind::Usage, "{url:?}");
        }
        for url in ["ad://x", "par2+ad://x", "abc://x"] {
            assert_eq!(kind(url), ErrorKind::Unsupported, "{url}");
        }
    }

    proptest! {
        #[test]
        fn any_text_parses_or_fails(text in ".{0,60}") {
            let _ = TargetUrl::parse(&text);
        }

        #[test]
        fn any_password_is_hidden(password in "[a-z%:;+@]{6,12}") {
            let text = format!("sftp://u:{password}@h/x");
            if let Ok(url) = TargetUrl::parse(&text) {
                prop_assert!(!url.masked().contains(&password));
            }
        }
    }
}
