//! What `purge` removes and what stays, each with its reason. Pure: looks at nothing but its arguments.
//!
//! Chains go whole, or lose all their incrementals; a set another one needs never goes. Only restorable chains are
//! counted, so that damage never pushes a good chain out. The newest restorable chain stays, whatever the rules say.

use super::Removal;
use super::state::{Damage, LastDump};
use crate::engine::collection::{BackupChain, BackupSet, Collection};
use crate::engine::time::Timestamp;
use crate::profile::Retention;
use std::collections::BTreeSet;

/// Rules in force for one command.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Rules {
    /// Chains whose newest set is older go; the words name the rule: `max-age 2Y`.
    pub older_than: Option<(Timestamp, String)>,
    /// Keep this many of the newest chains.
    pub keep_fulls: Option<u32>,
    /// Keep the incrementals of this many of the newest chains.
    pub keep_incrementals: Option<u32>,
    /// Hold the newest chain of each of so many months; 0 is off.
    pub keep_monthly: u32,
    /// Hold the newest chain of each of so many years; 0 is off.
    pub keep_yearly: u32,
    /// Never below this many restorable chains.
    pub min_chains: u32,
    /// Hold the chains of these sets, with their incrementals.
    pub last_dumps: Vec<LastDump>,
}

/// The judgment on every set of a collection.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Judgment {
    /// Sets to remove, oldest chain first, within a chain newest first.
    pub remove: Vec<Removal>,
    /// Sets that stay, oldest first.
    pub keep: Vec<Removal>,
}

impl Rules {
    /// All rules of a profile.
    pub fn of(retention: &Retention, now: Timestamp) -> Self {
        Self {
            older_than: retention
                .max_age
                .as_ref()
                .map(|age| (age.before(now), format!("max-age {age}"))),
            keep_fulls: retention.keep_fulls,
            keep_incrementals: retention.keep_chains_with_incrementals,
            ..Self::holds(retention)
        }
    }

    /// Only what a profile holds on to, without anything that removes.
    pub fn holds(retention: &Retention) -> Self {
        Self {
            keep_monthly: retention.keep_monthly,
            keep_yearly: retention.keep_yearly,
            min_chains: retention.min_chains,
            ..Self::default()
        }
    }

    /// Whether any rule could remove something.
    pub fn is_empty(&self) -> bool {
        self.older_than.is_none()
            && self.keep_fulls.is_none()
            && self.keep_incrementals.is_none()
            && self.keep_monthly == 0
            && self.keep_yearly == 0
    }
}

/// Judges every set of the collection's chains. Orphans and interrupted sets are not looked at; `cleanup` is theirs.
pub fn judge(collection: &Collection, damaged: &[Damage], rules: &Rules) -> Judgment {
    let mut chains: Vec<&BackupChain> = collection.chains.iter().collect();
    // Newest first: every rule counts from there.
    chains.sort_by_key(|c| std::cmp::Reverse((c.end(), c.start())));
    let restorable = |c: &BackupChain| !damaged.iter().any(|d| d.set == c.full.id);
    let months = held(&chains, &restorable, rules.keep_monthly, 7);
    let years = held(&chains, &restorable, rules.keep_yearly, 4);
    // Rules that hold are rules that remove when there is no other: everything they do not hold goes.
    let holds_alone = rules.older_than.is_none()
        && rules.keep_fulls.is_none()
        && (rules.keep_monthly > 0 || rules.keep_yearly > 0);
    let mut good = 0u32;
    let mut judged: Vec<(&BackupChain, Option<String>, String, u32)> = Vec::new();
    for chain in &chains {
        let is_good = restorable(chain);
        if is_good {
            good += 1;
        }
        // A damaged chain stands where the next good one would.
        let place = if is_good { good } else { good + 1 };
        let start = chain.start();
        let (gone, mut stays) = against(chain, place, rules, holds_alone);
        let hold = if is_good && place == 1 {
            Some("the newest restorable chain".to_owned())
        } else if let Some(names) = dumps_of(chain, &rules.last_dumps) {
            Some(format!("the last good dump of {names}"))
        } else if is_good && place <= rules.min_chains {
            Some(format!("min-chains {}", rules.min_chains))
        } else if months.contains(&start) {
            Some(format!(
                "keep-monthly {}: the newest of {}",
                rules.keep_monthly,
                prefix(start, 7)
            ))
        } else if years.contains(&start) {
            Some(format!(
                "keep-yearly {}: the newest of {}",
                rules.keep_yearly,
                prefix(start, 4)
            ))
        } else {
            None
        };
        // Until a restorable chain has been met, even a damaged one may be all there is.
        let nothing_better = good == 0 && !is_good;
        let gone = match (&hold, nothing_better) {
            (Some(hold), _) => {
                stays = hold.clone();
                None
            }
            (None, true) => {
                stays = "damaged, but no newer chain is restorable".to_owned();
                None
            }
            (None, false) => gone,
        };
        judged.push((chain, gone, stays, place));
    }
    let mut judgment = Judgment::default();
    for (chain, gone, stays, place) in judged.into_iter().rev() {
        match gone {
            Some(reason) => {
                judgment
                    .remove
                    .extend(newest_first(chain, true).map(|s| removal(chain, s, &reason)));
            }
            None => match rules
                .keep_incrementals
                .filter(|n| place > *n && restorable(chain))
                .filter(|_| dumps_of(chain, &rules.last_dumps).is_none())
            {
                Some(n) => {
                    let reason = format!(
                        "keep-chains-with-incrementals {n}: this is the {} chain",
                        ordinal(place)
                    );
                    judgment
                        .remove
                        .extend(newest_first(chain, false).map(|s| removal(chain, s, &reason)));
                    judgment.keep.push(removal(chain, &chain.full, &stays));
                }
                None => judgment
                    .keep
                    .extend(chain.sets().map(|s| removal(chain, s, &stays))),
            },
        }
    }
    judgment
}

