//! Holds what another program left of a set against itself: each entry its volumes store must be in the part sigtar, in
//! order, with the same attributes and a signature that fits what is stored.
//!
//! duplicity, when it goes on with a set, makes the signatures of what is already stored anew from what the files have
//! become. A sigtar it left cannot be believed for that reason: the next delta against a wrong signature would restore to a
//! file that never was. Of what is stored whole the signature is computed again. Of a delta the attributes and the length
//! of what it makes must fit: an increment could not see any other change either.

use crate::engine::delta::{DeltaMeter, SignatureBuilder, SignatureIndex};
use crate::engine::entry::{Entry, Kind, Metadata};
use crate::engine::error::{Error, Result};
use crate::engine::format::difftar::Member;
use crate::engine::format::manifest::{self, Bound, FileWord};
use crate::engine::format::sigtar::{self, SigEntry, SigState, SigtarReader};
use crate::engine::format::{BLOCK_BYTES, DiffKind};
use crate::engine::path::PathIndex;
use crate::engine::stats::BackupStats;
use crate::engine::stream::overlay::Overlay;
use crate::engine::time::Timestamp;
use sha1::{Digest, Sha1};
use std::io::{Read, Write};

/// Why an entry is not proven.
pub(super) type Doubt = String;

/// Result of a check: trouble with the files outside, doubt inside.
pub(super) type Checked<T> = Result<std::result::Result<T, Doubt>>;

/// What comes out beside the volumes: parts of a sigtar and of a list of files, as far as they are proven.
pub(super) struct Proven<W> {
    /// The sigtar, rewritten.
    pub sigtar: W,
    /// Its length.
    pub sigtar_bytes: u64,
    /// The list of files.
    pub filelist: W,
    /// Its length.
    pub filelist_bytes: u64,
    /// Its lines.
    pub filelist_lines: u64,
    /// Figures of what was proven.
    pub stats: BackupStats,
}

/// A file of which not all parts came yet.
struct Open {
    path: PathIndex,
    diff: DiffKind,
    meta: Metadata,
    /// Number of the part that came last; 0 for a file of one member.
    block: u32,
    bytes: u64,
    /// Of the bytes so far, to find the same ones in the source.
    sha1: Sha1,
    signature: Option<SignatureBuilder>,
    delta: DeltaMeter,
}

/// A file whose parts lie on both sides of the end of a volume.
pub(super) struct Cut {
    /// Whether it is a delta.
    pub diff: DiffKind,
    /// Its attributes.
    pub meta: Metadata,
    /// Bytes of it so far.
    pub bytes: u64,
    /// SHA-1 of them.
    pub sha1: Sha1,
}

/// The check of one set.
pub(super) struct Proof<S, B, W> {
    sigtar: SigtarReader<S>,
    /// The next entry of the sigtar, if it was looked at.
    next: Option<SigEntry>,
    before: Overlay<B>,
    known: Option<SigEntry>,
    began: Timestamp,
    open: Option<Open>,
    last: Option<PathIndex>,
    in_dir: bool,
    bounds: Option<(Bound, Bound)>,
    /// For reading.
    piece: Vec<u8>,
    /// What is proven so far.
    pub proven: Proven<W>,
}

impl<S: Read, B: Iterator<Item = Result<SigEntry>>, W: Write> Proof<S, B, W> {
    /// Checks a set begun at `began` against its `sigtar`; `before` is the state it builds on.
    pub fn new(
        sigtar: S,
        before: Overlay<B>,
        began: Timestamp,
        (sigtar_out, filelist): (W, W),
    ) -> Self {
        Self {
            sigtar: SigtarReader::new(sigtar),
            next: None,
            before,
            known: None,
            began,
            open: None,
            last: None,
            in_dir: false,
            bounds: None,
            piece: vec![0; BLOCK_BYTES],
            proven: Proven {
                sigtar: sigtar_out,
                sigtar_bytes: 0,
                filelist,
                filelist_bytes: 0,
                filelist_lines: 0,
                stats: BackupStats::default(),
            },
        }
    }

