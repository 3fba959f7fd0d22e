//! The list of all messages, `tests/messages.md`: made from the sources, reviewed by people. A message that is new, changed or gone
//! fails the test until the list was made anew (`DUPR_REGENERATE=1`), read and committed.

use crate::support::home::Home;
use crate::support::programs::find;
use regex::Regex;
use std::fs;
use std::path::Path;
use std::process::Command;

#[test]
fn every_message_stands_in_the_list_that_is_reviewed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(find("python3").expect("python3 is needed"))
        .arg(root.join("tests/support/messages.py"))
        .arg(root.join("src"))
        .output()
        .expect("python3 starts");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let made = String::from_utf8(output.stdout).expect("UTF-8");
    let rows = made.lines().filter(|l| l.starts_with("| ")).count();
    assert!(rows > 500, "only {rows} messages were found");
    let file = root.join("tests/messages.md");
    if std::env::var_os("DUPR_REGENERATE").is_some() {
        std::fs::write(&file, &made).expect("list");
    }
    let listed = std::fs::read_to_string(&file).expect("the list");
    let only = |a: &str, b: &str| -> Vec<String> {
        let b: std::collections::BTreeSet<&str> = b.lines().collect();
        let lines = a.lines().filter(|l| !b.contains(l));
        lines.map(str::to_owned).collect()
    };
    assert!(
        made == listed,
        "tests/messages.md is not what the sources say; make it anew with DUPR_REGENERATE=1 and read it\n\
         not in the list: {:#?}\ngone: {:#?}",
        only(&made, &listed),
        only(&listed, &made)
    );
}

/// A call that is told to be typed names a tool or a command that is there.
#[test]
fn what_messages_tell_to_type_is_there() {
    let home = Home::new("messages");
    home.expect(0, &["man", "--all", "pages"]);
    let known = |word: &str| {
        let page = format!("pages/dupr-{}.1", word.to_lowercase());
        home.path().join(page).exists()
    };
    let call = Regex::new(r"`dupr ([^`]+)`").expect("regex");
    let mut seen = 0;
    let (mut open, mut wrong) = (
        vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")],
        Vec::new(),
    );
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(
                fs::read_dir(path)
                    .expect("folder")
                    .flatten()
                    .map(|e| e.path()),
            );
            continue;
        }
        if path.extension().is_none_or(|e| e != "rs") {
            continue;
        }
        let text = fs::read_to_string(&path).expect("source");
        let told = text.lines().filter(|l| !l.trim_start().starts_with("//"));
        for found in told.flat_map(|l| call.captures_iter(l)) {
            let words: Vec<&str> = found[1].split_whitespace().collect();
            // A profile comes first, or a tool does.
            let is_name = |word: &str| {
                word.starts_with(['{', '<', '…'])
                    || word == "home"
                    || word.chars().all(|c| c.is_ascii_uppercase())
            };
            let word = match words.as_slice() {
                [first, second, ..] if is_name(first) => second,
                [first, ..] => first,
                [] => continue,
            };
            if is_name(word) || word.starts_with('-') || ["duplicity", "rdiffdir"].contains(word) {
                continue;
            }
            seen += 1;
            // In quotes a batch may have conditions and groups.
            let quoted = word.starts_with('\'');
            let between = |c: char| c == '_' || (quoted && "'+-[]".contains(c));
            let mut parts = word.split(between).filter(|part| !part.is_empty());
            if !parts.all(known) {
                wrong.push(format!("{}: {}", path.display(), &found[0]));
            }
        }
    }
    assert!(seen > 20, "only {seen} calls were found");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What the review asks of every message and a program can see.
#[test]
fn messages_are_plain_and_blame_nobody() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let listed = std::fs::read_to_string(root.join("tests/messages.md")).expect("the list");
    let mut wrong = Vec::new();
    for row in listed.lines().filter(|l| l.starts_with("| ")) {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let [what, _, message, hint] = cells.as_slice() else {
            continue;
        };
        let words = format!("{message} {hint}").to_lowercase();
        let blames = [
            "please",
            "sorry",
            "oops",
            "illegal",
            "invalid",
            "fatal",
            "you must",
            "you should",
            "your fault",
        ];
        // Sentences without a full stop, as they are put together with their causes.
        let ends = [message, hint]
            .iter()
            .any(|text| text.ends_with('.') && !text.ends_with("..") && !text.ends_with("**."));
        // duplicity's own words stay as they are.
        if what != &"duplicity's" && (ends || blames.iter().any(|word| words.contains(word))) {
            wrong.push(row);
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
