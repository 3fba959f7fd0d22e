//! A folder to import from, and what dupr makes of the outcome: for the tests of all importers.

use super::Imported;
use crate::profile::{Loaded, Profile, Surroundings};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

pub(super) struct Bench {
    root: tempfile::TempDir,
    pub around: Surroundings,
}

impl Bench {
    /// An empty folder, which is where the importer is called; `home` is relative to it, or absolute.
    pub fn new(home: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        let around = Surroundings {
            home: root.path().join(home),
            cache_dir: root.path().join("cache"),
            temp_dir: "/tmp".into(),
            current_dir: root.path().to_owned(),
            ..Surroundings::default()
        };
        Self { root, around }
    }

    /// With this variable in the environment.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.around.env.insert(name.to_owned(), value.to_owned());
        self
    }

    pub fn path(&self) -> &Path {
        self.root.path()
    }

    /// Writes a file, and the folders above it.
    pub fn write(&self, name: &str, text: &str, mode: u32) -> PathBuf {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    /// Where profiles are written to.
    pub fn dest(&self) -> PathBuf {
        self.path().join("dupr")
    }

    /// What dupr makes of the folder of a profile, which is written for it.
    pub fn written(&self, imported: &Imported) -> Profile {
        let file = imported.write(&self.dest()).unwrap().join("profile.toml");
        let loaded = Loaded::read(file.to_str().unwrap(), &self.around, &[]);
        self.checked(imported, loaded.unwrap())
    }

    /// What dupr makes of its text alone.
    pub fn read(&self, imported: &Imported) -> Profile {
        let path = self.path().join("profile.toml");
        let loaded = Loaded::from_text(&path, &imported.toml, &self.around, &[]);
        self.checked(imported, loaded.unwrap())
    }

    fn checked(&self, imported: &Imported, loaded: Loaded) -> Profile {
        loaded
            .check(&self.around)
            .unwrap_or_else(|e| panic!("{}\n{}", imported.toml, e.render(false)))
    }
}
