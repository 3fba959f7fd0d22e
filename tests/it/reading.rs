//! Reading ahead is never seen: every volume that is needed is fetched once, errors come as if nothing had been read
//! ahead, and an operation that ends early waits for nothing.

use crate::support::tree::Tree;
use crate::support::vault::{Heard, Sealed, T0, Vault, noise, with_chain, write};
use dupr::engine::path::PathIndex;
use dupr::engine::storage::{Location, Object, Storage};
use dupr::engine::{Error, ErrorKind, Mode, RestoreOptions, Result};
use dupr::testing::{MemoryStorage, Operation, RecordingStorage};
use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};

/// Names of the volumes at a target, in order.
fn volumes(storage: &MemoryStorage) -> Vec<String> {
    let mut names = storage.names();
    names.retain(|n| n.contains(".difftar"));
    names.sort_by_key(|n| (n.len(), n.clone()));
    names
}

/// Volumes that were fetched, each as often as it was.
fn fetched(storage: &RecordingStorage<MemoryStorage>) -> Vec<String> {
    let mut names = storage.names(Operation::Get);
    names.retain(|n| n.contains(".difftar"));
    names.sort_by_key(|n| (n.len(), n.clone()));
    names
}

#[test]
fn every_volume_is_fetched_once_by_any_number_of_threads() {
    for sealed in [Sealed::Plain, Sealed::Gzip, Sealed::Gpg] {
        let (mut vault, states) = with_chain("reading-once", sealed);
        for threads in [1, 2, 5] {
            vault.threads = threads;
            let storage = RecordingStorage::new(vault.storage.clone());
            let engine = vault.engine_on(storage.clone());
            let (result, to) = vault.restore_with(&engine, None, &Heard::default());
            let stats = result.expect("a restore");
            let expected: &Tree = &states[1].1;
            expected.compare(&to).expect("the newest state");
            assert_eq!(fetched(&storage), volumes(&vault.storage), "{threads}");
            assert_eq!(stats.volumes, volumes(&vault.storage).len() as u64);
            storage.take();
            vault
                .verify_with(&engine, &Heard::default())
                .expect("a verify");
            assert_eq!(fetched(&storage), volumes(&vault.storage), "{threads}");
        }
    }
}

#[test]
fn one_file_costs_the_volumes_that_hold_it() {
    let vault = Vault::new("reading-one", Sealed::Gzip);
    for n in 0..30 {
        write(
            &vault.source().join(format!("f{n:02}")),
            &noise(100_000, n),
            T0 - 900,
        );
    }
    vault.backup(Mode::Full, T0);
    let all = volumes(&vault.storage).len();
    assert!(all > 8, "{all}");
    for n in [0, 13, 29] {
        let storage = RecordingStorage::new(vault.storage.clone());
        let engine = vault.engine_on(storage.clone());
        let to = vault.scratch.join(format!("one{n}"));
        let options = RestoreOptions {
            path: PathIndex::new(format!("f{n:02}").as_bytes()).expect("a path"),
            ..RestoreOptions::default()
        };
        vault
            .with(T0, &Heard::default(), |cx| {
                engine.restore(&to, &options, cx)
            })
            .expect("a restore");
        assert!(std::fs::read(&to).expect("the file") == noise(100_000, n));
        let fetched = fetched(&storage);
        let different: BTreeSet<_> = fetched.iter().collect();
        assert!((1..=2).contains(&fetched.len()), "{fetched:?}");
        assert_eq!(different.len(), fetched.len());
    }
}

/// Whether something has begun, for others to wait for.
#[derive(Default)]
struct Begun(Mutex<bool>, Condvar);

impl Begun {
    fn now(&self) {
        *self.0.lock().expect("begun") = true;
        self.1.notify_all();
    }

    fn wait(&self) {
        let guard = self.0.lock().expect("begun");
        drop(self.1.wait_while(guard, |begun| !*begun).expect("begun"));
    }
}

/// One volume fails for good once the next one has begun to come, which never comes to an end.
struct Endless {
    inner: MemoryStorage,
    failing: String,
    endless: String,
    begun: Arc<Begun>,
}

impl Storage for Endless {
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
        if name == self.failing {
            self.begun.wait();
            return Err(Error::new(ErrorKind::Denied, "not for you"));
        }
        if name == self.endless {
            loop {
                to.write_all(&[0; 1024])?;
                self.begun.now();
            }
        }
        self.inner.get(name, to)
    }
    fn put(&self, name: &str, from: &Path) -> Result<()> {
        self.inner.put(name, from)
    }
    fn delete(&self, name: &str) -> Result<()> {
        self.inner.delete(name)
    }
}

#[test]
fn an_error_ends_downloads_that_are_not_needed_any_more() {
    for sealed in [Sealed::Gzip, Sealed::Gpg] {
        let (vault, _) = with_chain("reading-end", sealed);
        let volumes = volumes(&vault.storage);
        let engine = vault.engine_on(Endless {
            inner: vault.storage.clone(),
            failing: volumes[1].clone(),
            endless: volumes[2].clone(),
            begun: Arc::default(),
        });
        let (result, _) = vault.restore_with(&engine, Some(T0), &Heard::default());
        let error = result.expect_err("a volume is refused");
        assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    }
}

#[test]
fn what_is_fetched_ahead_and_damaged_is_told_where_it_belongs() {
    for threads in [1, 2, 5] {
        let (mut vault, _) = with_chain("reading-damage", Sealed::Gzip);
        vault.threads = threads;
        let of_full: Vec<String> = volumes(&vault.storage)
            .into_iter()
            .filter(|n| n.contains("-full."))
            .collect();
        let lost = &of_full[1];
        vault.storage.insert(lost.clone(), vec![0; 10]);
        let heard = Heard::default();
        let (result, to) = vault.restore_with(&vault.engine(), Some(T0), &heard);
        assert!(result.expect("a restore").problems > 0);
        assert!(heard.says(lost), "{}", heard.all());
        assert_eq!(
            std::fs::read(to.join("z/last")).expect("of an intact volume"),
            noise(30_000, 4)
        );
        assert!(!to.join("big").exists());
    }
}
