//! Why no plan can be made. Nothing was done then.

use super::batch::BatchError;
use crate::engine::error::{Error as EngineError, ErrorKind};
use crate::engine::time::Timestamp;

/// Why no plan can be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The batch cannot be used.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// The batch asks for something the profile does not have.
    #[error("{message}")]
    Usage {
        /// What is missing, in one line.
        message: String,
        /// What to write.
        hint: String,
    },
    /// The clock is behind the newest set, so that a new one would sort before it and hide.
    #[error("the clock says {now}, but the newest set is of {newest}")]
    Clock {
        /// The time of this run.
        now: Timestamp,
        /// The time of the newest set.
        newest: Timestamp,
    },
    /// The target did not answer.
    #[error("cannot reach the target: {0}")]
    Unreachable(String),
    /// The batch needs a backup, and there is none.
    #[error("{0}")]
    NoBackup(String),
}

impl Error {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::Batch(error) => error.help(),
            Error::Usage { hint, .. } => Some(hint.clone()),
            Error::Clock { .. } => {
                Some("set the clock, or wait until it has passed that time".to_owned())
            }
            Error::Unreachable(_) => {
                Some("check the network and that the target answers; nothing was done".to_owned())
            }
            Error::NoBackup(_) => Some("`dupr PROFILE backup` makes one".to_owned()),
        }
    }

    /// What kind of trouble it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Error::Batch(_) | Error::Usage { .. } => ErrorKind::Usage,
            Error::Clock { .. } => ErrorKind::Clock,
            Error::Unreachable(_) => ErrorKind::Unreachable,
            Error::NoBackup(_) => ErrorKind::NoBackup,
        }
    }
}

impl From<Error> for EngineError {
    fn from(error: Error) -> Self {
        let engine = EngineError::new(error.kind(), error.to_string());
        match error.hint() {
            Some(hint) => engine.with_hint(hint),
            None => engine,
        }
    }
}
