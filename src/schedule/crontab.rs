//! Lines of a crontab, and a crontab with them put in or taken out. Pure; a crontab is bytes, and every byte that is
//! not dupr's own stays.
//!
//! Each call has a block between two comments. Nothing is assigned in it: an assignment in a crontab holds for all
//! lines that follow, whosever they are, so variables stand in the command. `%` is escaped, as cron makes a line end
//! of it. What cron cannot do, waiting for a random time and making up for what was missed, the call does itself: an
//! hourly line looks whether something is due.

use super::{Call, shell_word, spare_minute};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::profile::schedule::Zone;
use std::collections::BTreeMap;

const BEGIN: &str = "# BEGIN dupr ";
const END: &str = "# END dupr ";

/// The block of a call. `ending` is put behind every command, for output that goes elsewhere than into mail.
///
/// # Errors
/// A backslash in a path: cron and shells disagree on it. A schedule in UTC on a cron that only knows local time.
pub fn block(call: &Call, ending: &str, cron_in_utc: bool) -> Result<String> {
    if call.schedule.zone == Zone::Utc && !cron_in_utc {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "{}: cron knows the machine's own clock only, and time-zone is utc",
                call.name
            ),
        )
        .with_hint(
            "install it as systemd timers (--as systemd), or write the time of day of this machine",
        ));
    }
    let helped = call.needs_help();
    let command = command(&if helped {
        call.scheduled()
    } else {
        call.clone()
    })?;
    let fields = call.schedule.cron.fields();
    let mut text = format!("{BEGIN}{}\n", call.name);
    text += &format!("{fields} {command}{ending}\n");
    if call.schedule.catch_up {
        text += &format!("{} * * * * {command}{ending}\n", spare_minute(call));
    }
    text += &format!("{END}{}\n", call.name);
    Ok(text)
}

/// The command of a line, as cron hands it to the user's shell, whichever that is.
fn command(call: &Call) -> Result<String> {
    let mut words = Vec::new();
    if !call.environment.is_empty() {
        words.push("/usr/bin/env".to_owned());
        let variable = |(name, value): &(String, String)| format!("{name}={}", shell_word(value));
        words.extend(call.environment.iter().map(variable));
    }
    words.extend(call.words().map(shell_word));
    let text = words.join(" ");
    if text.contains('\\') {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!("{}: a backslash cannot stand in a crontab", call.name),
        )
        .with_hint("install it as systemd timers (--as systemd)"));
    }
    Ok(text.replace('%', "\\%"))
}

/// Blocks of dupr in a crontab, by name.
///
/// # Errors
/// A block that does not end, or ends without a beginning: somebody edited it, and nobody can say what is whose.
pub fn installed(crontab: &[u8]) -> Result<BTreeMap<String, String>> {
    let mut blocks = BTreeMap::new();
    for piece in pieces(crontab)? {
        if let Piece::Block(name, text) = piece {
            blocks.insert(name, String::from_utf8_lossy(text).into_owned());
        }
    }
    Ok(blocks)
}

/// The crontab with these blocks: those that are there are replaced where they stand, new ones stand at the end.
/// Blocks in `gone` are taken out.
///
/// # Errors
/// As [`installed`].
pub fn merged(
    crontab: &[u8],
    blocks: &BTreeMap<String, String>,
    gone: &[String],
) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    let mut missing = blocks.clone();
    for piece in pieces(crontab)? {
        match piece {
            Piece::Other(bytes) => out.extend_from_slice(bytes),
            Piece::Block(name, old) => {
                if let Some(new) = missing.remove(&name) {
                    out.extend_from_slice(new.as_bytes());
                } else if !gone.contains(&name) && !blocks.contains_key(&name) {
                    out.extend_from_slice(old);
                }
            }
        }
    }
    for block in missing.values() {
        if !out.is_empty() && !out.ends_with(b"\n") {
            out.push(b'\n');
        }
        out.extend_from_slice(block.as_bytes());
    }
    Ok(out)
}

/// The value of an assignment in force where dupr's first block stands, or would stand.
pub fn in_force(crontab: &[u8], variable: &str) -> Option<String> {
    let mut value = None;
    for line in crontab.split(|b| *b == b'\n') {
        let line = String::from_utf8_lossy(line);
        let line = line.trim_start();
        if line.starts_with(BEGIN) {
            break;
        }
        if let Some((name, text)) = line.split_once('=')
            && name.trim() == variable
        {
            let text = text.trim();
            let bare = ['"', '\'']
                .iter()
                .find_map(|q| text.strip_prefix(*q)?.strip_suffix(*q));
            value = Some(bare.unwrap_or(text).to_owned());
        }
    }
    value
}

