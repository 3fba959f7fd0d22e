//! The whole life of a backup at every service that has a server ([`crate::cycle`]), what duplicity has made there, and the
//! tools for targets.

use crate::cycle::lives;
use crate::documents::last_results;
use crate::door::{Bench, listing};
use crate::servers::{Dovecot, Ftpd, Swift};
use crate::services::{
    Service, each, local_services, only_named, other_services, packages, scheme_of,
    secure_services, some_are_left_out, tool_services, web_services_of_users,
};
use crate::storage_lines::survives_a_bad_line;
use crate::support::home::Home;
use crate::support::programs::Program;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A target by duplicity's words, and what it takes to reach it.
struct Door {
    name: &'static str,
    url: String,
    options: Vec<String>,
    environment: Vec<(&'static str, String)>,
    /// Whether duplicity 3.2.1 is asked to read it too, and with which Python packages.
    duplicity: Option<Vec<PathBuf>>,
}

impl Door {
    fn call(&self, bench: &Bench, program: Program, cache: &str, words: &[&str]) -> Option<String> {
        let words: Vec<&str> = words
            .iter()
            .copied()
            .chain(self.options.iter().map(String::as_str))
            .collect();
        let mut environment: Vec<(&str, &str)> = vec![("PASSPHRASE", "secret")];
        environment.extend(self.environment.iter().map(|(k, v)| (*k, v.as_str())));
        let packages = self.duplicity.iter().flatten();
        let packages: Vec<_> = packages.map(|p| p.display().to_string()).collect();
        let packages = packages.join(":");
        if program != Program::Dupr {
            environment.push(("PYTHONPATH", &packages));
        }
        let called = bench.call(program, cache, &words, "", &environment)?;
        let name = self.name;
        assert_eq!(
            called.code, 0,
            "{name} {program:?} {words:?}\n{}{}",
            called.out, called.err
        );
        Some(called.out)
    }

    fn dupr(&self, bench: &Bench, words: &[&str]) -> String {
        self.call(bench, Program::Dupr, "cache", words)
            .expect("dupr is there")
    }

    /// Volumes have so many MiB.
    fn lives_in_volumes_of<'a>(&'a self, mb: &'a str) {
        let bench = Bench::new(&format!("cycle-{}", self.name));
        let url = self.url.as_str();
        let at = |time: &'static str| ["--current-time", time];
        bench.write("src/large", &"x1y2z3".repeat(400_000));
        let words = |action: &[&'a str], rest: &[&'a str]| -> Vec<&'a str> {
            [action, &[url], rest].concat()
        };
        let small = ["--volsize", mb, "--no-compression"];
        let full = [&at("1700000000")[..], &small].concat();
        self.dupr(&bench, &words(&["full", "src"], &full));
        bench.write("src/a.txt", "other\n");
        self.dupr(&bench, &words(&["inc", "src"], &at("1700100000")));
        let status = self.dupr(&bench, &words(&["collection-status"], &[]));
        assert!(status.contains("Incremental"), "{}: {status}", self.name);
        self.dupr(&bench, &words(&["verify"], &["src"]));

        for (program, cache, to) in [
            (Program::Dupr, "cache of a stranger", "back"),
            (
                Program::Duplicity3,
                "cache of duplicity",
                "back of duplicity",
            ),
        ] {
            if program == Program::Duplicity3 && self.duplicity.is_none() {
                continue;
            }
            let restore = ["restore", url, to];
            if self.call(&bench, program, cache, &restore).is_none() {
                continue;
            }
            bench.settle("src");
            bench.settle(to);
            assert_eq!(
                listing(&bench.path(to)),
                listing(&bench.path("src")),
                "{} restored with {program:?}",
                self.name
            );
        }

        self.dupr(&bench, &words(&["full", "src"], &at("1700200000")));
        self.dupr(
            &bench,
            &words(&["remove-all-but-n-full", "1"], &["--force"]),
        );
        self.dupr(&bench, &words(&["cleanup"], &["--force"]));
        let status = self.dupr(&bench, &words(&["collection-status"], &[]));
        assert!(!status.contains("Incremental"), "{}: {status}", self.name);
        self.dupr(&bench, &words(&["restore"], &["again"]));
        bench.settle("again");
        assert_eq!(listing(&bench.path("again")), listing(&bench.path("src")));
    }

    /// dupr restores volumes of duplicity, and removes them. `false` if duplicity may be missing and is.
    fn takes_over(&self) -> bool {
        self.takes_over_from(Program::Duplicity3)
    }

    fn takes_over_from(&self, program: Program) -> bool {
        let bench = Bench::new(&format!("over-{}", self.name));
        let url = self.url.as_str();
        let full = |time| {
            let words = ["full", "src", url, "--no-compression", "--volsize", "2"];
            [&words[..], &["--current-time", time]].concat()
        };
        bench.write("src/large", &"x1y2z3".repeat(400_000));
        let packed = self.duplicity.as_ref().and_then(|_| {
            let words = full("1700000000");
            self.call(&bench, program, "cache", &words)
        });
        if packed.is_none() {
            return false;
        }
        self.dupr(&bench, &["restore", url, "back"]);
        bench.settle("src");
        bench.settle("back");
        assert_eq!(
            listing(&bench.path("back")),
            listing(&bench.path("src")),
            "{} restored",
            self.name
        );
        bench.write("src/large", "small\n");
        self.dupr(&bench, &full("1700100000"));
        self.dupr(&bench, &["remove-all-but-n-full", "1", url, "--force"]);
        true
    }
}

