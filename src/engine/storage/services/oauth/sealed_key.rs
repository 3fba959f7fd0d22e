//! Private keys that a passphrase seals: PKCS #8 with PBES2, as Box and OpenSSL make them.

use super::assertion::Signer;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::secret::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sequoia_openpgp::crypto::SessionKey;
use sequoia_openpgp::crypto::symmetric::{BlockCipherMode, Decryptor, UnpaddingMode};
use sequoia_openpgp::parse::buffered_reader::Memory;
use sequoia_openpgp::types::SymmetricAlgorithm;
use sha1::{Digest, Sha1};
use sha2::Sha256;
use std::io::Read;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use zeroize::Zeroizing;

/// Most rounds of a derivation: what is more is an attack, not a key.
const MAX_ROUNDS: u64 = 10_000_000;

const PBES2: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05, 0x0d];
const PBKDF2: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05, 0x0c];
const HMAC_SHA1: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x02, 0x07];
const HMAC_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x02, 0x09];
const TRIPLE_DES: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x03, 0x07];
const AES_128: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01, 0x02];
const AES_256: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01, 0x2a];

/// Signs with a key in PEM, sealed or not.
///
/// # Errors
/// `Usage` if it is none, of a form that is not known, or sealed with another passphrase.
pub(crate) fn signer(pem: &str, passphrase: Option<&Secret>, id: Option<&str>) -> Result<Signer> {
    let (begin, end) = (
        "-----BEGIN ENCRYPTED PRIVATE KEY-----",
        "-----END ENCRYPTED PRIVATE KEY-----",
    );
    let inner = pem
        .split_once(begin)
        .and_then(|(_, rest)| rest.split_once(end));
    let Some((inner, _)) = inner else {
        return Signer::of_pem(pem.as_bytes(), id);
    };
    let text: String = inner.split_whitespace().collect();
    let sealed = STANDARD
        .decode(text)
        .map_err(|_| usage("the private key is not in PEM"))?;
    let Some(passphrase) = passphrase else {
        return Err(usage(
            "the private key is sealed, and there is no passphrase",
        ));
    };
    let sealing = Sealing::of(&sealed).ok_or_else(|| {
        usage("the private key is sealed in a form that is not known")
            .with_hint("seal it with `openssl pkcs8 -topk8 -v2 aes256`")
    })?;
    let wrong = || usage("the passphrase does not open the private key");
    let opened = sealing.open(passphrase).ok_or_else(wrong)?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(opened.as_slice()));
    Signer::of(&key, id).map_err(|_| wrong())
}

fn usage(text: &str) -> Error {
    Error::new(ErrorKind::Usage, text)
}

/// How a key is sealed.
struct Sealing<'a> {
    salt: &'a [u8],
    rounds: u64,
    derive: fn(&[u8], &[u8]) -> Vec<u8>,
    cipher: SymmetricAlgorithm,
    key_bytes: usize,
    start: &'a [u8],
    content: &'a [u8],
}

/// One element of DER with this tag; what is in it, and what follows.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (length, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            let length = length
                .iter()
                .fold(0, |sum, byte| (sum << 8) | usize::from(*byte));
            (length, rest)
        }
        _ => return None,
    };
    (found == tag).then_some(())?;
    rest.split_at_checked(length)
}

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const OCTETS: u8 = 0x04;
const OBJECT: u8 = 0x06;

impl<'a> Sealing<'a> {
    fn of(bytes: &'a [u8]) -> Option<Self> {
        let (all, _) = element(bytes, SEQUENCE)?;
        let (how, rest) = element(all, SEQUENCE)?;
        let (content, _) = element(rest, OCTETS)?;
        let (kind, how) = element(how, OBJECT)?;
        let (how, _) = element(how, SEQUENCE)?;
        let (derivation, rest) = element(how, SEQUENCE)?;
        let (encryption, _) = element(rest, SEQUENCE)?;
        let (derivation_kind, derivation) = element(derivation, OBJECT)?;
        if kind != PBES2 || derivation_kind != PBKDF2 {
            return None;
        }
        let (derivation, _) = element(derivation, SEQUENCE)?;
        let (salt, rest) = element(derivation, OCTETS)?;
        let (rounds, mut rest) = element(rest, INTEGER)?;
        let rounds = rounds.iter().try_fold(0u64, |sum, byte| {
            sum.checked_mul(256)?.checked_add(u64::from(*byte))
        })?;
        if let Some((_, after)) = element(rest, INTEGER) {
            // Length of the key, which the cipher tells as well.
            rest = after;
        }
        let derive: fn(&[u8], &[u8]) -> Vec<u8> = match element(rest, SEQUENCE) {
            None if rest.is_empty() => hmac::<Sha1>,
            None => return None,
            Some((prf, _)) => match element(prf, OBJECT)?.0 {
                HMAC_SHA1 => hmac::<Sha1>,
                HMAC_SHA256 => hmac::<Sha256>,
                _ => return None,
            },
        };
        let (cipher, rest) = element(encryption, OBJECT)?;
        let (start, _) = element(rest, OCTETS)?;
        // Three keys of DES are what openssl long wrote; the keys are out there.
        #[allow(deprecated)]
        let (cipher, key_bytes, block) = match cipher {
            TRIPLE_DES => (SymmetricAlgorithm::TripleDES, 24, 8),
            AES_128 => (SymmetricAlgorithm::AES128, 16, 16),
            AES_256 => (SymmetricAlgorithm::AES256, 32, 16),
            _ => return None,
        };
        let fits =
            start.len() == block && content.len().is_multiple_of(block) && !content.is_empty();
        (fits && (1..=MAX_ROUNDS).contains(&rounds)).then_some(Self {
            salt,
            rounds,
            derive,
            cipher,
            key_bytes,
            start,
            content,
        })
    }

