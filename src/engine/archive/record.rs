//! What this machine knows of the files of a set: their lengths at the target, and hashes of the copies here.
//!
//! A copy that is not what was stored, or a file at the target that is not what was uploaded, is found by it without a
//! single download. One small JSON file per set, followed by its own hash, under a name duplicity does not look at.
//! Sets that other programs wrote have none until their files were read once. It may be lost at any time.

use super::durable::install;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::format::SetId;
use crate::engine::path::PathIndex;
use serde::{Deserialize, Serialize};
use sha1::{Digest, Sha1};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::Path;
use tempfile::NamedTempFile;

/// What is known of one set. Everything may be unknown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct SetRecord {
    /// Length of the manifest at the target, bytes.
    pub manifest_bytes: Option<u64>,
    /// Length of the sigtar at the target, bytes.
    pub sigtar_bytes: Option<u64>,
    /// Lengths of the volumes at the target by number, bytes; empty if they were never known.
    pub volume_bytes: BTreeMap<u32, u64>,
    /// SHA-1 of the manifest here, hex.
    pub manifest_sha1: Option<String>,
    /// SHA-1 of the sigtar here, hex.
    pub sigtar_sha1: Option<String>,
    /// Volumes whose content was not what the manifest says when they were last read.
    pub damaged_volumes: BTreeSet<u32>,
    /// Which dumps it holds and which it lacks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dumps: Option<DumpRecord>,
}

/// The dumps of one set, by their paths in it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct DumpRecord {
    /// Those that are stored whole.
    pub stored: BTreeSet<String>,
    /// Those that failed and are a hole.
    pub missing: BTreeSet<String>,
}

impl DumpRecord {
    /// Whether all there should be at `place` and below it is there.
    pub fn is_whole(&self, place: &PathIndex) -> bool {
        let within =
            |path: &String| PathIndex::new(path.as_bytes()).is_ok_and(|path| path.is_within(place));
        self.stored.iter().any(within) && !self.missing.iter().any(within)
    }
}

/// File name of the record of a set.
pub(super) fn name(set: SetId) -> String {
    match set {
        SetId::Full { time } => format!("dupr-set-{}.json", time.to_name()),
        SetId::Incremental { start, end } => {
            format!("dupr-set-{}-{}.json", start.to_name(), end.to_name())
        }
    }
}

/// Reads the record of a set; nothing is known if it is missing, damaged or another set's.
pub(super) fn read(dir: &Path, set: SetId) -> SetRecord {
    let record = || {
        let text = std::fs::read_to_string(dir.join(name(set))).ok()?;
        let (json, hash) = text.split_once('\n')?;
        let known: (SetId, SetRecord) = serde_json::from_str(json).ok()?;
        (known.0 == set && hash.trim_end() == hex(json.as_bytes())).then_some(known.1)
    };
    record().unwrap_or_default()
}

/// Writes the record of a set, durably, by way of `temp`.
pub(super) fn write(
    mut temp: NamedTempFile,
    dir: &Path,
    set: SetId,
    record: &SetRecord,
) -> Result<()> {
    let path = dir.join(name(set));
    let json = serde_json::to_string(&(set, record)).map_err(|e| {
        Error::new(ErrorKind::Internal, "cannot encode the record of a set").with_source(e)
    })?;
    writeln!(temp, "{json}\n{}", hex(json.as_bytes())).map_err(|e| Error::io("write", &path, e))?;
    install(temp, &path)
}

/// SHA-1 of a file, hex.
///
/// # Errors
/// It cannot be read.
pub fn hash_of(path: &Path) -> Result<String> {
    let read = |path| {
        let mut file = BufReader::with_capacity(256 * 1024, File::open(path)?);
        let mut sha1 = Sha1::new();
        let mut buffer = vec![0; 256 * 1024];
        loop {
            let n = file.read(&mut buffer)?;
            if n == 0 {
                return Ok(text(&sha1.finalize()));
            }
            sha1.update(&buffer[..n]);
        }
    };
    read(path).map_err(|e| Error::io("read", path, e))
}

/// SHA-1 of bytes, hex.
pub fn hex(bytes: &[u8]) -> String {
    text(&Sha1::digest(bytes))
}

fn text(digest: &[u8]) -> String {
    digest.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::time::Timestamp;

    #[test]
    fn a_record_that_is_damaged_or_of_another_set_says_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let set = SetId::Full {
            time: Timestamp(1_800_000_000),
        };
        let path = dir.path().join(name(set));
        assert_eq!(read(dir.path(), set), SetRecord::default());
        let record = SetRecord {
            manifest_bytes: Some(10),
            volume_bytes: BTreeMap::from([(1, 5), (2, 7)]),
            sigtar_sha1: Some(hex(b"x")),
            damaged_volumes: BTreeSet::from([2]),
            ..SetRecord::default()
        };
        let temp = NamedTempFile::new_in(dir.path()).unwrap();
        write(temp, dir.path(), set, &record).unwrap();
        assert_eq!(read(dir.path(), set), record);
        let other = SetId::Full {
            time: Timestamp(1_800_000_001),
        };
        std::fs::copy(&path, dir.path().join(name(other))).unwrap();
        assert_eq!(read(dir.path(), other), SetRecord::default());
        let good = std::fs::read(&path).unwrap();
        for i in 0..good.len() - 1 {
            let mut bad = good.clone();
            bad[i] ^= 1;
            std::fs::write(&path, &bad).unwrap();
            assert_eq!(read(dir.path(), set), SetRecord::default(), "byte {i}");
        }
    }

    #[test]
    fn hash_of_a_file_is_that_of_its_bytes() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a"), b"abc").unwrap();
        assert_eq!(
            hash_of(&dir.path().join("a")).unwrap(),
            "a9993e364706816aba3e25717850c26c9cd0d89d"
        );
        assert_eq!(hex(b"abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
    }
}
