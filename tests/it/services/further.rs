//! Further services, for whole lives of backups: those whose lines nobody can read, those that programs of others reach, and
//! folders.

use super::{Hold, Service, Way, all_web, only_named, service, way};
use crate::servers::{Apache, Dav, Dovecot, Ftpd, Keystone, Share, StandIns, Tahoe};
use crate::support::programs::find;
use std::any::Any;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;

/// All that speak HTTP, as users have them who use duplicity as well: access tokens of vendors do not hold for long, and
/// Azure's containers have no folders.
pub fn web_services_of_users() -> Vec<Service> {
    let mut all = all_web(40);
    for one in all.iter_mut().filter(|one| one.name == "azure") {
        let port = one.port;
        let Way { variables, .. } = one.way(port, "");
        let keys = variables.into_iter().next().expect("keys").1;
        one.way = Box::new(move |at| {
            let keys = keys.replace(&format!(":{port}/"), &format!(":{at}/"));
            way(
                "azure://".into(),
                &[("AZURE_CONNECTION_STRING", &keys)],
                &[],
            )
        });
    }
    // What is stored there is sealed: whoever asks for it first is told to come again.
    let server = Keystone::of_today();
    all.push(service("pca", server.port, server, |port| {
        way(
            "pca://archive/".into(),
            &[
                ("PCA_USERNAME", "ada"),
                ("PCA_PASSWORD", "p@ss:w"),
                ("PCA_TENANTNAME", "backups"),
                ("PCA_REGIONNAME", "One"),
                ("PCA_AUTHVERSION", "3"),
                ("PCA_AUTHURL", &format!("http://127.0.0.1:{port}")),
            ],
            &[],
        )
    }));
    only_named(all)
}

/// All that speak TLS.
pub fn secure_services() -> Vec<Service> {
    let mut all = Vec::new();
    let server = Dav::secure();
    let ca = server.certificate().display().to_string();
    all.push(service("webdavs", server.port, server, move |port| {
        way(
            format!("webdavs://ada@127.0.0.1:{port}/"),
            &[("BACKEND_PASSWORD", "p@ss:w")],
            &[("ca-file", ca.clone())],
        )
    }));
    // Proofs of the password hold for a second there.
    let server = Apache::start();
    let ca = server.certificate().display().to_string();
    let port = server.secure;
    all.push(service("webdavs at Apache", port, server, move |port| {
        way(
            format!("webdavs://ada@127.0.0.1:{port}/dav/"),
            &[("BACKEND_PASSWORD", "p@ss:w")],
            &[("ca-file", ca.clone())],
        )
    }));
    let server = Dovecot::secure();
    let ca = server.certificate().display().to_string();
    all.push(service("imaps", server.port, server, move |port| {
        way(
            format!("imaps://ada@127.0.0.1:{port}/"),
            &[("IMAP_PASSWORD", "p@ss:w")],
            &[("ca-file", ca.clone())],
        )
    }));
    for (name, server) in [("ftpes", Ftpd::explicit()), ("ftps", Ftpd::implicit())] {
        let (port, ca) = (server.port, server.certificate());
        all.push(secure_ftp(name, port, &ca, server));
    }
    only_named(all)
}

/// FTP with TLS at this port, which is there as long as `server` is.
pub fn secure_ftp<S: Any + Send + Sync>(
    name: &'static str,
    port: u16,
    ca: &Path,
    server: S,
) -> Service {
    let ca = ca.display().to_string();
    let mut one = service(name, port, server, move |port| {
        way(
            format!("{name}://ada@127.0.0.1:{port}/"),
            &[("FTP_PASSWORD", "p@ss:w")],
            &[("ca-file", ca.clone())],
        )
    });
    one.hold = Hold::Rate;
    one
}

/// All that programs of others reach beside rsync and rclone: real ones at real servers, or stand-ins.
pub fn tool_services() -> Vec<Service> {
    let mut all = Vec::new();
    if let Some(grid) = Tahoe::start() {
        let grid = Arc::new(grid);
        let at = Arc::clone(&grid);
        all.push(service("tahoe", grid.port, grid, move |port| {
            let mut way = way("tahoe://grid/".into(), &[], &[]);
            way.variables = at.variables_at(port);
            way
        }));
    }
    if let Some(share) = Share::start() {
        let variables = share.variables();
        all.push(service("gio+smb", share.port, share, move |port| {
            let user = Share::user();
            let url = format!("gio+smb://{user}@127.0.0.1:{port}/store/");
            let mut way = way(url, &[("BACKEND_PASSWORD", "p w")], &[]);
            way.variables.extend(variables.iter().cloned());
            way
        }));
    }
    all.extend(stand_ins());
    only_named(all)
}

/// Those behind programs that cannot be run here, with stand-ins whose homes they hold by.
pub fn stand_ins() -> Vec<Service> {
    let mut all = Vec::new();
    for (name, url) in [
        ("mega", "mega://ada%40example.org@mega.nz/"),
        ("megav2", "megav2://mega.nz/"),
        ("hsi", "hsi://hpss/"),
    ] {
        let tools = StandIns::new();
        let (home, variables) = (tools.path(""), tools.variables());
        // hsi makes no folders.
        for folder in ["cycle", "programs", "faults"] {
            fs::create_dir_all(tools.path("store").join(folder)).expect("folder");
        }
        let mut one = service(name, 0, tools, move |_| {
            let mut way = way(url.into(), &[], &[]);
            if name == "mega" {
                way.variables.push(("BACKEND_PASSWORD", "can\\ary".into()));
            }
            way.variables.extend(variables.iter().cloned());
            way
        });
        one.hold = Hold::Program(home);
        all.push(one);
    }
    only_named(all)
}

/// Folders of this machine, alone, as lists of two, and with recovery files.
pub fn local_services() -> Vec<Service> {
    let dir = Arc::new(TempDir::new().expect("temp dir"));
    let at = dir.path().display().to_string();
    let entries = serde_json::json!([
        {"url": format!("file://{at}/one")}, {"url": format!("file://{at}/other")},
    ]);
    fs::write(dir.path().join("list.json"), entries.to_string()).expect("list");
    let entries = serde_json::json!([
        {"url": format!("file://{at}/odd")}, {"url": format!("file://{at}/even")},
    ]);
    fs::write(dir.path().join("stripe.json"), entries.to_string()).expect("list");
    let mut all = Vec::new();
    for (name, url) in [
        ("file", format!("file://{at}/")),
        (
            "multi",
            format!("multi://{at}/list.json?mode=mirror&subpath=/"),
        ),
        (
            "multi by turns",
            format!("multi://{at}/stripe.json?subpath=/"),
        ),
        ("par2+file", format!("par2+file://{at}/safe/")),
    ] {
        if name.starts_with("par2") && find("par2").is_none() {
            continue;
        }
        let mut one = service(name, 0, Arc::clone(&dir), move |_| {
            way(url.clone(), &[], &[])
        });
        one.hold = Hold::Rate;
        all.push(one);
    }
    only_named(all)
}
