//! Listings, differences and the state of chains, as lines or as JSON.

use super::out;
use super::table::Table;
use crate::engine::collection::BackupSet;
use crate::engine::entry::{Entry, Kind};
use crate::engine::error::Result;
use crate::engine::format::SetId;
use crate::engine::ops::output::{Difference, DifferenceKind, Output};
use crate::engine::path::PathIndex;
use crate::engine::time::Timestamp;
use crate::report::format;
use crate::run::products::{Products, TargetView, Version};
use base64::Engine as _;
use serde_json::{Value, json};

/// Prints products as they come.
pub struct Lines;

impl Output for Lines {
    fn entry(&mut self, entry: &Entry) -> Result<()> {
        out::line(&entry_line(entry));
        Ok(())
    }
    fn difference(&mut self, difference: &Difference) -> Result<()> {
        out::line(&difference_line(difference));
        Ok(())
    }
}

impl Products for Lines {
    fn status(&mut self, view: &TargetView<'_>) -> Result<()> {
        status_lines(view).iter().for_each(|l| out::line(l));
        Ok(())
    }
    fn found(&mut self, set: SetId, entry: &Entry) -> Result<()> {
        out::line(&format!("{}  {}", set.time(), entry_line(entry)));
        Ok(())
    }
    fn differs(&mut self, path: &PathIndex, ways: &[DifferenceKind]) -> Result<()> {
        out::line(&ways_line(path, ways));
        Ok(())
    }
    fn version(&mut self, version: &Version) -> Result<()> {
        out::line(&version_line(version));
        Ok(())
    }
}

/// Collects products for one JSON document.
#[derive(Default)]
pub struct Collected(pub Vec<Value>);

impl Output for Collected {
    fn entry(&mut self, entry: &Entry) -> Result<()> {
        self.0.push(entry_json(entry));
        Ok(())
    }
    fn difference(&mut self, difference: &Difference) -> Result<()> {
        let mut value = json!({"difference": difference_word(&difference.kind)});
        add_path(&mut value, &difference.path);
        self.0.push(value);
        Ok(())
    }
}

impl Products for Collected {
    fn status(&mut self, view: &TargetView<'_>) -> Result<()> {
        self.0.push(json!({
            "target": view.target,
            "collection": view.collection,
            "damaged": view.damaged,
            "partial": view.partial,
        }));
        Ok(())
    }
    fn found(&mut self, set: SetId, entry: &Entry) -> Result<()> {
        let mut value = entry_json(entry);
        value["set"] = json!(set);
        self.0.push(value);
        Ok(())
    }
    fn differs(&mut self, path: &PathIndex, ways: &[DifferenceKind]) -> Result<()> {
        self.0.push(ways_json(path, ways));
        Ok(())
    }
    fn version(&mut self, version: &Version) -> Result<()> {
        self.0.push(version_json(version));
        Ok(())
    }
}

/// `drwxr-xr-x  ada   ada    2026-11-20 21:54  Mail/inbox`.
fn entry_line(entry: &Entry) -> String {
    format!(
        "{}  {}{}",
        attributes(entry),
        entry.path,
        link_text(&entry.kind)
    )
}

/// ` -> text` of a link.
fn link_text(kind: &Kind) -> String {
    match kind {
        Kind::Symlink(text) => format!(" -> {}", format::safe(&String::from_utf8_lossy(text))),
        _ => String::new(),
    }
}

/// `2026-11-20T02:17:00Z    5 sets   <= 512 B  -rw-r--r--  ada   ada    2026-11-20 21:54  content, time`.
fn version_line(version: &Version) -> String {
    let length = match version.length {
        Some((least, most)) if format::bytes(least) == format::bytes(most) => format::bytes(most),
        // The signature of a short file knows no more.
        Some((_, most)) => format!("<= {}", format::bytes(most)),
        None => String::new(),
    };
    let sets = format::counted(version.sets, "set");
    let changes: Vec<&str> = version.changes.iter().map(|c| c.word()).collect();
    let (what, link) = match &version.entry {
        Some(entry) => (attributes(entry), link_text(&entry.kind)),
        None => (String::new(), String::new()),
    };
    format!(
        "{}  {sets:>8}  {length:>12}  {what:<46}  {}{link}",
        version.set.time(),
        changes.join(", "),
    )
}

