//! What dupr and duplicity write can be restored without either: `tests/support/restore-by-hand.sh` does it with gpg, gzip, tar
//! and rdiff alone, as docs/restore-by-hand.md tells.

use crate::support::keyring::Keyring;
use crate::support::programs::{self, Program};
use crate::support::scratch::Scratch;
use crate::support::tree::Tree;
use crate::support::weirdtree::WeirdTree;

/// A chain of three sets in several volumes, encrypted and signed; then all of it, and its first set, by hand.
fn by_hand(writer: Program) {
    if !programs::is_root() {
        programs::skipped("restore by hand", "owners need root");
        return;
    }
    let (Some(start), Some(keyring)) = (writer.words(), Keyring::new()) else {
        return;
    };
    if programs::find("rdiff").is_none() {
        return;
    }
    let scratch = Scratch::new("by-hand");
    let target = scratch.join("target").display().to_string();
    let mut tree = WeirdTree::create(&scratch.join("src"), 11, 80, 2_500_000);
    let mut states = Vec::new();
    for (step, action) in ["full", "incremental", "incremental"].iter().enumerate() {
        let time = 1_700_000_000 + 1000 * step;
        let mut words = start.clone();
        words.push(action.to_string());
        for word in [
            "--archive-dir",
            "cache",
            "--name",
            "x",
            "--volsize",
            "1",
            "--current-time",
            &time.to_string(),
        ] {
            words.push(word.into());
        }
        words.extend(
            [
                "--encrypt-key",
                &keyring.encrypt,
                "--sign-key",
                &keyring.sign,
            ]
            .map(str::to_string),
        );
        words.extend(["src".into(), format!("file://{target}")]);
        programs::run(&words, scratch.path(), &keyring.env()).unwrap_or_else(|e| panic!("{e}"));
        states.push(Tree::read(tree.root()));
        tree.edit(25);
    }
    let script = format!(
        "{}/tests/support/restore-by-hand.sh",
        env!("CARGO_MANIFEST_DIR")
    );
    for (state, until) in [(2, "99999999T999999Z"), (0, "20231114T221320Z")] {
        let words = [
            "bash",
            &script,
            &target,
            &format!("restored-{state}"),
            until,
        ]
        .map(str::to_string);
        programs::run(&words, scratch.path(), &keyring.env()).unwrap_or_else(|e| panic!("{e}"));
        states[state]
            .compare(&scratch.join(format!("restored-{state}")))
            .unwrap_or_else(|e| panic!("{e}"));
    }
}

#[test]
fn a_chain_of_duplicity_is_restored_without_it() {
    by_hand(Program::Duplicity3);
}

#[test]
fn a_chain_of_dupr_is_restored_without_it() {
    by_hand(Program::Dupr);
}
