use super::*;
use crate::profile::import::bench::Bench;
use crate::profile::{SecretRef, SelectRule};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

fn fresh() -> Bench {
    let mut bench = Bench::new("").with("PATH", "/usr/local/bin:/usr/bin:/bin");
    bench.around.look_at_files = true;
    bench
}

/// The folder of the profile.
fn dir(bench: &Bench) -> PathBuf {
    bench.path().join(".duply/home")
}

fn write(bench: &Bench, name: &str, text: &str, mode: u32) {
    bench.write(&format!(".duply/home/{name}"), text, mode);
}

fn taken(bench: &Bench, conf: &str) -> Imported {
    write(bench, "conf", conf, 0o600);
    import(&dir(bench), &bench.dest(), &bench.around).unwrap()
}

#[test]
fn a_symmetric_profile_is_taken_over_whole() {
    let bench = fresh();
    write(
        &bench,
        "exclude",
        "+ /home/me/Documents\n- **/.cache\n",
        0o600,
    );
    write(&bench, "pre", "#!/bin/sh\n", 0o700);
    write(&bench, "post", "echo done\n", 0o600);
    let imported = taken(
        &bench,
        r#"GPG_PW='c4nary "quoted" $x'
TARGET='sftp://nas.local:2222//backups/home'
TARGET_USER='me@work'
TARGET_PASS='t4rget'
SOURCE="$HOME/docs"
MAX_AGE=2Y
MAX_FULL_BACKUPS=6
MAX_FULLS_WITH_INCRS=2
MAX_FULLBKP_AGE=1M
DUPL_PARAMS="$DUPL_PARAMS --full-if-older-than $MAX_FULLBKP_AGE "
VOLSIZE=50
DUPL_PARAMS="$DUPL_PARAMS --volsize $VOLSIZE "
FILENAME='.no backup'
DUPL_PARAMS="$DUPL_PARAMS --exclude-if-present '$FILENAME'"
DUPL_PARAMS="$DUPL_PARAMS --exclude '**/a b' --include=/x --asynchronous-upload --time-separator _"
DUPL_PRECMD='nice -n 5'
export SOME_CREDENTIAL="s3cr't"
echo noise
"#,
    );
    let shown = format!("{imported:?}");
    for secret in ["c4nary", "t4rget", "s3cr"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    let profile = bench.written(&imported);
    assert_eq!(profile.name, "home");
    assert_eq!(profile.source.root, bench.path().join("docs"));
    assert_eq!(
        profile.target.url.expose(),
        "sftp://me%40work@nas.local:2222//backups/home"
    );
    let folder = bench.dest().join("home");
    assert_eq!(
        profile.target.password,
        Some(SecretRef::File(folder.join("target.pass")))
    );
    assert_eq!(
        profile.keys.passphrase,
        Some(SecretRef::File(folder.join("gpg.pass")))
    );
    assert_eq!(
        std::fs::read_to_string(folder.join("gpg.pass")).unwrap(),
        "c4nary \"quoted\" $x\n"
    );
    assert_eq!(
        profile.backup.archive_dir,
        bench.path().join(".cache/duplicity/duply_home")
    );
    assert_eq!(profile.backup.volume_bytes, 50 << 20);
    assert_eq!(
        profile.backup.full_every.as_ref().map(|a| a.as_str()),
        Some("1M")
    );
    assert_eq!(profile.retention.keep_fulls, Some(6));
    assert_eq!(profile.retention.keep_chains_with_incrementals, Some(2));
    assert!(!profile.retention.force);
    assert_eq!(profile.run.nice, 5);
    assert_eq!(
        profile.source.rules,
        [
            SelectRule::IfPresent(".no backup".into()),
            SelectRule::Glob {
                include: false,
                pattern: "**/a b".into()
            },
            SelectRule::Glob {
                include: true,
                pattern: "/x".into()
            },
            SelectRule::File {
                include: false,
                path: folder.join("exclude"),
                nul_separated: false
            },
        ]
    );
    assert_eq!(
        profile
            .hooks
            .iter()
            .map(|h| h.exec.clone())
            .collect::<Vec<_>>(),
        [
            vec![
                "bash".to_owned(),
                folder.join("post.sh").display().to_string()
            ],
            vec![folder.join("pre").display().to_string()],
        ]
    );
    assert!(
        imported
            .toml
            .contains("# Not taken over from DUPL_PARAMS: --time-separator _"),
        "{}",
        imported.toml
    );
    assert!(
        imported
            .warnings
            .iter()
            .any(|w| w.contains("SOME_CREDENTIAL"))
    );
    let environment = std::fs::read_to_string(folder.join("environment")).unwrap();
    assert_eq!(environment, "SOME_CREDENTIAL='s3cr'\\''t'\n");
    for entry in std::fs::read_dir(&folder).unwrap() {
        let mode = entry.unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0);
    }
    assert!(
        imported.write(&bench.dest()).is_err(),
        "an existing profile is not overwritten"
    );
}

