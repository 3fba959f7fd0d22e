//! Import of a shell script that calls duplicity: variables, the calls and their options become a profile.
//!
//! The script is read, never run. Calls are taken as if each were reached; whatever else the script does (conditions, loops, other
//! programs, values only a shell can tell) is listed with its line, so that nothing is lost without a word.

use super::params::Params;
use super::{Imported, ImportedFile};
use crate::profile::error::Errors;
use crate::profile::load::Surroundings;
use shell::{DECLARING, Statement};
use std::path::Path;
use variables::Variables;

mod shell;
#[cfg(test)]
mod tests;
mod translate;
mod variables;

/// Longest script that is read.
const MOST_BYTES: u64 = 1 << 20;

/// A call of duplicity, as its own command line understands it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The action: `full`, `remove-older-than`, `backup` if none is named.
    pub action: String,
    /// What follows the action.
    pub words: Vec<String>,
    /// Options that have an effect, by their full names, with their values.
    pub options: Vec<(String, Vec<String>)>,
}

/// Understands the words behind `duplicity`, or says in a line why it cannot.
pub type CallReader<'a> = &'a dyn Fn(&[String]) -> Result<Call, String>;

/// Words that do nothing a profile would have to do.
const HARMLESS: &[&str] = &[
    "set", "shopt", "unset", "echo", "printf", "exit", "return", "true", "false", ":", "date",
    "shift", "fi", "done", "esac", "}", "]]",
];

/// Words in front of a command that say when it runs.
const CONDITIONS: &[&str] = &[
    "if", "elif", "while", "until", "then", "else", "do", "{", "!", "time",
];

/// The set-making calls of a script, which must agree on source and target.
struct Backup {
    line: usize,
    source: String,
    target: String,
    params: Params,
    full: bool,
    incremental: bool,
}

struct Import<'a> {
    around: &'a Surroundings,
    variables: Variables,
    backup: Option<Backup>,
    /// Calls that keep house: line, action, words, whether they delete.
    house: Vec<(usize, Call)>,
    /// `nice` and the like of the backup, as keys of `[run]`.
    run: Vec<String>,
    files: Vec<ImportedFile>,
    warnings: Vec<String>,
}

/// Translates the script in `file` into a profile called `name`, or as the script is.
///
/// # Errors
/// No such file, or no call in it that makes a backup.
pub fn import(
    file: &Path,
    name: Option<&str>,
    around: &Surroundings,
    reader: CallReader<'_>,
) -> Result<Imported, Errors> {
    let file = around.current_dir.join(file);
    let fault = |what: String| Errors::single(format!("{}: {what}", file.display()), None);
    let length = std::fs::metadata(&file).map_err(|e| fault(e.to_string()))?;
    if length.len() > MOST_BYTES {
        return Err(fault("is too long for a script".into()));
    }
    let text = std::fs::read(&file).map_err(|e| fault(e.to_string()))?;
    let mut import = Import {
        around,
        variables: Variables::new(around),
        backup: None,
        house: Vec::new(),
        run: Vec::new(),
        files: Vec::new(),
        warnings: Vec::new(),
    };
    for statement in shell::statements(&String::from_utf8_lossy(&text)) {
        import.statement(statement, reader);
    }
    let toml = import.translate(&file).map_err(fault)?;
    let stem = file
        .file_stem()
        .map(|stem| stem.to_string_lossy().into_owned());
    Ok(Imported {
        name: name
            .map(str::to_owned)
            .or(stem)
            .unwrap_or_else(|| "script".to_owned()),
        toml,
        files: import.files,
        warnings: import.warnings,
    })
}

