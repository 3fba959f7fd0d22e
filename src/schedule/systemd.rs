//! A call as a timer and a service of systemd (systemd.timer(5), systemd.service(5)). Pure.
//!
//! systemd itself spreads starts and makes up for missed ones, so the call is a plain one, unless a condition may put
//! it off: then it is tried again every hour and looks itself whether it is due. A service is held short
//! only where that keeps no backup from working: nothing that hides files, since they are to be backed up; nothing
//! that forbids setuid files, since they are to be restored; and nothing at all where programs of the user's choice
//! run, who may need what is forbidden (sudo, mount, the group of a mail queue).

use super::{Call, calendar, spare_minute};

/// First line of every unit written here; a unit without it is somebody else's.
pub const MARK: &str =
    "# Written by `dupr schedule install`, which writes it anew. Changes: systemctl edit.";

/// Whose manager starts the units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manager {
    /// That of the machine.
    System,
    /// That of the user.
    User,
}

/// Names and texts of the units of a call: the timer, then the service.
pub fn units(call: &Call, manager: Manager) -> [(String, String); 2] {
    let stem = stem(&call.name);
    [
        (format!("{stem}.timer"), timer(call)),
        (format!("{stem}.service"), service(call, manager)),
    ]
}

/// Name of the units of a call, without ending. Characters that names of units cannot have are escaped as
/// `systemd-escape` does.
pub fn stem(name: &str) -> String {
    let mut stem = String::from("dupr-");
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b":_.-".contains(&byte) {
            stem.push(char::from(byte));
        } else {
            stem += &format!("\\x{byte:02x}");
        }
    }
    stem
}

/// The profile whose units these are.
pub fn name_of(stem: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = stem.strip_prefix("dupr-")?;
    while let Some(c) = rest.chars().next() {
        if let Some(escaped) = rest.strip_prefix("\\x") {
            bytes.push(u8::from_str_radix(escaped.get(..2)?, 16).ok()?);
            rest = escaped.get(2..)?;
        } else {
            bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            rest = rest.get(c.len_utf8()..)?;
        }
    }
    String::from_utf8(bytes).ok()
}

fn timer(call: &Call) -> String {
    let mut text = format!(
        "{MARK}\n[Unit]\nDescription={}\n\n[Timer]\n",
        specifiers(&call.about)
    );
    for event in calendar::events(&call.schedule.cron, call.schedule.zone) {
        text += &format!("OnCalendar={event}\n");
    }
    let jitter = call.schedule.jitter.as_secs();
    if looks_itself(call) {
        text += &format!("OnCalendar=*-*-* *:{:02}:00\n", spare_minute(call));
    } else if jitter > 0 {
        text += &format!("RandomizedDelaySec={jitter}\n");
    }
    text += &format!("Persistent={}\n", call.schedule.catch_up);
    text + "\n[Install]\nWantedBy=timers.target\n"
}

/// Whether the call is started more often than it is due.
fn looks_itself(call: &Call) -> bool {
    call.may_be_put_off && call.schedule.catch_up
}

fn service(call: &Call, manager: Manager) -> String {
    let helped = if looks_itself(call) {
        call.scheduled()
    } else {
        call.clone()
    };
    let call = &helped;
    let mut text = format!("{MARK}\n[Unit]\nDescription={}\n", specifiers(&call.about));
    if manager == Manager::System {
        text += "Wants=network-online.target\nAfter=network-online.target\n";
    }
    text += "\n[Service]\nType=oneshot\n";
    for (name, value) in &call.environment {
        text += &format!(
            "Environment={}\n",
            quoted(&specifiers(&format!("{name}={value}")))
        );
    }
    for name in &call.credentials {
        // Looked for in /etc/credstore.
        text += &format!("LoadCredential={}\n", specifiers(name));
    }
    // `:` turns the replacement of variables off, which has no escape in the name of the program.
    let colon = if call.words().any(|w| w.contains('$')) {
        ":"
    } else {
        ""
    };
    let words: Vec<String> = call.words().map(|w| quoted(&specifiers(w))).collect();
    text += &format!("ExecStart={colon}{}\n", words.join(" "));
    // Put off by a condition or a hook: neither done nor failed.
    text += "SuccessExitStatus=7\n";
    // dupr ends what it began and tells its helpers; a volume under way needs a moment.
    text += "KillMode=mixed\nTimeoutStopSec=5min\n";
    if call.alone {
        text += "NoNewPrivileges=yes\nLockPersonality=yes\nRestrictRealtime=yes\n";
        if manager == Manager::System {
            text += "ProtectKernelTunables=yes\nProtectControlGroups=yes\nRestrictNamespaces=yes\n";
        }
    }
    text
}

