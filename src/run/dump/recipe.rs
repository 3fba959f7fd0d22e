//! Which program dumps what, and with which words. Nothing is started here, and no secret gets into an argument.

use crate::engine::secret::Secret;
use crate::profile::{Databases, Dump, DumpKind, PostgresFormat, Server};
use crate::run::program::Program;
use std::ffi::OsString;

/// Databases of PostgreSQL that can be dumped; names end with a NUL byte.
const POSTGRES_NAMES: &str =
    "SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate ORDER BY 1";

/// What MariaDB and MySQL list as databases and is none.
pub(super) const NOT_DUMPED: [&str; 3] = ["information_schema", "performance_schema", "sys"];

/// Makes the programs of one dump.
pub(super) struct Recipe<'a> {
    pub dump: &'a Dump,
    /// The password, read.
    pub password: Option<Secret>,
    /// Variables that hold secrets of the profile.
    pub withheld: &'a [String],
}

impl Recipe<'_> {
    /// A program of this dump.
    fn program(&self, words: Vec<String>) -> Program {
        let mut argv = self.dump.prefix.clone();
        argv.extend(words);
        Program {
            argv,
            withheld: self.withheld.to_vec(),
            timeout: self.dump.timeout,
            ..Program::default()
        }
    }

    /// The programs this dump needs, each called so that it only tells its version.
    pub fn tools(&self) -> Vec<Program> {
        let names: Vec<&str> = match &self.dump.kind {
            DumpKind::Postgresql { .. } => vec!["pg_dump", "psql"],
            DumpKind::Mariadb { mysql: true, .. } => vec!["mysqldump", "mysql"],
            DumpKind::Mariadb { .. } => vec!["mariadb-dump", "mariadb"],
            DumpKind::Mongodb { .. } => vec!["mongodump"],
            DumpKind::Sqlite { .. } => vec!["sqlite3"],
            DumpKind::Command { .. } => Vec::new(),
        };
        names
            .into_iter()
            .map(|name| self.program(vec![name.to_owned(), "--version".to_owned()]))
            .collect()
    }

    /// The only program of a dump without databases, and `None` for one with.
    pub fn single(&self) -> Option<Program> {
        match &self.dump.kind {
            DumpKind::Sqlite { path } => {
                let mut words: Vec<String> = ["sqlite3", "-batch", "-bail", "-readonly"]
                    .map(str::to_owned)
                    .to_vec();
                words.extend(self.dump.options.iter().cloned());
                // A writer that is busy is waited for.
                words.extend(["-cmd".to_owned(), ".timeout 60000".to_owned()]);
                words.push(path.display().to_string());
                words.push(".dump".to_owned());
                let mut program = self.program(words);
                // It ends with 0 whatever it could not read.
                program.ends_with = Some(b"COMMIT;\n");
                Some(program)
            }
            DumpKind::Command { argv, allow_empty } => {
                let mut program = self.program(argv.clone());
                program.may_be_empty = *allow_empty;
                Some(program)
            }
            DumpKind::Mongodb {
                databases: Databases::All,
                server,
            } => Some(self.mongo(server, None)),
            DumpKind::Postgresql { .. } | DumpKind::Mariadb { .. } | DumpKind::Mongodb { .. } => {
                None
            }
        }
    }

    /// Lists the databases of a server; `separator` ends each name.
    pub fn names(&self) -> Option<(Program, u8)> {
        match &self.dump.kind {
            DumpKind::Postgresql { server, .. } => {
                let mut words = self.postgres("psql", server);
                words.extend(
                    [
                        "--no-psqlrc",
                        "--tuples-only",
                        "--no-align",
                        "--record-separator-zero",
                    ]
                    .map(str::to_owned),
                );
                words.extend([
                    connection("postgres"),
                    format!("--command={POSTGRES_NAMES}"),
                ]);
                Some((self.with_pg_password(words), 0))
            }
            DumpKind::Mariadb { server, mysql, .. } => {
                let name = if *mysql { "mysql" } else { "mariadb" };
                let mut words = self.maria(name, server);
                words.extend(
                    ["--batch", "--skip-column-names", "--execute=SHOW DATABASES"]
                        .map(str::to_owned),
                );
                Some((self.with_maria_password(words), b'\n'))
            }
            _ => None,
        }
    }

    /// Dumps one database of a server: the ending of its file, and the program.
    pub fn database(&self, name: &str) -> Option<(&'static str, Program)> {
        match &self.dump.kind {
            DumpKind::Postgresql { server, format, .. } => {
                let (ending, more): (_, &[&str]) = match format {
                    PostgresFormat::Plain => ("sql", &["--format=plain"]),
                    PostgresFormat::Custom => ("dump", &["--format=custom", "--compress=0"]),
                    PostgresFormat::Tar => ("tar", &["--format=tar"]),
                };
                let mut words = self.postgres("pg_dump", server);
                words.extend(more.iter().map(|w| (*w).to_owned()));
                words.extend(self.dump.options.iter().cloned());
                words.push(connection(name));
                Some((ending, self.with_pg_password(words)))
            }
            DumpKind::Mariadb { server, mysql, .. } => {
                let tool = if *mysql { "mysqldump" } else { "mariadb-dump" };
                let mut words = self.maria(tool, server);
                let usual = [
                    "--single-transaction",
                    "--quick",
                    "--routines",
                    "--events",
                    "--triggers",
                    "--skip-dump-date",
                ];
                words.extend(usual.map(str::to_owned));
                words.extend(self.dump.options.iter().cloned());
                words.extend(["--databases".to_owned(), "--".to_owned(), name.to_owned()]);
                Some(("sql", self.with_maria_password(words)))
            }
            DumpKind::Mongodb { server, .. } => Some(("archive", self.mongo(server, Some(name)))),
            _ => None,
        }
    }

    /// Dumps what belongs to no database: the roles of PostgreSQL.
    pub fn globals(&self) -> Option<Program> {
        let DumpKind::Postgresql { server, .. } = &self.dump.kind else {
            return None;
        };
        let mut words = self.postgres("pg_dumpall", server);
        words.push("--globals-only".to_owned());
        Some(self.with_pg_password(words))
    }

    fn postgres(&self, tool: &str, server: &Server) -> Vec<String> {
        let mut words = vec![tool.to_owned(), "--no-password".to_owned()];
        words.extend(server.host.iter().map(|h| format!("--host={h}")));
        words.extend(server.port.iter().map(|p| format!("--port={p}")));
        words.extend(server.user.iter().map(|u| format!("--username={u}")));
        words
    }

    fn with_pg_password(&self, words: Vec<String>) -> Program {
        let mut program = self.program(words);
        if let Some(password) = &self.password {
            use std::os::unix::ffi::OsStringExt;
            let value = OsString::from_vec(password.expose().to_vec());
            program.variables.push(("PGPASSWORD".to_owned(), value));
        }
        program
    }

    fn maria(&self, tool: &str, server: &Server) -> Vec<String> {
        let mut words = vec![tool.to_owned()];
        if self.password.is_some() {
            // It must be the first option.
            words.push("--defaults-extra-file=/dev/stdin".to_owned());
        }
        match &server.host {
            Some(socket) if socket.starts_with('/') => words.push(format!("--socket={socket}")),
            Some(host) => words.push(format!("--host={host}")),
            None => {}
        }
        words.extend(server.port.iter().map(|p| format!("--port={p}")));
        words.extend(server.user.iter().map(|u| format!("--user={u}")));
        words
    }

    /// MongoDB's program, for one database or the whole server.
    fn mongo(&self, server: &Server, database: Option<&str>) -> Program {
        let mut words = vec!["mongodump".to_owned()];
        if self.password.is_some() {
            words.push("--config=/dev/stdin".to_owned());
        }
        words.extend(server.host.iter().map(|h| format!("--host={h}")));
        words.extend(server.port.iter().map(|p| format!("--port={p}")));
        if let Some(user) = &server.user {
            words.push(format!("--username={user}"));
            // Else a user is looked for in the database that is dumped.
            let elsewhere = |word: &String| word.starts_with("--authenticationDatabase");
            if !self.dump.options.iter().any(elsewhere) {
                words.push("--authenticationDatabase=admin".to_owned());
            }
        }
        words.push("--archive".to_owned());
        words.extend(self.dump.options.iter().cloned());
        words.extend(database.map(|name| format!("--db={name}")));
        let mut program = self.program(words);
        program.input = self.quoted("password: \"");
        program
    }

    fn with_maria_password(&self, words: Vec<String>) -> Program {
        let mut program = self.program(words);
        program.input = self.quoted("[client]\npassword=\"");
        program
    }

    /// The password in quotes, as option files and YAML both read it, behind the text that opens them.
    fn quoted(&self, begin: &str) -> Option<Secret> {
        self.password.as_ref().map(|password| {
            let mut text = begin.as_bytes().to_vec();
            for byte in password.expose() {
                if matches!(byte, b'"' | b'\\') {
                    text.push(b'\\');
                }
                text.push(*byte);
            }
            text.extend_from_slice(b"\"\n");
            let secret = Secret::new(text.as_slice());
            text.fill(0);
            secret
        })
    }
}

