//! Every version of one path over all sets, as the sets have it.

use crate::support::home::Home;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// What is told of a version: its first set, in how many sets, and what changed.
type Told = (i64, u64, Vec<String>);

fn products(home: &Home, arguments: &[&str]) -> Vec<Value> {
    let text = home.expect(0, &[arguments, &["--json"]].concat()).stdout;
    let document: Value = serde_json::from_str(&text).expect("a document");
    let products = document["runs"][0]["products"].as_array();
    products.expect("products").clone()
}

fn set_time(set: &Value) -> i64 {
    let time = set["full"]
        .get("time")
        .or_else(|| set["incremental"].get("end"));
    time.and_then(Value::as_i64)
        .unwrap_or_else(|| panic!("the time of {set}"))
}

fn told(product: &Value) -> Told {
    let changed = product["changed"].as_array().expect("what changed");
    let changed = changed.iter().filter_map(Value::as_str);
    (
        set_time(&product["set"]),
        product["sets"].as_u64().expect("sets"),
        changed.map(str::to_owned).collect(),
    )
}

#[test]
fn every_version_of_a_file_with_what_changed() {
    let home = Home::new("versions");
    let one = home.source().join("one");
    let mode = |bits| fs::set_permissions(&one, fs::Permissions::from_mode(bits)).expect("mode");
    let touch = |time: u64| {
        let file = fs::File::options().append(true).open(&one).expect("open");
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(time);
        file.set_modified(time).expect("a time");
    };
    touch(1_600_000_000);
    mode(0o600);
    home.expect(0, &["home", "full"]);
    home.write("two", "has nothing to do with it\n");
    home.expect(0, &["home", "incr"]);
    // The next chain repeats it.
    home.expect(0, &["home", "full"]);
    home.write("one", &"longer\n".repeat(1000));
    touch(1_600_000_100);
    mode(0o640);
    home.expect(0, &["home", "incr"]);
    touch(1_600_000_200);
    home.expect(0, &["home", "incr"]);
    fs::remove_file(&one).expect("remove");
    home.expect(0, &["home", "incr"]);
    home.expect(0, &["home", "incr"]);
    std::os::unix::fs::symlink("two", &one).expect("link");
    home.expect(0, &["home", "incr"]);

    // Neither needs what opens the backup, for the signatures are here.
    fs::write(home.path().join("pass"), "no longer the right one").expect("passphrase");
    assert_eq!(
        home.expect(0, &["home", "find", "one"])
            .stdout
            .lines()
            .count(),
        4
    );
    let absolute = one.display().to_string();
    let all = products(&home, &["home", "versions", &absolute]);
    let counts: Vec<(u64, String)> = all
        .iter()
        .map(told)
        .map(|(_, sets, changed)| (sets, changed.join(" ")))
        .collect();
    let expected = [
        (3, "new"),
        (1, "content time mode"),
        (1, "time"),
        (2, "gone"),
        (1, "new"),
    ];
    assert_eq!(
        counts,
        expected.map(|(sets, words)| (sets, words.to_owned()))
    );
    let sizes: Vec<_> = all
        .iter()
        .map(|v| (v["size"]["least"].as_u64(), v["size"]["most"].as_u64()))
        .collect();
    let long = (Some(6657), Some(7168));
    assert_eq!(
        sizes,
        [(Some(1), Some(512)), long, long, (None, None), (None, None)]
    );
    assert!(all[3].get("kind").is_none() && all[4]["kind"] == "sym" && all[4]["link"] == "two");
    assert_eq!(set_time(&all[0]["until"]), {
        let sets = products(&home, &["home", "status"]);
        set_time(&sets[0]["collection"]["chains"][1]["full"]["id"])
    });

    let text = home.expect(0, &["home", "versions", "./one"]).stdout;
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 5, "{text}");
    assert!(lines[0].contains("  3 sets      <= 512 B  -rw-------  ") && lines[0].ends_with("new"));
    assert!(
        lines[1].contains("1 set    <= 7.0 KiB  -rw-r-----  "),
        "{text}"
    );
    assert!(lines[1].ends_with("content, time, mode"), "{text}");
    assert!(
        lines[3].ends_with("gone") && lines[4].ends_with("new -> two"),
        "{text}"
    );

    let plan = home
        .expect(0, &["home", "versions", "one", "--plan"])
        .stdout;
    assert!(plan.contains("versions") && plan.contains("one"), "{plan}");
    let nothing = home.expect(1, &["home", "versions", "on"]);
    assert!(
        nothing.stderr.contains("holds on") && nothing.stderr.contains("`find`"),
        "{}",
        nothing.stderr
    );
    let outside = home.expect(2, &["home", "versions", "/etc/passwd"]);
    assert!(
        outside.stderr.contains("does not lie in"),
        "{}",
        outside.stderr
    );
    home.expect(2, &["home", "versions"]);
}

