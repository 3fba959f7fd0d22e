//! Target URLs, read as duplicity reads them.
//!
//! `scheme://[user[:password]@]host[:port]/path`; user, password and path may hold percent escapes. What duplicity
//! drops (a query, a fragment, `;parameters` of sftp) is dropped here too, so that both find the same files.
//! Invariant: the password exists only as a [`Secret`], never in `masked`. See docs/format.md, "URLs".

use super::Location;
use super::scheme::{Scheme, has_host};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::secret::Secret;
use percent_encoding::percent_decode_str;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

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
        /// Name of the bucket.
        bucket: String,
        /// Start of every key: empty, or ends in `/`.
        prefix: String,
    },
    /// A directory of another machine, reached through ssh.
    Sftp {
        /// Login name, if the URL has one; else ssh decides.
        user: Option<String>,
        /// Name or address, in lower case, without brackets.
        host: String,
        /// Port, if the URL has one; else ssh decides.
        port: Option<u16>,
        /// Absolute, or relative to the login directory; `.` for that directory itself.
        dir: PathBuf,
    },
    /// A collection of a WebDAV server.
    WebDav {
        /// HTTPS instead of HTTP.
        secure: bool,
        /// Login name, if the URL has one.
        user: Option<String>,
        /// Name or address, in lower case, without brackets.
        host: String,
        /// Port, if the URL has one; else that of the protocol.
        port: Option<u16>,
        /// Path on the server, starting with `/`, without percent escapes.
        path: String,
    },
    /// A place the program `rclone` reaches.
    Rclone {
        /// `remote:path`, as rclone writes it.
        root: String,
    },
    /// A directory the program `rsync` reaches.
    Rsync {
        /// Login name, if the URL has one.
        user: Option<String>,
        /// Name or address, in lower case, without brackets.
        host: String,
        /// Port, if the URL has one.
        port: Option<u16>,
        /// Whether `dir` starts with the module of an rsync daemon; else the way is ssh.
        daemon: bool,
        /// Module and path, or a path, relative to the login directory unless absolute; never empty.
        dir: String,
    },
}

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
        if let Some(refusal) = Scheme::of(&scheme).refusal(&scheme) {
            return Err(refusal);
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
    let word = |c: char| c.is_alphanumeric() || c == '_' || c == '+';
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

/// A URL cut at its delimiters, still with percent escapes.
struct Parts<'a> {
    netloc: &'a str,
    path: &'a str,
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
    fn split(scheme: &str, rest: &'a str) -> Result<Self> {
        let whole = rest;
        let rest = rest.strip_prefix("//").unwrap_or(rest);
        let (netloc, tail) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if netloc.contains('[') != netloc.contains(']') {
            return Err(usage(format!(
                "the {scheme}:// URL has an unpaired bracket"
            )));
        }
        let path = tail.split(['#', '?']).next().unwrap_or_default();
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

    fn user_info(&self) -> Option<&'a str> {
        self.netloc.rsplit_once('@').map(|(info, _)| info)
    }

    fn password(&self) -> Option<&'a str> {
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

    fn place(&self, scheme: &str) -> Result<Place> {
        if scheme == "rclone" {
            self.rclone()
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
        if Scheme::of(scheme) == Scheme::S3 {
            return self.s3(after_slashes);
        }
        let dir = PathBuf::from(OsString::from_vec(after_slashes));
        let dir = if dir.as_os_str().is_empty() {
            Path::new(".").to_path_buf()
        } else {
            dir
        };
        Ok(Place::Local { dir })
    }

    /// Bucket and key prefix; empty components do not count.
    fn s3(&self, path: Vec<u8>) -> Result<Place> {
        let hint = "write s3://BUCKET/PREFIX; the server goes into the option `endpoint`";
        if self.user_info().is_some() {
            return Err(usage("an s3:// URL holds no credentials")
                .with_hint("set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"));
        }
        let path = String::from_utf8(path)
            .map_err(|_| usage("the s3:// URL is not UTF-8 after percent decoding"))?;
        let mut parts = path.split('/').filter(|part| !part.is_empty());
        let bucket = parts
            .next()
            .ok_or_else(|| usage("the s3:// URL names no bucket").with_hint(hint))?;
        // COMPAT(dup 0.8): its boto2 form had the server first.
        if self.port.is_some() || bucket.ends_with(".amazonaws.com") {
            return Err(usage("the s3:// URL names a server instead of a bucket").with_hint(hint));
        }
        let prefix = parts.map(|part| format!("{part}/")).collect();
        Ok(Place::S3 {
            bucket: bucket.to_string(),
            prefix,
        })
    }

    fn with_host(&self, scheme: &str) -> Result<Place> {
        let host = self.host_and_port().0;
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
        let port = self.port.filter(|port| *port != 0);
        let host = lower(host);
        let path = decoded(self.path)?;
        match Scheme::of(scheme) {
            Scheme::WebDav { secure } => {
                let path = utf8(scheme, path)?;
                Ok(Place::WebDav {
                    secure,
                    user,
                    host,
                    port,
                    path: format!("/{}", path.trim_matches('/')),
                })
            }
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
                    user,
                    host,
                    port,
                    daemon: self.module.is_some(),
                    dir: if dir.is_empty() { ".".into() } else { dir },
                })
            }
            _ => {
                let dir = match path.strip_prefix(b"/").unwrap_or(&path) {
                    b"" => PathBuf::from("."),
                    path => PathBuf::from(OsString::from_vec(path.to_vec())),
                };
                Ok(Place::Sftp {
                    user,
                    host,
                    port,
                    dir,
                })
            }
        }
    }

    /// `remote:path`. A remote described in the URL itself is refused: its secrets would be arguments of rclone.
    fn rclone(&self) -> Result<Place> {
        let root = [self.netloc.as_bytes(), &decoded(self.path)?].concat();
        let root = utf8("rclone", root)?;
        let hint = "write rclone://REMOTE:PATH, with a remote that `rclone config` knows";
        let Some((remote, _)) = root.split_once(':') else {
            return Err(usage("the rclone:// URL names no remote").with_hint(hint));
        };
        let plain = |c: char| c.is_alphanumeric() || "_-.+@ ".contains(c);
        if remote.is_empty() || remote.starts_with(['-', ' ']) || !remote.chars().all(plain) {
            return Err(
                usage("the rclone:// URL names a remote rclone has no name for").with_hint(hint),
            );
        }
        Ok(Place::Rclone {
            root: root.trim_end_matches('/').to_string(),
        })
    }
}

