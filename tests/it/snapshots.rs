//! Frozen file systems: btrfs for real where it may be mounted, zfs and lvm with tools that write down how they were called.

use crate::support::home::{Home, called};
use crate::support::programs::{find, is_root, skipped};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// A file system of btrfs in a file, mounted.
struct Btrfs {
    at: PathBuf,
}

impl Btrfs {
    /// `None`, said aloud, where none may be mounted.
    fn new(dir: &Path) -> Option<Self> {
        find("mkfs.btrfs")?;
        let (image, at) = (dir.join("image"), dir.join("disk"));
        fs::create_dir(&at).expect("mount point");
        let file = fs::File::create(&image).expect("image");
        file.set_len(128 << 20).expect("image");
        let made = Command::new("mkfs.btrfs").arg("-q").arg(&image).status();
        assert!(made.is_ok_and(|s| s.success()), "mkfs.btrfs");
        let mount = Command::new("mount")
            .args(["-o", "loop"])
            .arg(&image)
            .arg(&at)
            .output();
        if !is_root() || !mount.is_ok_and(|o| o.status.success()) {
            skipped("btrfs", "no file system may be mounted here");
            return None;
        }
        Some(Self { at })
    }

    fn call(&self, words: &[&str], path: &Path) {
        let done = Command::new("btrfs")
            .args(words)
            .arg(path)
            .stdout(Stdio::null())
            .status();
        assert!(done.is_ok_and(|s| s.success()), "{words:?}");
    }

    fn snapshots(&self) -> usize {
        let names = fs::read_dir(self.at.join("home")).expect("home");
        names
            .flatten()
            .filter(|e| e.file_name().to_string_lossy().starts_with(".dupr"))
            .count()
    }
}

impl Drop for Btrfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.at).status();
    }
}

fn profile(home: &Home, source: &Path, snapshot: &str, more: &str) {
    home.raw_profile(
        "home",
        &format!(
            "version = 1\ntarget = \"file://{}\"\npassphrase = {{ file = {:?} }}\nsource = {{ path = {source:?}, snapshot = {snapshot:?} }}\n{more}",
            home.target().display(),
            home.path().join("pass"),
        ),
    );
}

/// A profile with a snapshot and a dump, made by these words.
fn with_dump(home: &Home, source: &Path, words: &str) {
    home.raw_profile(
        "home",
        &format!(
            "version = 1\ntarget = \"file://{}\"\npassphrase = {{ file = {:?} }}\n[source]\npath = {source:?}\nsnapshot = \"auto\"\n[[source.dump]]\nname = \"a\"\nkind = \"command\"\ncommand = [{words}]\n",
            home.target().display(),
            home.path().join("pass")
        ),
    );
}

