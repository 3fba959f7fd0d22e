//! A rule as it is written, and as it is applied.
//!
//! Rules are applied in the order they were given, except those that ask about marker files and devices: these go
//! to the very front. A filter (mode, case) changes how the patterns after it are read.

use super::filelist::{self, FilesFrom};
use super::glob::Glob;
use super::regexp::Regexp;
use super::text;
use super::{Candidate, Error, Shape, Verdict, is_older};
use crate::engine::time::Timestamp;

/// What a rule does with what it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Keeps it.
    Include,
    /// Leaves it out, with everything below.
    Exclude,
}

/// How patterns are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// As shell patterns.
    #[default]
    Glob,
    /// As the path itself.
    Literal,
    /// As regular expressions, found anywhere in the path text.
    Regexp,
}

/// Whether upper and lower case differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Case {
    /// They do.
    #[default]
    Strict,
    /// They do not.
    Ignore,
}

/// One rule, or a setting for the rules after it. Texts are raw bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// A pattern, read in the mode in force.
    Pattern(Action, Vec<u8>),
    /// A regular expression, whatever the mode.
    Regexp(Action, Vec<u8>),
    /// The content of a filelist: a pattern to a line.
    Filelist(Action, Vec<u8>),
    /// Directories that hold an entry of this name are left out. Goes to the front.
    ExcludeIfPresent(Vec<u8>),
    /// Character and block devices are left out. Goes to the front.
    ExcludeDevices,
    /// What lies on another file system than the source is left out, mount points too.
    ExcludeForeign,
    /// Regular files last modified before this time are left out.
    ExcludeOlderThan(Timestamp),
    /// The content of a list of files: only these, and the directories that lead there, are visited.
    FilesFrom(Vec<u8>),
    /// How patterns after this are read.
    Mode(Mode),
    /// Whether case matters in patterns after this.
    Case(Case),
}

impl Rule {
    /// A rule of a profile: `- **/.cache` or `+ /home/ada/Documents`.
    ///
    /// # Errors
    /// [`Error::NoSign`] if it starts with neither `+ ` nor `- `.
    pub fn parse(line: &str) -> Result<Self, Error> {
        let trimmed = line.trim();
        if !trimmed.starts_with("+ ") && !trimmed.starts_with("- ") {
            return Err(Error::NoSign(line.to_owned()));
        }
        match filelist::pattern(trimmed.as_bytes(), Action::Exclude) {
            Some((action, pattern)) if !pattern.is_empty() => Ok(Rule::Pattern(action, pattern)),
            _ => Err(Error::EmptyPattern),
        }
    }
}

/// A compiled rule.
#[derive(Debug, Clone)]
pub(super) enum Test {
    Glob(Action, Glob),
    Literal(Action, Case, String),
    Regexp(Action, Regexp),
    IfPresent(Vec<u8>),
    Devices,
    Foreign,
    OlderThan(Timestamp),
}

impl Test {
    /// What this rule says of a candidate with this path text; `None` if it has nothing to say.
    pub(super) fn apply(&self, text: &str, candidate: &Candidate) -> Option<Verdict> {
        let excluded = |yes: bool| yes.then_some(Verdict::Exclude);
        match self {
            Test::Glob(Action::Include, glob) => glob.include(text, candidate.shape),
            Test::Glob(Action::Exclude, glob) => excluded(glob.covers(text, candidate.shape)),
            Test::Literal(action, case, path) => literal(*action, *case, path, text),
            Test::Regexp(Action::Include, regexp) => {
                regexp.is_found(text, true).then_some(Verdict::Include)
            }
            Test::Regexp(Action::Exclude, regexp) => excluded(regexp.is_found(text, false)),
            Test::IfPresent(name) => {
                excluded(candidate.shape == Shape::Dir && (candidate.contains)(name))
            }
            Test::Devices => excluded(candidate.shape == Shape::Device),
            Test::Foreign => excluded(candidate.is_foreign),
            Test::OlderThan(time) => excluded(is_older(candidate, *time)),
        }
    }
}

