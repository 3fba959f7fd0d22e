//! The tables under `[report]`: who is told of outcomes.

use super::entry::{List, OneOrMany, TextOr};
use crate::profile::reports::{Moment, PingService};
use crate::profile::secret::SecretEntry;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Who is told of outcomes.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ReportFile {
    /// Mail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<EmailFile>,
    /// Start, success and failure pings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ping: Option<PingFile>,
    /// ntfy messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ntfy: Option<NtfyFile>,
    /// Posts the outcome as JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook: Option<WebhookFile>,
    /// Figures for Prometheus.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prometheus: Option<PrometheusFile>,
    /// A line in the system's log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub syslog: Option<SyslogFile>,
}

/// Mail reports.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct EmailFile {
    /// Recipients.
    #[schemars(with = "TextOr<List<String>>")]
    pub to: OneOrMany<String>,
    /// Sender.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// `smtps://user@host:465` or `smtp://user@host:587`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smtp: Option<String>,
    /// Certificates (PEM) that may vouch for the server, beside those of the system. With it, TLS is demanded of
    /// this very machine, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<String>,
    /// A local program instead of `smtp`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sendmail: Option<String>,
    /// Password for `smtp`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<SecretEntry>,
    /// Which outcomes are told.
    pub when: OneOrMany<Moment>,
    /// Attach the log of the run.
    pub attach_log: bool,
    /// Files that replace the built-in templates `subject`, `text` and `html`.
    pub templates: BTreeMap<String, String>,
}

impl Default for EmailFile {
    fn default() -> Self {
        Self {
            to: OneOrMany::default(),
            from: None,
            smtp: None,
            ca_file: None,
            sendmail: None,
            password: None,
            when: OneOrMany(Moment::USUAL.to_vec()),
            attach_log: false,
            templates: BTreeMap::new(),
        }
    }
}

/// Signs of life for healthchecks.io, Uptime Kuma, Cronitor and the like.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct PingFile {
    /// The address, as the service shows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<SecretEntry>,
    /// What the service understands.
    pub service: PingService,
}

/// Messages to a topic of ntfy.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct NtfyFile {
    /// The topic: `https://ntfy.sh/mybackups`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<SecretEntry>,
    /// An access token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<SecretEntry>,
    /// Which outcomes are told.
    pub when: OneOrMany<Moment>,
}

impl Default for NtfyFile {
    fn default() -> Self {
        Self {
            url: None,
            token: None,
            when: OneOrMany(Moment::USUAL.to_vec()),
        }
    }
}

/// The outcome, posted.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct WebhookFile {
    /// Where to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<SecretEntry>,
    /// Headers, such as `Authorization`; their values are secrets.
    pub headers: BTreeMap<String, SecretEntry>,
    /// A template (handlebars) of the body; the outcome as JSON if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// What the body is.
    pub content_type: String,
    /// Which outcomes are told.
    pub when: OneOrMany<Moment>,
}

impl Default for WebhookFile {
    fn default() -> Self {
        Self {
            url: None,
            headers: BTreeMap::new(),
            body: None,
            content_type: "application/json".into(),
            when: OneOrMany(vec![Moment::Always]),
        }
    }
}

/// Figures for Prometheus.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct PrometheusFile {
    /// A file the node exporter reads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub textfile: Option<String>,
    /// A pushgateway: `http://push.example.org:9091`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pushgateway: Option<SecretEntry>,
}

/// A line in the system's log.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct SyslogFile {
    /// The socket it listens at.
    pub socket: String,
    /// Which outcomes are told.
    pub when: OneOrMany<Moment>,
}

impl Default for SyslogFile {
    fn default() -> Self {
        Self {
            socket: "/dev/log".into(),
            when: OneOrMany(vec![Moment::Always]),
        }
    }
}
