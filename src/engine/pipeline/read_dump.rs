//! Reads a dump: content of unknown length, of which only its end tells whether it is good.
//!
//! The first [`PROOF_BYTES`] are read before the packer hears of it, so that a dump that fails at once, or a short one that
//! fails at all, leaves no trace. One that breaks off later is told as [`Piece::Broken`], and the set goes back.

use super::read::{FileTail, Gone, Piece, ReadOptions, Tap, blocks, file_of, index};
use super::signing::Signing;
use crate::engine::context::Context;
use crate::engine::delta::{DeltaReader, SignatureBuilder, block_len, signed_bytes};
use crate::engine::monitor::{Problem, ProblemKind};
use crate::engine::path::PathIndex;
use crate::engine::stream::change::Change;
use crate::engine::tree::Dumps;
use crossbeam_channel::Sender;
use std::io::{self, Read};
use std::sync::Arc;

/// Bytes of a dump read before any of it is packed.
const PROOF_BYTES: u64 = 1024 * 1024;

/// The length supposed of a dump that was not there before, for the blocks of its signature.
const SUPPOSED_BYTES: u64 = 256 * 1024 * 1024;

pub(super) fn stream(
    change: Change,
    dumps: &Dumps,
    options: &ReadOptions,
    cx: &Context,
    to: &Sender<Piece>,
) -> std::result::Result<(), Gone> {
    let Ok((mut head, basis)) = file_of(change) else {
        return Ok(());
    };
    head.is_dump = true;
    let path = head.entry.path.clone();
    let fail = |error: &io::Error, begun: bool| {
        dumps.failed(&path, error, begun);
        if !cx.cancel.is_requested() {
            cx.monitor
                .problem(Problem::new(ProblemKind::Unreadable, &path, error));
        }
    };
    let supposed = basis.as_deref().map_or(SUPPOSED_BYTES, signed_bytes);
    let begun =
        begin(dumps, &path).and_then(|begun| Ok((begun, basis.as_deref().map(index).transpose()?)));
    let ((proof, rest), index) = match begun {
        Ok(begun) => begun,
        Err(e) => {
            fail(&e, false);
            return Ok(());
        }
    };
    drop(basis);
    to.send(Piece::Head(head)).map_err(|_| Gone)?;
    let builder = SignatureBuilder::new(block_len(supposed, options.max_block));
    let mut tap = Tap {
        file: proof.as_slice().chain(rest),
        signing: match index {
            Some(_) => Signing::new(builder, supposed, cx.threads),
            None => Signing::Here(builder),
        },
        read_bytes: 0,
        cx,
        failed: None,
    };
    match index {
        None => blocks(&mut tap, to)?,
        Some(index) => blocks(&mut DeltaReader::new(Arc::new(index), &mut tap), to)?,
    }
    let signed = match tap.failed.take() {
        Some(e) => Err(e),
        None => tap.signing.finish().map_err(Into::into),
    };
    let end = match signed {
        Ok(signature) => Piece::Tail(FileTail {
            signature,
            read_bytes: tap.read_bytes,
            unsettled: false,
        }),
        Err(e) => {
            fail(&e, true);
            Piece::Broken(e.to_string())
        }
    };
    to.send(end).map_err(|_| Gone)
}

/// The beginning of a dump, at most [`PROOF_BYTES`], and what is left of it.
fn begin(dumps: &Dumps, path: &PathIndex) -> io::Result<(Vec<u8>, Box<dyn Read + Send>)> {
    let mut rest = dumps
        .open(path)
        .unwrap_or_else(|| Err(io::ErrorKind::NotFound.into()))?;
    let mut proof = Vec::new();
    rest.by_ref().take(PROOF_BYTES).read_to_end(&mut proof)?;
    Ok((proof, rest))
}
