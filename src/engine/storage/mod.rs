//! Moves named bytes to and from a target. Knows nothing of volumes, sets or manifests.
//!
//! Callers are a handful of threads, so the trait blocks; `async` stays inside this room. Around any service the
//! same wrappers: [`open`] returns `Checked(Retry(service))`, or services made of such. Rate limits and timeouts are kept inside the services,
//! which alone see the bytes go.

pub mod askpass;
mod checked;
mod cold;
mod growing;
mod helper;
mod names;
mod notices;
mod options;
mod resuming;
mod retry;
mod runtime;
mod scheme;
mod services;
mod settings;
mod transfer;
pub mod trial;
mod url;
mod words;

pub use cold::{Rest, Speed, ThawOrder};
pub use growing::{Grower, Growing};
pub use helper::version_of;
pub use notices::Notices;
pub use options::{Environment, StorageOptions};
pub use scheme::{Support, schemes};
pub use url::{Account, DriveRoot, FtpSecurity, OnFail, Place, Server, Spread, TargetUrl};
pub(crate) use words::split_words;

use super::error::{Error, ErrorKind, Result};
use super::time::Timestamp;
use checked::Checked;
use retry::Retry;
use std::fmt;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use transfer::Transfer;

/// Opens a target. Touches no network, and of the disk only the list of a `multi` target: trouble with the place itself
/// shows at the first call.
///
/// # Errors
/// `Usage` for options the service does not have; `Denied` if it needs credentials and has none; `Unsupported` if
/// this build lacks the service; what is wrong with the list of a `multi` target.
pub fn open(url: &TargetUrl, options: &StorageOptions) -> Result<Box<dyn Storage>> {
    open_sharing(url, options, &Arc::new(Transfer::new(options)))
}

/// As [`open`], with rate limits that are kept together with those of other targets.
fn open_sharing(
    url: &TargetUrl,
    options: &StorageOptions,
    transfer: &Arc<Transfer>,
) -> Result<Box<dyn Storage>> {
    let service = services::open(url, options, transfer)?;
    Ok(match url.place() {
        // What these are made of is wrapped already.
        Place::Multi { .. } | Place::Par2 { .. } => service,
        _ => wrapped(service, options, Arc::clone(transfer)),
    })
}

/// Puts the wrappers of [`open`] around a service of one's own: failed calls are repeated, uploads are checked.
pub fn guarded(service: impl Storage + 'static, options: &StorageOptions) -> Box<dyn Storage> {
    wrapped(service, options, Arc::new(Transfer::new(options)))
}

fn wrapped(
    service: impl Storage + 'static,
    options: &StorageOptions,
    transfer: Arc<Transfer>,
) -> Box<dyn Storage> {
    let retry = Retry::new(service, options, Arc::clone(&transfer));
    Box::new(Checked::new(retry, options, transfer))
}

/// A named object at a target, as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Object {
    /// Its name: one component, no `/`.
    pub name: String,
    /// Its length in bytes.
    pub size: u64,
}

/// Where a target lies, without secrets: printable anywhere.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Location(String);

