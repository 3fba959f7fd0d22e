//! Several targets as one, named by a list in a file: files spread over them by turns, or a copy of each at all.
//!
//! Each target is opened as if it were alone, with retries and checks of its own, so nothing is believed stored that is not
//! whole and durable there. An object is stored when one target has it (in turns, or copies with `onfail=continue`) or
//! all have (`onfail=abort`). What is there is what any of them has; removed is what none has.
//! See docs/format.md, "URLs".

mod list;

use super::super::notices::Notices;
use super::super::resuming::Resuming;
use super::super::transfer::Transfer;
use super::super::url::{OnFail, Spread};
use super::super::{
    LocalObject, Location, Object, Rest, Storage, StorageOptions, ThawOrder, names, taken,
};
use crate::engine::error::{Error, ErrorKind, Result};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The targets of one list.
pub(super) struct MultiStorage {
    stores: Vec<Store>,
    spread: Spread,
    on_fail: OnFail,
    /// Which one is next in turn.
    turn: AtomicUsize,
    /// How often what was read of an object turned out to be damaged.
    distrusted: Mutex<HashMap<String, usize>>,
    location: Location,
    notices: Notices,
}

/// One of them.
struct Store {
    storage: Box<dyn Storage>,
    /// Starts of names that are stored only here and at others that say the same; empty for all names.
    prefixes: Vec<String>,
    /// It failed: no further upload is tried, and it is read last.
    is_out: AtomicBool,
    /// What it holds is not known.
    is_unlisted: AtomicBool,
}

/// Where a list lies and how it is to be used.
pub(super) struct Place<'a> {
    /// The file.
    pub(super) list: &'a Path,
    /// How files are distributed.
    pub(super) spread: Spread,
    /// What an upload that fails at one target means.
    pub(super) on_fail: OnFail,
    /// Text at the end of every URL.
    pub(super) subpath: &'a str,
}

/// # Errors
/// What is wrong with the list, or with one of its targets.
pub(super) fn open(
    place: &Place<'_>,
    location: Location,
    options: &StorageOptions,
    transfer: &Arc<Transfer>,
) -> Result<MultiStorage> {
    let entries = list::read(place.list)?;
    let mut stores = Vec::new();
    for entry in entries {
        if place.spread == Spread::Stripe && !entry.prefixes.is_empty() {
            let text = "`prefixes` in the list of a multi:// target need mode=mirror";
            return Err(Error::new(ErrorKind::Usage, text));
        }
        let (storage, prefixes) = entry.open(place.subpath, options, transfer)?;
        stores.push(Store {
            storage,
            prefixes,
            is_out: AtomicBool::new(false),
            is_unlisted: AtomicBool::new(false),
        });
    }
    Ok(MultiStorage {
        stores,
        spread: place.spread,
        on_fail: place.on_fail,
        turn: AtomicUsize::new(0),
        distrusted: Mutex::default(),
        location,
        notices: options.notices.clone(),
    })
}

/// Puts an object into one of the targets, whose number is given too.
type Put<'a> = dyn Fn(usize, &dyn Storage) -> Result<()> + 'a;

impl Store {
    fn is_out(&self) -> bool {
        self.is_out.load(Ordering::Relaxed)
    }

    fn fault(&self, error: Error) -> Error {
        error.within(self.storage.location().to_string())
    }
}

impl MultiStorage {
    /// The targets an object belongs to, with their numbers.
    // COMPAT(dup 1.x): affinity by prefix; names that fit none go to all.
    fn homes(&self, name: &str) -> Vec<(usize, &Store)> {
        let fits = |store: &&Store| store.prefixes.iter().any(|p| name.starts_with(p));
        let has_home = self.stores.iter().any(|store| fits(&store));
        let numbered = self.stores.iter().enumerate();
        numbered
            .filter(|(_, store)| !has_home || fits(store))
            .collect()
    }

    /// Whether every object should be at every target, and one out of reach is no reason to stop.
    fn spares(&self, error: &Error) -> bool {
        self.spread == Spread::Mirror
            && self.on_fail == OnFail::Continue
            && self.stores.iter().all(|store| store.prefixes.is_empty())
            && error.kind() != ErrorKind::Interrupted
    }

