//! Where secrets come from. A profile holds references; values are read when a run needs them.

use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::secret::Secret;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{MapAccess, Visitor, value};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// How long a program may take to print a secret: long enough for a person to unlock a key store.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(60);

/// Secrets longer than this are a mistake: a whole file named instead of a password.
const MAX_BYTES: u64 = 64 * 1024;

/// Where a secret comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretRef {
    /// The first line of a file that only its owner can read.
    File(PathBuf),
    /// A variable of the environment.
    Env(String),
    /// The first line a program prints; program and arguments, no shell.
    Command(Vec<String>),
    /// Asked for at the terminal, with this prompt.
    Prompt(String),
    /// A credential systemd hands to the service, by name.
    SystemdCredential(String),
    /// An entry of the desktop's keyring, by the value of its attribute `dupr`.
    Keyring(String),
    /// In the profile itself.
    Inline(Secret),
}

/// Asks a person for a secret; gets the prompt.
pub type Ask<'a> = &'a dyn Fn(&str) -> Result<Secret>;

impl SecretRef {
    /// The secret itself. `env` is the environment handed down; `ask` is called for a prompt only.
    ///
    /// Blocks for up to a minute on a program. Read it once a run and keep it.
    ///
    /// # Errors
    /// `Usage` with the place it should have come from, never with anything of its content.
    pub fn resolve(&self, env: &BTreeMap<String, String>, ask: Ask<'_>) -> Result<Secret> {
        let secret = match self {
            SecretRef::File(path) => from_file(path),
            SecretRef::Env(name) => match env.get(name) {
                Some(value) => Ok(Secret::new(value.as_bytes())),
                None => Err(Error::new(
                    ErrorKind::Usage,
                    format!("the environment has no variable {name}"),
                )
                .with_hint(format!(
                    "export {name}, or name another place for the secret in the profile"
                ))),
            },
            SecretRef::Command(argv) => from_command(argv, env, COMMAND_TIMEOUT),
            SecretRef::Prompt(prompt) => ask(prompt),
            SecretRef::SystemdCredential(name) => from_credential(name, env),
            SecretRef::Keyring(name) => from_keyring(name, env),
            SecretRef::Inline(secret) => Ok(secret.clone()),
        }?;
        if secret.is_empty() {
            return Err(
                Error::new(ErrorKind::Usage, format!("the secret from {self} is empty"))
                    .with_hint("its first line must hold the secret"),
            );
        }
        Ok(secret)
    }
}

/// The place, never the secret.
impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretRef::File(path) => write!(f, "file {}", path.display()),
            SecretRef::Env(name) => write!(f, "variable {name}"),
            // Only the program: arguments may hold something private.
            SecretRef::Command(argv) => {
                write!(f, "command {}", argv.first().map_or("", String::as_str))
            }
            SecretRef::Prompt(_) => f.write_str("prompt"),
            SecretRef::SystemdCredential(name) => write!(f, "systemd credential {name}"),
            SecretRef::Keyring(name) => write!(f, "entry {name} of the keyring"),
            SecretRef::Inline(_) => f.write_str("the profile"),
        }
    }
}

/// Why a file must not hold a secret: others can read it, or it is not there. `None` if all is well.
pub(super) fn file_trouble(path: &Path) -> Option<String> {
    let meta = match std::fs::metadata(path) {
        Ok(meta) => meta,
        Err(error) => return Some(format!("cannot read {}: {error}", path.display())),
    };
    if meta.is_dir() {
        return Some(format!("{} is a directory", path.display()));
    }
    // A group that belongs to one user alone has that user's number.
    let shared = if meta.gid() == meta.uid() {
        0o007
    } else {
        0o077
    };
    if meta.is_file() && meta.mode() & shared != 0 {
        return Some(format!(
            "others can read {} (mode {:04o})",
            path.display(),
            meta.mode() & 0o7777
        ));
    }
    None
}

/// What to do about such trouble.
pub(super) fn file_help(path: &Path) -> String {
    match std::fs::metadata(path) {
        Ok(meta) if meta.is_dir() => "name the file in it".to_owned(),
        Ok(_) => format!("chmod 600 {}", path.display()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            "write the secret into the first line of that file, and let nobody else read it (chmod 600)".to_owned()
        }
        Err(_) => "the user who runs dupr must be able to read that file".to_owned(),
    }
}

fn from_file(path: &Path) -> Result<Secret> {
    if let Some(trouble) = file_trouble(path) {
        let error = Error::new(ErrorKind::Usage, trouble);
        return Err(error.with_hint(file_help(path)));
    }
    let file = std::fs::File::open(path).map_err(|e| Error::io("open", path, e))?;
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(MAX_BYTES)
        .read_to_end(&mut bytes)
        .map_err(|e| Error::io("read", path, e))?;
    Ok(first_line(&bytes))
}

