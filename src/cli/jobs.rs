//! Runs or plans jobs one after the other, or those of a group together, and shows how they went.

use super::run::{Job, Member, Unit, failed};
use super::scheduled::{self, Permission};
use super::session::{CLOCK, Session};
use super::ui::products::{Collected, Lines};
use super::ui::{out, summary};
use super::{ask, exit};
use crate::engine::error::Result;
use crate::job::around::{Arounds, Part};
use crate::job::group::GroupJob;
use crate::job::{self, Ended, JobContext};
use crate::plan::batch::Command;
use crate::plan::{Action, Item, Node, Plan, render};
use crate::profile::{Group, SecretRef};
use crate::run::open::Surroundings;
use crate::run::outcome::{Outcome, Verdict};
use crate::run::{Log, RunMonitor};
use serde_json::{Value, json};
use std::fs::File;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Version of the JSON document of runs.
const SCHEMA: u32 = 1;

/// Calls `act` with what a job needs; each has a log of its own.
fn within<T>(
    session: &Session,
    monitor: &dyn RunMonitor,
    act: impl FnOnce(&JobContext<'_>) -> T,
) -> T {
    // It could be opened a moment ago; a run is not given up for it now.
    let file = session.log_file().unwrap_or_else(|e| {
        failed(&e);
        None
    });
    let log = Log::new(monitor, CLOCK, file, session.log_format());
    let secret = |reference: &SecretRef| session.secret(reference);
    let around = Surroundings {
        environment: &session.environment,
        program: session.program.as_deref(),
        cancel: &session.cancel,
        threads: session.world.threads,
        host: &session.world.host,
        zone: &session.zone,
        secret: &secret,
    };
    act(&JobContext {
        around: &around,
        log: &log,
        clock: CLOCK,
        state_dir: &session.world.state_dir,
        lock_wait: session.common.no_lock_wait.then_some(Duration::ZERO),
        code: &exit::of_outcome,
        scheduled: session.common.scheduled,
    })
}

/// Shows what every job would do; the exit code.
pub fn plans(units: &[Unit], session: &Session) -> u8 {
    let mut code = exit::DONE;
    let (mut documents, mut groups) = (Vec::new(), Vec::new());
    let mut errors = Vec::new();
    for unit in units {
        if let Some(group) = &unit.group {
            let names = names(&unit.members);
            let job = group_job(group, &unit.members, &names, session);
            let plan = job::group::plan(&job, CLOCK());
            if session.common.json {
                groups.push(json!(plan));
            } else {
                out::text(&render::text(&plan, false));
            }
        }
        for member in &unit.members {
            let parts: Vec<Part<'_>> = member.jobs().map(|j| (&j.profile, &j.batch)).collect();
            for (_, plan) in job::around::plans(&parts, CLOCK()) {
                if session.common.json {
                    groups.push(json!(plan));
                } else {
                    out::text(&render::text(&plan, false));
                }
            }
        }
        for job in unit.members.iter().flat_map(Member::jobs) {
            let plan = within(session, &*session.monitor(), |cx| {
                job::plan(&job.profile, &job.batch, cx)
            });
            match plan {
                Ok(plan) if session.common.json => documents.push(json!(plan)),
                Ok(plan) => out::text(&render::text(&plan, session.common.verbose > 0)),
                Err(e) => {
                    let e = e.within(format!("cannot plan for {}", job.profile.name));
                    errors.push(e.to_string());
                    let this = failed(&e);
                    code = if code == exit::DONE { this } else { code };
                }
            }
        }
    }
    if session.common.json {
        out::json(&json!({
            "schema": SCHEMA, "code": code, "plans": documents, "groups": groups, "errors": errors,
        }));
    }
    code
}

/// Documents and outcomes of what has run, and the right to print: one job at a time.
#[derive(Default)]
struct Ran {
    documents: Vec<(usize, Value)>,
    groups: Vec<Value>,
    /// One for each profile, and one for each group.
    outcomes: Vec<Outcome>,
    /// Whether a sign of life of several targets could not be sent.
    untold: bool,
}

/// Runs all jobs; the exit code.
pub fn runs(units: &[Unit], session: &Session) -> u8 {
    let ran = Mutex::new(Ran::default());
    let mut not_begun = exit::DONE;
    let mut number = 0;
    for unit in units {
        if session.cancel.is_requested() {
            break;
        }
        match &unit.group {
            Some(group) => match due_members(&unit.members, session) {
                Ok(due) if due.members.is_empty() => {}
                Ok(due) => run_group(group, &due.members, number, session, &ran),
                Err(code) if not_begun == exit::DONE => not_begun = code,
                Err(_) => {}
            },
            None => {
                for (i, member) in unit.members.iter().enumerate() {
                    if session.cancel.is_requested() {
                        break;
                    }
                    match permitted(member, session) {
                        Ok(_permission) => {
                            let outcome = run_member(member, number + i, None, session, &ran);
                            locked(&ran).outcomes.push(outcome);
                        }
                        Err(code) if not_begun == exit::DONE => not_begun = code,
                        Err(_) => {}
                    }
                }
            }
        }
        number += unit.members.len();
    }
    let mut ran = ran.into_inner().unwrap_or_else(PoisonError::into_inner);
    let code = match exit::of_outcomes(&ran.outcomes) {
        exit::DONE if ran.untold => exit::PROBLEMS,
        exit::DONE => not_begun,
        code => code,
    };
    if session.common.json {
        ran.documents.sort_by_key(|(number, _)| *number);
        let runs: Vec<Value> = ran.documents.into_iter().map(|(_, d)| d).collect();
        out::json(&json!({"schema": SCHEMA, "code": code, "runs": runs, "groups": ran.groups}));
    }
    code
}

/// Whether a member that a schedule started goes on, as long as what is returned lives; otherwise tells why not.
///
/// # Errors
/// The exit code of what keeps it from being known.
fn permitted(member: &Member, session: &Session) -> std::result::Result<Option<File>, u8> {
    if !session.common.scheduled {
        return Ok(None);
    }
    let name = &member.name;
    match scheduled::permission(member, session) {
        Ok(Permission::Granted(lock)) => Ok(Some(lock)),
        Ok(Permission::Denied(code, why)) => {
            if !session.common.quiet {
                out::complaint(&format!("{name}: {why}"));
            }
            Err(code)
        }
        Err(e) => Err(failed(&e.within(format!("cannot start {name}")))),
    }
}

/// Members of a group that are to run, and the locks that keep other scheduled starts from them.
struct Due {
    members: Vec<Member>,
    _locks: Vec<File>,
}

/// The members of a group that a schedule started: those whose own schedule asks for it, and with them those that have none.
///
/// # Errors
/// The exit code of what keeps it from being known, and that of a group none of whose members has a schedule.
fn due_members(members: &[Member], session: &Session) -> std::result::Result<Due, u8> {
    if !session.common.scheduled {
        return Ok(Due {
            members: members.to_vec(),
            _locks: Vec::new(),
        });
    }
    let (mut locks, mut due) = (Vec::new(), Vec::new());
    let mut denied = exit::DONE;
    let has_schedule = |m: &Member| m.first.profile.schedule.is_some();
    let none_has = !members.iter().any(has_schedule);
    for member in members.iter().filter(|m| none_has || has_schedule(m)) {
        match permitted(member, session) {
            Ok(lock) => {
                locks.extend(lock);
                due.push(member.name.clone());
            }
            Err(code) if denied == exit::DONE => denied = code,
            Err(_) => {}
        }
    }
    if due.is_empty() && denied != exit::DONE {
        return Err(denied);
    }
    let runs = |m: &&Member| due.contains(&m.name) || (!due.is_empty() && !has_schedule(m));
    Ok(Due {
        members: members.iter().filter(runs).cloned().collect(),
        _locks: locks,
    })
}

fn locked(ran: &Mutex<Ran>) -> MutexGuard<'_, Ran> {
    ran.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a profile for all its targets, one after the other; the worst outcome. A target that may be absent counts only if
/// all are. `beside` is the name to show if others run at the same time.
fn run_member(
    member: &Member,
    number: usize,
    beside: Option<&str>,
    session: &Session,
    ran: &Mutex<Ran>,
) -> Outcome {
    let monitor = || match beside {
        Some(name) => session.monitor_of(name),
        None => session.monitor(),
    };
    let ask = beside.is_none();
    let jobs: Vec<&Job> = member.jobs().collect();
    let parts: Vec<Part<'_>> = jobs.iter().map(|j| (&j.profile, &j.batch)).collect();
    let first = &member.first;
    let looks = first.batch.commands().iter().all(|c| c.only_looks());
    let pings = jobs.len() > 1 && !looks && first.profile.reports.ping.is_some();
    let hooked = !looks && !job::around::plans(&parts, CLOCK()).is_empty();
    if !pings && !hooked {
        let run = |job: &Job| run_job(job, number, &*monitor(), ask, None, session, ran);
        let worst = run(first);
        return member.others.iter().fold(worst, |worst, job| {
            if session.cancel.is_requested() {
                return worst;
            }
            worse(worst, run(job))
        });
    }
    within(session, &*monitor(), |cx| {
        let reports = &first.profile.reports;
        let whole = pings.then(|| job::Whole::begin(&first.profile, reports, cx));
        let worst = job::around::within(&parts, cx, |mut around| {
            let mut worst: Option<Outcome> = None;
            for (i, job) in jobs.iter().enumerate() {
                if worst.is_some() && session.cancel.is_requested() {
                    break;
                }
                let mut job = (*job).clone();
                if pings {
                    job.profile.reports.ping = None;
                }
                if let Some(around) = around.as_deref_mut() {
                    around.before_job(parts.get(i + 1..).unwrap_or_default());
                }
                let hooks = around.as_deref_mut();
                let outcome = run_job(&job, number, &*monitor(), ask, hooks, session, ran);
                worst = Some(match worst {
                    Some(worst) => worse(worst, outcome),
                    None => outcome,
                });
            }
            let mut worst = worst?;
            if let Some(around) = around {
                around.close(&mut worst);
            }
            Some(worst)
        });
        // There is a first job, so there is an outcome.
        let worst =
            worst.unwrap_or_else(|| run_job(first, number, &*monitor(), ask, None, session, ran));
        let troubles = whole.map(|w| w.end(&worst, cx)).unwrap_or_default();
        locked(ran).untold |= !troubles.is_empty();
        troubles.iter().for_each(|t| out::complaint(t));
        worst
    })
}

/// The worse of two outcomes of one profile; the first among equals.
fn worse(one: Outcome, other: Outcome) -> Outcome {
    match (one.is_absence(), other.is_absence()) {
        (true, false) => other,
        (false, true) => one,
        _ if other.verdict > one.verdict => other,
        _ => one,
    }
}

/// Runs one job and shows how it went. `ask` allows a question at a terminal.
fn run_job(
    job: &Job,
    number: usize,
    monitor: &dyn RunMonitor,
    ask: bool,
    around: Option<&mut Arounds<'_>>,
    session: &Session,
    ran: &Mutex<Ran>,
) -> Outcome {
    let mut job = job.clone();
    within(session, monitor, |cx| {
        let mut collected = Collected::default();
        let ended = if session.common.json {
            job::execute(&job.profile, &job.batch, &mut collected, around, cx)
        } else {
            if ask && let Err(e) = confirm(&mut job, session, cx) {
                out::complaint(&format!("cannot show what would be removed: {e}"));
            }
            job::execute(&job.profile, &job.batch, &mut Lines, around, cx)
        };
        let Ended { outcome, troubles } = ended;
        let mut ran = ran.lock().unwrap_or_else(PoisonError::into_inner);
        if session.common.json {
            let document =
                json!({"outcome": outcome, "products": collected.0, "troubles": troubles});
            ran.documents.push((number, document));
        } else {
            let looks = job.batch.commands().iter().all(|c| c.only_looks());
            show(looks, &outcome, &troubles, session);
        }
        outcome
    })
}

/// Runs a group: its hooks, its members as they are to run, its report.
fn run_group(
    group: &Group,
    members: &[Member],
    number: usize,
    session: &Session,
    ran: &Mutex<Ran>,
) {
    let names = names(members);
    // Two questions at a time are none: then only `force` deletes.
    let together = group.parallel > 1 && members.len() > 1;
    let run = |i: usize| {
        let member = &members[i];
        let beside = together.then_some(member.name.as_str());
        let outcome = run_member(member, number + i, beside, session, ran);
        locked(ran).outcomes.push(outcome.clone());
        outcome
    };
    let monitor = session.monitor_of(&group.name);
    let group_job = group_job(group, members, &names, session);
    within(session, &*monitor, |cx| {
        let Ended { outcome, troubles } = job::group::execute(&group_job, &run, cx);
        let mut ran = locked(ran);
        if session.common.json {
            ran.groups
                .push(json!({"outcome": outcome, "troubles": troubles}));
        } else {
            show(group_job.looks, &outcome, &troubles, session);
        }
        ran.outcomes.push(outcome);
    });
}

fn group_job<'a>(
    group: &'a Group,
    members: &'a [Member],
    names: &'a [String],
    session: &'a Session,
) -> GroupJob<'a> {
    let jobs = || members.iter().flat_map(Member::jobs);
    let batch = jobs().next().map_or("", |j| j.batch.text.as_str());
    let same = jobs().all(|j| j.batch.text == batch);
    let looks = |job: &Job| job.batch.commands().iter().all(|c| c.only_looks());
    GroupJob {
        group,
        batch: if same { batch } else { "default" },
        profiles: names,
        looks: jobs().all(looks),
        temp_dir: &session.world.temp_dir,
    }
}

