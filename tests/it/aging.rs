//! Two years of nights: 730 runs of a small profile under a clock that goes from night to night, with faults that come at
//! random. After each, the exit code, the mail, the history and `dupr status` must say what really happened, and what happened must
//! be what `--plan` had said; at the end exactly the sets that were promised are there, and each restores to what was backed up.
//!
//! The clock is moved by `faketime`, which stands between the program and the system's; nothing in dupr knows of it.
//! `DUPR_SEED` gives other years (`random` for any); without full effort the first seventh of the nights is lived.

use crate::support::effort;
use crate::support::home::{Called, Home, called};
use crate::support::programs::{clock_mover, find, run};
use crate::support::tree::Tree;
use jiff::{SignedDuration, Timestamp};
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// With full effort.
const ALL_NIGHTS: u32 = 730;

const PROFILE: &str = r#"
[backup]
full-every = "1M"
[retention]
keep-fulls = 3
keep-chains-with-incrementals = 2
force = true
[run]
default = "backup_purge"
[schedule]
cron = "17 2 * * *"
[stale]
after = "36h"
"#;

/// What befalls a night.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Nothing,
    /// The target's disk is not mounted.
    TargetDown,
    /// The source's disk is not mounted.
    SourceGone,
    /// Power fails after so many milliseconds, if the run takes that long.
    Killed(u64),
    /// The `before` hook fails.
    HookFails,
    /// The `before` hook asks to be left alone.
    PutOff,
    /// The clock says it is five days ago.
    ClockBack,
    /// The clock says it is two days later.
    ClockAhead,
    /// The clock is right again, and behind a set that was made while it was not.
    Behind,
    /// The machine is off.
    Off,
}

impl Fate {
    fn random(random: &mut SmallRng) -> Self {
        match random.random_range(0..100) {
            0..3 => Fate::TargetDown,
            3..5 => Fate::SourceGone,
            5..13 => Fate::Killed(random.random_range(0..250)),
            13..15 => Fate::HookFails,
            15..17 => Fate::PutOff,
            17..19 => Fate::ClockBack,
            19..21 => Fate::Off,
            21..22 => Fate::ClockAhead,
            _ => Fate::Nothing,
        }
    }

    /// Exit code, and the verdict in the history.
    fn expected(self) -> (i32, &'static str) {
        match self {
            Fate::Nothing | Fate::Killed(_) | Fate::ClockAhead | Fate::Off => (0, "success"),
            Fate::TargetDown => (13, "failed"),
            Fate::SourceGone | Fate::ClockBack | Fate::Behind => (1, "failed"),
            Fate::HookFails => (4, "failed"),
            Fate::PutOff => (7, "deferred"),
        }
    }
}

/// A set as its files name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Set {
    time: Timestamp,
    full: bool,
}

struct World {
    home: Home,
    random: SmallRng,
    /// Every state that was promised, by the time of its set.
    promised: BTreeMap<Timestamp, Tree>,
    /// Sets that must be there.
    sets: Vec<Set>,
    /// Whether the last run that ended failed.
    failed: bool,
    /// Whether the last night ended in a power cut.
    cut: bool,
    runs: usize,
    edits: u32,
    /// The library that moves the clock.
    faketime: String,
}

impl World {
    fn new(seed: u64, faketime: String) -> Self {
        let home = Home::new("years");
        let (mail, hook) = (home.path().join("mail"), home.path().join("hook"));
        let mailer = home.script("sendmail", &format!("cat >> {}", mail.display()));
        let before = home.script(
            "before",
            &format!("[ ! -e {0} ] || exit $(cat {0})", hook.display()),
        );
        home.profile(
            "home",
            &format!(
                "{PROFILE}[report.email]\nto = \"ada@example.org\"\nfrom = \"b@example.org\"\nsendmail = {mailer:?}\n\
                 when = [\"failure\", \"warning\", \"recovery\"]\n[[hook]]\non = \"before\"\nexec = [{before:?}]\n"
            ),
        );
        Self {
            home,
            random: SmallRng::seed_from_u64(seed),
            promised: BTreeMap::new(),
            sets: Vec::new(),
            failed: false,
            cut: false,
            runs: 0,
            edits: 0,
            faketime,
        }
    }

