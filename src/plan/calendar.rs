//! What would exist when: runs to come, thought through one after another. Pure.
//!
//! Nothing is guessed: each run is planned by the planner from the state the runs before lead to, so the calendar
//! says what will be done if every run succeeds and finds the same profile. It starts with an empty target.

use super::retention::{Rules, judge};
use super::{Action, Batch, Error, Item, Node, Removal, State, When, planner};
use crate::engine::collection::BackupChain;
use crate::engine::time::Timestamp;
use crate::profile::Profile;
use jiff::tz::TimeZone;
use serde::Serialize;
use std::fmt::Write;

/// Runs to come and what they leave.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Calendar {
    /// Name of the profile.
    pub profile: String,
    /// The batch of every run.
    pub batch: String,
    /// When the runs start, oldest first: the first and the last.
    pub first: Option<Timestamp>,
    /// The last.
    pub last: Option<Timestamp>,
    /// Number of runs.
    pub runs: usize,
    /// Runs that make a full set or remove something.
    pub events: Vec<Event>,
    /// Chains at the end, oldest first.
    pub chains: Vec<Chain>,
    /// What is worth knowing.
    pub notes: Vec<String>,
}

/// A run after which there is another chain, or one less, or a shorter one.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Event {
    /// Its start.
    pub time: Timestamp,
    /// Whether it makes a full set.
    pub full: bool,
    /// What it removes, each with its reason.
    pub removed: Vec<Removal>,
    /// Chains there are after it.
    pub chains: usize,
    /// Sets there are after it: so many points in time can be restored.
    pub sets: usize,
    /// The oldest of them.
    pub oldest: Option<Timestamp>,
}

/// A chain that is there at the end.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Chain {
    /// Time of its full set.
    pub start: Timestamp,
    /// Time of its newest set.
    pub end: Timestamp,
    /// Its incrementals.
    pub incrementals: usize,
    /// Why it is still there.
    pub reason: String,
}

/// Thinks through a batch that runs at these times.
///
/// # Errors
/// The batch is impossible.
pub fn simulate(
    profile: &Profile,
    batch: &Batch,
    starts: &[Timestamp],
    zone: &TimeZone,
) -> Result<Calendar, Error> {
    let mut state = State::default();
    let mut events = Vec::new();
    for start in starts {
        state.now = *start;
        let plan = planner::plan(profile, batch, &state, zone)?;
        let mut event = Event {
            time: *start,
            full: false,
            removed: Vec::new(),
            chains: 0,
            sets: 0,
            oldest: None,
        };
        follow(&plan.nodes, &mut state, &mut event);
        if event.full || !event.removed.is_empty() {
            event.chains = state.collection.chains.len();
            event.sets = state.collection.sets().count();
            event.oldest = state.collection.sets().map(|s| s.id.time()).min();
            events.push(event);
        }
    }
    Ok(Calendar {
        profile: profile.name.clone(),
        batch: batch.text.clone(),
        first: starts.first().copied(),
        last: starts.last().copied(),
        runs: starts.len(),
        notes: notes(profile, batch, &events),
        chains: left(profile, &state),
        events,
    })
}

/// Does to the state what a run would, all going well.
fn follow(nodes: &[Node], state: &mut State, event: &mut Event) {
    for node in nodes.iter().filter(|n| n.when != When::IfFailed) {
        let step = match &node.item {
            Item::Group(inner) => {
                follow(inner, state, event);
                continue;
            }
            Item::Step(step) => step,
        };
        let fulls = |state: &State| state.collection.chains.len();
        let before = fulls(state);
        state.predict(&step.action);
        match &step.action {
            Action::Backup(_) => event.full |= fulls(state) > before,
            Action::Remove(remove) if remove.force => {
                event.removed.extend(remove.sets.iter().cloned())
            }
            _ => {}
        }
    }
}

fn left(profile: &Profile, state: &State) -> Vec<Chain> {
    let judgment = judge(
        &state.collection,
        &[],
        &Rules::of(&profile.retention, state.now),
    );
    let chain = |chain: &BackupChain| {
        let all = judgment.keep.iter().chain(&judgment.remove);
        let mut of_it = all.filter(|r| r.set == chain.full.id);
        Chain {
            start: chain.start(),
            end: chain.end(),
            incrementals: chain.incrementals.len(),
            reason: of_it.next().map(|r| r.reason.clone()).unwrap_or_default(),
        }
    };
    state.collection.chains.iter().map(chain).collect()
}