/// Sets are read side by side, and told one after the other, each in order, however much was found in it.
#[test]
fn what_is_found_in_many_sets_comes_in_order() {
    let home = Home::new("versions-many");
    let name = |n: u32| format!("sub/file-{n:04}");
    let sets: [(&str, u32); 4] = [("full", 1), ("incr", 2), ("full", 1), ("incr", 3)];
    let mut expected = Vec::new();
    for (turn, (command, step)) in sets.into_iter().enumerate() {
        let changed = (0..1500).step_by(step as usize).filter(|_| turn != 2);
        for n in changed {
            home.write(&name(n), &"x".repeat(turn * 7 + 1));
            let file = fs::File::options()
                .append(true)
                .open(home.source().join(name(n)));
            let time =
                std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_600_000_000 + turn as u64);
            file.and_then(|f| f.set_modified(time)).expect("a time");
            expected.push((turn, name(n)));
        }
        home.expect(0, &["home", command]);
    }
    let found = products(&home, &["home", "find", "SUB/FILE-"]);
    let mut times: Vec<i64> = found.iter().map(|v| set_time(&v["set"])).collect();
    times.dedup();
    // The second full set holds nothing new.
    assert_eq!(times.len(), 3, "{times:?}");
    let place = |time: i64| [0, 1, 3][times.iter().position(|t| *t == time).expect("one of them")];
    let found: Vec<(usize, String)> = found
        .iter()
        .map(|v| {
            (
                place(set_time(&v["set"])),
                v["path"].as_str().expect("a path").to_owned(),
            )
        })
        .collect();
    assert!(found == expected, "{} {}", found.len(), expected.len());
}

#[test]
fn versions_of_a_backup_that_is_not_there_are_10() {
    let home = Home::new("versions-none");
    home.expect(10, &["home", "versions", "one"]);
}

