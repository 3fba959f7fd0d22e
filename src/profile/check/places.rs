//! Checks what is backed up and where to.

use super::{Checker, keys};
use crate::engine::storage::{Support, schemes};
use crate::profile::error::nearest;
use crate::profile::file::{ProfileFile, SourceFile, TargetFile};
use crate::profile::{SelectRule, Source, Target, TargetUrl};

/// The scheme a misspelt one was most likely meant to be.
fn similar_scheme(url: &str) -> Option<String> {
    let (scheme, _) = url.split_once("://")?;
    let names = || schemes().flat_map(|(names, _)| names.iter().copied());
    if scheme.len() < 2 || names().any(|name| name == scheme) {
        return None;
    }
    let usable = schemes()
        .filter(|(_, support)| !matches!(support, Support::Refused { .. }))
        .flat_map(|(names, _)| names.iter().copied());
    nearest(scheme, usable).map(|name| format!("did you mean {name}://?"))
}

impl Checker<'_> {
    pub(super) fn source(&mut self, file: &SourceFile, inline: bool) -> Option<Source> {
        let mut rules = Vec::new();
        if let Some(older) = &file.exclude_older_than {
            rules.push(SelectRule::OlderThan(older.time.clone()));
        }
        for (i, name) in file.exclude_if_present.0.iter().enumerate() {
            if name.is_empty() || name.contains('/') {
                self.problem(
                    &format!("source.exclude-if-present.{i}"),
                    format!("{name:?} is not the name of a file"),
                    "write a name alone, without a slash: \".nobackup\"".to_owned(),
                );
            }
            rules.push(SelectRule::IfPresent(name.clone()));
        }
        for (i, pattern) in file.exclude_regex.0.iter().enumerate() {
            if let Err(error) = regex::bytes::Regex::new(pattern) {
                let reason = error.to_string();
                let reason = reason
                    .lines()
                    .last()
                    .unwrap_or("")
                    .trim_start_matches("error: ")
                    .to_owned();
                self.problem(
                    &format!("source.exclude-regex.{i}"),
                    format!("not a regular expression: {reason}"),
                    None,
                );
            }
            rules.push(SelectRule::Regex {
                include: false,
                pattern: pattern.clone(),
            });
        }
        for (i, line) in file.select.0.iter().enumerate() {
            let rule = line
                .strip_prefix("- ")
                .map(|p| (false, p))
                .or_else(|| line.strip_prefix("+ ").map(|p| (true, p)));
            let (include, pattern) = match rule {
                Some((include, pattern)) if !pattern.trim().is_empty() => (include, pattern.trim()),
                _ => {
                    let help =
                        format!("write \"- {line}\" to leave out or \"+ {line}\" to take in");
                    self.problem(
                        &format!("source.select.{i}"),
                        format!("{line:?} says neither + nor -"),
                        Some(help),
                    );
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
            let key = if self
                .loaded
                .places
                .contains_key(&keys(&format!("source.exclude-file.{i}")))
            {
                format!("source.exclude-file.{i}")
            } else {
                "source.exclude-file".to_owned()
            };
            let path = self.path(&key, name);
            if self.around.look_at_files && !path.is_file() {
                let help = "make that file, or leave exclude-file out".to_owned();
                self.problem(&key, format!("there is no file {}", path.display()), help);
            }
            rules.push(SelectRule::File {
                include: false,
                path,
                nul_separated: false,
            });
        }
        let dumps = self.dumps(file, inline);
        let Some(path) = &file.path else {
            if !self.excused("source") {
                let help = match dumps.is_empty() {
                    true => "write source = \"/home/me\"",
                    false => {
                        "write path = \"/home/me\" under [source]; for dumps alone, name a folder that is empty"
                    }
                };
                self.problem(
                    "source",
                    "the profile says no source",
                    Some(help.to_owned()),
                );
            }
            return None;
        };
        if path.is_empty() {
            self.problem(
                "source.path",
                "the source is empty",
                "write path = \"/home/me\"".to_owned(),
            );
        }
        Some(Source {
            root: self.path("source.path", path),
            must_exist: file.must_exist,
            rules,
            one_filesystem: file.one_filesystem,
            exclude_devices: file.exclude_devices,
            follow_symlinks: file.follow_symlinks,
            snapshot: file.snapshot,
            dumps,
            dump_folder: file.dump_folder.clone(),
        })
    }

    pub(super) fn targets(&mut self, file: &ProfileFile) -> Vec<Target> {
        let several = file.target.0.len() > 1;
        if file.target.is_empty() && !self.excused("target") {
            let help =
                "write target = \"sftp://me@host//path\" or target = \"file:///path\"".to_owned();
            self.problem("target", "the profile says no target", Some(help));
        }
        let list = self.loaded.places.contains_key(&keys("target.0")) || several;
        let mut targets: Vec<Target> = Vec::new();
        for (i, entry) in file.target.0.iter().enumerate() {
            let key = if list {
                format!("target.{i}")
            } else {
                "target".to_owned()
            };
            if entry.disabled {
                let name = entry.name.as_deref().unwrap_or_default();
                self.taken_away(&key, "target", name, entry.url.is_some());
                continue;
            }
            if let Some(target) = self.target(&key, entry, i, file.allow_inline_secrets) {
                if targets.iter().any(|t| t.name == target.name) {
                    let help = Some("give each target a name of its own".to_owned());
                    self.problem(
                        &format!("{key}.name"),
                        format!("two targets are called {}", target.name),
                        help,
                    );
                }
                if let Some(of) = &target.copy_of {
                    self.copy(&format!("{key}.copy-of"), of, &targets);
                }
                targets.push(target);
            }
        }
        if !file.target.is_empty() && file.target.0.iter().all(|t| t.disabled) {
            self.problem(
                "target",
                "every target is disabled",
                Some("leave disabled out of one of them".to_owned()),
            );
        }
        targets
    }

    /// Checks what a target is to be a copy of: one that comes before it, so that a run copies what it has just made.
    fn copy(&mut self, key: &str, of: &str, before: &[Target]) {
        let known: Vec<&str> = before.iter().map(|t| t.name.as_str()).collect();
        let (message, help) = match before.iter().find(|t| t.name == of) {
            Some(origin) if origin.copy_of.is_none() => return,
            Some(origin) => (
                format!("{of} is a copy itself"),
                origin
                    .copy_of
                    .as_ref()
                    .map(|o| format!("write copy-of = {o:?}")),
            ),
            None if known.is_empty() => (
                format!("there is no target {of:?} before this one"),
                Some("write the target that gets the backups first".to_owned()),
            ),
            None => (
                format!("there is no target {of:?} before this one"),
                Some(format!("those before it: {}", known.join(", "))),
            ),
        };
        self.problem(key, message, help);
    }

    fn target(&mut self, key: &str, file: &TargetFile, i: usize, inline: bool) -> Option<Target> {
        let password = file
            .password
            .as_ref()
            .map(|p| self.secret(&format!("{key}.password"), p, inline));
        if !(1..=64).contains(&file.connections) {
            self.problem(
                &format!("{key}.connections"),
                "connections go from 1 to 64",
                None,
            );
        }
        if file
            .par2_redundancy
            .is_some_and(|n| !(1..=100).contains(&n))
        {
            self.problem(
                &format!("{key}.par2-redundancy"),
                "par2-redundancy goes from 1 to 100 percent",
                None,
            );
        }
        let Some(url) = &file.url else {
            if !self.excused(key) {
                self.problem(
                    key,
                    "the target says no url",
                    Some("write url = \"sftp://me@host//path\"".to_owned()),
                );
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
        if let Err(e) = crate::engine::storage::TargetUrl::parse(url.expose()) {
            let help = similar_scheme(url.expose()).or_else(|| e.hint().map(str::to_owned));
            self.problem(&format!("{key}.url"), e.to_string(), help);
        }
        let name = file.name.clone().unwrap_or_else(|| {
            if i == 0 {
                "first".into()
            } else {
                format!("{}", i + 1)
            }
        });
        self.file_name(&format!("{key}.name"), &name);
        Some(Target {
            name,
            url,
            options: file
                .options
                .iter()
                .map(|(k, v)| (k.clone(), v.to_string()))
                .collect(),
            password: password.flatten(),
            copy_of: file.copy_of.clone(),
            optional: file.optional,
            upload_limit: file.upload_limit.as_ref().map(|r| r.bytes),
            download_limit: file.download_limit.as_ref().map(|r| r.bytes),
            connections: file.connections,
            retries: file.retries,
            timeout: file.timeout.duration(),
            par2_redundancy: file.par2_redundancy,
        })
    }

    pub(super) fn file_name(&mut self, key: &str, name: &str) {
        if name.is_empty()
            || name.contains('/')
            || name == "."
            || name == ".."
            || name.chars().any(char::is_control)
        {
            self.problem(
                key,
                format!("{name:?} cannot be the name of a directory"),
                "letters, digits, - and _ are always right".to_owned(),
            );
        }
    }
}
