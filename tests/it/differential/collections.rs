//! What a target holds: chains, orphans and leftovers of random listings, and what housekeeping would delete.
//!
//! A listing is made of whole chains, from which files are then taken, and to which files are added. The oracle runs
//! duplicity's own actions on a target that is a list of names, without archive dir.

use super::{Oracle, Tally, bytes, compare, latin1};
use crate::support::programs::{self, Program};
use crate::support::scratch::Scratch;
use dupr::engine::Timestamp;
use dupr::engine::collection::{BackupSet, Collection};
use dupr::engine::format::names::{NameStyle, Naming};
use dupr::engine::format::{FileKind, FileName, SetId};
use dupr::engine::seal::Form;
use dupr::engine::storage::Object;
use rand::rngs::SmallRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Listings in an ordinary run.
const LISTINGS: u64 = 400;
/// Listings with hundreds of sets.
const LARGE: u64 = 2;

/// Type, start or 0, end, volumes.
type Set = (String, i64, i64, Vec<u32>);

/// A random listing.
struct Listing {
    names: Vec<String>,
    manifests: BTreeMap<String, String>,
    /// Times of its sets.
    times: Vec<i64>,
    /// Every set has a manifest, and each incremental the set it builds on; nothing is there twice.
    is_whole: bool,
}

impl Listing {
    /// `harm` in 100 files are missing.
    fn make(chains: usize, longest: usize, harm: u32, dice: &mut SmallRng) -> Self {
        let mut listing = Self {
            names: Vec::new(),
            manifests: BTreeMap::new(),
            times: Vec::new(),
            is_whole: harm == 0,
        };
        let form = *[Form::Plain, Form::Gzip, Form::Gpg]
            .choose(dice)
            .expect("three");
        let style = if dice.random_range(0..4) == 0 {
            NameStyle::Short
        } else {
            NameStyle::Long
        };
        let naming = Naming {
            style,
            ..Naming::default()
        };
        let mut start = 1_600_000_000;
        for _ in 0..chains {
            let mut time = start;
            listing.add(
                SetId::Full {
                    time: Timestamp(time),
                },
                form,
                harm,
                &naming,
                dice,
            );
            let mut basis = time;
            for _ in 0..dice.random_range(0..=longest) {
                time += dice.random_range(1..100_000);
                let id = SetId::Incremental {
                    start: Timestamp(basis),
                    end: Timestamp(time),
                };
                listing.add(id, form, harm, &naming, dice);
                // Now and then the next one builds on the same set: duplicity lost this one's sigtar.
                if harm > 0 && dice.random_range(0..12) == 0 {
                    listing.is_whole = false;
                } else {
                    basis = time;
                }
            }
            // The next chain may begin before this one ends.
            start = if harm > 0 && dice.random_range(0..6) == 0 {
                listing.is_whole = false;
                start + dice.random_range(1..=(time - start).max(1))
            } else {
                time + dice.random_range(1..100_000)
            };
        }
        for foreign in [
            "holiday.jpg",
            "lockfile",
            "duplicity",
            "duplicity-full.garbage.manifest",
        ] {
            if dice.random_range(0..3) == 0 {
                listing.names.push(foreign.into());
            }
        }
        listing.names.shuffle(dice);
        listing
    }

    fn add(&mut self, set: SetId, form: Form, harm: u32, naming: &Naming, dice: &mut SmallRng) {
        let volumes = dice.random_range(1..4);
        self.times.push(set.time().as_secs());
        let kinds = (1..=volumes)
            .map(FileKind::Volume)
            .chain([FileKind::Signature, FileKind::Manifest]);
        for kind in kinds {
            let form = if kind == FileKind::Manifest && form == Form::Gzip {
                Form::Plain
            } else {
                form
            };
            let name = naming.format(&FileName {
                set,
                kind,
                form,
                partial: false,
            });
            if dice.random_range(0..100) < harm {
                continue;
            }
            if kind == FileKind::Manifest {
                self.manifests.insert(name.clone(), manifest(volumes));
            }
            self.names.push(name);
        }
    }

