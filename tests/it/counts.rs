//! What is counted instead of timed: calls of the storage, and bytes that must not depend on the number of threads.

use crate::support::vault::{Heard, Sealed, T0, Vault, edit, noise, plant, with_chain, write};
use dupr::engine::Mode;
use dupr::testing::{Operation, RecordingStorage};
use std::collections::BTreeMap;

/// Calls of one backup: lists, stats, gets, puts, deletes.
fn calls(vault: &Vault, mode: Mode, now: i64) -> [usize; 5] {
    let storage = RecordingStorage::new(vault.storage.clone());
    let engine = vault.engine_on(storage.clone());
    vault
        .backup_with(&engine, mode, now, &Heard::default())
        .unwrap_or_else(|e| panic!("{e}"));
    use Operation::{Delete, Get, List, Put, Stat};
    [List, Stat, Get, Put, Delete].map(|operation| storage.count(operation))
}

#[test]
fn an_increment_without_changes_lists_once_and_puts_three() {
    for (sealed, gets) in [(Sealed::Plain, 0), (Sealed::Gzip, 0), (Sealed::Gpg, 1)] {
        let (vault, _) = with_chain("counts", sealed);
        for turn in 1..4 {
            let when = format!("{sealed:?}, turn {turn}");
            assert_eq!(
                calls(&vault, Mode::Incremental, T0 + 2000 + 100 * turn),
                [1, 0, gets, 3, 0],
                "{when}"
            );
        }
        // Without the archive dir every manifest and sigtar is fetched, once.
        std::fs::remove_dir_all(vault.archive()).expect("archive dir");
        let [lists, stats, fetched, puts, deletes] = calls(&vault, Mode::Incremental, T0 + 3000);
        assert_eq!(
            [lists, stats, fetched, puts, deletes],
            [1, 0, 10 + gets, 3, 0],
            "{sealed:?}"
        );
        assert_eq!(
            calls(&vault, Mode::Incremental, T0 + 4000),
            [1, 0, gets, 3, 0],
            "{sealed:?}"
        );
    }
}

#[test]
fn a_full_backup_lists_once_and_gets_nothing() {
    let vault = Vault::new("counts-full", Sealed::Gzip);
    plant(&vault.source());
    let [lists, stats, gets, _, deletes] = calls(&vault, Mode::Full, T0);
    assert_eq!([lists, stats, gets, deletes], [1, 0, 0, 0]);
}

/// Everything at the target after a full backup and an increment, made with so many threads and uploads at once.
fn target_of(
    vault: &mut Vault,
    threads: usize,
    uploads: usize,
    edited: bool,
) -> BTreeMap<String, Vec<u8>> {
    (vault.threads, vault.uploads) = (threads, uploads);
    let mode = if edited {
        Mode::Incremental
    } else {
        Mode::Full
    };
    vault.backup(mode, if edited { T0 + 1000 } else { T0 });
    let names = vault.storage.names().into_iter();
    names
        .map(|n| (n.clone(), vault.storage.bytes(&n).expect("an object")))
        .collect()
}

#[test]
fn the_number_of_threads_changes_no_byte() {
    for sealed in [Sealed::Plain, Sealed::Gzip] {
        let mut vault = Vault::new("threads", sealed);
        plant(&vault.source());
        for n in 0..300 {
            let path = vault.source().join(format!("many/d{}/f{n}", n % 13));
            // Text compresses, noise does not: cuts must not depend on what is compressed when.
            let text = format!("line {n} of a text\n").repeat(n * 7);
            write(
                &path,
                if n % 3 == 0 { text.as_bytes() } else { &[] },
                T0 - 1000,
            );
            write(
                &path.with_extension("bin"),
                &noise(n * 17, n as u64),
                T0 - 1000,
            );
        }
        let mut first: Vec<BTreeMap<String, Vec<u8>>> = Vec::new();
        let kept = vault.scratch.join("kept");
        let copy = |from: &std::path::Path, to: &std::path::Path| {
            let _ = std::fs::remove_dir_all(to);
            let done = std::process::Command::new("cp")
                .arg("-a")
                .arg(from)
                .arg(to)
                .status();
            assert!(done.expect("cp").success());
        };
        copy(&vault.source(), &kept);
        for (threads, uploads) in [(1, 1), (2, 1), (8, 4), (8, 4)] {
            copy(&kept, &vault.source());
            for name in vault.storage.names() {
                vault.storage.remove(&name);
            }
            let _ = std::fs::remove_dir_all(vault.archive());
            let full = target_of(&mut vault, threads, uploads, false);
            edit(&vault.source(), 1);
            let both = target_of(&mut vault, threads, uploads, true);
            assert!(full.len() > 6 && both.len() > full.len() + 4);
            if first.is_empty() {
                first = vec![full, both];
                continue;
            }
            for (was, is) in first.iter().zip([full, both]) {
                assert!(
                    was.keys().eq(is.keys()),
                    "{sealed:?}, {threads} threads: other names"
                );
                for (name, bytes) in was {
                    assert!(
                        is.get(name) == Some(bytes),
                        "{sealed:?}, {threads} threads: {name} differs"
                    );
                }
            }
        }
    }
}
