//! Options and variables for services, at real servers: whom to trust, what to send besides, which password.

use super::{Bench, Called, listing};
use crate::servers::{Azurite, Dav, Ftpd, S3, Sshd};
use crate::support::home::{Called as Refused, Home};
use crate::support::programs::Program;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;

const PASSWORD: (&str, &str) = ("BACKEND_PASSWORD", "p@ss:w");

fn dupr(bench: &Bench, words: &[&str], env: &[(&str, &str)]) -> Called {
    let more = ["--no-encryption", "--num-retries", "1"];
    let words = [words, &more].concat();
    bench
        .call(Program::Dupr, "cache", &words, "", env)
        .expect("dupr")
}

/// Nothing is asked, read or written for a place that no longer exists: one code, and what to use instead.
#[test]
fn places_that_are_gone_are_refused_before_any_work() {
    let bench = Bench::new("gone");
    for (url, says, instead) in [
        ("ad://some_dir", "31 December 2023", "s3://"),
        ("acd+acdcli://dir", "31 December 2023", "s3://"),
        ("cf+hubic://container", "hubiC has ended", "s3://"),
        ("cf+http://container", "CLOUDFILES_APIKEY", "swift://"),
        ("gdata+gdocs://u@h/dir", "2015", "gdrive://"),
        (
            "mf://u%40h@mediafire.com/dir",
            "library is gone",
            "rclone://",
        ),
        ("par2+ad://some_dir", "31 December 2023", "s3://"),
    ] {
        for words in [
            &["full", "src", url][..],
            &["restore", url, "out"],
            &["collection-status", url],
            &["cleanup", "--force", url],
        ] {
            let env = [("PASSPHRASE", "secret")];
            let done = bench.call(Program::Dupr, "cache", words, "", &env);
            let done = done.expect("dupr");
            let said = format!("{}{}", done.out, done.err);
            assert_eq!(done.code, 23, "{words:?}: {said}");
            // All of it in one line.
            assert!(said.contains(says) && said.contains(instead), "{said}");
            assert_eq!(said.lines().count(), 1, "{said}");
            assert!(!bench.path("out").exists() && !bench.path("cache").exists());
        }
        let home = Home::new("gone");
        let one_line = |said: Refused| {
            let line = said.stderr.lines().next().unwrap_or_default();
            let is_whole = line.contains(says) && line.contains(instead);
            assert!(is_whole && said.stdout.is_empty(), "{}", said.stderr);
            said.stderr.lines().count()
        };
        assert_eq!(one_line(home.expect(1, &["target", "ls", url])), 1);
        let secret = home.path().join("pass");
        home.raw_profile(
            "home",
            &format!(
                "version = 1\nsource = {:?}\ntarget = {url:?}\npassphrase = {{ file = {secret:?} }}\n",
                home.source()
            ),
        );
        for words in [&["home", "backup"][..], &["home", "restore", "out"]] {
            // Below it is shown where that stands.
            one_line(home.expect(2, words));
            let made = [".local", ".cache", "out"].map(|name| home.path().join(name));
            assert!(made.iter().all(|path| !path.exists()), "{words:?} {made:?}");
        }
    }
}

