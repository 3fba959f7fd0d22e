//! Every block in README and docs is run by some test, or there is a reason why it cannot be.

use super::{documents, moved};
use crate::support::home::{CANARY, Home, called};
use crate::support::keyring::Keyring;
use crate::support::programs::find;
use regex::Regex;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// A document, how a block in it begins, and the test that runs it, or why none does.
const BLOCKS: &[(&str, &str, &str)] = &[
    (
        "README.md",
        "version = 1",
        "documents::every_profile_in_the_documents_is_one",
    ),
    (
        "README.md",
        "17 2 * * *  dupr home",
        "documents::every_call_in_the_documents_does_what_they_say",
    ),
    (
        "README.md",
        "profiles.example/demo",
        "examples::small::the_demonstration_shows_what_it_says",
    ),
    (
        "README.md",
        "$ dupr demo.toml backup",
        "examples::small::the_demonstration_shows_what_it_says",
    ),
    ("README.md", "tests/run", "this is one of its tests"),
    (
        "append-only.md",
        "aws s3api",
        "storage_locked::the_lines_of_the_page_lock_a_bucket",
    ),
    (
        "append-only.md",
        "RequestHeader set Overwrite F\n",
        "storage_locked::webdav_takes_backups_and_gives_nothing_back",
    ),
    (
        "append-only.md",
        "mail_plugins = acl\n",
        "storage_locked::imap_takes_backups_and_gives_nothing_back",
    ),
    (
        "append-only.md",
        "* owner lrwsik\n",
        "storage_locked::imap_takes_backups_and_gives_nothing_back",
    ),
    (
        "append-only.md",
        "AllowOverwrite off",
        "storage_locked::ftp_takes_backups_and_gives_nothing_back",
    ),
    ("architecture.md", "profile file", "a drawing"),
    ("architecture.md", "cli  ", "a drawing"),
    ("architecture.md", "walk + join", "a drawing"),
    ("architecture.md", "fetchers", "a drawing"),
    ("batch.md", "batch     =", "a grammar"),
    (
        "batch.md",
        "dupr home purge_purgeFull",
        "documents::every_call_in_the_documents_does_what_they_say",
    ),
    ("cli.md", "dupr PROFILE", "a grammar"),
    (
        "cli.md",
        "share=",
        "documents::a_package_has_the_pages_and_the_completions",
    ),
    (
        "cli.md",
        "17 2 * * *  dupr home",
        "documents::every_call_in_the_documents_does_what_they_say",
    ),
    (
        "duplicity.md",
        "ln -s /usr/bin/dupr",
        "documents::blocks::duplicitys_name_goes_before_duplicity",
    ),
    ("format.md", "Hostname nas", "what a file holds"),
    (
        "profile.md",
        "[[target]]",
        "documents::blocks::every_piece_of_a_profile_is_one",
    ),
    (
        "restore-by-hand.md",
        "restore-by-hand.sh",
        "restore_by_hand::a_chain_of_dupr_is_restored_without_it",
    ),
    ("restore-by-hand.md", "duplicity-full.", "names of files"),
    (
        "restore-by-hand.md",
        "gpg --decrypt duplicity-full.20231114T221320Z.manifest.gpg",
        "documents::blocks::the_lines_for_restoring_by_hand_do_what_they_say",
    ),
    (
        "restore-by-hand.md",
        "gpg --decrypt duplicity-full.20231114T221320Z.vol1.difftar.gpg",
        "documents::blocks::the_lines_for_restoring_by_hand_do_what_they_say",
    ),
    (
        "targets.md",
        "[\n  {\"description\"",
        "documents::blocks::a_list_of_targets_is_one",
    ),
    ("testing.md", "tests/run", "these are the tests"),
];

