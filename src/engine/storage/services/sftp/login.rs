//! How `ssh` is started: argv, environment, password.
//!
//! The user's own `ssh` with his own configuration, agent, known hosts and jump hosts. Nothing goes through a shell,
//! nothing secret into argv.

use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::secret::Secret;
use crate::engine::storage::options::first_password;
use crate::engine::storage::url::Server;
use crate::engine::storage::words::split_words;
use crate::engine::storage::{StorageOptions, askpass, settings};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;
use tokio::process::Command;

/// Everything needed to start `ssh` for one target, any number of times.
pub(in super::super) struct Login {
    program: String,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    host: String,
    /// The program that answers prompts and the answer.
    password: Option<(OsString, Secret)>,
}

impl Login {
    /// # Errors
    /// `Usage` for options that cannot be read, or a password without a program to hand it over.
    pub(in super::super) fn new(
        server: &Server,
        url_password: Option<&Secret>,
        options: &StorageOptions,
    ) -> Result<Self> {
        options.allow_only("sftp", settings::SFTP)?;
        let mut program = split_words(options.setting("ssh-command").unwrap_or("ssh"))?.into_iter();
        let mut arguments: Vec<OsString> = Vec::new();
        let name = program
            .next()
            .ok_or_else(|| Error::new(ErrorKind::Usage, "the option `ssh-command` is empty"))?;
        arguments.extend(program.map(OsString::from));
        // The user's options come first: of two equal ones ssh takes the first.
        arguments.extend(
            split_words(options.setting("ssh-options").unwrap_or(""))?
                .into_iter()
                .map(OsString::from),
        );
        let password = password(url_password, options)?;
        if password.is_some() {
            arguments.push("-oNumberOfPasswordPrompts=1".into());
        } else {
            arguments.push("-oBatchMode=yes".into());
        }
        arguments.push(format!("-oConnectTimeout={}", connect_seconds(options.timeout)).into());
        for option in [
            "ForwardX11=no",
            "ForwardAgent=no",
            "ClearAllForwardings=yes",
            "PermitLocalCommand=no",
        ] {
            arguments.push(format!("-o{option}").into());
        }
        if let Some(port) = server.port {
            arguments.push(format!("-p{port}").into());
        }
        if let Some(user) = &server.user {
            arguments.extend(["-l".into(), user.into()]);
        }
        let environment = options
            .environment
            .for_helpers()
            .map(|(name, value)| (name.clone(), value.clone()));
        Ok(Self {
            program: name,
            arguments,
            environment: environment.collect(),
            host: server.host.clone(),
            password,
        })
    }

    /// The host, for error texts.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// The program, for error texts.
    pub(super) fn program(&self) -> &str {
        &self.program
    }

    /// A command that speaks sftp, ready but for its standard streams.
    pub(super) fn command(&self) -> Command {
        let mut command = self.start();
        command.args(["-s", "--", &self.host, "sftp"]);
        command
    }

    /// A command that has the server's login shell run a line, ready but for its standard streams.
    pub(super) fn shell_command(&self, line: &OsStr) -> Command {
        let mut command = self.start();
        command.args(["-T", "--", &self.host]).arg(line);
        command
    }

    fn start(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments);
        command
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        // Its words are read by a program.
        command.env("LC_ALL", "C");
        if let Some((program, secret)) = &self.password {
            command
                .env("SSH_ASKPASS", program)
                .env("SSH_ASKPASS_REQUIRE", "force");
            command.env(askpass::VARIABLE, OsStr::from_bytes(secret.expose()));
        }
        // A signal from the terminal is for dupr, which lets a volume in hand reach the target.
        command.process_group(0);
        command
    }
}

/// ssh counts in whole seconds and takes 0 for "for ever".
fn connect_seconds(timeout: Duration) -> u64 {
    timeout.as_secs().max(1)
}

fn password(url: Option<&Secret>, options: &StorageOptions) -> Result<Option<(OsString, Secret)>> {
    let secret = first_password(url, options);
    match (secret, &options.askpass) {
        (None, _) => Ok(None),
        (Some(secret), _) if secret.expose().contains(&0) => Err(Error::new(
            ErrorKind::Usage,
            "the password for ssh holds a NUL",
        )),
        (Some(secret), Some(program)) => Ok(Some((program.clone().into_os_string(), secret))),
        (Some(_), None) => Err(Error::new(
            ErrorKind::Usage,
            "there is no program to hand the password to ssh",
        )
        .with_hint("use a key instead of a password")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(settings: &[(&str, &str)]) -> StorageOptions {
        StorageOptions {
            settings: settings
                .iter()
                .map(|(k, v)| (k.to_string(), v.to_string()))
                .collect(),
            askpass: Some("/usr/bin/dupr".into()),
            ..StorageOptions::default()
        }
    }

    fn server(user: Option<&str>, port: Option<u16>) -> Server {
        Server {
            user: user.map(Into::into),
            host: "h".into(),
            port,
        }
    }

    fn arguments(login: &Login) -> Vec<String> {
        let command = login.command();
        let arguments = command.as_std().get_args();
        arguments
            .map(|a| a.to_string_lossy().into_owned())
            .collect()
    }

    #[test]
    fn the_host_comes_after_all_options() {
        let options = options(&[("ssh-options", "-oBatchMode=no -i key")]);
        let server = server(Some("a b;id"), Some(2222));
        let login = Login::new(&server, None, &options).expect("valid");
        let arguments = arguments(&login);
        assert_eq!(&arguments[..3], ["-oBatchMode=no", "-i", "key"]);
        assert!(arguments.windows(2).any(|w| w == ["-l", "a b;id"]));
        assert!(arguments.contains(&"-p2222".to_string()));
        assert_eq!(&arguments[arguments.len() - 4..], ["-s", "--", "h", "sftp"]);
    }

    #[test]
    fn a_password_is_in_no_argument() {
        let secret = Secret::new("canary");
        let server = server(None, None);
        let login = Login::new(&server, Some(&secret), &options(&[])).expect("valid");
        let command = login.command();
        let arguments = arguments(&login);
        assert!(
            arguments.iter().all(|a| !a.contains("canary")),
            "{arguments:?}"
        );
        assert!(!arguments.contains(&"-oBatchMode=yes".to_string()));
        let variables: Vec<_> = command
            .as_std()
            .get_envs()
            .map(|(name, _)| name.to_string_lossy().into_owned())
            .collect();
        assert_eq!(
            variables,
            [
                "DUPR_ASKPASS",
                "LC_ALL",
                "SSH_ASKPASS",
                "SSH_ASKPASS_REQUIRE"
            ]
        );
    }

    #[test]
    fn the_password_of_the_url_wins() {
        let mut options = options(&[]);
        options.environment.set("FTP_PASSWORD", "old");
        let secret = |url: Option<&Secret>, options: &StorageOptions| {
            password(url, options)
                .expect("valid")
                .map(|(_, s)| s.expose().to_vec())
        };
        assert_eq!(secret(None, &options), Some(b"old".to_vec()));
        options.environment.set("BACKEND_PASSWORD", "new");
        assert_eq!(secret(None, &options), Some(b"new".to_vec()));
        options.password = Some(Secret::new("given"));
        assert_eq!(secret(None, &options), Some(b"given".to_vec()));
        assert_eq!(
            secret(Some(&Secret::new("url")), &options),
            Some(b"url".to_vec())
        );
    }
}
