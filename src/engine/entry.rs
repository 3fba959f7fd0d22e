//! One object of a tree, as found on disk or in a backup.

use super::path::PathIndex;
use std::sync::Arc;

/// What an entry is. Sockets never become entries: the format has no place for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link with its text, raw bytes.
    Symlink(Box<[u8]>),
    /// A named pipe.
    Fifo,
    /// A character device.
    CharDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
}

impl Kind {
    /// duplicity's three-letter word: `reg`, `dir`, `sym`, `fifo`, `chr`, `blk`.
    pub fn word(&self) -> &'static str {
        match self {
            Kind::File => "reg",
            Kind::Dir => "dir",
            Kind::Symlink(_) => "sym",
            Kind::Fifo => "fifo",
            Kind::CharDevice { .. } => "chr",
            Kind::BlockDevice { .. } => "blk",
        }
    }

    /// Whether this is a regular file.
    pub fn is_file(&self) -> bool {
        matches!(self, Kind::File)
    }

    /// Whether this is a directory.
    pub fn is_dir(&self) -> bool {
        matches!(self, Kind::Dir)
    }
}

/// Attributes the format keeps of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// Permission bits with setuid, setgid and sticky: the low 12 bits of `st_mode`.
    pub mode: u32,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// Modification time, whole seconds since 1970, truncated toward the past.
    pub mtime: i64,
    /// Name of the owner where the entry was read; empty if it had none.
    pub uname: Arc<[u8]>,
    /// Name of the group where the entry was read; empty if it had none.
    pub gname: Arc<[u8]>,
}

impl Default for Metadata {
    fn default() -> Self {
        Self {
            mode: 0,
            uid: 0,
            gid: 0,
            mtime: 0,
            uname: Arc::from([]),
            gname: Arc::from([]),
        }
    }
}

/// One object of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it lies, relative to the source.
    pub path: PathIndex,
    /// What it is.
    pub kind: Kind,
    /// Its attributes.
    pub meta: Metadata,
    /// Length of a file's content in bytes when it was looked at; `st_size` of any other kind.
    pub size: u64,
}

/// What tells that a file was touched between two looks, finer than the format's whole seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct FileStamp {
    /// Length in bytes.
    pub size: u64,
    /// Modification time in nanoseconds since 1970.
    pub mtime_ns: i64,
    /// Change time in nanoseconds since 1970.
    pub ctime_ns: i64,
    /// Inode number.
    pub ino: u64,
    /// Device the inode lies on.
    pub dev: u64,
}