    fn collection(&self, without: &BTreeSet<String>) -> Collection {
        let objects: Vec<Object> = self
            .names
            .iter()
            .filter(|name| !without.contains(*name))
            .map(|name| Object {
                name: name.clone(),
                size: 1,
            })
            .collect();
        Collection::from_listing(&objects, &Naming::default())
    }
}

fn manifest(volumes: u32) -> String {
    let mut text = "Hostname h\nLocaldir /s\n".to_owned();
    for n in 1..=volumes {
        text.push_str(&format!(
            "Volume {n}:\n    StartingPath   .  \n    EndingPath     .  \n    Hash SHA1 {:040}\n",
            0
        ));
    }
    text
}

fn ours<'a>(sets: impl IntoIterator<Item = &'a BackupSet>) -> Vec<Set> {
    let one = |s: &BackupSet| {
        let kind = if s.id.is_full() { "full" } else { "inc" };
        let start = s.id.basis().map_or(0, Timestamp::as_secs);
        (
            kind.to_owned(),
            start,
            s.id.time().as_secs(),
            s.volumes.keys().copied().collect(),
        )
    };
    sets.into_iter().map(one).collect()
}

fn theirs(value: &Value) -> Vec<Set> {
    serde_json::from_value(value.clone()).unwrap_or_default()
}

fn sorted<T: Ord>(mut values: Vec<T>) -> Vec<T> {
    values.sort();
    values
}

fn names_of<'a>(sets: impl IntoIterator<Item = &'a BackupSet>) -> BTreeSet<String> {
    sets.into_iter()
        .flat_map(|s| s.files().map(|f| f.name.clone()).collect::<Vec<_>>())
        .collect()
}

/// Names of sigtars: which of them a deletion takes along is compared for whole listings only.
fn is_signature(name: &str) -> bool {
    name.contains("signatures") || name.starts_with("dfs.") || name.starts_with("dns.")
}

fn asked(
    listing: &Listing,
    without: &BTreeSet<String>,
    at: &[i64],
    actions: &[(&str, i64)],
) -> Value {
    let remote: Vec<String> = listing
        .names
        .iter()
        .filter(|name| !without.contains(*name))
        .map(|name| latin1(name.as_bytes()))
        .collect();
    json!({
        "ask": "collection",
        "prefixes": ["", "", "", "", ""],
        "now": 1_900_000_000,
        "remote": remote,
        "local": {},
        "manifests": listing.manifests,
        "at": at,
        "actions": actions,
    })
}

/// What `dupr duplicity` deletes of a target with these files.
fn deleted(
    listing: &Listing,
    without: &BTreeSet<String>,
    (action, argument): (&str, i64),
) -> BTreeSet<String> {
    let scratch = Scratch::new("listing");
    let target = scratch.join("target");
    std::fs::create_dir(&target).expect("an empty scratch folder");
    let before: BTreeSet<String> = listing
        .names
        .iter()
        .filter(|n| !without.contains(*n))
        .cloned()
        .collect();
    for name in &before {
        let content = listing.manifests.get(name).map_or("x", String::as_str);
        std::fs::write(target.join(name), content).expect("a file");
    }
    let mut words = Program::Dupr.words().expect("it was built");
    words.push(action.into());
    if action != "cleanup" {
        words.push(argument.to_string());
    }
    words.extend([
        format!("file://{}", target.display()),
        "--force".into(),
        "--no-encryption".into(),
        format!("--archive-dir={}", scratch.join("archive").display()),
    ]);
    programs::run(&words, scratch.path(), &[]).unwrap_or_else(|error| panic!("{error}"));
    let left: BTreeSet<String> = std::fs::read_dir(&target)
        .expect("the target")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .into_string()
                .expect("text")
        })
        .collect();
    &before - &left
}

