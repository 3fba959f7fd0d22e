//! `GPG_*` variables of a `conf` as `[keys]`.

use super::CONF_TIMEOUT;
use super::translate::Import;
use crate::profile::import::{list, quote};
use crate::profile::secret::capture;
use std::fmt::Write;
use std::path::Path;

impl Import<'_> {
    pub(super) fn keys(&mut self, out: &mut String, dir: &Path) {
        let disabled = |text: &str| text.eq_ignore_ascii_case("disabled");
        let key = self.get("GPG_KEY").filter(|k| k != "_KEY_ID_");
        let off = key.as_deref().is_some_and(disabled) || self.params.no_encryption;
        let first = key
            .filter(|k| !disabled(k))
            .map(|k| split_keys(&k))
            .unwrap_or_default();
        let more = self
            .get("GPG_KEYS_ENC")
            .map(|k| split_keys(&k))
            .unwrap_or_default();
        let mut recipients: Vec<String> = Vec::new();
        for id in first.iter().chain(&more).chain(&self.params.recipients) {
            if !recipients.contains(id) {
                recipients.push(id.clone());
            }
        }
        let password = self.get("GPG_PW").filter(|p| p != "_GPG_PASSWORD_");
        let sign_password = self.get("GPG_PW_SIGN");
        let sign = match self.get("GPG_KEY_SIGN") {
            Some(id) if disabled(&id) => None,
            Some(id) => Some(id),
            // duply signs with the first recipient if it holds the secret part.
            None => first.first().filter(|id| self.has_secret(id)).cloned(),
        };
        let sign = sign
            .or_else(|| self.params.sign_key.clone())
            // Nobody signs with gpgsm, whatever keys there are.
            .filter(|_| !self.params.gpgsm);
        let _ = writeln!(out, "\n[keys]");
        if off || recipients.is_empty() && password.is_none() {
            if !off {
                self.warnings.push("conf names neither a key nor a passphrase, so duply writes unencrypted backups; the new profile says so in [keys]".to_owned());
            }
            let _ = writeln!(out, "encryption = \"none\"");
        } else {
            self.params.by_gpgsm(out);
            if !recipients.is_empty() {
                let _ = writeln!(out, "encrypt-to = {}", list(&recipients));
                if self.params.hidden {
                    let _ = writeln!(out, "hidden = true");
                }
            }
            if let Some(id) = &sign {
                let _ = writeln!(out, "sign-with = {}", quote(id));
            }
            if let Some(password) = &password {
                let place = self.secret_file("gpg.pass", password);
                let _ = writeln!(out, "passphrase = {place}");
            }
            if let Some(sign_password) = sign_password.filter(|p| Some(p) != password.as_ref()) {
                let place = self.secret_file("sign.pass", &sign_password);
                let _ = writeln!(out, "sign-passphrase = {place}");
            }
        }
        if let Some(program) = self.get("GPG").or_else(|| self.params.gpg_program.clone()) {
            self.params.program(out, &program);
        }
        let mut options = self.params.gpg_options.clone();
        options.extend(
            self.get("GPG_OPTS")
                .iter()
                .flat_map(|o| o.split_whitespace())
                .map(str::to_owned),
        );
        self.gpg_options(&options);
        if self.params.no_compression {
            let _ = writeln!(out, "compression = \"none\"");
        }
        let exported: Vec<String> = std::fs::read_dir(dir)
            .into_iter()
            .flatten()
            .filter_map(|e| e.ok()?.file_name().into_string().ok())
            .filter(|n| n.starts_with("gpgkey"))
            .collect();
        if !exported.is_empty() {
            self.warnings.push(format!(
                "keys lie in the duply profile ({}): on a new machine run gpg --import on them",
                exported.join(", ")
            ));
        }
    }

    /// Options of gpg. What dupr does anyway needs no word; of the rest is told that it is left out.
    fn gpg_options(&mut self, options: &[String]) {
        let mut rest = options.iter().map(String::as_str).peekable();
        let mut lost = Vec::new();
        while let Some(option) = rest.next() {
            match option {
                "--batch" | "--no-tty" | "--quiet" | "-q" | "--pinentry-mode=loopback" => {}
                "--pinentry-mode" if rest.next_if_eq(&"loopback").is_some() => {}
                _ => lost.push(option),
            }
        }
        if !lost.is_empty() {
            self.params
                .unknown
                .push(format!("options of gpg: {}", lost.join(" ")));
        }
    }

    fn has_secret(&self, id: &str) -> bool {
        let mut env = self.around.env.clone();
        env.insert("HOME".to_owned(), self.around.home.display().to_string());
        let argv = [
            "gpg",
            "--batch",
            "--no-tty",
            "--quiet",
            "--with-colons",
            "--list-secret-keys",
            "--",
            id,
        ];
        capture(&argv.map(str::to_owned), &env, CONF_TIMEOUT).is_ok_and(|out| !out.is_empty())
    }
}

/// A comma list of key ids, in which `\,` is a comma of an id.
fn split_keys(text: &str) -> Vec<String> {
    let ids = text.replace("\\,", "\0");
    ids.split(',')
        .map(|id| id.replace('\0', ",").trim().to_owned())
        .filter(|id| !id.is_empty())
        .collect()
}
