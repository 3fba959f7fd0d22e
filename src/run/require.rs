//! Conditions of `[run] require`: what must hold for a run to start. Not met means "put off", never "failed".

use crate::profile::{Network, Power, Requirements};
use std::path::Path;

/// Why the run should wait, if it should.
pub fn unmet(requirements: &Requirements, temp_dir: &Path) -> Option<String> {
    if requirements.power == Power::Ac && on_battery(Path::new("/sys/class/power_supply")) {
        return Some("on battery, and [run] require asks for power = \"ac\"".to_owned());
    }
    if requirements.network != Network::Any {
        let routes = std::fs::read_to_string("/proc/net/route").unwrap_or_default();
        let routes6 = std::fs::read_to_string("/proc/net/ipv6_route").unwrap_or_default();
        let interfaces = default_interfaces(&routes, &routes6);
        if interfaces.is_empty() {
            return Some("no network, and [run] require asks for one".to_owned());
        }
        if requirements.network == Network::Unmetered
            && let Some(metered) = interfaces.iter().find(|i| is_mobile(i))
        {
            return Some(format!(
                "the network goes through {metered}, a mobile connection"
            ));
        }
    }
    let needed = requirements.min_free_temp;
    if needed > 0 {
        let free = rustix::fs::statvfs(temp_dir)
            .map(|s| s.f_bavail.saturating_mul(s.f_frsize))
            .unwrap_or(u64::MAX);
        if free < needed {
            let mib = |bytes: u64| bytes >> 20;
            return Some(format!(
                "{} has {} MiB free of {} MiB asked for",
                temp_dir.display(),
                mib(free),
                mib(needed)
            ));
        }
    }
    None
}

/// Whether there are batteries and no supply is connected. A machine without either runs from the wall.
fn on_battery(supplies: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(supplies) else {
        return false;
    };
    let mut battery = false;
    for path in entries.filter_map(|e| Some(e.ok()?.path())) {
        let read = |name: &str| {
            std::fs::read_to_string(path.join(name))
                .unwrap_or_default()
                .trim()
                .to_owned()
        };
        match read("type").as_str() {
            "Mains" | "USB" if read("online") == "1" => return false,
            // A battery in a mouse or keyboard says `Device`.
            "Battery" if read("scope") != "Device" => battery |= read("status") == "Discharging",
            _ => {}
        }
    }
    battery
}

/// Interfaces with a route to everywhere.
fn default_interfaces(routes: &str, routes6: &str) -> Vec<String> {
    let field = |line: &str, n: usize| {
        line.split_whitespace()
            .nth(n)
            .unwrap_or_default()
            .to_owned()
    };
    let v4 = routes
        .lines()
        .skip(1)
        .filter(|l| field(l, 1) == "00000000" && field(l, 7) == "00000000");
    let v6 = routes6.lines().filter(|l| {
        let all_zero = field(l, 0).bytes().all(|b| b == b'0');
        all_zero && field(l, 1) == "00" && field(l, 9) != "lo"
    });
    v4.map(|l| field(l, 0))
        .chain(v6.map(|l| field(l, 9)))
        .collect()
}

/// Whether a name is one that systemd or the kernel gives to a modem.
fn is_mobile(interface: &str) -> bool {
    ["wwan", "ww", "ppp", "rmnet"]
        .iter()
        .any(|prefix| interface.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batteries_and_supplies() {
        let dir = tempfile::tempdir().unwrap();
        let supply = |name: &str, files: &[(&str, &str)]| {
            let path = dir.path().join(name);
            std::fs::create_dir_all(&path).unwrap();
            for (file, text) in files {
                std::fs::write(path.join(file), text).unwrap();
            }
        };
        assert!(!on_battery(dir.path()));
        supply(
            "mouse",
            &[
                ("type", "Battery\n"),
                ("scope", "Device\n"),
                ("status", "Discharging\n"),
            ],
        );
        assert!(!on_battery(dir.path()));
        supply(
            "BAT0",
            &[("type", "Battery\n"), ("status", "Discharging\n")],
        );
        supply("AC", &[("type", "Mains\n"), ("online", "0\n")]);
        assert!(on_battery(dir.path()));
        supply("AC", &[("online", "1\n")]);
        assert!(!on_battery(dir.path()));
    }

    #[test]
    fn default_routes() {
        let v4 = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n\
                  wwan0 00000000 0102A8C0 0003 0 0 600 00000000 0 0 0\n\
                  eth0 0000A8C0 00000000 0001 0 0 600 0000FFFF 0 0 0\n";
        assert_eq!(default_interfaces(v4, ""), ["wwan0"]);
        let v6 = "00000000000000000000000000000000 00 00000000000000000000000000000000 00 0 ffffffff 1 0 00200200 lo\n\
                  00000000000000000000000000000000 00 00000000000000000000000000000000 00 fe80 00000400 1 0 00000003 eth0\n";
        assert_eq!(default_interfaces("", v6), ["eth0"]);
        assert!(is_mobile("wwan0") && !is_mobile("wlan0"));
    }

    #[test]
    fn free_space() {
        let asked = |bytes| Requirements {
            min_free_temp: bytes,
            ..Requirements::default()
        };
        assert_eq!(unmet(&asked(1), Path::new("/")), None);
        assert!(
            unmet(&asked(u64::MAX), Path::new("/"))
                .unwrap()
                .contains("MiB free")
        );
        assert_eq!(
            unmet(&Requirements::default(), Path::new("/nonexistent")),
            None
        );
    }
}
