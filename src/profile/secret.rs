//! Where secrets come from. A profile holds references; values are read when a run needs them.

use crate::engine::secret::Secret;
use std::path::PathBuf;

/// Where a secret comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretRef {
    /// The first line of a file that only its owner can read.
    File(PathBuf),
    /// A variable of the environment.
    Env(String),
    /// The first line a program prints; program and arguments, no shell.
    Command(Vec<String>),
    /// Asked for at the terminal, with this prompt.
    Prompt(String),
    /// A credential systemd hands to the service, by name.
    SystemdCredential(String),
    /// In the profile itself.
    Inline(Secret),
}
