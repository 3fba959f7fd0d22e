//! Variables of a `conf`, put into the words of a profile.

use super::{ImportedFile, Variables};
use crate::engine::secret::Secret;
use crate::profile::error::Errors;
use crate::profile::import::params::{Params, without_password};
use crate::profile::import::{environment_file, list, quote, secret_file};
use crate::profile::load::Surroundings;
use crate::profile::url;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

pub(super) struct Import<'a> {
    pub(super) name: String,
    pub(super) folder: PathBuf,
    pub(super) around: &'a Surroundings,
    pub(super) variables: Variables,
    pub(super) used: BTreeSet<String>,
    pub(super) params: Params,
    pub(super) files: Vec<ImportedFile>,
    pub(super) warnings: Vec<String>,
}

impl Import<'_> {
    /// A variable of `conf`, if it says something.
    pub(super) fn get(&mut self, name: &str) -> Option<String> {
        self.used.insert(name.to_owned());
        self.variables
            .get(name)
            .map(|(v, _)| v.clone())
            .filter(|v| !v.is_empty())
    }

    pub(super) fn secret_file(&mut self, name: &str, secret: &str) -> String {
        let (file, place) = secret_file(name, secret);
        self.files.push(file);
        place
    }

    pub(super) fn translate(&mut self, dir: &Path) -> std::result::Result<String, Errors> {
        let source = self.required("SOURCE", "/path/of/source")?;
        let target = self.required("TARGET", "scheme://user[:password]@host[:port]/[/]path")?;
        let mut out = String::new();
        let _ = writeln!(out, "# Made from the duply profile {}.\n", dir.display());
        let _ = writeln!(out, "version = 1\n");
        self.source(&mut out, &source, dir);
        self.target(&mut out, &target);
        self.keys(&mut out, dir);
        self.backup(&mut out);
        self.retention(&mut out);
        self.run(&mut out);
        self.scripts(&mut out, dir);
        self.rest(&mut out);
        Ok(out)
    }

    fn required(&mut self, name: &str, placeholder: &str) -> std::result::Result<String, Errors> {
        match self.get(name) {
            Some(value) if value != placeholder => Ok(value),
            _ => Err(Errors::single(
                format!("conf says no {name}: the duply profile was never filled in"),
                Some("make a new profile with `dupr init`".to_owned()),
            )),
        }
    }

    fn source(&mut self, out: &mut String, source: &str, dir: &Path) {
        let _ = writeln!(out, "[source]\npath = {}", quote(source));
        let params = std::mem::take(&mut self.params);
        let mut lists = Vec::new();
        if let Ok(content) = std::fs::read(dir.join("exclude")) {
            self.files.push(ImportedFile {
                name: "exclude".to_owned(),
                content: Secret::new(content),
                executable: false,
            });
            lists.push("exclude".to_owned());
        }
        params.selection(out, &lists);
        self.warnings.extend(params.warnings.iter().cloned());
        self.params = params;
    }

    fn target(&mut self, out: &mut String, target: &str) {
        let (mut url, in_url) = without_password(target);
        let user = self
            .get("TARGET_USER")
            .filter(|u| u != "_backend_username_");
        // The older name wins, as with duply.
        let password = self.get("TARGET_PW").or_else(|| self.get("TARGET_PASS"));
        let password = password.filter(|p| p != "_backend_password_").or(in_url);
        if let (Some(user), Some((scheme, rest))) = (user, url.clone().split_once("://"))
            && scheme != "file"
        {
            let authority_end = rest.find('/').unwrap_or(rest.len());
            let (authority, path) = rest.split_at(authority_end);
            let host = authority.rsplit('@').next().unwrap_or(authority);
            let user =
                percent_encoding::utf8_percent_encode(&user, percent_encoding::NON_ALPHANUMERIC);
            url = format!("{scheme}://{user}@{host}{path}");
        }
        if let Some(path) = url.strip_prefix('/') {
            url = format!("file:///{path}");
        }
        let place = password.map(|password| self.secret_file("target.pass", &password));
        self.params.target(out, &url, place.as_deref());
    }

    fn backup(&mut self, out: &mut String) {
        let _ = writeln!(out, "\n[backup]");
        self.params.sets(out);
        let own = format!("duply_{}", self.name);
        let (base, name) = match self
            .get("ARCH_DIR")
            .or_else(|| self.params.archive_dir.clone())
        {
            Some(dir) => {
                let kept = Path::new(&dir).join(&own).is_dir();
                (dir, if kept { own } else { self.name.clone() })
            }
            None => {
                let cache = self
                    .around
                    .env
                    .get("XDG_CACHE_HOME")
                    .filter(|c| !c.is_empty())
                    .map(PathBuf::from);
                let cache = cache.unwrap_or_else(|| self.around.home.join(".cache"));
                (cache.join("duplicity").display().to_string(), own)
            }
        };
        let name = self.params.name.clone().unwrap_or(name);
        let _ = writeln!(out, "# duply's archive dir, so that chains go on.");
        let _ = writeln!(
            out,
            "archive-dir = {}\nname = {}",
            quote(&base),
            quote(&name)
        );
        if let Some(dir) = self
            .get("TEMP_DIR")
            .filter(|d| d != "/tmp")
            .or_else(|| self.params.temp_dir.clone())
        {
            let _ = writeln!(out, "temp-dir = {}", quote(&dir));
        }
    }

    fn retention(&mut self, out: &mut String) {
        let mut rules = String::new();
        if let Some(age) = self.get("MAX_AGE") {
            let _ = writeln!(rules, "max-age = {}", quote(&age));
        }
        for (variable, key) in [
            ("MAX_FULL_BACKUPS", "keep-fulls"),
            ("MAX_FULLS_WITH_INCRS", "keep-chains-with-incrementals"),
        ] {
            match self
                .get(variable)
                .map(|n| n.trim().parse::<u32>().map_err(|_| n))
            {
                Some(Ok(n)) if n > 0 => {
                    let _ = writeln!(rules, "{key} = {n}");
                }
                Some(Ok(_)) => self.warnings.push(format!(
                    "{variable} is 0, which would keep nothing: left out"
                )),
                Some(Err(text)) => self
                    .warnings
                    .push(format!("{variable} is {text:?}, not a number: left out")),
                None => {}
            }
        }
        if !rules.is_empty() {
            let hint = "# As in duply, purge only lists without --force. With this it really deletes:\n# force = true";
            let _ = write!(out, "\n[retention]\n{rules}{hint}\n");
        }
    }

    fn run(&mut self, out: &mut String) {
        let Some(before) = self.get("DUPL_PRECMD") else {
            return;
        };
        let words: Vec<&str> = before.split_whitespace().collect();
        let line = match words.as_slice() {
            ["nice"] => Some("nice = 10".to_owned()),
            ["nice", "-n", n] | ["nice", n] => {
                let n = n
                    .trim_start_matches("-n")
                    .trim_start_matches("--adjustment=");
                n.parse::<i32>()
                    .ok()
                    .map(|n| format!("nice = {}", n.abs().min(19)))
            }
            ["ionice", "-c3"] | ["ionice", "-c", "3"] => Some("io-class = \"idle\"".to_owned()),
            _ => None,
        };
        match line {
            Some(line) => {
                let _ = writeln!(out, "\n[run]\n{line}");
            }
            None => self.left_out(out, "DUPL_PRECMD", &before),
        }
    }

    fn scripts(&mut self, out: &mut String, dir: &Path) {
        for moment in ["pre", "post"] {
            let path = dir.join(moment);
            let Ok(content) = std::fs::read(&path) else {
                continue;
            };
            let executable =
                std::fs::metadata(&path).is_ok_and(|m| m.permissions().mode() & 0o111 != 0);
            let content = Secret::new(content);
            if executable {
                self.files.push(ImportedFile {
                    name: moment.to_owned(),
                    content,
                    executable,
                });
            } else {
                // duply reads such a script into its own shell; a shell of its own is the nearest.
                let name = format!("{moment}.sh");
                let exec = list(&[
                    "bash".to_owned(),
                    self.folder.join(&name).display().to_string(),
                ]);
                let _ = writeln!(out, "\n[[hook]]\non = \"{moment}\"\nexec = {exec}");
                self.files.push(ImportedFile {
                    name,
                    content,
                    executable,
                });
                self.warnings.push(format!(
                    "{moment} is not executable: it runs in a bash of its own, without duply's variables and functions"
                ));
            }
            if moment == "pre" {
                self.warnings
                    .push("a failing pre now stops the backup; duply went on".to_owned());
            }
        }
    }

    fn rest(&mut self, out: &mut String) {
        for word in std::mem::take(&mut self.params.unknown) {
            self.left_out(out, "DUPL_PARAMS", &word);
        }
        for name in [
            "GPG_TEST",
            "GPG_IMPORT",
            "GPG_EXPORT",
            "VERBOSITY",
            "PYTHON",
            "FILENAME",
            "MAX_FULLBKP_AGE",
            "VOLSIZE",
        ] {
            self.used.insert(name.to_owned());
        }
        if self.get("DUPL_PARAMS").is_none() {
            self.used.insert("DUPL_PARAMS".to_owned());
        }
        for (variable, key, mapped) in [
            (
                "MAX_FULLBKP_AGE",
                "full-every",
                self.params.full_every.is_some(),
            ),
            (
                "VOLSIZE",
                "volume-size",
                self.params.volume_mebibytes.is_some(),
            ),
        ] {
            if let (Some((value, _)), false) = (self.variables.get(variable).cloned(), mapped) {
                self.warnings.push(format!("{variable}={value} has no effect in duply without its DUPL_PARAMS line; {key} is not set"));
            }
        }
        let exported: Vec<(String, String)> = self
            .variables
            .iter()
            .filter(|(name, (_, exported))| *exported && !self.used.contains(*name))
            .map(|(name, (value, _))| (name.clone(), value.clone()))
            .collect();
        if !exported.is_empty() {
            let names: Vec<&str> = exported.iter().map(|(n, _)| n.as_str()).collect();
            let names = names.join(", ");
            self.files.push(environment_file(&exported));
            let _ = writeln!(out, "\n# conf exports {names}: see the file environment.");
            self.warnings.push(format!(
                "conf exports {names}: they are in the file environment, to be set before dupr runs (EnvironmentFile= of a unit, or set -a; . …/environment)"
            ));
        }
    }

    fn left_out(&mut self, out: &mut String, variable: &str, value: &str) {
        let shown: String = url::mask(value)
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        let _ = writeln!(out, "\n# Not taken over from {variable}: {shown}");
        self.warnings.push(format!(
            "{variable}: {shown} has no counterpart and was left out"
        ));
    }
}
