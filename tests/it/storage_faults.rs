//! The same bad networks and the same lying servers in front of every service: docs/testing.md has the table.

use crate::documents::last_result;
use crate::proxy::{Harm, Proxy, Silence};
use crate::services::{Service, each, other_services, patient, services, web_services};
use crate::storage_contract::source;
use crate::storage_troubles::{impatient, must_time_out, survives_cuts};
use dupr::engine::ErrorKind;
use dupr::engine::storage::{Storage, StorageOptions};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

#[test]
fn every_service_tells_that_nobody_listens() {
    each(&services(), |service| {
        let row = last_result(service.name);
        assert!(row[2].contains("bad lines"), "docs/targets.md: {row:?}");
        let start = Instant::now();
        let storage = service.open(1, "refused", impatient(patient()));
        for error in [
            storage.list().map(|_| ()),
            storage.put("a", source(10).path()),
        ] {
            let error = error.expect_err(service.name);
            assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
        }
        assert!(start.elapsed() < Duration::from_secs(60));
    });
}

/// Those of ssh's own protocol and of mail have more places in tests of their own.
#[test]
fn every_service_survives_cut_connections() {
    let mut services = services();
    services.retain(|service| !["sftp", "imap"].contains(&service.name));
    each(&services, |service| {
        // In the first words, in the middle of one part, in the last one. A connection that is kept is not harmed, so each
        // has a proxy of its own.
        for place in [300, 70_000, 5_000_000, 9_300_000] {
            let proxy = Proxy::to(service.port);
            let storage = service.open(proxy.port, "cut", patient());
            proxy.harm_data([Harm::Cut(place), Harm::Cut(place / 2), Harm::Cut(place)]);
            survives_cuts(&*storage, &proxy, &[place]);
            storage.delete(&format!("cut-{place}")).expect(service.name);
            assert!(proxy.passed() > 0, "{}", service.name);
        }
    });
}

#[test]
fn every_service_gives_up_on_a_silent_peer() {
    let silence = Silence::start();
    each(&services(), |service| {
        let storage = service.open(silence.port, "silent", impatient(patient()));
        must_time_out(service.name, || storage.list());
        must_time_out(service.name, || storage.put("a", source(10).path()));
    });
}

/// The line goes dead in the middle of an object, either way.
#[test]
fn every_service_gives_up_on_a_line_that_goes_dead() {
    each(&services(), |service| {
        let direct = service.open(service.port, "dead", patient());
        direct.put("large", source(9 << 20).path()).expect("put");
        for what in ["get", "put"] {
            let proxy = Proxy::to(service.port);
            let storage = service.open(proxy.port, "dead", impatient(patient()));
            // FTP has other lines for its data.
            proxy.harm_data((0..9).map(|_| Harm::Stall(300_000)));
            if service.name != "ftp" {
                proxy.harm((0..9).map(|_| Harm::Stall(300_000)));
            }
            // rclone waits long for the answer to what the system may still be sending.
            let bytes = if service.name == "rclone" {
                400_000
            } else {
                9 << 20
            };
            must_time_out(&format!("{} {what}", service.name), || match what {
                "get" => storage.get("large", &mut Vec::new()).map(|_| ()),
                _ => storage.put("new", source(bytes).path()),
            });
            assert_eq!(direct.stat("new").expect("stat"), None, "{}", service.name);
        }
    });
}

