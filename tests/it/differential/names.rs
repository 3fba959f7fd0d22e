//! File names, read and written, in every spelling.

use super::{Oracle, Tally, compare, latin1};
use crate::support::programs;
use dupr::engine::Timestamp;
use dupr::engine::format::names::{NameStyle, Naming};
use dupr::engine::format::{FileKind, FileName, SetId};
use dupr::engine::seal::Form;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use regex::Regex;
use serde_json::{Value, json};

/// Questions in an ordinary run, and names in each.
const QUESTIONS: u64 = 60;
const NAMES: usize = 250;

fn naming(dice: &mut SmallRng) -> Naming {
    let mut prefix = |most| match dice.random_range(0..most) {
        0 => ["x", "a_b-", "host/", "duplicity-", "df", "é"]
            .choose(dice)
            .expect("some")
            .to_string(),
        _ => String::new(),
    };
    let (all, archive, manifest, signature, stats) =
        (prefix(4), prefix(6), prefix(6), prefix(6), prefix(6));
    Naming {
        prefix: all,
        archive,
        manifest,
        signature,
        stats,
        time_separator: if dice.random_range(0..6) == 0 {
            '_'
        } else {
            ':'
        },
        style: *[NameStyle::Long, NameStyle::Short, NameStyle::Old]
            .choose(dice)
            .expect("three"),
    }
}

fn file(dice: &mut SmallRng) -> FileName {
    let time = Timestamp(dice.random_range(1..4_000_000_000));
    let kind = match dice.random_range(0..4) {
        0 => FileKind::Manifest,
        1 => FileKind::Signature,
        2 => FileKind::Volume(
            *[1, 2, 9, 10, 35, 36, 1000, u32::MAX]
                .choose(dice)
                .expect("some"),
        ),
        _ => FileKind::Stats,
    };
    FileName {
        set: if dice.random() {
            SetId::Full { time }
        } else {
            SetId::Incremental {
                start: Timestamp(dice.random_range(1..4_000_000_000)),
                end: time,
            }
        },
        kind,
        form: *[Form::Plain, Form::Gzip, Form::Cms, Form::Gpg]
            .choose(dice)
            .expect("four"),
        partial: dice.random_range(0..5) == 0 && !matches!(kind, FileKind::Volume(_)),
    }
}

/// A name that nothing wrote.
fn blur(name: &str, dice: &mut SmallRng) -> String {
    let mut text: Vec<char> = name.chars().collect();
    for _ in 0..dice.random_range(1..3) {
        let at = dice.random_range(0..=text.len());
        let to = (at + dice.random_range(0..3)).min(text.len());
        let piece = [
            "",
            ".",
            "0",
            "1",
            "z",
            "Z",
            ".gz",
            ".gpg",
            ".part",
            ".p",
            "vol",
            ".to.",
            "3D",
            "-",
            "x",
            ".par2",
            ".tmp",
            "2026-11-20",
            "now",
            "t",
            "1970",
            ".m",
            ".dt",
            "df",
            "T",
            "é",
            " ",
            ".difftar",
            ".manifest",
            "full",
            "inc",
            ".vol1",
            "+01:00",
            "A",
            ".z",
            ".p7m",
            "\n",
        ]
        .choose(dice)
        .expect("some");
        text.splice(at..to, piece.chars());
    }
    text.into_iter().collect()
}

/// A file in the oracle's words.
fn told(file: &FileName) -> Value {
    let is_full = file.set.is_full();
    let kind = match (file.kind, is_full) {
        (FileKind::Signature, true) => "full-sig",
        (FileKind::Signature, false) => "new-sig",
        (FileKind::Stats, true) => "full-stat",
        (FileKind::Stats, false) => "inc-stat",
        (_, true) => "full",
        (_, false) => "inc",
    };
    let end = file.set.time().as_secs();
    json!({
        "type": kind,
        "manifest": file.kind == FileKind::Manifest,
        "volume": match file.kind { FileKind::Volume(n) => Some(n), _ => None },
        "time": is_full.then_some(end),
        "start": file.set.basis().map(Timestamp::as_secs),
        "end": (!is_full).then_some(end),
        "encrypted": file.form.is_encrypted(),
        "compressed": file.form == Form::Gzip,
        "partial": file.partial,
    })
}

/// Why dupr may take a name for a stranger, if it may.
fn exception(name: &str, expected: &Value) -> Option<&'static str> {
    if expected.is_string() {
        return Some("a name that makes duplicity fail");
    }
    let long =
        Regex::new(r"(?s)\.(difftar|manifest|sigtar|jsonstat)(\.part)?($|\..*)").expect("fixed");
    let short = Regex::new(r"(?s)\.(dt|m|st|jst)(\.p)?($|\..*)").expect("fixed");
    let plain = ["", ".gz", ".gpg", ".p7m", ".z", ".g", ".gz.gpg"];
    for found in long.captures_iter(name).chain(short.captures_iter(name)) {
        if !plain.contains(&&found[3]) {
            return Some("an end that no version writes");
        }
        if found.get(2).is_some() && matches!(&found[1], "difftar" | "dt") {
            return Some("a volume in progress, which no version writes");
        }
    }
    let interval = Regex::new(r"(?i)\.([0-9]+[smhdwmy])+\.").expect("fixed");
    if interval.is_match(name) {
        return Some("an interval as time");
    }
    let large = |key: &str| expected[key].as_f64().is_some_and(|n| n >= 4_294_967_296.0);
    if large("volume") || large("time") || large("start") || large("end") {
        return Some("a number beyond all that is written");
    }
    let time = "([0-9]{8}T[0-9]{6}Z|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}[:_][0-9]{2}[:_][0-9]{2}(Z|[+-][0-9]{2}[:_][0-9]{2}))";
    let kinds = r"(vol[0-9]+\.difftar|(manifest|sigtar|jsonstat)(\.part)?)(\.gz|\.gpg|\.p7m)?\z";
    let long = format!(r"duplicity-[a-z-]+\.{time}(\.to\.{time})?\.{kinds}");
    let short = r"(df|di|dfs|dns)(\.[0-9a-z]+){1,3}\.(dt|(m|st)(\.p)?)(\.z|\.g|\.p7m)?\z";
    let is_written = [long.as_str(), short]
        .iter()
        .any(|form| Regex::new(form).expect("fixed").is_match(name));
    (!is_written).then_some("a name that no version writes")
}

