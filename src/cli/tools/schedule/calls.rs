//! The calls that schedules come to for this user: which profiles, called how, with what around them.

use crate::cli::session::Session;
use crate::cli::{args, choose, run};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::profile::{Errors, Loaded, Profile, lookup};
use crate::schedule::{Call, Caller, WATCH};
use std::path::Path;
use uzers::os::unix::UserExt;

/// Variables that say where dupr finds what it needs. Where they are set, a schedule must hand them on.
const PLACES: &[&str] = &[
    "DUPR_CONFIG_DIR",
    "GNUPGHOME",
    "TMPDIR",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_STATE_HOME",
];

/// Why nothing was done.
pub enum Trouble {
    /// Profiles that cannot be used.
    Profiles(Errors),
    /// Anything else.
    Other(Error),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

/// A profile with a schedule, and the word it is called by.
pub struct Planned {
    /// The profile.
    pub profile: Profile,
    /// The word.
    pub word: String,
}

/// The profiles that are named and must have a schedule, or all that have one.
///
/// # Errors
/// One that cannot be used, or is named and has none.
pub fn planned(words: &[String], session: &Session) -> std::result::Result<Vec<Planned>, Trouble> {
    if !session.common.set.is_empty() {
        let hint = "write the keys into the profile";
        return Err(run::usage_error("a schedule does not hand --set on", hint).into());
    }
    let around = session.surroundings();
    let dirs = &around.config_dirs;
    let word = if words.is_empty() {
        "all".to_owned()
    } else {
        words.join(",")
    };
    let mut list = Vec::new();
    for found in choose::profiles(&word, dirs).map_err(Trouble::Profiles)? {
        let path = found.path.to_string_lossy();
        let loaded = Loaded::read(&path, &around, &[]).and_then(|l| l.check(&around));
        let mut profile = loaded.map_err(Trouble::Profiles)?;
        profile.name.clone_from(&found.name);
        if profile.schedule.is_none() {
            if words.is_empty() {
                continue;
            }
            let message = format!("{} has no [schedule]", profile.name);
            return Err(
                run::usage_error(message, "write cron = \"17 2 * * *\" under [schedule]").into(),
            );
        }
        if profile.name == WATCH {
            let message =
                format!("a profile called {WATCH} cannot be scheduled: the name is taken");
            return Err(run::usage_error(message, "give its file another name").into());
        }
        let named = !args::RESERVED.contains(&found.name.as_str())
            && lookup::find(&found.name, dirs).is_ok_and(|f| f.path == found.path);
        let word = if named {
            found.name.clone()
        } else {
            text(&session.world.current_dir.join(&found.path))?
        };
        list.push(Planned { profile, word });
    }
    Ok(list)
}

/// What a call for this user has around it.
///
/// # Errors
/// A path that is not UTF-8.
pub fn caller(session: &Session) -> Result<Caller> {
    let program = session.program.as_deref().ok_or_else(|| {
        Error::new(
            ErrorKind::Internal,
            "this program does not know where it lies",
        )
        .with_hint("call it by its whole path")
    })?;
    let mut environment = Vec::new();
    // Programs are found where they were found when somebody was looking; what is relative is nowhere at night.
    let path = session
        .world
        .variable("PATH")
        .unwrap_or("/usr/local/bin:/usr/bin:/bin");
    let absolute: Vec<&str> = path.split(':').filter(|p| p.starts_with('/')).collect();
    environment.push(("PATH".to_owned(), absolute.join(":")));
    // Whoever starts the call takes the home of the account; under sudo another one may be in use.
    let account = uzers::get_user_by_uid(rustix::process::geteuid().as_raw());
    if account.is_none_or(|a| a.home_dir() != session.world.home) {
        environment.push(("HOME".to_owned(), text(&session.world.home)?));
    }
    for name in PLACES {
        if let Some(value) = session.world.variable(name) {
            let value = session.world.current_dir.join(value);
            environment.push(((*name).to_owned(), text(&value)?));
        }
    }
    let options = match &session.common.config_dir {
        Some(dir) => vec![
            "--config-dir".to_owned(),
            text(&session.world.current_dir.join(dir))?,
        ],
        None => Vec::new(),
    };
    Ok(Caller {
        program: text(program)?,
        environment,
        options,
    })
}

fn text(path: &Path) -> Result<String> {
    path.to_str().map(str::to_owned).ok_or_else(|| {
        Error::new(
            ErrorKind::Usage,
            format!("{} is not UTF-8 and cannot be scheduled", path.display()),
        )
    })
}

/// The calls of profiles, and that of the watch over them.
///
/// # Errors
/// A word that cannot be scheduled.
pub fn calls(list: &[Planned], watch: bool, caller: &Caller) -> Result<Vec<Call>> {
    let mut calls = Vec::new();
    for planned in list {
        calls.extend(Call::of_profile(&planned.profile, &planned.word, caller)?);
    }
    if watch && !calls.is_empty() {
        calls.push(Call::watch(caller)?);
    }
    Ok(calls)
}

/// Keys of profiles that are set in this environment and will not be at night.
pub fn overriding(session: &Session) -> Vec<String> {
    let set = session.world.variables.keys();
    let names: Vec<&str> = set
        .filter(|n| {
            n.strip_prefix("DUPR_")
                .is_some_and(|rest| rest.contains("__"))
        })
        .chain(
            session
                .world
                .variables
                .keys()
                .filter(|n| n.starts_with("DUPR__")),
        )
        .map(String::as_str)
        .collect();
    match names.as_slice() {
        [] => Vec::new(),
        names => vec![format!(
            "{} is set here and not handed on: write it into the profile",
            names.join(", ")
        )],
    }
}
