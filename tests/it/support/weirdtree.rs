//! Random trees with everything a file system may hold, and random edits of them.
//!
//! A tree is a function of its seed and of what the user may do: owners and devices need root. Every change gives a file a
//! modification time it never had, since duplicity and dupr see a change of content only by its time. What the format does
//! not notice is not done: the owner of a symlink alone, the time of a device alone.

use super::programs;
use rand::rngs::SmallRng;
use rand::seq::{IndexedRandom, IteratorRandom};
use rand::{Rng, RngCore, SeedableRng};
use rustix::fs::{AtFlags, CWD, Gid, Mode, Timespec, Timestamps, Uid};
use std::ffi::OsString;
use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// A tree on disk and the dice that change it.
pub struct WeirdTree {
    root: PathBuf,
    dice: SmallRng,
    /// Counts names and times, so that none comes twice.
    next: u32,
}

impl WeirdTree {
    /// Makes a tree of about `entries` objects, and one large file of `bulk` bytes if that is not zero.
    pub fn create(root: &Path, seed: u64, entries: usize, bulk: usize) -> Self {
        let mut tree = Self {
            root: root.into(),
            dice: SmallRng::seed_from_u64(seed),
            next: 0,
        };
        fs::create_dir(root).expect("a new folder");
        for _ in 0..entries {
            tree.add();
        }
        if bulk > 0 {
            tree.grow(bulk);
        }
        tree
    }

    /// Adds a large file that cannot be compressed, or fills it anew.
    pub fn grow(&mut self, bulk: usize) {
        let path = self.root.join("bulk");
        let content = self.noise(bulk);
        fs::write(&path, content).expect("a file");
        self.stamp(&path);
    }

    /// The tree's root.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Makes `count` random changes.
    pub fn edit(&mut self, count: usize) {
        for _ in 0..count {
            match self.dice.random_range(0..14) {
                0 | 1 => self.add(),
                2 => self.delete(),
                3 => self.rename(),
                4 => self.flip(),
                5 => self.attributes(),
                6 => self.touch(),
                7 => self.relink(),
                _ => self.content(),
            }
        }
    }

    // Making

    fn add(&mut self) {
        let dir = self.pick_dir();
        let name = self.name();
        let path = dir.join(OsString::from_vec(name));
        self.make(&path);
    }

    /// Makes something at a path where nothing is.
    fn make(&mut self, path: &Path) {
        match self.dice.random_range(0..20) {
            0..=3 => {
                fs::create_dir(path).expect("a new folder");
                self.dress(path);
            }
            4 => {
                // A path longer than the format's short headers hold.
                let mut deep = path.to_path_buf();
                for _ in 0..self.dice.random_range(2..5) {
                    deep.push("d".repeat(self.dice.random_range(20..90)));
                }
                fs::create_dir_all(&deep).expect("new folders");
                self.make_file(&deep.join("leaf"));
            }
            5 | 6 => {
                let text = self.link_text();
                symlink(std::ffi::OsStr::from_bytes(&text), path).expect("a symlink");
                self.own(path);
            }
            7 => {
                self.node(path, rustix::fs::FileType::Fifo, 0);
                self.dress(path);
            }
            8 if path.as_os_str().len() < 100 => {
                drop(std::os::unix::net::UnixListener::bind(path).expect("a socket"));
            }
            9 if programs::is_root() => {
                let kind = *[
                    rustix::fs::FileType::CharacterDevice,
                    rustix::fs::FileType::BlockDevice,
                ]
                .choose(&mut self.dice)
                .expect("two");
                let device = rustix::fs::makedev(
                    self.dice.random_range(0..300),
                    self.dice.random_range(0..300),
                );
                self.node(path, kind, device);
                self.dress(path);
            }
            _ => self.make_file(path),
        }
    }

    fn make_file(&mut self, path: &Path) {
        let sizes = [0, 1, 511, 4096, 65535, 65536, 65537, 131072, 200_000];
        let size = match self.dice.random_range(0..40) {
            0 => 1_100_000,
            1 | 2 => 300_000,
            3..=12 => *sizes.choose(&mut self.dice).expect("not empty"),
            _ => self.dice.random_range(0..3000),
        };
        let content = match self.dice.random_range(0..4) {
            0 => self.noise(size),
            1 => vec![0; size],
            _ => self.words(size),
        };
        fs::write(path, content).expect("a file");
        self.dress(path);
    }

