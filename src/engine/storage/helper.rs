//! Programs some services cannot do without: are they installed, and which version?

use super::options::Environment;
use std::process::{Command, Stdio};

/// The version of a helper program, as it tells it itself; `None` if it cannot be started.
pub fn version_of(program: &str, environment: &Environment) -> Option<String> {
    // ssh alone has its version behind a short option, and writes it to standard error.
    let option = if program == "ssh" { "-V" } else { "--version" };
    let output = Command::new(program)
        .arg(option)
        .env_clear()
        .envs(environment.for_helpers())
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let said = [output.stdout, output.stderr].concat();
    Some(version_in(&String::from_utf8_lossy(&said)).unwrap_or_else(|| "of unknown version".into()))
}

/// The first word of the first line that looks like a version: `OpenSSH_9.2p1`, `v1.60.1`, `3.2.7`.
fn version_in(said: &str) -> Option<String> {
    let mut words = said.lines().next()?.split([' ', ',']);
    let is_version = |word: &&str| {
        word.contains('.') && word.bytes().any(|b| b.is_ascii_digit()) && word.len() < 40
    };
    let word = words.find(is_version)?;
    let version = word.trim_start_matches("OpenSSH_").trim_start_matches('v');
    Some(version.chars().filter(|c| !c.is_control()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_programs_say() {
        for (said, version) in [
            (
                "OpenSSH_9.2p1 Debian-2+deb12u6, OpenSSL 3.0.17",
                Some("9.2p1"),
            ),
            (
                "rclone v1.60.1-DEV\n- os/version: debian",
                Some("1.60.1-DEV"),
            ),
            ("rsync  version 3.2.7  protocol version 31", Some("3.2.7")),
            ("nothing to see", None),
            ("", None),
        ] {
            assert_eq!(version_in(said).as_deref(), version, "{said}");
        }
    }

    #[test]
    fn a_missing_program_has_no_version() {
        assert_eq!(version_of("no-such-program", &Environment::default()), None);
    }
}
