//! Names of tar members: `<word>/<path>`, shared by difftars and sigtars.

use super::tar;
use crate::engine::entry::Metadata;
use crate::engine::error::{Error as EngineError, ErrorKind};
use crate::engine::path::{PathError, PathIndex};
use std::borrow::Cow;

/// Why a member cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The tar file is damaged or its input failed; nothing can be read after it.
    #[error(transparent)]
    Tar(#[from] tar::Error),
    /// This member is not one of the format, or could lead out of a restore directory. The next can be read.
    #[error("refused member {:?}: {reason}", String::from_utf8_lossy(.name))]
    Refused {
        /// Its raw name.
        name: Vec<u8>,
        /// What is wrong.
        reason: Refusal,
    },
}

/// What is wrong with a single member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Its path leads out of the tree or is no path.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The name does not start with a word of the format.
    #[error("unknown kind of member")]
    UnknownWord,
    /// The last part of the name is not a block number.
    #[error("bad block number")]
    BadBlock,
    /// A delta, a block or a signature of something that is no file.
    #[error("not a regular file")]
    NotAFile,
    /// A signature too long to be true, or to be held.
    #[error("signature is too long")]
    TooLong,
}

impl Error {
    /// Whether only this member is lost.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Error::Refused { .. })
    }
}

impl From<Error> for EngineError {
    fn from(error: Error) -> Self {
        match error {
            Error::Tar(error) => error.into(),
            error => EngineError::new(ErrorKind::Corrupt, error.to_string()),
        }
    }
}

/// `word/path`, where `root` stands for the path of the root.
pub(super) fn name(word: &str, path: &PathIndex, root: &str) -> Vec<u8> {
    let path = if path.is_root() {
        root.as_bytes()
    } else {
        path.as_bytes()
    };
    // Room for the slash of a directory or a block number.
    let mut name = Vec::with_capacity(word.len() + path.len() + 12);
    name.extend_from_slice(word.as_bytes());
    name.push(b'/');
    name.extend_from_slice(path);
    name
}

/// The first component of a name, and the rest.
pub(super) fn split_word(name: &[u8]) -> (&[u8], &[u8]) {
    match name.iter().position(|b| *b == b'/') {
        Some(slash) => (&name[..slash], &name[slash + 1..]),
        None => (name, b""),
    }
}

/// A path inside a name. Nothing and `.` mean the root.
pub(super) fn path(rest: &[u8]) -> Result<PathIndex, PathError> {
    match rest {
        b"" | b"." | b"./" => Ok(PathIndex::root()),
        rest => PathIndex::new(rest),
    }
}

/// Attributes as they are stored.
// COMPAT(dup all): a time before 1970 becomes 1970.
pub(super) fn stored(meta: &Metadata) -> Cow<'_, Metadata> {
    if meta.mtime < 0 {
        Cow::Owned(Metadata {
            mtime: 0,
            ..meta.clone()
        })
    } else {
        Cow::Borrowed(meta)
    }
}
