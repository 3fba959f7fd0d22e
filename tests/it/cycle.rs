//! A whole life of backups at one service, by a profile: full, incremental, status, verify, restore, a full set whose run is
//! killed in the middle of an upload and gone on with, purge, cleanup; and what is there then, restored by dupr and, where it
//! reaches that server, by duplicity 3.2.1.

use crate::documents::last_result;
use crate::proxy::Proxy;
use crate::services::{Hold, Reader, Service, patient, reader, some_are_left_out};
use crate::storage_contract::source;
use crate::support::home::{CANARY, Called, Home, called};
use crate::support::programs::{self, Program};
use crate::support::tree::Tree;
use crate::support::vault::{noise, set_mtime, write};
use dupr::engine::storage::Storage;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// The last folder at every service.
const FOLDER: &str = "cycle";

/// Bytes of the file that takes several volumes of one MiB.
const LARGE: usize = 3_600_000;

/// In the third volume, even where bytes become longer on their way, and behind whole ones in any case.
const IN_THE_MIDDLE: u64 = 2_600_000;

/// A set that nobody has finished.
const LEFTOVER: &str = "duplicity-full.20200101T000000Z.vol1.difftar.gpg";

/// Longer than anything here takes on a machine that has much to do.
const PATIENCE: Duration = Duration::from_secs(300);

/// Leads it; a failure names the service.
pub fn lives(service: &Service) {
    let life = Life::of(service);
    life.begins();
    life.is_killed_and_goes_on();
    life.ends();
    is_told(service);
}

/// The last results in docs/targets.md say that it was led, and whether duplicity took part.
fn is_told(service: &Service) {
    let name = service.name;
    let row = last_result(name);
    assert!(row[2].contains("whole life"), "docs/targets.md: {row:?}");
    let takes_part = reader(service, FOLDER).is_some();
    let says_so = ["restores", "both ways"].contains(&row[3].as_str());
    // What it needs may not be installed; its modules want sftp of an ssh server, and proofs of a password that hold for long.
    let is_left_out =
        some_are_left_out() || ["sftp by commands", "webdavs at Apache"].contains(&name);
    assert!(
        takes_part == says_so || is_left_out && says_so,
        "duplicity at {name}: {row:?}"
    );
}

/// Somebody with a profile for one service.
struct Life<'a> {
    service: &'a Service,
    home: Home,
    /// Before every line to the service.
    proxy: Proxy,
}

impl<'a> Life<'a> {
    fn of(service: &'a Service) -> Self {
        let home = Home::new(&format!("life-{}", service.name.replace([' ', '+'], "-")));
        let life = Self {
            service,
            home,
            proxy: Proxy::to(service.port),
        };
        life.change("noise", 300_000, 1);
        life
    }

    /// Writes a file that no compression makes small; folders keep a time of their own.
    fn change(&self, name: &str, bytes: usize, seed: u64) {
        let time = 1_600_000_000 + 1000 * seed as i64;
        write(&self.home.source().join(name), &noise(bytes, seed), time);
        set_mtime(&self.home.source(), time);
    }

    /// dupr with a profile of this archive dir; one with a slow line if it is to be `slow`.
    fn command(&self, cache: &str, slow: bool, words: &[&str]) -> std::process::Command {
        let way = self.service.way(self.proxy.port, FOLDER);
        let options: Vec<String> = way
            .settings
            .iter()
            .map(|(name, value)| format!("{name} = {value:?}"))
            .collect();
        let limit = if slow {
            "upload-limit = \"400 KiB/s\"\n"
        } else {
            ""
        };
        let text = format!(
            "version = 1\nsource = {:?}\npassphrase = {{ file = {:?} }}\n[target]\nurl = {:?}\n\
             retries = 3\ntimeout = \"60s\"\nconnections = 1\n{limit}options = {{ {} }}\n\
             [backup]\nvolume-size = \"1 MiB\"\narchive-dir = {:?}\n\
             [retention]\nkeep-fulls = 1\nforce = true\n",
            self.home.source(),
            self.home.path().join("pass"),
            way.url,
            options.join(", "),
            self.home.path().join(cache),
        );
        self.home.raw_profile("home", &text);
        // By its path: some services have a home of their own for their programs.
        let profile = self.home.path().join(".config/dupr/home.toml");
        let profile = profile.display().to_string();
        let words = [&[profile.as_str()][..], words].concat();
        let mut command = self.home.command(&words);
        command.envs(way.variables.iter().cloned());
        command
    }

