//! How files are sealed and opened: options, passphrases from environment or prompt, and `--gpg-options`.

use super::args::{Action, Args};
use super::fault::{BY_GPG, Fault, Result, UNSIGNED};
use super::log::{Log, Weight};
use super::prompt;
use super::session::{self, World};
use crate::engine::error::ErrorKind;
use crate::engine::seal::{
    self, Asking, Compression, Encryption, Gpgsm, Keyring, Seal, SealOptions, Signature,
    block_bytes_for,
};
use crate::engine::secret::Secret;
use std::path::PathBuf;

/// What the options say about sealing for an action. Asks for passphrases that are needed and not in the environment.
///
/// # Errors
/// Nobody answers; an option is not UTF-8 where it must be.
pub fn seal_options(args: &Args, url: &str, world: &World, log: &Log) -> Result<SealOptions> {
    let gpg = GpgOptions::of(args);
    let names = Names::of(args);
    let encrypts = args.switch("encryption", true);
    let makes_files = args.action.writes() || args.action == Action::Replicate;
    let by_gpgsm = args.has("use-gpgsm");
    if by_gpgsm && encrypts && makes_files {
        beyond_gpgsm(&names)?;
    }
    let main = match encrypts {
        true => match passphrase(args, &names, world, log)? {
            None if world.given("PASSPHRASE").is_none()
                && names.recipients.is_empty()
                && !by_gpgsm =>
            {
                of_agent(args, url, makes_files)?
            }
            known => known,
        },
        false => None,
    };
    let by_gpg = encrypts && makes_files && !gpg.foreign.is_empty() && !by_gpgsm;
    if by_gpg {
        let foreign = gpg.foreign.join(", ");
        let text = format!("gpg itself encrypts, as --gpg-options asks for {foreign}");
        log.say(Weight::Info, &text);
    }
    let volume_bytes = args.number::<u64>("volsize")?.unwrap_or(200).max(1) << 20;
    let mut options = SealOptions {
        compression: match args.switch("compression", true) {
            // What gpg compresses is only weighed here.
            true if by_gpg && gpg.compression != Some(Compression::None) => Compression::Fast,
            true => gpg.compression.unwrap_or_default(),
            false => Compression::None,
        },
        threads: world.threads,
        block_bytes: Some(block_bytes_for(volume_bytes)),
        keyring: keyring(args),
        hidden_recipients: names.hidden.clone(),
        gpgsm: gpgsm(args, &gpg.words, world)?,
        gpg_options: match by_gpgsm {
            true => Vec::new(),
            false => gpg.words,
        },
        by_gpg,
        by_agent: args.has("use-agent"),
        ..SealOptions::default()
    };
    if !encrypts {
        // COMPAT(dup all): what is there may be encrypted all the same, and opens with what the environment says.
        let known = ["PASSPHRASE", "SIGN_PASSPHRASE"];
        options.further_passphrases = known.iter().filter_map(|n| world.secret(n)).collect();
        return Ok(options);
    }
    if makes_files {
        options.encryption = encryption(args, names, main, gpg.hidden && !by_gpg, world, log)?;
    } else {
        options.further_passphrases = main.into_iter().collect();
        options
            .further_passphrases
            .extend(world.secret("SIGN_PASSPHRASE"));
        // COMPAT(dup all): a sign key given for reading is one all files must be signed by.
        options.required_signer = names.sign.filter(|_| !args.action.needs_no_key());
    }
    Ok(options)
}

/// Gathers the keys.
///
/// # Errors
/// With duplicity's numbers: 31 for keys and options gpg cannot use, 22 for a signer nobody knows.
pub fn open(options: &SealOptions) -> Result<Box<dyn Seal>> {
    seal::open(options).map_err(|error| {
        let unusable = matches!(error.kind(), ErrorKind::Usage | ErrorKind::Unsupported)
            && (!error.to_string().contains("passphrase")
                || error.to_string().contains("passphrase is empty"));
        let code = match (unusable, &options.required_signer) {
            (true, Some(_)) => Some(UNSIGNED),
            (true, None) => Some(BY_GPG),
            (false, _) => None,
        };
        let fault = Fault::from(error);
        match code {
            Some(BY_GPG) => Fault {
                code: BY_GPG,
                extra: "GPGError".into(),
                ..fault
            },
            Some(code) => Fault { code, ..fault },
            None => fault,
        }
    })
}

