//! Names over all sets, and what changed between two of them: answered from the sigtars, without a volume.

use super::products::{Change, Products, Version};
use crate::engine::collection::{BackupSet, Collection};
use crate::engine::context::Context;
use crate::engine::delta::signed_length;
use crate::engine::entry::{Entry, Kind, Metadata};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::format::sigtar::{SigEntry, SigState};
use crate::engine::ops::list::shown;
use crate::engine::ops::look::Wanted;
use crate::engine::ops::output::DifferenceKind;
use crate::engine::path::PathIndex;
use crate::engine::stream::overlay::Pair;
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
    let sets = sets(engine, &collection)?;
    let pattern = pattern.to_lowercase();
    let wanted = Wanted {
        path: &|path| matches(&pattern, path),
        last: None,
        signatures: false,
    };
    let mut known: HashMap<PathIndex, Entry> = HashMap::new();
    let mut tell = |number: usize, entry: SigEntry| {
        let is_new = |old: Option<&Entry>, new| old.is_none_or(|old| differs(old, new));
        if let (Some(set), Some(entry)) = (sets.get(number), shown(entry))
            && is_new(known.get(&entry.path), &entry)
        {
            products.found(set.id, &entry)?;
            known.insert(entry.path.clone(), entry);
        }
        Ok(())
    };
    // Each sigtar is read once: it names what its set stored, and nothing else can be a new version.
    engine.look_through(&sets, &wanted, &mut tell, cx)
}

/// Tells every version of what lay at `path`: the sets in a row in which it was the same are told as one, and so are those
/// in which it was gone, once it had been there.
///
/// # Errors
/// `NoBackup` if there is no set, `NotFound` if none holds the path, and trouble with the sigtars.
pub fn versions(
    engine: &Engine,
    path: &PathIndex,
    products: &mut dyn Products,
    cx: &Context<'_>,
) -> Result<()> {
    let collection = engine.scan(cx)?;
    let sets = sets(engine, &collection)?;
    let wanted = Wanted {
        path: &|other| other == path.as_bytes(),
        last: Some(path),
        signatures: true,
    };
    let mut states = vec![None; sets.len()];
    let mut keep = |number: usize, entry: SigEntry| {
        if let Some(state) = states.get_mut(number) {
            *state = Some(entry.state);
        }
        Ok(())
    };
    engine.look_through(&sets, &wanted, &mut keep, cx)?;
    let versions = in_a_row(path, &sets, states);
    if versions.is_empty() {
        let text = format!("no set at {} holds {path}", engine.location());
        return Err(Error::new(ErrorKind::NotFound, text)
            .with_hint("`find` looks for a part of a name, over all sets"));
    }
    versions.iter().try_for_each(|v| products.version(v))
}

/// All sets, the oldest first.
fn sets<'a>(engine: &Engine, collection: &'a Collection) -> Result<Vec<&'a BackupSet>> {
    if collection.chains.is_empty() {
        let text = format!("{} holds no backup", engine.location());
        return Err(Error::new(ErrorKind::NoBackup, text));
    }
    Ok(collection.sets().collect())
}

/// The versions of a path, by what each set says of it.
fn in_a_row(path: &PathIndex, sets: &[&BackupSet], states: Vec<Option<SigState>>) -> Vec<Version> {
    let mut versions: Vec<Version> = Vec::new();
    let mut present = SigState::Deleted;
    for (set, state) in sets.iter().zip(states) {
        let state = match state {
            Some(state) => state,
            // A full set names all there is, an increment what differs.
            None if set.id.is_full() => SigState::Deleted,
            None => present.clone(),
        };
        let changes = changes(&present, &state);
        match versions.last_mut() {
            Some(version) if changes.is_empty() => {
                version.until = set.id;
                version.sets += 1;
            }
            None if changes.is_empty() => {}
            _ => versions.push(Version {
                path: path.clone(),
                set: set.id,
                until: set.id,
                sets: 1,
                length: match &state {
                    SigState::File { signature, .. } => signed_length(signature),
                    _ => None,
                },
                entry: shown(SigEntry {
                    path: path.clone(),
                    state: state.clone(),
                }),
                changes,
            }),
        }
        present = state;
    }
    versions
}

