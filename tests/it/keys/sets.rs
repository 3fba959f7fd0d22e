//! What `[backup]` and `[keys]` make of a set: where it lies, under which names, how large, sealed with what.

use super::{Case, dump_that_looks, names, stored_bytes};
use crate::support::home::{Home, called};
use crate::support::keyring::{Keyring, PASSPHRASE};
use crate::support::programs::find;
use crate::support::vault::noise;
use std::fs;
use std::path::Path;
use std::process::Command;

#[test]
fn local_files_lie_where_the_profile_says() {
    let home = Home::new("keys-places");
    let (archive, temp) = (home.path().join("archives"), home.path().join("spool"));
    fs::create_dir(&temp).expect("folder");
    // What dupr holds open while it makes the set: the first volume was begun with what comes before.
    let look = dump_that_looks(&home, "seq 300000; ls -l /proc/$PPID/fd");
    let case = Case::new(&home).source(&look).tables(&format!(
        "[backup]\narchive-dir = {archive:?}\nname = \"another\"\ntemp-dir = {temp:?}\n"
    ));
    home.expect(0, &[&case.name, "full"]);
    let seen = super::looked(&home, &case);
    assert!(seen.contains(&format!("{}/", temp.display())), "{seen}");
    let kept = names(&archive.join("another"));
    assert!(kept.iter().any(|n| n.contains("manifest")), "{kept:?}");
    assert!(!home.path().join(".cache/dupr").join(&case.name).exists());
    // One that is not there is told before anything is made.
    let lost = temp.join("lost");
    let set = format!("backup.temp-dir={}", lost.display());
    let told = home.dupr(&[&case.name, "full", "--set", &set]);
    assert!(
        told.code != 0 && told.stderr.contains(&lost.display().to_string()),
        "{}",
        told.stderr
    );
}

#[test]
fn prefixes_stand_before_the_names_of_their_kinds() {
    let home = Home::new("keys-prefixes");
    let case = Case::new(&home).tables(
        "[backup]\nfile-prefix = \"all-\"\nfile-prefix-archive = \"a-\"\nfile-prefix-manifest = \"m-\"\nfile-prefix-signature = \"s-\"\n",
    );
    home.expect(0, &[&case.name, "full"]);
    let mut begins: Vec<String> = names(&case.target)
        .iter()
        .map(|n| n.split("duplicity").next().unwrap_or_default().to_owned())
        .collect();
    begins.sort();
    assert_eq!(begins, ["all-a-", "all-m-", "all-s-"]);
    home.expect(0, &[&case.name, "verify"]);
}

#[test]
fn volumes_and_blocks_are_as_large_as_they_are_told() {
    let home = Home::new("keys-sizes");
    fs::write(home.source().join("large"), noise(5_000_000, 1)).expect("file");
    let volumes = |case: &Case| {
        let names = names(&case.target);
        names.iter().filter(|n| n.contains(".difftar")).count()
    };
    let signatures = |case: &Case| stored_bytes(&case.target, ".sigtar");
    let usual = Case::new(&home).tables("[keys]\ncompression = \"none\"\n");
    let other = Case::new(&home).tables(
        "[keys]\ncompression = \"none\"\n[backup]\nvolume-size = \"1 MiB\"\nmax-block-size = 512\n",
    );
    for case in [&usual, &other] {
        home.expect(0, &[&case.name, "full"]);
    }
    assert_eq!(volumes(&usual), 1);
    assert!(volumes(&other) >= 5, "{}", volumes(&other));
    // A quarter of the block, four times the sums.
    assert!(
        2 * signatures(&other) > 5 * signatures(&usual),
        "{} {}",
        signatures(&other),
        signatures(&usual)
    );
}

#[test]
fn a_full_set_is_made_when_the_last_one_is_old_enough() {
    let home = Home::new("keys-full-every");
    let case = Case::new(&home);
    home.expect(0, &[&case.name, "backup"]);
    let next = |every: &str| {
        let case = case.clone().tables(every);
        home.expect(0, &[&case.name, "backup", "--plan"]).stdout
    };
    let plan = next("");
    assert!(plan.contains("backup incr"), "{plan}");
    assert!(next("[backup]\nfull-every = \"1M\"\n").contains("backup incr"));
    let begun = std::time::Instant::now();
    loop {
        let plan = next("[backup]\nfull-every = \"1s\"\n");
        if plan.contains("backup full") {
            break;
        }
        assert!(begun.elapsed().as_secs() < 60, "{plan}");
    }
}

#[test]
fn threads_are_as_many_as_the_profile_allows() {
    let home = Home::new("keys-threads");
    let threads = |lines: &str| -> usize {
        // The most there are until no more have come for a while.
        let look = "most=0; calm=0; while [ $calm -lt 20 ]; do now=$(ls /proc/$PPID/task | wc -l); \
                    if [ $now -gt $most ]; then most=$now; calm=0; else calm=$((calm + 1)); fi; sleep 0.1; done; echo $most";
        let case = Case::new(&home)
            .source(&dump_that_looks(&home, look))
            .target(lines);
        home.expect(0, &[&case.name, "full"]);
        let seen = super::looked(&home, &case);
        seen.trim().parse().expect("a number")
    };
    let few = threads("connections = 1\n[backup]\nconcurrency = 1\n");
    let more = threads("connections = 1\n[backup]\nconcurrency = 20\n");
    // Some of the few are done soon, as the one who walks: they may be seen one time and not another.
    assert!(more >= few + 15, "concurrency: {few} {more}");
    let more = threads("connections = 20\n[backup]\nconcurrency = 1\n");
    assert!(more >= few + 15, "connections: {few} {more}");
}

