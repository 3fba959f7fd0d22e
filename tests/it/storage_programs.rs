//! Faults at services that programs of others reach: the program fails, hangs, stores half of a file or none and tells success. By
//! stand-ins for megatools, MEGAcmd and hsi (`tests/support/tools_fake.py`).

use crate::services::{Hold, Service, each, only_named, patient, stand_ins};
use crate::storage_contract::source;
use crate::storage_runs::Bench;
use dupr::engine::ErrorKind;
use dupr::engine::storage::{Storage, StorageOptions};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What befalls the calls of a stand-in.
struct Fault(PathBuf);

impl Fault {
    fn of(service: &Service) -> Self {
        match &service.hold {
            Hold::Program(home) => Self(home.clone()),
            _ => panic!("{} has no stand-in", service.name),
        }
    }

    /// So many calls of this kind, with these words in their arguments.
    fn befalls(&self, [on, name]: [&str; 2], times: u32, what: &Value) {
        let mut told = json!({"on": on, "name": name, "times": times});
        let own = what.as_object().expect("object").clone();
        told.as_object_mut().expect("object").extend(own);
        // No call sees half of it.
        let (new, file) = (self.0.join("fault.next"), self.0.join("fault"));
        fs::write(&new, told.to_string()).expect("fault");
        fs::rename(new, file).expect("fault");
    }

    /// How many calls it may still befall.
    fn left(&self) -> u64 {
        let told = fs::read(self.0.join("fault")).expect("fault");
        let told: Value = serde_json::from_slice(&told).expect("fault");
        told["times"].as_u64().expect("times")
    }

    fn is_over(&self) {
        fs::remove_file(self.0.join("fault")).expect("fault");
    }

    /// The processes that hung, and how many are still there.
    fn hung(&self) -> (usize, usize) {
        let told = fs::read_to_string(self.0.join("hung")).unwrap_or_default();
        let ids: Vec<&str> = told.split_whitespace().collect();
        // One that is dead may wait for somebody to see that.
        let lives = |id: &&&str| {
            let stat = Path::new("/proc").join(id).join("stat");
            fs::read_to_string(stat).is_ok_and(|text| !text.contains(") Z "))
        };
        (ids.len(), ids.iter().filter(lives).count())
    }
}

/// What the program says of trouble, by its documentation: a line that broke, a full account, one that is refused.
fn says(service: &Service, kind: ErrorKind) -> Value {
    let (code, words) = match (service.name, kind) {
        ("mega", ErrorKind::Unreachable) => (
            1,
            "ERROR: Upload failed for 'a': CURL error: Send failure: Connection reset by peer",
        ),
        ("mega", ErrorKind::Full) => (
            1,
            "ERROR: Upload failed for 'a': Server returned error EOVERQUOTA",
        ),
        ("mega", _) => (
            1,
            "ERROR: Can't login to mega.nz: Server returned error EACCESS",
        ),
        ("megav2", ErrorKind::Unreachable) => (
            254,
            "Unable to connect to service: error=111\nPlease ensure mega-cmd-server is running",
        ),
        ("megav2", ErrorKind::Full) => (17, "Failed to upload: Over quota"),
        ("megav2", _) => (57, "[API:err: 10:00:00] Not logged in."),
        (_, ErrorKind::Unreachable) => (69, "*** hsi: connect: Connection refused"),
        (_, ErrorKind::Full) => (64, "***HSI0093: put failed: HPSS_ENOSPC: no space"),
        (_, _) => (77, "*** hsi: put: not you"),
    };
    json!({"do": "say", "code": code, "err": words})
}

fn lie(what: &str) -> Value {
    json!({"do": what})
}

fn is_whole(storage: &dyn Storage, name: &str, bytes: usize, what: &str) {
    let mut got = Vec::new();
    storage.get(name, &mut got).expect(what);
    assert!(got == vec![0x5a; bytes], "{what}: {} bytes", got.len());
}

#[test]
fn what_passes_is_tried_again_and_what_stays_is_told() {
    each(&only_named(stand_ins()), |service| {
        let fault = Fault::of(service);
        let storage = service.open(service.port, "programs", patient());
        let broken = says(service, ErrorKind::Unreachable);
        for on in ["put", "ls", "get", "rm"] {
            let what = format!("{} {on}", service.name);
            fault.befalls([on, ""], 2, &broken);
            match on {
                "put" => storage.put("a", source(70_000).path()).expect(&what),
                "ls" => assert_eq!(storage.list().expect(&what).len(), 1, "{what}"),
                "get" => is_whole(&*storage, "a", 70_000, &what),
                _ => storage.delete("a").expect(&what),
            }
            assert_eq!(fault.left(), 0, "{what}");
        }
        for (kind, calls) in [
            (ErrorKind::Unreachable, 8),
            (ErrorKind::Full, 1),
            (ErrorKind::Denied, 1),
        ] {
            let what = format!("{} {kind:?}", service.name);
            fault.befalls(["put", ""], 100, &says(service, kind));
            let error = storage.put("a", source(10).path()).expect_err(&what);
            assert_eq!(error.kind(), kind, "{what}: {error}");
            assert_eq!(fault.left(), 100 - calls, "{what}");
        }
        fault.is_over();
        assert_eq!(storage.list().expect(service.name), [], "{}", service.name);
    });
}

