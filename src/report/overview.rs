//! A profile in one line, from its history alone: works without passphrase and without network.

use super::notify::Undelivered;
use super::{format, headline, status_word};
use crate::engine::format::SetId;
use crate::engine::time::Timestamp;
use crate::plan::{Batch, BatchOptions};
use crate::profile::Profile;
use crate::run::due;
use crate::run::outcome::{Outcome, Verdict};
use serde::Serialize;

/// How a profile stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// The last run was good and is young enough.
    Ok,
    /// It never ran.
    Never,
    /// It ran, and no run that is known here made a set.
    NoSet,
    /// The last run had problems.
    Warning,
    /// The last run failed.
    Failed,
    /// The last good backup is too old, or a planned run has not taken place.
    Stale,
    /// The profile itself cannot be used.
    Broken,
}

impl Standing {
    /// The word shown.
    pub fn word(self) -> &'static str {
        match self {
            Standing::Ok => "ok",
            Standing::Never => "never ran",
            Standing::NoSet => "no backup",
            Standing::Warning => "warning",
            Standing::Failed => "FAILED",
            Standing::Stale => "STALE",
            Standing::Broken => "BROKEN",
        }
    }
}

/// A profile in one line.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Overview {
    /// Its name.
    pub profile: String,
    /// How it stands.
    pub standing: Standing,
    /// Time of the newest set that can be restored, as far as is known.
    pub last_good: Option<Timestamp>,
    /// Start of the last run.
    pub last_run: Option<Timestamp>,
    /// Time of the newest full set.
    pub full: Option<Timestamp>,
    /// Sets made on top of it.
    pub incrementals: u64,
    /// Bytes those sets take at the target.
    pub chain_bytes: u64,
    /// When the schedule wants the next run.
    pub next_due: Option<Timestamp>,
    /// A planned start that no run has answered.
    pub missed: Option<Timestamp>,
    /// The run that is under way, in its own words.
    pub running: Option<String>,
    /// Why it is stale; what the last run did or why it failed, or why the profile is broken.
    pub note: String,
    /// Reports that could not be delivered so far, oldest first.
    pub undelivered: Vec<Undelivered>,
}

/// What the profile says about being on time.
#[derive(Debug, Clone, Default)]
pub struct Expectation {
    /// The run that is under way, in its own words. It may be the one that is due.
    pub running: Option<String>,
    /// From which age the last good backup is too old.
    pub limit: Option<Limit>,
    /// When the schedule wants the next run.
    pub next_due: Option<Timestamp>,
    /// When it last wanted one that should have come to its end by now.
    pub last_due: Option<Timestamp>,
    /// Start of the last run that did what the schedule asks for.
    pub answered: Option<Timestamp>,
    /// When the schedule was put into effect, if that is known: nothing was missed before.
    pub since: Option<Timestamp>,
}

/// Whether the runs of the schedule do anything at the target of this profile; a copy may be made by hand alone.
fn is_part_of_it(profile: &Profile) -> bool {
    let batch = Batch::parse(&profile.run.default, &[], BatchOptions::default());
    let is_copy = profile.origin.is_some();
    batch.is_ok_and(|b| b.commands().iter().any(|c| c.concerns(is_copy)))
}

/// From which age the last good set is too old.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// That age, in seconds.
    pub seconds: i64,
    /// Whether the profile says it.
    pub is_said: bool,
}

impl Limit {
    /// What counts where nobody said anything: the longest month and a few days. No backup stays green for ever.
    const USUAL: i64 = 35 * 86_400;

    /// The limit of a profile: what `[stale] after` says, or else the usual one, or twice the time between two starts of a
    /// schedule that is rarer.
    pub fn of(profile: &Profile, now: Timestamp) -> Self {
        if let Some(age) = &profile.stale_after {
            return Self {
                seconds: age.as_secs(),
                is_said: true,
            };
        }
        let schedule = profile.schedule.as_ref();
        let starts = schedule.and_then(|s| Some((s.previous(now)?, s.next_after(now)?)));
        let between = starts.map_or(0, |(last, next)| next.as_secs() - last.as_secs());
        Self {
            seconds: between.saturating_mul(2).max(Self::USUAL),
            is_said: false,
        }
    }