    /// Takes note of an upload that failed and is to be made up for by other targets.
    ///
    /// # Errors
    /// The same error if it must end the upload as a whole.
    fn passed_over(&self, store: &Store, name: &str, error: Error) -> Result<Error> {
        let own = [
            ErrorKind::Interrupted,
            ErrorKind::Locked,
            ErrorKind::Usage,
            ErrorKind::Internal,
        ];
        let error = store.fault(error);
        if self.on_fail == OnFail::Abort || own.contains(&error.kind()) {
            return Err(error);
        }
        // One file may be at fault, or the target as a whole.
        if !matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Io) {
            store.is_out.store(true, Ordering::Relaxed);
        }
        self.notices.tell(match self.spread {
            Spread::Mirror => format!("{name} and maybe more is missing there: {error}"),
            Spread::Stripe => format!("{name} and maybe more went to another target: {error}"),
        });
        Ok(error)
    }

    /// Uploads an object to where it belongs.
    fn upload(&self, name: &str, put: &Put<'_>) -> Result<()> {
        match self.spread {
            Spread::Mirror => self.to_all(name, put),
            Spread::Stripe => self.to_one(name, put),
        }
    }

    fn to_all(&self, name: &str, put: &Put<'_>) -> Result<()> {
        let mut is_stored = false;
        let mut first = None;
        for (number, store) in self.homes(name) {
            if store.is_out() && self.on_fail == OnFail::Continue {
                let place = store.storage.location();
                self.notices
                    .tell(format!("what is stored now is missing at {place}"));
                continue;
            }
            match put(number, &*store.storage) {
                Ok(()) => is_stored = true,
                Err(e) => {
                    let error = self.passed_over(store, name, e)?;
                    first.get_or_insert(error);
                }
            }
        }
        match is_stored {
            true => Ok(()),
            false => Err(first.unwrap_or_else(|| self.all_out())),
        }
    }

    // COMPAT(dup all): by turns, and to the next one after a failure.
    fn to_one(&self, name: &str, put: &Put<'_>) -> Result<()> {
        // An older object of that name must not outlive the new one at another target.
        let mut holders = Vec::new();
        let mut first = None;
        let numbered = self.stores.iter().enumerate();
        for (number, store) in numbered.filter(|(_, store)| !store.is_out()) {
            match store.storage.stat(name) {
                Ok(found) => holders.extend(found.map(|_| number)),
                Err(e) => {
                    let error = self.passed_over(store, name, e)?;
                    first.get_or_insert(error);
                }
            }
        }
        let stores = self.stores.len().max(1);
        let begin = match holders.first() {
            Some(number) => *number,
            None => self.turn.fetch_add(1, Ordering::Relaxed),
        };
        for number in (0..stores).map(|n| begin.wrapping_add(n) % stores) {
            let Some(store) = self.stores.get(number).filter(|store| !store.is_out()) else {
                continue;
            };
            match put(number, &*store.storage) {
                Ok(()) => {
                    for old in holders.iter().filter(|old| **old != number) {
                        if let Some(old) = self.stores.get(*old) {
                            old.storage.delete(name).map_err(|e| old.fault(e))?;
                        }
                    }
                    return Ok(());
                }
                Err(e) => {
                    let error = self.passed_over(store, name, e)?;
                    first.get_or_insert(error);
                }
            }
        }
        Err(first.unwrap_or_else(|| self.all_out()))
    }

    fn all_out(&self) -> Error {
        let text = format!("no target of {} takes files any more", self.location);
        Error::new(ErrorKind::Unreachable, text)
    }

    /// The targets in the order in which an object is to be looked for, with their numbers.
    fn by_trust(&self, name: &str) -> Vec<&Store> {
        let homes = self.homes(name);
        let mut order: Vec<(usize, &Store)> = homes.clone();
        let elsewhere = self.stores.iter().enumerate();
        order.extend(elsewhere.filter(|(n, _)| homes.iter().all(|(home, _)| home != n)));
        let distrusted = self
            .distrusted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(name)
            .copied();
        let first = distrusted.unwrap_or(0) % order.len().max(1);
        order.rotate_left(first);
        order.sort_by_key(|(_, store)| store.is_out());
        order.into_iter().map(|(_, store)| store).collect()
    }

    /// Tells how many of all the objects a copy lacks.
    fn compare(&self, all: &BTreeMap<String, u64>, listings: &[(&Store, usize)]) {
        if self.spread != Spread::Mirror || self.stores.iter().any(|s| !s.prefixes.is_empty()) {
            return;
        }
        for (store, files) in listings.iter().filter(|(_, files)| *files < all.len()) {
            let missing = all.len() - files;
            let total = all.len();
            let place = store.storage.location();
            self.notices.tell(format!(
                "{missing} of {total} files are not at {place}, only at the other targets"
            ));
        }
    }
}

