//! Target URLs, by dupr's parser and by the one that all of duplicity's backends get theirs from.
//!
//! What the backends make of the path is their own affair: [`theirs`] does as they do.

use super::Oracle;
use dupr::engine::storage::{DriveRoot, Place, Server, TargetUrl};
use serde_json::{Value, json};

/// URLs with one meaning for both, or with none.
#[rustfmt::skip]
const SAME: &[&str] = &[
    "file:///abs/dir", "file://rel/dir", "file:////abs//d", "FILE:///x/", "file:///a%20b", "file:///a%2Fb?c#d", "file:///a;b", "file:x", "file:/x", "file:",
    "s3://bucket/pre", "s3:///bucket/pre", "s3://bucket", "boto3+s3://bucket//pre//x/", "s3://bucket/a%20b?c", "s3://Bucket.Name/x", "s3://",
    "gs://bucket/a//b", "azure://container", "swift://con/a//b", "pca:///con/a",
    "b2://id:k%2Fey@bucket/a/", "b2://id@/bucket/a//b",
    "sftp://u@h/rel", "sftp://u:p%40w@H:2222//abs/x", "sftp://u%40d@h", "sftp://h/", "sftp://h/a;b", "sftp://h/a%3Bb", "sftp://h/a;b/c", "sftp://h:0/a",
    "sftp://h:/a", "sftp://h:99999/a", "sftp://h:x/a", "sftp:///a", "sftp://[::1]/a", "sftp://[::1]:22//a", "sftp://[::1/a", "sftp://u:p:w@h/a",
    "sftp://u:p@w@h/a", "sftp://:p@h/a", "sftp://u:@h/a", "sftp://@h/a", "sftp://h/a?b#c", "sftp://h?b", "SFTP://U@h/A", "scp://h//a/", "pexpect+scp://u@h/a",
    "paramiko+sftp://h//a", "lftp+sftp://u@h:1/a", "fish://u@h:22/rel/x", "fish://h//abs", "lftp+fish://u@h/rel", "lftp+fish://h//abs/x",
    "ftp://u:p@h/a/b/", "ftps://h//abs", "ftpes://h:2121/a", "lftp+ftp://h/x", "ncftp+ftp://u@h/x%25y", "ftp:///x",
    "webdav://u:p@h/a//b/", "webdavs://h", "https://h:8443/a%20b", "lftp+webdav://h//a", "webdav://u:a%3Ab@h/x",
    "imap://u%40d:p@H/a", "imaps://u@h:9993/a/b",
    "rsync://h::mod/dir", "rsync://u:p@h::/mod/dir/", "rsync://h:8873::mod/x", "rsync://h//abs", "rsync://u@h:22/rel", "rsync://[::1]::mod/a", "rsync://h/a%20b",
    "rclone://remote:/dir", "rclone://remote:dir/a%20b/", "rclone://remote://dir", "rclone://remote:a:/b", "rclone://my remote:",
    "multi:///p/c.json?mode=mirror&onfail=abort", "multi:///p/c.json?mode=&subpath=/a%20b+c", "multi://rel/c.json",
    "dpbx:///a%20b", "onedrive://a/b%20c/", "onedrive:///a", "box:///a/b?config=/etc/x+y", "box://a",
    "gdrive://a@b.c/x//y?driveID=1", "gdrive://id/x?myDriveFolderID=1z", "pydrive://a@b/x%20y", "gdocs://h/x?myDriveFolderID=root",
    "mega://u%40d:p@mega.nz/f/g", "megav2://u@h/f", "megav3://u@h/f?no_logout=1", "tahoe://alias/d/e", "tahoe://alias", "hsi://u@h/d/e",
    "par2+sftp://u:p@h:22//x", "par2+file:///a%20b", "par2+s3://bucket/x",
];

/// URLs that are read in another way on purpose, and what is made of them here: docs/duplicity.md says why.
const OTHERWISE: &[(&str, Option<&str>)] = &[
    // Of 0.8 and before.
    ("s3://h:9000/bucket/x", Some("h:9000 bucket/x/")),
    ("s3://s3.amazonaws.com/b", Some("s3.amazonaws.com b/")),
    // Keys stand in variables.
    ("s3://u:p@bucket/x", None),
    // duplicity takes the bucket for the key.
    ("b2://bucket/a", Some("bucket/a/")),
    // The root of the server there.
    ("ftp://h", Some("h .")),
    ("ftp://h/", Some("h .")),
    // Escapes in modules of rsync stay as they are there.
    ("rsync://h::mod/a%20b", Some("h ::mod/a b")),
    // Names that could be options of programs.
    ("sftp://-oProxyCommand=x/a", None),
    ("sftp://-u@h/a", None),
    ("sftp://h h/a", None),
    // What could not be addressed.
    ("file:///a%00b", None),
    ("sftp://h/a\tb", None),
];

