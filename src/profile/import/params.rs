//! Options of duplicity, sorted by the key of a profile they belong to: `DUPL_PARAMS` of duply, calls in scripts.

use super::{list, quote};
use crate::profile::url;
use std::fmt::Write;

/// What the options say. Whatever is not understood is kept as it is.
#[derive(Debug, Default)]
pub(super) struct Params {
    pub rules: Vec<String>,
    pub regexes: Vec<String>,
    pub if_present: Vec<String>,
    pub lists: Vec<String>,
    pub older_than: Option<String>,
    pub one_filesystem: bool,
    pub no_devices: bool,
    pub follow_links: bool,
    pub full_every: Option<String>,
    pub volume_mebibytes: Option<u64>,
    pub max_block: Option<u32>,
    pub prefixes: Vec<(&'static str, String)>,
    pub archive_dir: Option<String>,
    pub name: Option<String>,
    pub temp_dir: Option<String>,
    pub no_encryption: bool,
    pub no_compression: bool,
    pub gpgsm: bool,
    pub recipients: Vec<String>,
    pub hidden: bool,
    pub sign_key: Option<String>,
    pub gpg_program: Option<String>,
    pub gpg_options: Vec<String>,
    /// Keys of `[target]` with their value as TOML.
    pub target: Vec<(&'static str, String)>,
    pub options: Vec<(&'static str, String)>,
    pub unknown: Vec<String>,
    pub warnings: Vec<String>,
}

impl Params {
    /// Sorts the words.
    pub(super) fn parse(words: &[String]) -> Self {
        let mut params = Params::default();
        let mut rest = words.iter().map(String::as_str).peekable();
        // Kinds of rules in the order they came; a profile has them in a fixed one.
        let mut order: Vec<u8> = Vec::new();
        while let Some(word) = rest.next() {
            let (option, given) = match word.split_once('=') {
                Some((option, value)) if option.starts_with("--") => {
                    (option, Some(value.to_owned()))
                }
                _ => (word, None),
            };
            if params.flag(option) {
                continue;
            }
            // The value of these is itself made of options.
            let passes_on = matches!(
                option,
                "--gpg-options" | "--ssh-options" | "--rsync-options" | "--scp-command"
            );
            let takes_value = given.is_some()
                || rest
                    .peek()
                    .is_some_and(|next| passes_on || !next.starts_with('-'));
            let value = if given.is_some() {
                given
            } else if takes_value {
                rest.next().map(str::to_owned)
            } else {
                None
            };
            match value {
                Some(value) => params.with_value(option, value, &mut order),
                None => params.unknown.push(option.to_owned()),
            }
        }
        if !order.is_sorted() {
            let text = "the options mix kinds of rules; a profile tries exclude-regex before select before exclude-file: check their order";
            params.warnings.push(text.to_owned());
        }
        params
    }

    /// Writes what is selected, behind the path of `[source]`; `lists` are further files of rules.
    pub(super) fn selection(&self, out: &mut String, lists: &[String]) {
        if let Some(time) = &self.older_than {
            let _ = writeln!(out, "exclude-older-than = {}", quote(time));
        }
        let files = [self.lists.as_slice(), lists].concat();
        for (key, values) in [
            ("exclude-if-present", &self.if_present),
            ("exclude-regex", &self.regexes),
            ("select", &self.rules),
            ("exclude-file", &files),
        ] {
            if !values.is_empty() {
                let _ = writeln!(out, "{key} = {}", list(values));
            }
        }
        for (key, set) in [
            ("one-filesystem", self.one_filesystem),
            ("exclude-devices", self.no_devices),
            ("follow-symlinks", self.follow_links),
        ] {
            if set {
                let _ = writeln!(out, "{key} = true");
            }
        }
    }

    /// Writes `[target]`; `password` is where that is.
    pub(super) fn target(&self, out: &mut String, url: &str, password: Option<&str>) {
        let _ = writeln!(out, "\n[target]\nurl = {}", quote(url));
        if let Some(place) = password {
            let _ = writeln!(out, "password = {place}");
        }
        for (key, value) in &self.target {
            let _ = writeln!(out, "{key} = {value}");
        }
        if !self.options.is_empty() {
            let options = self.options.iter();
            let options: Vec<String> = options
                .map(|(k, v)| format!("{k} = {}", quote(v)))
                .collect();
            let _ = writeln!(out, "options = {{ {} }}", options.join(", "));
        }
    }

    /// Writes that gpgsm encrypts, if it does.
    pub(super) fn by_gpgsm(&self, out: &mut String) {
        if self.gpgsm {
            let _ = writeln!(out, "encryption = \"gpgsm\"");
        }
    }

    /// Writes which program encrypts.
    pub(super) fn program(&self, out: &mut String, program: &str) {
        let key = match self.gpgsm {
            true => "gpgsm-program",
            false => "gpg-program",
        };
        let _ = writeln!(out, "{key} = {}", quote(program));
    }

    /// Writes how sets are made, behind `[backup]`.
    pub(super) fn sets(&self, out: &mut String) {
        if let Some(age) = &self.full_every {
            let _ = writeln!(out, "full-every = {}", quote(age));
        }
        if let Some(mebibytes) = self.volume_mebibytes {
            let _ = writeln!(out, "volume-size = \"{mebibytes} MiB\"");
        }
        if let Some(bytes) = self.max_block {
            let _ = writeln!(out, "max-block-size = {bytes}");
        }
        for (key, value) in &self.prefixes {
            let _ = writeln!(out, "{key} = {}", quote(value));
        }
    }

    fn flag(&mut self, option: &str) -> bool {
        match option {
            "--exclude-other-filesystems" => self.one_filesystem = true,
            "--exclude-device-files" => self.no_devices = true,
            "--copy-links" => self.follow_links = true,
            "--no-encryption" => self.no_encryption = true,
            "--no-compression" => self.no_compression = true,
            "--use-gpgsm" => self.gpgsm = true,
            "--s3-use-ia" => self.options.push(("storage-class", "STANDARD_IA".into())),
            "--s3-use-onezone-ia" => self.options.push(("storage-class", "ONEZONE_IA".into())),
            "--s3-use-glacier" => self.options.push(("storage-class", "GLACIER".into())),
            "--s3-use-glacier-ir" => self.options.push(("storage-class", "GLACIER_IR".into())),
            "--s3-use-deep-archive" => self.options.push(("storage-class", "DEEP_ARCHIVE".into())),
            "--s3-use-rrs" => self
                .options
                .push(("storage-class", "REDUCED_REDUNDANCY".into())),
            // What dupr does anyway, or what only concerns duplicity's own output.
            "--asynchronous-upload"
            | "--progress"
            | "--use-agent"
            | "--print-statistics"
            | "--no-print-statistics"
            | "--log-timestamp"
            | "--s3-use-new-style"
            | "--s3-european-buckets"
            | "--s3-use-multiprocessing" => {}
            _ => return false,
        }
        true
    }

    fn with_value(&mut self, option: &str, value: String, order: &mut Vec<u8>) {
        match option {
            "--exclude-if-present" => self.if_present.push(value),
            "--exclude-regexp" => {
                order.push(0);
                self.regexes.push(value);
            }
            "--exclude" => {
                order.push(1);
                self.rules.push(format!("- {value}"));
            }
            "--include" => {
                order.push(1);
                self.rules.push(format!("+ {value}"));
            }
            "--exclude-filelist" | "--exclude-globbing-filelist" => {
                order.push(2);
                self.lists.push(value);
            }
            "--exclude-older-than" => self.older_than = Some(value),
            "--full-if-older-than" => self.full_every = Some(value),
            "--volsize" => match value.parse() {
                Ok(n) => self.volume_mebibytes = Some(n),
                Err(_) => self.unknown.push(format!("{option} {value}")),
            },
            "--max-blocksize" => match value.parse::<u32>() {
                // In steps of 512 from 512 up, as duplicity 3 makes it.
                Ok(n) => self.max_block = Some(n.max(1).div_ceil(512).saturating_mul(512)),
                Err(_) => self.unknown.push(format!("{option} {value}")),
            },
            "--file-prefix" => self.prefixes.push(("file-prefix", value)),
            "--file-prefix-archive" => self.prefixes.push(("file-prefix-archive", value)),
            "--file-prefix-manifest" => self.prefixes.push(("file-prefix-manifest", value)),
            "--file-prefix-signature" => self.prefixes.push(("file-prefix-signature", value)),
            "--archive-dir" => self.archive_dir = Some(value),
            "--name" => self.name = Some(value),
            "--tempdir" => self.temp_dir = Some(value),
            "--encrypt-key" => self.recipients.push(value),
            "--hidden-encrypt-key" => {
                self.hidden = true;
                self.recipients.push(value);
            }
            "--sign-key" => self.sign_key = Some(value),
            "--encrypt-sign-key" => {
                self.recipients.push(value.clone());
                self.sign_key = Some(value);
            }
            "--gpg-binary" => self.gpg_program = Some(value),
            "--gpg-options" => self
                .gpg_options
                .extend(value.split_whitespace().map(str::to_owned)),
            "--num-retries" if value.parse::<u32>().is_ok() => self.target.push(("retries", value)),
            "--timeout" if value.parse::<u32>().is_ok() => {
                self.target.push(("timeout", format!("\"{value}s\"")))
            }
            "--concurrency" => {}
            "--ssh-options" => self.options.push(("ssh-options", value)),
            "--s3-region-name" => self.options.push(("region", value)),
            "--s3-endpoint-url" => self.options.push(("endpoint", value)),
            "--verbosity"
            | "-v"
            | "--progress-rate"
            | "--log-file"
            | "--log-fd"
            | "--backend-retry-delay" => {}
            _ => self.unknown.push(format!("{option} {value}")),
        }
    }
}

/// A URL without the password in it, and the password.
pub(super) fn without_password(target: &str) -> (String, Option<String>) {
    let Some(range) = url::password(target) else {
        return (target.to_owned(), None);
    };
    let part = |range: std::ops::Range<usize>| target.get(range).unwrap_or_default();
    let password = percent_encoding::percent_decode_str(part(range.clone()));
    let password = password.decode_utf8_lossy().into_owned();
    let before = part(0..range.start.saturating_sub(1));
    let url = format!("{before}{}", part(range.end..target.len()));
    (url, Some(password))
}
