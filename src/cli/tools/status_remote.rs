//! `dupr status --remote`: the targets themselves, looked at side by side. One that cannot be reached is a line of its own and
//! keeps nobody from seeing the others.

use crate::cli::exit;
use crate::cli::session::Session;
use crate::cli::ui::Tone;
use crate::cli::ui::table::Table;
use crate::engine::error::ErrorKind;
use crate::engine::time::Timestamp;
use crate::job;
use crate::profile::Profile;
use crate::report::format;
use crate::report::overview::{Limit, Overview, Standing};
use crate::run::observe::under_way;
use crate::run::remote::{self, Remote};
use serde::Serialize;
use serde_json::{Value, json};

/// Targets that are looked at at a time.
const AT_A_TIME: usize = 8;

/// How a target was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// As it was left, and young enough.
    Ok,
    /// It may be absent, and is.
    Absent,
    /// It holds no set.
    Empty,
    /// Its newest set is too old.
    Stale,
    /// It holds other than it was given.
    Differs,
    /// It cannot be looked at.
    Unreached,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            State::Ok => "ok",
            State::Absent => "absent",
            State::Empty => "EMPTY",
            State::Stale => "STALE",
            State::Differs => "DIFFERS",
            State::Unreached => "NOT REACHED",
        }
    }
}

/// A target and how it was found.
pub struct Sight {
    state: State,
    found: Remote,
    /// Why it cannot be looked at, what differs, or why it is stale.
    notes: Vec<String>,
    /// What to do, if that is known.
    hint: Option<String>,
    code: u8,
}

/// Looks at the targets of profiles, several at a time; the order stays. What is no profile is not looked at.
pub fn look(
    subjects: &[(Overview, Option<Profile>)],
    now: Timestamp,
    session: &Session,
) -> Vec<Option<Sight>> {
    let one = |(view, profile): &(Overview, Option<Profile>)| {
        profile.as_ref().map(|p| sight(view, p, now, session))
    };
    let mut sights = Vec::new();
    for some in subjects.chunks(AT_A_TIME) {
        std::thread::scope(|scope| {
            let threads: Vec<_> = some.iter().map(|s| scope.spawn(move || one(s))).collect();
            // A thread that ended badly has told why.
            sights.extend(threads.into_iter().map(|t| t.join().unwrap_or_default()));
        });
    }
    sights
}

fn sight(view: &Overview, profile: &Profile, now: Timestamp, session: &Session) -> Sight {
    let secret = |reference: &crate::profile::SecretRef| session.secret(reference);
    let around = session.openers(&secret);
    let absent = |why: String| Sight::of(State::Absent, vec![why]);
    let looked = job::absent_folder(profile).and_then(|absence| match absence {
        Some(why) => Ok(Err(why)),
        None => remote::look(profile, &around).map(Ok),
    });
    match looked {
        Ok(Ok(found)) => judged(found, view, profile, now),
        Ok(Err(why)) => absent(why),
        Err(e) if profile.target.optional && job::is_absent(e.kind()) => absent(e.to_string()),
        Err(e) => Sight {
            code: match e.kind() {
                // That the place itself is not there is no other trouble than that nobody answers.
                ErrorKind::NotFound => exit::TARGET,
                kind => exit::of_kind(kind),
            },
            hint: e.hint().map(str::to_owned),
            ..Sight::of(State::Unreached, vec![e.to_string()])
        },
    }
}

/// What was found, held against what history says and the profile asks for.
fn judged(mut found: Remote, view: &Overview, profile: &Profile, now: Timestamp) -> Sight {
    // What is under way changes both sides while they are compared.
    if let Some(who) = under_way(profile) {
        found.differences.clear();
        let state = if found.newest.is_some() {
            State::Ok
        } else {
            State::Empty
        };
        return Sight {
            found,
            ..Sight::of(
                state,
                vec![format!("not compared: {} is under way", format::safe(&who))],
            )
        };
    }
    if let Some(good) = view.last_good.filter(|good| found.newest < Some(*good))
        && found.differences.is_empty()
    {
        let text = format!(
            "the last good set is of {}, and is not at the target",
            format::time(good)
        );
        found.differences.push(text);
    }
    let held = view.last_good.is_some() || !found.differences.is_empty();
    let is_empty = found.sets == 0;
    if is_empty && held && profile.target.optional {
        let why = "it held sets and is empty: is the disk mounted?".to_owned();
        return Sight {
            found,
            ..Sight::of(State::Absent, vec![why])
        };
    }
    let limit = Limit::of(profile, now);
    let too_old = found.newest.filter(|newest| limit.is_over(*newest, now));
    let (state, notes) = match too_old {
        _ if !found.differences.is_empty() => (State::Differs, found.differences.clone()),
        _ if is_empty => (State::Empty, vec!["there is no backup".to_owned()]),
        Some(newest) => {
            let text = format!(
                "the newest set is of {}, and {}",
                format::time(newest),
                limit.said()
            );
            (State::Stale, vec![text])
        }
        None => (State::Ok, Vec::new()),
    };
    Sight {
        found,
        ..Sight::of(state, notes)
    }
}

