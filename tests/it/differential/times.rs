//! Times and intervals as people type them, in zones with and without summer time.

use super::{Oracle, Tally, compare};
use dupr::engine::Timestamp;
use dupr::engine::time_text::TimeText;
use jiff::tz::TimeZone;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::json;

/// Questions in an ordinary run, and texts in each.
const QUESTIONS: u64 = 60;
const TEXTS: usize = 300;

const ZONES: &[&str] = &[
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "America/St_Johns",
    "Pacific/Apia",
    "Asia/Tokyo",
    "America/Sao_Paulo",
];

/// Times from which intervals count: ordinary ones, and around changes of the clock in both directions.
const NOWS: &[i64] = &[
    1_700_000_000,
    1_711_846_799,
    1_711_846_800,
    1_729_990_799,
    1_729_990_800,
    1_710_054_000,
    1_730_613_600,
    1_795_211_663,
];

/// Texts with fixed meanings: every form, and what lies beside it.
#[rustfmt::skip]
const FIXED: &[&str] = &[
    "now", "NOW", "now ", "", " ", "0", "1", "-1", "1700000000", "01", "99999999999999", "5d", "5D", "1h78m", "1h78m ", "h", "1", "1h 3m",
    "3D64s", "1M", "1Y", "2W", "1Y2M3W4D5h6m7s", "1s1s", "1.5h", "s1", "10", "0s", "00s", "1D\n", "5\n", "2002-04-26T04:22:01-07:00",
    "2002-04-26T04:22:01", "2002-04-26T04:22:01Z", "2002-04-26T04:22:01+02:00", "2002-04-26T04:22:01+0200", "2002-04-26T04:22:01+02",
    "2002-04-26T04:22", "2002-04-26T4:22:01", "2002-04-26 04:22:01", "2002-04-26t04:22:01", "20020426T042201Z", "20020426T042201",
    "20020426T042201z", "20020426T042201+", "2002-04-26T24:00:00Z", "2002-04-26T23:60:00Z", "2002-04-26T23:59:60Z", "2002-04-26T23:59:61Z",
    "2002-04-26T23:59:62Z", "2002/3/5", "2002-03-05", "3/5/2002", "03-05-2002", "2002/03-05", "2002-3-5", "5/3/2002", "13/1/2002",
    "1/13/2002", "2002-13-01", "2002-00-01", "2002-01-00", "2002-01-32", "2002-02-30", "2002-02-31", "2001-02-29", "1900-01-01",
    "1901-01-01", "2099-12-31", "2100-01-01", "20020305Z", "20020305", "20020305z", "99991231Z", "2002-03-05Z", "1969-12-31", "1970-01-01",
    "1970-01-01T00:00:00Z", "1970-01-01T00:00:00", "1970-01-01T00:00:01Z", "1969-12-31T23:59:59Z", "19700101T000000Z", "19700101T000001Z",
    "2024-03-31T02:30:00", "2024-03-31", "2024-10-27T02:30:00", "2024-10-27", "2024-03-10T02:30:00", "2024-11-03T01:30:00",
    "2024-07-01T12:00:00", "2024-01-01T12:00:00", "2002-01-25T07:00:00-03:30", "2002-01-25T07:00:00+05:45", "2002-01-25T07:00:00-00:30",
    "2002-01-25T07:00:00+00:30", "2002-01-25T07:00:00+24:00", "2002-01-25T07:00:00+12:60", "2002-01-25T07:00:00+99:99",
    "2002-01-25T07:00:00 02:00", "2002-01-25T07:00:00+ 2:00", "2002-1-25T07:00:00Z", "02002-01-25T07:00:00Z", "+2002-01-25T07:00:00Z",
    "2002-01-25T07:00:00ZZ", "2002-01-25T07:00:00z", "2002-01-25T07:00:0", "2002-01-2T007:00:00Z", "2_02-01-25T07:00:00Z",
    "٣D", "３D", "²D", "２００２-01-25", "5YY", "1000000Y", "99999999999999999999D", "T", "TTTTTTTTTTTTTTTT", "12345678T123456Z",
    "2002-01-25T07:00:00.5Z", "2002-01-25T+7:00:00Z", "2002-01-25T07: 0:00Z", "20020125T 70000Z", "20020125T+70000Z", "2002 1 5T070000Z",
];