    /// Whether a set of `good` is too old.
    pub fn is_over(self, good: Timestamp, now: Timestamp) -> bool {
        now.as_secs() - good.as_secs() > self.seconds
    }

    /// `[stale] after is 36 h`.
    pub fn said(self) -> String {
        let span = format::span(self.seconds.unsigned_abs());
        match self.is_said {
            true => format!("[stale] after is {span}"),
            false => format!("without [stale] after {span} is the limit"),
        }
    }
}

/// A scheduled run may take this long before it counts as missed, in seconds: it is recorded when it ends.
const GRACE: i64 = 6 * 3600;

impl Expectation {
    /// What a profile says about being on time, and how it was answered. `since` is when its schedule was put into
    /// effect, `running` the run that is under way.
    pub fn of(
        profile: &Profile,
        past: &[Outcome],
        since: Option<Timestamp>,
        running: Option<String>,
        now: Timestamp,
    ) -> Self {
        let schedule = profile.schedule.as_ref();
        let grace = |s: &crate::profile::Schedule| {
            GRACE.saturating_add(i64::try_from(s.jitter.as_secs()).unwrap_or(i64::MAX))
        };
        Self {
            running,
            limit: Some(Limit::of(profile, now)),
            next_due: schedule.and_then(|s| s.next_after(now)),
            // A disk that may be absent misses runs; only its age counts.
            last_due: schedule
                .filter(|_| !profile.target.optional && is_part_of_it(profile))
                .and_then(|s| s.previous(now.plus(-grace(s)))),
            answered: due::answered(past, &profile.run.default),
            since,
        }
    }

    /// A planned start that should have come to its end by now and that no run has answered, nor is about to.
    pub fn missed(&self) -> Option<Timestamp> {
        if self.running.is_some() {
            return None;
        }
        let last = self.answered.max(self.since);
        self.last_due.filter(|due| last.is_none_or(|t| t < *due))
    }
}

/// Time of the newest set of these runs, oldest first, in which nothing was found to be damaged, nor in those it is built on.
pub fn newest_whole<'a>(runs: impl Iterator<Item = &'a Outcome> + Clone) -> Option<Timestamp> {
    let steps = || runs.clone().flat_map(|o| &o.steps);
    let damaged = steps().filter_map(|s| s.damaged.as_ref()).last();
    let damaged: Vec<Timestamp> = damaged.into_iter().flatten().map(SetId::time).collect();
    // A copy has sets and makes none.
    let sets = || steps().filter_map(|s| s.set);
    let begin = |end: Timestamp| {
        let fulls = sets().filter(SetId::is_full).map(|set| set.time());
        fulls.filter(|time| *time <= end).max()
    };
    let is_whole = |end: Timestamp| {
        let begin = (!damaged.is_empty()).then(|| begin(end)).flatten();
        !damaged
            .iter()
            .any(|t| *t <= end && begin.is_none_or(|begin| *t >= begin))
    };
    let mut times: Vec<Timestamp> = sets().map(|set| set.time()).collect();
    times.sort_unstable();
    times.into_iter().rev().find(|time| is_whole(*time))
}