    /// The key, without what fills its last block; `None` for a wrong passphrase.
    fn open(&self, passphrase: &Secret) -> Option<Zeroizing<Vec<u8>>> {
        let mut key = Zeroizing::new(Vec::new());
        for block in 1u32.. {
            if key.len() >= self.key_bytes {
                break;
            }
            let mut last = (self.derive)(
                passphrase.expose(),
                &[self.salt, &block.to_be_bytes()].concat(),
            );
            let mut sum = last.clone();
            for _ in 1..self.rounds {
                last = (self.derive)(passphrase.expose(), &last);
                sum.iter_mut()
                    .zip(&last)
                    .for_each(|(sum, byte)| *sum ^= byte);
            }
            key.extend(sum);
        }
        key.truncate(self.key_bytes);
        let key = SessionKey::from(key.as_slice());
        let source = Memory::with_cookie(self.content, Default::default());
        let mut decryptor = Decryptor::new(
            self.cipher,
            BlockCipherMode::CBC,
            UnpaddingMode::None,
            &key,
            Some(self.start),
            source,
        )
        .ok()?;
        let mut opened = Zeroizing::new(Vec::with_capacity(self.content.len()));
        decryptor.read_to_end(&mut opened).ok()?;
        let fill = usize::from(*opened.last()?);
        let length = opened.len().checked_sub(fill)?;
        let is_fill = (1..=self.start.len()).contains(&fill)
            && opened[length..]
                .iter()
                .all(|byte| usize::from(*byte) == fill);
        is_fill.then_some(())?;
        opened.truncate(length);
        Some(opened)
    }
}

