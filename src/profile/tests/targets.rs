//! Several targets of one profile, and those that are copies of others.

use super::*;

#[test]
fn a_copy_names_a_target_before_it() {
    let text = |first: &str, second: &str, third: &str| {
        format!(
            "version = 1\nsource = \"/a\"\npassphrase = {{ env = \"P\" }}\n\
             [[target]]\nname = \"nas\"\nurl = \"file:///a\"\n{first}\
             [[target]]\nname = \"usb\"\nurl = \"file:///b\"\n{second}\
             [[target]]\nname = \"far\"\nurl = \"file:///c\"\n{third}"
        )
    };
    let of = |name: &str| format!("copy-of = {name:?}\n");
    let all = check(&text("", &of("nas"), "")).unwrap().per_target();
    let origins: Vec<_> = all
        .iter()
        .map(|p| p.origin.as_ref().map(|o| o.name.as_str()))
        .collect();
    assert_eq!(origins, [None, Some("home"), None]);
    for (text, message) in [
        (
            text(&of("usb"), "", ""),
            "there is no target \"usb\" before this one",
        ),
        (
            text("", &of("usb"), ""),
            "there is no target \"usb\" before this one",
        ),
        (text("", &of("nas"), &of("usb")), "usb is a copy itself"),
    ] {
        let found = problems(&text);
        assert!(found[0].contains(message), "{found:?}");
    }
}

#[test]
fn several_targets_are_several_profiles() {
    let text = "version = 1\nsource = \"/a\"\npassphrase = { env = \"P\" }\n[[target]]\nurl = \"file:///a\"\n[[target]]\nname = \"usb\"\nurl = \"file:///b\"\noptional = true\n";
    let all = check(text).unwrap().per_target();
    let names: Vec<_> = all
        .iter()
        .map(|p| (p.name.as_str(), p.base_name()))
        .collect();
    assert_eq!(names, [("home", "home"), ("home@usb", "home")]);
    let dirs: Vec<_> = all
        .iter()
        .map(|p| {
            (
                p.target.url.masked(),
                p.backup.archive_dir.display().to_string(),
            )
        })
        .collect();
    assert_eq!(
        dirs,
        [
            ("file:///a", "/home/me/.cache/dupr/home".to_owned()),
            ("file:///b", "/home/me/.cache/dupr/home-usb".to_owned()),
        ]
    );
    let error = check(&text.replace("\"usb\"", "\"first\""))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains(":7:8: two targets are called first"),
        "{error}"
    );
}
