//! A container whose key is still being made.
//!
//! Deriving a key from a passphrase takes as long as compressing some ten MB. What comes meanwhile waits here, as it would
//! have to in the container, so that the other threads have something to do.

use super::container::ContainerWriter;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::seal::hash::HashingWriter;
use sequoia_openpgp::crypto::SessionKey;
use std::io::{self, Write};
use std::thread::JoinHandle;

/// Content that may wait for the key.
const WAITING_BYTES: usize = 4 << 20;

/// The key of a message.
pub(super) enum ComingKey {
    Here(SessionKey),
    /// A thread makes it.
    Coming(JoinHandle<Result<SessionKey>>),
}

impl ComingKey {
    /// The key, made by a thread of its own if one can be had.
    pub(super) fn begin(
        make: impl Fn() -> Result<SessionKey> + Clone + Send + 'static,
    ) -> Result<Self> {
        let thread = std::thread::Builder::new().name("dupr-key".into());
        match thread.spawn(make.clone()) {
            Ok(thread) => Ok(Self::Coming(thread)),
            Err(_) => make().map(Self::Here),
        }
    }

    fn is_here(&self) -> bool {
        match self {
            Self::Here(_) => true,
            Self::Coming(thread) => thread.is_finished(),
        }
    }

    fn wait(self) -> Result<SessionKey> {
        match self {
            Self::Here(key) => Ok(key),
            Self::Coming(thread) => thread.join().unwrap_or_else(|_| {
                let text = "the thread that makes the key panicked";
                Err(Error::new(ErrorKind::Internal, text))
            }),
        }
    }
}

/// Writes a container once its key is there.
pub(super) struct LateContainer<W> {
    state: State<W>,
}

enum State<W> {
    Waiting {
        key: ComingKey,
        out: HashingWriter<W>,
        content: Vec<u8>,
    },
    Open(Box<ContainerWriter<W>>),
    /// It could not be opened.
    Failed,
}

impl<W: Write> LateContainer<W> {
    /// Starts a container under an AES-256 key. Nothing is written yet.
    pub(super) fn start(key: ComingKey, out: HashingWriter<W>) -> Self {
        let content = Vec::new();
        Self {
            state: State::Waiting { key, out, content },
        }
    }

    /// The container, with all that waited for it.
    fn open(&mut self) -> io::Result<&mut ContainerWriter<W>> {
        if let State::Waiting { .. } = self.state {
            let waiting = std::mem::replace(&mut self.state, State::Failed);
            if let State::Waiting { key, out, content } = waiting {
                let mut container = ContainerWriter::start(&key.wait()?, out)?;
                container.write_all(&content)?;
                self.state = State::Open(Box::new(container));
            }
        }
        match &mut self.state {
            State::Open(container) => Ok(container),
            _ => Err(Error::new(ErrorKind::Internal, "writing goes on after an error").into()),
        }
    }

    /// Ends the container, see [`ContainerWriter::finish`].
    pub(super) fn finish(mut self) -> io::Result<HashingWriter<W>> {
        self.open()?;
        match self.state {
            State::Open(container) => container.finish(),
            _ => Err(Error::new(ErrorKind::Internal, "writing goes on after an error").into()),
        }
    }
}

impl<W: Write> Write for LateContainer<W> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if let State::Waiting { key, content, .. } = &mut self.state
            && !key.is_here()
            && content.len() + data.len() <= WAITING_BYTES
        {
            content.extend_from_slice(data);
            return Ok(data.len());
        }
        self.open()?.write(data)
    }

    /// Does nothing: a flush in the middle would make the output depend on when it came.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
