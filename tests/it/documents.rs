//! What README and docs say is so: every profile in them is one, every call of dupr in them is understood, and a
//! newcomer who follows the README gets a backup and a restored file.

use crate::services::scheme_of;
use crate::support::home::{Called, Home, called};
use regex::Regex;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

mod blocks;

/// README and docs with their names, roadmap and changelog aside: those speak of what is not, or was.
fn documents() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths: Vec<PathBuf> = fs::read_dir(root.join("docs"))
        .expect("docs")
        .flatten()
        .map(|e| e.path())
        .filter(|p| p.extension().is_some_and(|e| e == "md"))
        .filter(|p| !p.ends_with("roadmap.md") && !p.ends_with("CHANGELOG.md"))
        .collect();
    paths.push(root.join("README.md"));
    paths.sort();
    let read = |p: PathBuf| {
        let name = p
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        (name, fs::read_to_string(&p).expect("text"))
    };
    paths.into_iter().map(read).collect()
}

/// The manual pages as somebody reads them.
fn manual_pages() -> Vec<(String, String)> {
    let home = Home::new("documents-pages");
    home.expect(0, &["man", "--all", "pages"]);
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("page");
        let mut text = text.replace("\\*(Aq", "'").replace("\\(aq", "'");
        for (roff, plain) in [
            ("\\-", "-"),
            ("\\fB", ""),
            ("\\fI", ""),
            ("\\fR", ""),
            ("\\&", ""),
        ] {
            text = text.replace(roff, plain);
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        (name.into_owned(), text.replace("\\\\", "\\"))
    };
    let pages = fs::read_dir(home.path().join("pages")).expect("pages");
    let mut pages: Vec<(String, String)> = pages.flatten().map(|e| read(e.path())).collect();
    pages.sort();
    pages
}

/// The text with the places of the examples inside the home of a test.
fn moved(text: &str, home: &Home) -> String {
    let inside = |name: &str| home.path().join(name).display().to_string();
    // The folder of the test lies below /tmp itself, so that goes first.
    text.replace("/tmp/", &inside("out-"))
        .replace(
            "sftp://me@nas.local//backups/home",
            &format!("file://{}", inside("target")),
        )
        .replace(
            "file:///media/usb/home",
            &format!("file://{}", inside("usb")),
        )
        .replace(
            "sftp://me@nas.local//backups/app",
            &format!("file://{}", inside("target")),
        )
        .replace(
            "file:///media/usb/app",
            &format!("file://{}", inside("usb")),
        )
        .replace("/home/me", &home.source().display().to_string())
        .replace("/etc/dupr/home.pass", &inside("pass"))
}

#[test]
fn every_profile_in_the_documents_is_one() {
    let block = Regex::new(r"(?s)```toml\n(.*?)```").expect("regex");
    let mut seen = 0;
    let shown = Regex::new(r"(?s)\.nf\n(.*?)\.fi").expect("regex");
    let pages = manual_pages();
    let page = pages.iter().find(|(name, _)| name == "dupr.toml.5");
    let (name, text) = page.expect("dupr.toml(5)");
    let first = &shown.captures(text).expect("an example")[1];
    let documents = documents();
    let all = documents.iter().map(|(n, t)| (n.clone(), t.clone()));
    let from_page = (name.clone(), format!("```toml\n{first}```"));
    for (name, text) in all.chain([from_page]) {
        for found in block.captures_iter(&text) {
            let toml = &found[1];
            if !toml.contains("version = 1") {
                continue;
            }
            let home = Home::new("documents-profile");
            home.raw_profile("doc", &moved(toml, &home));
            let called = home.dupr(&["doc", "backup", "--plan"]);
            assert_eq!(called.code, 0, "{name}:\n{toml}\n{}", called.stderr);
            home.expect(0, &["doc", "backup_purge", "-q"]);
            seen += 1;
        }
    }
    assert!(seen > 0, "no document shows a profile");
}

#[test]
fn the_tests_the_documents_name_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let named = Regex::new(r"`([a-z_]+(?:::[a-z0-9_]+)+)`").expect("regex");
    let text = fs::read_to_string(root.join("docs/testing.md")).expect("text");
    let mut seen = 0;
    for found in named.captures_iter(&text) {
        let (module, test) = found[1].rsplit_once("::").expect("two parts");
        let base = if module.starts_with("engine::") {
            "src"
        } else {
            "tests/it"
        };
        let place = root.join(base).join(module.replace("::", "/"));
        let files = [place.with_extension("rs"), place.join("mod.rs")];
        let is_there = files.iter().any(|file| {
            fs::read_to_string(file).is_ok_and(|text| text.contains(&format!("fn {test}()")))
        });
        assert!(
            is_there,
            "docs/testing.md names {}, which is nowhere",
            &found[1]
        );
        seen += 1;
    }
    assert!(seen > 20, "only {seen} tests are named");
}

