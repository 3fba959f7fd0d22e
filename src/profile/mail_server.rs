//! A mail server as `[report.email] smtp` names it: `smtps://user@mail.example.org:465`.

use super::url;
use crate::engine::secret::Secret;
use percent_encoding::percent_decode_str;

/// A mail server, without its password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailServer {
    /// TLS from the first byte (`smtps`); otherwise by STARTTLS.
    pub tls_at_once: bool,
    /// Who logs in.
    pub user: Option<String>,
    /// Name or address, without brackets.
    pub host: String,
    /// Port: 465 for `smtps`, else 587, if the URL has none.
    pub port: u16,
}

impl MailServer {
    /// Reads a URL, and the password in it if there is one.
    ///
    /// # Errors
    /// What is wrong with it, in a few words without the URL.
    pub fn parse(text: &str) -> Result<(Self, Option<Secret>), &'static str> {
        let password = url::password(text);
        let secret = password
            .clone()
            .and_then(|range| text.get(range))
            .map(|p| Secret::new(percent_decode_str(p).collect::<Vec<u8>>()));
        let bare = match password {
            Some(range) => {
                let (before, after) = (text.get(..range.start), text.get(range.end..));
                format!(
                    "{}{}",
                    before.unwrap_or_default(),
                    after.unwrap_or_default()
                )
            }
            None => text.to_owned(),
        };
        let (scheme, rest) = bare.split_once("://").ok_or("no scheme")?;
        let tls_at_once = match scheme {
            "smtps" => true,
            "smtp" => false,
            _ => return Err("the scheme is neither smtp nor smtps"),
        };
        let rest = rest.trim_end_matches('/');
        let (user, host) = match rest.rsplit_once('@') {
            Some((user, host)) => (Some(user.trim_end_matches(':')), host),
            None => (None, rest),
        };
        let (host, port) = match host.strip_prefix('[').and_then(|h| h.split_once(']')) {
            Some((address, port)) => (address, port.strip_prefix(':')),
            None => host
                .split_once(':')
                .map_or((host, None), |(h, p)| (h, Some(p))),
        };
        let port = match port {
            Some(text) => text.parse().map_err(|_| "the port is no number")?,
            None if tls_at_once => 465,
            None => 587,
        };
        if host.is_empty() {
            return Err("no host");
        }
        if host.contains(|c: char| c.is_whitespace() || c.is_control() || "/?#".contains(c)) {
            return Err("the host holds what no host does");
        }
        let user = user
            .filter(|u| !u.is_empty())
            .map(|u| percent_decode_str(u).decode_utf8_lossy().into_owned());
        let server = Self {
            tls_at_once,
            user,
            host: host.to_owned(),
            port,
        };
        Ok((server, secret))
    }

    /// Whether it is this machine, so that nobody can listen in between.
    pub fn is_here(&self) -> bool {
        self.host == "localhost"
            || self
                .host
                .parse::<std::net::IpAddr>()
                .is_ok_and(|a| a.is_loopback())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(url: &str) -> MailServer {
        MailServer::parse(url).unwrap().0
    }

    #[test]
    fn users_ports_and_addresses_are_read() {
        let far = server("smtps://user%40example.org@mail.example.org");
        assert_eq!(
            (far.tls_at_once, far.port, far.user.as_deref()),
            (true, 465, Some("user@example.org"))
        );
        assert_eq!(server("smtp://mail.example.org/").port, 587);
        assert!(server("smtp://[::1]:2525").is_here() && server("smtp://localhost:25").is_here());
        assert!(!server("smtp://127.0.0.1.example.org").is_here());
    }

    #[test]
    fn a_password_in_the_url_is_taken_out() {
        let (server, password) = MailServer::parse("smtps://me:p%40ss@h:465").unwrap();
        assert_eq!(server.user.as_deref(), Some("me"));
        assert_eq!(password.unwrap().expose_str(), Some("p@ss"));
        assert_eq!(MailServer::parse("smtps://me@h").unwrap().1, None);
    }

    #[test]
    fn what_is_no_mail_server_is_refused() {
        for bad in [
            "mail.example.org",
            "http://h",
            "smtp://",
            "smtp://h:port",
            "smtp://h:99999",
            "smtp://a b",
        ] {
            assert!(MailServer::parse(bad).is_err(), "{bad}");
        }
    }
}
