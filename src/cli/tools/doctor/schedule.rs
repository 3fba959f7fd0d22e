//! Whether what `[schedule]` says is in effect: the crontab or systemd has the very text that `dupr schedule install` would put there.

use super::Line;
use crate::cli::session::Session;
use crate::cli::tools::schedule::calls::{Planned, Trouble, caller, calls, planned};
use crate::cli::tools::schedule::ways::{kinds, place};
use crate::engine::error::{Error, ErrorKind};
use crate::profile::Profile;
use crate::report::format;
use crate::run::Memory;
use crate::schedule::install::{self, Kind};
use crate::schedule::{Call, Caller};
use std::path::Path;

/// A line for the schedule; none for a profile without one.
pub(super) fn line(profile: &Profile, file: &Path, session: &Session) -> Option<Line> {
    profile.schedule.as_ref()?;
    // What was set for this call alone is no schedule's.
    if !session.common.set.is_empty() {
        return None;
    }
    let name = profile.base_name();
    let install = format!("`dupr schedule install {name}`");
    let call = match call(file, session) {
        Ok(call) => call?,
        Err(e) => return Some(Line::fail("schedule", &e, format!("see {install}"))),
    };
    let place = place(session);
    let mut differs = None;
    for kind in kinds(session) {
        let there = match install::installed(kind, &place) {
            Ok(there) => there,
            Err(e) => {
                let text = format!("whether it is in effect cannot be told: {e}");
                let fix = format!("look what is wrong with it, then {install}");
                return Some(Line::warn("schedule", text, fix));
            }
        };
        match there.get(name) {
            Some(text) if kind.text(&call).is_ok_and(|wanted| wanted == *text) => {
                let text = in_effect(kind, &call);
                return Some(match install::is_alive(kind) {
                    true => Line::ok("schedule", text),
                    false => Line::warn(
                        "schedule",
                        format!("{text}, but no cron is seen to run here"),
                        "`systemctl enable --now cron` starts it, unless something else reads crontabs",
                    ),
                });
            }
            Some(_) => differs = Some(kind),
            None => {}
        }
    }
    let since = Memory::of(&session.world.state_dir, name).scheduled_since;
    let cron = call.schedule.cron.as_str();
    Some(match (differs, since) {
        (Some(kind), _) => {
            let text = format!(
                "what is in effect in {} differs from the profile",
                kind.word()
            );
            Line::warn("schedule", text, format!("{install} brings it up to date"))
        }
        (None, Some(since)) => {
            let since = format::time(since);
            let text = format!(
                "it was put into effect {since}, and no scheduler of this machine has it now: {cron}"
            );
            Line::fail(
                "schedule",
                &Error::new(ErrorKind::NotFound, text),
                format!("{install} puts it back"),
            )
        }
        (None, None) => {
            let text = format!("not in effect, no scheduler of this machine has it: {cron}");
            Line::warn(
                "schedule",
                text,
                format!("{install} puts it into effect, unless something else does"),
            )
        }
    })
}

fn in_effect(kind: Kind, call: &Call) -> String {
    let next = call.schedule.next_after(crate::cli::run::now());
    let next = next.map_or("never".to_owned(), format::time);
    format!("in effect in {}, next {next}", kind.word())
}

/// The call of a profile as `dupr schedule install` would make it.
fn call(file: &Path, session: &Session) -> Result<Option<Call>, Error> {
    let plain = |trouble: Trouble| match trouble {
        Trouble::Profiles(errors) => Error::new(ErrorKind::Usage, errors.to_string()),
        Trouble::Other(error) => error,
    };
    let words = [file.to_string_lossy().into_owned()];
    let list: Vec<Planned> = planned(&words, session).map_err(plain)?;
    let caller: Caller = caller(session)?;
    Ok(calls(&list, false, &caller)?.into_iter().next())
}