fn version_json(version: &Version) -> Value {
    let mut value = match &version.entry {
        Some(entry) => entry_json(entry),
        None => {
            let mut gone = json!({});
            add_path(&mut gone, &version.path);
            gone
        }
    };
    value["set"] = json!(version.set);
    value["until"] = json!(version.until);
    value["sets"] = json!(version.sets);
    let changes: Vec<&str> = version.changes.iter().map(|c| c.word()).collect();
    value["changed"] = json!(changes);
    if let Some((least, most)) = version.length {
        value["size"] = json!({"least": least, "most": most});
    }
    value
}

/// Kind, mode, owners and time.
fn attributes(entry: &Entry) -> String {
    let meta = &entry.meta;
    let owner = |name: &[u8], id: u32| {
        if name.is_empty() {
            id.to_string()
        } else {
            format::safe(&String::from_utf8_lossy(name))
        }
    };
    format!(
        "{}{}  {:<8} {:<8} {}",
        letter(&entry.kind),
        mode(meta.mode),
        owner(&meta.uname, meta.uid),
        owner(&meta.gname, meta.gid),
        format::time(Timestamp(meta.mtime)).trim_end_matches(" UTC"),
    )
}

fn letter(kind: &Kind) -> char {
    match kind {
        Kind::File => '-',
        Kind::Dir => 'd',
        Kind::Symlink(_) => 'l',
        Kind::Fifo => 'p',
        Kind::CharDevice { .. } => 'c',
        Kind::BlockDevice { .. } => 'b',
    }
}

fn mode(bits: u32) -> String {
    (0..9)
        .rev()
        .map(|bit| {
            if bits >> bit & 1 == 1 {
                ['x', 'w', 'r'][bit % 3]
            } else {
                '-'
            }
        })
        .collect()
}

fn difference_word(kind: &DifferenceKind) -> &'static str {
    match kind {
        DifferenceKind::New => "new",
        DifferenceKind::Missing => "missing",
        DifferenceKind::Type { .. } => "type",
        DifferenceKind::Permissions { .. } => "permissions",
        DifferenceKind::Mtime { .. } => "time",
        DifferenceKind::Data => "content",
        DifferenceKind::LinkTarget { .. } => "link",
        DifferenceKind::Device => "device",
    }
}

/// What it was and what it is, where that can be said in a few words.
fn detail(kind: &DifferenceKind) -> Option<String> {
    match kind {
        DifferenceKind::Type { local, backup } => Some(format!("{backup} -> {local}")),
        DifferenceKind::Permissions { local, backup } => Some(format!("{backup} -> {local}")),
        DifferenceKind::Mtime { local, backup } => {
            Some(format!("{} -> {}", Timestamp(*backup), Timestamp(*local)))
        }
        DifferenceKind::LinkTarget { local, backup } => {
            let text = |t: &[u8]| format::safe(&String::from_utf8_lossy(t));
            Some(format!("{} -> {}", text(backup), text(local)))
        }
        _ => None,
    }
}

fn difference_line(difference: &Difference) -> String {
    ways_line(&difference.path, std::slice::from_ref(&difference.kind))
}

/// `content, time Mail/inbox (2026-11-20T02:17:00Z -> 2026-11-21T02:17:00Z)`.
fn ways_line(path: &PathIndex, ways: &[DifferenceKind]) -> String {
    let words: Vec<&str> = ways.iter().map(difference_word).collect();
    let details: Vec<String> = ways.iter().filter_map(detail).collect();
    let details = match details.as_slice() {
        [] => String::new(),
        details => format!(" ({})", details.join("; ")),
    };
    format!("{:<13} {path}{details}", words.join(", "))
}

