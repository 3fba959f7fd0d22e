//! Names of objects, and the names a service uses while an object is not whole yet.
//!
//! A temp name must not start with a word of the format: duplicity's parser takes `….vol1.difftar.tmp` for volume 1.
//! So all temp names are `.dupr-<random>.tmp`. They are never listed.

use crate::engine::error::{Error, ErrorKind, Result};
use std::hash::{BuildHasher, RandomState};

const PREFIX: &str = ".dupr-";
const SUFFIX: &str = ".tmp";

/// # Errors
/// `Usage` for a name that is not one plain component, or is a temp name.
pub(super) fn check(name: &str) -> Result<()> {
    if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) || is_temp(name)
    {
        return Err(Error::new(
            ErrorKind::Usage,
            format!("{name:?} cannot be the name of an object"),
        ));
    }
    Ok(())
}

/// A temp name that nobody else uses.
pub(super) fn temp() -> String {
    format!("{PREFIX}{:016x}{SUFFIX}", random())
}

/// Whether dupr made this name by [`temp`].
pub(super) fn is_temp(name: &str) -> bool {
    name.strip_prefix(PREFIX)
        .and_then(|rest| rest.strip_suffix(SUFFIX))
        .is_some_and(|random| random.len() == 16 && random.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// A number that differs with every call; good against collisions, not against guessing.
pub(super) fn random() -> u64 {
    RandomState::new().hash_one(std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temp_names_are_known_and_differ() {
        let (a, b) = (temp(), temp());
        assert!(is_temp(&a) && is_temp(&b));
        assert_ne!(a, b);
        assert!(!is_temp(".dupr-notes.tmp"));
        assert!(!is_temp("duplicity-full.20261120T000000Z.manifest"));
    }

    #[test]
    fn a_name_is_one_component() {
        for bad in [
            "",
            ".",
            "..",
            "a/b",
            "/",
            "a\0",
            ".dupr-0123456789abcdef.tmp",
        ] {
            assert_eq!(check(bad).expect_err(bad).kind(), ErrorKind::Usage);
        }
        for good in ["a", "...", "-x", "a b", "é", "%2F", "#?"] {
            check(good).expect(good);
        }
    }
}