/// How an object lies at one of the targets.
fn rest_of(store: &Store, name: &str) -> Result<Rest> {
    // A service without an archive says of everything that it is at hand.
    match store.storage.stat(name)? {
        Some(_) => store.storage.rest(name),
        None => {
            let text = format!("{name} is not at the target");
            Err(Error::new(ErrorKind::NotFound, text))
        }
    }
}

/// The more telling of two errors: that something is absent says little.
fn weightier(first: Option<Error>, error: Error) -> Error {
    match first {
        Some(first) if first.kind() != ErrorKind::NotFound => first,
        _ => error,
    }
}

impl Storage for MultiStorage {
    fn location(&self) -> &Location {
        &self.location
    }

    fn list(&self) -> Result<Vec<Object>> {
        let mut all = BTreeMap::new();
        let mut listings = Vec::new();
        let mut first = None;
        for store in &self.stores {
            let listed = store.storage.list();
            let is_unlisted = listed.is_err();
            store.is_out.store(is_unlisted, Ordering::Relaxed);
            store.is_unlisted.store(is_unlisted, Ordering::Relaxed);
            match listed {
                Ok(objects) => {
                    listings.push((store, objects.len()));
                    for object in objects {
                        all.entry(object.name).or_insert(object.size);
                    }
                }
                Err(e) if self.spares(&e) => {
                    let error = store.fault(e);
                    self.notices.tell(format!(
                        "one of several copies is out of reach, and stored is only at the others: {error}"
                    ));
                    first.get_or_insert(error);
                }
                Err(e) => return Err(store.fault(e)),
            }
        }
        if let (true, Some(error)) = (listings.is_empty(), first) {
            return Err(error);
        }
        self.compare(&all, &listings);
        let objects = all.into_iter();
        Ok(objects.map(|(name, size)| Object { name, size }).collect())
    }

    fn stat(&self, name: &str) -> Result<Option<Object>> {
        let mut first = None;
        let mut answered = false;
        for store in self.by_trust(name) {
            match store.storage.stat(name) {
                Ok(Some(object)) => return Ok(Some(object)),
                Ok(None) => answered = true,
                Err(e) if e.kind() == ErrorKind::Usage => return Err(e),
                Err(e) => {
                    let spared = self.spares(&e);
                    let error = store.fault(e);
                    if !spared {
                        return Err(error);
                    }
                    first.get_or_insert(error);
                }
            }
        }
        match first {
            Some(error) if !answered => Err(error),
            _ => Ok(None),
        }
    }

    fn get(&self, name: &str, to: &mut dyn Write) -> Result<u64> {
        let mut receiver = Resuming::new(to);
        let mut first = None;
        for store in self.by_trust(name) {
            match receiver.attempt(name, |again| store.storage.get(name, again)) {
                Ok(bytes) => return Ok(bytes),
                Err(e) if receiver.has_failed() => return Err(e),
                Err(e) if matches!(e.kind(), ErrorKind::Interrupted | ErrorKind::Usage) => {
                    return Err(e);
                }
                Err(e) => {
                    if e.kind() == ErrorKind::Unreachable {
                        store.is_out.store(true, Ordering::Relaxed);
                    }
                    let error = store.fault(e);
                    if error.kind() != ErrorKind::NotFound {
                        self.notices
                            .tell(format!("{name} is looked for elsewhere: {error}"));
                    }
                    first = Some(weightier(first, error));
                }
            }
        }
        Err(first.unwrap_or_else(|| self.all_out()))
    }

