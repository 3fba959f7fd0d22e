//! A directory of this machine, or one mounted on it.
//!
//! An object is written under a temp name, synced, renamed, and the directory synced: under its own name it is whole
//! or absent, whatever happens. Temp files of killed runs are removed by the next upload. A temp file is known to be
//! dead when nobody holds its lock and, for file systems whose locks do not reach other hosts, when it is old.

use super::super::names;
use super::super::transfer::Transfer;
use super::super::{LocalObject, Location, Object, Storage, taken};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::time::Timestamp;
use rustix::fs::{CWD, FlockOperation, RenameFlags, renameat_with};
use rustix::io::Errno;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Bytes moved at a time.
const PIECE: usize = 1 << 20;

/// Age at which an unlocked temp file counts as dead, by the clock of its own file system.
const DEAD: Duration = Duration::from_secs(3600);

/// Objects as regular files of one directory.
pub(super) struct LocalStorage {
    dir: PathBuf,
    location: Location,
    transfer: Arc<Transfer>,
    swept: AtomicBool,
}

impl LocalStorage {
    pub(super) fn new(dir: PathBuf, location: Location, transfer: Arc<Transfer>) -> Self {
        Self {
            dir,
            location,
            transfer,
            swept: AtomicBool::new(false),
        }
    }

    fn path(&self, name: &str) -> Result<PathBuf> {
        names::check(name)?;
        Ok(self.dir.join(name))
    }

