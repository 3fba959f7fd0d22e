//! From what the file says to a [`Profile`]: what one key cannot know alone. All problems are collected, none hides
//! another.

use super::error::{Errors, Problem, nearest};
use super::file::{
    CheckFile, ConcurrencyEntry, EmailFile, HookFile, ProfileFile, RunFile, ScheduleFile, SourceFile, TargetFile,
    VERSION, ZoneEntry,
};
use super::load::{Loaded, Surroundings};
use super::schedule::{Schedule, Zone};
use super::secret::{SecretEntry, SecretRef, file_trouble};
use super::settings::{
    Backup, Checks, Concurrency, Email, Encryption, Hook, HookMoment, Keyring, Keys, KindPrefixes, MailTransport,
    OnFailure, Reports, Requirements, RestoreTest, Retention, Retries, RunSettings, SpotCheck,
};
use super::{Profile, SelectRule, Source, Target, TargetUrl};
use crate::plan::batch::{Batch, BatchOptions, HOOKED_WORDS};
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

/// Keys of the profile language this build does not act on. Using one is an error, because ignoring it would be a
/// lie.
pub const NOT_AVAILABLE: &[&str] = &[
    "source.snapshot",
    "source.dump",
    "target.par2-redundancy",
    "keys.passphrase.keyring",
    "keys.sign-passphrase.keyring",
    "target.password.keyring",
    "report.email.password.keyring",
    "report.ping",
    "report.ntfy",
    "report.webhook",
    "report.prometheus",
];

impl Loaded {
    /// The complete, valid profile.
    ///
    /// # Errors
    /// Everything that is wrong with it, by place.
    pub fn check(&self, around: &Surroundings) -> Result<Profile, Errors> {
        let mut checker = Checker { loaded: self, around, problems: self.problems.clone() };
        let profile = checker.profile(&self.file);
        let mut problems = checker.problems;
        match profile {
            Some(profile) if problems.is_empty() => Ok(profile),
            _ => {
                problems.sort_by_key(|p| p.place.as_ref().map_or((usize::MAX, 0), |(s, r)| (*s, r.start)));
                problems.dedup();
                Err(Errors { problems, sources: self.sources.clone() })
            }
        }
    }
}

struct Checker<'a> {
    loaded: &'a Loaded,
    around: &'a Surroundings,
    problems: Vec<Problem>,
}

fn keys(dotted: &str) -> Vec<String> {
    dotted.split('.').map(str::to_owned).collect()
}

