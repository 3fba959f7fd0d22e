//! A call as a property list of launchd, which starts programs on macOS. Pure.
//!
//! launchd makes up for starts missed in sleep, not for those missed while the machine was off, and spreads nothing:
//! the call looks itself whether it is due, also every hour and when the list is loaded.

use super::Call;
use crate::profile::schedule::Times;
use std::fmt::Write;

/// First line of every list written here; a list without it is somebody else's.
pub const MARK: &str = "<!-- Written by `dupr schedule install`, which writes it anew. -->";

/// What labels begin with.
pub const PREFIX: &str = "org.dupr.";

/// The label of a call.
pub fn label(name: &str) -> String {
    let plain = |c: char| if c == '/' || c == ':' { '_' } else { c };
    format!("{PREFIX}{}", name.chars().map(plain).collect::<String>())
}

/// The property list of a call.
pub fn list(call: &Call) -> String {
    let helped = if call.needs_help() {
        call.scheduled()
    } else {
        call.clone()
    };
    let mut out = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n",
    );
    let _ = writeln!(out, "{MARK}\n<plist version=\"1.0\">\n<dict>");
    let _ = writeln!(
        out,
        "  <key>Label</key>\n  <string>{}</string>",
        text(&label(&call.name))
    );
    let _ = writeln!(out, "  <key>ProgramArguments</key>\n  <array>");
    for word in helped.words() {
        let _ = writeln!(out, "    <string>{}</string>", text(word));
    }
    let _ = writeln!(
        out,
        "  </array>\n  <key>EnvironmentVariables</key>\n  <dict>"
    );
    for (name, value) in &call.environment {
        let _ = writeln!(
            out,
            "    <key>{}</key>\n    <string>{}</string>",
            text(name),
            text(value)
        );
    }
    let _ = writeln!(
        out,
        "  </dict>\n  <key>StartCalendarInterval</key>\n  <array>"
    );
    for times in call.schedule.cron.alternatives() {
        intervals(&mut out, times);
    }
    let _ = writeln!(
        out,
        "  </array>\n  <key>RunAtLoad</key>\n  <{}/>",
        call.schedule.catch_up
    );
    if call.schedule.catch_up {
        let _ = writeln!(out, "  <key>StartInterval</key>\n  <integer>3600</integer>");
    }
    let _ = writeln!(
        out,
        "  <key>ProcessType</key>\n  <string>Background</string>\n</dict>\n</plist>"
    );
    out
}

/// A dictionary for every start that differs: launchd knows single values only, and a key left out means any.
fn intervals(out: &mut String, times: &Times) {
    let all = |values: &[u32], count: usize| -> Vec<Option<u32>> {
        if values.len() == count {
            vec![None]
        } else {
            values.iter().copied().map(Some).collect()
        }
    };
    for month in all(&times.months, 12) {
        for day in all(&times.days, 31) {
            for weekday in all(&times.weekdays, 7) {
                for hour in all(&times.hours, 24) {
                    for minute in all(&times.minutes, 60) {
                        let keys = [
                            ("Month", month),
                            ("Day", day),
                            ("Weekday", weekday),
                            ("Hour", hour),
                            ("Minute", minute),
                        ];
                        let _ = write!(out, "    <dict>");
                        for (key, value) in keys {
                            if let Some(value) = value {
                                let _ = write!(out, "<key>{key}</key><integer>{value}</integer>");
                            }
                        }
                        let _ = writeln!(out, "</dict>");
                    }
                }
            }
        }
    }
}

fn text(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::super::tests::call;
    use super::*;
    use crate::profile::schedule::Zone;

    #[test]
    fn every_start_has_its_dictionary() {
        let mut daily = call("0,30 2 * * mon", 60, true, Zone::Local);
        daily.arguments[0] = "/a&b/<home>.toml".into();
        let list = list(&daily);
        assert_eq!(
            list.matches("<key>Weekday</key><integer>1</integer>")
                .count(),
            2
        );
        assert!(
            list.contains(
                "<key>Hour</key><integer>2</integer><key>Minute</key><integer>30</integer>"
            )
        );
        assert!(list.contains("<string>/a&amp;b/&lt;home&gt;.toml</string>"));
        assert!(list.contains("<string>--scheduled</string>") && list.contains("<true/>"));
        assert!(!list.contains("<key>Day</key>"));
        assert_eq!(label("a/b"), "org.dupr.a_b");
    }
}