fn random_text(dice: &mut SmallRng) -> String {
    let mut number = |low: i32, high: i32, width: usize| {
        let n = dice.random_range(low..=high);
        if dice.random_range(0..12) == 0 {
            n.to_string()
        } else {
            format!("{n:0width$}")
        }
    };
    let (year, month, day) = (number(1899, 2101, 4), number(0, 13, 2), number(0, 32, 2));
    let (hour, minute, second) = (number(0, 24, 2), number(0, 60, 2), number(0, 62, 2));
    let (zone_hour, zone_minute) = (number(0, 24, 2), number(0, 60, 2));
    let mut text = match dice.random_range(0..12) {
        0 => dice.random_range(0..4_000_000_000_i64).to_string(),
        1..4 => (0..dice.random_range(1..4))
            .map(|_| {
                format!(
                    "{}{}",
                    dice.random_range(0..200),
                    ["s", "m", "h", "D", "W", "M", "Y", "d", "H", ""]
                        .choose(dice)
                        .expect("some")
                )
            })
            .collect(),
        4 => format!("{year}{month}{day}T{hour}{minute}{second}Z"),
        5 => format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z"),
        6 => format!("{year}-{month}-{day}T{hour}:{minute}:{second}"),
        7 => format!("{year}-{month}-{day}T{hour}:{minute}:{second}+{zone_hour}:{zone_minute}"),
        8 => format!("{year}-{month}-{day}T{hour}:{minute}:{second}-{zone_hour}:{zone_minute}"),
        9 => format!("{year}/{month}-{day}"),
        10 => format!("{month}/{day}/{year}"),
        _ => format!("{year}{month}{day}Z"),
    };
    if dice.random_range(0..5) == 0 && text.is_ascii() && !text.is_empty() {
        let at = dice.random_range(0..text.len());
        match dice.random_range(0..3) {
            0 => drop(text.remove(at)),
            1 => text.insert(
                at,
                *['0', '1', '-', ':', 'T', 'Z', ' ', '/', '_', '+', 'D', 'é']
                    .choose(dice)
                    .expect("some"),
            ),
            _ => text.replace_range(
                at..=at,
                ["0", "9", "-", ":", "_", " ", "Z"]
                    .choose(dice)
                    .expect("some"),
            ),
        }
    }
    text
}

/// Whether a zone kept another standard time around then than it keeps now.
fn kept_another_time(zone: &TimeZone, around: i64, now: i64) -> bool {
    let standard = |moment: i64| {
        let moment = jiff::Timestamp::from_second(moment).ok()?;
        let info = zone.to_offset_info(moment);
        info.dst().is_std().then(|| info.offset().seconds())
    };
    let month = 30 * 86_400;
    let of_today: Vec<i32> = (0..12).filter_map(|n| standard(now + n * month)).collect();
    (-8..=8)
        .filter_map(|n| standard(around + n * month))
        .any(|offset| !of_today.contains(&offset))
}

/// Why dupr may read a text otherwise, if it may.
fn exception(
    text: &str,
    expected: Option<i64>,
    found: Option<i64>,
    separator: char,
    kept_another_time: &dyn Fn(i64) -> bool,
) -> Option<&'static str> {
    let zone = text.get(19..).unwrap_or_default();
    let is_number_for_python = text.contains([' ', '+', '-', '_'])
        || !text.is_ascii()
        || ((15..=16).contains(&text.len()) && text.find('T') != Some(8));
    match (expected, found) {
        (Some(_), Some(_)) if zone.starts_with('-') && zone.len() == 6 => {
            Some("the minutes of a zone west of Greenwich count westward")
        }
        (Some(expected), Some(_)) if kept_another_time(expected) => {
            Some("a zone's history does not matter where duplicity counts with it")
        }
        (_, Some(0)) | (Some(0), _) => Some("the first second of 1970"),
        (None, Some(_)) if separator != ':' && !text.contains('T') => {
            Some("a date while another separator is set")
        }
        (Some(_), None) if text.ends_with('\n') => Some("a line feed at the end"),
        (Some(_), None) if text.contains('T') && is_number_for_python => {
            Some("numbers with signs, blanks and underscores, or too long, as Python takes them")
        }
        _ => None,
    }
}

fn question(seed: u64, oracle: &mut Oracle, tally: &mut Tally) -> Vec<String> {
    let mut dice = SmallRng::seed_from_u64(seed);
    let name = ZONES[seed as usize % ZONES.len()];
    let zone = TimeZone::get(name).expect("a known zone");
    let now = *NOWS.choose(&mut dice).expect("some");
    let separator = if dice.random_range(0..8) == 0 {
        '_'
    } else {
        ':'
    };
    let texts: Vec<String> = match seed % 4 {
        0 => FIXED
            .iter()
            .map(|t| t.replace(':', &separator.to_string()))
            .collect(),
        _ => (0..TEXTS)
            .map(|_| random_text(&mut dice).replace(':', &separator.to_string()))
            .collect(),
    };
    let asked = json!({"ask": "times", "zone": name, "now": now, "separator": separator.to_string(), "texts": texts});
    let answer = oracle.ask(&asked);
    let mut differences = Vec::new();
    for (text, expected) in texts
        .iter()
        .zip(answer["times"].as_array().expect("a list"))
    {
        let found = TimeText::parse(text, separator)
            .ok()
            .map(|t| t.at(Timestamp(now), &zone).as_secs());
        tally.add("texts", 1);
        tally.add(
            if expected.is_number() {
                "times"
            } else {
                "refused"
            },
            1,
        );
        if found == expected.as_i64() {
            continue;
        }
        match exception(text, expected.as_i64(), found, separator, &|t| {
            kept_another_time(&zone, t, now)
        }) {
            Some(exception) => tally.add(exception, 1),
            None => differences.push(format!(
                "{text:?} at {now} in {name}: dupr {found:?}, duplicity {expected}"
            )),
        }
    }
    differences
}

#[test]
fn texts_mean_the_same_times() {
    compare("times", QUESTIONS, question);
}
