//! A set that duplicity left half-done is gone on with, whatever fails meanwhile and whatever has happened to it since: what is
//! not proven is made anew. The state is made of dupr's own by taking away what only dupr writes; `interop::resumed` has the real
//! ones.

use crate::crash::{DOWN, every_crash_and_change, every_fault_in_a_backup};
use crate::support::tree::Tree;
use crate::support::vault::{
    Heard, Sealed, T0, Vault, all_restore, edit, noise, plant, settle, with_chain, write,
};
use dupr::engine::Mode;
use dupr::testing::{Fault, FaultyStorage, Operation};
use std::path::PathBuf;

fn part(vault: &Vault, suffix: &str) -> Option<PathBuf> {
    let entries = std::fs::read_dir(vault.archive()).ok()?;
    let mut found = entries.flatten().map(|e| e.path()).filter(|p| {
        let name = p.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("duplicity-") && name.ends_with(suffix)
    });
    found.next()
}

/// Makes what dupr left look like what duplicity leaves.
fn estrange(vault: &Vault) {
    let own = vault.archive().join("dupr-sigtar.part");
    if let (true, Some(theirs)) = (own.exists(), part(vault, ".sigtar.part")) {
        std::fs::rename(own, theirs).expect("the part sigtar");
    }
    for name in [
        "dupr-journal.jsonl",
        "dupr-filelist.part",
        "dupr-sigtar.part",
    ] {
        let _ = std::fs::remove_file(vault.archive().join(name));
    }
}

/// A bench whose run of `mode` ended before the upload of volume `n`.
fn cut_before(name: &str, sealed: Sealed, mode: Mode, n: u64) -> (Vault, Vec<(i64, Tree)>) {
    let (vault, states) = with_chain(name, sealed);
    edit(&vault.source(), 2);
    // New and before all deltas, so that an increment can be cut where it can be gone on with.
    write(&vault.source().join("a/0"), &noise(400_000, 900), T0 - 400);
    write(&vault.source().join("a/00"), &noise(90_000, 901), T0 - 400);
    settle(&vault.source(), T0 - 400);
    let faulty =
        FaultyStorage::new(vault.storage.clone()).fail(Operation::Put, n, Fault::Before(DOWN));
    let cut = vault.backup_with(&vault.engine_on(faulty), mode, T0 + 2000, &Heard::default());
    assert_eq!(cut.expect_err("the cut").kind(), DOWN);
    estrange(&vault);
    (vault, states)
}

#[test]
fn going_on_with_a_set_of_duplicity_survives_every_fault() {
    for (mode, sealed) in [(Mode::Full, Sealed::Gpg), (Mode::Incremental, Sealed::Gzip)] {
        let (vault, states) = cut_before("adopt-fault", sealed, mode, 4);
        let fork = vault.fork();
        let report = vault.backup(mode, T0 + 2030);
        assert!(report.stats.resumed_volumes > 0, "{mode:?}");
        assert_eq!(report.set.time().as_secs(), T0 + 2000);
        drop(fork);
        // The faults of one kind of set are those of the other; the increment has more that can go wrong.
        if mode == Mode::Incremental {
            every_fault_in_a_backup(&vault, mode, &states, T0 + 2030);
        }
    }
}

#[test]
fn a_set_of_duplicity_is_gone_on_with_after_every_crash_and_change() {
    let vault = Vault::new("adopt-full", Sealed::Gzip);
    plant(&vault.source());
    every_crash_and_change(&vault, Mode::Full, &[], T0, estrange);
}

/// Makes the next set, and one more of changes everywhere: deltas against signatures that must be right.
fn check(vault: &Vault, mode: Mode, states: &[(i64, Tree)], when: &str) -> u64 {
    let report = vault.backup(mode, T0 + 2060);
    let state = vault.tree();
    vault.must_restore(None, &state, when);
    all_restore(vault, states, when);
    let source = vault.source();
    let kept: Vec<(PathBuf, Vec<u8>)> = ["a/0", "a/00", "a/one", "big", "m/middle"]
        .map(|name| source.join(name))
        .into_iter()
        .filter(|path| path.is_file())
        .map(|path| (path.clone(), std::fs::read(path).expect("a file")))
        .collect();
    for (path, bytes) in &kept {
        let mut bytes = bytes.clone();
        bytes.splice(0..0, *b"in front");
        write(path, &bytes, T0 + 2100);
    }
    vault.backup(Mode::Incremental, T0 + 2120);
    vault.must_restore(None, &vault.tree(), when);
    for (path, bytes) in &kept {
        write(path, bytes, state_time(&state, path, &source));
    }
    settle(&source, T0 - 400);
    report.stats.resumed_volumes
}

fn state_time(tree: &Tree, path: &std::path::Path, root: &std::path::Path) -> i64 {
    let relative = path.strip_prefix(root).expect("below the source");
    tree.0[relative.as_os_str().as_encoded_bytes()].mtime
}

#[test]
fn nothing_of_a_set_of_duplicity_is_believed() {
    for mode in [Mode::Full, Mode::Incremental] {
        let (vault, states) = cut_before("adopt-harmed", Sealed::Plain, mode, 5);
        let start = vault.fork();
        assert!(check(&vault, mode, &states, "nothing was harmed") > 0);
        start.rewind();
        let theirs = part(&vault, ".manifest.part").expect("a part manifest");
        let name = theirs
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        let stem = name
            .strip_suffix(".manifest.part")
            .expect("a set")
            .to_owned();
        let volumes = vault.storage.names();
        let volumes: Vec<&String> = volumes.iter().filter(|n| n.starts_with(&stem)).collect();
        assert_eq!(volumes.len(), 4, "{volumes:?}");
        for volume in volumes {
            start.rewind();
            vault.storage.remove(volume);
            check(&vault, mode, &states, &format!("{volume} is gone"));
            for at in [600, 40_000] {
                start.rewind();
                vault.storage.edit(volume, |bytes| bytes[at] ^= 4);
                check(&vault, mode, &states, &format!("{volume} differs at {at}"));
            }
        }
        for suffix in [".manifest.part", ".sigtar.part"] {
            start.rewind();
            let path = part(&vault, suffix).expect("a part file");
            let whole = std::fs::read(&path).expect("a part file");
            let step = whole.len() / 7 + 13;
            for at in (0..whole.len()).step_by(step) {
                start.rewind();
                std::fs::write(&path, &whole[..at]).expect("a part file");
                check(&vault, mode, &states, &format!("{suffix} ends at {at}"));
                start.rewind();
                let mut bytes = whole.clone();
                bytes[at] ^= 1;
                std::fs::write(&path, &bytes).expect("a part file");
                check(&vault, mode, &states, &format!("{suffix} differs at {at}"));
            }
            start.rewind();
            std::fs::remove_file(&path).expect("a part file");
            check(&vault, mode, &states, &format!("{suffix} is gone"));
        }
    }
}
