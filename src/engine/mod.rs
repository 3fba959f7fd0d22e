//! The engine: backup, restore and housekeeping in duplicity's format, without profiles, hooks or terminal.
#![deny(missing_docs)]

pub mod archive;
pub mod collection;
pub mod context;
pub mod delta;
#[allow(clippy::module_inception)]
pub mod engine;
pub mod entry;
pub mod error;
pub mod format;
pub mod monitor;
pub mod ops;
pub mod path;
mod pipeline;
pub mod seal;
pub mod secret;
pub mod select;
pub mod stats;
pub mod storage;
pub mod stream;
pub mod time;
pub mod time_text;
pub mod tree;

pub use archive::ArchiveDir;
pub use context::{Cancel, Context};
pub use engine::{Engine, Target};
pub use entry::{Entry, FileStamp, Kind, Metadata};
pub use error::{Error, ErrorKind, Result};
pub use ops::backup::{BackupOptions, BackupReport, Mode};
pub use ops::health::Health;
pub use ops::output::{Difference, DifferenceKind, Discard, Output};
pub use ops::restore::RestoreOptions;
pub use ops::resume::PartialSet;
pub use ops::verify::VerifyOptions;
pub use path::PathIndex;
pub use secret::Secret;
pub use time::Timestamp;
