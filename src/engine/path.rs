//! Paths inside a backup: raw bytes, relative to the source, in *the* order of the engine.
//!
//! Every stream of the engine is sorted by [`PathIndex`]. See docs/format.md, "Order of entries".

use std::cmp::Ordering;
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A path relative to the source, as raw bytes: `home/ada/notes`. Empty for the source itself.
///
/// Ordered by component, not by byte: `a`, `a/x`, `a.b`. Byte order would put `a.b` before `a/x` and
/// break every merge in the engine. Since no name contains `/`, comparing bytes with `/` taken as the
/// smallest of all gives exactly this order.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct PathIndex(Box<[u8]>);

/// Why bytes are not a [`PathIndex`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// The path starts with `/`.
    #[error("path is absolute")]
    Absolute,
    /// A component is empty, `.` or `..`.
    #[error("path has a component that is empty, \".\" or \"..\"")]
    BadComponent,
    /// A NUL byte, which no file name can hold.
    #[error("path has a NUL byte")]
    Nul,
}

impl PathIndex {
    /// The source itself.
    pub fn root() -> Self {
        Self::default()
    }

    /// Checks bytes as found in an archive or on a command line. One trailing `/` is dropped.
    ///
    /// # Errors
    /// Absolute paths, empty, `.` and `..` components and NUL bytes are refused: such a path could lead
    /// out of a restore directory.
    pub fn new(bytes: &[u8]) -> Result<Self, PathError> {
        let bytes = bytes.strip_suffix(b"/").unwrap_or(bytes);
        if bytes.is_empty() {
            return Ok(Self::root());
        }
        if bytes[0] == b'/' {
            return Err(PathError::Absolute);
        }
        if bytes.contains(&0) {
            return Err(PathError::Nul);
        }
        if bytes
            .split(|b| *b == b'/')
            .any(|c| c.is_empty() || c == b"." || c == b"..")
        {
            return Err(PathError::BadComponent);
        }
        Ok(Self(bytes.into()))
    }

    /// This path with one more component. `name` comes from a directory listing, so it holds no `/`.
    pub fn join(&self, name: &[u8]) -> Self {
        if self.is_root() {
            return Self(name.into());
        }
        let mut bytes = Vec::with_capacity(self.0.len() + 1 + name.len());
        bytes.extend_from_slice(&self.0);
        bytes.push(b'/');
        bytes.extend_from_slice(name);
        Self(bytes.into())
    }

    /// The directory that holds this path; `None` for the root.
    pub fn parent(&self) -> Option<Self> {
        if self.is_root() {
            return None;
        }
        let end = self.0.iter().rposition(|b| *b == b'/').unwrap_or(0);
        Some(Self(self.0[..end].into()))
    }

    /// The last component; `None` for the root.
    pub fn file_name(&self) -> Option<&[u8]> {
        self.0
            .rsplit(|b| *b == b'/')
            .next()
            .filter(|n| !n.is_empty())
    }

    /// Sorts after every path a file system or archive can hold.
    pub(crate) fn after_all() -> Self {
        Self([0xff; 8].into())
    }

    /// Raw bytes, components separated by `/`; empty for the root.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// As a relative [`Path`]; empty for the root.
    pub fn as_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.0))
    }

    /// Whether this is the source itself.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Components, outermost first; none for the root.
    pub fn components(&self) -> impl Iterator<Item = &[u8]> {
        self.0.split(|b| *b == b'/').filter(|c| !c.is_empty())
    }

    /// Whether `self` is `other` or lies below it.
    pub fn is_within(&self, other: &Self) -> bool {
        other.is_root()
            || (self.0.starts_with(&other.0)
                && (self.0.len() == other.0.len() || self.0[other.0.len()] == b'/'))
    }

    /// What is left of `self` below `base`; `None` if it does not lie there.
    pub fn relative_to(&self, base: &Self) -> Option<Self> {
        if !self.is_within(base) {
            return None;
        }
        if base.is_root() {
            return Some(self.clone());
        }
        let rest = &self.0[base.0.len()..];
        Some(Self(rest.strip_prefix(b"/").unwrap_or(rest).into()))
    }
}

/// The order of two paths that are only bytes yet.
pub(crate) fn compare(a: &[u8], b: &[u8]) -> Ordering {
    let common = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    // `/` sorts before every byte of a name, and the end of a path before `/`.
    let rank = |p: &[u8]| {
        p.get(common)
            .map_or(0, |b| if *b == b'/' { 1 } else { u16::from(*b) + 2 })
    };
    rank(a).cmp(&rank(b))
}

impl Ord for PathIndex {
    fn cmp(&self, other: &Self) -> Ordering {
        compare(&self.0, &other.0)
    }
}

impl PartialOrd for PathIndex {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Debug for PathIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(&self.0))
    }
}

/// Whether a character can disturb a terminal, a log or a mail: control characters and the marks that turn the direction
/// of writing.
pub fn disturbs(c: char) -> bool {
    let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    turns || c.is_control()
}

/// Lossy and free of characters that disturb, so that no name can disturb a terminal or a log; `.` for the root.
impl fmt::Display for PathIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() {
            return f.write_str(".");
        }
        for c in String::from_utf8_lossy(&self.0).chars() {
            if disturbs(c) {
                write!(f, "{}", c.escape_default())?;
            } else {
                write!(f, "{c}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn p(s: &str) -> PathIndex {
        PathIndex::new(s.as_bytes()).unwrap()
    }

    #[test]
    fn order_is_by_component() {
        let sorted = [
            "",
            "dir",
            "dir/b",
            "dir/sub",
            "dir/sub/c",
            "dir!x",
            "dir.y",
            "dirz",
        ];
        for (i, a) in sorted.iter().enumerate() {
            for (j, b) in sorted.iter().enumerate() {
                assert_eq!(p(a).cmp(&p(b)), i.cmp(&j), "{a:?} {b:?}");
                let by_component = p(a).components().cmp(p(b).components());
                assert_eq!(p(a).cmp(&p(b)), by_component, "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn paths_that_lead_out_are_refused() {
        for bad in ["/a", "a//b", "./a", "a/..", "..", "a/./b", "a\0b"] {
            assert!(PathIndex::new(bad.as_bytes()).is_err(), "{bad:?}");
        }
        assert_eq!(p("a/b/"), p("a/b"));
    }

    #[test]
    fn within_respects_components() {
        assert!(p("a/b").is_within(&p("a")));
        assert!(!p("ab").is_within(&p("a")));
        assert_eq!(p("a/b/c").relative_to(&p("a/b")), Some(p("c")));
        assert_eq!(p("a/b").parent(), Some(p("a")));
        assert_eq!(p("a").parent(), Some(p("")));
        assert_eq!(p("").parent(), None);
        assert_eq!(p("a/b").file_name(), Some(b"b".as_slice()));
    }

    #[test]
    fn display_escapes_control_characters() {
        assert_eq!(
            PathIndex::new(b"a\x1b[31m").unwrap().to_string(),
            "a\\u{1b}[31m"
        );
    }
}