#[test]
fn what_is_stored_is_as_small_as_compression_makes_it() {
    let home = Home::new("keys-compression");
    let words: String = (0..60_000)
        .map(|n| format!("line {} of {n}\n", n * 7919 % 1009))
        .collect();
    home.write("words", &words);
    let size = |word: &str| {
        let case = Case::new(&home).tables(&format!("[keys]\ncompression = {word:?}\n"));
        home.expect(0, &[&case.name, "full"]);
        stored_bytes(&case.target, ".difftar")
    };
    let (none, fast, default, best) = (size("none"), size("fast"), size("default"), size("best"));
    assert!(none as usize > words.len(), "{none}");
    assert!(
        best < default && default < fast && fast * 2 < none,
        "{none} {fast} {default} {best}"
    );
}

/// What gpg tells of the first volume without opening it.
fn packets(keyring: &Keyring, target: &Path) -> String {
    let gpg = find("gpg").expect("it was there for the keyring");
    let volume = names(target).into_iter().find(|n| n.contains(".difftar"));
    let output = Command::new(gpg)
        .args(["--batch", "--list-packets", "--list-only"])
        .arg(target.join(volume.expect("a volume")))
        .envs(keyring.env())
        .output()
        .expect("gpg");
    let output = called(output);
    format!("{}{}", output.stdout, output.stderr)
}

#[test]
fn sets_are_sealed_to_the_keys_that_are_named() {
    let Some(keyring) = Keyring::new() else {
        return;
    };
    let home = Home::new("keys-seal");
    let with = |lines: &str, code: i32, words: &[&str]| {
        let case = Case::sealed(&home, lines);
        let all = [&[case.name.as_str()], words].concat();
        let mut command = home.command(&all);
        let called = called(command.envs(keyring.env()).output().expect("dupr"));
        assert_eq!(
            called.code, code,
            "{lines}: {}{}",
            called.stdout, called.stderr
        );
        (case, called)
    };
    let to = format!("encrypt-to = [{:?}]\n", keyring.encrypt);
    let open = "passphrase = { env = \"PASSPHRASE\" }\n";
    let (case, _) = with(&format!("{to}{open}"), 0, &["full"]);
    let seen = packets(&keyring, &case.target);
    assert!(
        seen.contains("pubkey enc packet") && !seen.contains("keyid 0000000000000000"),
        "{seen}"
    );
    let (case, _) = with(&format!("{to}{open}hidden = true\n"), 0, &["full"]);
    let seen = packets(&keyring, &case.target);
    assert!(seen.contains("keyid 0000000000000000"), "{seen}");

    // Signed, with a passphrase of its own for the key.
    let sign = format!("sign-with = {:?}\n", keyring.sign);
    let other = "passphrase = { command = [\"echo\", \"another\"] }\n";
    let own = "sign-passphrase = { env = \"SIGN_PASSPHRASE\" }\n";
    with(&format!("{sign}{other}"), 12, &["full"]);
    let (case, _) = with(&format!("{sign}{other}{own}"), 0, &["full"]);
    let gpg = find("gpg").expect("it was there for the keyring");
    let volume = names(&case.target)
        .into_iter()
        .find(|n| n.contains(".difftar"))
        .expect("a volume");
    let output = Command::new(gpg)
        .args([
            "--batch",
            "--pinentry-mode",
            "loopback",
            "--passphrase",
            "another",
        ])
        .args(["--status-fd", "2", "--decrypt"])
        .arg(case.target.join(volume))
        .envs(keyring.env())
        .output()
        .expect("gpg");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("GOODSIG"), "{said}");
    let clear = Case::new(&home);
    home.expect(0, &[&clear.name, "full"]);
    assert!(names(&clear.target).iter().all(|n| !n.ends_with(".gpg")));
}

#[test]
fn keys_come_from_where_keyring_says_by_the_program_that_is_named() {
    let Some(keyring) = Keyring::new() else {
        return;
    };
    let home = Home::new("keys-keyring");
    let to = format!(
        "encrypt-to = [{:?}]\npassphrase = {{ command = [\"echo\", {PASSPHRASE:?}] }}\n",
        keyring.encrypt
    );
    // A directory of certificates: no home of GnuPG is known.
    let certificates = home.path().join("certificates");
    fs::create_dir(&certificates).expect("folder");
    let key = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden/keys/encrypt-secret-worthless.asc");
    fs::copy(key, certificates.join("encrypt.asc")).expect("key");
    let case = Case::sealed(&home, &format!("{to}keyring = {certificates:?}\n"));
    home.expect(0, &[&case.name, "full"]);
    let back = home.path().join("back").display().to_string();
    home.expect(0, &[&case.name, "restore", &back]);
    assert!(home.path().join("back/one").exists());
    // gpg under another name, which notes that it was asked.
    let asked = home.path().join("asked");
    let gpg = find("gpg").expect("it was there for the keyring");
    let program = home.script(
        "my-gpg",
        &format!(
            "echo asked >> {}; exec {} \"$@\"",
            asked.display(),
            gpg.display()
        ),
    );
    let case = Case::sealed(&home, &format!("{to}gpg-program = {program:?}\n"));
    let mut command = home.command(&[&case.name, "full"]);
    let made = called(command.envs(keyring.env()).output().expect("dupr"));
    assert_eq!(made.code, 0, "{}", made.stderr);
    assert!(asked.exists(), "nobody called it");
}
