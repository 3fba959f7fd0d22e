//! Holds the source to docs/architecture.md: who may use whom, what never happens where, how long a file may be.
//!
//! A rule that no test holds is a wish. Rules are about code that ships: comments, strings and everything from the first
//! `#[cfg(test)]` on are left out.

use regex::Regex;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Everybody below the double line may use these, and they use each other.
const BASE: &[&str] = &[
    "engine::path",
    "engine::entry",
    "engine::time",
    "engine::time_text",
    "engine::secret",
    "engine::context",
    "engine::monitor",
    "engine::stats",
    "engine::error",
    "engine::ahead",
];

/// Module, and what it may use besides itself and [`BASE`].
const MAY_USE: &[(&str, &[&str])] = &[
    // Pure codecs and joins.
    ("engine::delta", &[]),
    ("engine::format", &["engine::delta", "engine::seal"]),
    ("engine::stream", &["engine::format", "engine::delta"]),
    ("engine::select", &[]),
    // The doors to the world.
    ("engine::seal", &[]),
    ("engine::storage", &[]),
    ("engine::tree", &["engine::select", "engine::stream"]),
    (
        "engine::collection",
        &["engine::format", "engine::seal", "engine::storage"],
    ),
    (
        "engine::archive",
        &[
            "engine::format",
            "engine::seal",
            "engine::collection",
            "engine::stream",
        ],
    ),
    ("engine::pipeline", ENGINE_ROOMS),
    ("engine::ops", ENGINE_ROOMS),
    ("engine::target", ENGINE_ROOMS),
    ("engine", ENGINE_ROOMS),
    // The program above the engine.
    ("profile", &["engine"]),
    ("plan", &["profile", "engine"]),
    ("run", &["plan", "profile", "engine"]),
    ("schedule", &["profile", "engine"]),
    ("report", &["run", "plan", "profile", "engine"]),
    ("job", &["report", "run", "plan", "profile", "engine"]),
    (
        "cli",
        &[
            "job", "schedule", "report", "run", "plan", "profile", "engine",
        ],
    ),
    ("testing", &["engine"]),
    (
        "lib",
        &[
            "cli", "job", "schedule", "report", "run", "plan", "profile", "engine", "testing",
        ],
    ),
    ("main", &["cli", "engine"]),
];

const ENGINE_ROOMS: &[&str] = &[
    "engine",
    "engine::target",
    "engine::ops",
    "engine::pipeline",
    "engine::collection",
    "engine::archive",
    "engine::storage",
    "engine::tree",
    "engine::seal",
    "engine::format",
    "engine::delta",
    "engine::stream",
    "engine::select",
];

/// What `plan` sees of the engine: values, no doors.
const PLAN_SEES: &[&str] = &[
    "engine::collection",
    "engine::format",
    "engine::seal",
    "engine::storage",
];

/// A pattern that may stand only in files that begin with one of the given paths.
const ONLY_IN: &[(&str, &[&str], &str)] = &[
    (
        r"\be?print(ln)?!",
        &["src/cli/ui"],
        "only cli/ui talks to the terminal",
    ),
    (
        r"\bprocess::exit\b",
        &["src/main.rs"],
        "only main ends the process",
    ),
    (
        r"\benv::",
        &["src/cli/", "src/main.rs"],
        "the environment is read in cli and handed down",
    ),
    (
        r"\b(SystemTime|Timestamp|Zoned|Local|Utc|OffsetDateTime)::now\b",
        &["src/cli/", "src/main.rs"],
        "the clock is read in cli and handed down",
    ),
    (
        r"\bCommand::new\b|\bprocess::Command\b|\bprocess::\{[^}]*\bCommand\b",
        &[
            "src/run/hook.rs",
            "src/run/program.rs",
            "src/run/priority.rs",
            "src/schedule/install",
            "src/report/notify",
            "src/profile/secret.rs",
            "src/profile/import/duply.rs",
            "src/engine/seal/gpg",
            "src/engine/storage/",
        ],
        "other programs are started in few places",
    ),
    (
        r"\btokio\b|\basync\s+(fn|move)\b|\basync\s*\{|\.await\b",
        &["src/engine/storage/"],
        "async stays in storage",
    ),
    (
        r"\bcron_parser\b",
        &["src/profile/schedule.rs"],
        "schedules are read in one module",
    ),
    (
        r"\b(todo|unimplemented|dbg)!",
        &[],
        "nothing unfinished ships",
    ),
    (
        r"\bstatic\s+mut\b|\bstatic\s+\w+\s*:\s*(Mutex|RwLock|Atomic\w+)\b",
        &[],
        "no mutable global",
    ),
];

