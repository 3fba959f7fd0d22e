//! Scripts of guides that people copied: each runs with dupr under duplicity's name as with duplicity itself, and leaves
//! what duplicity leaves.

use super::{Bench, Called, listing};
use crate::servers::{Rsyncd, Socks, Sshd};
use crate::support::keyring::{Keyring, PASSPHRASE};
use crate::support::programs::{self, Program};
use crate::support::scratch::Scratch;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A shell that finds one program under the name `duplicity`.
struct Shell {
    bench: Bench,
    env: Vec<(String, String)>,
}

impl Shell {
    /// `None` if the program may be missing and is.
    fn new(name: &str, program: Program) -> Option<Self> {
        let target = match program {
            Program::Dupr => PathBuf::from(env!("CARGO_BIN_EXE_dupr")),
            other => PathBuf::from(other.words()?.remove(0)),
        };
        let bench = Bench::new(name);
        for dir in ["bin", "home"] {
            fs::create_dir(bench.path(dir)).expect("own folder");
        }
        symlink(target, bench.path("bin/duplicity")).expect("link");
        let mut path = vec![bench.path("bin")];
        path.extend(std::env::split_paths(
            &std::env::var_os("PATH").unwrap_or_default(),
        ));
        let path = std::env::join_paths(path).expect("a path");
        let env = [
            ("HOME", bench.path("home").display().to_string()),
            ("PATH", path.to_string_lossy().into_owned()),
        ];
        Some(Self {
            env: env.map(|(name, value)| (name.to_owned(), value)).to_vec(),
            bench,
        })
    }

    fn set(&mut self, name: &str, value: &str) {
        self.env.push((name.into(), value.into()));
    }

    /// Runs a script of a shell; nobody is there to answer.
    fn run(&self, script: &str) -> Called {
        let env: Vec<(&str, &str)> = self
            .env
            .iter()
            .map(|(k, v)| (k.as_str(), v.as_str()))
            .collect();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]).env_remove("XDG_CACHE_HOME");
        self.bench.run(&mut command, "", &env)
    }

    fn well(&self, script: &str) -> String {
        let called = self.run(script);
        assert_eq!(called.code, 0, "{script}\n{}{}", called.out, called.err);
        called.out
    }
}

/// Names without their times, each once.
fn kinds(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    let mut kinds: Vec<String> = entries
        .flatten()
        .map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            let parts = name.split('.');
            let rest: Vec<&str> = parts.filter(|p| !p.ends_with('Z') && *p != "to").collect();
            rest.join(".")
        })
        .collect();
    kinds.sort();
    kinds
}

