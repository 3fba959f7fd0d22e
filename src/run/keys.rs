//! The keys of a profile, asked of gpg: who they are, whether the secret ones are here, how they get out, and whether they
//! can be used right now.

use super::program::Program;
use crate::engine::context::Cancel;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::seal::Seal;
use crate::engine::secret::Secret;
use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long gpg may take; its agent may ask somebody.
const PATIENCE: Duration = Duration::from_secs(300);

/// A key as gpg knows it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct KnownKey {
    /// Of its primary key, in hexadecimal digits.
    pub fingerprint: String,
    /// Its names.
    pub names: Vec<String>,
    /// Whether its secret part is here.
    pub has_secret: bool,
}

fn gpg(program: &Path, words: &[&str], input: Option<Secret>) -> std::io::Result<String> {
    let mut argv = vec![program.display().to_string(), "--batch".to_owned()];
    argv.extend(words.iter().map(|w| (*w).to_owned()));
    let program = Program {
        argv,
        input,
        timeout: Some(PATIENCE),
        may_be_empty: true,
        ..Program::default()
    };
    program.answer(&Cancel::new())
}

/// The key somebody means: by fingerprint, id or mail address.
///
/// # Errors
/// `Usage` if gpg knows none.
pub fn find(program: &Path, name: &str) -> Result<KnownKey> {
    let listing = gpg(program, &["--with-colons", "--list-keys", "--", name], None)
        .map_err(|e| Error::new(ErrorKind::Usage, e.to_string()).within(format!("key {name}")))?;
    let mut key = parse(&listing).ok_or_else(|| {
        Error::new(ErrorKind::Usage, format!("gpg knows no key {name}"))
            .with_hint("`gpg --list-keys` shows those it knows")
    })?;
    let secret = [
        "--with-colons",
        "--list-secret-keys",
        "--",
        &key.fingerprint,
    ];
    // gpg fails if there is none.
    key.has_secret = gpg(program, &secret, None).is_ok_and(|text| text.starts_with("sec:"));
    Ok(key)
}

/// The first key of a listing in gpg's colon format, which doc/DETAILS of GnuPG describes.
fn parse(listing: &str) -> Option<KnownKey> {
    let mut key: Option<KnownKey> = None;
    for line in listing.lines() {
        let mut fields = line.split(':');
        let kind = fields.next().unwrap_or_default();
        let text = fields.nth(8).unwrap_or_default();
        match (kind, &mut key) {
            ("pub", Some(_)) => break,
            ("fpr", none @ None) => {
                *none = Some(KnownKey {
                    fingerprint: text.to_owned(),
                    names: Vec::new(),
                    has_secret: false,
                });
            }
            ("uid", Some(key)) => key.names.push(text.replace("\\x3a", ":")),
            _ => {}
        }
    }
    key
}

/// Whether a passphrase keeps the secret parts of a key; `None` if none is here, or gpg's agent does not tell.
pub fn is_locked(program: &Path, name: &str) -> Option<bool> {
    let words = [
        "--with-colons",
        "--with-keygrip",
        "--list-secret-keys",
        "--",
        name,
    ];
    let listing = gpg(program, &words, None).ok()?;
    let grips = listing.lines().filter(|line| line.starts_with("grp:"));
    let grips = grips.filter_map(|line| line.split(':').nth(9));
    let question: String = grips.map(|grip| format!("KEYINFO {grip}\n")).collect();
    // It lies beside gpg, whichever that is.
    let beside = program.with_file_name("gpg-connect-agent");
    let agent = Program {
        argv: vec![beside.display().to_string()],
        input: Some(Secret::new(question.into_bytes())),
        timeout: Some(PATIENCE),
        may_be_empty: true,
        ..Program::default()
    };
    protection(&agent.answer(&Cancel::new()).ok()?)
}

/// What the agent says of keys, as `help KEYINFO` describes it: `P` stands for a passphrase, `C` for none.
fn protection(said: &str) -> Option<bool> {
    let lines = said
        .lines()
        .filter_map(|line| line.strip_prefix("S KEYINFO "));
    let words = lines.filter_map(|line| line.split(' ').nth(5));
    let known: Vec<&str> = words.filter(|word| ["P", "C"].contains(word)).collect();
    (!known.is_empty()).then(|| known.contains(&"P"))
}

