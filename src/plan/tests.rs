//! Every folder of `tests/plans` is a case: profile, state and batch, and the plan that must come of them.
//!
//! `DUPR_REGENERATE=1 cargo test plans_are_as_written` writes the plans anew; look at the difference before you
//! commit it.

use super::*;
use crate::profile::{Loaded, Profile, Surroundings};
use jiff::tz::TimeZone;
use std::path::{Path, PathBuf};

fn profile(path: &Path) -> Profile {
    let around = Surroundings {
        home: "/home/me".into(),
        cache_dir: "/home/me/.cache/dupr".into(),
        temp_dir: "/tmp".into(),
        current_dir: "/".into(),
        judge_batch: Some(default_batch),
        ..Surroundings::default()
    };
    let text = std::fs::read_to_string(path).unwrap();
    let loaded = Loaded::from_text(Path::new("/etc/dupr/home.toml"), &text, &around, &[]).unwrap();
    loaded
        .check(&around)
        .unwrap_or_else(|e| panic!("{}: {}", path.display(), e.render(false)))
}

/// A line as after `dupr home`: the batch, its arguments and options.
fn batch(line: &str) -> Result<Batch, BatchError> {
    let (options, words): (Vec<String>, Vec<String>) = line
        .split_whitespace()
        .map(str::to_owned)
        .partition(|w| w.starts_with("--"));
    let (text, arguments) = words.split_first().unwrap();
    let has = |name: &str| options.iter().any(|o| o == name);
    Batch::parse(
        text,
        arguments,
        BatchOptions {
            force: has("--force"),
            compare_data: has("--compare-data"),
            all: has("--all"),
            overwrite: None,
        },
    )
}

fn outcome(case: &Path) -> (String, String) {
    let read = |name: &str| {
        std::fs::read_to_string(case.join(name))
            .unwrap_or_else(|e| panic!("{}: {e}", case.display()))
    };
    let state: State = serde_json::from_str(&read("state.json"))
        .unwrap_or_else(|e| panic!("{}: {e}", case.display()));
    let profile = profile(&case.join("profile.toml"));
    let batch = batch(&read("batch")).map_err(Error::from);
    match batch.and_then(|batch| plan(&profile, &batch, &state, &TimeZone::UTC)) {
        Ok(plan) => {
            let json = render::json(&plan).unwrap();
            assert_eq!(
                serde_json::from_str::<Plan>(&json).unwrap(),
                plan,
                "{}",
                case.display()
            );
            (render::text(&plan, read("batch").contains("--force")), json)
        }
        Err(error) => {
            let hint = error.hint().map(|h| format!("  ({h})")).unwrap_or_default();
            (
                format!("error: {error}{hint}\n"),
                format!("{{\"error\": {:?}}}\n", error.kind()),
            )
        }
    }
}

#[test]
fn plans_are_as_written() {
    let mut cases: Vec<PathBuf> = std::fs::read_dir("tests/plans")
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.is_dir())
        .collect();
    cases.sort();
    assert!(cases.len() >= 15, "only {} cases", cases.len());
    let mut wrong = Vec::new();
    for case in cases {
        let (text, json) = outcome(&case);
        for (name, got) in [("plan.txt", text), ("plan.json", json)] {
            let path = case.join(name);
            if std::env::var_os("DUPR_REGENERATE").is_some() {
                std::fs::write(&path, &got).unwrap();
            }
            let expected = std::fs::read_to_string(&path).unwrap_or_default();
            if expected != got {
                wrong.push(format!(
                    "{}\n--- expected\n{expected}--- got\n{got}",
                    path.display()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn example_profiles_make_plans() {
    let mut found = 0;
    for entry in std::fs::read_dir("profiles.example").unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "toml") {
            continue;
        }
        found += 1;
        let profile = profile(&path);
        let batch = batch(&profile.run.default).unwrap();
        let state = State {
            now: crate::engine::time::Timestamp(1_795_140_000),
            ..State::default()
        };
        // `verify` wants a backup, and predicts the one made before it.
        let plan = plan(&profile, &batch, &state, &TimeZone::UTC)
            .unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert!(
            render::text(&plan, false).contains("backup full"),
            "{}",
            path.display()
        );
    }
    assert!(found >= 7);
}

#[test]
fn a_copy_gets_what_it_lacks_and_makes_no_set() {
    use crate::engine::collection::{BackupChain, BackupSet, Collection};
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("profile.toml");
    let text = "version = 1\nsource = \"/a\"\npassphrase = { env = \"P\" }\n[[target]]\nname = \"nas\"\nurl = \"file:///a\"\n[[target]]\nname = \"usb\"\nurl = \"file:///b\"\ncopy-of = \"nas\"\n";
    std::fs::write(&file, text).unwrap();
    let targets = profile(&file).per_target();
    let full = |day: i64| BackupChain {
        full: BackupSet::new(SetId::Full {
            time: Timestamp(day * 86_400),
        }),
        incrementals: Vec::new(),
        replaced: Vec::new(),
    };
    let holds = |chains: Vec<BackupChain>| Collection {
        chains,
        ..Collection::default()
    };
    let state = State {
        now: Timestamp(100 * 86_400),
        collection: holds(vec![full(1), full(2)]),
        origin: Some(holds(vec![full(2), full(3), full(4)])),
        ..State::default()
    };
    let batch = batch("backup_replicate_status").unwrap();
    let commands = |profile: &Profile| -> Vec<String> {
        let plan = plan(profile, &batch, &state, &TimeZone::UTC).unwrap();
        let text = render::text(&plan, false);
        let steps = text.lines().skip(2).map(|l| l[3..].trim_end().to_owned());
        steps.collect()
    };
    let at_nas = commands(&targets[0]);
    assert!(
        at_nas[0].starts_with("backup incr") && at_nas[1].starts_with("status"),
        "{at_nas:?}"
    );
    let at_usb = commands(&targets[1]);
    assert!(
        at_usb[0].starts_with("replicate       2 sets, 0 B, from nas"),
        "{at_usb:?}"
    );
    assert!(
        at_usb[0].ends_with("1 is there already") && at_usb.len() == 2,
        "{at_usb:?}"
    );
}
