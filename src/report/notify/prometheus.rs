//! Puts the figures of a profile where Prometheus finds them: a file for the node exporter, a pushgateway.
//!
//! The file is replaced in one step, readable by everybody. Several profiles may share it: the folder is locked while one
//! replaces its own figures.

use super::metrics::Metrics;
use super::{News, Notifier, SecretReader, Sent};
use crate::engine::error::{Error, Result};
use crate::profile::{Moment, Prometheus};
use rustix::fs::FlockOperation;
use std::fs::{File, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Writes and pushes as `[report.prometheus]` says.
pub struct PrometheusNotifier {
    settings: Prometheus,
}

impl PrometheusNotifier {
    pub fn new(settings: &Prometheus) -> Self {
        Self {
            settings: settings.clone(),
        }
    }
}

/// Replaces the figures of one profile in a file, in one step.
fn write(path: &Path, metrics: &Metrics) -> std::io::Result<()> {
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let lock = File::open(directory)?;
    rustix::fs::flock(&lock, FlockOperation::LockExclusive)?;
    let before = match std::fs::read(path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(e) => return Err(e),
    };
    // Not *.prom: the node exporter must not read it while it is written.
    let mut file = tempfile::Builder::new()
        .prefix(".dupr-")
        .suffix(".tmp")
        .tempfile_in(directory)?;
    file.write_all(metrics.text(&before).as_bytes())?;
    file.as_file()
        .set_permissions(Permissions::from_mode(0o644))?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|e| e.error)?;
    Ok(())
}

/// Where a pushgateway keeps the figures of a profile of a host.
#[cfg(feature = "http")]
fn group(profile: &str, host: &str) -> String {
    use base64::Engine as _;
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    let part = |label: &str, value: &str| {
        if value.is_empty() || value.contains('/') {
            let coded = base64::engine::general_purpose::URL_SAFE.encode(value);
            let coded = if coded.is_empty() { "=" } else { &coded };
            format!("{label}@base64/{coded}")
        } else {
            format!("{label}/{}", utf8_percent_encode(value, NON_ALPHANUMERIC))
        }
    };
    format!(
        "metrics/job/dupr/{}/{}",
        part("instance", host),
        part("profile", profile)
    )
}

#[cfg(feature = "http")]
fn push(
    settings: &Prometheus,
    news: &News<'_>,
    metrics: &Metrics,
    secrets: SecretReader<'_>,
) -> Result<()> {
    use super::http::{self, Request};
    let Some(place) = &settings.pushgateway else {
        return Ok(());
    };
    let base = http::address(place, secrets)?;
    let full = http::below(&base, &group(&news.outcome.profile, &news.outcome.host));
    let (content_type, text) = ("text/plain; version=0.0.4; charset=utf-8", metrics.text(""));
    // PUT replaces everything of the profile, POST only what it names.
    let request = if news.test {
        Request::post(content_type, text)
    } else {
        Request::put(content_type, text)
    };
    request.send(place, &full)
}

#[cfg(not(feature = "http"))]
fn push(_: &Prometheus, _: &News<'_>, _: &Metrics, _: SecretReader<'_>) -> Result<()> {
    Ok(())
}

impl Notifier for PrometheusNotifier {
    fn key(&self) -> &'static str {
        "prometheus"
    }

    fn name(&self) -> String {
        self.settings.name()
    }

    fn moments(&self) -> &[Moment] {
        &[Moment::Always]
    }

    fn keeps_messages(&self) -> bool {
        false
    }

    fn send(&self, news: &News<'_>, secrets: SecretReader<'_>) -> Result<Sent> {
        let profile = &news.outcome.profile;
        // A test is no run: the figures stay those of the last one.
        let metrics = if news.test {
            Metrics::version_only(profile)
        } else {
            Metrics::new(profile, news.past, (news.outcome, news.code))
        };
        if let Some(path) = &self.settings.textfile {
            write(path, &metrics).map_err(|e| Error::io("write the metrics to", path, e))?;
        }
        push(&self.settings, news, &metrics, secrets)?;
        Ok(Sent::default())
    }
}

#[cfg(all(test, feature = "http"))]
mod tests {
    use super::*;

    #[test]
    fn names_that_no_address_can_hold_are_coded() {
        assert_eq!(
            group("home", "nas1"),
            "metrics/job/dupr/instance/nas1/profile/home"
        );
        assert_eq!(
            group("a/b", ""),
            "metrics/job/dupr/instance@base64/=/profile@base64/YS9i"
        );
    }
}
