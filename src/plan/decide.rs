//! Which set a backup makes: full, incremental, or going on with an interrupted one. And why.

use super::BackupMode;
use super::error::Error;
use super::state::{Partial, State};
use crate::engine::collection::BackupChain;
use crate::engine::format::SetId;
use crate::engine::time::Timestamp;
use crate::profile::Age;

/// What a command asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// Full or incremental, as the profile says.
    Either,
    /// Full.
    Full,
    /// Incremental, or nothing.
    Incremental,
}

/// The set to make, and the reason in one phrase.
///
/// # Errors
/// A clock behind the newest set; an incremental that is asked for with nothing to build on.
pub fn decide(
    wish: Wish,
    full_every: Option<&Age>,
    state: &State,
) -> Result<(BackupMode, String), Error> {
    check_clock(state)?;
    let (mode, why) = fresh(wish, full_every, state)?;
    match resumable(mode, state) {
        Some(partial) => {
            let set = if partial.set.is_full() {
                "full"
            } else {
                "incremental"
            };
            let why = format!(
                "the {set} of {} was interrupted before volume {}",
                partial.set.time(),
                partial.next_volume
            );
            Ok((
                BackupMode::Resume {
                    set: partial.set,
                    volume: partial.next_volume,
                },
                why,
            ))
        }
        None => Ok((mode, why)),
    }
}

/// # Errors
/// The clock is not past the newest set.
pub fn check_clock(state: &State) -> Result<(), Error> {
    match state.collection.newest_time() {
        Some(newest) if newest >= state.now => Err(Error::Clock {
            now: state.now,
            newest,
        }),
        _ => Ok(()),
    }
}

fn fresh(
    wish: Wish,
    full_every: Option<&Age>,
    state: &State,
) -> Result<(BackupMode, String), Error> {
    let chain = state.collection.latest_chain();
    let unusable = match chain {
        None => Some("there is no backup yet".to_owned()),
        Some(chain) => damage(chain, state).or_else(|| state.unreadable_basis.clone()),
    };
    match (wish, unusable, chain) {
        (Wish::Full, _, _) => Ok((BackupMode::Full, "asked for".to_owned())),
        (Wish::Incremental, Some(reason), _) => Err(Error::NoBackup(format!(
            "no incremental is possible: {reason}"
        ))),
        (Wish::Incremental, None, _) => Ok((BackupMode::Incremental, "asked for".to_owned())),
        (Wish::Either, Some(reason), _) => Ok((BackupMode::Full, reason)),
        (Wish::Either, None, None) => Ok((BackupMode::Full, "there is no backup yet".to_owned())),
        (Wish::Either, None, Some(chain)) => {
            let old = format!("last full is {} old", span(state.now, chain.start()));
            match full_every {
                None => Ok((
                    BackupMode::Incremental,
                    format!("{old}, full-every is not set"),
                )),
                Some(age) if chain.start() <= age.before(state.now) => {
                    Ok((BackupMode::Full, format!("{old}, full-every is {age}")))
                }
                Some(age) => Ok((
                    BackupMode::Incremental,
                    format!("{old}, full-every is {age}"),
                )),
            }
        }
    }
}

/// Why nothing can be built on a chain.
fn damage(chain: &BackupChain, state: &State) -> Option<String> {
    let damaged = state
        .damaged
        .iter()
        .find(|d| chain.sets().any(|s| s.id == d.set))?;
    Some(format!(
        "the newest chain is damaged: {}, {}",
        damaged.set, damaged.reason
    ))
}

/// The interrupted set, if going on with it gives what `mode` would.
fn resumable(mode: BackupMode, state: &State) -> Option<Partial> {
    let partial = state.partial?;
    let latest = state.collection.latest_chain().map(BackupChain::end);
    // A set finished since then makes it worthless.
    let newest = latest.is_none_or(|end| end < partial.set.time());
    let fits = match (mode, partial.set) {
        (BackupMode::Full, SetId::Full { .. }) => true,
        (BackupMode::Incremental, SetId::Incremental { start, .. }) => Some(start) == latest,
        // A full set under way is the newer decision of an earlier run.
        (BackupMode::Incremental, SetId::Full { .. }) => true,
        _ => false,
    };
    (newest && fits && partial.set.time() < state.now).then_some(partial)
}

/// How long ago, in the largest unit that says enough: `31 days`, `5 hours`.
pub(super) fn span(now: Timestamp, then: Timestamp) -> String {
    let seconds = now.as_secs().saturating_sub(then.as_secs());
    let (n, unit) = match seconds {
        s if s >= 2 * 86_400 => (s / 86_400, "day"),
        s if s >= 2 * 3600 => (s / 3600, "hour"),
        s if s >= 120 => (s / 60, "minute"),
        s => (s, "second"),
    };
    format!("{n} {unit}{}", if n == 1 { "" } else { "s" })
}
