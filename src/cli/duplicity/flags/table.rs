//! The table: one row for each option, in the groups of the help.

use super::Arity::{Either, Flag as F, Pair, Value as V};
use super::Effect::{Always, Gone, Honored, Ignored, Renamed};
use super::Group::{Backup, Encryption, General, Hidden, Logging, Restore, Selection, Storage};
use super::{Arity, Effect, Flag, Group};

const fn row(group: Group, name: &'static str, arity: Arity, effect: Effect) -> Flag {
    Flag {
        name,
        means: name,
        short: None,
        arity,
        effect,
        group,
    }
}

const fn short(group: Group, name: &'static str, letter: char, arity: Arity) -> Flag {
    Flag {
        short: Some(letter),
        ..row(group, name, arity, Honored)
    }
}

const fn alias(
    group: Group,
    name: &'static str,
    means: &'static str,
    arity: Arity,
    effect: Effect,
) -> Flag {
    Flag {
        means,
        ..row(group, name, arity, effect)
    }
}

const fn old_boto(name: &'static str, arity: Arity) -> Flag {
    row(
        Storage,
        name,
        arity,
        Gone("was for S3 libraries of 2015; use --s3-region-name and --s3-endpoint-url"),
    )
}

const STDIN: Effect =
    Renamed("is old: write --include-filelist /dev/stdin or --exclude-filelist /dev/stdin");
const TESTS: Effect = Ignored("is for tests of duplicity and has no effect");

