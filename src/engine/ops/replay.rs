//! The state of a chain at a time: difftars grouped by path, each group patched into one entry.

use super::fetch_ahead::{Fetcher, Fetching};
use super::needed::Supply;
use super::set_stream::{Care, Head, SetStream};
use super::sync::Copies;
use crate::engine::ahead::Permits;
use crate::engine::collection::{BackupSet, Collection};
use crate::engine::context::Context;
use crate::engine::delta::{Backward, Error as DeltaError, patch, patch_passing};
use crate::engine::entry::{Entry, Kind, Metadata};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::format::{DiffKind, SetId};
use crate::engine::monitor::Level;
use crate::engine::path::PathIndex;
use crate::engine::target::Engine;
use crate::engine::time::Timestamp;
use std::collections::BTreeMap;
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::sync::Arc;
use tempfile::SpooledTempFile;

/// Bytes of an older content kept in memory while it is patched; more goes to an unlinked file.
const BASIS_MEMORY: usize = 4 << 20;

/// Volumes read ahead at the same time, each with some two MiB of buffers.
const STREAMS_AHEAD: usize = 4;

/// Why what came out of a volume is in doubt that could not be read to its end, and has no hash.
const SUSPECT: &str = "from a volume that turned out to be damaged behind it";

/// Writes a file's content and returns its length.
pub(super) type Fill<'a> = dyn FnMut(&mut dyn Write) -> Result<u64> + 'a;

/// Takes the entries of a state in path order.
pub(super) trait Visitor {
    /// An entry that is not a file.
    fn entry(&mut self, entry: &Entry) -> Result<()>;
    /// A file. A `Corrupt` error of `fill` means that its content is lost.
    fn file(&mut self, entry: &Entry, fill: &mut Fill<'_>) -> Result<()>;
    /// An entry that cannot be given.
    fn lost(&mut self, path: &PathIndex, reason: &str) -> Result<()>;
    /// The entry at `path`, which comes next or has come, may not be what it should be.
    fn doubt(&mut self, _path: &PathIndex, _reason: &str) {}
}

/// What a replay read.
#[derive(Debug, Default)]
pub(super) struct Replayed {
    pub volumes: u64,
    pub losses: u64,
}

impl Engine {
    /// Shows a visitor the state at `time`, at and below `wanted`.
    pub(super) fn replay(
        &self,
        collection: &Collection,
        time: Option<Timestamp>,
        wanted: &PathIndex,
        care: Care,
        visitor: &mut dyn Visitor,
        cx: &Context,
    ) -> Result<Replayed> {
        let sets = self.sets_at(collection, time)?;
        let losses = self.tell_lost(collection, time, cx)?;
        let mut replayed = self.replay_sets(&sets, wanted, care, visitor, cx)?;
        replayed.losses += losses;
        Ok(replayed)
    }

    /// Shows a visitor what these sets, oldest first, come to.
    pub(super) fn replay_sets(
        &self,
        sets: &[&BackupSet],
        wanted: &PathIndex,
        care: Care,
        visitor: &mut dyn Visitor,
        cx: &Context,
    ) -> Result<Replayed> {
        match care {
            Care::Usual => self.bring_copies(sets, Copies::Manifests, cx)?,
            Care::Strict | Care::Swift => self.bring_copies(sets, Copies::All, cx)?,
            // Whatever cannot be had is done without.
            Care::Salvage => {}
        }
        let mut streams = sets
            .iter()
            .map(|s| SetStream::open(self, s, wanted, care, cx))
            .collect::<Result<Vec<_>>>()?;
        let volumes = streams.iter().enumerate();
        let volumes = volumes.flat_map(|(set, s)| s.wanted_volumes(set)).collect();
        let how = match care {
            Care::Swift => Fetching::AsItLies,
            _ => Fetching::Checked,
        };
        let shown = std::thread::scope(|scope| {
            let (fetcher, _halt) = Fetcher::start(scope, self, (volumes, how), cx);
            let permits = Permits::new(cx.threads.clamp(1, STREAMS_AHEAD));
            for (set, stream) in streams.iter_mut().enumerate() {
                stream.supply(Supply {
                    fetcher: Arc::clone(&fetcher),
                    permits: permits.clone(),
                    set,
                });
            }
            // While the first volumes come.
            if matches!(care, Care::Strict | Care::Swift) {
                for (stream, damage) in streams.iter_mut().zip(self.manifest_damages(sets, cx)) {
                    damage
                        .into_iter()
                        .try_for_each(|e| stream.has_bad_manifest(e))?;
                }
            }
            self.show(&mut streams, care, visitor, cx)
        });
        for stream in &streams {
            self.remember(stream.set(), &stream.seen, cx);
        }
        shown?;
        let mut replayed = Replayed::default();
        for stream in &streams {
            if care == Care::Salvage {
                stream.tell_gaps();
                for path in &stream.suspects {
                    visitor.doubt(path, SUSPECT);
                }
            }
            replayed.volumes += stream.volumes;
            replayed.losses += stream.losses;
        }
        Ok(replayed)
    }

