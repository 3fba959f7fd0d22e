//! The requests behind each operation, on one connection.
//!
//! Mails are named by the numbers that stay theirs. Of several with the name of one file the newest counts: a replacement is
//! there before what it replaces goes.

use super::super::pool::Connection;
use super::dialogue::{Dialogue, Sink, Word};
use super::login::{LoggedIn, Login};
use super::mail::{self, Headers, Mail};
use super::values::{Fetched, Value, encoded_length, sets};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::storage::names;
use crate::engine::storage::transfer::{Download, Transfer};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

/// Mails in one question.
const AT_ONCE: usize = 500;

/// Idle time after which a connection is tried before it is used.
const DOUBTFUL: Duration = Duration::from_secs(15);

/// Where mails are, and whose.
pub(super) struct Folder {
    pub(super) mailbox: String,
    /// What they say they are from.
    pub(super) from: String,
}

/// A mail that is a file.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) uid: u64,
    pub(super) name: String,
    pub(super) bytes: u64,
    id: String,
}

/// A connection that is logged in.
pub(super) struct Session {
    dialogue: Dialogue,
    removes_single: bool,
    /// Whether the mailbox is open.
    is_inside: bool,
    used: Instant,
}

impl Connection for Session {
    async fn is_alive(&mut self, transfer: &Transfer) -> bool {
        self.used.elapsed() < DOUBTFUL
            || self
                .dialogue
                .ask(&[Word::Plain("NOOP")], transfer)
                .await
                .is_ok()
    }

    fn is_sound(&mut self, error: Option<&Error>) -> bool {
        self.used = Instant::now();
        let lost = [ErrorKind::Unreachable, ErrorKind::Interrupted];
        !self.dialogue.is_busy() && error.is_none_or(|error| !lost.contains(&error.kind()))
    }
}

impl Session {
    pub(super) async fn open(login: &Login, transfer: &Transfer) -> Result<Self> {
        let LoggedIn {
            dialogue,
            removes_single,
        } = login.connect(transfer).await?;
        Ok(Self {
            dialogue,
            removes_single,
            is_inside: false,
            used: Instant::now(),
        })
    }

    /// Opens the mailbox, or looks what is new there; `false` if there is none.
    async fn enter(&mut self, folder: &Folder, transfer: &Transfer) -> Result<bool> {
        if self.is_inside {
            self.dialogue.ask(&[Word::Plain("NOOP")], transfer).await?;
            return Ok(true);
        }
        let select = [Word::Plain("SELECT"), Word::Text(&folder.mailbox)];
        let refusal = match self.dialogue.ask(&select, transfer).await {
            Ok(_) => {
                self.is_inside = true;
                return Ok(true);
            }
            Err(error) if error.kind().is_retryable() => return Err(error),
            Err(error) => error,
        };
        let list = [Word::Plain("LIST \"\""), Word::Text(&folder.mailbox)];
        let found = self.dialogue.ask(&list, transfer).await?;
        match found.is_empty() {
            true => Ok(false),
            false => Err(refusal),
        }
    }

