//! Puts a profile together: defaults < inherited < file < `DUPR_*` environment < `--set`, and remembers who set
//! what.
//!
//! A variable of the environment is a key if its name holds `__`: two underscores are a dot, one is a dash, so
//! `DUPR_BACKUP__VOLUME_SIZE` is `backup.volume-size` and `DUPR__DESCRIPTION` is `description`. Files are read
//! here and nowhere else in this room, apart from secrets.

mod extract;
pub(super) mod reader;

use super::error::{Errors, Place, Problem, SourceText};
use super::file::ProfileFile;
use super::layer::{self, KeyPath};
use super::lookup;
use super::settings::{Checks, Retention};
use figment::Figment;
use figment::value::{Dict, Value};
use reader::Reader;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Whether a batch suits the rules and checks of a profile; otherwise what is wrong, and what to write.
pub type BatchJudge = fn(&str, &Retention, &Checks) -> Result<(), (String, Option<String>)>;

/// What the world looks like, handed down from the command line: nothing here is looked up again.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// Directories of profiles, the first wins.
    pub config_dirs: Vec<PathBuf>,
    /// The environment.
    pub env: BTreeMap<String, String>,
    /// The user's home, for `~/` in paths.
    pub home: PathBuf,
    /// Where archive dirs go if a profile does not say.
    pub cache_dir: PathBuf,
    /// Where spool files go if a profile does not say.
    pub temp_dir: PathBuf,
    /// The directory relative paths of the command line start from.
    pub current_dir: PathBuf,
    /// Judges `run.default`: the language of batches is not known in this room. `plan::default_batch` is it.
    pub judge_batch: Option<BatchJudge>,
    /// Whether files a profile names are looked at: secrets, scripts, permissions. Not when only the text is to be
    /// checked.
    pub look_at_files: bool,
}

/// The layers of a profile, laid over each other, not yet checked.
#[derive(Debug)]
pub struct Loaded {
    /// Name of the profile.
    pub name: String,
    /// Its file.
    pub path: PathBuf,
    pub(super) sources: Arc<Vec<SourceText>>,
    pub(super) values: Dict,
    pub(super) file: ProfileFile,
    pub(super) places: BTreeMap<KeyPath, Place>,
    pub(super) problems: Vec<Problem>,
    /// Keys, with dots, that misspelt ones were most likely meant to be.
    pub(super) meant: Vec<String>,
    /// Whether a text could not be read to its end, so that what it says may be missing here.
    pub(super) torn: bool,
    figment: Figment,
}

/// One line of `dupr show`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Shown {
    /// The key, with dots.
    pub key: String,
    /// Its value as TOML; secrets are starred out.
    pub value: String,
    /// `file:line`, `environment`, `--set` or `default`.
    pub origin: String,
}

impl Loaded {
    /// Reads a profile by name or path, with everything it inherits. `sets` are the `--set key=value` of the
    /// command line.
    ///
    /// # Errors
    /// Only if there is no such profile or its file cannot be read; all that is wrong with its text is told by
    /// [`Loaded::check`].
    pub fn read(
        word: &str,
        around: &Surroundings,
        sets: &[(String, String)],
    ) -> Result<Self, Errors> {
        let found = lookup::find(word, &around.config_dirs)?;
        let mut reader = Reader::default();
        let text = reader.text(&found.path)?;
        reader.file(&found.path, &text, around, &mut Vec::new())?;
        Ok(reader.finish(found.name, found.path, around, sets))
    }

    /// Takes a profile's text instead of reading its file. `inherit` still reads.
    ///
    /// # Errors
    /// An inherited profile that is not there.
    pub fn from_text(
        path: &Path,
        text: &str,
        around: &Surroundings,
        sets: &[(String, String)],
    ) -> Result<Self, Errors> {
        let mut reader = Reader::default();
        reader.file(path, text, around, &mut Vec::new())?;
        Ok(reader.finish(lookup::name_of(path), path.to_owned(), around, sets))
    }

