//! Reads a whole state back and, if asked, compares it with a local tree.
//!
//! What should be there is known from the sigtars, what is there from the volumes: a state of which nothing can be
//! read never verifies. Volumes of this machine are hashed while they are read, in the hope that all is well; if it is not,
//! all is read again, each volume checked before it is used, to tell exactly what is lost.

use super::held::Held;
use super::output::{Difference, DifferenceKind, Output};
use super::replay::{Fill, Visitor};
use super::set_stream::Care;
use crate::engine::collection::Collection;
use crate::engine::context::Context;
use crate::engine::entry::{Entry, FileStamp, Kind};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::monitor::{Counted, Counter, Level, Problem, ProblemKind};
use crate::engine::path::PathIndex;
use crate::engine::stats::RestoreStats;
use crate::engine::stream::WalkItem;
use crate::engine::stream::change::{OwnerLookup, same_permissions, same_time};
use crate::engine::target::Engine;
use crate::engine::time::Timestamp;
use crate::engine::tree::{Source, Walk};
use std::io::{Read, Write};

/// What to verify, and how.
#[derive(Debug, Clone, Default)]
pub struct VerifyOptions {
    /// The state at this time; the newest if absent.
    pub time: Option<Timestamp>,
    /// Only this path; the local tree is compared with it. The root verifies all.
    pub path: PathIndex,
    /// Compare contents and attributes with the local tree; otherwise only read everything back.
    pub compare: bool,
}

impl Engine {
    /// Verifies the backup; `local` is walked with its selection.
    ///
    /// # Errors
    /// `NoBackup` and `NotFound` if there is nothing to verify, `WrongKey`, trouble with the target. Damage is
    /// counted in [`RestoreStats::problems`], differences in [`RestoreStats::differences`].
    pub fn verify(
        &self,
        local: &Source,
        options: &VerifyOptions,
        output: &mut dyn Output,
        cx: &Context,
    ) -> Result<RestoreStats> {
        let collection = self.scan(cx)?;
        let what = (local, options);
        let mut told = None;
        if self.may_be_swift(&collection, options)? {
            let held = Held::new(cx.monitor);
            let quiet = &Context {
                monitor: &held,
                ..*cx
            };
            let swift = self.verified(&collection, what, Care::Swift, &mut told, &mut &held, quiet);
            match swift {
                Err(e) if matches!(e.kind(), ErrorKind::Corrupt | ErrorKind::NotFound) => {
                    let text = format!("{e}; looking at each volume before it is read");
                    cx.monitor.note(Level::Info, &text);
                }
                outcome if held.is_complete() => {
                    held.tell(output)?;
                    return outcome;
                }
                _ => {}
            }
        }
        self.verified(&collection, what, Care::Strict, &mut told, output, cx)
    }

    /// Whether volumes may be hashed while they are read: if all is to be read, and to be read where it lies.
    fn may_be_swift(&self, collection: &Collection, options: &VerifyOptions) -> Result<bool> {
        let sets = self.sets_at(collection, options.time)?;
        let mut volumes = sets.iter().flat_map(|set| set.volumes.values());
        let time = options.time.unwrap_or(Timestamp(i64::MAX));
        Ok(options.path.is_root()
            && self.lost_since(collection, time)?.is_none()
            && volumes.all(|file| self.is_here(file)))
    }

