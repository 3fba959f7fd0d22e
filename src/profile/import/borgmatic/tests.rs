use super::config::Config;
use super::rules::{Rule, rule};
use super::*;
use crate::profile::import::bench::Bench;
use crate::profile::{HookMoment, SecretRef};

fn fresh() -> Bench {
    Bench::new("home")
}

fn taken(bench: &Bench, name: &str, text: &str) -> Result<Imported, Errors> {
    import(&bench.write(name, text, 0o644), None, &bench.around)
}

const TODAY: &str = r#"
constants:
  user: ada
source_directories:
  - /home
  - /etc
repositories:
  - path: ssh://{user}@nas.local:2222/./backup.borg
    label: nas
  - path: /mnt/disk/borg
encryption_passphrase: "c4nary: x"
exclude_patterns:
  - '*.pyc'
  - /home/*/.cache
  - /home/ada/tmp/
patterns:
  - + sh:/home/ada/tmp/keep
exclude_caches: true
exclude_if_present: [.nobackup]
one_file_system: true
compression: zstd,15
ssh_command: ssh -i /root/.ssh/id
upload_rate_limit: 500
retries: 3
retry_wait: 10
keep_daily: 7
keep_monthly: 6
checks:
  - name: repository
    frequency: 2 weeks
  - name: spot
    frequency: 1 month
    data_sample_percentage: 1
    count_tolerance_percentage: 10
    data_tolerance_percentage: 0.5
commands:
  - before: action
    when: [create]
    run: [systemctl stop app]
  - after: action
    when: [create]
    run: [systemctl start app]
  - after: error
    run: ['echo "${HOST:-here} failed"']
healthchecks:
  ping_url: https://hc-ping.com/abc
ntfy:
  topic: backups
  access_token: t0ken
postgresql_databases:
  - name: all
    hostname: db.local
    port: 5433
    username: backup
    password: pgs3cret
    format: custom
    options: --no-owner
    pg_dump_command: docker exec db pg_dump
sqlite_databases:
  - name: vault
    path: /srv/vault.db
mongodb_databases:
  - name: all
    hostname: mongo.local
    authentication_database: backups
  - name: shop
    format: directory
pushover:
  token: s3cret
  user: u
borg_base_directory: /x
"#;

#[test]
fn a_configuration_of_today_is_taken_over() {
    let bench = fresh();
    let imported = taken(&bench, "config.yaml", TODAY).unwrap();
    assert_eq!(imported.name, "borgmatic");
    let profile = bench.written(&imported);
    assert_eq!(profile.source.root, Path::new("/"));
    let select = imported.toml.split_once("select = ").unwrap().1;
    let select = select.split_once(']').unwrap().0;
    let select: Vec<&str> = select.lines().skip(1).map(|l| l.trim()).collect();
    let expected = [
        r#""+ /home/ada/tmp/keep","#,
        r#""- **.pyc","#,
        r#""- /home/**/.cache","#,
        r#""- /home/ada/tmp/*","#,
        r#""+ /home","#,
        r#""+ /etc","#,
        r#""- **","#,
    ];
    assert_eq!(select, expected);
    assert_eq!(profile.other_targets.len(), 1);
    for part in [
        r#"url = "sftp://ada@nas.local:2222/backup.borg-dupr""#,
        r#"options = { ssh-options = "-i /root/.ssh/id" }"#,
        r#"url = "file:///mnt/disk/borg-dupr""#,
        r#"upload-limit = "500 KiB/s""#,
        r#"exclude-if-present = ["#,
        r#"compression = "best""#,
        r#"quick = "2 weeks""#,
        r#"spot = { every = "1 month", sample = "1%" }"#,
        r#"default = "backup_purge_check""#,
        r#"retries = { max = 3, wait = "10s" }"#,
        "keep-monthly = 6",
        "# keep_daily = 7",
        r#"url = "https://ntfy.sh/backups""#,
        r#"url = "https://hc-ping.com/abc""#,
        "${env.HOST:-here} failed",
        "kind = \"postgresql\"\nname = \"postgresql\"\ndatabases = \"all\"\nhost = \"db.local\"\nuser = \"backup\"\nport = 5433",
        "path = \"/srv/vault.db\"",
        "kind = \"mongodb\"\nname = \"mongodb.archive\"\nhost = \"mongo.local\"\n",
        "--authenticationDatabase=backups",
        "kind = \"mongodb\"\nname = \"mongodb2\"\ndatabases = ",
    ] {
        assert!(imported.toml.contains(part), "{part}\n{}", imported.toml);
    }
    let moments: Vec<HookMoment> = profile.hooks.iter().map(|hook| hook.on).collect();
    assert_eq!(
        moments,
        [HookMoment::Before, HookMoment::Finally, HookMoment::Error]
    );
    let told = imported.warnings.join("\n");
    for part in [
        "one_file_system",
        "pushover",
        "stays as it is",
        "the format directory",
        "pg_dump_command",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert!(!told.contains("borg_base_directory"), "{told}");
    let shown = format!("{told}{}", imported.toml);
    for secret in ["c4nary", "t0ken", "s3cret", "pgs3cret"] {
        assert!(!shown.contains(secret), "{secret}");
    }
}