/// Names of the dumps whose newest whole copy a chain holds.
fn dumps_of(chain: &BackupChain, last: &[LastDump]) -> Option<String> {
    let held = |dump: &&LastDump| chain.sets().any(|set| set.id == dump.set);
    let names: Vec<&str> = last.iter().filter(held).map(|d| d.name.as_str()).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

/// Why the rules would remove a chain, and why they would not.
fn against(
    chain: &BackupChain,
    place: u32,
    rules: &Rules,
    holds_alone: bool,
) -> (Option<String>, String) {
    if let Some((limit, words)) = &rules.older_than
        && chain.end() < *limit
    {
        return (
            Some(format!("{words}: its newest set is of {}", chain.end())),
            String::new(),
        );
    }
    if let Some(n) = rules.keep_fulls
        && place > n
    {
        return (
            Some(format!("keep-fulls {n}: this is the {}", ordinal(place))),
            String::new(),
        );
    }
    if holds_alone {
        return (Some("no keep rule holds it".to_owned()), String::new());
    }
    let stays = match (&rules.keep_fulls, &rules.older_than) {
        (Some(n), _) => format!("keep-fulls {n}: this is the {}", ordinal(place)),
        (None, Some((_, words))) => format!("{words}: its newest set is younger"),
        (None, None) => "no rule removes it".to_owned(),
    };
    (None, stays)
}

/// Starts of the newest restorable chain of each of the newest `count` periods that have one. A period is what the
/// first `digits` characters of a UTC date tell apart.
fn held(
    newest_first: &[&BackupChain],
    restorable: &dyn Fn(&BackupChain) -> bool,
    count: u32,
    digits: usize,
) -> BTreeSet<Timestamp> {
    let mut periods = BTreeSet::new();
    let mut held = BTreeSet::new();
    let mut by_start: Vec<&&BackupChain> = newest_first.iter().filter(|c| restorable(c)).collect();
    by_start.sort_by_key(|c| std::cmp::Reverse(c.start()));
    for chain in by_start {
        if periods.len() >= count as usize {
            break;
        }
        if periods.insert(prefix(chain.start(), digits)) {
            held.insert(chain.start());
        }
    }
    held
}

fn prefix(time: Timestamp, digits: usize) -> String {
    time.to_rfc3339().chars().take(digits).collect()
}

/// The sets of a chain in the order they are removed: whatever depends on another one before it.
fn newest_first(chain: &BackupChain, with_full: bool) -> impl Iterator<Item = &BackupSet> {
    let mut sets: Vec<&BackupSet> = chain.incrementals.iter().chain(&chain.replaced).collect();
    sets.sort_by_key(|s| std::cmp::Reverse((s.id.time(), s.id)));
    sets.into_iter().chain(with_full.then_some(&chain.full))
}

fn removal(chain: &BackupChain, set: &BackupSet, reason: &str) -> Removal {
    Removal {
        set: set.id,
        chain: chain.start(),
        bytes: set.bytes(),
        reason: reason.to_owned(),
    }
}

fn ordinal(n: u32) -> String {
    let suffix = match (n % 100, n % 10) {
        (11..=13, _) => "th",
        (_, 1) => "st",
        (_, 2) => "nd",
        (_, 3) => "rd",
        _ => "th",
    };
    format!("{n}{suffix}")
}

#[cfg(test)]
mod tests;