/// A pattern that never stands in files that begin with one of the given paths.
const NEVER_IN: &[(&str, &[&str], &str)] = &[
    (
        r"\.(unwrap|expect)\(",
        &[
            "src/engine/format",
            "src/engine/delta",
            "src/engine/seal",
            "src/engine/storage",
            "src/profile",
        ],
        "outside input never panics",
    ),
    (
        r"\bstd::(fs|process|net|thread)\b",
        &[
            "src/plan",
            "src/engine/collection",
            "src/engine/select/glob",
        ],
        "pure code has no door to the world",
    ),
    (
        r"\bstd::(fs|process|net|thread)\b",
        &["src/engine/format", "src/engine/delta", "src/engine/stream"],
        "codecs see Read and Write",
    ),
];

/// Lines of a file before its tests.
const MOST_LINES: usize = 500;

/// A file of the library or the program, without comments, strings and tests.
struct Source {
    /// Path relative to the repository.
    file: String,
    /// Its module: `engine::format::names`, `main`, `lib`.
    module: Vec<String>,
    /// What ships of it.
    code: String,
    /// Lines before the tests, comments included.
    lines: usize,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    let mut open = vec![root.join("src")];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(&dir).expect("src").flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    let tests: Vec<PathBuf> = files.iter().flat_map(|path| test_modules(path)).collect();
    files
        .iter()
        .filter(|path| {
            !tests
                .iter()
                .any(|test| path.with_extension("").starts_with(test))
        })
        .map(|path| source(root, path))
        .collect()
}

/// Paths, without extension, of the modules that a file declares for tests only.
fn test_modules(path: &Path) -> Vec<PathBuf> {
    let declared = Regex::new(r"(?m)^#\[cfg\(test\)\]\n(?:pub )?mod (\w+);").expect("a pattern");
    let text = std::fs::read_to_string(path).expect("source");
    let stem = path
        .file_stem()
        .and_then(|s| s.to_str())
        .unwrap_or_default();
    let dir = path.parent().unwrap_or(Path::new(""));
    let dir = match stem {
        "mod" | "lib" | "main" => dir.to_path_buf(),
        stem => dir.join(stem),
    };
    declared
        .captures_iter(&text)
        .map(|c| dir.join(&c[1]))
        .collect()
}

fn source(root: &Path, path: &PathBuf) -> Source {
    let file = path
        .strip_prefix(root)
        .expect("below the root")
        .display()
        .to_string();
    let text = std::fs::read_to_string(path).expect("source");
    let all: Vec<&str> = text.lines().collect();
    // A module of tests in this file ends it; one that is only declared does not.
    let ends = |pair: &[&str]| {
        pair[0].starts_with("#[cfg(test)]") && pair[1].starts_with("mod ") && pair[1].ends_with('{')
    };
    let lines = all.windows(2).position(ends).unwrap_or(all.len());
    let shipped: String = text.lines().take(lines).flat_map(|l| [l, "\n"]).collect();
    let trail = file
        .trim_start_matches("src/")
        .trim_end_matches(".rs")
        .trim_end_matches("/mod");
    let module = trail.split('/').map(str::to_string).collect();
    Source {
        file,
        module,
        code: bare(&shipped),
        lines,
    }
}

/// The code without comments and without what stands in strings.
fn bare(text: &str) -> String {
    let pattern = concat!(
        r#"(?s)//[^\n]*"#,                    // comment to the end of the line
        r#"|/\*.*?\*/"#,                      // comment
        r##"|b?r#".*?"#"##,                   // raw string
        r#"|b?"(?:\\.|[^"\\])*""#,            // string
        r#"|b?'(?:\\[^\n]{1,8}?|[^'\\\n])'"#, // character
    );
    let strip = Regex::new(pattern).expect("a pattern");
    strip
        .replace_all(
            text,
            |c: &regex::Captures| if c[0].starts_with('/') { "" } else { "\"\"" },
        )
        .into_owned()
}

