//! The one integration crate: a module per capability. docs/testing.md tells what each proves and what it needs.

mod servers;
mod support;

mod architecture;
mod crash;
mod golden;
mod interop;
mod restore_by_hand;
mod storage_contract;
