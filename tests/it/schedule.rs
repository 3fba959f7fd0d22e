//! `dupr schedule` through the program: a crontab, units and lists are put in place and taken out again, and what is
//! written means to cron, systemd and launchd what the profile says.
//!
//! `crontab`, `systemctl` and `loginctl` are stand-ins that keep what they get: nobody's own crontab is touched. Lines are
//! run as cron runs them, units are looked through by `systemd-analyze`.

use crate::support::home::{CANARY, Called, Home, called};
use crate::support::programs::{find, skipped};
use dupr::engine::time::Timestamp;
use dupr::profile::Schedule;
use dupr::profile::schedule::{Cron, Zone};
use dupr::schedule::calendar;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

mod around;
mod copies;
mod systemd;

const DAILY: &str = "[schedule]\ncron = \"17 2 * * *\"\n";

/// A home with stand-ins that come first in the path: `crontab` keeps the file `tab`, the others note their calls.
struct Desk {
    home: Home,
}

impl Desk {
    fn new(name: &str) -> Self {
        let home = Home::new(name);
        let bin = home.path().join("bin");
        fs::create_dir_all(&bin).expect("bin");
        let desk = Self { home };
        let at = desk.home.path().display().to_string();
        desk.program(
            "crontab",
            &format!(
                "cd {at}\nif [ \"$1\" = -l ]; then\n  [ -f broken ] && {{ echo 'cannot read: Input/output error' >&2; exit 1; }}\n  [ -f tab ] || {{ echo 'no crontab for me' >&2; exit 1; }}\n  exec cat tab\nfi\n[ -f refuse ] && {{ echo 'bad minute' >&2; exit 1; }}\ncp \"$1\" tab\n[ -f mangle ] && {{ rm mangle; echo '# more' >> tab; }}\nexit 0"
            ),
        );
        for name in ["systemctl", "loginctl", "launchctl"] {
            desk.program(
                name,
                &format!("echo {name} \"$@\" >> {at}/calls\n[ ! -f {at}/refuse ] || [ \"$2\" != restart ] || exit 1"),
            );
        }
        desk
    }

    fn program(&self, name: &str, text: &str) {
        let path = self.home.path().join("bin").join(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("stand-in");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("mode");
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.home.command(arguments);
        let path = std::env::var("PATH").unwrap_or_default();
        command.env(
            "PATH",
            format!("{}:{path}", self.home.path().join("bin").display()),
        );
        command
    }

    fn expect(&self, code: i32, arguments: &[&str]) -> Called {
        let called = called(self.command(arguments).output().expect("dupr runs"));
        assert_eq!(
            called.code, code,
            "dupr {arguments:?}\n{}{}",
            called.stdout, called.stderr
        );
        called
    }

    fn file(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).unwrap_or_default()
    }
}

/// What cron makes of a line: the times, and the command it gives to a shell.
fn cron_line(line: &str) -> (String, String) {
    let words: Vec<&str> = line.splitn(6, ' ').collect();
    let mut command = String::new();
    let mut chars = words[5].chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' if chars.peek() == Some(&'%') => command.extend(chars.next()),
            '%' => panic!("cron ends the command here: {line}"),
            c => command.push(c),
        }
    }
    (words[..5].join(" "), command)
}

/// Runs a command as cron does: in a shell, with hardly an environment.
fn by_cron(command: &str) -> Called {
    let output = Command::new("/bin/sh")
        .args(["-c", command])
        .env_clear()
        .env("HOME", "/nonexistent")
        .env("PATH", "/usr/bin:/bin")
        .env("SHELL", "/bin/sh")
        .current_dir("/")
        .stdin(Stdio::null())
        .output()
        .expect("sh");
    called(output)
}

