//! Keys of object stores where duplicity's libraries look for them: variables, `~/.boto`, `~/.aws`.

use super::session::World;
use crate::engine::storage::{Place, StorageOptions};
use std::path::{Path, PathBuf};

/// Adds the keys for a place, if it is one of an object store and the variables do not name them.
pub fn credentials(place: &Place, world: &World, options: &mut StorageOptions) {
    let names = match place {
        Place::S3 { .. } => ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"],
        Place::Gs { .. } => ["GS_ACCESS_KEY_ID", "GS_SECRET_ACCESS_KEY"],
        _ => return,
    };
    if names.iter().all(|name| world.var(name).is_some()) {
        return;
    }
    // COMPAT(dup 0.8): boto is gone, and what `gsutil config -a` wrote for it is still there.
    let files = files(world);
    let texts = files.iter().filter_map(|f| std::fs::read_to_string(f).ok());
    let found = texts.into_iter().find_map(|text| {
        let of = |name: &str| value(&text, &name.to_ascii_lowercase());
        Some((of(names[0])?, of(names[1])?))
    });
    match (found, place) {
        (Some((id, key)), _) => {
            options.environment.set(names[0], id);
            options.environment.set(names[1], key);
        }
        (None, Place::S3 { .. }) => {
            options
                .settings
                .insert("credentials".into(), "chain".into());
        }
        _ => {}
    }
}

fn files(world: &World) -> Vec<PathBuf> {
    let named = world.var("BOTO_CONFIG").map(PathBuf::from);
    let home = world.var("HOME").map(|home| Path::new(home).join(".boto"));
    named
        .into_iter()
        .chain(home)
        .chain([PathBuf::from("/etc/boto.cfg")])
        .collect()
}

/// A value of the section `[Credentials]`.
fn value(text: &str, name: &str) -> Option<String> {
    let mut inside = false;
    for line in text.lines().map(str::trim) {
        if let Some(section) = line.strip_prefix('[') {
            inside = section.trim_end_matches(']') == "Credentials";
        } else if inside
            && let Some((key, value)) = line.split_once(['=', ':'])
            && key.trim().eq_ignore_ascii_case(name)
        {
            return Some(value.trim().to_owned()).filter(|v| !v.is_empty());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_stand_in_their_section() {
        let text = "# gsutil\n[Boto]\ngs_access_key_id = no\n[Credentials]\n#gs_access_key_id = x\n\
                    gs_access_key_id = GOOG1\nGS_secret_access_key: a=b\naws_access_key_id =\n";
        assert_eq!(value(text, "gs_access_key_id").as_deref(), Some("GOOG1"));
        assert_eq!(value(text, "gs_secret_access_key").as_deref(), Some("a=b"));
        assert_eq!(value(text, "aws_access_key_id"), None);
    }
}
