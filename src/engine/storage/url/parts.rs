//! A URL taken apart: which piece means what, by kind of scheme.
//!
//! Errors repeat no piece that could be a password.

use super::super::scheme::{Scheme, has_host};
use super::containers::{azure, is_server, swift};
use super::programs::tahoe;
use super::{OnFail, Place, Server, Spread, drives, usage};
use crate::engine::error::Result;
use percent_encoding::percent_decode_str;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// A URL cut at its delimiters, still with percent escapes.
pub(super) struct Parts<'a> {
    pub(super) netloc: &'a str,
    pub(super) path: &'a str,
    /// What stands between `?` and `#`.
    query: &'a str,
    port: Option<u16>,
    /// What follows `::`, to the end of the path.
    module: Option<&'a str>,
}

/// Host and module of `host::module`; an address in brackets may hold `::` itself.
fn split_module(netloc: &str) -> Option<(&str, &str)> {
    let host = netloc.rfind('@').map_or(0, |at| at + 1);
    let after = netloc[host..].find(']').map_or(host, |end| host + end);
    let colons = after + netloc[after..].find("::")?;
    Some((&netloc[..colons], &netloc[colons + 2..]))
}

impl<'a> Parts<'a> {
    /// `rest` is what follows `scheme:`. Errors name no part of it: a colon at the wrong place may be before a password.
    pub(super) fn split(scheme: &str, rest: &'a str) -> Result<Self> {
        let whole = rest;
        let rest = rest.strip_prefix("//").unwrap_or(rest);
        let (netloc, tail) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if netloc.contains('[') != netloc.contains(']') {
            return Err(usage(format!(
                "the {scheme}:// URL has an unpaired bracket"
            )));
        }
        let path = tail.split(['#', '?']).next().unwrap_or_default();
        let query = tail.split('#').next().unwrap_or_default();
        let query = query.split_once('?').map_or("", |(_, query)| query);
        // COMPAT(dup all): Python's urlparse cuts `;parameters` off the last component, for sftp alone of ours.
        let path = match (scheme, path.rfind('/')) {
            ("sftp", slash) => {
                let last = slash.unwrap_or(0);
                path[last..]
                    .find(';')
                    .map_or(path, |semicolon| &path[..last + semicolon])
            }
            _ => path,
        };
        let mut parts = Self {
            netloc,
            path,
            query,
            port: None,
            module: None,
        };
        if scheme == "rsync"
            && let Some((host, module)) = split_module(netloc)
        {
            let after = whole.strip_prefix("//").unwrap_or(whole);
            let module = &after[netloc.len() - module.len()..];
            parts.netloc = host;
            parts.module = Some(module.split(['#', '?']).next().unwrap_or_default());
        }
        // COMPAT(dup all): rclone has a remote there, and the module of `rsync://host::module` no port before it.
        if scheme == "rclone" {
            return Ok(parts);
        }
        parts.port = match parts.host_and_port().1 {
            None | Some("") => None,
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => match digits.parse() {
                Ok(port) => Some(port),
                Err(_) => return Err(usage(format!("the {scheme}:// URL has a port above 65535"))),
            },
            Some(_) => {
                return Err(usage(format!("the {scheme}:// URL has a port that is no number"))
                    .with_hint("a `/`, `#`, `?` or `:` in a user name or password is written %2F, %23, %3F or %3A"));
            }
        };
        Ok(parts)
    }