    /// The files of the folder, or that of a name alone; several with the same name if there are.
    pub(super) async fn find(
        &mut self,
        folder: &Folder,
        name: Option<&str>,
        transfer: &Transfer,
    ) -> Result<Vec<Stored>> {
        if !self.enter(folder, transfer).await? {
            return Ok(Vec::new());
        }
        let mut search = vec![Word::Plain("UID SEARCH FROM"), Word::Text(&folder.from)];
        // Other names are encoded in the mails, and servers differ in what they find of them.
        if let Some(name) = name.filter(|name| mail::is_plain(name)) {
            search.extend([Word::Plain("SUBJECT"), Word::Text(name)]);
        }
        let answers = self.dialogue.ask(&search, transfer).await?;
        let uids: Vec<u64> = answers
            .iter()
            .filter(|values| values.get(1).is_some_and(|word| word.is("SEARCH")))
            .flat_map(|values| values.iter().filter_map(Value::number))
            .collect();
        let (mut stored, mut unknown) = (Vec::new(), BTreeMap::new());
        let what = format!("(UID BODY.PEEK[HEADER.FIELDS ({})])", mail::HEADERS);
        for set in sets(&uids, AT_ONCE) {
            for values in self.fetch(&set, &what, transfer).await? {
                let fetched = Fetched::of(&values);
                let Some((uid, text)) =
                    fetched.and_then(|mail| Some((mail.uid()?, mail.text("BODY[HEADER")?)))
                else {
                    continue;
                };
                let headers = Headers::read(text);
                // The server's search finds what contains the text.
                let is_wanted = headers.from == folder.from
                    && name.map_or(!headers.name.is_empty(), |name| headers.name == name);
                match headers.bytes {
                    _ if !is_wanted => {}
                    Some(bytes) => stored.push(Stored {
                        uid,
                        name: headers.name,
                        bytes,
                        id: headers.id,
                    }),
                    None => {
                        unknown.insert(uid, headers);
                    }
                }
            }
        }
        let lengths = self.lengths(&unknown, transfer).await?;
        for (uid, headers) in unknown {
            if let Some(bytes) = lengths.get(&uid) {
                stored.push(Stored {
                    uid,
                    name: headers.name,
                    bytes: *bytes,
                    id: headers.id,
                });
            }
        }
        stored.sort_by_key(|mail| mail.uid);
        Ok(stored)
    }

    /// Lengths of files in mails that do not tell: from the length of the encoded part, and its end.
    async fn lengths(
        &mut self,
        mails: &BTreeMap<u64, Headers>,
        transfer: &Transfer,
    ) -> Result<BTreeMap<u64, u64>> {
        let uids: Vec<u64> = mails.keys().copied().collect();
        let mut by_length: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        for set in sets(&uids, AT_ONCE) {
            for values in self.fetch(&set, "(UID BODYSTRUCTURE)", transfer).await? {
                let found = Fetched::of(&values).and_then(|mail| {
                    Some((mail.uid()?, encoded_length(mail.get("BODYSTRUCTURE")?)?))
                });
                if let Some((uid, length)) = found {
                    by_length.entry(length).or_default().push(uid);
                }
            }
        }
        /// More than the end of the last line.
        const END: u64 = 8;
        let mut lengths = BTreeMap::new();
        for (length, uids) in by_length {
            let what = format!("(UID BODY.PEEK[1]<{}.{END}>)", length.saturating_sub(END));
            for set in sets(&uids, AT_ONCE) {
                for values in self.fetch(&set, &what, transfer).await? {
                    let found = Fetched::of(&values).and_then(|mail| {
                        // An empty part may come as no text at all.
                        let end = mail.text("BODY[1]").unwrap_or_default();
                        Some((mail.uid()?, mail::decoded_length(length, end)?))
                    });
                    lengths.extend(found);
                }
            }
        }
        Ok(lengths)
    }

    async fn fetch(
        &mut self,
        set: &str,
        what: &str,
        transfer: &Transfer,
    ) -> Result<Vec<Vec<Value>>> {
        let words = [
            Word::Plain("UID FETCH"),
            Word::Plain(set),
            Word::Plain(what),
        ];
        self.dialogue.ask(&words, transfer).await
    }

