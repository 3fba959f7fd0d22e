//! A night of two unlike places: cron starts a backup to a store of objects, and each set is copied to a disk behind ssh.

use super::{Desk, by_cron, cron_line};
use crate::servers::{S3, Sshd};
use crate::storage_contract::{names, opened, s3};
use std::fs;

#[test]
fn scheduled_runs_copy_to_an_unlike_target() {
    let (cloud, nas) = (S3::moto(), Sshd::start());
    let desk = Desk::new("schedule-copies");
    let home = &desk.home;
    // cron knows the home, and no variables with keys.
    let keys = format!(
        "[default]\naws_access_key_id = {}\naws_secret_access_key = {}\n",
        cloud.key_id, cloud.secret
    );
    fs::create_dir(desk.file(".aws")).expect("folder");
    fs::write(desk.file(".aws/credentials"), keys).expect("keys");
    home.raw_profile(
        "home",
        &format!(
            "version = 1\nsource = {:?}\npassphrase = {{ file = {:?} }}\n\
             [[target]]\nname = \"cloud\"\nurl = \"s3://bucket/x\"\nretries = 1\n\
             options = {{ endpoint = {:?}, region = \"us-east-1\", credentials = \"chain\" }}\n\
             [[target]]\nname = \"nas\"\nurl = {:?}\ncopy-of = \"cloud\"\n\
             options = {{ ssh-options = {:?} }}\n\
             [run]\ndefault = \"backup_replicate\"\n[schedule]\ncron = \"0 0 1 1 *\"\n",
            home.source(),
            desk.file("pass"),
            cloud.endpoint(),
            nas.url("copies"),
            nas.ssh_options("userkey"),
        ),
    );
    desk.expect(0, &["schedule", "install", "--as", "crontab"]);
    let tab = desk.text("tab");
    let line = tab.lines().find(|line| line.starts_with("0 0 1 1 *"));
    let (_, command) = cron_line(line.expect("the line"));
    let command = format!("HOME='{}' {command}", desk.file("").display());
    for (turn, sets) in [(1, 1), (2, 2)] {
        home.write("one", &format!("turn {turn}\n"));
        // As if a year had passed.
        let _ = fs::remove_dir_all(desk.file(".local/state/dupr"));
        let run = by_cron(&command);
        assert!(run.code == 0 && run.stderr.is_empty(), "{}", run.stderr);
        let listed = opened("s3://bucket/x", &s3(&cloud)).list().expect("list");
        let mut there: Vec<String> = listed.into_iter().map(|object| object.name).collect();
        let mut copies = names(&nas.files().join("copies"));
        there.sort();
        copies.sort();
        assert_eq!(copies, there);
        assert_eq!(copies.len(), 3 * sets, "{copies:?}");
    }
    // The store is lost.
    drop(cloud);
    desk.expect(13, &["home", "restore", "none"]);
    desk.expect(0, &["home@nas", "restore", "back"]);
    let back = fs::read_to_string(desk.file("back/one")).expect("restored");
    assert_eq!(back, "turn 2\n");
}
