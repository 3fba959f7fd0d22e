//! Commands and answers of one connection.
//!
//! A command has a tag, and is over when an answer has it too. What is long comes and goes as it is read. Source: RFC 3501.

use super::trouble::{broken, said};
use super::values::{self, LITERAL, Value};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::storage::transfer::{Download, Transfer, Upload};
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};

/// Longest line of a server, longest literal that is no contents, and most that is kept of what is said to one command.
const MAX_LINE: u64 = 1 << 20;
const MAX_TEXT: u64 = 1 << 20;
const MAX_SAID: u64 = 16 << 20;

/// Most remarks on the way to an answer; some servers make one every few seconds while they search.
const MAX_REMARKS: u32 = 1000;

/// For how many times its patience a command may take when all that comes is remarks.
const MAX_PATIENCE: u32 = 10;

/// What stands before contents.
const CONTENTS: &[u8] = b"BODY[1] ";

/// Bytes taken from contents at a time.
const PIECE: usize = 64 << 10;

/// Slowest server, for the wait until it has stored a mail.
const SLOWEST_BYTES_PER_SECOND: u64 = 128 << 10;

/// A way to a server, encrypted or not.
pub(super) trait Line: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Line for T {}

/// A piece of a command.
pub(super) enum Word<'a> {
    /// Sent as it is.
    Plain(&'a str),
    /// Sent so that it means this text, whatever is in it.
    Text(&'a str),
}

/// Where the contents of a mail go.
pub(super) struct Sink<'a, 'b> {
    pub(super) decoder: super::mail::Decoder,
    pub(super) to: &'a mut Download<'b>,
}

impl Sink<'_, '_> {
    fn push(&mut self, piece: &[u8]) -> Result<()> {
        let bytes = self.decoder.feed(piece)?;
        self.to.push(&bytes)
    }
}

/// An answer: a line without its end, and what came apart from it.
struct Answer {
    line: Vec<u8>,
    literals: Vec<Vec<u8>>,
}

impl Answer {
    /// Bytes it takes.
    fn len(&self) -> u64 {
        let literals = self.literals.iter().map(|literal| literal.len() as u64);
        self.line.len() as u64 + literals.sum::<u64>()
    }

    /// What follows these first words, if they are the first.
    fn after(&self, words: &str) -> Option<String> {
        let line = String::from_utf8_lossy(&self.line);
        let head = line.get(..words.len())?;
        let rest = line.get(words.len()..)?;
        head.eq_ignore_ascii_case(words).then(|| rest.to_string())
    }
}

/// One connection.
pub(super) struct Dialogue {
    line: BufReader<Box<dyn Line>>,
    host: String,
    commands: u64,
    /// Whether a command has begun and not ended.
    is_busy: bool,
}

impl Dialogue {
    /// Waits for the greeting.
    pub(super) async fn begin(
        line: Box<dyn Line>,
        host: &str,
        transfer: &Transfer,
    ) -> Result<Self> {
        let mut dialogue = Self {
            line: BufReader::with_capacity(PIECE, line),
            host: host.to_string(),
            commands: 0,
            is_busy: false,
        };
        let greeting = dialogue.answer(transfer, None).await?;
        if greeting.after("* OK").is_some() || greeting.after("* PREAUTH").is_some() {
            return Ok(dialogue);
        }
        Err(match greeting.after("* BYE") {
            Some(words) => said("BYE", &words),
            None => broken(&dialogue.host, "no greeting"),
        })
    }

    /// Whether a command was left in the middle.
    pub(super) fn is_busy(&self) -> bool {
        self.is_busy
    }

    /// Sends a command; what the server says to it but the last word.
    ///
    /// # Errors
    /// What a refusal means; `Unreachable`.
    pub(super) async fn ask(
        &mut self,
        words: &[Word<'_>],
        transfer: &Transfer,
    ) -> Result<Vec<Vec<Value>>> {
        let tag = self.send(words, transfer).await?;
        self.end(&tag, transfer, None, transfer.timeout()).await
    }

    /// Sends a command whose answer holds the contents of a mail.
    pub(super) async fn fetch(
        &mut self,
        words: &[Word<'_>],
        transfer: &Transfer,
        sink: &mut Sink<'_, '_>,
    ) -> Result<Vec<Vec<Value>>> {
        let tag = self.send(words, transfer).await?;
        self.end(&tag, transfer, Some(sink), transfer.timeout())
            .await
    }

    /// Sends a command that ends in a mail.
    pub(super) async fn append(
        &mut self,
        words: &[Word<'_>],
        mail: &super::mail::Mail,
        upload: &mut Upload<'_>,
        transfer: &Transfer,
    ) -> Result<()> {
        let announced = format!("{{{}}}", mail.length);
        let words: Vec<_> = words
            .iter()
            .map(|word| match word {
                Word::Plain(word) => Word::Plain(word),
                Word::Text(text) => Word::Text(text),
            })
            .chain([Word::Plain(&announced)])
            .collect();
        let tag = self.send(&words, transfer).await?;
        self.go_ahead(&tag, transfer).await?;
        if let Err(error) = self.contents(mail, upload, transfer).await {
            // Who refuses a mail may hang up before all of it is there; the reason is in the last words.
            if error.kind() == ErrorKind::Unreachable
                && let Err(refusal) = self.go_ahead(&tag, transfer).await
                && refusal.kind() != ErrorKind::Unreachable
            {
                // What follows would be taken for the rest of the mail.
                self.is_busy = true;
                return Err(refusal);
            }
            self.is_busy = true;
            return Err(error);
        }
        let patience =
            transfer.timeout() + Duration::from_secs(mail.length / SLOWEST_BYTES_PER_SECOND);
        self.end(&tag, transfer, None, patience).await?;
        Ok(())
    }

    async fn contents(
        &mut self,
        mail: &super::mail::Mail,
        upload: &mut Upload<'_>,
        transfer: &Transfer,
    ) -> Result<()> {
        self.write(mail.head.as_bytes(), transfer).await?;
        let mut left = upload.len();
        while left > 0 {
            let piece = upload.next(super::mail::PIECE)?;
            if piece.is_empty() {
                return Err(Error::new(ErrorKind::Io, "a file became shorter"));
            }
            left = left.saturating_sub(piece.len() as u64);
            let text = super::mail::encoded(&piece);
            self.write(text.as_bytes(), transfer).await?;
        }
        self.write(mail.tail.as_bytes(), transfer).await?;
        self.write(b"\r\n", transfer).await
    }

    /// Sends all of a command but the literal it may end in; its tag.
    async fn send(&mut self, words: &[Word<'_>], transfer: &Transfer) -> Result<String> {
        self.commands += 1;
        self.is_busy = true;
        let tag = format!("d{}", self.commands);
        let mut line = tag.clone().into_bytes();
        for word in words {
            line.push(b' ');
            match word {
                Word::Plain(word) => line.extend(word.as_bytes()),
                Word::Text(text) if text.bytes().all(|b| matches!(b, b' '..=b'~')) => {
                    line.push(b'"');
                    for byte in text.bytes() {
                        if matches!(byte, b'"' | b'\\') {
                            line.push(b'\\');
                        }
                        line.push(byte);
                    }
                    line.push(b'"');
                }
                Word::Text(text) => {
                    line.extend(format!("{{{}}}\r\n", text.len()).as_bytes());
                    self.write(&std::mem::take(&mut line), transfer).await?;
                    self.go_ahead(&tag, transfer).await?;
                    line.extend(text.as_bytes());
                }
            }
        }
        line.extend(b"\r\n");
        self.write(&line, transfer).await?;
        Ok(tag)
    }

    async fn write(&mut self, bytes: &[u8], transfer: &Transfer) -> Result<()> {
        let written = async {
            self.line.write_all(bytes).await?;
            self.line.flush().await
        };
        let written = transfer.answer(written).await?;
        written.map_err(|error| broken(&self.host, "the line broke").with_source(error))
    }

    /// Waits until the server wants a literal.
    async fn go_ahead(&mut self, tag: &str, transfer: &Transfer) -> Result<()> {
        let mut remarks = Remarks::since_now(transfer.timeout());
        loop {
            let answer = self.answer(transfer, None).await?;
            if answer.line.starts_with(b"+") {
                return Ok(());
            }
            if self.is_over(&answer, tag)? {
                return Err(broken(&self.host, "a command was over before its end"));
            }
            remarks.one_more(&self.host)?;
        }
    }

    /// Collects what is said until the command is over.
    async fn end(
        &mut self,
        tag: &str,
        transfer: &Transfer,
        mut sink: Option<&mut Sink<'_, '_>>,
        patience: Duration,
    ) -> Result<Vec<Vec<Value>>> {
        let mut all = Vec::new();
        let mut bytes = 0;
        let mut remarks = Remarks::since_now(patience);
        loop {
            let answer = self
                .answer_within(patience, transfer, sink.as_deref_mut())
                .await?;
            if self.is_over(&answer, tag)? {
                return Ok(all);
            }
            bytes += answer.len();
            if bytes > MAX_SAID {
                return Err(broken(&self.host, "an answer has no end"));
            }
            // What is for people to read has no form.
            if ["* OK", "* NO", "* BAD", "+"]
                .iter()
                .any(|words| answer.after(words).is_some())
            {
                remarks.one_more(&self.host)?;
                continue;
            }
            all.push(values::parse(&answer.line, answer.literals)?);
        }
    }

    /// Whether an answer ends the command of this tag well.
    ///
    /// # Errors
    /// If it ends it badly.
    fn is_over(&mut self, answer: &Answer, tag: &str) -> Result<bool> {
        if let Some(words) = answer.after("* BYE") {
            return Err(said("BYE", &words));
        }
        for status in ["OK", "NO", "BAD"] {
            if let Some(words) = answer.after(&format!("{tag} {status}")) {
                self.is_busy = false;
                return match status {
                    "OK" => Ok(true),
                    status => Err(said(status, &words)),
                };
            }
        }
        Ok(false)
    }

    async fn answer(
        &mut self,
        transfer: &Transfer,
        sink: Option<&mut Sink<'_, '_>>,
    ) -> Result<Answer> {
        self.answer_within(transfer.timeout(), transfer, sink).await
    }

    /// One answer, with its literals.
    async fn answer_within(
        &mut self,
        patience: Duration,
        transfer: &Transfer,
        mut sink: Option<&mut Sink<'_, '_>>,
    ) -> Result<Answer> {
        let (mut line, mut literals) = (Vec::new(), Vec::new());
        let mut kept = 0;
        loop {
            let mut part = Vec::new();
            let mut limited = (&mut self.line).take(MAX_LINE);
            let read = limited.read_until(b'\n', &mut part);
            let read = transfer.answer_within(patience, read).await?;
            read.map_err(|error| broken(&self.host, "the line broke").with_source(error))?;
            if part.pop() != Some(b'\n') || part.contains(&LITERAL) {
                return Err(broken(&self.host, "the line broke"));
            }
            if part.last() == Some(&b'\r') {
                part.pop();
            }
            let Some((before, bytes)) = literal(&part) else {
                line.extend(part);
                return Ok(Answer { line, literals });
            };
            line.extend(before);
            if line.len() as u64 > MAX_LINE {
                return Err(broken(&self.host, "an answer has no end"));
            }
            let end = line.get(line.len().saturating_sub(CONTENTS.len())..);
            let is_contents = end.is_some_and(|end| end.eq_ignore_ascii_case(CONTENTS));
            match sink.as_deref_mut().filter(|_| is_contents) {
                Some(sink) => {
                    let mut pass = async |piece: &[u8]| sink.push(piece);
                    self.literal(bytes, transfer, &mut pass).await?;
                    literals.push(Vec::new());
                }
                None if bytes > MAX_TEXT || kept + bytes > MAX_SAID => {
                    return Err(broken(&self.host, "an answer has no end"));
                }
                None => {
                    kept += bytes;
                    let mut text = Vec::new();
                    let mut keep = async |piece: &[u8]| {
                        text.extend(piece);
                        Ok(())
                    };
                    self.literal(bytes, transfer, &mut keep).await?;
                    literals.push(text);
                }
            }
            line.push(LITERAL);
        }
    }

    /// The bytes of a literal.
    async fn literal(
        &mut self,
        mut left: u64,
        transfer: &Transfer,
        pass: &mut impl AsyncFnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let mut piece = vec![0; PIECE];
        while left > 0 {
            let most = usize::try_from(left).map_or(PIECE, |left| left.min(PIECE));
            let room = piece.get_mut(..most).unwrap_or_default();
            let read = transfer.answer(self.line.read(room)).await?;
            let bytes = match read {
                Ok(bytes @ 1..) => bytes,
                Ok(0) => return Err(broken(&self.host, "the line broke")),
                Err(error) => {
                    return Err(broken(&self.host, "the line broke").with_source(error));
                }
            };
            pass(room.get(..bytes).unwrap_or_default()).await?;
            left -= bytes as u64;
        }
        Ok(())
    }
}

/// What a server says by the way while a command is under way.
struct Remarks {
    count: u32,
    since: Instant,
    patience: Duration,
}

impl Remarks {
    fn since_now(patience: Duration) -> Self {
        Self {
            count: 0,
            since: Instant::now(),
            patience,
        }
    }

    /// # Errors
    /// `Unreachable` if nothing else comes for too long.
    fn one_more(&mut self, host: &str) -> Result<()> {
        self.count += 1;
        match self.count > MAX_REMARKS || self.since.elapsed() > self.patience * MAX_PATIENCE {
            true => Err(broken(host, "the server talks and does not answer")),
            false => Ok(()),
        }
    }
}

/// A line that announces a literal: what stands before the announcement, and the length.
fn literal(line: &[u8]) -> Option<(&[u8], u64)> {
    let open = line.iter().rposition(|byte| *byte == b'{')?;
    let digits = line.get(open + 1..)?.strip_suffix(b"}")?;
    let digits = digits.strip_suffix(b"+").unwrap_or(digits);
    let digits = std::str::from_utf8(digits).ok()?;
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    Some((
        line.get(..open)?,
        digits.parse().ok().filter(|_| is_number)?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::storage::StorageOptions;

    /// A server that says this, and listens to nothing.
    fn hears(
        said: &[u8],
        call: impl AsyncFnOnce(&mut Dialogue, &Transfer) -> Result<()>,
    ) -> Result<()> {
        let transfer = Transfer::new(&StorageOptions::default());
        transfer.block_on(async {
            let (near, mut far) = tokio::io::duplex(said.len().max(1 << 20));
            far.write_all(said).await.expect("written");
            far.shutdown().await.expect("the end");
            let mut dialogue = Dialogue::begin(Box::new(near), "h", &transfer).await?;
            call(&mut dialogue, &transfer).await
        })
    }

    #[test]
    fn literals_are_announced() {
        assert_eq!(
            literal(b"* 1 FETCH (BODY[1] {12}"),
            Some((&b"* 1 FETCH (BODY[1] "[..], 12))
        );
        assert_eq!(literal(b"a {3+}"), Some((&b"a "[..], 3)));
        for none in [
            &b"a"[..],
            b"{}",
            b"{a}",
            b"{-1}",
            b"{99999999999999999999}",
            b"{1} ",
        ] {
            assert_eq!(literal(none), None);
        }
    }

    #[test]
    fn contents_go_where_they_are_wanted() {
        let said =
            b"* OK hi\r\n* 1 FETCH (UID 7 BODY[1] {6}\r\nYWJj\r\n)\r\n* 5 EXISTS\r\nd1 OK done\r\n";
        let mut got = Vec::new();
        hears(said, async |dialogue, transfer| {
            let mut download = transfer.download(&mut got);
            let mut sink = Sink {
                decoder: Default::default(),
                to: &mut download,
            };
            let answers = dialogue
                .fetch(&[Word::Plain("X")], transfer, &mut sink)
                .await?;
            assert_eq!(answers.len(), 2);
            assert!(!dialogue.is_busy());
            sink.decoder.finish()
        })
        .expect("a mail");
        assert_eq!(got, b"abc");
    }

    #[test]
    fn what_is_cut_or_refused_is_told() {
        let literal = format!("{{{}}}\r\n{}", 1 << 18, "x".repeat(1 << 18));
        let endless = format!("* OK hi\r\n* 1 FETCH ({}", literal.repeat(65));
        let chatter = format!("* OK hi\r\n{}d1 OK\r\n", "* OK wait\r\n".repeat(1001));
        let cases: &[(&[u8], ErrorKind)] = &[
            (b"", ErrorKind::Unreachable),
            (b"* BYE [UNAVAILABLE] later\r\n", ErrorKind::Unreachable),
            (b"HTTP/1.1 400\r\n", ErrorKind::Unreachable),
            (
                b"* OK hi\r\n* 1 FETCH (BODY[1] {9}\r\nabc",
                ErrorKind::Unreachable,
            ),
            (
                b"* OK hi\r\n* 1 FETCH (X {99999999}\r\nabc",
                ErrorKind::Unreachable,
            ),
            (b"* OK hi\r\n* 1 FETCH (\r\n", ErrorKind::Unreachable),
            (endless.as_bytes(), ErrorKind::Unreachable),
            (chatter.as_bytes(), ErrorKind::Unreachable),
            (b"* OK hi\r\nd1 NO [OVERQUOTA] full\r\n", ErrorKind::Full),
            (
                b"* OK hi\r\nd1 NO [AUTHENTICATIONFAILED] no\r\n",
                ErrorKind::Denied,
            ),
        ];
        for (said, kind) in cases {
            let error = hears(said, async |dialogue, transfer| {
                dialogue
                    .ask(&[Word::Plain("X")], transfer)
                    .await
                    .map(|_| ())
            });
            let error = error.expect_err("no answer");
            assert_eq!(
                error.kind(),
                *kind,
                "{}: {error}",
                String::from_utf8_lossy(said)
            );
        }
    }
}
