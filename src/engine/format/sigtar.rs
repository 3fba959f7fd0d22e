//! sigtar

use crate::engine::entry::{Kind, Metadata};
use crate::engine::path::PathIndex;

/// What a sigtar says of one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigEntry {
    /// Where it lies.
    pub path: PathIndex,
    /// What it was.
    pub state: SigState,
}

/// State of an entry when its set was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SigState {
    /// A file and the signature of its content.
    File {
        /// Its attributes.
        meta: Metadata,
        /// librsync signature of the whole content.
        signature: Vec<u8>,
    },
    /// Anything but a file.
    Other {
        /// What it was.
        kind: Kind,
        /// Its attributes.
        meta: Metadata,
    },
    /// It was gone.
    Deleted,
}