    pub(super) fn user_info(&self) -> Option<&'a str> {
        self.netloc.rsplit_once('@').map(|(info, _)| info)
    }

    /// The password, with its percent escapes.
    pub(super) fn password(&self) -> Option<&'a str> {
        self.user_info()
            .and_then(|info| info.split_once(':'))
            .map(|(_, p)| p)
            .filter(|p| !p.is_empty())
    }

    fn host_and_port(&self) -> (&'a str, Option<&'a str>) {
        let host = self
            .netloc
            .rsplit_once('@')
            .map_or(self.netloc, |(_, host)| host);
        match host
            .split_once('[')
            .and_then(|(_, inner)| inner.split_once(']'))
        {
            Some((address, after)) => (address, after.split_once(':').map(|(_, port)| port)),
            None => match host.split_once(':') {
                Some((name, port)) => (name, Some(port)),
                None => (host, None),
            },
        }
    }

    /// Where the URL points.
    pub(super) fn place(&self, scheme: &str) -> Result<Place> {
        if scheme == "rclone" {
            self.rclone()
        } else if Scheme::of(scheme) == Scheme::Gio {
            self.gio(scheme)
        } else if has_host(scheme) {
            self.with_host(scheme)
        } else {
            self.folded(scheme)
        }
    }

    /// Schemes without host: the host part is the start of the path, and stays free of percent decoding.
    fn folded(&self, scheme: &str) -> Result<Place> {
        let path = decoded(self.path)?;
        let after_slashes = if !self.netloc.is_empty() {
            [self.netloc.as_bytes(), &path].concat()
        } else if path.starts_with(b"//") {
            // COMPAT(dup all): `file:////a` is the relative path `a`.
            path[2..].to_vec()
        } else if path.starts_with(b"/") {
            path
        } else {
            return Err(usage(format!("the {scheme}:// URL names no place")));
        };
        match Scheme::of(scheme) {
            Scheme::S3 => return self.s3(scheme, after_slashes),
            Scheme::Gs => {
                return self
                    .bucket(scheme, after_slashes)
                    .map(|(bucket, prefix)| Place::Gs { bucket, prefix });
            }
            Scheme::Azure => {
                let (container, prefix) = self.bucket(scheme, after_slashes)?;
                return azure(container, prefix);
            }
            Scheme::Swift { archive } => {
                let (container, prefix) = self.bucket(scheme, after_slashes)?;
                return swift(archive, container, prefix);
            }
            Scheme::Dropbox => {
                if self.user_info().is_some() {
                    return Err(usage("a dpbx:// URL holds no credentials")
                        .with_hint("set DPBX_REFRESH_TOKEN and DPBX_APP_KEY"));
                }
                let path = utf8(scheme, after_slashes)?;
                let parts = path.split('/').filter(|part| !part.is_empty());
                let folder = parts.map(|part| format!("/{part}")).collect();
                return Ok(Place::Dropbox { folder });
            }
            Scheme::Tahoe => return tahoe(after_slashes),
            Scheme::OneDrive => return drives::microsoft(&utf8(scheme, after_slashes)?),
            Scheme::Box => {
                let query = self.parameters(scheme)?;
                return drives::boxes(&query, &utf8(scheme, after_slashes)?);
            }
            Scheme::B2 => return self.b2(after_slashes),
            Scheme::Multi => return self.multi(after_slashes),
            _ => {}
        }
        let dir = PathBuf::from(OsString::from_vec(after_slashes));
        let dir = if dir.as_os_str().is_empty() {
            Path::new(".").to_path_buf()
        } else {
            dir
        };
        Ok(Place::Local { dir })
    }

    /// A bucket, perhaps behind the server where it lies.
    // COMPAT(dup 0.8): a host before the bucket, always with `boto+s3`; with `s3+http`, which has TLS all the same, the bucket
    // comes first. From 2.0 on the first component is the bucket, so it is one here too, unless it cannot be meant.
    fn s3(&self, scheme: &str, path: Vec<u8>) -> Result<Place> {
        let host = self.host_and_port().0;
        let is_server = scheme == "boto+s3" || self.port.is_some() || is_server(host);
        if self.user_info().is_some() || !is_server {
            let (bucket, prefix) = self.bucket(scheme, path)?;
            return Ok(Place::S3 {
                server: None,
                bucket,
                prefix,
            });
        }
        let server = Server {
            user: None,
            host: plain_host(scheme, host)?,
            port: self.port.filter(|port| *port != 0),
        };
        let (bucket, prefix) = components(scheme, decoded(self.path)?)?;
        let bucket = bucket.ok_or_else(|| {
            let text = format!("the {scheme}:// URL names a server and no bucket");
            usage(text).with_hint(format!("write {scheme}://HOST/BUCKET/PREFIX"))
        })?;
        Ok(Place::S3 {
            server: Some(server),
            bucket,
            prefix,
        })
    }

    /// Bucket and key prefix; empty components do not count.
    fn bucket(&self, scheme: &str, path: Vec<u8>) -> Result<(String, String)> {
        let hint = match scheme {
            "gs" => "write gs://BUCKET/PREFIX",
            "azure" => "write azure://CONTAINER/PREFIX",
            "swift" => "write swift://CONTAINER/PREFIX; the server goes into SWIFT_AUTHURL",
            "pca" => "write pca://CONTAINER/PREFIX; the server goes into PCA_AUTHURL",
            _ => "write s3://BUCKET/PREFIX; the server goes into the option `endpoint`",
        };
        if self.user_info().is_some() {
            let variables = match scheme {
                "gs" => "set GS_ACCESS_KEY_ID and GS_SECRET_ACCESS_KEY",
                "azure" => "set AZURE_CONNECTION_STRING",
                "swift" => "set SWIFT_USERNAME, SWIFT_PASSWORD and SWIFT_AUTHURL",
                "pca" => "set PCA_USERNAME, PCA_PASSWORD and PCA_AUTHURL",
                _ => "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
            };
            let text = format!("an {scheme}:// URL holds no credentials");
            return Err(usage(text).with_hint(variables));
        }
        let (bucket, prefix) = components(scheme, path)?;
        let bucket = bucket
            .ok_or_else(|| usage(format!("the {scheme}:// URL names no bucket")).with_hint(hint))?;
        // COMPAT(dup 0.8): its boto2 form had the server first.
        if self.port.is_some() || is_server(&bucket) {
            let text = format!("the {scheme}:// URL names a server instead of a bucket");
            return Err(usage(text).with_hint(hint));
        }
        Ok((bucket, prefix))
    }

    /// `[id[:key]@]bucket/prefix`.
    // COMPAT(dup all): the first component after the `@` is the bucket, whether or not a slash stands before it.
    fn b2(&self, path: Vec<u8>) -> Result<Place> {
        let key_id = self
            .user_info()
            .map(|info| info.split_once(':').map_or(info, |(id, _)| id))
            .filter(|id| !id.is_empty());
        let key_id = key_id.map(|id| utf8("b2", decoded(id)?)).transpose()?;
        let info = self.user_info().map_or(0, |info| info.len() + 1);
        let (bucket, prefix) = components("b2", path.get(info..).unwrap_or_default().to_vec())?;
        let bucket = bucket.ok_or_else(|| {
            usage("the b2:// URL names no bucket").with_hint("write b2://KEY-ID@BUCKET/PREFIX")
        })?;
        Ok(Place::B2 {
            key_id,
            bucket,
            prefix,
        })
    }

    /// Names and values of the query; a name without a value does not count.
    fn parameters(&self, scheme: &str) -> Result<Vec<(String, String)>> {
        let text = |text: &str| utf8(scheme, decoded(&text.replace('+', " "))?);
        let pairs = self
            .query
            .split('&')
            .filter_map(|pair| pair.split_once('='));
        pairs
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| Ok((text(name)?, text(value)?)))
            .collect()
    }

    /// A list of targets, with `mode`, `onfail` and `subpath` in the query.
    // COMPAT(dup all): the path is absolute, whether or not a third slash stands before it; a parameter that is unknown
    // or given twice is an error, an empty one is none.
    fn multi(&self, path: Vec<u8>) -> Result<Place> {
        let start = path.iter().take_while(|b| **b == b'/').count();
        let list = [b"/", path.get(start..).unwrap_or_default()].concat();
        if list.len() == 1 {
            return Err(usage("the multi:// URL names no file")
                .with_hint("write multi:///PATH/LIST.json?mode=mirror"));
        }
        let (mut spread, mut on_fail, mut subpath) = (None, None, None);
        for (name, value) in self.parameters("multi")? {
            let is_first = match (name.as_str(), value.as_str()) {
                ("mode", "stripe") => spread.replace(Spread::Stripe).is_none(),
                ("mode", "mirror") => spread.replace(Spread::Mirror).is_none(),
                ("onfail", "continue") => on_fail.replace(OnFail::Continue).is_none(),
                ("onfail", "abort") => on_fail.replace(OnFail::Abort).is_none(),
                ("subpath", _) => subpath.replace(value).is_none(),
                _ => {
                    let text = format!("the multi:// URL has an unknown parameter {name}={value}");
                    return Err(usage(text).with_hint(
                        "it takes mode=stripe or mirror, onfail=continue or abort, and subpath",
                    ));
                }
            };
            if !is_first {
                return Err(usage(format!("the multi:// URL has {name} twice")));
            }
        }
        Ok(Place::Multi {
            list: PathBuf::from(OsString::from_vec(list)),
            spread: spread.unwrap_or(Spread::Stripe),
            on_fail: on_fail.unwrap_or(OnFail::Continue),
            subpath: subpath.unwrap_or_default(),
        })
    }

    fn with_host(&self, scheme: &str) -> Result<Place> {
        let host = plain_host(scheme, self.host_and_port().0)?;
        let user = self
            .user_info()
            .map(|info| info.split_once(':').map_or(info, |(user, _)| user));
        let user = match user.filter(|user| !user.is_empty()) {
            None => None,
            Some(user) => Some(
                String::from_utf8(decoded(user)?)
                    .map_err(|_| usage(format!("the user in the {scheme}:// URL is not UTF-8")))?,
            ),
        };
        if user.as_ref().is_some_and(|user| user.starts_with('-')) {
            return Err(usage(format!(
                "the user in the {scheme}:// URL starts with a dash"
            )));
        }
        let server = Server {
            user,
            host,
            port: self.port.filter(|port| *port != 0),
        };
        let path = decoded(self.path)?;
        match Scheme::of(scheme) {
            Scheme::WebDav { secure } => {
                let path = utf8(scheme, path)?;
                // COMPAT(dup all): empty components do not count.
                let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
                Ok(Place::WebDav {
                    secure,
                    server,
                    path: format!("/{}", parts.join("/")),
                })
            }
            Scheme::Ftp(security) => {
                let dir = path.strip_prefix(b"/").unwrap_or(&path).to_vec();
                let dir = utf8(scheme, dir)?;
                if dir.chars().any(char::is_control) {
                    let text = format!("the path of the {scheme}:// URL holds a control character");
                    return Err(usage(text));
                }
                let short = match dir.trim_end_matches('/') {
                    "" if dir.is_empty() => ".",
                    "" => "/",
                    short => short,
                };
                Ok(Place::Ftp {
                    security,
                    server,
                    dir: short.to_string(),
                })
            }
            Scheme::Mega { own } => {
                let path = utf8(scheme, path)?;
                let parts = path.split('/').filter(|part| !part.is_empty());
                Ok(Place::Mega {
                    own,
                    user: server.user,
                    folder: parts.map(|part| format!("/{part}")).collect(),
                })
            }
            // COMPAT(dup all): the program decides about the host; the path begins at the root.
            Scheme::Hsi => Ok(Place::Hsi {
                dir: utf8(scheme, path)?.trim_end_matches('/').to_string(),
            }),
            Scheme::GoogleDrive => {
                let query = self.parameters(scheme)?;
                drives::google(scheme, &server, &query, &utf8(scheme, path)?)
            }
            Scheme::Imap { secure } => Ok(Place::Imap {
                secure,
                server,
                folder: mail_folder(scheme, &path)?,
            }),
            Scheme::Rsync => {
                let dir = match self.module {
                    Some(module) => decoded(module.trim_start_matches('/'))?,
                    None => path.strip_prefix(b"/").unwrap_or(&path).to_vec(),
                };
                let dir = utf8(scheme, dir)?;
                if self.module.is_some() && dir.is_empty() {
                    return Err(usage("the rsync:// URL names no module")
                        .with_hint("write rsync://HOST::MODULE/PATH"));
                }
                Ok(Place::Rsync {
                    server,
                    daemon: self.module.is_some(),
                    dir: if dir.is_empty() { ".".into() } else { dir },
                })
            }
            _ => {
                let dir = match path.strip_prefix(b"/").unwrap_or(&path) {
                    b"" => PathBuf::from("."),
                    path => PathBuf::from(OsString::from_vec(path.to_vec())),
                };
                Ok(Place::Sftp { server, dir })
            }
        }
    }
}

