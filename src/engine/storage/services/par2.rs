//! Recovery files beside each file, made and used by the program `par2`, at any other target.
//!
//! Beside `F` lie `F.par2` and `F.vol000+10.par2`, as duplicity's `par2+` names them; listings hide them, a removal takes
//! them along. Every download is checked, and repaired if it has to be. `F` goes first: what has it and not its recovery
//! files was never told to be stored. See docs/format.md, "URLs".

use super::super::notices::Notices;
use super::super::transfer::Transfer;
use super::super::url::TargetUrl;
use super::super::words::split_words;
use super::super::{
    Location, Object, Rest, Storage, StorageOptions, ThawOrder, names, open_sharing, settings,
};
use super::program::Program;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tempfile::TempDir;

/// Percent of the file that may be damaged.
// COMPAT(dup all): --par2-redundancy.
const REDUNDANCY: u32 = 10;

/// Recovery files beside the index.
// COMPAT(dup all): --par2-volumes.
const VOLUMES: u32 = 1;

/// What follows the name of a file in that of its recovery files.
const SUFFIX: &str = ".par2";

/// Bytes moved at a time.
const PIECE: usize = 1 << 20;

/// Another target, whose files get recovery files.
pub(super) struct Par2Storage {
    inner: Box<dyn Storage>,
    program: Program,
    redundancy: u32,
    volumes: u32,
    options: Vec<String>,
    temp_dir: PathBuf,
    /// Recovery files at the target, once they were listed.
    recovery: Mutex<Option<BTreeSet<String>>>,
    /// Lengths of files that were repaired, which their listing does not show.
    repaired: Mutex<BTreeMap<String, u64>>,
    location: Location,
    notices: Notices,
}

/// # Errors
/// As of the target itself; `Usage` for numbers that are none.
pub(super) fn open(
    of: &TargetUrl,
    location: Location,
    options: &StorageOptions,
    transfer: &Arc<Transfer>,
) -> Result<Par2Storage> {
    let number = |name: &str, default: u32, least: u32, most: u32| match options.setting(name) {
        None => Ok(default),
        Some(text) => match text.parse() {
            Ok(number) if (least..=most).contains(&number) => Ok(number),
            _ => Err(Error::new(
                ErrorKind::Usage,
                format!("{name} is a number from {least} to {most}"),
            )),
        },
    };
    let mut inner = options.clone();
    inner
        .settings
        .retain(|name, _| !settings::PAR2.contains(&name.as_str()));
    Ok(Par2Storage {
        inner: open_sharing(of, &inner, transfer)?,
        program: Program::new("par2", "PAR2_", options, Arc::clone(transfer)),
        redundancy: number("par2-redundancy", REDUNDANCY, 0, 100)?,
        volumes: number("par2-volumes", VOLUMES, 1, 31)?,
        options: split_words(options.setting("par2-options").unwrap_or(""))?,
        temp_dir: options.temp_dir.clone(),
        recovery: Mutex::default(),
        repaired: Mutex::default(),
        location,
        notices: options.notices.clone(),
    })
}

/// The file a recovery file belongs to.
fn base(name: &str) -> Option<&str> {
    let rest = name.strip_suffix(SUFFIX)?;
    let volume = rest.rsplit_once(".vol").filter(|(base, numbers)| {
        let is_number = |n: &str| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit());
        let mut numbers = numbers.split('+');
        let (first, count) = (numbers.next(), numbers.next());
        !base.is_empty()
            && first.is_some_and(is_number)
            && count.is_some_and(is_number)
            && numbers.next().is_none()
    });
    Some(volume.map_or(rest, |(base, _)| base)).filter(|base| !base.is_empty())
}

impl Par2Storage {
    /// Runs `par2` and says whether it succeeded; if not, with its last words.
    fn run(&self, command: &[&str], file: &Path) -> Result<std::result::Result<(), String>> {
        let mut arguments: Vec<OsString> = command.iter().map(OsString::from).collect();
        arguments.extend(self.options.iter().map(OsString::from));
        arguments.extend(["-q", "-q", "--"].map(OsString::from));
        arguments.push(file.into());
        let ended = self.program.run(&arguments, Vec::new(), None)?;
        Ok(match ended.code {
            Some(0) => Ok(()),
            _ => Err(ended.last_words()),
        })
    }

