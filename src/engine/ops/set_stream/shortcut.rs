//! When what is wanted of a volume is taken out of its middle.

use super::super::needed::Input;
use super::super::shortcut::{self, signed_within};
use super::{Care, SetStream};
use crate::engine::collection::StoredFile;
use crate::engine::format::manifest::VolumeInfo;
use crate::engine::format::sigtar::SigtarReader;
use crate::engine::monitor::Level;
use std::fs::File;

/// Volumes of fewer sealed bytes are read in no time.
const WORTH_BYTES: u64 = 4 << 20;

/// How many times as long as the sigtar a volume must be: reading that is the price.
const WORTH_SIGTARS: u64 = 8;

impl SetStream<'_> {
    /// What is wanted of a volume, if it all lies in its middle and can be had and proven without reading the rest.
    pub(super) fn shortcut(
        &self,
        info: Option<&VolumeInfo>,
        file: &StoredFile,
        content: &File,
    ) -> Option<Input> {
        // Without a hash of the whole, the end of the volume has to be reached.
        let info = info.filter(|info| info.hash.is_some())?;
        let begins = self.needed.in_order() && info.start.path < self.wanted;
        let ends = info.end.path > self.wanted && !info.end.path.is_within(&self.wanted);
        let sigtar = self.set.signature.as_ref()?.size;
        let is_worth_it = file.size >= WORTH_BYTES.max(sigtar.saturating_mul(WORTH_SIGTARS));
        if self.care != Care::Usual || !begins || !ends || !is_worth_it {
            return None;
        }
        let seal = &self.engine.target.seal;
        let middle = seal.middle(file.parsed.form, content.try_clone().ok()?)?;
        let signed = || {
            let sigtar = self.engine.sigtar_here(&self.set)?;
            signed_within(SigtarReader::new(sigtar), &self.wanted)
        };
        let dir = self.engine.spool.dir();
        shortcut::take_out(&middle, &self.wanted, signed, dir)
    }

    /// Says that the volume that was opened is only in part there.
    pub(super) fn tell_shortcut(&self, number: u32) {
        let text = format!(
            "volume {number} of the {}: only what is wanted was unpacked",
            self.set.id
        );
        self.cx.monitor.note(Level::Info, &text);
    }
}
