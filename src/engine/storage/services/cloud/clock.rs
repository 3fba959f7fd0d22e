//! The clock of a service, as its objects show it.

use super::CloudStorage;
use crate::engine::error::Result;
use crate::engine::time::Timestamp;

impl CloudStorage {
    /// When an object was last written, by the service's clock.
    pub(super) fn last_modified(&self, name: &str) -> Result<Option<Timestamp>> {
        self.check(name)?;
        self.transfer.block_on(async {
            let meta = self.answer(self.standard.stat(name)).await?;
            let time = meta.last_modified();
            Ok(time.map(|time| Timestamp(time.into_inner().as_second())))
        })
    }
}
