//! Decides what is told to whom, tells it, and remembers what could not be delivered.
//!
//! A message that failed is sent with the next run's, made anew from history and marked as late. Of what only shows a state
//! (pings, metrics) the next one counts. Nothing here changes what a run did.

use super::when::{self, Reason};
use super::{News, Notifier, SecretReader, Sent, Store, Undelivered, digest, notifiers};
use crate::engine::error::Result;
use crate::profile::Reports;
use crate::report::{Report, format};
use crate::run::outcome::Outcome;

/// A message is given up after so many tries.
const MOST_ATTEMPTS: u32 = 10;

/// Tells the outcomes of one profile.
pub struct Desk<'a> {
    /// Whom to tell.
    pub reports: &'a Reports,
    /// Reads a secret.
    pub secrets: SecretReader<'a>,
    /// The exit code of an outcome.
    pub code: &'a dyn Fn(&Outcome) -> u8,
    /// What is remembered from run to run.
    pub store: &'a Store,
}

/// An attempt to tell.
#[derive(Debug)]
pub struct Delivery {
    /// Whom it was meant for, and what it was if not this run's report.
    pub notifier: String,
    /// How it went.
    pub result: Result<Sent>,
}

impl Desk<'_> {
    /// Tells those who want to know that a run begins.
    pub fn begin(&self) -> Vec<Delivery> {
        // One that cannot be made is told at the end.
        let list = notifiers(self.reports).unwrap_or_default();
        let begun = |notifier: &dyn Notifier| {
            let result = notifier.begin(self.secrets)?;
            Some(Delivery {
                notifier: format!("{}, start", notifier.name()),
                result: result.map(|()| Sent::default()),
            })
        };
        list.iter().filter_map(|n| begun(&**n)).collect()
    }

    /// Tells an outcome to everybody who wants it, and what could not be told before.
    pub fn tell(&self, outcome: &Outcome, past: &[Outcome], log: &[String]) -> Vec<Delivery> {
        let list = match notifiers(self.reports) {
            Ok(list) => list,
            Err(e) => return vec![broken(e)],
        };
        let mut deliveries = Vec::new();
        let waiting = self.store.undelivered().unwrap_or_else(|e| {
            deliveries.push(broken(e));
            Vec::new()
        });
        let mut left = Vec::new();
        for notifier in &list {
            let own = waiting
                .iter()
                .filter(|w| w.notifier == notifier.key())
                .cloned()
                .collect();
            self.tell_one(
                &**notifier,
                own,
                outcome,
                past,
                log,
                &mut deliveries,
                &mut left,
            );
        }
        if left != waiting
            && let Err(e) = self.store.keep(&left)
        {
            deliveries.push(broken(e));
        }
        deliveries
    }

    /// Tells that a backup is too old, or not any more: an outcome of [`stale`](crate::report::stale), which is not in
    /// the history. Whoever looks for them tells it again if it fails, so nothing is remembered here.
    pub fn watch(&self, outcome: &Outcome, past: &[Outcome]) -> Vec<Delivery> {
        let list = match notifiers(self.reports) {
            Ok(list) => list,
            Err(e) => return vec![broken(e)],
        };
        let report = self.report(Reason::Outcome, outcome, past, &[]);
        let news = self.news(outcome, &report, past, &[]);
        list.iter()
            .filter(|notifier| when::wants_stale(notifier.moments()))
            .map(|notifier| Delivery {
                notifier: notifier.name(),
                result: notifier.send(&news, self.secrets),
            })
            .collect()
    }

    #[allow(clippy::too_many_arguments)] // one recipient, one story
    fn tell_one(
        &self,
        notifier: &dyn Notifier,
        waiting: Vec<Undelivered>,
        outcome: &Outcome,
        past: &[Outcome],
        log: &[String],
        deliveries: &mut Vec<Delivery>,
        left: &mut Vec<Undelivered>,
    ) {
        let mut own = Vec::new();
        let mut down = false;
        for reason in self.reasons(notifier, outcome, past) {
            let report = self.report(reason, outcome, past, log);
            let news = self.news(outcome, &report, past, log);
            let result = notifier.send(&news, self.secrets);
            if let Err(e) = &result {
                down = true;
                own.push(Undelivered {
                    notifier: notifier.key().to_owned(),
                    name: notifier.name(),
                    run: outcome.started,
                    digest: reason.period(),
                    attempts: 1,
                    error: e.to_string(),
                });
            }
            let notifier = notifier.name();
            deliveries.push(Delivery { notifier, result });
        }
        if notifier.keeps_messages() {
            left.extend(self.tell_late(notifier, waiting, past, down, deliveries));
        }
        left.extend(own);
    }

    /// Sends what waits, oldest first, until it fails; what still waits afterwards.
    fn tell_late(
        &self,
        notifier: &dyn Notifier,
        waiting: Vec<Undelivered>,
        past: &[Outcome],
        mut down: bool,
        deliveries: &mut Vec<Delivery>,
    ) -> Vec<Undelivered> {
        let mut left = Vec::new();
        for mut entry in waiting {
            if down {
                left.push(entry);
                continue;
            }
            // A run that history has forgotten cannot be told any more.
            let Some(at) = past.iter().position(|o| o.started == entry.run) else {
                continue;
            };
            let (before, rest) = past.split_at(at);
            let Some(outcome) = rest.first() else {
                continue;
            };
            let reason = entry.digest.map_or(Reason::Outcome, Reason::Digest);
            let mut report = self.report(reason, outcome, before, &[]);
            report.late = Some(late_words(&entry));
            let news = self.news(outcome, &report, before, &[]);
            let result = notifier.send(&news, self.secrets);
            if let Err(e) = &result {
                down = true;
                entry.attempts += 1;
                entry.error = e.to_string();
                if entry.attempts < MOST_ATTEMPTS {
                    left.push(entry.clone());
                }
            }
            let when = format::time(entry.run);
            let notifier = format!("{}, late, of the run of {when}", notifier.name());
            deliveries.push(Delivery { notifier, result });
        }
        left
    }

    /// Why somebody is told something. A digest goes to each recipient once, whichever profile comes first.
    fn reasons(&self, notifier: &dyn Notifier, outcome: &Outcome, past: &[Outcome]) -> Vec<Reason> {
        let mut reasons = when::reasons(notifier.moments(), outcome, past);
        reasons.retain(|reason| {
            let Some(period) = reason.period() else {
                return true;
            };
            let number = period.number(outcome.started);
            // A memory that cannot be written costs a second digest, not the only one.
            !matches!(
                self.store.claim(period, number, &notifier.name()),
                Ok(false)
            )
        });
        reasons
    }

    fn report(
        &self,
        reason: Reason,
        outcome: &Outcome,
        past: &[Outcome],
        log: &[String],
    ) -> Report {
        match (reason, past.last()) {
            (Reason::Digest(period), Some(last)) => {
                let everyone = self.store.everyone();
                digest::report(
                    period,
                    period.number(last.started),
                    outcome,
                    past,
                    &everyone,
                )
            }
            _ => Report::new(outcome, past, log),
        }
    }

    fn news<'a>(
        &self,
        outcome: &'a Outcome,
        report: &'a Report,
        past: &'a [Outcome],
        log: &'a [String],
    ) -> News<'a> {
        News {
            report,
            outcome,
            past,
            log,
            code: (self.code)(outcome),
            test: false,
        }
    }
}

fn broken(error: crate::engine::error::Error) -> Delivery {
    Delivery {
        notifier: "reports".to_owned(),
        result: Err(error),
    }
}

fn late_words(entry: &Undelivered) -> String {
    format!(
        "This report is late: it could not be delivered before ({})",
        format::safe(&entry.error)
    )
}

#[cfg(test)]
mod tests;
