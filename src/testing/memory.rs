//! A target in memory: the simplest storage that keeps the whole contract.

use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::storage::{Location, Object, Storage, taken};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

/// Objects in memory. Clones are handles to the same objects, as two openings of one target are.
#[derive(Debug, Clone)]
pub struct MemoryStorage {
    location: Location,
    objects: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
}

impl Default for MemoryStorage {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryStorage {
    /// An empty target.
    pub fn new() -> Self {
        Self {
            location: Location::masked("memory://"),
            objects: Arc::default(),
        }
    }

    /// Puts bytes there directly.
    pub fn insert(&self, name: impl Into<String>, bytes: impl Into<Vec<u8>>) {
        self.objects().insert(name.into(), bytes.into());
    }

    /// Takes an object away directly; what it held, if it was there.
    pub fn remove(&self, name: &str) -> Option<Vec<u8>> {
        self.objects().remove(name)
    }

    /// The bytes of an object.
    pub fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        self.objects().get(name).cloned()
    }

    /// Changes an object in place, to damage it; panics if it is not there.
    pub fn edit(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        match self.objects().get_mut(name) {
            Some(bytes) => change(bytes),
            None => panic!("no object {name} to edit"),
        }
    }

    /// All names in order.
    pub fn names(&self) -> Vec<String> {
        self.objects().keys().cloned().collect()
    }

    /// A second target with a copy of everything, to compare with or to go back to.
    pub fn fork(&self) -> Self {
        Self {
            location: self.location.clone(),
            objects: Arc::new(Mutex::new(self.objects().clone())),
        }
    }

    fn objects(&self) -> MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        self.objects
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// The same rule for names as at real services.
fn check(name: &str) -> Result<()> {
    if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) {
        return Err(Error::new(
            ErrorKind::Usage,
            format!("{name:?} cannot be the name of an object"),
        ));
    }
    Ok(())
}

impl Storage for MemoryStorage {
    fn location(&self) -> &Location {
        &self.location
    }

    fn list(&self) -> Result<Vec<Object>> {
        let objects = self.objects();
        Ok(objects
            .iter()
            .map(|(name, bytes)| Object {
                name: name.clone(),
                size: bytes.len() as u64,
            })
            .collect())
    }

    fn stat(&self, name: &str) -> Result<Option<Object>> {
        check(name)?;
        Ok(self.objects().get(name).map(|bytes| Object {
            name: name.to_string(),
            size: bytes.len() as u64,
        }))
    }

    fn get(&self, name: &str, to: &mut dyn Write) -> Result<u64> {
        check(name)?;
        let bytes = self
            .bytes(name)
            .ok_or_else(|| Error::new(ErrorKind::NotFound, format!("no object {name}")))?;
        to.write_all(&bytes)?;
        Ok(bytes.len() as u64)
    }

    fn put(&self, name: &str, from: &Path) -> Result<()> {
        check(name)?;
        let bytes = std::fs::read(from).map_err(|e| Error::io("read", from, e))?;
        self.objects().insert(name.to_string(), bytes);
        Ok(())
    }

    fn claim(&self, name: &str, from: &Path) -> Result<()> {
        check(name)?;
        let bytes = std::fs::read(from).map_err(|e| Error::io("read", from, e))?;
        match self.objects().entry(name.to_string()) {
            Entry::Occupied(_) => Err(taken(name)),
            Entry::Vacant(place) => {
                place.insert(bytes);
                Ok(())
            }
        }
    }

    fn delete(&self, name: &str) -> Result<()> {
        check(name)?;
        self.objects().remove(name);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_contract() {
        let storage = MemoryStorage::new();
        crate::testing::contract::run(&storage);
        crate::testing::contract::long_listing(&storage, 1200);
    }
}
