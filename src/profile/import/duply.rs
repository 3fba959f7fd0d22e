//! Import of a duply profile directory: `conf`, `exclude`, `pre`, `post` become a folder with `profile.toml`.
//!
//! `conf` is a shell script, so bash reads it, in an empty environment, and tells the variables. Nothing is guessed
//! in silence: what has no counterpart becomes a comment and a warning. Name and place of the archive dir are
//! kept, so that the next backup goes on where duply stopped.

use super::params::Params;
use super::{Imported, ImportedFile};
use crate::profile::error::Errors;
use crate::profile::load::Surroundings;
use crate::profile::secret::capture;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;
use translate::Import;

mod keys;
mod translate;

/// Longest a `conf` may run.
const CONF_TIMEOUT: Duration = Duration::from_secs(30);

/// Reads `$1` and prints its variables as NUL-terminated triples: name, `x` if exported, value; then, after `=`, the
/// words of `DUPL_PARAMS`.
const READER: &str = r#"exec 3>&1 >/dev/null
before=" $(compgen -v | tr '\n' ' ') "
. "$1" || exit 3
exported=" $(compgen -e | tr '\n' ' ') "
for __v in $(compgen -v); do
  case "$before" in *" $__v "*) case "$__v" in DUPL_PARAMS) ;; *) continue ;; esac ;; esac
  case "$__v" in __v|before|exported|BASH_*|PIPESTATUS|FUNCNAME|_) continue ;; esac
  case "$exported" in *" $__v "*) __x=x ;; *) __x= ;; esac
  printf '%s\0%s\0%s\0' "$__v" "$__x" "${!__v}" >&3
done
printf '=\0' >&3
eval "set -- $DUPL_PARAMS"
for __w in "$@"; do printf '%s\0' "$__w" >&3; done
"#;

/// Translates the duply profile in `dir`; the folder `NAME` will be made in `dest`.
///
/// Runs `conf` in bash, which is what duply does with it; changes nothing.
///
/// # Errors
/// No such profile, a `conf` bash does not get through, or one that was never filled in.
pub fn import(
    dir: &Path,
    dest: &Path,
    around: &Surroundings,
) -> std::result::Result<Imported, Errors> {
    let dir = around.current_dir.join(dir);
    let name = dir
        .file_name()
        .map(|n| n.to_string_lossy().into_owned())
        .unwrap_or_default();
    let conf = dir.join("conf");
    if !conf.is_file() {
        return Err(Errors::single(
            format!("{} is no duply profile: it has no conf", dir.display()),
            Some("name its folder, or a profile that `duply` knows".to_owned()),
        ));
    }
    let (variables, words) = read_conf(&conf, &name, &dir, around)?;
    let mut import = Import {
        name: name.clone(),
        folder: dest.join(&name),
        around,
        variables,
        used: BTreeSet::new(),
        params: Params::default(),
        files: Vec::new(),
        warnings: Vec::new(),
    };
    import.params = Params::parse(&words);
    let toml = import.translate(&dir)?;
    Ok(Imported {
        name,
        toml,
        files: import.files,
        warnings: import.warnings,
    })
}

/// A variable of `conf`: its value, and whether it is exported.
type Variables = BTreeMap<String, (String, bool)>;

fn read_conf(
    conf: &Path,
    name: &str,
    dir: &Path,
    around: &Surroundings,
) -> std::result::Result<(Variables, Vec<String>), Errors> {
    let mut env = BTreeMap::from([
        ("HOME".to_owned(), around.home.display().to_string()),
        (
            "PATH".to_owned(),
            around
                .env
                .get("PATH")
                .cloned()
                .unwrap_or_else(|| "/usr/bin:/bin".to_owned()),
        ),
        ("PROFILE".to_owned(), name.to_owned()),
        ("CONFDIR".to_owned(), dir.display().to_string()),
        ("DUPL_PARAMS".to_owned(), String::new()),
    ]);
    env.extend(
        around
            .env
            .get("USER")
            .map(|u| ("USER".to_owned(), u.clone())),
    );
    let argv = ["bash", "--norc", "--noprofile", "-c", READER, "bash"].map(str::to_owned);
    let argv: Vec<String> = argv
        .into_iter()
        .chain([conf.display().to_string()])
        .collect();
    let bytes = capture(&argv, &env, CONF_TIMEOUT).map_err(|what| {
        Errors::single(
            format!("bash does not get through {}: {what}", conf.display()),
            Some("mend that file first; nothing was written".to_owned()),
        )
    })?;
    let mut fields = bytes
        .split(|b| *b == 0)
        .map(|f| String::from_utf8_lossy(f).into_owned());
    let mut variables = Variables::new();
    loop {
        let Some(name) = fields.next() else {
            return Err(Errors::single(
                format!("{} ends its shell before its end", conf.display()),
                Some("take `exit` out of that file first; nothing was written".to_owned()),
            ));
        };
        if name == "=" {
            break;
        }
        let (exported, value) = (
            fields.next().unwrap_or_default(),
            fields.next().unwrap_or_default(),
        );
        variables.insert(name, (value, exported == "x"));
    }
    let mut words: Vec<String> = fields.collect();
    // What follows the last NUL.
    words.pop();
    Ok((variables, words))
}

#[cfg(test)]
mod tests;
