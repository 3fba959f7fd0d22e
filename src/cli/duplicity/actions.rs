//! duplicity's actions as operations of the engine.

use super::args::{Action, Args};
use super::output::{self, Printer};
use super::session::{self, World, context, time, usage};
use crate::engine::collection::{BackupChain, Collection};
use crate::engine::context::Context;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::format::SetId;
use crate::engine::monitor::Monitor;
use crate::engine::ops::backup::{BackupOptions, Mode};
use crate::engine::ops::restore::RestoreOptions;
use crate::engine::ops::verify::VerifyOptions;
use crate::engine::path::PathIndex;
use crate::engine::select::canonical;
use crate::engine::target::Engine;
use crate::engine::time::Timestamp;
use crate::engine::tree::WriteOptions;
use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

/// How an action ended.
pub enum Done {
    /// As asked.
    Well,
    /// A verify found differences or damage.
    Differences,
    /// Data was lost, and what could be saved was.
    Losses,
}

/// Runs an action and prints what duplicity would.
pub fn run(args: &Args, world: &World, monitor: &dyn Monitor, out: &mut dyn Write) -> Result<Done> {
    let word = |i: usize| {
        args.words
            .get(i)
            .map(OsString::as_os_str)
            .unwrap_or_default()
    };
    let temp = world.temp_dir(args);
    let cx = &context(world, monitor);
    let url = match args.action {
        Action::Backup | Action::Full | Action::Incremental => word(1),
        Action::RemoveOlderThan | Action::RemoveAllButNFull | Action::RemoveAllIncOfButNFull => {
            word(1)
        }
        _ => word(0),
    };
    let engine = session::engine(args, url, &temp, world)?;
    let _lock = engine.lock("a duplicity-style run of dupr", Duration::ZERO, cx)?;
    match args.action {
        Action::Backup | Action::Full | Action::Incremental => {
            backup(args, word(0), &engine, cx, out)
        }
        Action::Restore => restore(args, word(1), &engine, cx),
        Action::Verify => verify(args, word(1), &engine, cx, out),
        Action::List => {
            let mut buffered = std::io::BufWriter::with_capacity(256 * 1024, &mut *out);
            engine.list(at(args, cx)?, &mut Printer(&mut buffered), cx)?;
            buffered.flush()?;
            Ok(Done::Well)
        }
        Action::Status => {
            let collection = engine.scan(cx)?;
            let text = output::status(&collection, &engine.archive().path().to_string_lossy());
            say(out, &text)
        }
        Action::Cleanup => cleanup(args, &engine, cx, out),
        Action::RemoveOlderThan => {
            let before = time(word(0), cx.now)?;
            remove(args, &engine, cx, out, &|c| older_than(c, before))
        }
        Action::RemoveAllButNFull => {
            let keep = count(word(0))?;
            remove(args, &engine, cx, out, &|c| {
                all_but(c, keep).flat_map(whole).collect()
            })
        }
        Action::RemoveAllIncOfButNFull => {
            let keep = count(word(0))?;
            let incrementals =
                |c: &BackupChain| c.incrementals.iter().map(|s| s.id).collect::<Vec<_>>();
            remove(args, &engine, cx, out, &|c| {
                all_but(c, keep).flat_map(incrementals).collect()
            })
        }
    }
}

fn say(out: &mut dyn Write, text: &str) -> Result<Done> {
    out.write_all(text.as_bytes())?;
    Ok(Done::Well)
}

fn at(args: &Args, cx: &Context) -> Result<Option<Timestamp>> {
    args.value("time").map(|t| time(t, cx.now)).transpose()
}

fn count(word: &OsStr) -> Result<usize> {
    let n = word
        .to_str()
        .and_then(|w| w.parse().ok())
        .filter(|n| *n > 0);
    n.ok_or_else(|| {
        usage(format!(
            "{} is not a count of at least 1",
            Path::new(word).display()
        ))
    })
}

fn backup(
    args: &Args,
    source: &OsStr,
    engine: &Engine,
    cx: &Context,
    out: &mut dyn Write,
) -> Result<Done> {
    let label = canonical(source.as_bytes());
    let source = session::source(args, source, cx.now)?;
    let started = std::time::Instant::now();
    let mode = mode(args, engine, cx, out)?;
    let host = rustix::system::uname().nodename().to_bytes().to_vec();
    let short = host
        .split(|b| *b == b'.')
        .next()
        .unwrap_or_default()
        .to_vec();
    let volsize: u64 = args.number("volsize").map_err(usage)?.unwrap_or(200);
    let options = BackupOptions {
        mode,
        hostname_aliases: vec![host, short.clone()],
        hostname: short,
        label,
        volume_bytes: volsize.max(1) << 20,
        max_block: args
            .number("max-blocksize")
            .map_err(usage)?
            .filter(|n| *n > 0),
        numeric_owner: args.has("numeric-owner"),
        allow_mismatch: args.has("allow-source-mismatch"),
        // COMPAT(dup all): an empty source is backed up without a word.
        allow_empty: true,
        or_full: true,
        fingerprint: format!(
            "{:?}",
            args.options
                .iter()
                .map(|(f, v)| (f.name, v))
                .filter(|(n, _)| n.contains("clude") || n.starts_with("fil"))
                .collect::<Vec<_>>()
        ),
        ..BackupOptions::default()
    };
    if args.has("dry-run") {
        return say(out, "dry run: nothing was backed up\n");
    }
    let report = engine.backup(&source, &options, cx)?;
    if let Some(reason) = &report.full_because {
        say(out, &format!("Made a full backup: {reason}\n"))?;
    }
    if !args.has("no-print-statistics") {
        let begun = cx.now.as_secs() as f64;
        say(
            out,
            &output::statistics(
                &report.stats,
                begun,
                begun + started.elapsed().as_secs_f64(),
            ),
        )?;
    }
    Ok(Done::Well)
}

