//! Servers of databases, made anew in temp dirs, with a user and a password.

use super::{Process, free_port};
use crate::support::programs::find;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The password of both servers; it must never be seen anywhere.
pub const PASSWORD: &str = "canary \"4712\\ password";

/// A server of PostgreSQL or MariaDB.
pub struct Database {
    /// Port on 127.0.0.1.
    pub port: u16,
    /// User with all rights.
    pub user: &'static str,
    client: Vec<String>,
    dir: TempDir,
    _process: Process,
}

/// Programs of servers lie beside those of users.
fn program(name: &str) -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let places = versions.flatten().map(|v| v.path().join("bin"));
    let mut places = places.chain(["/usr/sbin", "/usr/bin"].map(PathBuf::from));
    match places.find(|dir| dir.join(name).is_file()) {
        Some(dir) => Some(dir.join(name)),
        None => find(name),
    }
}

/// A program run by somebody who is not root, which servers ask for.
fn unprivileged(program: &Path) -> Command {
    if !rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]);
    command.arg(program);
    command
}

fn place(name: &str) -> TempDir {
    let dir = tempfile::Builder::new()
        .prefix(name)
        .tempdir()
        .expect("dir");
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("mode");
    fs::create_dir(dir.path().join("own")).expect("dir");
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(dir.path().join("own"), Some(65534), Some(65534)).expect("owner");
    }
    dir
}

