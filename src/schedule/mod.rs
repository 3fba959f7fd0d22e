//! When profiles run by themselves, in the words of those who start them: cron, systemd, launchd, Kubernetes, Docker.
//!
//! A [`Call`] is one thing to start; each writer turns it into text and touches nothing. Only [`install`] reads and
//! changes what the machine has. No secret is ever part of a call: profiles name where theirs are.

pub mod calendar;
pub mod crontab;
pub mod docker;
pub mod install;
pub mod kubernetes;
pub mod launchd;
pub mod systemd;

use crate::engine::error::{Error, ErrorKind, Result};
use crate::profile::schedule::{Cron, Zone};
use crate::profile::{MailTransport, Profile, Requirements, Schedule, SecretRef};
use std::time::Duration;

/// Name of the call that looks for stale profiles; no profile that is called by name can have it.
pub const WATCH: &str = "watch";

/// The option that makes a call wait for its jitter and end at once if nothing is due.
pub const SCHEDULED: &str = "--scheduled";

/// A call of dupr that is to happen by itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// Name of the profile, or [`WATCH`].
    pub name: String,
    /// What it does, in a line.
    pub about: String,
    /// The program, absolute.
    pub program: String,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Variables that say where programs and profiles are; never secrets.
    pub environment: Vec<(String, String)>,
    /// When.
    pub schedule: Schedule,
    /// Credentials of systemd the profile asks for, by name.
    pub credentials: Vec<String>,
    /// Whether a condition may put a run off, so that it is worth trying again within the hour.
    pub may_be_put_off: bool,
    /// Whether nothing but dupr and the programs of its target runs, so that a service may be held short.
    pub alone: bool,
}

/// The caller's place in the world, as every call made for it has it.
#[derive(Debug, Clone, Default)]
pub struct Caller {
    /// dupr itself, absolute.
    pub program: String,
    /// Variables to hand on.
    pub environment: Vec<(String, String)>,
    /// What stands before the profile: `--config-dir DIR`.
    pub options: Vec<String>,
}

/// What keeps a profile from running by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obstacle {
    /// What it is and what to do.
    pub text: String,
    /// Whether no run can succeed.
    pub fatal: bool,
}

impl Call {
    /// The call of a profile; `word` is what it is called by, a name or an absolute path. `None` without a schedule.
    ///
    /// # Errors
    /// A word that cannot stand in a line of text.
    pub fn of_profile(profile: &Profile, word: &str, caller: &Caller) -> Result<Option<Self>> {
        let Some(schedule) = profile.schedule.clone() else {
            return Ok(None);
        };
        let mut arguments = caller.options.clone();
        arguments.extend([word.to_owned(), "-q".to_owned()]);
        let credentials = secrets(profile).filter_map(|s| match s {
            SecretRef::SystemdCredential(name) => Some(name.clone()),
            _ => None,
        });
        let about = match profile.description.as_str() {
            "" => format!("dupr: {} of {}", profile.run.default, profile.name),
            text => format!("dupr: {} of {}: {text}", profile.run.default, profile.name),
        };
        let mut credentials: Vec<String> = credentials.collect();
        credentials.sort();
        credentials.dedup();
        Self {
            name: profile.name.clone(),
            about: about.chars().filter(|c| !c.is_control()).collect(),
            program: caller.program.clone(),
            arguments,
            environment: caller.environment.clone(),
            schedule,
            credentials,
            may_be_put_off: profile.target.optional
                || profile.run.require != Requirements::default(),
            alone: is_alone(profile),
        }
        .checked()
        .map(Some)
    }