    fn command(&self, now: Timestamp, arguments: &[&str]) -> Command {
        let mut command = self.home.command(arguments);
        command
            .env("LD_PRELOAD", &self.faketime)
            .env("FAKETIME", now.strftime("@%Y-%m-%d %H:%M:%S").to_string())
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .env("TZ", "UTC");
        command
    }

    fn dupr(&self, now: Timestamp, arguments: &[&str]) -> Called {
        called(self.command(now, arguments).output().expect("faketime"))
    }

    /// A day's work in the source.
    fn edit(&mut self, now: Timestamp) {
        let names = ["one", "two", "sub/three", "sub/four", "five"];
        for _ in 0..self.random.random_range(0..3) {
            self.edits += 1;
            let name = names.choose(&mut self.random).expect("a name");
            let path = self.home.source().join(name);
            if self.random.random_range(0..5) == 0 {
                let _ = fs::remove_file(&path);
                continue;
            }
            let lines = self.random.random_range(0..400);
            let text: String = (0..lines)
                .map(|line| format!("{} {line}\n", self.edits))
                .collect();
            fs::write(&path, text).expect("edit");
        }
        // The times of the directory are those of this very day, which is long before.
        for name in ["one", "two", "sub/three", "sub/four", "five", "sub", ""] {
            let path = self.home.source().join(name);
            if fs::metadata(&path).is_ok_and(|m| is_of_today(&m)) {
                touch(&path, now - SignedDuration::from_hours(3));
            }
        }
    }

    /// The sets at the target.
    fn stored(&self) -> Vec<Set> {
        let mut sets: Vec<Set> = self
            .home
            .stored()
            .iter()
            .filter_map(|path| {
                let name = path.file_name()?.to_str()?.strip_suffix(".manifest.gpg")?;
                let (kind, rest) = name.strip_prefix("duplicity-")?.split_once('.')?;
                let time = rest.rsplit('.').next()?;
                let time = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", time).ok()?;
                Some(Set {
                    time: time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp(),
                    full: kind == "full",
                })
            })
            .collect();
        sets.sort();
        sets
    }

    /// Subjects of the mails since the last look.
    fn mails(&self) -> Vec<String> {
        let path = self.home.path().join("mail");
        let text = fs::read_to_string(&path).unwrap_or_default();
        let _ = fs::remove_file(&path);
        let subjects = text.lines().filter(|l| l.starts_with("Subject: "));
        subjects.map(str::to_owned).collect()
    }

    /// What retention keeps of the sets that must be there.
    fn purge(&mut self) {
        let fulls: Vec<Timestamp> = self
            .sets
            .iter()
            .filter(|s| s.full)
            .map(|s| s.time)
            .collect();
        let newest = |n: usize| fulls[fulls.len().saturating_sub(n)];
        let (kept, with_increments) = (newest(3), newest(2));
        self.sets
            .retain(|s| s.time >= with_increments || (s.full && s.time >= kept));
    }

