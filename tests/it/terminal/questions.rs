//! Questions: secrets are asked for at the terminal and never shown there.

use crate::support::home::{CANARY, Home, called};
use crate::support::terminal::Session;

#[test]
fn a_passphrase_is_asked_for_and_not_shown() {
    let home = Home::new("terminal-prompt");
    let text = std::fs::read_to_string(home.path().join(".config/dupr/home.toml"));
    let file = format!("passphrase = {{ file = {:?} }}", home.path().join("pass"));
    let text = text
        .expect("profile")
        .replace(&file, "passphrase = { prompt = \"the word of the day\" }");
    home.raw_profile("asks", &text);
    let mut session = Session::start(&super::at_terminal(&home, &["asks", "backup"]), 100, 30);
    session.wait_for("the word of the day");
    session.types(&format!("{CANARY}\n"));
    let (code, bytes) = session.end();
    let shown = String::from_utf8_lossy(&bytes).into_owned();
    assert_eq!(code, 0, "{shown}");
    assert!(!shown.contains(CANARY), "{shown}");
    // It is what seals the set: the other profile has the same from a file.
    let mut read = home.command(&["home", "verify"]);
    read.env("XDG_CACHE_HOME", home.path().join("elsewhere"));
    let read = called(read.output().expect("dupr"));
    assert_eq!(read.code, 0, "{}", read.stderr);
    // Where nobody can be asked it is told what to do.
    let alone = home.expect(2, &["asks", "backup"]);
    assert!(
        alone.stderr.contains("the word of the day"),
        "{}",
        alone.stderr
    );
}

#[test]
fn what_deletes_asks_first() {
    let home = Home::new("terminal-purge");
    home.profile("home", "[retention]\nkeep-fulls = 1\n");
    home.expect(0, &["home", "full"]);
    home.expect(0, &["home", "full"]);
    let before = home.stored();
    for (answer, code, left) in [
        ("n\n", None, before.len()),
        ("y\n", Some(0), before.len() / 2),
    ] {
        let mut session = Session::start(&super::at_terminal(&home, &["home", "purge"]), 100, 30);
        session.wait_for("(y/n)");
        session.types(answer);
        let (ended, bytes) = session.end();
        let shown = String::from_utf8_lossy(&bytes).into_owned();
        assert!(code.is_none_or(|code| code == ended), "{ended}: {shown}");
        assert_eq!(home.stored().len(), left, "{shown}");
    }
}
