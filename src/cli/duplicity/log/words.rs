//! Words of the machine log: how names, kinds of files and messages are written.

use super::Weight;
use crate::engine::path::PathIndex;
use std::fmt::Write as _;
use std::fs::FileType;
use std::os::unix::fs::FileTypeExt;

pub(super) fn type_word(kind: FileType) -> &'static str {
    match kind {
        k if k.is_dir() => "dir",
        k if k.is_symlink() => "sym",
        k if k.is_fifo() => "fifo",
        k if k.is_char_device() => "chr",
        k if k.is_block_device() => "blk",
        _ => "reg",
    }
}

/// One record of the machine log.
pub(super) fn stanza(weight: Weight, code: i32, extra: &str, text: &[u8]) -> String {
    let mut out = format!("{} {code}", weight.word());
    if !extra.is_empty() {
        let _ = write!(out, " {extra}");
    }
    out.push('\n');
    if !text.is_empty() {
        for line in String::from_utf8_lossy(text).split('\n') {
            let _ = writeln!(out, ". {line}");
        }
    }
    out.push('\n');
    out
}

/// A path as the machine log quotes it: Python's escapes, in single quotes.
pub fn quoted(path: &[u8]) -> String {
    let mut out = String::from("'");
    for chunk in path.utf8_chunks() {
        for c in chunk.valid().chars() {
            let _ = match c {
                '\\' => write!(out, "\\\\"),
                '\'' => write!(out, "\\x27"),
                '\n' => write!(out, "\\n"),
                '\r' => write!(out, "\\r"),
                '\t' => write!(out, "\\t"),
                ' '..='~' => write!(out, "{c}"),
                c if (c as u32) < 0x100 => write!(out, "\\x{:02x}", c as u32),
                c if (c as u32) < 0x1_0000 => write!(out, "\\u{:04x}", c as u32),
                c => write!(out, "\\U{:08x}", c as u32),
            };
        }
        for byte in chunk.invalid() {
            let _ = write!(out, "\\udc{byte:02x}");
        }
    }
    out.push('\'');
    out
}

/// A path as duplicity shows it: raw bytes, `.` for the root.
pub fn raw(path: &PathIndex) -> &[u8] {
    if path.is_root() {
        b"."
    } else {
        path.as_bytes()
    }
}