    /// The call that looks for stale profiles every hour, at a minute of its own.
    ///
    /// # Errors
    /// A word that cannot stand in a line of text.
    pub fn watch(caller: &Caller) -> Result<Self> {
        let cron = Cron::parse("52 * * * *")
            .map_err(|e| Error::new(ErrorKind::Internal, e.to_string()))?;
        let mut arguments = caller.options.clone();
        arguments.extend([WATCH.to_owned(), "-q".to_owned()]);
        Self {
            name: WATCH.to_owned(),
            about: "dupr: tell about backups that are stale".to_owned(),
            program: caller.program.clone(),
            arguments,
            environment: caller.environment.clone(),
            schedule: Schedule {
                cron,
                jitter: Duration::ZERO,
                catch_up: false,
                zone: Zone::Local,
            },
            credentials: Vec::new(),
            may_be_put_off: false,
            // Reports may go through any program.
            alone: false,
        }
        .checked()
    }

    /// The same call, told that a schedule starts it.
    #[must_use]
    pub fn scheduled(&self) -> Self {
        let mut call = self.clone();
        call.arguments.push(SCHEDULED.to_owned());
        call
    }

    /// Whether the call needs dupr's own help where whoever starts it knows no jitter and makes up for nothing.
    pub fn needs_help(&self) -> bool {
        self.schedule.catch_up || !self.schedule.jitter.is_zero()
    }

    /// Program and arguments.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.program.as_str()).chain(self.arguments.iter().map(String::as_str))
    }

    fn checked(self) -> Result<Self> {
        let variables = self.environment.iter().flat_map(|(k, v)| [k, v]);
        let texts = self.words().chain(variables.map(String::as_str));
        for text in texts.chain([self.name.as_str()]) {
            if text.chars().any(char::is_control) {
                return Err(Error::new(
                    ErrorKind::Usage,
                    format!("{text:?} holds a control character and cannot be scheduled"),
                ));
            }
        }
        Ok(self)
    }
}

/// What keeps a profile from running by itself, as far as the profile shows it. `systemd` is who will start it.
pub fn obstacles(profile: &Profile, by_systemd: bool) -> Vec<Obstacle> {
    let mut list = Vec::new();
    for secret in secrets(profile) {
        let (text, fatal) = match secret {
            SecretRef::Prompt(_) => (
                "it asks for a secret at a terminal, and a scheduled run has none: name a file or a command".to_owned(),
                true,
            ),
            SecretRef::Env(name) => (
                format!("its secret comes from the variable {name}, which a scheduled run has only if you see to it: name a file or a command"),
                false,
            ),
            SecretRef::Keyring(name) => (
                format!("its secret is the entry {name} of the keyring, which is open only while you are logged in: name a file or a command"),
                false,
            ),
            SecretRef::SystemdCredential(name) if !by_systemd => (
                format!("the credential {name} is handed out by systemd only"),
                true,
            ),
            _ => continue,
        };
        let obstacle = Obstacle { text, fatal };
        if !list.contains(&obstacle) {
            list.push(obstacle);
        }
    }
    list
}

/// Every secret a profile refers to.
pub fn secrets(profile: &Profile) -> impl Iterator<Item = &SecretRef> {
    let mail = profile
        .reports
        .email
        .as_ref()
        .and_then(|e| match &e.transport {
            MailTransport::Smtp { password, .. } => password.as_ref(),
            MailTransport::Sendmail(_) => None,
        });
    let targets = profile.targets();
    [&profile.keys.passphrase, &profile.keys.sign_passphrase]
        .into_iter()
        .flatten()
        .chain(targets.filter_map(|t| t.password.as_ref()))
        .chain(mail)
}

/// Whether no program of the user's choice runs: no hook, no secret from a command, no sendmail with the rights of
/// its group.
fn is_alone(profile: &Profile) -> bool {
    let sendmail = profile
        .reports
        .email
        .as_ref()
        .is_some_and(|e| matches!(e.transport, MailTransport::Sendmail(_)));
    profile.hooks.is_empty()
        && !sendmail
        && !secrets(profile).any(|s| matches!(s, SecretRef::Command(_) | SecretRef::Keyring(_)))
}

/// A word for a shell: as it is if it is plain, else in single quotes. Without backslashes, which cron reads, too.
pub(crate) fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=+,@".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\"'\"'"))
}

