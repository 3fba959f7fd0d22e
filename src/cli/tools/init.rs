//! `dupr init`: a first profile, from flags or by questions. Writes it readable by its owner only, makes a
//! passphrase if wanted, tries the target, and prints what is needed to get the data back on a bare machine.

mod answers;

use super::doctor;
use crate::cli::args::InitArgs;
use crate::cli::session::Session;
use crate::cli::ui::out;
use crate::cli::{ask, complain, exit, run};
use crate::engine::error::{Error, Result};
use crate::profile::{Loaded, Surroundings};
use serde_json::{Value, json};
use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Letters of a passphrase: none that look alike. 31 letters, 32 of them: 158 bits.
const LETTERS: &[u8; 31] = b"abcdefghjkmnpqrstuvwxyz23456789";
const PASSPHRASE_LETTERS: usize = 32;

/// How data is to be encrypted.
enum Sealing {
    /// With a passphrase made here and kept in this file.
    NewPassphrase(PathBuf),
    /// With a passphrase from a variable.
    Variable(String),
    /// To public keys.
    Recipients(Vec<String>),
    /// Not at all.
    None,
}

/// Everything a new profile says.
struct Answers {
    name: String,
    file: PathBuf,
    source: PathBuf,
    target: String,
    keys: Sealing,
    exclude: Vec<String>,
    schedule: Option<String>,
    mail_to: Option<String>,
}

/// Makes a profile.
pub fn run(args: &InitArgs, session: &Session) -> u8 {
    match make(args, session) {
        Ok(code) => code,
        Err(e) => complain::error(&e, session),
    }
}

fn make(args: &InitArgs, session: &Session) -> Result<u8> {
    let asking = session.world.terminal.input && session.world.terminal.error && !args.yes;
    let answers = gather(args, session, asking)?;
    let text = profile_text(&answers);
    if let Err(code) = is_one(&answers, &text, session) {
        return Ok(code);
    }
    if session.common.plan {
        if session.common.json {
            document(&answers, exit::DONE, json!({"toml": text}));
            return Ok(exit::DONE);
        }
        out::line(&format!("# would be written to {}", answers.file.display()));
        out::text(&text);
        return Ok(exit::DONE);
    }
    let tell = |line: &str| {
        if !session.common.json {
            out::line(line);
        }
    };
    if let Sealing::NewPassphrase(path) = &answers.keys {
        write_private(path, format!("{}\n", passphrase()?).as_bytes())?;
        tell(&format!("wrote  {} (the passphrase)", path.display()));
    }
    write_private(&answers.file, text.as_bytes())?;
    tell(&format!("wrote  {}", answers.file.display()));
    let to_correct = || {
        out::complaint(&format!(
            "correct {} with an editor, then: dupr doctor {}",
            answers.file.display(),
            answers.name
        ));
    };
    let profile = match run::load(&answers.file.to_string_lossy(), session) {
        Ok(profile) => profile,
        Err(code) => {
            to_correct();
            return Ok(code);
        }
    };
    let (mut code, mut tested) = (exit::DONE, Value::Null);
    if !args.no_test {
        match doctor::try_target(&profile, session) {
            Ok(text) => {
                tell(&format!("tested {text}"));
                tested = true.into();
            }
            Err(e) => {
                code = run::failed(&e);
                to_correct();
                tested = false.into();
            }
        }
    }
    if answers.schedule.is_some() {
        let name = &answers.name;
        tell(&format!(
            "to run it at its times: dupr schedule install {name}"
        ));
    }
    let sheet = recovery_sheet(&answers);
    sheet.iter().for_each(|l| tell(l));
    if session.common.json {
        let more = json!({"tested": tested, "sheet": sheet.join("\n")});
        document(&answers, code, more);
    }
    Ok(code)
}

/// What was done, as JSON.
fn document(answers: &Answers, code: u8, more: Value) {
    let mut all = json!({
        "schema": 1, "code": code, "profile": answers.name, "file": answers.file.display().to_string(),
    });
    if let (Value::Object(all), Value::Object(more)) = (&mut all, more) {
        all.extend(more);
    }
    out::json(&all);
}