/// What stands there like a call and is none, its exit code, and why.
const OTHERWISE: &[(&str, i32, &str)] = &[
    ("duplicity", 23, "the name of the other front door"),
    ("rdiffdir sig|delta|patch|tar", 23, "four calls in one"),
    ("log home --follow", 1, "no run is under way"),
];

/// Every call is made, and ends with 0, or with 2 where the document says that it is refused.
#[test]
fn every_call_in_the_documents_does_what_they_say() {
    let inline = Regex::new(r"`dupr ([^`]*)`").expect("regex");
    let line =
        Regex::new(r"(?m)^(?:\S+ \S+ \* \* \*  )?dupr ((?:home|status|keys|recover) [^`\n]*)$")
            .expect("regex");
    let placeholder = Regex::new(r"\b[A-Z]{3,}\b|…|^3\.2\.1|<").expect("regex");
    let (mut seen, mut wrong) = (0, Vec::new());
    for (name, text) in documents().into_iter().chain(manual_pages()) {
        let calls = inline.captures_iter(&text).chain(line.captures_iter(&text));
        for found in calls {
            let call = found[1].split("  ").next().unwrap_or_default().trim();
            // `init` is the newcomer's; an import is named without the profile it would need.
            let words: Vec<&str> = call.split_whitespace().collect();
            let named = words == ["import", "duply"] || words.first() == Some(&"init");
            if placeholder.is_match(call) || named {
                continue;
            }
            let home = Home::new("documents-call");
            // One that ends before it has read the mail is no success.
            let sendmail = home.script("sendmail", "cat > /dev/null");
            home.profile(
                "home",
                &format!(
                    "[schedule]\ncron = \"17 2 * * *\"\n[report.email]\nto = \"a@example.org\"\nfrom = \"b@example.org\"\nsendmail = {sendmail:?}\n"
                ),
            );
            let group = "[nightly]\nprofiles = [\"home\"]\nparallel = 2\n";
            let groups = home.path().join(".config/dupr/groups.toml");
            fs::write(&groups, group).expect("groups");
            fs::create_dir_all(home.source().join("Documents")).expect("folder");
            home.write("Documents/letter.odt", "Dear all\n");
            home.expect(0, &["home", "backup"]);
            if words.contains(&"log") || words.contains(&"diff") {
                home.expect(0, &["home", "backup"]);
            }
            // What a recovery reads.
            std::os::unix::fs::symlink(home.target(), home.path().join("usb")).expect("link");
            let words = moved(call, &home);
            let words = words.split_whitespace();
            let mut words: Vec<&str> = words.map(|w| w.trim_matches('\'')).collect();
            let looks = words.contains(&"--plan");
            let does = words.contains(&"restore")
                || words.contains(&"fetch")
                || words.contains(&"purge_purgeFull")
                || words.contains(&"install")
                || words.contains(&"remove");
            if does && !looks {
                words.push("--plan");
            }
            let called = home.dupr(&words);
            let otherwise = OTHERWISE.iter().find(|(other, _, _)| *other == call);
            let promised = match otherwise {
                Some((_, code, _)) => *code,
                None if found[0].contains("refused") => 2,
                None => 0,
            };
            if called.code != promised {
                let Called {
                    code,
                    stdout,
                    stderr,
                } = called;
                wrong.push(format!(
                    "{name}: dupr {call}: {code} instead of {promised}\n{stdout}{stderr}"
                ));
            }
            seen += 1;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen >= 40, "only {seen} calls found");
}

/// The block for those who make packages, done by the shell.
#[test]
fn a_package_has_the_pages_and_the_completions() {
    let documents = documents();
    let (_, text) = documents
        .iter()
        .find(|(n, _)| n == "cli.md")
        .expect("cli.md");
    let mut blocks = text.split("```\n");
    let block = blocks.find(|b| b.starts_with("share=")).expect("a block");
    let home = Home::new("documents-package");
    let bin = home.path().join("bin");
    fs::create_dir(&bin).expect("own folder");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_dupr"), bin.join("dupr")).expect("link");
    let usual = std::env::var("PATH").unwrap_or_default();
    let root = home.path().join("root");
    let done = Command::new("bash")
        .args(["-euc", block])
        .env("PATH", format!("{}:{usual}", bin.display()))
        .env("HOME", home.path())
        .env("DESTDIR", &root)
        .current_dir(home.path())
        .output();
    let done = called(done.expect("bash"));
    assert_eq!(done.code, 0, "{}{}", done.stdout, done.stderr);
    for file in [
        "man/man1/dupr.1",
        "man/man1/dupr-restore.1",
        "man/man5/dupr.toml.5",
        "man/man7/dupr-recovery.7",
        "bash-completion/completions/dupr",
        "zsh/vendor-completions/_dupr",
        "fish/vendor_completions.d/dupr.fish",
        "dupr/profile.schema.json",
        "dupr/groups.schema.json",
    ] {
        let text = fs::read_to_string(root.join("usr/share").join(file)).expect(file);
        assert!(text.len() > 500, "{file}: {text}");
    }
}

#[test]
fn the_readme_in_the_hand_of_a_newcomer() {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md"))
        .expect("README");
    let home = Home::new("newcomer");
    fs::remove_dir_all(home.path().join(".config")).expect("a clean home");
    fs::create_dir_all(home.source().join("Documents")).expect("source");
    home.write("Documents/letter.odt", "Dear all\n");
    for call in [
        "dupr init home --source /home/me --target file:///media/usb/home",
        "dupr home backup --plan",
        "dupr home backup",
        "dupr home restore /tmp/check",
        "dupr home fetch Documents/letter.odt /tmp/letter.odt",
        "dupr home backup_purge",
        "dupr home status",
        "dupr status",
    ] {
        assert!(
            readme.contains(&format!("`{call}`")),
            "README does not say {call}"
        );
        let words = moved(call, &home);
        let words: Vec<&str> = words.split_whitespace().skip(1).collect();
        home.expect(0, &words);
    }
    for file in ["out-check/Documents/letter.odt", "out-letter.odt"] {
        let content = fs::read_to_string(home.path().join(file)).expect(file);
        assert_eq!(content, "Dear all\n");
    }
}

#[test]
fn the_tables_of_exit_codes_are_that_of_the_program() {
    let home = Home::new("codes");
    let help = home.expect(0, &["--help"]).stdout;
    let (_, table) = help.split_once("Exit codes:").expect("a table in the help");
    let code = Regex::new(r"(?m)^ +(\d+)  (.+)$").expect("regex");
    let codes: Vec<(String, String)> = code
        .captures_iter(table)
        .map(|c| (c[1].to_owned(), c[2].trim().to_owned()))
        .collect();
    assert!(codes.len() >= 14, "{table}");
    let documents = documents();
    let text = |name: &str| &documents.iter().find(|(n, _)| n == name).expect(name).1;
    for (code, meaning) in codes {
        let row = format!("| {code} | {meaning} |");
        assert!(text("cli.md").contains(&row), "docs/cli.md lacks {row}");
        let number = Regex::new(&format!(r"(?m)(^|· ){code} \w")).expect("regex");
        assert!(number.is_match(text("README.md")), "README lacks {code}");
    }
}

#[test]
fn the_table_of_targets_has_every_scheme_of_the_program() {
    let home = Home::new("targets");
    let told = home.expect(0, &["doctor", "--json"]).stdout;
    let told: serde_json::Value = serde_json::from_str(&told).expect("JSON");
    let documents = documents();
    let (_, text) = documents
        .iter()
        .find(|(n, _)| n == "targets.md")
        .expect("targets.md");
    for row in told["schemes"].as_array().expect("schemes") {
        let built = row["support"] != "refused";
        let names: Vec<&str> = row["schemes"]
            .as_array()
            .expect("names")
            .iter()
            .filter_map(|n| n.as_str())
            .collect();
        let first = names.first().expect("a name");
        let line = text
            .lines()
            .find(|l| l.starts_with(&format!("| `{first}` |")));
        assert_eq!(line.is_some(), built, "{first}");
        for name in names.iter().skip(1).filter(|_| built) {
            assert!(
                line.unwrap_or_default().contains(&format!("`{name}`")),
                "{name}"
            );
        }
    }
}

/// The row of a service among the last results.
pub fn last_result(name: &str) -> [String; 5] {
    let scheme = scheme_of(name);
    let mut results = last_results().into_iter();
    results
        .find(|row| row[0] == scheme)
        .unwrap_or_else(|| panic!("docs/targets.md has no last result of {name}"))
}

/// Rows of the last results in targets.md: scheme, server, what ran, duplicity, result.
pub fn last_results() -> Vec<[String; 5]> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("docs/targets.md")).expect("targets.md");
    let (_, section) = text.split_once("## Last results\n").expect("a section");
    let section = section.split("\n## ").next().unwrap_or_default();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<String> = row
            .trim_matches('|')
            .split(" | ")
            .map(|cell| cell.trim().to_string())
            .collect();
        cells.try_into().unwrap_or_else(|cells| panic!("{cells:?}"))
    })
    .collect()
}

