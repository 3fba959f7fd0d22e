//! Figures of a profile in Prometheus' text format (version 0.0.4). Pure.
//!
//! All are gauges with base units in their names and the profile as label. Times are seconds since 1970. What a failed run
//! did not do keeps its last value, so that age and size can be alarmed on.

use crate::engine::format::SetId;
use crate::engine::stats::BackupStats;
use crate::report::elapsed_ms;
use crate::run::outcome::{Outcome, Verdict};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Names and what they mean, in the order in which they are written.
const FAMILIES: &[(&str, &str)] = &[
    ("dupr_build_info", "Version that wrote these figures."),
    (
        "dupr_last_run_start_timestamp_seconds",
        "When the last run began.",
    ),
    (
        "dupr_last_run_end_timestamp_seconds",
        "When the last run ended.",
    ),
    (
        "dupr_last_run_duration_seconds",
        "How long the last run took.",
    ),
    ("dupr_last_run_exit_code", "Exit code of the last run."),
    (
        "dupr_last_run_success",
        "0 if the last run failed, was interrupted or found differences, else 1.",
    ),
    (
        "dupr_last_run_verdict",
        "1 for the verdict of the last run, 0 for all others.",
    ),
    (
        "dupr_last_run_problems",
        "Entries the last run had problems with.",
    ),
    (
        "dupr_last_backup_timestamp_seconds",
        "Time of the newest set.",
    ),
    (
        "dupr_last_backup_full",
        "Whether the newest set is a full one.",
    ),
    (
        "dupr_last_backup_duration_seconds",
        "How long the newest set took to make.",
    ),
    (
        "dupr_last_backup_source_bytes",
        "Bytes of the source in the newest set.",
    ),
    (
        "dupr_last_backup_source_entries",
        "Entries of the source in the newest set.",
    ),
    ("dupr_last_backup_new_entries", "Entries that were new."),
    (
        "dupr_last_backup_changed_entries",
        "Entries that had changed.",
    ),
    (
        "dupr_last_backup_deleted_entries",
        "Entries that were gone.",
    ),
    (
        "dupr_last_backup_stored_bytes",
        "Bytes the newest set takes at the target.",
    ),
    ("dupr_last_backup_volumes", "Volumes of the newest set."),
    (
        "dupr_chain_full_timestamp_seconds",
        "Time of the newest full set.",
    ),
    (
        "dupr_chain_incrementals",
        "Sets on top of the newest full set.",
    ),
    (
        "dupr_chain_stored_bytes",
        "Bytes the newest chain takes at the target.",
    ),
    (
        "dupr_next_run_timestamp_seconds",
        "When the schedule wants the next run.",
    ),
];

/// All verdicts with their words.
const VERDICTS: [(Verdict, &str); 6] = [
    (Verdict::Success, "success"),
    (Verdict::Deferred, "deferred"),
    (Verdict::Warning, "warning"),
    (Verdict::Differences, "differences"),
    (Verdict::Failed, "failed"),
    (Verdict::Interrupted, "interrupted"),
];

/// The figures of one profile.
pub struct Metrics {
    labels: String,
    /// Name, further labels, value.
    samples: Vec<(&'static str, String, String)>,
    /// Whether these are all there are, so that what is not among them goes.
    whole: bool,
}

impl Metrics {
    /// The figures after the runs in `past`, oldest first, and `last` with its exit code.
    pub fn new(profile: &str, past: &[Outcome], last: (&Outcome, u8)) -> Self {
        let mut this = Self::version_only(profile);
        this.whole = true;
        let (outcome, code) = last;
        this.run(outcome, code);
        let all = past.iter().chain([outcome]);
        this.sets(
            all.flat_map(|o| &o.steps)
                .filter_map(|s| Some((s.set?, s.backup.as_ref()?, s.elapsed_ms))),
        );
        if let Some(next) = outcome.next_due {
            this.add("dupr_next_run_timestamp_seconds", next.as_secs());
        }
        this
    }

    /// Only which version wrote them; everything else stays as it is.
    pub fn version_only(profile: &str) -> Self {
        let mut this = Self {
            labels: format!("profile=\"{}\"", escaped(profile)),
            samples: Vec::new(),
            whole: false,
        };
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        this.add_with("dupr_build_info", &version, 1);
        this
    }

    fn run(&mut self, outcome: &Outcome, code: u8) {
        let problems: u64 = outcome.steps.iter().map(|s| s.problem_count).sum();
        let good = outcome.verdict < Verdict::Differences;
        self.add(
            "dupr_last_run_start_timestamp_seconds",
            outcome.started.as_secs(),
        );
        self.add(
            "dupr_last_run_end_timestamp_seconds",
            outcome.ended.as_secs(),
        );
        self.add(
            "dupr_last_run_duration_seconds",
            seconds(elapsed_ms(outcome)),
        );
        self.add("dupr_last_run_exit_code", code);
        self.add("dupr_last_run_success", u8::from(good));
        for (verdict, word) in VERDICTS {
            let is = u8::from(outcome.verdict == verdict);
            self.add_with("dupr_last_run_verdict", &[("verdict", word)], is);
        }
        self.add("dupr_last_run_problems", problems);
    }

