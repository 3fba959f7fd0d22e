//! What a misspelt word, a text that breaks off or a wrong value is told as: once, where it stands, with what to write.

use super::*;

const PASS: &str = "passphrase = { file = \"/p\" }\n";
const SOURCE: &str = "source = \"/home/me\"\n";
const TARGET: &str = "target = \"file:///t\"\n";

#[test]
fn what_a_misspelt_key_was_meant_to_say_is_not_missed_as_well() {
    for (text, help) in [
        (
            format!("version = 1\n{SOURCE}{PASS}[taget]\nurl = \"file:///t\"\n"),
            "did you mean target?",
        ),
        (
            format!("version = 1\n{SOURCE}{PASS}[[targets]]\nurl = \"file:///t\"\n"),
            "did you mean target?",
        ),
        (
            format!("version = 1\n{SOURCE}{PASS}[target]\nulr = \"file:///t\"\n"),
            "did you mean url?",
        ),
        (
            format!("version = 1\nsorce = \"/home/me\"\n{TARGET}{PASS}"),
            "did you mean source?",
        ),
        (
            format!("versoin = 1\n{SOURCE}{TARGET}{PASS}"),
            "did you mean version?",
        ),
        (
            format!("version = 1\n{SOURCE}{TARGET}pasphrase = {{ file = \"/p\" }}\n"),
            "did you mean passphrase?",
        ),
        (
            format!("version = 1\n{SOURCE}{TARGET}[kyes]\nencrypt-to = \"a@b\"\n"),
            "did you mean keys?",
        ),
        (
            with("[schedule]\ncrn = \"17 2 * * *\"\n"),
            "did you mean cron?",
        ),
        (
            with("[report.ping]\nulr = \"https://x\"\n"),
            "did you mean url?",
        ),
        (with("[[hook]]\non = \"before\"\nexe = \"x\"\n"), "exec?"),
    ] {
        let found = problems(&text);
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        assert!(found[0].contains(help), "{text}: {found:?}");
    }
    let mail = "[report.email]\ntoo = \"me@x\"\nform = \"b@x\"\nsmpt = \"smtp://x\"\n";
    let found = problems(&with(mail));
    assert!(
        found.len() == 3 && found.iter().all(|f| f.contains("unknown key")),
        "{found:?}"
    );
    // What no misspelt key was meant to say is missed.
    let found = problems(&format!("version = 1\n{SOURCE}{PASS}[taget]\n[repot]\n"));
    assert!(!found.iter().any(|f| f.contains("says no")), "{found:?}");
    let found = problems(&format!("version = 1\nsorce = \"/x\"\n{PASS}"));
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[1].contains("the profile says no target"), "{found:?}");
}

#[test]
fn a_text_that_breaks_off_is_not_missed_as_well() {
    for (text, said) in [
        ("version = 1\nsource = /tmp\n".to_owned(), "quoted"),
        (
            "version = 1\nversion = 1\n".to_owned(),
            "it stands above already",
        ),
        (
            with("[source]\none-filesystem = true\n"),
            "it stands above already",
        ),
        (
            with("[[source.dump]]\nname = \"x\"\n"),
            "write that one as a table",
        ),
    ] {
        let found = problems(&text);
        assert!(found[0].contains(said), "{text}: {found:?}");
        assert!(
            !found.iter().any(|f| f.contains("says no")),
            "{text}: {found:?}"
        );
    }
}

#[test]
fn a_problem_of_the_whole_names_the_file() {
    let errors = check(SOURCE).unwrap_err();
    assert!(errors.to_string().starts_with("/etc/dupr/home.toml: "));
    let text = errors.render(false);
    assert!(
        text.starts_with(
            "error: the profile says no version\n--> /etc/dupr/home.toml\nhelp: write version = 1\n"
        ),
        "{text}"
    );
    // Of what is no profile, there is none to name.
    let alone = Errors::single("there is no profile yet", Some("make one".into()));
    assert_eq!(
        alone.render(false),
        "error: there is no profile yet\nhelp: make one\n"
    );
}

#[test]
fn a_wrong_value_is_told_with_the_right_one() {
    for (text, help) in [
        (MINIMAL.replace("= 1", "= \"1\""), "write 1 without quotes"),
        (
            MINIMAL.replace("\"/home/me\"", "5"),
            "write source = \"/home/me\"",
        ),
        (
            with("[source]\nsnapshot = true\n").replace("source  = \"/home/me\"\n", ""),
            "expected",
        ),
        (
            with("[schedule]\ncron = \"1 2 * * *\"\ncatch-up = \"false\"\n"),
            "write false without quotes",
        ),
        (with("[schedule]\ncron = \"daily\"\n"), "write @daily"),
        (
            MINIMAL.replace("sftp://", "sfpt://"),
            "did you mean sftp://?",
        ),
        (
            MINIMAL.replace("sftp://", "fiel://"),
            "did you mean file://?",
        ),
        (MINIMAL.replace("sftp://", "gopher://"), "this build knows"),
        (
            with("[run]\ndefault = \"backup_prge\"\n"),
            "did you mean purge?",
        ),
    ] {
        let found = problems(&text).join("\n");
        assert!(found.contains(help), "{text}: {found}");
    }
}

#[test]
fn a_misspelt_key_of_the_command_line_is_shown_there() {
    let errors = check_with(MINIMAL, &around(), &[("bakup.name", "x")]).unwrap_err();
    let text = errors.to_string();
    assert!(
        text.starts_with("--set bakup.name:1:") && text.contains("did you mean backup?"),
        "{text}"
    );
}

#[test]
fn a_secret_that_is_not_there_is_told_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let around = Surroundings {
        look_at_files: true,
        ..around()
    };
    for (place, help) in [
        (dir.path().join("none"), "write the secret into"),
        (dir.path().to_owned(), "name the file in it"),
    ] {
        let text = MINIMAL.replace("/etc/dupr/home.pass", &place.display().to_string());
        let found = check_with(&text, &around, &[]).unwrap_err().to_string();
        assert!(found.contains(help), "{found}");
    }
}