/// In which ways a state of a path differs from the one before.
fn changes(old: &SigState, new: &SigState) -> Vec<Change> {
    let (kind, meta, content) = match new {
        SigState::Deleted if *old == SigState::Deleted => return Vec::new(),
        SigState::Deleted => return vec![Change::Gone],
        SigState::File { meta, signature } => (&Kind::File, meta, Some(signature)),
        SigState::Other { kind, meta } => (kind, meta, None),
    };
    let (old_kind, old_meta, old_content) = match old {
        SigState::Deleted => return vec![Change::New],
        SigState::File { meta, signature } => (&Kind::File, meta, Some(signature)),
        SigState::Other { kind, meta } => (kind, meta, None),
    };
    if kind.word() != old_kind.word() {
        return vec![Change::Type];
    }
    // A directory's time changes with every name in it, which is told by itself.
    let time = meta.mtime != old_meta.mtime && !kind.is_dir();
    let differs = [
        (Change::Content, content_differs(old_content, content, time)),
        (
            Change::Link,
            matches!(kind, Kind::Symlink(_)) && kind != old_kind,
        ),
        (
            Change::Device,
            !matches!(kind, Kind::Symlink(_)) && kind != old_kind,
        ),
        (Change::Time, time),
        (
            Change::Owner,
            (meta.uid, meta.gid) != (old_meta.uid, old_meta.gid),
        ),
        (Change::Mode, meta.mode != old_meta.mode),
    ];
    let differs = differs.into_iter().filter(|(_, is_so)| *is_so);
    differs.map(|(change, _)| change).collect()
}

/// Whether contents differ, by their signatures. Those with blocks of different lengths cannot be compared: the time
/// decides, unless one is too long to be the other.
fn content_differs(old: Option<&Vec<u8>>, new: Option<&Vec<u8>>, time_differs: bool) -> bool {
    let (Some(old), Some(new)) = (old, new) else {
        return false;
    };
    let head = |signature: &Vec<u8>| signature.get(..12).map(<[u8]>::to_vec);
    if head(old) == head(new) {
        return old != new;
    }
    match (signed_length(old), signed_length(new)) {
        (Some((old_least, old_most)), Some((least, most))) => {
            time_differs || old_most < least || most < old_least
        }
        _ => time_differs,
    }
}

/// Tells every path that differs between two states, the older one first, with all that differs.
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
    let mut tell = |pair: Pair| {
        let ways = ways(&pair.old, &pair.new);
        match ways.is_empty() {
            true => Ok(()),
            false => products.differs(&pair.path, &ways),
        }
    };
    engine.two_states(&collection, (from, to), &mut tell, cx)
}

/// In which ways a path differs between two states.
fn ways(old: &SigState, new: &SigState) -> Vec<DifferenceKind> {
    let what = |state: &SigState| match state {
        SigState::File { meta, .. } => (Kind::File, meta.clone()),
        SigState::Other { kind, meta } => (kind.clone(), meta.clone()),
        SigState::Deleted => (Kind::File, Metadata::default()),
    };
    let changes = changes(old, new);
    if changes.is_empty() {
        return Vec::new();
    }
    let ((old_kind, old), (kind, new)) = (what(old), what(new));
    let rights = |meta: &Metadata| format!("{}:{} {:o}", meta.uid, meta.gid, meta.mode);
    let text = |kind: Kind| match kind {
        Kind::Symlink(text) => text,
        _ => Box::default(),
    };
    let mut ways: Vec<DifferenceKind> = changes
        .into_iter()
        .map(|change| match change {
            Change::New => DifferenceKind::New,
            Change::Gone => DifferenceKind::Missing,
            Change::Type => DifferenceKind::Type {
                local: kind.word(),
                backup: old_kind.word(),
            },
            Change::Content => DifferenceKind::Data,
            Change::Link => DifferenceKind::LinkTarget {
                local: text(kind.clone()),
                backup: text(old_kind.clone()),
            },
            Change::Device => DifferenceKind::Device,
            Change::Time => DifferenceKind::Mtime {
                local: new.mtime,
                backup: old.mtime,
            },
            Change::Owner | Change::Mode => DifferenceKind::Permissions {
                local: rights(&new),
                backup: rights(&old),
            },
        })
        .collect();
    // Owner and mode are told as one.
    ways.dedup();
    ways
}

