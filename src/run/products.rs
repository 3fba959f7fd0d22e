//! What a run produces for people to read: listings, differences, the state of chains. Telemetry may be dropped,
//! products may not.

use crate::engine::collection::Collection;
use crate::engine::entry::Entry;
use crate::engine::error::Result;
use crate::engine::format::SetId;
use crate::engine::ops::output::{DifferenceKind, Output};
use crate::engine::path::PathIndex;
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

/// What lay at a path, in sets in a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// The path.
    pub path: PathIndex,
    /// The first set in which it was so.
    pub set: SetId,
    /// The last one.
    pub until: SetId,
    /// How many there are from the one to the other, both counted.
    pub sets: u64,
    /// What was there; nothing any more if absent.
    pub entry: Option<Entry>,
    /// Least and most bytes a file may have: signatures know no more.
    pub length: Option<(u64, u64)>,
    /// In which ways it differs from the version before; at least one.
    pub changes: Vec<Change>,
}

/// In which way a version differs from the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// There was nothing before.
    New,
    /// There is nothing any more.
    Gone,
    /// It is something else now: a file, a folder, a link …
    Type,
    /// What a file holds.
    Content,
    /// Where a link leads.
    Link,
    /// The numbers of a device.
    Device,
    /// The time of the last change.
    Time,
    /// Owner or group, by number.
    Owner,
    /// The bits of the mode.
    Mode,
}

impl Change {
    /// In a word, as `--json` says it.
    pub fn word(self) -> &'static str {
        match self {
            Change::New => "new",
            Change::Gone => "gone",
            Change::Type => "type",
            Change::Content => "content",
            Change::Link => "link",
            Change::Device => "device",
            Change::Time => "time",
            Change::Owner => "owner",
            Change::Mode => "mode",
        }
    }
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

    /// All ways, at least one, in which a path differs between two states; "backup" is the older one.
    ///
    /// # Errors
    /// It cannot be taken; the step ends.
    fn differs(&mut self, path: &PathIndex, ways: &[DifferenceKind]) -> Result<()> {
        let _ = (path, ways);
        Ok(())
    }

    /// A version of a path.
    ///
    /// # Errors
    /// It cannot be taken; the step ends.
    fn version(&mut self, version: &Version) -> Result<()> {
        let _ = version;
        Ok(())
    }
}

impl Products for crate::engine::ops::output::Discard {}
