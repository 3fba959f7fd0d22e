//! Volumes that lie in an archive: what must be fetched from there is told at once, not one volume after the other.

use crate::engine::error::{Error, ErrorKind};
use crate::engine::storage::{Rest, Storage};

/// As many names as somebody reads; `dupr thaw` shows them all.
const MOST_NAMES: usize = 20;

/// As many volumes as the service is asked about: each is a request, and an error should not take minutes.
const MOST_ASKED: usize = 200;

/// Says of a volume that could not be fetched, if that is because it lies in an archive, which others that are `to_come` lie
/// there too. Asks the service of each, which an error of another kind is not worth.
pub(super) fn explain<'n>(
    error: Error,
    storage: &dyn Storage,
    failed: &'n str,
    to_come: impl FnOnce() -> Vec<&'n str>,
) -> Error {
    let is_another = matches!(
        error.kind(),
        ErrorKind::Corrupt
            | ErrorKind::NotFound
            | ErrorKind::Interrupted
            | ErrorKind::Unreachable
            | ErrorKind::RateLimited
            | ErrorKind::Full
            | ErrorKind::Internal
    );
    if is_another {
        return error;
    }
    // Why it failed is worth more than why that could not be looked up.
    let rest = |name: &str| storage.rest(name).unwrap_or(Rest::AtHand);
    let (mut archived, mut ordered) = (Vec::new(), Vec::new());
    let mut sort = |name: &'n str, rest: Rest| match rest {
        Rest::Archived => archived.push(name),
        Rest::Ordered => ordered.push(name),
        Rest::AtHand => {}
    };
    match rest(failed) {
        Rest::AtHand => return error,
        cold => sort(failed, cold),
    }
    let to_come = to_come();
    for name in to_come.iter().take(MOST_ASKED) {
        sort(name, rest(name));
    }
    archived.sort_unstable();
    ordered.sort_unstable();
    let mut told = Vec::new();
    if !archived.is_empty() {
        told.push(format!("in the archive: {}", list(&archived)));
    }
    if !ordered.is_empty() {
        told.push(format!("ordered from it: {}", list(&ordered)));
    }
    if to_come.len() > MOST_ASKED {
        let more = to_come.len() - MOST_ASKED;
        told.push(format!("{more} more were not looked at"));
    }
    let hint = if archived.is_empty() {
        "they are on their way: `dupr thaw PROFILE --plan` says when all are at hand"
    } else {
        "`dupr thaw PROFILE` orders what a restore needs"
    };
    Error::new(
        error.kind(),
        format!(
            "volumes that are needed are not at hand: {}",
            told.join("; ")
        ),
    )
    .with_source(error)
    .with_hint(hint)
}

fn list(names: &[&str]) -> String {
    let shown: Vec<&str> = names.iter().take(MOST_NAMES).copied().collect();
    let more = match names.len().saturating_sub(MOST_NAMES) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{}{more}", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::error::Result;
    use crate::engine::storage::{Location, Object};
    use std::io::Write;
    use std::path::Path;

    /// Objects lie as their names say.
    struct Cold(Location);

    impl Storage for Cold {
        fn location(&self) -> &Location {
            &self.0
        }
        fn list(&self) -> Result<Vec<Object>> {
            Ok(Vec::new())
        }
        fn stat(&self, _: &str) -> Result<Option<Object>> {
            Ok(None)
        }
        fn get(&self, _: &str, _: &mut dyn Write) -> Result<u64> {
            Ok(0)
        }
        fn put(&self, _: &str, _: &Path) -> Result<()> {
            Ok(())
        }
        fn delete(&self, _: &str) -> Result<()> {
            Ok(())
        }
        fn rest(&self, name: &str) -> Result<Rest> {
            match name.chars().next() {
                Some('a') => Ok(Rest::Archived),
                Some('o') => Ok(Rest::Ordered),
                Some('x') => Err(Error::new(ErrorKind::Denied, "not to be looked at")),
                _ => Ok(Rest::AtHand),
            }
        }
    }

    fn told(kind: ErrorKind, failed: &str, others: &[&str]) -> Error {
        let storage = Cold(Location::masked("cold"));
        let error = Error::new(kind, "refused").with_hint("a hint");
        explain(error, &storage, failed, || others.to_vec())
    }

    #[test]
    fn all_that_is_cold_is_named_at_once() {
        let error = told(ErrorKind::Denied, "a2", &["h", "o1", "a1", "x"]);
        assert_eq!(error.kind(), ErrorKind::Denied);
        assert_eq!(
            error.to_string(),
            "volumes that are needed are not at hand: in the archive: a1, a2; ordered from it: o1: refused"
        );
        assert!(
            error
                .hint()
                .is_some_and(|h| h.contains("dupr thaw PROFILE`"))
        );
        let error = told(ErrorKind::Io, "o1", &["h"]);
        assert!(!error.to_string().contains("in the archive"), "{error}");
        assert!(error.hint().is_some_and(|h| h.contains("--plan")));
        let names: Vec<String> = (0..30).map(|n| format!("a{n:02}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let text = told(ErrorKind::Denied, "a99", &names).to_string();
        assert!(text.contains("a19 and 11 more"), "{text}");
        assert!(!text.contains("looked at"), "{text}");
        let names: Vec<String> = (0..250).map(|n| format!("a{n:03}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let text = told(ErrorKind::Denied, "a999", &names).to_string();
        assert!(
            text.contains("and 181 more; 50 more were not looked at"),
            "{text}"
        );
    }

    #[test]
    fn another_error_stays_as_it_is() {
        for (kind, failed) in [
            (ErrorKind::Denied, "h"),
            (ErrorKind::Denied, "x"),
            (ErrorKind::Corrupt, "a"),
            (ErrorKind::Unreachable, "a"),
        ] {
            let error = told(kind, failed, &["a1"]);
            assert_eq!(error.to_string(), "refused", "{kind:?} {failed}");
            assert_eq!(error.hint(), Some("a hint"));
        }
    }
}
