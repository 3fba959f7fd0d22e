//! The entries of one set in order, across its volumes, with what is lost told entry by entry.
//!
//! Volumes are checked against their hash before a byte of them is used, unless all that is wanted of one is proven
//! without, or whoever reads takes nothing for certain before the end ([`Care::Swift`]). Once one is lost, the sigtar of the
//! set, which names exactly the entries of its difftar, is read beside the rest: a file it names that does not come is
//! lost. Directories, links, devices and deletions are known from the sigtar alone.

mod ghosts;
mod salvage;
mod shortcut;
mod swift;

pub(super) use self::salvage::Care;
use self::swift::Hashing;

use super::copies::damaged;
use super::fetch_ahead::Wanted;
use super::needed::{Input, Needed, Opened, Supply};
use crate::engine::collection::BackupSet;
use crate::engine::context::Context;
use crate::engine::entry::{Kind, Metadata};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::format::difftar::{DifftarReader, Error as MemberError, Member};
use crate::engine::format::manifest::VolumeInfo;
use crate::engine::format::sigtar::{SigEntry, SigState, SigtarReader};
use crate::engine::format::{BLOCK_BYTES, DiffKind, SetId};
use crate::engine::monitor::{Level, Problem, ProblemKind};
use crate::engine::path::PathIndex;
use crate::engine::target::Engine;
use std::collections::BTreeMap;
use std::io::{Read, Write};

/// The next entry of a set.
pub(super) enum Head {
    /// It is in the difftar; a file's data can be read next.
    Member {
        diff: DiffKind,
        kind: Kind,
        meta: Metadata,
    },
    /// Not a file, and known from the sigtar although its volume is lost.
    Known { kind: Kind, meta: Metadata },
    /// Its deletion is known from the sigtar although its volume is lost.
    KnownDeleted,
    /// Its content is lost.
    Lost,
}

/// The entries of one set within a path.
pub(super) struct SetStream<'e> {
    engine: &'e Engine,
    cx: &'e Context<'e>,
    set: BackupSet,
    needed: Needed<'e>,
    reader: Option<DifftarReader<Input>>,
    /// Whether what is being read was checked against the volume's hash, or proven by itself.
    hashed: bool,
    /// The hash of what is being read, if it is made meanwhile.
    hashing: Option<Hashing>,
    /// Member whose header was read and whose data was not.
    raw: Option<Member>,
    head: Option<(PathIndex, Head)>,
    /// Last path given out.
    last: Option<PathIndex>,
    /// Entry whose data is being read: the number and size of its part.
    current: Option<(PathIndex, DiffKind, u32, u64)>,
    ghosts: Option<SigtarReader<Input>>,
    ghost: Option<SigEntry>,
    wanted: PathIndex,
    /// For copying.
    buffer: Vec<u8>,
    /// Ranges of lost volumes.
    lost: Vec<(PathIndex, PathIndex)>,
    /// How damage is met.
    care: Care,
    /// Whether the volume being read is known to be damaged.
    doubtful: bool,
    /// What came out of the volume being read, as long as nothing has told that it is whole.
    unproven: Vec<PathIndex>,
    /// What came out of volumes before they turned out to be damaged.
    pub suspects: Vec<PathIndex>,
    /// From here on the sigtar cannot tell what was lost.
    blind_from: Option<PathIndex>,
    /// The volume that is read.
    number: u32,
    /// Volumes that were looked at whole, and whether they were damaged.
    pub seen: BTreeMap<u32, bool>,
    /// Volumes fetched.
    pub volumes: u64,
    /// Volumes and manifests lost.
    pub losses: u64,
}

impl<'e> SetStream<'e> {
    /// The entries of `set` at or below `wanted`. With [`Care::Strict`], the sigtar is read beside the volumes from the
    /// start.
    ///
    /// # Errors
    /// No key opens the manifest, or the target cannot be read. A damaged manifest makes the set a lost one.
    pub fn open(
        engine: &'e Engine,
        set: &BackupSet,
        wanted: &PathIndex,
        care: Care,
        cx: &'e Context<'e>,
    ) -> Result<Self> {
        let mut stream = Self {
            engine,
            cx,
            set: set.clone(),
            needed: Needed::nothing(),
            reader: None,
            hashed: false,
            hashing: None,
            raw: None,
            head: None,
            last: None,
            current: None,
            ghosts: None,
            ghost: None,
            wanted: wanted.clone(),
            buffer: Vec::new(),
            lost: Vec::new(),
            care,
            doubtful: false,
            unproven: Vec::new(),
            suspects: Vec::new(),
            blind_from: None,
            number: 0,
            seen: BTreeMap::new(),
            volumes: 0,
            losses: 0,
        };
        match engine.manifest_or_copy(set, cx) {
            Ok(manifest) => {
                stream.needed = Needed::within(wanted, manifest);
                if care != Care::Usual {
                    stream.watch_sigtar()?;
                }
            }
            // The volumes speak for themselves; the sigtar tells what is missing from them.
            Err(e) if care == Care::Salvage && e.kind() != ErrorKind::Interrupted => {
                stream.go_without_manifest(&e)?;
            }
            Err(e) if matches!(e.kind(), ErrorKind::Corrupt | ErrorKind::NotFound) => {
                stream.lose(&format!("{e}; reading the volumes that are there"), None)?;
                stream.needed = Needed::all_of(set);
            }
            Err(e) => return Err(e),
        }
        Ok(stream)
    }

