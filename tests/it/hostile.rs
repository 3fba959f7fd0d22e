//! Archives made to do harm: whatever a volume says, a restore touches nothing outside its destination, makes nothing
//! it should not, and does not panic.

use crate::support::programs::is_root;
use crate::support::tree::Tree;
use crate::support::vault::{Heard, Sealed, T0, Vault, write};
use dupr::engine::monitor::ProblemKind;
use dupr::engine::{Mode, RestoreOptions, Result};
use sha1::{Digest, Sha1};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use tar::{EntryType, Header};

/// One member of a volume.
struct Member {
    name: Vec<u8>,
    kind: EntryType,
    data: Vec<u8>,
    link: Vec<u8>,
    mode: u32,
}

fn member(name: &str, kind: EntryType, data: &[u8]) -> Member {
    Member {
        name: name.into(),
        kind,
        data: data.into(),
        link: Vec::new(),
        mode: 0o755,
    }
}

fn file(name: &str) -> Member {
    member(name, EntryType::Regular, b"harm")
}

fn dir(name: &str) -> Member {
    member(name, EntryType::Directory, b"")
}

fn link(name: &str, to: &str) -> Member {
    Member {
        link: to.into(),
        ..member(name, EntryType::Symlink, b"")
    }
}

/// A tar file of these members, with names written as they are given.
fn tar_of(members: &[Member]) -> Vec<u8> {
    let mut out = Vec::new();
    for m in members {
        let mut header = Header::new_gnu();
        header.as_mut_bytes()[..m.name.len().min(100)]
            .copy_from_slice(&m.name[..m.name.len().min(100)]);
        let linked = m.link.len().min(100);
        header.as_mut_bytes()[157..157 + linked].copy_from_slice(&m.link[..linked]);
        header.set_entry_type(m.kind);
        header.set_mode(m.mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_700_000_000);
        header.set_size(m.data.len() as u64);
        if matches!(m.kind, EntryType::Char | EntryType::Block) {
            header.set_device_major(1).expect("a number");
            header.set_device_minor(3).expect("a number");
        }
        header.set_cksum();
        out.extend_from_slice(header.as_bytes());
        out.extend_from_slice(&m.data);
        out.resize(out.len().next_multiple_of(512), 0);
    }
    out.resize((out.len() + 1024).next_multiple_of(10_240), 0);
    out
}

/// A target whose only set holds exactly this tar file, with a true hash.
fn target(vault: &Vault, tar: &[u8]) {
    let hash: String = Sha1::digest(tar)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    let manifest = format!(
        "Hostname here\nLocaldir /source\nVolume 1:\n    StartingPath   .\n    EndingPath     zz\n    Hash SHA1 {hash}\nFilelist 0\n"
    );
    for name in vault.storage.names() {
        vault.storage.remove(&name);
    }
    let _ = std::fs::remove_dir_all(vault.archive());
    vault
        .storage
        .insert("duplicity-full.20270115T080000Z.vol1.difftar", tar);
    vault
        .storage
        .insert("duplicity-full.20270115T080000Z.manifest", manifest);
    vault.storage.insert(
        "duplicity-full-signatures.20270115T080000Z.sigtar",
        tar_of(&[]),
    );
}

struct Case {
    name: &'static str,
    members: Vec<Member>,
    /// Problems there must be; at least one of these kinds.
    problem: Option<&'static [ProblemKind]>,
}

fn cases() -> Vec<Case> {
    use ProblemKind::{Lost, Refused, Unwritable};
    let case = |name, members, problem| {
        let mut all = vec![dir("snapshot/./")];
        all.extend(members);
        Case {
            name,
            members: all,
            problem,
        }
    };
    let refused: Option<&'static [ProblemKind]> = Some(&[Refused]);
    let hindered: Option<&'static [ProblemKind]> = Some(&[Refused, Unwritable, Lost]);
    // The rest of the volume is given up; which entries that concerns, the sigtar would tell.
    let unreadable: Option<&'static [ProblemKind]> = Some(&[]);
    let far = "snapshot/".to_string() + &"d/".repeat(40) + "f";
    vec![
        case("absolute", vec![file("snapshot//etc/dupr-canary")], refused),
        case(
            "absolute without a word",
            vec![file("/etc/dupr-canary")],
            refused,
        ),
        case("up", vec![file("snapshot/../canary/harm")], refused),
        case(
            "up from below",
            vec![dir("snapshot/a"), file("snapshot/a/../../canary/harm")],
            refused,
        ),
        case("dots alone", vec![file("snapshot/..")], refused),
        case("dot inside", vec![file("snapshot/a/./b")], refused),
        case(
            "a link, then what is below it",
            vec![link("snapshot/a", "../canary"), file("snapshot/a/harm")],
            refused,
        ),
        case(
            "an absolute link, then below",
            vec![link("snapshot/a", "/tmp"), file("snapshot/a/dupr-harm")],
            refused,
        ),
        case(
            "a link to itself, then below",
            vec![link("snapshot/a", "a"), file("snapshot/a/harm")],
            refused,
        ),
        case(
            "a file, then what is below it",
            vec![file("snapshot/a"), file("snapshot/a/harm")],
            refused,
        ),
        case(
            "a folder, then a link in its place",
            vec![
                dir("snapshot/a"),
                link("snapshot/a", "../canary"),
                file("snapshot/a/harm"),
            ],
            refused,
        ),
        case(
            "a link, then a file in its place",
            vec![link("snapshot/a", "../canary/keep"), file("snapshot/a")],
            refused,
        ),
        case(
            "a file twice",
            vec![file("snapshot/a"), file("snapshot/a")],
            refused,
        ),
        case(
            "out of order",
            vec![file("snapshot/b"), file("snapshot/a")],
            refused,
        ),
        case(
            "a part without its beginning",
            vec![file("multivol_snapshot/a/2")],
            hindered,
        ),
        case("part zero", vec![file("multivol_snapshot/a/0")], hindered),
        case(
            "a part of a folder",
            vec![dir("multivol_snapshot/a/1")],
            refused,
        ),
        case(
            "parts of one that lead up",
            vec![file("multivol_snapshot/../canary/harm/1")],
            refused,
        ),
        case("a delta without a base", vec![file("diff/a")], hindered),
        case("an unknown word", vec![file("elsewhere/a")], refused),
        case(
            "a hard link",
            vec![Member {
                link: b"../canary/keep".to_vec(),
                ..member("snapshot/a", EntryType::Link, b"")
            }],
            unreadable,
        ),
        case(
            "deleted and there again",
            vec![
                member("deleted/a", EntryType::Regular, b""),
                file("snapshot/a"),
            ],
            refused,
        ),
        case(
            "a device",
            vec![member("snapshot/a", EntryType::Char, b"")],
            if is_root() { None } else { Some(&[Unwritable]) },
        ),
        case(
            "setuid",
            vec![Member {
                mode: 0o6755,
                ..file("snapshot/a")
            }],
            None,
        ),
        case(
            "escape codes",
            vec![file("snapshot/\u{1b}]0;harm\u{7}\n")],
            None,
        ),
        case("far down", vec![file(&far)], None),
        case("the root is a link", vec![], None),
    ]
}