/// Slow is not silent: what takes longer than the patience with a silent peer is waited for. The patience is three times shorter
/// than the usual one, and the line more than that faster than the slowest there may be.
#[test]
fn every_service_waits_for_a_slow_line() {
    each(&services(), |service| {
        let options = StorageOptions {
            timeout: Duration::from_secs(10),
            attempts: 1,
            ..patient()
        };
        // Whatever an upload makes first is there.
        let direct = service.open(service.port, "slow", patient());
        direct.put("before", source(1).path()).expect(service.name);
        let proxy = Proxy::to(service.port);
        let harm = || (0..20).map(|_| Harm::Slow(150_000));
        proxy.harm(harm());
        proxy.harm_data(harm());
        let storage = service.open(proxy.port, "slow", options);
        let start = Instant::now();
        storage
            .put("a", source(2_400_000).path())
            .expect(service.name);
        let put = start.elapsed();
        let mut got = Vec::new();
        storage.get("a", &mut got).expect(service.name);
        assert!(got == vec![0x5a; 2_400_000], "{}", service.name);
        // ssh packs such content well.
        if !service.name.contains("ssh") && !service.name.contains("sftp") {
            assert!(put > Duration::from_secs(12), "{} {put:?}", service.name);
        }
    });
}

/// Whoever is told to come back later does, and no error is taken for an answer.
#[test]
fn every_service_waits_for_a_busy_server() {
    each(&web_services(), |service| {
        for status in [429, 500, 502, 503, 504] {
            let open = |port| service.open(port, "busy", patient());
            let proxy = Proxy::to(service.port);
            let storage = open(proxy.port);
            let busy = || proxy.harm([Harm::Answer(status), Harm::Answer(status)]);
            let what = format!("{} {status}", service.name);
            busy();
            storage.put("a", source(70_000).path()).expect(&what);
            assert_eq!(proxy.left(), 0, "{what}");
            // Connections that were kept are good ones: others are made anew.
            for step in 0..4 {
                let storage = open(proxy.port);
                busy();
                match step {
                    0 => assert_eq!(storage.list().expect(&what).len(), 1, "{what}"),
                    1 => assert!(storage.stat("a").expect(&what).is_some(), "{what}"),
                    2 => assert_eq!(storage.get("a", &mut Vec::new()).expect(&what), 70_000),
                    _ => storage.delete("a").expect(&what),
                }
            }
            let left = open(service.port).list().expect(&what);
            assert!(left.is_empty(), "{what}: {left:?}");
        }
        comes_back_when_it_is_told(service);
    });
}

/// Not before: after so many seconds, or at a date by the server's clock. Programs of others do as they like.
fn comes_back_when_it_is_told(service: &Service) {
    if service.name == "rclone" {
        return;
    }
    // Whatever an upload makes first is there.
    let direct = service.open(service.port, "later", patient());
    direct.put("a", source(10).path()).expect(service.name);
    // Box is asked for its own time first, which is another one there.
    let has_clock = service.name != "box";
    for (step, as_date) in [(0, has_clock), (1, false), (2, has_clock)] {
        let proxy = Proxy::to(service.port);
        let storage = service.open(proxy.port, "later", patient());
        let seconds = 1;
        proxy.harm([Harm::Later { seconds, as_date }]);
        let start = Instant::now();
        match step {
            0 => drop(storage.list().expect(service.name)),
            1 => storage.put("a", source(20).path()).expect(service.name),
            _ => drop(storage.get("a", &mut Vec::new()).expect(service.name)),
        }
        let took = start.elapsed();
        assert_eq!(proxy.left(), 0, "{} {step}", service.name);
        let enough = Duration::from_secs(seconds.into());
        assert!(took >= enough, "{} {step}: {took:?}", service.name);
    }
}

/// What a server does to an object it confirms.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Theft {
    Lost,
    Halved,
}

/// Has a server lose `name` as soon as it has it, `times` times: its answer is passed on afterwards. Returns the count.
fn steal(
    proxy: &Proxy,
    direct: &Arc<dyn Storage>,
    name: &str,
    theft: Theft,
    times: usize,
) -> Arc<AtomicUsize> {
    let count = Arc::new(AtomicUsize::new(0));
    let (stolen, direct, name) = (Arc::clone(&count), Arc::clone(direct), name.to_string());
    // Answers come on several lines.
    let one = std::sync::Mutex::new(());
    proxy.before_each_answer(move || {
        let _one = one.lock().expect("one at a time");
        if stolen.load(Ordering::SeqCst) >= times {
            return;
        }
        let Some(object) = direct.stat(&name).expect("stat") else {
            return;
        };
        match theft {
            Theft::Lost => direct.delete(&name).expect("loss"),
            Theft::Halved if object.size < 70_000 => return,
            Theft::Halved => {
                let half = source(object.size as usize / 2);
                direct.put(&name, half.path()).expect("harm");
            }
        }
        stolen.fetch_add(1, Ordering::SeqCst);
    });
    count
}

