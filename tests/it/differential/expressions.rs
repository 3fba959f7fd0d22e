//! Regular expressions: whether Python takes them, and what it finds.

use super::{Oracle, Tally, compare, latin1};
use dupr::engine::path::PathIndex;
use dupr::engine::select::{Action, Candidate, Case, Rule, Selection, Shape, Verdict};
use rand::rngs::SmallRng;
use rand::seq::{IndexedRandom, IteratorRandom};
use rand::{Rng, SeedableRng};
use serde_json::json;

/// Questions in an ordinary run, and expressions in each.
const QUESTIONS: u64 = 40;
const EXPRESSIONS: usize = 250;
/// Texts an expression is looked for in.
const TEXTS: usize = 12;

#[rustfmt::skip]
const ATOMS: &[&str] = &[
    "a", "b", "c", "a", "b", "ab", "A", "/", "x", "y", "é", "É", "ä", "i", "I", "İ", "ı", "k", "\u{212a}", "ß", "ſ", "s", ".", ".",
    "\\.", "\\/", "[ab]", "[^a]", "[a-c]", "[]x]", "[^]a]", "[a-]", "[[a]", "[a&&b]", "[~-]", "[é-ü]", "[\\w-]", "[^\\W\\d]", "[\\d\\s]",
    "[\\S]", "\\w", "\\W", "\\d", "\\D", "\\s", "\\S", "^", "$", "\\A", "\\Z", "\\b", "\\B", "\\n", "\\x61", "\\u00e9", "\\101", "\\0",
    "[\\b]", "(?:)", "1", "²", "\u{301}", "\\1", "\\2", "(?P=n)", "\\-", "\\é", "\\<", "#", " ", "\\ ", "{", "}", "{a}", "a{,", "\\q",
    "[b-a]", "[", "]", "(?#c)", "\\udcff", "[\\udc80-\\udcff]", "\\8", "\\08", "[\\1]", "(?i)", "[I]", "[^i]", "(?", "\\", "-", "\\_",
];
const ENDS: &[&str] = &[
    "", "", "", "", "", "", "*", "+", "?", "{2}", "{1,2}", "{,2}", "{2,}", "*?", "+?", "??", "*+",
    "?+", "{1,2}+", "**", "{2,1}",
];
#[rustfmt::skip]
const OPENINGS: &[&str] = &[
    "(", "(", "(?:", "(?:", "(?=", "(?!", "(?<=", "(?<!", "(?P<n>", "(?>", "(?i:", "(?-i:", "(?s:", "(?m:", "(?x:", "(?a:", "(?ai:",
    "(?(1)", "(?(n)", "(?u-i:", "(?im-sx:",
];
const LETTERS: &[&str] = &[
    "a", "b", "c", "A", "B", "x", "y", "é", "É", "i", "I", "İ", "ı", "k", "K", "\u{212a}", "ß",
    "ẞ", "ſ", "s", "S", "/", ".", "\n", " ", "1", "²", "\u{301}", "_", "-", "]", "[", "&", "~",
    "\u{8}", "\u{1c}", "\0", "{", "}", "a", "b", "ab",
];

/// A random expression.
pub fn expression(dice: &mut SmallRng) -> String {
    let flags = match dice.random_range(0..12) {
        0 => *[
            "(?i)", "(?s)", "(?m)", "(?x)", "(?a)", "(?ims)", "(?au)", "(?u)",
        ]
        .choose(dice)
        .expect("some"),
        _ => "",
    };
    format!("{flags}{}", part(dice, 0))
}

/// A random expression that finds what it looks for in no time.
pub fn quick_expression(dice: &mut SmallRng) -> String {
    loop {
        let text = expression(dice);
        if ![")*", ")+", "){", "(?("]
            .iter()
            .any(|slow| text.contains(slow))
        {
            return text;
        }
    }
}

fn part(dice: &mut SmallRng, depth: usize) -> String {
    let mut text = String::new();
    for _ in 0..*[1, 1, 2, 2, 3, 4].choose(dice).expect("some") {
        if depth < 3 && dice.random_range(0..5) == 0 {
            let opening = *OPENINGS.choose(dice).expect("some");
            text.push_str(opening);
            text.push_str(&part(dice, depth + 1));
            if dice.random_range(0..3) == 0 {
                text.push('|');
                text.push_str(&part(dice, depth + 1));
            }
            if dice.random_range(0..40) != 0 {
                text.push(')');
            }
            // Python 3.11.2 loses matches of possessive groups, which later ones find.
            let plain = ENDS
                .iter()
                .filter(|end| !end.ends_with('+') || end.len() < 2);
            text.push_str(plain.choose(dice).expect("some"));
        } else {
            // Mostly what is plain, so that most expressions are taken.
            let some = if dice.random() { &ATOMS[..24] } else { ATOMS };
            text.push_str(some.choose(dice).expect("some"));
            text.push_str(ENDS.choose(dice).expect("some"));
        }
        if dice.random_range(0..12) == 0 {
            text.push('|');
        }
    }
    text
}