/// A certificate is trusted if it is named, lies in a folder that is named or where duplicity looks, or if nobody is to look.
fn trust(url: &str, certificate: &std::path::Path) {
    let bench = Bench::new("trust");
    let nobody = ("SSL_CERT_FILE", "/dev/null");
    let home = bench.path("home");
    fs::create_dir_all(home.join(".duplicity")).expect("home");
    fs::create_dir_all(bench.path("certs")).expect("folder");
    fs::write(bench.path("certs/list.txt"), "not a certificate\n").expect("file");
    fs::copy(certificate, bench.path("certs/ours.pem")).expect("certificate");
    let at_home = home.display().to_string();
    let env = [PASSWORD, nobody, ("HOME", at_home.as_str())];
    let status =
        |words: &[&str]| dupr(&bench, &[&["collection-status", url], words].concat(), &env);
    let stranger = status(&[]);
    assert!((50..=51).contains(&stranger.code), "{}", stranger.err);

    let (file, folder) = (certificate.display().to_string(), bench.path("certs"));
    let folder = folder.display().to_string();
    for words in [
        &["--ssl-cacert-file", file.as_str()][..],
        &["--ssl-cacert-path", folder.as_str()],
        &["--ssl-cacert-file", &file, "--ssl-cacert-path", &folder],
        &["--ssl-no-check-certificate"],
    ] {
        let called = status(words);
        assert_eq!(called.code, 0, "{words:?}: {}", called.err);
        let warned = called
            .out
            .contains("--ssl-no-check-certificate: nobody checks");
        assert_eq!(warned, words[0].contains("no-check"), "{}", called.out);
    }
    for words in [
        &["--ssl-cacert-file", "/nowhere.pem"][..],
        &["--ssl-cacert-path", &at_home],
    ] {
        assert_ne!(status(words).code, 0, "{words:?}");
    }
    for place in [".duplicity/cacert.pem", "duplicity_cacert.pem"] {
        fs::copy(certificate, home.join(place)).expect("certificate");
        let called = status(&[]);
        assert_eq!(called.code, 0, "{place}: {}", called.err);
        fs::remove_file(home.join(place)).expect("certificate");
    }
    // A whole life, through the client that trusts.
    let words = ["full", "src", url, "--ssl-cacert-file", &file];
    let made = dupr(&bench, &words, &env);
    assert_eq!(made.code, 0, "{}", made.err);
    let words = ["restore", url, "out", "--ssl-cacert-file", &file];
    assert_eq!(dupr(&bench, &words, &env).code, 0);
    assert_eq!(listing(&bench.path("out")), listing(&bench.path("src")));
}

#[test]
fn webdavs_trusts_as_it_is_told() {
    let server = Dav::secure();
    let url = format!("webdavs://ada@127.0.0.1:{}/backup", server.port);
    trust(&url, &server.certificate());
}

#[test]
fn ftps_trusts_as_it_is_told() {
    let server = Ftpd::explicit();
    let url = format!("ftpes://ada@127.0.0.1:{}/backup", server.port);
    trust(&url, &server.certificate());
}

#[test]
fn headers_go_with_every_request_to_webdav() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("address").port();
    let seen = std::thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a connection");
        let mut lines = Vec::new();
        for line in BufReader::new(&stream).lines() {
            let line = line.expect("a request");
            if line.is_empty() {
                break;
            }
            lines.push(line);
        }
        let answer = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        (&stream).write_all(answer).expect("answer");
        lines
    });
    let bench = Bench::new("headers");
    let url = format!("webdav://ada@127.0.0.1:{port}/backup");
    let words = ["st", &url, "--webdav-headers", "X-Tenant,7,X-List,\"a, b\""];
    let called = dupr(&bench, &words, &[PASSWORD]);
    assert_eq!(called.code, 51, "{}", called.err);
    let lines = seen.join().expect("a request");
    let has = |wanted: &str| lines.iter().any(|line| line.eq_ignore_ascii_case(wanted));
    assert!(has("x-tenant: 7") && has("x-list: a, b"), "{lines:?}");
    let words = ["st", &url, "--webdav-headers", "X-Tenant"];
    assert_eq!(dupr(&bench, &words, &[PASSWORD]).code, 23);
}

