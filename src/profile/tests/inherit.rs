//! What one profile takes over from another.

use super::*;

#[test]
fn profiles_inherit_tables_and_edit_lists() {
    let dir = tempfile::tempdir().unwrap();
    write(
        dir.path(),
        "base.toml",
        r#"
passphrase = { env = "BASE_PASS" }
[source]
select = ["- **/.cache", "- **/tmp"]
exclude-regex = ["a"]
[retention]
keep-fulls = 3
max-age = "1Y"
[target]
url = "file:///base"
options = { region = "eu" }
"#,
    );
    write(
        dir.path(),
        "home/profile.toml",
        r#"version = 1
inherit = ["base"]
passphrase = { file = "home.pass" }
[source]
path = "/home/me"
select = { append = ["+ /home/me/x"], remove = ["- **/tmp"] }
exclude-regex = ["b"]
[retention]
keep-fulls = 5
[target]
url = "file:///home-${vars.site}"
[vars]
site = "berlin"
"#,
    );
    write(dir.path(), "home/home.pass", "secret\n");
    write(dir.path(), "home/pre", "#!/bin/sh\n");
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(
            dir.path().join("home/pre"),
            std::fs::Permissions::from_mode(0o700),
        )
        .unwrap();
    }
    let around = Surroundings {
        config_dirs: vec![dir.path().to_owned()],
        look_at_files: true,
        ..around()
    };
    let profile = load("home", &around, &[]).unwrap();
    assert_eq!(profile.retention.keep_fulls, Some(5));
    assert_eq!(
        profile.retention.max_age.as_ref().map(Age::as_str),
        Some("1Y")
    );
    assert_eq!(profile.target.url.expose(), "file:///home-berlin");
    assert_eq!(profile.target.options["region"], "eu");
    assert_eq!(
        profile.keys.passphrase,
        Some(SecretRef::File(dir.path().join("home/home.pass")))
    );
    let globs: Vec<&SelectRule> = profile
        .source
        .rules
        .iter()
        .filter(|r| matches!(r, SelectRule::Glob { .. }))
        .collect();
    assert_eq!(
        globs,
        [
            &SelectRule::Glob {
                include: false,
                pattern: "**/.cache".into()
            },
            &SelectRule::Glob {
                include: true,
                pattern: "/home/me/x".into()
            },
        ]
    );
    assert_eq!(
        profile.source.rules[0],
        SelectRule::Regex {
            include: false,
            pattern: "b".into()
        }
    );
    let pre = profile
        .hooks
        .iter()
        .find(|h| h.on == HookMoment::Pre)
        .unwrap();
    assert_eq!(
        pre.exec,
        [dir.path().join("home/pre").display().to_string()]
    );
    assert_eq!(pre.on_failure, OnFailure::Abort);

    let shown = Loaded::read("home", &around, &[]).unwrap().show();
    let line = |key: &str| {
        shown
            .iter()
            .find(|s| s.key == key)
            .map(|s| (s.value.clone(), s.origin.clone()))
    };
    let home = dir.path().join("home/profile.toml").display().to_string();
    let base = dir.path().join("base.toml").display().to_string();
    assert_eq!(
        line("retention.keep-fulls"),
        Some(("5".into(), format!("{home}:9")))
    );
    assert_eq!(
        line("retention.max-age"),
        Some(("\"1Y\"".into(), format!("{base}:8")))
    );
    assert_eq!(
        line("backup.volume-size"),
        Some(("\"200 MiB\"".into(), "default".into()))
    );
    assert_eq!(
        line("keys.passphrase.file"),
        Some(("\"home.pass\"".into(), format!("{home}:3")))
    );
    assert_eq!(line("keys.passphrase.env"), None);
}

#[test]
fn inheritance_that_cannot_be_is_told() {
    let dir = tempfile::tempdir().unwrap();
    write(
        dir.path(),
        "a.toml",
        &format!("inherit = [\"b\", \"absent\"]\n{MINIMAL}"),
    );
    write(dir.path(), "b.toml", "inherit = \"a\"\n");
    let around = Surroundings {
        config_dirs: vec![dir.path().to_owned()],
        ..around()
    };
    let text = load("a", &around, &[]).unwrap_err().to_string();
    assert!(text.contains("inherits itself"), "{text}");
    assert!(
        text.contains(":1:17: there is no profile \"absent\""),
        "{text}"
    );
}