/// Writes secret keys, as they are protected in the keyring, to a new file that only its owner can read.
///
/// # Errors
/// gpg does not give them out; the file exists already or cannot be written.
pub fn export(
    program: &Path,
    keys: &[KnownKey],
    passphrase: Option<Secret>,
    to: &Path,
) -> Result<()> {
    let mut words = vec!["--armor"];
    if passphrase.is_some() {
        words.extend(["--pinentry-mode", "loopback", "--passphrase-fd", "0"]);
    }
    words.extend(["--export-secret-keys", "--"]);
    words.extend(keys.iter().map(|key| key.fingerprint.as_str()));
    let secrets = gpg(program, &words, passphrase)
        .map_err(|e| Error::new(ErrorKind::WrongKey, e.to_string()))?;
    let secrets = zeroize::Zeroizing::new(secrets);
    if !secrets.starts_with("-----BEGIN PGP PRIVATE KEY BLOCK-----") {
        return Err(
            Error::new(ErrorKind::WrongKey, "gpg gave out no secret key")
                .with_hint("the keys may be on a card, which never gives them out"),
        );
    }
    let write = |to: &Path| {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(to)?;
        file.write_all(secrets.as_bytes())?;
        file.sync_all()
    };
    write(to).map_err(|e| Error::io("write", to, e))
}

/// Bytes that a trial seals.
const SAMPLE: &[u8] = b"a trial of the keys of a backup";

/// Seals a few bytes as every file of a backup is, and opens them again, all in memory. Keys that are locked are asked for, and
/// stay open for as long as gpg's agent keeps them. Returns whether what is sealed can be opened here at all.
///
/// # Errors
/// `WrongKey` if a passphrase is wrong or nobody gives one.
pub fn trial(seal: &dyn Seal) -> Result<bool> {
    let memory = Memory::default();
    let form = seal.form();
    let sealed = || {
        let mut writer = seal.seal(form, Box::new(memory.clone()))?;
        writer.write_all(SAMPLE)?;
        writer.finish()
    };
    sealed().map_err(|e: Error| e.within("cannot seal"))?;
    if !seal.can_read_back() {
        return Ok(false);
    }
    let opened = || {
        let mut read = Vec::new();
        seal.unseal(form, Box::new(io::Cursor::new(memory.take())))?
            .read_to_end(&mut read)?;
        Ok(read)
    };
    let read = opened().map_err(|e: Error| e.within("cannot open what was sealed"))?;
    if read != SAMPLE {
        let text = "what was sealed opens as something else";
        return Err(Error::new(ErrorKind::Corrupt, text));
    }
    Ok(true)
}

/// A sealed file that is nowhere else.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl Memory {
    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_agent_says_of_protection_is_understood() {
        let line = |word: &str| format!("S KEYINFO 0A1B D - - - {word} - - -\nOK\n");
        assert_eq!(protection(&line("P")), Some(true));
        assert_eq!(protection(&line("C")), Some(false));
        assert_eq!(protection(&(line("C") + &line("P"))), Some(true));
        assert_eq!(protection("ERR 67108891 Not found <GPG Agent>\n"), None);
    }

    #[test]
    fn the_primary_key_and_all_names_are_found() {
        let listing = "tru::1:1:0\npub:u:255:22:AAAA:1:::u:::scESC::::::23::0:\nfpr:::::::::F1:\nuid:u::::1::H::Ada <ada@x>::::::::::0:\n\
                       uid:u::::1::H::second\\x3a::::::::::0:\nsub:u:255:18:BBBB:1::::::e::::::23:\nfpr:::::::::F2:\npub:u:255:22:CCCC:1:\nfpr:::::::::F3:\n";
        let key = parse(listing).unwrap();
        assert_eq!(key.fingerprint, "F1");
        assert_eq!(key.names, ["Ada <ada@x>", "second:"]);
        assert_eq!(parse("tru::1\n"), None);
    }
}