    /// Makes the directory and those above it, for the owner alone.
    fn create_dir(&self) -> Result<()> {
        let missing: Vec<&Path> = self
            .dir
            .ancestors()
            .take_while(|dir| !dir.as_os_str().is_empty() && !dir.exists())
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.dir)
            .map_err(|e| trouble("create", &self.dir, e))?;
        // The entry of each must outlive a crash too, or the synced files below are lost with it.
        for parent in missing.iter().filter_map(|dir| dir.parent()) {
            sync_dir(if parent.as_os_str().is_empty() {
                Path::new(".")
            } else {
                parent
            })?;
        }
        Ok(())
    }

    /// A temp file, locked for as long as it is open.
    fn temp(&self) -> Result<(File, TempPath)> {
        loop {
            let path = self.dir.join(names::temp());
            let open = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&path);
            let file = open.map_err(|e| trouble("create", &path, e))?;
            let path = TempPath(path);
            // Some file systems know no locks; there the age of a temp file must do.
            let _ = rustix::fs::flock(&file, FlockOperation::LockExclusive);
            // A sweep may have come between creating and locking.
            if file
                .metadata()
                .map_err(|e| trouble("create", &path.0, e))?
                .nlink()
                > 0
            {
                return Ok((file, path));
            }
        }
    }

    /// Gives a whole temp file its name, durably.
    fn install(&self, file: &File, temp: &TempPath, path: &Path, put: Put) -> Result<()> {
        file.sync_all().map_err(|e| trouble("write", path, e))?;
        match put {
            Put::Replacing => fs::rename(&temp.0, path),
            Put::New => rename_new(&temp.0, path),
        }
        .map_err(|e| match (put, e.kind()) {
            (Put::New, io::ErrorKind::AlreadyExists) => {
                taken(&path.file_name().unwrap_or_default().to_string_lossy())
            }
            _ => trouble("write", path, e),
        })?;
        sync_dir(&self.dir)
    }

    fn copy(&self, name: &str, from: &Path, put: Put) -> Result<()> {
        let path = self.path(name)?;
        let mut upload = self.transfer.upload(from)?;
        self.create_dir()?;
        let (mut file, temp) = self.temp()?;
        self.sweep(&file);
        loop {
            let piece = upload.next(PIECE)?;
            if piece.is_empty() {
                break;
            }
            file.write_all(&piece)
                .map_err(|e| trouble("write", &path, e))?;
        }
        self.install(&file, &temp, &path, put)
    }

    fn link(&self, name: &str, from: &Path, put: Put) -> Result<()> {
        let path = self.path(name)?;
        if self.transfer.paces_uploads() {
            return self.copy(name, from, put);
        }
        self.transfer.check()?;
        self.create_dir()?;
        let temp = self.dir.join(names::temp());
        // Another file system, one without links, or a file of somebody else.
        if fs::hard_link(from, &temp).is_err() {
            return self.copy(name, from, put);
        }
        let temp = TempPath(temp);
        let file = File::open(&temp.0).map_err(|e| trouble("read", from, e))?;
        self.sweep(&file);
        self.install(&file, &temp, &path, put)
    }

    /// Removes temp files of dead runs, once per opened target. Failures do not matter here.
    fn sweep(&self, own: &File) {
        if self.swept.swap(true, Ordering::Relaxed) {
            return;
        }
        let (Ok(entries), Ok(now)) = (
            fs::read_dir(&self.dir),
            own.metadata().and_then(|m| m.modified()),
        ) else {
            return;
        };
        for entry in entries
            .flatten()
            .filter(|e| e.file_name().to_str().is_some_and(names::is_temp))
        {
            let nofollow = rustix::fs::OFlags::NOFOLLOW.bits() as i32;
            let Ok(file) = OpenOptions::new()
                .write(true)
                .custom_flags(nofollow)
                .open(entry.path())
            else {
                continue;
            };
            let old = file.metadata().is_ok_and(|meta| {
                meta.is_file()
                    && meta
                        .modified()
                        .is_ok_and(|then| now.duration_since(then).is_ok_and(|age| age > DEAD))
            });
            if old && rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    fn object(&self, name: &str, path: &Path) -> Result<Option<Object>> {
        match fs::metadata(path) {
            Ok(meta) if meta.is_file() => Ok(Some(Object {
                name: name.to_string(),
                size: meta.len(),
            })),
            Ok(_) => Ok(None),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(trouble("read", path, e)),
        }
    }
}

impl Storage for LocalStorage {
    fn location(&self) -> &Location {
        &self.location
    }

    fn list(&self) -> Result<Vec<Object>> {
        let entries = match fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(trouble("list", &self.dir, e)),
        };
        let mut objects = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|e| trouble("list", &self.dir, e))?;
            // A name that is not UTF-8 cannot be one of the format's, nor be asked for.
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            if !names::is_temp(&name) {
                objects.extend(self.object(&name, &entry.path())?);
            }
        }
        Ok(objects)
    }

    fn stat(&self, name: &str) -> Result<Option<Object>> {
        self.object(name, &self.path(name)?)
    }

    /// On a network file system that is the server's clock.
    fn modified(&self, name: &str) -> Result<Option<Timestamp>> {
        let path = self.path(name)?;
        let time = fs::metadata(&path).and_then(|meta| meta.modified());
        let time = time.map_err(|e| trouble("read", &path, e))?;
        let since = time.duration_since(std::time::UNIX_EPOCH).ok();
        Ok(since
            .and_then(|t| i64::try_from(t.as_secs()).ok())
            .map(Timestamp))
    }

    fn get(&self, name: &str, to: &mut dyn Write) -> Result<u64> {
        let path = self.path(name)?;
        let mut file = File::open(&path).map_err(|e| trouble("read", &path, e))?;
        let mut download = self.transfer.download(to);
        let mut piece = vec![0; PIECE];
        loop {
            match file.read(&mut piece) {
                Ok(0) => return Ok(download.bytes()),
                Ok(bytes) => download.push(&piece[..bytes])?,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(trouble("read", &path, e)),
            }
        }
    }

    fn open_local(&self, name: &str) -> Result<Option<LocalObject>> {
        // A limit is there to spare the disk or the mount; only `get` keeps it.
        if self.transfer.paces_downloads() {
            return Ok(None);
        }
        let path = self.path(name)?;
        let file = File::open(&path).map_err(|e| trouble("read", &path, e))?;
        // Over a network two passes may cost twice.
        Ok((!is_mounted(&file)).then_some(LocalObject { file, path }))
    }

    fn put(&self, name: &str, from: &Path) -> Result<()> {
        self.copy(name, from, Put::Replacing)
    }

    fn put_settled(&self, name: &str, from: &Path) -> Result<()> {
        self.link(name, from, Put::Replacing)
    }

    fn claim(&self, name: &str, from: &Path) -> Result<()> {
        self.link(name, from, Put::New)
    }

    fn delete(&self, name: &str) -> Result<()> {
        let path = self.path(name)?;
        match fs::remove_file(&path) {
            // ORDER: a set is taken apart in an order that a crash must not change.
            Ok(()) => sync_dir(&self.dir),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(e) => Err(trouble("delete", &path, e)),
        }
    }
}