    fn node(&mut self, path: &Path, kind: rustix::fs::FileType, device: u64) {
        rustix::fs::mknodat(CWD, path, kind, Mode::from_raw_mode(0o600), device)
            .expect("a special file");
    }

    // Changing

    fn content(&mut self) {
        let Some(path) = self.pick(|t| t.is_file()) else {
            return;
        };
        let size = path.metadata().expect("a file").len();
        let mut file = fs::OpenOptions::new()
            .write(true)
            .open(&path)
            .expect("own file");
        match self.dice.random_range(0..5) {
            0 => {
                let more = self.dice.random_range(1..3000);
                let more = self.noise(more);
                file.seek(SeekFrom::End(0))
                    .and_then(|_| file.write_all(&more))
                    .expect("append");
            }
            1 => file
                .set_len(self.dice.random_range(0..=size))
                .expect("truncate"),
            2 => {
                // The same length, other bytes.
                let other = self.noise(size as usize);
                file.write_all(&other).expect("rewrite");
            }
            3 => {
                // Something put in front: everything moves.
                let mut old = fs::read(&path).expect("own file");
                let mut new = b"put in front ".to_vec();
                new.append(&mut old);
                fs::write(&path, new).expect("rewrite");
            }
            _ => {
                let at = self.dice.random_range(0..=size);
                let few = self.dice.random_range(1..200);
                let few = self.noise(few);
                file.seek(SeekFrom::Start(at))
                    .and_then(|_| file.write_all(&few))
                    .expect("edit");
            }
        }
        drop(file);
        self.stamp(&path);
    }

    fn delete(&mut self) {
        if let Some(path) = self.pick(|_| true) {
            remove(&path);
        }
    }

    fn rename(&mut self) {
        let Some(path) = self.pick(|_| true) else {
            return;
        };
        let dir = self.pick_dir();
        if dir.starts_with(&path) {
            return;
        }
        let name = OsString::from_vec(self.name());
        fs::rename(&path, dir.join(name)).expect("rename");
    }

    /// Something else at the same path.
    fn flip(&mut self) {
        if let Some(path) = self.pick(|_| true) {
            remove(&path);
            self.make(&path);
        }
    }

    fn attributes(&mut self) {
        if let Some(path) = self.pick(|t| !t.is_symlink() && !t.is_socket()) {
            self.own(&path);
            self.permit(&path);
        }
    }

    fn touch(&mut self) {
        if let Some(path) = self.pick(|t| t.is_file() || t.is_dir() || t.is_fifo()) {
            self.stamp(&path);
        }
    }

    fn relink(&mut self) {
        if let Some(path) = self.pick(|t| t.is_symlink()) {
            let text = self.link_text();
            fs::remove_file(&path).expect("own link");
            symlink(std::ffi::OsStr::from_bytes(&text), &path).expect("a symlink");
        }
    }

    // Attributes

    fn dress(&mut self, path: &Path) {
        self.own(path);
        self.permit(path);
        self.stamp(path);
    }

    /// Ids without a name on any machine, one with a name on all, and some that do not fit a plain tar header.
    fn own(&mut self, path: &Path) {
        let ids = [
            0,
            0,
            0,
            1,
            43210,
            54321,
            2_097_151,
            2_097_152,
            3_000_000_000,
        ];
        if programs::is_root() {
            let uid = *ids.choose(&mut self.dice).expect("not empty");
            let gid = *ids.choose(&mut self.dice).expect("not empty");
            let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
            rustix::fs::chownat(CWD, path, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
                .expect("chown");
        }
    }

    fn permit(&mut self, path: &Path) {
        // Without root, what its owner cannot read cannot be backed up.
        let modes: &[u32] = match programs::is_root() {
            true => &[
                0o644, 0o600, 0o755, 0o700, 0o4755, 0o2750, 0o1777, 0, 0o7777, 0o444,
            ],
            false => &[0o644, 0o600, 0o755, 0o700],
        };
        let mut mode = *modes.choose(&mut self.dice).expect("not empty");
        if path.is_dir() && !programs::is_root() {
            mode |= 0o700;
        }
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("chmod");
    }

    /// A modification time nothing in this tree ever had; seldom an odd one.
    fn stamp(&mut self, path: &Path) {
        self.next += 1;
        let next = i64::from(self.next);
        let seconds = match self.dice.random_range(0..30) {
            0 => next,
            1 => (1 << 31) + next,
            2 => (1 << 32) + next,
            3 => 8_700_000_000 + next,
            _ => 1_500_000_000 + next,
        };
        let time = Timespec {
            tv_sec: seconds,
            tv_nsec: self.dice.random_range(0..1_000_000_000),
        };
        let times = Timestamps {
            last_access: time,
            last_modification: time,
        };
        rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).expect("utimensat");
    }

