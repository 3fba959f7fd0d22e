//! The archive dir: local copies of manifests and sigtars, and the state of a set being written.
//!
//! Names and content are duplicity's, so both programs can share one (docs/format.md, "Archive dir"). All of it but
//! the part files of a run in progress can be rebuilt from the target.

mod dir;
mod durable;
mod journal;
mod lock;
mod part_manifest;
mod record;
mod spool;

pub use dir::ArchiveDir;
pub use durable::{install, sync_dir};
pub use journal::{Checkpoint, Journal, JournalHead};
pub use lock::{Lock, holder};
pub use part_manifest::PartManifest;
pub use record::{DumpRecord, SetRecord, hash_of, hex};
pub use spool::{Spool, private_dir};
