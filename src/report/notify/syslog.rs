//! A line in the system's log, by the datagram socket that syslogd and systemd's journal share.
//!
//! The line has no time of its own: whoever listens adds it, and takes the process from the socket.

use super::{News, Notifier, SecretReader, Sent};
use crate::engine::error::{Error, Result};
use crate::profile::{Moment, Syslog};
use crate::report::format;
use std::io::Write;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;
use std::time::Duration;

/// Facility "daemon" (RFC 5424, section 6.2.1).
const DAEMON: u8 = 3;

/// Characters of a line; some daemons cut at a kilobyte.
const LINE_CHARS: usize = 800;

/// Time a full socket may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Writes as `[report.syslog]` says.
pub struct SyslogNotifier {
    settings: Syslog,
}

impl SyslogNotifier {
    pub fn new(settings: &Syslog) -> Self {
        Self {
            settings: settings.clone(),
        }
    }
}

/// `<27>dupr[4711]: FAILED home on nas1: target full (exit code 13)`.
fn line(news: &News<'_>) -> String {
    let severity = match news.report.tone {
        "bad" => 3,
        "warn" => 4,
        "calm" => 5,
        _ => 6,
    };
    let report = news.report;
    let status = if news.test { "test" } else { report.status };
    let text = format!(
        "{status} {} on {}: {} (exit code {})",
        report.profile, report.host, report.headline, news.code
    );
    format!(
        "<{}>dupr[{}]: {}",
        DAEMON * 8 + severity,
        std::process::id(),
        format::shortened(&text, LINE_CHARS)
    )
}

fn send(socket: &Path, line: &str) -> std::io::Result<()> {
    let datagram = UnixDatagram::unbound()?;
    datagram.set_write_timeout(Some(TIMEOUT))?;
    match datagram.send_to(line.as_bytes(), socket) {
        Ok(_) => Ok(()),
        // Few daemons listen for a stream there, with NUL at the end of each line.
        Err(e) if e.raw_os_error() == Some(rustix::io::Errno::PROTOTYPE.raw_os_error()) => {
            let mut stream = UnixStream::connect(socket)?;
            stream.set_write_timeout(Some(TIMEOUT))?;
            stream.write_all(line.as_bytes())?;
            stream.write_all(&[0])
        }
        Err(e) => Err(e),
    }
}

impl Notifier for SyslogNotifier {
    fn key(&self) -> &'static str {
        "syslog"
    }

    fn name(&self) -> String {
        self.settings.name()
    }

    fn moments(&self) -> &[Moment] {
        &self.settings.when
    }

    fn send(&self, news: &News<'_>, _: SecretReader<'_>) -> Result<Sent> {
        let socket = &self.settings.socket;
        send(socket, &line(news)).map_err(|e| {
            Error::io("write to the system's log at", socket, e)
                .with_hint("name the socket your system has: socket under [report.syslog]")
        })?;
        Ok(Sent::default())
    }
}
