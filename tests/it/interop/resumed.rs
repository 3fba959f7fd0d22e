//! A set is stopped at a chosen upload, and another program goes on with it: at the first volume, inside a large file, after
//! the last volume. Both then restore the tree exactly, and so does the increment after it.

use super::site::{FIRST, Mode, Site};
use crate::support::effort;
use crate::support::keyring::Keyring;
use crate::support::programs::{self, Program, WithEnv};
use crate::support::tree::Tree;
use crate::support::vault::{noise, set_mtime, write};
use rand::SeedableRng;
use rand::rngs::SmallRng;
use std::path::{Path, PathBuf};

/// Where a run is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    /// Before the upload of this volume.
    BeforeVolume(u32),
    /// Right after it, before anything is noted.
    AfterVolume(u32),
    /// All volumes are there, the sigtar is not.
    BeforeSigtar,
    /// Only the manifest is missing.
    BeforeManifest,
}

impl Stop {
    /// When, and a text in the name of the file.
    fn at(self) -> (&'static str, String) {
        match self {
            Stop::BeforeVolume(n) => ("before", format!(".vol{n}.")),
            Stop::AfterVolume(n) => ("after", format!(".vol{n}.")),
            Stop::BeforeSigtar => ("before", ".sigtar".into()),
            Stop::BeforeManifest => ("before", ".manifest".into()),
        }
    }
}

/// The tree, at its first or second state. Files are older than any set.
fn plant(root: &Path, state: u64) {
    let time = 1_600_000_000 + 1000 * state as i64;
    let old = |name: &str, bytes: usize, seed: u64| {
        write(&root.join(name), &noise(bytes, seed), 1_600_000_000);
    };
    let new = |name: &str, bytes: usize, seed: u64| {
        write(&root.join(name), &noise(bytes, seed + state), time);
    };
    for n in 0..10 {
        old(&format!("a/small{n}"), 7_000 * n, n as u64);
    }
    new("a/small3", 9_000, 50);
    new("empty", 0, 0);
    if state == 1 {
        let _ = std::fs::remove_file(root.join("a/small5"));
        let _ = std::fs::remove_dir_all(root.join("gone"));
        // Whole parts only: the last one is empty.
        new("b-new", 40 * 65_536, 60);
    } else {
        old("gone/file", 3_000, 70);
    }
    // Changed throughout: its delta takes more than one volume.
    new("c-big", 2_700_000, 80);
    for n in 0..5 {
        new(&format!("d/x{n}"), 60_000, 90 + 2 * n);
    }
    new("e-big", 1_900_000, 110);
    old("z", 10, 120);
    for dir in ["a", "d", "gone", ""] {
        if root.join(dir).is_dir() {
            set_mtime(&root.join(dir), time);
        }
    }
}

/// Has a program make a set and stops it.
fn stopped(
    site: &mut Site,
    victim: Program,
    full: bool,
    time: u64,
    stop: Stop,
) -> Result<(), String> {
    let (when, text) = stop.at();
    let cache = site.cache(victim);
    let mut words = site.backup_words(full, time);
    let mut env = site.env.clone();
    if victim == Program::Dupr {
        let variable = match when {
            "before" => "DUP_FAIL_WITH_EXCEPTION",
            _ => "DUP_FAIL_BY_SYSTEM_EXIT",
        };
        env.push((variable.into(), text));
        let url = words.pop().expect("the target");
        words.push(url.replacen("file://", "fortestsonly://", 1));
        let line = site.line(victim, &cache, &words);
        return ended(site, &line, &env, victim, &cache, &words, stop);
    }
    let line = site.line(victim, &cache, &words);
    let mut all = vec![python(victim), "-W".into(), "ignore".into()];
    all.push(
        concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/support/duplicity_stopped.py"
        )
        .into(),
    );
    all.extend([when.into(), text]);
    all.extend(line);
    ended(site, &all, &env, victim, &cache, &words, stop)
}

