//! Groups of profiles: `groups.toml`, beside the profiles.
//!
//! ```toml
//! web = ["www", "db-*"]            # a name for several profiles
//!
//! [nightly]                        # one that is more than the sum of its members
//! profiles = ["home", "web"]
//! parallel = 2
//! ```
//!
//! The first file that names a group wins. Hooks and reports of a group are those of profiles, read and checked by the same
//! code.

use super::error::{Errors, Problem, SourceText, nearest};
use super::layer::{KeyPath, Layer};
use super::load::reader::{Reader, writable_by_others};
use super::load::{Loaded, Surroundings};
use super::reports::Reports;
use super::settings::Hook;
use figment::value::{Dict, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Keys of a group that are not those of a profile.
const OWN: [&str; 5] = [
    "profiles",
    "description",
    "parallel",
    "continue-on-error",
    "member-reports",
];

/// Tables of a profile that a group may have.
const SHARED: [&str; 4] = ["hook", "report", "vars", "allow-inline-secrets"];

/// Members that may run at a time.
const MOST_AT_ONCE: i128 = 64;

/// All groups of all `groups.toml`.
#[derive(Debug, Default)]
pub struct Groups {
    entries: BTreeMap<String, Entry>,
}

/// A group as it stands in its file.
#[derive(Debug)]
struct Entry {
    path: PathBuf,
    source: SourceText,
    layer: Layer,
    members: Vec<String>,
    /// More than a list of names.
    rich: bool,
}

/// A group that is run as one.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// The file it stands in.
    pub file: PathBuf,
    /// Names, globs and other groups, in the order in which they run.
    pub members: Vec<String>,
    /// Free text for people; may be empty.
    pub description: String,
    /// Members that run at a time; at least 1.
    pub parallel: usize,
    /// Whether the others still run when one has failed.
    pub continue_on_error: bool,
    /// Whether members send messages of their own although the group reports.
    pub member_reports: bool,
    /// Programs around all of it.
    pub hooks: Vec<Hook>,
    /// Who is told of the whole.
    pub reports: Reports,
}

impl Group {
    /// Who is told of the outcome of a member: where the group reports, its messages stand for those of the members.
    pub fn reports_of(&self, member: &Reports) -> Reports {
        if self.reports == Reports::default() || self.member_reports {
            member.clone()
        } else {
            member.without_messages()
        }
    }
}

impl Groups {
    /// Reads the groups of these directories.
    ///
    /// # Errors
    /// A file that is no TOML, or a group that is neither a list nor a table with one.
    pub fn read(dirs: &[PathBuf]) -> Result<Self, Errors> {
        let mut all = Self::default();
        for dir in dirs {
            let path = dir.join("groups.toml");
            let Ok(text) = std::fs::read_to_string(&path) else {
                continue;
            };
            let name = path.display().to_string();
            let (layer, source, problems) = Layer::parse_as_written(&name, Some(&path), &text, 0);
            if !problems.is_empty() {
                return Err(errors(source, problems));
            }
            for (name, value) in &layer.values {
                let members = members(name, value, &layer)
                    .map_err(|problem| errors(source.clone(), vec![problem]))?;
                let rich =
                    matches!(value, Value::Dict(_, table) if table.keys().any(|k| k != "profiles"));
                let entry = Entry {
                    path: path.clone(),
                    source: source.clone(),
                    layer: part(name, value, &layer),
                    members,
                    rich,
                };
                all.entries.entry(name.clone()).or_insert(entry);
            }
        }
        Ok(all)
    }

    /// The members of a group as they are written, if there is one of that name.
    pub fn members(&self, name: &str) -> Option<&[String]> {
        self.entries.get(name).map(|e| e.members.as_slice())
    }

    /// Whether a group is more than a list of names, so that it runs as one.
    pub fn is_rich(&self, name: &str) -> bool {
        self.entries.get(name).is_some_and(|e| e.rich)
    }

    /// All of a group; `None` if there is none of that name.
    ///
    /// # Errors
    /// Everything that is wrong with it, by place.
    pub fn group(&self, name: &str, around: &Surroundings) -> Option<Result<Group, Errors>> {
        self.entries.get(name).map(|e| e.checked(name, around))
    }
}

