//! Reading of manifests, line by line.

use super::{Bound, Error, FileChange, FileWord, HashKind, LINE_BYTES_MAX, Manifest, VolumeInfo};
use crate::engine::format::quote;
use crate::engine::path::PathIndex;

/// What to do with the list of files.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Files {
    Read,
    Skip,
}

/// What the lines below a keyword belong to.
enum Section {
    /// Nothing yet.
    Head,
    Volume(OpenVolume),
    Files(OpenFiles),
}

/// A volume whose end was not seen yet.
struct OpenVolume {
    line: usize,
    number: u32,
    start: Option<Bound>,
    end: Option<Bound>,
    hash: Option<(HashKind, String)>,
}

/// A list of files whose end was not seen yet.
struct OpenFiles {
    announced: Option<usize>,
    files: Vec<FileChange>,
    damaged: bool,
}

/// Takes a manifest line by line.
pub(super) struct Parser {
    manifest: Manifest,
    section: Section,
    files: Files,
    line: usize,
    last_number: u32,
}

pub(super) fn parse(text: &[u8], files: Files) -> Result<Manifest, Error> {
    let mut parser = Parser::new(files);
    for line in text.split(|b| *b == b'\n') {
        parser.line(line)?;
    }
    parser.finish()
}

impl Parser {
    pub(super) fn new(files: Files) -> Self {
        Self {
            manifest: Manifest::default(),
            section: Section::Head,
            files,
            line: 0,
            last_number: 0,
        }
    }

    /// Takes the next line, without its end.
    pub(super) fn line(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.line += 1;
        let line = self.line;
        if bytes.len() > LINE_BYTES_MAX {
            return Err(Error::LongLine { line });
        }
        let (keyword, rest) = first_word(bytes);
        let at_margin = !bytes.first().is_some_and(u8::is_ascii_whitespace);
        if at_margin && has_prefix(keyword, b"volume") {
            let number = volume_number(line, bytes)?;
            self.open(Section::Volume(OpenVolume {
                line,
                number,
                start: None,
                end: None,
                hash: None,
            }))?;
            self.last_number = number;
        } else if at_margin && keyword.eq_ignore_ascii_case(b"filelist") {
            let announced = number(first_word(rest).0);
            self.open(Section::Files(OpenFiles {
                announced,
                files: Vec::new(),
                damaged: false,
            }))?;
            self.manifest.has_list = true;
        } else if at_margin && keyword.eq_ignore_ascii_case(b"hostname") {
            self.manifest.hostname.get_or_insert_with(|| rest.to_vec());
        } else if at_margin && keyword.eq_ignore_ascii_case(b"localdir") {
            if self.manifest.local_dir.is_none() {
                let path = quote::unquote(rest);
                self.manifest.local_dir =
                    Some(path.map_err(|reason| Error::BadQuote { line, reason })?);
            }
        } else {
            match &mut self.section {
                Section::Head => {}
                Section::Volume(volume) => volume.field(line, keyword, rest)?,
                Section::Files(list) if self.files == Files::Read => list.field(keyword, rest),
                Section::Files(_) => {}
            }
        }
        Ok(())
    }

    fn open(&mut self, next: Section) -> Result<(), Error> {
        close(
            std::mem::replace(&mut self.section, next),
            &mut self.manifest,
        )
    }

    /// What the lines said.
    pub(super) fn finish(self) -> Result<Manifest, Error> {
        let Self {
            mut manifest,
            section,
            files,
            last_number,
            ..
        } = self;
        // Without a list, its length cannot be checked.
        match section {
            Section::Files(_) if files == Files::Skip => {}
            section => close(section, &mut manifest)?,
        }
        if files == Files::Skip {
            manifest.files = None;
            manifest.files_damaged = false;
        }
        // COMPAT(dup all): a resumed run writes the blocks from its last good volume on once more.
        manifest.volumes.split_off(&last_number.saturating_add(1));
        if manifest.volumes.is_empty() {
            return Err(Error::Empty);
        }
        Ok(manifest)
    }
}

/// One line of a list of files; `None` for anything strange.
pub(super) fn file_change(line: &[u8]) -> Option<FileChange> {
    let mut list = OpenFiles {
        announced: None,
        files: Vec::new(),
        damaged: false,
    };
    let (word, rest) = first_word(line);
    list.field(word, rest);
    list.files.pop()
}

/// Whether a line begins a list of files.
pub(super) fn is_list_head(line: &[u8]) -> bool {
    let at_margin = !line.first().is_some_and(u8::is_ascii_whitespace);
    at_margin && first_word(line).0.eq_ignore_ascii_case(b"filelist")
}

