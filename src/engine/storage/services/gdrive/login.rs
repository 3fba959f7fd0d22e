//! Who asks at Google: a service account, which signs for itself, or a user, whose refresh token somebody has got before.
//!
//! Variables and files are duplicity's. Those of `gdrive` come first for `gdrive://`, those of `pydrive` for its other names.

use super::super::oauth::Login;
use super::super::oauth::assertion::Signer;
use super::super::oauth::google::{self, AccountKey, object, read, text};
use super::pickle;
use super::{Account, Place};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::secret::Secret;
use crate::engine::storage::StorageOptions;
use serde_json::Value;

const SCOPE: &str = "https://www.googleapis.com/auth/drive";

const HINT_ACCOUNT: &str = "check the key of the service account, and whether its project may use the Drive API and its \
     account the folder";
const HINT_USER: &str = "check the client and its refresh token; a refresh token is withdrawn when the password changes, or \
     after a week while the client is in its test phase";

/// What the variables say; `None` if they say nothing.
type Found = Result<Option<Login>>;

/// The first login there is.
///
/// # Errors
/// `Denied` without one; `Usage` for files that hold none, and for one of somebody else than the URL names; `Io` and the like
/// if a file cannot be read.
pub(super) fn of(place: &Place<'_>, options: &StorageOptions) -> Result<Login> {
    let mut ways: [fn(&Place<'_>, &StorageOptions) -> Found; 5] = [
        service_file,
        client_and_credentials,
        account_key,
        settings_file,
        secrets_and_credentials,
    ];
    if place.account.is_loose {
        ways.rotate_left(2);
    }
    for way in ways {
        if let Some(login) = way(place, options)? {
            return Ok(login);
        }
    }
    Err(Error::new(ErrorKind::Denied, "no credentials for gdrive")
        .with_hint("set GOOGLE_SERVICE_JSON_FILE to the file with the key of a service account"))
}

/// Where tokens are given out, unless a file says so.
fn tokens(options: &StorageOptions) -> String {
    match options.setting("endpoint") {
        Some(server) => format!("{}/token", server.trim_end_matches('/')),
        None => google::TOKENS.to_string(),
    }
}

/// The key of a service account, as the console gives it.
// COMPAT(dup 0.8 to 3.2): GOOGLE_SERVICE_JSON_FILE; the account must be the one in the URL.
fn service_file(place: &Place<'_>, options: &StorageOptions) -> Found {
    let Some(path) = options.environment.get("GOOGLE_SERVICE_JSON_FILE") else {
        return Ok(None);
    };
    let key = AccountKey::of(path, &object(path)?)?;
    fits(place.account, &key.email, path)?;
    Ok(Some(key.login(|| tokens(options), SCOPE, HINT_ACCOUNT)))
}

/// A client, and what duplicity keeps of the user who let it in.
// COMPAT(dup 1.0 to 3.2): GOOGLE_CLIENT_SECRET_JSON_FILE and GOOGLE_CREDENTIALS_FILE; the client must be the one in the URL.
fn client_and_credentials(place: &Place<'_>, options: &StorageOptions) -> Found {
    two_files("GOOGLE_CLIENT_SECRET_JSON_FILE", place, options)
}

/// The same as PyDrive has them.
// COMPAT(dup 0.8 to 3.2): GOOGLE_SECRETS_FILE and GOOGLE_CREDENTIALS_FILE.
fn secrets_and_credentials(place: &Place<'_>, options: &StorageOptions) -> Found {
    two_files("GOOGLE_SECRETS_FILE", place, options)
}

fn two_files(name: &str, place: &Place<'_>, options: &StorageOptions) -> Found {
    let variable = |name: &str| options.environment.get(name);
    let (Some(of_client), Some(kept)) = (variable(name), variable("GOOGLE_CREDENTIALS_FILE"))
    else {
        return Ok(None);
    };
    let file = object(of_client)?;
    let inner = file.get("installed").or_else(|| file.get("web"));
    let inner = inner.unwrap_or(&file);
    let Some(id) = text(inner, "client_id") else {
        return Err(usage(format!("{of_client} holds no client")));
    };
    fits(place.account, id, of_client)?;
    let mut kept = Kept::of(kept)?;
    kept.client = Some(id.to_string());
    kept.secret = text(inner, "client_secret").map(Secret::new);
    kept.tokens = text(inner, "token_uri").map(str::to_string);
    kept.login(options).map(Some)
}

/// A key alone; the URL names the account.
// COMPAT(dup 0.7 to 3.2): GOOGLE_DRIVE_ACCOUNT_KEY is the key itself, in PEM.
fn account_key(place: &Place<'_>, options: &StorageOptions) -> Found {
    let Some(key) = options.environment.get("GOOGLE_DRIVE_ACCOUNT_KEY") else {
        return Ok(None);
    };
    let signer = Signer::of_pem(key.as_bytes(), None);
    let signer = signer.map_err(|e| e.within("cannot use GOOGLE_DRIVE_ACCOUNT_KEY"))?;
    let email = place.account.id.to_string();
    let url = tokens(options);
    Ok(Some(google::robot(email, signer, url, SCOPE, HINT_ACCOUNT)))
}

/// The settings of PyDrive: a client, and where the user's credentials are kept.
// COMPAT(dup 0.7 to 3.2): GOOGLE_DRIVE_SETTINGS is YAML; of the form its manual shows, which has a name and a value in each
// line, the lines that count are read.
fn settings_file(_: &Place<'_>, options: &StorageOptions) -> Found {
    let Some(path) = options.environment.get("GOOGLE_DRIVE_SETTINGS") else {
        return Ok(None);
    };
    let bytes = read(path)?;
    let lines = String::from_utf8_lossy(&bytes);
    let value = |name: &str| {
        let mut lines = lines.lines().filter_map(|line| line.split_once(':'));
        let (_, value) = lines.find(|(found, _)| found.trim() == name)?;
        let value = value.trim().trim_matches(['"', '\'']);
        Some(value.to_string()).filter(|value| !value.is_empty())
    };
    let (Some(client), Some(file)) = (value("client_id"), value("save_credentials_file")) else {
        let text = format!("{path} lacks client_id or save_credentials_file");
        return Err(usage(text));
    };
    let mut kept = Kept::of(&file)?;
    kept.client = Some(client);
    kept.secret = value("client_secret").map(Secret::new);
    kept.login(options).map(Some)
}

/// What a login somebody made before has left.
struct Kept {
    path: String,
    refresh: Secret,
    client: Option<String>,
    secret: Option<Secret>,
    tokens: Option<String>,
}

impl Kept {
    /// Reads what duplicity, PyDrive or Google's own tool has kept: JSON, or objects of Python's.
    fn of(path: &str) -> Result<Self> {
        let bytes = read(path)?;
        let file = serde_json::from_slice::<Value>(&bytes).ok();
        let pickled = match file {
            Some(_) => Default::default(),
            None => pickle::attributes(&bytes),
        };
        let get = |name: &str| match &file {
            Some(file) => text(file, name).map(str::to_string),
            None => pickled.get(&format!("_{name}")).cloned(),
        };
        let Some(refresh) = get("refresh_token") else {
            let error = usage(format!("{path} holds no refresh token"));
            return Err(error.with_hint(
                "dupr logs in nobody: let duplicity or another program do it once, or use a service account",
            ));
        };
        Ok(Self {
            path: path.to_string(),
            refresh: Secret::new(refresh),
            client: get("client_id"),
            secret: get("client_secret").map(Secret::new),
            tokens: get("token_uri"),
        })
    }

    fn login(self, options: &StorageOptions) -> Result<Login> {
        let Some(client) = self.client else {
            return Err(usage(format!("{} names no client", self.path)));
        };
        let url = self.tokens.unwrap_or_else(|| tokens(options));
        let client = (client, self.secret);
        Ok(google::user(client, self.refresh, url, HINT_USER))
    }
}

/// Whether a file is of whom the URL names. Hosts have no case, so nothing here has one.
fn fits(account: &Account, id: &str, path: &str) -> Result<()> {
    if account.is_loose || account.id.eq_ignore_ascii_case(id) {
        return Ok(());
    }
    let text = format!("{path} is of {id}, and the URL names {}", account.id);
    let error = Error::new(ErrorKind::Usage, text);
    Err(error.with_hint(format!("write gdrive://{id}/FOLDER")))
}

fn usage(text: impl Into<String>) -> Error {
    Error::new(ErrorKind::Usage, text)
}
