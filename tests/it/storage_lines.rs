//! Bad lines in front of services whose bytes nobody can read, and of those that programs of others reach.

use crate::proxy::{Harm, Proxy, Silence};
use crate::services::{Service, each, patient, secure_services};
use crate::storage_contract::source;
use crate::storage_troubles::must_time_out;
use dupr::engine::ErrorKind;
use dupr::engine::storage::{Storage, StorageOptions};
use std::time::Duration;

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

/// What FTP stores goes by other lines, which are not seen here: there it is the line of the commands that breaks.
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

/// Nobody listens, and the line breaks in the middle: for services whose servers take long to start, in the test that has them.
pub fn survives_a_bad_line(service: &Service) {
    is_refused(service);
    survives_cuts(service, 1, measured(service), (1, 2));
}
