//! From a profile to what the engine works with: target, keys, archive dir, source, options.

use super::dump;
use crate::engine::archive::ArchiveDir;
use crate::engine::context::Cancel;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::format::names::Naming;
use crate::engine::ops::backup::{BackupOptions, Mode};
use crate::engine::seal::{self, Encryption, Seal, SealOptions, Signature, block_bytes_for};
use crate::engine::secret::Secret;
use crate::engine::select::{Action as Sign, Rule, Selection, canonical};
use crate::engine::storage::{self, Environment, Storage, StorageOptions, TargetUrl};
use crate::engine::target::{Engine, Target};
use crate::engine::time::Timestamp;
use crate::engine::tree::Source;
use crate::profile::{self, Profile, SecretRef, SelectRule};
use jiff::tz::TimeZone;
use std::num::NonZeroU64;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

/// What the outside world hands down for opening a target.
pub struct Surroundings<'a> {
    /// The environment, for credentials and `ssh`.
    pub environment: &'a Environment,
    /// This program, to answer password prompts of `ssh`.
    pub program: Option<&'a Path>,
    /// How to be stopped.
    pub cancel: &'a Cancel,
    /// Threads that compress.
    pub threads: usize,
    /// Name of this host.
    pub host: &'a str,
    /// Zone of times that say none.
    pub zone: &'a TimeZone,
    /// Reads a secret.
    pub secret: &'a dyn Fn(&SecretRef) -> Result<Secret>,
}

/// Opens target and archive dir of a profile; nothing remote is touched.
///
/// # Errors
/// A target, key or secret that cannot be used, or an archive dir that cannot be made.
pub fn engine(profile: &Profile, around: &Surroundings<'_>) -> Result<Engine> {
    let storage = storage(profile, around)?;
    let seal = seal(profile, around)?;
    let backup = &profile.backup;
    let naming = naming(profile);
    let archive = ArchiveDir::at(&backup.archive_dir, naming.clone()).map_err(|e| {
        // Denied here says nothing of the target.
        Error::new(ErrorKind::Io, e.to_string())
            .with_hint("name a place of your own: archive-dir under [backup]")
    })?;
    let target = Target {
        storage: Arc::from(storage),
        naming,
        seal: Arc::from(seal),
    };
    let uploads = usize::try_from(profile.target.connections).unwrap_or(usize::MAX);
    Ok(Engine::open(target, archive)
        .with_spool_dir(&backup.temp_dir)
        .with_uploads(uploads))
}

/// How the files of a profile are named.
pub fn naming(profile: &Profile) -> Naming {
    let backup = &profile.backup;
    Naming {
        prefix: backup.file_prefix.clone(),
        archive: backup.kind_prefixes.volume.clone(),
        manifest: backup.kind_prefixes.manifest.clone(),
        signature: backup.kind_prefixes.signature.clone(),
        ..Naming::default()
    }
}

/// Opens the keys of a profile without its target.
///
/// # Errors
/// A key or secret that cannot be used.
pub fn seal(profile: &Profile, around: &Surroundings<'_>) -> Result<Box<dyn Seal>> {
    seal::open(&seal_options(profile, around)?)
}

/// Opens the target of a profile without its keys.
///
/// # Errors
/// A target that cannot be used, or a password that cannot be read.
pub fn storage(profile: &Profile, around: &Surroundings<'_>) -> Result<Box<dyn Storage>> {
    let target = &profile.target;
    let mut url = TargetUrl::parse(target.url.expose())?;
    let mut settings = target.options.clone();
    if let Some(percent) = target.par2_redundancy {
        url = url.with_recovery_files();
        settings.insert("par2-redundancy".to_owned(), percent.to_string());
    }
    let mut options = StorageOptions {
        attempts: target.retries.saturating_add(1),
        timeout: target.timeout,
        upload_rate: target.upload_limit.and_then(NonZeroU64::new),
        download_rate: target.download_limit.and_then(NonZeroU64::new),
        settings,
        environment: around.environment.clone(),
        standard_names: is_read_by_every_run,
        askpass: around.program.map(Path::to_owned),
        temp_dir: profile.backup.temp_dir.clone(),
        cancel: around.cancel.clone(),
        ..StorageOptions::default()
    };
    options.password = target.password.as_ref().map(around.secret).transpose()?;
    storage::open(&url, &options)
}

/// Whether every run reads files of this name, so that they must not go to an archive class of storage.
fn is_read_by_every_run(name: &str) -> bool {
    !name.contains(".difftar")
}