/// Full or incremental, and why, in duplicity's words.
fn mode(args: &Args, engine: &Engine, cx: &Context, out: &mut dyn Write) -> Result<Mode> {
    if args.action == Action::Full {
        return Ok(Mode::Full);
    }
    let collection = engine.scan(cx)?;
    let Some(chain) = collection.latest_chain() else {
        if args.action == Action::Incremental {
            return Err(Error::new(
                ErrorKind::NoBackup,
                "unable to start an incremental backup: old signatures not found and incremental specified",
            ));
        }
        say(out, "No signatures found, switching to full backup.\n")?;
        return Ok(Mode::Full);
    };
    say(
        out,
        &format!("Last full backup date: {}\n", chain.start().to_asctime()),
    )?;
    if let Some(age) = args.value("full-if-older-than")
        && chain.start() < time(age, cx.now)?
    {
        say(out, "Last full backup is too old, forcing full backup\n")?;
        return Ok(Mode::Full);
    }
    if args
        .number("full-if-n-inc")
        .map_err(usage)?
        .is_some_and(|n: usize| chain.incrementals.len() >= n)
    {
        return Ok(Mode::Full);
    }
    let health = engine.inspect(&collection, cx)?;
    match health.why_not {
        None => Ok(Mode::Incremental),
        Some(reason) if args.action == Action::Incremental && health.damage.is_empty() => {
            Err(Error::new(ErrorKind::NoBackup, reason))
        }
        Some(reason) => {
            say(
                out,
                &format!(
                    "The newest chain cannot be extended ({reason}), switching to full backup.\n"
                ),
            )?;
            Ok(Mode::Full)
        }
    }
}

fn restore(args: &Args, destination: &OsStr, engine: &Engine, cx: &Context) -> Result<Done> {
    let options = RestoreOptions {
        time: at(args, cx)?,
        path: wanted(args)?,
        write: WriteOptions {
            numeric_owner: args.has("numeric-owner"),
            restore_ownership: WriteOptions::default().restore_ownership
                && !args.has("no-restore-ownership"),
            ..WriteOptions::default()
        },
    };
    let stats = engine.restore(Path::new(destination), &options, cx)?;
    Ok(if stats.problems > 0 {
        Done::Losses
    } else {
        Done::Well
    })
}

fn wanted(args: &Args) -> Result<PathIndex> {
    let path = args.value("path-to-restore").unwrap_or_default();
    PathIndex::new(path.as_bytes())
        .map_err(|e| usage(format!("{}: {e}", Path::new(path).display())))
}

fn verify(
    args: &Args,
    local: &OsStr,
    engine: &Engine,
    cx: &Context,
    out: &mut dyn Write,
) -> Result<Done> {
    let local = session::source(args, local, cx.now)?;
    let options = VerifyOptions {
        time: at(args, cx)?,
        path: wanted(args)?,
        compare: args.has("compare-data"),
    };
    let stats = engine.verify(&local, &options, &mut Printer(out), cx)?;
    say(out, &output::verified(&stats))?;
    Ok(match stats {
        s if s.problems > 0 => Done::Losses,
        s if s.differences > 0 => Done::Differences,
        _ => Done::Well,
    })
}

fn cleanup(args: &Args, engine: &Engine, cx: &Context, out: &mut dyn Write) -> Result<Done> {
    let force = args.has("force") && !args.has("dry-run");
    let stats = engine.cleanup(force, cx)?;
    if stats.found.is_empty() {
        return say(
            out,
            "No extraneous files found, nothing deleted in cleanup.\n",
        );
    }
    let head = if force {
        "Deleting the following files from target:"
    } else {
        "Found the following files to delete:"
    };
    say(out, &format!("{head}\n{}\n", stats.files.join("\n")))?;
    if force {
        Ok(Done::Well)
    } else {
        say(
            out,
            "Run duplicity again with the --force option to actually delete.\n",
        )
    }
}

fn whole(chain: &BackupChain) -> Vec<SetId> {
    chain.sets().chain(&chain.replaced).map(|s| s.id).collect()
}

/// All chains but the newest `keep`.
fn all_but(collection: &Collection, keep: usize) -> impl Iterator<Item = &BackupChain> {
    collection.chains.iter().rev().skip(keep)
}

/// Chains that ended before a time, never the newest.
fn older_than(collection: &Collection, before: Timestamp) -> Vec<SetId> {
    all_but(collection, 1)
        .filter(|c| c.end() < before)
        .flat_map(whole)
        .collect()
}

fn remove(
    args: &Args,
    engine: &Engine,
    cx: &Context,
    out: &mut dyn Write,
    choose: &dyn Fn(&Collection) -> Vec<SetId>,
) -> Result<Done> {
    let sets = choose(&engine.scan(cx)?);
    if sets.is_empty() {
        return say(out, "No old backup sets found, nothing deleted.\n");
    }
    let names: Vec<String> = sets.iter().map(|s| s.time().to_asctime()).collect();
    let force = args.has("force") && !args.has("dry-run");
    let head = if force {
        "Deleting backup sets at times:"
    } else {
        "Found old backup sets at the following times:"
    };
    say(out, &format!("{head}\n{}\n", names.join("\n")))?;
    if !force {
        return say(
            out,
            "Rerun command with --force option to actually delete.\n",
        );
    }
    engine.remove(&sets, cx)?;
    Ok(Done::Well)
}
