//! Puts a profile together: defaults < inherited < file < `DUPR_*` environment < `--set`, and remembers who set
//! what.
//!
//! A variable of the environment is a key if its name holds `__`: two underscores are a dot, one is a dash, so
//! `DUPR_BACKUP__VOLUME_SIZE` is `backup.volume-size` and `DUPR__DESCRIPTION` is `description`. Files are read
//! here and nowhere else in this room, apart from secrets.

use super::error::{Errors, Place, Problem, SourceText, nearest};
use super::expand::expand;
use super::file::ProfileFile;
use super::layer::{self, KeyPath, Layer, Stack};
use super::lookup;
use figment::error::Kind;
use figment::providers::Serialized;
use figment::value::{Dict, Value};
use figment::{Figment, Metadata};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Chains of `inherit` longer than this are a mistake.
const MAX_DEPTH: usize = 16;

/// Problems after which a file is not looked at further.
const MAX_PROBLEMS: usize = 100;

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
    pub fn read(word: &str, around: &Surroundings, sets: &[(String, String)]) -> Result<Self, Errors> {
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
    pub fn from_text(path: &Path, text: &str, around: &Surroundings, sets: &[(String, String)]) -> Result<Self, Errors> {
        let mut reader = Reader::default();
        reader.file(path, text, around, &mut Vec::new())?;
        Ok(reader.finish(lookup::name_of(path), path.to_owned(), around, sets))
    }

    /// Where the value at a path stands: its own place, or that of the nearest table around it.
    pub(super) fn place(&self, path: &[String]) -> Option<&Place> {
        (1..=path.len()).rev().find_map(|n| self.places.get(path.get(..n)?))
    }

    /// The directory relative paths at `path` start from: that of the file they stand in.
    pub(super) fn directory(&self, path: &[String], around: &Surroundings) -> PathBuf {
        let file = self.place(path).and_then(|p| self.sources.get(p.source)?.file.clone());
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
            other => lines.push(Shown { key: path.join("."), value: shown(path, other), origin: self.origin(path) }),
        }
    }

    fn origin(&self, path: &[String]) -> String {
        let place = self.places.get(path).or_else(|| {
            // An element edited into an inherited list, or a key of a list's table.
            path.iter().any(|k| k.parse::<usize>().is_ok()).then(|| self.place(path)).flatten()
        });
        if let Some(place) = place
            && let Some(source) = self.sources.get(place.source)
        {
            return match source.file {
                Some(_) => format!("{}:{}", source.name, source.line_and_column(place.value.start).0),
                None => source.name.clone(),
            };
        }
        let keys: Vec<&str> = path.iter().map(String::as_str).take_while(|k| k.parse::<usize>().is_err()).collect();
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
            format!("[{}]", list.iter().map(|v| shown(path, v)).collect::<Vec<_>>().join(", "))
        }
        Value::Dict(..) | Value::Empty(..) => "{}".to_owned(),
    }
}

/// Collects layers, innermost `inherit` first.
#[derive(Default)]
struct Reader {
    sources: Vec<SourceText>,
    layers: Vec<Layer>,
    problems: Vec<Problem>,
}

impl Reader {
    fn text(&self, path: &Path) -> Result<String, Errors> {
        let bytes = std::fs::read(path).map_err(|e| Errors::single(format!("cannot read {}: {e}", path.display()), None))?;
        String::from_utf8(bytes).map_err(|e| {
            let at = e.utf8_error().valid_up_to();
            Errors::single(format!("{} is not UTF-8 at byte {at}", path.display()), None)
        })
    }

    fn file(
        &mut self,
        path: &Path,
        text: &str,
        around: &Surroundings,
        open: &mut Vec<PathBuf>,
    ) -> Result<(), Errors> {
        let index = self.sources.len();
        let name = path.display().to_string();
        let (mut layer, source, problems) = Layer::parse(&name, Some(path), text, index);
        self.sources.push(source);
        self.problems.extend(problems);
        if around.look_at_files
            && let Some(message) = writable_by_others(path)
        {
            let help = Some(format!("chmod go-w {}", path.display()));
            self.problems.push(Problem { message, key: String::new(), place: None, help });
        }
        open.push(canonical(path));
        for (i, parent) in inherited(&mut layer).into_iter().enumerate() {
            self.inherit(path, &parent, &layer, i, around, open)?;
        }
        open.pop();
        self.layers.push(layer);
        Ok(())
    }