/// Text in which systemd replaces nothing that begins with `%`.
fn specifiers(text: &str) -> String {
    text.replace('%', "%%")
}

/// A word as systemd reads it, in quotes where it needs them.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=+,@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::super::tests::call;
    use super::*;
    use crate::profile::schedule::Zone;
    use proptest::prelude::*;

    #[test]
    fn a_timer_says_what_the_schedule_does() {
        let [(name, text), _] = units(&call("0 3 13 * 5", 1200, true, Zone::Utc), Manager::User);
        assert_eq!(name, "dupr-home.timer");
        for line in [
            "OnCalendar=*-*-13 03:00:00 UTC",
            "OnCalendar=Fri *-*-* 03:00:00 UTC",
            "RandomizedDelaySec=1200",
            "Persistent=true",
            "WantedBy=timers.target",
        ] {
            assert!(text.lines().any(|l| l == line), "{text}");
        }
        let [(_, text), _] = units(&call("@daily", 0, false, Zone::Local), Manager::User);
        assert!(text.contains("Persistent=false") && !text.contains("RandomizedDelay"));
    }

    #[test]
    fn what_may_be_put_off_is_tried_every_hour() {
        let mut call = call("@daily", 1200, true, Zone::Local);
        call.may_be_put_off = true;
        let [(_, timer), (_, service)] = units(&call, Manager::User);
        assert_eq!(timer.matches("OnCalendar=").count(), 2);
        // The call waits itself.
        assert!(!timer.contains("RandomizedDelaySec") && service.contains(" --scheduled\n"));
        call.schedule.catch_up = false;
        let [(_, timer), (_, service)] = units(&call, Manager::User);
        assert_eq!(timer.matches("OnCalendar=").count(), 1);
        assert!(timer.contains("RandomizedDelaySec") && !service.contains("--scheduled"));
    }

    #[test]
    fn words_are_quoted_and_nothing_in_them_is_replaced() {
        let mut odd = call("@daily", 0, false, Zone::Local);
        odd.arguments[0] = "/etc/a \"b\" 100% $HOME\\x.toml".into();
        odd.about = "dupr: 100% of it".into();
        let [_, (_, text)] = units(&odd, Manager::System);
        assert!(
            text.contains(
                r#"ExecStart=:/usr/local/bin/dupr "/etc/a \"b\" 100%% $HOME\\x.toml" -q"#
            ),
            "{text}"
        );
        assert!(text.contains("Description=dupr: 100%% of it\n"));
        assert!(!text.contains("--scheduled"));
    }

    #[test]
    fn only_what_runs_alone_is_held_short() {
        let mut call = call("@daily", 0, false, Zone::Local);
        let service = |call: &Call, manager| units(call, manager)[1].1.clone();
        let short = service(&call, Manager::System);
        assert!(short.contains("NoNewPrivileges=yes") && short.contains("ProtectKernelTunables"));
        assert!(!service(&call, Manager::User).contains("Protect"));
        // What would hide files from a backup, or keep a setuid file from being restored.
        for line in [
            "ProtectHome",
            "PrivateDevices",
            "ProtectKernelModules",
            "RestrictSUIDSGID",
            "PrivateTmp",
        ] {
            assert!(!short.contains(line), "{line}");
        }
        call.alone = false;
        assert!(!service(&call, Manager::System).contains("NoNewPrivileges"));
    }

    proptest! {
        #[test]
        fn names_of_units_can_be_read_back(name in "\\PC{1,20}") {
            let stem = stem(&name);
            prop_assert!(stem.bytes().all(|b| b.is_ascii_alphanumeric() || b":_.-\\".contains(&b)));
            prop_assert_eq!(name_of(&stem), Some(name));
        }
    }
}
