//! What all services have in common that go through opendal.
//!
//! Large objects go in parts, several at a time, read from the file as they are sent, where the service has parts. Where a
//! service shows an upload before it is whole, the object is stored under a temp name first and renamed.

mod clock;
mod operator;
mod upload;

pub(super) use operator::operator;

use super::super::growing::Growing;
use super::super::names;
use super::super::transfer::Transfer;
use super::super::{Location, Object, Rest, Storage, StorageOptions, ThawOrder, taken};
use super::claim;
use super::{azure, s3, tls, webdav};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::time::Timestamp;
use futures_core::Stream;
use opendal::{EntryMode, Operator};
use std::future::poll_fn;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::task::Poll;
use std::time::Duration;

/// Length of a part of a large object, unless the settings name another.
const PART: u64 = 8 << 20;

/// Least length of a part; S3 takes none shorter.
const MIN_PART: u64 = 5 << 20;

/// Parts in flight per upload, unless the settings name another number.
const PARTS_AT_ONCE: usize = 4;

/// Bytes taken from a download at a time.
const PIECE: usize = 1 << 20;

/// Slowest line on which a part may still be under way; below it the peer counts as silent.
const SLOWEST_BYTES_PER_SECOND: u64 = 32 << 10;

/// Says in one line what the service answered, with a kind and, where it helps, a way out.
pub(super) type Explain = Box<dyn Fn(opendal::Error) -> Error + Send + Sync>;

/// Objects of one place behind opendal.
pub(super) struct CloudStorage {
    /// Reads, lists, deletes, and puts in the standard class.
    standard: Operator,
    /// Lists instead, where names may come back from another place than the one that was asked for.
    lister: Option<Operator>,
    /// Puts in another storage class.
    classed: Option<Classed>,
    /// Who uploads where one shows before it is whole: it is renamed then.
    sender: Option<webdav::Sender>,
    /// Whether names keep their backslashes.
    backslashes: bool,
    /// Length of a part.
    part: u64,
    /// Parts in flight.
    parts_at_once: usize,
    /// Uploads in parts that are under way.
    uploads: AtomicUsize,
    /// Whether a place that does not exist lists as empty.
    empty_when_absent: bool,
    /// Whether the place is known to exist.
    made: AtomicBool,
    /// Where objects may lie in an archive.
    archive: Option<Cold>,
    explain: Explain,
    location: Location,
    transfer: Arc<Transfer>,
}

/// Where objects may lie in an archive.
pub(super) enum Cold {
    S3(s3::Archive),
    Azure(azure::Archive),
}

impl Cold {
    async fn rest(&self, name: &str) -> Result<Rest> {
        match self {
            Cold::S3(archive) => archive.rest(name).await,
            Cold::Azure(archive) => archive.rest(name).await,
        }
    }

    async fn thaw(&self, name: &str, order: ThawOrder) -> Result<()> {
        match self {
            Cold::S3(archive) => archive.thaw(name, order).await,
            Cold::Azure(archive) => archive.thaw(name, order).await,
        }
    }
}

/// What becomes of an object of the same name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Presence {
    /// The new one takes its place.
    Replaced,
    /// The service refuses the new one.
    Refused,
}

/// Where most objects go, when that is not the standard class.
struct Classed {
    operator: Operator,
    /// Picks the names that stay in the standard class.
    standard_names: fn(&str) -> bool,
}

impl CloudStorage {
    pub(super) fn new(
        standard: Operator,
        location: Location,
        transfer: Arc<Transfer>,
        explain: Explain,
    ) -> Self {
        Self {
            standard,
            lister: None,
            classed: None,
            sender: None,
            backslashes: true,
            part: PART,
            parts_at_once: PARTS_AT_ONCE,
            uploads: AtomicUsize::new(0),
            empty_when_absent: false,
            made: AtomicBool::new(false),
            archive: None,
            explain,
            location,
            transfer,
        }
    }

    /// Puts with another operator what `standard_names` does not pick.
    pub(super) fn with_class(self, operator: Operator, standard_names: fn(&str) -> bool) -> Self {
        Self {
            classed: Some(Classed {
                operator,
                standard_names,
            }),
            ..self
        }
    }

    /// Lists with another operator, of whose entries only the last component counts.
    pub(super) fn with_lister(self, lister: Operator) -> Self {
        Self {
            lister: Some(lister),
            ..self
        }
    }