/// Whether the text is a profile; if not, that is told before anything is written.
fn is_one(answers: &Answers, text: &str, session: &Session) -> std::result::Result<(), u8> {
    let around = Surroundings {
        // The passphrase is not there yet.
        look_at_files: false,
        ..session.surroundings()
    };
    let checked = Loaded::from_text(&answers.file, text, &around, &session.common.set)
        .and_then(|loaded| loaded.check(&around));
    checked.map(|_| ()).map_err(|errors| {
        let code = run::usage(&run::Complaint::Profile(errors), session);
        out::complaint("nothing was written; run dupr init again");
        code
    })
}

/// Takes what flags say, and asks for the rest if somebody is there; a wrong answer is told at once.
fn gather(args: &InitArgs, session: &Session, asking: bool) -> Result<Answers> {
    let need = |given: Option<String>,
                question: &str,
                default: &str,
                flag: &str,
                judge: &dyn Fn(&str) -> Result<()>|
     -> Result<String> {
        let text = match given {
            None if asking => return ask::until(question, default, judge),
            Some(text) => text,
            None if !default.is_empty() && args.yes => default.to_owned(),
            None => {
                return Err(run::usage_error(
                    format!("{flag} is missing"),
                    "give it, or run dupr init at a terminal, which asks for all it needs",
                ));
            }
        };
        judge(&text).map(|()| text)
    };
    let dir = match &args.into {
        Some(dir) => session.world.current_dir.join(dir),
        None => session
            .config_dirs()
            .into_iter()
            .next()
            .unwrap_or_else(|| session.world.home.join(".config/dupr")),
    };
    let name = need(
        args.name.clone(),
        "Name of the profile",
        "home",
        "the name of the profile",
        &|name| answers::check_name(name).and_then(|()| answers::is_free(&file_of(&dir, name))),
    )?;
    let file = file_of(&dir, &name);
    let home = session.world.home.display().to_string();
    let path = |text: Option<&PathBuf>| text.map(|p| p.display().to_string());
    let source = need(
        path(args.source.as_ref()),
        "What to back up",
        &home,
        "--source",
        &|source| answers::is_there(&session.world.current_dir.join(source)),
    )?;
    let source = session.world.current_dir.join(source);
    let target = need(
        args.target.clone(),
        "Where to (file:///path, sftp://user@host//path, s3://…)",
        "",
        "--target",
        &answers::check_target,
    )?;
    let keys = keys(args, &dir, &name, asking, session)?;
    let optional = |given: &Option<String>,
                    question: &str,
                    judge: &dyn Fn(&str) -> Result<()>|
     -> Result<Option<String>> {
        let judge = |text: &str| if text.is_empty() { Ok(()) } else { judge(text) };
        let answer = match given {
            Some(text) => judge(text).map(|()| text.clone())?,
            None if asking => ask::until(question, "", judge)?,
            None => String::new(),
        };
        Ok(Some(answer).filter(|a| !a.is_empty()))
    };
    let schedule = optional(
        &args.schedule,
        "When to run, as in crontab (17 2 * * * is every night; empty: by hand)",
        &answers::check_cron,
    )?;
    let mail_to = optional(
        &args.mail_to,
        "Address for reports (empty: none)",
        &answers::check_address,
    )?;
    Ok(Answers {
        name,
        file,
        source,
        target,
        keys,
        exclude: args.exclude.clone(),
        schedule,
        mail_to,
    })
}

fn keys(
    args: &InitArgs,
    dir: &Path,
    name: &str,
    asking: bool,
    session: &Session,
) -> Result<Sealing> {
    let usual = dir.join(format!("{name}.pass"));
    if args.no_encryption {
        return Ok(Sealing::None);
    }
    if let Some(file) = &args.passphrase_file {
        return Ok(Sealing::NewPassphrase(session.world.current_dir.join(file)));
    }
    if let Some(variable) = &args.passphrase_env {
        return Ok(Sealing::Variable(variable.clone()));
    }
    if !args.encrypt_to.is_empty() {
        let here = |key: &String| recipient(key, &session.world.current_dir);
        return Ok(Sealing::Recipients(
            args.encrypt_to.iter().map(here).collect(),
        ));
    }
    if !asking {
        return Ok(Sealing::NewPassphrase(usual));
    }
    out::complaint(
        "Encryption: 1 a passphrase made now (for most people), 2 your OpenPGP key, 3 none",
    );
    let which = ask::until("Which", "1", |answer| match answer {
        "1" | "2" | "3" => Ok(()),
        other => Err(run::usage_error(
            format!("{other:?} is none of 1, 2, 3"),
            "type one of these figures",
        )),
    })?;
    match which.as_str() {
        "2" => {
            let key = ask::until(
                "Fingerprint or mail address of the key",
                "",
                |key| match key.is_empty() {
                    true => Err(run::usage_error(
                        "no key is named",
                        "`gpg --list-keys` shows those there are",
                    )),
                    false => Ok(()),
                },
            )?;
            Ok(Sealing::Recipients(vec![recipient(
                &key,
                &session.world.current_dir,
            )]))
        }
        "3" => Ok(Sealing::None),
        _ => Ok(Sealing::NewPassphrase(usual)),
    }
}

