//! Does a plan and tells what happened. Decides nothing and reports to nobody.

pub mod history;
pub mod hook;
pub mod log;
pub mod monitor;
pub mod outcome;
pub mod require;
pub mod runner;

pub use history::History;
pub use log::{Log, LogFormat};
pub use monitor::RunMonitor;
pub use runner::{Actions, Runner};
