use super::*;
use crate::profile::import::bench::Bench;
use crate::profile::{Profile, SecretRef, SelectRule};

fn fresh() -> Bench {
    Bench::new("/home/ada").with("USER", "ada")
}

fn taken(bench: &Bench, text: &str) -> Result<Imported, Errors> {
    let file = bench.write("settings", text, 0o644);
    import(Some(&file), None, "box", &bench.around)
}

fn load(bench: &Bench, text: &str) -> (Profile, Imported) {
    let imported = taken(bench, text).unwrap();
    (bench.read(&imported), imported)
}

fn select(profile: &Profile) -> Vec<String> {
    let rules = profile.source.rules.iter().filter_map(|rule| match rule {
        SelectRule::Glob { include, pattern } => {
            Some(format!("{}{pattern}", if *include { '+' } else { '-' }))
        }
        _ => None,
    });
    rules.collect()
}

const LISTED: &str = "\
org.gnome.DejaDup allow-metered false
org.gnome.DejaDup backend 'remote'
org.gnome.DejaDup custom-tool-setup 'mount /mnt'
org.gnome.DejaDup custom-tool-teardown ''
org.gnome.DejaDup custom-tool-wrapper 'trickle -u 500'
org.gnome.DejaDup delete-after 182
org.gnome.DejaDup exclude-list ['$TRASH', '$DOWNLOAD', '$HOME/a [1]', '$NOWHERE/x']
org.gnome.DejaDup full-backup-period 60
org.gnome.DejaDup include-list ['$HOME', '/srv/$USER', '$HOME/.cache/keep']
org.gnome.DejaDup last-run '2026-01-01T00:00:00Z'
org.gnome.DejaDup new-key 'something'
org.gnome.DejaDup periodic true
org.gnome.DejaDup periodic-period 1
org.gnome.DejaDup tool 'duplicity'
org.gnome.DejaDup window-width 700
org.gnome.DejaDup.Local folder '$HOSTNAME'
org.gnome.DejaDup.Remote folder 'backups/$HOSTNAME'
org.gnome.DejaDup.Remote uri 'sftp://me@nas.local/srv'
";

#[test]
fn what_gsettings_lists_becomes_a_profile() {
    let (profile, imported) = load(&fresh(), LISTED);
    assert_eq!(imported.name, "deja-dup");
    assert_eq!(profile.source.root, Path::new("/"));
    assert_eq!(
        profile.target.url.masked(),
        "gio+sftp://me@nas.local/srv/backups/box"
    );
    let rules = select(&profile);
    let at = |rule: &str| {
        let found = rules.iter().position(|r| r == rule);
        found.unwrap_or_else(|| panic!("{rule} is not in {rules:?}"))
    };
    assert!(at("+/home/ada/.cache/keep") < at("-/home/ada/.cache"));
    assert!(at("-/home/ada/Downloads") < at("+/home/ada"));
    assert!(at("-/home/ada/a [[]1]") < at("+/home/ada"));
    assert!(at("-/home/ada/.local/share/Trash") < at("+/home/ada"));
    assert!(at("+/srv/ada") < at("-**") && at("-**") + 1 == rules.len());
    assert_eq!(profile.backup.full_every.unwrap().to_string(), "60D");
    assert_eq!(profile.retention.max_age.unwrap().to_string(), "182D");
    assert!(profile.retention.force && profile.run.default == "backup_purge");
    let daily = crate::profile::schedule::Cron::parse("@daily").unwrap();
    assert_eq!(profile.schedule.unwrap().cron, daily);
    assert_eq!(profile.hooks.len(), 1);
    assert_eq!(profile.hooks[0].exec, ["sh", "-c", "mount /mnt"]);
    assert!(matches!(
        profile.keys.passphrase,
        Some(SecretRef::Command(_))
    ));
    for told in [
        "custom-tool-wrapper: trickle -u 500 has no counterpart",
        "new-key: something has no counterpart",
        "$NOWHERE is no folder known here",
        "$DOWNLOAD is taken for /home/ada/Downloads",
        "turn off automatic backups",
        "has a password",
    ] {
        let count = imported
            .warnings
            .iter()
            .filter(|w| w.contains(told))
            .count();
        assert_eq!(count, 1, "{told}: {:?}", imported.warnings);
    }
    assert_eq!(imported.warnings.len(), 6, "{:?}", imported.warnings);
}

#[test]
fn a_dump_says_only_what_was_changed() {
    let (profile, _) = load(
        &fresh(),
        "[/]\nbackend='local'\n\n[local]\nfolder='disk/b ä'\n",
    );
    assert_eq!(
        profile.target.url.masked(),
        "file:///home/ada/disk/b%20%C3%A4"
    );
    let rules = select(&profile);
    assert!(
        rules.contains(&"-/home/ada/disk/b ä".to_owned()),
        "{rules:?}"
    );
    assert!(rules.contains(&"+/home/ada".to_owned()));
    assert!(profile.schedule.is_none() && profile.retention.max_age.is_none());
    assert_eq!(profile.backup.full_every.unwrap().to_string(), "90D");
}

#[test]
fn places_are_taken_over_or_told() {
    let bench = fresh();
    let place = |text: &str| {
        let (profile, imported) = load(&bench, text);
        let told = imported.warnings.join("\n");
        (
            profile.target.url.masked().to_owned(),
            profile.target.optional,
            told,
        )
    };
    let (url, optional, told) =
        place("[/]\nbackend='drive'\n[drive]\nuuid='1-2'\nname='Disk'\nfolder='b'\n");
    assert_eq!((url.as_str(), optional), ("file:///media/ada/Disk/b", true));
    assert!(told.contains("UUID 1-2"), "{told}");
    let (url, _, _) = place("[/]\nbackend='rclone'\n[rclone]\nremote='cloud'\nfolder='b'\n");
    assert_eq!(url, "rclone://cloud:b");
    let (url, _, told) = place("[/]\nbackend='google'\n");
    assert_eq!(url, "rclone://google-drive:box");
    assert!(told.contains("rclone config"), "{told}");
    let (url, _, _) = place("[/]\nbackend='remote'\n[remote]\nuri='smb://h/share'\nfolder='b'\n");
    assert_eq!(url, "gio+smb://h/share/b");
    let (url, _, told) = place("[/]\nbackend='local'\ntool='restic'\n[local]\nfolder='/b'\n");
    assert_eq!(url, "file:///b-dupr");
    assert!(told.contains("works with restic"), "{told}");
    for (text, why) in [
        ("[/]\nbackend='auto'\n", "no place for backups yet"),
        ("[/]\ndelete-after=7\n", "no place for backups yet"),
        ("[/]\nbackend='u1'\n", "\"u1\""),
        (
            "[/]\nbackend='remote'\n[remote]\nuri='srv/share'\n",
            "no address of the server",
        ),
        (
            "[/]\nbackend='remote'\n[remote]\nuri='smb://[::1'\n",
            "cannot go to",
        ),
    ] {
        let error = taken(&bench, text).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
}
