//! The block of statistics after a backup, and the same as JSON. Parsers written for duplicity's read both.

use crate::engine::stats::BackupStats;
use crate::engine::time::Timestamp;
use serde::Serialize;
use std::fmt::Write as _;

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

/// The statistics block, without the end of its last line.
pub fn statistics(stats: &BackupStats, span: Span) -> String {
    let Span { started, ended } = span;
    let mut text = String::from("--------------[ Backup Statistics ]--------------\n");
    let mut time = |name: &str, t: f64| {
        let _ = writeln!(text, "{name} {t:.2} ({})", Timestamp(t as i64).to_asctime());
    };
    time("StartTime", started);
    time("EndTime", ended);
    let elapsed = ended - started;
    let _ = writeln!(text, "ElapsedTime {elapsed:.2} ({})", duration(elapsed));
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
    text.push_str("-------------------------------------------------\n");
    text
}

/// Seconds as `1 hour 2 minutes 3.00 seconds`.
fn duration(seconds: f64) -> String {
    let whole = seconds as u64;
    let (hours, minutes) = (whole / 3600, whole / 60 % 60);
    let mut parts = Vec::new();
    let mut part = |n: u64, unit: &str| {
        if n > 0 {
            parts.push(format!("{n} {unit}{}", if n == 1 { "" } else { "s" }));
        }
    };
    part(hours, "hour");
    part(minutes, "minute");
    let left = seconds - (hours * 3600 + minutes * 60) as f64;
    if parts.is_empty() || left >= 0.005 {
        parts.push(format!("{left:.2} seconds"));
    }
    parts.join(" ")
}

/// When a run began and ended, seconds since 1970.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    /// Its beginning.
    pub started: f64,
    /// Its end.
    pub ended: f64,
}

/// What `--jsonstat` tells of a run besides its figures.
#[derive(Debug, Clone, Serialize)]
pub struct Meta {
    /// `full` or `inc`.
    pub action: &'static str,
    /// Nothing was stored, because nothing changed.
    pub skipped_inc: bool,
    /// Time of the chain's full set.
    pub time_full_bkp: Option<i64>,
    /// The same as in names of files.
    pub time_full_bkp_str: Option<String>,
    /// Incremental sets the chain had before.
    pub no_of_inc: usize,
    /// Uploads at once.
    pub concurrency: usize,
    /// The target, without password.
    pub target: String,
    /// The source.
    pub source: String,
    /// Name in the archive dir of what is told of each set the chain had before, or `N/A`.
    pub local_json_stat: Vec<String>,
}

/// Figures and surroundings of a run, with duplicity's names.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Json<'a> {
    filename: Option<&'static str>,
    start_time: f64,
    end_time: f64,
    elapsed_time: f64,
    errors: u64,
    total_destination_size_change: u64,
    source_files: u64,
    source_file_size: u64,
    new_files: u64,
    new_file_size: u64,
    deleted_files: u64,
    changed_files: u64,
    changed_file_size: u64,
    changed_delta_size: u64,
    delta_entries: u64,
    raw_delta_size: u64,
    #[serde(rename = "StartTime_str")]
    start_text: String,
    #[serde(rename = "EndTime_str")]
    end_text: String,
    #[serde(rename = "backup_meta")]
    meta: &'a Meta,
}

/// The statistics as JSON.
pub fn json(stats: &BackupStats, span: Span, meta: &Meta) -> String {
    let text = |t: f64| Timestamp(t as i64).to_name();
    super::pretty(&Json {
        filename: None,
        start_time: span.started,
        end_time: span.ended,
        elapsed_time: span.ended - span.started,
        errors: stats.problems,
        total_destination_size_change: stats.stored_bytes,
        source_files: stats.source_entries,
        source_file_size: stats.source_bytes,
        new_files: stats.new_entries,
        new_file_size: stats.new_bytes,
        deleted_files: stats.deleted_entries,
        changed_files: stats.changed_entries,
        changed_file_size: stats.changed_bytes,
        changed_delta_size: 0,
        delta_entries: stats.delta_entries,
        raw_delta_size: stats.raw_delta_bytes,
        start_text: text(span.started),
        end_text: text(span.ended),
        meta,
    })
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

    #[test]
    fn durations_have_parts() {
        assert_eq!(duration(0.04), "0.04 seconds");
        assert_eq!(duration(60.0), "1 minute");
        assert_eq!(duration(3725.5), "1 hour 2 minutes 5.50 seconds");
    }
}
