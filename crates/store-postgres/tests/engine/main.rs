//! The PostgreSQL engine against real servers.

mod bank;
mod conformance;
mod faults;
mod nodes;
mod tables;