    fn dupr_as(&self, cache: &str, words: &[&str]) -> Called {
        let mut command = self.command(cache, false, words);
        let done = called(command.output().expect("dupr"));
        let name = self.service.name;
        assert_eq!(
            done.code, 0,
            "{name} {words:?}\n{}{}",
            done.stdout, done.stderr
        );
        done
    }

    fn dupr(&self, words: &[&str]) -> String {
        let done = self.dupr_as("cache", words);
        done.stdout + &done.stderr
    }

    fn says(&self, words: &[&str], wanted: &str) {
        let said = self.dupr(words);
        let name = self.service.name;
        assert!(said.contains(wanted), "{name} {words:?}: {said}");
    }

    /// Somebody who knows nothing of it restores what the source is now.
    fn restores(&self, to: &str) {
        let back = self.home.path().join(to);
        let cache = format!("cache for {to}");
        self.dupr_as(&cache, &["restore", &back.display().to_string()]);
        self.is_whole(&back, "dupr");
    }

    fn is_whole(&self, back: &Path, by: &str) {
        let name = self.service.name;
        Tree::read(&self.home.source())
            .compare(back)
            .unwrap_or_else(|text| panic!("{name}, restored by {by}: {text}"));
    }

    /// The target, without the proxy. Opened anew each time: some logins change with each run.
    fn direct(&self) -> Box<dyn Storage> {
        self.service.open(self.service.port, FOLDER, patient())
    }

    fn names(&self) -> Vec<String> {
        let listed = self.direct().list().expect(self.service.name);
        listed.into_iter().map(|object| object.name).collect()
    }

    fn begins(&self) {
        self.dupr(&["full"]);
        self.change("noise", 310_000, 2);
        self.dupr(&["incr"]);
        self.says(&["status"], "full and 1 incremental");
        self.dupr(&["verify"]);
        self.restores("first");
    }

    /// Everything that was going on ends in the middle of a volume; the next run begins behind the last whole one.
    fn is_killed_and_goes_on(&self) {
        self.change("large", LARGE, 3);
        let before = self.names().len();
        let home = self.home.path();
        match &self.service.hold {
            Hold::Line => self.proxy.hold_after(IN_THE_MIDDLE),
            Hold::Rate => {}
            Hold::Program(tools) => fs::write(tools.join("hold"), "2").expect("hold"),
        }
        let slow = matches!(self.service.hold, Hold::Rate);
        let output = || fs::File::create(home.join("killed")).expect("file");
        let mut command = self.command("cache", slow, &["full"]);
        command.stdout(Stdio::null()).stderr(output());
        let mut run = command.spawn().expect("dupr");
        let start = Instant::now();
        let is_there = || match &self.service.hold {
            Hold::Line => self.proxy.is_holding(),
            // Two are there whole, so the next one is on its way.
            Hold::Rate => self.names().len() > before + 1,
            Hold::Program(tools) => tools.join("holding").exists(),
        };
        while !is_there() {
            let said = || fs::read_to_string(home.join("killed")).unwrap_or_default();
            let name = self.service.name;
            assert!(start.elapsed() < PATIENCE, "{name}: {}", said());
            let ended = run.try_wait().expect("dupr");
            assert!(ended.is_none(), "{name}: {ended:?} {}", said());
            std::thread::sleep(Duration::from_millis(20));
        }
        kill_with_all_it_started(&mut run);
        match &self.service.hold {
            Hold::Line => self.proxy.release(),
            Hold::Rate => {}
            Hold::Program(tools) => fs::remove_file(tools.join("hold")).expect("hold"),
        }
        let said = self.dupr(&["full"]);
        let name = self.service.name;
        let words = "going on with the interrupted";
        let number = said.lines().find_map(|line| {
            let (_, behind) = line.split_once(words)?;
            behind.rsplit(' ').next()?.trim().parse::<u32>().ok()
        });
        assert!(
            number.is_some_and(|n| (2..=4).contains(&n)),
            "{name}: {said}"
        );
        self.restores("resumed");
    }