/// The first component of a path, and the others with a slash after each; empty ones do not count.
pub(super) fn components(scheme: &str, path: Vec<u8>) -> Result<(Option<String>, String)> {
    let path = utf8(scheme, path)?;
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    let first = parts.next().map(str::to_string);
    Ok((first, parts.map(|part| format!("{part}/")).collect()))
}

/// What stands in `From` of mails.
// COMPAT(dup all): without a folder it finds nothing, nor with most signs: they mean something in its search.
fn mail_folder(scheme: &str, path: &[u8]) -> Result<String> {
    let folder = path.strip_prefix(b"/").unwrap_or(path);
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-/@".contains(byte);
    if folder.is_empty() || !folder.iter().all(plain) {
        let text = format!("the {scheme}:// URL needs a folder of letters, digits and . _ - / @");
        return Err(usage(text).with_hint(format!("write {scheme}://USER@HOST/FOLDER")));
    }
    utf8(scheme, folder.to_vec())
}

pub(super) fn utf8(scheme: &str, bytes: Vec<u8>) -> Result<String> {
    String::from_utf8(bytes).map_err(|_| {
        usage(format!(
            "the {scheme}:// URL is not UTF-8 after percent decoding"
        ))
    })
}

/// A host whose name can be one.
fn plain_host(scheme: &str, host: &str) -> Result<String> {
    if host.is_empty() {
        return Err(usage(format!("the {scheme}:// URL names no host"))
            .with_hint(format!("write {scheme}://HOST/…")));
    }
    // A host or user that looks like an option would be one to ssh.
    let plain = |c: char| {
        c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%') || !c.is_ascii()
    };
    if host.starts_with('-') || !host.chars().all(plain) {
        return Err(usage(format!(
            "the {scheme}:// URL has a host name with odd characters"
        )));
    }
    Ok(lower(host))
}

/// Host names have no case; the zone of an address, after `%`, has one.
fn lower(host: &str) -> String {
    match host.split_once('%') {
        Some((address, zone)) => format!("{}%{zone}", address.to_lowercase()),
        None => host.to_lowercase(),
    }
}

pub(super) fn decoded(text: &str) -> Result<Vec<u8>> {
    let bytes: Vec<u8> = percent_decode_str(text).collect();
    if bytes.contains(&0) {
        Err(usage("the target URL holds an escaped NUL"))
    } else {
        Ok(bytes)
    }
}
