//! `dupr status`: from the history alone it needs neither network nor passphrase; with `--remote` it looks at the targets themselves, and
//! one that is dead is a line and nothing more.

use crate::support::home::Home;
use serde_json::Value;
use std::fs;
use std::net::TcpListener;

/// A URL at which nobody listens: the port was free a moment ago.
fn dead() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    drop(listener);
    format!("webdav://127.0.0.1:{port}/backups")
}

/// A profile with a target nobody reaches and a passphrase nobody has.
fn hopeless(home: &Home, name: &str, more: &str) {
    home.raw_profile(
        name,
        &format!(
            "version = 1\nsource = {:?}\npassphrase = {{ env = \"NOWHERE_SET\" }}\n{more}[target]\nurl = {:?}\n",
            home.source(),
            dead(),
        ),
    );
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

/// What `--remote` says of a profile.
fn remote(home: &Home, profile: &str) -> Value {
    let told = home.dupr(&["status", profile, "--remote", "--json"]);
    json(&told.stdout)["profiles"][0]["remote"].clone()
}

fn strings(list: &Value) -> Vec<String> {
    let list = list.as_array().into_iter().flatten();
    list.map(|v| v.as_str().unwrap_or_default().to_owned())
        .collect()
}

#[test]
fn status_needs_neither_network_nor_passphrase() {
    let home = Home::new("status-alone");
    home.expect(0, &["home", "backup"]);
    // The same history, and nothing left that a look at the target would take.
    hopeless(&home, "home", "");
    fs::remove_file(home.path().join("pass")).expect("the passphrase");
    fs::remove_dir_all(home.target()).expect("the target");
    fs::remove_dir_all(home.path().join(".cache/dupr")).expect("the archive dirs");
    let told = home.expect(0, &["status", "--exit-code", "--json"]);
    let view = json(&told.stdout)["profiles"][0].clone();
    assert_eq!(view["standing"], "ok", "{view}");
    assert!(
        view["last-good"].is_i64() && view["chain-bytes"].as_u64() > Some(0),
        "{view}"
    );
    assert!(view.get("remote").is_none(), "{view}");
    let shown = home.expect(0, &["home", "status", "--exit-code"]).stdout;
    assert!(shown.contains("home     ok     "), "{shown}");
    // Nothing was made in place of the archive dir either.
    assert!(!home.path().join(".cache/dupr/home").exists());
}

#[test]
fn a_dead_target_is_one_line_and_hides_no_other() {
    let home = Home::new("status-dead");
    home.expect(0, &["home", "backup"]);
    hopeless(&home, "gone", "");
    let told = home.expect(0, &["status", "--remote"]).stdout;
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines.len(), 3, "{told}");
    let line = |name: &str| {
        let found = lines.iter().find(|l| l.starts_with(name));
        found.copied().unwrap_or_default().to_owned()
    };
    assert!(
        line("gone").contains("NOT REACHED") && line("gone").contains("127.0.0.1"),
        "{told}"
    );
    assert!(
        line("home").contains("  ok  ") && !line("home").contains("NOT REACHED"),
        "{told}"
    );
    // The code is asked for, and is that of the worst.
    home.expect(13, &["status", "--remote", "--exit-code"]);
    home.expect(0, &["home", "status", "--remote", "--exit-code"]);
    assert_eq!(
        home.dupr(&["status", "--exit-code"]).code,
        6,
        "the dead one never ran"
    );
    let seen = remote(&home, "gone");
    assert_eq!(seen["state"], "unreached", "{seen}");
    assert_eq!(strings(&seen["notes"]).len(), 1, "{seen}");
    // A profile that cannot be read is a line as well.
    home.raw_profile("wrong", "version = 1\nnonsense = 1\n");
    let told = home
        .expect(2, &["status", "--remote", "--exit-code"])
        .stdout;
    assert_eq!(told.lines().count(), 4, "{told}");
    assert!(
        told.contains("BROKEN") && told.contains("NOT REACHED"),
        "{told}"
    );
}

