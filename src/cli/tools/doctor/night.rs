//! What a profile finds when cron starts it: few variables, a short path, no session, nobody to be asked.
//!
//! What is missing in this session as well is told by other lines; here stands what works now and will not at night.

use super::Line;
use crate::cli::session::Session;
use crate::cli::tools::schedule::calls::caller;
use crate::engine::error::{Error, ErrorKind};
use crate::engine::storage::{Environment, Support, schemes};
use crate::profile::{
    DumpKind, Encryption, IoClass, Keyring, MailTransport, Profile, SecretRef, SnapshotKind,
};
use crate::run::keys;
use crate::schedule;
use std::collections::BTreeMap;
use std::path::Path;

/// The path of cron, unless a crontab says another.
const PATH: &str = "/usr/bin:/bin";

/// A program and who needs it.
pub(super) struct Needed {
    /// Its name, or where it lies.
    pub program: String,
    /// Who starts it.
    pub by: String,
}

/// Lines for what cron would not find, know or be able to open; one that says that all is well if there are none.
pub(super) fn look_at(profile: &Profile, targets: &[Profile], session: &Session) -> Vec<Line> {
    let variables = environment(profile, session);
    let night: Environment = variables.iter().collect();
    let mut lines = absent(profile, session);
    lines.extend(programs(profile, targets, &night, session));
    lines.extend(secrets(profile, &variables, &night, session));
    lines.extend(locked_keys(profile));
    if lines.is_empty() {
        let path = night.get("PATH").unwrap_or_default();
        lines.push(Line::ok("cron", format!("finds what it needs in {path}")));
    }
    lines
}

/// The environment cron gives; with a schedule what `dupr schedule install` writes into its line, too.
fn environment(profile: &Profile, session: &Session) -> BTreeMap<String, String> {
    let world = &session.world;
    let user = uzers::get_user_by_uid(rustix::process::geteuid().as_raw());
    let user = user.map(|u| u.name().to_string_lossy().into_owned());
    let mut variables = BTreeMap::from(
        [
            ("HOME", world.home.display().to_string()),
            ("LOGNAME", user.unwrap_or_default()),
            ("SHELL", "/bin/sh".to_owned()),
            ("PATH", PATH.to_owned()),
        ]
        .map(|(k, v)| (k.to_owned(), v)),
    );
    if profile.schedule.is_some()
        && let Ok(caller) = caller(session)
    {
        variables.extend(caller.environment);
    }
    variables
}

/// Programs that no other line looks for and that are nowhere.
fn absent(profile: &Profile, session: &Session) -> Vec<Line> {
    let is_there = |n: &&Needed| session.environment.has_program(&n.program);
    let own = around(profile);
    let missing = own.iter().filter(|n| !is_there(n));
    missing
        .map(|n| {
            let text = format!("there is no program {}, which {} starts", n.program, n.by);
            let error = Error::new(ErrorKind::NotFound, text);
            Line::fail("programs", &error, "install it, or correct the profile")
        })
        .collect()
}

/// Programs that are found here and would not be by cron.
fn programs(
    profile: &Profile,
    targets: &[Profile],
    night: &Environment,
    session: &Session,
) -> Vec<Line> {
    let mut all = around(profile);
    all.extend(needed(profile, targets));
    all.extend(inside(profile));
    let mut lines = Vec::new();
    let mut told: Vec<String> = Vec::new();
    for needed in all {
        let name = &needed.program;
        if !session.environment.has_program(name) || night.has_program(name) || told.contains(name)
        {
            continue;
        }
        let path = night.get("PATH").unwrap_or_default();
        let text = format!(
            "cron would not find {name}, which {} starts, in {path}",
            needed.by
        );
        let fix = "write its whole path into the profile, or give it a [schedule]: `dupr schedule install` hands this PATH on";
        lines.push(Line::warn("cron", text, fix));
        told.push(name.clone());
    }
    lines
}

/// Programs around a run: of hooks and for mail.
fn around(profile: &Profile) -> Vec<Needed> {
    let mut all = Vec::new();
    for hook in &profile.hooks {
        let undo = hook.undo.as_deref().unwrap_or_default();
        for words in [hook.exec.as_slice(), undo] {
            // Another relative path is one from the folder of the profile.
            let program = words
                .first()
                .filter(|p| !p.contains('/') || Path::new(p).is_absolute());
            all.extend(program.map(|program| Needed {
                program: program.clone(),
                by: format!("a hook {}", hook.on.word()),
            }));
        }
    }
    if let Some(email) = &profile.reports.email
        && let MailTransport::Sendmail(path) = &email.transport
    {
        all.push(Needed {
            program: path.display().to_string(),
            by: "[report.email]".to_owned(),
        });
    }
    all
}

