//! Import of the settings of Déjà Dup: those of this user, or written to a file by `gsettings` or `dconf`.
//!
//! Déjà Dup calls duplicity with the root of the file system as source and with includes; the profile does the same, so its
//! chain goes on. What only the keyring or the desktop knows (the password, where a drive is mounted) is told, not made up.

use super::{Imported, list, quote};
use crate::profile::error::Errors;
use crate::profile::load::Surroundings;
use crate::profile::secret::capture;
use settings::{Settings, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

mod places;
mod settings;
#[cfg(test)]
mod tests;

/// Longest file of settings that is read.
const MOST_BYTES: u64 = 1 << 20;

/// Longest `gsettings` may run.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What only concerns its window and its questions.
const ONLY_ITS_OWN: &[&str] = &[
    "window-width",
    "window-height",
    "window-maximized",
    "window-fullscreened",
    "last-run",
    "last-backup",
    "last-restore",
    "prompt-check",
    "nag-check",
    "drive.icon",
];

/// What it never saves unless a path below is asked for.
const NEVER: &[&str] = &["/sys", "/run", "/proc", "/dev", "/var/tmp", "/tmp"];

/// The same, below the home.
const NEVER_AT_HOME: &[&str] = &[".cache", "snap/*/*/.cache", ".var/app/*/cache"];

/// Reserved names of folders, as `user-dirs.dirs` calls them, with their usual names.
const FOLDERS: &[(&str, &str, &str)] = &[
    ("$DESKTOP", "XDG_DESKTOP_DIR", "Desktop"),
    ("$DOCUMENTS", "XDG_DOCUMENTS_DIR", "Documents"),
    ("$DOWNLOAD", "XDG_DOWNLOAD_DIR", "Downloads"),
    ("$MUSIC", "XDG_MUSIC_DIR", "Music"),
    ("$PICTURES", "XDG_PICTURES_DIR", "Pictures"),
    ("$PUBLIC_SHARE", "XDG_PUBLICSHARE_DIR", "Public"),
    ("$TEMPLATES", "XDG_TEMPLATES_DIR", "Templates"),
    ("$VIDEOS", "XDG_VIDEOS_DIR", "Videos"),
];

struct Import<'a> {
    around: &'a Surroundings,
    host: &'a str,
    settings: Settings,
    /// `user-dirs.dirs` of the user.
    folders: BTreeMap<String, String>,
    out: String,
    warnings: Vec<String>,
}

/// Translates the settings in `file`, or those `gsettings` tells of this user, into a profile called `name`.
///
/// `host` is the name of this machine, which folders of backups are called by.
///
/// # Errors
/// No such file, no settings in it, or a place for backups dupr cannot go to.
pub fn import(
    file: Option<&Path>,
    name: Option<&str>,
    host: &str,
    around: &Surroundings,
) -> Result<Imported, Errors> {
    let (text, from) = match file {
        Some(file) => {
            let file = around.current_dir.join(file);
            (read(&file)?, file.display().to_string())
        }
        None => (ask(around)?, "gsettings".to_owned()),
    };
    let user_dirs = around.home.join(".config/user-dirs.dirs");
    let mut import = Import {
        around,
        host,
        settings: Settings::parse(&text)?,
        folders: folders(&std::fs::read_to_string(user_dirs).unwrap_or_default()),
        out: format!("# Made from the settings of Déjà Dup: {from}.\n\nversion = 1\n\n"),
        warnings: Vec::new(),
    };
    import.translate()?;
    Ok(Imported {
        name: name.unwrap_or("deja-dup").to_owned(),
        toml: import.out,
        files: Vec::new(),
        warnings: import.warnings,
    })
}

fn read(file: &Path) -> Result<String, Errors> {
    let fault = |what: String| Errors::single(format!("{}: {what}", file.display()), None);
    let length = std::fs::metadata(file).map_err(|e| fault(e.to_string()))?;
    if length.len() > MOST_BYTES {
        return Err(fault("is too long for settings".into()));
    }
    std::fs::read_to_string(file).map_err(|e| fault(e.to_string()))
}

