//! From options to an opened engine: target, archive dir, keys, source.

use super::args::{Args, is_url};
use crate::engine::archive::ArchiveDir;
use crate::engine::context::{Cancel, Context};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::format::names::{NameStyle, Naming};
use crate::engine::seal::{self, Compression, Encryption, Keyring, SealOptions, Signature};
use crate::engine::secret::Secret;
use crate::engine::select::{Action as Sign, Case, Mode, Rule, Selection, canonical};
use crate::engine::storage::{self, Environment, StorageOptions, TargetUrl};
use crate::engine::target::{Engine, Target};
use crate::engine::time::Timestamp;
use crate::engine::time_text::parse_time;
use crate::engine::tree::Source;
use md5::{Digest, Md5};
use std::ffi::OsStr;
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
}

impl World {
    fn var(&self, name: &str) -> Option<&str> {
        self.environment.get(name).filter(|v| !v.is_empty())
    }

    /// The directory for temporary files.
    pub fn temp_dir(&self, args: &Args) -> PathBuf {
        let given = args.value("tempdir").map(PathBuf::from);
        let from_env = || {
            ["TMPDIR", "TEMP", "TMP"]
                .iter()
                .find_map(|n| self.var(n))
                .map(PathBuf::from)
        };
        given
            .or_else(from_env)
            .unwrap_or_else(|| PathBuf::from("/tmp"))
    }
}

pub(super) fn usage(text: impl Into<String>) -> Error {
    Error::new(ErrorKind::Usage, text)
}

/// The time an option or argument means.
pub(super) fn time(text: &OsStr, now: Timestamp) -> Result<Timestamp> {
    let text = text.to_str().ok_or_else(|| usage("a time is not UTF-8"))?;
    parse_time(text, now, &jiff::tz::TimeZone::system()).map_err(|e| usage(e.to_string()))
}

/// The engine for the target `url`, with volumes spooled in `spool`.
pub(super) fn engine(args: &Args, url: &OsStr, spool: &Path, world: &World) -> Result<Engine> {
    let text = url.to_str().filter(|_| is_url(url)).ok_or_else(|| {
        usage(format!("{} is not a target URL", Path::new(url).display()))
            .with_hint("write file:///path for a directory")
    })?;
    let naming = naming(args)?;
    let parsed = TargetUrl::parse(text)?;
    let storage = storage::open(&parsed, &storage_options(args, world)?)?;
    let seal = seal::open(&seal_options(args, world)?)?;
    let archive = ArchiveDir::at(archive_dir(args, text, world)?, naming.clone())?;
    let target = Target {
        storage: Arc::from(storage),
        naming,
        seal: Arc::from(seal),
    };
    let uploads: usize = args.number("concurrency").map_err(usage)?.unwrap_or(1);
    Ok(Engine::open(target, archive)
        .with_spool_dir(spool)
        .with_uploads(uploads.max(1)))
}

fn archive_dir(args: &Args, url: &str, world: &World) -> Result<PathBuf> {
    let base = match args.value("archive-dir") {
        Some(dir) => PathBuf::from(dir),
        None => match (world.var("XDG_CACHE_HOME"), world.var("HOME")) {
            (Some(cache), _) => Path::new(cache).join("duplicity"),
            (None, Some(home)) => Path::new(home).join(".cache/duplicity"),
            (None, None) => return Err(usage("no HOME is set: give --archive-dir")),
        },
    };
    // COMPAT(dup all): the MD5 of the URL exactly as typed.
    let digest = || {
        Md5::digest(url.as_bytes())
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect()
    };
    let name: String = args
        .text("name")
        .map_err(usage)?
        .map_or_else(digest, str::to_owned);
    Ok(base.join(name))
}

