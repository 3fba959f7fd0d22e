use super::*;
use crate::plan::OnFailure;
use proptest::prelude::*;
use std::path::Path;

mod inherit;
mod mistakes;
mod targets;

fn around() -> Surroundings {
    Surroundings {
        home: "/home/me".into(),
        cache_dir: "/home/me/.cache/dupr".into(),
        temp_dir: "/tmp".into(),
        current_dir: "/work".into(),
        judge_batch: Some(crate::plan::default_batch),
        ..Surroundings::default()
    }
}

fn check_with(text: &str, around: &Surroundings, sets: &[(&str, &str)]) -> Result<Profile, Errors> {
    let sets: Vec<(String, String)> = sets
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect();
    Loaded::from_text(Path::new("/etc/dupr/home.toml"), text, around, &sets)?.check(around)
}

fn check(text: &str) -> Result<Profile, Errors> {
    check_with(text, &around(), &[])
}

const MINIMAL: &str = r#"version = 1
source  = "/home/me"
target  = "sftp://me@nas.local//backups/home"
passphrase = { file = "/etc/dupr/home.pass" }
"#;

fn problems(text: &str) -> Vec<String> {
    check(text)
        .map(|_| Vec::new())
        .unwrap_or_else(|e| e.to_string().lines().map(str::to_owned).collect())
}

fn with(more: &str) -> String {
    format!("{MINIMAL}{more}")
}

#[test]
fn four_lines_make_a_profile() {
    let profile = check(MINIMAL).unwrap();
    assert_eq!(profile.name, "home");
    assert_eq!(profile.source.root, Path::new("/home/me"));
    assert!(profile.source.must_exist);
    assert_eq!(
        profile.target.url.masked(),
        "sftp://me@nas.local//backups/home"
    );
    assert_eq!(
        profile.keys.passphrase,
        Some(SecretRef::File("/etc/dupr/home.pass".into()))
    );
    assert_eq!(profile.keys.encryption, Encryption::Gpg);
    assert_eq!(
        profile.backup.archive_dir,
        Path::new("/home/me/.cache/dupr/home")
    );
    assert_eq!(profile.backup.volume_bytes, 200 << 20);
    assert_eq!(profile.run.default, "backup");
    assert_eq!(profile.retention, Retention::default());
}

#[test]
fn every_problem_is_told_at_once_with_its_place() {
    let text = r#"version = 1
source = 5
target = "nas.local/backups"
descripton = "x"
[backup]
full-every = "1 parsec"
volume-size = "200 MoB"
volumesize = 3
[retention]
keep-fulls = -1
[schedule]
cron = "17 25 * * *"
[[hook]]
on = "befor"
exec = "docker stop"
"#;
    assert_eq!(
        problems(text),
        [
            "/etc/dupr/home.toml:2:10: expected a table, found 5 (write source = \"/home/me\")",
            "/etc/dupr/home.toml:3:10: the URL has no scheme (write it as sftp://user@host//path)",
            "/etc/dupr/home.toml:4:1: unknown key descripton (did you mean description?)",
            "/etc/dupr/home.toml:6:14: \"parsec\" is not a unit of time (use seconds, minutes, hours, days, weeks, months or years)",
            "/etc/dupr/home.toml:7:15: \"MoB\" is not a unit of size (use KiB, MiB, GiB or TiB)",
            "/etc/dupr/home.toml:8:1: unknown key volumesize (did you mean volume-size?)",
            "/etc/dupr/home.toml:10:14: expected a whole number from 0 up, found -1",
            "/etc/dupr/home.toml:12:12: 25 is no hour (it goes from 0 to 23)",
            "/etc/dupr/home.toml:14:6: \"befor\" is not possible here (did you mean before? possible: before, after, success, warning, error, finally, pre, post)",
            "/etc/dupr/home.toml:15:8: expected a list, found \"docker stop\"",
            "/etc/dupr/home.toml: nothing to encrypt with: no passphrase and no encrypt-to (write passphrase = { file = \"…\" }, or encryption = \"none\" under [keys] if anyone may read the backup)",
        ]
    );
}

