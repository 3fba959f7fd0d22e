//! A file as a mail, as duplicity sends and reads it.
//!
//! `From` is the folder, `Subject` the name of the file, and the one part of the body its bytes in base64. dupr adds two
//! headers: the length, which is else to be had from the end of the body alone, and a name of its own for each mail.
// COMPAT(dup all): the layout, and which headers mean what.

use crate::engine::error::{Error, ErrorKind, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fmt::Write as _;

/// The headers that are asked for.
pub(super) const HEADERS: &str = "FROM SUBJECT MESSAGE-ID X-DUPR-LENGTH";

/// Bytes of a file in a line, and the line with its end.
const LINE: usize = 57;
const ENCODED_LINE: u64 = 78;

/// Bytes encoded at a time: whole lines.
pub(super) const PIECE: usize = LINE * 4096;

/// A mail about to be sent, but its contents.
pub(super) struct Mail {
    /// What stands before the contents.
    pub(super) head: String,
    /// What stands after them.
    pub(super) tail: String,
    /// Length of all of it.
    pub(super) length: u64,
}

impl Mail {
    /// A file of so many bytes; `id` is one that no other mail has.
    pub(super) fn new(folder: &str, name: &str, bytes: u64, id: &str) -> Self {
        let boundary = format!("=-{id}");
        let head = format!(
            "Content-Type: multipart/mixed; boundary=\"{boundary}\"\r\nMIME-Version: 1.0\r\n\
             From: {folder}\r\nSubject: {}\r\nMessage-ID: <{id}@dupr>\r\nX-Dupr-Length: {bytes}\r\n\r\n\
             --{boundary}\r\nContent-Type: application/binary\r\nMIME-Version: 1.0\r\n\
             Content-Transfer-Encoding: base64\r\n\r\n",
            subject(name)
        );
        let tail = format!("\r\n--{boundary}--\r\n");
        let (line, rest) = (LINE as u64, bytes % LINE as u64);
        let last = match rest {
            0 => 0,
            rest => rest.div_ceil(3) * 4 + 2,
        };
        let length = head.len() as u64 + bytes / line * ENCODED_LINE + last + tail.len() as u64;
        Self { head, tail, length }
    }
}

/// Lines of base64. All pieces but the last are whole lines.
pub(super) fn encoded(piece: &[u8]) -> String {
    let mut text = String::with_capacity(piece.len() / LINE * ENCODED_LINE as usize + 80);
    for line in piece.chunks(LINE) {
        STANDARD.encode_string(line, &mut text);
        text.push_str("\r\n");
    }
    text
}

/// Length of a file whose encoded contents are so long and end so.
pub(super) fn decoded_length(encoded: u64, end: &[u8]) -> Option<u64> {
    let letters = encoded / ENCODED_LINE * (ENCODED_LINE - 2);
    let last = match (encoded % ENCODED_LINE, encoded % ENCODED_LINE % 4) {
        // Whether the end of the last line is the part's or the boundary's is a matter of taste.
        (last, 2) => last - 2,
        (last, 0) => last,
        _ => return None,
    };
    let padding = end.iter().filter(|byte| **byte == b'=').count() as u64;
    ((letters + last) / 4 * 3).checked_sub(padding)
}

/// Turns base64 back into bytes, piece by piece.
#[derive(Default)]
pub(super) struct Decoder {
    /// Letters that are no whole group yet.
    held: Vec<u8>,
    is_over: bool,
}

impl Decoder {
    /// # Errors
    /// `Corrupt` for what is no base64.
    pub(super) fn feed(&mut self, piece: &[u8]) -> Result<Vec<u8>> {
        let letters = piece.iter().filter(|byte| !byte.is_ascii_whitespace());
        self.held.extend(letters);
        let whole = self.held.len() / 4 * 4;
        let groups = self.held.get(..whole).unwrap_or_default();
        if groups.is_empty() {
            return Ok(Vec::new());
        }
        if self.is_over {
            return Err(damaged());
        }
        self.is_over = groups.last() == Some(&b'=');
        let bytes = STANDARD.decode(groups).map_err(|_| damaged())?;
        self.held.drain(..whole);
        Ok(bytes)
    }

    /// # Errors
    /// `Corrupt` if there is a piece of a group left.
    pub(super) fn finish(self) -> Result<()> {
        match self.held.is_empty() {
            true => Ok(()),
            false => Err(damaged()),
        }
    }
}

fn damaged() -> Error {
    Error::new(ErrorKind::Corrupt, "the mail holds no base64")
}

/// What the headers of a mail tell.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Headers {
    pub(super) from: String,
    pub(super) name: String,
    pub(super) id: String,
    /// Only of mails that dupr has sent.
    pub(super) bytes: Option<u64>,
}

impl Headers {
    pub(super) fn read(text: &[u8]) -> Self {
        let text = String::from_utf8_lossy(text).replace("\r\n", "\n");
        // A line that begins with a blank belongs to the one before it.
        let text = text.replace("\n ", " ").replace("\n\t", "\t");
        let mut headers = Headers::default();
        for line in text.lines() {
            let Some((name, value)) = line.split_once(':') else {
                continue;
            };
            let value = value.trim();
            match name.trim().to_ascii_lowercase().as_str() {
                "from" => headers.from = plain(value),
                "subject" => headers.name = plain(value),
                "message-id" => headers.id = value.to_string(),
                "x-dupr-length" => headers.bytes = value.parse().ok(),
                _ => {}
            }
        }
        headers
    }
}

