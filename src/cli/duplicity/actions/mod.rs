//! duplicity's actions as operations of the engine.

mod backup;
mod manage;
mod restore;
mod status;

use super::args::{Action, Args};
use super::fault::{Fault, Result};
use super::log::{Log, Weight, code};
use super::output::{Printer, leftovers};
use super::session::{self, World, context, time};
use crate::engine::collection::Collection;
use crate::engine::context::Context;
use crate::engine::error::Error;
use crate::engine::format::FileKind;
use crate::engine::path::{PathError, PathIndex};
use crate::engine::target::Engine;
use crate::engine::time::Timestamp;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::time::Duration;

/// How an action ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// As asked.
    Well,
    /// A verify found differences.
    Differences,
    /// Data was lost, and what could be saved was.
    Losses,
}

impl Done {
    /// Of figures that count problems.
    fn with(problems: u64) -> Self {
        if problems > 0 {
            Done::Losses
        } else {
            Done::Well
        }
    }
}

/// What an action works with.
struct Session<'a> {
    args: &'a Args,
    world: &'a World,
    log: &'a Log,
    engine: Engine,
    cx: Context<'a>,
}

/// Exit code if no backup has the path.
const NOT_IN_BACKUP: i32 = 19;

/// A path of the archive.
// COMPAT(dup 0.8): slashes at both ends do not count.
fn index_of(path: &OsStr) -> Result<PathIndex, PathError> {
    let bytes = path.as_encoded_bytes();
    let slashes = bytes.iter().take_while(|byte| **byte == b'/').count();
    PathIndex::new(bytes.get(slashes..).unwrap_or_default())
}

/// Runs an action and says what duplicity would.
///
/// # Errors
/// With duplicity's exit code.
pub fn run(args: &Args, world: &World, log: &Log) -> Result<Done> {
    let word = |i: usize| {
        args.words
            .get(i)
            .map(OsString::as_os_str)
            .unwrap_or_default()
    };
    check_words(args, &word)?;
    let temp = world.temp_dir(args)?;
    let url = match args.action {
        Action::Restore | Action::Verify => word(0),
        Action::List | Action::Status | Action::Cleanup => word(0),
        _ => word(1),
    };
    let session = Session {
        args,
        world,
        log,
        engine: session::engine(args, url, &temp, world, log)?,
        cx: context(world, log),
    };
    let archive = session.engine.archive().path();
    session.inform(&format!("Using archive dir: {}", archive.display()));
    session.inform(&format!("Using temporary directory {}", temp.display()));
    let holder = "a duplicity-style run of dupr";
    let _lock = session.engine.lock(holder, Duration::ZERO, &session.cx)?;
    match args.action {
        Action::Backup | Action::Full | Action::Incremental => session.backup(word(0), word(1)),
        Action::Restore => session.restore(word(1)),
        Action::Verify => session.verify(word(1)),
        Action::List => session.list(),
        Action::Status => session.status(),
        Action::Cleanup => session.cleanup(),
        Action::RemoveOlderThan => session.remove_older_than(time(args, word(0), world.now)?),
        Action::RemoveAllButNFull => session.remove_all_but(count(word(0))?),
        Action::RemoveAllIncOfButNFull => session.remove_incrementals_of_all_but(count(word(0))?),
        Action::Replicate => session.replicate(word(0), &temp),
    }
}

/// What can be seen to be wrong with the arguments before anything is opened.
fn check_words<'a>(args: &Args, word: &dyn Fn(usize) -> &'a OsStr) -> Result<()> {
    match args.action {
        action if action.writes() => {
            let source = Path::new(word(0));
            if super::args::is_url(word(0)) {
                return Err(Fault::usage(format!(
                    "the source of a backup is a path, not {}",
                    source.display()
                )));
            }
            std::fs::symlink_metadata(source)
                .map_err(|e| Fault::usage(Error::io("find the source", source, e).to_string()))?;
        }
        Action::Restore | Action::Verify if super::args::is_url(word(1)) => {
            let text = format!(
                "{} is a URL in place of a path",
                Path::new(word(1)).display()
            );
            return Err(Fault::usage(text));
        }
        Action::RemoveOlderThan => {
            time(args, word(0), Timestamp(0))?;
        }
        Action::RemoveAllButNFull | Action::RemoveAllIncOfButNFull => {
            count(word(0))?;
        }
        _ => {}
    }
    for name in ["time", "full-if-older-than", "exclude-older-than"] {
        for value in args.values(name) {
            time(args, value, Timestamp(0))?;
        }
    }
    Ok(())
}