#[test]
fn a_crontab_gets_lines_that_cron_can_run() {
    let desk = Desk::new("schedule-crontab");
    let own = "MAILTO=ada@example.org\n# mine\n0 5 * * * cleanup 50\\% \t \n";
    fs::write(desk.file("tab"), own).expect("tab");
    // Planned once a year: due, as it never ran, and not again today.
    desk.home
        .profile("it's 50% off", "[schedule]\ncron = \"0 0 1 1 *\"\n");
    desk.home.profile("www", DAILY);
    let plan = desk.expect(0, &["schedule", "install", "--as", "crontab", "--plan"]);
    assert!(
        plan.stdout.contains("would add www in crontab"),
        "{}",
        plan.stdout
    );
    assert_eq!(desk.text("tab"), own);
    let first = desk.expect(0, &["schedule", "install", "--as", "crontab"]);
    assert!(
        first
            .stdout
            .contains("added www in crontab: 17 2 * * *, next "),
        "{}",
        first.stdout
    );
    let tab = desk.text("tab");
    assert!(tab.starts_with(own), "{tab}");
    assert!(!tab.contains(CANARY));
    // The profile without a schedule is left out, the watch is there.
    assert!(
        !tab.contains("dupr home") && tab.contains("watch -q"),
        "{tab}"
    );
    let again = desk.expect(0, &["schedule", "install", "--as", "crontab"]);
    assert!(again.stdout.contains("unchanged www"), "{}", again.stdout);
    assert_eq!(desk.text("tab"), tab);

    let line = tab
        .lines()
        .find(|l| l.starts_with("0 0 1 1 *"))
        .expect("the line");
    let (times, command) = cron_line(line);
    assert_eq!(times, "0 0 1 1 *");
    // In effect since just now, so what was planned before is not due.
    let early = by_cron(&command);
    assert!(
        early.code == 0 && early.stdout.is_empty() && early.stderr.is_empty(),
        "{}",
        early.stderr
    );
    assert!(desk.home.stored().is_empty());
    fs::remove_file(desk.file(".local/state/dupr/it's 50% off/memory.json")).expect("memory");
    let run = by_cron(&command);
    assert!(run.code == 0 && run.stderr.is_empty(), "{}", run.stderr);
    assert!(!desk.home.stored().is_empty());
    assert_eq!(by_cron(&command).code, 0);
    assert_eq!(
        desk.home.history("it's 50% off").len(),
        1,
        "it was not due a second time"
    );

    let shown = desk
        .expect(0, &["schedule", "show", "--as", "crontab"])
        .stdout;
    assert!(
        shown.contains("in effect") && !shown.contains("differs"),
        "{shown}"
    );
    desk.home.profile(
        "www",
        "[schedule]\ncron = \"18 3 * * *\"\njitter = \"5m\"\n",
    );
    let shown = desk
        .expect(0, &["schedule", "show", "--as", "crontab"])
        .stdout;
    assert!(shown.contains("differs from the profile"), "{shown}");
    let changed = desk.expect(0, &["schedule", "install", "www", "--as", "crontab"]);
    assert!(changed.stdout.contains("changed www"), "{}", changed.stdout);
    assert!(desk.text("tab").contains("18 3 * * * ") && desk.text("tab").contains("0 0 1 1 * "));
    // A profile that is gone leaves with the next installation of all.
    fs::remove_file(desk.file(".config/dupr/www.toml")).expect("remove");
    let shown = desk.expect(0, &["schedule", "show"]).stdout;
    assert!(shown.contains("no profile has this schedule"), "{shown}");
    let all = desk.expect(0, &["schedule", "install", "--as", "crontab"]);
    assert!(all.stdout.contains("removed www"), "{}", all.stdout);
    desk.expect(0, &["schedule", "remove", "--as", "crontab"]);
    assert_eq!(desk.text("tab"), own);
}

/// Debian's own `crontab` looks through what is printed for it; nothing is installed.
#[test]
fn cron_takes_the_lines() {
    let Some(crontab) = find("crontab") else {
        return;
    };
    let desk = Desk::new("schedule-syntax");
    desk.home
        .profile("it's 50% off", "[schedule]\ncron = \"@weekly\"\n");
    desk.home.profile(
        "www",
        "[schedule]\ncron = \"*/5 22-2 1,15 nov-feb fri-mon\"\njitter = \"5m\"\n",
    );
    let lines = desk
        .expect(0, &["schedule", "export", "--as", "crontab"])
        .stdout;
    let file = desk.file("lines");
    let check = |text: &str| {
        fs::write(&file, text).expect("lines");
        let output = Command::new(&crontab).arg("-n").arg(&file).output();
        called(output.expect("crontab"))
    };
    if check("61 2 * * * x\n").stderr.contains("invalid option") {
        skipped("crontab -n", "only Debian's looks through a file");
        return;
    }
    assert_ne!(check("61 2 * * * x\n").code, 0);
    let said = check(&lines);
    assert_eq!(said.code, 0, "{lines}{}{}", said.stdout, said.stderr);
    // And those of a container.
    let recipe = desk
        .expect(0, &["schedule", "export", "--as", "docker"])
        .stdout;
    let (_, inside) = recipe
        .split_once("<<'CRONTAB' /tmp/crontab\n")
        .expect("a crontab");
    let (inside, _) = inside.split_once("\nCRONTAB\n").expect("its end");
    assert!(inside.contains("/proc/1/fd/1"), "{inside}");
    let said = check(&format!("{inside}\n"));
    assert_eq!(said.code, 0, "{inside}{}{}", said.stdout, said.stderr);
}

