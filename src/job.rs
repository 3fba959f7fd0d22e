//! One execution of a batch for a profile: lock, observe, plan, run, record, report. The whole program on one page.

pub mod around;
pub mod group;
mod record;

use around::Arounds;
use record::{begin_log, keep, note, read};

use crate::engine::context::Context;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::monitor::{Level, Monitor};
use crate::engine::storage::{Place, TargetUrl};
use crate::engine::target::Engine;
use crate::engine::time::Timestamp;
use crate::plan::batch::{Batch, Command};
use crate::plan::planner;
use crate::plan::{Plan, State};
use crate::profile::{Profile, Reports};
use crate::report::notify::{Delivery, Desk, Store};
use crate::run::actions::EngineActions;
use crate::run::history::{History, PastRuns};
use crate::run::hook::ProfileFacts;
use crate::run::open::{self, Surroundings};
use crate::run::outcome::{ABSENT_STEP, Outcome, StepOutcome, StepStatus, Verdict};
use crate::run::priority::Priority;
use crate::run::products::Products;
use crate::run::runner::{self, OUTCOME_SCHEMA, Runner};
use crate::run::{Log, due, observe, require};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

/// Seconds a clock may be behind the newest set and still be waited for.
const CLOCK_PATIENCE: i64 = 5;

/// What a job is given besides profile and batch.
pub struct JobContext<'a> {
    /// What the outside world hands down.
    pub around: &'a Surroundings<'a>,
    /// Takes every line, and passes on to whoever shows them.
    pub log: &'a Log<'a>,
    /// The clock.
    pub clock: &'a (dyn Fn() -> Timestamp + Sync),
    /// Below it one history for each profile.
    pub state_dir: &'a Path,
    /// How long to wait for another run's lock, if not as long as the profile says.
    pub lock_wait: Option<Duration>,
    /// The exit code of an outcome.
    pub code: &'a (dyn Fn(&Outcome) -> u8 + Sync),
    /// Whether a schedule started it. One that makes up for missed starts puts a run off where another holds the lock.
    pub scheduled: bool,
}

/// What a job leaves behind.
#[derive(Debug)]
pub struct Ended {
    /// What happened.
    pub outcome: Outcome,
    /// What went wrong around it: reports that could not be sent, a history that could not be written.
    pub troubles: Vec<String>,
}

/// Does a batch. Never fails: what goes wrong is in the outcome, is recorded and is reported.
pub fn execute(
    profile: &Profile,
    batch: &Batch,
    products: &mut (dyn Products + Send),
    mut around: Option<&mut Arounds<'_>>,
    cx: &JobContext<'_>,
) -> Ended {
    let started = (cx.clock)();
    let history = History::of(cx.state_dir, &profile.name);
    let mut troubles = Vec::new();
    let past = read(&history, &mut troubles);
    let store = Store::of(cx.state_dir, &profile.name);
    let desk = Desk {
        reports: &profile.reports,
        secrets: cx.around.secret,
        code: cx.code,
        store: &store,
    };
    let looks = batch.commands().iter().all(|c| c.only_looks());
    if !looks {
        begin_log(&history, started, cx);
    }
    let mut announced = Vec::new();
    let told = (&desk, &mut announced);
    let hooks = around.as_deref_mut();
    let mut outcome = match begin(profile, batch, &past, told, products, hooks, cx) {
        Ok(outcome) => outcome,
        Err(end) => not_begun(profile, batch, started, end, cx),
    };
    if let Some(around) = around {
        around.end((profile, batch), &mut outcome, cx);
    }
    // Every hour on battery is not a run of its own.
    let still_put_off = cx.scheduled
        && outcome.steps.len() == 1
        && due::was_put_off(&outcome)
        && past.runs.last().is_some_and(due::was_put_off);
    if !looks && !still_put_off {
        let told = (&desk, announced);
        keep(&mut outcome, told, &history, &past, &mut troubles, cx);
    }
    cx.log.stop_growing();
    troubles.extend(cx.log.trouble());
    Ended { outcome, troubles }
}

/// Signs of life of a profile with several targets, which are one for whoever waits for them: the worst of its outcomes
/// counts, not the last.
pub struct Whole {
    reports: Reports,
    store: Store,
    past: PastRuns,
    begun: Vec<Delivery>,
}

