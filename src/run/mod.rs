//! Does a plan and tells what happened. Decides nothing and reports to nobody.

pub mod actions;
mod checks;
pub mod due;
pub mod dump;
pub mod history;
pub mod hook;
pub mod keys;
pub mod log;
pub mod logs;
pub mod memory;
pub mod monitor;
pub mod observe;
pub mod open;
pub mod outcome;
pub mod priority;
pub mod products;
mod program;
pub mod remote;
pub mod require;
pub mod runner;
pub mod running;
mod search;
pub mod snapshot;

pub use history::History;
pub use log::{Log, LogFormat};
pub use memory::Memory;
pub use monitor::RunMonitor;
pub use runner::{Actions, Runner};
