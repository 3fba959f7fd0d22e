//! Hashes of files, to be compared with those a service has; and the parts files are sent in.

use super::super::StorageOptions;
use super::super::transfer::Transfer;
use super::web::hex;
use crate::engine::error::{Error, ErrorKind, Result};
use md5::Digest;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// Bytes read at a time.
const PIECE: usize = 256 << 10;

/// Shows all bytes of a range of a file, start and length, to `see`.
///
/// # Errors
/// `Interrupted`; `Io` and the like if the file cannot be read.
pub(super) fn each_piece(
    transfer: &Transfer,
    from: &Path,
    (start, length): (u64, u64),
    mut see: impl FnMut(&[u8]),
) -> Result<()> {
    let trouble = |e| Error::io("read", from, e);
    let mut file = File::open(from).map_err(trouble)?;
    file.seek(SeekFrom::Start(start)).map_err(trouble)?;
    let mut file = file.take(length);
    let mut piece = vec![0; PIECE];
    loop {
        transfer.check()?;
        match file.read(&mut piece).map_err(trouble)? {
            0 => return Ok(()),
            bytes => see(&piece[..bytes]),
        }
    }
}

/// Hash of a range of a file.
///
/// # Errors
/// As [`each_piece`].
pub(super) fn of_range<D: Digest>(
    transfer: &Transfer,
    from: &Path,
    range: (u64, u64),
) -> Result<Vec<u8>> {
    let mut hash = D::new();
    each_piece(transfer, from, range, |piece| hash.update(piece))?;
    Ok(hash.finalize().to_vec())
}

/// Hash of a file, in hexadecimal.
///
/// # Errors
/// As [`each_piece`].
pub(super) fn hex_of<D: Digest>(transfer: &Transfer, from: &Path) -> Result<String> {
    Ok(hex(&of_range::<D>(transfer, from, (0, u64::MAX))?))
}

/// Length of a part in bytes, as the settings say it in MiB.
///
/// # Errors
/// `Usage` for what is no number from 1 to `most`.
pub(super) fn part(options: &StorageOptions, usual: u64, most: u64) -> Result<u64> {
    match options.setting("part-mb").map(str::parse::<u64>) {
        None => Ok(usual << 20),
        Some(Ok(mb)) if (1..=most).contains(&mb) => Ok(mb << 20),
        Some(_) => {
            let text = format!("the option `part-mb` wants a whole number from 1 to {most}");
            Err(Error::new(ErrorKind::Usage, text))
        }
    }
}