    // Dice

    /// A name nothing in this tree ever had.
    fn name(&mut self) -> Vec<u8> {
        self.next += 1;
        let number = self.next.to_string().into_bytes();
        let odd: &[&[u8]] = &[
            b"plain",
            b"sp ace ",
            b" lead",
            b"quote\"",
            b"ap'os",
            b"back\\slash",
            b"new\nline",
            b"tab\t",
            b"\xff\xfelatin",
            "ünï".as_bytes(),
            "日本".as_bytes(),
            b"-dash",
            b".hidden",
            b"star*[x]?",
            b"%41",
            b"\x01\x7f",
            b"a.b",
            b"a!b",
            b"#",
        ];
        let mut name = match self.dice.random_range(0..3) {
            0 => odd.choose(&mut self.dice).expect("not empty").to_vec(),
            1 => vec![b'a' + self.dice.random_range(0..26)],
            _ => b"f".to_vec(),
        };
        if self.dice.random_range(0..25) == 0 {
            name = vec![b'n'; self.dice.random_range(100..240)];
        }
        name.extend_from_slice(&number);
        name
    }

    fn link_text(&mut self) -> Vec<u8> {
        let texts: &[&[u8]] = &[
            b"f1",
            b"..",
            b"no/such/file",
            b"/dev/null",
            b"\xff\xfe",
            "ü".as_bytes(),
            b"a b\nc",
        ];
        let mut text = texts.choose(&mut self.dice).expect("not empty").to_vec();
        if self.dice.random_range(0..6) == 0 {
            text = vec![b'l'; self.dice.random_range(90..300)];
        }
        self.next += 1;
        text.extend_from_slice(self.next.to_string().as_bytes());
        text
    }

    fn noise(&mut self, size: usize) -> Vec<u8> {
        let mut bytes = vec![0; size];
        self.dice.fill_bytes(&mut bytes);
        bytes
    }

    fn words(&mut self, size: usize) -> Vec<u8> {
        let mut text = Vec::with_capacity(size + 20);
        while text.len() < size {
            let word = self.dice.random_range(0..5000);
            text.extend_from_slice(format!("word{word} ").as_bytes());
        }
        text.truncate(size);
        text
    }

    fn pick_dir(&mut self) -> PathBuf {
        let dirs = self.all(&|t| t.is_dir());
        // Deep folders are refused: names of the system end at 4096 bytes.
        let dirs = dirs.into_iter().filter(|d| d.as_os_str().len() < 1000);
        dirs.chain(std::iter::once(self.root.clone()))
            .choose(&mut self.dice)
            .expect("the root at least")
    }

    fn pick(&mut self, wanted: impl Fn(fs::FileType) -> bool) -> Option<PathBuf> {
        self.all(&wanted).into_iter().choose(&mut self.dice)
    }

    /// Everything below the root that is wanted, in an order that does not depend on the file system.
    fn all(&self, wanted: &dyn Fn(fs::FileType) -> bool) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut open = vec![self.root.clone()];
        while let Some(dir) = open.pop() {
            for entry in fs::read_dir(&dir).expect("own folder") {
                let path = entry.expect("own folder").path();
                let kind = path.symlink_metadata().expect("just listed").file_type();
                if kind.is_dir() {
                    open.push(path.clone());
                }
                if wanted(kind) {
                    found.push(path);
                }
            }
        }
        found.sort();
        found
    }
}

fn remove(path: &Path) {
    let meta = path.symlink_metadata().expect("just picked");
    if meta.is_dir() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    }
    .expect("delete");
}

/// A seed of every weird tree gives the same tree again: schedules can be repeated.
#[test]
fn same_seed_makes_same_tree() {
    let scratch = super::scratch::Scratch::new("weird");
    let make = |name: &str| {
        let mut tree = WeirdTree::create(&scratch.join(name), 7, 60, 0);
        tree.edit(30);
        let mut read = super::tree::Tree::read(tree.root());
        // Folders changed after they were dressed carry the time of the machine.
        read.0
            .values_mut()
            .filter(|n| n.what == super::tree::What::Dir)
            .for_each(|n| n.mtime = 0);
        read
    };
    let (one, other) = (make("one"), make("other"));
    assert_eq!(one.differences(&other), Vec::<String>::new());
    assert!(one.0.len() > 40, "{} objects", one.0.len());
}