    fn inherit(
        &mut self,
        path: &Path,
        parent: &str,
        layer: &Layer,
        i: usize,
        around: &Surroundings,
        open: &mut Vec<PathBuf>,
    ) -> Result<(), Errors> {
        let key = ["inherit".to_owned(), i.to_string()];
        let place = layer.places.get(&key[..]).or_else(|| layer.places.get(&key[..1]));
        let place = place.map(|p| (p.source, p.value.clone()));
        let mut problem = |message: String, help: Option<String>| {
            self.problems.push(Problem { message, key: "inherit".into(), place: place.clone(), help });
        };
        let dir = path.parent().unwrap_or(Path::new("")).to_owned();
        let found = if lookup::is_path(parent) {
            let file = dir.join(parent);
            if file.is_file() { Ok(file) } else { Err((format!("there is no profile {}", file.display()), None)) }
        } else {
            let dirs: Vec<PathBuf> = std::iter::once(dir).chain(around.config_dirs.iter().cloned()).collect();
            lookup::find(parent, &dirs)
                .map(|f| f.path)
                .map_err(|e| e.problems.into_iter().next().map_or((String::new(), None), |p| (p.message, p.help)))
        };
        let file = match found {
            Ok(file) => file,
            Err((message, help)) => {
                problem(message, help);
                return Ok(());
            }
        };
        if open.contains(&canonical(&file)) {
            problem(format!("{} inherits itself", file.display()), None);
            return Ok(());
        }
        if open.len() >= MAX_DEPTH {
            problem(format!("more than {MAX_DEPTH} profiles inherit one another"), None);
            return Ok(());
        }
        let text = self.text(&file)?;
        self.file(&file, &text, around, open)
    }

    fn finish(
        mut self,
        name: String,
        path: PathBuf,
        around: &Surroundings,
        sets: &[(String, String)],
    ) -> Loaded {
        let defaults = Serialized::defaults(ProfileFile::default());
        let default_values = figment::Provider::data(&defaults)
            .ok()
            .and_then(|mut d| d.remove(&figment::Profile::Default))
            .unwrap_or_default();
        let mut stack = Stack::new(default_values.clone());
        for layer in std::mem::take(&mut self.layers) {
            stack.push(layer);
        }
        let mut raws = BTreeMap::new();
        for (label, left, keys, raw) in assignments(around, sets) {
            let into = (1..keys.len()).find(|n| keys.get(..*n).is_some_and(|k| stack.is_list(k)));
            let (layer, source) = Layer::assignment(&label, &left, keys.clone(), &raw, self.sources.len());
            self.sources.push(source);
            if let Some(n) = into {
                self.problems.push(Problem {
                    message: format!("{} is a list: a single key of it cannot be set", keys.get(..n).unwrap_or(&[]).join(".")),
                    key: keys.join("."),
                    place: Some((self.sources.len() - 1, 0..left.len())),
                    help: None,
                });
                continue;
            }
            raws.insert(keys, raw);
            stack.push(layer);
        }
        let mut figment = Figment::from(Named(defaults));
        for layer in stack.layers {
            figment = figment.merge(layer);
        }
        let values = match figment.extract::<Value>() {
            Ok(Value::Dict(_, dict)) => dict,
            // Providers of ours neither fail nor give anything but tables.
            _ => default_values.clone(),
        };
        let mut loaded = Loaded {
            name,
            path,
            sources: Arc::new(self.sources),
            values,
            file: ProfileFile::default(),
            places: stack.places,
            problems: self.problems,
            figment,
        };
        expand(&mut loaded, &around.env);
        loaded.extract(&default_values, raws);
        loaded
    }
}

/// Gives the defaults a short name in `show`.
struct Named(Serialized<ProfileFile>);

impl figment::Provider for Named {
    fn metadata(&self) -> Metadata {
        Metadata::named("default")
    }

    fn data(&self) -> figment::Result<figment::value::Map<figment::Profile, Dict>> {
        self.0.data()
    }
}

impl Loaded {
    /// Reads the merged values into [`ProfileFile`]. What does not fit becomes a problem and is left out, until the
    /// rest fits: so all problems are found, not only the first.
    fn extract(&mut self, defaults: &Dict, mut raws: BTreeMap<KeyPath, String>) {
        let mut values = self.values.clone();
        while self.problems.len() < MAX_PROBLEMS {
            let error = match Value::from(values.clone()).deserialize::<ProfileFile>() {
                Ok(file) => {
                    self.file = file;
                    return;
                }
                Err(error) => error,
            };
            // `--set backup.name=007` reads as a number first; as text it may be what was meant.
            if matches!(error.kind, Kind::InvalidType(..))
                && let Some(raw) = raws.remove(&error.path)
            {
                layer::insert(&mut values, &error.path, Value::from(raw.clone()));
                layer::insert(&mut self.values, &error.path, Value::from(raw));
                continue;
            }
            let problem = self.problem(&error);
            self.problems.push(problem);
            let removed = layer::remove(&mut values, &error.path);
            let default = layer::find(defaults, &error.path).cloned();
            let restored = default.is_some_and(|value| layer::insert(&mut values, &error.path, value));
            if !removed && !restored {
                return;
            }
        }
    }