impl Entry {
    fn checked(&self, name: &str, around: &Surroundings) -> Result<Group, Errors> {
        let mut layer = self.layer.clone();
        let mut problems = Vec::new();
        if around.look_at_files
            && let Some(message) = writable_by_others(&self.path)
        {
            let help = Some(format!("chmod go-w {}", self.path.display()));
            problems.push(Problem {
                message,
                key: String::new(),
                place: None,
                help,
            });
        }
        let known: Vec<&str> = OWN.into_iter().chain(SHARED).collect();
        let strange: Vec<String> = layer
            .values
            .keys()
            .filter(|k| !known.contains(&k.as_str()))
            .cloned()
            .collect();
        for key in strange {
            layer.values.remove(&key);
            let help = match nearest(&key, known.iter().copied()) {
                Some(near) => format!("did you mean {near}?"),
                None => format!("a group knows {}", known.join(", ")),
            };
            let mut unknown = problem(&layer, &key, format!("unknown key {key}"), Some(help));
            // The key is wrong, not its value.
            unknown.place = layer
                .places
                .get(&[key][..])
                .map(|p| (p.source, p.key.clone()));
            problems.push(unknown);
        }
        let mut own = |key: &str| layer.values.remove(key);
        let description = own("description");
        let (parallel, go_on, member_reports) = (
            own("parallel"),
            own("continue-on-error"),
            own("member-reports"),
        );
        own("profiles");
        let mut tell = |key: &str, message: &str| {
            problems.push(problem(&layer, key, message.to_owned(), None));
        };
        let parallel = match parallel.as_ref().map(|v| v.to_i128()) {
            None => 1,
            Some(Some(n @ 1..=MOST_AT_ONCE)) => usize::try_from(n).unwrap_or(1),
            Some(_) => {
                tell("parallel", "expected a whole number from 1 to 64");
                1
            }
        };
        let mut truth = |key: &str, value: Option<Value>, usual: bool| match value {
            None => usual,
            Some(Value::Bool(_, b)) => b,
            Some(_) => {
                tell(key, "expected true or false");
                usual
            }
        };
        let continue_on_error = truth("continue-on-error", go_on, true);
        let member_reports = truth("member-reports", member_reports, false);
        let description = match description {
            None => String::new(),
            Some(Value::String(_, text)) => text,
            Some(_) => {
                tell("description", "expected a text");
                String::new()
            }
        };
        let (hooks, reports) = self
            .loaded(name, layer, problems, around)
            .check_group(around)?;
        Ok(Group {
            name: name.to_owned(),
            file: self.path.clone(),
            members: self.members.clone(),
            description,
            parallel,
            continue_on_error,
            member_reports,
            hooks,
            reports,
        })
    }

    /// The rest of the table as if it were a profile's.
    fn loaded(
        &self,
        name: &str,
        layer: Layer,
        problems: Vec<Problem>,
        around: &Surroundings,
    ) -> Loaded {
        let reader = Reader {
            sources: vec![self.source.clone()],
            layers: vec![layer],
            problems,
            torn: false,
        };
        // Variables that set keys of profiles are not meant for groups.
        let mut around = around.clone();
        around.env.retain(|name, _| !name.starts_with("DUPR_"));
        reader.finish(name.to_owned(), self.path.clone(), &around, &[])
    }
}

/// The names a group is made of.
fn members(name: &str, value: &Value, layer: &Layer) -> Result<Vec<String>, Problem> {
    let (key, list) = match value {
        Value::Dict(_, table) => match table.get("profiles") {
            Some(list) => (vec![name.to_owned(), "profiles".to_owned()], list),
            None => {
                let help = Some("write profiles = [\"www\", \"db-*\"]".to_owned());
                let key = vec![name.to_owned()];
                return Err(at(
                    layer,
                    &key,
                    format!("the group {name} has no profiles"),
                    help,
                ));
            }
        },
        list => (vec![name.to_owned()], list),
    };
    let names = match list {
        Value::Array(_, list) => list.iter().map(|v| v.as_str().map(str::to_owned)).collect(),
        _ => None,
    };
    names.ok_or_else(|| {
        let help = "a group is a list of names: web = [\"www\", \"db-*\"]".to_owned();
        at(
            layer,
            &key,
            "expected a list of names".to_owned(),
            Some(help),
        )
    })
}

/// The table of one group as a layer of its own.
fn part(name: &str, value: &Value, layer: &Layer) -> Layer {
    let values = match value {
        Value::Dict(_, table) => table.clone(),
        _ => Dict::new(),
    };
    let places = layer.places.iter().filter_map(|(path, place)| {
        let (first, rest) = path.split_first()?;
        (first == name).then(|| (rest.to_vec(), place.clone()))
    });
    Layer {
        name: layer.name.clone(),
        values,
        places: places.collect(),
    }
}

/// A problem with a key of a group.
fn problem(layer: &Layer, key: &str, message: String, help: Option<String>) -> Problem {
    at(layer, &vec![key.to_owned()], message, help)
}

