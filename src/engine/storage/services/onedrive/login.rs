//! Who asks at Microsoft: a user who has let a client in, as a refresh token tells.
//!
//! A new refresh token comes with each access token; the old one holds for some months. So the file the token is from is
//! written again, and read again before the next question: other runs renew it, too. Variables and file are duplicity's.

use super::super::oauth::{Form, Grant, Login};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::secret::Secret;
use crate::engine::storage::{Notices, StorageOptions};
use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use zeroize::Zeroizing;

const TOKENS: &str = "https://login.microsoftonline.com";
const HINT: &str = "a refresh token ends after 90 days without use, and when the password changes: let duplicity log in once \
     more, and check DUPLICITY_ONEDRIVE_TOKEN, or OAUTH2_CLIENT_ID and OAUTH2_REFRESH_TOKEN";

/// The client of duplicity, whose tokens the file holds.
// COMPAT(dup 0.8 to 3.2): DUPLICITY_ONEDRIVE_CLIENT_ID has this as default.
const CLIENT: &str = "1612f841-ae01-46ab-9535-43ba6ec04029";

struct User {
    client: String,
    tokens: Mutex<Tokens>,
    /// Where the token is kept, unless somebody else keeps it.
    file: Option<PathBuf>,
    notices: Notices,
}

/// The refresh token that is newest, and the one that was last seen in the file.
struct Tokens {
    newest: Secret,
    in_file: Option<Secret>,
}

/// The login the variables tell.
///
/// # Errors
/// `Denied` without one; `Usage` for a file without a refresh token; `Io` and the like if it cannot be read.
// COMPAT(dup 0.8 to 3.2): OAUTH2_CLIENT_ID with OAUTH2_REFRESH_TOKEN, else the file DUPLICITY_ONEDRIVE_TOKEN, else the one at home.
pub(super) fn of(options: &StorageOptions) -> Result<Login> {
    let variable = |name: &str| options.environment.get(name);
    let server = options.setting("endpoint").unwrap_or(TOKENS);
    let (client, refresh, file) = match (
        variable("OAUTH2_CLIENT_ID"),
        variable("OAUTH2_REFRESH_TOKEN"),
    ) {
        (Some(client), Some(token)) => (client, Secret::new(token), None),
        _ => {
            let path = file(options)?;
            let client = variable("DUPLICITY_ONEDRIVE_CLIENT_ID").unwrap_or(CLIENT);
            (client, kept(&path)?, Some(path))
        }
    };
    let tokens = Tokens {
        in_file: file.is_some().then(|| refresh.clone()),
        newest: refresh,
    };
    Ok(Login {
        url: format!("{}/common/oauth2/v2.0/token", server.trim_end_matches('/')),
        grant: Box::new(User {
            client: client.to_string(),
            tokens: Mutex::new(tokens),
            file,
            notices: options.notices.clone(),
        }),
        hint: HINT,
    })
}

/// Where the token is kept.
fn file(options: &StorageOptions) -> Result<PathBuf> {
    let variable = |name: &str| options.environment.get(name);
    let named =
        variable("DUPLICITY_ONEDRIVE_TOKEN").unwrap_or("~/.duplicity_onedrive_oauthtoken.json");
    let path = match (named.strip_prefix("~/"), variable("HOME")) {
        (Some(rest), Some(home)) => Path::new(home).join(rest),
        _ => PathBuf::from(named),
    };
    if path.is_file() {
        return Ok(path);
    }
    Err(Error::new(ErrorKind::Denied, "no credentials for onedrive").with_hint(
        "set OAUTH2_CLIENT_ID and OAUTH2_REFRESH_TOKEN, or DUPLICITY_ONEDRIVE_TOKEN to the file duplicity's login has left",
    ))
}

fn object(path: &Path) -> Result<Value> {
    let bytes = std::fs::read(path).map_err(|e| Error::io("read", path, e))?;
    let bytes = Zeroizing::new(bytes);
    serde_json::from_slice(&bytes).map_err(|_| {
        let text = format!("{} is not JSON", path.display());
        Error::new(ErrorKind::Usage, text)
    })
}

fn kept(path: &Path) -> Result<Secret> {
    let file = object(path)?;
    let token = file["refresh_token"].as_str().unwrap_or_default();
    if token.is_empty() {
        let text = format!("{} holds no refresh token", path.display());
        return Err(Error::new(ErrorKind::Usage, text));
    }
    Ok(Secret::new(token))
}

impl User {
    /// Writes the file again, as duplicity would have it: what came, over what was there.
    fn keep(&self, path: &Path, answer: &Value) -> Result<()> {
        let path = std::fs::canonicalize(path).map_err(|e| Error::io("find", path, e))?;
        let mut kept = object(&path)?;
        if let (Some(kept), Some(answer)) = (kept.as_object_mut(), answer.as_object()) {
            // It is of the token before.
            kept.remove("expires_at");
            kept.extend(answer.clone());
        }
        let text = Zeroizing::new(kept.to_string());
        let folder = path.parent().unwrap_or(Path::new("/"));
        // For its owner alone, as all temporary files are.
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(&path)
            .map_err(|e| Error::io("write", &path, e.error))?;
        Ok(())
    }
}

impl Grant for User {
    fn form(&self, _: i64) -> Result<Form> {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        // Another run, or duplicity, may have renewed it meanwhile, and the one that is held ends some day.
        if let Some(path) = &self.file
            && let Ok(there) = kept(path)
            && tokens.in_file.as_ref() != Some(&there)
        {
            tokens.newest = there.clone();
            tokens.in_file = Some(there);
        }
        Ok(vec![
            ("grant_type", Secret::new("refresh_token")),
            ("refresh_token", tokens.newest.clone()),
            ("client_id", Secret::new(self.client.as_str())),
        ])
    }

    fn granted(&self, answer: &Value) {
        let Some(token) = answer["refresh_token"]
            .as_str()
            .filter(|token| !token.is_empty())
        else {
            return;
        };
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.newest = Secret::new(token);
        let Some(path) = &self.file else {
            return;
        };
        match self.keep(path, answer) {
            Ok(()) => tokens.in_file = Some(tokens.newest.clone()),
            Err(error) => self.notices.tell(format!(
                "the new token of OneDrive could not be kept, the old one ends some day: {error}"
            )),
        }
    }
}
