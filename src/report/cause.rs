//! Kinds of trouble in a few words, and what helps against them.

use crate::engine::error::ErrorKind;
use crate::run::outcome::{Failure, Outcome};

/// A few words for the subject of a mail: `target full`.
pub fn headline(failure: &Failure, target: &str) -> String {
    let words = match failure.kind {
        None => return failure.message.clone(),
        Some(ErrorKind::Full) if failure.message.contains(target) => "target full",
        Some(ErrorKind::Full) => "no space left",
        Some(ErrorKind::Unreachable) => "target unreachable",
        Some(ErrorKind::RateLimited) => "target asks to slow down",
        Some(ErrorKind::Denied) => "access denied",
        Some(ErrorKind::Corrupt) => "stored data is damaged",
        Some(ErrorKind::WrongKey) => "wrong passphrase or key",
        Some(ErrorKind::Locked) => "locked by another run",
        Some(ErrorKind::NoBackup) => "no backup found",
        Some(ErrorKind::Source) => "source missing or unreadable",
        Some(ErrorKind::Clock) => "clock is behind the newest set",
        Some(ErrorKind::Mismatch) => "target belongs to another host or source",
        Some(ErrorKind::Interrupted) => "interrupted",
        Some(ErrorKind::Internal) => "internal error",
        Some(_) => return failure.message.clone(),
    };
    words.to_owned()
}

/// What usually helps, where the error itself does not say it.
fn advice(kind: ErrorKind, profile: &str) -> Option<String> {
    let text = match kind {
        ErrorKind::Full => format!(
            "Free space at the target, or keep less: `dupr {profile} purge --plan` shows what [retention] would remove."
        ),
        ErrorKind::Unreachable => {
            format!("Check the network and that the target answers, then run `dupr {profile} backup` again.")
        }
        ErrorKind::RateLimited => "Lower `connections` under [target], or run at another hour.".to_owned(),
        ErrorKind::Denied => "Check the credentials of [target], and who may read the files named above.".to_owned(),
        ErrorKind::Corrupt => format!(
            "Start a new chain with `dupr {profile} full`, then look at `dupr {profile} verify`. Keep the damaged \
             chain until its older states are not needed."
        ),
        ErrorKind::WrongKey => {
            "Check `passphrase` and [keys] of the profile: they must be those the backup was made with.".to_owned()
        }
        ErrorKind::Locked => {
            "Wait for the other run. If it hangs, end it; its lock goes with it and needs no removal.".to_owned()
        }
        ErrorKind::NoBackup => format!("Make a first backup: `dupr {profile} backup`."),
        ErrorKind::Source => "Check that the source is there and mounted.".to_owned(),
        ErrorKind::Clock => "Set the clock right (`timedatectl`), then run again.".to_owned(),
        ErrorKind::Mismatch => "Check that `source` and `target` of the profile belong together.".to_owned(),
        ErrorKind::Interrupted => format!("Run `dupr {profile} backup` again: it goes on where it stopped."),
        ErrorKind::Io => "Look at the place that is named: is it there, may it be written, and is its disk sound?".to_owned(),
        ErrorKind::Internal => format!(
            "This is a fault of dupr itself. Run it again; if it comes back, report it with what `dupr history {profile} --report 1` shows."
        ),
        _ => return None,
    };
    Some(text)
}

/// Advice with the words to type for this run: one that makes no set is not told to.
fn of_this_run(text: &str, outcome: &Outcome) -> String {
    let text = text.replace("`list`", &format!("`dupr {} list`", outcome.profile));
    let text = match text.strip_suffix("that is empty or does not exist.") {
        Some(_) => format!(
            "{text} With --overwrite never what is missing is added to one that holds something."
        ),
        None => text,
    };
    let words = outcome.batch.split(|c: char| !c.is_alphanumeric());
    let making = ["backup", "bkp", "full", "incr"];
    if words.into_iter().any(|word| making.contains(&word)) {
        return text;
    }
    let again = format!("`dupr {} backup` again", outcome.profile);
    text.replace(
        &format!("Run {again}: it goes on where it stopped."),
        "Run it again.",
    )
    .replace(&format!("run {again}"), "run it again")
}

