//! Reads the files of a profile, what they inherit, the environment and `--set`, and lays them over each other.

use super::{Loaded, Surroundings};
use crate::profile::error::{Errors, Problem, SourceText};
use crate::profile::expand::expand;
use crate::profile::file::ProfileFile;
use crate::profile::layer::{KeyPath, Layer, Stack};
use crate::profile::lookup;
use figment::providers::Serialized;
use figment::value::{Dict, Value};
use figment::{Figment, Metadata};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Chains of `inherit` longer than this are a mistake.
const MAX_DEPTH: usize = 16;

/// Collects layers, innermost `inherit` first.
#[derive(Default)]
pub(in crate::profile) struct Reader {
    pub sources: Vec<SourceText>,
    pub layers: Vec<Layer>,
    pub problems: Vec<Problem>,
    /// Whether a text could not be read to its end.
    pub torn: bool,
}

impl Reader {
    pub(super) fn text(&self, path: &Path) -> Result<String, Errors> {
        let bytes = std::fs::read(path).map_err(|e| {
            let help = "the user who runs dupr must be able to read it".to_owned();
            Errors::single(format!("cannot read {}: {e}", path.display()), Some(help))
        })?;
        String::from_utf8(bytes).map_err(|e| {
            let at = e.utf8_error().valid_up_to();
            Errors::single(
                format!("{} is not UTF-8 at byte {at}", path.display()),
                Some("save it as UTF-8 in an editor".to_owned()),
            )
        })
    }

    pub(super) fn file(
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
        self.torn |= !problems.is_empty();
        self.problems.extend(problems);
        if around.look_at_files
            && let Some(message) = writable_by_others(path)
        {
            let help = Some(format!("chmod go-w {}", path.display()));
            self.problems.push(Problem {
                message,
                key: String::new(),
                place: None,
                help,
            });
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
        let place = layer
            .places
            .get(&key[..])
            .or_else(|| layer.places.get(&key[..1]));
        let place = place.map(|p| (p.source, p.value.clone()));
        let mut problem = |message: String, help: Option<String>| {
            self.problems.push(Problem {
                message,
                key: "inherit".into(),
                place: place.clone(),
                help,
            });
        };
        let dir = path.parent().unwrap_or(Path::new("")).to_owned();
        let found = if lookup::is_path(parent) {
            let file = dir.join(parent);
            if file.is_file() {
                Ok(file)
            } else {
                Err((format!("there is no profile {}", file.display()), None))
            }
        } else {
            let dirs: Vec<PathBuf> = std::iter::once(dir)
                .chain(around.config_dirs.iter().cloned())
                .collect();
            lookup::find(parent, &dirs).map(|f| f.path).map_err(|e| {
                e.problems
                    .into_iter()
                    .next()
                    .map_or((String::new(), None), |p| (p.message, p.help))
            })
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
            problem(
                format!("more than {MAX_DEPTH} profiles inherit one another"),
                None,
            );
            return Ok(());
        }
        let text = self.text(&file)?;
        self.file(&file, &text, around, open)
    }

    pub(in crate::profile) fn finish(
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
            let (layer, source) =
                Layer::assignment(&label, &left, keys.clone(), &raw, self.sources.len());
            self.sources.push(source);
            if let Some(n) = into {
                self.problems.push(Problem {
                    message: format!(
                        "{} is a list: a single key of it cannot be set",
                        keys.get(..n).unwrap_or(&[]).join(".")
                    ),
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
            meant: Vec::new(),
            torn: self.torn,
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

/// The names in `inherit`, taken out of the layer.
fn inherited(layer: &mut Layer) -> Vec<String> {
    match layer.values.remove("inherit") {
        Some(Value::Array(tag, list)) => {
            let names: Vec<String> = list
                .iter()
                .filter_map(|v| v.as_str().map(str::to_owned))
                .collect();
            if names.len() < list.len() {
                // Left in place, so that the wrong type is told like any other.
                layer
                    .values
                    .insert("inherit".into(), Value::Array(tag, list));
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
fn assignments(
    around: &Surroundings,
    sets: &[(String, String)],
) -> Vec<(String, String, KeyPath, String)> {
    let env = around.env.iter().filter_map(|(name, value)| {
        let rest = name.strip_prefix("DUPR_")?;
        let key = match rest.strip_prefix('_') {
            Some(top) => top,
            None if rest.contains("__") => rest,
            None => return None,
        };
        let path = key
            .split("__")
            .map(|k| k.to_lowercase().replace('_', "-"))
            .collect();
        Some((
            format!("environment {name}"),
            name.clone(),
            path,
            value.clone(),
        ))
    });
    let sets = sets.iter().map(|(key, value)| {
        let mut path: KeyPath = key.split('.').map(str::to_owned).collect();
        // The short spellings of a profile work here as well.
        match path
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .as_slice()
        {
            ["source"] => path.push("path".into()),
            ["target"] => path.push("url".into()),
            ["passphrase", ..] => path.insert(0, "keys".into()),
            _ => {}
        }
        (
            format!("--set {key}"),
            format!("--set {key}"),
            path,
            value.clone(),
        )
    });
    env.chain(sets).collect()
}

fn canonical(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// Why a file must not say what is run: others can write it. `None` if all is well.
pub(in crate::profile) fn writable_by_others(path: &Path) -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    let meta = std::fs::metadata(path).ok()?;
    // A group that belongs to one user alone has that user's number.
    let shared = if meta.gid() == meta.uid() {
        0o002
    } else {
        0o022
    };
    (meta.mode() & shared != 0).then(|| {
        format!(
            "others can write {} (mode {:04o})",
            path.display(),
            meta.mode() & 0o7777
        )
    })
}
