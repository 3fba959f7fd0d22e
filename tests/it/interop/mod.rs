//! Random trees, edited and saved in turns by dupr and by real duplicity on one chain, restored by all of them.
//!
//! A schedule is a function of its seed: mode of sealing, volume size, who writes each set, shared or separate archive dirs. Every
//! state of the tree is remembered and every restore compared with it exactly. A failure prints the seed, the steps so far and
//! the failing command; `DUPR_SEED=<seed> DUPR_INTEROP_SCHEDULES=1 DUPR_KEEP=1` does that schedule again and keeps its folders.
//!
//! `DUPR_INTEROP_SCHEDULES` sets how many run, `DUPR_SEED` the first seed (`random` for a new one), `DUPR_INTEROP_PROGRAMS` who
//! takes part (`dupr 3.2.1 0.8.22`).

mod killed;
mod profiles;
mod resumed;
mod site;

use crate::support::effort;
use crate::support::keyring::Keyring;
use crate::support::programs::{self, Program};
use crate::support::tree::Tree;
use crate::support::weirdtree::WeirdTree;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use site::{FIRST, Mode, Site};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Schedules of turns in an ordinary run.
const TURNS: u64 = 60;
/// Schedules in which dupr goes by a profile, too.
const PROFILES: u64 = 10;
/// Schedules with a killed run.
const KILLED: u64 = 16;

/// Sets, calls, compared entries and killed runs of a schedule.
type Counts = [usize; 4];

/// Everybody saves in turns.
fn turns(seed: u64, programs: &[Program], keyring: &Keyring) -> Result<Counts, String> {
    let mut dice = SmallRng::seed_from_u64(seed);
    let mut site = Site::new(
        *Mode::ALL.choose(&mut dice).expect("not empty"),
        keyring,
        programs,
    );
    site.volume_size = (dice.random_range(0..4) == 0).then_some(1);
    site.shared = dice.random_range(0..3) == 0;
    let run = |site: &mut Site| {
        let bulk = site
            .volume_size
            .map_or(0, |_| dice.random_range(1_500_000..3_000_000));
        let entries = dice.random_range(0..50);
        let mut tree = WeirdTree::create(&site.scratch.join("src"), seed, entries, bulk);
        let mut time = FIRST;
        for step in 0..dice.random_range(2..=4) {
            if step > 0 {
                tree.edit(dice.random_range(0..25));
            }
            let full = step == 0 || dice.random_range(0..8) == 0;
            let writer = site.anybody(&mut dice);
            site.back_up(writer, full, time)?;
            site.states.push((time, Tree::read(tree.root())));
            time += dice.random_range(2..100_000);
        }
        site.all_restore(site.states.len() - 1, &mut dice)?;
        let reader = site.anybody(&mut dice);
        site.verify(reader)?;
        site.same_listings()?;
        let any = dice.random_range(0..site.states.len());
        site.all_restore(any, &mut dice)
    };
    finish(run, site, seed)
}

/// Runs a schedule; an error tells how to do it again.
fn finish(
    mut run: impl FnMut(&mut Site) -> Result<(), String>,
    mut site: Site,
    seed: u64,
) -> Result<Counts, String> {
    match run(&mut site) {
        Ok(()) => Ok([
            site.states.len(),
            site.story.len(),
            site.compared,
            site.killed,
        ]),
        Err(error) => Err(site.tell(seed, &error)),
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().and_then(|v| v.parse().ok())
}

/// How many schedules of a kind run, if `usual` is how many there are in an ordinary run.
fn schedules(usual: u64) -> u64 {
    number("DUPR_INTEROP_SCHEDULES").unwrap_or(usual)
}

/// Runs many schedules on all cores.
fn run_all(
    count: u64,
    schedule: impl Fn(u64, &[Program], &Keyring) -> Result<Counts, String> + Sync,
) {
    let wanted = std::env::var("DUPR_INTEROP_PROGRAMS").ok();
    let takes_part = |p: &Program| {
        wanted
            .as_ref()
            .is_none_or(|w| w.split_whitespace().any(|w| w == p.name()))
    };
    let programs: Vec<Program> = Program::ALL
        .into_iter()
        .filter(takes_part)
        .filter(|p| p.words().is_some())
        .collect();
    let Some(keyring) = Keyring::new() else {
        return;
    };
    if programs.len() < 2 {
        programs::skipped("interop", "fewer than two programs take part");
        return;
    }
    let first = match std::env::var("DUPR_SEED").as_deref() {
        Ok("random") => std::time::SystemTime::UNIX_EPOCH
            .elapsed()
            .map_or(1, |d| d.as_nanos() as u64 % 1_000_000_000),
        _ => number("DUPR_SEED").unwrap_or(1),
    };
    let last = first + schedules(count);
    println!("interop: seeds {first} to {}, {programs:?}", last - 1);
    let next = AtomicU64::new(first);
    let failures = Mutex::new(Vec::new());
    let done = Mutex::new([0; 4]);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, |n| n.get()) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= last {
                        break;
                    }
                    match schedule(seed, &programs, &keyring) {
                        Ok(counts) => {
                            let mut done = done.lock().expect("no panic while held");
                            done.iter_mut()
                                .zip(counts)
                                .for_each(|(sum, count)| *sum += count);
                        }
                        Err(failure) => failures.lock().expect("no panic while held").push(failure),
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().expect("no panic while held");
    let total = last - first;
    let [sets, calls, entries, killed] = done.into_inner().expect("no panic while held");
    println!(
        "interop: {sets} sets, {killed} killed runs, {} other calls, {entries} restored entries compared",
        calls - sets
    );
    assert!(
        failures.is_empty(),
        "{} of {total} schedules failed\n\n{}",
        failures.len(),
        failures.join("\n\n")
    );
}

#[test]
fn dupr_and_duplicity_continue_and_restore_each_others_chains() {
    run_all(TURNS, turns);
}

#[test]
fn profiles_and_command_lines_continue_one_chain() {
    run_all(effort::of(PROFILES, PROFILES / 2), profiles::profiles);
}

#[test]
fn what_one_leaves_when_killed_the_others_deal_with() {
    run_all(effort::of(KILLED, KILLED / 2), killed::killed);
}