#[test]
fn the_password_is_that_of_the_url_then_of_the_variables() {
    let dav = Dav::start();
    let ftpd = Ftpd::start();
    for (scheme, port) in [("webdav", dav.port), ("ftp", ftpd.port)] {
        let bench = Bench::new("password");
        let at = |user: &str| format!("{scheme}://{user}@127.0.0.1:{port}/backup");
        let (right, wrong) = ("p@ss:w", "canary");
        for (user, env, fits) in [
            ("ada:p%40ss%3Aw", &[("BACKEND_PASSWORD", wrong)][..], true),
            ("ada:canary", &[("BACKEND_PASSWORD", right)], false),
            (
                "ada",
                &[("BACKEND_PASSWORD", right), ("FTP_PASSWORD", wrong)],
                true,
            ),
            (
                "ada",
                &[("BACKEND_PASSWORD", wrong), ("FTP_PASSWORD", right)],
                false,
            ),
            (
                "ada",
                &[("BACKEND_PASSWORD", ""), ("FTP_PASSWORD", right)],
                true,
            ),
            ("ada", &[], false),
        ] {
            let called = dupr(&bench, &["st", &at(user), "-v9"], env);
            assert_eq!(called.code == 0, fits, "{user} {env:?}: {}", called.err);
            let nobody_answers = env.is_empty() && called.code == 30;
            assert!(
                fits || called.code == 51 || nobody_answers,
                "{}",
                called.code
            );
            let said = format!("{}{}", called.out, called.err);
            assert!(!said.contains(wrong), "{said}");
            let warned = said.contains("FTP_PASSWORD is the old name");
            assert_eq!(
                warned,
                env == [("BACKEND_PASSWORD", ""), ("FTP_PASSWORD", right)]
            );
        }
        // Asked for, if nothing says it.
        let words = ["st", &at("ada"), "--no-encryption"];
        let asked = |answer: &str| bench.call(Program::Dupr, "c", &words, answer, &[]);
        let called = asked("p@ss:w\n").expect("dupr");
        assert_eq!(called.code, 0, "{}", called.err);
        assert!(
            called.err.contains("Password for 'ada@127.0.0.1':"),
            "{}",
            called.err
        );
    }
}

#[test]
fn objects_are_cut_and_encrypted_as_options_of_s3_say() {
    let server = S3::moto();
    let bench = Bench::new("parts");
    let (endpoint, url) = (server.endpoint(), "s3://bucket/parts");
    let env = [
        ("AWS_ACCESS_KEY_ID", server.key_id.as_str()),
        ("AWS_SECRET_ACCESS_KEY", server.secret.as_str()),
    ];
    bench.write("src/large", &"0123456789abcdef".repeat(1 << 20));
    let words = [
        "full",
        "src",
        url,
        "--no-compression",
        "--s3-endpoint-url",
        &endpoint,
        "--s3-region-name",
        "eu-central-1",
        // Without effect beside an endpoint, which has its own scheme.
        "--s3-unencrypted-connection",
        "--s3-multipart-chunk-size",
        "6",
        "--s3-multipart-max-procs",
        "2",
        "--s3-use-server-side-encryption",
    ];
    let called = dupr(&bench, &words, &env);
    assert_eq!(called.code, 0, "{}", called.err);
    let log = server.log();
    let parts = log
        .lines()
        .filter(|line| line.contains("partNumber="))
        .count();
    assert_eq!(parts, 3, "16 MiB and a little in parts of 6: {log}");
    let words = ["restore", url, "out", "--s3-endpoint-url", &endpoint];
    assert_eq!(dupr(&bench, &words, &env).code, 0);
    assert_eq!(listing(&bench.path("out")), listing(&bench.path("src")));
    let words = [
        &words[..1],
        &[url, "none", "--s3-multipart-chunk-size", "0"],
    ]
    .concat();
    assert_eq!(dupr(&bench, &words, &env).code, 23);
}