/// A recipient as the profile names it: a file with a certificate is looked for beside the profile, and was named from here.
fn recipient(key: &str, current_dir: &Path) -> String {
    let file = current_dir.join(key);
    if file.is_file() {
        file.display().to_string()
    } else {
        key.to_owned()
    }
}

fn file_of(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{name}.toml"))
}

/// A value as TOML.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn profile_text(answers: &Answers) -> String {
    let mut text = format!(
        "# Profile of dupr: {}. `dupr show {0}` shows every key with its value.\n",
        answers.name
    );
    let mut add = |line: String| {
        text.push_str(&line);
        text.push('\n');
    };
    add("version = 1".into());
    add(format!("target = {}", quoted(&answers.target)));
    match &answers.keys {
        Sealing::NewPassphrase(path) => add(format!(
            "passphrase = {{ file = {} }}",
            quoted(&path.display().to_string())
        )),
        Sealing::Variable(name) => add(format!("passphrase = {{ env = {} }}", quoted(name))),
        Sealing::Recipients(_) | Sealing::None => {}
    }
    add("\n[source]".into());
    add(format!(
        "path = {}",
        quoted(&answers.source.display().to_string())
    ));
    add("# First match wins; + keeps, - leaves out. ** is any path, * any name.".into());
    let rules: Vec<String> = answers
        .exclude
        .iter()
        .map(|glob| quoted(&format!("- {glob}")))
        .collect();
    if rules.is_empty() {
        add("# select = [\"- **/.cache\", \"- **/node_modules\"]".into());
    } else {
        add(format!("select = [{}]", rules.join(", ")));
    }
    add("exclude-if-present = [\".nobackup\", \"CACHEDIR.TAG\"]".into());
    match &answers.keys {
        Sealing::Recipients(keys) => {
            let keys: Vec<String> = keys.iter().map(|k| quoted(k)).collect();
            add("\n[keys]".into());
            add(format!("encrypt-to = [{}]", keys.join(", ")));
        }
        Sealing::None => {
            add("\n[keys]".into());
            add("# Anyone who gets at the target can read everything.".into());
            add("encryption = \"none\"".into());
        }
        Sealing::NewPassphrase(_) | Sealing::Variable(_) => {}
    }
    add("\n[backup]".into());
    add("full-every = \"1M\"        # a new full set once a month, increments between".into());
    add("\n[retention]".into());
    add(
        "keep-fulls = 6            # chains that stay; older ones go with all their increments"
            .into(),
    );
    add("force = true              # `dupr … purge` really deletes, in cron jobs too".into());
    add("\n[run]".into());
    add(format!(
        "default = \"backup_purge\"  # what `dupr {}` does",
        answers.name
    ));
    if let Some(cron) = &answers.schedule {
        add("\n[schedule]".into());
        add(format!("cron = {}", quoted(cron)));
        add("\n[stale]".into());
        add("after = \"3D\"              # `dupr status` turns red".into());
    }
    if let Some(to) = &answers.mail_to {
        add("\n[report.email]".into());
        add(format!("to = [{}]", quoted(to)));
        add(format!("from = {}", quoted(to)));
        add("sendmail = \"/usr/sbin/sendmail\"   # or smtp = \"smtps://user@host\" and password = { file = … }".into());
        add("when = [\"failure\", \"warning\", \"recovery\", \"weekly-digest\"]".into());
    }
    text
}

