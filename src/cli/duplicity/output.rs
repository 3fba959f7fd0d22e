//! duplicity's words: statistics, collection status, listings, differences. Parsers written for them keep working.

use crate::engine::collection::{BackupChain, BackupSet, Collection};
use crate::engine::entry::Entry;
use crate::engine::error::{Error, Result};
use crate::engine::ops::output::{Difference, DifferenceKind, Output};
use crate::engine::path::PathIndex;
use crate::engine::stats::{BackupStats, RestoreStats};
use crate::engine::time::Timestamp;
use std::fmt::Write as _;
use std::io::Write;

/// A path as duplicity prints it: raw bytes, `.` for the root.
fn raw(path: &PathIndex) -> &[u8] {
    if path.is_root() {
        b"."
    } else {
        path.as_bytes()
    }
}

/// Bytes as `3.40 MB`: three digits, powers of 1024.
fn human(bytes: u64) -> String {
    match bytes {
        1 => return "1 byte".into(),
        0..1024 => return format!("{bytes} bytes"),
        _ => {}
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = "KB";
    for next in ["MB", "GB", "TB"] {
        if value >= 1024.0 {
            value /= 1024.0;
            unit = next;
        }
    }
    let digits = if value >= 100.0 {
        0
    } else if value >= 10.0 {
        1
    } else {
        2
    };
    format!("{value:.digits$} {unit}")
}

/// The statistics block. `started` and `ended` are seconds since 1970.
pub fn statistics(stats: &BackupStats, started: f64, ended: f64) -> String {
    let mut text = String::from("--------------[ Backup Statistics ]--------------\n");
    let mut time = |name: &str, t: f64| {
        let _ = writeln!(text, "{name} {t:.2} ({})", Timestamp(t as i64).to_asctime());
    };
    time("StartTime", started);
    time("EndTime", ended);
    let _ = writeln!(text, "ElapsedTime {0:.2} ({0:.2} seconds)", ended - started);
    let mut count = |name: &str, n: u64| {
        let _ = writeln!(text, "{name} {n}");
    };
    count("SourceFiles", stats.source_entries);
    let size = |text: &mut String, name: &str, n: u64| {
        let _ = writeln!(text, "{name} {n} ({})", human(n));
    };
    size(&mut text, "SourceFileSize", stats.source_bytes);
    let _ = writeln!(text, "NewFiles {}", stats.new_entries);
    size(&mut text, "NewFileSize", stats.new_bytes);
    let _ = writeln!(text, "DeletedFiles {}", stats.deleted_entries);
    let _ = writeln!(text, "ChangedFiles {}", stats.changed_entries);
    size(&mut text, "ChangedFileSize", stats.changed_bytes);
    size(&mut text, "ChangedDeltaSize", 0);
    let _ = writeln!(text, "DeltaEntries {}", stats.delta_entries);
    size(&mut text, "RawDeltaSize", stats.raw_delta_bytes);
    size(&mut text, "TotalDestinationSizeChange", stats.stored_bytes);
    let _ = writeln!(text, "Errors {}", stats.problems);
    text.push_str("-------------------------------------------------\n\n");
    text
}

/// The collection status.
pub fn status(collection: &Collection, archive_dir: &str) -> String {
    let latest = collection.latest_chain();
    let full = latest.map_or("none".into(), |c| c.start().to_asctime());
    let mut text = format!(
        "Last full backup date: {full}\nCollection Status\n-----------------\nConnecting with backend: BackendWrapper\n\
         Archive dir: {archive_dir}\n\n"
    );
    let secondary: Vec<&BackupChain> = collection
        .chains
        .iter()
        .filter(|c| latest.is_none_or(|l| c.start() != l.start()))
        .collect();
    let _ = writeln!(text, "Found {} secondary backup chain(s).", secondary.len());
    for (i, chain) in secondary.iter().enumerate() {
        let _ = writeln!(text, "Secondary chain {} of {}:", i + 1, secondary.len());
        chain_status(&mut text, chain);
        text.push('\n');
    }
    text.push('\n');
    match latest {
        Some(chain) => {
            text.push_str("Found primary backup chain with matching signature chain:\n");
            chain_status(&mut text, chain);
        }
        None => text.push_str("No backup chains with active signatures found\n"),
    }
    if collection.orphans.is_empty() && collection.incomplete.is_empty() {
        text.push_str("No orphaned or incomplete backup sets found.\n");
    } else {
        let _ = write!(
            text,
            "Also found {} backup set(s) not part of any chain,\nand {} incomplete backup set(s).\n\
             These may be deleted by running duplicity with the \"cleanup\" command.\n",
            collection.orphans.len(),
            collection.incomplete.len()
        );
    }
    text
}

fn chain_status(text: &mut String, chain: &BackupChain) {
    let sets: Vec<&BackupSet> = chain.sets().collect();
    let volumes: usize = sets.iter().map(|s| s.volumes.len()).sum();
    let _ = write!(
        text,
        "-------------------------\nChain start time: {}\nChain end time: {}\nNumber of contained backup sets: {}\n\
         Total number of contained volumes: {volumes}\n {:<20}   {:>30}   {:>15}\n",
        chain.start().to_asctime(),
        chain.end().to_asctime(),
        sets.len(),
        "Type of backup set:",
        "Time:",
        "Num volumes:"
    );
    for set in sets {
        let word = if set.id.is_full() {
            "Full"
        } else {
            "Incremental"
        };
        let _ = writeln!(
            text,
            "{word:>20}   {:>30}   {:>15}",
            set.id.time().to_asctime(),
            set.volumes.len()
        );
    }
    text.push_str("-------------------------\n");
}

/// One line about what a verify did.
pub fn verified(stats: &RestoreStats) -> String {
    format!(
        "Verify complete: {} file(s) compared, {} difference(s) found.\n",
        stats.entries, stats.differences
    )
}

/// Prints listings and differences as they come.
pub struct Printer<'a>(pub &'a mut dyn Write);

