//! What one invocation hands to its jobs: secrets, signals, the log, whoever shows progress.

use super::args::{ColorWhen, Common, LogForm};
use super::silence::Silence;
use super::ui::plain::{Asked, Loudness, Plain};
use super::ui::terminal::Terminal;
use super::world::{self, World};
use crate::engine::context::Cancel;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::secret::Secret;
use crate::engine::storage::Environment;
use crate::profile::SecretRef;
use crate::profile::Surroundings;
use crate::run::{LogFormat, RunMonitor, open};
use jiff::tz::TimeZone;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};

/// The clock as everybody below is given it.
pub const CLOCK: &(dyn Fn() -> crate::engine::time::Timestamp + Sync) = &world::now;

/// One invocation.
pub struct Session {
    /// Where it runs.
    pub world: World,
    /// Options for everything.
    pub common: Common,
    /// Raised by signals.
    pub cancel: Cancel,
    /// Raised by the signal that asks how far a run is.
    asked: Asked,
    /// The environment for storage services.
    pub environment: Environment,
    /// This program.
    pub program: Option<PathBuf>,
    /// Zone of the user.
    pub zone: TimeZone,
    secrets: Mutex<Vec<(SecretRef, Secret)>>,
}

impl Session {
    /// Gathers what jobs need.
    pub fn new(world: World, common: Common) -> Self {
        Self {
            common,
            cancel: Cancel::new(),
            asked: Asked::default(),
            environment: std::env::vars_os().collect(),
            program: std::env::current_exe().ok(),
            zone: TimeZone::system(),
            secrets: Mutex::default(),
            world,
        }
    }

    /// Lets SIGINT, SIGTERM and SIGHUP ask for a stop: the first politely, the second at once. SIGUSR1 asks how far the run is.
    ///
    /// # Errors
    /// The system refuses to register handlers.
    pub fn watch_signals(&self) -> Result<()> {
        use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
        let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP, SIGUSR1])
            .map_err(|e| Error::from(e).within("cannot watch for signals"))?;
        let (cancel, asked) = (self.cancel.clone(), Asked::clone(&self.asked));
        std::thread::spawn(move || {
            for signal in signals.forever() {
                if signal == SIGUSR1 {
                    asked.fetch_add(1, Ordering::Relaxed);
                } else {
                    cancel.request();
                }
            }
        });
        Ok(())
    }

    /// Directories with profiles.
    pub fn config_dirs(&self) -> Vec<PathBuf> {
        super::choose::directories(self.common.config_dir.as_ref(), &self.world)
    }

    /// What loading a profile may know of the world.
    pub fn surroundings(&self) -> Surroundings {
        Surroundings {
            config_dirs: self.config_dirs(),
            env: self.world.variables.clone(),
            home: self.world.home.clone(),
            cache_dir: self.world.cache_dir.clone(),
            temp_dir: self.world.temp_dir.clone(),
            current_dir: self.world.current_dir.clone(),
            judge_batch: Some(crate::plan::default_batch),
            look_at_files: true,
        }
    }

    /// What opening a target takes of the world.
    pub fn openers<'a>(
        &'a self,
        secret: &'a dyn Fn(&SecretRef) -> Result<Secret>,
    ) -> open::Surroundings<'a> {
        open::Surroundings {
            environment: &self.environment,
            program: self.program.as_deref(),
            cancel: &self.cancel,
            threads: self.world.threads,
            host: &self.world.host,
            zone: &self.zone,
            secret,
        }
    }

    /// Reads a secret, once in an invocation.
    ///
    /// # Errors
    /// It is not where the profile says, or nobody is there to be asked.
    pub fn secret(&self, reference: &SecretRef) -> Result<Secret> {
        // Held while a person is asked: of two jobs at a time only one does.
        let mut known = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, secret)) = known.iter().find(|(r, _)| r == reference) {
            return Ok(secret.clone());
        }
        let secret = reference.resolve(&self.world.variables, &|prompt| self.ask_secret(prompt))?;
        known.push((reference.clone(), secret.clone()));
        Ok(secret)
    }

    fn ask_secret(&self, prompt: &str) -> Result<Secret> {
        if !self.world.terminal.input {
            return Err(Error::new(
                ErrorKind::Usage,
                format!("nobody is there to be asked for {prompt}"),
            )
            .with_hint("name a file, a variable or a command for the secret in the profile"));
        }
        let _silent = Silence::begin();
        let text = rpassword::prompt_password(format!("{prompt}: "));
        text.map(|t| Secret::new(t.into_bytes()))
            .map_err(|e| Error::from(e).within("cannot ask for a secret"))
    }

    /// Whether to use colors on a stream that is or is not a terminal.
    pub fn colors(&self, terminal: bool) -> bool {
        match self.common.color.unwrap_or(ColorWhen::Auto) {
            ColorWhen::Always => true,
            ColorWhen::Never => false,
            ColorWhen::Auto => {
                let dumb = self.world.variable("TERM").is_none_or(|t| t == "dumb");
                terminal && !dumb && self.world.variable("NO_COLOR").is_none()
            }
        }
    }

    /// How much is told.
    pub fn loudness(&self) -> Loudness {
        match (self.common.quiet, self.common.verbose) {
            (true, _) => Loudness::Quiet,
            (false, 0) => Loudness::Normal,
            (false, 1) => Loudness::Verbose,
            (false, _) => Loudness::Everything,
        }
    }

    /// Who shows progress: a live line at a terminal, plain lines elsewhere, nothing beside JSON.
    pub fn monitor(&self) -> Box<dyn RunMonitor> {
        if self.common.json {
            return Box::new(crate::engine::monitor::Silent);
        }
        if self.world.terminal.error {
            let live = !self.common.no_progress
                && self.world.variable("TERM").is_some_and(|t| t != "dumb");
            return Box::new(Terminal::new(self.loudness(), self.colors(true), live));
        }
        Box::new(Plain::new(self.loudness(), CLOCK, &self.asked))
    }

    /// Who shows progress beside others that do: lines, each with a name in front.
    pub fn monitor_of(&self, name: &str) -> Box<dyn RunMonitor> {
        if self.common.json {
            return Box::new(crate::engine::monitor::Silent);
        }
        Box::new(Plain::named(self.loudness(), CLOCK, &self.asked, name))
    }

    /// The log file, opened for appending, readable by its owner only if it is new.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn log_file(&self) -> Result<Option<File>> {
        let Some(path) = &self.common.log_file else {
            return Ok(None);
        };
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(path);
        file.map(Some)
            .map_err(|e| Error::io("open the log file", path, e))
    }

    /// How its lines look.
    pub fn log_format(&self) -> LogFormat {
        match self.common.log_format {
            Some(LogForm::Json) => LogFormat::Json,
            _ => LogFormat::Text,
        }
    }
}
