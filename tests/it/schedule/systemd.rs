//! Units: what systemd makes of them.

use super::*;

#[test]
fn units_are_written_loaded_and_taken_out() {
    let desk = Desk::new("schedule-units");
    desk.home.profile(
        "home",
        "[schedule]\ncron = \"0 3 13 * 5\"\njitter = \"20m\"\n",
    );
    let install = ["schedule", "install", "--as", "systemd", "--user"];
    let units = desk.file(".config/systemd/user");
    let first = desk.expect(0, &install);
    assert!(first.stderr.contains("enable-linger"), "{}", first.stderr);
    let timer = fs::read_to_string(units.join("dupr-home.timer")).expect("timer");
    assert!(
        timer.contains("RandomizedDelaySec=1200\nPersistent=true\n"),
        "{timer}"
    );
    let calls = desk.text("calls");
    for call in [
        "systemctl --user daemon-reload",
        "systemctl --user enable dupr-home.timer",
        "systemctl --user restart dupr-home.timer",
        "systemctl --user enable dupr-watch.timer",
    ] {
        assert!(calls.contains(call), "{calls}");
    }
    fs::remove_file(desk.file("calls")).expect("calls");
    desk.expect(0, &install);
    assert!(
        !desk.text("calls").contains("daemon-reload") && !desk.text("calls").contains("restart")
    );
    // systemd refuses: the files are as they were.
    desk.home.profile("home", DAILY);
    fs::write(desk.file("refuse"), "").expect("flag");
    desk.expect(1, &install);
    assert_eq!(
        fs::read_to_string(units.join("dupr-home.timer")).expect("timer"),
        timer
    );
    fs::remove_file(desk.file("refuse")).expect("flag");
    // A unit of the same name that is not dupr's stays.
    fs::write(units.join("dupr-other.timer"), "[Timer]\n").expect("unit");
    desk.home.profile("other", DAILY);
    let refused = desk.expect(2, &install);
    assert!(
        refused.stderr.contains("was not written by dupr"),
        "{}",
        refused.stderr
    );
    fs::remove_file(desk.file(".config/dupr/other.toml")).expect("profile");
    desk.expect(
        0,
        &["schedule", "remove", "home", "--as", "systemd", "--user"],
    );
    let left: Vec<_> = fs::read_dir(&units)
        .expect("units")
        .flatten()
        .map(|e| e.file_name())
        .collect();
    assert_eq!(left, ["dupr-other.timer"]);
    assert!(desk.text("calls").contains("disable --now dupr-home.timer"));
}

#[test]
fn systemd_finds_nothing_to_complain_about() {
    let Some(analyze) = find("systemd-analyze") else {
        return;
    };
    let desk = Desk::new("schedule-verify");
    desk.home.profile(
        "home",
        "description = \"100% of $HOME\"\n[schedule]\ncron = \"0 3 13 * 5\"\njitter = \"20m\"\n",
    );
    desk.home.profile(
        "a \"b\" 50% $HOME",
        "[schedule]\ncron = \"*/5 8-18 * * mon-fri\"\ncatch-up = false\n",
    );
    desk.home.profile(
        "hooked",
        &format!("{DAILY}[[hook]]\non = \"before\"\nexec = [\"true\"]\n"),
    );
    desk.expect(0, &["schedule", "install", "--as", "systemd", "--user"]);
    let units = desk.file(".config/systemd/user");
    let system = desk.file("system");
    fs::create_dir(&system).expect("folder");
    // Those of the machine, cut out of what is exported.
    let text = desk
        .expect(0, &["schedule", "export", "--as", "systemd"])
        .stdout;
    let mut name = String::new();
    for line in text.lines() {
        match line.strip_prefix("# dupr-") {
            Some(rest) => name = format!("dupr-{rest}"),
            None => {
                let path = system.join(&name);
                let old = fs::read_to_string(&path).unwrap_or_default();
                fs::write(path, format!("{old}{line}\n")).expect("unit");
            }
        }
    }
    for (folder, user) in [(units, true), (system, false)] {
        let mut command = Command::new(&analyze);
        command
            .env("XDG_RUNTIME_DIR", desk.home.path())
            .arg("verify");
        if user {
            command.arg("--user");
        }
        let mut files: Vec<PathBuf> = fs::read_dir(&folder)
            .expect("units")
            .flatten()
            .map(|e| e.path())
            .collect();
        files.sort();
        assert_eq!(files.len(), 8);
        let output = called(command.args(&files).output().expect("systemd-analyze"));
        // It ends with 0 whatever it says of a line it does not know.
        let said: Vec<&str> = output
            .stderr
            .lines()
            .filter(|l| l.contains("dupr-"))
            .collect();
        assert!(
            output.code == 0 && said.is_empty(),
            "{folder:?}: {} {}",
            output.code,
            output.stderr
        );
    }
}

