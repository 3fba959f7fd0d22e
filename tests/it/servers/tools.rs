//! What stands behind the programs dupr calls: a grid for `tahoe`, a share and a session bus for `gio`, and stand-ins for
//! programs that cannot be run here.

use super::{Process, free_port, serve};
use crate::support::programs::find;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Waits until something is so.
fn wait_for<T>(what: &str, look: impl Fn() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < Duration::from_secs(120), "{what}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// `tests/support/tools_fake.py` under the names of the programs it stands for.
pub struct StandIns(TempDir);

impl StandIns {
    /// Puts them into a folder, with a home.
    pub fn new() -> Self {
        let dir = TempDir::new().expect("temp dir");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/tools_fake.py");
        fs::create_dir(dir.path().join("bin")).expect("dir");
        for name in ["megatools", "hsi"]
            .into_iter()
            .chain(["whoami", "ls", "mkdir", "put", "get", "rm"])
        {
            let name = match name {
                "megatools" | "hsi" => name.to_string(),
                name => format!("mega-{name}"),
            };
            symlink(&script, dir.path().join("bin").join(name)).expect("link");
        }
        Self(dir)
    }

    /// A file of the home.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// `PATH` and `HOME`.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        let bin = self.path("bin").display().to_string();
        vec![
            ("PATH", format!("{bin}:/usr/bin:/bin")),
            ("HOME", self.0.path().display().to_string()),
        ]
    }

    /// Every call so far, a line each.
    pub fn calls(&self) -> String {
        fs::read_to_string(self.path("calls")).unwrap_or_default()
    }

    /// The next call fails with these words.
    pub fn fail(&self, words: &str) {
        fs::write(self.path("trouble"), words).expect("trouble");
    }
}

/// A grid of Tahoe-LAFS: one node that stores for itself, and what introduces it. The alias is `grid:`.
pub struct Tahoe {
    _introducer: Process,
    _node: Process,
    dir: TempDir,
    program: PathBuf,
    /// Where its node listens to those who use it, on 127.0.0.1.
    pub port: u16,
}

impl Tahoe {
    /// Starts it; `None`, said aloud, if it could not be installed.
    pub fn start() -> Option<Self> {
        let program = find("tahoe")?;
        let dir = TempDir::new().expect("temp dir");
        let path = |name: &str| dir.path().join(name);
        let tahoe = |words: &[&str]| {
            let mut command = Command::new(&program);
            command.args(words).env("HOME", dir.path());
            let done = command.stdin(Stdio::null()).output().expect("tahoe");
            assert!(done.status.success(), "{words:?} {done:?}");
        };
        let run = |node: &str| {
            let mut command = Command::new(&program);
            command.args(["run", "--allow-stdin-close"]).arg(path(node));
            command.env("HOME", dir.path());
            Process::start(
                &mut command,
                &path(&format!("{node}.log")),
                "run tests/setup",
            )
        };
        let listen = |port: u16| {
            let there = format!("tcp:127.0.0.1:{port}");
            let here = format!("tcp:{port}:interface=127.0.0.1");
            [format!("--port={here}"), format!("--location={there}")]
        };
        let [port, location] = listen(free_port());
        let introducer = path("introducer").display().to_string();
        tahoe(&[
            "create-introducer",
            "--listen=tcp",
            &port,
            &location,
            &introducer,
        ]);
        let introducing = run("introducer");
        let furl = wait_for("no introducer", || {
            fs::read_to_string(path("introducer/private/introducer.furl"))
                .ok()
                .filter(|furl| furl.contains("pb://"))
        });
        let node = path(".tahoe").display().to_string();
        let [port, location] = listen(free_port());
        let web = free_port();
        tahoe(&[
            "create-node",
            "--listen=tcp",
            &port,
            &location,
            &format!("--webport=tcp:{web}:interface=127.0.0.1"),
            &format!("--introducer={}", furl.trim()),
            "--shares-needed=1",
            "--shares-happy=1",
            "--shares-total=1",
            &node,
        ]);
        let storing = run(".tahoe");
        // The node is up when it makes a directory, and that is stored when it knows itself for a server.
        wait_for("no grid", || {
            let mut command = Command::new(&program);
            command
                .args(["create-alias", "grid"])
                .env("HOME", dir.path());
            let done = command.stdin(Stdio::null()).output().expect("tahoe");
            done.status.success().then_some(())
        });
        Some(Self {
            _introducer: introducing,
            _node: storing,
            dir,
            program,
            port: web,
        })
    }

    /// The home of who uses it.
    pub fn home(&self) -> &Path {
        self.dir.path()
    }

