//! Property lists of launchd: files, and `launchctl` to load them.

use super::files::{self, Wanted};
use super::{Effect, Effects, Place, must, run};
use crate::engine::error::Result;
use crate::schedule::Call;
use crate::schedule::launchd::{MARK, PREFIX, label, list};
use std::collections::BTreeMap;
use std::path::PathBuf;

fn directory(place: &Place) -> PathBuf {
    match place.user {
        0 => PathBuf::from("/Library/LaunchDaemons"),
        _ => place.home.join("Library/LaunchAgents"),
    }
}

fn domain(place: &Place) -> String {
    match place.user {
        0 => "system".to_owned(),
        user => format!("gui/{user}"),
    }
}

/// Calls whose list is dupr's, by name.
///
/// # Errors
/// None; what cannot be read is not dupr's.
pub fn installed(place: &Place) -> Result<BTreeMap<String, String>> {
    let all = files::list(&directory(place), PREFIX, ".plist", MARK);
    Ok(all.into_iter().collect())
}

/// Writes lists and loads them.
///
/// # Errors
/// The files are as they were.
pub fn change(calls: &[Call], effects: &Effects, place: &Place) -> Result<()> {
    let path = |name: &str| directory(place).join(format!("{}.plist", label(name)));
    let mut wanted: Vec<Wanted> = Vec::new();
    wanted.extend(calls.iter().map(|c| (path(&c.name), Some(list(c)))));
    let touched = |name: &&String| effects.get(*name) != Some(&Effect::Same);
    let removed = effects.iter().filter(|(_, e)| **e == Effect::Removed);
    wanted.extend(removed.map(|(name, _)| (path(name), None)));
    let undo = files::apply(&wanted, MARK)?;
    for name in effects.keys().filter(touched) {
        // Not loaded yet is no trouble.
        let service = format!("{}/{}", domain(place), label(name));
        let _ = run("launchctl", &["bootout", &service]);
    }
    for call in calls.iter().filter(|c| touched(&&c.name)) {
        let list = path(&call.name).to_string_lossy().into_owned();
        if let Err(e) = must("launchctl", &["bootstrap", &domain(place), &list]) {
            undo.all();
            return Err(e);
        }
    }
    Ok(())
}
