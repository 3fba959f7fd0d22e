//! How much is tried: the gate takes a share of the longest tests, `DUPR_EFFORT=full` takes all of each. docs/testing.md lists
//! which those are.

/// Whether everything is to be tried.
pub fn is_full() -> bool {
    std::env::var_os("DUPR_EFFORT").is_some_and(|effort| effort == "full")
}

/// `all` with full effort, else `share`.
pub fn of<T>(all: T, share: T) -> T {
    if is_full() { all } else { share }
}