    /// Cuts large objects as the settings say.
    ///
    /// # Errors
    /// `Usage` for what is no number above zero.
    pub(super) fn with_parts(mut self, options: &StorageOptions) -> Result<Self> {
        let number = |name: &str| {
            let parse = |text: &str| text.parse::<u64>().ok().filter(|n| (1..=5000).contains(n));
            let wrong = || {
                let text = format!("the option `{name}` wants a whole number from 1 to 5000");
                Error::new(ErrorKind::Usage, text)
            };
            let given = options.setting(name);
            given.map(|text| parse(text).ok_or_else(wrong)).transpose()
        };
        if let Some(mb) = number("part-mb")? {
            self.part = MIN_PART.max(mb << 20);
        }
        if let Some(parts) = number("parts-at-once")? {
            self.parts_at_once = usize::try_from(parts).unwrap_or(PARTS_AT_ONCE);
        }
        Ok(self)
    }

    /// Orders from this archive.
    pub(super) fn with_archive(self, archive: Cold) -> Self {
        Self {
            archive: Some(archive),
            ..self
        }
    }

    /// Puts by this sender, under a temp name first.
    pub(super) fn with_renames(self, sender: webdav::Sender) -> Self {
        Self {
            sender: Some(sender),
            ..self
        }
    }

    /// Lists a place that does not exist as empty: it is made by what is put there.
    pub(super) fn empty_when_absent(self) -> Self {
        Self {
            empty_when_absent: true,
            ..self
        }
    }

    /// Refuses names with a backslash, which the service would make a slash.
    pub(super) fn without_backslashes(self) -> Self {
        Self {
            backslashes: false,
            ..self
        }
    }

    fn check(&self, name: &str) -> Result<()> {
        check(name)?;
        if self.backslashes || !name.contains('\\') {
            return Ok(());
        }
        let text = format!("{name:?} has a backslash, which targets of this kind do not keep");
        Err(Error::new(ErrorKind::Unsupported, text))
    }

    /// Who puts an object of this name.
    fn operator_for(&self, name: &str) -> &Operator {
        match &self.classed {
            Some(classed) if !(classed.standard_names)(name) => &classed.operator,
            _ => &self.standard,
        }
    }

    /// Waits for an answer and translates its error.
    async fn answer<T>(&self, work: impl Future<Output = opendal::Result<T>>) -> Result<T> {
        self.transfer
            .answer(work)
            .await?
            .map_err(|e| self.explained(e))
    }

    /// Waits until `bytes` can have been sent, even on the slowest line.
    async fn sent<T>(
        &self,
        bytes: u64,
        work: impl Future<Output = opendal::Result<T>>,
    ) -> Result<T> {
        let limit = self.transfer.timeout() + Duration::from_secs(bytes / SLOWEST_BYTES_PER_SECOND);
        self.transfer
            .answer_within(limit, work)
            .await?
            .map_err(|e| self.explained(e))
    }

    fn explain_io(&self, error: std::io::Error) -> Error {
        match error.downcast::<opendal::Error>() {
            Ok(error) => self.explained(error),
            Err(error) => Error::from(error),
        }
    }

    fn explained(&self, error: opendal::Error) -> Error {
        let host = self.location.to_string();
        tls::disbelieved(&error, &host).unwrap_or_else(|| (self.explain)(error))
    }
}

impl Storage for CloudStorage {
    fn location(&self) -> &Location {
        &self.location
    }

    fn list(&self) -> Result<Vec<Object>> {
        let listed = self.transfer.block_on(async {
            let lister = self.lister.as_ref().unwrap_or(&self.standard);
            let lister = lister.lister_with("/");
            let mut lister = pin!(self.answer(async { lister.await }).await?);
            let mut objects = Vec::new();
            loop {
                let next = poll_fn(|cx| {
                    // opendal cuts what the server lists where the answers to honest questions can be cut.
                    let polled = AssertUnwindSafe(|| lister.as_mut().poll_next(cx));
                    catch_unwind(polled).unwrap_or_else(|_| {
                        let text = "the server lists what was not asked for";
                        let error = opendal::Error::new(opendal::ErrorKind::Unexpected, text);
                        Poll::Ready(Some(Err(error)))
                    })
                });
                match self.answer(async { next.await.transpose() }).await? {
                    None => return Ok(objects),
                    Some(entry)
                        if entry.metadata().mode() == EntryMode::FILE
                            && !entry.name().is_empty()
                            && !names::is_temp(entry.name()) =>
                    {
                        objects.push(Object {
                            name: entry.name().to_string(),
                            size: entry.metadata().content_length(),
                        });
                    }
                    Some(_) => {}
                }
            }
        });
        match listed {
            Err(error) if self.empty_when_absent && error.kind() == ErrorKind::NotFound => {
                Ok(Vec::new())
            }
            listed => listed,
        }
    }