#[test]
fn rendering_shows_the_line() {
    let errors = check(&with("[bakcup]\nname = \"x\"\n")).unwrap_err();
    let text = errors.render(false);
    assert!(text.contains("error: unknown key bakcup"), "{text}");
    assert!(text.contains("--> /etc/dupr/home.toml:5:2"), "{text}");
    assert!(text.contains("[bakcup]"), "{text}");
    assert!(text.contains("help: did you mean backup?"), "{text}");
    assert!(!text.contains('\x1b'));
    assert!(errors.render(true).contains('\x1b'));
}

#[test]
fn nothing_is_written_unencrypted_by_accident() {
    let open = MINIMAL
        .lines()
        .take(3)
        .map(|l| format!("{l}\n"))
        .collect::<String>();
    assert!(problems(&open)[0].contains("nothing to encrypt with"));
    let none = format!("{open}[keys]\nencryption = \"none\"\n");
    assert_eq!(check(&none).unwrap().keys.encryption, Encryption::None);
    let both = format!("{none}encrypt-to = [\"a@b\"]\n");
    assert!(problems(&both)[0].contains("encryption is none, yet encrypt-to names keys"));
}

#[test]
fn secrets_in_the_file_need_leave_and_are_never_shown() {
    let inline = "version = 1\nsource = \"/a\"\ntarget = \"sftp://u:c4nary@h/x\"\npassphrase = \"c4nary\"\nbogus = 1\n";
    let errors = check(inline).unwrap_err();
    let text = format!(
        "{errors} {errors:?} {} {}",
        errors.render(false),
        errors.render(true)
    );
    assert!(!text.contains("c4nary"), "{text}");
    assert_eq!(errors.problems.len(), 3, "{errors}");
    let allowed = inline.replace("bogus = 1", "allow-inline-secrets = true");
    let profile = check(&allowed).unwrap();
    assert!(
        matches!(&profile.keys.passphrase, Some(SecretRef::Inline(s)) if s.expose() == b"c4nary")
    );
    assert!(!format!("{profile:?}").contains("c4nary"));
    let loaded = Loaded::from_text(Path::new("x.toml"), &allowed, &around(), &[]).unwrap();
    assert!(!format!("{:?}", loaded.show()).contains("c4nary"));
    // A file that is no TOML at all.
    let broken = "passphrase = \"c4nary\ntarget = \"sftp://u:c4nary@h\"";
    let errors = check(broken).unwrap_err();
    assert!(
        !format!("{errors} {}", errors.render(false)).contains("c4nary"),
        "{}",
        errors.render(false)
    );
}

#[test]
fn keys_that_do_nothing_yet_are_refused() {
    for (more, key) in [
        ("[keys]\ngpg-options = [\"--batch\"]\n", "keys.gpg-options"),
        ("[target.x]\n", ""),
        ("[source.x]\n", ""),
    ] {
        let text = with(more);
        let found = problems(&text).join("\n");
        assert!(
            found.contains(&format!("{key} is not available yet"))
                || key.is_empty() && !found.is_empty(),
            "{found}"
        );
    }
    assert!(
        check(&MINIMAL.replace(
            "\"/home/me\"",
            "{ path = \"/home/me\", snapshot = \"none\" }"
        ))
        .is_ok()
    );
}

