//! Looking for a name over all sets takes work as there are sets, and no more: instructions counted by valgrind, never time.

use crate::instructions::instructions_of;
use crate::support::home::Home;
use crate::support::programs::find;
use std::fs;
use std::time::{Duration, UNIX_EPOCH};

/// Files that each set stores.
const FILES: u32 = 60;

/// Time of the first set.
const T0: u32 = 1_700_000_000;

/// Makes sets up to this number: the first is full, each further one stores every file anew.
fn grow(home: &Home, made: &mut u32, to: u32) {
    while *made < to {
        let time = T0 + 1000 * *made;
        for n in 0..FILES {
            let path = home.source().join(format!("d{}/file-{n}", n % 7));
            fs::create_dir_all(path.parent().expect("a folder")).expect("folder");
            fs::write(&path, format!("{n} in set {made}\n")).expect("file");
            let file = fs::File::options().append(true).open(&path).expect("file");
            let before = UNIX_EPOCH + Duration::from_secs(u64::from(time) - 100);
            file.set_modified(before).expect("time");
        }
        let (source, target) = (
            home.source().display().to_string(),
            format!("file://{}", home.target().display()),
        );
        let archive = format!("--archive-dir={}", home.path().join("archives").display());
        let time = format!("--current-time={time}");
        let action = if *made == 0 { "full" } else { "incremental" };
        // The door of duplicity takes the time of a set as it is told.
        let options = ["--no-encryption", "--name=home", &archive, &time];
        let words = [&["duplicity"], &options[..], &[action, &source, &target]].concat();
        home.expect(0, &words);
        *made += 1;
    }
}

#[test]
fn find_and_versions_take_work_as_there_are_sets() {
    let Some(valgrind) = find("valgrind") else {
        return;
    };
    let home = Home::new("growth");
    home.raw_profile(
        "home",
        &format!(
            "version = 1\nsource = {:?}\ntarget = \"file://{}\"\n[keys]\nencryption = \"none\"\n[backup]\nname = \"home\"\narchive-dir = {:?}\n",
            home.source(),
            home.target().display(),
            home.path().join("archives")
        ),
    );
    let calls = [
        &["home", "find", "FILE-7"][..],
        &["home", "versions", "d0/file-7"],
    ];
    let (mut made, mut counts) = (0, [Vec::new(), Vec::new()]);
    for sets in [3, 6, 12] {
        grow(&home, &mut made, sets);
        let found = home.expect(0, calls[0]).stdout;
        assert_eq!(found.lines().count(), sets as usize, "{found}");
        let versions = home.expect(0, calls[1]).stdout;
        assert_eq!(versions.lines().count(), sets as usize, "{versions}");
        for (call, counts) in calls.iter().zip(&mut counts) {
            counts.push(instructions_of(&valgrind, home.path(), call));
        }
    }
    for (call, counts) in calls.iter().zip(counts) {
        // What the program does anyway falls out of the differences: six sets more against three sets more. Linear is twice
        // as much, a square four times.
        let [few, some, many] = counts[..] else {
            panic!("{counts:?}");
        };
        let (first, second) = (some.saturating_sub(few), many.saturating_sub(some));
        assert!(first > 0 && second < 3 * first, "{call:?}: {counts:?}");
    }
}