impl Checker<'_> {
    fn problem(&mut self, key: &str, message: impl Into<String>, help: impl Into<Option<String>>) {
        let place = self.loaded.place(&keys(key)).map(|p| (p.source, p.value.clone()));
        self.problems.push(Problem { message: message.into(), key: key.to_owned(), place, help: help.into() });
    }

    /// Whether a key has a problem already; then nothing is said of its absence.
    fn known_bad(&self, key: &str) -> bool {
        let below = format!("{key}.");
        self.problems.iter().any(|p| p.key == key || p.key.starts_with(&below))
    }

    fn profile(&mut self, file: &ProfileFile) -> Option<Profile> {
        match file.version {
            Some(VERSION) => {}
            Some(other) => self.problem(
                "version",
                format!("version {other} of the profile language is not known"),
                Some(format!("this build knows version {VERSION}")),
            ),
            None if !self.known_bad("version") => {
                self.problem("version", "the profile says no version", Some(format!("write version = {VERSION}")));
            }
            None => {}
        }
        if file.passphrase.is_some() {
            self.problem("passphrase", "passphrase and keys.passphrase are the same key", Some("keep one of them".into()));
        }
        self.not_available();
        let source = self.source(&file.source);
        let targets = self.targets(file);
        let keys = self.keys(file);
        let backup = self.backup(file);
        let retention = self.retention(file);
        let checks = checks(&file.check);
        let hooks = self.hooks(file);
        let run = self.run(&file.run, &retention, &checks);
        let schedule = file.schedule.as_ref().and_then(|s| self.schedule(s));
        let email = file.report.email.as_ref().and_then(|e| self.email(e, file.allow_inline_secrets));
        let mut targets = targets.into_iter();
        Some(Profile {
            name: self.loaded.name.clone(),
            file: Some(self.loaded.path.clone()),
            description: file.description.clone(),
            source: source?,
            target: targets.next()?,
            other_targets: targets.collect(),
            keys: keys?,
            backup: backup?,
            retention,
            checks,
            run,
            schedule,
            hooks,
            reports: Reports { email },
            stale_after: file.stale.after.clone(),
            allow_inline_secrets: file.allow_inline_secrets,
        })
    }

    fn not_available(&mut self) {
        for key in NOT_AVAILABLE {
            let path = keys(key);
            let set: Vec<String> = self
                .loaded
                .places
                .keys()
                .filter(|p| {
                    let plain: Vec<&String> = p.iter().filter(|k| k.parse::<usize>().is_err()).collect();
                    plain.len() == path.len() && plain.iter().zip(&path).all(|(a, b)| *a == b)
                })
                .map(|p| p.join("."))
                .collect();
            let off = *key == "source.snapshot" && self.loaded.file.source.snapshot == super::file::SnapshotKind::None;
            if let (Some(first), false) = (set.first(), off) {
                self.problem(first, format!("{key} is not available yet"), Some("leave it out".to_owned()));
            }
        }
    }

    /// An absolute path: `~/` is the home, anything relative is beside the file it stands in.
    fn path(&self, key: &str, text: &str) -> PathBuf {
        match text.strip_prefix("~/") {
            Some(rest) => self.around.home.join(rest),
            None if text == "~" => self.around.home.clone(),
            None => self.loaded.directory(&keys(key), self.around).join(text),
        }
    }

    fn secret(&mut self, key: &str, entry: &SecretEntry, inline_allowed: bool) -> Option<SecretRef> {
        let table = match entry {
            SecretEntry::Inline(secret) if inline_allowed => return Some(SecretRef::Inline(secret.clone())),
            SecretEntry::Inline(_) => {
                self.problem(
                    key,
                    format!("{key} holds the secret itself"),
                    Some("refer to it: { file = \"…\" }, { env = \"…\" } or { command = [\"…\"] }, or set allow-inline-secrets = true".to_owned()),
                );
                return None;
            }
            SecretEntry::Place(table) => table,
        };
        let mut places = Vec::new();
        if let Some(file) = &table.file {
            let path = self.path(&format!("{key}.file"), file);
            if self.around.look_at_files
                && let Some(trouble) = file_trouble(&path)
            {
                let help = trouble.starts_with("others").then(|| format!("chmod 600 {}", path.display()));
                self.problem(&format!("{key}.file"), trouble, help);
            }
            places.push(SecretRef::File(path));
        }
        places.extend(table.env.clone().map(SecretRef::Env));
        places.extend(table.command.clone().map(SecretRef::Command));
        places.extend(table.prompt.clone().map(SecretRef::Prompt));
        places.extend(table.systemd_credential.clone().map(SecretRef::SystemdCredential));
        if matches!(places.as_slice(), [SecretRef::Command(argv)] if argv.is_empty()) {
            self.problem(&format!("{key}.command"), "the command is empty", None);
        }
        match places.len() {
            1 => places.pop(),
            0 if table.keyring.is_some() || self.known_bad(key) => None,
            0 => {
                self.problem(key, format!("{key} says no place"), Some("write { file = \"…\" }, { env = \"…\" } or { command = [\"…\"] }".to_owned()));
                None
            }
            _ => {
                self.problem(key, format!("{key} says several places"), Some("keep one of them".to_owned()));
                None
            }
        }
    }

    fn source(&mut self, file: &SourceFile) -> Option<Source> {
        let mut rules = Vec::new();
        if let Some(older) = &file.exclude_older_than {
            rules.push(SelectRule::OlderThan(older.time.clone()));
        }
        for (i, name) in file.exclude_if_present.0.iter().enumerate() {
            if name.is_empty() || name.contains('/') {
                self.problem(&format!("source.exclude-if-present.{i}"), format!("{name:?} is not the name of a file"), None);
            }
            rules.push(SelectRule::IfPresent(name.clone()));
        }
        for (i, pattern) in file.exclude_regex.0.iter().enumerate() {
            if let Err(error) = regex::bytes::Regex::new(pattern) {
                let reason = error.to_string();
                let reason = reason.lines().last().unwrap_or("").trim_start_matches("error: ").to_owned();
                self.problem(&format!("source.exclude-regex.{i}"), format!("not a regular expression: {reason}"), None);
            }
            rules.push(SelectRule::Regex { include: false, pattern: pattern.clone() });
        }
        for (i, line) in file.select.0.iter().enumerate() {
            let rule = line.strip_prefix("- ").map(|p| (false, p)).or_else(|| line.strip_prefix("+ ").map(|p| (true, p)));
            let (include, pattern) = match rule {
                Some((include, pattern)) if !pattern.trim().is_empty() => (include, pattern.trim()),
                _ => {
                    let help = format!("write \"- {line}\" to leave out or \"+ {line}\" to take in");
                    self.problem(&format!("source.select.{i}"), format!("{line:?} says neither + nor -"), Some(help));
                    continue;
                }
            };
            let pattern = match pattern.strip_prefix("~/") {
                Some(rest) => self.around.home.join(rest).display().to_string(),
                None => pattern.to_owned(),
            };
            rules.push(SelectRule::Glob { include, pattern });
        }
        for (i, name) in file.exclude_file.0.iter().enumerate() {
            let key = if self.loaded.places.contains_key(&keys(&format!("source.exclude-file.{i}"))) {
                format!("source.exclude-file.{i}")
            } else {
                "source.exclude-file".to_owned()
            };
            let path = self.path(&key, name);
            if self.around.look_at_files && !path.is_file() {
                self.problem(&key, format!("there is no file {}", path.display()), None);
            }
            rules.push(SelectRule::File { include: false, path, nul_separated: false });
        }
        let Some(path) = &file.path else {
            if !self.known_bad("source") {
                self.problem("source", "the profile says no source", Some("write source = \"/home/me\"".to_owned()));
            }
            return None;
        };
        if path.is_empty() {
            self.problem("source.path", "the source is empty", None);
        }
        Some(Source {
            root: self.path("source.path", path),
            must_exist: file.must_exist,
            rules,
            one_filesystem: file.one_filesystem,
            exclude_devices: file.exclude_devices,
            follow_symlinks: file.follow_symlinks,
        })
    }

    fn targets(&mut self, file: &ProfileFile) -> Vec<Target> {
        let several = file.target.0.len() > 1;
        if file.target.is_empty() && !self.known_bad("target") {
            let help = "write target = \"sftp://me@host//path\" or target = \"file:///path\"".to_owned();
            self.problem("target", "the profile says no target", Some(help));
        }
        let list = self.loaded.places.contains_key(&keys("target.0")) || several;
        let mut targets: Vec<Target> = Vec::new();
        for (i, entry) in file.target.0.iter().enumerate() {
            let key = if list { format!("target.{i}") } else { "target".to_owned() };
            if let Some(target) = self.target(&key, entry, i, file.allow_inline_secrets) {
                if targets.iter().any(|t| t.name == target.name) {
                    let help = Some("give each target a name of its own".to_owned());
                    self.problem(&format!("{key}.name"), format!("two targets are called {}", target.name), help);
                }
                targets.push(target);
            }
        }
        targets
    }

    fn target(&mut self, key: &str, file: &TargetFile, i: usize, inline: bool) -> Option<Target> {
        let password = file.password.as_ref().map(|p| self.secret(&format!("{key}.password"), p, inline));
        if !(1..=64).contains(&file.connections) {
            self.problem(&format!("{key}.connections"), "connections go from 1 to 64", None);
        }
        let Some(url) = &file.url else {
            if !self.known_bad(key) {
                self.problem(key, "the target says no url", Some("write url = \"sftp://me@host//path\"".to_owned()));
            }
            return None;
        };
        let url = TargetUrl::new(url.as_str());
        if url.has_password() && !inline {
            self.problem(
                &format!("{key}.url"),
                "the URL holds a password",
                Some("take it out and write password = { file = \"…\" }".to_owned()),
            );
        }
        let name = file.name.clone().unwrap_or_else(|| if i == 0 { "first".into() } else { format!("{}", i + 1) });
        self.file_name(&format!("{key}.name"), &name);
        Some(Target {
            name,
            url,
            options: file.options.iter().map(|(k, v)| (k.clone(), v.to_string())).collect(),
            password: password.flatten(),
            optional: file.optional,
            upload_limit: file.upload_limit.as_ref().map(|r| r.bytes),
            download_limit: file.download_limit.as_ref().map(|r| r.bytes),
            connections: file.connections,
            retries: file.retries,
            timeout: file.timeout.duration(),
        })
    }

    fn file_name(&mut self, key: &str, name: &str) {
        if name.is_empty() || name.contains('/') || name == "." || name == ".." || name.chars().any(char::is_control) {
            self.problem(key, format!("{name:?} cannot be the name of a directory"), None);
        }
    }

    fn keys(&mut self, file: &ProfileFile) -> Option<Keys> {
        let entry = &file.keys;
        let inline = file.allow_inline_secrets;
        let passphrase = entry.passphrase.as_ref().map(|p| self.secret("keys.passphrase", p, inline));
        let sign_passphrase = entry.sign_passphrase.as_ref().map(|p| self.secret("keys.sign-passphrase", p, inline));
        let has_keys = !entry.encrypt_to.is_empty() || entry.passphrase.is_some();
        let encryption = match entry.encryption {
            Some(Encryption::None) if !entry.encrypt_to.is_empty() => {
                self.problem("keys.encryption", "encryption is none, yet encrypt-to names keys", Some("keep one of them".to_owned()));
                Encryption::None
            }
            Some(Encryption::None) => Encryption::None,
            _ if has_keys => Encryption::Gpg,
            Some(Encryption::Gpg) | None => {
                if !self.known_bad("keys") && !self.known_bad("passphrase") {
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
            self.problem("keys.sign-with", "only encrypted sets can be signed", None);
        }
        if entry.hidden && entry.encrypt_to.is_empty() {
            self.problem("keys.hidden", "hidden needs recipients under encrypt-to", None);
        }
        for (i, key) in entry.encrypt_to.0.iter().enumerate() {
            if key.trim().is_empty() {
                self.problem(&format!("keys.encrypt-to.{i}"), "an empty recipient", None);
            }
        }
        let keyring = match entry.keyring.as_str() {
            "gnupg" => Keyring::Gnupg,
            dir => {
                let path = self.path("keys.keyring", dir);
                if self.around.look_at_files && !path.is_dir() {
                    let help = "write \"gnupg\" for the user's own keys".to_owned();
                    self.problem("keys.keyring", format!("there is no directory {}", path.display()), Some(help));
                }
                Keyring::Directory(path)
            }
        };
        // Names of certificate files are paths beside the profile; everything else is for the keyring.
        let recipients = entry.encrypt_to.0.iter().enumerate().map(|(i, key)| {
            let file = key.contains('/') || key.ends_with(".asc") || key.ends_with(".pgp") || key.ends_with(".gpg");
            if file { self.path(&format!("keys.encrypt-to.{i}"), key).display().to_string() } else { key.clone() }
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
            gpg_options: entry.gpg_options.0.clone(),
        })
    }

    fn backup(&mut self, file: &ProfileFile) -> Option<Backup> {
        let entry = &file.backup;
        // Below this a volume is mostly overhead; above it no service takes it in one piece.
        const SMALLEST: u64 = 64 << 10;
        const LARGEST: u64 = 64 << 30;
        if !(SMALLEST..=LARGEST).contains(&entry.volume_size.bytes) {
            self.problem("backup.volume-size", "volumes go from 64 KiB to 64 GiB", None);
        }
        if !(512..=1 << 20).contains(&entry.max_block_size) || entry.max_block_size % 512 != 0 {
            self.problem("backup.max-block-size", "blocks go from 512 to 1048576 bytes, in steps of 512", None);
        }
        if entry.full_every.as_ref().is_some_and(|a| a.as_secs() == 0) {
            self.problem("backup.full-every", "full-every is zero", Some("leave it out for incrementals only".to_owned()));
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
        let name = entry.name.clone().unwrap_or_else(|| self.loaded.name.clone());
        self.file_name("backup.name", &name);
        let base = match &entry.archive_dir {
            Some(dir) => self.path("backup.archive-dir", dir),
            None => self.around.cache_dir.clone(),
        };
        let concurrency = match entry.concurrency {
            ConcurrencyEntry::Auto => Concurrency::Auto,
            ConcurrencyEntry::Threads(n) => {
                usize::try_from(n).ok().and_then(NonZeroUsize::new).map_or(Concurrency::Auto, Concurrency::Exactly)
            }
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
        })
    }

    fn retention(&mut self, file: &ProfileFile) -> Retention {
        let entry = &file.retention;
        for (key, n) in [
            ("retention.keep-fulls", entry.keep_fulls),
            ("retention.keep-chains-with-incrementals", entry.keep_chains_with_incrementals),
            ("retention.min-chains", Some(entry.min_chains)),
        ] {
            if n == Some(0) {
                self.problem(key, "at least one chain stays", Some("write 1 or more".to_owned()));
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

    fn run(&mut self, file: &RunFile, retention: &Retention, checks: &Checks) -> RunSettings {
        match Batch::parse(&file.default, &[], BatchOptions::default()) {
            Ok(batch) => {
                if let Err((message, help)) = crate::plan::planner::needs(&batch, retention, checks) {
                    self.problem("run.default", message, Some(help));
                }
            }
            Err(error) => self.problem("run.default", error.to_string(), error.help()),
        }
        if !(-20..=19).contains(&file.nice) {
            self.problem("run.nice", "niceness goes from -20 to 19", None);
        }
        RunSettings {
            default: file.default.clone(),
            lock_wait: file.lock_wait.duration(),
            retries: Retries { max: file.retries.max, wait: file.retries.wait.duration() },
            nice: file.nice,
            io_class: file.io_class,
            require: Requirements {
                power: file.require.power,
                network: file.require.network,
                min_free_temp: file.require.min_free_temp.as_ref().map_or(0, |s| s.bytes),
            },
        }
    }

    fn schedule(&mut self, file: &ScheduleFile) -> Option<Schedule> {
        let Some(cron) = file.cron.clone() else {
            if !self.known_bad("schedule") {
                self.problem("schedule", "the schedule says no time", Some("write cron = \"17 2 * * *\"".to_owned()));
            }
            return None;
        };
        let zone = match file.time_zone {
            ZoneEntry::Local => Zone::Local,
            ZoneEntry::Utc => Zone::Utc,
        };
        Some(Schedule { cron, jitter: file.jitter.duration(), catch_up: file.catch_up, zone })
    }

    fn hooks(&mut self, file: &ProfileFile) -> Vec<Hook> {
        let mut hooks = Vec::new();
        for (i, entry) in file.hook.0.iter().enumerate() {
            hooks.extend(self.hook(i, entry));
        }
        for moment in [HookMoment::Pre, HookMoment::Post] {
            if !hooks.iter().any(|h| h.on == moment) {
                hooks.extend(self.script(moment));
            }
        }
        hooks
    }

    fn hook(&mut self, i: usize, file: &HookFile) -> Option<Hook> {
        let key = format!("hook.{i}");
        if self.known_bad(&key) {
            return None;
        }
        let mut commands = Vec::new();
        for (n, word) in file.commands.0.iter().enumerate() {
            let lower = word.to_lowercase();
            if !HOOKED_WORDS.contains(&lower.as_str()) {
                let help = nearest(&lower, HOOKED_WORDS.iter().copied()).map(|w| format!("did you mean {w}?"));
                let help = help.unwrap_or_else(|| format!("possible: {}", HOOKED_WORDS.join(", ")));
                self.problem(&format!("{key}.commands.{n}"), format!("{word:?} is not a command hooks belong to"), Some(help));
            }
            commands.push(lower);
        }
        if file.exec.is_empty() || file.undo.as_ref().is_some_and(Vec::is_empty) {
            self.problem(&key, "the hook runs nothing", Some("write exec = [\"program\", \"argument\"]".to_owned()));
            return None;
        }
        let Some(on) = file.on else {
            let help = "write on = \"before\", \"after\", \"success\", \"warning\", \"error\" or \"finally\"".to_owned();
            self.problem(&key, "the hook says no moment", Some(help));
            return None;
        };
        if matches!(on, HookMoment::Pre | HookMoment::Post) && !commands.is_empty() {
            let help = format!("the batch word {} runs it; leave commands out", on.word());
            self.problem(&format!("{key}.commands"), format!("{} belongs to no command", on.word()), Some(help));
        }
        if file.undo.is_some() && !matches!(on, HookMoment::Before | HookMoment::Pre) {
            self.problem(&format!("{key}.undo"), "only what runs before a command can be undone", None);
        }
        Some(Hook {
            on,
            commands,
            exec: file.exec.0.clone(),
            undo: file.undo.clone(),
            timeout: file.timeout.as_ref().map(super::Age::duration),
            on_failure: file.on_failure,
        })
    }

    /// `pre` and `post` beside `profile.toml`, as in duply. Not beside `NAME.toml`, whose directory is shared.
    fn script(&self, moment: HookMoment) -> Option<Hook> {
        use std::os::unix::fs::MetadataExt;
        let own_folder = self.loaded.path.file_name().is_some_and(|n| n == "profile.toml");
        if !self.around.look_at_files || !own_folder {
            return None;
        }
        let dir = self.around.current_dir.join(self.loaded.path.parent().unwrap_or(Path::new("")));
        let path = dir.join(moment.word());
        let executable = std::fs::metadata(&path).is_ok_and(|m| m.is_file() && m.mode() & 0o111 != 0);
        executable.then(|| Hook {
            on: moment,
            commands: Vec::new(),
            exec: vec![path.display().to_string()],
            undo: None,
            timeout: None,
            on_failure: OnFailure::Abort,
        })
    }

    fn email(&mut self, file: &EmailFile, inline: bool) -> Option<Email> {
        let key = "report.email";
        let password = file.password.as_ref().and_then(|p| self.secret("report.email.password", p, inline));
        for (i, to) in file.to.0.iter().enumerate() {
            if !to.contains('@') && !to.chars().all(|c| c.is_alphanumeric() || "._-".contains(c)) || to.is_empty() {
                self.problem(&format!("{key}.to.{i}"), format!("{to:?} is not a mail address"), None);
            }
        }
        if file.to.is_empty() {
            self.problem(key, "the mail report says no recipient", Some("write to = [\"me@example.org\"]".to_owned()));
        }
        let Some(from) = file.from.clone() else {
            if !self.known_bad("report.email.from") {
                self.problem(key, "the mail report says no sender", Some("write from = \"backup@example.org\"".to_owned()));
            }
            return None;
        };
        for (name, _) in file.templates.iter().filter(|(n, _)| !["subject", "text", "html"].contains(&n.as_str())) {
            let help = "possible: subject, text, html".to_owned();
            self.problem(&format!("{key}.templates.{name}"), format!("there is no template {name:?}"), Some(help));
        }
        let templates: BTreeMap<String, PathBuf> = file
            .templates
            .iter()
            .map(|(name, path)| (name.clone(), self.path(&format!("{key}.templates.{name}"), path)))
            .collect();
        let transport = match (&file.smtp, &file.sendmail) {
            (Some(_), Some(_)) => {
                self.problem("report.email.sendmail", "smtp and sendmail are alternatives", Some("keep one of them".to_owned()));
                return None;
            }
            (Some(url), None) => {
                let scheme = url.split_once("://").map(|(s, rest)| (s, !rest.is_empty()));
                if !matches!(scheme, Some(("smtp" | "smtps", true))) {
                    let help = "write it as smtps://user@mail.example.org:465".to_owned();
                    self.problem("report.email.smtp", "not the URL of a mail server", Some(help));
                }
                if super::url::password(url).is_some() && !inline {
                    let help = "take it out and write password = { file = \"…\" }".to_owned();
                    self.problem("report.email.smtp", "the URL holds a password", Some(help));
                }
                MailTransport::Smtp { url: url.clone(), password }
            }
            (None, Some(program)) => MailTransport::Sendmail(self.path("report.email.sendmail", program)),
            (None, None) => {
                if !self.known_bad(key) {
                    let help = "write smtp = \"smtps://user@host:465\" or sendmail = \"/usr/sbin/sendmail\"".to_owned();
                    self.problem(key, "the mail report says no way to send", Some(help));
                }
                return None;
            }
        };
        Some(Email {
            to: file.to.0.clone(),
            from,
            transport,
            when: file.when.0.clone(),
            attach_log: file.attach_log,
            templates,
        })
    }
}

fn checks(file: &CheckFile) -> Checks {
    Checks {
        quick: file.quick.clone(),
        spot: file.spot.as_ref().map(|s| SpotCheck { every: s.every.clone(), sample_percent: s.sample.percent }),
        restore_test: file
            .restore_test
            .as_ref()
            .map(|r| RestoreTest { every: r.every.clone(), files: r.files.max(1) }),
    }
}
