//! `dupr target`: tests a place before backups depend on it, and moves single files there and back.

mod advice;

use crate::cli::args::{TargetAction, TargetPlace};
use crate::cli::session::Session;
use crate::cli::ui::table::Table;
use crate::cli::ui::wrap::wrapped;
use crate::cli::ui::{Tone, colored, out};
use crate::cli::{ask, complain, exit, run};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::storage::trial::{self, Finding};
use crate::engine::storage::{self, Storage, StorageOptions, TargetUrl};
use crate::report::format;
use crate::run::open;
use serde_json::json;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Does it, and returns the exit code.
pub fn run(action: &TargetAction, session: &Session) -> u8 {
    let (TargetAction::Test(place)
    | TargetAction::Ls(place)
    | TargetAction::Get { place, .. }
    | TargetAction::Put { place, .. }
    | TargetAction::Rm { place, .. }) = action;
    let storages = match opened(place, session) {
        Ok(storages) => storages,
        Err(code) => return code,
    };
    let done = session.watch_signals().and_then(|()| match action {
        TargetAction::Test(_) => test(&storages, session),
        TargetAction::Ls(_) => list(&storages, session),
        TargetAction::Get { name, file, .. } => {
            get(one(&storages)?, name, file.as_deref(), session)
        }
        TargetAction::Put { file, name, .. } => {
            put(one(&storages)?, file, name.as_deref(), session)
        }
        TargetAction::Rm { names, .. } => remove(one(&storages)?, names, session),
    });
    for notice in storages.iter().flat_map(|storage| storage.notices()) {
        out::complaint(&format!("warning: {}", format::safe(&notice)));
    }
    done.unwrap_or_else(|e| complain::error(&advice::advised(e), session))
}

type Storages = Vec<Box<dyn Storage>>;

/// The target of a URL, or all targets of a profile. What is wrong was told already.
fn opened(place: &TargetPlace, session: &Session) -> std::result::Result<Storages, u8> {
    let known = |e: Error| complain::error(&advice::advised(e), session);
    if place.place.contains("://") {
        let settings: BTreeMap<_, _> = place.option.iter().cloned().collect();
        let options = StorageOptions {
            settings,
            environment: session.environment.clone(),
            askpass: session.program.clone(),
            temp_dir: session.world.temp_dir.clone(),
            cancel: session.cancel.clone(),
            ..StorageOptions::default()
        };
        let opened = TargetUrl::parse(&place.place).and_then(|url| storage::open(&url, &options));
        return Ok(vec![opened.map_err(known)?]);
    }
    if !place.option.is_empty() {
        let hint = "write it under [target.options] of the profile, or set it with --set";
        return Err(known(run::usage_error(
            "--option goes with a URL, not with a profile",
            hint,
        )));
    }
    let profile = run::load(&place.place, session)?;
    let secret = |reference: &crate::profile::SecretRef| session.secret(reference);
    let around = session.openers(&secret);
    let targets = profile.per_target().into_iter();
    targets
        .map(|profile| open::storage(&profile, &around).map_err(known))
        .collect()
}

/// The first target: that of a URL, or the main one of a profile.
fn one(storages: &Storages) -> Result<&dyn Storage> {
    let first = storages.first().map(|storage| &**storage);
    first.ok_or_else(|| Error::new(ErrorKind::Internal, "a profile without a target"))
}

fn test(storages: &Storages, session: &Session) -> Result<u8> {
    let colors = session.colors(session.world.terminal.output);
    let mut documents = Vec::new();
    let mut code = exit::DONE;
    for storage in storages {
        if !session.common.json {
            out::line(&storage.location().to_string());
        }
        let findings = trial::try_out(&**storage, &session.world.temp_dir, |finding| {
            if !session.common.json {
                show(finding, colors, session.world.terminal.columns);
            }
        })?;
        for finding in findings {
            let (kept, text, fix) = match &finding.outcome {
                Ok(text) => (true, text.clone(), None),
                Err(e) => (false, e.to_string(), advice::advice(finding.promise, e)),
            };
            if let (Err(e), exit::DONE) = (&finding.outcome, code) {
                code = exit::of_kind(e.kind());
            }
            documents.push(json!({
                "target": storage.location().to_string(), "promise": finding.promise, "kept": kept, "text": text,
                "fix": fix, "millis": finding.millis,
            }));
        }
    }
    if session.common.json {
        out::json(&json!({"schema": 1, "code": code, "findings": documents}));
    }
    Ok(code)
}