    /// One chain is left, and it restores by whoever reaches it.
    fn ends(&self) {
        self.change("noise", 320_000, 4);
        self.dupr(&["incr"]);
        let leftover = self.direct().put(LEFTOVER, source(1000).path());
        leftover.expect(self.service.name);
        self.dupr(&["cleanup", "--force"]);
        self.dupr(&["purgeFull", "--force"]);
        let (name, left) = (self.service.name, self.names());
        assert!(!left.contains(&LEFTOVER.to_string()), "{name}: {left:?}");
        let fulls = left.iter().filter(|n| n.starts_with("duplicity-full."));
        let manifests = fulls.filter(|n| n.contains(".manifest")).count();
        assert_eq!(manifests, 1, "{name}: {left:?}");
        self.says(&["status"], "full and 1 incremental");
        self.restores("last");
        if let Some(reader) = reader(self.service, FOLDER) {
            self.is_restored_by_duplicity(reader);
        }
    }

    fn is_restored_by_duplicity(&self, reader: Reader) {
        let Some(mut line) = Program::Duplicity3.words() else {
            return;
        };
        let path = |name: &str| self.home.path().join(name).display().to_string();
        let back = path("by duplicity");
        line.extend(["restore", "--num-retries", "2"].map(String::from));
        line.extend(["--archive-dir".to_string(), path("cache of duplicity")]);
        line.extend(reader.words);
        line.extend([reader.url, back.clone()]);
        let python: Vec<String> = reader
            .python
            .iter()
            .map(|folder| folder.display().to_string())
            .collect();
        let mut environment: Vec<(String, String)> = [
            ("PASSPHRASE", CANARY.to_string()),
            ("PYTHONPATH", python.join(":")),
            ("HOME", path("theirs")),
            ("TMPDIR", path("")),
        ]
        .map(|(name, value)| (name.to_string(), value))
        .into();
        fs::create_dir_all(self.home.path().join("theirs")).expect("home");
        let own = reader.variables.into_iter();
        environment.extend(own.map(|(name, value)| (name.to_string(), value)));
        let name = self.service.name;
        programs::run(&line, self.home.path(), &environment)
            .unwrap_or_else(|text| panic!("{name}: {text}"));
        self.is_whole(&PathBuf::from(back), "duplicity 3.2.1");
    }
}

/// As when the machine goes down: what it has started does not live on and send what it has.
fn kill_with_all_it_started(run: &mut Child) {
    let mut all = vec![run.id()];
    let mut next = 0;
    // None of them can start another one once it is stopped.
    while let Some(parent) = all.get(next).copied() {
        signal(parent, rustix::process::Signal::STOP);
        all.extend(children(parent));
        next += 1;
    }
    for id in all.iter().skip(1) {
        signal(*id, rustix::process::Signal::KILL);
    }
    run.kill().expect("SIGKILL");
    run.wait().expect("its end");
}

/// Sends a signal to a process, if it is still there.
pub fn signal(id: u32, signal: rustix::process::Signal) {
    let id = i32::try_from(id)
        .ok()
        .and_then(rustix::process::Pid::from_raw);
    // It may have come to its end by itself.
    let _ = rustix::process::kill_process(id.expect("a process id"), signal);
}

/// Processes that have this parent.
fn children(parent: u32) -> Vec<u32> {
    let entries = fs::read_dir("/proc").expect("/proc").flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let is_child = |id: &u32| {
        let text = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        // Behind the name, which may hold anything: the state, and the parent.
        let behind = text.rsplit(')').next().unwrap_or_default();
        behind.split_whitespace().nth(1) == Some(parent.to_string().as_str())
    };
    numbers.filter(is_child).collect()
}
