//! What was observed before planning: plain data, no access to anything.

use super::{Action, BackupMode, CheckKind};
use crate::engine::collection::{BackupChain, BackupSet, Collection};
use crate::engine::format::SetId;
use crate::engine::time::Timestamp;
use serde::{Deserialize, Serialize};

/// The facts a plan is made from.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct State {
    /// The time of the run.
    pub now: Timestamp,
    /// Whether the target answered when it was listed.
    pub target: TargetState,
    /// What the target holds; empty if it did not answer.
    pub collection: Collection,
    /// Sets of chains that cannot be restored as they are.
    pub damaged: Vec<Damage>,
    /// A set whose run was interrupted and can be gone on with.
    pub partial: Option<Partial>,
    /// Why the local and stored signatures of the newest chain cannot be read, if so: the next set must be full.
    pub unreadable_basis: Option<String>,
    /// When the checks last succeeded.
    pub checks: CheckTimes,
    /// Where the newest whole copy of each dump of the profile is, as far as that is known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub last_dumps: Vec<LastDump>,
    /// What the target holds that this one is a copy of, if it was looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<Collection>,
}

/// Whether the target answered.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TargetState {
    /// It was listed.
    #[default]
    Reached,
    /// It could not be listed, for this reason.
    Unreachable(String),
}

/// A set that cannot be restored as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Damage {
    /// The set.
    pub set: SetId,
    /// What is wrong: `volume 3 of 6 is missing`.
    pub reason: String,
}

/// An interrupted set that can be gone on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Partial {
    /// The set.
    pub set: SetId,
    /// The first volume that is not safe at the target.
    pub next_volume: u32,
}

/// The newest restorable set in which a dump is whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LastDump {
    /// Name of the dump in the profile.
    pub name: String,
    /// The set.
    pub set: SetId,
}

/// When each check last succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct CheckTimes {
    /// Manifests, listing, sizes.
    pub quick: Option<Timestamp>,
    /// Stored content against the live source.
    pub spot: Option<Timestamp>,
    /// A restore of a few files.
    pub restore_test: Option<Timestamp>,
}

impl State {
    /// Makes this the state after an action that succeeds, so that later steps see what earlier ones do.
    pub fn predict(&mut self, action: &Action) {
        match action {
            Action::Backup(backup) => {
                let set = match backup.mode {
                    BackupMode::Full => SetId::Full { time: self.now },
                    BackupMode::Incremental => match self.collection.latest_chain() {
                        Some(chain) => SetId::Incremental {
                            start: chain.end(),
                            end: self.now,
                        },
                        None => SetId::Full { time: self.now },
                    },
                    BackupMode::Resume { set, .. } => set,
                };
                self.add(set);
                // One that fails keeps the run from removing anything.
                self.last_dumps.iter_mut().for_each(|dump| dump.set = set);
            }
            Action::Remove(remove) if remove.force => {
                let gone = |id: &SetId| remove.sets.iter().any(|r| r.set == *id);
                self.collection.chains.retain(|c| !gone(&c.full.id));
                for chain in &mut self.collection.chains {
                    chain.incrementals.retain(|s| !gone(&s.id));
                    chain.replaced.retain(|s| !gone(&s.id));
                }
                self.damaged.retain(|d| !gone(&d.set));
            }
            Action::Cleanup { force: true } => {
                let partial = self.partial.map(|p| p.set);
                self.collection.orphans.clear();
                self.collection.incomplete.retain(|s| Some(s.id) == partial);
            }
            Action::Replicate(replica) => replica.sets.iter().for_each(|set| self.add(*set)),
            Action::Check(kind) => match kind {
                CheckKind::Quick => self.checks.quick = Some(self.now),
                CheckKind::Spot { .. } => self.checks.spot = Some(self.now),
                CheckKind::RestoreTest { .. } => self.checks.restore_test = Some(self.now),
            },
            _ => {}
        }
    }

    /// A set that will be complete; its size is not known.
    fn add(&mut self, id: SetId) {
        self.partial = None;
        self.unreadable_basis = None;
        self.collection.incomplete.retain(|s| s.id != id);
        let set = BackupSet::new(id);
        let chains = &mut self.collection.chains;
        match id {
            SetId::Full { .. } => {
                chains.push(BackupChain {
                    full: set,
                    incrementals: Vec::new(),
                    replaced: Vec::new(),
                });
                chains.sort_by_key(BackupChain::start);
            }
            SetId::Incremental { start, .. } => {
                match chains.iter_mut().find(|c| c.end() == start) {
                    Some(chain) => chain.incrementals.push(set),
                    None => self.collection.orphans.push(set),
                }
            }
        }
    }
}
