//! `dupr keys export`: the recovery sheet of a profile, and its secret keys if they are asked for.

use crate::cli::args::KeysAction;
use crate::cli::session::Session;
use crate::cli::ui::out;
use crate::cli::{complain, exit, run};
use crate::engine::error::Result;
use crate::profile::{Encryption, Keyring, Profile};
use crate::report::format;
use crate::run::keys::{self, KnownKey};
use serde_json::json;
use std::fmt::Write;
use std::path::Path;

/// Prints it, and returns the exit code.
pub fn run(action: &KeysAction, session: &Session) -> u8 {
    let KeysAction::Export {
        profile,
        secret_keys,
    } = action;
    match run::load(profile, session) {
        Ok(profile) => {
            let done = export(&profile, secret_keys.as_deref(), session);
            done.unwrap_or_else(|e| complain::error(&e, session))
        }
        Err(code) => code,
    }
}

/// Keys of a profile by what they are for. Certificate files are known by their paths.
struct Keys {
    encrypt: Vec<std::result::Result<KnownKey, String>>,
    sign: Option<std::result::Result<KnownKey, String>>,
}

fn export(profile: &Profile, secret_keys: Option<&Path>, session: &Session) -> Result<u8> {
    let declared = &profile.keys;
    let gnupg = declared.keyring == Keyring::Gnupg && declared.encryption == Encryption::Gpg;
    let look = |name: &String| -> Result<std::result::Result<KnownKey, String>> {
        if !gnupg || Path::new(name).is_file() {
            return Ok(Err(name.clone()));
        }
        keys::find(&declared.gpg_program, name).map(Ok)
    };
    let keys = Keys {
        encrypt: declared
            .encrypt_to
            .iter()
            .map(look)
            .collect::<Result<_>>()?,
        sign: declared.sign_with.as_ref().map(look).transpose()?,
    };
    if let Some(to) = secret_keys {
        export_secret(profile, &keys, to, session)?;
    }
    let sheet = sheet(profile, &keys, secret_keys, session);
    if session.common.json {
        let known = |key: &std::result::Result<KnownKey, String>| match key {
            Ok(key) => json!(key),
            Err(path) => json!({"file": path}),
        };
        let passphrase = declared.passphrase.as_ref().map(ToString::to_string);
        out::json(&json!({
            "schema": 1, "code": exit::DONE, "profile": profile.name, "file": profile.file,
            "target": profile.target.url.masked(), "encrypt-to": keys.encrypt.iter().map(known).collect::<Vec<_>>(),
            "sign-with": keys.sign.as_ref().map(known), "passphrase": passphrase, "sheet": sheet,
        }));
    } else {
        out::text(&sheet);
    }
    Ok(exit::DONE)
}

fn export_secret(profile: &Profile, keys: &Keys, to: &Path, session: &Session) -> Result<()> {
    let known: Vec<KnownKey> = keys
        .encrypt
        .iter()
        .chain(&keys.sign)
        .filter_map(|key| key.as_ref().ok())
        .filter(|key| key.has_secret)
        .cloned()
        .collect();
    if known.is_empty() {
        return Err(run::usage_error(
            "the profile has no secret key in GnuPG's keyring to export",
            "a passphrase is written down; keys of a folder are files and are copied; gpgsm has --export-secret-key-p12",
        ));
    }
    let passphrase = profile.keys.passphrase.as_ref();
    let passphrase = passphrase.map(|p| session.secret(p)).transpose()?;
    let to = session.world.current_dir.join(to);
    keys::export(&profile.keys.gpg_program, &known, passphrase, &to)?;
    let text = format!(
        "wrote {} to {}; whoever has it and its passphrase can read the backup",
        format::counted(known.len() as u64, "secret key"),
        to.display()
    );
    out::complaint(&format::safe(&text));
    Ok(())
}

