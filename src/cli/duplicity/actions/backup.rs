//! `backup`, `full`, `incremental`.

use super::{Done, Session};
use crate::cli::duplicity::args::Action;
use crate::cli::duplicity::fault::{Fault, Result};
use crate::cli::duplicity::log::{Weight, code};
use crate::cli::duplicity::output::statistics::{self, Meta, Span};
use crate::cli::duplicity::session::{self, time};
use crate::engine::collection::{BackupChain, Collection};
use crate::engine::context::Context;
use crate::engine::error::{Error, ErrorKind};
use crate::engine::format::{FileKind, SetId};
use crate::engine::ops::backup::{BackupOptions, Mode};
use crate::engine::ops::preview::Preview;
use crate::engine::select::canonical;
use crate::engine::stats::BackupStats;
use crate::engine::time::Timestamp;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant};

/// Seconds that the newest set may be ahead of the clock to be waited for.
const MOST_WAITED: i64 = 3;

/// Exit code of an increment that cannot be made.
const NO_SIGNATURES: i32 = 17;

impl Session<'_> {
    pub(super) fn backup(&self, from: &OsStr, to: &OsStr) -> Result<Done> {
        let args = self.args;
        let source = session::source(args, from, self.cx.now)?;
        let begun = Instant::now();
        let collection = self.scan()?;
        let cx = &self.after(&collection);
        let dry = args.has("dry-run");
        let left = self.engine.partial()?.filter(|p| p.resumable);
        // COMPAT(dup all): a half-done set is gone on with before anything is decided about a new one.
        let resumes = left.is_some() && args.action != Action::Full && !dry;
        let mode = match resumes {
            true => Mode::Incremental,
            false => self.mode(&collection)?,
        };
        let options = self.backup_options(mode, from)?;
        let fail = |e: Error| match e.kind() {
            ErrorKind::NoBackup => Fault {
                code: NO_SIGNATURES,
                ..e.into()
            },
            _ => e.into(),
        };
        let (progress, skip) = (args.has("progress"), args.has("skip-if-no-change"));
        if progress {
            let every = args.number("progress-rate")?.unwrap_or(3);
            self.log.show_progress(Duration::from_secs(every));
        }
        let preview = match dry || progress || (skip && mode == Mode::Incremental && !resumes) {
            true => match self
                .engine
                .preview(&source, &options, &self.quiet(dry, cx.now))
            {
                // It only tells how much there is to do, and knows nothing of what is half-done.
                Err(_) if resumes => None,
                preview => Some(preview.map_err(fail)?),
            },
            false => None,
        };
        if let Some(preview) = &preview {
            crate::engine::monitor::Monitor::expect(
                self.log,
                crate::engine::monitor::Counter::SourceBytes,
                preview.content_bytes,
            );
        }
        let unchanged = |p: &Preview| !p.full && p.stats.delta_entries == 0;
        let skipped = skip && !resumes && preview.as_ref().is_some_and(unchanged);
        if skipped {
            self.log.notice("Nothing has changed: no set is made.");
        }
        let (stats, set) = match preview {
            Some(preview) if dry || skipped => (preview.stats, None),
            _ => {
                let report = self.engine.backup(&source, &options, cx).map_err(fail)?;
                if let Some(reason) = &report.full_because {
                    self.log.warn(&format!("Made a full backup: {reason}"));
                }
                (report.stats, Some(report.set))
            }
        };
        if progress && !dry {
            self.log.end_progress();
        }
        let started = cx.now.as_secs() as f64;
        let span = Span {
            started,
            ended: started + begun.elapsed().as_secs_f64(),
        };
        if args.has("jsonstat") {
            self.store_json(&stats, span, set, skipped, mode, &collection, (from, to))?;
        }
        if args.switch("print-statistics", true) {
            let block = statistics::statistics(&stats, span);
            self.log
                .insist(Weight::Notice, code::GENERIC, "", block.as_bytes());
        }
        Ok(Done::Well)
    }

    /// A context for a set after the newest one. A run that follows another at once waits for the next second, as sets
    /// are told apart by it; a clock that is further behind is left to the engine to refuse.
    fn after(&self, collection: &Collection) -> Context<'_> {
        let mut cx = self.cx;
        let ahead = collection
            .newest_time()
            .map_or(-1, |newest| newest.as_secs() - cx.now.as_secs());
        if (0..=MOST_WAITED).contains(&ahead)
            && !self.args.has("current-time")
            && !self.args.has("dry-run")
        {
            std::thread::sleep(Duration::from_secs(ahead.unsigned_abs() + 1));
            cx.now = cx.now.plus(ahead + 1);
        }
        cx
    }

    /// A context that tells changes only in a dry run; before a real one they would be told twice.
    fn quiet(&self, dry: bool, now: Timestamp) -> Context<'_> {
        let silent: &dyn crate::engine::monitor::Monitor = &crate::engine::monitor::Silent;
        Context {
            monitor: if dry { self.log } else { silent },
            now,
            ..self.cx
        }
    }

    fn backup_options(&self, mode: Mode, from: &OsStr) -> Result<BackupOptions> {
        let args = self.args;
        let host = rustix::system::uname().nodename().to_bytes().to_vec();
        let short = host
            .split(|b| *b == b'.')
            .next()
            .unwrap_or_default()
            .to_vec();
        let selection: Vec<_> = args
            .options
            .iter()
            .map(|(flag, values)| (flag.means, values))
            .filter(|(name, _)| name.contains("clude") || name.starts_with("fil"))
            .collect();
        Ok(BackupOptions {
            mode,
            hostname_aliases: vec![host, short.clone()],
            hostname: short,
            label: canonical(from.as_bytes()),
            volume_bytes: args.number::<u64>("volsize")?.unwrap_or(200).max(1) << 20,
            max_block: args.number("max-blocksize")?.filter(|n| *n > 0),
            numeric_owner: args.has("numeric-owner"),
            allow_mismatch: args.has("allow-source-mismatch"),
            // COMPAT(dup all): an empty source is backed up, and an empty target filled again, without a word.
            allow_empty: true,
            allow_empty_target: true,
            or_full: args.action != Action::Incremental,
            list_files: args.switch("files-changed", true),
            fingerprint: format!("{selection:?}"),
            ..BackupOptions::default()
        })
    }

    /// Full or incremental, and why, in duplicity's words.
    fn mode(&self, collection: &Collection) -> Result<Mode> {
        let (args, log) = (self.args, self.log);
        if args.action == Action::Full {
            return Ok(Mode::Full);
        }
        let Some(chain) = collection.latest_chain() else {
            if args.action == Action::Incremental {
                return Err(Fault::new(
                    NO_SIGNATURES,
                    "unable to start an incremental backup: old signatures not found and incremental specified",
                ));
            }
            log.warn("No signatures found, switching to full backup.");
            return Ok(Mode::Full);
        };
        if let Some(age) = args.value("full-if-older-than")
            && chain.start() < time(args, age, self.cx.now)?
        {
            log.notice("Last full backup is too old, forcing full backup");
            return Ok(Mode::Full);
        }
        let most = args.number("full-if-n-inc")?;
        if most.is_some_and(|n: usize| chain.incrementals.len() >= n) {
            log.notice("Latest chain has too many incrementals, forcing full backup");
            return Ok(Mode::Full);
        }
        let health = self.engine.inspect(collection, &self.cx)?;
        match health.why_not {
            None => Ok(Mode::Incremental),
            Some(reason) if args.action == Action::Incremental => {
                Err(Fault::new(NO_SIGNATURES, reason).with_hint("make a full backup"))
            }
            Some(reason) => {
                log.warn(&format!(
                    "The newest chain cannot be extended ({reason}), switching to full backup."
                ));
                Ok(Mode::Full)
            }
        }
    }

    /// Where the archive dir has the statistics of a chain's sets.
    // COMPAT(dup 3.1): a new chain has `N/A` for the set that is not there yet.
    fn told_before(&self, chain: Option<&BackupChain>) -> Vec<String> {
        let archive = self.engine.archive();
        let sets = chain.into_iter().flat_map(BackupChain::sets);
        let names = sets.map(|set| {
            let path = archive.file(set.id, FileKind::Stats, false);
            let name = path
                .file_name()
                .filter(|_| archive.has(set.id, FileKind::Stats));
            name.map_or("N/A".into(), |name| name.to_string_lossy().into_owned())
        });
        let names: Vec<String> = names.collect();
        match names.is_empty() {
            true => vec!["N/A".into()],
            false => names,
        }
    }

    #[expect(clippy::too_many_arguments, reason = "all of it is told in the JSON")]
    fn store_json(
        &self,
        stats: &BackupStats,
        span: Span,
        set: Option<SetId>,
        skipped: bool,
        mode: Mode,
        collection: &Collection,
        (from, to): (&OsStr, &OsStr),
    ) -> Result<()> {
        let full = set.map_or(mode == Mode::Full, |set| set.is_full());
        let chain = collection.latest_chain().filter(|_| !full);
        let time = match (full, chain) {
            (true, _) => set.map(|set| set.time()),
            (false, chain) => chain.map(|c| c.start()),
        };
        let target = to
            .to_str()
            .and_then(|url| crate::engine::storage::TargetUrl::parse(url).ok());
        let meta = Meta {
            action: if full { "full" } else { "inc" },
            skipped_inc: skipped,
            time_full_bkp: time.map(|t| t.as_secs()),
            time_full_bkp_str: time.map(|t| t.to_name()),
            no_of_inc: chain.map_or(0, |c| c.incrementals.len()),
            concurrency: self.args.number("concurrency")?.unwrap_or(0),
            target: target.map_or_else(String::new, |url| url.masked().to_owned()),
            source: from.to_string_lossy().into_owned(),
            local_json_stat: self.told_before(chain),
        };
        let json = statistics::json(stats, span, &meta);
        self.log
            .insist(Weight::Notice, code::GENERIC, "", json.as_bytes());
        if let Some(set) = set {
            self.engine.store_stats(set, &json, &self.cx)?;
        }
        Ok(())
    }
}
