//! `inherit` through the program: what one profile takes over from another, list by list and name by name, and where `dupr show` says
//! each value came from.

use crate::support::home::{Home, called};
use serde_json::Value;
use std::fs;

/// What `dupr show home` says with these arguments and variables: key, value and origin.
fn shown(home: &Home, arguments: &[&str], variables: &[(&str, &str)]) -> Vec<[String; 3]> {
    let mut command = home.command(&[&["show", "home", "--json"][..], arguments].concat());
    command.envs(variables.iter().copied());
    let called = called(command.output().expect("dupr"));
    assert_eq!(called.code, 0, "{}", called.stderr);
    let told: Value = serde_json::from_str(&called.stdout).expect("JSON");
    let values = told["values"].as_array().expect("values").iter();
    let text = |v: &Value, key: &str| v[key].as_str().unwrap_or_default().to_owned();
    values
        .map(|v| ["key", "value", "origin"].map(|key| text(v, key)))
        .collect()
}

/// Value and origin of a key; nothing if it is not there.
fn line<'a>(shown: &'a [[String; 3]], key: &str) -> Option<(&'a str, &'a str)> {
    let found = shown.iter().find(|[k, ..]| k == key);
    found.map(|[_, value, origin]| (value.as_str(), origin.as_str()))
}

fn path(home: &Home, name: &str) -> String {
    home.path()
        .join(".config/dupr")
        .join(name)
        .display()
        .to_string()
}

/// Line of a file in which a text stands.
fn at(home: &Home, name: &str, text: &str) -> String {
    let file = path(home, name);
    let content = fs::read_to_string(&file).expect("profile");
    let line = content
        .lines()
        .position(|l| l.contains(text))
        .expect("a line");
    format!("{file}:{}", line + 1)
}

/// A base with two targets, two hooks and two dumps, all with names.
fn base(home: &Home) {
    let out = |name: &str| home.path().join(name).display().to_string();
    home.raw_profile(
        "base",
        &format!(
            "[keys]\nencryption = \"none\"\n[source]\npath = {:?}\nselect = [\"- **/cache\", \"- **/scratch\"]\n\
             [[source.dump]]\nname = \"one\"\nkind = \"command\"\ncommand = [\"echo\", \"of the base\"]\n\
             [[source.dump]]\nname = \"two\"\nkind = \"command\"\ncommand = [\"echo\", \"two\"]\n\
             [[target]]\nname = \"nas\"\nurl = \"file://{}\"\nretries = 2\nconnections = 3\npassword = {{ file = {:?} }}\n\
             [[target]]\nname = \"usb\"\nurl = \"file://{}\"\n\
             [[hook]]\nname = \"stop\"\non = \"before\"\ncommands = [\"backup\"]\nexec = [\"touch\", {:?}]\ntimeout = \"2m\"\n\
             [[hook]]\nname = \"tell\"\non = \"finally\"\nexec = [\"touch\", {:?}]\n",
            home.source(),
            out("nas"),
            out("pass"),
            out("usb"),
            out("stopped"),
            out("told"),
        ),
    );
}

