//! HTTP as services speak it that need no library of their own: requests, uploads from a file, downloads.
//!
//! An upload is read from its file as it is sent and hashed on the way, so that the service's own hash of it can be
//! compared. A service that answers before it has everything is heard at once. What is silent for too long, or no longer
//! wanted, ends.

use super::super::StorageOptions;
use super::super::transfer::{Download, Transfer, Upload};
use super::{http, later, tls};
use crate::engine::error::{Error, ErrorKind, Result};
use bytes::Bytes;
use futures_core::Stream;
use md5::{Digest, Md5};
use reqwest::header::{CONTENT_LENGTH, HeaderMap};
use reqwest::{Body, Client, Method, RequestBuilder, Response, StatusCode};
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::mpsc;

/// Bytes read from a file at a time.
const PIECE: usize = 256 << 10;

/// Pieces on their way from the file to the connection.
const PIECES: usize = 2;

/// Longest answer that is no object.
const MAX_TEXT: usize = 64 << 20;

/// A client for one service.
pub(super) struct Web {
    client: Client,
    transfer: Arc<Transfer>,
    /// Stands before errors.
    service: &'static str,
}

/// What was sent, and what the service said to it.
pub(super) struct Sent {
    pub(super) response: Response,
    /// Hash of the bytes, in hexadecimal; none if the answer came before all of them were sent.
    pub(super) md5: Option<String>,
}

impl Web {
    /// # Errors
    /// What preparing the client reports.
    pub(super) fn new(
        service: &'static str,
        options: &StorageOptions,
        transfer: Arc<Transfer>,
    ) -> Result<Self> {
        Ok(Self::with(service, http::client(options)?, transfer))
    }

    /// With a client that is there already.
    pub(super) fn with(service: &'static str, client: Client, transfer: Arc<Transfer>) -> Self {
        Self {
            client,
            transfer,
            service,
        }
    }

    /// The terms of transfers.
    pub(super) fn transfer(&self) -> &Transfer {
        &self.transfer
    }

    /// A request that is not sent yet.
    pub(super) fn request(&self, method: Method, url: &str) -> RequestBuilder {
        self.client.request(method, url)
    }

    /// Sends a request and waits for the head of the answer.
    pub(super) async fn send(&self, request: RequestBuilder) -> Result<Response> {
        let answer = self.transfer.answer(request.send()).await?;
        self.heard(answer)
    }

    /// An answer, or why there is none.
    fn heard(&self, answer: reqwest::Result<Response>) -> Result<Response> {
        let response = answer.map_err(|e| self.unreachable(&e))?;
        later::heed(&self.transfer, response.status(), response.headers());
        Ok(response)
    }

    /// Sends the next `bytes` bytes of `upload` as the body of a request.
    pub(super) async fn upload(
        &self,
        request: RequestBuilder,
        upload: &mut Upload<'_>,
        bytes: u64,
    ) -> Result<Sent> {
        self.upload_within(request, upload, bytes, ("", "")).await
    }