/// A minute of the hour that is the profile's own and none at which it is planned, if there is one.
pub(crate) fn spare_minute(call: &Call) -> u32 {
    let sum = call
        .name
        .bytes()
        .fold(7u32, |sum, b| sum.wrapping_mul(31).wrapping_add(b.into()));
    let planned = |minute: &u32| {
        let alternatives = call.schedule.cron.alternatives();
        alternatives.iter().any(|t| t.minutes.contains(minute))
    };
    (0..60)
        .map(|i| (sum % 60 + i) % 60)
        .find(|m| !planned(m))
        .unwrap_or(sum % 60)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A call with this schedule.
    pub(crate) fn call(cron: &str, jitter: u64, catch_up: bool, zone: Zone) -> Call {
        Call {
            name: "home".into(),
            about: "dupr: backup of home".into(),
            program: "/usr/local/bin/dupr".into(),
            arguments: vec!["home".into(), "-q".into()],
            environment: vec![("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into())],
            schedule: Schedule {
                cron: Cron::parse(cron).unwrap(),
                jitter: Duration::from_secs(jitter),
                catch_up,
                zone,
            },
            credentials: Vec::new(),
            may_be_put_off: false,
            alone: true,
        }
    }

    fn profile(more: &str) -> Profile {
        let text = format!(
            "version = 1\nsource = \"/s\"\ntarget = \"file:///t\"\ndescription = \"all of it\"\n{more}[schedule]\ncron = \"17 2 * * *\"\n"
        );
        let around = crate::profile::Surroundings::default();
        let path = std::path::Path::new("/etc/dupr/home.toml");
        let loaded = crate::profile::Loaded::from_text(path, &text, &around, &[]);
        loaded.unwrap().check(&around).unwrap()
    }

    #[test]
    fn a_call_holds_no_secret_and_says_what_is_in_its_way() {
        let caller = Caller {
            program: "/bin/dupr".into(),
            ..Caller::default()
        };
        let asking = profile("passphrase = { prompt = \"Pass\" }\n");
        let call = Call::of_profile(&asking, "home", &caller).unwrap().unwrap();
        assert_eq!(
            call.words().collect::<Vec<_>>(),
            ["/bin/dupr", "home", "-q"]
        );
        assert_eq!(call.about, "dupr: backup of home: all of it");
        assert!(call.alone && obstacles(&asking, true)[0].fatal);
        let from_env = profile("passphrase = { env = \"HOME_PASS\" }\n");
        assert!(!obstacles(&from_env, false)[0].fatal);
        let credential = profile("passphrase = { systemd-credential = \"home-pass\" }\n");
        assert!(obstacles(&credential, false)[0].fatal && obstacles(&credential, true).is_empty());
        let call = Call::of_profile(&credential, "home", &caller)
            .unwrap()
            .unwrap();
        assert_eq!(call.credentials, ["home-pass"]);
        let command = profile("passphrase = { command = [\"pass\", \"show\", \"x\"] }\n");
        let call = Call::of_profile(&command, "home", &caller)
            .unwrap()
            .unwrap();
        assert!(!call.alone && obstacles(&command, false).is_empty());
        assert!(Call::of_profile(&command, "/a\nb.toml", &caller).is_err());
    }

    #[test]
    fn the_spare_minute_is_never_a_planned_one() {
        for cron in ["17 2 * * *", "*/2 * * * *", "0-58 * * * *"] {
            let call = call(cron, 0, true, Zone::Utc);
            let minutes = &call.schedule.cron.alternatives()[0].minutes;
            assert!(!minutes.contains(&spare_minute(&call)), "{cron}");
        }
    }

    #[test]
    fn words_for_a_shell() {
        assert_eq!(shell_word("/usr/bin/dupr"), "/usr/bin/dupr");
        assert_eq!(shell_word("it's"), "'it'\"'\"'s'");
        assert_eq!(shell_word("a b"), "'a b'");
        assert_eq!(shell_word(""), "''");
    }
}
