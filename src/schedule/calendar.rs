//! Cron expressions as systemd's calendar events (systemd.time(7)). Pure.
//!
//! An expression in which both kinds of days are restricted comes at either, so it becomes two events: a timer with
//! several elapses at each.

use crate::profile::schedule::{Cron, Times, Zone};

/// Days from Monday, as systemd counts a week.
const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// The calendar events that come exactly when the expression does.
pub fn events(cron: &Cron, zone: Zone) -> Vec<String> {
    cron.alternatives().iter().map(|t| event(t, zone)).collect()
}

fn event(times: &Times, zone: Zone) -> String {
    let mut text = String::new();
    if times.weekdays.len() < 7 {
        let mut from_monday: Vec<u32> = times.weekdays.iter().map(|d| (d + 6) % 7).collect();
        from_monday.sort_unstable();
        text += &weekdays(&from_monday);
        text.push(' ');
    }
    text += &format!(
        "*-{}-{} {}:{}:00",
        field(&times.months, 1, 12),
        field(&times.days, 1, 31),
        field(&times.hours, 0, 23),
        field(&times.minutes, 0, 59),
    );
    if zone == Zone::Utc {
        text += " UTC";
    }
    text
}

/// Values of a field, as short as it can be said: `*`, `00/5`, `08..18`, `01,15`.
fn field(values: &[u32], min: u32, max: u32) -> String {
    if values.len() as u32 == max - min + 1 {
        return "*".to_owned();
    }
    if let [first, second, .., last] = values {
        let step = second - first;
        let even = values.windows(2).all(|w| w[1] - w[0] == step);
        if even && last + step > max && values.len() > 2 {
            return format!("{first:02}/{step}");
        }
        if even && step == 1 && values.len() > 2 {
            return format!("{first:02}..{last:02}");
        }
    }
    let texts: Vec<String> = values.iter().map(|v| format!("{v:02}")).collect();
    texts.join(",")
}