/// Adds what a finished section says. A later volume of the same number, or a later list, replaces the earlier.
fn close(section: Section, manifest: &mut Manifest) -> Result<(), Error> {
    match section {
        Section::Head => {}
        Section::Volume(OpenVolume {
            line,
            number,
            start,
            end,
            hash,
        }) => {
            let missing = |word| Error::NoBound { line, number, word };
            let start = start.ok_or_else(|| missing("StartingPath"))?;
            let end = end.ok_or_else(|| missing("EndingPath"))?;
            manifest
                .volumes
                .insert(number, VolumeInfo { start, end, hash });
        }
        Section::Files(OpenFiles {
            announced,
            files,
            damaged,
        }) => {
            manifest.files_damaged = damaged || announced != Some(files.len());
            manifest.files = (!manifest.files_damaged).then_some(files);
        }
    }
    Ok(())
}

impl OpenVolume {
    /// A line inside a volume; unknown keywords are ignored.
    fn field(&mut self, line: usize, keyword: &[u8], rest: &[u8]) -> Result<(), Error> {
        if keyword.eq_ignore_ascii_case(b"startingpath") {
            self.start = bound(line, rest)?;
        } else if keyword.eq_ignore_ascii_case(b"endingpath") {
            self.end = bound(line, rest)?;
        } else if keyword.eq_ignore_ascii_case(b"hash") {
            let (name, rest) = first_word(rest);
            let (hex, _) = first_word(rest);
            let kind = if name.eq_ignore_ascii_case(b"sha1") {
                HashKind::Sha1
            } else if name.eq_ignore_ascii_case(b"md5") {
                HashKind::Md5
            } else {
                return Ok(());
            };
            if hex.len() != kind.hex_digits() || !hex.iter().all(u8::is_ascii_hexdigit) {
                return Err(Error::BadHash { line });
            }
            let keep = matches!(self.hash, Some((HashKind::Sha1, _))) && kind == HashKind::Md5;
            if !keep {
                self.hash = Some((kind, String::from_utf8_lossy(hex).to_ascii_lowercase()));
            }
        }
        Ok(())
    }
}

impl OpenFiles {
    /// A line inside the list; anything strange makes the whole list useless, not the manifest.
    fn field(&mut self, word: &[u8], rest: &[u8]) {
        let word = match word.to_ascii_lowercase().as_slice() {
            b"" => return,
            b"new" => FileWord::New,
            b"changed" => FileWord::Changed,
            b"deleted" => FileWord::Deleted,
            _ => {
                self.damaged = true;
                return;
            }
        };
        match path(0, first_word(rest).0) {
            Ok(path) => self.files.push(FileChange { word, path }),
            Err(_) => self.damaged = true,
        }
    }
}

/// The first word of a line without leading blanks, and what follows it and one run of blanks.
fn first_word(line: &[u8]) -> (&[u8], &[u8]) {
    let line = line.trim_ascii_start();
    let end = line
        .iter()
        .position(u8::is_ascii_whitespace)
        .unwrap_or(line.len());
    let (word, rest) = line.split_at(end);
    (word, rest.trim_ascii_start())
}

fn has_prefix(word: &[u8], prefix: &[u8]) -> bool {
    word.get(..prefix.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

fn number<T: std::str::FromStr>(digits: &[u8]) -> Option<T> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The number in `Volume 3:`.
fn volume_number(line: usize, bytes: &[u8]) -> Result<u32, Error> {
    let rest = bytes
        .get(b"volume".len()..)
        .unwrap_or_default()
        .trim_ascii();
    let digits = rest.strip_suffix(b":").unwrap_or(rest);
    number(digits)
        .filter(|n| *n > 0)
        .ok_or_else(|| bad_number(line, digits))
}

fn bad_number(line: usize, text: &[u8]) -> Error {
    let text = text.get(..20).unwrap_or(text);
    Error::BadNumber {
        line,
        text: String::from_utf8_lossy(text).into_owned(),
    }
}

/// Path and block; `None` in half a line of a torn file, for the root would be `.`.
fn bound(line: usize, rest: &[u8]) -> Result<Option<Bound>, Error> {
    let (name, rest) = first_word(rest);
    let (block, _) = first_word(rest);
    let block = match block {
        b"" => None,
        digits => Some(number(digits).ok_or_else(|| bad_number(line, digits))?),
    };
    if name.is_empty() {
        return Ok(None);
    }
    Ok(Some(Bound {
        path: path(line, name)?,
        block,
    }))
}

fn path(line: usize, quoted: &[u8]) -> Result<PathIndex, Error> {
    let raw = quote::unquote(quoted).map_err(|reason| Error::BadQuote { line, reason })?;
    if raw == b"." {
        return Ok(PathIndex::root());
    }
    PathIndex::new(&raw).map_err(|reason| Error::BadPath { line, reason })
}
