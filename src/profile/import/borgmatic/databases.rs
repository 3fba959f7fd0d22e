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
    ("sqlite_databases", "sqlite"),
];

/// What is taken over of a database.
const KNOWN: &[&str] = &[
    "name", "path", "hostname", "port", "username", "password", "format", "options", "label",
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
                self.line(&format!("name = {}", quote(&dump)));
                match name.as_str() {
                    "all" => self.line("databases = \"all\""),
                    name => self.line(&format!("databases = {}", list(&[name.to_owned()]))),
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
                if let Some(options) = field(table, "options") {
                    match split_words(&options) {
                        Ok(words) => self.line(&format!("options = {}", list(&words))),
                        Err(_) => self.left_out(key, &options),
                    }
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
