//! Copies between unlike targets: each service of a ring gets the sets of the one before it, and gives them back.

use crate::services::{Service, Way, each, services};
use crate::support::home::{Home, called};
use crate::support::tree::Tree;
use std::fs;

/// Names of variables that hold the password of a service.
const PASSWORDS: [&str; 4] = [
    "BACKEND_PASSWORD",
    "FTP_PASSWORD",
    "IMAP_PASSWORD",
    "RSYNC_PASSWORD",
];

/// A target of a profile; its password gets a variable of its own, so that no other target takes it for its own.
fn target(name: &str, more: &str, way: &Way) -> (String, Vec<(String, String)>) {
    let mut text = format!("[[target]]\nname = {name:?}\nurl = {:?}\n{more}", way.url);
    let mut variables = Vec::new();
    for (known, value) in &way.variables {
        if PASSWORDS.contains(known) {
            let own = format!("OF_{}", name.to_uppercase());
            text += &format!("password = {{ env = {own:?} }}\n");
            variables.push((own, value.clone()));
        } else {
            variables.push((known.to_string(), value.clone()));
        }
    }
    let settings = way.settings.iter();
    let settings: Vec<String> = settings.map(|(k, v)| format!("{k} = {v:?}")).collect();
    text += &format!("options = {{ {} }}\n", settings.join(", "));
    (text, variables)
}

fn is_copied(from: &Service, to: &Service) {
    let what = format!("{} to {}", from.name, to.name);
    let home = Home::new(&format!("ring-{}", from.name.replace(' ', "-")));
    let (first, mut variables) = target("first", "", &from.way(from.port, "origin"));
    let copy = "copy-of = \"first\"\n";
    let (second, more) = target("second", copy, &to.way(to.port, "copies"));
    variables.extend(more);
    let text = format!(
        "version = 1\nsource = {:?}\npassphrase = {{ file = {:?} }}\n{first}{second}",
        home.source(),
        home.path().join("pass"),
    );
    home.raw_profile("home", &text);
    let dupr = |words: &[&str]| {
        let mut command = home.command(words);
        command.envs(variables.iter().map(|(k, v)| (k, v)));
        let done = called(command.output().expect("dupr"));
        assert_eq!(
            done.code, 0,
            "{what} {words:?}\n{}{}",
            done.stdout, done.stderr
        );
        done.stdout
    };
    dupr(&["home", "full_replicate"]);
    home.write("one", "changed\n");
    dupr(&["home", "incr_replicate"]);
    let plan = dupr(&["home", "replicate", "--plan"]);
    assert!(plan.contains("2 are there already"), "{what}: {plan}");
    let back = home.path().join("back");
    dupr(&["home@second", "restore", &back.display().to_string()]);
    Tree::read(&home.source())
        .compare(&back)
        .unwrap_or_else(|text| panic!("{what}: {text}"));
    assert_eq!(
        fs::read_to_string(back.join("one")).expect("one"),
        "changed\n"
    );
}

#[test]
fn sets_are_copied_between_any_two_services() {
    let services = services();
    each(&services, |service| {
        let at = services.iter().position(|one| one.name == service.name);
        let next = (at.expect("one of them") + 1) % services.len();
        is_copied(service, &services[next]);
    });
}
