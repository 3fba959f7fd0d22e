//! From options to an opened engine: target, archive dir, keys, source.

use super::args::{Action, Args, is_url};
use super::fault::{Fault, Result};
use super::keys;
use super::log::Log;
use super::prompt;
use super::sabotage;
use crate::engine::archive::ArchiveDir;
use crate::engine::context::{Cancel, Context};
use crate::engine::error::Error;
use crate::engine::format::names::{NameStyle, Naming};
use crate::engine::format::{FileKind, FileName};
use crate::engine::seal::{self, Encryption, Form, SealOptions};
use crate::engine::secret::Secret;
use crate::engine::select::{Action as Sign, Case, Mode, Rule, Selection, canonical};
use crate::engine::storage::{
    self, Environment, Location, Object, Place, Storage, StorageOptions, TargetUrl,
};
use crate::engine::target::{Engine, Target};
use crate::engine::time::Timestamp;
use crate::engine::time_text::parse_time;
use crate::engine::tree::Source;
use md5::{Digest, Md5};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

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
    fn var(&self, name: &str) -> Option<&str> {
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
pub(super) fn time(text: &OsStr, now: Timestamp) -> Result<Timestamp> {
    let text = text
        .to_str()
        .ok_or_else(|| Fault::usage("a time is not UTF-8"))?;
    parse_time(text, now, &jiff::tz::TimeZone::system()).map_err(|e| Fault::usage(e.to_string()))
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
    let seal = seal::open(&keys::seal_options(args, world, log)?)?;
    let target = Target {
        storage,
        naming,
        seal: Arc::from(seal),
    };
    let uploads: usize = args.number("concurrency")?.unwrap_or(1);
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
        ..SealOptions::default()
    };
    let known = ["PASSPHRASE", "SIGN_PASSPHRASE"];
    options.further_passphrases = known.iter().filter_map(|n| world.secret(n)).collect();
    let target = Target {
        storage: Arc::from(storage),
        naming: naming.clone(),
        seal: Arc::from(seal::open(&options)?),
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
    // COMPAT(dup all): the MD5 of the URL exactly as typed.
    let digest = || {
        Md5::digest(url.as_bytes())
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect()
    };
    let name: String = args.text("name")?.map_or_else(digest, str::to_owned);
    Ok(base.join(name))
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

fn storage_options(
    args: &Args,
    url: &TargetUrl,
    world: &World,
    log: &Log,
) -> Result<StorageOptions> {
    let mut options = StorageOptions {
        environment: world.environment.clone(),
        askpass: world.program.clone(),
        temp_dir: world.temp_dir(args)?,
        cancel: world.cancel.clone(),
        // What every run reads must not go to an archive class.
        standard_names: |name| !name.contains(".difftar") && !name.contains(".dt"),
        password: ["BACKEND_PASSWORD", "FTP_PASSWORD"]
            .iter()
            .find_map(|n| world.secret(n)),
        ..StorageOptions::default()
    };
    if args.has("ssh-askpass") && options.password.is_none() && url.password().is_none() {
        options.password = Some(prompt::secret(&format!("Password for {}:", url.masked()))?);
    }
    if let Some(n) = args.number::<u32>("num-retries")? {
        options.attempts = n.max(1);
    }
    if let Some(seconds) = args.number("backend-retry-delay")? {
        options.backoff = Duration::from_secs(seconds);
    }
    if let Some(seconds) = args.number("timeout")? {
        options.timeout = Duration::from_secs(seconds);
    }
    let mut set = |key: &str, value: &str| {
        options.settings.insert(key.into(), value.into());
    };
    // Options of one service are no mistake beside a target of another: wrappers give all of them always. What is at the
    // targets of a list is not known here, so each gets those it knows.
    let place = url.plain().place();
    let any = matches!(place, Place::Multi { .. });
    let words = |flag: &str| {
        let words: Vec<&str> = args.values(flag).filter_map(OsStr::to_str).collect();
        words.join(" ")
    };
    if any || matches!(url.place(), Place::Par2 { .. }) {
        for flag in ["par2-redundancy", "par2-volumes"] {
            set(flag, args.text(flag)?.unwrap_or_default());
        }
        set("par2-options", &words("par2-options"));
    }
    if any
        || matches!(
            place,
            Place::S3 { .. } | Place::Gs { .. } | Place::B2 { .. }
        )
    {
        for (flag, setting) in [
            ("s3-endpoint-url", "endpoint"),
            ("s3-region-name", "region"),
            ("s3-kms-key-id", "kms-key"),
        ] {
            if let Some(value) = args.text(flag)? {
                set(setting, value);
            }
        }
        for (flag, class) in CLASSES {
            if args.has(flag) {
                set("storage-class", class);
            }
        }
        if args.has("s3-use-server-side-kms-encryption") {
            set("encryption", "kms");
        } else if args.has("s3-use-server-side-encryption") {
            set("encryption", "s3");
        }
    }
    if any
        || matches!(
            place,
            Place::Sftp { .. } | Place::Rsync { daemon: false, .. }
        )
    {
        set("ssh-options", &words("ssh-options"));
    }
    if any || matches!(place, Place::Rsync { .. }) {
        set("rsync-options", &words("rsync-options"));
    }
    if any || matches!(place, Place::Ftp { .. }) {
        if args.has("ftp-regular") && !args.has("ftp-passive") {
            set("data-connection", "active");
        }
        if let Some(file) = args.text("ssl-cacert-file")? {
            set("ca-file", file);
        }
    }
    if matches!(place, Place::WebDav { .. }) && args.has("ssl-cacert-file") {
        return Err(Fault::usage(
            "--ssl-cacert-file is not built for webdavs://: add the certificate to the system's store",
        ));
    }
    if world.var("FTP_PASSWORD").is_some() && world.var("BACKEND_PASSWORD").is_none() {
        log.say(
            super::log::Weight::Info,
            "FTP_PASSWORD is the old name of BACKEND_PASSWORD",
        );
    }
    Ok(options)
}

/// Storage classes by option.
const CLASSES: &[(&str, &str)] = &[
    ("s3-use-rrs", "REDUCED_REDUNDANCY"),
    ("s3-use-ia", "STANDARD_IA"),
    ("s3-use-onezone-ia", "ONEZONE_IA"),
    ("s3-use-glacier", "GLACIER"),
    ("s3-use-glacier-ir", "GLACIER_IR"),
    ("s3-use-deep-archive", "DEEP_ARCHIVE"),
];

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
            "exclude-older-than" => Rule::ExcludeOlderThan(time(OsStr::from_bytes(&value()), now)?),
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