    /// Which set it is.
    pub fn set(&self) -> SetId {
        self.set.id
    }

    /// Notes that the manifest at the target is damaged, though a copy of it served.
    ///
    /// # Errors
    /// The damage, where it ends the reading.
    pub fn has_bad_manifest(&mut self, damage: Error) -> Result<()> {
        if self.care == Care::Swift {
            return Err(damage);
        }
        self.losses += 1;
        self.cx.monitor.note(Level::Warning, &damage.to_string());
        Ok(())
    }

    /// The volumes it will ask for.
    pub fn wanted_volumes(&self, set: usize) -> Vec<Wanted> {
        self.needed.wanted(&self.set, set)
    }

    /// Where it gets them from. To be told before the first [`peek`](Self::peek).
    pub fn supply(&mut self, supply: Supply<'e>) {
        self.needed.supply(supply);
    }

    /// Path of the next entry.
    pub fn peek(&mut self) -> Result<Option<&PathIndex>> {
        if self.head.is_none() {
            self.skip_data()?;
            self.head = self.next_head()?;
        }
        Ok(self.head.as_ref().map(|(path, _)| path))
    }

    /// Takes the next entry, which [`peek`](Self::peek) has shown.
    pub fn take(&mut self) -> Option<Head> {
        let (path, head) = self.head.take()?;
        self.last = Some(path);
        Some(head)
    }

    /// Whether nothing is known about `path` in this set.
    pub fn is_unknown(&self, path: &PathIndex) -> bool {
        self.blind_from.as_ref().is_some_and(|from| from <= path)
            && self
                .lost
                .iter()
                .any(|(from, to)| from <= path && path <= to)
    }

    fn next_head(&mut self) -> Result<Option<(PathIndex, Head)>> {
        loop {
            let next = self.next_member()?.map(|m| m.path.clone());
            if let Some(ghost) = self.next_ghost(next.as_ref())? {
                let head = match ghost.state {
                    SigState::File { .. } => Head::Lost,
                    SigState::Other { kind, meta } => Head::Known { kind, meta },
                    SigState::Deleted => Head::KnownDeleted,
                };
                return Ok(Some((ghost.path, head)));
            }
            let Some(member) = self.raw.take() else {
                return Ok(None);
            };
            if !member.path.is_within(&self.wanted) {
                if self.needed.in_order() && member.path > self.wanted {
                    self.stop_reading();
                }
                continue;
            }
            if self.last.as_ref().is_some_and(|l| *l >= member.path) {
                // The rest of a file whose beginning was lost, or of one already told to be lost.
                if member.block.is_some_and(|b| b > 1) {
                    continue;
                }
                let reason = format!("it is out of order in the {}", self.set.id);
                self.cx
                    .monitor
                    .problem(Problem::new(ProblemKind::Refused, &member.path, reason));
                continue;
            }
            if member.block.is_some_and(|b| b > 1) {
                let path = member.path;
                return Ok(Some((path, Head::Lost)));
            }
            self.close_gap(&member.path);
            self.current = Some((
                member.path.clone(),
                member.diff,
                member.block.unwrap_or(0),
                member.size,
            ));
            let Member {
                path,
                diff,
                kind,
                meta,
                ..
            } = member;
            return Ok(Some((path, Head::Member { diff, kind, meta })));
        }
    }

    /// Reads the header of the next member into `raw`, opening volumes as needed.
    fn next_member(&mut self) -> Result<Option<&Member>> {
        while self.raw.is_none() {
            if self.reader.is_none() && !self.open_volume()? {
                return Ok(None);
            }
            let Some(reader) = &mut self.reader else {
                return Ok(None);
            };
            match reader.next_member() {
                Ok(Some(member)) => self.raw = Some(member),
                Ok(None) => {
                    self.reader = None;
                    self.check_hash()?;
                    self.trust_volume();
                }
                Err(e) => match refused(&e) {
                    Some(name) => {
                        self.cx.monitor.problem(Problem {
                            kind: ProblemKind::Refused,
                            path: name,
                            reason: "would lead out of the destination".into(),
                        });
                    }
                    None => {
                        self.reader = None;
                        self.seen.insert(self.number, true);
                        self.suspects.append(&mut self.unproven);
                        let e = Error::from(e);
                        self.lose(
                            &format!("a volume of the {} is damaged: {e}", self.set.id),
                            None,
                        )?;
                    }
                },
            }
        }
        Ok(self.raw.as_ref())
    }