fn from_credential(name: &str, env: &BTreeMap<String, String>) -> Result<Secret> {
    let Some(dir) = env.get("CREDENTIALS_DIRECTORY") else {
        return Err(Error::new(
            ErrorKind::Usage,
            format!("no systemd credential {name}: this is no systemd service"),
        )
        .with_hint(format!("add LoadCredential={name}:… to the unit")));
    };
    if name.contains('/') || name.starts_with('.') {
        return Err(Error::new(
            ErrorKind::Usage,
            format!("{name:?} is not the name of a credential"),
        ));
    }
    let path = Path::new(dir).join(name);
    let file = std::fs::File::open(&path).map_err(|e| Error::io("open credential", &path, e))?;
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(MAX_BYTES)
        .read_to_end(&mut bytes)
        .map_err(|e| Error::io("read credential", &path, e))?;
    Ok(first_line(&bytes))
}

/// Asks the desktop's keyring by `secret-tool`. Without a session of its own, as under cron, the bus of the user's
/// session is asked, if there is one.
fn from_keyring(name: &str, env: &BTreeMap<String, String>) -> Result<Secret> {
    const BUS: &str = "DBUS_SESSION_BUS_ADDRESS";
    let mut env = env.clone();
    let bus = format!("/run/user/{}/bus", rustix::process::getuid().as_raw());
    if !env.contains_key(BUS) && Path::new(&bus).exists() {
        env.insert(BUS.to_owned(), format!("unix:path={bus}"));
    }
    let argv = ["secret-tool", "lookup", "dupr", name].map(str::to_owned);
    match capture(&argv, &env, COMMAND_TIMEOUT) {
        Ok(bytes) if !bytes.is_empty() => Ok(first_line(&bytes)),
        found => {
            let why = found.err().unwrap_or_else(|| "it is empty".to_owned());
            let text = format!("the keyring gave no entry {name}: secret-tool: {why}");
            let hint = format!(
                "store it with `secret-tool store --label='dupr {name}' dupr {name}` (Debian: libsecret-tools); the keyring \
                 must be unlocked"
            );
            Err(Error::new(ErrorKind::Usage, text).with_hint(hint))
        }
    }
}

fn from_command(
    argv: &[String],
    env: &BTreeMap<String, String>,
    timeout: Duration,
) -> Result<Secret> {
    let program = argv.first().map_or("", String::as_str);
    match capture(argv, env, timeout) {
        Ok(bytes) => Ok(first_line(&bytes)),
        Err(what) => {
            let text = format!("{program} gave no secret: {what}");
            let hint = format!("run {program} by hand as the same user, and look at what it needs");
            Err(Error::new(ErrorKind::Usage, text).with_hint(hint))
        }
    }
}

/// What a program prints, up to 64 KiB. Its messages go where those of the caller go.
///
/// # Errors
/// In words: it cannot be started, fails, or takes too long.
pub(super) fn capture(
    argv: &[String],
    env: &BTreeMap<String, String>,
    timeout: Duration,
) -> std::result::Result<Zeroizing<Vec<u8>>, String> {
    let (program, arguments) = argv.split_first().ok_or("the command is empty")?;
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(env)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| e.to_string())?;
    let stdout = child.stdout.take();
    let reader = std::thread::spawn(move || {
        let mut bytes = Zeroizing::new(Vec::new());
        let read = stdout.map(|out| out.take(MAX_BYTES).read_to_end(&mut bytes));
        (bytes, read)
    });
    let end = Instant::now() + timeout;
    let status = loop {
        match child.try_wait().map_err(|e| e.to_string())? {
            Some(status) => break status,
            None if Instant::now() >= end => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("no answer in {} seconds", timeout.as_secs()));
            }
            None => std::thread::sleep(Duration::from_millis(10)),
        }
    };
    if !status.success() {
        return Err(status.to_string());
    }
    // A child of the program may hold the pipe open; what it still prints is not waited for.
    while !reader.is_finished() {
        if Instant::now() >= end {
            return Err("its output does not end".to_owned());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    match reader.join() {
        Ok((bytes, Some(Ok(_)))) => Ok(bytes),
        _ => Err("its output could not be read".to_owned()),
    }
}

fn first_line(bytes: &[u8]) -> Secret {
    let line = bytes.split(|b| *b == b'\n').next().unwrap_or(b"");
    Secret::new(line.strip_suffix(b"\r").unwrap_or(line))
}

/// A secret as a profile may write it: a table with one place, or a text that is the secret itself.
#[derive(Clone, PartialEq)]
pub enum SecretEntry {
    /// A reference.
    Place(SecretTable),
    /// The secret itself; allowed with `allow-inline-secrets` only.
    Inline(Secret),
}

/// The places a secret may come from; exactly one is to be given.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct SecretTable {
    /// The first line of a file that only its owner can read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// A variable of the environment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env: Option<String>,
    /// The first line a program prints; no shell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// Asked for at the terminal, with this prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// A credential systemd hands to the service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub systemd_credential: Option<String>,
    /// An entry of the desktop's keyring, stored by `secret-tool store --label=NAME dupr NAME`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keyring: Option<String>,
}

