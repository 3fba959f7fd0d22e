//! File names.
use super::FileName;

/// Prefixes and spelling of the file names at one target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Naming {
    /// Before every name (`--file-prefix`).
    pub prefix: String,
    /// After it, before volumes.
    pub archive: String,
    /// After it, before manifests.
    pub manifest: String,
    /// After it, before sigtars.
    pub signature: String,
    /// After it, before statistics.
    pub stats: String,
    /// Between the fields of clock times in old names.
    pub time_separator: char,
    /// Which spelling is written; all are read.
    pub style: NameStyle,
}

/// Spelling of file names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NameStyle {
    /// `duplicity-full.20261120T215423Z.manifest`.
    #[default]
    Long,
    /// `df.totmk5.m`, written by duplicity up to 1.x on request.
    Short,
    /// Long words with clock times as `2026-11-20T21:54:23Z`.
    Old,
}

impl Naming {
    /// What a name says; `None` if it is not of the format.
    pub fn parse(&self, _name: &str) -> Option<FileName> {
        None
    }
}