impl Import<'_> {
    fn warn(&mut self, line: usize, text: impl std::fmt::Display) {
        self.warnings.push(format!("line {line}: {text}"));
    }

    fn statement(&mut self, statement: Statement, reader: CallReader<'_>) {
        let Statement {
            line,
            assignments,
            words,
        } = statement;
        let first: String = words
            .first()
            .map(|w| w.iter().map(shell::plain).collect())
            .unwrap_or_default();
        let exports = first == "export" || (first == "declare" && words.len() > 1);
        for assignment in assignments {
            // In front of a command they are for it alone, which is as good as exported here.
            let exported = exports || !words.is_empty();
            self.variables.assign(assignment, exported);
        }
        if words.is_empty() {
            return;
        }
        if DECLARING.contains(&first.as_str()) && first != "env" {
            for word in words.iter().skip(1) {
                let name: String = word.iter().map(shell::plain).collect();
                if exports {
                    self.variables.export(&name);
                }
            }
            return;
        }
        let mut words = words.into_iter().peekable();
        while let Some(word) = words.peek() {
            let text: String = word.iter().map(shell::plain).collect();
            match CONDITIONS.contains(&text.as_str()) {
                true => words.next(),
                false => break,
            };
        }
        let rest: Vec<shell::Word> = words.collect();
        let unknown = |word: &shell::Word| self.variables.expand(word).err();
        let Some(head) = rest.first() else {
            return;
        };
        let head: String = head.iter().map(shell::plain).collect();
        if HARMLESS.contains(&head.as_str()) {
            return;
        }
        let why = rest.iter().find_map(unknown);
        let expanded: Vec<String> = rest
            .iter()
            .filter_map(|w| self.variables.expand(w).ok())
            .flatten()
            .collect();
        let Some(at) = call_in(&expanded) else {
            return self.warn(line, format!("{head} has no counterpart and was left out"));
        };
        if let Some(why) = why {
            return self.warn(
                line,
                format!("a call of duplicity was left out: only the shell knows {why}"),
            );
        }
        let (before, call) = expanded.split_at(at);
        self.wrapper(line, before);
        match reader(call.get(1..).unwrap_or_default()) {
            Ok(call) => self.call(line, call),
            Err(why) => self.warn(line, format!("a call of duplicity was left out: {why}")),
        }
    }

    /// Programs in front of `duplicity`.
    fn wrapper(&mut self, line: usize, words: &[String]) {
        let mut words = words.iter().map(String::as_str).peekable();
        while let Some(word) = words.next() {
            match word {
                "env" | "exec" | "command" | "nohup" | "sudo" => {}
                "nice" => {
                    let n = match words.next_if(|w| w.starts_with('-')) {
                        Some("-n") => words.next(),
                        // `nice -5` is 5.
                        Some(option) => ["--adjustment=", "-n", "-"]
                            .iter()
                            .find_map(|begin| option.strip_prefix(begin)),
                        None => Some("10"),
                    };
                    match n.and_then(|n| n.parse::<i32>().ok()) {
                        Some(n) => self.add_run(format!("nice = {}", n.clamp(-20, 19))),
                        None => self.warn(line, "nice without a number was left out"),
                    }
                }
                "ionice" => {
                    let mut class = None;
                    while let Some(option) = words.next_if(|w| w.starts_with('-')) {
                        let value = match option.len() {
                            2 => words.next(),
                            _ => option.get(2..),
                        };
                        class = value.filter(|_| option.starts_with("-c")).or(class);
                    }
                    let class = match class {
                        Some("3" | "idle") => "idle",
                        _ => "best-effort",
                    };
                    self.add_run(format!("io-class = \"{class}\""));
                }
                other => self.warn(line, format!("{other} in front of duplicity was left out")),
            }
        }
    }

    fn add_run(&mut self, key: String) {
        if !self.run.contains(&key) {
            self.run.push(key);
        }
    }

    fn call(&mut self, line: usize, call: Call) {
        if !matches!(call.action.as_str(), "backup" | "full" | "incremental") {
            return self.house.push((line, call));
        }
        let [source, target] = call.words.as_slice() else {
            return;
        };
        let (full, incremental) = (call.action == "full", call.action == "incremental");
        match &mut self.backup {
            Some(backup) if backup.source == *source && backup.target == *target => {
                backup.full |= full;
                backup.incremental |= incremental;
            }
            Some(backup) => {
                let first = backup.line;
                self.warn(line, format!("a second backup was left out: the profile has the source and target of line {first}; import makes one profile of a script"));
            }
            None => {
                let params = Params::parse(&spelled(&call.options));
                for unknown in &params.unknown {
                    let shown = crate::profile::url::mask(unknown);
                    self.warnings.push(format!(
                        "line {line}: {shown} has no counterpart and was left out"
                    ));
                }
                for text in &params.warnings {
                    self.warnings.push(format!("line {line}: {text}"));
                }
                self.backup = Some(Backup {
                    line,
                    source: source.clone(),
                    target: target.clone(),
                    params,
                    full,
                    incremental,
                });
            }
        }
    }
}

/// Where the program stands among words that only prepare its call.
fn call_in(words: &[String]) -> Option<usize> {
    const WRAPPERS: &[&str] = &[
        "env",
        "exec",
        "command",
        "nohup",
        "sudo",
        "nice",
        "ionice",
        "timeout",
        "chrt",
        "systemd-inhibit",
        "flock",
    ];
    let is_call = |word: &str| {
        Path::new(word)
            .file_name()
            .is_some_and(|n| n == "duplicity")
    };
    let first = words.first()?;
    if is_call(first) {
        return Some(0);
    }
    let name = Path::new(first).file_name()?.to_str()?;
    if !WRAPPERS.contains(&name) {
        return None;
    }
    words.iter().position(|word| is_call(word))
}

/// Options as they are typed.
fn spelled(options: &[(String, Vec<String>)]) -> Vec<String> {
    let one = |(name, values): &(String, Vec<String>)| match values.as_slice() {
        [] => format!("--{name}"),
        values => format!("--{name}={}", values.join(" ")),
    };
    options.iter().map(one).collect()
}