fn notes(profile: &Profile, batch: &Batch, events: &[Event]) -> Vec<String> {
    let mut notes = Vec::new();
    if profile.schedule.is_none() {
        notes.push("the profile has no [schedule]: one run a day is assumed".to_owned());
    }
    let purging = batch.commands().iter().any(|c| c.purges());
    if !batch.commands().iter().any(|c| c.makes_a_set()) {
        notes.push(format!("{} makes no set", batch.text));
    } else if !purging {
        notes.push(format!(
            "{} removes nothing: [retention] needs a purge in the batch",
            batch.text
        ));
    } else if !batch.options.force && !profile.retention.force {
        notes.push(
            "a purge without force only lists: write force = true under [retention]".to_owned(),
        );
    } else if events.iter().all(|e| e.removed.is_empty()) {
        notes.push("no rule under [retention] removes anything in this time".to_owned());
    }
    if profile.backup.full_every.is_none() && purging {
        notes.push(
            "full-every is not set: there is one chain for ever, and no rule can shorten it"
                .to_owned(),
        );
    }
    notes
}

/// The calendar as people read it. With `detail`, removals name every set.
pub fn text(calendar: &Calendar, detail: bool) -> String {
    let mut out = String::new();
    let day = |t: Option<Timestamp>| t.map_or("-".to_owned(), date);
    let _ = writeln!(
        out,
        "{} {}: {} runs, {} to {}, beginning with an empty target",
        calendar.profile,
        calendar.batch,
        calendar.runs,
        day(calendar.first),
        day(calendar.last)
    );
    if !calendar.events.is_empty() {
        let _ = writeln!(out, "DATE        CHAINS   SETS  BACK TO     WHAT HAPPENS");
    }
    for event in &calendar.events {
        let mut what: Vec<String> = Vec::new();
        if event.full {
            what.push("full".to_owned());
        }
        what.extend(removals(&event.removed, detail));
        let mut what = what.into_iter();
        let _ = writeln!(
            out,
            "{}  {:>6}  {:>5}  {}  {}",
            date(event.time),
            event.chains,
            event.sets,
            day(event.oldest),
            what.next().unwrap_or_default()
        );
        for more in what {
            let _ = writeln!(out, "{:39}{more}", "");
        }
    }
    if !calendar.chains.is_empty() {
        let _ = writeln!(out, "at the end");
    }
    for chain in &calendar.chains {
        let _ = writeln!(
            out,
            "  {} to {}  full +{:<4} {}",
            date(chain.start),
            date(chain.end),
            chain.incrementals,
            chain.reason
        );
    }
    for note in &calendar.notes {
        let _ = writeln!(out, "note: {note}");
    }
    out
}

/// What is removed, a line for each chain and reason; with `detail` a line for each set.
fn removals(removed: &[Removal], detail: bool) -> Vec<String> {
    let mut lines: Vec<(Timestamp, &str, usize, bool)> = Vec::new();
    for removal in removed {
        match lines.last_mut() {
            Some((chain, reason, sets, whole))
                if *chain == removal.chain && *reason == removal.reason && !detail =>
            {
                *sets += 1;
                *whole |= removal.set.is_full();
            }
            _ => lines.push((removal.chain, &removal.reason, 1, removal.set.is_full())),
        }
    }
    let words = |(chain, reason, sets, whole): &(Timestamp, &str, usize, bool)| {
        let plural = if *sets == 1 { "" } else { "s" };
        let what = match (whole, detail) {
            (true, false) => format!("chain {} ({sets} set{plural})", date(*chain)),
            (true, true) => format!("the full set of {}", date(*chain)),
            (false, _) => format!("{sets} incremental{plural} of {}", date(*chain)),
        };
        format!("removes {what}: {reason}")
    };
    lines.iter().map(words).collect()
}

