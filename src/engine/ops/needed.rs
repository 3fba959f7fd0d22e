//! The volumes of one set that an operation needs, in order, and how they are opened.
//!
//! Manifests bound every volume by its first and last path. Where these bounds do not follow each other they are not
//! gone by: then every volume is needed.

use super::fetch_ahead::{Fetcher, Wanted};
use crate::engine::ahead::{Permits, read_ahead};
use crate::engine::collection::{BackupSet, StoredFile};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::format::manifest::{Manifest, VolumeInfo};
use crate::engine::path::PathIndex;
use crate::engine::seal::ReadHash;
use crate::engine::target::Engine;
use std::collections::VecDeque;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

/// The content of an opened volume.
pub(super) type Input = Box<dyn Read + Send>;

/// What there is to read of a volume.
pub(super) enum Opened {
    /// All of it; its hash is right.
    Whole(Input),
    /// All that is wanted of it, proven by itself.
    Part(Input),
}

/// Volumes of fewer sealed bytes are not worth a thread.
const AHEAD_BYTES: u64 = 64 * 1024;

/// Where volumes come from.
#[derive(Clone)]
pub(super) struct Supply<'e> {
    /// Fetches them.
    pub fetcher: Arc<Fetcher<'e>>,
    /// For reading them ahead.
    pub permits: Permits,
    /// Index of the set.
    pub set: usize,
}

/// The volumes still to be read.
pub(super) struct Needed<'e> {
    manifest: Option<Manifest>,
    in_order: bool,
    pending: VecDeque<u32>,
    supply: Option<Supply<'e>>,
}

impl<'e> Needed<'e> {
    /// None.
    pub fn nothing() -> Self {
        Self {
            manifest: None,
            in_order: false,
            pending: VecDeque::new(),
            supply: None,
        }
    }

    /// Those that can hold something at or below `wanted`.
    pub fn within(wanted: &PathIndex, manifest: Manifest) -> Self {
        let in_order = ordered(&manifest);
        let needed = |v: &VolumeInfo| {
            !in_order
                || (v.end.path >= *wanted
                    && (v.start.path <= *wanted || v.start.path.is_within(wanted)))
        };
        let volumes = manifest.volumes.iter();
        let pending = volumes.filter(|(_, v)| needed(v)).map(|(n, _)| *n);
        Self {
            pending: pending.collect(),
            in_order,
            manifest: Some(manifest),
            supply: None,
        }
    }

    /// All that the target shows and those that are missing between them, for want of a manifest.
    pub fn all_of(set: &BackupSet) -> Self {
        let last = set.volumes.keys().next_back().copied().unwrap_or(0);
        Self {
            pending: (1..=last).collect(),
            ..Self::nothing()
        }
    }

    /// Whether the bounds of the volumes can be gone by.
    pub fn in_order(&self) -> bool {
        self.in_order
    }

    /// What to fetch for the set with this index.
    pub fn wanted(&self, set: &BackupSet, index: usize) -> Vec<Wanted> {
        let wanted = self.pending.iter().enumerate().filter_map(|(i, number)| {
            let info = self.info(*number);
            Some(Wanted {
                // Without bounds it is only known that the first comes first.
                start: match info.filter(|_| self.in_order) {
                    Some(info) => info.start.path.clone(),
                    None if i == 0 => PathIndex::root(),
                    None => PathIndex::after_all(),
                },
                set: index,
                number: *number,
                file: set.volumes.get(number)?.clone(),
                hash: info.and_then(|info| info.hash.clone()),
            })
        });
        wanted.collect()
    }

    /// Where they come from.
    pub fn supply(&mut self, supply: Supply<'e>) {
        self.supply = Some(supply);
    }

    /// The next one: its number, and what the manifest says of it.
    pub fn next(&mut self) -> Option<(u32, Option<VolumeInfo>)> {
        let number = self.pending.pop_front()?;
        Some((number, self.info(number).cloned()))
    }

    /// Gives up all that were not opened.
    pub fn forget_rest(&mut self) {
        let rest = std::mem::take(&mut self.pending);
        if let Some(supply) = &self.supply {
            supply.fetcher.forget(supply.set, rest);
        }
    }

    /// Opens a volume, read ahead if it is worth it. Its content comes only after its hash was checked. `shortcut` may give
    /// all that is wanted of it instead, and has to prove it: on this machine nobody waits for the hash then.
    ///
    /// # Errors
    /// Those of fetching and unsealing.
    pub fn open(
        &self,
        number: u32,
        set: &BackupSet,
        engine: &Engine,
        shortcut: &dyn Fn(&StoredFile, &File) -> Option<Input>,
    ) -> Result<Opened> {
        let (Some(file), Some(supply)) = (set.volumes.get(&number), &self.supply) else {
            return Err(Error::new(
                ErrorKind::NotFound,
                format!("volume {number} of the {} is not at the target", set.id),
            ));
        };
        let open = |content: File| -> Result<Opened> {
            if let Some(input) = shortcut(file, &content) {
                return Ok(Opened::Part(input));
            }
            let input = engine.unseal(file, content)?;
            Ok(Opened::Whole(ahead(input, file, &supply.permits)))
        };
        // While its hash is computed, the key is derived and the first buffers are filled. Nothing of them is used before
        // the hash was found right, and then only if they are of that very file.
        let primed = if supply.fetcher.is_pending(supply.set, number) {
            let object = engine.target.storage.open_local(&file.name).ok().flatten();
            object.and_then(|object| Some((identity(&object.file)?, open(object.file))))
        } else {
            None
        };
        if let Some((_, Ok(Opened::Part(input)))) = primed {
            supply.fetcher.forget(supply.set, [number]);
            return Ok(Opened::Part(input));
        }
        let content = supply.fetcher.take(supply.set, number)?;
        match primed {
            Some((primed, input)) if identity(&content) == Some(primed) => input,
            _ => open(content),
        }
    }

    /// Opens a volume that lies here without having checked it, to be hashed while it is read; read ahead if it is worth it.
    ///
    /// # Errors
    /// It is not here, or those of unsealing.
    pub fn open_hashing(
        &self,
        number: u32,
        file: &StoredFile,
        engine: &Engine,
    ) -> Result<(Input, ReadHash)> {
        let (content, permits) = match &self.supply {
            Some(supply) => (
                supply.fetcher.take(supply.set, number)?,
                Some(&supply.permits),
            ),
            None => (engine.as_it_lies(file)?, None),
        };
        let seal = &engine.target.seal;
        let (input, hash) = seal.unseal_hashing(file.parsed.form, content)?;
        let input = match permits {
            Some(permits) => ahead(input, file, permits),
            None => input,
        };
        Ok((input, hash))
    }

    fn info(&self, number: u32) -> Option<&VolumeInfo> {
        self.manifest.as_ref()?.volumes.get(&number)
    }
}

/// Reads a volume ahead if it is worth it.
fn ahead(input: Input, file: &StoredFile, permits: &Permits) -> Input {
    match file.size {
        0..AHEAD_BYTES => input,
        _ => read_ahead(input, permits),
    }
}

/// What tells one file from another: device and inode. Objects are replaced, never changed.
fn identity(file: &File) -> Option<(u64, u64)> {
    let metadata = file.metadata().ok()?;
    Some((metadata.dev(), metadata.ino()))
}

/// Whether the bounds of the volumes follow each other.
fn ordered(manifest: &Manifest) -> bool {
    let bounds: Vec<&PathIndex> = manifest
        .volumes
        .values()
        .flat_map(|v| [&v.start.path, &v.end.path])
        .collect();
    bounds.is_sorted()
}