/// A server says that it has an object, and has not, or has half of it.
#[test]
fn every_service_notices_what_a_server_loses() {
    each(&services(), |service| {
        for (theft, bytes) in [
            (Theft::Lost, 90_000),
            (Theft::Halved, 90_000),
            (Theft::Lost, 9 << 20),
        ] {
            let what = format!("{} {theft:?} {bytes}", service.name);
            let direct: Arc<dyn Storage> = service.open(service.port, "lost", patient()).into();
            direct.put("kept", source(10).path()).expect(&what);
            let proxy = Proxy::to(service.port);
            let storage = service.open(proxy.port, "lost", patient());
            // Once: it is sent again.
            let stolen = steal(&proxy, &direct, "a", theft, 1);
            storage
                .put("a", source(bytes).path())
                .unwrap_or_else(|e| panic!("{what}: {e}"));
            proxy.watch_no_more();
            assert_eq!(stolen.load(Ordering::SeqCst), 1, "{what}");
            let mut got = Vec::new();
            direct.get("a", &mut got).expect(&what);
            assert!(got == vec![0x5a; bytes], "{what}: {}", got.len());
            direct.delete("a").expect(&what);
            if bytes > 1 << 20 {
                continue;
            }
            // Again and again: it is an error, and nothing torn keeps the name.
            let stolen = steal(&proxy, &direct, "a", theft, usize::MAX);
            let error = storage.put("a", source(bytes).path()).expect_err(&what);
            proxy.watch_no_more();
            assert!(stolen.load(Ordering::SeqCst) > 1, "{what}");
            let kinds = [ErrorKind::Corrupt, ErrorKind::Unreachable];
            assert!(kinds.contains(&error.kind()), "{what}: {error}");
            let listed = direct.list().expect(&what);
            let names: Vec<&str> = listed.iter().map(|o| o.name.as_str()).collect();
            assert_eq!(names, ["kept"], "{what}");
        }
    });
}

/// Where a service tells a hash of what it was sent, that is compared; WebDAV has none, nor azurite for parts.
#[test]
fn every_service_with_hashes_notices_a_changed_byte() {
    let mut services = web_services();
    services.retain(|service| !["webdav", "rclone"].contains(&service.name));
    each(&services, |service| {
        let proxy = Proxy::to(service.port);
        let storage = service.open(proxy.port, "changed", patient());
        for (n, (name, bytes)) in [("small", 1000), ("large", 9 << 20)].iter().enumerate() {
            let (content, name) = (source(*bytes), format!("{name}-changed"));
            if service.name == "azure" && n == 1 {
                break;
            }
            proxy.harm_first(Harm::Change);
            match n {
                0 => storage.put(&name, content.path()).expect(service.name),
                _ => storage.claim(&name, content.path()).expect(service.name),
            }
            assert_eq!(proxy.shortened(), n as u64 + 1, "{}", service.name);
            let mut got = Vec::new();
            storage.get(&name, &mut got).expect(service.name);
            assert!(got == vec![0x5a; *bytes], "{} {name}", service.name);
            storage.delete(&name).expect(service.name);
        }
    });
}