fn ended(
    site: &mut Site,
    line: &[String],
    env: &[(String, String)],
    victim: Program,
    cache: &str,
    words: &[String],
    stop: Stop,
) -> Result<(), String> {
    let mut command = std::process::Command::new(&line[0]);
    command
        .args(&line[1..])
        .current_dir(site.scratch.path())
        .stdin(std::process::Stdio::null())
        .with_env(env);
    let output = command.output().map_err(|e| format!("{line:?}: {e}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    site.story.push(format!(
        "{} [{cache}] {} (stopped: {stop:?})",
        victim.name(),
        words.join(" ")
    ));
    site.killed += 1;
    match output.status.success() {
        false => Ok(()),
        true => Err(format!("it was not stopped\n{}", text(&output.stdout))),
    }
}

/// The Python a duplicity runs with.
fn python(program: Program) -> String {
    let script = PathBuf::from(&program.words().expect("it takes part")[0]);
    let text = std::fs::read_to_string(&script).expect("a script");
    let first = text.lines().next().unwrap_or_default();
    first.trim_start_matches("#!").trim().to_owned()
}

/// A set is stopped, once by each of `victims`; `heir` makes it whole. Gives back whether it went on with it.
fn passed_on(
    mode: Mode,
    keyring: &Keyring,
    victims: &[(Program, Stop)],
    heir: Program,
    full: bool,
    between: &dyn Fn(&mut Site, usize),
) -> Result<bool, String> {
    let programs = [Program::Dupr, Program::Duplicity3];
    let mut site = Site::new(mode, keyring, &programs);
    site.volume_size = Some(1);
    site.shared = true;
    let mut dice = SmallRng::seed_from_u64(1);
    let root = site.scratch.join("src");
    let mut run = |site: &mut Site| -> Result<bool, String> {
        std::fs::create_dir(&root).map_err(|e| e.to_string())?;
        plant(&root, 0);
        let mut time = FIRST;
        if !full {
            site.back_up(Program::Duplicity3, true, time)?;
            site.states.push((time, Tree::read(&root)));
            time += 1000;
            plant(&root, 1);
        }
        let first = time;
        for (n, (victim, stop)) in victims.iter().enumerate() {
            stopped(site, *victim, full, time, *stop)?;
            time += 1000;
            between(site, n);
        }
        site.back_up(heir, full, time)?;
        let newest = site.newest_set().unwrap_or_default();
        site.states.push((newest, Tree::read(&root)));
        let state = site.states.len() - 1;
        // What changed in the part that was stored already is for the next increment.
        if victims.len() == 1 {
            site.all_restore(state, &mut dice)?;
            site.verify(heir)?;
            site.same_listings()?;
        }
        for (n, next) in programs.into_iter().enumerate() {
            time += 1000;
            let part = noise(300_000, 500 + n as u64);
            write(
                &root.join("c-big"),
                &[part, noise(2_000_000, 80)].concat(),
                1_600_009_000 + n as i64,
            );
            write(
                &root.join("a/small1"),
                &noise(30_000, 600 + n as u64),
                1_600_009_000 + n as i64,
            );
            site.back_up(next, false, time)?;
            site.states.push((time, Tree::read(&root)));
            site.all_restore(site.states.len() - 1, &mut dice)?;
        }
        Ok(newest == first)
    };
    match run(&mut site) {
        Ok(resumed) => Ok(resumed),
        Err(error) => Err(format!(
            "{victims:?}, then {heir:?}, full: {full}\n{}",
            site.tell(1, &error)
        )),
    }
}

/// Runs cases on all cores, without full effort every third; each tells whether the set was gone on with, and that is compared
/// with what is expected.
fn all<T: Sync + std::fmt::Debug>(
    cases: &[T],
    expected: impl Fn(&T) -> Option<bool> + Sync,
    run: impl Fn(&T) -> Result<bool, String> + Sync,
) {
    let step = effort::of(1, 3);
    let next = std::sync::atomic::AtomicUsize::new(0);
    let failures = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, |n| n.get()) {
            scope.spawn(|| {
                while let Some(case) =
                    cases.get(next.fetch_add(step, std::sync::atomic::Ordering::Relaxed))
                {
                    let failure = match (run(case), expected(case)) {
                        (Err(error), _) => error,
                        (Ok(was), Some(should)) if was != should => {
                            format!("{case:?}: gone on with: {was}, expected {should}")
                        }
                        (Ok(was), _) => {
                            println!("{case:?}: gone on with: {was}");
                            continue;
                        }
                    };
                    failures.lock().expect("no panic while held").push(failure);
                }
            });
        }
    });
    let failures = failures.into_inner().expect("no panic while held");
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