/// A passphrase from the system's random numbers.
fn passphrase() -> Result<String> {
    let path = Path::new("/dev/urandom");
    let mut random = std::fs::File::open(path).map_err(|e| Error::io("open", path, e))?;
    let mut text = String::new();
    let mut letters = 0;
    while letters < PASSPHRASE_LETTERS {
        let mut byte = [0];
        random
            .read_exact(&mut byte)
            .map_err(|e| Error::io("read", path, e))?;
        // 248 is the largest multiple of 31 in a byte: above it some letters would be likelier.
        if let Some(letter) = (byte[0] < 248).then(|| LETTERS[usize::from(byte[0]) % LETTERS.len()])
        {
            if letters > 0 && letters % 4 == 0 {
                text.push('-');
            }
            text.push(char::from(letter));
            letters += 1;
        }
    }
    Ok(text)
}

/// Writes a new file that only its owner may read.
fn write_private(path: &Path, content: &[u8]) -> Result<()> {
    if let Some(dir) = path.parent() {
        let made = std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir);
        made.map_err(|e| Error::io("create", dir, e))?;
    }
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    let written = file.and_then(|mut file| file.write_all(content).and_then(|()| file.sync_all()));
    written.map_err(|e| Error::io("write", path, e))
}

fn recovery_sheet(answers: &Answers) -> Vec<String> {
    let (need, way) = match &answers.keys {
        Sealing::NewPassphrase(path) => (
            format!(
                "the passphrase in {}: copy it to a place outside this machine NOW",
                path.display()
            ),
            "PASSPHRASE=… ",
        ),
        Sealing::Variable(name) => (
            format!("the passphrase that is in the variable {name} today"),
            "PASSPHRASE=… ",
        ),
        Sealing::Recipients(keys) => (
            format!("the secret key of {} and its passphrase", keys.join(", ")),
            "",
        ),
        Sealing::None => ("nothing but the target: it is not encrypted".to_owned(), ""),
    };
    let target = crate::profile::url::mask(&answers.target);
    let plain = if matches!(answers.keys, Sealing::None) {
        " --no-encryption"
    } else {
        ""
    };
    vec![
        String::new(),
        format!(
            "Recovery sheet of {}: print it, keep it elsewhere",
            answers.name
        ),
        format!("  target    {target}"),
        format!("  you need  {need}"),
        format!("  dupr      {way}dupr duplicity restore{plain} {target} DIR"),
        format!("  or        {way}duplicity restore{plain} {target} DIR   (any version from 0.8)"),
        "  by hand   gpg -d, tar and rdiff: docs/restore-by-hand.md".to_owned(),
        String::new(),
        format!("First backup: dupr {} backup", answers.name),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(keys: Sealing) -> Answers {
        Answers {
            name: "home".into(),
            file: "/c/home.toml".into(),
            source: "/home/\"me\"".into(),
            target: "sftp://me@nas//b".into(),
            keys,
            exclude: vec!["**/.cache".into()],
            schedule: Some("17 2 * * *".into()),
            mail_to: Some("me@example.org".into()),
        }
    }

    #[test]
    fn every_profile_it_writes_can_be_used() {
        let all = [
            Sealing::NewPassphrase("/c/home.pass".into()),
            Sealing::Variable("PASS".into()),
            Sealing::Recipients(vec!["44D79E41".into()]),
            Sealing::None,
        ];
        for keys in all {
            let text = profile_text(&answers(keys));
            let around = Surroundings {
                current_dir: "/".into(),
                home: "/root".into(),
                ..Surroundings::default()
            };
            let loaded = Loaded::from_text(Path::new("/c/home.toml"), &text, &around, &[]).unwrap();
            let profile = loaded
                .check(&around)
                .unwrap_or_else(|e| panic!("{e}\n{text}"));
            assert_eq!(profile.source.root, Path::new("/home/\"me\""));
            assert_eq!(profile.run.default, "backup_purge");
        }
    }

    #[test]
    fn passphrases_are_long_and_never_the_same() {
        let (a, b) = (passphrase().unwrap(), passphrase().unwrap());
        assert_ne!(a, b);
        assert_eq!(a.len(), 39);
        assert!(
            a.split('-')
                .all(|part| part.len() == 4 && part.bytes().all(|c| LETTERS.contains(&c)))
        );
    }

    #[test]
    fn names_of_tools_and_paths_are_refused() {
        for bad in ["status", "", "a/b", ".x", "a b", "x.toml"] {
            assert!(answers::check_name(bad).is_err(), "{bad}");
        }
        assert!(answers::check_name("mail-server_2").is_ok());
    }

    #[test]
    fn files_are_private_and_never_overwritten() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/x");
        write_private(&path, b"1").unwrap();
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert!(write_private(&path, b"2").is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"1");
    }
}
