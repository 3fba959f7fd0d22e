//! What is dumped with a source: output of programs that is stored as files.

use super::secret::SecretRef;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// One dump, or one for each database of a server.
#[derive(Debug, Clone, PartialEq)]
pub struct Dump {
    /// Name of the file, or of the folder with a file for each database.
    pub name: String,
    /// What is dumped, and how.
    pub kind: DumpKind,
    /// More arguments for the program that dumps.
    pub options: Vec<String>,
    /// Words before each program.
    pub prefix: Vec<String>,
    /// How long one dump may take; no limit if absent.
    pub timeout: Option<Duration>,
}

/// What is dumped.
#[derive(Debug, Clone, PartialEq)]
pub enum DumpKind {
    /// By `pg_dump`, with roles by `pg_dumpall` where all databases are meant.
    Postgresql {
        /// Which.
        databases: Databases,
        /// Where.
        server: Server,
        /// How they are written.
        format: PostgresFormat,
    },
    /// By `mariadb-dump`, or by `mysqldump`.
    Mariadb {
        /// Which.
        databases: Databases,
        /// Where.
        server: Server,
        /// Whether the programs are called as MySQL calls them.
        mysql: bool,
    },
    /// By `mongodump`: an archive of the whole server, or one of each database that is named.
    Mongodb {
        /// Which.
        databases: Databases,
        /// Where.
        server: Server,
    },
    /// By `sqlite3`, as SQL.
    Sqlite {
        /// The database.
        path: PathBuf,
    },
    /// What a program prints.
    Command {
        /// Program and arguments.
        argv: Vec<String>,
        /// Whether it may print nothing.
        allow_empty: bool,
    },
}

/// Databases of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Databases {
    /// All there are when the backup begins.
    All,
    /// These.
    Named(Vec<String>),
}

/// How to reach a server; what is absent is left to the defaults of its programs.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Server {
    /// Host, or the directory of a socket, or a socket.
    pub host: Option<String>,
    /// Port.
    pub port: Option<u16>,
    /// User.
    pub user: Option<String>,
    /// Password. Never in an argument.
    pub password: Option<SecretRef>,
}

/// How postgresql writes a database. Its folders cannot be streamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PostgresFormat {
    /// SQL, for `psql`.
    #[default]
    Plain,
    /// For `pg_restore`, which can pick from it. Not compressed, so that the next one is stored as a small difference.
    Custom,
    /// For `pg_restore`.
    Tar,
}

impl Dump {
    /// The password, if there is one.
    pub fn password(&self) -> Option<&SecretRef> {
        match &self.kind {
            DumpKind::Postgresql { server, .. }
            | DumpKind::Mariadb { server, .. }
            | DumpKind::Mongodb { server, .. } => server.password.as_ref(),
            _ => None,
        }
    }
}

impl fmt::Display for Dump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            DumpKind::Postgresql { databases, .. } => write!(f, "postgresql, {databases}"),
            DumpKind::Mariadb {
                databases, mysql, ..
            } => {
                let word = if *mysql { "mysql" } else { "mariadb" };
                write!(f, "{word}, {databases}")
            }
            DumpKind::Mongodb { databases, .. } => write!(f, "mongodb, {databases}"),
            DumpKind::Sqlite { path } => write!(f, "sqlite, {}", path.display()),
            DumpKind::Command { argv, .. } => {
                write!(f, "output of {}", argv.first().map_or("", String::as_str))
            }
        }
    }
}

impl fmt::Display for Databases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Databases::All => f.write_str("all databases"),
            Databases::Named(names) => f.write_str(&names.join(", ")),
        }
    }
}
