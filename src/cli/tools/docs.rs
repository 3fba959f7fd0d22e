//! Tools that describe dupr itself: schema, completions, version. All made from one grammar.

use crate::cli::ui::out;
use crate::cli::{args, exit};
use crate::profile::file;

/// The JSON Schema of profiles, or of groups.
pub fn schema(of: args::Described) -> u8 {
    out::json(&match of {
        args::Described::Profile => file::schema(),
        args::Described::Groups => file::groups_schema(),
    });
    exit::DONE
}

/// Completions for a shell.
pub fn completions(shell: clap_complete::Shell) -> u8 {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut args::grammar(), "dupr", &mut text);
    out::text(&String::from_utf8_lossy(&text));
    exit::DONE
}

/// Version and what was built in.
pub fn version() -> u8 {
    let features: Vec<&str> = [
        ("cloud", cfg!(feature = "cloud")),
        ("mail", cfg!(feature = "mail")),
    ]
    .iter()
    .filter(|f| f.1)
    .map(|f| f.0)
    .collect();
    out::line(&format!(
        "dupr {} ({})",
        env!("CARGO_PKG_VERSION"),
        features.join(", ")
    ));
    exit::DONE
}
