//! The key of one message, of a gpg whose agent has the secret key.
//!
//! gpg decrypts and inflates on one thread and much slower than we do, so it is only asked for what nobody else can do. Source:
//! doc/DETAILS of GnuPG, SESSION_KEY.

use super::Gpg;
use super::decrypt::offers;
use super::process::Process;
use crate::engine::error::{ErrorKind, Result};
use crate::engine::seal::openpgp::unlock::Secrets;
use crate::engine::secret::Secret;
use sequoia_openpgp::crypto::SessionKey;
use sequoia_openpgp::types::SymmetricAlgorithm;
use std::io::Write;
use zeroize::Zeroizing;

/// An encrypted packet without sense, of the shortest length: gpg tells the key when it comes to one, and would read more of the
/// real one. Source: RFC 9580, section 5.13.1.
const STAND_IN: [u8; 2 + 1 + 40] = {
    let mut packet = [0; 43];
    (packet[0], packet[1], packet[2]) = (0xc0 | 18, 41, 1);
    packet
};

/// The cipher and key of a message whose first packets, up to the encrypted one, are `packets`. `None` if gpg does not tell, be it
/// too old or the message damaged: it has to decrypt the whole then, and to say what is wrong.
///
/// # Errors
/// `WrongKey` if no passphrase unlocks the secret key, or it is not here.
pub(in crate::engine::seal) fn session_key(
    gpg: &Gpg,
    secrets: &Secrets,
    packets: &[u8],
) -> Result<Option<(SymmetricAlgorithm, SessionKey)>> {
    let mut refusal = None;
    for offer in offers(secrets) {
        let passphrase = offer.map(|(_, passphrase)| passphrase);
        let process = asked(gpg, passphrase, packets)?;
        let told = process.wait_for(&["SESSION_KEY", "DECRYPTION_FAILED", "NODATA"]);
        if told.as_deref() == Some("SESSION_KEY") {
            let key = process.line("SESSION_KEY").and_then(|line| parsed(&line));
            if let (Some((number, _)), Some(_)) = (offer, &key) {
                secrets.was_good(number);
            }
            return Ok(key);
        }
        let finished = process.finish_soon()?;
        let error = finished.error("gpg cannot decrypt it");
        if error.kind() != ErrorKind::WrongKey {
            return Ok(None);
        }
        refusal = Some((finished, error));
    }
    match refusal {
        Some((finished, error)) => {
            if finished.met_locked_key() {
                secrets.met_locked_key();
            }
            Err(error)
        }
        None => Ok(None),
    }
}

/// A gpg that has these packets, and is not listened to but for its status.
fn asked(gpg: &Gpg, passphrase: Option<&Secret>, packets: &[u8]) -> Result<Process> {
    let arguments = [
        // gpg also says the key in its words: not to a file the user's configuration names, which others may read.
        "--log-file",
        "-",
        "--show-session-key",
        "--skip-verify",
        "--decrypt",
        "--output",
        "-",
    ];
    let mut process = Process::start(gpg, arguments.map(Into::into), passphrase)?;
    drop(process.stdout.take());
    if let Some(mut stdin) = process.stdin.take() {
        // A gpg that ends before it has read all of it says why.
        let _ = stdin.write_all(&[packets, &STAND_IN].concat());
    }
    Ok(process)
}

/// `9:` and the key in hex: the number of the cipher stands first.
fn parsed(line: &str) -> Option<(SymmetricAlgorithm, SessionKey)> {
    let (cipher, hex) = line.split_once(':')?;
    let cipher = SymmetricAlgorithm::from(cipher.parse::<u8>().ok()?);
    let digits: Option<Zeroizing<Vec<u8>>> = hex
        .trim()
        .bytes()
        .map(|digit| Some(char::from(digit).to_digit(16)? as u8))
        .collect::<Option<Vec<u8>>>()
        .map(Zeroizing::new);
    let digits = digits?;
    let (pairs, rest) = digits.as_chunks::<2>();
    let fits = rest.is_empty() && cipher.key_size().ok()? == pairs.len();
    fits.then(|| {
        let key: Vec<u8> = pairs.iter().map(|[high, low]| high << 4 | low).collect();
        (cipher, key.into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_gpg_writes_them() {
        let hex = "00112233445566778899AABBCCDDEEFF";
        let (cipher, key) = parsed(&format!("7:{hex}")).expect("a key");
        assert_eq!(cipher, SymmetricAlgorithm::AES128);
        assert_eq!(key[..4], [0, 0x11, 0x22, 0x33]);
        assert_eq!(key[15], 0xff);
        for line in [
            "",
            "7",
            "7:",
            "9:00",
            "x:00",
            &format!("9:{hex}"),
            &format!("7:{hex}0"),
            "7:é",
        ] {
            assert!(parsed(line).is_none(), "{line}");
        }
    }
}
