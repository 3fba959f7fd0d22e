use super::*;
use crate::engine::format::SetId;
use proptest::prelude::*;

const DAY: i64 = 86_400;

fn at(day: i64) -> Timestamp {
    // 2026-01-01T00:00:00Z and so many days.
    Timestamp(1_767_225_600 + day * DAY)
}

fn chain(full: i64, incrementals: &[i64]) -> BackupChain {
    let mut last = full;
    let mut sets = Vec::new();
    for day in incrementals {
        sets.push(BackupSet::new(SetId::Incremental {
            start: at(last),
            end: at(*day),
        }));
        last = *day;
    }
    BackupChain {
        full: BackupSet::new(SetId::Full { time: at(full) }),
        incrementals: sets,
        replaced: Vec::new(),
    }
}

fn collection(chains: Vec<BackupChain>) -> Collection {
    Collection {
        chains,
        ..Collection::default()
    }
}

fn damage(set: SetId) -> Damage {
    Damage {
        set,
        reason: "volume 3 is missing".into(),
    }
}

fn starts(removals: &[Removal]) -> Vec<i64> {
    let mut days: Vec<i64> = removals
        .iter()
        .map(|r| (r.chain.as_secs() - at(0).as_secs()) / DAY)
        .collect();
    days.dedup();
    days
}

fn rules() -> Rules {
    Rules {
        min_chains: 1,
        ..Rules::default()
    }
}

#[test]
fn keep_fulls_counts_from_the_newest() {
    let all = collection(vec![chain(0, &[1, 2]), chain(10, &[11]), chain(20, &[])]);
    let judgment = judge(
        &all,
        &[],
        &Rules {
            keep_fulls: Some(2),
            ..rules()
        },
    );
    assert_eq!(starts(&judgment.remove), [0]);
    let days: Vec<SetId> = judgment.remove.iter().map(|r| r.set).collect();
    assert_eq!(
        days,
        [
            SetId::Incremental {
                start: at(1),
                end: at(2)
            },
            SetId::Incremental {
                start: at(0),
                end: at(1)
            },
            SetId::Full { time: at(0) },
        ]
    );
    assert_eq!(judgment.remove[0].reason, "keep-fulls 2: this is the 3rd");
    assert_eq!(judgment.keep[0].reason, "keep-fulls 2: this is the 2nd");
}

#[test]
fn age_looks_at_the_newest_set_of_a_chain() {
    let all = collection(vec![chain(0, &[1, 2]), chain(10, &[30]), chain(40, &[])]);
    let judgment = judge(
        &all,
        &[],
        &Rules {
            older_than: Some((at(25), "max-age 20D".into())),
            ..rules()
        },
    );
    assert_eq!(starts(&judgment.remove), [0]);
    let all_old = judge(
        &all,
        &[],
        &Rules {
            older_than: Some((at(99), "max-age 1D".into())),
            ..rules()
        },
    );
    assert_eq!(starts(&all_old.remove), [0, 10]);
    assert_eq!(all_old.keep[0].reason, "the newest restorable chain");
}

#[test]
fn older_chains_lose_their_incrementals_only() {
    let all = collection(vec![chain(0, &[1, 2]), chain(10, &[11])]);
    let judgment = judge(
        &all,
        &[],
        &Rules {
            keep_incrementals: Some(1),
            ..rules()
        },
    );
    assert!(judgment.remove.iter().all(|r| !r.set.is_full()));
    assert_eq!(starts(&judgment.remove), [0]);
    assert_eq!(judgment.keep.len(), 3);
}

#[test]
fn keep_rules_hold_what_others_would_remove() {
    // Chains on the 1st and 16th of January to June.
    let all = collection(
        [0, 15, 31, 46, 59, 74, 90, 105, 120, 135, 151, 166]
            .map(|d| chain(d, &[]))
            .to_vec(),
    );
    let judgment = judge(
        &all,
        &[],
        &Rules {
            keep_fulls: Some(1),
            keep_monthly: 3,
            ..rules()
        },
    );
    assert_eq!(starts(&judgment.keep), [105, 135, 166]);
    assert_eq!(
        judgment.keep[0].reason,
        "keep-monthly 3: the newest of 2026-04"
    );
    let alone = judge(
        &all,
        &[],
        &Rules {
            keep_yearly: 2,
            ..rules()
        },
    );
    assert_eq!(starts(&alone.keep), [166]);
    assert_eq!(alone.remove[0].reason, "no keep rule holds it");
}

#[test]
fn damage_never_pushes_a_good_chain_out() {
    let all = collection(vec![chain(0, &[]), chain(10, &[]), chain(20, &[])]);
    let newest = damage(SetId::Full { time: at(20) });
    let judgment = judge(
        &all,
        std::slice::from_ref(&newest),
        &Rules {
            keep_fulls: Some(1),
            ..rules()
        },
    );
    assert_eq!(starts(&judgment.remove), [0]);
    assert_eq!(judgment.keep[0].reason, "the newest restorable chain");
    assert_eq!(
        judgment.keep[1].reason,
        "damaged, but no newer chain is restorable"
    );
    let every = [0, 10, 20].map(|d| damage(SetId::Full { time: at(d) }));
    let judgment = judge(
        &all,
        &every,
        &Rules {
            older_than: Some((at(99), "max-age 1D".into())),
            ..rules()
        },
    );
    assert!(judgment.remove.is_empty());
}

