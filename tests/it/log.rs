//! `dupr log`: a past run as a whole, found by its number or by a time; which were there without a profile; what is kept.

use crate::support::home::{CANARY, Home};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

#[test]
fn a_run_is_shown_with_its_report_and_its_whole_log() {
    let home = Home::new("log");
    let more = "[[hook]]\non = \"before\"\nexec = [\"echo\", \"said by the hook\"]\n";
    home.profile("home", more);
    home.expect(0, &["home", "backup"]);
    home.profile(
        "home",
        &more.replace("\"echo\", ", "\"sh\", \"-c\", \"echo why; exit 9\", "),
    );
    home.expect(4, &["home", "full"]);
    // The last one, the one before, with the tool in front and behind.
    let last = home.expect(0, &["log", "home"]).stdout;
    assert!(
        last.contains("\nLog:\n") && last.contains("| why"),
        "{last}"
    );
    assert!(last.contains("ended with exit code 9"), "{last}");
    let first = home.expect(0, &["home", "log", "2"]).stdout;
    assert!(
        first.contains("| said by the hook") && first.contains(" info: "),
        "{first}"
    );
    assert!(
        !first.contains("| why") && !first.contains(CANARY),
        "{first}"
    );
    let lines = first.lines().skip_while(|l| *l != "Log:").skip(1);
    assert!(
        lines.clone().count() > 4 && lines.clone().all(|l| l.starts_with("20")),
        "{first}"
    );
    let told = json(&home.expect(0, &["log", "home", "2", "--json"]).stdout);
    assert_eq!(
        (&told["log-kept"], &told["run"]["batch"]),
        (&true.into(), &"backup".into())
    );
    assert_eq!(told["log"].as_array().expect("lines").len(), lines.count());
    // By a time: the last run that had begun by then.
    let started = home.history("home")[0]["started"].as_i64().expect("a time");
    let told = json(
        &home
            .expect(0, &["log", "home", &started.to_string(), "--json"])
            .stdout,
    );
    assert_eq!(told["run"]["started"], started, "by its second");
    let told = json(&home.expect(0, &["log", "home", "now", "--json"]).stdout);
    assert_eq!(told["run"]["batch"], "full");
    for wrong in ["3", "0", "2001-01-01", "yesterdayish"] {
        let failed = home.expect(2, &["log", "home", wrong]);
        assert!(
            failed.stderr.contains("help: "),
            "{wrong}: {}",
            failed.stderr
        );
    }
    // Without a profile: what ran, over all of them.
    home.profile("other", "");
    home.expect(0, &["other", "backup"]);
    let all = home.expect(0, &["log"]).stdout;
    assert_eq!(all.lines().count(), 4, "{all}");
    assert!(
        all.lines().last().is_some_and(|l| l.contains("other")),
        "{all}"
    );
    assert_eq!(
        home.expect(0, &["log", "-n", "1"]).stdout.lines().count(),
        2
    );
}

#[test]
fn logs_are_private_and_one_that_is_gone_is_said_to_be() {
    let home = Home::new("log-kept");
    let nothing = home.dupr(&["log", "home"]);
    assert!(
        nothing.code != 0 && nothing.stderr.contains("has not run yet"),
        "{}",
        nothing.stderr
    );
    assert!(
        home.expect(0, &["log"])
            .stdout
            .contains("Nothing has run yet")
    );
    home.expect(0, &["home", "backup"]);
    // A look is no run.
    home.expect(0, &["home", "status"]);
    let folder = home.path().join(".local/state/dupr/home/logs");
    let logs: Vec<_> = fs::read_dir(&folder).expect("logs").flatten().collect();
    assert_eq!(logs.len(), 1);
    let mode =
        |path: &std::path::Path| fs::metadata(path).expect("mode").permissions().mode() & 0o777;
    assert_eq!((mode(&folder), mode(&logs[0].path())), (0o700, 0o600));
    fs::remove_file(logs[0].path()).expect("log");
    let told = home.expect(0, &["log", "home"]).stdout;
    assert!(
        told.contains("is not kept any more") && told.contains("\nBatch   backup\n"),
        "{told}"
    );
    let told = json(&home.expect(0, &["log", "home", "--json"]).stdout);
    assert_eq!(told["log-kept"], false);
}

#[test]
fn a_group_and_a_target_have_logs_of_their_own() {
    let home = Home::new("log-group");
    home.profile("other", "");
    fs::write(
        home.path().join(".config/dupr/groups.toml"),
        "[nightly]\nprofiles = [\"home\", \"other\"]\n[[nightly.hook]]\non = \"before\"\nexec = [\"echo\", \"all together\"]\n",
    )
    .expect("groups");
    home.expect(0, &["nightly", "backup"]);
    let told = home.expect(0, &["log", "nightly"]).stdout;
    assert!(told.contains("| all together"), "{told}");
    let told = home.expect(0, &["log", "other"]).stdout;
    assert!(
        !told.contains("all together") && told.contains("other backup"),
        "{told}"
    );
}
