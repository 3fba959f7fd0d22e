//! Whole runs by a profile on lying servers and dead lines, at every service: nothing is lost, and the exit code says how it went.

use crate::cycle::signal;
use crate::proxy::{Harm, Proxy};
use crate::services::{Service, each, patient, services, web_services};
use crate::support::home::{Called, Home, called};
use dupr::engine::storage::Storage;
use std::fs;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Longer than any run here takes, on a machine that has much to do: a run that hangs takes for ever.
const PATIENCE: Duration = Duration::from_secs(240);

/// A home whose profile backs up to one service.
pub struct Bench<'a> {
    pub home: Home,
    service: &'a Service,
    direct: Arc<dyn Storage>,
    /// How long a silent peer is waited for.
    timeout: &'static str,
}

impl<'a> Bench<'a> {
    pub fn new(test: &str, service: &'a Service) -> Self {
        let home = Home::new(&format!("{test}-{}", service.name.replace(' ', "-")));
        let folder = test;
        let direct = service.open(service.port, folder, patient()).into();
        let bench = Self {
            home,
            service,
            direct,
            timeout: "20s",
        };
        bench.change(1);
        bench
    }

    /// Gives the source a file that no compression makes small.
    pub fn change(&self, seed: u32) {
        let mut state = seed;
        let mut noise = || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            (state >> 11) as u8
        };
        let content: Vec<u8> = (0..300_000).map(|_| noise()).collect();
        fs::write(self.home.source().join("noise"), content).expect("noise");
    }

    /// dupr, with the target behind this port.
    fn command(&self, port: u16, folder: &str, words: &[&str]) -> Command {
        let way = self.service.way(port, folder);
        let options: Vec<String> = way
            .settings
            .iter()
            .map(|(name, value)| format!("{name} = {value:?}"))
            .collect();
        self.home.raw_profile(
            "home",
            &format!(
                "version = 1\nsource = {:?}\npassphrase = {{ file = {:?} }}\n[target]\nurl = {:?}\n\
                 retries = 3\ntimeout = {:?}\noptions = {{ {} }}\n",
                self.home.source(),
                self.home.path().join("pass"),
                way.url,
                self.timeout,
                options.join(", ")
            ),
        );
        // By its path: some services have a home of their own for their programs.
        let profile = self.home.path().join(".config/dupr/home.toml");
        let profile = profile.display().to_string();
        let named = words.iter().map(|word| match *word {
            "home" => profile.as_str(),
            word => word,
        });
        let mut command = self.home.command(&named.collect::<Vec<_>>());
        command.envs(way.variables.iter().cloned());
        command
    }

    fn dupr(&self, port: u16, folder: &str, words: &[&str]) -> Called {
        let mut command = self.command(port, folder, words);
        called(command.output().expect("dupr"))
    }

    pub fn expect(&self, codes: &[u8], port: u16, folder: &str, words: &[&str]) -> Called {
        let done = self.dupr(port, folder, words);
        let code = u8::try_from(done.code).unwrap_or(u8::MAX);
        let name = self.service.name;
        assert!(
            codes.contains(&code),
            "{name} {words:?}: {code}\n{}{}",
            done.stdout,
            done.stderr
        );
        done
    }

    /// What is restored is what the source is now.
    pub fn restores(&self, port: u16, folder: &str) {
        let back = self.home.path().join("back");
        let _ = fs::remove_dir_all(&back);
        self.expect(
            &[0],
            port,
            folder,
            &["home", "restore", &back.display().to_string()],
        );
        for name in ["noise", "one", "sub/three"] {
            let (there, here) = (self.home.source().join(name), back.join(name));
            let is_same = fs::read(&there).expect(name) == fs::read(&here).expect(name);
            assert!(is_same, "{} {name}", self.service.name);
        }
    }

    /// What was saved before the last change is there, and whole.
    pub fn restores_as_it_was(&self, folder: &str) {
        let noise = self.home.source().join("noise");
        let now = fs::read(&noise).expect("noise");
        self.change(1);
        self.restores(self.service.port, folder);
        fs::write(&noise, now).expect("noise");
    }

    /// Has the server lose the volumes of increments as soon as it has them.
    fn steal(&self, proxy: &Proxy) -> Arc<AtomicUsize> {
        let count = Arc::new(AtomicUsize::new(0));
        let (stolen, direct, one) = (Arc::clone(&count), Arc::clone(&self.direct), Mutex::new(()));
        proxy.before_each_answer(move || {
            let _one = one.lock().expect("one at a time");
            for object in direct.list().expect("list") {
                if object.name.contains("-inc.") && object.name.contains(".vol") {
                    direct.delete(&object.name).expect("loss");
                    stolen.fetch_add(1, Ordering::SeqCst);
                }
            }
        });
        count
    }
}

/// The server confirms the volumes of an increment and has none of them; then it comes to its senses.
#[test]
fn a_server_that_loses_volumes_fails_the_run_and_nothing_else() {
    each(&services(), |service| {
        let folder = "loses";
        let bench = Bench::new(folder, service);
        bench.expect(&[0], service.port, folder, &["home", "full"]);
        let first = bench.home.path().join("first");
        fs::copy(bench.home.source().join("noise"), &first).expect("copy");
        bench.change(2);
        let proxy = Proxy::to(service.port);
        let stolen = bench.steal(&proxy);
        // Damaged, or out of reach where the service itself looks for what it sent.
        bench.expect(&[13, 14], proxy.port, folder, &["home", "incr"]);
        proxy.watch_no_more();
        assert!(stolen.load(Ordering::SeqCst) > 0, "{}", service.name);
        // What was there restores.
        let second = fs::read(bench.home.source().join("noise")).expect("noise");
        fs::copy(&first, bench.home.source().join("noise")).expect("copy");
        bench.restores(service.port, folder);
        fs::write(bench.home.source().join("noise"), second).expect("noise");
        // The next run makes up for it.
        bench.expect(&[0], service.port, folder, &["home", "incr"]);
        bench.restores(service.port, folder);
        // Nobody listens any more.
        bench.expect(&[13], 1, folder, &["home", "incr"]);
    });
}

