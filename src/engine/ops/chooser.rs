//! Chooses entries of an archive by rules, as a walk over a source chooses them there: what is left out takes all below
//! it along, and a folder that only leads to something waits until something below it is chosen.

use crate::engine::entry::{Entry, Kind};
use crate::engine::path::PathIndex;
use crate::engine::select::{Candidate, Selection, Shape, Verdict};

/// Goes along with ascending entries.
pub(super) struct Chooser<'a> {
    select: &'a Selection,
    /// The folder that was left out last.
    left_out: Option<PathIndex>,
    /// Folders that lead to the present entry and are not chosen themselves, outermost first.
    waiting: Vec<Entry>,
}

impl<'a> Chooser<'a> {
    pub(super) fn new(select: &'a Selection) -> Self {
        Self {
            select,
            left_out: None,
            waiting: Vec::new(),
        }
    }

    /// The folders that now come along with `entry`, if it is chosen.
    pub(super) fn choose(&mut self, entry: &Entry) -> Option<Vec<Entry>> {
        if self.select.is_everything() || entry.path.is_root() {
            return Some(Vec::new());
        }
        let left_out = self.left_out.as_ref();
        if left_out.is_some_and(|dir| entry.path.is_within(dir)) {
            return None;
        }
        self.waiting.retain(|dir| entry.path.is_within(&dir.path));
        let is_dir = entry.kind.is_dir();
        match self.judge(entry) {
            Verdict::Include => Some(std::mem::take(&mut self.waiting)),
            Verdict::Scan if is_dir => {
                self.waiting.push(entry.clone());
                None
            }
            verdict => {
                self.left_out =
                    Some(entry.path.clone()).filter(|_| is_dir && verdict == Verdict::Exclude);
                None
            }
        }
    }

    fn judge(&self, entry: &Entry) -> Verdict {
        self.select.judge(&Candidate {
            path: &entry.path,
            shape: match entry.kind {
                Kind::File => Shape::File,
                Kind::Dir => Shape::Dir,
                Kind::CharDevice { .. } | Kind::BlockDevice { .. } => Shape::Device,
                Kind::Symlink(_) | Kind::Fifo => Shape::Other,
            },
            mtime: entry.meta.mtime,
            is_foreign: false,
            contains: &|_| false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::entry::Metadata;
    use crate::engine::select::{Action, Rule};

    fn chosen(rules: &[(Action, &str)]) -> Vec<String> {
        let rules = rules
            .iter()
            .map(|(action, text)| Rule::Pattern(*action, text.as_bytes().to_vec()));
        let select = Selection::archive_builder().extend(rules).build().unwrap();
        let mut chooser = Chooser::new(&select);
        let mut all = Vec::new();
        for (path, is_dir) in [
            ("", true),
            ("a", true),
            ("a/b", true),
            ("a/b/one", false),
            ("a/c", true),
            ("a.txt", false),
            ("d", true),
            ("d/one", false),
            ("d/two", false),
        ] {
            let entry = Entry {
                path: PathIndex::new(path.as_bytes()).unwrap(),
                kind: if is_dir { Kind::Dir } else { Kind::File },
                meta: Metadata::default(),
                size: 0,
            };
            if let Some(mut found) = chooser.choose(&entry) {
                found.push(entry);
                all.extend(found.iter().map(|e| e.path.to_string()));
            }
        }
        all
    }

    #[test]
    fn folders_come_along_with_what_is_chosen() {
        use Action::{Exclude, Include};
        let root = PathIndex::root().to_string();
        let with_root = |rest: &[&str]| -> Vec<String> {
            std::iter::once(root.clone())
                .chain(rest.iter().map(|s| s.to_string()))
                .collect()
        };
        assert_eq!(
            chosen(&[(Include, "a/b"), (Exclude, "**")]),
            with_root(&["a", "a/b", "a/b/one"])
        );
        assert_eq!(
            chosen(&[(Include, "**/one"), (Exclude, "**")]),
            with_root(&["a", "a/b", "a/b/one", "d", "d/one"])
        );
        assert_eq!(
            chosen(&[(Exclude, "a")]),
            with_root(&["a.txt", "d", "d/one", "d/two"])
        );
    }
}
