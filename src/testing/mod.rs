//! Doubles and fixtures for tests: of this crate, and of programs that use the engine.
//!
//! Public behind the feature `testing`. Everything here may panic: a broken promise is a failed test.

pub mod contract;
mod faulty;
mod memory;
mod recording;

pub use faulty::{Fault, FaultyStorage};
pub use memory::MemoryStorage;
pub use recording::{Call, RecordingStorage};

/// One of the calls of [`Storage`](crate::engine::storage::Storage).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operation {
    /// `list`
    List,
    /// `stat`
    Stat,
    /// `get`
    Get,
    /// `put`
    Put,
    /// `delete`
    Delete,
}
