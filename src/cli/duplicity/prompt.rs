//! Questions for passphrases: at the terminal without echo, else from standard input, as scripts feed them.

use super::fault::{Fault, Result};
use crate::cli::silence::Silence;
use crate::engine::secret::Secret;
use std::fs::File;
use std::io::{self, BufRead, IsTerminal, Write};

/// Exit code if there is nobody to answer.
const NOBODY: i32 = 30;

/// Asks for a passphrase.
///
/// # Errors
/// Nobody answers.
pub fn secret(prompt: &str) -> Result<Secret> {
    ask(
        prompt,
        "set PASSPHRASE in the environment, give --use-agent, or say --no-encryption",
    )
}

/// Asks for the password of a target.
///
/// # Errors
/// Nobody answers.
pub fn password(prompt: &str) -> Result<Secret> {
    ask(prompt, "set BACKEND_PASSWORD in the environment")
}

fn ask(prompt: &str, hint: &str) -> Result<Secret> {
    // COMPAT(dup all): Déjà Dup asks its user and tries again when it reads the name of this exception.
    let nobody = |why: &str| Fault {
        extra: "EOFError".into(),
        ..Fault::new(NOBODY, format!("no answer to \"{prompt}\": {why}")).with_hint(hint)
    };
    let is_terminal = io::stdin().is_terminal();
    if is_terminal && File::open("/dev/tty").is_ok() {
        let _silent = Silence::begin();
        let answer = rpassword::prompt_password(format!("{prompt} "));
        return answer.map(Secret::new).map_err(|e| nobody(&e.to_string()));
    }
    // A terminal that does not control this program: front ends start it so.
    let silent = is_terminal.then(Silence::begin);
    let _ = write!(io::stderr(), "{prompt} ");
    let mut line = String::new();
    let read = io::stdin().lock().read_line(&mut line);
    drop(silent);
    let _ = writeln!(io::stderr());
    match read {
        Ok(0) => Err(nobody("standard input is at its end")),
        Ok(_) => {
            let line = line.strip_suffix('\n').unwrap_or(&line);
            Ok(Secret::new(line.strip_suffix('\r').unwrap_or(line)))
        }
        Err(e) => Err(nobody(&e.to_string())),
    }
}

/// Asks for a new secret, twice until both answers are the same.
///
/// # Errors
/// Nobody answers.
pub fn new_secret(prompt: &str, again: &str, differ: &dyn Fn()) -> Result<Secret> {
    loop {
        let first = secret(prompt)?;
        if first.expose() == secret(again)?.expose() {
            return Ok(first);
        }
        differ();
    }
}
