//! The engine: backup, restore and housekeeping in duplicity's format, without profiles, hooks or terminal.
#![deny(missing_docs)]

pub mod collection;
pub mod context;
pub mod entry;
pub mod error;
pub mod format;
pub mod monitor;
pub mod path;
pub mod seal;
pub mod secret;
pub mod stats;
pub mod storage;
pub mod time;
pub mod time_text;

pub use context::{Cancel, Context};
pub use entry::{Entry, FileStamp, Kind, Metadata};
pub use error::{Error, ErrorKind, Result};
pub use path::PathIndex;
pub use secret::Secret;
pub use time::Timestamp;
