//! The human's doors.

pub mod duplicity;