    fn temp(&self) -> Result<TempDir> {
        let made = tempfile::Builder::new()
            .prefix(".dupr-par2-")
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700))
            .tempdir_in(&self.temp_dir);
        made.map_err(|e| Error::io("create a folder in", &self.temp_dir, e))
    }

    /// The recovery files of a file at the target.
    fn recovery_of(&self, name: &str) -> Result<Vec<String>> {
        let mut known = self.recovery.lock().unwrap_or_else(PoisonError::into_inner);
        let all = match &mut *known {
            Some(all) => all,
            none => none.insert(self.listed()?),
        };
        let all = all.iter().filter(|file| base(file) == Some(name));
        Ok(all.cloned().collect())
    }

    fn listed(&self) -> Result<BTreeSet<String>> {
        let all = self.inner.list()?.into_iter().map(|object| object.name);
        Ok(all.filter(|name| name.ends_with(SUFFIX)).collect())
    }

    /// Notes that a recovery file is there now, or not.
    fn note(&self, name: &str, is_there: bool) {
        let mut known = self.recovery.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(all) = &mut *known {
            match is_there {
                true => all.insert(name.to_string()),
                false => all.remove(name),
            };
        }
    }

    fn remove(&self, recovery: &str) -> Result<()> {
        self.inner.delete(recovery)?;
        self.note(recovery, false);
        Ok(())
    }

    /// Makes the recovery files of a file, under the names they will have.
    fn protect(&self, name: &str, from: &Path, dir: &Path) -> Result<Vec<String>> {
        names::check(name)?;
        let file = dir.join(name);
        let reading = |e| Error::io("read", from, e);
        // There is nothing in an empty file that could be damaged.
        if fs::metadata(from).map_err(reading)?.len() == 0 {
            return Ok(Vec::new());
        }
        // The name is written into the recovery files.
        if fs::hard_link(from, &file).is_err() {
            fs::copy(from, &file).map_err(|e| Error::io("copy", from, e))?;
        }
        let redundancy = format!("-r{}", self.redundancy);
        let volumes = format!("-n{}", self.volumes);
        let mut made = self.run(&["create", &redundancy, &volumes], &file)?;
        // COMPAT(dup 3.x): small files cannot have many.
        if made.is_err() && self.volumes > 1 {
            made = self.run(&["create", &redundancy, "-n1"], &file)?;
        }
        if let Err(words) = made {
            let text = format!("{name} has no recovery files: par2: {words}");
            self.notices.tell(text);
            return Ok(Vec::new());
        }
        let entries = fs::read_dir(dir).map_err(|e| Error::io("list", dir, e))?;
        let mut recovery = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|e| Error::io("list", dir, e))?;
            let made = entry.file_name().into_string().unwrap_or_default();
            if base(&made) == Some(name) {
                recovery.push(made);
            }
        }
        recovery.sort();
        Ok(recovery)
    }

    /// Uploads a file with `put`, then its recovery files; those of a file it replaces are removed.
    fn upload(&self, name: &str, from: &Path, put: impl FnOnce() -> Result<()>) -> Result<()> {
        let dir = self.temp()?;
        let made = self.protect(name, from, dir.path())?;
        put()?;
        for file in &made {
            self.inner.put(file, &dir.path().join(file))?;
        }
        for old in self.recovery_of(name)? {
            if !made.contains(&old) {
                self.remove(&old)?;
            }
        }
        made.iter().for_each(|file| self.note(file, true));
        let mut repaired = self.repaired.lock().unwrap_or_else(PoisonError::into_inner);
        repaired.remove(name);
        Ok(())
    }

    fn fetch(&self, name: &str, dir: &Path) -> Result<()> {
        let path = dir.join(name);
        let mut file = File::create(&path).map_err(|e| Error::io("create", &path, e))?;
        self.inner.get(name, &mut file).map(drop)
    }

    /// Checks a downloaded file, and repairs it if it is damaged.
    fn heal(&self, name: &str, dir: &Path) -> Result<()> {
        let index = format!("{name}{SUFFIX}");
        // COMPAT(dup all): a file without recovery files is taken as it is.
        let files = self.recovery_of(name)?;
        if files.is_empty() {
            return Ok(());
        }
        let mut first = None;
        if files.contains(&index) {
            self.fetch(&index, dir)?;
            if self.run(&["verify"], &dir.join(&index))?.is_ok() {
                return Ok(());
            }
        }
        for file in files.iter().filter(|file| **file != index) {
            self.fetch(file, dir)?;
            first.get_or_insert(file);
        }
        // Each of them has all that is in the index, which may be what is damaged.
        let guide = match (files.contains(&index), first) {
            (false, Some(file)) => dir.join(file),
            _ => dir.join(&index),
        };
        let mut healed = self.run(&["repair"], &guide)?;
        if let (Err(_), Some(file)) = (&healed, first) {
            healed = self.run(&["repair"], &dir.join(file))?;
        }
        let place = self.inner.location();
        self.notices.tell(match healed {
            Ok(()) => {
                let path = dir.join(name);
                let bytes = fs::metadata(&path).map_err(|e| Error::io("read", &path, e))?;
                let mut repaired = self.repaired.lock().unwrap_or_else(PoisonError::into_inner);
                repaired.insert(name.to_string(), bytes.len());
                format!("{name} is damaged at {place}; what is read was repaired with its par2 files")
            }
            Err(words) => {
                format!("{name} or its par2 files are damaged at {place}, and no repair was possible: {words}")
            }
        });
        Ok(())
    }

    /// The object as it is when it was read.
    fn as_read(&self, object: Object) -> Object {
        let repaired = self.repaired.lock().unwrap_or_else(PoisonError::into_inner);
        let size = repaired.get(&object.name).copied();
        Object {
            size: size.unwrap_or(object.size),
            ..object
        }
    }
}