fn seal_options(profile: &Profile, around: &Surroundings<'_>) -> Result<SealOptions> {
    let keys = &profile.keys;
    let secret = |reference: &Option<SecretRef>| reference.as_ref().map(around.secret).transpose();
    let sign = |own: &Option<Secret>| -> Result<Option<Signature>> {
        let Some(key) = &keys.sign_with else {
            return Ok(None);
        };
        let passphrase = secret(&keys.sign_passphrase)?.or_else(|| own.clone());
        Ok(Some(Signature {
            key: key.clone(),
            passphrase,
        }))
    };
    let encryption = match keys.encryption {
        profile::Encryption::None => Encryption::None,
        profile::Encryption::Gpg if keys.encrypt_to.is_empty() => {
            let passphrase = secret(&keys.passphrase)?.ok_or_else(|| {
                Error::new(
                    ErrorKind::Usage,
                    "the profile has neither a passphrase nor a key to encrypt to",
                )
                .with_hint(
                    "set `passphrase` or `keys.encrypt-to`, or write keys.encryption = \"none\"",
                )
            })?;
            Encryption::Symmetric {
                passphrase,
                sign: sign(&None)?,
            }
        }
        profile::Encryption::Gpgsm => {
            let said =
                storage::version_of(&keys.gpgsm_program.to_string_lossy(), around.environment);
            new_enough(&said.unwrap_or_default())?;
            Encryption::PublicKey {
                recipients: keys.encrypt_to.clone(),
                hidden: false,
                sign: None,
                passphrase: secret(&keys.passphrase)?,
            }
        }
        profile::Encryption::Gpg => {
            let passphrase = secret(&keys.passphrase)?;
            Encryption::PublicKey {
                recipients: keys.encrypt_to.clone(),
                hidden: keys.hidden,
                sign: sign(&passphrase)?,
                passphrase,
            }
        }
    };
    let keyring = match &keys.keyring {
        profile::Keyring::Gnupg => seal::Keyring::GnuPg {
            home: None,
            program: keys.gpg_program.clone(),
        },
        profile::Keyring::Directory(path) => seal::Keyring::Certificates(path.clone()),
    };
    let compression = match keys.compression {
        profile::Compression::None => seal::Compression::None,
        profile::Compression::Fast => seal::Compression::Fast,
        profile::Compression::Default => seal::Compression::Default,
        profile::Compression::Best => seal::Compression::Best,
    };
    Ok(SealOptions {
        encryption,
        compression,
        threads: threads(profile, around),
        block_bytes: Some(block_bytes_for(profile.backup.volume_bytes)),
        keyring,
        gpgsm: seal::Gpgsm {
            writes: keys.encryption == profile::Encryption::Gpgsm,
            program: keys.gpgsm_program.clone(),
            temp_dir: Some(profile.backup.temp_dir.clone()),
            ..seal::Gpgsm::default()
        },
        ..SealOptions::default()
    })
}

/// The oldest gpgsm that sets are sealed with: before it none takes a passphrase without asking somebody.
const OLDEST_GPGSM: (u32, u32) = (2, 2);

/// Refuses a gpgsm by its version. One that tells none, or cannot be started, is refused by what it does then.
fn new_enough(version: &str) -> Result<()> {
    let mut numbers = version
        .split('.')
        .map_while(|part| part.parse::<u32>().ok());
    let (Some(major), Some(minor)) = (numbers.next(), numbers.next()) else {
        return Ok(());
    };
    let (least, then) = OLDEST_GPGSM;
    if (major, minor) >= OLDEST_GPGSM {
        return Ok(());
    }
    let text = format!("gpgsm {version} is too old");
    let hint =
        format!("install GnuPG {least}.{then} or newer, or name it under keys.gpgsm-program");
    Err(Error::new(ErrorKind::Unsupported, text).with_hint(hint))
}

/// Variables of the environment that hold secrets of the profile: no program around a run may see them.
pub fn secret_variables(profile: &Profile) -> Vec<String> {
    let keys = &profile.keys;
    let secrets = [
        keys.passphrase.as_ref(),
        keys.sign_passphrase.as_ref(),
        profile.target.password.as_ref(),
    ];
    let variable = |secret: &SecretRef| match secret {
        SecretRef::Env(name) => Some(name.clone()),
        _ => None,
    };
    let reports = profile.reports.secrets();
    let dumps = profile.source.dumps.iter().filter_map(|d| d.password());
    let secrets = secrets.into_iter().flatten().chain(reports).chain(dumps);
    secrets.filter_map(variable).collect()
}

/// Worker threads: `backup.concurrency`, or one for each processor.
pub fn threads(profile: &Profile, around: &Surroundings<'_>) -> usize {
    match profile.backup.concurrency {
        profile::Concurrency::Auto => around.threads,
        profile::Concurrency::Exactly(threads) => threads.get(),
    }
}

