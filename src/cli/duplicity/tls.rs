//! `--ssl-…` and `--webdav-headers`: whom to trust behind HTTPS and FTPS, and what to say besides.

use super::args::Args;
use super::fault::{Fault, Result};
use super::log::Log;
use super::session::World;
use crate::engine::storage::{FtpSecurity, Place, StorageOptions};
use std::path::{Path, PathBuf};

/// Adds whom to trust to the options of a target, if it speaks TLS.
///
/// # Errors
/// An option is not UTF-8.
pub fn trust(
    args: &Args,
    place: &Place,
    world: &World,
    log: &Log,
    options: &mut StorageOptions,
) -> Result<()> {
    // COMPAT(dup all): for WebDAV and what lftp does, a file at one of three places is taken if none is named.
    let (speaks_tls, looks_around) = match place {
        Place::S3 { .. }
        | Place::Gs { .. }
        | Place::B2 { .. }
        | Place::Azure { .. }
        | Place::Swift { .. }
        | Place::Dropbox { .. }
        | Place::GoogleDrive { .. }
        | Place::OneDrive { .. }
        | Place::Box { .. } => (true, false),
        Place::WebDav { secure, .. } => (*secure, *secure),
        Place::Imap { secure, .. } => (*secure, false),
        Place::Ftp { security, .. } => {
            let secure = *security != FtpSecurity::None;
            (secure, secure)
        }
        // What it is told goes to those of its targets that speak it.
        Place::Multi { .. } => (true, false),
        _ => (false, false),
    };
    if !speaks_tls {
        return Ok(());
    }
    if args.has("ssl-no-check-certificate") {
        log.warn(
            "--ssl-no-check-certificate: nobody checks who answers; a password may go to anybody",
        );
        options
            .settings
            .insert("check-certificate".into(), "false".into());
        return Ok(());
    }
    let file = args.text("ssl-cacert-file")?.map(PathBuf::from);
    let folder = args.text("ssl-cacert-path")?;
    let file = match (file, folder) {
        (None, None) if looks_around => usual_places(world).find(|path| path.is_file()),
        (file, _) => file,
    };
    if let Some(file) = file {
        let file = file
            .to_str()
            .map(str::to_owned)
            .ok_or_else(|| Fault::usage(format!("the path {} is not UTF-8", file.display())))?;
        options.settings.insert("ca-file".into(), file);
    }
    if let Some(folder) = folder {
        options.settings.insert("ca-folder".into(), folder.into());
    }
    Ok(())
}

/// Where certificates lie that are trusted without being named.
fn usual_places(world: &World) -> impl Iterator<Item = PathBuf> {
    let home = world.var("HOME").map(PathBuf::from);
    let at_home = [".duplicity/cacert.pem", "duplicity_cacert.pem"];
    let of_user = home
        .into_iter()
        .flat_map(move |home| at_home.map(|name| home.join(name)));
    of_user.chain([Path::new("/etc/duplicity/cacert.pem").into()])
}

/// `name,value,name,value` as lines of headers. A piece with a comma stands in double quotes, as in tables.
///
/// # Errors
/// A name without a value.
pub fn headers(text: &str) -> Result<String> {
    let pieces = pieces(text);
    let mut lines = String::new();
    for pair in pieces.chunks(2) {
        let [name, value] = pair else {
            return Err(Fault::usage(
                "--webdav-headers has a name without a value: write name,value,name,value",
            ));
        };
        lines.push_str(&format!("{name}: {value}\n"));
    }
    Ok(lines)
}

fn pieces(text: &str) -> Vec<String> {
    let (mut pieces, mut piece) = (Vec::new(), String::new());
    let mut chars = text.chars().peekable();
    let mut quoted = false;
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.next_if_eq(&'"').is_none() => quoted = false,
            '"' if !quoted && piece.is_empty() => quoted = true,
            ',' if !quoted => pieces.push(std::mem::take(&mut piece)),
            c => piece.push(c),
        }
    }
    pieces.push(piece);
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_pairs() {
        let lines = |text| headers(text).unwrap();
        assert_eq!(lines("X-A,1"), "X-A: 1\n");
        assert_eq!(
            lines("X-A,1,Cookie,\"a=b, c=\"\"d\"\"\""),
            "X-A: 1\nCookie: a=b, c=\"d\"\n"
        );
        assert_eq!(headers("X-A").unwrap_err().code, 23);
        assert_eq!(headers("X-A,1,X-B").unwrap_err().code, 23);
    }
}
