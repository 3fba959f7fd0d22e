//! The two front doors: `dupr PROFILE BATCH` here, duplicity's own command line in [`duplicity`].

pub mod args;
pub mod ask;
pub mod choose;
pub mod duplicity;
pub mod exit;
pub mod run;
pub mod session;
pub mod tools;
pub mod ui;
pub mod world;

use args::{Cli, ProfileLine, What};
use clap::Parser;
use session::Session;
use std::ffi::OsString;
use ui::out;
use world::World;

/// The human's door: parses, runs, and returns the exit code.
pub fn main(arguments: impl Iterator<Item = OsString>) -> u8 {
    let world = World::observe();
    let line: Vec<OsString> = std::iter::once("dupr".into()).chain(arguments).collect();
    let cli = match Cli::try_parse_from(line) {
        Ok(cli) => cli,
        Err(e) => return explain(&e),
    };
    let (common, what) = (cli.common, cli.what);
    match what {
        What::Profile(words) => {
            match ProfileLine::try_parse_from(std::iter::once("dupr".into()).chain(words)) {
                Ok(line) => run::run(&line.words, &Session::new(world, common.and(line.common))),
                Err(e) => explain(&e),
            }
        }
        What::Plan(words) => {
            let mut common = common;
            common.plan = true;
            run::run(&words, &Session::new(world, common))
        }
        What::Init(args) => tools::init::run(&args, &Session::new(world, common)),
        What::Profiles => tools::profiles::run(&Session::new(world, common)),
        What::Status(args) => tools::status::run(&args, &Session::new(world, common)),
        What::History(args) => tools::history::run(&args, &Session::new(world, common)),
        What::Show(args) => tools::show::run(&args, &Session::new(world, common)),
        What::Doctor(args) => tools::doctor::run(&args, &Session::new(world, common)),
        What::MailTest(args) => tools::mail_test::run(&args, &Session::new(world, common)),
        What::Schema => tools::docs::schema(),
        What::Completions { shell } => tools::docs::completions(shell),
        What::Man => tools::docs::man(),
        What::Version => tools::docs::version(),
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
