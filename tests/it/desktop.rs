//! Secrets from the desktop's keyring: GNOME's own, in a session bus of its own.

use crate::support::home::{CANARY, Home, called};
use crate::support::programs::find;
use std::process::Command;

#[test]
fn the_passphrase_comes_from_the_desktops_keyring() {
    let tools = ["dbus-run-session", "gnome-keyring-daemon", "secret-tool"];
    if tools.iter().any(|tool| find(tool).is_none()) {
        return;
    }
    let home = Home::new("desktop-keyring");
    home.raw_profile(
        "home",
        &format!(
            "version = 1\nsource = {:?}\ntarget = \"file://{}\"\npassphrase = {{ keyring = \"home\" }}\n",
            home.source(),
            home.target().display()
        ),
    );
    // Without a keyring the profile is read, and it is told what is missing.
    let failed = home.expect(2, &["home", "backup"]);
    assert!(
        failed.stderr.contains("secret-tool store") && failed.stderr.contains("entry home"),
        "{}",
        failed.stderr
    );
    let script = home.script(
        "session",
        &format!(
            "printf login | gnome-keyring-daemon --unlock --components=secrets >/dev/null 2>&1\nprintf '%s' '{CANARY}' | secret-tool store --label='dupr home' dupr home || exit 90\nexec {} home backup",
            env!("CARGO_BIN_EXE_dupr")
        ),
    );
    let mut command = Command::new("dbus-run-session");
    command
        .arg("--")
        .arg(script)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", home.path())
        .env("XDG_RUNTIME_DIR", home.path())
        .env("TMPDIR", home.path())
        .current_dir(home.path());
    let ran = called(command.output().expect("a session"));
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(!ran.stdout.contains(CANARY) && !ran.stderr.contains(CANARY));
    // It is the passphrase the others know.
    home.profile("known", "[backup]\nname = \"home\"\n");
    let back = home.path().join("back").display().to_string();
    home.expect(0, &["known", "restore", &back]);
    assert!(home.path().join("back/one").is_file());
}