enum Piece<'a> {
    Other(&'a [u8]),
    Block(String, &'a [u8]),
}

fn pieces(crontab: &[u8]) -> Result<Vec<Piece<'_>>> {
    let broken = |name: &str, what: &str| {
        Error::new(
            ErrorKind::Usage,
            format!("the crontab holds a block of dupr for {name} that {what}"),
        )
        .with_hint("repair or remove its comment lines with crontab -e; nothing was changed")
    };
    let mut pieces = Vec::new();
    let mut open: Option<(String, usize)> = None;
    let mut at = 0;
    for line in crontab.split_inclusive(|b| *b == b'\n') {
        let end = at + line.len();
        let text = String::from_utf8_lossy(line);
        let text = text.trim_end();
        if let Some(name) = text.strip_prefix(BEGIN) {
            if let Some((other, _)) = &open {
                return Err(broken(other, "does not end"));
            }
            open = Some((name.to_owned(), at));
        } else if let Some(name) = text.strip_prefix(END) {
            match open.take() {
                Some((begun, start)) if begun == name => {
                    pieces.push(Piece::Block(
                        begun,
                        crontab.get(start..end).unwrap_or_default(),
                    ));
                }
                Some((begun, _)) => return Err(broken(&begun, "does not end")),
                None => return Err(broken(name, "has no beginning")),
            }
        } else if open.is_none() {
            pieces.push(Piece::Other(line));
        }
        at = end;
    }
    match open {
        Some((name, _)) => Err(broken(&name, "does not end")),
        None => Ok(pieces),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::call;
    use super::*;
    use proptest::prelude::*;

    fn blocks(list: &[&str]) -> BTreeMap<String, String> {
        let block = |name: &&str| {
            let mut call = call("17 2 * * *", 0, false, Zone::Local);
            call.name = (*name).to_owned();
            (call.name.clone(), block(&call, "", false).unwrap())
        };
        list.iter().map(block).collect()
    }

    #[test]
    fn a_line_for_each_start_and_one_that_makes_up() {
        let plain = block(&call("17 2 * * *", 0, false, Zone::Local), "", false).unwrap();
        assert_eq!(
            plain,
            "# BEGIN dupr home\n17 2 * * * /usr/bin/env PATH=/usr/local/bin:/usr/bin:/bin /usr/local/bin/dupr home -q\n# END dupr home\n"
        );
        let all = block(&call("@daily", 1200, true, Zone::Local), "", false).unwrap();
        let lines: Vec<&str> = all.lines().collect();
        assert_eq!(lines.len(), 4);
        assert!(lines[1].starts_with("0 0 * * * ") && lines[1].ends_with(" home -q --scheduled"));
        assert!(lines[2].contains(" * * * * /usr/bin/env ") && lines[2].ends_with("--scheduled"));
        let jitter = block(&call("@daily", 1200, false, Zone::Local), "", false).unwrap();
        assert!(jitter.lines().count() == 3 && jitter.contains("--scheduled"));
        assert!(block(&call("@daily", 0, true, Zone::Utc), "", false).is_err());
    }

    #[test]
    fn percent_is_escaped_and_backslashes_are_refused() {
        let mut odd = call("17 2 * * *", 0, false, Zone::Local);
        odd.arguments[0] = "/etc/50% off/it's.toml".into();
        let text = block(&odd, "", false).unwrap();
        assert!(
            text.contains(r#" '/etc/50\% off/it'"'"'s.toml' -q"#),
            "{text}"
        );
        odd.arguments[0] = "/etc/a\\b.toml".into();
        assert!(block(&odd, "", false).is_err());
    }

    #[test]
    fn other_lines_stay_and_a_second_time_changes_nothing() {
        let own = b"MAILTO=root\n# mine\n0 5 * * * something 50\\%\xff\n\n@reboot x";
        let both = blocks(&["home", "www"]);
        let once = merged(own, &both, &[]).unwrap();
        assert!(once.starts_with(own) && once[own.len()] == b'\n');
        assert_eq!(merged(&once, &both, &[]).unwrap(), once);
        assert_eq!(installed(&once).unwrap(), both);
        // One of them changes where it stands.
        let mut home = blocks(&["home"]);
        home.values_mut()
            .for_each(|b| *b = b.replace("17 2", "18 3"));
        let changed = merged(&once, &home, &[]).unwrap();
        assert_eq!(changed.len(), once.len());
        assert_eq!(installed(&changed).unwrap()["www"], both["www"]);
        let gone = ["home".to_owned(), "www".to_owned()];
        let back = merged(&once, &BTreeMap::new(), &gone).unwrap();
        assert_eq!(&back[..own.len()], own);
        assert_eq!(back.len(), own.len() + 1);
    }

    #[test]
    fn a_block_somebody_tore_is_left_alone() {
        for text in [
            "# BEGIN dupr home\n1 2 * * * x\n",
            "# END dupr home\n",
            "# BEGIN dupr home\n# END dupr www\n",
            "# BEGIN dupr home\n# BEGIN dupr www\n# END dupr www\n",
        ] {
            assert!(
                merged(text.as_bytes(), &blocks(&["home"]), &[]).is_err(),
                "{text}"
            );
        }
    }

    #[test]
    fn assignments_in_force() {
        let text = b"MAILTO=root\n MAILTO = \"\"\nSHELL=/bin/bash\n# BEGIN dupr home\n# END dupr home\nMAILTO=x\n";
        assert_eq!(in_force(text, "MAILTO").as_deref(), Some(""));
        assert_eq!(in_force(text, "SHELL").as_deref(), Some("/bin/bash"));
        assert_eq!(in_force(text, "PATH"), None);
    }

    proptest! {
        #[test]
        fn what_is_put_in_can_be_taken_out(own in "([ -~]{0,20}\n){0,6}") {
            prop_assume!(!own.contains("dupr"));
            let both = blocks(&["home", "www"]);
            let with = merged(own.as_bytes(), &both, &[]).unwrap();
            let names: Vec<String> = both.keys().cloned().collect();
            prop_assert_eq!(merged(&with, &BTreeMap::new(), &names).unwrap(), own.as_bytes());
        }
    }
}
