//! Signatures by keys in gpg's agent or on a smart card.
//!
//! gpg only sees the content and returns a detached signature; compression and encryption stay here, on all cores.

use super::process::Process;
use super::{Gpg, unexpected};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::secret::Secret;
use std::io::{self, Read, Write};

/// Longest signature packet taken from gpg; a 16384 bit RSA key needs 2.3 kB.
const MAX_SIGNATURE_BYTES: u64 = 16 * 1024;

/// A signature gpg is making.
pub(in crate::engine::seal) struct DetachedSigner {
    process: Process,
}

impl DetachedSigner {
    /// Starts gpg for a signature by exactly the key (or subkey) of this fingerprint, with this hash.
    pub(in crate::engine::seal) fn start(
        gpg: &Gpg,
        fingerprint: &str,
        hash: &str,
        passphrase: Option<&Secret>,
    ) -> Result<Self> {
        // The exclamation mark keeps gpg from choosing another subkey.
        let key = format!("{fingerprint}!");
        let arguments = [
            "--no-armor",
            "--digest-algo",
            hash,
            "--local-user",
            &key,
            "--detach-sign",
            "--output",
            "-",
        ];
        Ok(Self {
            process: Process::start(gpg, arguments.map(Into::into), passphrase)?,
        })
    }

    /// Ends the content and returns the signature packet.
    pub(in crate::engine::seal) fn finish(mut self) -> Result<Vec<u8>> {
        drop(self.process.stdin.take());
        let mut signature = Vec::new();
        if let Some(stdout) = self.process.stdout.take() {
            let read = stdout.take(MAX_SIGNATURE_BYTES).read_to_end(&mut signature);
            read.map_err(|e| Error::from(e).within("cannot read the signature from gpg"))?;
        }
        let finished = self.process.finish()?;
        if !finished.success || !finished.says("SIG_CREATED") {
            return Err(finished.error("gpg cannot sign"));
        }
        if signature.is_empty() {
            return Err(unexpected("without a signature"));
        }
        Ok(signature)
    }
}

impl Write for DetachedSigner {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let Some(stdin) = &mut self.process.stdin else {
            return Err(
                Error::new(ErrorKind::Internal, "content after the end of a signature").into(),
            );
        };
        match stdin.write(data) {
            // It gave up and says why at the end; until then the content has nowhere to go.
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(data.len()),
            written => written,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
