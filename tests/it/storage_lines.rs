//! Bad lines in front of services whose bytes nobody can read, and of those that programs of others reach.

use crate::proxy::{Harm, Proxy, Silence};
use crate::servers::Ftpd;
use crate::services::{Service, each, patient, secure_ftp, secure_services};
use crate::storage_contract::source;
use crate::storage_troubles::must_time_out;
use dupr::engine::ErrorKind;
use dupr::engine::storage::{Storage, StorageOptions};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Bytes of an object; several records of TLS.
const BYTES: usize = 600_000;

/// Gives up soon, and at once.
fn hasty() -> StorageOptions {
    StorageOptions {
        timeout: Duration::from_secs(2),
        attempts: 1,
        ..patient()
    }
}

fn is_whole(storage: &dyn Storage, name: &str, what: &str) {
    let mut got = Vec::new();
    let got = storage.get(name, &mut got).map(|_| got);
    assert!(got.expect(what) == vec![0x5a; BYTES], "{what}");
}

/// Nobody listens.
fn is_refused(service: &Service) {
    let storage = service.open(1, "lines", hasty());
    for error in [
        storage.list().map(|_| ()),
        storage.put("new", source(10).path()),
    ] {
        let error = error.expect_err(service.name);
        let name = service.name;
        assert_eq!(error.kind(), ErrorKind::Unreachable, "{name}: {error}");
        // Addresses of Tahoe's are secrets.
        let text = error.to_string();
        assert!(!text.contains("URI%3A"), "{text}");
    }
}

/// How many bytes a put and a get take on their longest line, both ways.
fn measured(service: &Service) -> [u64; 2] {
    ["put", "get"].map(|what| {
        let proxy = Proxy::to(service.port);
        let storage = service.open(proxy.port, "lines", patient());
        match what {
            "put" => storage
                .put("known", source(BYTES).path())
                .expect(service.name),
            _ => is_whole(&*storage, "known", service.name),
        }
        assert!(proxy.longest() > 0, "{}", service.name);
        proxy.longest()
    })
}

/// So many lines break, at this part of a put and of a get: the next attempt has it all.
fn survives_cuts(service: &Service, lines: usize, [put, get]: [u64; 2], (part, of): (u64, u64)) {
    let what = format!("{} cut at {part}/{of}", service.name);
    let proxy = Proxy::to(service.port);
    let storage = service.open(proxy.port, "lines", patient());
    let cut = |bytes| std::iter::repeat_n(Harm::Cut(bytes * part / of), lines);
    proxy.harm(cut(put));
    storage.put("new", source(BYTES).path()).expect(&what);
    assert!(proxy.broken() > 0, "{what}");
    let proxy = Proxy::to(service.port);
    let storage = service.open(proxy.port, "lines", patient());
    proxy.harm(cut(get));
    is_whole(&*storage, "new", &what);
    assert!(proxy.broken() > 0, "{what}");
    storage.delete("new").expect(&what);
}

/// What FTP stores goes by other lines: here it is the line of the commands that breaks.
#[test]
fn services_behind_tls_survive_bad_lines() {
    let silence = Silence::start();
    let mut services = secure_services();
    // What speaks to it is what speaks to the other one.
    services.retain(|service| service.name != "webdavs at Apache");
    each(&services, |service| {
        is_refused(service);
        let bytes = measured(service);
        for part in [1, 2, 3] {
            // The first line need not be the longest one.
            survives_cuts(service, 2, bytes, (part, 4));
        }
        // Nothing comes: from the first byte on, and in the middle of a put.
        let storage = service.open(silence.port, "lines", hasty());
        must_time_out(service.name, || storage.list());
        let proxy = Proxy::to(service.port);
        proxy.harm([Harm::Stall(bytes[0] / 2); 9]);
        let storage = service.open(proxy.port, "lines", hasty());
        let put = || storage.put("new", source(BYTES).path());
        must_time_out(service.name, put);
        let direct = service.open(service.port, "lines", patient());
        let there = direct.stat("new").expect(service.name);
        assert_eq!(there, None, "{}", service.name);
    });
}