/// `difference` is one word, as in a verify.
fn ways_json(path: &PathIndex, ways: &[DifferenceKind]) -> Value {
    let words: Vec<&str> = ways.iter().map(difference_word).collect();
    let one = words.first();
    // What it always was where a content had changed.
    let time = words.iter().find(|word| **word == "time");
    let first = match one {
        Some(&"content") => time.or(one),
        one => one,
    };
    let mut value = json!({"difference": first, "differences": words});
    add_path(&mut value, path);
    value
}

fn entry_json(entry: &Entry) -> Value {
    let mut value = json!({
        "kind": entry.kind.word(),
        "mode": format!("{:04o}", entry.meta.mode),
        "uid": entry.meta.uid,
        "gid": entry.meta.gid,
        "user": String::from_utf8_lossy(&entry.meta.uname),
        "group": String::from_utf8_lossy(&entry.meta.gname),
        "mtime": entry.meta.mtime,
    });
    if let Kind::Symlink(text) = &entry.kind {
        value["link"] = json!(String::from_utf8_lossy(text));
    }
    add_path(&mut value, &entry.path);
    value
}

/// Adds `path`, and `path_b64` where it is not UTF-8.
fn add_path(value: &mut Value, path: &PathIndex) {
    let bytes = path.as_bytes();
    value["path"] = json!(String::from_utf8_lossy(bytes));
    if std::str::from_utf8(bytes).is_err() {
        value["path_b64"] = json!(base64::engine::general_purpose::STANDARD.encode(bytes));
    }
}

/// Chains and sets of a target, the newest last.
fn status_lines(view: &TargetView<'_>) -> Vec<String> {
    let collection = view.collection;
    let mut lines = vec![format!("Target {}", format::safe(view.target))];
    if collection.chains.is_empty() {
        lines.push("There is no backup yet.".to_owned());
    }
    for (n, chain) in collection.chains.iter().enumerate() {
        lines.push(String::new());
        let (sets, until) = match chain.incrementals.len() {
            0 => ("full alone".to_owned(), String::new()),
            n => (
                format!("full and {}", format::counted(n as u64, "incremental")),
                format!(" to {}", format::time(chain.end())),
            ),
        };
        lines.push(format!(
            "Chain {} of {}: {sets}, {}, {}{until}",
            n + 1,
            collection.chains.len(),
            format::bytes(chain.bytes()),
            format::time(chain.start()),
        ));
        let mut table = Table::new(&["  SET", "TIME", ">VOLUMES", ">SIZE", "NOTE"]);
        for set in chain.sets() {
            let damage = view
                .damaged
                .iter()
                .find(|d| d.set == set.id)
                .map(|d| format!("DAMAGED: {}", d.reason));
            table.row(set_row(set, &damage.unwrap_or_default()));
        }
        lines.extend(table.lines());
    }
    for (sets, word) in [
        (&collection.orphans, "orphaned"),
        (&collection.incomplete, "incomplete"),
    ] {
        for set in sets {
            lines.push(String::new());
            let files = format::counted(set.files().count() as u64, "file");
            let note = match view.partial {
                Some(partial) if partial.set == set.id => {
                    format!(
                        "the next backup goes on with it at volume {}",
                        partial.next_volume
                    )
                }
                _ => "cleanup removes it".to_owned(),
            };
            lines.push(format!(
                "{} is {word}: {files}, {}; {note}",
                set.id,
                format::bytes(set.bytes())
            ));
        }
    }
    if !collection.duplicates.is_empty() {
        lines.push(String::new());
        lines.push(format!(
            "{} are there twice in another form; never touched",
            collection.duplicates.len()
        ));
    }
    if collection.strangers > 0 {
        lines.push(String::new());
        lines.push(format!(
            "{} of other names; never touched",
            format::counted(collection.strangers, "file")
        ));
    }
    lines
}

