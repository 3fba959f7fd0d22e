//! When a profile runs by itself: cron expressions, and whether a run is overdue.
//!
//! The one place that knows the cron crate. What that refuses and crontabs allow (`@daily`, names, 7 for Sunday,
//! ranges that wrap) is rewritten before it, and day-of-month and day-of-week are alternatives if both are
//! restricted, as in cron.

use crate::engine::time::Timestamp;
use chrono::{DateTime, Local, TimeZone, Utc};
use std::ops::Range;
use std::time::Duration;

/// When a profile runs by itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// The cron expression.
    pub cron: Cron,
    /// A start is put off by a random part of this, so that many machines do not start together.
    pub jitter: Duration,
    /// Whether a missed run is made up for.
    pub catch_up: bool,
    /// The clock the expression is meant for.
    pub zone: Zone,
}

/// The clock of a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zone {
    /// That of the machine.
    Local,
    /// UTC.
    Utc,
}

/// A cron expression: five fields, or a macro.
#[derive(Debug, Clone)]
pub struct Cron {
    text: String,
    fields: String,
    /// Any of them. Two where both kinds of days are restricted.
    schedules: Vec<cron_parser::Schedule>,
    /// The same in numbers.
    alternatives: Vec<Times>,
}

/// One alternative of an expression: the values of each field, ascending. A start is every time all of them fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Times {
    /// 0 to 59.
    pub minutes: Vec<u32>,
    /// 0 to 23.
    pub hours: Vec<u32>,
    /// Days of the month, 1 to 31.
    pub days: Vec<u32>,
    /// 1 to 12.
    pub months: Vec<u32>,
    /// Days of the week, 0 to 6 from Sunday.
    pub weekdays: Vec<u32>,
}

impl PartialEq for Cron {
    fn eq(&self, other: &Self) -> bool {
        self.fields == other.fields
    }
}

/// Why a text is no cron expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CronError {
    /// What is wrong, in one line.
    pub message: String,
    /// The bytes of the expression it is about.
    pub span: Range<usize>,
}

const MACROS: &[(&str, &str)] = &[
    ("@hourly", "0 * * * *"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@weekly", "0 0 * * 0"),
    ("@monthly", "0 0 1 * *"),
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
];

const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// A field of an expression: its name, bounds, names of its values, and the number the names start at.
struct Field {
    name: &'static str,
    min: u32,
    max: u32,
    names: &'static [&'static str],
}

const FIELDS: [Field; 5] = [
    Field {
        name: "minute",
        min: 0,
        max: 59,
        names: &[],
    },
    Field {
        name: "hour",
        min: 0,
        max: 23,
        names: &[],
    },
    Field {
        name: "day of month",
        min: 1,
        max: 31,
        names: &[],
    },
    Field {
        name: "month",
        min: 1,
        max: 12,
        names: &MONTHS,
    },
    Field {
        name: "day of week",
        min: 0,
        max: 7,
        names: &DAYS,
    },
];

