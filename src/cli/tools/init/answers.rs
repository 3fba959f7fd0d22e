//! Whether what flags and answers of `dupr init` say can be used, told where it is said.

use crate::cli::args::RESERVED;
use crate::cli::run;
use crate::engine::error::{Error, Result};
use crate::engine::storage::TargetUrl;
use crate::profile::schedule::Cron;
use crate::profile::url;
use std::path::Path;

/// A profile that is there is not written over.
pub fn is_free(file: &Path) -> Result<()> {
    let hint = "choose another name, or edit that file; it was left as it is";
    match file.exists() {
        true => Err(run::usage_error(format!("{} exists", file.display()), hint)),
        false => Ok(()),
    }
}

/// What is to be backed up is there.
pub fn is_there(source: &Path) -> Result<()> {
    let hint = "name a folder or file that is there";
    match source.exists() {
        true => Ok(()),
        false => Err(run::usage_error(
            format!("{} does not exist", source.display()),
            hint,
        )),
    }
}

/// A URL this build can open.
pub fn check_target(url: &str) -> Result<()> {
    let first = "for a first try: file:///tmp/backup";
    if url.is_empty() {
        return Err(run::usage_error("a profile needs a target", first));
    }
    if let Err(text) = url::check_shape(url) {
        let (wrong, help) = text.split_once(": ").unwrap_or((&text, first));
        return Err(run::usage_error(wrong, help));
    }
    let bad = |e: Error| run::usage_error(e.to_string(), e.hint().unwrap_or(first));
    TargetUrl::parse(url).map(|_| ()).map_err(bad)
}

/// A cron expression.
pub fn check_cron(text: &str) -> Result<()> {
    let bad = |e| run::usage_error(format!("{text:?}: {e}"), "five fields as in crontab(5)");
    Cron::parse(text).map(|_| ()).map_err(bad)
}

/// A mail address, or the name of somebody on this machine.
pub fn check_address(text: &str) -> Result<()> {
    let local = |c: char| c.is_alphanumeric() || "._-".contains(c);
    match text.contains('@') && !text.contains(char::is_whitespace) || text.chars().all(local) {
        true => Ok(()),
        false => Err(run::usage_error(
            format!("{text:?} is not a mail address"),
            "write it as me@example.org",
        )),
    }
}

/// A word that can call a profile.
pub fn check_name(name: &str) -> Result<()> {
    let good = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    if RESERVED.contains(&name) {
        return Err(run::usage_error(
            format!("{name} is the name of a tool"),
            "choose another name",
        ));
    }
    if name.is_empty()
        || name.starts_with('.')
        || !name.chars().all(good)
        || name.ends_with(".toml")
    {
        return Err(run::usage_error(
            format!("{name:?} cannot be a name"),
            "use letters, digits, - and _",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_told_with_what_to_write() {
        for (result, said, help) in [
            (check_name("status"), "name of a tool", "another name"),
            (check_name("my home"), "cannot be a name", "letters"),
            (check_target(""), "needs a target", "file:///"),
            (check_target("/mnt/usb"), "no scheme", "file:///mnt/usb"),
            (check_cron("every night"), "five fields", "crontab(5)"),
            (check_address("ada at home"), "mail address", "me@"),
            (
                is_there(Path::new("/no/such")),
                "does not exist",
                "is there",
            ),
        ] {
            let error = result.expect_err(said);
            let hint = error.hint().unwrap_or_default().to_owned();
            assert!(error.to_string().contains(said), "{error}");
            assert!(hint.contains(help), "{error}: {hint}");
        }
    }

    #[test]
    fn what_a_profile_takes_is_taken() {
        for address in ["ada@example.org", "root", "o'hara+x@example.org"] {
            check_address(address).expect(address);
        }
        check_target("file:///mnt/usb").expect("target");
        check_cron("@daily").expect("cron");
        check_name("letters").expect("name");
    }
}