impl Output for Printer<'_> {
    fn entry(&mut self, entry: &Entry) -> Result<()> {
        let time = Timestamp(entry.meta.mtime).to_asctime();
        let line = [time.as_bytes(), b" ", raw(&entry.path), b"\n"].concat();
        self.0.write_all(&line).map_err(Error::from)
    }

    fn difference(&mut self, difference: &Difference) -> Result<()> {
        let path = String::from_utf8_lossy(raw(&difference.path)).into_owned();
        let time = |t: i64| Timestamp(t).to_asctime();
        let text = match &difference.kind {
            DifferenceKind::New => format!("New file {path}"),
            DifferenceKind::Missing => format!("File {path} is missing"),
            DifferenceKind::Type { local, backup } => {
                format!("File {path} has type {local}, expected {backup}")
            }
            DifferenceKind::Permissions { local, backup } => {
                format!("File {path} has permissions {local}, expected {backup}")
            }
            DifferenceKind::Mtime { local, backup } => {
                format!(
                    "File {path} has mtime {}, expected {}",
                    time(*local),
                    time(*backup)
                )
            }
            DifferenceKind::Data => format!("Data for file {path} is different"),
            DifferenceKind::LinkTarget { local, backup } => format!(
                "Symlink {path} points to {}, expected {}",
                String::from_utf8_lossy(local),
                String::from_utf8_lossy(backup)
            ),
            DifferenceKind::Device => format!("Device file {path} has other numbers than expected"),
        };
        writeln!(self.0, "Difference found: {text}").map_err(Error::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_three_digits() {
        assert_eq!(human(0), "0 bytes");
        assert_eq!(human(1), "1 byte");
        assert_eq!(human(20_512), "20.0 KB");
        assert_eq!(human(3_567_106), "3.40 MB");
        assert_eq!(human(204_303), "200 KB");
    }
}