/// All that differs between two sets of one chain, of two chains, and the other way around.
#[test]
fn a_diff_tells_all_that_differs() {
    let home = Home::new("versions-diff");
    let change = |name: &str, text: &str, mode, time| {
        home.write(name, text);
        let path = home.source().join(name);
        let file = fs::File::options().append(true).open(&path).expect("open");
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(time);
        file.set_modified(time).expect("a time");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("mode");
    };
    for name in ["one", "two", "sub/three"] {
        change(name, "first\n", 0o600, 1_600_000_000);
    }
    home.expect(0, &["home", "full"]);
    change("one", "other\n", 0o600, 1_600_000_100);
    change("two", "first\n", 0o640, 1_600_000_100);
    home.expect(0, &["home", "incr"]);
    // The same length and the same time: only a full set looks at what is in it.
    change("sub/three", "other\n", 0o600, 1_600_000_000);
    fs::remove_file(home.source().join("two")).expect("remove");
    home.write("new", "new\n");
    home.expect(0, &["home", "full"]);

    let sets = products(&home, &["home", "status"]);
    let chains = &sets[0]["collection"]["chains"];
    let times = [
        &chains[0]["full"],
        &chains[0]["incrementals"][0],
        &chains[1]["full"],
    ]
    .map(|set| set_time(&set["id"]).to_string());
    let differs = |from: usize, to: usize| -> Vec<String> {
        let told = products(&home, &["home", "diff", &times[from], &times[to]]);
        told.iter()
            .map(|p| {
                let words = p["differences"].as_array().expect("differences");
                let words: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
                let path = p["path"].as_str().expect("a path");
                // The one word there was before there were several.
                format!(
                    "{path}: {} ({})",
                    words.join(" "),
                    p["difference"].as_str().expect("a word")
                )
            })
            .collect()
    };
    assert_eq!(
        differs(0, 1),
        ["one: content time (time)", "two: time permissions (time)"]
    );
    assert_eq!(
        differs(1, 2),
        [
            "new: new (new)",
            "sub/three: content (content)",
            "two: missing (missing)"
        ]
    );
    assert_eq!(
        differs(2, 0),
        [
            "new: missing (missing)",
            "one: content time (time)",
            "sub/three: content (content)",
            "two: new (new)"
        ]
    );
    assert_eq!(differs(1, 1), [""; 0]);
    let text = home
        .expect(0, &["home", "diff", &times[0], &times[1]])
        .stdout;
    let one = "content, time one (2020-09-13T12:26:40Z -> 2020-09-13T12:28:20Z)";
    assert!(text.contains(one), "{text}");
    assert!(text.contains("time, permissions two ("), "{text}");
}

/// The sets of a golden archive that nothing seals, and a profile of it.
fn golden_home(case: &str) -> (Home, Vec<Value>) {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let text = fs::read_to_string(golden.join(case).join("expected.json")).expect(case);
    let expected: Value = serde_json::from_str(&text).expect(case);
    assert!(
        expected["options"]
            .as_str()
            .is_some_and(|o| o.contains("--no-encryption")),
        "{case}"
    );
    let home = Home::new("versions-golden");
    home.raw_profile(
        "home",
        &format!(
            "version = 1\nsource = {:?}\ntarget = \"file://{}\"\n[keys]\nencryption = \"none\"\n",
            home.source(),
            golden.join(case).join("target").display()
        ),
    );
    (home, expected["sets"].as_array().expect(case).clone())
}

const GOLDEN: [&str; 5] = [
    "0.8.22/plain",
    "1.2.3/chain",
    "3.2.1/chain",
    "3.2.1/gzip",
    "3.2.1/special",
];

/// Between any two sets, in both directions.
#[test]
fn diffs_are_those_of_the_golden_archives() {
    let mut seen = 0;
    for case in GOLDEN {
        let (home, sets) = golden_home(case);
        let listings: Vec<_> = sets.iter().map(listing).collect();
        let time = |at: usize| sets[at]["time"].to_string();
        let pairs = (0..sets.len()).flat_map(|from| (0..sets.len()).map(move |to| (from, to)));
        for (from, to) in pairs {
            let (old, new) = (&listings[from], &listings[to]);
            let mut expected: BTreeMap<String, Vec<String>> = BTreeMap::new();
            for path in old.keys().chain(new.keys()) {
                let mut words = words(old.get(path).copied(), new.get(path).copied());
                for word in &mut words {
                    match word.as_str() {
                        "gone" => *word = "missing".to_owned(),
                        "owner" | "mode" => *word = "permissions".to_owned(),
                        _ => {}
                    }
                }
                words.dedup();
                if !words.is_empty() {
                    expected.insert(path.clone(), words);
                }
            }
            let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
            for product in products(&home, &["home", "diff", &time(from), &time(to)]) {
                if product.get("path_b64").is_some() {
                    // Nor names that are no text.
                    continue;
                }
                let path = product["path"].as_str().expect("a path").to_owned();
                let words = product["differences"].as_array().expect("differences");
                let mut words: Vec<String> = words
                    .iter()
                    .filter_map(|word| word.as_str().map(str::to_owned))
                    .collect();
                // The listings do not have the times of links.
                if new
                    .get(&path)
                    .is_some_and(|entry| entry["type"] == "symlink")
                {
                    words.retain(|word| word != "time");
                }
                if !words.is_empty() {
                    found.insert(path, words);
                }
            }
            seen += found.len();
            assert_eq!(found, expected, "{case}: {from} to {to}");
        }
    }
    assert!(seen > 20, "{seen}");
}

