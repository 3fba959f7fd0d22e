//! Files as mails in a mailbox of an IMAP server, as duplicity keeps them there.
//!
//! A server shows a mail when it is whole. Each thread at work has a connection of its own.

mod dialogue;
mod login;
mod mail;
mod mailbox;
mod trouble;
mod values;

pub(super) use login::Place;

use super::super::names;
use super::super::transfer::Transfer;
use super::super::url::TargetUrl;
use super::super::{Location, Object, Storage, StorageOptions};
use super::claim;
use super::pool::Pool;
use crate::engine::error::{Error, ErrorKind, Result};
use login::Login;
use mailbox::{Folder, Session, Stored};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

/// Objects as mails from one folder.
pub(super) struct ImapStorage {
    login: Login,
    folder: Folder,
    location: Location,
    transfer: Arc<Transfer>,
    pool: Pool<Session>,
}

impl ImapStorage {
    /// # Errors
    /// `Usage` for settings imap does not have; `Denied` without a password.
    pub(super) fn new(
        place: &Place<'_>,
        url: &TargetUrl,
        options: &StorageOptions,
        transfer: Arc<Transfer>,
    ) -> Result<Self> {
        let login = Login::new(place, url, options)?;
        // COMPAT(dup all): --imap-mailbox has INBOX as default.
        let mailbox = options.setting("mailbox").unwrap_or("INBOX");
        if !mailbox.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            let text = "the option `mailbox` wants the name as the server writes it, in ASCII";
            return Err(Error::new(ErrorKind::Usage, text));
        }
        Ok(Self {
            login,
            folder: Folder {
                mailbox: mailbox.to_string(),
                from: place.folder.to_string(),
            },
            location: url.location(),
            transfer,
            pool: Pool::default(),
        })
    }

    fn with<T>(&self, work: impl AsyncFnOnce(&mut Session) -> Result<T>) -> Result<T> {
        let open = async || Session::open(&self.login, &self.transfer).await;
        self.pool.with(&self.transfer, open, work)
    }

    /// The mail that is the file of this name.
    async fn find(&self, session: &mut Session, name: &str) -> Result<Option<Stored>> {
        let found = session.find(&self.folder, Some(name), &self.transfer);
        Ok(found.await?.pop())
    }

    fn put_as(&self, name: &str, from: &Path, claimed: bool) -> Result<()> {
        names::check(name)?;
        self.with(async |session| {
            session
                .put(&self.folder, name, from, claimed, &self.transfer)
                .await
        })
        .map_err(|e| e.within(format!("cannot store {name}")))
    }
}

impl Storage for ImapStorage {
    fn location(&self) -> &Location {
        &self.location
    }

    fn list(&self) -> Result<Vec<Object>> {
        let all = self
            .with(async |session| session.find(&self.folder, None, &self.transfer).await)
            .map_err(|e| e.within("cannot list the target"))?;
        // The newest of a name comes last.
        let all: BTreeMap<String, u64> = all
            .into_iter()
            .filter(|mail| names::check(&mail.name).is_ok())
            .map(|mail| (mail.name, mail.bytes))
            .collect();
        let objects = all.into_iter().map(|(name, size)| Object { name, size });
        Ok(objects.collect())
    }

    fn stat(&self, name: &str) -> Result<Option<Object>> {
        names::check(name)?;
        let found = self
            .with(async |session| self.find(session, name).await)
            .map_err(|e| e.within(format!("cannot look at {name}")))?;
        Ok(found.map(|mail| Object {
            name: mail.name,
            size: mail.bytes,
        }))
    }

    fn get(&self, name: &str, to: &mut dyn Write) -> Result<u64> {
        names::check(name)?;
        self.with(async |session| {
            let Some(mail) = self.find(session, name).await? else {
                let text = format!("there is no mail {name}");
                return Err(Error::new(ErrorKind::NotFound, text));
            };
            let mut download = self.transfer.download(to);
            session.get(&mail, &mut download, &self.transfer).await?;
            Ok(download.bytes())
        })
        .map_err(|e| e.within(format!("cannot read {name}")))
    }

    fn put(&self, name: &str, from: &Path) -> Result<()> {
        self.put_as(name, from, false)
    }

    fn claim(&self, name: &str, from: &Path) -> Result<()> {
        // Of several at once the first mail stays.
        claim::looked_for(self, name, || self.put_as(name, from, true))
    }

    fn delete(&self, name: &str) -> Result<()> {
        names::check(name)?;
        self.with(async |session| {
            let found = session.find(&self.folder, Some(name), &self.transfer);
            let uids: Vec<u64> = found.await?.iter().map(|mail| mail.uid).collect();
            session.remove(&uids, &self.transfer).await?;
            // Source: RFC 4314, section 4: who may not remove mails is told that it went well.
            match session.has_any_of(&uids, &self.transfer).await? {
                false => Ok(()),
                true => Err(Error::new(ErrorKind::Denied, "the server keeps the mail")
                    .with_hint("may this user remove mails from the mailbox?")),
            }
        })
        .map_err(|e| e.within(format!("cannot delete {name}")))
    }
}
