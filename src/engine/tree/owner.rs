//! Names and numbers of owners, each looked up once.
//!
//! The format keeps names and numbers. Backups turn this host's numbers into names, restores and comparisons turn
//! names into this host's numbers; looking one up may ask a directory service, so answers are kept.

use crate::engine::stream::change::OwnerLookup;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fmt;
use std::hash::Hash;
use std::os::unix::ffi::OsStrExt;
use std::sync::{Arc, RwLock};

/// A cache of owner names and numbers, for use by several threads.
#[derive(Debug, Default)]
pub struct Owners {
    user_names: Cache<u32, Arc<[u8]>>,
    group_names: Cache<u32, Arc<[u8]>>,
    user_ids: Cache<[u8], Option<u32>>,
    group_ids: Cache<[u8], Option<u32>>,
}

impl Owners {
    /// Knows nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The name of a user; empty if there is none.
    pub fn user_name(&self, uid: u32) -> Arc<[u8]> {
        self.user_names.get(&uid, || {
            uzers::get_user_by_uid(uid)
                .map_or_else(|| Arc::from([]), |user| Arc::from(user.name().as_bytes()))
        })
    }

    /// The name of a group; empty if there is none.
    pub fn group_name(&self, gid: u32) -> Arc<[u8]> {
        self.group_names.get(&gid, || {
            uzers::get_group_by_gid(gid)
                .map_or_else(|| Arc::from([]), |group| Arc::from(group.name().as_bytes()))
        })
    }
}

impl OwnerLookup for Owners {
    fn uid_of(&self, name: &[u8]) -> Option<u32> {
        if name.is_empty() {
            return None;
        }
        self.user_ids.get(name, || {
            uzers::get_user_by_name(OsStr::from_bytes(name)).map(|user| user.uid())
        })
    }

    fn gid_of(&self, name: &[u8]) -> Option<u32> {
        if name.is_empty() {
            return None;
        }
        self.group_ids.get(name, || {
            uzers::get_group_by_name(OsStr::from_bytes(name)).map(|group| group.gid())
        })
    }
}

/// Answers by question. A poisoned lock only means that an answer is not kept.
struct Cache<Q: ToOwned + ?Sized, V>(RwLock<HashMap<Q::Owned, V>>);

impl<Q: ToOwned + ?Sized, V> Default for Cache<Q, V> {
    fn default() -> Self {
        Self(RwLock::new(HashMap::new()))
    }
}

impl<Q: ToOwned + ?Sized, V> fmt::Debug for Cache<Q, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cache")
    }
}

impl<Q, V: Clone> Cache<Q, V>
where
    Q: ToOwned + Hash + Eq + ?Sized,
    Q::Owned: Hash + Eq,
{
    fn get(&self, question: &Q, ask: impl FnOnce() -> V) -> V {
        if let Some(answer) = self
            .0
            .read()
            .ok()
            .and_then(|known| known.get(question).cloned())
        {
            return answer;
        }
        let answer = ask();
        if let Ok(mut known) = self.0.write() {
            known.insert(question.to_owned(), answer.clone());
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_has_a_name_and_nobody_else_does() {
        let owners = Owners::new();
        assert_eq!(&*owners.user_name(0), b"root");
        assert_eq!(&*owners.group_name(0), b"root");
        assert_eq!(owners.uid_of(b"root"), Some(0));
        assert_eq!(owners.gid_of(b"root"), Some(0));
        assert_eq!(&*owners.user_name(3_999_999_999), b"");
        assert_eq!(owners.uid_of(b"no such user \xff"), None);
        assert_eq!(owners.uid_of(b""), None);
    }
}