impl Storage for Par2Storage {
    fn location(&self) -> &Location {
        &self.location
    }

    fn list(&self) -> Result<Vec<Object>> {
        let (recovery, objects): (Vec<_>, Vec<_>) = self
            .inner
            .list()?
            .into_iter()
            .partition(|object| object.name.ends_with(SUFFIX));
        let mut known = self.recovery.lock().unwrap_or_else(PoisonError::into_inner);
        *known = Some(recovery.into_iter().map(|object| object.name).collect());
        drop(known);
        Ok(objects.into_iter().map(|o| self.as_read(o)).collect())
    }

    fn stat(&self, name: &str) -> Result<Option<Object>> {
        Ok(self.inner.stat(name)?.map(|o| self.as_read(o)))
    }

    fn get(&self, name: &str, to: &mut dyn Write) -> Result<u64> {
        names::check(name)?;
        let dir = self.temp()?;
        self.fetch(name, dir.path())?;
        self.heal(name, dir.path())?;
        let path = dir.path().join(name);
        let reading = |e| Error::io("read", &path, e);
        let mut file = File::open(&path).map_err(reading)?;
        let mut piece = vec![0; PIECE];
        let mut bytes = 0;
        loop {
            match file.read(&mut piece) {
                Ok(0) => return Ok(bytes),
                Ok(n) => {
                    to.write_all(piece.get(..n).unwrap_or_default())?;
                    bytes += n as u64;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(reading(e)),
            }
        }
    }

    fn put(&self, name: &str, from: &Path) -> Result<()> {
        self.upload(name, from, || self.inner.put(name, from))
    }

    fn put_settled(&self, name: &str, from: &Path) -> Result<()> {
        self.upload(name, from, || self.inner.put_settled(name, from))
    }

    fn claim(&self, name: &str, from: &Path) -> Result<()> {
        self.upload(name, from, || self.inner.claim(name, from))
    }

    fn modified(&self, name: &str) -> Result<Option<Timestamp>> {
        self.inner.modified(name)
    }

    /// A download reads the recovery files too.
    fn rest(&self, name: &str) -> Result<Rest> {
        let mut worst = self.inner.rest(name)?;
        for recovery in self.recovery_of(name)? {
            worst = worst.max(self.inner.rest(&recovery)?);
        }
        Ok(worst)
    }

    fn thaw(&self, name: &str, order: ThawOrder) -> Result<()> {
        for recovery in self.recovery_of(name)? {
            if self.inner.rest(&recovery)? == Rest::Archived {
                self.inner.thaw(&recovery, order)?;
            }
        }
        if self.inner.rest(name)? == Rest::Archived {
            self.inner.thaw(name, order)?;
        }
        Ok(())
    }

    fn delete(&self, name: &str) -> Result<()> {
        // The file last: once it is gone nobody looks for these any more.
        for recovery in self.recovery_of(name)? {
            self.remove(&recovery)?;
        }
        self.inner.delete(name)
    }

    fn distrust(&self, name: &str) {
        self.inner.distrust(name);
    }

    fn notices(&self) -> Vec<String> {
        self.notices.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recovery_files_are_known_by_their_names() {
        for (name, of) in [
            ("a.difftar.gpg.par2", Some("a.difftar.gpg")),
            ("a.difftar.gpg.vol000+198.par2", Some("a.difftar.gpg")),
            ("a.vol1.difftar.vol07+20.par2", Some("a.vol1.difftar")),
            ("a.vol1.par2", Some("a.vol1")),
            ("a.vol1+x.par2", Some("a.vol1+x")),
            ("a.vol1+2+3.par2", Some("a.vol1+2+3")),
            (".vol1+2.par2", Some(".vol1+2")),
            ("a.par2.gpg", None),
            (".par2", None),
        ] {
            assert_eq!(base(name), of, "{name}");
        }
    }
}
