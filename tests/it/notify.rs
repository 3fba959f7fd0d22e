//! Reports other than mail, received by real servers: pings, ntfy, webhooks, metrics, the system's log. What cannot be
//! delivered is told, shown by `dupr status`, and delivered with the next run.

use crate::mail::Authority;
use crate::support::home::{CANARY, Home, called};
use crate::support::sink::Sink;
use regex::Regex;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;

/// A token that must be seen nowhere but in the request it belongs to.
const TOKEN: &str = "tk_canary-0815-token";

/// A file with a secret.
fn secret(home: &Home, name: &str, text: &str) -> String {
    let path = home.path().join(name);
    fs::write(&path, text).expect("secret");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("mode");
    format!("{{ file = {path:?} }}")
}

fn body(request: &Value) -> &str {
    request["body"].as_str().expect("a body")
}

/// Nothing dupr keeps or says holds a secret.
fn nothing_leaks(home: &Home, said: &str) {
    let mut text = said.to_owned();
    let mut open = vec![home.path().join(".local"), home.path().join(".cache")];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).expect("state").flatten() {
            if entry.path().is_dir() {
                open.push(entry.path());
            } else {
                text += &String::from_utf8_lossy(&fs::read(entry.path()).expect("file"));
            }
        }
    }
    for canary in [TOKEN, CANARY, "uuid-canary"] {
        assert!(!text.contains(canary), "{canary} is seen: {text}");
    }
}

#[test]
fn a_ping_tells_start_success_and_the_exit_code_of_a_failure() {
    let home = Home::new("ping");
    let sink = Sink::start(home.path());
    let url = secret(&home, "hc", &sink.url("/ping/uuid-canary"));
    home.profile("home", &format!("[report.ping]\nurl = {url}\n"));
    let good = home.expect(0, &["home", "backup"]);
    let taken = sink.taken();
    let paths: Vec<&str> = taken.iter().filter_map(|r| r["path"].as_str()).collect();
    assert_eq!(paths, ["/ping/uuid-canary/start", "/ping/uuid-canary"]);
    assert!(
        body(&taken[1]).starts_with("ok: home on "),
        "{}",
        body(&taken[1])
    );

    fs::rename(home.source(), home.path().join("away")).expect("rename");
    let bad = home.expect(1, &["home", "backup"]);
    let taken = sink.taken();
    assert_eq!(taken[1]["path"], "/ping/uuid-canary/1");
    assert!(body(&taken[1]).contains("What failed"));

    // Even a run that never began is told, and looking is no run.
    let pass = home.path().join("pass");
    fs::rename(home.path().join("away"), home.source()).expect("rename");
    fs::write(&pass, "another").expect("passphrase");
    home.expect(12, &["home", "full"]);
    assert_eq!(
        sink.lines(),
        ["POST /ping/uuid-canary/start", "POST /ping/uuid-canary/12"]
    );
    fs::write(&pass, CANARY).expect("passphrase");
    home.expect(0, &["home", "status"]);
    assert_eq!(sink.lines(), [""; 0]);
    nothing_leaks(
        &home,
        &format!("{}{}{}", good.stdout, good.stderr, bad.stderr),
    );
}

#[test]
fn a_service_that_is_down_changes_no_backup_and_is_told() {
    let home = Home::new("ping-down");
    let sink = Sink::start(home.path());
    let url = secret(&home, "hc", &sink.url("/ping/uuid-canary"));
    home.profile("home", &format!("[report.ping]\nurl = {url}\n"));
    sink.answer(404);
    let called = home.expect(3, &["home", "backup"]);
    assert!(
        called.stderr.contains("answered 404 Not Found") && !home.stored().is_empty(),
        "{}",
        called.stderr
    );
    let status = home.expect(0, &["status"]);
    let line = "home: 1 report not delivered";
    assert!(status.stdout.contains(line), "{}", status.stdout);
    nothing_leaks(&home, &format!("{}{}", called.stderr, status.stdout));
    sink.answer(200);
    sink.taken();
    // The next sign of life counts; the old one would only confuse.
    home.expect(0, &["home", "backup"]);
    assert_eq!(sink.lines().len(), 2);
    let status = home.expect(0, &["status"]);
    assert!(
        !status.stdout.contains("not delivered"),
        "{}",
        status.stdout
    );
}