    fn problem(&self, error: &figment::Error) -> Problem {
        let dotted = error.path.join(".");
        let place = self.place(&error.path);
        let unknown = matches!(error.kind, Kind::UnknownField(..));
        let own = self.places.contains_key(&error.path);
        let mut span = place.map(|p| (p.source, if unknown && own { p.key.clone() } else { p.value.clone() }));
        let (message, help) = match &error.kind {
            Kind::UnknownField(name, known) => {
                let near = nearest(name, known.iter().copied());
                let help = match near {
                    Some(near) => Some(format!("did you mean {near}?")),
                    None if known.len() <= 24 => Some(format!("known here: {}", known.join(", "))),
                    None => None,
                };
                (format!("unknown key {name}"), help)
            }
            Kind::UnknownVariant(word, known) => {
                let near = nearest(word, known.iter().copied()).map(|n| format!("did you mean {n}? "));
                let help = format!("{}possible: {}", near.unwrap_or_default(), known.join(", "));
                (format!("{word:?} is not possible here"), Some(help))
            }
            Kind::InvalidType(found, expected) | Kind::InvalidValue(found, expected) => {
                (format!("expected {}, found {}", in_words(expected), actual(found)), None)
            }
            Kind::Message(text) => match text.split_once(": ") {
                Some((text, help)) => (text.to_owned(), Some(help.to_owned())),
                _ => (text.clone(), None),
            },
            other => (other.to_string(), None),
        };
        // A cron expression knows which of its fields is wrong.
        if dotted == "schedule.cron"
            && let Some(Value::String(_, text)) = layer::find(&self.values, &error.path)
            && let Err(cron) = super::schedule::Cron::parse(text)
            && let Some((source, span)) = &mut span
            && self.sources.get(*source).and_then(|s| s.shown.get(span.start + 1..span.end.checked_sub(1)?)) == Some(text.as_str())
        {
            let start = span.start + 1;
            *span = start + cron.span.start..start + cron.span.end.max(cron.span.start + 1);
        }
        Problem { message, key: dotted, place: span, help }
    }
}

fn in_words(expected: &str) -> &str {
    match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number from 0 up",
        "i8" | "i16" | "i32" | "i64" => "a whole number",
        "f64" => "a number",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "a table",
        other if other.starts_with("struct ") => "a table",
        other => other,
    }
}

fn actual(found: &figment::error::Actual) -> String {
    use figment::error::Actual;
    match found {
        Actual::Bool(b) => b.to_string(),
        Actual::Unsigned(n) => n.to_string(),
        Actual::Signed(n) => n.to_string(),
        Actual::Float(n) => n.to_string(),
        Actual::Str(text) => format!("{:?}", super::url::mask(text)),
        Actual::Seq => "a list".into(),
        Actual::Map => "a table".into(),
        other => other.to_string(),
    }
}

/// The names in `inherit`, taken out of the layer.
fn inherited(layer: &mut Layer) -> Vec<String> {
    match layer.values.remove("inherit") {
        Some(Value::Array(tag, list)) => {
            let names: Vec<String> = list.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect();
            if names.len() < list.len() {
                // Left in place, so that the wrong type is told like any other.
                layer.values.insert("inherit".into(), Value::Array(tag, list));
                return Vec::new();
            }
            names
        }
        Some(Value::String(_, name)) => vec![name],
        Some(other) => {
            layer.values.insert("inherit".into(), other);
            Vec::new()
        }
        None => Vec::new(),
    }
}

/// Settings from outside the files: label, text left of `=`, key and value, weakest first.
fn assignments(around: &Surroundings, sets: &[(String, String)]) -> Vec<(String, String, KeyPath, String)> {
    let env = around.env.iter().filter_map(|(name, value)| {
        let rest = name.strip_prefix("DUPR_")?;
        let key = match rest.strip_prefix('_') {
            Some(top) => top,
            None if rest.contains("__") => rest,
            None => return None,
        };
        let path = key.split("__").map(|k| k.to_lowercase().replace('_', "-")).collect();
        Some((format!("environment {name}"), name.clone(), path, value.clone()))
    });
    let sets = sets.iter().map(|(key, value)| {
        let mut path: KeyPath = key.split('.').map(str::to_owned).collect();
        // The short spellings of a profile work here as well.
        match path.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            ["source"] => path.push("path".into()),
            ["target"] => path.push("url".into()),
            ["passphrase", ..] => path.insert(0, "keys".into()),
            _ => {}
        }
        (format!("--set {key}"), format!("--set {key}"), path, value.clone())
    });
    env.chain(sets).collect()
}

fn canonical(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

fn writable_by_others(path: &Path) -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    let meta = std::fs::metadata(path).ok()?;
    // A group that belongs to one user alone has that user's number.
    let shared = if meta.gid() == meta.uid() { 0o002 } else { 0o022 };
    (meta.mode() & shared != 0)
        .then(|| format!("others can write {} (mode {:04o})", path.display(), meta.mode() & 0o7777))
}
