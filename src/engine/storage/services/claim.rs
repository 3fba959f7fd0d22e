//! Claims at services that refuse by themselves what is there already.

use super::super::{Storage, taken};
use crate::engine::error::{ErrorKind, Result};

/// A claim by a `put` that ends in `Locked` where the service has refused it. What is there is looked for first: that sends
/// nothing, and is all there is at a service that ignores the condition.
pub(super) fn looked_for(
    storage: &impl Storage,
    name: &str,
    put: impl FnOnce() -> Result<()>,
) -> Result<()> {
    if storage.stat(name)?.is_some() {
        return Err(taken(name));
    }
    refused(name, put())
}

/// What a conditional upload ended in, with the words for a name that is taken.
pub(super) fn refused<T>(name: &str, put: Result<T>) -> Result<T> {
    put.map_err(|error| match error.kind() {
        ErrorKind::Locked => taken(name),
        _ => error,
    })
}
