//! The rules, as tables, and what holds whatever happens, as properties.

mod audit;
mod bank;
mod check;
mod rows;
mod script;
mod story;

mod accounts;
mod batches;
mod dead_letters;
mod holds;
mod limits;
mod precedence;
mod properties;
mod reversals;
mod status;
mod transfers;
