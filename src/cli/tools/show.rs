//! `dupr show`: the merged profile, and where each value came from.

use crate::cli::args::OneProfile;
use crate::cli::session::Session;
use crate::cli::ui::out;
use crate::cli::ui::table::Table;
use crate::cli::{complain, exit};
use crate::profile::Loaded;
use crate::report::format;
use serde_json::json;

/// Shows every key; secrets are starred out.
pub fn run(args: &OneProfile, session: &Session) -> u8 {
    let around = session.surroundings();
    let colors = session.colors(session.world.terminal.error);
    let loaded = match Loaded::read(&args.profile, &around, &session.common.set) {
        Ok(loaded) => loaded,
        Err(errors) => return complain::about(&errors, session),
    };
    let shown = loaded.show();
    if session.common.json {
        out::json(
            &json!({"schema": 1, "profile": loaded.name, "file": loaded.path, "values": shown}),
        );
    } else {
        let mut table = Table::new(&["KEY", "VALUE", "FROM"]);
        for line in shown {
            table.row(vec![line.key, format::safe(&line.value), line.origin]);
        }
        table.lines().iter().for_each(|l| out::line(l));
    }
    match loaded.check(&around) {
        Ok(_) => exit::DONE,
        Err(errors) => {
            out::complaint(errors.render(colors).trim_end());
            exit::USAGE
        }
    }
}