    /// One night. Whether the source must stay as it is till the next, as a set of it may be half-done.
    fn night(&mut self, number: u32, now: Timestamp, fate: Fate) -> bool {
        let when = format!("night {number}, {now}, {fate:?}");
        let (source, target) = (self.home.source(), self.home.target());
        let (aside, hook) = (
            self.home.path().join("aside"),
            self.home.path().join("hook"),
        );
        // Nothing to be off, or to go wrong, before there is a backup.
        let fate = if self.sets.is_empty() {
            Fate::Nothing
        } else {
            fate
        };
        let state = Tree::read(&source);
        let mut clock = now;
        match fate {
            Fate::Off => {
                // Whoever looks in the afternoon is told that nothing ran.
                self.judge_status(now + SignedDuration::from_hours(13), fate, &when);
                return false;
            }
            Fate::TargetDown => fs::rename(&target, &aside).expect("unmount"),
            Fate::SourceGone => {
                fs::rename(&source, &aside).expect("unmount");
                fs::create_dir(&source).expect("a mount point");
            }
            Fate::HookFails => fs::write(&hook, "1").expect("hook"),
            Fate::PutOff => fs::write(&hook, "75").expect("hook"),
            Fate::ClockBack => clock = now - SignedDuration::from_hours(5 * 24),
            Fate::ClockAhead => clock = now + SignedDuration::from_hours(2 * 24 + 1),
            Fate::Nothing | Fate::Killed(_) | Fate::Behind => {}
        }
        // What is half-done may be gone on with, or be whole already.
        let follows_a_cut = std::mem::take(&mut self.cut);
        let foretold = (fate == Fate::Nothing && !follows_a_cut).then(|| self.foretold(clock));
        let mut killed = false;
        let said = match fate {
            Fate::Killed(after) => {
                let mut child = self
                    .command(clock, &["home", "-q"])
                    .spawn()
                    .expect("faketime");
                std::thread::sleep(Duration::from_millis(after));
                let _ = child.kill();
                let ended = child.wait().expect("wait");
                killed = ended.code().is_none();
                ended.code().map_or_else(String::new, |c| c.to_string())
            }
            _ => {
                let called = self.dupr(clock, &["home", "-q"]);
                let (code, _) = fate.expected();
                assert_eq!(called.code, code, "{when}\n{}", called.stderr);
                called.stderr
            }
        };
        let _ = fs::remove_file(&hook);
        match fate {
            Fate::TargetDown => {
                assert!(!target.exists(), "{when}: made a target");
                fs::rename(&aside, &target).expect("mount");
            }
            Fate::SourceGone => {
                fs::remove_dir(&source).expect("mount point");
                fs::rename(&aside, &source).expect("mount");
            }
            _ => {}
        }
        let known = self.sets.clone();
        let fresh: Vec<Set> = self
            .stored()
            .into_iter()
            .filter(|s| known.last().is_none_or(|last| s.time > last.time))
            .collect();
        let history = self.home.history("home");
        let mails = self.mails();
        if killed {
            // Nobody was told of a failure, and what stands in the history is what was done.
            let recorded = history.get(self.runs..).unwrap_or_default();
            assert!(
                recorded.len() <= 1 && recorded.iter().all(|line| line["verdict"] == "success"),
                "{when}: {recorded:?}"
            );
            let is_news = |mail: &String| !mail.contains("recovered");
            assert!(!mails.iter().any(is_news), "{when}: mails {mails:?}");
            self.failed &= recorded.is_empty();
            self.runs = history.len();
            // The set may be whole although nobody lived to tell.
            self.promise(fresh, &state, &when);
            self.judge_after_a_cut(now, &known, &when);
            self.cut = true;
            return true;
        }
        let (_, verdict) = fate.expected();
        assert_eq!(history.len(), self.runs + 1, "{when}: history");
        self.runs += 1;
        let line = history.last().expect("a line");
        assert_eq!(line["verdict"], verdict, "{when}: {line}");
        let started = line["started"].as_i64().expect("started");
        assert!(
            (clock.as_second()..clock.as_second() + 60).contains(&started),
            "{when}: {started}"
        );
        let recovered = verdict == "success" && self.failed;
        let expected = match verdict {
            "failed" => vec!["FAILED"],
            _ if recovered => vec!["recovered"],
            _ => vec![],
        };
        assert!(
            mails.len() == expected.len()
                && mails.iter().zip(&expected).all(|(m, e)| m.contains(e)),
            "{when}: mails {mails:?}, expected {expected:?}; {said}"
        );
        match verdict {
            "success" => {
                // Without a set of its own it only finished one that was whole already.
                self.promise(fresh, &state, &when);
                self.purge();
                assert_eq!(self.stored(), self.sets, "{when}: sets");
                if let Some(foretold) = foretold {
                    assert_eq!(done(line), foretold, "{when}: not what was planned");
                }
                self.failed = false;
            }
            "failed" => {
                assert_eq!(fresh, [], "{when}: a failed run made a set");
                self.failed = true;
            }
            _ => assert_eq!(fresh, [], "{when}"),
        }
        self.judge_status(now, fate, &when);
        false
    }

