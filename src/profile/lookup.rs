//! Which file a profile's name means.
//!
//! Directories are searched in the order given: `$DUPR_CONFIG_DIR`, the user's, the system's. In each, `NAME.toml`
//! or `NAME/profile.toml`. The first hit wins; hits it hides are told, because they surprise.

use super::error::{Errors, nearest};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A profile that can be called by a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its name.
    pub name: String,
    /// Its file.
    pub path: PathBuf,
    /// Files of the same name that are never read because of it.
    pub hidden: Vec<PathBuf>,
    /// The target that alone is meant, of `NAME@TARGET`.
    pub target: Option<String>,
}

/// Whether a word is a path and not a name.
pub fn is_path(word: &str) -> bool {
    word.contains('/') || word.ends_with(".toml")
}

/// Whether a character neither steers a terminal nor hides what is shown.
pub fn is_plain(c: char) -> bool {
    matches!(c, '"' | '\'' | '\\') || c.escape_debug().count() == 1
}

/// The file of a profile: a path as it is, a name by search.
///
/// # Errors
/// There is none; the help names the nearest one, or where was searched.
pub fn find(word: &str, dirs: &[PathBuf]) -> Result<Found, Errors> {
    if is_path(word) {
        let given = PathBuf::from(word);
        let path = if given.is_dir() {
            given.join("profile.toml")
        } else {
            given
        };
        if !path.is_file() {
            let message = if path.exists() {
                format!("{} is not a regular file", path.display())
            } else {
                format!("there is no profile {}", path.display())
            };
            let help = "a path names a profile's file, or the folder of a profile.toml".to_owned();
            return Err(Errors::single(message, Some(help)));
        }
        return Ok(Found {
            name: name_of(&path),
            path,
            hidden: Vec::new(),
            target: None,
        });
    }
    if word.is_empty() || word.starts_with('.') || !word.chars().all(is_plain) {
        return Err(Errors::single(
            format!("{word:?} is not the name of a profile"),
            Some("`dupr profiles` lists those there are".to_owned()),
        ));
    }
    let mut hits = dirs
        .iter()
        .flat_map(|dir| candidates(dir, word))
        .filter(|p| p.is_file());
    match hits.next() {
        Some(path) => Ok(Found {
            name: word.to_owned(),
            path,
            hidden: hits.collect(),
            target: None,
        }),
        None => {
            if let Some((base, target)) = of_target(word)
                && let Ok(found) = find(base, dirs)
            {
                return Ok(Found {
                    target: Some(target.to_owned()),
                    ..found
                });
            }
            let all = list(dirs);
            let help = match nearest(word, all.iter().map(|f| f.name.as_str())) {
                Some(near) => format!("did you mean {near}?"),
                None => {
                    let dirs: Vec<String> = dirs.iter().map(|d| d.display().to_string()).collect();
                    let other = match all.is_empty() {
                        true => format!("`dupr init {word}` makes it"),
                        false => "`dupr profiles` lists those there are".to_owned(),
                    };
                    format!(
                        "looked for {word}.toml and {word}/profile.toml in {}; {other}",
                        dirs.join(", ")
                    )
                }
            };
            Err(Errors::single(
                format!("there is no profile {word:?}"),
                Some(help),
            ))
        }
    }
}

/// Name and target of `NAME@TARGET`.
fn of_target(word: &str) -> Option<(&str, &str)> {
    word.rsplit_once('@')
        .filter(|(base, target)| !base.is_empty() && !target.is_empty())
}

/// All profiles that can be called by name, by name. `groups.toml` is none.
pub fn list(dirs: &[PathBuf]) -> Vec<Found> {
    let mut all: BTreeMap<String, Found> = BTreeMap::new();
    for dir in dirs {
        let Ok(entries) = std::fs::read_dir(dir) else {
            continue;
        };
        let mut names: Vec<String> = entries
            .filter_map(|e| e.ok()?.file_name().into_string().ok())
            .map(|n| n.strip_suffix(".toml").map(str::to_owned).unwrap_or(n))
            .filter(|n| !n.starts_with('.') && n != "groups")
            .collect();
        names.sort();
        names.dedup();
        for name in names {
            for path in candidates(dir, &name).into_iter().filter(|p| p.is_file()) {
                match all.get_mut(&name) {
                    Some(first) => first.hidden.push(path),
                    None => {
                        all.insert(
                            name.clone(),
                            Found {
                                name: name.clone(),
                                path,
                                hidden: Vec::new(),
                                target: None,
                            },
                        );
                    }
                }
            }
        }
    }
    all.into_values().collect()
}

fn candidates(dir: &Path, name: &str) -> [PathBuf; 2] {
    [
        dir.join(format!("{name}.toml")),
        dir.join(name).join("profile.toml"),
    ]
}

/// The name a file gives its profile: `NAME.toml` or `NAME/profile.toml`.
pub fn name_of(path: &Path) -> String {
    let stem = path
        .file_stem()
        .map(|s| s.to_string_lossy().into_owned())
        .unwrap_or_default();
    if stem != "profile" {
        return stem;
    }
    let parent = std::path::absolute(path)
        .ok()
        .and_then(|p| p.parent().and_then(Path::file_name).map(ToOwned::to_owned));
    parent.map_or(stem, |name| name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dirs() -> (tempfile::TempDir, Vec<PathBuf>) {
        let root = tempfile::tempdir().unwrap();
        let dirs = vec![
            root.path().join("user"),
            root.path().join("etc"),
            root.path().join("absent"),
        ];
        for file in [
            "user/home.toml",
            "user/groups.toml",
            "etc/home/profile.toml",
            "etc/www/profile.toml",
        ] {
            let path = root.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        (root, dirs)
    }

    #[test]
    fn the_first_directory_wins_and_the_hidden_file_is_told() {
        let (root, dirs) = dirs();
        let found = find("home", &dirs).unwrap();
        assert_eq!(found.path, root.path().join("user/home.toml"));
        assert_eq!(found.hidden, [root.path().join("etc/home/profile.toml")]);
        assert_eq!(
            find("www", &dirs).unwrap().path,
            root.path().join("etc/www/profile.toml")
        );
        let names: Vec<String> = list(&dirs).into_iter().map(|f| f.name).collect();
        assert_eq!(names, ["home", "www"]);
    }

    #[test]
    fn a_path_is_taken_as_it_is() {
        let (root, dirs) = dirs();
        let dir = root.path().join("etc/www");
        let found = find(dir.to_str().unwrap(), &dirs).unwrap();
        assert_eq!(
            (found.name.as_str(), found.path),
            ("www", dir.join("profile.toml"))
        );
    }

    #[test]
    fn a_mistyped_name_gets_the_nearest() {
        let (_root, dirs) = dirs();
        let text = find("hom", &dirs).unwrap_err().to_string();
        assert_eq!(text, "there is no profile \"hom\" (did you mean home?)");
        let usb = find("home@usb", &dirs).unwrap();
        assert_eq!(
            (usb.name.as_str(), usb.target.as_deref()),
            ("home", Some("usb"))
        );
        assert!(find("hom@usb", &dirs).is_err() && find("home@", &dirs).is_err());
        assert!(find("../x.toml", &dirs).is_err());
        assert!(find("", &dirs).is_err());
    }
}
