//! The JSON Schemas as taplo reads them: by its own command line, and by the language server that editors have inside.

use crate::support::home::Home;
use crate::support::programs::find;
use serde_json::Value;
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

/// What taplo's language server tells an editor that has opened a file and stands at a place in it, both counted from 0.
fn told(server: &Path, file: &Path, line: u32, column: u32) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/taplo_lsp.cjs");
    let output = Command::new(find("node").expect("node came with the server"))
        .arg(script)
        .args([server, file])
        .args([line.to_string(), column.to_string()])
        .output()
        .expect("node");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// The words that are offered.
fn offered(told: &Value) -> Vec<&str> {
    let list = &told["completions"];
    let list = list.as_array().or_else(|| list["items"].as_array());
    let labels = list.into_iter().flatten().map(|item| &item["label"]);
    labels.filter_map(Value::as_str).collect()
}

/// As docs/profile.md has it: the schemas lie beside the profiles, and the first line of each names its own.
#[test]
fn an_editors_language_server_checks_and_completes_what_is_typed() {
    let Some(server) = find("taplo-lsp") else {
        return;
    };
    let home = Home::new("schema-editor");
    let folder = home.path().join(".config/dupr");
    let written = |name: &str, text: &str| {
        let path = folder.join(name);
        fs::write(&path, text).expect("write");
        path
    };
    for of in ["profile", "groups"] {
        let text = home.expect(0, &["schema", of]).stdout;
        written(&format!("{of}.schema.json"), &text);
    }
    // A profile that runs.
    let head = format!(
        "#:schema ./profile.schema.json\nversion = 1\nsource = {:?}\ntarget = \"file://{}\"\npassphrase = {{ file = {:?} }}\n[backup]\n\n",
        home.source(),
        home.target().display(),
        home.path().join("pass"),
    );
    home.raw_profile("right", &head);
    home.expect(0, &["right", "backup"]);
    let right = told(&server, &folder.join("right.toml"), 6, 0);
    assert_eq!(right["diagnostics"], serde_json::json!([]), "{right}");
    let words = offered(&right);
    for word in ["volume-size", "full-every", "file-prefix"] {
        assert!(words.contains(&word), "{word}: {words:?}");
    }
    assert!(!words.contains(&"keep-fulls"), "{words:?}");
    // Mistakes, where they are, and what a key means.
    let wrong = written(
        "wrong.toml",
        "#:schema ./profile.schema.json\nversion = 1\nsorce = \"/x\"\n[backup]\nvolume-size = 3\n",
    );
    let wrong = told(&server, &wrong, 4, 3);
    let problems = wrong["diagnostics"].as_array().expect("a list");
    let unknown = |p: &Value| p["message"].to_string().contains("'sorce' was unexpected");
    assert!(problems.iter().any(unknown), "{wrong}");
    let size = problems
        .iter()
        .find(|p| p["message"] == "3 is not of type \"string\"");
    assert_eq!(size.expect("a problem")["range"]["start"]["line"], 4);
    assert!(
        wrong["hover"].to_string().contains("200 MiB"),
        "{}",
        wrong["hover"]
    );
    let groups = written(
        "groups.toml",
        "#:schema ./groups.schema.json\n[nightly]\nprofiles = [\"right\"]\n\n",
    );
    let groups = told(&server, &groups, 3, 0);
    assert_eq!(groups["diagnostics"], serde_json::json!([]), "{groups}");
    let words = offered(&groups);
    assert!(words.contains(&"continue-on-error"), "{words:?}");
}
