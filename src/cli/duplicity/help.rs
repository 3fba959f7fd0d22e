//! `--help` and `--help-urls`, from the tables.

use super::args::ACTIONS;
use super::flags::{Effect, Group, TABLE};
use super::manual;
use std::fmt::Write as _;

/// Forms of the command line.
pub(super) const USAGE: &str = "\
usage: duplicity [ACTION] [options] ARGUMENTS      (options may stand anywhere)

  backup|full|incremental SOURCE URL       restore URL DIRECTORY
  verify URL DIRECTORY                     list-current-files URL
  collection-status URL                    cleanup URL
  remove-older-than TIME URL               remove-all-but-n-full COUNT URL
  remove-all-inc-of-but-n-full COUNT URL   replicate URL URL

Without an action, SOURCE URL is a backup and URL DIRECTORY a restore.
";

/// The help: usage, short names of actions, and every option with what becomes of it.
pub fn help() -> String {
    let mut text = format!("{USAGE}Short names:");
    for (_, names, _) in ACTIONS.iter().filter(|(_, names, _)| names.len() > 1) {
        let _ = write!(text, " {}", names.join("="));
    }
    text.push('\n');
    for group in Group::SHOWN {
        let _ = write!(text, "\n{}:\n", group.title());
        for flag in TABLE.iter().filter(|flag| flag.group == group) {
            let name = manual::head(flag);
            let about = match flag.effect {
                Effect::Honored if flag.means != flag.name => format!("same as --{}", flag.means),
                Effect::Honored => String::new(),
                Effect::Always(why) => format!("always so: {why}"),
                effect => effect.remark().map_or("", |(why, _)| why).to_owned(),
            };
            let _ = writeln!(text, "{}", format!("  {name:<44} {about}").trim_end());
        }
    }
    text
}

/// Forms of target URLs.
pub fn urls() -> String {
    "\
file:///absolute/path    file://relative/path
sftp://[user[:password]@]host[:port]/[/absolute/]path    also scp://, paramiko+sftp://, pexpect+sftp://
s3://bucket[/prefix]    boto3+s3://bucket[/prefix]    with --s3-endpoint-url for other services than Amazon's
s3://host[:port]/bucket[/prefix]    boto+s3://host[:port]/bucket[/prefix]    as 0.8 had them
gs://bucket[/prefix]    b2://[id[:key]@]bucket[/prefix]    azure://container[/prefix]
swift://container[/prefix]    pca://container[/prefix]    dpbx:///folder
gdrive://account/folder[?driveID=id]    also pydrive://, pydrive+gdocs://, gdocs://
onedrive://folder    box:///folder[?config=file]
ftp://[user[:password]@]host[:port]/[/absolute/]path    also ftps://, ftpes://, lftp+ftp[s]://, ncftp+ftp://
webdav[s]://[user[:password]@]host[:port]/path    also http[s]://, lftp+webdav[s]://
rsync://[user[:password]@]host[:port]::module/path    rsync://[user@]host[:port]/[/absolute/]path through ssh
rclone://remote:path    a remote rclone is configured for

The URL of any other service is refused with a line that says what to use instead.
"
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_has_every_option_with_its_fate() {
        let help = help();
        for flag in TABLE.iter().filter(|f| f.group != Group::Hidden) {
            assert!(help.contains(&format!("--{}", flag.name)), "{}", flag.name);
            if let Some((why, _)) = flag.effect.remark() {
                assert!(help.contains(why), "{}", flag.name);
            }
        }
        assert!(help.contains("remove-older-than=ro"));
    }
}
