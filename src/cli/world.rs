//! The surroundings of the program, looked up once and handed down as values: nobody below `cli` reads the
//! environment or the clock.

use crate::engine::time::Timestamp;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::PathBuf;

/// Where the program runs.
#[derive(Debug, Clone)]
pub struct World {
    /// The environment, as far as it is UTF-8.
    pub variables: BTreeMap<String, String>,
    /// The user's home; the root directory if there is none.
    pub home: PathBuf,
    /// Directories with profiles, the most important first.
    pub config_dirs: Vec<PathBuf>,
    /// Below it one archive dir for each profile.
    pub cache_dir: PathBuf,
    /// Below it one history for each profile.
    pub state_dir: PathBuf,
    /// For spool files.
    pub temp_dir: PathBuf,
    /// The working directory.
    pub current_dir: PathBuf,
    /// Name of this host.
    pub host: String,
    /// Processors.
    pub threads: usize,
    /// Whether standard input, output and error are terminals.
    pub terminal: Terminals,
}

/// Which streams are terminals.
#[derive(Debug, Clone, Copy)]
pub struct Terminals {
    /// Standard input: questions can be asked.
    pub input: bool,
    /// Standard output.
    pub output: bool,
    /// Standard error: live progress can be shown.
    pub error: bool,
    /// How wide standard output is, in columns.
    pub columns: usize,
}

/// Columns of what is no terminal.
const COLUMNS: usize = 100;

impl World {
    /// Looks around.
    pub fn observe() -> Self {
        let path = |name: &str| {
            std::env::var_os(name)
                .filter(|v| !v.is_empty())
                .map(PathBuf::from)
        };
        // The XDG base directory rules: a relative path is to be ignored.
        let base = |name: &str| path(name).filter(|p| p.is_absolute());
        let home = path("HOME")
            .or_else(|| directories::BaseDirs::new().map(|d| d.home_dir().to_owned()))
            .unwrap_or_else(|| PathBuf::from("/"));
        let mut config_dirs: Vec<PathBuf> = path("DUPR_CONFIG_DIR").into_iter().collect();
        config_dirs.push(
            base("XDG_CONFIG_HOME")
                .unwrap_or_else(|| home.join(".config"))
                .join("dupr"),
        );
        config_dirs.push(PathBuf::from("/etc/dupr"));
        let variables = std::env::vars_os()
            .filter_map(|(k, v)| Some((utf8(k)?, utf8(v)?)))
            .collect();
        Self {
            variables,
            config_dirs,
            cache_dir: base("XDG_CACHE_HOME")
                .unwrap_or_else(|| home.join(".cache"))
                .join("dupr"),
            state_dir: base("XDG_STATE_HOME")
                .unwrap_or_else(|| home.join(".local/state"))
                .join("dupr"),
            temp_dir: std::env::temp_dir(),
            current_dir: std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/")),
            host: rustix::system::uname()
                .nodename()
                .to_string_lossy()
                .into_owned(),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            terminal: Terminals {
                input: std::io::stdin().is_terminal(),
                output: std::io::stdout().is_terminal(),
                error: std::io::stderr().is_terminal(),
                columns: columns(),
            },
            home,
        }
    }

    /// A variable of the environment that is set and not empty.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.variables
            .get(name)
            .map(String::as_str)
            .filter(|v| !v.is_empty())
    }
}

/// How wide standard output is. A terminal that does not say is as wide as none.
fn columns() -> usize {
    let size = rustix::termios::tcgetwinsize(std::io::stdout());
    let columns = size.map_or(0, |size| usize::from(size.ws_col));
    if columns == 0 { COLUMNS } else { columns }
}

fn utf8(text: OsString) -> Option<String> {
    text.into_string().ok()
}

/// The time.
pub fn now() -> Timestamp {
    Timestamp(jiff::Timestamp::now().as_second())
}