/// Every manual page, set as `man` sets it: with no warning, and with its name at its head.
#[test]
fn manual_pages_are_set_without_a_warning() {
    let Some(groff) = find("groff") else {
        return;
    };
    let home = Home::new("documents-groff");
    home.expect(0, &["man", "--all", "pages"]);
    let mut seen = 0;
    for page in fs::read_dir(home.path().join("pages"))
        .expect("pages")
        .flatten()
    {
        let set = Command::new(&groff)
            .args(["-K", "utf8", "-man", "-ww", "-Tutf8"])
            .arg(page.path())
            .output();
        let set = called(set.expect("groff"));
        let name = page.file_name().to_string_lossy().into_owned();
        assert_eq!((set.code, set.stderr.as_str()), (0, ""), "{name}");
        let title = name
            .rsplit_once('.')
            .map(|(word, number)| format!("{word}({number})"));
        let head = set.stdout.lines().next().unwrap_or_default().to_lowercase();
        assert!(head.contains(&title.expect("a section")), "{name}: {head}");
        seen += 1;
    }
    assert!(seen > 50, "only {seen} pages");
}

/// The blocks of a text, with what kind of text they say they are.
fn blocks(text: &str) -> Vec<(String, String)> {
    let block = Regex::new(r"(?ms)^ *```(\w*)\n(.*?)^ *```$").expect("regex");
    let found = block.captures_iter(text);
    found.map(|c| (c[1].to_owned(), c[2].to_owned())).collect()
}

/// Those of one document.
fn of(document: &str) -> Vec<(String, String)> {
    let all = documents().into_iter();
    let mut named = all.filter(|(name, _)| name == document);
    blocks(&named.next().expect("the document").1)
}

/// The one that begins so.
fn block(document: &str, begin: &str) -> String {
    let all = of(document).into_iter().map(|(_, text)| text);
    let mut named = all.filter(|text| text.starts_with(begin));
    named
        .next()
        .unwrap_or_else(|| panic!("{document}: {begin}"))
}

#[test]
fn every_block_is_run_or_has_a_reason() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let mut used = vec![false; BLOCKS.len()];
    for (document, text) in documents() {
        for (_, block) in blocks(&text) {
            let known = BLOCKS
                .iter()
                .position(|(name, begin, _)| *name == document && block.starts_with(begin));
            let known = known.unwrap_or_else(|| panic!("{document}: who runs this?\n{block}"));
            used[known] = true;
        }
    }
    for ((document, begin, how), used) in BLOCKS.iter().zip(used) {
        assert!(
            used,
            "{document} has no block any more that begins with {begin}"
        );
        let Some((module, test)) = how.rsplit_once("::") else {
            continue;
        };
        let place = root.join(module.replace("::", "/")).with_extension("rs");
        let source = fs::read_to_string(&place).expect(module);
        assert!(source.contains(&format!("fn {test}()")), "{how} is nowhere");
    }
}

/// Tables that a page shows without the rest of a profile; programs of their hooks are not started.
#[test]
fn every_piece_of_a_profile_is_one() {
    let mut seen = 0;
    for (name, text) in documents() {
        for (kind, toml) in blocks(&text) {
            if kind != "toml" || toml.contains("version = 1") {
                continue;
            }
            let home = Home::new("documents-piece");
            let head = format!(
                "version = 1\nsource = {:?}\npassphrase = {{ file = {:?} }}\n",
                home.source(),
                home.path().join("pass")
            );
            let target = match toml.contains("[target]") || toml.contains("[[target]]") {
                true => String::new(),
                false => format!("target = \"file://{}\"\n", home.target().display()),
            };
            let toml = moved(&toml, &home);
            home.raw_profile("doc", &format!("{head}{target}{toml}"));
            let called = home.dupr(&["doc", "backup", "--plan"]);
            assert_eq!(called.code, 0, "{name}:\n{toml}\n{}", called.stderr);
            seen += 1;
        }
    }
    assert!(seen > 0, "no document shows a piece of a profile");
}