impl Whole {
    /// Tells that the first target begins. `reports` are those of the profile.
    pub fn begin(profile: &Profile, reports: &Reports, cx: &JobContext<'_>) -> Self {
        let mut whole = Self {
            reports: reports.only_ping(),
            store: Store::of(cx.state_dir, &format!("{}@", profile.base_name())),
            past: PastRuns::default(),
            begun: Vec::new(),
        };
        whole.begun = whole.desk(cx).begin();
        whole
    }

    /// Tells the worst outcome; what could not be told, a line each.
    pub fn end(mut self, worst: &Outcome, cx: &JobContext<'_>) -> Vec<String> {
        let mut deliveries = std::mem::take(&mut self.begun);
        deliveries.extend(self.desk(cx).tell(worst, &self.past.runs, &cx.log.lines()));
        let mut outcome = worst.clone();
        let mut troubles = Vec::new();
        note(&mut outcome, deliveries, &mut troubles, cx);
        troubles
    }

    fn desk<'a>(&'a self, cx: &'a JobContext<'_>) -> Desk<'a> {
        Desk {
            reports: &self.reports,
            secrets: cx.around.secret,
            code: cx.code,
            store: &self.store,
        }
    }
}

/// The plan of a batch, without doing anything: for `--plan`.
///
/// # Errors
/// The target cannot be looked at, or the batch is impossible.
pub fn plan(profile: &Profile, batch: &Batch, cx: &JobContext<'_>) -> Result<Plan> {
    let past = read(&History::of(cx.state_dir, &profile.name), &mut Vec::new());
    let engine = open::engine(profile, cx.around)?;
    let mut state = observed(&engine, profile, batch, &past, cx)?;
    let origin = origin(profile, batch).map(|o| open::engine(o, cx.around));
    state.origin = origin
        .transpose()?
        .map(|o| o.scan(&context(profile, cx)))
        .transpose()?;
    if let Some(newest) = state.collection.newest_time() {
        state.now = later_than(newest, cx)?;
    }
    let mut plan = planned(profile, batch, &state, cx)?;
    if profile.origin.is_none()
        && batch.commands().iter().any(|c| c.makes_a_set())
        && let Some(trouble) = open::source_trouble(profile, state.now, cx.around.zone)
    {
        plan.notes.push(format!("the backup would fail: {trouble}"));
    }
    Ok(plan)
}

/// The facts this batch is planned from.
fn observed(
    engine: &Engine,
    profile: &Profile,
    batch: &Batch,
    past: &PastRuns,
    cx: &JobContext<'_>,
) -> Result<State> {
    let context = context(profile, cx);
    let mut state = observe::observe(engine, past, &context)?;
    if batch.commands().iter().any(|c| c.purges()) {
        state.last_dumps = observe::last_dumps(engine, profile, &state, &context)?;
    }
    Ok(state)
}

/// Why a run ended before its first step.
enum NotBegun {
    /// It could not begin.
    Failed(Error),
    /// It should not begin now.
    Deferred(String),
    /// Its target may be absent, and is.
    Absent(String),
    /// Hooks around all targets keep it from beginning.
    Hindered(Vec<StepOutcome>),
}

