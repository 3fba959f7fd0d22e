//! Names over all sets, and what changed between two of them: answered from the sigtars, without a volume.

use super::products::Products;
use crate::engine::context::Context;
use crate::engine::entry::{Entry, Kind};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::format::SetId;
use crate::engine::ops::output::{Difference, DifferenceKind, Output};
use crate::engine::path::PathIndex;
use crate::engine::target::Engine;
use crate::engine::time::Timestamp;
use std::collections::HashMap;

/// Tells every entry whose path matches `pattern` (`*` and `?`, or a part of the path; upper and lower case are
/// one), with each set in which it was new or different.
///
/// # Errors
/// `NoBackup` if there is no set, and trouble with the sigtars.
pub fn find(
    engine: &Engine,
    pattern: &str,
    products: &mut dyn Products,
    cx: &Context<'_>,
) -> Result<()> {
    let collection = engine.scan(cx)?;
    if collection.chains.is_empty() {
        return Err(Error::new(
            ErrorKind::NoBackup,
            format!("{} holds no backup", engine.location()),
        ));
    }
    let pattern = pattern.to_lowercase();
    let mut known = HashMap::new();
    // Each sigtar is read once: it names what its set stored, and nothing else can be a new version.
    for set in collection.sets() {
        let mut versions = Versions {
            set: set.id,
            pattern: &pattern,
            known: &mut known,
            products,
        };
        engine.list_stored(set, &mut versions, cx)?;
    }
    Ok(())
}

/// Tells what differs between two states, the older one first. Contents count as different when the modification
/// time does: the sigtars know no more.
///
/// # Errors
/// `NoBackup` if there are not two states, and trouble with the sigtars.
pub fn diff(
    engine: &Engine,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    products: &mut dyn Products,
    cx: &Context<'_>,
) -> Result<()> {
    let collection = engine.scan(cx)?;
    let times: Vec<Timestamp> = collection.sets().map(|s| s.id.time()).collect();
    let newest = times.last().copied();
    let before = times
        .len()
        .checked_sub(2)
        .and_then(|i| times.get(i))
        .copied();
    let (Some(from), Some(to)) = (from.or(before), to.or(newest)) else {
        return Err(Error::new(
            ErrorKind::NoBackup,
            "two sets are needed to tell what changed",
        )
        .with_hint("make another backup first"));
    };
    let mut old = All(Vec::new());
    engine.list(Some(from), &mut old, cx)?;
    let mut new = Against {
        old: old.0.into_iter().peekable(),
        products,
    };
    engine.list(Some(to), &mut new, cx)?;
    new.rest()
}

/// Tells the entries of one set that match and are not as they were in an earlier set.
struct Versions<'a> {
    set: SetId,
    pattern: &'a str,
    known: &'a mut HashMap<PathIndex, Entry>,
    products: &'a mut dyn Products,
}

impl Output for Versions<'_> {
    fn entry(&mut self, entry: &Entry) -> Result<()> {
        let path = String::from_utf8_lossy(entry.path.as_bytes()).to_lowercase();
        let is_new = |old: Option<&Entry>| old.is_none_or(|old| difference(old, entry).is_some());
        if matches(self.pattern, &path) && is_new(self.known.get(&entry.path)) {
            self.products.found(self.set, entry)?;
            self.known.insert(entry.path.clone(), entry.clone());
        }
        Ok(())
    }
}

struct All(Vec<Entry>);

impl Output for All {
    fn entry(&mut self, entry: &Entry) -> Result<()> {
        self.0.push(entry.clone());
        Ok(())
    }
}

/// Joins a listing, as it comes, with an older one.
struct Against<'a> {
    old: std::iter::Peekable<std::vec::IntoIter<Entry>>,
    products: &'a mut dyn Products,
}

impl Against<'_> {
    fn tell(&mut self, path: &PathIndex, kind: DifferenceKind) -> Result<()> {
        self.products.difference(&Difference {
            path: path.clone(),
            kind,
        })
    }

    fn rest(&mut self) -> Result<()> {
        while let Some(gone) = self.old.next() {
            self.tell(&gone.path, DifferenceKind::Missing)?;
        }
        Ok(())
    }
}

impl Output for Against<'_> {
    fn entry(&mut self, entry: &Entry) -> Result<()> {
        while let Some(gone) = self.old.next_if(|old| old.path < entry.path) {
            self.tell(&gone.path, DifferenceKind::Missing)?;
        }
        match self.old.next_if(|old| old.path == entry.path) {
            None => self.tell(&entry.path, DifferenceKind::New),
            Some(old) => match difference(&old, entry) {
                Some(kind) => self.tell(&entry.path, kind),
                None => Ok(()),
            },
        }
    }
}

