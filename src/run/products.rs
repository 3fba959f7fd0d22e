//! What a run produces for people to read: listings, differences, the state of chains. Telemetry may be dropped,
//! products may not.

use crate::engine::collection::Collection;
use crate::engine::entry::Entry;
use crate::engine::error::Result;
use crate::engine::format::SetId;
use crate::engine::ops::output::Output;
use crate::plan::state::{Damage, Partial};

/// The state of a target, for `status`.
#[derive(Debug)]
pub struct TargetView<'a> {
    /// Where it is.
    pub target: &'a str,
    /// What it holds.
    pub collection: &'a Collection,
    /// Sets of the newest chain that cannot be restored as they are.
    pub damaged: &'a [Damage],
    /// An interrupted set that can be gone on with.
    pub partial: Option<Partial>,
}

/// Takes what a run produces, in order.
pub trait Products: Output {
    /// The state of the target.
    ///
    /// # Errors
    /// It cannot be taken; the step ends.
    fn status(&mut self, view: &TargetView<'_>) -> Result<()> {
        let _ = view;
        Ok(())
    }

    /// An entry whose name matches, as it was when `set` was made.
    ///
    /// # Errors
    /// It cannot be taken; the step ends.
    fn found(&mut self, set: SetId, entry: &Entry) -> Result<()> {
        let _ = (set, entry);
        Ok(())
    }
}

impl Products for crate::engine::ops::output::Discard {}
