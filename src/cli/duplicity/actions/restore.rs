//! `restore` and `verify`.

use super::{Done, Session};
use crate::cli::duplicity::fault::{Fault, Result, UNSIGNED};
use crate::cli::duplicity::log::Weight;
use crate::cli::duplicity::output::Printer;
use crate::cli::duplicity::session;
use crate::engine::collection::{BackupSet, Collection};
use crate::engine::entry::Entry;
use crate::engine::error::Result as EngineResult;
use crate::engine::ops::output::{Difference, DifferenceKind, Output};
use crate::engine::ops::restore::RestoreOptions;
use crate::engine::ops::verify::VerifyOptions;
use crate::engine::path::PathIndex;
use crate::engine::seal::Form;
use crate::engine::select::{Rule, Selection};
use crate::engine::time::Timestamp;
use crate::engine::tree::{Existing, Renames, WriteOptions};
use std::ffi::OsStr;
use std::path::Path;

/// Exit code of a restore whose destination is in use.
const NOT_EMPTY: i32 = 11;
/// Exit code if there is nothing to restore from.
const NO_CHAINS: i32 = 30;

impl Session<'_> {
    pub(super) fn restore(&self, destination: &OsStr) -> Result<Done> {
        let destination = Path::new(destination);
        let is_file = std::fs::symlink_metadata(destination).is_ok_and(|meta| meta.is_file());
        let is_part = self.args.value("path-to-restore").is_some();
        let merge = self.args.has("force") && (is_part || !is_file);
        if !merge && !is_free(destination) {
            return Err(Fault::new(
                NOT_EMPTY,
                format!(
                    "the restore destination {} is not empty, or is where you are",
                    destination.display()
                ),
            )
            .with_hint(
                "choose a directory that is empty or does not exist; --force merges into it",
            ));
        }
        let collection = self.scan()?;
        let path = self.wanted()?;
        let time = self.at()?;
        if self.args.has("dry-run") {
            return self.volumes_needed(&collection, time, &path);
        }
        let select = self.chosen(&path)?;
        self.prove_signer(&collection, time)?;
        let default = WriteOptions::default();
        let options = RestoreOptions {
            time,
            path,
            write: WriteOptions {
                existing: if merge {
                    Existing::Merge
                } else {
                    Existing::Refuse
                },
                numeric_owner: self.args.has("numeric-owner"),
                restore_ownership: default.restore_ownership
                    && self.args.switch("restore-ownership", true),
                ..default
            },
        };
        let renames = self.renames()?;
        if self.log.shows(Weight::Info) {
            // What is wrong with a manifest is told where it counts.
            let needed = self.needed(&collection, time, &options.path);
            self.log
                .expect_volumes(needed.map_or(0, |names| names.len() as u64));
        }
        let stats = self
            .engine
            .restore_chosen(destination, &options, &select, &self.cx)?;
        let failed = renames.apply(destination, &self.cx)?;
        Ok(Done::with(stats.problems + failed))
    }

    /// With a sign key: refuses what is not signed by it before anything of it is read or written. Manifests have the hashes of
    /// volumes, which are checked as they come.
    fn prove_signer(&self, collection: &Collection, time: Option<Timestamp>) -> Result<()> {
        let signs = ["sign-key", "encrypt-sign-key"];
        if !signs.iter().any(|name| self.args.has(name)) || !self.args.switch("encryption", true) {
            return Ok(());
        }
        for set in self.sets_at(collection, time)? {
            if let Some(bare) = set.files().find(|f| f.parsed.form != Form::Gpg) {
                let text = format!(
                    "{} is not signed, though a signature is required",
                    bare.name
                );
                return Err(Fault::new(UNSIGNED, text));
            }
            self.engine.prove_manifest(set, &self.cx)?;
        }
        Ok(())
    }

    /// What the selection options choose of the archive.
    fn chosen(&self, path: &PathIndex) -> Result<Selection> {
        let mut rules = session::rules(self.args, self.cx.now)?;
        // Wrappers give the rules of the backup to every action. Those that only make sense for a source are passed
        // over; patterns with the path of the source choose nothing of an archive, which is told.
        let of_sources = |rule: &Rule| {
            matches!(
                rule,
                Rule::ExcludeIfPresent(_) | Rule::ExcludeForeign | Rule::FilesFrom(_)
            )
        };
        if rules.iter().any(of_sources) {
            self.log
                .warn("Rules about a source have no effect on a restore");
            rules.retain(|rule| !of_sources(rule));
        }
        if rules.is_empty() {
            return Ok(Selection::everything());
        }
        if !path.is_root() {
            return Err(Fault::usage(
                "selection and --path-to-restore exclude each other",
            ));
        }
        Ok(Selection::archive_builder()
            .extend(rules)
            .null_separated(self.args.has("null-separator"))
            .build()?)
    }

    fn renames(&self) -> Result<Renames> {
        let mut renames = Renames::default();
        for (_, values) in self
            .args
            .options
            .iter()
            .filter(|(flag, _)| flag.means == "rename")
        {
            let path = |i: usize| {
                let text = values.get(i).map(|v| v.as_os_str()).unwrap_or_default();
                PathIndex::new(text.as_encoded_bytes())
                    .ok()
                    .filter(|path| !path.is_root())
                    .ok_or_else(|| {
                        Fault::usage(format!(
                            "--rename wants two relative paths, not {}",
                            Path::new(text).display()
                        ))
                    })
            };
            renames.add(path(0)?, path(1)?);
        }
        Ok(renames)
    }

    /// Names the volumes a restore would fetch.
    fn volumes_needed(
        &self,
        collection: &Collection,
        time: Option<Timestamp>,
        path: &PathIndex,
    ) -> Result<Done> {
        let names = self.needed(collection, time, path)?;
        let names: String = names.iter().map(|name| format!("\n\t{name}")).collect();
        self.log
            .notice(&format!("Required volumes to restore:{names}"));
        Ok(Done::Well)
    }

    /// Names of the volumes that may hold a part of `path`.
    fn needed(
        &self,
        collection: &Collection,
        time: Option<Timestamp>,
        path: &PathIndex,
    ) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for set in self.sets_at(collection, time)? {
            let manifest = self.engine.manifest(set, &self.cx)?;
            for (number, volume) in &manifest.volumes {
                let before = volume.end.path < *path && !volume.end.path.is_within(path);
                let after = volume.start.path > *path && !volume.start.path.is_within(path);
                if path.is_root() || !(before || after) {
                    names.extend(set.volumes.get(number).map(|f| f.name.clone()));
                }
            }
        }
        Ok(names)
    }

    fn sets_at<'c>(
        &self,
        collection: &'c Collection,
        time: Option<Timestamp>,
    ) -> Result<Vec<&'c BackupSet>> {
        let time = time.unwrap_or(Timestamp(i64::MAX));
        let chain = collection
            .chain_at(time)
            .ok_or_else(|| Fault::new(NO_CHAINS, "No backup chains found"))?;
        Ok(chain.state_at(time))
    }

    pub(super) fn verify(&self, local: &OsStr) -> Result<Done> {
        let local = session::source(self.args, local, self.cx.now)?;
        let collection = self.scan()?;
        let (time, path) = (self.at()?, self.wanted()?);
        self.prove_signer(&collection, time)?;
        let options = VerifyOptions {
            time,
            path,
            compare: self.args.has("compare-data"),
        };
        let mut told = Compared {
            printer: Printer(self.log),
            new: 0,
        };
        let stats = self.engine.verify(&local, &options, &mut told, &self.cx)?;
        let (compared, differences) = (stats.entries + told.new, stats.differences);
        // Who looks for the one line must not find it after the other.
        self.log.notice(&match stats.problems {
            0 => format!(
                "Verify complete: {compared} file(s) compared, {differences} difference(s) found."
            ),
            _ => format!(
                "Verify could not read all there is: {compared} file(s) compared, of which {differences} differ."
            ),
        });
        Ok(match stats {
            s if s.problems > 0 => Done::Losses,
            s if s.differences > 0 => Done::Differences,
            _ => Done::Well,
        })
    }
}

/// Tells differences, and counts the entries that no backup has: duplicity counts both sides.
struct Compared<'a> {
    printer: Printer<'a>,
    new: u64,
}

impl Output for Compared<'_> {
    fn entry(&mut self, entry: &Entry) -> EngineResult<()> {
        self.printer.entry(entry)
    }

    fn difference(&mut self, difference: &Difference) -> EngineResult<()> {
        self.new += u64::from(difference.kind == DifferenceKind::New);
        self.printer.difference(difference)
    }
}

/// Whether a restore may take the place: it does not exist or is an empty directory, and not the current one.
fn is_free(destination: &Path) -> bool {
    match std::fs::symlink_metadata(destination) {
        Err(_) => true,
        Ok(_) => {
            let here = std::env::current_dir().and_then(|dir| dir.canonicalize());
            let there = destination.canonicalize();
            let is_here = matches!((here, there), (Ok(here), Ok(there)) if here == there);
            let empty = std::fs::read_dir(destination).is_ok_and(|mut dir| dir.next().is_none());
            empty && !is_here
        }
    }
}