impl Overview {
    /// Sums up the past runs, oldest first.
    pub fn new(profile: &str, past: &[Outcome], expected: Expectation, now: Timestamp) -> Self {
        let sets = || {
            past.iter()
                .flat_map(|o| &o.steps)
                .filter_map(|s| Some((s.set?, s.backup.as_ref()?)))
        };
        let full = sets()
            .filter(|(set, _)| set.is_full())
            .map(|(set, _)| set.time())
            .max();
        let chain = || sets().filter(|(set, _)| full.is_some_and(|f| set.time() >= f));
        let last_good = newest_whole(past.iter());
        let newest = past.iter().flat_map(|o| &o.steps).filter_map(|s| s.set);
        let newest = newest.map(|set| set.time()).max();
        let harmed = (newest > last_good).then(|| "the newest set is damaged".to_owned());
        let last = past.iter().rev().find(|o| o.verdict != Verdict::Deferred);
        let missed = expected.missed();
        let running = expected.running.as_deref().map(format::safe);
        let now_running = running.as_ref().map(|who| format!("running: {who}"));
        let too_old = expected.limit.filter(|limit| match last_good {
            Some(good) => limit.is_over(good, now),
            // Never a set: too old from the first planned day on, or from the first run.
            None if limit.is_said => {
                last.is_some() || expected.since.is_some_and(|t| limit.is_over(t, now))
            }
            None => false,
        });
        let why_stale = match (missed, too_old) {
            (Some(due), _) => Some(format!(
                "due {}, and no run has ended since",
                format::time(due)
            )),
            (None, Some(limit)) => Some(match last_good {
                Some(good) => format!(
                    "the last good set is of {}, and {}",
                    format::time(good),
                    limit.said()
                ),
                None => format!("no set was ever made, and {}", limit.said()),
            }),
            (None, None) => None,
        };
        // Runs that went well and made none say nothing of backups.
        let no_set = last
            .filter(|o| o.verdict < Verdict::Differences && newest.is_none() && why_stale.is_none())
            .map(|_| "no set is known here".to_owned());
        let standing = match last {
            _ if why_stale.is_some() => Standing::Stale,
            None => Standing::Never,
            Some(o) if o.verdict >= Verdict::Differences => Standing::Failed,
            _ if harmed.is_some() => Standing::Failed,
            _ if no_set.is_some() => Standing::NoSet,
            Some(o) if o.verdict == Verdict::Warning => Standing::Warning,
            _ => Standing::Ok,
        };
        Self {
            profile: profile.to_owned(),
            standing,
            last_good,
            last_run: past.last().map(|o| o.started),
            full,
            incrementals: chain()
                .filter(|(set, _)| matches!(set, SetId::Incremental { .. }))
                .count() as u64,
            chain_bytes: chain().map(|(_, stats)| stats.stored_bytes).sum(),
            next_due: expected.next_due,
            missed,
            running,
            note: [
                now_running
                    .into_iter()
                    .chain(harmed)
                    .chain(no_set)
                    .chain(why_stale)
                    .collect::<Vec<_>>()
                    .join("; "),
                last.map(|o| format!("{}: {}", status_word(o.verdict), headline(o)))
                    .unwrap_or_default(),
            ]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join("; last run "),
            undelivered: Vec::new(),
        }
    }

    /// The same with reports that wait.
    pub fn with_undelivered(self, undelivered: Vec<Undelivered>) -> Self {
        Self {
            undelivered,
            ..self
        }
    }

    /// What is to be said of reports that wait, in one line.
    pub fn waiting(&self) -> Option<String> {
        let last = self.undelivered.last()?;
        let count = format::counted(self.undelivered.len() as u64, "report");
        Some(format!(
            "{}: {count} not delivered, the last of the run of {}: {}: {}",
            self.profile,
            format::time(last.run),
            format::safe(&last.name),
            format::safe(&last.error)
        ))
    }