fn question(seed: u64, oracle: &mut Oracle, tally: &mut Tally) -> Vec<String> {
    let mut dice = SmallRng::seed_from_u64(seed);
    let naming = naming(&mut dice);
    let names: Vec<String> = (0..NAMES)
        .map(|_| {
            let name = naming.format(&file(&mut dice));
            if dice.random_range(0..3) == 0 {
                name
            } else {
                blur(&name, &mut dice)
            }
        })
        .collect();
    let mut asked = oracle_naming(&naming);
    asked["ask"] = "parse".into();
    asked["now"] = 1_700_000_000.into();
    asked["names"] = names.iter().map(|n| latin1(n.as_bytes())).collect();
    let answer = oracle.ask(&asked);
    let mut differences = Vec::new();
    for (name, expected) in names
        .iter()
        .zip(answer["parsed"].as_array().expect("a list"))
    {
        let found = naming.parse(name).map_or(Value::Null, |file| told(&file));
        tally.add("names", 1);
        tally.add(
            if expected.is_object() {
                "of the format"
            } else {
                "strangers"
            },
            1,
        );
        if found == *expected {
            continue;
        }
        match exception(name, expected).filter(|_| found.is_null()) {
            Some(exception) => tally.add(exception, 1),
            None => differences.push(format!(
                "{name:?} with {naming:?}\n  dupr       {found}\n  duplicity  {expected}"
            )),
        }
    }
    differences
}

fn oracle_naming(naming: &Naming) -> Value {
    let prefixes = [
        &naming.prefix,
        &naming.archive,
        &naming.manifest,
        &naming.signature,
        &naming.stats,
    ];
    json!({
        "prefixes": prefixes.map(|p| latin1(p.as_bytes())),
        "separator": naming.time_separator.to_string(),
        "short": naming.style == NameStyle::Short,
        "old": naming.style == NameStyle::Old,
    })
}

/// Names that duplicity writes: dupr writes the same, and reads them as what they are.
fn written(naming: &Naming, oracle: &mut Oracle, dice: &mut SmallRng) -> Vec<String> {
    // No version knows one of these and short or old names.
    let is_new = |f: &FileName| f.kind == FileKind::Stats || f.form == Form::Cms;
    let files: Vec<FileName> = (0..60)
        .map(|_| file(dice))
        .filter(|f| naming.style == NameStyle::Long || !is_new(f))
        .collect();
    let mut asked = oracle_naming(naming);
    asked["ask"] = "get".into();
    asked["files"] = files
        .iter()
        .map(|file| {
            let mut asked = told(file);
            asked["end"] = file.set.time().as_secs().into();
            asked["gpgsm"] = (file.form == Form::Cms).into();
            asked
        })
        .collect();
    let answer = oracle.ask(&asked);
    let names = answer["names"].as_array().expect("a list");
    let mut differences = Vec::new();
    for (file, expected) in files.iter().zip(names) {
        let name = naming.format(file);
        let expected = expected.as_str().expect("text");
        if latin1(name.as_bytes()) != expected {
            differences.push(format!(
                "{file:?}: dupr writes {name:?}, duplicity {expected:?}"
            ));
        }
        if naming.parse(&name) != Some(*file) {
            differences.push(format!(
                "{file:?}: {name:?} is read as {:?}",
                naming.parse(&name)
            ));
        }
    }
    differences
}

#[test]
fn names_say_the_same() {
    compare("names read", QUESTIONS, question);
}

#[test]
fn long_names_are_written_as_3_2_1_writes_them() {
    compare("long names written", 20, |seed, oracle, tally| {
        let mut dice = SmallRng::seed_from_u64(seed);
        let naming = Naming {
            style: NameStyle::Long,
            ..naming(&mut dice)
        };
        tally.add("names", 60);
        written(&naming, oracle, &mut dice)
    });
}

#[test]
fn short_and_old_names_are_written_as_0_8_22_writes_them() {
    if programs::find("duplicity-0.8.22").is_none() {
        return;
    }
    let mut oracle = Oracle::start_old().expect("just found");
    let mut dice = SmallRng::seed_from_u64(1);
    for style in [NameStyle::Short, NameStyle::Old] {
        for _ in 0..10 {
            let naming = Naming {
                style,
                ..naming(&mut dice)
            };
            let differences = written(&naming, &mut oracle, &mut dice);
            assert!(differences.is_empty(), "{}", differences.join("\n"));
        }
    }
}