/// HMAC as RFC 2104 has it.
fn hmac<D: Digest>(key: &[u8], text: &[u8]) -> Vec<u8> {
    const BLOCK: usize = 64;
    let mut block = Zeroizing::new([0u8; BLOCK]);
    if key.len() > BLOCK {
        let key = D::digest(key);
        block[..key.len()].copy_from_slice(&key);
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let with = |mask: u8| block.map(|byte| byte ^ mask);
    let inner = D::new()
        .chain_update(with(0x36))
        .chain_update(text)
        .finalize();
    D::new()
        .chain_update(with(0x5c))
        .chain_update(inner)
        .finalize()
        .to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::storage::services::web::hex;
    use proptest::prelude::*;

    #[test]
    fn authentication_codes_are_those_of_the_rfcs() {
        // RFC 2202 and 4231.
        assert_eq!(
            hex(&hmac::<Sha1>(b"Jefe", b"what do ya want for nothing?")),
            "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"
        );
        assert_eq!(
            hex(&hmac::<Sha256>(b"Jefe", b"what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        let long = hmac::<Sha1>(
            &[0xaa; 80],
            b"Test Using Larger Than Block-Size Key - Hash Key First",
        );
        assert_eq!(hex(&long), "aa4ae5e15272d00e95705637ce8a3b55ed402112");
    }

    /// A key of 512 bits, too short to be used, sealed by OpenSSL 3.0 with the passphrase `canary`.
    const SEALED: &[&str] = &[
        "MIIBpjBABgkqhkiG9w0BBQ0wMzAbBgkqhkiG9w0BBQwwDgQImqEef/PSzygCAggAMBQGCCqGSIb3DQMHBAhdmZe1Hyq1+wSCAWAE\
         M5hvBELiU9Q2Ymoaipwt8/h2+2ZQb/BJY3QNd/gOtUEiafCpf1pSQPdUqUVrKjHVgA0kY8KUOipDMYzQK31ez/rVyuaMZ/pVNfUc\
         OPiISgAVTpmyLSYWtQz+a2FyVbDpOTgHnADr19b2VQwVdIYIian/a99McS8PUz1z/sUlggIIWP4oayxgIZwQr+PMpNo6qGqmrDBG\
         neOrGLlv+JCMItzMmTO7ka9T3lQcF/o32ki/zUVTOtPsQc5mdKz0B4f2YtC9t+/JX3hu64T0apNYOmRRA8JK9whSBoRHwtwcFx51\
         R7p0TY0L9biHQH65Jkb7Y4lrU8cNWBscqhTpHyuuZW0AeyCRAjTv2mZsQLOWMV7IgsC+TQx+3FxpPYWUojtrvrzRywKJ3BvPmFFK\
         MI2IKty1KXTOkpOFFzsNHhPnyK0ZavVVR1ei+TgM/17YM6MURM0GQQMWfGolk8Qx8Ihg",
        "MIIBvTBXBgkqhkiG9w0BBQ0wSjApBgkqhkiG9w0BBQwwHAQIZ0mmTDxsEj0CAggAMAwGCCqGSIb3DQIJBQAwHQYJYIZIAWUDBAEq\
         BBC9Adk9Ce7IhjCgjmKI0HPWBIIBYMfxZtl8tbtK0DSEkDPMYsAFthxgXxl06o5IYbUHA07UTwYrp/YNeOXl2rLqSKQSWbwR8hrh\
         bD2rnnLx6TYt7U7YLMIFjUwoj/BbItVI6ijLwMFMlnV+UxqYphonGxV7hPcdNjlQymdcJ6MX3BczHOioaAh5EfyPgrU2axQEpUKE\
         xVj/Pd/QazOEJead+sS2mfSkEvsQxYtmwD/Q/84bF55SDr6abV8jY9JpeE1Y7WPQQdl++WhOYJnV/LS2vGp9SgE95i/1ldEhVBNl\
         eJ2FrV78YktwrX8w4jcQ2CpmlkS0hlPhDHYqhAuwX7Q5RSMPTMgQP3ua5V0+/CPB6OZv91ZcR2MOU+mSBuyuAWJQ+9yN+qGHYMU6\
         h2iSjARcyy8XPhyURf0unrpMkxJqjlsZQ0FjxIHpBM1FHX6oJk08bHS2tZmq1Jz9j2GIQVeNfMwB+9em5eB4b4G5miq4oXOohH8=",
        "MIIBrzBJBgkqhkiG9w0BBQ0wPDAbBgkqhkiG9w0BBQwwDgQIfJqcDjBH1cUCAggAMB0GCWCGSAFlAwQBAgQQQKz8wdtCSF+qPWWv\
         leKTkgSCAWBiHjyM8RTClmJRObzoJlIitkOfmOkYNbFuMitxTAZbReuYO0nXIZF1iAV8mJ0YAz/qIU193GlObWoFSzEXQt8DIpGW\
         hHQwwrbfSxHWX5gTHkTwiWXOcajFys+fkXQFI6Q//7EXZXZ1JExDJHqqKiURnFLzb5brz7AT8JS5haKvwaW6+rkcEzIBk24tuXcs\
         dRUNxGOx0IXfnzhhBc3rX6bmC+cXYdk6NCgZ9s+LQNw7jIfL/B8HIjqMApTkLNiE75yV2CluYg57oCskhYcKGk6AVId9hOGtrSva\
         LEPHFT9/jAOKsfGExrPezzU5Gu83M4sqqCmwiKqKhj1z3owPXQTMJt9loaePJbTaKaaqq5b+4hlFI+n8LJP8fO+kUAYWyNjFw+Zw\
         roraWMe3bw0L/0rw1yZdHH6mdBdsS5NqbditB3Zyjp2PVnN6rhRwWVsx4kGz0ooVm2Xr1S+3OXawpFLg",
    ];

    #[test]
    fn what_openssl_seals_is_opened() {
        for text in SEALED {
            let bytes = STANDARD.decode(text).expect("base64");
            let sealing = Sealing::of(&bytes).expect("a form that is known");
            let opened = sealing.open(&Secret::new("canary")).expect("opened");
            assert_eq!(
                hex(&Sha256::digest(&opened[..])),
                "4241f4ec6d0976f6a30e8a806288dee068ede2f85fafce5f8bca405dd24454cf"
            );
            assert!(
                sealing
                    .open(&Secret::new("other"))
                    .is_none_or(|other| *other != *opened)
            );
        }
    }

    proptest! {
        #[test]
        fn nonsense_is_survived(bytes: Vec<u8>) {
            Sealing::of(&bytes);
        }
    }
}
