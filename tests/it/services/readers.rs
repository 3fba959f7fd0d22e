//! How duplicity 3.2.1 is led to the servers of the tests, where its modules can be.

use super::{Service, Way};
use crate::support::programs::find;
use std::path::{Path, PathBuf};

/// A target in duplicity's words.
pub struct Reader {
    pub url: String,
    pub words: Vec<String>,
    pub variables: Vec<(&'static str, String)>,
    /// Folders of Python's that come before its own.
    pub python: Vec<PathBuf>,
}

/// How it reaches this service with this last folder. `None` where it cannot: its module insists on the vendor's own server,
/// wants a login that is made at a screen, or is gone.
pub fn reader(service: &Service, folder: &str) -> Option<Reader> {
    let Way {
        url,
        mut variables,
        settings,
    } = service.way(service.port, folder);
    let setting = |name: &str| {
        let found = settings.iter().find(|(known, _)| *known == name);
        found.map_or_else(|| panic!("no {name}"), |(_, value)| value.clone())
    };
    let mut words = Vec::new();
    let mut python = Vec::new();
    match service.name {
        "ftp" => {
            find("lftp")?;
        }
        "ftpes" | "ftps" => {
            find("lftp")?;
            words = vec!["--ssl-cacert-file".into(), setting("ca-file")];
        }
        "imap" | "imaps" => {
            // Its module speaks no IMAP without help, and it finds no other port than the usual one.
            let help = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/imap");
            python.push(help);
            variables.push(("DUPR_TEST_IMAP_PORT", service.port.to_string()));
        }
        "azure" => python = packages("azure")?,
        "swift" => {
            python = packages("swift")?;
            // A part of its library asks for these besides.
            for (name, own) in [
                ("ST_USER", "SWIFT_USERNAME"),
                ("ST_KEY", "SWIFT_PASSWORD"),
                ("ST_AUTH", "SWIFT_AUTHURL"),
            ] {
                let found = variables.iter().find(|(known, _)| *known == own);
                let value = found.map(|(_, value)| value.clone()).expect(own);
                variables.push((name, value));
            }
        }
        "sftp" => {
            python = packages("paramiko")?;
            let way = setting("ssh-options").replace("/known_hosts", "/known_hosts_by_port");
            words.push(format!("--ssh-options={way}"));
        }
        "rsync through ssh" => {
            words.push(format!("--ssh-options={}", setting("ssh-options")));
        }
        "file" | "multi" | "multi by turns" | "webdav" | "rsync" | "rclone" => {}
        "par2+file" => {
            find("par2")?;
        }
        "webdavs" => words = vec!["--ssl-cacert-file".into(), setting("ca-file")],
        "s3" => {
            python = packages("boto3")?;
            words = vec!["--s3-endpoint-url".into(), setting("endpoint")];
            words.extend(["--s3-region-name".into(), setting("region")]);
        }
        "tahoe" => {
            find("tahoe")?;
        }
        "gio+smb" => python = packages("gi")?,
        _ => return None,
    }
    Some(Reader {
        url,
        words,
        variables,
        python,
    })
}

/// What `tests/setup` has installed for one of its modules; `None`, said aloud, if it could not.
pub fn packages(name: &str) -> Option<Vec<PathBuf>> {
    let python = find(&format!("{name}-packages"))?;
    let text = std::fs::read_to_string(python).expect("the path of packages");
    Some(vec![PathBuf::from(text.trim())])
}
