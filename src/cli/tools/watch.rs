//! `dupr watch`: tells about backups that are stale although nothing ran. Meant for a line of cron or a timer.

use crate::cli::args::SomeProfiles;
use crate::cli::session::Session;
use crate::cli::ui::out;
use crate::cli::{choose, complain, exit, run};
use crate::engine::error::Result;
use crate::engine::time::Timestamp;
use crate::profile::Profile;
use crate::report::notify::{Delivery, Desk, Store};
use crate::report::overview::{Expectation, Overview, Standing};
use crate::report::stale::{self, News};
use crate::run::observe::under_way;
use crate::run::{History, Memory};
use serde_json::{Value, json};

/// Looks at all profiles, or those named, and tells what was not told before.
pub fn run(args: &SomeProfiles, session: &Session) -> u8 {
    let found = match choose::listed(&args.profiles, &session.config_dirs()) {
        Ok(found) => found,
        Err(errors) => return complain::about(&errors, session),
    };
    let mut documents = Vec::new();
    let mut code = exit::DONE;
    for found in &found {
        let this = match run::per_target(found, session) {
            Ok(profiles) => profiles.iter().fold(exit::DONE, |code, profile| {
                let this = match look(profile, session) {
                    Ok((this, document)) => {
                        documents.push(document);
                        this
                    }
                    Err(e) => run::failed(&e),
                };
                worse(code, this)
            }),
            Err(errors) => {
                let text = errors.render(session.colors(session.world.terminal.error));
                out::complaint(text.trim_end());
                exit::USAGE
            }
        };
        code = worse(code, this);
    }
    if session.common.json {
        out::json(&json!({"schema": 1, "code": code, "profiles": documents}));
    }
    code
}

/// A report that was not sent outweighs a stale backup: nobody was told. A profile that cannot be used outweighs
/// both.
fn worse(a: u8, b: u8) -> u8 {
    let weight = |code: u8| match code {
        exit::DONE => 0,
        exit::STALE => 1,
        exit::PROBLEMS => 2,
        exit::USAGE => 4,
        _ => 3,
    };
    if weight(b) > weight(a) { b } else { a }
}

/// Looks at one profile and tells what is new.
fn look(profile: &Profile, session: &Session) -> Result<(u8, Value)> {
    let now = run::now();
    let state_dir = &session.world.state_dir;
    let past = History::of(state_dir, &profile.name).read()?.runs;
    let mut memory = Memory::of(state_dir, &profile.name);
    let since = Memory::of(state_dir, profile.base_name()).scheduled_since;
    let expected = Expectation::of(profile, &past, since, under_way(profile), now);
    let view = Overview::new(&profile.name, &past, expected, now);
    let news = stale::news(view.standing, memory.stale_told, now);
    let stale = stale::outcome(profile, &view, &session.world.host, now);
    let mut deliveries = Vec::new();
    if news != News::Nothing && !session.common.plan {
        let desk = Desk {
            reports: &profile.reports,
            secrets: &|reference| session.secret(reference),
            code: &exit::of_outcome,
            store: &Store::of(state_dir, &profile.name),
        };
        deliveries = match news {
            News::Over => {
                let mut before = past.clone();
                before.push(stale.clone());
                desk.watch(&stale::over(&stale, &view), &before)
            }
            _ => desk.watch(&stale, &past),
        };
    }
    let sent = deliveries.iter().all(|d| d.result.is_ok());
    if news != News::Nothing && !session.common.plan && sent {
        memory.stale_told = (news == News::Stale).then_some(now);
        memory.keep(state_dir, &profile.name)?;
    }
    if !session.common.json {
        show(&view, news, &deliveries, memory.stale_told, session);
    }
    let code = match (sent, view.standing) {
        (false, _) => exit::PROBLEMS,
        (true, Standing::Stale) => exit::STALE,
        _ => exit::DONE,
    };
    let told: Vec<Value> = deliveries
        .iter()
        .map(|d| json!({"to": d.notifier, "error": d.result.as_ref().err().map(ToString::to_string)}))
        .collect();
    let document = json!({
        "profile": view.profile,
        "standing": view.standing,
        "note": view.note,
        "last-good": view.last_good,
        "missed": view.missed,
        "told": told,
        "told-at": memory.stale_told,
    });
    Ok((code, document))
}

/// Prints what is new where somebody will see it; what was told before, and that all is well, unless it is to be
/// quiet.
fn show(
    view: &Overview,
    news: News,
    deliveries: &[Delivery],
    told: Option<Timestamp>,
    session: &Session,
) {
    let quiet = session.common.quiet;
    for delivery in deliveries {
        match &delivery.result {
            Ok(_) if quiet => {}
            Ok(_) => out::line(&format!("told: {}", delivery.notifier)),
            Err(e) => {
                let hint = e.hint().map(|h| format!("; {h}")).unwrap_or_default();
                out::complaint(&format!(
                    "{} could not be sent: {e}{hint}",
                    delivery.notifier
                ));
            }
        }
    }
    let reached = deliveries.iter().any(|d| d.result.is_ok());
    let line = format!("{} {}: {}", view.standing.word(), view.profile, view.note);
    match (view.standing, news) {
        // Nobody else tells it.
        (Standing::Stale, News::Stale) if !reached && !session.common.plan => out::complaint(&line),
        _ if quiet => {}
        (Standing::Stale, News::Nothing) => {
            let since = told.map(|t| format!(" (told {t})")).unwrap_or_default();
            out::line(&format!("{line}{since}"));
        }
        (Standing::Stale, _) => out::line(&line),
        (_, News::Over) => out::line(&format!("{}: not stale any more", view.profile)),
        _ => out::line(&format!("{}: {}", view.profile, view.standing.word())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_was_told_outweighs_what_is_stale() {
        assert_eq!(worse(exit::STALE, exit::PROBLEMS), exit::PROBLEMS);
        assert_eq!(worse(exit::PROBLEMS, exit::STALE), exit::PROBLEMS);
        assert_eq!(worse(exit::DONE, exit::STALE), exit::STALE);
        assert_eq!(worse(exit::PROBLEMS, exit::USAGE), exit::USAGE);
    }
}