/// How `new` differs from `old`.
fn difference(old: &Entry, new: &Entry) -> Option<DifferenceKind> {
    let rights = |e: &Entry| format!("{}:{} {:o}", e.meta.uid, e.meta.gid, e.meta.mode);
    if old.kind.word() != new.kind.word() {
        return Some(DifferenceKind::Type {
            local: new.kind.word(),
            backup: old.kind.word(),
        });
    }
    match (&old.kind, &new.kind) {
        (Kind::Symlink(a), Kind::Symlink(b)) if a != b => {
            return Some(DifferenceKind::LinkTarget {
                local: b.clone(),
                backup: a.clone(),
            });
        }
        (a, b) if a != b => return Some(DifferenceKind::Device),
        _ => {}
    }
    // A directory's time changes with every name in it, which is told by itself.
    if old.meta.mtime != new.meta.mtime && !new.kind.is_dir() {
        return Some(DifferenceKind::Mtime {
            local: new.meta.mtime,
            backup: old.meta.mtime,
        });
    }
    (rights(old) != rights(new)).then(|| DifferenceKind::Permissions {
        local: rights(new),
        backup: rights(old),
    })
}

/// Whether `text` matches: as a glob if the pattern has `*` or `?`, over the whole path or its last component;
/// otherwise as a part of the path.
fn matches(pattern: &str, text: &str) -> bool {
    if !pattern.contains(['*', '?']) {
        return text.contains(pattern);
    }
    let name = text.rsplit('/').next().unwrap_or(text);
    glob(pattern.as_bytes(), text.as_bytes()) || glob(pattern.as_bytes(), name.as_bytes())
}

/// `*` for any bytes, `?` for one. Linear: only the last star is ever tried again.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == b'?' || text.get(t) == Some(c) => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    p = at + 1;
                    t = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(p).all(|c| *c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::entry::Metadata;

    #[test]
    fn patterns() {
        for (pattern, path, expected) in [
            ("inbox", "mail/inbox.mbox", true),
            ("*.mbox", "mail/inbox.mbox", true),
            ("mail/*", "mail/inbox.mbox", true),
            ("mail/?nbox.*", "mail/inbox.mbox", true),
            ("*.txt", "mail/inbox.mbox", false),
            ("in*y", "mail/inbox.mbox", false),
            ("a*b*c", "aXbXbXc", true),
            ("*", "", true),
        ] {
            assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
        }
        let long = "a".repeat(5000);
        assert!(!matches("a*a*a*a*a*a*a*b", &long));
    }

    #[test]
    fn two_listings_are_joined() {
        struct Told(Vec<(String, &'static str)>);
        impl Output for Told {
            fn difference(&mut self, difference: &Difference) -> Result<()> {
                let word = match difference.kind {
                    DifferenceKind::New => "new",
                    DifferenceKind::Missing => "gone",
                    DifferenceKind::Mtime { .. } => "time",
                    DifferenceKind::Permissions { .. } => "rights",
                    DifferenceKind::Type { .. } => "type",
                    _ => "other",
                };
                self.0.push((difference.path.to_string(), word));
                Ok(())
            }
        }
        impl Products for Told {}
        let entry = |path: &str, mtime, mode, kind: Kind| Entry {
            path: PathIndex::new(path.as_bytes()).unwrap(),
            kind,
            meta: Metadata {
                mtime,
                mode,
                ..Metadata::default()
            },
            size: 0,
        };
        let old = vec![
            entry("", 1, 0, Kind::Dir),
            entry("a", 1, 0, Kind::File),
            entry("b", 1, 0, Kind::File),
            entry("c", 1, 0, Kind::File),
            entry("z", 1, 0, Kind::File),
        ];
        let new = [
            entry("", 2, 0, Kind::Dir),
            entry("b", 2, 0, Kind::File),
            entry("bb", 1, 0, Kind::File),
            entry("c", 1, 7, Kind::File),
        ];
        let mut told = Told(Vec::new());
        let mut against = Against {
            old: old.into_iter().peekable(),
            products: &mut told,
        };
        new.iter().for_each(|e| against.entry(e).unwrap());
        against.rest().unwrap();
        let expected = [
            ("a", "gone"),
            ("b", "time"),
            ("bb", "new"),
            ("c", "rights"),
            ("z", "gone"),
        ];
        assert_eq!(told.0, expected.map(|(p, w)| (p.to_owned(), w)));
    }
}
