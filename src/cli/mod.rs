//! The human's door: grammar, dispatch, output, exit codes.

pub mod args;
pub mod exit;
pub mod ui;
pub mod world;
