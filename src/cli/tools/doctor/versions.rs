//! The versions of dupr and of the programs a profile needs.

use super::Line;
use super::night::{needed, uses_gpg};
use crate::cli::session::Session;
use crate::engine::storage::version_of;
use crate::profile::Profile;

/// The oldest gpg that takes a passphrase without asking somebody.
const OLDEST_GPG: (u32, u32) = (2, 1);

/// A line with all of them.
pub(super) fn line(profile: &Profile, targets: &[Profile], session: &Session) -> Line {
    let mut told = vec![format!("dupr {}", env!("CARGO_PKG_VERSION"))];
    let mut seen: Vec<String> = Vec::new();
    for needed in needed(profile, targets) {
        if seen.contains(&needed.program) {
            continue;
        }
        // One that is missing is told where it is needed.
        if let Some(version) = version_of(&needed.program, &session.environment) {
            told.push(format!("{} {version}", needed.program));
        }
        seen.push(needed.program);
    }
    let gpg = profile.keys.gpg_program.display().to_string();
    let version = uses_gpg(profile).then(|| version_of(&gpg, &session.environment));
    if let Some(version) = version.flatten().filter(|v| is_old(v)) {
        let (major, minor) = OLDEST_GPG;
        let text = format!("{gpg} {version} is older than {major}.{minor}");
        let fix = "install GnuPG 2.2 or newer, or name it with gpg-program under [keys]";
        return Line::warn("versions", text, fix);
    }
    Line::ok("versions", told.join(", "))
}

/// Whether a version is too old; one that tells none is not.
fn is_old(version: &str) -> bool {
    let mut numbers = version
        .split('.')
        .map_while(|part| part.parse::<u32>().ok());
    match (numbers.next(), numbers.next()) {
        (Some(major), Some(minor)) => (major, minor) < OLDEST_GPG,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_versions_are_told_by_their_numbers() {
        for (version, old) in [
            ("1.4.23", true),
            ("2.0.30", true),
            ("2.1.0", false),
            ("2.2.40", false),
            ("of unknown version", false),
        ] {
            assert_eq!(is_old(version), old, "{version}");
        }
    }
}