impl From<Error> for NotBegun {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

fn begin(
    profile: &Profile,
    batch: &Batch,
    past: &PastRuns,
    (desk, announced): (&Desk<'_>, &mut Vec<Delivery>),
    products: &mut (dyn Products + Send),
    around: Option<&mut Arounds<'_>>,
    cx: &JobContext<'_>,
) -> std::result::Result<Outcome, NotBegun> {
    let looks = batch.commands().iter().all(|c| c.only_looks());
    if !looks && let Some(reason) = require::unmet(&profile.run.require, &profile.backup.temp_dir) {
        return Err(NotBegun::Deferred(reason));
    }
    let origin_profile = origin(profile, batch);
    for place in [Some(profile), origin_profile].into_iter().flatten() {
        if let Some(reason) = absent_folder(place)? {
            return Err(NotBegun::Absent(reason));
        }
    }
    if !looks {
        *announced = desk.begin();
    }
    let _priority = (!looks).then(|| Priority::set(&profile.run, cx.log));
    let engine = open::engine(profile, cx.around)?;
    let origin = origin_profile
        .map(|o| open::engine(o, cx.around))
        .transpose()?;
    let holder = format!(
        "dupr {} {} since {}",
        profile.name,
        batch.text,
        (cx.clock)()
    );
    let wait = cx.lock_wait.unwrap_or(profile.run.lock_wait);
    let mut locks = Vec::new();
    for engine in [Some(&engine), origin.as_ref()].into_iter().flatten() {
        if looks {
            break;
        }
        match engine.lock(&holder, wait, &context(profile, cx)) {
            Err(e) if tried_again(profile, cx) && e.kind() == ErrorKind::Locked => {
                return Err(NotBegun::Deferred(e.to_string()));
            }
            other => locks.push(other?),
        }
    }
    let state = patiently(profile, cx, || observed(&engine, profile, batch, past, cx));
    let mut state = match state {
        Err(e) if profile.target.optional && is_absent(e.kind()) => {
            return Err(NotBegun::Absent(e.to_string()));
        }
        other => other?,
    };
    let there = origin
        .as_ref()
        .map(|origin| patiently(profile, cx, || origin.scan(&context(profile, cx))));
    state.origin = match (there.transpose(), origin_profile) {
        (Err(e), Some(origin)) if origin.target.optional && is_absent(e.kind()) => {
            return Err(NotBegun::Absent(e.to_string()));
        }
        (there, _) => there?,
    };
    if let Some(reason) = emptied(profile, batch, past, &state) {
        return Err(NotBegun::Absent(reason));
    }
    if let Some(newest) = state.collection.newest_time() {
        state.now = later_than(newest, cx)?;
    }
    let plan = planned(profile, batch, &state, cx)?;
    if let Some(steps) = around.and_then(|a| a.begin((profile, batch), cx)) {
        return Err(NotBegun::Hindered(steps));
    }
    let actions = EngineActions {
        engine: &engine,
        origin: origin.as_ref(),
        profile,
        around: cx.around,
        products: Mutex::new(products),
        dumps_failed: AtomicBool::new(false),
    };
    let runner = Runner {
        actions: &actions,
        facts: &facts(profile),
        withheld: &open::secret_variables(profile),
        retries: &profile.run.retries,
        monitor: cx.log,
        cancel: cx.around.cancel,
        clock: cx.clock,
        threads: open::threads(profile, cx.around),
        temp_dir: &profile.backup.temp_dir,
        host: cx.around.host,
        next_due: profile
            .schedule
            .as_ref()
            .and_then(|s| s.next_after((cx.clock)())),
    };
    Ok(runner.run(&plan))
}

/// The profile of the target this one is a copy of, if the batch copies.
fn origin<'a>(profile: &'a Profile, batch: &Batch) -> Option<&'a Profile> {
    let copies = batch.commands().contains(&&Command::Replicate);
    profile.origin.as_deref().filter(|_| copies)
}

/// Whether a run that does not begin is begun again within the hour.
fn tried_again(profile: &Profile, cx: &JobContext<'_>) -> bool {
    cx.scheduled && profile.schedule.as_ref().is_some_and(|s| s.catch_up)
}

fn planned(profile: &Profile, batch: &Batch, state: &State, cx: &JobContext<'_>) -> Result<Plan> {
    planner::plan(profile, batch, state, cx.around.zone).map_err(|e| {
        let error = Error::new(e.kind(), e.to_string());
        match e.hint() {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    })
}

fn context<'a>(profile: &Profile, cx: &JobContext<'a>) -> Context<'a> {
    Context {
        monitor: cx.log,
        cancel: cx.around.cancel,
        now: (cx.clock)(),
        threads: open::threads(profile, cx.around),
    }
}

