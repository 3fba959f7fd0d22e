//! `gio+…://`, as Déjà Dup writes its places: the same place by a scheme of dupr's own.
//!
//! Paths of GNOME's URLs begin at the root of a server; those of duplicity's begin where a login leads.

/// The URL that is meant, if it begins with `gio+` and is of a kind that is built.
// COMPAT(dup 2): the prefix takes the place of the option --gio.
pub(super) fn meant(text: &str) -> Option<String> {
    let gio = text
        .get(..4)
        .filter(|head| head.eq_ignore_ascii_case("gio+"))?;
    let (scheme, rest) = text.get(gio.len()..)?.split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    let from_root = |scheme: &str| {
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let path = path.trim_start_matches('/');
        format!("{scheme}://{host}//{path}")
    };
    match scheme.as_str() {
        "file" => Some(format!("file://{rest}")),
        "sftp" | "ssh" => Some(from_root("sftp")),
        "ftp" => Some(from_root("ftp")),
        "ftps" => Some(from_root("ftpes")),
        "dav" | "http" => Some(format!("webdav://{rest}")),
        "davs" | "https" => Some(format!("webdavs://{rest}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_gnome_have_names_here() {
        for (text, found) in [
            ("gio+file:///a%20b", "file:///a%20b"),
            ("gio+sftp://me@h:22/srv/x", "sftp://me@h:22//srv/x"),
            ("GIO+SSH://h", "sftp://h//"),
            ("gio+ftps://h/x", "ftpes://h//x"),
            ("gio+davs://me@h/dav/x", "webdavs://me@h/dav/x"),
        ] {
            assert_eq!(meant(text).as_deref(), Some(found), "{text}");
        }
        for text in [
            "gio+smb://h/share",
            "gio+google-drive://me",
            "file:///x",
            "gio+",
            "gio",
        ] {
            assert_eq!(meant(text), None, "{text}");
        }
    }
}
