//! Every key of a profile has an effect that a test shows: the table names it, key by key, and holds the names to what is there.
//! Keys that no other test covers have theirs here, from the outside.

mod runs;
mod sets;
mod sources;
mod table;
mod targets;
mod told;

use crate::support::home::Home;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A profile with a target of its own, put together from what a test is about. Each step writes the file anew.
#[derive(Clone)]
struct Case {
    name: String,
    target: PathBuf,
    file: PathBuf,
    head: String,
    source: String,
    url: String,
    target_lines: String,
    tables: String,
    /// Lines of `[keys]`; `None` leaves the table out.
    keys: Option<String>,
}

impl Case {
    /// Unencrypted, of the home's source, into a folder.
    fn new(home: &Home) -> Self {
        Self::made(home, Some("encryption = \"none\"\n"))
    }

    /// With these lines of `[keys]`.
    fn sealed(home: &Home, keys: &str) -> Self {
        Self::made(home, Some(keys))
    }

    /// With these lines at the top and no `[keys]`.
    fn bare(home: &Home, head: &str) -> Self {
        Self::made(home, None).head(head)
    }

    fn made(home: &Home, keys: Option<&str>) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(1);
        let name = format!("case{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let target = home.path().join(format!("target-{name}"));
        let case = Self {
            file: home.path().join(format!(".config/dupr/{name}.toml")),
            head: String::new(),
            source: format!("path = {:?}\n", home.source()),
            url: format!("file://{}", target.display()),
            target_lines: String::new(),
            tables: String::new(),
            keys: keys.map(str::to_owned),
            target,
            name,
        };
        case.written()
    }

    fn head(mut self, lines: &str) -> Self {
        self.head = lines.to_owned();
        self.written()
    }

    /// Lines of `[source]` beside its path.
    fn source(mut self, lines: &str) -> Self {
        self.source += lines;
        self.written()
    }

    /// All lines of `[source]`.
    fn raw_source(mut self, lines: &str) -> Self {
        self.source = lines.to_owned();
        self.written()
    }

    fn url(mut self, url: &str) -> Self {
        self.url = url.to_owned();
        self.written()
    }

    /// Lines of `[target]` beside its URL, and tables behind them.
    fn target(mut self, lines: &str) -> Self {
        self.target_lines = lines.to_owned();
        self.written()
    }

    /// All other tables. Lines of `[keys]` are added to those it has.
    fn tables(mut self, text: &str) -> Self {
        self.tables = text.to_owned();
        self.written()
    }

    fn written(self) -> Self {
        let mut tables = self.tables.clone();
        if let Some(keys) = &self.keys {
            if !tables.contains("[keys]\n") {
                tables.push_str("[keys]\n");
            }
            tables = tables.replace("[keys]\n", &format!("[keys]\n{keys}"));
        }
        let text = format!(
            "version = 1\n{}[source]\n{}[target]\nurl = {:?}\n{}{tables}",
            self.head, self.source, self.url, self.target_lines
        );
        fs::write(&self.file, text).expect("profile");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(&self.file, mode).expect("mode");
        self
    }
}

/// The paths of the newest set of a profile.
fn paths(home: &Home, profile: &str) -> Vec<String> {
    let listed = home.expect(0, &[profile, "list", "--json"]).stdout;
    let listed: serde_json::Value = serde_json::from_str(&listed).expect("JSON");
    let entries = listed["runs"][0]["products"].as_array().expect("entries");
    let path = |e: &serde_json::Value| e["path"].as_str().unwrap_or_default().to_owned();
    entries.iter().map(path).collect()
}

/// Names in a folder.
fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .map(|e| e.file_name().to_string_lossy().into_owned())
        .collect()
}

/// Bytes of the files of a folder that have this in their names.
fn stored_bytes(dir: &Path, part: &str) -> u64 {
    let names = names(dir).into_iter().filter(|n| n.contains(part));
    names
        .map(|n| fs::metadata(dir.join(n)).expect("stored").len())
        .sum()
}

/// A table of a dump that looks at dupr, its parent process, while it makes the set.
fn dump_that_looks(home: &Home, script: &str) -> String {
    static NUMBER: AtomicUsize = AtomicUsize::new(1);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let program = home.script(&format!("look{number}"), script);
    format!(
        "[[source.dump]]\nname = \"look\"\nkind = \"command\"\ncommand = [{:?}]\n",
        program.display().to_string()
    )
}

/// What it saw.
fn looked(home: &Home, case: &Case) -> String {
    let out = home.path().join(format!("looked-{}", case.name));
    let to = out.display().to_string();
    home.expect(0, &[&case.name, "fetch", "dupr-dumps/look", &to]);
    fs::read_to_string(out).expect("fetched")
}