/// Whether `new` differs from `old` in what a sigtar tells of it without its signature.
fn differs(old: &Entry, new: &Entry) -> bool {
    let what = |e: &Entry| (e.meta.uid, e.meta.gid, e.meta.mode);
    // A directory's time changes with every name in it, which is told by itself.
    let time = old.meta.mtime != new.meta.mtime && !new.kind.is_dir();
    old.kind != new.kind || time || what(old) != what(new)
}

/// Whether a path matches: as a glob if the pattern has `*` or `?`, over the whole path or its last component;
/// otherwise as a part of the path. The pattern is in lower case.
fn matches(pattern: &str, path: &[u8]) -> bool {
    if path.is_ascii() {
        return matches_bytes(pattern.as_bytes(), path);
    }
    let path = String::from_utf8_lossy(path).to_lowercase();
    matches_bytes(pattern.as_bytes(), path.as_bytes())
}

fn matches_bytes(pattern: &[u8], path: &[u8]) -> bool {
    if !pattern.iter().any(|b| matches!(b, b'*' | b'?')) {
        return contains(path, pattern);
    }
    let name = path.rsplit(|b| *b == b'/').next().unwrap_or(path);
    glob(pattern, path) || glob(pattern, name)
}

/// Whether `part`, in lower case, is in `text` in any case of ASCII.
fn contains(text: &[u8], part: &[u8]) -> bool {
    let Some((first, rest)) = part.split_first() else {
        return true;
    };
    let begins = |at: usize| {
        let end = text.get(at + 1..at + part.len());
        end.is_some_and(|end| end.eq_ignore_ascii_case(rest))
    };
    text.iter()
        .enumerate()
        .any(|(at, b)| b.to_ascii_lowercase() == *first && begins(at))
}

