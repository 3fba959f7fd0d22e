//! Private keys that a passphrase seals: PKCS #8 with PBES2, as Box and OpenSSL make them.

use super::assertion::Signer;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::secret::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pkcs8::{EncryptedPrivateKeyInfo, SecretDocument};
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

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
    let opened = open(&sealed, passphrase)?;
    let wrong = || usage("the passphrase does not open the private key");
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(opened.as_bytes()));
    Signer::of(&key, id).map_err(|_| wrong())
}

fn open(sealed: &[u8], passphrase: &Secret) -> Result<SecretDocument> {
    let unknown = |_| {
        usage("the private key is sealed in a form that is not known")
            .with_hint("seal it with `openssl pkcs8 -topk8 -v2 aes256`")
    };
    EncryptedPrivateKeyInfo::try_from(sealed)
        .map_err(unknown)?
        .decrypt(passphrase.expose())
        .map_err(|_| usage("the passphrase does not open the private key"))
}

fn usage(text: &str) -> Error {
    Error::new(ErrorKind::Usage, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::storage::services::web::hex;
    use proptest::prelude::*;
    use sha2::{Digest, Sha256};

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
            let opened = open(&bytes, &Secret::new("canary")).expect("opened");
            assert_eq!(
                hex(&Sha256::digest(opened.as_bytes())),
                "4241f4ec6d0976f6a30e8a806288dee068ede2f85fafce5f8bca405dd24454cf"
            );
            let other = open(&bytes, &Secret::new("other"));
            assert!(other.is_err() || other.unwrap().as_bytes() != opened.as_bytes());
        }
    }

    proptest! {
        #[test]
        fn nonsense_is_survived(bytes: Vec<u8>) {
            let _ = open(&bytes, &Secret::new("canary"));
        }
    }
}
