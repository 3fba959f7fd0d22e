//! From options to an opened engine: target, archive dir, keys, source.

use super::args::{Action, Args, is_url};
use super::fault::{Fault, Result};
use super::keys;
use super::log::Log;
use super::sabotage;
use super::services::storage_options;
use crate::engine::archive::ArchiveDir;
use crate::engine::context::{Cancel, Context};
use crate::engine::error::Error;
use crate::engine::format::names::{NameStyle, Naming};
use crate::engine::format::{FileKind, FileName};
use crate::engine::seal::{Encryption, Form, SealOptions};
use crate::engine::secret::Secret;
use crate::engine::select::{Action as Sign, Case, Mode, Rule, Selection, canonical};
use crate::engine::storage::{self, Environment, Location, Object, Storage, TargetUrl};
use crate::engine::target::{Engine, Target};
use crate::engine::time::Timestamp;
use crate::engine::time_text::TimeText;
use crate::engine::tree::Source;
use md5::{Digest, Md5};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Volumes uploaded at once, unless an option says how many.
const UPLOADS: usize = 2;

/// What the outside world hands to a session.
pub struct World {
    /// The environment.
    pub environment: Environment,
    /// The time of the run.
    pub now: Timestamp,
    /// Worker threads.
    pub threads: usize,
    /// How to be stopped.
    pub cancel: Cancel,
    /// This program, for answering password prompts of helpers.
    pub program: Option<PathBuf>,
    /// Names of the variables that are set, empty ones included.
    pub set: BTreeSet<String>,
}

impl World {
    pub(super) fn var(&self, name: &str) -> Option<&str> {
        self.environment.get(name).filter(|v| !v.is_empty())
    }

    /// A secret of the environment that is set and not empty.
    pub fn secret(&self, name: &str) -> Option<Secret> {
        self.var(name).map(Secret::new)
    }

    /// A secret of the environment: set, and what to. Set to nothing, it says that nobody is to be asked.
    pub fn given(&self, name: &str) -> Option<Option<Secret>> {
        self.set.contains(name).then(|| self.secret(name))
    }

    /// The directory for temporary files.
    ///
    /// # Errors
    /// The one that was named does not exist.
    pub fn temp_dir(&self, args: &Args) -> Result<PathBuf> {
        let given = args.value("tempdir").map(PathBuf::from);
        // A variable that names no directory is passed over, as Python does.
        let from_env = || {
            ["TMPDIR", "TEMP", "TMP"]
                .iter()
                .filter_map(|n| self.var(n))
                .map(PathBuf::from)
                .find(|dir| dir.is_dir())
        };
        match given {
            Some(dir) if !dir.is_dir() => Err(Fault::usage(format!(
                "--tempdir {} is no directory",
                dir.display()
            ))),
            Some(dir) => Ok(dir),
            None => Ok(from_env().unwrap_or_else(|| PathBuf::from("/tmp"))),
        }
    }
}

/// The time an option or argument means.
pub(super) fn time(args: &Args, text: &OsStr, now: Timestamp) -> Result<Timestamp> {
    let text = text
        .to_str()
        .ok_or_else(|| Fault::usage("a time is not UTF-8"))?;
    let separator = args.text("time-separator")?.and_then(|s| s.chars().next());
    TimeText::parse(text, separator.unwrap_or(':'))
        .map(|time| time.at(now, &jiff::tz::TimeZone::system()))
        .map_err(|e| Fault::usage(e.to_string()))
}

fn parsed(url: &OsStr) -> Result<(&str, TargetUrl)> {
    let text = url.to_str().filter(|_| is_url(url)).ok_or_else(|| {
        Fault::usage(format!("{} is not a target URL", Path::new(url).display()))
            .with_hint("write file:///path for a directory")
    })?;
    let meant = sabotage::meant(text);
    Ok((text, TargetUrl::parse(meant.as_deref().unwrap_or(text))?))
}

/// The engine for the target `url`, with volumes spooled in `spool`.
pub(super) fn engine(
    args: &Args,
    url: &OsStr,
    spool: &Path,
    world: &World,
    log: &Log,
) -> Result<Engine> {
    let (text, parsed) = parsed(url)?;
    let naming = naming(args)?;
    let storage = storage::open(&parsed, &storage_options(args, &parsed, world, log)?)?;
    let archive = ArchiveDir::at(archive_dir(args, text, world)?, naming.clone())?;
    let storage = sabotage::storage(Arc::from(storage), args, text, &naming, world)?;
    let from_names = matches!(args.action, Action::Status | Action::List);
    let storage = match args.switch("check-remote", true) {
        false if from_names => Arc::new(Remembered {
            inner: storage,
            archive: archive.clone(),
            naming: naming.clone(),
        }),
        false => {
            log.notice("--no-check-remote has no effect here: what is not listed could be lost");
            storage
        }
        true => storage,
    };
    let seal = keys::open(&keys::seal_options(args, text, world, log)?)?;
    let target = Target {
        storage,
        naming,
        seal: Arc::from(seal),
    };
    // Of two one goes while the other is begun or completed, which takes answers and no bytes.
    let uploads: usize = args.number("concurrency")?.unwrap_or(UPLOADS);
    Ok(Engine::open(target, archive)
        .with_spool_dir(spool)
        .with_uploads(uploads.max(1)))
}