const WEB: [&str; 13] = [
    "webdav",
    "azure",
    "dpbx",
    "gdrive",
    "gs with an account",
    "onedrive",
    "box",
    "s3",
    "gs",
    "b2",
    "swift",
    "rclone",
    "pca",
];
const OTHER: [&str; 6] = [
    "ftp",
    "imap",
    "rsync",
    "sftp",
    "rsync through ssh",
    "sftp by commands",
];
const SECURE: [&str; 5] = ["webdavs", "webdavs at Apache", "imaps", "ftpes", "ftps"];
const TOOLS: [&str; 5] = ["tahoe", "gio+smb", "mega", "megav2", "hsi"];
const LOCAL: [&str; 4] = ["file", "multi", "multi by turns", "par2+file"];

/// A whole life at each of these, which are all that there are.
fn live(services: &[Service], names: &[&str]) {
    each(services, lives);
    if !some_are_left_out() {
        let led: Vec<&str> = services.iter().map(|service| service.name).collect();
        assert_eq!(led, names);
    }
}

#[test]
fn backups_live_at_every_service_of_the_web() {
    live(&web_services_of_users(), &WEB);
}

#[test]
fn backups_live_at_every_other_service() {
    live(&only_named(other_services()), &OTHER);
}

#[test]
fn backups_live_behind_tls() {
    live(&secure_services(), &SECURE);
}

#[test]
fn backups_live_at_what_other_programs_reach() {
    let mut services = tool_services();
    live(&services, &TOOLS);
    services.retain(|service| service.port != 0);
    each(&services, survives_a_bad_line);
}

#[test]
fn backups_live_in_folders() {
    live(&local_services(), &LOCAL);
}

/// Whoever is said to have had one has one in the tests above, and the other way round.
#[test]
fn the_last_results_tell_of_each_life() {
    let all = [&WEB[..], &OTHER, &SECURE, &TOOLS, &LOCAL].concat();
    let led: BTreeSet<String> = all.into_iter().map(scheme_of).collect();
    let results = last_results().into_iter();
    let told: BTreeSet<String> = results
        .filter(|row| row[2].contains("whole life"))
        .map(|[scheme, ..]| scheme)
        .collect();
    assert_eq!(told, led);
}

/// duplicity 3.2.1 needs help to speak IMAP at all, and both need it to find another port.
#[test]
fn mails_of_duplicity_are_restored_and_removed() {
    let server = Dovecot::start();
    let helped = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/imap");
    let mut service = Door {
        name: "imap",
        url: format!("imap://ada@127.0.0.1:{}/back/up", server.port),
        options: Vec::new(),
        environment: vec![
            ("IMAP_PASSWORD", "p@ss:w".to_string()),
            ("DUPR_TEST_IMAP_PORT", server.port.to_string()),
        ],
        duplicity: Some(vec![helped]),
    };
    for (program, folder) in [
        (Program::Duplicity3, "other"),
        (Program::Duplicity08, "older"),
    ] {
        let before = server.mails();
        service.url = format!("imap://ada@127.0.0.1:{}/{folder}", server.port);
        if service.takes_over_from(program) {
            // A full set of one volume, of ours.
            assert_eq!(server.mails(), before + 3, "{program:?}");
        }
    }
}

/// Volumes are longer than a segment there.
#[test]
fn pieces_of_objects_cross_with_duplicity() {
    let Some(server) = Swift::start() else {
        return;
    };
    let mut service = Door {
        name: "swift",
        url: "swift://container/back/up".to_string(),
        options: ["--mp-segment-size", "1"].map(str::to_string).to_vec(),
        environment: [server.variables(), server.variables_of_its_client()].concat(),
        duplicity: packages("swift"),
    };
    service.lives_in_volumes_of("2");
    let cut = "PUT /v1/AUTH_backups/container_segments/back/up/duplicity-full.";
    let pieces = server.answered(cut);
    assert!(pieces > 1, "{pieces} pieces of volumes");
    service.url = "swift://other/back/up".to_string();
    if service.takes_over() {
        // Pieces go with their volumes.
        let cut = "PUT /v1/AUTH_backups/other_segments/back/up/duplicity-full.";
        let pieces = server.answered(cut);
        assert!(pieces > 1, "{pieces} pieces of volumes");
        assert_eq!(server.names("other_segments"), Vec::<String>::new());
    }
}