#[test]
fn keys_and_passwords_in_the_url_are_sorted_out() {
    let bench = fresh();
    let imported = taken(
        &bench,
        "GPG_KEY='AAAA1111,Doe\\, John'\nGPG_KEYS_ENC='BBBB2222,AAAA1111'\nGPG_KEY_SIGN='CCCC3333'\nGPG_PW='p'\nGPG_PW_SIGN='q'\nTARGET='sftp://u:p%40ss@h/x'\nSOURCE=/srv\nGPG_OPTS='--compress-algo=bzip2 --pinentry-mode loopback -q'\nDUPL_PARAMS=\"--ssh-options '-oPort=22 -4'\"\nARCH_DIR=/var/cache/arch\n",
    );
    let profile = bench.written(&imported);
    assert_eq!(
        profile.keys.encrypt_to,
        ["AAAA1111", "Doe, John", "BBBB2222"]
    );
    assert_eq!(profile.keys.sign_with.as_deref(), Some("CCCC3333"));
    let lost = "options of gpg: --compress-algo=bzip2 has no counterpart";
    assert!(
        imported.warnings.iter().any(|w| w.contains(lost)),
        "{:?}",
        imported.warnings
    );
    assert_eq!(profile.target.url.expose(), "sftp://u@h/x");
    assert_eq!(profile.target.options["ssh-options"], "-oPort=22 -4");
    assert_eq!(
        std::fs::read_to_string(bench.dest().join("home/target.pass")).unwrap(),
        "p@ss\n"
    );
    assert_eq!(
        profile.backup.archive_dir,
        Path::new("/var/cache/arch/home")
    );
}

#[test]
fn unencrypted_backups_are_said_aloud() {
    let bench = fresh();
    let imported = taken(&bench, "TARGET=file:///b\nSOURCE=/srv\n");
    assert!(imported.toml.contains("encryption = \"none\""));
    assert!(imported.warnings.iter().any(|w| w.contains("unencrypted")));
    let disabled = taken(
        &fresh(),
        "GPG_KEY=Disabled\nGPG_PW=x\nTARGET=/b\nSOURCE=/srv\n",
    );
    assert!(
        disabled.toml.contains("encryption = \"none\"")
            && disabled.toml.contains("url = \"file:///b\"")
    );
    assert!(disabled.warnings.is_empty(), "{:?}", disabled.warnings);
}

#[test]
fn a_profile_that_cannot_be_read_is_told() {
    let bench = fresh();
    let fails = |conf: &str| {
        write(&bench, "conf", conf, 0o600);
        import(&dir(&bench), &bench.dest(), &bench.around)
            .unwrap_err()
            .to_string()
    };
    assert!(fails("exit 0\n").contains("ends its shell before its end"));
    assert!(fails("SOURCE=/a\nif\n").contains("does not get through"));
    assert!(fails("SOURCE=/a\n").contains("conf says no TARGET"));
    assert!(import(Path::new("absent"), &bench.dest(), &bench.around).is_err());
}

#[test]
fn the_template_of_duply_is_understood() {
    let bench = fresh();
    let made = Command::new("duply")
        .args(["home", "create"])
        .env("HOME", bench.path())
        .output();
    let made = made.expect("this test needs duply (Debian package duply)");
    assert!(
        dir(&bench).join("conf").is_file(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let error = import(&dir(&bench), &bench.dest(), &bench.around)
        .unwrap_err()
        .to_string();
    assert!(error.contains("never filled in"), "{error}");
    let conf = std::fs::read_to_string(dir(&bench).join("conf")).unwrap();
    let conf = conf
        .replace("GPG_KEY='_KEY_ID_'", "#GPG_KEY='_KEY_ID_'")
        .replace("_GPG_PASSWORD_", "pass")
        .replace(
            "scheme://user[:password]@host[:port]/[/]path",
            "file:///backup",
        )
        .replace("/path/of/source", "/home/me")
        .replace("#MAX_FULL_BACKUPS=1", "MAX_FULL_BACKUPS=1");
    let profile = bench.written(&taken(&bench, &conf));
    assert_eq!(profile.source.root, Path::new("/home/me"));
    assert_eq!(profile.retention.keep_fulls, Some(1));
    assert_eq!(profile.backup.name, "duply_home");
}
