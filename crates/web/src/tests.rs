//! Claims about the interface, made against a bank in memory, through the same router that serves requests.

mod batch;
mod documentation;
mod errors;
mod events;
mod idle;
mod jobs;
mod lists;
mod money;
#[path = "../../bank/tests/use_cases/ports.rs"]
mod ports;
mod replay;
mod roles;
mod rows;
mod serving;
mod short_calls;
mod streams;
pub(crate) mod world;
