//! What several capabilities need: other programs, scratch folders, trees and their comparison.

pub mod effort;
pub mod home;
pub mod keyring;
pub mod programs;
pub mod scratch;
pub mod sink;
pub mod terminal;
pub mod tree;
pub mod vault;
pub mod weirdtree;
