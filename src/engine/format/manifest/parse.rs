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

pub(super) fn parse(text: &[u8], files: Files) -> Result<Manifest, Error> {
    let mut manifest = Manifest::default();
    let mut section = Section::Head;
    let mut last_number = 0;
    for (index, bytes) in text.split(|b| *b == b'\n').enumerate() {
        let line = index + 1;
        if bytes.len() > LINE_BYTES_MAX {
            return Err(Error::LongLine { line });
        }
        let (keyword, rest) = first_word(bytes);
        let at_margin = !bytes.first().is_some_and(u8::is_ascii_whitespace);
        if at_margin && has_prefix(keyword, b"volume") {
            let number = volume_number(line, bytes)?;
            close(section, &mut manifest)?;
            last_number = number;
            section = Section::Volume(OpenVolume {
                line,
                number,
                start: None,
                end: None,
                hash: None,
            });
        } else if at_margin && keyword.eq_ignore_ascii_case(b"filelist") {
            close(section, &mut manifest)?;
            manifest.has_list = true;
            let announced = number(first_word(rest).0);
            section = Section::Files(OpenFiles {
                announced,
                files: Vec::new(),
                damaged: false,
            });
        } else if at_margin && keyword.eq_ignore_ascii_case(b"hostname") {
            manifest.hostname.get_or_insert_with(|| rest.to_vec());
        } else if at_margin && keyword.eq_ignore_ascii_case(b"localdir") {
            if manifest.local_dir.is_none() {
                let path = quote::unquote(rest);
                manifest.local_dir = Some(path.map_err(|reason| Error::BadQuote { line, reason })?);
            }
        } else {
            match &mut section {
                Section::Head => {}
                Section::Volume(volume) => volume.field(line, keyword, rest)?,
                Section::Files(list) if files == Files::Read => list.field(keyword, rest),
                Section::Files(_) => {}
            }
        }
    }
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