/// A database as an argument of PostgreSQL's programs, which would read a name with `=` as a list of settings.
fn connection(name: &str) -> String {
    let quoted = name.replace('\\', "\\\\").replace('\'', "\\'");
    format!("--dbname=dbname='{quoted}'")
}

/// The name of a database as that of a file.
pub(super) fn file_name(database: &str, ending: &str) -> String {
    let mut name = String::new();
    for (i, c) in database.chars().enumerate() {
        if c == '/' || c == '%' || c.is_control() || (i == 0 && c == '.') {
            for byte in c.to_string().bytes() {
                name.push_str(&format!("%{byte:02X}"));
            }
        } else {
            name.push(c);
        }
    }
    format!("{name}.{ending}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe(dump: &Dump) -> Recipe<'_> {
        Recipe {
            dump,
            password: Some(Secret::new("c4na\"ry")),
            withheld: &[],
        }
    }

    fn server() -> Server {
        Server {
            host: Some("/run/db".into()),
            port: Some(7),
            user: Some("me".into()),
            password: None,
        }
    }

    #[test]
    fn no_secret_stands_in_an_argument() {
        let postgres = Dump {
            name: "pg".into(),
            kind: DumpKind::Postgresql {
                databases: Databases::All,
                server: server(),
                format: PostgresFormat::Custom,
            },
            options: vec!["--no-owner".into()],
            prefix: vec!["docker".into(), "exec".into()],
            timeout: None,
        };
        let recipe_of = recipe(&postgres);
        let (ending, program) = recipe_of.database("a='b").unwrap();
        assert_eq!(ending, "dump");
        assert_eq!(
            program.argv.join(" "),
            "docker exec pg_dump --no-password --host=/run/db --port=7 --username=me --format=custom --compress=0 \
             --no-owner --dbname=dbname='a=\\'b'"
        );
        assert_eq!(program.variables[0].1, "c4na\"ry");
        let maria = Dump {
            kind: DumpKind::Mariadb {
                databases: Databases::All,
                server: server(),
                mysql: false,
            },
            prefix: Vec::new(),
            ..postgres.clone()
        };
        let recipe_of = recipe(&maria);
        let (_, program) = recipe_of.database("shop").unwrap();
        assert_eq!(
            program.argv[..3].join(" "),
            "mariadb-dump --defaults-extra-file=/dev/stdin --socket=/run/db"
        );
        assert!(
            program
                .argv
                .ends_with(&["--databases".into(), "--".into(), "shop".into()])
        );
        assert_eq!(
            program.input.unwrap().expose(),
            b"[client]\npassword=\"c4na\\\"ry\"\n"
        );
        let mongo = Dump {
            kind: DumpKind::Mongodb {
                databases: Databases::All,
                server: server(),
            },
            options: Vec::new(),
            ..maria.clone()
        };
        let recipe_of = recipe(&mongo);
        let program = recipe_of.single().unwrap();
        assert_eq!(
            program.argv.join(" "),
            "mongodump --config=/dev/stdin --host=/run/db --port=7 --username=me --authenticationDatabase=admin --archive"
        );
        assert_eq!(
            program.input.unwrap().expose(),
            b"password: \"c4na\\\"ry\"\n"
        );
        for dump in [&postgres, &maria, &mongo] {
            let all = recipe(dump);
            let programs = [all.names().map(|n| n.0), all.globals(), all.single()];
            for program in programs.into_iter().flatten().chain(all.tools()) {
                assert!(
                    !program.argv.join(" ").contains("c4na"),
                    "{:?}",
                    program.argv
                );
            }
        }
    }

    #[test]
    fn names_of_databases_are_names_of_files() {
        assert_eq!(file_name("shop", "sql"), "shop.sql");
        assert_eq!(file_name("../a%", "sql"), "%2E.%2Fa%25.sql");
    }
}
