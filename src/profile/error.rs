//! What is wrong with a profile: all of it at once, each with file, line, column and what to write instead.
//!
//! Texts of secrets are starred out before anything is shown.

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

/// A text values came from: a file, or an assignment in the environment or on the command line.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceText {
    /// As shown before line and column.
    pub name: String,
    /// The file, if it is one.
    pub file: Option<PathBuf>,
    /// Everything in it, with secrets starred out byte for byte.
    pub shown: String,
}

/// Where something stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Index among the sources.
    pub source: usize,
    /// Bytes of the key.
    pub key: Range<usize>,
    /// Bytes of the value.
    pub value: Range<usize>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong, in one line, lower case.
    pub message: String,
    /// The key it is about, with dots; empty for the file as a whole.
    pub key: String,
    /// Source and bytes that are marked.
    pub place: Option<(usize, Range<usize>)>,
    /// What to write instead.
    pub help: Option<String>,
}

/// Everything that is wrong with a profile.
#[derive(Debug, Clone, PartialEq)]
pub struct Errors {
    /// The problems, by place; at least one.
    pub problems: Vec<Problem>,
    /// The texts they point into.
    pub sources: Arc<Vec<SourceText>>,
}

/// Length of the byte order mark some editors put before a text.
const BOM: char = '\u{feff}';

impl SourceText {
    /// Line and column of a byte, both from 1; columns count characters.
    pub fn line_and_column(&self, offset: usize) -> (usize, usize) {
        let before = self
            .shown
            .get(..offset.min(self.shown.len()))
            .unwrap_or(&self.shown);
        let line = before.matches('\n').count() + 1;
        let column = before
            .rsplit('\n')
            .next()
            .unwrap_or("")
            .trim_start_matches(BOM)
            .chars()
            .count()
            + 1;
        (line, column)
    }
}

impl Errors {
    /// A problem that stands in no text: a profile that is not there, a file that cannot be read.
    pub fn single(message: impl Into<String>, help: Option<String>) -> Self {
        let problem = Problem {
            message: message.into(),
            key: String::new(),
            place: None,
            help,
        };
        Self {
            problems: vec![problem],
            sources: Arc::default(),
        }
    }

    /// For people: each problem with the offending line. `color` only for terminals.
    pub fn render(&self, color: bool) -> String {
        let renderer = if color {
            Renderer::styled()
        } else {
            Renderer::plain()
        };
        let mut text = String::new();
        for problem in &self.problems {
            // Each by itself: together they would be drawn as parts of one.
            text.push_str(&renderer.render(&[self.group(problem)]));
            text.push('\n');
            if let (None, Some(help)) = (&problem.place, &problem.help) {
                let help = Group::with_title(Level::HELP.primary_title(help.as_str()));
                text.push_str(&renderer.render(&[help]));
                text.push('\n');
            }
        }
        text
    }

    /// The file a problem is about that stands at no place in it.
    fn file(&self) -> Option<&str> {
        let first = self.sources.first()?;
        first.file.is_some().then_some(first.name.as_str())
    }

    fn group<'a>(&'a self, problem: &'a Problem) -> Group<'a> {
        let title = Level::ERROR.primary_title(problem.message.as_str());
        let place = problem
            .place
            .as_ref()
            .and_then(|(index, span)| Some((self.sources.get(*index)?, span)));
        let group = match place {
            Some((source, span)) => {
                let end = span.end.min(source.shown.len());
                let span = span.start.min(end)..end;
                let label = if problem.key.is_empty() {
                    None
                } else {
                    Some(problem.key.as_str())
                };
                let mark = AnnotationKind::Primary.span(span).label(label);
                title.element(
                    Snippet::source(source.shown.as_str())
                        .path(source.name.as_str())
                        .annotation(mark),
                )
            }
            None => {
                let group = Group::with_title(title);
                return match self.file() {
                    Some(file) => group.element(Origin::path(file)),
                    None => group,
                };
            }
        };
        match &problem.help {
            Some(help) => group.element(Level::HELP.message(help.as_str())),
            None => group,
        }
    }
}

/// One line a problem: `file:line:column: message (help)`.
impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.problems.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            if let Some((source, span)) = problem
                .place
                .as_ref()
                .and_then(|(index, span)| Some((self.sources.get(*index)?, span)))
            {
                let (line, column) = source.line_and_column(span.start);
                write!(f, "{}:{line}:{column}: ", source.name)?;
            } else if let Some(file) = self.file() {
                write!(f, "{file}: ")?;
            }
            f.write_str(&problem.message)?;
            if let Some(help) = &problem.help {
                write!(f, " ({help})")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Errors {}

/// The nearest of `known` to a mistyped word, if one is near enough to be meant.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let flat = |text: &str| text.to_lowercase().replace('_', "-");
    let word = flat(word);
    known
        .into_iter()
        .map(|k| (strsim::damerau_levenshtein(&word, &flat(k)), k))
        .filter(|(distance, k)| *distance <= 1 + k.len() / 4)
        // Among equals the longer one: a letter is left out more often than one too many is typed.
        .min_by_key(|(distance, k)| (*distance, std::cmp::Reverse(k.len()), *k))
        .map(|(_, k)| k)
}
