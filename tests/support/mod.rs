//! What the tests of the whole program share: a bank started as a child process, a small HTTP client, and helpers that
//! say what they expect. Nothing here knows the program from the inside.

#![allow(dead_code, reason = "every test program uses its own part of this")]

pub(crate) mod bank;
pub(crate) mod book;
pub(crate) mod clock;
pub(crate) mod cluster;
pub(crate) mod http;
pub(crate) mod interest;
pub(crate) mod ordeal;
pub(crate) mod program;
pub(crate) mod wait;
pub(crate) mod year;