fn count(word: &OsStr) -> Result<usize> {
    let n = word
        .to_str()
        .and_then(|w| w.parse().ok())
        .filter(|n| *n > 0);
    n.ok_or_else(|| {
        Fault::usage(format!(
            "{} is not a count of at least 1",
            Path::new(word).display()
        ))
    })
}

impl Session<'_> {
    /// The time asked for.
    fn at(&self) -> Result<Option<Timestamp>> {
        self.args
            .value("time")
            .map(|t| time(self.args, t, self.cx.now))
            .transpose()
    }

    /// The path asked for; the root for all.
    fn wanted(&self) -> Result<PathIndex> {
        let path = self.args.value("path-to-restore").unwrap_or_default();
        index_of(path).map_err(|e| {
            let text = format!("{}: {e}", Path::new(path).display());
            Fault::new(NOT_IN_BACKUP, text)
        })
    }

    /// Whether something is to be deleted for real.
    fn forced(&self) -> bool {
        self.args.has("force") && !self.args.has("dry-run")
    }

    /// Lists the target, and says what every action says of it.
    fn scan(&self) -> Result<Collection> {
        let collection = self.engine.scan(&self.cx)?;
        if self.args.text("metadata-sync-mode")? == Some("full") && !self.args.action.needs_no_key()
        {
            self.engine.sync(&collection, &self.cx)?;
        }
        let syncs = !self.args.action.needs_no_key() || self.args.action == Action::Cleanup;
        let looked = self.args.switch("check-remote", true);
        if looked && syncs && self.args.action != Action::Full && self.in_sync(&collection) {
            self.log
                .notice("Local and Remote metadata are synchronized, no sync needed.");
        }
        for (code, text) in leftovers::warnings(&collection) {
            self.log.warn_as(code, &text);
        }
        let full = collection
            .latest_chain()
            .map_or("none".into(), |c| c.start().to_asctime());
        self.log.notice(&format!("Last full backup date: {full}"));
        Ok(collection)
    }

    /// Whether the archive dir has what the newest chain has at the target.
    fn in_sync(&self, collection: &Collection) -> bool {
        let archive = self.engine.archive();
        let known = |set| {
            collection
                .every_set()
                .chain(&collection.incomplete)
                .any(|s| s.id == set)
        };
        let here = archive.files().unwrap_or_default();
        if here
            .iter()
            .any(|(name, _)| !name.partial && !known(name.set))
        {
            return false;
        }
        let Some(chain) = collection.latest_chain() else {
            return collection.incomplete.is_empty();
        };
        chain.sets().all(|set| {
            archive.has(set.id, FileKind::Manifest)
                && (set.signature.is_none() || archive.has(set.id, FileKind::Signature))
        })
    }

    fn list(&self) -> Result<Done> {
        let collection = self.scan()?;
        let oldest = collection.chains.first().map(|chain| chain.start());
        if let (Some(time), Some(oldest)) = (self.at()?, oldest)
            && time < oldest
        {
            let text = format!(
                "No backup is as old as that: what follows is the oldest, of {}",
                oldest.to_asctime()
            );
            self.log
                .warn_about(code::NO_SIGNATURES, &oldest.to_name(), &text);
        }
        let listed = self
            .engine
            .list(self.at()?, &mut Printer(self.log), &self.cx);
        self.log.flush();
        listed?;
        Ok(Done::Well)
    }

    fn inform(&self, text: &str) {
        self.log.say(Weight::Info, text);
    }
}
