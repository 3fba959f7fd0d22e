//! The one integration crate: a module per capability. docs/testing.md tells what each proves and what it needs.

mod proxy;
mod servers;
mod support;

mod adopted;
mod aging;
mod architecture;
mod cli;
mod counts;
mod crash;
mod damage;
mod differential;
mod documents;
mod door;
mod dumps;
mod duply;

mod golden;
mod groups;
mod hooks;
mod hostile;
mod instructions;
mod interop;
mod kill;
mod mail;
mod notify;
mod promises;
mod properties;
mod reading;
mod recover;
mod reliability;
mod reports;
mod restore_by_hand;
mod schedule;
mod schema;
mod snapshots;
mod storage_clouds;
mod storage_combined;
mod storage_contract;
mod storage_cycles;
mod storage_network;
mod storage_services;
mod storage_troubles;
mod targets;
mod watch;
