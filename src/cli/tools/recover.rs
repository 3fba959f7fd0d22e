//! `dupr recover`: restores what can be restored from whatever is left of a backup, and lists the rest.

use crate::cli::args::RecoverArgs;
use crate::cli::session::Session;
use crate::cli::ui::out;
use crate::cli::{complain, exit, run};
use crate::engine::archive::ArchiveDir;
use crate::engine::archive::private_dir;
use crate::engine::context::Context;
use crate::engine::error::Result;
use crate::engine::format::names::Naming;
use crate::engine::monitor::{Level, Monitor, Problem};
use crate::engine::ops::restore::RestoreOptions;
use crate::engine::path::PathIndex;
use crate::engine::seal::{self, SealOptions};
use crate::engine::secret::Secret;
use crate::engine::storage::{self, StorageOptions, TargetUrl};
use crate::engine::target::{Engine, Target};
use crate::engine::time_text::parse_time;
use crate::engine::tree::WriteOptions;
use crate::engine::tree::write::Existing;
use crate::profile::SecretRef;
use crate::report::format;
use crate::run::open;
use serde_json::json;
use std::os::unix::ffi::OsStrExt;
use std::sync::{Arc, Mutex, PoisonError};

/// Keeps all problems, tells what is worth a line.
struct Listener<'a> {
    session: &'a Session,
    problems: Mutex<Vec<Problem>>,
}

impl Monitor for Listener<'_> {
    fn problem(&self, problem: Problem) {
        let mut problems = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        problems.push(problem);
    }

    fn note(&self, level: Level, text: &str) {
        if level >= Level::Notice && !self.session.common.quiet {
            out::complaint(&format::safe(text));
        }
    }
}

/// Recovers, and returns the exit code.
pub fn run(args: &RecoverArgs, session: &Session) -> u8 {
    recover(args, session).unwrap_or_else(|e| complain::error(&e, session))
}

fn recover(args: &RecoverArgs, session: &Session) -> Result<u8> {
    session.watch_signals()?;
    // What an archive dir says of a target must not count here: nothing but what is left does.
    let local = private_dir("dupr-recover-", &session.world.temp_dir)?;
    let engine = match opened(args, session, local.path())? {
        Ok(engine) => engine,
        Err(code) => return Ok(code),
    };
    let now = run::now();
    let time = args.time.as_deref();
    let time = time
        .map(|text| parse_time(text, now, &session.zone))
        .transpose();
    let time = time.map_err(|e| run::usage_error(e.to_string(), "write it as 3D or 2026-11-20"))?;
    let path = args.path.as_deref().unwrap_or(std::path::Path::new(""));
    let path = PathIndex::new(path.as_os_str().as_bytes())
        .map_err(|e| run::usage_error(e.to_string(), "give it relative to the source"))?;
    let listener = Listener {
        session,
        problems: Mutex::default(),
    };
    let cx = Context {
        monitor: &listener,
        cancel: &session.cancel,
        now,
        threads: session.world.threads,
    };
    let options = RestoreOptions {
        time,
        path,
        write: WriteOptions {
            existing: if session.common.force {
                Existing::Merge
            } else {
                Existing::Refuse
            },
            ..WriteOptions::default()
        },
    };
    let stats = engine.recover(&args.destination, &options, &cx)?;
    let problems = listener
        .problems
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    let code = if stats.problems > 0 {
        exit::DAMAGED
    } else {
        exit::DONE
    };
    if session.common.json {
        out::json(&json!({"schema": 1, "code": code, "restore": stats, "problems": problems}));
        return Ok(code);
    }
    for problem in &problems {
        let word = serde_json::to_value(problem.kind).ok();
        let word = word.as_ref().and_then(|w| w.as_str()).unwrap_or_default();
        out::line(&format!(
            "{word:<10}  {}  {}",
            format::safe(&problem.path),
            format::safe(&problem.reason)
        ));
    }
    out::line(&format!(
        "{} restored, {}, from {}; {}",
        format::counted(stats.entries, "entry"),
        format::bytes(stats.content_bytes),
        format::counted(stats.volumes, "volume"),
        match problems.len() {
            0 if stats.problems == 0 => "nothing is missing".to_owned(),
            0 => "something of the backup is damaged, and none of it was needed".to_owned(),
            n => format!("{n} lost or doubtful, see above"),
        }
    ));
    Ok(code)
}

/// The place, with nothing known of it, and the keys: those of a profile, or GnuPG's and a passphrase.
fn opened(
    args: &RecoverArgs,
    session: &Session,
    local: &std::path::Path,
) -> Result<std::result::Result<Engine, u8>> {
    let place = match args.place.contains("://") {
        true => args.place.clone(),
        false => {
            let folder = session.world.current_dir.join(&args.place);
            format!("file://{}", folder.display())
        }
    };
    let secret = |reference: &SecretRef| session.secret(reference);
    let of_profile = |name: &str| {
        let mut profile = match run::load(name, session) {
            Ok(profile) => profile,
            Err(code) => return Ok(Err(code)),
        };
        profile.backup.archive_dir = local.to_owned();
        open::engine(&profile, &session.openers(&secret)).map(Ok)
    };
    if is_profile(args, session) {
        return of_profile(&args.place);
    }
    let (seal, naming) = match &args.profile {
        Some(name) => {
            let engine = match of_profile(name)? {
                Ok(engine) => engine,
                Err(code) => return Ok(Err(code)),
            };
            (
                Arc::clone(&engine.target().seal),
                engine.target().naming.clone(),
            )
        }
        None => {
            let options = SealOptions {
                further_passphrases: passphrase(args, session)?.into_iter().collect(),
                threads: session.world.threads,
                ..SealOptions::default()
            };
            let naming = Naming {
                prefix: args.file_prefix.clone().unwrap_or_default(),
                ..Naming::default()
            };
            (Arc::from(seal::open(&options)?), naming)
        }
    };
    let options = StorageOptions {
        environment: session.environment.clone(),
        askpass: session.program.clone(),
        temp_dir: session.world.temp_dir.clone(),
        cancel: session.cancel.clone(),
        ..StorageOptions::default()
    };
    let storage = storage::open(&TargetUrl::parse(&place)?, &options)?;
    let target = Target {
        storage: Arc::from(storage),
        naming: naming.clone(),
        seal,
    };
    let archive = ArchiveDir::at(local, naming)?;
    Ok(Ok(Engine::open(target, archive)))
}

/// Whether the place is the name of a profile, whose target is meant: a word for which there is no folder here.
fn is_profile(args: &RecoverArgs, session: &Session) -> bool {
    let place = &args.place;
    let apart =
        args.profile.is_some() || args.passphrase_file.is_some() || args.file_prefix.is_some();
    !apart && !place.contains('/') && !session.world.current_dir.join(place).exists()
}

/// From a file, the environment or a person; none if nobody is there: keys need none.
fn passphrase(args: &RecoverArgs, session: &Session) -> Result<Option<Secret>> {
    let reference = match &args.passphrase_file {
        Some(path) => SecretRef::File(session.world.current_dir.join(path)),
        None if session.world.variable("PASSPHRASE").is_some() => {
            SecretRef::Env("PASSPHRASE".to_owned())
        }
        None if session.world.terminal.input => {
            SecretRef::Prompt("passphrase of the backup, or of its key".to_owned())
        }
        None => return Ok(None),
    };
    session.secret(&reference).map(Some)
}
