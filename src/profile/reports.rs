//! Who is told of outcomes, and how: the tables under `[report]`.
//!
//! Each can say its name in words that hold no secret, because plans, logs and `dupr status` show it.

use super::mail_server::MailServer;
use super::secret::SecretRef;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// Who is told of outcomes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Reports {
    /// By mail.
    pub email: Option<Email>,
    /// A service that waits for a sign of life.
    pub ping: Option<Ping>,
    /// A topic of ntfy.
    pub ntfy: Option<Ntfy>,
    /// An address that takes the outcome as JSON.
    pub webhook: Option<Webhook>,
    /// Figures for Prometheus.
    pub prometheus: Option<Prometheus>,
    /// The system's log.
    pub syslog: Option<Syslog>,
}

impl Reports {
    /// The same without messages to people: what only watches the state of a profile stays.
    pub fn without_messages(&self) -> Self {
        Self {
            email: None,
            ntfy: None,
            webhook: None,
            ..self.clone()
        }
    }

    /// Signs of life and nothing else.
    pub fn only_ping(&self) -> Self {
        Self {
            ping: self.ping.clone(),
            ..Self::default()
        }
    }

    /// Every secret that is needed to tell.
    pub fn secrets(&self) -> Vec<&SecretRef> {
        let mail = self.email.as_ref().and_then(|e| match &e.transport {
            MailTransport::Smtp { password, .. } => password.as_ref(),
            MailTransport::Sendmail(_) => None,
        });
        let (ntfy, webhook) = (self.ntfy.as_ref(), self.webhook.as_ref());
        let gateway = self
            .prometheus
            .as_ref()
            .and_then(|p| p.pushgateway.as_ref());
        let addresses = [
            self.ping.as_ref().map(|p| &p.url),
            ntfy.map(|n| &n.url),
            webhook.map(|w| &w.url),
            gateway,
        ];
        mail.into_iter()
            .chain(ntfy.and_then(|n| n.token.as_ref()))
            .chain(webhook.iter().flat_map(|w| w.headers.values()))
            .chain(addresses.into_iter().flatten().map(|a| &a.url))
            .collect()
    }

    /// Who is told of what, a line each, as plans show it.
    pub fn lines(&self) -> Vec<String> {
        let on = |name: String, when: &[Moment]| {
            let words: Vec<&str> = when.iter().copied().map(Moment::word).collect();
            format!("{name} on {}", words.join(", "))
        };
        let mail = self.email.as_ref().map(|mail| {
            let way = match &mail.transport {
                MailTransport::Smtp { .. } => "",
                MailTransport::Sendmail(_) => " by sendmail",
            };
            on(format!("{}{way}", mail.name()), &mail.when)
        });
        let ping = self
            .ping
            .as_ref()
            .map(|p| format!("{} at start and end", p.name()));
        let metrics = self
            .prometheus
            .as_ref()
            .map(|p| format!("{} always", p.name()));
        mail.into_iter()
            .chain(ping)
            .chain(self.ntfy.as_ref().map(|n| on(n.name(), &n.when)))
            .chain(self.webhook.as_ref().map(|w| on(w.name(), &w.when)))
            .chain(metrics)
            .chain(self.syslog.as_ref().map(|s| on(s.name(), &s.when)))
            .collect()
    }
}

/// Mail reports.
#[derive(Debug, Clone, PartialEq)]
pub struct Email {
    /// Recipients; at least one.
    pub to: Vec<String>,
    /// Sender.
    pub from: String,
    /// How it is handed over.
    pub transport: MailTransport,
    /// Which outcomes are told.
    pub when: Vec<Moment>,
    /// Whether the log of the run is attached.
    pub attach_log: bool,
    /// Templates that replace the built-in ones: `subject`, `text`, `html` to a file.
    pub templates: BTreeMap<String, PathBuf>,
}

/// How mail is handed over.
#[derive(Debug, Clone, PartialEq)]
pub enum MailTransport {
    /// To a server.
    Smtp {
        /// The server, without password.
        server: MailServer,
        /// Password of its user.
        password: Option<SecretRef>,
        /// Certificates that may vouch for the server, beside those of the system.
        ca_file: Option<PathBuf>,
    },
    /// To a local program.
    Sendmail(PathBuf),
}

/// An `http` or `https` address. It may be a secret as a whole, so only where it leads is ever shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebAddress {
    /// The address itself.
    pub url: SecretRef,
    /// The host, or the place the address comes from.
    pub place: String,
}

impl fmt::Display for WebAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place)
    }
}