/// Both programs, or nothing to do.
fn everybody() -> Option<Keyring> {
    programs::find("duplicity-3.2.1")?;
    Keyring::new()
}

const STOPS: [Stop; 7] = [
    Stop::AfterVolume(1),
    Stop::BeforeVolume(2),
    Stop::AfterVolume(2),
    Stop::BeforeVolume(4),
    Stop::AfterVolume(4),
    Stop::BeforeSigtar,
    Stop::BeforeManifest,
];

/// Every stop with full and incremental sets, modes in turn.
fn cases() -> Vec<(Mode, bool, Stop)> {
    let modes = [Mode::Gzip, Mode::Symmetric, Mode::Plain, Mode::Signed];
    let both = STOPS
        .iter()
        .flat_map(|stop| [(true, *stop), (false, *stop)]);
    both.enumerate()
        .map(|(n, (full, stop))| (modes[n % modes.len()], full, stop))
        .collect()
}

#[test]
fn dupr_goes_on_with_what_duplicity_left() {
    let Some(keyring) = everybody() else { return };
    // Of the first volume nothing is noted yet when it is there.
    let expected = |(_, _, stop): &(Mode, bool, Stop)| Some(*stop != Stop::AfterVolume(1));
    all(&cases(), expected, |(mode, full, stop)| {
        let victims = [(Program::Duplicity3, *stop)];
        passed_on(*mode, &keyring, &victims, Program::Dupr, *full, &|_, _| {})
    });
}

#[test]
fn duplicity_goes_on_with_what_dupr_left() {
    let Some(keyring) = everybody() else { return };
    // duplicity makes the last volume again, so with one it begins anew; inside a delta it must not go on.
    let expected = |(_, full, stop): &(Mode, bool, Stop)| match stop {
        Stop::AfterVolume(1) | Stop::BeforeVolume(2) => Some(false),
        _ if *full => Some(true),
        _ => None,
    };
    all(&cases(), expected, |(mode, full, stop)| {
        let victims = [(Program::Dupr, *stop)];
        passed_on(
            *mode,
            &keyring,
            &victims,
            Program::Duplicity3,
            *full,
            &|_, _| {},
        )
    });
}

/// Relays in an ordinary run.
const RELAYS: u64 = 8;

