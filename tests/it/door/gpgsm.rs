//! `--use-gpgsm`: CMS messages (`.p7m`) made and read by a real gpgsm, in turns with duplicity 3.2.1.

use super::{Bench, Called};
use crate::support::home::{Home, called};
use crate::support::keyring::PASSPHRASE;
use crate::support::programs::{self, Program};
use crate::support::scratch::Scratch;
use crate::support::tree::Tree;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

/// What is done to a file.
type Harm = fn(&mut Vec<u8>);

/// Whom files are encrypted to.
const ADA: &str = "ada@example.org";

const T0: &str = "1700000000";
const T1: &str = "1700003600";
const T2: &str = "1700007200";

/// A GnuPG home with a certificate that ends with its test, agent and all. Its key has [`PASSPHRASE`].
struct Certified {
    home: Scratch,
    certificate: Vec<u8>,
}

impl Certified {
    /// A home with a certificate and its key, or `None` if a program may be missing and is.
    fn new() -> Option<Self> {
        let (gpgsm, openssl) = (programs::find("gpgsm")?, programs::find("openssl")?);
        let mut made = Self {
            home: home(),
            certificate: Vec::new(),
        };
        let dir = made.home.path().to_path_buf();
        let outcome = |program: &Path, words: &[&str]| {
            let mut command = Command::new(program);
            let output = command
                .args(words)
                .current_dir(&dir)
                .env("GNUPGHOME", &dir)
                .output()
                .expect("it starts");
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            (output.status.success(), format!("{words:?}: {told}"))
        };
        let run = |program: &Path, words: &[&str]| {
            let (is_good, told) = outcome(program, words);
            assert!(is_good, "{told}");
        };
        let subject = format!("/CN=Ada/emailAddress={ADA}");
        let uses = "keyUsage=critical,digitalSignature,keyEncipherment,keyCertSign";
        run(
            &openssl,
            &[
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-keyout",
                "k.pem",
                "-out",
                "c.pem",
                "-days",
                "36500",
                "-subj",
                &subject,
                "-addext",
                uses,
                "-addext",
                "basicConstraints=critical,CA:true",
            ],
        );
        let pass = format!("pass:{PASSPHRASE}");
        fs::write(made.home.join("pass"), format!("{PASSPHRASE}\n")).expect("own folder");
        // What gpgsm 2.2 reads.
        let export = [
            "pkcs12",
            "-export",
            "-inkey",
            "k.pem",
            "-in",
            "c.pem",
            "-out",
            "k.p12",
            "-passout",
            &pass,
            "-keypbe",
            "PBE-SHA1-3DES",
            "-certpbe",
            "PBE-SHA1-3DES",
            "-macalg",
            "sha1",
        ];
        let import = [
            "-c",
            "exec \"$0\" --batch --pinentry-mode loopback --passphrase-fd 3 --import k.p12 3<pass",
            &gpgsm.display().to_string(),
        ];
        // And of that one file in a hundred it takes for badly deciphered (2 of 150); another salt makes another one.
        let mut last = String::new();
        let is_in = (0..5).any(|_| {
            run(&openssl, &export);
            let (is_good, told) = outcome(Path::new("/bin/sh"), &import);
            last = told;
            is_good
        });
        assert!(is_in, "{last}");
        trust(&gpgsm, made.home.path());
        made.certificate = fs::read(made.home.join("c.pem")).expect("it was made");
        Some(made)
    }

    /// A home that has the certificate and not its key.
    fn without_key(&self) -> Self {
        let other = Self {
            home: home(),
            certificate: self.certificate.clone(),
        };
        let gpgsm = programs::find("gpgsm").expect("it was there");
        fs::write(other.home.join("c.pem"), &other.certificate).expect("own folder");
        let imported = Command::new(&gpgsm)
            .args(["--batch", "--import", "c.pem"])
            .current_dir(other.home.path())
            .env("GNUPGHOME", other.home.path())
            .output();
        assert!(imported.is_ok_and(|output| output.status.success()));
        trust(&gpgsm, other.home.path());
        other
    }

    fn path(&self) -> String {
        self.home.path().display().to_string()
    }
}

impl Drop for Certified {
    fn drop(&mut self) {
        end_agent(self.home.path());
    }
}

