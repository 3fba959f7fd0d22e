//! Tools: everything that is not a batch of a profile. One file each.

pub mod docs;
pub mod doctor;
pub mod history;
pub mod import;
pub mod init;
pub mod mail_test;
pub mod profiles;
mod schemes;
pub mod show;
pub mod status;
pub mod target;