/// Stops one after the other, with a change of the source behind the one named, and who makes the set whole.
type Relay = (bool, &'static [(Program, Stop)], Option<usize>, Program);

#[test]
fn a_set_goes_through_many_hands() {
    use Program::{Duplicity3 as Real, Dupr};
    use Stop::{AfterVolume as After, BeforeVolume as Before};
    let Some(keyring) = everybody() else { return };
    let mut relays: Vec<Relay> = Vec::new();
    for full in [false, true] {
        relays.extend([
            (
                full,
                &[(Real, Before(4)), (Real, Before(5))][..],
                None,
                Dupr,
            ),
            // duplicity signs what the files have become, not what it stored: that must not be believed.
            (full, &[(Real, Before(4)), (Real, Before(5))], Some(0), Dupr),
            (full, &[(Real, Before(4)), (Real, After(3))], Some(0), Dupr),
            (full, &[(Dupr, Before(4)), (Real, After(3))], Some(0), Dupr),
            (full, &[(Dupr, After(4)), (Real, Before(5))], Some(0), Dupr),
            (full, &[(Real, Before(3)), (Dupr, Before(5))], Some(0), Dupr),
            (full, &[(Real, Before(3)), (Dupr, Before(4))], None, Real),
            (
                full,
                &[(Dupr, Before(4)), (Real, Before(5)), (Dupr, Before(6))],
                None,
                Real,
            ),
        ]);
    }
    relays.truncate(super::schedules(RELAYS) as usize);
    let expected = |(_, victims, changed, heir): &Relay| match (victims, changed, heir) {
        ([(Real, _), (Real, _)], None, _) => Some(true),
        _ => None,
    };
    all(&relays, expected, |(full, victims, changed, heir)| {
        let change = |site: &mut Site, n: usize| {
            let root = site.scratch.join("src");
            if Some(n) == *changed {
                write(&root.join("a/small3"), &noise(9_500, 77), 1_650_000_000);
                write(&root.join("a/small4"), &noise(28_000, 78), 1_650_000_000);
            }
        };
        passed_on(Mode::Symmetric, &keyring, victims, *heir, *full, &change)
    });
}

/// What is done to a half-done full set before dupr goes on, and whether it still can. Of the set, volumes 1 to 3 are noted.
type Harm = (&'static str, Option<bool>, fn(&mut Site));

fn edit(site: &Site, dir: &str, text: &str, change: impl Fn(&mut Vec<u8>)) {
    let entries = std::fs::read_dir(site.scratch.join(dir)).expect("a folder");
    let found = entries
        .map(|e| e.expect("an entry").path())
        .find(|p| {
            p.file_name()
                .is_some_and(|n| n.to_string_lossy().contains(text))
        })
        .unwrap_or_else(|| panic!("no {text} in {dir}"));
    let mut bytes = std::fs::read(&found).expect("a file");
    change(&mut bytes);
    std::fs::write(&found, bytes).expect("a file");
}

const HARMS: [Harm; 9] = [
    ("nothing", Some(true), |_| {}),
    ("smaller volumes from now on", Some(true), |site| {
        site.volume_size = Some(2);
    }),
    ("a flipped byte in volume 2", Some(true), |site| {
        edit(site, "target", ".vol2.", |bytes| bytes[500_000] ^= 1);
    }),
    ("a flipped byte in volume 1", Some(false), |site| {
        edit(site, "target", ".vol1.", |bytes| bytes[500_000] ^= 1);
    }),
    ("volume 1 is gone", Some(false), |site| {
        edit(site, "target", ".vol1.", Vec::clear);
    }),
    ("half a part sigtar", None, |site| {
        edit(site, "cache/x", ".sigtar.part", |bytes| {
            bytes.truncate(bytes.len() / 2 + 100)
        });
    }),
    (
        "another content of the file that was cut, with the same time",
        None,
        |site| {
            let big = site.scratch.join("src/c-big");
            write(&big, &noise(2_700_000, 4711), 1_600_000_000);
        },
    ),
    ("no compression any more", Some(false), |site| {
        site.mode = Mode::Plain
    }),
    ("another passphrase", Some(false), |site| {
        site.mode = Mode::Symmetric;
        for (_, value) in site
            .env
            .iter_mut()
            .filter(|(k, _)| k.ends_with("PASSPHRASE"))
        {
            *value = "another".into();
        }
    }),
];

#[test]
fn what_is_not_proven_is_made_anew() {
    let Some(keyring) = everybody() else { return };
    let cases: Vec<usize> = (0..HARMS.len()).collect();
    let expected = |n: &usize| HARMS[*n].1;
    all(&cases, expected, |n| {
        let (what, _, harm) = HARMS[*n];
        let mode = match what {
            "another passphrase" => Mode::Symmetric,
            _ => Mode::Gzip,
        };
        let victims = [(Program::Duplicity3, Stop::BeforeVolume(4))];
        let harmed = passed_on(mode, &keyring, &victims, Program::Dupr, true, &|site, _| {
            harm(site)
        });
        harmed.map_err(|e| format!("{what}: {e}"))
    });
}

#[test]
fn the_old_duplicity_takes_part() {
    use Program::{Duplicity08 as Old, Dupr};
    use Stop::{BeforeManifest, BeforeVolume as Before};
    let Some(keyring) = everybody() else { return };
    if programs::find("duplicity-0.8.22").is_none() {
        return;
    }
    let cases = [
        (Old, Before(4), true, Dupr, Some(true)),
        (Old, Before(3), false, Dupr, Some(true)),
        (Old, BeforeManifest, false, Dupr, Some(true)),
        (Dupr, Before(4), true, Old, Some(true)),
        (Dupr, Before(3), false, Old, None),
        (Dupr, Before(5), false, Old, None),
    ];
    all(
        &cases,
        |case| case.4,
        |(victim, stop, full, heir, _)| {
            let victims = [(*victim, *stop)];
            passed_on(Mode::Gzip, &keyring, &victims, *heir, *full, &|_, _| {})
        },
    );
}