/// Schemes of the program that are not refused, each by its first name.
fn built() -> Vec<String> {
    let home = Home::new("schemes");
    let told = home.expect(0, &["doctor", "--json"]).stdout;
    let told: serde_json::Value = serde_json::from_str(&told).expect("JSON");
    let rows = told["schemes"].as_array().expect("schemes").iter();
    let built = rows.filter(|row| row["support"] != "refused");
    built
        .filter_map(|row| Some(format!("`{}`", row["schemes"][0].as_str()?)))
        .collect()
}

/// Each scheme has one, and it says what ran, against which version of which server, how it went and when.
#[test]
fn the_last_results_say_what_ran_where_and_when() {
    let built = built();
    let results = last_results();
    for scheme in &built {
        let rows = results.iter().filter(|row| row[0] == *scheme).count();
        assert_eq!(rows, 1, "last results of {scheme}");
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let setup = fs::read_to_string(root.join("tests/setup")).expect("tests/setup");
    let pinned = Regex::new(r"([a-z0-9-]+)(?:\[[a-z0-9,]+\])?(?:==|@)(\d[0-9.]*)").expect("regex");
    let pinned: Vec<(&str, &str)> = pinned
        .captures_iter(&setup)
        .map(|found| found.extract())
        .map(|(_, [name, version])| (name, version))
        .collect();
    let result = Regex::new(r"^(passed|failed|never run), \d{4}-\d\d-\d\d$").expect("regex");
    for [scheme, server, ran, duplicity, last] in &results {
        assert!(built.contains(scheme), "{scheme} is no scheme");
        let has_version = server.split(", ").all(|one| {
            one.contains(|c: char| c.is_ascii_digit())
                || one.starts_with("imitation")
                || one.starts_with("stand-in")
                || one.starts_with("folders")
        });
        assert!(has_version, "{scheme}: which version is {server}?");
        for (name, version) in &pinned {
            let Some((_, behind)) = server.split_once(&format!("{name} ")) else {
                continue;
            };
            let said = behind.split([',', ' ']).next().unwrap_or_default();
            assert_eq!(
                said, *version,
                "{scheme}: tests/setup installs another {name}"
            );
        }
        for word in ran.split(", ") {
            let known = [
                "contract",
                "whole life",
                "bad lines",
                "faults",
                "single files",
            ];
            assert!(known.contains(&word), "{scheme}: {word}");
        }
        let is_told = ["restores", "both ways"].contains(&duplicity.as_str())
            || duplicity.starts_with("not led there: ");
        assert!(is_told, "{scheme}: {duplicity}");
        assert!(result.is_match(last), "{scheme}: {last}");
    }
}

/// Each scheme is tried on bad lines, or stands among those that are not, with the reason.
#[test]
fn every_scheme_has_its_place_among_the_bad_lines() {
    let documents = documents();
    let (_, text) = documents
        .iter()
        .find(|(n, _)| n == "testing.md")
        .expect("testing.md");
    let (_, section) = text
        .split_once("## Bad lines and lying servers\n")
        .expect("a section");
    let section = section.split("\n## ").next().unwrap_or_default();
    let (_, behind) = section.split_once("\"All\" are ").expect("who takes part");
    let (tried, others) = behind.split_once("What cannot").expect("who does not");
    let results = last_results();
    for scheme in built() {
        let row = results.iter().find(|row| row[0] == scheme);
        let row = row.unwrap_or_else(|| panic!("{scheme} has no last result"));
        let is_tried = tried.contains(&scheme);
        let names = |line: &&str| {
            line.split(" | ")
                .next()
                .is_some_and(|n| n.contains(&scheme))
        };
        let is_excused = others.lines().any(|line| names(&line));
        assert!(
            is_tried || is_excused,
            "{scheme} is not among the bad lines"
        );
        assert_eq!(is_tried, row[2].contains("bad lines"), "{row:?}");
    }
}