/// Nobody listens, and the line breaks or goes dead in the middle: for services whose servers take long to start, in the test that
/// has them.
pub fn survives_a_bad_line(service: &Service) {
    is_refused(service);
    let bytes = measured(service);
    survives_cuts(service, 1, bytes, (1, 2));
    let [put, get] = bytes;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            is_given_up(service, put / 2, |dead| {
                dead.put("new", source(BYTES).path())
            })
        });
        scope.spawn(|| {
            is_given_up(service, get / 2, |dead| {
                dead.get("known", &mut Vec::new()).map(|_| ())
            })
        });
    });
    let direct = service.open(service.port, "lines", patient());
    let there = direct.stat("new").expect(service.name);
    assert_eq!(there, None, "{}", service.name);
}

/// The line goes dead after so many bytes. Programs that others work for may be silent for longer than a timeout.
fn is_given_up(
    service: &Service,
    bytes: u64,
    call: impl FnOnce(&dyn Storage) -> dupr::engine::Result<()>,
) {
    let proxy = Proxy::to(service.port);
    let storage = service.open(proxy.port, "lines", hasty());
    proxy.harm([Harm::Stall(bytes); 9]);
    let start = Instant::now();
    let error = call(&*storage).expect_err(service.name);
    let name = service.name;
    assert_eq!(error.kind(), ErrorKind::Unreachable, "{name}: {error}");
    assert!(proxy.broken() > 0, "{name}: {error}");
    assert!(start.elapsed() < Duration::from_secs(300), "{name}");
}

/// A server of FTP with TLS, with something before its data lines.
struct Lines {
    data: Proxy,
    files: PathBuf,
}

/// Both kinds, each behind a proxy for commands and one for data.
fn with_data_lines() -> (Vec<Service>, Vec<Lines>) {
    let both = [("ftpes", false), ("ftps", true)].map(|(name, is_implicit)| {
        let server = Ftpd::elsewhere(is_implicit);
        let commands = Proxy::to_address((Ftpd::ELSEWHERE, server.port).into());
        let lines = Lines {
            data: Proxy::before(&server.data_ports, Ftpd::ELSEWHERE.into()),
            files: server.files(),
        };
        let ca = server.certificate();
        let port = commands.port;
        (secure_ftp(name, port, &ca, (commands, server)), lines)
    });
    both.into_iter().unzip()
}

/// Files with names so long that their list takes several records of TLS.
fn many(folder: &Path) -> Vec<String> {
    fs::create_dir_all(folder).expect("folder");
    let names = (0..400).map(|n| format!("{n:03}-{}", "x".repeat(120)));
    let names: Vec<String> = names.collect();
    for name in &names {
        fs::write(folder.join(name), name).expect("file");
    }
    names
}

/// Says how many are missing, not which: their names are long.
fn has_all(storage: &dyn Storage, names: &[String], what: &str) {
    let listed = listed(storage, what);
    let missing = names.iter().filter(|name| !listed.contains(name)).count();
    assert_eq!((missing, listed.len()), (0, names.len()), "{what}");
}

fn listed(storage: &dyn Storage, what: &str) -> Vec<String> {
    let listed = storage.list().expect(what).into_iter();
    let mut names: Vec<String> = listed.map(|object| object.name).collect();
    names.sort();
    names
}