#[test]
fn ntfy_is_told_of_failure_and_recovery() {
    let home = Home::new("ntfy");
    let sink = Sink::start(home.path());
    let token = secret(&home, "token", TOKEN);
    home.profile(
        "home",
        &format!(
            "[report.ntfy]\nurl = \"{}\"\ntoken = {token}\n",
            sink.url("/backups")
        ),
    );
    home.expect(0, &["home", "backup"]);
    assert_eq!(sink.lines(), [""; 0]);
    fs::rename(home.source(), home.path().join("away")).expect("rename");
    let failed = home.expect(1, &["home", "backup"]);
    fs::rename(home.path().join("away"), home.source()).expect("rename");
    home.expect(0, &["home", "backup"]);
    let taken = sink.taken();
    assert_eq!(taken.len(), 2, "{taken:?}");
    let headers = &taken[0]["headers"];
    assert_eq!(headers["authorization"], format!("Bearer {TOKEN}"));
    assert_eq!(headers["priority"], "high");
    let title = headers["title"].as_str().expect("a title");
    assert!(title.starts_with("[dupr] FAILED home on "), "{title}");
    assert!(
        body(&taken[0]).contains("No such file"),
        "{}",
        body(&taken[0])
    );
    let title = taken[1]["headers"]["title"].as_str().expect("a title");
    assert!(title.starts_with("[dupr] recovered home on "), "{title}");
    nothing_leaks(&home, &failed.stderr);
}

#[test]
fn a_webhook_posts_the_outcome_or_what_a_template_makes_of_it() {
    let home = Home::new("webhook");
    let sink = Sink::start(home.path());
    let key = secret(&home, "key", &format!("Token {TOKEN}"));
    let hook = |more: &str| {
        let url = sink.url("/hook/uuid-canary");
        let text = format!(
            "[report.webhook]\nurl = \"{url}\"\nheaders = {{ Authorization = {key} }}\n{more}"
        );
        home.profile("home", &text);
    };
    hook("");
    home.expect(0, &["home", "backup"]);
    let taken = sink.taken().remove(0);
    assert_eq!(taken["headers"]["authorization"], format!("Token {TOKEN}"));
    assert_eq!(taken["headers"]["content-type"], "application/json");
    let document: Value = serde_json::from_str(body(&taken)).expect("JSON");
    assert_eq!(
        (&document["code"], &document["status"]),
        (&0.into(), &"ok".into())
    );
    assert_eq!(document["outcome"]["verdict"], "success");
    assert_eq!(
        document["outcome"]["started"],
        home.history("home")[0]["started"]
    );

    let template = home.path().join(".config/dupr/hook.hbs");
    fs::write(
        &template,
        "{\"text\": \"{{status}} {{profile}}\", \"batch\": \"{{outcome.batch}}\"}",
    )
    .expect("template");
    hook("body = \"hook.hbs\"\n");
    home.expect(0, &["home", "backup"]);
    let made: Value = serde_json::from_str(body(&sink.taken()[0])).expect("JSON");
    assert_eq!(
        made,
        serde_json::json!({"text": "ok home", "batch": "backup"})
    );

    // A template that makes no JSON must not swallow the outcome, and is told.
    fs::write(&template, "{\"text\": {{profile}}}").expect("template");
    let told = home.expect(3, &["home", "backup"]);
    assert!(told.stderr.contains("is not JSON"), "{}", told.stderr);
    let whole: Value = serde_json::from_str(body(&sink.taken()[0])).expect("JSON");
    assert_eq!(whole["outcome"]["verdict"], "success");
    nothing_leaks(&home, &told.stderr);
}

