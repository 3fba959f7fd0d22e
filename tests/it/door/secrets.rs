//! Whom to trust behind object stores, and passwords of the services that log in: by option, by variable, by question.

use super::{Bench, Called, listing};
use crate::servers::{Azurite, Ftpd, Rsyncd, S3, Sshd, Tls};
use crate::support::programs::Program;
use std::fs;

fn dupr(bench: &Bench, words: &[&str], input: &str, env: &[(&str, &str)]) -> Called {
    let more = ["--no-encryption", "--num-retries", "1"];
    let words = [words, &more].concat();
    bench
        .call(Program::Dupr, "cache", &words, input, env)
        .expect("dupr")
}

/// A certificate of one's own is trusted if it is named, or if nobody is to look; a backup goes through.
fn trust(tls: &Tls, url: &str, more: &[&str], env: &[(&str, &str)]) {
    let bench = Bench::new("trust");
    fs::create_dir(bench.path("certs")).expect("folder");
    fs::copy(tls.certificate(), bench.path("certs/ours.pem")).expect("certificate");
    let (file, folder) = (tls.certificate(), bench.path("certs"));
    let (file, folder) = (file.display().to_string(), folder.display().to_string());
    let run = |words: &[&str]| dupr(&bench, &[words, more].concat(), "", env);
    let stranger = run(&["st", url]);
    assert_eq!(stranger.code, 50, "{}", stranger.err);
    for words in [
        &["--ssl-cacert-file", file.as_str()][..],
        &["--ssl-cacert-path", &folder],
        &["--ssl-no-check-certificate"],
    ] {
        let called = run(&[&["st", url], words].concat());
        assert_eq!(called.code, 0, "{words:?}: {}", called.err);
        let warned = called.out.contains("nobody checks who answers");
        assert_eq!(warned, words.len() == 1, "{}", called.out);
    }
    let made = run(&["full", "src", url, "--ssl-cacert-file", &file]);
    assert_eq!(made.code, 0, "{}", made.err);
    let read = run(&["restore", url, "out", "--ssl-cacert-file", &file]);
    assert_eq!(read.code, 0, "{}", read.err);
    assert_eq!(listing(&bench.path("out")), listing(&bench.path("src")));
}

#[test]
fn object_stores_trust_as_they_are_told() {
    let s3 = S3::moto();
    let tls = Tls::before(s3.port);
    let endpoint = format!("https://127.0.0.1:{}", tls.port);
    let env = [
        ("AWS_ACCESS_KEY_ID", s3.key_id.as_str()),
        ("AWS_SECRET_ACCESS_KEY", s3.secret.as_str()),
    ];
    let at = ["--s3-endpoint-url", endpoint.as_str()];
    trust(&tls, "s3://bucket/tls", &at, &env);

    let azure = Azurite::start();
    let tls = Tls::before(azure.port);
    let plain = azure.connection_string();
    let secure = plain
        .replace("http:", "https:")
        .replace("Protocol=http;", "Protocol=https;")
        .replace(&azure.port.to_string(), &tls.port.to_string());
    let env = [("AZURE_CONNECTION_STRING", secure.as_str())];
    trust(&tls, "azure://container/tls", &[], &env);
}

/// The variable, else the old name of it, is the password of every service that asks for one; a wrong one is refused.
#[test]
fn variables_hold_the_password_of_every_service() {
    let rsync = Rsyncd::start();
    let ftp = Ftpd::explicit();
    let s3 = S3::moto();
    let sshd = Sshd::start();
    sshd.add_key("locked", "of the key");
    let endpoint = s3.endpoint();
    let certificate = ftp.certificate().display().to_string();
    let way = sshd.ssh_options("locked");
    let b2 = format!("b2://{}@bucket/x", s3.key_id);
    let ftpes = format!("ftpes://ada@127.0.0.1:{}/x", ftp.port);
    let rsyncd = format!("rsync://ada@127.0.0.1:{}::store/x", rsync.port);
    let sftp = sshd.url("x");
    let at_b2 = [
        "--s3-endpoint-url",
        endpoint.as_str(),
        "--s3-region-name",
        "us-east-1",
    ];
    for (url, password, words) in [
        (&rsyncd, "pw", &[][..]),
        (
            &ftpes,
            "p@ss:w",
            &["--ssl-cacert-file", certificate.as_str()],
        ),
        (&b2, s3.secret.as_str(), &at_b2),
        (
            &sftp,
            "of the key",
            &["--ssh-askpass", "--ssh-options", way.as_str()],
        ),
    ] {
        for variable in ["BACKEND_PASSWORD", "FTP_PASSWORD"] {
            let bench = Bench::new("password");
            let words = [&["full", "src", url.as_str()], words].concat();
            let wrong = dupr(&bench, &words, "", &[(variable, "canary")]);
            assert!(
                matches!(wrong.code, 50 | 51),
                "{url}: {} {}",
                wrong.code,
                wrong.err
            );
            assert!(!wrong.err.contains("canary"), "{}", wrong.err);
            let right = dupr(&bench, &words, "", &[(variable, password)]);
            assert_eq!(right.code, 0, "{url} {variable}: {}", right.err);
        }
    }
}

/// Keys that have a passphrase open with the answer to a question, once `--ssh-askpass` lets it be asked.
#[test]
fn ssh_asks_only_if_it_is_told_to() {
    let sshd = Sshd::start();
    sshd.add_key("locked", "of the key");
    let bench = Bench::new("askpass");
    let (url, way) = (sshd.url("x"), sshd.ssh_options("locked"));
    let words = ["full", "src", url.as_str(), "--ssh-options", &way];
    let silent = dupr(&bench, &words, "of the key\n", &[]);
    assert_eq!(silent.code, 51, "{}", silent.err);
    assert!(!silent.err.contains("Password for"), "{}", silent.err);
    let asks = [&words[..], &["--ssh-askpass"]].concat();
    let asked = dupr(&bench, &asks, "of the key\n", &[]);
    assert_eq!(asked.code, 0, "{}", asked.err);
    assert!(asked.err.contains("Password for '"), "{}", asked.err);
    let wrong = dupr(&bench, &asks, "canary\n", &[]);
    assert_eq!(wrong.code, 51, "{}", wrong.err);
    // Nobody answers.
    assert_eq!(dupr(&bench, &asks, "", &[]).code, 30);
}
