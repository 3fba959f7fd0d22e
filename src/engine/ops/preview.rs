//! What a backup would do, by attributes and signatures alone: nothing is read of files, nothing is written.

use super::backup::{BackupOptions, Mode};
use crate::engine::context::Context;
use crate::engine::error::{ErrorKind, Result};
use crate::engine::monitor::{Counted, Counter, EntryChange};
use crate::engine::stats::BackupStats;
use crate::engine::stream::WalkItem;
use crate::engine::stream::change::{Action, ByNumber, OwnerLookup, changes};
use crate::engine::target::Engine;
use crate::engine::tree::{Source, Walk, with_dumps};
use std::cell::Cell;

/// What a backup would do.
#[derive(Debug, Clone, PartialEq)]
pub struct Preview {
    /// Whether it would be a full set.
    pub full: bool,
    /// Its figures, as far as they can be known: nothing is read, so there are no deltas and no volumes.
    pub stats: BackupStats,
    /// Bytes of files that would be read.
    pub content_bytes: u64,
    /// Why it would be a full set although an increment was asked for.
    pub full_because: Option<String>,
}

impl Engine {
    /// Looks at `source` as [`backup`](Self::backup) would. Changes are told to the monitor, and the bytes that
    /// would be read as its expected [`Counter::SourceBytes`].
    ///
    /// # Errors
    /// As for a backup, where they show without writing.
    pub fn preview(
        &self,
        source: &Source,
        options: &BackupOptions,
        cx: &Context,
    ) -> Result<Preview> {
        let counted = Counted::new(cx.monitor);
        let cx = &Context {
            monitor: &counted,
            ..*cx
        };
        let collection = self.scan(cx)?;
        self.check_target(&collection, options.allow_empty_target)?;
        self.check_source(source, &collection, options, cx)?;
        let (basis, full_because) = match options.mode {
            Mode::Full => (None, None),
            Mode::Incremental => match self.chain_to_extend(&collection, options, cx) {
                Ok(chain) => (Some(chain), None),
                Err(e)
                    if options.or_full
                        && matches!(e.kind(), ErrorKind::NoBackup | ErrorKind::Corrupt) =>
                {
                    (None, Some(e.to_string()))
                }
                Err(e) => return Err(e),
            },
        };
        let owners: &dyn OwnerLookup = if options.numeric_owner {
            &ByNumber
        } else {
            &**source.owners()
        };
        let seen = Cell::new((0, 0));
        let walk = with_dumps(Walk::new(source, cx)?, source, cx.now, cx)?.inspect(|item| {
            if let Ok(WalkItem::Entry { entry, .. }) = item {
                let (entries, bytes) = seen.get();
                seen.set((entries + 1, bytes + entry.size));
            }
        });
        let mut stats = BackupStats {
            time: cx.now,
            ..BackupStats::default()
        };
        let mut content_bytes = 0;
        for change in changes(walk, self.overlay(basis, cx)?, owners) {
            cx.cancel.check()?;
            let change = change?;
            stats.delta_entries += 1;
            let told = match &change.action {
                Action::Snapshot { entry, .. } => {
                    stats.new_entries += 1;
                    stats.new_bytes += entry.size;
                    if entry.kind.is_file() {
                        content_bytes += entry.size;
                    }
                    if change.existed {
                        EntryChange::Modified
                    } else {
                        EntryChange::Added
                    }
                }
                Action::Diff { entry, .. } => {
                    stats.changed_entries += 1;
                    stats.changed_bytes += entry.size;
                    content_bytes += entry.size;
                    EntryChange::Modified
                }
                Action::Deleted { .. } => {
                    stats.deleted_entries += 1;
                    EntryChange::Deleted
                }
            };
            cx.monitor.entry(&change.path, Some(told));
        }
        (stats.source_entries, stats.source_bytes) = seen.get();
        stats.problems = counted.problems();
        cx.monitor.expect(Counter::SourceBytes, content_bytes);
        Ok(Preview {
            full: basis.is_none(),
            stats,
            content_bytes,
            full_because,
        })
    }
}
