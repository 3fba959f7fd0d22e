//! dupr restores archives that real duplicity wrote, of every version that could be run.
//!
//! `tests/golden/recipe.sh` made them; they are never edited. Every folder there must be listed here.

use crate::support::keyring::Keyring;
use crate::support::programs::{self, Program};
use crate::support::scratch::Scratch;
use crate::support::tree::{Node, Tree, What};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Every archive, by the version that wrote it.
const ARCHIVES: &[(&str, &[&str])] = &[
    (
        "0.8.22",
        &[
            "chain",
            "gzip",
            "hidden",
            "multivolume",
            "names",
            "old-names",
            "plain",
            "prefixes",
            "public",
            "short-names",
            "signed",
            "signed-symmetric",
            "special",
            "symmetric",
        ],
    ),
    (
        "1.2.3",
        &[
            "chain",
            "gzip",
            "hidden",
            "names",
            "old-names",
            "prefixes",
            "public",
            "short-names",
            "signed",
            "signed-symmetric",
            "special",
            "symmetric",
        ],
    ),
    (
        "2.2.4",
        &[
            "chain",
            "gzip",
            "hidden",
            "names",
            "prefixes",
            "public",
            "signed",
            "signed-symmetric",
            "special",
            "symmetric",
        ],
    ),
    (
        "3.2.1",
        &[
            "chain",
            "gzip",
            "hidden",
            "interrupted",
            "multivolume",
            "names",
            "plain",
            "prefixes",
            "public",
            "signed",
            "signed-symmetric",
            "special",
            "symmetric",
        ],
    ),
];

/// Folders beside the archives that hold none.
const OTHERS: &[&str] = &["keys"];

/// `expected.json` of an archive.
#[derive(Deserialize)]
struct Expected {
    options: String,
    sets: Vec<ExpectedSet>,
}

#[derive(Deserialize)]
struct ExpectedSet {
    time: u64,
    entries: Vec<ExpectedEntry>,
}

/// An entry as `tests/golden/tree.py` lists it.
#[derive(Deserialize)]
struct ExpectedEntry {
    path: String,
    #[serde(rename = "type")]
    kind: String,
    mode: String,
    uid: u32,
    gid: u32,
    #[serde(default)]
    mtime: i64,
    #[serde(default)]
    sha256: String,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    target: String,
    #[serde(default)]
    device: (u32, u32),
}

impl ExpectedSet {
    fn tree(&self) -> Tree {
        let root = programs::is_root();
        let node = |e: &ExpectedEntry| {
            let what = match e.kind.as_str() {
                "file" => What::File(e.size, e.sha256.clone()),
                "dir" => What::Dir,
                "symlink" => What::Symlink(bytes(&e.target)),
                "fifo" => What::Fifo,
                "char" => What::Char(e.device.0, e.device.1),
                "block" => What::Block(e.device.0, e.device.1),
                other => panic!("unknown type {other} in expected.json"),
            };
            let link = e.kind == "symlink";
            Node {
                what,
                mode: if link {
                    0
                } else {
                    u32::from_str_radix(&e.mode, 8).expect("an octal mode")
                },
                uid: if root { e.uid } else { 0 },
                gid: if root { e.gid } else { 0 },
                mtime: if link { 0 } else { e.mtime },
            }
        };
        Tree(
            self.entries
                .iter()
                .map(|e| (bytes(&e.path), node(e)))
                .collect(),
        )
    }
}

fn bytes(quoted: &str) -> Vec<u8> {
    percent_encoding::percent_decode_str(quoted).collect()
}

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn folders(dir: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(dir)
        .unwrap_or_else(|e| panic!("{}: {e}", dir.display()))
        .flatten();
    entries
        .filter(|e| e.path().is_dir())
        .map(|e| e.file_name().to_string_lossy().into_owned())
        .collect()
}

#[test]
fn every_golden_archive_is_listed() {
    let listed: BTreeSet<String> = ARCHIVES
        .iter()
        .flat_map(|(version, names)| names.iter().map(move |n| format!("{version}/{n}")))
        .collect();
    let mut found = BTreeSet::new();
    for version in folders(&golden())
        .iter()
        .filter(|v| !OTHERS.contains(&v.as_str()))
    {
        found.extend(
            folders(&golden().join(version))
                .iter()
                .map(|n| format!("{version}/{n}")),
        );
    }
    assert_eq!(listed, found);
}