/// Every option of duplicity 0.8 to 3.2.
#[rustfmt::skip]
pub const TABLE: &[Flag] = &[
    row(General, "archive-dir", V, Honored),
    row(General, "config-dir", V, Ignored("has no effect, nor has it in duplicity")),
    row(General, "name", V, Honored),
    row(General, "tempdir", V, Honored),
    row(General, "dry-run", F, Honored),
    row(General, "force", F, Honored),
    row(General, "ignore-errors", F, Always("what can be restored is, and losses are told")),
    row(General, "num-retries", V, Honored),
    row(General, "backend-retry-delay", V, Honored),
    row(General, "timeout", V, Honored),
    row(General, "metadata-sync-mode", V, Honored),
    row(General, "check-remote", F, Always("the target is always listed")),
    row(General, "no-check-remote", F, Honored),
    row(General, "null-separator", F, Honored),
    row(General, "copy-blocksize", V, Ignored("has no effect: buffers have a fixed size")),
    row(General, "time-separator", V, Honored),
    row(General, "old-filenames", F, Honored),
    row(General, "short-filenames", F, Honored),
    row(General, "file-prefix", V, Honored),
    row(General, "file-prefix-archive", V, Honored),
    row(General, "file-prefix-manifest", V, Honored),
    row(General, "file-prefix-signature", V, Honored),
    row(General, "file-prefix-jsonstat", V, Honored),
    short(General, "version", 'V', F),
    short(General, "help", 'h', F),
    row(General, "help-urls", F, Honored),
    alias(General, "help-backup", "help", F, Honored),
    alias(General, "help-full", "help", F, Honored),
    alias(General, "help-inc", "help", F, Honored),
    alias(General, "help-restore", "help", F, Honored),
    alias(General, "help-verify", "help", F, Honored),
    alias(General, "help-collection-status", "help", F, Honored),
    alias(General, "help-list-current-files", "help", F, Honored),
    alias(General, "help-cleanup", "help", F, Honored),
    alias(General, "help-remove-older-than", "help", F, Honored),
    alias(General, "help-remove-all-but-n-full", "help", F, Honored),
    alias(General, "help-remove-all-inc-of-but-n-full", "help", F, Honored),

    short(Logging, "verbosity", 'v', V),
    row(Logging, "log-fd", V, Honored),
    row(Logging, "log-file", V, Honored),
    row(Logging, "log-timestamp", F, Honored),
    row(Logging, "progress", F, Honored),
    row(Logging, "progress-rate", V, Honored),
    row(Logging, "print-statistics", F, Honored),
    row(Logging, "no-print-statistics", F, Honored),
    row(Logging, "jsonstat", F, Honored),
    row(Logging, "files-changed", F, Honored),
    row(Logging, "no-files-changed", F, Honored),

    row(Backup, "allow-source-mismatch", F, Honored),
    row(Backup, "volsize", V, Honored),
    row(Backup, "max-blocksize", V, Honored),
    row(Backup, "full-if-older-than", V, Honored),
    row(Backup, "full-if-n-inc", V, Honored),
    row(Backup, "skip-if-no-change", F, Honored),
    row(Backup, "concurrency", V, Honored),
    row(Backup, "asynchronous-upload", F, Ignored("is not needed: volumes are made while others are uploaded; see --concurrency")),
    row(Backup, "copy-links", F, Honored),
    row(Backup, "compression", F, Honored),
    row(Backup, "no-compression", F, Honored),

    row(Encryption, "encryption", F, Honored),
    row(Encryption, "no-encryption", F, Honored),
    row(Encryption, "encrypt-key", V, Honored),
    row(Encryption, "hidden-encrypt-key", V, Honored),
    row(Encryption, "sign-key", V, Honored),
    row(Encryption, "encrypt-sign-key", V, Honored),
    row(Encryption, "encrypt-secret-keyring", V, Gone("was for gpg 1 and has no effect; set GNUPGHOME")),
    row(Encryption, "gpg-binary", V, Honored),
    row(Encryption, "gpg-options", V, Honored),
    row(Encryption, "use-agent", F, Honored),
    row(Encryption, "use-gpgsm", F, Honored),

    row(Selection, "include", V, Honored),
    row(Selection, "exclude", V, Honored),
    row(Selection, "include-filelist", V, Honored),
    row(Selection, "exclude-filelist", V, Honored),
    alias(Selection, "include-globbing-filelist", "include-filelist", V, Renamed("is old: write --include-filelist")),
    alias(Selection, "exclude-globbing-filelist", "exclude-filelist", V, Renamed("is old: write --exclude-filelist")),
    row(Selection, "include-filelist-stdin", F, STDIN),
    row(Selection, "exclude-filelist-stdin", F, STDIN),
    row(Selection, "include-regexp", V, Honored),
    row(Selection, "exclude-regexp", V, Honored),
    row(Selection, "exclude-if-present", V, Honored),
    row(Selection, "exclude-device-files", F, Honored),
    row(Selection, "exclude-other-filesystems", F, Honored),
    row(Selection, "exclude-older-than", V, Honored),
    row(Selection, "files-from", V, Honored),
    row(Selection, "filter-globbing", F, Honored),
    row(Selection, "filter-literal", F, Honored),
    row(Selection, "filter-regexp", F, Honored),
    row(Selection, "filter-ignorecase", F, Honored),
    row(Selection, "filter-strictcase", F, Honored),

    short(Restore, "time", 't', V),
    alias(Restore, "restore-time", "time", V, Honored),
    short(Restore, "path-to-restore", 'r', V),
    alias(Restore, "file-to-restore", "path-to-restore", V, Renamed("was renamed: write --path-to-restore")),
    row(Restore, "restore-ownership", F, Honored),
    row(Restore, "no-restore-ownership", F, Honored),
    alias(Restore, "do-not-restore-ownership", "no-restore-ownership", F, Renamed("was renamed: write --no-restore-ownership")),
    row(Restore, "numeric-owner", F, Honored),
    row(Restore, "rename", Pair, Honored),
    row(Restore, "compare-data", F, Honored),
    row(Restore, "file-changed", V, Honored),
    row(Restore, "show-changes-in-set", V, Honored),

    row(Storage, "ssh-askpass", F, Honored),
    row(Storage, "ssh-options", V, Honored),
    row(Storage, "scp-command", V, Honored),
    row(Storage, "sftp-command", V, Honored),
    row(Storage, "use-scp", F, Always("a server without sftp is told so by itself, and asked by commands")),
    row(Storage, "s3-endpoint-url", V, Honored),
    row(Storage, "s3-region-name", V, Honored),
    row(Storage, "s3-unencrypted-connection", F, Honored),
    row(Storage, "s3-use-rrs", F, Honored),
    row(Storage, "s3-use-ia", F, Honored),
    row(Storage, "s3-use-onezone-ia", F, Honored),
    row(Storage, "s3-use-glacier", F, Honored),
    row(Storage, "s3-use-glacier-ir", F, Honored),
    row(Storage, "s3-use-deep-archive", F, Honored),
    row(Storage, "s3-use-server-side-encryption", F, Honored),
    row(Storage, "s3-use-server-side-kms-encryption", F, Honored),
    row(Storage, "s3-kms-key-id", V, Honored),
    row(Storage, "s3-kms-grant", V, Honored),
    row(Storage, "s3-multipart-chunk-size", V, Honored),
    row(Storage, "s3-multipart-max-procs", V, Honored),
    old_boto("s3-multipart-max-timeout", V),
    old_boto("s3-european-buckets", F),
    old_boto("s3-use-new-style", F),
    old_boto("s3-use-multiprocessing", F),
    row(Storage, "rsync-options", V, Honored),
    row(Storage, "ftp-passive", F, Always("data connections of ftp are passive")),
    row(Storage, "ftp-regular", F, Honored),
    row(Storage, "ssl-cacert-file", V, Honored),
    row(Storage, "ssl-cacert-path", V, Honored),
    row(Storage, "ssl-no-check-certificate", F, Honored),
    row(Storage, "webdav-headers", V, Honored),
    row(Storage, "imap-full-address", Either, Honored),
    row(Storage, "imap-mailbox", V, Honored),
    row(Storage, "par2-options", V, Honored),
    row(Storage, "par2-redundancy", V, Honored),
    row(Storage, "par2-volumes", V, Honored),
    row(Storage, "azure-blob-tier", V, Honored),
    row(Storage, "azure-max-single-put-size", V, Ignored("has no effect: what is no longer than --azure-max-block-size goes in one piece")),
    row(Storage, "azure-max-block-size", V, Honored),
    row(Storage, "azure-max-connections", V, Honored),
    row(Storage, "b2-hide-files", F, Ignored("has no effect: files are deleted, and the bucket's rules say what becomes of them")),
    row(Storage, "cf-backend", V, Gone("was for Rackspace libraries that no longer exist; use s3:// or sftp://")),
    row(Storage, "gio", F, Gone("was dropped in duplicity 2.0; mount the place and use file://")),
    row(Storage, "idr-fakeroot", V, Ignored("is for idrived://, which is not built")),
    row(Storage, "mf-purge", F, Gone("was for mf:// (MediaFire), whose library no longer exists; use s3:// or sftp://")),
    row(Storage, "mp-segment-size", V, Honored),
    row(Storage, "swift-storage-policy", V, Honored),

    row(Hidden, "current-time", V, Honored),
    row(Hidden, "fail-on-volume", V, Honored),
    row(Hidden, "skip-volume", V, Honored),
    row(Hidden, "pydevd", F, TESTS),
];
