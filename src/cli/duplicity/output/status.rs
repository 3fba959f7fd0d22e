//! Chains and sets, and what changed in them.

use crate::cli::duplicity::log::raw;
use crate::engine::collection::{BackupChain, BackupSet, Collection};
use crate::engine::format::manifest::{FileChange, FileWord};
use crate::engine::format::quote::quote;
use std::fmt::Write as _;

/// The collection status.
pub fn status(collection: &Collection, archive_dir: &str) -> String {
    let latest = collection.latest_chain();
    let mut text = format!(
        "Collection Status\n-----------------\nConnecting with backend: BackendWrapper\n\
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
    let incomplete = incomplete(collection).count();
    if collection.orphans.is_empty() && incomplete == 0 {
        text.push_str("No orphaned or incomplete backup sets found.");
    } else {
        let _ = write!(
            text,
            "Also found {} backup set(s) not part of any chain,\nand {} incomplete backup set(s).\n\
             These may be deleted by running duplicity with the \"cleanup\" command.",
            collection.orphans.len(),
            incomplete
        );
    }
    text
}

/// Sets without a manifest. What is left of one but signatures is no set any more.
fn incomplete(collection: &Collection) -> impl Iterator<Item = &BackupSet> {
    let sets = collection.incomplete.iter();
    sets.filter(|set| set.manifest.is_some() || !set.volumes.is_empty())
}

fn chain_status(text: &mut String, chain: &BackupChain) {
    let sets: Vec<&BackupSet> = chain.sets().collect();
    let volumes: usize = sets.iter().map(|s| s.volumes.len()).sum();
    let _ = write!(
        text,
        "-------------------------\nChain start time: {}\nChain end time: {}\nNumber of contained backup sets: {}\n\
         Total number of contained volumes: {volumes}\n{:>20}   {:>30}   {:>15}\n",
        chain.start().to_asctime(),
        chain.end().to_asctime(),
        sets.len(),
        "Type of backup set:",
        "Time:",
        "Num volumes:"
    );
    for set in sets {
        let word = kind(set);
        let _ = writeln!(
            text,
            "{word:>20}   {:>30}   {:>15}",
            set.id.time().to_asctime(),
            set.volumes.len()
        );
    }
    text.push_str("-------------------------\n");
}

/// The collection status as the machine log has it.
pub fn record(collection: &Collection, archive_dir: &str) -> String {
    let mut text = format!("\nbackend BackendWrapper\narchive-dir {archive_dir}");
    let latest = collection.latest_chain();
    let mut number = 0;
    for chain in &collection.chains {
        if latest.is_some_and(|l| l.start() == chain.start()) {
            text.push_str("\nchain-complete");
        } else {
            let _ = write!(text, "\nchain-no-sig {number}");
            number += 1;
        }
        for set in chain.sets() {
            set_record(&mut text, set);
        }
    }
    let orphans: Vec<&BackupSet> = collection.orphans.iter().collect();
    for (word, sets) in [
        ("orphaned-sets-num", orphans),
        ("incomplete-sets-num", incomplete(collection).collect()),
    ] {
        let _ = write!(text, "\n{word} {}", sets.len());
        for set in sets {
            set_record(&mut text, set);
        }
    }
    text
}

fn set_record(text: &mut String, set: &BackupSet) {
    let word = if set.id.is_full() { "full" } else { "inc" };
    let seal = if set.is_encrypted() { "enc" } else { "noenc" };
    let _ = write!(
        text,
        "\n {word} {} {} {seal}",
        set.id.time().to_name(),
        set.volumes.len()
    );
}

fn kind(set: &BackupSet) -> &'static str {
    if set.id.is_full() {
        "Full"
    } else {
        "Incremental"
    }
}

/// The sets in which one file changed, and how.
pub fn history(path: &str, found: &[(&BackupSet, FileWord)]) -> String {
    let mut text = format!(
        "-------------------------\nFile: b'{path}'\nTotal number of backup: {}\n{:>20}   {:>30}  {:>20}\n",
        found.len(),
        "Type of backup set:",
        "Time:",
        "Type of file change:"
    );
    for (set, word) in found {
        let change = match word {
            FileWord::New => "b'New'",
            FileWord::Changed => "b'Changed'",
            FileWord::Deleted => "b'Deleted'",
        };
        let _ = writeln!(
            text,
            "{:>20}   {:>30}  {change:>20}",
            kind(set),
            set.id.time().to_asctime()
        );
    }
    text.push_str("-------------------------");
    text
}

/// The files that changed in one set.
pub fn changes(set: &BackupSet, changes: &[FileChange]) -> String {
    // COMPAT(dup 3): paths as manifests quote them.
    let shown: Vec<String> = changes
        .iter()
        .map(|c| String::from_utf8_lossy(&quote(raw(&c.path))).into_owned())
        .collect();
    // The widest in bytes makes the column, in characters.
    let width = shown.iter().map(String::len).fold(5, usize::max);
    let mut text = format!(
        "-------------------------\n Backup set time: {}\nTotal number of changes: {}\n{:<width$}  {:>20}\n",
        set.id.time().to_asctime(),
        changes.len(),
        "File:",
        "Type of file change:"
    );
    for (change, path) in changes.iter().zip(&shown) {
        let _ = writeln!(text, "{path:<width$}  {:>20}", change.word.as_str());
    }
    text.push_str("-------------------------");
    text
}