/// The source of a profile with its selection.
///
/// # Errors
/// A rule that cannot be used, or a list of rules that cannot be read.
pub fn source(profile: &Profile, now: Timestamp, zone: &TimeZone) -> Result<Source> {
    source_at(profile, &profile.source.root, now, zone)
}

/// The source of a profile with its selection, read at another place: from a snapshot.
///
/// # Errors
/// As [`source`].
pub fn source_at(
    profile: &Profile,
    place: &Path,
    now: Timestamp,
    zone: &TimeZone,
) -> Result<Source> {
    let declared = &profile.source;
    let mut rules = Vec::new();
    let mut nul_separated = false;
    let sign = |include: bool| {
        if include {
            Sign::Include
        } else {
            Sign::Exclude
        }
    };
    if declared.exclude_devices {
        rules.push(Rule::ExcludeDevices);
    }
    if declared.one_filesystem {
        rules.push(Rule::ExcludeForeign);
    }
    for rule in &declared.rules {
        rules.push(match rule {
            SelectRule::Glob { include, pattern } => {
                Rule::Pattern(sign(*include), pattern.clone().into_bytes())
            }
            SelectRule::Regex { include, pattern } => {
                Rule::Regexp(sign(*include), pattern.clone().into_bytes())
            }
            SelectRule::File {
                include,
                path,
                nul_separated: nul,
            } => {
                nul_separated |= nul;
                let text = std::fs::read(path).map_err(|e| Error::io("read", path, e))?;
                Rule::Filelist(sign(*include), text)
            }
            SelectRule::IfPresent(name) => Rule::ExcludeIfPresent(name.clone().into_bytes()),
            SelectRule::OlderThan(time) => Rule::ExcludeOlderThan(time.at(now, zone)),
        });
    }
    let root = canonical(declared.root.as_os_str().as_bytes());
    let select = Selection::builder(&root)
        .extend(rules)
        .null_separated(nul_separated)
        .build()?;
    let source = Source::new(place)
        .with_selection(select)
        .following_symlinks(declared.follow_symlinks);
    // Without dumps of its own it knows at least which folder is theirs.
    Ok(match dump::folder(profile) {
        Some(folder) => source.with_dumps(Arc::new(folder)),
        None => source,
    })
}

/// Why a set cannot be made of the source as it is now: a rule that cannot be used, a folder that is not there.
pub fn source_trouble(profile: &Profile, now: Timestamp, zone: &TimeZone) -> Option<String> {
    let root = &profile.source.root;
    match source(profile, now, zone) {
        Err(e) => Some(e.to_string()),
        Ok(_) if profile.source.must_exist && std::fs::symlink_metadata(root).is_err() => {
            Some(format!("the source {} is not there", root.display()))
        }
        Ok(_) => None,
    }
}

/// The options of a backup.
pub fn backup_options(profile: &Profile, mode: Mode, host: &str) -> BackupOptions {
    let (source, once) = (&profile.source, profile.backup.once);
    let base = match mode {
        Mode::Full => BackupOptions::full(),
        _ => BackupOptions::incremental(),
    };
    BackupOptions {
        hostname: host.as_bytes().to_vec(),
        label: source.root.as_os_str().as_bytes().to_vec(),
        volume_bytes: profile.backup.volume_bytes,
        max_block: Some(u64::from(profile.backup.max_block_bytes)),
        allow_empty: !source.must_exist || once.allow_empty,
        allow_empty_target: once.allow_empty_target,
        allow_new_key: once.allow_new_key,
        allow_mismatch: once.allow_source_mismatch,
        fresh: once.fresh,
        // An interrupted set goes on only with the same selection.
        fingerprint: format!(
            "{:?} {} {} {} {} {:?}",
            source.rules,
            source.one_filesystem,
            source.exclude_devices,
            source.follow_symlinks,
            source.dump_folder,
            source.dumps,
        ),
        ..base
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_gpgsm_is_refused_by_its_version() {
        for (version, is_good) in [
            ("2.2.40", true),
            ("2.2", true),
            ("2.4.7-unknown", true),
            ("3.0.0", true),
            ("2.1.18", false),
            ("1.9.20", false),
            ("of unknown version", true),
            ("", true),
        ] {
            assert_eq!(new_enough(version).is_ok(), is_good, "{version}");
        }
        let hint = new_enough("2.0.22").unwrap_err();
        assert!(
            hint.hint()
                .is_some_and(|h| h.contains("GnuPG 2.2 or newer"))
        );
    }
}
