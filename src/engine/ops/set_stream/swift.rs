//! Volumes that are hashed while they are read.

use super::SetStream;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::format::difftar::DifftarReader;
use crate::engine::format::manifest::{HashKind, VolumeInfo};
use crate::engine::monitor::Counter;
use crate::engine::seal::ReadHash;

/// A volume, and what its hash has to be.
pub(super) struct Hashing {
    volume: String,
    hash: ReadHash,
    expected: Option<String>,
}

impl SetStream<'_> {
    /// Opens a volume where it lies.
    ///
    /// # Errors
    /// `Corrupt` if that cannot be done, whatever the reason.
    pub(super) fn open_swiftly(&mut self, number: u32, info: Option<&VolumeInfo>) -> Result<()> {
        let not_so = |reason: &str| {
            let text = format!("volume {number} of the {}: {reason}", self.set.id);
            Error::new(ErrorKind::Corrupt, text)
        };
        let expected = match info.and_then(|info| info.hash.clone()) {
            Some((HashKind::Sha1, hash)) => Some(hash),
            Some(_) => return Err(not_so("its hash is of another kind")),
            None => None,
        };
        let file = self.set.volumes.get(&number);
        let file = file.ok_or_else(|| not_so("it is not at the target"))?;
        let opened = self.needed.open_hashing(number, file, self.engine);
        let (input, hash) = opened.map_err(|e| not_so(&e.to_string()))?;
        self.hashing = Some(Hashing {
            volume: file.name.clone(),
            hash,
            expected,
        });
        // The end of the volume has to be reached.
        self.hashed = false;
        self.volumes += 1;
        self.number = number;
        self.reader = Some(DifftarReader::new(input));
        Ok(())
    }

    /// At the end of a volume: whether it was what it should be.
    ///
    /// # Errors
    /// `Corrupt` if it was not.
    pub(super) fn check_hash(&mut self) -> Result<()> {
        let Some(hashing) = self.hashing.take() else {
            return Ok(());
        };
        let damaged = |how: &str| {
            let text = format!("{} is damaged: {how}", hashing.volume);
            Error::new(ErrorKind::Corrupt, text)
        };
        let Some(read) = hashing.hash.whole() else {
            return Err(damaged("it was not read to its end"));
        };
        self.cx.monitor.count(Counter::FetchedBytes, read.bytes);
        let Some(expected) = hashing.expected else {
            return Ok(());
        };
        if !read.sha1.eq_ignore_ascii_case(&expected) {
            let how = format!("its hash is {}, the manifest says {expected}", read.sha1);
            return Err(damaged(&how));
        }
        self.seen.insert(self.number, false);
        Ok(())
    }
}