impl Location {
    /// Takes a URL that was already masked.
    pub fn masked(url: impl Into<String>) -> Self {
        Self(url.into())
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An object that can be read where it is.
#[derive(Debug)]
pub struct LocalObject {
    /// The file, at its beginning.
    pub file: File,
    /// Where it lies.
    pub path: PathBuf,
}

/// A place that keeps named objects.
///
/// # Contract (checked by the contract suite for every service)
/// - An object becomes visible under its name only when it is whole and durable.
/// - A later `list` shows every finished `put` and no finished `delete`, to the last page.
/// - Errors carry their kind: `NotFound`, `Denied`, `Full`, `RateLimited`, `Unreachable`, …
/// - Calls may come from several threads at once.
pub trait Storage: Send + Sync {
    /// Printable place, no secrets.
    fn location(&self) -> &Location;

    /// All objects directly in the target, in any order. A target that does not exist yet lists as empty.
    fn list(&self) -> Result<Vec<Object>>;

    /// One object, or `None` if there is none of that name.
    fn stat(&self, name: &str) -> Result<Option<Object>>;

    /// Copies an object's bytes to `to` and returns their number. After an error `to` holds a prefix: start anew.
    fn get(&self, name: &str, to: &mut dyn Write) -> Result<u64>;

    /// Opens an object that is a file of this machine, to be read where it is; `None` if it must be fetched with
    /// [`get`](Self::get). An object is replaced, never changed, so an open one keeps its content.
    fn open_local(&self, name: &str) -> Result<Option<LocalObject>> {
        let _ = name;
        Ok(None)
    }

    /// Uploads the file `from` as `name`, replacing an object of that name. Creates the target if needed.
    fn put(&self, name: &str, from: &Path) -> Result<()>;

    /// As [`put`](Self::put), of a file whose bytes will never change: a service may give it a second name instead of
    /// copying it. The caller may remove `from` afterwards.
    fn put_settled(&self, name: &str, from: &Path) -> Result<()> {
        self.put(name, from)
    }

    /// As [`put_settled`](Self::put_settled), but an object of that name stays as it is. Of two at the same time only one
    /// succeeds where the service can tell; by itself this looks before it puts.
    ///
    /// # Errors
    /// `Locked` if there is an object of that name.
    fn claim(&self, name: &str, from: &Path) -> Result<()> {
        match self.stat(name)? {
            Some(_) => Err(taken(name)),
            None => self.put_settled(name, from),
        }
    }

    /// As [`put_settled`](Self::put_settled), or as [`claim`](Self::claim) if it is `claimed`, of a file that may still be written.
    /// A service that takes objects in parts sends what is there; by itself this waits until the file is whole. The object
    /// becomes visible only after that in any case.
    ///
    /// # Errors
    /// Also if the file is given up; there is no object then.
    fn put_growing(&self, name: &str, from: &Growing, claimed: bool) -> Result<()> {
        from.whole()?;
        if claimed {
            self.claim(name, from.path())
        } else {
            self.put_settled(name, from.path())
        }
    }

    /// Removes an object; one that is absent is a success.
    fn delete(&self, name: &str) -> Result<()>;

    /// Whether an object can be read at once. By itself this says so: few services have archives.
    fn rest(&self, name: &str) -> Result<Rest> {
        let _ = name;
        Ok(Rest::AtHand)
    }

    /// When an object was last written, by the clock of whoever keeps it; `None` where that is not told.
    fn modified(&self, name: &str) -> Result<Option<Timestamp>> {
        let _ = name;
        Ok(None)
    }

    /// Has an archived object fetched; it can be read some time later. One that is on its way is a success.
    ///
    /// # Errors
    /// `Unsupported` where there is no archive.
    fn thaw(&self, name: &str, order: ThawOrder) -> Result<()> {
        let _ = order;
        let text = format!("{name} lies in no archive that dupr can order from");
        Err(Error::new(ErrorKind::Unsupported, text))
    }

    /// Says that what was read of an object is damaged: where there are several copies, another is read next.
    fn distrust(&self, name: &str) {
        let _ = name;
    }

    /// What there is to tell since the last call, in lines without secrets; no error, but somebody should know.
    fn notices(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Somebody else has put an object of that name.
pub(crate) fn taken(name: &str) -> Error {
    let text =
        format!("{name} is at the target already: another run makes a set of the same second");
    Error::new(ErrorKind::Locked, text)
        .with_hint("run it again; each machine should have a target folder of its own")
}

macro_rules! pass_on {
    ($($owner:ident),*) => {$(
        /// The same storage behind a pointer.
        impl<S: Storage + ?Sized> Storage for $owner<S> {
            fn location(&self) -> &Location {
                (**self).location()
            }
            fn list(&self) -> Result<Vec<Object>> {
                (**self).list()
            }
            fn stat(&self, name: &str) -> Result<Option<Object>> {
                (**self).stat(name)
            }
            fn get(&self, name: &str, to: &mut dyn Write) -> Result<u64> {
                (**self).get(name, to)
            }
            fn open_local(&self, name: &str) -> Result<Option<LocalObject>> {
                (**self).open_local(name)
            }
            fn put(&self, name: &str, from: &Path) -> Result<()> {
                (**self).put(name, from)
            }
            fn put_settled(&self, name: &str, from: &Path) -> Result<()> {
                (**self).put_settled(name, from)
            }
            fn claim(&self, name: &str, from: &Path) -> Result<()> {
                (**self).claim(name, from)
            }
            fn put_growing(&self, name: &str, from: &Growing, claimed: bool) -> Result<()> {
                (**self).put_growing(name, from, claimed)
            }
            fn delete(&self, name: &str) -> Result<()> {
                (**self).delete(name)
            }
            fn rest(&self, name: &str) -> Result<Rest> {
                (**self).rest(name)
            }
            fn modified(&self, name: &str) -> Result<Option<Timestamp>> {
                (**self).modified(name)
            }
            fn thaw(&self, name: &str, order: ThawOrder) -> Result<()> {
                (**self).thaw(name, order)
            }
            fn distrust(&self, name: &str) {
                (**self).distrust(name);
            }
            fn notices(&self) -> Vec<String> {
                (**self).notices()
            }
        }
    )*};
}

pass_on!(Box, Arc);
