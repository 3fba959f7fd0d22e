//! Every service that has a server, behind a port that can be another one: the line to it can be harmed.

mod further;
mod readers;

pub use further::{
    local_services, secure_ftp, secure_services, stand_ins, tool_services, web_services_of_users,
};
pub use readers::{Reader, packages, reader};

use crate::servers::{
    Azurite, BoxAccount, Dav, Dovecot, Dropbox, Ftpd, GoogleDrive, GoogleStorage, OneDrive, Rsyncd,
    S3, Sshd, Swift,
};
use crate::storage_contract::opened;
use dupr::engine::storage::{Storage, StorageOptions};
use std::any::Any;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// A service behind a port of 127.0.0.1, and how it is reached through another port.
pub struct Service {
    /// Its scheme, and what distinguishes it from others of that.
    pub name: &'static str,
    /// Where its server listens, on 127.0.0.1.
    pub port: u16,
    /// How an upload can be kept on its way.
    pub hold: Hold,
    way: Box<dyn Fn(u16) -> Way + Send + Sync>,
    /// What runs as long as it is needed.
    _server: Arc<dyn Any + Send + Sync>,
}

/// How an upload can be kept on its way.
pub enum Hold {
    /// By the line: all bytes pass through the port.
    Line,
    /// By a rate: the bytes go through other ports, which nobody can read.
    Rate,
    /// By the stand-in for its program, whose home this is.
    Program(PathBuf),
}

