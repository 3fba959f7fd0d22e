//! Getting to a server: address, encryption, name and password.

use super::super::super::settings;
use super::super::tls::Trust;
use super::tls::Tls;
use super::trouble::{answer, explain};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::secret::Secret;
use crate::engine::storage::StorageOptions;
use crate::engine::storage::options::first_password;
use crate::engine::storage::transfer::Transfer;
use crate::engine::storage::url::{FtpSecurity, Server, TargetUrl};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use suppaftp::tokio::{AsyncRustlsConnector, AsyncRustlsFtpStream};
use suppaftp::types::FileType;
use suppaftp::{FtpError, Mode, Status};
use tokio::net::TcpStream;

/// Port of ftp that is encrypted from the first byte.
const IMPLICIT_PORT: u16 = 990;

/// How long a server may take to connect to us, if it does.
const ACTIVE_WAIT: Duration = Duration::from_secs(30);

/// A dialogue with a server, encrypted or not.
pub(super) type Ftp = AsyncRustlsFtpStream;

/// Where a directory lies.
pub(in super::super) struct Place<'a> {
    /// How the line is encrypted.
    pub(in super::super) security: FtpSecurity,
    /// The machine.
    pub(in super::super) server: &'a Server,
    /// Path, relative to the login directory unless absolute.
    pub(in super::super) dir: &'a str,
}

/// All it takes to log in.
pub(super) struct Login {
    host: String,
    port: u16,
    user: String,
    password: Secret,
    security: FtpSecurity,
    tls: Option<Tls>,
    /// Whether the server has turned out to speak TLS 1.3 only.
    modern: AtomicBool,
    /// Whether the server connects to us for data, instead of the other way round.
    active: bool,
    /// Whether the server has ever told the end of what it sent, in TLS.
    tells_ends: Arc<AtomicBool>,
}

impl Login {
    /// # Errors
    /// `Usage` for settings ftp does not have, and for names and passwords it cannot send.
    pub(super) fn new(
        place: &Place<'_>,
        url: &TargetUrl,
        options: &StorageOptions,
    ) -> Result<Self> {
        options.allow_only("ftp", settings::FTP)?;
        let active = match options.setting("data-connection") {
            None | Some("passive") => false,
            Some("active") => true,
            Some(other) => {
                let text = format!("the ftp option `data-connection` cannot be {other:?}");
                let error = Error::new(ErrorKind::Usage, text);
                return Err(error.with_hint("it can be passive or active"));
            }
        };
        let Server { user, host, port } = place.server;
        // COMPAT(dup all): without a user the login is anonymous.
        let password = match user {
            Some(_) => first_password(url.password(), options).unwrap_or_else(|| Secret::new("")),
            None => Secret::new("anonymous@"),
        };
        let user = user.as_deref().unwrap_or("anonymous");
        let sendable = std::str::from_utf8(password.expose())
            .is_ok_and(|password| !format!("{user}{password}").contains(['\r', '\n']));
        if !sendable {
            let text = "user and password for ftp must be lines of UTF-8";
            return Err(Error::new(ErrorKind::Usage, text));
        }
        let tls = || Tls::new(&Trust::of(options)?);
        let (tls, standard_port) = match place.security {
            FtpSecurity::None => (None, 21),
            FtpSecurity::Explicit => (Some(tls()?), 21),
            FtpSecurity::Implicit => (Some(tls()?), IMPLICIT_PORT),
        };
        Ok(Self {
            host: host.clone(),
            port: port.unwrap_or(standard_port),
            user: user.to_string(),
            password,
            security: place.security,
            tls,
            modern: AtomicBool::new(false),
            active,
            tells_ends: Arc::default(),
        })
    }

    /// Name of the server.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// What all connections know of how the server ends what it sends.
    pub(super) fn tells_ends(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.tells_ends)
    }

    /// Connects and logs in. Also tells whether the server lists in the form of RFC 3659.
    ///
    /// # Errors
    /// `Unreachable`; `Denied` for password or certificate; `RateLimited` if the server has connections enough.
    pub(super) async fn connect(&self, transfer: &Transfer) -> Result<(Ftp, bool)> {
        let mut greeted = self.greeted(transfer).await;
        if let Err(error) = &greeted
            && error.to_string().contains("ProtocolVersion")
            && !self.modern.swap(true, Ordering::Relaxed)
        {
            greeted = self.greeted(transfer).await;
        }
        let mut ftp = greeted?;
        let password = std::str::from_utf8(self.password.expose()).unwrap_or_default();
        let login = ftp.login(self.user.as_str(), password);
        answer(transfer, &self.host, login).await?;
        let features = match transfer.answer(ftp.feat()).await? {
            Ok(features) => features,
            // A server without features says so in many ways.
            Err(FtpError::UnexpectedResponse(_) | FtpError::BadResponse) => Default::default(),
            Err(error) => return Err(explain(error, &self.host)),
        };
        if features.contains_key("UTF8") {
            // Most servers need not be asked, and some of those say no.
            let _ = transfer.answer(ftp.opts("UTF8", Some("ON"))).await?;
        }
        let binary = ftp.transfer_type(FileType::Binary);
        answer(transfer, &self.host, binary).await?;
        if self.active {
            ftp = ftp.active_mode(ACTIVE_WAIT);
        } else {
            // The address in an answer to PASV is often one of the inner network, and never better than the known one.
            ftp.set_passive_nat_workaround(true);
            ftp.set_mode(Mode::ExtendedPassive);
        }
        let has_mlsd = features.contains_key("MLST") || features.contains_key("MLSD");
        Ok((ftp, has_mlsd))
    }

    /// Up to the greeting, with TLS if wanted.
    async fn greeted(&self, transfer: &Transfer) -> Result<Ftp> {
        let address = (self.host.as_str(), self.port);
        let host = &self.host;
        let connector = self.tls.as_ref().map(|tls| {
            AsyncRustlsConnector::from(tls.connector(self.modern.load(Ordering::Relaxed)))
        });
        let connector = match (self.security, connector) {
            (FtpSecurity::Implicit, Some(connector)) => {
                let greeting = Ftp::connect_secure_implicit(address, connector, host);
                let mut ftp = answer(transfer, host, greeting).await?;
                for command in ["PBSZ 0", "PROT P"] {
                    let protect = ftp.custom_command(command, &[Status::CommandOk]);
                    answer(transfer, host, protect).await?;
                }
                return Ok(ftp);
            }
            (_, connector) => connector,
        };
        let stream = async {
            let stream = TcpStream::connect(address).await;
            stream.map_err(FtpError::ConnectionError)
        };
        let stream = answer(transfer, host, stream).await?;
        let _ = stream.set_nodelay(true);
        let ftp = answer(transfer, host, Ftp::connect_with_stream(stream)).await?;
        match connector {
            None => Ok(ftp),
            Some(connector) => answer(transfer, host, ftp.into_secure(connector, host))
                .await
                .map_err(|error| match error.kind() {
                    ErrorKind::Unsupported => error.with_hint("this server has no TLS"),
                    _ => error,
                }),
        }
    }
}