/// Modules a file names by `crate::`, `super::` or, in the program, `dupr::`.
fn uses(source: &Source) -> BTreeSet<Vec<String>> {
    let start = Regex::new(r"\b(crate|super|dupr)::").expect("a pattern");
    let mut found = BTreeSet::new();
    for at in start.captures_iter(&source.code) {
        let word = &at[1];
        if word == "dupr" && source.file != "src/main.rs" {
            continue;
        }
        let whole = at.get(0).expect("the whole match");
        // `super::super::x` is found at its first `super`.
        if source.code[..whole.start()].ends_with("::") {
            continue;
        }
        let base = if word == "super" {
            parent(&source.module)
        } else {
            Vec::new()
        };
        branches(&source.code[whole.end()..], base, &mut found);
    }
    found
}

fn parent(module: &[String]) -> Vec<String> {
    module[..module.len().saturating_sub(1)].to_vec()
}

/// Collects the paths of a use tree that goes on with `rest`; gives back what is left behind it.
fn branches<'a>(rest: &'a str, base: Vec<String>, found: &mut BTreeSet<Vec<String>>) -> &'a str {
    let rest = rest.trim_start();
    if let Some(mut rest) = rest.strip_prefix('{') {
        loop {
            rest = branches(rest, base.clone(), found).trim_start();
            match rest.strip_prefix(',') {
                Some(more) => rest = more,
                None => return rest.strip_prefix('}').unwrap_or(""),
            }
            if let Some(more) = rest.trim_start().strip_prefix('}') {
                return more;
            }
        }
    }
    let end = rest
        .find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(rest.len());
    let (word, mut rest) = rest.split_at(end);
    if let Some(more) = rest.strip_prefix("::") {
        let path = if word == "super" {
            parent(&base)
        } else {
            [base.clone(), vec![word.to_string()]].concat()
        };
        return branches(more, path, found);
    }
    if let Some(more) = rest.trim_start().strip_prefix("as ") {
        rest = more.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_' || c == ' ');
    }
    let path = if word == "self" {
        base
    } else {
        [base, vec![word.to_string()]].concat()
    };
    found.insert(path);
    rest
}

/// The room a path lies in: `engine::format`, `plan`; only modules, not the items in them.
fn room(path: &[String], rooms: &BTreeSet<String>) -> Option<String> {
    let first = path.first()?;
    if !rooms.contains(first) && first != "engine" {
        return None;
    }
    if first == "engine" {
        let two = path.get(1).map(|second| format!("engine::{second}"));
        return Some(
            two.filter(|t| rooms.contains(t))
                .unwrap_or_else(|| "engine".into()),
        );
    }
    Some(first.clone())
}

/// Every room the source has: top-level modules and those of the engine.
fn rooms(sources: &[Source]) -> BTreeSet<String> {
    let mut rooms = BTreeSet::new();
    for source in sources {
        rooms.insert(source.module[0].clone());
        if source.module[0] == "engine" && source.module.len() > 1 {
            rooms.insert(format!("engine::{}", source.module[1]));
        }
    }
    rooms
}

fn may_use(user: &str, used: &str) -> bool {
    if user == used || (user.starts_with("engine") && BASE.contains(&used)) {
        return true;
    }
    let Some((_, allowed)) = MAY_USE.iter().find(|(name, _)| *name == user) else {
        return BASE.contains(&user) && BASE.contains(&used);
    };
    if user == "plan" && used.starts_with("engine") {
        return BASE.contains(&used) || PLAN_SEES.contains(&used);
    }
    let whole_engine =
        !user.starts_with("engine") && used.starts_with("engine::") && allowed.contains(&"engine");
    allowed.contains(&used) || whole_engine
}