#[test]
fn what_a_program_claims_is_looked_at() {
    each(&only_named(stand_ins()), |service| {
        let fault = Fault::of(service);
        let storage = service.open(service.port, "programs", patient());
        for what in ["lose", "halve"] {
            let says = format!("{} {what}", service.name);
            fault.befalls(["put", ""], 1, &lie(what));
            storage.put("a", source(70_000).path()).expect(&says);
            assert_eq!(fault.left(), 0, "{says}");
            is_whole(&*storage, "a", 70_000, &says);
            storage.delete("a").expect(&says);
            fault.befalls(["put", ""], 100, &lie(what));
            let error = storage.put("a", source(70_000).path()).expect_err(&says);
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{says}: {error}");
            assert_eq!(storage.list().expect(&says), [], "{says}");
            fault.is_over();
        }
        storage.put("a", source(70_000).path()).expect(service.name);
        // megatools and MEGAcmd compare a sum of all they fetch; hsi does not say that it does.
        let lies: &[&str] = match service.name {
            "mega" => &[],
            "megav2" => &["nothing"],
            _ => &["nothing", "halve"],
        };
        for what in lies {
            let says = format!("{} gets {what}", service.name);
            fault.befalls(["get", ""], 1, &lie(what));
            is_whole(&*storage, "a", 70_000, &says);
            assert_eq!(fault.left(), 0, "{says}");
        }
    });
}

/// Neither bytes nor words for a long time: it ends, with all it has started, and nothing is left under the name.
#[test]
fn a_program_that_hangs_is_ended() {
    if !Path::new("/proc/self/io").exists() {
        return;
    }
    each(&only_named(stand_ins()), |service| {
        let fault = Fault::of(service);
        let direct = service.open(service.port, "programs", patient());
        direct.put("old", source(10).path()).expect(service.name);
        let options = StorageOptions {
            timeout: Duration::from_millis(400),
            attempts: 1,
            ..patient()
        };
        let storage = service.open(service.port, "programs", options);
        fault.befalls(["put", ""], 1, &lie("hang"));
        let begun = Instant::now();
        let error = storage
            .put("new", source(10).path())
            .expect_err(service.name);
        assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
        assert_eq!(fault.left(), 0, "{}", service.name);
        assert_eq!(fault.hung().0, 2, "{}", service.name);
        while fault.hung().1 > 0 {
            assert!(begun.elapsed() < Duration::from_secs(200));
            std::thread::sleep(Duration::from_millis(20));
        }
        let listed = direct.list().expect(service.name);
        assert_eq!(listed.len(), 1, "{} {listed:?}", service.name);
    });
}

/// Whole runs: the exit code says how it went, and what was there restores.
#[test]
fn programs_that_fail_or_lie_end_runs_by_their_exit_code() {
    each(&only_named(stand_ins()), |service| {
        let (folder, port) = ("faults", service.port);
        let fault = Fault::of(service);
        let bench = Bench::new(folder, service);
        bench.expect(&[0], port, folder, &["home", "full"]);
        bench.change(2);
        for (what, codes) in [
            (says(service, ErrorKind::Unreachable), &[13][..]),
            (says(service, ErrorKind::Full), &[13]),
            (lie("lose"), &[13, 14]),
        ] {
            fault.befalls(["put", ""], 500, &what);
            let done = bench.expect(codes, port, folder, &["home", "incr"]);
            assert!(!done.stderr.contains("panicked"), "{}", done.stderr);
            assert!(fault.left() < 500, "{} {what}", service.name);
            fault.is_over();
        }
        bench.restores_as_it_was(folder);
        fault.befalls(["put", ""], 2, &says(service, ErrorKind::Unreachable));
        bench.expect(&[0], port, folder, &["home", "incr"]);
        assert_eq!(fault.left(), 0, "{}", service.name);
        bench.restores(port, folder);
        // Half of a volume, once and for ever.
        fault.befalls(["get", ".vol1."], 1, &lie("halve"));
        bench.restores(port, folder);
        assert_eq!(fault.left(), 0, "{}", service.name);
        fault.befalls(["get", ".vol1."], 500, &lie("halve"));
        let back = bench.home.path().join("never");
        let to = back.display().to_string();
        bench.expect(&[13, 14], port, folder, &["home", "restore", &to]);
        if let Ok(there) = fs::read(back.join("noise")) {
            let here = fs::read(bench.home.source().join("noise")).expect("noise");
            assert!(there == here, "{}", service.name);
        }
    });
}
