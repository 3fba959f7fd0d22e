//! The one integration crate: a module per capability.

mod servers;
mod storage_contract;