    /// A profile that cannot be used.
    pub fn broken(profile: &str, why: &str) -> Self {
        let note = format::safe(why);
        Self {
            standing: Standing::Broken,
            note,
            ..Self::new(profile, &[], Expectation::default(), Timestamp(0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::night;
    use super::*;

    #[test]
    fn a_chain_is_counted_from_its_full_set() {
        let past: Vec<Outcome> = (0..35).map(|d| night(d, Verdict::Success)).collect();
        let now = past[34].started.plus(3600);
        let view = Overview::new("home", &past, Expectation::default(), now);
        assert_eq!((view.standing, view.incrementals), (Standing::Ok, 4));
        assert_eq!(view.full, Some(past[30].started));
        assert_eq!(view.last_good, Some(past[34].started));
    }

    #[test]
    fn a_set_that_is_damaged_is_not_the_last_good_one() {
        let mut past: Vec<Outcome> = (0..35).map(|d| night(d, Verdict::Success)).collect();
        let set = |o: &Outcome| o.steps.iter().find_map(|s| s.set).expect("a set");
        let read = |damaged: Vec<SetId>, verdict| {
            let mut run = night(35, verdict);
            for step in &mut run.steps {
                (step.set, step.backup) = (None, None);
                step.damaged = Some(damaged.clone());
            }
            run
        };
        let view = |past: &[Outcome]| {
            let now = past[past.len() - 1].started.plus(3600);
            let view = Overview::new("home", past, Expectation::default(), now);
            (view.standing, view.last_good, view.note.contains("damaged"))
        };
        let good = |n: usize| Some(night(n as i64, Verdict::Success).started);
        // An increment: those before it are whole; a full set: those of the chain before it.
        for (n, left) in [(33, good(32)), (30, good(29)), (12, good(34))] {
            past.push(read(vec![set(&past[n])], Verdict::Failed));
            assert_eq!(view(&past).1, left, "{n}");
            assert_eq!(view(&past).0, Standing::Failed);
            past.pop();
        }
        // What went well afterwards does not make it whole, until it is read again and is.
        past.push(read(vec![set(&past[34])], Verdict::Failed));
        past.push(read(vec![set(&past[34])], Verdict::Success));
        assert_eq!(view(&past), (Standing::Failed, good(33), true));
        past.push(read(Vec::new(), Verdict::Success));
        assert_eq!(view(&past), (Standing::Ok, good(34), false));
    }

    #[test]
    fn old_backups_are_stale_whatever_the_last_run_said() {
        let past = [night(0, Verdict::Success)];
        let now = night(3, Verdict::Success).started;
        let stale = Expectation {
            limit: Some(Limit {
                seconds: 36 * 3600,
                is_said: true,
            }),
            ..Expectation::default()
        };
        assert_eq!(
            Overview::new("home", &past, stale, now).standing,
            Standing::Stale
        );
        assert_eq!(
            Overview::new("home", &past, Expectation::default(), now).standing,
            Standing::Ok
        );
        let missed = Expectation {
            last_due: Some(now.plus(-86_400)),
            ..Expectation::default()
        };
        assert_eq!(
            Overview::new("home", &past, missed.clone(), now).standing,
            Standing::Stale
        );
        // It may be just that run.
        let running = Expectation {
            running: Some("dupr home backup\nsince then".into()),
            ..missed.clone()
        };
        let view = Overview::new("home", &past, running, now);
        assert_eq!((view.standing, view.missed), (Standing::Ok, None));
        assert!(
            view.note.starts_with("running: dupr home backup")
                && view.note.contains("; last run ok"),
            "{}",
            view.note
        );
        assert_eq!(
            Overview::new("home", &[], missed, now).standing,
            Standing::Stale
        );
        assert_eq!(
            Overview::new("home", &[], Expectation::default(), now).standing,
            Standing::Never
        );
    }

    /// A profile with more tables.
    fn profile(more: &str) -> Profile {
        let around = crate::profile::Surroundings::default();
        let text = format!(
            "version = 1\nsource = \"/s\"\ntarget = \"file:///t\"\n[keys]\nencryption = \"none\"\n{more}"
        );
        let path = std::path::Path::new("/p/home.toml");
        let loaded = crate::profile::Loaded::from_text(path, &text, &around, &[]).unwrap();
        loaded.check(&around).unwrap()
    }

    #[test]
    fn nothing_stays_green_for_ever_whatever_the_profile_says() {
        let planned = |cron: &str| format!("[schedule]\ncron = \"{cron}\"\ntime-zone = \"utc\"\n");
        // What is put off politely night after night answers its schedule, and makes no backup.
        let view = |more: &str, days: i64| {
            let mut past = vec![night(0, Verdict::Success)];
            past.extend((1..days).map(|d| night(d, Verdict::Deferred)));
            past.iter_mut().for_each(|o| o.batch = "backup".into());
            let steps = past.iter_mut().skip(1).flat_map(|o| o.steps.iter_mut());
            steps.for_each(|s| s.set = None);
            let now = night(0, Verdict::Success)
                .started
                .plus(days * 86_400 - 3600);
            let expected = Expectation::of(&profile(more), &past, None, None, now);
            Overview::new("home", &past, expected, now)
        };
        for more in [String::new(), planned("17 2 * * *")] {
            assert_eq!(view(&more, 30).standing, Standing::Ok, "{more}");
            let old = view(&more, 37);
            assert_eq!(old.standing, Standing::Stale, "{more}");
            let said = "without [stale] after 35 d is the limit";
            assert!(old.note.contains(said), "{}", old.note);
        }
        // A rarer schedule has its own measure, and whoever says something is believed.
        assert_eq!(view(&planned("0 0 1 1 *"), 50).standing, Standing::Ok);
        let long = "[stale]\nafter = \"90D\"\n";
        assert_eq!(view(long, 80).standing, Standing::Ok);
        assert_eq!(view(long, 100).standing, Standing::Stale);
    }

    #[test]
    fn runs_that_made_no_set_are_not_green() {
        let mut looked = night(1, Verdict::Success);
        looked.steps.iter_mut().for_each(|s| s.set = None);
        let past = [looked];
        let now = past[0].started.plus(60);
        let expected = Expectation::of(&profile(""), &past, None, None, now);
        let view = Overview::new("home", &past, expected, now);
        assert_eq!(view.standing, Standing::NoSet);
        let note = "no set is known here; last run ok: ";
        assert!(view.note.starts_with(note), "{}", view.note);
    }

    #[test]
    fn what_was_due_and_did_not_run_says_so() {
        let profile = profile("[schedule]\ncron = \"0 * * * *\"\ntime-zone = \"utc\"\n");
        let mut run = night(0, Verdict::Success);
        run.batch = "backup".into();
        let view = |past: &[Outcome], since, hours: i64| {
            let now = night(0, Verdict::Success).started.plus(hours * 3600 + 1);
            let expected = Expectation::of(&profile, past, since, None, now);
            Overview::new("home", past, expected, now)
        };
        // Every hour a run is due; it may take six.
        assert_eq!(
            view(std::slice::from_ref(&run), None, 5).standing,
            Standing::Ok
        );
        let late = view(std::slice::from_ref(&run), None, 8);
        assert_eq!(late.standing, Standing::Stale);
        assert!(
            late.missed.is_some() && late.note.contains("no run has ended since; last run ok: "),
            "{}",
            late.note
        );
        assert_eq!(view(&[], None, 8).standing, Standing::Stale);
        // A schedule that was put into effect just now has missed nothing.
        let since = Some(run.started.plus(7 * 3600));
        assert_eq!(view(&[], since, 8).standing, Standing::Never);
        assert_eq!(view(&[], since, 15).standing, Standing::Stale);
        // A failed run is an answer: it is told as what it is.
        run.verdict = Verdict::Failed;
        assert_eq!(view(&[run], None, 5).standing, Standing::Failed);
    }

    #[test]
    fn a_failure_is_not_green_and_a_run_put_off_changes_nothing() {
        let past = [
            night(0, Verdict::Success),
            night(1, Verdict::Failed),
            night(2, Verdict::Deferred),
        ];
        let view = Overview::new("home", &past, Expectation::default(), past[2].started);
        assert_eq!(
            (view.standing, view.note.as_str()),
            (Standing::Failed, "FAILED: target full")
        );
    }
}
