//! Dumps, as a profile writes them.

use super::entry::{List, OneOrMany, TextOr};
use crate::profile::age::Age;
use crate::profile::dumps::PostgresFormat;
use crate::profile::secret::SecretEntry;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Output of a program, stored as a file: the dump of a database.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct DumpFile {
    /// Name of the file in the folder of the dumps; with `databases`, of a folder with a file for each.
    pub name: String,
    /// Leave it out, although it is inherited.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub disabled: bool,
    /// What is dumped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<DumpWord>,
    /// `"all"`, or names: postgresql, mariadb, mysql; mongodb too, where none means the whole server in one file.
    #[schemars(with = "TextOr<List<String>>")]
    #[serde(skip_serializing_if = "OneOrMany::is_empty")]
    pub databases: OneOrMany<String>,
    /// How postgresql writes them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<PostgresFormat>,
    /// Host, or the directory of a socket; for mariadb and mysql also a socket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// User of the database.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Its password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<SecretEntry>,
    /// The database of sqlite.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Program and arguments of a `command`, whose output is stored.
    #[serde(skip_serializing_if = "List::is_empty")]
    pub command: List<String>,
    /// More arguments for the program that dumps.
    #[serde(skip_serializing_if = "List::is_empty")]
    pub options: List<String>,
    /// Words before each program, as in `["docker", "exec", "-i", "db"]`.
    #[serde(skip_serializing_if = "List::is_empty")]
    pub prefix: List<String>,
    /// How long one dump may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Age>,
    /// A `command` may print nothing.
    pub allow_empty: bool,
}

/// What is dumped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
// The schema would leave other names out.
#[schemars(extend("enum" = ["postgresql", "postgres", "mariadb", "mysql", "mongodb", "sqlite", "command"]))]
#[allow(missing_docs)]
pub enum DumpWord {
    #[serde(alias = "postgres")]
    Postgresql,
    Mariadb,
    Mysql,
    Mongodb,
    Sqlite,
    Command,
}