/// Whether an object of that name may be there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Put {
    Replacing,
    New,
}

/// Renames, unless there is something of the new name.
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // A file system that cannot do both at once.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            if to.symlink_metadata().is_ok() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            fs::rename(from, to)
        }
        result => Ok(result?),
    }
}

/// Removes the temp file it names, if it is still there: when an upload failed, or when the file had its name already,
/// for then renaming does nothing.
struct TempPath(PathBuf);

impl Drop for TempPath {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Whether a file lies on a file system that brings it from elsewhere, so that reading it twice may fetch it twice.
fn is_mounted(file: &File) -> bool {
    // NFS, SMB (three generations), FUSE, 9P, AFS, Ceph, Coda; numbers of linux/magic.h.
    const ELSEWHERE: [u32; 9] = [
        0x6969,
        0x517b,
        0xff53_4d42,
        0xfe53_4d42,
        0x6573_5546,
        0x0102_1997,
        0x5346_414f,
        0x00c3_6400,
        0x7375_7245,
    ];
    rustix::fs::fstatfs(file).is_ok_and(|fs| ELSEWHERE.contains(&(fs.f_type as u32)))
}

fn sync_dir(dir: &Path) -> Result<()> {
    match File::open(dir).and_then(|dir| dir.sync_all()) {
        Ok(()) => Ok(()),
        // Directories that may be written but not read, and file systems that sync no directories.
        Err(e)
            if matches!(
                e.kind(),
                io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidInput
            ) =>
        {
            Ok(())
        }
        Err(e) => Err(trouble("sync", dir, e)),
    }
}

fn trouble(action: &str, path: &Path, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::ReadOnlyFilesystem => Error::new(
            ErrorKind::Denied,
            format!("cannot {action} {}: {error}", path.display()),
        ),
        _ => Error::io(action, path, error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::storage::StorageOptions;
    use std::os::unix::fs::PermissionsExt;

    fn storage(dir: &Path) -> LocalStorage {
        let transfer = Arc::new(Transfer::new(&StorageOptions::default()));
        LocalStorage::new(dir.to_path_buf(), Location::masked("file:///x"), transfer)
    }

    fn source(bytes: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().expect("temp file");
        file.write_all(bytes).expect("written");
        file
    }

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(dir)
            .expect("dir")
            .map(|e| e.expect("entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn objects_are_read_where_they_lie_unless_downloads_have_a_limit() {
        let dir = tempfile::tempdir().expect("dir");
        fs::write(dir.path().join("x"), b"12").expect("file");
        let there = storage(dir.path()).open_local("x").expect("open");
        assert_eq!(there.expect("a file").path, dir.path().join("x"));
        let options = StorageOptions {
            download_rate: std::num::NonZeroU64::new(1000),
            ..StorageOptions::default()
        };
        let paced = LocalStorage::new(
            dir.path().to_path_buf(),
            Location::masked("file:///x"),
            Arc::new(Transfer::new(&options)),
        );
        assert!(paced.open_local("x").expect("open").is_none());
    }

    #[test]
    fn directories_and_objects_are_for_the_owner_alone() {
        let root = tempfile::tempdir().expect("dir");
        let dir = root.path().join("a/b");
        storage(&dir).put("x", source(b"1").path()).expect("put");
        for (path, mode) in [
            (root.path().join("a"), 0o700),
            (dir.clone(), 0o700),
            (dir.join("x"), 0o600),
        ] {
            assert_eq!(
                fs::metadata(&path).expect("made").permissions().mode() & 0o777,
                mode,
                "{}",
                path.display()
            );
        }
    }

    #[test]
    fn a_settled_file_is_linked_if_it_can_be_and_copied_if_not() {
        let root = tempfile::tempdir().expect("dir");
        let dir = root.path().join("target");
        let put = |name: &str, from: &Path, storage: &LocalStorage| {
            storage.put_settled(name, from).expect("put");
            let there = fs::metadata(dir.join(name)).expect("object");
            there.ino() == fs::metadata(from).expect("source").ino()
        };
        let mut file = tempfile::NamedTempFile::new_in(root.path()).expect("temp file");
        file.write_all(b"settled").expect("written");
        assert!(put("linked", file.path(), &storage(&dir)));
        assert!(put("linked", file.path(), &storage(&dir)), "over itself");
        let options = StorageOptions {
            upload_rate: std::num::NonZeroU64::new(1_000_000),
            ..StorageOptions::default()
        };
        let paced = LocalStorage::new(
            dir.clone(),
            Location::masked("file:///x"),
            Arc::new(Transfer::new(&options)),
        );
        assert!(!put("copied", file.path(), &paced));
        file.close().expect("removed");
        for name in ["linked", "copied"] {
            assert_eq!(fs::read(dir.join(name)).expect("object"), b"settled");
        }
        assert_eq!(names(&dir), ["copied", "linked"]);
    }

    #[test]
    fn a_failed_upload_leaves_nothing() {
        let root = tempfile::tempdir().expect("dir");
        let from = root.path().join("from");
        fs::write(&from, b"1").expect("source");
        fs::create_dir_all(root.path().join("target/x")).expect("dir");
        storage(&root.path().join("target"))
            .put_settled("x", &from)
            .expect_err("a directory is in the way");
        assert_eq!(names(&root.path().join("target")), ["x"]);
        assert!(from.exists());

        let dir = tempfile::tempdir().expect("dir");
        // Renaming a file over a directory fails, after all bytes are written.
        fs::create_dir(dir.path().join("x")).expect("dir");
        storage(dir.path())
            .put("x", source(b"1").path())
            .expect_err("a directory is in the way");
        assert_eq!(names(dir.path()), ["x"]);
    }

    #[test]
    fn only_dead_temp_files_are_swept() {
        let dir = tempfile::tempdir().expect("dir");
        let make = |name: &str, age: u64| {
            let file = File::create(dir.path().join(name)).expect("made");
            let then = file.metadata().and_then(|m| m.modified()).expect("time")
                - Duration::from_secs(age);
            file.set_modified(then).expect("time");
            file
        };
        drop(make(".dupr-00000000000000aa.tmp", 7200));
        drop(make(".dupr-00000000000000bb.tmp", 10));
        drop(make(".dupr-notes.tmp", 7200));
        drop(make("foreign.tmp", 7200));
        let busy = make(".dupr-00000000000000cc.tmp", 7200);
        rustix::fs::flock(&busy, FlockOperation::LockExclusive).expect("lock");
        std::os::unix::fs::symlink("foreign.tmp", dir.path().join(".dupr-00000000000000dd.tmp"))
            .expect("link");
        storage(dir.path())
            .put("x", source(b"1").path())
            .expect("put");
        assert_eq!(
            names(dir.path()),
            [
                ".dupr-00000000000000bb.tmp",
                ".dupr-00000000000000cc.tmp",
                ".dupr-00000000000000dd.tmp",
                ".dupr-notes.tmp",
                "foreign.tmp",
                "x"
            ]
        );
    }

    #[test]
    fn a_listing_shows_regular_files_only() {
        let dir = tempfile::tempdir().expect("dir");
        fs::create_dir(dir.path().join("sub")).expect("dir");
        fs::write(dir.path().join(".dupr-00000000000000aa.tmp"), b"1").expect("file");
        fs::write(dir.path().join("x"), b"12").expect("file");
        std::os::unix::fs::symlink("nowhere", dir.path().join("dangling")).expect("link");
        let storage = storage(dir.path());
        assert_eq!(
            storage.list().expect("list"),
            [Object {
                name: "x".into(),
                size: 2
            }]
        );
        assert_eq!(storage.stat("sub").expect("stat"), None);
    }

    #[test]
    fn errors_of_the_disk_keep_their_kind() {
        use rustix::io::Errno;
        for (errno, kind) in [
            (Errno::NOSPC, ErrorKind::Full),
            (Errno::DQUOT, ErrorKind::Full),
            (Errno::ROFS, ErrorKind::Denied),
            (Errno::ACCESS, ErrorKind::Denied),
            (Errno::IO, ErrorKind::Io),
        ] {
            let error = trouble("write", Path::new("/x"), io::Error::from(errno));
            assert_eq!(error.kind(), kind, "{error}");
        }
    }

    #[test]
    fn a_missing_source_is_an_error_before_anything_is_made() {
        let root = tempfile::tempdir().expect("dir");
        let dir = root.path().join("target");
        storage(&dir)
            .put("x", &root.path().join("none"))
            .expect_err("no source");
        assert!(!dir.exists());
    }
}