/// Restores every set of every archive with a program and compares.
fn restore_all(program: Program) {
    let Some(start) = program.words() else { return };
    let Some(keyring) = Keyring::new() else {
        return;
    };
    let mut failures = Vec::new();
    let mut restored = 0;
    for (version, names) in ARCHIVES {
        for name in *names {
            if *name == "special" && !programs::is_root() {
                programs::skipped(
                    &format!("golden {version}/{name}"),
                    "owners and devices need root",
                );
                continue;
            }
            let archive = golden().join(version).join(name);
            let text =
                std::fs::read_to_string(archive.join("expected.json")).expect("expected.json");
            let expected: Expected = serde_json::from_str(&text).expect("expected.json");
            for set in &expected.sets {
                let scratch = Scratch::new("golden");
                let target = scratch.join("target");
                copy(&archive.join("target"), &target);
                let mut words = start.clone();
                words.push("restore".into());
                for word in [
                    "--archive-dir",
                    "cache",
                    "--name",
                    "x",
                    "--time",
                    &set.time.to_string(),
                ] {
                    words.push(word.into());
                }
                words.extend(reading_options(&expected.options));
                if !programs::is_root() {
                    words.push("--no-restore-ownership".into());
                }
                words.extend([format!("file://{}", target.display()), "restored".into()]);
                let mut env = keyring.env();
                env.push(("TMPDIR".into(), scratch.path().display().to_string()));
                let outcome = programs::run(&words, scratch.path(), &env)
                    .and_then(|_| set.tree().compare(&scratch.join("restored")))
                    .and_then(|()| unchanged(&archive.join("target"), &target));
                restored += 1;
                if let Err(error) = outcome {
                    failures.push(format!("{version}/{name} at {}: {error}", set.time));
                }
            }
        }
    }
    println!("{restored} golden sets restored by {}", program.name());
    assert!(
        failures.is_empty(),
        "{} of {restored} failed\n\n{}",
        failures.len(),
        failures.join("\n\n")
    );
}

/// What of the options at the backup a restore needs.
fn reading_options(options: &str) -> Vec<String> {
    let mut words = options.split_whitespace();
    let mut kept = Vec::new();
    while let Some(word) = words.next() {
        let prefix = word.starts_with("--file-prefix");
        if prefix || word == "--no-encryption" || word == "--sign-key" {
            kept.push(word.to_string());
        }
        if prefix || word == "--sign-key" {
            kept.extend(words.next().map(str::to_string));
        }
    }
    kept
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).expect("a new folder");
    for entry in std::fs::read_dir(from).expect("an archive").flatten() {
        std::fs::copy(entry.path(), to.join(entry.file_name())).expect("copy");
    }
}

/// A restore writes nothing at the target.
fn unchanged(before: &Path, after: &Path) -> Result<(), String> {
    let files = |dir: &Path| -> Vec<_> {
        Tree::read(dir)
            .0
            .into_iter()
            .map(|(path, node)| (path, node.what))
            .collect()
    };
    if files(before) == files(after) {
        Ok(())
    } else {
        Err("the restore changed the target".into())
    }
}

#[test]
fn dupr_restores_every_golden_archive() {
    restore_all(Program::Dupr);
}

/// duplicity died after the second volume of an incremental; dupr makes the next set from what it left, and duplicity reads it.
#[test]
fn dupr_goes_on_where_duplicity_was_killed() {
    if !programs::is_root() {
        programs::skipped(
            "interrupted set of duplicity",
            "its source can be made by root only",
        );
        return;
    }
    let (Some(dupr), Some(duplicity)) = (Program::Dupr.words(), Program::Duplicity3.words()) else {
        return;
    };
    let scratch = Scratch::new("interrupted");
    let archive = golden().join("3.2.1/interrupted");
    copy(&archive.join("target"), &scratch.join("target"));
    std::fs::create_dir(scratch.join("cache")).expect("own folder");
    copy(&archive.join("archive-dir"), &scratch.join("cache/x"));
    let maker = golden().join("tree.py").display().to_string();
    let call = |program: &[String], words: &[&str]| {
        let words: Vec<String> = words.iter().map(|w| w.to_string()).collect();
        programs::run(&[program, &words].concat(), scratch.path(), &[])
            .unwrap_or_else(|e| panic!("{e}"))
    };
    call(
        &["python3".to_string()],
        &[&maker, "build", "grown", "1", "src"],
    );
    let source = Tree::read(&scratch.join("src"));
    let url = format!("file://{}", scratch.join("target").display());
    let usual = ["--archive-dir", "cache", "--name", "x", "--no-encryption"];
    // Until then the set that was whole counts.
    let earlier: Expected = serde_json::from_str(
        &std::fs::read_to_string(archive.join("expected.json")).expect("expected.json"),
    )
    .expect("expected.json");
    call(
        &dupr,
        &[&["restore"], &usual[..], &[&url, "before"]].concat(),
    );
    earlier.sets[0]
        .tree()
        .compare(&scratch.join("before"))
        .unwrap_or_else(|e| panic!("{e}"));

    let backup = [
        "--no-compression",
        "--volsize",
        "1",
        "--allow-source-mismatch",
        "src",
        &url,
    ];
    let said = call(&dupr, &[&["incremental"], &usual[..], &backup[..]].concat());
    assert!(said.contains("going on with the interrupted"), "{said}");
    for (reader, name) in [(&dupr, "by-dupr"), (&duplicity, "by-duplicity")] {
        call(reader, &[&["restore"], &usual[..], &[&url, name]].concat());
        source
            .compare(&scratch.join(name))
            .unwrap_or_else(|e| panic!("{e}"));
    }
    call(
        &dupr,
        &[&["cleanup", "--force"], &usual[..], &[&url]].concat(),
    );
    call(
        &duplicity,
        &[
            "restore",
            "--archive-dir",
            "fresh",
            "--name",
            "x",
            "--no-encryption",
            &url,
            "clean",
        ],
    );
    source
        .compare(&scratch.join("clean"))
        .unwrap_or_else(|e| panic!("{e}"));
}
