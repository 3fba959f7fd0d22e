//! Posts the outcome as JSON, or what a template of the profile makes of it.
//!
//! In a template every value is escaped for a JSON string, so that `{"text": "{{headline}}"}` stays JSON whatever a file is
//! called. A template that fails, or does not make JSON where it should, gives way to the whole outcome, and is told.

use super::http::{self, Request};
use super::{News, Notifier, SecretReader, Sent};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::profile::{Moment, Webhook};
use crate::report::render;
use handlebars::Handlebars;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// Version of the document.
const SCHEMA: u32 = 1;

/// Posts as `[report.webhook]` says.
pub struct WebhookNotifier {
    settings: Webhook,
}

impl WebhookNotifier {
    pub fn new(settings: &Webhook) -> Self {
        Self {
            settings: settings.clone(),
        }
    }

    fn is_json(&self) -> bool {
        self.settings.content_type.to_lowercase().contains("json")
    }

    /// The body by the template of the profile.
    fn filled(&self, template: &Path, facts: &Value) -> Result<String> {
        let text = std::fs::read_to_string(template)
            .map_err(|e| Error::io("read the template", template, e))?;
        let body = fill(&text, facts, self.is_json())?;
        if self.is_json() {
            serde_json::from_str::<Value>(&body).map_err(|e| {
                let text = format!("what {} makes is not JSON", template.display());
                Error::new(ErrorKind::Usage, text).with_source(e)
            })?;
        }
        Ok(body)
    }
}

/// Fills a template with the facts; strict, so that a mistyped name is told.
fn fill(template: &str, facts: &Value, json: bool) -> Result<String> {
    let mut engine = Handlebars::new();
    engine.set_strict_mode(true);
    engine.register_escape_fn(if json { escaped } else { handlebars::no_escape });
    engine.render_template(template, facts).map_err(|e| {
        Error::new(ErrorKind::Usage, "cannot fill the template").with_source(e.to_string())
    })
}

/// A text as it stands between the quotes of JSON.
fn escaped(text: &str) -> String {
    let quoted = Value::from(text).to_string();
    quoted
        .strip_prefix('"')
        .and_then(|t| t.strip_suffix('"'))
        .map(str::to_owned)
        .unwrap_or_default()
}

/// What is posted without a template.
fn document(news: &News<'_>, subject: &str) -> Value {
    json!({
        "schema": SCHEMA,
        "status": news.report.status,
        "code": news.code,
        "subject": subject,
        "test": news.test,
        "late": news.report.late.is_some(),
        "profiles": news.report.profiles,
        "outcome": news.outcome,
    })
}

/// What a template may say: everything mail templates may, and the document.
fn facts(news: &News<'_>, subject: &str) -> Value {
    let mut facts = json!(news.report);
    if let (Value::Object(facts), Value::Object(more)) = (&mut facts, document(news, subject)) {
        // The list of the report is the same under this name.
        facts.extend(more);
    }
    facts
}

impl Notifier for WebhookNotifier {
    fn key(&self) -> &'static str {
        "webhook"
    }

    fn name(&self) -> String {
        self.settings.name()
    }

    fn moments(&self) -> &[Moment] {
        &self.settings.when
    }

    fn send(&self, news: &News<'_>, secrets: SecretReader<'_>) -> Result<Sent> {
        let subject = render::render(news.report, &BTreeMap::new())?.subject;
        let plain = || document(news, &subject).to_string();
        let filled = self
            .settings
            .body
            .as_ref()
            .map(|template| self.filled(template, &facts(news, &subject)));
        let (content_type, body, trouble) = match filled {
            None => (self.settings.content_type.as_str(), plain(), None),
            Some(Ok(body)) => (self.settings.content_type.as_str(), body, None),
            Some(Err(e)) => ("application/json", plain(), Some(e.to_string())),
        };
        let mut request = Request::post(content_type, body);
        for (name, value) in &self.settings.headers {
            request = request.secret_header(name, secrets(value)?);
        }
        let full = http::address(&self.settings.url, secrets)?;
        request.send(&self.settings.url, &full)?;
        Ok(Sent { trouble })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_a_template_cannot_leave_their_string() {
        let facts = json!({"headline": "a \"quoted\"\nline", "code": 13});
        let text = "{\"text\": \"{{headline}}\", \"code\": {{code}}}";
        let body: Value = serde_json::from_str(&fill(text, &facts, true).unwrap()).unwrap();
        assert_eq!(body, json!({"text": "a \"quoted\"\nline", "code": 13}));
        assert_eq!(
            fill("{{headline}}", &facts, false).unwrap(),
            "a \"quoted\"\nline"
        );
        assert!(fill("{{nonsense}}", &facts, true).is_err());
    }
}