/// The settings of this user.
fn ask(around: &Surroundings) -> Result<String, Errors> {
    let argv = ["gsettings", "list-recursively", "org.gnome.DejaDup"].map(str::to_owned);
    let mut env = around.env.clone();
    env.insert("HOME".to_owned(), around.home.display().to_string());
    let help = "name a file with what `dconf dump /org/gnome/deja-dup/` prints";
    let bytes = capture(&argv, &env, TIMEOUT).map_err(|what| {
        let text = format!("gsettings tells no settings of Déjà Dup: {what}");
        Errors::single(text, Some(help.to_owned()))
    })?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The folders of `user-dirs.dirs`: lines of a shell, `XDG_MUSIC_DIR="$HOME/Music"`.
fn folders(text: &str) -> BTreeMap<String, String> {
    let pair = |line: &str| {
        let (name, value) = line.trim().split_once('=')?;
        let value = value.trim().trim_matches('"');
        Some((name.to_owned(), value.to_owned()))
    };
    text.lines().filter_map(pair).collect()
}

impl Import<'_> {
    fn translate(&mut self) -> Result<(), Errors> {
        let (url, optional) = self.target()?;
        self.source(&url);
        self.line(&format!("\n[target]\nurl = {}", quote(&url)));
        if optional {
            self.line("# A drive that is not plugged in is skipped.\noptional = true");
        }
        self.keys();
        self.sets();
        self.hooks();
        self.rest();
        Ok(())
    }

    fn line(&mut self, text: &str) {
        self.out.push_str(text);
        self.out.push('\n');
    }

    fn warn(&mut self, text: impl Into<String>) {
        self.warnings.push(text.into());
    }

    fn user(&self) -> Option<String> {
        let name = |name: &str| self.around.env.get(name).filter(|v| !v.is_empty()).cloned();
        name("USER").or_else(|| name("LOGNAME"))
    }

    fn source(&mut self, url: &str) {
        let included = self.settings.texts("include-list");
        let included = included.unwrap_or_else(|| vec!["$HOME".to_owned()]);
        let excluded = self.settings.texts("exclude-list");
        let excluded =
            excluded.unwrap_or_else(|| ["$TRASH", "$DOWNLOAD"].map(str::to_owned).to_vec());
        let mut rules: Vec<(bool, String)> = Vec::new();
        for (include, paths) in [(false, excluded), (true, included)] {
            for path in paths {
                if let Some(path) = self.path(&path) {
                    rules.push((include, escaped(&path.display().to_string())));
                }
            }
        }
        let home = escaped(&self.around.home.display().to_string());
        let at_home = NEVER_AT_HOME.iter().map(|path| format!("{home}/{path}"));
        let never = NEVER.iter().map(|path| (*path).to_owned()).chain(at_home);
        // What was asked for wins over what is never saved.
        let mut never: Vec<String> = never.collect();
        never.retain(|path| !rules.iter().any(|(_, rule)| rule == path));
        rules.extend(never.into_iter().map(|path| (false, path)));
        if let Some(path) = url.strip_prefix("file://") {
            let path = percent_encoding::percent_decode_str(path).decode_utf8_lossy();
            rules.push((false, escaped(&path)));
        }
        // The deepest path first, so that the nearest rule decides.
        let depth = |path: &str| path.trim_end_matches('/').matches('/').count();
        rules.sort_by_key(|(include, path)| (std::cmp::Reverse(depth(path)), *include));
        rules.dedup();
        let mut select: Vec<String> = rules
            .iter()
            .map(|(include, path)| format!("{} {path}", if *include { '+' } else { '-' }))
            .collect();
        select.push("- **".to_owned());
        self.line(
            "[source]\n# As Déjà Dup calls duplicity, so that its chain goes on.\npath = \"/\"",
        );
        self.line(&format!(
            "select = {}",
            list(&select).replace("\", \"", "\",\n  \"")
        ));
        self.line("exclude-if-present = [\"CACHEDIR.TAG\", \".deja-dup-ignore\"]");
    }

    /// A path of a list, with its reserved names replaced.
    fn path(&mut self, text: &str) -> Option<PathBuf> {
        let (first, rest) = match text.split_once('/') {
            Some((first, rest)) => (first, rest),
            None => (text, ""),
        };
        let home = self.around.home.clone();
        let base = match first {
            "$HOME" | "~" => Some(home.clone()),
            "$TRASH" => Some(home.join(".local/share/Trash")),
            _ => {
                let found = FOLDERS.iter().find(|(name, _, _)| *name == first);
                found.map(|(name, key, usual)| self.special(name, key, usual))
            }
        };
        let below = match &base {
            Some(_) => rest,
            None => text,
        };
        let mut below = below.to_owned();
        if below.contains("$USER") {
            let Some(user) = self.user() else {
                self.warn(format!("{text}: nobody says who $USER is; left out"));
                return None;
            };
            below = below.replace("$USER", &user);
        }
        if below.starts_with('$') {
            self.warn(format!("{text}: {first} is no folder known here; left out"));
            return None;
        }
        let whole = base.unwrap_or(home).join(below);
        // Joining nothing leaves a slash.
        Some(whole.components().collect())
    }

    /// A folder with a name of its own in each language.
    fn special(&mut self, name: &str, key: &str, usual: &str) -> PathBuf {
        let home = &self.around.home;
        match self.folders.get(key) {
            Some(path) => match path.strip_prefix("$HOME") {
                Some(below) => home.join(below.trim_start_matches('/')),
                None => PathBuf::from(path),
            },
            None => {
                let path = home.join(usual);
                let text = format!(
                    "{name} is taken for {}: user-dirs.dirs does not say where it is",
                    path.display()
                );
                self.warn(text);
                path
            }
        }
    }

    fn keys(&mut self) {
        let words = [
            "secret-tool",
            "lookup",
            "owner",
            "deja-dup",
            "type",
            "passphrase",
        ];
        let words = words.map(str::to_owned);
        self.line("\n[keys]\n# The password as Déjà Dup keeps it in the keyring of the desktop.");
        self.line(&format!("passphrase = {{ command = {} }}", list(&words)));
        self.warn(
            "the settings do not say whether the backup has a password. If it has, the program secret-tool must find it in the keyring, \
             which is open while you are logged in; write it to a file for runs at other times. If it has none, say encryption = \"none\" in [keys]",
        );
    }

    /// When sets are made, and how long they are kept.
    fn sets(&mut self) {
        let days = self.settings.number("full-backup-period").unwrap_or(90);
        if days > 0 {
            self.line(&format!("\n[backup]\nfull-every = \"{days}D\""));
        }
        let keep = self.settings.number("delete-after").unwrap_or(0);
        if keep > 0 {
            self.line(&format!(
                "\n[retention]\nmax-age = \"{keep}D\"\nforce = true"
            ));
        }
        let batch = if keep > 0 { "backup_purge" } else { "backup" };
        self.line(&format!("\n[run]\ndefault = \"{batch}\""));
        if !self.settings.flag("allow-metered").unwrap_or(false) {
            self.line("require = { network = \"unmetered\" }");
        }
        let period = self.settings.number("periodic-period").unwrap_or(7);
        if !self.settings.flag("periodic").unwrap_or(false) {
            return self.line("\n# Déjà Dup did not run by itself: there is no [schedule].");
        }
        let cron = match period {
            ..=1 => "@daily".to_owned(),
            7 => "@weekly".to_owned(),
            28..=31 => "@monthly".to_owned(),
            days @ 2..=27 => format!("0 0 */{days} * *"),
            days => {
                return self.warn(format!(
                    "a run every {days} days is no line of cron: write a [schedule]"
                ));
            }
        };
        self.line(&format!(
            "\n[schedule]\n# Every {period} days; missed runs are made up for.\ncron = {}",
            quote(&cron)
        ));
        if cron.contains("*/") {
            self.warn(format!(
                "cron counts every {period} days from the first of each month"
            ));
        }
        self.warn("turn off automatic backups in Déjà Dup, and put these into effect with `dupr schedule install`: two programs must not write to one place at once");
    }

    fn hooks(&mut self) {
        let shell = |text: &str| list(&["sh", "-c", text].map(str::to_owned));
        if let Some(command) = self.settings.text("custom-tool-setup") {
            self.line(&format!(
                "\n[[hook]]\non = \"before\"\nexec = {}",
                shell(&command)
            ));
        }
        if let Some(command) = self.settings.text("custom-tool-teardown") {
            let exec = shell(&command);
            self.line(&format!(
                "\n[[hook]]\non = \"finally\"\nexec = {exec}\non-failure = \"ignore\""
            ));
        }
    }

    /// Tells what was not asked for until now.
    fn rest(&mut self) {
        // Settings of places that are not used.
        let unused = |key: &str| key.contains('.') || ONLY_ITS_OWN.contains(&key);
        let said = |value: &Value| !matches!(value, Value::Text(text) if text.is_empty());
        let left = self.settings.left();
        let left: Vec<String> = left
            .filter(|(key, value)| !unused(key) && said(value))
            .map(|(key, value)| {
                format!(
                    "{key}: {} has no counterpart and was left out",
                    shown(value)
                )
            })
            .collect();
        for text in left {
            let comment: String = text
                .chars()
                .map(|c| if c.is_control() { ' ' } else { c })
                .collect();
            self.line(&format!("\n# {comment}"));
            self.warn(text);
        }
        let unread = std::mem::take(&mut self.settings.unread);
        unread
            .iter()
            .for_each(|line| self.warn(format!("not understood: {line}")));
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Text(text) => crate::profile::url::mask(text),
        Value::Texts(texts) => texts.join(", "),
        Value::Number(number) => number.to_string(),
        Value::Flag(flag) => flag.to_string(),
    }
}

/// A path as a glob of duplicity that means it alone.
fn escaped(path: &str) -> String {
    let mut glob = String::new();
    for c in path.chars() {
        match c {
            '*' | '?' | '[' => {
                glob.push('[');
                glob.push(c);
                glob.push(']');
            }
            c => glob.push(c),
        }
    }
    glob
}
