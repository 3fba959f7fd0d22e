//! Checks how sets are sealed, made and kept, and how a run behaves.

use super::Checker;
use crate::profile::file::{
    CheckFile, ConcurrencyEntry, KeysFile, ProfileFile, RunFile, ScheduleFile, ZoneEntry,
};
use crate::profile::schedule::{Schedule, Zone};
use crate::profile::settings::{
    Backup, Checks, Concurrency, Encryption, Keyring, Keys, KindPrefixes, Once, Requirements,
    RestoreTest, Retention, Retries, RunSettings, SpotCheck,
};
use std::num::NonZeroUsize;
use std::path::PathBuf;

impl Checker<'_> {
    pub(super) fn keys(&mut self, file: &ProfileFile) -> Option<Keys> {
        let entry = &file.keys;
        let inline = file.allow_inline_secrets;
        let passphrase = entry
            .passphrase
            .as_ref()
            .map(|p| self.secret("keys.passphrase", p, inline));
        let sign_passphrase = entry
            .sign_passphrase
            .as_ref()
            .map(|p| self.secret("keys.sign-passphrase", p, inline));
        let has_keys = !entry.encrypt_to.is_empty() || entry.passphrase.is_some();
        let encryption = match entry.encryption {
            Some(Encryption::None) if !entry.encrypt_to.is_empty() => {
                self.problem(
                    "keys.encryption",
                    "encryption is none, yet encrypt-to names keys",
                    Some("keep one of them".to_owned()),
                );
                Encryption::None
            }
            Some(Encryption::None) => Encryption::None,
            Some(Encryption::Gpgsm) => {
                self.by_gpgsm(entry);
                Encryption::Gpgsm
            }
            _ if has_keys => Encryption::Gpg,
            Some(Encryption::Gpg) | None => {
                if !self.excused("keys") && !self.excused("passphrase") {
                    self.problem(
                        "keys",
                        "nothing to encrypt with: no passphrase and no encrypt-to",
                        Some("write passphrase = { file = \"…\" }, or encryption = \"none\" under [keys] if anyone may read the backup".to_owned()),
                    );
                }
                Encryption::Gpg
            }
        };
        if entry.sign_with.is_some() && encryption == Encryption::None {
            self.problem(
                "keys.sign-with",
                "only encrypted sets can be signed",
                "leave sign-with out, or encrypt".to_owned(),
            );
        }
        if entry.hidden && entry.encrypt_to.is_empty() && encryption != Encryption::Gpgsm {
            self.problem(
                "keys.hidden",
                "hidden needs recipients under encrypt-to",
                "leave it out, or name the keys".to_owned(),
            );
        }
        for (i, key) in entry.encrypt_to.0.iter().enumerate() {
            if key.trim().is_empty() {
                self.problem(
                    &format!("keys.encrypt-to.{i}"),
                    "an empty recipient",
                    "leave it out".to_owned(),
                );
            }
        }
        let keyring = match entry.keyring.as_str() {
            "gnupg" => Keyring::Gnupg,
            dir => {
                let path = self.path("keys.keyring", dir);
                if self.around.look_at_files && !path.is_dir() {
                    let help = "write \"gnupg\" for the user's own keys".to_owned();
                    self.problem(
                        "keys.keyring",
                        format!("there is no directory {}", path.display()),
                        Some(help),
                    );
                }
                Keyring::Directory(path)
            }
        };
        // Names of certificate files are paths beside the profile; everything else is for the keyring.
        let recipients = entry.encrypt_to.0.iter().enumerate().map(|(i, key)| {
            let file = key.contains('/')
                || key.ends_with(".asc")
                || key.ends_with(".pgp")
                || key.ends_with(".gpg");
            // Names of X.509 begin with slashes.
            if file && encryption != Encryption::Gpgsm {
                self.path(&format!("keys.encrypt-to.{i}"), key)
                    .display()
                    .to_string()
            } else {
                key.clone()
            }
        });
        Some(Keys {
            encryption,
            encrypt_to: recipients.collect(),
            hidden: entry.hidden,
            sign_with: entry.sign_with.clone(),
            keyring,
            passphrase: passphrase.flatten(),
            sign_passphrase: sign_passphrase.flatten(),
            compression: entry.compression,
            gpg_program: PathBuf::from(&entry.gpg_program),
            gpgsm_program: PathBuf::from(&entry.gpgsm_program),
        })
    }

    /// What gpgsm cannot do.
    fn by_gpgsm(&mut self, entry: &KeysFile) {
        let openpgp = || Some("encryption = \"gpg\" can".to_owned());
        if entry.encrypt_to.is_empty() && !self.excused("keys") {
            let help = "name them under encrypt-to, by mail address or fingerprint".to_owned();
            self.problem(
                "keys.encryption",
                "gpgsm encrypts to certificates only, and none is named",
                Some(help),
            );
        }
        if entry.sign_with.is_some() {
            self.problem(
                "keys.sign-with",
                "gpgsm cannot sign what it encrypts",
                openpgp(),
            );
        }
        if entry.hidden {
            self.problem(
                "keys.hidden",
                "gpgsm cannot hide whom it encrypts to",
                openpgp(),
            );
        }
        if entry.keyring != "gnupg" {
            let help = Some("leave it out".to_owned());
            self.problem(
                "keys.keyring",
                "gpgsm looks for certificates in the user's own GnuPG",
                help,
            );
        }
    }

    pub(super) fn backup(&mut self, file: &ProfileFile) -> Option<Backup> {
        let entry = &file.backup;
        // Below this a volume is mostly overhead; above it no service takes it in one piece.
        const SMALLEST: u64 = 64 << 10;
        const LARGEST: u64 = 64 << 30;
        if !(SMALLEST..=LARGEST).contains(&entry.volume_size.bytes) {
            self.problem(
                "backup.volume-size",
                "volumes go from 64 KiB to 64 GiB",
                None,
            );
        }
        if !(512..=1 << 20).contains(&entry.max_block_size)
            || !entry.max_block_size.is_multiple_of(512)
        {
            self.problem(
                "backup.max-block-size",
                "blocks go from 512 to 1048576 bytes, in steps of 512",
                None,
            );
        }
        if entry.full_every.as_ref().is_some_and(|a| a.as_secs() == 0) {
            self.problem(
                "backup.full-every",
                "full-every is zero",
                Some("leave it out for incrementals only".to_owned()),
            );
        }
        for (key, prefix) in [
            ("backup.file-prefix", &entry.file_prefix),
            ("backup.file-prefix-archive", &entry.file_prefix_archive),
            ("backup.file-prefix-manifest", &entry.file_prefix_manifest),
            ("backup.file-prefix-signature", &entry.file_prefix_signature),
        ] {
            if prefix.contains('/') || prefix.chars().any(char::is_control) {
                self.problem(key, "a prefix is part of a name: no slash in it", None);
            }
        }
        let name = entry
            .name
            .clone()
            .unwrap_or_else(|| self.loaded.name.clone());
        self.file_name("backup.name", &name);
        let base = match &entry.archive_dir {
            Some(dir) => self.path("backup.archive-dir", dir),
            None => self.around.cache_dir.clone(),
        };
        let concurrency = match entry.concurrency {
            ConcurrencyEntry::Auto => Concurrency::Auto,
            ConcurrencyEntry::Threads(n) => usize::try_from(n)
                .ok()
                .and_then(NonZeroUsize::new)
                .map_or(Concurrency::Auto, Concurrency::Exactly),
        };
        Some(Backup {
            full_every: entry.full_every.clone(),
            volume_bytes: entry.volume_size.bytes,
            max_block_bytes: entry.max_block_size,
            archive_dir: base.join(&name),
            name,
            file_prefix: entry.file_prefix.clone(),
            kind_prefixes: KindPrefixes {
                volume: entry.file_prefix_archive.clone(),
                manifest: entry.file_prefix_manifest.clone(),
                signature: entry.file_prefix_signature.clone(),
            },
            concurrency,
            temp_dir: match &entry.temp_dir {
                Some(dir) => self.path("backup.temp-dir", dir),
                None => self.around.temp_dir.clone(),
            },
            once: Once::default(),
        })
    }

    pub(super) fn retention(&mut self, file: &ProfileFile) -> Retention {
        let entry = &file.retention;
        for (key, n) in [
            ("retention.keep-fulls", entry.keep_fulls),
            (
                "retention.keep-chains-with-incrementals",
                entry.keep_chains_with_incrementals,
            ),
            ("retention.min-chains", Some(entry.min_chains)),
        ] {
            if n == Some(0) {
                self.problem(
                    key,
                    "at least one chain stays",
                    Some("write 1 or more".to_owned()),
                );
            }
        }
        Retention {
            keep_fulls: entry.keep_fulls,
            keep_chains_with_incrementals: entry.keep_chains_with_incrementals,
            max_age: entry.max_age.clone(),
            keep_monthly: entry.keep_monthly,
            keep_yearly: entry.keep_yearly,
            min_chains: entry.min_chains,
            force: entry.force,
        }
    }

    pub(super) fn run(
        &mut self,
        file: &RunFile,
        retention: &Retention,
        checks: &Checks,
    ) -> RunSettings {
        if let Some(judge) = self.around.judge_batch
            && let Err((message, help)) = judge(&file.default, retention, checks)
        {
            self.problem("run.default", message, help);
        }
        if !(-20..=19).contains(&file.nice) {
            self.problem("run.nice", "niceness goes from -20 to 19", None);
        }
        RunSettings {
            default: file.default.clone(),
            lock_wait: file.lock_wait.duration(),
            retries: Retries {
                max: file.retries.max,
                wait: file.retries.wait.duration(),
            },
            nice: file.nice,
            io_class: file.io_class,
            require: Requirements {
                power: file.require.power,
                network: file.require.network,
                min_free_temp: file.require.min_free_temp.as_ref().map_or(0, |s| s.bytes),
            },
        }
    }

    pub(super) fn schedule(&mut self, file: &ScheduleFile) -> Option<Schedule> {
        let Some(cron) = file.cron.clone() else {
            if !self.excused("schedule") {
                self.problem(
                    "schedule",
                    "the schedule says no time",
                    Some("write cron = \"17 2 * * *\"".to_owned()),
                );
            }
            return None;
        };
        let zone = match file.time_zone {
            ZoneEntry::Local => Zone::Local,
            ZoneEntry::Utc => Zone::Utc,
        };
        Some(Schedule {
            cron,
            jitter: file.jitter.duration(),
            catch_up: file.catch_up,
            zone,
        })
    }
}

pub(super) fn checks(file: &CheckFile) -> Checks {
    Checks {
        quick: file.quick.clone(),
        spot: file.spot.as_ref().map(|s| SpotCheck {
            every: s.every.clone(),
            sample_percent: s.sample.percent,
        }),
        restore_test: file.restore_test.as_ref().map(|r| RestoreTest {
            every: r.every.clone(),
            files: r.files.max(1),
        }),
    }
}