/// Nobody's keys stand in the environment of a cron job; boto's and Amazon's own tools keep them in files.
#[test]
fn keys_of_object_stores_come_from_the_files_of_their_tools() {
    let server = S3::moto();
    let (id, secret) = (&server.key_id, &server.secret);
    let endpoint = server.endpoint();
    let of =
        |kind: &str| format!("{kind}_access_key_id = {id}\n{kind}_secret_access_key = {secret}\n");
    for (file, url, text) in [
        (
            ".aws/credentials",
            "s3://bucket/aws",
            format!("[default]\n{}", of("aws")),
        ),
        (
            ".boto",
            "s3://bucket/aws",
            format!("[Credentials]\n{}", of("aws")),
        ),
        (
            ".boto",
            "gs://bucket/aws",
            format!("[Boto]\nnum_retries = 1\n[Credentials]\n{}", of("gs")),
        ),
    ] {
        let bench = Bench::new("aws");
        let home = bench.path("home");
        fs::create_dir_all(home.join(".aws")).expect("home");
        let at_home = home.display().to_string();
        let status = || {
            let words = ["st", url, "--s3-endpoint-url", &endpoint];
            dupr(&bench, &words, &[("HOME", at_home.as_str())])
        };
        assert_ne!(status().code, 0);
        fs::write(home.join(file), text).expect("keys");
        let called = status();
        assert_eq!(called.code, 0, "{file}: {}", called.err);
    }
}

/// Volumes go to the tier that is asked for, in one piece or in parts; what all runs read stays where it can be read.
#[test]
fn volumes_go_to_the_tier_of_azure_that_is_asked_for() {
    let server = Azurite::start();
    let connection = server.connection_string();
    let env = [("AZURE_CONNECTION_STRING", connection.as_str())];
    for (tier, in_parts) in [("Cool", false), ("archive", true)] {
        let bench = Bench::new("tier");
        let url = format!("azure://container/{tier}");
        if in_parts {
            bench.write("src/large", &"0123456789abcdef".repeat(1 << 20));
        }
        let words = ["full", "src", &url, "--no-compression"];
        let asks = ["--azure-blob-tier", tier];
        let size = ["--azure-max-block-size", "6000000"];
        let called = dupr(&bench, &[&words[..], &asks, &size].concat(), &env);
        assert_eq!(called.code, 0, "{tier}: {}", called.err);
        assert!(!called.out.contains("no effect"), "{}", called.out);
        let mut blobs = server.tiers("container");
        blobs.retain(|(name, _)| name.starts_with(tier));
        assert_eq!(blobs.len(), 3, "{blobs:?}");
        for (name, found) in blobs {
            let is_volume = name.contains("difftar");
            let wanted = if is_volume { tier } else { "Hot" };
            assert!(found.eq_ignore_ascii_case(wanted), "{name} {found}");
        }
        // Names and states need nothing of the archive.
        let _ = fs::remove_dir_all(bench.path("cache"));
        assert_eq!(dupr(&bench, &["ls", &url], &env).code, 0);
        let restored = dupr(&bench, &["restore", &url, "out"], &env);
        assert_eq!(restored.code == 0, !in_parts, "{}", restored.err);
    }
    let bench = Bench::new("tier");
    let words = ["st", "azure://container/x", "--azure-blob-tier", "Lukewarm"];
    assert_eq!(dupr(&bench, &words, &env).code, 23);
}

/// moto checks signatures with Amazon's own code: a header that is not signed would be refused.
#[test]
fn whoever_is_granted_control_of_objects_gets_it() {
    let server = S3::moto();
    let bench = Bench::new("grant");
    let (endpoint, url) = (server.endpoint(), "s3://bucket/grant");
    let env = [
        ("AWS_ACCESS_KEY_ID", server.key_id.as_str()),
        ("AWS_SECRET_ACCESS_KEY", server.secret.as_str()),
    ];
    let ada = "79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be";
    let grant = format!("id={ada}");
    bench.write("src/large", &"0123456789abcdef".repeat(1 << 20));
    let at = ["--s3-endpoint-url", endpoint.as_str(), "--no-compression"];
    let grants = ["--s3-kms-grant", &grant];
    for (set, words, granted) in [
        ("full", &["--s3-use-server-side-kms-encryption"][..], 3),
        // As there, it counts beside that option alone.
        ("incr", &[], 3),
    ] {
        let words = [&[set, "src", url][..], &at, &grants, words].concat();
        let called = dupr(&bench, &words, &env);
        assert_eq!(called.code, 0, "{}", called.err);
        let told = server.grants("grant");
        let full_control = told.lines().filter(|l| l.contains("FULL_CONTROL"));
        let of_ada = full_control.filter(|line| line.contains(ada)).count();
        assert_eq!(of_ada, granted, "{told}");
    }
    let words = [&["restore", url, "out"][..], &at].concat();
    assert_eq!(dupr(&bench, &words, &env).code, 0);
    assert_eq!(listing(&bench.path("out")), listing(&bench.path("src")));
}