    /// Where the value at a path stands: its own place, or that of the nearest table around it.
    pub(super) fn place(&self, path: &[String]) -> Option<&Place> {
        (1..=path.len())
            .rev()
            .find_map(|n| self.places.get(path.get(..n)?))
    }

    /// Where something below a path stands that itself is written nowhere: `--set` has a place for the last key alone.
    fn place_below(&self, path: &[String]) -> Option<&Place> {
        let (key, place) = self.places.range(path.to_vec()..).next()?;
        key.starts_with(path).then_some(place)
    }

    /// The directory relative paths at `path` start from: that of the file they stand in.
    pub(super) fn directory(&self, path: &[String], around: &Surroundings) -> PathBuf {
        let file = self
            .place(path)
            .and_then(|p| self.sources.get(p.source)?.file.clone());
        match file.as_deref().and_then(Path::parent) {
            Some(dir) => around.current_dir.join(dir),
            None => around.current_dir.clone(),
        }
    }

    /// The merged profile, a line a key, by key, each with where it came from.
    pub fn show(&self) -> Vec<Shown> {
        let mut lines = Vec::new();
        for (key, value) in &self.values {
            self.show_value(&mut vec![key.clone()], value, &mut lines);
        }
        lines
    }

    fn show_value(&self, path: &mut KeyPath, value: &Value, lines: &mut Vec<Shown>) {
        let tables = |list: &[Value]| list.iter().any(|v| matches!(v, Value::Dict(..)));
        match value {
            Value::Dict(_, dict) => {
                for (key, value) in dict {
                    path.push(key.clone());
                    self.show_value(path, value, lines);
                    path.pop();
                }
            }
            Value::Array(_, list) if tables(list) => {
                for (i, value) in list.iter().enumerate() {
                    path.push(i.to_string());
                    self.show_value(path, value, lines);
                    path.pop();
                }
            }
            other => lines.push(Shown {
                key: path.join("."),
                value: shown(path, other),
                origin: self.origin(path),
            }),
        }
    }

    fn origin(&self, path: &[String]) -> String {
        let place = self.places.get(path).or_else(|| {
            // An element edited into an inherited list, or a key of a list's table.
            path.iter()
                .any(|k| k.parse::<usize>().is_ok())
                .then(|| self.place(path))
                .flatten()
        });
        if let Some(place) = place
            && let Some(source) = self.sources.get(place.source)
        {
            return match source.file {
                Some(_) => format!(
                    "{}:{}",
                    source.name,
                    source.line_and_column(place.value.start).0
                ),
                None => source.name.clone(),
            };
        }
        let keys: Vec<&str> = path
            .iter()
            .map(String::as_str)
            .take_while(|k| k.parse::<usize>().is_err())
            .collect();
        let layer = self.figment.find_metadata(&keys.join("."));
        layer.map_or_else(|| "default".to_owned(), |m| m.name.to_string())
    }
}

fn shown(path: &[String], value: &Value) -> String {
    match value {
        Value::String(..) if layer::is_secret(path) => "\"***\"".to_owned(),
        Value::String(_, text) => toml::Value::String(super::url::mask(text)).to_string(),
        Value::Char(_, c) => toml::Value::String(c.to_string()).to_string(),
        Value::Bool(_, b) => b.to_string(),
        Value::Num(_, n) => match (n.to_i128(), n.to_f64()) {
            (Some(n), _) => n.to_string(),
            (None, Some(n)) => n.to_string(),
            (None, None) => n.to_u128().map_or_else(String::new, |n| n.to_string()),
        },
        Value::Array(_, list) => {
            format!(
                "[{}]",
                list.iter()
                    .map(|v| shown(path, v))
                    .collect::<Vec<_>>()
                    .join(", ")
            )
        }
        Value::Dict(..) | Value::Empty(..) => "{}".to_owned(),
    }
}
