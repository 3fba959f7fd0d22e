//! What README and docs say is so: every profile in them is one, every call of dupr in them is understood, and a
//! newcomer who follows the README gets a backup and a restored file.

use crate::support::home::Home;
use regex::Regex;
use std::fs;
use std::path::{Path, PathBuf};

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

#[test]
fn every_call_in_the_documents_is_understood() {
    let inline = Regex::new(r"`dupr ([^`]*)`").expect("regex");
    let line =
        Regex::new(r"(?m)^(?:\S+ \S+ \* \* \*  )?dupr ((?:home|status|keys|recover) [^`\n]*)$")
            .expect("regex");
    let placeholder = Regex::new(r"\b[A-Z]{3,}\b|…|^3\.2\.1|<").expect("regex");
    let mut seen = 0;
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
            home.profile(
                "home",
                "[schedule]\ncron = \"17 2 * * *\"\n[report.email]\nto = \"a@example.org\"\nfrom = \"b@example.org\"\nsendmail = \"/bin/true\"\n",
            );
            let group = "[nightly]\nprofiles = [\"home\"]\nparallel = 2\n";
            let groups = home.path().join(".config/dupr/groups.toml");
            fs::write(&groups, group).expect("groups");
            fs::create_dir_all(home.source().join("Documents")).expect("folder");
            home.write("Documents/letter.odt", "Dear all\n");
            home.expect(0, &["home", "backup"]);
            if words.first() == Some(&"log") {
                home.expect(0, &["home", "backup"]);
            }
            // What a recovery reads.
            std::os::unix::fs::symlink(home.target(), home.path().join("usb")).expect("link");
            let words = moved(call, &home);
            let mut words: Vec<&str> = words.split_whitespace().collect();
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
            let refused = found[0].contains("refused");
            assert_eq!(
                called.code == 2,
                refused,
                "{name}: dupr {call}: {}{}",
                called.stdout,
                called.stderr
            );
            seen += 1;
        }
    }
    assert!(seen >= 12, "only {seen} calls found");
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
