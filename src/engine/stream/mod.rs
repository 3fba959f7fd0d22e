//! Streams sorted by path, and the two ways to put them together: pair two ([`join`]), group many ([`group`]).

pub mod change;
pub mod group;
pub mod join;
pub mod overlay;