    /// The same with text before and behind them; the hash is that of the bytes alone.
    pub(super) async fn upload_within(
        &self,
        request: RequestBuilder,
        upload: &mut Upload<'_>,
        bytes: u64,
        (head, tail): (&str, &str),
    ) -> Result<Sent> {
        let mut head = Some(Bytes::copy_from_slice(head.as_bytes()));
        let mut tail = Some(Bytes::copy_from_slice(tail.as_bytes()));
        let around = [&head, &tail]
            .into_iter()
            .flatten()
            .map(Bytes::len)
            .sum::<usize>();
        let (feed, pieces) = mpsc::channel(PIECES);
        let body = Body::wrap_stream(Pieces(pieces));
        let all = bytes + around as u64;
        let request = request.header(CONTENT_LENGTH, all).body(body);
        let mut answer = pin!(request.send());
        let mut hash = Md5::new();
        let mut left = bytes;
        loop {
            let piece = match (head.take(), left) {
                (Some(head), _) => head,
                (None, 0) => match tail.take() {
                    Some(tail) => tail,
                    None => break,
                },
                (None, _) => {
                    let most = usize::try_from(left).map_or(PIECE, |left| left.min(PIECE));
                    let piece = upload.next(most)?;
                    if piece.is_empty() {
                        return Err(Error::new(ErrorKind::Io, "a file became shorter"));
                    }
                    hash.update(&piece);
                    left -= piece.len() as u64;
                    Bytes::from(piece)
                }
            };
            if piece.is_empty() {
                continue;
            }
            let mut fed = pin!(feed.send(piece));
            // Whichever is first: an early answer means that nobody takes the rest.
            let early = poll_fn(|cx| match answer.as_mut().poll(cx) {
                Poll::Ready(answer) => Poll::Ready(Some(answer)),
                Poll::Pending => fed.as_mut().poll(cx).map(|_| None),
            });
            if let Some(answer) = self.transfer.taken(early).await? {
                return Ok(Sent {
                    response: self.heard(answer)?,
                    md5: None,
                });
            }
        }
        drop(feed);
        let limit = self.transfer.patience_after(bytes);
        let answer = self.transfer.answer_within(limit, answer).await?;
        Ok(Sent {
            response: self.heard(answer)?,
            md5: Some(hex(&hash.finalize())),
        })
    }

    /// Passes on the body of an answer.
    pub(super) async fn download(
        &self,
        mut response: Response,
        to: &mut Download<'_>,
    ) -> Result<()> {
        while let Some(piece) = self.next(&mut response).await? {
            to.push(&piece)?;
        }
        Ok(())
    }

    /// The body of an answer that is no object.
    pub(super) async fn body(&self, mut response: Response) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        while let Some(piece) = self.next(&mut response).await? {
            if body.len() + piece.len() > MAX_TEXT {
                let text = format!("{}: an answer has no end", self.service);
                return Err(Error::new(ErrorKind::Io, text));
            }
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }

    /// The body of an answer as JSON.
    pub(super) async fn json(&self, response: Response) -> Result<serde_json::Value> {
        let body = self.body(response).await?;
        serde_json::from_slice(&body).map_err(|_| {
            let text = format!("{}: the answer is not JSON", self.service);
            Error::new(ErrorKind::Io, text)
        })
    }

    async fn next(&self, response: &mut Response) -> Result<Option<Bytes>> {
        let piece = self.transfer.answer(response.chunk()).await?;
        piece.map_err(|e| self.unreachable(&e))
    }

    /// What a status means that no service gives a meaning of its own.
    pub(super) fn refused(&self, what: &str, status: StatusCode) -> Error {
        let kind = match status.as_u16() {
            401 | 403 => ErrorKind::Denied,
            404 => ErrorKind::NotFound,
            // 498 is what OpenStack says when asked too often.
            429 | 498 => ErrorKind::RateLimited,
            // 422: what arrived has another hash than what was announced. 499: the line broke.
            408 | 422 | 499 | 500 | 502..=504 => ErrorKind::Unreachable,
            413 => ErrorKind::Unsupported,
            507 => ErrorKind::Full,
            _ => ErrorKind::Io,
        };
        let text = format!("{}: {what} was answered with {status}", self.service);
        Error::new(kind, text)
    }

    /// No answer; the last cause is the one that tells.
    fn unreachable(&self, error: &reqwest::Error) -> Error {
        let mut text = String::new();
        let mut cause: Option<&dyn std::error::Error> = Some(error);
        while let Some(e) = cause {
            text = e.to_string();
            cause = e.source();
        }
        let kind = match error.is_builder() {
            true => ErrorKind::Usage,
            false => ErrorKind::Unreachable,
        };
        let told = || Error::new(kind, format!("{}: {text}", self.service));
        tls::disbelieved(error, self.service).unwrap_or_else(told)
    }
}

/// A header as text.
pub(super) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Bytes in hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The body of an upload, as it is read.
struct Pieces(mpsc::Receiver<Bytes>);

impl Stream for Pieces {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(cx).map(|piece| piece.map(Ok))
    }
}
