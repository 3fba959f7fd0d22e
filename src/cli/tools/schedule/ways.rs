//! What can start programs on this machine, and which of it is meant.

use crate::cli::args::{ScheduleArgs, Starter};
use crate::cli::session::Session;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::schedule::install::{Kind, Manager, Place};
use std::path::{Path, PathBuf};

/// Where things lie for this user.
pub fn place(session: &Session) -> Place {
    let world = &session.world;
    let config_home = world
        .variable("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .filter(|p| p.is_absolute())
        .unwrap_or_else(|| world.home.join(".config"));
    Place {
        home: world.home.clone(),
        config_home,
        state_dir: world.state_dir.clone(),
        user: rustix::process::geteuid().as_raw(),
    }
}

/// Whose manager of systemd: the machine's for root, unless it was asked otherwise.
pub fn manager(user: bool, system: bool, place: &Place) -> Manager {
    if system || (place.user == 0 && !user) {
        Manager::System
    } else {
        Manager::User
    }
}

/// What starts programs here: what was asked for, or what there is.
///
/// # Errors
/// There is nothing.
pub fn kind(args: &ScheduleArgs, place: &Place, session: &Session) -> Result<Kind> {
    let manager = manager(args.user, args.system, place);
    let systemd = Path::new("/run/systemd/system").exists();
    match args.way {
        Some(Starter::Crontab) => return Ok(Kind::Crontab),
        Some(Starter::Systemd) => return Ok(Kind::Systemd(manager)),
        Some(Starter::Launchd) => return Ok(Kind::Launchd),
        None => {}
    }
    if args.user || args.system || (systemd && place.user == 0) {
        Ok(Kind::Systemd(manager))
    } else if cfg!(target_os = "macos") {
        Ok(Kind::Launchd)
    } else if has(session, "crontab") {
        Ok(Kind::Crontab)
    } else if systemd {
        Ok(Kind::Systemd(manager))
    } else {
        Err(Error::new(
            ErrorKind::Unsupported,
            "nothing on this machine starts programs at a time: neither crontab nor systemd is here",
        )
        .with_hint("install cron, or see `dupr schedule export --help`"))
    }
}

/// Whether schedules are systemd's on this machine, unless somebody says otherwise.
pub fn is_by_systemd(session: &Session) -> bool {
    let args = ScheduleArgs {
        profiles: Vec::new(),
        way: None,
        user: false,
        system: false,
    };
    let kind = kind(&args, &place(session), session);
    matches!(kind, Ok(Kind::Systemd(_)))
}

fn has(session: &Session, program: &str) -> bool {
    let path = session.world.variable("PATH").unwrap_or_default();
    path.split(':')
        .any(|dir| Path::new(dir).join(program).is_file())
}

/// Whatever may start programs here.
pub fn kinds(session: &Session) -> Vec<Kind> {
    let mut list = Vec::new();
    if has(session, "crontab") {
        list.push(Kind::Crontab);
    }
    list.push(Kind::Systemd(Manager::User));
    list.push(Kind::Systemd(Manager::System));
    if cfg!(target_os = "macos") {
        list.push(Kind::Launchd);
    }
    list
}