/// Where keys are found.
pub fn keyring(args: &Args) -> Keyring {
    Keyring::GnuPg {
        home: GpgOptions::of(args).home,
        program: args
            .value("gpg-binary")
            .filter(|_| !args.has("use-gpgsm"))
            .map_or_else(|| PathBuf::from("gpg"), PathBuf::from),
    }
}

/// What gpgsm is to do. Without `--use-gpgsm` it still reads what it once wrote.
fn gpgsm(args: &Args, words: &[String], world: &World) -> Result<Gpgsm> {
    let usual = Gpgsm {
        temp_dir: Some(world.temp_dir(args)?),
        ..Gpgsm::default()
    };
    if !args.has("use-gpgsm") {
        return Ok(usual);
    }
    Ok(Gpgsm {
        writes: args.switch("encryption", true),
        program: args
            .value("gpg-binary")
            .map_or(usual.program, PathBuf::from),
        options: words.to_vec(),
        temp_dir: usual.temp_dir,
    })
}

/// Refuses what gpgsm cannot do, before anybody is asked for a passphrase.
fn beyond_gpgsm(names: &Names) -> Result<()> {
    let why = if names.sign.is_some() {
        "gpgsm cannot sign what it encrypts: leave out --sign-key or --use-gpgsm"
    } else if !names.hidden.is_empty() {
        "gpgsm cannot hide whom it encrypts to: write --encrypt-key in place of --hidden-encrypt-key"
    } else if names.recipients.is_empty() {
        "gpgsm encrypts to certificates only: name one with --encrypt-key"
    } else {
        return Ok(());
    };
    // COMPAT(dup 3.0.5): it begins, and gpgsm refuses.
    Err(Fault {
        extra: "GPGError".into(),
        ..Fault::new(BY_GPG, why)
    })
}

/// What `--gpg-options` say, word by word.
pub fn gpg_options(args: &Args) -> Vec<String> {
    GpgOptions::of(args).words
}

/// Keys by the names they were given.
struct Names {
    recipients: Vec<String>,
    hidden: Vec<String>,
    sign: Option<String>,
}

impl Names {
    fn of(args: &Args) -> Self {
        let keys = |name: &'static str| args.values(name).map(|v| v.to_string_lossy().into_owned());
        let mut hidden: Vec<String> = keys("hidden-encrypt-key").collect();
        let both = ["sign-key", "encrypt-sign-key"];
        let sign = args
            .options
            .iter()
            .rev()
            .find(|(flag, _)| both.contains(&flag.means))
            .and_then(|(_, values)| values.first())
            .map(|v| v.to_string_lossy().into_owned());
        let mut recipients: Vec<String> = keys("encrypt-key")
            .chain(keys("encrypt-sign-key"))
            .chain(hidden.iter().cloned())
            .collect();
        let gpg = GpgOptions::of(args);
        // gpg itself is told of the others by its own options.
        if !recipients.is_empty() && gpg.foreign.is_empty() && !args.has("use-gpgsm") {
            hidden.extend(gpg.hidden_recipients.iter().cloned());
            recipients.extend(gpg.recipients.into_iter().chain(gpg.hidden_recipients));
        }
        Self {
            recipients,
            hidden,
            sign,
        }
    }

    /// Whether the signing key is one of those that open the files: then one passphrase serves both.
    fn sign_is_recipient(&self) -> bool {
        self.sign
            .as_ref()
            .is_some_and(|s| self.recipients.contains(s))
    }
}

fn encryption(
    args: &Args,
    names: Names,
    main: Option<Secret>,
    hidden: bool,
    world: &World,
    log: &Log,
) -> Result<Encryption> {
    let sign_passphrase = if names.sign.is_some() {
        signing_passphrase(args, &names, world, log)?
    } else {
        None
    };
    let sign = names.sign.map(|key| Signature {
        key,
        passphrase: sign_passphrase,
    });
    Ok(if names.recipients.is_empty() {
        Encryption::Symmetric {
            passphrase: main.unwrap_or_else(|| Secret::new("")),
            sign,
        }
    } else {
        Encryption::PublicKey {
            recipients: names.recipients,
            hidden,
            passphrase: main,
            sign,
        }
    })
}