/// Whether a name can stand in a header as it is.
pub(super) fn is_plain(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_graphic()) && !name.contains("=?")
}

/// A name as the value of `Subject`: as it is, or as RFC 2047 writes what is not plain.
fn subject(name: &str) -> String {
    /// Bytes in a word of at most 75 letters.
    const MOST: usize = 45;
    if is_plain(name) {
        return name.to_string();
    }
    let mut words = String::new();
    let mut rest = name;
    while !rest.is_empty() {
        let end = (1..=MOST.min(rest.len()))
            .rev()
            .find(|end| rest.is_char_boundary(*end))
            .unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        let glue = if words.is_empty() { "" } else { "\r\n " };
        let _ = write!(words, "{glue}=?utf-8?b?{}?=", STANDARD.encode(word));
        rest = after;
    }
    words
}

/// A value as it was meant: words of RFC 2047 decoded, in UTF-8 alone.
fn plain(value: &str) -> String {
    let mut text = String::new();
    let mut rest = value;
    let mut after_word = false;
    while let Some((before, begun)) = rest.split_once("=?") {
        let Some((word, after)) = decoded_word(begun) else {
            break;
        };
        // Blanks between two such words are none.
        if !(after_word && before.trim().is_empty()) {
            text.push_str(before);
        }
        text.push_str(&word);
        (rest, after_word) = (after, true);
    }
    text + rest
}

/// A word behind its `=?`, and what follows it.
fn decoded_word(begun: &str) -> Option<(String, &str)> {
    let (charset, rest) = begun.split_once('?')?;
    let (encoding, rest) = rest.split_once('?')?;
    let (letters, after) = rest.split_once("?=")?;
    if !["utf-8", "us-ascii"].contains(&charset.to_ascii_lowercase().as_str()) {
        return None;
    }
    let bytes = match encoding {
        "b" | "B" => STANDARD.decode(letters).ok()?,
        "q" | "Q" => {
            let letters = letters.replace('_', " ").replace('%', "%25");
            percent_encoding::percent_decode_str(&letters.replace('=', "%")).collect()
        }
        _ => return None,
    };
    Some((String::from_utf8(bytes).ok()?, after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn headers_of_duplicity_are_read() {
        let name = "duplicity-new-signatures.20231114T221320Z.to.20231115T221320Z.sigtar.gpg";
        let text =
            format!("From: some/folder\r\nSubject: \r\n {name}\r\nMessage-ID: <x@y>\r\n\r\n");
        let headers = Headers::read(text.as_bytes());
        assert_eq!(headers.from, "some/folder");
        assert_eq!(headers.name, name);
        assert_eq!(headers.id, "<x@y>");
        assert_eq!(headers.bytes, None);
        let odd = b"subject: =?utf-8?q?=C3=84pfel_100%?= =?UTF-8?B?LcOp?= x\n";
        assert_eq!(Headers::read(odd).name, "\u{c4}pfel 100%-\u{e9} x");
        assert_eq!(
            Headers::read(b"Subject: =?latin1?b?x?=").name,
            "=?latin1?b?x?="
        );
    }

    #[test]
    fn lengths_are_known_before_anything_is_sent() {
        for bytes in [0usize, 1, 2, 3, 56, 57, 58, 114, PIECE, PIECE + 1] {
            let content = vec![0x5a; bytes];
            let text: String = content.chunks(PIECE).map(encoded).collect();
            let mail = Mail::new("f", "n", bytes as u64, "id");
            let length = mail.head.len() + text.len() + mail.tail.len();
            assert_eq!(mail.length, length as u64, "{bytes}");
            // The last end of a line is part of the contents or not.
            for there in [text.as_str(), text.trim_end()] {
                let end = there.as_bytes();
                let end = &end[end.len().saturating_sub(8)..];
                let found = decoded_length(there.len() as u64, end);
                assert_eq!(found, Some(bytes as u64), "{there:?}");
            }
        }
        assert_eq!(decoded_length(5, b"aaaaa"), None);
    }

    #[test]
    fn what_is_no_base64_is_corrupt() {
        for wrong in ["a", "ab=c", "!!!!", "YQ==YQ=="] {
            let mut decoder = Decoder::default();
            let fed = decoder.feed(wrong.as_bytes()).map(|_| ());
            let error = fed.and_then(|()| decoder.finish()).expect_err(wrong);
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn names_come_back(name in "[^\\x00/\r\n]{1,90}") {
            let mail = Mail::new("f", &name, 3, "id");
            let headers = Headers::read(mail.head.as_bytes());
            prop_assert_eq!(&headers.name, &name);
            prop_assert_eq!(headers.bytes, Some(3));
            prop_assert!(mail.head.lines().all(|line| line.len() < 200));
        }

        #[test]
        fn bytes_come_back(content: Vec<u8>, cut in 1usize..50) {
            let mut decoder = Decoder::default();
            let mut back = Vec::new();
            for piece in encoded(&content).as_bytes().chunks(cut) {
                back.extend(decoder.feed(piece).expect("base64"));
            }
            decoder.finish().expect("the end");
            prop_assert_eq!(back, content);
        }
    }
}
