//! A target's URL as the profile has it, and in a form that may be shown.

use std::fmt;

/// Where a target lies, as typed. `Display` and `Debug` hide a password in it.
#[derive(Clone, PartialEq, Eq)]
pub struct TargetUrl {
    text: String,
    masked: String,
}

impl TargetUrl {
    /// Takes a URL as typed; its shape is checked elsewhere.
    pub fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        Self {
            masked: mask(&text),
            text,
        }
    }

    /// The URL with everything in it. For the storage room only.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// The URL without its password: printable anywhere.
    pub fn masked(&self) -> &str {
        &self.masked
    }

    /// Whether a password stands in it.
    pub fn has_password(&self) -> bool {
        password(&self.text).is_some()
    }
}

impl fmt::Display for TargetUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked)
    }
}

impl fmt::Debug for TargetUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TargetUrl({:?})", self.masked)
    }
}

/// Byte range of the password in `user:password@host`.
///
/// The last `@` before the path ends the user part, so that a password with an unescaped `@` is hidden whole.
pub(super) fn password(url: &str) -> Option<std::ops::Range<usize>> {
    let start = url.find("://")? + 3;
    let rest = url.get(start..)?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let at = match authority.rfind('@') {
        Some(at) => at,
        // A password with a `/` in it makes no valid URL, yet must not be shown either. A port does not count.
        None => {
            let port = authority
                .split_once(':')
                .is_none_or(|(_, p)| p.bytes().all(|b| b.is_ascii_digit()));
            if port { None } else { rest.rfind('@') }?
        }
    };
    let colon = rest.get(..at)?.find(':')?;
    (colon + 1 < at).then_some(start + colon + 1..start + at)
}

/// `url` with stars in place of a password.
pub fn mask(url: &str) -> String {
    match password(url) {
        Some(range) => format!("{}***{}", &url[..range.start], &url[range.end..]),
        None => url.to_owned(),
    }
}

/// Whether a text has the shape of a target: a scheme and what belongs to it. The service itself is not looked up.
///
/// # Errors
/// Says what is missing and how it is written.
pub fn check_shape(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("the URL is empty".into());
    }
    if text.chars().any(char::is_control) {
        return Err("the URL holds control characters".into());
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        let hint = if text.starts_with('/') {
            format!("file://{text}")
        } else {
            "sftp://user@host//path".to_owned()
        };
        return Err(format!("the URL has no scheme: write it as {hint}"));
    };
    let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    if !scheme.starts_with(|c: char| c.is_ascii_alphabetic()) || !scheme.chars().all(known) {
        return Err(format!(
            "{scheme:?} is not a scheme: letters, digits, + - . only"
        ));
    }
    if rest.is_empty() {
        return Err(format!("nothing stands behind {scheme}://"));
    }
    if scheme == "file" && !rest.starts_with('/') {
        return Err(format!(
            "a file URL needs an absolute path: write it as file:///{rest}"
        ));
    }
    Ok(())
}

/// The host of an `http` or `https` address, with its port if it says one.
///
/// # Errors
/// What is wrong with it, in a few words without the address.
pub fn web_host(text: &str) -> Result<String, &'static str> {
    let (scheme, rest) = text.split_once("://").ok_or("it has no scheme")?;
    if !["http", "https"].contains(&scheme) {
        return Err("the scheme is neither http nor https");
    }
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("there is a blank in it");
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let host = authority.rsplit('@').next().unwrap_or(authority);
    if host.is_empty() || host.starts_with(':') {
        return Err("it names no host");
    }
    Ok(host.to_owned())
}

/// Whether what is sent to an address can be read on its way: no TLS, and not this very machine.
pub fn is_clear(text: &str) -> bool {
    let Ok(host) = web_host(text) else {
        return false;
    };
    let name = match host.strip_prefix('[').and_then(|h| h.split_once(']')) {
        Some((address, _)) => address,
        None => host.split(':').next().unwrap_or(&host),
    };
    let here = name == "localhost"
        || name
            .parse::<std::net::IpAddr>()
            .is_ok_and(|a| a.is_loopback());
    text.starts_with("http://") && !here
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_hidden_and_nothing_else() {
        for (url, shown) in [
            (
                "sftp://me@nas.local//backups",
                "sftp://me@nas.local//backups",
            ),
            ("ftp://me:s3cret@host/x", "ftp://me:***@host/x"),
            ("ftp://me:p@ss@host/x", "ftp://me:***@host/x"),
            ("ftp://me:a/b@host/x", "ftp://me:***@host/x"),
            ("s3://host:9000/bucket/a@b:c", "s3://host:9000/bucket/a@b:c"),
            ("file:///a", "file:///a"),
            ("/plain/path", "/plain/path"),
        ] {
            let url = TargetUrl::new(url);
            assert_eq!(url.to_string(), shown);
            assert_eq!(format!("{url:?}"), format!("TargetUrl({shown:?})"));
        }
    }

    #[test]
    fn addresses_of_the_web_name_their_host_and_nothing_more() {
        assert_eq!(web_host("https://ntfy.sh/topic").unwrap(), "ntfy.sh");
        assert_eq!(web_host("http://u:p@push:9091?x").unwrap(), "push:9091");
        for bad in [
            "ntfy.sh/x",
            "ftp://h/x",
            "https://",
            "https://:80/",
            "http://a b",
        ] {
            assert!(web_host(bad).is_err(), "{bad}");
        }
        assert!(is_clear("http://nas.local/x") && is_clear("http://127.0.0.1.example.org"));
        for safe in [
            "https://nas.local",
            "http://localhost:80/",
            "http://[::1]:8/x",
        ] {
            assert!(!is_clear(safe), "{safe}");
        }
    }
}
