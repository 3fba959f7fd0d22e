//! The target at work: whether it keeps what it is given, whether the keys open what lies there, and what time it thinks it is.

use super::Line;
use crate::cli::run;
use crate::cli::session::Session;
use crate::engine::collection::Collection;
use crate::engine::context::Context;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::monitor::Silent;
use crate::engine::target::Engine;
use crate::engine::time::Timestamp;
use crate::profile::Profile;
use crate::report::format;
use crate::run::open;
use std::io::Write;

/// Seconds by which two clocks may differ.
const APART: u64 = 60;

/// Seconds a clock may be behind the newest set and still be waited for.
const PATIENCE: i64 = 5;

/// Lines for a target: whether it can be used, and if so, what is stored there.
pub(super) fn look_at(profile: &Profile, session: &Session) -> Vec<Line> {
    let tried = match tried(profile, session) {
        Ok(tried) => tried,
        Err(e) => {
            let fix = format!(
                "`dupr target test {}` tries it step by step",
                profile.base_name()
            );
            return vec![Line::fail("target", &e, fix)];
        }
    };
    let mut lines = vec![Line::ok("target", tried.text.clone())];
    lines.push(clock(&tried));
    lines.push(opens(&tried, profile, session));
    lines
}

/// Opens keys and target, lists it, and stores, reads back and removes a small object.
///
/// # Errors
/// What would keep a backup from working.
pub fn try_target(profile: &Profile, session: &Session) -> Result<String> {
    tried(profile, session).map(|tried| tried.text)
}

/// A target that works.
struct Tried {
    text: String,
    engine: Engine,
    collection: Collection,
    /// When the small object was stored by this clock, first and last moment, and by that of the target.
    here: (Timestamp, Timestamp),
    there: Option<Timestamp>,
}

fn context(session: &Session) -> Context<'_> {
    Context {
        monitor: &Silent,
        cancel: &session.cancel,
        now: run::now(),
        threads: session.world.threads,
    }
}

fn tried(profile: &Profile, session: &Session) -> Result<Tried> {
    let secret = |reference: &crate::profile::SecretRef| session.secret(reference);
    let around = session.openers(&secret);
    let engine = open::engine(profile, &around)?;
    let collection = engine.scan(&context(session))?;
    let storage = &engine.target().storage;
    let mut file = tempfile::NamedTempFile::new_in(&profile.backup.temp_dir)
        .map_err(|e| Error::io("create a file in", &profile.backup.temp_dir, e))?;
    file.write_all(b"dupr was here\n")
        .map_err(|e| Error::io("write", file.path(), e))?;
    // Not a name of the format, so that no backup ever takes it for its own.
    let name = format!("dupr-test-{}", std::process::id());
    let begun = run::now();
    storage
        .put(&name, file.path())
        .map_err(|e| e.within("cannot store at the target"))?;
    let here = (begun, run::now());
    let mut read = Vec::new();
    let got = storage.get(&name, &mut read);
    // A target that tells no time is none that does not work.
    let there = storage.modified(&name).ok().flatten();
    storage
        .delete(&name)
        .map_err(|e| e.within("cannot delete at the target"))?;
    got.map_err(|e| e.within("cannot read back from the target"))?;
    if read != b"dupr was here\n" {
        return Err(Error::new(
            ErrorKind::Corrupt,
            format!(
                "{} gives back other bytes than it was given",
                engine.location()
            ),
        ));
    }
    let chains = format::counted(collection.chains.len() as u64, "chain");
    let text = format!(
        "{} stores, reads and deletes; {chains} there",
        engine.location()
    );
    Ok(Tried {
        text,
        engine,
        collection,
        here,
        there,
    })
}

/// The clock of this machine against that of the target, and against the newest set.
fn clock(tried: &Tried) -> Line {
    let (begun, ended) = tried.here;
    let fix = "set both by the network (`timedatectl set-ntp true`), and look at the time zones";
    let newest = tried.collection.newest_time();
    if let Some(newest) = newest.filter(|t| t.as_secs() > ended.as_secs() + PATIENCE) {
        let text = format!(
            "the newest set is of {}, and here it is {}: no set can be made until then",
            format::time(newest),
            format::time(ended)
        );
        return Line::fail("clock", &Error::new(ErrorKind::Io, text), fix);
    }
    let Some(there) = tried.there else {
        return Line::ok("clock", "the target tells no time");
    };
    let ahead = there.as_secs() - ended.as_secs();
    let behind = begun.as_secs() - there.as_secs();
    let (word, apart) = match ahead > behind {
        true => ("ahead of", ahead),
        false => ("behind", behind),
    };
    let apart = u64::try_from(apart).unwrap_or(0);
    if apart < APART {
        return Line::ok("clock", "that of the target agrees with this one");
    }
    let text = format!(
        "that of the target is {} {word} this one",
        format::span(apart)
    );
    Line::warn("clock", text, fix)
}

/// Whether the keys of the profile open what lies at the target: the manifest of the newest set, fetched anew.
fn opens(tried: &Tried, profile: &Profile, session: &Session) -> Line {
    let chain = tried.collection.latest_chain();
    let Some(set) = chain.and_then(|chain| chain.sets().next_back()) else {
        return Line::ok("stored", "no set so far");
    };
    let seal = &tried.engine.target().seal;
    if set.is_encrypted() && !seal.can_read_back() {
        let text = "the secret key is not on this machine: what is stored is opened where it is";
        return Line::ok("stored", text);
    }
    let name = &profile.name;
    match tried.engine.prove_manifest(set, &context(session)) {
        Ok(()) => Line::ok("stored", format!("the keys open the {}", set.id)),
        Err(e) if e.kind() == ErrorKind::WrongKey => {
            let text = format!("the keys of the profile do not open the {}: {e}", set.id);
            let fix = format!(
                "name the passphrase or key it was made with under [keys]; `dupr {name} full --allow-new-key` begins anew"
            );
            // Its own hint speaks of one file.
            Line::fail("stored", &Error::new(ErrorKind::WrongKey, text), fix)
        }
        Err(e) => {
            let text = format!("the {} cannot be read: {e}", set.id);
            let fix = format!("`dupr {name} verify` tells what is left");
            Line::fail("stored", &Error::new(e.kind(), text), fix)
        }
    }
}
