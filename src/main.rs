//! Runs and exits.

fn main() {
    std::process::exit(dupr::cli::start(std::env::args_os()));
}