    /// Checks the next member; `data` is its content.
    pub fn member(&mut self, member: &Member, data: &mut impl Read) -> Checked<()> {
        let goes_on = member.block.is_some() && (member.size as usize) == BLOCK_BYTES;
        let bound = Bound {
            path: member.path.clone(),
            block: member.block.filter(|_| goes_on),
        };
        match &mut self.bounds {
            None => self.bounds = Some((bound.clone(), bound)),
            Some((_, end)) => *end = bound,
        }
        self.in_dir = member.kind.is_dir();
        let mut open = match self.open.take() {
            Some(open) if continues(&open, member) => open,
            Some(open) => return Ok(Err(format!("{} is not whole", open.path))),
            None => match self.begin(member)? {
                Ok(open) => open,
                Err(doubt) => return Ok(Err(doubt)),
            },
        };
        open.block = member.block.unwrap_or(0);
        loop {
            let n = data.read(&mut self.piece)?;
            let Some(read) = self.piece.get(..n).filter(|read| !read.is_empty()) else {
                break;
            };
            open.bytes += n as u64;
            match open.diff {
                DiffKind::Diff => open.delta.push(read),
                _ => {
                    open.sha1.update(read);
                    if let Some(signature) = &mut open.signature {
                        signature.push(read);
                    }
                }
            }
        }
        self.proven.stats.raw_delta_bytes += member.size;
        if goes_on {
            self.open = Some(open);
            return Ok(Ok(()));
        }
        self.last = Some(open.path.clone());
        self.whole(open, &member.kind)
    }

    /// Bounds of the volume that ended, whether its last entry is a directory, and the file it cuts.
    pub fn end_volume(&mut self) -> (Bound, Bound, bool, Option<Cut>) {
        let root = Bound {
            path: PathIndex::root(),
            block: None,
        };
        let (start, end) = self.bounds.take().unwrap_or((root.clone(), root));
        let cut = self.open.as_ref().map(|open| Cut {
            diff: open.diff,
            meta: open.meta.clone(),
            bytes: open.bytes,
            sha1: open.sha1.clone(),
        });
        (start, end, self.in_dir, cut)
    }

    fn begin(&mut self, member: &Member) -> Checked<Open> {
        if self.last.as_ref().is_some_and(|last| *last >= member.path) {
            return Ok(Err(format!("{} is out of order", member.path)));
        }
        if member.block.is_some_and(|block| block != 1) {
            return Ok(Err(format!("the beginning of {} is missing", member.path)));
        }
        let signature = match self.next_signed() {
            Some(SigEntry {
                path,
                state: SigState::File { signature, .. },
            }) if *path == member.path && member.diff == DiffKind::Snapshot => {
                SignatureIndex::layout(signature).ok()
            }
            _ => None,
        };
        Ok(Ok(Open {
            path: member.path.clone(),
            diff: member.diff,
            meta: member.meta.clone(),
            block: 0,
            bytes: 0,
            sha1: Sha1::new(),
            signature: signature.map(|(block_len, _)| SignatureBuilder::new(block_len)),
            delta: DeltaMeter::default(),
        }))
    }

    /// The next entry of the sigtar; `None` where it ends, torn or not.
    fn next_signed(&mut self) -> Option<&SigEntry> {
        if self.next.is_none() {
            self.next = self.sigtar.next_entry().ok().flatten();
        }
        self.next.as_ref()
    }

