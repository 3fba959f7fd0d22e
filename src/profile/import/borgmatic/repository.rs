//! Repositories of Borg as targets of dupr: the same place, a folder of its own.

use super::super::{quote, url_path};
use super::Import;
use super::config::{field, plain};
use crate::engine::storage::split_words;
use crate::profile::error::Errors;
use std::path::Path;

/// Put behind the repository's folder, which stays as it is.
const BESIDE: &str = "-dupr";

impl Import<'_> {
    pub(super) fn targets(&mut self) -> Result<(), Errors> {
        let options = self.options();
        let limit = self.config.number("upload_rate_limit");
        let mut made = 0;
        for repository in self.config.values("repositories") {
            let path = plain(&repository).or_else(|| field(&repository, "path"));
            let Some(path) = path else {
                continue;
            };
            let Some(url) = self.beside(&path) else {
                self.left_out("repositories", &path);
                continue;
            };
            self.line("\n[[target]]");
            let label = field(&repository, "label").filter(|label| is_word(label));
            if let Some(label) = label {
                self.line(&format!("name = {}", quote(&label)));
            } else if made > 0 {
                self.line(&format!("name = \"target{}\"", made + 1));
            }
            self.line(&format!("url = {}", quote(&url)));
            if let (Some(options), true) = (&options, url.starts_with("sftp:")) {
                self.line(&format!("options = {{ ssh-options = {} }}", quote(options)));
            }
            if let Some(kibibytes) = limit {
                self.line(&format!("upload-limit = \"{kibibytes} KiB/s\""));
            }
            self.warnings.push(format!(
                "{path} stays as it is; new backups go to {url}: make sure that it may be written there"
            ));
            made += 1;
        }
        if made == 0 {
            let text = "no repository of the configuration is a place dupr can go to";
            return Err(Errors::single(
                text.to_owned(),
                Some("make a profile with `dupr init`".to_owned()),
            ));
        }
        Ok(())
    }

    /// Options of `ssh_command`.
    fn options(&mut self) -> Option<String> {
        let command = self.config.text("ssh_command")?;
        match split_words(&command).ok()?.split_first() {
            Some((program, options)) if program == "ssh" => {
                let options: Vec<String> = options.iter().map(|word| quoted(word)).collect();
                Some(options.join(" ")).filter(|options| !options.is_empty())
            }
            _ => {
                self.left_out("ssh_command", &command);
                None
            }
        }
    }

    /// The URL of a folder beside a repository.
    fn beside(&mut self, path: &str) -> Option<String> {
        let with = |path: &str| {
            let path = Path::new(path.trim_end_matches('/'));
            format!("{}{BESIDE}", url_path(path))
        };
        if path.contains('{') {
            return None;
        }
        let (host, remote) = if let Some(rest) = path.strip_prefix("ssh://") {
            let (host, remote) = rest.split_once('/')?;
            let home = ["./", "~/"].iter().find_map(|p| remote.strip_prefix(p));
            (host, home.map_or(format!("/{remote}"), str::to_owned))
        } else if let Some(rest) = path.strip_prefix("sftp://") {
            let (host, remote) = rest.split_once('/')?;
            (host, format!("/{}", remote.trim_start_matches('/')))
        } else if let Some(rest) = path.strip_prefix("rclone:") {
            // From the root with two slashes.
            let place = rest.trim_end_matches('/').replacen(":/", "://", 1);
            return Some(format!("rclone://{place}{BESIDE}"));
        } else if let Some(rest) = path.strip_prefix("file://") {
            return Some(format!("file://{}", with(rest)));
        } else if path.contains("://") || path.starts_with("s3:") || path.starts_with("b2:") {
            return None;
        } else if let Some((host, remote)) =
            path.split_once(':').filter(|(host, _)| !host.contains('/'))
        {
            let home = ["./", "~/"].iter().find_map(|p| remote.strip_prefix(p));
            (host, home.unwrap_or(remote).to_owned())
        } else {
            let whole = self.base.join(self.at_home(path));
            return Some(format!("file://{}", with(whole.to_str()?)));
        };
        if host.ends_with(".borgbase.com") {
            self.warnings
                .push(format!("{host} speaks Borg only: choose another target"));
        }
        // Below the login directory with one slash, from the root with two.
        Some(format!("sftp://{host}/{}", with(&remote)))
    }
}

/// A word as `ssh-options` keep it together.
fn quoted(word: &str) -> String {
    match word.contains([' ', '\t', '\'', '"', '\\']) {
        true => format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\"")),
        false => word.to_owned(),
    }
}

/// Whether a label can be the name of a target.
fn is_word(label: &str) -> bool {
    !label.is_empty() && label.chars().all(crate::profile::lookup::is_plain)
}