#[test]
fn entries_of_the_same_name_are_merged_and_disabled_ones_are_gone() {
    let home = Home::new("inherit-names");
    base(&home);
    let elsewhere = home.path().join("stopped-elsewhere").display().to_string();
    let third = home.path().join("third").display().to_string();
    home.raw_profile(
        "home",
        &format!(
            "version = 1\ninherit = \"base\"\n\
             [[target]]\nname = \"nas\"\nconnections = 7\npassword = {{ command = [\"echo\", \"x\"] }}\n\
             [[target]]\nname = \"usb\"\ndisabled = true\n\
             [[target]]\nname = \"third\"\nurl = \"file://{third}\"\n\
             [[hook]]\nname = \"stop\"\nexec = [\"touch\", {elsewhere:?}]\ncommands = {{ append = [\"check\"] }}\n\
             [[hook]]\nname = \"tell\"\ndisabled = true\n\
             [[source.dump]]\nname = \"two\"\ndisabled = true\n\
             [[source.dump]]\nname = \"one\"\ncommand = [\"echo\", \"of the profile\"]\n"
        ),
    );
    let all = shown(&home, &[], &[]);
    // What is changed is the profile's, what is not is the base's, each with its line.
    for (key, value, file, text) in [
        ("target.0.connections", "7", "home.toml", "connections = 7"),
        ("target.0.retries", "2", "base.toml", "retries = 2"),
        ("target.1.disabled", "true", "home.toml", "disabled = true"),
        ("hook.0.timeout", "\"2m\"", "base.toml", "timeout = "),
        ("hook.0.on", "\"before\"", "base.toml", "on = \"before\""),
        ("source.dump.0.kind", "\"command\"", "base.toml", "kind = "),
    ] {
        assert_eq!(
            line(&all, key),
            Some((value, at(&home, file, text).as_str())),
            "{key}"
        );
    }
    assert_eq!(line(&all, "target.2.name").map(|l| l.0), Some("\"third\""));
    assert_eq!(
        line(&all, "hook.0.commands").map(|l| l.0),
        Some("[\"backup\", \"check\"]")
    );
    // A secret replaces the inherited one whole.
    assert!(line(&all, "target.0.password.command").is_some());
    assert_eq!(line(&all, "target.0.password.file"), None);

    home.expect(0, &["home", "backup"]);
    let there = |name: &str| home.path().join(name).exists();
    assert!(there("nas") && there("third") && !there("usb"));
    assert!(there("stopped-elsewhere") && !there("stopped") && !there("told"));
    let out = home.path().join("out");
    home.expect(0, &["home", "restore", &out.display().to_string()]);
    let dump = fs::read_to_string(out.join("dupr-dumps/one")).expect("dump");
    assert_eq!(dump, "of the profile\n");
    assert!(!out.join("dupr-dumps/two").exists());
    // A profile may take back what its base takes away.
    let text = fs::read_to_string(path(&home, "home.toml")).expect("profile");
    home.raw_profile("middle", &text.replace("version = 1\n", ""));
    home.raw_profile(
        "home",
        "version = 1\ninherit = \"middle\"\n[[target]]\nname = \"usb\"\ndisabled = false\n",
    );
    home.expect(0, &["home", "backup"]);
    assert!(there("usb"));
}

#[test]
fn a_list_with_an_entry_without_a_name_replaces_the_inherited_one() {
    let home = Home::new("inherit-unnamed");
    base(&home);
    let other = home.path().join("other").display().to_string();
    home.raw_profile(
        "home",
        &format!(
            "version = 1\ninherit = \"base\"\n[[hook]]\non = \"before\"\nexec = [\"touch\", {other:?}]\n\
             [[target]]\nname = \"nas\"\nretries = 0\n"
        ),
    );
    home.expect(0, &["home@nas", "backup"]);
    let there = |name: &str| home.path().join(name).exists();
    assert!(there("other") && !there("stopped") && !there("told"));
    assert!(there("nas") && !there("usb"));
    let all = shown(&home, &[], &[]);
    assert!(line(&all, "hook.0.exec").is_some() && line(&all, "hook.1.exec").is_none());
    assert!(line(&all, "target.1.url").is_some());
}

#[test]
fn what_is_taken_away_must_be_there_and_something_must_be_left() {
    let home = Home::new("inherit-wrong");
    base(&home);
    let wrong = |more: &str, says: &str| {
        home.raw_profile("home", &format!("version = 1\ninherit = \"base\"\n{more}"));
        let told = home.expect(2, &["home", "backup"]);
        assert!(told.stderr.contains(says), "{more}: {}", told.stderr);
    };
    for (table, what) in [
        ("hook", "hook"),
        ("target", "target"),
        ("source.dump", "dump"),
    ] {
        wrong(
            &format!("[[{table}]]\nname = \"stpo\"\ndisabled = true\n"),
            &format!("no inherited {what} is called \"stpo\""),
        );
    }
    wrong(
        "[[target]]\nname = \"nas\"\ndisabled = true\n[[target]]\nname = \"usb\"\ndisabled = true\n",
        "every target is disabled",
    );
}

