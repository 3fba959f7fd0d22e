//! The two front doors: `dupr PROFILE BATCH` here, duplicity's own command line in [`duplicity`].

pub mod args;
pub mod ask;
pub mod choose;
pub mod complain;
pub mod duplicity;
pub mod exit;
pub mod jobs;
pub mod order;
pub mod run;
pub mod scheduled;
pub mod session;
pub mod signals;
pub mod silence;
pub mod tools;
pub mod ui;
pub mod world;

use crate::engine::storage::askpass;
use args::{Cli, Common, ProfileLine, What};
use clap::Parser;
use session::Session;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use ui::out;
use world::World;

/// Picks the door: the one called for by name or first word, or the answer `ssh` waits for. Returns the exit code.
pub fn start(mut arguments: impl Iterator<Item = OsString>) -> i32 {
    let name = arguments.next().unwrap_or_default();
    if let Some(password) = std::env::var_os(askpass::VARIABLE) {
        let prompt = arguments.next().unwrap_or_default();
        return askpass::answer(
            password.as_encoded_bytes(),
            &prompt.to_string_lossy(),
            &mut std::io::stdout(),
        );
    }
    let mut arguments = arguments.peekable();
    let called_duplicity = Path::new(&name).file_name() == Some(OsStr::new("duplicity"));
    if called_duplicity || arguments.next_if(|a| a == "duplicity").is_some() {
        return duplicity::main(arguments, duplicity_world());
    }
    let called_rdiffdir = Path::new(&name).file_name() == Some(OsStr::new("rdiffdir"));
    if called_rdiffdir || arguments.next_if(|a| a == "rdiffdir").is_some() {
        return duplicity::rdiffdir::main(arguments, &duplicity_world());
    }
    i32::from(main(arguments))
}

fn duplicity_world() -> duplicity::World {
    duplicity::World {
        environment: std::env::vars_os().collect(),
        now: world::now(),
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        cancel: signals::watch(),
        program: std::env::current_exe().ok(),
        set: std::env::vars_os()
            .filter_map(|(name, _)| name.into_string().ok())
            .collect(),
    }
}

/// The human's door: parses, runs, and returns the exit code.
pub fn main(arguments: impl Iterator<Item = OsString>) -> u8 {
    let world = World::observe();
    let line: Vec<OsString> = std::iter::once("dupr".into()).chain(arguments).collect();
    let cli = match Cli::try_parse_from(line) {
        Ok(cli) => cli,
        Err(e) => return explain(&e),
    };
    dispatch(world, cli.common, cli.what)
}

fn dispatch(world: World, common: Common, what: What) -> u8 {
    match what {
        What::Profile(words) => {
            if let Some(words) = order::tool_first(&words) {
                let line = std::iter::once("dupr".into()).chain(words);
                return match Cli::try_parse_from(line) {
                    Ok(cli) => dispatch(world, common.and(cli.common), cli.what),
                    Err(e) => explain(&e),
                };
            }
            if let Some(text) = tools::help::of_line(&words) {
                out::text(&text);
                return exit::DONE;
            }
            match ProfileLine::try_parse_from(std::iter::once("dupr".into()).chain(words)) {
                Ok(line) => run::run(&line.words, &Session::new(world, common.and(line.common))),
                Err(e) => explain(&e),
            }
        }
        What::Plan(args) => {
            let mut common = common;
            common.plan = true;
            tools::plan::run(args, &Session::new(world, common))
        }
        What::Schedule { what } => tools::schedule::run(&what, &Session::new(world, common)),
        What::Watch(args) => tools::watch::run(&args, &Session::new(world, common)),
        What::Init(args) => tools::init::run(&args, &Session::new(world, common)),
        What::Profiles => tools::profiles::run(&Session::new(world, common)),
        What::Status(args) => tools::status::run(&args, &Session::new(world, common)),
        What::History(args) => tools::history::run(&args, &Session::new(world, common)),
        What::Log(args) => tools::log::run(&args, &Session::new(world, common)),
        What::Show(args) => tools::show::run(&args, &Session::new(world, common)),
        What::Doctor(args) => tools::doctor::run(&args, &Session::new(world, common)),
        What::MailTest(args) => tools::mail_test::run(&args, &Session::new(world, common)),
        What::Target { action } => tools::target::run(&action, &Session::new(world, common)),
        What::Recover(args) => tools::recover::run(&args, &Session::new(world, common)),
        What::Keys { action } => tools::keys::run(&action, &Session::new(world, common)),
        What::Unlock(args) => tools::unlock::run(&args, &Session::new(world, common)),
        What::Du(args) => tools::du::run(&args, &Session::new(world, common)),
        What::Thaw(args) => tools::thaw::run(&args, &Session::new(world, common)),
        What::Import { from } => tools::import::run(&from, &Session::new(world, common)),
        What::Schema { of } => tools::docs::schema(of),
        What::Completions { shell } => tools::docs::completions(shell),
        What::Man(args) => tools::manual::run(&args, &Session::new(world, common)),
        What::Version => tools::docs::version(),
        What::Help { words } => help(&words, &Session::new(world, common)),
    }
}

fn help(words: &[String], session: &Session) -> u8 {
    if matches!(words, [word] if word == "duplicity" || word == "rdiffdir") {
        let line = words
            .iter()
            .chain([&"--help".to_owned()])
            .map(OsString::from)
            .collect::<Vec<_>>();
        return u8::try_from(start(std::iter::once("dupr".into()).chain(line)))
            .unwrap_or(exit::STEP_FAILED);
    }
    match tools::help::text(words) {
        Ok(text) => {
            out::text(&text);
            exit::DONE
        }
        Err(e) => complain::error(&e, session),
    }
}

/// Help goes to standard output and is a success; a wrong word goes to standard error.
fn explain(error: &clap::Error) -> u8 {
    let text = error.render();
    if error.use_stderr() {
        out::complaint(text.to_string().trim_end());
        exit::USAGE
    } else {
        out::text(&text.to_string());
        exit::DONE
    }
}