#[test]
fn min_chains_is_a_floor() {
    let all = collection(vec![chain(0, &[]), chain(10, &[]), chain(20, &[])]);
    let judgment = judge(
        &all,
        &[],
        &Rules {
            keep_fulls: Some(1),
            min_chains: 2,
            ..rules()
        },
    );
    assert_eq!(starts(&judgment.remove), [0]);
    assert_eq!(judgment.keep[0].reason, "min-chains 2");
}

#[test]
fn the_last_good_dump_holds_its_chain_and_its_incrementals() {
    let all = collection(vec![chain(0, &[1, 2]), chain(10, &[11]), chain(20, &[])]);
    let last = |name: &str, set| LastDump {
        name: name.into(),
        set,
    };
    let second = SetId::Incremental {
        start: at(0),
        end: at(1),
    };
    let rules = Rules {
        keep_fulls: Some(1),
        keep_incrementals: Some(1),
        last_dumps: vec![
            last("shop", second),
            last("mail", SetId::Full { time: at(0) }),
            last("wiki", SetId::Full { time: at(20) }),
        ],
        ..rules()
    };
    let judgment = judge(&all, &[], &rules);
    assert_eq!(starts(&judgment.remove), [10]);
    assert_eq!(judgment.keep.len(), 4);
    assert_eq!(judgment.keep[0].reason, "the last good dump of shop, mail");
    assert_eq!(judgment.keep[3].reason, "the newest restorable chain");
}

fn history() -> impl Strategy<Value = Vec<BackupChain>> {
    // Gaps in days between sets; a gap marked true starts a new chain.
    proptest::collection::vec((1i64..40, any::<bool>()), 0..60).prop_map(|steps| {
        let mut day = 0;
        let mut chains: Vec<(i64, Vec<i64>)> = Vec::new();
        for (gap, full) in steps {
            day += gap;
            match chains.last_mut() {
                Some((_, incrementals)) if !full => incrementals.push(day),
                _ => chains.push((day, Vec::new())),
            }
        }
        chains
            .iter()
            .map(|(full, incrementals)| chain(*full, incrementals))
            .collect()
    })
}

fn any_rules() -> impl Strategy<Value = Rules> {
    (
        proptest::option::of(0i64..2500),
        proptest::option::of(1u32..5),
        proptest::option::of(1u32..5),
        0u32..4,
        0u32..3,
        1u32..4,
    )
        .prop_map(
            |(age, keep_fulls, keep_incrementals, keep_monthly, keep_yearly, min_chains)| Rules {
                older_than: age.map(|day| (at(day), "max-age".to_owned())),
                keep_fulls,
                keep_incrementals,
                keep_monthly,
                keep_yearly,
                min_chains,
                last_dumps: Vec::new(),
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn what_stays_is_whole(
        chains in history(),
        rules in any_rules(),
        dump in any::<prop::sample::Index>(),
        damaged_bits in proptest::collection::vec(proptest::bool::weighted(0.1), 60),
    ) {
        let all = collection(chains);
        let damaged: Vec<Damage> = all.sets().zip(&damaged_bits).filter(|(_, d)| **d).map(|(s, _)| damage(s.id)).collect();
        let dumped = all.sets().nth(dump.index(60)).map(|set| LastDump { name: "shop".into(), set: set.id });
        let rules = Rules { last_dumps: dumped.iter().cloned().collect(), ..rules };
        let judgment = judge(&all, &damaged, &rules);

        // Every set is judged exactly once.
        let mut judged: Vec<SetId> = judgment.keep.iter().chain(&judgment.remove).map(|r| r.set).collect();
        judged.sort();
        let mut sets: Vec<SetId> = all.sets().map(|s| s.id).collect();
        sets.sort();
        prop_assert_eq!(judged, sets);

        // Nothing kept depends on something removed.
        let kept: Vec<SetId> = judgment.keep.iter().map(|r| r.set).collect();
        for id in &kept {
            if let Some(basis) = id.basis() {
                prop_assert!(kept.iter().any(|k| k.time() == basis), "{} lost its basis", id);
            }
        }

        // A crash after any number of deletions leaves nothing without its basis.
        for (i, removal) in judgment.remove.iter().enumerate() {
            let left: Vec<SetId> = judgment.remove[i + 1..].iter().map(|r| r.set).chain(kept.iter().copied()).collect();
            prop_assert!(left.iter().all(|s| s.basis() != Some(removal.set.time())
                || left.iter().any(|o| o.time() == removal.set.time())));
        }

        // The newest restorable chain stays whole, and so do as many restorable ones as must.
        let good: Vec<&BackupChain> =
            all.chains.iter().filter(|c| !damaged.iter().any(|d| d.set == c.full.id)).collect();
        let good_kept = good.iter().filter(|c| kept.contains(&c.full.id)).count();
        prop_assert!(good_kept >= good.len().min(rules.min_chains as usize));
        if let Some(newest) = good.last() {
            prop_assert!(newest.sets().all(|s| kept.contains(&s.id)));
        } else {
            prop_assert!(judgment.remove.is_empty());
        }
        // The chain of the last good dump stays whole.
        if let Some(last) = dumped {
            let chain = all.chains.iter().find(|c| c.sets().any(|s| s.id == last.set));
            prop_assert!(chain.is_some_and(|c| c.sets().all(|s| kept.contains(&s.id))));
        }
        // A reason for each.
        prop_assert!(judgment.keep.iter().chain(&judgment.remove).all(|r| !r.reason.is_empty()));
    }
}
