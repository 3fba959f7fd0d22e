//! Dumps of databases: which files there will be, and the programs that print them.
//!
//! Databases are listed before the walk; a dump runs when its place in the set comes, and streams into the volumes. What
//! fails, a list or a dump, keeps the set from counting as a good one, and is never stored. See docs/profile.md, "Dumps".

mod recipe;

use self::recipe::Recipe;
use super::open::{self, Surroundings};
use super::program::{Program, Said};
use crate::engine::context::{Cancel, Context};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::monitor::{Level, Problem, ProblemKind};
use crate::engine::path::PathIndex;
use crate::engine::tree::{Dumps, OpenDump};
use crate::profile::{Databases, Dump, DumpKind, Profile};
use std::sync::{Arc, PoisonError};

/// The dumps of one run.
pub struct Dumping {
    dumps: Arc<Dumps>,
    total: usize,
    said: Said,
}

/// The folder of dumps, empty; `None` for a profile without.
pub fn folder(profile: &Profile) -> Option<Dumps> {
    let source = &profile.source;
    (!source.dumps.is_empty())
        .then(|| Dumps::below(PathIndex::root().join(source.dump_folder.as_bytes())))
}

/// Lists databases and gets everything ready; `None` for a profile without dumps. Never fails: what cannot be listed is
/// told by [`Dumping::end`].
pub fn prepare(profile: &Profile, around: &Surroundings<'_>, cx: &Context<'_>) -> Option<Dumping> {
    let mut dumps = folder(profile)?;
    let said = Said::default();
    let withheld = open::secret_variables(profile);
    for dump in &profile.source.dumps {
        let place = PathIndex::root().join(dump.name.as_bytes());
        if let Err(e) = add(dump, &place, &mut dumps, &withheld, &said, around) {
            dumps.cannot(&place, &e);
            cx.monitor.problem(Problem::new(
                ProblemKind::Unreadable,
                &dumps.place(&place),
                e,
            ));
        }
    }
    Some(Dumping {
        dumps: Arc::new(dumps),
        total: profile.source.dumps.len(),
        said,
    })
}

/// Adds the files of one dump.
fn add(
    dump: &Dump,
    place: &PathIndex,
    dumps: &mut Dumps,
    withheld: &[String],
    said: &Said,
    around: &Surroundings<'_>,
) -> Result<()> {
    let recipe = recipe(dump, withheld, around)?;
    let mut file = |path: &PathIndex, program: Program| {
        let (said, label) = (Arc::clone(said), path.to_string());
        let cancel: Cancel = around.cancel.clone();
        let open: OpenDump = Box::new(move || {
            let output = program.start(&label, &said, &cancel)?;
            Ok(Box::new(output))
        });
        dumps.add(path, open);
    };
    if let Some(program) = recipe.single() {
        file(place, program);
        return Ok(());
    }
    let names = match databases(dump) {
        Some(Databases::Named(names)) => names.clone(),
        _ => list(&recipe, around.cancel)?,
    };
    for name in &names {
        if let Some((ending, program)) = recipe.database(name) {
            file(
                &place.join(recipe::file_name(name, ending).as_bytes()),
                program,
            );
        }
    }
    if let (Some(Databases::All), Some(program)) = (databases(dump), recipe.globals()) {
        // No name of a database: those get an ending behind their own.
        file(&place.join(b"globals"), program);
    }
    Ok(())
}

fn recipe<'a>(
    dump: &'a Dump,
    withheld: &'a [String],
    around: &Surroundings<'_>,
) -> Result<Recipe<'a>> {
    Ok(Recipe {
        dump,
        password: dump.password().map(around.secret).transpose()?,
        withheld,
    })
}

fn databases(dump: &Dump) -> Option<&Databases> {
    match &dump.kind {
        DumpKind::Postgresql { databases, .. }
        | DumpKind::Mariadb { databases, .. }
        | DumpKind::Mongodb { databases, .. } => Some(databases),
        _ => None,
    }
}

/// The databases of a server.
fn list(recipe: &Recipe<'_>, cancel: &Cancel) -> Result<Vec<String>> {
    let Some((program, separator)) = recipe.names() else {
        return Ok(Vec::new());
    };
    let cannot = |e: std::io::Error| {
        Error::new(ErrorKind::Source, e.to_string()).within("cannot list the databases")
    };
    let text = program.answer(cancel).map_err(cannot)?;
    Ok(text
        .split(char::from(separator))
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .filter(|name| separator == 0 || !recipe::NOT_DUMPED.contains(&name.as_str()))
        .collect())
}

/// Whether a dump could be made: its programs are there, its server answers and holds the databases.
///
/// # Errors
/// What is missing.
pub fn try_out(dump: &Dump, profile: &Profile, around: &Surroundings<'_>) -> Result<String> {
    let withheld = open::secret_variables(profile);
    let recipe = recipe(dump, &withheld, around)?;
    for tool in recipe.tools() {
        tool.answer(around.cancel).map_err(|e| {
            Error::new(ErrorKind::Source, e.to_string())
                .with_hint("install the database's client programs")
        })?;
    }
    match &dump.kind {
        DumpKind::Sqlite { path } => {
            std::fs::File::open(path).map_err(|e| Error::io("open", path, e))?;
        }
        DumpKind::Command { argv, .. } => {
            let program = dump.prefix.first().or(argv.first());
            let program = program.map_or("", String::as_str);
            if !around.environment.has_program(program) {
                let text = format!("there is no program {program}");
                return Err(Error::new(ErrorKind::Source, text).with_hint(
                    "install it, or correct command or prefix of this [[source.dump]]",
                ));
            }
        }
        // Its shell, which could be asked, is another package.
        DumpKind::Mongodb { .. } => {}
        DumpKind::Postgresql { .. } | DumpKind::Mariadb { .. } => {
            let there = list(&recipe, around.cancel)?;
            if let Some(Databases::Named(names)) = databases(dump)
                && let Some(missing) = names.iter().find(|n| !there.contains(n))
            {
                let text = format!("the server has no database {missing}");
                return Err(Error::new(ErrorKind::Source, text)
                    .with_hint("correct databases of this [[source.dump]]"));
            }
        }
    }
    Ok(format!("{}: {dump}", dump.name))
}

impl Dumping {
    /// The dumps, for the source.
    pub fn dumps(&self) -> Arc<Dumps> {
        Arc::clone(&self.dumps)
    }

    /// Tells what the programs had to say, and whether all dumps are in the set.
    ///
    /// # Errors
    /// `Source` if one is not.
    pub fn end(&self, cx: &Context<'_>) -> Result<()> {
        for line in &*self.said.lock().unwrap_or_else(PoisonError::into_inner) {
            cx.monitor.note(Level::Notice, line);
        }
        let failures = self.dumps.failures();
        let Some((path, reason)) = failures.first() else {
            return Ok(());
        };
        let more = match failures.len() {
            1 => String::new(),
            n => format!(", and {} more failed", n - 1),
        };
        let word = if self.total == 1 {
            "the dump"
        } else {
            "a dump"
        };
        Err(Error::new(
            ErrorKind::Source,
            format!("{word} failed: {path}: {reason}{more}"),
        )
        .with_hint("the set holds all the rest; the last good dump is still in an older set"))
    }
}
