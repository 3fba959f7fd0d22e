//! Whether a chain can be restored and extended: what its manifests say against what the listing shows.

use super::sync::Copies;
use crate::engine::collection::{BackupChain, BackupSet, Collection};
use crate::engine::context::Context;
use crate::engine::error::{ErrorKind, Result};
use crate::engine::format::SetId;
use crate::engine::format::manifest::{HashKind, VolumeInfo};
use crate::engine::target::Engine;
use crate::engine::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Something wrong with a set at the target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Damage {
    /// The set.
    pub set: SetId,
    /// What is wrong, in one phrase.
    pub reason: String,
    /// Whether data of the set is lost; otherwise only the sigtar is, and the set restores.
    pub data_lost: bool,
}

/// The state of the newest chain.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Health {
    /// What is wrong with it; empty if nothing is.
    pub damage: Vec<Damage>,
    /// Whether an increment can build on it: undamaged, with signatures that can be read here.
    pub can_extend: bool,
    /// Why not.
    pub why_not: Option<String>,
}

impl Engine {
    /// Compares the manifests of the newest chain with the listing.
    ///
    /// # Errors
    /// `WrongKey` if no key opens a manifest that must be fetched, and trouble with the network. Damage is no error.
    pub fn inspect(&self, collection: &Collection, cx: &Context) -> Result<Health> {
        let Some(chain) = collection.latest_chain() else {
            return Ok(Health {
                why_not: Some("there is no full set yet".into()),
                ..Health::default()
            });
        };
        let mut damage = self.damage_of(chain, cx)?;
        damage.extend(self.lost_since(collection, Timestamp(i64::MAX))?);
        let mut why_not = damage.first().map(|d| format!("{}: {}", d.set, d.reason));
        if why_not.is_none() {
            let missing = chain.sets().find(|s| {
                !self
                    .archive
                    .has(s.id, crate::engine::format::FileKind::Signature)
                    && !self.target.seal.can_read_back()
            });
            why_not = missing.map(|s| {
                format!("the sigtar of {} is not in the archive dir and cannot be decrypted on this machine", s.id)
            });
        }
        Ok(Health {
            damage,
            can_extend: why_not.is_none(),
            why_not,
        })
    }

    /// Sets that belong to no chain although they were whole once: without their manifest, or without what they build on. Left
    /// out, a state would look like the newest one and be an older.
    ///
    /// # Errors
    /// The archive dir cannot be read.
    pub fn losses(&self, collection: &Collection) -> Result<Vec<Damage>> {
        let lost = |set, reason: &str| Damage {
            set,
            reason: reason.into(),
            data_lost: true,
        };
        let unfinished = |set: &SetId| collection.incomplete.iter().any(|s| s.id == *set);
        // Without a trace of it at the target it was removed, or is another target's.
        let known = self.known_sets()?.into_iter().filter(unfinished);
        let without_manifest =
            known.map(|set| lost(set, "its manifest is not at the target any more"));
        // What has no full set before it is left of a removal.
        let is_gap = |s: &&BackupSet| {
            let mut chains = collection.chains.iter();
            chains.any(|chain| chain.start() < s.id.time())
        };
        let without_basis = collection.orphans.iter().filter(is_gap);
        let without_basis =
            without_basis.map(|s| lost(s.id, "a set it builds on is not at the target any more"));
        Ok(without_manifest.chain(without_basis).collect())
    }

    /// The newest of the losses between the state that the target shows of `time` and that time.
    pub(super) fn lost_since(
        &self,
        collection: &Collection,
        time: Timestamp,
    ) -> Result<Option<Damage>> {
        let by_then = |t: &Timestamp| *t <= time;
        let newest = collection.sets().map(|s| s.id.time()).filter(by_then).max();
        let losses = self.losses(collection)?.into_iter();
        Ok(losses
            .filter(|lost| Some(lost.set.time()) > newest && by_then(&lost.set.time()))
            .max_by_key(|lost| lost.set.time()))
    }

    /// What is wrong with the sets of a chain.
    ///
    /// # Errors
    /// As [`inspect`](Self::inspect).
    pub fn damage_of(&self, chain: &BackupChain, cx: &Context) -> Result<Vec<Damage>> {
        let mut damage = Vec::new();
        let sets: Vec<&BackupSet> = chain.sets().collect();
        self.bring_copies(&sets, Copies::Manifests, cx)?;
        for set in sets {
            self.check_set(set, &mut damage, cx)?;
        }
        Ok(damage)
    }

    fn check_set(&self, set: &BackupSet, damage: &mut Vec<Damage>, cx: &Context) -> Result<()> {
        let mut found = |reason: String, data_lost| {
            damage.push(Damage {
                set: set.id,
                reason,
                data_lost,
            })
        };
        if set.manifest.as_ref().is_some_and(|m| m.size == 0) {
            found("the manifest is empty".into(), true);
            return Ok(());
        }
        let record = self.archive.record(set.id);
        match self.manifest(set, cx) {
            Ok(manifest) => {
                for (number, info) in &manifest.volumes {
                    let known = record.volume_bytes.get(number).copied();
                    match (set.volumes.get(number), known) {
                        (None, _) => found(format!("volume {number} is missing"), true),
                        (Some(v), _) if v.size == 0 && !may_be_empty(info) => {
                            found(format!("volume {number} is empty"), true)
                        }
                        (Some(v), Some(known)) if v.size != known => {
                            found(
                                format!("volume {number} has {} bytes instead of {known}", v.size),
                                true,
                            );
                        }
                        _ if record.damaged_volumes.contains(number) => {
                            found(was_damaged(*number), true)
                        }
                        _ => {}
                    }
                }
            }
            Err(e) if matches!(e.kind(), ErrorKind::Corrupt) => found(e.to_string(), true),
            // With a public key alone manifests cannot be read back; then the listing must do.
            Err(e) if e.kind() == ErrorKind::WrongKey && !self.target.seal.can_read_back() => {
                let last = set.volumes.keys().last().copied().unwrap_or(0);
                if last == 0 || set.volumes.len() as u32 != last {
                    found("a volume is missing".into(), true);
                }
                if let Some(number) = record.damaged_volumes.first() {
                    found(was_damaged(*number), true);
                }
            }
            Err(e) => return Err(e),
        }
        match &set.signature {
            None => found("the sigtar is missing".into(), false),
            Some(s) if s.size == 0 => found("the sigtar is empty".into(), false),
            Some(s) => {
                if let Some(known) = record.sigtar_bytes.filter(|known| *known != s.size) {
                    found(
                        format!("the sigtar has {} bytes instead of {known}", s.size),
                        false,
                    );
                }
            }
        }
        Ok(())
    }
}

/// Whether a volume may be without a byte. duplicity 0.8 stores a set without entries so where it neither compresses nor
/// encrypts; the hash tells it from one that was cut.
fn may_be_empty(volume: &VolumeInfo) -> bool {
    volume.hash.as_ref().is_some_and(|(kind, hash)| match kind {
        HashKind::Sha1 => hash == "da39a3ee5e6b4b0d3255bfef95601890afd80709",
        HashKind::Md5 => hash == "d41d8cd98f00b204e9800998ecf8427e",
    })
}

fn was_damaged(number: u32) -> String {
    format!("volume {number} was damaged when it was last read")
}