/// The lines by which FTP moves files and lists, in TLS: what breaks is tried again, and nothing is taken for whole that is not.
#[test]
fn data_lines_behind_tls_may_break_anywhere() {
    let (services, lines) = with_data_lines();
    each(&services, |service| {
        let own = services.iter().position(|one| one.name == service.name);
        let Lines { data, files } = &lines[own.expect("one of them")];
        let open = |folder: &str| service.open(service.port, folder, patient());
        let broken = |before: u64, what: &str| assert!(data.broken() > before, "{what}");
        // In the words before the first byte, in the middle, and at the end.
        let storage = open("cuts");
        for place in [1, 700, 2_500, 70_000, 300_000, BYTES as u64 - 1] {
            let what = format!("{} cut at {place}", service.name);
            let before = data.broken();
            data.harm([Harm::Cut(place), Harm::Cut(place / 2)]);
            storage.put("new", source(BYTES).path()).expect(&what);
            broken(before, &what);
            let before = data.broken();
            data.harm([Harm::Cut(place), Harm::Cut(place / 2)]);
            is_whole(&*storage, "new", &what);
            broken(before, &what);
            storage.delete("new").expect(&what);
        }
        // The server has sent all of it.
        storage.put("new", source(BYTES).path()).expect("put");
        data.harm([Harm::SwallowRecords(20)]);
        is_whole(&*storage, "new", service.name);
        assert_eq!(data.left(), 0, "{}", service.name);
        storage.delete("new").expect("delete");
        assert_eq!(listed(&*storage, "cuts"), Vec::<String>::new());
        drop(storage);

        let names = many(&files.join("many"));
        for place in [1, 700, 2_500, 20_000, 50_000] {
            let what = format!("list of {} cut at {place}", service.name);
            let before = data.broken();
            data.harm([Harm::Cut(place), Harm::Cut(place)]);
            has_all(&*open("many"), &names, &what);
            broken(before, &what);
        }
        data.harm([Harm::SwallowRecords(u64::MAX)]);
        has_all(&*open("many"), &names, service.name);
        let records = data.records();
        assert!(records > 5, "{} {records}", service.name);
        let mut refused = 0;
        for record in 1..records {
            let what = format!("{} {record} of {records} records", service.name);
            let options = StorageOptions {
                attempts: 3,
                ..patient()
            };
            let storage = service.open(service.port, "many", options);
            // Of a server that is not known yet, at the same place of one list after the other: both look whole, and are the same.
            data.harm([Harm::SwallowRecords(record); 2]);
            has_all(&*storage, &names, &what);
            data.harm_no_more();
            // All the time, of one that is known to tell the end. Not every list comes in as many records.
            data.harm([Harm::SwallowRecords(record); 20]);
            let outcome = storage.list();
            let left = data.left();
            data.harm_no_more();
            assert!(left < 20, "{what}");
            match outcome {
                Ok(all) => assert_eq!(all.len(), names.len(), "{what}"),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Unreachable, "{what}: {error}");
                    refused += 1;
                }
            }
        }
        assert!(refused > 3, "{} {refused} of {records}", service.name);
    });
}

/// Nothing comes any more on such a line, or little.
#[test]
fn data_lines_behind_tls_may_be_dead_or_slow() {
    let (services, lines) = with_data_lines();
    each(&services, |service| {
        let own = services.iter().position(|one| one.name == service.name);
        let Lines { data, files } = &lines[own.expect("one of them")];
        many(&files.join("lines"));
        let direct = service.open(service.port, "lines", patient());
        direct.put("large", source(BYTES).path()).expect("put");
        for (what, place) in [
            ("put", 1_000),
            ("put", 300_000),
            ("get", 300_000),
            ("list", 20_000),
        ] {
            // Long enough to log in on a machine that has much to do.
            let options = StorageOptions {
                timeout: Duration::from_secs(5),
                ..hasty()
            };
            let storage = service.open(service.port, "lines", options);
            data.harm([Harm::Stall(place)]);
            must_time_out(&format!("{} {what}", service.name), || match what {
                "get" => storage.get("large", &mut Vec::new()).map(|_| ()),
                "put" => storage.put("new", source(9 << 20).path()),
                _ => storage.list().map(|_| ()),
            });
            assert_eq!(data.left(), 0, "{} {what}", service.name);
            let there = direct.stat("new").expect(service.name);
            assert_eq!(there, None, "{} {what}", service.name);
        }
        // Slow is not silent.
        let options = StorageOptions {
            timeout: Duration::from_secs(10),
            attempts: 1,
            ..patient()
        };
        let storage = service.open(service.port, "lines", options);
        let start = Instant::now();
        data.harm([Harm::Slow(150_000), Harm::Slow(150_000)]);
        storage.put("slow", source(2_400_000).path()).expect("put");
        let took = start.elapsed();
        assert!(took > Duration::from_secs(12), "{} {took:?}", service.name);
        let mut got = Vec::new();
        data.harm_no_more();
        data.harm([Harm::Slow(150_000)]);
        storage.get("slow", &mut got).expect("get");
        assert!(got == vec![0x5a; 2_400_000], "{}", service.name);
    });
}