fn sheet(profile: &Profile, keys: &Keys, exported: Option<&Path>, session: &Session) -> String {
    let mut text = String::new();
    let mut line = |what: &str, value: &str| {
        let row = format!("{what:<12}{}", format::safe(value));
        let _ = writeln!(text, "{}", row.trim_end());
    };
    line("", "");
    let now = format::time(run::now());
    line(
        "RECOVERY",
        &format!(
            "sheet of the backup {}, made {now} on {}",
            profile.name, session.world.host
        ),
    );
    line(
        "",
        "Keep it, and what is ticked below, away from this machine.",
    );
    line("", "");
    if let Some(file) = &profile.file {
        line("profile", &file.display().to_string());
    }
    line("source", &profile.source.root.display().to_string());
    for one in profile.per_target() {
        line("target", one.target.url.masked());
        if let Some(password) = &one.target.password {
            line("", &format!("its password: {password}"));
        }
    }
    let backup = &profile.backup;
    if !backup.file_prefix.is_empty() {
        line("names", &format!("begin with {}", backup.file_prefix));
    }
    sealing(profile, keys, &mut line);
    line("", "");
    line("KEEP", "[ ] this sheet and the profile");
    line(
        "",
        "[ ] what opens the target: password, ssh key, access key",
    );
    if let Some(passphrase) = &profile.keys.passphrase {
        line(
            "",
            &format!("[ ] the passphrase itself (now: {passphrase})"),
        );
    }
    let has_keys = !keys.encrypt.is_empty() && profile.keys.encryption == Encryption::Gpg;
    if has_keys {
        let how = match exported {
            Some(file) => format!("[ ] the secret keys (now in {})", file.display()),
            None => format!(
                "[ ] the secret keys: dupr keys export {} --secret-keys FILE",
                profile.name
            ),
        };
        line("", &how);
    }
    if by_gpgsm(profile) {
        for name in &profile.keys.encrypt_to {
            let how =
                format!("[ ] its key: gpgsm --output FILE.p12 --export-secret-key-p12 {name}");
            line("", &how);
        }
    }
    restoring(profile, has_keys, &mut line);
    text
}

/// Whether certificates of X.509 are meant, which gpgsm keeps.
fn by_gpgsm(profile: &Profile) -> bool {
    profile.keys.encryption == Encryption::Gpgsm
}

/// How the data is sealed, and with what it opens.
fn sealing(profile: &Profile, keys: &Keys, line: &mut impl FnMut(&str, &str)) {
    if profile.keys.encryption == Encryption::None {
        return line("encryption", "none: whoever gets at the target can read it");
    }
    if by_gpgsm(profile) {
        line("encryption", "CMS (S/MIME), to X.509 certificates of gpgsm");
    } else if keys.encrypt.is_empty() {
        line(
            "encryption",
            "OpenPGP with a passphrase; nothing else opens it",
        );
    }
    let mut show = |what: &str, key: &std::result::Result<KnownKey, String>| match key {
        Ok(key) => {
            line(what, &key.fingerprint);
            key.names.iter().for_each(|name| line("", name));
            if !key.has_secret {
                line("", "its secret key is not on this machine");
            }
        }
        Err(path) => line(what, path),
    };
    for key in &keys.encrypt {
        show("opened by", key);
    }
    if let Some(key) = &keys.sign {
        show("signed by", key);
    }
    if let Keyring::Directory(dir) = &profile.keys.keyring {
        line(
            "keys",
            &format!("files in {}: copy the folder", dir.display()),
        );
    }
}

/// What to type on a machine that has nothing.
fn restoring(profile: &Profile, has_keys: bool, line: &mut impl FnMut(&str, &str)) {
    let url = profile.target.url.masked();
    let prefix = match profile.backup.file_prefix.as_str() {
        "" => String::new(),
        prefix => format!(" --file-prefix {prefix}"),
    };
    let plain = if profile.keys.encryption == Encryption::None {
        " --no-encryption"
    } else if by_gpgsm(profile) {
        " --use-gpgsm"
    } else {
        ""
    };
    line("", "");
    line("RESTORE", "on a bare machine, to the folder back:");
    if has_keys {
        line("", "gpg --import SECRET-KEYS-FILE");
    }
    if by_gpgsm(profile) {
        line("", "gpgsm --import FILE.p12");
    }
    line(
        "dupr",
        &format!(
            "dupr {} restore back        with the profile, or without:",
            profile.name
        ),
    );
    line(
        "",
        &format!("dupr duplicity restore{plain}{prefix} {url} back"),
    );
    line(
        "duplicity",
        &format!("duplicity restore{plain}{prefix} {url} back"),
    );
    line(
        "",
        "Both ask for the passphrase, or take it from $PASSPHRASE.",
    );
    line(
        "by hand",
        "copy the files here; then, for each volume in the order of the manifest,",
    );
    let open = if profile.keys.encryption == Encryption::None {
        "gzip -dc VOLUME.difftar.gz | tar -x"
    } else if by_gpgsm(profile) {
        "gpgsm --decrypt VOLUME.difftar.p7m | tar -x"
    } else {
        "gpg --decrypt VOLUME.difftar.gpg | tar -x"
    };
    line("", open);
    line(
        "",
        "multivol_snapshot/FILE/1, /2 … are the parts of a file: cat them in order.",
    );
    line("", "diff/FILE is a change: rdiff patch OLD diff/FILE NEW.");
    line(
        "damaged",
        "dupr recover FOLDER back        restores what is left, and lists the rest",
    );
}
