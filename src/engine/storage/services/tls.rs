//! Which certificates are trusted: those the system trusts, or only the user's own, or any.
//!
//! The same for all services that speak TLS, by the same settings.

use super::super::StorageOptions;
use crate::engine::error::{Error, ErrorKind, Result};
use std::path::Path;
use std::sync::Arc;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::client::{WebPkiServerVerifier, verify_server_name};
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{
    ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore, SignatureScheme,
    SupportedProtocolVersion,
};

/// Whom to trust.
#[derive(Debug)]
pub(super) struct Trust {
    /// The user's own certificates, instead of those of the system.
    own: Option<Vec<CertificateDer<'static>>>,
    /// Whether a certificate is looked at, at all.
    checks: bool,
}

impl Trust {
    /// What the settings say.
    ///
    /// # Errors
    /// `Usage` for a file or folder without certificates; `Io` and the like if they cannot be read.
    pub(super) fn of(options: &StorageOptions) -> Result<Self> {
        let path = |name| options.setting(name).map(Path::new);
        let mut own = path("ca-file").map(of_file).transpose()?;
        if let Some(folder) = path("ca-folder") {
            own.get_or_insert_default().extend(of_folder(folder)?);
        }
        let checks = match options.setting("check-certificate") {
            None | Some("true" | "yes") => true,
            Some("false" | "no") => false,
            Some(other) => {
                let text = format!("the option `check-certificate` cannot be {other:?}");
                let error = Error::new(ErrorKind::Usage, text);
                return Err(error.with_hint("it can be true or false"));
            }
        };
        Ok(Self { own, checks })
    }

    /// Whether nothing but what the system trusts is trusted.
    #[cfg(feature = "cloud")]
    pub(super) fn is_usual(&self) -> bool {
        self.own.is_none() && self.checks
    }

    /// For connections of these versions of TLS.
    ///
    /// # Errors
    /// `Usage` if there is no certificate to trust.
    pub(super) fn config(
        &self,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Result<ClientConfig> {
        let unusable = |error: &dyn std::fmt::Display| {
            let text = format!("cannot prepare TLS: {error}");
            Error::new(ErrorKind::Usage, text).with_hint("name a file with the option `ca-file`")
        };
        let provider = Arc::new(default_provider());
        let verifier: Arc<dyn ServerCertVerifier> = if self.checks {
            let mut roots = RootCertStore::empty();
            match &self.own {
                Some(own) => roots.add_parsable_certificates(own.iter().cloned()),
                None => {
                    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)
                }
            };
            let chain =
                WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone())
                    .build()
                    .map_err(|e| unusable(&e))?;
            Arc::new(Verifier {
                chain,
                own: self.own.clone().unwrap_or_default(),
            })
        } else {
            Arc::new(Anybody(Arc::clone(&provider)))
        };
        Ok(ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .map_err(|e| unusable(&e))?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth())
    }
}

/// A server whose certificate is not believed, if that is at the bottom of an error.
#[cfg(feature = "cloud")]
pub(super) fn disbelieved(error: &(dyn std::error::Error + 'static), host: &str) -> Option<Error> {
    let causes = std::iter::successors(Some(error), |e| e.source());
    let words = causes.last()?.to_string();
    words
        .contains("certificate")
        .then(|| untrusted(&words, host))
}

/// No TLS with a host, in the words of the library.
pub(super) fn untrusted(words: &str, host: &str) -> Error {
    let text = format!("no TLS with {host}: {words}");
    if words.contains("certificate") {
        return Error::new(ErrorKind::Denied, text)
            .with_hint("give the certificate or its authority as option `ca-file`");
    }
    Error::new(ErrorKind::Unreachable, text)
}

fn of_file(file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let text = std::fs::read(file).map_err(|e| Error::io("read", file, e))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(Error::new(
            ErrorKind::Usage,
            format!("{} holds no certificates", file.display()),
        )
        .with_hint("the option `ca-file` wants certificates in PEM form")),
    }
}

/// Certificates of the files in a folder such as `/etc/ssl/certs`, whatever their names are.
fn of_folder(folder: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let reading = |e| Error::io("read", folder, e);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(reading)? {
        let path = entry.map_err(reading)?.path();
        // Revocation lists and other things lie there, too.
        if path.is_file() {
            found.extend(of_file(&path).unwrap_or_default());
        }
    }
    if found.is_empty() {
        let text = format!("no file in {} holds certificates", folder.display());
        return Err(Error::new(ErrorKind::Usage, text)
            .with_hint("the option `ca-folder` wants files with certificates in PEM form"));
    }
    Ok(found)
}

/// Believes what a chain of trust proves, and a certificate that the user has handed over itself.
///
/// The latter because `openssl req -x509` makes certificates of authorities, which many small servers show as their own
/// and which no chain allows.
#[derive(Debug)]
struct Verifier {
    chain: Arc<WebPkiServerVerifier>,
    own: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        match self
            .chain
            .verify_server_cert(shown, between, name, ocsp, now)
        {
            Err(TlsError::InvalidCertificate(problem))
                if self.own.contains(shown)
                    && format!("{problem:?}").contains("CaUsedAsEndEntity") =>
            {
                verify_server_name(&ParsedCertificate::try_from(shown)?, name)?;
                Ok(ServerCertVerified::assertion())
            }
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.chain.verify_tls12_signature(message, shown, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.chain.verify_tls13_signature(message, shown, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}

/// Believes whoever answers.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let known = &self.0.signature_verification_algorithms;
        tokio_rustls::rustls::crypto::verify_tls12_signature(message, shown, signature, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let known = &self.0.signature_verification_algorithms;
        tokio_rustls::rustls::crypto::verify_tls13_signature(message, shown, signature, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trust(settings: &[(&str, &str)]) -> Result<Trust> {
        Trust::of(&StorageOptions {
            settings: settings
                .iter()
                .map(|(k, v)| (k.to_string(), v.to_string()))
                .collect(),
            ..StorageOptions::default()
        })
    }

    #[test]
    fn what_holds_no_certificates_is_refused() {
        let dir = tempfile::tempdir().expect("temp dir");
        let file = dir.path().join("empty.pem");
        std::fs::write(&file, "nothing\n").expect("write");
        for (name, path) in [("ca-file", file.as_path()), ("ca-folder", dir.path())] {
            let error = trust(&[(name, path.to_str().expect("UTF-8"))]).expect_err(name);
            assert_eq!(error.kind(), ErrorKind::Usage);
            assert!(error.hint().is_some_and(|h| h.contains(name)), "{error}");
        }
        let error = trust(&[("check-certificate", "maybe")]).expect_err("neither");
        assert_eq!(error.kind(), ErrorKind::Usage);
    }
}
