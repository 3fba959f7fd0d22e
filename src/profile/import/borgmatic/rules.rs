//! Source directories, patterns and excludes of Borg as one source with duplicity's rules.
//!
//! Borg's default for excludes is `fm:`, where `*` takes slashes too; that of patterns is `sh:`, where it does not. Both
//! match a whole path and all below it. Source: `borg help patterns`.

use super::super::{list, quote};
use super::Import;
use crate::profile::error::Errors;
use std::path::{Path, PathBuf};

/// A rule as a profile has it.
#[derive(Debug, PartialEq)]
pub(super) enum Rule {
    /// A glob of duplicity.
    Glob(String),
    /// A regular expression, searched for in the whole path.
    Regex(String),
}

impl Import<'_> {
    pub(super) fn source(&mut self) -> Result<(), Errors> {
        let mut roots = self.config.texts("source_directories");
        let mut lines = Vec::new();
        let patterns = self.config.texts("patterns");
        lines.extend(patterns.into_iter().map(|line| (line, "sh")));
        let excludes = self.config.texts("exclude_patterns");
        lines.extend(excludes.into_iter().map(|line| (format!("! {line}"), "fm")));
        for (key, sign, style) in [("patterns_from", "", "sh"), ("exclude_from", "! ", "fm")] {
            for file in self.config.texts(key) {
                let path = self.base.join(self.at_home(&file));
                match std::fs::read_to_string(&path) {
                    Ok(text) => {
                        let texts = text.lines().map(|line| format!("{sign}{}", line.trim()));
                        lines.extend(texts.map(|line| (line, style)));
                    }
                    Err(e) => self
                        .warnings
                        .push(format!("{key}: cannot read {}: {e}", path.display())),
                }
            }
        }
        let (mut rules, mut regexes) = (Vec::new(), Vec::new());
        for (line, mut style) in lines {
            let Some((sign, text)) = line.trim().split_once(' ') else {
                continue;
            };
            let text = text.trim();
            if text.is_empty() || line.starts_with('#') || text.starts_with('#') {
                continue;
            }
            let sign = match sign {
                "R" => {
                    roots.push(text.to_owned());
                    continue;
                }
                "P" => continue,
                "+" => '+',
                "-" | "!" => '-',
                _ => {
                    self.left_out("patterns", &line);
                    continue;
                }
            };
            let mut text = text;
            if let Some((named, rest)) = text.split_once(':')
                && ["fm", "sh", "re", "pp", "pf"].contains(&named)
            {
                (style, text) = (named, rest);
            }
            match rule(style, &self.at_home(text).to_string_lossy()) {
                Some(Rule::Glob(glob)) => rules.push(format!("{sign} {glob}")),
                Some(Rule::Regex(regex)) if sign == '-' => {
                    if rules.iter().any(|rule: &String| rule.starts_with('+')) {
                        self.warnings.push(format!(
                            "re:{text} is tried before all other rules here: check their order"
                        ));
                    }
                    regexes.push(regex);
                }
                _ => self.left_out("patterns", &line),
            }
        }
        let roots: Vec<PathBuf> = roots
            .iter()
            .map(|root| self.base.join(self.at_home(root)))
            .map(|root| root.components().collect())
            .collect();
        let Some(root) = common(&roots) else {
            let text = "the configuration names no source_directories".to_owned();
            let help = "print it whole with `borgmatic config validate --show`, and import that";
            return Err(Errors::single(text, Some(help.to_owned())));
        };
        // Rules that cannot meet anything below the source are an error of a profile.
        rules.retain(|rule| meets(rule.get(2..).unwrap_or(""), &root));
        if !roots.contains(&root) {
            for root in &roots {
                rules.push(format!("+ {}", root.display()));
            }
            rules.push("- **".to_owned());
        }
        self.line("[source]");
        self.line(&format!("path = {}", quote(&root.to_string_lossy())));
        let mut marks = self.config.texts("exclude_if_present");
        if self.config.flag("exclude_caches") {
            marks.push("CACHEDIR.TAG".to_owned());
        }
        for (key, values) in [
            ("exclude-if-present", &marks),
            ("exclude-regex", &regexes),
            ("select", &rules),
        ] {
            match values.len() {
                0 => {}
                1 => self.line(&format!("{key} = {}", list(values))),
                _ => {
                    let lines: String = values
                        .iter()
                        .map(|v| format!("  {},\n", quote(v)))
                        .collect();
                    self.line(&format!("{key} = [\n{lines}]"));
                }
            }
        }
        if self.config.flag("one_file_system") {
            if roots.contains(&root) {
                self.line("one-filesystem = true");
            } else {
                self.warnings.push(format!(
                    "one_file_system is left out: here it would mean the file system of {} alone, and leave out sources on others",
                    root.display()
                ));
            }
        }
        Ok(())
    }
}

/// A pattern of Borg as a rule.
pub(super) fn rule(style: &str, text: &str) -> Option<Rule> {
    if text.is_empty() {
        return None;
    }
    let rooted = |text: &str| match text.starts_with("**") {
        true => text.to_owned(),
        false => format!("/{}", text.trim_start_matches('/')),
    };
    // A slash at the end leaves the folder itself in.
    let ended = |glob: String| match glob.strip_suffix('/') {
        Some(folder) => format!("{}/*", folder.trim_end_matches('/')),
        None => glob,
    };
    Some(Rule::Glob(match style {
        "fm" => ended(rooted(&stars(text))),
        "sh" if text.contains('{') => return None,
        "sh" => ended(rooted(text)),
        "pp" | "pf" => rooted(&literal(text.trim_end_matches('/'))),
        "re" => {
            let regex = match text.strip_prefix('^') {
                Some(rest) => format!("^/{}", rest.trim_start_matches('/')),
                None => text.to_owned(),
            };
            return Some(Rule::Regex(regex));
        }
        _ => return None,
    }))
}

/// Each star takes slashes too.
fn stars(text: &str) -> String {
    let mut glob = String::new();
    for c in text.chars() {
        match c {
            '*' if glob.ends_with("**") => {}
            '*' => glob.push_str("**"),
            c => glob.push(c),
        }
    }
    glob
}

/// A glob that means this very text.
fn literal(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '*' | '?' | '[' => format!("[{c}]"),
            c => c.to_string(),
        })
        .collect()
}

/// The deepest folder that holds all; of one root, itself.
fn common(roots: &[PathBuf]) -> Option<PathBuf> {
    let (first, others) = roots.split_first()?;
    let glob = |path: &Path| path.to_string_lossy().contains(['*', '?', '[']);
    let mut folder = first.clone();
    while glob(&folder) {
        folder.pop();
    }
    for other in others {
        while !other.starts_with(&folder) {
            if !folder.pop() {
                return None;
            }
        }
    }
    Some(folder)
}

/// Whether a glob can match anything below a folder.
fn meets(glob: &str, root: &Path) -> bool {
    let fixed = glob.split(['*', '?', '[']).next().unwrap_or("");
    let root = root.to_string_lossy();
    let root = root.trim_end_matches('/');
    match fixed.len() == glob.len() {
        true => Path::new(glob).starts_with(if root.is_empty() { "/" } else { root }),
        false => {
            fixed.starts_with(&format!("{root}/"))
                || fixed.is_empty()
                || format!("{root}/").starts_with(fixed) && glob.contains("**")
        }
    }
}