fn at(layer: &Layer, path: &KeyPath, message: String, help: Option<String>) -> Problem {
    let place = layer.places.get(path);
    Problem {
        message,
        key: path.join("."),
        place: place.map(|p| (p.source, p.value.clone())),
        help,
    }
}

fn errors(source: SourceText, problems: Vec<Problem>) -> Errors {
    Errors {
        problems,
        sources: Arc::new(vec![source]),
    }
}

/// The folder hooks of a group run in.
pub fn directory(file: &Path) -> PathBuf {
    file.parent().map(Path::to_owned).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (tempfile::TempDir, Result<Groups, Errors>) {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::write(dir.path().join("groups.toml"), text).expect("groups");
        let groups = Groups::read(&[dir.path().to_owned()]);
        (dir, groups)
    }

    fn group(text: &str, name: &str) -> Result<Group, Errors> {
        let (_dir, groups) = read(text);
        groups?
            .group(name, &Surroundings::default())
            .expect("a group")
    }

    #[test]
    fn a_list_and_a_table_are_groups() {
        let text = "web = [\"www\", \"db-*\"]\n[plain]\nprofiles = [\"a\"]\n\
                    [nightly]\nprofiles = [\"home\", \"web\"]\nparallel = 2\ncontinue-on-error = false\n\
                    [[nightly.hook]]\non = \"before\"\nexec = [\"mount\", \"${vars.disk}\"]\nundo = [\"umount\", \"/b\"]\n\
                    [nightly.vars]\ndisk = \"/b\"\n\
                    [nightly.report.ntfy]\nurl = \"https://ntfy.sh/x\"\n";
        let (_dir, groups) = read(text);
        let groups = groups.unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(groups.members("web").map(<[String]>::len), Some(2));
        assert!(!groups.is_rich("web") && !groups.is_rich("plain") && groups.is_rich("nightly"));
        let nightly = groups
            .group("nightly", &Surroundings::default())
            .expect("a group")
            .unwrap_or_else(|e| panic!("{e}"));
        assert_eq!((nightly.parallel, nightly.continue_on_error), (2, false));
        assert_eq!(nightly.hooks[0].exec, ["mount", "/b"]);
        let own = nightly.reports.clone();
        assert!(own.ntfy.is_some() && nightly.reports_of(&own).ntfy.is_none());
        assert!(groups.group("absent", &Surroundings::default()).is_none());
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        for (text, says) in [
            ("web = 3\n", "groups.toml:1:7: expected a list of names"),
            ("web = [3]\n", "groups.toml:1:7: expected a list of names"),
            ("[web]\nparallel = 2\n", "the group web has no profiles"),
            ("web = [\n", "groups.toml:"),
            (
                "[web]\nprofiles = []\nparalel = 2\n",
                ":3:1: unknown key paralel (did you mean parallel?)",
            ),
            (
                "[web]\nprofiles = []\nparallel = 0\n",
                ":3:12: expected a whole number from 1 to 64",
            ),
            (
                "[web]\nprofiles = []\nmember-reports = 1\n",
                ":3:18: expected true or false",
            ),
            (
                "[web]\nprofiles = []\nsource = \"/x\"\n",
                "unknown key source",
            ),
            (
                "[web]\nprofiles = []\n[[web.hook]]\non = \"before\"\nexec = [\"x\"]\ncommands = [\"backup\"]\n",
                ":6:12: a group has no commands of its own",
            ),
            (
                "[web]\nprofiles = []\n[web.report.ntfy]\nurl = \"https://u:canary@h\"\n",
                ":4:7: the URL holds a password",
            ),
            (
                "[web]\nprofiles = []\n[web.report.ntfy]\nurl = \"https://h\"\ntoken = \"canary\"\n",
                ":5:9: report.ntfy.token holds the secret itself",
            ),
        ] {
            let errors = group(text, "web").expect_err(text);
            let shown = format!("{errors} {}", errors.render(false));
            assert!(shown.contains(says), "{text}: {shown}");
            assert!(!shown.contains("canary"), "{shown}");
        }
    }

    #[test]
    fn the_schema_knows_the_same_keys() {
        let schema = serde_json::to_value(crate::profile::file::groups_schema()).expect("JSON");
        let table = &schema["$defs"]["GroupFile"];
        assert_eq!(table["additionalProperties"], false);
        let described = table["properties"].as_object().expect("properties");
        let mut known: Vec<&str> = OWN.into_iter().chain(SHARED).collect();
        known.sort_unstable();
        let mut described: Vec<&str> = described.keys().map(String::as_str).collect();
        described.sort_unstable();
        assert_eq!(described, known);
    }
}
