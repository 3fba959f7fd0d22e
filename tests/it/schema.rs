//! The JSON Schemas as an editor's language server for TOML reads them.

use crate::support::home::Home;
use crate::support::programs::find;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What taplo finds in a file, judged by a schema; empty if it is right.
fn findings(taplo: &Path, schema: &Path, file: &Path) -> String {
    let output = Command::new(taplo)
        .args(["lint", "--colors", "never", "--schema"])
        .arg(format!("file://{}", schema.display()))
        .arg(file)
        .output()
        .expect("taplo");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.success() || text.contains("schema validation failed"),
        "{}: {text}",
        file.display()
    );
    match output.status.success() {
        true => String::new(),
        false => text,
    }
}

fn examples(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("examples") {
        let path = entry.expect("entry").path();
        if path.is_dir() {
            examples(&path, found);
        } else if path.extension().is_some_and(|e| e == "toml") {
            found.push(path);
        }
    }
}

#[test]
fn an_editor_understands_profiles_and_groups() {
    let Some(taplo) = find("taplo") else {
        return;
    };
    let home = Home::new("schema");
    let schema = |of: &str| {
        let path = home.path().join(format!("{of}.json"));
        fs::write(&path, home.expect(0, &["schema", of]).stdout).expect("schema");
        path
    };
    let (profile, groups) = (schema("profile"), schema("groups"));
    let mut files = Vec::new();
    examples(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles.example"),
        &mut files,
    );
    assert!(files.len() > 5, "{files:?}");
    for file in files {
        let schema = match file.ends_with("groups.toml") {
            true => &groups,
            false => &profile,
        };
        assert_eq!(
            findings(&taplo, schema, &file),
            "",
            "{} is not right",
            file.display()
        );
    }
    // Edits of inherited lists, entries by name, and another name for a kind.
    let right = home.path().join("right.toml");
    let text = "version = 1\ninherit = \"base\"\n[source]\nselect = { prepend = [\"+ **/a\"], append = [\"- **/b\"], remove = [\"- **/c\"] }\n\
                [[source.dump]]\nname = \"pg\"\nkind = \"postgres\"\n[[source.dump]]\nname = \"old\"\ndisabled = true\n\
                [[hook]]\nname = \"stop\"\nscope = \"source\"\n[[target]]\nname = \"usb\"\ndisabled = true\n";
    fs::write(&right, text).expect("write");
    assert_eq!(findings(&taplo, &profile, &right), "");
    let wrong = home.path().join("wrong.toml");
    for (schema, text, place) in [
        (
            &profile,
            "version = 1\n[backup]\nvolume-size = 3\n",
            "wrong.toml:3:15",
        ),
        (&profile, "version = 1\nsorce = \"/home\"\n", "'sorce'"),
        (
            &profile,
            "version = 1\n[source]\nselect = { prepand = [] }\n",
            "wrong.toml:3:",
        ),
        (
            &profile,
            "version = 1\n[[hook]]\nscope = \"every\"\n",
            "wrong.toml:3:",
        ),
        (
            &groups,
            "[nightly]\nprofiles = [\"home\"]\nparalel = 2\n",
            "wrong.toml:",
        ),
    ] {
        fs::write(&wrong, text).expect("write");
        let said = findings(&taplo, schema, &wrong);
        assert!(said.contains(place), "{text}: {said}");
    }
}
