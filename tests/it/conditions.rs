//! Conditions of `[run] require`, in worlds made for them: mount namespaces where `/sys` and `/proc` say what a laptop would.

use crate::support::home::{Called, Home, called};
use crate::support::programs::skipped;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Power supplies, each a name and its files.
type Supplies<'a> = &'a [(&'a str, &'a [(&'a str, &'a str)])];

/// Calls dupr where these supplies are, and where these interfaces lead to everywhere.
fn in_a_world(home: &Home, supplies: Supplies<'_>, interfaces: &[&str], words: &[&str]) -> Called {
    let (sys, proc) = (home.path().join("sys"), home.path().join("proc"));
    for folder in [&sys, &proc] {
        let _ = fs::remove_dir_all(folder);
    }
    fs::create_dir(&sys).expect("own folder");
    for (name, files) in supplies {
        fs::create_dir(sys.join(name)).expect("supply");
        for (file, text) in *files {
            fs::write(sys.join(name).join(file), format!("{text}\n")).expect("supply");
        }
    }
    fs::create_dir_all(proc.join("net")).expect("own folder");
    let mut routes =
        "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n".to_owned();
    for name in interfaces {
        // One's own network, and the way to all others.
        routes += &format!("{name} 0001A8C0 00000000 0001 0 0 0 00FFFFFF 0 0 0\n");
        routes += &format!("{name} 00000000 0101A8C0 0003 0 0 0 00000000 0 0 0\n");
    }
    fs::write(proc.join("net/route"), routes).expect("routes");
    fs::write(proc.join("net/ipv6_route"), "").expect("routes");
    let script = "mount -t tmpfs none /sys/class && cp -r \"$1\" /sys/class/power_supply && mount --bind \"$2\" /proc && shift 2 && exec \"$@\"";
    let whole = home.command(words);
    let mut command = Command::new("unshare");
    command
        .args(["-rm", "sh", "-c", script, "sh"])
        .arg(&sys)
        .arg(&proc);
    command
        .arg(whole.get_program())
        .args(whole.get_args())
        .env_clear();
    for (key, value) in whole.get_envs() {
        command.env(key, value.unwrap_or_default());
    }
    called(command.current_dir(home.path()).output().expect("unshare"))
}

/// A home whose profile asks for this, and whether such worlds can be made here.
fn asking(name: &str, require: &str) -> Option<Home> {
    let home = Home::new(name);
    if in_a_world(&home, &[], &[], &["version"]).code != 0 {
        skipped("conditions", "no mounts of one's own can be made here");
        return None;
    }
    home.profile("home", &format!("[run.require]\n{require}\n"));
    assert!(
        Path::new("/proc/self").exists(),
        "the world outside is as it was"
    );
    Some(home)
}

/// A run that was put off: told, in the history, and nothing was done.
fn put_off(home: &Home, told: &Called, why: &str) {
    assert_eq!(told.code, 7, "{}{}", told.stdout, told.stderr);
    assert!(told.stderr.contains(why), "{why}: {}", told.stderr);
    assert!(
        told.stderr.contains("deferred: home backup"),
        "{}",
        told.stderr
    );
    let runs = home.history("home");
    let last = runs.last().expect("a run");
    assert_eq!(last["verdict"], "deferred");
    assert!(last["steps"].to_string().contains(why), "{last}");
}

const BATTERY: (&str, &[(&str, &str)]) =
    ("BAT0", &[("type", "Battery"), ("status", "Discharging")]);

#[test]
fn on_battery_a_run_that_wants_mains_is_put_off() {
    let Some(home) = asking("conditions-power", "power = \"ac\"") else {
        return;
    };
    let backup = |supplies: Supplies<'_>| in_a_world(&home, supplies, &[], &["home", "backup"]);
    let unplugged = ("AC", &[("type", "Mains"), ("online", "0")][..]);
    let plugged = ("AC", &[("type", "Mains"), ("online", "1")][..]);
    put_off(&home, &backup(&[BATTERY, unplugged]), "on battery");
    assert!(home.stored().is_empty());
    // Plugged in; a machine without a battery; one whose mouse has one.
    let mouse = (
        "mouse",
        &[
            ("type", "Battery"),
            ("status", "Discharging"),
            ("scope", "Device"),
        ][..],
    );
    for supplies in [&[BATTERY, plugged][..], &[], &[mouse]] {
        let made = backup(supplies);
        assert_eq!(made.code, 0, "{supplies:?}: {}", made.stderr);
    }
    // What is put off is no failure: the last run that was one stays the last.
    put_off(&home, &backup(&[BATTERY]), "on battery");
    let status = home.expect(0, &["status"]).stdout;
    assert!(status.contains("home     ok"), "{status}");
    // Whoever does not ask is not put off.
    let words = ["home", "backup", "--set", "run.require.power=any"];
    assert_eq!(in_a_world(&home, &[BATTERY], &[], &words).code, 0);
}

#[test]
fn by_a_mobile_connection_a_run_that_wants_another_is_put_off() {
    let Some(home) = asking("conditions-network", "network = \"unmetered\"") else {
        return;
    };
    let backup = |interfaces: &[&str]| in_a_world(&home, &[], interfaces, &["home", "backup"]);
    put_off(&home, &backup(&["wwan0"]), "wwan0, a mobile connection");
    put_off(
        &home,
        &backup(&["eth0", "ppp0"]),
        "ppp0, a mobile connection",
    );
    put_off(&home, &backup(&[]), "no network");
    assert!(home.stored().is_empty());
    let made = backup(&["wlan0"]);
    assert_eq!(made.code, 0, "{}", made.stderr);
    // Any connection is one.
    let words = ["home", "backup", "--set", "run.require.network=online"];
    assert_eq!(in_a_world(&home, &[], &["wwan0"], &words).code, 0);
    put_off(&home, &in_a_world(&home, &[], &[], &words), "no network");
}
