//! Volumes of a difftar: where one ends and the next begins.
//!
//! A volume is closed between two tar members, never inside one, so each is a tar file of its own and can be
//! restored alone. Bounds go to the manifest. See docs/format.md, "Volumes".

use crate::engine::archive::Spool;
use crate::engine::error::{Error, Result};
use crate::engine::format::difftar;
use crate::engine::format::manifest::{Bound, HashKind, VolumeInfo};
use crate::engine::path::PathIndex;
use crate::engine::seal::{Form, Seal, SealWriter, Written};
use crate::engine::storage::{Grower, Growing};
use std::fs::File;
use std::io::Write;
use std::sync::Arc;
use tempfile::NamedTempFile;

/// When a volume is full.
#[derive(Debug, Clone, Copy)]
pub(crate) struct VolumeLimits {
    /// Size a sealed volume should not exceed by much, bytes.
    pub volume_bytes: u64,
}

impl VolumeLimits {
    /// Sealed bytes after which no further member is begun.
    // COMPAT(dup all): its margins, so that volumes come out about as large.
    fn stop_at(self, form: Form) -> u64 {
        let margin = if form.is_encrypted() {
            51_200 + 16_384
        } else {
            51_200
        };
        self.volume_bytes.saturating_sub(margin + 65_536)
    }
}

/// Tells who uploads a sealed file how much of it is written.
struct Announcing {
    file: File,
    growing: Arc<Growing>,
}

impl Write for Announcing {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        let n = self.file.write(buffer)?;
        self.growing.grew(n)?;
        Ok(n)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

/// A sealed file that is not at the target yet.
#[derive(Debug)]
pub(crate) struct Sealed {
    /// Where it is; removed when dropped.
    pub spool: NamedTempFile,
    /// Its length.
    pub bytes: u64,
    /// SHA-1 of it, lower-case hex.
    pub sha1: String,
}

/// A sealed file being written.
pub(crate) struct Sealing {
    writer: Box<dyn SealWriter>,
    spool: NamedTempFile,
    grower: Grower,
}

impl Sealing {
    /// Starts a sealed file.
    pub fn begin(seal: &dyn Seal, form: Form, spool: &Spool) -> Result<Self> {
        Self::begin_expecting(seal, form, spool, 0)
    }

    /// Starts a sealed file that will have about `expected` bytes.
    fn begin_expecting(seal: &dyn Seal, form: Form, spool: &Spool, expected: u64) -> Result<Self> {
        let spool = spool.file()?;
        let grower = Grower::new(spool.path(), expected);
        let file = spool
            .as_file()
            .try_clone()
            .map_err(|e| Error::io("open", spool.path(), e))?;
        let writer = seal.seal(
            form,
            Box::new(Announcing {
                file,
                growing: grower.growing(),
            }),
        )?;
        Ok(Self {
            writer,
            spool,
            grower,
        })
    }

    /// Estimated length if it were finished now.
    pub fn estimated_bytes(&self) -> u64 {
        self.writer.estimated_bytes()
    }

    /// Ends it.
    pub fn finish(self) -> Result<Sealed> {
        let path = self.spool.path().to_path_buf();
        let Written { bytes, sha1 } = self
            .writer
            .finish()
            .map_err(|e| e.within(format!("cannot write spool file {}", path.display())))?;
        self.grower.finish();
        Ok(Sealed {
            spool: self.spool,
            bytes,
            sha1,
        })
    }
}

impl Write for Sealing {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        self.writer.write(buffer)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.writer.flush()
    }
}

/// A volume being written.
pub(crate) struct Volume {
    sealing: Sealing,
    stop_at: u64,
    tar_bytes: u64,
    bounds: Option<(Bound, Bound)>,
}

impl Volume {
    /// Starts a volume.
    pub fn begin(seal: &dyn Seal, limits: VolumeLimits, spool: &Spool) -> Result<Self> {
        let form = seal.form();
        let sealing = Sealing::begin_expecting(seal, form, spool, limits.volume_bytes)?;
        Ok(Self {
            sealing,
            stop_at: limits.stop_at(form),
            tar_bytes: 0,
            bounds: None,
        })
    }

    /// Whether the next member belongs into the next volume.
    pub fn is_full(&self) -> bool {
        self.bounds.is_some() && self.sealing.estimated_bytes() > self.stop_at
    }

    /// Its file, for whoever uploads it.
    pub fn growing(&self) -> Arc<Growing> {
        self.sealing.grower.growing()
    }

    /// Whether nothing was added yet.
    pub fn is_empty(&self) -> bool {
        self.bounds.is_none()
    }

    /// Adds a member's bytes. `block` is set for every part of a file but its last.
    pub fn add(&mut self, member: &[u8], path: &PathIndex, block: Option<u32>) -> Result<()> {
        self.sealing.write_all(member)?;
        self.tar_bytes += member.len() as u64;
        let bound = Bound {
            path: path.clone(),
            block,
        };
        match &mut self.bounds {
            None => self.bounds = Some((bound.clone(), bound)),
            Some((_, end)) => *end = bound,
        }
        Ok(())
    }

    /// Pads and seals it.
    pub fn finish(mut self) -> Result<(Sealed, VolumeInfo)> {
        let padding = difftar::end_padding(self.tar_bytes);
        self.sealing.write_all(&vec![0; padding])?;
        let sealed = self.sealing.finish()?;
        let root = Bound {
            path: PathIndex::root(),
            block: None,
        };
        let (start, end) = self.bounds.unwrap_or((root.clone(), root));
        let hash = Some((HashKind::Sha1, sealed.sha1.clone()));
        Ok((sealed, VolumeInfo { start, end, hash }))
    }
}
