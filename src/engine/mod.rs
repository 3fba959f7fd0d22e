//! The engine: backup, restore and housekeeping in duplicity's format, without profiles, hooks or terminal.
//!
//! Operations are methods of an [`Engine`], which is a [`Target`] and its [`ArchiveDir`]. The last argument is always
//! the [`Context`]: who is told, how to be stopped, what time it is.
//!
//! Back up a folder and restore it:
//!
//! ```
//! use dupr::engine::monitor::Silent;
//! use dupr::engine::seal::{self, SealOptions};
//! use dupr::engine::storage::{self, StorageOptions, TargetUrl};
//! use dupr::engine::tree::Source;
//! use dupr::engine::{
//!     ArchiveDir, BackupOptions, Cancel, Context, Engine, RestoreOptions, Target, Timestamp,
//! };
//!
//! # let dir = tempfile::tempdir()?;
//! # let home = dir.path();
//! std::fs::create_dir(home.join("photos"))?;
//! std::fs::write(home.join("photos/cat.jpg"), "meow")?;
//!
//! let url = TargetUrl::parse(&format!("file://{}", home.join("backups").display()))?;
//! let target = Target {
//!     storage: storage::open(&url, &StorageOptions::default())?.into(),
//!     naming: Default::default(),
//!     seal: seal::open(&SealOptions::default())?.into(),
//! };
//! let archive = ArchiveDir::at(home.join("archive"), Default::default())?;
//! let engine = Engine::open(target, archive);
//! let cx = Context { monitor: &Silent, cancel: &Cancel::new(), now: Timestamp(1_700_000_000), threads: 2 };
//!
//! let made = engine.backup(&Source::new(home.join("photos")), &BackupOptions::full(), &cx)?;
//! assert_eq!(made.stats.new_entries, 2);
//!
//! engine.restore(&home.join("restored"), &RestoreOptions::default(), &cx)?;
//! assert_eq!(std::fs::read(home.join("restored/cat.jpg"))?, b"meow");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Look at what a target holds. Nothing is opened for that, so no key is needed:
//!
//! ```
//! use dupr::engine::collection::Collection;
//! use dupr::engine::format::names::Naming;
//! use dupr::engine::storage::Object;
//!
//! let listing = [
//!     "duplicity-full.20231114T221320Z.manifest.gpg",
//!     "duplicity-full.20231114T221320Z.vol1.difftar.gpg",
//!     "duplicity-full-signatures.20231114T221320Z.sigtar.gpg",
//!     "holiday.jpg",
//! ];
//! let objects = listing.map(|name| Object { name: name.into(), size: 1000 });
//! let collection = Collection::from_listing(&objects, &Naming::default());
//! assert_eq!(collection.sets().count(), 1);
//! assert_eq!(collection.strangers, 1);
//! ```
#![deny(missing_docs)]

mod ahead;
pub mod archive;
pub mod collection;
pub mod context;
pub mod delta;
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
pub mod target;
pub mod time;
pub mod time_text;
pub mod tree;

pub use archive::ArchiveDir;
pub use context::{Cancel, Context};
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
pub use target::{Engine, Target};
pub use time::Timestamp;
