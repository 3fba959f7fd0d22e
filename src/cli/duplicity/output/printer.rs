//! Listings and differences, told as they come.

use crate::cli::duplicity::log::{Log, Weight, code, quoted, raw};
use crate::engine::entry::{Entry, Kind};
use crate::engine::error::Result;
use crate::engine::ops::output::{Difference, DifferenceKind, Output};
use crate::engine::time::Timestamp;

/// Prints listings and differences as they come.
pub struct Printer<'a>(pub &'a Log);

/// The type of an entry in the machine log.
fn word(kind: &Kind) -> &'static str {
    match kind {
        Kind::File => "reg",
        _ => kind.word(),
    }
}

impl Output for Printer<'_> {
    fn entry(&mut self, entry: &Entry) -> Result<()> {
        let time = Timestamp(entry.meta.mtime);
        let path = raw(&entry.path);
        let line = [time.to_asctime().as_bytes(), b" ", path].concat();
        let extra = || format!("{} {} {}", time.to_name(), quoted(path), word(&entry.kind));
        self.0.line(code::LISTED, extra, &line);
        Ok(())
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
        self.0
            .say(Weight::Notice, &format!("Difference found: {text}"));
        Ok(())
    }
}