#[test]
fn what_lies_at_the_target_is_held_against_the_archive_dir() {
    let home = Home::new("status-remote");
    assert_eq!(remote(&home, "home")["state"], "empty");
    home.expect(6, &["status", "--remote", "--exit-code"]);
    home.expect(0, &["home", "backup"]);
    home.write("one", "changed\n");
    home.expect(0, &["home", "backup"]);
    let seen = remote(&home, "home");
    assert_eq!(
        (
            &seen["state"],
            &seen["chains"],
            &seen["sets"],
            &seen["unknown-here"]
        ),
        (&"ok".into(), &1.into(), &2.into(), &0.into()),
        "{seen}"
    );
    let newest = seen["newest"].clone();
    let stored = home.stored();
    let bytes = stored
        .iter()
        .map(|p| fs::metadata(p).expect("stored").len());
    assert_eq!(seen["bytes"], bytes.sum::<u64>(), "{seen}");
    // The key is not needed for any of it.
    let pass = home.path().join("pass");
    let aside = home.path().join("pass-aside");
    fs::rename(&pass, &aside).expect("hidden");
    fs::write(&pass, "another").expect("wrong");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(&pass, mode).expect("mode");
    assert_eq!(remote(&home, "home")["state"], "ok");
    fs::rename(&aside, &pass).expect("back");

    // A volume of the increment is gone: what is left ends with the full set.
    let is_increment = |p: &&std::path::PathBuf| {
        let name = p.display().to_string();
        name.contains("duplicity-inc") && name.contains("vol1")
    };
    let volume = home
        .stored()
        .iter()
        .find(is_increment)
        .expect("a volume")
        .clone();
    let kept = fs::read(&volume).expect("volume");
    fs::remove_file(&volume).expect("lost");
    let seen = remote(&home, "home");
    assert_eq!(seen["state"], "differs", "{seen}");
    assert!(
        strings(&seen["differences"])[0].ends_with("volume 1 is missing"),
        "{seen}"
    );
    assert!(seen["newest"].as_i64() < newest.as_i64(), "{seen}");
    // Or shorter than it was stored.
    fs::write(&volume, &kept[..kept.len() - 1]).expect("cut");
    let seen = remote(&home, "home");
    let text = format!("has {} bytes instead of {}", kept.len() - 1, kept.len());
    assert!(strings(&seen["differences"])[0].contains(&text), "{seen}");
    let told = home
        .expect(5, &["status", "--remote", "--exit-code"])
        .stdout;
    assert!(
        told.contains("DIFFERS") && told.contains("volume 1 has"),
        "{told}"
    );
    fs::write(&volume, &kept).expect("mended");
    home.expect(0, &["status", "--remote", "--exit-code"]);

    // A set that this machine knows and the target does not show.
    let manifest = |p: &&std::path::PathBuf| {
        let name = p.display().to_string();
        name.contains("duplicity-inc") && name.contains("manifest")
    };
    let manifest = home
        .stored()
        .iter()
        .find(manifest)
        .expect("a manifest")
        .clone();
    let aside = home.path().join("manifest-aside");
    fs::rename(&manifest, &aside).expect("hidden");
    let seen = remote(&home, "home");
    assert_eq!(seen["state"], "differs", "{seen}");
    assert!(
        strings(&seen["differences"])[0].contains("not at the target"),
        "{seen}"
    );
    fs::rename(&aside, &manifest).expect("back");

    // Another machine, or a lost archive dir and history: what is there counts.
    fs::remove_dir_all(home.path().join(".cache/dupr/home")).expect("archive dir");
    fs::remove_dir_all(home.path().join(".local/state/dupr")).expect("history");
    let seen = remote(&home, "home");
    assert_eq!(
        (&seen["state"], &seen["unknown-here"]),
        (&"ok".into(), &2.into()),
        "{seen}"
    );
    home.expect(6, &["status", "--exit-code"]);
    home.expect(0, &["status", "--remote", "--exit-code"]);
    assert!(
        !home.path().join(".cache/dupr/home").exists(),
        "a look makes nothing"
    );
}

#[test]
fn a_target_that_lost_all_differs_and_one_whose_newest_set_is_old_is_stale() {
    let home = Home::new("status-lost");
    home.profile("home", "[stale]\nafter = \"1D\"\n");
    home.expect(0, &["home", "backup"]);
    // Only the history knows it still.
    fs::remove_dir_all(home.path().join(".cache/dupr/home")).expect("archive dir");
    let aside = home.path().join("target-aside");
    fs::rename(home.target(), &aside).expect("lost");
    let seen = remote(&home, "home");
    assert_eq!(seen["state"], "differs", "{seen}");
    assert!(
        strings(&seen["notes"])[0].contains("is not at the target"),
        "{seen}"
    );
    fs::rename(&aside, home.target()).expect("back");
    // A set of long ago, as somebody else may have left it.
    for path in home.stored() {
        let name = path
            .file_name()
            .expect("name")
            .to_string_lossy()
            .into_owned();
        let parts: Vec<&str> = name.split('.').collect();
        let old = name.replace(parts[1], "20200101T000000Z");
        fs::rename(&path, path.with_file_name(old)).expect("older");
    }
    fs::remove_dir_all(home.path().join(".local/state/dupr")).expect("history");
    let seen = remote(&home, "home");
    assert_eq!(seen["state"], "stale", "{seen}");
    home.expect(6, &["status", "--remote", "--exit-code"]);
}

