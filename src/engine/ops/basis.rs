//! What a new set is built on, and what must hold before its first byte is written.

use super::backup::{BackupOptions, Mode};
use super::sync::Copies;
use crate::engine::collection::{BackupChain, BackupSet, Collection};
use crate::engine::context::Context;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::format::sigtar::{SigEntry, SigtarReader};
use crate::engine::monitor::Level;
use crate::engine::path::PathIndex;
use crate::engine::stream::overlay::Overlay;
use crate::engine::target::Engine;
use crate::engine::tree::Source;

/// What is told of a secret key that is here and that nobody unlocks.
pub(super) const KEY_IS_LOCKED: &str = "the secret key is locked and no passphrase was given; going on without a look into what is at the target";

impl Engine {
    /// A wrong passphrase is found before the first byte is written: two keys in one chain make it unreadable.
    pub(super) fn check_key(
        &self,
        collection: &Collection,
        options: &BackupOptions,
        cx: &Context,
    ) -> Result<()> {
        let newest = collection.latest_chain().and_then(|c| c.sets().next_back());
        let Some(set) = newest.filter(|s| s.is_encrypted() && self.target.seal.can_read_back())
        else {
            return Ok(());
        };
        match self.remote_manifest(set, cx) {
            // A locked key says nothing of today's key: it is as if it were not here.
            Err(e) if e.kind() == ErrorKind::WrongKey && !self.target.seal.can_read_back() => {
                cx.monitor.note(Level::Notice, KEY_IS_LOCKED);
                Ok(())
            }
            Err(e) if e.kind() == ErrorKind::WrongKey => {
                if options.allow_new_key && options.mode == Mode::Full {
                    cx.monitor.note(
                        Level::Warning,
                        "the newest set does not open with today's key; a new chain begins",
                    );
                    return Ok(());
                }
                Err(e
                    .within(format!("the key does not open the newest set at {}", self.location()))
                    .with_hint("use the passphrase or key of that set, or make a full backup with --allow-new-key"))
            }
            // Damage is judged by `inspect`, which must not go by an intact copy here.
            Err(e) if e.kind() == ErrorKind::Corrupt => self
                .archive
                .note(set.id, |record| record.manifest_bytes = None),
            Err(e) => Err(e),
            Ok(_) => Ok(()),
        }
    }

    /// A disk that is not mounted looks like a target without backups; one made there would fill what lies below it.
    pub(super) fn check_target(&self, collection: &Collection, allow_empty: bool) -> Result<()> {
        let is_empty = collection.every_set().next().is_none() && collection.incomplete.is_empty();
        if allow_empty || !is_empty {
            return Ok(());
        }
        let known = self.known_sets()?;
        let Some(newest) = known.iter().max_by_key(|set| set.time()) else {
            return Ok(());
        };
        Err(Error::new(
            ErrorKind::Unreachable,
            format!(
                "{} holds no backup at all, and held {} before, the newest of {}",
                self.location(),
                known.len(),
                newest.time()
            ),
        )
        .with_hint("mount the disk, or check the target; if the backups were deleted on purpose, use --allow-empty-target once"))
    }

    /// An unmounted disk looks like an empty directory, and so does one that a link took the place of; a backup of it would
    /// call everything deleted.
    pub(super) fn check_source(
        &self,
        source: &Source,
        collection: &Collection,
        options: &BackupOptions,
        cx: &Context,
    ) -> Result<()> {
        let root = source.root();
        let Some((what, hint)) = nothing_below(source).filter(|_| !options.allow_empty) else {
            return Ok(());
        };
        let Some(chain) = collection.latest_chain() else {
            return Ok(());
        };
        if let Some(dumps) = source.dumps()
            && self.held_only(chain, dumps.folder(), cx).unwrap_or(false)
        {
            return Ok(());
        }
        for set in chain.sets() {
            let manifest = self.manifest(set, cx);
            // With a public key alone the manifest may be unreadable; then assume that there was something.
            if !manifest.is_ok_and(|m| m.volumes.values().all(|v| v.end.path.is_root())) {
                return Err(Error::new(
                    ErrorKind::Source,
                    format!(
                        "the source {} is {what}, and was not in the last backup",
                        root.display()
                    ),
                )
                .with_hint(hint));
            }
        }
        Ok(())
    }