/// Days of the week, from Monday as 0: `Mon..Fri`, `Sat,Sun`.
fn weekdays(days: &[u32]) -> String {
    let name = |day: u32| DAYS.get(day as usize).copied().unwrap_or("Sun");
    let mut parts: Vec<String> = Vec::new();
    let mut rest = days;
    while let Some(&first) = rest.first() {
        let run = rest
            .iter()
            .zip(first..)
            .take_while(|(day, expected)| *day == expected)
            .count();
        let last = first + run as u32 - 1;
        match run {
            1 => parts.push(name(first).to_owned()),
            2 => parts.extend([name(first).to_owned(), name(last).to_owned()]),
            _ => parts.push(format!("{}..{}", name(first), name(last))),
        }
        rest = rest.get(run..).unwrap_or_default();
    }
    parts.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::time::Timestamp;
    use crate::profile::Schedule;
    use proptest::prelude::*;
    use std::time::Duration;

    fn of(cron: &str) -> Vec<String> {
        events(&Cron::parse(cron).unwrap(), Zone::Local)
    }

    #[test]
    fn known_expressions() {
        for (cron, event) in [
            ("17 2 * * *", "*-*-* 02:17:00"),
            ("*/5 * * * *", "*-*-* *:00/5:00"),
            ("0 8-18 * * mon-fri", "Mon..Fri *-*-* 08..18:00:00"),
            ("0 0 1,15 * *", "*-*-01,15 00:00:00"),
            ("@weekly", "Sun *-*-* 00:00:00"),
            ("0 0 * * fri-mon", "Mon,Fri..Sun *-*-* 00:00:00"),
            ("30 4 * jan,jul sat,sun", "Sat,Sun *-01,07-* 04:30:00"),
            ("0 3 */2 * 5", "Fri *-*-01/2 03:00:00"),
        ] {
            assert_eq!(of(cron), [event], "{cron}");
        }
        assert_eq!(of("0 3 13 * 5"), ["*-*-13 03:00:00", "Fri *-*-* 03:00:00"]);
        let utc = events(&Cron::parse("17 2 * * *").unwrap(), Zone::Utc);
        assert_eq!(utc, ["*-*-* 02:17:00 UTC"]);
    }

    /// Whether a minute is one of an event: the grammar above read back, and nothing else of systemd's.
    fn matches(event: &str, minute: i64) -> bool {
        let event = event.trim_end_matches(" UTC");
        let (days, rest) = match event.split_once(" *-") {
            Some((days, rest)) => (Some(days), rest),
            None => (None, event.strip_prefix("*-").unwrap()),
        };
        let (date, clock) = rest.split_once(' ').unwrap();
        let (months, dates) = date.split_once('-').unwrap();
        let parts: Vec<&str> = clock.split(':').collect();
        let time = jiff::Timestamp::from_second(minute * 60)
            .unwrap()
            .to_zoned(jiff::tz::TimeZone::UTC);
        let has = |field: &str, value: i8| {
            let value = i64::from(value);
            field.split(',').any(|part| {
                if part == "*" {
                    true
                } else if let Some((from, step)) = part.split_once('/') {
                    let (from, step): (i64, i64) = (from.parse().unwrap(), step.parse().unwrap());
                    value >= from && (value - from) % step == 0
                } else if let Some((from, to)) = part.split_once("..") {
                    (from.parse().unwrap()..=to.parse().unwrap()).contains(&value)
                } else {
                    part.parse::<i64>().unwrap() == value
                }
            })
        };
        let weekday = time.weekday().to_monday_zero_offset();
        let on_day = days.is_none_or(|days| {
            let place = |name: &str| DAYS.iter().position(|d| *d == name).unwrap() as i8;
            days.split(',').any(|part| match part.split_once("..") {
                Some((from, to)) => (place(from)..=place(to)).contains(&weekday),
                None => place(part) == weekday,
            })
        });
        on_day
            && has(months, time.month())
            && has(dates, time.day())
            && has(parts[0], time.hour())
            && has(parts[1], time.minute())
    }

    fn any_field(min: u32, max: u32) -> impl Strategy<Value = String> {
        let value = move || min..=max;
        prop_oneof![
            3 => Just("*".to_owned()),
            2 => value().prop_map(|v| v.to_string()),
            1 => (1..=max).prop_map(|s| format!("*/{s}")),
            1 => (value(), value()).prop_map(|(a, b)| format!("{a}-{b}")),
            1 => (value(), value(), 1..=5u32).prop_map(|(a, b, s)| format!("{a}-{b}/{s}")),
            1 => proptest::collection::vec(value(), 1..4)
                .prop_map(|v| v.iter().map(u32::to_string).collect::<Vec<_>>().join(",")),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]
        #[test]
        fn events_come_when_the_expression_does(
            minute in any_field(0, 59),
            hour in any_field(0, 23),
            day in any_field(1, 31),
            month in any_field(1, 12),
            weekday in any_field(0, 7),
            start in 29_000_000i64..32_000_000,
        ) {
            let text = format!("{minute} {hour} {day} {month} {weekday}");
            let Ok(cron) = Cron::parse(&text) else { return Ok(()) };
            let events = events(&cron, Zone::Utc);
            let schedule = Schedule { cron, jitter: Duration::ZERO, catch_up: true, zone: Zone::Utc };
            // From one start to the next, a little behind it, minute by minute.
            let mut from = Timestamp(start * 60);
            for _ in 0..3 {
                let Some(next) = schedule.next_after(from) else { break };
                let (from_minute, next_minute) = (from.as_secs() / 60, next.as_secs() / 60);
                prop_assert!(events.iter().any(|e| matches(e, next_minute)), "{text}: {events:?} is not at {next}");
                let until = next_minute.min(from_minute + 3000);
                for minute in from_minute + 1..until {
                    prop_assert!(!events.iter().any(|e| matches(e, minute)), "{text}: {events:?} is at {}", Timestamp(minute * 60));
                }
                from = next;
            }
        }
    }
}
