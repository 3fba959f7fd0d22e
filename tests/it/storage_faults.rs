//! The same bad networks in front of every service that speaks HTTP: lines that are cut, peers that are silent, servers that are
//! busy.

use crate::proxy::{Harm, Proxy, Silence};
use crate::servers::{Azurite, BoxAccount, Dav, Dropbox, GoogleDrive, OneDrive, S3, Swift};
use crate::storage_contract::{opened, s3, settings, source};
use crate::storage_troubles::{impatient, must_time_out, survives_cuts};
use dupr::engine::storage::{Storage, StorageOptions};
use std::time::Duration;

/// A service behind a port of 127.0.0.1, and how it is reached through another port.
struct Service {
    name: &'static str,
    port: u16,
    open: Box<dyn Fn(u16, StorageOptions) -> Box<dyn Storage>>,
    /// What runs as long as it is needed.
    _server: Box<dyn std::any::Any>,
}

fn patient() -> StorageOptions {
    StorageOptions {
        backoff: Duration::from_millis(50),
        attempts: 8,
        ..StorageOptions::default()
    }
}

/// Sets variables and settings.
fn with(
    mut options: StorageOptions,
    variables: &[(&'static str, String)],
    pairs: &[(&str, &str)],
) -> StorageOptions {
    options.environment = variables.iter().cloned().collect();
    options.settings = settings(pairs);
    options
}

fn services() -> Vec<Service> {
    let mut all = Vec::new();
    let server = Dav::start();
    all.push(Service {
        name: "webdav",
        port: server.port,
        open: Box::new(|port, options| {
            let url = format!("webdav://ada:p%40ss%3Aw@127.0.0.1:{port}/x");
            opened(&url, &options)
        }),
        _server: Box::new(server),
    });
    let server = Azurite::start();
    let (port, keys) = (server.port, server.connection_string());
    all.push(Service {
        name: "azure",
        port,
        open: Box::new(move |other, options| {
            let keys = keys.replace(&format!(":{port}/"), &format!(":{other}/"));
            let variables = [("AZURE_CONNECTION_STRING", keys)];
            opened("azure://container/x", &with(options, &variables, &[]))
        }),
        _server: Box::new(server),
    });
    let server = Dropbox::start(8 << 20, 1000);
    all.push(Service {
        name: "dpbx",
        port: server.port,
        open: Box::new(|port, options| {
            let endpoint = format!("http://127.0.0.1:{port}");
            let variables = [
                ("DPBX_REFRESH_TOKEN", "refresh".to_string()),
                ("DPBX_APP_KEY", "app".to_string()),
                ("DPBX_APP_SECRET", "secret".to_string()),
            ];
            let pairs = [("endpoint", endpoint.as_str()), ("part-mb", "8")];
            opened("dpbx:///x", &with(options, &variables, &pairs))
        }),
        _server: Box::new(server),
    });
    let server = GoogleDrive::start(1000);
    let file = server.service_file();
    all.push(Service {
        name: "gdrive",
        port: server.port,
        open: Box::new(move |port, options| {
            let endpoint = format!("http://127.0.0.1:{port}");
            let variables = [("GOOGLE_SERVICE_JSON_FILE", file.clone())];
            let pairs = [("endpoint", endpoint.as_str()), ("part-mb", "8")];
            let url = format!("gdrive://{}/x", GoogleDrive::ACCOUNT);
            opened(&url, &with(options, &variables, &pairs))
        }),
        _server: Box::new(server),
    });
    let server = OneDrive::start(1000);
    let file = server.token_file();
    all.push(Service {
        name: "onedrive",
        port: server.port,
        open: Box::new(move |port, options| {
            let endpoint = format!("http://127.0.0.1:{port}");
            let variables = [
                ("DUPLICITY_ONEDRIVE_TOKEN", file.clone()),
                ("DUPLICITY_ONEDRIVE_CLIENT_ID", "client".to_string()),
            ];
            let pairs = [("endpoint", endpoint.as_str()), ("part-mb", "8")];
            opened("onedrive://x", &with(options, &variables, &pairs))
        }),
        _server: Box::new(server),
    });
    let server = BoxAccount::start(1000);
    let file = server.config("box.json", |config| config);
    all.push(Service {
        name: "box",
        port: server.port,
        open: Box::new(move |port, options| {
            let endpoint = format!("http://127.0.0.1:{port}");
            let variables = [("BOX_CONFIG_PATH", file.clone())];
            let pairs = [("endpoint", endpoint.as_str())];
            opened("box:///x", &with(options, &variables, &pairs))
        }),
        _server: Box::new(server),
    });
    let server = S3::moto();
    let (port, keys) = (server.port, s3(&server).environment);
    all.push(Service {
        name: "s3",
        port,
        open: Box::new(move |port, mut options| {
            let endpoint = format!("http://127.0.0.1:{port}");
            options.environment = keys.clone();
            options.settings = settings(&[("endpoint", &endpoint)]);
            opened("s3://bucket/x", &options)
        }),
        _server: Box::new(server),
    });
    if let Some(server) = Swift::start() {
        let variables = server.variables();
        let address = variables.iter().find(|(name, _)| *name == "SWIFT_AUTHURL");
        let address = &address.expect("the address of the login").1;
        let rest = address.rsplit_once(':').expect("a port").1;
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        let port: u16 = digits.parse().expect("a port");
        all.push(Service {
            name: "swift",
            port,
            open: Box::new(move |other, options| {
                let moved = |text: &str| text.replace(&format!(":{port}"), &format!(":{other}"));
                let variables: Vec<_> = variables.iter().map(|(k, v)| (*k, moved(v))).collect();
                opened(
                    "swift://container/x",
                    &with(options, &variables, &[("segment-mb", "8")]),
                )
            }),
            _server: Box::new(server),
        });
    }
    all
}

#[test]
fn every_service_survives_cut_connections() {
    for service in services() {
        // In the first words, in the middle of one part, in the last one. A connection that is kept is not harmed, so each
        // has a proxy of its own.
        for place in [300, 70_000, 5_000_000, 9_300_000] {
            let proxy = Proxy::to(service.port);
            let storage = (service.open)(proxy.port, patient());
            survives_cuts(&*storage, &proxy, &[place]);
            storage.delete(&format!("cut-{place}")).expect(service.name);
            assert!(proxy.passed() > 0, "{}", service.name);
        }
    }
}

#[test]
fn every_service_gives_up_on_a_silent_peer() {
    let silence = Silence::start();
    for service in services() {
        let storage = (service.open)(silence.port, impatient(patient()));
        must_time_out(service.name, || storage.list());
        must_time_out(service.name, || storage.put("a", source(10).path()));
    }
}

/// Whoever is told to come back later does, and no error is taken for an answer.
#[test]
fn every_service_waits_for_a_busy_server() {
    for service in services() {
        for status in [429, 500, 503] {
            let proxy = Proxy::to(service.port);
            let storage = (service.open)(proxy.port, patient());
            let busy = || proxy.harm([Harm::Answer(status), Harm::Answer(status)]);
            let what = format!("{} {status}", service.name);
            busy();
            storage.put("a", source(70_000).path()).expect(&what);
            assert_eq!(proxy.left(), 0, "{what}");
            // Connections that were kept are good ones: others are made anew.
            for step in 0..4 {
                let storage = (service.open)(proxy.port, patient());
                busy();
                match step {
                    0 => assert_eq!(storage.list().expect(&what).len(), 1, "{what}"),
                    1 => assert!(storage.stat("a").expect(&what).is_some(), "{what}"),
                    2 => assert_eq!(storage.get("a", &mut Vec::new()).expect(&what), 70_000),
                    _ => storage.delete("a").expect(&what),
                }
            }
            let left = (service.open)(service.port, patient()).list().expect(&what);
            assert!(left.is_empty(), "{what}: {left:?}");
        }
    }
}
