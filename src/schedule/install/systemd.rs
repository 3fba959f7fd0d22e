//! Units of systemd: files, and `systemctl` to load them.

use super::files::{self, Wanted};
use super::{Effect, Effects, Place, must, run};
use crate::engine::error::Result;
use crate::schedule::Call;
use crate::schedule::systemd::{MARK, Manager, name_of, stem, units};
use std::collections::BTreeMap;
use std::path::PathBuf;

fn directory(manager: Manager, place: &Place) -> PathBuf {
    match manager {
        Manager::System => PathBuf::from("/etc/systemd/system"),
        Manager::User => place.config_home.join("systemd/user"),
    }
}

/// Calls whose timer and service are dupr's, by name.
///
/// # Errors
/// None; what cannot be read is not dupr's.
pub fn installed(manager: Manager, place: &Place) -> Result<BTreeMap<String, String>> {
    let directory = directory(manager, place);
    let timers = files::list(&directory, "", ".timer", MARK);
    let mut all = BTreeMap::new();
    for (stem, timer) in timers {
        let Some(name) = name_of(&stem) else { continue };
        let service = files::read(&directory.join(format!("{stem}.service")), MARK);
        let service = service.ok().flatten().unwrap_or_default();
        all.insert(
            name,
            format!("# {stem}.timer\n{timer}# {stem}.service\n{service}"),
        );
    }
    Ok(all)
}

/// Writes units, lets systemd read them and starts their timers.
///
/// # Errors
/// The files are as they were.
pub fn change(calls: &[Call], effects: &Effects, manager: Manager, place: &Place) -> Result<()> {
    let directory = directory(manager, place);
    let mut wanted: Vec<Wanted> = Vec::new();
    for call in calls {
        let units = units(call, manager);
        wanted.extend(units.map(|(name, text)| (directory.join(name), Some(text))));
    }
    let removed: Vec<String> = effects
        .iter()
        .filter(|(_, effect)| **effect == Effect::Removed)
        .map(|(name, _)| stem(name))
        .collect();
    for stem in &removed {
        // Only the timer is stopped: a backup under way comes to its end.
        systemctl(manager, &["disable", "--now", &format!("{stem}.timer")])?;
        wanted.push((directory.join(format!("{stem}.timer")), None));
        wanted.push((directory.join(format!("{stem}.service")), None));
    }
    let undo = files::apply(&wanted, MARK)?;
    let load = || -> Result<()> {
        if !undo.is_empty() {
            systemctl(manager, &["daemon-reload"])?;
        }
        for call in calls {
            let timer = format!("{}.timer", stem(&call.name));
            systemctl(manager, &["enable", &timer])?;
            // A running timer keeps its old times until it is started anew.
            let verb = match effects.get(&call.name) {
                Some(Effect::Same) => "start",
                _ => "restart",
            };
            systemctl(manager, &[verb, &timer])?;
        }
        Ok(())
    };
    if let Err(e) = load() {
        undo.all();
        let _ = systemctl(manager, &["daemon-reload"]);
        return Err(e);
    }
    Ok(())
}

fn systemctl(manager: Manager, arguments: &[&str]) -> Result<()> {
    let user: &[&str] = match manager {
        Manager::System => &[],
        Manager::User => &["--user"],
    };
    must("systemctl", &[user, arguments].concat())
}

/// Timers of a user stop when the user logs out, unless the user lingers.
pub fn remarks(place: &Place) -> Vec<String> {
    let user = place.user.to_string();
    let lingers = run("loginctl", &["show-user", &user, "--property=Linger"]);
    match lingers {
        Ok(output) if String::from_utf8_lossy(&output.stdout).trim() == "Linger=yes" => Vec::new(),
        _ => vec![
            "these timers run while you are logged in; `loginctl enable-linger` lets them run always".to_owned(),
        ],
    }
}
