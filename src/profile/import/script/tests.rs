use super::*;
use crate::profile::import::bench::Bench;
use crate::profile::{Profile, SecretRef, SelectRule};

/// Understands enough of duplicity for these tests: the action first, every option with `=` or without a value.
fn reader(words: &[String]) -> Result<Call, String> {
    let (options, words): (Vec<&String>, Vec<&String>) =
        words.iter().partition(|w| w.starts_with("--"));
    let option = |option: &&String| {
        let option = option.trim_start_matches("--");
        match option.split_once('=') {
            Some((name, value)) => (name.to_owned(), vec![value.to_owned()]),
            None => (option.to_owned(), Vec::new()),
        }
    };
    let [action, rest @ ..] = words.as_slice() else {
        return Err("nothing to do".into());
    };
    if *action == "frob" {
        return Err("frob is no action".into());
    }
    Ok(Call {
        action: (*action).clone(),
        words: rest.iter().map(|w| (*w).clone()).collect(),
        options: options.iter().map(option).collect(),
    })
}

fn fresh() -> Bench {
    Bench::new("/home/me")
}

fn taken(bench: &Bench, text: &str) -> Result<Imported, Errors> {
    bench.write("nightly.sh", text, 0o755);
    import(Path::new("nightly.sh"), None, &bench.around, &reader)
}

fn load(bench: &Bench, text: &str) -> (Profile, Imported) {
    let imported = taken(bench, text).unwrap();
    (bench.read(&imported), imported)
}

const NIGHTLY: &str = r#"#!/bin/bash
# Every night.
set -eu
export PASSPHRASE='c4nary'
export AWS_ACCESS_KEY_ID=id AWS_SECRET_ACCESS_KEY="s3cr t"
FTP_PASSWORD=$(cat /root/ftp.pass); export FTP_PASSWORD
SRC=/srv
DEST="ftp://me@nas.local/$HOSTNAME_OF/b"
DEST="ftp://me@nas.local/b"
OPTS="--volsize=50 --full-if-older-than=1M"
EXCLUDES=(--exclude=/srv/tmp
          "--exclude=**/a b")
mysqldump --all-databases -ps3cret > /srv/all.sql
if ! mountpoint -q /srv; then
  exit 1
fi
nice -n 15 ionice -c3 duplicity backup $OPTS "${EXCLUDES[@]}" --frobnicate=x \
    "$SRC" "$DEST" >> /var/log/dup.log 2>&1
duplicity remove-older-than 6M --force "$DEST"
duplicity remove-all-inc-of-but-n-full 2 --force "$DEST"
duplicity cleanup --force "$DEST"
/usr/bin/duplicity collection-status "$DEST" | mail -s backup root
duplicity backup /etc "$DEST"
for d in a b; do duplicity backup /$d "$DEST/$d"; done
duplicity frob "$DEST"
unset PASSPHRASE
"#;

#[test]
fn a_simple_script_becomes_a_profile_and_the_rest_is_listed() {
    let (profile, imported) = load(&fresh(), NIGHTLY);
    assert_eq!(imported.name, "nightly");
    assert_eq!(profile.source.root, Path::new("/srv"));
    let glob = |pattern: &str| SelectRule::Glob {
        include: false,
        pattern: pattern.to_owned(),
    };
    assert_eq!(profile.source.rules, [glob("/srv/tmp"), glob("**/a b")]);
    assert_eq!(profile.target.url.expose(), "ftp://me@nas.local/b");
    let at_root = |path: &str| Some(SecretRef::File(path.into()));
    assert_eq!(profile.target.password, at_root("/root/ftp.pass"));
    assert!(matches!(profile.keys.passphrase, Some(SecretRef::File(_))));
    assert_eq!(profile.backup.volume_bytes, 50 << 20);
    assert_eq!(profile.backup.full_every.unwrap().to_string(), "1M");
    assert_eq!(profile.retention.max_age.unwrap().to_string(), "6M");
    assert_eq!(profile.retention.keep_chains_with_incrementals, Some(2));
    assert!(profile.retention.force);
    assert_eq!(profile.run.default, "backup_purge_status");
    assert_eq!(profile.run.nice, 15);
    let files: Vec<&str> = imported.files.iter().map(|f| f.name.as_str()).collect();
    assert_eq!(files, ["gpg.pass", "environment"]);
    let told = imported.warnings.join("\n");
    for text in [
        "line 13: mysqldump has no counterpart",
        "line 14: mountpoint has no counterpart",
        "line 17: --frobnicate x has no counterpart",
        "line 22: mail has no counterpart",
        "line 23: a second backup was left out",
        "line 24: for has no counterpart",
        "line 24: a call of duplicity was left out: only the shell knows $d",
        "line 25: a call of duplicity was left out: frob is no action",
        "the script exports AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY",
    ] {
        assert!(told.contains(text), "{text} is not in\n{told}");
    }
    assert_eq!(imported.warnings.len(), 9, "{told}");
    for secret in ["c4nary", "s3cr"] {
        assert!(!told.contains(secret) && !imported.toml.contains(secret));
    }
    assert!(imported.toml.contains("# line 13: mysqldump"));
}

#[test]
fn keys_and_kinds_of_sets() {
    let bench = fresh();
    let (profile, imported) = load(
        &bench,
        "D=file:///b\nif [ \"$(date +%d)\" = 01 ]; then duplicity full --encrypt-key=AA --sign-key=BB docs $D\nelse duplicity incremental docs $D; fi\n",
    );
    assert_eq!(profile.run.default, "backup");
    assert_eq!(profile.keys.encrypt_to, ["AA"]);
    assert_eq!(profile.keys.sign_with.as_deref(), Some("BB"));
    assert_eq!(profile.source.root, Path::new("/home/me/docs"));
    let told = imported.warnings.join("\n");
    for text in [
        "line 2: [ has no counterpart",
        "write full-every",
        "below the home",
    ] {
        assert!(told.contains(text), "{told}");
    }
    let (profile, imported) = load(
        &bench,
        "PASSPHRASE=`pass show b` duplicity full /a sftp://u:p%40ss@h/x",
    );
    let command = ["pass", "show", "b"].map(str::to_owned).to_vec();
    assert_eq!(profile.keys.passphrase, Some(SecretRef::Command(command)));
    assert_eq!(profile.target.url.expose(), "sftp://u@h/x");
    assert_eq!(imported.files[0].content.expose(), b"p@ss\n");
    let (profile, _) = load(&bench, "duplicity full --no-encryption /a file:///b");
    assert_eq!(profile.keys.encryption, crate::profile::Encryption::None);
    let (profile, _) = load(
        &bench,
        "duplicity full --use-gpgsm --gpg-binary=/opt/gpgsm --encrypt-key=ada@x /a file:///b",
    );
    assert_eq!(profile.keys.encryption, crate::profile::Encryption::Gpgsm);
    assert_eq!(profile.keys.gpgsm_program, Path::new("/opt/gpgsm"));
    assert_eq!(profile.keys.encrypt_to, ["ada@x"]);
    let (profile, imported) = load(&bench, "duplicity full /a file:///b");
    assert_eq!(
        profile.keys.passphrase,
        Some(SecretRef::Env("PASSPHRASE".into()))
    );
    assert!(imported.warnings[0].contains("does not set PASSPHRASE"));
}

#[test]
fn a_script_without_a_backup_is_refused_with_what_was_seen() {
    let bench = fresh();
    let error = taken(&bench, "duplicity backup $1 file:///b\n")
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("no call of duplicity") && error.contains("line 1: "),
        "{error}"
    );
    assert!(taken(&bench, "tar c /\n").is_err());
}