fn succeed(command: &mut Command) {
    let output = command
        .current_dir("/")
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|e| panic!("{command:?}: {e}; run tests/setup"));
    assert!(
        output.status.success(),
        "{command:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

impl Database {
    /// PostgreSQL; its user may do everything. `None`, said aloud, if it could not be installed.
    pub fn postgresql() -> Option<Self> {
        let (initdb, postgres) = (program("initdb")?, program("postgres")?);
        let dir = place("dupr-pg-");
        let (data, secret) = (dir.path().join("own/data"), dir.path().join("password"));
        fs::write(&secret, PASSWORD).expect("password");
        let mut init = unprivileged(&initdb);
        init.arg("-D").arg(&data);
        init.args([
            "-N",
            "-A",
            "scram-sha-256",
            "-U",
            "keeper",
            "--locale=C.UTF-8",
        ]);
        succeed(init.arg("--pwfile").arg(&secret));
        Some(Self::postgres(&postgres, dir))
    }

    /// PostgreSQL on the files of a whole server, as `pg_basebackup` packs them.
    pub fn postgresql_of(base: &Path) -> Option<Self> {
        let postgres = program("postgres")?;
        let dir = place("dupr-pg-");
        let data = dir.path().join("own/data");
        fs::create_dir(&data).expect("own folder");
        succeed(
            Command::new("tar")
                .arg("-xf")
                .arg(base)
                .arg("-C")
                .arg(&data),
        );
        fs::set_permissions(&data, fs::Permissions::from_mode(0o700)).expect("mode");
        if rustix::process::geteuid().is_root() {
            succeed(Command::new("chown").args(["-R", "65534:65534"]).arg(&data));
        }
        Some(Self::postgres(&postgres, dir))
    }

    /// A server on the data in a place.
    fn postgres(postgres: &Path, dir: TempDir) -> Self {
        let data = dir.path().join("own/data");
        let port = free_port();
        let mut server = unprivileged(postgres);
        server
            .arg("-D")
            .arg(&data)
            .arg("-k")
            .arg(dir.path().join("own"));
        server.args(["-h", "127.0.0.1", "-F", "-p", &port.to_string()]);
        // In its own folder, not in the system's memory: nobody would take it away from there when it is killed.
        server.args(["-c", "dynamic_shared_memory_type=mmap"]);
        server.current_dir("/");
        let process = Process::start(&mut server, &dir.path().join("log"), "run tests/setup");
        let client = ["psql", "-XAtq", "-h", "127.0.0.1", "-U", "keeper", "-p"].map(str::to_owned);
        let mut client = client.to_vec();
        client.push(port.to_string());
        let server = Self {
            port,
            user: "keeper",
            client,
            dir,
            _process: process,
        };
        server.await_answer("postgres", "SELECT 1");
        server
    }

    /// MariaDB; its user may do everything. `None`, said aloud, if it could not be installed.
    pub fn mariadb() -> Option<Self> {
        let (install, mariadbd) = (program("mariadb-install-db")?, program("mariadbd")?);
        let dir = place("dupr-maria-");
        let own = dir.path().join("own");
        let (data, socket) = (own.join("data"), own.join("socket"));
        let mut init = unprivileged(&install);
        init.args([
            "--no-defaults",
            "--skip-test-db",
            "--auth-root-authentication-method=normal",
        ]);
        succeed(init.arg(format!("--datadir={}", data.display())));
        let port = free_port();
        let mut server = unprivileged(&mariadbd);
        server
            .arg("--no-defaults")
            .arg(format!("--datadir={}", data.display()));
        server.arg(format!("--socket={}", socket.display()));
        server.args([
            "--bind-address=127.0.0.1",
            "--innodb-flush-log-at-trx-commit=0",
        ]);
        server.arg(format!("--port={port}")).current_dir("/");
        let process = Process::start(&mut server, &dir.path().join("log"), "run tests/setup");
        let mut client = ["mariadb", "--no-defaults", "-N", "-B", "-uroot", "-S"]
            .map(str::to_owned)
            .to_vec();
        client.push(socket.display().to_string());
        client.push("-D".to_owned());
        let server = Self {
            port,
            user: "keeper",
            client,
            dir,
            _process: process,
        };
        server.await_answer("mysql", "SELECT 1");
        let password = PASSWORD.replace('\\', "\\\\");
        server.ask(
            "mysql",
            &format!(
                "CREATE USER keeper@'%' IDENTIFIED BY '{password}'; GRANT ALL ON *.* TO keeper@'%'"
            ),
        );
        Some(server)
    }

    fn call(&self, database: &str, question: &str) -> Result<String, String> {
        let mut command = Command::new(&self.client[0]);
        command.args(&self.client[1..]).env("PGPASSWORD", PASSWORD);
        match self.client[0].as_str() {
            "psql" => command.args(["-v", "ON_ERROR_STOP=1", "-d", database, "-c", question]),
            _ => command.args([database, "-e", question]),
        };
        let output = command.stdin(Stdio::null()).output().expect("client");
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }

    /// The socket of MariaDB.
    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("own/socket")
    }

    /// What the server answers.
    pub fn ask(&self, database: &str, question: &str) -> String {
        self.call(database, question).expect(question)
    }

    /// Feeds a file of SQL to the server.
    pub fn feed(&self, database: &str, file: &Path) {
        let is_archive = file.extension().is_some_and(|e| e == "tar" || e == "dump");
        let mut command = match self.client[0].as_str() {
            "psql" if is_archive => {
                let mut command = Command::new("pg_restore");
                // Behind the switches of psql alone.
                command.args(&self.client[2..]).args(["-e", "-d", database]);
                command
            }
            "psql" => {
                let mut command = Command::new("psql");
                command.args(&self.client[1..]);
                command.args(["-v", "ON_ERROR_STOP=1", "-d", database]);
                command
            }
            client => {
                let mut command = Command::new(client);
                command.args(&self.client[1..]).arg(database);
                command
            }
        };
        let output = command
            .env("PGPASSWORD", PASSWORD)
            .stdin(fs::File::open(file).expect("a dump"))
            .output()
            .expect("client");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    fn await_answer(&self, database: &str, question: &str) {
        let start = Instant::now();
        while let Err(error) = self.call(database, question) {
            let log = fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
            assert!(start.elapsed() < Duration::from_secs(60), "{error}{log}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}