#[test]
fn what_could_not_be_delivered_comes_late_and_once() {
    let home = Home::new("late");
    let sink = Sink::start(home.path());
    let url = sink.url("/hook");
    home.profile(
        "home",
        &format!("[report.webhook]\nurl = \"{url}\"\nwhen = [\"failure\"]\n"),
    );
    home.expect(0, &["home", "backup"]);
    sink.answer(400);
    fs::rename(home.source(), home.path().join("away")).expect("rename");
    home.expect(1, &["home", "backup"]);
    fs::rename(home.path().join("away"), home.source()).expect("rename");
    sink.taken();
    // Still down: the run is good, and says that the report was not delivered.
    let again = home.expect(3, &["home", "backup"]);
    assert!(
        again.stderr.contains("late, of the run of"),
        "{}",
        again.stderr
    );
    let status = home.expect(0, &["status", "--json"]);
    let status: Value = serde_json::from_str(&status.stdout).expect("JSON");
    let waiting = &status["profiles"][0]["undelivered"][0];
    assert_eq!(
        (&waiting["notifier"], &waiting["attempts"]),
        (&"webhook".into(), &2.into())
    );
    sink.answer(200);
    sink.taken();
    home.expect(0, &["home", "backup"]);
    let taken = sink.taken();
    assert_eq!(taken.len(), 1, "{taken:?}");
    let document: Value = serde_json::from_str(body(&taken[0])).expect("JSON");
    assert_eq!(
        (&document["late"], &document["status"]),
        (&true.into(), &"FAILED".into())
    );
    assert_eq!(
        document["outcome"]["started"],
        home.history("home")[1]["started"]
    );
    home.expect(0, &["home", "backup"]);
    assert!(sink.taken().is_empty());
}

/// A strict reader of Prometheus' text format: every family has HELP and TYPE in front and stands together, every name and
/// label is one, no sample comes twice. Gives name and labels with the value.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let name = Regex::new(r"^[a-zA-Z_:][a-zA-Z0-9_:]*$").expect("regex");
    let labels = Regex::new(r#"^([a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\n"])*"(?:,|$))+$"#)
        .expect("regex");
    assert!(text.ends_with('\n'), "no newline at the end");
    let (mut found, mut families, mut family) = (BTreeMap::new(), BTreeSet::new(), String::new());
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (of, words) = help.split_once(' ').expect("a help");
            assert!(name.is_match(of) && words.ends_with('.'), "{line}");
            assert_eq!(lines.next(), Some(format!("# TYPE {of} gauge").as_str()));
            assert!(families.insert(of.to_owned()), "{of} stands twice");
            family = of.to_owned();
            continue;
        }
        let (series, value) = line.rsplit_once(' ').expect("a value");
        let (of, rest) = series.split_once('{').expect("labels");
        let inner = rest.strip_suffix('}').expect("labels");
        assert_eq!(of, family, "{line} stands outside of its family");
        assert!(labels.is_match(inner), "{line}");
        let value: f64 = value.parse().expect("a number");
        assert!(
            found.insert(series.to_owned(), value).is_none(),
            "{series} twice"
        );
    }
    // Base units only.
    let other = Regex::new("_(ms|millis|kb|mb|minutes)(_|$)").expect("regex");
    for of in &families {
        assert!(of.starts_with("dupr_") && !of.ends_with("_total"), "{of}");
        assert!(!other.is_match(of), "{of}");
    }
    found
}

#[test]
fn metrics_are_what_prometheus_reads_and_profiles_share_a_file() {
    let home = Home::new("metrics");
    let dir = home.path().join("node");
    fs::create_dir(&dir).expect("folder");
    let file = dir.join("dupr.prom");
    let table = format!("[report.prometheus]\ntextfile = {file:?}\n");
    home.profile("home", &table);
    home.profile("www", &format!("{table}[backup]\nfile-prefix = \"www-\"\n"));
    home.expect(0, &["home", "backup"]);
    home.write("one", "changed\n");
    home.expect(0, &["home,www", "backup"]);
    let mode = fs::metadata(&file).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o644);
    assert_eq!(fs::read_dir(&dir).expect("folder").count(), 1, "leftovers");
    let first = samples(&fs::read_to_string(&file).expect("text"));
    let of = |found: &BTreeMap<String, f64>, name: &str, profile: &str| {
        found
            .get(&format!("dupr_{name}{{profile=\"{profile}\"}}"))
            .copied()
    };
    assert_eq!(of(&first, "last_run_exit_code", "home"), Some(0.0));
    assert_eq!(of(&first, "chain_incrementals", "home"), Some(1.0));
    assert_eq!(of(&first, "last_backup_full", "www"), Some(1.0));
    assert!(of(&first, "last_backup_changed_entries", "home") >= Some(1.0));

    fs::rename(home.source(), home.path().join("away")).expect("rename");
    home.expect(1, &["home", "backup"]);
    let then = samples(&fs::read_to_string(&file).expect("text"));
    assert_eq!(of(&then, "last_run_success", "home"), Some(0.0));
    assert_eq!(of(&then, "last_run_success", "www"), Some(1.0));
    let newest = |found| of(found, "last_backup_timestamp_seconds", "home");
    assert_eq!(newest(&then), newest(&first));
    // A test is no run.
    home.expect(0, &["mail-test", "home"]);
    assert_eq!(samples(&fs::read_to_string(&file).expect("text")), then);
}