/// What a URL says, in one line: user, password, server, place.
fn ours(url: &TargetUrl) -> String {
    let password = url.password().and_then(|p| p.expose_str());
    let on = |server: &Server, place: String| {
        let host = server.host_of_url();
        line(server.user.as_deref(), password, &host, server.port, &place)
    };
    let alone = |place: String| line(None, password, "", None, &place);
    match url.plain().place() {
        Place::Local { dir } => alone(trimmed(&dir.display().to_string())),
        Place::S3 {
            server,
            bucket,
            prefix,
        } => {
            let place = format!("{bucket}/{prefix}");
            match server {
                Some(server) => on(server, place),
                None => alone(place),
            }
        }
        Place::Gs { bucket, prefix } => alone(format!("{bucket}/{prefix}")),
        Place::B2 {
            key_id,
            bucket,
            prefix,
        } => {
            let place = format!("{bucket}/{prefix}");
            line(key_id.as_deref(), password, "", None, &place)
        }
        Place::Azure { container, prefix } => alone(format!("{container}/{prefix}")),
        Place::Swift {
            container, prefix, ..
        } => alone(format!("{container}/{prefix}")),
        Place::Sftp { server, dir } => on(server, dir.display().to_string()),
        Place::Ftp { server, dir, .. } => on(server, dir.clone()),
        Place::WebDav { server, path, .. } => on(server, path.clone()),
        Place::Imap { server, folder, .. } => on(server, folder.clone()),
        Place::Rsync {
            server,
            daemon,
            dir,
        } => {
            let colons = if *daemon { "::" } else { "" };
            on(server, format!("{colons}{}", trimmed(dir)))
        }
        Place::Rclone { root } => alone(root.clone()),
        Place::Multi {
            list,
            spread,
            on_fail,
            subpath,
        } => alone(format!(
            "{} {spread:?} {on_fail:?} {subpath}",
            list.display()
        )),
        Place::Dropbox { folder } => alone(folder.trim_start_matches('/').to_string()),
        Place::OneDrive { folder } => alone(folder.clone()),
        Place::Box { folder, config } => {
            alone(format!("{folder} {}", config.as_deref().unwrap_or("")))
        }
        Place::GoogleDrive {
            account,
            root,
            folder,
        } => {
            let root = match root {
                DriveRoot::Own => "root".to_string(),
                DriveRoot::Folder(id) => id.clone(),
                DriveRoot::Shared(id) => format!("shared {id}"),
            };
            alone(format!("{} {root} {folder}", account.id))
        }
        Place::Mega { user, folder, .. } => line(user.as_deref(), password, "", None, folder),
        Place::Tahoe { alias, dir } => alone(format!("{alias}/{dir}")),
        Place::Hsi { dir } => alone(dir.clone()),
        other => panic!("{other:?}"),
    }
}

