//! Every form against the programs that must understand it: gpg, gzip, python.

mod by_gpg;
mod foreign;
mod keys;
mod late;
mod middle;
mod roundtrip;

use super::*;
use crate::engine::error::{Error, ErrorKind};
use crate::engine::secret::Secret;
use sha1::{Digest, Sha1};
use std::io::{self, Seek};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};

/// An output that can be looked at afterwards.
#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(data);
        Ok(data.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn seal_as(seal: &dyn Seal, form: Form, data: &[u8]) -> Vec<u8> {
    let sink = Sink::default();
    let mut writer = seal.seal(form, Box::new(sink.clone())).unwrap();
    for piece in data.chunks(77_777) {
        writer.write_all(piece).unwrap();
    }
    writer.finish().unwrap();
    sink.0.lock().unwrap().clone()
}

fn sealed(seal: &dyn Seal, data: &[u8]) -> Vec<u8> {
    seal_as(seal, seal.form(), data)
}

/// Opens a file in both ways, which must come to the same.
fn unseal(seal: &dyn Seal, form: Form, data: &[u8]) -> Result<Vec<u8>> {
    let mut plain = Vec::new();
    let opened = seal
        .unseal(form, Box::new(io::Cursor::new(data.to_vec())))
        .and_then(|mut content| Ok(content.read_to_end(&mut plain)?));
    let hashed = unseal_hashing(seal, form, data);
    match (opened, hashed) {
        (Ok(_), Ok((again, hash))) => {
            assert!(again == plain);
            let sha1 = Sha1::digest(data);
            let sha1 = sha1.iter().map(|byte| format!("{byte:02x}")).collect();
            let bytes = data.len() as u64;
            assert_eq!(hash.whole(), Some(Written { bytes, sha1 }));
            Ok(plain)
        }
        (Err(e), Err(again)) => {
            assert_eq!(e.kind(), again.kind(), "{e}; {again}");
            Err(e)
        }
        (Ok(_), Err(e)) | (Err(e), Ok(_)) => panic!("only one of two ways: {e}"),
    }
}

fn unseal_hashing(seal: &dyn Seal, form: Form, data: &[u8]) -> Result<(Vec<u8>, ReadHash)> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(data).unwrap();
    file.rewind().unwrap();
    let (mut content, hash) = seal.unseal_hashing(form, file)?;
    let mut plain = Vec::new();
    content.read_to_end(&mut plain)?;
    Ok((plain, hash))
}

/// Opens what must not open. (`Box<dyn Seal>` has no `Debug` for `unwrap_err`.)
fn refusal(options: &SealOptions) -> Error {
    match open(options) {
        Ok(_) => panic!("{options:?} was accepted"),
        Err(error) => error,
    }
}

fn secret(text: &str) -> Secret {
    Secret::new(text.as_bytes())
}

fn symmetric(passphrase: &str) -> SealOptions {
    SealOptions {
        encryption: Encryption::Symmetric {
            passphrase: secret(passphrase),
            sign: None,
        },
        threads: 2,
        ..SealOptions::default()
    }
}

fn public(home: &Home, recipients: &[&str]) -> SealOptions {
    SealOptions {
        encryption: Encryption::PublicKey {
            recipients: recipients.iter().map(|name| name.to_string()).collect(),
            hidden: false,
            passphrase: None,
            sign: None,
        },
        keyring: home.keyring(),
        threads: 2,
        ..SealOptions::default()
    }
}

