//! Who asks at Box: an app with a key pair, as its configuration file has it.

use super::super::oauth::assertion::Signer;
use super::super::oauth::{Form, Grant, Login, sealed_key};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::secret::Secret;
use crate::engine::storage::{StorageOptions, names};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

const TOKENS: &str = "https://api.box.com/oauth2/token";
/// Longest life of an assertion is a minute.
const LIFE_SECONDS: i64 = 45;
const HINT: &str =
    "check the app's configuration file, and whether an administrator has authorized the app";

/// An app that asks for itself.
struct App {
    client: String,
    secret: Secret,
    enterprise: String,
    signer: Signer,
}

impl Grant for App {
    fn form(&self, now: i64) -> Result<Form> {
        let id = format!("{:016x}{:016x}", names::random(), names::random());
        let claims = json!({
            "iss": self.client, "sub": self.enterprise, "box_sub_type": "enterprise", "aud": TOKENS, "jti": id,
            "exp": now + LIFE_SECONDS,
        });
        let kind = "urn:ietf:params:oauth:grant-type:jwt-bearer";
        Ok(vec![
            ("grant_type", Secret::new(kind)),
            ("assertion", Secret::new(self.signer.signed(&claims)?)),
            ("client_id", Secret::new(self.client.as_str())),
            ("client_secret", self.secret.clone()),
        ])
    }

    fn is_timed(&self) -> bool {
        true
    }
}

/// The login a configuration file tells.
///
/// # Errors
/// `Denied` without one; `Usage` for one that holds no login; `Io` and the like if it cannot be read.
// COMPAT(dup 0.8 to 3.2): the file of the URL, where `~` is home, then that of BOX_CONFIG_PATH.
pub(super) fn of(config: Option<&str>, options: &StorageOptions) -> Result<Login> {
    let variable = |name: &str| options.environment.get(name);
    let Some(path) = config.or_else(|| variable("BOX_CONFIG_PATH")) else {
        return Err(Error::new(ErrorKind::Denied, "no credentials for box")
            .with_hint("set BOX_CONFIG_PATH to the configuration file of an app with a key pair"));
    };
    let path = match (path.strip_prefix("~/"), variable("HOME")) {
        (Some(rest), Some(home)) => Path::new(home).join(rest),
        _ => PathBuf::from(path),
    };
    let bytes = std::fs::read(&path).map_err(|e| Error::io("read", &path, e))?;
    let bytes = Zeroizing::new(bytes);
    let file: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let app = &file["boxAppSettings"];
    let text = |value: &Value| {
        value
            .as_str()
            .filter(|text| !text.is_empty())
            .map(str::to_string)
    };
    let auth = &app["appAuth"];
    let (Some(client), Some(secret), Some(enterprise), Some(key)) = (
        text(&app["clientID"]),
        text(&app["clientSecret"]),
        text(&file["enterpriseID"]),
        text(&auth["privateKey"]).map(Zeroizing::new),
    ) else {
        let text = format!(
            "{} is no configuration of an app with a key pair",
            path.display()
        );
        return Err(Error::new(ErrorKind::Usage, text));
    };
    let passphrase = text(&auth["passphrase"]).map(Secret::new);
    let signer = sealed_key::signer(&key, passphrase.as_ref(), auth["publicKeyID"].as_str());
    let signer = signer.map_err(|e| e.within(format!("cannot use {}", path.display())))?;
    let url = match options.setting("endpoint") {
        Some(server) => format!("{}/oauth2/token", server.trim_end_matches('/')),
        None => TOKENS.to_string(),
    };
    Ok(Login {
        url,
        grant: Box::new(App {
            client,
            secret: Secret::new(secret),
            enterprise,
            signer,
        }),
        hint: HINT,
    })
}