impl Sight {
    fn of(state: State, notes: Vec<String>) -> Self {
        let code = match state {
            State::Ok | State::Absent => exit::DONE,
            State::Empty | State::Stale => exit::STALE,
            State::Differs => exit::DIFFERENCES,
            State::Unreached => exit::TARGET,
        };
        Self {
            state,
            found: Remote::default(),
            notes,
            hint: None,
            code,
        }
    }

    /// What it is shown as in a document.
    pub fn document(&self) -> Value {
        let mut document = json!(self.found);
        document["state"] = json!(self.state);
        document["notes"] = json!(self.notes);
        document["hint"] = json!(self.hint);
        document
    }

    /// The exit code, together with how the profile stands: a run that is not known here and left a good set is none that is missing.
    pub fn code(&self, standing: Standing, local: u8) -> u8 {
        let local = match (standing, self.state) {
            (Standing::Never | Standing::NoSet, State::Ok) => exit::DONE,
            _ => local,
        };
        worse(local, self.code)
    }

    /// How it is shown in color.
    pub fn tone(&self) -> Tone {
        match self.state {
            State::Ok => Tone::Good,
            State::Absent => Tone::Calm,
            State::Empty | State::Stale | State::Differs | State::Unreached => Tone::Bad,
        }
    }

    /// The word of its state.
    pub fn word(&self) -> &'static str {
        self.state.word()
    }
}

/// The code that counts of two: a profile that cannot be used, then a target that cannot be looked at, or differs.
pub fn worse(one: u8, other: u8) -> u8 {
    let weight = |code: u8| match code {
        exit::DONE => 0,
        exit::PROBLEMS => 1,
        exit::STEP_FAILED => 2,
        exit::STALE => 3,
        exit::DIFFERENCES => 4,
        exit::USAGE => 6,
        _ => 5,
    };
    if weight(other) > weight(one) {
        other
    } else {
        one
    }
}

/// A line for each target.
pub fn table(
    subjects: &[(Overview, Option<Profile>)],
    sights: &[Option<Sight>],
    now: Timestamp,
) -> Table {
    let headings = [
        "PROFILE",
        "STATE",
        "AT THE TARGET",
        "NEWEST SET",
        ">CHAINS",
        ">SETS",
        ">SIZE",
        "NOTE",
    ];
    let mut table = Table::new(&headings);
    for ((view, _), sight) in subjects.iter().zip(sights) {
        let mut row = vec![view.profile.clone(), view.standing.word().to_owned()];
        match sight {
            None => row.extend(["-", "-", "-", "-", "-"].map(str::to_owned)),
            Some(sight) => {
                let found = &sight.found;
                let was_seen = !matches!(sight.state, State::Unreached | State::Absent);
                let number = |n: u64| {
                    if was_seen {
                        n.to_string()
                    } else {
                        "-".to_owned()
                    }
                };
                row.push(sight.word().to_owned());
                row.push(found.newest.map_or("-".to_owned(), |t| format::age(t, now)));
                row.extend([number(found.chains), number(found.sets)]);
                row.push(if found.bytes > 0 {
                    format::bytes(found.bytes)
                } else {
                    "-".to_owned()
                });
            }
        }
        let note = match sight {
            None => view.note.clone(),
            Some(sight) => told(sight),
        };
        row.push(format::shortened(&format::safe(&note), 90));
        table.row(row);
    }
    table
}

/// What is worth saying of a target, in a line.
fn told(sight: &Sight) -> String {
    let mut parts: Vec<String> = sight.notes.iter().take(1).cloned().collect();
    if sight.notes.len() > 1 {
        parts.push(format!("and {} more", sight.notes.len() - 1));
    }
    let found = &sight.found;
    if found.leftovers > 0 {
        parts.push(format::counted(found.leftovers, "leftover file"));
    }
    if found.unknown_here > 0 {
        parts.push(format!(
            "{} not known here",
            format::counted(found.unknown_here, "set")
        ));
    }
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worse_of_target_and_history_decides() {
        let sight = |state| Sight::of(state, Vec::new());
        for (state, standing, local, code) in [
            (State::Ok, Standing::Ok, 0, 0),
            (State::Ok, Standing::Never, 6, 0),
            (State::Ok, Standing::NoSet, 6, 0),
            (State::Empty, Standing::Never, 6, 6),
            (State::Ok, Standing::Failed, 1, 1),
            (State::Differs, Standing::Stale, 6, 5),
            (State::Unreached, Standing::Stale, 6, 13),
            (State::Absent, Standing::Ok, 0, 0),
        ] {
            assert_eq!(
                sight(state).code(standing, local),
                code,
                "{state:?} {standing:?}"
            );
        }
    }
}
