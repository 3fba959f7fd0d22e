//! Does a plan and tells what happened. Decides nothing and reports to nobody.

pub mod outcome;