/// Literal paths cover what they name and everything below; includes scan what leads there.
fn literal(action: Action, case: Case, path: &str, text: &str) -> Option<Verdict> {
    let folded;
    let text = match case {
        Case::Strict => text,
        Case::Ignore => {
            folded = text::fold_case(text);
            &folded
        }
    };
    let below = |outer: &str, inner: &str| {
        inner
            .strip_prefix(outer)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || outer == "/")
    };
    match action {
        Action::Exclude => below(path, text).then_some(Verdict::Exclude),
        Action::Include if below(path, text) => Some(Verdict::Include),
        Action::Include => below(text, path).then_some(Verdict::Scan),
    }
}

/// Turns rules into tests, one after the other.
pub(super) struct Compiler<'a> {
    root: Option<&'a str>,
    null_separated: bool,
    tests: Vec<Test>,
    files_from: Option<FilesFrom>,
    mode: Mode,
    case: Case,
    /// The text of the last rule if it includes.
    last_include: Option<String>,
}

/// Checks that filters do something: one that is not the default, and none after the last rule.
///
/// # Errors
/// [`Error::TrailingFilter`], [`Error::RedundantFilter`].
pub(super) fn check_filters(rules: &[Rule]) -> Result<(), Error> {
    if matches!(rules.last(), Some(Rule::Mode(_) | Rule::Case(_))) {
        return Err(Error::TrailingFilter);
    }
    let is_default = |rule: &Rule| match rule {
        Rule::Mode(mode) => Some(*mode == Mode::default()),
        Rule::Case(case) => Some(*case == Case::default()),
        _ => None,
    };
    let mut filters = rules.iter().filter_map(is_default).peekable();
    if filters.peek().is_some() && filters.all(|default| default) {
        return Err(Error::RedundantFilter);
    }
    Ok(())
}

impl<'a> Compiler<'a> {
    pub(super) fn new(root: Option<&'a str>, null_separated: bool) -> Self {
        Self {
            root,
            null_separated,
            tests: Vec::new(),
            files_from: None,
            mode: Mode::default(),
            case: Case::default(),
            last_include: None,
        }
    }

