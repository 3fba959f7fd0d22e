//! `dupr thaw`: has the volumes of a state fetched from the archive of a service.

use crate::cli::args::{HowFast, ThawArgs};
use crate::cli::session::Session;
use crate::cli::ui::out;
use crate::cli::ui::table::Table;
use crate::cli::{complain, exit, run};
use crate::engine::collection::StoredFile;
use crate::engine::context::Context;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::monitor::Silent;
use crate::engine::storage::{Rest, Speed, ThawOrder};
use crate::engine::time_text::parse_time;
use crate::profile::{Profile, SecretRef};
use crate::report::format;
use crate::run::open;
use serde_json::json;

/// Orders them, and returns the exit code.
pub fn run(args: &ThawArgs, session: &Session) -> u8 {
    match run::load(&args.profile, session) {
        Ok(profile) => {
            order(&profile, args, session).unwrap_or_else(|e| complain::error(&e, session))
        }
        Err(code) => code,
    }
}

fn order(profile: &Profile, args: &ThawArgs, session: &Session) -> Result<u8> {
    session.watch_signals()?;
    let now = run::now();
    let time = args.time.as_deref().map_or(Ok(now), |text| {
        parse_time(text, now, &session.zone)
            .map_err(|e| run::usage_error(e.to_string(), "write it as 3D or 2026-11-20"))
    })?;
    let secret = |reference: &SecretRef| session.secret(reference);
    let engine = open::engine(profile, &session.openers(&secret))?;
    let cx = Context {
        monitor: &Silent,
        cancel: &session.cancel,
        now,
        threads: session.world.threads,
    };
    let collection = engine.scan(&cx)?;
    let Some(chain) = collection.chain_at(time) else {
        return Err(Error::new(
            ErrorKind::NoBackup,
            format!("there is no backup at {}", engine.location()),
        ));
    };
    let storage = &engine.target().storage;
    let thaw = ThawOrder {
        days: args.days,
        speed: match args.speed {
            HowFast::Bulk => Speed::Bulk,
            HowFast::Standard => Speed::Standard,
            HowFast::Expedited => Speed::Expedited,
        },
    };
    let mut found: Vec<(&StoredFile, Rest)> = Vec::new();
    for volume in chain.sets_at(time).flat_map(|set| set.volumes.values()) {
        let mut rest = storage.rest(&volume.name)?;
        if rest == Rest::Archived && !session.common.plan {
            storage.thaw(&volume.name, thaw)?;
            rest = Rest::Ordered;
        }
        found.push((volume, rest));
    }
    show(&found, session);
    Ok(exit::DONE)
}

fn word(rest: Rest) -> &'static str {
    match rest {
        Rest::AtHand => "at hand",
        Rest::Ordered => "ordered",
        Rest::Archived => "archived",
    }
}

fn show(found: &[(&StoredFile, Rest)], session: &Session) {
    if session.common.json {
        let volumes = found.iter().map(|(volume, rest)| {
            json!({"name": volume.name, "size": volume.size, "state": word(*rest)})
        });
        let volumes: Vec<_> = volumes.collect();
        out::json(&json!({"schema": 1, "code": exit::DONE, "volumes": volumes}));
        return;
    }
    let mut table = Table::new(&["STATE", ">SIZE", "VOLUME"]);
    let waiting = |rest: &Rest| *rest != Rest::AtHand;
    for (volume, rest) in found.iter().filter(|(_, rest)| waiting(rest)) {
        table.row(vec![
            word(*rest).to_owned(),
            format::bytes(volume.size),
            format::safe(&volume.name),
        ]);
    }
    let count = |wanted: Rest| found.iter().filter(|(_, rest)| *rest == wanted).count();
    if count(Rest::AtHand) < found.len() {
        table.lines().iter().for_each(|line| out::line(line));
    }
    out::line(&format!(
        "{} of {} volumes at hand, {} ordered, {} archived",
        count(Rest::AtHand),
        found.len(),
        count(Rest::Ordered),
        count(Rest::Archived)
    ));
    if count(Rest::Ordered) > 0 {
        out::line(
            "The service needs minutes to hours; with --plan this looks again and orders nothing.",
        );
    }
}
