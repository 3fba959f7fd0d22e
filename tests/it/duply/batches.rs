//! Whole batches with scripts, increments and purges, by duply and by dupr from the same state; and a profile from the days when
//! duply was ftplicity.

use super::{KNOWN, Site};
use crate::recover::{Files, contents};
use crate::servers::Ftpd;
use crate::support::home::Home;
use crate::support::keyring::PASSPHRASE;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Sets have whole seconds in their names.
fn a_second_later() {
    std::thread::sleep(Duration::from_millis(1100));
}

fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status();
    assert!(copied.is_ok_and(|s| s.success()), "cp");
}

/// Full sets and increments at the target.
fn sets(home: &Home) -> (usize, usize) {
    let names = home.stored();
    let count = |part: &str| {
        let names = names.iter().map(|p| p.display().to_string());
        names
            .filter(|n| n.contains(part) && n.contains(".manifest"))
            .count()
    };
    (count("duplicity-full."), count("duplicity-inc."))
}

/// What a batch leaves: what its scripts wrote down, the sets, the paths of the newest one, and what it restores to.
#[derive(Debug, PartialEq)]
struct Left {
    log: String,
    sets: (usize, usize),
    paths: Vec<String>,
    files: Files,
}

impl Left {
    fn of(site: &Site, by: &str) -> Self {
        let home = &site.home;
        let log = home.path().join("log");
        let place = home.path().join(format!("restored-{by}"));
        // The real duplicity, whoever made the set.
        site.duply_does(&["night", "restore", &place.display().to_string()]);
        let left = Self {
            log: fs::read_to_string(&log).expect("the scripts ran"),
            sets: sets(home),
            // The times of what the script writes are others.
            paths: site
                .listed()
                .iter()
                .filter_map(|line| line.split_whitespace().nth(5).map(str::to_owned))
                .collect(),
            files: contents(&place),
        };
        fs::remove_file(log).expect("log");
        left
    }
}

#[test]
fn a_batch_with_scripts_increments_and_purges_leaves_the_same() {
    let names = ["two-keys-signed", "old-globs"];
    for case in KNOWN.iter().filter(|case| names.contains(&case.name)) {
        let Some(site) = Site::of(case, &[("MAX_FULL_BACKUPS", "1")]) else {
            return;
        };
        let (home, name) = (&site.home, case.name);
        // One that is run, and one that is read by the shell, as duply takes them.
        for (script, mode, text) in [
            (
                "pre",
                0o600,
                "echo \"pre $PROFILE $CMD_NEXT\" >> \"$HOME/log\"\necho \"dump of $(cat \"$SOURCE/two\")\" > \"$SOURCE/dump.sql\"\n",
            ),
            (
                "post",
                0o700,
                "#!/bin/sh\necho \"post $PROFILE $CMD_ERR $CMD_NEXT\" >> \"$HOME/log\"\nrm \"$SOURCE/dump.sql\"\n",
            ),
        ] {
            fs::write(site.file(script), text).expect("script");
            fs::set_permissions(site.file(script), fs::Permissions::from_mode(mode)).expect("mode");
        }
        for (command, text) in [("full", "1\n"), ("incr", "2\n"), ("full", "3\n")] {
            home.write("docs/d.txt", text);
            site.duply_does(&["night", command]);
            a_second_later();
        }
        home.write("one", "changed for the batch\n");
        home.write("docs/d.txt", "4\n");
        assert_eq!(sets(home), (2, 1), "{name}");
        let archives = home.path().join(".cache/duplicity");
        let aside = ["target-then", "archives-then"].map(|name| home.path().join(name));
        copy(&home.target(), &aside[0]);
        copy(&archives, &aside[1]);

        let batch = ["night", "pre_incr_post_purgeFull", "--force"];
        site.duply_does(&batch);
        let by_duply = Left::of(&site, "duply");
        assert_eq!(by_duply.sets, (1, 1), "{name}");
        assert!(
            by_duply.paths.contains(&"dump.sql".to_owned()),
            "{by_duply:?}"
        );

        copy(&aside[0], &home.target());
        copy(&aside[1], &archives);
        assert_eq!(sets(home), (2, 1), "{name}");
        let imported = site.dupr(0, &["import", "duply", "night"]);
        assert!(
            !imported.stderr.contains("left out"),
            "{name}: {}",
            imported.stderr
        );
        site.dupr(0, &batch);
        let by_dupr = Left::of(&site, "dupr");
        assert_eq!(by_dupr, by_duply, "{name}");
        // And dupr reads it as duplicity does.
        site.dupr(0, &["night", "restore", "back"]);
        assert!(
            contents(&home.path().join("back")) == by_duply.files,
            "{name}"
        );
        assert_eq!(by_duply.files["docs/d.txt"], b"4\n");
        assert!(!home.source().join("dump.sql").exists());
    }
}

/// A folder, names of variables and a password as they were then, and a server that is reached with user and password apart.
#[test]
fn a_profile_of_ftplicity_is_taken_over() {
    let Some(site) = Site::new("duply-old-style") else {
        return;
    };
    let (home, keyring, server) = (&site.home, &site.keyring, Ftpd::start());
    let old = home.path().join(".ftplicity");
    fs::rename(home.path().join(".duply"), &old).expect("rename");
    fs::write(
        old.join("night/conf"),
        format!(
            "GPG_KEYS_ENC='{},{}'\nGPG_KEY_SIGN='disabled'\nGPG_PW='{PASSPHRASE}'\nGPG_OPTS='--pinentry-mode loopback'\n\
             TARGET='ftp://127.0.0.1:{}/old'\nTARGET_USER='ada'\nTARGET_PASS='of another server'\n# The older name wins.\nTARGET_PW='p@ss:w'\n\
             SOURCE='{}'\nMAX_AGE=1M\nVERBOSITY=4\n",
            keyring.encrypt,
            keyring.sign,
            server.port,
            home.source().display()
        ),
    )
    .expect("conf");
    fs::write(old.join("night/exclude"), "- **.tmp\n").expect("exclude");
    site.duply_does(&["night", "full"]);
    let by_duply = site.listed();
    assert!(by_duply.iter().any(|l| l.ends_with(" one")), "{by_duply:?}");

    let imported = site.dupr(0, &["import", "duply", "night"]);
    for told in [&imported.stdout, &imported.stderr] {
        assert!(
            !told.contains("left out") && !told.contains("p@ss:w"),
            "{told}"
        );
    }
    let url = site.shown("target.url");
    assert_eq!(url, format!("ftp://ada@127.0.0.1:{}/old", server.port));
    assert_eq!(
        site.shown("keys.encrypt-to"),
        serde_json::json!([keyring.encrypt, keyring.sign])
    );
    home.write("one", "changed\n");
    a_second_later();
    site.dupr(0, &["night", "backup"]);
    let status = site.duply_does(&["night", "status"]);
    assert!(
        status.contains("Number of contained backup sets: 2") && status.contains("No orphaned"),
        "{status}"
    );
    let place = home.path().join("by-duply").display().to_string();
    site.duply_does(&["night", "restore", &place]);
    site.dupr(0, &["night", "restore", "by-dupr"]);
    let by = |name: &str| contents(&home.path().join(name));
    assert_eq!(by("by-duply"), by("by-dupr"));
    assert_eq!(by("by-duply")["one"], b"changed\n");
    assert!(!by("by-duply").contains_key("junk.tmp"));
}