    fn promise(&mut self, fresh: Vec<Set>, state: &Tree, when: &str) {
        assert!(fresh.len() <= 1, "{when}: {fresh:?}");
        for set in fresh {
            let month = SignedDuration::from_hours(28 * 24);
            let last_full = self.sets.iter().rev().find(|s| s.full);
            if let Some(last) = last_full {
                let age = set.time.duration_since(last.time);
                assert!(
                    set.full == (age > month + month / 14) || age > month,
                    "{when}: {set:?}"
                );
            }
            self.promised.insert(set.time, state.clone());
            self.sets.push(set);
        }
    }

    /// What `--plan` says that this night's run will do.
    fn foretold(&self, now: Timestamp) -> Deeds {
        let called = self.dupr(now, &["home", "--plan", "--json"]);
        assert_eq!(called.code, 0, "{}", called.stderr);
        let json: serde_json::Value = serde_json::from_str(&called.stdout).expect("JSON");
        let mut deeds = Deeds::default();
        let mut open = vec![&json["plans"][0]["nodes"]];
        while let Some(value) = open.pop() {
            let Some(table) = value.as_object() else {
                open.extend(value.as_array().into_iter().flatten());
                continue;
            };
            if let Some(backup) = table.get("backup") {
                deeds.made.insert(backup["mode"].to_string());
            }
            if let Some(remove) = table.get("remove") {
                let sets = remove["sets"].as_array().expect("sets").iter();
                deeds.removed.extend(sets.map(|s| s["set"].to_string()));
            }
            open.extend(table.values());
        }
        deeds
    }

    /// What `dupr status` says of the profile.
    fn status(&self, now: Timestamp) -> serde_json::Value {
        let text = self.dupr(now, &["status", "--json"]).stdout;
        let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        json["profiles"][0].clone()
    }

    /// After a power cut `dupr status` may not know of the set that was just made, and believes in none that is not there.
    fn judge_after_a_cut(&self, now: Timestamp, known: &[Set], when: &str) {
        let later = now + SignedDuration::from_mins(1);
        let line = self.status(later);
        let good = line["last-good"].as_i64().expect("a time");
        let newest = [known.last(), self.sets.last()];
        let mut newest = newest.into_iter().flatten().map(|s| s.time.as_second());
        assert!(newest.any(|time| time == good), "{when}: {line}");
        let is_old = later.as_second() - good > 36 * 3600;
        assert_eq!(line["standing"] == "stale", is_old, "{when}: {line}");
        assert!(line["running"].is_null(), "{when}: {line}");
    }

    /// `dupr status` knows the newest set and how it stands.
    fn judge_status(&self, now: Timestamp, fate: Fate, when: &str) {
        let later = now + SignedDuration::from_mins(1);
        let line = self.status(later);
        let newest = self.sets.last().expect("a set").time;
        assert_eq!(line["last-good"], newest.as_second(), "{when}: {line}");
        let stale = later.duration_since(newest) > SignedDuration::from_hours(36);
        // A run whose clock was wrong is not the one that was due.
        let expected = match (stale || fate == Fate::ClockBack, self.failed) {
            (true, _) => "stale",
            (false, true) => "failed",
            (false, false) => "ok",
        };
        assert_eq!(line["standing"], expected, "{when}: {line}");
    }

    /// Every set that must be there restores to what was promised.
    fn restore_all(&self, now: Timestamp) {
        for (number, set) in self.sets.iter().enumerate() {
            let to = self.home.path().join(format!("restored-{number}"));
            let time = set.time.to_string();
            let said = self.dupr(now, &["home", "restore", &to.display().to_string(), &time]);
            assert_eq!(said.code, 0, "{time}: {}", said.stderr);
            let promised = &self.promised[&set.time];
            let differences = promised.differences(&Tree::read(&to));
            assert_eq!(differences, [""; 0], "{time}");
            fs::remove_dir_all(&to).expect("remove");
        }
    }
}