    /// Keeps which volumes of a set were damaged, so that no chain is built on damage that was seen. A volume that is
    /// whole again is forgiven. Nothing depends on it, so a directory that cannot be written is only mentioned.
    fn remember(&self, set: SetId, seen: &BTreeMap<u32, bool>, cx: &Context) {
        let known = self.archive.record(set).damaged_volumes;
        let mut damaged = known.clone();
        for (number, bad) in seen {
            match bad {
                true => damaged.insert(*number),
                false => damaged.remove(number),
            };
        }
        if damaged == known {
            return;
        }
        if let Err(e) = self.archive.note(set, |r| r.damaged_volumes = damaged) {
            let text = format!("which volumes are damaged could not be kept: {e}");
            cx.monitor.note(Level::Notice, &text);
        }
    }

    /// Shows all entries of a chain's streams.
    fn show(
        &self,
        streams: &mut [SetStream<'_>],
        care: Care,
        visitor: &mut dyn Visitor,
        cx: &Context,
    ) -> Result<()> {
        while let Some(path) = first_path(streams)? {
            cx.cancel.check()?;
            let mut members = Vec::new();
            for (i, stream) in streams.iter_mut().enumerate() {
                if stream.peek()? == Some(&path)
                    && let Some(head) = stream.take()
                {
                    members.push((i, head));
                }
            }
            if care == Care::Salvage {
                members = older(&path, members, streams, visitor);
                let cut = members.iter().rposition(|(_, head)| !is_delta(head));
                for (set, head) in members.iter().skip(cut.unwrap_or(0)) {
                    if let (Head::Member { .. }, Some(stream)) = (head, streams.get_mut(*set)) {
                        stream.suspect(&path);
                    }
                }
            }
            self.resolve(&path, members, care, streams, visitor)?;
        }
        Ok(())
    }

    /// Says so if the newest set of the state is gone, which would otherwise look like an older state; 1 if it is.
    pub(super) fn tell_lost(
        &self,
        collection: &Collection,
        time: Option<Timestamp>,
        cx: &Context,
    ) -> Result<u64> {
        let Some(lost) = self.lost_since(collection, time.unwrap_or(Timestamp(i64::MAX)))? else {
            return Ok(0);
        };
        let text = format!(
            "the {} is lost: {}; this is an older state",
            lost.set, lost.reason
        );
        cx.monitor.note(Level::Warning, &text);
        Ok(1)
    }

    /// Turns what the sets say of one path into one entry, or into the news that it is lost.
    fn resolve(
        &self,
        path: &PathIndex,
        members: Vec<(usize, Head)>,
        care: Care,
        streams: &mut [SetStream<'_>],
        visitor: &mut dyn Visitor,
    ) -> Result<()> {
        // What came before the newest whole copy does not matter.
        let Some(cut) = members.iter().rposition(|(_, h)| !is_delta(h)) else {
            return visitor.lost(
                path,
                "the content its changes build on is not in the backup",
            );
        };
        let since = members[cut].0;
        // Whoever salvages was told that there may be a newer one.
        if care != Care::Salvage && streams.iter().skip(since + 1).any(|s| s.is_unknown(path)) {
            return visitor.lost(path, "a newer version may be in a lost volume");
        }
        let mut used = members.into_iter().skip(cut);
        let Some((base, first)) = used.next() else {
            return Ok(());
        };
        let deltas: Vec<(usize, Head)> = used.collect();
        let entry = |kind: Kind, meta: Metadata| Entry {
            path: path.clone(),
            kind,
            meta,
            size: 0,
        };
        match first {
            Head::Lost => visitor.lost(path, "its content is in a lost volume"),
            Head::KnownDeleted
            | Head::Member {
                diff: DiffKind::Deleted,
                ..
            } if deltas.is_empty() => Ok(()),
            Head::Known { kind, meta } if deltas.is_empty() => visitor.entry(&entry(kind, meta)),
            Head::Member { kind, meta, .. } if !kind.is_file() && deltas.is_empty() => {
                visitor.entry(&entry(kind, meta))
            }
            Head::Member {
                kind: Kind::File,
                meta,
                diff: DiffKind::Snapshot,
            } => {
                let meta = match deltas.last() {
                    Some((_, Head::Member { meta, .. })) => meta.clone(),
                    _ => meta,
                };
                let deltas: Vec<usize> = deltas.iter().map(|(i, _)| *i).collect();
                let mut fill =
                    |out: &mut dyn Write| content(base, &deltas, streams, self.spool.dir(), out);
                visitor.file(&entry(Kind::File, meta), &mut fill)
            }
            _ => visitor.lost(
                path,
                "it is stored as a change of something that is not a file",
            ),
        }
    }
}

fn is_delta(head: &Head) -> bool {
    matches!(
        head,
        Head::Member {
            diff: DiffKind::Diff,
            ..
        }
    )
}

/// Of what the sets say of a path, what can be used: nothing behind a set of which it is not known whether it changed the
/// path, because a delta would be applied to something else, and no content that is lost while there is an older one.
fn older(
    path: &PathIndex,
    mut members: Vec<(usize, Head)>,
    streams: &[SetStream<'_>],
    visitor: &mut dyn Visitor,
) -> Vec<(usize, Head)> {
    let mut is_older = false;
    let unknown = |set: usize, members: &[(usize, Head)]| {
        streams.get(set).is_some_and(|s| s.is_unknown(path))
            && !members.iter().any(|(i, _)| *i == set)
    };
    loop {
        let Some(cut) = members.iter().rposition(|(_, head)| !is_delta(head)) else {
            return members;
        };
        let since = members.get(cut).map_or(0, |(set, _)| *set);
        let has_older = members
            .iter()
            .take(cut)
            .any(|(_, head)| !is_delta(head) && !matches!(head, Head::Lost));
        if matches!(members.get(cut), Some((_, Head::Lost))) && has_older {
            members.truncate(cut);
            is_older = true;
            continue;
        }
        if let Some(gap) = (since + 1..streams.len()).find(|set| unknown(*set, &members)) {
            members.retain(|(set, _)| *set < gap);
            is_older = true;
        }
        break;
    }
    if is_older {
        visitor.doubt(
            path,
            "an older state: what came after it is lost, or may be",
        );
    } else if members
        .iter()
        .any(|(set, _)| streams.get(*set).is_some_and(SetStream::is_doubtful))
    {
        visitor.doubt(path, "from a damaged volume: it may be damaged itself");
    }
    members
}

fn first_path(streams: &mut [SetStream<'_>]) -> Result<Option<PathIndex>> {
    let mut first: Option<PathIndex> = None;
    for stream in streams {
        if let Some(path) = stream.peek()?
            && first.as_ref().is_none_or(|f| path < f)
        {
            first = Some(path.clone());
        }
    }
    Ok(first)
}

/// Writes the content of a file: its whole copy in stream `base`, changed by each of `deltas`.
fn content(
    base: usize,
    deltas: &[usize],
    streams: &mut [SetStream<'_>],
    spool_dir: &Path,
    out: &mut dyn Write,
) -> Result<u64> {
    let Some((last, middle)) = deltas.split_last() else {
        return streams[base].copy_to(out);
    };
    let Some((first, middle)) = middle.split_first() else {
        return apply_first(base, *last, streams, spool_dir, out);
    };
    let mut basis = spool(spool_dir);
    apply_first(base, *first, streams, spool_dir, &mut basis)?;
    for delta in middle {
        let mut next = spool(spool_dir);
        apply(&mut basis, &mut streams[*delta], &mut next)?;
        basis = next;
    }
    apply(&mut basis, &mut streams[*last], out)
}

/// Applies a delta to the whole copy. Most go through a file from its beginning to its end and need little of it again:
/// then the copy need not be spooled.
fn apply_first(
    base: usize,
    delta: usize,
    streams: &mut [SetStream<'_>],
    spool_dir: &Path,
    mut out: &mut dyn Write,
) -> Result<u64> {
    let mut changes = spool(spool_dir);
    streams[delta].copy_to(&mut changes)?;
    changes.rewind()?;
    let backward = Backward::of(&mut changes, BASIS_MEMORY as u64).map_err(unfit)?;
    changes.rewind()?;
    let Some(backward) = backward else {
        let mut basis = spool(spool_dir);
        streams[base].copy_to(&mut basis)?;
        return apply(&mut basis, &mut changes, out);
    };
    let bytes = patch_passing(
        &mut streams[base],
        &backward,
        &mut changes,
        &mut out,
        u64::MAX,
    )
    .map_err(unfit)?;
    // What is not needed must be there all the same.
    streams[base].copy_to(&mut std::io::sink())?;
    Ok(bytes)
}

fn spool(dir: &Path) -> SpooledTempFile {
    tempfile::spooled_tempfile_in(BASIS_MEMORY, dir)
}

fn apply(
    basis: &mut SpooledTempFile,
    delta: &mut dyn Read,
    mut out: &mut dyn Write,
) -> Result<u64> {
    basis.rewind()?;
    patch(basis, delta, &mut out, u64::MAX).map_err(unfit)
}

fn unfit(error: DeltaError) -> Error {
    match error {
        DeltaError::Basis(e) | DeltaError::Delta(e) | DeltaError::Output(e) => Error::from(e),
        error => Error::new(
            ErrorKind::Corrupt,
            "its changes do not fit its older content",
        )
        .with_source(error),
    }
}