impl Cron {
    /// Reads an expression as crontab(5) has it.
    ///
    /// # Errors
    /// The field that is wrong, with its place.
    pub fn parse(text: &str) -> Result<Self, CronError> {
        let whole = 0..text.len();
        let trimmed = text.trim();
        if trimmed.starts_with('@') {
            let known = MACROS
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(trimmed));
            let Some((_, fields)) = known else {
                let message = match trimmed.to_lowercase().as_str() {
                    "@reboot" => {
                        "@reboot is no time: catch-up runs what was missed after a start".to_owned()
                    }
                    _ => format!(
                        "{trimmed:?} is not a macro of cron: @hourly, @daily, @weekly, @monthly, @yearly"
                    ),
                };
                return Err(CronError {
                    message,
                    span: whole,
                });
            };
            let mut cron = Self::parse(fields)?;
            cron.text = text.to_owned();
            return Ok(cron);
        }
        let words = words(text);
        let [minute, hour, dom, month, dow] = words.as_slice() else {
            let mut macros = MACROS.iter().map(|(name, _)| *name);
            let meant =
                macros.find(|name| name.trim_start_matches('@').eq_ignore_ascii_case(trimmed));
            let message = match meant {
                Some(name) => format!("{trimmed} is no cron expression: write {name}"),
                None => format!(
                    "a cron expression has five fields, this one has {}: minute, hour, day of month, month, day of week",
                    words.len()
                ),
            };
            return Err(CronError {
                message,
                span: whole,
            });
        };
        let mut fields = Vec::new();
        for (field, (word, span)) in FIELDS.iter().zip([minute, hour, dom, month, dow]) {
            fields.push(normalize(field, word).map_err(|message| CronError {
                message,
                span: span.clone(),
            })?);
        }
        let [minute, hour, dom, month, dow] = fields.as_slice() else {
            return Err(CronError {
                message: "a cron expression has five fields".into(),
                span: whole,
            });
        };
        // As in cron: a field that begins with a star restricts nothing in this rule, `*/2` included.
        let both = !dom.starts_with('*') && !dow.starts_with('*');
        let variants = if both {
            vec![
                format!("{minute} {hour} {dom} {month} *"),
                format!("{minute} {hour} * {month} {dow}"),
            ]
        } else {
            vec![format!("{minute} {hour} {dom} {month} {dow}")]
        };
        let mut schedules = Vec::new();
        let mut alternatives = Vec::new();
        let mut never = None;
        for variant in &variants {
            match cron_parser::Schedule::parse(variant) {
                Ok(schedule) => {
                    schedules.push(schedule);
                    alternatives.push(times(variant));
                }
                Err(error) => never = Some(error.to_string()),
            }
        }
        // February 30th or a Monday is still every Monday.
        if schedules.is_empty() {
            let message = never.unwrap_or_else(|| "it never comes".into());
            return Err(CronError {
                message: format!("this time never comes: {message}"),
                span: whole,
            });
        }
        Ok(Self {
            text: text.to_owned(),
            fields: fields.join(" "),
            schedules,
            alternatives,
        })
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Five fields without macros and names, for programs that know fewer spellings.
    pub fn fields(&self) -> &str {
        &self.fields
    }

    /// What the expression means in numbers: it comes whenever one of these does. At least one, at most two.
    pub fn alternatives(&self) -> &[Times] {
        &self.alternatives
    }

    fn next<Z: TimeZone>(&self, after: &DateTime<Z>) -> Option<i64> {
        self.schedules
            .iter()
            .filter_map(|s| s.next_after(after))
            .map(|t| t.timestamp())
            .min()
    }

    fn previous<Z: TimeZone>(&self, before: &DateTime<Z>) -> Option<i64> {
        self.schedules
            .iter()
            .filter_map(|s| s.previous_before(before))
            .map(|t| t.timestamp())
            .max()
    }
}

impl Schedule {
    /// The first planned start after `now`.
    pub fn next_after(&self, now: Timestamp) -> Option<Timestamp> {
        let utc = DateTime::<Utc>::from_timestamp(now.as_secs(), 0)?;
        let next = match self.zone {
            Zone::Utc => self.cron.next(&utc),
            Zone::Local => self.cron.next(&utc.with_timezone(&Local)),
        };
        next.map(Timestamp)
    }

    /// The last planned start at or before `now`.
    pub fn previous(&self, now: Timestamp) -> Option<Timestamp> {
        let utc = DateTime::<Utc>::from_timestamp(now.as_secs().saturating_add(1), 0)?;
        let previous = match self.zone {
            Zone::Utc => self.cron.previous(&utc),
            Zone::Local => self.cron.previous(&utc.with_timezone(&Local)),
        };
        previous.map(Timestamp)
    }

    /// Whether a planned start has passed since the last run was started; always if there was none.
    ///
    /// Asked this way, an hour that a clock change skips or repeats neither loses a run nor makes a second one.
    pub fn is_due(&self, last_start: Option<Timestamp>, now: Timestamp) -> bool {
        match (self.previous(now), last_start) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(planned), Some(last)) => planned > last,
        }
    }
}

fn words(text: &str) -> Vec<(&str, Range<usize>)> {
    let mut words = Vec::new();
    let mut start = None;
    for (i, c) in text.char_indices().chain([(text.len(), ' ')]) {
        match (c.is_whitespace(), start) {
            (false, None) => start = Some(i),
            (true, Some(s)) => {
                words.push((text.get(s..i).unwrap_or(""), s..i));
                start = None;
            }
            _ => {}
        }
    }
    words
}

