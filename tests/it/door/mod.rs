//! duplicity's door held against real duplicities: options, actions, output, exit codes, and real duply on top of it.

mod dejadup;
mod duply;
mod functional;
mod gpg;
mod gpgsm;
mod manual;
mod mistakes;
mod options;
mod output;
mod owners;
mod patience;
mod prompts;
mod purpose;
mod rdiffdir;
mod replicate;
mod scripts;
mod secrets;
mod services;
mod turns;

use crate::support::programs::Program;
use crate::support::scratch::Scratch;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

/// What a call did.
#[derive(Debug)]
pub struct Called {
    /// Exit code.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

/// A source, a target and an archive dir, and programs to run on them.
pub struct Bench {
    scratch: Scratch,
    /// Time of the file written last: each is a little newer, as the second of a change is all that is compared.
    clock: AtomicU64,
}

impl Bench {
    /// A small source in an own folder.
    pub fn new(name: &str) -> Self {
        let bench = Self {
            scratch: Scratch::new(name),
            clock: AtomicU64::new(1_672_531_200),
        };
        for dir in ["src/dir/sub", "src/empty"] {
            fs::create_dir_all(bench.path(dir)).expect("own folder");
        }
        bench.write("src/a.txt", "one\n");
        bench.write("src/dir/two", "two\n");
        bench.write("src/dir/big", &"0123456789abcdef".repeat(20_000));
        bench.write("src/it's ü", "odd\n");
        std::os::unix::fs::symlink("a.txt", bench.path("src/link")).expect("link");
        bench
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.scratch.join(name)
    }

    /// Writes a file, newer than the one before.
    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("write");
        let time = UNIX_EPOCH + Duration::from_secs(self.clock.fetch_add(10, Ordering::Relaxed));
        let file = fs::File::options().write(true).open(self.path(name));
        file.and_then(|file| file.set_modified(time))
            .expect("set a time");
    }

    /// Gives every folder below this one the same old time: what writing in them left says when a test ran.
    pub fn settle(&self, dir: &str) {
        let mut open = vec![self.path(dir)];
        while let Some(path) = open.pop() {
            let entries = fs::read_dir(&path).expect("read").flatten();
            open.extend(
                entries
                    .map(|e| e.path())
                    .filter(|path| path.is_dir() && !path.is_symlink()),
            );
            fs::File::open(&path)
                .and_then(|file| file.set_modified(UNIX_EPOCH + Duration::from_secs(1_672_531_200)))
                .expect("set a time");
        }
    }

    /// The URL of a folder.
    pub fn url(&self, name: &str) -> String {
        format!("file://{}", self.path(name).display())
    }

    /// Runs a program in the folder with an archive dir of this name, without encryption.
    pub fn plain(&self, program: Program, cache: &str, words: &[&str]) -> Option<Called> {
        let mut words = words.to_vec();
        words.push("--no-encryption");
        self.call(program, cache, &words, "", &[])
    }

    /// Runs a program in the folder with an archive dir of this name; `None` if it may be missing and is.
    pub fn call(
        &self,
        program: Program,
        cache: &str,
        words: &[&str],
        input: &str,
        env: &[(&str, &str)],
    ) -> Option<Called> {
        let start = program.words()?;
        let cache = self.path(cache);
        let mut command = Command::new(&start[0]);
        command.args(&start[1..]).args(words).args([
            "--archive-dir",
            &cache.display().to_string(),
            "--name",
            "x",
        ]);
        Some(self.run(&mut command, input, env))
    }

    /// Runs a command in the folder, without the passphrases of whoever runs the tests.
    pub fn run(&self, command: &mut Command, input: &str, env: &[(&str, &str)]) -> Called {
        for name in [
            "PASSPHRASE",
            "SIGN_PASSPHRASE",
            "FTP_PASSWORD",
            "BACKEND_PASSWORD",
        ] {
            command.env_remove(name);
        }
        let mut child = command
            .current_dir(self.scratch.path())
            .env("TZ", "UTC")
            .envs(env.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("cannot start {command:?}: {e}"));
        let mut stdin = child.stdin.take().expect("piped");
        // A program that reads nothing may be gone already.
        let _ = std::io::Write::write_all(&mut stdin, input.as_bytes());
        drop(stdin);
        let output = child.wait_with_output().expect("it ends");
        Called {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Names in a folder, sorted.
    pub fn names(&self, dir: &str) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.path(dir))
            .map(|entries| {
                entries
                    .flatten()
                    .map(|e| e.file_name().to_string_lossy().into_owned())
                    .collect()
            })
            .unwrap_or_default();
        names.sort();
        names
    }

    /// Copies a folder with all attributes.
    pub fn copy(&self, from: &str, to: &str) {
        let _ = fs::remove_dir_all(self.path(to));
        let status = Command::new("cp")
            .arg("-a")
            .args([self.path(from), self.path(to)])
            .status();
        assert!(status.is_ok_and(|s| s.success()), "cp -a {from} {to}");
    }
}

/// Every entry below a folder with its type, permissions, time and content.
pub fn listing(root: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let mut open = vec![root.to_path_buf()];
    while let Some(path) = open.pop() {
        let meta =
            fs::symlink_metadata(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let name = path
            .strip_prefix(root)
            .unwrap_or(&path)
            .display()
            .to_string();
        let mode = std::os::unix::fs::PermissionsExt::mode(&meta.permissions());
        let modified = std::os::unix::fs::MetadataExt::mtime(&meta);
        let content = if meta.is_dir() {
            open.extend(
                fs::read_dir(&path)
                    .expect("read")
                    .flatten()
                    .map(|e| e.path()),
            );
            "dir".into()
        } else if meta.is_symlink() {
            lines.push(format!(
                "{name} -> {}",
                fs::read_link(&path).expect("link").display()
            ));
            continue;
        } else {
            format!("{:?}", fs::read(&path).map(|bytes| bytes.len()))
        };
        lines.push(format!("{name} {mode:o} {modified} {content}"));
    }
    lines.sort();
    lines
}