/// The time, once it is past `newest`: sets are told apart by whole seconds. A clock that is further behind is left
/// to the planner, which refuses it.
fn later_than(newest: Timestamp, cx: &JobContext<'_>) -> Result<Timestamp> {
    loop {
        let now = (cx.clock)();
        if now > newest || newest.as_secs() - now.as_secs() > CLOCK_PATIENCE {
            return Ok(now);
        }
        cx.around.cancel.check()?;
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Why a folder that may be absent is: a disk that is not plugged in has none, and none is made in its place.
///
/// # Errors
/// The URL is none.
pub fn absent_folder(profile: &Profile) -> Result<Option<String>> {
    if !profile.target.optional {
        return Ok(None);
    }
    let url = TargetUrl::parse(profile.target.url.expose())?;
    Ok(match url.plain().place() {
        Place::Local { dir } if !dir.is_dir() => {
            Some(format!("the folder {} is not there", dir.display()))
        }
        _ => None,
    })
}

/// Why a target that may be absent is not the one it was: an empty mount point looks like this.
fn emptied(profile: &Profile, batch: &Batch, past: &PastRuns, state: &State) -> Option<String> {
    let anew = match profile.origin {
        Some(_) => profile.backup.once.allow_empty_target,
        None => batch.commands().contains(&&Command::Full),
    };
    let held = past
        .runs
        .iter()
        .flat_map(|o| &o.steps)
        .any(|s| s.set.is_some());
    let empty = state.collection.newest_time().is_none();
    let words = match profile.origin {
        Some(_) => "replicate --allow-empty-target",
        None => "full",
    };
    (profile.target.optional && empty && held && !anew).then(|| {
        format!(
            "the target held sets and is empty: is the disk mounted? `dupr {} {words}` begins anew",
            profile.name
        )
    })
}

/// Whether a target that may be absent is.
pub fn is_absent(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::NotFound | ErrorKind::Unreachable)
}

/// Tries again what the network refused, as `[run] retries` says.
fn patiently<T>(
    profile: &Profile,
    cx: &JobContext<'_>,
    mut attempt: impl FnMut() -> Result<T>,
) -> Result<T> {
    let retries = &profile.run.retries;
    for left in (0..=retries.max).rev() {
        match attempt() {
            Err(e) if e.kind().is_retryable() && left > 0 && !profile.target.optional => {
                let text = format!("{e}; trying again in {} s", retries.wait.as_secs());
                cx.log.note(Level::Warning, &text);
                let until = Instant::now() + retries.wait;
                while Instant::now() < until {
                    cx.around.cancel.check()?;
                    std::thread::sleep(Duration::from_millis(100).min(retries.wait));
                }
            }
            other => return other,
        }
    }
    Err(Error::new(ErrorKind::Unreachable, "no attempt was made"))
}

fn not_begun(
    profile: &Profile,
    batch: &Batch,
    started: Timestamp,
    end: NotBegun,
    cx: &JobContext<'_>,
) -> Outcome {
    let mut outcome = Outcome {
        schema: OUTCOME_SCHEMA,
        profile: profile.name.clone(),
        host: cx.around.host.to_owned(),
        batch: batch.text.clone(),
        target: profile.target.url.masked().to_owned(),
        started,
        ended: (cx.clock)().max(started),
        verdict: Verdict::Failed,
        steps: Vec::new(),
        failure: None,
        next_due: profile
            .schedule
            .as_ref()
            .and_then(|s| s.next_after((cx.clock)())),
    };
    match end {
        NotBegun::Failed(error) => {
            cx.log
                .add(Level::Warning, &format!("could not begin: {error}"));
            outcome.failure = Some(runner::failure(&error));
        }
        NotBegun::Deferred(reason) => {
            cx.log.add(Level::Notice, &format!("put off: {reason}"));
            let mut step =
                StepOutcome::new(0, "require", "conditions of the run", StepStatus::Deferred);
            step.notes.push(reason);
            outcome.steps.push(step);
        }
        NotBegun::Hindered(steps) => outcome.steps = steps,
        NotBegun::Absent(reason) => {
            cx.log.add(Level::Notice, &format!("skipped: {reason}"));
            let title = "target that may be absent";
            let mut step = StepOutcome::new(0, ABSENT_STEP, title, StepStatus::Deferred);
            step.notes.push(reason);
            outcome.steps.push(step);
        }
    }
    outcome.verdict = runner::verdict(&outcome);
    outcome
}

/// What hooks are told about the profile.
fn facts(profile: &Profile) -> ProfileFacts {
    let directory = profile
        .file
        .as_deref()
        .and_then(Path::parent)
        .map(Path::to_owned)
        .unwrap_or_default();
    ProfileFacts {
        name: profile.base_name().to_owned(),
        directory,
        source: profile.source.root.clone(),
        target: profile.target.url.masked().to_owned(),
        encrypt_to: profile.keys.encrypt_to.clone(),
        sign_with: profile.keys.sign_with.clone(),
    }
}
