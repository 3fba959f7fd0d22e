//! Import of a configuration of borgmatic: one YAML file becomes a folder with `profile.toml`.
//!
//! Borg's archives cannot be gone on with: the profile begins a chain of its own, beside the repository. Rules of Borg become
//! duplicity's globs; what only Borg has (chunks, caches, its own paths) is left out without a word, all else that has no
//! counterpart is told.

use super::{Imported, ImportedFile, list, quote, secret_file};
use crate::engine::storage::split_words;
use crate::profile::error::Errors;
use crate::profile::load::Surroundings;
use config::Config;
use std::fmt::Write;
use std::path::{Path, PathBuf};

mod around;
mod config;
mod databases;
mod repository;
mod rules;
#[cfg(test)]
mod tests;

/// What is about Borg's own ways, or about borgmatic's own output.
const ONLY_BORG: &[&str] = &[
    "archive_hostname",
    "archive_list_format",
    "archive_name_format",
    "archive_username",
    "atime",
    "birthtime",
    "bootstrap",
    "borg_base_directory",
    "borg_cache_directory",
    "borg_config_directory",
    "borg_exit_codes",
    "borg_files_cache_ttl",
    "borg_key_file",
    "borg_keys_directory",
    "borg_security_directory",
    "borgmatic_source_directory",
    "check_i_know_what_i_am_doing",
    "check_last",
    "checkpoint_interval",
    "checkpoint_volume",
    "chunker_params",
    "color",
    "compact_threshold",
    "ctime",
    "debug_passphrase",
    "display_passphrase",
    "file_list_format",
    "files_cache",
    "files_changed",
    "keep_exclude_tags",
    "list_details",
    "local_path",
    "log_file",
    "log_file_format",
    "log_file_verbosity",
    "log_json",
    "match_archives",
    "monitoring_verbosity",
    "msgpack_version_check",
    "numeric_ids",
    "prefix",
    "progress",
    "quick_statistics",
    "recompress",
    "relocated_repo_access_is_ok",
    "remote_path",
    "source_directories_must_exist",
    "statistics",
    "syslog_verbosity",
    "umask",
    "unknown_unencrypted_repo_access_is_ok",
    "unsafe_skip_path_validation_before_create",
    "upload_buffer_size",
    "use_chunks_archive",
    "user_runtime_directory",
    "user_state_directory",
    "verbosity",
];

struct Import<'a> {
    around: &'a Surroundings,
    /// Where relative paths of the configuration start.
    base: PathBuf,
    config: Config,
    out: String,
    files: Vec<ImportedFile>,
    warnings: Vec<String>,
}

/// Translates the configuration in `file`; the folder `name`, or one named by the file, will be made in `dest`.
///
/// # Errors
/// No such file, no YAML, no source or no repository.
pub fn import(file: &Path, name: Option<&str>, around: &Surroundings) -> Result<Imported, Errors> {
    let mut file = around.current_dir.join(file);
    if file.is_dir() {
        file.push("config.yaml");
    }
    let name = match name {
        Some(name) => name.to_owned(),
        None => usual_name(&file),
    };
    let mut import = Import {
        around,
        base: file.parent().map(Path::to_owned).unwrap_or_default(),
        config: Config::read(&file)?,
        out: format!("# Made from {}.\n\nversion = 1\n\n", file.display()),
        files: Vec::new(),
        warnings: Vec::new(),
    };
    import.translate()?;
    Ok(Imported {
        name,
        toml: import.out,
        files: import.files,
        warnings: import.warnings,
    })
}

/// `web` of `web.yaml`, `borgmatic` of `config.yaml`.
fn usual_name(file: &Path) -> String {
    let stem = file.file_stem().map(|stem| stem.to_string_lossy());
    match stem.as_deref() {
        None | Some("config") => "borgmatic".to_owned(),
        Some(stem) => stem.to_owned(),
    }
}