fn home() -> Scratch {
    let home = Scratch::new("gpgsm");
    for (file, text) in [
        // Nobody is asked whether a certificate was revoked.
        ("gpgsm.conf", "disable-crl-checks\n"),
        // Nothing is remembered: each passphrase has to be right.
        (
            "gpg-agent.conf",
            "allow-loopback-pinentry\nmax-cache-ttl 0\ndefault-cache-ttl 0\ns2k-count 65536\n",
        ),
    ] {
        fs::write(home.join(file), text).expect("own folder");
    }
    home
}

/// Trusts the certificates of a home.
fn trust(gpgsm: &Path, home: &Path) {
    let listed = Command::new(gpgsm)
        .args(["--with-colons", "--list-keys"])
        .env("GNUPGHOME", home)
        .output()
        .expect("gpgsm");
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let fingerprint = listed.lines().find_map(|line| line.strip_prefix("fpr:"));
    let fingerprint = fingerprint.expect("a certificate").trim_matches(':');
    let fingerprint = fingerprint.split(':').next().expect("one");
    fs::write(
        home.join("trustlist.txt"),
        format!("{fingerprint} S relax\n"),
    )
    .expect("own folder");
    // It reads the list when it starts.
    end_agent(home);
}

fn end_agent(home: &Path) {
    let _ = Command::new("gpgconf")
        .arg("--homedir")
        .arg(home)
        .args(["--kill", "all"])
        .output();
}

fn call(
    program: Program,
    bench: &Bench,
    cache: &str,
    words: &[&str],
    home: &str,
) -> Option<Called> {
    let env = [("GNUPGHOME", home), ("PASSPHRASE", PASSPHRASE)];
    bench.call(program, cache, words, "", &env)
}

fn dupr(bench: &Bench, cache: &str, words: &[&str], home: &str) -> Called {
    call(Program::Dupr, bench, cache, words, home).expect("dupr")
}

fn forget(bench: &Bench, dirs: &[&str]) {
    for dir in dirs {
        let _ = fs::remove_dir_all(bench.path(dir));
    }
}

fn same(bench: &Bench, out: &str, who: &str) {
    bench.settle("src");
    bench.settle(out);
    let (source, restored) = (bench.path("src"), bench.path(out));
    assert_eq!(Tree::read(&source), Tree::read(&restored), "{who}");
}

/// A profile that knows nothing of gpgsm restores what it made.
fn by_a_profile(bench: &Bench, url: &str, gnupg: &str) {
    let user = Home::new("cms");
    let pass = user.script("key.pass", "");
    fs::write(&pass, PASSPHRASE).expect("own folder");
    fs::set_permissions(&pass, fs::Permissions::from_mode(0o600)).expect("mode");
    user.raw_profile(
        "home",
        &format!("version = 1\nsource = \"/srv/photos\"\ntarget = {url:?}\npassphrase = {{ file = {pass:?} }}\n"),
    );
    let out = bench.path("profile");
    let mut command = user.command(&["home", "restore"]);
    let restored = called(
        command
            .arg(&out)
            .env("GNUPGHOME", gnupg)
            .output()
            .expect("dupr runs"),
    );
    assert_eq!(restored.code, 0, "{}{}", restored.stdout, restored.stderr);
    same(bench, "profile", "a profile");
    forget(bench, &["profile"]);
}

/// Three sets by turns; everything restores with each, also where the archive dir is lost and nobody says what made the files.
#[test]
fn dupr_and_duplicity_take_turns_with_gpgsm() {
    let Some(keys) = Certified::new() else { return };
    let home = keys.path();
    let (ours, theirs) = (Program::Dupr, Program::Duplicity3);
    if theirs.words().is_none() {
        return;
    }
    let to = ["--use-gpgsm", "--encrypt-key", ADA];
    for turns in [[ours, theirs, ours], [theirs, ours, theirs]] {
        let bench = Bench::new("gpgsm");
        // duplicity waits for ever if two files that fill a pipe are to be decrypted by turns.
        bench.write("src/dir/big", &"0123456789abcdef".repeat(1000));
        let url = bench.url("t");
        for (program, (action, time)) in
            turns
                .into_iter()
                .zip([("full", T0), ("inc", T1), ("inc", T2)])
        {
            bench.write("src/a.txt", &format!("of {time}, by {program:?}\n"));
            bench.write(&format!("src/dir/{time}"), "new\n");
            let words = [&[action, "src", &url, "--current-time", time][..], &to].concat();
            let called = call(program, &bench, "cache", &words, &home).expect("it was there");
            assert_eq!(called.code, 0, "{program:?}: {}{}", called.out, called.err);
        }
        let words = ["verify", "--compare-data", "--use-gpgsm", &url, "src"];
        let verified = dupr(&bench, "verify", &words, &home);
        assert_eq!(verified.code, 0, "{}{}", verified.out, verified.err);
        let names = bench.names("t");
        assert_eq!(names.len(), 9, "{names:?}");
        assert!(names.iter().all(|name| name.ends_with(".p7m")), "{names:?}");
        for (program, cache, options, out) in [
            (ours, "cache", &["--use-gpgsm"][..], "ours"),
            (theirs, "cache", &["--use-gpgsm"], "theirs"),
            (ours, "lost", &[], "ours-lost"),
            (theirs, "lost-too", &["--use-gpgsm"], "theirs-lost"),
        ] {
            let words = [&["restore", &url, out], options].concat();
            let called = call(program, &bench, cache, &words, &home).expect("it was there");
            assert_eq!(called.code, 0, "{out}: {}{}", called.out, called.err);
            same(&bench, out, out);
        }
        by_a_profile(&bench, &url, &home);
        let status = dupr(&bench, "cache", &["collection-status", &url], &home);
        assert!(
            status.out.contains("Number of contained backup sets: 3")
                && status.out.contains("No orphaned or incomplete"),
            "{}",
            status.out
        );
    }
}