/// Has the agent know the passphrases of both keys, as keychain and pinentry do at a login.
fn preset(keyring: &Keyring) -> bool {
    let tool = Path::new("/usr/lib/gnupg/gpg-preset-passphrase");
    if !tool.exists() {
        programs::skipped(
            "an agent that knows passphrases",
            "gpg-preset-passphrase is not here",
        );
        return false;
    }
    let conf = keyring.home().join("gpg-agent.conf");
    let text = fs::read_to_string(&conf).expect("conf");
    fs::write(&conf, format!("{text}allow-preset-passphrase\n")).expect("conf");
    let gpg = |program: &str, words: &[&str]| {
        let output = Command::new(program)
            .arg("--homedir")
            .arg(keyring.home())
            .args(words)
            .output()
            .expect("GnuPG");
        assert!(output.status.success(), "{program} {words:?} {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    gpg("gpgconf", &["--kill", "gpg-agent"]);
    gpg("gpg-connect-agent", &["/bye"]);
    let words = [
        "--batch",
        "--with-colons",
        "--with-keygrip",
        "--list-secret-keys",
    ];
    for line in gpg("gpg", &words).lines() {
        let Some(grip) = line.strip_prefix("grp:") else {
            continue;
        };
        let mut child = Command::new(tool)
            .args(["--preset", grip.trim_matches(':')])
            .env("GNUPGHOME", keyring.home())
            .stdin(Stdio::piped())
            .spawn()
            .expect("it is there");
        let mut input = child.stdin.take().expect("piped");
        writeln!(input, "{PASSPHRASE}").expect("a pipe");
        drop(input);
        assert!(child.wait().expect("it ends").success());
    }
    true
}

/// The script of ArchWiki's page on duplicity: a key to encrypt to and another to sign with, both known to the agent.
const TO_A_REMOTE: &str = r#"
SOURCE="$PWD/src"
duplicity --use-agent --verbosity notice --encrypt-key "$ENC_KEY" --sign-key "$SIGN_KEY" \
    --full-if-older-than 60D --num-retries 3 --asynchronous-upload --volsize 100 \
    --archive-dir "$HOME/.cache/duplicity" --log-file "$HOME/duplicity.log" \
    --exclude "$SOURCE/backup/fsarchiver" --exclude '**rdiff-backup-data' $MORE \
    "$SOURCE" "$DEST"
"#;

#[test]
fn a_script_with_two_keys_and_an_agent_saves_to_a_remote() {
    let Some(keyring) = Keyring::new() else {
        return;
    };
    if !preset(&keyring) {
        return;
    }
    let sshd = Sshd::start();
    let live = |program: Program, dest: &str, more: &str, files: &Path| {
        let mut shell = Shell::new("wiki", program)?;
        for (name, value) in [
            ("GNUPGHOME", keyring.home().to_str().expect("UTF-8")),
            ("ENC_KEY", &keyring.encrypt),
            ("SIGN_KEY", &keyring.sign),
            ("DEST", dest),
            ("MORE", more),
        ] {
            shell.set(name, value);
        }
        let bench = &shell.bench;
        for dir in ["src/backup/fsarchiver", "src/old/rdiff-backup-data"] {
            fs::create_dir_all(bench.path(dir)).expect("dir");
            bench.write(&format!("{dir}/big"), "not to be saved\n");
        }
        shell.well(TO_A_REMOTE);
        bench.write("src/a.txt", "one\nand two\n");
        bench.settle("src");
        // Sets are told apart by their second.
        std::thread::sleep(std::time::Duration::from_millis(1100));
        shell.well(TO_A_REMOTE);
        let log = fs::read_to_string(bench.path("home/duplicity.log")).expect("a log");
        assert!(log.contains("NOTICE 1\n"), "{log}");
        let listed = shell.well(
            r#"duplicity list-current-files --use-agent --encrypt-key "$ENC_KEY" $MORE "$DEST""#,
        );
        assert!(
            listed.contains("dir/big") && listed.contains("a.txt"),
            "{listed}"
        );
        assert!(
            !listed.contains("fsarchiver/") && !listed.contains("rdiff"),
            "{listed}"
        );
        // With an agent alone, from another machine.
        fs::remove_dir_all(bench.path("home/.cache")).expect("the archive dir");
        shell.well(
            r#"duplicity verify --compare-data --use-agent --encrypt-key "$ENC_KEY" --sign-key "$SIGN_KEY" $MORE \
               --exclude "$PWD/src/backup/fsarchiver" --exclude '**rdiff-backup-data' "$DEST" "$PWD/src""#,
        );
        shell.well(r#"duplicity --use-agent --sign-key "$SIGN_KEY" $MORE "$DEST" out"#);
        for gone in ["backup/fsarchiver", "old/rdiff-backup-data"] {
            fs::remove_dir_all(bench.path("src").join(gone)).expect("it was excluded");
        }
        bench.settle("src");
        bench.settle("out");
        assert_eq!(listing(&bench.path("out")), listing(&bench.path("src")));
        Some(kinds(files))
    };
    let config = sshd.path("config");
    fs::write(&config, ssh_config(&sshd)).expect("config");
    let url = sshd.url("backup");
    let more = format!("--ssh-options=-F{}", config.display());
    let found = live(Program::Dupr, &url, &more, &sshd.files().join("backup")).expect("dupr");
    let theirs = Scratch::new("wikit");
    let url = format!("file://{}", theirs.path().display());
    for real in [Program::Duplicity3, Program::Duplicity08] {
        let _ = fs::remove_dir_all(theirs.path());
        if let Some(expected) = live(real, &url, "", theirs.path()) {
            assert_eq!(found, expected, "{real:?}");
        }
    }
}

/// What the options of the server's own line for ssh say, as a file.
fn ssh_config(sshd: &Sshd) -> String {
    let file = |name: &str| sshd.path(name).display().to_string();
    format!(
        "HostKeyAlias dupr-test\nUserKnownHostsFile {}\nGlobalKnownHostsFile /dev/null\nStrictHostKeyChecking yes\n\
         IdentitiesOnly yes\nIdentityAgent none\nIdentityFile {}\n",
        file("known_hosts"),
        file("userkey")
    )
}

/// The lines of AnarchoTechNYC's guide, as they stand in a crontab: weekly increments over Tor to a daemon of rsync, and the
/// deletion of old ones, which knows no passphrase. What connects is named by RSYNC_CONNECT_PROG.
const WEEKLY: &str = r#"PASSPHRASE="$(/bin/cat $HOME/.duplicity.secret)" RSYNC_CONNECT_PROG='$HOME/connect \%H 873' duplicity --full-if-older-than 2M --gpg-options="--cipher-algo=AES256" --rsync-options="--password-file=$HOME/.rsync.secret --partial --compress" $PWD/src rsync://ada@duprexample234567.onion::backups/ >/dev/null 2>&1"#;
const PRUNE: &str = r#"RSYNC_CONNECT_PROG='$HOME/connect \%H 873' duplicity remove-all-but-n-full 12 --force --rsync-options="--password-file=$HOME/.rsync.secret" rsync://ada@duprexample234567.onion::backups/ >/dev/null 2>&1"#;

/// A line of a crontab as the shell gets it.
fn by_cron(line: &str) -> String {
    line.replace("\\%", "%")
}

#[test]
fn lines_of_a_crontab_save_over_a_proxy_to_rsync() {
    if programs::find("rsync").is_none() {
        return;
    }
    let live = |program: Program| {
        let shell = Shell::new("onion", program)?;
        let bench = &shell.bench;
        let at = |name: &str| bench.path(&format!("home/{name}"));
        fs::create_dir(bench.path("store")).expect("own folder");
        let write = |name: &str, text: &str, mode: u32| {
            fs::write(at(name), text).expect("own folder");
            fs::set_permissions(at(name), fs::Permissions::from_mode(mode)).expect("mode");
        };
        write(".duplicity.secret", "correct horse\n", 0o600);
        write(".rsync.secret", "pw\n", 0o600);
        write("secrets", "ada:pw\n", 0o600);
        let user = if rustix::process::geteuid().is_root() {
            "uid = root\ngid = root\n"
        } else {
            ""
        };
        let home = bench.path("home").display().to_string();
        let store = bench.path("store").display().to_string();
        write(
            "rsyncd.conf",
            &format!(
                "{user}use chroot = no\n[backups]\npath = {store}\nread only = no\nauth users = ada\n\
                 secrets file = {home}/secrets\n"
            ),
            0o600,
        );
        // In the place of a program that speaks SOCKS: the daemon itself.
        write(
            "connect",
            &format!(
                "#!/bin/sh\necho \"$@\" >> {home}/connected\nexec rsync --daemon --config={home}/rsyncd.conf\n"
            ),
            0o755,
        );
        shell.well(&by_cron(WEEKLY));
        bench.write("src/a.txt", "one\nand two\n");
        bench.settle("src");
        std::thread::sleep(std::time::Duration::from_millis(1100));
        shell.well(&by_cron(WEEKLY));
        shell.well(&by_cron(PRUNE));
        let connected = fs::read_to_string(at("connected")).expect("it connected");
        assert!(
            connected
                .lines()
                .all(|line| line == "duprexample234567.onion 873"),
            "{connected}"
        );
        // Restoring is the same line with source and target swapped.
        let back = WEEKLY
            .replace("$PWD/src rsync:", "rsync:")
            .replace("::backups/ ", "::backups/ out ");
        shell.well(&by_cron(&back));
        bench.settle("out");
        assert_eq!(listing(&bench.path("out")), listing(&bench.path("src")));
        // What a thrown away output hides, the exit code tells.
        fs::remove_file(at(".rsync.secret")).expect("it was there");
        let once = WEEKLY.replace("--full-if", "--num-retries 1 --full-if");
        assert_ne!(shell.run(&by_cron(&once)).code, 0);
        Some(kinds(&bench.path("store")))
    };
    let found = live(Program::Dupr).expect("dupr");
    for real in [Program::Duplicity3, Program::Duplicity08] {
        if let Some(expected) = live(real) {
            assert_eq!(found, expected, "{real:?}");
        }
    }
}

/// The same line with a real proxy, and a real daemon behind it: the name of the server means nothing on this side.
#[test]
fn lines_of_a_crontab_save_through_socks_to_a_daemon() {
    let (Some(_), Some(netcat)) = (programs::find("rsync"), programs::find("nc.openbsd")) else {
        return;
    };
    let Some(proxy) = Socks::start() else {
        return;
    };
    let live = |program: Program| {
        let shell = Shell::new("socks", program)?;
        let bench = &shell.bench;
        symlink(&netcat, bench.path("bin/nc")).expect("link");
        for (name, text) in [
            (".duplicity.secret", "correct horse\n"),
            (".rsync.secret", "pw\n"),
        ] {
            let path = bench.path(&format!("home/{name}"));
            fs::write(&path, text).expect("own folder");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("mode");
        }
        let daemon = Rsyncd::start();
        let (socks, port) = (proxy.port, daemon.port);
        // The daemon has a port nobody else has; the recipe's is the usual one.
        let line = |line: &str, program: &str| {
            let line = line.replace("$HOME/connect \\%H 873", program);
            by_cron(&line.replace(
                &format!("{}::backups/", Socks::NAME),
                &format!("{}::store/", Socks::NAME),
            ))
        };
        let working = format!("nc -X 5 -x 127.0.0.1:{socks} \\%H {port}");
        shell.well(&line(WEEKLY, &working));
        let connected = proxy.connected_to(port);
        assert!(connected > 0, "{program:?}");
        bench.write("src/a.txt", "one\nand two\n");
        bench.settle("src");
        std::thread::sleep(std::time::Duration::from_millis(1100));
        shell.well(&line(WEEKLY, &working));
        shell.well(&line(PRUNE, &working));
        let back = WEEKLY
            .replace("$PWD/src rsync:", "rsync:")
            .replace("::backups/ ", "::backups/ out ");
        shell.well(&line(&back, &working));
        assert!(proxy.connected_to(port) > connected, "{program:?}");
        bench.settle("out");
        assert_eq!(listing(&bench.path("out")), listing(&bench.path("src")));
        // As the guide prints it the server is its own proxy, which cannot be.
        let once = WEEKLY.replace("--full-if", "--num-retries 1 --full-if");
        assert_ne!(shell.run(&line(&once, "nc -x \\%H 873")).code, 0);
        Some(kinds(&daemon.files()))
    };
    let found = live(Program::Dupr).expect("dupr");
    for real in [Program::Duplicity3, Program::Duplicity08] {
        if let Some(expected) = live(real) {
            assert_eq!(found, expected, "{real:?}");
        }
    }
}

/// The same script is stopped between two volumes, and started again by cron: nobody is there to answer.
#[test]
fn an_interrupted_backup_goes_on_with_nothing_but_the_agent() {
    let Some(keyring) = Keyring::new() else {
        return;
    };
    if !preset(&keyring) {
        return;
    }
    let mut shell = Shell::new("agent", Program::Dupr).expect("dupr");
    let dest = shell.bench.url("t");
    for (name, value) in [
        ("GNUPGHOME", keyring.home().to_str().expect("UTF-8")),
        ("ENC_KEY", &keyring.encrypt),
        ("SIGN_KEY", &keyring.sign),
        ("DEST", &dest),
    ] {
        shell.set(name, value);
    }
    let large: Vec<u8> = crate::support::vault::noise(3_000_000, 7);
    fs::write(shell.bench.path("src/large"), large).expect("own folder");
    shell.bench.settle("src");
    let script = TO_A_REMOTE.replace("--volsize 100", "--volsize 1");
    let stopped = shell.run(&script.replace("$MORE", "--fail-on-volume 2"));
    assert_ne!(stopped.code, 0);
    let before = shell.bench.names("t");
    assert_eq!(before.len(), 2, "{before:?}");
    shell.well(&script);
    let after = shell.bench.names("t");
    assert!(before.iter().all(|name| after.contains(name)), "{after:?}");
    assert!(
        after.iter().any(|name| name.contains("manifest")),
        "{after:?}"
    );
    shell.well(r#"duplicity --use-agent --sign-key "$SIGN_KEY" "$DEST" out"#);
    assert_eq!(
        listing(&shell.bench.path("out")),
        listing(&shell.bench.path("src"))
    );
}