/// `*` for any bytes, `?` for one, all in any case of ASCII. Linear: only the last star is ever tried again.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == b'?' || text.get(t).is_some_and(|b| b.eq_ignore_ascii_case(c)) => {
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
            ("INBOX", "mail/InBox.mbox", true),
            ("x.mboxx", "mail/inbox.mbox", false),
            ("*.MBOX", "mail/inbox.Mbox", true),
            ("über", "Texte/ÜBER.odt", true),
            ("über*", "Texte/ÜBER.odt", true),
            ("", "a", true),
            ("*", "", true),
        ] {
            let found = matches(&pattern.to_lowercase(), path.as_bytes());
            assert_eq!(found, expected, "{pattern} {path}");
        }
        let long = "a".repeat(5000);
        assert!(!matches("a*a*a*a*a*a*a*b", long.as_bytes()));
    }

    #[test]
    fn equal_neighbours_are_one_version() {
        use crate::engine::delta::SignatureBuilder;
        use crate::engine::format::SetId;
        let file = |text: &str, block: usize, mtime, mode| {
            let mut signature = SignatureBuilder::new(block);
            signature.push(text.as_bytes());
            SigState::File {
                meta: Metadata {
                    mtime,
                    mode,
                    ..Metadata::default()
                },
                signature: signature.finish(),
            }
        };
        let full = |n: i64| SetId::Full { time: Timestamp(n) };
        let more = |n: i64| SetId::Incremental {
            start: Timestamp(n - 1),
            end: Timestamp(n),
        };
        let long = "x".repeat(5000);
        let dir = |mtime| SigState::Other {
            kind: Kind::Dir,
            meta: Metadata {
                mtime,
                ..Metadata::default()
            },
        };
        let told = [
            (full(1), None),
            (more(2), Some(file("one", 512, 1, 0o600))),
            (more(3), None),
            // The next chain repeats it.
            (full(4), Some(file("one", 512, 1, 0o600))),
            (more(5), Some(file("two", 512, 2, 0o644))),
            // Touched; then with other blocks, which says nothing while the time is the same.
            (more(6), Some(file("two", 512, 3, 0o644))),
            (full(7), Some(file("two", 1024, 3, 0o644))),
            (more(8), Some(file(&long, 512, 3, 0o644))),
            (more(9), Some(SigState::Deleted)),
            (more(10), None),
            (more(11), Some(dir(5))),
            (more(12), Some(dir(6))),
            // A full set that does not name it.
            (full(13), None),
        ];
        let sets: Vec<BackupSet> = told.iter().map(|(id, _)| BackupSet::new(*id)).collect();
        let sets: Vec<&BackupSet> = sets.iter().collect();
        let states = told.into_iter().map(|(_, state)| state).collect();
        let path = PathIndex::new(b"a/b").unwrap();
        let found: Vec<_> = in_a_row(&path, &sets, states)
            .iter()
            .map(|v| {
                let times = (v.set.time().0, v.until.time().0);
                assert_eq!(v.entry.is_none(), v.changes == [Change::Gone]);
                (times, v.sets, v.length, v.changes.clone())
            })
            .collect();
        let small = Some((1, 512));
        let expected = [
            ((2, 4), 3, small, vec![Change::New]),
            (
                (5, 5),
                1,
                small,
                vec![Change::Content, Change::Time, Change::Mode],
            ),
            ((6, 7), 2, small, vec![Change::Time]),
            ((8, 8), 1, Some((4609, 5120)), vec![Change::Content]),
            ((9, 10), 2, None, vec![Change::Gone]),
            ((11, 12), 2, None, vec![Change::New]),
            ((13, 13), 1, None, vec![Change::Gone]),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn all_that_differs_is_told() {
        let meta = |mtime, mode, uid| Metadata {
            mtime,
            mode,
            uid,
            ..Metadata::default()
        };
        let file = |text: &str, meta: &Metadata| {
            let mut signature = crate::engine::delta::SignatureBuilder::new(512);
            signature.push(text.as_bytes());
            SigState::File {
                meta: meta.clone(),
                signature: signature.finish(),
            }
        };
        let other = |kind: Kind, meta: &Metadata| SigState::Other {
            kind,
            meta: meta.clone(),
        };
        let rights = |local: &str, backup: &str| DifferenceKind::Permissions {
            local: local.to_owned(),
            backup: backup.to_owned(),
        };
        let time = |local, backup| DifferenceKind::Mtime { local, backup };
        let (a, b, c) = (meta(1, 0o600, 0), meta(2, 0o600, 0), meta(2, 0o644, 7));
        let link = |text: &[u8]| Kind::Symlink(Box::from(text));
        let turned = DifferenceKind::Type {
            local: "dir",
            backup: "reg",
        };
        let led = DifferenceKind::LinkTarget {
            local: Box::from(*b"y"),
            backup: Box::from(*b"x"),
        };
        for (old, new, expected) in [
            (file("one", &a), file("one", &a), vec![]),
            (file("one", &a), file("one", &b), vec![time(2, 1)]),
            (file("one", &b), file("two", &b), vec![DifferenceKind::Data]),
            (
                file("one", &a),
                file("two", &c),
                vec![
                    DifferenceKind::Data,
                    time(2, 1),
                    rights("7:0 644", "0:0 600"),
                ],
            ),
            (other(Kind::Dir, &a), other(Kind::Dir, &b), vec![]),
            (
                other(Kind::Dir, &a),
                other(Kind::Dir, &c),
                vec![rights("7:0 644", "0:0 600")],
            ),
            (file("one", &a), other(Kind::Dir, &c), vec![turned]),
            (
                other(link(b"x"), &a),
                other(link(b"y"), &b),
                vec![led, time(2, 1)],
            ),
            (
                SigState::Deleted,
                file("one", &a),
                vec![DifferenceKind::New],
            ),
            (
                file("one", &a),
                SigState::Deleted,
                vec![DifferenceKind::Missing],
            ),
        ] {
            assert_eq!(ways(&old, &new), expected, "{old:?} {new:?}");
        }
    }
}
