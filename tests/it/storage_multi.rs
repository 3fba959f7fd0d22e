//! Whole runs to several targets as one, of which one dies in the middle of it: the exit code says how it went, and what was
//! written restores.

use crate::proxy::{Harm, Proxy};
use crate::servers::Dav;
use crate::services::patient;
use crate::storage_contract::{names, opened, source};
use crate::support::home::{Called, Home};
use crate::support::tree::Tree;
use crate::support::vault::{noise, write};
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

/// Behind the first volume of one MiB that the far one gets, before its second is there.
const IN_THE_MIDDLE: u64 = 1_600_000;

/// A profile with a folder and a server that can die.
struct Pair {
    home: Home,
    far: Dav,
    line: Proxy,
}

impl Pair {
    fn new(name: &str, query: &str) -> Self {
        let home = Home::new(&format!("pair-{name}"));
        let far = Dav::start();
        let line = Proxy::to(far.port);
        let entries = serde_json::json!([
            {"url": format!("file://{}/near", home.path().display())},
            {"url": format!("webdav://ada@127.0.0.1:{}/far", line.port),
             "env": [{"name": "BACKEND_PASSWORD", "value": "p@ss:w"}]},
        ]);
        let list = home.path().join("list.json");
        fs::write(&list, entries.to_string()).expect("list");
        home.raw_profile(
            "home",
            &format!(
                "version = 1\nsource = {:?}\npassphrase = {{ file = {:?} }}\n[target]\nurl = \"multi://{}{query}\"\n\
                 retries = 1\ntimeout = \"20s\"\nconnections = 1\n[backup]\nvolume-size = \"1 MiB\"\n",
                home.source(),
                home.path().join("pass"),
                list.display(),
            ),
        );
        write(
            &home.source().join("large"),
            &noise(5_600_000, 1),
            1_600_000_000,
        );
        Self { home, far, line }
    }

    /// A run in the middle of which the far one dies.
    fn run_that_loses_one(&self, code: i32) -> String {
        self.line.die_after(IN_THE_MIDDLE);
        let said = self.expect(code, &["home", "full"]);
        assert!(self.line.is_dead(), "{said}");
        said
    }

    fn expect(&self, code: i32, words: &[&str]) -> String {
        let Called { stdout, stderr, .. } = self.home.expect(code, words);
        stdout + &stderr
    }

    /// Both are there again.
    fn mend(&self) {
        self.line.release();
    }

    fn restores(&self, to: &str) {
        self.expect(0, &["home", "restore", to]);
        let source = Tree::read(&self.home.source());
        let compared = source.compare(&self.home.path().join(to));
        compared.unwrap_or_else(|text| panic!("{to}: {text}"));
    }

    /// Names of files that are whole: what was under way lies there under another name.
    fn near_and_far(&self) -> [Vec<String>; 2] {
        [self.home.path().join("near"), self.far.files().join("far")].map(|dir| {
            let mut all = names(&dir);
            all.retain(|name| name.starts_with("duplicity-"));
            all.sort();
            all
        })
    }
}

/// The copy that lives has all.
fn a_mirror_goes_on() {
    let pair = Pair::new("mirror", "?mode=mirror");
    let said = pair.run_that_loses_one(0);
    assert!(said.contains("missing there"), "{said}");
    let [near, far] = pair.near_and_far();
    assert!(
        !far.is_empty() && far.len() < near.len(),
        "{near:?} {far:?}"
    );
    pair.restores("from one");
    // Nothing is removed while one is away.
    pair.expect(0, &["home", "cleanup"]);
    assert_eq!(pair.near_and_far(), [near.clone(), far.clone()]);
    pair.mend();
    pair.home.write("one", "changed\n");
    let said = pair.expect(0, &["home", "incr"]);
    let lacks = near.len() - far.len();
    let lacks = format!("{lacks} of {} files are not at", near.len());
    assert!(said.contains(&lacks), "{lacks}: {said}");
    pair.restores("from both");
}