/// The engine that `replicate` reads from: no archive dir but one that is thrown away, and every passphrase there is.
pub(super) fn origin(
    args: &Args,
    url: &OsStr,
    spool: &Path,
    scratch: &Path,
    world: &World,
    log: &Log,
) -> Result<Engine> {
    let (_, parsed) = parsed(url)?;
    let naming = Naming {
        style: NameStyle::Long,
        ..naming(args)?
    };
    let storage = storage::open(&parsed, &storage_options(args, &parsed, world, log)?)?;
    let mut options = SealOptions {
        encryption: Encryption::None,
        threads: world.threads,
        keyring: keys::keyring(args),
        gpg_options: keys::gpg_options(args),
        ..SealOptions::default()
    };
    let known = ["PASSPHRASE", "SIGN_PASSPHRASE"];
    options.further_passphrases = known.iter().filter_map(|n| world.secret(n)).collect();
    let target = Target {
        storage: Arc::from(storage),
        naming: naming.clone(),
        seal: Arc::from(keys::open(&options)?),
    };
    Ok(Engine::open(target, ArchiveDir::at(scratch, naming)?).with_spool_dir(spool))
}

/// A target whose listing is what the archive dir remembers of it.
struct Remembered {
    inner: Arc<dyn Storage>,
    archive: ArchiveDir,
    naming: Naming,
}

impl Storage for Remembered {
    fn location(&self) -> &Location {
        self.inner.location()
    }

    fn list(&self) -> crate::engine::error::Result<Vec<Object>> {
        let mut objects = Vec::new();
        for (name, path) in self.archive.files()? {
            if name.partial {
                continue;
            }
            let record = self.archive.record(name.set);
            let (form, known) = match name.kind {
                FileKind::Manifest => (Form::Plain, record.manifest_bytes),
                FileKind::Signature => (Form::Gzip, record.sigtar_bytes),
                _ => continue,
            };
            let here = std::fs::metadata(&path).map_err(|e| Error::io("stat", &path, e))?;
            objects.push(Object {
                name: self.naming.format(&FileName { form, ..name }),
                size: known.unwrap_or(here.len()),
            });
        }
        Ok(objects)
    }

    fn stat(&self, name: &str) -> crate::engine::error::Result<Option<Object>> {
        self.inner.stat(name)
    }

    fn get(&self, name: &str, to: &mut dyn Write) -> crate::engine::error::Result<u64> {
        self.inner.get(name, to)
    }

    fn put(&self, name: &str, from: &Path) -> crate::engine::error::Result<()> {
        self.inner.put(name, from)
    }

    fn delete(&self, name: &str) -> crate::engine::error::Result<()> {
        self.inner.delete(name)
    }

    fn distrust(&self, name: &str) {
        self.inner.distrust(name);
    }

    fn notices(&self) -> Vec<String> {
        self.inner.notices()
    }
}

fn archive_dir(args: &Args, url: &str, world: &World) -> Result<PathBuf> {
    let base = match args.value("archive-dir") {
        Some(dir) => expanded(dir, world),
        None => match (world.var("XDG_CACHE_HOME"), world.var("HOME")) {
            (Some(cache), _) => Path::new(cache).join("duplicity"),
            (None, Some(home)) => Path::new(home).join(".cache/duplicity"),
            (None, None) => return Err(Fault::usage("no HOME is set: give --archive-dir")),
        },
    };
    Ok(base.join(archive_name(args, url)?))
}

/// What a backup is called on this machine.
pub(super) fn archive_name(args: &Args, url: &str) -> Result<String> {
    // COMPAT(dup all): the MD5 of the URL exactly as typed.
    let digest = || {
        let digest = Md5::digest(url.as_bytes());
        digest.iter().map(|b| format!("{b:02x}")).collect()
    };
    Ok(args.text("name")?.map_or_else(digest, str::to_owned))
}

/// A path with `~` and `$VARIABLE`s as a shell would read it, for those who quoted it.
fn expanded(path: &OsStr, world: &World) -> PathBuf {
    let Some(text) = path.to_str() else {
        return PathBuf::from(path);
    };
    let home = |rest: &str| world.var("HOME").map(|home| format!("{home}{rest}"));
    let text = match text.strip_prefix('~') {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => home(rest),
        _ => None,
    }
    .unwrap_or_else(|| text.to_owned());
    let mut out = String::new();
    let mut rest = text.as_str();
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let braced = after.strip_prefix('{').and_then(|a| a.split_once('}'));
        let (name, tail) = braced.unwrap_or_else(|| {
            let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
            after.split_at(after.find(|c| !word(c)).unwrap_or(after.len()))
        });
        match world.var(name) {
            Some(value) => out.push_str(value),
            // What is not set stays as it is written.
            None => out.push_str(&rest[at..rest.len() - tail.len()]),
        }
        rest = tail;
    }
    PathBuf::from(out + rest)
}

