//! Options and variables for the services: each goes to the service it is for, and is no mistake beside another.

use super::args::Args;
use super::boto;
use super::fault::Result;
use super::log::Log;
use super::prompt;
use super::session::World;
use super::ssh;
use super::tls;
use crate::engine::storage::{Place, Server, StorageOptions, TargetUrl};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::time::Duration;

/// How to reach a target.
///
/// # Errors
/// A value that cannot be meant; nobody answers a question for a password.
pub fn storage_options(
    args: &Args,
    url: &TargetUrl,
    world: &World,
    log: &Log,
) -> Result<StorageOptions> {
    let mut options = StorageOptions {
        environment: world.environment.clone(),
        askpass: world.program.clone(),
        temp_dir: world.temp_dir(args)?,
        cancel: world.cancel.clone(),
        // What every run reads must not go to an archive class.
        standard_names: |name| !name.contains(".difftar") && !name.contains(".dt"),
        password: ["BACKEND_PASSWORD", "FTP_PASSWORD"]
            .iter()
            .find_map(|n| world.secret(n)),
        ..StorageOptions::default()
    };
    if url.password().is_none()
        && let Some(who) = login(args, url.plain(), world)
    {
        match &options.password {
            None => {
                let question = format!("Password for '{who}':");
                options.password = Some(prompt::password(&question)?);
            }
            Some(_) if world.var("BACKEND_PASSWORD").is_none() => {
                log.warn("FTP_PASSWORD is the old name of BACKEND_PASSWORD");
            }
            Some(_) => {}
        }
    }
    if let Some(n) = args.number::<u32>("num-retries")? {
        options.attempts = n.max(1);
    }
    if let Some(seconds) = args.number("backend-retry-delay")? {
        options.backoff = Duration::from_secs(seconds);
    }
    if let Some(seconds) = args.number("timeout")? {
        options.timeout = Duration::from_secs(seconds);
    }
    let mut set = |key: &str, value: &str| {
        options.settings.insert(key.into(), value.into());
    };
    // Options of one service are no mistake beside a target of another: wrappers give all of them always. What is at the
    // targets of a list is not known here, so each gets those it knows.
    let place = url.plain().place();
    let any = matches!(place, Place::Multi { .. });
    let words = |flag: &str| {
        let words: Vec<&str> = args.values(flag).filter_map(OsStr::to_str).collect();
        words.join(" ")
    };
    if any || matches!(url.place(), Place::Par2 { .. }) {
        for flag in ["par2-redundancy", "par2-volumes"] {
            set(flag, args.text(flag)?.unwrap_or_default());
        }
        set("par2-options", &words("par2-options"));
    }
    if any || speaks_s3(place) {
        for (flag, setting) in [
            ("s3-endpoint-url", "endpoint"),
            ("s3-region-name", "region"),
            ("s3-kms-key-id", "kms-key"),
            ("s3-multipart-chunk-size", "part-mb"),
            ("s3-multipart-max-procs", "parts-at-once"),
        ] {
            if let Some(value) = args.text(flag)? {
                set(setting, value);
            }
        }
        for (flag, class) in CLASSES {
            if args.has(flag) {
                set("storage-class", class);
            }
        }
        if args.has("s3-use-server-side-kms-encryption") {
            set("encryption", "kms");
            // COMPAT(dup all): it counts beside this option alone.
            set("kms-grant", args.text("s3-kms-grant")?.unwrap_or_default());
        } else if args.has("s3-use-server-side-encryption") {
            set("encryption", "s3");
        }
    }
    if any || matches!(place, Place::Azure { .. }) {
        set(
            "access-tier",
            args.text("azure-blob-tier")?.unwrap_or_default(),
        );
        if let Some(bytes) = args.number::<u64>("azure-max-block-size")? {
            set("part-mb", &bytes.div_ceil(1 << 20).max(1).to_string());
        }
        if let Some(connections) = args.text("azure-max-connections")? {
            set("parts-at-once", connections);
        }
    }
    if any || matches!(place, Place::Swift { .. }) {
        // COMPAT(dup all): 0 is the service's own limit.
        if let Some(mb @ 1..) = args.number::<u64>("mp-segment-size")? {
            set("segment-mb", &mb.min(5120).to_string());
        }
        let policy = args.text("swift-storage-policy")?;
        set("storage-policy", policy.unwrap_or_default());
    }
    let by_ssh = matches!(
        place,
        Place::Sftp { .. } | Place::Rsync { daemon: false, .. }
    );
    let way = words("ssh-options");
    if (any || by_ssh) && !way.is_empty() {
        set("ssh-options", &way);
    }
    if any || matches!(place, Place::Sftp { .. }) {
        for option in ["sftp-command", "scp-command"] {
            if let Some(command) = args.text(option)? {
                set("ssh-command", &ssh::command(option, command)?);
                break;
            }
        }
    }
    if any || matches!(place, Place::Rsync { .. }) {
        set("rsync-options", &words("rsync-options"));
    }
    let is_ftp = any || matches!(place, Place::Ftp { .. });
    if is_ftp && args.has("ftp-regular") && !args.has("ftp-passive") {
        set("data-connection", "active");
    }
    if any || matches!(place, Place::Imap { .. }) {
        set("mailbox", args.text("imap-mailbox")?.unwrap_or_default());
        if args.has("imap-full-address") {
            set("full-address", "true");
        }
    }
    if (any || matches!(place, Place::WebDav { .. }))
        && let Some(text) = args.text("webdav-headers")?
    {
        set("headers", &tls::headers(text)?);
    }
    boto::credentials(place, world, &mut options);
    if let Place::S3 { server, .. } = place
        && args.has("s3-unencrypted-connection")
    {
        in_the_clear(server.as_ref(), world, log, &mut options.settings);
    }
    tls::trust(args, place, world, log, &mut options)?;
    Ok(options)
}