    /// Passes on the contents of a mail.
    pub(super) async fn get(
        &mut self,
        mail: &Stored,
        to: &mut Download<'_>,
        transfer: &Transfer,
    ) -> Result<()> {
        let uid = mail.uid.to_string();
        let words = [
            Word::Plain("UID FETCH"),
            Word::Plain(&uid),
            Word::Plain("(UID BODY.PEEK[1])"),
        ];
        let mut sink = Sink {
            decoder: mail::Decoder::default(),
            to,
        };
        let answers = self.dialogue.fetch(&words, transfer, &mut sink).await?;
        // What is short may come as a quoted text.
        for values in &answers {
            if let Some(text) = Fetched::of(values).and_then(|mail| mail.text("BODY[1]")) {
                let bytes = sink.decoder.feed(text)?;
                sink.to.push(&bytes)?;
            }
        }
        sink.decoder.finish()?;
        if to.bytes() == mail.bytes {
            return Ok(());
        }
        let text = "the mail is not as long as it should be, or gone";
        Err(Error::new(ErrorKind::Unreachable, text))
    }

    /// Sends a file. Older mails of its name go; or it does itself, if it is `claimed` and not the first.
    pub(super) async fn put(
        &mut self,
        folder: &Folder,
        name: &str,
        from: &Path,
        claimed: bool,
        transfer: &Transfer,
    ) -> Result<()> {
        if !self.enter(folder, transfer).await? {
            let create = [Word::Plain("CREATE"), Word::Text(&folder.mailbox)];
            // Somebody else may have been faster; what counts is whether one can go there in the end.
            let made = self.dialogue.ask(&create, transfer).await;
            if !self.enter(folder, transfer).await? {
                made?;
                let text = format!("the mailbox {} is not there", folder.mailbox);
                return Err(Error::new(ErrorKind::NotFound, text));
            }
        }
        let mut upload = transfer.upload(from)?;
        let id = format!("{:016x}{:016x}", names::random(), names::random());
        let mail = Mail::new(&folder.from, name, upload.len(), &id);
        let append = [
            Word::Plain("APPEND"),
            Word::Text(&folder.mailbox),
            Word::Plain("(\\Seen)"),
        ];
        self.dialogue
            .append(&append, &mail, &mut upload, transfer)
            .await?;
        let all = self.find(folder, Some(name), transfer).await?;
        let own = all.iter().find(|mail| mail.id.contains(&id));
        let Some(own) = own.map(|own| own.uid) else {
            // Another has replaced it already, or the server has lost it.
            return match all.is_empty() || claimed {
                true => Err(Error::new(
                    ErrorKind::Unreachable,
                    "the mail is not there after it was sent",
                )),
                false => Ok(()),
            };
        };
        let older = all.iter().map(|mail| mail.uid).filter(|uid| *uid < own);
        let older: Vec<u64> = older.collect();
        if !claimed || older.is_empty() {
            return self.remove(&older, transfer).await;
        }
        // Whatever comes of it: a claim that seems to have no answer would be made again, over the other's.
        let _ = self.remove(&[own], transfer).await;
        Err(Error::new(ErrorKind::Locked, "the name is taken"))
    }

    /// Whether one of these mails is there.
    pub(super) async fn has_any_of(&mut self, uids: &[u64], transfer: &Transfer) -> Result<bool> {
        for set in sets(uids, AT_ONCE) {
            let answers = self.fetch(&set, "(UID)", transfer).await?;
            let mut found = answers
                .iter()
                .filter_map(|values| Fetched::of(values).and_then(|mail| mail.uid()));
            if found.any(|uid| uids.contains(&uid)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Removes mails for good, as far as the server lets this user.
    pub(super) async fn remove(&mut self, uids: &[u64], transfer: &Transfer) -> Result<()> {
        for set in sets(uids, AT_ONCE) {
            let flag = format!("UID STORE {set} +FLAGS.SILENT (\\Deleted)");
            self.dialogue.ask(&[Word::Plain(&flag)], transfer).await?;
            // Where single mails cannot be removed, all go that are marked, as duplicity does it.
            let expunge = match self.removes_single {
                true => format!("UID EXPUNGE {set}"),
                false => "EXPUNGE".to_string(),
            };
            self.dialogue
                .ask(&[Word::Plain(&expunge)], transfer)
                .await?;
        }
        Ok(())
    }
}
