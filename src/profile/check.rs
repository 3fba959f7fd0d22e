//! From what the file says to a [`Profile`]: what one key cannot know alone. All problems are collected, none hides
//! another.

mod around;
mod dumps;
mod group;
mod mail;
mod places;
mod reports;
mod settings;

use super::Profile;
use super::error::{Errors, Problem};
use super::file::{ProfileFile, VERSION};
use super::load::{Loaded, Surroundings};
use super::secret::{SecretEntry, SecretRef, file_help, file_trouble};
use std::path::PathBuf;

/// Keys of the profile language this build does not act on. Using one is an error, because ignoring it would be a
/// lie.
pub const NOT_AVAILABLE: &[&str] = &["keys.gpg-options"];

impl Loaded {
    /// The complete, valid profile.
    ///
    /// # Errors
    /// Everything that is wrong with it, by place.
    pub fn check(&self, around: &Surroundings) -> Result<Profile, Errors> {
        let mut checker = Checker {
            loaded: self,
            around,
            problems: self.problems.clone(),
        };
        let profile = checker.profile(&self.file);
        let problems = checker.problems;
        match profile {
            Some(profile) if problems.is_empty() => Ok(profile),
            _ => Err(self.errors(problems)),
        }
    }

    /// Problems in the order of the text.
    fn errors(&self, mut problems: Vec<Problem>) -> Errors {
        problems.sort_by_key(|p| {
            p.place
                .as_ref()
                .map_or((usize::MAX, 0), |(s, r)| (*s, r.start))
        });
        problems.dedup();
        Errors {
            problems,
            sources: self.sources.clone(),
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
        let place = self
            .loaded
            .place(&keys(key))
            .map(|p| (p.source, p.value.clone()));
        self.problems.push(Problem {
            message: message.into(),
            key: key.to_owned(),
            place,
            help: help.into(),
        });
    }

    /// Whether a key has a problem already; then nothing is said of its absence.
    fn known_bad(&self, key: &str) -> bool {
        let below = format!("{key}.");
        self.problems
            .iter()
            .any(|p| p.key == key || p.key.starts_with(&below))
    }

    /// Whether it is known why a key is absent: what was meant to say it is misspelt or wrong, or a text broke off.
    fn excused(&self, key: &str) -> bool {
        self.loaded.torn || self.known_bad(key) || self.loaded.meant.iter().any(|m| m == key)
    }

    fn profile(&mut self, file: &ProfileFile) -> Option<Profile> {
        match file.version {
            Some(VERSION) => {}
            Some(other) => self.problem(
                "version",
                format!("version {other} of the profile language is not known"),
                Some(format!("this build knows version {VERSION}")),
            ),
            None if !self.excused("version") => {
                self.problem(
                    "version",
                    "the profile says no version",
                    Some(format!("write version = {VERSION}")),
                );
            }
            None => {}
        }
        if file.passphrase.is_some() {
            self.problem(
                "passphrase",
                "passphrase and keys.passphrase are the same key",
                Some("keep one of them".into()),
            );
        }
        self.not_available();
        let source = self.source(&file.source, file.allow_inline_secrets);
        let targets = self.targets(file);
        let keys = self.keys(file);
        let backup = self.backup(file);
        let retention = self.retention(file);
        let checks = settings::checks(&file.check);
        let hooks = self.hooks(file);
        let run = self.run(&file.run, &retention, &checks);
        let schedule = file.schedule.as_ref().and_then(|s| self.schedule(s));
        let reports = self.reports(&file.report, file.allow_inline_secrets);
        let mut targets = targets.into_iter();
        Some(Profile {
            name: self.loaded.name.clone(),
            file: Some(self.loaded.path.clone()),
            description: file.description.clone(),
            source: source?,
            target: targets.next()?,
            other_targets: targets.collect(),
            origin: None,
            keys: keys?,
            backup: backup?,
            retention,
            checks,
            run,
            schedule,
            hooks,
            reports,
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
                    let plain: Vec<&String> =
                        p.iter().filter(|k| k.parse::<usize>().is_err()).collect();
                    plain.len() == path.len() && plain.iter().zip(&path).all(|(a, b)| *a == b)
                })
                .map(|p| p.join("."))
                .collect();
            let file = &self.loaded.file;
            let off = match *key {
                "keys.gpg-options" => file.keys.gpg_options.0.is_empty(),
                _ => false,
            };
            if let (Some(first), false) = (set.first(), off) {
                self.problem(
                    first,
                    format!("{key} is not available yet"),
                    Some("leave it out".to_owned()),
                );
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

    fn secret(
        &mut self,
        key: &str,
        entry: &SecretEntry,
        inline_allowed: bool,
    ) -> Option<SecretRef> {
        let table = match entry {
            SecretEntry::Inline(secret) if inline_allowed => {
                return Some(SecretRef::Inline(secret.clone()));
            }
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
                let help = file_help(&path);
                self.problem(&format!("{key}.file"), trouble, help);
            }
            places.push(SecretRef::File(path));
        }
        places.extend(table.env.clone().map(SecretRef::Env));
        places.extend(table.command.clone().map(SecretRef::Command));
        places.extend(table.prompt.clone().map(SecretRef::Prompt));
        places.extend(
            table
                .systemd_credential
                .clone()
                .map(SecretRef::SystemdCredential),
        );
        places.extend(table.keyring.clone().map(SecretRef::Keyring));
        if matches!(places.as_slice(), [SecretRef::Command(argv)] if argv.is_empty()) {
            let help = "write command = [\"pass\", \"show\", \"home\"]".to_owned();
            self.problem(&format!("{key}.command"), "the command is empty", help);
        }
        match places.len() {
            1 => places.pop(),
            0 if self.excused(key) => None,
            0 => {
                self.problem(
                    key,
                    format!("{key} says no place"),
                    Some(
                        "write { file = \"…\" }, { env = \"…\" } or { command = [\"…\"] }"
                            .to_owned(),
                    ),
                );
                None
            }
            _ => {
                self.problem(
                    key,
                    format!("{key} says several places"),
                    Some("keep one of them".to_owned()),
                );
                None
            }
        }
    }
}