/// Programs that dumps, snapshots and secrets start.
fn inside(profile: &Profile) -> Vec<Needed> {
    let mut all = Vec::new();
    let mut need = |program: &str, by: String| {
        all.push(Needed {
            program: program.to_owned(),
            by,
        });
    };
    for dump in &profile.source.dumps {
        let programs = match (&dump.kind, dump.prefix.first()) {
            (_, Some(first)) => vec![first.as_str()],
            (DumpKind::Postgresql { .. }, _) => vec!["pg_dump", "psql"],
            (DumpKind::Mariadb { mysql: true, .. }, _) => vec!["mysqldump", "mysql"],
            (DumpKind::Mariadb { .. }, _) => vec!["mariadb-dump", "mariadb"],
            (DumpKind::Mongodb { .. }, _) => vec!["mongodump"],
            (DumpKind::Sqlite { .. }, _) => vec!["sqlite3"],
            (DumpKind::Command { argv, .. }, _) => {
                argv.first().map(String::as_str).into_iter().collect()
            }
        };
        programs
            .into_iter()
            .for_each(|p| need(p, format!("the dump {}", dump.name)));
    }
    let tool = match profile.source.snapshot {
        SnapshotKind::Btrfs => Some("btrfs"),
        SnapshotKind::Zfs => Some("zfs"),
        SnapshotKind::Lvm => Some("lvcreate"),
        SnapshotKind::None | SnapshotKind::Auto => None,
    };
    tool.into_iter()
        .for_each(|p| need(p, "snapshot".to_owned()));
    if profile.run.io_class != IoClass::None {
        need("ionice", "io-class".to_owned());
    }
    for secret in schedule::secrets(profile) {
        match secret {
            SecretRef::Command(argv) => {
                let first = argv.first().map(String::as_str);
                first
                    .into_iter()
                    .for_each(|p| need(p, "a secret".to_owned()));
            }
            SecretRef::Keyring(_) => need("secret-tool", "a secret".to_owned()),
            _ => {}
        }
    }
    all
}

/// Programs that sealing and targets take.
pub(super) fn needed(profile: &Profile, targets: &[Profile]) -> Vec<Needed> {
    let mut all = Vec::new();
    let keys = &profile.keys;
    if uses_gpg(profile) {
        all.push(Needed {
            program: keys.gpg_program.display().to_string(),
            by: "[keys]".to_owned(),
        });
    }
    if keys.encryption == Encryption::Gpgsm {
        all.push(Needed {
            program: keys.gpgsm_program.display().to_string(),
            by: "[keys]".to_owned(),
        });
    }
    for target in targets.iter().map(|t| &t.target) {
        let url = target.url.expose();
        let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
        let plain = scheme.trim_start_matches("par2+");
        let by = format!("the target {}", target.url.masked());
        let row = schemes().find(|(names, _)| names.contains(&plain));
        if let Some((_, Support::Program(program))) = row {
            all.push(Needed {
                program: program.to_owned(),
                by: by.clone(),
            });
        }
        if target.par2_redundancy.is_some() || plain != scheme {
            all.push(Needed {
                program: "par2".to_owned(),
                by,
            });
        }
    }
    all
}

/// Whether gpg itself is asked: for keys of its keyring.
pub(super) fn uses_gpg(profile: &Profile) -> bool {
    let keys = &profile.keys;
    let is_file =
        |key: &String| key.contains('/') || key.ends_with(".asc") || key.ends_with(".gpg");
    keys.encryption == Encryption::Gpg
        && keys.keyring == Keyring::Gnupg
        && (keys.sign_with.is_some() || keys.encrypt_to.iter().any(|key| !is_file(key)))
}

/// Secrets that a run of cron's does not get.
fn secrets(
    profile: &Profile,
    variables: &BTreeMap<String, String>,
    night: &Environment,
    session: &Session,
) -> Vec<Line> {
    let systemd = crate::cli::tools::schedule::ways::is_by_systemd(session);
    let mut lines = Vec::new();
    for obstacle in schedule::obstacles(profile, systemd) {
        let fix = "name a file that only you can read, { file = \"…\" }, or a command that needs no session";
        // Without a schedule it may always be started by hand.
        if obstacle.fatal && profile.schedule.is_some() {
            let error = Error::new(ErrorKind::Usage, obstacle.text);
            lines.push(Line::fail("cron", &error, fix));
        } else {
            lines.push(Line::warn("cron", obstacle.text, fix));
        }
    }
    let nobody = |_: &str| Err(Error::new(ErrorKind::Usage, "nobody is there to be asked"));
    for secret in schedule::secrets(profile) {
        let SecretRef::Command(argv) = secret else {
            continue;
        };
        // A program it does not find was told already, and one that fails here fails there.
        let found = argv
            .first()
            .is_some_and(|program| night.has_program(program));
        if !found || session.secret(secret).is_err() {
            continue;
        }
        if let Err(e) = secret.resolve(variables, &nobody) {
            let text = format!("works here and not as cron starts it: {e}");
            let fix = "let it work without variables of your session and without an agent, or name a file";
            lines.push(Line::warn("cron", text, fix));
        }
    }
    lines
}

/// Keys of gpg that only an agent opens, which has forgotten their passphrases by the night.
fn locked_keys(profile: &Profile) -> Vec<Line> {
    let keys = &profile.keys;
    if !uses_gpg(profile) {
        return Vec::new();
    }
    let is_locked = |key: &str| keys::is_locked(&keys.gpg_program, key) == Some(true);
    let mut lines = Vec::new();
    let fix = "name the passphrase under [keys], as { file = \"…\" }; `dupr unlock` tells it to the agent until that forgets it";
    if let Some(key) = &keys.sign_with
        && keys.passphrase.is_none()
        && keys.sign_passphrase.is_none()
        && is_locked(key)
    {
        let text = format!(
            "the signing key {key} has a passphrase that the profile does not name: without an agent that knows it nothing is stored"
        );
        lines.push(Line::warn("cron", text, fix));
    }
    let reads = profile.checks.spot.is_some() || profile.checks.restore_test.is_some();
    let locked = keys.encrypt_to.iter().find(|key| is_locked(key));
    if let Some(key) = locked.filter(|_| reads && keys.passphrase.is_none()) {
        let text = format!(
            "the key {key} has a passphrase that the profile does not name: without an agent that knows it [check] can read nothing"
        );
        lines.push(Line::warn("cron", text, fix));
    }
    lines
}