/// One field with numbers only, ranges that go up only, and Sunday as 0.
fn normalize(field: &Field, text: &str) -> Result<String, String> {
    let mut parts = Vec::new();
    for part in text.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => {
                let step: u32 =
                    step.parse().ok().filter(|s| *s > 0).ok_or_else(|| {
                        format!("{step:?} is not a step in the field {}", field.name)
                    })?;
                (range, Some(step))
            }
            None => (part, None),
        };
        if range == "*" {
            parts.push(match step {
                Some(step) => format!("*/{step}"),
                None => "*".to_owned(),
            });
            continue;
        }
        let (from, to) = match range.split_once('-') {
            Some((from, to)) => (value(field, from)?, value(field, to)?),
            // cron reads `5/10` as from 5 to the end.
            None if step.is_some() => (
                value(field, range)?,
                field.max.min(if field.max == 7 { 6 } else { field.max }),
            ),
            None => {
                let one = value(field, range)?;
                (one, one)
            }
        };
        parts.extend(numbers(field, from, to, step.unwrap_or(1)));
    }
    Ok(parts.join(","))
}

/// Five normalized fields in numbers.
fn times(fields: &str) -> Times {
    let values: Vec<Vec<u32>> = FIELDS
        .iter()
        .zip(fields.split(' '))
        .map(|(field, text)| values(field, text))
        .collect();
    let one = |i: usize| values.get(i).cloned().unwrap_or_default();
    Times {
        minutes: one(0),
        hours: one(1),
        days: one(2),
        months: one(3),
        weekdays: one(4),
    }
}

