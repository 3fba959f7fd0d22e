//! Tokens that a program makes and signs itself, to be exchanged for one of the service (JWT with RS256).

use crate::engine::error::{Error, ErrorKind, Result};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio_rustls::rustls::SignatureScheme;
use tokio_rustls::rustls::crypto::aws_lc_rs::sign::any_supported_type;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::sign::SigningKey;

/// Signs what a program says of itself.
pub(crate) struct Signer {
    key: Arc<dyn SigningKey>,
    /// Id of the key, if the service wants it.
    id: Option<String>,
}

impl Signer {
    /// With a key in PEM; what stands around it is passed over.
    ///
    /// # Errors
    /// `Usage` if there is none, or none for RSA.
    pub(crate) fn of_pem(pem: &[u8], id: Option<&str>) -> Result<Self> {
        let key = PrivateKeyDer::from_pem_slice(pem).map_err(|_| none("in PEM"))?;
        Self::of(&key, id)
    }

    /// As [`of_pem`](Self::of_pem), with a key that was taken apart already.
    pub(crate) fn of(key: &PrivateKeyDer<'_>, id: Option<&str>) -> Result<Self> {
        let key = any_supported_type(key).map_err(|_| none("that is understood"))?;
        let signer = key.choose_scheme(&[SignatureScheme::RSA_PKCS1_SHA256]);
        signer.ok_or_else(|| none("for RSA"))?;
        Ok(Self {
            key,
            id: id.map(str::to_string),
        })
    }

    /// Claims with a signature.
    pub(crate) fn signed(&self, claims: &Value) -> Result<String> {
        let mut head = json!({ "alg": "RS256", "typ": "JWT" });
        if let Some(id) = &self.id {
            head["kid"] = id.as_str().into();
        }
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let text = format!("{}.{}", part(&head), part(claims));
        let signer = self.key.choose_scheme(&[SignatureScheme::RSA_PKCS1_SHA256]);
        let signer = signer.ok_or_else(|| none("for RSA"))?;
        let signature = signer.sign(text.as_bytes()).map_err(|_| {
            let text = "the private key does not sign";
            Error::new(ErrorKind::Internal, text)
        })?;
        Ok(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

fn none(what: &str) -> Error {
    Error::new(ErrorKind::Usage, format!("there is no private key {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_key_is_refused() {
        let pem = b"-----BEGIN PRIVATE KEY-----\nY2FuYXJ5\n-----END PRIVATE KEY-----\n".as_slice();
        for (text, what) in [(b"canary".as_slice(), "PEM"), (pem, "understood")] {
            let error = Signer::of_pem(text, None).err().expect("no key");
            assert_eq!(error.kind(), ErrorKind::Usage);
            assert!(error.to_string().contains(what), "{error}");
            assert!(!format!("{error:?}").contains("canary"));
        }
    }
}