/// Runs an increment on a line with this harm, on as many connections as `times` says, and on all that are opened for data.
fn run_with(bench: &Bench<'_>, folder: &str, harms: &[Harm], times: usize, code: u8) {
    let proxy = Proxy::to(bench.service.port);
    let plan = || std::iter::repeat_n(harms, times).flatten().copied();
    proxy.harm(plan());
    proxy.harm_data(plan());
    let start = Instant::now();
    let name = bench.service.name;
    let done = bench.expect(&[code], proxy.port, folder, &["home", "incr"]);
    let took = start.elapsed();
    assert!(took < PATIENCE, "{name} {harms:?}: {took:?}");
    assert!(!done.stderr.contains("panicked"), "{}", done.stderr);
    // It was met.
    assert!(proxy.left() < harms.len() * times, "{name} {harms:?}");
}

/// One service of each kind of line; those of the web share two clients.
fn of_each_kind() -> Vec<Service> {
    let mut services = services();
    let names = [
        "webdav", "gdrive", "s3", "sftp", "ftp", "imap", "rsync", "rclone",
    ];
    services.retain(|service| names.contains(&service.name));
    services
}

/// What ends every upload, or answers nothing any more, ends the run by the exit code of a target that cannot be used, in time. What
/// happens twice is no failure. The run after it makes up for all.
#[test]
fn bad_lines_end_runs_by_their_exit_code() {
    each(&of_each_kind(), |service| {
        let folder = "ends";
        let mut bench = Bench::new(folder, service);
        bench.timeout = "5s";
        bench.expect(&[0], service.port, folder, &["home", "full"]);
        bench.change(2);
        bench.expect(&[13], 1, folder, &["home", "incr"]);
        // In the first words, and in the middle of a volume.
        for harm in [Harm::Cut(300), Harm::Cut(60_000), Harm::Stall(60_000)] {
            run_with(&bench, folder, &[harm], 500, 13);
        }
        bench.restores_as_it_was(folder);
        run_with(&bench, folder, &[Harm::Cut(300), Harm::Cut(60_000)], 1, 0);
        bench.restores(service.port, folder);
    });
}

/// The same of servers that answer, and do nothing.
#[test]
fn busy_servers_end_runs_by_their_exit_code() {
    each(&web_services(), |service| {
        let folder = "busy-runs";
        let bench = Bench::new(folder, service);
        bench.expect(&[0], service.port, folder, &["home", "full"]);
        bench.change(2);
        for status in [429, 503] {
            run_with(&bench, folder, &[Harm::Answer(status)], 500, 13);
        }
        bench.restores_as_it_was(folder);
        let passing = [Harm::Answer(500), Harm::Answer(502)];
        run_with(&bench, folder, &passing, 1, 0);
        bench.restores(service.port, folder);
    });
}

/// The first signal lets the volume in hand finish, and nothing moves on this line; the second ends the run, long before its patience
/// with the server does. The next one makes up for it.
#[test]
fn signals_end_a_run_in_the_middle_of_an_upload() {
    each(&of_each_kind(), |service| {
        let (folder, name) = ("stopped", service.name);
        let mut bench = Bench::new(folder, service);
        bench.timeout = "10m";
        bench.expect(&[0], service.port, folder, &["home", "full"]);
        bench.change(2);
        let proxy = Proxy::to(service.port);
        proxy.hold_after(100_000);
        let mut command = bench.command(proxy.port, folder, &["home", "incr"]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut run = command.spawn().expect("dupr");
        let mut start = Instant::now();
        let mut was_held = false;
        let ended = loop {
            if let Some(ended) = run.try_wait().expect("dupr") {
                break ended;
            }
            if was_held {
                signal(run.id(), rustix::process::Signal::INT);
            } else if proxy.is_holding() {
                (was_held, start) = (true, Instant::now());
            }
            if start.elapsed() > PATIENCE {
                run.kill().expect("SIGKILL");
            }
            std::thread::sleep(Duration::from_millis(100));
        };
        assert!(was_held, "{name}: {ended:?}");
        assert_eq!(ended.code(), Some(130), "{name}: {ended:?}");
        proxy.release();
        bench.expect(&[0], service.port, folder, &["home", "incr"]);
        bench.restores(service.port, folder);
    });
}

/// A volume that comes in half is fetched once more; if it never comes whole, that is told and nothing false is restored.
#[test]
fn half_a_volume_is_not_restored() {
    each(&web_services(), |service| {
        let folder = "halves";
        let bench = Bench::new(folder, service);
        bench.expect(&[0], service.port, folder, &["home", "full"]);
        // The first volume is longer than all listings and signatures.
        let proxy = Proxy::to(service.port);
        proxy.harm_first(Harm::Shorten(200_000));
        bench.restores(proxy.port, folder);
        assert_eq!(proxy.shortened(), 1, "{}", service.name);
        let proxy = Proxy::to(service.port);
        proxy.harm(std::iter::repeat_n(Harm::Shorten(200_000), 500));
        let back = bench.home.path().join("never");
        let to = back.display().to_string();
        bench.expect(&[13, 14], proxy.port, folder, &["home", "restore", &to]);
        assert!(proxy.shortened() > 0, "{}", service.name);
        if let Ok(there) = fs::read(back.join("noise")) {
            let here = fs::read(bench.home.source().join("noise")).expect("noise");
            assert!(there == here, "{}", service.name);
        }
    });
}
