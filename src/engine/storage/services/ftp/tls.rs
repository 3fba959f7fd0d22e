//! TLS for ftp: which versions are spoken.
//!
//! Servers want each data connection to resume the session of the control connection. Sessions of TLS 1.3 can be resumed
//! once only, so version 1.2 is asked for first, and 1.3 where a server has nothing older.

use super::super::tls::Trust;
use crate::engine::error::Result;
use std::sync::Arc;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::version::{TLS12, TLS13};

/// Sessions a connection remembers; it has but one server.
const SESSIONS: usize = 8;

/// What a target's connections have in common.
pub(super) struct Tls {
    first: ClientConfig,
    second: ClientConfig,
}

impl Tls {
    /// # Errors
    /// `Usage` if there is no certificate to trust.
    pub(super) fn new(trust: &Trust) -> Result<Self> {
        Ok(Self {
            first: trust.config(&[&TLS12])?,
            second: trust.config(&[&TLS13])?,
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
