//! Files with rules, one to a line, and lists of files to back up.
//!
//! In a rule list white space around a line, empty lines and `#` comments are ignored, `+ ` or `- ` in front overrides
//! what the list is for, and one pair of quotes is taken off. A list of files is taken literally.

use super::Error;
use super::rule::Action;
use super::text;
use crate::engine::path::{PathError, PathIndex};
use std::collections::{BTreeMap, BTreeSet};

/// Patterns of a rule list with what each is to do; `default` is what the list is for.
pub fn patterns(content: &[u8], null_separated: bool, default: Action) -> Vec<(Action, Vec<u8>)> {
    lines(content, null_separated)
        .filter_map(|line| pattern(line, default))
        .filter(|(_, pattern)| !pattern.is_empty())
        .collect()
}

/// The lines of a list. Which byte ends one does not matter, for empty ones say nothing.
// COMPAT(dup 3): a carriage return ends a line, too, as everywhere in Python's text files.
fn lines(content: &[u8], null_separated: bool) -> impl Iterator<Item = &[u8]> {
    content.split(move |b| match null_separated {
        true => *b == 0,
        false => matches!(b, b'\n' | b'\r'),
    })
}

/// What one line says; `None` for blank lines and comments.
pub fn pattern(line: &[u8], default: Action) -> Option<(Action, Vec<u8>)> {
    let text = text::decode(line);
    // Python strips the four information separators too.
    let trimmed = text.trim_matches(|c: char| c.is_whitespace() || ('\x1c'..='\x1f').contains(&c));
    if trimmed.is_empty() || trimmed.starts_with('#') {
        return None;
    }
    // What was cut off is valid UTF-8 on both sides, so the length in bytes tells where the line's own bytes lie.
    let before = text.len()
        - text
            .trim_start_matches(|c: char| c.is_whitespace() || ('\x1c'..='\x1f').contains(&c))
            .len();
    let after = text.len() - before - trimmed.len();
    let line = line.get(before..line.len() - after)?;
    let (action, body) = match line {
        [b'+', b' ', body @ ..] => (Action::Include, body),
        [b'-', b' ', body @ ..] => (Action::Exclude, body),
        body => (default, body),
    };
    Some((action, unquote(body).to_vec()))
}

/// Takes off one pair of equal quotes.
fn unquote(text: &[u8]) -> &[u8] {
    match text {
        [b'\'', inner @ .., b'\''] | [b'"', inner @ .., b'"'] => inner,
        // COMPAT(dup all): a lone quote is its own pair.
        [b'\''] | [b'"'] => &[],
        _ => text,
    }
}

/// A list of files to back up, with the directories that lead there.
#[derive(Debug, Clone, Default)]
pub struct FilesFrom {
    names: BTreeMap<PathIndex, BTreeSet<Box<[u8]>>>,
}

impl FilesFrom {
    /// Reads a list of relative paths. Every byte of a line counts, but for components that are empty or `.`, as in
    /// `./a//b/`: they lead nowhere and are left out.
    ///
    /// # Errors
    /// [`Error::FilesFromPath`] for paths that are absolute or lead out, [`Error::EmptyFilesFrom`].
    pub fn parse(content: &[u8], null_separated: bool) -> Result<Self, Error> {
        let mut files = Self::default();
        let mut is_empty = true;
        for line in lines(content, null_separated).filter(|line| !line.is_empty()) {
            is_empty = false;
            files.add(line).map_err(|error| Error::FilesFromPath {
                path: text::printable(line),
                reason: error.to_string(),
            })?;
        }
        if is_empty {
            Err(Error::EmptyFilesFrom)
        } else {
            Ok(files)
        }
    }

    fn add(&mut self, line: &[u8]) -> Result<(), PathError> {
        if line.starts_with(b"/") {
            return Err(PathError::Absolute);
        }
        let parts = line.split(|b| *b == b'/');
        let plain = parts.filter(|part| !matches!(*part, b"" | b"."));
        let mut path = PathIndex::new(&plain.collect::<Vec<_>>().join(&b'/'))?;
        while let (Some(parent), Some(name)) = (path.parent(), path.file_name().map(Box::from)) {
            if !self.names.entry(parent.clone()).or_default().insert(name) {
                break;
            }
            path = parent;
        }
        Ok(())
    }

    /// Names listed in a directory, sorted; none if the directory itself was listed or is not in the list.
    pub fn names(&self, dir: &PathIndex) -> Vec<&[u8]> {
        self.names
            .get(dir)
            .into_iter()
            .flatten()
            .map(|name| &**name)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(line: &[u8]) -> Option<(Action, Vec<u8>)> {
        pattern(line, Action::Exclude)
    }

    #[test]
    fn lines() {
        let exclude = |p: &[u8]| Some((Action::Exclude, p.to_vec()));
        let include = |p: &[u8]| Some((Action::Include, p.to_vec()));
        assert_eq!(one(b"  /usr \t\r"), exclude(b"/usr"));
        assert_eq!(one(b"# x"), None);
        assert_eq!(one(b"   "), None);
        assert_eq!(one(b"+ /a b"), include(b"/a b"));
        assert_eq!(one(b"+  /x"), include(b" /x"));
        assert_eq!(one(b"+/x"), exclude(b"+/x"));
        assert_eq!(one(b"- '/usr'"), exclude(b"/usr"));
        assert_eq!(one(b"\"/usr'"), exclude(b"\"/usr'"));
        assert_eq!(one(b"\"''\""), exclude(b"''"));
        assert_eq!(one(b"\xff/x\xff "), exclude(b"\xff/x\xff"));
        assert_eq!(one(b"\xc2\xa0/x\xe2\x80\x83"), exclude(b"/x"));
        assert_eq!(
            patterns(b"/a\0- ''\0\n/b\n\0", true, Action::Include).len(),
            2
        );
    }

    #[test]
    fn list_of_files_knows_the_way() {
        let list = FilesFrom::parse(b"usr/bin/x\nhome\n\n", false).unwrap();
        let names = |dir: &str| list.names(&PathIndex::new(dir.as_bytes()).unwrap());
        assert_eq!(names(""), [b"home".as_slice(), b"usr"]);
        assert_eq!(names("usr/bin"), [b"x".as_slice()]);
        assert!(names("home").is_empty());
        let list = FilesFrom::parse(b"./a//b/\r./\r\n.\n", false).unwrap();
        assert_eq!(list.names(&PathIndex::root()), [b"a".as_slice()]);
        assert!(matches!(
            FilesFrom::parse(b"/x", false),
            Err(Error::FilesFromPath { .. })
        ));
        assert!(matches!(
            FilesFrom::parse(b"../x", false),
            Err(Error::FilesFromPath { .. })
        ));
        assert_eq!(
            FilesFrom::parse(b"\n", false).err(),
            Some(Error::EmptyFilesFrom)
        );
    }
}