/// A volume and its manifest, with nothing but the lines of the page.
#[test]
fn the_lines_for_restoring_by_hand_do_what_they_say() {
    let Some(keyring) = Keyring::new() else {
        return;
    };
    let home = Home::new("documents-by-hand");
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/3.2.1/symmetric/target");
    let place = home.path().join("archive");
    fs::create_dir(&place).expect("folder");
    for file in fs::read_dir(archive).expect("golden").flatten() {
        fs::copy(file.path(), place.join(file.file_name())).expect("copy");
    }
    let page = ["manifest.gpg", "vol1.difftar.gpg"]
        .map(|file| format!("gpg --decrypt duplicity-full.20231114T221320Z.{file}"))
        .map(|begin| block("restore-by-hand.md", &begin))
        .concat();
    // What stands behind two blanks is said, not done.
    let lines: Vec<&str> = page
        .lines()
        .map(|line| line.split("  ").next().unwrap_or_default())
        .collect();
    let script = format!(
        "gpg() {{ command gpg --batch --quiet --pinentry-mode loopback --passphrase golden \"$@\"; }}\n{}\n",
        lines.join("\n")
    );
    let done = Command::new(find("bash").expect("bash is needed"))
        .args(["-euc", &script])
        .env("GNUPGHOME", keyring.home())
        .current_dir(&place)
        .stdin(Stdio::null())
        .output();
    let done = called(done.expect("bash"));
    assert_eq!(done.code, 0, "{}{}", done.stdout, done.stderr);
    let hash = Regex::new(r"Hash SHA1 ([0-9a-f]{40})").expect("regex");
    let hash = &hash.captures(&done.stdout).expect("a manifest")[1];
    assert!(
        done.stdout.contains(&format!("\n{hash}  duplicity-full.")),
        "what is there is not what the manifest says: {}",
        done.stdout
    );
    assert!(
        done.stdout.contains("\nsnapshot/dir/sub/c\n"),
        "{}",
        done.stdout
    );
    assert!(place.join("vol1/snapshot/dir/sub/c").is_file());
}

/// The link of the page, made, and the call below it.
#[test]
fn duplicitys_name_goes_before_duplicity() {
    let home = Home::new("documents-link");
    for folder in ["bin", "work"] {
        fs::create_dir(home.path().join(folder)).expect("folder");
    }
    fs::write(home.path().join("work/letter"), "Dear all\n").expect("file");
    let url = format!("file://{}", home.target().display());
    let page = block("duplicity.md", "ln -s /usr/bin/dupr");
    let here = page
        .replace("/usr/bin/dupr", env!("CARGO_BIN_EXE_dupr"))
        .replace("sftp://me@host/work", &url);
    assert!(here.contains(&url), "{page}");
    let usual = std::env::var("PATH").unwrap_or_default();
    let done = Command::new(find("bash").expect("bash is needed"))
        .args(["-euc", &here])
        .env("HOME", home.path())
        .env("PATH", format!("{}/bin:{usual}", home.path().display()))
        .env("PASSPHRASE", CANARY)
        .current_dir(home.path())
        .stdin(Stdio::null())
        .output();
    let done = called(done.expect("bash"));
    assert_eq!(done.code, 0, "{}{}", done.stdout, done.stderr);
    assert!(done.stdout.contains("Backup Statistics"), "{}", done.stdout);
    assert!(!home.stored().is_empty());
}

/// The list of the page, with places of this test.
#[test]
fn a_list_of_targets_is_one() {
    let home = Home::new("documents-list");
    let text = block("targets.md", "[\n");
    let mut list: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    for (number, target) in list.as_array_mut().expect("a list").iter_mut().enumerate() {
        let folder = home.path().join(format!("target-{number}"));
        fs::create_dir(&folder).expect("folder");
        target["url"] = format!("file://{}", folder.display()).into();
        // A folder knows no options of ssh.
        target.as_object_mut().expect("a target").remove("options");
    }
    let file = home.path().join("list.json");
    fs::write(&file, list.to_string()).expect("list");
    let url = format!("multi://{}?mode=mirror", file.display());
    let source = home.source().display().to_string();
    let back = home.path().join("back").display().to_string();
    home.expect(0, &["duplicity", "full", "--no-encryption", &source, &url]);
    home.expect(0, &["duplicity", "restore", "--no-encryption", &url, &back]);
    assert_eq!(
        fs::read_to_string(home.path().join("back/one")).expect("one"),
        "first\n"
    );
    for number in 0..2 {
        let folder = home.path().join(format!("target-{number}"));
        assert!(fs::read_dir(folder).expect("folder").count() >= 3);
    }
}
