//! What was found in a script, put into the words of a profile.

use super::variables::Held;
use super::{Backup, Import};
use crate::profile::import::params::without_password;
use crate::profile::import::{environment_file, list, quote, secret_file};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Variables with a place of their own in a profile, or none of a shell's business.
const KNOWN: &[&str] = &[
    "PASSPHRASE",
    "SIGN_PASSPHRASE",
    "BACKEND_PASSWORD",
    "FTP_PASSWORD",
    "TMPDIR",
    "PATH",
    "HOME",
    "SHELL",
    "USER",
    "LOGNAME",
    "LANG",
    "LC_ALL",
];

impl Import<'_> {
    /// The text of the profile.
    ///
    /// # Errors
    /// Why there is none: no backup was found.
    pub(super) fn translate(&mut self, file: &Path) -> Result<String, String> {
        let Some(backup) = self.backup.take() else {
            let mut text =
                "there is no call of duplicity in it that makes a backup and can be understood"
                    .to_owned();
            for warning in &self.warnings {
                let _ = write!(text, "; {warning}");
            }
            return Err(text);
        };
        let mut out = format!(
            "# Made from the script {}.\n\nversion = 1\n\n",
            file.display()
        );
        let _ = writeln!(out, "[source]\npath = {}", quote(&self.source(&backup)));
        backup.params.selection(&mut out, &[]);
        let (url, in_url) = without_password(&backup.target);
        let url = match url.strip_prefix('/') {
            Some(path) => format!("file:///{path}"),
            None => url,
        };
        let password = match in_url {
            Some(password) => Some(self.written("target.pass", &password)),
            None => ["BACKEND_PASSWORD", "FTP_PASSWORD"]
                .iter()
                .find_map(|name| self.secret(name, "target.pass")),
        };
        backup.params.target(&mut out, &url, password.as_deref());
        self.keys(&mut out, &backup);
        self.sets(&mut out, &backup);
        let removes = self.retention(&mut out, &backup);
        self.run(&mut out, &backup, removes);
        self.environment(&mut out);
        let left: String = self
            .warnings
            .iter()
            .map(|w| format!("# {}\n", one_line(w)))
            .collect();
        if !left.is_empty() {
            let _ = write!(
                out,
                "\n# What was not understood, or is to be looked at:\n{left}"
            );
        }
        Ok(out)
    }

    /// The source. A relative one begins where the script is started, which cron does in the home.
    fn source(&mut self, backup: &Backup) -> String {
        let source = Path::new(&backup.source);
        if source.is_absolute() {
            return backup.source.clone();
        }
        let whole: PathBuf = self.around.home.join(source).components().collect();
        let text = format!("the source {} is taken to be below the home", backup.source);
        self.warn(backup.line, text);
        whole.display().to_string()
    }

    /// A secret of the script, written to a file beside the profile; the reference to it.
    fn written(&mut self, file: &str, secret: &str) -> String {
        let (content, place) = secret_file(file, secret);
        self.files.push(content);
        place
    }

    /// What a variable with a secret says, as a reference; nothing if the script does not set it.
    fn secret(&mut self, variable: &str, file: &str) -> Option<String> {
        let place = match self.variables.exported(variable)? {
            Held::Text(text) => self.written(file, &text),
            Held::Output(words) => match words.as_slice() {
                [cat, path] if cat == "cat" && path.starts_with('/') => {
                    format!("{{ file = {} }}", quote(path))
                }
                words => format!("{{ command = {} }}", list(words)),
            },
            Held::Elements(_) | Held::Unknown(_) => {
                self.warnings.push(format!(
                    "only the shell knows {variable}: write it into the file {file} of the new folder, mode 0600"
                ));
                format!("{{ file = {} }}", quote(file))
            }
        };
        Some(place)
    }

    fn keys(&mut self, out: &mut String, backup: &Backup) {
        let params = &backup.params;
        let _ = writeln!(out, "\n[keys]");
        if params.no_encryption {
            let _ = writeln!(out, "encryption = \"none\"");
        } else {
            params.by_gpgsm(out);
            if !params.recipients.is_empty() {
                let _ = writeln!(out, "encrypt-to = {}", list(&params.recipients));
                if params.hidden {
                    let _ = writeln!(out, "hidden = true");
                }
            }
            if let Some(key) = &params.sign_key {
                let _ = writeln!(out, "sign-with = {}", quote(key));
            }
            match self.secret("PASSPHRASE", "gpg.pass") {
                Some(place) => {
                    let _ = writeln!(out, "passphrase = {place}");
                }
                None if params.recipients.is_empty() => {
                    self.warnings.push(
                        "the script does not set PASSPHRASE: the profile takes it from the environment, too".to_owned(),
                    );
                    let _ = writeln!(out, "passphrase = {{ env = \"PASSPHRASE\" }}");
                }
                None => {}
            }
            if let Some(place) = self.secret("SIGN_PASSPHRASE", "sign.pass") {
                let _ = writeln!(out, "sign-passphrase = {place}");
            }
        }
        if let Some(program) = &params.gpg_program {
            params.program(out, program);
        }
        if !params.gpg_options.is_empty() {
            let options = params.gpg_options.join(" ");
            self.warn(
                backup.line,
                format!("options of gpg: {options} has no counterpart and was left out"),
            );
        }
        if params.no_compression {
            let _ = writeln!(out, "compression = \"none\"");
        }
    }

    fn sets(&mut self, out: &mut String, backup: &Backup) {
        let params = &backup.params;
        let _ = writeln!(out, "\n[backup]");
        params.sets(out);
        if params.full_every.is_none() && backup.full && backup.incremental {
            self.warn(backup.line, "the script says by itself when a full set is made: write full-every under [backup]");
        }
        for (key, value) in [("archive-dir", &params.archive_dir), ("name", &params.name)] {
            if let Some(value) = value {
                let _ = writeln!(out, "{key} = {}", quote(value));
            }
        }
        let temp_dir = match self.variables.exported("TMPDIR") {
            Some(Held::Text(dir)) => Some(dir),
            _ => None,
        };
        if let Some(dir) = params.temp_dir.clone().or(temp_dir) {
            let _ = writeln!(out, "temp-dir = {}", quote(&dir));
        }
    }

    /// Whether there is anything to remove by.
    fn retention(&mut self, out: &mut String, backup: &Backup) -> bool {
        let mut rules: Vec<String> = Vec::new();
        let mut forced = false;
        for (line, call) in self.house.clone() {
            if call.words.last() != Some(&backup.target) {
                self.warn(
                    line,
                    format!("{} is for another target, and was left out", call.action),
                );
                continue;
            }
            let value = call.words.first().cloned().unwrap_or_default();
            let key = match call.action.as_str() {
                "remove-older-than" => "max-age",
                "remove-all-but-n-full" => "keep-fulls",
                "remove-all-inc-of-but-n-full" => "keep-chains-with-incrementals",
                _ => continue,
            };
            let rule = match key {
                "max-age" => format!("max-age = {}", quote(&value)),
                key => match value.parse::<u32>() {
                    Ok(n) if n > 0 => format!("{key} = {n}"),
                    _ => {
                        self.warn(
                            line,
                            format!("{} {value} keeps nothing, and was left out", call.action),
                        );
                        continue;
                    }
                },
            };
            if rules
                .iter()
                .any(|r| r.split(" = ").next() == Some(key) && *r != rule)
            {
                self.warn(line, format!("a second {} was left out", call.action));
                continue;
            }
            forced |= call.options.iter().any(|(name, _)| name == "force");
            if !rules.contains(&rule) {
                rules.push(rule);
            }
        }
        if rules.is_empty() {
            return false;
        }
        let _ = writeln!(out, "\n[retention]\n{}", rules.join("\n"));
        let _ = match forced {
            true => writeln!(out, "force = true"),
            false => writeln!(
                out,
                "# The script only lists what could go; with this it goes.\n# force = true"
            ),
        };
        true
    }

    /// `[run]`: the batch does what the script did, in the order in which it makes sense.
    fn run(&mut self, out: &mut String, backup: &Backup, removes: bool) {
        let mut batch = match (backup.full, backup.incremental) {
            (true, false) => "full",
            (false, true) => "incr",
            _ => "backup",
        }
        .to_owned();
        if removes {
            batch.push_str("_purge");
        }
        let mut done: BTreeSet<&str> = BTreeSet::new();
        for (line, call) in self.house.clone() {
            let word = match call.action.as_str() {
                "cleanup" => "cleanup",
                "verify" => "verify",
                "collection-status" => "status",
                action if action.starts_with("remove-") => continue,
                action => {
                    self.warn(
                        line,
                        format!("{action} is no part of a regular run, and was left out"),
                    );
                    continue;
                }
            };
            // A purge by all rules ends with it.
            if !(removes && word == "cleanup") && done.insert(word) {
                let _ = write!(batch, "_{word}");
            }
            if word == "verify" && call.options.iter().any(|(name, _)| name == "compare-data") {
                self.warn(line, "verify compares contents with --compare-data, which [run] default cannot say: [check] has spot");
            }
        }
        let _ = writeln!(out, "\n[run]\ndefault = {}", quote(&batch));
        for key in &self.run {
            let _ = writeln!(out, "{key}");
        }
    }

    /// Variables that go to whatever the script starts.
    fn environment(&mut self, out: &mut String) {
        let (mut set, mut unknown) = (Vec::new(), Vec::new());
        for (name, held) in self.variables.all_exported() {
            match held {
                _ if KNOWN.contains(&name.as_str()) => {}
                Held::Text(text) => set.push((name, text)),
                _ => unknown.push(name),
            }
        }
        for name in unknown {
            self.warnings.push(format!(
                "only the shell knows {name}, which the script exports"
            ));
        }
        if set.is_empty() {
            return;
        }
        let names: Vec<&str> = set.iter().map(|(n, _)| n.as_str()).collect();
        let names = names.join(", ");
        self.files.push(environment_file(&set));
        let _ = writeln!(
            out,
            "\n# The script exports {names}: see the file environment."
        );
        self.warnings.push(format!(
            "the script exports {names}: they are in the file environment, to be set before dupr runs (EnvironmentFile= of a unit, or set -a; . …/environment)"
        ));
    }
}

fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}
