//! Completions as the shells themselves take them: loaded, asked, and in zsh typed with the tab key.

use crate::support::home::{Home, called};
use crate::support::programs::find;
use crate::support::terminal::{Screen, Session};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The file for a shell, as a package would install it.
fn generated(home: &Home, shell: &str, name: &str) -> PathBuf {
    let text = home.expect(0, &["completions", shell]).stdout;
    let folder = home.path().join("completions");
    fs::create_dir_all(&folder).expect("folder");
    fs::write(folder.join(name), text).expect("file");
    folder.join(name)
}

/// A shell without anybody's settings, in the home of the test.
fn shell(home: &Home, program: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(program);
    command
        .args(words)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", home.path())
        .env("LC_ALL", "C.UTF-8")
        .current_dir(home.path());
    command
}

/// What a shell prints for a script; nothing may go wrong.
fn printed(mut command: Command) -> Vec<String> {
    let said = called(command.output().expect("the shell"));
    assert_eq!(said.code, 0, "{}{}", said.stdout, said.stderr);
    assert_eq!(said.stderr, "", "{}", said.stdout);
    said.stdout.lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_tools_words_and_options() {
    let Some(bash) = find("bash") else {
        return;
    };
    let home = Home::new("completions-bash");
    let file = generated(&home, "bash", "dupr");
    // What bash does when the tab key is hit: the words, and the two that the function is handed.
    let script = format!(
        "source {}\ncomplete -p dupr\n\
         ask() {{ COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); _dupr dupr \"${{@: -1}}\" \"${{@: -2:1}}\"; echo \"${{COMPREPLY[@]}}\"; }}\n\
         ask dupr sched; ask dupr schedule inst; ask dupr completions z; ask dupr home --over; ask dupr init --encrypt",
        file.display()
    );
    let said = printed(shell(
        &home,
        &bash,
        &["--norc", "--noprofile", "-c", &script],
    ));
    assert!(said[0].contains("_dupr dupr"), "{said:?}");
    assert_eq!(
        said[1..],
        ["schedule", "install", "zsh", "", "--encrypt-to"]
    );
}

#[test]
fn fish_completes_tools_with_what_they_do() {
    let Some(fish) = find("fish") else {
        return;
    };
    let home = Home::new("completions-fish");
    let file = generated(&home, "fish", "dupr.fish");
    let script = format!(
        "source {}; complete -C 'dupr sched'; complete -C 'dupr schedule inst'; complete -C 'dupr init --encrypt'",
        file.display()
    );
    let said = printed(shell(&home, &fish, &["--no-config", "-c", &script]));
    let words: Vec<&str> = said.iter().filter_map(|l| l.split('\t').next()).collect();
    assert_eq!(words, ["schedule", "install", "--encrypt-to"]);
    assert!(said[0].contains("run by themselves"), "{said:?}");
}

#[test]
fn zsh_completes_what_is_typed() {
    let Some(zsh) = find("zsh") else {
        return;
    };
    let home = Home::new("completions-zsh");
    let file = generated(&home, "zsh", "_dupr");
    let checked = printed(shell(
        &home,
        &zsh,
        &["-f", "-n", &file.display().to_string()],
    ));
    assert_eq!(checked, [""; 0]);
    let mut command = shell(&home, &zsh, &["-f", "-i"]);
    command.env("TERM", "xterm-256color").env("PS1", "> ");
    let mut session = Session::start(&command, 200, 30);
    session.types(&format!(
        "fpath=({} $fpath); autoload -Uz compinit; compinit -u -D; print rea''dy\n",
        file.parent().expect("a folder").display()
    ));
    session.wait_for("ready");
    for (typed, completed) in [
        ("dupr sched\t", "dupr schedule"),
        ("dupr schedule inst\t", "dupr schedule install"),
        ("dupr completions f\t", "dupr completions fish"),
    ] {
        let from = session.bytes().len();
        session.types(typed);
        session.wait_from(from, completed, |shown| {
            let lines = Screen::of(shown, 200).lines();
            lines.iter().any(|line| line.contains(completed))
        });
        // Away with the line, for the next one.
        session.types("\u{15}");
    }
    session.types("exit\n");
    assert_eq!(session.end().0, 0);
}