/// What a run does: kinds of sets it makes, and sets it removes.
#[derive(Debug, Default, PartialEq)]
struct Deeds {
    made: BTreeSet<String>,
    removed: BTreeSet<String>,
}

/// What a run did, by its line of the history.
fn done(line: &serde_json::Value) -> Deeds {
    let mut deeds = Deeds::default();
    for step in line["steps"].as_array().expect("steps") {
        let kinds = step["set"]
            .as_object()
            .into_iter()
            .flat_map(|set| set.keys());
        deeds.made.extend(kinds.map(|kind| format!("{kind:?}")));
        let gone = step["removed"].as_array().into_iter().flatten();
        deeds.removed.extend(gone.map(ToString::to_string));
    }
    deeds
}

/// Whether something was changed by this test, under the system's own clock.
fn is_of_today(meta: &fs::Metadata) -> bool {
    let age = meta.modified().expect("mtime").elapsed();
    age.is_ok_and(|age| age < Duration::from_secs(3600))
}

fn touch(path: &Path, time: Timestamp) {
    let time = Timespec {
        tv_sec: time.as_second(),
        tv_nsec: 0,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).expect("times");
}

#[test]
fn two_years_of_nights() {
    // The program would be a parent of the one that is to be killed; its library does without it.
    let Some(faketime) = clock_mover() else {
        return;
    };
    let seed = match std::env::var("DUPR_SEED") {
        Ok(text) => text.parse().unwrap_or_else(|_| rand::random()),
        Err(_) => 1,
    };
    println!("DUPR_SEED={seed}");
    let mut world = World::new(seed, faketime);
    let first: Timestamp = "2031-01-01T02:17:00Z".parse().expect("time");
    let mut now = first;
    let mut half_done = false;
    let mut jumps = BTreeSet::new();
    let nights = effort::of(ALL_NIGHTS, ALL_NIGHTS / 7);
    for number in 0..nights {
        now = first + SignedDuration::from_hours(24 * i64::from(number));
        if !half_done {
            world.edit(now);
        }
        let newest = world.sets.last().map(|s| s.time);
        let fate = match number {
            // Until its time has come, nothing can follow a set of the future.
            _ if newest.is_some_and(|newest| newest >= now) => Fate::Behind,
            // After a power cut there is a good night, so that what it left comes to its end.
            _ if half_done => Fate::Nothing,
            // Whatever the seed, both happen.
            20.. if !jumps.contains("ClockAhead") => Fate::ClockAhead,
            30.. if !jumps.contains("ClockBack") => Fate::ClockBack,
            _ => Fate::random(&mut world.random),
        };
        jumps.insert(format!("{fate:?}"));
        half_done = world.night(number, now, fate);
    }
    for jump in ["ClockAhead", "ClockBack", "Behind"] {
        assert!(jumps.contains(jump), "{jumps:?}");
    }
    // What the last night left half-done, or made in the future.
    now += SignedDuration::from_hours(3 * 24);
    world.night(nights, now, Fate::Nothing);
    assert!(
        world.promised.len() > nights as usize * 2 / 3 && world.sets.len() > effort::of(15, 5),
        "{:?}",
        world.sets
    );
    world.restore_all(now);

    // And so says duplicity.
    let Some(duplicity) = find("duplicity-3.2.1") else {
        return;
    };
    let (newest, state) = world.promised.last_key_value().expect("a state");
    let to = world.home.path().join("by-duplicity");
    let words = [
        &duplicity.display().to_string(),
        "restore",
        "--time",
        &newest.to_string(),
        &format!("file://{}", world.home.target().display()),
        &to.display().to_string(),
        "--archive-dir",
        &world.home.path().join("other-cache").display().to_string(),
    ]
    .map(str::to_owned);
    let env = [(
        "PASSPHRASE".to_owned(),
        fs::read_to_string(world.home.path().join("pass")).expect("passphrase"),
    )];
    run(&words, world.home.path(), &env).unwrap_or_else(|text| panic!("{text}"));
    assert_eq!(state.differences(&Tree::read(&to)), [""; 0]);
}
