//! What goes wrong in practice and must not cost data: the rows of reliability that no other module provokes, from the
//! front door.

use crate::support::home::{Home, called};
use crate::support::programs::is_root;
use crate::support::tree::Tree;
use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

fn restored(home: &Home, name: &str) -> Tree {
    let to = home.path().join(name);
    home.expect(0, &["home", "restore", &to.display().to_string()]);
    Tree::read(&to)
}

/// An unmounted disk, a folder that is gone, a link in its place: none of them is "everything deleted".
#[test]
fn a_source_that_is_empty_missing_or_a_link_is_refused() {
    let home = Home::new("gone");
    home.expect(0, &["home", "backup"]);
    let (stored, before) = (home.stored(), Tree::read(&home.source()));
    let aside = home.path().join("aside");
    fs::rename(home.source(), &aside).expect("move away");

    let missing = home.expect(1, &["home", "backup"]);
    assert!(
        missing.stderr.contains("No such file"),
        "{}",
        missing.stderr
    );
    fs::create_dir(home.source()).expect("a mount point");
    for batch in ["backup", "full"] {
        let empty = home.expect(1, &["home", batch]);
        assert!(
            empty.stderr.contains("is empty, and was not"),
            "{}",
            empty.stderr
        );
    }
    fs::remove_dir(home.source()).expect("remove");
    symlink(&aside, home.source()).expect("link");
    let link = home.expect(1, &["home", "backup"]);
    assert!(
        link.stderr.contains("is a symbolic link, and was not"),
        "{}",
        link.stderr
    );
    fs::remove_file(home.source()).expect("remove");
    fs::write(home.source(), "a file").expect("write");
    let file = home.expect(1, &["home", "backup"]);
    assert!(
        file.stderr.contains("is no directory, and was not"),
        "{}",
        file.stderr
    );

    assert_eq!(home.stored(), stored, "something was stored or deleted");
    fs::remove_file(home.source()).expect("remove");
    fs::rename(&aside, home.source()).expect("move back");
    assert_eq!(before.differences(&restored(&home, "out")), [""; 0]);
    home.expect(0, &["home", "backup"]);
}

/// The program as a user without privileges calls it, and the folder it may work in.
pub fn as_nobody(home: &Home) -> Option<Command> {
    if !is_root() {
        return Some(home.command(&[]));
    }
    let copy = home.path().join("dupr");
    // By another process: a child of another test would hold our file open, and the program could not be run.
    let copied = Command::new("cp")
        .arg(env!("CARGO_BIN_EXE_dupr"))
        .arg(&copy)
        .status();
    assert!(copied.expect("cp").success());
    let own = Command::new("chown")
        .args(["-R", "65534:65534"])
        .arg(home.path())
        .status();
    assert!(own.expect("chown").success());
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(copy);
    command
        .env_clear()
        .current_dir(home.path())
        .stdin(Stdio::null());
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("HOME", home.path()).env("TMPDIR", home.path());
    Some(command)
}

/// Files and folders that may not be read are named, counted and told by exit code 3; what was known of them stays.
#[test]
fn what_cannot_be_read_is_told_and_not_called_deleted() {
    let home = Home::new("unreadable");
    let run = |arguments: &[&str]| {
        let mut command = as_nobody(&home).expect("a user");
        called(command.args(arguments).output().expect("it runs"))
    };
    let first = run(&["home", "backup"]);
    assert_eq!(first.code, 0, "{}", first.stderr);
    home.write("one", "changed, and closed\n");
    for closed in ["one", "sub"] {
        fs::set_permissions(home.source().join(closed), fs::Permissions::from_mode(0o0))
            .expect("mode");
    }
    let second = run(&["home", "backup"]);
    assert_eq!(second.code, 3, "{}", second.stderr);
    for name in ["one", "sub"] {
        assert!(second.stderr.contains(name), "{name}: {}", second.stderr);
    }
    let history = home.history("home");
    assert_eq!(
        history.last().expect("a run")["verdict"],
        "warning",
        "{history:?}"
    );
    let out = home.path().join("out");
    let restore = run(&["home", "restore", &out.display().to_string()]);
    assert_eq!(restore.code, 0, "{}", restore.stderr);
    let text = |name: &str| fs::read_to_string(out.join(name)).expect(name);
    assert_eq!(
        (text("one"), text("two")),
        ("first\n".into(), "second\n".into())
    );
    fs::set_permissions(out.join("sub"), fs::Permissions::from_mode(0o700)).expect("mode");
    assert_eq!(text("sub/three"), "third\n");
    for closed in ["one", "sub"] {
        fs::set_permissions(
            home.source().join(closed),
            fs::Permissions::from_mode(0o700),
        )
        .expect("mode");
    }
}

