//! `collection-status`: chains and sets, one file through all sets, or all changes of one set.

use super::{Done, Session, index_of};
use crate::cli::duplicity::fault::{Fault, Result};
use crate::cli::duplicity::log::{Weight, code};
use crate::cli::duplicity::output::{pretty, status};
use crate::engine::collection::{BackupSet, Collection};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value};
use std::ffi::OsStr;
use std::path::Path;

/// An object of JSON that keeps its order.
struct Ordered(Vec<(String, Map<String, Value>)>);

impl Serialize for Ordered {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in &self.0 {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl Session<'_> {
    pub(super) fn status(&self) -> Result<Done> {
        let collection = self.scan()?;
        if let Some(number) = self.args.number::<i64>("show-changes-in-set")? {
            return self.changes_in(&collection, number);
        }
        if let Some(path) = self.args.value("file-changed") {
            return self.history_of(&collection, path);
        }
        let archive = self.engine.archive().path().to_string_lossy().into_owned();
        self.insist(
            &status::record(&collection, &archive),
            &status::status(&collection, &archive),
        );
        self.tell_damage(&collection);
        Ok(Done::Well)
    }

    /// What the manifests say against what is there, as far as they can be read without asking for a passphrase.
    fn tell_damage(&self, collection: &Collection) {
        if !self.args.switch("check-remote", true) {
            return;
        }
        for chain in &collection.chains {
            match self.engine.damage_of(chain, &self.cx) {
                Ok(damage) => {
                    for found in damage {
                        let text = format!("Damaged: {}: {}", found.set, found.reason);
                        self.log.warn_as(code::INCOMPLETE, &text);
                    }
                }
                Err(e) => self.inform(&format!("Volumes were not counted: {e}")),
            }
        }
    }

    fn insist(&self, extra: &str, text: &str) {
        self.log
            .insist(Weight::Info, code::STATUS, extra, text.as_bytes());
    }

    fn history_of(&self, collection: &Collection, path: &OsStr) -> Result<Done> {
        let mut found = Vec::new();
        let index = index_of(path);
        let sets = collection.latest_chain().into_iter().flat_map(|c| c.sets());
        // COMPAT(dup 3.2): what cannot be in a backup has no history, and that is no failure.
        for set in sets.filter(|_| index.is_ok()) {
            let changes = self.engine.file_changes(set, &self.cx)?;
            let change = changes
                .into_iter()
                .find(|c| index.as_ref().is_ok_and(|index| c.path == *index));
            found.extend(change.map(|c| (set, c.word)));
        }
        let name = match &index {
            Ok(index) => index.to_string(),
            Err(_) => Path::new(path).display().to_string(),
        };
        self.insist("", &status::history(&name, &found));
        Ok(Done::Well)
    }

    /// Changes of the set of the newest chain that is `number` before its newest; -1 means the oldest, and all as JSON.
    fn changes_in(&self, collection: &Collection, number: i64) -> Result<Done> {
        let chain = collection.latest_chain().into_iter();
        let mut sets: Vec<&BackupSet> = chain.flat_map(|c| c.sets()).collect();
        sets.sort_by_key(|set| std::cmp::Reverse(set.id.time()));
        let json = self.args.has("jsonstat");
        let chosen = match usize::try_from(number) {
            Ok(n) => sets.get(n..=n),
            Err(_) if json => Some(sets.as_slice()),
            // COMPAT(dup 3.2): counted from the other end.
            Err(_) => sets.last().map(std::slice::from_ref),
        };
        let chosen = chosen.filter(|sets| !sets.is_empty()).ok_or_else(|| {
            Fault::new(
                30,
                format!("there is no set {number}: {} set(s) are there", sets.len()),
            )
        })?;
        if !json {
            for set in chosen {
                let changes = self.engine.file_changes(set, &self.cx)?;
                self.insist("", &status::changes(set, &changes));
            }
            return Ok(Done::Well);
        }
        let mut all = Ordered(Vec::new());
        for set in chosen {
            let word = if set.id.is_full() { "full" } else { "inc" };
            let files: Map<String, Value> = self
                .engine
                .file_changes(set, &self.cx)?
                .into_iter()
                .map(|c| (c.path.to_string(), c.word.as_str().into()))
                .collect();
            let stats = self.engine.stored_stats(set, &self.cx)?;
            let stats: Option<Value> = stats.and_then(|text| serde_json::from_str(&text).ok());
            let about = Map::from_iter([
                (
                    "json_stat".to_owned(),
                    stats.unwrap_or_else(|| Map::new().into()),
                ),
                ("files_changed".to_owned(), files.into()),
            ]);
            all.0
                .push((format!("{word}-{}", set.id.time().to_name()), about));
        }
        self.insist("", &pretty(&all));
        Ok(Done::Well)
    }
}
