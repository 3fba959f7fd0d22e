//! When a profile runs by itself: cron expressions, and whether a run is overdue.
//!
//! The one place that knows the cron crate. What that refuses and crontabs allow (`@daily`, names, 7 for Sunday,
//! ranges that wrap) is rewritten before it, and day-of-month and day-of-week are alternatives if both are
//! restricted, as in cron.

use std::time::Duration;

/// When a profile runs by itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// The cron expression.
    pub cron: Cron,
    /// A start is put off by a random part of this, so that many machines do not start together.
    pub jitter: Duration,
    /// Whether a missed run is made up for.
    pub catch_up: bool,
    /// The clock the expression is meant for.
    pub zone: Zone,
}

/// The clock of a schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Zone {
    /// That of the machine.
    Local,
    /// UTC.
    Utc,
}

/// A cron expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cron {
    text: String,
}

impl Cron {
    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}
