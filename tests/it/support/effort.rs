//! How much is tried: the gate takes a share of the longest tests, `DUPR_EFFORT=full` takes all of each. docs/testing.md lists
//! which those are.

/// Numbers of calls to fail, 1 and up for ever: all with full effort, else every third, beginning at another one each `turn`.
pub fn calls(turn: usize) -> impl Iterator<Item = u64> {
    let step = of(1, 3);
    (1 + (turn % step) as u64..).step_by(step)
}

/// `all` with full effort, else `share`.
pub fn of<T>(all: T, share: T) -> T {
    let is_full = std::env::var_os("DUPR_EFFORT").is_some_and(|effort| effort == "full");
    if is_full { all } else { share }
}
