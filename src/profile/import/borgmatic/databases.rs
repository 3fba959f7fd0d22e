//! Databases borgmatic dumps, as dumps of a profile.

use super::super::{list, quote};
use super::Import;
use super::config::field;
use crate::engine::storage::split_words;

/// Key, kind of dump, beginning of its name.
const KINDS: &[(&str, &str)] = &[
    ("postgresql_databases", "postgresql"),
    ("mariadb_databases", "mariadb"),
    ("mysql_databases", "mysql"),
    ("mongodb_databases", "mongodb"),
    ("sqlite_databases", "sqlite"),
];

/// What is taken over of a database.
const KNOWN: &[&str] = &[
    "name",
    "path",
    "hostname",
    "port",
    "username",
    "password",
    "authentication_database",
    "format",
    "options",
    "label",
];

impl Import<'_> {
    /// Dumps stand in the table of the source.
    pub(super) fn databases(&mut self) {
        for (key, kind) in KINDS {
            for (n, table) in self.config.values(key).iter().enumerate() {
                let Some(name) = field(table, "name") else {
                    self.left_out(key, "a database without a name");
                    continue;
                };
                let mut dump = (*kind).to_owned();
                if n > 0 {
                    dump.push_str(&(n + 1).to_string());
                }
                self.line(&format!("\n[[source.dump]]\nkind = {}", quote(kind)));
                if *kind == "sqlite" {
                    let path = field(table, "path").unwrap_or_default();
                    let path = self.base.join(self.at_home(&path));
                    self.line(&format!("name = {}", quote(&format!("{dump}.sql"))));
                    self.line(&format!("path = {}", quote(&path.to_string_lossy())));
                    continue;
                }
                match (*kind, name.as_str()) {
                    // The whole server is one file.
                    ("mongodb", "all") => {
                        self.line(&format!("name = {}", quote(&format!("{dump}.archive"))));
                    }
                    (_, "all") => {
                        self.line(&format!("name = {}\ndatabases = \"all\"", quote(&dump)));
                    }
                    (_, name) => {
                        let names = list(&[name.to_owned()]);
                        self.line(&format!("name = {}\ndatabases = {names}", quote(&dump)));
                    }
                }
                for (from, to) in [("hostname", "host"), ("username", "user")] {
                    if let Some(text) = field(table, from) {
                        self.line(&format!("{to} = {}", quote(&text)));
                    }
                }
                if let Some(port) = field(table, "port") {
                    self.line(&format!("port = {port}"));
                }
                if let Some(password) = field(table, "password") {
                    let place = self.secret(&format!("{dump}.pass"), &password);
                    self.line(&format!("password = {place}"));
                }
                if *kind == "postgresql" {
                    // As borgmatic does where nothing is said.
                    let usual = if name == "all" { "plain" } else { "custom" };
                    match field(table, "format").as_deref().unwrap_or(usual) {
                        format @ ("plain" | "custom" | "tar") => {
                            self.line(&format!("format = \"{format}\""));
                        }
                        other => self.left_out(key, &format!("the format {other}")),
                    }
                }
                let folder = field(table, "format").filter(|_| *kind == "mongodb");
                if let Some(format) = folder.filter(|format| format != "archive") {
                    self.left_out(key, &format!("the format {format}"));
                }
                let mut words = Vec::new();
                if let Some(database) = field(table, "authentication_database") {
                    words.push(format!("--authenticationDatabase={database}"));
                }
                if let Some(options) = field(table, "options") {
                    match split_words(&options) {
                        Ok(more) => words.extend(more),
                        Err(_) => self.left_out(key, &options),
                    }
                }
                if !words.is_empty() {
                    self.line(&format!("options = {}", list(&words)));
                }
                let names = table.as_object().map(|t| t.keys().cloned());
                for other in names.into_iter().flatten() {
                    if !KNOWN.contains(&other.as_str()) {
                        self.left_out(key, &format!("{other} of {name}"));
                    }
                }
            }
        }
    }
}
