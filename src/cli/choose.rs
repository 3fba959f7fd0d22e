//! Which profiles a word means: a name, a path, several joined by commas, a group, a glob, or `all`.

use super::args::RESERVED;
use super::world::World;
use crate::plan::batch::WORDS;
use crate::profile::error::{Errors, nearest};
use crate::profile::lookup::{self, Found};
use crate::profile::{Group, Groups, Surroundings};
use std::path::PathBuf;

/// Groups inside groups deeper than this are a mistake.
const MAX_DEPTH: usize = 8;

/// The profiles meant by `word`, in order, each once.
///
/// # Errors
/// A name that is none, with the nearest profile or tool; a glob that matches nothing.
pub fn profiles(word: &str, dirs: &[PathBuf]) -> Result<Vec<Found>, Errors> {
    let mut chosen: Vec<Found> = Vec::new();
    let search = Search {
        dirs,
        groups: &Groups::read(dirs)?,
        as_names: true,
    };
    search.choose(word, MAX_DEPTH, &mut chosen)?;
    some(word, &chosen)?;
    Ok(chosen)
}

/// The profiles meant by several words; all if there are none.
///
/// # Errors
/// As [`profiles`].
pub fn listed(words: &[String], dirs: &[PathBuf]) -> Result<Vec<Found>, Errors> {
    match words {
        [] => profiles("all", dirs),
        words => profiles(&words.join(","), dirs),
    }
}

/// What is run together: the profiles of a group that is more than their names, or profiles without one.
#[derive(Debug)]
pub struct Unit {
    /// The group.
    pub group: Option<Group>,
    /// Its profiles, in order; none that an earlier unit has.
    pub profiles: Vec<Found>,
}

/// What is meant by `word`, in order, for running it.
///
/// # Errors
/// As [`profiles`], and all that is wrong with a group.
pub fn units(word: &str, around: &Surroundings) -> Result<Vec<Unit>, Errors> {
    let dirs = around.config_dirs.as_slice();
    let groups = Groups::read(dirs)?;
    let search = Search {
        dirs,
        groups: &groups,
        as_names: false,
    };
    let (mut units, mut taken): (Vec<Unit>, Vec<Found>) = (Vec::new(), Vec::new());
    for part in parts(word) {
        let before = taken.len();
        let group = match search.group(part) {
            Some(name) => groups.group(name, around).transpose()?,
            None => None,
        };
        match &group {
            Some(group) => {
                for member in &group.members {
                    search.choose(member, MAX_DEPTH, &mut taken)?;
                }
                some(part, taken.get(before..).unwrap_or_default())?;
            }
            None => search.choose(part, MAX_DEPTH, &mut taken)?,
        }
        let profiles = taken.get(before..).unwrap_or_default().to_vec();
        match units.last_mut() {
            Some(last) if group.is_none() && last.group.is_none() => last.profiles.extend(profiles),
            _ => units.push(Unit { group, profiles }),
        }
    }
    some(word, &taken)?;
    Ok(units)
}

/// The name of the group that `word` is, if it is one that runs as one.
pub fn group<'a>(word: &'a str, dirs: &[PathBuf]) -> Option<&'a str> {
    let groups = Groups::read(dirs).ok()?;
    let search = Search {
        dirs,
        groups: &groups,
        as_names: false,
    };
    search.group(word)
}

fn some(word: &str, chosen: &[Found]) -> Result<(), Errors> {
    if chosen.is_empty() {
        return Err(Errors::single(
            format!("{word:?} means no profile"),
            Some("`dupr profiles` lists them".to_owned()),
        ));
    }
    Ok(())
}

/// The words of a list with commas; a file with a comma in its name is none.
fn parts(word: &str) -> Vec<&str> {
    if word.contains(',') && !std::path::Path::new(word).exists() {
        return word
            .split(',')
            .map(str::trim)
            .filter(|p| !p.is_empty())
            .collect();
    }
    vec![word]
}

/// Where is looked.
struct Search<'a> {
    dirs: &'a [PathBuf],
    groups: &'a Groups,
    /// Whether a group that runs as one may stand for the names of its members.
    as_names: bool,
}