#[test]
fn modules_use_only_what_the_table_allows() {
    let sources = sources();
    let rooms = rooms(&sources);
    let mut report = String::new();
    for name in &rooms {
        if !BASE.contains(&name.as_str()) && !MAY_USE.iter().any(|(n, _)| n == name) {
            let _ = writeln!(
                report,
                "{name}: a new module; say in tests/it/architecture.rs what it may use"
            );
        }
    }
    for source in &sources {
        let user = room(&source.module, &rooms).expect("every file lies in a room");
        for path in uses(source) {
            if let Some(used) = room(&path, &rooms)
                && !may_use(&user, &used)
            {
                let _ = writeln!(
                    report,
                    "{}: {user} must not use {used} ({})",
                    source.file,
                    path.join("::")
                );
            }
        }
    }
    assert!(report.is_empty(), "\n{report}");
}

#[test]
fn things_happen_only_where_they_belong() {
    let mut report = String::new();
    for source in sources() {
        let begins = |places: &[&str]| places.iter().any(|p| source.file.starts_with(p));
        for (pattern, places, why) in ONLY_IN {
            if !begins(places) {
                complain(&mut report, &source, pattern, why);
            }
        }
        for (pattern, places, why) in NEVER_IN {
            if begins(places) {
                complain(&mut report, &source, pattern, why);
            }
        }
    }
    assert!(report.is_empty(), "\n{report}");
}

fn complain(report: &mut String, source: &Source, pattern: &str, why: &str) {
    for found in Regex::new(pattern)
        .expect("a pattern")
        .find_iter(&source.code)
    {
        let line = source.code[..found.start()].matches('\n').count() + 1;
        let _ = writeln!(
            report,
            "{}: `{}` near line {line}: {why}",
            source.file,
            found.as_str()
        );
    }
}

#[test]
fn files_hold_one_idea() {
    let long = sources().into_iter().filter(|s| s.lines > MOST_LINES);
    let long: Vec<String> = long
        .map(|s| format!("{}: {} lines before its tests", s.file, s.lines))
        .collect();
    assert_eq!(long, Vec::<String>::new());
}

#[test]
fn unsafe_code_is_forbidden() {
    let lib = sources()
        .into_iter()
        .find(|s| s.file == "src/lib.rs")
        .expect("src/lib.rs");
    assert!(lib.code.contains("#![forbid(unsafe_code)]"));
}

/// The reader of use trees sees groups, renames and parents.
#[test]
fn use_trees_are_read() {
    let code = "use crate::engine::{path::{self, PathIndex}, time::Timestamp as T};\nuse super::super::seal::Form; fn f() { crate::plan::g() }";
    let module = ["engine", "format", "names"].map(str::to_string).to_vec();
    let source = Source {
        file: String::new(),
        module,
        code: code.into(),
        lines: 1,
    };
    let found: Vec<String> = uses(&source).iter().map(|p| p.join("::")).collect();
    let expected = [
        "engine::path",
        "engine::path::PathIndex",
        "engine::seal::Form",
        "engine::time::Timestamp",
        "plan::g",
    ];
    assert_eq!(found, expected);
}

/// Section 8 of docs/architecture.md names every folder that holds more than one file, and no other.
#[test]
fn the_map_names_every_folder() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("docs/architecture.md")).expect("the map");
    let (_, list) = text.split_once("## 8. The folders").expect("section 8");
    let row = Regex::new(r"(?m)^\| `([a-z0-9_/]+)` \|").expect("a pattern");
    let named: BTreeSet<String> = row.captures_iter(list).map(|c| c[1].to_string()).collect();
    let mut files = std::collections::BTreeMap::<String, usize>::new();
    for source in sources() {
        let folder = source.file.trim_start_matches("src/").rsplit_once('/');
        *files.entry(folder.map_or("", |f| f.0).into()).or_default() += 1;
    }
    let there = |folder: &&String| !folder.is_empty() && files[*folder] > 1;
    let missing: Vec<_> = files.keys().filter(there).collect();
    let missing: Vec<_> = missing.iter().filter(|f| !named.contains(**f)).collect();
    let gone: Vec<_> = named.iter().filter(|f| !files.contains_key(*f)).collect();
    assert!(
        missing.is_empty() && gone.is_empty(),
        "docs/architecture.md, section 8: missing {missing:?}, not there any more {gone:?}"
    );
}
