//! The ways into a real OpenSSH: by password, by the agent, into a cage that knows nothing but sftp; and which host keys are
//! believed.

use crate::servers::{Agent, Sshd};
use crate::storage_contract::{names, opened, settings, source};
use crate::support::home::{Home, called};
use dupr::engine::ErrorKind;
use dupr::engine::secret::Secret;
use dupr::engine::storage::{StorageOptions, TargetUrl, open};
use dupr::testing::contract;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// ssh with nothing of the user's own, that trusts what this file says, and uses no key but `key`.
fn way(known: &Path, key: Option<&Path>) -> String {
    let known = known.display();
    let key = key.map_or("/dev/null".into(), |key| key.display().to_string());
    format!(
        "-F none -oUserKnownHostsFile={known} -oGlobalKnownHostsFile=/dev/null \
         -oStrictHostKeyChecking=yes -oUpdateHostKeys=no -oIdentitiesOnly=yes -oIdentityAgent=none -i {key}"
    )
}

fn options(ssh_options: &str) -> StorageOptions {
    StorageOptions {
        settings: settings(&[("ssh-options", ssh_options)]),
        backoff: Duration::from_millis(50),
        attempts: 1,
        askpass: Some(env!("CARGO_BIN_EXE_dupr").into()),
        ..StorageOptions::default()
    }
}

/// Backs up twice by a profile, and restores.
fn backs_up(name: &str, url: &str, ssh_options: &str, more: &str, variables: &[(&str, &str)]) {
    let home = Home::new(name);
    let text = format!(
        "version = 1\nsource = {:?}\npassphrase = {{ file = {:?} }}\n[target]\nurl = {url:?}\n{more}\
         options = {{ ssh-options = {ssh_options:?} }}\n",
        home.source(),
        home.path().join("pass"),
    );
    home.raw_profile("home", &text);
    let dupr = |words: &[&str]| {
        let mut command = home.command(words);
        command.envs(variables.iter().copied());
        let done = called(command.output().expect("dupr"));
        assert_eq!(done.code, 0, "{words:?} {}{}", done.stdout, done.stderr);
    };
    dupr(&["home", "full"]);
    home.write("one", "changed\n");
    dupr(&["home", "incr"]);
    let back = home.path().join("back");
    dupr(&["home", "restore", &back.display().to_string()]);
    let restored = fs::read_to_string(back.join("one"));
    assert_eq!(restored.expect("restored"), "changed\n");
}

#[test]
fn a_password_opens_a_real_server() {
    let Some(server) = Sshd::of_ada("Subsystem sftp internal-sftp\nPubkeyAuthentication no") else {
        return;
    };
    let words = way(&server.path("known_hosts_by_port"), None);
    let url = server.url_of_ada("/mnt/ada/made/by%20put");
    let mut good = options(&words);
    good.password = Some(Secret::new("p@ss:w"));
    contract::run(&*opened(&url, &good));
    let left = names(&server.files().join("ada/made/by put"));
    assert_eq!(left, Vec::<String>::new(), "no temp file is left");

    // In the URL, where it comes first.
    let mut wrong = options(&words);
    wrong.password = Some(Secret::new("canary"));
    let in_url = url.replacen("ada@", "ada:p%40ss%3Aw@", 1);
    let storage = opened(&in_url, &wrong);
    storage.put("a", source(10).path()).expect("put");
    for options in [wrong, options(&words)] {
        let error = opened(&url, &options).list().expect_err("no password");
        assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
        assert!(error.hint().is_some_and(|h| h.contains("password")));
        assert!(!format!("{error:?}").contains("canary"), "{error:?}");
    }
    // Asked once: a server counts how often somebody was wrong.
    let log = fs::read_to_string(server.path("log")).expect("log");
    let refused = log.matches("Failed password for ada").count();
    assert_eq!(refused, 1, "{log}");

    let url = server.url_of_ada("/mnt/ada/profile");
    let pass = [("BACKEND_PASSWORD", "p@ss:w")];
    backs_up("ssh-password", &url, &words, "", &pass);
    let url = server.url_of_ada("/mnt/ada/secret");
    let more = "password = { env = \"OF_THE_NAS\" }\n";
    let pass = [("OF_THE_NAS", "p@ss:w")];
    backs_up("ssh-secret", &url, &words, more, &pass);
}

