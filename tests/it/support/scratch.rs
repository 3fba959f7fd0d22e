//! A folder that is gone when its test is done, unless `DUPR_KEEP` is set.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A folder of its own below the temporary directory. Its path is short, so that sockets fit in it.
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Makes a new, empty folder, readable by its owner only.
    pub fn new(name: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path =
            std::env::temp_dir().join(format!("dupr-{name}-{}-{number}", std::process::id()));
        std::fs::create_dir(&path)
            .unwrap_or_else(|e| panic!("cannot create {}: {e}", path.display()));
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(&path, private).expect("own folder");
        Self { path }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A path in the folder.
    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if std::env::var_os("DUPR_KEEP").is_some() {
            return;
        }
        // A tree may hold folders without permissions; only root gets through those unaided.
        if !super::programs::is_root() {
            let _ = std::process::Command::new("chmod")
                .arg("-R")
                .arg("u+rwX")
                .arg(&self.path)
                .status();
        }
        let _ = std::fs::remove_dir_all(&self.path);
    }
}