/// The values of a normalized field, ascending.
fn values(field: &Field, text: &str) -> Vec<u32> {
    let last = if field.max == 7 { 6 } else { field.max };
    let mut all: Vec<u32> = text
        .split(',')
        .flat_map(|part| match part.split_once('/') {
            _ if part == "*" => (field.min..=last).collect(),
            Some((_, step)) => {
                let step = step.parse().unwrap_or(1usize).max(1);
                (field.min..=last).step_by(step).collect()
            }
            None => part.parse().into_iter().collect::<Vec<u32>>(),
        })
        .collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// The values from one to another, over the end of the field if need be.
fn numbers(field: &Field, from: u32, to: u32, step: u32) -> Vec<String> {
    // 7 is another name for 0.
    let last = if field.max == 7 { 6 } else { field.max };
    let size = last - field.min + 1;
    let end = if to >= from { to } else { to + size };
    let wrapped = |n: u32| {
        if n > last {
            (n - field.min) % size + field.min
        } else {
            n
        }
    };
    let mut all: Vec<u32> = (from..=end).step_by(step as usize).map(wrapped).collect();
    all.sort_unstable();
    all.dedup();
    all.into_iter().map(|n| n.to_string()).collect()
}

fn value(field: &Field, text: &str) -> Result<u32, String> {
    let offset = if field.names.len() == 12 { 1 } else { 0 };
    if let Some(i) = field
        .names
        .iter()
        .position(|n| n.eq_ignore_ascii_case(text))
    {
        return Ok(u32::try_from(i).unwrap_or(0) + offset);
    }
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match text.parse::<u32>() {
        Ok(n) if digits && (field.min..=field.max).contains(&n) => Ok(n),
        Ok(_) if digits => Err(format!(
            "{text} is no {}: it goes from {} to {}",
            field.name, field.min, field.max
        )),
        _ => Err(format!("{text:?} is no {}", field.name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn schedule(text: &str) -> Schedule {
        Schedule {
            cron: Cron::parse(text).unwrap(),
            jitter: Duration::ZERO,
            catch_up: true,
            zone: Zone::Utc,
        }
    }

    fn at(text: &str) -> Timestamp {
        crate::profile::age::parse_time(text, Timestamp(0), &jiff::tz::TimeZone::UTC).unwrap()
    }

    #[test]
    fn days_are_alternatives_if_both_are_restricted() {
        // 2026-11-20 is a Friday; the next 13th is in December.
        let next = schedule("0 3 13 * 5")
            .next_after(at("2026-11-20T12:00:00Z"))
            .unwrap();
        assert_eq!(next.to_string(), "2026-11-27T03:00:00Z");
        let next = schedule("0 3 */2 * 5")
            .next_after(at("2026-11-20T12:00:00Z"))
            .unwrap();
        assert_eq!(next.to_string(), "2026-11-27T03:00:00Z");
        let next = schedule("0 3 30 2 1")
            .next_after(at("2026-11-20T12:00:00Z"))
            .unwrap();
        assert_eq!(next.to_string(), "2027-02-01T03:00:00Z");
    }

    #[test]
    fn crontab_spellings_are_rewritten() {
        for (text, fields) in [
            ("@daily", "0 0 * * *"),
            ("@Weekly", "0 0 * * 0"),
            ("17 2 * * *", "17 2 * * *"),
            ("0 0 * jan,Dec *", "0 0 * 1,12 *"),
            ("0 0 * * 7", "0 0 * * 7"),
            ("0 0 * * fri-mon", "0 0 * * 0,1,5,6"),
            ("0 22-2 * * *", "0 0,1,2,22,23 * * *"),
            ("5/20 * * * *", "5,25,45 * * * *"),
            ("0 8-18/5 * * 1-5", "0 8,13,18 * * 1,2,3,4,5"),
            ("  0   0 1 nov-feb *  ", "0 0 1 1,2,11,12 *"),
        ] {
            let cron = Cron::parse(text).unwrap();
            let sunday = cron.fields().replace("* 7", "* 0");
            assert_eq!(sunday, fields.replace("* 7", "* 0"), "{text}");
        }
        let sunday = schedule("0 0 * * 7").next_after(at("2026-11-20")).unwrap();
        assert_eq!(sunday.to_string(), "2026-11-22T00:00:00Z");
        let through = schedule("0 0 * * 5-7")
            .next_after(at("2026-11-21T00:00:00Z"))
            .unwrap();
        assert_eq!(through.to_string(), "2026-11-22T00:00:00Z");
    }

    #[test]
    fn errors_point_at_the_field() {
        for (text, span, message) in [
            ("61 2 * * *", 0..2, "61 is no minute: it goes from 0 to 59"),
            ("0 3 1 jam *", 6..9, "\"jam\" is no month"),
            (
                "0 3 1 * 8",
                8..9,
                "8 is no day of week: it goes from 0 to 7",
            ),
            (
                "*/0 * * * *",
                0..3,
                "\"0\" is not a step in the field minute",
            ),
            (
                "@reboot",
                0..7,
                "@reboot is no time: catch-up runs what was missed after a start",
            ),
        ] {
            let error = Cron::parse(text).unwrap_err();
            assert_eq!(
                (error.span, error.message.as_str()),
                (span, message),
                "{text}"
            );
        }
        assert!(
            Cron::parse("0 0 31 2 *")
                .unwrap_err()
                .message
                .contains("never comes")
        );
        assert!(
            Cron::parse("0 0 * *")
                .unwrap_err()
                .message
                .contains("this one has 4")
        );
    }

    #[test]
    fn due_means_a_planned_start_since_the_last_one() {
        let daily = schedule("17 2 * * *");
        let now = at("2026-11-20T02:17:00Z");
        assert_eq!(daily.previous(now), Some(now));
        assert_eq!(
            daily.previous(now.plus(-1)).unwrap().to_string(),
            "2026-11-19T02:17:00Z"
        );
        assert!(daily.is_due(Some(at("2026-11-19T02:17:05Z")), now));
        assert!(!daily.is_due(Some(now.plus(5)), now.plus(3600)));
        assert!(daily.is_due(None, now));
    }

    #[test]
    fn an_expression_in_numbers() {
        let cron = Cron::parse("*/20,7 22-2 13 * fri").unwrap();
        let [by_day, by_weekday] = cron.alternatives() else {
            panic!("{:?}", cron.alternatives());
        };
        assert_eq!(by_day.minutes, [0, 7, 20, 40]);
        assert_eq!(by_day.hours, [0, 1, 2, 22, 23]);
        assert_eq!(
            (by_day.days.as_slice(), by_day.weekdays.len()),
            ([13].as_slice(), 7)
        );
        assert_eq!(
            (by_weekday.days.len(), by_weekday.weekdays.as_slice()),
            (31, [5].as_slice())
        );
        // A day that never comes is no alternative.
        let one = Cron::parse("0 3 30 2 1").unwrap();
        assert_eq!(one.alternatives().len(), 1);
        assert_eq!(one.alternatives()[0].weekdays, [1]);
    }

    proptest! {
        #[test]
        fn any_text_is_an_expression_or_an_error(text in "\\PC{0,30}|[0-9*,/a-z@ -]{0,30}") {
            if let Err(error) = Cron::parse(&text) {
                prop_assert!(error.span.end <= text.len());
            }
        }
    }
}
