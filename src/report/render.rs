//! A report as subject, text and HTML, by templates that a profile may replace.
//!
//! Strict: a template that names a fact that does not exist fails instead of leaving a gap. Where a template of a
//! profile fails, the built-in ones are used, and the reason is told: a broken template must not swallow a failure.

use super::Report;
use super::format;
use crate::engine::error::{Error, ErrorKind, Result};
use handlebars::Handlebars;
use std::collections::BTreeMap;
use std::path::PathBuf;

const SUBJECT: &str = include_str!("../../templates/subject.txt");
const TEXT: &str = include_str!("../../templates/report.txt");
const HTML: &str = include_str!("../../templates/report.html");

/// Characters of a subject; longer ones are cut by mail programs anyway.
const SUBJECT_CHARS: usize = 150;

/// A report, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// One line without control characters.
    pub subject: String,
    /// The whole report as plain text.
    pub text: String,
    /// The same as HTML.
    pub html: String,
    /// Why the templates of the profile were not used, if they were not.
    pub trouble: Option<String>,
}

/// Renders with the templates at `overrides` (`subject`, `text`, `html`), or the built-in ones.
///
/// # Errors
/// `Internal` if the built-in templates fail, which a test excludes.
pub fn render(report: &Report, overrides: &BTreeMap<String, PathBuf>) -> Result<Message> {
    match render_with(report, overrides) {
        Ok(message) => Ok(message),
        Err(trouble) if !overrides.is_empty() => {
            let message = render_with(report, &BTreeMap::new())?;
            Ok(Message {
                trouble: Some(trouble.to_string()),
                ..message
            })
        }
        Err(e) => Err(e),
    }
}

fn render_with(report: &Report, overrides: &BTreeMap<String, PathBuf>) -> Result<Message> {
    let template = |name: &str, built_in: &str| match overrides.get(name) {
        None => Ok(built_in.to_owned()),
        Some(path) => {
            std::fs::read_to_string(path).map_err(|e| Error::io("read the template", path, e))
        }
    };
    let plain = |template: &str| fill(report, template, false);
    let subject = plain(&template("subject", SUBJECT)?)?;
    let subject = format::safe(&subject.split_whitespace().collect::<Vec<_>>().join(" "));
    Ok(Message {
        subject: format::shortened(&subject, SUBJECT_CHARS),
        text: plain(&template("text", TEXT)?)?,
        html: fill(report, &template("html", HTML)?, true)?,
        trouble: None,
    })
}

fn fill(report: &Report, template: &str, html: bool) -> Result<String> {
    let mut engine = Handlebars::new();
    engine.set_strict_mode(true);
    if !html {
        engine.register_escape_fn(handlebars::no_escape);
    }
    engine.render_template(template, report).map_err(|e| {
        Error::new(ErrorKind::Internal, "cannot fill a report template").with_source(e.to_string())
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::night;
    use super::*;
    use crate::run::outcome::{Outcome, Verdict};

    fn rendered(outcome: &Outcome, past: &[Outcome]) -> Message {
        render(
            &Report::new(outcome, past, &["02:17:00 started".to_owned()]),
            &BTreeMap::new(),
        )
        .unwrap()
    }

    #[test]
    fn subjects_begin_with_the_status_word() {
        let past = [night(1, Verdict::Success)];
        assert_eq!(
            rendered(&night(2, Verdict::Failed), &past).subject,
            "[dupr] FAILED home on nas1: target full"
        );
        let ok = rendered(&night(3, Verdict::Success), &past).subject;
        assert!(
            ok.starts_with("[dupr] ok home on nas1: incremental, "),
            "{ok}"
        );
        let recovered = rendered(&night(3, Verdict::Success), &[night(2, Verdict::Failed)]).subject;
        assert!(
            recovered.starts_with("[dupr] recovered home on nas1: "),
            "{recovered}"
        );
    }

    #[test]
    fn every_verdict_renders_with_and_without_a_past() {
        let past: Vec<Outcome> = (0..35).map(|d| night(d, Verdict::Success)).collect();
        let verdicts = [
            Verdict::Success,
            Verdict::Deferred,
            Verdict::Warning,
            Verdict::Differences,
            Verdict::Failed,
            Verdict::Interrupted,
        ];
        for verdict in verdicts {
            for past in [&past[..], &[]] {
                let message = rendered(&night(36, verdict), past);
                assert!(!message.text.contains("{{") && !message.html.contains("{{"));
                assert!(message.trouble.is_none());
            }
        }
    }

    #[test]
    fn names_of_files_cannot_become_html_or_a_second_header() {
        let mut outcome = night(2, Verdict::Warning);
        outcome.profile = "x\r\nBcc: all@example.org".into();
        let message = rendered(&outcome, &[]);
        assert!(message.html.contains("Mail/&lt;b&gt;lock"));
        assert!(!message.html.contains("<b>lock"));
        assert!(message.text.contains("Mail/<b>lock</b>"));
        assert!(!message.subject.contains(['\r', '\n']));
    }

    #[test]
    fn a_broken_template_of_a_profile_falls_back_and_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("subject.txt");
        let overrides = BTreeMap::from([("subject".to_owned(), path.clone())]);
        let report = Report::new(&night(1, Verdict::Success), &[], &[]);
        std::fs::write(&path, "{{profile}}: {{headline}}").unwrap();
        assert!(
            render(&report, &overrides)
                .unwrap()
                .subject
                .starts_with("home: incremental")
        );
        std::fs::write(&path, "{{nonsense}}").unwrap();
        let message = render(&report, &overrides).unwrap();
        assert!(message.subject.starts_with("[dupr] ok"));
        assert!(message.trouble.unwrap().contains("nonsense"));
    }
}
