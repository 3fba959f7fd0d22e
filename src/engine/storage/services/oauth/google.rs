//! Who asks at Google: a service account, which signs for itself, or a user, whose refresh token somebody has got before.

use super::assertion::Signer;
use super::{Form, Grant, Login};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::secret::Secret;
use serde_json::{Value, json};
use std::path::Path;
use zeroize::Zeroizing;

/// Where tokens are given out, unless a file says so.
pub(in super::super) const TOKENS: &str = "https://oauth2.googleapis.com/token";

/// Longest life of an assertion.
const HOUR: i64 = 3600;

/// A service account.
struct Robot {
    email: String,
    signer: Signer,
    /// What the token is for.
    scope: &'static str,
    /// Whom an assertion is for.
    audience: String,
}

impl Grant for Robot {
    fn form(&self, now: i64) -> Result<Form> {
        let claims = json!({
            "iss": self.email, "scope": self.scope, "aud": self.audience, "iat": now, "exp": now + HOUR,
        });
        let kind = "urn:ietf:params:oauth:grant-type:jwt-bearer";
        Ok(vec![
            ("grant_type", Secret::new(kind)),
            ("assertion", Secret::new(self.signer.signed(&claims)?)),
        ])
    }

    fn is_timed(&self) -> bool {
        true
    }
}

/// A user who let a client in.
struct User {
    client: String,
    secret: Option<Secret>,
    refresh: Secret,
}

impl Grant for User {
    fn form(&self, _: i64) -> Result<Form> {
        let mut form = vec![
            ("grant_type", Secret::new("refresh_token")),
            ("refresh_token", self.refresh.clone()),
            ("client_id", Secret::new(self.client.as_str())),
        ];
        form.extend(self.secret.clone().map(|secret| ("client_secret", secret)));
        Ok(form)
    }
}

/// The login of a service account: its address, what it signs with, where tokens are given out, and for what.
pub(in super::super) fn robot(
    email: String,
    signer: Signer,
    url: String,
    scope: &'static str,
    hint: &'static str,
) -> Login {
    Login {
        grant: Box::new(Robot {
            email,
            signer,
            scope,
            audience: url.clone(),
        }),
        url,
        hint,
    }
}

/// The login of a user: the client and its secret, the user's refresh token, and where tokens are given out.
pub(in super::super) fn user(
    (client, secret): (String, Option<Secret>),
    refresh: Secret,
    url: String,
    hint: &'static str,
) -> Login {
    Login {
        url,
        grant: Box::new(User {
            client,
            secret,
            refresh,
        }),
        hint,
    }
}

/// The key of a service account, as the console gives it.
pub(in super::super) struct AccountKey {
    /// The account's address.
    pub(in super::super) email: String,
    signer: Signer,
    tokens: Option<String>,
}

impl AccountKey {
    /// What a file holds.
    ///
    /// # Errors
    /// `Usage` if that is no such key.
    pub(in super::super) fn of(path: &str, file: &Value) -> Result<Self> {
        let (Some(email), Some(key)) = (text(file, "client_email"), text(file, "private_key"))
        else {
            return Err(usage(format!("{path} is no key of a service account")));
        };
        let signer = Signer::of_pem(key.as_bytes(), text(file, "private_key_id"));
        Ok(Self {
            email: email.to_string(),
            signer: signer.map_err(|e| e.within(format!("cannot use {path}")))?,
            tokens: text(file, "token_uri").map(str::to_string),
        })
    }

    /// The login with it; `tokens` is where they are given out unless the file says so.
    pub(in super::super) fn login(
        self,
        tokens: impl FnOnce() -> String,
        scope: &'static str,
        hint: &'static str,
    ) -> Login {
        let url = self.tokens.unwrap_or_else(tokens);
        robot(self.email, self.signer, url, scope, hint)
    }
}

fn usage(text: impl Into<String>) -> Error {
    Error::new(ErrorKind::Usage, text)
}

/// A field that is text, and not empty.
pub(in super::super) fn text<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    object[name].as_str().filter(|text| !text.is_empty())
}

/// A file that may hold secrets.
///
/// # Errors
/// `Io` and the like if it cannot be read.
pub(in super::super) fn read(path: &str) -> Result<Zeroizing<Vec<u8>>> {
    let bytes = std::fs::read(path).map_err(|e| Error::io("read", Path::new(path), e))?;
    Ok(Zeroizing::new(bytes))
}

/// The same as JSON.
///
/// # Errors
/// Also `Usage` for what is none.
pub(in super::super) fn object(path: &str) -> Result<Value> {
    serde_json::from_slice(&read(path)?).map_err(|_| usage(format!("{path} is not JSON")))
}
