//! Checks the tables under `[report]` other than mail: addresses, headers, files.

use super::Checker;
use crate::profile::file::{
    NtfyFile, PingFile, PrometheusFile, ReportFile, SyslogFile, WebhookFile,
};
use crate::profile::reports::{Ntfy, Ping, Prometheus, Reports, Syslog, WebAddress, Webhook};
use crate::profile::secret::{SecretEntry, SecretRef};
use crate::profile::url;

impl Checker<'_> {
    pub(super) fn reports(&mut self, file: &ReportFile, inline: bool) -> Reports {
        Reports {
            email: file.email.as_ref().and_then(|e| self.email(e, inline)),
            ping: file.ping.as_ref().and_then(|p| self.ping(p, inline)),
            ntfy: file.ntfy.as_ref().and_then(|n| self.ntfy(n, inline)),
            webhook: file.webhook.as_ref().and_then(|w| self.webhook(w, inline)),
            prometheus: file
                .prometheus
                .as_ref()
                .and_then(|p| self.prometheus(p, inline)),
            syslog: file.syslog.as_ref().map(|s| self.syslog(s)),
        }
    }

    fn ping(&mut self, file: &PingFile, inline: bool) -> Option<Ping> {
        Some(Ping {
            url: self.address("report.ping", "url", file.url.as_ref(), inline)?,
            service: file.service,
        })
    }

    fn ntfy(&mut self, file: &NtfyFile, inline: bool) -> Option<Ntfy> {
        let url = self.address("report.ntfy", "url", file.url.as_ref(), inline);
        let token = file
            .token
            .as_ref()
            .map(|t| self.secret("report.ntfy.token", t, inline));
        let url = url?;
        if token.is_some() {
            self.not_in_the_clear("report.ntfy.url", &url);
        }
        Some(Ntfy {
            url,
            token: token.flatten(),
            when: file.when.0.clone(),
        })
    }

    fn webhook(&mut self, file: &WebhookFile, inline: bool) -> Option<Webhook> {
        let url = self.address("report.webhook", "url", file.url.as_ref(), inline);
        let mut headers = std::collections::BTreeMap::new();
        for (name, entry) in &file.headers {
            let key = format!("report.webhook.headers.{name}");
            let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
            if name.is_empty() || !name.chars().all(token) {
                self.problem(&key, format!("{name:?} is not the name of a header"), None);
            }
            if let Some(value) = self.secret(&key, entry, inline) {
                headers.insert(name.clone(), value);
            }
        }
        if file.content_type.is_empty() || file.content_type.chars().any(char::is_control) {
            let key = "report.webhook.content-type";
            self.problem(key, "not a type of content", None);
        }
        let body = file
            .body
            .as_ref()
            .map(|path| self.path("report.webhook.body", path));
        if let Some(path) = &body
            && self.around.look_at_files
            && !path.is_file()
        {
            let message = format!("there is no file {}", path.display());
            self.problem("report.webhook.body", message, None);
        }
        let url = url?;
        if !file.headers.is_empty() {
            self.not_in_the_clear("report.webhook.url", &url);
        }
        Some(Webhook {
            url,
            headers,
            body,
            content_type: file.content_type.clone(),
            when: file.when.0.clone(),
        })
    }

    fn prometheus(&mut self, file: &PrometheusFile, inline: bool) -> Option<Prometheus> {
        let key = "report.prometheus";
        if file.textfile.is_none() && file.pushgateway.is_none() {
            let help = "write textfile = \"/var/lib/node_exporter/dupr.prom\" or pushgateway = \"http://…\"";
            self.problem(key, "the metrics go nowhere", Some(help.to_owned()));
            return None;
        }
        let textfile = file
            .textfile
            .as_ref()
            .map(|path| self.path("report.prometheus.textfile", path));
        if let Some(path) = &textfile
            && path.extension().is_none_or(|e| e != "prom")
        {
            let help = "the node exporter reads *.prom only".to_owned();
            let message = format!("{} does not end in .prom", path.display());
            self.problem("report.prometheus.textfile", message, Some(help));
        }
        let pushgateway = match &file.pushgateway {
            Some(entry) => Some(self.address(key, "pushgateway", Some(entry), inline)?),
            None => None,
        };
        Some(Prometheus {
            textfile,
            pushgateway,
        })
    }

    fn syslog(&mut self, file: &SyslogFile) -> Syslog {
        Syslog {
            socket: self.path("report.syslog.socket", &file.socket),
            when: file.when.0.clone(),
        }
    }

    /// An address of the web. Unlike other secrets it may stand in the profile, unless there is a password in it.
    fn address(
        &mut self,
        table: &str,
        word: &str,
        entry: Option<&SecretEntry>,
        inline: bool,
    ) -> Option<WebAddress> {
        let key = format!("{table}.{word}");
        let Some(entry) = entry else {
            if !self.excused(&key) {
                let help = format!("write {word} = \"https://…\" or {word} = {{ env = \"…\" }}");
                self.problem(table, format!("{table} says no {word}"), Some(help));
            }
            return None;
        };
        let SecretEntry::Inline(text) = entry else {
            let url = self.secret(&key, entry, inline)?;
            let place = format!("the address in {url}");
            return Some(WebAddress { url, place });
        };
        match text.expose_str().ok_or("not UTF-8").and_then(url::web_host) {
            Ok(place) => {
                if text.expose_str().and_then(url::password).is_some() && !inline {
                    let help = format!("write {word} = {{ file = \"…\" }}");
                    self.problem(&key, "the URL holds a password", Some(help));
                }
                let url = SecretRef::Inline(text.clone());
                Some(WebAddress { url, place })
            }
            Err(why) => {
                let help = "write it as https://host/path".to_owned();
                self.problem(
                    &key,
                    format!("not an address of the web: {why}"),
                    Some(help),
                );
                None
            }
        }
    }

    /// Secrets in headers do not leave this machine unencrypted.
    fn not_in_the_clear(&mut self, key: &str, address: &WebAddress) {
        if let SecretRef::Inline(text) = &address.url
            && text.expose_str().is_some_and(url::is_clear)
        {
            let help = Some("write https://".to_owned());
            self.problem(key, "a secret would be sent in the clear", help);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::profile::{Errors, Loaded, Moment, PingService, Profile, Reports, Surroundings};
    use std::path::Path;

    fn checked(more: &str) -> Result<Profile, Errors> {
        let head =
            "version = 1\nsource = \"/a\"\ntarget = \"file:///b\"\npassphrase = { env = \"P\" }\n";
        let text = format!("{head}{more}");
        let around = Surroundings::default();
        Loaded::from_text(Path::new("/etc/dupr/home.toml"), &text, &around, &[])?.check(&around)
    }

    fn reports(more: &str) -> Reports {
        checked(more).unwrap_or_else(|e| panic!("{e}")).reports
    }

    #[test]
    fn the_forms_of_the_documents_are_understood() {
        let all = reports(
            "[report.ping]\nurl = { env = \"HC\" }\n\
             [report.ntfy]\nurl = \"https://ntfy.sh/mybackups\"\nwhen = [\"failure\", \"stale\"]\n\
             [report.webhook]\nurl = \"https://hooks.example.org/canary\"\nheaders = { X-Key = { env = \"K\" } }\nwhen = \"failure\"\n\
             [report.prometheus]\ntextfile = \"/var/lib/node_exporter/dupr_home.prom\"\n\
             [report.syslog]\n",
        );
        let ntfy = all.ntfy.as_ref().expect("ntfy");
        assert_eq!(ntfy.when, [Moment::Failure, Moment::Stale]);
        let webhook = all.webhook.as_ref().expect("webhook");
        assert_eq!(webhook.when, [Moment::Failure]);
        assert_eq!(
            all.ping.as_ref().map(|p| p.service),
            Some(PingService::Auto)
        );
        assert_eq!(
            all.lines(),
            [
                "ping to the address in variable HC at start and end",
                "ntfy at ntfy.sh on failure, stale",
                "webhook at hooks.example.org on failure",
                "metrics to /var/lib/node_exporter/dupr_home.prom always",
                "line to /dev/log on always",
            ]
        );
        assert_eq!(all.secrets().len(), 4);
        let quiet = all.without_messages();
        assert!(quiet.ntfy.is_none() && quiet.webhook.is_none() && quiet.ping.is_some());
        assert!(!format!("{all:?}").contains("canary"));
    }

    #[test]
    fn what_cannot_work_is_told_with_its_place() {
        for (more, says) in [
            ("[report.ping]\n", "report.ping says no url"),
            ("[report.ntfy]\nurl = \"ntfy.sh/x\"\n", "it has no scheme"),
            (
                "[report.ntfy]\nurl = \"https://u:canary@h/x\"\n",
                "the URL holds a password",
            ),
            (
                "[report.ntfy]\nurl = \"http://nas.local/x\"\ntoken = { env = \"T\" }\n",
                "a secret would be sent in the clear",
            ),
            (
                "[report.ntfy]\nurl = \"https://h/x\"\ntoken = \"canary\"\n",
                "report.ntfy.token holds the secret itself",
            ),
            (
                "[report.webhook]\nurl = \"https://h\"\nheaders = { \"X Y\" = { env = \"K\" } }\n",
                "\"X Y\" is not the name of a header",
            ),
            (
                "[report.webhook]\nurl = \"https://h\"\nheaders = { X = \"canary\" }\n",
                "report.webhook.headers.X holds the secret itself",
            ),
            ("[report.prometheus]\n", "the metrics go nowhere"),
            (
                "[report.prometheus]\ntextfile = \"/x/dupr.txt\"\n",
                "does not end in .prom",
            ),
            ("[report.ntfy]\nwhen = [\"failure\"]\nurl = 7\n", "expected"),
        ] {
            let errors = checked(more).expect_err(more);
            let text = format!("{errors}{}", errors.render(false));
            assert!(
                text.contains(says) && text.contains("home.toml:"),
                "{more}: {text}"
            );
            assert!(!text.contains("canary"), "{more}: {text}");
        }
    }

    #[test]
    fn an_inherited_header_is_replaced_whole() {
        let dir = tempfile::tempdir().expect("a folder");
        let base = "[report.webhook]\nurl = \"https://h\"\n[report.webhook.headers]\nA = { env = \"A\" }\nB = { env = \"B\" }\n";
        std::fs::write(dir.path().join("base.toml"), base).expect("base");
        let text = "version = 1\ninherit = [\"base\"]\nsource = \"/a\"\ntarget = \"file:///b\"\npassphrase = { env = \"P\" }\n\
                    [report.webhook.headers]\nB = { command = [\"b\"] }\n";
        let around = Surroundings::default();
        let path = dir.path().join("home.toml");
        let profile = Loaded::from_text(&path, text, &around, &[])
            .and_then(|l| l.check(&around))
            .unwrap_or_else(|e| panic!("{e}"));
        let headers = profile.reports.webhook.expect("a webhook").headers;
        let shown: Vec<String> = headers.values().map(ToString::to_string).collect();
        assert_eq!(shown, ["variable A", "command b"]);
    }
}
