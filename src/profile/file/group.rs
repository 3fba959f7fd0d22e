//! What `groups.toml` may say, for editors. Groups are read and checked by `profile::group`, key by key; a test holds the
//! two to the same keys.

use super::{HookFile, List, ReportFile, Scalar};
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Groups of profiles by name: a list of members, or a table that runs as one.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct GroupsFile(BTreeMap<String, GroupEntry>);

/// A group.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum GroupEntry {
    /// A name for several profiles: names, globs, other groups.
    List(Vec<String>),
    /// A group that runs as one.
    Table(Box<GroupFile>),
}

/// A group that runs as one, with hooks and a report of its own.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct GroupFile {
    /// Members: names of profiles, globs, other groups.
    pub profiles: Vec<String>,
    /// Free text for people.
    pub description: Option<String>,
    /// Members that run at a time; 1 keeps the order.
    #[schemars(range(min = 1, max = 64))]
    pub parallel: Option<u32>,
    /// Whether the others still run when one has failed: true.
    pub continue_on_error: Option<bool>,
    /// Whether members send messages of their own although the group reports: false.
    pub member_reports: Option<bool>,
    /// Programs around all of it.
    pub hook: Option<List<HookFile>>,
    /// Who is told of the whole.
    pub report: Option<ReportFile>,
    /// Values for `${vars.NAME}` in strings.
    pub vars: Option<BTreeMap<String, Scalar>>,
    /// Allows secrets in the file itself.
    pub allow_inline_secrets: Option<bool>,
}

/// The JSON Schema of `groups.toml`.
pub fn groups_schema() -> Schema {
    schemars::schema_for!(GroupsFile)
}