#[test]
fn the_environment_and_the_command_line_win() {
    let mut env = around();
    env.env = [
        ("DUPR_BACKUP__VOLUME_SIZE", "25M"),
        ("DUPR_BACKUP__NAME", "007"),
        ("DUPR_TARGET__OPTIONS__STORAGE_CLASS", "COLD"),
        ("DUPR_CONFIG_DIR", "/ignored"),
        ("DUPR_KEYS__PASSPHRASE", "c4nary"),
        ("DUPR__DESCRIPTION", "from outside"),
    ]
    .map(|(k, v)| (k.to_owned(), v.to_owned()))
    .into();
    let profile = check_with(
        MINIMAL,
        &env,
        &[("retention.keep-fulls", "3"), ("source", "/srv")],
    )
    .unwrap();
    assert_eq!(profile.backup.volume_bytes, 25 << 20);
    assert_eq!(profile.backup.name, "007");
    assert_eq!(profile.target.options["storage-class"], "COLD");
    assert_eq!(
        profile.keys.passphrase,
        Some(SecretRef::Env("DUPR_KEYS__PASSPHRASE".into()))
    );
    assert_eq!(profile.description, "from outside");
    assert_eq!(profile.retention.keep_fulls, Some(3));
    assert_eq!(profile.source.root, Path::new("/srv"));

    let bad = check_with(
        MINIMAL,
        &around(),
        &[("backup.volume-siez", "3"), ("backup.full-every", "x")],
    )
    .unwrap_err();
    assert_eq!(
        bad.to_string().lines().collect::<Vec<_>>(),
        [
            "--set backup.volume-siez:1:1: unknown key volume-siez (did you mean volume-size?)",
            "--set backup.full-every:1:25: \"x\" is not an age (write it as 30D, 1h30m or \"14 days\")",
        ]
    );
}

fn write(dir: &Path, name: &str, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    let path = dir.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn files_others_can_get_at_are_refused() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    write(
        dir.path(),
        "home.toml",
        &MINIMAL.replace("/etc/dupr/home.pass", "home.pass"),
    );
    write(dir.path(), "home.pass", "secret");
    let around = Surroundings {
        config_dirs: vec![dir.path().to_owned()],
        look_at_files: true,
        ..around()
    };
    assert!(load("home", &around, &[]).is_ok());
    for (file, mode, message) in [
        ("home.pass", 0o604, "others can read"),
        ("home.toml", 0o606, "others can write"),
    ] {
        let path = dir.path().join(file);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let text = load("home", &around, &[]).unwrap_err().to_string();
        assert!(text.contains(message), "{text}");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    std::fs::remove_file(dir.path().join("home.pass")).unwrap();
    assert!(
        load("home", &around, &[])
            .unwrap_err()
            .to_string()
            .contains("cannot read")
    );
}

#[test]
fn what_only_the_whole_knows_is_checked() {
    for (more, message) in [
        (
            "[run]\ndefault = \"backup_purgeauto\"\n",
            "purgeauto needs a rule under [retention]",
        ),
        (
            "[run]\ndefault = \"bakup\"\n",
            "unknown command \"bakup\" at column 1 (did you mean backup?)",
        ),
        (
            "[run]\ndefault = \"check\"\n",
            "check needs a check under [check]",
        ),
        (
            "[[hook]]\non = \"before\"\ncommands = [\"bakup\"]\nexec = [\"x\"]\n",
            "\"bakup\" is not a command hooks belong to",
        ),
        ("[[hook]]\nexec = [\"x\"]\n", "the hook says no moment"),
        (
            "[report.email]\nto = \"me@x\"\nfrom = \"b@x\"\n",
            "the mail report says no way to send",
        ),
        (
            "[backup]\nname = \"../x\"\n",
            "cannot be the name of a directory",
        ),
        (
            "[backup]\nfile-prefix = \"a/b\"\n",
            "a prefix is part of a name",
        ),
        ("[retention]\nkeep-fulls = 0\n", "at least one chain stays"),
        (
            "[keys]\npassphrase = { env = \"A\" }\n",
            "passphrase and keys.passphrase are the same key",
        ),
        ("[schedule]\njitter = \"5m\"\n", "the schedule says no time"),
    ] {
        let found = problems(&with(more)).join("\n");
        assert!(found.contains(message), "{more}: {found}");
    }
    for (source, message) in [
        (
            "{ path = \"/a\", select = [\"/x\"] }",
            "says neither + nor -",
        ),
        (
            "{ path = \"/a\", exclude-regex = [\"(\"] }",
            "not a regular expression",
        ),
        (
            "{ path = \"/a\", exclude-older-than = \"x\" }",
            "\"x\" is not a time",
        ),
        ("{ select = [] }", "the profile says no source"),
    ] {
        let found = problems(&MINIMAL.replace("\"/home/me\"", source)).join("\n");
        assert!(found.contains(message), "{source}: {found}");
    }
    assert!(
        problems(&MINIMAL.replace("version = 1\n", ""))[0].contains("the profile says no version")
    );
    assert!(
        problems(&MINIMAL.replace("= 1", "= 2"))[0]
            .contains("version 2 of the profile language is not known")
    );
}

const FULL: &str = include_str!("../../profiles.example/full.toml");

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_text_is_a_profile_or_errors(text in "\\PC{0,200}|[a-z\\[\\]={}\"', \n0-9.-]{0,200}") {
        if let Err(errors) = check(&text) {
            let _ = (errors.to_string(), errors.render(false));
        }
    }

    #[test]
    fn a_mutilated_profile_is_a_profile_or_errors(
        start in 0usize..6000, len in 0usize..40, insert in "\\PC{0,6}|[\\[\\]={}\"\n]{0,4}",
    ) {
        let boundary = |mut i: usize| { i = i.min(FULL.len()); while !FULL.is_char_boundary(i) { i -= 1 } i };
        let (start, end) = (boundary(start), boundary(start + len));
        let text = format!("{}{insert}{}", &FULL[..start], &FULL[end..]);
        if let Err(errors) = check(&text) {
            let _ = (errors.to_string(), errors.render(false), errors.render(true));
        }
    }
}