/// How a target is named and opened.
pub struct Way {
    pub url: String,
    pub variables: Vec<(&'static str, String)>,
    pub settings: Vec<(&'static str, String)>,
}

impl Service {
    /// How it is reached through this port, `url` with another last folder.
    pub fn way(&self, port: u16, folder: &str) -> Way {
        let mut way = (self.way)(port);
        way.url = format!("{}{folder}", way.url);
        way
    }

    /// The target with this last folder, through this port.
    pub fn open(&self, port: u16, folder: &str, mut options: StorageOptions) -> Box<dyn Storage> {
        let way = self.way(port, folder);
        options.environment = way.variables.iter().cloned().collect();
        if way.variables.iter().all(|(name, _)| *name != "PATH") {
            let path = std::env::var("PATH").unwrap_or_default();
            options.environment.set("PATH", path);
        }
        let settings = way.settings.iter();
        options.settings = settings.map(|(k, v)| (k.to_string(), v.clone())).collect();
        opened(&way.url, &options)
    }
}

/// Tries often, and soon again.
pub fn patient() -> StorageOptions {
    StorageOptions {
        backoff: Duration::from_millis(50),
        attempts: 8,
        ..StorageOptions::default()
    }
}

fn service<S: Any + Send + Sync>(
    name: &'static str,
    port: u16,
    server: S,
    way: impl Fn(u16) -> Way + Send + Sync + 'static,
) -> Service {
    Service {
        name,
        port,
        hold: Hold::Line,
        way: Box::new(way),
        _server: Arc::new(server),
    }
}

fn way(
    url: String,
    variables: &[(&'static str, &str)],
    settings: &[(&'static str, String)],
) -> Way {
    Way {
        url,
        variables: variables.iter().map(|(k, v)| (*k, v.to_string())).collect(),
        settings: settings.to_vec(),
    }
}

/// All that speak HTTP.
pub fn web_services() -> Vec<Service> {
    only_named(all_web(1000))
}

/// With vendors whose access tokens hold for so many requests.
fn all_web(uses: u64) -> Vec<Service> {
    let mut all = Vec::new();
    let server = Dav::start();
    all.push(service("webdav", server.port, server, |port| {
        way(
            format!("webdav://ada@127.0.0.1:{port}/"),
            &[("BACKEND_PASSWORD", "p@ss:w")],
            &[],
        )
    }));
    let server = Azurite::start();
    let (own, keys) = (server.port, server.connection_string());
    all.push(service("azure", own, server, move |port| {
        let keys = keys.replace(&format!(":{own}/"), &format!(":{port}/"));
        way(
            "azure://container/".into(),
            &[("AZURE_CONNECTION_STRING", &keys)],
            &[],
        )
    }));
    let server = Dropbox::start(8 << 20, uses);
    all.push(service("dpbx", server.port, server, |port| {
        way(
            "dpbx:///".into(),
            &[
                ("DPBX_REFRESH_TOKEN", "refresh"),
                ("DPBX_APP_KEY", "app"),
                ("DPBX_APP_SECRET", "secret"),
            ],
            &[
                ("endpoint", format!("http://127.0.0.1:{port}")),
                ("part-mb", "8".into()),
            ],
        )
    }));
    let server = GoogleDrive::start(uses);
    let file = server.service_file();
    all.push(service("gdrive", server.port, server, move |port| {
        way(
            format!("gdrive://{}/", GoogleDrive::ACCOUNT),
            &[("GOOGLE_SERVICE_JSON_FILE", &file)],
            &[
                ("endpoint", format!("http://127.0.0.1:{port}")),
                ("part-mb", "8".into()),
            ],
        )
    }));
    let server = GoogleStorage::start(uses);
    let file = server.key_file(false);
    let name = "gs with an account";
    all.push(service(name, server.port, server, move |port| {
        way(
            "gs://bucket/".into(),
            &[("GOOGLE_APPLICATION_CREDENTIALS", &file)],
            &[("endpoint", format!("http://127.0.0.1:{port}"))],
        )
    }));
    let server = OneDrive::start(uses);
    let file = server.token_file();
    all.push(service("onedrive", server.port, server, move |port| {
        way(
            "onedrive://".into(),
            &[
                ("DUPLICITY_ONEDRIVE_TOKEN", &file),
                ("DUPLICITY_ONEDRIVE_CLIENT_ID", "client"),
            ],
            &[
                ("endpoint", format!("http://127.0.0.1:{port}")),
                ("part-mb", "8".into()),
            ],
        )
    }));
    let server = BoxAccount::start(uses);
    let file = server.config("box.json", |config| config);
    all.push(service("box", server.port, server, move |port| {
        way(
            "box:///".into(),
            &[("BOX_CONFIG_PATH", &file)],
            &[("endpoint", format!("http://127.0.0.1:{port}"))],
        )
    }));
    let server = S3::moto();
    let (own, id, secret) = (server.port, server.key_id.clone(), server.secret.clone());
    let server = Arc::new(server);
    for (name, url, variables) in [
        (
            "s3",
            "s3://bucket/",
            ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"],
        ),
        (
            "gs",
            "gs://bucket/g",
            ["GS_ACCESS_KEY_ID", "GS_SECRET_ACCESS_KEY"],
        ),
        (
            "b2",
            "b2://bucket/b",
            ["B2_APPLICATION_KEY_ID", "B2_APPLICATION_KEY"],
        ),
    ] {
        let (id, secret) = (id.clone(), secret.clone());
        all.push(service(name, own, Arc::clone(&server), move |port| {
            let [id_name, secret_name] = variables;
            way(
                url.into(),
                &[(id_name, &id), (secret_name, &secret)],
                &[
                    ("endpoint", format!("http://127.0.0.1:{port}")),
                    ("region", "us-east-1".into()),
                ],
            )
        }));
    }
    if let Some(server) = Swift::start() {
        let (own, variables) = (server.port, server.variables());
        all.push(service("swift", own, server, move |port| {
            let moved = |text: &str| text.replace(&format!(":{own}"), &format!(":{port}"));
            Way {
                url: "swift://container/".into(),
                variables: variables.iter().map(|(k, v)| (*k, moved(v))).collect(),
                settings: vec![("segment-mb", "8".into())],
            }
        }));
    }
    let server = Dav::start();
    let obscured = Command::new("rclone").args(["obscure", "p@ss:w"]).output();
    let obscured = obscured.expect("rclone; run tests/setup").stdout;
    let obscured = String::from_utf8(obscured)
        .expect("text")
        .trim()
        .to_string();
    all.push(service("rclone", server.port, server, move |port| {
        way(
            "rclone://net:/".into(),
            &[
                ("RCLONE_CONFIG", "/dev/null"),
                ("RCLONE_CONFIG_NET_TYPE", "webdav"),
                ("RCLONE_CONFIG_NET_URL", &format!("http://127.0.0.1:{port}")),
                ("RCLONE_CONFIG_NET_VENDOR", "other"),
                ("RCLONE_CONFIG_NET_USER", "ada"),
                ("RCLONE_CONFIG_NET_PASS", &obscured),
            ],
            &[],
        )
    }));
    all
}

/// All that speak something else.
pub fn other_services() -> Vec<Service> {
    let mut all = Vec::new();
    let server = Ftpd::start();
    all.push(service("ftp", server.port, server, |port| {
        way(
            format!("ftp://ada@127.0.0.1:{port}/"),
            &[("FTP_PASSWORD", "p@ss:w")],
            &[],
        )
    }));
    let server = Dovecot::start();
    all.push(service("imap", server.port, server, |port| {
        way(
            format!("imap://ada@127.0.0.1:{port}/"),
            &[("IMAP_PASSWORD", "p@ss:w")],
            &[],
        )
    }));
    let server = Rsyncd::start();
    all.push(service("rsync", server.port, server, |port| {
        way(
            format!("rsync://ada@127.0.0.1:{port}::store/"),
            &[("RSYNC_PASSWORD", "pw")],
            &[],
        )
    }));
    let server = Arc::new(Sshd::start());
    for name in ["sftp", "rsync through ssh"] {
        let (words, files) = (server.ssh_options("userkey"), server.files());
        let scheme = name.split(' ').next().unwrap_or_default();
        let server = Arc::clone(&server);
        let own = server.port();
        let below = name.replace(' ', "-");
        all.push(service(name, own, server, move |port| {
            let place = files.join(&below);
            way(
                format!("{scheme}://127.0.0.1:{port}/{}/", place.display()),
                &[],
                &[("ssh-options", words.clone())],
            )
        }));
    }
    let server = Sshd::with("MaxSessions 100\nSetEnv HOME=/nonexistent");
    let (words, files) = (server.ssh_options("userkey"), server.files());
    all.push(service(
        "sftp by commands",
        server.port(),
        server,
        move |port| {
            way(
                format!("sftp://127.0.0.1:{port}/{}/", files.display()),
                &[],
                &[("ssh-options", words.clone())],
            )
        },
    ));
    all
}

/// All of them; of those that `DUPR_TEST_SERVICES` names, if it is set.
pub fn services() -> Vec<Service> {
    let mut all = all_web(1000);
    all.extend(other_services());
    only_named(all)
}

/// Of these those that `DUPR_TEST_SERVICES` names, if it is set.
pub fn only_named(mut all: Vec<Service>) -> Vec<Service> {
    let named = std::env::var("DUPR_TEST_SERVICES").unwrap_or_default();
    all.retain(|service| named.is_empty() || named.split(',').any(|name| name == service.name));
    all
}

/// Whether some services are left out: others were asked for, or programs could not be installed.
pub fn some_are_left_out() -> bool {
    ["DUPR_TEST_SERVICES", "DUPR_TEST_SKIP"]
        .iter()
        .any(|name| std::env::var(name).is_ok_and(|value| !value.trim().is_empty()))
}

/// How docs/targets.md calls the scheme of a service.
pub fn scheme_of(name: &str) -> String {
    let first = name.split(' ').next().unwrap_or_default();
    match first.split_once('+') {
        Some((before, _)) => format!("`{before}+`"),
        None => format!("`{first}`"),
    }
}

/// Does the same to all of them, each on a thread; a failure names its service.
pub fn each(services: &[Service], test: impl Fn(&Service) + Sync) {
    let failed: Vec<&str> = thread::scope(|scope| {
        let threads: Vec<_> = services
            .iter()
            .map(|service| {
                let test = &test;
                let name = service.name;
                (name, scope.spawn(move || test(service)))
            })
            .collect();
        let ended = threads.into_iter().map(|(name, it)| (name, it.join()));
        ended
            .filter_map(|(name, end)| end.is_err().then_some(name))
            .collect()
    });
    assert!(failed.is_empty(), "{failed:?}");
}