/// Whether a place is reached by the protocol of S3.
fn speaks_s3(place: &Place) -> bool {
    matches!(
        place,
        Place::S3 { .. } | Place::Gs { .. } | Place::B2 { .. }
    )
}

/// Who logs in with a password at a target, if anybody must.
// COMPAT(dup all): ssh has keys, and asks for a password only if it is told to.
fn login(args: &Args, url: &TargetUrl, world: &World) -> Option<String> {
    let at = |user: &str, host: &str| Some(format!("{user}@{host}"));
    let known = |server: &Server| at(server.user.as_ref()?, &server.host);
    match url.place() {
        Place::WebDav { server, .. } | Place::Ftp { server, .. } => known(server),
        Place::Imap { server, .. } if world.var("IMAP_PASSWORD").is_none() => known(server),
        Place::Sftp { server, .. } if args.has("ssh-askpass") => {
            at(server.user.as_deref().unwrap_or_default(), &server.host)
        }
        Place::B2 {
            key_id: Some(id),
            bucket,
            ..
        } => at(id, bucket),
        _ => None,
    }
}

/// Storage classes by option.
const CLASSES: &[(&str, &str)] = &[
    ("s3-use-rrs", "REDUCED_REDUNDANCY"),
    ("s3-use-ia", "STANDARD_IA"),
    ("s3-use-onezone-ia", "ONEZONE_IA"),
    ("s3-use-glacier", "GLACIER"),
    ("s3-use-glacier-ir", "GLACIER_IR"),
    ("s3-use-deep-archive", "DEEP_ARCHIVE"),
];

/// Amazon without TLS, or the server of the URL. One of an option has the scheme of its address.
fn in_the_clear(
    server: Option<&Server>,
    world: &World,
    log: &Log,
    settings: &mut BTreeMap<String, String>,
) {
    if settings.contains_key("endpoint") {
        return;
    }
    if let Some(server) = server {
        let port = server.port.map(|port| format!(":{port}"));
        let host = server.host_of_url();
        log.warn(&format!(
            "--s3-unencrypted-connection: everybody on the way to {host} can read and change what is sent"
        ));
        let endpoint = format!("http://{host}{}", port.unwrap_or_default());
        settings.insert("endpoint".into(), endpoint);
        return;
    }
    let variables = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"];
    if variables.iter().any(|n| world.var(n).is_some()) {
        return;
    }
    log.warn("--s3-unencrypted-connection: everybody on the way to Amazon can read and change what is sent");
    let region = settings.get("region").map(String::as_str);
    let region = region
        .or_else(|| world.var("AWS_REGION"))
        .or_else(|| world.var("AWS_DEFAULT_REGION"))
        .unwrap_or("us-east-1");
    let endpoint = format!("http://s3.{region}.amazonaws.com");
    settings.insert("endpoint".into(), endpoint);
}
