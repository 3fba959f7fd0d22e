//! Answers the password prompt of `ssh`.
//!
//! `ssh` asks the program named by `SSH_ASKPASS`; that is dupr itself, started once more with the variable
//! [`VARIABLE`] in the environment of that one `ssh`. So the password is in no argv and in no file. `main` calls
//! [`answer`] before anything else when the variable is set.

use std::io::{self, Write};

/// Name of the variable that holds the password and marks a start as an askpass start.
pub const VARIABLE: &str = "DUPR_ASKPASS";

/// Writes the password to `out` if `prompt`, the first argument, asks for one. Returns the exit code.
///
/// A question of another kind, above all whether to trust an unknown host key, is refused: `ssh` takes the code 1
/// for "no".
pub fn answer(password: &[u8], prompt: &str, out: &mut dyn Write) -> i32 {
    let prompt = prompt.to_ascii_lowercase();
    let asks_password = prompt.contains("password") || prompt.contains("passphrase");
    if !asks_password || prompt.contains("yes/no") {
        return 1;
    }
    let written: io::Result<()> = out
        .write_all(password)
        .and_then(|()| out.write_all(b"\n"))
        .and_then(|()| out.flush());
    if written.is_ok() { 0 } else { 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_password_prompt_gets_the_password() {
        for (prompt, code) in [
            ("ada@nas's password: ", 0),
            ("(ada@nas) Password:", 0),
            ("Enter passphrase for key '/home/ada/.ssh/id_ed25519': ", 0),
            (
                "Are you sure you want to continue connecting (yes/no/[fingerprint])? ",
                1,
            ),
            (
                "The authenticity of host 'password.example' can't be established. Continue (yes/no)?",
                1,
            ),
            ("Confirm user presence for key ED25519-SK", 1),
            ("", 1),
        ] {
            let mut out = Vec::new();
            assert_eq!(answer(b"pw", prompt, &mut out), code, "{prompt}");
            assert_eq!(
                out,
                if code == 0 { b"pw\n".as_slice() } else { b"" },
                "{prompt}"
            );
        }
    }
}