impl Search<'_> {
    /// `word`, if it is a group that runs as one. A profile of that name comes first.
    fn group<'a>(&self, word: &'a str) -> Option<&'a str> {
        let is_group = !lookup::is_path(word)
            && self.groups.is_rich(word)
            && lookup::find(word, self.dirs).is_err();
        is_group.then_some(word)
    }

    fn choose(&self, word: &str, depth: usize, chosen: &mut Vec<Found>) -> Result<(), Errors> {
        let dirs = self.dirs;
        let add = |found: Found, chosen: &mut Vec<Found>| {
            let covers = |c: &Found| {
                c.path == found.path && (c.target.is_none() || c.target == found.target)
            };
            if !chosen.iter().any(covers) {
                chosen.push(found);
            }
        };
        if let several @ ([] | [_, _, ..]) = parts(word).as_slice() {
            return several
                .iter()
                .try_for_each(|part| self.choose(part, depth, chosen));
        }
        if lookup::is_path(word) {
            add(lookup::find(word, dirs)?, chosen);
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
                let message = match lookup::list(dirs).is_empty() {
                    true => "there is no profile yet".to_owned(),
                    false => format!("no profile matches {word}"),
                };
                return Err(Errors::single(message, Some(help)));
            }
            matching.into_iter().for_each(|found| add(found, chosen));
            return Ok(());
        }
        match lookup::find(word, dirs) {
            Ok(found) => {
                add(found, chosen);
                Ok(())
            }
            Err(errors) => match self.groups.members(word) {
                Some(_) if depth == 0 => Err(Errors::single(
                    format!("the groups in groups.toml around {word:?} go in circles"),
                    Some("take one of them out of the other".to_owned()),
                )),
                Some(_) if !self.as_names && self.groups.is_rich(word) => Err(Errors::single(
                    format!("the group {word} runs as one and cannot be part of another"),
                    Some("call it by itself, or make a plain list of its profiles".to_owned()),
                )),
                Some(members) => members
                    .iter()
                    .try_for_each(|m| self.choose(m, depth - 1, chosen)),
                None => Err(with_tools(word, errors)),
            },
        }
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
    if let Some((command, _)) = WORDS
        .iter()
        .find(|(text, _)| word.eq_ignore_ascii_case(text))
    {
        return Errors::single(
            format!("{command} is a command, and the profile comes before it"),
            Some(format!(
                "write `dupr PROFILE {command}`; `dupr help {command}` tells of it, `dupr profiles` lists profiles"
            )),
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
    fn a_group_that_runs_as_one_is_a_unit() {
        let (root, dirs) = place();
        let text = "web = [\"www\", \"db-*\"]\nboth = [\"web\", \"night\"]\n[night]\nprofiles = [\"home\", \"web\"]\nparallel = 2\n";
        std::fs::write(root.path().join("groups.toml"), text).unwrap();
        let around = Surroundings {
            config_dirs: dirs.clone(),
            ..Surroundings::default()
        };
        let units = units("db-b,night,home,www", &around).unwrap();
        let shown: Vec<(Option<&str>, Vec<&str>)> = units
            .iter()
            .map(|u| {
                let names = u.profiles.iter().map(|f| f.name.as_str()).collect();
                (u.group.as_ref().map(|g| g.name.as_str()), names)
            })
            .collect();
        assert_eq!(
            shown,
            [
                (None, vec!["db-b"]),
                (Some("night"), vec!["home", "www", "db-a"]),
                (None, vec![])
            ]
        );
        let error = super::units("both", &around).unwrap_err().to_string();
        assert!(error.contains("night runs as one"), "{error}");
        assert_eq!(names("both", &dirs), ["www", "db-a", "db-b", "home"]);
    }

    #[test]
    fn what_means_nothing_is_an_error_with_the_nearest() {
        let (_root, dirs) = place();
        let help = |word| profiles(word, &dirs).unwrap_err().to_string();
        assert!(help("hom").contains("did you mean home?"));
        assert!(help("statu").contains("did you mean status?"));
        assert!(help("serve").contains("no such tool yet"));
        assert!(help("Backup").contains("`dupr PROFILE backup`"));
        assert!(help("x*").contains("no profile matches"));
        assert!(help(",").contains("means no profile"));
        assert!(help("none").contains("means no profile"));
        assert!(help("round").contains("circles"));
        assert!(help("home,nothing-like-it").contains("nothing-like-it"));
    }

    #[test]
    fn who_has_no_profile_yet_is_told_how_to_make_one() {
        let root = tempfile::tempdir().unwrap();
        let dirs = vec![root.path().to_owned()];
        for (word, said) in [
            ("all", "there is no profile yet"),
            ("home", "`dupr init home`"),
        ] {
            let text = profiles(word, &dirs).unwrap_err().to_string();
            assert!(text.contains(said) && text.contains("dupr init"), "{text}");
        }
    }
}