/// Compares what is seen of complete sets, which is where both mean the same.
fn compare_chains(
    listing: &Listing,
    without: &BTreeSet<String>,
    oracle: &mut Oracle,
    dice: &mut SmallRng,
    tally: &mut Tally,
) -> Vec<String> {
    let collection = listing.collection(without);
    let starts: Vec<i64> = collection
        .every_set()
        .filter_map(|s| s.id.basis())
        .map(Timestamp::as_secs)
        .collect();
    let replaces = starts.iter().collect::<BTreeSet<_>>().len() < starts.len();
    let overlaps = collection
        .chains
        .windows(2)
        .any(|two| two[0].end() >= two[1].start());
    let mut at: Vec<i64> = (0..6)
        .filter_map(|_| Some(listing.times.choose(dice)? + dice.random_range(-1..=1)))
        .collect();
    at.extend([0, 1_899_999_999]);
    let few = dice.random_range(1..5);
    let actions = [
        ("remove-older-than", at[0]),
        ("remove-all-but-n-full", few),
        ("remove-all-inc-of-but-n-full", few),
        ("cleanup", 0),
    ];
    let answer = oracle.ask(&asked(listing, without, &at, &actions));
    if answer["error"].is_string() {
        return vec![format!("the oracle ended with {}", answer["error"])];
    }
    tally.add("listings", 1);
    let mut differences = Vec::new();
    let mut differ = |what: &str, found: String, expected: String| {
        differences.push(format!(
            "{what}\n  dupr       {found}\n  duplicity  {expected}"
        ));
    };
    let chains: Vec<Vec<Set>> = collection.chains.iter().map(|c| ours(c.sets())).collect();
    let mut expected: Vec<Vec<Set>> =
        serde_json::from_value(answer["chains"].clone()).expect("chains");
    let dropped = theirs(&answer["dropped"]);
    if let Some(last) = expected.last_mut() {
        tally.add(
            "the last set counts though its sigtar is missing",
            dropped.len() as u64,
        );
        last.extend(dropped.clone());
    }
    let is_same = sorted(chains.clone()) == sorted(expected.clone());
    if !is_same {
        if replaces || overlaps {
            tally.add(
                "a set built on an earlier one replaces all that came between",
                1,
            );
            return differences;
        }
        differ("chains", format!("{chains:?}"), format!("{expected:?}"));
        return differences;
    }
    tally.add("sets", chains.iter().map(|c| c.len() as u64).sum());
    let (orphans, expected) = (
        sorted(ours(&collection.orphans)),
        sorted(theirs(&answer["orphaned"])),
    );
    if orphans != expected && !replaces {
        differ("orphans", format!("{orphans:?}"), format!("{expected:?}"));
    }
    let newest = collection
        .chains
        .iter()
        .map(|c| c.start().as_secs())
        .max()
        .unwrap_or(0);
    if answer["latest"] != newest {
        differ(
            "newest full",
            newest.to_string(),
            answer["latest"].to_string(),
        );
    }
    for (moment, expected) in at.iter().zip(answer["at"].as_array().expect("states")) {
        if expected == "Two chains cover the given time" {
            tally.add("two chains cover a time: the newer one counts", 1);
            continue;
        }
        let found = collection
            .chain_at(Timestamp(*moment))
            .map(|c| ours(c.sets_at(Timestamp(*moment))));
        if found.clone().unwrap_or_default() != theirs(expected) {
            if overlaps {
                tally.add("two chains cover a time: the newer one counts", 1);
                continue;
            }
            if !dropped.is_empty() {
                continue;
            }
            differ(
                &format!("state at {moment}"),
                format!("{found:?}"),
                expected.to_string(),
            );
        }
    }
    if listing.names.len() > 200 || dice.random_range(0..6) != 0 {
        return differences;
    }
    for (action, expected) in actions
        .iter()
        .zip(answer["deleted"].as_array().expect("deletions"))
    {
        let found = deleted(listing, without, *action);
        let expected: BTreeSet<String> = expected["names"]
            .as_array()
            .expect("names")
            .iter()
            .map(|name| String::from_utf8(bytes(name.as_str().expect("text"))).expect("UTF-8"))
            .collect();
        tally.add("deletions", 1);
        let counts = |name: &&String| listing.is_whole || !is_signature(name);
        let (found, expected): (BTreeSet<&String>, BTreeSet<&String>) = (
            found.iter().filter(counts).collect(),
            expected.iter().filter(counts).collect(),
        );
        if found == expected {
            continue;
        }
        let without_volumes = |name: &&&String| {
            let fulls = collection.chains.iter().map(|c| &c.full);
            let mut empty = fulls.filter(|s| s.volumes.is_empty());
            empty.any(|s| s.files().any(|f| f.name == ***name))
        };
        if expected.is_subset(&found) && found.difference(&expected).all(|n| without_volumes(&n)) {
            tally.add("a full set without volumes is deleted with its chain", 1);
            continue;
        }
        if replaces || overlaps || !dropped.is_empty() {
            let name =
                "what replaced sets, overlapping chains and sets without sigtar are deleted with";
            tally.add(name, 1);
            continue;
        }
        let newest: Vec<String> = collection
            .latest_chain()
            .map(|c| names_of(c.sets()))
            .into_iter()
            .flatten()
            .collect();
        if answer["matched"] == false
            && found.is_subset(&expected)
            && expected.difference(&found).all(|n| newest.contains(n))
        {
            tally.add(
                "the newest chain stays, whether its sigtars are there or not",
                1,
            );
            continue;
        }
        differ(
            &format!("{action:?}"),
            format!("{found:?}"),
            format!("{expected:?}"),
        );
    }
    differences
}