impl Import<'_> {
    fn translate(&mut self) -> Result<(), Errors> {
        if let Some(dir) = self.config.text("working_directory") {
            self.base = self.base.join(self.at_home(&dir));
        }
        self.source()?;
        self.databases();
        self.targets()?;
        self.keys();
        self.backup();
        let removes = self.retention();
        let checks = self.checks();
        self.run(removes, checks);
        self.hooks();
        self.reports();
        self.rest();
        Ok(())
    }

    /// A path with its `~` replaced.
    fn at_home(&self, path: &str) -> PathBuf {
        match path.strip_prefix("~/") {
            Some(rest) => self.around.home.join(rest),
            None if path == "~" => self.around.home.clone(),
            None => PathBuf::from(path),
        }
    }

    fn line(&mut self, text: &str) {
        self.out.push_str(text);
        self.out.push('\n');
    }

    /// A secret, as a reference: where borgmatic gets it, or a file of the new folder.
    fn secret(&mut self, file: &str, text: &str) -> String {
        let reference = |key: &str, value: &str| format!("{{ {key} = {} }}", quote(value));
        let whole = |begin: &str, end: &str| {
            let inner = text.strip_prefix(begin)?.strip_suffix(end)?;
            (!inner.contains(['{', '}'])).then(|| inner.trim().to_owned())
        };
        if let Some(name) = whole("${env.", "}").filter(|name| !name.contains(':')) {
            return reference("env", &name);
        }
        match whole("{credential ", "}") {
            Some(words) => match words.split_once(' ') {
                Some(("file", path)) => reference("file", path.trim()),
                Some(("systemd", name)) => reference("systemd-credential", name.trim()),
                Some(("container", name)) => {
                    reference("file", &format!("/run/secrets/{}", name.trim()))
                }
                _ => {
                    self.warnings.push(format!(
                        "the credential {words:?} is not known here: write it into the file {file} of the new folder, mode 0600"
                    ));
                    reference("file", file)
                }
            },
            None => {
                let (content, place) = secret_file(file, text);
                self.files.push(content);
                place
            }
        }
    }

    fn keys(&mut self) {
        self.line("\n[keys]");
        let passphrase = self.config.text("encryption_passphrase");
        let command = self.config.text("encryption_passcommand");
        let place = match (passphrase, command.map(|text| (split_words(&text), text))) {
            (Some(text), _) => self.secret("passphrase", &text),
            (None, Some((Ok(words), _))) => format!("{{ command = {} }}", list(&words)),
            (None, found) => {
                if let Some((_, text)) = found {
                    self.left_out("encryption_passcommand", &text);
                }
                self.warnings.push(
                    "no passphrase is named, as if the repository had a key file or were not encrypted: write a new one into \
                     the file passphrase of the new folder, mode 0600, or say encryption = \"none\" in [keys]"
                        .to_owned(),
                );
                "{ file = \"passphrase\" }".to_owned()
            }
        };
        self.line(&format!("passphrase = {place}"));
        if let Some(text) = self.config.text("compression") {
            let level = match compression(&text) {
                Some(level) => level,
                None => return self.left_out("compression", &text),
            };
            self.line(&format!("compression = \"{level}\""));
        }
    }

    fn backup(&mut self) {
        self.line("\n[backup]");
        self.line("# Increments need their full backup: a new one each month lets old ones go.");
        self.line("full-every = \"1M\"");
        if let Some(dir) = self.config.text("temporary_directory") {
            self.line(&format!("temp-dir = {}", quote(&dir)));
        }
    }

    /// Whether there are rules.
    fn retention(&mut self) -> bool {
        let mut rules = String::new();
        if let Some(within) = self.config.text("keep_within") {
            match interval(&within) {
                Some(age) => {
                    let _ = writeln!(rules, "max-age = {}", quote(&age));
                }
                None => self.left_out("keep_within", &within),
            }
        }
        for (from, to) in [
            ("keep_monthly", "keep-monthly"),
            ("keep_yearly", "keep-yearly"),
        ] {
            match self.config.text(from).map(|n| (n.parse::<u32>(), n)) {
                Some((Ok(n), _)) => {
                    let _ = writeln!(rules, "{to} = {n}");
                }
                Some((Err(_), text)) => self.left_out(from, &text),
                None => {}
            }
        }
        let mut days = 0;
        for (key, span) in [
            ("keep_secondly", 0),
            ("keep_minutely", 0),
            ("keep_hourly", 1),
            ("keep_daily", 1),
            ("keep_weekly", 7),
        ] {
            let Some(text) = self.config.text(key) else {
                continue;
            };
            match text.parse::<u64>() {
                Ok(n) if span > 0 => {
                    days = days.max(n.saturating_mul(span));
                    if key == "keep_hourly" {
                        days = days.max(n.div_ceil(24));
                    }
                    let _ = writeln!(
                        rules,
                        "# {key} = {n}: the sets of a chain are kept as long as the chain."
                    );
                }
                _ => self.left_out(key, &text),
            }
        }
        if rules.is_empty() {
            return false;
        }
        if days > 0 && !rules.lines().any(|line| !line.starts_with('#')) {
            let _ = writeln!(rules, "max-age = \"{days}D\"");
            self.warnings.push(format!(
                "retention: chains go when their newest set is {days} days old; single sets cannot be thinned out"
            ));
        }
        self.line("\n[retention]");
        self.out.push_str(&rules);
        self.line("force = true");
        true
    }

    fn run(&mut self, removes: bool, checks: bool) {
        let skipped = self.config.texts("skip_actions");
        let mut batch = "backup".to_owned();
        let does = |action: &str| !skipped.iter().any(|skip| skip == action);
        let named = self.config.texts("default_actions");
        let does = |action: &str| {
            does(action) && (named.is_empty() || named.iter().any(|word| word == action))
        };
        for (there, action, word) in [(removes, "prune", "_purge"), (checks, "check", "_check")] {
            if there && does(action) {
                batch.push_str(word);
            }
        }
        self.line(&format!("\n[run]\ndefault = \"{batch}\""));
        if let Some(seconds) = self.config.number("lock_wait") {
            self.line(&format!("lock-wait = \"{seconds}s\""));
        }
        let wait = self.config.number("retry_wait");
        if let Some(max) = self.config.number("retries") {
            let wait = wait.map(|seconds| format!(", wait = \"{seconds}s\""));
            let wait = wait.unwrap_or_default();
            self.line(&format!("retries = {{ max = {max}{wait} }}"));
        }
    }

    /// Tells what was not asked for until now.
    fn rest(&mut self) {
        for key in self.config.left() {
            if ONLY_BORG.contains(&key.as_str()) {
                continue;
            }
            let text = self.config.text(&key);
            match text {
                Some(text) => self.left_out(&key, &text),
                // Tables may hold passwords, so they are not shown.
                None => {
                    let _ = writeln!(self.out, "\n# Not taken over: {key}");
                    self.warnings
                        .push(format!("{key} has no counterpart and was left out"));
                }
            }
        }
    }

    fn left_out(&mut self, key: &str, value: &str) {
        let shown = crate::profile::url::mask(value);
        let shown: String = shown
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        let _ = writeln!(self.out, "# Not taken over from {key}: {shown}");
        self.warnings.push(format!(
            "{key}: {shown} has no counterpart and was left out"
        ));
    }
}

/// `zstd,15` and the like, in the words of a profile.
fn compression(text: &str) -> Option<&'static str> {
    let text = text.strip_prefix("auto,").unwrap_or(text);
    let (kind, level) = text.split_once(',').unwrap_or((text, ""));
    let level = level.parse::<u32>().ok();
    Some(match kind {
        "none" => "none",
        "lz4" => "fast",
        "zstd" => match level.unwrap_or(3) {
            0..=2 => "fast",
            3..=11 => "default",
            _ => "best",
        },
        "zlib" => match level.unwrap_or(6) {
            0..=3 => "fast",
            4..=7 => "default",
            _ => "best",
        },
        "lzma" => "best",
        _ => return None,
    })
}

/// Borg's `7d` as an age.
fn interval(text: &str) -> Option<String> {
    let unit = text.chars().last()?;
    let number = text.get(..text.len() - unit.len_utf8())?;
    number.parse::<u32>().ok()?;
    let unit = match unit {
        'H' => 'h',
        'd' => 'D',
        'w' => 'W',
        'm' => 'M',
        'y' => 'Y',
        _ => return None,
    };
    Some(format!("{number}{unit}"))
}
