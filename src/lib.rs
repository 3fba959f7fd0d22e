//! dupr: a backup runner with its own engine for duplicity's archive format.
//!
//! ```text
//! cli       two front doors: `dupr PROFILE BATCH` and `dupr duplicity …`
//! job       observe, plan, run, record, report: the whole program on one page
//! report    tells an outcome        run    does a plan
//! plan      pure: what and why      profile   what the user declared
//! engine    full, restore, verify …; usable alone
//! ```
//!
//! docs/architecture.md is the map; `tests/it/architecture.rs` holds the code to it.
#![forbid(unsafe_code)]

pub mod cli;
pub mod engine;
pub mod job;
pub mod plan;
pub mod profile;
pub mod report;
pub mod run;
pub mod schedule;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