    /// Holds a whole entry against the sigtar, and takes it over.
    fn whole(&mut self, open: Open, kind: &Kind) -> Checked<()> {
        self.next_signed();
        let Some(signed) = self.next.take().filter(|next| next.path == open.path) else {
            return Ok(Err(format!("the part sigtar has no {}", open.path)));
        };
        let old = self.state_before(&open.path)?;
        let looked_at = self.looked_at_again(open.meta.clone());
        let differs = Ok(Err(format!("the part sigtar has another {}", open.path)));
        let mut record = Vec::new();
        let mut word = None;
        let stats = &mut self.proven.stats;
        stats.delta_entries += 1;
        match (signed.state, open.diff) {
            (SigState::Deleted, DiffKind::Deleted) => {
                sigtar::append_deleted(&mut record, &open.path);
                stats.deleted_entries += 1;
                word = matches!(old, Some(SigState::File { .. })).then_some(FileWord::Deleted);
            }
            (SigState::Other { kind: was, meta }, DiffKind::Snapshot)
                if was == *kind && meta == open.meta =>
            {
                let kind = kind.clone();
                sigtar::append_snapshot(&mut record, &entry(&open, kind, meta));
                stats.new_entries += 1;
            }
            (SigState::File { meta, signature }, diff @ (DiffKind::Snapshot | DiffKind::Diff))
                if kind.is_file() && (meta == open.meta || meta == looked_at) =>
            {
                let bytes = open.bytes;
                let file = entry(&open, Kind::File, looked_at);
                let stats = &mut self.proven.stats;
                if diff == DiffKind::Snapshot {
                    if open.signature.map(SignatureBuilder::finish) != Some(signature.clone()) {
                        return differs;
                    }
                    word = Some(FileWord::New);
                    stats.new_entries += 1;
                    stats.new_bytes += bytes;
                } else {
                    let made = open.delta.finish();
                    let is_basis = matches!(old, Some(SigState::File { .. }));
                    if !is_basis || made.is_none_or(|bytes| !fits(&signature, bytes)) {
                        return differs;
                    }
                    word = Some(FileWord::Changed);
                    stats.changed_entries += 1;
                    stats.changed_bytes += made.unwrap_or(0);
                }
                sigtar::append_signature(&mut record, &file, &signature);
            }
            _ => return differs,
        }
        self.proven.note(&record, word, &open.path)?;
        Ok(Ok(()))
    }

    /// What was at `path` before the set.
    fn state_before(&mut self, path: &PathIndex) -> Result<Option<SigState>> {
        loop {
            if self.known.is_none() {
                self.known = self.before.next().transpose()?;
            }
            match &self.known {
                Some(known) if known.path < *path => self.known = None,
                Some(known) if known.path == *path => {
                    return Ok(self.known.take().map(|known| known.state));
                }
                _ => return Ok(None),
            }
        }
    }

    /// Attributes of a file as the sigtar gets them: one that may have changed once more while the set was made is given
    /// another time, so that the next increment looks at it again.
    fn looked_at_again(&self, meta: Metadata) -> Metadata {
        let recent = self.began.as_secs()..self.began.as_secs().saturating_add(86_400);
        match recent.contains(&meta.mtime) {
            true => Metadata {
                mtime: meta.mtime - 1,
                ..meta
            },
            false => meta,
        }
    }
}

impl<W: Write> Proven<W> {
    fn note(&mut self, record: &[u8], word: Option<FileWord>, path: &PathIndex) -> Result<()> {
        self.sigtar.write_all(record).map_err(Error::from)?;
        self.sigtar_bytes += record.len() as u64;
        if let Some(word) = word {
            let line = manifest::filelist_line(word, path);
            self.filelist.write_all(&line).map_err(Error::from)?;
            self.filelist_bytes += line.len() as u64;
            self.filelist_lines += 1;
        }
        Ok(())
    }
}

/// Whether `member` is the next part of the file being read, stored in one go.
fn continues(open: &Open, member: &Member) -> bool {
    open.path == member.path
        && open.diff == member.diff
        && open.meta == member.meta
        && member.block == open.block.checked_add(1)
}

/// Whether a signature may be one of so many bytes.
fn fits(signature: &[u8], bytes: u64) -> bool {
    SignatureIndex::layout(signature)
        .is_ok_and(|(block_len, blocks)| bytes.div_ceil(block_len as u64) == blocks)
}

fn entry(open: &Open, kind: Kind, meta: Metadata) -> Entry {
    Entry {
        path: open.path.clone(),
        kind,
        meta,
        size: open.bytes,
    }
}
