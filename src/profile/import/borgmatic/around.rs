//! What happens around a backup: checks, commands, and services that are told.

use super::super::{list, quote};
use super::Import;
use super::config::{field, plain};
use serde_json::Value;

/// Names of borgmatic's actions, and what a profile calls them.
const ACTIONS: &[(&str, &str)] = &[
    ("create", "backup"),
    ("prune", "purge"),
    ("check", "check"),
    ("extract", "restore"),
    ("list", "list"),
];

/// Commands as versions before 2.0 have them: key, moment, command.
const OLD_COMMANDS: &[(&str, &str, Option<&str>)] = &[
    ("before_everything", "before", None),
    ("before_actions", "before", None),
    ("before_backup", "before", Some("backup")),
    ("before_prune", "before", Some("purge")),
    ("before_check", "before", Some("check")),
    ("after_backup", "success", Some("backup")),
    ("after_prune", "success", Some("purge")),
    ("after_check", "success", Some("check")),
    ("after_actions", "success", None),
    ("after_everything", "finally", None),
    ("on_error", "error", None),
];

impl Import<'_> {
    /// Whether there are any.
    pub(super) fn checks(&mut self) -> bool {
        let mut lines = Vec::new();
        for check in self.config.values("checks") {
            let name = plain(&check).or_else(|| field(&check, "name"));
            let every = match field(&check, "frequency").as_deref() {
                Some("always") | None => "1 day".to_owned(),
                Some(text) => text.to_owned(),
            };
            let every = quote(&every);
            match name.as_deref() {
                Some("repository") => lines.push(("quick", every)),
                // Once is enough: both look at what is there without reading the data.
                Some("archives") if lines.iter().all(|(key, _)| *key != "quick") => {
                    lines.push(("quick", every));
                }
                Some("extract" | "data") if lines.iter().all(|(key, _)| *key != "restore-test") => {
                    lines.push(("restore-test", format!("{{ every = {every}, files = 20 }}")));
                }
                Some("spot") => {
                    let sample = field(&check, "data_sample_percentage").unwrap_or("1".to_owned());
                    let sample = quote(&format!("{sample}%"));
                    lines.push(("spot", format!("{{ every = {every}, sample = {sample} }}")));
                }
                Some("archives" | "extract" | "data" | "disabled") => {}
                other => self.left_out("checks", other.unwrap_or("a check without a name")),
            }
        }
        let any = !lines.is_empty();
        if any {
            self.line("\n[check]");
        }
        for (key, value) in lines {
            self.line(&format!("{key} = {value}"));
        }
        any
    }

    pub(super) fn hooks(&mut self) {
        for (key, moment, command) in OLD_COMMANDS {
            let command: Vec<String> = command.iter().map(|word| word.to_string()).collect();
            for line in self.config.texts(key) {
                self.hook(moment, &command, &line);
            }
        }
        for table in self.config.values("commands") {
            let (moment, place) = match (field(&table, "before"), field(&table, "after")) {
                (Some(place), _) => ("before", place),
                (None, Some(place)) => (after(&place, &table), place),
                (None, None) => continue,
            };
            let mut commands = Vec::new();
            for action in texts(&table, "when") {
                match ACTIONS.iter().find(|(name, _)| *name == action) {
                    Some((_, command)) => commands.push((*command).to_owned()),
                    None => self.left_out("commands, when", &action),
                }
            }
            if texts(&table, "when").len() > commands.len() && commands.is_empty() {
                self.left_out("commands", &format!("all for {place}"));
                continue;
            }
            for line in texts(&table, "run") {
                self.hook(moment, &commands, &line);
            }
        }
    }

    /// Lines of a shell, as borgmatic runs them.
    fn hook(&mut self, moment: &str, commands: &[String], line: &str) {
        self.line(&format!("\n[[hook]]\non = \"{moment}\""));
        if !commands.is_empty() {
            self.line(&format!("commands = {}", list(commands)));
        }
        let exec = ["sh", "-c", line].map(str::to_owned);
        self.line(&format!("exec = {}", list(&exec)));
        for name in ["error", "output", "repository", "configuration_filename"] {
            if line.contains(&format!("{{{name}}}")) {
                self.warnings.push(format!(
                    "a command uses {{{name}}}, which is not replaced here: hooks have variables, see docs/profile.md"
                ));
            }
        }
    }

    pub(super) fn reports(&mut self) {
        let mut pings = Vec::new();
        for (key, inside) in [
            ("healthchecks", "ping_url"),
            ("uptime_kuma", "push_url"),
            ("cronitor", "ping_url"),
        ] {
            for service in self.config.values(key) {
                pings.extend(plain(&service).or_else(|| field(&service, inside)));
            }
        }
        let mut pings = pings.into_iter();
        if let Some(url) = pings.next() {
            let url = if url.contains("://") {
                url
            } else {
                format!("https://hc-ping.com/{url}")
            };
            self.line(&format!("\n[report.ping]\nurl = {}", quote(&url)));
        }
        for _ in pings {
            self.warnings
                .push("a profile pings one service: another one was left out".to_owned());
        }
        for ntfy in self.config.values("ntfy") {
            let Some(topic) = field(&ntfy, "topic") else {
                continue;
            };
            let server = field(&ntfy, "server").unwrap_or("https://ntfy.sh".to_owned());
            let url = format!("{}/{topic}", server.trim_end_matches('/'));
            self.line(&format!("\n[report.ntfy]\nurl = {}", quote(&url)));
            if let Some(token) = field(&ntfy, "access_token") {
                let token = self.secret("ntfy.token", &token);
                self.line(&format!("token = {token}"));
            } else if field(&ntfy, "password").is_some() {
                self.warnings
                    .push("ntfy: make an access token instead of the password".to_owned());
            }
        }
    }
}

/// The moment of commands that run after something.
fn after(place: &str, table: &Value) -> &'static str {
    if place == "error" {
        return "error";
    }
    let states = texts(table, "states");
    match (
        states.iter().any(|s| s == "finish"),
        states.iter().any(|s| s == "fail"),
    ) {
        (true, false) => "success",
        (false, true) => "error",
        _ => "finally",
    }
}

fn texts(table: &Value, key: &str) -> Vec<String> {
    match table.get(key) {
        Some(Value::Array(values)) => values.iter().filter_map(plain).collect(),
        Some(value) => plain(value).into_iter().collect(),
        None => Vec::new(),
    }
}