#[test]
fn a_disk_that_may_be_absent_is_no_trouble() {
    let home = Home::new("status-absent");
    home.raw_profile(
        "home",
        &format!(
            "version = 1\nsource = {:?}\npassphrase = {{ file = {:?} }}\n[[target]]\nname = \"nas\"\nurl = \"file://{}\"\n\
             [[target]]\nname = \"usb\"\nurl = \"file://{}\"\noptional = true\n",
            home.source(),
            home.path().join("pass"),
            home.target().display(),
            home.path().join("usb").display(),
        ),
    );
    fs::create_dir(home.path().join("usb")).expect("a disk");
    home.expect(0, &["home", "backup"]);
    home.expect(0, &["status", "--remote", "--exit-code"]);
    fs::rename(home.path().join("usb"), home.path().join("unplugged")).expect("unplugged");
    let told = home
        .expect(0, &["status", "--remote", "--exit-code"])
        .stdout;
    let line = told
        .lines()
        .find(|l| l.starts_with("home@usb "))
        .unwrap_or_default();
    assert!(
        line.contains("absent") && line.contains("is not there"),
        "{told}"
    );
    // An empty mount point in its place.
    fs::create_dir(home.path().join("usb")).expect("mount point");
    let told = home
        .expect(0, &["home@usb", "status", "--remote", "--exit-code"])
        .stdout;
    assert!(told.contains("is the disk mounted?"), "{told}");
}

/// The only run of the history, and the set it made, as if it were of so many days ago.
fn days_ago(home: &Home, days: i64) {
    let path = home.path().join(".local/state/dupr/home/history.jsonl");
    let mut run = home.history("home").remove(0);
    let earlier = |value: &mut Value| {
        let time = value.as_i64().expect("a time") - days * 86_400;
        *value = time.into();
    };
    earlier(&mut run["started"]);
    earlier(&mut run["ended"]);
    earlier(&mut run["steps"][0]["set"]["full"]["time"]);
    fs::write(path, format!("{run}\n")).expect("history");
}

/// Nobody said when a backup is too old, and nobody planned one: a line in somebody's own crontab is gone.
#[test]
fn no_backup_stays_green_for_ever() {
    let home = Home::new("status-forever");
    home.expect(0, &["home", "backup"]);
    days_ago(&home, 30);
    home.expect(0, &["status", "--exit-code"]);
    home.expect(0, &["watch", "-q"]);
    days_ago(&home, 10);
    let told = home.expect(6, &["status", "--exit-code"]).stdout;
    assert!(told.contains("STALE"), "{told}");
    let said = home.expect(6, &["watch", "-q"]).stderr;
    let why = "without [stale] after 35 d is the limit";
    assert!(said.contains("STALE home") && said.contains(why), "{said}");
    // Whoever says something is believed.
    home.profile("home", "[stale]\nafter = \"90D\"\n");
    home.expect(0, &["status", "--exit-code"]);
    // And a new one ends it.
    home.profile("home", "");
    home.expect(0, &["home", "backup"]);
    home.expect(0, &["status", "--exit-code"]);
}

/// A run that went well and made no set is no backup.
#[test]
fn runs_without_a_set_are_not_green() {
    let home = Home::new("status-no-set");
    home.expect(0, &["home", "backup"]);
    fs::remove_dir_all(home.path().join(".local/state/dupr")).expect("history");
    home.expect(0, &["home", "cleanup"]);
    let told = home.expect(6, &["status", "--exit-code"]).stdout;
    assert!(
        told.contains("no backup") && told.contains("no set is known here"),
        "{told}"
    );
    // At the target there is one.
    home.expect(0, &["status", "--remote", "--exit-code"]);
    home.expect(0, &["home", "backup"]);
    home.expect(0, &["status", "--exit-code"]);
}