/// What a command of sftp or scp says of the way to the server is kept: programs, options, the port.
#[test]
fn commands_of_sftp_and_scp_lead_the_way() {
    let sshd = Sshd::start();
    let bench = Bench::new("sftpcmd");
    let log = bench.path("argv");
    fs::create_dir(bench.path("bin")).expect("folder");
    let at_log = log.display();
    let script = format!("#!/bin/sh\necho \"$0 $*\" >> '{at_log}'\nexec \"$@\"\n");
    let wrapper = bench.path("bin/wrap");
    fs::write(&wrapper, script).expect("script");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&wrapper, mode).expect("script");
    let options = sshd.ssh_options("userkey");
    let files = sshd.files();
    let command = format!("{} sftp -P {} {options}", wrapper.display(), sshd.port());
    let url = format!("sftp://127.0.0.1/{}/backup", files.display());
    for option in ["--sftp-command", "--scp-command"] {
        let _ = fs::remove_file(&log);
        let words = ["full", "src", &url, option, &command];
        let called = dupr(&bench, &words, &[]);
        assert_eq!(called.code, 0, "{option}: {}", called.err);
        let ran = fs::read_to_string(&log).expect("it ran");
        assert!(ran.contains(&format!(" ssh -p {} ", sshd.port())), "{ran}");
    }
    let words = ["restore", &url, "out", "--sftp-command", &command];
    assert_eq!(dupr(&bench, &words, &[]).code, 0);
    assert_eq!(listing(&bench.path("out")), listing(&bench.path("src")));
    let words = ["st", &url, "--sftp-command", "/opt/transfer-everything"];
    assert_eq!(dupr(&bench, &words, &[]).code, 23);
}

/// `scp://` was for servers that let in and run commands, without sftp.
#[test]
fn a_server_without_sftp_has_a_whole_life() {
    let sshd = Sshd::with("MaxSessions 100\nSetEnv HOME=/nonexistent");
    let bench = Bench::new("noscp");
    let control = sshd.path("control").display().to_string();
    let options = format!(
        "{} -oControlMaster=auto -oControlPath={control} -oControlPersist=9",
        sshd.ssh_options("userkey")
    );
    let url = sshd.url("it's $(id) here").replacen("sftp://", "scp://", 1);
    let url = url.replace(' ', "%20");
    let call = |words: &[&str]| {
        let words = [words, &["--ssh-options", &options, "--use-scp"]].concat();
        let called = dupr(&bench, &words, &[]);
        assert_eq!(called.code, 0, "{words:?}: {}", called.err);
        called.out
    };
    call(&["full", "src", &url, "--current-time", "1700000000"]);
    bench.write("src/dir/two", "changed\n");
    call(&["incr", "src", &url, "--current-time", "1700003600"]);
    call(&["full", "src", &url, "--current-time", "1700007200"]);
    call(&["remove-all-but-n-full", "1", &url, "--force"]);
    let kept = fs::read_dir(sshd.files().join("it's $(id) here")).expect("the folder");
    assert_eq!(kept.count(), 3);
    fs::remove_dir_all(bench.path("cache")).expect("archive dir");
    assert!(call(&["st", &url]).contains("Number of contained backup sets: 1"));
    call(&["restore", &url, "out"]);
    bench.settle("out");
    bench.settle("src");
    assert_eq!(listing(&bench.path("out")), listing(&bench.path("src")));
}
