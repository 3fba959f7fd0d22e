//! `dupr unlock`: seals and opens a few bytes with the keys of a profile, so that gpg's agent learns their passphrases.

use crate::cli::args::OneProfile;
use crate::cli::session::Session;
use crate::cli::ui::out;
use crate::cli::{complain, exit, run};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::profile::{Encryption, Keyring, Profile, SecretRef};
use crate::report::format;
use crate::run::{keys, open};
use serde_json::json;

/// Tries, tells, and returns the exit code.
pub fn run(args: &OneProfile, session: &Session) -> u8 {
    let profile = match run::load(&args.profile, session) {
        Ok(profile) => profile,
        Err(code) => return code,
    };
    unlock(&profile, session).unwrap_or_else(|error| {
        let hint = "export GPG_TTY=$(tty), so that gpg's agent can ask at this terminal";
        match is_unseen(&error, &profile, session) {
            true => complain::error(&error.with_hint(hint), session),
            false => complain::error(&error, session),
        }
    })
}

fn unlock(profile: &Profile, session: &Session) -> Result<u8> {
    let secret = |reference: &SecretRef| session.secret(reference);
    let seal = open::seal(profile, &session.openers(&secret))?;
    let opens = keys::trial(&*seal)?;
    if session.common.json {
        out::json(&json!({
            "schema": 1, "code": exit::DONE, "profile": profile.name, "opens": opens,
            "encrypt-to": profile.keys.encrypt_to, "sign-with": profile.keys.sign_with,
        }));
    } else if !session.common.quiet {
        for line in told(profile, opens) {
            out::line(&format::safe(&line));
        }
    }
    Ok(exit::DONE)
}

/// A line for each thing that works.
fn told(profile: &Profile, opens: bool) -> Vec<String> {
    let (name, keys) = (&profile.name, &profile.keys);
    if keys.encryption == Encryption::None {
        return vec![format!("{name}: nothing to unlock, it is not encrypted")];
    }
    let mut lines = Vec::new();
    if let Some(key) = &keys.sign_with {
        lines.push(format!("{name}: signs with {key}"));
    }
    let to = keys.encrypt_to.join(", ");
    lines.push(match (to.as_str(), opens) {
        ("", _) => format!("{name}: opens with its passphrase"),
        (to, true) => format!("{name}: opens what is encrypted to {to}"),
        (to, false) => {
            format!("{name}: encrypts to {to}, whose secret key is not here: nothing to unlock")
        }
    });
    let by_agent = keys.sign_with.is_some() || (opens && !to.is_empty());
    if by_agent && keys.keyring == Keyring::Gnupg {
        lines.push(
            "gpg's agent has the passphrases now, for as long as its default-cache-ttl says".into(),
        );
    }
    lines
}

/// Whether nobody could be asked although somebody is there: gpg's agent finds a terminal by this variable alone.
fn is_unseen(error: &Error, profile: &Profile, session: &Session) -> bool {
    let world = &session.world;
    error.kind() == ErrorKind::WrongKey
        && profile.keys.passphrase.is_none()
        && world.terminal.input
        && world.variable("GPG_TTY").is_none()
}