/// A text that has something of what expressions look for. It never starts or ends in `/`.
fn text(dice: &mut SmallRng) -> Vec<u8> {
    let mut text: Vec<u8> = Vec::new();
    for _ in 0..dice.random_range(0..7) {
        text.extend(LETTERS.choose(dice).expect("some").bytes());
        if dice.random_range(0..25) == 0 {
            text.push(0xff);
        }
    }
    // No path holds a NUL.
    text.retain(|b| *b != 0);
    let odd = |part: &&[u8]| !matches!(*part, b"" | b"." | b"..");
    text.split(|b| *b == b'/')
        .filter(odd)
        .collect::<Vec<_>>()
        .join(&b'/')
}

/// What the expression is found in; `None` if it cannot be used.
fn found(expression: &str, texts: &[Vec<u8>], ignore_case: bool) -> Option<Vec<bool>> {
    let case = if ignore_case {
        Case::Ignore
    } else {
        Case::Strict
    };
    let rules = [
        Rule::Case(case),
        Rule::Regexp(Action::Exclude, expression.as_bytes().to_vec()),
    ];
    // A filter that is the default alone is refused.
    let rules = rules.into_iter().skip(usize::from(!ignore_case));
    let select = Selection::builder(b"/r").extend(rules).build().ok()?;
    let contains = |_: &[u8]| false;
    let excluded = |text: &Vec<u8>| {
        let path = PathIndex::new(text).expect("a plain path");
        let candidate = Candidate {
            path: &path,
            shape: Shape::File,
            mtime: 0,
            is_foreign: false,
            contains: &contains,
        };
        select.judge(&candidate) == Verdict::Exclude
    };
    Some(texts.iter().map(excluded).collect())
}

fn question(seed: u64, oracle: &mut Oracle, tally: &mut Tally) -> Vec<String> {
    let mut dice = SmallRng::seed_from_u64(seed);
    let cases: Vec<(String, Vec<Vec<u8>>, bool)> = (0..EXPRESSIONS)
        .map(|_| {
            let texts = (0..TEXTS).map(|_| text(&mut dice)).collect();
            (expression(&mut dice), texts, dice.random_range(0..4) == 0)
        })
        .collect();
    let asked: Vec<_> = cases
        .iter()
        .map(|(expression, texts, ignore)| {
            let texts: Vec<String> = texts.iter().map(|t| format!("/r/{}", latin1(t))).collect();
            json!([latin1(expression.as_bytes()), texts, ignore])
        })
        .collect();
    let answer = oracle.ask(&json!({"ask": "regexps", "cases": asked}));
    let mut differences = Vec::new();
    for ((expression, texts, ignore), expected) in cases
        .iter()
        .zip(answer["found"].as_array().expect("a list"))
    {
        let expected: Option<Vec<bool>> =
            serde_json::from_value(expected.clone()).expect("a list or nothing");
        let ours = found(expression, texts, *ignore);
        tally.add("expressions", 1);
        tally.add(
            if expected.is_some() {
                "taken"
            } else {
                "refused"
            },
            1,
        );
        if ours == expected {
            continue;
        }
        let refers = ["\\1", "\\2", "(?P=n)"]
            .iter()
            .any(|r| expression.contains(r));
        if refers && ours.is_some() && (*ignore || expression.contains("(?i")) {
            tally.add(
                "a back reference to a letter that has another length in the other case",
                1,
            );
            continue;
        }
        if expression.contains("(?(") && ours.is_none() {
            tally.add("a condition on a group that is open", 1);
            continue;
        }
        let detail = match (&ours, &expected) {
            (Some(ours), Some(expected)) => {
                let at = ours
                    .iter()
                    .zip(expected)
                    .position(|(a, b)| a != b)
                    .unwrap_or(0);
                format!(
                    "in /r/{}: dupr {} duplicity {}",
                    texts[at].escape_ascii(),
                    ours[at],
                    expected[at]
                )
            }
            (None, _) => {
                let rule = Rule::Regexp(Action::Exclude, expression.as_bytes().to_vec());
                let error = Selection::builder(b"/r").add(rule).build().err();
                format!(
                    "dupr refuses it: {}",
                    error.map_or_else(String::new, |e| e.to_string())
                )
            }
            _ => "duplicity refuses it".to_owned(),
        };
        differences.push(format!("{expression:?} ignoring case {ignore}: {detail}"));
    }
    differences
}

#[test]
fn random_expressions_are_found_in_the_same_texts() {
    compare("expressions", QUESTIONS, question);
}