    fn sets<'a>(&mut self, sets: impl Iterator<Item = (SetId, &'a BackupStats, u64)>) {
        let sets: Vec<_> = sets.collect();
        let Some((set, stats, ms)) = sets.iter().max_by_key(|(set, ..)| set.time()) else {
            return;
        };
        self.add("dupr_last_backup_timestamp_seconds", set.time().as_secs());
        self.add("dupr_last_backup_full", u8::from(set.is_full()));
        self.add("dupr_last_backup_duration_seconds", seconds(*ms));
        self.add("dupr_last_backup_source_bytes", stats.source_bytes);
        self.add("dupr_last_backup_source_entries", stats.source_entries);
        self.add("dupr_last_backup_new_entries", stats.new_entries);
        self.add("dupr_last_backup_changed_entries", stats.changed_entries);
        self.add("dupr_last_backup_deleted_entries", stats.deleted_entries);
        self.add("dupr_last_backup_stored_bytes", stats.stored_bytes);
        self.add("dupr_last_backup_volumes", stats.volumes);
        let fulls = sets.iter().filter(|(set, ..)| set.is_full());
        if let Some(full) = fulls.map(|(set, ..)| set.time()).max() {
            let chain = || sets.iter().filter(|(set, ..)| set.time() >= full);
            self.add("dupr_chain_full_timestamp_seconds", full.as_secs());
            let incrementals = chain().filter(|(set, ..)| !set.is_full()).count();
            self.add("dupr_chain_incrementals", incrementals);
            let stored: u64 = chain().map(|(_, stats, _)| stats.stored_bytes).sum();
            self.add("dupr_chain_stored_bytes", stored);
        }
    }

    fn add(&mut self, name: &'static str, value: impl ToString) {
        self.add_with(name, &[], value);
    }

    fn add_with(&mut self, name: &'static str, labels: &[(&str, &str)], value: impl ToString) {
        let labels = labels
            .iter()
            .map(|(label, text)| format!(",{label}=\"{}\"", escaped(text)))
            .collect();
        self.samples.push((name, labels, value.to_string()));
    }

    /// The figures, together with those of other profiles in `before`, the text they are to replace.
    pub fn text(&self, before: &str) -> String {
        let mine = format!("{{{}", self.labels);
        let mut others: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for line in before.lines().filter(|l| !l.starts_with('#')) {
            let Some((name, rest)) = line.find('{').map(|at| line.split_at(at)) else {
                continue;
            };
            // The label ends with its quote, so no other profile begins like this one.
            let stays = !rest.starts_with(&mine)
                || (!self.whole && self.samples.iter().all(|(n, ..)| *n != name));
            if stays {
                others.entry(name).or_default().push(line);
            }
        }
        let mut text = String::new();
        for (name, help) in FAMILIES {
            let own = self.samples.iter().filter(|(n, ..)| n == name);
            let own =
                own.map(|(name, more, value)| format!("{name}{{{}{more}}} {value}", self.labels));
            let kept = others
                .get(name)
                .into_iter()
                .flatten()
                .map(|l| (*l).to_owned());
            let mut lines: Vec<String> = kept.chain(own).collect();
            if lines.is_empty() {
                continue;
            }
            lines.sort();
            let _ = writeln!(
                text,
                "# HELP {name} {help}\n# TYPE {name} gauge\n{}",
                lines.join("\n")
            );
        }
        text
    }
}

/// The value of a label between its quotes.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::night;
    use super::*;

    fn value<'a>(text: &'a str, name: &str) -> Option<&'a str> {
        text.lines()
            .find_map(|l| l.strip_prefix(&format!("{name}{{profile=\"home\"}} ")))
    }

    #[test]
    fn what_a_failed_run_did_not_do_keeps_its_last_value() {
        let past = [night(0, Verdict::Success), night(1, Verdict::Success)];
        let failed = night(2, Verdict::Failed);
        let text = Metrics::new("home", &past, (&failed, 13)).text("");
        assert_eq!(value(&text, "dupr_last_run_exit_code"), Some("13"));
        assert_eq!(value(&text, "dupr_last_run_success"), Some("0"));
        let good = past[1].started.as_secs().to_string();
        let newest = value(&text, "dupr_last_backup_timestamp_seconds");
        assert_eq!(newest, Some(good.as_str()));
        assert_eq!(value(&text, "dupr_chain_incrementals"), Some("1"));
        assert!(text.contains("dupr_last_run_verdict{profile=\"home\",verdict=\"failed\"} 1\n"));
    }

    #[test]
    fn profiles_share_a_text_and_replace_only_their_own() {
        let ok = night(0, Verdict::Success);
        let of = |name: &str, code| Metrics::new(name, &[], (&ok, code));
        let both = of("home2", 0).text(&of("home", 0).text("junk\n"));
        let again = of("home", 3).text(&both);
        for line in [
            "dupr_last_run_exit_code{profile=\"home\"} 3",
            "dupr_last_run_exit_code{profile=\"home2\"} 0",
        ] {
            assert_eq!(again.matches(line).count(), 1, "{again}");
        }
        assert_eq!(
            again
                .matches("# TYPE dupr_last_run_exit_code gauge")
                .count(),
            1
        );
        assert!(!again.contains("junk"));
        assert_eq!(again.matches("verdict=\"success\"").count(), 2);
        assert_eq!(Metrics::version_only("home").text(&again), again);
    }

    #[test]
    fn a_name_cannot_leave_its_label() {
        let text = Metrics::version_only("a\"} 1\nx").text("");
        assert!(
            text.contains("{profile=\"a\\\"} 1\\nx\",version="),
            "{text}"
        );
    }
}