/// The next starts of random expressions, as systemd counts them.
#[test]
fn systemd_means_the_same_times() {
    let Some(analyze) = find("systemd-analyze") else {
        return;
    };
    const ROUNDS: usize = 4;
    let mut random = SmallRng::seed_from_u64(7);
    let mut field = |min: u32, max: u32| {
        let (a, b) = (
            random.random_range(min..=max),
            random.random_range(min..=max),
        );
        match random.random_range(0..7) {
            0..=2 => "*".to_owned(),
            3 => a.to_string(),
            4 => format!("*/{}", a.max(1)),
            5 => format!("{a}-{b}"),
            _ => format!("{a},{b}"),
        }
    };
    let base = Timestamp(1_795_176_000);
    let mut seen = 0;
    for _ in 0..80 {
        let text = [
            field(0, 59),
            field(0, 23),
            field(1, 31),
            field(1, 12),
            field(0, 7),
        ]
        .join(" ");
        let Ok(cron) = Cron::parse(&text) else {
            continue;
        };
        let events = calendar::events(&cron, Zone::Utc);
        let output = Command::new(&analyze)
            .env("TZ", "UTC")
            .env("LC_ALL", "C")
            .args([
                "calendar",
                &format!("--iterations={ROUNDS}"),
                &format!("--base-time=@{}", base.as_secs()),
            ])
            .args(&events)
            .output()
            .expect("systemd-analyze");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{text}: {events:?}: {said}");
        let mut theirs: Vec<String> = said
            .lines()
            .filter(|l| l.contains("Next elapse:") || l.contains("Iter. #"))
            .filter_map(|l| l.split_once(": ").map(|(_, t)| t.trim().to_owned()))
            .filter_map(|t| Some(t.split_once(' ')?.1.trim_end_matches(" UTC").to_owned()))
            .collect();
        theirs.sort();
        theirs.dedup();
        theirs.truncate(ROUNDS);
        let schedule = Schedule {
            cron,
            jitter: Duration::ZERO,
            catch_up: true,
            zone: Zone::Utc,
        };
        let mut ours = Vec::new();
        let mut at = base;
        for _ in 0..theirs.len() {
            at = schedule.next_after(at).expect("a next start");
            ours.push(at.to_string().replace('T', " ").replace('Z', ""));
        }
        assert_eq!(ours, theirs, "{text}: {events:?}");
        seen += 1;
    }
    assert!(seen > 50, "only {seen} expressions");
}

/// Units of the machine, in a mount namespace of their own: the folder of this machine is not touched.
#[test]
fn units_of_the_machine_are_written_loaded_and_taken_out() {
    let desk = Desk::new("schedule-machine");
    desk.home
        .profile("home", &format!("{DAILY}jitter = \"20m\"\n"));
    let units = desk.file("machine");
    fs::create_dir(&units).expect("folder");
    let script = "mount --bind \"$1\" /etc/systemd/system && shift && exec \"$@\"";
    let inside = |words: &[&str]| {
        let whole = desk.command(words);
        let mut command = Command::new("unshare");
        command
            .args(["-rm", "sh", "-c", script, "sh"])
            .arg(&units)
            .arg(whole.get_program())
            .args(whole.get_args())
            .env_clear();
        for (key, value) in whole.get_envs() {
            command.env(key, value.unwrap_or_default());
        }
        let output = command.current_dir(desk.home.path()).output();
        called(output.expect("unshare"))
    };
    if inside(&["version"]).code != 0 {
        skipped("units of the machine", "no mounts of one's own can be made");
        return;
    }
    let written = || {
        let entries = fs::read_dir(&units).expect("units").flatten();
        let mut names: Vec<String> = entries
            .map(|e| e.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    };
    let first = inside(&["schedule", "install", "--as", "systemd"]);
    assert_eq!(first.code, 0, "{}{}", first.stdout, first.stderr);
    // Whoever is root needs no session for timers to run in.
    assert!(!first.stderr.contains("linger"), "{}", first.stderr);
    assert_eq!(
        written(),
        [
            "dupr-home.service",
            "dupr-home.timer",
            "dupr-watch.service",
            "dupr-watch.timer"
        ]
    );
    let text = |name: &str| fs::read_to_string(units.join(name)).expect(name);
    let timer = text("dupr-home.timer");
    for line in [
        "RandomizedDelaySec=1200\n",
        "Persistent=true\n",
        "WantedBy=timers.target\n",
    ] {
        assert!(timer.contains(line), "{line}: {timer}");
    }
    let service = text("dupr-home.service");
    assert!(
        service.contains("NoNewPrivileges=yes\n") && !service.contains(CANARY),
        "{service}"
    );
    let calls = desk.text("calls");
    for call in [
        "systemctl daemon-reload",
        "systemctl enable dupr-home.timer",
        "systemctl restart dupr-home.timer",
        "systemctl enable dupr-watch.timer",
    ] {
        assert!(calls.contains(call), "{call}: {calls}");
    }
    assert!(!calls.contains("--user"), "{calls}");
    let shown = inside(&["schedule", "show", "--as", "systemd"]).stdout;
    assert!(
        shown.contains("in effect") && !shown.contains("differs"),
        "{shown}"
    );
    let gone = inside(&["schedule", "remove", "--as", "systemd"]);
    assert_eq!(gone.code, 0, "{}", gone.stderr);
    assert_eq!(written(), [""; 0]);
}