#[test]
fn nothing_outside_the_destination() {
    let vault = Vault::new("hostile", Sealed::Plain);
    let canary = vault.scratch.join("canary");
    write(&canary.join("keep"), b"keep", T0);
    let mut before = Tree::read(&canary);
    for mut case in cases() {
        if case.name == "the root is a link" {
            case.members = vec![link("snapshot/", "../canary"), file("snapshot/harm")];
            case.problem = Some(&[ProblemKind::Refused]);
        }
        target(&vault, &tar_of(&case.members));
        let heard = Heard::default();
        let (result, to) = vault.restore_with(&vault.engine(), None, &heard);
        let after = Tree::read(&canary);
        assert_eq!(
            before.differences(&after),
            Vec::<String>::new(),
            "{}: the canary",
            case.name
        );
        assert!(
            !std::path::Path::new("/etc/dupr-canary").exists()
                && !std::path::Path::new("/tmp/dupr-harm").exists()
        );
        let told = |kinds: &[ProblemKind]| kinds.iter().any(|kind| !heard.paths(*kind).is_empty());
        match (&result, case.problem) {
            (Ok(stats), Some(kinds)) => {
                assert!(
                    stats.problems > 0 && (kinds.is_empty() || told(kinds)),
                    "{}: {}",
                    case.name,
                    heard.all()
                );
            }
            (Ok(stats), None) => assert_eq!(stats.problems, 0, "{}: {}", case.name, heard.all()),
            (Err(e), Some(_)) => assert!(!e.to_string().is_empty()),
            (Err(e), None) => panic!("{}: {e}", case.name),
        }
        for problem in heard.problems.lock().expect("problems").iter() {
            assert!(
                !problem.to_string().contains(['\u{1b}', '\n']),
                "{}: {problem:?}",
                case.name
            );
        }
        if case.name == "setuid" && !is_root() {
            let mode = std::fs::metadata(to.join("a"))
                .expect("a")
                .permissions()
                .mode();
            assert_eq!(mode & 0o6000, 0, "set-user-ID for another's file");
        }
        if to.exists() {
            assert_eq!(
                to.symlink_metadata().expect("it").dev(),
                canary.metadata().expect("it").dev()
            );
        }
        before = Tree::read(&canary);
    }
}

#[test]
fn any_damage_to_the_bytes_is_survived() {
    let vault = Vault::new("mutants", Sealed::Plain);
    write(&vault.source().join("a/b"), &vec![7; 70_000], T0 - 9);
    write(&vault.source().join("c"), b"c", T0 - 9);
    vault.backup(Mode::Full, T0);
    let volume = "duplicity-full.20270115T080000Z.vol1.difftar";
    let tar = vault.storage.bytes(volume).expect("a volume");
    let canary = vault.scratch.join("canary");
    write(&canary.join("keep"), b"keep", T0);
    let before = Tree::read(&canary);
    // The hash is made true each time, as somebody would who wants the bytes to be read.
    for at in (0..tar.len()).step_by(997).chain(0..600) {
        let mut bad = tar.clone();
        bad[at] = bad[at].wrapping_add(1 + (at % 255) as u8);
        target(&vault, &bad);
        let heard = Heard::default();
        let restored: Result<_> = vault.with(T0, &heard, |cx| {
            let to = vault.scratch.join("restored");
            let _ = std::fs::remove_dir_all(&to);
            vault.engine().restore(&to, &RestoreOptions::default(), cx)
        });
        drop(restored);
        assert!(
            before.differences(&Tree::read(&canary)).is_empty(),
            "byte {at}"
        );
    }
}