/// Every key the schema knows, as the line of a file that sets it would begin.
fn keys_of(
    schema: &serde_json::Value,
    root: &serde_json::Value,
    into: &mut std::collections::BTreeSet<String>,
) {
    let schema = match schema.get("$ref").and_then(|r| r.as_str()) {
        Some(reference) => &root["$defs"][reference.trim_start_matches("#/$defs/")],
        None => schema,
    };
    for (key, value) in schema
        .get("properties")
        .and_then(|p| p.as_object())
        .into_iter()
        .flatten()
    {
        // The words that edit a list are no keys.
        if matches!(key.as_str(), "append" | "prepend" | "remove") {
            continue;
        }
        if into.insert(key.clone()) || key == "source" || key == "passphrase" {
            keys_of(value, root, into);
        }
    }
    for word in ["anyOf", "allOf", "oneOf"] {
        for one in schema
            .get(word)
            .and_then(|a| a.as_array())
            .into_iter()
            .flatten()
        {
            keys_of(one, root, into);
        }
    }
    if let Some(items) = schema.get("items") {
        keys_of(items, root, into);
    }
}

#[test]
fn the_full_example_names_every_key() {
    let schema = serde_json::to_value(file::schema()).unwrap();
    let mut keys = std::collections::BTreeSet::new();
    keys_of(&schema, &schema, &mut keys);
    assert!(
        keys.len() > 80,
        "only {} keys found in the schema",
        keys.len()
    );
    let named = |key: &str| {
        FULL.lines().any(|line| {
            let line = line.trim_start_matches("# ");
            line.starts_with(&format!("{key} ="))
                || line.trim_matches(['[', ']']).split('.').any(|k| k == key)
                    && line.starts_with('[')
                || line.contains(&format!("{{ {key} ="))
                || line.contains(&format!(", {key} ="))
        })
    };
    let missing: Vec<&String> = keys.iter().filter(|k| !named(k)).collect();
    assert!(
        missing.is_empty(),
        "profiles.example/full.toml does not name {missing:?}"
    );
}

#[test]
fn the_schema_is_one_document() {
    let schema = serde_json::to_value(file::schema()).unwrap();
    assert_eq!(schema["type"], "object");
    assert_eq!(schema["additionalProperties"], false);
    assert!(schema["properties"]["backup"].is_object());
}