/// Six files of half a MiB, at half a MiB in a second: the bytes that pass are counted over time, generously.
#[test]
fn every_service_keeps_the_limit_of_uploads() {
    const FILE: u64 = 512 << 10;
    const FILES: u64 = 6;
    each(&services(), |service| {
        let proxy = Proxy::to(service.port);
        let mut options = patient();
        options.upload_rate = NonZeroU64::new(FILE);
        let storage = service.open(proxy.port, "limit", options);
        // Whatever a login takes is done before.
        storage.list().expect(service.name);
        let (begun, before) = (Instant::now(), proxy.passed());
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::SeqCst) {
                    let seconds = begun.elapsed().as_secs_f64();
                    let passed = (proxy.passed() - before) as f64;
                    // A mail is longer by a third, and what is read ahead is one file at most.
                    let most = 1.6 * FILE as f64 * (seconds + 2.0);
                    assert!(passed < most, "{} {passed} in {seconds}", service.name);
                    thread::sleep(Duration::from_millis(50));
                }
            });
            for n in 0..FILES {
                let name = format!("limit-{n}");
                let put = storage.put(&name, source(FILE as usize).path());
                if put.is_err() {
                    done.store(true, Ordering::SeqCst);
                }
                put.expect(service.name);
            }
            done.store(true, Ordering::SeqCst);
        });
        let least = Duration::from_millis(900 * (FILES - 1));
        assert!(
            begun.elapsed() >= least,
            "{} {:?}",
            service.name,
            begun.elapsed()
        );
        // Files go to ftp by lines of their own, which are not counted.
        let is_counted = proxy.passed() - before >= FILE * FILES;
        assert!(is_counted || service.name == "ftp", "{}", service.name);
    });
}

/// The same downwards. What a program fetches by itself it may fetch faster, but for rsync's own limit.
#[test]
fn every_service_keeps_the_limit_of_downloads() {
    const FILE: u64 = 512 << 10;
    const TIMES: u32 = 5;
    each(&services(), |service| {
        let proxy = Proxy::to(service.port);
        let mut options = patient();
        options.download_rate = NonZeroU64::new(FILE);
        let storage = service.open(proxy.port, "down", options);
        storage
            .put("down", source(FILE as usize).path())
            .expect(service.name);
        let begun = Instant::now();
        for _ in 0..TIMES {
            let mut got = Vec::new();
            storage.get("down", &mut got).expect(service.name);
            assert_eq!(got.len() as u64, FILE, "{}", service.name);
        }
        let least = Duration::from_millis(900) * (TIMES - 1);
        assert!(
            begun.elapsed() >= least,
            "{} {:?}",
            service.name,
            begun.elapsed()
        );
    });
}

/// An answer whose body ends early, with a head that fits: no more is called delivered than came.
#[test]
fn no_service_takes_half_an_answer_for_the_whole() {
    each(&web_services(), |service| {
        for harm in [Harm::Shorten(60_000), Harm::ShortenUntold(60_000)] {
            let direct = service.open(service.port, "half", patient());
            direct.put("a", source(90_000).path()).expect(service.name);
            let proxy = Proxy::to(service.port);
            proxy.harm((0..9).map(|_| harm));
            let storage = service.open(proxy.port, "half", patient());
            let mut got = Vec::new();
            let outcome = storage.get("a", &mut got);
            assert!(proxy.shortened() > 0, "{} {harm:?}", service.name);
            if let Ok(bytes) = outcome {
                assert_eq!(bytes, got.len() as u64, "{} {harm:?}", service.name);
            }
            assert!(
                vec![0x5a; 90_000].starts_with(&got),
                "{} {harm:?}",
                service.name
            );
        }
    });
    each(&other_services()[..1], |ftp| {
        let proxy = Proxy::to(ftp.port);
        let storage = ftp.open(proxy.port, "half", patient());
        storage.put("a", source(90_000).path()).expect("put");
        proxy.harm_data([Harm::Swallow(45_000)]);
        let mut got = Vec::new();
        let outcome = storage.get("a", &mut got);
        assert_eq!(proxy.shortened(), 1);
        if let Ok(bytes) = outcome {
            assert_eq!(bytes, got.len() as u64);
        }
    });
}
