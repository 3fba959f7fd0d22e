//! The user's crontab, through the program `crontab`.
//!
//! It is read, changed as a whole, copied aside, given back, and read again. A crontab that cannot be read is never
//! taken for an empty one.

use super::{Place, refused, run};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::schedule::crontab as lines;
use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

const PROGRAM: &str = "crontab";

/// Where the crontab lies as it was before dupr last changed it.
const COPY: &str = "crontab.before";

/// The crontab; empty if the user has none.
///
/// # Errors
/// It cannot be read.
pub fn read() -> Result<Vec<u8>> {
    let output = run(PROGRAM, &["-l"])?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    // Debian, cronie and BSD say the first, busybox the second.
    let none = said.contains("no crontab for") || said.contains("No such file");
    if none && output.stdout.is_empty() {
        return Ok(Vec::new());
    }
    Err(refused(PROGRAM, &["-l"], &output))
}

/// Puts blocks in and takes those of `gone` out.
///
/// # Errors
/// The crontab is as it was, and a copy of it lies in the state directory.
pub fn change(blocks: &BTreeMap<String, String>, gone: &[String], place: &Place) -> Result<()> {
    let before = read()?;
    let after = lines::merged(&before, blocks, gone)?;
    if after == before {
        return Ok(());
    }
    let copy = place.state_dir.join(COPY);
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&place.state_dir)
        .map_err(|e| Error::io("create", &place.state_dir, e))?;
    keep(&copy, &before)?;
    let hint = format!("the crontab as it was lies in {}", copy.display());
    give(&after, &place.state_dir).map_err(|e| e.with_hint(&hint))?;
    if read().is_ok_and(|now| now == after) {
        return Ok(());
    }
    give(&before, &place.state_dir).map_err(|e| e.with_hint(&hint))?;
    Err(Error::new(
        ErrorKind::Io,
        "the crontab reads differently from what was written, and was put back",
    )
    .with_hint(hint))
}

fn keep(path: &Path, bytes: &[u8]) -> Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let write = || -> std::io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path).map(|_| ()).map_err(|e| e.error)
    };
    write().map_err(|e| Error::io("write", path, e))
}

/// Hands a crontab to cron from a whole file: what breaks off on the way is never half a crontab.
fn give(bytes: &[u8], directory: &Path) -> Result<()> {
    let new = directory.join("crontab.new");
    keep(&new, bytes)?;
    let path = new.to_string_lossy();
    let output = run(PROGRAM, &[path.as_ref()]);
    let _ = std::fs::remove_file(&new);
    let output = output?;
    if output.status.success() {
        Ok(())
    } else {
        Err(refused(PROGRAM, &[path.as_ref()], &output))
    }
}

/// Whether a cron is seen that starts what stands in the crontab; taken to be there where that cannot be told.
pub fn runs() -> bool {
    // cron, crond and fcron; a longer pattern finds nothing.
    let found = run("pgrep", &["-x", "f?crond?"]);
    // Any other code is no answer.
    !found.is_ok_and(|output| output.status.code() == Some(1))
}

/// Assignments above dupr's lines that change what they do.
pub fn remarks() -> Vec<String> {
    let Ok(crontab) = read() else {
        return Vec::new();
    };
    let mut list = Vec::new();
    if lines::in_force(&crontab, "MAILTO").as_deref() == Some("") {
        list.push(
            "the crontab says MAILTO=\"\" above these lines: cron mails nothing they print; [report.email] tells what goes wrong"
                .to_owned(),
        );
    }
    if let Some(shell) = lines::in_force(&crontab, "SHELL") {
        list.push(format!(
            "the crontab says SHELL={shell} above these lines: it starts them"
        ));
    }
    list
}