fn naming(args: &Args) -> Result<Naming> {
    let text = |name: &str| {
        args.text(name)
            .map_err(usage)
            .map(|t| t.unwrap_or_default().to_owned())
    };
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

fn storage_options(args: &Args, world: &World) -> Result<StorageOptions> {
    let mut options = StorageOptions {
        environment: world.environment.clone(),
        askpass: world.program.clone(),
        cancel: world.cancel.clone(),
        password: ["BACKEND_PASSWORD", "FTP_PASSWORD"]
            .iter()
            .find_map(|n| world.var(n))
            .map(Secret::new),
        ..StorageOptions::default()
    };
    if let Some(n) = args.number::<u32>("num-retries").map_err(usage)? {
        options.attempts = n.max(1);
    }
    if let Some(seconds) = args.number("backend-retry-delay").map_err(usage)? {
        options.backoff = Duration::from_secs(seconds);
    }
    if let Some(seconds) = args.number("timeout").map_err(usage)? {
        options.timeout = Duration::from_secs(seconds);
    }
    let mut set = |key: &str, value: &str| {
        options.settings.insert(key.into(), value.into());
    };
    if let Some(url) = args.text("s3-endpoint-url").map_err(usage)? {
        set("endpoint", url);
    }
    if let Some(region) = args.text("s3-region-name").map_err(usage)? {
        set("region", region);
    }
    for (flag, class) in [
        ("s3-use-ia", "STANDARD_IA"),
        ("s3-use-onezone-ia", "ONEZONE_IA"),
        ("s3-use-glacier", "GLACIER"),
        ("s3-use-glacier-ir", "GLACIER_IR"),
        ("s3-use-deep-archive", "DEEP_ARCHIVE"),
    ] {
        if args.has(flag) {
            set("storage-class", class);
        }
    }
    let ssh: Vec<&str> = args
        .values("ssh-options")
        .filter_map(OsStr::to_str)
        .collect();
    if !ssh.is_empty() {
        set("ssh-options", &ssh.join(" "));
    }
    Ok(options)
}

fn seal_options(args: &Args, world: &World) -> Result<SealOptions> {
    let compression = if args.has("no-compression") {
        Compression::None
    } else {
        Compression::Default
    };
    let secret = |name: &str| world.var(name).map(Secret::new);
    let keys = |name: &'static str| args.values(name).map(|v| v.to_string_lossy().into_owned());
    let encryption = if args.has("no-encryption") {
        Encryption::None
    } else {
        let sign_with = keys("sign-key").chain(keys("encrypt-sign-key")).last();
        let hidden: Vec<String> = keys("hidden-encrypt-key").collect();
        let recipients: Vec<String> = keys("encrypt-key")
            .chain(keys("encrypt-sign-key"))
            .chain(hidden.iter().cloned())
            .collect();
        if recipients.is_empty() {
            let passphrase = secret("PASSPHRASE").ok_or_else(|| {
                Error::new(ErrorKind::WrongKey, "there is no passphrase")
                    .with_hint("set PASSPHRASE, give --encrypt-key, or say --no-encryption")
            })?;
            let sign = sign_with.map(|key| Signature {
                key,
                passphrase: secret("SIGN_PASSPHRASE"),
            });
            Encryption::Symmetric { passphrase, sign }
        } else {
            Encryption::PublicKey {
                recipients,
                hidden: !hidden.is_empty(),
                passphrase: secret("PASSPHRASE"),
                sign: sign_with.map(|key| Signature {
                    key,
                    passphrase: secret("SIGN_PASSPHRASE").or_else(|| secret("PASSPHRASE")),
                }),
            }
        }
    };
    let volume_bytes = args
        .number::<u64>("volsize")
        .map_err(usage)?
        .unwrap_or(200)
        .max(1)
        << 20;
    Ok(SealOptions {
        encryption,
        compression,
        threads: world.threads,
        block_bytes: Some(seal::block_bytes_for(volume_bytes)),
        keyring: keyring(args),
        ..SealOptions::default()
    })
}

fn keyring(args: &Args) -> Keyring {
    let program = args
        .value("gpg-binary")
        .map_or_else(|| PathBuf::from("gpg"), PathBuf::from);
    Keyring::GnuPg {
        home: None,
        program,
    }
}

/// The source at `path`, with the selection of the options.
pub(super) fn source(args: &Args, path: &OsStr, now: Timestamp) -> Result<Source> {
    let mut rules = Vec::new();
    for (flag, values) in &args.options {
        let value = || {
            values
                .first()
                .map(|v| v.as_bytes().to_vec())
                .unwrap_or_default()
        };
        let file = || {
            let path = PathBuf::from(values.first().cloned().unwrap_or_default());
            std::fs::read(&path).map_err(|e| Error::io("read", &path, e))
        };
        rules.push(match flag.means {
            "include" => Rule::Pattern(Sign::Include, value()),
            "exclude" => Rule::Pattern(Sign::Exclude, value()),
            "include-regexp" => Rule::Regexp(Sign::Include, value()),
            "exclude-regexp" => Rule::Regexp(Sign::Exclude, value()),
            "include-filelist" => Rule::Filelist(Sign::Include, file()?),
            "exclude-filelist" => Rule::Filelist(Sign::Exclude, file()?),
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
    let root = canonical(path.as_bytes());
    let select = Selection::builder(&root)
        .extend(rules)
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
