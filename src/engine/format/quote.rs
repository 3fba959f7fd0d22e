//! Quoting of paths in manifests: what holds a blank, a quote or a backslash is put in double quotes.
//!
//! Inside, each such byte becomes `\x` and two hex digits; all other bytes stay raw, valid UTF-8 or not.
//! See docs/format.md, "Manifest".

/// Why a quoted text cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QuoteError {
    /// It starts with a quote but does not end with one.
    #[error("closing quote missing")]
    Unclosed,
    /// A backslash is not followed by `x` and two hex digits.
    #[error("backslash without \"x\" and two hex digits")]
    BadEscape,
}

fn needs_escape(byte: u8) -> bool {
    matches!(
        byte,
        b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c | b'\\' | b'"' | b'\''
    )
}

/// Appends `text` to `out`, quoted if it needs to be.
pub fn quote_into(out: &mut Vec<u8>, text: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    if !text.iter().copied().any(needs_escape) {
        out.extend_from_slice(text);
        return;
    }
    out.push(b'"');
    for &byte in text {
        if needs_escape(byte) {
            let digit = |n: u8| HEX[usize::from(n & 15)];
            out.extend_from_slice(&[b'\\', b'x', digit(byte >> 4), digit(byte)]);
        } else {
            out.push(byte);
        }
    }
    out.push(b'"');
}

/// `text`, quoted if it needs to be.
pub fn quote(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    quote_into(&mut out, text);
    out
}

/// The reverse of [`quote`]. Text that does not start with a quote is returned as it is.
///
/// # Errors
/// The closing quote is missing, or a backslash starts no `\xNN`.
pub fn unquote(text: &[u8]) -> Result<Vec<u8>, QuoteError> {
    let Some(inner) = text.strip_prefix(b"\"") else {
        return Ok(text.to_vec());
    };
    let mut rest = inner.strip_suffix(b"\"").ok_or(QuoteError::Unclosed)?;
    let mut out = Vec::with_capacity(rest.len());
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        let Some((&[b'x', high, low], after)) = rest.split_first_chunk() else {
            return Err(QuoteError::BadEscape);
        };
        let digit = |b: u8| char::from(b).to_digit(16).ok_or(QuoteError::BadEscape);
        out.push((digit(high)? * 16 + digit(low)?) as u8);
        rest = after;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn as_duplicity_writes_them() {
        let table: [(&[u8], &[u8]); 9] = [
            (b"plain/path", b"plain/path"),
            (b"", b""),
            (b"sp ace", b"\"sp\\x20ace\""),
            (b"quote\"x", b"\"quote\\x22x\""),
            (b"ap'os", b"\"ap\\x27os\""),
            (b"back\\slash", b"\"back\\x5cslash\""),
            (b"new\nline", b"\"new\\x0aline\""),
            (b"tab\tx", b"\"tab\\x09x\""),
            (b"\xff\xfelatin\x01", b"\xff\xfelatin\x01"),
        ];
        for (raw, quoted) in table {
            assert_eq!(quote(raw), quoted);
            assert_eq!(unquote(quoted).as_deref(), Ok(raw));
        }
    }

    #[test]
    fn damaged_quotes_are_refused() {
        assert_eq!(unquote(b"\""), Err(QuoteError::Unclosed));
        assert_eq!(unquote(b"\"abc"), Err(QuoteError::Unclosed));
        for bad in ["\"\\\"", "\"\\x2\"", "\"\\xg0\"", "\"\\X20\"", "\"\\n\""] {
            assert_eq!(unquote(bad.as_bytes()), Err(QuoteError::BadEscape), "{bad}");
        }
        assert_eq!(unquote(b"\"\\x5C\"").as_deref(), Ok(b"\\".as_slice()));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(text: Vec<u8>) {
            prop_assert_eq!(unquote(&quote(&text)), Ok(text));
        }

        #[test]
        fn any_bytes_are_read_without_panic(mut text: Vec<u8>) {
            text.insert(0, b'"');
            let _ = unquote(&text);
            text.push(b'"');
            let _ = unquote(&text);
        }
    }
}