#[test]
fn btrfs_is_read_as_it_was_when_the_backup_began() {
    let home = Home::new("snapshots-btrfs");
    let Some(disk) = Btrfs::new(home.path()) else {
        return;
    };
    let top = disk.at.join("home");
    disk.call(&["subvolume", "create"], &top);
    let source = top.join("me");
    fs::create_dir(&source).expect("source");
    fs::write(source.join("one"), "as it was").expect("write");
    // While it dumps, the file changes and another one comes; the snapshot knows neither.
    let script = home.script(
        "changing",
        &format!(
            "cd {}; echo changed > one; echo new > two; echo dumped",
            source.display()
        ),
    );
    with_dump(&home, &source, &format!("{script:?}"));
    let plan = home.expect(0, &["home", "backup", "--plan"]).stdout;
    assert!(plan.contains("from snapshot"), "{plan}");
    assert!(
        home.expect(0, &["doctor", "home"])
            .stdout
            .contains("the btrfs snapshot")
    );
    home.expect(0, &["home", "backup"]);
    assert_eq!(disk.snapshots(), 0);
    let back = home.path().join("back");
    home.expect(0, &["home", "restore", back.to_str().expect("name")]);
    assert_eq!(
        fs::read_to_string(back.join("one")).expect("one"),
        "as it was"
    );
    assert!(!back.join("two").exists() && back.join("dupr-dumps/a").is_file());
    assert_eq!(
        fs::read_to_string(source.join("one")).expect("one"),
        "changed\n"
    );

    // A subvolume inside is empty in a snapshot: that is told, not taken for deleted files.
    profile(&home, &source, "btrfs", "");
    disk.call(&["subvolume", "create"], &source.join("inner"));
    let told = home.expect(3, &["home", "backup"]);
    assert!(
        told.stderr.contains("inner: a file system of its own"),
        "{}",
        told.stderr
    );
    disk.call(&["subvolume", "delete"], &source.join("inner"));

    // One that a machine left behind when its power went.
    Command::new("btrfs")
        .args(["subvolume", "snapshot", "-r"])
        .args([&top, &top.join(".dupr-home")])
        .output()
        .expect("btrfs");
    assert_eq!(disk.snapshots(), 1);
    home.expect(0, &["home", "backup"]);
    assert_eq!(disk.snapshots(), 0);

    // Neither an error nor a signal leaves one.
    home.expect(
        13,
        &["home", "full", "--set", "target=file:///proc/no/such"],
    );
    assert_eq!(disk.snapshots(), 0);
    with_dump(&home, &source, "\"sleep\", \"60\"");
    let child = home
        .command(&["home", "backup"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("dupr");
    while disk.snapshots() == 0 {
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_millis(200));
    let id = rustix::process::Pid::from_raw(i32::try_from(child.id()).expect("id")).expect("id");
    rustix::process::kill_process(id, rustix::process::Signal::TERM).expect("signal");
    let ended = called(child.wait_with_output().expect("wait"));
    assert_eq!(ended.code, 130, "{}", ended.stderr);
    assert_eq!(disk.snapshots(), 0);
}

/// Tools that write down their words, and answer as `answers` says, a `case` of the shell by name and words.
fn tools(home: &Home, answers: &str) -> String {
    let bin = home.path().join("bin");
    fs::create_dir(&bin).expect("bin");
    for name in [
        "findmnt", "zfs", "lvs", "lvcreate", "lvremove", "mount", "umount",
    ] {
        let text = format!(
            "echo \"{name} $*\" >> {}\ncase \"{name} $*\" in\n{answers}\nesac",
            home.path().join("called").display()
        );
        let script = home.script(&format!("bin/{name}"), &text);
        assert!(script.is_file());
    }
    format!(
        "{}:{}",
        bin.display(),
        std::env::var("PATH").unwrap_or_default()
    )
}

fn said(home: &Home) -> Vec<String> {
    let text = fs::read_to_string(home.path().join("called")).unwrap_or_default();
    let _ = fs::remove_file(home.path().join("called"));
    text.lines()
        .filter(|l| !l.starts_with("findmnt"))
        .map(str::to_owned)
        .collect()
}

fn backup(home: &Home, path: &str) -> (i32, String) {
    let ended = called(
        home.command(&["home", "backup"])
            .env("PATH", path)
            .output()
            .expect("dupr"),
    );
    (ended.code, ended.stderr)
}

#[test]
fn zfs_is_asked_for_a_snapshot_that_is_destroyed() {
    let home = Home::new("snapshots-zfs");
    let mounted = home.path().join("src");
    let frozen = mounted.join(".zfs/snapshot/dupr-home/me");
    fs::create_dir_all(mounted.join("me")).expect("source");
    fs::create_dir_all(&frozen).expect("frozen");
    fs::write(frozen.join("one"), "as it was").expect("write");
    let answers = format!(
        "findmnt*) echo '{{\"filesystems\": [{{\"target\": \"/\", \"source\": \"x\", \"fstype\": \"ext4\"}}, {{\"target\": {mounted:?}, \"source\": \"tank/home\", \"fstype\": \"zfs\"}}]}}' ;;\n'zfs list'*) [ -e {home}/made ] ;;\n'zfs snapshot'*) touch {home}/made ;;\n'zfs destroy'*) rm {home}/made ;;",
        home = home.path().display()
    );
    let path = tools(&home, &answers);
    profile(&home, &mounted.join("me"), "zfs", "");
    let (code, text) = backup(&home, &path);
    assert_eq!(code, 0, "{text}");
    assert_eq!(
        said(&home),
        [
            "zfs list -t snapshot tank/home@dupr-home",
            "zfs snapshot tank/home@dupr-home",
            "zfs list -t snapshot tank/home@dupr-home",
            "zfs destroy tank/home@dupr-home",
        ]
    );
    let back = home.path().join("back");
    home.expect(0, &["home", "restore", back.to_str().expect("name")]);
    assert_eq!(
        fs::read_to_string(back.join("one")).expect("one"),
        "as it was"
    );
    // What cannot be frozen is not read as it is.
    profile(&home, &mounted.join("me"), "btrfs", "");
    let (code, text) = backup(&home, &path);
    assert_eq!(code, 1, "{text}");
    assert!(
        text.contains("cannot take a snapshot") && text.contains("is zfs"),
        "{text}"
    );
}

#[test]
fn lvm_is_mounted_and_removed_also_when_mounting_fails() {
    let home = Home::new("snapshots-lvm");
    let source = home.source();
    let answers = format!(
        "findmnt*) echo '{{\"filesystems\": [{{\"target\": \"/\", \"source\": \"/dev/mapper/vg-root\", \"fstype\": \"xfs\"}}]}}' ;;\n'lvs --noheadings'*) echo ' vg/root/' ;;\n'lvs vg/dupr'*) [ -e {home}/made ] ;;\n'lvcreate'*) touch {home}/made ;;\n'lvremove'*) rm {home}/made ;;\n'mount'*) [ ! -e {home}/unmountable ] ;;",
        home = home.path().display()
    );
    let path = tools(&home, &answers);
    fs::write(home.path().join("unmountable"), "").expect("write");
    profile(&home, &source, "lvm", "backup.name = \"dupr-test-lvm\"\n");
    let (code, text) = backup(&home, &path);
    assert_eq!(code, 1, "{text}");
    assert_eq!(
        said(&home),
        [
            "lvs --noheadings --separator / --options vg_name,lv_name,pool_lv /dev/mapper/vg-root",
            "lvs vg/dupr-dupr-test-lvm",
            "lvcreate --snapshot --name dupr-dupr-test-lvm --extents 10%ORIGIN vg/root",
            "mount -o ro,nouuid /dev/vg/dupr-dupr-test-lvm /run/dupr-dupr-test-lvm",
            "lvs vg/dupr-dupr-test-lvm",
            "umount /run/dupr-dupr-test-lvm",
            "lvremove --yes vg/dupr-dupr-test-lvm",
        ]
    );
    assert!(!Path::new("/run/dupr-dupr-test-lvm").exists());
}

/// Starts a backup whose dump waits, ends it by a signal when it has begun, and tells how it ended.
fn signalled(home: &Home, path: &str) -> (i32, String) {
    let begun = home.path().join("begun");
    let child = home
        .command(&["home", "backup"])
        .env("PATH", path)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("dupr");
    let since = std::time::Instant::now();
    while !begun.exists() {
        assert!(
            since.elapsed() < Duration::from_secs(120),
            "the dump does not begin"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    let id = rustix::process::Pid::from_raw(i32::try_from(child.id()).expect("id")).expect("id");
    rustix::process::kill_process(id, rustix::process::Signal::TERM).expect("signal");
    let ended = called(child.wait_with_output().expect("wait"));
    (ended.code, ended.stderr)
}

/// A profile with a snapshot of this kind, and a dump that waits for ever.
fn waiting(home: &Home, source: &Path, snapshot: &str, more: &str) {
    let begun = home.path().join("begun");
    home.raw_profile(
        "home",
        &format!(
            "version = 1\ntarget = \"file://{}\"\npassphrase = {{ file = {:?} }}\n{more}[source]\npath = {source:?}\nsnapshot = {snapshot:?}\n\
             [[source.dump]]\nname = \"a\"\nkind = \"command\"\ncommand = [\"sh\", \"-c\", \"touch {}; sleep 300\"]\n",
            home.target().display(),
            home.path().join("pass"),
            begun.display()
        ),
    );
}

#[test]
fn zfs_keeps_no_snapshot_when_something_fails_or_a_signal_comes() {
    let home = Home::new("snapshots-zfs-ends");
    let mounted = home.path().join("src");
    let source = mounted.join("me");
    let frozen = mounted.join(".zfs/snapshot/dupr-home/me");
    fs::create_dir_all(&source).expect("source");
    fs::create_dir_all(&frozen).expect("frozen");
    fs::write(frozen.join("one"), "as it was").expect("write");
    let answers = format!(
        "findmnt*) echo '{{\"filesystems\": [{{\"target\": {mounted:?}, \"source\": \"tank/home\", \"fstype\": \"zfs\"}}]}}' ;;\n\
         'zfs list'*) [ -e {home}/made ] ;;\n\
         'zfs snapshot'*) [ ! -e {home}/full ] || {{ echo 'out of space' >&2; exit 1; }}; touch {home}/made ;;\n\
         'zfs destroy'*) [ ! -e {home}/held ] || {{ echo 'dataset is busy' >&2; exit 1; }}; rm {home}/made ;;",
        home = home.path().display()
    );
    let path = tools(&home, &answers);
    let at = |name: &str| home.path().join(name);
    let (list, make, destroy) = (
        "zfs list -t snapshot tank/home@dupr-home",
        "zfs snapshot tank/home@dupr-home",
        "zfs destroy tank/home@dupr-home",
    );
    // It cannot be taken: nothing is backed up as it is, and there is nothing to remove.
    profile(&home, &source, "zfs", "");
    fs::write(at("full"), "").expect("write");
    let (code, text) = backup(&home, &path);
    assert_eq!(code, 1, "{text}");
    assert!(
        text.contains("cannot take a snapshot") && text.contains("out of space"),
        "{text}"
    );
    assert_eq!(said(&home), [list, make, list]);
    assert!(home.stored().is_empty());
    fs::remove_file(at("full")).expect("remove");
    // The backup fails.
    let failed = called(
        home.command(&["home", "full", "--set", "target=file:///sys/no-such"])
            .env("PATH", &path)
            .output()
            .expect("dupr"),
    );
    assert_eq!(failed.code, 13, "{}", failed.stderr);
    assert_eq!(said(&home), [list, make, list, destroy]);
    // A signal in its middle.
    waiting(&home, &source, "zfs", "");
    let (code, text) = signalled(&home, &path);
    assert_eq!(code, 130, "{text}");
    assert_eq!(said(&home), [list, make, list, destroy]);
    assert!(!at("made").exists());
    // It cannot be removed: told, and made up for by the next run.
    profile(&home, &source, "zfs", "");
    fs::write(at("held"), "").expect("write");
    let (_, text) = backup(&home, &path);
    assert!(
        text.contains("could not be removed; the next run tries again"),
        "{text}"
    );
    assert_eq!(said(&home), [list, make, list, destroy]);
    fs::remove_file(at("held")).expect("remove");
    let (code, text) = backup(&home, &path);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("which an earlier run left behind"), "{text}");
    assert_eq!(said(&home), [list, destroy, make, list, destroy]);
}

#[test]
fn lvm_is_read_where_it_is_mounted_and_removed_at_the_end_or_by_a_signal() {
    if !is_root() {
        return;
    }
    let home = Home::new("snapshots-lvm-ends");
    let source = home.source();
    // What the volume held when it was frozen, seen below the place where its snapshot is mounted.
    let frozen = home.path().join("frozen");
    let below = frozen.join(source.strip_prefix("/").expect("absolute"));
    fs::create_dir_all(&below).expect("frozen");
    fs::write(below.join("one"), "as it was").expect("write");
    let name = format!("dupr-test-lvm-{}", std::process::id());
    let mounted = format!("/run/dupr-{name}");
    let answers = format!(
        "findmnt*) echo '{{\"filesystems\": [{{\"target\": \"/\", \"source\": \"/dev/mapper/vg-root\", \"fstype\": \"ext4\"}}]}}' ;;\n\
         'lvs --noheadings'*) echo \" vg/root/$(cat {home}/pool)\" ;;\n\
         'lvs vg/dupr'*) [ -e {home}/made ] ;;\n\
         'lvcreate'*) touch {home}/made ;;\n\
         'lvremove'*) rm {home}/made ;;\n\
         'mount'*) cp -a {home}/frozen/. \"$4\" ;;\n\
         'umount'*) rm -r \"$1\"/* ;;",
        home = home.path().display()
    );
    let path = tools(&home, &answers);
    let settings = format!("backup.name = {name:?}\n");
    let looked =
        "lvs --noheadings --separator / --options vg_name,lv_name,pool_lv /dev/mapper/vg-root";
    let calls = |how: &str| {
        [
            looked.to_owned(),
            format!("lvs vg/dupr-{name}"),
            format!("lvcreate --snapshot --name dupr-{name} {how} vg/root"),
            format!("mount -o ro /dev/vg/dupr-{name} {mounted}"),
            format!("lvs vg/dupr-{name}"),
            format!("umount {mounted}"),
            format!("lvremove --yes vg/dupr-{name}"),
        ]
    };
    // A thin volume needs no room of its own, and a snapshot of it is not switched on by itself.
    for (pool, how) in [
        ("", "--extents 10%ORIGIN"),
        ("thin", "--setactivationskip n"),
    ] {
        fs::write(home.path().join("pool"), pool).expect("pool");
        profile(&home, &source, "lvm", &settings);
        let (code, text) = backup(&home, &path);
        assert_eq!(code, 0, "{text}");
        assert_eq!(said(&home), calls(how), "{pool}");
        let back = home.path().join(format!("back-{pool}"));
        home.expect(0, &["home", "restore", back.to_str().expect("name")]);
        let one = fs::read_to_string(back.join("one")).expect("one");
        assert_eq!(one, "as it was");
        // What came later is not in it.
        assert!(!back.join("two").exists());
    }
    waiting(&home, &source, "lvm", &settings);
    let (code, text) = signalled(&home, &path);
    assert_eq!(code, 130, "{text}");
    assert_eq!(said(&home), calls("--setactivationskip n"));
    assert!(!home.path().join("made").exists() && !Path::new(&mounted).exists());
}
