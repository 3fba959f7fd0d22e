//! Calls as a recipe for a container that runs nothing but cron and dupr. Pure.
//!
//! Profiles, secrets and what is backed up are mounted when the container starts; none of it is in the image.

use super::{Call, Caller, crontab};
use crate::engine::error::Result;
use crate::profile::Profile;
use std::fmt::Write;

/// Where output goes: there is no mail in a container, and `docker logs` shows what its first process prints.
const ENDING: &str = " >/proc/1/fd/1 2>/proc/1/fd/2";

/// How things are called inside the container.
pub fn caller() -> Caller {
    let variable = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let environment = [
        ("PATH", "/usr/local/bin:/usr/bin:/bin"),
        ("XDG_CACHE_HOME", "/var/lib/dupr/cache"),
        ("XDG_STATE_HOME", "/var/lib/dupr/state"),
    ];
    Caller {
        program: "/usr/local/bin/dupr".to_owned(),
        environment: environment.map(variable).to_vec(),
        options: Vec::new(),
    }
}

/// The Dockerfile, with the command that starts the container in front. The calls must be made for [`caller`].
///
/// # Errors
/// As [`crontab::block`].
pub fn recipe(calls: &[Call], profiles: &[&Profile], zone: Option<&str>) -> Result<String> {
    let utc = zone.is_none_or(|z| z == "UTC" || z == "Etc/UTC");
    let mut out = String::from(
        "# syntax=docker/dockerfile:1\n# Made by `dupr schedule export`. Put the program dupr beside this file, then:\n#   docker build -t dupr .\n#   docker run -d --name dupr --hostname BACKUP \\\n",
    );
    // The same hostname every time: sets remember the host they were made on.
    let mut mounts = vec![
        "dupr-state:/var/lib/dupr".to_owned(),
        "/etc/dupr:/etc/dupr:ro".to_owned(),
    ];
    for profile in profiles {
        let source = profile.source.root.display().to_string();
        let mount = format!("{source}:{source}:ro");
        if !mounts.contains(&mount) {
            mounts.push(mount);
        }
    }
    for mount in &mounts {
        let _ = writeln!(out, "#     -v {} \\", super::shell_word(mount));
    }
    out += "#     dupr\n# A target in a folder is mounted in the same way, without `:ro`.\nFROM debian:12-slim\n";
    out += "RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates cron gnupg openssh-client tzdata \\\n && rm -rf /var/lib/apt/lists/*\n";
    if let Some(zone) = zone {
        let _ = writeln!(
            out,
            "RUN ln -sf {} /etc/localtime",
            super::shell_word(&format!("/usr/share/zoneinfo/{zone}"))
        );
    }
    out += "COPY dupr /usr/local/bin/dupr\nCOPY <<'CRONTAB' /tmp/crontab\n";
    for call in calls {
        out += &crontab::block(call, ENDING, utc)?;
    }
    out += "CRONTAB\nRUN crontab /tmp/crontab && rm /tmp/crontab\nCMD [\"cron\", \"-f\"]\n";
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::super::tests::call;
    use super::*;
    use crate::profile::schedule::Zone;

    #[test]
    fn the_container_has_the_same_lines_as_a_crontab() {
        let call = call("17 2 * * *", 60, true, Zone::Local);
        let text = recipe(std::slice::from_ref(&call), &[], Some("Europe/Berlin")).unwrap();
        assert!(text.contains(&crontab::block(&call, ENDING, false).unwrap()));
        assert!(text.contains("zoneinfo/Europe/Berlin"));
        let utc = super::super::tests::call("17 2 * * *", 0, true, Zone::Utc);
        assert!(recipe(std::slice::from_ref(&utc), &[], None).is_ok());
        assert!(recipe(&[utc], &[], Some("Europe/Berlin")).is_err());
    }
}