#[test]
fn two_hooks_of_one_name_in_one_file_are_refused() {
    let home = Home::new("inherit-twice");
    let hook = "[[hook]]\nname = \"a\"\non = \"before\"\nexec = [\"true\"]\n";
    home.profile("home", &hook.repeat(2));
    let told = home.expect(2, &["home", "backup"]);
    assert!(
        told.stderr.contains("two hooks are called a"),
        "{}",
        told.stderr
    );
}

#[test]
fn lists_are_edited_at_both_ends() {
    let home = Home::new("inherit-edit");
    base(&home);
    for folder in ["scratch", "cache"] {
        fs::create_dir_all(home.source().join(folder)).expect("folder");
    }
    for name in ["scratch/kept", "scratch/lost", "cache/kept", "x.o", "y.c"] {
        home.write(name, "text\n");
    }
    // The first rule that matches decides, so it matters at which end one is put.
    let kept = format!("\"+ {}/scratch/kept\"", home.source().display());
    for (edit, select, there) in [
        (
            "prepend = [\"- **/y.c\"], append = [\"- **/*.o\"], remove = [\"- **/cache\"]",
            "[\"- **/y.c\", \"- **/scratch\", \"- **/*.o\"]",
            &["cache/kept", "one"][..],
        ),
        (
            "prepend = [KEPT]",
            "[KEPT, \"- **/cache\", \"- **/scratch\"]",
            &["scratch/kept", "x.o", "y.c", "one"],
        ),
        (
            "append = [KEPT, \"- **/*.o\"]",
            "[\"- **/cache\", \"- **/scratch\", KEPT, \"- **/*.o\"]",
            &["y.c", "one"],
        ),
    ] {
        let (edit, select) = (edit.replace("KEPT", &kept), select.replace("KEPT", &kept));
        home.raw_profile(
            "home",
            &format!("version = 1\ninherit = \"base\"\n[source]\nselect = {{ {edit} }}\n"),
        );
        let all = shown(&home, &[], &[]);
        let found = line(&all, "source.select").map(|l| l.0);
        assert_eq!(found, Some(select.as_str()));
        home.expect(0, &["home@nas", "full"]);
        let listed = home.expect(0, &["home", "list"]).stdout;
        for name in [
            "scratch/kept",
            "scratch/lost",
            "cache/kept",
            "x.o",
            "y.c",
            "one",
        ] {
            let is_there = listed.lines().any(|l| l.ends_with(&format!(" {name}")));
            assert_eq!(is_there, there.contains(&name), "{edit}: {name}: {listed}");
        }
    }
    // An edit of a list nobody has set begins with an empty one.
    home.raw_profile(
        "home",
        "version = 1\ninherit = \"base\"\n[source]\nexclude-regex = { prepend = [\"o$\"] }\n",
    );
    let all = shown(&home, &[], &[]);
    assert_eq!(
        line(&all, "source.exclude-regex").map(|l| l.0),
        Some("[\"o$\"]")
    );
}

