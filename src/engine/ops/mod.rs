//! The operations, each a few dozen readable lines over streams and combinators.

mod adopt;
pub mod backup;
mod basis;
mod chooser;
pub mod cleanup;
mod copies;
pub mod fetch;
mod fetch_ahead;
mod finish;
pub mod health;
pub mod list;
mod needed;
pub mod output;
pub mod preview;
mod proof;
pub mod rdiffdir;
pub mod remove;
mod replay;
pub mod replicate;
pub mod restore;
pub mod resume;
mod set_files;
mod set_stream;
mod sigtars;
pub mod sync;
pub mod verify;
