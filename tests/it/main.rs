//! The one integration crate: a module per capability.

mod proxy;
mod servers;
mod storage_contract;
mod storage_troubles;
