//! Shell patterns, translated to regular expressions.
//!
//! `**` is any text, `*` any text without `/`, `?` one character but `/`, `[…]` one of some. There is no escape
//! character. A pattern covers what it names and everything below. See docs/format.md, "Glob grammar".

use super::rule::Case;
use super::{Error, Shape, Verdict, chars, regexp, text};
use regex::Regex;

/// A compiled pattern.
#[derive(Debug, Clone)]
pub struct Glob {
    /// What the pattern names, and everything below it.
    covered: Regex,
    /// What the pattern names itself, if only directories count: the pattern ended in `/`.
    named_dir: Option<Regex>,
    /// Directories that may hold something the pattern names.
    leading: Regex,
}

/// Followed by the end of the text or something below.
// COMPAT(dup all): a final line feed counts as the end, as `$` does in Python.
const COVERS: &str = r"(?:\n?\z|/)";
const ENDS: &str = r"\n?\z";

impl Glob {
    /// Compiles `pattern`.
    ///
    /// # Errors
    /// [`Error::EmptyPattern`], [`Error::Globbing`], [`Error::BadRange`], or [`Error::Regexp`] for patterns too large.
    pub fn new(pattern: &str, case: Case) -> Result<Self, Error> {
        if pattern.is_empty() {
            return Err(Error::EmptyPattern);
        }
        let (body, dir_only) = match pattern {
            "/" => ("/**", false),
            _ => pattern
                .strip_suffix('/')
                .map_or((pattern, false), |body| (body, true)),
        };
        let regex = translate(body, case).ok_or_else(|| Error::BadRange(pattern.to_owned()))?;
        // Anything may come after `**`, so what leads there ends with it.
        let cut = body.find("**").map_or(body, |at| &body[..at + 2]);
        let leading = leading(cut, case, pattern)?;
        let compile = |text: String| regexp::compile(&text, pattern);
        Ok(Self {
            covered: compile(format!("^{regex}{COVERS}"))?,
            named_dir: if dir_only {
                Some(compile(format!("^{regex}{ENDS}"))?)
            } else {
                None
            },
            leading: compile(format!("^(?:{}){ENDS}", leading.join("|")))?,
        })
    }

    /// Whether the pattern covers `text`, which names something of this shape.
    pub fn covers(&self, text: &str, shape: Shape) -> bool {
        self.covered.is_match(text)
            && (shape == Shape::Dir
                || !self
                    .named_dir
                    .as_ref()
                    .is_some_and(|named| named.is_match(text)))
    }

    /// What an include of this pattern says of `text`.
    pub fn include(&self, text: &str, shape: Shape) -> Option<Verdict> {
        if self.covered.is_match(text) {
            // COMPAT(dup all): a file where the pattern wants a directory is not even scanned.
            self.covers(text, shape).then_some(Verdict::Include)
        } else {
            self.leading.is_match(text).then_some(Verdict::Scan)
        }
    }
}

/// Regular expressions for every leading part of a pattern that ends at a component.
fn leading(body: &str, case: Case, pattern: &str) -> Result<Vec<String>, Error> {
    let mut ends: Vec<usize> = body.match_indices('/').map(|(at, _)| at).collect();
    ends.push(body.len());
    let mut starts = vec![0];
    starts.extend(ends.iter().map(|end| end + 1));
    let inner = ends.len().saturating_sub(1);
    if (1..inner).any(|i| starts[i] == ends[i]) {
        return Err(Error::Globbing(pattern.to_owned()));
    }
    ends.into_iter()
        .map(|end| if end == 0 { "/" } else { &body[..end] })
        .map(|prefix| translate(prefix, case).ok_or_else(|| Error::BadRange(pattern.to_owned())))
        .collect()
}

/// The regular expression of a pattern; `None` if a range is reversed.
fn translate(pattern: &str, case: Case) -> Option<String> {
    let ignore = case == Case::Ignore;
    let mut regex = String::with_capacity(pattern.len() * 2);
    let mut rest = pattern;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        rest = match c {
            '*' if after.starts_with('*') => {
                regex.push_str("(?s:.*)");
                &after[1..]
            }
            '*' => {
                regex.push_str("[^/]*");
                after
            }
            '?' => {
                regex.push_str("[^/]");
                after
            }
            '[' => match class_end(after) {
                Some(end) => {
                    regex.push_str(&class(&after[..end], ignore)?);
                    &after[end + 1..]
                }
                None => {
                    regex.push_str(r"\[");
                    after
                }
            },
            _ => {
                chars::literal(&mut regex, text::point(c), ignore, false);
                after
            }
        };
    }
    Some(regex)
}