    pub(super) fn compile(&mut self, rule: &Rule) -> Result<(), Error> {
        match rule {
            Rule::Pattern(action, pattern) => self.pattern(*action, pattern)?,
            Rule::Regexp(action, pattern) => self.regexp(*action, pattern)?,
            Rule::Filelist(action, content) => {
                for (action, pattern) in filelist::patterns(content, self.null_separated, *action) {
                    self.pattern(action, &pattern)?;
                }
            }
            Rule::ExcludeIfPresent(name) => {
                self.on_disk_only("a rule on marker files")?;
                if name.is_empty() {
                    return Err(Error::EmptyPattern);
                }
                self.tests.insert(0, Test::IfPresent(name.clone()));
            }
            Rule::ExcludeDevices => self.tests.insert(0, Test::Devices),
            Rule::ExcludeForeign => {
                self.on_disk_only("a rule on file systems")?;
                self.push(Test::Foreign);
            }
            Rule::ExcludeOlderThan(time) => self.push(Test::OlderThan(*time)),
            Rule::FilesFrom(content) => {
                self.on_disk_only("a list of files")?;
                self.files_from = Some(FilesFrom::parse(content, self.null_separated)?);
            }
            Rule::Mode(mode) => self.mode = *mode,
            Rule::Case(case) => self.case = *case,
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Result<(Vec<Test>, Option<FilesFrom>), Error> {
        match self.last_include {
            Some(pattern) => Err(Error::RedundantInclude(pattern)),
            None => Ok((self.tests, self.files_from)),
        }
    }

    /// Adds an excluding test at the end.
    fn push(&mut self, test: Test) {
        self.last_include = None;
        self.tests.push(test);
    }

    /// Adds a test made of a pattern at the end.
    fn push_pattern(&mut self, action: Action, pattern: &[u8], test: Test) {
        self.push(test);
        self.last_include = (action == Action::Include).then(|| text::printable(pattern));
    }

    fn on_disk_only(&self, what: &'static str) -> Result<(), Error> {
        if self.root.is_some() {
            Ok(())
        } else {
            Err(Error::NotForArchives(what))
        }
    }

    fn pattern(&mut self, action: Action, pattern: &[u8]) -> Result<(), Error> {
        match self.mode {
            Mode::Glob => self.glob(action, pattern),
            Mode::Literal => self.literal(action, pattern),
            Mode::Regexp => self.regexp(action, pattern),
        }
    }

    fn glob(&mut self, action: Action, pattern: &[u8]) -> Result<(), Error> {
        const IGNORECASE: &str = "ignorecase:";
        let text = text::decode(pattern);
        let prefixed = text
            .get(..IGNORECASE.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(IGNORECASE));
        let glob = if prefixed {
            let folded = text::fold_case(&text[IGNORECASE.len()..]);
            Glob::new(self.in_archive(&folded, pattern)?, Case::Ignore)?
        } else {
            Glob::new(self.in_archive(&text, pattern)?, self.case)?
        };
        if let Some(root) = self.root
            && glob.include(root, Shape::Dir).is_none()
        {
            return Err(self.misses_root(pattern));
        }
        self.push_pattern(action, pattern, Test::Glob(action, glob));
        Ok(())
    }

    fn literal(&mut self, action: Action, pattern: &[u8]) -> Result<(), Error> {
        let text = text::decode(pattern);
        let text = self.in_archive(&text, pattern)?;
        let text = if text == "/" {
            text
        } else {
            text.strip_suffix('/').unwrap_or(text)
        };
        if text.is_empty() {
            return Err(Error::EmptyPattern);
        }
        let path = match self.case {
            Case::Strict => text.to_owned(),
            Case::Ignore => text::fold_case(text),
        };
        if let Some(root) = self.root
            && literal(Action::Include, self.case, &path, root).is_none()
        {
            return Err(self.misses_root(pattern));
        }
        self.push_pattern(action, pattern, Test::Literal(action, self.case, path));
        Ok(())
    }

    fn regexp(&mut self, action: Action, pattern: &[u8]) -> Result<(), Error> {
        if pattern.is_empty() {
            return Err(Error::EmptyPattern);
        }
        let regexp = Regexp::from_python(&text::decode(pattern), self.case)?;
        self.push_pattern(action, pattern, Test::Regexp(action, regexp));
        Ok(())
    }

    /// Patterns for the entries of an archive are relative to its root; a leading `./` is dropped.
    fn in_archive<'t>(&self, text: &'t str, pattern: &[u8]) -> Result<&'t str, Error> {
        if self.root.is_some() {
            return Ok(text);
        }
        let mut text = text;
        while let Some(rest) = text.strip_prefix("./") {
            text = rest;
        }
        if text.starts_with('/') || text.split('/').any(|part| part == "." || part == "..") {
            return Err(self.misses_root(pattern));
        }
        Ok(text)
    }

    fn misses_root(&self, pattern: &[u8]) -> Error {
        let root = self.root.unwrap_or(".");
        Error::FilePrefix {
            pattern: text::printable(pattern),
            root: text::printable(root.as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_of_a_profile() {
        assert_eq!(
            Rule::parse("- **/.cache"),
            Ok(Rule::Pattern(Action::Exclude, b"**/.cache".to_vec()))
        );
        assert_eq!(
            Rule::parse("+ \"/a b\""),
            Ok(Rule::Pattern(Action::Include, b"/a b".to_vec()))
        );
        assert_eq!(Rule::parse("/a"), Err(Error::NoSign("/a".into())));
        assert_eq!(Rule::parse("- ''"), Err(Error::EmptyPattern));
        assert!(Rule::parse("- ").is_err());
    }

    #[test]
    fn literal_paths_respect_components() {
        let say = |action, path, text| literal(action, Case::Strict, path, text);
        assert_eq!(say(Action::Exclude, "/a", "/a/b"), Some(Verdict::Exclude));
        assert_eq!(say(Action::Exclude, "/a", "/ab"), None);
        assert_eq!(say(Action::Include, "/a/b", "/a"), Some(Verdict::Scan));
        assert_eq!(say(Action::Include, "/a/b", "/"), Some(Verdict::Scan));
        assert_eq!(say(Action::Include, "/ab", "/a"), None);
    }
}