/// What real duplicity stored, entry by entry, against what its listings of the sources say.
#[test]
fn versions_are_those_of_the_golden_archives() {
    for case in GOLDEN {
        let (home, sets) = golden_home(case);
        let expected = expected_versions(&sets);
        let batch = vec!["versions"; expected.len()].join("_");
        let mut arguments = vec!["home", &batch];
        arguments.extend(
            expected
                .keys()
                .map(|path| if path.is_empty() { "." } else { path }),
        );
        let mut found: BTreeMap<String, Vec<Told>> = BTreeMap::new();
        for mut product in products(&home, &arguments) {
            let path = product["path"].as_str().expect("a path").to_owned();
            if product["kind"] == "sym" {
                // The listings do not have the times of links.
                let changed = product["changed"].as_array_mut().expect("what changed");
                changed.retain(|word| word != "time");
            }
            found.entry(path).or_default().push(told(&product));
        }
        assert!(expected.len() > 10, "{case}");
        assert_eq!(found, expected, "{case}");
    }
}

/// What lay at each path when a set was made.
fn listing(set: &Value) -> BTreeMap<String, &Value> {
    let entries = set["entries"].as_array().expect("entries");
    let named = entries.iter().filter_map(|e| {
        let path = percent_encoding::percent_decode_str(e["path"].as_str()?);
        Some((path.decode_utf8().ok()?.into_owned(), e))
    });
    named.collect()
}

fn expected_versions(sets: &[Value]) -> BTreeMap<String, Vec<Told>> {
    let mut paths: BTreeMap<String, Vec<Told>> = BTreeMap::new();
    let listings: Vec<BTreeMap<String, &Value>> = sets.iter().map(listing).collect();
    for path in listings.iter().flat_map(BTreeMap::keys) {
        if paths.contains_key(path) {
            continue;
        }
        let mut versions: Vec<Told> = Vec::new();
        let mut before: Option<&Value> = None;
        for (set, listing) in sets.iter().zip(&listings) {
            let now = listing.get(path).copied();
            let words = words(before, now);
            before = now;
            match versions.last_mut() {
                Some(last) if words.is_empty() => last.1 += 1,
                None if words.is_empty() => {}
                _ => versions.push((set["time"].as_i64().expect("a time"), 1, words)),
            }
        }
        paths.insert(path.clone(), versions);
    }
    paths
}

fn words(old: Option<&Value>, new: Option<&Value>) -> Vec<String> {
    let (old, new) = match (old, new) {
        (None, None) => return Vec::new(),
        (None, Some(_)) => return vec!["new".to_owned()],
        (Some(_), None) => return vec!["gone".to_owned()],
        (Some(old), Some(new)) => (old, new),
    };
    if old["type"] != new["type"] {
        return vec!["type".to_owned()];
    }
    let differs = |keys: &[&str]| keys.iter().any(|key| old[*key] != new[*key]);
    let is_dir = new["type"] == "dir";
    let all = [
        ("content", differs(&["sha256"])),
        ("link", differs(&["target"])),
        ("device", differs(&["device"])),
        ("time", differs(&["mtime"]) && !is_dir),
        ("owner", differs(&["uid", "gid"])),
        ("mode", differs(&["mode"])),
    ];
    let all = all.into_iter().filter(|(_, is_so)| *is_so);
    all.map(|(word, _)| word.to_owned()).collect()
}