#[test]
fn a_pushgateway_gets_the_figures_under_the_name_of_host_and_profile() {
    let home = Home::new("push");
    let sink = Sink::start(home.path());
    home.profile(
        "home",
        &format!("[report.prometheus]\npushgateway = \"{}\"\n", sink.url("/")),
    );
    home.expect(0, &["home", "backup"]);
    let taken = sink.taken();
    assert_eq!(taken[0]["method"], "PUT");
    let path = taken[0]["path"].as_str().expect("a path");
    assert!(
        path.starts_with("/metrics/job/dupr/instance/") && path.ends_with("/profile/home"),
        "{path}"
    );
    assert!(samples(body(&taken[0])).len() > 15);
}

#[test]
fn the_log_of_the_system_gets_a_line() {
    let home = Home::new("syslog");
    let socket = home.path().join("devlog");
    let listener = UnixDatagram::bind(&socket).expect("socket");
    home.profile("home", &format!("[report.syslog]\nsocket = {socket:?}\n"));
    home.expect(0, &["home", "backup"]);
    let mut buffer = [0; 4096];
    let length = listener.recv(&mut buffer).expect("a line");
    let line = String::from_utf8_lossy(&buffer[..length]);
    let form =
        Regex::new(r"^<30>dupr\[\d+\]: ok home on \S+: full, .* \(exit code 0\)$").expect("regex");
    assert!(form.is_match(&line), "{line}");
}

#[test]
fn mail_test_tries_every_way_and_prints_a_line_for_each() {
    let home = Home::new("all-ways");
    let sink = Sink::start(home.path());
    let (mails, socket) = (home.path().join("mails"), home.path().join("devlog"));
    let sendmail = home.script("sendmail", &format!("cat >> {}", mails.display()));
    let listener = UnixDatagram::bind(&socket).expect("socket");
    let address = |path: &str| format!("{:?}", sink.url(path));
    let text = format!(
        "[report.email]\nto = \"ada@example.org\"\nfrom = \"b@example.org\"\nsendmail = {sendmail:?}\n\
         [report.ping]\nurl = {}\n[report.ntfy]\nurl = {}\n[report.webhook]\nurl = {}\n\
         [report.prometheus]\npushgateway = {}\n[report.syslog]\nsocket = {socket:?}\n",
        address("/ping"),
        address("/ntfy"),
        address("/hook"),
        address("/")
    );
    home.profile("home", &text);
    let tested = home.expect(0, &["home", "mail-test"]);
    let host = format!("127.0.0.1:{}", sink.port());
    for line in [
        "sent: email to ada@example.org".to_owned(),
        format!("sent: ping to {host}"),
        format!("sent: ntfy at {host}"),
        format!("sent: webhook at {host}"),
        format!("sent: metrics to pushgateway {host}"),
        format!("sent: line to {}", socket.display()),
    ] {
        assert!(tested.stdout.contains(&line), "{line}: {}", tested.stdout);
    }
    let asked = sink.lines();
    // A test is no sign of life.
    assert_eq!(asked[..3], ["POST /ping/log", "POST /ntfy", "POST /hook"]);
    assert!(asked[3].starts_with("POST /metrics/job/dupr/"), "{asked:?}");
    assert!(
        fs::read_to_string(&mails)
            .expect("mail")
            .contains("dupr mail-test")
    );
    drop(listener);
    sink.answer(500);
    let failed = home.expect(3, &["mail-test", "home"]);
    assert!(failed.stdout.contains("sent: email"), "{}", failed.stdout);
    for name in ["ping", "ntfy", "webhook", "metrics", "line"] {
        assert!(
            failed.stderr.contains(&format!("not sent: {name} ")),
            "{}",
            failed.stderr
        );
    }
    assert!(home.history("home").is_empty());
}

