//! The first profile: every question of `dupr init` at a terminal, every one as a flag, and what it does when the answer is wrong.

use crate::servers::Sshd;
use crate::support::home::{Home, called};
use crate::support::keyring::{Keyring, PASSPHRASE};
use crate::support::programs::find;
use crate::support::terminal::Session;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

/// A home without profiles.
fn clean(name: &str) -> Home {
    let home = Home::new(name);
    fs::remove_dir_all(home.path().join(".config")).expect("config");
    home
}

fn config(home: &Home, name: &str) -> PathBuf {
    home.path().join(".config/dupr").join(name)
}

/// What lies in the folder of the profiles.
fn written(home: &Home) -> Vec<String> {
    let entries = fs::read_dir(home.path().join(".config/dupr"));
    let mut names: Vec<String> = entries
        .into_iter()
        .flatten()
        .flatten()
        .map(|e| e.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// Answers questions, each by its first words, in this order; the exit code, and what was shown.
fn answered(home: &Home, words: &[&str], answers: &[(&str, &str)]) -> (i32, String) {
    let mut command = home.command(words);
    command.env("TERM", "dumb").env("LC_ALL", "C.UTF-8");
    let mut session = Session::start(&command, 200, 50);
    let mut from = 0;
    for (question, answer) in answers {
        from = session.wait_from(from, question, |shown| {
            let shown = String::from_utf8_lossy(shown);
            shown.contains(question) && shown.trim_end().ends_with(':')
        });
        session.types(&format!("{answer}\n"));
    }
    let (code, bytes) = session.end();
    (code, String::from_utf8_lossy(&bytes).into_owned())
}

/// The questions as they are asked if nothing is given.
const QUESTIONS: [&str; 6] = [
    "Name of the profile [home]",
    "What to back up [",
    "Where to (",
    "Which [1]",
    "When to run",
    "Address for reports",
];

#[test]
fn every_question_is_asked_and_a_backup_follows() {
    let home = clean("init-questions");
    let (source, target) = (
        home.source().display().to_string(),
        format!("file://{}", home.target().display()),
    );
    let answers = [
        "letters",
        &source,
        &target,
        "",
        "17 2 * * *",
        "ada@example.org",
    ];
    let questions: Vec<(&str, &str)> = QUESTIONS.into_iter().zip(answers).collect();
    let (code, shown) = answered(&home, &["init"], &questions);
    assert_eq!(code, 0, "{shown}");
    for line in [
        "stores, reads and deletes",
        "Recovery sheet of letters",
        "dupr schedule install letters",
        "First backup: dupr letters backup",
    ] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    assert_eq!(written(&home), ["letters.pass", "letters.toml"]);
    let pass = fs::read_to_string(config(&home, "letters.pass")).expect("passphrase");
    assert!(
        pass.trim().len() > 30 && !shown.contains(pass.trim()),
        "{shown}"
    );
    // What was answered is what the profile says, and it works.
    let show = home.expect(0, &["show", "letters"]).stdout;
    for value in [&source, &target, "17 2 * * *", "ada@example.org"] {
        assert!(show.contains(value), "{value}: {show}");
    }
    home.expect(0, &["letters"]);
    assert!(
        home.stored()
            .iter()
            .all(|f| f.extension().is_some_and(|e| e == "gpg"))
    );
    let crontab = ["schedule", "export", "letters", "--as", "crontab"];
    assert!(home.expect(0, &crontab).stdout.contains("17 2 * * *"));
    // By hand, as its sheet says.
    let restored = home
        .command(&["duplicity", "restore", &target, "back"])
        .env("PASSPHRASE", pass.trim())
        .output();
    assert_eq!(called(restored.expect("dupr")).code, 0);
    let one = fs::read_to_string(home.path().join("back/one")).expect("one");
    assert_eq!(one, "first\n");
}

#[test]
fn what_is_given_is_not_asked_and_defaults_are_taken() {
    let home = clean("init-some");
    let target = format!("file://{}", home.target().display());
    let words = [
        "init",
        "--target",
        &target,
        "--schedule",
        "@daily",
        "--no-encryption",
    ];
    let source = home.source().display().to_string();
    let answers = [
        (QUESTIONS[0], ""),
        (QUESTIONS[1], &source),
        (QUESTIONS[5], ""),
    ];
    let (code, shown) = answered(&home, &words, &answers);
    assert_eq!(code, 0, "{shown}");
    for question in [QUESTIONS[2], QUESTIONS[3], QUESTIONS[4]] {
        assert!(!shown.contains(question), "{question}: {shown}");
    }
    assert_eq!(written(&home), ["home.toml"]);
    let text = fs::read_to_string(config(&home, "home.toml")).expect("profile");
    assert!(
        text.contains("encryption = \"none\"") && !text.contains("[report.email]"),
        "{text}"
    );
    home.expect(0, &["home"]);

    // Somebody who is not there is not asked.
    let alone = home.expect(2, &["init", "other"]);
    assert!(
        alone.stderr.contains("--source is missing"),
        "{}",
        alone.stderr
    );
    assert_eq!(written(&home), ["home.toml"]);
}

#[test]
fn a_wrong_answer_is_asked_again() {
    let home = clean("init-again");
    let (source, target) = (
        home.source().display().to_string(),
        format!("file://{}", home.target().display()),
    );
    let plain = home.target().display().to_string();
    let answers = [
        (QUESTIONS[0], "my letters"),
        (QUESTIONS[0], "letters"),
        (QUESTIONS[1], "/no/such/folder"),
        (QUESTIONS[1], &source),
        (QUESTIONS[2], &plain),
        (QUESTIONS[2], &target),
        (QUESTIONS[3], "passphrase"),
        (QUESTIONS[3], "1"),
        (QUESTIONS[4], "daily"),
        (QUESTIONS[4], "@daily"),
        (QUESTIONS[5], "ada at home"),
        (QUESTIONS[5], ""),
    ];
    let (code, shown) = answered(&home, &["init"], &answers);
    assert_eq!(code, 0, "{shown}");
    for said in [
        "name a folder",
        "file:///",
        "write @daily",
        "not a mail address",
    ] {
        assert!(shown.contains(said), "{said}: {shown}");
    }
    assert_eq!(written(&home), ["letters.pass", "letters.toml"]);
    // For programs it is one document.
    let words = [
        "init", "more", "--source", &source, "--target", &target, "-y", "--json",
    ];
    let told = home.expect(0, &words).stdout;
    let told: serde_json::Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!(
        (&told["profile"], &told["tested"]),
        (&"more".into(), &true.into())
    );
    assert!(
        told["sheet"]
            .as_str()
            .is_some_and(|s| s.contains("Recovery sheet"))
    );
}

#[test]
fn a_wrong_answer_writes_nothing() {
    let home = clean("init-wrong");
    let (source, target) = (
        home.source().display().to_string(),
        format!("file://{}", home.target().display()),
    );
    let good = ["wrong", &source, &target, "", "", ""];
    for (number, answer, said) in [
        (0, "status", "name of a tool"),
        (0, "a/b", "cannot be a name"),
        (1, "/no/such/folder", "does not exist"),
        (2, "", "needs a target"),
        (2, "nowhere", "no scheme"),
        (2, "gopher://old/place", "gopher"),
        (3, "7", "none of 1, 2, 3"),
        (4, "every night", "five fields"),
        (5, "ada of example.org", "is not a mail address"),
    ] {
        let mut answers: Vec<(&str, &str)> = QUESTIONS.into_iter().zip(good).collect();
        answers.truncate(number);
        // It is told at once and asked again, and given up after three answers that are none.
        answers.extend([(QUESTIONS[number], answer); 3]);
        let (code, shown) = answered(&home, &["init"], &answers);
        assert_eq!(code, 2, "{answer}: {shown}");
        assert!(shown.matches(said).count() >= 3, "{answer}: {shown}");
        assert_eq!(written(&home), [""; 0], "{answer}: {shown}");
    }
    // The same by flags.
    for (flags, said) in [
        (&["--target", "nowhere"][..], "no scheme"),
        (
            &["--target", &target, "--mail-to", "ada at home"],
            "mail address",
        ),
        (
            &["--target", &target, "--schedule", "61 * * * *"],
            "five fields",
        ),
        (&["--target", &target, "--encrypt-to", ""], "encrypt-to"),
    ] {
        let words = [&["init", "wrong", "--source", &source, "-y"], flags].concat();
        let refused = home.expect(2, &words);
        assert!(
            refused.stderr.contains(said),
            "{flags:?}: {}",
            refused.stderr
        );
        assert_eq!(written(&home), [""; 0], "{flags:?}");
    }
    // And nothing is ever written over.
    home.expect(
        0,
        &[
            "init", "wrong", "--source", &source, "--target", &target, "-y",
        ],
    );
    let before = fs::read_to_string(config(&home, "wrong.pass")).expect("passphrase");
    let again = home.expect(
        2,
        &[
            "init", "wrong", "--source", &source, "--target", &target, "-y",
        ],
    );
    assert!(again.stderr.contains("exists"), "{}", again.stderr);
    let after = fs::read_to_string(config(&home, "wrong.pass")).expect("passphrase");
    assert_eq!(before, after);
}

#[test]
fn a_target_that_does_not_work_is_told_with_what_to_do() {
    let home = clean("init-target");
    let source = home.source().display().to_string();
    let server = Sshd::start();
    // A server that does not let us in, and a place where nothing can be written.
    for (name, url) in [
        ("stranger", format!("sftp://127.0.0.1:{}//x", server.port())),
        ("nowhere", "file:///sys/no-such".to_owned()),
    ] {
        let words = ["init", name, "--source", &source, "--target", &url, "-y"];
        let told = home.dupr(&words);
        assert_eq!(told.code, 13, "{url}: {}{}", told.stdout, told.stderr);
        let profile = config(&home, &format!("{name}.toml")).display().to_string();
        assert!(
            told.stderr
                .contains(&format!("correct {profile} with an editor"))
                && told.stderr.contains(&format!("dupr doctor {name}")),
            "{url}: {}",
            told.stderr
        );
        assert!(!told.stdout.contains("tested"), "{}", told.stdout);
        // It is there to be corrected, and its passphrase is kept.
        assert!(written(&home).contains(&format!("{name}.pass")));
        let words = [
            "init",
            "untested",
            "--source",
            &source,
            "--target",
            &url,
            "-y",
            "--no-test",
        ];
        home.expect(0, &words);
        for file in ["untested.toml", "untested.pass"] {
            fs::remove_file(config(&home, file)).expect(file);
        }
    }
    // Corrected, it works.
    let text = fs::read_to_string(config(&home, "nowhere.toml")).expect("profile");
    let target = home.target().display().to_string();
    home.raw_profile("nowhere", &text.replace("/sys/no-such", &target));
    home.expect(0, &["doctor", "nowhere"]);
    home.expect(0, &["nowhere"]);
}

#[test]
fn all_is_said_by_flags_to_a_key_or_a_file_with_one() {
    let Some(keyring) = Keyring::new() else {
        return;
    };
    let home = clean("init-flags");
    let source = home.source().display().to_string();
    home.write("left.tmp", "left out\n");
    let exported = Command::new(find("gpg").expect("it was there"))
        .args(["--armor", "--output"])
        .arg(home.path().join("public.asc"))
        .args(["--export", &keyring.encrypt])
        .env("GNUPGHOME", keyring.home())
        .output();
    assert!(exported.is_ok_and(|o| o.status.success()));
    // A file is named from where one stands.
    for (name, key) in [("key", keyring.encrypt.as_str()), ("file", "public.asc")] {
        let target = format!("file://{}", home.path().join(name).display());
        let words = [
            "init",
            name,
            "--source",
            &source,
            "--target",
            &target,
            "--encrypt-to",
            key,
            "--exclude",
            "**.tmp",
            "--schedule",
            "30 4 * * 1-5",
            "--mail-to",
            "ada@example.org",
            "--into",
            "profiles",
            "-y",
        ];
        let call = |words: &[&str]| {
            let mut command = home.command(words);
            command
                .env("GNUPGHOME", keyring.home())
                .env("PASSPHRASE", PASSPHRASE);
            called(command.output().expect("dupr"))
        };
        let planned = call(&[&words[..], &["--plan"]].concat());
        assert!(
            planned.code == 0 && planned.stdout.contains("encrypt-to = ["),
            "{}{}",
            planned.stdout,
            planned.stderr
        );
        assert!(!home.path().join(format!("profiles/{name}.toml")).exists());
        let made = call(&words);
        assert_eq!(made.code, 0, "{}{}", made.stdout, made.stderr);
        assert!(
            made.stdout.contains("the secret key of "),
            "{}",
            made.stdout
        );
        let file = home.path().join(format!("profiles/{name}.toml"));
        let mode = fs::metadata(&file).expect("profile").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(!home.path().join(format!("profiles/{name}.pass")).exists());
        // A public key is enough to make backups.
        let file = file.display().to_string();
        let run = call(&[&file, "full"]);
        assert_eq!(run.code, 0, "{}{}", run.stdout, run.stderr);
        // And the secret one to read them.
        let back = format!("back-{name}");
        let restored = call(&["duplicity", "restore", &target, &back]);
        assert_eq!(restored.code, 0, "{}", restored.stderr);
        let place = home.path().join(back);
        assert!(place.join("one").is_file() && !place.join("left.tmp").exists());
        let units = ["schedule", "export", &file, "--as", "systemd"];
        let units = call(&units);
        assert!(
            units.stdout.contains("04:30"),
            "{}{}",
            units.stdout,
            units.stderr
        );
    }
    // A passphrase from a variable, and one in a file of one's own.
    for (flag, value) in [
        ("--passphrase-env", "MY_PASS"),
        ("--passphrase-file", "own.pass"),
    ] {
        let name = flag.trim_start_matches("--");
        let target = format!("file://{}", home.path().join(name).display());
        let words = [
            "init", name, "--source", &source, "--target", &target, flag, value, "-y",
        ];
        let with = |words: &[&str]| {
            let mut command = home.command(words);
            called(command.env("MY_PASS", "anything").output().expect("dupr"))
        };
        let made = with(&words);
        assert_eq!(made.code, 0, "{}{}", made.stdout, made.stderr);
        assert_eq!(with(&[name]).code, 0);
    }
    assert!(home.path().join("own.pass").is_file());
}
