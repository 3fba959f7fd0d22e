//! TLS for ftp: which certificates are trusted, and which versions are spoken.
//!
//! Servers want each data connection to resume the session of the control connection. Sessions of TLS 1.3 can be resumed
//! once only, so version 1.2 is asked for first, and 1.3 where a server has nothing older.

use crate::engine::error::{Error, ErrorKind, Result};
use std::path::Path;
use std::sync::Arc;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::client::{Resumption, WebPkiServerVerifier, verify_server_name};
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{
    ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore, SignatureScheme,
    SupportedProtocolVersion,
};

/// Sessions a connection remembers; it has but one server.
const SESSIONS: usize = 8;

/// What a target's connections have in common.
pub(super) struct Tls {
    first: ClientConfig,
    second: ClientConfig,
}

impl Tls {
    /// Trusts the certificates of `ca_file`, else those the system trusts.
    ///
    /// # Errors
    /// `Usage` for a file without certificates; `Io` and the like if it cannot be read.
    pub(super) fn new(ca_file: Option<&Path>) -> Result<Self> {
        let own = ca_file.map(certificates).transpose()?;
        let config = |version| config(version, own.as_deref());
        Ok(Self {
            first: config(&TLS12)?,
            second: config(&TLS13)?,
        })
    }

    /// For one connection and its data connections. It remembers their session and no other's: servers let a data
    /// connection resume that of its own control connection alone.
    pub(super) fn connector(&self, modern: bool) -> TlsConnector {
        let mut config = if modern {
            self.second.clone()
        } else {
            self.first.clone()
        };
        config.resumption = Resumption::in_memory_sessions(SESSIONS);
        TlsConnector::from(Arc::new(config))
    }
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>> {
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

fn config(
    version: &'static SupportedProtocolVersion,
    own: Option<&[CertificateDer<'static>]>,
) -> Result<ClientConfig> {
    let unusable = |error: &dyn std::fmt::Display| {
        let text = format!("cannot prepare TLS: {error}");
        Error::new(ErrorKind::Usage, text).with_hint("name a file with the option `ca-file`")
    };
    let mut roots = RootCertStore::empty();
    match own {
        Some(own) => roots.add_parsable_certificates(own.iter().cloned()),
        None => roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs),
    };
    let provider = Arc::new(default_provider());
    let chain = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .build()
        .map_err(|e| unusable(&e))?;
    let verifier = Verifier {
        chain,
        own: own.unwrap_or_default().to_vec(),
    };
    Ok(ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .map_err(|e| unusable(&e))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_certificates_is_refused() {
        let file = tempfile::NamedTempFile::new().expect("temp file");
        let error = Tls::new(Some(file.path())).err().expect("empty");
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert!(error.hint().is_some_and(|h| h.contains("ca-file")));
    }
}
