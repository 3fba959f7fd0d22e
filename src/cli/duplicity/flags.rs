//! Every option of duplicity 0.8 to 3.2, and what dupr does with it. docs/duplicity.md is made from this table.

/// Values an option takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arity {
    /// None.
    Flag,
    /// One.
    Value,
    /// Two.
    Pair,
}

/// What becomes of an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It works.
    Honored,
    /// Accepted without effect, and why.
    Ignored(&'static str),
    /// Refused, and why.
    Refused(&'static str),
}

/// An option.
#[derive(Debug, Clone, Copy)]
pub struct Flag {
    /// Long name without dashes.
    pub name: &'static str,
    /// The option it is another name of; its own name otherwise.
    pub means: &'static str,
    /// Short name.
    pub short: Option<char>,
    /// Values it takes.
    pub arity: Arity,
    /// What becomes of it.
    pub effect: Effect,
}

const fn flag(name: &'static str, arity: Arity, effect: Effect) -> Flag {
    Flag {
        name,
        means: name,
        short: None,
        arity,
        effect,
    }
}

const fn short(name: &'static str, letter: char, arity: Arity) -> Flag {
    Flag {
        name,
        means: name,
        short: Some(letter),
        arity,
        effect: Effect::Honored,
    }
}

const fn alias(name: &'static str, means: &'static str, arity: Arity) -> Flag {
    Flag {
        name,
        means,
        short: None,
        arity,
        effect: Effect::Honored,
    }
}

use Arity::{Flag as F, Pair, Value as V};
use Effect::{Honored, Ignored, Refused};

const NOT_YET: Effect = Refused("is not available yet");
const NO_EFFECT: Effect = Ignored("has no effect here");
const NOT_NEEDED: Effect = Ignored("is not needed here");

/// The table.
pub const FLAGS: &[Flag] = &[
    // General
    flag("archive-dir", V, Honored),
    flag("config-dir", V, NO_EFFECT),
    flag("name", V, Honored),
    flag("tempdir", V, Honored),
    flag("dry-run", F, Honored),
    flag("force", F, Honored),
    flag(
        "ignore-errors",
        F,
        Ignored("is always on: what can be restored is, and losses are told"),
    ),
    flag("num-retries", V, Honored),
    flag("backend-retry-delay", V, Honored),
    flag("timeout", V, Honored),
    flag("metadata-sync-mode", V, NO_EFFECT),
    flag("check-remote", F, NO_EFFECT),
    flag("no-check-remote", F, NOT_YET),
    flag("null-separator", F, Honored),
    flag("copy-blocksize", V, NO_EFFECT),
    flag("time-separator", V, Honored),
    flag("old-filenames", F, Honored),
    flag("short-filenames", F, Honored),
    flag("file-prefix", V, Honored),
    flag("file-prefix-archive", V, Honored),
    flag("file-prefix-manifest", V, Honored),
    flag("file-prefix-signature", V, Honored),
    flag("file-prefix-jsonstat", V, Honored),
    short("version", 'V', F),
    short("help", 'h', F),
    // Logging
    short("verbosity", 'v', V),
    flag("log-fd", V, NOT_YET),
    flag("log-file", V, NOT_YET),
    flag("log-timestamp", F, NO_EFFECT),
    flag("progress", F, NO_EFFECT),
    flag("progress-rate", V, NO_EFFECT),
    flag("print-statistics", F, NO_EFFECT),
    flag("no-print-statistics", F, Honored),
    flag("jsonstat", F, NOT_YET),
    flag("files-changed", F, NO_EFFECT),
    flag("no-files-changed", F, NO_EFFECT),
    // Backup
    flag("allow-source-mismatch", F, Honored),
    flag("volsize", V, Honored),
    flag("max-blocksize", V, Honored),
    flag("full-if-older-than", V, Honored),
    flag("full-if-n-inc", V, Honored),
    flag("skip-if-no-change", F, NOT_YET),
    flag("concurrency", V, Honored),
    flag("asynchronous-upload", F, NOT_NEEDED),
    flag("copy-links", F, Honored),
    flag("compression", F, NO_EFFECT),
    flag("no-compression", F, Honored),
    // Encryption
    flag("encryption", F, NO_EFFECT),
    flag("no-encryption", F, Honored),
    flag("encrypt-key", V, Honored),
    flag("hidden-encrypt-key", V, Honored),
    flag("sign-key", V, Honored),
    flag("encrypt-sign-key", V, Honored),
    flag("encrypt-secret-keyring", V, NO_EFFECT),
    flag("gpg-binary", V, Honored),
    flag("gpg-options", V, NO_EFFECT),
    flag("use-agent", F, Honored),
    flag("use-gpgsm", F, NOT_YET),
    // Selection
    flag("include", V, Honored),
    flag("exclude", V, Honored),
    flag("include-filelist", V, Honored),
    flag("exclude-filelist", V, Honored),
    alias("include-globbing-filelist", "include-filelist", V),
    alias("exclude-globbing-filelist", "exclude-filelist", V),
    flag("include-regexp", V, Honored),
    flag("exclude-regexp", V, Honored),
    flag("exclude-if-present", V, Honored),
    flag("exclude-device-files", F, Honored),
    flag("exclude-other-filesystems", F, Honored),
    flag("exclude-older-than", V, Honored),
    flag("files-from", V, Honored),
    flag("filter-globbing", F, Honored),
    flag("filter-literal", F, Honored),
    flag("filter-regexp", F, Honored),
    flag("filter-ignorecase", F, Honored),
    flag("filter-strictcase", F, Honored),
    // Restore, verify, status
    short("time", 't', V),
    alias("restore-time", "time", V),
    short("path-to-restore", 'r', V),
    alias("file-to-restore", "path-to-restore", V),
    flag("restore-ownership", F, NO_EFFECT),
    flag("no-restore-ownership", F, Honored),
    alias("do-not-restore-ownership", "no-restore-ownership", F),
    flag("numeric-owner", F, Honored),
    flag("rename", Pair, NOT_YET),
    flag("compare-data", F, Honored),
    flag("file-changed", V, NOT_YET),
    flag("show-changes-in-set", V, NOT_YET),
    // Storage
    flag("ssh-askpass", F, NOT_YET),
    flag("ssh-options", V, Honored),
    flag("scp-command", V, NO_EFFECT),
    flag("sftp-command", V, NO_EFFECT),
    flag("s3-endpoint-url", V, Honored),
    flag("s3-region-name", V, Honored),
    flag("s3-unencrypted-connection", F, NOT_NEEDED),
    flag("s3-use-rrs", F, NO_EFFECT),
    flag("s3-use-ia", F, Honored),
    flag("s3-use-onezone-ia", F, Honored),
    flag("s3-use-glacier", F, Honored),
    flag("s3-use-glacier-ir", F, Honored),
    flag("s3-use-deep-archive", F, Honored),
    flag("s3-use-server-side-encryption", F, NOT_YET),
    flag("s3-multipart-chunk-size", V, NO_EFFECT),
    flag("s3-multipart-max-procs", V, NO_EFFECT),
    flag("s3-multipart-max-timeout", V, NO_EFFECT),
    flag("s3-european-buckets", F, NOT_NEEDED),
    flag("s3-use-new-style", F, NOT_NEEDED),
    flag("s3-use-multiprocessing", F, NOT_NEEDED),
    // Tests
    flag("current-time", V, Honored),
];

/// The option of this name, in full or abbreviated to a unique beginning.
///
/// # Errors
/// All candidates if there are several; none if the name is not known.
pub fn find(name: &str) -> Result<&'static Flag, Vec<&'static str>> {
    if let Some(flag) = FLAGS.iter().find(|f| f.name == name) {
        return Ok(flag);
    }
    let found: Vec<&Flag> = FLAGS.iter().filter(|f| f.name.starts_with(name)).collect();
    match found.as_slice() {
        [one] => Ok(one),
        many => Err(many.iter().map(|f| f.name).collect()),
    }
}

/// The option of this letter.
pub fn find_short(letter: char) -> Option<&'static Flag> {
    FLAGS.iter().find(|f| f.short == Some(letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_meanings_exist() {
        for (i, f) in FLAGS.iter().enumerate() {
            assert!(
                FLAGS.iter().skip(i + 1).all(|g| g.name != f.name),
                "{}",
                f.name
            );
            assert!(
                FLAGS
                    .iter()
                    .any(|g| g.name == f.means && g.arity == f.arity),
                "{}",
                f.means
            );
        }
    }

    #[test]
    fn abbreviations_are_unique_beginnings() {
        assert_eq!(find("no-enc").unwrap().name, "no-encryption");
        assert_eq!(find("include").unwrap().name, "include");
        assert!(find("exclude-").unwrap_err().len() > 2);
        assert!(find("nonsense").unwrap_err().is_empty());
    }
}