    /// `PATH` and `HOME`.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        self.variables_of(self.home())
    }

    /// The same for somebody who reaches the node through this port.
    pub fn variables_at(&self, port: u16) -> Vec<(&'static str, String)> {
        let home = self.dir.path().join(format!("at-{port}"));
        let (own, node) = (self.home().join(".tahoe"), home.join(".tahoe"));
        fs::create_dir_all(node.join("private")).expect("folder");
        let copy = |name: &str| fs::copy(own.join(name), node.join(name)).expect(name);
        copy("private/aliases");
        let url = format!("http://127.0.0.1:{port}/\n");
        fs::write(node.join("node.url"), url).expect("address");
        self.variables_of(&home)
    }

    fn variables_of(&self, home: &Path) -> Vec<(&'static str, String)> {
        let bin = self.program.parent().expect("a folder").display();
        vec![
            ("PATH", format!("{bin}:/usr/bin:/bin")),
            ("HOME", home.display().to_string()),
        ]
    }
}

/// Samba with the share `store`, for whoever runs the tests, with the password `p w`; and a session bus for gvfs.
pub struct Share {
    _samba: Process,
    _bus: Process,
    dir: TempDir,
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
    address: String,
}

impl Share {
    /// Starts them; `None`, said aloud, if something could not be installed.
    pub fn start() -> Option<Self> {
        find("gio")?;
        find("gvfsd-smb")?;
        let samba = find("smbd")?;
        let bus = find("dbus-daemon")?;
        let dir = TempDir::new().expect("temp dir");
        let path = |name: &str| dir.path().join(name);
        for name in ["state", "files", "run"] {
            fs::create_dir(path(name)).expect("dir");
        }
        fs::set_permissions(path("run"), fs::Permissions::from_mode(0o700)).expect("mode");
        let state = path("state").display().to_string();
        let configure = |port: u16| {
            let places = [
                "private dir",
                "lock directory",
                "state directory",
                "cache directory",
            ];
            let places = places.iter().chain(&["pid directory", "ncalrpc dir"]);
            let places: String = places.map(|name| format!("{name} = {state}\n")).collect();
            let text = format!(
                "[global]\nserver role = standalone server\nsmb ports = {port}\n\
                 bind interfaces only = yes\ninterfaces = 127.0.0.1/8\n{places}\
                 passdb backend = tdbsam:{state}/passdb.tdb\nlog file = {state}/log\n\
                 load printers = no\ndisable spoolss = yes\n[store]\npath = {}\nread only = no\n",
                path("files").display()
            );
            fs::write(path("smb.conf"), text).expect("smb.conf");
        };
        configure(445);
        let config = path("smb.conf").display().to_string();
        let secrets = path("secrets");
        fs::write(&secrets, "p w\np w\n").expect("secrets");
        let made = Command::new("smbpasswd")
            .args(["-c", &config, "-s", "-a", &Self::user()])
            .stdin(fs::File::open(&secrets).expect("secrets"))
            .output()
            .expect("smbpasswd; run tests/setup");
        assert!(made.status.success(), "{made:?}");
        let (process, port) = serve(&path("log"), "run tests/setup", |port| {
            configure(port);
            let mut command = Command::new(&samba);
            command.args(["-F", "--no-process-group", "-s", &config]);
            command
        });
        let log = path("bus");
        let mut command = Command::new(bus);
        command.args(["--session", "--nofork", "--print-address=1"]);
        command.env_clear().env("PATH", "/usr/bin:/bin");
        command
            .env("HOME", dir.path())
            .env("XDG_RUNTIME_DIR", path("run"));
        let bus = Process::start(&mut command, &log, "run tests/setup");
        let address = wait_for("no bus", || {
            let said = fs::read_to_string(&log).unwrap_or_default();
            let line = said.lines().find(|line| line.starts_with("unix:"));
            line.map(str::to_string)
        });
        Some(Self {
            _samba: process,
            _bus: bus,
            dir,
            port,
            address,
        })
    }

    /// Whoever runs the tests.
    pub fn user() -> String {
        let said = Command::new("id").arg("-un").output().expect("id").stdout;
        String::from_utf8(said).expect("a name").trim().to_string()
    }

    /// The directory behind the share.
    pub fn files(&self) -> PathBuf {
        self.dir.path().join("files")
    }

    /// What leads to the bus.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("PATH", "/usr/bin:/bin".into()),
            ("HOME", self.dir.path().display().to_string()),
            (
                "XDG_RUNTIME_DIR",
                self.dir.path().join("run").display().to_string(),
            ),
            ("DBUS_SESSION_BUS_ADDRESS", self.address.clone()),
        ]
    }
}
