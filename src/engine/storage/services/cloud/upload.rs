//! How objects go up: in one piece, under another name first, or in parts, several at a time, of a file that may still be
//! written. Small objects and the parts in flight are held in memory, and several uploads share what there may be of them.

use super::super::super::growing::Growing;
use super::super::super::names;
use super::super::super::transfer::Upload;
use super::super::sums::DIFFERS;
use super::super::webdav::Sender;
use super::{CloudStorage, Presence};
use crate::engine::error::{Error, ErrorKind, Result};
use opendal::Operator;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Parts an object may have.
// Source: S3 allows 10,000; some stores that speak its protocol allow fewer.
const MAX_PARTS: u64 = 1000;

impl CloudStorage {
    async fn put_whole(
        &self,
        operator: &Operator,
        name: &str,
        from: &Path,
        presence: Presence,
    ) -> Result<()> {
        let mut upload = self.transfer.upload(from)?;
        let bytes = upload.len();
        let length = usize::try_from(bytes).map_err(|_| too_large(name))?;
        let whole = upload.next(length)?;
        let write = operator
            .write_with(name, whole)
            .if_not_exists(presence == Presence::Refused);
        let sent = self.sent(bytes, async { write.await }).await;
        if let Err(error) = &sent
            && error.to_string().contains(DIFFERS)
        {
            // It has a good name already.
            let _ = self.answer(self.standard.delete(name)).await;
        }
        sent.map(|_| ())
    }

    pub(super) async fn put_renamed(&self, sender: &Sender, name: &str, from: &Path) -> Result<()> {
        self.make().await?;
        // Some servers cut a `?` or `;` and what follows off the new name, and would replace another object.
        if name.contains(['?', ';']) {
            return sender.put(name, from).await;
        }
        let temp = names::temp();
        let outcome = async {
            match sender.put(&temp, from).await {
                // The collection was there when it was looked at.
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    self.made.store(false, Ordering::Relaxed);
                    self.make().await?;
                    sender.put(&temp, from).await?;
                }
                sent => sent?,
            }
            self.answer(self.standard.rename(&temp, name)).await
        }
        .await;
        if outcome.is_err() {
            let _ = self.answer(self.standard.delete(&temp)).await;
        }
        outcome
    }

    /// Makes the place, once.
    async fn make(&self) -> Result<()> {
        if !self.made.load(Ordering::Relaxed) {
            self.answer(self.standard.create_dir("/")).await?;
            self.made.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    pub(super) async fn put_parts(
        &self,
        operator: &Operator,
        name: &str,
        from: &Path,
        presence: Presence,
    ) -> Result<()> {
        let mut upload = self.transfer.upload(from)?;
        let bytes = upload.len();
        if bytes <= self.part {
            return self.put_whole(operator, name, from, presence).await;
        }
        self.send_parts(operator, name, &mut upload, bytes, presence)
            .await
    }

    /// Sends an upload of about `expected` bytes in parts.
    async fn send_parts(
        &self,
        operator: &Operator,
        name: &str,
        upload: &mut Upload<'_>,
        expected: u64,
        presence: Presence,
    ) -> Result<()> {
        let part = self.part.max(expected.div_ceil(MAX_PARTS));
        let part_bytes = usize::try_from(part).map_err(|_| too_large(name))?;
        let uploads = Underway::begin(&self.uploads);
        // All uploads share half as many again as one may have, since each part is held in memory.
        let share = (self.parts_at_once + self.parts_at_once / 2) / uploads.at_first;
        let parts_at_once = share.clamp(1, self.parts_at_once);
        // A part can only be handed over when an earlier one is through.
        let in_flight = part * (parts_at_once as u64 + 1);
        let writer = operator
            .writer_with(name)
            .chunk(part_bytes)
            .concurrent(parts_at_once)
            .if_not_exists(presence == Presence::Refused);
        let mut writer = self.answer(async { writer.await }).await?;
        let outcome = async {
            loop {
                let piece = upload.next(part_bytes)?;
                if piece.is_empty() {
                    break;
                }
                self.sent(in_flight, writer.write(piece)).await?;
            }
            self.sent(in_flight, writer.close()).await
        }
        .await;
        if outcome.is_err() {
            // Parts of an upload that was given up cost money until it is aborted; this is the only chance.
            let _ = self.answer(writer.abort()).await;
        }
        outcome.map(|_| ())
    }

    /// Sends a file in parts as it grows, unless it stays so small that it goes in one piece: `false` then.
    pub(super) async fn send_growing(
        &self,
        name: &str,
        from: &Growing,
        presence: Presence,
    ) -> Result<bool> {
        let mut upload = self.transfer.upload_growing(from)?;
        if !upload.exceeds(self.part)? {
            return Ok(false);
        }
        // What is expected is a guess, and may be surpassed.
        let expected = from.expected().saturating_mul(2);
        let operator = self.operator_for(name);
        self.send_parts(operator, name, &mut upload, expected, presence)
            .await?;
        Ok(true)
    }
}

/// Counts an upload as long as it lasts.
struct Underway<'a> {
    uploads: &'a AtomicUsize,
    /// How many there were when it began, itself included.
    at_first: usize,
}

impl<'a> Underway<'a> {
    fn begin(uploads: &'a AtomicUsize) -> Self {
        let at_first = uploads.fetch_add(1, Ordering::Relaxed) + 1;
        Self { uploads, at_first }
    }
}

impl Drop for Underway<'_> {
    fn drop(&mut self) {
        self.uploads.fetch_sub(1, Ordering::Relaxed);
    }
}

fn too_large(name: &str) -> Error {
    Error::new(
        ErrorKind::Unsupported,
        format!("{name} is too large for this machine"),
    )
}
