//! Several small errands at the target at the same time: over a line each of them mostly waits.

use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::target::Engine;
use std::sync::{Mutex, PoisonError};

impl Engine {
    /// Does `errand` for each of `items`, which are begun in order, as many at a time as there may be uploads. After an error
    /// none is begun.
    ///
    /// # Errors
    /// The first one that is noticed.
    pub(super) fn at_once<T: Sync>(
        &self,
        items: &[T],
        errand: impl Fn(&T) -> Result<()> + Sync,
    ) -> Result<()> {
        let queue = Mutex::new(items.iter());
        let locked = || queue.lock().unwrap_or_else(PoisonError::into_inner);
        let work = || {
            loop {
                let Some(item) = locked().next() else {
                    return Ok(());
                };
                if let Err(e) = errand(item) {
                    *locked() = [].iter();
                    return Err(e);
                }
            }
        };
        std::thread::scope(|scope| {
            let start = |_| {
                let thread = std::thread::Builder::new().name("dupr-errand".into());
                // Without the thread it is slower, that is all.
                thread.spawn_scoped(scope, work).ok()
            };
            let others: Vec<_> = (1..self.uploads.min(items.len()))
                .filter_map(start)
                .collect();
            let mut result = work();
            for other in others {
                let panicked = |_| Err(Error::new(ErrorKind::Internal, "a worker thread panicked"));
                result = result.and(other.join().unwrap_or_else(panicked));
            }
            result
        })
    }
}