#[test]
fn a_configuration_in_sections_is_taken_over() {
    let bench = fresh();
    std::fs::write(bench.path().join("no.txt"), "# much\n*/node_modules\n").unwrap();
    let text = r#"
location:
    source_directories:
        - ~/work
    repositories:
        - backup@host:repo
        - rclone:disk:/srv/repo/
        - rclone:cloud:repo
    exclude_from: [no.txt]
    one_file_system: true
storage:
    encryption_passcommand: pass show "borg backup"
retention:
    keep_within: 3w
    keep_daily: 7
consistency:
    checks: [repository, archives]
hooks:
    before_backup:
        - echo "begins"
    on_error: [echo bad]
"#;
    let imported = taken(&bench, "web.yaml", text).unwrap();
    assert_eq!(imported.name, "web");
    let profile = bench.written(&imported);
    assert_eq!(profile.source.root, bench.path().join("home/work"));
    assert!(profile.source.one_filesystem);
    for part in [
        r#"select = ["- **/node_modules"]"#,
        r#"url = "sftp://backup@host/repo-dupr""#,
        r#"url = "rclone://disk://srv/repo-dupr""#,
        r#"url = "rclone://cloud:repo-dupr""#,
        r#"passphrase = { command = ["pass", "show", "borg backup"] }"#,
        r#"max-age = "3W""#,
        r#"quick = "1 day""#,
        r#"exec = ["sh", "-c", 'echo "begins"']"#,
    ] {
        assert!(imported.toml.contains(part), "{part}\n{}", imported.toml);
    }
    assert_eq!(profile.hooks.len(), 2);
}

#[test]
fn secrets_are_taken_from_where_borgmatic_takes_them() {
    let bench = fresh();
    for (value, expected) in [
        ("${PASS}", SecretRef::Env("PASS".into())),
        (
            "'{credential file /etc/p}'",
            SecretRef::File("/etc/p".into()),
        ),
        (
            "'{credential systemd borg}'",
            SecretRef::SystemdCredential("borg".into()),
        ),
        (
            "'{credential container borg}'",
            SecretRef::File("/run/secrets/borg".into()),
        ),
    ] {
        let text = format!(
            "source_directories: [/home]\nrepositories: [path: /mnt/b]\nencryption_passphrase: {value}\n"
        );
        let imported = taken(&bench, "config.yaml", &text).unwrap();
        assert!(imported.files.is_empty());
        let profile = bench.written(&imported);
        assert_eq!(profile.keys.passphrase.as_ref(), Some(&expected), "{value}");
        std::fs::remove_dir_all(bench.path().join("dupr")).unwrap();
    }
}

#[test]
fn patterns_mean_the_same() {
    let glob = |style, text| match rule(style, text) {
        Some(Rule::Glob(glob)) => glob,
        other => panic!("{style} {text}: {other:?}"),
    };
    assert_eq!(glob("fm", "*/.cache"), "**/.cache");
    assert_eq!(glob("fm", "/home/*/x?"), "/home/**/x?");
    assert_eq!(glob("fm", "home/a/"), "/home/a/*");
    assert_eq!(glob("sh", "/home/*/x"), "/home/*/x");
    assert_eq!(glob("sh", "**/x/**"), "**/x/**");
    assert_eq!(glob("pp", "/a [1]/b*"), "/a [[]1]/b[*]");
    assert_eq!(
        rule("re", "^home/.*\\.o$"),
        Some(Rule::Regex("^/home/.*\\.o$".into()))
    );
    assert_eq!(rule("sh", "/a/{b,c}"), None);
    assert_eq!(rule("fm", ""), None);
}

#[test]
fn what_is_no_configuration_says_why() {
    let bench = fresh();
    for (text, part) in [
        ("a: [1", "line"),
        ("- a", "not a table"),
        ("source_directories: [/x]", "no repository"),
        ("repositories: [path: /x]", "source_directories"),
        ("<<: !include base.yaml", "config validate --show"),
        ("a: &a [*a, *a]", ""),
    ] {
        let error = taken(&bench, "config.yaml", text).unwrap_err();
        let told = error.render(false);
        assert!(told.contains(part), "{text}: {told}");
        assert!(
            told.contains("config.yaml") || part.starts_with(['n', 's']),
            "{told}"
        );
    }
    let missing = import(Path::new("nowhere.yaml"), None, &bench.around).unwrap_err();
    assert!(missing.render(false).contains("nowhere.yaml"));
    let deep = "a: ".to_owned() + &"[".repeat(100_000);
    assert!(taken(&bench, "config.yaml", &deep).is_err());
    let bomb: String = (1..30)
        .map(|n| format!("a{n}: &a{n} [*a{0}, *a{0}]\n", n - 1))
        .collect();
    assert!(taken(&bench, "config.yaml", &format!("a0: &a0 [x]\n{bomb}")).is_err());
}

#[test]
fn merges_and_variables_are_put_in() {
    let bench = fresh();
    let file = bench.path().join("c.yaml");
    std::fs::write(
        &file,
        "base: &base\n  a: '${X:-y} ${Z-z} \\${N}'\ntop:\n  <<: *base\nconstants: {n: 7}\nb: 'x{n}${n}'\n",
    )
    .unwrap();
    let mut config = Config::read(&file).unwrap();
    assert_eq!(config.text("b").unwrap(), "x7${env.n}");
    let top = &config.values("top")[0];
    assert_eq!(
        config::field(top, "a").unwrap(),
        "${env.X:-y} ${env.Z:-z} $${N}"
    );
}