    fn open_local(&self, name: &str) -> Result<Option<LocalObject>> {
        for store in self.by_trust(name) {
            match store.storage.open_local(name) {
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                // What goes wrong here goes wrong with a download too, which tells it.
                other => return Ok(other.unwrap_or(None)),
            }
        }
        Ok(None)
    }

    fn put(&self, name: &str, from: &Path) -> Result<()> {
        names::check(name)?;
        self.upload(name, &|_, store| store.put(name, from))
    }

    fn put_settled(&self, name: &str, from: &Path) -> Result<()> {
        names::check(name)?;
        let is_first = Cell::new(true);
        self.upload(name, &|_, store| {
            // A second name is no second copy: of one disk's folders only the first may get one.
            if is_first.get() {
                store.put_settled(name, from)?;
                is_first.set(false);
                return Ok(());
            }
            store.put(name, from)
        })
    }

    fn claim(&self, name: &str, from: &Path) -> Result<()> {
        if self.stat(name)?.is_some() {
            return Err(taken(name));
        }
        let claimed = RefCell::new(Vec::new());
        let outcome = self.upload(name, &|number, store| {
            if claimed.borrow().is_empty() {
                store.claim(name, from)?;
            } else if store.stat(name)?.is_some() {
                return Err(taken(name));
            } else {
                store.put(name, from)?;
            }
            claimed.borrow_mut().push(number);
            Ok(())
        });
        // Somebody else was faster at a later target: what is at the earlier ones is no part of anything.
        if outcome
            .as_ref()
            .is_err_and(|e| e.kind() == ErrorKind::Locked)
        {
            for number in claimed.into_inner() {
                if let Some(store) = self.stores.get(number) {
                    store.storage.delete(name).map_err(|e| store.fault(e))?;
                }
            }
        }
        outcome
    }

    fn delete(&self, name: &str) -> Result<()> {
        // What is not listed may be all that makes this object worth keeping.
        let unlisted = |store: &&Store| store.is_unlisted.load(Ordering::Relaxed);
        if let Some(store) = self.stores.iter().find(unlisted) {
            let place = store.storage.location();
            let text = format!("{name} stays: {place} is out of reach");
            let hint = "nothing is removed from a multi:// target until all of it is there";
            return Err(Error::new(ErrorKind::Unreachable, text).with_hint(hint));
        }
        let mut first = None;
        for store in &self.stores {
            if let Err(e) = store.storage.delete(name) {
                first.get_or_insert(store.fault(e));
            }
        }
        first.map_or(Ok(()), Err)
    }

    /// The copy that lies best counts.
    fn rest(&self, name: &str) -> Result<Rest> {
        let mut first = None;
        let mut best: Option<Rest> = None;
        for store in self.by_trust(name) {
            match rest_of(store, name) {
                Ok(Rest::AtHand) => return Ok(Rest::AtHand),
                Ok(rest) => best = best.into_iter().chain([rest]).min(),
                Err(e) => first = Some(weightier(first, store.fault(e))),
            }
        }
        match (best, first) {
            (Some(rest), _) => Ok(rest),
            (None, first) => Err(first.unwrap_or_else(|| self.all_out())),
        }
    }

    /// Of several copies one is ordered, where a restore looks first.
    fn thaw(&self, name: &str, order: ThawOrder) -> Result<()> {
        let mut first = None;
        for store in self.by_trust(name) {
            let thawed = match rest_of(store, name) {
                Ok(Rest::Archived) => store.storage.thaw(name, order),
                other => other.map(|_| ()),
            };
            match thawed {
                Ok(()) => return Ok(()),
                Err(e) => first = Some(weightier(first, store.fault(e))),
            }
        }
        Err(first.unwrap_or_else(|| self.all_out()))
    }

    fn distrust(&self, name: &str) {
        let mut distrusted = self
            .distrusted
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *distrusted.entry(name.to_string()).or_default() += 1;
        drop(distrusted);
        self.stores.iter().for_each(|s| s.storage.distrust(name));
    }

    fn notices(&self) -> Vec<String> {
        self.notices.take()
    }
}