/// New sets of a profile are sealed by gpgsm, by turns with duplicity, whoever begins.
#[test]
fn profiles_seal_by_gpgsm() {
    let Some(keys) = Certified::new() else { return };
    if Program::Duplicity3.words().is_none() {
        return;
    }
    let gnupg = keys.path();
    for ours_begins in [true, false] {
        let bench = Bench::new("gpgsmturns");
        // duplicity waits for ever if two files that fill a pipe are to be decrypted by turns.
        bench.write("src/dir/big", &"0123456789abcdef".repeat(1000));
        let (url, source) = (bench.url("t"), bench.path("src").display().to_string());
        let user = user_of_gpgsm(&source, &url, "");
        let profile = |words: &[&str]| {
            let output = user.command(words).env("GNUPGHOME", &gnupg).output();
            let called = called(output.expect("dupr runs"));
            assert_eq!(
                called.code, 0,
                "{words:?}: {}{}",
                called.stdout, called.stderr
            );
            called
        };
        for turn in 0..4 {
            bench.write("src/a.txt", &format!("turn {turn}\n"));
            let file = fs::File::options()
                .append(true)
                .open(bench.path("src/a.txt"));
            let time = UNIX_EPOCH + Duration::from_secs(1_600_000_000 + turn);
            file.and_then(|f| f.set_modified(time)).expect("a time");
            bench.write(&format!("src/dir/{turn}"), &"new\n".repeat(1_000));
            let (ours, theirs) = match turn {
                0 => ("full", "full"),
                _ => ("incr", "inc"),
            };
            if (turn % 2 == 0) == ours_begins {
                profile(&["home", ours]);
            } else {
                let words = [theirs, &source, &url, "--use-gpgsm", "--encrypt-key", ADA];
                let called = call(Program::Duplicity3, &bench, "cache", &words, &gnupg);
                let called = called.expect("it was there");
                assert_eq!(called.code, 0, "{}{}", called.out, called.err);
            }
        }
        let names = bench.names("t");
        assert!(
            names.len() == 12 && names.iter().all(|n| n.ends_with(".p7m")),
            "{names:?}"
        );
        profile(&["home", "verify", "--compare-data"]);
        assert!(
            profile(&["home", "versions", "a.txt"])
                .stdout
                .lines()
                .count()
                == 4
        );
        let out = bench.path("ours").display().to_string();
        profile(&["home", "restore", &out]);
        same(&bench, "ours", "a profile");
        let words = ["restore", &url, "theirs", "--use-gpgsm"];
        let restored = call(Program::Duplicity3, &bench, "lost", &words, &gnupg);
        let restored = restored.expect("it was there");
        assert_eq!(restored.code, 0, "{}{}", restored.out, restored.err);
        same(&bench, "theirs", "duplicity");

        let sheet = profile(&["keys", "export", "home"]).stdout;
        for part in [
            "--export-secret-key-p12",
            "restore --use-gpgsm",
            "gpgsm --decrypt",
            "gpgsm --import",
        ] {
            assert!(sheet.contains(part), "{part}: {sheet}");
        }
        let unlocked = profile(&["unlock", "home"]).stdout;
        assert!(
            unlocked.contains(&format!("opens what is encrypted to {ADA}")),
            "{unlocked}"
        );
    }
}