/// First words of steps that read what is stored.
const READING: [&str; 4] = ["restore", "fetch", "verify", "check"];

/// What to type when stored data turned out to be damaged.
fn what_is_left(outcome: &Outcome) -> String {
    let profile = &outcome.profile;
    // The name of a profile stands for its first target.
    let recover = match profile.split_once('@') {
        Some((base, _)) => format!("dupr recover {} DIR --profile {base}", outcome.target),
        None => format!("dupr recover {profile} DIR"),
    };
    format!(
        "`{recover}` restores all that is left into an empty folder, and lists what is lost or doubtful. \
         `dupr {profile} full` starts a new chain; keep the damaged one until its older states are not needed."
    )
}

/// Every failure of a run, in order, with the step it belongs to.
pub fn failures(outcome: &Outcome) -> impl Iterator<Item = (Option<&str>, &Failure)> {
    let steps = outcome
        .steps
        .iter()
        .filter_map(|s| s.failure.as_ref().map(|f| (Some(s.title.as_str()), f)));
    outcome.failure.iter().map(|f| (None, f)).chain(steps)
}

/// What to do next, without repetitions.
pub fn next_steps(outcome: &Outcome) -> Vec<String> {
    let mut list: Vec<String> = Vec::new();
    for (step, failure) in failures(outcome) {
        let hint = failure.hint.as_ref().map(|h| sentence(h));
        let reads = step.is_some_and(|title| READING.iter().any(|word| title.starts_with(word)));
        let text = hint.or_else(|| match failure.kind {
            Some(ErrorKind::Corrupt) if reads => Some(what_is_left(outcome)),
            kind => kind.and_then(|k| advice(k, &outcome.profile)),
        });
        let text = text.map(|t| of_this_run(&t, outcome));
        if let Some(text) = text.filter(|t| !list.contains(t)) {
            list.push(text);
        }
    }
    list
}

/// A hint with a capital and a full stop. One that begins with a program or a path keeps its first letter.
fn sentence(hint: &str) -> String {
    let mut chars = hint.chars();
    let first = chars
        .next()
        .map(|c| c.to_uppercase().to_string())
        .unwrap_or_default();
    let end = if hint.ends_with(['.', '!', '?', '`']) {
        ""
    } else {
        "."
    };
    format!("{first}{}{end}", chars.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(kind: Option<ErrorKind>, message: &str) -> Failure {
        Failure {
            kind,
            message: message.into(),
            hint: None,
        }
    }

    #[test]
    fn a_full_target_is_told_from_a_full_disk() {
        let target = "file:///mnt/backup";
        let at_target = failure(
            Some(ErrorKind::Full),
            "cannot put x to file:///mnt/backup: no space",
        );
        assert_eq!(headline(&at_target, target), "target full");
        assert_eq!(
            headline(
                &failure(Some(ErrorKind::Full), "cannot write /tmp/x"),
                target
            ),
            "no space left"
        );
        assert_eq!(
            headline(&failure(None, "hook `x` ended with exit code 1"), target),
            "hook `x` ended with exit code 1"
        );
    }

    #[test]
    fn advice_speaks_of_the_run_it_is_given_for() {
        let mut outcome = crate::report::tests::night(0, crate::run::outcome::Verdict::Failed);
        outcome.profile = "home".into();
        let text = "Check it, then run `dupr home backup` again. `list` shows more.";
        outcome.batch = "backup_purge".into();
        assert_eq!(
            of_this_run(text, &outcome),
            text.replace("`list`", "`dupr home list`")
        );
        outcome.batch = "status".into();
        assert_eq!(
            of_this_run(text, &outcome),
            "Check it, then run it again. `dupr home list` shows more."
        );
        outcome.batch = "restore".into();
        let full = "Choose a directory that is empty or does not exist.";
        assert!(of_this_run(full, &outcome).contains("--overwrite never"));
        let advice = advice(ErrorKind::Interrupted, "home").unwrap();
        assert_eq!(of_this_run(&advice, &outcome), "Run it again.");
    }

    #[test]
    fn hints_become_sentences() {
        assert_eq!(sentence("free some space"), "Free some space.");
        assert_eq!(sentence("run `dupr home full`"), "Run `dupr home full`");
    }
}
