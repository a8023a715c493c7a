//! The whole program over PostgreSQL: several nodes, several shards, money between them, and everything that can break.

#[path = "../support/mod.rs"]
mod support;

mod faults;
mod interest;
mod nodes;
mod real_year;
