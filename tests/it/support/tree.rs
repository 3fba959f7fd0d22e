//! What a folder holds, and how two of them differ: everything the format keeps, nothing it does not.
//!
//! Compared are type, permission bits, owner, whole-second modification time, content, link text and device numbers. Not
//! compared, because the format does not keep them: sub-second times, times and owners' order of symlinks, sockets, hard
//! links, holes. All times up to 1970 are one.

use super::programs;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

/// One object of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// What it is, with its content.
    pub what: What,
    /// Low twelve bits of the mode; zero for symlinks.
    pub mode: u32,
    /// Owner; zero unless the tests run as root.
    pub uid: u32,
    /// Group; zero unless the tests run as root.
    pub gid: u32,
    /// Seconds since 1970, not below zero; zero for symlinks.
    pub mtime: i64,
}

/// Type and content of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A file: length and SHA-256 in hex.
    File(u64, String),
    /// A folder.
    Dir,
    /// A symlink and its text.
    Symlink(Vec<u8>),
    /// A named pipe.
    Fifo,
    /// A character device: major and minor number.
    Char(u32, u32),
    /// A block device.
    Block(u32, u32),
}

/// A tree: what lies at each path relative to its root. The root is the empty path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree(pub BTreeMap<Vec<u8>, Node>);

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            What::Symlink(text) => return write!(f, "symlink to {}", text.escape_ascii()),
            What::File(size, hash) => write!(
                f,
                "file of {size} bytes {}",
                hash.get(..8).unwrap_or_default()
            )?,
            other => write!(f, "{other:?}")?,
        }
        write!(
            f,
            " mode {:04o} owner {}:{} mtime {}",
            self.mode, self.uid, self.gid, self.mtime
        )
    }
}

impl Tree {
    /// Reads a tree.
    ///
    /// # Panics
    /// If something in it cannot be read.
    pub fn read(root: &Path) -> Self {
        let mut tree = Tree::default();
        tree.visit(root, Vec::new());
        tree
    }

    fn visit(&mut self, path: &Path, index: Vec<u8>) {
        let meta = path
            .symlink_metadata()
            .unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let kind = meta.file_type();
        if kind.is_socket() {
            return;
        }
        let device = (
            rustix::fs::major(meta.rdev()),
            rustix::fs::minor(meta.rdev()),
        );
        let what = if kind.is_file() {
            What::File(meta.len(), hash(path))
        } else if kind.is_dir() {
            What::Dir
        } else if kind.is_symlink() {
            What::Symlink(
                std::fs::read_link(path)
                    .expect("a symlink")
                    .into_os_string()
                    .into_vec(),
            )
        } else if kind.is_fifo() {
            What::Fifo
        } else if kind.is_char_device() {
            What::Char(device.0, device.1)
        } else {
            What::Block(device.0, device.1)
        };
        let link = kind.is_symlink();
        let node = Node {
            what,
            mode: if link { 0 } else { meta.mode() & 0o7777 },
            uid: if programs::is_root() { meta.uid() } else { 0 },
            gid: if programs::is_root() { meta.gid() } else { 0 },
            mtime: if link { 0 } else { meta.mtime().max(0) },
        };
        self.0.insert(index.clone(), node);
        if kind.is_dir() {
            for entry in
                std::fs::read_dir(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
            {
                let entry = entry.expect("a folder can be read to its end");
                let mut below = index.clone();
                if !below.is_empty() {
                    below.push(b'/');
                }
                below.extend_from_slice(entry.file_name().as_bytes());
                self.visit(&entry.path(), below);
            }
        }
    }

    /// One line for every path at which `found` is not what this tree is, sorted by path.
    pub fn differences(&self, found: &Tree) -> Vec<String> {
        let mut lines = Vec::new();
        for (path, node) in &self.0 {
            let shown = show(path);
            match found.0.get(path) {
                None => lines.push(format!("{shown}: missing, expected {node}")),
                Some(other) if other != node => {
                    lines.push(format!("{shown}: expected {node}, found {other}"))
                }
                Some(_) => {}
            }
        }
        for (path, node) in &found.0 {
            if !self.0.contains_key(path) {
                lines.push(format!("{}: not expected, found {node}", show(path)));
            }
        }
        lines.sort();
        lines
    }

    /// Compares with a folder on disk.
    ///
    /// # Errors
    /// A report with the first differences.
    pub fn compare(&self, found: &Path) -> Result<(), String> {
        let lines = self.differences(&Tree::read(found));
        if lines.is_empty() {
            return Ok(());
        }
        let shown: Vec<&str> = lines.iter().take(20).map(String::as_str).collect();
        Err(format!(
            "{} differences in {}:\n  {}",
            lines.len(),
            found.display(),
            shown.join("\n  ")
        ))
    }
}

fn show(path: &[u8]) -> String {
    if path.is_empty() {
        ".".into()
    } else {
        path.escape_ascii().to_string()
    }
}

fn hash(path: &Path) -> String {
    let mut file = std::fs::File::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let n = file
            .read(&mut buffer)
            .unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        if n == 0 {
            break;
        }
        hasher.update(&buffer[..n]);
    }
    hasher
        .finalize()
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect()
}

/// Each kind of difference is told, so that an equal comparison means something.
#[test]
fn differences_are_told() {
    let scratch = super::scratch::Scratch::new("tree");
    let (one, other) = (scratch.join("one"), scratch.join("other"));
    for root in [&one, &other] {
        std::fs::create_dir_all(root.join("dir")).expect("folders");
        for name in ["same", "content", "mode", "time", "type", "gone"] {
            std::fs::write(root.join(name), "text").expect("file");
            touch(&root.join(name), 5);
        }
        std::os::unix::fs::symlink("here", root.join("link")).expect("link");
    }
    assert!(Tree::read(&one).differences(&Tree::read(&one)).is_empty());
    std::fs::write(other.join("content"), "TEXT").expect("file");
    touch(&other.join("content"), 5);
    std::fs::set_permissions(
        other.join("mode"),
        std::os::unix::fs::PermissionsExt::from_mode(0o600),
    )
    .expect("chmod");
    touch(&other.join("time"), 6);
    for name in ["type", "gone", "link"] {
        std::fs::remove_file(other.join(name)).expect("remove");
    }
    std::fs::create_dir(other.join("type")).expect("folder");
    std::os::unix::fs::symlink("there", other.join("link")).expect("link");
    std::fs::write(other.join("dir/new"), "").expect("file");
    for root in [&one, &other] {
        touch(root, 5);
        touch(&root.join("dir"), 5);
    }
    let told = Tree::read(&one).differences(&Tree::read(&other));
    let paths: Vec<&str> = told
        .iter()
        .filter_map(|line| line.split(':').next())
        .collect();
    assert_eq!(
        paths,
        ["content", "dir/new", "gone", "link", "mode", "time", "type"]
    );
}

fn touch(path: &Path, seconds: i64) {
    let time = rustix::fs::Timespec {
        tv_sec: seconds,
        tv_nsec: 0,
    };
    let times = rustix::fs::Timestamps {
        last_access: time,
        last_modification: time,
    };
    rustix::fs::utimensat(
        rustix::fs::CWD,
        path,
        &times,
        rustix::fs::AtFlags::SYMLINK_NOFOLLOW,
    )
    .expect("utimensat");
}
