//! Claims where two files may have one name.
//!
//! The service refuses nobody, so claimants settle it among themselves. Each stores the file under a temp name, marked with
//! the name it is to get, and looks around when it sees itself: who is alone takes the name. Of several the oldest stays,
//! and waits until the others have gone; if they do not, one of them was alone before, and it goes as well. So nobody reads
//! what lost, and at most one gets the name, as far as listings are up to date.

use super::GoogleDrive;
use super::api::{Found, Item, again, quoted};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::storage::names;
use md5::{Digest, Md5};
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};

/// The property that marks a claimant, in all programs' sight.
const MARK: &str = "dupr-claim";

/// Claimants of this age were left behind by programs that ended.
const STALE_SECONDS: i64 = 3600;

/// Pause between two looks.
const TURN: Duration = Duration::from_millis(200);

/// What a look around tells.
enum Look {
    Alone,
    /// There are others, all of them younger.
    First,
    /// Somebody has the name, or asked for it before.
    Late,
    /// The listing does not show the claimant itself.
    Unseen,
}

impl GoogleDrive {
    /// # Errors
    /// `Locked` if somebody else gets the name.
    pub(super) async fn claim_async(&self, name: &str, from: &Path) -> Result<()> {
        let folder = self.folder(true).await?.unwrap_or_default();
        // What a mark may hold is short.
        let mark = super::super::web::hex(&Md5::digest(name));
        let id = self.new_id().await?;
        let properties = json!({
            "id": id, "name": names::temp(), "parents": [folder], "properties": { MARK: mark },
        });
        let created = self.api.create(&properties, from).await;
        let own = self.check_folder(created).await.map_err(again)?;
        self.compare(&own, from).await?;
        let won = match self.wins(name, &mark, &folder, &own).await {
            Ok(true) => {
                let change = json!({ "name": name, "properties": { MARK: Value::Null } });
                self.api.change(&own.id, &change).await.map_err(again)
            }
            Ok(false) => Err(Error::new(ErrorKind::Locked, "the name is taken")),
            Err(error) => Err(error),
        };
        match won {
            Ok(()) => {
                self.known().stored.insert(name.to_string(), own.id);
                Ok(())
            }
            Err(error) => {
                // Others are in no doubt as soon as it is gone; what stays is stale some day.
                let _ = self.remove(&own.id).await;
                Err(error)
            }
        }
    }

    /// Whether nobody else gets the name.
    async fn wins(&self, name: &str, mark: &str, folder: &str, own: &Item) -> Result<bool> {
        let query = format!(
            "{} in parents and trashed = false and (name = {} or properties has {{ key='{MARK}' and value='{mark}' }})",
            quoted(folder),
            quoted(name)
        );
        let patience = self.api.transfer().timeout();
        let start = Instant::now();
        loop {
            let mut found = self.api.search(&query).await?;
            for item in stale(&mut found, own) {
                self.remove(&item.id).await?;
            }
            match look(&found.items, name, own) {
                Look::Alone => return Ok(true),
                Look::Late => return Ok(false),
                Look::First if start.elapsed() > patience => return Ok(false),
                Look::Unseen if start.elapsed() > patience => {
                    let text = "gdrive: the listing does not show what was stored";
                    return Err(Error::new(ErrorKind::Unreachable, text));
                }
                Look::First | Look::Unseen => self.api.transfer().pause(TURN)?,
            }
        }
    }
}

fn look(items: &[Item], name: &str, own: &Item) -> Look {
    if items.iter().any(|item| item.name == name) {
        return Look::Late;
    }
    // Files that only have a name of other letters are nobody's claim.
    let mut claimants = items.iter().filter(|item| names::is_temp(&item.name));
    if !claimants.clone().any(|item| item.id == own.id) {
        return Look::Unseen;
    }
    let age = |item: &Item| (item.created.clone(), item.id.clone());
    match claimants.clone().any(|item| item.id != own.id) {
        false => Look::Alone,
        true if claimants.all(|item| age(item) >= age(own)) => Look::First,
        true => Look::Late,
    }
}

/// Takes out what was left behind.
fn stale(found: &mut Found, own: &Item) -> Vec<Item> {
    let Some(now) = found.now else {
        return Vec::new();
    };
    let is_old = |item: &Item| {
        let born: Option<jiff::Timestamp> = Ord::max(&item.created, &item.modified).parse().ok();
        born.is_some_and(|born| now - born.as_second() > STALE_SECONDS)
    };
    let (old, fresh) = found
        .items
        .drain(..)
        .partition(|item| names::is_temp(&item.name) && item.id != own.id && is_old(item));
    found.items = fresh;
    old
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(id: &str, name: &str, created: &str) -> Item {
        Item {
            id: id.into(),
            name: name.into(),
            size: Some(1),
            md5: None,
            created: created.into(),
            modified: created.into(),
            is_trashed: false,
            parents: Vec::new(),
        }
    }

    #[test]
    fn claimants_settle_it() {
        let early = item(
            "b",
            ".dupr-0123456789abcdef.tmp",
            "2026-11-22T00:00:00.000Z",
        );
        let late = item(
            "a",
            ".dupr-fedcba9876543210.tmp",
            "2026-11-22T00:00:00.001Z",
        );
        let there = item("c", "name", "2026-11-22T00:00:00.002Z");
        let other = item("d", "Name", "2026-11-21T00:00:00.002Z");
        let tell = |items: &[&Item], own: &Item| {
            let items: Vec<Item> = items.iter().map(|item| (*item).clone()).collect();
            match look(&items, "name", own) {
                Look::Alone => "alone",
                Look::First => "first",
                Look::Late => "late",
                Look::Unseen => "unseen",
            }
        };
        assert_eq!(tell(&[&early, &other], &early), "alone");
        assert_eq!(tell(&[&late, &early], &early), "first");
        assert_eq!(tell(&[&late, &early], &late), "late");
        assert_eq!(tell(&[&early, &there], &early), "late");
        assert_eq!(tell(&[&late], &early), "unseen");

        let mut found = Found {
            items: vec![early.clone(), late.clone()],
            now: Some(1_795_305_600 + 3601),
        };
        assert_eq!(stale(&mut found, &late), [early]);
        assert_eq!(found.items, [late]);
    }
}