    /// Gives up what follows: it is beyond what is wanted.
    fn stop_reading(&mut self) {
        // Without a hash the end of the volume must be reached to know that it is whole.
        if self.hashed {
            self.reader = None;
        }
        self.needed.forget_rest();
    }

    fn open_volume(&mut self) -> Result<bool> {
        while let Some((number, info)) = self.needed.next() {
            self.cx.cancel.check()?;
            if self.care == Care::Swift {
                self.open_swiftly(number, info.as_ref())?;
                return Ok(true);
            }
            self.hashed = info.as_ref().is_some_and(|info| info.hash.is_some());
            let shortcut = |file: &_, content: &_| self.shortcut(info.as_ref(), file, content);
            match self.needed.open(number, &self.set, self.engine, &shortcut) {
                Ok(opened) => {
                    self.volumes += 1;
                    self.number = number;
                    self.doubtful = false;
                    let input = match opened {
                        Opened::Whole(input) => {
                            if self.hashed {
                                self.seen.insert(number, false);
                            }
                            input
                        }
                        Opened::Part(input) => {
                            self.tell_shortcut(number);
                            input
                        }
                    };
                    self.reader = Some(DifftarReader::new(input));
                    return Ok(true);
                }
                Err(e) if matches!(e.kind(), ErrorKind::Corrupt | ErrorKind::NotFound) => {
                    if e.kind() == ErrorKind::Corrupt {
                        self.seen.insert(number, true);
                    }
                    if self.salvage_volume(number, &e, info.as_ref())? {
                        return Ok(true);
                    }
                    self.lose(&e.to_string(), info.as_ref())?;
                }
                Err(e) => return Err(e),
            }
        }
        Ok(false)
    }

    /// Notes a loss and lets the sigtar tell what it was.
    fn lose(&mut self, reason: &str, volume: Option<&VolumeInfo>) -> Result<()> {
        if self.care == Care::Swift {
            return Err(Error::new(ErrorKind::Corrupt, reason));
        }
        self.losses += 1;
        self.cx.monitor.note(Level::Warning, reason);
        // Without bounds, everything after what was read may be lost.
        let rest = || {
            (
                self.last.clone().unwrap_or_default(),
                PathIndex::after_all(),
            )
        };
        self.lost
            .push(volume.map_or_else(rest, |v| (v.start.path.clone(), v.end.path.clone())));
        self.watch_sigtar()
    }

    /// Writes the data of the current entry and returns its length.
    ///
    /// # Errors
    /// Those of reading and of `out`.
    pub fn copy_to(&mut self, out: &mut dyn Write) -> Result<u64> {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.resize(BLOCK_BYTES, 0);
        let mut bytes = 0;
        let copied = loop {
            match self.read(&mut buffer) {
                Ok(0) => break Ok(bytes),
                Ok(n) => {
                    if let Err(e) = out.write_all(buffer.get(..n).unwrap_or_default()) {
                        break Err(e.into());
                    }
                    bytes += n as u64;
                }
                Err(e) => break Err(e.into()),
            }
        };
        self.buffer = buffer;
        copied
    }

    /// Passes over what was not read of the current entry's data.
    fn skip_data(&mut self) -> Result<()> {
        while let Some((path, diff, block, size)) = self.current.take() {
            if block == 0 {
                return Ok(());
            }
            // The next part, if any, is skipped by the reader with its header.
            if size as usize == BLOCK_BYTES
                && let Some(next) = self.next_member()?
                && next.path == path
                && next.diff == diff
            {
                let part = (next.block.unwrap_or(0), next.size);
                self.raw = None;
                self.current = Some((path, diff, part.0, part.1));
            }
        }
        Ok(())
    }
}

/// Data of the current entry, all its parts.
impl Read for SetStream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        loop {
            let Some((path, diff, block, size)) = &self.current else {
                return Ok(0);
            };
            let Some(reader) = &mut self.reader else {
                return Ok(0);
            };
            let n = reader.read(buffer).map_err(damaged)?;
            if n > 0 || buffer.is_empty() {
                return Ok(n);
            }
            if *block == 0 || (*size as usize) < BLOCK_BYTES {
                self.current = None;
                return Ok(0);
            }
            let (path, diff, block) = (path.clone(), *diff, *block);
            self.current = None;
            let losses = self.losses;
            let next = self
                .next_member()?
                .filter(|m| m.path == path && m.diff == diff);
            let part = next.and_then(|m| Some((m.block?, m.size)));
            match part {
                Some((number, size)) if number == block + 1 && self.losses == losses => {
                    self.raw = None;
                    self.current = Some((path, diff, number, size));
                }
                _ => {
                    return Err(Error::new(
                        ErrorKind::Corrupt,
                        format!("part {} is lost", block + 1),
                    )
                    .into());
                }
            }
        }
    }
}

/// The name of a member that would lead out of the destination.
fn refused(error: &MemberError) -> Option<String> {
    match error {
        MemberError::Refused { name, .. } => {
            Some(String::from_utf8_lossy(name).escape_debug().to_string())
        }
        _ => None,
    }
}