    /// Reads a state back. The monitor is told of entries behind the path `told`, which moves on.
    fn verified(
        &self,
        collection: &Collection,
        (local, options): (&Source, &VerifyOptions),
        care: Care,
        told: &mut Option<PathIndex>,
        output: &mut dyn Output,
        cx: &Context,
    ) -> Result<RestoreStats> {
        let counted = Counted::new(cx.monitor);
        let cx = &Context {
            monitor: &counted,
            ..*cx
        };
        let walk = if options.compare {
            Some(Walk::new(local, cx)?)
        } else {
            None
        };
        let mut visitor = Verify {
            walk,
            ahead: None,
            local,
            base: &options.path,
            output,
            stats: RestoreStats::default(),
            lost: 0,
            care,
            told,
            cx,
        };
        let replayed = self.replay(
            collection,
            options.time,
            &options.path,
            care,
            &mut visitor,
            cx,
        )?;
        visitor.walk_to(None)?;
        let Verify {
            mut stats, lost, ..
        } = visitor;
        stats.volumes = replayed.volumes;
        stats.problems = counted.problems();
        if replayed.losses > 0 {
            stats.problems = stats.problems.max(1);
        }
        if stats.entries == 0 && lost == 0 {
            return Err(if options.path.is_root() {
                Error::new(
                    ErrorKind::Corrupt,
                    format!("nothing of the backup at {} could be read", self.location()),
                )
            } else {
                Error::new(
                    ErrorKind::NotFound,
                    format!("{} is not in the backup at that time", options.path),
                )
                .with_hint("`list` shows what is; paths are relative to the source")
            });
        }
        Ok(stats)
    }
}

struct Verify<'a> {
    walk: Option<Walk<'a>>,
    ahead: Option<(Entry, FileStamp)>,
    local: &'a Source,
    base: &'a PathIndex,
    output: &'a mut dyn Output,
    stats: RestoreStats,
    lost: u64,
    care: Care,
    /// Up to here the monitor was told of entries.
    told: &'a mut Option<PathIndex>,
    cx: &'a Context<'a>,
}

impl Verify<'_> {
    fn differ(&mut self, path: &PathIndex, kind: DifferenceKind) -> Result<()> {
        self.stats.differences += 1;
        self.output.difference(&Difference {
            path: path.clone(),
            kind,
        })
    }

    /// Tells every local entry before `path` as new and returns the one at it. `None` walks to the end.
    fn walk_to(&mut self, path: Option<&PathIndex>) -> Result<Option<(Entry, FileStamp)>> {
        loop {
            if self.ahead.is_none() {
                let Some(walk) = &mut self.walk else {
                    return Ok(None);
                };
                self.ahead = loop {
                    match walk.next().transpose()? {
                        Some(WalkItem::Entry { entry, .. }) if is_dump(self.local, &entry.path) => {
                        }
                        Some(WalkItem::Entry { entry, stamp }) => break Some((entry, stamp)),
                        Some(WalkItem::Hole(_)) => {}
                        None => break None,
                    }
                };
            }
            let Some((entry, _)) = &self.ahead else {
                return Ok(None);
            };
            match path {
                Some(path) if entry.path > *path => return Ok(None),
                Some(path) if entry.path == *path => return Ok(self.ahead.take()),
                _ => {
                    let new = entry.path.clone();
                    self.ahead = None;
                    self.differ(&new, DifferenceKind::New)?;
                }
            }
        }
    }

    /// The local entry to compare with, after its attributes were compared; `None` if they differ or nothing is
    /// compared.
    fn attributes(&mut self, entry: &Entry) -> Result<Option<(Entry, FileStamp)>> {
        if self.walk.is_none() || is_dump(self.local, &entry.path) {
            return Ok(None);
        }
        let Some(path) = entry.path.relative_to(self.base) else {
            return Ok(None);
        };
        let Some((found, stamp)) = self.walk_to(Some(&path))? else {
            self.differ(&path, DifferenceKind::Missing)?;
            return Ok(None);
        };
        match difference(&found, entry, &**self.local.owners()) {
            Some(kind) => {
                self.differ(&path, kind)?;
                Ok(None)
            }
            None => Ok(Some((found, stamp))),
        }
    }

    fn done(&mut self, path: &PathIndex, bytes: u64) {
        self.stats.entries += 1;
        self.stats.content_bytes += bytes;
        if self.told.as_ref().is_some_and(|told| path <= told) {
            return;
        }
        *self.told = Some(path.clone());
        self.cx.monitor.count(Counter::Entries, 1);
        self.cx.monitor.count(Counter::ContentBytes, bytes);
        self.cx.monitor.entry(path, None);
    }
}

/// Whether a path is that of a dump: there is nothing to compare it with.
fn is_dump(local: &Source, path: &PathIndex) -> bool {
    local
        .dumps()
        .is_some_and(|dumps| path.is_within(dumps.folder()))
}

