//! Which profiles a word means: a name, a path, several joined by commas, a group, a glob, or `all`.

use super::args::RESERVED;
use super::world::World;
use crate::profile::error::{Errors, nearest};
use crate::profile::lookup::{self, Found};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Groups inside groups deeper than this are a mistake.
const MAX_DEPTH: usize = 8;

/// The profiles meant by `word`, in order, each once.
///
/// # Errors
/// A name that is none, with the nearest profile or tool; a glob that matches nothing.
pub fn profiles(word: &str, dirs: &[PathBuf]) -> Result<Vec<Found>, Errors> {
    let mut chosen: Vec<Found> = Vec::new();
    choose(word, dirs, &groups(dirs)?, MAX_DEPTH, &mut chosen)?;
    if chosen.is_empty() {
        return Err(Errors::single(
            format!("{word:?} means no profile"),
            Some("`dupr profiles` lists them".to_owned()),
        ));
    }
    Ok(chosen)
}

fn choose(
    word: &str,
    dirs: &[PathBuf],
    groups: &BTreeMap<String, Vec<String>>,
    depth: usize,
    chosen: &mut Vec<Found>,
) -> Result<(), Errors> {
    let mut add = |found: Found| {
        if chosen.iter().all(|c| c.path != found.path) {
            chosen.push(found);
        }
    };
    if word.contains(',') && !std::path::Path::new(word).exists() {
        for part in word.split(',').map(str::trim).filter(|p| !p.is_empty()) {
            choose(part, dirs, groups, depth, chosen)?;
        }
        return Ok(());
    }
    if lookup::is_path(word) {
        add(lookup::find(word, dirs)?);
        return Ok(());
    }
    if word == "all" || word.contains(['*', '?']) {
        let pattern = if word == "all" { "*" } else { word };
        let matching: Vec<Found> = lookup::list(dirs)
            .into_iter()
            .filter(|f| glob(pattern, &f.name))
            .collect();
        if matching.is_empty() {
            let places: Vec<String> = dirs.iter().map(|d| d.display().to_string()).collect();
            let help = format!(
                "looked in {}; `dupr init` makes a first one",
                places.join(", ")
            );
            return Err(Errors::single(
                format!("no profile matches {word}"),
                Some(help),
            ));
        }
        matching.into_iter().for_each(add);
        return Ok(());
    }
    match lookup::find(word, dirs) {
        Ok(found) => {
            add(found);
            Ok(())
        }
        Err(errors) => match groups.get(word) {
            Some(_) if depth == 0 => Err(Errors::single(
                format!("the groups in groups.toml around {word:?} go in circles"),
                None,
            )),
            Some(members) => members
                .iter()
                .try_for_each(|m| choose(m, dirs, groups, depth - 1, chosen)),
            None => Err(with_tools(word, errors)),
        },
    }
}

/// Adds a tool of a similar name to the help.
fn with_tools(word: &str, mut errors: Errors) -> Errors {
    if RESERVED.contains(&word) {
        return Errors::single(
            format!("{word} is a tool's name and no profile's, and this dupr has no such tool yet"),
            Some("`dupr --help` lists the tools; docs/roadmap.md what is to come".to_owned()),
        );
    }
    if let Some(tool) = nearest(word, RESERVED.iter().copied())
        && let Some(problem) = errors.problems.first_mut()
        && !problem
            .help
            .as_deref()
            .is_some_and(|h| h.starts_with("did you mean"))
    {
        problem.message = format!("there is no profile and no tool {word:?}");
        problem.help = Some(format!("did you mean {tool}?"));
    }
    errors
}

/// Groups of all `groups.toml`: `web = ["www", "db-*"]`. The first file that names a group wins.
fn groups(dirs: &[PathBuf]) -> Result<BTreeMap<String, Vec<String>>, Errors> {
    let mut all = BTreeMap::new();
    for dir in dirs {
        let path = dir.join("groups.toml");
        let Ok(text) = std::fs::read_to_string(&path) else {
            continue;
        };
        let file: BTreeMap<String, Vec<String>> = toml::from_str(&text).map_err(|e| {
            let help = "a group is a list of names: web = [\"www\", \"db-*\"]".to_owned();
            Errors::single(
                format!("cannot use {}: {}", path.display(), e.message()),
                Some(help),
            )
        })?;
        for (name, members) in file {
            all.entry(name).or_insert(members);
        }
    }
    Ok(all)
}

/// `*` for any characters, `?` for one.
fn glob(pattern: &str, name: &str) -> bool {
    match (pattern.chars().next(), name.chars().next()) {
        (None, None) => true,
        (Some('*'), _) => {
            let rest = &pattern[1..];
            name.char_indices()
                .map(|(i, _)| i)
                .chain([name.len()])
                .any(|i| glob(rest, &name[i..]))
        }
        (Some('?'), Some(c)) => glob(&pattern[1..], &name[c.len_utf8()..]),
        (Some(p), Some(c)) if p == c => glob(&pattern[p.len_utf8()..], &name[c.len_utf8()..]),
        _ => false,
    }
}

/// Directories with profiles: the one given, or those of the world.
pub fn directories(given: Option<&PathBuf>, world: &World) -> Vec<PathBuf> {
    match given {
        Some(dir) => vec![world.current_dir.join(dir)],
        None => world.config_dirs.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> (tempfile::TempDir, Vec<PathBuf>) {
        let root = tempfile::tempdir().unwrap();
        for (file, text) in [
            ("home.toml", ""),
            ("www.toml", ""),
            ("db-a.toml", ""),
            ("db-b.toml", ""),
            (
                "groups.toml",
                "web = [\"www\", \"db-*\"]\nmore = [\"web\", \"home\"]\nround = [\"round\"]\nnone = []\n",
            ),
        ] {
            std::fs::write(root.path().join(file), text).unwrap();
        }
        let dirs = vec![root.path().to_owned()];
        (root, dirs)
    }

    fn names(word: &str, dirs: &[PathBuf]) -> Vec<String> {
        profiles(word, dirs)
            .unwrap()
            .into_iter()
            .map(|f| f.name)
            .collect()
    }

    #[test]
    fn names_lists_globs_groups_and_all() {
        let (_root, dirs) = place();
        assert_eq!(names("home", &dirs), ["home"]);
        assert_eq!(names("www,home,www", &dirs), ["www", "home"]);
        assert_eq!(names("db-?", &dirs), ["db-a", "db-b"]);
        assert_eq!(names("all", &dirs), ["db-a", "db-b", "home", "www"]);
        assert_eq!(names("web", &dirs), ["www", "db-a", "db-b"]);
        assert_eq!(names("more", &dirs), ["www", "db-a", "db-b", "home"]);
    }

    #[test]
    fn what_means_nothing_is_an_error_with_the_nearest() {
        let (_root, dirs) = place();
        let help = |word| profiles(word, &dirs).unwrap_err().to_string();
        assert!(help("hom").contains("did you mean home?"));
        assert!(help("statu").contains("did you mean status?"));
        assert!(help("serve").contains("no such tool yet"));
        assert!(help("x*").contains("no profile matches"));
        assert!(help(",").contains("means no profile"));
        assert!(help("none").contains("means no profile"));
        assert!(help("round").contains("circles"));
        assert!(help("home,nothing-like-it").contains("nothing-like-it"));
    }
}
