//! Does a plan and tells what happened. Decides nothing and reports to nobody.

pub mod history;
pub mod hook;
pub mod outcome;
