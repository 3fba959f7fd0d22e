//! Volumes that are on their way while the upload of a later one fails still count: the next run goes on behind them. The
//! sigtar is on its way beside the last volume, and is seen only when all volumes are there.

use crate::support::vault::{Heard, Sealed, T0, Vault, plant};
use dupr::engine::storage::{Growing, Location, Object, Storage};
use dupr::engine::{Error, ErrorKind, Mode, Result};
use dupr::testing::MemoryStorage;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// Volume 3 fails at once; volume 2 arrives after that.
#[derive(Clone)]
struct Overtaken {
    inner: MemoryStorage,
    has_failed: Arc<(Mutex<bool>, Condvar)>,
}

impl Storage for Overtaken {
    fn location(&self) -> &Location {
        self.inner.location()
    }

    fn list(&self) -> Result<Vec<Object>> {
        self.inner.list()
    }

    fn stat(&self, name: &str) -> Result<Option<Object>> {
        self.inner.stat(name)
    }

    fn get(&self, name: &str, to: &mut dyn Write) -> Result<u64> {
        self.inner.get(name, to)
    }

    fn put(&self, name: &str, from: &Path) -> Result<()> {
        let (failed, changed) = &*self.has_failed;
        if name.contains(".vol3.") {
            *failed.lock().expect("lock") = true;
            changed.notify_all();
            return Err(Error::new(ErrorKind::Unreachable, "the line is dead"));
        }
        if name.contains(".vol2.") {
            let waited = changed
                .wait_timeout_while(
                    failed.lock().expect("lock"),
                    Duration::from_secs(60),
                    |failed| !*failed,
                )
                .expect("lock");
            assert!(!waited.1.timed_out(), "volume 3 is uploaded beside it");
            drop(waited);
            // So that the failure is known everywhere.
            std::thread::sleep(Duration::from_millis(300));
        }
        self.inner.put(name, from)
    }

    fn delete(&self, name: &str) -> Result<()> {
        self.inner.delete(name)
    }
}

#[test]
fn a_volume_that_was_on_its_way_when_a_later_one_failed_counts() {
    let mut vault = Vault::new("uploads-overtaken", Sealed::Plain);
    vault.uploads = 3;
    plant(&vault.source());
    let storage = Overtaken {
        inner: vault.storage.clone(),
        has_failed: Arc::default(),
    };
    let error = vault
        .backup_with(&vault.engine_on(storage), Mode::Full, T0, &Heard::default())
        .expect_err("volume 3");
    assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
    assert!(error.to_string().contains(".vol3."), "{error}");
    let report = vault.backup(Mode::Full, T0 + 60);
    assert_eq!(report.stats.resumed_volumes, 2);
    vault.must_restore(None, &vault.tree(), "after the failure");
}

/// The volume arrives, or fails, when the sigtar is on its way.
#[derive(Clone)]
struct Accompanied {
    inner: MemoryStorage,
    arrives: bool,
    sigtar: Arc<(Mutex<bool>, Condvar)>,
}

impl Storage for Accompanied {
    fn location(&self) -> &Location {
        self.inner.location()
    }

    fn list(&self) -> Result<Vec<Object>> {
        self.inner.list()
    }

    fn stat(&self, name: &str) -> Result<Option<Object>> {
        self.inner.stat(name)
    }

    fn get(&self, name: &str, to: &mut dyn Write) -> Result<u64> {
        self.inner.get(name, to)
    }

    fn put(&self, name: &str, from: &Path) -> Result<()> {
        self.inner.put(name, from)
    }

    fn put_growing(&self, name: &str, from: &Growing, claimed: bool) -> Result<()> {
        let (begun, changed) = &*self.sigtar;
        if name.contains("sigtar") {
            let (bytes, _) = from.wait(0, &|| Ok(()))?;
            let sealed = std::fs::metadata(from.path()).expect("the sigtar");
            assert_eq!(bytes, sealed.len(), "all of it can be sent");
            *begun.lock().expect("lock") = true;
            changed.notify_all();
            from.whole()?;
            let volumes = |names: Vec<String>| names.iter().any(|n| n.contains(".vol1."));
            assert!(volumes(self.inner.names()), "the volume is there");
        } else {
            let waited = changed
                .wait_timeout_while(
                    begun.lock().expect("lock"),
                    Duration::from_secs(60),
                    |begun| !*begun,
                )
                .expect("lock");
            assert!(!waited.1.timed_out(), "the sigtar is uploaded beside it");
            if !self.arrives {
                return Err(Error::new(ErrorKind::Unreachable, "the line is dead"));
            }
        }
        self.inner.put_growing(name, from, claimed)
    }

    fn delete(&self, name: &str) -> Result<()> {
        self.inner.delete(name)
    }
}

#[test]
fn the_sigtar_is_sent_beside_the_last_volume_and_seen_behind_it() {
    let mut vault = Vault::new("uploads-sigtar", Sealed::Gpg);
    vault.volume_bytes = 16 << 20;
    plant(&vault.source());
    let mut storage = Accompanied {
        inner: vault.storage.clone(),
        arrives: false,
        sigtar: Arc::default(),
    };
    let backup = |storage: &Accompanied, now| {
        let engine = vault.engine_on(storage.clone());
        vault.backup_with(&engine, Mode::Full, now, &Heard::default())
    };
    let error = backup(&storage, T0).expect_err("the volume");
    assert!(error.to_string().contains(".vol1."), "{error}");
    assert_eq!(vault.storage.names(), [""; 0]);
    storage.arrives = true;
    backup(&storage, T0 + 60).expect("a backup");
    assert_eq!(vault.storage.names().len(), 3);
    vault.must_restore(None, &vault.tree(), "the volume had company");
    std::fs::remove_dir_all(vault.archive()).expect("the archive dir");
    vault.must_restore(None, &vault.tree(), "from the target alone");
}