/// Both must have all.
fn a_mirror_that_must_be_whole_stops() {
    let pair = Pair::new("strict", "?mode=mirror&onfail=abort");
    let said = pair.run_that_loses_one(13);
    assert!(said.contains("webdav://"), "{said}");
    pair.expect(13, &["home", "status"]);
    pair.mend();
    let said = pair.expect(0, &["home", "full"]);
    assert!(said.contains("going on with the interrupted"), "{said}");
    let [near, far] = pair.near_and_far();
    assert_eq!(near, far);
    pair.restores("back");
}

/// What the dead one would have had goes to the other; without it there is half an archive.
fn a_stripe_goes_on() {
    let pair = Pair::new("stripe", "");
    let said = pair.run_that_loses_one(0);
    assert!(said.contains("went to another target"), "{said}");
    let [near, far] = pair.near_and_far();
    assert!(
        !far.is_empty() && far.len() < near.len(),
        "{near:?} {far:?}"
    );
    pair.expect(13, &["home", "restore", "half"]);
    assert!(!pair.home.path().join("half/large").exists());
    pair.mend();
    pair.restores("back");
}

/// All must work.
fn a_stripe_that_must_be_whole_stops() {
    let pair = Pair::new("strict-stripe", "?onfail=abort");
    pair.run_that_loses_one(13);
    pair.mend();
    let said = pair.expect(0, &["home", "full"]);
    assert!(said.contains("going on with the interrupted"), "{said}");
    let [near, far] = pair.near_and_far();
    assert!(
        near.iter().all(|name| !far.contains(name)),
        "{near:?} {far:?}"
    );
    pair.restores("back");
}

#[test]
fn a_target_of_several_dies_in_the_middle_of_a_run() {
    thread::scope(|scope| {
        for case in [
            a_mirror_goes_on,
            a_mirror_that_must_be_whole_stops,
            a_stripe_goes_on,
            a_stripe_that_must_be_whole_stops,
        ] {
            scope.spawn(case);
        }
    });
}

/// One that asks to be left alone holds nobody else up.
#[test]
fn a_busy_target_is_no_reason_to_wait_with_another() {
    let servers = [Dav::start(), Dav::start()];
    let lines = servers.each_ref().map(|server| Proxy::to(server.port));
    let entry = |line: &Proxy, prefix: &str| {
        serde_json::json!({
            "url": format!("webdav://ada@127.0.0.1:{}/x", line.port), "prefixes": [prefix],
            "env": [{"name": "BACKEND_PASSWORD", "value": "p@ss:w"}],
        })
    };
    let dir = tempfile::TempDir::new().expect("temp dir");
    let list = dir.path().join("list.json");
    let entries = serde_json::json!([entry(&lines[0], "busy"), entry(&lines[1], "well")]);
    fs::write(&list, entries.to_string()).expect("list");
    let open = || {
        opened(
            &format!("multi://{}?mode=mirror", list.display()),
            &patient(),
        )
    };
    let storage = open();
    // Whatever an upload makes first is there.
    for name in ["busy-0", "well-0"] {
        storage.put(name, source(10).path()).expect(name);
    }
    let storage = open();
    lines[0].harm([Harm::Later {
        seconds: 20,
        as_date: false,
    }]);
    lines[1].harm([Harm::Answer(503), Harm::Answer(503)]);
    thread::scope(|scope| {
        let busy = scope.spawn(|| storage.put("busy-1", source(10).path()));
        while lines[0].left() > 0 {
            thread::sleep(Duration::from_millis(10));
        }
        // It hears that a moment later.
        thread::sleep(Duration::from_millis(500));
        let begun = Instant::now();
        storage.put("well-1", source(10).path()).expect("well");
        let took = begun.elapsed();
        assert_eq!(lines[1].left(), 0);
        assert!(took < Duration::from_secs(15), "{took:?}");
        busy.join().expect("thread").expect("busy");
    });
    assert_eq!(storage.list().expect("list").len(), 4);
}