/// A file that is written to while it is read is whole, or it is named; the next run has it right.
#[test]
fn a_file_that_changes_while_it_is_read_is_whole_or_told() {
    const BYTES: usize = 4 << 20;
    let home = Home::new("torn");
    let path = home.source().join("busy");
    let (stop, mut told, mut whole) = (AtomicBool::new(false), 0, 0);
    fs::write(&path, vec![b'a'; BYTES]).expect("write");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let file = fs::OpenOptions::new()
                .write(true)
                .open(&path)
                .expect("open");
            let mut letters = (b'a'..=b'z').cycle();
            while !stop.load(Ordering::Relaxed) {
                let letter = letters.next().expect("endless");
                for at in (0..BYTES).step_by(64 << 10) {
                    file.write_all_at(&[letter; 64 << 10], at as u64)
                        .expect("write");
                }
            }
        });
        for round in 0..8 {
            let run = home.dupr(&["home", "backup"]);
            let out = home.path().join(format!("out{round}"));
            home.expect(0, &["home", "fetch", "busy", &out.display().to_string()]);
            let found = fs::read(&out).expect("restored");
            match run.code {
                3 => {
                    assert!(run.stderr.contains("busy"), "{}", run.stderr);
                    told += 1;
                }
                0 => {
                    // Between two writes the file was in this state: some blocks of one letter, the rest of the one before.
                    let turns = found.windows(2).filter(|w| w[0] != w[1]).count();
                    assert!(
                        found.len() == BYTES && turns <= 1,
                        "round {round}: torn at {turns} places"
                    );
                    whole += 1;
                }
                code => panic!("{code}: {}", run.stderr),
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    println!("changed while read: {told} told, {whole} whole");
    home.expect(0, &["home", "backup"]);
    let before = Tree::read(&home.source());
    assert_eq!(before.differences(&restored(&home, "last")), [""; 0]);
}

fn modes(root: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(root).expect("list").flatten() {
        let look = entry.path().symlink_metadata().expect("look");
        let wanted = if look.is_dir() { 0o700 } else { 0o600 };
        if look.mode() & 0o777 != wanted {
            found.push(format!(
                "{} {:o}",
                entry.path().display(),
                look.mode() & 0o777
            ));
        }
        if look.is_dir() {
            modes(&entry.path(), found);
        }
    }
}

/// Names and block hashes of files are nobody else's business, whatever the umask.
#[test]
fn local_state_is_private_whatever_the_umask() {
    let home = Home::new("umask");
    for _ in 0..2 {
        let mut command = Command::new("sh");
        command.args([
            "-c",
            "umask 0; exec \"$0\" home backup",
            env!("CARGO_BIN_EXE_dupr"),
        ]);
        command
            .env("HOME", home.path())
            .env("TMPDIR", home.path())
            .current_dir(home.path());
        let run = called(command.output().expect("it runs"));
        assert_eq!(run.code, 0, "{}", run.stderr);
        home.write("one", "other\n");
    }
    let mut found = Vec::new();
    for dir in [".cache/dupr", ".local/state/dupr", "target"] {
        modes(&home.path().join(dir), &mut found);
    }
    assert!(found.is_empty(), "others may look: {found:?}");
}

/// Two machines, one target, the same second: whoever is told that all went well can restore.
#[test]
fn two_machines_never_overwrite_each_other() {
    let home = Home::new("two");
    for name in ["here", "there"] {
        let cache = home.path().join(name);
        home.profile(name, &format!("[backup]\narchive-dir = {:?}\n", cache));
    }
    for round in 0..6 {
        home.write("one", &format!("round {round}\n"));
        let state = Tree::read(&home.source());
        let batch = if round % 2 == 0 { "full" } else { "incr" };
        let start = |name| {
            let mut command = home.command(&[name, batch]);
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
            command.spawn().expect("it runs")
        };
        let runs = [("here", start("here")), ("there", start("there"))];
        let runs = runs.map(|(name, run)| (name, called(run.wait_with_output().expect("it ends"))));
        let good: Vec<&str> = runs
            .iter()
            .filter(|(_, run)| run.code == 0)
            .map(|(name, _)| *name)
            .collect();
        let texts: Vec<&String> = runs.iter().map(|(_, run)| &run.stderr).collect();
        assert!(
            !good.is_empty(),
            "round {round}: nobody succeeded: {texts:?}"
        );
        for name in good {
            let out = home.path().join(format!("{name}-{round}"));
            home.expect(0, &[name, "restore", &out.display().to_string()]);
            assert_eq!(
                state.differences(&Tree::read(&out)),
                [""; 0],
                "{name}, round {round}: {texts:?}"
            );
        }
    }
    // Nothing of the earlier rounds was lost on the way.
    home.expect(0, &["here", "verify"]);
}

/// A disk that is not mounted is no reason to fill what lies below it with a first full set.
#[test]
fn a_target_that_has_lost_everything_is_refused() {
    let home = Home::new("unmounted");
    home.expect(0, &["home", "backup"]);
    let aside = home.path().join("aside");
    fs::rename(home.target(), &aside).expect("unmount");
    for batch in ["backup", "full", "backup_purge"] {
        let refused = home.expect(13, &["home", batch]);
        assert!(
            refused
                .stderr
                .contains("holds no backup at all, and held 1 before"),
            "{}",
            refused.stderr
        );
        assert!(!home.target().exists(), "{batch} made the target");
    }
    fs::create_dir(home.target()).expect("a mount point");
    home.expect(13, &["home", "backup"]);
    assert_eq!(home.stored().len(), 0);
    fs::remove_dir(home.target()).expect("remove");
    fs::rename(&aside, home.target()).expect("mount");
    let said = home.expect(0, &["home", "backup"]).stdout;
    assert!(said.contains("incremental"), "{said}");
}

/// What is refused can be let pass once, by the very words the refusal names.
#[test]
fn a_refusal_names_the_word_that_lets_it_pass() {
    let home = Home::new("once");
    home.expect(0, &["home", "backup"]);
    let pass = |batch: &str, code: i32, word: &str| {
        let refused = home.expect(code, &["home", batch]);
        assert!(refused.stderr.contains(word), "{word}: {}", refused.stderr);
        home.expect(0, &["home", batch, word]);
    };
    let aside = home.path().join("aside");
    fs::rename(home.source(), &aside).expect("move away");
    fs::create_dir(home.source()).expect("empty");
    pass("backup", 1, "--allow-empty");
    fs::remove_dir(home.source()).expect("remove");
    fs::rename(&aside, home.source()).expect("move back");
    fs::write(home.path().join("pass"), "another passphrase").expect("write");
    pass("full", 12, "--allow-new-key");
    let state = Tree::read(&home.source());
    assert_eq!(state.differences(&restored(&home, "out")), [""; 0]);

    fs::rename(home.target(), home.path().join("unmounted")).expect("move away");
    pass("backup", 13, "--allow-empty-target");

    let moved = home.path().join("moved");
    fs::rename(home.source(), &moved).expect("move");
    let name = "[source]\npath = ";
    home.raw_profile(
        "home",
        &format!(
            "version = 1\ntarget = \"file://{}\"\npassphrase = {{ file = {:?} }}\n{name}{moved:?}\n",
            home.target().display(),
            home.path().join("pass"),
        ),
    );
    pass("incr", 1, "--allow-source-mismatch");
}

/// Sizes alone do not show a flipped bit. Once a run has read it, no set is built on it, until it is whole again.
#[test]
fn damage_that_was_seen_is_remembered() {
    let home = Home::new("seen");
    home.expect(0, &["home", "backup"]);
    let volume = home
        .stored()
        .into_iter()
        .find(|path| path.to_string_lossy().contains("vol1"))
        .map(|path| home.target().join(path))
        .expect("a volume");
    let whole = fs::read(&volume).expect("volume");
    let mut flipped = whole.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    fs::write(&volume, &flipped).expect("damage");

    home.expect(14, &["home", "verify"]);
    let seen = "volume 1 was damaged when it was last read";
    let plan = home.expect(0, &["home", "backup", "--plan"]).stdout;
    assert!(
        plan.contains("backup full") && plan.contains(seen),
        "{plan}"
    );
    let status = home.expect(0, &["home", "status"]).stdout;
    assert!(status.contains(seen), "{status}");

    fs::write(&volume, &whole).expect("repair");
    home.expect(0, &["home", "verify"]);
    let plan = home.expect(0, &["home", "backup", "--plan"]).stdout;
    assert!(plan.contains("backup incr"), "{plan}");

    fs::write(&volume, &flipped).expect("damage");
    home.expect(14, &["home", "restore", "out"]);
    let said = home.expect(0, &["home", "backup"]);
    assert!(
        said.stdout.contains("full") && said.stderr.contains(seen),
        "{}{}",
        said.stdout,
        said.stderr
    );
    assert!(
        Tree::read(&home.source())
            .differences(&restored(&home, "new"))
            .is_empty()
    );
}