fn utf8(scheme: &str, bytes: Vec<u8>) -> Result<String> {
    String::from_utf8(bytes).map_err(|_| {
        usage(format!(
            "the {scheme}:// URL is not UTF-8 after percent decoding"
        ))
    })
}

/// Host names have no case; the zone of an address, after `%`, has one.
fn lower(host: &str) -> String {
    match host.split_once('%') {
        Some((address, zone)) => format!("{}%{zone}", address.to_lowercase()),
        None => host.to_lowercase(),
    }
}

fn decoded(text: &str) -> Result<Vec<u8>> {
    let bytes: Vec<u8> = percent_decode_str(text).collect();
    if bytes.contains(&0) {
        Err(usage("the target URL holds an escaped NUL"))
    } else {
        Ok(bytes)
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
            Place::S3 { bucket, prefix } => (bucket, prefix),
            other => panic!("{text}: {other:?}"),
        }
    }

    fn sftp(text: &str) -> (Option<String>, String, Option<u16>, String) {
        match TargetUrl::parse(text).expect(text).place().clone() {
            Place::Sftp {
                user,
                host,
                port,
                dir,
            } => (user, host, port, dir.display().to_string()),
            other => panic!("{text}: {other:?}"),
        }
    }

    fn place(text: &str) -> String {
        let url = TargetUrl::parse(text).expect(text);
        let name = |user: &Option<String>| user.clone().unwrap_or_default();
        match url.place() {
            Place::WebDav {
                secure,
                user,
                host,
                port,
                path,
            } => format!("{secure} {} {host} {port:?} {path}", name(user)),
            Place::Rclone { root } => root.clone(),
            Place::Rsync {
                user,
                host,
                port,
                daemon,
                dir,
            } => format!("{daemon} {} {host} {port:?} {dir}", name(user)),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn webdav_urls_are_absolute_paths() {
        for (url, expected) in [
            ("webdav://h/a/b", "false  h None /a/b"),
            ("webdavs://u:p@H:8443//a%20b/", "true u h Some(8443) /a b"),
            ("http://h", "false  h None /"),
            ("lftp+webdavs://[::1]/x", "true  ::1 None /x"),
        ] {
            assert_eq!(place(url), expected, "{url}");
        }
    }

    #[test]
    fn rclone_urls_name_a_remote() {
        for (url, expected) in [
            ("rclone://remote:/dir", "remote:/dir"),
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
        assert_eq!(kind("s3://localhost:9000/bucket"), ErrorKind::Usage);
        assert_eq!(
            kind("s3://s3.eu-central-1.amazonaws.com/bucket"),
            ErrorKind::Usage
        );
        assert_eq!(kind("s3://key:secret@bucket/x"), ErrorKind::Usage);
    }

    #[test]
    fn ssh_urls_keep_one_slash_for_home() {
        let some = |s: &str| Some(s.to_string());
        for scheme in ["sftp", "scp", "paramiko+sftp", "pexpect+scp"] {
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
            "ftp://u:canary@h/x",
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
        for url in ["ftp://h/x", "ad://x", "par2+file:///x", "abc://x"] {
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
