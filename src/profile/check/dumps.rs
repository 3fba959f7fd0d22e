//! Checks what is dumped with the source.

use super::Checker;
use crate::profile::Age;
use crate::profile::dumps::{Databases, Dump, DumpKind, Server};
use crate::profile::file::{DumpFile, DumpWord, SourceFile};

impl Checker<'_> {
    pub(super) fn dumps(&mut self, file: &SourceFile, inline: bool) -> Vec<Dump> {
        let mut dumps: Vec<Dump> = Vec::new();
        for (i, entry) in file.dump.0.iter().enumerate() {
            let key = format!("source.dump.{i}");
            if entry.disabled {
                self.taken_away(&key, "dump", &entry.name, entry.kind.is_some());
                continue;
            }
            if let Some(dump) = self.dump(&key, entry, inline) {
                if dumps.iter().any(|d| d.name == dump.name) {
                    self.problem(
                        &format!("{key}.name"),
                        format!("two dumps are called {}", dump.name),
                        Some("give each dump a name of its own".to_owned()),
                    );
                }
                dumps.push(dump);
            }
        }
        if !dumps.is_empty() || file.dump_folder != SourceFile::default().dump_folder {
            self.file_name("source.dump-folder", &file.dump_folder);
        }
        dumps
    }

    fn dump(&mut self, key: &str, file: &DumpFile, inline: bool) -> Option<Dump> {
        if self.excused(key) {
            return None;
        }
        if file.name.is_empty() {
            self.problem(
                key,
                "the dump says no name",
                Some("write name = \"shop.sql\": what its file is called".to_owned()),
            );
            return None;
        }
        self.file_name(&format!("{key}.name"), &file.name);
        let Some(word) = file.kind else {
            let help = "write kind = \"postgresql\", \"mariadb\", \"mysql\", \"mongodb\", \"sqlite\" or \"command\"";
            self.problem(key, "the dump says no kind", Some(help.to_owned()));
            return None;
        };
        self.dump_keys(key, file, word);
        let kind = match word {
            DumpWord::Postgresql => DumpKind::Postgresql {
                databases: self.databases(key, file)?,
                server: self.server(key, file, inline),
                format: file.format.unwrap_or_default(),
            },
            DumpWord::Mariadb | DumpWord::Mysql => DumpKind::Mariadb {
                databases: self.databases(key, file)?,
                server: self.server(key, file, inline),
                mysql: word == DumpWord::Mysql,
            },
            DumpWord::Mongodb => DumpKind::Mongodb {
                databases: match file.databases.is_empty() {
                    true => Databases::All,
                    false => self.databases(key, file)?,
                },
                server: self.server(key, file, inline),
            },
            DumpWord::Sqlite => {
                let Some(path) = &file.path else {
                    let help = "write path = \"/var/lib/app/app.db\"".to_owned();
                    self.problem(key, "the dump says no path", Some(help));
                    return None;
                };
                DumpKind::Sqlite {
                    path: self.path(&format!("{key}.path"), path),
                }
            }
            DumpWord::Command => {
                if file.command.0.first().is_none_or(String::is_empty) {
                    let help = "write command = [\"program\", \"argument\"]".to_owned();
                    self.problem(key, "the dump runs nothing", Some(help));
                    return None;
                }
                DumpKind::Command {
                    argv: file.command.0.clone(),
                    allow_empty: file.allow_empty,
                }
            }
        };
        Some(Dump {
            name: file.name.clone(),
            kind,
            options: file.options.0.clone(),
            prefix: file.prefix.0.clone(),
            timeout: file.timeout.as_ref().map(Age::duration),
        })
    }

    /// A key that means nothing for this kind is a mistake, not a comment.
    fn dump_keys(&mut self, key: &str, file: &DumpFile, word: DumpWord) {
        use DumpWord::{Command, Mariadb, Mongodb, Mysql, Postgresql, Sqlite};
        let servers: &[DumpWord] = &[Postgresql, Mariadb, Mysql, Mongodb];
        let set = [
            ("databases", !file.databases.is_empty(), servers),
            ("host", file.host.is_some(), servers),
            ("port", file.port.is_some(), servers),
            ("user", file.user.is_some(), servers),
            ("password", file.password.is_some(), servers),
            ("format", file.format.is_some(), &[Postgresql]),
            ("path", file.path.is_some(), &[Sqlite]),
            ("command", !file.command.is_empty(), &[Command]),
            ("allow-empty", file.allow_empty, &[Command]),
            (
                "options",
                !file.options.is_empty(),
                &[Postgresql, Mariadb, Mysql, Mongodb, Sqlite],
            ),
        ];
        for (name, is_set, kinds) in set {
            if is_set && !kinds.contains(&word) {
                let kind = format!("{word:?}").to_lowercase();
                self.problem(
                    &format!("{key}.{name}"),
                    format!("{name} means nothing for a dump of the kind {kind}"),
                    Some("leave it out".to_owned()),
                );
            }
        }
    }

    fn databases(&mut self, key: &str, file: &DumpFile) -> Option<Databases> {
        let names = &file.databases.0;
        if names.is_empty() || names.iter().any(String::is_empty) {
            let help = "write databases = \"all\", or databases = [\"shop\"]".to_owned();
            self.problem(key, "the dump says no databases", Some(help));
            return None;
        }
        Some(match names.as_slice() {
            [one] if one == "all" => Databases::All,
            _ => Databases::Named(names.clone()),
        })
    }

    fn server(&mut self, key: &str, file: &DumpFile, inline: bool) -> Server {
        let password = file
            .password
            .as_ref()
            .and_then(|p| self.secret(&format!("{key}.password"), p, inline));
        Server {
            host: file.host.clone(),
            port: file.port,
            user: file.user.clone(),
            password,
        }
    }
}
