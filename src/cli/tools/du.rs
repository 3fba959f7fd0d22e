//! `dupr du`: which paths take the space at the target.

use crate::cli::args::DuArgs;
use crate::cli::session::Session;
use crate::cli::ui::out;
use crate::cli::ui::table::Table;
use crate::cli::{complain, exit, run};
use crate::engine::context::Context;
use crate::engine::error::Result;
use crate::engine::monitor::Silent;
use crate::engine::ops::usage::Usage;
use crate::engine::path::PathIndex;
use crate::profile::{Profile, SecretRef};
use crate::report::format;
use crate::run::open;
use serde_json::json;
use std::os::unix::ffi::OsStrExt;

/// Shows it, and returns the exit code.
pub fn run(args: &DuArgs, session: &Session) -> u8 {
    match run::load(&args.profile, session) {
        Ok(profile) => {
            show(&profile, args, session).unwrap_or_else(|e| complain::error(&e, session))
        }
        Err(code) => code,
    }
}

fn show(profile: &Profile, args: &DuArgs, session: &Session) -> Result<u8> {
    session.watch_signals()?;
    let below = args.path.clone().unwrap_or_default();
    let below = below.strip_prefix(&profile.source.root).unwrap_or(&below);
    let below = PathIndex::new(below.as_os_str().as_bytes())
        .map_err(|e| run::usage_error(e.to_string(), "give it relative to the source"))?;
    let secret = |reference: &SecretRef| session.secret(reference);
    let engine = open::engine(profile, &session.openers(&secret))?;
    let cx = Context {
        monitor: &Silent,
        cancel: &session.cancel,
        now: run::now(),
        threads: session.world.threads,
    };
    let usages = engine.usage(&below, args.depth, &cx)?;
    let mut paths: Vec<(&String, &Usage)> = usages.paths.iter().collect();
    paths.sort_by_key(|(_, usage)| std::cmp::Reverse(usage.stored_bytes));
    if args.top > 0 {
        paths.truncate(args.top);
    }
    if session.common.json {
        let paths: Vec<_> = paths
            .iter()
            .map(|(path, usage)| json!({"path": path, "usage": usage}))
            .collect();
        out::json(&json!({
            "schema": 1, "code": exit::DONE, "volume-bytes": usages.volume_bytes,
            "other-bytes": usages.other_bytes, "paths": paths,
        }));
        return Ok(exit::DONE);
    }
    let mut table = Table::new(&["STORED", "IN FULL SETS", "ENTRIES", "SETS", "PATH"]);
    for (path, usage) in paths {
        table.row(vec![
            format::bytes(usage.stored_bytes),
            format::bytes(usage.full_bytes),
            format::count(usage.entries),
            format::count(usage.sets),
            format::safe(path),
        ]);
    }
    table.lines().iter().for_each(|l| out::line(l));
    out::line(&format!(
        "{} in volumes, {} in manifests and sigtars; shares of paths are estimates",
        format::bytes(usages.volume_bytes),
        format::bytes(usages.other_bytes)
    ));
    Ok(exit::DONE)
}