/// Signs of life for a service that raises an alarm when they stop.
#[derive(Debug, Clone, PartialEq)]
pub struct Ping {
    /// The address without the endings for start and failure.
    pub url: WebAddress,
    /// What the service understands.
    pub service: PingService,
}

/// What a service that waits for signs of life understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PingService {
    /// Known by the address: `/api/push/` is Uptime Kuma, `cronitor.link` Cronitor, everything else Healthchecks.
    #[default]
    Auto,
    /// `/start` and `/EXITCODE` behind the address, with the report as body.
    Healthchecks,
    /// `?status=up` or `down` with a message; nothing at the start.
    UptimeKuma,
    /// `?state=run`, `complete` or `fail`.
    Cronitor,
}

/// Messages to a topic of ntfy.
#[derive(Debug, Clone, PartialEq)]
pub struct Ntfy {
    /// The topic.
    pub url: WebAddress,
    /// An access token.
    pub token: Option<SecretRef>,
    /// Which outcomes are told.
    pub when: Vec<Moment>,
}

/// The outcome as JSON, posted.
#[derive(Debug, Clone, PartialEq)]
pub struct Webhook {
    /// Where to.
    pub url: WebAddress,
    /// Headers with their values.
    pub headers: BTreeMap<String, SecretRef>,
    /// A template of the body; without it the whole outcome is posted.
    pub body: Option<PathBuf>,
    /// What the body is.
    pub content_type: String,
    /// Which outcomes are told.
    pub when: Vec<Moment>,
}

/// Figures for Prometheus, at least one of the two.
#[derive(Debug, Clone, PartialEq)]
pub struct Prometheus {
    /// A file the node exporter reads; several profiles may share it.
    pub textfile: Option<PathBuf>,
    /// A pushgateway, without `/metrics`.
    pub pushgateway: Option<WebAddress>,
}

/// Lines in the system's log.
#[derive(Debug, Clone, PartialEq)]
pub struct Syslog {
    /// The socket it listens at; systemd's journal has the same.
    pub socket: PathBuf,
    /// Which outcomes are told.
    pub when: Vec<Moment>,
}

impl Email {
    /// What it is and whom it reaches.
    pub fn name(&self) -> String {
        format!("email to {}", self.to.join(", "))
    }
}

impl Ping {
    /// What it is and whom it reaches.
    pub fn name(&self) -> String {
        format!("ping to {}", self.url)
    }
}

impl Ntfy {
    /// What it is and whom it reaches.
    pub fn name(&self) -> String {
        format!("ntfy at {}", self.url)
    }
}

impl Webhook {
    /// What it is and whom it reaches.
    pub fn name(&self) -> String {
        format!("webhook at {}", self.url)
    }
}

impl Prometheus {
    /// What it is and whom it reaches.
    pub fn name(&self) -> String {
        let file = self.textfile.as_ref().map(|f| f.display().to_string());
        let gateway = self
            .pushgateway
            .as_ref()
            .map(|g| format!("pushgateway {g}"));
        let places: Vec<String> = file.into_iter().chain(gateway).collect();
        format!("metrics to {}", places.join(" and "))
    }
}

impl Syslog {
    /// What it is and whom it reaches.
    pub fn name(&self) -> String {
        format!("line to {}", self.socket.display())
    }
}

/// Outcomes that are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Moment {
    /// Every run.
    Always,
    /// A run that went well.
    Success,
    /// A run with problems.
    Warning,
    /// A run that failed, could not start or was interrupted.
    Failure,
    /// The first good run after a failure.
    Recovery,
    /// A run that was put off by a condition.
    Deferred,
    /// The last good backup is too old. No run tells that: whoever watches over the profiles does.
    Stale,
    /// The runs of a day, of all profiles, with the first run of the next.
    DailyDigest,
    /// The runs of a week that begins on Monday, of all profiles, with the first run of the next.
    WeeklyDigest,
    /// The runs of a month, of all profiles, with the first run of the next.
    MonthlyDigest,
}

impl Moment {
    /// What is told where a profile does not say.
    pub const USUAL: [Moment; 3] = [Moment::Failure, Moment::Warning, Moment::Recovery];

    /// As profiles and plans write it.
    pub fn word(self) -> &'static str {
        match self {
            Moment::Always => "always",
            Moment::Success => "success",
            Moment::Warning => "warning",
            Moment::Failure => "failure",
            Moment::Recovery => "recovery",
            Moment::Deferred => "deferred",
            Moment::Stale => "stale",
            Moment::DailyDigest => "daily-digest",
            Moment::WeeklyDigest => "weekly-digest",
            Moment::MonthlyDigest => "monthly-digest",
        }
    }
}