impl fmt::Debug for SecretEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretEntry::Place(table) => table.fmt(f),
            SecretEntry::Inline(secret) => secret.fmt(f),
        }
    }
}

impl Serialize for SecretEntry {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match self {
            SecretEntry::Place(table) => table.serialize(serializer),
            SecretEntry::Inline(_) => serializer.serialize_str("***"),
        }
    }
}

impl<'de> Deserialize<'de> for SecretEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = SecretEntry;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table such as { file = \"/path\" }")
            }
            fn visit_str<E: serde::de::Error>(
                self,
                text: &str,
            ) -> std::result::Result<SecretEntry, E> {
                Ok(SecretEntry::Inline(Secret::new(text)))
            }
            fn visit_map<A: MapAccess<'de>>(
                self,
                map: A,
            ) -> std::result::Result<SecretEntry, A::Error> {
                SecretTable::deserialize(value::MapAccessDeserializer::new(map))
                    .map(SecretEntry::Place)
            }
        }
        deserializer.deserialize_any(V)
    }
}

impl JsonSchema for SecretEntry {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let table = generator.subschema_for::<SecretTable>();
        json_schema!({ "anyOf": [table, { "type": "string" }] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn nobody(_: &str) -> Result<Secret> {
        Err(Error::new(ErrorKind::Usage, "nobody is there"))
    }

    fn resolve(reference: &SecretRef) -> Result<Secret> {
        let env = BTreeMap::from([
            ("HOME_PASS".to_owned(), "canary".to_owned()),
            ("PATH".into(), "/usr/bin:/bin".into()),
        ]);
        reference.resolve(&env, &nobody)
    }

    #[test]
    fn each_place_gives_its_first_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pass");
        std::fs::write(&path, "canary\r\nsecond\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let command = ["printf", "canary\\nmore\\n"].map(str::to_owned).to_vec();
        for reference in [
            SecretRef::File(path),
            SecretRef::Env("HOME_PASS".into()),
            SecretRef::Command(command),
            SecretRef::Inline(Secret::new("canary")),
        ] {
            assert_eq!(
                resolve(&reference).unwrap().expose(),
                b"canary",
                "{reference:?}"
            );
            assert!(
                !format!("{reference} {reference:?}").contains("canary\""),
                "{reference:?}"
            );
        }
        let ask = |prompt: &str| Ok(Secret::new(format!("answer to {prompt}")));
        let secret = SecretRef::Prompt("key".into())
            .resolve(&BTreeMap::new(), &ask)
            .unwrap();
        assert_eq!(secret.expose(), b"answer to key");
    }

    #[test]
    fn a_file_others_can_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pass");
        std::fs::write(&path, "canary").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o604)).unwrap();
        let error = resolve(&SecretRef::File(path.clone())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert!(error.hint().unwrap().starts_with("chmod 600"));
    }

    #[test]
    fn trouble_names_the_place_and_not_the_content() {
        for (reference, text) in [
            (
                SecretRef::Env("ABSENT".into()),
                "the environment has no variable ABSENT",
            ),
            (
                SecretRef::Command(vec!["false".into()]),
                "false gave no secret: exit status: 1",
            ),
            (
                SecretRef::Inline(Secret::new("")),
                "the secret from the profile is empty",
            ),
            (SecretRef::Prompt("x".into()), "nobody is there"),
        ] {
            assert_eq!(resolve(&reference).unwrap_err().to_string(), text);
        }
    }

    #[test]
    fn a_program_that_hangs_is_ended() {
        let env = BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]);
        let argv = ["sleep".to_owned(), "30".to_owned()];
        let start = Instant::now();
        let error = from_command(&argv, &env, Duration::from_millis(50)).unwrap_err();
        assert!(error.to_string().contains("no answer"), "{error}");
        assert!(start.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn systemd_hands_over_a_file() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("pg"), "canary\n").unwrap();
        let env = BTreeMap::from([(
            "CREDENTIALS_DIRECTORY".to_owned(),
            dir.path().display().to_string(),
        )]);
        let get = |name: &str| SecretRef::SystemdCredential(name.into()).resolve(&env, &nobody);
        assert_eq!(get("pg").unwrap().expose(), b"canary");
        assert!(get("../pg").is_err() && get("other").is_err());
    }
}
