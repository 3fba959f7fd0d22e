//! File names: which file of which set a name stands for, in all spellings ever written.
//!
//! A name is prefix, word, times, mark and end: `duplicity-inc.` `T0.to.T1` `.vol7.difftar` `.gpg`. Parsing and
//! writing read the same table of [`Layout`]s. See docs/format.md, "File names".
//!
//! Deliberately stricter than the original, which takes anything after the mark: an unknown end makes a stranger.
//! So `….vol1.difftar.par2` or `….manifest.tmp` never stand in the way of the file whose name they extend.
//! Prefixes are literal text here; the original uses them as regular expressions.

use super::{FileKind, FileName, SetId};
use crate::engine::seal::Form;
use crate::engine::time::Timestamp;
use crate::engine::time_text::TimeText;
use jiff::tz::TimeZone;

/// Prefixes and spelling of the file names at one target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Naming {
    /// Before every name (`--file-prefix`).
    pub prefix: String,
    /// After it, before volumes.
    pub archive: String,
    /// After it, before manifests.
    pub manifest: String,
    /// After it, before sigtars.
    pub signature: String,
    /// After it, before statistics.
    pub stats: String,
    /// Between the fields of clock times in old names.
    pub time_separator: char,
    /// Which spelling is written; all are read.
    pub style: NameStyle,
}

/// Spelling of file names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NameStyle {
    /// `duplicity-full.20261120T215423Z.manifest`.
    #[default]
    Long,
    /// `df.totmk5.m`, written by duplicity up to 1.x on request.
    Short,
    /// Long words with clock times as `2026-11-20T21:54:23Z`.
    Old,
}

/// No prefixes, `:` in clock times, long names.
impl Default for Naming {
    fn default() -> Self {
        Self {
            prefix: String::new(),
            archive: String::new(),
            manifest: String::new(),
            signature: String::new(),
            stats: String::new(),
            time_separator: ':',
            style: NameStyle::Long,
        }
    }
}

/// End of a CMS file in every spelling.
const CMS: &str = ".p7m";

/// [`FileKind`] without the number: what selects prefix and words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Volume,
    Manifest,
    Signature,
    Stats,
}

/// The fixed text of one kind of name in one spelling.
struct Layout {
    /// First word, with its dot.
    word: &'static str,
    /// Between the two times of an incremental set.
    between: &'static str,
    /// Between time and number of a volume.
    number: &'static str,
    /// After time or number.
    mark: &'static str,
    /// Marks a file in progress.
    partial: &'static str,
    /// End of a gzip file.
    gzip: &'static str,
    /// End of an OpenPGP file.
    gpg: &'static str,
}

impl Layout {
    fn of(short: bool, full: bool, class: Class) -> Self {
        use Class::{Manifest, Signature, Stats, Volume};
        if short {
            let (word, mark) = match (class, full) {
                (Volume, true) => ("df.", ".dt"),
                (Volume, false) => ("di.", ".dt"),
                (Manifest, true) => ("df.", ".m"),
                (Manifest, false) => ("di.", ".m"),
                (Signature, true) => ("dfs.", ".st"),
                (Signature, false) => ("dns.", ".st"),
                (Stats, true) => ("dfst.", ".jst"),
                (Stats, false) => ("dist.", ".jst"),
            };
            let between = if class == Stats { ".to." } else { "." };
            Self {
                word,
                between,
                number: ".",
                mark,
                partial: ".p",
                gzip: ".z",
                gpg: ".g",
            }
        } else {
            let word = match (class, full) {
                (Signature, true) => "duplicity-full-signatures.",
                (Signature, false) => "duplicity-new-signatures.",
                (_, true) => "duplicity-full.",
                (_, false) => "duplicity-inc.",
            };
            let mark = match class {
                Volume => ".difftar",
                Manifest => ".manifest",
                Signature => ".sigtar",
                Stats => ".jsonstat",
            };
            Self {
                word,
                between: ".to.",
                number: ".vol",
                mark,
                partial: ".part",
                gzip: ".gz",
                gpg: ".gpg",
            }
        }
    }
}

impl Naming {
    /// What a name says; `None` if it is not of the format.
    ///
    /// Volume numbers and times of zero are refused: the first makes the original fail, the second means "no time".
    pub fn parse(&self, name: &str) -> Option<FileName> {
        let name = name.strip_prefix(self.prefix.as_str())?;
        let classes = [
            Class::Volume,
            Class::Manifest,
            Class::Signature,
            Class::Stats,
        ];
        classes.into_iter().find_map(|class| {
            let name = name.strip_prefix(self.prefix_of(class))?;
            [true, false].into_iter().find_map(|full| {
                self.parse_as(name, true, full, class)
                    .or_else(|| self.parse_as(name, false, full, class))
            })
        })
    }