#[test]
fn a_crontab_is_never_lost() {
    let desk = Desk::new("schedule-trouble");
    desk.home.profile("home", DAILY);
    let own = "0 5 * * * mine\n";
    let install = ["schedule", "install", "--as", "crontab"];
    fs::write(desk.file("tab"), own).expect("tab");
    // It cannot be read: that is not "there is none".
    fs::write(desk.file("broken"), "").expect("flag");
    let called = desk.expect(1, &install);
    assert!(
        called.stderr.contains("Input/output error"),
        "{}",
        called.stderr
    );
    fs::remove_file(desk.file("broken")).expect("flag");
    // It is refused.
    fs::write(desk.file("refuse"), "").expect("flag");
    let called = desk.expect(1, &install);
    assert!(
        called.stderr.contains("bad minute") && called.stderr.contains("crontab.before"),
        "{}",
        called.stderr
    );
    fs::remove_file(desk.file("refuse")).expect("flag");
    assert_eq!(desk.text("tab"), own);
    assert_eq!(desk.text(".local/state/dupr/crontab.before"), own);
    // What was written is not what is there.
    fs::write(desk.file("mangle"), "").expect("flag");
    let called = desk.expect(1, &install);
    assert!(called.stderr.contains("was put back"), "{}", called.stderr);
    assert_eq!(desk.text("tab"), own);
    // Somebody tore a block.
    let torn = format!("{own}# BEGIN dupr home\n");
    fs::write(desk.file("tab"), &torn).expect("tab");
    desk.expect(2, &install);
    assert_eq!(desk.text("tab"), torn);
    // No crontab yet.
    fs::remove_file(desk.file("tab")).expect("tab");
    desk.expect(0, &install);
    assert!(desk.text("tab").starts_with("# BEGIN dupr home\n"));
}

#[test]
fn what_can_never_run_by_itself_is_not_scheduled() {
    let desk = Desk::new("schedule-obstacles");
    let with = |name: &str, secret: &str, more: &str| {
        let text = format!(
            "version = 1\nsource = {:?}\ntarget = \"file://{}\"\npassphrase = {{ {secret} }}\n{more}",
            desk.home.source(),
            desk.home.target().display()
        );
        desk.home.raw_profile(name, &text);
    };
    with("asks", "prompt = \"Pass\"", DAILY);
    let asked = desk.expect(2, &["schedule", "install", "asks", "--as", "crontab"]);
    assert!(
        asked.stderr.contains("asks for a secret at a terminal"),
        "{}",
        asked.stderr
    );
    with("credential", "systemd-credential = \"home-pass\"", DAILY);
    desk.expect(2, &["schedule", "install", "credential", "--as", "crontab"]);
    let units = desk
        .expect(0, &["schedule", "export", "credential", "--as", "systemd"])
        .stdout;
    assert!(units.contains("LoadCredential=home-pass\n"), "{units}");
    with("from-env", "env = \"HOME_PASS\"", DAILY);
    let mut command = desk.command(&["schedule", "install", "from-env", "--as", "crontab"]);
    command
        .env("HOME_PASS", CANARY)
        .env("DUPR_BACKUP__VOLUME_SIZE", "5M");
    let called = called(command.output().expect("dupr runs"));
    assert_eq!(called.code, 0, "{}", called.stderr);
    assert!(
        called.stderr.contains("variable HOME_PASS"),
        "{}",
        called.stderr
    );
    assert!(
        called
            .stderr
            .contains("DUPR_BACKUP__VOLUME_SIZE is set here"),
        "{}",
        called.stderr
    );
    assert!(!desk.text("tab").contains(CANARY) && !desk.text("tab").contains("VOLUME_SIZE"));
    with("none", "file = \"pass\"", "");
    for arguments in [
        &["schedule", "install", "home", "--as", "crontab"][..],
        &["schedule", "install", "nobody", "--as", "crontab"],
        &[
            "schedule",
            "install",
            "from-env",
            "--as",
            "crontab",
            "--set",
            "backup.name=x",
        ],
        &["schedule", "export", "home", "--as", "crontab"],
    ] {
        let before = desk.text("tab");
        desk.expect(2, arguments);
        assert_eq!(desk.text("tab"), before, "{arguments:?}");
    }
}