/// Where the `]` lies that closes a class, given the text after its `[`. The first character is never the end.
fn class_end(text: &str) -> Option<usize> {
    let mut from = usize::from(text.starts_with(['!', '^']));
    from += usize::from(text[from..].starts_with(']'));
    text[from..].find(']').map(|at| from + at)
}

/// A class. No class of characters has a name here, and `\` is a character like any other.
fn class(content: &str, ignore: bool) -> Option<String> {
    let (negated, content) = match content.strip_prefix(['!', '^']) {
        Some(rest) => (true, rest),
        None => (false, content),
    };
    let points: Vec<u32> = content.chars().map(text::point).collect();
    let mut ranges = chars::Ranges::new();
    let mut rest = points.as_slice();
    while let [low, after @ ..] = rest {
        let (high, after) = match after {
            [dash, high, after @ ..] if *dash == u32::from('-') => (high, after),
            _ => (low, after),
        };
        if high < low {
            return None;
        }
        ranges.push((*low, *high));
        rest = after;
    }
    Some(chars::class(&ranges, "", negated, ignore, false))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn covers(pattern: &str, text: &str) -> bool {
        Glob::new(pattern, Case::Strict)
            .unwrap()
            .covers(text, Shape::Dir)
    }

    #[test]
    fn tokens() {
        for (pattern, text, expected) in [
            ("/a", "/a", true),
            ("/a", "/a/b", true),
            ("/a", "/ab", false),
            ("/a", "/a\n", true),
            ("/a", "/a\nb", false),
            ("/a*", "/a\nb", true),
            ("/*", "/a/b", true),
            ("/*c", "/a/c", false),
            ("/**c", "/a/c", true),
            ("/?", "/é", true),
            ("/a[b-d]", "/ac", true),
            ("/a[!b-d]", "/a/", true),
            ("/a[]x]", "/a]", true),
            ("/a[x-]", "/a-", true),
            ("/a[a-]]", "/a-]", true),
            ("/a[", "/a[", true),
            ("/a[!]", "/a[!]", true),
            ("/a[\\d]", "/a5", false),
            ("/a[\\d]", "/a\\", true),
            ("/a[[:alpha:]", "/a[", true),
            ("/a[&&b]", "/a&", true),
            ("/a{b,c}", "/ab", false),
            ("/a.b", "/axb", false),
        ] {
            assert_eq!(covers(pattern, text), expected, "{pattern:?} {text:?}");
        }
    }

    #[test]
    fn bad_patterns() {
        assert_eq!(Glob::new("", Case::Strict).err(), Some(Error::EmptyPattern));
        assert_eq!(
            Glob::new("/a//b", Case::Strict).err(),
            Some(Error::Globbing("/a//b".into()))
        );
        assert_eq!(
            Glob::new("//a", Case::Strict).err(),
            Some(Error::Globbing("//a".into()))
        );
        assert!(
            Glob::new("/**//b", Case::Strict).is_ok(),
            "what follows ** is never looked at"
        );
        assert_eq!(
            Glob::new("/[z-a]", Case::Strict).err(),
            Some(Error::BadRange("/[z-a]".into()))
        );
    }

    #[test]
    fn includes_scan_what_leads_there() {
        let glob = Glob::new("/a/b*/**/c", Case::Strict).unwrap();
        let say = |text| glob.include(text, Shape::Dir);
        assert_eq!(say("/"), Some(Verdict::Scan));
        assert_eq!(say("/a"), Some(Verdict::Scan));
        assert_eq!(say("/a/bx"), Some(Verdict::Scan));
        assert_eq!(say("/a/bx/y/z"), Some(Verdict::Scan));
        assert_eq!(say("/a/bx/y/c"), Some(Verdict::Include));
        assert_eq!(say("/a/x"), None);
    }

    proptest! {
        #[test]
        fn any_text_is_a_pattern_or_an_error(pattern in "[\\[\\]!^*?/a-c\\\\{}&~.é-]{0,12}", text in "[/a-cé\\[\\]-]{0,12}") {
            if let Ok(glob) = Glob::new(&pattern, Case::Ignore) {
                glob.include(&text, Shape::File);
            }
        }

        #[test]
        fn a_pattern_without_tokens_covers_itself(pattern in "/[a-z.+()|^$\\\\{}]{1,12}") {
            prop_assert!(covers(&pattern, &pattern));
            let below = format!("{pattern}/x");
            prop_assert!(covers(&pattern, &below));
        }
    }
}
