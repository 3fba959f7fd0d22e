//! Tools: everything that is not a batch of a profile. One file each.

pub mod docs;
pub mod doctor;
pub mod du;
mod guides;
pub mod help;
pub mod history;
pub mod import;
pub mod init;
pub mod keys;
pub mod log;
pub mod mail_test;
pub mod manual;
pub mod plan;
pub mod profiles;
pub mod recover;
pub mod schedule;
mod schemes;
pub mod show;
pub mod status;
mod status_remote;
pub mod target;
pub mod thaw;
pub mod unlock;
pub mod watch;
