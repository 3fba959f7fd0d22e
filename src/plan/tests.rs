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