fn show(finding: &Finding, colors: bool, columns: usize) {
    let (word, tone, text) = match &finding.outcome {
        Ok(text) => ("ok  ", Tone::Good, text.clone()),
        Err(e) => ("FAIL", Tone::Bad, e.to_string()),
    };
    out::line(&format!(
        "  {}  {:<28}  {:>7}  {}",
        colored(word, tone, colors),
        finding.promise,
        format::millis(finding.millis),
        format::safe(&text)
    ));
    let error = finding.outcome.as_ref().err();
    if let Some(fix) = error.and_then(|e| advice::advice(finding.promise, e)) {
        let fix = wrapped(&format::safe(&fix), columns, 10);
        out::line(&format!("        → {fix}"));
    }
}

fn list(storages: &Storages, session: &Session) -> Result<u8> {
    let mut documents = Vec::new();
    for (n, storage) in storages.iter().enumerate() {
        let mut objects = storage.list()?;
        objects.sort();
        if session.common.json {
            let target = storage.location().to_string();
            documents.extend(
                objects
                    .iter()
                    .map(|o| json!({"target": target, "name": o.name, "size": o.size})),
            );
            continue;
        }
        if storages.len() > 1 {
            let gap = if n > 0 { "\n" } else { "" };
            out::line(&format!("{gap}{}", storage.location()));
        }
        let mut table = Table::new(&[">SIZE", "NAME"]);
        for object in &objects {
            table.row(vec![format::bytes(object.size), format::safe(&object.name)]);
        }
        let lines = table.lines();
        lines.iter().skip(1).for_each(|line| out::line(line));
    }
    if session.common.json {
        out::json(&json!({"schema": 1, "code": exit::DONE, "files": documents}));
    }
    Ok(exit::DONE)
}

fn get(storage: &dyn Storage, name: &str, file: Option<&Path>, session: &Session) -> Result<u8> {
    let file = match file {
        Some(file) => file.to_owned(),
        None => own_name(Path::new(name))?.into(),
    };
    let path: PathBuf = session.world.current_dir.join(file);
    let mut to = File::create_new(&path).map_err(|e| {
        let error = Error::io("create", &path, e);
        match path.exists() {
            true => error.with_hint("name another file; none is replaced"),
            false => error,
        }
    })?;
    let got = storage
        .get(name, &mut to)
        .and_then(|bytes| to.flush().map(|()| bytes).map_err(Error::from));
    match got {
        Ok(bytes) => Ok(tell(&[(name, bytes)], session)),
        Err(e) => {
            // Half a file is worse than none.
            let _ = std::fs::remove_file(&path);
            Err(e)
        }
    }
}

fn put(storage: &dyn Storage, file: &Path, name: Option<&str>, session: &Session) -> Result<u8> {
    let path = session.world.current_dir.join(file);
    let bytes = std::fs::metadata(&path)
        .map_err(|e| Error::io("read", &path, e))?
        .len();
    let name = match name {
        Some(name) => name.to_owned(),
        None => own_name(file)?,
    };
    storage.put(&name, &path)?;
    Ok(tell(&[(&name, bytes)], session))
}

/// The last part of a path.
fn own_name(path: &Path) -> Result<String> {
    let name = path.file_name().and_then(|name| name.to_str());
    name.map(str::to_owned).ok_or_else(|| {
        let text = format!("{} does not end in the name of a file", path.display());
        run::usage_error(text, "give a name after it")
    })
}

fn remove(storage: &dyn Storage, names: &[String], session: &Session) -> Result<u8> {
    if session.common.plan {
        for name in names {
            out::line(&format!("would remove {}", format::safe(name)));
        }
        return Ok(exit::DONE);
    }
    if !session.common.force {
        let what = match names {
            [name] => name.clone(),
            names => format!("{} files", names.len()),
        };
        let location = storage.location();
        let agreed = session.world.terminal.input
            && ask::yes(&format!("Remove {what} from {location}?"), false)?;
        if !agreed {
            let text = format!("{what} stays at {location}");
            return Err(run::usage_error(
                text,
                "--force removes without being asked",
            ));
        }
    }
    let mut removed = Vec::new();
    for name in names {
        let bytes = storage.stat(name)?.map(|object| object.size);
        let Some(bytes) = bytes else {
            let text = format!("{name} is not at {}", storage.location());
            return Err(Error::new(ErrorKind::NotFound, text));
        };
        storage.delete(name)?;
        removed.push((name.as_str(), bytes));
    }
    Ok(tell(&removed, session))
}

/// Tells which files were moved or removed.
fn tell(files: &[(&str, u64)], session: &Session) -> u8 {
    if session.common.json {
        let files = files
            .iter()
            .map(|(name, size)| json!({"name": name, "size": size}));
        let files: Vec<_> = files.collect();
        out::json(&json!({"schema": 1, "code": exit::DONE, "files": files}));
    } else if !session.common.quiet {
        for (name, bytes) in files {
            out::line(&format!(
                "{}  {}",
                format::safe(name),
                format::bytes(*bytes)
            ));
        }
    }
    exit::DONE
}