    fn stat(&self, name: &str) -> Result<Option<Object>> {
        self.check(name)?;
        self.transfer.block_on(async {
            match self.answer(self.standard.stat(name)).await {
                Ok(meta) if meta.mode() == EntryMode::FILE => Ok(Some(Object {
                    name: name.to_string(),
                    size: meta.content_length(),
                })),
                Ok(_) => Ok(None),
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error),
            }
        })
    }

    fn modified(&self, name: &str) -> Result<Option<Timestamp>> {
        self.last_modified(name)
    }

    fn get(&self, name: &str, to: &mut dyn Write) -> Result<u64> {
        self.check(name)?;
        let mut download = self.transfer.download(to);
        self.transfer.block_on(async {
            let reader = self.answer(self.standard.reader(name)).await?;
            let mut reader = self.answer(reader.into_futures_async_read(..)).await?;
            loop {
                let piece = self.transfer.answer(reader.read_buffer(PIECE)).await?;
                let piece = piece.map_err(|e| self.explain_io(e))?;
                if piece.is_empty() {
                    return Ok(download.bytes());
                }
                for part in piece {
                    download.push(&part)?;
                }
            }
        })
    }

    fn put(&self, name: &str, from: &Path) -> Result<()> {
        self.check(name)?;
        self.transfer.block_on(async {
            if let Some(sender) = &self.sender {
                return self.put_renamed(sender, name, from).await;
            }
            let operator = self.operator_for(name);
            self.put_parts(operator, name, from, Presence::Replaced)
                .await
        })
    }

    fn claim(&self, name: &str, from: &Path) -> Result<()> {
        claim::looked_for(self, name, || {
            if self.sender.is_some() {
                return self.put(name, from);
            }
            let put = self.transfer.block_on(self.put_parts(
                self.operator_for(name),
                name,
                from,
                Presence::Refused,
            ));
            match put {
                // Such a store does not know the condition.
                Err(error) if error.kind() == ErrorKind::Unsupported => self.put(name, from),
                put => put,
            }
        })
    }

    fn put_growing(&self, name: &str, from: &Growing, claimed: bool) -> Result<()> {
        self.check(name)?;
        if self.sender.is_some() {
            from.whole()?;
        } else {
            if claimed && self.stat(name)?.is_some() {
                return Err(taken(name));
            }
            let presence = match claimed {
                true => Presence::Refused,
                false => Presence::Replaced,
            };
            let sent = self
                .transfer
                .block_on(self.send_growing(name, from, presence));
            match claim::refused(name, sent) {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                // Such a store does not know the condition: once more, without it.
                Err(error) if claimed && error.kind() == ErrorKind::Unsupported => from.whole()?,
                Err(error) => return Err(error),
            }
        }
        match claimed {
            true => self.claim(name, from.path()),
            false => self.put(name, from.path()),
        }
    }

    fn rest(&self, name: &str) -> Result<Rest> {
        self.check(name)?;
        match &self.archive {
            Some(archive) => self.transfer.block_on(archive.rest(name)),
            None => Ok(Rest::AtHand),
        }
    }

    fn thaw(&self, name: &str, order: ThawOrder) -> Result<()> {
        self.check(name)?;
        let archive = self.archive.as_ref().ok_or_else(|| {
            let text = format!("{name} lies in no archive that dupr can order from");
            Error::new(ErrorKind::Unsupported, text)
        })?;
        self.transfer.block_on(archive.thaw(name, order))
    }

    fn delete(&self, name: &str) -> Result<()> {
        self.check(name)?;
        self.transfer.block_on(async {
            match self.answer(self.standard.delete(name)).await {
                Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            }
        })
    }
}

/// opendal trims blanks from the ends of a name, and would put it under another.
fn check(name: &str) -> Result<()> {
    names::check(name)?;
    if name.trim() == name {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Unsupported,
        format!("{name:?} has blanks at an end, which targets of this kind do not keep"),
    ))
}

/// What opendal's own classification says.
pub(super) fn kind_of(error: &opendal::Error) -> ErrorKind {
    match error.kind() {
        opendal::ErrorKind::NotFound => ErrorKind::NotFound,
        opendal::ErrorKind::PermissionDenied => ErrorKind::Denied,
        opendal::ErrorKind::RateLimited => ErrorKind::RateLimited,
        opendal::ErrorKind::ConfigInvalid => ErrorKind::Usage,
        opendal::ErrorKind::Unsupported => ErrorKind::Unsupported,
        opendal::ErrorKind::ConditionNotMatch | opendal::ErrorKind::AlreadyExists => {
            ErrorKind::Locked
        }
        _ if error.is_temporary() => ErrorKind::Unreachable,
        _ => ErrorKind::Io,
    }
}

/// The answer in one line, no longer than a line.
pub(super) fn answer_of(error: &opendal::Error) -> String {
    let mut text = error.to_string();
    // The service's own words come last; what opendal puts before them is for its developers.
    if let Some((_, words)) = text.split_once(" => ") {
        text = words.to_string();
    }
    let mut line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = line.char_indices().nth(300) {
        line.truncate(end);
        line.push('…');
    }
    line
}