fn naming(args: &Args) -> Result<Naming> {
    let text = |name: &str| args.text(name).map(|t| t.unwrap_or_default().to_owned());
    let separator = text("time-separator")?;
    let style = match (args.has("short-filenames"), args.has("old-filenames")) {
        (true, _) => NameStyle::Short,
        (_, true) => NameStyle::Old,
        _ => NameStyle::Long,
    };
    Ok(Naming {
        prefix: text("file-prefix")?,
        archive: text("file-prefix-archive")?,
        manifest: text("file-prefix-manifest")?,
        signature: text("file-prefix-signature")?,
        stats: text("file-prefix-jsonstat")?,
        time_separator: separator.chars().next().unwrap_or(':'),
        style,
    })
}

/// The rules of the options, in their order.
pub(super) fn rules(args: &Args, now: Timestamp) -> Result<Vec<Rule>> {
    let mut rules = Vec::new();
    for (flag, values) in &args.options {
        let value = || {
            values
                .first()
                .map(|v| v.as_bytes().to_vec())
                .unwrap_or_default()
        };
        let read = |path: PathBuf| {
            std::fs::read(&path).map_err(|e| Fault::usage(Error::io("read", &path, e).to_string()))
        };
        let file = || read(PathBuf::from(values.first().cloned().unwrap_or_default()));
        let stdin = || read(PathBuf::from("/dev/stdin"));
        rules.push(match flag.means {
            "include" => Rule::Pattern(Sign::Include, value()),
            "exclude" => Rule::Pattern(Sign::Exclude, value()),
            "include-regexp" => Rule::Regexp(Sign::Include, value()),
            "exclude-regexp" => Rule::Regexp(Sign::Exclude, value()),
            "include-filelist" => Rule::Filelist(Sign::Include, file()?),
            "exclude-filelist" => Rule::Filelist(Sign::Exclude, file()?),
            "include-filelist-stdin" => Rule::Filelist(Sign::Include, stdin()?),
            "exclude-filelist-stdin" => Rule::Filelist(Sign::Exclude, stdin()?),
            "files-from" => Rule::FilesFrom(file()?),
            "exclude-if-present" => Rule::ExcludeIfPresent(value()),
            "exclude-device-files" => Rule::ExcludeDevices,
            "exclude-other-filesystems" => Rule::ExcludeForeign,
            "exclude-older-than" => {
                Rule::ExcludeOlderThan(time(args, OsStr::from_bytes(&value()), now)?)
            }
            "filter-globbing" => Rule::Mode(Mode::Glob),
            "filter-literal" => Rule::Mode(Mode::Literal),
            "filter-regexp" => Rule::Mode(Mode::Regexp),
            "filter-ignorecase" => Rule::Case(Case::Ignore),
            "filter-strictcase" => Rule::Case(Case::Strict),
            _ => continue,
        });
    }
    Ok(rules)
}

/// The source at `path`, with the selection of the options.
pub(super) fn source(args: &Args, path: &OsStr, now: Timestamp) -> Result<Source> {
    let root = canonical(path.as_bytes());
    let select = Selection::builder(&root)
        .extend(rules(args, now)?)
        .null_separated(args.has("null-separator"))
        .build()?;
    Ok(Source::new(Path::new(OsStr::from_bytes(&root)))
        .with_selection(select)
        .following_symlinks(args.has("copy-links")))
}

/// The context of an operation.
pub(super) fn context<'a>(
    world: &'a World,
    monitor: &'a dyn crate::engine::monitor::Monitor,
) -> Context<'a> {
    Context {
        monitor,
        cancel: &world.cancel,
        now: world.now,
        threads: world.threads,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_paths_are_expanded_as_a_shell_would() {
        let world = World {
            environment: [("HOME", "/h"), ("A_1", "x")]
                .map(|(k, v)| (std::ffi::OsString::from(k), std::ffi::OsString::from(v)))
                .into_iter()
                .collect(),
            now: Timestamp(0),
            threads: 1,
            cancel: Cancel::new(),
            program: None,
            set: BTreeSet::new(),
        };
        for (text, expected) in [
            ("~/c", "/h/c"),
            ("~", "/h"),
            ("~other/c", "~other/c"),
            ("/p/$A_1/${A_1}y/$NONE/${NONE}", "/p/x/xy/$NONE/${NONE}"),
            ("a$", "a$"),
        ] {
            assert_eq!(expanded(OsStr::new(text), &world), Path::new(expected));
        }
    }
}
