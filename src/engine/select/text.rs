//! Paths as text, without losing a byte.
//!
//! Patterns speak of characters: `?` is one character, in UTF-8 names and others alike. A byte that is not part of
//! valid UTF-8 counts as one character of its own and is mapped to the very end of Unicode (U+10FF80 to U+10FFFF,
//! private use), so that the two never meet in practice.

use std::borrow::Cow;

/// Python's code point for the first byte that is not UTF-8, 0x80. Those for the others follow.
pub const FIRST_STRAY: u32 = 0xDC80;
/// Python's code point for the byte 0xFF.
pub const LAST_STRAY: u32 = 0xDCFF;
/// The character that stands for the byte 0x80 here. Those for the others follow.
pub const FIRST_CHARACTER_OF_STRAYS: char = '\u{10FF80}';

/// Added to a stray byte to get its character.
const STRAY: u32 = 0x10_FF00;

/// Bytes as text; borrowed if they are UTF-8.
pub fn decode(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Cow::Borrowed(text);
    }
    let mut text = String::with_capacity(bytes.len() + 16);
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(
            chunk
                .invalid()
                .iter()
                .filter_map(|b| char::from_u32(STRAY + u32::from(*b))),
        );
    }
    Cow::Owned(text)
}

/// The code point Python has for a character of a path's text.
pub fn point(c: char) -> u32 {
    if c >= FIRST_CHARACTER_OF_STRAYS {
        u32::from(c) - u32::from(FIRST_CHARACTER_OF_STRAYS) + FIRST_STRAY
    } else {
        u32::from(c)
    }
}

/// The character of a path's text that Python has this code point for; `None` if no path has it.
pub fn character(point: u32) -> Option<char> {
    if (FIRST_STRAY..=LAST_STRAY).contains(&point) {
        char::from_u32(point - FIRST_STRAY + u32::from(FIRST_CHARACTER_OF_STRAYS))
    } else {
        char::from_u32(point)
    }
}

/// Text for a message: stray bytes become the usual replacement character.
pub fn printable(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Folds case so that texts that differ in case only become equal.
///
/// Up and then down again, character by character, is full case folding but for the dotless i, which has no case.
pub fn fold_case(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            'ı' => folded.push(c),
            _ => folded.extend(c.to_uppercase().flat_map(char::to_lowercase)),
        }
    }
    folded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stray_byte_is_one_character() {
        assert_eq!(decode(b"a\xff\xc3\xa9\xe2\x82b").chars().count(), 6);
        assert!(matches!(decode("é".as_bytes()), Cow::Borrowed("é")));
        assert_ne!(decode(b"\xfe"), decode(b"\xff"));
        let stray = decode(b"\x80\xff").chars().map(point).collect::<Vec<_>>();
        assert_eq!(stray, [FIRST_STRAY, LAST_STRAY]);
        assert_eq!(
            character(LAST_STRAY),
            decode(b"\xff").chars().next(),
            "there and back"
        );
    }

    #[test]
    fn folding_ignores_case() {
        for (a, b) in [
            ("VaR", "vAr"),
            ("ÄÖ", "äö"),
            ("straße", "STRASSE"),
            ("Σίσυφος", "ΣΊΣΥΦΟΣ"),
        ] {
            assert_eq!(fold_case(a), fold_case(b));
        }
        assert_ne!(fold_case("ı"), fold_case("i"));
    }
}
