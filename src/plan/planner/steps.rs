//! What each command of a batch comes to, hooks aside.

use super::Planner;
use crate::engine::time::Timestamp;
use crate::engine::time_text::TimeText;
use crate::plan::batch::Command;
use crate::plan::decide::{self, Wish, decide};
use crate::plan::error::Error;
use crate::plan::retention::{self, Rules};
use crate::plan::{
    Action, BackupAction, CheckKind, Node, RemoveAction, ReplicaAction, SnapshotKind, When,
};
use crate::profile::Age;
use std::path::PathBuf;

/// A check: its name, how often and how it is done, and when it was done last.
type DueCheck = (&'static str, Option<(Age, CheckKind)>, Option<Timestamp>);

impl Planner<'_> {
    pub(super) fn steps(&mut self, command: &Command) -> Result<Vec<Node>, Error> {
        let word = command.word().text();
        let retention = &self.profile.retention;
        let now = self.state.now;
        let one = |node: Node| Ok(vec![node]);
        match command {
            Command::Bkp => self.backup(word, Wish::Either).and_then(one),
            Command::Full => self.backup(word, Wish::Full).and_then(one),
            Command::Incr => self.backup(word, Wish::Incremental).and_then(one),
            Command::Purge(None) => {
                if !retention.removes() {
                    let note =
                        "purge removes no set: there is no max-age or keep-fulls under [retention]";
                    self.notes.push(note.to_owned());
                }
                let remove =
                    self.remove(word, "retention".to_owned(), &Rules::of(retention, now))?;
                let mut cleanup = self.cleanup(word);
                cleanup.when = When::IfOk;
                Ok(vec![remove, cleanup])
            }
            Command::Purge(Some(age)) => {
                let older_than = Some((age.at(now, self.zone), format!("older than {age}")));
                let rules = Rules {
                    older_than,
                    ..Rules::holds(retention)
                };
                self.remove(word, format!("older than {age}"), &rules)
                    .and_then(one)
            }
            Command::PurgeFull(n) => {
                let keep_fulls = n.or(retention.keep_fulls);
                let rules = Rules {
                    keep_fulls,
                    ..Rules::holds(retention)
                };
                self.remove(
                    word,
                    format!("keep-fulls {}", keep_fulls.unwrap_or(0)),
                    &rules,
                )
                .and_then(one)
            }
            Command::PurgeIncr(n) => {
                let keep_incrementals = n.or(retention.keep_chains_with_incrementals);
                // The keep rules hold chains; without one that removes chains they must not start to.
                let rules = Rules {
                    keep_incrementals,
                    min_chains: retention.min_chains,
                    ..Rules::default()
                };
                let words = format!(
                    "keep-chains-with-incrementals {}",
                    keep_incrementals.unwrap_or(0)
                );
                self.remove(word, words, &rules).and_then(one)
            }
            Command::PurgeAuto => {
                let mut nodes = Vec::new();
                if let Some(age) = &retention.max_age {
                    let older_than = Some((age.before(now), format!("max-age {age}")));
                    let rules = Rules {
                        older_than,
                        ..Rules::holds(retention)
                    };
                    nodes.push(self.remove(word, format!("max-age {age}"), &rules)?);
                }
                if retention.keep_fulls.is_some() {
                    nodes.extend(self.steps(&Command::PurgeFull(None))?);
                }
                if retention.keep_chains_with_incrementals.is_some() {
                    nodes.extend(self.steps(&Command::PurgeIncr(None))?);
                }
                Ok(nodes)
            }
            Command::Cleanup => one(self.cleanup(word)),
            Command::Check => Ok(self.checks()),
            Command::Status => one(self.act(word, Action::Status, "")),
            Command::Sync => one(self.act(word, Action::Sync, "")),
            Command::Replicate => Ok(self.replicate(word)),
            other => {
                let (action, why) = self.read(other)?;
                one(self.act(word, action, why))
            }
        }
    }

    fn replicate(&mut self, word: &str) -> Vec<Node> {
        let Some(origin) = &self.profile.origin else {
            return Vec::new();
        };
        let from = origin.target.name.clone();
        let there = self.state.origin.iter().flat_map(|c| c.every_set());
        let here: Vec<_> = self.state.collection.every_set().map(|s| s.id).collect();
        let (known, mut missing): (Vec<_>, Vec<_>) = there.partition(|s| here.contains(&s.id));
        missing.sort_by_key(|s| (s.id.time(), s.id));
        let why = match (missing.len(), known.len()) {
            (0, 0) => format!("{from} holds no set"),
            (_, 1) => "1 is there already".to_owned(),
            (_, n) => format!("{n} are there already"),
        };
        let action = ReplicaAction {
            from,
            sets: missing.iter().map(|s| s.id).collect(),
            bytes: missing.iter().map(|s| s.bytes()).sum(),
        };
        vec![self.act(word, Action::Replicate(action), why)]
    }

    fn backup(&mut self, word: &str, wish: Wish) -> Result<Node, Error> {
        if self.made {
            return Err(Error::Usage {
                message: format!("{word} would make a second set in one run, of the same time"),
                hint: "make one set a run, or an alternative as in incr-full".to_owned(),
            });
        }
        let (mode, why) = decide(wish, self.profile.backup.full_every.as_ref(), &self.state)?;
        self.made = true;
        let source = &self.profile.source;
        let dumps = source.dumps.iter();
        let dumps = dumps
            .map(|dump| format!("{}/{} ({dump})", source.dump_folder, dump.name))
            .collect();
        let action = BackupAction {
            mode,
            snapshot: Some(source.snapshot).filter(|s| *s != SnapshotKind::None),
            dumps,
        };
        Ok(self.act(word, Action::Backup(action), why))
    }

    fn remove(&mut self, word: &str, rule: String, rules: &Rules) -> Result<Node, Error> {
        let newest = self.state.collection.newest_time();
        if let Some(newest) = newest.filter(|n| *n > self.state.now) {
            return Err(Error::Clock {
                now: self.state.now,
                newest,
            });
        }
        let rules = Rules {
            last_dumps: self.state.last_dumps.clone(),
            ..rules.clone()
        };
        let judgment = retention::judge(&self.state.collection, &self.state.damaged, &rules);
        let why = match judgment.remove.len() {
            0 => "no set is to go".to_owned(),
            n => format!("{n} of {} sets go", n + judgment.keep.len()),
        };
        let action = RemoveAction {
            rule,
            sets: judgment.remove,
            kept: judgment.keep,
            force: self.force(),
        };
        Ok(self.act(word, Action::Remove(action), why))
    }

    fn cleanup(&mut self, word: &str) -> Node {
        let found = self.state.collection.leftover_files();
        let why = match found {
            0 => "nothing found".to_owned(),
            1 => "1 file of an incomplete set".to_owned(),
            n => format!("{n} files of incomplete sets"),
        };
        self.act(
            word,
            Action::Cleanup {
                force: self.force(),
            },
            why,
        )
    }

    fn force(&self) -> bool {
        self.batch.options.force || self.profile.retention.force
    }

    fn checks(&mut self) -> Vec<Node> {
        let checks = self.profile.checks.clone();
        let times = self.state.checks;
        let spot = checks.spot.map(|s| {
            (
                s.every,
                CheckKind::Spot {
                    sample_percent: s.sample_percent,
                },
            )
        });
        let test = checks
            .restore_test
            .map(|t| (t.every, CheckKind::RestoreTest { files: t.files }));
        let all: [DueCheck; 3] = [
            (
                "quick",
                checks.quick.map(|every| (every, CheckKind::Quick)),
                times.quick,
            ),
            ("spot", spot, times.spot),
            ("restore-test", test, times.restore_test),
        ];
        let mut nodes = Vec::new();
        for (name, check, last) in all {
            let Some((every, kind)) = check else { continue };
            let now = self.state.now;
            let is_asked = self.batch.options.all;
            match last.filter(|last| !is_asked && *last > every.before(now)) {
                Some(last) => {
                    let ago = decide::span(now, last);
                    self.notes.push(format!(
                        "check {name} is not due: last done {ago} ago, every {every}"
                    ));
                }
                None => {
                    let why = match last {
                        Some(last) => {
                            format!("last done {} ago, every {every}", decide::span(now, last))
                        }
                        None => format!("never done, every {every}"),
                    };
                    nodes.push(self.act("check", Action::Check(kind), why));
                }
            }
        }
        nodes
    }

    fn read(&self, command: &Command) -> Result<(Action, String), Error> {
        if self.state.collection.chains.is_empty() {
            return Err(Error::NoBackup(format!(
                "there is no backup at {}",
                self.profile.target.url
            )));
        }
        let at = |time: &Option<TimeText>| time.as_ref().map(|t| t.at(self.state.now, self.zone));
        let force = self.batch.options.force;
        let overwrite = self.batch.options.overwrite;
        let compare = self.batch.options.compare_data;
        let action = match command {
            Command::Verify(time) => Action::Verify {
                path: PathBuf::new(),
                local: self.profile.source.root.clone(),
                time: at(time),
                compare,
            },
            Command::VerifyPath { path, local, time } => Action::Verify {
                path: self.inside(path)?,
                local: local.clone(),
                time: at(time),
                compare,
            },
            Command::Restore { destination, time } => Action::Restore {
                path: PathBuf::new(),
                destination: destination.clone(),
                time: at(time),
                force,
                overwrite,
            },
            Command::Fetch {
                path,
                destination,
                time,
            } => Action::Restore {
                path: self.inside(path)?,
                destination: destination.clone(),
                time: at(time),
                force,
                overwrite,
            },
            Command::List(time) => Action::List { time: at(time) },
            Command::Find(pattern) => Action::Find {
                pattern: pattern.clone(),
            },
            Command::Versions(path) => Action::Versions {
                path: self.inside(path)?,
            },
            Command::Diff(from, to) => Action::Diff {
                from: at(from),
                to: at(to),
            },
            _ => Action::Status,
        };
        let why = match &action {
            Action::Verify { time, .. } | Action::Restore { time, .. } | Action::List { time } => {
                self.as_of(*time)
            }
            _ => String::new(),
        };
        Ok((action, why))
    }

    /// Which set holds the state asked for, and whether it is damaged.
    fn as_of(&self, time: Option<Timestamp>) -> String {
        let time = time.unwrap_or(self.state.now);
        let Some(chain) = self.state.collection.chain_at(time) else {
            return String::new();
        };
        let sets: Vec<_> = chain.sets_at(time).collect();
        let state = sets
            .last()
            .map_or(String::new(), |s| format!("the {}", s.id));
        match self
            .state
            .damaged
            .iter()
            .find(|d| sets.iter().any(|s| s.id == d.set))
        {
            Some(damage) => format!("{state}; the {} is damaged: {}", damage.set, damage.reason),
            None => state,
        }
    }

    /// A path relative to the source; one inside the source may be given in full.
    fn inside(&self, path: &std::path::Path) -> Result<PathBuf, Error> {
        if !path.is_absolute() {
            return Ok(path.to_owned());
        }
        path.strip_prefix(&self.profile.source.root)
            .map(ToOwned::to_owned)
            .map_err(|_| Error::Usage {
                message: format!(
                    "{} does not lie in {}",
                    path.display(),
                    self.profile.source.root.display()
                ),
                hint: "give the path relative to the source".to_owned(),
            })
    }
}
