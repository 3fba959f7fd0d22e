//! A call as a CronJob of Kubernetes, to be looked through and applied by hand. Pure.
//!
//! Profile and secrets stay out of it: they come from a ConfigMap and a Secret whose making the comment shows.

use super::Call;
use crate::profile::schedule::Zone;
use crate::profile::{Profile, Schedule};
use std::fmt::Write;

/// Seconds a start that is not made up for may be late.
const LATE: u64 = 300;

/// The manifest. `zone` is the name of the machine's time zone, for schedules in local time.
pub fn manifest(call: &Call, profile: &Profile, zone: Option<&str>) -> String {
    let name = label(&call.name);
    let Schedule {
        cron,
        jitter,
        catch_up,
        ..
    } = &call.schedule;
    let mut out = String::new();
    let mut line = |text: &str| {
        let _ = writeln!(out, "{text}");
    };
    line("# Made by `dupr schedule export`. Before it is applied:");
    line(&format!(
        "#   kubectl create configmap {name} --from-file={}",
        file_name(profile)
    ));
    line(&format!(
        "#   kubectl create secret generic {name} --from-file=...   # what the profile reads from /etc/dupr/secrets"
    ));
    line(&format!(
        "#   a volume claim {name}-state, so that history and archive dir outlive the pod"
    ));
    line("apiVersion: batch/v1\nkind: CronJob\nmetadata:");
    line(&format!("  name: {name}\nspec:"));
    line(&format!("  schedule: {}", string(cron.fields())));
    let zone = match call.schedule.zone {
        Zone::Utc => Some("Etc/UTC"),
        Zone::Local => zone,
    };
    if let Some(zone) = zone {
        line(&format!("  timeZone: {}", string(zone)));
    }
    line("  concurrencyPolicy: Forbid");
    let late = if *catch_up { 86_400 } else { LATE };
    line(&format!("  startingDeadlineSeconds: {late}"));
    line("  jobTemplate:\n    spec:\n      backoffLimit: 0\n      template:\n        spec:");
    // Sets remember the host they were made on, and every pod has another name.
    line(&format!("          hostname: {name}"));
    line("          restartPolicy: Never\n          containers:");
    line(
        "            - name: dupr\n              image: dupr:latest   # yours; it needs dupr and, for keys, gpg",
    );
    let call = if jitter.is_zero() {
        call.clone()
    } else {
        call.scheduled()
    };
    line("              command:");
    line("                - /usr/local/bin/dupr");
    for word in ["--config-dir", "/etc/dupr/profiles"] {
        line(&format!("                - {}", string(word)));
    }
    let words = call.arguments.iter().skip_while(|a| *a == "--config-dir");
    let own = words.skip(usize::from(
        call.arguments.first().is_some_and(|a| a == "--config-dir"),
    ));
    for word in own {
        // The profile lies under its name in the ConfigMap, whatever it is called by here.
        let word = if word.contains('/') {
            call.name.as_str()
        } else {
            word
        };
        line(&format!("                - {}", string(word)));
    }
    line("              env:");
    for (variable, value) in [
        ("HOME", "/var/lib/dupr"),
        ("XDG_CACHE_HOME", "/var/lib/dupr/cache"),
        ("XDG_STATE_HOME", "/var/lib/dupr/state"),
    ] {
        line(&format!(
            "                - {{ name: {variable}, value: {value} }}"
        ));
    }
    line("              volumeMounts:");
    let source = profile.source.root.display().to_string();
    for (volume, path, read_only) in [
        ("profiles", "/etc/dupr/profiles", true),
        ("secrets", "/etc/dupr/secrets", true),
        ("state", "/var/lib/dupr", false),
        ("source", source.as_str(), true),
    ] {
        line(&format!(
            "                - {{ name: {volume}, mountPath: {}, readOnly: {read_only} }}",
            string(path)
        ));
    }
    line("          volumes:");
    line(&format!(
        "            - {{ name: profiles, configMap: {{ name: {name}, defaultMode: 0400 }} }}"
    ));
    line(&format!(
        "            - {{ name: secrets, secret: {{ secretName: {name}, defaultMode: 0400 }} }}"
    ));
    line(&format!(
        "            - {{ name: state, persistentVolumeClaim: {{ claimName: {name}-state }} }}"
    ));
    line(&format!(
        "            - {{ name: source, hostPath: {{ path: {} }} }}   # or the claim to back up",
        string(&source)
    ));
    out
}

/// A name Kubernetes takes: letters, digits and dashes, at most 52, as pods of a CronJob add to it.
fn label(name: &str) -> String {
    let plain = |c: char| {
        let c = c.to_ascii_lowercase();
        if c.is_ascii_alphanumeric() { c } else { '-' }
    };
    let text: String = format!("dupr-{name}").chars().map(plain).take(52).collect();
    text.trim_end_matches('-').to_owned()
}

fn file_name(profile: &Profile) -> String {
    let path = profile.file.as_deref().map(|p| p.display().to_string());
    format!("{}.toml={}", profile.name, path.unwrap_or_default())
}

/// A string of YAML: JSON's are.
fn string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_kubernetes() {
        assert_eq!(label("Home_1"), "dupr-home-1");
        assert_eq!(label("grüße!"), "dupr-gr--e");
        assert!(label(&"x".repeat(80)).len() <= 52);
    }
}