fn set_row(set: &BackupSet, note: &str) -> Vec<String> {
    vec![
        format!(
            "  {}",
            if set.id.is_full() {
                "full"
            } else {
                "incremental"
            }
        ),
        format::time(set.id.time()),
        format::count(set.volumes.len() as u64),
        format::bytes(set.bytes()),
        format::safe(note),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::entry::Metadata;
    use std::sync::Arc;

    fn entry(path: &[u8], kind: Kind) -> Entry {
        let meta = Metadata {
            mode: 0o754,
            uid: 1000,
            uname: Arc::from(*b"ada"),
            mtime: 1_795_211_663,
            ..Metadata::default()
        };
        Entry {
            path: PathIndex::new(path).unwrap(),
            kind,
            meta,
            size: 0,
        }
    }

    #[test]
    fn entries_look_like_ls_and_cannot_disturb_a_terminal() {
        let line = entry_line(&entry(b"Mail/a\x1bb", Kind::Symlink(Box::from(*b"x\ny"))));
        assert_eq!(
            line,
            "lrwxr-xr--  ada      0        2026-11-20 21:54  Mail/a\\u{1b}b -> x\\ny"
        );
    }

    #[test]
    fn versions_in_a_line_and_as_json() {
        use crate::run::products::Change;
        let full = SetId::Full {
            time: Timestamp(1_795_211_663),
        };
        let mut version = Version {
            path: PathIndex::new(b"a").unwrap(),
            set: full,
            until: full,
            sets: 12,
            entry: Some(entry(b"a", Kind::File)),
            length: Some((1, 512)),
            changes: vec![Change::Content, Change::Mode],
        };
        let start = "2026-11-20T21:54:23Z   12 sets";
        assert_eq!(
            version_line(&version),
            format!(
                "{start}      <= 512 B  -rwxr-xr--  ada      0        2026-11-20 21:54  content, mode"
            )
        );
        let value = version_json(&version);
        assert_eq!(value["changed"], json!(["content", "mode"]));
        assert_eq!(
            (&value["size"]["most"], &value["path"], &value["sets"]),
            (&json!(512), &json!("a"), &json!(12))
        );
        version.length = Some((5 << 30, (5 << 30) + 70_000));
        assert!(version_line(&version).contains("  5.0 GiB  "));
        version.entry = None;
        version.changes = vec![Change::Gone];
        let value = version_json(&version);
        assert_eq!((&value["path"], value.get("kind")), (&json!("a"), None));
        assert!(version_line(&version).ends_with(" gone"));
    }

    #[test]
    fn names_that_are_not_utf8_come_with_their_bytes() {
        let value = entry_json(&entry(b"a\xff", Kind::File));
        assert_eq!(
            (value["path"].as_str(), value["path_b64"].as_str()),
            (Some("a\u{fffd}"), Some("Yf8="))
        );
        assert!(
            entry_json(&entry(b"a", Kind::File))
                .get("path_b64")
                .is_none()
        );
    }

    #[test]
    fn differences_in_a_line() {
        let path = PathIndex::new(b"a").unwrap();
        let line = |kind| {
            difference_line(&Difference {
                path: path.clone(),
                kind,
            })
        };
        assert_eq!(line(DifferenceKind::New), "new           a");
        assert_eq!(
            line(DifferenceKind::Type {
                local: "dir",
                backup: "reg"
            }),
            "type          a (reg -> dir)"
        );
        let mut all = vec![
            DifferenceKind::Data,
            DifferenceKind::Mtime {
                local: 1_795_211_663,
                backup: 1_795_211_600,
            },
            DifferenceKind::Permissions {
                local: "0:0 600".to_owned(),
                backup: "0:0 644".to_owned(),
            },
        ];
        assert_eq!(
            ways_line(&path, &all),
            "content, time, permissions a (2026-11-20T21:53:20Z -> 2026-11-20T21:54:23Z; 0:0 644 -> 0:0 600)"
        );
        let value = ways_json(&path, &all);
        let expected = json!(["content", "time", "permissions"]);
        assert_eq!(
            (&value["difference"], &value["differences"], &value["path"]),
            (&json!("time"), &expected, &json!("a"))
        );
        all.truncate(1);
        assert_eq!(ways_line(&path, &all), "content       a");
        assert_eq!(ways_json(&path, &all)["difference"], "content");
    }
}
