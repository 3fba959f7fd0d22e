//! A file on its way into a program that reads it from standard input, at the pace of uploads.

use super::super::transfer::Upload;
use crate::engine::error::Result;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::AsyncWrite;
use tokio::process::ChildStdin;

/// Bytes given to a program at a time.
const PIECE: usize = 16 << 10;

/// What of the file has gone, and what goes next.
pub(super) struct Feed<'a> {
    upload: Upload<'a>,
    /// `None` once all of it has gone, or the program takes no more.
    stdin: Option<ChildStdin>,
    piece: Vec<u8>,
    sent: usize,
}

impl<'a> Feed<'a> {
    pub(super) fn new(upload: Upload<'a>, stdin: ChildStdin) -> Self {
        Self {
            upload,
            stdin: Some(stdin),
            piece: Vec::new(),
            sent: 0,
        }
    }

    /// Takes the next piece when the last one has gone, and closes the pipe behind the last one of all.
    ///
    /// # Errors
    /// As [`Upload::next`].
    pub(super) fn fill(&mut self) -> Result<()> {
        if self.stdin.is_some() && self.sent == self.piece.len() {
            (self.piece, self.sent) = (self.upload.next(PIECE)?, 0);
            if self.piece.is_empty() {
                self.stdin = None;
            }
        }
        Ok(())
    }

    /// Gives the program what it takes, and says how much that was; why it takes no more it says itself.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<usize> {
        let (Some(stdin), Some(rest)) = (&mut self.stdin, self.piece.get(self.sent..)) else {
            return Poll::Pending;
        };
        Pin::new(stdin).poll_write(cx, rest).map(|wrote| {
            let bytes = wrote.unwrap_or(0);
            self.sent += bytes;
            if bytes == 0 {
                self.stdin = None;
            }
            bytes
        })
    }
}
