//! Checks what happens around a run: hooks, scripts beside the profile, reports.

use super::Checker;
use crate::plan::batch::HOOKED_WORDS;
use crate::profile::Age;
use crate::profile::error::nearest;
use crate::profile::file::{EmailFile, HookFile, ProfileFile};
use crate::profile::settings::{Email, Hook, HookMoment, MailTransport, OnFailure};
use crate::profile::url;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

impl Checker<'_> {
    pub(super) fn hooks(&mut self, file: &ProfileFile) -> Vec<Hook> {
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
                let help = nearest(&lower, HOOKED_WORDS.iter().copied())
                    .map(|w| format!("did you mean {w}?"));
                let help = help.unwrap_or_else(|| format!("possible: {}", HOOKED_WORDS.join(", ")));
                self.problem(
                    &format!("{key}.commands.{n}"),
                    format!("{word:?} is not a command hooks belong to"),
                    Some(help),
                );
            }
            commands.push(lower);
        }
        if file.exec.is_empty() || file.undo.as_ref().is_some_and(Vec::is_empty) {
            self.problem(
                &key,
                "the hook runs nothing",
                Some("write exec = [\"program\", \"argument\"]".to_owned()),
            );
            return None;
        }
        let Some(on) = file.on else {
            let help = "write on = \"before\", \"after\", \"success\", \"warning\", \"error\" or \"finally\"".to_owned();
            self.problem(&key, "the hook says no moment", Some(help));
            return None;
        };
        if matches!(on, HookMoment::Pre | HookMoment::Post) && !commands.is_empty() {
            let help = format!("the batch word {} runs it; leave commands out", on.word());
            self.problem(
                &format!("{key}.commands"),
                format!("{} belongs to no command", on.word()),
                Some(help),
            );
        }
        if file.undo.is_some() && !matches!(on, HookMoment::Before | HookMoment::Pre) {
            self.problem(
                &format!("{key}.undo"),
                "only what runs before a command can be undone",
                None,
            );
        }
        Some(Hook {
            on,
            commands,
            exec: file.exec.0.clone(),
            undo: file.undo.clone(),
            timeout: file.timeout.as_ref().map(Age::duration),
            on_failure: file.on_failure,
        })
    }

    /// `pre` and `post` beside `profile.toml`, as in duply. Not beside `NAME.toml`, whose directory is shared.
    fn script(&self, moment: HookMoment) -> Option<Hook> {
        use std::os::unix::fs::MetadataExt;
        let own_folder = self
            .loaded
            .path
            .file_name()
            .is_some_and(|n| n == "profile.toml");
        if !self.around.look_at_files || !own_folder {
            return None;
        }
        let dir = self
            .around
            .current_dir
            .join(self.loaded.path.parent().unwrap_or(Path::new("")));
        let path = dir.join(moment.word());
        let executable =
            std::fs::metadata(&path).is_ok_and(|m| m.is_file() && m.mode() & 0o111 != 0);
        executable.then(|| Hook {
            on: moment,
            commands: Vec::new(),
            exec: vec![path.display().to_string()],
            undo: None,
            timeout: None,
            on_failure: OnFailure::Abort,
        })
    }

    pub(super) fn email(&mut self, file: &EmailFile, inline: bool) -> Option<Email> {
        let key = "report.email";
        let password = file
            .password
            .as_ref()
            .and_then(|p| self.secret("report.email.password", p, inline));
        for (i, to) in file.to.0.iter().enumerate() {
            if !to.contains('@') && !to.chars().all(|c| c.is_alphanumeric() || "._-".contains(c))
                || to.is_empty()
            {
                self.problem(
                    &format!("{key}.to.{i}"),
                    format!("{to:?} is not a mail address"),
                    None,
                );
            }
        }
        if file.to.is_empty() {
            self.problem(
                key,
                "the mail report says no recipient",
                Some("write to = [\"me@example.org\"]".to_owned()),
            );
        }
        let Some(from) = file.from.clone() else {
            if !self.known_bad("report.email.from") {
                self.problem(
                    key,
                    "the mail report says no sender",
                    Some("write from = \"backup@example.org\"".to_owned()),
                );
            }
            return None;
        };
        for (name, _) in file
            .templates
            .iter()
            .filter(|(n, _)| !["subject", "text", "html"].contains(&n.as_str()))
        {
            let help = "possible: subject, text, html".to_owned();
            self.problem(
                &format!("{key}.templates.{name}"),
                format!("there is no template {name:?}"),
                Some(help),
            );
        }
        let templates: BTreeMap<String, PathBuf> = file
            .templates
            .iter()
            .map(|(name, path)| {
                (
                    name.clone(),
                    self.path(&format!("{key}.templates.{name}"), path),
                )
            })
            .collect();
        let transport = match (&file.smtp, &file.sendmail) {
            (Some(_), Some(_)) => {
                self.problem(
                    "report.email.sendmail",
                    "smtp and sendmail are alternatives",
                    Some("keep one of them".to_owned()),
                );
                return None;
            }
            (Some(url), None) => {
                let scheme = url.split_once("://").map(|(s, rest)| (s, !rest.is_empty()));
                if !matches!(scheme, Some(("smtp" | "smtps", true))) {
                    let help = "write it as smtps://user@mail.example.org:465".to_owned();
                    self.problem(
                        "report.email.smtp",
                        "not the URL of a mail server",
                        Some(help),
                    );
                }
                if url::password(url).is_some() && !inline {
                    let help = "take it out and write password = { file = \"…\" }".to_owned();
                    self.problem("report.email.smtp", "the URL holds a password", Some(help));
                }
                MailTransport::Smtp {
                    url: url.clone(),
                    password,
                }
            }
            (None, Some(program)) => {
                MailTransport::Sendmail(self.path("report.email.sendmail", program))
            }
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