/// What the members of a group are called.
fn names(members: &[Member]) -> Vec<String> {
    members.iter().map(|m| m.name.clone()).collect()
}

/// Prints the summary: always if something is wrong, otherwise unless it is to be quiet or only looked at things.
fn show(looks: bool, outcome: &Outcome, troubles: &[String], session: &Session) {
    let well = outcome.verdict == Verdict::Success && troubles.is_empty();
    if well && (looks || session.common.quiet) {
        return;
    }
    // cron would mail it every hour; history has it.
    if session.common.scheduled && session.common.quiet && outcome.verdict == Verdict::Deferred {
        return;
    }
    let lines = summary::summary(outcome, troubles);
    if well {
        lines.iter().for_each(|l| out::line(l));
    } else {
        lines.iter().for_each(|l| out::complaint(l));
    }
}

/// At a terminal, shows what a batch would delete and asks; the answer decides as `--force` does.
fn confirm(job: &mut Job, session: &Session, cx: &JobContext<'_>) -> Result<()> {
    let force = job.batch.options.force || job.profile.retention.force;
    let removing = |c: &Command| {
        c.takes_force() && !matches!(c, Command::Restore { .. } | Command::Fetch { .. })
    };
    let deletes = job.batch.commands().into_iter().any(removing);
    if force || !deletes || !session.world.terminal.input || !session.world.terminal.error {
        return Ok(());
    }
    let plan = job::plan(&job.profile, &job.batch, cx)?;
    if !removes(&plan) {
        return Ok(());
    }
    out::complaint(render::text(&plan, true).trim_end());
    job.batch.options.force = ask::yes("Really remove what is listed?", false)?;
    Ok(())
}

fn removes(plan: &Plan) -> bool {
    fn any(nodes: &[Node]) -> bool {
        nodes.iter().any(|n| match &n.item {
            Item::Group(inner) => any(inner),
            Item::Step(step) => match &step.action {
                Action::Remove(remove) => !remove.sets.is_empty(),
                Action::Cleanup { .. } => !step.why.starts_with("nothing"),
                _ => false,
            },
        })
    }
    any(&plan.nodes)
}