fn whole(seed: u64, oracle: &mut Oracle, tally: &mut Tally) -> Vec<String> {
    let mut dice = SmallRng::seed_from_u64(seed);
    let chains = dice.random_range(0..7);
    let listing = Listing::make(chains, 5, 0, &mut dice);
    compare_chains(&listing, &BTreeSet::new(), oracle, &mut dice, tally)
}

fn harmed(seed: u64, oracle: &mut Oracle, tally: &mut Tally) -> Vec<String> {
    let mut dice = SmallRng::seed_from_u64(seed);
    let (chains, harm) = (dice.random_range(1..6), dice.random_range(1..25));
    let listing = Listing::make(chains, 5, harm, &mut dice);
    let collection = listing.collection(&BTreeSet::new());
    let answer = oracle.ask(&asked(&listing, &BTreeSet::new(), &[], &[]));
    // A sigtar alone is no set for duplicity, and a set without sigtar may be incomplete for it.
    let has_volumes = |s: &Set| !s.3.is_empty();
    let manifests: Vec<Set> = ours(collection.every_set());
    let found: Vec<Set> = sorted(ours(&collection.incomplete))
        .into_iter()
        .filter(has_volumes)
        .collect();
    let mut expected: Vec<Set> = sorted(theirs(&answer["incomplete"]));
    expected.dedup();
    let (lost, expected): (Vec<Set>, Vec<Set>) =
        expected.into_iter().partition(|s| manifests.contains(s));
    tally.add("incomplete", found.len() as u64);
    tally.add(
        "the last set without sigtar is no leftover",
        lost.len() as u64,
    );
    let mut differences = Vec::new();
    if found != expected {
        differences.push(format!(
            "incomplete\n  dupr       {found:?}\n  duplicity  {expected:?}"
        ));
    }
    // duplicity 3.2.1 has incomplete sets in its chains, 0.8.22 and dupr do not: without them both see the same.
    let without = names_of(&collection.incomplete);
    tally.add(
        "incomplete sets belong to no chain",
        u64::from(!without.is_empty()),
    );
    differences.extend(compare_chains(&listing, &without, oracle, &mut dice, tally));
    differences
}

#[test]
fn whole_listings_are_the_same_chains() {
    compare("whole listings", LISTINGS / 2, whole);
}

#[test]
fn harmed_listings_are_the_same_but_for_the_named_rules() {
    compare("harmed listings", LISTINGS / 2, harmed);
}

#[test]
fn hundreds_of_sets_are_the_same_chains() {
    compare("large listings", LARGE, |seed, oracle, tally| {
        let mut dice = SmallRng::seed_from_u64(seed);
        let listing = Listing::make(12, 40, 0, &mut dice);
        compare_chains(&listing, &BTreeSet::new(), oracle, &mut dice, tally)
    });
}
