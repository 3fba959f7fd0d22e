//! The door to the file system: reading a source ([`walk`]) and writing a restored tree ([`write`]).
//!
//! Everything goes through directory handles, one component at a time or with `openat2`; no path is ever resolved
//! twice, and no symbolic link below the source or the destination is followed (unless links are to be followed).

mod beneath;
mod destination;
mod dirs;
pub mod dumps;
mod local;
mod metadata;
pub mod owner;
mod rename;
pub mod sink;
pub mod source;
pub mod walk;
pub mod write;

pub use dumps::{Dumps, OpenDump, with_dumps};
pub use local::Local;
pub use owner::Owners;
pub use rename::Renames;
pub use sink::FileSink;
pub use source::{Replaced, Source, problem_kind, stamp_of};
pub use walk::Walk;
pub use write::{Existing, TreeWriter, WriteOptions};

#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod selection_cases;
#[cfg(test)]
mod selection_table;
#[cfg(test)]
mod walk_tests;
#[cfg(test)]
mod write_tests;