    /// Whether the newest state has nothing beside its root and what lies in `folder`.
    fn held_only(&self, chain: &BackupChain, folder: &PathIndex, cx: &Context) -> Result<bool> {
        for entry in self.overlay(Some(chain), cx)? {
            let path = entry?.path;
            if !path.is_root() && !path.is_within(folder) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The newest chain, undamaged, of this host and source, and with all its sigtars here.
    ///
    /// # Errors
    /// `NoBackup` or `Corrupt` if there is none to extend, `Mismatch` if it is of another host or source.
    pub(super) fn chain_to_extend<'a>(
        &self,
        collection: &'a Collection,
        options: &BackupOptions,
        cx: &Context,
    ) -> Result<&'a BackupChain> {
        let refused = |kind, why: &str| {
            Error::new(kind, format!("the newest chain cannot be extended: {why}"))
                .with_hint("make a full backup")
        };
        let health = self.inspect(collection, cx)?;
        if let Some(reason) = health.why_not {
            let kind = if health.damage.is_empty() {
                ErrorKind::NoBackup
            } else {
                ErrorKind::Corrupt
            };
            return Err(refused(kind, &reason));
        }
        let chain = collection
            .latest_chain()
            .ok_or_else(|| refused(ErrorKind::NoBackup, "there is no full set to build on"))?;
        self.check_origin(chain, options, cx)?;
        let sets: Vec<&BackupSet> = chain.sets().collect();
        self.bring_copies(&sets, Copies::All, cx)?;
        for set in sets {
            match self.ensure_sigtar(set, cx) {
                Err(e) if matches!(e.kind(), ErrorKind::Corrupt | ErrorKind::NotFound) => {
                    return Err(refused(ErrorKind::Corrupt, &e.to_string()));
                }
                result => result?,
            }
        }
        Ok(chain)
    }

    /// Host and source must be those of the chain: mixing two makes everything look deleted and new.
    fn check_origin(
        &self,
        chain: &BackupChain,
        options: &BackupOptions,
        cx: &Context,
    ) -> Result<()> {
        let Some(set) = chain.sets().next_back().filter(|_| !options.allow_mismatch) else {
            return Ok(());
        };
        let Ok(manifest) = self.manifest(set, cx) else {
            return Ok(());
        };
        let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
        let differs = |what: &str, was: &[u8], is: &[u8]| {
            Error::new(
                ErrorKind::Mismatch,
                format!(
                    "the backups at {} are of {what} {:?}, this is {:?}",
                    self.location(),
                    text(was),
                    text(is)
                ),
            )
            .with_hint("check the target; if it is right, use --allow-source-mismatch once")
        };
        if let Some(host) = manifest
            .hostname
            .filter(|h| *h != options.hostname && !options.hostname_aliases.contains(h))
        {
            return Err(differs("host", &host, &options.hostname));
        }
        match manifest.local_dir {
            Some(dir) if dir != options.label => Err(differs("source", &dir, &options.label)),
            _ => Ok(()),
        }
    }

    /// The state an increment is compared with; nothing for a full set.
    pub(super) fn overlay(
        &self,
        basis: Option<&BackupChain>,
        cx: &Context,
    ) -> Result<Overlay<impl Iterator<Item = Result<SigEntry>> + Send + use<>>> {
        let mut layers = Vec::new();
        for set in basis.into_iter().flat_map(BackupChain::sets) {
            layers.push(SigtarReader::new(self.sigtar(set, cx)?).map(|e| e.map_err(Error::from)));
        }
        Ok(Overlay::new(layers))
    }
}

/// Why there can be nothing below the root of a source, and what to do about it.
fn nothing_below(source: &Source) -> Option<(&'static str, &'static str)> {
    let root = source.root();
    let look = if source.follows_symlinks() {
        std::fs::metadata(root)
    } else {
        std::fs::symlink_metadata(root)
    };
    // What cannot be looked at is told by the walk.
    let look = look.ok()?;
    if look.is_symlink() {
        let hint = "name the directory it leads to as the source; if only the link is meant, use --allow-empty once";
        return Some(("a symbolic link", hint));
    }
    let is_empty = std::fs::read_dir(root).is_ok_and(|mut d| d.next().is_none());
    let mount = "mount the disk; if it is meant to be empty, use --allow-empty once";
    if is_empty {
        Some(("empty", mount))
    } else {
        (!look.is_dir()).then_some(("no directory", mount))
    }
}
