//! The manual page dupr-duplicity(1), made from the same tables as the help.

use super::args::ACTIONS;
use super::flags::{Arity, Effect, Flag, Group, TABLE};
use super::help;
use std::fmt::Write as _;

const INTRO: &str = "\
Takes the command line of duplicity 0.8.19 to 3.2.1: the same archives, archive dir, options, exit codes and machine log. \
Called by the name duplicity, dupr does the same.
.PP
Both programs can take turns on one target, and on one archive dir: each goes on with a set the other left half-done. \
They must not run at once.
";

const ENVIRONMENT: &[(&str, &str)] = &[
    (
        "PASSPHRASE",
        "Encrypts with a passphrase, or opens the secret key. Set to nothing: nobody is asked.",
    ),
    (
        "SIGN_PASSPHRASE",
        "Opens the signing key, if that is another than PASSPHRASE.",
    ),
    (
        "BACKEND_PASSWORD, FTP_PASSWORD",
        "Password of the target, if the URL has none.",
    ),
    (
        "TMPDIR, TEMP, TMP",
        "Where temporary files go; --tempdir comes first.",
    ),
    (
        "XDG_CACHE_HOME",
        "Archive dirs lie in its folder duplicity; in ~/.cache/duplicity if it is not set.",
    ),
    ("GNUPGHOME", "Where the keys are."),
];

const EXIT: &[(&str, &str)] = &[
    ("0", "Done."),
    ("1", "verify found differences, or data was lost."),
    ("3, 42", "Another host, another source."),
    ("4", "Interrupted; the next run goes on."),
    ("11", "The destination of a restore is in use."),
    ("14 to 16, 70 to 73", "A selection that cannot be meant."),
    ("17", "No chain to add an increment to."),
    ("19", "The path is not in the backup."),
    ("21, 56", "Stored data, or an upload, is damaged."),
    ("22", "The signature that was asked for is missing."),
    ("23", "A wrong command line, or another run holds the lock."),
    ("30", "No backup, a wrong clock, anything unexpected."),
    ("31", "The passphrase or key does not open the backup."),
    (
        "50 to 55",
        "The target cannot be reached, refuses, or is full.",
    ),
];

/// The page, in roff.
pub fn manual() -> String {
    let mut page = format!(
        ".TH DUPR\\-DUPLICITY 1 \"\" \"dupr {}\" \"dupr\"\n.SH NAME\ndupr\\-duplicity \\- instead of duplicity\n.SH SYNOPSIS\n",
        env!("CARGO_PKG_VERSION")
    );
    page.push_str(
        "\\fBdupr duplicity\\fR [\\fIACTION\\fR] [\\fIOPTIONS\\fR] \\fIARGUMENTS\\fR\n.SH DESCRIPTION\n",
    );
    page.push_str(&escaped(INTRO));
    page.push_str(".SH ACTIONS\n.nf\n");
    page.push_str(&escaped(help::USAGE));
    page.push_str(".fi\n.PP\nShort names:");
    for (_, names, _) in ACTIONS.iter().filter(|(_, names, _)| names.len() > 1) {
        let _ = write!(page, " {}", escaped(&names.join("=")));
    }
    page.push_str(".\n.SH OPTIONS\n");
    page.push_str("Options without a word to them do what they do in duplicity.\n");
    for group in Group::SHOWN {
        let _ = writeln!(page, ".SS {}", escaped(group.title()));
        for flag in TABLE.iter().filter(|flag| flag.group == group) {
            let _ = write!(page, ".TP\n\\fB{}\\fR\n", escaped(&head(flag)));
            let fate = fate(flag);
            let _ = writeln!(page, "{}", escaped(&fate));
        }
    }
    page.push_str(".SH TARGETS\n.nf\n");
    page.push_str(&escaped(&help::urls()));
    page.push_str(".fi\n");
    for (title, rows) in [("ENVIRONMENT", ENVIRONMENT), ("EXIT STATUS", EXIT)] {
        let _ = writeln!(page, ".SH {title}");
        for (name, text) in rows {
            let _ = writeln!(page, ".TP\n\\fB{}\\fR\n{}", escaped(name), escaped(text));
        }
    }
    page.push_str(".SH SEE ALSO\n.BR dupr (1),\n.BR duplicity (1),\n.BR rdiffdir (1)\n");
    page
}

/// An option as it is typed.
pub(super) fn head(flag: &Flag) -> String {
    let value = match flag.arity {
        Arity::Flag => "",
        Arity::Value => " VALUE",
        Arity::Pair => " FROM TO",
        Arity::Either => " [VALUE]",
    };
    let short = flag.short.map(|c| format!("-{c}, ")).unwrap_or_default();
    format!("{short}--{}{value}", flag.name)
}

/// What becomes of an option, in a word and its reason.
fn fate(flag: &Flag) -> String {
    match flag.effect {
        Effect::Honored if flag.means != flag.name => format!("Works; same as --{}.", flag.means),
        Effect::Honored => "Works.".into(),
        Effect::Always(why) => format!("Always so: {why}."),
        Effect::Renamed(why) => format!("Works; {why}."),
        Effect::Ignored(why) => format!("No effect: {why}."),
        Effect::Gone(why) => format!("Gone: {why}."),
    }
}

/// Text as roff takes it: backslashes and dashes escaped, no line that begins like a request by accident.
fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    let line = |line: &str| match line.starts_with(['\'']) || line.starts_with(". ") {
        true => format!("\\&{line}"),
        false => line.to_owned(),
    };
    let ends = text.ends_with('\n');
    let lines: Vec<String> = text.lines().map(line).collect();
    lines.join("\n") + if ends { "\n" } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_has_its_fate() {
        let page = manual();
        for flag in TABLE.iter().filter(|f| f.group != Group::Hidden) {
            let head = escaped(&head(flag));
            assert!(
                page.contains(&format!(".TP\n\\fB{head}\\fR\n{}\n", escaped(&fate(flag)))),
                "{}",
                flag.name
            );
        }
        assert!(page.contains("remove\\-older\\-than=ro"));
    }

    #[test]
    fn no_line_is_taken_for_a_request() {
        for line in manual().lines().filter(|l| l.starts_with(['.', '\''])) {
            let request = line.split(' ').next().unwrap_or_default();
            let known = [".TH", ".SH", ".SS", ".TP", ".PP", ".nf", ".fi", ".BR"];
            assert!(known.contains(&request), "{line}");
        }
    }
}
