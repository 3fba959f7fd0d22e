//! What stands around the runs of a schedule: the line that looks for what did not run, what a crontab says above dupr's
//! lines, and a manifest as readers of YAML understand it.

use super::{DAILY, Desk, by_cron, cron_line};
use serde_json::Value;
use std::fs;

/// The command of the one line of a crontab that has these words.
fn command(tab: &str, words: &str) -> String {
    let mut lines = tab.lines().filter(|line| line.contains(words));
    let line = lines.next().unwrap_or_else(|| panic!("no {words}: {tab}"));
    cron_line(line).1
}

#[test]
fn the_line_of_the_watch_tells_what_did_not_run() {
    let desk = Desk::new("schedule-watch");
    let mails = desk.file("mails");
    let sendmail = desk
        .home
        .script("sendmail", &format!("cat >> {}", mails.display()));
    desk.home.profile(
        "home",
        &format!(
            "{DAILY}[report.email]\nto = \"ada@example.org\"\nfrom = \"dupr@example.org\"\nsendmail = {sendmail:?}\n"
        ),
    );
    desk.expect(0, &["schedule", "install", "--as", "crontab"]);
    let tab = desk.text("tab");
    let watch = || by_cron(&command(&tab, "watch -q"));
    let told = || {
        let text = desk.text("mails");
        let _ = fs::remove_file(&mails);
        let subjects = text.lines().filter(|l| l.starts_with("Subject: "));
        subjects.map(str::to_owned).collect::<Vec<_>>()
    };
    // In effect since just now: nothing was missed.
    assert_eq!(watch().code, 0);
    assert_eq!(told(), [""; 0]);
    // In effect for three days, and nobody started it.
    let memory = desk.file(".local/state/dupr/home/memory.json");
    let text = fs::read_to_string(&memory).expect("memory");
    let mut remembered: Value = serde_json::from_str(&text).expect("JSON");
    let since = remembered["scheduled-since"].as_i64().expect("a time");
    remembered["scheduled-since"] = (since - 3 * 86_400).into();
    fs::write(&memory, remembered.to_string()).expect("memory");
    for subject in [Some("STALE home on "), None] {
        let looked = watch();
        assert_eq!(looked.code, 6, "{}{}", looked.stdout, looked.stderr);
        let printed = looked.stdout + &looked.stderr;
        assert!(printed.is_empty(), "{printed}");
        let told = told();
        assert_eq!(told.len(), usize::from(subject.is_some()), "{told:?}");
        assert!(told.iter().all(|t| t.contains(subject.unwrap_or_default())));
    }
    // Its own line makes up for it, and the end is told.
    let run = by_cron(&command(&tab, "17 2 * * * "));
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(!desk.home.stored().is_empty());
    assert_eq!(watch().code, 0);
    let told = told();
    assert!(
        told.len() == 1 && told[0].contains("recovered home on "),
        "{told:?}"
    );
}

#[test]
fn a_crontab_that_mails_nothing_is_told() {
    let desk = Desk::new("schedule-mailto");
    desk.home.profile("home", DAILY);
    let install = ["schedule", "install", "--as", "crontab"];
    for (own, note) in [
        (
            "MAILTO=\"\"\n0 5 * * * mine\n",
            "note: the crontab says MAILTO=\"\"",
        ),
        (
            "SHELL=/bin/bash\n",
            "note: the crontab says SHELL=/bin/bash",
        ),
        ("MAILTO=ada@example.org\n", ""),
    ] {
        fs::write(desk.file("tab"), own).expect("tab");
        let said = desk.expect(0, &install).stderr;
        let noted = said.contains("the crontab says");
        assert!(said.contains(note) && noted != note.is_empty(), "{said}");
        // Nothing is assigned by dupr: that would hold for the lines of others as well.
        let tab = desk.text("tab");
        assert!(tab.starts_with(own), "{tab}");
        let blocks = tab.strip_prefix(own).unwrap_or_default();
        let is_line =
            |l: &str| l.starts_with(['#', '*']) || l.starts_with(|c: char| c.is_ascii_digit());
        assert!(blocks.lines().all(is_line), "{blocks}");
    }
}

/// What Kubernetes is told to run is run here, with the profiles where they are.
#[test]
fn a_manifest_is_yaml_and_its_command_runs() {
    let desk = Desk::new("schedule-kubernetes");
    desk.home.profile(
        "home",
        "[schedule]\ncron = \"0 0 1 1 *\"\njitter = \"1s\"\ntime-zone = \"utc\"\n",
    );
    let text = desk
        .expect(0, &["schedule", "export", "--as", "kubernetes"])
        .stdout;
    let job: Value = serde_saphyr::from_str(&text).expect("YAML");
    assert_eq!(job["kind"], "CronJob");
    let spec = &job["spec"];
    assert_eq!(spec["schedule"], "0 0 1 1 *");
    assert_eq!(spec["concurrencyPolicy"], "Forbid");
    let pod = &spec["jobTemplate"]["spec"]["template"]["spec"];
    assert_eq!(pod["restartPolicy"], "Never");
    let container = &pod["containers"][0];
    // Each mount has its volume, and what is backed up cannot be written.
    let names = |list: &Value| -> Vec<String> {
        let list = list.as_array().expect("a list").iter();
        let mut names: Vec<String> = list
            .map(|v| v["name"].as_str().expect("a name").to_owned())
            .collect();
        names.sort();
        names
    };
    assert_eq!(names(&container["volumeMounts"]), names(&pod["volumes"]));
    let mut mounts = container["volumeMounts"].as_array().expect("mounts").iter();
    let source = mounts.find(|m| m["name"] == "source").expect("the source");
    assert_eq!(source["readOnly"], true);
    assert_eq!(
        source["mountPath"],
        desk.home.source().display().to_string()
    );
    let words = container["command"].as_array().expect("words").iter();
    let words: Vec<&str> = words.filter_map(Value::as_str).collect();
    assert_eq!(words[..2], ["/usr/local/bin/dupr", "--config-dir"]);
    let profiles = desk.file(".config/dupr").display().to_string();
    let call = [&["--config-dir", profiles.as_str()][..], &words[3..]].concat();
    desk.expect(0, &call);
    assert!(!desk.home.stored().is_empty());
}