#[test]
fn https_believes_whom_the_system_believes() {
    let home = Home::new("https");
    let Some(authority) = Authority::new(home.path()) else {
        return;
    };
    let sink = Sink::start_tls(
        home.path(),
        &authority.file("localhost.pem"),
        &authority.file("localhost.key"),
    );
    let url = format!("https://localhost:{}/hook", sink.port());
    home.profile("home", &format!("[report.webhook]\nurl = {url:?}\n"));
    let refused = home.expect(3, &["home", "backup"]);
    assert!(refused.stderr.contains("certificate"), "{}", refused.stderr);
    let mut trusting = home.command(&["home", "backup"]);
    trusting.env("SSL_CERT_FILE", authority.file("ca.pem"));
    let run = called(trusting.output().expect("it runs"));
    assert_eq!(run.code, 0, "{}", run.stderr);
    // The report that was refused, and that of this run.
    assert_eq!(sink.lines(), ["POST /hook", "POST /hook"]);
}

/// Moves all runs of a history into the past.
pub fn age(home: &Home, profile: &str, seconds: i64) {
    let path = home
        .path()
        .join(".local/state/dupr")
        .join(profile)
        .join("history.jsonl");
    let older = |mut run: Value| {
        for key in ["started", "ended"] {
            let time = run[key].as_i64().expect("a time") - seconds;
            run[key] = time.into();
        }
        format!("{run}\n")
    };
    let text: String = home.history(profile).into_iter().map(older).collect();
    fs::write(path, text).expect("history");
}

#[test]
fn a_digest_sums_up_all_profiles_and_comes_once() {
    let home = Home::new("digest");
    let mails = home.path().join("mails");
    let sendmail = home.script("sendmail", &format!("cat >> {}", mails.display()));
    let table = format!(
        "[report.email]\nto = \"ada@example.org\"\nfrom = \"b@example.org\"\nsendmail = {sendmail:?}\nwhen = [\"daily-digest\"]\n"
    );
    home.profile("home", &table);
    home.profile("www", &format!("{table}[backup]\nfile-prefix = \"www-\"\n"));
    home.expect(0, &["home,www", "backup"]);
    assert!(!mails.exists(), "there is nothing to sum up yet");
    age(&home, "home", 86_400);
    age(&home, "www", 86_400);
    home.expect(0, &["home,www", "backup"]);
    home.expect(0, &["home", "backup"]);
    let mail = fs::read_to_string(&mails).expect("mail");
    assert_eq!(mail.matches("\nSubject: ").count(), 1, "{mail}");
    assert!(
        mail.contains("Subject: [dupr] digest all profiles on "),
        "{mail}"
    );
    assert!(mail.contains("daily digest: 2 runs, 2 ok"), "{mail}");
    for profile in ["home", "www"] {
        let line = format!("{profile}: ok; 1 run, 1 ok; last good backup");
        assert!(mail.contains(&line), "{line}: {mail}");
    }
}

/// Whoever wants failures and digests gets both when the first run of a day fails.
#[test]
fn a_failure_does_not_cost_the_digest() {
    let home = Home::new("digest-failed");
    let mails = home.path().join("mails");
    let sendmail = home.script("sendmail", &format!("cat >> {}", mails.display()));
    home.profile(
        "home",
        &format!(
            "[report.email]\nto = \"ada@example.org\"\nfrom = \"b@example.org\"\nsendmail = {sendmail:?}\n\
             when = [\"failure\", \"daily-digest\"]\n"
        ),
    );
    home.expect(0, &["home", "backup"]);
    age(&home, "home", 86_400);
    fs::rename(home.source(), home.path().join("aside")).expect("unmount");
    home.expect(1, &["home", "backup"]);
    let mail = fs::read_to_string(&mails).expect("mail");
    let subjects: Vec<&str> = mail
        .lines()
        .filter(|l| l.starts_with("Subject: "))
        .collect();
    assert_eq!(subjects.len(), 2, "{subjects:?}");
    assert!(
        subjects[0].contains("FAILED home") && subjects[1].contains("digest home on "),
        "{subjects:?}"
    );
    home.expect(1, &["home", "backup"]);
    let mail = fs::read_to_string(&mails).expect("mail");
    assert_eq!(mail.matches("] digest ").count(), 1, "told once: {mail}");
}