#[test]
fn exports_are_what_others_can_read() {
    let desk = Desk::new("schedule-export");
    desk.home.profile(
        "home",
        "[schedule]\ncron = \"*/30 2 * * mon-fri\"\njitter = \"5m\"\ntime-zone = \"utc\"\n",
    );
    let export = |form: &str| desk.expect(0, &["schedule", "export", "--as", form]).stdout;
    // Lists, one after the other, as Python's reader of property lists understands them.
    let lists = export("launchd");
    let read = "import sys, plistlib, json\nparts = ['<?xml' + p for p in sys.stdin.read().split('<?xml')[1:]]\nprint(json.dumps([plistlib.loads(p.encode()) for p in parts]))";
    let mut python = Command::new("python3")
        .args(["-c", read])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3");
    std::io::Write::write_all(&mut python.stdin.take().expect("stdin"), lists.as_bytes())
        .expect("write");
    let output = python.wait_with_output().expect("python3");
    let lists: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(lists[0]["Label"], "org.dupr.home");
    assert_eq!(
        lists[0]["StartCalendarInterval"]
            .as_array()
            .expect("times")
            .len(),
        10
    );
    assert_eq!(
        lists[0]["StartCalendarInterval"][1],
        serde_json::json!({"Weekday": 1, "Hour": 2, "Minute": 30})
    );
    assert_eq!(lists[0]["ProgramArguments"][3], "--scheduled");
    assert_eq!(lists[0]["RunAtLoad"], true);
    let manifest = export("kubernetes");
    for part in [
        "kind: CronJob\n",
        "  schedule: \"0,30 2 * * 1,2,3,4,5\"\n",
        "  timeZone: \"Etc/UTC\"\n",
        "  concurrencyPolicy: Forbid\n",
        "                - \"--scheduled\"\n",
    ] {
        // `*/30` stays what it is.
        let part = part.replace("0,30 2", "*/30 2");
        assert!(manifest.contains(&part), "{part}\n{manifest}");
    }
    let recipe = export("docker");
    assert!(
        recipe.contains("FROM debian:12-slim")
            && recipe.contains("/usr/local/bin/dupr home -q --scheduled >/proc/1/fd/1"),
        "{recipe}"
    );
    for text in [manifest, recipe, export("systemd"), lists.to_string()] {
        assert!(!text.contains(CANARY));
    }
    assert!(
        !desk.file("calls").exists() && !desk.file("tab").exists(),
        "an export changes nothing"
    );
}