/// A user with a profile that is sealed by gpgsm.
fn user_of_gpgsm(source: &str, url: &str, more: &str) -> Home {
    let user = Home::new("gpgsm-user");
    fs::write(user.path().join("pass"), PASSPHRASE).expect("own folder");
    user.raw_profile(
        "home",
        &format!(
            "version = 1\nsource = {source:?}\ntarget = {url:?}\n[keys]\nencryption = \"gpgsm\"\nencrypt-to = [{ADA:?}]\n\
             passphrase = {{ file = {:?} }}\n{more}",
            user.path().join("pass")
        ),
    );
    user
}

/// What gpgsm cannot do is said of the profile; a gpgsm that is too old, and a certificate that is not there, before anything is
/// written.
#[test]
fn profiles_are_told_what_gpgsm_cannot_do() {
    let keys = ["sign-with = \"ada\"", "hidden = true", "keyring = \"/tmp\""];
    let user = user_of_gpgsm("/srv", "file:///nowhere", &keys.join("\n"));
    let refused = user.expect(2, &["home", "full"]).stderr;
    for says in ["cannot sign", "cannot hide", "user's own GnuPG"] {
        assert!(refused.contains(says), "{says}: {refused}");
    }
    user.raw_profile(
        "home",
        "version = 1\nsource = \"/srv\"\ntarget = \"file:///nowhere\"\nkeys.encryption = \"gpgsm\"\n",
    );
    let refused = user.expect(2, &["home", "full"]).stderr;
    assert!(refused.contains("certificates only"), "{refused}");

    let bench = Bench::new("gpgsmold");
    let old = user.script("old-gpgsm", "echo 'gpgsm (GnuPG) 2.0.22'");
    let source = bench.path("src").display().to_string();
    for (program, says) in [
        (old.as_path(), "gpgsm 2.0.22 is too old"),
        (Path::new("/no/gpgsm"), "/no/gpgsm"),
    ] {
        let more = format!("gpgsm-program = {program:?}\n");
        let user = user_of_gpgsm(&source, &bench.url("t"), &more);
        let refused = user.dupr(&["home", "full"]);
        assert!(
            refused.code != 0 && refused.stderr.contains(says),
            "{}",
            refused.stderr
        );
        let doctor = user.expect(1, &["doctor", "home"]).stdout;
        assert!(doctor.contains(says), "{doctor}");
        assert_eq!(bench.names("t"), Vec::<String>::new());
    }
}

/// Files that are larger than pipes, of several sets at once; and what damage does: it is found, named, and nothing else is lost.
#[test]
fn damaged_messages_are_found() {
    let Some(keys) = Certified::new() else { return };
    let home = keys.path();
    let bench = Bench::new("gpgsmbad");
    let (url, bad) = (bench.url("t"), bench.url("bad"));
    let to = ["--use-gpgsm", "--encrypt-key", ADA];
    for (action, time) in [("full", T0), ("inc", T1)] {
        bench.write(
            "src/dir/big",
            &format!("{time}{}", "0123456789abcdef".repeat(20_000)),
        );
        bench.write(&format!("src/dir/{time}"), &time.repeat(20_000));
        let words = [&[action, "src", &url, "--current-time", time][..], &to].concat();
        let called = dupr(&bench, "cache", &words, &home);
        assert_eq!(called.code, 0, "{}{}", called.out, called.err);
    }
    let called = dupr(&bench, "lost", &["restore", &url, "out"], &home);
    assert_eq!(called.code, 0, "{}{}", called.out, called.err);
    same(&bench, "out", "larger than pipes");

    let flip: Harm = |bytes: &mut Vec<u8>| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x20;
    };
    let cut: Harm = |bytes: &mut Vec<u8>| bytes.truncate(bytes.len() / 2);
    let harm: [Harm; 2] = [flip, cut];
    for (part, words, code) in [
        (".vol1.difftar", &["restore", bad.as_str(), "out"][..], 21),
        (".manifest", &["restore", &bad, "out"], 1),
        ("-signatures.", &["list-current-files", &bad], 21),
    ] {
        for (n, harm) in harm.iter().enumerate() {
            // What a flipped bit makes of block hashes nobody can tell; they match nothing then.
            if part == "-signatures." && n == 0 {
                continue;
            }
            bench.copy("t", "bad");
            forget(&bench, &["out", "fresh"]);
            let names = bench.names("t");
            let name = names
                .iter()
                .find(|n| n.contains("full") && n.contains(part));
            let name = name.expect("one of each");
            let file = bench.path("bad").join(name);
            let mut bytes = fs::read(&file).expect("read");
            harm(&mut bytes);
            fs::write(&file, bytes).expect("write");
            let called = dupr(&bench, "fresh", words, &home);
            assert_eq!(
                called.code, code,
                "{name} {n}: {}{}",
                called.out, called.err
            );
            let told = format!("{}{}", called.out, called.err);
            assert!(told.contains(name.as_str()), "{name} {n}: {told}");
            if part == ".manifest" {
                same(
                    &bench,
                    "out",
                    "what a damaged manifest names is found without it",
                );
            }
        }
    }
}

