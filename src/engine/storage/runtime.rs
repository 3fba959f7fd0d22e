//! The one place that turns `async` into plain calls: a small tokio runtime for all targets of the process.
//!
//! It is shared because HTTP connections outlive a target in a pool, and die with the runtime that made them.
//! Callers are plain threads; calling from inside a tokio task would panic, and nothing in dupr does.

use crate::engine::error::{Error, ErrorKind, Result};
use std::sync::OnceLock;
use tokio::runtime::{Builder, Runtime};

/// Two carry any number of transfers: they only move bytes, the callers' threads do the rest.
const WORKERS: usize = 2;

static RUNTIME: OnceLock<Runtime> = OnceLock::new();

/// The runtime, made by the first caller.
pub(super) fn get() -> Result<&'static Runtime> {
    if let Some(runtime) = RUNTIME.get() {
        return Ok(runtime);
    }
    let runtime = Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .thread_name("dupr-storage")
        .enable_all()
        .build()
        .map_err(|e| {
            Error::new(ErrorKind::Io, "cannot start the storage threads").with_source(e)
        })?;
    // Of two first callers one loses its runtime again, unused.
    Ok(RUNTIME.get_or_init(|| runtime))
}
