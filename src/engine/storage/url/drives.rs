//! Drives of vendors: whose credentials a URL means, and where its path begins.

use super::{Account, DriveRoot, Place, Server, usage};
use crate::engine::error::Result;

/// A folder of Google Drive.
// COMPAT(dup all): the host, with a user before it, is whose credentials are meant; `pydrive` takes it for an address of an
// account at most. Without one of the parameters all begins at the top, as it did before 3.0.
pub(super) fn google(
    scheme: &str,
    server: &Server,
    query: &[(String, String)],
    path: &str,
) -> Result<Place> {
    let value = |name: &str| {
        let found = query.iter().find(|(found, _)| found == name);
        found
            .map(|(_, value)| value.as_str())
            .filter(|v| !v.is_empty())
    };
    let root = match (value("driveID"), value("myDriveFolderID")) {
        (Some(id), _) => DriveRoot::Shared(id.to_string()),
        (None, Some("root") | None) => DriveRoot::Own,
        (None, Some(id)) => DriveRoot::Folder(id.to_string()),
    };
    if let DriveRoot::Shared(id) | DriveRoot::Folder(id) = &root
        && !id
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    {
        let text = format!("the {scheme}:// URL has an id with odd characters");
        return Err(usage(text).with_hint("take it from the address of the folder in a browser"));
    }
    let id = match &server.user {
        Some(user) => format!("{user}@{}", server.host),
        None => server.host.clone(),
    };
    Ok(Place::GoogleDrive {
        account: Account {
            id,
            is_loose: scheme != "gdrive",
        },
        root,
        folder: folder(path),
    })
}

/// A folder of OneDrive.
// COMPAT(dup all): backups do not lie at the top.
pub(super) fn microsoft(path: &str) -> Result<Place> {
    let folder = folder(path);
    if folder.is_empty() {
        let error = usage("the onedrive:// URL names no folder");
        return Err(error.with_hint("write onedrive://FOLDER"));
    }
    Ok(Place::OneDrive { folder })
}

/// A folder of Box, and perhaps the file with the credentials.
// COMPAT(dup all): backups do not lie at the top.
pub(super) fn boxes(query: &[(String, String)], path: &str) -> Result<Place> {
    let folder = folder(path);
    if folder.is_empty() {
        let error = usage("the box:// URL names no folder");
        return Err(error.with_hint("write box:///FOLDER"));
    }
    let config = query.iter().find(|(name, _)| name == "config");
    Ok(Place::Box {
        folder,
        config: config.map(|(_, path)| path.clone()),
    })
}

/// Components of a path with a slash between them; empty ones do not count.
fn folder(path: &str) -> String {
    let parts = path.split('/').filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join("/")
}