/// The passphrase that opens files, and seals them if there are no keys.
fn passphrase(args: &Args, names: &Names, world: &World, log: &Log) -> Result<Option<Secret>> {
    if let Some(given) = world.given("PASSPHRASE") {
        return Ok(given);
    }
    if names.sign_is_recipient()
        && let Some(given) = world.given("SIGN_PASSPHRASE")
    {
        log.notice("SIGN_PASSPHRASE is taken for PASSPHRASE: the signing key also decrypts");
        return Ok(given);
    }
    let keys = !names.recipients.is_empty();
    let with_keys_alone = keys && (args.action.writes() || args.action == Action::List);
    if args.has("use-agent") || args.action.needs_no_key() || with_keys_alone {
        return Ok(None);
    }
    let ask = "GnuPG passphrase for decryption:";
    if !args.action.writes() || args.action == Action::Incremental || args.has("dry-run") {
        return prompt::secret(ask).map(Some);
    }
    loop {
        let again = "Retype passphrase for decryption to confirm:";
        let secret = prompt::new_secret(ask, again, &|| {
            log.warn("First and second passphrases do not match! Please try again.");
        })?;
        if keys || !secret.is_empty() {
            return Ok(Some(secret));
        }
        log.warn("An empty passphrase encrypts nothing. Please try again.");
    }
}

/// The passphrase of whole messages, if gpg's agent is to know it. For reading it is not asked to ask: there may be keys.
fn of_agent(args: &Args, url: &str, makes_files: bool) -> Result<Option<Secret>> {
    if !args.has("use-agent") || args.action.needs_no_key() {
        return Ok(None);
    }
    let asking = match args.action {
        _ if !makes_files => Asking::Never,
        Action::Incremental => Asking::Once,
        _ => Asking::Twice,
    };
    let name = session::archive_name(args, url)?;
    // The agent takes names of no more than fifty bytes without blanks.
    let name: String = name
        .chars()
        .map(|c| if c.is_ascii_graphic() { c } else { '_' })
        .take(40)
        .collect();
    let name = format!("duplicity:{name}");
    Ok(seal::agent_passphrase(&keyring(args), &name, asking)?)
}

/// The passphrase of the signing key; `None` leaves it to gpg's agent.
fn signing_passphrase(
    args: &Args,
    names: &Names,
    world: &World,
    log: &Log,
) -> Result<Option<Secret>> {
    if let Some(given) = world.given("SIGN_PASSPHRASE") {
        return Ok(given);
    }
    if names.sign_is_recipient()
        && let Some(given) = world.given("PASSPHRASE")
    {
        log.notice("PASSPHRASE is taken for SIGN_PASSPHRASE: the signing key also decrypts");
        return Ok(given);
    }
    if args.has("use-agent") || names.sign_is_recipient() {
        return Ok(None);
    }
    // COMPAT(dup 3.2): a full backup to keys opens nothing, and nobody is asked.
    if args.action == Action::Full && !names.recipients.is_empty() {
        return Ok(world.secret("PASSPHRASE"));
    }
    let ask = "GnuPG passphrase for signing key:";
    match prompt::secret(ask) {
        Ok(secret) => Ok(Some(secret).filter(|s| !s.is_empty())),
        // Nobody there: gpg's agent may know the key, or it has no passphrase.
        Err(_) => Ok(world.secret("PASSPHRASE")),
    }
}

/// What `--gpg-options` ask for.
#[derive(Debug, Default, PartialEq)]
struct GpgOptions {
    home: Option<PathBuf>,
    compression: Option<Compression>,
    hidden: bool,
    /// Further keys files are encrypted to, if they are encrypted to keys at all.
    recipients: Vec<String>,
    /// Those of them that are not to be named in the files.
    hidden_recipients: Vec<String>,
    /// Everything as it was typed, for every gpg that is run.
    words: Vec<String>,
    /// Those that only gpg itself can honor.
    foreign: Vec<String>,
}