/// The same of duplicity's parser, with the path as the backend of the scheme takes it.
fn theirs(url: &Value) -> String {
    let field = |name: &str| url[name].as_str();
    let (scheme, path) = (
        field("scheme").expect("a scheme"),
        field("path").expect("a path"),
    );
    let query = |name: &str| url["query"][name][0].as_str();
    let (user, password) = (field("username"), field("password"));
    let host = match field("hostname") {
        Some(host) if host.contains(':') => format!("[{host}]"),
        host => host.unwrap_or_default().to_string(),
    };
    // A port of 0 is none for all of them.
    let number = url["port"].as_u64().filter(|port| *port != 0);
    let port = number.and_then(|port| u16::try_from(port).ok());
    let on = |place: &str| line(user, password, &host, port, place);
    let alone = |place: &str| line(None, password, "", None, place);
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let (joined, slashed) = (parts.join("/"), format!("{}/", parts.join("/")));
    let below = path.strip_prefix('/').unwrap_or(path);
    let or_home = |path: &str| match path {
        "" => ".".to_string(),
        path => path.to_string(),
    };
    match scheme {
        "file" => alone(&trimmed(&path[2..])),
        "s3" | "boto3+s3" | "gs" | "azure" | "swift" | "pca" => alone(&slashed),
        "b2" => {
            // The first is the key, whatever stands behind it.
            let parts = path.split(['/', '@']).filter(|part| !part.is_empty());
            let place: String = parts.skip(1).map(|part| format!("{part}/")).collect();
            line(user, password, "", None, &place)
        }
        "webdav" | "webdavs" | "https" | "lftp+webdav" => on(&format!("/{joined}")),
        "imap" | "imaps" => on(below),
        "rsync" => {
            let text = field("url_string").expect("text");
            // The end of the URL, if that begins with two colons and has no other.
            match text.rsplit_once("::").filter(|(_, end)| !end.contains(':')) {
                Some((before, module)) => {
                    let port = before.rsplit_once(':').map(|(_, port)| port);
                    let port = port.and_then(|port| port.parse().ok());
                    let module = format!("::{}", module.trim_start_matches('/'));
                    line(user, password, &host, port, &trimmed(&module))
                }
                None if path.starts_with("//") => on(&trimmed(below)),
                None => on(&or_home(&trimmed(below))),
            }
        }
        "rclone" => alone(path[2..].replacen(":/", ":", 1).trim_end_matches('/')),
        "multi" => {
            let spread = match query("mode") {
                Some("mirror") => "Mirror",
                _ => "Stripe",
            };
            let fails = match query("onfail") {
                Some("abort") => "Abort",
                _ => "Continue",
            };
            let subpath = query("subpath").unwrap_or_default();
            alone(&format!("/{joined} {spread} {fails} {subpath}"))
        }
        "dpbx" | "onedrive" => alone(&joined),
        "box" => alone(&format!("{joined} {}", query("config").unwrap_or_default())),
        "gdrive" | "pydrive" | "gdocs" => {
            let account = match user {
                Some(user) => format!("{user}@{host}"),
                None => host.clone(),
            };
            let shared = query("driveID").map(|id| format!("shared {id}"));
            let root = shared.or(query("myDriveFolderID").map(str::to_string));
            let root = root.unwrap_or("root".to_string());
            alone(&format!("{account} {root} {joined}"))
        }
        "mega" | "megav2" | "megav3" => line(user, password, "", None, &format!("/{joined}")),
        "tahoe" => alone(&slashed),
        "hsi" => alone(path),
        _ if scheme.contains("ftp") && !scheme.contains("sftp") => on(&match below {
            "" => "/".to_string(),
            below => trimmed(below),
        }),
        _ => on(&or_home(below)),
    }
}

fn line(
    user: Option<&str>,
    password: Option<&str>,
    host: &str,
    port: Option<u16>,
    place: &str,
) -> String {
    let mut text = String::new();
    if user.is_some() || password.is_some() {
        let password = password.map(|p| format!(":{p}")).unwrap_or_default();
        text += &format!("{}{password}@", user.unwrap_or_default());
    }
    text += host;
    text += &port.map(|port| format!(":{port}")).unwrap_or_default();
    match text.is_empty() {
        true => place.to_string(),
        false => format!("{text} {place}"),
    }
}

/// Without slashes at the end, unless there is nothing else.
fn trimmed(path: &str) -> String {
    match path.trim_end_matches('/') {
        "" => path.chars().take(1).collect(),
        short => short.to_string(),
    }
}

#[test]
fn urls_are_read_as_duplicity_reads_them() {
    let Some(mut oracle) = Oracle::start() else {
        return;
    };
    let otherwise = OTHERWISE.iter().map(|(url, _)| *url);
    let all: Vec<&str> = SAME.iter().copied().chain(otherwise).collect();
    let answer = oracle.ask(&json!({ "ask": "urls", "urls": all }));
    let answers = answer["urls"].as_array().expect("answers");
    assert_eq!(answers.len(), all.len());
    let mut differences = Vec::new();
    let mut refused = 0;
    for (n, (text, answer)) in all.iter().zip(answers).enumerate() {
        let theirs = (!answer.is_null()).then(|| theirs(answer));
        let ours = TargetUrl::parse(text).ok().map(|url| ours(&url));
        let is_good = match OTHERWISE.get(n.wrapping_sub(SAME.len())) {
            // A difference that has gone is not one any more.
            Some((_, meant)) => ours.as_deref() == *meant && theirs.as_deref() != *meant,
            None => ours == theirs,
        };
        refused += u32::from(theirs.is_none());
        if !is_good {
            differences.push(format!("{text}: here {ours:?}, there {theirs:?}"));
        }
    }
    println!("{} URLs, {refused} of them refused", all.len());
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert!(refused > 5, "duplicity refuses some");
}