/// The first difference in duplicity's order; content is not looked at.
fn difference(local: &Entry, backup: &Entry, owners: &dyn OwnerLookup) -> Option<DifferenceKind> {
    if std::mem::discriminant(&local.kind) != std::mem::discriminant(&backup.kind) {
        return Some(DifferenceKind::Type {
            local: local.kind.word(),
            backup: backup.kind.word(),
        });
    }
    if let (Kind::Symlink(l), Kind::Symlink(b)) = (&local.kind, &backup.kind) {
        return (l != b).then(|| DifferenceKind::LinkTarget {
            local: l.clone(),
            backup: b.clone(),
        });
    }
    let (l, b) = (&local.meta, &backup.meta);
    let text = |uid, gid, mode| format!("{uid}:{gid} {mode:o}");
    if !same_permissions(l, b, owners) {
        let uid = owners.uid_of(&b.uname).unwrap_or(b.uid);
        let gid = owners.gid_of(&b.gname).unwrap_or(b.gid);
        return Some(DifferenceKind::Permissions {
            local: text(l.uid, l.gid, l.mode),
            backup: text(uid, gid, b.mode),
        });
    }
    if local.kind != backup.kind {
        return Some(DifferenceKind::Device);
    }
    let timed = matches!(local.kind, Kind::File | Kind::Dir | Kind::Fifo);
    (timed && !same_time(l.mtime, b.mtime)).then_some(DifferenceKind::Mtime {
        local: l.mtime,
        backup: b.mtime,
    })
}

/// Compares what is written to it with a local file.
struct Compare<R> {
    local: Option<R>,
    buffer: Vec<u8>,
    same: bool,
}

impl<R: Read> Write for Compare<R> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if let (Some(local), true) = (&mut self.local, self.same) {
            self.buffer.resize(bytes.len(), 0);
            self.same = match local.read_exact(&mut self.buffer) {
                Ok(()) => self.buffer == bytes,
                Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => false,
                Err(e) => return Err(e),
            };
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Visitor for Verify<'_> {
    fn entry(&mut self, entry: &Entry) -> Result<()> {
        self.attributes(entry)?;
        self.done(&entry.path, 0);
        Ok(())
    }

    fn file(&mut self, entry: &Entry, fill: &mut Fill<'_>) -> Result<()> {
        let local = match self.attributes(entry)? {
            Some((found, stamp)) => match self.local.open(&found.path, &stamp) {
                Ok(file) => Some(file),
                Err(e) => {
                    self.cx
                        .monitor
                        .problem(Problem::new(ProblemKind::Unreadable, &found.path, e));
                    None
                }
            },
            None => None,
        };
        let mut compare = Compare {
            local,
            buffer: Vec::new(),
            same: true,
        };
        self.cx.monitor.begins(&entry.path);
        match fill(&mut compare) {
            Ok(bytes) => {
                let mut rest = [0];
                if let Some(local) = &mut compare.local
                    && (!compare.same || local.read(&mut rest).is_ok_and(|n| n > 0))
                    && let Some(path) = entry.path.relative_to(self.base)
                {
                    self.differ(&path, DifferenceKind::Data)?;
                }
                self.done(&entry.path, bytes);
                Ok(())
            }
            Err(e) if e.kind() == ErrorKind::Corrupt && self.care == Care::Swift => Err(e),
            Err(e) if e.kind() == ErrorKind::Corrupt => self.lost(&entry.path, &e.to_string()),
            Err(e) => Err(e.within(format!("cannot verify {}", entry.path))),
        }
    }

    fn lost(&mut self, path: &PathIndex, reason: &str) -> Result<()> {
        if self.care == Care::Swift {
            return Err(Error::new(ErrorKind::Corrupt, format!("{path}: {reason}")));
        }
        self.lost += 1;
        if let Some(relative) = path.relative_to(self.base) {
            self.walk_to(Some(&relative))?;
        }
        self.cx
            .monitor
            .problem(Problem::new(ProblemKind::Lost, path, reason));
        Ok(())
    }
}
