//! `dupr import`: a profile from another program's, in a folder of its own, with what could not be taken over.

use crate::cli::args::ImportFrom;
use crate::cli::session::Session;
use crate::cli::ui::out;
use crate::cli::{complain, duplicity, exit};
use crate::profile::import::{Imported, borgmatic, deja_dup, duply, script};
use crate::report::format;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Translates a profile; writes it unless `--plan` asks only to see it.
pub fn run(from: &ImportFrom, session: &Session) -> u8 {
    let (ImportFrom::Duply { into, .. }
    | ImportFrom::DejaDup { into, .. }
    | ImportFrom::Script { into, .. }
    | ImportFrom::Borgmatic { into, .. }) = from;
    let dest = match into {
        Some(dir) => session.world.current_dir.join(dir),
        None => session
            .config_dirs()
            .into_iter()
            .next()
            .unwrap_or_else(|| session.world.home.join(".config/dupr")),
    };
    let around = session.surroundings();
    let imported = match from {
        ImportFrom::Duply { profile, .. } => {
            duply::import(&place(profile, session), &dest, &around)
        }
        ImportFrom::DejaDup { file, name, .. } => deja_dup::import(
            file.as_deref(),
            name.as_deref(),
            &session.world.host,
            &around,
        ),
        ImportFrom::Script { file, name, .. } => {
            script::import(file, name.as_deref(), &around, &duplicity::script::read)
        }
        ImportFrom::Borgmatic { file, name, .. } => {
            let file = file.clone().unwrap_or_else(|| usual_file(session));
            borgmatic::import(&file, name.as_deref(), &around)
        }
    };
    let imported = match imported {
        Ok(imported) => imported,
        Err(errors) => return complain::about(&errors, session),
    };
    if session.common.plan {
        show(&imported, &dest, session);
        return exit::DONE;
    }
    match imported.write(&dest) {
        Ok(folder) => {
            if session.common.json {
                let profile = folder.join("profile.toml");
                out::json(&json!({"schema": 1, "profile": profile, "warnings": imported.warnings}));
            } else {
                out::line(&format!("wrote  {}", folder.join("profile.toml").display()));
                imported
                    .files
                    .iter()
                    .for_each(|f| out::line(&format!("wrote  {}", folder.join(&f.name).display())));
                warnings(&imported);
                out::line(&format!(
                    "Next: dupr doctor {0}, then dupr {0} status",
                    imported.name
                ));
            }
            exit::DONE
        }
        Err(e) => complain::error(&e, session),
    }
}

/// Where a duply profile lies: a path as it is, a name where duply looks for it.
fn place(profile: &Path, session: &Session) -> PathBuf {
    let is_name = profile.components().count() == 1 && !profile.is_dir();
    // duply was called ftplicity, and goes on where it finds its old folder alone.
    let usual = [
        session.world.home.join(".duply"),
        session.world.home.join(".ftplicity"),
        PathBuf::from("/etc/duply"),
        PathBuf::from("/etc/ftplicity"),
    ];
    let found = usual
        .iter()
        .map(|dir| dir.join(profile))
        .find(|p| is_name && p.is_dir());
    found.unwrap_or_else(|| profile.to_owned())
}

/// Where borgmatic looks for its configuration.
fn usual_file(session: &Session) -> PathBuf {
    let own = session.world.home.join(".config/borgmatic/config.yaml");
    match own.is_file() {
        true => own,
        false => PathBuf::from("/etc/borgmatic/config.yaml"),
    }
}

fn show(imported: &Imported, dest: &Path, session: &Session) {
    if session.common.json {
        out::json(&json!({"schema": 1, "toml": imported.toml, "warnings": imported.warnings}));
        return;
    }
    out::line(&format!(
        "# would be written to {}",
        dest.join(&imported.name).join("profile.toml").display()
    ));
    out::text(&imported.toml);
    imported
        .files
        .iter()
        .for_each(|f| out::line(&format!("# and the file {}", f.name)));
    warnings(imported);
}

fn warnings(imported: &Imported) {
    imported
        .warnings
        .iter()
        .for_each(|w| out::complaint(&format!("look at: {}", format::safe(w))));
}