/// What gpgsm cannot do ends with duplicity's number before anything is written, and nobody is asked for a passphrase.
#[test]
fn gpgsm_is_asked_before_anything_is_written() {
    let Some(keys) = Certified::new() else { return };
    let home = keys.path();
    let bench = Bench::new("gpgsmkeys");
    let url = bench.url("t");
    for (words, says, is_theirs) in [
        (&[][..], "certificates only", true),
        (&["--encrypt-key", ADA, "--sign-key", ADA], "sign", true),
        (&["--encrypt-sign-key", ADA], "sign", true),
        (&["--hidden-encrypt-key", ADA], "hide", true),
        (&["--encrypt-key", "bob@example.org"], "No public key", true),
        (
            &["--encrypt-key", ADA, "--gpg-options=--nonsense"],
            "nonsense",
            false,
        ),
        (
            &["--encrypt-key", ADA, "--gpg-binary", "/no/gpgsm"],
            "cannot run /no/gpgsm",
            false,
        ),
    ] {
        let words = [&["full", "src", &url, "--use-gpgsm"][..], words].concat();
        let ours = dupr(&bench, "cache", &words, &home);
        assert_eq!(ours.code, 31, "{words:?}: {}{}", ours.out, ours.err);
        assert!(ours.err.contains(says), "{words:?}: {}", ours.err);
        assert_eq!(bench.names("t"), Vec::<String>::new());
        // duplicity leaves empty folders and broken runs behind.
        if let Some(theirs) =
            call(Program::Duplicity3, &bench, "other", &words, &home).filter(|_| is_theirs)
        {
            // With 31, or with a broken pipe where gpgsm was gone before duplicity wrote to it.
            assert_ne!(theirs.code, 0, "{words:?}: {}", theirs.err);
        }
        forget(&bench, &["t", "cache", "other"]);
    }

    let words = ["full", "src", &url, "--use-gpgsm", "--encrypt-key", ADA];
    let made = dupr(&bench, "cache", &words, &home);
    assert_eq!(made.code, 0, "{}{}", made.out, made.err);
    let nothing = |called: Called, says: &str| {
        assert_eq!(called.code, 31, "{}{}", called.out, called.err);
        assert!(called.err.contains(says), "{}", called.err);
        assert!(bench.names("out").is_empty(), "{:?}", bench.names("out"));
        forget(&bench, &["lost", "out"]);
    };
    let restore = ["restore", &url, "out"];
    let wrong = [("GNUPGHOME", home.as_str()), ("PASSPHRASE", "wrong")];
    let called = bench.call(Program::Dupr, "lost", &restore, "", &wrong);
    nothing(called.expect("dupr"), "Bad passphrase");
    let other = keys.without_key();
    nothing(
        dupr(&bench, "lost", &restore, &other.path()),
        "No secret key",
    );
    let missing = [&restore[..], &["--use-gpgsm", "--gpg-binary", "/no/gpgsm"]].concat();
    nothing(
        dupr(&bench, "lost", &missing, &home),
        "cannot run /no/gpgsm",
    );
    // Where the secret key is not, the chain goes on: the archive dir has what is needed.
    bench.write("src/a.txt", "changed\n");
    let words = ["inc", "src", &url, "--use-gpgsm", "--encrypt-key", ADA];
    let called = dupr(&bench, "cache", &words, &other.path());
    assert_eq!(called.code, 0, "{}{}", called.out, called.err);
    // No file of gpgsm's is signed, so none passes for signed.
    let signed = ["restore", &url, "out", "--use-gpgsm", "--sign-key", ADA];
    let called = dupr(&bench, "lost", &signed, &home);
    assert_eq!(called.code, 22, "{}{}", called.out, called.err);
    assert!(bench.names("out").is_empty(), "{:?}", bench.names("out"));
}
