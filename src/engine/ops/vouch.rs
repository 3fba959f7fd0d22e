//! What came out of damaged volumes, held against the sigtars that are left: what they know is no longer in doubt.

use super::restore::Doubts;
use crate::engine::collection::BackupSet;
use crate::engine::context::Context;
use crate::engine::delta::{SignatureBuilder, SignatureIndex};
use crate::engine::entry::{Kind, Metadata};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::format::sigtar::{SigState, SigtarReader};
use crate::engine::path::PathIndex;
use crate::engine::stream::overlay::Overlay;
use crate::engine::target::Engine;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

impl Engine {
    /// Takes out of `doubts` what was not written after all, and what is as the sigtars of `sets`, oldest first, say.
    /// `place` tells where a path was written.
    ///
    /// # Errors
    /// `Interrupted`. What cannot be read proves nothing.
    pub(super) fn vouch(
        &self,
        sets: &[&BackupSet],
        doubts: &mut Doubts,
        place: &dyn Fn(&PathIndex) -> PathBuf,
        cx: &Context,
    ) -> Result<()> {
        doubts.retain(|path, _| place(path).symlink_metadata().is_ok());
        if doubts.is_empty() {
            return Ok(());
        }
        // From the newest back: behind one that is gone nobody knows what was changed later.
        let mut layers = Vec::new();
        for set in sets.iter().rev() {
            match self.sigtar(set, cx) {
                Ok(input) => layers.push(SigtarReader::new(input).map(|e| e.map_err(Error::from))),
                Err(e) if e.kind() == ErrorKind::Interrupted => return Err(e),
                Err(_) => break,
            }
        }
        for entry in Overlay::new(layers.into_iter().rev()) {
            cx.cancel.check()?;
            let Ok(entry) = entry else { break };
            if doubts.contains_key(&entry.path)
                && is_as_signed(&place(&entry.path), &entry.state).unwrap_or(false)
            {
                doubts.remove(&entry.path);
            }
        }
        Ok(())
    }
}

/// Whether what lies at `path` is what a sigtar says.
fn is_as_signed(path: &Path, state: &SigState) -> io::Result<bool> {
    let found = path.symlink_metadata()?;
    // A file that had just been changed has a time one second earlier in its sigtar.
    let fits = |meta: &Metadata| {
        found.mode() & 0o7777 == meta.mode & 0o7777
            && (0..=1).contains(&found.mtime().saturating_sub(meta.mtime))
    };
    Ok(match state {
        SigState::File { meta, signature } => {
            found.is_file() && fits(meta) && has_signature(path, signature)?
        }
        SigState::Other { kind, meta } => match kind {
            Kind::Dir => found.is_dir() && fits(meta),
            Kind::Symlink(target) => {
                found.is_symlink() && path.read_link()?.as_os_str().as_bytes() == &target[..]
            }
            _ => false,
        },
        SigState::Deleted => false,
    })
}

fn has_signature(path: &Path, signature: &[u8]) -> io::Result<bool> {
    let Ok((block_len, _)) = SignatureIndex::layout(signature) else {
        return Ok(false);
    };
    let mut file = File::open(path)?;
    let mut builder = SignatureBuilder::new(block_len);
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(builder.finish() == signature),
            n => builder.push(buffer.get(..n).unwrap_or_default()),
        }
    }
}