#[test]
fn runs_never_overlap() {
    let desk = Desk::new("schedule-overlap");
    let gate = desk.file("gate");
    // Holds the run until there is a gate, or for half a minute.
    let hold = format!(
        "touch {}; for i in $(seq 300); do [ -e {} ] && exit 0; sleep 0.1; done",
        desk.file("in").display(),
        gate.display()
    );
    desk.home.profile("home", &format!("[schedule]\ncron = \"0 0 1 1 *\"\n[[hook]]\non = \"before\"\nexec = [\"sh\", \"-c\", {hold:?}]\n"));
    let wait_for_it = || {
        for _ in 0..300 {
            if desk.file("in").exists() {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("the run did not begin");
    };
    for (first, scheduled) in [
        (&["home", "-q"][..], false),
        (&["home", "-q", "--scheduled"], true),
    ] {
        let _ = fs::remove_file(&gate);
        let _ = fs::remove_file(desk.file("in"));
        let _ = fs::remove_dir_all(desk.file(".local"));
        let run = desk
            .command(first)
            .stdout(Stdio::null())
            .spawn()
            .expect("dupr");
        wait_for_it();
        let second = desk.expect(7, &["home", "-q", "--scheduled"]);
        assert!(
            second.stdout.is_empty() && second.stderr.is_empty(),
            "{}",
            second.stderr
        );
        // Not quiet, it says why.
        let third = desk.expect(7, &["home", "--scheduled"]);
        let why = if scheduled {
            "another scheduled start"
        } else {
            "locked by"
        };
        assert!(third.stderr.contains(why), "{}", third.stderr);
        desk.expect(11, &["home", "backup"]);
        fs::write(&gate, "").expect("gate");
        let mut run = run;
        assert!(run.wait().expect("dupr").success());
    }
}

#[test]
fn a_scheduled_start_needs_a_schedule_and_says_what_it_does() {
    let desk = Desk::new("schedule-due");
    let called = desk.expect(2, &["home", "backup", "--scheduled"]);
    assert!(
        called.stderr.contains("has no [schedule]"),
        "{}",
        called.stderr
    );
    desk.home
        .profile("home", "[schedule]\ncron = \"0 0 1 1 *\"\n");
    desk.expect(0, &["home", "backup", "--scheduled"]);
    let second = desk.expect(0, &["home", "backup", "--scheduled"]);
    assert!(
        second
            .stderr
            .contains("nothing is due; the next start is planned for"),
        "{}",
        second.stderr
    );
    let json = desk
        .expect(0, &["home", "backup", "--scheduled", "--json"])
        .stdout;
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["runs"], serde_json::json!([]));
    assert_eq!(desk.home.history("home").len(), 1);
}

#[test]
fn what_a_condition_put_off_is_tried_again_and_recorded_once() {
    let desk = Desk::new("schedule-put-off");
    let profile = |room: &str| {
        desk.home.profile("home", &format!("[schedule]\ncron = \"0 0 1 1 *\"\n[run]\nrequire = {{ min-free-temp = \"{room}\" }}\n"));
    };
    profile("900000 TiB");
    for _ in 0..3 {
        let called = desk.expect(7, &["home", "-q", "--scheduled"]);
        assert!(called.stderr.is_empty(), "{}", called.stderr);
    }
    assert_eq!(desk.home.history("home").len(), 1);
    profile("1 KiB");
    desk.expect(0, &["home", "-q", "--scheduled"]);
    assert!(!desk.home.stored().is_empty());
}

#[test]
fn the_calendar_of_what_would_exist() {
    let desk = Desk::new("schedule-calendar");
    let rules = "[backup]\nfull-every = \"1M\"\n[retention]\nkeep-fulls = 3\n";
    desk.home.profile("home", &format!("{rules}{DAILY}"));
    let text = desk
        .expect(0, &["plan", "home", "--prune", "--simulate", "2Y"])
        .stdout;
    assert!(text.starts_with("home backup_purge: 730 runs, "), "{text}");
    assert!(
        text.contains("keep-fulls 3: this is the 4th")
            && text.contains("the newest restorable chain"),
        "{text}"
    );
    // As the profile runs by itself, nothing would ever go.
    let text = desk.expect(0, &["home", "plan", "--simulate", "1Y"]).stdout;
    assert!(
        text.contains("[retention] needs a purge in the batch"),
        "{text}"
    );
    let json = desk
        .expect(0, &["plan", "--prune", "--simulate", "1Y", "--json"])
        .stdout;
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let calendar = &json["calendars"][0];
    assert_eq!(calendar["chains"].as_array().expect("chains").len(), 3);
    assert!(
        calendar["events"][12]["removed"][0]["reason"]
            .as_str()
            .expect("reason")
            .contains("keep-fulls")
    );
    assert!(desk.home.stored().is_empty() && !desk.file(".cache").exists());
    for arguments in [
        &["plan", "home", "--simulate", "soon"][..],
        &["plan", "home", "backup", "--prune"],
        &["plan", "--prune"],
        &["plan", "home", "--simulate", "90Y"],
    ] {
        desk.expect(2, arguments);
    }
    let prune = desk.expect(0, &["plan", "home", "--prune"]).stdout;
    assert!(prune.starts_with("home purge "), "{prune}");
}