fn date(time: Timestamp) -> String {
    time.to_rfc3339().chars().take(10).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::format::SetId;
    use crate::plan::BatchOptions;
    use crate::profile::{Loaded, Surroundings};
    use proptest::prelude::*;
    use std::path::Path;

    const DAY: i64 = 86_400;

    fn profile(more: &str) -> Profile {
        let text = format!(
            "version = 1\nsource = \"/s\"\ntarget = \"file:///t\"\nencryption = \"none\"\n{more}"
        );
        let text = text.replace("encryption = \"none\"\n", "") + "[keys]\nencryption = \"none\"\n";
        let around = Surroundings::default();
        let loaded = Loaded::from_text(Path::new("/p/home.toml"), &text, &around, &[]);
        loaded.unwrap().check(&around).unwrap()
    }

    /// So many nights from 2026-11-20 02:17 UTC on.
    fn nights(count: i64) -> Vec<Timestamp> {
        (0..count)
            .map(|d| Timestamp(1_795_141_020 + d * DAY))
            .collect()
    }

    fn calendar(profile: &Profile, batch: &str, days: i64) -> Calendar {
        let batch = Batch::parse(batch, &[], BatchOptions::default()).unwrap();
        simulate(profile, &batch, &nights(days), &TimeZone::UTC).unwrap()
    }

    #[test]
    fn two_years_of_monthly_chains() {
        let profile = profile(
            "[backup]\nfull-every = \"1M\"\n[retention]\nkeep-fulls = 12\nkeep-chains-with-incrementals = 2\nforce = true\n[schedule]\ncron = \"17 2 * * *\"\n",
        );
        let calendar = calendar(&profile, "backup_purge", 730);
        assert!(calendar.notes.is_empty(), "{:?}", calendar.notes);
        let fulls = calendar.events.iter().filter(|e| e.full).count();
        assert_eq!(fulls, 25);
        let last = calendar.events.last().unwrap();
        // Twelve chains, two of them with incrementals.
        assert_eq!((last.chains, last.sets), (12, 10 + 30 + 1));
        assert_eq!(calendar.chains.len(), 12);
        assert_eq!(calendar.chains[0].incrementals, 0);
        assert_eq!(calendar.chains[11].reason, "the newest restorable chain");
        let text = text(&calendar, false);
        assert!(
            text.contains("removes 29 incrementals of 2026-11-20: keep-chains-with-incrementals 2"),
            "{text}"
        );
        assert!(text.contains("keep-fulls 12: this is the 13th"), "{text}");
        assert!(
            text.starts_with("home backup_purge: 730 runs, 2026-11-20 to 2028-11-18"),
            "{text}"
        );
    }

    #[test]
    fn weekly_runs_with_a_full_set_every_two_months_keep_twelve() {
        let profile =
            profile("[backup]\nfull-every = \"2M\"\n[retention]\nkeep-fulls = 12\nforce = true\n");
        let batch = Batch::parse("backup_purge", &[], BatchOptions::default()).unwrap();
        let weeks: Vec<Timestamp> = nights(27 * 30).into_iter().step_by(7).collect();
        let calendar = simulate(&profile, &batch, &weeks, &TimeZone::UTC).unwrap();
        assert_eq!(calendar.events.iter().filter(|e| e.full).count(), 13);
        assert_eq!(calendar.chains.len(), 12);
        // Every week since the oldest full set can be restored.
        let oldest = calendar.chains[0].start;
        let last = calendar.events.last().unwrap();
        assert_eq!(last.oldest, Some(oldest));
        let since = weeks.iter().filter(|w| **w >= oldest && **w <= last.time);
        assert_eq!(last.sets, since.count());
    }

    #[test]
    fn what_keeps_a_purge_from_removing_is_told() {
        let rules = "[backup]\nfull-every = \"1M\"\n[retention]\nkeep-fulls = 1\n";
        let told = |more: &str, batch: &str| calendar(&profile(more), batch, 100).notes.join("\n");
        assert!(told(rules, "backup").contains("needs a purge"));
        assert!(told(rules, "backup_purge").contains("only lists"));
        assert!(told("", "backup_purge").contains("one chain for ever"));
        assert!(told("", "cleanup").contains("makes no set"));
        let forced = format!("{rules}force = true\n");
        assert_eq!(
            told(&forced, "backup_purge"),
            "the profile has no [schedule]: one run a day is assumed"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]
        #[test]
        fn at_every_run_what_is_there_can_be_restored(
            gaps in proptest::collection::vec(1i64..40, 1..60),
            full_every in 1u32..90,
            keep_fulls in proptest::option::of(1u32..4),
            keep_incrementals in proptest::option::of(1u32..4),
            max_age in proptest::option::of(1u32..300),
            keep_monthly in 0u32..4,
            keep_yearly in 0u32..3,
            min_chains in 1u32..4,
        ) {
            let mut more = format!("[backup]\nfull-every = \"{full_every}D\"\n[retention]\nforce = true\nkeep-monthly = {keep_monthly}\nkeep-yearly = {keep_yearly}\nmin-chains = {min_chains}\n");
            for (key, value) in [("keep-fulls", keep_fulls), ("keep-chains-with-incrementals", keep_incrementals)] {
                if let Some(n) = value {
                    more += &format!("{key} = {n}\n");
                }
            }
            if let Some(days) = max_age {
                more += &format!("max-age = \"{days}D\"\n");
            }
            let profile = profile(&more);
            let batch = Batch::parse("backup_purge", &[], BatchOptions::default()).unwrap();
            let mut at = 1_795_141_020;
            let mut state = State::default();
            let mut fulls = 0u32;
            for gap in gaps {
                at += gap * DAY;
                state.now = Timestamp(at);
                let plan = planner::plan(&profile, &batch, &state, &TimeZone::UTC).unwrap();
                let mut event = Event { time: state.now, full: false, removed: Vec::new(), chains: 0, sets: 0, oldest: None };
                follow(&plan.nodes, &mut state, &mut event);
                fulls += u32::from(event.full);
                let there: Vec<SetId> = state.collection.every_set().map(|s| s.id).collect();
                // The set just made is there, and everything it needs.
                prop_assert!(there.iter().any(|s| s.time() == state.now));
                for set in &there {
                    if let Some(basis) = set.basis() {
                        prop_assert!(there.iter().any(|s| s.time() == basis), "{} lost its basis", set);
                    }
                }
                prop_assert!(state.collection.orphans.is_empty());
                prop_assert!(state.collection.chains.len() >= fulls.min(min_chains) as usize);
                // What is removed is not there, and nothing is removed twice.
                prop_assert!(event.removed.iter().all(|r| !there.contains(&r.set)));
            }
        }
    }
}