/// The key is nowhere but in the agent.
#[test]
fn the_agent_opens_a_real_server() {
    let server = Sshd::start();
    server.add_key("agentkey", "");
    let agent = Agent::with(&server.path("agentkey"));
    fs::remove_file(server.path("agentkey")).expect("key");
    let words = way(&server.path("known_hosts_by_port"), None);
    let words = words.replace(
        " -oIdentitiesOnly=yes -oIdentityAgent=none -i /dev/null",
        "",
    );
    let mut with = options(&words);
    with.environment = [("SSH_AUTH_SOCK", agent.socket())].into_iter().collect();
    let storage = opened(&server.url("x"), &with);
    storage.put("a", source(70_000).path()).expect("put");
    assert_eq!(storage.list().expect("list").len(), 1);
    // The same server, without the agent; a home without keys.
    let mut without = options(&format!("{words} -oIdentityFile=/dev/null"));
    without.environment = [("SSH_AUTH_SOCK", "/nonexistent")].into_iter().collect();
    let error = opened(&server.url("x"), &without).list();
    let error = error.expect_err("no agent");
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("agent")));

    let socket = agent.socket();
    let variables = [("SSH_AUTH_SOCK", socket.as_str())];
    backs_up("ssh-agent", &server.url("y"), &words, "", &variables);
    let url = server.url("z").replacen("sftp:", "rsync:", 1);
    backs_up("rsync-agent", &url, &words, "", &variables);
}

/// As a company gives away room: no shell, no other command, and a root that is not the user's.
#[test]
fn a_cage_that_knows_nothing_but_sftp_keeps_backups() {
    let lines = "Subsystem sftp internal-sftp\nMatch User ada\nChrootDirectory /mnt\n\
                 ForceCommand internal-sftp\nAllowTcpForwarding no\nPermitTTY no";
    let Some(server) = Sshd::of_ada(lines) else {
        return;
    };
    let words = way(
        &server.path("known_hosts_by_port"),
        Some(&server.path("userkey")),
    );
    let url = server.url_of_ada("/ada/made/by%20put");
    let storage = opened(&url, &options(&words));
    contract::run(&*storage);
    contract::exclusive_claims(&*storage);
    let left = names(&server.files().join("ada/made/by put"));
    assert_eq!(left, Vec::<String>::new(), "no temp file is left");
    // What is above the cage cannot be named, and its root is not hers.
    let escaped = opened(&server.url_of_ada("/../../../etc"), &options(&words));
    let listed = escaped.list().expect("nothing there");
    assert!(listed.is_empty(), "{listed:?}");
    let at_root = opened(&server.url_of_ada("/not/hers"), &options(&words));
    let error = at_root.put("a", source(10).path()).expect_err("not hers");
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    backs_up(
        "ssh-cage",
        &server.url_of_ada("/ada/backups"),
        &words,
        "",
        &[],
    );
    let kept = names(&server.files().join("ada/backups"));
    assert_eq!(kept.len(), 6, "{kept:?}");
}

/// As strict as it goes: only what the file says is believed, in each form that it may say it.
#[test]
fn host_keys_are_those_that_are_known() {
    let server = Sshd::start();
    let at = |name: &str| server.path(name);
    let read = |name: &str| fs::read_to_string(at(name)).expect(name);
    let port = server.port();
    let key = read("hostkey.pub");
    let stranger = read("strangerkey.pub");
    let plain = format!("[127.0.0.1]:{port} {key}");
    fs::write(at("hashed"), &plain).expect("file");
    let hashed = Command::new("ssh-keygen")
        .args(["-q", "-H", "-f"])
        .arg(at("hashed"))
        .output()
        .expect("ssh-keygen; run tests/setup");
    assert!(hashed.status.success(), "{hashed:?}");
    let hashed = read("hashed");
    assert!(!hashed.contains("127.0.0.1"), "{hashed}");
    let ask = |known: &str| {
        fs::write(at("strict"), known).expect("file");
        let words = way(&at("strict"), Some(&at("userkey")));
        let url = TargetUrl::parse(&server.url("x")).expect("URL");
        let storage = open(&url, &options(&words)).expect("target");
        let listed = storage.list();
        assert_eq!(read("strict"), known, "nothing is added");
        listed
    };
    let of_others = format!("nas.local {stranger}");
    for known in [
        plain.clone(),
        hashed,
        format!("{of_others}{plain}"),
        format!("[127.0.0.*]:{port} {key}"),
        // ssh takes what is known of the usual port for any other.
        format!("127.0.0.1 {key}"),
    ] {
        ask(&known).expect(&known);
    }
    for (known, says) in [
        (String::new(), "connect once by hand"),
        (of_others, "connect once by hand"),
        (format!("[127.0.0.1]:1 {key}"), "connect once by hand"),
        (format!("[127.0.0.1]:{port} {stranger}"), "has changed"),
        (format!("@revoked * {key}{plain}"), "revoked"),
    ] {
        let error = ask(&known).expect_err(&known);
        assert_eq!(error.kind(), ErrorKind::Denied, "{known}: {error}");
        let hint = error.hint().unwrap_or_default();
        let told = format!("{error} {hint}").to_lowercase();
        assert!(told.contains(says), "{known}: {told}");
    }
}