impl GpgOptions {
    fn of(args: &Args) -> Self {
        let typed = args.values("gpg-options");
        let typed: Vec<String> = typed.flat_map(|v| words(&v.to_string_lossy())).collect();
        let mut options = Self {
            words: typed.clone(),
            ..Self::default()
        };
        let mut words = typed.into_iter().peekable();
        while let Some(word) = words.next() {
            let (name, value) = match word.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (word.clone(), None),
            };
            let (name, value) = match (name.strip_prefix("-z"), &value) {
                (Some(level), None) if !level.is_empty() => ("-z".into(), Some(level.to_owned())),
                _ => (name, value),
            };
            let value = value.or_else(|| words.next_if(|next| !next.starts_with('-')));
            options.take(&name, value.as_deref());
        }
        options
    }

    fn take(&mut self, name: &str, value: Option<&str>) {
        match (name, value) {
            ("--homedir", Some(home)) => self.home = Some(home.into()),
            (
                "--compress-algo" | "--compress-algorithm",
                Some("none" | "uncompressed" | "0" | "Z0"),
            ) => {
                self.compression = Some(Compression::None);
            }
            ("--compress-level" | "-z", Some(level)) => {
                self.compression = match level {
                    "0" => Some(Compression::None),
                    "1" | "2" | "3" => Some(Compression::Fast),
                    "7" | "8" | "9" => Some(Compression::Best),
                    _ => None,
                };
            }
            ("--throw-keyids" | "--throw-keyid", _) => self.hidden = true,
            ("--recipient" | "-r" | "--encrypt-to", Some(key)) => self.recipients.push(key.into()),
            ("--hidden-recipient" | "-R" | "--hidden-encrypt-to", Some(key)) => {
                self.hidden_recipients.push(key.into());
            }
            ("--cipher-algo", Some(cipher)) if is_one_of(cipher, &["AES256", "S9"]) => {}
            ("--compress-algo" | "--compress-algorithm", Some(algorithm))
                if is_one_of(algorithm, &["zip", "zlib", "1", "2", "Z1", "Z2"]) => {}
            (name, _) if AROUND.contains(&name) => {}
            (name, Some(value)) => self.foreign.push(format!("{name} {value}")),
            (name, None) => self.foreign.push(name.into()),
        }
    }
}

fn is_one_of(word: &str, known: &[&str]) -> bool {
    known.iter().any(|k| word.eq_ignore_ascii_case(k))
}

/// Options of gpg that change nothing in how files are written: where keys are, whom to trust, what to say.
const AROUND: &[&str] = &[
    "--trust-model",
    "--always-trust",
    "--no-auto-check-trustdb",
    "--auto-key-locate",
    "--no-auto-key-locate",
    "--default-key",
    "--keyring",
    "--no-default-keyring",
    "--primary-keyring",
    "--secret-keyring",
    "--lock-once",
    "--lock-multiple",
    "--lock-never",
    "--batch",
    "--yes",
    "--no-tty",
    "--quiet",
    "-q",
    "--no-greeting",
    "--pinentry-mode",
    "--no-secmem-warning",
    "--no-permission-warning",
    "--no-mdc-warning",
    "--force-mdc",
    "--ignore-mdc-error",
    "--use-agent",
    "--no-use-agent",
    "--no-symkey-cache",
    "--no-verbose",
    "--verbose",
    "-v",
    "--display-charset",
    "--charset",
    "--utf8-strings",
    "--no-utf8-strings",
];

/// Words of a string of options: split at white space, but not inside quotes, which are dropped.
pub(super) fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in text.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    // The whole string may have come in one more pair of quotes.
    match words.as_slice() {
        [one] if one.contains(' ') && one.starts_with('-') => {
            one.split_whitespace().map(str::to_owned).collect()
        }
        _ => words,
    }
}

#[cfg(test)]
mod tests {
    use super::super::args::Request;
    use super::*;

    fn gpg(text: &str) -> GpgOptions {
        let line = ["/a", "file:///b", &format!("--gpg-options={text}")].map(Into::into);
        match Request::parse(line) {
            Ok(Request::Run(args)) => GpgOptions::of(&args),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn options_of_gpg_mean_what_they_can() {
        assert_eq!(gpg("--homedir=/g").home, Some("/g".into()));
        assert_eq!(gpg("--homedir '/g h'").home, Some("/g h".into()));
        assert_eq!(
            gpg("\"--homedir\" \"/g\" -z 0").compression,
            Some(Compression::None)
        );
        assert_eq!(gpg("-z9").compression, Some(Compression::Best));
        assert_eq!(
            gpg("--compress-algo=none").compression,
            Some(Compression::None)
        );
        for text in [
            "'--cipher-algo=AES256 --trust-model always'",
            "--compress-algo ZIP --pinentry-mode=loopback --keyring /k",
        ] {
            let options = gpg(text);
            assert!(options.foreign.is_empty(), "{options:?}");
            assert_eq!(options.words.len(), words(text).len());
        }
        assert_eq!(
            gpg("--cipher-algo TWOFISH --armor").foreign,
            ["--cipher-algo TWOFISH", "--armor"]
        );
        assert_eq!(
            gpg("--compress-algo=bzip2").words,
            ["--compress-algo=bzip2"]
        );
        assert!(gpg("--throw-keyids").hidden);
        assert_eq!(gpg("-r A --encrypt-to=B").recipients, ["A", "B"]);
        assert_eq!(gpg("-r A -R B").hidden_recipients, ["B"]);
    }
}