/// A GnuPG home of its own, with an agent that ends with it.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        use std::os::unix::fs::PermissionsExt;
        // A short path, for the agent's socket lies there.
        let dir = tempfile::Builder::new()
            .prefix("gpg")
            .tempdir_in("/tmp")
            .unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        Self(dir)
    }

    /// With the key of Ada, not protected.
    fn with_ada() -> Self {
        let home = Self::new();
        home.generate("Ada <ada@example.org>", "", "never");
        home
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn keyring(&self) -> Keyring {
        Keyring::GnuPg {
            home: Some(self.path().into()),
            program: "gpg".into(),
        }
    }

    /// Makes a key for encryption and signing.
    fn generate(&self, user: &str, passphrase: &str, expires: &str) {
        self.ok(
            &[
                "--passphrase",
                passphrase,
                "--quick-generate-key",
                user,
                "future-default",
                "default",
                expires,
            ],
            b"",
        );
    }

    fn gpg(&self, arguments: &[&str], input: &[u8]) -> Output {
        let mut all = vec![
            "--batch",
            "--no-tty",
            "--quiet",
            "--pinentry-mode=loopback",
            "--trust-model=always",
        ];
        all.extend(arguments);
        let mut command = Command::new("gpg");
        command.arg("--homedir").arg(self.path()).args(all);
        run(command, input)
    }

    fn ok(&self, arguments: &[&str], input: &[u8]) -> Vec<u8> {
        let output = self.gpg(arguments, input);
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "gpg {arguments:?}: {words}");
        output.stdout
    }

    /// What gpg reads, and what it says.
    fn decrypt(&self, passphrase: &str, message: &[u8]) -> (Vec<u8>, String) {
        let output = self.gpg(
            &["--verbose", "--passphrase", passphrase, "--decrypt"],
            message,
        );
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{words}");
        (output.stdout, words)
    }

    fn fingerprint(&self, user: &str) -> String {
        let listing =
            String::from_utf8(self.ok(&["--with-colons", "--list-keys", user], b"")).unwrap();
        listing
            .lines()
            .find_map(|line| line.strip_prefix("fpr:::::::::"))
            .unwrap()
            .trim_end_matches(':')
            .to_string()
    }

    /// Writes all keys of a user to a file, secret parts included.
    fn export_secret(&self, user: &str, passphrase: &str) -> PathBuf {
        let file = self.path().join("exported.key");
        std::fs::write(
            &file,
            self.ok(
                &["--passphrase", passphrase, "--export-secret-keys", user],
                b"",
            ),
        )
        .unwrap();
        file
    }

    /// Writes the public keys of a user to a file.
    fn export_public(&self, user: &str) -> PathBuf {
        let file = self.path().join("exported.pub");
        std::fs::write(&file, self.ok(&["--armor", "--export", user], b"")).unwrap();
        file
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = Command::new("gpgconf")
            .arg("--homedir")
            .arg(self.path())
            .args(["--kill", "gpg-agent"])
            .status();
    }
}

/// Runs a program on some input.
fn run(mut command: Command, input: &[u8]) -> Output {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .env("LC_ALL", "C");
    let mut child = command
        .spawn()
        .unwrap_or_else(|e| panic!("this test needs {command:?}: {e}"));
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let feeder = std::thread::spawn(move || {
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap();
    output
}

fn noise(bytes: usize) -> Vec<u8> {
    use rand::{RngCore, SeedableRng};
    let mut data = vec![0; bytes];
    rand::rngs::SmallRng::seed_from_u64(7).fill_bytes(&mut data);
    data
}

/// Contents every form must bring back.
fn contents() -> Vec<Vec<u8>> {
    vec![Vec::new(), vec![b'x'], mixed(5 << 20), noise(1 << 20)]
}

/// Text, zeros and noise in pieces of uneven lengths.
pub(super) fn mixed(bytes: usize) -> Vec<u8> {
    use rand::{RngCore, SeedableRng, rngs::SmallRng};
    let mut rng = SmallRng::seed_from_u64(42);
    let mut data = Vec::with_capacity(bytes + 100_000);
    while data.len() < bytes {
        let len = 1000 + rng.next_u32() as usize % 100_000;
        match rng.next_u32() % 3 {
            0 => {
                let mut noise = vec![0; len];
                rng.fill_bytes(&mut noise);
                data.extend(noise);
            }
            1 => data.extend(vec![0; len]),
            _ => {
                let end = data.len() + len;
                while data.len() < end {
                    data.extend(format!("line {} of the log\n", rng.next_u32() % 9999).bytes());
                }
            }
        }
    }
    data.truncate(bytes);
    data
}