#[test]
fn a_target_is_tested_and_its_files_are_moved_by_hand() {
    let server = Ftpd::start();
    let home = Home::new("target");
    let url = format!("ftp://ada:p%40ss%3Aw@127.0.0.1:{}/x", server.port);
    let tested = home.expect(0, &["target", "test", &url]);
    assert!(
        tested.stdout.contains("keeps what is put"),
        "{}",
        tested.stdout
    );
    assert!(!tested.stdout.contains("p%40ss"), "{}", tested.stdout);
    assert!(!tested.stdout.contains("FAIL"), "{}", tested.stdout);
    let document = home.expect(0, &["target", "test", &url, "--json"]).stdout;
    let document: serde_json::Value = serde_json::from_str(&document).expect("JSON");
    assert_eq!(document["findings"].as_array().map(Vec::len), Some(9));
    assert_eq!(
        std::fs::read_dir(server.files().join("x"))
            .expect("dir")
            .count(),
        0
    );

    home.write("a file", "content\n");
    home.expect(0, &["target", "put", &url, "src/a file"]);
    home.expect(0, &["target", "put", &url, "src/a file", "other"]);
    let listed = home.expect(0, &["target", "ls", &url]).stdout;
    assert!(
        listed.contains("a file") && listed.contains("8 B"),
        "{listed}"
    );
    home.expect(0, &["target", "get", &url, "a file"]);
    assert_eq!(
        std::fs::read_to_string(home.path().join("a file")).expect("file"),
        "content\n"
    );
    // None is replaced, none is removed without a word.
    home.expect(1, &["target", "get", &url, "a file"]);
    home.expect(1, &["target", "get", &url, "absent"]);
    assert!(!home.path().join("absent").exists());
    home.expect(2, &["target", "rm", &url, "other"]);
    home.expect(0, &["target", "rm", &url, "other", "--force"]);
    let left = home.expect(0, &["target", "ls", &url, "--json"]).stdout;
    let left: serde_json::Value = serde_json::from_str(&left).expect("JSON");
    assert_eq!(left["files"].as_array().map(Vec::len), Some(1), "{left}");

    // A profile's target is as good as a URL, and a target out of reach has its exit code.
    home.expect(0, &["home", "backup"]);
    let listed = home.expect(0, &["target", "ls", "home"]).stdout;
    assert!(listed.contains("manifest"), "{listed}");
    home.expect(0, &["target", "test", "home"]);
    home.expect(0, &["home", "verify"]);
    home.expect(2, &["target", "ls", "home", "-o", "region=x"]);
    home.expect(2, &["target", "ls", &url, "-o", "region=x"]);
    // Side by side: each of them tries for a while.
    let dead = "ftp://127.0.0.1:1/x";
    let [document, tested, listed] = std::thread::scope(|scope| {
        let home = &home;
        [
            vec!["target", "test", dead, "--json"],
            vec!["target", "test", dead],
            vec!["target", "ls", dead],
        ]
        .map(|words| scope.spawn(move || home.expect(13, &words)))
        .map(|call| call.join().expect("a call"))
    });
    let document = document.stdout;
    assert!(document.contains("\"kept\": false"), "{document}");
    assert!(document.contains("\"fix\": \"is the server on"));
    let failed = tested.stdout.find("FAIL  can be listed");
    let next = tested.stdout.find("→ is the server on");
    assert!(failed.is_some() && failed < next, "{}", tested.stdout);
    assert!(
        listed.stderr.contains("help: is the server on"),
        "{}",
        listed.stderr
    );
}

#[test]
fn the_doctor_tells_how_each_scheme_is_reached() {
    let home = Home::new("schemes");
    let told = home.expect(0, &["doctor"]).stdout;
    for line in [
        "azure",
        "ftpes lftp+ftpes",
        "needs rsync: ",
        "needs ssh: ",
        "hubiC has ended",
    ] {
        assert!(told.contains(line), "{line} is not in\n{told}");
    }
    // No terminal says how wide it is.
    let long = told.lines().find(|line| line.chars().count() > 100);
    assert_eq!(long, None);
    let json = home.expect(0, &["doctor", "--json"]).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let schemes = json["schemes"].as_array().expect("schemes");
    assert!(
        schemes
            .iter()
            .any(|s| s["support"] == "native" && s["schemes"][0] == "ftp")
    );

    let mut lonely = home.command(&["doctor"]);
    lonely.env("PATH", "/nonexistent");
    let told = String::from_utf8(lonely.output().expect("dupr").stdout).expect("text");
    assert!(
        told.contains("needs rclone, which is not installed"),
        "{told}"
    );
}