    fn parse_as(&self, name: &str, short: bool, full: bool, class: Class) -> Option<FileName> {
        let layout = Layout::of(short, full, class);
        let rest = name.strip_prefix(layout.word)?;
        let time = |text: &str| {
            let time = if short {
                Timestamp(i64::try_from(from_base36(text)?).ok()?)
            } else {
                long_time(text, self.time_separator)?
            };
            (time != Timestamp(0)).then_some(time)
        };
        let (start, rest) = if full {
            (None, rest)
        } else {
            let (start, rest) = rest.split_once(layout.between)?;
            (Some(time(start)?), rest)
        };
        let (end, kind, rest) = match class {
            Class::Volume => {
                let (end, rest) = rest.split_once(layout.number)?;
                let (number, rest) = rest.split_once(layout.mark)?;
                let number = if short {
                    from_base36(number)?
                } else {
                    from_decimal(number)?
                };
                let number = u32::try_from(number).ok().filter(|n| *n > 0)?;
                (end, FileKind::Volume(number), rest)
            }
            Class::Manifest => split_mark(rest, &layout, FileKind::Manifest)?,
            Class::Signature => split_mark(rest, &layout, FileKind::Signature)?,
            Class::Stats => split_mark(rest, &layout, FileKind::Stats)?,
        };
        let time = time(end)?;
        let set = match start {
            None => SetId::Full { time },
            Some(start) => SetId::Incremental { start, end: time },
        };
        // A short `.p` is not the beginning of `.p7m`.
        let after_partial = rest.strip_prefix(layout.partial);
        let (partial, rest) = match after_partial.filter(|_| rest != CMS) {
            // The original takes a volume in progress for a whole one. Nothing of the format writes such a name.
            Some(_) if class == Class::Volume => return None,
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        let form = match rest {
            "" => Form::Plain,
            ".gz" | ".z" => Form::Gzip,
            ".gpg" | ".g" | ".gz.gpg" => Form::Gpg,
            CMS => Form::Cms,
            _ => return None,
        };
        Some(FileName {
            set,
            kind,
            form,
            partial,
        })
    }

    /// The name of a file at the target, in [`style`](Naming::style).
    pub fn format(&self, file: &FileName) -> String {
        let short = self.style == NameStyle::Short;
        let class = class_of(file.kind);
        let layout = Layout::of(short, file.set.is_full(), class);
        let mut name = [self.prefix.as_str(), self.prefix_of(class), layout.word].concat();
        if let Some(start) = file.set.basis() {
            name.push_str(&self.format_time(start));
            name.push_str(layout.between);
        }
        name.push_str(&self.format_time(file.set.time()));
        if let FileKind::Volume(number) = file.kind {
            name.push_str(layout.number);
            name.push_str(&if short {
                to_base36(number.into())
            } else {
                number.to_string()
            });
        }
        name.push_str(layout.mark);
        if file.partial {
            name.push_str(layout.partial);
        }
        name.push_str(match file.form {
            Form::Plain => "",
            Form::Gzip => layout.gzip,
            Form::Gpg => layout.gpg,
            Form::Cms => CMS,
        });
        name
    }

    /// The name of the copy in the archive dir: manifests plain, sigtars and statistics gzipped, and what is in
    /// progress plain, whatever the form at the target.
    pub fn local(&self, file: &FileName) -> String {
        let form = match file.kind {
            _ if file.partial => Form::Plain,
            FileKind::Manifest => Form::Plain,
            FileKind::Signature | FileKind::Stats => Form::Gzip,
            FileKind::Volume(_) => file.form,
        };
        self.format(&FileName { form, ..*file })
    }

    fn prefix_of(&self, class: Class) -> &str {
        match class {
            Class::Volume => &self.archive,
            Class::Manifest => &self.manifest,
            Class::Signature => &self.signature,
            Class::Stats => &self.stats,
        }
    }

    fn format_time(&self, time: Timestamp) -> String {
        match self.style {
            NameStyle::Long => time.to_name(),
            NameStyle::Short => to_base36(u64::try_from(time.as_secs()).unwrap_or(0)),
            NameStyle::Old => time
                .to_rfc3339()
                .replace(':', self.time_separator.encode_utf8(&mut [0; 4])),
        }
    }
}

fn class_of(kind: FileKind) -> Class {
    match kind {
        FileKind::Volume(_) => Class::Volume,
        FileKind::Manifest => Class::Manifest,
        FileKind::Signature => Class::Signature,
        FileKind::Stats => Class::Stats,
    }
}

/// Time, kind and end of a name without number.
fn split_mark<'a>(
    rest: &'a str,
    layout: &Layout,
    kind: FileKind,
) -> Option<(&'a str, FileKind, &'a str)> {
    let (time, rest) = rest.split_once(layout.mark)?;
    Some((time, kind, rest))
}

/// A time of long and old names, in any of the forms people may type, upper or lower case.
///
/// Every version writes UTC or an offset. Without either, which only a hand could have written, UTC is meant, so that
/// a name is the same everywhere. Intervals (`3D`) are refused: such a set would move with the clock.
fn long_time(text: &str, separator: char) -> Option<Timestamp> {
    let text = TimeText::parse(&text.to_ascii_uppercase(), separator).ok()?;
    (!text.is_interval()).then(|| text.at(Timestamp(0), &TimeZone::UTC))
}

fn from_decimal(text: &str) -> Option<u64> {
    text.bytes()
        .all(|b| b.is_ascii_digit())
        .then(|| text.parse().ok())
        .flatten()
}

fn from_base36(text: &str) -> Option<u64> {
    let digits = |b: u8| b.is_ascii_digit() || b.is_ascii_lowercase();
    text.bytes()
        .all(digits)
        .then(|| u64::from_str_radix(text, 36).ok())
        .flatten()
}

fn to_base36(mut number: u64) -> String {
    let mut digits = Vec::new();
    loop {
        digits.extend(char::from_digit((number % 36) as u32, 36));
        number /= 36;
        if number == 0 {
            return digits.iter().rev().collect();
        }
    }
}

#[cfg(test)]
mod tests;
