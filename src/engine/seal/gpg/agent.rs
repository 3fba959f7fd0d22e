//! The passphrase of whole messages from gpg's agent, which has it or asks for it with its own window.
//!
//! The program `gpg-connect-agent` carries question and answer. The agent remembers answers by a name, as long as its
//! settings say; `gpg-preset-passphrase` tells it one in advance.

use super::Gpg;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::secret::Secret;
use std::io::Write;
use std::process::{Command, Stdio};
use zeroize::Zeroizing;

/// What the agent does if it does not know the passphrase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asking {
    /// Nothing.
    Never,
    /// It asks once.
    Once,
    /// It asks twice: nothing else will tell a mistyped one.
    Twice,
}

/// The passphrase the agent knows by this name; `None` if it does not know it and is not to ask.
///
/// # Errors
/// `WrongKey` if nobody answers, `Unsupported` if there is no agent.
pub(in crate::engine::seal) fn passphrase(
    gpg: &Gpg,
    name: &str,
    asking: Asking,
) -> Result<Option<Secret>> {
    let options = match asking {
        Asking::Never => "--no-ask ",
        Asking::Once => "",
        Asking::Twice => "--repeat=1 ",
    };
    let question = format!(
        "GET_PASSPHRASE {options}{name} X Passphrase: Passphrase+of+the+backup+{name}\n/bye\n"
    );
    // It lies beside gpg, whichever that is.
    let beside = gpg.program.with_file_name("gpg-connect-agent");
    let mut command = Command::new(beside);
    if let Some(home) = &gpg.home {
        command.arg("--homedir").arg(home);
    }
    let mut child = command
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| {
            let error = Error::new(ErrorKind::Unsupported, "cannot run gpg-connect-agent");
            error.with_source(e).with_hint("install GnuPG's agent")
        })?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that is gone already says so below.
        let _ = stdin.write_all(question.as_bytes());
    }
    let output = child
        .wait_with_output()
        .map_err(|e| Error::from(e).within("cannot wait for gpg-connect-agent"))?;
    let said = Zeroizing::new(output.stdout);
    let said = Zeroizing::new(String::from_utf8_lossy(&said).into_owned());
    match answer(&said) {
        Some(secret) => Ok(Some(secret)),
        None if asking == Asking::Never => Ok(None),
        None => {
            let why = said.lines().find_map(|line| line.strip_prefix("ERR "));
            let text = format!(
                "gpg's agent has no passphrase {name}: {}",
                why.unwrap_or("no agent answers")
            );
            Err(Error::new(ErrorKind::WrongKey, text).with_hint(
                "set PASSPHRASE in the environment, or give the agent a pinentry that can ask",
            ))
        }
    }
}

/// The passphrase in the agent's answer, which is `OK` and its bytes in hexadecimal.
fn answer(said: &str) -> Option<Secret> {
    let hex = said.lines().find_map(|line| line.strip_prefix("OK "))?;
    let digits: Option<Vec<u8>> = hex
        .trim()
        .chars()
        .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect();
    let digits = Zeroizing::new(digits?);
    let bytes = digits.chunks_exact(2).map(|pair| match pair {
        [high, low] => high << 4 | low,
        _ => 0,
    });
    let secret = Secret::new(bytes.collect::<Vec<u8>>());
    (!secret.is_empty() && digits.len() % 2 == 0).then_some(secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_hexadecimal() {
        let secret = answer("OK 70C3A4 \n").expect("two letters");
        assert_eq!(secret.expose(), "pä".as_bytes());
        for none in ["", "OK\n", "OK 7\n", "OK zz\n", "ERR 67108922 No data\n"] {
            assert!(answer(none).is_none(), "{none}");
        }
    }
}
