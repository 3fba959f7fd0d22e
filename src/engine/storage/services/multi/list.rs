//! The list of a `multi` target: a JSON file, as duplicity reads it.
//!
//! An array of objects: `url`, `env` (an array of `name` and `value`), `prefixes`, `description`. What duplicity does not
//! know it passes over; so dupr's own `options`, settings of the service, do no harm there.

use super::super::super::transfer::Transfer;
use super::super::super::url::{Place, TargetUrl};
use super::super::super::{Storage, StorageOptions, open_sharing, settings};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::secret::Secret;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Longest list that is read.
const MOST_BYTES: u64 = 1 << 20;

/// One target of a list.
#[derive(Deserialize)]
pub(super) struct Entry {
    url: String,
    #[serde(default)]
    env: Vec<Variable>,
    /// Starts of the names that are stored here.
    #[serde(default)]
    pub(super) prefixes: Vec<String>,
    #[serde(default)]
    options: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Variable {
    name: String,
    value: String,
}

/// Reads a list.
///
/// # Errors
/// `NotFound` and the like for the file; `Usage` for its content. No error repeats any of it: it may hold secrets.
pub(super) fn read(path: &Path) -> Result<Vec<Entry>> {
    let hint = "multi:// names a JSON file with a list of targets: docs/targets.md shows one";
    let trouble = |e| Error::io("read the list of targets", path, e).with_hint(hint);
    let bytes = std::fs::metadata(path).map_err(trouble)?.len();
    let wrong = |what: String| {
        let text = format!("the list of targets {} {what}", path.display());
        Error::new(ErrorKind::Usage, text).with_hint(hint)
    };
    if bytes > MOST_BYTES {
        return Err(wrong(format!("has more than {MOST_BYTES} bytes")));
    }
    let text = std::fs::read(path).map_err(trouble)?;
    let entries: Vec<Entry> = serde_json::from_slice(&text).map_err(|e| {
        wrong(format!(
            "is not as it should be in line {}, column {}",
            e.line(),
            e.column()
        ))
    })?;
    match entries.is_empty() {
        true => Err(wrong("is empty".to_string())),
        false => Ok(entries),
    }
}

impl Entry {
    /// Opens the target, with the starts of names that are stored there. Settings of all targets are given to those
    /// which know them, and its own come first.
    // COMPAT(dup all): duplicity sets `env` for its whole process, so that it reaches the targets further down in the
    // list too. Here a secret meant for one server is not shown to another.
    pub(super) fn open(
        self,
        subpath: &str,
        options: &StorageOptions,
        transfer: &Arc<Transfer>,
    ) -> Result<(Box<dyn Storage>, Vec<String>)> {
        if !self.url.contains("://") {
            let text = "a target in the list of a multi:// target is no URL";
            return Err(Error::new(ErrorKind::Usage, text));
        }
        let url = TargetUrl::parse(&format!("{}{subpath}", self.url))?;
        if matches!(url.plain().place(), Place::Multi { .. }) {
            let text = "a multi:// target stands in the list of another";
            return Err(Error::new(ErrorKind::Usage, text).with_hint("make one list of them"));
        }
        let mut options = options.clone();
        if let Some(name) = options.settings.keys().find(|n| !settings::exists(n)) {
            let text = format!("no service has an option `{name}`");
            return Err(Error::new(ErrorKind::Usage, text));
        }
        options
            .settings
            .retain(|name, _| settings::fits(name, url.place()));
        options.settings.extend(self.options);
        let own = |wanted: &str| {
            let found = self.env.iter().rev().find(|v| v.name == wanted);
            found.map(|v| Secret::new(v.value.as_str()))
        };
        if let Some(password) = own("BACKEND_PASSWORD").or_else(|| own("FTP_PASSWORD")) {
            options.password = Some(password);
        }
        for variable in self.env {
            options.environment.set(variable.name, variable.value);
        }
        // One that asks to be left alone is no reason to keep the others waiting.
        let own = Arc::new(transfer.of_another());
        let storage =
            open_sharing(&url, &options, &own).map_err(|e| e.within(url.masked().to_string()))?;
        Ok((storage, self.prefixes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn read_text(text: &str) -> Result<Vec<Entry>> {
        let mut file = tempfile::NamedTempFile::new().expect("temp file");
        file.write_all(text.as_bytes()).expect("written");
        read(file.path())
    }

    #[test]
    fn a_list_is_read_as_duplicity_reads_it() {
        let entries = read_text(
            r#"[{"description": "x", "url": "file:///a", "unknown": 3},
                {"url": "sftp://h/x", "env": [{"name": "A", "value": "b"}], "prefixes": ["p_"]}]"#,
        );
        let entries = entries.expect("list");
        assert_eq!(entries.len(), 2);
        assert_eq!(entries[1].prefixes, ["p_"]);
    }

    #[test]
    fn errors_tell_the_place_and_nothing_of_the_content() {
        for bad in [
            "",
            "[]",
            "{}",
            r#"[{"url": 3}]"#,
            r#"[{"url": "file:///a", "env": "canary"}]"#,
            r#"[{"description": "no url"}]"#,
        ] {
            let error = read_text(bad).err().expect("refused");
            assert_eq!(error.kind(), ErrorKind::Usage, "{bad}");
            assert!(!format!("{error:?}").contains("canary"), "{error:?}");
        }
        let error = read(Path::new("/nonexistent/list")).err().expect("absent");
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }

    #[test]
    fn lists_in_lists_and_unknown_settings_are_refused() {
        let open = |json: &str, setting: &str| {
            let options = StorageOptions {
                settings: [(setting.to_string(), "x".to_string())].into(),
                ..StorageOptions::default()
            };
            let transfer = Arc::new(Transfer::new(&options));
            let entry = read_text(json).expect("list").remove(0);
            entry.open("", &options, &transfer).map(|_| ())
        };
        // What another target of the list may need is no mistake.
        open(r#"[{"url": "file:///a"}]"#, "region").expect("opened");
        for (json, setting) in [
            (r#"[{"url": "file:///a"}]"#, "regoin"),
            (r#"[{"url": "multi:///a"}]"#, "region"),
            (r#"[{"url": "par2+multi:///a"}]"#, "region"),
            (r#"[{"url": "/a"}]"#, "region"),
            (
                r#"[{"url": "file:///a", "options": {"region": "x"}}]"#,
                "region",
            ),
        ] {
            let error = open(json, setting).expect_err(json);
            assert_eq!(error.kind(), ErrorKind::Usage, "{json}");
        }
    }
}