#[test]
fn every_value_says_where_it_came_from() {
    let home = Home::new("inherit-show");
    home.raw_profile(
        "base",
        "[retention]\nkeep-fulls = 3\nmax-age = \"1Y\"\n[backup]\nfull-every = \"1M\"\n",
    );
    home.profile(
        "home",
        "[retention]\nkeep-fulls = 5\n[backup]\nmax-block-size = 4096\n",
    );
    let file = fs::read_to_string(path(&home, "home.toml")).expect("profile");
    home.raw_profile(
        "home",
        &file.replace("version = 1\n", "version = 1\ninherit = \"base\"\n"),
    );
    let variables = [
        ("DUPR_BACKUP__VOLUME_SIZE", "25 MiB"),
        ("DUPR_RETENTION__KEEP_YEARLY", "2"),
        ("DUPR__DESCRIPTION", "from outside"),
        ("DUPR_KEYS__SIGN_PASSPHRASE", "never shown"),
    ];
    let set = ["--set", "retention.keep-yearly=4", "--set", "run.nice=7"];
    let all = shown(&home, &set, &variables);
    let base = |text: &str| at(&home, "base.toml", text);
    let own = |text: &str| at(&home, "home.toml", text);
    for (key, value, origin) in [
        ("retention.max-age", "\"1Y\"", base("max-age")),
        ("retention.keep-fulls", "5", own("keep-fulls")),
        ("backup.full-every", "\"1M\"", base("full-every")),
        ("backup.max-block-size", "4096", own("max-block-size")),
        (
            "backup.volume-size",
            "\"25 MiB\"",
            "environment DUPR_BACKUP__VOLUME_SIZE".to_owned(),
        ),
        (
            "description",
            "\"from outside\"",
            "environment DUPR__DESCRIPTION".to_owned(),
        ),
        // The last layer wins, and is named.
        (
            "retention.keep-yearly",
            "4",
            "--set retention.keep-yearly".to_owned(),
        ),
        ("run.nice", "7", "--set run.nice".to_owned()),
        ("run.default", "\"backup\"", "default".to_owned()),
        // A secret of the environment is a reference to its variable.
        (
            "keys.sign-passphrase.env",
            "\"DUPR_KEYS__SIGN_PASSPHRASE\"",
            "environment DUPR_KEYS__SIGN_PASSPHRASE".to_owned(),
        ),
    ] {
        assert_eq!(line(&all, key), Some((value, origin.as_str())), "{key}");
    }
    assert!(
        all.iter()
            .all(|[_, value, _]| !value.contains("never shown"))
    );
    // For people: the same in columns.
    let text = home
        .expect(0, &["show", "home", "--set", "run.nice=7"])
        .stdout;
    let nice = text
        .lines()
        .find(|l| l.contains("run.nice"))
        .unwrap_or_default();
    assert!(
        nice.contains('7') && nice.contains("--set run.nice"),
        "{text}"
    );
    // What is set has its effect, as it is shown: the last layer decides where the set goes.
    let url = |name: &str| format!("file://{}", home.path().join(name).display());
    let set = format!("target.url={}", url("set"));
    for (arguments, goes) in [(&[][..], "variable"), (&["--set", set.as_str()][..], "set")] {
        let mut command =
            home.command(&[&["home", "full", "--allow-empty-target"][..], arguments].concat());
        command.env("DUPR_TARGET__URL", url("variable"));
        let called = called(command.output().expect("dupr"));
        assert_eq!(called.code, 0, "{}", called.stderr);
        let there = ["variable", "set"].map(|name| home.path().join(name).exists());
        assert_eq!(there, [true, goes == "set"]);
    }
    assert!(!home.target().exists());
}

#[test]
fn the_password_of_a_dump_is_never_shown_and_is_replaced_whole() {
    let home = Home::new("inherit-secret");
    let dump = "[[source.dump]]\nname = \"shop\"\nkind = \"mariadb\"\ndatabases = \"all\"\npassword = \"never shown\"\n";
    let write = |head: &str, tables: &str| {
        let (source, target) = (home.source(), home.target());
        let text = format!(
            "version = 1\n{head}target = \"file://{}\"\n[keys]\nencryption = \"none\"\n[source]\npath = {source:?}\n{tables}",
            target.display()
        );
        home.raw_profile("home", &text);
    };
    write("allow-inline-secrets = true\n", dump);
    let all = shown(&home, &[], &[]);
    let starred = line(&all, "source.dump.0.password").map(|l| l.0);
    assert_eq!(starred, Some("\"***\""));
    // Nor in the line that a problem quotes.
    write("", dump);
    let told = home.expect(2, &["home", "backup"]).stderr;
    assert!(told.contains("allow-inline-secrets"), "{told}");
    assert!(!told.contains("never shown"), "{told}");
    // Another profile names a command instead: nothing of it is left.
    home.raw_profile("base", &format!("allow-inline-secrets = true\n{dump}"));
    let command = "[[source.dump]]\nname = \"shop\"\npassword = { command = [\"echo\", \"x\"] }\n";
    write("inherit = \"base\"\n", command);
    let all = shown(&home, &[], &[]);
    assert!(line(&all, "source.dump.0.password.command").is_some());
    assert!(line(&all, "source.dump.0.password").is_none());
    assert!(line(&all, "source.dump.0.databases").is_some());
}
