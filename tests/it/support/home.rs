//! A user with a home, a source, a target and profiles, and dupr called as a person calls it.

use super::scratch::Scratch;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The passphrase of every profile made here; it must never be seen anywhere.
pub const CANARY: &str = "canary-4711-passphrase";

/// A user's home.
pub struct Home {
    scratch: Scratch,
}

/// What a call of dupr left.
pub struct Called {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Home {
    /// A home with three files to back up and a profile `home` that backs them up into a folder.
    pub fn new(name: &str) -> Self {
        let home = Self {
            scratch: Scratch::new(name),
        };
        fs::create_dir_all(home.source().join("sub")).expect("source");
        home.write("one", "first\n");
        home.write("two", "second\n");
        home.write("sub/three", "third\n");
        fs::create_dir_all(home.path().join(".config/dupr")).expect("config");
        let pass = home.path().join("pass");
        fs::write(&pass, CANARY).expect("passphrase");
        fs::set_permissions(&pass, fs::Permissions::from_mode(0o600)).expect("mode");
        home.profile("home", "");
        home
    }

    pub fn path(&self) -> &Path {
        self.scratch.path()
    }

    pub fn source(&self) -> PathBuf {
        self.path().join("src")
    }

    pub fn target(&self) -> PathBuf {
        self.path().join("target")
    }

    /// Writes a file of the source.
    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.source().join(name), text).expect("write");
    }

    /// Writes a profile: the usual head, then `more`.
    pub fn profile(&self, name: &str, more: &str) {
        let head = format!(
            "version = 1\nsource = {:?}\ntarget = \"file://{}\"\npassphrase = {{ file = {:?} }}\n",
            self.source(),
            self.target().display(),
            self.path().join("pass"),
        );
        self.raw_profile(name, &format!("{head}{more}"));
    }

    /// Writes a profile, all of it.
    pub fn raw_profile(&self, name: &str, text: &str) {
        let path = self.path().join(format!(".config/dupr/{name}.toml"));
        fs::write(&path, text).expect("profile");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("mode");
    }

    /// Writes a program beside the home and returns its path.
    pub fn script(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("script");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).expect("mode");
        path
    }

    /// dupr with these arguments, in an environment of its own.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dupr"));
        command
            .args(arguments)
            .env_clear()
            .current_dir(self.path())
            .stdin(Stdio::null());
        command
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.path());
        command.env("TMPDIR", self.path());
        command
    }

    /// Calls dupr and waits.
    pub fn dupr(&self, arguments: &[&str]) -> Called {
        called(self.command(arguments).output().expect("dupr runs"))
    }

    /// Calls dupr, which must end with `code`.
    pub fn expect(&self, code: i32, arguments: &[&str]) -> Called {
        let called = self.dupr(arguments);
        assert_eq!(
            called.code, code,
            "dupr {arguments:?}\n--- stdout\n{}--- stderr\n{}",
            called.stdout, called.stderr
        );
        called
    }

    /// Names at the target that begin like those of a backup.
    pub fn stored(&self) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(self.target()) else {
            return Vec::new();
        };
        let mut all: Vec<PathBuf> = entries.flatten().map(|e| e.path()).collect();
        all.sort();
        all
    }

    /// Lines of the history of a profile, as JSON.
    pub fn history(&self, profile: &str) -> Vec<serde_json::Value> {
        let path = self
            .path()
            .join(".local/state/dupr")
            .join(profile)
            .join("history.jsonl");
        let text = fs::read_to_string(path).unwrap_or_default();
        text.lines()
            .map(|l| serde_json::from_str(l).expect("a line of history"))
            .collect()
    }
}

/// What a call left.
pub fn called(output: Output) -> Called {
    Called {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
